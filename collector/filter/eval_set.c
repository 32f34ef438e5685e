/* collector/filter/eval_set.c -- many addresses of one end, looked up at once:
 * what "ip in [ ... ]" is made of. */

#include <config.h>

#include "collector/filter/eval_p.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mix.h"

/* Most addresses are not in the list, which a map of bits tells: one for each
 * hash, of so many more than there are slots. */
#define MAP_MORE 5

/* Open addressing, at most half full. */
struct addr_set {
    unsigned bits;
    bool *used;
    struct addr *list;
    uint64_t *map;              /* 2 to the power of bits + MAP_MORE. */
};

/* Not good, but quick: the bit of an address. */
static inline size_t
map_bit(const struct addr *a, unsigned shift)
{
    uint64_t half[2];
    memcpy(half, a, sizeof half);
    return (size_t) (((half[0] ^ half[0] >> 32) * UINT64_C(0xff51afd7ed558ccd)
                      + half[1]) * UINT64_C(0x9e3779b97f4a7c15) >> shift);
}

static unsigned
map_shift(const struct addr_set *s)
{
    return 64 - s->bits - MAP_MORE;
}

static size_t
place(const struct addr_set *s, const struct addr *a)
{
    uint64_t half[2];
    memcpy(half, a, sizeof half);
    /* Any two odd numbers: half an address is 0 often. */
    uint64_t h = mix64(half[0] ^ UINT64_C(0xff51afd7ed558ccd),
                       half[1] ^ UINT64_C(0x9e3779b97f4a7c15));
    size_t mask = ((size_t) 1 << s->bits) - 1, i = h & mask;
    while (s->used[i] && memcmp(&s->list[i], a, sizeof *a)) {
        i = (i + 1) & mask;
    }
    return i;
}

struct addr_set *
eval_set_create(unsigned n)
{
    struct addr_set *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->bits = 1;
    while ((1u << s->bits) < 2 * n) {
        s->bits++;
    }
    s->used = calloc((size_t) 1 << s->bits, sizeof *s->used);
    s->list = calloc((size_t) 1 << s->bits, sizeof *s->list);
    s->map = calloc((size_t) 1 << (s->bits + MAP_MORE - 6), sizeof *s->map);
    if (!s->used || !s->list || !s->map) {
        eval_set_destroy(s);
        return NULL;
    }
    return s;
}

void
eval_set_destroy(struct addr_set *s)
{
    if (s) {
        free(s->used);
        free(s->list);
        free(s->map);
        free(s);
    }
}

void
eval_set_add(struct addr_set *s, const struct addr *a)
{
    size_t i = place(s, a);
    size_t bit = map_bit(a, map_shift(s));
    s->used[i] = true;
    s->list[i] = *a;
    s->map[bit / 64] |= UINT64_C(1) << bit % 64;
}

void
eval_set(const struct step *s, const struct flow_batch *b, unsigned words,
         uint64_t *out)
{
    const struct addr *v = s->column == COL_dst_addr ? b->dst_addr
                                                     : b->src_addr;
    const struct addr_set *set = s->set;
    unsigned shift = map_shift(set);

    for (unsigned w = 0; w < words; w++) {
        unsigned n = b->n - 64 * w < 64 ? b->n - 64 * w : 64;
        const struct addr *a = &v[64 * w];
        uint64_t maybe = 0, found = 0;

        for (unsigned i = 0; i < n; i++) {
            size_t bit = map_bit(&a[i], shift);
            maybe |= (set->map[bit / 64] >> bit % 64 & 1) << i;
        }
        for (; maybe; maybe &= maybe - 1) {
            unsigned i = (unsigned) __builtin_ctzll(maybe);
            found |= (uint64_t) set->used[place(set, &a[i])] << i;
        }
        out[w] = found;
    }
}
