#include <config.h>

#include "bgp/routelog_p.h"

#include <stdlib.h>
#include <string.h>

#include "bgp/attribute.h"

enum { F_BEFORE = 1, F_AFTER = 2, F_V4 = 4, F_PATH_ID = 8, F_RD = 16,
       F_LABEL = 32, F_EVPN = 64, F_BEST = 128 };

/* In the octet of the kind. */
enum { K_KIND = 0x3f, K_LEAK_BEFORE = 0x40, K_LEAK_AFTER = 0x80 };

static const struct {
    const char *name;
    bool of_peer;
} kinds[ROUTELOG_N_KINDS] = {
#define X(ID, NAME, PEER) [ROUTELOG_##ID] = { NAME, PEER },
    ROUTELOG_KINDS(X)
#undef X
};

const char *
routelog_kind_name(enum routelog_kind k)
{
    return kinds[k].name;
}

bool
routelog_kind_of_peer(enum routelog_kind k)
{
    return kinds[k].of_peer;
}

/* ---- Writing. ---- */

struct out {
    uint8_t *p, *end;
    bool full;
};

static void
put(struct out *o, const void *data, size_t n)
{
    if (o->full || n > (size_t) (o->end - o->p)) {
        o->full = true;
    } else if (n) {
        memcpy(o->p, data, n);
        o->p += n;
    }
}

static void
put_uint(struct out *o, uint64_t v, unsigned size)
{
    uint64_t be = __builtin_bswap64(v);
    put(o, (const uint8_t *) &be + 8 - size, size);
}

static void
put_nlri(struct out *o, const struct bgp_nlri *n, unsigned flags)
{
    unsigned skip = flags & F_V4 ? 12 : 0;
    unsigned len = n->prefix.len - 8 * skip;
    put_uint(o, (uint64_t) n->family, 1);
    put_uint(o, len, 1);
    put(o, n->prefix.addr.b + skip, (len + 7) / 8);
    if (flags & F_PATH_ID) {
        put_uint(o, n->path_id, 4);
    }
    if (flags & F_RD) {
        put_uint(o, n->rd, 8);
    }
    if (flags & F_LABEL) {
        put_uint(o, (uint64_t) n->n_labels << 24 | (n->label & 0xffffff), 4);
    }
    if (flags & F_EVPN) {
        put_uint(o, n->evpn_type, 1);
        put_uint(o, n->ethernet_tag, 4);
        put_uint(o, n->mac, 6);
        put_uint(o, n->label2, 4);
        put(o, n->esi, sizeof n->esi);
        put(o, n->gateway.b, sizeof n->gateway.b);
    }
}

static void
put_attrs(struct out *o, const struct cursor *c)
{
    put_uint(o, cur_left(c), 2);
    put(o, c->p, cur_left(c));
}

/* Fills in the size in front. */
static size_t
finish(struct out *o, uint8_t *buf)
{
    size_t n = (size_t) (o->p - buf);
    if (o->full || n - 4 > UINT32_MAX) {
        return 0;
    }
    o->p = buf;
    put_uint(o, n - 4, 4);
    return n;
}

size_t
routelog_record_write(const struct routelog_record *r, uint16_t peer,
                     uint8_t *buf, size_t size)
{
    struct out o = { buf, buf + size, false };
    const struct bgp_nlri *n = &r->nlri;
    bool of_peer = routelog_kind_of_peer(r->kind);
    unsigned flags = of_peer ? 0
        : (r->has_before ? F_BEFORE : 0u) | (r->has_after ? F_AFTER : 0u)
          | (r->best ? F_BEST : 0u) | (n->path_id ? F_PATH_ID : 0u)
          | (n->rd ? F_RD : 0u) | (n->label || n->n_labels ? F_LABEL : 0u)
          | (n->family == BGP_EVPN ? F_EVPN : 0u)
          | (n->prefix.len >= 96 && addr_is_v4(&n->prefix.addr) ? F_V4 : 0u);
    put_uint(&o, 0, 4);
    put_uint(&o, r->kind | (r->leak_before ? K_LEAK_BEFORE : 0u)
                 | (r->leak_after ? K_LEAK_AFTER : 0u), 1);
    put_uint(&o, flags, 1);
    put_uint(&o, (uint64_t) r->time_us, 8);
    put_uint(&o, peer, 2);
    if (of_peer) {
        put_uint(&o, r->has_family ? (uint64_t) n->family : 0xff, 1);
        put_uint(&o, r->n, 8);
        return finish(&o, buf);
    }
    put_nlri(&o, n, flags);
    if (r->has_before) {
        put_attrs(&o, &r->before);
    }
    if (r->has_after) {
        put_attrs(&o, &r->after);
    }
    return finish(&o, buf);
}

size_t
routelog_peer_write(uint16_t peer, const struct bgp_peer_info *info,
                   const char *name, uint8_t *buf, size_t size)
{
    struct out o = { buf, buf + size, false };
    put_uint(&o, 0, 4);
    put_uint(&o, ROUTELOG_PEER_KIND, 1);
    put_uint(&o, peer, 2);
    put_uint(&o, info->kind, 1);
    put_uint(&o, info->view, 1);
    put(&o, info->address.b, 16);
    put(&o, info->router.b, 16);
    put_uint(&o, info->rd, 8);
    put_uint(&o, info->as, 4);
    put_uint(&o, info->local_as, 4);
    put_uint(&o, info->id, 4);
    put(&o, name, strlen(name));
    return finish(&o, buf);
}

/* ---- Reading. ---- */

static bool
read_peer(struct cursor *c, struct routelog_peers *peers)
{
    uint16_t number = cur_u16(c);
    struct routelog_peer p = { .info.kind = cur_u8(c) };
    p.info.view = cur_u8(c);
    const uint8_t *address = cur_take(c, 16), *router = cur_take(c, 16);
    p.info.rd = cur_u64(c);
    p.info.as = cur_u32(c);
    p.info.local_as = cur_u32(c);
    p.info.id = cur_u32(c);
    if (c->bad || number >= RIB_MAX_PEERS || p.info.kind > BGP_PEER_FILE
        || p.info.view > BGP_VIEW_LOCAL) {
        return false;
    }
    p.info.address = addr_from_v6_bytes(address);
    p.info.router = addr_from_v6_bytes(router);
    size_t n = cur_left(c) < sizeof p.name ? cur_left(c)
                                           : sizeof p.name - 1;
    memcpy(p.name, cur_take(c, n), n);
    if (peers->n == peers->room) {
        size_t room = peers->room ? 2 * peers->room : 16;
        struct routelog_peer *list = realloc(peers->list,
                                            room * sizeof *list);
        if (!list) {
            return false;
        }
        peers->list = list;
        peers->room = room;
    }
    peers->list[peers->n] = p;
    peers->by_number[number] = (uint16_t) ++peers->n;
    return true;
}

void
routelog_peers_reset(struct routelog_peers *peers)
{
    peers->n = 0;
    memset(peers->by_number, 0, RIB_MAX_PEERS * sizeof *peers->by_number);
}

static bool
read_nlri(struct cursor *c, unsigned flags, struct bgp_nlri *n)
{
    unsigned family = cur_u8(c), len = cur_u8(c);
    unsigned skip = flags & F_V4 ? 12 : 0;
    const uint8_t *p = cur_take(c, (len + 7) / 8);
    if (!p || family >= BGP_N_FAMILIES || len > 128 - 8 * skip) {
        return false;
    }
    n->family = (enum bgp_family) family;
    if (skip) {
        n->prefix.addr.b[10] = n->prefix.addr.b[11] = 0xff;
    }
    memcpy(n->prefix.addr.b + skip, p, (len + 7) / 8);
    n->prefix.len = (uint8_t) (len + 8 * skip);
    n->path_id = flags & F_PATH_ID ? cur_u32(c) : 0;
    n->rd = flags & F_RD ? cur_u64(c) : 0;
    uint32_t label = flags & F_LABEL ? cur_u32(c) : 0;
    n->label = label & 0xffffff;
    n->n_labels = (uint8_t) (label >> 24);
    if (flags & F_EVPN) {
        n->evpn_type = cur_u8(c);
        n->ethernet_tag = cur_u32(c);
        const uint8_t *mac = cur_take(c, 6);
        n->mac = mac ? be_uint_at(mac, 6) : 0;
        n->label2 = cur_u32(c);
        const uint8_t *esi = cur_take(c, sizeof n->esi);
        const uint8_t *gateway = cur_take(c, 16);
        if (!gateway) {
            return false;
        }
        memcpy(n->esi, esi, sizeof n->esi);
        n->gateway = addr_from_v6_bytes(gateway);
    }
    return !c->bad;
}

static bool
read_body(struct cursor *c, struct routelog_peers *peers,
          struct routelog_record *r)
{
    unsigned flags = cur_u8(c);
    r->time_us = (int64_t) cur_u64(c);
    uint16_t peer = cur_u16(c);
    r->peer = peer < RIB_MAX_PEERS && peers->by_number[peer]
              ? &peers->list[peers->by_number[peer] - 1] : NULL;
    if (routelog_kind_of_peer(r->kind)) {
        unsigned family = cur_u8(c);
        r->has_family = family < BGP_N_FAMILIES;
        r->nlri.family = r->has_family ? (enum bgp_family) family : 0;
        r->n = cur_u64(c);
        return !c->bad;
    }
    if (!r->peer || !read_nlri(c, flags, &r->nlri)) {
        return false;
    }
    r->has_family = true;
    r->best = flags & F_BEST;
    r->has_before = flags & F_BEFORE;
    r->has_after = flags & F_AFTER;
    r->before = r->has_before ? cur_sub(c, cur_u16(c)) : cur_init(NULL, 0);
    r->after = r->has_after ? cur_sub(c, cur_u16(c)) : cur_init(NULL, 0);
    return !c->bad;
}

bool
routelog_record_read(struct cursor *c, struct routelog_peers *peers,
                    struct routelog_record *r)
{
    while (cur_more(c)) {
        struct cursor body = cur_sub(c, cur_u32(c));
        unsigned kind = cur_u8(&body);
        bool good;
        memset(r, 0, sizeof *r);
        if (kind == ROUTELOG_PEER_KIND) {
            good = read_peer(&body, peers);
        } else {
            r->leak_before = kind & K_LEAK_BEFORE;
            r->leak_after = kind & K_LEAK_AFTER;
            kind &= K_KIND;
            r->kind = (enum routelog_kind) kind;
            good = kind < ROUTELOG_N_KINDS && read_body(&body, peers, r);
            if (good) {
                if (r->peer) {
                    /* The list may have moved when it grew. */
                    struct routelog_peer *p = (struct routelog_peer *)
                                             (uintptr_t) r->peer;
                    p->info.name = p->name;
                }
                return true;
            }
        }
        if (!good) {
            c->bad = true;
        }
    }
    return false;
}

bool
routelog_attrs(struct bgp_decoder *d, struct cursor c, struct bgp_update *u,
              const struct bgp_attrs **attrs)
{
    struct bgp_params params = {
        .as4 = true, .internal = true, .lenient = true,
        .families = (1u << BGP_N_FAMILIES) - 1,
    };
    bgp_attrs_decode(d, &params, c, u);
    *attrs = u->reach.present ? &u->mp_attrs : &u->attrs;
    return u->action == BGP_ACCEPT;
}
