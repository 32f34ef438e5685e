/* The file of the configuration: read, and replaced at once. */
#include <config.h>

#include "api/config_p.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/json.h"
#include "api/model.h"
#include "lib/file.h"
#include "lib/log.h"

/* A file that a person may have written: generous, yet bounded. */
static const struct json_limits file_limits = {
    .size = 16 << 20, .values = 1000000, .containers = 200000, .depth = 32,
};

static void
stamp_of(const struct stat *st, struct config_stamp *s)
{
    *s = (struct config_stamp) {
        .exists = true, .dev = st->st_dev, .ino = st->st_ino,
        .size = st->st_size, .mtime = st->st_mtim,
    };
}

bool
config_stamp_read(const char *path, struct config_stamp *s)
{
    struct stat st;

    memset(s, 0, sizeof *s);
    if (!stat(path, &st)) {
        stamp_of(&st, s);
    }
    return s->exists;
}

bool
config_stamp_equal(const struct config_stamp *a, const struct config_stamp *b)
{
    return a->exists == b->exists
           && (!a->exists
               || (a->dev == b->dev && a->ino == b->ino && a->size == b->size
                   && a->mtime.tv_sec == b->mtime.tv_sec
                   && a->mtime.tv_nsec == b->mtime.tv_nsec));
}

static int
read_all(FILE *f, char **text, size_t *n)
{
    size_t room = 65536;

    *n = 0;
    *text = malloc(room);
    while (*text) {
        *n += fread(*text + *n, 1, room - *n, f);
        if (*n < room || *n > file_limits.size) {
            return ferror(f) ? -EIO : *n > file_limits.size ? -EFBIG : 0;
        }
        room *= 2;
        char *p = realloc(*text, room);
        if (!p) {
            free(*text);
        }
        *text = p;
    }
    return -ENOMEM;
}

/* The tree in 'path'; an absent file is the empty configuration unless it is
 * 'required'. */
int
config_read_file(const char *path, bool required, struct json_object **tree,
                 struct config_stamp *stamp, struct config_error *e)
{
    struct json_error je;
    char *text = NULL;
    size_t n = 0;

    *tree = NULL;
    config_stamp_read(path, stamp);
    FILE *f = fopen(path, "re");
    if (!f) {
        int err = errno;
        if (err == ENOENT && !required) {
            *tree = json_object_new_object();
            return *tree ? 0 : -ENOMEM;
        }
        return refuse(e, -err, path, "%s", strerror(err));
    }
    int err = read_all(f, &text, &n);
    fclose(f);
    if (err) {
        free(text);
        return refuse(e, err, path, "%s", strerror(-err));
    }
    err = json_parse(text, n, &file_limits, JSON_UNIQUE, tree, &je);
    free(text);
    if (err) {
        char where[64];
        snprintf(where, sizeof where, "line %" PRIu32 ", column %" PRIu32,
                 je.line, je.column);
        return refuse(e, err, where, "%s: not JSON: %s", path, je.message);
    }
    if (!*tree) {
        return refuse(e, -EINVAL, path, "null; expected an object with "
                      MODEL_ROOT);
    }
    return 0;
}

/* Syncs the directory that 'path' is in, so that the new name lasts. */
static int
sync_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, (size_t) (slash - path) + 1)
                      : strdup(".");
    int err = dir ? file_sync_dir(dir) : -ENOMEM;

    free(dir);
    return err;
}

/* The file as it is stays as PATH.1 until the new one has replaced it: at no
 * time is there no file. */
static void
keep_previous(const char *path)
{
    char *tmp, *old;

    if (asprintf(&tmp, "%s.1.tmp", path) < 0) {
        return;
    }
    if (asprintf(&old, "%s.1", path) >= 0) {
        unlink(tmp);
        if (link(path, tmp) || rename(tmp, old)) {
            if (errno != ENOENT) {
                LOG(config, WARN, "%s: cannot keep the previous "
                    "configuration: %s", old, strerror(errno));
            }
            unlink(tmp);
        }
        free(old);
    }
    free(tmp);
}

/* The stamp is taken before the file has its name: whoever replaces it right
 * after is seen. */
static int
write_new(const char *tmp, const char *path, const char *text,
          struct config_stamp *stamp)
{
    size_t n = strlen(text);
    struct stat st;
    int fd, err = 0;

    unlink(tmp);
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
              0640);
    if (fd < 0) {
        return -errno;
    }
    if (!stat(path, &st)) {     /* Whose it was, and for whom. */
        if (fchmod(fd, st.st_mode & 07777)
            || fchown(fd, st.st_uid, st.st_gid)) {
            LOG(config, DBG, "%s: %s", tmp, strerror(errno));
        }
    }
    while (n && !err) {
        ssize_t done = write(fd, text, n);
        if (done < 0) {
            err = errno == EINTR ? 0 : -errno;
        } else {
            text += done;
            n -= (size_t) done;
        }
    }
    if (!err && (fsync(fd) || fstat(fd, &st))) {
        err = -errno;
    }
    if (close(fd) && !err) {
        err = -errno;
    }
    if (!err) {
        stamp_of(&st, stamp);
    }
    return err;
}

/* Replaces the file at once: after a crash it is the old or the new one. */
int
config_write_file(const char *path, struct json_object *tree,
                  struct config_stamp *stamp, struct config_error *e)
{
    const char *json = json_object_to_json_string_ext(
        tree, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
        | JSON_C_TO_STRING_NOSLASHESCAPE);
    char *real = realpath(path, NULL);  /* A link stays a link. */
    char *tmp = NULL, *text = NULL;
    struct config_stamp new;
    int err = 0;

    if (!real && !(real = strdup(path))) {
        return -ENOMEM;
    }
    if (asprintf(&tmp, "%s.tmp", real) < 0
        || asprintf(&text, "%s\n", json) < 0) {
        err = -ENOMEM;
    } else {
        err = write_new(tmp, real, text, &new);
    }
    if (!err) {
        keep_previous(real);
        err = rename(tmp, real) ? -errno : 0;
        int unsure = err ? 0 : sync_dir(real);
        if (unsure) {           /* It is written: no reason to take it back. */
            LOG(config, WARN, "%s: may not outlast a power failure: its "
                "directory: %s", path, strerror(-unsure));
        }
    }
    if (err && tmp) {
        unlink(tmp);
    }
    if (err) {
        refuse(e, err, path, "cannot be written: %s", strerror(-err));
    } else {
        *stamp = new;
    }
    free(real);
    free(tmp);
    free(text);
    return err;
}
