/* bgp/stamp.h -- the stage that gives each flow the routes of both its ends.
 *
 * Whose table a route is taken from is a view:
 *   1. "exporter": the peers of the flow's exporter.  They are configured, or
 *      else those whose session address, BGP identifier or (BMP) router is the
 *      exporter's address.
 *   2. "default": configured peers.
 *   3. "best": all peers.
 * The first that has a route for the address is taken, its longest match.  Of
 * several routes of that prefix the best one is (see rib.c's route_compare());
 * but of the exporter's own towards the destination, one whose next hop is the
 * flow's.
 *
 * What the exporter said itself stays, but for an AS number or prefix length of
 * 0, which means that it did not know. */
#ifndef BGP_STAMP_H
#define BGP_STAMP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

struct dict;
struct flow_batch;
struct rib;
struct rib_peer;
struct stamper;                                         /* Opaque. */

/* Peers are named as in bgp.neighbors, by their address, or (BMP) by their
 * router's, which means all of its. */
struct stamp_map {
    struct addr exporter;
    const char *const *peers;
    size_t n_peers;
};

struct stamp_config {
    const struct stamp_map *maps;
    size_t n_maps;
    const char *const *defaults;
    size_t n_defaults;
};

/* NULL if out of memory. */
struct stamper *stamper_create(struct rib *, struct dict *);
void stamper_destroy(struct stamper *);         /* NULL is fine. */

/* Takes a copy.  Writer only, like the next two.  Returns 0 or -ENOMEM. */
int stamper_configure(struct stamper *, const struct stamp_config *);

/* Looks at the peers again if they are others than last time.  Returns 0 or
 * -ENOMEM. */
int stamper_refresh(struct stamper *);

/* Whether stamper_refresh() has something to do. */
bool stamper_stale(const struct stamper *);

/* Whether the table of peer 'number' is a view of 'exporter'. */
bool stamper_is_view(const struct stamper *, const struct addr *exporter,
                     uint32_t number);

/* Reader: a stage.  'stamper' is a struct stamper *. */
void stamp_process(void *stamper, struct flow_batch *);

#endif /* bgp/stamp.h */
