#include <config.h>

#include "collector/store/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/filter/eval.h"
#include "collector/store/prune.h"
#include "collector/store/scan_p.h"
#include "lib/dict.h"
#include "lib/log.h"

/* Different names that one question may come across. */
#define MAX_NAMES 1143000        /* An eighth of it is not for data. */
#define MAX_NAME_BYTES ((size_t) 147 << 20)

/* So many blocks ahead the system is told what will be read. */
#define AHEAD 4

/* What is kept of rows that match while they are to be looked at again. */
#define KEEP_BITS (UINT64_C(64) << 20)

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
        scan_sums_bound(x);
    }
    pthread_mutex_init(&x->dict_lock, NULL);
    x->dict = spec->stage ? spec->stage->dict : NULL;
    x->n_refs = 1;
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
        for (unsigned i = 0; spec->stage && i < N_COLUMNS; i++) {
            x->fresh |= column_set_has(&x->used, i)
                        && column_set_has(&spec->stage->fills, i);
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

/* A statement is over when its last task is, but DuckDB's thread destroys what
 * belongs to the task only then, a few instructions later; of a COPY that
 * failed, perhaps never.  So each use holds the scan. */
static void
scan_unref(struct scan *x)
{
    struct store *s = x->store;
    pthread_mutex_lock(&s->scans_lock);
    bool last = !--x->n_refs;
    pthread_mutex_unlock(&s->scans_lock);
    if (last) {
        if (!x->spec.stage) {
            dict_destroy(x->dict);
        }
        pthread_mutex_destroy(&x->dict_lock);
        free(x);
    }
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
    filter_program_destroy(x->program);     /* The stage's names end now. */
    x->program = NULL;
    scan_unref(x);
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

/* Whether a block must be looked into, and how. */
static bool
want_block(const struct scan *x, const struct block_head *h, struct match *m)
{
    const struct scan_spec *p = &x->spec;
    const struct block_column *c = block_column(h, COL_canonical);

    m->ranges = p->n_ranges != 0;
    bool overlap = !p->n_ranges;
    for (unsigned i = 0; i < p->n_ranges; i++) {
        overlap |= h->min_us < p->ranges[i].to_us
                   && h->max_us >= p->ranges[i].from_us;
        if (h->min_us >= p->ranges[i].from_us
            && h->max_us < p->ranges[i].to_us) {
            m->ranges = false;
        }
    }
    m->canonical = p->canonical && !(c && block_is_constant(c) && c->min.u);
    if (!overlap || (p->canonical && c && block_is_constant(c)
                     && !c->min.u)) {
        return false;
    }
    if (x->fresh) {
        m->all = false;         /* The block's own values say nothing. */
        return true;
    }
    enum prune prune = prune_filter(p->filter, h);
    m->all = prune == PRUNE_ALL;
    return prune != PRUNE_NONE;
}

static int
read_column(struct worker *w, enum column_id id)
{
    return block_read(w->reader, id, w->frame, w->batch);
}

/* The rows that match, if they are few. */
static int
read_rows(struct worker *w, enum column_id id)
{
    return block_read_rows(w->reader, id, w->frame, w->batch, w->index, w->n);
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

/* Fills the columns of the stage.  0 or a negative errno. */
static int
run_stage(const struct scan_stage *s, struct worker *w)
{
    int e = 0;
    for (unsigned i = 0; !e && i < N_COLUMNS; i++) {
        if (column_set_has(&s->reads, i)) {
            e = read_column(w, i);
        }
        if (column_set_has(&s->fills, i)) {
            memset(w->batch->valid[i], 0, sizeof w->batch->valid[i]);
        }
    }
    if (!e) {
        s->run(s->aux, w->batch);
    }
    return e;
}

/* Whether the stage has filled a column. */
static bool
is_filled(const struct scan *x, unsigned id)
{
    return x->spec.stage && column_set_has(&x->spec.stage->fills, id);
}

static void
list_rows(struct worker *w, const uint64_t bits[EVAL_WORDS])
{
    w->n_all = 0;
    for (uint32_t i = 0; i < w->rows; i += 64) {
        uint64_t word = bits[i / 64];
        if (w->rows - i < 64) {
            word &= (UINT64_C(1) << (w->rows - i)) - 1;
        }
        for (; word; word &= word - 1) {
            w->index[w->n++] = (uint16_t) (i + (uint32_t)
                                           __builtin_ctzll(word));
        }
    }
}

bool
scan_take_memory(struct store *s, uint64_t bytes)
{
    uint64_t total = atomic_fetch_add(&s->sums_bytes, bytes) + bytes;

    return total > SUMS_MEMORY * s->config.sums_limit;
}

/* Room for the bits of a block; NULL: that would be too much. */
static uint64_t *
take_bits(struct use *use, size_t size)
{
    struct store *s = use->scan->store;
    bool much = atomic_fetch_add(&use->bits_bytes, size) + size > KEEP_BITS;
    much |= scan_take_memory(s, size);
    uint64_t *bits = much ? NULL : malloc(size);

    if (!bits) {
        atomic_fetch_sub(&use->bits_bytes, size);
        scan_take_memory(s, -(uint64_t) size);
    }
    return bits;
}

/* So that nobody has to find them again, as long as that is not too much. */
static void
keep_bits(struct worker *w, const uint64_t bits[EVAL_WORDS])
{
    size_t size = BLOCK_FRAMES * EVAL_WORDS * sizeof bits[0];
    struct reread *r = w->reread;

    if (!r->bits && r->first == r->end) {
        r->bits = take_bits(w->use, size);
    }
    if (r->bits) {
        memcpy(r->bits + w->frame * EVAL_WORDS, bits,
               EVAL_WORDS * sizeof bits[0]);
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
    if (w->use->again && w->reread->bits) {
        list_rows(w, w->reread->bits + w->frame * EVAL_WORDS);
        return 0;
    }
    if (x->spec.stage && (e = run_stage(x->spec.stage, w))) {
        return e;
    }
    if (w->match.all && !w->match.ranges && !w->match.canonical) {
        for (; w->n_all < w->rows; w->n_all++) {
            w->index[w->n_all] = (uint16_t) w->n_all;
        }
        w->n = w->rows;
        return 0;
    }
    memset(bits, 0xff, sizeof bits);
    if (!w->match.all) {
        for (unsigned i = 0; !e && i < N_COLUMNS; i++) {
            if (column_set_has(&x->used, i) && !is_filled(x, i)) {
                e = read_column(w, i);
            }
        }
        if (!e) {
            filter_run(x->program, b, bits);
        }
    }
    if (!e && w->match.ranges) {
        e = read_column(w, COL_flow_end);
        if (!e) {
            apply_ranges(x, b, bits);
        }
    }
    if (!e && w->match.canonical) {
        e = read_column(w, COL_canonical);
        if (!e) {
            apply_canonical(b, bits);
        }
    }
    if (!e && w->keep) {
        keep_bits(w, bits);
    }
    if (!e) {
        list_rows(w, bits);
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
duckdb_string_t
scan_text(const struct scan *x, uint32_t id)
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
            s = scan_text(x, id);
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

void
scan_report(struct scan *x, const struct view_block *b, int e)
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

/* The columns that say which rows of a block match. */
static struct column_set
matching_columns(const struct use *use, const struct match *m)
{
    const struct scan *x = use->scan;
    struct column_set set = { { 0 } };

    for (unsigned i = 0; i < N_COLUMNS; i++) {
        if ((x->spec.stage && column_set_has(&x->spec.stage->reads, i))
            || (!m->all && column_set_has(&x->used, i) && !is_filled(x, i))) {
            column_set_add(&set, i);
        }
    }
    if (m->ranges) {
        column_set_add(&set, COL_flow_end);
    }
    if (m->canonical) {
        column_set_add(&set, COL_canonical);
    }
    return set;
}

/* And those that are asked for of such rows. */
static const struct column_set *
wanted_columns(const struct worker *w)
{
    return w->keep && !w->use->again ? &w->use->ordering : &w->use->wanted;
}

/* Whether each row matches, whatever is in it. */
static bool
is_sure(const struct match *m)
{
    return m->all && !m->ranges && !m->canonical;
}

/* Threads take blocks one by one: what this one reads ahead may be another's. */
static void
read_ahead(struct worker *w, size_t i)
{
    struct use *use = w->use;
    const struct store_view *v = use->scan->view;
    struct block_piece pieces[BLOCK_PIECES];
    struct match m;

    if (use->again || i >= v->n_blocks) {
        return;
    }
    const struct segblock *b = v->blocks[i].segblock;
    if (!want_block(use->scan, b->head, &m)) {
        return;
    }
    struct column_set set = matching_columns(use, &m);
    /* If rows matched here they will there. */
    if (is_sure(&m) || w->fetched) {
        const struct column_set *more = wanted_columns(w);
        for (unsigned k = 0; k < sizeof set.bits / sizeof set.bits[0]; k++) {
            set.bits[k] |= more->bits[k];
        }
    }
    unsigned n = block_pieces(b->head, &set, pieces);
    for (unsigned k = 0; k < n; k++) {
        segblock_expect(b, pieces[k].offset, pieces[k].size);
    }
}

/* Turns to the next block that may have rows that match.  False: there is
 * none. */
static bool
next_block(struct worker *w)
{
    struct use *use = w->use;
    struct scan *x = use->scan;

    while (!w->block && !(x->spec.over && x->spec.over(x->spec.aux))) {
        size_t i = atomic_fetch_add(&use->next_block, 1);
        if (i >= x->view->n_blocks) {
            break;
        }
        const struct view_block *b = &x->view->blocks[i];
        const struct block_head *h = b->segblock->head;
        w->reread = use->reread ? &use->reread[i] : NULL;
        if (!use->again) {
            atomic_fetch_add(&x->passed, 1);
        } else if (w->reread->first == w->reread->end) {
            continue;
        }
        if (!want_block(x, h, &w->match)) {
            continue;
        }
        if (!use->again) {
            atomic_fetch_add(&x->rows, h->n_rows);
        }
        w->block = b;
        w->frame = use->again ? w->reread->first : 0;
        w->end = use->again ? w->reread->end : block_frames(h);
        block_reader_set(w->reader, h, segblock_fetch, b->segblock);
        read_ahead(w, i + AHEAD);
        struct column_set set = matching_columns(use, &w->match);
        if (!use->again || !w->reread->bits) {
            block_reader_fetch(w->reader, &set);
        }
        w->fetched = false;
    }
    return w->block != NULL;
}

bool
scan_next_frame(struct worker *w)
{
    struct use *use = w->use;
    struct scan *x = use->scan;

    for (;;) {
        if (w->block && ++w->frame >= w->end) {
            w->block = NULL;
        }
        if (!w->block && !next_block(w)) {
            return false;
        }
        w->rows = block_frame_rows(w->block->segblock->head, w->frame);
        int e = select_rows(x, w);
        if (!e && w->n && !w->fetched) {
            block_reader_fetch(w->reader, wanted_columns(w));
            w->fetched = true;
        }
        for (unsigned i = 0; !e && w->n && i < use->n_columns; i++) {
            if (use->columns[i] < N_COLUMNS && !is_filled(x, use->columns[i])) {
                e = read_rows(w, use->columns[i]);
            }
        }
        if (e) {
            scan_report(x, w->block, e);
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
    w->use = use;
    /* 'w->n' rows may be left from the last time. */
    while (w->n || scan_next_frame(w)) {
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

static void
destroy_worker(void *aux)
{
    struct worker *w = aux;

    scan_sums_end(w);
    block_reader_destroy(w->reader);
    batch_destroy(w->batch);
    free(w);
}

static void
destroy_use(void *aux)
{
    struct use *use = aux;
    struct scan *x = use->scan;

    scan_sums_destroy(use->sums, x->store);
    for (size_t i = 0; i < use->n_reread; i++) {
        free(use->reread[i].bits);
    }
    free(use->reread);
    scan_take_memory(x->store, -use->bits_bytes);
    free(use);
    scan_unref(x);
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

/* The columns that sums need. */
static void
want_sums(struct use *use)
{
    const struct sums_spec *p = &use->scan->sums;

    if (p->bucket_us) {
        column_set_add(&use->wanted, COL_flow_end);
    }
    for (unsigned i = 0; i < p->n_keys; i++) {
        column_set_add(&use->wanted, p->keys[i].column);
    }
    use->ordering = use->wanted;
    for (unsigned i = 0; i < p->n_metrics; i++) {
        if (p->metrics[i] < N_COLUMNS) {
            column_set_add(&use->wanted, p->metrics[i]);
        }
    }
    if (p->n_metrics && p->metrics[p->order] < N_COLUMNS) {
        column_set_add(&use->ordering, p->metrics[p->order]);
    }
    if (use->scan->spec.totals) {
        use->ordering = use->wanted;
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
    use->scan = x;
    if (x->spec.sums && !(use->sums = scan_sums_create(use))) {
        free(use);
        duckdb_init_set_error(info, "out of memory");
        return;
    }
    for (idx_t i = 0; !x->spec.sums && i < n; i++) {
        idx_t id = duckdb_init_get_column_index(info, i);
        use->columns[i] = (uint16_t) (id < N_COLUMNS ? id : N_COLUMNS);
        use->n_columns++;
        if (id < N_COLUMNS && !is_filled(x, (unsigned) id)) {
            column_set_add(&use->wanted, (unsigned) id);
        }
        names |= id < N_COLUMNS && columns[id].type == COLUMN_T_NAME;
    }
    for (unsigned i = 0; x->spec.sums && i < x->sums.n_keys; i++) {
        names |= columns[x->sums.keys[i].column].type == COLUMN_T_NAME;
    }
    if (x->spec.sums) {
        want_sums(use);
    }
    pthread_mutex_lock(&x->dict_lock);
    if (names && !x->dict) {
        x->dict = names_create();
    }
    pthread_mutex_unlock(&x->dict_lock);
    pthread_mutex_lock(&x->store->scans_lock);
    x->n_refs++;                /* Workers, too, are gone before their use. */
    pthread_mutex_unlock(&x->store->scans_lock);
    duckdb_init_set_init_data(info, use, destroy_use);
    if (names && !x->dict) {
        duckdb_init_set_error(info, "out of memory");
    }
    size_t threads = x->view->n_blocks < x->store->config.query_threads
                     ? x->view->n_blocks : x->store->config.query_threads;
    threads = threads < MAX_WORKERS ? threads : MAX_WORKERS;
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

static void
on_bind_sums(duckdb_bind_info info)
{
    struct store *s = duckdb_bind_get_extra_info(info);
    duckdb_value v = duckdb_bind_get_parameter(info, 0);
    struct scan *x = find_scan(s, duckdb_get_uint64(v));

    duckdb_destroy_value(&v);
    if (!x || !x->spec.sums) {
        duckdb_bind_set_error(info, "there is no such scan");
    } else {
        scan_sums_bind(x, info);
    }
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
           && register_one(s, "venturi_sums", on_bind_sums, scan_sums_run, false)
              == DuckDBSuccess ? 0 : -EIO;
}
