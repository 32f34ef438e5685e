#include <config.h>

#include "bgp/mrt.h"

#include <stdlib.h>
#include <string.h>

#include "bgp/message.h"

#define MAX_PEERS 65536
#define ALL_FAMILIES ((1u << BGP_N_FAMILIES) - 1)

#define COUNTER(NAME, DOC) { #NAME, offsetof(struct mrt_counters, NAME), DOC },
const struct counter_def mrt_counter_defs[] = {
    MRT_COUNTERS(COUNTER)
    { .name = NULL }
};

struct mrt_reader {
    struct bgp_decoder *decoder;
    struct mrt_peer *peers;     /* The index; room for MAX_PEERS. */
    size_t n_peers;
    struct mrt_counters n;
};

/* One record on its way. */
struct record {
    struct mrt_reader *reader;
    const struct mrt_header *h;
    const struct mrt_handler *to;
    struct cursor c;
    int64_t time_us;
};

/* ---- The table of types. ---- */

/* What a subtype's body is. */
enum body { OTHER, OLD_UPDATE, OLD_STATE, OLD_OPEN, OLD_NOTIFY, OLD_KEEPALIVE,
            DUMP, INDEX, RIB, RIB_GENERIC, STATE, MESSAGE };

enum { AS4 = 1, PATHS = 2, V6 = 4, LOCAL = 8, MULTICAST = 16 };

#define SAFI_MULTICAST 2

static const struct {
    uint16_t type, subtype;
    const char *name;
    enum body body;
    unsigned flags;
} subtypes[] = {
    { 5, 0, "NULL", OTHER, 0 },
    { 5, 1, "UPDATE", OLD_UPDATE, 0 },
    { 5, 2, "PREF_UPDATE", OTHER, 0 },
    { 5, 3, "STATE_CHANGE", OLD_STATE, 0 },
    { 5, 4, "SYNC", OTHER, 0 },
    { 5, 5, "OPEN", OLD_OPEN, 0 },
    { 5, 6, "NOTIFY", OLD_NOTIFY, 0 },
    { 5, 7, "KEEPALIVE", OLD_KEEPALIVE, 0 },
    { 12, 1, "AFI_IPV4", DUMP, 0 },
    { 12, 2, "AFI_IPV6", DUMP, V6 },
    { 12, 3, "AFI_IPV4_AS4", DUMP, AS4 },
    { 12, 4, "AFI_IPV6_AS4", DUMP, V6 | AS4 },
    { 13, 1, "PEER_INDEX_TABLE", INDEX, 0 },
    { 13, 2, "RIB_IPV4_UNICAST", RIB, 0 },
    { 13, 3, "RIB_IPV4_MULTICAST", RIB, MULTICAST },
    { 13, 4, "RIB_IPV6_UNICAST", RIB, V6 },
    { 13, 5, "RIB_IPV6_MULTICAST", RIB, V6 | MULTICAST },
    { 13, 6, "RIB_GENERIC", RIB_GENERIC, 0 },
    { 13, 7, "GEO_PEER_TABLE", OTHER, 0 },
    { 13, 8, "RIB_IPV4_UNICAST_ADDPATH", RIB, PATHS },
    { 13, 9, "RIB_IPV4_MULTICAST_ADDPATH", RIB, PATHS | MULTICAST },
    { 13, 10, "RIB_IPV6_UNICAST_ADDPATH", RIB, PATHS | V6 },
    { 13, 11, "RIB_IPV6_MULTICAST_ADDPATH", RIB, PATHS | V6 | MULTICAST },
    { 13, 12, "RIB_GENERIC_ADDPATH", RIB_GENERIC, PATHS },
    { 16, 0, "STATE_CHANGE", STATE, 0 },
    { 16, 1, "MESSAGE", MESSAGE, 0 },
    { 16, 2, "ENTRY", OTHER, 0 },
    { 16, 3, "SNAPSHOT", OTHER, 0 },
    { 16, 4, "MESSAGE_AS4", MESSAGE, AS4 },
    { 16, 5, "STATE_CHANGE_AS4", STATE, AS4 },
    { 16, 6, "MESSAGE_LOCAL", MESSAGE, LOCAL },
    { 16, 7, "MESSAGE_AS4_LOCAL", MESSAGE, AS4 | LOCAL },
    { 16, 8, "MESSAGE_ADDPATH", MESSAGE, PATHS },
    { 16, 9, "MESSAGE_AS4_ADDPATH", MESSAGE, AS4 | PATHS },
    { 16, 10, "MESSAGE_LOCAL_ADDPATH", MESSAGE, LOCAL | PATHS },
    { 16, 11, "MESSAGE_AS4_LOCAL_ADDPATH", MESSAGE, AS4 | LOCAL | PATHS },
};
#define N_SUBTYPES (sizeof subtypes / sizeof subtypes[0])

/* BGP4MP_ET has the subtypes of BGP4MP.  -1: not known. */
static int
find_subtype(uint16_t type, uint16_t subtype)
{
    type = type == MRT_BGP4MP_ET ? MRT_BGP4MP : type;
    for (size_t i = 0; i < N_SUBTYPES; i++) {
        if (subtypes[i].type == type && subtypes[i].subtype == subtype) {
            return (int) i;
        }
    }
    return -1;
}

const char *
mrt_type_name(uint16_t type)
{
    static const struct { uint16_t type; const char *name; } names[] = {
        { MRT_BGP, "BGP" }, { MRT_OSPF2, "OSPFv2" },
        { MRT_TABLE_DUMP, "TABLE_DUMP" },
        { MRT_TABLE_DUMP_V2, "TABLE_DUMP_V2" }, { MRT_BGP4MP, "BGP4MP" },
        { MRT_BGP4MP_ET, "BGP4MP_ET" }, { MRT_ISIS, "ISIS" },
        { MRT_ISIS_ET, "ISIS_ET" }, { MRT_OSPF3, "OSPFv3" },
        { MRT_OSPF3_ET, "OSPFv3_ET" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].type == type) {
            return names[i].name;
        }
    }
    return NULL;
}

const char *
mrt_subtype_name(uint16_t type, uint16_t subtype)
{
    int i = find_subtype(type, subtype);
    return i < 0 ? NULL : subtypes[i].name;
}

bool
mrt_header_parse(const uint8_t *p, struct mrt_header *h)
{
    h->time_s = be32_at(p);
    h->type = be16_at(p + 4);
    h->subtype = be16_at(p + 6);
    h->size = be32_at(p + 8);
    /* A type that nobody has assigned is most likely the midst of something
     * else (RFC 6396 section 4 ends at 49). */
    return h->size <= MRT_MAX_SIZE && h->type <= MRT_OSPF3_ET;
}

bool
mrt_looks(const uint8_t *p, size_t n)
{
    struct mrt_header h;
    return n >= MRT_HEADER_SIZE && mrt_header_parse(p, &h)
           && (find_subtype(h.type, h.subtype) >= 0
               || (mrt_type_name(h.type) && h.type >= MRT_ISIS)
               || (h.type == MRT_OSPF2 && !h.subtype))
           && h.size >= 4 && h.time_s > 600000000;      /* 1989 */
}

/* ---- Routes of tables. ---- */

static struct addr
take_addr(struct cursor *c, bool v6)
{
    static const struct addr none;
    const uint8_t *p = cur_take(c, v6 ? 16 : 4);
    return !p ? none : v6 ? addr_from_v6_bytes(p) : addr_from_v4_bytes(p);
}

static void
count_bad(struct record *r)
{
    counter_inc(&r->reader->n.bad_records);
}

static void
tell_route(struct record *r, struct mrt_route *route, bool as4)
{
    struct mrt_reader *d = r->reader;
    struct bgp_params params = {
        .as4 = as4, .internal = true, .lenient = true,
        .families = ALL_FAMILIES,
    };
    struct bgp_update u;
    if (route->multicast && !r->to->multicast) {
        counter_inc(&d->n.skipped_families);
        return;
    }
    bgp_attrs_decode(d->decoder, &params, route->raw, &u);
    if (!route->multicast) {
        counter_inc(&d->n.table_routes);
    }
    if (u.action >= BGP_WITHDRAW) {
        counter_inc(route->multicast ? &d->n.skipped_families
                                     : &d->n.bad_routes);
        return;
    }
    route->update = &u;
    route->attrs = u.reach.present ? &u.mp_attrs : &u.attrs;
    if (r->to->route) {
        r->to->route(r->to->aux, route);
    }
}

/* Length in bits and as many octets as that needs. */
static bool
take_prefix(struct cursor *c, bool v6, unsigned len, size_t octets,
            struct prefix *p)
{
    struct addr a = { { 0 } };
    unsigned skip = v6 ? 0 : 12;
    const uint8_t *b = cur_take(c, octets);
    if (!b || len > 128 - 8 * skip) {
        return false;
    }
    if (!v6) {
        a.b[10] = a.b[11] = 0xff;
    }
    memcpy(a.b + skip, b, octets);
    for (unsigned i = 8 * skip + len; i < 128; i++) {
        a.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
    }
    p->addr = a;
    p->len = (uint8_t) (len + 8 * skip);
    return true;
}

/* RFC 6396 section 4.2. */
static void
take_dump(struct record *r, unsigned flags)
{
    struct cursor *c = &r->c;
    bool v6 = flags & V6;
    struct mrt_peer peer = { .as4 = flags & AS4 };
    struct mrt_route route = { .peer = &peer };
    cur_skip(c, 4);             /* View and sequence. */
    struct cursor address = cur_sub(c, v6 ? 16 : 4);
    unsigned len = cur_u8(c);
    route.nlri.family = v6 ? BGP_IPV6_UNICAST : BGP_IPV4_UNICAST;
    if (!take_prefix(&address, v6, len, v6 ? 16 : 4, &route.nlri.prefix)) {
        count_bad(r);
        return;
    }
    cur_skip(c, 1);             /* Status. */
    route.time_us = (int64_t) cur_u32(c) * 1000000;
    peer.address = take_addr(c, v6);
    peer.as = flags & AS4 ? cur_u32(c) : cur_u16(c);
    route.raw = cur_sub(c, cur_u16(c));
    if (route.raw.bad) {
        count_bad(r);
        return;
    }
    tell_route(r, &route, flags & AS4);
}

/* Section 4.3.1. */
static void
take_index(struct record *r)
{
    struct mrt_reader *d = r->reader;
    struct cursor *c = &r->c;
    char view[256];
    cur_skip(c, 4);             /* Collector's identifier. */
    struct cursor name = cur_sub(c, cur_u16(c));
    size_t n = cur_left(&name) < sizeof view ? cur_left(&name)
                                             : sizeof view - 1;
    if (n) {
        memcpy(view, cur_take(&name, n), n);
    }
    view[n] = '\0';
    size_t n_peers = cur_u16(c);
    d->n_peers = 0;
    for (size_t i = 0; i < n_peers && !c->bad; i++) {
        uint8_t type = cur_u8(c);
        struct mrt_peer *p = &d->peers[i];
        *p = (struct mrt_peer) { .as4 = true };
        p->id = cur_u32(c);
        p->address = take_addr(c, type & 1);
        p->as = type & 2 ? cur_u32(c) : cur_u16(c);
    }
    if (c->bad) {
        count_bad(r);
        return;
    }
    d->n_peers = n_peers;
    if (r->to->table) {
        r->to->table(r->to->aux, view, d->peers, n_peers);
    }
}

/* Sections 4.3.2 and 4.3.4: entries after the destination.  Paths have AS numbers
 * of four octets always. */
static void
take_entries(struct record *r, unsigned flags, const struct bgp_nlri *nlri)
{
    struct mrt_reader *d = r->reader;
    struct cursor *c = &r->c;
    size_t n = cur_u16(c);
    for (size_t i = 0; i < n && !c->bad; i++) {
        struct mrt_route route = { .nlri = *nlri,
                                   .multicast = flags & MULTICAST };
        route.index = cur_u16(c);
        route.time_us = (int64_t) cur_u32(c) * 1000000;
        route.nlri.path_id = flags & PATHS ? cur_u32(c) : nlri->path_id;
        route.raw = cur_sub(c, cur_u16(c));
        if (route.raw.bad) {
            break;
        }
        if (route.index >= d->n_peers) {
            counter_inc(&d->n.table_routes);
            counter_inc(&d->n.no_peer);
            continue;
        }
        route.peer = &d->peers[route.index];
        tell_route(r, &route, true);
    }
    if (c->bad) {
        count_bad(r);
    }
}

static void
take_rib(struct record *r, unsigned flags)
{
    bool v6 = flags & V6;
    struct bgp_nlri nlri = {
        .family = v6 ? BGP_IPV6_UNICAST : BGP_IPV4_UNICAST,
    };
    cur_skip(&r->c, 4);         /* Sequence number. */
    unsigned len = cur_u8(&r->c);
    if (!take_prefix(&r->c, v6, len, (len + 7) / 8, &nlri.prefix)) {
        count_bad(r);
    } else {
        take_entries(r, flags, &nlri);
    }
}

/* True if what is left is the entries that it says it has, and nothing else. */
static bool
entries_fit(struct cursor c)
{
    size_t n = cur_u16(&c);
    for (size_t i = 0; i < n && !c.bad; i++) {
        cur_skip(&c, 6);
        cur_skip(&c, cur_u16(&c));
    }
    return !c.bad && !cur_more(&c);
}

/* RFC 8050 section 4.2 has the path identifier of RIB_GENERIC_ADDPATH in front
 * of the destination, and entries as they were.  GoBGP and OpenBGPD write it
 * into each entry, as with the other subtypes. */
static bool
path_id_comes_first(enum bgp_family family, struct cursor c)
{
    struct bgp_nlri nlri;
    return bgp_nlri_next(family, true, false, &c, &nlri) != BGP_NLRI_BAD
           && entries_fit(c);
}

/* Section 4.3.3. */
static void
take_generic(struct record *r, unsigned flags)
{
    struct bgp_nlri nlri;
    cur_skip(&r->c, 4);
    uint16_t afi = cur_u16(&r->c);
    uint8_t safi = cur_u8(&r->c);
    if (safi == SAFI_MULTICAST && (afi == 1 || afi == 2)) {
        flags |= MULTICAST;
        safi = 1;
    }
    int found = bgp_family_find(afi, safi);
    if (r->c.bad) {
        count_bad(r);
        return;
    } else if (found < 0) {
        counter_inc(&r->reader->n.skipped_families);
        return;
    }
    enum bgp_family family = (enum bgp_family) found;
    bool first = flags & PATHS && path_id_comes_first(family, r->c);
    if (first) {
        flags &= ~(unsigned) PATHS;
    }
    switch (bgp_nlri_next(family, first, false, &r->c, &nlri)) {
    case BGP_NLRI_OK:
        take_entries(r, flags, &nlri);
        break;
    case BGP_NLRI_SKIP:         /* EVPN, of a type that is not kept. */
        counter_add(&r->reader->n.skipped_families, cur_u16(&r->c));
        break;
    default:
        count_bad(r);
    }
}

/* ---- Messages and states. ---- */

/* What BGP4MP has first (section 4.4). */
static bool
take_peer(struct record *r, bool as4, struct mrt_peer *p)
{
    struct cursor *c = &r->c;
    p->as4 = as4;
    p->as = as4 ? cur_u32(c) : cur_u16(c);
    p->local_as = as4 ? cur_u32(c) : cur_u16(c);
    cur_skip(c, 2);             /* Interface. */
    uint16_t afi = cur_u16(c);
    if (afi != 1 && afi != 2) {
        c->bad = true;
        return false;
    }
    p->address = take_addr(c, afi == 2);
    p->local = take_addr(c, afi == 2);
    return !c->bad;
}

static void
tell_message(struct record *r, struct mrt_message *m)
{
    counter_inc(&r->reader->n.messages);
    m->time_us = r->time_us;
    if (r->to->message) {
        r->to->message(r->to->aux, m);
    }
}

static void
take_message(struct record *r, unsigned flags)
{
    struct mrt_message m = { .local = flags & LOCAL,
                             .add_path = flags & PATHS };
    if (!take_peer(r, flags & AS4, &m.peer)) {
        count_bad(r);
        return;
    }
    const uint8_t *p = cur_take(&r->c, BGP_HEADER_SIZE);
    size_t size = p ? be16_at(p + 16) : 0;
    if (size < BGP_HEADER_SIZE) {
        count_bad(r);
        return;
    }
    m.type = p[18];
    m.body = cur_sub(&r->c, size - BGP_HEADER_SIZE);
    if (m.body.bad) {
        count_bad(r);
        return;
    }
    tell_message(r, &m);
}

static void
tell_state(struct record *r, struct mrt_state *s)
{
    s->time_us = r->time_us;
    s->old = cur_u16(&r->c);
    s->now = cur_u16(&r->c);
    if (r->c.bad) {
        count_bad(r);
        return;
    }
    counter_inc(&r->reader->n.states);
    if (r->to->state) {
        r->to->state(r->to->aux, s);
    }
}

static void
take_state(struct record *r, unsigned flags)
{
    struct mrt_state s;
    memset(&s, 0, sizeof s);
    if (!take_peer(r, flags & AS4, &s.peer)) {
        count_bad(r);
        return;
    }
    tell_state(r, &s);
}

/* The old BGP (appendix B.2): IPv4, AS numbers of two octets, messages without
 * their header. */
static void
take_old(struct record *r, enum body body)
{
    struct mrt_peer peer = { .as = cur_u16(&r->c) };
    peer.address = take_addr(&r->c, false);
    if (body == OLD_STATE) {
        struct mrt_state s = { .peer = peer };
        tell_state(r, &s);
        return;
    }
    peer.local_as = cur_u16(&r->c);
    peer.local = take_addr(&r->c, false);
    if (r->c.bad) {
        count_bad(r);
        return;
    }
    static const uint8_t types[] = {
        [OLD_UPDATE] = BGP_UPDATE, [OLD_OPEN] = BGP_OPEN,
        [OLD_NOTIFY] = BGP_NOTIFICATION, [OLD_KEEPALIVE] = BGP_KEEPALIVE,
    };
    struct mrt_message m = { .peer = peer, .type = types[body],
                             .body = r->c };
    tell_message(r, &m);
}

/* ---- */

void
mrt_record(struct mrt_reader *d, const struct mrt_header *h,
           const uint8_t *body, const struct mrt_handler *to)
{
    struct record r = { d, h, to, cur_init(body, h->size),
                        (int64_t) h->time_s * 1000000 };
    counter_inc(&d->n.records);
    if (h->type == MRT_BGP4MP_ET) {
        r.time_us += cur_u32(&r.c) % 1000000;
    }
    int i = find_subtype(h->type, h->subtype);
    enum body what = i < 0 ? OTHER : subtypes[i].body;
    unsigned flags = i < 0 ? 0 : subtypes[i].flags;
    switch (what) {
    case DUMP:
        take_dump(&r, flags);
        break;
    case INDEX:
        take_index(&r);
        break;
    case RIB:
        take_rib(&r, flags);
        break;
    case RIB_GENERIC:
        take_generic(&r, flags);
        break;
    case STATE:
        take_state(&r, flags);
        break;
    case MESSAGE:
        take_message(&r, flags);
        break;
    case OTHER:
        counter_inc(&d->n.other_records);
        break;
    default:
        take_old(&r, what);
    }
}

struct mrt_reader *
mrt_reader_create(void)
{
    struct mrt_reader *d = calloc(1, sizeof *d);
    if (d) {
        d->decoder = bgp_decoder_create();
        d->peers = calloc(MAX_PEERS, sizeof *d->peers);
    }
    if (d && (!d->decoder || !d->peers)) {
        mrt_reader_destroy(d);
        return NULL;
    }
    return d;
}

void
mrt_reader_destroy(struct mrt_reader *d)
{
    if (d) {
        bgp_decoder_destroy(d->decoder);
        free(d->peers);
        free(d);
    }
}

const struct mrt_counters *
mrt_reader_counters(const struct mrt_reader *d)
{
    return &d->n;
}
