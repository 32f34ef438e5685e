/* bgp/rib.h -- the routing information base: what every peer told, kept
 * compactly, and which route an address has.
 *
 * One thread, the writer, changes a RIB (all functions but those marked
 * "reader").  Readers are any threads that are registered with liburcu; they
 * hold rcu_read_lock() as long as they use what they were given, and take no
 * other lock.  Nothing here knows sockets or a clock: times are passed in.
 *
 * Big jobs (a peer that goes, routes that were stale) are marked at once, so
 * that no lookup sees those routes any more, and cleared up by rib_work() in
 * slices. */
#ifndef BGP_RIB_H
#define BGP_RIB_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/route.h"
#include "lib/addr.h"

struct attrs;                   /* bgp/attrs.h */
struct dict;
struct rib;                                             /* Opaque. */

#define RIB_MAX_PEERS 4096
#define RIB_NO_PEER UINT32_MAX

/* X(name, what it counts) */
#define RIB_COUNTERS(X)                                                       \
    X(announced, "Routes announced")                                          \
    X(changed, "Announcements that replaced a route by another one")          \
    X(repeated, "Announcements of what was known already")                    \
    X(unknown_peer, "Routes of a peer that is not up")                        \
    X(withdrawn, "Routes withdrawn")                                          \
    X(unknown_withdrawn, "Withdrawals of routes that were not there")         \
    X(swept, "Routes removed because their peer went or they were stale")     \
    X(refused_memory, "Routes refused because the table is full")             \
    X(refused_paths, "Routes refused: too many of one prefix")                \
    X(refused_marks, "Times that routes were not marked as stale, because that "\
      "came too often")                                                       \
    X(long_sweeps, "Times that all had to be cleared up at once, because a "  \
      "peer came and went too often")                                         \
    X(refused_peers, "Peers refused because there are too many")

struct rib_counters {
#define X(NAME, DOC) uint64_t NAME;
    RIB_COUNTERS(X)
#undef X
};

struct rib_config {
    size_t max_bytes;           /* Of routes and attributes; 0: 8 GiB. */
    struct dict *dict;          /* For names of peers; or NULL. */
};

/* NULL if out of memory. */
struct rib *rib_create(const struct rib_config *);
void rib_destroy(struct rib *);                 /* NULL is fine. */
/* Another limit; what is there stays. */
void rib_set_memory(struct rib *, size_t max_bytes);

/* ---- Writing. ---- */

/* The sink that sessions, BMP and files feed ('aux' is the RIB). */
struct bgp_sink rib_sink(struct rib *);

/* Clears up and gives back memory, at most 'budget' steps of work (each well
 * below a microsecond).  True: there is more to do, call again soon. */
bool rib_work(struct rib *, unsigned budget);

/* Whether rib_work() has something to do; cheap. */
bool rib_busy(const struct rib *);

/* ---- Peers. ---- */

struct rib_peer {
    uint32_t number;
    bool up;                    /* Between peer_up() and peer_down(). */
    struct bgp_peer_info info;  /* 'name' is never NULL. */
    char name[64];
    uint64_t routes[BGP_N_FAMILIES];    /* Without those that wait to be
                                         * cleared up. */
    uint64_t stale[BGP_N_FAMILIES];     /* Of them, at mark_stale(). */
    bool complete[BGP_N_FAMILIES];      /* End-of-RIB seen. */
};

/* The peer, or NULL if the number is not in use. */
const struct rib_peer *rib_peer(const struct rib *, uint32_t number);
/* Numbers are below this. */
uint32_t rib_n_peers(const struct rib *);

/* ---- Watching. ---- */

enum rib_change_kind {
    RIB_NEW,                    /* The peer had no such route. */
    RIB_CHANGED,                /* It has another one instead. */
    RIB_WITHDRAWN,
    RIB_EXPIRED,                /* Stale, and not told again. */
    RIB_N_CHANGES
};

/* One route that changed.  Everything is borrowed. */
struct rib_change {
    enum rib_change_kind kind;
    const struct rib_peer *peer;
    const struct bgp_nlri *nlri;
    const struct attrs *before, *after; /* NULL: there was, or is, none. */
    bool best;                  /* It was or is the best of its prefix. */
};

enum rib_peer_change {
    RIB_PEER_UP,
    RIB_PEER_DOWN,              /* And all its routes with it. */
    RIB_PEER_COMPLETE,          /* End-of-RIB. */
    RIB_PEER_PURGED,            /* All routes of a family at once. */
    RIB_N_PEER_CHANGES
};

/* Told on the writer's thread, in the midst of a change: must not call the RIB
 * but for reading.  Routes that go because of RIB_PEER_DOWN or RIB_PEER_PURGED
 * are not told one by one; what was told already and is told again is no
 * change. */
struct rib_watch {
    void *aux;
    void (*route)(void *aux, const struct rib_change *);
    /* 'n' routes of 'family' are concerned; -1: of all. */
    void (*peer)(void *aux, enum rib_peer_change, const struct rib_peer *,
                 int family, uint64_t n);
};

/* Adds a watch; -ENOSPC if there are RIB_MAX_WATCHES. */
#define RIB_MAX_WATCHES 4
int rib_add_watch(struct rib *, const struct rib_watch *);

/* ---- Sizes. ---- */

struct rib_stats {
    /* Distinct ones.  Labelled routes are counted with the others of their
     * address family. */
    uint64_t prefixes[BGP_N_FAMILIES];
    uint64_t routes, attrs, peers;
    uint64_t bytes;             /* In use by routes, attributes, tables. */
    struct rib_counters n;
};
void rib_stats(const struct rib *, struct rib_stats *);

/* ---- Reading, by the writer's thread. ---- */

/* One route of an answer.  Pointers are valid until the RIB is changed. */
struct rib_route {
    struct bgp_nlri nlri;
    const struct rib_peer *peer;
    const struct attrs *attrs;
    bool stale;
    bool best;                  /* Of all peers. */
};

enum rib_match {
    RIB_EXACT,                  /* The prefix itself. */
    RIB_LONGEST,                /* The longest that covers it. */
    RIB_LESS,                   /* All that cover it, longest first. */
    RIB_MORE,                   /* It and all inside of it. */
};

/* Where a walk stands: in a table of routes, at a prefix, so many routes of it
 * done.  Zeros: the beginning. */
struct rib_cursor {
    uint32_t table;
    struct prefix prefix;
    uint64_t rd;
    uint32_t skip;
};

struct rib_query {
    enum rib_match match;
    struct prefix prefix;       /* RIB_MORE with "::/0": everything. */
    uint32_t families;          /* Bits 1 << enum bgp_family; 0: all. */
    uint32_t peer;              /* RIB_NO_PEER: all. */
    bool has_rd;
    uint64_t rd;
    uint64_t max_steps;         /* RIB_MORE: routes to look at; 0: no limit. */
};

/* Calls 'each' for the routes that match.  Returns true if it came to the end;
 * false if 'each' returned false for a route, or after 'max_steps': '*at' is
 * then where to go on (with that same route). */
typedef bool rib_route_fn(void *aux, const struct rib_route *);
bool rib_query(const struct rib *, const struct rib_query *,
               struct rib_cursor *at, rib_route_fn *, void *aux);

#endif /* bgp/rib.h */
