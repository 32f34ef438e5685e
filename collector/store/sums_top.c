#include <config.h>

#include "collector/store/sums_p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Groups go into cells by bits of their hash that neither the table nor
 * partitions use.  A cell's sum is no smaller than that of any group in it. */
#define CELLS SUMS_CELLS

/* More groups than these do not fit into a core's cache.  If most rows are not
 * looked at, it costs less to wait for memory than to read blocks again. */
#define CROWD (1u << 14)
#define CROWD_OF_FEW (1u << 17)
#define FEW_PART 8
/* Cells that are looked into at first: these for each group that is wanted. */
#define CELLS_EACH 4
#define CELLS_MORE 64
#define MAX_TOP 1024
_Static_assert(CELLS_EACH * MAX_TOP + CELLS_MORE <= CELLS / 16,
               "the first look is at few");

struct sums_top {
    uint64_t cells[CELLS];      /* Of all threads. */
    uint64_t chosen[CELLS / 64];
    uint64_t least;             /* Chosen are those with so much or more. */
};

static inline uint32_t
cell(uint64_t hash)
{
    return (uint32_t) (hash >> 40) & (CELLS - 1);
}

bool
sums_top_can(const struct sums_spec *spec)
{
    for (unsigned i = 0; i < spec->n_metrics; i++) {
        if (spec->metrics[i] < N_COLUMNS
            && columns[spec->metrics[i]].flags & CF_NULL) {
            return false;       /* Nothing is cut then. */
        }
    }
    return spec->top && spec->top <= MAX_TOP && spec->descending;
}

bool
sums_is_crowded(const struct sums *s, uint64_t matched, uint64_t rows)
{
    return s->n > (matched < rows / FEW_PART ? CROWD_OF_FEW : CROWD)
           && !s->direct && !sums_is_split(s);
}

bool
sums_is_direct(const struct sums *s)
{
    return s->direct;
}

/* ---- The first pass. ---- */

int
sums_sketch(struct sums *s, struct block_reader *r, unsigned frame,
            struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    unsigned id = s->spec.metrics[s->spec.order];
    int e = 0;

    if (!s->sketch) {
        s->sketch = sums_alloc_table(SUMS_SKETCH_BYTES);
        if (!s->sketch) {
            return -ENOMEM;
        }
        memset(s->sketch, 0, SUMS_SKETCH_BYTES);
    }
    if (id < N_COLUMNS) {
        e = block_read_rows(r, id, frame, b, index, n);
    }
    e = e ? e : sums_make_rough_keys(s, r, frame, b, index, n);
    if (e) {
        return e;
    }
    for (uint32_t i = 0; i < n; i++) {
        s->hash[i] = cell(sums_hash(s->words[0] + i, FRAME_ROWS, s->n_words));
        __builtin_prefetch(&s->sketch[s->hash[i]], 1);
    }
    if (id >= N_COLUMNS) {
        for (uint32_t i = 0; i < n; i++) {
            s->sketch[s->hash[i]]++;
        }
        return 0;
    }
    const uint64_t *v = (const void *) ((const uint8_t *) b
                                        + columns[id].offset);
    for (uint32_t i = 0; i < n; i++) {
        s->sketch[s->hash[i]] += v[index[i]];
    }
    return 0;
}

bool
sums_is_sketched(const struct sums *s)
{
    return s->sketch != NULL;
}

/* ---- What to look at again. ---- */

struct sums_top *
sums_top_create(void)
{
    return calloc(1, sizeof(struct sums_top));
}

void
sums_top_destroy(struct sums_top *t)
{
    free(t);
}

/* The 'n'th largest of 'count' numbers, which 'get' tells; 0 if there are fewer
 * or no memory. */
static uint64_t
nth(size_t n, size_t count, uint64_t (*get)(const void *, size_t),
    const void *aux)
{
    uint64_t *heap = calloc(n, sizeof *heap), least = 0;
    for (size_t i = 0; heap && i < count; i++) {
        uint64_t v = get(aux, i);
        if (v > heap[0]) {
            sums_sift(heap, n, v);
        }
    }
    least = heap ? heap[0] : 0;
    free(heap);
    return least;
}

static uint64_t
get_cell(const void *aux, size_t i)
{
    const struct sums_top *t = aux;
    return t->cells[i];
}

static uint64_t
get_group(const void *aux, size_t i)
{
    const struct sums *s = aux;
    return sums_group(s, (uint32_t) i)[s->n_words + s->spec.order];
}

/* Chooses cells of at least 'least' that were not chosen before. */
static void
choose(struct sums_top *t, uint64_t least)
{
    for (uint32_t i = 0; i < CELLS; i += 64) {
        uint64_t now = 0;
        for (uint32_t k = 0; k < 64; k++) {
            now |= (uint64_t) (t->cells[i + k] >= least) << k;
        }
        t->chosen[i / 64] = now & ~t->chosen[i / 64];
    }
    t->least = least;
}

bool
sums_top_choose(struct sums_top *t, struct sums *const *all, unsigned n)
{
    bool split = false;

    for (unsigned i = 0; i < n; i++) {
        struct sums *s = all[i];
        for (uint32_t k = 0; s->sketch && k < CELLS; k++) {
            t->cells[k] += s->sketch[k];
        }
        free(s->sketch);
        s->sketch = NULL;
        split |= sums_is_split(s);
        /* What it had added before. */
        for (uint32_t g = 0; g < s->n; g++) {
            const uint64_t *group = sums_group(s, g);
            uint64_t words[MAX_WORDS];
            sums_rough_group(s, group, words);
            t->cells[cell(sums_hash(words, 1, s->n_words))]
                += group[s->n_words + s->spec.order];
        }
    }
    size_t wanted = n ? CELLS_EACH * (size_t) all[0]->spec.top + CELLS_MORE
                      : 1;
    /* What is in partitions is in no cell. */
    choose(t, split ? 0 : nth(wanted, CELLS, get_cell, t));
    return t->least != 0;
}

int
sums_top_add(const struct sums_top *t, struct sums *s,
             struct block_reader *r, unsigned frame, struct flow_batch *b,
             const uint16_t *index, uint32_t n)
{
    uint16_t few[FRAME_ROWS];
    uint32_t n_few = 0;
    int e = sums_make_rough_keys(s, r, frame, b, index, n);

    for (uint32_t i = 0; !e && i < n; i++) {
        uint32_t c = cell(sums_hash(s->words[0] + i, FRAME_ROWS, s->n_words));
        few[n_few] = index[i];
        n_few += t->chosen[c / 64] >> c % 64 & 1;
    }
    return e || !n_few ? e : sums_add(s, r, frame, b, few, n_few);
}

int
sums_top_check(struct sums_top *t, struct sums *const *all, unsigned n,
               bool *sure)
{
    uint64_t least = 0;
    int e = 0;

    for (unsigned i = 0; i < n; i++) {
        e = sums_is_split(all[i]) ? -EOVERFLOW : e;
    }
    for (unsigned i = 1; !e && i < n; i++) {
        e = sums_merge(all[0], all[i]);
        if (!e) {
            sums_empty_table(all[i]);
        }
    }
    if (!e && n) {
        least = nth((size_t) all[0]->spec.top, all[0]->n, get_group, all[0]);
    }
    /* All that was left out is smaller than 't->least'. */
    *sure = !e && least >= t->least;
    if (!*sure) {
        choose(t, least);
    }
    return e == -ENOMEM ? e : 0;
}
