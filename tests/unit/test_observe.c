#include <config.h>

#include "daemon/observe.h"

#include "lib/dict.h"
#include "lib/source.h"
#include "tests/unit/unit.h"

#define NOW INT64_C(1763874000000000)
#define S(N) (INT64_C(N) * 1000000)

static struct dict *dict;

/* The options of a row. */
#define VALUES(...)                                                     \
    .n_values = N_EXPORT_OPTIONS,                                       \
    .value = (struct export_value[N_EXPORT_OPTIONS]) { __VA_ARGS__ }

static const char *
name_of(uint32_t id)
{
    return dict_text(dict, id);
}

static struct observe_listen
listening(enum export_table table, const char *endpoint)
{
    struct observe_listen l = { .table = table };
    CU_ASSERT_EQUAL_FATAL(endpoint_parse(endpoint, 0, &l.addr, &l.port), 0);
    return l;
}

static struct observation *
find(struct observation_map *map, uint8_t protocol, const char *agent,
     uint32_t domain)
{
    struct source_key key = { .protocol = protocol, .domain = domain };
    addr_parse("127.0.0.1", &key.exporter);
    addr_parse(agent, &key.agent);
    return observation_find(map, &key);
}

static void
test_build(void)
{
    char *sflow_targets[] = { "127.0.0.1" };
    char *ipfix_targets[] = { "10.9.9.9:4739", "127.0.0.1:4739" };
    char *netflow_targets[] = { "127.0.0.1:2055" };
    struct ovs_interface ifs0[] = {
        { .name = "br0", .ofport = 65534, .ifindex = 8 },
        { .name = "vif1", .ofport = 1, .ifindex = 9 },
        { .name = "gone", .ofport = -1, .ifindex = 0 },
    };
    struct ovs_interface ifs1[] = {
        { .name = "vif2", .ofport = 1, .ifindex = 4 },
    };
    struct ovs_bridge bridges[] = {
        { .name = "br0", .interfaces = ifs0, .n_interfaces = 3 },
        { .name = "br1", .interfaces = ifs1, .n_interfaces = 1 },
    };
    struct export_row *r = bridges[0].row;
    r[EXPORT_SFLOW] = (struct export_row) {
        .present = true, .targets = sflow_targets, .n_targets = 1,
        .n_refs = 1,
        VALUES([OPT_SF_AGENT] = { true, 0, "127.64.0.1" },
               [OPT_SF_SAMPLING] = { true, 64, NULL }),
    };
    r[EXPORT_NETFLOW] = (struct export_row) {
        .present = true, .targets = netflow_targets, .n_targets = 1,
        .n_refs = 1,
        VALUES([OPT_NF_ENGINE_TYPE] = { true, 3, NULL },
               [OPT_NF_ENGINE_ID] = { true, 7, NULL }),
    };
    r = bridges[1].row;
    r[EXPORT_IPFIX] = (struct export_row) {
        .present = true, .targets = ipfix_targets, .n_targets = 2,
        .n_refs = 1,
        VALUES([OPT_IX_OBS_DOMAIN_ID] = { true, 77, NULL },
               [OPT_IX_INPUT_SAMPLING] = { true, 0, NULL }),
    };
    struct ovs_snapshot s = { .local = true, .bridges = bridges,
                              .n_bridges = 2 };
    const struct ovs_snapshot *list[] = { &s, NULL };
    struct observe_listen listen[] = {
        listening(EXPORT_NETFLOW, "127.0.0.1:2055"),
        listening(EXPORT_SFLOW, "0.0.0.0:6343"),
        listening(EXPORT_IPFIX, "127.0.0.1:4739"),
    };
    struct observation_map *map = observe_build(list, 2, listen, 3, NULL, 0, dict, NOW, 5);
    CU_ASSERT_EQUAL(map->gen, 5);
    CU_ASSERT_EQUAL(map->n, 3);

    struct observation *o = find(map, PROTO_SFLOW5, "127.64.0.1", 0);
    CU_ASSERT_STRING_EQUAL(name_of(o->bridge), "br0");
    CU_ASSERT_TRUE(o->canonical);
    CU_ASSERT_EQUAL(o->sampling, 64);
    CU_ASSERT_FALSE(o->scaled_by_exporter);
    /* ifIndex is the host's: also of other bridges. */
    CU_ASSERT_STRING_EQUAL(name_of(observation_if_find(o, 4)->name), "vif2");
    CU_ASSERT_PTR_NULL(observation_if_find(o, 0));
    CU_ASSERT_PTR_NULL(find(map, PROTO_SFLOW5, "127.64.0.2", 0));

    o = find(map, PROTO_NETFLOW5, "127.0.0.1", 3 << 8 | 7);
    CU_ASSERT_STRING_EQUAL(name_of(o->bridge), "br0");
    CU_ASSERT_FALSE(o->canonical);              /* sFlow is. */
    CU_ASSERT_TRUE(o->counts_frames);
    CU_ASSERT_EQUAL(o->sampling, 1);
    CU_ASSERT_STRING_EQUAL(name_of(observation_if_find(o, 65534)->name),
                           "br0");
    CU_ASSERT_STRING_EQUAL(name_of(observation_if_find(o, 1)->name), "vif1");
    CU_ASSERT_PTR_NULL(observation_if_find(o, 9));
    CU_ASSERT_EQUAL(o->port_mask, 0xffff);
    CU_ASSERT_FALSE(o->patched);

    o = find(map, PROTO_IPFIX, "127.0.0.1", 77);
    CU_ASSERT_STRING_EQUAL(name_of(o->bridge), "br1");
    CU_ASSERT_TRUE(o->canonical && o->canonical_egress);
    CU_ASSERT_TRUE(o->scaled_by_exporter);
    CU_ASSERT_EQUAL(o->sampling, 400);
    CU_ASSERT_PTR_NULL(find(map, PROTO_IPFIX, "127.0.0.1", 78));
    observation_map_destroy(map);

    /* With the engine id in the numbers of interfaces, and a patch port. */
    bridges[0].row[EXPORT_NETFLOW].value[OPT_NF_ADD_ID]
        = (struct export_value) { true, 1, NULL };
    ifs0[2].type = "patch";
    map = observe_build(list, 2, listen, 3, NULL, 0, dict, NOW, 5);
    o = find(map, PROTO_NETFLOW5, "127.0.0.1", 3 << 8 | 7);
    CU_ASSERT_EQUAL(o->port_mask, 0x1ff);
    CU_ASSERT_TRUE(o->patched);
    CU_ASSERT_STRING_EQUAL(name_of(observation_if_find(o, 7 << 9 | 1)->name),
                           "vif1");
    CU_ASSERT_STRING_EQUAL(
        name_of(observation_if_find(o, 7 << 9 | 0x1fe)->name), "br0");
    CU_ASSERT_PTR_NULL(observation_if_find(o, 1));
    observation_map_destroy(map);

    /* Rows that send elsewhere are none of our business. */
    map = observe_build(list, 2, listen, 1, NULL, 0, dict, NOW, 6);
    CU_ASSERT_EQUAL(map->n, 1);
    CU_ASSERT_TRUE(map->list[0].canonical);
    observation_map_destroy(map);
}

/* Flow_Sample_Collector_Sets of two bridges under one domain: the text that
 * their records carry tells which, and the key never does. */
static void
test_samples(void)
{
    char *targets[] = { "127.0.0.1:4739" };
    char *elsewhere[] = { "192.0.2.1:4739" };
    struct export_sample sets[] = {
        { .id = 7, .ipfix = { .present = true, .targets = targets,
          .n_targets = 1,
          VALUES([OPT_IX_VIRTUAL_OBS_ID] = { true, 0, "h/br0/7" }) } },
        { .id = 8, .ipfix = { .present = true, .targets = elsewhere,
          .n_targets = 1,
          VALUES([OPT_IX_VIRTUAL_OBS_ID] = { true, 0, "h/br0/8" }) } },
        { .id = 9 },
        { .id = 7, .ipfix = { .present = true, .targets = targets,
          .n_targets = 1,
          VALUES([OPT_IX_VIRTUAL_OBS_ID] = { true, 0, "h/br1/7" }) } },
    };
    struct ovs_interface if0 = { .name = "a", .ofport = 1, .ifindex = 11 };
    struct ovs_bridge bridges[] = {
        { .name = "br0", .interfaces = &if0, .n_interfaces = 1,
          .samples = sets, .n_samples = 3,
          .row = { [EXPORT_IPFIX] = { .present = true, .targets = targets,
                                      .n_targets = 1, .n_refs = 1 } } },
        { .name = "br1", .samples = sets + 3, .n_samples = 1 },
    };
    struct ovs_snapshot s = { .local = true, .bridges = bridges,
                              .n_bridges = 2 };
    const struct ovs_snapshot *list[] = { NULL, &s };
    struct observe_listen listen[] = {
        listening(EXPORT_IPFIX, "127.0.0.1:4739"),
    };
    struct observation_map *map = observe_build(list, 2, listen, 1, NULL, 0, dict,
                                                NOW, 1);
    struct source source = { .key = { .protocol = PROTO_IPFIX } };
    addr_parse("127.0.0.1", &source.key.exporter);
    CU_ASSERT_EQUAL(map->n, 3);
    CU_ASSERT_EQUAL(map->n_virtual, 2);

    struct observation *o = observation_of_virtual(
        map, &source, dict_intern(dict, "h/br0/7", 7));
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT_STRING_EQUAL(name_of(o->bridge), "br0");
    CU_ASSERT_FALSE(o->canonical);              /* The bridge's IPFIX is. */
    CU_ASSERT_STRING_EQUAL(name_of(observation_if_find(o, 11)->name), "a");
    o = observation_of_virtual(map, &source, dict_intern(dict, "h/br1/7", 7));
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT_STRING_EQUAL(name_of(o->bridge), "br1");
    CU_ASSERT_TRUE(o->canonical);
    CU_ASSERT_PTR_NULL(observation_of_virtual(
        map, &source, dict_intern(dict, "h/br0/8", 7)));
    /* A set is never found by a key, and its text says nothing elsewhere. */
    CU_ASSERT_PTR_NULL(find(map, PROTO_IPFIX, "127.0.0.1", 77));
    addr_parse("10.0.0.1", &source.key.exporter);
    CU_ASSERT_PTR_NULL(observation_of_virtual(
        map, &source, dict_intern(dict, "h/br0/7", 7)));
    observation_map_destroy(map);
}

/* Two bridges that share one row: the interface tells which. */
static void
test_shared_row(void)
{
    char *targets[] = { "127.0.0.1:6343" };
    struct ovs_interface if0 = { .name = "a", .ofport = 1, .ifindex = 11 };
    struct ovs_interface if1 = { .name = "b", .ofport = 1, .ifindex = 12 };
    struct export_row row = { .present = true, .targets = targets,
                              .n_targets = 1, .n_refs = 2 };
    struct ovs_bridge bridges[] = {
        { .name = "br0", .interfaces = &if0, .n_interfaces = 1,
          .row = { [EXPORT_SFLOW] = row } },
        { .name = "br1", .interfaces = &if1, .n_interfaces = 1,
          .row = { [EXPORT_SFLOW] = row } },
    };
    struct ovs_snapshot s = { .local = true, .bridges = bridges,
                              .n_bridges = 2 };
    const struct ovs_snapshot *list[] = { &s };
    struct observe_listen listen[] = {
        listening(EXPORT_SFLOW, "127.0.0.1:6343"),
    };
    struct observation_map *map = observe_build(list, 1, listen, 1, NULL, 0, dict, NOW, 1);
    struct observation *o = find(map, PROTO_SFLOW5, "10.0.0.1", 0);
    CU_ASSERT_EQUAL(o->bridge, 0);
    CU_ASSERT_STRING_EQUAL(name_of(observation_if_find(o, 12)->bridge),
                           "br1");
    CU_ASSERT_STRING_EQUAL(name_of(observation_if_find(o, 11)->bridge),
                           "br0");
    observation_map_destroy(map);
}

static uint8_t
canonical_of(const struct ovs_snapshot *s, const struct observe_listen *l)
{
    struct observation_map *map = observe_build(&s, 1, l, 3, NULL, 0, dict, NOW, 1);
    uint8_t protocol = 0;
    for (uint32_t i = 0; i < map->n; i++) {
        if (map->list[i].canonical) {
            CU_ASSERT_EQUAL(protocol, 0);       /* Exactly one. */
            protocol = map->list[i].match.protocol;
        }
    }
    observation_map_destroy(map);
    return protocol;
}

/* The finer rate counts; one that is silent while another speaks does not. */
static void
test_canonical(void)
{
    char *sflow_targets[] = { "127.0.0.1:6343" };
    char *ipfix_targets[] = { "127.0.0.1:4739" };
    char *netflow_targets[] = { "127.0.0.1:2055" };
    struct ovs_bridge br = { .name = "br-canonical" };
    br.row[EXPORT_SFLOW] = (struct export_row) {
        .present = true, .targets = sflow_targets, .n_targets = 1,
        .n_refs = 1, VALUES([OPT_SF_SAMPLING] = { true, 64, NULL }) };
    br.row[EXPORT_IPFIX] = (struct export_row) {
        .present = true, .targets = ipfix_targets, .n_targets = 1,
        .n_refs = 1, VALUES([OPT_IX_SAMPLING] = { true, 64, NULL }) };
    br.row[EXPORT_NETFLOW] = (struct export_row) {
        .present = true, .targets = netflow_targets, .n_targets = 1,
        .n_refs = 1 };
    struct ovs_snapshot s = { .local = true, .bridges = &br, .n_bridges = 1 };
    struct observe_listen l[] = {
        listening(EXPORT_NETFLOW, "127.0.0.1:2055"),
        listening(EXPORT_SFLOW, "127.0.0.1:6343"),
        listening(EXPORT_IPFIX, "127.0.0.1:4739"),
    };
    CU_ASSERT_EQUAL(canonical_of(&s, l), PROTO_SFLOW5);
    br.row[EXPORT_IPFIX].value[OPT_IX_SAMPLING].number = 1;
    CU_ASSERT_EQUAL(canonical_of(&s, l), PROTO_IPFIX);

    uint32_t id = dict_intern(dict, br.name, strlen(br.name));
    struct observation_stats *nf = observation_stats_get(id, PROTO_NETFLOW5);
    struct observation_stats *ix = observation_stats_get(id, PROTO_IPFIX);
    nf->first_us = NOW - S(30);                 /* Only just begun. */
    nf->last_us = NOW - S(1);
    CU_ASSERT_EQUAL(canonical_of(&s, l), PROTO_IPFIX);
    nf->first_us = NOW - S(700);
    CU_ASSERT_EQUAL(canonical_of(&s, l), PROTO_NETFLOW5);
    ix->first_us = NOW - S(9000);
    ix->last_us = NOW - S(300);                 /* Not silent for long. */
    CU_ASSERT_EQUAL(canonical_of(&s, l), PROTO_IPFIX);
    ix->last_us = NOW - S(700);
    CU_ASSERT_EQUAL(canonical_of(&s, l), PROTO_NETFLOW5);
}

int
main(void)
{
    static const struct unit_test tests[] = {
        UNIT_TEST(test_build), UNIT_TEST(test_samples),
        UNIT_TEST(test_shared_row),
        UNIT_TEST(test_canonical),
    };
    dict = dict_create(1000, 100000);
    int error = unit_run("observe", tests, sizeof tests / sizeof tests[0]);
    dict_destroy(dict);
    return error;
}
