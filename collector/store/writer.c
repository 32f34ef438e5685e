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
#include "lib/event.h"
#include "lib/log.h"
#include "lib/ring.h"
#include "lib/source.h"
#include "lib/thread.h"

/* Attempts to open an existing segment, before another is made instead. */
#define OPEN_ATTEMPTS 3
/* Batches that are written at once. */
#define GROUP_MAX 512
/* Attempts to write what is left when the store closes. */
#define CLOSE_ATTEMPTS 2

/* The clock may run ahead of itself by so much, or a start come so much after
 * the last flow, and still be believed at once; else after a day. */
#define JUMP_US (2 * SEGMENT_SPAN_US)
#define PAUSE_US (30 * 24 * SEGMENT_SPAN_US)
#define DOUBT_MS (INT64_C(24) * 3600 * 1000)

/* The backlog. */

static int64_t *
backlog_arrival(const struct backlog *q, size_t i)
{
    return &q->arrived_ms[(q->first + i) & (q->allocated - 1)];
}

static void
backlog_push(struct backlog *q, struct flow_batch *b, int64_t now_ms)
{
    *backlog_arrival(q, q->n_batches) = now_ms;
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

static struct flow_batch *
backlog_pop(struct backlog *q)
{
    struct flow_batch *b = q->head;

    q->head = b->next;
    if (!q->head) {
        q->tail = NULL;
    }
    q->first = (q->first + 1) & (q->allocated - 1);
    q->n_batches--;
    q->n_rows -= b->n;
    b->next = NULL;
    return b;
}

/* The oldest batch will never be written: say whose it was. */
static void
backlog_drop(struct store *s)
{
    struct flow_batch *b = backlog_pop(&s->writer.backlog);

    for (uint32_t i = 0; i < b->n_spans; i++) {
        const struct batch_span *span = &b->spans[i];
        if (span->source) {
            counter_add(&span->source->n.store_lost, span->n);
        }
    }
    counter_add(&s->n.lost, b->n);
    if (b->receipt) {
        atomic_fetch_add(&b->receipt->lost, b->n);
    }
    store_batch_put(s, b);
}

/* Segments. */

/* Time now, by the clock that stamps arrivals. */
static int64_t
arrival_now(const struct writer *w)
{
    return w->arrival_us
           ? w->arrival_us + (clock_mono_ms() - w->arrival_ms) * 1000
           : clock_wall_us();
}

/* Makes one block of a tail whose hour is over, or of a large one. */
static void
merge_tail(struct store *s, struct segment *g)
{
    bool over = g->hour_us + SEGMENT_SPAN_US <= arrival_now(&s->writer);
    if (g->main.ours
        && (over || segment_tail_rows(g) >= COMMIT_ROWS / 4)) {
        int e = segment_merge(s, g);
        if (e) {
            LOG_RATE(store, INFO, "segment %s: its tail stays: %s", g->file,
                     strerror(-e));
        }
    }
}

static void
seal(struct store *s)
{
    struct writer *w = &s->writer;
    struct segment *g = w->segment;

    if (!g) {
        return;
    }
    w->segment = NULL;
    merge_tail(s, g);
    pthread_mutex_lock(&s->lock);
    g->open = false;
    segment_measure(s, g);
    segments_trim(s, SEGMENTS_LOADED);
    segments_save_index(s);
    segments_health(s);
    pthread_mutex_unlock(&s->lock);
}

/* Lets go of the open segment after a failure. */
static void
abandon(struct store *s)
{
    struct writer *w = &s->writer;
    if (w->segment) {
        pthread_mutex_lock(&s->lock);
        w->segment->open = false;
        if (!w->segment->users) {
            /* Its files may be writable again, or others. */
            segment_unload(s, w->segment);
        }
        pthread_mutex_unlock(&s->lock);
        w->segment = NULL;
    }
}

/* Opens a segment that exists.  1: it cannot be used, make another.  Under
 * store.lock. */
static int
open_existing(struct store *s, struct segment *g, unsigned *next_suffix)
{
    struct writer *w = &s->writer;

    *next_suffix = g->suffix + 1;
    int retval = segment_load(s, g, w->error, sizeof w->error);
    if (retval == -EBADMSG) {
        if (!g->users) {
            segment_set_aside(s, g, w->error);
        }
        return 1;
    }
    if (!retval && !g->main.ours) {
        return 1;               /* Of another release: read only. */
    }
    if (!retval) {
        retval = segment_prepare(s, g, w->error, sizeof w->error);
    }
    if (retval && ++w->open_failures >= OPEN_ATTEMPTS) {
        return 1;
    }
    return retval;
}

static int
open_new(struct store *s, int64_t hour, unsigned suffix,
         struct segment **segment)
{
    struct writer *w = &s->writer;
    struct segment *g = segment_add(s, hour, suffix);

    if (!g) {
        snprintf(w->error, sizeof w->error, "out of memory");
        return -ENOMEM;
    }
    int retval = segment_create(s, g, w->error, sizeof w->error);
    if (retval) {
        segment_forget(s, g);
        return retval;
    }
    counter_inc(&s->n.segments_made);
    LOG(store, DBG, "segment %s begins", g->file);
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

int64_t
store_age_us(struct store *s, int64_t now_us)
{
    pthread_mutex_lock(&s->lock);
    int64_t age = age_clock(s, now_us);
    pthread_mutex_unlock(&s->lock);
    return age;
}

/* Makes the segment for 'hour' the open one. */
static int
want_segment(struct store *s, int64_t hour)
{
    struct writer *w = &s->writer;

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

/* Writing. */

/* How many batches at the head of the backlog go together. */
static size_t
group_size(const struct writer *w)
{
    const struct flow_batch *b = w->backlog.head;
    int64_t hour = segment_hour(b->oldest_us);
    size_t n = 0, rows = segment_tail_rows(w->segment);
    /* A disk with little room may have it for less. */
    size_t limit = w->failures ? COMMIT_BATCHES >> (w->failures < 6
                                                    ? w->failures : 6)
                               : GROUP_MAX;
    limit = limit ? limit : 1;
    for (; b && n < limit && rows + b->n <= BLOCK_ROWS; b = b->next) {
        int64_t h = segment_hour(b->oldest_us);
        if (h != hour && !segment_fits(w->segment, h)) {
            break;
        }
        rows += b->n;
        n++;
    }
    return n;
}

/* Writes what goes together.  Returns 0 or a negative errno. */
static int
write_group(struct store *s)
{
    struct writer *w = &s->writer;
    const struct flow_batch *list[GROUP_MAX];
    size_t n = group_size(w), rows = 0;

    if (!n) {
        /* The tail has no room for the next batch. */
        return segment_merge(s, w->segment);
    }
    const struct flow_batch *b = w->backlog.head;
    for (size_t i = 0; i < n; i++, b = b->next) {
        list[i] = b;
        rows += b->n;
    }
    int retval = segment_append(s, w->segment, list, n);
    if (!retval) {
        counter_add(&s->n.rows, rows);
        counter_inc(&s->n.transactions);
        while (n--) {
            store_batch_put(s, backlog_pop(&w->backlog));
        }
    }
    return retval;
}

/* Writes something.  False: it failed, try again later. */
static bool
commit(struct store *s)
{
    struct writer *w = &s->writer;
    int64_t hour = segment_hour(w->backlog.head->oldest_us);

    w->error[0] = '\0';
    int retval = want_segment(s, hour);
    if (!retval) {
        retval = write_group(s);
        if (retval) {
            snprintf(w->error, sizeof w->error, "%s: %s", w->segment->file,
                     strerror(-retval));
        }
    }
    if (!retval) {
        if (w->failures) {
            LOG(store, NOTICE, "writing goes on after %u attempts that "
                "failed", w->failures);
            event_post(EVENT_store_recovered, "flows",
                       EVENT_DETAIL(EVENT_INT("attempts", w->failures)),
                       "flows are written again");
            w->failures = 0;
        }
        store_set_health(s, true, "");
        return true;
    }
    if (!w->failures++) {
        event_post(EVENT_store_failing, "flows",
                   EVENT_DETAIL(EVENT_TEXT("reason", w->error)),
                   "flows cannot be written: %s", w->error);
    }
    w->retry_ms = clock_mono_ms() + RETRY_MS;
    counter_inc(&s->n.errors);
    store_set_health(s, false, w->error);
    LOG_RATE(store, ERR, "cannot write flows, will try again: %s", w->error);
    abandon(s);
    if (retval == -ENOSPC) {
        pthread_mutex_lock(&s->lock);
        segments_make_room(s);
        pthread_mutex_unlock(&s->lock);
    }
    return false;
}

/* The thread. */

/* When something is to be written; monotonic. */
static int64_t
commit_at(const struct writer *w)
{
    const struct backlog *q = &w->backlog;

    if (w->failures) {
        return w->retry_ms;
    }
    /* Many batches with few rows each are enough, too. */
    size_t tail = w->segment ? segment_tail_rows(w->segment) : 0;
    if (q->n_rows + tail > BLOCK_ROWS - BATCH_ROWS
        || q->n_batches >= COMMIT_BATCHES) {
        return INT64_MIN;
    }
    return *backlog_arrival(q, 0) + COMMIT_AFTER_MS;
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

/* Tails that were left when their hour was not over yet, or by a process that
 * was killed. */
static void
merge_old_tails(struct store *s)
{
    int64_t now = arrival_now(&s->writer);
    char why[256];

    for (;;) {
        struct segment *g = NULL;
        pthread_mutex_lock(&s->lock);
        for (size_t i = 0; i < s->n_segments && !g; i++) {
            struct segment *x = s->segments[i];
            if (x->has_tail && !x->open && !x->merge_failed
                && x->hour_us + SEGMENT_SPAN_US <= now
                && !segment_load(s, x, why, sizeof why)
                && x->main.ours && x->tail.fd >= 0) {
                g = x;
                g->users++;
            } else if (x->has_tail && !x->open) {
                x->merge_failed = x->hour_us + SEGMENT_SPAN_US <= now;
            }
        }
        pthread_mutex_unlock(&s->lock);
        if (!g) {
            return;
        }
        int e = segment_merge(s, g);
        pthread_mutex_lock(&s->lock);
        g->merge_failed = e != 0;
        g->users--;
        segments_save_index(s);
        pthread_mutex_unlock(&s->lock);
    }
}

static void
housekeep(struct store *s, bool idle)
{
    struct writer *w = &s->writer;
    int64_t now = arrival_now(w);

    if (idle) {
        seal(s);                /* It is opened again when there is need. */
    }
    merge_old_tails(s);
    pthread_mutex_lock(&s->lock);
    segments_expire(s, age_clock(s, now));
    segments_trim(s, idle ? 0 : SEGMENTS_LOADED);
    if (idle && !s->n_views) {
        engine_trim(s);
    }
    pthread_mutex_unlock(&s->lock);
    if (idle) {
        /* Give back what busier times have taken. */
        bytes_free(&w->bytes);
        store_pool_trim(s, 2);
        malloc_trim(0);
    }
    w->housekeep_ms = clock_mono_ms() + IDLE_MS;
}

static void
take(struct store *s, struct flow_batch *b)
{
    struct writer *w = &s->writer;
    if (!b->receipt) {          /* Imports do not tell the time. */
        w->arrival_us = b->oldest_us;
        w->arrival_ms = clock_mono_ms();
    }
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
    w->backlog.arrived_ms = calloc(n, sizeof *w->backlog.arrived_ms);
    w->blocks = block_writer_create();
    int e = w->blocks && w->backlog.arrived_ms
            ? thread_start(&w->thread, "store-writer", writer_main, s)
            : -ENOMEM;
    if (e) {
        if (asprintf(error, "cannot start the writer: %s",
                     strerror(-e)) < 0) {
            *error = NULL;
        }
        return e;
    }
    w->started = w->ran = true;
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
    block_writer_destroy(w->blocks);
    bytes_free(&w->bytes);
    free(w->backlog.arrived_ms);
    w->blocks = NULL;
    w->backlog.arrived_ms = NULL;
}
