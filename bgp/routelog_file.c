#include <config.h>

#include "bgp/routelog_p.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/thread.h"
#include "lib/log.h"

#define HOUR_US (INT64_C(3600) * 1000000)
#define TIDY_US (INT64_C(60) * 1000000)
#define SUFFIX ".routes"
/* Whole files are deleted, so none may be a large part of all. */
#define PARTS 8
#define MAX_FILES 100000
#define EVERY_MS 1000

/* ---- Names. ---- */

static bool
name_parse(const char *name, int64_t *us)
{
    struct tm tm = { .tm_isdst = 0 };
    int end = 0;
    if (sscanf(name, "%4d-%2d-%2dT%2d-%2d-%2d" SUFFIX "%n", &tm.tm_year,
               &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec,
               &end) != 6 || !end || name[end]) {
        return false;
    }
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *us = (int64_t) timegm(&tm) * 1000000;
    return true;
}

static void
name_make(char *buf, size_t size, int64_t us)
{
    time_t s = (time_t) (us / 1000000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(buf, size, "%Y-%m-%dT%H-%M-%S" SUFFIX, &tm);
}

static int
compare_files(const void *a_, const void *b_)
{
    const struct routelog_file *a = a_, *b = b_;
    return a->start_us < b->start_us ? -1 : a->start_us > b->start_us;
}

int
routelog_list(const char *dir, struct routelog_file **files, size_t *n)
{
    DIR *d = opendir(dir);
    size_t room = 0;
    *files = NULL;
    *n = 0;
    if (!d) {
        return -errno;
    }
    for (struct dirent *e; (e = readdir(d)) && *n < MAX_FILES;) {
        struct routelog_file f = { .size = 0 };
        struct stat st;
        if (strlen(e->d_name) >= sizeof f.name
            || !name_parse(e->d_name, &f.start_us)
            || fstatat(dirfd(d), e->d_name, &st, 0)) {
            continue;
        }
        strcpy(f.name, e->d_name);
        f.size = (uint64_t) st.st_size;
        if (*n == room) {
            room = room ? 2 * room : 64;
            struct routelog_file *list = realloc(*files, room * sizeof *list);
            if (!list) {
                closedir(d);
                free(*files);
                *files = NULL;
                return -ENOMEM;
            }
            *files = list;
        }
        (*files)[(*n)++] = f;
    }
    closedir(d);
    if (*n) {
        qsort(*files, *n, sizeof **files, compare_files);
    }
    return 0;
}

/* ---- What is too old or too much. ---- */

static void
tidy(struct routelog *h)
{
    struct routelog_file *files;
    size_t n;
    pthread_mutex_lock(&h->mutex);
    int64_t retention_us = h->retention_us;
    uint64_t max_bytes = h->max_bytes;
    pthread_mutex_unlock(&h->mutex);
    h->tidied_us = h->now_us();
    if (routelog_list(h->dir, &files, &n)) {
        return;
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += files[i].size;
    }
    size_t first = 0;
    /* The last one may be open. */
    for (; first + 1 < n; first++) {
        /* All of it is older than the first record of the next one. */
        bool old = retention_us && files[first + 1].start_us
                                   < h->tidied_us - retention_us;
        if (!old && (!max_bytes || bytes <= max_bytes)) {
            break;
        }
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", h->dir, files[first].name);
        if (unlink(path)) {
            LOG_RATE(bgp, WARN, "%s: %s; the history of routes takes more "
                     "than it may", path, strerror(errno));
            break;
        }
        bytes -= files[first].size;
        counter_inc(&h->n.deleted);
    }
    pthread_mutex_lock(&h->mutex);
    h->n_files = n - first;
    h->bytes = bytes;
    h->oldest_us = n > first ? files[first].start_us : 0;
    pthread_mutex_unlock(&h->mutex);
    free(files);
}

/* ---- Writing. ---- */

static void
close_file(struct routelog *h)
{
    if (h->fd >= 0) {
        fsync(h->fd);
        close(h->fd);
        h->fd = -1;
    }
}

/* A file of its own for each start of ours: what was torn off stays at the end
 * of an old one. */
static int
open_file(struct routelog *h, int64_t us)
{
    for (int i = 0; i < 3600; i++, us += 1000000) {
        char name[64], path[4096];
        name_make(name, sizeof name, us);
        snprintf(path, sizeof path, "%s/%s", h->dir, name);
        h->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        if (h->fd >= 0 || errno != EEXIST) {
            break;
        }
    }
    h->fd_size = 0;
    h->fd_hour = us / HOUR_US;
    return h->fd < 0 ? -errno : 0;
}

static int
write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done <= 0) {
            if (done < 0 && errno == EINTR) {
                continue;
            }
            return done ? -errno : -ENOSPC;
        }
        p += done;
        n -= (size_t) done;
    }
    return 0;
}

static int
write_block(struct routelog *h, const struct routelog_chunk *c,
            uint64_t max_bytes)
{
    size_t size;
    uint8_t *block = routelog_block_make(c, &size);
    int error = block ? 0 : -ENOMEM;
    if (h->fd >= 0 && (c->first_us / HOUR_US != h->fd_hour
                       || (max_bytes && h->fd_size > max_bytes / PARTS))) {
        close_file(h);
        h->tidied_us = 0;
    }
    if (!error && h->fd < 0) {
        error = open_file(h, c->first_us);
    }
    error = error ? error : write_all(h->fd, block, size);
    if (!error) {
        h->fd_size += size;
        counter_inc(&h->n.blocks);
        counter_add(&h->n.octets, size);
        counter_add(&h->n.raw_octets, c->n);
        counter_add(&h->n.recorded, c->n_records - c->n_gaps);
    } else if (h->fd >= 0 && ftruncate(h->fd, (off_t) h->fd_size)) {
        close_file(h);          /* Half a block ends it. */
    } else if (h->fd >= 0) {
        lseek(h->fd, (off_t) h->fd_size, SEEK_SET);
    }
    free(block);
    return error;
}

static void
write_one(struct routelog *h, struct routelog_chunk *c)
{
    uint64_t max_bytes = h->max_bytes;
    pthread_mutex_unlock(&h->mutex);
    int error = write_block(h, c, max_bytes);
    uint32_t n = c->n_records - c->n_gaps;
    if (error) {
        counter_inc(&h->n.write_errors);
        counter_add(&h->n.lost, n);
        LOG_RATE(bgp, WARN, "%s: %s; changes of routes are lost", h->dir,
                 strerror(-error));
    }
    uint64_t missing = n + c->n_missing;        /* Also what it told of. */
    free(c->hashes);
    free(c);
    pthread_mutex_lock(&h->mutex);
    h->n_chunks--;
    h->lost += error ? missing : 0;
}

/* Writes all that is full and, if it is 'due', what is being filled.  The
 * mutex is held, but for the writing itself. */
static void
write_all_chunks(struct routelog *h, bool due)
{
    while (h->full) {
        struct routelog_chunk *c = h->full;
        h->full = c->next;
        h->full_end = h->full ? h->full_end : &h->full;
        write_one(h, c);
    }
    if (due && h->open) {
        struct routelog_chunk *c = h->open;
        h->open = NULL;
        write_one(h, c);
    }
}

void *
routelog_writer(void *log)
{
    struct routelog *h = log;
    int64_t written_ms = 0;
    pthread_mutex_lock(&h->mutex);
    for (;;) {
        uint64_t asked = h->asked;
        int64_t now_ms = clock_mono_ms();
        bool stop = h->stop;
        bool due = stop || asked != h->written
                   || now_ms - written_ms >= EVERY_MS;
        write_all_chunks(h, due);
        if (due) {
            written_ms = now_ms;
            h->written = asked;
            pthread_cond_broadcast(&h->done);
        }
        if (stop) {
            break;
        }
        pthread_mutex_unlock(&h->mutex);
        int64_t now_us = h->now_us();
        if (now_us - h->tidied_us > TIDY_US || now_us < h->tidied_us) {
            tidy(h);
        }
        pthread_mutex_lock(&h->mutex);
        if (!h->stop && !h->full && h->asked == h->written) {
            thread_wait_until(&h->wake, &h->mutex,
                              clock_mono_us() + EVERY_MS * 1000);
        }
    }
    pthread_mutex_unlock(&h->mutex);
    close_file(h);
    return NULL;
}
