#include <config.h>

#include "collector/decode/packet.h"

#include <stdio.h>
#include <string.h>

#include "lib/cursor.h"
#include "lib/dict.h"

enum {
    ETH_IPV4 = 0x0800,
    ETH_VLAN = 0x8100,
    ETH_QINQ = 0x88a8,
    ETH_QINQ_OLD = 0x9100,
    ETH_IPV6 = 0x86dd,
    ETH_MPLS = 0x8847,
    ETH_MPLS_MCAST = 0x8848,
    ETH_BRIDGED = 0x6558,       /* Transparent Ethernet bridging. */
    ETH_ERSPAN = 0x88be,
    ETH_ERSPAN3 = 0x22eb,
    ETH_MIN = 0x0600,           /* Below this, a length (IEEE 802.3). */
};

enum {
    IP_HOPOPTS = 0, IP_ICMP = 1, IP_IPIP = 4, IP_IPV6 = 41, IP_GRE = 47,
    IP_TCP = 6, IP_UDP = 17, IP_ROUTING = 43,
    IP_FRAGMENT = 44, IP_AH = 51, IP_ICMPV6 = 58, IP_DSTOPTS = 60,
    IP_SCTP = 132, IP_UDPLITE = 136, IP_DCCP = 33, IP_MOBILITY = 135,
    IP_HIP = 139, IP_SHIM6 = 140,
};

struct parser {
    struct packet *k;
    struct cursor c;
    const uint8_t *start;
    size_t wire;
    unsigned depth;             /* Tunnels around. */
};

static void parse_ethernet(struct parser *);
static void parse_ip(struct parser *);
static void parse_mpls(struct parser *);

/* Octets of the packet from here on, as far as its length on the wire tells,
 * else as many as there are. */
static uint64_t
rest_on_wire(const struct parser *x)
{
    size_t done = (size_t) (x->c.p - x->start);
    return x->wire > done ? x->wire - done
           : x->wire ? 0 : cur_left(&x->c);
}

/* ---- Tunnels. ---- */

/* What a tunnel header says; 'parse' NULL: it is none, or carries nothing that
 * we know. */
struct tunnel {
    uint8_t type;
    bool has_vni;
    uint32_t vni;
    void (*parse)(struct parser *);
};

static void
(*payload_of(uint16_t ether_type))(struct parser *)
{
    static const struct {
        uint16_t type;
        void (*parse)(struct parser *);
    } payloads[] = {
        { ETH_IPV4, parse_ip }, { ETH_IPV6, parse_ip },
        { ETH_BRIDGED, parse_ethernet }, { ETH_MPLS, parse_mpls },
        { ETH_MPLS_MCAST, parse_mpls },
    };
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        if (payloads[i].type == ether_type) {
            return payloads[i].parse;
        }
    }
    return NULL;
}

/* RFC 7348, and the draft of its generic protocol extension. */
static void
tunnel_vxlan(struct parser *x, struct tunnel *t)
{
    const uint8_t *p = cur_take(&x->c, 8);
    if (!p || !(p[0] & 0x08)) {
        return;
    }
    t->has_vni = true;
    t->vni = be32_at(p + 4) >> 8;
    bool gpe = p[0] & 0x04;
    t->parse = !gpe || p[3] == 3 ? parse_ethernet
               : p[3] == 1 || p[3] == 2 ? parse_ip : NULL;
}

/* RFC 8926. */
static void
tunnel_geneve(struct parser *x, struct tunnel *t)
{
    const uint8_t *p = cur_take(&x->c, 8);
    if (!p || p[0] >> 6) {
        return;
    }
    t->has_vni = true;
    t->vni = be32_at(p + 4) >> 8;
    t->parse = payload_of(be16_at(p + 2));
    cur_skip(&x->c, (p[0] & 0x3fu) * 4);
}

/* RFC 6830 section 5.3. */
static void
tunnel_lisp(struct parser *x, struct tunnel *t)
{
    const uint8_t *p = cur_take(&x->c, 8);
    if (p) {
        t->has_vni = p[0] & 0x08;
        t->vni = be32_at(p + 4) >> 8;
        t->parse = parse_ip;
    }
}

/* 3GPP TS 29.281 section 5.1: what carries a user's packet. */
static void
tunnel_gtpu(struct parser *x, struct tunnel *t)
{
    const uint8_t *p = cur_take(&x->c, 8);
    if (!p || (p[0] & 0xf0) != 0x30 || p[1] != 255) {
        return;
    }
    t->has_vni = true;
    t->vni = be32_at(p + 4);
    t->parse = parse_ip;
    if (!(p[0] & 7)) {
        return;
    }
    cur_skip(&x->c, 3);         /* Sequence and N-PDU numbers. */
    while (cur_u8(&x->c)) {     /* Type of the next extension header. */
        uint8_t size = cur_u8(&x->c);
        if (!size) {
            x->c.bad = true;
        }
        cur_skip(&x->c, size * 4u - 2);
    }
}

/* ERSPAN: a mirrored frame behind a header with a session's number. */
static void
tunnel_erspan(struct parser *x, struct tunnel *t, bool v3)
{
    const uint8_t *p = cur_take(&x->c, v3 ? 12 : 8);
    if (!p) {
        return;
    }
    t->type = TUNNEL_ERSPAN;
    t->has_vni = true;
    t->vni = be16_at(p + 2) & 0x3ff;
    t->parse = parse_ethernet;
    if (v3 && p[11] & 1) {
        cur_skip(&x->c, 8);     /* Platform's own. */
    }
}

/* RFC 2784 and 2890.  NVGRE (RFC 7637) cannot be told from Ethernet in GRE
 * with a key: its subnet is the upper 24 bits of that. */
static void
tunnel_gre(struct parser *x, struct tunnel *t)
{
    uint16_t flags = cur_u16(&x->c);
    uint16_t type = cur_u16(&x->c);
    if (x->c.bad || flags & 0x4007) {   /* Routing; another version. */
        return;
    }
    cur_skip(&x->c, flags & 0x8000 ? 4 : 0);
    if (flags & 0x2000) {
        t->has_vni = true;
        t->vni = cur_u32(&x->c);
    }
    cur_skip(&x->c, flags & 0x1000 ? 4 : 0);
    if (type == ETH_ERSPAN && !(flags & 0x1000)) {
        t->type = TUNNEL_ERSPAN;        /* Type I has no header. */
        t->parse = parse_ethernet;
    } else if (type == ETH_ERSPAN || type == ETH_ERSPAN3) {
        tunnel_erspan(x, t, type == ETH_ERSPAN3);
    } else {
        t->parse = payload_of(type);
    }
}

static void
tunnel_ipip(struct parser *x, struct tunnel *t)
{
    (void) x;
    t->parse = parse_ip;
}

static const struct {
    uint8_t proto;
    uint16_t dst_port;          /* 0: has none. */
    uint8_t type;
    void (*read)(struct parser *, struct tunnel *);
} tunnels[] = {
    { IP_UDP, 4789, TUNNEL_VXLAN, tunnel_vxlan },
    { IP_UDP, 4790, TUNNEL_VXLAN, tunnel_vxlan },       /* GPE. */
    { IP_UDP, 8472, TUNNEL_VXLAN, tunnel_vxlan },       /* Linux's first. */
    { IP_UDP, 6081, TUNNEL_GENEVE, tunnel_geneve },
    { IP_UDP, 4341, TUNNEL_LISP, tunnel_lisp },
    { IP_UDP, 2152, TUNNEL_GTPU, tunnel_gtpu },
    { IP_GRE, 0, TUNNEL_GRE, tunnel_gre },
    { IP_IPIP, 0, TUNNEL_IPIP, tunnel_ipip },
    { IP_IPV6, 0, TUNNEL_IPIP, tunnel_ipip },
};

/* Gives what lies outside back its place where nothing inside has one. */
static void
restore_ip(struct packet *k, const struct packet *outer)
{
    struct packet inner = *k;
    *k = *outer;
    k->truncated = inner.truncated;
    k->n_labels = inner.n_labels;
    memcpy(k->labels, inner.labels, sizeof k->labels);
}

/* A packet in the one that has just been read; else nothing has happened. */
static void
parse_inner(struct parser *x, struct tunnel *t)
{
    struct packet *k = x->k, outer = *k;
    bool bridged = t->parse == parse_ethernet;
    uint64_t ip_bytes = k->ip_bytes;

    k->has_ip = k->has_ports = k->has_tcp = k->has_icmp = false;
    k->fragment = false;
    k->fragment_offset = 0;
    x->depth++;
    t->parse(x);
    x->depth--;
    if (!k->has_ip) {
        bool good = bridged && !x->c.bad;
        restore_ip(k, &outer);
        if (!good) {
            return;
        }
    }
    k->ip_bytes = ip_bytes;
    k->has_tunnel = true;       /* The outermost one is stored last. */
    k->tunnel_type = t->type;
    k->has_vni = t->has_vni;
    k->vni = t->vni;
    k->tunnel_src = outer.src;
    k->tunnel_dst = outer.dst;
    k->tunnel_proto = outer.proto;
    k->has_tunnel_ports = outer.has_ports;
    k->tunnel_src_port = outer.src_port;
    k->tunnel_dst_port = outer.dst_port;
}

/* After the transport header. */
static void
parse_tunnel(struct parser *x)
{
    if (x->depth >= PACKET_MAX_TUNNELS || x->c.bad) {
        return;
    }
    for (size_t i = 0; i < sizeof tunnels / sizeof tunnels[0]; i++) {
        if (tunnels[i].proto == x->k->proto
            && (!tunnels[i].dst_port
                || tunnels[i].dst_port == x->k->dst_port)) {
            struct tunnel t = { .type = tunnels[i].type };
            if (tunnels[i].dst_port) {
                cur_skip(&x->c, 4);     /* UDP length and checksum. */
            }
            tunnels[i].read(x, &t);
            if (t.parse && !x->c.bad) {
                parse_inner(x, &t);
            }
            return;
        }
    }
}

/* ---- Above IP. ---- */

static void
parse_tcp(struct parser *x)
{
    x->k->src_port = cur_u16(&x->c);
    x->k->dst_port = cur_u16(&x->c);
    x->k->has_ports = !x->c.bad;
    cur_skip(&x->c, 8);
    /* Data offset, reserved bits, flags; the offset is no flag (RFC 9293). */
    x->k->tcp_flags = cur_u16(&x->c) & 0x0fff;
    x->k->has_tcp = !x->c.bad;
}

static void
parse_ports(struct parser *x)
{
    x->k->src_port = cur_u16(&x->c);
    x->k->dst_port = cur_u16(&x->c);
    x->k->has_ports = !x->c.bad;
}

static void
parse_icmp(struct parser *x)
{
    x->k->icmp_type = cur_u8(&x->c);
    x->k->icmp_code = cur_u8(&x->c);
    x->k->has_icmp = !x->c.bad;
}

static const struct {
    uint8_t proto;
    void (*parse)(struct parser *);
} transports[] = {
    { IP_TCP, parse_tcp },
    { IP_UDP, parse_ports },
    { IP_SCTP, parse_ports },
    { IP_UDPLITE, parse_ports },
    { IP_DCCP, parse_ports },
    { IP_ICMP, parse_icmp },
    { IP_ICMPV6, parse_icmp },
};

static void
parse_transport(struct parser *x)
{
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        if (transports[i].proto == x->k->proto) {
            transports[i].parse(x);
            break;
        }
    }
    parse_tunnel(x);
}

/* ---- IP. ---- */

static void
parse_ipv4(struct parser *x)
{
    struct packet *k = x->k;
    uint64_t rest = rest_on_wire(x);
    const uint8_t *p = cur_take(&x->c, 20);
    if (!p || p[0] >> 4 != 4 || (p[0] & 15) < 5) {
        k->ip_bytes = rest;
        return;
    }
    k->has_ip = true;
    k->ip_version = 4;
    k->tos = p[1];
    k->ip_bytes = be16_at(p + 2);
    if (!k->ip_bytes) {
        k->ip_bytes = rest;     /* Segmentation offload leaves it zero. */
    }
    uint16_t frag = be16_at(p + 6);
    k->fragment = frag & 0x3fff;
    k->fragment_offset = frag & 0x1fff;
    k->ttl = p[8];
    k->proto = p[9];
    k->src = addr_from_v4_bytes(p + 12);
    k->dst = addr_from_v4_bytes(p + 16);
    if (frag & 0x1fff) {
        return;                 /* No transport header in here. */
    }
    cur_skip(&x->c, (p[0] & 15u) * 4 - 20);
    parse_transport(x);
}

/* Eats one extension header; false when 'proto' is none, or the last. */
static bool
parse_ipv6_extension(struct parser *x)
{
    struct packet *k = x->k;
    uint8_t next, size;
    switch (k->proto) {
    case IP_HOPOPTS:
    case IP_ROUTING:
    case IP_DSTOPTS:
    case IP_MOBILITY:
    case IP_HIP:
    case IP_SHIM6:
        next = cur_u8(&x->c);
        size = cur_u8(&x->c);
        cur_skip(&x->c, 6 + size * 8u);
        break;
    case IP_AH:
        next = cur_u8(&x->c);
        size = cur_u8(&x->c);
        cur_skip(&x->c, (size + 2u) * 4 - 2);
        break;
    case IP_FRAGMENT: {
        next = cur_u8(&x->c);
        cur_skip(&x->c, 1);
        uint16_t frag = cur_u16(&x->c);
        cur_skip(&x->c, 4);
        k->fragment = true;
        k->fragment_offset = frag >> 3;
        if (frag & 0xfff8) {
            k->proto = x->c.bad ? k->proto : next;
            return false;
        }
        break;
    }
    default:
        parse_transport(x);
        return false;
    }
    if (!x->c.bad) {
        k->proto = next;
    }
    return !x->c.bad;
}

static void
parse_ipv6(struct parser *x)
{
    struct packet *k = x->k;
    uint64_t rest = rest_on_wire(x);
    const uint8_t *p = cur_take(&x->c, 40);
    if (!p || p[0] >> 4 != 6) {
        k->ip_bytes = rest;
        return;
    }
    uint32_t word = be32_at(p);
    uint16_t payload = be16_at(p + 4);
    k->has_ip = true;
    k->ip_version = 6;
    k->tos = (uint8_t) (word >> 20);
    k->flow_label = word & 0xfffff;
    /* Zero: a jumbogram (RFC 2675), or segmentation offload. */
    k->ip_bytes = payload ? 40u + payload : rest;
    k->proto = p[6];
    k->ttl = p[7];
    k->src = addr_from_v6_bytes(p + 8);
    k->dst = addr_from_v6_bytes(p + 24);
    while (parse_ipv6_extension(x)) {
        continue;               /* Each turn eats at least 8 bytes. */
    }
}

static void
parse_ip(struct parser *x)
{
    uint8_t version = cur_more(&x->c) ? *x->c.p >> 4 : 0;
    if (version == 4) {
        parse_ipv4(x);
    } else if (version == 6) {
        parse_ipv6(x);
    } else {
        x->k->ip_bytes = rest_on_wire(x);
    }
}

/* ---- Below IP. ---- */

/* A pseudowire: a frame behind labels, with a control word before it if its
 * first nibble is zero (RFC 4448 section 4.6).  A guess, so it only counts if
 * there is an IP packet in it. */
static void
parse_pseudowire(struct parser *x)
{
    struct packet outer = *x->k;
    struct cursor c = x->c;
    if (!(*x->c.p >> 4)) {
        cur_skip(&x->c, 4);
    }
    x->depth++;
    parse_ethernet(x);
    x->depth--;
    if (!x->k->has_ip) {
        *x->k = outer;
        x->c = c;
    }
}

static void
parse_mpls(struct parser *x)
{
    uint64_t rest = rest_on_wire(x);
    uint32_t label;
    do {
        label = cur_u32(&x->c);
        if (!x->c.bad && x->k->n_labels < PACKET_MAX_LABELS) {
            x->k->labels[x->k->n_labels++] = label >> 8;
        }
    } while (!x->c.bad && !(label & 0x100));
    x->k->ip_bytes = rest;
    if (cur_more(&x->c)) {
        /* Nothing names the payload; its first nibble does (RFC 4928). */
        uint8_t version = *x->c.p >> 4;
        if (version == 4 || version == 6) {
            parse_ip(x);
        } else if (x->depth < PACKET_MAX_TUNNELS) {
            parse_pseudowire(x);
        }
    }
}

static void
parse_vlan(struct parser *x)
{
    uint16_t tci = cur_u16(&x->c);
    if (x->c.bad || x->depth) {
        return;
    } else if (!x->k->has_vlan) {
        x->k->has_vlan = true;
        x->k->vlan_id = tci & 0xfff;
        x->k->vlan_priority = (uint8_t) (tci >> 13);
    } else if (x->k->n_vlans == 1) {
        x->k->customer_vlan_id = tci & 0xfff;
    }
    x->k->n_vlans++;
}

static void
parse_ethernet(struct parser *x)
{
    struct packet *k = x->k;
    const uint8_t *p = cur_take(&x->c, 12);
    if (!p) {
        k->ip_bytes = 0;
        return;
    }
    bool outer = !x->depth;
    if (outer) {
        k->dst_mac = (uint64_t) be16_at(p) << 32 | be32_at(p + 2);
        k->src_mac = (uint64_t) be16_at(p + 6) << 32 | be32_at(p + 8);
    }

    uint16_t type = cur_u16(&x->c);
    while (type == ETH_VLAN || type == ETH_QINQ || type == ETH_QINQ_OLD) {
        parse_vlan(x);
        type = cur_u16(&x->c);
    }
    if (x->c.bad) {
        return;
    }
    uint64_t rest = rest_on_wire(x);
    if (type < ETH_MIN && cur_left(&x->c) >= 8
        && !memcmp(x->c.p, "\xaa\xaa\x03\0\0\0", 6)) {
        cur_skip(&x->c, 6);             /* SNAP. */
        type = cur_u16(&x->c);
    }
    if (outer) {
        k->has_macs = k->has_ethernet = true;
        k->ether_type = type;
    }
    switch (type) {
    case ETH_IPV4:
        parse_ipv4(x);
        break;
    case ETH_IPV6:
        parse_ipv6(x);
        break;
    case ETH_MPLS:
    case ETH_MPLS_MCAST:
        parse_mpls(x);
        break;
    default:
        k->ip_bytes = rest;
        break;
    }
}

/* PPP, as in HDLC or without its address (RFC 1661, 1662), and what Cisco has
 * in its place: an Ethernet type. */
static void
parse_ppp(struct parser *x)
{
    uint64_t rest = rest_on_wire(x);
    uint16_t type = cur_u16(&x->c);
    bool cisco = type == 0x0f00 || type == 0x8f00;
    if (cisco || type == 0xff03) {
        rest = rest_on_wire(x);
        type = cur_u16(&x->c);
    }
    if (!cisco) {
        type = type == 0x0021 ? ETH_IPV4 : type == 0x0057 ? ETH_IPV6
               : type == 0x0281 ? ETH_MPLS : type == 0x0283 ? ETH_MPLS_MCAST
               : 0;
    }
    void (*parse)(struct parser *) = payload_of(type);
    if (parse && !x->c.bad) {
        parse(x);
    } else {
        x->k->ip_bytes = rest > 2 ? rest - 2 : 0;
    }
}

/* What SNAP says follows (IEEE 802.2). */
static void
parse_llc(struct parser *x)
{
    const uint8_t *p = cur_take(&x->c, 8);
    x->k->ip_bytes = rest_on_wire(x);
    if (!p || memcmp(p, "\xaa\xaa\x03\0\0\0", 6)) {
        return;
    }
    x->k->has_ethernet = true;
    x->k->ether_type = be16_at(p + 6);
    void (*parse)(struct parser *) = payload_of(x->k->ether_type);
    if (parse) {
        parse(x);
    }
}

static uint64_t
mac_at(const uint8_t *p)
{
    return (uint64_t) be16_at(p) << 32 | be32_at(p + 2);
}

/* Data frames of IEEE 802.11 (section 9.3.2); of one that is encrypted, the
 * addresses. */
static void
parse_80211(struct parser *x)
{
    enum { TYPE = 0x0c, DATA = 0x08, NO_DATA = 0x40, QOS = 0x80 };
    enum { TO_DS = 1, FROM_DS = 2, PROTECTED = 0x40, ORDER = 0x80 };
    struct packet *k = x->k;
    const uint8_t *p = cur_take(&x->c, 24), *address4 = NULL;
    if (!p || (p[0] & TYPE) != DATA) {
        return;
    }
    bool to_ds = p[1] & TO_DS, from_ds = p[1] & FROM_DS;
    if (to_ds && from_ds) {
        address4 = cur_take(&x->c, 6);
    }
    if (p[0] & QOS) {
        cur_skip(&x->c, p[1] & ORDER ? 6 : 2);
    }
    if (x->c.bad) {
        return;
    }
    k->has_macs = true;
    k->dst_mac = mac_at(p + (to_ds ? 16 : 4));
    k->src_mac = mac_at(address4 ? address4 : p + (from_ds ? 16 : 10));
    k->ip_bytes = rest_on_wire(x);
    if (!(p[0] & NO_DATA) && !(p[1] & PROTECTED)) {
        parse_llc(x);
    }
}

void
packet_parse(struct packet *k, enum packet_link link, const uint8_t *p,
             size_t n, size_t wire)
{
    struct parser x = { .k = k, .c = cur_init(p, n), .start = p,
                        .wire = wire };
    memset(k, 0, sizeof *k);
    switch (link) {
    case PACKET_ETHERNET:
        parse_ethernet(&x);
        break;
    case PACKET_PPP:
    case PACKET_POS:
        parse_ppp(&x);
        break;
    case PACKET_IPV4:
        parse_ipv4(&x);
        break;
    case PACKET_IPV6:
        parse_ipv6(&x);
        break;
    case PACKET_MPLS:
        parse_mpls(&x);
        break;
    case PACKET_80211:
        parse_80211(&x);
        break;
    case PACKET_AMSDU:          /* Addresses, a length and LLC. */
        parse_ethernet(&x);
        break;
    case PACKET_LLC:
        parse_llc(&x);
        break;
    default:
        k->ip_bytes = wire ? wire : n;
        break;
    }
    k->truncated = x.c.bad;
}

static void
store_ip(const struct packet *k, struct flow_batch *b, uint32_t row)
{
    BATCH_SET(b, ip_version, row, k->ip_version);
    BATCH_SET(b, src_addr, row, k->src);
    BATCH_SET(b, dst_addr, row, k->dst);
    BATCH_SET(b, proto, row, k->proto);
    BATCH_SET(b, tos, row, k->tos);
    BATCH_SET(b, ttl, row, k->ttl);
    BATCH_SET(b, fragment, row, k->fragment);
    if (k->fragment) {
        BATCH_SET(b, fragment_offset, row, k->fragment_offset);
    }
    if (k->ip_version == 6) {
        BATCH_SET(b, flow_label, row, k->flow_label);
    }
    if (k->has_ports) {
        BATCH_SET(b, src_port, row, k->src_port);
        BATCH_SET(b, dst_port, row, k->dst_port);
    }
    if (k->has_tcp) {
        BATCH_SET(b, tcp_flags, row, k->tcp_flags);
    }
    if (k->has_icmp) {
        BATCH_SET(b, icmp_type, row, k->icmp_type);
        BATCH_SET(b, icmp_code, row, k->icmp_code);
    }
}

void
packet_store_labels(const uint32_t *stack, unsigned n, struct dict *dict,
                    struct flow_batch *b, uint32_t row)
{
    char text[PACKET_MAX_LABELS * 8 + 1];
    size_t size = 0;
    if (!n) {
        batch_clear_valid(b, COL_mpls_label, row);
        return;
    }
    BATCH_SET(b, mpls_label, row, stack[0] >> 4);
    if (!batch_is_valid(b, COL_mpls_exp, row)) {
        BATCH_SET(b, mpls_exp, row, stack[0] >> 1 & 7);
    }
    for (unsigned i = 0; i < n; i++) {  /* Each has 20 bits. */
        size += (size_t) snprintf(text + size, sizeof text - size,
                                  i ? " %u" : "%u", stack[i] >> 4 & 0xfffff);
    }
    if (dict) {
        BATCH_SET(b, mpls_labels, row, dict_passing(dict, text, size));
    }
}

static void
store_tunnel(const struct packet *k, struct flow_batch *b, uint32_t row)
{
    BATCH_SET(b, tunnel_type, row, k->tunnel_type);
    BATCH_SET(b, tunnel_src_addr, row, k->tunnel_src);
    BATCH_SET(b, tunnel_dst_addr, row, k->tunnel_dst);
    BATCH_SET(b, tunnel_proto, row, k->tunnel_proto);
    if (k->has_tunnel_ports) {
        BATCH_SET(b, tunnel_src_port, row, k->tunnel_src_port);
        BATCH_SET(b, tunnel_dst_port, row, k->tunnel_dst_port);
    }
    if (k->has_vni) {
        BATCH_SET(b, vni, row, k->vni);
    }
}

void
packet_store(const struct packet *k, struct dict *dict, struct flow_batch *b,
             uint32_t row)
{
    if (k->has_macs) {
        BATCH_SET(b, src_mac, row, k->src_mac);
        BATCH_SET(b, dst_mac, row, k->dst_mac);
    }
    if (k->has_ethernet) {
        BATCH_SET(b, ether_type, row, k->ether_type);
    }
    if (k->has_vlan) {
        BATCH_SET(b, vlan_id, row, k->vlan_id);
        BATCH_SET(b, vlan_priority, row, k->vlan_priority);
        if (k->n_vlans > 1) {
            BATCH_SET(b, customer_vlan_id, row, k->customer_vlan_id);
        }
    }
    if (k->n_labels) {
        packet_store_labels(k->labels, k->n_labels, dict, b, row);
    }
    /* What the exporter says of the tunnel it took the packet out of lies
     * further outside. */
    if (k->has_tunnel && !batch_is_valid(b, COL_tunnel_type, row)) {
        store_tunnel(k, b, row);
    }
    if (k->has_ip) {
        store_ip(k, b, row);
    }
    if (k->truncated) {
        b->quality[row] |= Q_TRUNCATED;
    }
}
