/* tests/unit/test_budget.c -- sampling "auto". */
#include <config.h>

#include "ovsdb/budget.h"

#include <stdbool.h>

#include "ovsdb/export_p.h"
#include "tests/unit/unit.h"

static bool
is_power_of_two(uint32_t n)
{
    return n && !(n & (n - 1));
}

static void
test_coarser(void)
{
    struct budget_item item = { .load = 4000000, .sampling = 512 };
    CU_ASSERT_EQUAL(budget_share(&item, 1, 1000, 1000), 1);
    CU_ASSERT_EQUAL(item.sampling, 4096);
    CU_ASSERT(item.load / item.sampling <= 1000);
    /* Settled. */
    CU_ASSERT_EQUAL(budget_share(&item, 1, 1000, 2000), 0);
    /* A little more is tolerated, and twice as much not at once. */
    item.load = 1.2 * 4096 * 1000;
    CU_ASSERT_EQUAL(budget_share(&item, 1, 1000, 100000), 0);
    item.changed_ms = 100000;
    item.load = 16000000;
    CU_ASSERT_EQUAL(budget_share(&item, 1, 1000, 100001), 0);
    CU_ASSERT_EQUAL(budget_share(&item, 1, 1000, 100000 + BUDGET_REST_MS),
                    1);
    CU_ASSERT_EQUAL(item.sampling, 16384);
}

static void
test_finer(void)
{
    struct budget_item item = { .load = 100000, .sampling = 65536 };
    int64_t now_ms = 5000;
    CU_ASSERT_EQUAL(budget_share(&item, 1, 1000, now_ms), 0);
    CU_ASSERT_EQUAL(budget_share(&item, 1, 1000,
                                 now_ms + BUDGET_CALM_MS - 1), 0);
    /* A burst in between starts the time again. */
    item.load = 60000000;
    budget_share(&item, 1, 1000, now_ms + BUDGET_CALM_MS - 1);
    CU_ASSERT_EQUAL(item.sampling, 65536);
    item.load = 100000;
    now_ms += BUDGET_CALM_MS;
    CU_ASSERT_EQUAL(budget_share(&item, 1, 1000, now_ms), 0);
    CU_ASSERT_EQUAL(budget_share(&item, 1, 1000, now_ms + BUDGET_CALM_MS),
                    1);
    CU_ASSERT_EQUAL(item.sampling, 256);
    /* And there it stays. */
    for (int i = 0; i < 1000; i++) {
        now_ms += 10000;
        CU_ASSERT_EQUAL(budget_share(&item, 1, 1000,
                                     now_ms + BUDGET_CALM_MS), 0);
    }
}

/* The quiet leave what they do not need to the busy. */
static void
test_sharing(void)
{
    struct budget_item items[3] = {
        { .load = 10000000, .sampling = 512 }, { .load = 0, .sampling = 512 },
        { .load = 6400, .sampling = 512 },
    };
    budget_share(items, 3, 1000, 1000);
    CU_ASSERT_EQUAL(items[1].sampling, 512);
    CU_ASSERT_EQUAL(items[2].sampling, 512);
    CU_ASSERT_EQUAL(items[0].sampling, 16384);
    CU_ASSERT_EQUAL(budget_share(NULL, 0, 1000, 1), 0);
}

/* However many, and whatever they carry: within the budget, as long as rates
 * can go, and powers of two. */
static void
test_bounds(void)
{
    enum { N = 200 };
    struct budget_item items[N];
    double total = 0;
    unsigned seed = 1;
    for (int i = 0; i < N; i++) {
        seed = seed * 1103515245u + 12345u;
        items[i] = (struct budget_item) {
            .load = (double) (seed >> 8) * (i % 7), .sampling = 64,
        };
    }
    budget_share(items, N, 5000, 1000);
    for (int i = 0; i < N; i++) {
        CU_ASSERT(is_power_of_two(items[i].sampling));
        CU_ASSERT(items[i].sampling >= AUTO_SAMPLING_MIN
                  && items[i].sampling <= AUTO_SAMPLING_MAX);
        total += items[i].load / items[i].sampling;
    }
    CU_ASSERT(total <= 5000 * BUDGET_TOLERANCE);
    struct budget_item flood = { .load = 1e15, .sampling = 512 };
    budget_share(&flood, 1, 1, 1000);
    CU_ASSERT_EQUAL(flood.sampling, AUTO_SAMPLING_MAX);
    CU_ASSERT_EQUAL(budget_share(&flood, 1, 1, 100000), 0);
}

UNIT_MAIN("budget", UNIT_TEST(test_coarser), UNIT_TEST(test_finer),
          UNIT_TEST(test_sharing), UNIT_TEST(test_bounds))
