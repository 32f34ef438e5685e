/* How questions grow with what is stored: a month of flows, and CPU and wall
 * time of the same questions about a tenth of it, about all of it, and about one
 * hour of it.
 *
 *     bench_scale [FLOWS [DIRECTORY]]
 *
 * Flows are distinct; the hosts, 200,000 with a long tail, are those of
 * bench_query.py.  A directory is kept, and used again if it has the flows. */
#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "collector/query/query.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "tests/unit/query_util.h"
#include "tests/unit/store_util.h"

#define DAYS 30
#define SPAN_US (DAYS * 24 * UTIL_HOUR)
#define HOSTS 200000
#define PICKS (1u << 16)
#define RUNS 3

static struct source source;
static uint32_t picks[PICKS];   /* Hosts, as often as they talk. */

/* Zipf with exponent 0.9, by the inverse of its continuous distribution. */
static void
make_picks(void)
{
    uint64_t seed = 3;
    double most = pow(HOSTS, 0.1);
    for (uint32_t i = 0; i < PICKS; i++) {
        double u = (double) (util_random(&seed) >> 11) * 0x1p-53;
        picks[i] = (uint32_t) pow(1 + u * (most - 1), 10) % HOSTS;
    }
}

static struct addr
host(uint64_t r)
{
    /* Within a pick, its neighbours: the tail is as long as HOSTS. */
    uint32_t k = picks[r % PICKS];
    k += k > 1000 ? (uint32_t) (r >> 16 & 1023) : 0;
    return addr_from_v4_bytes((uint8_t[]) { 10, (uint8_t) (k >> 16),
                                            (uint8_t) (k >> 8),
                                            (uint8_t) k });
}

static void
fill(struct flow_batch *b, int64_t now_us, uint64_t *seed)
{
    static const uint16_t ports[] = { 443, 80, 53, 22, 25, 123, 8080, 3306,
                                      993, 5432, 110, 143, 389, 636, 22, 21 };
    b->oldest_us = now_us;
    batch_zero_rows(b, 0, BATCH_ROWS);
    for (uint32_t i = 0; i < BATCH_ROWS; i++) {
        uint64_t r = util_random(seed), r2 = util_random(seed);
        b->received[i] = now_us;
        b->flow_end[i] = now_us - (int64_t) (r % 2000) * 1000;
        b->flow_start[i] = b->flow_end[i] - (int64_t) (r >> 20 & 8191) * 1000;
        b->exporter[i] = addr_from_v4_bytes((uint8_t[]) { 127, 0, 0, 1 });
        b->export_protocol[i] = PROTO_NETFLOW9;
        b->canonical[i] = 1;
        BATCH_SET(b, ip_version, i, 4);
        BATCH_SET(b, src_addr, i, host(r2));
        BATCH_SET(b, dst_addr, i, host(r2 >> 26));
        BATCH_SET(b, proto, i, r % 10 ? 6 : 17);
        BATCH_SET(b, src_port, i, (uint16_t) (32768 + (r >> 33) % 28000));
        BATCH_SET(b, dst_port, i, ports[r2 >> 53 & 15]);
        BATCH_SET(b, src_as, i, 64512 + (uint32_t) (r2 % PICKS) % 500);
        b->bytes[i] = b->raw_bytes[i] = 40 + (r >> 40) % 20000;
        b->packets[i] = b->raw_packets[i] = 1 + (r >> 50) % 30;
    }
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (!(columns[id].flags & CF_NULL)) {
            batch_set_valid_range(b, id, 0, BATCH_ROWS);
        }
    }
    b->n = BATCH_ROWS;
    batch_add_span(b, &source, 0);
}

static void
fill_store(struct store *s, uint64_t flows)
{
    uint64_t seed = 42, n = 0;
    int64_t start_us = clock_mono_us();

    for (; n < flows; n += BATCH_ROWS) {
        struct flow_batch *b;
        while (!(b = store_batch_get(s))) {
            usleep(1000);
        }
        fill(b, UTIL_T0 + (int64_t) ((double) n / (double) flows
                                     * (double) SPAN_US), &seed);
        while (!store_offer(s, b)) {
            usleep(1000);
        }
    }
    util_wait(s, n);
    printf("%" PRIu64 " flows written in %.1f s\n", n,
           (double) (clock_mono_us() - start_us) / 1e6);
}

/* ---- Asking. ---- */

static double
cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec)
           + (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct question {
    const char *name, *filter;
    enum column_id by[2];
    unsigned n_by;
    int64_t bucket_us;
};

static const struct question questions[] = {
    { "one number", NULL, { 0 }, 0, 0 },
    { "top 10 by one key", NULL, { COL_src_addr }, 1, 0 },
    { "top 10 by two keys", NULL, { COL_src_addr, COL_dst_addr }, 2, 0 },
    { "by AS", NULL, { COL_src_as }, 1, 0 },
    { "by protocol", NULL, { COL_proto }, 1, 0 },
    { "filter of 6 %", "dst port 993", { 0 }, 0, 0 },
    { "filter of 6 %, top 10", "dst port 993", { COL_src_addr }, 1, 0 },
    { "series", NULL, { 0 }, 0, UTIL_HOUR },
};
#define N_QUESTIONS (sizeof questions / sizeof questions[0])

struct cost {
    double cpu_s, wall_s;
    uint64_t rows;
    unsigned segments;
    bool ok;
};

static struct cost
ask(struct query_pool *pool, const struct question *x, int64_t from_us,
    int64_t to_us)
{
    struct query q = { .from_us = from_us, .to_us = to_us,
                       .metrics = { COL_bytes, COL_packets,
                                    QUERY_METRIC_FLOWS },
                       .n_metrics = 3, .order = (int) x->n_by,
                       .descending = true, .limit = x->n_by ? 10 : 1000,
                       .all_observations = true, .n_by = x->n_by,
                       .bucket_us = x->bucket_us, .timeout_ms = 600000 };
    struct filter_error e;

    memcpy(q.by, x->by, x->n_by * sizeof q.by[0]);
    q.order = x->bucket_us ? -1 : q.order;
    q.filter = x->filter ? filter_parse(x->filter, &e) : NULL;
    double cpu = cpu_s();
    int64_t start_us = clock_mono_us();
    struct query_result *r = util_ask(pool, &q);
    struct cost c = { cpu_s() - cpu,
                      (double) (clock_mono_us() - start_us) / 1e6,
                      r->rows_scanned, r->segments,
                      r->status == QUERY_OK };
    if (!c.ok) {
        printf("  %s: %s\n", x->name, r->error);
    }
    query_result_destroy(r);
    return c;
}

static int
by_cpu(const void *a, const void *b)
{
    const struct cost *x = a, *y = b;
    return (x->cpu_s > y->cpu_s) - (x->cpu_s < y->cpu_s);
}

static struct cost
median(struct query_pool *pool, const struct question *x, int64_t from_us,
       int64_t to_us)
{
    struct cost c[RUNS];
    for (unsigned i = 0; i < RUNS; i++) {
        c[i] = ask(pool, x, from_us, to_us);
    }
    qsort(c, RUNS, sizeof c[0], by_cpu);
    return c[RUNS / 2];
}

static void
compare(struct query_pool *pool, const struct question *x)
{
    int64_t hour = UTIL_T0 + 20 * 24 * UTIL_HOUR;
    struct cost part = median(pool, x, UTIL_T0 - UTIL_HOUR,
                              UTIL_T0 + SPAN_US / 10);
    struct cost all = median(pool, x, UTIL_T0 - UTIL_HOUR,
                             UTIL_T0 + SPAN_US + UTIL_HOUR);
    struct cost one = median(pool, x, hour, hour + UTIL_HOUR);
    double times = all.cpu_s / part.cpu_s,
           rows = (double) all.rows / (double) part.rows;

    printf("  %-24s %5.1f M rows %7.3f s CPU, %6.1f M %8.3f s CPU: %.1f "
           "times%s; one hour: %u segments, %.3f s CPU, %.3f s wall%s\n",
           x->name, (double) part.rows / 1e6, part.cpu_s,
           (double) all.rows / 1e6, all.cpu_s, times,
           times > rows * 1.1 ? " (MORE than linear)" : "", one.segments,
           one.cpu_s, one.wall_s, one.wall_s < 0.1 ? ""
                                  : " (BEYOND the goal of 0.1 s)");
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    uint64_t flows = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000000;
    char *dir = argc > 2 ? argv[2] : util_mkdir();
    struct dict *dict = dict_create(1000, 100000);
    struct store_config c = { .query_threads = 2 };
    struct store_health h;

    log_set_level("err");
    make_picks();
    struct store *s = util_open(dir, dict, &c);
    if (!s) {
        return 1;
    }
    store_health(s, &h);
    if (!h.n_segments) {
        fill_store(s, flows);
        store_health(s, &h);
    }
    printf("Questions about %d days (%u segments, %.1f GB)\n", DAYS,
           h.n_segments, (double) h.bytes / 1e9);
    struct query_pool *pool = query_pool_create(s, 1, 8);
    for (size_t i = 0; i < N_QUESTIONS; i++) {
        compare(pool, &questions[i]);
    }
    query_pool_destroy(pool);
    store_close(s);
    dict_destroy(dict);
    if (argc <= 2) {
        util_rmdir(dir);
        free(dir);
    }
    return 0;
}
