/* gen/ovs_ipfix.c -- IPFIX exactly as Open vSwitch sends it (2.9 and later:
 * field lists and template ids have not changed since).
 *
 * - 88 templates for all combinations of layers, in datagrams of their own
 *   that are closed once they reach 1,024 octets, then an options template and
 *   one record of exporter statistics in observation domain 0;
 * - one record per message;
 * - one sequence per exporter for all domains, plus one per data message
 *   (RFC 7011 would count records per domain; it is the same here but for the
 *   domains);
 * - times are microseconds back from the export time in the header, which is
 *   rounded up to the next second;
 * - counts are of one sampled packet, multiplied by the sampling rate;
 * - "total" counts are of the exporter, not of the flow. */
#include <config.h>

#include "gen/gen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define PEN_VMWARE 6876
#define ENTERPRISE_BIT 0x8000
#define VARIABLE 0              /* In the table; 65535 on the wire. */
#define TEMPLATE_MIN 256
#define OPTIONS_TEMPLATE 462
#define CLOSE_AT 1024           /* OVS's MAX_MESSAGE_LEN. */
#define KEY_MAX 160
#define TUNNEL_VXLAN 1
#define END_ACTIVE_TIMEOUT 2

/* Which templates have a field. */
enum when {
    ALWAYS, IF_EGRESS, IF_VLAN, IF_IP, IF_V4, IF_V6, IF_PORTS, IF_ICMP4,
    IF_ICMP6, IF_TUNNEL, IF_OBS, IF_TCP
};

struct ovs_field {
    uint16_t id;
    uint8_t size;
    uint8_t when;
    bool enterprise;
};

static const struct ovs_field ovs_fields[] = {
    /* Key. */
    { 138, 4, ALWAYS, false },          /* observationPointId */
    { 61, 1, ALWAYS, false },           /* flowDirection */
    { 56, 6, ALWAYS, false },           /* sourceMacAddress */
    { 80, 6, ALWAYS, false },           /* destinationMacAddress */
    { 256, 2, ALWAYS, false },          /* ethernetType */
    { 240, 1, ALWAYS, false },          /* ethernetHeaderLength */
    { 10, 4, ALWAYS, false },           /* ingressInterface */
    { 368, 4, ALWAYS, false },          /* ingressInterfaceType */
    { 82, VARIABLE, ALWAYS, false },    /* interfaceName */
    { 83, VARIABLE, ALWAYS, false },    /* interfaceDescription */
    { 14, 4, IF_EGRESS, false },        /* egressInterface */
    { 369, 4, IF_EGRESS, false },       /* egressInterfaceType */
    { 82, VARIABLE, IF_EGRESS, false },
    { 83, VARIABLE, IF_EGRESS, false },
    { 58, 2, IF_VLAN, false },          /* vlanId */
    { 243, 2, IF_VLAN, false },         /* dot1qVlanId */
    { 244, 1, IF_VLAN, false },         /* dot1qPriority */
    { 60, 1, IF_IP, false },            /* ipVersion */
    { 192, 1, IF_IP, false },           /* ipTTL */
    { 4, 1, IF_IP, false },             /* protocolIdentifier */
    { 195, 1, IF_IP, false },           /* ipDiffServCodePoint */
    { 196, 1, IF_IP, false },           /* ipPrecedence */
    { 5, 1, IF_IP, false },             /* ipClassOfService */
    { 8, 4, IF_V4, false },             /* sourceIPv4Address */
    { 12, 4, IF_V4, false },            /* destinationIPv4Address */
    { 27, 16, IF_V6, false },           /* sourceIPv6Address */
    { 28, 16, IF_V6, false },           /* destinationIPv6Address */
    { 31, 4, IF_V6, false },            /* flowLabelIPv6 */
    { 7, 2, IF_PORTS, false },          /* sourceTransportPort */
    { 11, 2, IF_PORTS, false },         /* destinationTransportPort */
    { 176, 1, IF_ICMP4, false },        /* icmpTypeIPv4 */
    { 177, 1, IF_ICMP4, false },        /* icmpCodeIPv4 */
    { 178, 1, IF_ICMP6, false },        /* icmpTypeIPv6 */
    { 179, 1, IF_ICMP6, false },        /* icmpCodeIPv6 */
    { 893, 4, IF_TUNNEL, true },        /* tunnelSourceIPv4Address */
    { 894, 4, IF_TUNNEL, true },        /* tunnelDestinationIPv4Address */
    { 895, 1, IF_TUNNEL, true },        /* tunnelProtocolIdentifier */
    { 896, 2, IF_TUNNEL, true },        /* tunnelSourceTransportPort */
    { 897, 2, IF_TUNNEL, true },        /* tunnelDestinationTransportPort */
    { 891, 1, IF_TUNNEL, true },        /* tunnelType */
    { 892, VARIABLE, IF_TUNNEL, true }, /* tunnelKey */
    { 898, VARIABLE, IF_OBS, true },    /* virtualObsID */
    /* Counts. */
    { 158, 4, ALWAYS, false },          /* flowStartDeltaMicroseconds */
    { 159, 4, ALWAYS, false },          /* flowEndDeltaMicroseconds */
    { 133, 8, ALWAYS, false },          /* droppedPacketDeltaCount */
    { 135, 8, ALWAYS, false },          /* droppedPacketTotalCount */
    { 2, 8, ALWAYS, false },            /* packetDeltaCount */
    { 86, 8, ALWAYS, false },           /* packetTotalCount */
    { 354, 8, ALWAYS, false },          /* ingressUnicastPacketTotalCount */
    { 355, 8, ALWAYS, false },          /* ingressMulticastPacketTotal... */
    { 356, 8, ALWAYS, false },          /* ingressBroadcastPacketTotal... */
    { 357, 8, ALWAYS, false },          /* egressUnicastPacketTotalCount */
    { 358, 8, ALWAYS, false },          /* egressBroadcastPacketTotal... */
    { 19, 8, ALWAYS, false },           /* postMCastPacketDeltaCount */
    { 174, 8, ALWAYS, false },          /* postMCastPacketTotalCount */
    { 352, 8, ALWAYS, false },          /* layer2OctetDeltaCount */
    { 353, 8, ALWAYS, false },          /* layer2OctetTotalCount */
    { 136, 1, ALWAYS, false },          /* flowEndReason */
    { 132, 8, IF_IP, false },           /* droppedOctetDeltaCount */
    { 134, 8, IF_IP, false },           /* droppedOctetTotalCount */
    { 1, 8, IF_IP, false },             /* octetDeltaCount */
    { 85, 8, IF_IP, false },            /* octetTotalCount */
    { 198, 8, IF_IP, false },           /* octetDeltaSumOfSquares */
    { 199, 8, IF_IP, false },           /* octetTotalSumOfSquares */
    { 25, 8, IF_IP, false },            /* minimumIpTotalLength */
    { 26, 8, IF_IP, false },            /* maximumIpTotalLength */
    { 20, 8, IF_IP, false },            /* postMCastOctetDeltaCount */
    { 175, 8, IF_IP, false },           /* postMCastOctetTotalCount */
    { 222, 8, IF_TCP, false },          /* tcpAckTotalCount */
    { 219, 8, IF_TCP, false },          /* tcpFinTotalCount */
    { 221, 8, IF_TCP, false },          /* tcpPshTotalCount */
    { 220, 8, IF_TCP, false },          /* tcpRstTotalCount */
    { 218, 8, IF_TCP, false },          /* tcpSynTotalCount */
    { 223, 8, IF_TCP, false },          /* tcpUrgTotalCount */
};
#define N_OVS_FIELDS (sizeof ovs_fields / sizeof ovs_fields[0])

/* A template is one choice at each layer. */
enum { L2_ETH, L2_VLAN, N_L2 };
enum { L3_UNKNOWN, L3_IPV4, L3_IPV6, N_L3 };
enum { L4_UNKNOWN, L4_TCP, L4_UDP, L4_SCTP, L4_ICMP, N_L4 };
enum { N_TUNNEL = 2, N_DIRECTION = 2 };

struct layers {
    uint8_t l2, l3, l4, tunnel, direction;
};

static uint16_t
template_id(const struct layers *l)
{
    return TEMPLATE_MIN + (((l->l2 * N_L3 + l->l3) * N_L4 + l->l4) * N_TUNNEL
                           + l->tunnel) * N_DIRECTION + l->direction;
}

/* The layers of template number 'id', counted from 0.  False for the numbers
 * that OVS leaves out: there is no transport without IP. */
static bool
layers_of(unsigned id, struct layers *l)
{
    l->direction = id % N_DIRECTION;
    id /= N_DIRECTION;
    l->tunnel = id % N_TUNNEL;
    id /= N_TUNNEL;
    l->l4 = id % N_L4;
    id /= N_L4;
    l->l3 = id % N_L3;
    l->l2 = id / N_L3;
    return l->l3 != L3_UNKNOWN || l->l4 == L4_UNKNOWN;
}
#define N_TEMPLATE_IDS (N_L2 * N_L3 * N_L4 * N_TUNNEL * N_DIRECTION)

static uint8_t
l4_of(uint8_t proto)
{
    switch (proto) {
    case IPPROTO_TCP: return L4_TCP;
    case IPPROTO_UDP: return L4_UDP;
    case IPPROTO_SCTP: return L4_SCTP;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6: return L4_ICMP;
    default: return L4_UNKNOWN;
    }
}

static struct layers
layers_of_flow(const struct gen_flow *f)
{
    return (struct layers) {
        .l2 = f->vlan ? L2_VLAN : L2_ETH,
        .l3 = f->version == 4 ? L3_IPV4 : L3_IPV6,
        .l4 = l4_of(f->proto),
        .tunnel = f->vni != 0,
        .direction = f->direction,
    };
}

static bool
has_field(const struct layers *l, enum when when, bool obs)
{
    switch (when) {
    case ALWAYS: return true;
    case IF_EGRESS: return l->direction;
    case IF_VLAN: return l->l2 == L2_VLAN;
    case IF_IP: return l->l3 != L3_UNKNOWN;
    case IF_V4: return l->l3 == L3_IPV4;
    case IF_V6: return l->l3 == L3_IPV6;
    case IF_PORTS: return l->l4 >= L4_TCP && l->l4 <= L4_SCTP;
    case IF_ICMP4: return l->l4 == L4_ICMP && l->l3 == L3_IPV4;
    case IF_ICMP6: return l->l4 == L4_ICMP && l->l3 == L3_IPV6;
    case IF_TUNNEL: return l->tunnel;
    case IF_OBS: return obs;
    case IF_TCP: return l->l4 == L4_TCP;
    }
    return false;
}

static uint8_t *
put_template(const struct layers *l, bool obs, uint8_t *p)
{
    uint8_t *count = p + 2;
    uint16_t n = 0;

    p = put_u16(p, template_id(l)) + 2;
    for (size_t i = 0; i < N_OVS_FIELDS; i++) {
        const struct ovs_field *f = &ovs_fields[i];
        if (!has_field(l, f->when, obs)) {
            continue;
        }
        p = put_u16(p, f->id | (f->enterprise ? ENTERPRISE_BIT : 0));
        p = put_u16(p, f->size == VARIABLE ? UINT16_MAX : f->size);
        if (f->enterprise) {
            p = put_u32(p, PEN_VMWARE);
        }
        n++;
    }
    put_u16(count, n);
    return p;
}

static uint8_t *
put_header(uint32_t export_s, uint32_t sequence, uint32_t domain,
           uint16_t set_id, uint8_t *p)
{
    p = put_u16(p, 10) + 2;
    p = put_u32(p, export_s);
    p = put_u32(p, sequence);
    p = put_u32(p, domain);
    return put_u16(p, set_id) + 2;
}

/* Fills in the lengths of a message with one set. */
static size_t
finish(uint8_t *buf, const uint8_t *end)
{
    put_u16(buf + 2, end - buf);
    put_u16(buf + 16 + 2, end - buf - 16);
    return end - buf;
}

static uint32_t
export_seconds(int64_t now_us)
{
    return (now_us + 999999) / 1000000;
}

/* Template message 'wanted', from 0, or 0 if there are fewer: '*wanted' is
 * then reduced by their number. */
static size_t
put_template_message(const struct gen *g, const struct gen_stream *s,
                     unsigned *wanted, int64_t now_us, uint8_t *buf)
{
    const struct gen_exporter *e = &g->exporters[s->exporter];
    uint8_t *start = buf + 20, *p = start;

    for (unsigned id = 0; id <= N_TEMPLATE_IDS; id++) {
        bool last = id == N_TEMPLATE_IDS;
        struct layers l;
        if (!last && !layers_of(id, &l)) {
            continue;
        }
        if (last || p - buf >= CLOSE_AT) {
            if (!*wanted) {
                put_header(export_seconds(now_us), e->sequence, s->domain, 2,
                           buf);
                return finish(buf, p);
            }
            --*wanted;
            p = start;
        }
        if (!last) {
            p = put_template(&l, g->config.virtual_obs_id != NULL, p);
        }
    }
    return 0;
}

static size_t
ovs_templates(struct gen *g, struct gen_stream *s, unsigned i,
              int64_t now_us, uint8_t *buf)
{
    struct gen_exporter *e = &g->exporters[s->exporter];
    uint32_t export_s = export_seconds(now_us);
    size_t size = put_template_message(g, s, &i, now_us, buf);

    if (size || i > 1) {
        return size;
    }
    if (i == 0) {
        /* exportingProcessId is the scope, notSentPacketTotalCount. */
        uint8_t *p = put_header(export_s, e->sequence, 0, 3, buf);
        p = put_u16(p, OPTIONS_TEMPLATE);
        p = put_u16(p, 2);
        p = put_u16(p, 1);
        p = put_u16(put_u16(p, 144), 4);
        p = put_u16(put_u16(p, 167), 8);
        return finish(buf, p);
    }
    uint8_t *p = put_header(export_s, e->sequence++, 0, OPTIONS_TEMPLATE,
                            buf);
    p = put_u32(p, 1 + s->exporter);
    p = put_u64(p, 0);
    return finish(buf, p);
}

/* Interface: number, type, name, description (which only DPDK fills). */
static uint8_t *
put_interface(uint32_t number, uint8_t *p)
{
    char name[16];
    int n = snprintf(name, sizeof name, "vnet%u", number % 10000);

    p = put_u32(p, number);
    p = put_u32(p, 0);
    p = put_u8(p, n);
    memcpy(p, name, n);
    return put_u8(p + n, 0);
}

static uint8_t *
put_tunnel(const struct gen_flow *f, uint8_t *p)
{
    p = put_u32(p, 0xc0a80001u + f->src_host % 250);    /* 192.168.0.x */
    p = put_u32(p, 0xc0a80101u + f->dst_host % 250);    /* 192.168.1.x */
    p = put_u8(p, IPPROTO_UDP);
    p = put_u16(p, 49152 + f->src_host % 16384);
    p = put_u16(p, 4789);
    p = put_u8(p, TUNNEL_VXLAN);
    p = put_u8(p, 3);
    return put_uint(p, f->vni, 3);
}

static uint8_t *
put_ip(const struct gen_flow *f, const struct layers *l, uint8_t *p)
{
    p = put_u8(p, f->version);
    p = put_u8(p, f->ttl);
    p = put_u8(p, f->proto);
    p = put_u8(p, f->tos >> 2);
    p = put_u8(p, f->tos >> 5);
    p = put_u8(p, f->tos);
    p = put_addr(p, &f->src, f->version);
    p = put_addr(p, &f->dst, f->version);
    if (l->l3 == L3_IPV6) {
        p = put_u32(p, f->label);
    }
    if (has_field(l, IF_PORTS, false)) {
        p = put_u16(p, f->src_port);
        p = put_u16(p, f->dst_port);
    } else if (l->l4 == L4_ICMP) {
        p = put_u8(p, f->icmp_type);
        p = put_u8(p, f->icmp_code);
    }
    return p;
}

/* The set header and all that does not change: set id, key, virtualObsID. */
static uint8_t *
put_key(const struct gen *g, const struct gen_flow *f, uint8_t *p)
{
    struct layers l = layers_of_flow(f);
    const char *obs = g->config.virtual_obs_id;

    p = put_u32(p, g->streams[f->stream].domain);
    p = put_u8(p, f->direction);
    p = put_uint(p, f->src_mac, 6);
    p = put_uint(p, f->dst_mac, 6);
    p = put_u16(p, f->version == 4 ? 0x0800 : 0x86dd);
    p = put_u8(p, gen_l2_header(f));
    p = put_interface(f->in_if, p);
    if (f->direction) {
        p = put_interface(f->out_if, p);
    }
    if (f->vlan) {
        p = put_u16(p, f->vlan);
        p = put_u16(p, f->vlan);
        p = put_u8(p, 0);
    }
    p = put_ip(f, &l, p);
    if (f->vni) {
        p = put_tunnel(f, p);
    }
    if (obs) {
        p = put_u8(p, strlen(obs));
        memcpy(p, obs, strlen(obs));
        p += strlen(obs);
    }
    return p;
}

static int
ovs_prepare(struct gen *g)
{
    size_t obs = g->config.virtual_obs_id ? strlen(g->config.virtual_obs_id)
                                          : 0;
    size_t stride = KEY_MAX + 2 + obs;

    /* Each key is kept with its size in front. */
    if (g->n_flows > UINT32_MAX / stride) {
        return -ENOMEM;
    }
    g->records = calloc(g->n_flows, stride);
    if (!g->records) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < g->n_flows; i++) {
        uint8_t *start = g->records + i * stride;
        g->offsets[i] = i * stride;
        put_u16(start, put_key(g, &g->flows[i], start + 2) - start - 2);
    }
    return 0;
}

/* What OVS adds up over all records of an exporter. */
static void
add_totals(struct gen_ovs_totals *t, const struct gen_flow *f, uint64_t n,
           uint64_t ip_size, uint64_t l2_size)
{
    t->packets += n;
    t->octets += n * ip_size;
    t->octets_squared += n * ip_size * ip_size;
    t->l2_octets += n * l2_size;
    t->dropped_packets += f->dropped ? n : 0;
    t->dropped_octets += f->dropped ? n * ip_size : 0;
    t->in_ucast += f->direction ? 0 : n;
    t->out_ucast += f->direction ? n : 0;
    t->tcp_ack += f->tcp_flags & 0x10 ? n : 0;
    t->tcp_psh += f->tcp_flags & 0x08 ? n : 0;
    t->tcp_rst += f->tcp_flags & 0x04 ? n : 0;
    t->tcp_syn += f->tcp_flags & 0x02 ? n : 0;
    t->tcp_fin += f->tcp_flags & 0x01 ? n : 0;
}

/* All that follows the key. */
static uint8_t *
put_counts(const struct gen_ovs_totals *t, const struct gen_draw *d,
           uint64_t n, uint32_t delta_us, uint8_t *p)
{
    const struct gen_flow *f = d->flow;
    uint64_t size = d->bytes;

    p = put_u32(put_u32(p, delta_us), delta_us);        /* Start, end. */
    p = put_u64(put_u64(p, f->dropped ? n : 0), t->dropped_packets);
    p = put_u64(put_u64(p, n), t->packets);
    p = put_u64(p, t->in_ucast);
    p = put_u64(put_u64(p, 0), 0);                      /* Multi-/broadcast. */
    p = put_u64(put_u64(p, t->out_ucast), 0);
    p = put_u64(put_u64(p, 0), 0);                      /* postMCast. */
    p = put_u64(put_u64(p, n * (size + gen_l2_header(f))), t->l2_octets);
    p = put_u8(p, END_ACTIVE_TIMEOUT);
    p = put_u64(put_u64(p, f->dropped ? n * size : 0), t->dropped_octets);
    p = put_u64(put_u64(p, n * size), t->octets);
    p = put_u64(put_u64(p, n * size * size), t->octets_squared);
    p = put_u64(put_u64(p, size), size);                /* Minimum, maximum. */
    p = put_u64(put_u64(p, 0), 0);                      /* postMCast. */
    if (f->proto == IPPROTO_TCP) {
        p = put_u64(put_u64(p, t->tcp_ack), t->tcp_fin);
        p = put_u64(put_u64(p, t->tcp_psh), t->tcp_rst);
        p = put_u64(put_u64(p, t->tcp_syn), 0);
    }
    return p;
}

static size_t
ovs_fill(struct gen *g, struct gen_stream *s, int64_t now_us, uint32_t *n,
         uint8_t *buf)
{
    struct gen_exporter *e = &g->exporters[s->exporter];
    uint32_t export_s = export_seconds(now_us);
    uint64_t multiplier = g->sampling;
    struct gen_draw d;

    *n = 1;
    gen_draw(g, s->first, s->n_v4 + s->n_v6, &d);
    struct layers l = layers_of_flow(d.flow);
    add_totals(&e->ovs, d.flow, multiplier, d.bytes,
               d.bytes + gen_l2_header(d.flow));

    uint8_t *p = put_header(export_s, e->sequence++, s->domain,
                            template_id(&l), buf);
    const uint8_t *key = g->records + g->offsets[d.flow - g->flows];
    size_t key_size = key[0] << 8 | key[1];
    memcpy(p, key + 2, key_size);
    p = put_counts(&e->ovs, &d, multiplier,
                   export_s * INT64_C(1000000) - now_us, p + key_size);
    return finish(buf, p);
}

const struct gen_encoder gen_ipfix_ovs = {
    .name = "ipfix-ovs",
    .doc = "IPFIX exactly as Open vSwitch sends it: its templates, one "
           "sampled packet per datagram",
    .port = 4739,
    .default_sampling = 400,
    .max_sampling = UINT32_MAX,
    .max_records = 1,
    .ipv6 = true,
    .packets = true,
    .scales = true,
    .template_interval_us = 600 * INT64_C(1000000),
    .prepare = ovs_prepare,
    .templates = ovs_templates,
    .fill = ovs_fill,
};
