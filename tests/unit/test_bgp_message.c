#include <config.h>

#include "bgp/message.h"

#include "tests/unit/bgp_util.h"

static bool
parse_open(const char *hex, struct bgp_open *o, struct bgp_error *e)
{
    size_t n;
    uint8_t *p = unhex(hex, &n);
    memset(e, 0, sizeof *e);
    bool ok = bgp_open_parse(cur_init(p, n), o, e);
    free(p);
    return ok;
}

static void
check_open_error(const char *hex, unsigned subcode)
{
    struct bgp_open o;
    struct bgp_error e;
    CU_ASSERT_FALSE(parse_open(hex, &o, &e));
    CU_ASSERT_EQUAL(e.code, BGP_E_OPEN);
    CU_ASSERT_EQUAL(e.subcode, subcode);
}

static void
test_header(void)
{
    static const struct {
        unsigned size, type, max, subcode;  /* 0: good. */
    } cases[] = {
        { 19, BGP_KEEPALIVE, 4096, 0 }, { 20, BGP_KEEPALIVE, 4096, 2 },
        { 18, BGP_KEEPALIVE, 4096, 2 }, { 29, BGP_OPEN, 4096, 0 },
        { 28, BGP_OPEN, 4096, 2 }, { 22, BGP_UPDATE, 4096, 2 },
        { 23, BGP_UPDATE, 4096, 0 }, { 4096, BGP_UPDATE, 4096, 0 },
        { 4097, BGP_UPDATE, 4096, 2 }, { 4097, BGP_UPDATE, 65535, 0 },
        { 4097, BGP_OPEN, 65535, 2 }, { 4097, BGP_KEEPALIVE, 65535, 2 },
        { 20, BGP_NOTIFICATION, 4096, 2 }, { 21, BGP_NOTIFICATION, 4096, 0 },
        { 23, BGP_ROUTE_REFRESH, 4096, 0 }, { 19, 0, 4096, 3 },
        { 19, 6, 4096, 3 }, { 19, 255, 4096, 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t p[BGP_HEADER_SIZE];
        struct bgp_header h;
        struct bgp_error e = { 0, 0, 0, { 0 } };
        memset(p, 0xff, 16);
        p[16] = (uint8_t) (cases[i].size >> 8);
        p[17] = (uint8_t) cases[i].size;
        p[18] = (uint8_t) cases[i].type;
        CU_ASSERT_EQUAL(bgp_header_parse(p, cases[i].max, &h, &e),
                        !cases[i].subcode);
        CU_ASSERT_EQUAL(e.subcode, cases[i].subcode);
        CU_ASSERT_EQUAL(e.code, cases[i].subcode ? BGP_E_HEADER : 0);
        if (cases[i].subcode == 2) {
            CU_ASSERT_EQUAL(e.n_data, 2);
            CU_ASSERT_EQUAL(be16_at(e.data), cases[i].size);
        } else if (cases[i].subcode == 3) {
            CU_ASSERT_EQUAL(e.n_data, 1);
            CU_ASSERT_EQUAL(e.data[0], cases[i].type);
        }
        p[i % 16] = 0xfe;       /* Not synchronized. */
        CU_ASSERT_FALSE(bgp_header_parse(p, 4096, &h, &e));
        CU_ASSERT_EQUAL(e.subcode, BGP_E_HEADER_MARKER);
    }
}

/* Version 4, AS 65001, hold 90, id 192.0.2.1. */
#define HEAD "04 fde9 005a c0000201 "

static void
test_open(void)
{
    struct bgp_open o;
    struct bgp_error e;
    CU_ASSERT(parse_open(HEAD "00", &o, &e));
    CU_ASSERT_EQUAL(o.as, 65001);
    CU_ASSERT_EQUAL(o.hold_s, 90);
    CU_ASSERT_EQUAL(o.id, 0xc0000201);
    CU_ASSERT_EQUAL(o.caps.has, 0);
    CU_ASSERT_EQUAL(o.caps.role, BGP_ROLE_NONE);

    check_open_error("03 fde9 005a c0000201 00", BGP_E_OPEN_VERSION);
    check_open_error("04 0000 005a c0000201 00", BGP_E_OPEN_AS);
    check_open_error("04 fde9 005a 00000000 00", BGP_E_OPEN_ID);
    check_open_error("04 fde9 0001 c0000201 00", BGP_E_OPEN_HOLD);
    check_open_error("04 fde9 0002 c0000201 00", BGP_E_OPEN_HOLD);
    CU_ASSERT(parse_open("04 fde9 0000 c0000201 00", &o, &e));
    CU_ASSERT(parse_open("04 fde9 0003 c0000201 00", &o, &e));
    /* Optional parameters: too long, not all used, unknown, malformed. */
    check_open_error(HEAD "04 0200", 0);
    check_open_error(HEAD "00 0200", 0);
    check_open_error(HEAD "02 0100", BGP_E_OPEN_OPTION);
    check_open_error(HEAD "04 0203 0200", 0);
    check_open_error(HEAD "06 0204 4102 fde9", 0);
    /* AS 0 in the capability (RFC 7607). */
    check_open_error(HEAD "08 0206 4104 00000000", BGP_E_OPEN_AS);
    e.n_data = 0;
    CU_ASSERT_FALSE(parse_open("03 fde9 005a c0000201 00", &o, &e));
    CU_ASSERT_EQUAL(e.n_data, 2);       /* The version that we speak. */
    CU_ASSERT_EQUAL(be16_at(e.data), 4);
}

static void
test_capabilities(void)
{
    struct bgp_open o;
    struct bgp_error e;
    CU_ASSERT(parse_open(
        HEAD "[02["
        " 0104 0001 00 01" " 0104 0002 00 01" " 0104 0001 00 80"
        " 0104 0019 00 46" " 0104 4004 00 47"
        " 0200" " 0600" " 4600" " 8000" " 0901 03"
        " 4104 0001 0000"
        " 0506 0001 0001 0002"
        " 4508 0001 01 03 0002 01 02"
        " 400a c078 0001 01 80 0002 01 00"
        " 4707 0001 01 80 000e10"
        " 490a 04 6c656166 04 6c616221"
        " 4b05 04 46525221"
        " 6302 abcd"
        " 410400010001"
        " 0300 0700 0800 4300 4400 4800 4c00 8200 8300]]", &o, &e));
    const struct bgp_caps *c = &o.caps;
    CU_ASSERT_EQUAL(o.as, 0x10001);     /* The last one counts. */
    CU_ASSERT_EQUAL(c->families, 1u << BGP_IPV4_UNICAST
                    | 1u << BGP_IPV6_UNICAST | 1u << BGP_VPNV4
                    | 1u << BGP_EVPN);
    CU_ASSERT_EQUAL(c->n_other_families, 1);
    CU_ASSERT_EQUAL(c->n_unknown, 1);
    CU_ASSERT_EQUAL(c->has, (1u << BGP_N_CAPABILITIES) - 1);
    CU_ASSERT_EQUAL(c->role, BGP_ROLE_CUSTOMER);
    CU_ASSERT_EQUAL(c->ext_next_hop, 1u << BGP_IPV4_UNICAST);
    CU_ASSERT_EQUAL(c->add_path_receive, 1u << BGP_IPV4_UNICAST);
    CU_ASSERT_EQUAL(c->add_path_send, 1u << BGP_IPV4_UNICAST
                    | 1u << BGP_IPV6_UNICAST);
    CU_ASSERT(c->gr_restarted);
    CU_ASSERT(c->gr_notification);
    CU_ASSERT_EQUAL(c->gr_time_s, 120);
    CU_ASSERT_EQUAL(c->gr_families, 1u << BGP_IPV4_UNICAST
                    | 1u << BGP_IPV6_UNICAST);
    CU_ASSERT_EQUAL(c->gr_forwarding, 1u << BGP_IPV4_UNICAST);
    CU_ASSERT_EQUAL(c->llgr_time_s[BGP_IPV4_UNICAST], 3600);
    CU_ASSERT_STRING_EQUAL(c->hostname, "leaf");
    CU_ASSERT_STRING_EQUAL(c->domain, "lab!");
    CU_ASSERT_STRING_EQUAL(c->version, "FRR!");
}

static void
test_capability_lengths(void)
{
    static const struct {
        const char *hex;
        bool good;
    } cases[] = {
        { "0104 00010001", true }, { "0103 000100", false },
        { "0105 0001000100", false }, { "0106 000100010000", false },
        { "4103 abcdef", false }, { "4105 abcdef1212", false },
        { "4000", false }, { "4002 0078", true },
        { "4006 0078 00010100", true }, { "4005 0078 000101", false },
        { "4504 00010101", true }, { "4505 0001010100", false },
        { "4500", false }, { "0900", false }, { "0902 0101", false },
        { "0506 000100010002", true }, { "0507 00010001000200", false },
        { "4700", true }, { "4706 000101000000", false },
        { "4902 0000", true }, { "4903 02 61 00", false },
        { "4201 00", true }, { "ff00", true }, { "ff01", false },
        { "02", false }, { "0200", true }, { "0201 00", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bgp_caps caps;
        size_t n;
        uint8_t *p = unhex(cases[i].hex, &n);
        bgp_caps_init(&caps);
        if (bgp_caps_parse(cur_init(p, n), &caps) != cases[i].good) {
            CU_FAIL(cases[i].hex);
            fprintf(stderr, "%s\n", cases[i].hex);
        }
        free(p);
    }
}

/* Lengths of two octets (RFC 9072). */
static void
test_extended_parameters(void)
{
    struct bgp_open o;
    struct bgp_error e;
    CU_ASSERT(parse_open(HEAD "ff ff 0009 02 0006 4104 00010001", &o, &e));
    CU_ASSERT_EQUAL(o.as, 0x10001);
    check_open_error(HEAD "ff ff 000a 02 0006 4104 00010001", 0);
    check_open_error(HEAD "ff ff 0008 02 0006 4104 000100", 0);
}

static void
test_open_round_trip(void)
{
    uint8_t buf[BGP_MAX_SIZE];
    struct bgp_open o = { .as = 4200000001, .hold_s = 90, .id = 0x0a000001 },
                    back;
    struct bgp_error e;
    struct bgp_header h;
    bgp_caps_init(&o.caps);
    o.caps.families = (1u << BGP_N_FAMILIES) - 1;
    o.caps.has = 1u << BGP_CAP_MP | 1u << BGP_CAP_REFRESH | 1u << BGP_CAP_AS4
                 | 1u << BGP_CAP_EXTENDED | 1u << BGP_CAP_ENHANCED
                 | 1u << BGP_CAP_ADD_PATH | 1u << BGP_CAP_NEXT_HOP
                 | 1u << BGP_CAP_GR | 1u << BGP_CAP_LLGR | 1u << BGP_CAP_ROLE;
    o.caps.as = o.as;
    o.caps.add_path_receive = o.caps.families;
    o.caps.ext_next_hop = o.caps.families;
    o.caps.gr_families = o.caps.llgr_families = o.caps.families;
    o.caps.gr_time_s = 77;
    o.caps.role = BGP_ROLE_PEER;
    for (int i = 0; i < BGP_N_FAMILIES; i++) {
        o.caps.llgr_time_s[i] = 86400;
    }
    size_t n = bgp_open_write(&o, buf);
    CU_ASSERT(bgp_header_parse(buf, BGP_MAX_SIZE, &h, &e));
    CU_ASSERT_EQUAL(h.size, n);
    CU_ASSERT_EQUAL(h.type, BGP_OPEN);
    CU_ASSERT(bgp_open_parse(cur_init(buf + 19, n - 19), &back, &e));
    CU_ASSERT_EQUAL(back.as2, BGP_AS_TRANS);
    CU_ASSERT_EQUAL(back.as, o.as);
    CU_ASSERT_EQUAL(memcmp(&back.caps, &o.caps, sizeof o.caps), 0);

    memset(&o.caps, 0, sizeof o.caps);  /* No parameters at all. */
    o.as = 65000;
    n = bgp_open_write(&o, buf);
    CU_ASSERT_EQUAL(n, 29);
    CU_ASSERT(bgp_open_parse(cur_init(buf + 19, n - 19), &back, &e));
    CU_ASSERT_EQUAL(back.as, 65000);
}

static void
test_notification(void)
{
    struct bgp_error e = { BGP_E_CEASE, BGP_E_CEASE_SHUTDOWN, 0, { 0 } };
    struct bgp_error back;
    uint8_t buf[BGP_MAX_SIZE];
    char text[300];
    CU_ASSERT_FALSE(bgp_error_text(&e, text, sizeof text));
    bgp_error_set_text(&e, "maintenance \xe2\x82\xac");
    size_t n = bgp_notification_write(&e, buf);
    bgp_notification_parse(cur_init(buf + 19, n - 19), &back);
    CU_ASSERT_STRING_EQUAL(
        bgp_error_format(&back, text, sizeof text),
        "Cease: Administrative Shutdown (maintenance \xe2\x82\xac)");
    /* Hostile texts: control characters, no UTF-8, a wrong length. */
    bgp_error_set(&back, 6, 4, "\x04" "a\x1b\xff" "b", 5);
    CU_ASSERT(bgp_error_text(&back, text, sizeof text));
    CU_ASSERT_STRING_EQUAL(text, "a ?b");
    back.data[0] = 200;
    CU_ASSERT_FALSE(bgp_error_text(&back, text, sizeof text));
    /* No text where none belongs. */
    bgp_error_set(&back, 6, 7, "\x01" "a", 2);
    CU_ASSERT_FALSE(bgp_error_text(&back, text, sizeof text));
    /* Cut at a whole character. */
    char euro[400] = "x";
    for (int i = 0; i < 100; i++) {
        strcat(euro, "\xe2\x82\xac");
    }
    bgp_error_set_text(&e, euro);
    CU_ASSERT_EQUAL(e.data[0], 253);    /* 1 + 84 * 3 */
    CU_ASSERT_STRING_EQUAL(bgp_error_subname(3, 11), "Malformed AS_PATH");
    CU_ASSERT_STRING_EQUAL(bgp_error_subname(3, 77), "Unknown");
    CU_ASSERT_STRING_EQUAL(bgp_error_name(99), "Unknown Error");
    CU_ASSERT_STRING_EQUAL(bgp_error_subname(6, 0), "Unspecific");
}

static void
test_refresh(void)
{
    struct bgp_refresh r;
    struct bgp_error e;
    uint8_t buf[BGP_MAX_SIZE];
    size_t n = bgp_refresh_write(BGP_IPV6_UNICAST, 1, buf);
    CU_ASSERT_EQUAL(n, 23);
    CU_ASSERT(bgp_refresh_parse(cur_init(buf + 19, 4), &r, &e));
    CU_ASSERT_EQUAL(r.family, BGP_IPV6_UNICAST);
    CU_ASSERT_EQUAL(r.subtype, 1);
    /* Too short, or with more behind begin and end. */
    CU_ASSERT_FALSE(bgp_refresh_parse(cur_init(buf + 19, 3), &r, &e));
    CU_ASSERT_EQUAL(e.code, BGP_E_REFRESH);
    CU_ASSERT_EQUAL(e.n_data, 22);
    CU_ASSERT_FALSE(bgp_refresh_parse(cur_init(buf + 19, 5), &r, &e));
    buf[21] = 0;                /* Filters of a request: ignored. */
    CU_ASSERT(bgp_refresh_parse(cur_init(buf + 19, 5), &r, &e));
}

static void
test_names(void)
{
    for (int i = 0; i < BGP_N_FAMILIES; i++) {
        enum bgp_family f = (enum bgp_family) i;
        CU_ASSERT_EQUAL(bgp_family_find(bgp_family_afi(f),
                                        bgp_family_safi(f)), i);
        CU_ASSERT_EQUAL(bgp_family_by_name(bgp_family_name(f)), i);
    }
    CU_ASSERT_EQUAL(bgp_family_find(1, 133), -1);
    CU_ASSERT_EQUAL(bgp_family_by_name("ipv5"), -1);
    CU_ASSERT_EQUAL(bgp_role_by_name("rs-client"), BGP_ROLE_RS_CLIENT);
    CU_ASSERT_EQUAL(bgp_role_by_name("boss"), -1);
    CU_ASSERT_PTR_NULL(bgp_role_name(5));
}

UNIT_MAIN("bgp message", UNIT_TEST(test_header), UNIT_TEST(test_open),
          UNIT_TEST(test_capabilities), UNIT_TEST(test_capability_lengths),
          UNIT_TEST(test_extended_parameters),
          UNIT_TEST(test_open_round_trip), UNIT_TEST(test_notification),
          UNIT_TEST(test_refresh), UNIT_TEST(test_names))
