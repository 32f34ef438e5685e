/* What routes cost: a million IPv4 prefixes from each of four peers, lookups,
 * stamping, a peer that goes.
 *
 *     bench_rib [PREFIXES]
 *
 * CPU time of this thread; memory is what is resident. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu.h>

#include "bgp/lpm.h"
#include "bgp/rib.h"
#include "bgp/stamp.h"
#include "lib/batch.h"
#include "lib/dict.h"
#include "tests/bench/routes.h"

#define N_PEERS 4
#define SEED 7
#define LOOKUPS (1u << 22)
#define BATCHES 100
#define ROUNDS 7u               /* Of lookups; the median counts. */

static double
cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static long
resident_mb(void)
{
    long pages = 0, all;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &all, &pages) != 2) {
        pages = 0;
    }
    if (f) {
        fclose(f);
    }
    return pages * 4 / 1024;
}

/* ---- Lookups. ---- */

/* An address inside of a prefix. */
static struct lpm_key
inside(const struct prefix *p, bool v4, uint64_t r)
{
    struct lpm_key k = lpm_key_of(&p->addr, v4);
    unsigned len = v4 ? p->len - 96u : p->len;
    k.hi |= len ? r >> len : r;
    if (v4) {
        k.hi &= UINT64_C(0xffffffff00000000);
        k.lo = 0;
    }
    return k;
}

static int
compare_doubles(const void *a_, const void *b_)
{
    const double *a = a_, *b = b_;
    return (*a > *b) - (*a < *b);
}

static void
bench_lookups(bool v4, size_t n)
{
    struct prefix *p = routes_prefixes(v4, n, 1);
    struct lpm_key *keys = malloc(LOOKUPS * sizeof *keys);
    uint32_t *ranks = malloc(LOOKUPS * sizeof *ranks), values[BATCH_ROWS];
    struct arena a;
    struct lpm t;
    arena_init(&a, (size_t) 1 << 33);
    lpm_init(&t, &a, true);
    for (size_t i = 0; i < n; i++) {
        lpm_set(&t, lpm_key_of(&p[i].addr, v4), p[i].len - (v4 ? 96u : 0u),
                (uint32_t) i + 1);
    }
    routes_zipf(ranks, LOOKUPS, (uint32_t) n, 5);
    for (int zipf = 0; zipf < 2; zipf++) {
        uint64_t found = 0;
        for (size_t i = 0; i < LOOKUPS; i++) {
            uint64_t r = routes_hash(i + 77);
            keys[i] = inside(&p[zipf ? ranks[i] : r % n], v4,
                             routes_hash(r));
        }
        double s[ROUNDS];
        for (unsigned round = 0; round < ROUNDS; round++) {
            double start = cpu_s();
            for (size_t i = 0; i < LOOKUPS; i += BATCH_ROWS) {
                lpm_lookup(&t, keys + i, BATCH_ROWS, values);
                found += values[i / BATCH_ROWS % BATCH_ROWS] != 0;
            }
            s[round] = cpu_s() - start;
        }
        qsort(s, ROUNDS, sizeof s[0], compare_doubles);
        printf("%s, %zu prefixes, %s: %.1f M lookups/s%s\n",
               v4 ? "IPv4" : "IPv6", n, zipf ? "Zipf" : "random",
               LOOKUPS / s[ROUNDS / 2] / 1e6,
               found == ROUNDS * (LOOKUPS / BATCH_ROWS) ? "" : " (WRONG)");
    }
    lpm_clear(&t);
    arena_clear(&a);
    free(ranks);
    free(keys);
    free(p);
}

/* ---- Four tables. ---- */

static void
feed(struct bgp_sink *s, uint32_t peer, uint32_t as, const struct prefix *p,
     size_t n)
{
    static uint64_t serial;
    struct bgp_nlri nlri = { .family = BGP_IPV4_UNICAST };
    size_t at = 0;
    for (uint64_t g = 0; at < n; g++) {
        struct route_path rp;
        uint32_t path[9];
        routes_path(as, g, SEED, &rp);
        path[0] = BGP_AS_SEQUENCE << 16 | rp.n_as;
        memcpy(path + 1, rp.as, 4 * rp.n_as);
        struct bgp_attrs a = {
            .serial = ++serial,
            .has = BGP_HAS_ORIGIN | BGP_HAS_AS_PATH | BGP_HAS_NEXT_HOP
                   | BGP_HAS_MED,
            .med = rp.med, .as_path = path, .n_as_path = rp.n_as + 1,
            .communities = rp.communities,
            .n_communities = rp.n_communities,
            .next_hop = { { [10] = 0xff, [11] = 0xff, [12] = 192,
                            [15] = (uint8_t) as } },
        };
        for (unsigned k = routes_share(g, SEED); k && at < n; k--) {
            nlri.prefix = p[at++];
            s->announce(s->aux, peer, &nlri, &a);
        }
    }
}

/* Whose addresses flows have. */
enum ends {
    ZIPF,                       /* Any in prefixes that are Zipf-skewed. */
    RANDOM,                     /* Any in any prefix. */
    HOSTS,                      /* Zipf-skewed: of 100,000 hosts anywhere. */
};
#define N_HOSTS 100000u

static void
bench_stamp(struct stamper *st, const struct prefix *p, size_t n,
            enum ends ends)
{
    static const char *const names[] = { "Zipf", "random", "100000 hosts" };
    struct flow_batch *b = batch_create();
    uint32_t *ranks = malloc(2 * BATCHES * BATCH_ROWS * sizeof *ranks);
    double best = 0;
    routes_zipf(ranks, 2 * BATCHES * BATCH_ROWS,
                ends == HOSTS ? N_HOSTS : (uint32_t) n, 5);
    /* The first round makes the names. */
    for (int round = 0; round < 4; round++) {
        double spent = 0;
        for (unsigned q = 0; q < BATCHES; q++) {
            batch_reset(b);
            for (uint32_t i = 0; i < BATCH_ROWS; i++) {
                uint32_t at = 2 * (q * BATCH_ROWS + i);
                for (uint32_t end = 0; end < 2; end++) {
                    uint64_t r = routes_hash(ends == HOSTS ? ranks[at + end]
                                                           : at + end);
                    const struct prefix *x = &p[ends == ZIPF
                                                ? ranks[at + end] : r % n];
                    struct addr a = x->addr;
                    a.b[15] |= x->len <= 120 ? (uint8_t) r : 0;
                    if (end) {
                        BATCH_SET(b, dst_addr, i, a);
                    } else {
                        BATCH_SET(b, src_addr, i, a);
                    }
                }
            }
            b->n = BATCH_ROWS;
            b->n_spans = 1;
            b->spans[0] = (struct batch_span) { NULL, 0, BATCH_ROWS };
            double start = cpu_s();
            stamp_process(st, b);
            spent += cpu_s() - start;
        }
        spent = spent / BATCHES / BATCH_ROWS * 1e9;
        if (!round) {
            printf("stamping, %s: %.0f ns a flow while names are made\n",
                   names[ends], spent);
        } else if (!best || spent < best) {
            best = spent;
        }
    }
    printf("stamping, %s: %.1f ns a flow, both ends, %d tables\n",
           names[ends], best, N_PEERS);
    free(ranks);
    batch_destroy(b);
}

static void
bench_tables(size_t n)
{
    struct prefix *p = routes_prefixes(true, n, 1);
    struct dict *d = dict_create(1 << 21, (size_t) 200 << 20);
    long before = resident_mb();
    struct rib *rib = rib_create(&(struct rib_config) { .dict = d });
    struct bgp_sink s = rib_sink(rib);
    uint32_t peers[N_PEERS];
    for (uint32_t i = 0; i < N_PEERS; i++) {
        struct bgp_peer_info info = { .as = 65001 + i, .local_as = 65000,
                                      .id = i + 1 };
        info.address.b[15] = (uint8_t) (i + 1);
        peers[i] = s.peer_up(s.aux, &info);
    }
    double start = cpu_s();
    for (uint32_t i = 0; i < N_PEERS; i++) {
        feed(&s, peers[i], 65001 + i, p, n);
        while (rib_work(rib, 100000)) {
        }
        printf("peer %u: %.2f s CPU so far, %ld MB resident\n", i + 1,
               cpu_s() - start, resident_mb() - before);
    }
    struct stamper *st = stamper_create(rib, d);
    stamper_refresh(st);
    bench_stamp(st, p, n, HOSTS);
    bench_stamp(st, p, n, ZIPF);
    bench_stamp(st, p, n, RANDOM);
    double longest = 0;
    start = cpu_s();
    s.peer_down(s.aux, peers[0]);
    for (bool more = true; more;) {
        double slice = cpu_s();
        more = rib_work(rib, 4000);
        slice = cpu_s() - slice;
        longest = slice > longest ? slice : longest;
    }
    printf("a peer goes: %.2f s CPU, longest slice %.1f ms\n",
           cpu_s() - start, longest * 1e3);
    stamper_destroy(st);
    rib_destroy(rib);
    dict_destroy(d);
    free(p);
}

int
main(int argc, char *argv[])
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    rcu_register_thread();
    bench_lookups(true, n);
    bench_lookups(false, n / 4);
    bench_tables(n);
    rcu_unregister_thread();
    return 0;
}
