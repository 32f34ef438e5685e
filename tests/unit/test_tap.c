/* Taps: what subscribers get, what is skipped, and that nobody waits. */
#include <config.h>

#include "collector/channel/tap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/filter/filter.h"
#include "lib/clock.h"
#include "lib/dict.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

static struct dict *dict;
static struct source source;
static _Atomic int told;

static void
on_ready(void *aux)
{
    (void) aux;
    atomic_fetch_add(&told, 1);
}

static const enum column_id fields[] = {
    COL_flow_end, COL_dst_port, COL_src_addr, COL_bytes, COL_bridge, COL_vni,
};
#define N_FIELDS (sizeof fields / sizeof fields[0])

static struct flow_batch *
make_batch(unsigned n)
{
    struct flow_batch *b = batch_create();
    CU_ASSERT_FATAL(b != NULL);
    batch_zero_rows(b, 0, n);
    for (unsigned i = 0; i < n; i++) {
        b->flow_end[i] = 1000000 + i;
        b->bytes[i] = 10 * i;
        b->canonical[i] = i % 4 != 3;
        BATCH_SET(b, dst_port, i, (uint16_t) (i % 2 ? 53 : 80));
        BATCH_SET(b, src_addr, i, addr_from_v4_bytes((uint8_t[]) {
            10, 0, (uint8_t) (i >> 8), (uint8_t) i }));
        BATCH_SET(b, bridge, i, dict_intern(dict, "br0", 3));
        if (i == 1) {
            BATCH_SET(b, vni, i, 5001);
        }
    }
    b->n = n;
    batch_add_span(b, &source, 0);
    return b;
}

static struct tap *
open_tap(struct tap_set *s, const char *text, uint32_t rate, bool all)
{
    struct filter *f = filter_parse(text, NULL);
    struct tap *t;
    CU_ASSERT_FATAL(f != NULL);
    CU_ASSERT_EQUAL(tap_open(s, f, NULL, fields, N_FIELDS, rate, all, &t), 0);
    filter_destroy(f);
    return t;
}

static void
test_rows(void)
{
    dict = dict_create(1000, 100000);
    struct tap_set *s = tap_set_create(dict, on_ready, NULL);
    struct flow_batch *b = make_batch(40);
    struct tap_value v[100 * N_FIELDS];
    uint64_t skipped;

    tap_process(s, b);          /* Nobody looks. */
    CU_ASSERT_EQUAL(counter_get(&tap_set_counters(s)->flows), 0);
    struct tap *dns = open_tap(s, "port 53", 1000, false);
    struct tap *all = open_tap(s, "any", 1000, true);
    CU_ASSERT_EQUAL(tap_set_count(s), 2);
    CU_ASSERT_EQUAL(told, 0);
    tap_process(s, b);
    tap_process(s, b);
    CU_ASSERT_EQUAL(told, 1);   /* Until it is armed again. */
    tap_set_rearm(s);
    tap_process(s, b);
    CU_ASSERT_EQUAL(told, 2);

    /* Odd ones of which every second is not canonical. */
    CU_ASSERT_EQUAL(tap_take(dns, v, 7, &skipped), 7);
    CU_ASSERT_EQUAL(skipped, 0);
    CU_ASSERT_EQUAL(v[0].time_us, 1000001);
    CU_ASSERT_EQUAL(v[1].u, 53);
    CU_ASSERT_EQUAL(v[2].addr.b[15], 1);
    CU_ASSERT_EQUAL(v[3].u, 10);
    CU_ASSERT_STRING_EQUAL(dict_text(dict, (uint32_t) v[4].u), "br0");
    CU_ASSERT(!v[5].null);
    CU_ASSERT_EQUAL(v[5].u, 5001);
    CU_ASSERT_EQUAL(v[N_FIELDS].time_us, 1000005);
    CU_ASSERT(v[N_FIELDS + 5].null);
    CU_ASSERT_EQUAL(tap_take(dns, v, 100, &skipped), 23);
    CU_ASSERT_EQUAL(tap_take(dns, v, 100, &skipped), 0);
    CU_ASSERT_EQUAL(tap_take(all, v, 100, &skipped), 100);
    CU_ASSERT_EQUAL(tap_take(all, v, 100, &skipped), 20);
    CU_ASSERT_EQUAL(v[19 * N_FIELDS].time_us, 1000039);
    CU_ASSERT_EQUAL(counter_get(&tap_set_counters(s)->taken), 150);
    tap_close(dns);
    tap_process(s, b);
    CU_ASSERT_EQUAL(tap_take(all, v, 100, &skipped), 40);
    tap_close(all);
    CU_ASSERT_EQUAL(tap_set_count(s), 0);
    tap_set_destroy(s);
    batch_destroy(b);
}

/* Beyond the rate, and when nobody takes, rows are counted and left out. */
static void
test_bounds(void)
{
    struct tap_set *s = tap_set_create(dict, on_ready, NULL);
    struct flow_batch *b = make_batch(2000);
    struct tap_value *v = calloc(3000 * N_FIELDS, sizeof *v);
    uint64_t skipped, n = 0, lost = 0;
    struct tap *slow = open_tap(s, "any", 70, true);

    for (int i = 0; i < 3; i++) {
        tap_process(s, b);
    }
    n = tap_take(slow, v, 3000, &skipped);
    CU_ASSERT_EQUAL(n, 70);     /* What one second is worth: at once. */
    CU_ASSERT_EQUAL(skipped, 6000 - 70);
    for (int64_t end = clock_mono_ms() + 300; clock_mono_ms() < end; ) {
        tap_process(s, b);
        lost += 2000;
        usleep(1000);
    }
    n = tap_take(slow, v, 3000, &skipped);
    CU_ASSERT(n >= 20 && n <= 70);
    CU_ASSERT_EQUAL(n + skipped, lost);
    CU_ASSERT_EQUAL(counter_get(&tap_set_counters(s)->skipped_slow)
                    + counter_get(&tap_set_counters(s)->skipped_rate),
                    6000 - 70 + lost - n);
    tap_close(slow);

    struct tap *taps[TAP_MAX], *more;
    for (int i = 0; i < TAP_MAX; i++) {
        taps[i] = open_tap(s, i < TAP_MAX_FILTERS || i % 2 ? "port 53"
                              : "port  53", 1, false);
    }
    CU_ASSERT_EQUAL(tap_open(s, NULL, NULL, fields, N_FIELDS, 1, false, &more),
                    -ENOSPC);
    tap_process(s, b);
    for (int i = 0; i < TAP_MAX; i += 1000) {
        CU_ASSERT_EQUAL(tap_take(taps[i], v, 3000, &skipped), 1);
        CU_ASSERT_EQUAL(skipped, 499);
    }
    for (int i = 0; i < TAP_MAX - TAP_MAX_FILTERS; i++) {
        tap_close(taps[i]);
    }
    /* Different filters cost more than subscribers. */
    for (int i = 1; i < TAP_MAX_FILTERS; i++) {
        char text[32];
        sprintf(text, "port %d", 1000 + i);
        open_tap(s, text, 1, false);
    }
    CU_ASSERT_EQUAL(tap_open(s, NULL, NULL, fields, N_FIELDS, 1, false, &more),
                    -ENOSPC);
    tap_close(open_tap(s, "port 53", 1, false));
    tap_set_destroy(s);         /* Closes them all. */
    free(v);
    batch_destroy(b);
}

/* Rows of all taps together are bounded. */
static void
test_memory(void)
{
    struct tap_set *s = tap_set_create(dict, on_ready, NULL);
    struct flow_batch *b = make_batch(2000);
    struct tap_value *v = calloc(3000 * N_FIELDS, sizeof *v);
    enum { N = TAP_MAX_BYTES / (TAP_MAX_RATE * N_FIELDS
                                * sizeof(struct tap_value)) };
    struct tap *taps[N + 20];
    uint64_t skipped, with = 0, without = 0;

    for (int i = 0; i < N + 20; i++) {
        taps[i] = open_tap(s, "any", TAP_MAX_RATE, true);
    }
    tap_process(s, b);
    for (int i = 0; i < N + 20; i++) {
        size_t n = tap_take(taps[i], v, 3000, &skipped);
        CU_ASSERT_EQUAL(n + skipped, 2000);
        with += n == 2000;
        without += n == 0;
    }
    CU_ASSERT_EQUAL(with, N);
    CU_ASSERT_EQUAL(without, 20);
    tap_set_destroy(s);
    free(v);
    batch_destroy(b);
}

struct worker {
    struct tap_set *set;
    _Atomic bool stop;
};

static void *
process_always(void *aux)
{
    struct worker *w = aux;
    struct flow_batch *b = make_batch(500);
    while (!atomic_load(&w->stop)) {
        tap_process(w->set, b);
    }
    batch_destroy(b);
    return NULL;
}

static void
test_threads(void)
{
    struct worker w = { .set = tap_set_create(dict, on_ready, NULL) };
    struct tap_value v[50 * N_FIELDS];
    pthread_t threads[3];
    uint64_t skipped;
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, process_always,
                                       &w), 0);
    }
    for (int i = 0; i < 300; i++) {
        struct tap *t = open_tap(w.set, "port 53", 10000, false);
        while (!tap_take(t, v, 50, &skipped)) {
            usleep(100);
        }
        CU_ASSERT_EQUAL(v[1].u, 53);
        tap_close(t);
    }
    atomic_store(&w.stop, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    tap_set_destroy(w.set);
    dict_destroy(dict);
}

UNIT_MAIN("tap", UNIT_TEST(test_rows), UNIT_TEST(test_bounds),
          UNIT_TEST(test_memory),
          UNIT_TEST(test_threads))
