#include <config.h>

#include "collector/store/sums_p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_GROUPS 16384u
/* More groups than these are not kept in one table, which would not fit into
 * caches; fewer are not worth partitions. */
#define TABLE_GROUPS (UINT32_C(1) << 18)

struct sums *
sums_create(const struct sums_spec *spec, struct sums_addrs *addrs)
{
    struct sums *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->spec = *spec;
    s->addrs = addrs;
    s->fd = -1;
    sums_place_keys(s);
    for (unsigned i = 0; i < spec->n_metrics; i++) {
        if (spec->of[i] != SUMS_ADD) {
            s->extremes |= UINT32_C(1) << i;
            s->flip[i] = columns[spec->metrics[i]].type == COLUMN_T_TIME
                         ? UINT64_C(1) << 63 : 0;
            s->flip[i] ^= spec->of[i] == SUMS_MIN ? UINT64_MAX : 0;
        }
        s->flags |= spec->metrics[i] < N_COLUMNS
                    && columns[spec->metrics[i]].flags & CF_NULL;
    }
    s->size = s->n_words + spec->n_metrics + s->flags;
    s->chunk_rows = (CHUNK_BYTES - sizeof(struct chunk)) / (s->size * 8);
    return s;
}

static void
free_groups(struct sums *s)
{
    for (uint32_t i = 0; i < s->n_pages; i++) {
        free(s->pages[i]);
    }
    free(s->pages);
    free(s->slots);
    free(s->groups);
    s->pages = NULL;
    s->slots = s->groups = NULL;
    s->n = s->n_pages = s->allocated_pages = s->mask = 0;
    s->n_groups = s->allocated_slots = 0;
    s->n_table = 0;
}

void
sums_destroy(struct sums *s)
{
    if (s) {
        free_groups(s);
        sums_clear_keys(s);
        sums_clear_parts(s);
        free(s->best);
        free(s->piece);
        free(s->sketch);
        free(s);
    }
}

void
sums_reset(struct sums *s)
{
    free_groups(s);
    sums_clear_parts(s);
    memset(s->bound, 0, sizeof s->bound);
}

uint64_t
sums_split_bytes(const struct sums *s)
{
    return s->n_arenas * ARENA_BYTES;
}

uint64_t
sums_bytes(const struct sums *s)
{
    return (uint64_t) s->n_pages * PAGE_GROUPS * s->size * 8
           + s->allocated_slots * 4 + s->n_groups * 4
           + sums_split_bytes(s)
           + (s->known.slots ? ((uint64_t) s->known.mask + 1)
                               * sizeof(struct addr_slot) : 0)
           + (s->sketch ? SUMS_SKETCH_BYTES : 0);
}

uint32_t
sums_count(const struct sums *s)
{
    return s->n;
}

/* Memory is kept: more will come. */
void
sums_empty_table(struct sums *s)
{
    if (s->slots) {
        memset(s->slots, 0, ((size_t) s->mask + 1) * sizeof *s->slots);
    }
    if (s->groups) {
        memset(s->groups, 0xff, s->n_groups * sizeof *s->groups);
    }
    s->n = 0;
    s->n_table = 0;
}

/* ---- Groups. ---- */

/* A new group, all zeros; NONE if out of memory. */
static uint32_t
add_group(struct sums *s)
{
    if (s->n == s->n_pages * PAGE_GROUPS) {
        if (s->n_pages == s->allocated_pages) {
            uint32_t n = s->allocated_pages ? 2 * s->allocated_pages : 16;
            uint64_t **p = realloc(s->pages, n * sizeof *p);
            if (!p) {
                return NONE;
            }
            s->pages = p;
            s->allocated_pages = n;
        }
        uint64_t *page = malloc((size_t) PAGE_GROUPS * s->size * 8);
        if (!page || s->n >= UINT32_MAX - 2 * PAGE_GROUPS) {
            free(page);
            return NONE;
        }
        s->pages[s->n_pages++] = page;
    }
    memset(sums_group(s, s->n), 0, s->size * 8);
    return s->n++;
}

#define HUGE_PAGE ((size_t) 2 << 20)

void *
sums_alloc_table(size_t size)
{
    if (size < HUGE_PAGE || size % HUGE_PAGE) {
        return aligned_alloc(64, (size + 63) / 64 * 64);
    }
    void *p = aligned_alloc(HUGE_PAGE, size);
    if (p) {
        (void) madvise(p, size, MADV_HUGEPAGE);
    }
    return p;
}

/* Slots for so many groups. */
bool
sums_reserve(struct sums *s, uint64_t n)
{
    if (s->slots && n * 2 <= (uint64_t) s->mask + 1) {
        return true;
    }
    uint64_t size = 8192;
    while (n * 2 > size) {
        size *= 2;
    }
    if (size > UINT32_MAX) {
        return false;
    }
    if (size > s->allocated_slots) {
        uint32_t *slots = sums_alloc_table(size * sizeof *slots);
        if (!slots) {
            return false;
        }
        free(s->slots);
        s->slots = slots;
        s->allocated_slots = size;
    }
    uint32_t *slots = s->slots;
    memset(slots, 0, size * sizeof *slots);
    s->mask = (uint32_t) (size - 1);
    for (uint32_t g = 0; g < s->n; ) {
        uint32_t at[64], n_at = s->n - g < 64 ? s->n - g : 64;
        for (uint32_t k = 0; k < n_at; k++) {
            at[k] = (uint32_t) sums_hash(sums_group(s, g + k), 1, s->n_words)
                    & s->mask;
            __builtin_prefetch(&slots[at[k]], 1);
        }
        for (uint32_t k = 0; k < n_at; k++) {
            uint32_t i = at[k];
            while (slots[i]) {
                i = (i + 1) & s->mask;
            }
            slots[i] = ++g;
        }
    }
    return true;
}

static int
find_direct(struct sums *s, uint32_t n)
{
    const uint64_t *w = s->words[0];
    size_t most = 0;

    for (uint32_t i = 0; i < n; i++) {
        most = w[i] > most ? (size_t) w[i] : most;
    }
    if (most >= s->n_groups) {
        size_t size = s->n_groups ? s->n_groups : 1024;
        while (size <= most) {
            size *= 2;
        }
        uint32_t *p = realloc(s->groups, size * sizeof *p);
        if (!p) {
            return -ENOMEM;
        }
        memset(p + s->n_groups, 0xff, (size - s->n_groups) * sizeof *p);
        s->groups = p;
        s->n_groups = size;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *g = &s->groups[w[i]];
        if (*g == NONE) {
            *g = add_group(s);
            if (*g == NONE) {
                return -ENOMEM;
            }
            sums_group(s, *g)[0] = w[i];
        }
        s->group[i] = sums_group(s, *g);
    }
    return 0;
}

/* Whether group 'g' has words 'i'. */
static inline bool
is_group(const uint64_t *g, const uint64_t *w, unsigned n_words)
{
    bool same = g[0] == w[0];
    for (unsigned k = 1; same && k < n_words; k++) {
        same = g[k] == w[k * FRAME_ROWS];
    }
    return same;
}

/* Looks far ahead of what it compares, since most of a large table is not in a
 * cache. */
static int
find_hashed(struct sums *s, uint32_t n)
{
    const uint64_t *w = s->words[0];
    unsigned n_words = s->n_words;

    for (uint32_t i = 0; i < n; i++) {
        s->hash[i] = sums_hash(w + i, FRAME_ROWS, n_words);
        __builtin_prefetch(&s->slots[(uint32_t) s->hash[i] & s->mask]);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t g = s->slots[(uint32_t) s->hash[i] & s->mask];
        if (g) {
            __builtin_prefetch(sums_group(s, g - 1));
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t) s->hash[i] & s->mask, g;
        while ((g = s->slots[at])
               && !is_group(sums_group(s, g - 1), w + i, n_words)) {
            at = (at + 1) & s->mask;
        }
        if (!g) {
            g = add_group(s) + 1;
            if (g == 0) {
                return -ENOMEM;
            }
            s->slots[at] = g;
            uint64_t *x = sums_group(s, g - 1);
            for (unsigned k = 0; k < n_words; k++) {
                x[k] = w[k * FRAME_ROWS + i];
            }
        }
        s->group[i] = sums_group(s, g - 1);
    }
    return 0;
}

/* Records of their own in partitions. */
static int
find_rows(struct sums *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash = sums_hash(s->words[0] + i, FRAME_ROWS, s->n_words);
        s->group[i] = sums_add_row(s, i, hash);
        if (!s->group[i]) {
            return -ENOMEM;
        }
    }
    return 0;
}

int
sums_find(struct sums *s, uint32_t n)
{
    if (s->direct) {
        return find_direct(s, n);
    }
    return sums_reserve(s, (uint64_t) s->n + n) ? find_hashed(s, n)
                                                : -ENOMEM;
}

/* The same for records: a table that has got large is put aside. */
static int
find_for_records(struct sums *s, uint32_t n)
{
    if (s->bypass) {
        return find_rows(s, n);
    }
    if (!s->direct && s->n + n > TABLE_GROUPS) {
        s->bypass = s->n_table < 2 * (uint64_t) s->n;
        int e = sums_split(s);
        if (e) {
            return e;
        }
    }
    s->n_table += n;
    return sums_find(s, n);
}

/* ---- Sums. ---- */

/* The smallest or largest of each group. */
static void
add_extreme(struct sums *s, unsigned m, const struct flow_batch *b,
            const uint16_t *index, uint32_t n)
{
    unsigned id = s->spec.metrics[m], at = s->n_words + m;
    const uint64_t *v = (const void *) ((const uint8_t *) b
                                        + columns[id].offset);
    bool nullable = columns[id].flags & CF_NULL;

    for (uint32_t i = 0; i < n; i++) {
        uint64_t x = v[index[i]] ^ s->flip[m], *group = s->group[i];
        if (nullable && !batch_is_valid(b, id, index[i])) {
            continue;
        }
        group[at] = x > group[at] ? x : group[at];
        if (nullable) {
            group[s->size - 1] |= UINT64_C(1) << m;
        }
    }
}

static void
add_metric(struct sums *s, unsigned m, const struct flow_batch *b,
           const uint16_t *index, uint32_t n)
{
    unsigned id = s->spec.metrics[m], at = s->n_words + m;

    if (id >= N_COLUMNS) {
        for (uint32_t i = 0; i < n; i++) {
            s->group[i][at]++;
        }
        return;
    }
    if (s->extremes >> m & 1) {
        add_extreme(s, m, b, index, n);
        return;
    }
    const uint64_t *v = (const void *) ((const uint8_t *) b
                                        + columns[id].offset);
    if (!(columns[id].flags & CF_NULL)) {
        if (n == b->n) {
            for (uint32_t i = 0; i < n; i++) {
                s->group[i][at] += v[i];
            }
            return;
        }
        for (uint32_t i = 0; i < n; i++) {
            s->group[i][at] += v[index[i]];
        }
        return;
    }
    unsigned flags = s->size - 1;
    for (uint32_t i = 0; i < n; i++) {
        if (batch_is_valid(b, id, index[i])) {
            s->group[i][at] += v[index[i]];
            s->group[i][flags] |= UINT64_C(1) << m;
        }
    }
}

bool
sums_fit(struct sums *s, const struct block_head *h)
{
    uint64_t bound[SUMS_MAX_METRICS];

    for (unsigned m = 0; m < s->spec.n_metrics; m++) {
        unsigned id = s->spec.metrics[m];
        if (s->extremes >> m & 1) {
            bound[m] = 0;       /* Nothing adds up. */
            continue;
        }
        const struct block_column *c = id < N_COLUMNS ? block_column(h, id)
                                                      : NULL;
        uint64_t max = id >= N_COLUMNS ? 1 : c ? c->max.u : 0, most;
        if (__builtin_mul_overflow(max, (uint64_t) h->n_rows, &most)
            || __builtin_add_overflow(s->bound[m], most, &bound[m])) {
            return false;
        }
    }
    memcpy(s->bound, bound, s->spec.n_metrics * sizeof bound[0]);
    return true;
}

int
sums_add(struct sums *s, struct block_reader *r, unsigned frame,
         struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    int e = sums_make_keys(s, r, frame, b, index, n);
    return e ? e : sums_add_words(s, r, frame, b, index, n);
}

int
sums_add_words(struct sums *s, struct block_reader *r, unsigned frame,
               struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    int e = 0;

    for (unsigned m = 0; !e && m < s->spec.n_metrics; m++) {
        if (s->spec.metrics[m] < N_COLUMNS) {
            e = block_read_rows(r, s->spec.metrics[m], frame, b, index, n);
        }
    }
    if (!e) {
        e = sums_add_few(s, b, index, n);
        if (e) {
            return e < 0 ? e : 0;
        }
        e = find_for_records(s, n);
    }
    for (unsigned m = 0; !e && m < s->spec.n_metrics; m++) {
        add_metric(s, m, b, index, n);
    }
    return e;
}

/* ---- All together. ---- */

bool
sums_add_bounds(struct sums *s, const struct sums *o)
{
    uint64_t bound[SUMS_MAX_METRICS];
    for (unsigned m = 0; m < s->spec.n_metrics; m++) {
        if (__builtin_add_overflow(s->bound[m], o->bound[m], &bound[m])) {
            return false;
        }
    }
    memcpy(s->bound, bound, s->spec.n_metrics * sizeof bound[0]);
    return true;
}

int
sums_merge(struct sums *s, const struct sums *o)
{
    if (!sums_add_bounds(s, o)) {
        return -EOVERFLOW;
    }
    int e = 0;
    for (uint32_t g = 0; !e && g < o->n; ) {
        uint32_t n = o->n - g < FRAME_ROWS ? o->n - g : FRAME_ROWS;
        for (uint32_t i = 0; i < n; i++) {
            const uint64_t *x = sums_group(o, g + i);
            for (unsigned k = 0; k < s->n_words; k++) {
                s->words[k][i] = x[k];
            }
        }
        e = sums_find(s, n);
        for (uint32_t i = 0; !e && i < n; i++) {
            sums_join(s, s->group[i], sums_group(o, g + i));
        }
        g += n;
    }
    return e;
}

void
sums_sift(uint64_t *heap, size_t n, uint64_t v)
{
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) {
            break;
        }
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (heap[child] >= v) {
            break;
        }
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = v;
}

/* What is ordered by: more is better. */
static uint64_t
rank(const struct sums *s, const uint64_t *group)
{
    uint64_t v = group[s->n_words + s->spec.order];
    return s->spec.descending ? v : ~v;
}

void
sums_cut(struct sums *s)
{
    size_t n = (size_t) s->spec.top;
    if (!n || s->flags) {
        return;                 /* Null is neither large nor small. */
    }
    if (!s->best) {
        s->best = calloc(n, sizeof *s->best);
        if (!s->best) {
            return;             /* It only spares work. */
        }
    }
    /* Zeros stand for what has not come yet. */
    for (uint32_t g = 0; g < s->n; g++) {
        uint64_t v = rank(s, sums_group(s, g));
        if (v > s->best[0]) {
            sums_sift(s->best, n, v);
        }
    }
    s->cut = s->best[0];
    s->is_cut = true;
}

void
sums_get_metrics(const struct sums *s, const uint64_t *group,
                 struct sums_value *metrics)
{
    for (unsigned m = 0; m < s->spec.n_metrics; m++) {
        unsigned id = s->spec.metrics[m];
        metrics[m].u = group[s->n_words + m] ^ s->flip[m];
        metrics[m].null = id < N_COLUMNS && columns[id].flags & CF_NULL
                          && !(group[s->size - 1] >> m & 1);
    }
}

bool
sums_get(const struct sums *s, uint32_t i, int64_t *time_us,
         struct sums_value *keys, struct sums_value *metrics)
{
    const uint64_t *group = sums_group(s, i);

    if (s->is_cut && rank(s, group) < s->cut) {
        return false;
    }
    sums_get_keys(s, group, time_us, keys);
    sums_get_metrics(s, group, metrics);
    return true;
}
