/* gen/netflow5.c -- NetFlow version 5: a header of 24 octets and up to 30
 * records of 48, IPv4 only. */
#include <config.h>

#include "gen/gen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define HEADER_SIZE 24
#define RECORD_SIZE 48
#define MAX_RECORDS 30
#define PACKETS_OFS 16          /* Then octets, first, last: 4 each. */
#define SAMPLING_DETERMINISTIC 1        /* In the two top bits. */

static void
put_record(const struct gen_flow *f, uint8_t *p)
{
    uint16_t dst_port = f->dst_port;
    if (f->proto == IPPROTO_ICMP) {
        dst_port = f->icmp_type << 8 | f->icmp_code;
    }
    p = put_addr(p, &f->src, 4);
    p = put_addr(p, &f->dst, 4);
    p = put_u32(p, 0);                          /* Next hop. */
    p = put_u16(p, f->in_if);
    p = put_u16(p, f->out_if);
    p += 16;                                    /* Counts and times. */
    p = put_u16(p, f->src_port);
    p = put_u16(p, dst_port);
    p = put_u8(p, 0);
    p = put_u8(p, f->tcp_flags);
    p = put_u8(p, f->proto);
    p = put_u8(p, f->tos);
    p = put_u16(p, f->src_as);
    p = put_u16(p, f->dst_as);
    p = put_u8(p, 24);                          /* Prefix lengths. */
    p = put_u8(p, 24);
    put_u16(p, 0);
}

static int
netflow5_prepare(struct gen *g)
{
    g->records = calloc(g->n_flows, RECORD_SIZE);
    if (!g->records) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < g->n_flows; i++) {
        g->offsets[i] = i * RECORD_SIZE;
        put_record(&g->flows[i], g->records + g->offsets[i]);
    }
    return 0;
}

static size_t
netflow5_fill(struct gen *g, struct gen_stream *s, int64_t now_us,
              uint32_t *n, uint8_t *buf)
{
    uint32_t uptime = (now_us - g->boot_us) / 1000;
    uint8_t *p = buf;

    *n = *n < MAX_RECORDS ? *n : MAX_RECORDS;
    p = put_u16(p, 5);
    p = put_u16(p, *n);
    p = put_u32(p, uptime);
    p = put_u32(p, now_us / 1000000);
    p = put_u32(p, now_us % 1000000 * 1000);
    p = put_u32(p, s->sequence);
    p = put_u16(p, s->domain);                  /* Engine type and id. */
    p = put_u16(p, g->sampling ? SAMPLING_DETERMINISTIC << 14 | g->sampling
                               : 0);
    for (uint32_t i = 0; i < *n; i++, p += RECORD_SIZE) {
        struct gen_draw d;
        gen_draw(g, s->first, s->n_v4, &d);
        memcpy(p, g->records + g->offsets[d.flow - g->flows], RECORD_SIZE);
        uint8_t *q = put_u32(p + PACKETS_OFS, d.packets);
        q = put_u32(q, d.bytes);
        q = put_u32(q, uptime - d.ago_ms - d.age_ms);
        put_u32(q, uptime - d.ago_ms);
    }
    s->sequence += *n;
    return p - buf;
}

const struct gen_encoder gen_netflow5 = {
    .name = "netflow5",
    .doc = "NetFlow version 5, IPv4 only",
    .port = 2055,
    .max_sampling = 0x3fff,
    .max_records = MAX_RECORDS,
    .prepare = netflow5_prepare,
    .fill = netflow5_fill,
};
