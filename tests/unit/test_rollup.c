/* Rollups: answers out of them are those of the flows, whatever is asked. */
#include <config.h>

#include "collector/query/rollup.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "collector/query/query.h"
#include "collector/store/store.h"
#include "lib/log.h"
#include "tests/unit/query_util.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

#define N_HOURS 6
#define NOW (UTIL_T0 + N_HOURS * UTIL_HOUR)

static struct dict *dict;
static struct source source;
static char *dir;
static const struct rollup_limit no_limits[N_ROLLUPS];

/* Asks a copy of 'q' whose filter is 'text'. */
static struct query_result *
ask(struct query_pool *pool, const struct query *q, const char *text,
    bool only_raw)
{
    struct query copy = *q;
    copy.filter = filter_parse(text, NULL);
    copy.only_raw = only_raw;
    CU_ASSERT_FATAL(copy.filter != NULL);
    struct query_result *r = util_ask(pool, &copy);
    if (r->status != QUERY_OK) {
        fprintf(stderr, "query: %s\n", r->error);
    }
    CU_ASSERT_EQUAL_FATAL(r->status, QUERY_OK);
    return r;
}

/* Flows of some hours, as exporters send them: most end when they arrive, some
 * up to a day before, a few after. */
static void
put_flows(struct store *s, uint64_t *seed, int first, int last)
{
    uint64_t n = counter_get(&store_counters(s)->rows);
    for (int hour = first; hour < last; hour++) {
        for (int k = 0; k < 12; k++) {
            struct flow_batch *b = store_batch_get(s);
            int64_t arrival = UTIL_T0 + hour * UTIL_HOUR
                              + k * INT64_C(300000000);
            util_fill(b, 1 + (uint32_t) (util_random(seed) % 400), arrival,
                      seed, dict, &source);
            for (uint32_t i = 0; i < b->n; i++) {
                uint64_t r = util_random(seed);
                b->received[i] = arrival + (int64_t) (r % 299000000);
                b->flow_end[i] = b->received[i]
                    + (int64_t) ((r >> 32) % 100) * 3000000 - 150000000;
                if ((r >> 40) % 10 == 0) {
                    b->flow_end[i] = b->received[i]
                                     - (int64_t) (r % 86000000000);
                }
                b->flow_start[i] = b->flow_end[i] - (int64_t) (r % 9999999);
                b->canonical[i] = r >> 63;
            }
            n += b->n;
            while (!store_submit(s, b)) {
                usleep(1000);
            }
        }
    }
    CU_ASSERT_FATAL(util_wait(s, n));
}

static bool
same_value(const struct query_column *c, const struct query_value *a,
           const struct query_value *b)
{
    return a->null || b->null ? a->null == b->null
           : c->type == COLUMN_T_ADDR ? addr_equal(&a->addr, &b->addr)
           : c->type == COLUMN_T_NAME ? !strcmp(a->text, b->text)
           : c->real ? a->real == b->real : a->u == b->u;
}

/* The same rows, in the same order, and the same totals. */
static bool
same_answer(const struct query *q, const struct query_result *a,
            const struct query_result *b)
{
    bool same = a->n_rows == b->n_rows && a->n_columns == b->n_columns
                && a->has_totals == b->has_totals;
    for (size_t i = 0; same && i < a->n_rows * a->n_columns; i++) {
        same = same_value(&a->columns[i % a->n_columns], &a->values[i],
                          &b->values[i]);
    }
    for (unsigned i = 0; same && a->has_totals && i < q->n_metrics; i++) {
        same = same_value(&a->columns[a->n_columns - q->n_metrics + i],
                          &a->totals[i], &b->totals[i]);
    }
    return same;
}

static const enum column_id some_keys[] = {
    COL_exporter, COL_bridge, COL_proto, COL_in_if_name, COL_src_as,
    COL_direction, COL_export_protocol, COL_vlan_id, COL_tos, COL_out_if,
};

static void
add_metric(struct query *q, unsigned id, enum query_fn fn, bool rate)
{
    q->metrics[q->n_metrics] = id;
    q->calc[q->n_metrics++] = (struct query_calc) { (uint8_t) fn, rate };
}

/* A question that tiers can answer. */
static struct query
random_query(uint64_t *seed)
{
    static const int64_t buckets[] = { 60000000, 300000000, 3600000000,
                                       7200000000 };
    static const int64_t grains[] = { 1, 1000000, 60000000, 3600000000 };
    struct query q = { .order = -1, .limit = 100000,
                       .all_observations = util_random(seed) % 2 };
    int64_t grain = grains[util_random(seed) % 4];
    int64_t a = (int64_t) (util_random(seed) % (30 * UTIL_HOUR));
    int64_t b = (int64_t) (util_random(seed) % (30 * UTIL_HOUR));
    q.from_us = (UTIL_T0 - 24 * UTIL_HOUR + (a < b ? a : b)) / grain * grain;
    q.to_us = (UTIL_T0 - 24 * UTIL_HOUR + (a < b ? b : a)) / grain * grain
              + grain;
    for (unsigned i = 0; i < util_random(seed) % 4; i++) {
        enum column_id id = some_keys[util_random(seed) % 10];
        bool again = false;
        for (unsigned k = 0; k < q.n_by; k++) {
            again |= q.by[k] == id;
        }
        q.key[q.n_by].v4_len = 24;
        q.key[q.n_by].v6_len = 56;
        if (!again) {
            q.key[q.n_by].form = id == COL_exporter
                                 && util_random(seed) % 2 ? FORM_PREFIX
                                                          : FORM_PLAIN;
            q.by[q.n_by++] = id;
        }
    }
    add_metric(&q, COL_bytes, FN_SUM, false);
    add_metric(&q, COL_l2_bytes, FN_SUM, false);
    add_metric(&q, QUERY_METRIC_FLOWS, FN_SUM, false);
    add_metric(&q, COL_flow_start, FN_MIN, false);
    add_metric(&q, COL_flow_end, FN_MAX, false);
    switch (util_random(seed) % 5) {
    case 0:
        q.bucket_us = buckets[util_random(seed) % 4];
        break;
    case 1:
        q.p95_us = buckets[util_random(seed) % 3];
        add_metric(&q, COL_bytes, FN_P95, true);
        break;
    case 2:
        q.previous_us = q.to_us - q.from_us;
        add_metric(&q, COL_packets, FN_PREVIOUS, false);
        break;
    case 3:
        add_metric(&q, COL_bridge, FN_DISTINCT, false);
        add_metric(&q, COL_exporter, FN_DISTINCT, false);
        break;
    default:
        q.totals = true;
        add_metric(&q, COL_raw_bytes, FN_SHARE, false);
        add_metric(&q, COL_packets, FN_SUM, true);
        break;
    }
    return q;
}

static const char *const filters[] = {
    "any", "proto < 8", "bridge br-int or in_if_name eth0",
    "not (src as > 5) and canonical true", "exporter 10.0.0.0/8",
    "vlan_id is null", "direction ingress and not bridge \"br-ex\"",
};

/* Asks both ways; '*used' counts answers in which tiers took part. */
static void
compare(struct query_pool *pool, uint64_t *seed, int n, unsigned used[8])
{
    static const char *const names[] = { "raw", "1m", "1m+raw", "1h",
                                         "1h+raw", "1h+1m", "1h+1m+raw" };
    for (int i = 0; i < n; i++) {
        struct query q = random_query(seed);
        const char *filter = filters[util_random(seed) % 7];
        struct query_result *raw = ask(pool, &q, filter, true);
        struct query_result *any = ask(pool, &q, filter, false);
        CU_ASSERT_STRING_EQUAL(raw->tier, "raw");
        bool same = same_answer(&q, raw, any);
        CU_ASSERT(same);
        if (!same) {
            fprintf(stderr, "%d: %s, tier %s, %zu and %zu rows\n", i, filter,
                    any->tier, raw->n_rows, any->n_rows);
        }
        for (unsigned k = 0; k < 7; k++) {
            used[k] += !strcmp(any->tier, names[k]);
        }
        query_result_destroy(raw);
        query_result_destroy(any);
    }
}

static void
test_same(void)
{
    uint64_t seed = 4711;
    unsigned used[8] = { 0 };
    log_set_level("store:err");
    dict = dict_create(1000, 100000);
    dir = util_mkdir();
    struct store *s = util_open(dir, dict, NULL);
    put_flows(s, &seed, 0, N_HOURS);
    struct rollup *r = rollup_open(s, dir, no_limits, false);
    struct query_pool *pool = query_pool_create(s, 2, 8);
    query_pool_set_rollup(pool, r);

    /* The last hour is not over. */
    CU_ASSERT_EQUAL(rollup_run(r, NOW - UTIL_HOUR / 2), 2 * (N_HOURS - 1));
    CU_ASSERT_EQUAL(rollup_run(r, NOW - UTIL_HOUR / 2), 0);
    compare(pool, &seed, 150, used);
    CU_ASSERT_EQUAL(rollup_run(r, NOW + UTIL_HOUR / 2), 2);
    compare(pool, &seed, 50, used);
    CU_ASSERT_EQUAL(counter_get(&rollup_counters(r)->errors), 0);
    CU_ASSERT_EQUAL(counter_get(&rollup_counters(r)->again), 0);
    /* All ways to answer were taken. */
    CU_ASSERT(used[2] + used[1] > 4);
    CU_ASSERT(used[6] + used[4] + used[5] + used[3] > 4);

    /* After a restart the hours are known, and not added up again. */
    query_pool_destroy(pool);
    rollup_close(r);
    r = rollup_open(s, dir, no_limits, false);
    pool = query_pool_create(s, 2, 8);
    query_pool_set_rollup(pool, r);
    CU_ASSERT_EQUAL(rollup_run(r, NOW + UTIL_HOUR / 2), 0);
    compare(pool, &seed, 20, used);

    /* Flows of an hour that is done: an import says so. */
    put_flows(s, &seed, 2, 3);
    rollup_invalidate(r, UTIL_T0 + 2 * UTIL_HOUR, UTIL_T0 + 3 * UTIL_HOUR);
    compare(pool, &seed, 50, used);
    CU_ASSERT_EQUAL(rollup_run(r, NOW + UTIL_HOUR / 2), 2);
    compare(pool, &seed, 50, used);

    /* Nobody said so, but the hour after it is added up. */
    put_flows(s, &seed, N_HOURS - 1, N_HOURS + 1);
    CU_ASSERT_EQUAL(rollup_run(r, NOW + 3 * UTIL_HOUR / 2), 2);
    CU_ASSERT_EQUAL(counter_get(&rollup_counters(r)->again), 2);
    compare(pool, &seed, 50, used);

    query_pool_destroy(pool);
    rollup_close(r);
    store_close(s);
}

/* The flows are gone: whole minutes and hours are still told, and what cannot
 * be is said. */
static void
test_kept_longer(void)
{
    struct query q = { .from_us = UTIL_T0, .to_us = UTIL_T0 + 2 * UTIL_HOUR,
                       .order = -1, .limit = 1000, .n_by = 1,
                       .by = { COL_proto }, .bucket_us = 3600000000,
                       .all_observations = true };
    struct store *s = util_open(dir, dict, NULL);
    struct rollup *r = rollup_open(s, dir, no_limits, false);
    struct query_pool *pool = query_pool_create(s, 2, 8);
    query_pool_set_rollup(pool, r);
    add_metric(&q, COL_bytes, FN_SUM, false);
    add_metric(&q, QUERY_METRIC_FLOWS, FN_SUM, false);
    CU_ASSERT_EQUAL(rollup_run(r, NOW + 3 * UTIL_HOUR / 2), 0);
    struct query_result *before = ask(pool, &q, "any", true);
    CU_ASSERT(before->n_rows > 4);
    query_pool_destroy(pool);
    rollup_close(r);
    store_close(s);

    struct store_config c = { .retention_bytes = 1 };
    s = util_open(dir, dict, &c);       /* All but the open one go. */
    uint64_t seed = 1;
    put_flows(s, &seed, 40, 42);
    for (int i = 0; i < 500; i++) {
        struct store_health h;
        store_health(s, &h);
        if (h.n_segments <= 1) {
            break;
        }
        usleep(10000);
    }
    r = rollup_open(s, dir, no_limits, false);
    pool = query_pool_create(s, 2, 8);
    query_pool_set_rollup(pool, r);
    CU_ASSERT_EQUAL(rollup_run(r, NOW), 0);
    struct query_result *now = ask(pool, &q, "any", false);
    CU_ASSERT(same_answer(&q, before, now));
    CU_ASSERT_STRING_EQUAL(now->tier, "1h");
    CU_ASSERT_STRING_EQUAL(now->note, "");
    query_result_destroy(now);
    query_result_destroy(before);

    q.by[0] = COL_src_addr;
    now = ask(pool, &q, "any", false);
    CU_ASSERT_EQUAL(now->n_rows, 0);
    CU_ASSERT(strstr(now->note, "do not tell src_addr apart") != NULL);
    query_result_destroy(now);
    q.by[0] = COL_proto;
    now = ask(pool, &q, "bps > 100", false);
    CU_ASSERT(strstr(now->note, "bps") != NULL);
    query_result_destroy(now);
    q.from_us += 1;
    now = ask(pool, &q, "any", false);
    CU_ASSERT(strstr(now->note, "whole minutes") != NULL);
    CU_ASSERT(now->n_rows > 4);
    query_result_destroy(now);

    /* Limits: the first three hours go, then all but the newest. */
    struct rollup_limit limits[N_ROLLUPS] = { { 4 * UTIL_HOUR, 0 },
                                              { 4 * UTIL_HOUR, 0 } };
    struct rollup_status status[N_ROLLUPS];
    rollup_set_limits(r, limits);
    rollup_run(r, NOW + UTIL_HOUR);
    rollup_status(r, status);
    for (unsigned i = 0; i < N_ROLLUPS; i++) {
        CU_ASSERT_EQUAL(status[i].oldest_us, UTIL_T0 + 3 * UTIL_HOUR);
        CU_ASSERT(status[i].bytes > 0);
    }
    limits[0].bytes = limits[1].bytes = 1;
    rollup_set_limits(r, limits);
    rollup_run(r, NOW + UTIL_HOUR);
    rollup_status(r, status);
    CU_ASSERT_EQUAL(status[ROLLUP_HOUR].hours, 1);
    CU_ASSERT_EQUAL(status[ROLLUP_MINUTE].hours, 1);
    query_pool_destroy(pool);
    rollup_close(r);
    store_close(s);
}

/* Killed while it adds up, again and again; and a file of garbage. */
static void
test_kill(void)
{
    uint64_t seed = 99, n = 0;
    unsigned used[8] = { 0 };
    char path[4096];
    util_rmdir(dir);
    free(dir);
    dir = util_mkdir();
    pid_t writer = fork();
    if (!writer) {
        struct store *w = util_open(dir, dict, NULL);
        put_flows(w, &seed, 0, N_HOURS);
        store_close(w);
        _exit(0);
    }
    waitpid(writer, NULL, 0);
    for (int round = 0; round < 8; round++) {
        pid_t pid = fork();
        if (!pid) {
            struct store *w = util_open(dir, dict, NULL);
            struct rollup *r = rollup_open(w, dir, no_limits, false);
            rollup_run(r, NOW + UTIL_HOUR / 2);
            for (;;) {          /* Adds up the same for ever. */
                rollup_invalidate(r, UTIL_T0, NOW);
                rollup_run(r, NOW + UTIL_HOUR / 2);
            }
        }
        usleep(200000 + (useconds_t) (round * 77777));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    struct store *s = util_open(dir, dict, NULL);
    struct rollup *r = rollup_open(s, dir, no_limits, false);
    struct query_pool *pool = query_pool_create(s, 2, 8);
    query_pool_set_rollup(pool, r);
    CU_ASSERT(rollup_run(r, 0) >= 0);   /* As it was left. */
    CU_ASSERT_EQUAL(counter_get(&rollup_counters(r)->set_aside), 0);
    compare(pool, &seed, 50, used);
    CU_ASSERT(rollup_run(r, NOW + UTIL_HOUR / 2) >= 0);
    compare(pool, &seed, 50, used);
    query_pool_destroy(pool);
    rollup_close(r);
    store_close(s);

    for (n = 0; n < 2; n++) {
        snprintf(path, sizeof path, "%s/flows/rollups/%s.duckdb", dir,
                 n ? "1h" : "1m");
        FILE *f = fopen(path, "r+");
        CU_ASSERT_FATAL(f != NULL);
        for (int i = 0; i < 20000; i++) {
            putc(i % 251, f);
        }
        fclose(f);
    }
    s = util_open(dir, dict, NULL);
    r = rollup_open(s, dir, no_limits, false);
    pool = query_pool_create(s, 2, 8);
    query_pool_set_rollup(pool, r);
    log_set_level("store:off");
    CU_ASSERT_EQUAL(rollup_run(r, NOW + UTIL_HOUR / 2), 2 * N_HOURS);
    CU_ASSERT_EQUAL(counter_get(&rollup_counters(r)->set_aside), 2);
    compare(pool, &seed, 20, used);
    query_pool_destroy(pool);
    rollup_close(r);
    store_close(s);
    dict_destroy(dict);
    util_rmdir(dir);
    free(dir);
}

/* Where nothing is gone, nothing is said: the daemon's first flow came in the
 * midst of an hour, and the sums of that hour begin with it. */
static void
test_first_hour(void)
{
    struct query q = { .from_us = UTIL_T0 - UTIL_HOUR,
                       .to_us = UTIL_T0 + 2 * UTIL_HOUR, .order = -1,
                       .limit = 1000, .n_by = 1, .by = { COL_src_addr },
                       .all_observations = true };
    dict = dict_create(1000, 100000);
    dir = util_mkdir();
    struct store *s = util_open(dir, dict, NULL);
    struct flow_batch *b = store_batch_get(s);
    uint64_t seed = 1;
    util_fill(b, 100, UTIL_T0 + UTIL_HOUR / 2, &seed, dict, &source);
    for (uint32_t i = 0; i < b->n; i++) {
        b->flow_start[i] = b->flow_end[i] = b->received[i];
    }
    CU_ASSERT(store_submit(s, b));
    CU_ASSERT(util_wait(s, 100));
    struct rollup *r = rollup_open(s, dir, no_limits, false);
    struct query_pool *pool = query_pool_create(s, 2, 8);
    query_pool_set_rollup(pool, r);
    add_metric(&q, QUERY_METRIC_FLOWS, FN_SUM, false);
    CU_ASSERT(rollup_run(r, UTIL_T0 + 3 * UTIL_HOUR) >= 2);
    struct query_result *got = ask(pool, &q, "any", false);
    CU_ASSERT(got->n_rows > 0);
    CU_ASSERT_STRING_EQUAL(got->note, "");
    query_result_destroy(got);
    query_pool_destroy(pool);
    rollup_close(r);
    store_close(s);
    dict_destroy(dict);
    util_rmdir(dir);
    free(dir);
}

UNIT_MAIN("rollup", UNIT_TEST(test_same), UNIT_TEST(test_kept_longer),
          UNIT_TEST(test_kill), UNIT_TEST(test_first_hour))
