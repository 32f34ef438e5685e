#include <config.h>

#include "lib/source.h"

#include "tests/unit/unit.h"

static struct addr
A(const char *text)
{
    struct addr a;
    CU_ASSERT_EQUAL_FATAL(addr_parse(text, &a), 0);
    return a;
}

static void
test_find(void)
{
    struct observation list[] = {
        { .match = { .protocol = PROTO_SFLOW5 }, .bridge = 1 },
        { .match = { .protocol = PROTO_SFLOW5, .agent = A("127.64.0.9") },
          .match_agent = true, .bridge = 2 },
        { .match = { .protocol = PROTO_IPFIX, .domain = 7 },
          .match_domain = true, .bridge = 3 },
        { .match = { .protocol = PROTO_IPFIX, .domain = 7,
                     .exporter = A("192.0.2.1") },
          .match_domain = true, .bridge = 4 },
    };
    struct observation_map map = { .gen = 1, .list = list, .n = 4 };
    struct source_key key = { .exporter = A("127.0.0.1"),
                              .agent = A("127.64.0.9"),
                              .protocol = PROTO_SFLOW5 };
    CU_ASSERT_EQUAL(observation_find(&map, &key)->bridge, 2);
    key.agent = A("10.0.0.1");
    CU_ASSERT_EQUAL(observation_find(&map, &key)->bridge, 1);
    key.protocol = PROTO_IPFIX;
    CU_ASSERT_PTR_NULL(observation_find(&map, &key));
    key.domain = 7;
    CU_ASSERT_EQUAL(observation_find(&map, &key)->bridge, 3);
    key.exporter = A("192.0.2.1");
    CU_ASSERT_EQUAL(observation_find(&map, &key)->bridge, 4);
    CU_ASSERT_PTR_NULL(observation_find(NULL, &key));

    struct source source = { .key = key };
    CU_ASSERT_EQUAL(observation_of(&map, &source)->bridge, 4);
    map.n = 3;                          /* Remembered, not looked up. */
    CU_ASSERT_EQUAL(observation_of(&map, &source)->bridge, 4);
    map.gen++;
    CU_ASSERT_EQUAL(observation_of(&map, &source)->bridge, 3);
    map.n = 0;
    map.gen++;
    CU_ASSERT_PTR_NULL(observation_of(&map, &source));
    CU_ASSERT_PTR_NULL(observation_of(&map, &source));
}

static void
test_interfaces(void)
{
    struct observation_if ifs[] = {
        { 1, 10, 0, NULL }, { 5, 50, 0, NULL },
        { 65534, 70, 0, NULL },
    };
    struct observation o = { .ifs = ifs, .n_ifs = 3 };
    CU_ASSERT_EQUAL(observation_if_find(&o, 5)->name, 50);
    CU_ASSERT_EQUAL(observation_if_find(&o, 65534)->name, 70);
    CU_ASSERT_PTR_NULL(observation_if_find(&o, 0));
    CU_ASSERT_PTR_NULL(observation_if_find(&o, 6));
    CU_ASSERT_PTR_NULL(observation_if_find(&o, UINT32_MAX));
}

static void
test_stats(void)
{
    struct observation_stats *s = observation_stats_get(3, PROTO_IPFIX);
    CU_ASSERT_PTR_EQUAL(observation_stats_get(3, PROTO_IPFIX), s);
    CU_ASSERT_PTR_NOT_EQUAL(observation_stats_get(3, PROTO_SFLOW5), s);
    for (const struct counter_def *d = source_counter_defs; d->name; d++) {
        CU_ASSERT_TRUE(d->doc[0] != '\0');
    }
}

UNIT_MAIN("source", UNIT_TEST(test_find), UNIT_TEST(test_interfaces),
          UNIT_TEST(test_stats))
