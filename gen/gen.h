/* gen/gen.h -- what the traffic generator is made of.
 *
 * A model (gen/model.c) draws a pool of flows between hosts once; an encoder
 * (one per protocol) lays each flow's record out once; the hot path only draws
 * a flow, copies its record, patches counts and times, and counts.  All that
 * is random comes from one seed, so that the same options give the same
 * records.  Every flow belongs to one stream (one exporter and observation
 * domain), so that totals per exporter cost nothing extra. */
#ifndef GEN_GEN_H
#define GEN_GEN_H 1

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

#define GEN_MAX_PAYLOAD 1464    /* Fits an Ethernet frame; 30 v5 records. */
#define GEN_MAX_EXPORTERS 16384
#define GEN_MAX_STREAMS 65536

enum gen_protocol {
    GEN_NETFLOW5, GEN_NETFLOW9, GEN_IPFIX, GEN_IPFIX_OVS, GEN_SFLOW,
    N_GEN_PROTOCOLS
};

/* What the command line says; see gen/options.c. */
struct gen_config {
    const char *host;           /* Target, or NULL: 127.0.0.1. */
    uint16_t port;              /* 0: the protocol's own. */
    enum gen_protocol protocol;
    uint64_t count;             /* Records; 0: no limit. */
    uint64_t rate;              /* Records/s; 0: as fast as possible. */
    uint32_t exporters, domains;
    uint64_t seed;
    uint32_t ipv6_percent, vlan_percent, tunnel_percent, egress_percent;
    uint32_t sampling;          /* 0: the protocol's habit. */
    int64_t duration_us;        /* 0: no limit. */
    uint32_t records_per_datagram;      /* 0: the protocol's habit. */
    int64_t template_interval_us;       /* -1: the protocol's habit. */
    uint32_t hosts, flows;
    double zipf;
    const char *pcap;           /* Write here instead of sending. */
    const char *virtual_obs_id; /* IPFIX as OVS sends it; or NULL. */
    bool json;
    uint32_t top;               /* Length of the top lists. */
    int64_t start_us;           /* 0: now. */
    int64_t span_us;            /* Time that 'count' records cover; or 0. */
};

/* How packet sizes are distributed; see gen/model.c. */
enum gen_size_class {
    SIZE_BULK, SIZE_INTERACTIVE, SIZE_SMALL, SIZE_VOICE, N_SIZE_CLASSES
};
#define GEN_DRAWS 1024          /* Entries of a table that is drawn from. */

/* What was sent of one flow, before scaling. */
struct gen_sum {
    uint64_t records, packets, bytes, l2_bytes;
};

struct gen_flow {
    struct gen_sum sum;
    uint16_t vlan;              /* 0: untagged. */
    uint8_t version, size_class, proto, tcp_flags;
    uint8_t direction;          /* enum flow_direction. */
    bool dropped;
    struct addr src, dst;
    uint64_t src_mac, dst_mac;
    uint32_t src_host, dst_host;
    uint32_t stream;
    uint32_t in_if, out_if;
    uint32_t src_as, dst_as;
    uint32_t label;             /* IPv6 only. */
    uint32_t vni;               /* 0: not in a tunnel. */
    uint16_t src_port, dst_port;        /* 0 without ports. */
    uint8_t tos, ttl, icmp_type, icmp_code;
};

/* One exporter's stream of records in one observation domain. */
struct gen_stream {
    uint32_t exporter, domain;
    uint32_t first, n_v4, n_v6; /* Its flows: IPv4 ones, then IPv6 ones. */
    uint32_t sequence;          /* As the protocol counts. */
    uint32_t samples, pool;     /* sFlow. */
};

/* Running totals that OVS puts into every IPFIX record. */
struct gen_ovs_totals {
    uint64_t dropped_packets, packets, in_ucast, out_ucast, l2_octets;
    uint64_t dropped_octets, octets, octets_squared;
    uint64_t tcp_ack, tcp_fin, tcp_psh, tcp_rst, tcp_syn;
};

struct gen_exporter {
    struct addr agent;          /* Address it calls itself by. */
    uint32_t next_stream;
    uint32_t sequence;          /* OVS IPFIX counts per exporter. */
    int64_t templates_us;       /* When templates were last sent; 0: never. */
    uint64_t datagrams, octets;
    struct gen_ovs_totals ovs;
};

struct gen;

/* One protocol. */
struct gen_encoder {
    const char *name, *doc;
    uint16_t port;
    uint32_t default_sampling;  /* 0: none announced. */
    uint32_t max_sampling;
    uint32_t max_records;       /* Per datagram; 0: what fits. */
    bool ipv6;                  /* Can carry IPv6. */
    bool packets;               /* A record is one sampled packet. */
    bool scales;                /* The exporter multiplies, as OVS does. */
    int64_t template_interval_us;

    /* Lays out the records of all flows.  Returns 0 or -ENOMEM. */
    int (*prepare)(struct gen *);

    /* Writes template datagram 'i' (from 0) of a stream into 'buf' of
     * GEN_MAX_PAYLOAD bytes.  Returns its size, 0 if there is no such one. */
    size_t (*templates)(struct gen *, struct gen_stream *, unsigned i,
                        int64_t now_us, uint8_t *buf);

    /* Writes a datagram of up to '*n' records, at least one, into 'buf' and
     * counts them.  Sets '*n' to their number; returns the size. */
    size_t (*fill)(struct gen *, struct gen_stream *, int64_t now_us,
                   uint32_t *n, uint8_t *buf);
};

extern const struct gen_encoder *const gen_encoders[N_GEN_PROTOCOLS];
extern const struct gen_encoder gen_netflow5, gen_netflow9, gen_ipfix,
    gen_ipfix_ovs, gen_sflow;

struct gen {
    struct gen_config config;
    const struct gen_encoder *encoder;
    uint32_t sampling;          /* In effect; 0: none announced. */
    uint64_t rng;
    int64_t boot_us;            /* When the exporters say they started. */

    struct gen_exporter *exporters;
    struct gen_stream *streams; /* Grouped by exporter. */
    uint32_t n_streams;
    struct gen_flow *flows;     /* Grouped by stream. */
    uint32_t n_flows;
    uint32_t n_hosts;

    /* Laid-out records: flow i at records + offsets[i]. */
    uint8_t *records;
    uint32_t *offsets;

    /* Tables that the hot path draws from. */
    uint16_t sizes[N_SIZE_CLASSES][GEN_DRAWS];  /* IP octets of a packet. */
    uint32_t packets[GEN_DRAWS];        /* Packets of a flow record. */
    uint32_t ages_ms[GEN_DRAWS];        /* Duration of a flow record. */

    uint64_t n_records, n_datagrams, n_template_datagrams, n_octets;
    int64_t first_us, last_us;  /* Clock of the first and last datagram. */
};

/* Builds the model.  Returns 0 or a negative errno. */
int gen_init(struct gen *, const struct gen_config *);

/* Lays out the records; call it when addresses and domains of the exporters
 * are settled.  Returns 0 or a negative errno. */
int gen_prepare(struct gen *);
void gen_clear(struct gen *);

/* splitmix64: one 64-bit random number. */
static inline uint64_t
gen_random(struct gen *g)
{
    uint64_t z = g->rng += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A number below 'n' from 32 random bits (Lemire's multiplication). */
static inline uint32_t
gen_below(uint32_t random, uint32_t n)
{
    return (uint64_t) random * n >> 32;
}

/* What one record says. */
struct gen_draw {
    struct gen_flow *flow;
    uint32_t packets;
    uint32_t bytes;             /* IP octets. */
    uint32_t age_ms;            /* From the first to the last packet. */
    uint32_t ago_ms;            /* From the last packet to now. */
};

/* Draws a record of flows 'first' to 'first + n - 1' and counts it. */
void gen_draw(struct gen *, uint32_t first, uint32_t n, struct gen_draw *);

/* Octets of the Ethernet header. */
static inline uint32_t
gen_l2_header(const struct gen_flow *f)
{
    return f->vlan ? 18 : 14;
}

/* How many of 'n' records of a stream are to be IPv6, on average in
 * proportion to its flows. */
uint32_t gen_share_v6(struct gen *, const struct gen_stream *, uint32_t n);

/* Writing in network order; each returns what follows. */
static inline uint8_t *
put_u8(uint8_t *p, uint8_t v)
{
    *p = v;
    return p + 1;
}

static inline uint8_t *
put_u16(uint8_t *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline uint8_t *
put_u32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static inline uint8_t *
put_u64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

/* 'size' low bytes of 'v', 1 to 8. */
uint8_t *put_uint(uint8_t *p, uint64_t v, size_t size);

/* An address as its family has it: 4 or 16 bytes. */
uint8_t *put_addr(uint8_t *p, const struct addr *, uint8_t version);

#endif /* gen/gen.h */
