/* daemon/observe.h -- from OVSDB snapshots to what the workers know.
 *
 * Pure: plain values in, an observation map out (lib/source.h). */
#ifndef DAEMON_OBSERVE_H
#define DAEMON_OBSERVE_H 1

#include <stdbool.h>
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

/* A probe of a Linux bridge: its records tell the interface by ifIndex. */
struct observe_probe {
    uint32_t ifindex;
    const char *name;
    const char *target;         /* Address and port. */
    uint8_t protocol;           /* PROTO_NETFLOW5, PROTO_NETFLOW9, PROTO_IPFIX. */
    uint32_t sampling;
};
#define OBSERVE_MAX_PROBES 256

/* Builds a map, generation 'gen', of every export row in 'snapshots' (of which
 * some may be NULL) that has one of our addresses among its targets, and of the
 * probes of this host that send to us.  'now_us', wall clock, tells which
 * protocols of a bridge have been silent.  NULL if out of memory. */
struct observation_map *observe_build(
    const struct ovs_snapshot *const *snapshots, size_t n_snapshots,
    const struct observe_listen *, size_t n_listen,
    const struct observe_probe *, size_t n_probes, struct dict *,
    int64_t now_us, uint64_t gen);

/* Whether the two differ in what is canonical. */
bool observe_canonical_differs(const struct observation_map *,
                               const struct observation_map *);

#endif /* daemon/observe.h */
