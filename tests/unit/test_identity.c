/* Who had an address, and when: intervals, networks, sources that disagree. */
#include <config.h>

#include "collector/identity/identity.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <urcu.h>

#include "collector/identity/stage.h"
#include "lib/batch.h"
#include "collector/identity/labels.h"
#include "lib/dict.h"
#include "tests/unit/unit.h"

#define S INT64_C(1000000)
#define NOW (1000 * S)

static struct dict *dict;
static struct identity *ids;

static void
begin(void)
{
    rcu_register_thread();
    dict = dict_create(1 << 16, 1 << 22);
    ids = identity_create(dict, &(struct identity_limits) { .names = 0 });
}

static void
end(void)
{
    identity_destroy(ids);
    dict_destroy(dict);
    rcu_unregister_thread();
}

static struct addr
address(const char *s)
{
    struct addr a;
    CU_ASSERT_FATAL(addr_parse(s, &a) == 0);
    return a;
}

static struct identity_key
key(const char *s)
{
    struct prefix p;
    CU_ASSERT_FATAL(prefix_parse(s, &p) == 0);
    return identity_key_prefix(&p);
}

/* Tells an endpoint with one key, in its usual words. */
static int
tell(const char *source, const char *id, const char *tenant,
     const char *network, const char *addr, int64_t from)
{
    struct identity_key k = key(addr);
    return identity_upsert(ids, &(struct identity_endpoint) {
        .source = source, .id = id,
        .text = { [IDENTITY_NAME] = id, [IDENTITY_TENANT] = tenant,
                  [IDENTITY_NETWORK] = network },
        .keys = &k, .n_keys = 1, .from_us = from, .to_us = IDENTITY_OPEN,
    }, NOW);
}

static const char *
name_at(const char *addr, int64_t at)
{
    struct identity_interval list[4];
    struct addr a = address(addr);
    struct identity_key k = identity_key_address(&a);
    rcu_read_lock();
    size_t n = identity_find(ids, &k, at, list, 4);
    rcu_read_unlock();
    return n ? identity_text(list[0].face, IDENTITY_NAME) : NULL;
}

static const char *
resolve(const struct identity_end *src, const struct identity_end *dst,
        int64_t at, int which)
{
    struct identity_end ends[2] = { *src, *dst };
    const struct identity_face *f[2];
    rcu_read_lock();
    identity_resolve(ids, ends, at, at, f);
    rcu_read_unlock();
    return f[which] ? identity_text(f[which], IDENTITY_NAME) : "-";
}

static void
test_interval(void)
{
    begin();
    CU_ASSERT_EQUAL(tell("a", "web-1", "blue", "n1", "10.0.0.5", 10 * S), 0);
    CU_ASSERT_PTR_NULL(name_at("10.0.0.5", 9 * S));
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.5", 10 * S), "web-1");
    CU_ASSERT_TRUE(identity_delete(ids, "a", "web-1", 20 * S));
    CU_ASSERT_FALSE(identity_delete(ids, "a", "web-1", 20 * S));
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.5", 20 * S - 1), "web-1");
    CU_ASSERT_PTR_NULL(name_at("10.0.0.5", 20 * S));

    /* The address goes to another one, seconds later. */
    CU_ASSERT_EQUAL(tell("a", "db-1", "blue", "n1", "10.0.0.5", 22 * S), 0);
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.5", 19 * S), "web-1");
    CU_ASSERT_PTR_NULL(name_at("10.0.0.5", 21 * S));
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.5", 22 * S), "db-1");

    /* What is learned late goes where it belongs. */
    struct identity_key k = key("10.0.0.5");
    struct identity_endpoint past = {
        .source = "a", .id = "old", .text = { [IDENTITY_NAME] = "old" },
        .keys = &k, .n_keys = 1, .from_us = 1 * S, .to_us = 5 * S,
    };
    CU_ASSERT_EQUAL(identity_upsert(ids, &past, NOW), 0);
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.5", 4 * S), "old");
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.5", 22 * S), "db-1");
    end();
}

static void
test_change(void)
{
    begin();
    tell("a", "web-1", "blue", "n1", "10.0.0.5", 10 * S);
    tell("a", "web-1", "blue", "n1", "10.0.0.5", 11 * S);
    CU_ASSERT_EQUAL(identity_counters(ids)->unchanged, 1);
    tell("a", "web-1", "red", "n1", "10.0.0.5", 30 * S);
    struct identity_interval l[2];
    struct identity_key k = key("10.0.0.5");
    rcu_read_lock();
    CU_ASSERT_EQUAL(identity_find(ids, &k, 29 * S, l, 2), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_TENANT), "blue");
    CU_ASSERT_EQUAL(l[0].to_us, 30 * S);
    CU_ASSERT_EQUAL(identity_find(ids, &k, 30 * S, l, 2), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_TENANT), "red");
    CU_ASSERT_EQUAL(l[0].to_us, IDENTITY_OPEN);
    rcu_read_unlock();

    /* Another address: the old one is not its own any more. */
    tell("a", "web-1", "red", "n1", "10.0.0.6", 40 * S);
    CU_ASSERT_PTR_NULL(name_at("10.0.0.5", 41 * S));
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.6", 41 * S), "web-1");
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.5", 39 * S), "web-1");

    /* A change that is told for before the beginning replaces all of it. */
    tell("a", "web-1", "green", "n1", "10.0.0.6", 35 * S);
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.6", 36 * S), "web-1");
    struct identity_status s;
    identity_get_status(ids, &s);
    CU_ASSERT_EQUAL(s.endpoints, 1);
    end();
}

static void
test_prefix(void)
{
    begin();
    tell("f", "office", NULL, NULL, "10.0.0.0/8", 0 * S + 1);
    tell("f", "lab", NULL, NULL, "10.1.0.0/16", 1);
    tell("f", "v6", NULL, NULL, "2001:db8::/33", 1);
    CU_ASSERT_STRING_EQUAL(name_at("10.1.2.3", NOW), "lab");
    CU_ASSERT_STRING_EQUAL(name_at("10.2.2.3", NOW), "office");
    CU_ASSERT_PTR_NULL(name_at("11.2.2.3", NOW));
    CU_ASSERT_STRING_EQUAL(name_at("2001:db8:7fff::1", NOW), "v6");
    CU_ASSERT_PTR_NULL(name_at("2001:db8:8000::1", NOW));
    tell("f", "host", NULL, NULL, "10.1.2.3", 1);
    CU_ASSERT_STRING_EQUAL(name_at("10.1.2.3", NOW), "host");
    identity_delete(ids, "f", "lab", NOW);
    CU_ASSERT_STRING_EQUAL(name_at("10.1.9.9", NOW), "office");
    struct identity_end e = { .addr = address("10.1.9.9"), .has_addr = true };
    struct identity_end o = { .has_addr = false };
    CU_ASSERT_STRING_EQUAL(resolve(&e, &o, NOW, 0), "office");
    /* A network in which nobody is known by that address. */
    tell("f", "all", NULL, NULL, "0.0.0.0/0", 1);
    CU_ASSERT_STRING_EQUAL(name_at("11.2.2.3", NOW), "all");
    CU_ASSERT_PTR_NULL(name_at("2001:db9::", NOW));
    end();
}

/* Two tenants with the same addresses; what tells them apart is where. */
static void
test_overlap(void)
{
    begin();
    uint32_t br = dict_intern(dict, "br-int", 6);
    uint32_t tap1 = dict_intern(dict, "tap1", 4);
    uint32_t tap2 = dict_intern(dict, "tap2", 4);
    const struct { const char *id, *tenant, *net, *addr; uint64_t mac;
                   uint32_t port; } vm[] = {
        { "blue-1", "blue", "blue-net", "10.0.0.5", 0x020000000001, tap1 },
        { "red-1", "red", "red-net", "10.0.0.5", 0x020000000002, tap2 },
        { "blue-2", "blue", "blue-net", "10.0.0.6", 0x020000000003, 0 },
        { "red-2", "red", "red-net", "10.0.0.6", 0x020000000004, 0 },
        { "red-3", "red", "red-net", "10.0.0.7", 0x020000000005, 0 },
    };
    for (size_t i = 0; i < 5; i++) {
        struct identity_key k[3] = { key(vm[i].addr),
                                     identity_key_mac(vm[i].mac),
                                     identity_key_port(br, vm[i].port) };
        CU_ASSERT_EQUAL(identity_upsert(ids, &(struct identity_endpoint) {
            .source = "a", .id = vm[i].id,
            .text = { [IDENTITY_NAME] = vm[i].id,
                      [IDENTITY_TENANT] = vm[i].tenant,
                      [IDENTITY_NETWORK] = vm[i].net },
            .keys = k, .n_keys = vm[i].port ? 3 : 2, .from_us = 1,
            .to_us = IDENTITY_OPEN }, NOW), 0);
    }
    struct identity_key vni = identity_key_vni(5001);
    identity_upsert(ids, &(struct identity_endpoint) {
        .source = "a", .id = "net-red", .keys = &vni, .n_keys = 1,
        .text = { [IDENTITY_NETWORK] = "red-net",
                  [IDENTITY_TENANT] = "red" },
        .from_us = 1, .to_us = IDENTITY_OPEN }, NOW);

    struct identity_end a = { .addr = address("10.0.0.5"), .has_addr = true };
    struct identity_end b = { .addr = address("10.0.0.6"), .has_addr = true };
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 0), "-");
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 1), "-");

    a.bridge = br;
    a.port = tap2;
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 0), "red-1");
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 1), "red-2");
    a.port = tap1;
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 0), "blue-1");
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 1), "blue-2");
    a.port = 0;
    b.mac = 0x020000000004;
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 0), "red-1");
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 1), "red-2");
    b.mac = 0;
    a.vni = 5001;
    a.has_vni = true;
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 0), "red-1");

    /* An address that only red has, seen in blue's network, is not red's. */
    b.addr = address("10.0.0.7");
    a.has_vni = false;
    a.port = tap1;
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 1), "-");
    a.port = 0;
    CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 1), "red-3");
    end();
}

/* One network, or none, and one address twice: the port and the MAC address
 * tell, also where another source has bound them. */
static void
test_same_network(void)
{
    begin();
    uint32_t br = dict_intern(dict, "br0", 3);
    uint32_t port[2] = { dict_intern(dict, "p0", 2),
                         dict_intern(dict, "p1", 2) };
    for (int i = 0; i < 2; i++) {
        const char *id = i ? "one" : "zero";
        struct identity_key k[2] = {
            identity_key_port(br, port[i]),
            identity_key_mac(0x020000000010 + (uint64_t) i) };
        struct identity_key address_key = key("10.0.0.5");
        struct identity_endpoint e = {
            .source = "ovsdb", .id = id, .interface = id,
            .text = { [IDENTITY_NETWORK] = "br0" }, .keys = k, .n_keys = 2,
            .from_us = 1, .to_us = IDENTITY_OPEN };
        CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), 0);
        e.source = "ovn-sb";
        e.text[IDENTITY_NAME] = id;
        e.keys = &address_key;
        e.n_keys = 1;
        CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), 0);
    }
    struct identity_end a = { .addr = address("10.0.0.5"), .has_addr = true };
    struct identity_end b = { .addr = address("10.0.0.6"), .has_addr = true };
    for (int i = 0; i < 2; i++) {
        a.bridge = br;
        a.port = port[i];
        CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 0), i ? "one" : "zero");
        a.port = 0;
        a.mac = 0x020000000010 + (uint64_t) i;
        CU_ASSERT_STRING_EQUAL(resolve(&a, &b, NOW, 0), i ? "one" : "zero");
    }
    end();
}

/* What OVS knows of a port and what the orchestrator knows become one. */
static void
test_merge(void)
{
    begin();
    uint32_t br = dict_intern(dict, "br-int", 6);
    uint32_t tap = dict_intern(dict, "tap1", 4);
    struct identity_key ovs[2] = { identity_key_port(br, tap),
                                   identity_key_mac(0x020000000001) };
    struct identity_key api = key("10.0.0.5");
    identity_rank(ids, "ovsdb", 60);
    identity_rank(ids, "nova", 20);
    struct identity_endpoint port = {
        .source = "ovsdb", .id = "u1", .interface = "iface-1",
        .text = { [IDENTITY_NAME] = "iface-1", [IDENTITY_PORT] = "tap1",
                  [IDENTITY_HOST] = "node-1", [IDENTITY_TENANT] = "?" },
        .keys = ovs, .n_keys = 2, .from_us = 1, .to_us = IDENTITY_OPEN };
    CU_ASSERT_EQUAL(identity_upsert(ids, &port, NOW), 0);
    struct identity_end e = { .addr = address("10.0.0.5"), .has_addr = true,
                              .mac = 0x020000000001 };
    struct identity_end o = { .has_addr = false };
    /* Nobody knows its address: its MAC address tells. */
    CU_ASSERT_STRING_EQUAL(resolve(&e, &o, NOW, 0), "iface-1");
    identity_upsert(ids, &(struct identity_endpoint) {
        .source = "nova", .id = "vm1", .interface = "iface-1",
        .text = { [IDENTITY_NAME] = "web-1", [IDENTITY_TENANT] = "blue" },
        .keys = &api, .n_keys = 1, .from_us = 50 * S,
        .to_us = IDENTITY_OPEN }, NOW);
    struct identity_interval l[2];
    rcu_read_lock();
    CU_ASSERT_EQUAL(identity_find(ids, &api, NOW, l, 2), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_NAME), "web-1");
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_HOST), "node-1");
    CU_ASSERT_EQUAL(identity_find(ids, &ovs[0], NOW, l, 2), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_NAME), "web-1");
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_TENANT), "blue");
    CU_ASSERT_EQUAL(identity_find(ids, &ovs[0], 40 * S, l, 2), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_NAME),
                           "iface-1");
    rcu_read_unlock();

    /* It moves to another host: one endpoint, at one place at a time. */
    port.text[IDENTITY_HOST] = "node-2";
    port.from_us = 70 * S;
    identity_upsert(ids, &port, NOW);
    rcu_read_lock();
    CU_ASSERT_EQUAL(identity_find(ids, &api, 69 * S, l, 2), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_HOST), "node-1");
    CU_ASSERT_EQUAL(identity_find(ids, &api, 70 * S, l, 2), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_HOST), "node-2");
    rcu_read_unlock();
    identity_delete(ids, "ovsdb", "u1", 80 * S);
    rcu_read_lock();
    CU_ASSERT_EQUAL(identity_find(ids, &api, 90 * S, l, 2), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(l[0].face, IDENTITY_HOST), "");
    rcu_read_unlock();
    end();
}

static void
test_labels(void)
{
    static const struct {
        const char *better, *worse;
        size_t size;
        const char *merged;
    } rows[] = {
        { "", "", 99, "" }, { "a=1", "", 99, "a=1" }, { "", "a=1", 99, "a=1" },
        { "a=1", "a=2", 99, "a=1" }, { "b=1", "a=2", 99, "a=2,b=1" },
        { "a=1,c=3", "b=2,c=4,d=5", 99, "a=1,b=2,c=3,d=5" },
        { "a\\=b=1", "a=2,a\\,b=3", 99, "a=2,a\\,b=3,a\\=b=1" },
        { "a\\\\=1", "a\\\\=2", 99, "a\\\\=1" },
        { "aa=1", "a=2", 99, "a=2,aa=1" }, { "=1,x", "x=2", 99, "=1,x" },
        { "a=1,c=3", "b=2", 9, "a=1,c=3" }, { "a=1", "b=2,c=", 7, "a=1,c=" },
        { "a=\\", "b=1", 99, "a=\\,b=1" },
    };
    char out[99];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        labels_merge(out, rows[i].size, rows[i].better, rows[i].worse);
        CU_ASSERT_STRING_EQUAL(out, rows[i].merged);
    }
    /* Of three that tell of an interface, each says a label by itself. */
    begin();
    struct identity_key k = key("10.0.0.5");
    struct identity_endpoint e = { .interface = "if", .keys = &k, .n_keys = 1,
                                   .from_us = 1, .to_us = IDENTITY_OPEN };
    static const char *const said[][2] = {
        { "one", "role=db" }, { "two", "moving-to=node-2,role=?" },
        { "three", "rack=7,role=??" }, { "four", "" } };
    for (uint8_t i = 0; i < 4; i++) {
        e.source = e.id = said[i][0];
        e.text[IDENTITY_LABELS] = said[i][1];
        identity_rank(ids, e.source, i);
        CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), 0);
    }
    struct identity_interval l[4];
    rcu_read_lock();
    CU_ASSERT_EQUAL(identity_find(ids, &k, NOW, l, 4), 4);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_STRING_EQUAL(identity_text(l[i].face, IDENTITY_LABELS),
                               "moving-to=node-2,rack=7,role=db");
    }
    rcu_read_unlock();
    end();
}

static void
test_trust(void)
{
    begin();
    identity_rank(ids, "file", 80);
    tell("file", "guess", NULL, NULL, "192.0.2.1", 1);
    CU_ASSERT_STRING_EQUAL(name_at("192.0.2.1", NOW), "guess");
    identity_rank(ids, "nova", 20);
    tell("nova", "truth", NULL, NULL, "192.0.2.1", 1);
    tell("file", "guess2", NULL, NULL, "192.0.2.1", 2);
    CU_ASSERT_STRING_EQUAL(name_at("192.0.2.1", NOW), "truth");
    struct identity_end e = { .addr = address("192.0.2.1"),
                              .has_addr = true };
    struct identity_end o = { .has_addr = false };
    CU_ASSERT_STRING_EQUAL(resolve(&e, &o, NOW, 0), "truth");
    CU_ASSERT_EQUAL(identity_counters(ids)->conflicts, 2);
    end();
}

static bool
count(void *aux, const struct identity_row *r)
{
    (void) r;
    ++*(size_t *) aux;
    return true;
}

static void
test_generation(void)
{
    begin();
    struct identity_endpoint e = { .source = "k8s", .from_us = 1,
                                   .to_us = IDENTITY_OPEN, .generation = 7 };
    char id[24];
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "pod-%d", i);
        e.id = id;
        CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), 0);
    }
    e.generation = 8;
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "pod-%d", i);
        CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), 0);
    }
    size_t n = 0;
    CU_ASSERT_EQUAL(identity_each(ids, 0, count, &n), 0);
    CU_ASSERT_EQUAL(n, 1000);
    CU_ASSERT_EQUAL(identity_sync(ids, "k8s", 8, NOW), 990);
    n = 0;
    identity_each(ids, 0, count, &n);
    CU_ASSERT_EQUAL(n, 10);
    e.generation = 7;
    CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), -ESTALE);
    CU_ASSERT_EQUAL(identity_sync(ids, "k8s", 7, NOW), 0);
    end();
}

/* Events between two synchronisations need not know its number. */
static void
test_no_generation(void)
{
    struct identity_endpoint e = { .source = "k8s", .id = "one", .from_us = 1,
                                   .to_us = IDENTITY_OPEN, .generation = 7 };
    size_t n = 0;

    begin();
    CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), 0);
    e.id = "two";
    e.generation = 0;
    CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), 0);
    CU_ASSERT_EQUAL(identity_sync(ids, "k8s", 7, NOW), 0);
    CU_ASSERT_EQUAL(identity_generation_of(ids, "k8s"), 7);
    CU_ASSERT_EQUAL(identity_sync(ids, "k8s", 8, NOW), 2);
    /* Told again from a file, in whichever order. */
    identity_restoring(ids, true);
    for (uint64_t i = 0; i < 10; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", (int) i);
        e.id = id;
        e.generation = 20 - i;
        CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), 0);
    }
    identity_restoring(ids, false);
    CU_ASSERT_EQUAL(identity_generation_of(ids, "k8s"), 20);
    CU_ASSERT_EQUAL(identity_sync(ids, "k8s", 15, NOW), 0);
    CU_ASSERT_EQUAL(identity_sync(ids, "k8s", 20, NOW), 9);
    identity_each(ids, 0, count, &n);
    CU_ASSERT_EQUAL(n, 1);
    end();
}

/* It was there before we were told: what came since is named by it. */
static void
test_earlier(void)
{
    begin();
    tell("a", "web", "t", "n", "10.0.0.5", 500 * S);
    CU_ASSERT_PTR_NULL(name_at("10.0.0.5", 400 * S));
    tell("a", "web", "t", "n", "10.0.0.5", 300 * S);
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.5", 400 * S), "web");
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.5", 600 * S), "web");
    CU_ASSERT_PTR_NULL(name_at("10.0.0.5", 299 * S));
    struct identity_status s, again;
    identity_get_status(ids, &s);
    for (int i = 0; i < 100; i++) {
        tell("a", "web", "t", "n", "10.0.0.5", 300 * S);
    }
    identity_get_status(ids, &again);
    CU_ASSERT_EQUAL(again.bindings, s.bindings);
    CU_ASSERT_EQUAL(again.bindings, 1);
    CU_ASSERT_EQUAL(identity_counters(ids)->unchanged, 100);
    end();
}

/* A change that is told beforehand does not keep in memory what ends long
 * before it. */
static void
test_to_come(void)
{
    char id[24];

    begin();
    for (int i = 0; i < 2; i++) {       /* At first, and in the midst. */
        snprintf(id, sizeof id, "10.2.0.%d", i);
        tell("a", id, "t", "n", id, 1);
        tell("a", id, "other", "n", id, NOW + 5000 * S);
        for (int k = 0; k < 50; k++) {
            snprintf(id, sizeof id, "10.1.%d.%d", i, k);
            tell("a", id, "t", "n", id, 1);
            identity_delete(ids, "a", id, (400 + k) * S);
        }
    }
    CU_ASSERT_EQUAL(identity_oldest_end(ids), 400 * S);
    CU_ASSERT_EQUAL(identity_expire(ids, 409 * S, NOW, SIZE_MAX), 20);
    CU_ASSERT_EQUAL(identity_oldest_end(ids), 410 * S);
    CU_ASSERT_EQUAL(identity_expire(ids, 430 * S, NOW, 7), 7);
    CU_ASSERT_EQUAL(identity_expire(ids, 500 * S, NOW, SIZE_MAX), 73);
    CU_ASSERT_STRING_EQUAL(name_at("10.2.0.0", NOW), "10.2.0.0");
    CU_ASSERT_EQUAL(identity_oldest_end(ids), NOW + 5000 * S);
    CU_ASSERT_EQUAL(identity_expire(ids, NOW + 6000 * S, NOW, SIZE_MAX), 2);
    CU_ASSERT_EQUAL(identity_oldest_end(ids), INT64_MAX);
    struct identity_status s;
    identity_get_status(ids, &s);
    CU_ASSERT_EQUAL(s.closed, 0);
    CU_ASSERT_EQUAL(s.bindings, 2);
    end();
}

/* A dictionary of 256 names, and ports and endpoints that come and go: names
 * are forgotten with whoever had them. */
static void
test_names_pass(void)
{
    char id[24];
    struct flow_batch *b = batch_create();

    begin();
    identity_destroy(ids);
    dict_destroy(dict);
    dict = dict_create(256, 1 << 20);
    ids = identity_create(dict, &(struct identity_limits) { .names = 0 });
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof id, "tap-%d", i);
        uint32_t bridge = dict_passing(dict, "br-int", 6);
        uint32_t port = dict_passing(dict, id, strlen(id));
        struct identity_key keys[2] = { identity_key_port(bridge, port),
                                        key("10.0.0.5") };
        CU_ASSERT_STRING_EQUAL(dict_text(dict, port), id);
        identity_upsert(ids, &(struct identity_endpoint) {
            .source = "a", .id = id, .keys = keys, .n_keys = 2,
            .text = { [IDENTITY_NAME] = id, [IDENTITY_TENANT] = id,
                      [IDENTITY_HOST] = id }, .from_us = i + 1,
            .to_us = IDENTITY_OPEN }, NOW);
        batch_reset(b);
        b->n = 1;
        BATCH_SET(b, src_addr, 0, address("10.0.0.5"));
        b->flow_start[0] = b->flow_end[0] = i + 1;
        identity_name_batch(ids, b);
        CU_ASSERT_TRUE(batch_is_valid(b, COL_src_endpoint, 0));
        CU_ASSERT_STRING_EQUAL(dict_text(dict, b->src_endpoint[0]), id);
        CU_ASSERT_STRING_EQUAL(dict_text(dict, b->src_tenant[0]), id);
        CU_ASSERT_STRING_EQUAL(dict_text(dict, b->src_host[0]), id);
        CU_ASSERT_FALSE(batch_is_valid(b, COL_src_network, 0));
        CU_ASSERT_FALSE(batch_is_valid(b, COL_dst_endpoint, 0));
        identity_delete(ids, "a", id, i + 2);
        identity_expire(ids, i + 2, NOW, 100);
        dict_age(dict, i * INT64_C(60000), 1000);
    }
    CU_ASSERT_EQUAL(dict_refused(dict), 0);
    CU_ASSERT_TRUE(dict_count(dict) < 256);
    batch_destroy(b);
    end();
}

static void
take(void *aux, const struct identity_interval *i)
{
    CU_ASSERT_TRUE(i->to_us <= 500 * S);
    ++*(size_t *) aux;
}

static void
test_expire(void)
{
    begin();
    struct identity_key k = key("10.0.0.9");
    identity_upsert(ids, &(struct identity_endpoint) {
        .source = "a", .id = "short", .keys = &k, .n_keys = 1,
        .text = { [IDENTITY_NAME] = "short" },
        .from_us = 1, .to_us = NOW + 5 * S }, NOW);
    for (int i = 0; i < 100; i++) {
        char id[24];
        snprintf(id, sizeof id, "10.1.0.%d", i);
        tell("a", id, "t", "n", id, 1);
        identity_delete(ids, "a", id, (i < 50 ? 400 : 600) * S);
    }
    size_t n = 0;
    identity_each_closed(ids, 500 * S, take, &n);
    CU_ASSERT_EQUAL(n, 50);
    CU_ASSERT_EQUAL(identity_expire(ids, 500 * S, NOW, 1000), 50);
    CU_ASSERT_PTR_NULL(name_at("10.1.0.3", 300 * S));
    CU_ASSERT_STRING_EQUAL(name_at("10.1.0.60", 300 * S), "10.1.0.60");
    for (int i = 0; i < 200; i++) {
        identity_expire(ids, 0, NOW + 5 * S, 1);
    }
    CU_ASSERT_PTR_NULL(name_at("10.0.0.9", NOW + 5 * S));
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.9", NOW + 4 * S), "short");
    CU_ASSERT_EQUAL(identity_counters(ids)->expired, 1);
    end();
}

static void
test_bad(void)
{
    begin();
    struct identity_endpoint e = { .source = "a", .id = "x", .from_us = 5,
                                   .to_us = 5 };
    CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), -EINVAL);
    e.to_us = 4;
    CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), -EINVAL);
    e.to_us = IDENTITY_OPEN;
    e.id = "";
    CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), -EINVAL);
    char *big = malloc(IDENTITY_MAX_TEXT + 2);
    memset(big, 'x', IDENTITY_MAX_TEXT + 1);
    big[IDENTITY_MAX_TEXT + 1] = '\0';
    e.id = "x";
    e.text[IDENTITY_NAME] = big;
    CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), -EINVAL);
    big[IDENTITY_MAX_TEXT] = '\0';
    CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), 0);
    e.text[IDENTITY_NAME] = NULL;
    free(big);
    struct identity_key *k = calloc(IDENTITY_MAX_KEYS + 1, sizeof *k);
    e.keys = k;
    e.n_keys = IDENTITY_MAX_KEYS + 1;
    CU_ASSERT_EQUAL(identity_upsert(ids, &e, NOW), -EINVAL);
    free(k);
    identity_destroy(ids);
    ids = identity_create(dict, &(struct identity_limits) { 2, 3, 1, 0 });
    CU_ASSERT_EQUAL(tell("a", "1", NULL, NULL, "10.0.0.1", 1), 0);
    CU_ASSERT_EQUAL(tell("a", "2", NULL, NULL, "10.0.0.2", 1), 0);
    CU_ASSERT_EQUAL(tell("a", "3", NULL, NULL, "10.0.0.3", 1), -ENOSPC);
    CU_ASSERT_EQUAL(tell("b", "1", NULL, NULL, "10.0.0.4", 1), -ENOSPC);
    CU_ASSERT_EQUAL(tell("a", "1", NULL, NULL, "10.0.0.5", 2), 0);
    CU_ASSERT_EQUAL(tell("a", "1", NULL, NULL, "10.0.0.6", 3), -ENOSPC);
    identity_destroy(ids);
    /* A tenant or network more is refused: it would be one with the next. */
    ids = identity_create(dict, &(struct identity_limits) { .names = 2 });
    CU_ASSERT_EQUAL(tell("a", "1", "t1", "n1", "10.0.0.1", 1), 0);
    CU_ASSERT_EQUAL(tell("a", "2", "t2", "n1", "10.0.0.2", 1), 0);
    CU_ASSERT_EQUAL(tell("a", "3", "t3", "n1", "10.0.0.3", 1), -ENOSPC);
    CU_ASSERT_EQUAL(tell("a", "2", "t4", "n3", "10.0.0.2", 2), -ENOSPC);
    CU_ASSERT_STRING_EQUAL(name_at("10.0.0.2", 2), "2");
    CU_ASSERT_PTR_NULL(name_at("10.0.0.3", 2));
    CU_ASSERT_EQUAL(tell("a", "4", "t1", "n2", "10.0.0.4", 1), 0);
    CU_ASSERT_EQUAL(tell("a", "5", "t1", "n3", "10.0.0.5", 1), -ENOSPC);
    CU_ASSERT_TRUE(identity_delete(ids, "a", "2", 5));
    identity_expire(ids, 10, 10, 10);   /* It is forgotten: there is room. */
    CU_ASSERT_EQUAL(tell("a", "3", "t3", "n1", "10.0.0.3", 11), 0);
    end();
}

/* Random tellings against a plain list of intervals. */
struct naive {
    uint8_t addr, id;
    int64_t from, to;
};

static void
test_random(void)
{
    static struct naive list[20000];
    size_t n = 0;
    int now_of[64];                     /* Address of each endpoint, or -1. */
    uint64_t r = 88172645463325252u;
    begin();
    for (int i = 0; i < 64; i++) {
        now_of[i] = -1;
    }
    for (int64_t at = 1; at < 8000; at++) {
        r ^= r << 13;
        r ^= r >> 7;
        r ^= r << 17;
        int id = (int) (r & 63), addr = (int) (r >> 8 & 31);
        char text[24], name[16];
        snprintf(text, sizeof text, "10.0.0.%d", addr);
        snprintf(name, sizeof name, "e%d", id);
        bool remove = (r >> 16) % 4 == 0;
        if (now_of[id] >= 0 && (remove || now_of[id] != addr)) {
            for (size_t j = n; j-- > 0;) {
                if (list[j].id == id && list[j].to == IDENTITY_OPEN) {
                    list[j].to = at;
                    break;
                }
            }
            now_of[id] = -1;
        }
        if (remove) {
            identity_delete(ids, "s", name, at);
        } else {
            if (now_of[id] < 0) {
                list[n++] = (struct naive) { (uint8_t) addr, (uint8_t) id,
                                             at, IDENTITY_OPEN };
                now_of[id] = addr;
            }
            CU_ASSERT_EQUAL(tell("s", name, NULL, NULL, text, at), 0);
        }
    }
    static struct identity_interval found[256];
    for (int64_t at = 1; at < 8000; at += 37) {
        for (int addr = 0; addr < 32; addr++) {
            char text[24];
            snprintf(text, sizeof text, "10.0.0.%d", addr);
            struct identity_key k = key(text);
            uint64_t want = 0, got = 0;
            for (size_t j = 0; j < n; j++) {
                if (list[j].addr == addr && list[j].from <= at
                    && at < list[j].to) {
                    want |= UINT64_C(1) << list[j].id;
                }
            }
            rcu_read_lock();
            size_t m = identity_find(ids, &k, at, found, 256);
            for (size_t j = 0; j < m; j++) {
                got |= UINT64_C(1) << atoi(identity_id(found[j].face) + 1);
            }
            rcu_read_unlock();
            CU_ASSERT_EQUAL(want, got);
            CU_ASSERT_EQUAL((int) m, __builtin_popcountll(want));
        }
    }
    end();
}

/* Readers while a writer changes everything: an answer is one that was true. */
static atomic_bool stop;

static void *
reader(void *aux)
{
    size_t *n = aux;
    rcu_register_thread();
    while (!atomic_load(&stop)) {
        struct identity_end e[2] = { { .has_addr = true },
                                     { .has_addr = true } };
        const struct identity_face *f[2];
        for (int i = 0; i < 256; i++) {
            uint8_t v4[4] = { 10, 0, 0, (uint8_t) i };
            e[0].addr = e[1].addr = addr_from_v4_bytes(v4);
            rcu_read_lock();
            identity_resolve(ids, e, NOW, NOW, f);
            if (f[0]) {
                char want[24];
                snprintf(want, sizeof want, "10.0.0.%d", i);
                if (strcmp(identity_text(f[0], IDENTITY_PORT), want)) {
                    abort();
                }
                ++*n;
            }
            rcu_read_unlock();
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static void
test_readers(void)
{
    begin();
    pthread_t thread[2];
    size_t seen[2] = { 0, 0 };
    atomic_store(&stop, false);
    for (int i = 0; i < 2; i++) {
        pthread_create(&thread[i], NULL, reader, &seen[i]);
    }
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 256; i++) {
            char addr[24], id[40];
            snprintf(addr, sizeof addr, "10.0.0.%d", i);
            snprintf(id, sizeof id, "e%d-%d", i, round);
            struct identity_key k = key(addr);
            CU_ASSERT_EQUAL(identity_upsert(ids, &(struct identity_endpoint) {
                .source = "s", .id = id,
                .text = { [IDENTITY_NAME] = id, [IDENTITY_PORT] = addr },
                .keys = &k, .n_keys = 1, .from_us = round + 1,
                .to_us = IDENTITY_OPEN }, NOW), 0);
            snprintf(id, sizeof id, "e%d-%d", i, round - 1);
            identity_delete(ids, "s", id, round + 1);
        }
        identity_expire(ids, round, NOW, 100000);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }
    CU_ASSERT(seen[0] + seen[1] > 0);
    end();
}

UNIT_MAIN("identity", UNIT_TEST(test_interval), UNIT_TEST(test_change),
          UNIT_TEST(test_prefix), UNIT_TEST(test_overlap), UNIT_TEST(test_same_network),
          UNIT_TEST(test_merge), UNIT_TEST(test_labels), UNIT_TEST(test_trust),
          UNIT_TEST(test_generation), UNIT_TEST(test_no_generation),
          UNIT_TEST(test_earlier), UNIT_TEST(test_to_come),
          UNIT_TEST(test_names_pass), UNIT_TEST(test_expire),
          UNIT_TEST(test_bad), UNIT_TEST(test_random),
          UNIT_TEST(test_readers))
