/* What the history of routes costs: a table of a million routes that is told
 * for the first time, with and without it; a million changes; questions.
 *
 *     bench_routelog [PREFIXES]
 *
 * CPU time of the RIB's thread and, apart, of the process (the writer). */
#include <config.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <urcu.h>

#include "bgp/rib.h"
#include "bgp/routelog.h"
#include "lib/clock.h"
#include "tests/bench/routes.h"

#define SEED 7

static double
cpu_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void
feed(struct bgp_sink *s, uint32_t peer, uint32_t as, const struct prefix *p,
     size_t n)
{
    static uint64_t serial;
    size_t at = 0;
    for (uint64_t i = 0; at < n; i++) {
        struct route_path path;
        uint32_t words[9];
        routes_path(as, i, SEED, &path);
        words[0] = (uint32_t) BGP_AS_SEQUENCE << 16 | path.n_as;
        memcpy(words + 1, path.as, path.n_as * sizeof words[0]);
        struct bgp_attrs a = {
            .serial = ++serial,
            .has = BGP_HAS_ORIGIN | BGP_HAS_AS_PATH | BGP_HAS_NEXT_HOP
                   | BGP_HAS_MED,
            .med = path.med, .as_path = words, .n_as_path = path.n_as + 1,
            .communities = path.communities,
            .n_communities = path.n_communities,
        };
        a.next_hop.b[10] = a.next_hop.b[11] = 0xff;
        a.next_hop.b[12] = 10;
        for (unsigned k = routes_share(i, SEED); k && at < n; k--) {
            struct bgp_nlri nlri = { .family = BGP_IPV4_UNICAST,
                                     .prefix = p[at++] };
            s->announce(s->aux, peer, &nlri, &a);
        }
    }
}

static void
count(void *n, const struct routelog_record *r)
{
    (void) r;
    ++*(size_t *) n;
}

static void
ask(struct routelog *log, const char *what, enum routelog_match match,
    const struct prefix *p)
{
    struct routelog_query q = {
        .match = match, .prefix = *p, .to_us = INT64_MAX, .limit = 100,
        .deadline_us = INT64_MAX,
    };
    struct routelog_answer a;
    size_t n = 0;
    double start = cpu_s(CLOCK_THREAD_CPUTIME_ID);
    routelog_query(log, &q, count, &n, &a);
    printf("%s: %zu records, %.1f ms CPU, %llu blocks read, %llu passed "
           "over\n", what, n,
           1e3 * (cpu_s(CLOCK_THREAD_CPUTIME_ID) - start),
           (unsigned long long) a.blocks, (unsigned long long) a.skipped);
}

static void
clean(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        unlink(path);
    }
    if (d) {
        closedir(d);
    }
    rmdir(dir);
}

/* The second table is all changes; NULL: without a history. */
static void
run(const char *name, struct routelog *log, const struct prefix *p, size_t n)
{
    struct rib *rib = rib_create(&(struct rib_config) { .max_bytes = 0 });
    struct bgp_sink s = rib_sink(rib);
    struct bgp_peer_info info = { .as = 65001, .local_as = 65000, .id = 1 };
    if (log) {
        struct rib_watch w = routelog_watch(log);
        rib_add_watch(rib, &w);
    }
    uint32_t peer = s.peer_up(s.aux, &info);
    for (int round = 0; round < 2; round++) {
        double start = cpu_s(CLOCK_THREAD_CPUTIME_ID);
        double all = cpu_s(CLOCK_PROCESS_CPUTIME_ID);
        feed(&s, peer, 65001 + (uint32_t) round, p, n);
        s.end_of_rib(s.aux, peer, BGP_IPV4_UNICAST);
        double mine = cpu_s(CLOCK_THREAD_CPUTIME_ID) - start;
        all = cpu_s(CLOCK_PROCESS_CPUTIME_ID) - all;
        printf("%s, %s: %.0f ns CPU a route, other threads %.0f\n", name,
               round ? "changes" : "first table", 1e9 * mine / (double) n,
               1e9 * (all - mine) / (double) n);
    }
    rib_destroy(rib);
}

int
main(int argc, char *argv[])
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000000;
    struct prefix *p = routes_prefixes(true, n, 1);
    char dir[] = "/tmp/bench-routelog-XXXXXX";
    struct routelog_config c = { .dir = dir, .now_us = clock_wall_us };
    int error = 0;
    rcu_register_thread();
    struct routelog *log = mkdtemp(dir) ? routelog_open(&c, &error) : NULL;
    if (!log || !p) {
        fprintf(stderr, "%s: %s\n", dir, strerror(-error));
        return 1;
    }
    run("without history", NULL, p, n);
    run("with history", log, p, n);
    double start = cpu_s(CLOCK_PROCESS_CPUTIME_ID);
    ask(log, "a prefix", ROUTELOG_EXACT, &p[n / 2]);
    printf("(of that, writing what waited: %.2f s of the process)\n",
           cpu_s(CLOCK_PROCESS_CPUTIME_ID) - start);
    ask(log, "a prefix", ROUTELOG_EXACT, &p[n / 3]);
    ask(log, "all that cover an address", ROUTELOG_LESS, &p[n / 3]);
    ask(log, "all", ROUTELOG_ALL, &p[0]);
    const struct routelog_counters *k = routelog_counters(log);
    printf("%llu changes: %.1f octets each on disk (%.1f before packing), "
           "%llu lost\n", (unsigned long long) counter_get(&k->recorded),
           (double) counter_get(&k->octets)
           / (double) counter_get(&k->recorded),
           (double) counter_get(&k->raw_octets)
           / (double) counter_get(&k->recorded),
           (unsigned long long) counter_get(&k->lost));
    routelog_close(log);
    clean(dir);
    free(p);
    rcu_unregister_thread();
    return 0;
}
