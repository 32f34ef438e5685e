/* bgp/lpm.h -- prefixes and what they map to; the longest one that matches.
 *
 * A tree whose nodes stand for six bits each (a "tree bitmap"): a node has two
 * bitmaps of 64 bits, which prefixes end inside of it and which of the 64 ways
 * go on, and an array of 32-bit words for both.  Its first 19 bits are also a
 * table, so that a lookup begins near its end: an IPv4 prefix of up to 24 bits
 * is found by two dependent reads.  Nodes are not changed but replaced, words
 * are stored atomically: readers under RCU need no lock.
 *
 * Values are numbers other than 0, as of an arena's blocks. */
#ifndef BGP_LPM_H
#define BGP_LPM_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/arena.h"
#include "lib/addr.h"

#define LPM_MAX_BITS 128
#define LPM_MAX_MATCHES (LPM_MAX_BITS + 1)

/* Bits from the top. */
struct lpm_key {
    uint64_t hi, lo;
};

struct lpm {
    struct arena *arena;
    uint32_t root;              /* Block of the first node. */
    uint64_t n;                 /* Prefixes. */
    uint64_t *jump;             /* By 19 bits: node << 32 | value; or NULL. */
    uint8_t *jump_len;          /* Length of that value's prefix + 1. */
};

/* With 'fast' the table of the first 19 bits is kept (4.5 MB, untouched pages
 * cost nothing).  Returns 0 or -ENOMEM. */
int lpm_init(struct lpm *, struct arena *, bool fast);
/* Frees the tables; blocks of the tree go with the arena. */
void lpm_clear(struct lpm *);

/* The value of exactly this prefix, or 0. */
uint32_t lpm_get(const struct lpm *, struct lpm_key, unsigned len);

/* Sets the value of a prefix.  Returns 0, or -ENOMEM with nothing changed. */
int lpm_set(struct lpm *, struct lpm_key, unsigned len, uint32_t value);

/* Removes a prefix.  Returns 0, or -ENOMEM with nothing changed. */
int lpm_remove(struct lpm *, struct lpm_key, unsigned len);

struct lpm_match {
    uint32_t value;
    uint8_t len;
};

/* The prefixes of up to 'max_len' bits that cover 'key', longest first.  Returns
 * how many. */
unsigned lpm_matches(const struct lpm *, struct lpm_key, unsigned max_len,
                     struct lpm_match matches[LPM_MAX_MATCHES]);

/* For each of 'n' keys the value of its longest match, or 0. */
void lpm_lookup(const struct lpm *, const struct lpm_key *, unsigned n,
                uint32_t *values);

/* Calls 'each' for the prefixes inside of 'key'/'len' (also itself) in order of
 * address, shorter ones first, from 'from'/'from_len' on, until it returns
 * false.  'each' may change values and remove the prefix that it got, but
 * nothing else.  Returns whether it came to the end. */
typedef bool lpm_each_fn(void *aux, struct lpm_key, unsigned len,
                         uint32_t value);
bool lpm_walk(struct lpm *, struct lpm_key, unsigned len,
              struct lpm_key from, unsigned from_len, lpm_each_fn *,
              void *aux);

/* The key of an address, of its last 32 bits for IPv4 ('v4'), and back. */
static inline uint64_t
lpm_be64(const uint8_t *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline struct lpm_key
lpm_key_of(const struct addr *a, bool v4)
{
    uint64_t lo = lpm_be64(a->b + 8);
    return v4 ? (struct lpm_key) { lo << 32, 0 }
              : (struct lpm_key) { lpm_be64(a->b), lo };
}

struct addr lpm_addr_of(struct lpm_key, bool v4);

#endif /* bgp/lpm.h */
