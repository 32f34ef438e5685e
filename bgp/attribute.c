#include <config.h>

#include "bgp/attribute.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* Decoded attributes are at most twice as long as on the wire (AS numbers of
 * two octets), and a merged path is as long again: this is enough for the
 * longest message. */
#define ARENA_SIZE (6u * 65536)

struct bgp_decoder {
    uint64_t serial;
    size_t used;
    bool short_reach;           /* MP_REACH_NLRI of an MRT table dump. */
    /* AS4_PATH and AS4_AGGREGATOR, before they are merged. */
    const uint32_t *as4_path;
    uint32_t n_as4_path;
    bool has_as4_aggregator;
    uint32_t as4_aggregator_as;
    struct addr as4_aggregator;
    uint8_t unknown[65536];
    alignas(8) uint8_t arena[ARENA_SIZE];
};

static void *
arena_take(struct bgp_decoder *d, size_t n)
{
    size_t room = (n + 7) & ~(size_t) 7;
    if (room > ARENA_SIZE - d->used) {
        return NULL;            /* Cannot happen, see ARENA_SIZE. */
    }
    d->used += room;
    return d->arena + d->used - room;
}

struct bgp_decoder *
bgp_decoder_create(void)
{
    return calloc(1, sizeof(struct bgp_decoder));
}

void
bgp_decoder_destroy(struct bgp_decoder *d)
{
    free(d);
}

/* ---- Values, one function each. ---- */

static const char too_long[] = "more than fits into a message";

static const char *
decode_origin(struct bgp_decoder *d, const struct bgp_params *params,
              struct cursor c, struct bgp_update *u)
{
    u->attrs.origin = cur_u8(&c);
    if (u->attrs.origin > 2) {
        return "ORIGIN is not 0, 1 or 2";
    }
    u->attrs.has |= BGP_HAS_ORIGIN;
    return NULL;
}

/* Reads segments with AS numbers of 'size' octets to 'out', which has room for
 * all; NULL only checks.  Returns NULL, or what is wrong. */
static const char *
read_path(struct cursor c, unsigned size, bool lenient, uint32_t *out,
          uint32_t *n_out)
{
    uint32_t n = 0;
    while (cur_more(&c)) {
        uint8_t type = cur_u8(&c), count = cur_u8(&c);
        const uint8_t *as = cur_take(&c, (size_t) count * size);
        if (!as) {
            return "AS_PATH: a segment does not fit";
        }
        if (type < BGP_AS_SET || type > BGP_AS_CONFED_SET) {
            return "AS_PATH: unknown type of segment";
        }
        if (!count) {
            return "AS_PATH: segment without AS";
        }
        if (!out) {
            continue;
        }
        out[n++] = (uint32_t) type << 16 | count;
        uint32_t zero = 0;
        for (unsigned i = 0; i < count; i++) {
            out[n] = size == 4 ? be32_at(as + 4 * i) : be16_at(as + 2 * i);
            zero |= !out[n++];
        }
        if (zero && !lenient) {
            return "AS_PATH: AS 0";     /* RFC 7607 */
        }
    }
    *n_out = n;
    return NULL;
}

static const char *
decode_as_path(struct bgp_decoder *d, const struct bgp_params *params,
               struct cursor c, struct bgp_update *u)
{
    bool as4 = params->as4;
    if (params->guess_as4) {
        as4 = !read_path(c, 4, true, NULL, &u->attrs.n_as_path)
              || read_path(c, 2, true, NULL, &u->attrs.n_as_path);
    }
    uint32_t *words = arena_take(d, 2 * cur_left(&c));
    if (!words) {
        return too_long;
    }
    const char *why = read_path(c, as4 ? 4 : 2, params->lenient, words,
                                &u->attrs.n_as_path);
    if (!why) {
        u->attrs.as_path = words;
        u->attrs.has |= BGP_HAS_AS_PATH;
    }
    return why;
}

/* An IPv4 address that a packet can be sent to (RFC 4271 section 6.3). */
static bool
is_host(const uint8_t *p)
{
    return p[0] && p[0] < 224;
}

static const char *
decode_next_hop(struct bgp_decoder *d, const struct bgp_params *params,
                struct cursor c, struct bgp_update *u)
{
    const uint8_t *p = cur_take(&c, 4);
    if (!p || (!params->lenient && !is_host(p))) {
        return "NEXT_HOP is not the address of a host";
    }
    u->attrs.next_hop = addr_from_v4_bytes(p);
    u->attrs.has |= BGP_HAS_NEXT_HOP;
    return NULL;
}

static const char *
decode_med(struct bgp_decoder *d, const struct bgp_params *params,
           struct cursor c, struct bgp_update *u)
{
    u->attrs.med = cur_u32(&c);
    u->attrs.has |= BGP_HAS_MED;
    return NULL;
}

static const char *
decode_local_pref(struct bgp_decoder *d, const struct bgp_params *params,
                  struct cursor c, struct bgp_update *u)
{
    u->attrs.local_pref = cur_u32(&c);
    u->attrs.has |= BGP_HAS_LOCAL_PREF;
    return NULL;
}

static const char *
decode_atomic(struct bgp_decoder *d, const struct bgp_params *params,
              struct cursor c, struct bgp_update *u)
{
    u->attrs.has |= BGP_HAS_ATOMIC_AGGREGATE;
    return NULL;
}

static const char *
decode_aggregator(struct bgp_decoder *d, const struct bgp_params *params,
                  struct cursor c, struct bgp_update *u)
{
    size_t n = cur_left(&c);
    bool as4 = params->guess_as4 ? n == 8 : params->as4;
    if (n != (as4 ? 8 : 6)) {
        return "AGGREGATOR: wrong length";
    }
    uint32_t as = as4 ? cur_u32(&c) : cur_u16(&c);
    if (!as && !params->lenient) {
        return "AGGREGATOR: AS 0";      /* RFC 7607 */
    }
    u->attrs.aggregator_as = as;
    u->attrs.aggregator = addr_from_v4_bytes(cur_take(&c, 4));
    u->attrs.has |= BGP_HAS_AGGREGATOR;
    return NULL;
}

/* Words of 32 bits, whose number the table has checked. */
static const uint32_t *
take_words(struct bgp_decoder *d, struct cursor *c, uint32_t *n)
{
    size_t size = cur_left(c);
    const uint8_t *p = cur_take(c, size);
    uint32_t *words = arena_take(d, size);
    *n = 0;
    if (p && words) {
        for (size_t i = 0; i < size / 4; i++) {
            words[i] = be32_at(p + 4 * i);
        }
        *n = (uint32_t) (size / 4);
    }
    return words;
}

static const char *
decode_communities(struct bgp_decoder *d, const struct bgp_params *params,
                   struct cursor c, struct bgp_update *u)
{
    u->attrs.communities = take_words(d, &c, &u->attrs.n_communities);
    return u->attrs.communities ? NULL : too_long;
}

static const char *
decode_originator(struct bgp_decoder *d, const struct bgp_params *params,
                  struct cursor c, struct bgp_update *u)
{
    u->attrs.originator_id = cur_u32(&c);
    u->attrs.has |= BGP_HAS_ORIGINATOR_ID;
    return NULL;
}

static const char *
decode_clusters(struct bgp_decoder *d, const struct bgp_params *params,
                struct cursor c, struct bgp_update *u)
{
    u->attrs.cluster_list = take_words(d, &c, &u->attrs.n_cluster_list);
    return u->attrs.cluster_list ? NULL : too_long;
}

static const char *
decode_ext_communities(struct bgp_decoder *d, const struct bgp_params *params,
                       struct cursor c, struct bgp_update *u)
{
    size_t size = cur_left(&c);
    const uint8_t *p = cur_take(&c, size);
    uint64_t *words = arena_take(d, size);
    if (!words) {
        return too_long;
    }
    for (size_t i = 0; i < size / 8; i++) {
        words[i] = be64_at(p + 8 * i);
    }
    u->attrs.ext_communities = words;
    u->attrs.n_ext_communities = (uint32_t) (size / 8);
    return NULL;
}

static const char *
decode_large_communities(struct bgp_decoder *d,
                         const struct bgp_params *params, struct cursor c,
                         struct bgp_update *u)
{
    uint32_t n;
    const uint32_t *words = take_words(d, &c, &n);
    if (!words) {
        return too_long;
    }
    u->attrs.large_communities = (const uint32_t (*)[3]) words;
    u->attrs.n_large_communities = n / 3;
    return NULL;
}

/* RFC 6793 section 6: errors here drop the attribute. */
static const char *
decode_as4_path(struct bgp_decoder *d, const struct bgp_params *params,
                struct cursor c, struct bgp_update *u)
{
    uint32_t *words = arena_take(d, cur_left(&c));
    if (!words) {
        return too_long;
    }
    const char *why = read_path(c, 4, false, words, &d->n_as4_path);
    if (!why) {
        d->as4_path = words;
    }
    return why;
}

static const char *
decode_as4_aggregator(struct bgp_decoder *d, const struct bgp_params *params,
                      struct cursor c, struct bgp_update *u)
{
    d->as4_aggregator_as = cur_u32(&c);
    d->as4_aggregator = addr_from_v4_bytes(cur_take(&c, 4));
    d->has_as4_aggregator = true;
    return NULL;
}

/* RFC 7311 section 3.1 */
static const char *
decode_aigp(struct bgp_decoder *d, const struct bgp_params *params,
            struct cursor c, struct bgp_update *u)
{
    while (cur_more(&c)) {
        uint8_t type = cur_u8(&c);
        uint16_t size = cur_u16(&c);
        struct cursor body = cur_sub(&c, size >= 3 ? size - 3u : SIZE_MAX);
        if (body.bad || (type == 1 && cur_left(&body) != 8)) {
            return "AIGP: malformed";
        }
        if (type == 1 && !(u->attrs.has & BGP_HAS_AIGP)) {
            u->attrs.aigp = cur_u64(&body);
            u->attrs.has |= BGP_HAS_AIGP;
        }
    }
    return c.bad ? "AIGP: malformed" : NULL;
}

static const char *
decode_otc(struct bgp_decoder *d, const struct bgp_params *params,
           struct cursor c, struct bgp_update *u)
{
    u->attrs.otc = cur_u32(&c);
    u->attrs.has |= BGP_HAS_OTC;
    return NULL;
}

/* ---- Multiprotocol. ---- */

/* The next hop of MP_REACH_NLRI.  Its length says what it is: an address, two
 * (RFC 2545), each behind a route distinguisher where the family has one. */
static bool
take_mp_next_hop(const struct bgp_params *params, int family, struct cursor c,
                 struct bgp_attrs *a)
{
    bool vpn = family == BGP_VPNV4 || family == BGP_VPNV6;
    bool v4 = family == BGP_IPV4_UNICAST || family == BGP_IPV4_LABELED
              || family == BGP_VPNV4;
    bool v6_allowed = !v4 || params->lenient || params->guess_paths
                      || params->ext_next_hop >> family & 1;
    unsigned rd = vpn ? 8 : 0;
    size_t n = cur_left(&c);
    bool two = n == 2 * (rd + 16) || (vpn && n == rd + 32);
    if (n == rd + 4 && (v4 || family == BGP_EVPN)) {
        cur_skip(&c, rd);
        a->next_hop = addr_from_v4_bytes(cur_take(&c, 4));
    } else if ((n == rd + 16 || two) && v6_allowed) {
        cur_skip(&c, rd);
        a->next_hop = addr_from_v6_bytes(cur_take(&c, 16));
        cur_skip(&c, n == 2 * (rd + 16) ? rd : 0);
        const uint8_t *p = two ? cur_take(&c, 16) : NULL;
        if (p) {
            a->link_local = addr_from_v6_bytes(p);
            a->has |= BGP_HAS_LINK_LOCAL;
        }
    } else {
        return false;
    }
    a->has |= BGP_HAS_NEXT_HOP;
    return true;
}

/* In a table dump nothing but the next hop is there. */
static const char *
decode_short_reach(struct cursor c, struct bgp_update *u)
{
    struct cursor hop = cur_sub(&c, cur_u8(&c));
    struct bgp_params params = { .lenient = true };
    size_t n = cur_left(&hop);  /* With a route distinguisher, or without. */
    int family = n == 4 ? BGP_IPV4_UNICAST : n == 12 ? BGP_VPNV4
                 : n == 24 || n == 40 || n == 48 ? BGP_VPNV6
                                                 : BGP_IPV6_UNICAST;
    if (hop.bad || !take_mp_next_hop(&params, family, hop, &u->mp_attrs)) {
        return "MP_REACH_NLRI: wrong length of the next hop";
    }
    u->reach.present = true;
    u->reach.family = -1;
    u->reach.nlri = cur_init(NULL, 0);
    return NULL;
}

static const char *
decode_reach(struct bgp_decoder *d, const struct bgp_params *params,
             struct cursor c, struct bgp_update *u)
{
    if (d->short_reach && cur_more(&c) && *c.p) {
        return decode_short_reach(c, u);
    }
    struct bgp_nlri_field *f = &u->reach;
    f->present = true;
    f->afi = cur_u16(&c);
    f->safi = cur_u8(&c);
    f->family = bgp_family_find(f->afi, f->safi);
    struct cursor hop = cur_sub(&c, cur_u8(&c));
    cur_skip(&c, 1);
    f->nlri = c;
    if (c.bad) {
        return "MP_REACH_NLRI: too short";
    }
    if (f->family >= 0
        && !take_mp_next_hop(params, f->family, hop, &u->mp_attrs)) {
        return "MP_REACH_NLRI: wrong length of the next hop";
    }
    return NULL;
}

static const char *
decode_unreach(struct bgp_decoder *d, const struct bgp_params *params,
               struct cursor c, struct bgp_update *u)
{
    struct bgp_nlri_field *f = &u->unreach;
    f->present = true;
    f->afi = cur_u16(&c);
    f->safi = cur_u8(&c);
    f->family = bgp_family_find(f->afi, f->safi);
    f->nlri = c;
    return NULL;
}

/* ---- The table. ---- */

enum { WELL_KNOWN = BGP_F_TRANSITIVE, OPT = BGP_F_OPTIONAL,
       OPT_TRANS = BGP_F_OPTIONAL | BGP_F_TRANSITIVE };

/* Octets: exactly 'n'; at least one 'n' and whole ones. */
#define EXACTLY(N) .least = (N), .most = (N), .unit = 1
#define SOME_OF(N) .least = (N), .unit = (N)
#define ANY .unit = 1

/* Errors of an attribute, and of its flags: RFC 7606 sections 3 and 7. */
#define WITHDRAWS .on_flags = BGP_WITHDRAW, .on_error = BGP_WITHDRAW
#define DISCARDS .on_flags = BGP_DISCARD, .on_error = BGP_DISCARD
#define RESETS .on_flags = BGP_WITHDRAW, .on_error = BGP_RESET

const struct bgp_attr_def bgp_attr_defs[] = {
    { BGP_A_ORIGIN, "ORIGIN", WELL_KNOWN, BGP_E_UPDATE_ORIGIN, EXACTLY(1),
      WITHDRAWS, .what = "ORIGIN: wrong length", .decode = decode_origin },
    { BGP_A_AS_PATH, "AS_PATH", WELL_KNOWN, BGP_E_UPDATE_AS_PATH, ANY,
      WITHDRAWS, .what = "AS_PATH: malformed", .decode = decode_as_path },
    { BGP_A_NEXT_HOP, "NEXT_HOP", WELL_KNOWN, BGP_E_UPDATE_NEXT_HOP,
      EXACTLY(4), WITHDRAWS, .what = "NEXT_HOP: wrong length",
      .decode = decode_next_hop },
    { BGP_A_MED, "MULTI_EXIT_DISC", OPT, BGP_E_UPDATE_OPTIONAL, EXACTLY(4),
      WITHDRAWS, .what = "MULTI_EXIT_DISC: wrong length",
      .decode = decode_med },
    { BGP_A_LOCAL_PREF, "LOCAL_PREF", WELL_KNOWN, BGP_E_UPDATE_LENGTH,
      .internal_only = true, EXACTLY(4), WITHDRAWS,
      .what = "LOCAL_PREF: wrong length", .decode = decode_local_pref },
    { BGP_A_ATOMIC_AGGREGATE, "ATOMIC_AGGREGATE", WELL_KNOWN,
      BGP_E_UPDATE_LENGTH, EXACTLY(0), DISCARDS,
      .what = "ATOMIC_AGGREGATE: not empty", .decode = decode_atomic },
    { BGP_A_AGGREGATOR, "AGGREGATOR", OPT_TRANS, BGP_E_UPDATE_OPTIONAL, ANY,
      .least = 6, .most = 8, DISCARDS, .what = "AGGREGATOR: wrong length",
      .decode = decode_aggregator },
    { BGP_A_COMMUNITIES, "COMMUNITIES", OPT_TRANS, BGP_E_UPDATE_OPTIONAL,
      SOME_OF(4), WITHDRAWS, .what = "COMMUNITIES: wrong length",
      .decode = decode_communities },
    { BGP_A_ORIGINATOR_ID, "ORIGINATOR_ID", OPT, BGP_E_UPDATE_OPTIONAL,
      .internal_only = true, EXACTLY(4), WITHDRAWS,
      .what = "ORIGINATOR_ID: wrong length", .decode = decode_originator },
    { BGP_A_CLUSTER_LIST, "CLUSTER_LIST", OPT, BGP_E_UPDATE_OPTIONAL,
      .internal_only = true, SOME_OF(4), WITHDRAWS,
      .what = "CLUSTER_LIST: wrong length", .decode = decode_clusters },
    { BGP_A_MP_REACH, "MP_REACH_NLRI", OPT, BGP_E_UPDATE_OPTIONAL, ANY,
      .least = 2, RESETS, .what = "MP_REACH_NLRI: too short",
      .decode = decode_reach },
    { BGP_A_MP_UNREACH, "MP_UNREACH_NLRI", OPT, BGP_E_UPDATE_OPTIONAL, ANY,
      .least = 3, RESETS, .what = "MP_UNREACH_NLRI: too short",
      .decode = decode_unreach },
    { BGP_A_EXT_COMMUNITIES, "EXTENDED_COMMUNITIES", OPT_TRANS,
      BGP_E_UPDATE_OPTIONAL, SOME_OF(8), WITHDRAWS,
      .what = "EXTENDED_COMMUNITIES: wrong length",
      .decode = decode_ext_communities },
    { BGP_A_AS4_PATH, "AS4_PATH", OPT_TRANS, BGP_E_UPDATE_OPTIONAL,
      SOME_OF(2), .on_flags = BGP_DISCARD, .on_error = BGP_DISCARD,
      .what = "AS4_PATH: wrong length", .decode = decode_as4_path },
    { BGP_A_AS4_AGGREGATOR, "AS4_AGGREGATOR", OPT_TRANS,
      BGP_E_UPDATE_OPTIONAL, EXACTLY(8), DISCARDS,
      .what = "AS4_AGGREGATOR: wrong length",
      .decode = decode_as4_aggregator },
    { 22, "PMSI_TUNNEL", OPT_TRANS, BGP_E_UPDATE_OPTIONAL, ANY, .least = 5,
      WITHDRAWS, .keep = true, .what = "PMSI_TUNNEL: too short" },
    { 23, "TUNNEL_ENCAP", OPT_TRANS, BGP_E_UPDATE_OPTIONAL, ANY, DISCARDS,
      .keep = true },
    { 24, "TRAFFIC_ENGINEERING", OPT, BGP_E_UPDATE_OPTIONAL, ANY,
      WITHDRAWS },
    { 25, "IPV6_EXTENDED_COMMUNITIES", OPT_TRANS, BGP_E_UPDATE_OPTIONAL,
      SOME_OF(20), WITHDRAWS, .keep = true,
      .what = "IPV6_EXTENDED_COMMUNITIES: wrong length" },
    { BGP_A_AIGP, "AIGP", OPT, BGP_E_UPDATE_OPTIONAL, .internal_only = true,
      ANY, DISCARDS, .decode = decode_aigp },
    { 27, "PE_DISTINGUISHER_LABELS", OPT_TRANS, BGP_E_UPDATE_OPTIONAL, ANY,
      DISCARDS, .keep = true },
    { 29, "BGP_LS", OPT, BGP_E_UPDATE_OPTIONAL, ANY, DISCARDS },
    { BGP_A_LARGE_COMMUNITIES, "LARGE_COMMUNITIES", OPT_TRANS,
      BGP_E_UPDATE_OPTIONAL, SOME_OF(12), WITHDRAWS,
      .what = "LARGE_COMMUNITIES: wrong length",
      .decode = decode_large_communities },
    { 33, "BGPSEC_PATH", OPT, BGP_E_UPDATE_OPTIONAL, ANY, WITHDRAWS },
    { BGP_A_OTC, "ONLY_TO_CUSTOMER", OPT_TRANS, BGP_E_UPDATE_OPTIONAL,
      EXACTLY(4), WITHDRAWS, .what = "ONLY_TO_CUSTOMER: wrong length",
      .decode = decode_otc },
    { 36, "DOMAIN_PATH", OPT_TRANS, BGP_E_UPDATE_OPTIONAL, ANY, WITHDRAWS,
      .keep = true },
    { 37, "SFP", OPT_TRANS, BGP_E_UPDATE_OPTIONAL, ANY, DISCARDS,
      .keep = true },
    { 40, "PREFIX_SID", OPT_TRANS, BGP_E_UPDATE_OPTIONAL, ANY, DISCARDS,
      .keep = true },
    { 128, "ATTR_SET", OPT_TRANS, BGP_E_UPDATE_OPTIONAL, ANY, .least = 4,
      WITHDRAWS, .keep = true, .what = "ATTR_SET: too short" },
    { .code = 0 },
};

static uint8_t def_of[256];     /* Index in the table, plus 1. */

__attribute__((constructor)) static void
index_defs(void)
{
    for (uint8_t i = 0; bgp_attr_defs[i].code; i++) {
        def_of[bgp_attr_defs[i].code] = (uint8_t) (i + 1);
    }
}

static const struct bgp_attr_def *
find_def(uint8_t code)
{
    return def_of[code] ? &bgp_attr_defs[def_of[code] - 1] : NULL;
}

const char *
bgp_attr_name(uint8_t code)
{
    const struct bgp_attr_def *def = find_def(code);
    return def ? def->name : NULL;
}

/* ---- Taking an UPDATE apart. ---- */

bool
bgp_attr_next(struct cursor *c, struct bgp_attr_raw *a)
{
    if (!cur_more(c)) {
        return false;
    }
    a->start = c->p;
    a->flags = cur_u8(c);
    a->code = cur_u8(c);
    a->value = cur_sub(c, a->flags & BGP_F_EXTENDED ? cur_u16(c)
                                                    : cur_u8(c));
    return !a->value.bad;
}

/* Remembers an error; the strongest counts (RFC 7606 section 3 h). */
static void
fail(struct bgp_update *u, enum bgp_action action, uint8_t subcode,
     const struct bgp_attr_raw *a, const char *why)
{
    if (!u->why) {
        u->why = why;
        u->bad_attr = a ? a->code : 0;
    }
    if (action > u->action) {
        u->action = action;
        u->why = why;
        u->bad_attr = a ? a->code : 0;
        bgp_error_set(&u->error, BGP_E_UPDATE, subcode, a ? a->start : NULL,
                      a ? (size_t) (a->value.end - a->start) : 0);
    }
    if (action == BGP_DISCARD) {
        u->n_discarded++;
    }
}

static void
keep_raw(struct bgp_decoder *d, struct bgp_update *u,
         const struct bgp_attr_raw *a)
{
    size_t n = (size_t) (a->value.end - a->start);
    if (n > sizeof d->unknown - u->attrs.n_unknown) {
        u->n_discarded++;       /* Cannot happen: no message is so long. */
        return;
    }
    memcpy(d->unknown + u->attrs.n_unknown, a->start, n);
    u->attrs.unknown = d->unknown;
    u->attrs.n_unknown += (uint32_t) n;
}

static void
unknown_attr(struct bgp_decoder *d, struct bgp_update *u,
             const struct bgp_attr_raw *a)
{
    u->n_unknown++;
    if (!(a->flags & BGP_F_OPTIONAL)) {
        fail(u, BGP_RESET, BGP_E_UPDATE_WELL_KNOWN, a,
             "unknown well-known attribute");
    } else if (a->flags & BGP_F_TRANSITIVE) {
        keep_raw(d, u, a);
    }
}

static bool
length_fits(const struct bgp_attr_def *def, size_t n)
{
    return n >= def->least && (!def->most || n <= def->most)
           && (def->most || !def->least || !(n % def->unit))
           && (def->code != BGP_A_ATOMIC_AGGREGATE || !n);
}

static void
one_attr(struct bgp_decoder *d, const struct bgp_params *params,
         struct bgp_update *u, const struct bgp_attr_raw *a)
{
    const struct bgp_attr_def *def = find_def(a->code);
    uint64_t bit = 1ull << a->code % 64, *seen = &u->seen[a->code / 64];
    bool mp = a->code == BGP_A_MP_REACH || a->code == BGP_A_MP_UNREACH;

    if (*seen & bit) {          /* RFC 7606 section 3 g */
        fail(u, mp ? BGP_RESET : BGP_DISCARD, BGP_E_UPDATE_LIST, a,
             "the same attribute twice");
        return;
    }
    *seen |= bit;
    if (!def) {
        unknown_attr(d, u, a);
        return;
    }
    if (def->internal_only && !params->internal && !params->lenient) {
        u->n_discarded++;       /* RFC 7606 sections 7.5, 7.9, 7.10 */
        return;
    }
    if ((a->code == BGP_A_AS4_PATH || a->code == BGP_A_AS4_AGGREGATOR)
        && params->as4) {       /* RFC 6793 section 4.1 */
        u->n_discarded++;
        return;
    }
    if ((a->flags & OPT_TRANS) != def->flags) {
        fail(u, def->on_flags, BGP_E_UPDATE_FLAGS, a,
             "attribute flags are wrong");
        if (!mp) {              /* Its routes are needed, to withdraw them. */
            return;
        }
    }
    if (!length_fits(def, cur_left(&a->value))) {
        fail(u, def->on_error, mp ? def->subcode : BGP_E_UPDATE_LENGTH, a,
             def->what);
        return;
    }
    const char *why = def->decode ? def->decode(d, params, a->value, u)
                                  : NULL;
    if (why) {
        fail(u, def->on_error, def->subcode, a, why);
    } else if (def->keep) {
        keep_raw(d, u, a);
    }
}

/* ASes of a path as RFC 6793 section 4.2.3 counts them: a set is one, what is
 * of a confederation none. */
static uint32_t
count_path(const uint32_t *w, uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i += 1 + (w[i] & 0xffff)) {
        uint32_t type = w[i] >> 16;
        sum += type == BGP_AS_SEQUENCE ? w[i] & 0xffff : type == BGP_AS_SET;
    }
    return sum;
}

/* Copies the first 'take' ASes of a path, and what is of a confederation
 * before them.  Returns words. */
static uint32_t
copy_leading(uint32_t *to, const uint32_t *w, uint32_t n, uint32_t take)
{
    uint32_t out = 0;
    for (uint32_t i = 0; i < n; i += 1 + (w[i] & 0xffff)) {
        uint32_t type = w[i] >> 16, count = w[i] & 0xffff, worth = 0;
        if (type == BGP_AS_SEQUENCE) {
            worth = count = count < take ? count : take;
        } else if (type == BGP_AS_SET) {
            worth = 1;
        }
        if ((worth && !take) || !count) {
            break;
        }
        take -= worth;
        to[out] = type << 16 | count;
        memcpy(to + out + 1, w + i + 1, count * sizeof *w);
        out += 1 + count;
    }
    return out;
}

/* Segments of a confederation have no place in AS4_PATH: they are taken out
 * (RFC 6793 section 6). */
static uint32_t
copy_as4(uint32_t *to, const uint32_t *w, uint32_t n)
{
    uint32_t out = 0;
    for (uint32_t i = 0; i < n; i += 1 + (w[i] & 0xffff)) {
        uint32_t type = w[i] >> 16, words = 1 + (w[i] & 0xffff);
        if (type == BGP_AS_SEQUENCE || type == BGP_AS_SET) {
            memcpy(to + out, w + i, words * sizeof *w);
            out += words;
        }
    }
    return out;
}

static void
merge_as4(struct bgp_decoder *d, struct bgp_update *u)
{
    struct bgp_attrs *a = &u->attrs;
    if (a->has & BGP_HAS_AGGREGATOR && d->has_as4_aggregator) {
        if (a->aggregator_as != BGP_AS_TRANS) {
            return;             /* Both are to be ignored then. */
        }
        a->aggregator_as = d->as4_aggregator_as;
        a->aggregator = d->as4_aggregator;
    }
    if (!d->as4_path || !(a->has & BGP_HAS_AS_PATH)) {
        return;
    }
    uint32_t *words = arena_take(d, 4ul * (a->n_as_path + d->n_as4_path + 1));
    if (!words) {
        return;
    }
    uint32_t have = count_path(a->as_path, a->n_as_path);
    uint32_t *as4 = arena_take(d, 4ul * (d->n_as4_path + 1));
    uint32_t n_as4 = as4 ? copy_as4(as4, d->as4_path, d->n_as4_path) : 0;
    uint32_t told = count_path(as4, n_as4);
    if (!as4 || have < told) {
        return;
    }
    uint32_t n = copy_leading(words, a->as_path, a->n_as_path, have - told);
    uint32_t last = 0;          /* Where the last segment begins. */
    for (uint32_t i = 0; i < n; i += 1 + (words[i] & 0xffff)) {
        last = i;
    }
    uint32_t from = 0;
    if (n && n_as4 && words[last] >> 16 == BGP_AS_SEQUENCE
        && as4[0] >> 16 == BGP_AS_SEQUENCE
        && (words[last] & 0xffff) + (as4[0] & 0xffff) <= 255) {
        words[last] += as4[0] & 0xffff;         /* One sequence. */
        from = 1;
    }
    memcpy(words + n, as4 + from, (n_as4 - from) * sizeof *words);
    a->as_path = words;
    a->n_as_path = n + n_as4 - from;
}

static void
check_mandatory(struct bgp_update *u)
{
    static const uint8_t needed[] = { BGP_A_ORIGIN, BGP_A_AS_PATH,
                                      BGP_A_NEXT_HOP };
    static const char *const why[] = { "no ORIGIN", "no AS_PATH",
                                       "no NEXT_HOP" };
    bool plain = cur_more(&u->nlri.nlri);
    bool mp = u->reach.present && cur_more(&u->reach.nlri);
    for (int i = 0; i < 3 && (plain || mp); i++) {
        bool is_hop = needed[i] == BGP_A_NEXT_HOP;
        if (!(u->seen[0] >> needed[i] & 1) && (plain || !is_hop)) {
            fail(u, BGP_WITHDRAW, BGP_E_UPDATE_MISSING, NULL, why[i]);
            if (u->error.subcode == BGP_E_UPDATE_MISSING) {
                u->error.n_data = 1;
                u->error.data[0] = needed[i];
            }
        }
    }
}

/* False: they do not end where they should. */
static bool
walk(struct bgp_decoder *d, const struct bgp_params *params, struct cursor c,
     struct bgp_update *u)
{
    struct bgp_attr_raw a;
    while (bgp_attr_next(&c, &a)) {
        one_attr(d, params, u, &a);
    }
    if (c.bad) {                /* RFC 7606 section 4 */
        fail(u, BGP_WITHDRAW, BGP_E_UPDATE_LIST, NULL,
             "an attribute is longer than all");
    }
    if (!params->as4) {
        merge_as4(d, u);
    }
    return !c.bad;
}

static void
start(struct bgp_decoder *d, struct bgp_update *u)
{
    memset(u, 0, sizeof *u);
    u->withdrawn.family = u->nlri.family = BGP_IPV4_UNICAST;
    u->unreach.family = u->reach.family = -1;
    u->withdrawn.afi = u->nlri.afi = 1;
    u->withdrawn.safi = u->nlri.safi = 1;
    u->attrs.serial = ++d->serial;
    d->used = 0;
    d->as4_path = NULL;
    d->n_as4_path = 0;
    d->has_as4_aggregator = false;
    d->short_reach = false;
}

/* What the next hop apart is the same for routes of MP_REACH_NLRI. */
static void
finish_mp(struct bgp_decoder *d, struct bgp_update *u)
{
    if (!u->reach.present) {
        return;
    }
    struct bgp_attrs hop = u->mp_attrs;
    const uint32_t hops = BGP_HAS_NEXT_HOP | BGP_HAS_LINK_LOCAL;
    u->mp_attrs = u->attrs;
    u->mp_attrs.serial = ++d->serial;
    u->mp_attrs.has = (u->attrs.has & ~hops) | (hop.has & hops);
    u->mp_attrs.next_hop = hop.next_hop;
    u->mp_attrs.link_local = hop.link_local;
}

void
bgp_update_decode(struct bgp_decoder *d, const struct bgp_params *params,
                  struct cursor c, struct bgp_update *u)
{
    start(d, u);
    u->withdrawn.nlri = cur_sub(&c, cur_u16(&c));
    struct cursor attributes = cur_sub(&c, cur_u16(&c));
    if (attributes.bad) {       /* RFC 7606 section 3 b */
        u->withdrawn.nlri = u->nlri.nlri = cur_init(NULL, 0);
        fail(u, BGP_RESET, BGP_E_UPDATE_LIST, NULL,
             "lengths of withdrawn routes and attributes do not fit");
        return;
    }
    u->withdrawn.present = cur_more(&u->withdrawn.nlri);
    u->nlri.nlri = c;
    u->nlri.present = cur_more(&c);
    bool whole = walk(d, params, attributes, u);
    finish_mp(d, u);
    if (!params->lenient) {     /* A table shows its own routes, too. */
        check_mandatory(u);
    }
    /* RFC 7606 section 5.2: what was announced has perhaps not been seen. */
    bool others = u->seen[0] & ~(1ull << BGP_A_MP_UNREACH)
                  || u->seen[1] || u->seen[2] || u->seen[3] || !whole;
    if (u->action == BGP_WITHDRAW && !u->nlri.present && others
        && !(u->reach.present && cur_more(&u->reach.nlri))) {
        u->action = BGP_RESET;
    }
}

void
bgp_attrs_decode(struct bgp_decoder *d, const struct bgp_params *params,
                 struct cursor attributes, struct bgp_update *u)
{
    start(d, u);
    d->short_reach = true;
    u->withdrawn.nlri = u->nlri.nlri = cur_init(NULL, 0);
    walk(d, params, attributes, u);
    finish_mp(d, u);
}

/* ---- Handing over. ---- */

struct delivery {
    const struct bgp_params *params;
    struct bgp_update *u;
    const struct bgp_sink *sink;
    uint32_t peer;
};

static bool
has_path_ids(const struct bgp_params *params, enum bgp_family f,
             struct cursor c)
{
    if (params->add_path >> f & 1 || !params->guess_paths) {
        return params->add_path >> f & 1;
    }
    return !bgp_nlri_plausible(f, false, c) && bgp_nlri_plausible(f, true, c);
}

/* RFC 4271 section 6.3: what is no unicast destination is ignored.  224.0.0.0/3
 * and shorter ones are kept: they are more than that. */
static bool
is_multicast(const struct bgp_nlri *n)
{
    const uint8_t *b = n->prefix.addr.b;
    if (n->family == BGP_IPV4_UNICAST || n->family == BGP_IPV4_LABELED) {
        return b[12] >> 4 == 0xe && n->prefix.len >= 96 + 4;
    }
    return (n->family == BGP_IPV6_UNICAST || n->family == BGP_IPV6_LABELED)
           && b[0] == 0xff && n->prefix.len >= 8;
}

/* The routes of one field; 'attrs' NULL: withdrawn. */
static void
deliver_field(struct delivery *d, const struct bgp_nlri_field *field,
              const struct bgp_attrs *attrs)
{
    struct bgp_update *u = d->u;
    struct cursor c = field->nlri;
    struct bgp_nlri n;
    if (!field->present || !cur_more(&c)) {
        return;
    }
    if (field->family < 0 || !(d->params->families >> field->family & 1)) {
        u->n_skipped++;
        return;
    }
    enum bgp_family f = (enum bgp_family) field->family;
    bool add_path = has_path_ids(d->params, f, c);
    bool in_withdrawn = field == &u->withdrawn || field == &u->unreach;
    while (cur_more(&c)) {
        enum bgp_nlri_result r = bgp_nlri_next(f, add_path, in_withdrawn, &c,
                                               &n);
        if (r == BGP_NLRI_BAD) {        /* RFC 7606 section 5.3 */
            bool mp = field == &u->reach || field == &u->unreach;
            fail(u, BGP_RESET, mp ? BGP_E_UPDATE_OPTIONAL
                                  : BGP_E_UPDATE_NETWORK, NULL,
                 "a route is longer than there is room");
            return;
        }
        if (r == BGP_NLRI_SKIP
            || (!d->params->lenient && is_multicast(&n))) {
            u->n_bad_nlri++;
        } else if (attrs) {
            d->sink->announce(d->sink->aux, d->peer, &n, attrs);
            u->n_announced++;
        } else {
            d->sink->withdraw(d->sink->aux, d->peer, &n);
            u->n_withdrawn++;
        }
    }
}

/* RFC 4724 section 2 */
static void
deliver_end_of_rib(struct delivery *d)
{
    struct bgp_update *u = d->u;
    const uint64_t unreach = 1ull << BGP_A_MP_UNREACH;
    int f = -1;
    if (u->withdrawn.present || u->nlri.present || u->seen[1] || u->seen[2]
        || u->seen[3] || u->seen[0] & ~unreach || u->why) {
        return;
    }
    if (!u->seen[0]) {
        f = BGP_IPV4_UNICAST;
    } else if (!cur_more(&u->unreach.nlri)) {
        f = u->unreach.family;
    }
    if (f >= 0 && d->params->families >> f & 1) {
        u->end_of_rib |= 1u << f;
        d->sink->end_of_rib(d->sink->aux, d->peer, (enum bgp_family) f);
    }
}

enum bgp_action
bgp_update_deliver(const struct bgp_params *params, struct bgp_update *u,
                   const struct bgp_sink *sink, uint32_t peer)
{
    struct delivery d = { params, u, sink, peer };
    if (u->action == BGP_RESET) {
        return u->action;
    }
    bool take_back = u->action == BGP_WITHDRAW;
    deliver_field(&d, &u->withdrawn, NULL);
    deliver_field(&d, &u->unreach, NULL);
    deliver_field(&d, &u->nlri, take_back ? NULL : &u->attrs);
    deliver_field(&d, &u->reach, take_back ? NULL : &u->mp_attrs);
    deliver_end_of_rib(&d);
    return u->action;
}
