#include <config.h>

#include "collector/store/store_p.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/ring.h"

const struct counter_def store_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct store_counters, NAME), DOC },
    STORE_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

#define DEFAULT_MEMORY (UINT64_C(256) << 20)
#define MIN_MEMORY (UINT64_C(64) << 20)
#define DEFAULT_RING 64
/* Free batches that are kept for the next time. */
#define POOL_KEEP 64
/* Batches that workers may hold. */
#define POOL_WORKERS 64
/* Batches that may wait for a disk; at least one transaction's. */
#define MIN_BACKLOG 160

static int
fail(char **error, const char *what, const char *path, int e)
{
    if (asprintf(error, "%s %s: %s", what, path, strerror(e)) < 0) {
        *error = NULL;
    }
    return -e;
}

/* Removes what queries of a process that was killed left on disk. */
static void
clean_temporary(struct store *s)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tmp", s->dir);
    DIR *dir = opendir(path);
    struct dirent *d;
    while (dir && (d = readdir(dir))) {
        if (!strncmp(d->d_name, "duckdb_temp", 11)
            || !strncmp(d->d_name, "export", 6)) {
            unlinkat(dirfd(dir), d->d_name, 0);
        }
    }
    if (dir) {
        closedir(dir);
    }
}

/* Makes the directory and takes its lock. */
static int
open_dir(struct store *s, const char *dir, char **error)
{
    if (asprintf(&s->dir, "%s/flows", dir) < 0) {
        s->dir = NULL;
        return fail(error, "cannot use", dir, ENOMEM);
    }
    if ((mkdir(dir, 0750) && errno != EEXIST)
        || (mkdir(s->dir, 0750) && errno != EEXIST)) {
        return fail(error, "cannot make", s->dir, errno);
    }
    /* DuckDB wants absolute paths where access is restricted.  One that is
     * absolute is taken as it is: it may lead through a descriptor
     * (/proc/self/fd/N) to where we could not go by name. */
    char *absolute = s->dir[0] == '/' ? strdup(s->dir)
                                      : realpath(s->dir, NULL);
    char *path = NULL;
    if (!absolute) {
        return fail(error, "cannot use", s->dir, errno);
    }
    free(s->dir);
    s->dir = absolute;
    if (asprintf(&path, "%s/lock", s->dir) < 0) {
        return fail(error, "cannot lock", s->dir, ENOMEM);
    }
    int retval = 0;
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (s->lock_fd < 0 && errno == EROFS) {
        /* What is there can be asked; that nothing is added is told by
         * whoever tries. */
        s->lock_fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (s->lock_fd < 0) {
        retval = fail(error, "cannot open", path, errno);
    } else if (flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
        int e = errno;
        retval = -e;
        if (e == EWOULDBLOCK) {
            if (asprintf(error, "%s is in use by another process",
                         s->dir) < 0) {
                *error = NULL;
            }
        } else {
            fail(error, "cannot lock", path, e);
        }
    }
    free(path);
    if (!retval) {
        clean_temporary(s);
    }
    return retval;
}

static void
set_defaults(struct store *s, const struct store_config *config)
{
    s->config = *config;
    s->config.dir = NULL;
    if (!s->config.memory_limit) {
        s->config.memory_limit = DEFAULT_MEMORY;
    }
    if (s->config.memory_limit < MIN_MEMORY) {
        s->config.memory_limit = MIN_MEMORY;
    }
    if (!s->config.sums_limit) {
        s->config.sums_limit = s->config.memory_limit;
    }
    if (!s->config.ring_batches) {
        s->config.ring_batches = DEFAULT_RING;
    }
    size_t ring = s->config.ring_batches;
    s->writer.max_backlog = ring > MIN_BACKLOG ? ring : MIN_BACKLOG;
    s->max_batches = ring + s->writer.max_backlog + POOL_WORKERS;
    s->health.writing = true;
    s->health.since_us = clock_wall_us();
}

struct store *
store_open(const struct store_config *config, struct dict *dict,
           char **error)
{
    *error = NULL;
    struct store *s = calloc(1, sizeof *s);
    if (!s) {
        *error = strdup("out of memory");
        return NULL;
    }
    s->dict = dict;
    s->lock_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->health_lock, NULL);
    pthread_mutex_init(&s->pool_lock, NULL);
    pthread_mutex_init(&s->scans_lock, NULL);
    set_defaults(s, config);

    s->ring = ring_create(s->config.ring_batches);
    if (!s->ring) {
        *error = strdup("out of memory");
    } else if (!open_dir(s, config->dir, error)
               && !engine_open(s, error)
               && !segments_scan(s, error)
               && !writer_start(s, error)) {
        return s;
    }
    if (!*error) {
        *error = strdup("out of memory");
    }
    store_close(s);
    return NULL;
}

void
store_close(struct store *s)
{
    if (!s) {
        return;
    }
    writer_stop(s);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_segments; i++) {
        segment_unload(s, s->segments[i]);
    }
    if (s->dir && s->lock_fd >= 0 && s->writer.ran) {
        segments_save_index(s);
    }
    pthread_mutex_unlock(&s->lock);
    engine_close(s);
    segments_destroy(s);
    store_pool_trim(s, 0);
    ring_destroy(s->ring);
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    pthread_mutex_destroy(&s->scans_lock);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->health_lock);
    pthread_mutex_destroy(&s->pool_lock);
    free(s->dir);
    free(s);
}

struct flow_batch *
store_batch_get(struct store *s)
{
    bool make = false;
    pthread_mutex_lock(&s->pool_lock);
    struct flow_batch *b = s->free_batches;
    if (b) {
        s->free_batches = b->next;
        s->n_free--;
    } else if (s->n_batches < s->max_batches) {
        s->n_batches++;
        make = true;
    }
    pthread_mutex_unlock(&s->pool_lock);
    if (make) {
        b = batch_create();
        if (!b) {
            pthread_mutex_lock(&s->pool_lock);
            s->n_batches--;
            pthread_mutex_unlock(&s->pool_lock);
        }
    }
    if (b) {
        batch_reset(b);
    }
    return b;
}

void
store_batch_put(struct store *s, struct flow_batch *b)
{
    if (!b) {
        return;
    }
    batch_receipt_unref(b->receipt);
    b->receipt = NULL;
    pthread_mutex_lock(&s->pool_lock);
    bool keep = s->n_free < POOL_KEEP;
    if (keep) {
        b->next = s->free_batches;
        s->free_batches = b;
        s->n_free++;
    } else {
        s->n_batches--;
    }
    pthread_mutex_unlock(&s->pool_lock);
    if (!keep) {
        batch_destroy(b);
    }
}

void
store_pool_trim(struct store *s, size_t keep)
{
    pthread_mutex_lock(&s->pool_lock);
    while (s->n_free > keep) {
        struct flow_batch *b = s->free_batches;
        s->free_batches = b->next;
        s->n_free--;
        s->n_batches--;
        batch_destroy(b);
    }
    pthread_mutex_unlock(&s->pool_lock);
}

bool
store_offer(struct store *s, struct flow_batch *b)
{
    return ring_push(s->ring, b);
}

bool
store_submit(struct store *s, struct flow_batch *b)
{
    uint32_t n = b->n;          /* The batch is the writer's afterwards. */
    if (store_offer(s, b)) {
        return true;
    }
    counter_add(&s->n.ring_full, n);
    return false;
}

bool
store_submit_last(struct store *s, struct flow_batch *b)
{
    size_t n = ring_capacity(s->ring);
    if (ring_length(s->ring) < n - n / 4) {
        return store_submit(s, b);
    }
    counter_add(&s->n.ring_full, b->n);
    return false;
}

int
store_scratch(const struct store *s, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/tmp", s->dir);
    if (n < 0 || (size_t) n >= size) {
        return -ENAMETOOLONG;
    }
    return mkdir(path, 0750) && errno != EEXIST ? -errno : 0;
}

void
store_set_retention(struct store *s, int64_t us, uint64_t bytes)
{
    __atomic_store_n(&s->config.retention_us, us, __ATOMIC_RELAXED);
    __atomic_store_n(&s->config.retention_bytes, bytes, __ATOMIC_RELAXED);
}

const struct store_counters *
store_counters(const struct store *s)
{
    return &s->n;
}

void
store_set_health(struct store *s, bool writing, const char *reason)
{
    pthread_mutex_lock(&s->health_lock);
    if (s->health.writing != writing) {
        s->health.since_us = clock_wall_us();
    }
    s->health.writing = writing;
    snprintf(s->health.reason, sizeof s->health.reason, "%s", reason);
    pthread_mutex_unlock(&s->health_lock);
}

void
store_health(struct store *s, struct store_health *health)
{
    pthread_mutex_lock(&s->health_lock);
    *health = s->health;
    pthread_mutex_unlock(&s->health_lock);
}
