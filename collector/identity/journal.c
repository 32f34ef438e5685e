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

#include "collector/identity/numbered.h"
#include "collector/identity/past_set.h"
#include "lib/clock.h"
#include "lib/file.h"
#include "lib/fnv.h"
#include "lib/log.h"
#include "lib/thread.h"

#define US INT64_C(1000000)
/* A flow may come this long after its end (ovs.md section 5): intervals that
 * ended later than this are kept in memory. */
#define HOT_US (7200 * US)
/* So many closed ones, of those that may go, are worth a file. */
#define PAST_MIN 65536
#define PAST_EVERY_US (3600 * US)
#define EXPIRE_SLICE 2000       /* Of those, for which lookups wait. */
#define LOG_MIN (UINT64_C(32) << 20)
#define MAX_WAITING (UINT64_C(256) << 20)
#define APPLY_SLICE 200         /* Operations for which lookups wait. */

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
    struct past_set *past;      /* NULL: nothing is kept. */
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

    pthread_mutex_t door;       /* Before 'mutex': see lock(). */
    pthread_mutex_t mutex;      /* Of the table's writers, and of the next. */
    unsigned int n_telling;     /* Who goes through what is closed. */
    uint64_t damaged;
    int write_error;
};

/* Who unlocks a mutex and locks it again at once usually has it again, and the
 * thread does so while it has anything to apply.  So whoever waits keeps the
 * door, and the thread waits for that. */
static void
lock(struct identity_journal *j)
{
    pthread_mutex_lock(&j->door);
    pthread_mutex_lock(&j->mutex);
    pthread_mutex_unlock(&j->door);
}

static void
unlock(struct identity_journal *j)
{
    pthread_mutex_unlock(&j->mutex);
}

/* ---- Files. ---- */

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
    char *path = numbered_path(j->dir, "snapshot", number);
    char *tmp = numbered_path(j->dir, "tmp", number);
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
    char *path = numbered_path(j->dir, "log", number);
    int error = snapshot_write(j, number, now_us), fd = -1;
    if (!error) {
        fd = path ? open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND
                               | O_CLOEXEC, 0640) : -1;
        error = fd < 0 ? path ? -errno : -ENOMEM : 0;
    }
    if (error) {
        numbered_remove(j->dir, "snapshot", number);
    } else {
        (void) file_sync_dir(j->dir);
        if (j->log >= 0) {
            close(j->log);
        }
        numbered_remove(j->dir, "snapshot", j->number);
        numbered_remove(j->dir, "log", j->number);
        j->log = fd;
        j->log_octets = 0;
        j->number = number;
    }
    free(path);
    return error;
}

/* ---- The past. ---- */

static void
add_closed(void *aux, const struct identity_interval *v)
{
    (void) past_builder_add(aux, v);    /* There is room for all. */
}

/* Writes what ended long ago to a file, and only then lets it go.  Until the
 * next checkpoint the log has it still: after a restart some is told twice,
 * which lookups leave out, as does the file that several become. */
static int
move_to_past(struct identity_journal *j, int64_t now_us)
{
    struct identity_status s;
    identity_get_status(j->table, &s);
    struct past_builder *b = past_builder_create(s.closed);
    int error = b ? 0 : -ENOMEM;
    if (!error) {
        identity_each_closed(j->table, now_us - HOT_US, add_closed, b);
        error = past_builder_count(b) ? past_set_add(j->past, b) : 0;
    }
    past_builder_destroy(b);
    for (size_t n = error ? 0 : EXPIRE_SLICE; n == EXPIRE_SLICE;) {
        lock(j);                /* While anybody tells, it comes twice. */
        n = j->n_telling ? 0 : identity_expire(j->table, now_us - HOT_US,
                                               INT64_MIN, EXPIRE_SLICE);
        unlock(j);
    }
    return error;
}

static void
forget_old(struct identity_journal *j, int64_t now_us)
{
    lock(j);
    int64_t keep_us = j->retention_us;
    unlock(j);
    past_set_forget(j->past, keep_us ? now_us - keep_us : INT64_MIN);
}

/* ---- The thread. ---- */

static void
note_error(struct identity_journal *j, int error)
{
    lock(j);
    if (error && error != j->write_error) {
        LOG(identity, WARN, "%s: %s: what is told is kept in memory only",
            j->dir, strerror(-error));
    }
    j->write_error = error;
    unlock(j);
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
        lock(j);
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
        unlock(j);
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
    lock(j);
    identity_get_status(j->table, &s);
    bool past = s.closed && !j->n_telling
                && identity_oldest_end(j->table) < now_us - HOT_US;
    identity_expire(j->table, past && !j->dir ? now_us - HOT_US : INT64_MIN,
                    now_us, SIZE_MAX);
    unlock(j);
    if (!j->dir) {
        return;
    }
    int error = 0;
    if (past && (s.closed >= PAST_MIN || now_us - j->past_us > PAST_EVERY_US
                 || now_us < j->past_us)) {
        j->past_us = now_us;
        error = move_to_past(j, now_us);
    }
    if (!error && j->log_octets > LOG_MIN
        && j->log_octets > j->snapshot_octets) {
        error = checkpoint(j, now_us);
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

#define REPLAY_SLICE (UINT64_C(16) << 20)       /* Octets. */

/* Applies the records in 'map'; returns the octets of the whole ones.  What
 * ended long ago leaves memory again as it did when it was told, as do pages
 * that were read: a start takes no more memory than running does. */
static size_t
replay_records(struct identity_journal *j, uint8_t *map, size_t size,
               int64_t now_us)
{
    struct cursor c = cur_init(map, size);
    struct identity_record r;
    struct identity_status s;
    enum identity_read got;
    size_t whole = 0, dropped = 0, most = PAST_MIN;
    while ((got = identity_record_read(&c, j->dict, &j->scratch, &r))
           != IDENTITY_READ_END) {
        whole = (size_t) (c.p - map);
        if (got == IDENTITY_READ_OK) {
            (void) identity_apply(j->table, &r);
        } else {
            j->damaged++;
        }
        if (whole - dropped > REPLAY_SLICE) {
            size_t n = (whole - dropped) / REPLAY_SLICE * REPLAY_SLICE;
            (void) madvise(map + dropped, n, MADV_DONTNEED);
            dropped += n;
        }
        identity_get_status(j->table, &s);
        if (s.closed >= most) {
            (void) move_to_past(j, now_us);     /* What can't, stays. */
            identity_get_status(j->table, &s);
            most = s.closed + PAST_MIN;
        }
    }
    return whole;
}

/* Applies a file of records; a torn end is cut off with 'cut'. */
static int
replay(struct identity_journal *j, const char *what, uint64_t number,
       bool cut, int64_t now_us, int64_t *mtime_us)
{
    char *path = numbered_path(j->dir, what, number);
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
            identity_restoring(j->table, !cut);
            size_t whole = replay_records(j, map, size, now_us);
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
            numbered_remove(j->dir, "tmp", n);
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
    if (!error) {
        j->past = past_set_open(j->dir);
        error = j->past ? 0 : -errno;
    }
    error = error ? error : replay(j, "snapshot", j->number, false, now_us,
                                   &until);
    error = error ? error : replay(j, "log", j->number, true, now_us, &until);
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
    past_set_close(j->past);
    if (j->log >= 0) {
        close(j->log);
    }
    pthread_mutex_destroy(&j->mutex);
    pthread_mutex_destroy(&j->door);
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
    pthread_mutex_init(&j->door, NULL);
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
    struct identity_journal *j;
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
found_in_file(void *aux, const struct past_interval *v)
{
    struct finding *f = aux;
    lock(f->j);   /* Of ranks and gaps. */
    found(f, v);
    unlock(f->j);
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

/* Under the lock where what is in memory is looked at, and without where files
 * are: what leaves memory meanwhile is in both, never in none, as the files
 * are taken after it. */
static void
find_everywhere(struct finding *f, const struct identity_key *key,
                int64_t at_us, struct past_view **files)
{
    struct identity_journal *j = f->j;
    lock(j);
    find_hot(f, key, at_us);
    unlock(j);
    if (j->past && !*files) {
        *files = past_view_take(j->past);
    }
    if (*files) {
        (void) past_view_find(*files, key, at_us, found_in_file, f);
    }
}

/* Whether anything has prefixes of this length. */
static bool
has_length(const struct identity_journal *j, const struct past_view *files,
           unsigned int len)
{
    return identity_lengths(j->table)[len / 64] >> len % 64 & 1
           || (files && past_view_has_length(files, len));
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
    struct past_view *files = NULL;
    find_everywhere(&f, key, at_us, &files);
    for (int len = 127; !f.n && len >= 0
         && key->kind == IDENTITY_KEY_ADDRESS; len--) {
        if (has_length(j, files, (unsigned int) len)) {
            struct prefix p = { key->addr, (uint8_t) len };
            struct addr last;
            prefix_range(&p, &p.addr, &last);
            struct identity_key k = identity_key_prefix(&p);
            find_everywhere(&f, &k, at_us, &files);
        }
    }
    past_view_release(files);
    return f.n;
}

/* ---- All of it. ---- */

#define EACH_SLICE 500          /* Endpoints for which lookups wait. */

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

uint8_t
identity_journal_rank_of(struct identity_journal *j, const char *source)
{
    lock(j);
    uint8_t rank = identity_rank_of(j->table, source);
    unlock(j);
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
        lock(j);
        cursor = identity_each(j->table, cursor, tell_row, &a);
        unlock(j);
    } while (cursor && !a.over);
    uint32_t last = 0;
    lock(j);
    j->n_telling++;             /* Nothing that is closed goes meanwhile. */
    do {
        last = identity_some_closed(j->table, last, EACH_SLICE, tell_closed,
                                    &a);
        unlock(j);
        lock(j);
    } while (last && !a.over);
    j->n_telling--;
    unlock(j);
    struct past_view *files = j->past && !a.over ? past_view_take(j->past)
                                                 : NULL;
    if (files) {
        (void) past_view_each(files, from_us, to_us, tell_past, &a);
    }
    past_view_release(files);
    free(a.source);
}

void
identity_journal_locked(struct identity_journal *j,
                        void (*look)(void *aux, const struct identity *),
                        void *aux)
{
    lock(j);
    look(aux, j->table);
    unlock(j);
}

int
identity_journal_rank(struct identity_journal *j, const char *source,
                      uint8_t rank)
{
    lock(j);
    int error = identity_rank(j->table, source, rank);
    unlock(j);
    return error;
}

void
identity_journal_get_status(struct identity_journal *j,
                            struct identity_journal_status *s)
{
    *s = (struct identity_journal_status) { .log_octets = 0 };
    lock(j);
    identity_get_status(j->table, &s->table);
    s->damaged = j->damaged;
    s->write_error = j->write_error;
    if (j->past) {
        struct past_set_status past;
        past_set_get_status(j->past, &past);
        s->past_files = past.files;
        s->past_octets = past.octets;
        s->past_intervals = past.intervals;
        s->damaged += past.damaged;
        s->write_error = s->write_error ? s->write_error : past.error;
    }
    s->log_octets = j->log_octets;
    unlock(j);
    pthread_mutex_lock(&j->queue_mutex);
    s->waiting = j->waiting;
    pthread_mutex_unlock(&j->queue_mutex);
}

void
identity_journal_set_retention(struct identity_journal *j, int64_t seconds)
{
    lock(j);
    j->retention_us = seconds * US;
    unlock(j);
}

uint64_t
identity_journal_generation(struct identity_journal *j, const char *source)
{
    lock(j);
    uint64_t generation = identity_generation_of(j->table, source);
    unlock(j);
    return generation;
}
