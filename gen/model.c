/* gen/model.c -- the traffic model: who talks to whom, and how much.
 *
 * Hosts are ranked; the host of rank r (from 1) is an end of a flow with a
 * probability proportional to 1 / r^s (Zipf).  Odd ranks are inside
 * (10.0.0.0/8, 2001:db8:10::/48), even ones outside (198.18.0.0/15,
 * 2001:db8:ffff::/48: addresses for benchmarks and documentation).  A flow has
 * a service by the weights of 'services'; half of the flows are a client's
 * requests, half a server's answers.  A record is of any flow of its stream
 * with equal probability: the skew is already in the pool.
 *
 * Sizes: a packet is drawn from its service's mix (bulk transfers are half
 * 1,500 octets and 40 % acknowledgements).  A flow record has a number of
 * packets from a Pareto distribution with exponent 0.8, which gives the few
 * elephants that carry most of the bytes. */
#include <config.h>

#include "gen/gen.h"

#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdlib.h>

#define PARETO_EXPONENT 0.8
#define OUTSIDE_BITS 17         /* 198.18.0.0/15 has so many host bits. */
#define INSIDE_BITS 24
#define MIN_FLOWS_PER_STREAM 8

struct service {
    const char *name;
    uint8_t proto;
    uint16_t port;              /* 0: the protocol has no ports. */
    uint16_t weight;
    uint8_t size_class;
};

static const struct service services[] = {
    { "https", IPPROTO_TCP, 443, 300, SIZE_BULK },
    { "quic", IPPROTO_UDP, 443, 120, SIZE_BULK },
    { "dns", IPPROTO_UDP, 53, 140, SIZE_SMALL },
    { "http", IPPROTO_TCP, 80, 80, SIZE_BULK },
    { "ssh", IPPROTO_TCP, 22, 50, SIZE_INTERACTIVE },
    { "mysql", IPPROTO_TCP, 3306, 40, SIZE_INTERACTIVE },
    { "postgresql", IPPROTO_TCP, 5432, 40, SIZE_INTERACTIVE },
    { "redis", IPPROTO_TCP, 6379, 30, SIZE_SMALL },
    { "ntp", IPPROTO_UDP, 123, 30, SIZE_SMALL },
    { "icmp", IPPROTO_ICMP, 0, 30, SIZE_SMALL },
    { "smtp", IPPROTO_TCP, 25, 20, SIZE_INTERACTIVE },
    { "imaps", IPPROTO_TCP, 993, 20, SIZE_INTERACTIVE },
    { "snmp", IPPROTO_UDP, 161, 20, SIZE_SMALL },
    { "smb", IPPROTO_TCP, 445, 20, SIZE_BULK },
    { "rdp", IPPROTO_TCP, 3389, 20, SIZE_INTERACTIVE },
    { "http-alt", IPPROTO_TCP, 8080, 20, SIZE_BULK },
    { "sip", IPPROTO_UDP, 5060, 10, SIZE_VOICE },
    { "bittorrent", IPPROTO_TCP, 6881, 10, SIZE_BULK },
    { "s1ap", IPPROTO_SCTP, 36412, 5, SIZE_VOICE },
    { "gre", IPPROTO_GRE, 0, 5, SIZE_BULK },
};
#define N_SERVICES (sizeof services / sizeof services[0])

/* A mix of packet sizes: 'percent' of them from 'min' to 'max' octets. */
struct size_range {
    uint8_t percent;
    uint16_t min, max;
};

static const struct size_range size_mixes[N_SIZE_CLASSES][3] = {
    [SIZE_BULK] = { { 40, 40, 52 }, { 10, 100, 1400 }, { 50, 1480, 1480 } },
    [SIZE_INTERACTIVE] = { { 50, 40, 60 }, { 40, 60, 400 },
                           { 10, 400, 1480 } },
    [SIZE_SMALL] = { { 30, 60, 80 }, { 60, 70, 200 }, { 10, 200, 512 } },
    [SIZE_VOICE] = { { 70, 160, 220 }, { 20, 200, 500 }, { 10, 500, 900 } },
};

const struct gen_encoder *const gen_encoders[N_GEN_PROTOCOLS] = {
    [GEN_NETFLOW5] = &gen_netflow5,
    [GEN_NETFLOW9] = &gen_netflow9,
    [GEN_IPFIX] = &gen_ipfix,
    [GEN_IPFIX_OVS] = &gen_ipfix_ovs,
    [GEN_SFLOW] = &gen_sflow,
};

uint8_t *
put_uint(uint8_t *p, uint64_t v, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        p[i] = v >> 8 * (size - 1 - i);
    }
    return p + size;
}

uint8_t *
put_addr(uint8_t *p, const struct addr *a, uint8_t version)
{
    if (version == 4) {
        memcpy(p, a->b + 12, 4);
        return p + 4;
    }
    memcpy(p, a->b, 16);
    return p + 16;
}

static void
fill_tables(struct gen *g)
{
    for (unsigned c = 0; c < N_SIZE_CLASSES; c++) {
        for (unsigned i = 0; i < GEN_DRAWS; i++) {
            unsigned percent = i * 100 / GEN_DRAWS;
            const struct size_range *r = size_mixes[c];
            while (percent >= r->percent) {
                percent -= r->percent;
                r++;
            }
            g->sizes[c][i] = r->min + gen_random(g) % (r->max - r->min + 1);
        }
    }
    for (unsigned i = 0; i < GEN_DRAWS; i++) {
        double u = (i + 0.5) / GEN_DRAWS;
        g->packets[i] = pow(1 - u, -1 / PARETO_EXPONENT);
        g->ages_ms[i] = 10 * pow(6000, u);      /* 10 ms to 60 s. */
    }
}

/* The address of the host of rank 'rank', from 0.  Multiplying by an odd
 * number permutes the numbers below a power of two, so that ranks do not show
 * in the addresses and no two hosts get the same. */
static struct addr
host_addr(const struct gen *g, uint32_t rank, uint8_t version)
{
    bool outside = rank % 2 && rank / 2 < 1u << OUTSIDE_BITS;
    uint32_t odd = (uint32_t) g->config.seed * 2 + 0x9e3779b1;
    uint32_t id = ((outside ? rank / 2 : rank) + 1) * odd;
    uint8_t b[16] = { 0x20, 0x01, 0x0d, 0xb8 };

    id &= (1u << (outside ? OUTSIDE_BITS : INSIDE_BITS)) - 1;
    if (version == 4) {
        put_u32(b, (outside ? 0xc6120000u : 0x0a000000u) | id);
        return addr_from_v4_bytes(b);
    }
    put_u16(b + 4, outside ? 0xffff : 0x0010);
    put_u32(b + 12, id);
    return addr_from_v6_bytes(b);
}

/* The cumulative Zipf distribution of 'n' ranks, or NULL. */
static double *
zipf_create(uint32_t n, double s)
{
    double *sum = malloc(n * sizeof *sum), total = 0;
    for (uint32_t i = 0; sum && i < n; i++) {
        total += pow(i + 1, -s);
        sum[i] = total;
    }
    return sum;
}

static uint32_t
zipf_draw(const double *sum, uint32_t n, uint64_t random)
{
    double x = (random >> 11) * 0x1p-53 * sum[n - 1];
    uint32_t low = 0, high = n - 1;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (sum[mid] > x) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return low;
}

static const struct service *
draw_service(struct gen *g)
{
    uint32_t total = 0;
    for (size_t i = 0; i < N_SERVICES; i++) {
        total += services[i].weight;
    }
    uint32_t x = gen_random(g) % total;
    const struct service *s = services;
    while (x >= s->weight) {
        x -= s->weight;
        s++;
    }
    return s;
}

static bool
percent_chance(struct gen *g, uint32_t percent)
{
    return gen_random(g) % 100 < percent;
}

/* Protocol, ports and flags; 'reply': from the server to the client. */
static void
draw_transport(struct gen *g, struct gen_flow *f, bool reply)
{
    static const uint8_t segment_flags[] = { 0x10, 0x10, 0x10, 0x18, 0x18,
                                             0x10, 0x10, 0x18, 0x02, 0x11 };
    static const uint8_t flow_flags[] = { 0x1b, 0x1b, 0x1b, 0x1b, 0x1b,
                                          0x1a, 0x18, 0x10, 0x02, 0x16 };
    const struct service *s = draw_service(g);
    uint16_t client_port = 32768 + gen_random(g) % 28232;

    f->proto = s->proto;
    f->size_class = s->size_class;
    if (s->port) {
        f->src_port = reply ? s->port : client_port;
        f->dst_port = reply ? client_port : s->port;
    }
    if (s->proto == IPPROTO_TCP) {
        f->tcp_flags = (g->encoder->packets ? segment_flags : flow_flags)
                       [gen_random(g) % 10];
        f->tcp_flags |= f->tcp_flags == 0x02 && reply ? 0x10 : 0;
    }
    if (s->proto == IPPROTO_ICMP) {
        f->proto = f->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
        f->icmp_type = f->version == 4 ? (reply ? 0 : 8)
                                       : (reply ? 129 : 128);
    }
}

static void
draw_flow(struct gen *g, const double *zipf, struct gen_flow *f)
{
    static const uint8_t tos[] = { 0, 0, 0, 0, 0, 0, 0x28, 0xb8 };
    uint32_t src = zipf_draw(zipf, g->n_hosts, gen_random(g));
    uint32_t dst = zipf_draw(zipf, g->n_hosts, gen_random(g));

    if (dst == src) {
        dst = (src + 1) % g->n_hosts;
    }
    f->src_host = src;
    f->dst_host = dst;
    f->src = host_addr(g, src, f->version);
    f->dst = host_addr(g, dst, f->version);
    f->src_mac = UINT64_C(0x020000000000) | (src + 1);
    f->dst_mac = UINT64_C(0x020000000000) | (dst + 1);
    f->src_as = 64512 + src % 1000;
    f->dst_as = 64512 + dst % 1000;
    f->in_if = 1 + src % 48;
    f->out_if = 1 + dst % 48;
    f->tos = tos[gen_random(g) % 8];
    f->ttl = percent_chance(g, 70) ? 64 : 128;
    f->label = f->version == 6 ? gen_random(g) & 0xfffff : 0;
    f->vlan = percent_chance(g, g->config.vlan_percent)
              ? 100 + gen_random(g) % 16 : 0;
    f->vni = percent_chance(g, g->config.tunnel_percent)
             ? 5000 + gen_random(g) % 16 : 0;
    f->direction = g->encoder->scales
                   && percent_chance(g, g->config.egress_percent);
    f->dropped = !f->direction && percent_chance(g, 1);
    draw_transport(g, f, percent_chance(g, 50));
}

static int
make_flows(struct gen *g)
{
    uint32_t per_stream = (g->config.flows + g->n_streams - 1)
                          / g->n_streams;
    uint32_t percent = g->encoder->ipv6 ? g->config.ipv6_percent : 0;

    if (per_stream < MIN_FLOWS_PER_STREAM) {
        per_stream = MIN_FLOWS_PER_STREAM;
    }
    g->n_flows = per_stream * g->n_streams;
    g->flows = calloc(g->n_flows, sizeof *g->flows);
    g->offsets = calloc(g->n_flows, sizeof *g->offsets);
    double *zipf = zipf_create(g->n_hosts, g->config.zipf);
    if (!g->flows || !g->offsets || !zipf) {
        free(zipf);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < g->n_streams; i++) {
        struct gen_stream *s = &g->streams[i];
        s->first = i * per_stream;
        s->n_v6 = (per_stream * percent + gen_random(g) % 100) / 100;
        s->n_v4 = per_stream - s->n_v6;
        for (uint32_t j = 0; j < per_stream; j++) {
            struct gen_flow *f = &g->flows[s->first + j];
            f->stream = i;
            f->version = j < s->n_v4 ? 4 : 6;
            draw_flow(g, zipf, f);
        }
    }
    free(zipf);
    return 0;
}

int
gen_init(struct gen *g, const struct gen_config *config)
{
    *g = (struct gen) {
        .config = *config,
        .encoder = gen_encoders[config->protocol],
        .rng = config->seed,
        .n_streams = config->exporters * config->domains,
        .n_hosts = config->hosts,
    };
    g->sampling = config->sampling ? config->sampling
                                   : g->encoder->default_sampling;
    if (g->encoder->scales) {
        /* OVS keeps the rate as a probability of 2^32 - 1. */
        g->sampling = UINT32_MAX / (UINT32_MAX / g->sampling);
    }
    g->exporters = calloc(config->exporters, sizeof *g->exporters);
    g->streams = calloc(g->n_streams, sizeof *g->streams);
    int error = g->exporters && g->streams ? 0 : -ENOMEM;
    for (uint32_t i = 0; !error && i < g->n_streams; i++) {
        g->streams[i].exporter = i / config->domains;
        g->streams[i].domain = i % config->domains;
    }
    if (!error) {
        fill_tables(g);
        error = make_flows(g);
    }
    if (error) {
        gen_clear(g);
    }
    return error;
}

int
gen_prepare(struct gen *g)
{
    free(g->records);
    g->records = NULL;
    return g->encoder->prepare(g);
}

void
gen_clear(struct gen *g)
{
    free(g->exporters);
    free(g->streams);
    free(g->flows);
    free(g->records);
    free(g->offsets);
    memset(g, 0, sizeof *g);
}

/* One random number makes one record: 32 bits choose the flow, then 10 bits
 * each the size, the packets and the duration. */
void
gen_draw(struct gen *g, uint32_t first, uint32_t n, struct gen_draw *d)
{
    uint64_t r = gen_random(g);
    struct gen_flow *f = &g->flows[first + gen_below((uint32_t) r, n)];
    uint32_t size = g->sizes[f->size_class][r >> 32 & (GEN_DRAWS - 1)]
                    + (f->version == 6 ? 20 : 0);

    d->flow = f;
    d->packets = 1;
    d->bytes = size;
    d->age_ms = 0;
    d->ago_ms = r >> 52 & 511;
    if (!g->encoder->packets) {
        d->packets = g->packets[r >> 42 & (GEN_DRAWS - 1)];
        if (d->packets > 1) {
            d->bytes = size * d->packets - (r & 31);
            d->age_ms = g->ages_ms[r >> 52 & (GEN_DRAWS - 1)];
        }
    }
    f->sum.records++;
    f->sum.packets += d->packets;
    f->sum.bytes += d->bytes;
    f->sum.l2_bytes += d->bytes + d->packets * gen_l2_header(f);
}

uint32_t
gen_share_v6(struct gen *g, const struct gen_stream *s, uint32_t n)
{
    uint32_t total = s->n_v4 + s->n_v6;
    if (!s->n_v6 || !s->n_v4) {
        return s->n_v6 ? n : 0;
    }
    return ((uint64_t) n * s->n_v6 + gen_random(g) % total) / total;
}
