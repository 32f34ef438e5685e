#include <config.h>

#include "collector/template/structured.h"
#include "lib/column.h"
#include "lib/text.h"
#include "tests/unit/decode_util.h"

/* Elements that take more than moving bytes: packet sections, lists, sampling,
 * events of translators. */

#define VAR TEMPLATE_VARLEN

/* ---- Packets in packets. ---- */

static void
check_section(unsigned element, unsigned size, const char *before,
              const char *packet, uint8_t type, uint32_t vni)
{
    struct template_field f[] = { { (uint16_t) element, VAR, 0 } };
    struct rig r;
    char hex[1024];
    snprintf(hex, sizeof hex, "%02x %s%s", size, before, packet);
    ipfix_one(&r, f, 1, hex);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
    check_tunnelled(r.b, 0, type, vni);
    rig_clear(&r);
}

static void
test_sections(void)
{
    enum { MACS = 14, GTPU = 20 + 8 + 8 + 28,
           ERSPAN = 20 + 8 + 8 + 14 + 28 };
    static const unsigned frames[] = { 104, 315 };
    for (size_t i = 0; i < 2; i++) {
        check_section(frames[i], MACS + GTPU, FRAME_MACS "0800 ", PACKET_GTPU,
                      TUNNEL_GTPU, 0x12345678);
        check_section(frames[i], MACS + ERSPAN, FRAME_MACS "0800 ",
                      PACKET_ERSPAN, TUNNEL_ERSPAN, 0x107);
    }
    check_section(313, GTPU, "", PACKET_GTPU, TUNNEL_GTPU, 0x12345678);
    check_section(313, ERSPAN, "", PACKET_ERSPAN, TUNNEL_ERSPAN, 0x107);
}

/* ---- Sampling. ---- */

/* Every element that tells a rate, in options and, where it can be, in the
 * record itself. */
static void
test_sampling(void)
{
    static const struct {
        struct template_field f[4];
        const char *hex;
        uint32_t rate;          /* 0: unknown. */
    } cases[] = {
        { { { 34, 4, 0 }, { 35, 1, 0 } }, "00000064 02", 100 },
        { { { 48, 1, 0 }, { 49, 1, 0 }, { 50, 4, 0 } }, "07 02 000000c8",
          200 },
        { { { 48, 1, 0 }, { 34, 2, 0 } }, "07 012c", 300 },
        { { { 302, 8, 0 }, { 304, 2, 0 }, { 305, 4, 0 }, { 306, 4, 0 } },
          "0000000000000007 0001 00000001 000003e7", 1000 },
        { { { 302, 8, 0 }, { 305, 4, 0 }, { 306, 4, 0 } },
          "0000000000000007 0000000a 0000005a", 10 },
        { { { 302, 8, 0 }, { 305, 4, 0 } }, "0000000000000007 00000200",
          512 },
        { { { 302, 8, 0 }, { 309, 4, 0 }, { 310, 4, 0 } },
          "0000000000000007 00000002 000000c8", 100 },
        { { { 302, 8, 0 }, { 311, 8, 0 } },
          "0000000000000007 3f50624dd2f1a9fc", 1000 },
        { { { 302, 8, 0 }, { 311, 4, 0 } }, "0000000000000007 3a83126f",
          1000 },
        /* By time: nobody knows how many packets that were. */
        { { { 302, 8, 0 }, { 307, 4, 0 }, { 308, 4, 0 } },
          "0000000000000007 00000001 00000063", 0 },
        { { { 302, 8, 0 }, { 309, 4, 0 }, { 310, 4, 0 } },
          "0000000000000007 00000000 000000c8", 0 },
    };
    static const struct template_field named[] = { { 302, 8, 0 },
                                                   { 2, 4, 0 } };
    static const struct template_field plain[] = { { 2, 4, 0 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        static struct msg m;
        unsigned n = 0;
        while (n < 4 && cases[i].f[n].id) {
            n++;
        }
        rig_init(&r);
        ipfix_begin(&m, EXPORT_S, 0, 42);
        size_t at = set_begin(&m, 3);
        put16(&m, 301);
        put16(&m, n);
        put16(&m, 1);           /* The first is the scope. */
        ipfix_fields(&m, cases[i].f, n);
        set_end(&m, at);
        at = set_begin(&m, 301);
        put_hex(&m, cases[i].hex);
        set_end(&m, at);
        ipfix_template(&m, 302, plain, 1);
        at = set_begin(&m, 302);
        put32(&m, 5);
        set_end(&m, at);
        if (cases[i].f[0].id != 34) {
            ipfix_template(&m, 303, named, 2);
            at = set_begin(&m, 303);
            put64(&m, 7);
            put32(&m, 5);
            set_end(&m, at);
        }
        ipfix_end(&m);
        rig_feed(&r, m.b, m.n);
        CU_ASSERT_EQUAL(rig_refusals(&r), 0);
        CU_ASSERT_EQUAL(r.b->n, cases[i].f[0].id == 34 ? 1 : 2);
        for (uint32_t row = 0; row < r.b->n; row++) {
            if (cases[i].rate) {
                CHECK_IS(r.b, sampling, row, cases[i].rate);
            } else {
                CHECK_NULL(r.b, sampling, row);
            }
        }
        rig_clear(&r);
    }

    struct rig r;
    IPFIX_ONE(&r, "00000064 00000005", { 34, 4, 0 }, { 2, 4, 0 });
    CHECK_IS(r.b, sampling, 0, 100);
    rig_clear(&r);
    IPFIX_ONE(&r, "00000064 00000005", { 50, 4, 0 }, { 2, 4, 0 });
    CHECK_IS(r.b, sampling, 0, 100);
    rig_clear(&r);
    IPFIX_ONE(&r, "00000064 00000005", { 305, 4, 0 }, { 2, 4, 0 });
    CHECK_IS(r.b, sampling, 0, 100);
    rig_clear(&r);
}

/* ---- Events. ---- */

/* All of RFC 8158's events, as a NAT64's log has them. */
static void
test_nat_events(void)
{
    const struct column *column = &columns[COL_nat_event];
    for (unsigned event = 1; event <= 18; event++) {
        static const struct template_field f[] = {
            { 230, 1, 0 }, { 27, 16, 0 }, { 225, 4, 0 }, { 7, 2, 0 },
            { 227, 2, 0 }, { 28, 16, 0 }, { 226, 4, 0 }, { 11, 2, 0 },
            { 228, 2, 0 }, { 4, 1, 0 }, { 323, 8, 0 },
        };
        struct rig r;
        char hex[256];
        snprintf(hex, sizeof hex, "%02x 20010db8000000000000000000000001 "
                 "c0000201 c000 d000 0064ff9b0000000000000000c6336401 "
                 "c6336401 01bb 01bb 06 0000018bcfe56800", event);
        ipfix_one(&r, f, sizeof f / sizeof f[0], hex);
        CU_ASSERT_EQUAL(rig_refusals(&r), 0);
        CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
        CHECK_IS(r.b, nat_event, 0, event);
        CU_ASSERT_PTR_NOT_NULL(column_word_name(column, event));
        CHECK_ADDR(r.b->src_addr[0], "2001:db8::1");
        CHECK_ADDR(r.b->nat_src_addr[0], "192.0.2.1");
        CHECK_ADDR(r.b->nat_dst_addr[0], "198.51.100.1");
        CHECK_IS(r.b, src_port, 0, 0xc000);
        CHECK_IS(r.b, nat_src_port, 0, 0xd000);
        CHECK_IS(r.b, nat_dst_port, 0, 443);
        CU_ASSERT_EQUAL(r.b->flow_start[0], INT64_C(1700000000000000));
        rig_clear(&r);
    }
}

/* ---- Lists (RFC 6313). ---- */

static void
test_communities(void)
{
    struct rig r;
    /* Standard, extended and large ones of the destination; of the source. */
    IPFIX_ONE(&r, "0d 03 01e3 0004 fde80001 fde80002 "
              "15 03 01e6 0008 0002fde800000007 4301c0000201002a "
              "11 03 01e9 000c 0000fde80000000100000002 "
              "09 03 01e3 0004 0001000a",
        { 485, VAR, 0 }, { 488, VAR, 0 }, { 491, VAR, 0 }, { 484, VAR, 0 });
    CHECK_TEXT(&r, communities, 0, "65000:1 65000:2 rt:65000:7 "
               "0x4301c0000201002a 65000:1:2");
    CHECK_TEXT(&r, src_communities, 0, "1:10");
    rig_clear(&r);
    /* Each of its own length; none at all; something else; a single one. */
    IPFIX_ONE(&r, "0c ff 01e3 ffff 04 fde80001 00 05 03 01e3 0004",
        { 485, VAR, 0 }, { 484, VAR, 0 });
    CHECK_NULL(r.b, communities, 0);
    CHECK_NULL(r.b, src_communities, 0);
    rig_clear(&r);
    IPFIX_ONE(&r, "07 03 0052 0001 4142 0002", { 485, VAR, 0 },
        { 4, 2, 0 });
    CHECK_NULL(r.b, communities, 0);
    rig_clear(&r);
    IPFIX_ONE(&r, "0000fde8 0002", { 483, 4, 0 }, { 4, 2, 0 });
    CHECK_TEXT(&r, communities, 0, "0:65000");
    rig_clear(&r);
}

/* 'hex', a record of templates 257 (address, octets) and 300 with the fields
 * 'f', as column "extra" shows it. */
static void
check_extra(const struct template_field *f, unsigned n, const char *hex,
            const char *expected)
{
    static const struct template_field sub[] = { { 8, 4, 0 }, { 1, 8, 0 } };
    static struct msg m;
    struct rig r;
    rig_init(&r);
    decoder_destroy(r.decoder);
    struct decoder_config c = {
        .dict = r.dict, .sources = r.sources, .templates = r.templates,
        .counters = &r.n, .flush = rig_flush, .aux = &r,
        .keep_unknown = true,
    };
    r.decoder = decoder_create(&c);
    ipfix_begin(&m, EXPORT_S, 0, 1);
    ipfix_template(&m, 257, sub, 2);
    ipfix_template(&m, 300, f, n);
    size_t at = set_begin(&m, 300);
    put_hex(&m, hex);
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
    CU_ASSERT_STRING_EQUAL(dict_text(r.dict, r.b->extra[0]), expected);
    rig_clear(&r);
}

#define EXTRA(HEX, EXPECTED, ...)                                       \
    do {                                                                \
        static const struct template_field f__[] = { __VA_ARGS__ };     \
        check_extra(f__, sizeof f__ / sizeof f__[0], HEX, EXPECTED);    \
    } while (0)

static void
test_lists(void)
{
    /* Words, and interface names, the lengths of which differ. */
    EXTRA("0e 03 0052 ffff 04 65746830 03 6c6f22",
          "0/291=allOf[interfaceName \"eth0\" \"lo\\\"\"]",
          { 291, VAR, 0 });
    EXTRA("0d 00 000a 0004 00000001 00000002",
          "0/291=noneOf[ingressInterface 1 2]", { 291, VAR, 0 });
    EXTRA("0d 01 8007 0002 00003039 0102 0304",
          "0/291=exactlyOneOf[12345/7 0x0102 0x0304]", { 291, VAR, 0 });
    EXTRA("05 ff 000a 0004", "0/291=undefined[ingressInterface]",
          { 291, VAR, 0 });
    /* Records of a template that is known, and of one that is not. */
    EXTRA("1b 04 0101 0a000001 0000000000000005 0a000002 0000000000000006",
          "0/292=ordered[257(sourceIPv4Address 10.0.0.1 octetDeltaCount 5)"
          "(sourceIPv4Address 10.0.0.2 octetDeltaCount 6)]",
          { 292, VAR, 0 });
    EXTRA("05 02 03e7 0102", "0/292=oneOrMoreOf[999(0x0102)]",
          { 292, VAR, 0 });
    EXTRA("17 03 0101 0010 0a000001 0000000000000005 03e7 0006 abcd",
          "0/293=allOf[257(sourceIPv4Address 10.0.0.1 octetDeltaCount 5) "
          "999(0xabcd)]", { 293, VAR, 0 });
    /* A list in a list; of fixed size; malformed ones stay hex. */
    EXTRA("0f 03 0123 ffff 09 03 000a 0004 00000007",
          "0/291=allOf[basicList allOf[ingressInterface 7]]",
          { 291, VAR, 0 });
    EXTRA("03 000a 0004 00000001", "0/291=allOf[ingressInterface 1]",
          { 291, 9, 0 });
    EXTRA("08 03 000a 0004 000001", "0/291=03000a0004000001",
          { 291, VAR, 0 });
    EXTRA("07 03 0101 0010 0a00", "0/293=03010100100a00", { 293, VAR, 0 });
    EXTRA("04 03 000a 00", "0/291=03000a00", { 291, VAR, 0 });
}

/* Any bytes: nothing is read beyond them, and text stays in its bounds. */
static void
test_random_lists(void)
{
    uint32_t seed = 3;
    for (unsigned i = 0; i < 50000; i++) {
        uint8_t bytes[96];
        size_t n = i % sizeof bytes;
        for (size_t k = 0; k < n; k++) {
            seed = seed * 1664525 + 1013904223;
            /* Often small: semantics, ids of lists. */
            bytes[k] = seed >> 30 ? (uint8_t) (seed >> 24 & 3)
                                  : (uint8_t) (seed >> 22);
        }
        uint8_t *copy = memdup_exact(bytes, n);
        static struct text t;
        t.n = 0;
        t.cut = false;
        enum registry_type type = (enum registry_type) (REG_LIST + i % 3);
        if (!structured_format(&t, type, copy, n, NULL, NULL, NULL)) {
            CU_ASSERT_EQUAL(t.n, 0);
        }
        structured_communities(&t, copy, n);
        CU_ASSERT_EQUAL(strlen(text_finish(&t)), t.n);
        free(copy);
    }
}

/* Lists in lists in lists: text ends with an ellipsis, time stays linear. */
static void
test_deep_lists(void)
{
    static struct text t;
    uint8_t *deep = calloc(1, 60000);
    for (size_t i = 0; i + 5 < 60000; i += 5) {
        memcpy(deep + i, "\3\1\43\377\377", 5);  /* basicList of such. */
    }
    t.n = 0;
    t.cut = false;
    structured_format(&t, REG_LIST, deep, 60000, NULL, NULL, NULL);
    CU_ASSERT_TRUE(t.n < sizeof t.s);
    free(deep);

    uint8_t many[2400] = { 3, 0, 10, 0, 4 };
    t.n = 0;
    CU_ASSERT_TRUE(structured_format(&t, REG_LIST, many, 2397, NULL, NULL, NULL)
                   || t.n == 0);
    t.n = 0;
    CU_ASSERT_TRUE(structured_format(&t, REG_LIST, many, 5 + 4 * 598, NULL, NULL,
                                     NULL));
    text_finish(&t);
    CU_ASSERT_TRUE(t.n < sizeof t.s);
    CU_ASSERT_STRING_EQUAL(t.s + t.n - 3, "...");
}

/* An element that the exporter explains (RFC 5610) is told by name and type; of
 * IANA's and known ones it is not asked. */
static void
test_explained(void)
{
    static const struct template_field about[] = {
        { 346, 4, 0 }, { 303, 2, 0 }, { 339, 1, 0 }, { 344, 1, 0 },
        { 341, TEMPLATE_VARLEN, 0 },
    };
    static const struct template_field data[] = {
        { 4, 1, 0 }, { 1, 2, 4711 }, { 2, 4, 4711 }, { 3, 4, 4711 },
        { 4, TEMPLATE_VARLEN, 4711 }, { 5, 2, 4711 }, { 500, 2, 0 },
        { 6, TEMPLATE_VARLEN, 4711 }, { 12235, 2, 9 },
    };
    static struct msg m;
    struct rig r;
    rig_init(&r);
    decoder_destroy(r.decoder);
    struct decoder_config c = {
        .dict = r.dict, .sources = r.sources, .templates = r.templates,
        .counters = &r.n, .flush = rig_flush, .aux = &r,
        .keep_unknown = true,
    };
    r.decoder = decoder_create(&c);
    ipfix_begin(&m, EXPORT_S, 0, 1);
    size_t at = set_begin(&m, 3);
    put_hex(&m, "0100 0005 0002");              /* Two of them are scope. */
    ipfix_fields(&m, about, 5);
    set_end(&m, at);
    ipfix_template(&m, 300, data, 9);
    at = set_begin(&m, 256);
    put_hex(&m, "00001267 8001 02 01 07 61636d65436e74");   /* acmeCnt */
    put_hex(&m, "00001267 0002 12 00 04 61207d62");         /* "a }b" */
    put_hex(&m, "00001267 0003 09 00 04 74656d70");         /* temp */
    put_hex(&m, "00001267 0004 0d 00 04 74657874");         /* text */
    put_hex(&m, "00001267 0005 ff 00 03 6f6464");           /* odd */
    put_hex(&m, "00000000 01f4 02 00 03 626164");           /* IANA's. */
    put_hex(&m, "00001267 0006 14 00 04 6c697374");         /* list */
    put_hex(&m, "00000009 2fcb 02 00 00");                  /* No name. */
    set_end(&m, at);
    at = set_begin(&m, 300);
    put_hex(&m, "11 0102 0a000001 3fc00000 03 612262 beef 4142"
                "0d 03 8001 0002 00001267 0007 0008 0009");
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
    CU_ASSERT_STRING_EQUAL(
        dict_text(r.dict, r.b->extra[0]),
        "4711/1(acmeCnt)=258 4711/2(a__b)=10.0.0.1 4711/3(temp)=1.5 "
        "4711/4(text)=\"a\\\"b\" 4711/5(odd)=0xbeef 0/500=4142 "
        "4711/6(list)=allOf[acmeCnt 7 8] 9/12235=0009");
    rig_clear(&r);
}

UNIT_MAIN("elements", UNIT_TEST(test_sections), UNIT_TEST(test_sampling), UNIT_TEST(test_explained),
          UNIT_TEST(test_nat_events), UNIT_TEST(test_communities),
          UNIT_TEST(test_lists), UNIT_TEST(test_random_lists),
          UNIT_TEST(test_deep_lists))
