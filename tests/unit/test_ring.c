#include <config.h>

#include "lib/ring.h"

#include <pthread.h>
#include <stdint.h>

#include "tests/unit/unit.h"

static void
test_bounded(void)
{
    struct ring *r = ring_create(3);
    int items[4];
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_TRUE(ring_push(r, &items[i]));
    }
    CU_ASSERT_FALSE(ring_push(r, &items[3]));
    CU_ASSERT_EQUAL(ring_length(r), 3);
    CU_ASSERT_PTR_EQUAL(ring_pop(r, 0), &items[0]);
    CU_ASSERT_TRUE(ring_push(r, &items[3]));
    for (int i = 1; i < 4; i++) {
        CU_ASSERT_PTR_EQUAL(ring_pop(r, -1), &items[i]);
    }
    CU_ASSERT_PTR_NULL(ring_pop(r, 0));
    CU_ASSERT_PTR_NULL(ring_pop(r, 1));
    ring_wake(r);
    CU_ASSERT_PTR_NULL(ring_pop(r, -1));        /* Does not hang. */
    ring_destroy(r);
}

#define N_EACH 20000

static void *
produce(void *r)
{
    for (uintptr_t i = 1; i <= N_EACH; ) {
        i += ring_push(r, (void *) i);
    }
    return NULL;
}

static void
test_threads(void)
{
    struct ring *r = ring_create(16);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, produce, r);
    }
    uint64_t sum = 0;
    for (int i = 0; i < 3 * N_EACH; i++) {
        sum += (uintptr_t) ring_pop(r, -1);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(sum, UINT64_C(3) * N_EACH * (N_EACH + 1) / 2);
    CU_ASSERT_EQUAL(ring_length(r), 0);
    ring_destroy(r);
}

UNIT_MAIN("ring", UNIT_TEST(test_bounded), UNIT_TEST(test_threads))
