#include <config.h>

#include "collector/decode/sflow_p.h"

#include "collector/decode/packet.h"
#include "lib/dict.h"
#include "lib/text.h"

/* What is told of a sampled packet: the records of a flow sample (sFlow version
 * 5, sflow_80211.txt, sflow_tunnels.txt, sflow_drops.txt, sflow_transit.txt at
 * sflow.org). */

/* ---- The packet. ---- */

static void
set_length(struct sflow_sample *s, uint64_t ip_bytes, bool has_l2,
           uint64_t l2_bytes)
{
    s->b->bytes[s->row] = ip_bytes;
    if (has_l2) {
        BATCH_SET(s->b, l2_bytes, s->row, l2_bytes);
    }
    s->has_length = true;
}

static void
record_raw_header(struct sflow_sample *s, struct cursor *c)
{
    uint32_t link = cur_u32(c);
    uint32_t frame_length = cur_u32(c);
    uint32_t stripped = cur_u32(c);
    uint32_t size = cur_u32(c);
    const uint8_t *p = cur_take(c, size);
    if (!p || s->has_header) {
        return;
    }
    /* What was cut off the end is the frame check sequence: neither Open
     * vSwitch nor an interface counts it. */
    uint32_t wire = frame_length > stripped ? frame_length - stripped
                                            : frame_length;
    struct packet k;
    packet_parse(&k, link, p, size, wire);
    packet_store(&k, s->dec->c.dict, s->b, s->row);
    set_length(s, k.ip_bytes, link == PACKET_ETHERNET, wire);
    s->has_header = true;
    s->has_ip = k.has_ip;
}

static uint64_t
cur_mac(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 8);  /* Six, padded. */
    return p ? (uint64_t) be16_at(p) << 32 | be32_at(p + 2) : 0;
}

static void
record_ethernet(struct sflow_sample *s, struct cursor *c)
{
    uint32_t length = cur_u32(c);
    uint64_t src = cur_mac(c), dst = cur_mac(c);
    uint32_t type = cur_u32(c);
    if (c->bad || s->has_header) {
        return;
    }
    BATCH_SET(s->b, src_mac, s->row, src);
    BATCH_SET(s->b, dst_mac, s->row, dst);
    BATCH_SET(s->b, ether_type, s->row, (uint16_t) type);
    if (!s->has_length) {
        /* 'length' is that of the frame, with its checksum. */
        uint32_t frame = length > 4 ? length - 4 : length;
        set_length(s, frame > 14 ? frame - 14 : 0, true, frame);
        s->b->quality[s->row] |= Q_L3_ESTIMATED;
    }
}

/* A sampled IPv4 or IPv6 packet; the tunnel records have the same form. */
struct ip_sample {
    uint32_t length, proto, src_port, dst_port, tcp_flags, tos;
    struct addr src, dst;
};

static bool
cur_ip_sample(struct cursor *c, bool v6, struct ip_sample *ip)
{
    ip->length = cur_u32(c);
    ip->proto = cur_u32(c);
    const uint8_t *p = cur_take(c, v6 ? 32 : 8);
    if (p && v6) {
        ip->src = addr_from_v6_bytes(p);
        ip->dst = addr_from_v6_bytes(p + 16);
    } else if (p) {
        ip->src = addr_from_v4_bytes(p);
        ip->dst = addr_from_v4_bytes(p + 4);
    }
    ip->src_port = cur_u32(c);
    ip->dst_port = cur_u32(c);
    ip->tcp_flags = cur_u32(c);
    ip->tos = cur_u32(c);
    return !c->bad;
}

static void
record_ip(struct sflow_sample *s, struct cursor *c, bool v6)
{
    struct ip_sample ip;
    struct flow_batch *b = s->b;
    if (!cur_ip_sample(c, v6, &ip) || s->has_header) {
        return;
    }
    BATCH_SET(b, ip_version, s->row, v6 ? 6 : 4);
    BATCH_SET(b, src_addr, s->row, ip.src);
    BATCH_SET(b, dst_addr, s->row, ip.dst);
    BATCH_SET(b, proto, s->row, (uint8_t) ip.proto);
    BATCH_SET(b, tos, s->row, (uint8_t) ip.tos);
    if (ip.proto == 1 || ip.proto == 58) {
        /* No ports; sFlow has no place for type and code. */
    } else {
        BATCH_SET(b, src_port, s->row, (uint16_t) ip.src_port);
        BATCH_SET(b, dst_port, s->row, (uint16_t) ip.dst_port);
    }
    if (ip.proto == 6) {
        BATCH_SET(b, tcp_flags, s->row, (uint16_t) ip.tcp_flags);
    }
    bool l2 = batch_is_valid(b, COL_l2_bytes, s->row);
    set_length(s, ip.length, l2, l2 ? b->l2_bytes[s->row] : 0);
    b->quality[s->row] &= ~(uint32_t) Q_L3_ESTIMATED;
}

static void
record_ipv4(struct sflow_sample *s, struct cursor *c)
{
    record_ip(s, c, false);
}

static void
record_ipv6(struct sflow_sample *s, struct cursor *c)
{
    record_ip(s, c, true);
}

static void
record_switch(struct sflow_sample *s, struct cursor *c)
{
    uint32_t src_vlan = cur_u32(c), src_priority = cur_u32(c);
    uint32_t dst_vlan = cur_u32(c);
    cur_skip(c, 4);             /* Priority as it left. */
    if (c->bad) {
        return;
    }
    if (src_vlan && src_vlan < 4096
        && !batch_is_valid(s->b, COL_vlan_id, s->row)) {
        BATCH_SET(s->b, vlan_id, s->row, (uint16_t) src_vlan);
        if (src_priority < 8) {
            BATCH_SET(s->b, vlan_priority, s->row, (uint8_t) src_priority);
        }
    }
    if (dst_vlan && dst_vlan < 4096) {
        BATCH_SET(s->b, post_vlan_id, s->row, (uint16_t) dst_vlan);
    }
}

bool
sflow_address(struct cursor *c, struct addr *a)
{
    uint32_t type = cur_u32(c);
    const uint8_t *p = NULL;
    if (type == 1 && (p = cur_take(c, 4))) {
        *a = addr_from_v4_bytes(p);
    } else if (type == 2 && (p = cur_take(c, 16))) {
        *a = addr_from_v6_bytes(p);
    } else if (type) {
        c->bad = true;
    }
    return p != NULL;
}

/* A prefix' length; some agents put its mask there.  Above 128: neither. */
static uint32_t
prefix_length(uint32_t value)
{
    uint32_t ones = (uint32_t) __builtin_popcount(value);
    return value > 128 && value == UINT32_MAX << (32 - ones) % 32 ? ones
                                                                  : value;
}

static void
record_router(struct sflow_sample *s, struct cursor *c)
{
    struct addr next_hop;
    bool known = sflow_address(c, &next_hop);
    uint32_t src = prefix_length(cur_u32(c));
    uint32_t dst = prefix_length(cur_u32(c));
    if (c->bad) {
        return;
    }
    if (known) {
        BATCH_SET(s->b, next_hop, s->row, next_hop);
    }
    if (src <= 128 && dst <= 128) {
        BATCH_SET(s->b, src_prefix_length, s->row, (uint8_t) src);
        BATCH_SET(s->b, dst_prefix_length, s->row, (uint8_t) dst);
    }
}

static uint32_t
text_intern(struct sflow_sample *s, struct text *t)
{
    text_finish(t);
    return dict_passing(s->dec->c.dict, t->s, t->n);
}

/* The path: sequences as they are, sets in braces. */
static void
read_as_path(struct cursor *c, struct text *t, uint32_t *dst_as,
             uint32_t *dst_peer_as)
{
    enum { AS_SET = 1 };
    uint32_t n_segments = cur_u32(c);
    for (uint32_t i = 0; i < n_segments && !c->bad; i++) {
        bool set = cur_u32(c) == AS_SET;
        uint32_t n = cur_u32(c);
        struct cursor path = cur_sub(c, n * (size_t) 4);
        text_add(t, "%s", !set ? "" : t->n ? " {" : "{");
        for (bool first = true; cur_more(&path); first = false) {
            uint32_t as = cur_u32(&path);
            *dst_as = as;
            *dst_peer_as = *dst_peer_as ? *dst_peer_as : as;
            text_add(t, "%s%u", !t->n || (set && first) ? ""
                                : set ? "," : " ", as);
        }
        text_add(t, "%s", set ? "}" : "");
    }
}

static void
record_gateway(struct sflow_sample *s, struct cursor *c)
{
    struct addr next_hop;
    struct text path = { .n = 0 }, communities = { .n = 0 };
    bool known = sflow_address(c, &next_hop);
    cur_skip(c, 4);             /* The router's own AS. */
    uint32_t src_as = cur_u32(c), src_peer_as = cur_u32(c);
    uint32_t dst_as = 0, dst_peer_as = 0;
    read_as_path(c, &path, &dst_as, &dst_peer_as);
    uint32_t n = cur_u32(c);
    struct cursor list = cur_sub(c, n * (size_t) 4);
    while (cur_more(&list)) {
        uint32_t value = cur_u32(&list);
        text_add(&communities, "%s%u:%u", communities.n ? " " : "",
                 value >> 16, value & 0xffff);
    }
    uint32_t local_pref = cur_u32(c);
    if (c->bad) {
        return;
    }
    if (known) {
        BATCH_SET(s->b, bgp_next_hop, s->row, next_hop);
    }
    BATCH_SET(s->b, src_as, s->row, src_as);
    BATCH_SET(s->b, dst_as, s->row, dst_as);
    if (src_peer_as) {
        BATCH_SET(s->b, src_peer_as, s->row, src_peer_as);
    }
    if (path.n) {
        BATCH_SET(s->b, dst_peer_as, s->row, dst_peer_as);
        BATCH_SET(s->b, dst_local_pref, s->row, local_pref);
        BATCH_SET(s->b, as_path, s->row, text_intern(s, &path));
    }
    if (communities.n) {
        BATCH_SET(s->b, communities, s->row, text_intern(s, &communities));
    }
}

const char *
sflow_string(struct cursor *c, size_t *size)
{
    uint32_t n = cur_u32(c);
    const uint8_t *p = cur_take(c, n);
    size_t pad = -(size_t) n & 3, left = cur_left(c);
    cur_skip(c, pad < left ? pad : left);       /* Some end without it. */
    *size = n < 1024 ? n : 1024;
    return n ? (const char *) p : NULL;
}

/* A text column; nothing of an empty text. */
static void
set_text(struct sflow_sample *s, unsigned column, const char *p, size_t n)
{
    if (p && n) {
        uint32_t *ids = batch_column(s->b, column);
        ids[s->row] = dict_passing(s->dec->c.dict, p, n);
        batch_set_valid(s->b, column, s->row);
    }
}

static void
record_user(struct sflow_sample *s, struct cursor *c)
{
    size_t n_src, n_dst;
    cur_skip(c, 4);             /* Character set. */
    const char *src = sflow_string(c, &n_src);
    cur_skip(c, 4);
    const char *dst = sflow_string(c, &n_dst);
    if (!c->bad) {
        set_text(s, COL_user_name, src, n_src);
        set_text(s, COL_dst_user_name, dst, n_dst);
    }
}

static void
record_url(struct sflow_sample *s, struct cursor *c)
{
    size_t n, n_host;
    struct text t = { .n = 0 };
    cur_skip(c, 4);             /* Direction. */
    const char *url = sflow_string(c, &n);
    const char *host = sflow_string(c, &n_host);
    if (c->bad || !url) {
        return;
    }
    /* 'url' is what the request line names: the path, as a rule. */
    if (host && url[0] == '/') {
        text_add(&t, "%.*s", (int) n_host, host);
    }
    text_add(&t, "%.*s", (int) n, url);
    BATCH_SET(s->b, url, s->row, text_intern(s, &t));
}

static void
record_mpls(struct sflow_sample *s, struct cursor *c)
{
    struct addr next_hop;
    uint32_t labels[PACKET_MAX_LABELS];
    bool known = sflow_address(c, &next_hop);
    uint32_t n = cur_u32(c), n_labels = 0;
    struct cursor stack = cur_sub(c, n * (size_t) 4);
    while (cur_more(&stack) && n_labels < PACKET_MAX_LABELS) {
        labels[n_labels++] = cur_u32(&stack) >> 8;
    }
    if (c->bad) {
        return;
    }
    if (known && !batch_is_valid(s->b, COL_next_hop, s->row)) {
        BATCH_SET(s->b, next_hop, s->row, next_hop);
    }
    if (n_labels && !batch_is_valid(s->b, COL_mpls_label, s->row)) {
        packet_store_labels(labels, n_labels, s->dec->c.dict, s->b, s->row);
    }
}

/* A name and two numbers: what MPLS tunnels and virtual circuits (sFlow's
 * extended_mpls_tunnel, _vc) have in common. */
struct named {
    const char *name;
    size_t n;
    uint32_t id, cos;
};

static bool
cur_named(struct cursor *c, struct named *x)
{
    x->name = sflow_string(c, &x->n);
    x->id = cur_u32(c);
    x->cos = cur_u32(c);
    return !c->bad;
}

/* The tunnel is further outside than the circuit in it. */
static void
record_mpls_tunnel(struct sflow_sample *s, struct cursor *c)
{
    struct named x;
    if (cur_named(c, &x)) {
        set_text(s, COL_mpls_tunnel_name, x.name, x.n);
        BATCH_SET(s->b, mpls_tunnel_id, s->row, x.id);
        BATCH_SET(s->b, mpls_exp, s->row, (uint8_t) x.cos);
    }
}

static void
record_mpls_vc(struct sflow_sample *s, struct cursor *c)
{
    struct named x;
    if (cur_named(c, &x)) {
        set_text(s, COL_mpls_vc_name, x.name, x.n);
        BATCH_SET(s->b, mpls_vc_id, s->row, x.id);
        if (!batch_is_valid(s->b, COL_mpls_exp, s->row)) {
            BATCH_SET(s->b, mpls_exp, s->row, (uint8_t) x.cos);
        }
    }
}

static void
record_mpls_ftn(struct sflow_sample *s, struct cursor *c)
{
    size_t n;
    const char *description = sflow_string(c, &n);
    uint32_t mask = cur_u32(c);
    if (!c->bad) {
        set_text(s, COL_mpls_ftn, description, n);
        BATCH_SET(s->b, mpls_ftn_mask, s->row, mask);
    }
}

static void
record_mpls_fec(struct sflow_sample *s, struct cursor *c)
{
    uint32_t length = cur_u32(c);
    if (!c->bad && length <= 128) {
        BATCH_SET(s->b, mpls_fec_length, s->row, (uint8_t) length);
    }
}

static void
record_nat(struct sflow_sample *s, struct cursor *c)
{
    struct addr src, dst;
    bool has_src = sflow_address(c, &src), has_dst = sflow_address(c, &dst);
    if (!c->bad && has_src) {
        BATCH_SET(s->b, nat_src_addr, s->row, src);
    }
    if (!c->bad && has_dst) {
        BATCH_SET(s->b, nat_dst_addr, s->row, dst);
    }
}

static void
record_nat_port(struct sflow_sample *s, struct cursor *c)
{
    uint32_t src = cur_u32(c), dst = cur_u32(c);
    if (!c->bad) {
        BATCH_SET(s->b, nat_src_port, s->row, (uint16_t) src);
        BATCH_SET(s->b, nat_dst_port, s->row, (uint16_t) dst);
    }
}

/* Tags that were taken off before the header was sampled. */
static void
record_vlan_tunnel(struct sflow_sample *s, struct cursor *c)
{
    uint32_t n = cur_u32(c);
    struct cursor stack = cur_sub(c, n * (size_t) 4);
    uint32_t outer = cur_u32(&stack);
    if (c->bad || stack.bad) {
        return;
    }
    struct flow_batch *b = s->b;
    if (cur_more(&stack)) {
        BATCH_SET(b, customer_vlan_id, s->row, cur_u32(&stack) & 0xfff);
    } else if (batch_is_valid(b, COL_vlan_id, s->row)) {
        BATCH_SET(b, customer_vlan_id, s->row, b->vlan_id[s->row]);
    }
    BATCH_SET(b, vlan_id, s->row, outer & 0xfff);
    BATCH_SET(b, vlan_priority, s->row, (uint8_t) (outer >> 13 & 7));
}

/* ---- Tunnels (sflow.org/sflow_tunnels.txt). ---- */

static const struct {
    uint8_t proto;
    uint16_t dst_port;          /* 0: any. */
    uint8_t type;
} tunnels[] = {
    { 17, 4789, TUNNEL_VXLAN }, { 17, 8472, TUNNEL_VXLAN },
    { 17, 6081, TUNNEL_GENEVE }, { 17, 4341, TUNNEL_LISP },
    { 17, 2152, TUNNEL_GTPU }, { 6, 7471, TUNNEL_STT },
    { 47, 0, TUNNEL_GRE }, { 4, 0, TUNNEL_IPIP }, { 41, 0, TUNNEL_IPIP },
};

static uint8_t
tunnel_type(uint32_t proto, uint32_t dst_port)
{
    for (size_t i = 0; i < sizeof tunnels / sizeof tunnels[0]; i++) {
        if (tunnels[i].proto == proto
            && (!tunnels[i].dst_port || tunnels[i].dst_port == dst_port)) {
            return tunnels[i].type;
        }
    }
    return TUNNEL_UNKNOWN;
}

static void
record_tunnel(struct sflow_sample *s, struct cursor *c, bool v6, bool ingress)
{
    struct ip_sample ip;
    if (!cur_ip_sample(c, v6, &ip) || (s->has_tunnel && !ingress)) {
        return;                 /* What it came in wins. */
    }
    BATCH_SET(s->b, tunnel_type, s->row, tunnel_type(ip.proto, ip.dst_port));
    BATCH_SET(s->b, tunnel_src_addr, s->row, ip.src);
    BATCH_SET(s->b, tunnel_dst_addr, s->row, ip.dst);
    BATCH_SET(s->b, tunnel_proto, s->row, (uint8_t) ip.proto);
    bool ports = ip.src_port || ip.dst_port;
    BATCH_SET(s->b, tunnel_src_port, s->row, (uint16_t) ip.src_port);
    BATCH_SET(s->b, tunnel_dst_port, s->row, (uint16_t) ip.dst_port);
    if (!ports) {               /* GRE and IP in IP have none. */
        batch_clear_valid(s->b, COL_tunnel_src_port, s->row);
        batch_clear_valid(s->b, COL_tunnel_dst_port, s->row);
    }
    s->has_tunnel = true;
}

/* The frame around a tunnel: what it came in wins here, too. */
static void
record_l2_tunnel(struct sflow_sample *s, struct cursor *c, bool ingress)
{
    cur_skip(c, 4);             /* Length. */
    uint64_t src = cur_mac(c), dst = cur_mac(c);
    cur_skip(c, 4);             /* Ethernet type. */
    if (!c->bad && (ingress || !batch_is_valid(s->b, COL_tunnel_src_mac,
                                               s->row))) {
        BATCH_SET(s->b, tunnel_src_mac, s->row, src);
        BATCH_SET(s->b, tunnel_dst_mac, s->row, dst);
    }
}

static void
record_l2_tunnel_out(struct sflow_sample *s, struct cursor *c)
{
    record_l2_tunnel(s, c, false);
}

static void
record_l2_tunnel_in(struct sflow_sample *s, struct cursor *c)
{
    record_l2_tunnel(s, c, true);
}

static void
record_tunnel4_out(struct sflow_sample *s, struct cursor *c)
{
    record_tunnel(s, c, false, false);
}

static void
record_tunnel4_in(struct sflow_sample *s, struct cursor *c)
{
    record_tunnel(s, c, false, true);
}

static void
record_tunnel6_out(struct sflow_sample *s, struct cursor *c)
{
    record_tunnel(s, c, true, false);
}

static void
record_tunnel6_in(struct sflow_sample *s, struct cursor *c)
{
    record_tunnel(s, c, true, true);
}

static void
record_vni_out(struct sflow_sample *s, struct cursor *c)
{
    uint32_t vni = cur_u32(c);
    if (!c->bad && !batch_is_valid(s->b, COL_vni, s->row)) {
        BATCH_SET(s->b, vni, s->row, vni);
    }
}

static void
record_vni_in(struct sflow_sample *s, struct cursor *c)
{
    uint32_t vni = cur_u32(c);
    if (!c->bad) {
        BATCH_SET(s->b, vni, s->row, vni);
    }
}

/* Records that are one number each. */
static void
set_u32(struct sflow_sample *s, struct cursor *c, unsigned column, bool again)
{
    uint32_t value = cur_u32(c);
    if (!c->bad && (again || !batch_is_valid(s->b, column, s->row))) {
        ((uint32_t *) batch_column(s->b, column))[s->row] = value;
        batch_set_valid(s->b, column, s->row);
    }
}

static void
record_decapsulate_out(struct sflow_sample *s, struct cursor *c)
{
    set_u32(s, c, COL_inner_header_offset, false);
}

static void
record_decapsulate_in(struct sflow_sample *s, struct cursor *c)
{
    set_u32(s, c, COL_inner_header_offset, true);
}

/* ---- Wireless networks (sflow.org/sflow_80211.txt). ---- */

/* What was in an encrypted frame. */
static void
record_80211_payload(struct sflow_sample *s, struct cursor *c)
{
    struct packet k;
    cur_skip(c, 4);             /* Cipher suite. */
    uint32_t size = cur_u32(c);
    const uint8_t *p = cur_take(c, size);
    if (!p || s->has_ip) {
        return;
    }
    packet_parse(&k, PACKET_LLC, p, size, 0);
    if (k.has_ip) {
        packet_store(&k, s->dec->c.dict, s->b, s->row);
        s->b->bytes[s->row] = k.ip_bytes;
        s->has_ip = s->has_header = s->has_length = true;
    }
}

/* What both directions begin with. */
static void
set_80211(struct sflow_sample *s, struct cursor *c)
{
    size_t n;
    const char *ssid = sflow_string(c, &n);
    uint64_t bssid = cur_mac(c);
    cur_skip(c, 4);             /* Version: a, b, g, n. */
    if (!c->bad) {
        set_text(s, COL_wlan_ssid, ssid, n);
        BATCH_SET(s->b, wlan_bssid, s->row, bssid);
    }
}

static void
set_80211_channel(struct sflow_sample *s, uint32_t channel, uint64_t speed)
{
    if (channel) {              /* 0: not known, as with the speed. */
        BATCH_SET(s->b, wlan_channel, s->row, (uint16_t) channel);
    }
    if (speed) {
        BATCH_SET(s->b, wlan_speed, s->row, speed);
    }
}

static void
record_80211_rx(struct sflow_sample *s, struct cursor *c)
{
    set_80211(s, c);
    uint32_t channel = cur_u32(c);
    uint64_t speed = cur_u64(c);
    cur_skip(c, 4);             /* Noise (RSNI). */
    uint32_t signal = cur_u32(c);
    if (!c->bad) {
        set_80211_channel(s, channel, speed);
        BATCH_SET(s->b, wlan_signal, s->row, (uint16_t) signal);
    }
}

static void
record_80211_tx(struct sflow_sample *s, struct cursor *c)
{
    set_80211(s, c);
    cur_skip(c, 12);            /* Transmissions, durations. */
    uint32_t channel = cur_u32(c);
    uint64_t speed = cur_u64(c);
    if (!c->bad) {
        set_80211_channel(s, channel, speed);
    }
}

static void
record_queue(struct sflow_sample *s, struct cursor *c)
{
    set_u32(s, c, COL_egress_queue, true);
}

static void
record_transit(struct sflow_sample *s, struct cursor *c)
{
    set_u32(s, c, COL_transit_delay, true);
}

static void
record_depth(struct sflow_sample *s, struct cursor *c)
{
    set_u32(s, c, COL_queue_depth, true);
}

/* ---- Why a packet was dropped (sflow.org/sflow_drops.txt). ---- */

/* The list's name or, without one, its number. */
static void
record_acl(struct sflow_sample *s, struct cursor *c)
{
    enum { EGRESS = 2 };
    size_t n;
    struct text t = { .n = 0 };
    uint32_t number = cur_u32(c);
    const char *name = sflow_string(c, &n);
    uint32_t direction = cur_u32(c);
    if (c->bad) {
        return;
    }
    if (name) {
        text_add(&t, "%.*s", (int) n, name);
    } else {
        text_add(&t, "%u", number);
    }
    set_text(s, direction == EGRESS ? COL_acl_out : COL_acl_in, t.s, t.n);
}

static void
record_function(struct sflow_sample *s, struct cursor *c)
{
    size_t n;
    const char *symbol = sflow_string(c, &n);
    if (!c->bad) {
        set_text(s, COL_drop_function, symbol, n);
    }
}

static const struct {
    uint32_t format;
    void (*read)(struct sflow_sample *, struct cursor *);
} records[] = {
    { 1, record_raw_header },
    { 2, record_ethernet },
    { 3, record_ipv4 },
    { 4, record_ipv6 },
    { 1001, record_switch },
    { 1002, record_router },
    { 1003, record_gateway },
    { 1004, record_user },
    { 1005, record_url },
    { 1006, record_mpls },
    { 1007, record_nat },
    { 1008, record_mpls_tunnel },
    { 1009, record_mpls_vc },
    { 1010, record_mpls_ftn },
    { 1011, record_mpls_fec },
    { 1012, record_vlan_tunnel },
    { 1013, record_80211_payload },
    { 1014, record_80211_rx },
    { 1015, record_80211_tx },
    { 1020, record_nat_port },
    { 1021, record_l2_tunnel_out },
    { 1022, record_l2_tunnel_in },
    { 1023, record_tunnel4_out },
    { 1024, record_tunnel4_in },
    { 1025, record_tunnel6_out },
    { 1026, record_tunnel6_in },
    { 1027, record_decapsulate_out },
    { 1028, record_decapsulate_in },
    { 1029, record_vni_out },
    { 1030, record_vni_in },
    { 1036, record_queue },
    { 1037, record_acl },
    { 1038, record_function },
    { 1039, record_transit },
    { 1040, record_depth },
};

bool
sflow_record(struct sflow_sample *s, struct cursor *c)
{
    uint32_t format = cur_u32(c);
    uint32_t size = cur_u32(c);
    struct cursor body = cur_sub(c, size);
    for (size_t i = 0; !body.bad && i < sizeof records / sizeof records[0];
         i++) {
        if (records[i].format == format) {
            records[i].read(s, &body);
            break;
        }
    }
    return !body.bad;
}
