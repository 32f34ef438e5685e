#include <config.h>

#include "collector/decode/packet.h"

#include <string.h>

#include "lib/cursor.h"

enum {
    ETH_IPV4 = 0x0800,
    ETH_VLAN = 0x8100,
    ETH_QINQ = 0x88a8,
    ETH_QINQ_OLD = 0x9100,
    ETH_IPV6 = 0x86dd,
    ETH_MPLS = 0x8847,
    ETH_MPLS_MCAST = 0x8848,
    ETH_MIN = 0x0600,           /* Below this, a length (IEEE 802.3). */
};

enum {
    IP_HOPOPTS = 0, IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ROUTING = 43,
    IP_FRAGMENT = 44, IP_AH = 51, IP_ICMPV6 = 58, IP_DSTOPTS = 60,
    IP_SCTP = 132, IP_UDPLITE = 136, IP_DCCP = 33, IP_MOBILITY = 135,
    IP_HIP = 139, IP_SHIM6 = 140,
};

struct parser {
    struct packet *k;
    struct cursor c;
    const uint8_t *start;
    size_t wire;
};

/* Octets of the packet from here on, as far as its length on the wire tells,
 * else as many as there are. */
static uint64_t
rest_on_wire(const struct parser *x)
{
    size_t done = (size_t) (x->c.p - x->start);
    return x->wire > done ? x->wire - done
           : x->wire ? 0 : cur_left(&x->c);
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
            return;
        }
    }
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

/* ---- Below IP. ---- */

static void
parse_mpls(struct parser *x)
{
    uint64_t rest = rest_on_wire(x);
    uint32_t label;
    do {
        label = cur_u32(&x->c);
    } while (!x->c.bad && !(label & 0x100));
    if (cur_more(&x->c)) {
        /* Nothing names the payload; its first nibble does (RFC 4928). */
        uint8_t version = *x->c.p >> 4;
        if (version == 4) {
            parse_ipv4(x);
            return;
        } else if (version == 6) {
            parse_ipv6(x);
            return;
        }
    }
    x->k->ip_bytes = rest;
}

static void
parse_vlan(struct parser *x)
{
    uint16_t tci = cur_u16(&x->c);
    if (!x->c.bad && !x->k->has_vlan) {
        x->k->has_vlan = true;
        x->k->vlan_id = tci & 0xfff;
    }
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
    k->dst_mac = (uint64_t) be16_at(p) << 32 | be32_at(p + 2);
    k->src_mac = (uint64_t) be16_at(p + 6) << 32 | be32_at(p + 8);

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
    k->has_ethernet = true;
    k->ether_type = type;
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
    case PACKET_IPV4:
        parse_ipv4(&x);
        break;
    case PACKET_IPV6:
        parse_ipv6(&x);
        break;
    case PACKET_MPLS:
        parse_mpls(&x);
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
packet_store(const struct packet *k, struct flow_batch *b, uint32_t row)
{
    if (k->has_ethernet) {
        BATCH_SET(b, src_mac, row, k->src_mac);
        BATCH_SET(b, dst_mac, row, k->dst_mac);
        BATCH_SET(b, ether_type, row, k->ether_type);
    }
    if (k->has_vlan) {
        BATCH_SET(b, vlan_id, row, k->vlan_id);
    }
    if (k->has_ip) {
        store_ip(k, b, row);
    }
    if (k->truncated) {
        b->quality[row] |= Q_TRUNCATED;
    }
}
