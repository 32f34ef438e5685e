/* gen/sflow.c -- sFlow version 5 as Open vSwitch sends it: compact flow
 * samples with an extended switch record and the first 128 octets of the
 * frame, which are real headers with right lengths and checksums.
 *
 * As OVS does, 'frame_length' counts a checksum of 4 octets that is 'stripped'
 * from the header; the sample pool grows by the rate with each sample. */
#include <config.h>

#include "gen/gen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define HEADER_BYTES 128
#define DATAGRAM_MAX 1400       /* OVS's SFL_DEFAULT_DATAGRAM_SIZE. */
#define SAMPLE_MAX (8 + 32 + 8 + 16 + 8 + 16 + HEADER_BYTES)
#define FLOW_SAMPLE 1
#define RAW_HEADER 1
#define EXTENDED_SWITCH 1001
#define CLASS_ENTPHYSICAL 2
#define FIRST_SOURCE 1000
#define OUTPUT_DROPPED 0x40000100u
#define FCS 4

/* The headers of a flow's packets.  Sums are of all but the length, which
 * changes from packet to packet; the payload is zeros. */
struct frame {
    uint8_t bytes[HEADER_BYTES];
    uint32_t ip_sum, l4_sum;
    uint16_t l3, l4;            /* Offsets. */
    uint16_t l4_checksum;       /* Offset, or 0: none or constant. */
    uint8_t n_lengths;          /* How often the length is in 'l4_sum'. */
};

static uint32_t
add_words(const uint8_t *p, size_t n, uint32_t sum)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        sum += p[i] << 8 | p[i + 1];
    }
    return sum;
}

/* The internet checksum (RFC 1071) of a sum of words. */
static uint16_t
checksum(uint32_t sum)
{
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    return ~sum;
}

static uint8_t *
put_ethernet(const struct gen_flow *f, uint8_t *p)
{
    p = put_uint(p, f->dst_mac, 6);
    p = put_uint(p, f->src_mac, 6);
    if (f->vlan) {
        p = put_u16(p, 0x8100);
        p = put_u16(p, f->vlan);
    }
    return put_u16(p, f->version == 4 ? 0x0800 : 0x86dd);
}

static uint8_t *
put_ip(const struct gen_flow *f, uint8_t *p)
{
    if (f->version == 4) {
        p = put_u8(put_u8(p, 0x45), f->tos);
        p = put_u16(p, 0);                      /* Total length. */
        p = put_u32(p, 0x4000);                 /* Id, do not fragment. */
        p = put_u8(put_u8(p, f->ttl), f->proto);
        p = put_u16(p, 0);                      /* Checksum. */
    } else {
        p = put_u32(p, 6u << 28 | (uint32_t) f->tos << 20 | f->label);
        p = put_u16(p, 0);                      /* Payload length. */
        p = put_u8(put_u8(p, f->proto), f->ttl);
    }
    p = put_addr(p, &f->src, f->version);
    return put_addr(p, &f->dst, f->version);
}

static void
put_transport(const struct gen_flow *f, struct frame *fr)
{
    uint8_t *p = fr->bytes + fr->l4;
    switch (f->proto) {
    case IPPROTO_TCP:
        p = put_u16(put_u16(p, f->src_port), f->dst_port);
        p = put_u32(put_u32(p, 1), f->tcp_flags & 0x10 ? 1 : 0);
        p = put_u8(put_u8(p, 0x50), f->tcp_flags);
        put_u16(p, 65535);                      /* Window. */
        fr->l4_checksum = fr->l4 + 16;
        fr->n_lengths = 1;
        break;
    case IPPROTO_UDP:
        put_u16(put_u16(p, f->src_port), f->dst_port);
        fr->l4_checksum = fr->l4 + 6;
        fr->n_lengths = 2;                      /* Also in its own header. */
        break;
    case IPPROTO_SCTP:
        put_u16(put_u16(p, f->src_port), f->dst_port);
        break;
    case IPPROTO_ICMP:
        put_u8(put_u8(p, f->icmp_type), f->icmp_code);
        put_u16(p + 2, checksum(add_words(p, 8, 0)));
        break;
    case IPPROTO_ICMPV6:
        put_u8(put_u8(p, f->icmp_type), f->icmp_code);
        fr->l4_checksum = fr->l4 + 2;
        fr->n_lengths = 1;
        break;
    case IPPROTO_GRE:
        put_u16(p + 2, 0x6558);
        break;
    }
}

static void
build_frame(const struct gen_flow *f, struct frame *fr)
{
    fr->l3 = put_ethernet(f, fr->bytes) - fr->bytes;
    fr->l4 = put_ip(f, fr->bytes + fr->l3) - fr->bytes;
    put_transport(f, fr);

    const uint8_t *ip = fr->bytes + fr->l3;
    size_t addrs = f->version == 4 ? 12 : 8;
    fr->ip_sum = add_words(ip, 20, 0);
    fr->l4_sum = add_words(ip + addrs, f->version == 4 ? 8 : 32, f->proto);
    fr->l4_sum = add_words(fr->bytes + fr->l4, 20, fr->l4_sum);
}

static int
sflow_prepare(struct gen *g)
{
    if (g->n_flows > UINT32_MAX / sizeof(struct frame)) {
        return -ENOMEM;
    }
    g->records = calloc(g->n_flows, sizeof(struct frame));
    if (!g->records) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < g->n_flows; i++) {
        g->offsets[i] = i * sizeof(struct frame);
        build_frame(&g->flows[i], (struct frame *) g->records + i);
    }
    return 0;
}

/* Sets all that depends on the length in a copy of the headers. */
static void
patch_frame(const struct frame *fr, const struct gen_draw *d, uint8_t *p)
{
    uint32_t ip_header = fr->l4 - fr->l3;
    uint32_t l4_size = d->bytes - ip_header;

    if (d->flow->version == 4) {
        put_u16(p + fr->l3 + 2, d->bytes);
        put_u16(p + fr->l3 + 10, checksum(fr->ip_sum + d->bytes));
    } else {
        put_u16(p + fr->l3 + 4, l4_size);
    }
    if (d->flow->proto == IPPROTO_UDP) {
        put_u16(p + fr->l4 + 4, l4_size);
    }
    if (fr->l4_checksum) {
        uint16_t sum = checksum(fr->l4_sum + fr->n_lengths * l4_size);
        put_u16(p + fr->l4_checksum,
                sum || d->flow->proto != IPPROTO_UDP ? sum : 0xffff);
    }
}

static uint8_t *
put_sample(struct gen *g, struct gen_stream *s, const struct gen_draw *d,
           uint8_t *p)
{
    const struct gen_flow *f = d->flow;
    const struct frame *fr = (const struct frame *) g->records
                             + (f - g->flows);
    uint32_t frame_size = d->bytes + gen_l2_header(f);
    uint32_t header = frame_size < HEADER_BYTES ? frame_size : HEADER_BYTES;
    uint32_t padded = (header + 3) & ~3u;

    s->pool += g->sampling;
    p = put_u32(p, FLOW_SAMPLE);
    p = put_u32(p, 32 + 8 + 16 + 8 + 16 + padded);
    p = put_u32(p, ++s->samples);
    p = put_u32(p, CLASS_ENTPHYSICAL << 24 | (FIRST_SOURCE + s->domain));
    p = put_u32(p, g->sampling);
    p = put_u32(p, s->pool);
    p = put_u32(p, 0);                          /* Drops. */
    p = put_u32(p, f->in_if);
    p = put_u32(p, f->dropped ? OUTPUT_DROPPED : f->out_if);
    p = put_u32(p, 2);                          /* Elements. */

    p = put_u32(put_u32(p, EXTENDED_SWITCH), 16);
    p = put_u32(put_u32(p, f->vlan), 0);
    p = put_u32(put_u32(p, f->vlan), 0);

    p = put_u32(put_u32(p, RAW_HEADER), 16 + padded);
    p = put_u32(p, 1);                          /* Ethernet. */
    p = put_u32(p, frame_size + FCS);
    p = put_u32(p, FCS);
    p = put_u32(p, header);
    memcpy(p, fr->bytes, HEADER_BYTES);
    patch_frame(fr, d, p);
    memset(p + header, 0, padded - header);
    return p + padded;
}

static size_t
sflow_fill(struct gen *g, struct gen_stream *s, int64_t now_us, uint32_t *n,
           uint8_t *buf)
{
    const struct addr *agent = &g->exporters[s->exporter].agent;
    bool v4 = addr_is_v4(agent);
    uint8_t *p = put_u32(buf, 5);
    uint32_t i = 0;

    p = put_u32(p, v4 ? 1 : 2);
    p = put_addr(p, agent, v4 ? 4 : 6);
    p = put_u32(p, s->domain);                  /* Sub-agent. */
    p = put_u32(p, ++s->sequence);
    p = put_u32(p, (now_us - g->boot_us) / 1000);
    uint8_t *n_samples = p;
    p += 4;
    do {
        struct gen_draw d;
        gen_draw(g, s->first, s->n_v4 + s->n_v6, &d);
        p = put_sample(g, s, &d, p);
        i++;
    } while (i < *n && p - buf + SAMPLE_MAX <= DATAGRAM_MAX);
    put_u32(n_samples, i);
    *n = i;
    return p - buf;
}

const struct gen_encoder gen_sflow = {
    .name = "sflow",
    .doc = "sFlow version 5 as Open vSwitch sends it: sampled headers",
    .port = 6343,
    .default_sampling = 400,
    .max_sampling = UINT32_MAX,
    .ipv6 = true,
    .packets = true,
    .prepare = sflow_prepare,
    .fill = sflow_fill,
};
