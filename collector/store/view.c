#include <config.h>

#include "collector/store/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/store_p.h"
#include "lib/log.h"

static bool
overlaps(const struct segment *g, int64_t from_us, int64_t to_us)
{
    return !g->known || (g->rows && g->min_us < to_us && g->max_us >= from_us);
}

/* Pins the segments that may be needed. */
static int
pick(struct store_view *v, int64_t from_us, int64_t to_us)
{
    struct store *s = v->store;

    v->segments = calloc(s->n_segments + 1, sizeof *v->segments);
    if (!v->segments) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < s->n_segments; i++) {
        struct segment *g = s->segments[i];
        if (overlaps(g, from_us, to_us)) {
            g->users++;
            g->used = ++s->use_clock;
            v->segments[v->n_segments++].segment = g;
        }
    }
    return 0;
}

/* Attaches one segment.  Returns 0, -EIO if it is damaged, or another error
 * that may pass. */
static int
attach_one(struct store *s, struct segment *g, char *error, size_t size)
{
    if (g->open && g->state == SEGMENT_WRITE) {
        return 0;               /* The writer has surveyed it. */
    }
    int retval = 0;
    if (g->state == SEGMENT_DETACHED) {
        /* A log must be worked in, which needs write access. */
        bool wal = segment_has_wal(s, g);
        retval = segment_attach(s, g, wal ? SEGMENT_WRITE : SEGMENT_READ,
                                error, size);
        if (retval && wal && engine_says_corrupt(error)) {
            segment_set_aside_wal(s, g, error);
            retval = segment_attach(s, g, SEGMENT_READ, error, size);
        }
        if (!retval && wal) {
            g->known = false;
        }
        if (!retval) {
            retval = segment_survey(s, g, error, size);
        }
    }
    return retval;
}

/* Attaches what pick() chose; drops what turns out not to be needed. */
static int
attach_all(struct store_view *v, int64_t from_us, int64_t to_us, char *error,
           size_t size)
{
    struct store *s = v->store;
    size_t n = 0;
    int retval = 0;

    for (size_t i = 0; i < v->n_segments; i++) {
        struct view_segment *vs = &v->segments[i];
        struct segment *g = vs->segment;

        /* One at a time, so that the writer gets its turn. */
        pthread_mutex_lock(&s->lock);
        int e = retval ? retval : attach_one(s, g, error, size);
        if (e && !retval && engine_says_corrupt(error)) {
            v->n_unreadable++;
            if (--g->users == 0 && !g->open) {
                segment_set_aside(s, g, error);
            }
        } else if (e) {
            retval = e;
            g->users--;
        } else if (!overlaps(g, from_us, to_us)) {
            g->users--;
        } else {
            vs->schema = g->alias;
            vs->has = g->has;
            vs->rows = g->rows;
            v->segments[n++] = *vs;
        }
        pthread_mutex_unlock(&s->lock);
    }
    v->n_segments = n;
    return retval;
}

int
store_view_open(struct store *s, int64_t from_us, int64_t to_us,
                struct store_view *v, char *error, size_t size)
{
    memset(v, 0, sizeof *v);
    v->store = s;
    snprintf(error, size, "out of memory");

    pthread_mutex_lock(&s->lock);
    int retval = -EAGAIN;
    if (atomic_load(&s->engine.broken) || !s->engine.db) {
        snprintf(error, size, "the store is restarting");
    } else {
        retval = pick(v, from_us, to_us);
        if (!retval && duckdb_connect(s->engine.db, &v->conn)
                       != DuckDBSuccess) {
            snprintf(error, size, "cannot connect to DuckDB");
            v->conn = NULL;
            retval = -EIO;
        }
        s->n_views++;
        engine_set_threads(s, s->config.query_threads);
    }
    pthread_mutex_unlock(&s->lock);
    if (retval == -EAGAIN) {
        v->store = NULL;
        return retval;
    }
    if (!retval) {
        retval = attach_all(v, from_us, to_us, error, size);
    }
    if (retval) {
        store_view_close(v);
    }
    return retval;
}

void
store_view_close(struct store_view *v)
{
    struct store *s = v->store;
    if (!s) {
        return;
    }
    if (v->conn) {
        duckdb_disconnect(&v->conn);
    }
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < v->n_segments; i++) {
        v->segments[i].segment->users--;
    }
    segments_trim(s, SEGMENTS_ATTACHED);
    if (--s->n_views == 0) {
        pthread_cond_broadcast(&s->views_gone);
    }
    pthread_mutex_unlock(&s->lock);
    free(v->segments);
    memset(v, 0, sizeof *v);
}

bool
store_view_broken(const struct store_view *v)
{
    return atomic_load(&v->store->engine.broken);
}
