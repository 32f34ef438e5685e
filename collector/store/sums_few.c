#include <config.h>

#include "collector/store/sums_p.h"

#include <errno.h>
#include <string.h>

/* Rows that follow each other mostly belong to the same few groups.  Adding each
 * to its group would wait for the sum of the row before, so neighbours are added
 * to sums of their own, which the groups get once a frame. */
#define LANES 8
#define UNROLL _Pragma("GCC unroll 8")

struct few {
    uint8_t key[FRAME_ROWS];    /* Of each row: the end of its word. */
    unsigned n;                 /* Keys that there are. */
    uint8_t keys[SUMS_FEW_KEYS];        /* Which. */
    uint64_t *groups[SUMS_FEW_KEYS];    /* Of these. */
};

/* Whether the words of the frame are the same but for what a key has. */
static bool
are_close(const uint64_t *w, uint32_t n)
{
    uint64_t differ = 0;

    for (uint32_t i = 0; i < n && differ < SUMS_FEW_KEYS; ) {
        uint32_t end = n - i < 64 ? n : i + 64;
        UNROLL
        for (; i < end; i++) {
            differ |= w[i] ^ w[0];
        }
    }
    return differ < SUMS_FEW_KEYS;
}

static void
find_keys(struct few *f, const uint64_t *w, uint32_t n)
{
    uint8_t seen[SUMS_FEW_KEYS] = { 0 };

    UNROLL
    for (uint32_t i = 0; i < n; i++) {
        uint8_t k = (uint8_t) w[i];
        f->key[i] = k;
        seen[k] = 1;
    }
    f->n = 0;
    for (unsigned k = 0; k < SUMS_FEW_KEYS; k += 8) {
        uint64_t any;
        memcpy(&any, seen + k, sizeof any);
        for (unsigned i = k; any && i < k + 8; i++) {
            if (seen[i]) {
                f->keys[f->n++] = (uint8_t) i;
            }
        }
    }
}

static uint64_t
sum_of(const uint64_t *v, const uint16_t *index, uint32_t n)
{
    uint64_t sum = 0;

    if (!index) {
        for (uint32_t i = 0; i < n; i++) {
            sum += v[i];
        }
        return sum;
    }
    for (uint32_t i = 0; i < n; i++) {
        sum += v[index[i]];
    }
    return sum;
}

static void
count(const struct few *f, uint32_t n, uint64_t lanes[LANES][SUMS_FEW_KEYS])
{
    uint32_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        UNROLL
        for (unsigned k = 0; k < LANES; k++) {
            lanes[k][f->key[i + k]]++;
        }
    }
    for (; i < n; i++) {
        lanes[0][f->key[i]]++;
    }
}

static void
add_list(const struct few *f, const uint64_t *v, const uint16_t *index,
         uint32_t n, uint64_t lanes[LANES][SUMS_FEW_KEYS])
{
    uint32_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        UNROLL
        for (unsigned k = 0; k < LANES; k++) {
            lanes[k][f->key[i + k]] += v[index[i + k]];
        }
    }
    for (; i < n; i++) {
        lanes[0][f->key[i]] += v[index[i]];
    }
}

static void
add_values(const struct few *f, const uint64_t *v, uint32_t n,
           uint64_t lanes[LANES][SUMS_FEW_KEYS])
{
    uint32_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        UNROLL
        for (unsigned k = 0; k < LANES; k++) {
            lanes[k][f->key[i + k]] += v[i + k];
        }
    }
    for (; i < n; i++) {
        lanes[0][f->key[i]] += v[i];
    }
}

/* Adds one metric, 'v' of each row (NULL: 1), to word 'at' of the groups. */
static void
add_metric(const struct few *f, unsigned at, const uint64_t *v,
           const uint16_t *index, uint32_t n)
{
    uint64_t lanes[LANES][SUMS_FEW_KEYS];

    if (f->n == 1) {
        f->groups[0][at] += v ? sum_of(v, index, n) : n;
        return;
    }
    for (unsigned i = 0; i < f->n; i++) {
        for (unsigned k = 0; k < LANES; k++) {
            lanes[k][f->keys[i]] = 0;
        }
    }
    if (!v) {
        count(f, n, lanes);
    } else if (index) {
        add_list(f, v, index, n, lanes);
    } else {
        add_values(f, v, n, lanes);
    }
    for (unsigned i = 0; i < f->n; i++) {
        for (unsigned k = 0; k < LANES; k++) {
            f->groups[i][at] += lanes[k][f->keys[i]];
        }
    }
}

/* The same for the largest of each group. */
static void
add_extreme(const struct few *f, unsigned at, const uint64_t *v, uint64_t flip,
            const uint16_t *index, uint32_t n)
{
    uint64_t most[SUMS_FEW_KEYS];

    for (unsigned i = 0; i < f->n; i++) {
        most[f->keys[i]] = f->groups[i][at];
    }
    for (uint32_t i = 0; i < n; i++) {
        uint64_t x = (index ? v[index[i]] : v[i]) ^ flip;
        uint64_t *to = &most[f->key[i]];
        *to = x > *to ? x : *to;
    }
    for (unsigned i = 0; i < f->n; i++) {
        f->groups[i][at] = most[f->keys[i]];
    }
}

int
sums_add_few(struct sums *s, const struct flow_batch *b,
             const uint16_t *index, uint32_t n)
{
    struct few f;

    if (!s->direct || s->flags || !n || !are_close(s->words[0], n)) {
        return 0;
    }
    uint64_t rest = s->words[0][0] & ~(uint64_t) (SUMS_FEW_KEYS - 1);
    find_keys(&f, s->words[0], n);
    /* Groups are found by words, so the first ones make room for the keys. */
    for (unsigned i = 0; i < f.n; i++) {
        s->words[0][i] = rest | f.keys[i];
    }
    int e = sums_find(s, f.n);
    if (e) {
        return e;
    }
    memcpy(f.groups, s->group, f.n * sizeof f.groups[0]);
    for (unsigned m = 0; m < s->spec.n_metrics; m++) {
        unsigned id = s->spec.metrics[m];
        const uint64_t *v = id < N_COLUMNS
                            ? (const void *) ((const uint8_t *) b
                                              + columns[id].offset) : NULL;
        const uint16_t *list = n == b->n ? NULL : index;
        if (s->extremes >> m & 1) {
            add_extreme(&f, s->n_words + m, v, s->flip[m], list, n);
        } else {
            add_metric(&f, s->n_words + m, v, list, n);
        }
    }
    return 1;
}
