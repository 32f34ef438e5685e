#include <config.h>

#include "collector/template/ovs.h"
#include "tests/unit/decode_util.h"

static const struct template_field plain[] = {
    { 8, 4, 0 }, { 12, 4, 0 }, { 7, 2, 0 }, { 11, 2, 0 }, { 4, 1, 0 },
    { 2, 4, 0 }, { 1, 8, 0 }, { 152, 8, 0 }, { 153, 8, 0 }, { 6, 2, 0 },
};
#define N_PLAIN (sizeof plain / sizeof plain[0])

static void
put_plain(struct msg *m, unsigned src_port)
{
    put_hex(m, "0a000001 0a000002");
    put16(m, src_port);
    put16(m, 443);
    put8(m, 6);
    put32(m, 5);
    put64(m, 5000);
    put64(m, EXPORT_S * UINT64_C(1000) - 250);
    put64(m, EXPORT_S * UINT64_C(1000) - 50);
    put16(m, 0x1b);
}

/* Template 300 and two records, padded. */
static void
good(struct msg *m, uint32_t seq)
{
    ipfix_begin(m, EXPORT_S, seq, 42);
    ipfix_template(m, 300, plain, N_PLAIN);
    size_t at = set_begin(m, 300);
    put_plain(m, 1000);
    put_plain(m, 1001);
    put16(m, 0);
    set_end(m, at);
    ipfix_end(m);
}

static void
test_fields(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    good(&m, 0);
    rig_feed(&r, m.b, m.n);
    struct flow_batch *b = r.b;
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(b->n, 2);
    CU_ASSERT_EQUAL(b->export_protocol[1], PROTO_IPFIX);
    CU_ASSERT_EQUAL(b->observation_domain_id[1], 42);
    CHECK_ADDR(b->src_addr[1], "10.0.0.1");
    CHECK_IS(b, ip_version, 1, 4);
    CHECK_IS(b, src_port, 0, 1000);
    CHECK_IS(b, src_port, 1, 1001);
    CHECK_IS(b, tcp_flags, 1, 0x1b);
    CU_ASSERT_EQUAL(b->packets[1], 5);
    CU_ASSERT_EQUAL(b->bytes[1], 5000);
    CU_ASSERT_EQUAL(b->raw_bytes[1], 5000);
    CU_ASSERT_EQUAL(b->flow_start[1], EXPORT_US - 250000);
    CU_ASSERT_EQUAL(b->flow_end[1], EXPORT_US - 50000);
    CHECK_NULL(b, sampling, 1);
    CHECK_NULL(b, l2_bytes, 1);
    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(s->n.templates, 1);
    CU_ASSERT_EQUAL(s->n.flow_records, 2);
    rig_clear(&r);
}

/* One record of a template made of 'f', with the bytes in 'hex'. */
static void
test_conversions(void)
{
    struct rig r;
    /* Both families, the wrong one zero. */
    IPFIX_ONE(&r, "00000000 00000000 20010db8000000000000000000000001"
            "20010db8000000000000000000000002",
        { 8, 4, 0 }, { 12, 4, 0 }, { 27, 16, 0 }, { 28, 16, 0 });
    CHECK_ADDR(r.b->src_addr[0], "2001:db8::1");
    CHECK_ADDR(r.b->dst_addr[0], "2001:db8::2");
    CHECK_IS(r.b, ip_version, 0, 6);
    rig_clear(&r);
    IPFIX_ONE(&r, "0a000001 0a000002 00000000000000000000000000000000"
            "00000000000000000000000000000000",
        { 8, 4, 0 }, { 12, 4, 0 }, { 27, 16, 0 }, { 28, 16, 0 });
    CHECK_ADDR(r.b->src_addr[0], "10.0.0.1");
    CHECK_IS(r.b, ip_version, 0, 4);
    rig_clear(&r);
    /* Reduced size (3 bytes), unknown elements, enterprises, MACs. */
    IPFIX_ONE(&r, "ffff 010203 aabbccddeeff deadbeef 020000000001",
        { 999, 2, 0 }, { 1, 3, 0 }, { 56, 6, 0 }, { 8, 4, 12345 },
        { 80, 6, 0 });
    CU_ASSERT_EQUAL(r.b->bytes[0], 0x010203);
    CHECK_IS(r.b, src_mac, 0, 0xaabbccddeeff);
    CHECK_IS(r.b, dst_mac, 0, 0x020000000001);
    CHECK_NULL(r.b, src_addr, 0);
    CHECK_NULL(r.b, ip_version, 0);
    rig_clear(&r);
    /* ICMP in one field; zeroed for other protocols. */
    IPFIX_ONE(&r, "01 0301 0000 0301", { 4, 1, 0 }, { 32, 2, 0 }, { 7, 2, 0 },
        { 11, 2, 0 });
    CHECK_IS(r.b, icmp_type, 0, 3);
    CHECK_IS(r.b, icmp_code, 0, 1);
    CHECK_NULL(r.b, dst_port, 0);
    rig_clear(&r);
    IPFIX_ONE(&r, "06 0000 0050 01bb", { 4, 1, 0 }, { 32, 2, 0 }, { 7, 2, 0 },
        { 11, 2, 0 });
    CHECK_NULL(r.b, icmp_type, 0);
    CHECK_IS(r.b, dst_port, 0, 443);
    rig_clear(&r);
    /* DSCP stands in for tos, a direction that is none is null. */
    IPFIX_ONE(&r, "2e ff", { 195, 1, 0 }, { 61, 1, 0 });
    CHECK_IS(r.b, tos, 0, 0xb8);
    CHECK_NULL(r.b, direction, 0);
    rig_clear(&r);
    /* Totals count where there is no delta. */
    IPFIX_ONE(&r, "0000000a 00000064", { 86, 4, 0 }, { 85, 4, 0 });
    CU_ASSERT_EQUAL(r.b->packets[0], 10);
    CU_ASSERT_EQUAL(r.b->bytes[0], 100);
    rig_clear(&r);
    IPFIX_ONE(&r, "0000000a 00000064 00000001 00000002", { 86, 4, 0 },
        { 85, 4, 0 }, { 2, 4, 0 }, { 1, 4, 0 });
    CU_ASSERT_EQUAL(r.b->packets[0], 1);
    CU_ASSERT_EQUAL(r.b->bytes[0], 2);
    rig_clear(&r);
    /* Counts of both directions; the first that is not zero. */
    IPFIX_ONE(&r, "00000000 00000000 0000000a 00000064", { 2, 4, 0 }, { 1, 4, 0 },
        { 24, 4, 0 }, { 23, 4, 0 });
    CU_ASSERT_EQUAL(r.b->packets[0], 10);
    CU_ASSERT_EQUAL(r.b->bytes[0], 100);
    rig_clear(&r);
    IPFIX_ONE(&r, "00000001 00000002 0000000a 00000064", { 2, 4, 0 }, { 1, 4, 0 },
        { 24, 4, 0 }, { 23, 4, 0 });
    CU_ASSERT_EQUAL(r.b->packets[0], 1);
    CU_ASSERT_EQUAL(r.b->bytes[0], 2);
    rig_clear(&r);
    /* Sampling in the record. */
    IPFIX_ONE(&r, "00000200", { 34, 4, 0 });
    CHECK_IS(r.b, sampling, 0, 512);
    rig_clear(&r);
}

static void
test_times(void)
{
    struct rig r;
    IPFIX_ONE(&r, "6553f0d8 6553f0d9", { 150, 4, 0 }, { 151, 4, 0 });
    CU_ASSERT_EQUAL(r.b->flow_start[0], 0x6553f0d8 * INT64_C(1000000));
    CU_ASSERT_EQUAL(r.b->flow_end[0], 0x6553f0d9 * INT64_C(1000000));
    rig_clear(&r);
    /* NTP: seconds since 1900 and a fraction. */
    IPFIX_ONE(&r, "83aa7e80 80000000 83aa7e81 40000000", { 154, 8, 0 },
        { 157, 8, 0 });
    CU_ASSERT_EQUAL(r.b->flow_start[0], 500000);
    CU_ASSERT_EQUAL(r.b->flow_end[0], 1250000);
    rig_clear(&r);
    IPFIX_ONE(&r, "001e8480 0000000a", { 158, 4, 0 }, { 159, 4, 0 });
    CU_ASSERT_EQUAL(r.b->flow_start[0], EXPORT_US - 2000000);
    CU_ASSERT_EQUAL(r.b->flow_end[0], EXPORT_US - 10);
    rig_clear(&r);
    /* sysUptime, with and without the start of the system. */
    IPFIX_ONE(&r, "00000000000f4240 000003e8 00000bb8", { 160, 8, 0 },
        { 22, 4, 0 }, { 21, 4, 0 });
    CU_ASSERT_EQUAL(r.b->flow_start[0], 1001000000);
    CU_ASSERT_EQUAL(r.b->flow_end[0], 1003000000);
    rig_clear(&r);
    IPFIX_ONE(&r, "000003e8 00000bb8", { 22, 4, 0 }, { 21, 4, 0 });
    CU_ASSERT_EQUAL(r.b->flow_start[0], EXPORT_US - 2000000);
    CU_ASSERT_EQUAL(r.b->flow_end[0], EXPORT_US);
    CU_ASSERT_EQUAL(r.b->quality[0], Q_TIME_CORRECTED);
    rig_clear(&r);
    /* A start and a duration; an end alone; nothing. */
    IPFIX_ONE(&r, "6553f0d8 000001f4", { 150, 4, 0 }, { 161, 4, 0 });
    CU_ASSERT_EQUAL(r.b->flow_end[0] - r.b->flow_start[0], 500000);
    rig_clear(&r);
    IPFIX_ONE(&r, "6553f0d8", { 151, 4, 0 });
    CU_ASSERT_EQUAL(r.b->flow_end[0], r.b->flow_start[0]);
    rig_clear(&r);
    IPFIX_ONE(&r, "00000001", { 2, 4, 0 });
    CU_ASSERT_EQUAL(r.b->flow_end[0], EXPORT_US);
    rig_clear(&r);
}

static void
test_variable_length(void)
{
    struct rig r;
    static struct msg m;
    static const struct template_field f[] = {
        { 82, 65535, 0 }, { 2, 4, 0 }, { 83, 65535, 0 }, { 1, 8, 0 },
        { 371, 65535, 0 },
    };
    rig_init(&r);
    ipfix_begin(&m, EXPORT_S, 0, 1);
    ipfix_template(&m, 300, f, 5);
    size_t at = set_begin(&m, 300);
    for (unsigned i = 0; i < 3; i++) {
        put_hex(&m, "04 65746830");     /* "eth0" */
        put32(&m, i);
        put_hex(&m, "00");
        put64(&m, i * 100);
        put_hex(&m, "ff0003 616263");   /* The long form of a length. */
    }
    put16(&m, 0);                       /* Padding. */
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(r.b->n, 3);
    CU_ASSERT_STRING_EQUAL(dict_text(r.dict, r.b->in_if_name[2]), "eth0");
    CHECK_NULL(r.b, out_if_name, 2);
    CU_ASSERT_EQUAL(r.b->packets[2], 2);
    CU_ASSERT_EQUAL(r.b->bytes[2], 200);

    /* A length that reaches beyond the set. */
    m.b[m.n - 2 - 6] = 250;
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.b->n, 5);
    CU_ASSERT_EQUAL(r.n.bad_record, 1);
    CU_ASSERT_EQUAL(rig_refusals(&r), 1);
    rig_clear(&r);

    /* Not one whole record, and nothing at all. */
    static const struct template_field whole[] = { { 8, 4, 0 }, { 1, 8, 0 } };
    rig_init(&r);
    ipfix_begin(&m, EXPORT_S, 0, 1);
    ipfix_template(&m, 256, whole, 2);
    at = set_begin(&m, 256);
    put_hex(&m, "0a000001 00000000 000000");
    set_end(&m, at);
    at = set_begin(&m, 256);
    set_end(&m, at);
    at = set_begin(&m, 256);
    put_hex(&m, "0a000001 00000000 00000007");
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.bad_record, 1);
    CU_ASSERT_EQUAL(rig_refusals(&r), 1);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
    CU_ASSERT_EQUAL(r.b->bytes[0], 7);
    CU_ASSERT_EQUAL(rig_source(&r)->n.bad_record, 1);
    CU_ASSERT_EQUAL(rig_source(&r)->n.malformed, 1);
    rig_clear(&r);
}

static void
test_biflow(void)
{
    struct rig r;
    static struct msg m;
    static const struct template_field f[] = {
        { 8, 4, 0 }, { 12, 4, 0 }, { 7, 2, 0 }, { 11, 2, 0 }, { 4, 1, 0 },
        { 2, 4, 0 }, { 1, 4, 0 }, { 150, 4, 0 }, { 151, 4, 0 },
        { 2, 4, 29305 }, { 1, 4, 29305 }, { 6, 1, 0 }, { 6, 1, 29305 },
    };
    rig_init(&r);
    ipfix_begin(&m, EXPORT_S, 0, 1);
    ipfix_template(&m, 300, f, sizeof f / sizeof f[0]);
    size_t at = set_begin(&m, 300);
    put_hex(&m, "0a000001 0a000002 1f90 01bb 06 0000000a 00000064 6553f0d8"
            "6553f0d9 00000014 000000c8 02 12");
    put_hex(&m, "0a000003 0a000004 1f90 01bb 06 0000000a 00000064 6553f0d8"
            "6553f0d9 00000000 00000000 02 00");
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    struct flow_batch *b = r.b;
    CU_ASSERT_EQUAL(b->n, 3);
    CU_ASSERT_EQUAL(b->packets[0], 10);
    CHECK_IS(b, tcp_flags, 0, 2);
    CHECK_ADDR(b->src_addr[2], "10.0.0.2");
    CHECK_ADDR(b->dst_addr[2], "10.0.0.1");
    CHECK_IS(b, src_port, 2, 443);
    CHECK_IS(b, dst_port, 2, 8080);
    CHECK_IS(b, proto, 2, 6);
    CHECK_IS(b, tcp_flags, 2, 0x12);
    CU_ASSERT_EQUAL(b->packets[2], 20);
    CU_ASSERT_EQUAL(b->bytes[2], 200);
    CU_ASSERT_EQUAL(b->flow_start[2], 0x6553f0d8 * INT64_C(1000000));
    /* Given up for the second: nothing of it stays. */
    CHECK_NULL(b, src_addr, 3);
    rig_clear(&r);
}

static void
test_template_life(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    good(&m, 0);
    rig_feed(&r, m.b, m.n);
    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(template_count(r.templates, s), 1);

    /* Another layout under the same id, without withdrawal. */
    static const struct template_field f[] = { { 2, 8, 0 }, { 1, 8, 0 } };
    ipfix_begin(&m, EXPORT_S, 2, 42);
    ipfix_template(&m, 300, f, 2);
    size_t at = set_begin(&m, 300);
    put64(&m, 7);
    put64(&m, 700);
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.b->n, 3);
    CU_ASSERT_EQUAL(r.b->packets[2], 7);
    CHECK_NULL(r.b, src_addr, 2);
    CU_ASSERT_EQUAL(template_count(r.templates, s), 1);

    /* Withdrawn, then data: counted, and the sequence is not judged. */
    ipfix_begin(&m, EXPORT_S, 3, 42);
    at = set_begin(&m, 2);
    put16(&m, 300);
    put16(&m, 0);
    set_end(&m, at);
    at = set_begin(&m, 300);
    put64(&m, 7);
    put64(&m, 700);
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.b->n, 3);
    CU_ASSERT_EQUAL(r.n.no_template, 1);
    CU_ASSERT_EQUAL(s->n.no_template, 1);
    CU_ASSERT_EQUAL(rig_refusals(&r), 1);
    CU_ASSERT_EQUAL(template_count(r.templates, s), 0);

    /* All at once. */
    good(&m, 10);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(s->n.lost, 0);
    ipfix_begin(&m, EXPORT_S, 12, 42);
    at = set_begin(&m, 2);
    put16(&m, 2);
    put16(&m, 0);
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(template_count(r.templates, s), 0);
    CU_ASSERT_EQUAL(template_total(r.templates), 0);
    rig_clear(&r);
}

static void
test_options_sampling(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    ipfix_begin(&m, EXPORT_S, 0, 42);
    size_t at = set_begin(&m, 3);
    put16(&m, 301);
    put16(&m, 4);
    put16(&m, 1);
    static const struct template_field f[] = {
        { 302, 4, 0 }, { 304, 2, 0 }, { 305, 4, 0 }, { 306, 4, 0 },
    };
    ipfix_fields(&m, f, 4);
    set_end(&m, at);
    at = set_begin(&m, 301);
    put_hex(&m, "00000001 0001 00000001 000003e7");
    put_hex(&m, "00000002 0001 00000001 00000063");
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(s->n.options_records, 2);
    CU_ASSERT_EQUAL(s->sampling_origin, SAMPLING_OPTIONS);
    CU_ASSERT_EQUAL(source_sampler(s, 1), 1000);
    CU_ASSERT_EQUAL(source_sampler(s, 2), 100);
    CU_ASSERT_EQUAL(source_sampler(s, 3), 0);

    /* Records that name their selector, and one that does not. */
    static const struct template_field g[] = { { 302, 4, 0 }, { 2, 4, 0 } };
    ipfix_begin(&m, EXPORT_S, 2, 42);
    ipfix_template(&m, 302, g, 2);
    at = set_begin(&m, 302);
    put_hex(&m, "00000001 00000005");
    put_hex(&m, "00000002 00000005");
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CHECK_IS(r.b, sampling, 0, 1000);
    CHECK_IS(r.b, sampling, 1, 100);
    good(&m, 4);
    rig_feed(&r, m.b, m.n);
    CHECK_IS(r.b, sampling, 2, 100);
    CU_ASSERT_EQUAL(s->n.lost, 0);
    rig_clear(&r);
}

/* A rate that is told of an interface is of its packets only. */
static void
test_interface_rates(void)
{
    static const struct template_field f[] = {
        { 10, 4, 0 }, { 14, 4, 0 }, { 61, 1, 0 }, { 2, 4, 0 },
    };
    static const struct template_field g[] = {
        { 10, 4, 0 }, { 34, 4, 0 }, { 2, 4, 0 },
    };
    struct rig r;
    static struct msg m;
    rig_init(&r);
    ipfix_begin(&m, EXPORT_S, 0, 42);
    size_t at = set_begin(&m, 3);
    put_hex(&m, "012d 0002 0001 000a 0004 0022 0004");  /* Interface. */
    put_hex(&m, "012e 0002 0001 0095 0004 0022 0004");  /* Domain. */
    set_end(&m, at);
    at = set_begin(&m, 301);
    put_hex(&m, "00000005 00000064 00000006 000003e8");
    set_end(&m, at);
    ipfix_template(&m, 303, f, 4);
    ipfix_template(&m, 304, g, 3);
    at = set_begin(&m, 303);
    put_hex(&m, "00000005 00000006 00 00000001");
    put_hex(&m, "00000005 00000006 01 00000001");
    put_hex(&m, "00000007 00000006 00 00000001");
    put_hex(&m, "00000007 00000008 00 00000001");
    set_end(&m, at);
    at = set_begin(&m, 304);
    put_hex(&m, "00000005 0000000a 00000001");
    put_hex(&m, "00000005 00000000 00000001");
    set_end(&m, at);
    at = set_begin(&m, 302);
    put_hex(&m, "0000002a 00000002");
    set_end(&m, at);
    at = set_begin(&m, 303);
    put_hex(&m, "00000007 00000008 00 00000001");
    put_hex(&m, "00000005 00000008 00 00000001");
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 8);
    CHECK_IS(r.b, sampling, 0, 100);
    CHECK_IS(r.b, sampling, 1, 1000);
    CHECK_IS(r.b, sampling, 2, 1000);
    CHECK_NULL(r.b, sampling, 3);
    CHECK_IS(r.b, sampling, 4, 10);
    CHECK_IS(r.b, sampling, 5, 100);
    CHECK_IS(r.b, sampling, 6, 2);
    CHECK_IS(r.b, sampling, 7, 100);
    rig_clear(&r);
}

static void
test_sequence(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    static const uint32_t seqs[] = { 0, 2, 4, 10, 12, 8, 14 };
    for (size_t i = 0; i < sizeof seqs / sizeof seqs[0]; i++) {
        good(&m, seqs[i]);
        rig_feed(&r, m.b, m.n);
    }
    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(s->n.lost, 4);
    CU_ASSERT_EQUAL(s->n.reordered, 1);
    CU_ASSERT_EQUAL(s->n.restarts, 0);
    rig_clear(&r);
}

/* ---- Open vSwitch. ---- */

/* The one record of a message of Open vSwitch, for any of its templates; all
 * running totals are 0xee. */
static void
put_ovs_record(struct msg *m, uint16_t id, bool obs)
{
    struct template_field f[OVS_MAX_FIELDS];
    unsigned n = ovs_template_fields(id, obs, f);
    unsigned names = 0;
    size_t at = set_begin(m, id);
    for (unsigned i = 0; i < n; i++) {
        switch (f[i].id) {
        case 138: put32(m, 9); break;
        case 61: put8(m, id & 1); break;
        case 56: put_hex(m, "020000000001"); break;
        case 80: put_hex(m, "020000000002"); break;
        case 256: put16(m, 0x0800); break;
        case 240: put8(m, 14); break;
        case 10: put32(m, 11); break;
        case 14: put32(m, 12); break;
        case 82: put_hex(m, names++ ? "04 76657432" : "04 76657431"); break;
        case 83: put8(m, 0); break;
        case 58: case 243: put16(m, 100); break;
        case 60: put8(m, 4); break;
        case 4: put8(m, 6); break;
        case 8: put_hex(m, "0a000001"); break;
        case 12: put_hex(m, "0a000002"); break;
        case 27: put_hex(m, "20010db8000000000000000000000001"); break;
        case 28: put_hex(m, "20010db8000000000000000000000002"); break;
        case 7: put16(m, 8080); break;
        case 11: put16(m, 443); break;
        case 893: put_hex(m, "ac100001"); break;
        case 894: put_hex(m, "ac100002"); break;
        case 895: put8(m, 17); break;
        case 896: put16(m, 50000); break;
        case 897: put16(m, 6081); break;
        case 891: put8(m, 7); break;
        case 892: put_hex(m, "03 001389"); break;
        case 898: put_hex(m, "04 68312f62"); break;
        case 158: put32(m, 500000); break;
        case 159: put32(m, 400000); break;
        case 133: put64(m, 0); break;
        case 2: put64(m, 400); break;
        case 1: put64(m, 400 * 84); break;
        case 352: put64(m, 400 * 98); break;
        case 136: put8(m, 2); break;
        default:
            for (unsigned k = 0; k < f[i].size; k++) {
                put8(m, 0xee);
            }
        }
    }
    set_end(m, at);
}

static void
ovs_message(struct msg *m, uint16_t id, bool obs, uint32_t seq,
            uint32_t domain)
{
    ipfix_begin(m, EXPORT_S, seq, domain);
    put_ovs_record(m, id, obs);
    ipfix_end(m);
}

#define OVS_ID(L2, L3, L4, TUNNEL, DIR) \
    (256 + (((((L2) * 3) + (L3)) * 5 + (L4)) * 2 + (TUNNEL)) * 2 + (DIR))

static void
test_ovs_builtin(void)
{
    unsigned n = 0;
    for (unsigned obs = 0; obs < 2; obs++) {
        for (unsigned id = 250; id < 400; id++) {
            struct template_field f[OVS_MAX_FIELDS];
            if (!ovs_template_fields((uint16_t) id, obs, f)) {
                continue;
            }
            struct rig r;
            static struct msg m;
            rig_init(&r);
            ovs_message(&m, (uint16_t) id, obs, 1, 0);
            rig_feed(&r, m.b, m.n);
            CU_ASSERT_EQUAL(rig_refusals(&r), 0);
            CU_ASSERT_EQUAL(r.b->n, 1);
            CU_ASSERT_EQUAL(r.b->packets[0], 400);
            CU_ASSERT_EQUAL(r.b->bytes[0], 400 * 84);
            CHECK_IS(r.b, l2_bytes, 0, 400 * 98);
            CHECK_IS(r.b, direction, 0, id & 1);
            CHECK_IS(r.b, in_if, 0, 11);
            CU_ASSERT_STRING_EQUAL(dict_text(r.dict, r.b->in_if_name[0]),
                                   "vet1");
            CU_ASSERT_EQUAL(batch_is_valid(r.b, COL_out_if, 0), id & 1);
            CU_ASSERT_EQUAL(batch_is_valid(r.b, COL_out_if_name, 0), id & 1);
            CU_ASSERT_EQUAL(r.b->flow_start[0], EXPORT_US - 500000);
            CHECK_IS(r.b, flow_end_reason, 0, 2);
            CU_ASSERT_TRUE(source_is_ovs(rig_source(&r)));
            rig_clear(&r);
            n++;
        }
    }
    CU_ASSERT_EQUAL(n, 2 * 88);
}

static void
test_ovs_fields(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    ovs_message(&m, OVS_ID(1, 1, 1, 1, 1), true, 1, 7);
    rig_feed(&r, m.b, m.n);
    struct flow_batch *b = r.b;
    CHECK_IS(b, observation_point_id, 0, 9);
    CHECK_IS(b, vlan_id, 0, 100);
    CHECK_IS(b, tunnel_type, 0, TUNNEL_GENEVE);
    CHECK_IS(b, vni, 0, 5001);
    CHECK_ADDR(b->tunnel_src_addr[0], "172.16.0.1");
    CHECK_ADDR(b->tunnel_dst_addr[0], "172.16.0.2");
    CHECK_IS(b, tunnel_proto, 0, 17);
    CHECK_IS(b, tunnel_src_port, 0, 50000);
    CHECK_IS(b, tunnel_dst_port, 0, 6081);
    CHECK_IS(b, out_if, 0, 12);
    CU_ASSERT_STRING_EQUAL(dict_text(r.dict, b->out_if_name[0]), "vet2");
    CHECK_IS(b, dropped_packets, 0, 0);
    CU_ASSERT_EQUAL(b->quality[0], 0);
    rig_clear(&r);
}

/* Two bridges share address and domain; one has a virtual_obs_id. */
static void
test_ovs_mixed(void)
{
    struct rig r;
    static struct msg m;
    uint16_t id = OVS_ID(0, 1, 2, 0, 0);
    rig_init(&r);
    struct template_field f[OVS_MAX_FIELDS];
    unsigned n = ovs_template_fields(id, false, f);
    ipfix_begin(&m, EXPORT_S, 1, 0);
    ipfix_template(&m, id, f, n);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    for (unsigned i = 0; i < 4; i++) {
        ovs_message(&m, id, i & 1, 1 + i, 0);
        rig_feed(&r, m.b, m.n);
    }
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(r.b->n, 4);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(r.b->packets[i], 400);
        CU_ASSERT_EQUAL(r.b->bytes[i], 400 * 84);
    }
    CU_ASSERT_EQUAL(rig_source(&r)->n.lost, 0);
    rig_clear(&r);
}

/* One counter across domains, one more per message, per port. */
static void
test_ovs_sequence(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    uint16_t id = OVS_ID(0, 1, 2, 0, 0);
    static const struct { uint32_t seq, domain; uint16_t port; } steps[] = {
        { 1, 5, 1000 }, { 2, 6, 1000 }, { 3, 5, 1000 }, { 4, 6, 1000 },
        { 1, 5, 2000 }, { 5, 5, 1000 }, { 2, 5, 2000 }, { 8, 6, 1000 },
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        r.port = steps[i].port;
        ovs_message(&m, id, false, steps[i].seq, steps[i].domain);
        rig_feed(&r, m.b, m.n);
    }
    struct source_key key = { .exporter = r.from, .agent = r.from,
                              .domain = 5, .protocol = PROTO_IPFIX };
    struct source *five = source_table_get(r.sources, &key);
    key.domain = 6;
    struct source *six = source_table_get(r.sources, &key);
    CU_ASSERT_EQUAL(five->n.lost, 0);
    CU_ASSERT_EQUAL(six->n.lost, 2);
    CU_ASSERT_EQUAL(five->n.restarts + six->n.restarts, 0);
    CU_ASSERT_EQUAL(five->n.reordered + six->n.reordered, 0);
    rig_clear(&r);
}

/* An unknown template whose id would fit, but not its length. */
static void
test_ovs_not(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    ovs_message(&m, OVS_ID(0, 1, 2, 0, 0), false, 1, 0);
    put32(&m, 0);
    set16(&m, 18, (unsigned) m.n - 16);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.no_template, 1);
    CU_ASSERT_EQUAL(r.b->n, 0);
    CU_ASSERT_FALSE(source_is_ovs(rig_source(&r)));
    rig_clear(&r);
}

/* ---- Bad input. ---- */

static void
test_cut(void)
{
    static struct msg m;
    good(&m, 0);
    for (size_t n = 0; n < m.n; n++) {
        struct rig r;
        rig_init(&r);
        rig_feed(&r, m.b, n);
        CU_ASSERT_EQUAL(r.b->n, 0);
        CU_ASSERT_EQUAL(n < 4 ? r.n.too_short : r.n.bad_header, 1);
        CU_ASSERT_EQUAL(rig_refusals(&r), 1);
        rig_clear(&r);
    }
    /* The same with a header that does not give it away. */
    for (size_t n = 17; n < m.n; n++) {
        struct rig r;
        static struct msg cut;
        rig_init(&r);
        cut = m;
        set16(&cut, 2, (unsigned) n);
        rig_feed(&r, cut.b, n);
        CU_ASSERT_EQUAL(r.b->n, 0);
        CU_ASSERT_EQUAL(r.n.bad_set, n != 16 + 4 + 4 + 4 * N_PLAIN);
        CU_ASSERT_EQUAL(rig_refusals(&r), r.n.bad_set);
        rig_clear(&r);
    }
}

static void
refuse(const char *hex, size_t counter)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    ipfix_begin(&m, EXPORT_S, 0, 1);
    put_hex(&m, hex);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(counter_get((counter_t *) ((char *) &r.n + counter)), 1);
    CU_ASSERT_EQUAL(rig_refusals(&r), 1);
    CU_ASSERT_EQUAL(rig_source(&r)->n.malformed, 1);
    CU_ASSERT_EQUAL(r.b->n, 0);
    rig_clear(&r);
}

#define REFUSE(HEX, COUNTER) \
    refuse(HEX, offsetof(struct decoder_counters, COUNTER))

static void
test_refusals(void)
{
    REFUSE("0002 0003", bad_set);               /* Shorter than its header. */
    REFUSE("0002 0040 0100", bad_set);          /* Longer than the message. */
    REFUSE("0005 0008 00000000", bad_set);      /* A reserved id. */
    REFUSE("0002 000c 0100 0002 0008 0004", bad_template);
    REFUSE("0002 000c 00ff 0001 0008 0004", bad_template); /* Id below 256. */
    REFUSE("0002 000c 0100 0001 0008 0000", bad_template); /* No bytes. */
    REFUSE("0002 0008 0100 ffff", bad_template);           /* Many fields. */
    REFUSE("0003 000e 0100 0001 0000 0008 0004", bad_template);  /* Scope. */
    REFUSE("0003 000e 0100 0001 0002 0008 0004", bad_template);
}

static void
test_template_limit(void)
{
    struct rig r;
    static struct msg m;
    rig_init_limits(&r, 16, 4, 6);
    for (unsigned domain = 0; domain < 2; domain++) {
        for (unsigned i = 0; i < 6; i++) {
            struct template_field f = { 2, (uint16_t) (1 + domain), 0 };
            ipfix_begin(&m, EXPORT_S, 0, domain);
            ipfix_template(&m, 300 + i, &f, 1);
            ipfix_end(&m);
            rig_feed(&r, m.b, m.n);
        }
    }
    /* Four of the first; two of the second, by the limit over all. */
    CU_ASSERT_EQUAL(r.n.template_limit, 2 + 4);
    CU_ASSERT_EQUAL(template_total(r.templates), 6);
    rig_clear(&r);
}

static void
test_random(void)
{
    struct rig r;
    static struct msg m;
    uint32_t seed = 3;
    rig_init(&r);
    for (unsigned i = 0; i < 20000; i++) {
        if (i % 2) {
            good(&m, i);
        } else {
            ovs_message(&m, (uint16_t) (256 + i % 120), i & 4, i, 0);
        }
        for (unsigned k = 0; k < i % 5; k++) {
            seed = seed * 1664525 + 1013904223;
            m.b[4 + (seed >> 8) % (m.n - 4)] = (uint8_t) (seed >> 24);
        }
        rig_feed(&r, m.b, m.n);
    }
    CU_ASSERT_EQUAL(r.n.datagrams, 20000);
    rig_clear(&r);
}

static void
test_more_fields(void)
{
    static const struct template_field f[] = {
        { 8, 4, 0 }, { 12, 4, 0 }, { 225, 4, 0 }, { 226, 4, 0 },
        { 227, 2, 0 }, { 228, 2, 0 }, { 230, 1, 0 }, { 233, 1, 0 },
        { 70, 3, 0 }, { 71, 3, 0 }, { 72, 3, 0 }, { 88, 2, 0 },
        { 197, 1, 0 }, { 52, 1, 0 }, { 53, 1, 0 }, { 58, 2, 0 },
        { 244, 1, 0 }, { 245, 2, 0 }, { 59, 2, 0 }, { 57, 6, 0 },
        { 81, 6, 0 }, { 18, 4, 0 }, { 234, 4, 0 }, { 235, 4, 0 },
        { 132, 4, 0 }, { 133, 4, 0 }, { 148, 8, 0 }, { 95, 4, 0 },
        { 371, 8, 0 }, { 33002, 2, 0 }, { 136, 1, 0 }, { 89, 1, 0 },
    };
    struct rig r;
    ipfix_one(&r, f, sizeof f / sizeof f[0] - 3, "0a000001 0a000002 c0000201 "
        "c0000202 1f90 01bb 04 01 00064a 000111 000000 0000 20 3c 40 0064 "
        "05 00c8 0065 0a0000000002 0a0000000001 c0000209 00000007 00000008 "
        "00000bb8 00000002 0000000000000063 03000050 616c696365000000");
    CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
    CHECK_ADDR(r.b->nat_src_addr[0], "192.0.2.1");
    CHECK_ADDR(r.b->nat_dst_addr[0], "192.0.2.2");
    CHECK_IS(r.b, nat_src_port, 0, 8080);
    CHECK_IS(r.b, nat_dst_port, 0, 443);
    CHECK_IS(r.b, nat_event, 0, 4);
    CHECK_IS(r.b, firewall_event, 0, 1);
    CHECK_IS(r.b, mpls_label, 0, 100);
    CHECK_IS(r.b, mpls_exp, 0, 5);
    CHECK_TEXT(&r, mpls_labels, 0, "100 17");
    CHECK_IS(r.b, fragment, 0, 1);
    CHECK_IS(r.b, fragment_offset, 0, 0);
    CHECK_IS(r.b, ttl, 0, 60);
    CHECK_IS(r.b, ttl_max, 0, 64);
    CHECK_IS(r.b, vlan_id, 0, 100);
    CHECK_IS(r.b, vlan_priority, 0, 5);
    CHECK_IS(r.b, customer_vlan_id, 0, 200);
    CHECK_IS(r.b, post_vlan_id, 0, 101);
    CHECK_IS(r.b, post_dst_mac, 0, 0x0a0000000002);
    CHECK_IS(r.b, post_src_mac, 0, 0x0a0000000001);
    CHECK_NULL(r.b, src_mac, 0);
    CHECK_ADDR(r.b->bgp_next_hop[0], "192.0.2.9");
    CHECK_NULL(r.b, next_hop, 0);
    CHECK_IS(r.b, in_vrf, 0, 7);
    CHECK_IS(r.b, out_vrf, 0, 8);
    CHECK_IS(r.b, dropped_bytes, 0, 3000);
    CHECK_IS(r.b, dropped_packets, 0, 2);
    CHECK_IS(r.b, flow_id, 0, 99);
    CHECK_IS(r.b, application_id, 0, 0x03000050);
    CHECK_TEXT(&r, user_name, 0, "alice");
    CHECK_NULL(r.b, application, 0);
    rig_clear(&r);
}

static void
test_unknown(void)
{
    static const struct template_field f[] = {
        { 1, 4, 0 }, { 12235, TEMPLATE_VARLEN, 9 }, { 210, 2, 0 },
        { 4711, 2, 99 }, { 2, 4, 0 }, { 500, 3, 0 },
    };
    struct rig r;
    ipfix_one(&r, f, 6, "00000064 03 000102 0000 beef 00000001 414243");
    CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
    CHECK_NULL(r.b, extra, 0);
    rig_clear(&r);

    static struct msg m;
    rig_init(&r);
    decoder_destroy(r.decoder);
    struct decoder_config c = {
        .dict = r.dict, .sources = r.sources, .templates = r.templates,
        .counters = &r.n, .flush = rig_flush, .aux = &r,
        .keep_unknown = true,
    };
    r.decoder = decoder_create(&c);
    ipfix_begin(&m, EXPORT_S, 0, 1);
    ipfix_template(&m, 300, f, 6);
    size_t at = set_begin(&m, 300);
    put_hex(&m, "00000064 03 000102 0000 beef 00000001 414243");
    put_hex(&m, "00000064 ff0400");
    m.n += 0x400;               /* Too long to be kept. */
    put_hex(&m, "0000 beef 00000001 414243");
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 2);
    CHECK_TEXT(&r, extra, 0, "9/12235=000102 99/4711=beef 0/500=414243");
    /* The rest, but not the list that has no room. */
    CHECK_TEXT(&r, extra, 1, "...");
    rig_clear(&r);
}

/* Counts of a session's initiator and responder. */
static void
test_responder(void)
{
    static const struct template_field f[] = {
        { 8, 4, 0 }, { 12, 4, 0 }, { 7, 2, 0 }, { 11, 2, 0 }, { 4, 1, 0 },
        { 231, 4, 0 }, { 232, 4, 0 }, { 298, 4, 0 }, { 299, 4, 0 },
        { 10, 2, 0 }, { 14, 2, 0 },
    };
    struct rig r;
    ipfix_one(&r, f, sizeof f / sizeof f[0], "0a000001 0a000002 c000 01bb 06 "
        "000003e8 000007d0 0000000a 00000014 0001 0002");
    CU_ASSERT_EQUAL_FATAL(r.b->n, 2);
    CU_ASSERT_EQUAL(r.b->bytes[0], 1000);
    CU_ASSERT_EQUAL(r.b->packets[0], 10);
    CHECK_ADDR(r.b->src_addr[1], "10.0.0.2");
    CHECK_IS(r.b, src_port, 1, 443);
    CHECK_IS(r.b, in_if, 1, 2);
    CHECK_IS(r.b, proto, 1, 6);
    CU_ASSERT_EQUAL(r.b->bytes[1], 2000);
    CU_ASSERT_EQUAL(r.b->packets[1], 20);
    rig_clear(&r);
}

/* Names, and the time of the start, in options records. */
static void
test_options_names(void)
{
    static const struct template_field f[] = {
        { 10, 4, 0 }, { 14, 4, 0 }, { 95, 4, 0 }, { 22, 4, 0 }, { 21, 4, 0 },
        { 2, 4, 0 },
    };
    static struct msg m;
    struct rig r;
    rig_init(&r);
    ipfix_begin(&m, EXPORT_S, 0, 1);
    size_t at = set_begin(&m, 3);
    put_hex(&m, "0190 0003 0001 000a 0004 0052 0008 0053 0008");
    put_hex(&m, "0191 0003 0001 005f 0004 0060 ffff 005e 0002");
    put_hex(&m, "0192 0002 0001 0095 0004 00a0 0008");
    set_end(&m, at);
    at = set_begin(&m, 400);
    put_hex(&m, "00000005 6574683000000000 776f726c64000000");
    put_hex(&m, "00000006 0000000000000000 7570000000000000");
    set_end(&m, at);
    at = set_begin(&m, 401);
    put_hex(&m, "03000050 04 68747470 0000");
    set_end(&m, at);
    at = set_begin(&m, 402);
    put32(&m, 1);
    put64(&m, (EXPORT_S - 100) * UINT64_C(1000));
    set_end(&m, at);
    ipfix_template(&m, 300, f, sizeof f / sizeof f[0]);
    at = set_begin(&m, 300);
    put_hex(&m, "00000005 00000006 03000050 000003e8 000007d0 00000001");
    put_hex(&m, "00000007 00000006 03000051 000003e8 000007d0 00000001");
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 2);
    CHECK_TEXT(&r, in_if_name, 0, "eth0");
    CHECK_TEXT(&r, out_if_name, 0, "up");
    CHECK_TEXT(&r, application, 0, "http");
    CHECK_NULL(r.b, in_if_name, 1);
    CHECK_NULL(r.b, application, 1);
    CU_ASSERT_EQUAL(r.b->flow_start[0], EXPORT_US - 99 * 1000000);
    CU_ASSERT_EQUAL(r.b->flow_end[0], EXPORT_US - 98 * 1000000);
    CU_ASSERT_EQUAL(r.b->quality[0], 0);
    rig_clear(&r);
}

/* Data that comes before its template, in two datagrams, and in another
 * domain, where it never comes. */
static void
test_late_template(void)
{
    static struct msg m, t;
    struct rig r;
    rig_init(&r);
    for (uint32_t i = 0; i < 3; i++) {
        ipfix_begin(&m, EXPORT_S + i, 0, i == 2 ? 43 : 42);
        size_t at = set_begin(&m, 300);
        put_plain(&m, 1000 + i);
        set_end(&m, at);
        ipfix_end(&m);
        rig_feed(&r, m.b, m.n);
    }
    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(r.b->n, 0);
    CU_ASSERT_EQUAL(s->n.no_template, 2);
    ipfix_begin(&t, EXPORT_S + 5, 0, 42);
    ipfix_template(&t, 300, plain, N_PLAIN);
    ipfix_end(&t);
    rig_feed(&r, t.b, t.n);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 2);
    CHECK_IS(r.b, src_port, 0, 1000);
    CHECK_IS(r.b, src_port, 1, 1001);
    CU_ASSERT_EQUAL(r.b->received[0], RECEIVED_US);
    CU_ASSERT_EQUAL(s->n.deferred, 2);
    CU_ASSERT_EQUAL(s->n.flow_records, 2);
    CU_ASSERT_EQUAL(r.n.no_template, 3);
    rig_feed(&r, t.b, t.n);             /* Once only. */
    CU_ASSERT_EQUAL(r.b->n, 2);
    rig_clear(&r);

    /* A source keeps the newest of too many. */
    rig_init(&r);
    for (unsigned i = 0; i < 4000; i++) {
        ipfix_begin(&m, EXPORT_S, i, 42);
        size_t at = set_begin(&m, 300);
        put_plain(&m, i);
        set_end(&m, at);
        ipfix_end(&m);
        rig_feed(&r, m.b, m.n);
    }
    rig_feed(&r, t.b, t.n);
    CU_ASSERT_TRUE(r.b->n > 400 && r.b->n < 1000);
    CHECK_IS(r.b, src_port, r.b->n - 1, 3999);
    rig_clear(&r);

    /* Many sources do not take more than there is; what is old is gone. */
    rig_init_limits(&r, 4096, 256, 1024);
    for (unsigned i = 0; i < 3000; i++) {
        ipfix_begin(&m, EXPORT_S, i, i);
        size_t at = set_begin(&m, 300);
        m.n += 2000;
        set_end(&m, at);
        ipfix_end(&m);
        rig_feed(&r, m.b, m.n);
    }
    rig_clear(&r);
}

static void
test_too_late_template(void)
{
    static struct msg m;
    struct rig r;
    rig_init(&r);
    struct datagram d = { .data = m.b, .src = r.from, .src_port = 1 };
    for (unsigned i = 0; i < 2; i++) {
        ipfix_begin(&m, EXPORT_S, 0, 42);
        if (i) {
            ipfix_template(&m, 300, plain, N_PLAIN);
        } else {
            size_t at = set_begin(&m, 300);
            put_plain(&m, 1);
            set_end(&m, at);
        }
        ipfix_end(&m);
        d.size = m.n;
        d.received_us = RECEIVED_US + i * INT64_C(61000000);
        r.b = decoder_datagram(r.decoder, &d, r.b);
    }
    CU_ASSERT_EQUAL(r.b->n, 0);
    CU_ASSERT_EQUAL(rig_source(&r)->n.deferred, 0);
    rig_clear(&r);
}

/* A source that was taken for Open vSwitch, and is not. */
static void
test_ovs_after_all_not(void)
{
    static const struct template_field other[] = { { 1, 8, 0 } };
    static struct msg m;
    struct template_field f[OVS_MAX_FIELDS];
    struct rig r;
    rig_init(&r);
    unsigned n = ovs_template_fields(256, false, f);
    size_t size = 0;
    for (unsigned i = 0; i < n; i++) {
        size += f[i].size == TEMPLATE_VARLEN ? 1 : f[i].size;
    }
    ipfix_begin(&m, EXPORT_S, 0, 1);
    size_t at = set_begin(&m, 256);
    m.n += size;
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_TRUE(source_is_ovs(rig_source(&r)));
    ipfix_begin(&m, EXPORT_S, 1, 1);
    ipfix_template(&m, 256, other, 1);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_FALSE(source_is_ovs(rig_source(&r)));
    rig_clear(&r);
}

UNIT_MAIN("ipfix", UNIT_TEST(test_fields), UNIT_TEST(test_conversions),
          UNIT_TEST(test_times), UNIT_TEST(test_variable_length),
          UNIT_TEST(test_biflow), UNIT_TEST(test_template_life),
          UNIT_TEST(test_options_sampling),
          UNIT_TEST(test_interface_rates), UNIT_TEST(test_sequence),
          UNIT_TEST(test_ovs_builtin), UNIT_TEST(test_ovs_fields),
          UNIT_TEST(test_ovs_mixed), UNIT_TEST(test_ovs_sequence),
          UNIT_TEST(test_ovs_not), UNIT_TEST(test_cut),
          UNIT_TEST(test_refusals), UNIT_TEST(test_template_limit),
          UNIT_TEST(test_random), UNIT_TEST(test_more_fields),
          UNIT_TEST(test_responder), UNIT_TEST(test_options_names),
          UNIT_TEST(test_ovs_after_all_not), UNIT_TEST(test_late_template),
          UNIT_TEST(test_unknown),
          UNIT_TEST(test_too_late_template))
