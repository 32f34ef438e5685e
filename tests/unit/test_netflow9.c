#include <config.h>

#include "tests/unit/decode_util.h"

#define SECS 1699999000u
#define UPTIME 5000000u

static void
put_template(struct msg *m, unsigned id, const char *fields)
{
    size_t at = set_begin(m, 0);
    put16(m, id);
    put16(m, (unsigned) (strlen(fields) + 1) / 10);
    put_hex(m, fields);
    set_end(m, at);
}

/* Addresses, ports, protocol, packets, octets, first, last, flags. */
#define FIELDS "0008 0004 000c 0004 0007 0002 000b 0002 0004 0001 0002 0004 " \
    "0001 0004 0016 0004 0015 0004 0006 0001"
#define RECORD "0a000001 0a000002 1f90 01bb 06 0000000a 00000fa0 " \
    "004c3ce0 004c3f38 1b"

static void
data(struct msg *m, uint32_t seq)
{
    v9_begin(m, UPTIME, SECS, seq, 99);
    size_t at = set_begin(m, 260);
    put_hex(m, RECORD RECORD);
    set_end(m, at);
}

static void
templates(struct msg *m, uint32_t seq)
{
    v9_begin(m, UPTIME, SECS, seq, 99);
    put_template(m, 260, FIELDS);
}

static void
test_fields(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    data(&m, 0);                        /* Before its template. */
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.no_template, 1);
    templates(&m, 1);
    rig_feed(&r, m.b, m.n);
    data(&m, 2);
    rig_feed(&r, m.b, m.n);
    struct flow_batch *b = r.b;
    CU_ASSERT_EQUAL(b->n, 4);           /* The first two were kept. */
    CU_ASSERT_EQUAL(rig_source(&r)->n.deferred, 1);
    CU_ASSERT_EQUAL(rig_refusals(&r), 1);
    CU_ASSERT_EQUAL(b->export_protocol[1], PROTO_NETFLOW9);
    CU_ASSERT_EQUAL(b->observation_domain_id[1], 99);
    CHECK_ADDR(b->src_addr[1], "10.0.0.1");
    CHECK_IS(b, src_port, 1, 8080);
    CHECK_IS(b, dst_port, 1, 443);
    CHECK_IS(b, proto, 1, 6);
    CHECK_IS(b, tcp_flags, 1, 0x1b);
    CU_ASSERT_EQUAL(b->packets[1], 10);
    CU_ASSERT_EQUAL(b->bytes[1], 4000);
    /* 0x4c3ce0 = 4996320, 0x4c3f38 = 4996920. */
    CU_ASSERT_EQUAL(b->flow_start[1], SECS * INT64_C(1000000) - 3680000);
    CU_ASSERT_EQUAL(b->flow_end[1], SECS * INT64_C(1000000) - 3080000);
    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(s->n.lost, 0);
    CU_ASSERT_EQUAL(s->n.datagrams, 3);
    data(&m, 5);                        /* Datagrams are counted. */
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(s->n.lost, 2);
    rig_clear(&r);
}

static void
test_icmp(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    templates(&m, 0);
    size_t at = set_begin(&m, 260);
    put_hex(&m, "0a000001 0a000002 0000 0800 01 0000000a 00000fa0 "
            "004c3ce0 004c3f38 00");
    set_end(&m, at);
    rig_feed(&r, m.b, m.n);
    CHECK_IS(r.b, icmp_type, 0, 8);
    CHECK_IS(r.b, icmp_code, 0, 0);
    CHECK_NULL(r.b, dst_port, 0);
    rig_clear(&r);
}

static void
test_options(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    v9_begin(&m, UPTIME, SECS, 0, 99);
    size_t at = set_begin(&m, 1);
    put16(&m, 261);
    put16(&m, 4);               /* Bytes of scope, of options. */
    put16(&m, 12);
    put_hex(&m, "0001 0004 0030 0001 0031 0001 0032 0002");
    put16(&m, 0);
    set_end(&m, at);
    at = set_begin(&m, 261);
    put_hex(&m, "00000000 01 02 0200");
    put_hex(&m, "00000000 02 02 0040");
    set_end(&m, at);
    rig_feed(&r, m.b, m.n);
    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(s->n.options_records, 2);
    CU_ASSERT_EQUAL(source_sampler(s, 1), 512);
    CU_ASSERT_EQUAL(source_sampler(s, 2), 64);
    CU_ASSERT_EQUAL(s->sampling, 64);
    CU_ASSERT_EQUAL(s->sampling_origin, SAMPLING_OPTIONS);

    /* Classic options: 34 and 35. */
    v9_begin(&m, UPTIME, SECS, 1, 99);
    at = set_begin(&m, 1);
    put16(&m, 262);
    put16(&m, 4);
    put16(&m, 8);
    put_hex(&m, "0001 0000 0022 0004 0023 0001");   /* Scope of no bytes. */
    set_end(&m, at);
    at = set_begin(&m, 262);
    put_hex(&m, "000003e8 01");
    set_end(&m, at);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(s->sampling, 1000);
    rig_clear(&r);
}

static void
test_cut(void)
{
    static struct msg m, t;
    templates(&t, 0);
    data(&m, 1);
    for (size_t n = 0; n < m.n; n++) {
        struct rig r;
        rig_init(&r);
        rig_feed(&r, t.b, t.n);
        rig_feed(&r, m.b, n);
        CU_ASSERT_EQUAL(r.b->n, 0);
        CU_ASSERT_EQUAL(rig_refusals(&r), n != 20);
        CU_ASSERT_EQUAL(n < 4 ? r.n.too_short : n < 20 ? r.n.bad_header
                        : r.n.bad_set, n != 20);
        rig_clear(&r);
    }
    for (size_t n = 24; n < t.n; n++) {
        struct rig r;
        static struct msg cut;
        rig_init(&r);
        cut = t;
        set16(&cut, 22, (unsigned) n - 20);
        rig_feed(&r, cut.b, n);
        /* Up to three bytes are padding. */
        CU_ASSERT_EQUAL(r.n.bad_template, n >= 28);
        CU_ASSERT_EQUAL(rig_refusals(&r), r.n.bad_template);
        rig_clear(&r);
    }
}

static void
test_refusals(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    v9_begin(&m, UPTIME, SECS, 0, 99);
    put_hex(&m, "0104 0003");
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.bad_set, 1);
    v9_begin(&m, UPTIME, SECS, 1, 99);
    put_hex(&m, "0002 0004");           /* Reserved. */
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.bad_set, 2);
    v9_begin(&m, UPTIME, SECS, 2, 99);
    put_template(&m, 200, FIELDS);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.bad_template, 1);
    CU_ASSERT_EQUAL(rig_refusals(&r), 3);
    CU_ASSERT_EQUAL(rig_source(&r)->n.malformed, 3);
    rig_clear(&r);
}

static void
test_random(void)
{
    struct rig r;
    static struct msg m;
    uint32_t seed = 11;
    rig_init(&r);
    for (unsigned i = 0; i < 20000; i++) {
        templates(&m, i);
        size_t at = set_begin(&m, 260);
        put_hex(&m, RECORD RECORD);
        set_end(&m, at);
        for (unsigned k = 0; k < i % 6; k++) {
            seed = seed * 1664525 + 1013904223;
            m.b[2 + (seed >> 8) % (m.n - 2)] = (uint8_t) (seed >> 24);
        }
        rig_feed(&r, m.b, m.n);
    }
    CU_ASSERT_EQUAL(r.n.datagrams, 20000);
    rig_clear(&r);
}

/* Cisco's NSEL, which has numbers of its own. */
static void
test_nsel(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    v9_begin(&m, UPTIME, SECS, 0, 99);
    put_template(&m, 263, "0094 0004 0008 0004 000c 0004 0007 0002 000b 0002 "
                 "0004 0001 9c41 0004 9c42 0004 9c43 0002 9c44 0002 "
                 "00e9 0001 80ea 0002 0143 0008 00e7 0004 00e8 0004 "
                 "80e8 000c 80e9 000c 9c40 0008");
    size_t at = set_begin(&m, 263);
    put_hex(&m, "00000063 0a000001 0a000002 c000 01bb 06 c0000201 0a000002 "
            "d000 01bb 02 07e9 0000018bcfe56800 00000064 000000c8 "
            "00000001000000020000000a 000000000000000000000000 "
            "616c696365000000");
    set_end(&m, at);
    rig_feed(&r, m.b, m.n);
    struct flow_batch *b = r.b;
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL_FATAL(b->n, 2);     /* There and back. */
    CHECK_IS(b, flow_id, 0, 99);
    CHECK_ADDR(b->nat_src_addr[0], "192.0.2.1");
    CHECK_ADDR(b->nat_dst_addr[0], "10.0.0.2");
    CHECK_IS(b, nat_src_port, 0, 0xd000);
    CHECK_IS(b, nat_dst_port, 0, 443);
    CHECK_IS(b, firewall_event, 0, 2);
    CHECK_IS(b, firewall_ext_event, 0, 2025);
    CHECK_TEXT(&r, acl_in, 0, "00000001000000020000000a");
    CHECK_NULL(b, acl_out, 0);
    CHECK_TEXT(&r, user_name, 0, "alice");
    CU_ASSERT_EQUAL(b->bytes[0], 100);
    CU_ASSERT_EQUAL(b->flow_start[0], INT64_C(1700000000000000));
    CHECK_ADDR(b->src_addr[1], "10.0.0.2");
    CHECK_ADDR(b->nat_dst_addr[1], "192.0.2.1");
    CU_ASSERT_EQUAL(b->bytes[1], 200);
    CU_ASSERT_EQUAL(b->flow_start[1], INT64_C(1700000000000000));
    CHECK_TEXT(&r, user_name, 1, "alice");
    rig_clear(&r);
}

UNIT_MAIN("netflow9", UNIT_TEST(test_fields), UNIT_TEST(test_icmp),
          UNIT_TEST(test_options), UNIT_TEST(test_cut),
          UNIT_TEST(test_refusals), UNIT_TEST(test_random),
          UNIT_TEST(test_nsel))
