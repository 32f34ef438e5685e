#include <config.h>

#include "collector/exporter/source_table.h"

#include <pthread.h>

#include "tests/unit/unit.h"

static struct source_key
key_of(unsigned i)
{
    struct source_key k = { .protocol = PROTO_NETFLOW9, .domain = i % 7 };
    k.exporter = k.agent = (struct addr) {
        { [10] = 0xff, 0xff, 10, (uint8_t) (i >> 16), (uint8_t) (i >> 8),
          (uint8_t) i },
    };
    return k;
}

static bool
count_up(struct source *s, void *aux)
{
    unsigned *n = aux;
    CU_ASSERT_EQUAL(s->id, ++*n);
    return *n < 900;
}

static void
test_get(void)
{
    struct source_table *t = source_table_create(1000);
    struct source *first[1000];
    for (unsigned i = 0; i < 1000; i++) {
        struct source_key k = key_of(i);
        first[i] = source_table_get(t, &k);
        CU_ASSERT_PTR_NOT_NULL_FATAL(first[i]);
        CU_ASSERT_EQUAL(first[i]->id, i + 1);
    }
    for (unsigned i = 0; i < 1000; i++) {
        struct source_key k = key_of(i);
        CU_ASSERT_PTR_EQUAL(source_table_get(t, &k), first[i]);
    }
    struct source_key k = key_of(1000);
    CU_ASSERT_PTR_NULL(source_table_get(t, &k));
    k = key_of(1);
    k.agent.b[15]++;            /* Each member of the key counts. */
    CU_ASSERT_PTR_NULL(source_table_get(t, &k));
    CU_ASSERT_EQUAL(source_table_count(t), 1000);
    unsigned n = 0;
    source_table_each(t, count_up, &n);
    CU_ASSERT_EQUAL(n, 900);
    source_table_destroy(t);
    source_table_destroy(NULL);
}

/* Made-up exporters take all there is; those with names still get in. */
static void
test_reserve(void)
{
    struct source_table *t = source_table_create(100);
    struct source_key k = key_of(5000);
    struct named_source named = { .address = k.exporter, .name = 1 };
    unsigned n = 0;
    for (unsigned i = 0; i < 5000; i++) {
        struct source_key spoofed = key_of(i);
        n += source_table_get(t, &spoofed) != NULL;
    }
    CU_ASSERT_EQUAL(n, 100);
    CU_ASSERT_PTR_NULL(source_table_get(t, &k));
    CU_ASSERT_EQUAL(source_table_set_named(t, &named, 1), 0);
    CU_ASSERT_PTR_NOT_NULL(source_table_get(t, &k));
    n = 0;
    for (k.domain = 0; k.domain < 2 * SOURCE_RESERVE; k.domain++) {
        n += source_table_get(t, &k) != NULL;
    }
    CU_ASSERT_EQUAL(n, SOURCE_RESERVE); /* Not without bounds, either. */
    source_table_destroy(t);
}

/* One address invents domains and agents: others still find room. */
static void
test_share_of_address(void)
{
    struct source_table *t = source_table_create(100);
    struct source_key k = key_of(1), other = key_of(2);
    unsigned n = 0;
    for (k.domain = 0; k.domain < 1000; k.domain++) {
        n += source_table_get(t, &k) != NULL;
    }
    CU_ASSERT_EQUAL(n, 50);
    n = 0;
    for (other.agent.b[0] = 0; other.agent.b[0] < 200; other.agent.b[0]++) {
        n += source_table_get(t, &other) != NULL;
    }
    CU_ASSERT_EQUAL(n, 25);
    n = 0;
    for (unsigned i = 1000; i < 1100; i++) {
        struct source_key k2 = key_of(i);
        n += source_table_get(t, &k2) != NULL;
    }
    CU_ASSERT_EQUAL(n, 25);
    CU_ASSERT_EQUAL(source_table_count(t), 100);
    source_table_destroy(t);
}

static void
count_one(struct source *s, void *aux)
{
    struct { struct addr a; unsigned n; } *c = aux;
    CU_ASSERT_TRUE(addr_equal(&s->key.exporter, &c->a));
    c->n++;
}

static void
test_each_of(void)
{
    struct source_table *t = source_table_create(1000);
    struct { struct addr a; unsigned n; } c = { .n = 0 };
    for (unsigned i = 0; i < 100; i++) {
        struct source_key k = key_of(i % 10);
        k.domain = i / 10;
        source_table_get(t, &k);
    }
    for (unsigned i = 0; i < 10; i++) {
        c.a = key_of(i).exporter;
        c.n = 0;
        source_table_each_of(t, &c.a, count_one, &c);
        CU_ASSERT_EQUAL(c.n, 10);
    }
    c.a = key_of(77).exporter;
    c.n = 0;
    source_table_each_of(t, &c.a, count_one, &c);
    CU_ASSERT_EQUAL(c.n, 0);

    /* TCP sessions of one address. */
    struct source_table *large = source_table_create(100000);
    struct source_key k = key_of(1);
    unsigned n = 0;
    k.session = 1;
    for (k.domain = 0; k.domain < 2 * SOURCE_SESSION_SHARE; k.domain++) {
        n += source_table_get(large, &k) != NULL;
    }
    CU_ASSERT_EQUAL(n, SOURCE_SESSION_SHARE);
    source_table_destroy(large);
    source_table_destroy(t);
}

struct race {
    struct source_table *table;
    struct source *seen[3000];
};

static void *
race_thread(void *aux)
{
    struct race *r = aux;
    for (unsigned i = 0; i < 3000; i++) {
        struct source_key k = key_of(i);
        r->seen[i] = source_table_get(r->table, &k);
    }
    return NULL;
}

static void
test_race(void)
{
    static struct race r[3];
    struct source_table *t = source_table_create(5000);
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++) {
        r[i].table = t;
        pthread_create(&threads[i], NULL, race_thread, &r[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(source_table_count(t), 3000);
    for (unsigned i = 0; i < 3000; i++) {
        CU_ASSERT_PTR_EQUAL(r[0].seen[i], r[1].seen[i]);
        CU_ASSERT_PTR_EQUAL(r[0].seen[i], r[2].seen[i]);
    }
    source_table_destroy(t);
}

static struct source *
one_source(struct source_table *t)
{
    struct source_key k = key_of(1);
    struct source *s = source_table_get(t, &k);
    s->port = 1;
    return s;
}

static void
test_sequence(void)
{
    static const struct { uint32_t seq, units; unsigned lost, late, restarts; }
    steps[] = {
        { 4294967290u, 5, 0, 0, 0 },
        { 4294967295u, 5, 0, 0, 0 },    /* Wraps: 4 is next. */
        { 4, 10, 0, 0, 0 },
        { 20, 10, 6, 0, 0 },            /* 6 are missing. */
        { 14, 6, 6, 1, 0 },             /* Late, after all. */
        { 30, 0, 6, 1, 0 },             /* No units. */
        { 30, 1, 6, 1, 0 },
        { 0, 1, 6, 1, 1 },              /* Anew. */
        { 1, 1, 6, 1, 1 },
        { 0x80000000u, 1, 6, 1, 2 },
        { 0x7ffff000u, 1, 6, 1, 3 },
    };
    struct source_table *t = source_table_create(8);
    struct source *s = one_source(t);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        source_sequence(s, steps[i].seq, steps[i].units);
        CU_ASSERT_EQUAL(s->n.lost, steps[i].lost);
        CU_ASSERT_EQUAL(s->n.reordered, steps[i].late);
        CU_ASSERT_EQUAL(s->n.restarts, steps[i].restarts);
    }
    source_sequence_skip(s);
    source_sequence(s, 12345, 1);
    source_sequence(s, 12346, 1);
    CU_ASSERT_EQUAL(s->n.lost, 6);
    CU_ASSERT_EQUAL(s->n.restarts, 3);
    source_table_destroy(t);
}

/* Cisco's convention of NetFlow v5 and Open vSwitch's, where the header names
 * the last flow of the datagram. */
static void
test_sequence_v5(void)
{
    static const unsigned counts[] = { 1, 3, 2, 2, 2, 1, 30, 5, 1, 1, 7 };
    for (unsigned ovs = 0; ovs < 2; ovs++) {
        struct source_table *t = source_table_create(8);
        struct source *s = one_source(t);
        uint32_t seq = UINT32_MAX - 4;
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            unsigned n = counts[i];
            source_sequence_v5(s, ovs ? seq + n - 1 : seq, n);
            seq += n;
        }
        CU_ASSERT_EQUAL(s->n.lost, 0);
        CU_ASSERT_EQUAL(s->n.reordered, 0);
        CU_ASSERT_EQUAL(s->n.restarts, 0);
        seq += 13;                      /* Lost. */
        source_sequence_v5(s, ovs ? seq + 8 : seq, 9);
        seq += 9;
        CU_ASSERT_EQUAL(s->n.lost, 13);
        /* Late, and the one that should have come before it. */
        source_sequence_v5(s, ovs ? seq - 22 + 12 : seq - 22, 13);
        CU_ASSERT_EQUAL(s->n.reordered, 1);
        /* What looks like the other convention once changes nothing: there
         * are 6 flows missing between the two. */
        unsigned before = ovs ? 10 : 4, after = 14 - before;
        source_sequence_v5(s, ovs ? seq + before - 1 : seq, before);
        seq += before + 6;
        source_sequence_v5(s, ovs ? seq + after - 1 : seq, after);
        seq += after;
        CU_ASSERT_EQUAL(s->n.lost, 13 + 6);
        uint64_t lost = s->n.lost;
        source_sequence_v5(s, ovs ? seq + 2 : seq, 3);
        seq += 3;
        source_sequence_v5(s, ovs ? seq + 7 : seq, 8);
        CU_ASSERT_EQUAL(s->n.lost, lost);
        CU_ASSERT_EQUAL(s->n.reordered, 1);
        CU_ASSERT_EQUAL(s->n.restarts, 0);
        source_table_destroy(t);
    }
}

/* A source that turns from the one to the other, as when an exporter is
 * replaced: believed again after a few datagrams. */
static void
test_sequence_v5_change(void)
{
    struct source_table *t = source_table_create(8);
    struct source *s = one_source(t);
    uint32_t seq = 1;
    for (unsigned i = 0; i < 60; i++) {
        unsigned n = 1 + i * 7 % 13;
        source_sequence_v5(s, i < 30 ? seq : seq + n - 1, n);
        seq += n;
        if (i == 40) {
            s->n.lost = s->n.reordered = 0;
        }
    }
    CU_ASSERT_EQUAL(s->n.lost, 0);
    CU_ASSERT_EQUAL(s->n.reordered, 0);
    source_table_destroy(t);
}

/* A peer whose port changes all the time takes no memory, and does not
 * disturb the numbers of others. */
static void
test_ports(void)
{
    struct source_table *t = source_table_create(8);
    struct source *s = one_source(t);
    for (uint32_t i = 0; i < 200000; i++) {
        s->port = (uint16_t) i;
        source_sequence(s, i * 1000, 1);
    }
    CU_ASSERT_TRUE(s->n.lost + s->n.restarts + s->n.reordered < 200000);
    source_table_destroy(t);
}

static void
test_samplers(void)
{
    struct source_table *t = source_table_create(8);
    struct source *s = one_source(t);
    for (unsigned i = 0; i < 2 * SOURCE_SAMPLERS; i++) {
        source_sampler_set(s, i, 100 + i);
    }
    source_sampler_set(s, 3, 7);
    CU_ASSERT_EQUAL(source_sampler(s, 0), 100);
    CU_ASSERT_EQUAL(source_sampler(s, 3), 7);
    CU_ASSERT_EQUAL(source_sampler(s, SOURCE_SAMPLERS - 1),
                    100 + SOURCE_SAMPLERS - 1);
    CU_ASSERT_EQUAL(source_sampler(s, SOURCE_SAMPLERS), 0);
    CU_ASSERT_FALSE(source_is_ovs(s));
    source_mark_ovs(s, true);
    CU_ASSERT_TRUE(source_is_ovs(s));
    source_table_destroy(t);
}

UNIT_MAIN("source_table", UNIT_TEST(test_get), UNIT_TEST(test_reserve), UNIT_TEST(test_share_of_address),
        UNIT_TEST(test_each_of),
          UNIT_TEST(test_race),
          UNIT_TEST(test_sequence), UNIT_TEST(test_sequence_v5),
          UNIT_TEST(test_sequence_v5_change), UNIT_TEST(test_ports),
          UNIT_TEST(test_samplers))
