/* The first of very many groups: what is asked of a store in several passes is
 * what one would add up by hand. */
#include <config.h>

#include <stdatomic.h>
#include <stdio.h>

#include "collector/query/query.h"
#include "collector/store/scan_p.h"
#include "tests/unit/query_util.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

#define HOSTS 4096u
#define PORTS 64u
#define GROUPS (HOSTS * PORTS)
#define BATCHES 200u
#define N_METRICS 3

/* How octets are spread over groups. */
enum shape { FEW_LARGE, ALIKE, RANDOM, N_SHAPES };

static struct dict *dict;
static struct source source;
static struct store *store;
static struct query_pool *pool;

/* What the flows come to, by group: of all, and of TCP. */
static uint64_t (*sums_of)[2][N_METRICS];

/* Hosts are of IPv4 and of IPv6. */
static struct addr
host(uint32_t i)
{
    struct addr a = { { 0x20, 1, 0xd, 0xb8 } };
    if (i % 8) {
        a = addr_from_v4_bytes((uint8_t[]) { 10, 0, 0, 0 });
    }
    a.b[14] = (uint8_t) (i >> 8);
    a.b[15] = (uint8_t) i;
    return a;
}

static uint64_t
octets(enum shape shape, uint32_t group, uint64_t r)
{
    switch (shape) {
    case FEW_LARGE:
        return 40 + (group % 997 ? r % 100 : group % 499 * 10000 + r % 1000);
    case ALIKE:
        return 100;
    default:
        return 40 + r % 1460;
    }
}

static void
fill(struct flow_batch *b, enum shape shape, unsigned i, uint64_t *seed)
{
    b->oldest_us = UTIL_T0;
    batch_zero_rows(b, 0, BATCH_ROWS);
    for (uint32_t row = 0; row < BATCH_ROWS; row++) {
        uint64_t r = util_random(seed);
        uint32_t group = (uint32_t) (r >> 20) % GROUPS;
        bool tcp = r >> 60 & 1;
        uint64_t v[N_METRICS] = { octets(shape, group, r >> 40 & 0xfffff),
                                  1 + r % 3, 1 };
        b->received[row] = UTIL_T0 + i * 1000000;
        b->flow_end[row] = b->flow_start[row] = b->received[row];
        b->exporter[row] = host(1);
        b->canonical[row] = 1;
        BATCH_SET(b, src_addr, row, host(group % HOSTS));
        BATCH_SET(b, dst_port, row, (uint16_t) (group / HOSTS));
        BATCH_SET(b, proto, row, tcp ? 6 : 17);
        b->bytes[row] = b->raw_bytes[row] = v[0];
        b->packets[row] = b->raw_packets[row] = v[1];
        for (unsigned m = 0; m < N_METRICS; m++) {
            sums_of[group][0][m] += v[m];
            sums_of[group][1][m] += tcp ? v[m] : 0;
        }
    }
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (!(columns[id].flags & CF_NULL)) {
            batch_set_valid_range(b, id, 0, BATCH_ROWS);
        }
    }
    b->n = BATCH_ROWS;
    batch_add_span(b, &source, 0);
}

static int
descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return (x < y) - (x > y);
}

/* The groups of an answer are those that are largest by metric 'm'. */
static void
check(const char *filter, unsigned m, unsigned limit, int64_t from_us)
{
    static uint64_t all[GROUPS];
    struct filter_error error;
    struct query q = { .from_us = from_us, .to_us = UTIL_T0 + UTIL_HOUR,
                       .by = { COL_src_addr, COL_dst_port }, .n_by = 2,
                       .metrics = { COL_bytes, COL_packets,
                                    QUERY_METRIC_FLOWS },
                       .n_metrics = N_METRICS, .order = 2 + (int) m,
                       .descending = true, .limit = limit,
                       .timeout_ms = 600000 };
    unsigned wrong = 0, is_tcp = filter != NULL;
    size_t n = 0;

    q.filter = filter ? filter_parse(filter, &error) : NULL;
    for (uint32_t g = 0; g < GROUPS; g++) {
        if (sums_of[g][is_tcp][2]) {
            all[n++] = sums_of[g][is_tcp][m];
        }
    }
    qsort(all, n, sizeof all[0], descending);
    struct query_result *r = util_ask(pool, &q);
    CU_ASSERT_EQUAL_FATAL(r->status, QUERY_OK);
    CU_ASSERT_EQUAL_FATAL(r->n_rows, limit);
    CU_ASSERT_EQUAL(r->truncated, n > limit);
    CU_ASSERT_EQUAL(r->rows_scanned, BATCHES * BATCH_ROWS);
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct query_value *v = &r->values[i * r->n_columns];
        uint32_t h = v[0].addr.b[14] * 256u + v[0].addr.b[15];
        uint32_t g = (uint32_t) v[1].u * HOSTS + h;
        struct addr a = host(h);
        wrong += g >= GROUPS || memcmp(&a, &v[0].addr, sizeof a)
                 || v[2 + m].u != all[i];
        for (unsigned k = 0; g < GROUPS && k < N_METRICS; k++) {
            wrong += v[2 + k].u != sums_of[g][is_tcp][k];
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    query_result_destroy(r);
}

/* 'others' is what other questions take of memory meanwhile. */
static void
test_shape(enum shape shape, uint64_t others)
{
    char *dir = util_mkdir();
    struct store_config c = { .query_threads = 3 };
    uint64_t seed = 7 + shape;

    dict = dict_create(1000, 100000);
    store = util_open(dir, dict, &c);
    sums_of = calloc(GROUPS, sizeof *sums_of);
    CU_ASSERT_FATAL(store != NULL && sums_of != NULL);
    for (unsigned i = 0; i < BATCHES; i++) {
        struct flow_batch *b;
        while (!(b = store_batch_get(store))) {
            usleep(1000);
        }
        fill(b, shape, i, &seed);
        while (!store_submit(store, b)) {
            usleep(1000);
        }
    }
    CU_ASSERT(util_wait(store, BATCHES * BATCH_ROWS));
    pool = query_pool_create(store, 2, 8);
    scan_take_memory(store, others);
    for (unsigned m = 0; m < N_METRICS; m++) {
        check(NULL, m, 10, UTIL_T0);
        check("proto tcp", m, 10, UTIL_T0);
    }
    check(NULL, 0, 1, UTIL_T0);
    check(NULL, 0, 1000, UTIL_T0);
    check(NULL, 0, 5000, UTIL_T0);      /* Too many for several passes. */
    /* Nothing is left of what they took. */
    CU_ASSERT_FALSE(scan_take_memory(store, -others));
    query_pool_destroy(pool);
    CU_ASSERT_EQUAL(atomic_load(&store->sums_bytes), 0);
    store_close(store);
    dict_destroy(dict);
    free(sums_of);
    util_rmdir(dir);
    free(dir);
}

static void
test_few_large(void)
{
    test_shape(FEW_LARGE, 0);
}

static void
test_alike(void)
{
    test_shape(ALIKE, 0);
}

static void
test_random(void)
{
    test_shape(RANDOM, 0);
}

/* Passes before the last are put aside as well. */
static void
test_little_memory(void)
{
    test_shape(FEW_LARGE, UINT64_C(1) << 40);
}

UNIT_MAIN("sums_top", UNIT_TEST(test_few_large), UNIT_TEST(test_alike),
          UNIT_TEST(test_random), UNIT_TEST(test_little_memory))
