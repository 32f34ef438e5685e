/* bgp/attrs.h -- path attributes, each set of them kept once.
 *
 * A set is one block of an arena: numbers that a flow is stamped with first,
 * then path, communities and the rest.  Sets are counted, found by their
 * contents, and retired under RCU.  One thread changes; any thread reads. */
#ifndef BGP_ATTRS_H
#define BGP_ATTRS_H 1

#include <stdatomic.h>
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

/* The first 32 bytes are what flows are stamped with; they are in one line of
 * the cache. */
struct attrs {
    _Atomic uint32_t path_name, communities_name;       /* Ids of lib/dict.h,
                                         * good in generation 'named'; 0:
                                         * empty. */
    uint32_t origin_as;         /* 0: none, or of a set. */
    uint32_t peer_as;           /* First of the path; 0: none. */
    uint32_t local_pref, med;   /* 0 if absent. */
    uint32_t next_hop4;         /* An IPv4 one as it lies in memory; else the
                                 * next hop is in 'data'. */
    uint16_t has_origin;        /* BGP_HAS_*, ATTRS_HOP6, ATTRS_NO_PATH, and
                                 * in bits 12 and 13 ORIGIN. */
    _Atomic uint16_t named;     /* See attrs_stamp(); 0: no names yet. */

    uint32_t refs;              /* Of the writer. */
    uint32_t next;              /* In its chain of the table. */
    uint32_t hash;
    /* How many there are in 'data', in this order. */
    uint16_t n_ext;             /* Of two words. */
    uint16_t n_rare;            /* Words of what 'has' says besides. */
    uint16_t n_as_path, n_communities;
    uint16_t n_large;           /* Of three words. */
    uint16_t n_cluster;
    uint16_t n_unknown;         /* Octets; before them 'extra'. */
    uint16_t flags;             /* ATTRS_EXTRA */
    uint8_t path_length;        /* As the decision counts it, up to 255. */
    uint8_t reserved[3];
    uint32_t data[];
};

enum {
    ATTRS_EXTRA = 1,            /* There is a struct attrs_extra. */
};

/* Bits of 'has_origin' besides. */
enum {
    ATTRS_HAS = 0xfff,          /* All of BGP_HAS_*. */
    ATTRS_HOP6 = 1 << 14,       /* The next hop is the first that is rare. */
    ATTRS_NO_PATH = 1 << 15,    /* 'path_length' is 0. */
};

static inline uint16_t
attrs_has(const struct attrs *s)
{
    return s->has_origin & ATTRS_HAS;
}

static inline uint8_t
attrs_origin(const struct attrs *s)
{
    return s->has_origin >> 12 & 3;
}

/* The next hop; zero if there is none. */
static inline struct addr
attrs_next_hop(const struct attrs *s)
{
    struct addr a = { { 0 } };
    if (s->has_origin & ATTRS_HOP6) {
        __builtin_memcpy(&a, s->data + 2 * s->n_ext, sizeof a);
    } else if (s->has_origin & BGP_HAS_NEXT_HOP) {
        a.b[10] = a.b[11] = 0xff;
        __builtin_memcpy(a.b + 12, &s->next_hop4, 4);
    }
    return a;
}

struct attrs_table {
    struct arena *arena;
    uint32_t *buckets;          /* Grows in place. */
    uint32_t n_buckets, split;
    uint32_t n;
    uint64_t last_serial;
    uint32_t last;              /* The set with that serial; it is held. */
    uint8_t *scratch;
    uint64_t seed[2];           /* Of hashes. */
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

/* A set by itself, in 'buf' (of ATTRS_MAX_SIZE, aligned as malloc() does); NULL
 * if it does not fit.  To look at attributes that are in no table. */
#define ATTRS_MAX_SIZE ((size_t) 2 << 20)
struct attrs *attrs_pack(void *buf, const struct bgp_attrs *,
                         const struct attrs_extra *);

/* Puts a set together again; everything points into it. */
void attrs_unpack(const struct attrs *, struct bgp_attrs *,
                  struct attrs_extra *);

/* The extra alone; zeros if there is none. */
void attrs_get_extra(const struct attrs *, struct attrs_extra *);

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

/* A generation of a dictionary as sets remember it. */
static inline uint16_t
attrs_stamp(uint32_t generation)
{
    return (uint16_t) (generation % UINT16_MAX + 1);
}

/* The names of path and communities, made when first asked for in a generation
 * of the dictionary ('stamp', of attrs_stamp()); 0: empty.  Thread-safe. */
void attrs_make_names(const struct attrs *, struct dict *, uint16_t stamp);

static inline void
attrs_names(const struct attrs *s, struct dict *d, uint16_t stamp,
            uint32_t *path, uint32_t *communities)
{
    if (atomic_load_explicit(&s->named, memory_order_acquire) != stamp) {
        attrs_make_names(s, d, stamp);
    }
    *path = atomic_load_explicit(&s->path_name, memory_order_relaxed);
    *communities = atomic_load_explicit(&s->communities_name,
                                        memory_order_relaxed);
}

#endif /* bgp/attrs.h */
