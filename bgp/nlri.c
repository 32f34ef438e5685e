#include <config.h>

#include "bgp/attribute.h"

#include <stdio.h>

/* Destinations: RFC 4271 section 4.3, 4760, 8277 (labels), 4364 and 4659 (vpn),
 * 7432 and 9136 (evpn), 7911 (path identifiers). */

static uint32_t
be_mask(unsigned bits)
{
    return bits ? UINT32_MAX << (32 - bits) : 0;
}

/* 'bits' of an address as a prefix; the octets are there. */
static void
set_v4(struct prefix *x, const uint8_t *p, unsigned bits)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    uint32_t v = 0;
    for (unsigned i = 0; i < (bits + 7) / 8; i++) {
        v |= (uint32_t) p[i] << (24 - 8 * i);
    }
    v = __builtin_bswap32(v & be_mask(bits));
    memcpy(x->addr.b, mapped, sizeof mapped);
    memcpy(x->addr.b + 12, &v, 4);
    x->len = (uint8_t) (96 + bits);
}

static void
set_v6(struct prefix *x, const uint8_t *p, unsigned bits)
{
    unsigned n = (bits + 7) / 8;
    memset(x->addr.b, 0, sizeof x->addr.b);
    memcpy(x->addr.b, p, n);
    if (bits % 8) {             /* RFC 4271: bits beyond are irrelevant. */
        x->addr.b[n - 1] &= (uint8_t) (0xff00 >> bits % 8);
    }
    x->len = (uint8_t) bits;
}

static bool
is_v4(enum bgp_family f)
{
    return f == BGP_IPV4_UNICAST || f == BGP_IPV4_LABELED || f == BGP_VPNV4;
}

static bool
has_labels(enum bgp_family f)
{
    return f == BGP_IPV4_LABELED || f == BGP_IPV6_LABELED || f == BGP_VPNV4
           || f == BGP_VPNV6;
}

static bool
has_rd(enum bgp_family f)
{
    return f == BGP_VPNV4 || f == BGP_VPNV6;
}

/* The label stack at the start of 'c' (RFC 8277 section 2.2 to 2.4).  In a
 * withdrawal it is one field that says nothing, if it is one of two values. */
static bool
take_labels(struct cursor *c, bool withdrawn, struct bgp_nlri *n)
{
    for (;;) {
        const uint8_t *p = cur_take(c, 3);
        if (!p) {
            return false;
        }
        uint32_t word = (uint32_t) be_uint_at(p, 3);
        if (!n->n_labels) {
            n->label = word >> 4;
        }
        if (withdrawn && !n->n_labels && (!word || word == 0x800000)) {
            n->label = 0;
            return true;
        }
        n->n_labels += n->n_labels < UINT8_MAX;
        if (word & 1) {
            return true;
        }
    }
}

static enum bgp_nlri_result
next_prefix(enum bgp_family f, bool withdrawn, struct cursor *c,
            struct bgp_nlri *n)
{
    unsigned bits = cur_u8(c), most = is_v4(f) ? 32 : 128;
    struct cursor body = cur_sub(c, (bits + 7) / 8);
    if (body.bad) {
        return BGP_NLRI_BAD;
    }
    if (has_labels(f)) {
        const uint8_t *start = body.p;
        if (!take_labels(&body, withdrawn, n)) {
            return BGP_NLRI_BAD;
        }
        bits -= 8u * (unsigned) (body.p - start);
    }
    if (has_rd(f)) {
        n->rd = cur_u64(&body);
        bits -= 64;
    }
    if (body.bad || bits > most) {      /* Also what went below zero. */
        return BGP_NLRI_BAD;
    }
    if (is_v4(f)) {
        set_v4(&n->prefix, body.p, bits);
    } else {
        set_v6(&n->prefix, body.p, bits);
    }
    return BGP_NLRI_OK;
}

/* ---- EVPN. ---- */

/* An address of 'bits' (0, 32, 128) as a host prefix. */
static bool
take_host(struct cursor *c, unsigned bits, struct prefix *x)
{
    const uint8_t *p = cur_take(c, bits / 8);
    if (!p || (bits && bits != 32 && bits != 128)) {
        return false;
    }
    if (bits == 32) {
        set_v4(x, p, 32);
    } else {
        set_v6(x, p, bits);
    }
    return true;
}

static uint32_t
take_vni(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 3);
    return p ? (uint32_t) be_uint_at(p, 3) : 0;
}

static void
take_esi(struct cursor *c, struct bgp_nlri *n)
{
    const uint8_t *p = cur_take(c, sizeof n->esi);
    if (p) {
        memcpy(n->esi, p, sizeof n->esi);
    }
}

/* RFC 7432 section 7.2 */
static bool
evpn_mac(struct cursor *c, struct bgp_nlri *n)
{
    n->rd = cur_u64(c);
    take_esi(c, n);
    n->ethernet_tag = cur_u32(c);
    if (cur_u8(c) != 48) {
        return false;
    }
    const uint8_t *mac = cur_take(c, 6);
    n->mac = mac ? be_uint_at(mac, 6) : 0;
    if (!take_host(c, cur_u8(c), &n->prefix)) {
        return false;
    }
    n->label = take_vni(c);
    n->n_labels = 1;
    if (cur_more(c)) {
        n->label2 = take_vni(c);
        n->n_labels = 2;
    }
    return !c->bad && !cur_more(c);
}

/* RFC 7432 section 7.3 */
static bool
evpn_multicast(struct cursor *c, struct bgp_nlri *n)
{
    n->rd = cur_u64(c);
    n->ethernet_tag = cur_u32(c);
    unsigned bits = cur_u8(c);
    return bits && take_host(c, bits, &n->prefix) && !c->bad && !cur_more(c);
}

/* RFC 9136 section 3.1 */
static bool
evpn_prefix(struct cursor *c, struct bgp_nlri *n)
{
    bool v4 = cur_left(c) == 34;
    if (!v4 && cur_left(c) != 58) {
        return false;
    }
    n->rd = cur_u64(c);
    take_esi(c, n);
    n->ethernet_tag = cur_u32(c);
    unsigned bits = cur_u8(c);
    const uint8_t *p = cur_take(c, v4 ? 4 : 16);
    const uint8_t *gateway = cur_take(c, v4 ? 4 : 16);
    if (!p || !gateway || bits > (v4 ? 32 : 128)) {
        return false;
    }
    if (v4) {
        set_v4(&n->prefix, p, bits);
        if (be32_at(gateway)) {
            n->gateway = addr_from_v4_bytes(gateway);
        }
    } else {
        set_v6(&n->prefix, p, bits);
        n->gateway = addr_from_v6_bytes(gateway);
    }
    n->label = take_vni(c);
    n->n_labels = 1;
    return !c->bad;
}

static enum bgp_nlri_result
next_evpn(struct cursor *c, struct bgp_nlri *n)
{
    static bool (*const types[])(struct cursor *, struct bgp_nlri *) = {
        [2] = evpn_mac, [3] = evpn_multicast, [5] = evpn_prefix,
    };
    n->evpn_type = cur_u8(c);
    struct cursor body = cur_sub(c, cur_u8(c));
    if (body.bad) {
        return BGP_NLRI_BAD;
    }
    return n->evpn_type < sizeof types / sizeof types[0]
           && types[n->evpn_type] && types[n->evpn_type](&body, n)
           ? BGP_NLRI_OK : BGP_NLRI_SKIP;
}

enum bgp_nlri_result
bgp_nlri_next(enum bgp_family f, bool add_path, bool withdrawn,
              struct cursor *c, struct bgp_nlri *n)
{
    memset(n, 0, sizeof *n);
    n->family = f;
    if (add_path) {
        n->path_id = cur_u32(c);
        if (!cur_more(c)) {
            return BGP_NLRI_BAD;
        }
    }
    return f == BGP_EVPN ? next_evpn(c, n) : next_prefix(f, withdrawn, c, n);
}

/* True if the last octet of a prefix has no bits beyond its length.  Labels
 * and RD are whole octets. */
static bool
is_clean(const uint8_t *end, unsigned bits)
{
    return !(bits % 8) || !(end[-1] & (0xff >> bits % 8));
}

bool
bgp_nlri_plausible(enum bgp_family f, bool add_path, struct cursor c)
{
    struct bgp_nlri n;
    while (cur_more(&c)) {
        const uint8_t *start = c.p + (add_path ? 4 : 0);
        enum bgp_nlri_result r = bgp_nlri_next(f, add_path, false, &c, &n);
        if (r == BGP_NLRI_BAD
            || (f == BGP_EVPN && (!n.evpn_type || n.evpn_type > 11))
            || (f != BGP_EVPN && !is_clean(c.p, *start))
            /* A default route beside others is rather a path identifier. */
            || (!add_path && f != BGP_EVPN && !*start && cur_more(&c))) {
            return false;
        }
    }
    return !c.bad;
}

char *
bgp_rd_format(uint64_t rd, char *buf)
{
    unsigned type = (unsigned) (rd >> 48);
    uint32_t high = (uint32_t) (rd >> 16);
    if (type == 0) {
        snprintf(buf, BGP_RD_STRLEN, "%u:%u", (unsigned) (rd >> 32 & 0xffff),
                 (unsigned) rd);
    } else if (type == 1) {
        snprintf(buf, BGP_RD_STRLEN, "%u.%u.%u.%u:%u", high >> 24,
                 high >> 16 & 255, high >> 8 & 255, high & 255,
                 (unsigned) (rd & 0xffff));
    } else if (type == 2) {
        snprintf(buf, BGP_RD_STRLEN, "%u:%u", high,
                 (unsigned) (rd & 0xffff));
    } else {
        snprintf(buf, BGP_RD_STRLEN, "0x%016llx", (unsigned long long) rd);
    }
    return buf;
}
