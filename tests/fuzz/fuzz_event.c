/* tests/fuzz/fuzz_event.c -- any bytes as a file of kept events, as they are, and
 * with the right checksum before each line: what is read is told, in order, and
 * what comes after it has a higher number. */
#include <config.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "collector/event/journal.h"

#define NOW INT64_C(1700000000000000)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct order {
    uint64_t last;              /* 0: none yet. */
};

/* The newest come first. */
static void
look(void *order_, const struct event_record *r)
{
    struct order *o = order_;
    char *text = NULL;
    size_t n = 0;
    if (!r->id || (o->last && r->id >= o->last)) {
        abort();
    }
    o->last = r->id;
    FILE *f = open_memstream(&text, &n);
    if (f) {
        event_record_put(f, r);
        fclose(f);
    }
    free(text);
}

static void
list_all(struct event_journal *j)
{
    static const struct event_filter all = { .n_kinds = 0 };
    struct order o = { .last = 0 };
    uint64_t before = 0;
    do {
        uint64_t next = event_journal_list(j, &all, before, 100, look, &o);
        if (next && before && next >= before) {
            abort();            /* It would never end. */
        }
        before = next;
    } while (before);
}

static void
write_file(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t) size) {
        abort();
    }
    close(fd);
}

static void
remove_all(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) {
        closedir(d);
    }
    rmdir(path);
}

static void
take(const uint8_t *data, size_t size)
{
    struct event_limits limits = { .size = 4u << 20 };
    char error[EVENT_ERROR_SIZE], dir[] = "/tmp/fuzz-event-XXXXXX", path[64];
    if (!mkdtemp(dir)) {
        return;
    }
    snprintf(path, sizeof path, "%s/0000000000000001.log", dir);
    write_file(path, data, size);
    struct event_journal *j = event_journal_open(dir, &limits, NOW, error);
    if (j) {
        uint64_t newest = event_journal_newest(j);
        list_all(j);
        struct event *e = event_make(EVENT_daemon_started, EVENT_S_INFO, NOW,
                                     "x", NULL, "it started");
        event_journal_add(j, e, NOW);
        free(e);
        if (event_journal_newest(j) <= newest) {
            abort();
        }
        list_all(j);
        event_journal_close(j);
    }
    remove_all(dir);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = NULL;
    size_t n = 0;
    take(data, size);
    FILE *f = open_memstream(&text, &n);
    while (f && size) {
        const uint8_t *eol = memchr(data, '\n', size);
        size_t line = eol ? (size_t) (eol - data) : size;
        fprintf(f, "%08lx ", crc32(0, data, (unsigned) line));
        fwrite(data, 1, line + (eol != NULL), f);
        data += line + (eol != NULL);
        size -= line + (eol != NULL);
    }
    if (f && !fclose(f)) {
        take((const uint8_t *) text, n);
    }
    free(text);
    return 0;
}
