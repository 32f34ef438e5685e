/* collector/filter/eval_set.c -- many addresses of one end, looked up at once:
 * what "ip in [ ... ]" is made of. */

#include <config.h>

#include "collector/filter/eval_p.h"

#include <stdlib.h>
#include <string.h>

#include "lib/mix.h"

/* Open addressing, at most half full. */
struct addr_set {
    unsigned bits;
    bool *used;
    struct addr *list;
};

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
    while ((1u << s->bits) < 2 * n) {
        s->bits++;
    }
    s->used = calloc((size_t) 1 << s->bits, sizeof *s->used);
    s->list = calloc((size_t) 1 << s->bits, sizeof *s->list);
    if (!s->used || !s->list) {
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
        free(s);
    }
}

void
eval_set_add(struct addr_set *s, const struct addr *a)
{
    size_t i = place(s, a);
    s->used[i] = true;
    s->list[i] = *a;
}

void
eval_set(const struct step *s, const struct flow_batch *b, unsigned words,
         uint64_t *out)
{
    const struct addr *v = s->column == COL_dst_addr ? b->dst_addr
                                                     : b->src_addr;
    for (unsigned w = 0; w < words; w++) {
        unsigned n = b->n - 64 * w < 64 ? b->n - 64 * w : 64;
        out[w] = 0;
        for (unsigned i = 0; i < n; i++) {
            out[w] |= (uint64_t) s->set->used[place(s->set, &v[64 * w + i])]
                      << i;
        }
    }
}
