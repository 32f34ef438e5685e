/* Which route a flow gets, and what of it. */
#include <config.h>

#include "bgp/stamp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "bgp/rib.h"
#include "lib/batch.h"
#include "lib/dict.h"
#include "lib/source.h"
#include "tests/unit/unit.h"

static struct rib *rib;
static struct bgp_sink sink;
static struct dict *dict;
static struct stamper *stamper;
static struct flow_batch *b;

static struct addr
address(const char *text)
{
    struct addr a = { { 0 } };
    CU_ASSERT_EQUAL(addr_parse(text, &a), 0);
    return a;
}

static uint32_t
peer_up(const char *addr, uint32_t as, uint32_t id, const char *name)
{
    struct bgp_peer_info info = {
        .kind = BGP_PEER_SESSION, .address = address(addr), .as = as,
        .local_as = 65000, .id = id, .name = name,
    };
    return sink.peer_up(sink.aux, &info);
}

/* 'path': AS numbers, 0 ends them. */
static void
announce(uint32_t peer, const char *prefix, uint32_t path_id,
         const char *next_hop, const uint32_t *path)
{
    static uint64_t serial;
    uint32_t words[16] = { BGP_AS_SEQUENCE << 16 }, n = 0;
    uint32_t communities[] = { 65000u << 16 | path[0] % 1000 };
    struct bgp_nlri nlri = { .path_id = path_id };
    struct bgp_attrs a = {
        .serial = ++serial,
        .has = BGP_HAS_ORIGIN | BGP_HAS_AS_PATH | BGP_HAS_NEXT_HOP
               | BGP_HAS_MED,
        .origin = 2, .med = 7, .next_hop = address(next_hop),
        .as_path = words, .communities = communities, .n_communities = 1,
    };
    for (; path[n]; n++) {
        words[n + 1] = path[n];
    }
    words[0] |= n;
    a.n_as_path = n ? n + 1 : 0;
    CU_ASSERT_EQUAL(prefix_parse(prefix, &nlri.prefix), 0);
    nlri.family = addr_is_v4(&nlri.prefix.addr) ? BGP_IPV4_UNICAST
                                                : BGP_IPV6_UNICAST;
    sink.announce(sink.aux, peer, &nlri, &a);
}

#define PATH(...) ((const uint32_t[]) { __VA_ARGS__, 0 })

static void
setup(void)
{
    rcu_register_thread();
    dict = dict_create(1000, 1 << 20);
    rib = rib_create(&(struct rib_config) { .dict = dict });
    CU_ASSERT_PTR_NOT_NULL_FATAL(rib);
    sink = rib_sink(rib);
    stamper = stamper_create(rib, dict);
    b = batch_create();
    batch_reset(b);
}

static void
teardown(void)
{
    batch_destroy(b);
    stamper_destroy(stamper);
    rib_destroy(rib);
    dict_destroy(dict);
    rcu_unregister_thread();
}

/* Spans are told apart by source: one of each exporter. */
static struct source *
source_of(const struct addr *exporter)
{
    static struct source sources[8];
    unsigned i = 0;
    while (!addr_is_zero(&sources[i].key.exporter)
           && !addr_equal(&sources[i].key.exporter, exporter)) {
        i++;
    }
    sources[i].key.exporter = *exporter;
    return &sources[i];
}

static uint32_t
flow(const char *exporter, const char *src, const char *dst)
{
    uint32_t row = b->n++;
    batch_zero_rows(b, row, 1);
    b->exporter[row] = address(exporter);
    BATCH_SET(b, src_addr, row, address(src));
    BATCH_SET(b, dst_addr, row, address(dst));
    batch_add_span(b, source_of(&b->exporter[row]), row);
    return row;
}

static void
run(void)
{
    CU_ASSERT_EQUAL(stamper_refresh(stamper), 0);
    stamp_process(stamper, b);
}

#define TEXT(COLUMN, ROW) (batch_is_valid(b, COL_##COLUMN, ROW)         \
                           ? dict_text(dict, b->COLUMN[ROW]) : "null")
#define VALUE(COLUMN, ROW) (batch_is_valid(b, COL_##COLUMN, ROW)        \
                            ? (int64_t) b->COLUMN[ROW] : -1)
#define IS_NULL(COLUMN, ROW) CU_ASSERT(!batch_is_valid(b, COL_##COLUMN, ROW))

static void
test_columns(void)
{
    setup();
    uint32_t p = peer_up("192.0.2.1", 65001, 1, "border");
    announce(p, "10.0.0.0/8", 0, "192.0.2.1", PATH(65001, 100, 200));
    announce(p, "2001:db8::/32", 0, "2001:db8::1", PATH(65001, 300));
    announce(p, "192.168.0.0/16", 0, "192.0.2.3", (uint32_t[]) { 0 });
    uint32_t four = flow("203.0.113.1", "10.1.2.3", "192.168.1.1");
    uint32_t six = flow("203.0.113.1", "2001:db8::5", "2001:db9::1");
    uint32_t said = flow("203.0.113.1", "10.1.2.3", "10.1.2.4");
    uint32_t zero = flow("203.0.113.1", "10.1.2.3", "10.1.2.4");
    uint32_t none = b->n++;
    batch_zero_rows(b, none, 1);
    b->exporter[none] = address("203.0.113.1");
    batch_add_span(b, source_of(&b->exporter[none]), none);
    BATCH_SET(b, dst_as, said, 64999);
    BATCH_SET(b, dst_prefix_length, said, 20);
    BATCH_SET(b, as_path, said, dict_intern(dict, "64999", 5));
    BATCH_SET(b, bgp_next_hop, said, address("192.0.2.77"));
    BATCH_SET(b, dst_peer_as, said, 64998);
    BATCH_SET(b, dst_as, zero, 0);
    BATCH_SET(b, dst_prefix_length, zero, 0);
    run();

    CU_ASSERT_EQUAL(VALUE(src_as, four), 200);
    CU_ASSERT_EQUAL(VALUE(src_prefix_length, four), 8);
    CU_ASSERT_STRING_EQUAL(TEXT(src_as_path, four), "65001 100 200");
    CU_ASSERT_STRING_EQUAL(TEXT(src_communities, four), "65000:1");
    CU_ASSERT(addr_equal(&b->src_bgp_next_hop[four],
                         &(struct addr) { { [10] = 0xff, [11] = 0xff,
                                            [12] = 192, [14] = 2,
                                            [15] = 1 } }));
    CU_ASSERT_EQUAL(VALUE(src_peer_as, four), 65001);
    CU_ASSERT_EQUAL(VALUE(src_med, four), 7);
    IS_NULL(src_local_pref, four);
    CU_ASSERT_EQUAL(VALUE(src_origin, four), ROUTE_INCOMPLETE);
    CU_ASSERT_STRING_EQUAL(TEXT(src_route_peer, four), "border");
    CU_ASSERT_EQUAL(VALUE(src_route_view, four), ROUTE_VIEW_BEST);
    /* Of the peer's own network. */
    CU_ASSERT_EQUAL(VALUE(dst_as, four), 65001);
    IS_NULL(as_path, four);
    IS_NULL(dst_peer_as, four);
    CU_ASSERT_EQUAL(VALUE(dst_prefix_length, four), 16);
    /* IPv6, and an address without a route. */
    CU_ASSERT_EQUAL(VALUE(src_as, six), 300);
    CU_ASSERT_EQUAL(VALUE(src_prefix_length, six), 32);
    CU_ASSERT(addr_equal(&b->src_bgp_next_hop[six],
                         &(struct addr) { { 0x20, 1, 0x0d, 0xb8,
                                            [15] = 1 } }));
    IS_NULL(dst_as, six);
    IS_NULL(dst_prefix_length, six);
    IS_NULL(dst_route_view, six);
    /* What the exporter said. */
    CU_ASSERT_EQUAL(VALUE(dst_as, said), 64999);
    CU_ASSERT_EQUAL(VALUE(dst_prefix_length, said), 20);
    CU_ASSERT_STRING_EQUAL(TEXT(as_path, said), "64999");
    CU_ASSERT_EQUAL(VALUE(dst_peer_as, said), 64998);
    CU_ASSERT(b->bgp_next_hop[said].b[15] == 77);
    CU_ASSERT_STRING_EQUAL(TEXT(communities, said), "65000:1");
    CU_ASSERT_EQUAL(VALUE(dst_as, zero), 200);
    CU_ASSERT_EQUAL(VALUE(dst_prefix_length, zero), 8);
    IS_NULL(src_as, none);
    IS_NULL(dst_route_view, none);
    teardown();
}

static int64_t
view_of(uint32_t row)
{
    return VALUE(dst_route_view, row);
}

static void
test_views(void)
{
    static const char *const mapped[] = { "c" }, *const nobody[] = { "x" },
                      *const defaults[] = { "192.0.2.2" };
    struct stamp_map maps[] = {
        { address("203.0.113.7"), mapped, 1 },
        { address("192.0.2.1"), nobody, 1 },
    };
    struct stamp_config config = { maps, 2, NULL, 0 };
    setup();
    uint32_t a = peer_up("192.0.2.1", 65001, 0x0a000001, "a");
    uint32_t c2 = peer_up("192.0.2.2", 65002, 0x0a000002, "b");
    uint32_t c = peer_up("192.0.2.3", 65003, 0x0a000003, "c");
    announce(a, "10.0.0.0/8", 0, "192.0.2.1", PATH(65001, 9));
    announce(c2, "10.0.0.0/8", 0, "192.0.2.2", PATH(65002, 8, 9));
    announce(c2, "10.1.0.0/16", 0, "192.0.2.2", PATH(65002, 8, 9));
    announce(c, "0.0.0.0/0", 0, "192.0.2.3", PATH(65003));
    uint32_t by_address = flow("192.0.2.2", "10.1.1.1", "10.1.1.1");
    uint32_t by_id = flow("10.0.0.1", "10.1.1.1", "10.1.1.1");
    uint32_t by_map = flow("203.0.113.7", "10.1.1.1", "10.1.1.1");
    uint32_t of_none = flow("203.0.113.8", "10.1.1.1", "10.2.1.1");
    uint32_t of_nobody = flow("192.0.2.1", "10.1.1.1", "10.1.1.1");
    uint32_t other = flow("10.0.0.1", "10.1.1.1", "172.16.0.1");
    CU_ASSERT_EQUAL(stamper_configure(stamper, &config), 0);
    run();
    CU_ASSERT_STRING_EQUAL(TEXT(dst_route_peer, by_address), "b");
    CU_ASSERT_EQUAL(VALUE(dst_prefix_length, by_address), 16);
    CU_ASSERT_EQUAL(view_of(by_address), ROUTE_VIEW_EXPORTER);
    /* a has no longer match than /8. */
    CU_ASSERT_STRING_EQUAL(TEXT(dst_route_peer, by_id), "a");
    CU_ASSERT_EQUAL(VALUE(dst_prefix_length, by_id), 8);
    CU_ASSERT_EQUAL(view_of(by_id), ROUTE_VIEW_EXPORTER);
    CU_ASSERT_STRING_EQUAL(TEXT(dst_route_peer, by_map), "c");
    CU_ASSERT_EQUAL(VALUE(dst_prefix_length, by_map), 0);
    CU_ASSERT(batch_is_valid(b, COL_dst_prefix_length, by_map));
    /* The shorter path. */
    CU_ASSERT_STRING_EQUAL(TEXT(dst_route_peer, of_none), "a");
    CU_ASSERT_EQUAL(view_of(of_none), ROUTE_VIEW_BEST);
    /* The map names nobody who is there: not found by address either. */
    CU_ASSERT_EQUAL(view_of(of_nobody), ROUTE_VIEW_BEST);
    /* a has nothing for it: the next view. */
    CU_ASSERT_STRING_EQUAL(TEXT(dst_route_peer, other), "c");
    CU_ASSERT_EQUAL(view_of(other), ROUTE_VIEW_BEST);
    CU_ASSERT(stamper_is_view(stamper, &maps[0].exporter, c));
    CU_ASSERT(!stamper_is_view(stamper, &maps[0].exporter, a));

    /* A default view comes before the best. */
    config.defaults = defaults;
    config.n_defaults = 1;
    CU_ASSERT_EQUAL(stamper_configure(stamper, &config), 0);
    batch_reset(b);
    of_none = flow("203.0.113.8", "10.1.1.1", "10.2.1.1");
    other = flow("203.0.113.8", "10.1.1.1", "172.16.0.1");
    run();
    CU_ASSERT_STRING_EQUAL(TEXT(dst_route_peer, of_none), "b");
    CU_ASSERT_EQUAL(view_of(of_none), ROUTE_VIEW_DEFAULT);
    CU_ASSERT_STRING_EQUAL(TEXT(dst_route_peer, other), "c");
    CU_ASSERT_EQUAL(view_of(other), ROUTE_VIEW_BEST);
    teardown();
}

static void
test_next_hop(void)
{
    setup();
    uint32_t a = peer_up("192.0.2.1", 65001, 1, "a");
    announce(a, "10.0.0.0/8", 1, "192.0.2.11", PATH(65001));
    announce(a, "10.0.0.0/8", 2, "192.0.2.12", PATH(65001, 2));
    announce(a, "10.0.0.0/8", 3, "192.0.2.13", PATH(65001, 2, 3));
    uint32_t plain = flow("192.0.2.1", "10.1.1.1", "10.1.1.1");
    uint32_t hop = flow("192.0.2.1", "10.1.1.1", "10.1.1.1");
    uint32_t bgp_hop = flow("192.0.2.1", "10.1.1.1", "10.1.1.1");
    uint32_t unknown = flow("192.0.2.1", "10.1.1.1", "10.1.1.1");
    BATCH_SET(b, next_hop, hop, address("192.0.2.12"));
    BATCH_SET(b, next_hop, bgp_hop, address("192.0.2.12"));
    BATCH_SET(b, bgp_next_hop, bgp_hop, address("192.0.2.13"));
    BATCH_SET(b, next_hop, unknown, address("192.0.2.99"));
    run();
    CU_ASSERT_STRING_EQUAL(TEXT(as_path, plain), "65001");
    CU_ASSERT_STRING_EQUAL(TEXT(as_path, hop), "65001 2");
    CU_ASSERT_STRING_EQUAL(TEXT(src_as_path, hop), "65001");
    CU_ASSERT_STRING_EQUAL(TEXT(as_path, bgp_hop), "65001 2 3");
    CU_ASSERT_STRING_EQUAL(TEXT(as_path, unknown), "65001");
    teardown();
}

/* New flows have the new path; and the routes of who is gone are not taken, even
 * before they are cleared up. */
static void
test_changes(void)
{
    setup();
    uint32_t a = peer_up("192.0.2.1", 65001, 1, "a");
    uint32_t c = peer_up("192.0.2.2", 65002, 2, "b");
    announce(a, "10.0.0.0/8", 0, "192.0.2.1", PATH(65001, 9));
    announce(c, "10.0.0.0/7", 0, "192.0.2.2", PATH(65002, 9));
    uint32_t before = flow("203.0.113.8", "10.1.1.1", "10.1.1.1");
    run();
    CU_ASSERT_STRING_EQUAL(TEXT(as_path, before), "65001 9");
    uint32_t path = b->as_path[before];
    announce(a, "10.0.0.0/8", 0, "192.0.2.1", PATH(65001, 7, 9));
    batch_reset(b);
    uint32_t after = flow("203.0.113.8", "10.1.1.1", "10.1.1.1");
    run();
    CU_ASSERT_STRING_EQUAL(TEXT(as_path, after), "65001 7 9");
    CU_ASSERT_STRING_EQUAL(dict_text(dict, path), "65001 9");
    sink.peer_down(sink.aux, a);
    batch_reset(b);
    after = flow("203.0.113.8", "10.1.1.1", "10.1.1.1");
    run();
    CU_ASSERT_STRING_EQUAL(TEXT(as_path, after), "65002 9");
    CU_ASSERT_EQUAL(VALUE(dst_prefix_length, after), 7);
    teardown();
}

/* All rows at once and each alone get the same. */
static void
test_batches(void)
{
    setup();
    uint64_t seed = 1;
    uint32_t a = peer_up("192.0.2.1", 65001, 1, "a");
    uint32_t c = peer_up("192.0.2.2", 65002, 2, "b");
    for (unsigned i = 0; i < 300; i++) {
        char text[64];
        snprintf(text, sizeof text, i % 3 ? "10.%u.0.0/16" : "2001:db8:%x::/48",
                 i % 256);
        announce(i % 2 ? a : c, text, 0, "192.0.2.1",
                 PATH(65001 + i % 2, 1 + i));
    }
    for (unsigned round = 0; round < 3; round++) {
        static struct flow_batch copy;
        batch_reset(b);
        /* Whole words with routes, words with some, and the rest. */
        for (unsigned i = 0; i < 1500; i++) {
            char src[64], dst[64];
            seed = seed * 6364136223846793005 + 1442695040888963407;
            unsigned x = (unsigned) (seed >> 40);
            snprintf(src, sizeof src, x % 4 ? "10.%u.1.1" : "2001:db8:%x::1",
                     x / 4 % (round ? 256 : 100));
            snprintf(dst, sizeof dst, round == 2 && i % 100 == 7
                     ? "192.168.%u.1" : "10.%u.1.1", x / 16 % 100);
            flow(x & 4096 ? "192.0.2.1" : "203.0.113.8", src, dst);
            if (round == 2 && x % 50 == 0) {
                BATCH_SET(b, dst_med, i, 77);
            }
        }
        memcpy(&copy, b, sizeof copy);
        run();
        struct flow_batch *one = batch_create();
        for (unsigned i = 0; i < copy.n; i++) {
            batch_reset(one);
            one->n = 1;
            one->n_spans = 1;
            one->spans[0] = (struct batch_span) { NULL, 0, 1 };
            one->exporter[0] = copy.exporter[i];
            BATCH_SET(one, src_addr, 0, copy.src_addr[i]);
            BATCH_SET(one, dst_addr, 0, copy.dst_addr[i]);
            if (batch_is_valid(&copy, COL_dst_med, i)) {
                BATCH_SET(one, dst_med, 0, copy.dst_med[i]);
            }
            stamp_process(stamper, one);
            for (unsigned col = 0; col < N_COLUMNS; col++) {
                bool valid = batch_is_valid(b, col, i);
                unsigned size = columns[col].size;
                CU_ASSERT_EQUAL(valid, batch_is_valid(one, col, 0));
                CU_ASSERT(!valid || !memcmp(
                    (char *) batch_column(b, col) + i * size,
                    batch_column(one, col), size));
            }
        }
        batch_destroy(one);
    }
    teardown();
}

UNIT_MAIN("stamp", UNIT_TEST(test_columns), UNIT_TEST(test_views),
          UNIT_TEST(test_next_hop), UNIT_TEST(test_changes),
          UNIT_TEST(test_batches))
