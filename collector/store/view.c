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
            v->segments[v->n_segments++] = g;
        }
    }
    return 0;
}

/* Adds the blocks of a segment that overlap. */
static int
add_blocks(struct store_view *v, struct segment *g, int64_t from_us,
           int64_t to_us)
{
    const struct segblocks *lists[] = { &g->main.blocks, &g->tail.blocks };
    size_t n = v->n_blocks + lists[0]->n + lists[1]->n;
    struct view_block *blocks = realloc(v->blocks, (n + 1) * sizeof *blocks);

    if (!blocks) {
        return -ENOMEM;
    }
    v->blocks = blocks;
    for (unsigned k = 0; k < 2; k++) {
        for (size_t i = 0; i < lists[k]->n; i++) {
            struct segblock *b = lists[k]->list[i];
            if (b->head->min_us < to_us && b->head->max_us >= from_us) {
                v->blocks[v->n_blocks++] = (struct view_block) {
                    .segblock = segblock_ref(b), .segment = g };
            }
        }
    }
    return 0;
}

/* Loads what pick() chose; drops what turns out not to be needed. */
static int
load_all(struct store_view *v, int64_t from_us, int64_t to_us, char *error,
         size_t size)
{
    struct store *s = v->store;
    size_t n = 0;
    int retval = 0;

    for (size_t i = 0; i < v->n_segments; i++) {
        struct segment *g = v->segments[i];

        /* One at a time, so that the writer gets its turn. */
        pthread_mutex_lock(&s->lock);
        int e = retval ? retval : segment_load(s, g, error, size);
        if (e == -EBADMSG && !retval) {
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
            retval = add_blocks(v, g, from_us, to_us);
            v->segments[n++] = g;
        }
        pthread_mutex_unlock(&s->lock);
    }
    v->n_segments = n;
    return retval;
}

bool
store_view_span(const struct store_view *v, int64_t *first_us,
                int64_t *last_us, uint64_t *rows)
{
    *rows = 0;
    for (size_t i = 0; i < v->n_blocks; i++) {
        const struct block_head *h = v->blocks[i].segblock->head;
        *first_us = !i || h->min_us < *first_us ? h->min_us : *first_us;
        *last_us = !i || h->max_us > *last_us ? h->max_us : *last_us;
        *rows += h->n_rows;
    }
    return v->n_blocks > 0;
}

int
store_view_open(struct store *s, int64_t from_us, int64_t to_us,
                struct store_view *v, char *error, size_t size)
{
    memset(v, 0, sizeof *v);
    v->store = s;
    snprintf(error, size, "out of memory");

    pthread_mutex_lock(&s->lock);
    if (atomic_load(&s->engine.broken) && !s->n_views) {
        engine_replace(s);
    }
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
    }
    pthread_mutex_unlock(&s->lock);
    if (retval == -EAGAIN) {
        v->store = NULL;
        return retval;
    }
    if (!retval) {
        retval = load_all(v, from_us, to_us, error, size);
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
    for (size_t i = 0; i < v->n_blocks; i++) {
        segblock_unref(v->blocks[i].segblock);
    }
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < v->n_segments; i++) {
        v->segments[i]->users--;
    }
    segments_trim(s, SEGMENTS_LOADED);
    s->n_views--;
    pthread_mutex_unlock(&s->lock);
    free(v->segments);
    free(v->blocks);
    memset(v, 0, sizeof *v);
}

bool
store_view_broken(const struct store_view *v)
{
    return atomic_load(&v->store->engine.broken);
}

void
store_view_failed(struct store_view *v, const char *error)
{
    if (error && engine_says_fatal(error)
        && !atomic_exchange(&v->store->engine.broken, true)) {
        LOG(store, ERR, "DuckDB failed, it is started anew: %s", error);
    }
}

static int
compare_hours(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;
    return (x > y) - (x < y);
}

size_t
store_hours(struct store *s, int64_t **list)
{
    size_t n = 0, unique = 0;

    pthread_mutex_lock(&s->lock);
    int64_t *hours = malloc((2 * s->n_segments + 1) * sizeof *hours);
    for (size_t i = 0; hours && i < s->n_segments; i++) {
        hours[n++] = s->segments[i]->hour_us;
        hours[n++] = s->segments[i]->hour_us + SEGMENT_SPAN_US;
    }
    pthread_mutex_unlock(&s->lock);
    if (n) {
        qsort(hours, n, sizeof *hours, compare_hours);
    }
    for (size_t i = 0; i < n; i++) {
        if (!i || hours[i] != hours[i - 1]) {
            hours[unique++] = hours[i];
        }
    }
    *list = hours;
    return unique;
}
