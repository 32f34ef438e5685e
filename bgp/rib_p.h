/* bgp/rib_p.h -- inside of the RIB: what its writer and its readers share. */
#ifndef BGP_RIB_P_H
#define BGP_RIB_P_H 1

#include <stdatomic.h>

#include "bgp/arena.h"
#include "bgp/attrs.h"
#include "bgp/lpm.h"
#include "bgp/rib.h"

struct dict;

/* A route of a prefix: 12 bytes.  Only 'attrs' and 'epoch' change once readers
 * can see it. */
struct route {
    uint32_t attrs;
    uint32_t path_id;
    uint16_t peer;
    uint8_t epoch;              /* Of its peer and family, when told. */
    uint8_t family;
};

#define NO_ROUTE UINT16_MAX
#define MAX_ROUTES 4096         /* Of a prefix. */

/* The routes of a prefix. */
struct block {
    uint16_t n, room;
    uint16_t best;              /* Of those that may stamp; or NO_ROUTE. */
    uint8_t len;                /* Of the prefix. */
    struct route routes[];
};

/* Four routes fit into a line of the cache. */
static inline size_t
block_size(unsigned room)
{
    size_t size = sizeof(struct block) + room * sizeof(struct route);
    return size > 32 && size < 64 ? 64 : size;
}

/* What readers need to know about a peer. */
struct peer_state {
    /* Routes with an epoch from the high byte to the low one (modulo 256) are
     * there; all others are gone already, and wait to be cleared up. */
    _Atomic uint16_t epochs[BGP_N_FAMILIES];
    bool usable;                /* Stamps flows: not what a router sends. */
    bool ebgp;
    uint8_t rank;               /* Of its table; lower is better. */
    uint32_t id, as;
    uint32_t name;              /* In the dictionary. */
    struct addr address;
};

static inline bool
route_live(const struct peer_state *peers, const struct route *r)
{
    uint16_t e = atomic_load_explicit(&peers[r->peer].epochs[r->family],
                                      memory_order_relaxed);
    uint8_t cur = (uint8_t) e, min = (uint8_t) (e >> 8);
    uint8_t epoch = __atomic_load_n(&r->epoch, __ATOMIC_RELAXED);
    return (uint8_t) (epoch - min) <= (uint8_t) (cur - min);
}

/* Kinds of tables. */
enum table_kind {
    TABLE_V4, TABLE_V6, TABLE_VPN4, TABLE_VPN6,
    TABLE_EVPN_IP,              /* Type 2 with an address; by address. */
    TABLE_EVPN_MAC,             /* Type 2 without; by MAC address. */
    TABLE_EVPN_MULTICAST,       /* Type 3; by the router's address. */
    TABLE_EVPN_PREFIX,          /* Type 5 */
    N_TABLE_KINDS
};

struct table {
    enum table_kind kind;
    uint64_t rd;
    struct table *next;         /* In its bucket. */
    struct lpm lpm;
};

#define MAX_TABLES 16384
#define TABLE_BUCKETS 4096

struct peer {
    struct rib_peer pub;
    bool used;
    bool leaving;               /* Its number is free after a sweep. */
    /* Epochs since the last sweep that is complete began, and how many of them
     * there were when this one began. */
    unsigned advances[BGP_N_FAMILIES], swept[BGP_N_FAMILIES];
    uint32_t bulk;              /* Families all of whose routes went at once
                                 * since the last sweep. */
    uint32_t no_llgr;           /* Families whose stale routes go if they have
                                 * that community. */
};

struct rib_views;

struct rib {
    struct arena arena;
    struct attrs_table attrs;
    size_t max_bytes;
    struct dict *dict;

    struct table **tables;      /* The first two are for all. */
    uint32_t n_tables;
    bool tables_full;           /* None of them is empty. */
    struct table *buckets[TABLE_BUCKETS];
    struct table *last_table;

    struct peer *peers;         /* RIB_MAX_PEERS */
    struct peer_state *states;
    uint32_t n_peers;           /* Numbers are below. */
    unsigned n_up;
    uint64_t peers_seq;         /* Changes of peers. */

    struct rib_watch watches[RIB_MAX_WATCHES];
    unsigned n_watches;

    struct rib_counters n;
    uint64_t n_routes;          /* In blocks, dead ones too. */
    uint64_t prefixes[N_TABLE_KINDS];

    /* Clearing up. */
    bool sweep_wanted, sweeping;
    uint32_t sweep_table;
    struct lpm_key sweep_key;
    unsigned sweep_len;
};

/* Less than 0: 'a' is the better one. */
int route_compare(const struct rib *, const struct route *a,
                  const struct route *b);

#endif /* bgp/rib_p.h */
