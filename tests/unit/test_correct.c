#include <config.h>

#include "collector/exporter/correct.h"

#include <urcu.h>

#include "collector/exporter/source_table.h"
#include "tests/unit/unit.h"

#define T INT64_C(1763874000000000)

static struct source src;

/* A batch of one row as a decoder would leave it. */
static struct flow_batch *
one_row(uint8_t protocol, uint64_t packets, uint64_t bytes)
{
    struct flow_batch *b = batch_create();
    memset(&src, 0, sizeof src);
    src.key.protocol = protocol;
    batch_zero_rows(b, 0, 1);
    b->received[0] = b->flow_end[0] = T;
    b->flow_start[0] = T - 1000000;
    b->raw_packets[0] = b->packets[0] = packets;
    b->raw_bytes[0] = b->bytes[0] = bytes;
    b->n = 1;
    batch_add_span(b, &src, 0);
    return b;
}

static struct observation_map *
one_observation(struct observation o)
{
    static uint64_t gen;
    struct observation_map *map = calloc(1, sizeof *map);
    map->gen = ++gen;
    map->n = 1;
    map->list = malloc(sizeof o);
    map->list[0] = o;
    return map;
}

static void
run(struct flow_batch *b, struct observation_map *map)
{
    struct correct c = { NULL };
    correct_publish(&c, map);
    correct_process(&c, b);
    correct_publish(&c, NULL);
}

static void
test_unknown_rate(void)
{
    struct flow_batch *b = one_row(PROTO_NETFLOW5, 10, 1000);
    run(b, NULL);
    CU_ASSERT_EQUAL(b->packets[0], 10);
    CU_ASSERT_EQUAL(b->bytes[0], 1000);
    CU_ASSERT_EQUAL(b->quality[0], Q_RATE_UNKNOWN);
    CU_ASSERT_FALSE(batch_is_valid(b, COL_sampling, 0));
    CU_ASSERT_TRUE(b->canonical[0]);
    CU_ASSERT_EQUAL(counter_get(&src.n.rate_unknown), 1);
    batch_destroy(b);
}

static void
test_scaled_by_us(void)
{
    struct flow_batch *b = one_row(PROTO_SFLOW5, 1, 100);
    BATCH_SET(b, sampling, 0, 400);
    BATCH_SET(b, l2_bytes, 0, 114);
    run(b, NULL);
    CU_ASSERT_EQUAL(b->packets[0], 400);
    CU_ASSERT_EQUAL(b->bytes[0], 40000);
    CU_ASSERT_EQUAL(b->l2_bytes[0], 45600);
    CU_ASSERT_EQUAL(b->raw_packets[0], 1);
    CU_ASSERT_EQUAL(b->raw_bytes[0], 100);
    CU_ASSERT_EQUAL(b->quality[0], 0);
    batch_destroy(b);

    /* The rate of an options record. */
    b = one_row(PROTO_IPFIX, 3, 300);
    src.sampling = 10;
    run(b, NULL);
    CU_ASSERT_EQUAL(b->packets[0], 30);
    CU_ASSERT_EQUAL(b->sampling[0], 10);
    batch_destroy(b);

    /* A hostile rate does not wrap around. */
    b = one_row(PROTO_IPFIX, UINT64_MAX / 2, UINT64_MAX / 2);
    src.sampling = UINT32_MAX;
    run(b, NULL);
    CU_ASSERT_EQUAL(b->packets[0], UINT64_MAX);
    batch_destroy(b);
}

static void
test_ovs_ipfix(void)
{
    struct observation_if ifs[] = {
        { 5, 50, 0, NULL }, { 6, 60, 0, NULL },
    };
    struct observation o = {
        .match = { .protocol = PROTO_IPFIX }, .bridge = 7, .sampling = 64,
        .scaled_by_exporter = true, .canonical = true, .ifs = ifs,
        .n_ifs = 2, .stats = observation_stats_get(7, PROTO_IPFIX),
    };
    struct flow_batch *b = one_row(PROTO_IPFIX, 64, 6400);
    BATCH_SET(b, direction, 0, DIR_INGRESS);
    BATCH_SET(b, in_if, 0, 5);
    run(b, one_observation(o));
    CU_ASSERT_EQUAL(b->packets[0], 64);         /* Not scaled twice. */
    CU_ASSERT_EQUAL(b->raw_packets[0], 1);
    CU_ASSERT_EQUAL(b->raw_bytes[0], 100);
    CU_ASSERT_EQUAL(b->quality[0], Q_SCALED_BY_EXPORTER);
    CU_ASSERT_EQUAL(b->bridge[0], 7);
    CU_ASSERT_EQUAL(b->in_if_name[0], 50);
    CU_ASSERT_FALSE(batch_is_valid(b, COL_out_if_name, 0));
    CU_ASSERT_TRUE(b->canonical[0]);
    CU_ASSERT_EQUAL(counter_get(&o.stats->packets), 64);
    CU_ASSERT_EQUAL(counter_get(&o.stats->records), 1);
    CU_ASSERT_EQUAL(o.stats->last_us, T);
    batch_destroy(b);

    /* The same packet on its way out is not counted again. */
    b = one_row(PROTO_IPFIX, 64, 6400);
    BATCH_SET(b, direction, 0, DIR_EGRESS);
    run(b, one_observation(o));
    CU_ASSERT_FALSE(b->canonical[0]);
    batch_destroy(b);
}

static void
test_ovs_netflow(void)
{
    struct observation o = {
        .match = { .protocol = PROTO_NETFLOW5 }, .bridge = 7, .sampling = 1,
        .counts_frames = true,
    };
    struct flow_batch *b = one_row(PROTO_NETFLOW5, 10, 1140);
    run(b, one_observation(o));
    CU_ASSERT_EQUAL(b->l2_bytes[0], 1140);
    CU_ASSERT_EQUAL(b->bytes[0], 1000);
    CU_ASSERT_EQUAL(b->sampling[0], 1);
    CU_ASSERT_EQUAL(b->quality[0], Q_L3_ESTIMATED);
    CU_ASSERT_FALSE(b->canonical[0]);
    batch_destroy(b);
}

/* Which port a packet left by, as Open vSwitch's NetFlow says it. */
static void
test_ovs_netflow_output(void)
{
    static const struct {
        uint16_t mask;
        bool patched;
        uint32_t out_if;
        bool known, named;
        uint8_t status;         /* 0: not told. */
    } cases[] = {
        { 0xffff, false, 2, true, true, 0 },
        { 0xffff, false, 0xfffc, true, false, 0 },
        { 0xffff, false, 0xfffd, false, false, 128 },
        { 0xffff, false, 0xfffe, false, false, 64 },
        { 0xffff, false, 0xffff, false, false, 64 },
        { 0xffff, true, 2, true, false, 0 },
        { 0x01ff, false, 3 << 9 | 2, true, false, 0 },
        { 0x01ff, false, 3 << 9 | 0x1fd, false, false, 128 },
        { 0x01ff, false, 3 << 9 | 0x1ff, false, false, 64 },
    };
    struct observation_if port2 = { .number = 2, .name = 9 };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct observation o = {
            .match = { .protocol = PROTO_NETFLOW5 }, .bridge = 7,
            .sampling = 1, .counts_frames = true, .port_mask = cases[i].mask,
            .patched = cases[i].patched, .ifs = &port2, .n_ifs = 1,
        };
        struct flow_batch *b = one_row(PROTO_NETFLOW5, 10, 1140);
        BATCH_SET(b, out_if, 0, cases[i].out_if);
        run(b, one_observation(o));
        CU_ASSERT_EQUAL(batch_is_valid(b, COL_out_if, 0), cases[i].known);
        CU_ASSERT_EQUAL(batch_is_valid(b, COL_out_if_name, 0),
                        cases[i].named);
        CU_ASSERT_EQUAL(batch_is_valid(b, COL_forwarding_status, 0),
                        cases[i].status != 0);
        if (cases[i].status) {
            CU_ASSERT_EQUAL(b->forwarding_status[0], cases[i].status);
        }
        CU_ASSERT_EQUAL((b->quality[0] & Q_OUTPUT_UNKNOWN) != 0,
                        !cases[i].known || cases[i].patched);
        batch_destroy(b);
    }
}

/* Open vSwitch that no OVSDB explains. */
static void
test_foreign_ovs(void)
{
    struct flow_batch *b = one_row(PROTO_IPFIX, 64, 6400);
    src.ovs = true;
    run(b, NULL);
    CU_ASSERT_EQUAL(b->packets[0], 64);
    CU_ASSERT_EQUAL(b->quality[0], Q_RATE_UNKNOWN);
    CU_ASSERT_TRUE(b->canonical[0]);
    batch_destroy(b);

    b = one_row(PROTO_IPFIX, 64, 6400); /* Its rate is configured. */
    src.ovs = true;
    src.sampling = 64;
    run(b, NULL);
    CU_ASSERT_EQUAL(b->packets[0], 64);
    CU_ASSERT_EQUAL(b->raw_packets[0], 1);
    CU_ASSERT_EQUAL(b->quality[0], Q_SCALED_BY_EXPORTER);
    batch_destroy(b);

    b = one_row(PROTO_IPFIX, 1, 1);     /* Ingress may still come... */
    src.ovs = true;
    src.first_us = T;
    BATCH_SET(b, direction, 0, DIR_EGRESS);
    run(b, NULL);
    CU_ASSERT_FALSE(b->canonical[0]);
    src.first_us = T - INT64_C(11000000);       /* ...it did not... */
    run(b, NULL);
    CU_ASSERT_TRUE(b->canonical[0]);
    b->direction[0] = DIR_INGRESS;      /* ...and now ingress, too. */
    run(b, NULL);
    CU_ASSERT_TRUE(b->canonical[0]);
    b->direction[0] = DIR_EGRESS;
    run(b, NULL);
    CU_ASSERT_FALSE(b->canonical[0]);
    b->received[0] += (SOURCE_INTERFACE_S + 1) * INT64_C(1000000);
    run(b, NULL);                       /* That is long ago. */
    CU_ASSERT_TRUE(b->canonical[0]);
    batch_destroy(b);
}

/* A router that reports both directions at some interfaces. */
static void
test_both_directions(void)
{
    static const struct {
        uint8_t direction;
        uint32_t in_if, out_if;         /* 0: not told. */
        bool canonical;
    } steps[] = {
        { DIR_INGRESS, 1, 0, true },
        { DIR_EGRESS, 1, 0, true },     /* Nothing is known yet. */
        { DIR_INGRESS, 1, 3, true },
        { DIR_EGRESS, 1, 3, false },
        { DIR_EGRESS, 2, 3, true },     /* Nobody reports what enters at 2. */
        { DIR_EGRESS, 0, 3, true },
        { DIR_INGRESS, 2, 3, true },
        { DIR_EGRESS, 2, 3, false },
        /* A probe on a wire, 5, and what goes back where it came from. */
        { DIR_INGRESS, 5, 5, true },
        { DIR_EGRESS, 5, 5, true },
        { DIR_INGRESS, 5, 5, true },
        { DIR_EGRESS, 5, 5, true },
        { DIR_INGRESS, 1, 1, true },
        { DIR_EGRESS, 1, 1, false },
    };
    struct source_table *t = source_table_create(4);
    struct source_key key = { .protocol = PROTO_NETFLOW9, .domain = 1 };
    struct source *s[2];
    s[0] = source_table_get(t, &key);
    key.domain = 2;                     /* Another line card. */
    s[1] = source_table_get(t, &key);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct flow_batch *b = one_row(PROTO_NETFLOW9, 1, 1);
        b->spans[0].source = s[i / 2 % 2];
        BATCH_SET(b, direction, 0, steps[i].direction);
        BATCH_SET(b, in_if, 0, steps[i].in_if);
        if (steps[i].out_if) {
            BATCH_SET(b, out_if, 0, steps[i].out_if);
        }
        run(b, NULL);
        CU_ASSERT_EQUAL(b->canonical[0], steps[i].canonical);
        batch_destroy(b);
    }
    CU_ASSERT_TRUE(source_interface_known(s[0], 1, T / 1000000));
    CU_ASSERT_FALSE(source_interface_known(s[0], 1, T / 1000000
                                                    + SOURCE_INTERFACE_S
                                                    + 1));
    source_table_destroy(t);
}

static void
test_times(void)
{
    struct flow_batch *b = one_row(PROTO_NETFLOW5, 1, 1);
    b->flow_end[0] = T + CORRECT_MAX_FUTURE_US + 1;
    run(b, NULL);
    CU_ASSERT_EQUAL(b->flow_end[0], T);
    CU_ASSERT_EQUAL(b->flow_start[0], T);
    CU_ASSERT_TRUE(b->quality[0] & Q_TIME_CORRECTED);
    batch_destroy(b);

    b = one_row(PROTO_NETFLOW5, 1, 1);
    b->flow_start[0] = b->flow_end[0] + 1;
    run(b, NULL);
    CU_ASSERT_EQUAL(b->flow_start[0], T);
    CU_ASSERT_TRUE(b->quality[0] & Q_TIME_CORRECTED);
    batch_destroy(b);

    b = one_row(PROTO_NETFLOW5, 1, 1);
    b->flow_start[0] = T - INT64_C(4200) * 1000000;     /* OVS's longest. */
    run(b, NULL);
    CU_ASSERT_EQUAL(b->flow_start[0], T - INT64_C(4200) * 1000000);
    CU_ASSERT_FALSE(b->quality[0] & Q_TIME_CORRECTED);
    batch_destroy(b);
}

/* By the address, unless the exporter has said so. */
static void
test_multicast(void)
{
    static const struct { const char *dst; bool is; } cases[] = {
        { "224.0.0.1", true }, { "239.255.255.255", true },
        { "240.0.0.1", false }, { "223.1.1.1", false },
        { "ff02::1", true }, { "2001:db8::1", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct flow_batch *b = one_row(PROTO_IPFIX, 1, 1);
        addr_parse(cases[i].dst, &b->dst_addr[0]);
        batch_set_valid(b, COL_dst_addr, 0);
        run(b, NULL);
        CU_ASSERT_TRUE(batch_is_valid(b, COL_multicast, 0));
        CU_ASSERT_EQUAL(b->multicast[0], cases[i].is);
        BATCH_SET(b, multicast, 0, !cases[i].is);
        run(b, NULL);
        CU_ASSERT_EQUAL(b->multicast[0], !cases[i].is);
        batch_destroy(b);
    }
}

static int
run_registered(void)
{
    static const struct unit_test tests[] = {
        UNIT_TEST(test_multicast), UNIT_TEST(test_unknown_rate),
        UNIT_TEST(test_scaled_by_us),
        UNIT_TEST(test_ovs_ipfix), UNIT_TEST(test_ovs_netflow),
        UNIT_TEST(test_ovs_netflow_output),
        UNIT_TEST(test_foreign_ovs), UNIT_TEST(test_both_directions),
        UNIT_TEST(test_times),
    };
    return unit_run("correct", tests, sizeof tests / sizeof tests[0]);
}

int
main(void)
{
    rcu_register_thread();
    int error = run_registered();
    rcu_unregister_thread();
    return error;
}
