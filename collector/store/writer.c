#include <config.h>

#include "collector/store/store_p.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/ring.h"
#include "lib/source.h"
#include "lib/thread.h"

/* Attempts to open an existing segment, before another is made instead. */
#define OPEN_ATTEMPTS 3
/* Attempts to write what is left when the store closes. */
#define CLOSE_ATTEMPTS 2

/* The clock may run ahead of itself by so much, or a start come so much after
 * the last flow, and still be believed at once; else after a day. */
#define JUMP_US (2 * SEGMENT_SPAN_US)
#define PAUSE_US (30 * 24 * SEGMENT_SPAN_US)
#define DOUBT_MS (INT64_C(24) * 3600 * 1000)

/* The backlog. */

static struct waiting *
backlog_waiting(const struct backlog *q, size_t i)
{
    return &q->waiting[(q->first + i) & (q->allocated - 1)];
}

static void
backlog_push(struct backlog *q, struct flow_batch *b, int64_t now_ms)
{
    static struct row_set rows[N_ROW_KINDS];    /* The writer's only. */
    struct waiting *x = backlog_waiting(q, q->n_batches);

    row_sets_make(b, rows);
    x->arrived_ms = now_ms;
    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        x->n[k] = rows[k].n;
    }
    b->next = NULL;
    if (q->tail) {
        q->tail->next = b;
    } else {
        q->head = b;
    }
    q->tail = b;
    q->n_batches++;
    q->n_rows += b->n;
}

/* Takes the first batch, whatever of it is on disk. */
static struct flow_batch *
backlog_pop(struct backlog *q)
{
    struct flow_batch *b = q->head;
    const struct waiting *x = backlog_waiting(q, 0);

    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        uint64_t done = q->done[k] < x->n[k] ? q->done[k] : x->n[k];
        q->done[k] -= done;
        q->n_rows -= x->n[k] - done;
    }
    q->head = b->next;
    if (!q->head) {
        q->tail = NULL;
    }
    q->first = (q->first + 1) & (q->allocated - 1);
    q->n_batches--;
    b->next = NULL;
    return b;
}

/* The first batch is wholly on disk. */
static bool
backlog_done(const struct backlog *q)
{
    if (!q->head) {
        return false;
    }
    const struct waiting *x = backlog_waiting(q, 0);
    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        if (q->done[k] < x->n[k]) {
            return false;
        }
    }
    return true;
}

/* The oldest batch will never be written, or only in part: say whose it
 * was. */
static void
backlog_drop(struct store *s)
{
    static struct row_set rows[N_ROW_KINDS];    /* The writer's only. */
    struct backlog *q = &s->writer.backlog;
    uint64_t lost[BATCH_ROWS / 64] = { 0 };
    uint64_t before = q->n_rows;

    row_sets_make(q->head, rows);
    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        for (uint64_t i = q->done[k]; i < rows[k].n; i++) {
            lost[rows[k].index[i] / 64]
                |= UINT64_C(1) << rows[k].index[i] % 64;
        }
    }
    struct flow_batch *b = backlog_pop(q);
    for (uint32_t i = 0; i < b->n_spans; i++) {
        const struct batch_span *span = &b->spans[i];
        uint64_t n = 0;
        for (uint32_t r = span->from; r < (uint32_t) span->from + span->n;
             r++) {
            n += lost[r / 64] >> r % 64 & 1;
        }
        if (span->source && n) {
            counter_add(&span->source->n.store_lost, n);
        }
    }
    counter_add(&s->n.lost, before - q->n_rows);
    store_batch_put(s, b);
}

/* Segments. */

static void
seal(struct store *s)
{
    struct writer *w = &s->writer;
    struct segment *g = w->segment;
    char why[256];

    if (!g) {
        return;
    }
    w->segment = NULL;
    if (w->conn && engine_run(w->conn, why, sizeof why, "CHECKPOINT %s",
                              g->alias)) {
        /* A query holds it, or the disk is full: the log keeps the rows and
         * the next one who opens the segment tries again. */
        LOG(store, INFO, "segment %s: no checkpoint yet: %s", g->file, why);
    }
    pthread_mutex_lock(&s->lock);
    g->open = false;
    segment_measure(s, g);
    segments_trim(s, SEGMENTS_ATTACHED);
    segments_save_index(s);
    segments_health(s);
    pthread_mutex_unlock(&s->lock);
}

/* Lets go of the open segment after a failure.  Its names and its state in
 * DuckDB are read anew when it is opened again. */
static void
abandon(struct store *s)
{
    struct writer *w = &s->writer;
    if (w->segment) {
        pthread_mutex_lock(&s->lock);
        w->segment->open = false;
        segment_detach(s, w->segment);
        pthread_mutex_unlock(&s->lock);
        w->segment = NULL;
    }
}

/* Whether this version can write to an attached segment: older ones are read
 * only. */
static bool
segment_current(struct store *s, const struct segment *g)
{
    char why[256];
    int64_t version;
    return schema_complete(&g->has)
           && !engine_integers(s->engine.ctl, &version, 1, why, sizeof why,
                               "SELECT max(value) FROM %s.main.meta "
                               "WHERE key = 'schema_version'", g->alias)
           && version == SCHEMA_VERSION;
}

/* Opens a segment that exists.  1: it cannot be used, make another.  Under
 * store.lock. */
static int
open_existing(struct store *s, struct segment *g, unsigned *next_suffix)
{
    struct writer *w = &s->writer;
    char *error = w->error;
    size_t size = sizeof w->error;

    *next_suffix = g->suffix + 1;
    if (g->state == SEGMENT_READ) {
        if (g->users) {
            return 1;
        }
        segment_detach(s, g);
    }
    int retval = segment_attach(s, g, SEGMENT_WRITE, error, size);
    if (retval && engine_says_corrupt(error) && segment_has_wal(s, g)) {
        segment_set_aside_wal(s, g, error);
        retval = segment_attach(s, g, SEGMENT_WRITE, error, size);
    }
    if (!retval) {
        g->known = false;       /* The log may have brought rows. */
        retval = segment_survey(s, g, error, size);
    }
    if (retval && engine_says_corrupt(error)) {
        if (!g->users) {
            segment_set_aside(s, g, error);
        }
        return 1;
    }
    if (retval && ++w->open_failures >= OPEN_ATTEMPTS) {
        return 1;
    }
    return retval ? retval : segment_current(s, g) ? 0 : 1;
}

static int
open_new(struct store *s, int64_t hour, unsigned suffix,
         struct segment **segment)
{
    struct writer *w = &s->writer;
    struct segment *g = segment_add(s, hour, suffix);
    char *sql = g ? schema_create_sql(g->alias, clock_wall_us()) : NULL;

    if (!sql) {
        snprintf(w->error, sizeof w->error, "out of memory");
        return -ENOMEM;
    }
    int retval = segment_attach(s, g, SEGMENT_WRITE, w->error,
                                sizeof w->error);
    if (!retval) {
        retval = engine_run(s->engine.ctl, w->error, sizeof w->error,
                            "BEGIN; %s COMMIT;", sql);
    }
    free(sql);
    if (retval) {
        char why[64], path[4096];
        engine_run(s->engine.ctl, why, sizeof why, "ROLLBACK");
        segment_detach(s, g);
        /* There is nothing in it. */
        snprintf(path, sizeof path, "%s/%s", s->dir, g->file);
        unlink(path);
        snprintf(path, sizeof path, "%s/%s.wal", s->dir, g->file);
        unlink(path);
        segment_forget(s, g);
        return retval;
    }
    counter_inc(&s->n.segments_made);
    LOG(store, DBG, "segment %s begins", g->file);
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        column_set_add(&g->has, i);
    }
    g->known = true;
    *segment = g;
    return 0;
}

static int
open_segment(struct store *s, int64_t hour)
{
    struct writer *w = &s->writer;
    unsigned suffix = 0;
    int retval = 1;

    pthread_mutex_lock(&s->lock);
    struct segment *g = segment_last(s, hour);
    if (g) {
        retval = open_existing(s, g, &suffix);
    }
    if (retval == 1 && suffix <= SEGMENT_MAX_SUFFIX) {
        retval = open_new(s, hour, suffix, &g);
    }
    if (!retval) {
        g->open = true;
        w->segment = g;
        w->open_failures = 0;
    }
    segments_health(s);
    pthread_mutex_unlock(&s->lock);

    if (!retval) {
        retval = tables_load(w->tables, w->conn, g->alias, w->error,
                             sizeof w->error);
    }
    return retval;
}

/* Whether rows that arrived in 'hour' go to the open segment.  A clock that
 * was set back a little does not reopen old segments. */
static bool
segment_fits(const struct segment *g, int64_t hour)
{
    return g && (hour == g->hour_us || hour == g->hour_us - SEGMENT_SPAN_US);
}

/* The time by which segments get old, if the clock says 'now'.  A clock that
 * jumps far ahead does not make a year of flows expire: it has to stay there
 * for a day first.  Under store.lock. */
static int64_t
age_clock(struct store *s, int64_t now)
{
    struct writer *w = &s->writer;
    int64_t now_ms = clock_mono_ms();
    int64_t expected = w->age_us + (now_ms - w->age_ms) * 1000 + JUMP_US;

    if (!w->age_us) {
        size_t n = s->n_segments;
        /* The last one may be the first of this run. */
        while (n && s->segments[n - 1]->open) {
            n--;
        }
        expected = n ? s->segments[n - 1]->hour_us + PAUSE_US : INT64_MAX;
    }
    if (now <= expected
        || (w->jumped_ms && now_ms - w->jumped_ms >= DOUBT_MS)) {
        w->jumped_ms = 0;
        w->age_us = now;
        w->age_ms = now_ms;
        return now;
    }
    if (!w->jumped_ms) {
        w->jumped_ms = now_ms;
        LOG(store, WARN, "the clock has jumped far ahead: for a day flows do "
            "not expire by age as it says");
    }
    return expected;
}

/* Makes the segment for 'hour' the open one. */
static int
want_segment(struct store *s, int64_t hour)
{
    struct writer *w = &s->writer;

    if (w->fatal) {
        abandon(s);
        if (w->conn) {
            duckdb_disconnect(&w->conn);
        }
        int retval = engine_replace(s);
        if (retval) {
            snprintf(w->error, sizeof w->error, "cannot restart DuckDB: %s",
                     strerror(-retval));
            return retval;
        }
        w->fatal = false;
    }
    if (!w->conn && duckdb_connect(s->engine.db, &w->conn)
                    != DuckDBSuccess) {
        snprintf(w->error, sizeof w->error, "cannot connect to DuckDB");
        w->conn = NULL;
        return -EIO;
    }
    if (segment_fits(w->segment, hour)) {
        return 0;
    }
    bool rotated = w->segment != NULL;
    seal(s);
    int retval = open_segment(s, hour);
    if (rotated && !retval) {
        pthread_mutex_lock(&s->lock);
        segments_expire(s, age_clock(s, w->segment->hour_us));
        pthread_mutex_unlock(&s->lock);
    }
    return retval;
}

/* Transactions. */

/* What the next transaction takes. */
struct group {
    size_t n_batches;           /* Of the backlog's first. */
    struct row_range rows[N_ROW_KINDS];
    uint64_t n_rows;
};

/* How many batches at the head of the backlog may go together, and whether
 * others follow that go to another segment. */
static size_t
group_batches(const struct writer *w, bool *other)
{
    const struct flow_batch *b = w->backlog.head;
    int64_t hour = segment_hour(b->oldest_us);
    size_t n = 0, rows = 0;
    /* A disk with little room may have it for less. */
    size_t limit = w->failures ? COMMIT_BATCHES >> (w->failures < 6
                                                    ? w->failures : 6)
                               : SIZE_MAX;
    for (; b && rows < 2 * COMMIT_ROWS && n < limit; b = b->next) {
        int64_t h = segment_hour(b->oldest_us);
        *other = h != hour && !segment_fits(w->segment, h);
        if (*other) {
            break;
        }
        rows += b->n;
        n++;
    }
    return n;
}

/* How many rows of one kind to take.  Whole row groups, unless the rows are
 * old, or too few for a row group soon, or hold too many batches. */
static uint64_t
group_take(const struct backlog *q, enum row_kind k, size_t n_batches,
           int64_t now_ms)
{
    uint64_t available = 0, skip = q->done[k];
    int64_t oldest_ms = INT64_MAX;
    size_t last = 0, whole_until = 0;

    for (size_t i = 0; i < n_batches; i++) {
        const struct waiting *x = backlog_waiting(q, i);
        uint64_t n = x->n[k] > skip ? x->n[k] - skip : 0;
        skip -= x->n[k] - n;
        if (n && oldest_ms == INT64_MAX) {
            oldest_ms = x->arrived_ms;
        }
        if ((available + n) / TABLE_GROUP_ROWS
            > available / TABLE_GROUP_ROWS) {
            whole_until = i;
        }
        available += n;
        last = i;
    }
    uint64_t whole = available - available % TABLE_GROUP_ROWS;
    int64_t age = available ? now_ms - oldest_ms : 0;
    if (age >= COMMIT_LATEST_MS || last - whole_until >= COMMIT_BATCHES
        || (!whole && available < TABLE_GROUP_ROWS / 2
            && age >= COMMIT_AFTER_MS)) {
        return available;
    }
    return whole;
}

static struct group
group_plan(const struct store *s, int64_t now_ms)
{
    const struct writer *w = &s->writer;
    const struct backlog *q = &w->backlog;
    struct group g = { 0 };
    bool other = false;

    g.n_batches = group_batches(w, &other);
    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        uint64_t all = 0;
        for (size_t i = 0; i < g.n_batches; i++) {
            all += backlog_waiting(q, i)->n[k];
        }
        g.rows[k].skip = q->done[k];
        /* Another segment follows, it is the end, or there is trouble. */
        g.rows[k].take = other || w->failures || atomic_load(&s->stopping)
                         ? all - (q->done[k] < all ? q->done[k] : all)
                         : group_take(q, k, g.n_batches, now_ms);
        g.n_rows += g.rows[k].take;
    }
    return g;
}

static int
write_group(struct store *s, const struct group *group)
{
    struct writer *w = &s->writer;
    struct segment *g = w->segment;
    int64_t min = INT64_MAX, max = INT64_MIN;
    char why[64];

    pthread_mutex_lock(&s->lock);
    if (!s->n_views) {
        engine_set_threads(s, 1);
    }
    pthread_mutex_unlock(&s->lock);
    int retval = engine_run(w->conn, w->error, sizeof w->error, "BEGIN");
    if (!retval) {
        retval = tables_append(w->tables, w->conn, g->alias, w->backlog.head,
                               group->n_batches, group->rows, &min, &max,
                               w->error, sizeof w->error);
    }
    if (!retval) {
        retval = engine_run(w->conn, w->error, sizeof w->error, "COMMIT");
    }
    if (retval) {
        engine_run(w->conn, why, sizeof why, "ROLLBACK");
        return retval;
    }
    counter_add(&s->n.rows, group->n_rows);
    counter_inc(&s->n.transactions);
    pthread_mutex_lock(&s->lock);
    if (group->n_rows) {
        g->min_us = g->rows && g->min_us < min ? g->min_us : min;
        g->max_us = g->rows && g->max_us > max ? g->max_us : max;
        g->rows += group->n_rows;
    }
    segment_measure(s, g);
    segments_health(s);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* Gives back the batches that are wholly on disk. */
static void
release(struct store *s, const struct group *group)
{
    struct backlog *q = &s->writer.backlog;
    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        q->done[k] += group->rows[k].take;
    }
    q->n_rows -= group->n_rows;
    while (backlog_done(q)) {
        store_batch_put(s, backlog_pop(q));
    }
}

/* Writes one transaction.  False: it failed, try again later. */
static bool
commit(struct store *s)
{
    struct writer *w = &s->writer;
    int64_t hour = segment_hour(w->backlog.head->oldest_us);

    w->error[0] = '\0';
    int retval = want_segment(s, hour);
    if (!retval) {
        struct group g = group_plan(s, clock_mono_ms());
        if (g.n_rows) {
            retval = write_group(s, &g);
        }
        if (!retval) {
            release(s, &g);
        }
    }
    if (!retval) {
        if (w->failures) {
            LOG(store, NOTICE, "writing goes on after %u attempts that "
                "failed", w->failures);
            w->failures = 0;
        }
        store_set_health(s, true, "");
        return true;
    }
    w->failures++;
    w->fatal |= engine_says_fatal(w->error);
    w->retry_ms = clock_mono_ms() + RETRY_MS;
    counter_inc(&s->n.errors);
    store_set_health(s, false, w->error);
    LOG_RATE(store, ERR, "cannot write flows, will try again: %s", w->error);
    abandon(s);
    if (strstr(w->error, "No space left")) {
        pthread_mutex_lock(&s->lock);
        segments_make_room(s);
        pthread_mutex_unlock(&s->lock);
    }
    return false;
}

/* The thread. */

/* When the backlog is to be looked at for a transaction; monotonic. */
static int64_t
commit_at(const struct writer *w)
{
    const struct backlog *q = &w->backlog;

    if (w->failures) {
        return w->retry_ms;
    }
    /* Many batches with few rows each are enough, too. */
    if (q->n_rows >= COMMIT_ROWS
        || q->n_batches >= w->kept_batches + COMMIT_BATCHES) {
        return INT64_MIN;
    }
    int64_t oldest = backlog_waiting(q, 0)->arrived_ms;
    int64_t due = oldest + COMMIT_AFTER_MS;
    return due > w->looked_ms ? due : oldest + COMMIT_LATEST_MS;
}

static bool
commit_due(const struct writer *w, int64_t now_ms)
{
    return w->backlog.head && now_ms >= commit_at(w);
}

/* How long the writer may sleep if nothing arrives. */
static int
wait_ms(const struct writer *w, int64_t now_ms)
{
    if (!w->backlog.head) {
        return IDLE_MS;
    }
    int64_t due = commit_at(w);
    return due > now_ms ? (int) (due - now_ms) : 0;
}

/* Arrival time now, by the clock that stamps arrivals. */
static int64_t
arrival_now(const struct writer *w)
{
    return w->arrival_us
           ? w->arrival_us + (clock_mono_ms() - w->arrival_ms) * 1000
           : clock_wall_us();
}

static void
housekeep(struct store *s, bool idle)
{
    struct writer *w = &s->writer;
    int64_t now = arrival_now(w);

    if (idle) {
        seal(s);                /* It is opened again when there is need. */
    }
    pthread_mutex_lock(&s->lock);
    segments_expire(s, age_clock(s, now));
    segments_trim(s, idle ? 0 : SEGMENTS_ATTACHED);
    if (idle && !s->n_views) {
        engine_trim(s);
    }
    pthread_mutex_unlock(&s->lock);
    if (idle) {
        /* Give back what busier times have taken. */
        store_pool_trim(s, 2);
        malloc_trim(0);
    }
    w->housekeep_ms = clock_mono_ms() + IDLE_MS;
}

static void
take(struct store *s, struct flow_batch *b)
{
    struct writer *w = &s->writer;
    w->arrival_us = b->oldest_us;
    w->arrival_ms = clock_mono_ms();
    backlog_push(&w->backlog, b, w->arrival_ms);
    if (w->backlog.n_batches > w->max_backlog) {
        backlog_drop(s);
    }
}

static void
finish(struct store *s)
{
    struct writer *w = &s->writer;
    unsigned attempts = 0;

    while (w->backlog.head && attempts < CLOSE_ATTEMPTS) {
        if (!commit(s) && ++attempts < CLOSE_ATTEMPTS) {
            usleep(RETRY_MS * 1000);
        }
    }
    if (w->backlog.head) {
        LOG(store, ERR, "%zu flow records could not be written before the "
            "end", w->backlog.n_rows);
    }
    while (w->backlog.head) {
        backlog_drop(s);
    }
    seal(s);
}

static void *
writer_main(void *aux)
{
    struct store *s = aux;
    struct writer *w = &s->writer;

    w->housekeep_ms = clock_mono_ms() + IDLE_MS;
    for (;;) {
        /* Read before the ring is: what was submitted before the store closed
         * is then still found. */
        bool stopping = atomic_load(&s->stopping);
        struct flow_batch *b
            = ring_pop(s->ring, stopping ? 0 : wait_ms(w, clock_mono_ms()));
        if (b) {
            take(s, b);
        }
        int64_t now = clock_mono_ms();
        if (commit_due(w, now)) {
            commit(s);
            w->looked_ms = now;
            w->kept_batches = w->backlog.n_batches;
        }
        if (now >= w->housekeep_ms) {
            housekeep(s, !b && !w->backlog.head);
        }
        if (stopping && !b && !ring_length(s->ring)) {
            break;
        }
    }
    finish(s);
    return NULL;
}

int
writer_start(struct store *s, char **error)
{
    struct writer *w = &s->writer;

    size_t n = 2;
    while (n < w->max_backlog + 1) {
        n *= 2;
    }
    w->backlog.allocated = n;
    w->backlog.waiting = calloc(n, sizeof *w->backlog.waiting);
    w->names = name_map_create(s->dict);
    w->tables = w->names && w->backlog.waiting ? tables_create(w->names)
                                               : NULL;
    int e = w->tables ? thread_start(&w->thread, "store-writer", writer_main,
                                    s)
                     : -ENOMEM;
    if (e) {
        if (asprintf(error, "cannot start the writer: %s",
                     strerror(-e)) < 0) {
            *error = NULL;
        }
        return e;
    }
    w->started = true;
    return 0;
}

void
writer_stop(struct store *s)
{
    struct writer *w = &s->writer;
    if (w->started) {
        atomic_store(&s->stopping, true);
        ring_wake(s->ring);
        pthread_join(w->thread, NULL);
        w->started = false;
    }
    if (w->conn) {
        duckdb_disconnect(&w->conn);
    }
    tables_destroy(w->tables);
    name_map_destroy(w->names);
    free(w->backlog.waiting);
    w->tables = NULL;
    w->names = NULL;
    w->backlog.waiting = NULL;
}
