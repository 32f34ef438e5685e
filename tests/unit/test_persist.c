/* Templates and sampling rates over a restart, and files that are damaged. */
#include <config.h>

#include "collector/template/persist.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <urcu.h>

#include "collector/exporter/source_table.h"
#include "collector/template/ovs.h"
#include "collector/template/template.h"
#include "tests/unit/unit.h"

#define NOW INT64_C(1700000000000000)

struct world {
    struct template_cache *cache;
    struct source_table *sources;
};

static struct world
world_create(void)
{
    struct world w = { template_cache_create(100, 1000),
                       source_table_create(16) };
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.cache);
    CU_ASSERT_PTR_NOT_NULL_FATAL(w.sources);
    return w;
}

static void
world_destroy(struct world *w)
{
    template_cache_destroy(w->cache);
    source_table_destroy(w->sources);
}

static struct source *
source_of(struct world *w, const char *address, uint8_t protocol,
          uint32_t domain)
{
    struct source_key key = { .domain = domain, .protocol = protocol };
    addr_parse(address, &key.exporter);
    key.agent = key.exporter;
    struct source *s = source_table_get(w->sources, &key);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    return s;
}

static const struct template_field fields[] = {
    { 8, 4, 0 }, { 12, 4, 0 }, { 1, 8, 0 }, { 82, TEMPLATE_VARLEN, 0 },
    { 7, 2, 29305 },
};

/* Two sources with templates, one of which has samplers, and one without
 * anything to keep. */
static struct world
world_full(void)
{
    struct world w = world_create();
    struct source *a = source_of(&w, "192.0.2.1", PROTO_NETFLOW9, 7);
    struct source *b = source_of(&w, "2001:db8::1", PROTO_IPFIX, 0);
    struct template_field ovs[OVS_MAX_FIELDS];

    source_of(&w, "192.0.2.3", PROTO_SFLOW5, 0)->last_us = NOW;
    a->last_us = b->last_us = NOW - 1000000;
    a->sampling = 64;
    a->sampling_origin = SAMPLING_OPTIONS;
    source_sampler_set(a, 3, 100);
    source_sampler_set(a, 4, 200);
    source_interface_rate_set(a, 4, 300);
    source_interface_rate_set(a, UINT32_MAX, 400);
    template_put(w.cache, a, 256, false, 0, fields, 3);
    template_put(w.cache, a, 257, true, 1, fields, 2);
    template_put(w.cache, b, 300, false, 0, fields, 5);
    unsigned n = ovs_template_fields(260, true, ovs);
    template_put(w.cache, b, 260, false, 0, ovs, n);
    return w;
}

static bool
same_fields(struct world *w, const struct source *s, uint16_t id, unsigned n)
{
    template_read_lock();
    const struct template *t = template_get(w->cache, s, id);
    bool same = t && t->n_fields == n
                && !memcmp(t->fields, fields, n * sizeof fields[0]);
    template_read_unlock();
    return same;
}

static void
test_round_trip(void)
{
    struct world w = world_full(), v = world_create();
    struct persist_counts n;
    uint64_t state, again;
    size_t size;
    uint8_t *data = persist_encode(w.cache, w.sources, NOW, &size, &state);

    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    CU_ASSERT_EQUAL(persist_decode(data, size, v.cache, v.sources, NOW, &n),
                    0);
    CU_ASSERT_EQUAL(n.sources, 2);
    CU_ASSERT_EQUAL(n.templates, 3);    /* Not Open vSwitch's. */
    CU_ASSERT_EQUAL(n.expired, 0);
    CU_ASSERT_EQUAL(n.refused, 0);
    CU_ASSERT_EQUAL(source_table_count(v.sources), 2);
    struct source *a = source_of(&v, "192.0.2.1", PROTO_NETFLOW9, 7);
    struct source *b = source_of(&v, "2001:db8::1", PROTO_IPFIX, 0);
    CU_ASSERT_EQUAL(a->sampling, 64);
    CU_ASSERT_EQUAL(a->sampling_origin, SAMPLING_OPTIONS);
    CU_ASSERT_EQUAL(a->last_us, NOW - 1000000);
    CU_ASSERT_EQUAL(source_sampler(a, 3), 100);
    CU_ASSERT_EQUAL(source_sampler(a, 4), 200);
    CU_ASSERT_EQUAL(source_interface_rate(a, 4), 300);
    CU_ASSERT_EQUAL(source_interface_rate(a, UINT32_MAX), 400);
    CU_ASSERT_EQUAL(source_interface_rate(a, 3), 0);
    CU_ASSERT_EQUAL(b->sampling, 0);
    CU_ASSERT_TRUE(same_fields(&v, a, 256, 3));
    CU_ASSERT_TRUE(same_fields(&v, a, 257, 2));
    CU_ASSERT_TRUE(same_fields(&v, b, 300, 5));
    CU_ASSERT_FALSE(same_fields(&v, b, 256, 3));
    template_read_lock();
    CU_ASSERT_TRUE(template_get(v.cache, a, 257)->options);
    CU_ASSERT_EQUAL(template_get(v.cache, a, 257)->n_scope, 1);
    CU_ASSERT_PTR_NULL(template_get(v.cache, b, 260));
    template_read_unlock();
    free(data);

    /* Time alone is nothing new; a rate is. */
    a->last_us = NOW;
    free(persist_encode(v.cache, v.sources, NOW + 1, &size, &again));
    CU_ASSERT_EQUAL(state, again);
    a->sampling = 65;
    free(persist_encode(v.cache, v.sources, NOW + 1, &size, &again));
    CU_ASSERT_NOT_EQUAL(state, again);
    world_destroy(&v);
    world_destroy(&w);
}

static void
test_limits(void)
{
    struct world w = world_full(), old = world_create();
    struct world small = { template_cache_create(1, 1),
                           source_table_create(1) };
    struct persist_counts n;
    uint64_t state;
    size_t size;
    uint8_t *data = persist_encode(w.cache, w.sources, NOW, &size, &state);

    CU_ASSERT_EQUAL(persist_decode(data, size, old.cache, old.sources,
                                   NOW + PERSIST_MAX_AGE_US, &n), 0);
    CU_ASSERT_EQUAL(n.sources, 0);
    CU_ASSERT_EQUAL(n.expired, 2);
    CU_ASSERT_EQUAL(source_table_count(old.sources), 0);
    CU_ASSERT_EQUAL(persist_decode(data, size, small.cache, small.sources,
                                   NOW, &n), 0);
    CU_ASSERT_EQUAL(n.sources, 1);
    CU_ASSERT_EQUAL(n.templates, 1);
    CU_ASSERT_EQUAL(n.refused, 1);
    free(data);
    world_destroy(&w);
    world_destroy(&old);
    world_destroy(&small);
}

/* Whatever is cut off or flipped: refused as a whole. */
static void
test_damage(void)
{
    struct world w = world_full(), v = world_create();
    struct persist_counts n;
    uint64_t state;
    size_t size;
    uint8_t *data = persist_encode(w.cache, w.sources, NOW, &size, &state);

    for (size_t i = 0; i < size; i++) {
        uint8_t *cut = memdup_exact(data, i);
        CU_ASSERT_EQUAL(persist_decode(cut, i, v.cache, v.sources, NOW, &n),
                        -EBADMSG);
        free(cut);
        /* The time of saving is for people. */
        if (i < 16 || i >= 24) {
            data[i] ^= 0x10;
            CU_ASSERT_NOT_EQUAL(persist_decode(data, size, v.cache,
                                               v.sources, NOW, &n), 0);
            data[i] ^= 0x10;
        }
    }
    CU_ASSERT_EQUAL(source_table_count(v.sources), 0);
    CU_ASSERT_EQUAL(template_total(v.cache), 0);
    data[11] = 2;
    CU_ASSERT_EQUAL(persist_decode(data, size, v.cache, v.sources, NOW, &n),
                    -ENOTSUP);
    free(data);
    world_destroy(&w);
    world_destroy(&v);
}

static void
test_file(void)
{
    struct world w = world_full(), v = world_create();
    struct persist_counts n;
    char path[] = "/tmp/venturi-persist-XXXXXX";
    uint64_t state = 0, seen = 0;
    int fd = mkstemp(path);

    CU_ASSERT_FATAL(fd >= 0);
    close(fd);
    unlink(path);
    CU_ASSERT_EQUAL(persist_load(path, v.cache, v.sources, NOW, &n), -ENOENT);
    CU_ASSERT_EQUAL(persist_save(path, w.cache, w.sources, NOW, &state), 0);
    CU_ASSERT_EQUAL(persist_load(path, v.cache, v.sources, NOW, &n), 0);
    CU_ASSERT_EQUAL(n.templates, 3);
    unlink(path);
    /* Nothing changed: nothing is written. */
    CU_ASSERT_EQUAL(persist_save(path, w.cache, w.sources, NOW, &state), 0);
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
    CU_ASSERT_FALSE(persist_stir(w.sources, &seen));
    counter_inc(&source_of(&w, "192.0.2.1", PROTO_NETFLOW9, 7)->n.templates);
    CU_ASSERT_TRUE(persist_stir(w.sources, &seen));
    CU_ASSERT_FALSE(persist_stir(w.sources, &seen));
    CU_ASSERT_EQUAL(persist_save("/nonexistent/x", w.cache, w.sources, NOW,
                                 &(uint64_t) { 0 }), -ENOENT);
    CU_ASSERT_EQUAL(persist_load("/", v.cache, v.sources, NOW, &n), -EBADMSG);

    /* The thread saves at its end what came since. */
    struct persist *p = persist_start(path, w.cache, w.sources);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p);
    persist_stop(p);
    CU_ASSERT_EQUAL(access(path, F_OK), 0);
    unlink(path);
    world_destroy(&w);
    world_destroy(&v);
}

int
main(void)
{
    static const struct unit_test tests[] = {
        UNIT_TEST(test_round_trip), UNIT_TEST(test_limits),
        UNIT_TEST(test_damage), UNIT_TEST(test_file),
    };
    rcu_register_thread();
    int status = unit_run("persist", tests, sizeof tests / sizeof tests[0]);
    rcu_unregister_thread();
    return status;
}
