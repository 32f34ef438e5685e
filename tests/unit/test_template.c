#include <config.h>

#include "collector/template/template.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "collector/template/element.h"
#include "collector/template/ovs.h"
#include "collector/template/plan.h"
#include "collector/template/registry.h"
#include "tests/unit/decode_util.h"

/* Every element that the column table names is decoded into that column. */
static void
test_elements_match_columns(void)
{
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        if (i == COL_exporter || i == COL_observation_domain_id) {
            continue;           /* Of the datagram, not of the record. */
        }
        uint16_t ies[] = { columns[i].ie, columns[i].ie2 };
        for (unsigned k = 0; k < 2; k++) {
            if (!ies[k]) {
                continue;
            }
            const struct element *e = element_find(0, ies[k]);
            CU_ASSERT_PTR_NOT_NULL_FATAL(e);
            CU_ASSERT_EQUAL(e->column, i);
        }
    }
    for (unsigned id = 0; id < 1000; id++) {
        uint16_t twin = element_twin((uint16_t) id);
        CU_ASSERT_EQUAL(element_twin(twin), id);
    }
    CU_ASSERT_PTR_NULL(element_find(0, 0));
    CU_ASSERT_PTR_NULL(element_find(9, 1));
    CU_ASSERT_PTR_NOT_NULL(element_find(PEN_OVS, 894));
}

/* Sorted, so no element is there twice; names are words; every element that
 * fills a column has a name, and converts what its type says. */
static void
test_registry(void)
{
    char name[REGISTRY_NAMELEN];
    for (size_t i = 0; i < n_registry; i++) {
        const struct registry_entry *e = &registry[i];
        if (i) {
            CU_ASSERT_TRUE(e[-1].pen < e->pen
                           || (e[-1].pen == e->pen && e[-1].id < e->id));
        }
        CU_ASSERT_TRUE(e->id > 0 && e->type < N_REGISTRY_TYPES);
        CU_ASSERT_EQUAL(strspn(e->name, "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"),
                        strlen(e->name));
        CU_ASSERT_TRUE(strlen(e->name) + 8 < REGISTRY_NAMELEN);
        CU_ASSERT_PTR_EQUAL(registry_find(e->pen, e->id), e);
        CU_ASSERT_PTR_NOT_NULL(registry_enterprise(e->pen));
        for (size_t k = 0; k < i && e->pen == registry[k].pen; k++) {
            CU_ASSERT_STRING_NOT_EQUAL(e->name, registry[k].name);
        }
        const struct element *known = element_find(e->pen, e->id);
        if (known && e->type == REG_V4) {
            CU_ASSERT_TRUE(known->conv == CONV_V4);
        } else if (known && e->type == REG_V6) {
            CU_ASSERT_TRUE(known->conv == CONV_V6);
        } else if (known && e->type == REG_STR) {
            CU_ASSERT_TRUE(known->conv == CONV_NAME);
        } else if (known && e->type == REG_MAC) {
            CU_ASSERT_TRUE(known->conv == CONV_MAC);
        }
    }
    unsigned n = 0;
    static const uint32_t pens[] = { 0, PEN_CISCO, PEN_NOKIA, PEN_JUNIPER,
                                     PEN_OVS, PEN_NTOP };
    for (size_t i = 0; i < sizeof pens / sizeof pens[0]; i++) {
        for (unsigned id = 0; id < 65536; id++) {
            n += registry_find(pens[i], (uint16_t) id) != NULL;
            if (element_find(pens[i], (uint16_t) id)) {
                CU_ASSERT_PTR_NOT_NULL(registry_find(pens[i], (uint16_t) id));
            }
        }
    }
    CU_ASSERT_EQUAL(n, n_registry);
    CU_ASSERT_STRING_EQUAL(registry_name(0, 1, name), "octetDeltaCount");
    CU_ASSERT_STRING_EQUAL(registry_name(PEN_REVERSE, 1, name),
                           "reverseOctetDeltaCount");
    CU_ASSERT_STRING_EQUAL(registry_name(PEN_OVS, 892, name), "tunnelKey");
    CU_ASSERT_STRING_EQUAL(registry_name(99, 7, name), "99/7");
    CU_ASSERT_STRING_EQUAL(registry_type_name(REG_STML),
                           "subTemplateMultiList");
    CU_ASSERT_PTR_NULL(registry_find(0, 65));
    CU_ASSERT_PTR_NULL(registry_enterprise(1));
}

static void
test_ovs_templates(void)
{
    struct template_field f[OVS_MAX_FIELDS];
    unsigned n = 0, most = 0;
    for (unsigned id = 0; id < 65536; id++) {
        unsigned n_fields = ovs_template_fields((uint16_t) id, true, f);
        n += n_fields > 0;
        most = n_fields > most ? n_fields : most;
    }
    CU_ASSERT_EQUAL(n, 88);
    CU_ASSERT_TRUE(most < OVS_MAX_FIELDS);
    CU_ASSERT_EQUAL(ovs_template_fields(255, false, f), 0);
    CU_ASSERT_EQUAL(ovs_template_fields(256, false, f), 26);
    CU_ASSERT_EQUAL(ovs_template_fields(375, false, f), 61);
    CU_ASSERT_EQUAL(ovs_template_fields(376, false, f), 0);
}

static struct source *
source(struct source_table *t, unsigned i)
{
    struct source_key key = { .protocol = PROTO_IPFIX, .domain = i };
    key.exporter = addr_from_v4_bytes((uint8_t[]) {
        10, 0, (uint8_t) (i >> 8), (uint8_t) i });
    return source_table_get(t, &key);
}

static void
test_limits(void)
{
    struct source_table *t = source_table_create(8);
    struct template_cache *c = template_cache_create(3, 100);
    struct source *s = source(t, 1);
    struct template_field f[2] = { { 1, 8, 0 }, { 82, TEMPLATE_VARLEN, 0 } };
    CU_ASSERT_EQUAL(template_put(c, s, 300, false, 0, f, 2), TEMPLATE_NEW);
    CU_ASSERT_EQUAL(template_put(c, s, 300, false, 0, f, 2), TEMPLATE_SAME);
    CU_ASSERT_EQUAL(template_put(c, s, 300, false, 0, f, 1),
                    TEMPLATE_CHANGED);
    CU_ASSERT_EQUAL(template_put(c, s, 301, false, 0, f, 1), TEMPLATE_NEW);
    CU_ASSERT_EQUAL(template_put(c, s, 302, true, 1, f, 2), TEMPLATE_NEW);
    CU_ASSERT_EQUAL(template_put(c, s, 303, false, 0, f, 1), -ENOSPC);
    CU_ASSERT_EQUAL(template_put(c, s, 302, false, 0, f, 1),
                    TEMPLATE_CHANGED);
    CU_ASSERT_EQUAL(template_put(c, s, 255, false, 0, f, 1), -EBADMSG);
    CU_ASSERT_EQUAL(template_put(c, s, 300, false, 0, f, 0), -EBADMSG);
    CU_ASSERT_EQUAL(template_count(c, s), 3);
    template_withdraw(c, s, 301);
    template_withdraw(c, s, 999);
    CU_ASSERT_EQUAL(template_count(c, s), 2);
    CU_ASSERT_EQUAL(template_put(c, s, 303, false, 0, f, 1), TEMPLATE_NEW);
    CU_ASSERT_EQUAL(template_count(c, source(t, 2)), 0);

    struct template_field wide[2] = { { 1, 40000, 0 }, { 2, 40000, 0 } };
    CU_ASSERT_EQUAL(template_put(c, s, 300, false, 0, wide, 2), -EBADMSG);
    struct template_field many[PLAN_MAX_VARLEN + 1];
    for (unsigned i = 0; i <= PLAN_MAX_VARLEN; i++) {
        many[i] = f[1];
    }
    CU_ASSERT_EQUAL(template_put(c, s, 300, false, 0, many,
                                 PLAN_MAX_VARLEN + 1), -EBADMSG);
    CU_ASSERT_EQUAL(template_put(c, s, 300, false, 0, many,
                                 PLAN_MAX_VARLEN), TEMPLATE_CHANGED);
    template_cache_destroy(c);
    source_table_destroy(t);
}

/* Equal templates of many sources are kept once. */
static void
test_interned(void)
{
    struct source_table *t = source_table_create(3000);
    struct template_cache *c = template_cache_create(100, 1000);
    struct template_field f = { 1, 8, 0 };
    for (unsigned i = 0; i < 2500; i++) {
        CU_ASSERT_EQUAL(template_put(c, source(t, i), 300, false, 0, &f, 1),
                        TEMPLATE_NEW);
    }
    CU_ASSERT_EQUAL(template_total(c), 1);
    for (unsigned i = 0; i < 2500; i++) {
        template_withdraw(c, source(t, i), 300);
    }
    CU_ASSERT_EQUAL(template_total(c), 0);
    template_cache_destroy(c);
    source_table_destroy(t);
}

/* One thread changes templates all the time, others look them up. */
struct race {
    struct template_cache *cache;
    struct source *source;
    _Atomic bool stop;
    _Atomic unsigned wrong, seen;
};

static void *
race_reader(void *aux)
{
    struct race *r = aux;
    rcu_register_thread();
    while (!r->stop) {
        for (uint16_t id = 300; id < 400; id++) {
            template_read_lock();
            const struct template *t = template_get(r->cache, r->source, id);
            if (t) {
                r->seen++;
                r->wrong += t->id != id || t->n_fields != 1
                            || t->min_size != t->fields[0].size;
            }
            template_read_unlock();
        }
    }
    rcu_unregister_thread();
    return NULL;
}

static void
test_race(void)
{
    struct source_table *t = source_table_create(8);
    struct race r = { .cache = template_cache_create(200, 1000),
                      .source = source(t, 1) };
    pthread_t reader;
    pthread_create(&reader, NULL, race_reader, &r);
    for (unsigned i = 0; i < 20000; i++) {
        struct template_field f = { 1, (uint16_t) (1 + i % 8), 0 };
        uint16_t id = (uint16_t) (300 + i * 7 % 100);
        template_put(r.cache, r.source, id, false, 0, &f, 1);
        if (i % 3 == 0) {
            template_withdraw(r.cache, r.source, id);
        }
    }
    r.stop = true;
    pthread_join(reader, NULL);
    CU_ASSERT_EQUAL(r.wrong, 0);
    template_cache_destroy(r.cache);
    source_table_destroy(t);
}

static bool
count_each(const struct template *t, void *aux)
{
    *(unsigned *) aux += t->n_fields;
    return true;
}

static void
test_each(void)
{
    struct source_table *t = source_table_create(8);
    struct template_cache *c = template_cache_create(200, 1000);
    struct template_field f = { 1, 8, 0 };
    for (unsigned i = 0; i < 150; i++) {
        template_put(c, source(t, 1), (uint16_t) (300 + i), false, 0, &f, 1);
    }
    unsigned n = 0;
    template_each(c, source(t, 1), count_each, &n);
    CU_ASSERT_EQUAL(n, 150);
    template_withdraw_all(c, source(t, 1), false);
    n = 0;
    template_each(c, source(t, 1), count_each, &n);
    CU_ASSERT_EQUAL(n, 0);
    template_cache_destroy(c);
    source_table_destroy(t);
}

/* One address, whatever domains it invents, leaves room for others. */
static void
test_exporter_share(void)
{
    struct source_table *t = source_table_create(4096);
    struct template_cache *c = template_cache_create(1024, 262144);
    struct template_field fields[TEMPLATE_MAX_FIELDS];
    for (unsigned i = 0; i < TEMPLATE_MAX_FIELDS; i++) {
        fields[i] = (struct template_field) { (uint16_t) (1 + i), 8, 0 };
    }
    struct source_key key = { .protocol = PROTO_IPFIX };
    addr_parse("192.0.2.66", &key.exporter);
    int result = TEMPLATE_NEW;
    unsigned n = 0;
    for (; result == TEMPLATE_NEW && n < 100000; n++) {
        key.domain = n / 20;
        fields[0].size = (uint16_t) (1 + n % 8);
        fields[1].size = (uint16_t) (1 + n / 8 % 8);
        fields[2].size = (uint16_t) (1 + n / 64 % 8);
        fields[3].size = (uint16_t) (1 + n / 512 % 8);
        result = template_put(c, source_table_get(t, &key),
                              (uint16_t) (256 + n % 20), false, 0, fields,
                              TEMPLATE_MAX_FIELDS);
    }
    CU_ASSERT_EQUAL(result, -ENOSPC);
    CU_ASSERT_TRUE(n > 100 && n < 4096);

    addr_parse("192.0.2.1", &key.exporter);
    fields[0].size = 3000;
    CU_ASSERT_EQUAL(template_put(c, source_table_get(t, &key), 256, false, 0,
                                 fields, TEMPLATE_MAX_FIELDS), TEMPLATE_NEW);

    /* What is withdrawn is free again. */
    addr_parse("192.0.2.66", &key.exporter);
    key.domain = 0;
    template_withdraw_all(c, source_table_get(t, &key), false);
    fields[0].size = 3001;
    CU_ASSERT_EQUAL(template_put(c, source_table_get(t, &key), 256, false, 0,
                                 fields, TEMPLATE_MAX_FIELDS), TEMPLATE_NEW);
    template_cache_destroy(c);
    source_table_destroy(t);
}

static bool
take_hash(const struct template *t, void *hash)
{
    *(uint64_t *) hash = t->hash;
    return false;
}

/* Who chooses templates cannot choose which ones share a chain, nor leave ones
 * of both kinds that a withdrawal of all would miss. */
static void
test_hostile(void)
{
    struct source_table *t = source_table_create(8);
    struct template_field f = { 1, 8, 0 };
    uint64_t hash[2] = { 0, 0 };
    for (unsigned i = 0; i < 2; i++) {
        struct template_cache *c = template_cache_create(200, 1000);
        template_put(c, source(t, 1), 256, false, 0, &f, 1);
        template_each(c, source(t, 1), take_hash, &hash[i]);
        template_cache_destroy(c);
    }
    CU_ASSERT_NOT_EQUAL(hash[0], hash[1]);

    struct template_cache *c = template_cache_create(1024, 10000);
    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned i = 0; i < 1000; i++) {
            bool options = (i + turn) % 3 == 0;
            CU_ASSERT_TRUE(template_put(c, source(t, 1),
                                        (uint16_t) (256 + i), options,
                                        options, &f, 1) >= 0);
        }
        for (unsigned i = 0; i < 1000; i += 7) {
            template_withdraw(c, source(t, 1), (uint16_t) (256 + i));
        }
        CU_ASSERT_EQUAL(template_count(c, source(t, 1)), 1000 - 143);
    }
    template_withdraw_all(c, source(t, 1), true);
    for (unsigned i = 0; i < 1000; i++) {
        const struct template *k = template_get(c, source(t, 1),
                                                (uint16_t) (256 + i));
        CU_ASSERT_EQUAL(k != NULL, (i + 2) % 3 != 0 && i % 7 != 0);
    }
    template_withdraw_all(c, source(t, 1), false);
    CU_ASSERT_EQUAL(template_count(c, source(t, 1)), 0);
    CU_ASSERT_EQUAL(template_total(c), 0);
    template_cache_destroy(c);
    source_table_destroy(t);
}

UNIT_MAIN("template", UNIT_TEST(test_exporter_share),
          UNIT_TEST(test_elements_match_columns), UNIT_TEST(test_registry),
          UNIT_TEST(test_ovs_templates), UNIT_TEST(test_limits),
          UNIT_TEST(test_interned), UNIT_TEST(test_race),
          UNIT_TEST(test_each), UNIT_TEST(test_hostile))
