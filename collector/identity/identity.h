/* collector/identity/identity.h -- who had an address, and when.
 *
 * An *endpoint* (a VM, a container, a router's port, a site's network) is told
 * by a *source* under an id of the source's.  It has *members* (its name,
 * tenant, network, ...) and *keys* by which a flow is recognised as its own (an
 * address, a prefix, a MAC address, a port of a bridge, a VNI).  Each key is
 * bound to the members for an *interval* of time: a change closes intervals and
 * opens others, nothing is forgotten before it expires.
 *
 * One thread writes at a time (the caller sees to it).  identity_resolve() and
 * identity_find() may run on any thread registered with RCU meanwhile, inside
 * rcu_read_lock(); they take no lock and allocate nothing. */
#ifndef COLLECTOR_IDENTITY_H
#define COLLECTOR_IDENTITY_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/counter.h"

struct dict;
struct identity;
struct identity_face;

/* X(id, name in the API, whether many endpoints share it, what it is) */
#define IDENTITY_MEMBERS(X)                                                   \
    X(NAME, "name", false, "name of the workload, host or site")              \
    X(PORT, "port", false, "interface by which it is attached")               \
    X(TYPE, "type", true, "vm, container, pod, router, service, host, ...")   \
    X(TENANT, "tenant", true, "tenant, project or namespace")                 \
    X(NETWORK, "network", true, "network that its addresses belong to")       \
    X(HOST, "host", false, "hypervisor or node that it runs on")               \
    X(BRIDGE, "bridge", true, "bridge that it is attached to")                \
    X(LABELS, "labels", true, "free labels")

enum identity_member {
#define X(ID, NAME, SHARED, DOC) IDENTITY_##ID,
    IDENTITY_MEMBERS(X)
#undef X
    IDENTITY_N_MEMBERS
};

struct identity_member_def {
    const char *name;
    bool shared;
    const char *doc;
};
extern const struct identity_member_def identity_members[IDENTITY_N_MEMBERS];

/* X(id, name in the API, what it is) */
#define IDENTITY_KEYS(X)                                                \
    X(ADDRESS, "address", "IPv4 or IPv6 address")                       \
    X(PREFIX, "prefix", "network that has no more to say")              \
    X(MAC, "mac", "MAC address")                                        \
    X(PORT, "port", "interface of a bridge")                            \
    X(VNI, "vni", "virtual network identifier: tells the network")

enum identity_key_kind {
#define X(ID, NAME, DOC) IDENTITY_KEY_##ID,
    IDENTITY_KEYS(X)
#undef X
    IDENTITY_N_KEYS
};

const char *identity_key_name(enum identity_key_kind);

/* A key.  'addr' holds the address, or what the kind makes of it; use the
 * functions below. */
struct identity_key {
    struct addr addr;
    uint8_t kind;               /* enum identity_key_kind. */
    uint8_t len;                /* Of a prefix, 0 to 128; else 128. */
};

struct identity_key identity_key_address(const struct addr *);
struct identity_key identity_key_prefix(const struct prefix *);
struct identity_key identity_key_mac(uint64_t mac);
struct identity_key identity_key_vni(uint64_t vni);
/* 'bridge' and 'name' are ids of the dictionary that flows use. */
struct identity_key identity_key_port(uint32_t bridge, uint32_t name);

#define IDENTITY_OPEN INT64_MAX         /* No end is known. */
#define IDENTITY_MAX_TEXT 4096          /* Bytes of a member or an id. */
#define IDENTITY_MAX_KEYS 1024          /* Of one endpoint. */

/* What a source says of an endpoint.  Borrowed for the call. */
struct identity_endpoint {
    const char *source, *id;
    /* Ties together what several sources say of one port (OVS's iface-id);
     * NULL: none. */
    const char *interface;
    const char *text[IDENTITY_N_MEMBERS];       /* NULL: not said. */
    const struct identity_key *keys;
    size_t n_keys;
    uint64_t generation;
    int64_t from_us, to_us;     /* Wall clock; to: IDENTITY_OPEN. */
};

/* X(name, what it counts) */
#define IDENTITY_COUNTERS(X)                                                  \
    X(upserts, "Endpoints told, with or without a change")                    \
    X(unchanged, "Of those, told as they were already")                       \
    X(deletes, "Endpoints deleted")                                           \
    X(expired, "Endpoints whose validity ended")                              \
    X(stale, "Tellings of an older generation than the last, refused")        \
    X(refused, "Tellings refused because a limit was reached")                \
    X(conflicts, "Keys told of two endpoints at a time")

struct identity_counters {
    IDENTITY_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def identity_counter_defs[];

struct identity_limits {
    uint32_t endpoints, bindings, sources;      /* 0: the largest. */
    uint32_t names;             /* Of networks, and of tenants. */
};

/* 'dict' is the one that flows use.  NULL if out of memory. */
struct identity *identity_create(struct dict *,
                                 const struct identity_limits *);
void identity_destroy(struct identity *);

/* How far a source is trusted where two disagree: less is more; sources that
 * nobody ranked have 100.  -ENOSPC beyond the number of sources. */
int identity_rank(struct identity *, const char *source, uint8_t rank);
/* The last generation that a source told; 0: none. */
uint64_t identity_generation_of(const struct identity *, const char *source);
uint8_t identity_rank_of(const struct identity *, const char *source);

/* Who tells, or told once. */
struct identity_source {
    const char *name;           /* Borrowed. */
    uint8_t rank;
    uint32_t endpoints;         /* That it tells now. */
    uint64_t generation;        /* Of its last telling. */
};
void identity_each_source(const struct identity *,
                          void (*each)(void *aux,
                                       const struct identity_source *),
                          void *aux);

/* Tells an endpoint.  One told before under the same source and id is changed
 * from 'from_us' on, or is as it is since then already, if that is earlier;
 * without a generation (0) it is of the source's last one.  One that lies wholly in the past ('to_us' is not after
 * 'now_us') is added to the past.  Returns 0; -EINVAL: interval that ends
 * before it begins, text or number of keys too large; -ESTALE: a generation
 * older than the source's; -ENOSPC: a limit; -ENOMEM. */
int identity_upsert(struct identity *, const struct identity_endpoint *,
                    int64_t now_us);

/* Ends an endpoint at 'at_us'.  Returns whether there was one. */
bool identity_delete(struct identity *, const char *source, const char *id,
                     int64_t at_us);

/* While 'on', what is told was told and taken before, in whichever order: no
 * generation is too old. */
void identity_restoring(struct identity *, bool on);

/* Ends the endpoints of 'source' whose generation is older than 'generation'
 * (a re-synchronisation is complete).  Returns how many. */
size_t identity_sync(struct identity *, const char *source,
                     uint64_t generation, int64_t at_us);

/* From 'from_us' to 'to_us' nobody listened to 'source' ("": to any): what was
 * before and after may not hold between.  The latest 1024 are kept. */
struct identity_gap {
    int64_t from_us, to_us;
    char *source;
};
void identity_gap(struct identity *, const char *source, int64_t from_us,
                  int64_t to_us);
const struct identity_gap *identity_gaps(const struct identity *, size_t *n);
/* Whether 'at_us' is in a gap of 'source'.  Writer's thread. */
bool identity_in_gap(const struct identity *, const char *source,
                     int64_t at_us);

/* Calls 'each' for every closed interval that ended before 'before_us'. */
struct identity_interval;
void identity_each_closed(const struct identity *, int64_t before_us,
                          void (*each)(void *aux,
                                       const struct identity_interval *),
                          void *aux);

/* The same of the next 'max', beginning after 'cursor' (0:
 * with the first).  Returns the next cursor; 0: these were the last.  Cursors hold
 * until identity_expire(). */
uint32_t identity_some_closed(const struct identity *, uint32_t cursor,
                              size_t max,
                              void (*each)(void *aux,
                                           const struct identity_interval *),
                              void *aux);

/* No closed interval in memory ended before that; INT64_MAX: there is none. */
int64_t identity_oldest_end(const struct identity *);

/* Closed intervals that ended before 'before_us' leave memory, at most 'max';
 * endpoints whose validity has ended at 'now_us' (INT64_MIN: none) are closed.
 * Returns how many left. */
size_t identity_expire(struct identity *, int64_t before_us, int64_t now_us,
                       size_t max);

/* One interval of one key. */
struct identity_interval {
    struct identity_key key;
    const struct identity_face *face;
    const char *source;
    uint8_t rank;               /* Of the source: less is more. */
    int64_t from_us, to_us;
};

/* The intervals of 'key' that contain 'at_us', in whichever network, the most
 * trusted first; at most 'max'.  Of an address without one, those of its
 * longest prefix.  Returns how many. */
size_t identity_find(const struct identity *, const struct identity_key *,
                     int64_t at_us, struct identity_interval *, size_t max);

/* The same of exactly 'key', newest first among equals in trust. */
size_t identity_find_key(const struct identity *, const struct identity_key *,
                         int64_t at_us, struct identity_interval *,
                         size_t max);

/* The prefix lengths that keys have, as bits (of 192). */
const _Atomic uint64_t *identity_lengths(const struct identity *);

/* What a flow says of one of its ends; members that are not known are zero. */
struct identity_end {
    struct addr addr;
    bool has_addr;
    uint64_t mac;
    uint32_t bridge, port;      /* Dictionary ids. */
    uint64_t vni;
    bool has_vni;
};

/* Who is at both ends at 'at_us' ('alt_us' is tried where nobody was):
 * answers NULL for an end that is not known, or ambiguous. */
void identity_resolve(const struct identity *,
                      const struct identity_end end[2], int64_t at_us,
                      int64_t alt_us, const struct identity_face *face[2]);

/* A member of a face: "" if it was not said.  The face must be protected by RCU,
 * or by being on the writer's thread. */
const char *identity_text(const struct identity_face *, enum identity_member);
const char *identity_id(const struct identity_face *);
const char *identity_interface(const struct identity_face *);

/* Endpoints as they are told now, for listing and for snapshots: from 'cursor'
 * (0 at first) on, until 'each' answers false or all were seen.  Returns the
 * next cursor, or 0 at the end.  Writer's thread, or with writers kept out. */
struct identity_row {
    const char *source;
    const struct identity_face *declared, *effective;
    uint64_t generation;
    int64_t from_us, to_us;
    const struct identity_key *keys;    /* Until 'each' returns, as the */
    const int64_t *key_from;            /* time since when it is bound. */
    size_t n_keys;
};
uint64_t identity_each(const struct identity *, uint64_t cursor,
                       bool (*each)(void *aux, const struct identity_row *),
                       void *aux);
/* One of them; false if there is none. */
bool identity_get(const struct identity *, const char *source, const char *id,
                  bool (*each)(void *aux, const struct identity_row *),
                  void *aux);

/* Who says what of an interface (OVS's iface-id) now: 'each' is called for
 * every source that tells of it, the most trusted first.  As identity_each(). */
void identity_each_peer(const struct identity *, const char *interface,
                        void (*each)(void *aux, const char *source,
                                     const struct identity_face *declared),
                        void *aux);

struct identity_status {
    uint32_t endpoints, bindings, closed, sources;
    size_t bytes;               /* Of memory, about. */
};
void identity_get_status(const struct identity *, struct identity_status *);
const struct identity_counters *identity_counters(const struct identity *);

#endif /* collector/identity/identity.h */
