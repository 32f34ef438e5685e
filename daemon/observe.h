/* daemon/observe.h -- from OVSDB snapshots to what the workers know.
 *
 * Pure: plain values in, an observation map out (lib/source.h). */
#ifndef DAEMON_OBSERVE_H
#define DAEMON_OBSERVE_H 1

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "ovsdb/export.h"

struct dict;
struct observation_map;

/* Where our collector listens for one protocol. */
struct observe_listen {
    enum export_table table;
    struct addr addr;           /* All zeros or 0.0.0.0: every address. */
    uint16_t port;
};

/* Builds a map, generation 'gen', of every export row in 'snapshots' (of which
 * some may be NULL) that has one of our addresses among its targets.  NULL if
 * out of memory. */
struct observation_map *observe_build(
    const struct ovs_snapshot *const *snapshots, size_t n_snapshots,
    const struct observe_listen *, size_t n_listen, struct dict *,
    uint64_t gen);

#endif /* daemon/observe.h */
