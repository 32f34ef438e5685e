#include <config.h>

#include "collector/store/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/filter/eval.h"
#include "collector/store/prune.h"
#include "collector/store/store_p.h"
#include "collector/store/sums.h"
#include "lib/dict.h"
#include "lib/log.h"

/* Different names that one question may come across. */
#define MAX_NAMES 1143000        /* An eighth of it is not for data. */
#define MAX_NAME_BYTES ((size_t) 147 << 20)
/* What sums of all questions together may take, in parts of store/memory; more
 * is left to DuckDB, which can put it aside.  Few groups are always kept. */
#define SUMS_MEMORY 2
#define SUMS_FEW 10000

struct scan {
    struct scan *next;          /* Of the store. */
    uint64_t id;
    struct store *store;
    struct store_view *view;
    struct scan_spec spec;
    struct filter_program *program;     /* NULL: no filter. */
    struct dict *dict;          /* NULL: no names are read. */
    pthread_mutex_t dict_lock;
    struct column_set used;     /* By the filter. */
    struct sums_spec sums;      /* If 'spec.sums'. */
    _Atomic uint64_t rows, damaged;
    _Atomic size_t passed;      /* Blocks. */
};

#define MAX_WORKERS 64

/* One use of a scan in a statement. */
struct use {
    struct scan *scan;
    _Atomic size_t next_block;
    unsigned n_columns;
    uint16_t columns[2 * N_COLUMNS];    /* N_COLUMNS: nothing is asked for. */

    /* Of sums. */
    pthread_mutex_t lock;
    unsigned n_active;          /* Threads that still add. */
    struct sums *done[MAX_WORKERS];     /* Of those that do not. */
    unsigned n_done;
    bool partial;               /* DuckDB got some groups in parts. */
};

/* A thread of it. */
struct worker {
    struct use *use;
    struct sums *sums;
    uint64_t bytes;             /* That it takes, as the store knows. */
    enum { ADDING, FLUSHING, SINGLE, LAST, OVER } state;
    bool active;                /* Counted by 'use'. */
    const struct view_block *fitting;   /* Its sums are known to fit. */
    uint32_t next;              /* Group, or row of the frame. */
    struct sums *others[MAX_WORKERS];
    unsigned n_others;

    struct block_reader *reader;
    struct flow_batch *batch;
    const struct view_block *block;     /* At hand, or NULL. */
    bool all;                   /* Each of its rows matches. */
    bool ranges;                /* Times must be looked at. */
    bool canonical;             /* And that. */
    bool output_read;           /* Of the frame at hand. */
    unsigned frame;
    uint32_t rows;              /* Of the frame. */
    uint16_t index[BATCH_ROWS]; /* Those that match. */
    uint32_t n;
};

static struct scan *
find_scan(struct store *s, uint64_t id)
{
    pthread_mutex_lock(&s->scans_lock);
    struct scan *x = s->scans;
    while (x && x->id != id) {
        x = x->next;
    }
    pthread_mutex_unlock(&s->scans_lock);
    return x;
}

static void
use_column(void *aux, enum column_id id)
{
    struct scan *x = aux;
    column_set_add(&x->used, id);
}

static struct dict *
names_create(void)
{
    return dict_create(MAX_NAMES, MAX_NAME_BYTES);
}

struct scan *
scan_open(struct store_view *v, const struct scan_spec *spec)
{
    struct scan *x = calloc(1, sizeof *x);
    if (!x) {
        return NULL;
    }
    x->store = v->store;
    x->view = v;
    x->spec = *spec;
    if (spec->sums) {
        x->sums = *spec->sums;
    }
    pthread_mutex_init(&x->dict_lock, NULL);
    if (spec->filter && spec->filter->op != FILTER_ANY) {
        prune_columns(spec->filter, use_column, x);
        for (unsigned i = 0; i < N_COLUMNS && !x->dict; i++) {
            if (column_set_has(&x->used, i)
                && columns[i].type == COLUMN_T_NAME) {
                x->dict = names_create();
                if (!x->dict) {
                    scan_close(x);
                    return NULL;
                }
            }
        }
        x->program = filter_compile(spec->filter, x->dict);
        if (!x->program) {
            scan_close(x);
            return NULL;
        }
    }
    struct store *s = v->store;
    pthread_mutex_lock(&s->scans_lock);
    x->id = ++s->next_scan;
    x->next = s->scans;
    s->scans = x;
    pthread_mutex_unlock(&s->scans_lock);
    return x;
}

void
scan_close(struct scan *x)
{
    if (!x) {
        return;
    }
    pthread_mutex_lock(&x->store->scans_lock);
    for (struct scan **p = &x->store->scans; *p; p = &(*p)->next) {
        if (*p == x) {
            *p = x->next;
            break;
        }
    }
    pthread_mutex_unlock(&x->store->scans_lock);
    filter_program_destroy(x->program);
    dict_destroy(x->dict);
    pthread_mutex_destroy(&x->dict_lock);
    free(x);
}

void
scan_relation(const struct scan *x, char buf[SCAN_RELATION_LEN])
{
    snprintf(buf, SCAN_RELATION_LEN, "venturi_%s(%" PRIu64 "::UBIGINT)",
             x->spec.sums ? "sums" : "flows", x->id);
}

uint64_t
scan_rows(const struct scan *x)
{
    return atomic_load(&x->rows);
}

double
scan_part(const struct scan *x)
{
    size_t n = x->view->n_blocks, passed = atomic_load(&x->passed);

    return !n || passed > n ? 1 : (double) passed / (double) n;
}

uint64_t
scan_rows_damaged(const struct scan *x)
{
    return atomic_load(&x->damaged);
}

/* ---- Which rows. ---- */

/* Whether a block must be looked into. */
static bool
want_block(const struct scan *x, struct worker *w, const struct block_head *h)
{
    const struct scan_spec *p = &x->spec;
    const struct block_column *c = block_column(h, COL_canonical);

    w->ranges = p->n_ranges != 0;
    bool overlap = !p->n_ranges;
    for (unsigned i = 0; i < p->n_ranges; i++) {
        overlap |= h->min_us < p->ranges[i].to_us
                   && h->max_us >= p->ranges[i].from_us;
        if (h->min_us >= p->ranges[i].from_us
            && h->max_us < p->ranges[i].to_us) {
            w->ranges = false;
        }
    }
    w->canonical = p->canonical && !(c && block_is_constant(c) && c->min.u);
    if (!overlap || (p->canonical && c && block_is_constant(c)
                     && !c->min.u)) {
        return false;
    }
    enum prune prune = prune_filter(p->filter, h);
    w->all = prune == PRUNE_ALL;
    return prune != PRUNE_NONE;
}

static int
read_column(struct worker *w, enum column_id id)
{
    return block_read(w->reader, id, w->frame, w->batch);
}

/* Clears the bits of rows whose time is in no range. */
static void
apply_ranges(const struct scan *x, const struct flow_batch *b,
             uint64_t bits[EVAL_WORDS])
{
    const struct scan_spec *p = &x->spec;
    for (uint32_t i = 0; i < b->n; i += 64) {
        uint64_t word = 0;
        uint32_t n = b->n - i < 64 ? b->n - i : 64;
        for (uint32_t k = 0; k < n; k++) {
            int64_t t = b->flow_end[i + k];
            bool in = t >= p->ranges[0].from_us && t < p->ranges[0].to_us;
            in |= p->n_ranges > 1 && t >= p->ranges[1].from_us
                  && t < p->ranges[1].to_us;
            word |= (uint64_t) in << k;
        }
        bits[i / 64] &= word;
    }
}

static void
apply_canonical(const struct flow_batch *b, uint64_t bits[EVAL_WORDS])
{
    for (uint32_t i = 0; i < b->n; i++) {
        if (!b->canonical[i]) {
            bits[i / 64] &= ~(UINT64_C(1) << i % 64);
        }
    }
}

/* Makes the list of rows of the frame that match.  0 or a negative errno. */
static int
select_rows(const struct scan *x, struct worker *w)
{
    struct flow_batch *b = w->batch;
    uint64_t bits[EVAL_WORDS];
    int e = 0;

    b->n = w->rows;
    w->n = 0;
    if (w->all && !w->ranges && !w->canonical) {
        for (uint32_t i = 0; i < w->rows; i++) {
            w->index[i] = (uint16_t) i;
        }
        w->n = w->rows;
        return 0;
    }
    memset(bits, 0xff, sizeof bits);
    if (!w->all) {
        for (unsigned i = 0; !e && i < N_COLUMNS; i++) {
            if (column_set_has(&x->used, i)) {
                e = read_column(w, i);
            }
        }
        if (!e) {
            filter_run(x->program, b, bits);
        }
    }
    if (!e && w->ranges) {
        e = read_column(w, COL_flow_end);
        if (!e) {
            apply_ranges(x, b, bits);
        }
    }
    if (!e && w->canonical) {
        e = read_column(w, COL_canonical);
        if (!e) {
            apply_canonical(b, bits);
        }
    }
    for (uint32_t i = 0; !e && i < w->rows; i += 64) {
        uint64_t word = bits[i / 64];
        if (w->rows - i < 64) {
            word &= (UINT64_C(1) << (w->rows - i)) - 1;
        }
        for (; word; word &= word - 1) {
            w->index[w->n++] = (uint16_t) (i + (uint32_t)
                                           __builtin_ctzll(word));
        }
    }
    return e;
}

/* ---- To DuckDB. ---- */

static void
copy_addrs(duckdb_uhugeint *out, const struct addr *v, const uint16_t *index,
           uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        out[i] = schema_from_addr(&v[index[i]]);
    }
}

/* Texts stay where they are as long as the scan lives. */
static duckdb_string_t
make_text(const struct scan *x, uint32_t id)
{
    const char *text = dict_text(x->dict, id);
    size_t len = strlen(text);
    duckdb_string_t s;

    memset(&s, 0, sizeof s);
    if (len <= sizeof s.value.inlined.inlined) {
        s.value.inlined.length = (uint32_t) len;
        memcpy(s.value.inlined.inlined, text, len);
    } else {
        s.value.pointer.length = (uint32_t) len;
        memcpy(s.value.pointer.prefix, text, sizeof s.value.pointer.prefix);
        s.value.pointer.ptr = (char *) text;
    }
    return s;
}

static void
copy_names(const struct scan *x, duckdb_string_t *out, const uint32_t *v,
           const uint16_t *index, uint32_t n)
{
    uint32_t last = UINT32_MAX;
    duckdb_string_t s;

    memset(&s, 0, sizeof s);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = v[index[i]];
        if (id != last) {
            s = make_text(x, id);
            last = id;
        }
        out[i] = s;
    }
}

#define COPY(T)                                         \
    do {                                                \
        T *p = (T *) out + at;                          \
        const T *v = values;                            \
        for (uint32_t i = 0; i < n; i++) {              \
            p[i] = v[index[i]];                         \
        }                                               \
    } while (0)

/* Copies the rows of the list that match to the vector, from row 'at' on. */
static void
put_column(const struct scan *x, const struct worker *w, enum column_id id,
           duckdb_vector vector, uint32_t at)
{
    const struct column *c = &columns[id];
    const struct flow_batch *b = w->batch;
    const void *values = (const uint8_t *) b + c->offset;
    const uint16_t *index = w->index;
    void *out = duckdb_vector_get_data(vector);
    uint32_t n = w->n;

    if (c->type == COLUMN_T_ADDR) {
        copy_addrs((duckdb_uhugeint *) out + at, values, index, n);
    } else if (c->type == COLUMN_T_NAME) {
        copy_names(x, (duckdb_string_t *) out + at, values, index, n);
    } else if (n == b->n) {
        memcpy((uint8_t *) out + at * c->size, values, n * c->size);
    } else if (c->size == 1) {
        COPY(uint8_t);
    } else if (c->size == 2) {
        COPY(uint16_t);
    } else if (c->size == 4) {
        COPY(uint32_t);
    } else {
        COPY(uint64_t);
    }
    if (!(c->flags & CF_NULL)) {
        return;
    }
    uint64_t nulls = 0;
    for (uint32_t i = 0; i < (b->n + 63) / 64; i++) {
        nulls |= ~b->valid[id][i];
    }
    if (!nulls) {
        return;
    }
    duckdb_vector_ensure_validity_writable(vector);
    uint64_t *valid = duckdb_vector_get_validity(vector);
    for (uint32_t i = 0; i < n; i++) {
        if (!batch_is_valid(b, id, index[i])) {
            valid[(at + i) / 64] &= ~(UINT64_C(1) << (at + i) % 64);
            if (c->type == COLUMN_T_NAME) {
                memset((duckdb_string_t *) out + at + i, 0,
                       sizeof(duckdb_string_t));
            }
        }
    }
}

/* What a block cannot be read for: it is left out, and that is told. */
static void
report(struct scan *x, const struct view_block *b, int e)
{
    struct store *s = x->store;
    pthread_mutex_lock(&s->lock);
    if (!b->segblock->reported) {
        b->segblock->reported = true;
        segment_damaged(s, b->segment, b->segblock->head->size,
                        e == -EBADMSG ? "a block" : strerror(-e));
    }
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_add(&x->damaged, b->segblock->head->n_rows);
}

/* Turns to the next frame with rows that match.  False: there is none. */
static bool
next_frame(struct scan *x, struct use *use, struct worker *w)
{
    for (;;) {
        if (w->block && ++w->frame >= block_frames(w->block->segblock->head)) {
            w->block = NULL;
        }
        if (!w->block) {
            if (x->spec.over && x->spec.over(x->spec.aux)) {
                return false;
            }
            size_t i = atomic_fetch_add(&use->next_block, 1);
            if (i >= x->view->n_blocks) {
                return false;
            }
            atomic_fetch_add(&x->passed, 1);
            const struct view_block *b = &x->view->blocks[i];
            if (!want_block(x, w, b->segblock->head)) {
                continue;
            }
            atomic_fetch_add(&x->rows, b->segblock->head->n_rows);
            w->block = b;
            w->frame = 0;
            block_reader_set(w->reader, b->segblock->head, segblock_fetch,
                             b->segblock);
        }
        w->rows = block_frame_rows(w->block->segblock->head, w->frame);
        int e = select_rows(x, w);
        for (unsigned i = 0; !e && w->n && i < use->n_columns; i++) {
            if (use->columns[i] < N_COLUMNS) {
                e = read_column(w, use->columns[i]);
            }
        }
        if (e) {
            report(x, w->block, e);
            w->block = NULL;
        } else if (w->n) {
            return true;
        }
    }
}

static void
on_rows(duckdb_function_info info, duckdb_data_chunk chunk)
{
    struct use *use = duckdb_function_get_init_data(info);
    struct worker *w = duckdb_function_get_local_init_data(info);
    struct scan *x = use->scan;
    uint32_t at = 0;

    if (!w || !w->reader || !w->batch) {
        duckdb_function_set_error(info, "out of memory");
        return;
    }
    /* 'w->n' rows may be left from the last time. */
    while (w->n || next_frame(x, use, w)) {
        if (at + w->n > BATCH_ROWS) {
            break;
        }
        for (unsigned i = 0; i < use->n_columns; i++) {
            if (use->columns[i] < N_COLUMNS) {
                put_column(x, w, use->columns[i],
                           duckdb_data_chunk_get_vector(chunk, i), at);
            }
        }
        at += w->n;
        w->n = 0;
    }
    if (x->dict && dict_refused(x->dict)) {
        duckdb_function_set_error(info, "Out of Memory: too many different "
                                  "names");
        return;
    }
    duckdb_data_chunk_set_size(chunk, at);
}

/* ---- Sums. ---- */

/* Tells the store how much memory the sums take.  True: it is too much. */
static bool
account(struct worker *w)
{
    struct store *s = w->use->scan->store;
    uint64_t bytes = w->sums ? sums_bytes(w->sums) : 0;
    uint64_t total = atomic_fetch_add(&s->sums_bytes, bytes - w->bytes)
                     + bytes - w->bytes;
    w->bytes = bytes;
    return total > SUMS_MEMORY * s->config.memory_limit;
}

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
        ((duckdb_string_t *) out)[row] = make_text(x, v->null ? 0
                                                   : (uint32_t) v->u);
    } else {
        memcpy(out + row * columns[id].size, &v->u, columns[id].size);
    }
}

/* One group to the chunk's row 'row'.  False if it does not matter. */
static bool
put_group(const struct scan *x, const struct sums *sums, uint32_t i,
          duckdb_data_chunk chunk, uint32_t row)
{
    const struct sums_spec *p = &x->sums;
    struct sums_value keys[SUMS_MAX_KEYS] = { { .null = true } };
    struct sums_value metrics[SUMS_MAX_METRICS];
    int64_t time_us = 0;
    idx_t col = 0;

    if (!sums_get(sums, i, &time_us, keys, metrics)) {
        return false;
    }
    if (p->bucket_us) {
        int64_t *out = duckdb_vector_get_data(
            duckdb_data_chunk_get_vector(chunk, col++));
        out[row] = time_us;
    }
    for (unsigned k = 0; k < p->n_keys; k++) {
        put_value(x, p->keys[k].column,
                  duckdb_data_chunk_get_vector(chunk, col++), row, &keys[k]);
    }
    for (unsigned m = 0; m < p->n_metrics; m++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, col++);
        duckdb_hugeint *out = duckdb_vector_get_data(vector);
        out[row] = (duckdb_hugeint) { .lower = metrics[m].u };
        if (metrics[m].null) {
            duckdb_vector_ensure_validity_writable(vector);
            duckdb_validity_set_row_invalid(
                duckdb_vector_get_validity(vector), row);
        }
    }
    return true;
}

/* Groups from 'w->next' on, as many as a chunk holds. */
static uint32_t
put_groups(const struct scan *x, struct worker *w, const struct sums *sums,
           duckdb_data_chunk chunk)
{
    uint32_t row = 0;
    while (row < BATCH_ROWS && w->next < sums_count(sums)) {
        row += put_group(x, sums, w->next++, chunk, row);
    }
    return row;
}

/* Rows of a frame whose sums might not fit into 64 bits: each by itself. */
static int
put_single(const struct scan *x, struct worker *w, duckdb_data_chunk chunk,
           uint32_t *row)
{
    int e = 0;
    for (; !e && *row < BATCH_ROWS && w->next < w->n; w->next++) {
        sums_reset(w->sums);
        e = sums_add(w->sums, w->reader, w->frame, w->batch,
                     w->index + w->next, 1);
        *row += !e && put_group(x, w->sums, 0, chunk, *row);
    }
    if (w->next == w->n || e) {
        sums_reset(w->sums);
        w->n = 0;
        w->state = ADDING;
    }
    return e;
}

/* There is nothing more to add.  The last thread has the sums of all. */
static int
finish_adding(struct worker *w)
{
    struct use *use = w->use;
    int e = 0;

    pthread_mutex_lock(&use->lock);
    w->active = false;
    w->state = OVER;
    if (--use->n_active && use->n_done < MAX_WORKERS) {
        use->done[use->n_done++] = w->sums;
        w->sums = NULL;
    } else {
        memcpy(w->others, use->done, sizeof w->others);
        w->n_others = use->n_done;
        use->n_done = 0;
        w->state = LAST;
        w->next = 0;
    }
    bool partial = use->partial;
    pthread_mutex_unlock(&use->lock);
    if (w->state == OVER) {
        return 0;
    }
    while (!e && !partial && w->n_others) {
        struct sums *o = w->others[w->n_others - 1];
        e = sums_merge(w->sums, o);
        if (e == -EOVERFLOW) {
            partial = true;
            e = 0;
        } else {
            w->n_others--;
            sums_destroy(o);
        }
    }
    account(w);
    if (!partial) {
        sums_cut(w->sums);
    }
    return e;
}

/* Adds what there is until it must be told.  0 or a negative errno. */
static int
add_all(struct scan *x, struct worker *w)
{
    while (w->n || next_frame(x, w->use, w)) {
        if (w->fitting != w->block || !w->frame) {
            /* A block, or its first frame: later ones fit as well. */
            w->fitting = NULL;
        }
        if (!w->fitting && !sums_fit(w->sums, w->block->segblock->head)) {
            w->next = 0;
            w->state = sums_count(w->sums) ? FLUSHING : SINGLE;
            return 0;
        }
        w->fitting = w->block;
        int e = sums_add(w->sums, w->reader, w->frame, w->batch, w->index,
                         w->n);
        w->n = 0;
        if (e == -ENOMEM) {
            return e;
        } else if (e) {
            report(x, w->block, e);
            w->block = NULL;
        }
        if (account(w) && sums_count(w->sums) > SUMS_FEW) {
            w->next = 0;
            w->state = FLUSHING;
            return 0;
        }
    }
    return finish_adding(w);
}

static bool
begin_sums(struct scan *x, struct worker *w)
{
    if (!w->sums && w->state == ADDING) {
        w->sums = sums_create(&x->sums);
        if (!w->sums) {
            return false;
        }
        pthread_mutex_lock(&w->use->lock);
        w->use->n_active++;
        pthread_mutex_unlock(&w->use->lock);
        w->active = true;
    }
    return true;
}

static void
on_sums(duckdb_function_info info, duckdb_data_chunk chunk)
{
    struct worker *w = duckdb_function_get_local_init_data(info);
    struct use *use = duckdb_function_get_init_data(info);
    struct scan *x = use->scan;
    uint32_t rows = 0;
    int e = 0;

    if (!w || !w->reader || !w->batch) {
        duckdb_function_set_error(info, "out of memory");
        return;
    }
    w->use = use;
    if (!begin_sums(x, w)) {
        e = -ENOMEM;
    }
    while (!e && !rows && w->state != OVER) {
        switch (w->state) {
        case ADDING:
            e = add_all(x, w);
            if (!e && w->state == FLUSHING) {
                pthread_mutex_lock(&use->lock);
                use->partial = true;
                pthread_mutex_unlock(&use->lock);
            }
            break;
        case SINGLE:
            pthread_mutex_lock(&use->lock);
            use->partial = true;
            pthread_mutex_unlock(&use->lock);
            e = put_single(x, w, chunk, &rows);
            if (e == -EBADMSG) {
                report(x, w->block, e);
                w->block = NULL;
                e = 0;
            }
            break;
        default:
            rows = put_groups(x, w, w->sums, chunk);
            if (rows) {
                break;
            }
            sums_reset(w->sums);
            w->next = 0;
            if (w->state == FLUSHING) {
                w->fitting = NULL;
                w->state = ADDING;
            } else if (w->n_others) {
                sums_destroy(w->sums);
                w->sums = w->others[--w->n_others];
            } else {
                w->state = OVER;
            }
            account(w);
            break;
        }
    }
    if (e) {
        duckdb_function_set_error(info, "out of memory");
    } else if (x->dict && dict_refused(x->dict)) {
        duckdb_function_set_error(info, "Out of Memory: too many different "
                                  "names");
    } else {
        duckdb_data_chunk_set_size(chunk, rows);
    }
}

static void
on_bind_sums(duckdb_bind_info info)
{
    struct store *s = duckdb_bind_get_extra_info(info);
    duckdb_value v = duckdb_bind_get_parameter(info, 0);
    struct scan *x = find_scan(s, duckdb_get_uint64(v));
    char name[16];

    duckdb_destroy_value(&v);
    if (!x || !x->spec.sums) {
        duckdb_bind_set_error(info, "there is no such scan");
        return;
    }
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

static void
destroy_worker(void *aux)
{
    struct worker *w = aux;
    if (w->use && w->active) {
        pthread_mutex_lock(&w->use->lock);
        w->use->n_active--;
        pthread_mutex_unlock(&w->use->lock);
    }
    sums_destroy(w->sums);
    w->sums = NULL;
    if (w->use) {
        account(w);
    }
    while (w->n_others) {
        sums_destroy(w->others[--w->n_others]);
    }
    block_reader_destroy(w->reader);
    batch_destroy(w->batch);
    free(w);
}

static void
destroy_use(void *aux)
{
    struct use *use = aux;
    while (use->n_done) {
        sums_destroy(use->done[--use->n_done]);
    }
    pthread_mutex_destroy(&use->lock);
    free(use);
}

static void
on_init_worker(duckdb_init_info info)
{
    struct scan *x = duckdb_init_get_bind_data(info);
    struct worker *w = calloc(1, sizeof *w);
    if (w) {
        w->reader = block_reader_create(x->dict);
        w->batch = batch_create();
        duckdb_init_set_init_data(info, w, destroy_worker);
    }
}

/* The columns that the statement needs. */
static void
on_init(duckdb_init_info info)
{
    struct scan *x = duckdb_init_get_bind_data(info);
    struct use *use = calloc(1, sizeof *use);
    bool names = false;
    idx_t n = duckdb_init_get_column_count(info);

    if (!use || n > sizeof use->columns / sizeof use->columns[0]) {
        free(use);
        duckdb_init_set_error(info, "out of memory");
        return;
    }
    pthread_mutex_init(&use->lock, NULL);
    use->scan = x;
    for (idx_t i = 0; !x->spec.sums && i < n; i++) {
        idx_t id = duckdb_init_get_column_index(info, i);
        use->columns[i] = (uint16_t) (id < N_COLUMNS ? id : N_COLUMNS);
        use->n_columns++;
        names |= id < N_COLUMNS && columns[id].type == COLUMN_T_NAME;
    }
    for (unsigned i = 0; x->spec.sums && i < x->sums.n_keys; i++) {
        names |= columns[x->sums.keys[i].column].type == COLUMN_T_NAME;
    }
    pthread_mutex_lock(&x->dict_lock);
    if (names && !x->dict) {
        x->dict = names_create();
    }
    pthread_mutex_unlock(&x->dict_lock);
    duckdb_init_set_init_data(info, use, destroy_use);
    if (names && !x->dict) {
        duckdb_init_set_error(info, "out of memory");
    }
    size_t threads = x->view->n_blocks < x->store->config.query_threads
                     ? x->view->n_blocks : x->store->config.query_threads;
    duckdb_init_set_max_threads(info, threads ? threads : 1);
}

static void
on_bind(duckdb_bind_info info)
{
    struct store *s = duckdb_bind_get_extra_info(info);
    duckdb_value v = duckdb_bind_get_parameter(info, 0);
    struct scan *x = find_scan(s, duckdb_get_uint64(v));
    uint64_t rows = 0;

    duckdb_destroy_value(&v);
    if (!x) {
        duckdb_bind_set_error(info, "there is no such scan");
        return;
    }
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        duckdb_logical_type type = duckdb_create_logical_type(
            columns[i].type == COLUMN_T_NAME ? DUCKDB_TYPE_VARCHAR
                                             : schema_type(columns[i].type));
        duckdb_bind_add_result_column(info, columns[i].name, type);
        duckdb_destroy_logical_type(&type);
    }
    for (size_t i = 0; i < x->view->n_blocks; i++) {
        rows += x->view->blocks[i].segblock->head->n_rows;
    }
    duckdb_bind_set_cardinality(info, rows, false);
    duckdb_bind_set_bind_data(info, x, NULL);
}

static duckdb_state
register_one(struct store *s, const char *name,
             duckdb_table_function_bind_t bind,
             duckdb_table_function_t function, bool projection)
{
    duckdb_table_function f = duckdb_create_table_function();
    duckdb_logical_type type
        = duckdb_create_logical_type(DUCKDB_TYPE_UBIGINT);

    duckdb_table_function_set_name(f, name);
    duckdb_table_function_add_parameter(f, type);
    duckdb_table_function_set_extra_info(f, s, NULL);
    duckdb_table_function_set_bind(f, bind);
    duckdb_table_function_set_init(f, on_init);
    duckdb_table_function_set_local_init(f, on_init_worker);
    duckdb_table_function_set_function(f, function);
    duckdb_table_function_supports_projection_pushdown(f, projection);
    duckdb_state state = duckdb_register_table_function(s->engine.ctl, f);
    duckdb_destroy_logical_type(&type);
    duckdb_destroy_table_function(&f);
    return state;
}

int
scan_register(struct store *s)
{
    return register_one(s, "venturi_flows", on_bind, on_rows, true)
           == DuckDBSuccess
           && register_one(s, "venturi_sums", on_bind_sums, on_sums, false)
              == DuckDBSuccess ? 0 : -EIO;
}
