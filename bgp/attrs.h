/* bgp/attrs.h -- path attributes, each set of them kept once.
 *
 * A set is one block of an arena: numbers that a flow is stamped with first,
 * then path, communities and the rest.  Sets are counted, found by their
 * contents, and retired under RCU.  One thread changes; any thread reads. */
#ifndef BGP_ATTRS_H
#define BGP_ATTRS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bgp/arena.h"
#include "bgp/route.h"

struct dict;

/* What of a destination belongs to the route and not to the prefix. */
struct attrs_extra {
    uint64_t mac;
    uint32_t label, label2;
    uint32_t ethernet_tag;
    uint8_t n_labels, evpn_type;
    uint8_t esi[10];
    struct addr gateway;
};

struct attrs {
    uint32_t refs;              /* Of the writer. */
    uint32_t next;              /* In its chain of the table. */
    uint32_t hash;
    _Atomic uint32_t path_name, communities_name;       /* Ids of lib/dict.h;
                                         * 0: not made yet. */
    uint32_t origin_as;         /* 0: none, or of a set. */
    uint32_t peer_as;           /* First of the path; 0: none. */
    uint32_t local_pref, med;   /* 0 if absent. */
    struct addr next_hop;
    uint16_t has;               /* BGP_HAS_*. */
    uint8_t origin;
    uint8_t flags;              /* ATTRS_*. */
    uint16_t path_length;       /* As the decision counts it. */
    /* How many there are in 'data', in this order. */
    uint16_t n_ext;             /* Of two words. */
    uint16_t n_rare;            /* Words of what 'has' says besides. */
    uint16_t n_as_path, n_communities;
    uint16_t n_large;           /* Of three words. */
    uint16_t n_cluster;
    uint16_t n_unknown;         /* Octets; before them 'extra'. */
    uint32_t data[];
};

enum { ATTRS_EXTRA = 1 };       /* There is a struct attrs_extra. */

struct attrs_table {
    struct arena *arena;
    uint32_t *buckets;          /* Grows in place. */
    uint32_t n_buckets, split;
    uint32_t n;
    uint64_t last_serial;
    uint32_t last;              /* The set with that serial; it is held. */
    uint8_t *scratch;
};

/* Returns 0 or -ENOMEM. */
int attrs_table_init(struct attrs_table *, struct arena *);
void attrs_table_clear(struct attrs_table *);

/* The set with these attributes (and 'extra', or NULL), with one more
 * reference; 0: no memory. */
uint32_t attrs_ref(struct attrs_table *, const struct bgp_attrs *,
                   const struct attrs_extra *);
void attrs_unref(struct attrs_table *, uint32_t set);

static inline struct attrs *
attrs_at(const struct arena *a, uint32_t set)
{
    return arena_at(a, set);
}

/* Puts a set together again; everything points into it. */
void attrs_unpack(const struct attrs *, struct bgp_attrs *,
                  struct attrs_extra *);

/* Text of a path: "64500 15169 {1,2}", "(65001)" for a confederation; of
 * communities: "65000:1 65000:1:2 rt:65000:1".  Written into 'buf' and cut with
 * an ellipsis if 'size' is not enough.  Returns the length. */
size_t attrs_format_path(const struct attrs *, char *buf, size_t size);
size_t attrs_format_communities(const struct attrs *, char *buf, size_t size);

/* One extended community (RFC 4360, 5668, 7432 and others) as text: "rt:1:2",
 * "soo:1:2", or "0x" and 16 digits. */
#define EXT_COMMUNITY_STRLEN 48
char *ext_community_format(uint64_t, char *buf);

/* Longest text that becomes a name. */
#define ATTRS_NAME_SIZE 1024

/* The names of path and communities, made when first asked for; 0: empty.
 * Thread-safe. */
uint32_t attrs_path_name(const struct attrs *, struct dict *);
uint32_t attrs_communities_name(const struct attrs *, struct dict *);

#endif /* bgp/attrs.h */
