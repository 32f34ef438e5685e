/* What it costs to add up an hour of flows: CPU time per flow, and rows.
 *
 *     bench_rollup [FLOWS] */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "collector/query/rollup.h"
#include "lib/log.h"
#include "tests/unit/store_util.h"

static struct source source;

static double
cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec)
           + (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* An hour of a router with 48 interfaces and traffic of 500 AS. */
static void
fill(struct flow_batch *b, int64_t now_us, uint64_t *seed, uint32_t bridge)
{
    b->oldest_us = now_us;
    batch_zero_rows(b, 0, BATCH_ROWS);
    for (uint32_t i = 0; i < BATCH_ROWS; i++) {
        uint64_t r = util_random(seed), r2 = util_random(seed);
        b->received[i] = now_us;
        b->flow_end[i] = now_us - (int64_t) (r % 2000000);
        b->flow_start[i] = b->flow_end[i] - (int64_t) (r >> 20) % 30000000;
        b->exporter[i] = addr_from_v4_bytes((uint8_t[]) { 127, 0, 0, 1 });
        b->export_protocol[i] = PROTO_NETFLOW9;
        b->canonical[i] = 1;
        BATCH_SET(b, bridge, i, bridge);
        BATCH_SET(b, direction, i, DIR_INGRESS);
        BATCH_SET(b, ip_version, i, r % 5 ? 4 : 6);
        BATCH_SET(b, src_addr, i, addr_from_v4_bytes((uint8_t[]) {
            10, (uint8_t) r2, (uint8_t) (r2 >> 8), (uint8_t) (r2 >> 16) }));
        BATCH_SET(b, proto, i, r % 10 ? 6 : 17);
        BATCH_SET(b, in_if, i, r2 >> 24 & 31);
        BATCH_SET(b, out_if, i, r2 >> 32 & 31);
        BATCH_SET(b, src_as, i, 64512 + (uint32_t) (r2 >> 40) % 500);
        BATCH_SET(b, dst_as, i, 64512 + (uint32_t) (r2 >> 50) % 500);
        b->bytes[i] = b->raw_bytes[i] = 40 + r % 100000;
        b->packets[i] = b->raw_packets[i] = 1 + r % 100;
    }
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (!(columns[id].flags & CF_NULL)) {
            batch_set_valid_range(b, id, 0, BATCH_ROWS);
        }
    }
    b->n = BATCH_ROWS;
    batch_add_span(b, &source, 0);
}

int
main(int argc, char **argv)
{
    static const struct rollup_limit none[N_ROLLUPS];
    uint64_t flows = argc > 1 ? strtoull(argv[1], NULL, 10) : 4000000;
    uint64_t n = 0, seed = 42;
    char *dir = util_mkdir();
    struct dict *dict = dict_create(1000, 100000);
    struct store_config c = { .memory_limit = 256000000 };
    struct rollup_status status[N_ROLLUPS];

    log_set_level("err");
    struct store *s = util_open(dir, dict, &c);
    uint32_t bridge = dict_intern(dict, "br-int", 6);
    if (!s) {
        return 1;
    }
    for (; n < flows; n += BATCH_ROWS) {
        struct flow_batch *b;
        while (!(b = store_batch_get(s))) {
            usleep(1000);
        }
        fill(b, UTIL_T0 + (int64_t) ((double) n / (double) flows * 3590e6),
             &seed, bridge);
        while (!store_submit(s, b)) {
            usleep(1000);
        }
    }
    if (!util_wait(s, n)) {
        return 1;
    }
    struct rollup *r = rollup_open(s, dir, none, false);
    double cpu = cpu_s();
    int done = rollup_run(r, UTIL_T0 + 3 * UTIL_HOUR);
    cpu = cpu_s() - cpu;
    rollup_status(r, status);
    printf("%d hours of tiers out of %" PRIu64 " flows of an hour: %.3f us "
           "CPU per flow, %" PRIu64 " rows, %.2f bytes per flow\n", done, n,
           cpu * 1e6 / (double) n, counter_get(&rollup_counters(r)->rows),
           (double) (status[0].bytes + status[1].bytes) / (double) n);
    rollup_close(r);
    store_close(s);
    dict_destroy(dict);
    util_rmdir(dir);
    free(dir);
    return 0;
}
