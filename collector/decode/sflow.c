#include <config.h>

#include "collector/decode/decoder_p.h"

#include <stdarg.h>
#include <stdio.h>

#include "collector/decode/packet.h"
#include "collector/exporter/source_table.h"
#include "lib/dict.h"

/* sFlow version 5 (sflow.org/sflow_version_5.txt): XDR, so everything is a
 * multiple of four bytes. */

/* enterprise << 12 | format; all of ours have enterprise 0. */
enum {
    SAMPLE_FLOW = 1, SAMPLE_COUNTERS = 2, SAMPLE_FLOW_EXPANDED = 3,
    SAMPLE_COUNTERS_EXPANDED = 4, SAMPLE_DISCARDED = 5,
};

enum { INTERFACE_SINGLE = 0, INTERFACE_DROPPED = 1, INTERFACE_MULTIPLE = 2 };
#define INTERFACE_INTERNAL 0x3fffffff
#define DISCARD_UNKNOWN 256

/* A flow sample on its way into a row. */
struct sample {
    struct decoder *dec;
    struct flow_batch *b;
    uint32_t row;
    bool has_header;            /* A header has filled the row. */
    bool has_length;            /* b->bytes is set. */
    bool has_tunnel;
};

/* ---- Flow records. ---- */

static void
set_length(struct sample *s, uint64_t ip_bytes, bool has_l2,
           uint64_t l2_bytes)
{
    s->b->bytes[s->row] = ip_bytes;
    if (has_l2) {
        BATCH_SET(s->b, l2_bytes, s->row, l2_bytes);
    }
    s->has_length = true;
}

static void
record_raw_header(struct sample *s, struct cursor *c)
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
}

static uint64_t
cur_mac(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 8);  /* Six, padded. */
    return p ? (uint64_t) be16_at(p) << 32 | be32_at(p + 2) : 0;
}

static void
record_ethernet(struct sample *s, struct cursor *c)
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
record_ip(struct sample *s, struct cursor *c, bool v6)
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
record_ipv4(struct sample *s, struct cursor *c)
{
    record_ip(s, c, false);
}

static void
record_ipv6(struct sample *s, struct cursor *c)
{
    record_ip(s, c, true);
}

static void
record_switch(struct sample *s, struct cursor *c)
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

/* An address with its type before it.  False if there is none. */
static bool
cur_address(struct cursor *c, struct addr *a)
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

static void
record_router(struct sample *s, struct cursor *c)
{
    struct addr next_hop;
    bool known = cur_address(c, &next_hop);
    uint32_t src = cur_u32(c), dst = cur_u32(c);
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

/* Text that grows as far as there is room; what does not fit is left out as a
 * whole, and an ellipsis tells. */
struct text {
    char s[1024];
    size_t n;
    bool cut;
};

__attribute__((format(printf, 2, 3)))
static void
text_add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof t->s - 4 - t->n;
    int n = t->cut ? 0 : vsnprintf(t->s + t->n, room, format, args);
    va_end(args);
    if (n >= 0 && (size_t) n < room) {
        t->n += (size_t) n;
    } else {
        t->cut = true;
    }
}

static uint32_t
text_intern(struct sample *s, struct text *t)
{
    if (t->cut) {
        memcpy(t->s + t->n, "...", 3);
        t->n += 3;
    }
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
record_gateway(struct sample *s, struct cursor *c)
{
    struct addr next_hop;
    struct text path = { .n = 0 }, communities = { .n = 0 };
    bool known = cur_address(c, &next_hop);
    cur_skip(c, 4);             /* The router's own AS. */
    uint32_t src_as = cur_u32(c);
    cur_skip(c, 4);             /* The peer towards the source. */
    uint32_t dst_as = 0, dst_peer_as = 0;
    read_as_path(c, &path, &dst_as, &dst_peer_as);
    uint32_t n = cur_u32(c);
    struct cursor list = cur_sub(c, n * (size_t) 4);
    while (cur_more(&list)) {
        uint32_t value = cur_u32(&list);
        text_add(&communities, "%s%u:%u", communities.n ? " " : "",
                 value >> 16, value & 0xffff);
    }
    cur_skip(c, 4);             /* Local preference. */
    if (c->bad) {
        return;
    }
    if (known) {
        BATCH_SET(s->b, bgp_next_hop, s->row, next_hop);
    }
    BATCH_SET(s->b, src_as, s->row, src_as);
    BATCH_SET(s->b, dst_as, s->row, dst_as);
    if (path.n) {
        BATCH_SET(s->b, as_path, s->row, text_intern(s, &path));
    }
    if (communities.n) {
        BATCH_SET(s->b, communities, s->row, text_intern(s, &communities));
    }
}

/* A string, padded to four bytes; 'p' NULL if there is none. */
static const char *
cur_string(struct cursor *c, size_t *size)
{
    uint32_t n = cur_u32(c);
    const uint8_t *p = cur_take(c, n);
    cur_skip(c, c->bad ? 0 : -(size_t) n & 3);
    *size = n < 1024 ? n : 1024;
    return n ? (const char *) p : NULL;
}

static void
record_user(struct sample *s, struct cursor *c)
{
    size_t n, n_dst;
    cur_skip(c, 4);             /* Character set. */
    const char *src = cur_string(c, &n);
    cur_skip(c, 4);
    const char *dst = cur_string(c, &n_dst);
    if (!src) {
        src = dst;
        n = n_dst;
    }
    if (!c->bad && src) {
        BATCH_SET(s->b, user_name, s->row,
                  dict_passing(s->dec->c.dict, src, n));
    }
}

static void
record_url(struct sample *s, struct cursor *c)
{
    size_t n, n_host;
    struct text t = { .n = 0 };
    cur_skip(c, 4);             /* Direction. */
    const char *url = cur_string(c, &n);
    const char *host = cur_string(c, &n_host);
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
record_mpls(struct sample *s, struct cursor *c)
{
    struct addr next_hop;
    uint32_t labels[PACKET_MAX_LABELS];
    bool known = cur_address(c, &next_hop);
    uint32_t n = cur_u32(c), n_labels = 0;
    struct cursor stack = cur_sub(c, n * (size_t) 4);
    while (cur_more(&stack) && n_labels < PACKET_MAX_LABELS) {
        labels[n_labels++] = cur_u32(&stack) >> 12;
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

static void
record_nat(struct sample *s, struct cursor *c)
{
    struct addr src, dst;
    bool has_src = cur_address(c, &src), has_dst = cur_address(c, &dst);
    if (!c->bad && has_src) {
        BATCH_SET(s->b, nat_src_addr, s->row, src);
    }
    if (!c->bad && has_dst) {
        BATCH_SET(s->b, nat_dst_addr, s->row, dst);
    }
}

static void
record_nat_port(struct sample *s, struct cursor *c)
{
    uint32_t src = cur_u32(c), dst = cur_u32(c);
    if (!c->bad) {
        BATCH_SET(s->b, nat_src_port, s->row, (uint16_t) src);
        BATCH_SET(s->b, nat_dst_port, s->row, (uint16_t) dst);
    }
}

/* Tags that were taken off before the header was sampled. */
static void
record_vlan_tunnel(struct sample *s, struct cursor *c)
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
record_tunnel(struct sample *s, struct cursor *c, bool v6, bool ingress)
{
    struct ip_sample ip;
    if (!cur_ip_sample(c, v6, &ip) || (s->has_tunnel && !ingress)) {
        return;                 /* What it came in wins. */
    }
    BATCH_SET(s->b, tunnel_type, s->row, tunnel_type(ip.proto, ip.dst_port));
    BATCH_SET(s->b, tunnel_src_addr, s->row, ip.src);
    BATCH_SET(s->b, tunnel_dst_addr, s->row, ip.dst);
    s->has_tunnel = true;
}

static void
record_tunnel4_out(struct sample *s, struct cursor *c)
{
    record_tunnel(s, c, false, false);
}

static void
record_tunnel4_in(struct sample *s, struct cursor *c)
{
    record_tunnel(s, c, false, true);
}

static void
record_tunnel6_out(struct sample *s, struct cursor *c)
{
    record_tunnel(s, c, true, false);
}

static void
record_tunnel6_in(struct sample *s, struct cursor *c)
{
    record_tunnel(s, c, true, true);
}

static void
record_vni_out(struct sample *s, struct cursor *c)
{
    uint32_t vni = cur_u32(c);
    if (!c->bad && !batch_is_valid(s->b, COL_vni, s->row)) {
        BATCH_SET(s->b, vni, s->row, vni);
    }
}

static void
record_vni_in(struct sample *s, struct cursor *c)
{
    uint32_t vni = cur_u32(c);
    if (!c->bad) {
        BATCH_SET(s->b, vni, s->row, vni);
    }
}

static const struct {
    uint32_t format;
    void (*read)(struct sample *, struct cursor *);
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
    { 1012, record_vlan_tunnel },
    { 1020, record_nat_port },
    { 1023, record_tunnel4_out },
    { 1024, record_tunnel4_in },
    { 1025, record_tunnel6_out },
    { 1026, record_tunnel6_in },
    { 1029, record_vni_out },
    { 1030, record_vni_in },
};

/* False if a record does not fit. */
static bool
read_record(struct sample *s, struct cursor *c)
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

/* All records; gives the row up if one does not fit. */
static bool
read_records(struct sample *s, struct cursor *c, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!read_record(s, c)) {
            decode_abandon(s->dec);
            return false;
        }
    }
    return true;
}

/* ---- Samples. ---- */

/* sFlow's reasons in the words of forwardingStatus (RFC 7270 section
 * 4.12). */
static uint8_t
dropped_status(uint32_t reason)
{
    static const struct { uint16_t reason; uint8_t status; } map[] = {
        { 0, 131 }, { 1, 131 }, { 4, 133 }, { 6, 131 }, { 7, 131 },
        { 9, 129 }, { 10, 129 }, { 13, 129 }, { 257, 137 }, { 258, 129 },
        { 261, 138 }, { 260, 139 },
    };
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        if (map[i].reason == reason) {
            return map[i].status;
        }
    }
    return 128;
}

/* A data source that is an interface (class 0) looks at what enters or leaves
 * there. */
static void
set_direction(struct sample *s, uint64_t data_source, uint32_t in,
              uint32_t out_format, uint32_t out)
{
    if (!data_source || data_source >> 24) {
        return;
    } else if (data_source == in) {
        BATCH_SET(s->b, direction, s->row, DIR_INGRESS);
    } else if (out_format == INTERFACE_SINGLE && data_source == out) {
        BATCH_SET(s->b, direction, s->row, DIR_EGRESS);
    }
}

static void
set_output(struct sample *s, uint32_t format, uint32_t value)
{
    struct flow_batch *b = s->b;
    bool known = false;
    if (format == INTERFACE_SINGLE && value) {
        if (value != INTERFACE_INTERNAL) {
            BATCH_SET(b, out_if, s->row, value);
            known = true;
        }
        BATCH_SET(b, forwarding_status, s->row, 64);
    } else if (format == INTERFACE_DROPPED) {
        BATCH_SET(b, forwarding_status, s->row, dropped_status(value));
        /* Open vSwitch says "dropped, unknown why" also of what it forwards
         * after recirculation. */
        known = value != DISCARD_UNKNOWN;
        if (known) {
            BATCH_SET(b, drop_reason, s->row, (uint16_t) value);
        }
    } else if (format == INTERFACE_MULTIPLE) {
        BATCH_SET(b, forwarding_status, s->row, 64);
    }
    if (!known) {
        b->quality[s->row] |= Q_OUTPUT_UNKNOWN;
    }
}

/* The two forms of a flow sample differ in how they write interfaces. */
struct sample_header {
    uint64_t data_source;
    uint32_t rate, in_format, in_value, out_format, out_value, n_records;
};

uint64_t
sflow_data_source(struct cursor *c, bool expanded)
{
    if (!expanded) {
        return cur_u32(c);
    }
    uint64_t class = cur_u32(c), index = cur_u32(c);
    return index >> 24 ? class << 32 | index : class << 24 | index;
}

static void
read_sample_header(struct cursor *c, bool expanded, struct sample_header *h)
{
    cur_skip(c, 4);             /* Sequence number of the data source. */
    h->data_source = sflow_data_source(c, expanded);
    h->rate = cur_u32(c);
    cur_skip(c, 8);             /* Sample pool, drops. */
    if (expanded) {
        h->in_format = cur_u32(c);
        h->in_value = cur_u32(c);
        h->out_format = cur_u32(c);
        h->out_value = cur_u32(c);
    } else {
        uint32_t in = cur_u32(c), out = cur_u32(c);
        h->in_format = in >> 30;
        h->in_value = in & INTERFACE_INTERNAL;
        h->out_format = out >> 30;
        h->out_value = out & INTERFACE_INTERNAL;
    }
    h->n_records = cur_u32(c);
}

/* False if it does not parse. */
static bool
read_flow_sample(struct decoder *dec, struct source *source,
                 struct cursor *c, bool expanded)
{
    struct sample_header h;
    read_sample_header(c, expanded, &h);
    if (c->bad) {
        return false;
    }
    decode_reserve(dec, 1);
    struct sample s = { .dec = dec, .b = dec->b, .row = dec->b->n };
    struct flow_batch *b = s.b;
    b->quality[s.row] = 0;
    b->bytes[s.row] = 0;
    if (!read_records(&s, c, h.n_records)) {
        return false;
    }
    b->packets[s.row] = 1;
    b->raw_packets[s.row] = 1;
    b->raw_bytes[s.row] = b->bytes[s.row];
    b->flow_start[s.row] = b->flow_end[s.row] = dec->d->received_us;
    BATCH_SET(b, observation_point_id, s.row, h.data_source);
    if (h.in_format == INTERFACE_SINGLE && h.in_value
        && h.in_value != INTERFACE_INTERNAL) {
        BATCH_SET(b, in_if, s.row, h.in_value);
    }
    set_output(&s, h.out_format, h.out_value);
    set_direction(&s, h.data_source, h.in_value, h.out_format, h.out_value);
    if (h.rate) {
        BATCH_SET(b, sampling, s.row, h.rate);
        decode_sampling(source, h.rate, SAMPLING_HEADER);
    }
    decode_commit(dec, source, 1);
    return true;
}

/* A packet that was dropped (sflow.org/sflow_drops.txt).  It is reported for
 * itself, not as one of so many, and the samples count it already if it was
 * among them: here it only counts as dropped. */
static bool
read_discarded(struct decoder *dec, struct source *source, struct cursor *c)
{
    cur_skip(c, 4);             /* Sequence number. */
    uint64_t data_source = sflow_data_source(c, true);
    cur_skip(c, 4);             /* Drops. */
    uint32_t in = cur_u32(c), out = cur_u32(c);
    uint32_t reason = cur_u32(c), n_records = cur_u32(c);
    if (c->bad) {
        return false;
    }
    decode_reserve(dec, 1);
    struct sample s = { .dec = dec, .b = dec->b, .row = dec->b->n };
    struct flow_batch *b = s.b;
    b->quality[s.row] = 0;
    b->bytes[s.row] = 0;
    if (!read_records(&s, c, n_records)) {
        return false;
    }
    BATCH_SET(b, dropped_packets, s.row, 1);
    BATCH_SET(b, dropped_bytes, s.row, b->bytes[s.row]);
    BATCH_SET(b, drop_reason, s.row, (uint16_t) reason);
    BATCH_SET(b, forwarding_status, s.row, dropped_status(reason));
    BATCH_SET(b, sampling, s.row, 1);
    BATCH_SET(b, observation_point_id, s.row, data_source);
    if (in && in != INTERFACE_INTERNAL) {
        BATCH_SET(b, in_if, s.row, in);
    }
    if (out && out != INTERFACE_INTERNAL) {
        BATCH_SET(b, out_if, s.row, out);
    }
    b->packets[s.row] = b->raw_packets[s.row] = 0;
    b->bytes[s.row] = b->raw_bytes[s.row] = 0;
    batch_clear_valid(b, COL_l2_bytes, s.row);
    b->flow_start[s.row] = b->flow_end[s.row] = dec->d->received_us;
    decode_commit(dec, source, 1);
    return true;
}

/* False if it does not parse.  What is not known is skipped. */
static bool
read_sample(struct decoder *dec, struct source *source, struct cursor *c)
{
    uint32_t format = cur_u32(c);
    uint32_t size = cur_u32(c);
    struct cursor body = cur_sub(c, size);
    if (body.bad) {
        return false;
    }
    switch (format) {
    case SAMPLE_FLOW:
    case SAMPLE_FLOW_EXPANDED:
        return read_flow_sample(dec, source, &body,
                                format == SAMPLE_FLOW_EXPANDED);
    case SAMPLE_COUNTERS:
    case SAMPLE_COUNTERS_EXPANDED:
        return sflow_counter_sample(dec, source, &body,
                                    format == SAMPLE_COUNTERS_EXPANDED);
    case SAMPLE_DISCARDED:
        return read_discarded(dec, source, &body);
    default:
        return true;
    }
}

void
sflow_decode(struct decoder *dec, struct cursor *c)
{
    struct decoder_counters *n = dec->c.counters;
    struct addr agent = { { 0 } };
    cur_skip(c, 4);             /* Version 5. */
    bool known = cur_address(c, &agent);
    uint32_t sub_agent = cur_u32(c);
    uint32_t seq = cur_u32(c);
    cur_skip(c, 4);             /* Uptime. */
    uint32_t n_samples = cur_u32(c);
    if (c->bad) {
        counter_inc(&n->bad_header);
        return;
    }
    struct source *source = decode_source(dec, PROTO_SFLOW5, sub_agent,
                                          known ? &agent : NULL);
    if (!source) {
        return;
    }
    source_sequence(source, seq, 1);
    for (uint32_t i = 0; i < n_samples; i++) {
        if (!read_sample(dec, source, c)) {
            decode_refuse(dec, source, &n->bad_sample);
            return;
        }
    }
}
