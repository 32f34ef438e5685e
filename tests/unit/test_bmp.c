#include <config.h>

#include "bgp/bmp_router.h"

#include "tests/unit/bgp_util.h"

static struct bmp_router *router;
static struct recorder seen;
static struct bgp_sink sink;
static struct bgp_decoder *decoder;
static struct bmp_router_config config;

#define MARK "ffffffffffffffffffffffffffffffff "
/* Type, flags, distinguisher, 192.0.2.1, AS 65001, id, time. */
#define PEER(TYPE, FLAGS) TYPE FLAGS " 0000000000000000 " \
    "000000000000000000000000c0000201 0000fde9 c0000201 65000000 00000005 "
/* An OPEN of AS 65001 with IPv4, four octets, ADD-PATH both ways. */
#define OPEN MARK "0037 01 04 fde9 005a c0000201 1a 0218 0104 00010001 " \
             "0104 00020001 4104 0000fde9 4504 00010103 "
#define UP PEER("00", "00") "000000000000000000000000c0000205 00b3 0fa0 " \
           OPEN OPEN
#define ATTRS "400101 00 40020a 0202 0000fde9 0000fdea 400304 c0000201 "
/* 10.1.2.0/24 with path identifier 1. */
#define ROUTE MARK "0037 02 0000 0018 " ATTRS "00000001 18 0a0102 "

static void
begin(void)
{
    struct addr a;
    addr_parse("192.0.2.9", &a);
    memset(&seen, 0, sizeof seen);
    sink = recorder_sink(&seen);
    decoder = decoder ? decoder : bgp_decoder_create();
    config = (struct bmp_router_config) {
        .max_peers = 3, .families = (1u << BGP_N_FAMILIES) - 1, .views = 31,
        .sink = &sink, .decoder = decoder,
    };
    router = bmp_router_create(&a);
}

static bool
get(uint8_t version, uint8_t type, const char *hex)
{
    size_t n;
    uint8_t *body = unhex(hex, &n), *p = malloc(n + BMP_HEADER_SIZE);
    struct bmp_header h;
    size_t size = n + BMP_HEADER_SIZE;
    p[0] = version;
    p[1] = p[2] = 0;
    p[3] = (uint8_t) (size >> 8);
    p[4] = (uint8_t) size;
    p[5] = type;
    memcpy(p + BMP_HEADER_SIZE, body, n);
    CU_ASSERT(bmp_header_parse(p, &h));
    CU_ASSERT_EQUAL(h.size, size);
    bool goes_on = bmp_router_message(router, &config, &h, p);
    free(body);
    free(p);
    return goes_on;
}

static void
expect_at(int line, const char *text)
{
    if (strcmp(seen.text, text)) {
        fprintf(stderr, "line %d: got %s", line, seen.text);
        CU_FAIL("routes");
    }
    seen.n = 0;
    seen.text[0] = '\0';
}
#define expect(TEXT) expect_at(__LINE__, TEXT)

static void
test_header(void)
{
    static const struct {
        uint8_t p[6];
        bool good;
    } cases[] = {
        { { 3, 0, 0, 0, 6, 4 }, true }, { { 4, 0, 0, 0, 6, 4 }, true },
        { { 2, 0, 0, 0, 6, 4 }, false }, { { 3, 0, 0, 0, 5, 4 }, false },
        { { 3, 0, 4, 0, 0, 0 }, true }, { { 3, 0, 4, 0, 1, 0 }, false },
        { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bmp_header h;
        CU_ASSERT_EQUAL(bmp_header_parse(cases[i].p, &h), cases[i].good);
    }
}

static void
test_session(void)
{
    begin();
    CU_ASSERT(get(3, BMP_INITIATION, "0002(7231) 0001(465252) 0000(6869)"));
    CU_ASSERT_STRING_EQUAL(router->name, "r1");
    CU_ASSERT_STRING_EQUAL(router->description, "FRR");
    get(3, BMP_PEER_UP, UP);
    expect("");                 /* No table is known yet. */
    CU_ASSERT_EQUAL(router->n_up, 1);
    CU_ASSERT_EQUAL(router->peers->as, 65001);
    CU_ASSERT_EQUAL(router->peers->up_us, 0x65000000ll * 1000000 + 5);
    /* Before and after policy are two tables, sent routes a third. */
    get(3, BMP_ROUTE_MONITORING, PEER("00", "00") ROUTE);
    expect("up 192.0.2.1\n+ ipv4-unicast 10.1.2.0/24 id 1\n");
    get(3, BMP_ROUTE_MONITORING, PEER("00", "40") ROUTE);
    get(3, BMP_ROUTE_MONITORING, PEER("00", "10") ROUTE);
    get(3, BMP_ROUTE_MONITORING, PEER("00", "50") ROUTE);
    CU_ASSERT_EQUAL(seen.n_peers, 4);
    seen.n = 0;
    get(3, BMP_STATISTICS, PEER("00", "00") "00000003 0000(00000007)"
        "0007(0000000000000009) 0009(0001010000000000000005)");
    CU_ASSERT_EQUAL(router->peers->statistics[0], 7);
    CU_ASSERT_EQUAL(router->peers->statistics[7], 9);
    CU_ASSERT_EQUAL(router->peers->family_statistics[9][BGP_IPV4_UNICAST], 5);
    get(3, BMP_MIRRORING, PEER("00", "00") "0001(0000) 0000(0102)");
    CU_ASSERT_EQUAL(router->n.mirrored, 1);
    CU_ASSERT_EQUAL(router->n.mirror_errors, 1);
    get(3, BMP_PEER_DOWN, PEER("00", "00") "03 " MARK "0015 03 0602");
    expect("down 0\ndown 1\ndown 2\ndown 3\n");
    CU_ASSERT_STRING_EQUAL(router->peers->reason, "the peer ended the "
                           "session: Cease: Administrative Shutdown");
    CU_ASSERT_EQUAL(router->n_up, 0);
    /* What still comes of it is not believed. */
    get(3, BMP_ROUTE_MONITORING, PEER("00", "00") ROUTE);
    expect("");
    CU_ASSERT_EQUAL(router->n.unknown_peer, 1);
    CU_ASSERT_FALSE(get(3, BMP_TERMINATION, "0001(0000)"));
    CU_ASSERT_STRING_EQUAL(router->terminated, "the router closed the "
                           "session: closed by an administrator");
    CU_ASSERT_EQUAL(router->n.malformed, 0);
    bmp_router_destroy(router, &config);
}

/* RFC 9234: by the role that the router told its peer. */
static void
test_leaks(void)
{
    static const struct {
        const char *sent, *otc, *flags;
        bool leak;
    } cases[] = {
        { "fde8 090100", "0000fde9", "00", true },      /* Provider. */
        { "fde8 090101", "0000fde9", "40", true },      /* Route server. */
        { "fde8 090103", "0000fde9", "00", false },     /* Customer. */
        { "fde8 090104", "0000fde9", "00", false },     /* Peer, its own AS; */
        { "fde8 090104", "0000fdea", "00", true },      /* another one. */
        { "fde8 090100", "0000fde9", "10", false },     /* What goes out. */
        { "fde9 090100", "0000fde9", "00", false },     /* Internal. */
        { "fde8 4600", "0000fde9", "00", false },       /* No role. */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char hex[600];
        begin();
        bool role = strlen(cases[i].sent) > 9;
        snprintf(hex, sizeof hex, PEER("00", "00")
                 "000000000000000000000000c0000205 00b3 0fa0 " MARK
                 "%s 01 04 %.4s 005a c0000205 %s 0104 00010001 "
                 "4104 0000%.4s %.*s " OPEN, role ? "002e" : "002d",
                 cases[i].sent, role ? "11 020f" : "10 020e", cases[i].sent,
                 role ? 6 : 4, cases[i].sent + 5);
        get(3, BMP_PEER_UP, hex);
        snprintf(hex, sizeof hex, "00 %s %s " MARK "003a 02 0000 001f " ATTRS
                 "c02304 %s 18 0a0102", cases[i].flags, PEER("", "") + 1,
                 cases[i].otc);
        get(3, BMP_ROUTE_MONITORING, hex);
        CU_ASSERT_EQUAL(router->n.announced, 1);
        CU_ASSERT_EQUAL((seen.attrs.has & BGP_HAS_LEAK) != 0, cases[i].leak);
        CU_ASSERT_EQUAL(counter_get(&router->n.leaks), cases[i].leak);
        bmp_router_destroy(router, &config);
    }
}

/* Loc-RIB without a Peer Up, as GoBGP does; own routes have no AS_PATH. */
static void
test_loc_rib(void)
{
    begin();
    get(3, BMP_ROUTE_MONITORING, PEER("03", "00") MARK
        "002a 02 0000 000f 400101 00 400200 400304 00000000 08 0a");
    CU_ASSERT_EQUAL(router->n.malformed, 1);    /* Its length is wrong. */
    get(3, BMP_ROUTE_MONITORING, PEER("03", "00") MARK
        "0027 02 0000 000e 400101 00 400200 400304 00000000 08 0a");
    expect("up ::\n+ ipv4-unicast 10.0.0.0/8\n");
    get(3, BMP_ROUTE_MONITORING, PEER("03", "00") MARK
        "0024 02 0000 000b 400101 00 400304 00000000 08 0b");
    expect("+ ipv4-unicast 11.0.0.0/8\n");
    bmp_router_destroy(router, &config);
    expect("down 0\n");
}

static void
test_version_4(void)
{
    begin();
    get(4, BMP_PEER_UP, UP);
    get(4, BMP_ROUTE_MONITORING, PEER("00", "00") ROUTE "0001 0002 0000 aabb");
    get(4, BMP_ROUTE_MONITORING, PEER("00", "00")
        "0001 0002 0000 aabb 0004 0037 0000 " ROUTE);
    expect("up 192.0.2.1\n+ ipv4-unicast 10.1.2.0/24 id 1\n"
           "+ ipv4-unicast 10.1.2.0/24 id 1\n");
    CU_ASSERT_EQUAL(router->n.malformed, 0);
    bmp_router_destroy(router, &config);
}

/* Malformed, unknown, too much: counted, and the session goes on. */
static void
test_bad(void)
{
    begin();
    CU_ASSERT(get(3, BMP_PEER_UP, PEER("00", "00") "00"));
    CU_ASSERT(get(3, BMP_PEER_DOWN, "00"));
    CU_ASSERT(get(3, 99, "00"));
    CU_ASSERT(get(3, BMP_PEER_DOWN, PEER("00", "00") "04"));
    CU_ASSERT_EQUAL(router->n.malformed, 2);
    CU_ASSERT_EQUAL(router->n.unknown_type, 1);
    CU_ASSERT_EQUAL(router->n.unknown_peer, 1);
    /* Twice up: the first session is over.  A family that is not kept. */
    get(3, BMP_PEER_UP, UP);
    get(3, BMP_ROUTE_MONITORING, PEER("00", "00") ROUTE);
    get(3, BMP_PEER_UP, UP);
    expect("up 192.0.2.1\n+ ipv4-unicast 10.1.2.0/24 id 1\ndown 0\n");
    get(3, BMP_ROUTE_MONITORING, PEER("00", "00") MARK "0029 02 0000 0012 "
        "400101 00 400200 800e08 0019 41 00 00 010203");
    CU_ASSERT_EQUAL(router->n.families_skipped, 1);
    config.max_peers = 1;
    get(3, BMP_ROUTE_MONITORING, PEER("03", "00") ROUTE);
    CU_ASSERT_EQUAL(router->n.refused_peers, 1);
    bmp_router_destroy(router, &config);
    bgp_decoder_destroy(decoder);
}

UNIT_MAIN("bmp", UNIT_TEST(test_header), UNIT_TEST(test_session),
          UNIT_TEST(test_leaks), UNIT_TEST(test_loc_rib), UNIT_TEST(test_version_4),
          UNIT_TEST(test_bad))
