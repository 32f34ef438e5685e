#include <config.h>

#include "bgp/attribute.h"

#include <string.h>

/* Path attributes as octets: what bgp_attrs_decode() reads back.  For the
 * history of routes; we never announce any. */

struct out {
    uint8_t *p, *end;
    bool full;
};

static void
put(struct out *o, const void *data, size_t n)
{
    if (o->full || n > (size_t) (o->end - o->p)) {
        o->full = true;
        return;
    }
    if (n) {
        memcpy(o->p, data, n);
    }
    o->p += n;
}

static void
put_u8(struct out *o, uint8_t v)
{
    put(o, &v, 1);
}

static void
put_u16(struct out *o, uint32_t v)
{
    put(o, &(uint16_t) { __builtin_bswap16((uint16_t) v) }, 2);
}

static void
put_u32(struct out *o, uint32_t v)
{
    put(o, &(uint32_t) { __builtin_bswap32(v) }, 4);
}

static void
put_u64(struct out *o, uint64_t v)
{
    put(o, &(uint64_t) { __builtin_bswap64(v) }, 8);
}

/* Flags, code and length of an attribute whose value of 'n' octets follows. */
static void
put_head(struct out *o, uint8_t flags, uint8_t code, size_t n)
{
    put_u8(o, (uint8_t) (flags | (n > UINT8_MAX ? BGP_F_EXTENDED : 0)));
    put_u8(o, code);
    if (n > UINT16_MAX) {
        o->full = true;
    } else if (n > UINT8_MAX) {
        put_u16(o, (uint32_t) n);
    } else {
        put_u8(o, (uint8_t) n);
    }
}

static void
put_words(struct out *o, uint8_t flags, uint8_t code, const uint32_t *words,
          size_t n)
{
    if (n) {
        put_head(o, flags, code, 4 * n);
    }
    for (size_t i = 0; i < n && !o->full; i++) {
        put_u32(o, words[i]);
    }
}

static void
put_path(struct out *o, const struct bgp_attrs *a)
{
    size_t size = 0;
    for (uint32_t i = 0; i < a->n_as_path;
         i += 1 + (a->as_path[i] & 0xffff)) {
        size += 2 + 4 * (size_t) (a->as_path[i] & 0xffff);
    }
    put_head(o, BGP_F_TRANSITIVE, BGP_A_AS_PATH, size);
    for (uint32_t i = 0; i < a->n_as_path && !o->full;) {
        uint32_t n = a->as_path[i] & 0xffff;
        put_u8(o, (uint8_t) (a->as_path[i] >> 16));
        put_u8(o, (uint8_t) n);
        for (i++; n && i < a->n_as_path; n--, i++) {
            put_u32(o, a->as_path[i]);
        }
    }
}

/* An IPv6 next hop is where table dumps have it (RFC 6396 section 4.3.4). */
static void
put_next_hop(struct out *o, const struct bgp_attrs *a)
{
    if (addr_is_v4(&a->next_hop)) {
        put_head(o, BGP_F_TRANSITIVE, BGP_A_NEXT_HOP, 4);
        put(o, a->next_hop.b + 12, 4);
        return;
    }
    uint8_t n = a->has & BGP_HAS_LINK_LOCAL ? 32 : 16;
    put_head(o, BGP_F_OPTIONAL, BGP_A_MP_REACH, 1u + n);
    put_u8(o, n);
    put(o, a->next_hop.b, 16);
    put(o, a->link_local.b, n - 16u);
}

static void
put_numbers(struct out *o, const struct bgp_attrs *a)
{
    if (a->has & BGP_HAS_MED) {
        put_words(o, BGP_F_OPTIONAL, BGP_A_MED, &a->med, 1);
    }
    if (a->has & BGP_HAS_LOCAL_PREF) {
        put_words(o, BGP_F_TRANSITIVE, BGP_A_LOCAL_PREF, &a->local_pref, 1);
    }
    if (a->has & BGP_HAS_ATOMIC_AGGREGATE) {
        put_head(o, BGP_F_TRANSITIVE, BGP_A_ATOMIC_AGGREGATE, 0);
    }
    if (a->has & BGP_HAS_AGGREGATOR) {
        put_head(o, BGP_F_OPTIONAL | BGP_F_TRANSITIVE, BGP_A_AGGREGATOR, 8);
        put_u32(o, a->aggregator_as);
        put(o, a->aggregator.b + 12, 4);
    }
    if (a->has & BGP_HAS_ORIGINATOR_ID) {
        put_words(o, BGP_F_OPTIONAL, BGP_A_ORIGINATOR_ID,
                  &a->originator_id, 1);
    }
    if (a->has & BGP_HAS_AIGP) {
        put_head(o, BGP_F_OPTIONAL, BGP_A_AIGP, 11);
        put_u8(o, 1);
        put_u16(o, 11);
        put_u64(o, a->aigp);
    }
    if (a->has & BGP_HAS_OTC) {
        put_words(o, BGP_F_OPTIONAL | BGP_F_TRANSITIVE, BGP_A_OTC, &a->otc,
                  1);
    }
}

size_t
bgp_attrs_write(const struct bgp_attrs *a, uint8_t *buf, size_t size)
{
    struct out o = { buf, buf + size, false };
    const uint8_t both = BGP_F_OPTIONAL | BGP_F_TRANSITIVE;

    if (a->has & BGP_HAS_ORIGIN) {
        put_head(&o, BGP_F_TRANSITIVE, BGP_A_ORIGIN, 1);
        put_u8(&o, a->origin);
    }
    if (a->has & BGP_HAS_AS_PATH) {
        put_path(&o, a);
    }
    if (a->has & BGP_HAS_NEXT_HOP) {
        put_next_hop(&o, a);
    }
    put_numbers(&o, a);
    put_words(&o, both, BGP_A_COMMUNITIES, a->communities,
              a->n_communities);
    put_words(&o, BGP_F_OPTIONAL, BGP_A_CLUSTER_LIST, a->cluster_list,
              a->n_cluster_list);
    if (a->n_ext_communities) {
        put_head(&o, both, BGP_A_EXT_COMMUNITIES,
                 8 * (size_t) a->n_ext_communities);
    }
    for (uint32_t i = 0; i < a->n_ext_communities && !o.full; i++) {
        put_u64(&o, a->ext_communities[i]);
    }
    if (a->n_large_communities) {
        put_words(&o, both, BGP_A_LARGE_COMMUNITIES,
                  a->large_communities[0],
                  3 * (size_t) a->n_large_communities);
    }
    put(&o, a->unknown, a->n_unknown);
    return o.full ? 0 : (size_t) (o.p - buf);
}
