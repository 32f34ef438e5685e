/* tests/fuzz/replay_main.c -- runs a fuzz target over files, without libFuzzer.
 *
 * Arguments are files or directories of them; each file's bytes are handed to
 * LLVMFuzzerTestOneInput() in a heap block of exactly that size. */
#include <config.h>

#ifndef ENABLE_FUZZERS

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static unsigned n_run;

static int
replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    struct stat st;
    uint8_t *data = NULL;
    int error = 1;
    if (!fstat(fileno(f), &st)
        && (data = malloc(st.st_size ? (size_t) st.st_size : 1))
        && fread(data, 1, (size_t) st.st_size, f) == (size_t) st.st_size) {
        LLVMFuzzerTestOneInput(data, (size_t) st.st_size);
        n_run++;
        error = 0;
    } else {
        fprintf(stderr, "%s: cannot be read\n", path);
    }
    free(data);
    fclose(f);
    return error;
}

static int
replay(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) {
        return replay_file(path);
    }
    int error = 0;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] != '.') {
            char *name;
            if (asprintf(&name, "%s/%s", path, entry->d_name) < 0) {
                error = 1;
                break;
            }
            error |= replay(name);
            free(name);
        }
    }
    closedir(dir);
    return error;
}

int
main(int argc, char *argv[])
{
    int error = 0;
    for (int i = 1; i < argc; i++) {
        error |= replay(argv[i]);
    }
    printf("%u inputs replayed\n", n_run);
    return error || !n_run;
}
#endif /* !ENABLE_FUZZERS */
