/* Rows a second through store_submit() to disk, bytes a row, and CPU.
 *
 *     bench_store [ROWS [ROUNDS]]
 *
 * The flows are distinct, with addresses and ports drawn as real traffic draws
 * them (few hosts have most of it); the CPU time is the whole process's. */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#include "lib/clock.h"
#include "tests/unit/store_util.h"

static struct source source;

/* Small numbers are likely, large ones possible. */
static uint32_t
skewed(uint64_t *seed, uint32_t n)
{
    uint64_t r = util_random(seed);
    uint32_t a = (uint32_t) (r % n), b = (uint32_t) ((r >> 32) % n);
    return (uint32_t) ((uint64_t) a * b / n * b / n);
}

static void
fill(struct flow_batch *b, int64_t now_us, uint64_t *seed, uint32_t bridge)
{
    static const uint16_t ports[] = { 443, 80, 53, 22, 25, 123, 8080, 3306 };
    b->oldest_us = now_us;
    batch_zero_rows(b, 0, BATCH_ROWS);
    for (uint32_t i = 0; i < BATCH_ROWS; i++) {
        uint64_t r = util_random(seed);
        uint32_t src = skewed(seed, 60000), dst = skewed(seed, 200000);
        uint8_t s[4] = { 10, 1, (uint8_t) (src >> 8), (uint8_t) src };
        uint8_t d[4] = { 203, (uint8_t) (dst >> 16), (uint8_t) (dst >> 8),
                         (uint8_t) dst };
        uint64_t packets = 1 + skewed(seed, 5000);
        uint64_t bytes = packets * (40 + r % 1400);

        b->received[i] = now_us;
        b->flow_end[i] = now_us - (int64_t) (r % 2000000);
        b->flow_start[i] = b->flow_end[i] - (int64_t) (r >> 20) % 30000000;
        b->exporter[i] = addr_from_v4_bytes((uint8_t[]) { 127, 0, 0, 1 });
        b->export_protocol[i] = PROTO_IPFIX;
        b->canonical[i] = 1;
        BATCH_SET(b, bridge, i, bridge);
        BATCH_SET(b, direction, i, DIR_INGRESS);
        BATCH_SET(b, ip_version, i, 4);
        BATCH_SET(b, src_addr, i, addr_from_v4_bytes(s));
        BATCH_SET(b, dst_addr, i, addr_from_v4_bytes(d));
        BATCH_SET(b, proto, i, r % 10 ? 6 : 17);
        BATCH_SET(b, src_port, i, (uint16_t) (32768 + r / 16 % 28000));
        BATCH_SET(b, dst_port, i, ports[skewed(seed, 8)]);
        BATCH_SET(b, tcp_flags, i, 0x1b);
        BATCH_SET(b, tos, i, 0);
        BATCH_SET(b, ttl, i, 64);
        BATCH_SET(b, src_mac, i, UINT64_C(0x020000000000) + src);
        BATCH_SET(b, dst_mac, i, UINT64_C(0x02ffff000001));
        BATCH_SET(b, ether_type, i, 0x800);
        BATCH_SET(b, in_if, i, src % 48);
        BATCH_SET(b, out_if, i, 1);
        b->bytes[i] = b->raw_bytes[i] = bytes;
        b->packets[i] = b->raw_packets[i] = packets;
        BATCH_SET(b, l2_bytes, i, bytes + 14 * packets);
        BATCH_SET(b, sampling, i, 1);
    }
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (!(columns[id].flags & CF_NULL)) {
            batch_set_valid_range(b, id, 0, BATCH_ROWS);
        }
    }
    b->n = BATCH_ROWS;
    batch_add_span(b, &source, 0);
}

static double
cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) (u.ru_utime.tv_sec + u.ru_stime.tv_sec)
           + (double) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

struct round {
    double rows_s, cpu_us, bytes_row;
};

/* Writes 'rows' rows and closes the store. */
static struct round
run(uint64_t rows, struct dict *dict)
{
    char *dir = util_mkdir();
    struct store *s = util_open(dir, dict, NULL);
    uint64_t seed = 42, n = 0;
    uint32_t bridge = dict_intern(dict, "br-int", 6);
    int64_t now_us = UTIL_T0;
    double making_s = 0, cpu = cpu_s();
    int64_t start_us = clock_mono_us();
    struct flow_batch *b;

    if (!s) {
        exit(1);
    }
    /* What it costs to make up flows is not the store's: it is measured and
     * taken off the CPU time. */
    while (n < rows) {
        while (!(b = store_batch_get(s))) {
            usleep(1000);
        }
        struct timespec t0, t1;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t0);
        fill(b, now_us += 2000, &seed, bridge);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t1);
        making_s += (double) (t1.tv_sec - t0.tv_sec)
                    + (double) (t1.tv_nsec - t0.tv_nsec) / 1e9;
        n += BATCH_ROWS;
        while (!store_submit(s, b)) {
            usleep(1000);
        }
    }
    struct store_health h;
    store_close(s);
    double wall = (double) (clock_mono_us() - start_us) / 1e6;
    cpu = cpu_s() - cpu - making_s;
    s = util_open(dir, dict, NULL);
    store_health(s, &h);
    store_close(s);
    util_rmdir(dir);
    free(dir);
    return (struct round) { (double) n / wall, cpu * 1e6 / (double) n,
                            (double) h.bytes / (double) n };
}

static int
compare(const void *a, const void *b)
{
    const struct round *x = a, *y = b;
    return (x->rows_s > y->rows_s) - (x->rows_s < y->rows_s);
}

int
main(int argc, char **argv)
{
    uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
    unsigned rounds = argc > 2 ? (unsigned) strtoul(argv[2], NULL, 10) : 3;
    struct round results[16];
    struct utsname u;

    rounds = rounds < 1 ? 1 : rounds > 16 ? 16 : rounds;
    uname(&u);
    printf("machine: %s %s, %ld cores\n", u.sysname, u.machine,
           sysconf(_SC_NPROCESSORS_ONLN));
    struct dict *dict = dict_create(1000, 100000);
    for (unsigned i = 0; i < rounds; i++) {
        results[i] = run(rows, dict);
    }
    qsort(results, rounds, sizeof results[0], compare);
    const struct round *m = &results[rounds / 2];
    printf("store: %" PRIu64 " rows, median of %u: %.0f rows/s to disk "
           "(making them included), %.3f us CPU per row, %.1f bytes per "
           "row\n", rows, rounds, m->rows_s, m->cpu_us, m->bytes_row);
    dict_destroy(dict);
    return 0;
}
