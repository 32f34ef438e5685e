#include <config.h>

#include "collector/store/scan_p.h"

#include "lib/dict.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What sums of all questions together may take, in parts of store/memory; more
 * is put aside.  Few groups are always kept. */
#define SUMS_MEMORY 2
#define SUMS_FEW 10000
/* And what one question may put aside. */
#define SUMS_ASIDE 16
/* A table of more groups is added to others by partitions. */
#define SPLIT_GROUPS 32768

#define MAX_WORKERS 64

/* Threads add up blocks, each in sums of its own (ADDING).  When all are
 * through, few groups are brought together by one of them (LAST), many by all of
 * them, partition by partition (PARTS).  Where memory or 64 bits do not suffice
 * DuckDB gets groups in parts: what one thread has so far (FLUSHING), records
 * one by one (SINGLE), and in the end what all have (DRAINING). */
enum sums_state { ADDING, FLUSHING, SINGLE, LAST, PARTS, DRAINING, OVER };

struct scan_sums {
    struct sums_addrs *addrs;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n_active;          /* Threads that still add. */
    struct sums *done[MAX_WORKERS];     /* Of those that do not. */
    unsigned n_done;
    uint64_t bytes;             /* What those take, as the store knows. */
    bool partial;               /* DuckDB gets groups in parts. */
    bool failed;
    bool decided;               /* How to go on when all were through. */
    bool split;                 /* By partitions. */
    _Atomic unsigned next_part;
    int fd;                     /* Of what is put aside; -1: none. */
    _Atomic uint64_t end;       /* Of that file. */
};

struct sums_worker {
    struct sums *sums;
    uint64_t bytes;             /* That it takes, as the store knows. */
    enum sums_state state;
    bool active;                /* Counted by the use. */
    const struct view_block *fitting;   /* Its sums are known to fit. */
    uint32_t next;              /* Group, or row of the frame. */
    struct sums_cursor cursor;  /* In partitions. */
};

struct scan_sums *
scan_sums_create(void)
{
    struct scan_sums *u = calloc(1, sizeof *u);
    if (u) {
        u->fd = -1;
        u->addrs = sums_addrs_create();
        pthread_mutex_init(&u->lock, NULL);
        pthread_cond_init(&u->changed, NULL);
        if (!u->addrs) {
            scan_sums_destroy(u, NULL);
            u = NULL;
        }
    }
    return u;
}

void
scan_sums_destroy(struct scan_sums *u, struct store *s)
{
    if (!u) {
        return;
    }
    while (u->n_done) {
        sums_destroy(u->done[--u->n_done]);
    }
    if (u->bytes) {
        atomic_fetch_sub(&s->sums_bytes, u->bytes);
    }
    if (u->fd >= 0) {
        close(u->fd);
    }
    sums_addrs_destroy(u->addrs);
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

/* Tells the store how much memory the sums take.  True: it is too much. */
static bool
account(struct worker *w)
{
    struct store *s = w->use->scan->store;
    struct sums_worker *v = w->sums;
    uint64_t bytes = v->sums ? sums_bytes(v->sums) : 0;
    uint64_t total = atomic_fetch_add(&s->sums_bytes, bytes - v->bytes)
                     + bytes - v->bytes;
    v->bytes = bytes;
    return total > SUMS_MEMORY * s->config.memory_limit;
}

/* The thread adds no more. */
static void
leave(struct worker *w, bool failed)
{
    struct scan_sums *u = w->use->sums;

    pthread_mutex_lock(&u->lock);
    u->n_active -= w->sums->active;
    u->failed |= failed;
    w->sums->active = false;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
}

void
scan_sums_end(struct worker *w)
{
    struct sums_worker *v = w->sums;
    if (v) {
        leave(w, false);
        sums_destroy(v->sums);
        v->sums = NULL;
        account(w);
        free(v);
    }
}

/* ---- To DuckDB. ---- */

static void
put_value(const struct scan *x, enum column_id id, duckdb_vector vector,
          uint32_t row, const struct sums_value *v)
{
    uint8_t *out = duckdb_vector_get_data(vector);
    if (v->null) {
        duckdb_vector_ensure_validity_writable(vector);
        duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector),
                                        row);
    }
    if (columns[id].type == COLUMN_T_ADDR) {
        ((duckdb_uhugeint *) out)[row] = schema_from_addr(&v->addr);
    } else if (columns[id].type == COLUMN_T_NAME) {
        ((duckdb_string_t *) out)[row] = scan_text(x, v->null ? 0
                                                   : (uint32_t) v->u);
    } else {
        memcpy(out + row * columns[id].size, &v->u, columns[id].size);
    }
}

/* What one row of the table says. */
struct group {
    int64_t time_us;
    struct sums_value keys[SUMS_MAX_KEYS];
    struct sums_value metrics[SUMS_MAX_METRICS];
};

static void
put_group(const struct scan *x, const struct group *g,
          duckdb_data_chunk chunk, uint32_t row)
{
    const struct sums_spec *p = &x->sums;
    idx_t col = 0;

    if (p->bucket_us) {
        int64_t *out = duckdb_vector_get_data(
            duckdb_data_chunk_get_vector(chunk, col++));
        out[row] = g->time_us;
    }
    for (unsigned k = 0; k < p->n_keys; k++) {
        put_value(x, p->keys[k].column,
                  duckdb_data_chunk_get_vector(chunk, col++), row, &g->keys[k]);
    }
    for (unsigned m = 0; m < p->n_metrics; m++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, col++);
        duckdb_hugeint *out = duckdb_vector_get_data(vector);
        out[row] = (duckdb_hugeint) { .lower = g->metrics[m].u };
        if (g->metrics[m].null) {
            duckdb_vector_ensure_validity_writable(vector);
            duckdb_validity_set_row_invalid(
                duckdb_vector_get_validity(vector), row);
        }
    }
}

/* What the sums have, from where the last chunk ended. */
static uint32_t
put_groups(struct worker *w, duckdb_data_chunk chunk)
{
    const struct scan *x = w->use->scan;
    struct sums_worker *v = w->sums;
    struct group g;
    uint32_t row = 0;

    while (v->sums && row < BATCH_ROWS) {
        bool is = v->next < sums_count(v->sums);
        if (is && !sums_get(v->sums, v->next++, &g.time_us, g.keys,
                            g.metrics)) {
            continue;
        } else if (!is && (v->state == PARTS
                           || !sums_next_row(v->sums, &v->cursor, &g.time_us,
                                             g.keys, g.metrics))) {
            break;
        }
        put_group(x, &g, chunk, row++);
    }
    return row;
}

/* Rows of a frame whose sums might not fit into 64 bits: each by itself. */
static int
put_single(struct worker *w, duckdb_data_chunk chunk, uint32_t *row)
{
    struct sums_worker *v = w->sums;
    struct group g;
    int e = 0;

    for (; !e && *row < BATCH_ROWS && v->next < w->n; v->next++) {
        sums_reset(v->sums);
        e = sums_add(v->sums, w->reader, w->frame, w->batch,
                     w->index + v->next, 1);
        if (!e && sums_get(v->sums, 0, &g.time_us, g.keys, g.metrics)) {
            put_group(w->use->scan, &g, chunk, (*row)++);
        }
    }
    if (v->next == w->n || e) {
        sums_reset(v->sums);
        w->n = 0;
        v->state = ADDING;
    }
    return e;
}

/* ---- All together. ---- */

static void
rewind_groups(struct sums_worker *v)
{
    v->next = 0;
    v->cursor = (struct sums_cursor) { .part = 0 };
}

/* Takes the next of those that DuckDB gets in parts. */
static void
drain(struct worker *w)
{
    struct scan_sums *u = w->use->sums;
    struct sums_worker *v = w->sums;

    sums_destroy(v->sums);
    v->sums = NULL;
    rewind_groups(v);
    pthread_mutex_lock(&u->lock);
    if (u->n_done) {
        v->sums = u->done[--u->n_done];
    }
    pthread_mutex_unlock(&u->lock);
    v->state = v->sums ? DRAINING : OVER;
}

/* Brings all tables together in that of this thread. */
static int
merge(struct worker *w)
{
    struct scan_sums *u = w->use->sums;
    struct sums_worker *v = w->sums;
    int e = 0;

    v->sums = u->done[--u->n_done];
    while (!e && u->n_done) {
        e = sums_merge(v->sums, u->done[u->n_done - 1]);
        if (!e) {
            sums_destroy(u->done[--u->n_done]);
        }
    }
    rewind_groups(v);
    v->state = LAST;
    if (e == -EOVERFLOW) {
        u->partial = true;
        v->state = DRAINING;
        e = 0;
    } else if (!e) {
        sums_cut(v->sums);
    }
    return e;
}

/* All are through: decides how to go on. */
static int
decide(struct worker *w)
{
    struct scan_sums *u = w->use->sums;
    int e = 0;

    u->decided = true;
    for (unsigned i = 0; i < u->n_done; i++) {
        u->split |= sums_is_split(u->done[i]);
    }
    if (!u->split) {
        return u->n_done ? merge(w) : 0;
    }
    for (unsigned i = 0; !e && i < u->n_done; i++) {
        if (i && !sums_add_bounds(u->done[0], u->done[i])) {
            u->partial = true;
            return 0;
        }
        e = sums_split(u->done[i]);
    }
    return e;
}

/* There is nothing more to add. */
static int
finish_adding(struct worker *w)
{
    struct scan_sums *u = w->use->sums;
    struct sums_worker *v = w->sums;
    int e = sums_count(v->sums) > SPLIT_GROUPS ? sums_split(v->sums) : 0;

    if (e) {
        return e;
    }
    account(w);
    pthread_mutex_lock(&u->lock);
    if (u->n_done < MAX_WORKERS
        && (sums_count(v->sums) || sums_is_split(v->sums))) {
        u->done[u->n_done++] = v->sums;
        u->bytes += v->bytes;
        v->bytes = 0;
        v->sums = NULL;
    }
    u->n_active--;
    v->active = false;
    v->state = OVER;
    pthread_cond_broadcast(&u->changed);
    /* The others are within a block, and look up before the next. */
    while (u->n_active && !u->partial && !u->failed) {
        pthread_cond_wait(&u->changed, &u->lock);
    }
    sums_destroy(v->sums);
    v->sums = NULL;
    if (!u->failed && !u->partial && !u->decided) {
        e = decide(w);
    }
    if (!e && !u->failed && v->state == OVER) {
        v->state = u->partial ? DRAINING : u->split ? PARTS : OVER;
        rewind_groups(v);
    }
    pthread_mutex_unlock(&u->lock);
    account(w);
    return e;
}

/* The file for what does not fit into memory; it has no name.  -1: none. */
static int
open_aside(struct scan_sums *u, struct store *s)
{
    char path[4096];

    pthread_mutex_lock(&u->lock);
    if (u->fd < 0 && !store_scratch(s, path, sizeof path)) {
        u->fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    }
    pthread_mutex_unlock(&u->lock);
    return u->fd;
}

/* Puts groups that are too many for memory into a file.  0 or a negative errno:
 * they are where they were, unless it is -ENOMEM. */
static int
put_aside(struct worker *w)
{
    struct scan_sums *u = w->use->sums;
    struct sums *sums = w->sums->sums;
    struct store *s = w->use->scan->store;

    if (atomic_load(&u->end) > SUMS_ASIDE * s->config.memory_limit) {
        return -EFBIG;
    }
    int e = sums_split(sums), fd = open_aside(u, s);
    if (!e) {
        e = fd < 0 ? -EIO : sums_spill(sums, fd, &u->end);
    }
    account(w);
    return e;
}

/* Adds what there is until it must be told.  0 or a negative errno. */
static int
add_all(struct worker *w)
{
    struct sums_worker *v = w->sums;

    while (w->n || scan_next_frame(w)) {
        if (v->fitting != w->block || !w->frame) {
            /* A block, or its first frame: later ones fit as well. */
            v->fitting = NULL;
        }
        if (!v->fitting && !sums_fit(v->sums, w->block->segblock->head)) {
            rewind_groups(v);
            v->state = sums_count(v->sums) || sums_is_split(v->sums)
                       ? FLUSHING : SINGLE;
            return 0;
        }
        v->fitting = w->block;
        int e = sums_add(v->sums, w->reader, w->frame, w->batch, w->index,
                         w->n);
        w->n = 0;
        if (e == -ENOMEM) {
            return e;
        } else if (e) {
            scan_report(w->use->scan, w->block, e);
            w->block = NULL;
        }
        if (account(w) && (sums_count(v->sums) > SUMS_FEW
                           || sums_is_split(v->sums))) {
            e = put_aside(w);
            if (e == -ENOMEM) {
                return e;
            } else if (!e) {
                continue;
            }
            rewind_groups(v);
            v->state = FLUSHING;
            return 0;
        }
    }
    return finish_adding(w);
}

/* The groups of another partition. */
static int
next_part(struct worker *w)
{
    struct scan *x = w->use->scan;
    struct scan_sums *u = w->use->sums;
    struct sums_worker *v = w->sums;
    unsigned part = atomic_fetch_add(&u->next_part, 1);

    if (part >= SUMS_PARTS || (x->spec.over && x->spec.over(x->spec.aux))) {
        v->state = OVER;
        return 0;
    }
    if (!v->sums && !(v->sums = sums_create(&x->sums, u->addrs))) {
        return -ENOMEM;
    }
    rewind_groups(v);
    int e = sums_collect(v->sums, u->done, u->n_done, part);
    if (!e) {
        sums_cut(v->sums);
        account(w);
    }
    return e;
}

/* All groups at hand were told: what comes then. */
static int
go_on(struct worker *w)
{
    struct sums_worker *v = w->sums;
    int e = 0;

    switch (v->state) {
    case FLUSHING:
        sums_reset(v->sums);
        v->fitting = NULL;
        v->state = ADDING;
        break;
    case PARTS:
        e = next_part(w);
        break;
    case DRAINING:
        drain(w);
        break;
    default:
        v->state = OVER;
        break;
    }
    account(w);
    return e;
}

static void
set_partial(struct scan_sums *u)
{
    pthread_mutex_lock(&u->lock);
    u->partial = true;
    pthread_cond_broadcast(&u->changed);
    pthread_mutex_unlock(&u->lock);
}

/* What there is for one chunk. */
static int
run(struct worker *w, duckdb_data_chunk chunk, uint32_t *rows)
{
    struct scan_sums *u = w->use->sums;
    struct sums_worker *v = w->sums;
    int e = 0;

    while (!e && !*rows && v->state != OVER) {
        if (v->state == ADDING) {
            e = add_all(w);
            if (!e && v->state == FLUSHING) {
                set_partial(u);
            }
        } else if (v->state == SINGLE) {
            set_partial(u);
            e = put_single(w, chunk, rows);
            if (e == -EBADMSG) {
                scan_report(w->use->scan, w->block, e);
                w->block = NULL;
                e = 0;
            }
        } else {
            *rows = put_groups(w, chunk);
            e = *rows ? 0 : go_on(w);
        }
    }
    return e;
}

static bool
begin(struct worker *w)
{
    struct scan_sums *u = w->use->sums;

    if (w->sums) {
        return true;
    }
    w->sums = calloc(1, sizeof *w->sums);
    if (!w->sums) {
        return false;
    }
    w->sums->sums = sums_create(&w->use->scan->sums, u->addrs);
    if (!w->sums->sums) {
        return false;
    }
    pthread_mutex_lock(&u->lock);
    u->n_active++;
    pthread_mutex_unlock(&u->lock);
    w->sums->active = true;
    return true;
}

void
scan_sums_run(duckdb_function_info info, duckdb_data_chunk chunk)
{
    struct worker *w = duckdb_function_get_local_init_data(info);
    struct use *use = duckdb_function_get_init_data(info);
    uint32_t rows = 0;

    if (!w || !w->reader || !w->batch) {
        duckdb_function_set_error(info, "out of memory");
        return;
    }
    w->use = use;
    int e = begin(w) ? run(w, chunk, &rows) : -ENOMEM;
    const struct scan *x = use->scan;
    if (e) {
        if (w->sums) {
            leave(w, true);
        }
        duckdb_function_set_error(info, "out of memory");
    } else if (x->dict && dict_refused(x->dict)) {
        duckdb_function_set_error(info, "Out of Memory: too many different "
                                  "names");
    } else {
        duckdb_data_chunk_set_size(chunk, rows);
    }
}

/* ---- Its columns. ---- */

void
scan_sums_bind(struct scan *x, duckdb_bind_info info)
{
    char name[16];
    const struct sums_spec *p = &x->sums;
    for (unsigned i = 0; i < 1 + p->n_keys + p->n_metrics; i++) {
        bool metric = i > p->n_keys;
        duckdb_type t = DUCKDB_TYPE_HUGEINT;
        if (!i) {
            t = DUCKDB_TYPE_TIMESTAMP;
            snprintf(name, sizeof name, "t");
        } else if (!metric) {
            enum column_type type = columns[p->keys[i - 1].column].type;
            t = type == COLUMN_T_NAME ? DUCKDB_TYPE_VARCHAR
                                      : schema_type(type);
            snprintf(name, sizeof name, "k%u", i - 1);
        } else {
            snprintf(name, sizeof name, "m%u", i - 1 - p->n_keys);
        }
        if (i || p->bucket_us) {
            duckdb_logical_type type = duckdb_create_logical_type(t);
            duckdb_bind_add_result_column(info, name, type);
            duckdb_destroy_logical_type(&type);
        }
    }
    duckdb_bind_set_bind_data(info, x, NULL);
}

