/* The tree against a list that is searched from end to end. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "bgp/lpm.h"
#include "tests/unit/unit.h"

#define N_LIST 600

struct entry {
    struct lpm_key key;
    unsigned len;
    uint32_t value;             /* 0: not there. */
};

static uint64_t seed;

static uint64_t
next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t
mask(unsigned len)
{
    return len ? UINT64_MAX << (64 - len) : 0;
}

static struct lpm_key
cut(struct lpm_key key, unsigned len)
{
    key.hi &= mask(len < 64 ? len : 64);
    key.lo &= len > 64 ? mask(len - 64) : 0;
    return key;
}

static bool
inside(struct lpm_key key, const struct entry *e)
{
    struct lpm_key k = cut(key, e->len);
    return k.hi == e->key.hi && k.lo == e->key.lo;
}

/* Few different bits, so that prefixes meet and nest. */
static struct lpm_key
random_key(unsigned bits)
{
    struct lpm_key k = { next() & next(), next() & next() };
    if (next() % 2) {
        k.hi &= UINT64_C(0xc3000000f0f0f0ff);
    }
    if (bits == 32) {
        k.hi &= UINT64_C(0xffffffff00000000);
        k.lo = 0;
    }
    return k;
}

static const struct entry *
naive(const struct entry *list, struct lpm_key key, unsigned max_len)
{
    const struct entry *best = NULL;
    for (unsigned i = 0; i < N_LIST; i++) {
        const struct entry *e = &list[i];
        if (e->value && e->len <= max_len && inside(key, e)
            && (!best || e->len > best->len)) {
            best = e;
        }
    }
    return best;
}

static struct entry *
find(struct entry *list, struct lpm_key key, unsigned len)
{
    struct entry *free_ = NULL;
    for (unsigned i = 0; i < N_LIST; i++) {
        struct entry *e = &list[i];
        if (e->value && e->len == len && e->key.hi == key.hi
            && e->key.lo == key.lo) {
            return e;
        }
        if (!e->value) {
            free_ = e;
        }
    }
    return free_;
}

static void
check_lookups(struct lpm *t, const struct entry *list, unsigned bits)
{
    struct lpm_key keys[100];
    uint32_t values[100];
    struct lpm_match matches[LPM_MAX_MATCHES];
    for (unsigned i = 0; i < 100; i++) {
        keys[i] = random_key(bits);
        if (i % 2) {            /* Inside of one that may be there. */
            const struct entry *e = &list[next() % N_LIST];
            keys[i].hi = e->key.hi | (keys[i].hi & ~mask(
                e->len < 64 ? e->len : 64));
            keys[i].lo = e->key.lo | (e->len > 64
                ? keys[i].lo & ~mask(e->len - 64) : keys[i].lo);
            if (bits == 32) {
                keys[i].hi &= UINT64_C(0xffffffff00000000);
                keys[i].lo = 0;
            }
        }
    }
    unsigned n = (unsigned) (next() % 100) + 1;
    lpm_lookup(t, keys, n, values);
    for (unsigned i = 0; i < n; i++) {
        const struct entry *e = naive(list, keys[i], bits);
        CU_ASSERT_EQUAL(values[i], e ? e->value : 0);
        unsigned max = bits, found = lpm_matches(t, keys[i], max, matches);
        for (unsigned j = 0; j < found && e; j++) {
            CU_ASSERT_EQUAL(matches[j].value, e->value);
            CU_ASSERT_EQUAL(matches[j].len, e->len);
            e = e->len ? naive(list, keys[i], e->len - 1) : NULL;
        }
        CU_ASSERT(!e || !found);
        CU_ASSERT(found || !naive(list, keys[i], bits));
    }
}

struct seen {
    struct lpm_key key;
    unsigned len, n, stop_after;
    const struct entry *list;
    bool first;
};

static bool
each(void *seen_, struct lpm_key key, unsigned len, uint32_t value)
{
    struct seen *s = seen_;
    struct entry *e = find((struct entry *) s->list, key, len);
    CU_ASSERT(e && e->value == value);
    if (!s->first) {
        CU_ASSERT(key.hi > s->key.hi
                  || (key.hi == s->key.hi && key.lo > s->key.lo)
                  || (key.hi == s->key.hi && key.lo == s->key.lo
                      && len > s->len));
    }
    s->first = false;
    s->key = key;
    s->len = len;
    s->n++;
    return !s->stop_after || --s->stop_after;
}

static void
check_walk(struct lpm *t, const struct entry *list)
{
    const struct entry *e = &list[next() % N_LIST];
    struct lpm_key key = e->key, from = { 0, 0 };
    unsigned len = e->len ? (unsigned) (next() % (e->len + 1)) : 0;
    unsigned from_len = 0, expected = 0;
    struct seen s = { .list = list, .first = true };
    struct entry range = { cut(key, len), len, 1 };

    for (unsigned i = 0; i < N_LIST; i++) {
        expected += list[i].value && list[i].len >= len
                    && inside(list[i].key, &range);
    }
    /* In pieces: each begins with the one at which the last one stopped. */
    for (;;) {
        unsigned before = s.n;
        s.stop_after = (unsigned) (next() % 20) + 2;
        s.first = true;
        if (lpm_walk(t, range.key, len, from, from_len, each, &s)) {
            break;
        }
        CU_ASSERT(s.n > before);
        from = s.key;
        from_len = s.len;
        s.n--;
    }
    CU_ASSERT_EQUAL(s.n, expected);
}

static void
run(unsigned bits, bool fast, uint64_t seed_)
{
    struct arena a;
    struct lpm t;
    struct entry *list = calloc(N_LIST, sizeof *list);
    seed = seed_;
    CU_ASSERT_EQUAL_FATAL(arena_init(&a, (size_t) 1 << 30), 0);
    CU_ASSERT_EQUAL_FATAL(lpm_init(&t, &a, fast), 0);
    for (unsigned round = 0; round < 3000; round++) {
        /* More come than go, then the other way. */
        bool remove = next() % 8 < (round / 700 % 2 ? 5 : 2);
        unsigned len = (unsigned) (next() % (bits + 1));
        struct lpm_key key = cut(random_key(bits), len);
        struct entry *e = remove ? &list[next() % N_LIST]
                                 : find(list, key, len);
        if (remove && e->value) {
            CU_ASSERT_EQUAL(lpm_get(&t, e->key, e->len), e->value);
            CU_ASSERT_EQUAL(lpm_remove(&t, e->key, e->len), 0);
            CU_ASSERT_EQUAL(lpm_get(&t, e->key, e->len), 0);
            e->value = 0;
        } else if (!remove && e) {
            *e = (struct entry) { key, len, round + 1 };
            CU_ASSERT_EQUAL(lpm_set(&t, key, len, round + 1), 0);
            CU_ASSERT_EQUAL(lpm_get(&t, key, len), round + 1);
        }
        if (round % 100 == 0) {
            check_lookups(&t, list, bits);
            check_walk(&t, list);
            arena_reclaim(&a, 1000);
        }
    }
    uint64_t n = 0;
    for (unsigned i = 0; i < N_LIST; i++) {
        n += list[i].value != 0;
    }
    CU_ASSERT_EQUAL(t.n, n);
    for (unsigned i = 0; i < N_LIST; i++) {
        if (list[i].value) {
            lpm_remove(&t, list[i].key, list[i].len);
        }
    }
    CU_ASSERT_EQUAL(t.root, 0);
    CU_ASSERT_EQUAL(t.n, 0);
    /* Nothing was lost on the way. */
    while (arena_pending(&a)) {
        arena_reclaim(&a, 1000);
    }
    CU_ASSERT_EQUAL(a.allocated, 0);
    lpm_clear(&t);
    arena_clear(&a);
    free(list);
}

static void
test_v4(void)
{
    for (uint64_t s = 1; s < 6; s++) {
        run(32, true, s);
        run(32, false, 100 + s);
    }
}

static void
test_v6(void)
{
    for (uint64_t s = 1; s < 6; s++) {
        run(128, true, 10 + s);
        run(128, false, 200 + s);
    }
}

static void
test_edges(void)
{
    struct arena a;
    struct lpm t;
    struct lpm_key zero = { 0, 0 }, ones = { UINT64_MAX, UINT64_MAX };
    uint32_t value;
    CU_ASSERT_EQUAL_FATAL(arena_init(&a, (size_t) 1 << 28), 0);
    CU_ASSERT_EQUAL_FATAL(lpm_init(&t, &a, true), 0);
    lpm_lookup(&t, &zero, 1, &value);
    CU_ASSERT_EQUAL(value, 0);
    CU_ASSERT_EQUAL(lpm_remove(&t, ones, 128), 0);
    CU_ASSERT_EQUAL(lpm_set(&t, zero, 0, 7), 0);        /* ::/0 */
    lpm_lookup(&t, &ones, 1, &value);
    CU_ASSERT_EQUAL(value, 7);
    CU_ASSERT_EQUAL(lpm_set(&t, ones, 128, 9), 0);
    lpm_lookup(&t, &ones, 1, &value);
    CU_ASSERT_EQUAL(value, 9);
    lpm_lookup(&t, &zero, 1, &value);
    CU_ASSERT_EQUAL(value, 7);
    CU_ASSERT_EQUAL(lpm_remove(&t, zero, 0), 0);
    lpm_lookup(&t, &zero, 1, &value);
    CU_ASSERT_EQUAL(value, 0);
    lpm_clear(&t);
    arena_clear(&a);
}

/* When there is no room nothing changes. */
static void
test_full(void)
{
    struct arena a;
    struct lpm t;
    unsigned n = 0;
    CU_ASSERT_EQUAL_FATAL(arena_init(&a, (size_t) 1 << 21), 0);
    CU_ASSERT_EQUAL_FATAL(lpm_init(&t, &a, true), 0);
    seed = 42;
    for (;;) {
        struct lpm_key key = { next(), next() };
        if (lpm_set(&t, key, 128, ++n)) {
            CU_ASSERT_EQUAL(lpm_get(&t, key, 128), 0);
            break;
        }
    }
    CU_ASSERT_EQUAL(t.n, n - 1);
    seed = 42;
    for (unsigned i = 1; i < n; i++) {
        struct lpm_key key = { next(), next() };
        CU_ASSERT_EQUAL(lpm_get(&t, key, 128), i);
    }
    lpm_clear(&t);
    arena_clear(&a);
}

UNIT_MAIN("lpm", UNIT_TEST(test_v4), UNIT_TEST(test_v6),
          UNIT_TEST(test_edges), UNIT_TEST(test_full))
