#include <config.h>

#include "collector/import/nfcapd_p.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "collector/decode/packet.h"
#include "collector/exporter/correct.h"
#include "lib/dict.h"

enum record_type {
    RECORD_EXPORTER = 7, RECORD_EXPORTER_STAT = 8, RECORD_SAMPLER_OLD = 9,
    RECORD_FLOW = 11, RECORD_NBAR = 12, RECORD_IF_NAME = 13,
    RECORD_VRF_NAME = 14, RECORD_SAMPLER = 15,
};

#define FLOW_HEADER 12
#define FLAG_EVENT 1
#define FLAG_SAMPLED 2
#define VERSION_SFLOW 0x85      /* In a record; */
#define EXPORTER_SFLOW 9999     /* of an exporter. */
#define MAX_LABELS 10

/* ---- A flow record, as far as it has been read. ---- */

struct flow {
    struct nfcapd *f;
    struct flow_batch *b;
    uint32_t row;
    const struct nfcapd_exporter *exporter;     /* NULL: not named. */
    uint16_t exporter_number;
    uint8_t version;
    bool has_sampler;
    int64_t sampler;
    int64_t event_ms;
    uint64_t out_packets, out_bytes;
};

static struct addr
v4_at(const uint8_t *p)
{
    const uint8_t b[4] = { p[3], p[2], p[1], p[0] };
    return addr_from_v4_bytes(b);
}

/* Two numbers of 64 bits, the upper one first. */
static struct addr
v6_at(const uint8_t *p)
{
    struct addr a;
    for (size_t i = 0; i < 8; i++) {
        a.b[i] = p[7 - i];
        a.b[8 + i] = p[15 - i];
    }
    return a;
}

static int64_t
ms_to_us(uint64_t ms)
{
    return ms > INT64_MAX / 1000 ? INT64_MAX : (int64_t) ms * 1000;
}

#define SET(X, COL, VALUE) BATCH_SET((X)->b, COL, (X)->row, VALUE)
/* Zero stands for "not told" there. */
#define SET_NONZERO(X, COL, VALUE)              \
    do {                                        \
        if (VALUE) {                            \
            SET(X, COL, VALUE);                 \
        }                                       \
    } while (0)

static bool
has_ports(uint8_t proto)
{
    return proto == 6 || proto == 17 || proto == 33 || proto == 132
           || proto == 136;
}

static void
read_generic(struct flow *x, const uint8_t *p, size_t n)
{
    struct flow_batch *b = x->b;
    uint32_t i = x->row;
    uint8_t proto = p[44];
    uint16_t src = le16_at(p + 40), dst = le16_at(p + 42);

    (void) n;
    b->flow_start[i] = ms_to_us(le64_at(p));
    b->flow_end[i] = ms_to_us(le64_at(p + 8));
    b->received[i] = ms_to_us(le64_at(p + 16));
    b->packets[i] = le64_at(p + 24);
    b->bytes[i] = le64_at(p + 32);
    SET(x, proto, proto);
    if (proto == 1 || proto == 58) {
        SET(x, icmp_type, (uint8_t) (dst >> 8));
        SET(x, icmp_code, (uint8_t) dst);
    } else if (src || dst || has_ports(proto)) {
        SET(x, src_port, src);
        SET(x, dst_port, dst);
    }
    if (proto == 6 || p[45]) {
        SET(x, tcp_flags, p[45]);
    }
    SET_NONZERO(x, forwarding_status, p[46]);
    SET(x, tos, p[47]);
}

/* Exporters whose templates have both kinds of addresses leave one of them
 * zero, in whatever order. */
static bool
is_other_family(const struct flow *x, const uint8_t *p, size_t n)
{
    static const uint8_t none[32];
    return batch_is_valid(x->b, COL_ip_version, x->row)
           && !memcmp(p, none, n);
}

static void
read_v4(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    if (is_other_family(x, p, 8)) {
        return;
    }
    SET(x, ip_version, 4);
    SET(x, src_addr, v4_at(p));
    SET(x, dst_addr, v4_at(p + 4));
}

static void
read_v6(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    if (is_other_family(x, p, 32)) {
        return;
    }
    SET(x, ip_version, 6);
    SET(x, src_addr, v6_at(p));
    SET(x, dst_addr, v6_at(p + 16));
}

static void
read_misc(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    SET(x, in_if, le32_at(p));
    SET(x, out_if, le32_at(p + 4));
    SET(x, src_prefix_length, p[8]);
    SET(x, dst_prefix_length, p[9]);
    if (p[10] == 1) {           /* 0 is also what no field leaves. */
        SET(x, direction, DIR_EGRESS);
    }
    SET_NONZERO(x, flow_end_reason, p[13]);
}

static void
read_counts(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    if (le64_at(p) > 1) {
        counter_inc(&x->f->n.aggregated);
    }
    x->out_packets = le64_at(p + 8);
    x->out_bytes = le64_at(p + 16);
}

static void
read_vlan(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    SET_NONZERO(x, vlan_id, (uint16_t) le32_at(p));
    SET_NONZERO(x, post_vlan_id, (uint16_t) le32_at(p + 4));
}

static void
read_as(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    SET(x, src_as, le32_at(p));
    SET(x, dst_as, le32_at(p + 4));
}

/* An address where zero stands for none; 4 or 16 bytes. */
static void
set_addr(struct flow *x, enum column_id col, const uint8_t *p, size_t n)
{
    static const uint8_t none[16];
    if (memcmp(p, none, n)) {
        struct addr *column = batch_column(x->b, col);
        column[x->row] = n == 4 ? v4_at(p) : v6_at(p);
        batch_set_valid(x->b, col, x->row);
    }
}

static void
read_bgp_next_v4(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    set_addr(x, COL_bgp_next_hop, p, 4);
}

static void
read_bgp_next_v6(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    set_addr(x, COL_bgp_next_hop, p, 16);
}

static void
read_next_v4(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    set_addr(x, COL_next_hop, p, 4);
}

static void
read_next_v6(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    set_addr(x, COL_next_hop, p, 16);
}

static void
read_received_v4(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    x->b->exporter[x->row] = v4_at(p);
}

static void
read_received_v6(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    x->b->exporter[x->row] = v6_at(p);
}

/* Entries of a label stack without their TTL; the first that is zero ends
 * them. */
static void
read_mpls(struct flow *x, const uint8_t *p, size_t n)
{
    uint32_t labels[MAX_LABELS];
    unsigned n_labels = 0;

    for (size_t i = 0; i < MAX_LABELS && 4 * i + 4 <= n; i++) {
        uint32_t entry = le32_at(p + 4 * i);
        if (entry) {
            labels[n_labels++] = entry;
        }
        if (entry & 1) {
            break;              /* Bottom of the stack. */
        }
    }
    if (n_labels) {
        packet_store_labels(labels, n_labels, x->f->c.dict, x->b, x->row);
    }
}

static void
read_mac(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    bool sflow = x->version == VERSION_SFLOW;
    uint64_t out_dst = le64_at(p + 8), in_dst = le64_at(p + 16);
    SET_NONZERO(x, src_mac, le64_at(p));
    /* sfcapd puts the destination of the frame into the other place. */
    SET_NONZERO(x, dst_mac, sflow && !in_dst ? out_dst : in_dst);
    SET_NONZERO(x, post_dst_mac, sflow ? 0 : out_dst);
    SET_NONZERO(x, post_src_mac, le64_at(p + 24));
}

static void
read_peer_as(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    SET_NONZERO(x, dst_peer_as, le32_at(p));
    SET_NONZERO(x, src_peer_as, le32_at(p + 4));
}

static void
read_sampler(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    x->has_sampler = true;
    x->sampler = (int64_t) le64_at(p);
}

static void
read_nsel(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    x->event_ms = (int64_t) (le64_at(p) & INT64_MAX);
    SET_NONZERO(x, flow_id, (uint64_t) le32_at(p + 8));
    SET_NONZERO(x, firewall_ext_event, le16_at(p + 12));
    SET(x, firewall_event, p[14]);
}

static void
read_xlate_v4(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    set_addr(x, COL_nat_src_addr, p, 4);
    set_addr(x, COL_nat_dst_addr, p + 4, 4);
}

static void
read_xlate_v6(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    set_addr(x, COL_nat_src_addr, p, 16);
    set_addr(x, COL_nat_dst_addr, p + 16, 16);
}

static void
read_xlate_port(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    SET(x, nat_src_port, le16_at(p));
    SET(x, nat_dst_port, le16_at(p + 2));
}

/* Three numbers as they were on the wire, in hex. */
static void
set_acl(struct flow *x, enum column_id col, uint32_t *names, const uint8_t *p)
{
    static const uint8_t nothing[12];
    char text[25];
    if (memcmp(p, nothing, sizeof nothing)) {
        for (unsigned i = 0; i < sizeof nothing; i++) {
            snprintf(text + 2 * i, 3, "%02x", p[i]);
        }
        names[x->row] = dict_passing(x->f->c.dict, text, 24);
        batch_set_valid(x->b, col, x->row);
    }
}

static void
read_acl(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    set_acl(x, COL_acl_in, x->b->acl_in, p);
    set_acl(x, COL_acl_out, x->b->acl_out, p + 12);
}

static void
read_user(struct flow *x, const uint8_t *p, size_t n)
{
    size_t size = strnlen((const char *) p, n < 66 ? n : 66);
    if (size) {
        SET(x, user_name, dict_passing(x->f->c.dict, (const char *) p, size));
    }
}

/* Older ones have two VRFs in it. */
static void
read_nel(struct flow *x, const uint8_t *p, size_t n)
{
    bool old = n >= 24;
    x->event_ms = (int64_t) (le64_at(p) & INT64_MAX);
    if (old) {
        SET_NONZERO(x, out_vrf, le32_at(p + 8));
        SET_NONZERO(x, in_vrf, le32_at(p + 12));
    }
    SET_NONZERO(x, nat_event, p[old ? 20 : 12]);
}

/* First and last port, step and size. */
static void
read_pblock(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    SET_NONZERO(x, port_range_start, le16_at(p));
    SET_NONZERO(x, port_range_end, le16_at(p + 2));
}

static void
read_nbar(struct flow *x, const uint8_t *p, size_t n)
{
    uint64_t id = 0;
    for (size_t i = 0; i < n && i < 8; i++) {
        id = id << 8 | p[i];
    }
    SET_NONZERO(x, application_id, id);
}

static void
set_tunnel(struct flow *x, const uint8_t *p, size_t n)
{
    uint8_t proto = p[2 * n];
    set_addr(x, COL_tunnel_src_addr, p, n);
    set_addr(x, COL_tunnel_dst_addr, p + n, n);
    SET(x, tunnel_type, proto == 47 ? TUNNEL_GRE
                        : proto == 4 || proto == 41 ? TUNNEL_IPIP
                                                    : TUNNEL_UNKNOWN);
}

static void
read_tunnel_v4(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    set_tunnel(x, p, 4);
}

static void
read_tunnel_v6(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    set_tunnel(x, p, 16);
}

static void
read_observation(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    SET_NONZERO(x, observation_point_id, le64_at(p));
    x->b->observation_domain_id[x->row] = le32_at(p + 8);
}

static void
read_vrf(struct flow *x, const uint8_t *p, size_t n)
{
    (void) n;
    SET_NONZERO(x, out_vrf, le32_at(p));
    SET_NONZERO(x, in_vrf, le32_at(p + 4));
}

/* Extensions by number: how many bytes it takes at least, and what reads it;
 * those without are not kept. */
static const struct {
    const char *name;
    uint16_t size;
    void (*read)(struct flow *, const uint8_t *p, size_t n);
} extensions[] = {
    [1] = { "flow", 48, read_generic },
    [2] = { "IPv4 addresses", 8, read_v4 },
    [3] = { "IPv6 addresses", 32, read_v6 },
    [4] = { "interfaces", 16, read_misc },
    [5] = { "counts", 24, read_counts },
    [6] = { "VLANs", 8, read_vlan },
    [7] = { "AS numbers", 8, read_as },
    [8] = { "BGP next hop", 4, read_bgp_next_v4 },
    [9] = { "BGP next hop", 16, read_bgp_next_v6 },
    [10] = { "next hop", 4, read_next_v4 },
    [11] = { "next hop", 16, read_next_v6 },
    [12] = { "exporter", 4, read_received_v4 },
    [13] = { "exporter", 16, read_received_v6 },
    [14] = { "MPLS labels", 4, read_mpls },
    [15] = { "MAC addresses", 32, read_mac },
    [16] = { "adjacent AS numbers", 8, read_peer_as },
    [17] = { "latencies", 0, NULL },
    [18] = { "sampler", 8, read_sampler },
    [19] = { "firewall event", 15, read_nsel },
    [20] = { "translated addresses", 8, read_xlate_v4 },
    [21] = { "translated addresses", 32, read_xlate_v6 },
    [22] = { "translated ports", 4, read_xlate_port },
    [23] = { "access lists", 24, read_acl },
    [24] = { "user", 1, read_user },
    [25] = { "NAT event", 13, read_nel },
    [26] = { "blocks of translated ports", 8, read_pblock },
    [27] = { "application", 1, read_nbar },
    [28] = { "label", 0, NULL },
    [29] = { "payload", 0, NULL },
    [30] = { "payload of the way back", 0, NULL },
    [31] = { "tunnel", 12, read_tunnel_v4 },
    [32] = { "tunnel", 36, read_tunnel_v6 },
    [33] = { "observation", 12, read_observation },
    [34] = { "interface name", 0, NULL },
    [35] = { "VRF name", 0, NULL },
    [36] = { "VRFs", 8, read_vrf },
    [37] = { "pf", 0, NULL },
};

#define N_KNOWN (sizeof extensions / sizeof extensions[0])

bool
nfcapd_unkept(const struct nfcapd *f, unsigned i, unsigned *number,
              const char **name, uint64_t *n)
{
    for (unsigned k = 0; k < NFCAPD_EXTENSIONS; k++) {
        if (f->extensions[k] && !i--) {
            *number = k;
            *name = k < N_KNOWN ? extensions[k].name : NULL;
            *n = f->extensions[k];
            return true;
        }
    }
    return false;
}

/* ---- Exporters and samplers. ---- */

static const struct nfcapd_exporter *
find_exporter(const struct nfcapd *f, uint16_t number)
{
    for (size_t i = 0; i < f->n_exporters; i++) {
        if (f->exporters[i].number == number) {
            return &f->exporters[i];
        }
    }
    return NULL;
}

static void
read_exporter(struct nfcapd *f, const uint8_t *p, size_t size)
{
    if (size < 32 || f->n_exporters == NFCAPD_EXPORTERS) {
        return;
    }
    struct nfcapd_exporter e = {
        .version = le32_at(p + 4), .number = le16_at(p + 26),
        .id = le32_at(p + 28),
    };
    /* AF_INET on every system; later versions have no family and an address
     * in the order of the network. */
    uint16_t family = le16_at(p + 24);
    e.addr = family == 2 ? v4_at(p + 16) : family ? v6_at(p + 8)
                                                  : addr_from_v6_bytes(p + 8);
    const struct nfcapd_exporter *old = find_exporter(f, e.number);
    if (old) {
        f->exporters[old - f->exporters] = e;
    } else {
        f->exporters[f->n_exporters++] = e;
        counter_inc(&f->n.exporters);
    }
}

static void
add_sampler(struct nfcapd *f, uint16_t exporter, int64_t id, uint64_t rate)
{
    struct nfcapd_sampler s = { exporter, id,
                                rate > UINT32_MAX ? 0 : (uint32_t) rate };
    for (size_t i = 0; i < f->n_samplers; i++) {
        if (f->samplers[i].exporter == exporter && f->samplers[i].id == id) {
            f->samplers[i] = s;
            return;
        }
    }
    if (f->n_samplers < NFCAPD_SAMPLERS) {
        f->samplers[f->n_samplers++] = s;
        counter_inc(&f->n.samplers);
    }
}

static void
read_sampler_record(struct nfcapd *f, const uint8_t *p, size_t size)
{
    if (size >= 24) {
        uint64_t taken = le32_at(p + 16), left = le32_at(p + 20);
        add_sampler(f, le16_at(p + 4), (int64_t) le64_at(p + 8),
                    taken ? (taken + left) / taken : 0);
    }
}

static void
read_sampler_old(struct nfcapd *f, const uint8_t *p, size_t size)
{
    if (size >= 16) {
        add_sampler(f, le16_at(p + 14), (int32_t) le32_at(p + 4),
                    le32_at(p + 8));
    }
}

/* The rate of the sampler that a record names, else of what was said about all
 * records of its exporter; 0: not told. */
static uint32_t
find_rate(const struct flow *x)
{
    const struct nfcapd *f = x->f;
    uint32_t rate = 0;

    for (size_t i = 0; i < f->n_samplers; i++) {
        const struct nfcapd_sampler *s = &f->samplers[i];
        if (s->exporter != x->exporter_number) {
            continue;
        } else if (x->has_sampler && s->id == x->sampler) {
            return s->rate;
        } else if (s->id < 0) {
            rate = s->rate;
        }
    }
    return rate;
}

/* ---- Flow records. ---- */

static uint8_t
protocol(const struct flow *x)
{
    switch (x->version) {
    case 1:
        return PROTO_NETFLOW1;
    case 5:
        return PROTO_NETFLOW5;
    case 7:
        return PROTO_NETFLOW7;
    case 9:
        return PROTO_NETFLOW9;
    case 10:
        return PROTO_IPFIX;
    case VERSION_SFLOW:
        return PROTO_SFLOW5;
    default:
        return x->exporter && x->exporter->version == EXPORTER_SFLOW
               ? PROTO_SFLOW5 : PROTO_UNKNOWN;
    }
}

/* Turns counts that were multiplied back into what was seen. */
static void
set_sampling(struct flow *x, bool multiplied)
{
    struct flow_batch *b = x->b;
    uint32_t i = x->row, rate = find_rate(x);

    b->raw_packets[i] = b->packets[i];
    b->raw_bytes[i] = b->bytes[i];
    if (multiplied) {
        counter_inc(&x->f->n.sampled);
        b->quality[i] |= Q_SCALED_BY_EXPORTER;
    }
    if (rate && (multiplied || rate == 1)) {
        SET(x, sampling, rate);
        b->raw_packets[i] = (b->packets[i] + rate / 2) / rate;
        b->raw_bytes[i] = (b->bytes[i] + rate / 2) / rate;
    } else {
        b->quality[i] |= Q_RATE_UNKNOWN;
    }
}

static void
set_times(struct flow *x)
{
    struct flow_batch *b = x->b;
    uint32_t i = x->row;
    int64_t event = ms_to_us((uint64_t) x->event_ms);

    if (!b->flow_end[i]) {
        b->flow_end[i] = event ? event : b->received[i];
    }
    if (!b->flow_start[i]) {
        b->flow_start[i] = b->flow_end[i];
    }
    if (!b->received[i] || b->received[i] > x->f->c.now_us) {
        bool sane = b->flow_end[i] && b->flow_end[i] <= x->f->c.now_us;
        b->received[i] = sane ? b->flow_end[i] : x->f->info.created_us;
        b->quality[i] |= Q_TIME_CORRECTED;
    }
    /* As if they had come today; see correct.h. */
    int64_t late = b->flow_end[i] - b->received[i];
    if (late > CORRECT_MAX_FUTURE_US || late < -CORRECT_MAX_PAST_US) {
        b->flow_start[i] = b->flow_end[i] = b->received[i];
        b->quality[i] |= Q_TIME_CORRECTED;
    } else if (b->flow_start[i] > b->flow_end[i]
               || b->flow_end[i] - b->flow_start[i] > CORRECT_MAX_PAST_US) {
        b->flow_start[i] = b->flow_end[i];
        b->quality[i] |= Q_TIME_CORRECTED;
    }
    if (b->quality[i] & Q_TIME_CORRECTED) {
        counter_inc(&x->f->n.time_corrected);
    }
}

/* Exchanges source and destination of one column pair. */
static void
swap(struct flow_batch *b, uint32_t row, enum column_id a, enum column_id z)
{
    uint8_t tmp[16], *pa = batch_column(b, a), *pz = batch_column(b, z);
    size_t size = columns[a].size;
    bool va = batch_is_valid(b, a, row), vz = batch_is_valid(b, z, row);

    memcpy(tmp, pa + row * size, size);
    memcpy(pa + row * size, pz + row * size, size);
    memcpy(pz + row * size, tmp, size);
    (vz ? batch_set_valid : batch_clear_valid)(b, a, row);
    (va ? batch_set_valid : batch_clear_valid)(b, z, row);
}

/* The way back of a record that counts both: a flow of its own. */
static void
add_reverse(struct flow *x)
{
    static const enum column_id pairs[][2] = {
        { COL_src_addr, COL_dst_addr }, { COL_src_port, COL_dst_port },
        { COL_in_if, COL_out_if }, { COL_in_if_name, COL_out_if_name },
        { COL_src_as, COL_dst_as },
        { COL_src_peer_as, COL_dst_peer_as },
        { COL_src_prefix_length, COL_dst_prefix_length },
        { COL_src_mac, COL_dst_mac }, { COL_in_vrf, COL_out_vrf },
        { COL_nat_src_addr, COL_nat_dst_addr },
        { COL_nat_src_port, COL_nat_dst_port },
    };
    struct flow_batch *b = x->b;
    uint32_t from = x->row, to = from + 1;

    for (unsigned c = 0; c < N_COLUMNS; c++) {
        uint8_t *p = batch_column(b, c);
        memcpy(p + to * columns[c].size, p + from * columns[c].size,
               columns[c].size);
        if (batch_is_valid(b, c, from)) {
            batch_set_valid(b, c, to);
        }
    }
    x->row = to;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        swap(b, to, pairs[i][0], pairs[i][1]);
    }
    b->packets[to] = x->out_packets;
    b->bytes[to] = x->out_bytes;
    batch_clear_valid(b, COL_tcp_flags, to);
    x->b->quality[to] &= ~(uint32_t) (Q_SCALED_BY_EXPORTER | Q_RATE_UNKNOWN);
    batch_clear_valid(b, COL_sampling, to);
    set_sampling(x, b->quality[from] & Q_SCALED_BY_EXPORTER);
    x->f->n.sampled -= (b->quality[from] & Q_SCALED_BY_EXPORTER) != 0;
}

/* Reads the extensions of a record into a row that is clean.  NULL, or what is
 * wrong. */
static const char *
read_extensions(struct flow *x, const uint8_t *p, size_t size, unsigned n)
{
    struct nfcapd *f = x->f;

    for (unsigned i = 0; i < n; i++) {
        if (size < 4) {
            return "a flow record ends before its extensions do";
        }
        unsigned number = le16_at(p);
        size_t length = le16_at(p + 2);
        if (length < 4 || length > size) {
            return "an extension is longer than its flow record";
        }
        if (number < N_KNOWN && extensions[number].read) {
            if (length - 4 < extensions[number].size) {
                return "an extension is too short";
            }
            extensions[number].read(x, p + 4, length - 4);
        } else {
            counter_inc(number < N_KNOWN && extensions[number].name
                        ? &f->n.unkept_extensions
                        : &f->n.unknown_extensions);
            f->extensions[number < NFCAPD_EXTENSIONS
                          ? number : NFCAPD_EXTENSIONS - 1]++;
        }
        p += length;
        size -= length;
    }
    return NULL;
}

/* The rows of a record are whole. */
static void
finish(struct flow *x, uint8_t flags)
{
    struct nfcapd *f = x->f;
    struct flow_batch *b = x->b;
    uint32_t i = x->row;

    b->export_protocol[i] = protocol(x);
    b->canonical[i] = 1;
    set_sampling(x, flags & FLAG_SAMPLED);
    set_times(x);
    nfcapd_set_names(f, b, i);
    counter_inc(&f->n.records);
    counter_add(&f->n.packets, b->packets[i]);
    counter_add(&f->n.bytes, b->bytes[i]);
    if (flags & FLAG_EVENT) {
        counter_inc(&f->n.events);
    }
    if (b->flow_end[i] < f->info.first_us) {
        f->info.first_us = b->flow_end[i];
    }
    if (b->flow_end[i] > f->info.last_us) {
        f->info.last_us = b->flow_end[i];
    }
    counter_inc(&f->n.rows);
    if (x->out_packets || x->out_bytes) {
        add_reverse(x);
        counter_inc(&f->n.rows);
        counter_add(&f->n.packets, x->out_packets);
        counter_add(&f->n.bytes, x->out_bytes);
    }
    correct_multicast(b, i, x->row - i + 1);
}

/* Takes back what a record that is damaged has set. */
static void
abandon(struct flow *x)
{
    for (unsigned c = 0; c < N_COLUMNS; c++) {
        if (columns[c].flags & CF_NULL) {
            batch_clear_valid(x->b, c, x->row);
        }
    }
}

/* Adds one record to 'b', which has room for two rows.  NULL, or what is
 * wrong. */
static const char *
read_flow(struct nfcapd *f, struct flow_batch *b, const uint8_t *p,
          size_t size)
{
    if (size < FLOW_HEADER) {
        return "a flow record is too short";
    }
    struct flow x = {
        .f = f, .b = b, .row = b->n,
        .exporter_number = le16_at(p + 8), .version = p[11],
    };
    x.exporter = find_exporter(f, x.exporter_number);
    batch_zero_rows(b, b->n, 2);
    if (x.exporter) {
        b->exporter[x.row] = x.exporter->addr;
        b->observation_domain_id[x.row] = x.exporter->id;
    }
    if (x.version == 5 || x.version == 7) {
        b->observation_domain_id[x.row] = (uint32_t) p[6] << 8 | p[7];
    }
    const char *wrong = read_extensions(&x, p + FLOW_HEADER,
                                        size - FLOW_HEADER, le16_at(p + 4));
    if (wrong) {
        abandon(&x);
        return wrong;
    }
    finish(&x, p[10]);
    if (!b->n) {
        b->oldest_us = b->received[0];
    }
    b->n = x.row + 1;
    EVP_DigestUpdate(f->hash, p, size);
    return NULL;
}

/* ---- Blocks. ---- */

/* The hour in which a record arrived, as it says; 0: it does not. */
static uint64_t
arrival_hour(const uint8_t *p, size_t n)
{
    for (size_t at = FLOW_HEADER; n >= at + 4; ) {
        size_t length = le16_at(p + at + 2);
        if (le16_at(p + at) == 1 && n >= at + 4 + 24) {
            return le64_at(p + at + 4 + 16) / 3600000;
        }
        if (length < 4) {
            break;
        }
        at += length;
    }
    return 0;
}

/* Makes room for two rows of an hour: where a batch is kept is told by its
 * first row. */
static bool
make_room(struct nfcapd *f, struct flow_batch **b, uint64_t hour)
{
    if ((*b)->n + 2 > BATCH_ROWS
        || ((*b)->n && hour != (uint64_t) (*b)->received[0] / 3600000000)) {
        *b = f->c.flush(f->c.aux, *b);
    }
    return *b != NULL;
}

int
nfcapd_records(struct nfcapd *f, const uint8_t *p, size_t size,
               struct flow_batch **b, size_t *at)
{
    for (*at = 0; *at < size; ) {
        size_t left = size - *at, n = left >= 4 ? le16_at(p + *at + 2) : 0;
        const char *wrong = n < 4 || n > left ? "a record's length cannot be"
                                              : NULL;
        unsigned type = wrong ? 0 : le16_at(p + *at);

        if (type == RECORD_FLOW) {
            if (!make_room(f, b, arrival_hour(p + *at, n))) {
                return -ECANCELED;
            }
            wrong = read_flow(f, *b, p + *at, n);
        } else if (type == RECORD_EXPORTER) {
            read_exporter(f, p + *at, n);
        } else if (type == RECORD_SAMPLER) {
            read_sampler_record(f, p + *at, n);
        } else if (type == RECORD_SAMPLER_OLD) {
            read_sampler_old(f, p + *at, n);
        } else if (type == RECORD_IF_NAME) {
            nfcapd_read_names(f, p + *at, n);
        }
        if (wrong) {
            snprintf(f->damage, sizeof f->damage, "%s", wrong);
            return -EBADMSG;
        }
        if (type != RECORD_FLOW) {
            bool known = type >= RECORD_EXPORTER && type <= RECORD_SAMPLER;
            counter_inc(known ? &f->n.other_records
                              : &f->n.unknown_records);
        }
        *at += n;
    }
    return 0;
}
