/* bgp/view.h -- which peers' tables an exporter's flows are looked up in; made
 * anew when peers come or go, immutable once readers see it. */
#ifndef BGP_VIEW_H
#define BGP_VIEW_H 1

#include <stdint.h>

#include "bgp/rib_p.h"
#include "bgp/stamp.h"

/* A set of peers. */
struct view {
    uint32_t n;
    uint16_t one;               /* If 'n' is 1. */
    uint64_t *bits;             /* By number; NULL if 'n' is below 2. */
};

struct view_slot {
    struct addr exporter;
    bool used;
    struct view view;
};

struct views {
    uint32_t n_words;           /* Of each set. */
    uint32_t n_slots;           /* A power of 2. */
    uint32_t n_used;
    struct view_slot *slots;    /* By exporter. */
    struct view defaults;
};

/* NULL if out of memory. */
struct views *views_build(const struct rib *, const struct stamp_config *);
void views_destroy(struct views *);             /* NULL is fine. */

/* NULL: no peer is this exporter's. */
const struct view *views_of(const struct views *, const struct addr *);

static inline bool
view_has(const struct view *v, uint32_t peer)
{
    return v->bits ? v->bits[peer / 64] >> peer % 64 & 1
                   : v->n && v->one == peer;
}

#endif /* bgp/view.h */
