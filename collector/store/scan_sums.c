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

/* More is put aside.  Few groups are always kept, and what is less than a few
 * pieces of each partition. */
#define SUMS_FEW 10000
#define SUMS_LITTLE (UINT64_C(8) << 20)
/* And what one question may put aside. */
#define SUMS_ASIDE 16
/* A table of more groups is added to others by partitions. */
#define SPLIT_GROUPS 32768

#define LAST_PASS 3

/* Threads add up blocks, each in sums of its own (ADDING).  Where only the first
 * of very many groups are wanted they do so in up to three passes (sums.h), for
 * which they wait for each other.  When all are through, few groups are brought together by one of them (LAST), many by all of
 * them, partition by partition (PARTS).  Where memory or 64 bits do not suffice
 * DuckDB gets groups in parts: what one thread has so far (FLUSHING), records
 * one by one (SINGLE), and in the end what all have (DRAINING). */
enum sums_state { ADDING, FLUSHING, SINGLE, LAST, PARTS, DRAINING, OVER };

struct scan_sums {
    struct sums_addrs *addrs;
    bool add_totals;            /* They are asked for, and fit. */
    struct scan_totals totals;  /* Of threads that are through. */
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

    /* Passes. */
    struct sums_top *top;       /* NULL: there is one. */
    unsigned pass, n_waiting;   /* Threads that are through this one. */
    struct sums *waiting[MAX_WORKERS];
};

struct sums_worker {
    struct sums *sums;
    uint64_t bytes;             /* That it takes, as the store knows. */
    enum sums_state state;
    bool active;                /* Counted by the use. */
    bool sketching;             /* From here on, in the first pass. */
    uint64_t rows, matched;     /* In the first pass so far. */
    struct scan_totals totals;
    const struct view_block *fitting;   /* Its sums are known to fit. */
    uint32_t next;              /* Group, or row of the frame. */
    struct sums_cursor cursor;  /* In partitions. */
};

/* Whether all sums fit into 64 bits, even if bounds are added several times. */
static bool
all_fit(const struct scan *x)
{
    for (unsigned m = 0; m < x->sums.n_metrics; m++) {
        uint64_t sum = 0;
        unsigned id = x->sums.metrics[m];
        if (x->sums.of[m] != SUMS_ADD) {
            continue;
        }
        for (size_t i = 0; i < x->view->n_blocks; i++) {
            const struct block_head *h = x->view->blocks[i].segblock->head;
            const struct block_column *c = id < N_COLUMNS
                                           ? block_column(h, id) : NULL;
            uint64_t max = c ? c->max.u : 1, most;
            if (__builtin_mul_overflow(max, (uint64_t) h->n_rows, &most)
                || __builtin_add_overflow(sum, most, &sum)
                || sum > UINT64_MAX / 8) {
                return false;
            }
        }
    }
    return true;
}

/* Gets ready for passes, if they can be of use. */
static void
prepare_passes(struct scan_sums *u, struct use *use)
{
    const struct scan *x = use->scan;
    bool top = sums_top_can(&x->sums), fit = false;

    if (top || x->spec.totals) {
        fit = all_fit(x);
    }
    u->add_totals = x->spec.totals && fit;
    if (top && fit) {
        use->reread = calloc(x->view->n_blocks + 1, sizeof *use->reread);
        use->n_reread = use->reread ? x->view->n_blocks : 0;
        u->top = use->reread ? sums_top_create() : NULL;
    }
}

struct scan_sums *
scan_sums_create(struct use *use)
{
    struct scan_sums *u = calloc(1, sizeof *u);
    if (u) {
        u->fd = -1;
        u->addrs = sums_addrs_create();
        u->pass = 1;
        pthread_mutex_init(&u->lock, NULL);
        pthread_cond_init(&u->changed, NULL);
        prepare_passes(u, use);
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
    sums_top_destroy(u->top);
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

/* Tells the store how much memory the sums take.  True: it is too much. */
static bool
account(struct worker *w)
{
    struct sums_worker *v = w->sums;
    uint64_t bytes = v->sums ? sums_bytes(v->sums) : 0;
    bool much = scan_take_memory(w->use->scan->store, bytes - v->bytes);

    v->bytes = bytes;
    return much;
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

static bool
is_time(unsigned metric)
{
    return metric < N_COLUMNS && columns[metric].type == COLUMN_T_TIME;
}

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
        void *out = duckdb_vector_get_data(vector);
        if (is_time(p->metrics[m])) {
            ((int64_t *) out)[row] = (int64_t) g->metrics[m].u;
        } else {
            ((duckdb_hugeint *) out)[row]
                = (duckdb_hugeint) { .lower = g->metrics[m].u };
        }
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

/* What the thread has goes to all. */
static void
give_totals(struct worker *w)
{
    struct scan *x = w->use->scan;
    struct scan_sums *u = w->use->sums;
    struct scan_totals *t = &w->sums->totals;

    for (unsigned m = 0; m < x->sums.n_metrics; m++) {
        u->totals.sum[m] += t->sum[m];
        u->totals.any[m] |= t->any[m];
    }
    memset(t, 0, sizeof *t);
    if (u->add_totals && !u->n_active) {
        x->totals = u->totals;
        x->has_totals = true;
    }
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
    bool any = sums_count(v->sums) || sums_is_split(v->sums);
    if (any && u->n_done == MAX_WORKERS) {
        u->failed = true;       /* on_init() asked for fewer threads. */
        e = -ENOMEM;
    } else if (any) {
        u->done[u->n_done++] = v->sums;
        u->bytes += v->bytes;
        v->bytes = 0;
        v->sums = NULL;
    }
    u->n_active--;
    v->active = false;
    v->state = OVER;
    give_totals(w);
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

    if (atomic_load(&u->end) > SUMS_ASIDE * s->config.sums_limit) {
        return -EFBIG;
    }
    int e = sums_split(sums), fd = open_aside(u, s);
    if (!e) {
        e = fd < 0 ? -EIO : sums_spill(sums, fd, &u->end);
    }
    account(w);
    return e;
}

/* ---- Passes. ---- */

/* All are through a pass: what comes next.  0 or -ENOMEM. */
static int
turn_pass(struct use *use)
{
    struct scan_sums *u = use->sums;
    bool over = true;
    int e = 0;

    if (u->pass == 1) {
        for (unsigned i = 0; i < u->n_waiting; i++) {
            over &= !sums_is_sketched(u->waiting[i]);
        }
        if (!over && !sums_top_choose(u->top, u->waiting, u->n_waiting)) {
            u->pass = LAST_PASS - 1;
        }
    } else if (u->pass == 2) {
        e = sums_top_check(u->top, u->waiting, u->n_waiting, &over);
    }
    u->pass = over ? LAST_PASS + 1 : u->pass + 1;
    u->n_waiting = 0;
    use->again = true;
    atomic_store(&use->next_block, over ? use->n_reread : 0);
    pthread_cond_broadcast(&u->changed);
    return e;
}

/* Waits until all are through the pass.  0: another one follows; 1: none does;
 * or a negative errno. */
static int
end_pass(struct worker *w)
{
    struct scan_sums *u = w->use->sums;
    int e = 0;

    if (!u->top) {
        return 1;
    }
    pthread_mutex_lock(&u->lock);
    unsigned pass = u->pass;
    if (u->n_waiting == MAX_WORKERS) {
        e = -ENOMEM;            /* There are never so many. */
    } else if (pass <= LAST_PASS) {
        u->waiting[u->n_waiting++] = w->sums->sums;
    }
    while (!e && u->pass == pass && pass <= LAST_PASS && !u->failed
           && !u->partial) {
        if (u->n_waiting == u->n_active) {
            e = turn_pass(w->use);
        } else {
            pthread_cond_wait(&u->changed, &u->lock);
        }
    }
    e = e ? e : u->pass > LAST_PASS || u->failed || u->partial;
    pthread_mutex_unlock(&u->lock);
    w->sums->sketching = w->keep = false;
    w->sums->fitting = NULL;
    return e;
}

/* ---- Totals. ---- */

/* Reads the metrics of the rows at hand. */
static int
read_metrics(struct worker *w)
{
    const struct sums_spec *p = &w->use->scan->sums;
    int e = 0;

    for (unsigned m = 0; !e && m < p->n_metrics; m++) {
        if (p->metrics[m] < N_COLUMNS) {
            e = block_read_rows(w->reader, p->metrics[m], w->frame, w->batch,
                                w->index, w->n);
        }
    }
    return e;
}

/* Adds metric 'id' of the rows at hand, which was read. */
static bool
total_rows(const struct worker *w, unsigned id, uint64_t *sum)
{
    const struct flow_batch *b = w->batch;
    const uint64_t *v = (const void *) ((const uint8_t *) b
                                        + columns[id].offset);
    uint64_t all = 0;
    bool any = false;

    if (columns[id].flags & CF_NULL) {
        for (uint32_t i = 0; i < w->n; i++) {
            bool is = batch_is_valid(b, id, w->index[i]);
            all += is ? v[w->index[i]] : 0;
            any |= is;
        }
    } else {
        for (uint32_t i = 0; i < w->n; i++) {
            all += v[w->index[i]];
        }
        any = w->n > 0;
    }
    *sum += all;
    return any;
}

static void
add_totals(struct worker *w)
{
    const struct sums_spec *p = &w->use->scan->sums;
    struct scan_totals *t = &w->sums->totals;

    for (unsigned m = 0; m < p->n_metrics; m++) {
        if (p->metrics[m] < N_COLUMNS) {
            t->any[m] |= total_rows(w, p->metrics[m], &t->sum[m]);
        } else {
            t->sum[m] += w->n;
            t->any[m] = true;
        }
    }
}

bool
scan_totals(const struct scan *x, struct sums_value *metrics)
{
    for (unsigned m = 0; x->has_totals && m < x->sums.n_metrics; m++) {
        unsigned id = x->sums.metrics[m];
        bool can_lack = id < N_COLUMNS && columns[id].flags & CF_NULL;
        metrics[m].u = x->totals.sum[m];
        metrics[m].null = can_lack && !x->totals.any[m];
    }
    return x->has_totals;
}

/* Adds the rows at hand.  0 or a negative errno: they cannot be read. */
static int
add_rows(struct worker *w)
{
    struct scan_sums *u = w->use->sums;
    struct sums_worker *v = w->sums;
    struct reread *r = w->reread;
    bool totals = u->add_totals && !w->use->again;
    /* A sketch needs one of them only, sums all. */
    int e = totals && v->sketching ? read_metrics(w) : 0;

    if (e) {
        w->n = 0;
        return e;
    }
    if (w->use->again) {
        e = sums_top_add(u->top, v->sums, w->reader, w->frame, w->batch,
                         w->index, w->n);
    } else if (v->sketching) {
        e = sums_sketch(v->sums, w->reader, w->frame, w->batch, w->index,
                        w->n);
        if (!e) {
            r->first = r->end ? r->first : (uint8_t) w->frame;
            r->end = (uint8_t) (w->frame + 1);
        }
    } else {
        e = sums_add(v->sums, w->reader, w->frame, w->batch, w->index, w->n);
        v->rows += w->rows;
        v->matched += w->n;
        v->sketching = u->top && sums_is_crowded(v->sums, v->matched, v->rows);
        w->keep = v->sketching;
    }
    if (totals && !e) {
        add_totals(w);
    }
    w->n = 0;
    return e;
}

/* Whether it is worth while to put aside what the thread has.  While it sketches
 * it takes no more than it did. */
static bool
is_much(const struct worker *w)
{
    const struct scan_sums *u = w->use->sums;
    const struct sums *s = w->sums->sums;

    return (sums_count(s) > SUMS_FEW || sums_split_bytes(s) > SUMS_LITTLE)
           && !(u->top && u->pass == 1 && !sums_is_direct(s));
}

/* Adds what there is until it must be told.  0 or a negative errno. */
static int
add_all(struct worker *w)
{
    struct scan_sums *u = w->use->sums;
    struct sums_worker *v = w->sums;
    int e = 0;

    while (!e) {
        if (!w->n && !scan_next_frame(w)) {
            e = end_pass(w);
            continue;
        }
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
        e = add_rows(w);
        if (e && e != -ENOMEM) {
            scan_report(w->use->scan, w->block, e);
            w->block = NULL;
            e = 0;
        }
        if (!e && account(w) && is_much(w)) {
            e = put_aside(w);
            if (e && e != -ENOMEM && u->top && u->pass == LAST_PASS - 1) {
                e = 0;          /* Nothing can be told before the last. */
            } else if (e && e != -ENOMEM) {
                rewind_groups(v);
                v->state = FLUSHING;
                return 0;
            }
        }
    }
    return e < 0 ? e : finish_adding(w);
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
            u->add_totals = false;
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

void
scan_sums_bound(struct scan *x)
{
    struct sums_spec *p = &x->sums;
    uint64_t most[SUMS_MAX_KEYS] = { 0 };

    p->first_us = BLOCK_LAST_TIME_US;
    for (size_t i = 0; i < x->view->n_blocks; i++) {
        const struct block_head *h = x->view->blocks[i].segblock->head;
        int64_t min_us = block_clamp_time(h->min_us);
        int64_t max_us = block_clamp_time(h->max_us);
        p->first_us = min_us < p->first_us ? min_us : p->first_us;
        p->last_us = max_us > p->last_us ? max_us : p->last_us;
        for (unsigned k = 0; k < p->n_keys; k++) {
            const struct block_column *c = block_column(h, p->keys[k].column);
            most[k] |= c ? c->max.u : 0;
        }
    }
    /* Of names and addresses it is not asked. */
    for (unsigned k = 0; k < p->n_keys; k++) {
        p->keys[k].bits = (uint8_t) (64 - __builtin_clzll(most[k] | 1));
    }
    p->first_us = p->last_us < p->first_us ? 0 : p->first_us;
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
            t = is_time(p->metrics[i - 1 - p->n_keys]) ? DUCKDB_TYPE_TIMESTAMP
                                                       : t;
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

