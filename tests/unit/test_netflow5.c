#include <config.h>

#include "tests/unit/decode_util.h"

#define SECS 1699999000u
#define UPTIME 5000000u

static void
header(struct msg *m, unsigned version, unsigned count, uint32_t seq,
       unsigned sampling)
{
    m->n = 0;
    put16(m, version);
    put16(m, count);
    put32(m, UPTIME);
    put32(m, SECS);
    put32(m, 500000000);
    put32(m, seq);
    put8(m, 1);                 /* Engine type, id. */
    put8(m, 7);
    put16(m, sampling);
}

static void
record(struct msg *m, unsigned proto, unsigned src_port, unsigned dst_port)
{
    put_hex(m, "0a000001 0a000002 0a0000fe 0003 fffe");
    put32(m, 10);               /* Packets. */
    put32(m, 4000);             /* Octets. */
    put32(m, UPTIME - 60000);
    put32(m, UPTIME - 1000);
    put16(m, src_port);
    put16(m, dst_port);
    put8(m, 0);
    put8(m, proto == 6 ? 0x1b : 0);
    put8(m, proto);
    put8(m, 0xb8);
    put16(m, 64512);
    put16(m, 15169);
    put8(m, 24);
    put8(m, 16);
    put16(m, 0);
}

static void
good(struct msg *m, unsigned n, uint32_t seq, unsigned sampling)
{
    header(m, 5, n, seq, sampling);
    for (unsigned i = 0; i < n; i++) {
        record(m, 6, 1000 + i, 443);
    }
}

static void
test_fields(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    good(&m, 2, 0, 1 << 14 | 100);
    rig_feed(&r, m.b, m.n);
    struct flow_batch *b = r.b;
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(b->n, 2);
    CU_ASSERT_EQUAL(b->n_spans, 1);
    CU_ASSERT_EQUAL(b->received[1], RECEIVED_US);
    CU_ASSERT_EQUAL(b->flow_start[1], SECS * 1000000ll + 500000 - 60000000);
    CU_ASSERT_EQUAL(b->flow_end[1], SECS * 1000000ll + 500000 - 1000000);
    CHECK_ADDR(b->exporter[1], "192.0.2.1");
    CU_ASSERT_EQUAL(b->export_protocol[1], PROTO_NETFLOW5);
    CU_ASSERT_EQUAL(b->observation_domain_id[1], 0x107);
    CU_ASSERT_EQUAL(b->canonical[1], 1);
    CU_ASSERT_EQUAL(b->quality[1], 0);
    CHECK_IS(b, ip_version, 1, 4);
    CHECK_ADDR(b->src_addr[1], "10.0.0.1");
    CHECK_ADDR(b->dst_addr[1], "10.0.0.2");
    CHECK_ADDR(b->next_hop[1], "10.0.0.254");
    CHECK_IS(b, in_if, 1, 3);
    CHECK_IS(b, out_if, 1, 65534);
    CHECK_IS(b, src_port, 0, 1000);
    CHECK_IS(b, src_port, 1, 1001);
    CHECK_IS(b, dst_port, 1, 443);
    CHECK_IS(b, proto, 1, 6);
    CHECK_IS(b, tos, 1, 0xb8);
    CHECK_IS(b, tcp_flags, 1, 0x1b);
    CHECK_IS(b, src_as, 1, 64512);
    CHECK_IS(b, dst_as, 1, 15169);
    CHECK_IS(b, src_prefix_length, 1, 24);
    CHECK_IS(b, dst_prefix_length, 1, 16);
    CHECK_IS(b, sampling, 1, 100);
    CU_ASSERT_EQUAL(b->packets[1], 10);
    CU_ASSERT_EQUAL(b->bytes[1], 4000);
    CU_ASSERT_EQUAL(b->raw_packets[1], 10);
    CU_ASSERT_EQUAL(b->raw_bytes[1], 4000);
    CHECK_NULL(b, icmp_type, 1);
    CHECK_NULL(b, l2_bytes, 1);
    CHECK_NULL(b, bridge, 1);
    CHECK_NULL(b, direction, 1);

    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(s->n.datagrams, 1);
    CU_ASSERT_EQUAL(s->n.octets, m.n);
    CU_ASSERT_EQUAL(s->n.flow_records, 2);
    CU_ASSERT_EQUAL(s->port, 50000);
    CU_ASSERT_EQUAL(s->sampling, 100);
    CU_ASSERT_EQUAL(s->sampling_origin, SAMPLING_HEADER);

    good(&m, 1, 2, 0);                  /* Not sampled any more. */
    rig_feed(&r, m.b, m.n);
    CHECK_NULL(r.b, sampling, 2);
    CU_ASSERT_EQUAL(s->sampling, 0);
    rig_clear(&r);
}

static void
test_icmp(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    header(&m, 5, 1, 0, 0);
    record(&m, 1, 0, 3 << 8 | 1);
    rig_feed(&r, m.b, m.n);
    CHECK_IS(r.b, icmp_type, 0, 3);
    CHECK_IS(r.b, icmp_code, 0, 1);
    CHECK_NULL(r.b, src_port, 0);
    CHECK_NULL(r.b, dst_port, 0);
    /* Open vSwitch says 0: nobody told a rate. */
    CHECK_NULL(r.b, sampling, 0);
    rig_clear(&r);
}

/* sysUptime wraps between the flow and its export. */
static void
test_wrap(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    good(&m, 1, 0, 0);
    set32(&m, 4, 1000);                 /* sysUptime. */
    set32(&m, 24 + 24, 0xfffffc18);     /* First: 2000 ms ago. */
    set32(&m, 24 + 28, 500);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.b->flow_start[0], SECS * 1000000ll + 500000 - 2000000);
    CU_ASSERT_EQUAL(r.b->flow_end[0], SECS * 1000000ll + 500000 - 500000);
    rig_clear(&r);
}

static void
test_version7(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    header(&m, 7, 1, 0, 0);
    record(&m, 17, 53, 5353);
    put32(&m, 0x0a0000fd);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.b->n, 1);
    CU_ASSERT_EQUAL(r.b->export_protocol[0], PROTO_NETFLOW7);
    CU_ASSERT_EQUAL(r.b->observation_domain_id[0], 0);
    CHECK_IS(r.b, dst_port, 0, 5353);
    CHECK_IS(r.b, dst_prefix_length, 0, 16);
    rig_clear(&r);
}

static void
good1(struct msg *m, unsigned n, const char *rest)
{
    header(m, 1, n, 0, 0);
    m->n = 16;                  /* No sequence number, nor what follows. */
    for (unsigned i = 0; i < n; i++) {
        put_hex(m, "0a000001 0a000002 0a0000fe 0003 fffe");
        put32(m, 10);
        put32(m, 4000);
        put32(m, UPTIME - 60000);
        put32(m, UPTIME - 1000);
        put_hex(m, "1388 01bb 0000 06 b8 1b 000000 00000000");
        put_hex(m, rest);
    }
}

static void
test_version1(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    good1(&m, 24, "00000000");
    CU_ASSERT_EQUAL(m.n, 16 + 24 * 52);
    rig_feed(&r, m.b, m.n);
    good1(&m, 24, "");
    CU_ASSERT_EQUAL(m.n, 16 + 24 * 48);
    rig_feed(&r, m.b, m.n);
    struct flow_batch *b = r.b;
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(b->n, 48);
    CU_ASSERT_EQUAL(b->export_protocol[23], PROTO_NETFLOW1);
    CU_ASSERT_EQUAL(b->flow_end[23], SECS * 1000000ll + 500000 - 1000000);
    CHECK_ADDR(b->src_addr[23], "10.0.0.1");
    CHECK_ADDR(b->next_hop[23], "10.0.0.254");
    CHECK_IS(b, in_if, 23, 3);
    CHECK_IS(b, src_port, 23, 5000);
    CHECK_IS(b, dst_port, 23, 443);
    CHECK_IS(b, proto, 23, 6);
    CHECK_IS(b, tos, 23, 0xb8);
    CHECK_IS(b, tcp_flags, 23, 0x1b);
    CHECK_NULL(b, src_as, 23);
    CHECK_NULL(b, sampling, 23);
    for (uint32_t i = 0; i < 48; i++) {
        CHECK_ADDR(b->dst_addr[i], "10.0.0.2");
        CHECK_IS(b, dst_port, i, 443);
        CU_ASSERT_EQUAL(b->packets[i], 10);
        CU_ASSERT_EQUAL(b->bytes[i], 4000);
    }
    /* Nothing tells what was lost. */
    CU_ASSERT_EQUAL(rig_source(&r)->n.lost, 0);
    CU_ASSERT_EQUAL(rig_source(&r)->n.restarts, 0);
    rig_clear(&r);
    good1(&m, 1, "");
    for (size_t n = 0; n < m.n; n++) {
        rig_init(&r);
        rig_feed(&r, m.b, n);
        CU_ASSERT_EQUAL(r.b->n, 0);
        CU_ASSERT_EQUAL(n < 4 ? r.n.too_short : r.n.bad_header, 1);
        CU_ASSERT_EQUAL(rig_refusals(&r), 1);
        rig_clear(&r);
    }
}

/* Flows are counted: 2, then 3, a gap of 5, one late, and a restart. */
static void
test_sequence(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    static const struct { unsigned n, seq; uint64_t lost, late, restarts; }
    steps[] = {
        { 2, 100, 0, 0, 0 }, { 3, 102, 0, 0, 0 }, { 1, 110, 5, 0, 0 },
        { 1, 105, 5, 1, 0 }, { 1, 111, 5, 1, 0 }, { 1, 0, 5, 1, 1 },
        { 1, 1, 5, 1, 1 }, { 1, 90000000, 5, 1, 2 },
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        good(&m, steps[i].n, steps[i].seq, 0);
        rig_feed(&r, m.b, m.n);
        struct source *s = rig_source(&r);
        CU_ASSERT_EQUAL(s->n.lost, steps[i].lost);
        CU_ASSERT_EQUAL(s->n.reordered, steps[i].late);
        CU_ASSERT_EQUAL(s->n.restarts, steps[i].restarts);
    }
    rig_clear(&r);
}

/* More records than a batch has rows. */
static void
test_flush(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    for (uint32_t i = 0; i < 100; i++) {
        good(&m, 30, i * 30, 0);
        rig_feed(&r, m.b, m.n);
    }
    CU_ASSERT_EQUAL(r.flushed + r.b->n, 3000);
    CU_ASSERT_EQUAL(r.flushed, BATCH_ROWS);
    CU_ASSERT_EQUAL(rig_source(&r)->n.lost, 0);
    rig_clear(&r);
}

static void
test_cut(void)
{
    static struct msg m;
    good(&m, 3, 0, 0);
    for (size_t n = 0; n < m.n; n++) {
        struct rig r;
        rig_init(&r);
        rig_feed(&r, m.b, n);
        CU_ASSERT_EQUAL(r.b->n, 0);
        CU_ASSERT_EQUAL(n < 4 ? r.n.too_short : r.n.bad_header, 1);
        CU_ASSERT_EQUAL(rig_refusals(&r), 1);
        rig_clear(&r);
    }
}

static void
test_refusals(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    good(&m, 1, 0, 0);
    set16(&m, 2, 0);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.bad_header, 1);
    CU_ASSERT_EQUAL(rig_source(&r)->n.malformed, 1);
    set16(&m, 2, 65535);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.bad_header, 2);
    set16(&m, 0, 6);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.unknown_version, 1);
    CU_ASSERT_EQUAL(r.b->n, 0);
    CU_ASSERT_EQUAL(rig_refusals(&r), 3);

    good(&m, 3, 0, 0);                  /* Three, but it says one. */
    set16(&m, 2, 1);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.b->n, 1);
    CU_ASSERT_EQUAL(r.n.bad_header, 3);
    CU_ASSERT_EQUAL(rig_refusals(&r), 4);
    rig_clear(&r);
}

static void
test_source_limit(void)
{
    struct rig r;
    static struct msg m;
    rig_init_limits(&r, 4, 16, 16);     /* Of which one address has half. */
    for (unsigned i = 0; i < 4; i++) {
        good(&m, 1, 0, 0);
        m.b[21] = (uint8_t) i;          /* Engine id. */
        rig_feed(&r, m.b, m.n);
    }
    CU_ASSERT_EQUAL(r.n.source_limit, 2);
    CU_ASSERT_EQUAL(r.b->n, 2);
    CU_ASSERT_EQUAL(source_table_count(r.sources), 2);
    rig_clear(&r);
}

UNIT_MAIN("netflow5", UNIT_TEST(test_fields), UNIT_TEST(test_icmp),
          UNIT_TEST(test_wrap), UNIT_TEST(test_version1),
          UNIT_TEST(test_version7),
          UNIT_TEST(test_sequence), UNIT_TEST(test_flush),
          UNIT_TEST(test_cut), UNIT_TEST(test_refusals),
          UNIT_TEST(test_source_limit))
