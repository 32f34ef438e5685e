#include <config.h>

#include "collector/identity/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <urcu.h>

#include "lib/clock.h"
#include "lib/fnv.h"
#include "lib/log.h"
#include "lib/thread.h"

#define US INT64_C(1000000)
/* A flow may come this long after its end (ovs.md section 5): intervals that
 * ended later than this are kept in memory. */
#define HOT_US (7200 * US)
/* So many closed ones, of those that may go, are worth a file. */
#define PAST_MIN 100000
#define PAST_EVERY_US (3600 * US)
#define MAX_RUNS 12             /* More are made one. */
#define LOG_MIN (UINT64_C(32) << 20)
#define MAX_WAITING (UINT64_C(256) << 20)
#define APPLY_SLICE 1000        /* Operations for which lookups wait. */

struct batch_of_records {
    struct batch_of_records *next;
    struct identity_buffer records;
    void (*done)(void *, const struct identity_result *);
    void *aux;
    struct identity_result result;
};

struct identity_journal {
    struct identity *table;
    struct dict *dict;
    char *dir;
    uint64_t number;            /* Of snapshot and log. */
    uint64_t past_number;       /* Of the next file of the past. */
    int log;                    /* -1: none. */
    _Atomic uint64_t log_octets;
    uint64_t snapshot_octets;
    int64_t past_us;            /* When a file of the past was last made. */
    struct identity_scratch scratch;
    struct identity_buffer out; /* What goes to the log. */

    pthread_t thread;
    pthread_mutex_t queue_mutex;        /* Of the next five. */
    pthread_cond_t cond;
    struct batch_of_records *first, **last;
    uint64_t waiting;
    bool stop;
    int64_t retention_us;

    pthread_mutex_t mutex;      /* Of the table's writers, and of the next. */
    struct past_run *run[MAX_RUNS * 2];
    uint64_t run_number[MAX_RUNS * 2];
    size_t n_runs;
    uint64_t damaged;
    int write_error;
};

/* ---- Files. ---- */

static char *
path_of(const struct identity_journal *j, const char *what, uint64_t number)
{
    char *p;
    return asprintf(&p, "%s/%s.%llu", j->dir, what,
                    (unsigned long long) number) < 0 ? NULL : p;
}

static void
sync_dir(const struct identity_journal *j)
{
    int fd = open(j->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void) fsync(fd);
        close(fd);
    }
}

static int
write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno != EINTR) {
            return -errno;
        }
        if (done > 0) {
            p += done;
            n -= (size_t) done;
        }
    }
    return 0;
}

static void
remove_file(const struct identity_journal *j, const char *what,
            uint64_t number)
{
    char *path = path_of(j, what, number);
    if (path) {
        (void) unlink(path);
        free(path);
    }
}

/* ---- Snapshots. ---- */

struct snapshot {
    struct identity_journal *j;
    int fd;
    int error;
    uint64_t octets;
    int64_t now_us;
};

static void
snapshot_flush(struct snapshot *s)
{
    struct identity_buffer *out = &s->j->out;
    if (!s->error) {
        s->error = out->failed ? -ENOMEM : write_all(s->fd, out->data, out->n);
    }
    s->octets += out->n;
    out->n = 0;
}

static void
snapshot_put(struct snapshot *s, const struct identity_record *r)
{
    identity_record_put(&s->j->out, s->j->dict, r);
    if (s->j->out.n > 1 << 20) {
        snapshot_flush(s);
    }
}

static struct identity_endpoint
endpoint_of(const struct identity_face *f, const char *source)
{
    struct identity_endpoint e = { .source = source, .id = identity_id(f),
                                   .interface = identity_interface(f) };
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        e.text[i] = identity_text(f, i);
    }
    return e;
}

static void
snapshot_closed(void *aux, const struct identity_interval *v)
{
    struct snapshot *s = aux;
    struct identity_record r = { .op = IDENTITY_UPSERT, .told_us = s->now_us,
                                 .e = endpoint_of(v->face, v->source) };
    r.e.keys = &v->key;
    r.e.n_keys = 1;
    r.e.from_us = v->from_us;
    r.e.to_us = v->to_us;
    /* A change that is to come ends what is there: a fact still. */
    r.told_us = v->to_us > r.told_us ? v->to_us : r.told_us;
    snapshot_put(s, &r);
}

/* Before there is an endpoint a complete synchronisation only says which
 * generation it was. */
static void
snapshot_source(void *aux, const struct identity_source *source)
{
    struct snapshot *s = aux;
    struct identity_record r = { .op = IDENTITY_SYNC, .told_us = s->now_us };
    r.e.source = source->name;
    r.e.generation = source->generation;
    r.e.from_us = s->now_us;
    if (source->generation) {
        snapshot_put(s, &r);
    }
}

static bool
snapshot_row(void *aux, const struct identity_row *row)
{
    struct snapshot *s = aux;
    struct identity_record r = { .op = IDENTITY_UPSERT, .told_us = s->now_us,
                                 .e = endpoint_of(row->declared,
                                                  row->source) };
    struct identity_key keys[IDENTITY_MAX_KEYS];
    int64_t from = INT64_MIN;
    r.e.keys = keys;
    r.e.generation = row->generation;
    r.e.to_us = row->to_us;
    /* Told once for each time at which keys were added. */
    do {
        int64_t next = INT64_MAX;
        r.e.n_keys = 0;
        for (size_t i = 0; i < row->n_keys; i++) {
            if (row->key_from[i] > from && row->key_from[i] < next) {
                next = row->key_from[i];
            }
        }
        from = row->n_keys ? next : row->from_us;
        for (size_t i = 0; i < row->n_keys; i++) {
            if (row->key_from[i] <= from) {
                keys[r.e.n_keys++] = row->keys[i];
            }
        }
        r.e.from_us = from;
        snapshot_put(s, &r);
    } while (r.e.n_keys < row->n_keys);
    return true;
}

static void
snapshot_gaps(struct snapshot *s)
{
    size_t n;
    const struct identity_gap *g = identity_gaps(s->j->table, &n);
    for (size_t i = 0; i < n; i++) {
        struct identity_record r = { .op = IDENTITY_GAP };
        r.e.source = g[i].source;
        r.e.from_us = g[i].from_us;
        r.e.to_us = g[i].to_us;
        snapshot_put(s, &r);
    }
}

static int
snapshot_write(struct identity_journal *j, uint64_t number, int64_t now_us)
{
    char *path = path_of(j, "snapshot", number);
    char *tmp = path_of(j, "tmp", number);
    struct snapshot s = { .j = j, .fd = -1, .now_us = now_us };
    s.error = -ENOMEM;
    if (path && tmp) {
        s.fd = open(tmp, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0640);
        s.error = s.fd < 0 ? -errno : 0;
    }
    if (!s.error) {
        j->out.n = 0;
        identity_each_source(j->table, snapshot_source, &s);
        identity_each_closed(j->table, INT64_MAX, snapshot_closed, &s);
        identity_each(j->table, 0, snapshot_row, &s);
        snapshot_gaps(&s);
        snapshot_flush(&s);
    }
    if (!s.error && fsync(s.fd)) {
        s.error = -errno;
    }
    if (s.fd >= 0) {
        close(s.fd);
    }
    if (!s.error && rename(tmp, path)) {
        s.error = -errno;
    }
    if (s.error && tmp) {
        (void) unlink(tmp);
    }
    j->snapshot_octets = s.octets;
    free(path);
    free(tmp);
    return s.error;
}

/* A new snapshot and a new log; the old ones stay if that fails. */
static int
checkpoint(struct identity_journal *j, int64_t now_us)
{
    uint64_t number = j->number + 1;
    char *path = path_of(j, "log", number);
    int error = snapshot_write(j, number, now_us), fd = -1;
    if (!error) {
        fd = path ? open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND
                               | O_CLOEXEC, 0640) : -1;
        error = fd < 0 ? path ? -errno : -ENOMEM : 0;
    }
    if (error) {
        remove_file(j, "snapshot", number);
    } else {
        sync_dir(j);
        if (j->log >= 0) {
            close(j->log);
        }
        remove_file(j, "snapshot", j->number);
        remove_file(j, "log", j->number);
        j->log = fd;
        j->log_octets = 0;
        j->number = number;
    }
    free(path);
    return error;
}

/* ---- The past. ---- */

static void
forget_run(struct identity_journal *j, size_t i)
{
    past_close(j->run[i]);
    remove_file(j, "past", j->run_number[i]);
    memmove(&j->run[i], &j->run[i + 1],
            (j->n_runs - i - 1) * sizeof j->run[0]);
    memmove(&j->run_number[i], &j->run_number[i + 1],
            (j->n_runs - i - 1) * sizeof j->run_number[0]);
    j->n_runs--;
}

static void
add_closed(void *aux, const struct identity_interval *v)
{
    past_builder_add(aux, v);
}

static struct past_run *
open_past(struct identity_journal *j, uint64_t number)
{
    char *path = path_of(j, "past", number);
    struct past_run *r = path ? past_open(path) : NULL;
    free(path);
    return r;
}

/* Writes what ended long ago to a file, and only then lets it go. */
static int
move_to_past(struct identity_journal *j, int64_t now_us)
{
    struct past_builder *b = past_builder_create();
    char *path = path_of(j, "past", j->past_number);
    int error = b && path ? 0 : -ENOMEM;
    if (!error) {
        identity_each_closed(j->table, now_us - HOT_US, add_closed, b);
        error = past_builder_count(b) ? past_builder_write(b, path) : 0;
    }
    struct past_run *r = NULL;
    if (!error && past_builder_count(b)) {
        r = open_past(j, j->past_number);
        error = r ? 0 : -errno;
    }
    if (!error) {
        sync_dir(j);
        pthread_mutex_lock(&j->mutex);
        if (r) {
            j->run[j->n_runs] = r;
            j->run_number[j->n_runs++] = j->past_number++;
        }
        identity_expire(j->table, now_us - HOT_US, now_us, SIZE_MAX);
        pthread_mutex_unlock(&j->mutex);
        error = checkpoint(j, now_us);
    }
    past_builder_destroy(b);
    free(path);
    return error;
}

static int
merge_runs(struct identity_journal *j, int64_t now_us)
{
    char *path = path_of(j, "past", j->past_number);
    int64_t since = j->retention_us ? now_us - j->retention_us : INT64_MIN;
    int error = path ? past_merge(j->run, j->n_runs, since, path) : -ENOMEM;
    struct past_run *r = error ? NULL : open_past(j, j->past_number);
    if (r) {
        pthread_mutex_lock(&j->mutex);
        while (j->n_runs) {
            j->damaged += past_damaged(j->run[0]);
            forget_run(j, 0);
        }
        j->run[0] = r;
        j->run_number[0] = j->past_number++;
        j->n_runs = 1;
        pthread_mutex_unlock(&j->mutex);
        sync_dir(j);
    }
    free(path);
    return error;
}

static void
forget_old(struct identity_journal *j, int64_t now_us)
{
    pthread_mutex_lock(&j->mutex);
    for (size_t i = j->n_runs; j->retention_us && i-- > 0;) {
        if (past_newest(j->run[i]) < now_us - j->retention_us) {
            forget_run(j, i);
        }
    }
    pthread_mutex_unlock(&j->mutex);
}

/* ---- The thread. ---- */

static void
note_error(struct identity_journal *j, int error)
{
    pthread_mutex_lock(&j->mutex);
    if (error && error != j->write_error) {
        LOG(identity, WARN, "%s: %s: what is told is kept in memory only",
            j->dir, strerror(-error));
    }
    j->write_error = error;
    pthread_mutex_unlock(&j->mutex);
}

/* Applies the records of one batch. */
static void
apply(struct identity_journal *j, struct batch_of_records *b)
{
    struct cursor c = cur_init(b->records.data, b->records.n);
    struct identity_record r;
    struct identity_result *res = &b->result;
    enum identity_read got = IDENTITY_READ_OK;
    while (got != IDENTITY_READ_END) {
        pthread_mutex_lock(&j->mutex);
        for (int i = 0; i < APPLY_SLICE; i++) {
            got = identity_record_read(&c, j->dict, &j->scratch, &r);
            if (got == IDENTITY_READ_END) {
                break;
            }
            struct identity_status before, after;
            identity_get_status(j->table, &before);
            int error = got == IDENTITY_READ_OK ? identity_apply(j->table, &r)
                                                : -EINVAL;
            identity_get_status(j->table, &after);
            if (after.endpoints < before.endpoints) {
                res->ended += before.endpoints - after.endpoints;
            }
            if (error && error != -ENOENT) {
                if (!res->failed++) {
                    res->first_failed = res->n;
                    res->first_error = error;
                }
            }
            res->n++;
        }
        pthread_mutex_unlock(&j->mutex);
    }
}

static void
do_batches(struct identity_journal *j, struct batch_of_records *list)
{
    int error = 0;
    for (struct batch_of_records *b = list; b; b = b->next) {
        apply(j, b);
        if (j->dir && !error) {
            error = j->log < 0 ? -EBADF
                    : write_all(j->log, b->records.data, b->records.n);
            j->log_octets += b->records.n;
        }
    }
    if (j->dir && !error && fdatasync(j->log)) {
        error = -errno;
    }
    if (j->dir) {
        note_error(j, error);
        if (error && !checkpoint(j, clock_wall_us())) {
            error = 0;          /* All of it is in the snapshot. */
        }
    }
    while (list) {
        struct batch_of_records *b = list;
        list = b->next;
        b->result.durable = error;
        if (b->done) {
            b->done(b->aux, &b->result);
        }
        pthread_mutex_lock(&j->queue_mutex);
        j->waiting -= b->records.n;
        pthread_mutex_unlock(&j->queue_mutex);
        identity_buffer_free(&b->records);
        free(b);
    }
}

/* What is due at 'now_us' besides. */
static void
keep_house(struct identity_journal *j, int64_t now_us)
{
    struct identity_status s;
    pthread_mutex_lock(&j->mutex);
    identity_get_status(j->table, &s);
    bool past = s.closed && identity_oldest_end(j->table) < now_us - HOT_US;
    identity_expire(j->table, j->dir ? INT64_MIN : now_us - HOT_US, now_us,
                    SIZE_MAX);
    pthread_mutex_unlock(&j->mutex);
    if (!j->dir) {
        return;
    }
    int error = 0;
    if (past && (s.closed >= PAST_MIN || now_us - j->past_us > PAST_EVERY_US
                 || now_us < j->past_us)) {
        j->past_us = now_us;
        error = move_to_past(j, now_us);
    } else if (j->log_octets > LOG_MIN
               && j->log_octets > j->snapshot_octets) {
        error = checkpoint(j, now_us);
    }
    if (!error && j->n_runs > MAX_RUNS) {
        error = merge_runs(j, now_us);
    }
    forget_old(j, now_us);
    /* The time of the log says until when we listened. */
    if (j->log >= 0) {
        (void) futimens(j->log, NULL);
    }
    if (error) {
        note_error(j, error);
    }
}

static void *
run(void *aux)
{
    struct identity_journal *j = aux;
    bool stop = false;
    rcu_register_thread();
    while (!stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_mutex_lock(&j->queue_mutex);
        while (!j->first && !j->stop
               && !pthread_cond_timedwait(&j->cond, &j->queue_mutex,
                                          &until)) {
        }
        struct batch_of_records *list = j->first;
        j->first = NULL;
        j->last = &j->first;
        stop = j->stop && !list;
        pthread_mutex_unlock(&j->queue_mutex);
        if (list) {
            do_batches(j, list);
        }
        keep_house(j, clock_wall_us());
    }
    rcu_unregister_thread();
    return NULL;
}

/* ---- Opening. ---- */

/* Applies a file of records; a torn end is cut off with 'cut'. */
static int
replay(struct identity_journal *j, const char *what, uint64_t number,
       bool cut, int64_t *mtime_us)
{
    char *path = path_of(j, what, number);
    struct stat st;
    int fd = path ? open(path, (cut ? O_RDWR : O_RDONLY) | O_CLOEXEC) : -1;
    int error = 0;
    bool writable = true;
    if (fd < 0 && cut && path && errno == EROFS) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        writable = false;
    }
    if (fd < 0 || fstat(fd, &st)) {
        error = fd < 0 && errno == ENOENT ? 0 : -errno;
    } else if (st.st_size) {
        size_t size = (size_t) st.st_size;
        void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            error = -errno;
        } else {
            struct cursor c = cur_init(map, size);
            struct identity_record r;
            enum identity_read got;
            size_t whole = 0;
            identity_restoring(j->table, !cut);
            while ((got = identity_record_read(&c, j->dict, &j->scratch, &r))
                   != IDENTITY_READ_END) {
                whole = (size_t) (c.p - (const uint8_t *) map);
                if (got == IDENTITY_READ_OK) {
                    (void) identity_apply(j->table, &r);
                } else {
                    j->damaged++;
                }
            }
            identity_restoring(j->table, false);
            munmap(map, size);
            if (cut && writable && whole < size
                && ftruncate(fd, (off_t) whole)) {
                error = -errno;
            }
            if (cut) {
                j->log_octets = whole;
            } else {
                j->snapshot_octets = whole;
            }
        }
        *mtime_us = st.st_mtim.tv_sec * US + st.st_mtim.tv_nsec / 1000;
    }
    if (fd >= 0) {
        close(fd);
    }
    free(path);
    return error;
}

/* The numbers of the files in the directory. */
static int
scan(struct identity_journal *j)
{
    DIR *d = opendir(j->dir);
    if (!d) {
        return -errno;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        unsigned long long n;
        char end;
        if (sscanf(e->d_name, "snapshot.%llu%c", &n, &end) == 1
            && n > j->number) {
            j->number = n;
        } else if (sscanf(e->d_name, "tmp.%llu%c", &n, &end) == 1) {
            remove_file(j, "tmp", n);
        } else if (sscanf(e->d_name, "past.%llu%c", &n, &end) == 1) {
            struct past_run *r = j->n_runs < MAX_RUNS * 2 - 1
                                 ? open_past(j, n) : NULL;
            if (r) {
                j->run[j->n_runs] = r;
                j->run_number[j->n_runs++] = n;
            } else {
                j->damaged++;
                LOG(identity, WARN, "%s/past.%llu: can't be read: %s", j->dir,
                    n, strerror(errno));
            }
            if (n >= j->past_number) {
                j->past_number = n + 1;
            }
        }
    }
    closedir(d);
    return 0;
}

static int
load(struct identity_journal *j, int64_t now_us)
{
    int64_t until = 0;
    if (mkdir(j->dir, 0750) && errno != EEXIST) {
        return -errno;
    }
    int error = scan(j);
    error = error ? error : replay(j, "snapshot", j->number, false, &until);
    error = error ? error : replay(j, "log", j->number, true, &until);
    if (error) {
        return error;
    }
    if (until && until < now_us) {
        identity_gap(j->table, "", until, now_us);
    }
    j->past_us = now_us;
    note_error(j, checkpoint(j, now_us));
    return 0;
}

static void
journal_free(struct identity_journal *j)
{
    for (size_t i = 0; i < j->n_runs; i++) {
        past_close(j->run[i]);
    }
    if (j->log >= 0) {
        close(j->log);
    }
    pthread_mutex_destroy(&j->mutex);
    pthread_mutex_destroy(&j->queue_mutex);
    pthread_cond_destroy(&j->cond);
    identity_buffer_free(&j->out);
    free(j->scratch.text);
    free(j->dir);
    free(j);
}

struct identity_journal *
identity_journal_open(const char *dir, struct identity *table,
                      struct dict *dict, int64_t now_us, char *error)
{
    struct identity_journal *j = calloc(1, sizeof *j);
    pthread_condattr_t attr;
    int e = -ENOMEM;
    if (!j) {
        snprintf(error, IDENTITY_ERROR_SIZE, "out of memory");
        return NULL;
    }
    j->table = table;
    j->dict = dict;
    j->log = -1;
    j->last = &j->first;
    pthread_mutex_init(&j->mutex, NULL);
    pthread_mutex_init(&j->queue_mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->cond, &attr);
    pthread_condattr_destroy(&attr);
    j->scratch.text = malloc(IDENTITY_RECORD_MAX);
    j->dir = dir ? strdup(dir) : NULL;
    if (j->scratch.text && (!dir || j->dir)) {
        e = dir ? load(j, now_us) : 0;
    }
    e = e ? e : thread_start(&j->thread, "identity", run, j);
    if (e) {
        snprintf(error, IDENTITY_ERROR_SIZE, "%s: %s", dir ? dir : "identity",
                 strerror(-e));
        journal_free(j);
        return NULL;
    }
    return j;
}

void
identity_journal_close(struct identity_journal *j)
{
    if (!j) {
        return;
    }
    pthread_mutex_lock(&j->queue_mutex);
    j->stop = true;
    pthread_cond_signal(&j->cond);
    pthread_mutex_unlock(&j->queue_mutex);
    pthread_join(j->thread, NULL);
    journal_free(j);
}

/* ---- Telling and asking. ---- */

int
identity_journal_submit(struct identity_journal *j,
                        struct identity_buffer *records,
                        void (*done)(void *aux,
                                     const struct identity_result *),
                        void *aux)
{
    struct batch_of_records *b = calloc(1, sizeof *b);
    if (!b || records->failed) {
        free(b);
        return -ENOMEM;
    }
    pthread_mutex_lock(&j->queue_mutex);
    if (j->waiting && j->waiting + records->n > MAX_WAITING) {
        pthread_mutex_unlock(&j->queue_mutex);
        free(b);
        return -EAGAIN;
    }
    *b = (struct batch_of_records) { .records = *records, .done = done,
                                     .aux = aux };
    *records = (struct identity_buffer) { .data = NULL };
    j->waiting += b->records.n;
    *j->last = b;
    j->last = &b->next;
    pthread_cond_signal(&j->cond);
    pthread_mutex_unlock(&j->queue_mutex);
    return 0;
}

#define MAX_FOUND 64

struct finding {
    const struct identity_journal *j;
    void (*each)(void *, const struct identity_found *);
    void *aux;
    size_t n;
    struct {
        uint64_t hash;
    } seen[MAX_FOUND];          /* A snapshot and the past may both have it. */
};

static void
found(void *aux, const struct past_interval *v)
{
    struct finding *f = aux;
    uint64_t h = (uint64_t) v->from_us * 31 + (uint64_t) v->key.len;
    h = fnv_text_end(fnv_text_end(h, v->source), v->id);
    for (size_t i = 0; i < f->n; i++) {
        if (f->seen[i].hash == h) {
            return;
        }
    }
    if (f->n < MAX_FOUND) {
        f->seen[f->n++].hash = h;
        f->each(f->aux, &(struct identity_found) {
            .v = *v,
            .rank = identity_rank_of(f->j->table, v->source),
            .gap = false,
        });
    }
}

static void
find_hot(struct finding *f, const struct identity_key *key, int64_t at_us)
{
    struct identity_interval list[MAX_FOUND];
    size_t n = identity_find_key(f->j->table, key, at_us, list, MAX_FOUND);
    for (size_t i = 0; i < n; i++) {
        struct identity_endpoint e = endpoint_of(list[i].face,
                                                 list[i].source);
        struct past_interval v = {
            .key = list[i].key, .from_us = list[i].from_us,
            .to_us = list[i].to_us, .source = e.source, .id = e.id,
            .interface = e.interface,
        };
        memcpy(v.text, e.text, sizeof v.text);
        found(f, &v);
    }
}

static void
find_everywhere(struct finding *f, const struct identity_key *key,
                int64_t at_us)
{
    find_hot(f, key, at_us);
    for (size_t i = f->j->n_runs; i-- > 0;) {
        (void) past_find(f->j->run[i], key, at_us, found, f);
    }
}

/* Whether anything has prefixes of this length. */
static bool
has_length(const struct identity_journal *j, unsigned int len)
{
    uint64_t w = identity_lengths(j->table)[len / 64];
    for (size_t i = 0; i < j->n_runs; i++) {
        w |= past_lengths(j->run[i])[len / 64];
    }
    return w >> len % 64 & 1;
}

struct with_gaps {
    struct identity_journal *j;
    int64_t at_us;
    void (*each)(void *, const struct identity_found *);
    void *aux;
};

static void
add_gap(void *aux, const struct identity_found *f_)
{
    struct with_gaps *g = aux;
    struct identity_found f = *f_;
    f.gap = identity_in_gap(g->j->table, f.v.source, g->at_us);
    g->each(g->aux, &f);
}

size_t
identity_journal_find(struct identity_journal *j,
                      const struct identity_key *key, int64_t at_us,
                      void (*each)(void *, const struct identity_found *),
                      void *aux)
{
    struct with_gaps g = { j, at_us, each, aux };
    struct finding f = { .j = j, .each = add_gap, .aux = &g };
    pthread_mutex_lock(&j->mutex);
    find_everywhere(&f, key, at_us);
    for (int len = 127; !f.n && len >= 0
         && key->kind == IDENTITY_KEY_ADDRESS; len--) {
        if (has_length(j, (unsigned int) len)) {
            struct prefix p = { key->addr, (uint8_t) len };
            struct addr last;
            prefix_range(&p, &p.addr, &last);
            struct identity_key k = identity_key_prefix(&p);
            find_everywhere(&f, &k, at_us);
        }
    }
    pthread_mutex_unlock(&j->mutex);
    return f.n;
}

/* ---- All of it. ---- */

#define EACH_SLICE 2000         /* Endpoints for which lookups wait. */

struct telling_all {
    struct identity_journal *j;
    int64_t from_us, to_us;
    bool (*each)(void *, const struct past_interval *, uint8_t);
    void *aux;
    bool over;
    size_t n;                   /* Of the slice. */
    char *source;               /* Of the last row of a file, and its rank: */
    uint8_t rank;               /* not every row takes the lock. */
};

static void
tell_one(struct telling_all *a, const struct identity_key *key,
         const struct identity_face *face, const char *source,
         int64_t from_us, int64_t to_us)
{
    if (a->over || from_us >= a->to_us || to_us <= a->from_us) {
        return;
    }
    struct identity_endpoint e = endpoint_of(face, source);
    struct past_interval v = { .key = *key, .from_us = from_us,
                               .to_us = to_us, .source = e.source,
                               .id = e.id, .interface = e.interface };
    memcpy(v.text, e.text, sizeof v.text);
    a->over = !a->each(a->aux, &v, identity_rank_of(a->j->table, source));
}

static void
tell_closed(void *aux, const struct identity_interval *v)
{
    tell_one(aux, &v->key, v->face, v->source, v->from_us, v->to_us);
}

static bool
tell_row(void *aux, const struct identity_row *row)
{
    struct telling_all *a = aux;
    for (size_t i = 0; i < row->n_keys; i++) {
        tell_one(a, &row->keys[i], row->effective, row->source,
                 row->key_from[i], row->to_us);
    }
    return !a->over && ++a->n < EACH_SLICE;
}

static bool
tell_past(void *aux, const struct past_interval *v)
{
    struct telling_all *a = aux;
    if (!a->source || strcmp(a->source, v->source)) {
        free(a->source);
        a->source = strdup(v->source);
        a->rank = identity_journal_rank_of(a->j, v->source);
    }
    a->over = !a->each(a->aux, v, a->rank);
    return !a->over;
}

/* Files are opened anew, so that they may go meanwhile: those that do not any
 * more exist were made part of another one, which is read then. */
static void
tell_files(struct telling_all *a)
{
    uint64_t number[MAX_RUNS * 2], next = 0;
    bool again = true;
    while (again && !a->over) {
        again = false;
        pthread_mutex_lock(&a->j->mutex);
        size_t n = a->j->n_runs;
        memcpy(number, a->j->run_number, n * sizeof *number);
        pthread_mutex_unlock(&a->j->mutex);
        for (size_t i = 0; i < n && !a->over; i++) {
            struct past_run *r = number[i] < next ? NULL
                                 : open_past(a->j, number[i]);
            if (r) {
                past_each(r, a->from_us, a->to_us, tell_past, a);
                past_close(r);
            } else if (number[i] >= next) {
                again = true;
            }
        }
        for (size_t i = 0; i < n; i++) {
            next = number[i] >= next ? number[i] + 1 : next;
        }
    }
}

uint8_t
identity_journal_rank_of(struct identity_journal *j, const char *source)
{
    pthread_mutex_lock(&j->mutex);
    uint8_t rank = identity_rank_of(j->table, source);
    pthread_mutex_unlock(&j->mutex);
    return rank;
}

void
identity_journal_each(struct identity_journal *j, int64_t from_us,
                      int64_t to_us,
                      bool (*each)(void *, const struct past_interval *,
                                   uint8_t),
                      void *aux)
{
    struct telling_all a = { .j = j, .from_us = from_us, .to_us = to_us,
                             .each = each, .aux = aux };
    uint64_t cursor = 0;
    do {
        a.n = 0;
        pthread_mutex_lock(&j->mutex);
        cursor = identity_each(j->table, cursor, tell_row, &a);
        pthread_mutex_unlock(&j->mutex);
    } while (cursor && !a.over);
    pthread_mutex_lock(&j->mutex);
    identity_each_closed(j->table, INT64_MAX, tell_closed, &a);
    pthread_mutex_unlock(&j->mutex);
    tell_files(&a);
    free(a.source);
}

void
identity_journal_locked(struct identity_journal *j,
                        void (*look)(void *aux, const struct identity *),
                        void *aux)
{
    pthread_mutex_lock(&j->mutex);
    look(aux, j->table);
    pthread_mutex_unlock(&j->mutex);
}

int
identity_journal_rank(struct identity_journal *j, const char *source,
                      uint8_t rank)
{
    pthread_mutex_lock(&j->mutex);
    int error = identity_rank(j->table, source, rank);
    pthread_mutex_unlock(&j->mutex);
    return error;
}

void
identity_journal_get_status(struct identity_journal *j,
                            struct identity_journal_status *s)
{
    *s = (struct identity_journal_status) { .log_octets = 0 };
    pthread_mutex_lock(&j->mutex);
    identity_get_status(j->table, &s->table);
    s->past_files = (uint32_t) j->n_runs;
    s->damaged = j->damaged;
    s->write_error = j->write_error;
    for (size_t i = 0; i < j->n_runs; i++) {
        s->past_octets += past_size(j->run[i]);
        s->past_intervals += past_count(j->run[i]);
        s->damaged += past_damaged(j->run[i]);
    }
    s->log_octets = j->log_octets;
    pthread_mutex_unlock(&j->mutex);
    pthread_mutex_lock(&j->queue_mutex);
    s->waiting = j->waiting;
    pthread_mutex_unlock(&j->queue_mutex);
}

void
identity_journal_set_retention(struct identity_journal *j, int64_t seconds)
{
    pthread_mutex_lock(&j->mutex);
    j->retention_us = seconds * US;
    pthread_mutex_unlock(&j->mutex);
}

uint64_t
identity_journal_generation(struct identity_journal *j, const char *source)
{
    pthread_mutex_lock(&j->mutex);
    uint64_t generation = identity_generation_of(j->table, source);
    pthread_mutex_unlock(&j->mutex);
    return generation;
}
