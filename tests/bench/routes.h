/* tests/bench/routes.h -- a table of routes as the Internet's looks like, made
 * from a seed: lengths, clusters, paths of 2 to 8 AS, 0 to 12 communities. */
#ifndef BENCH_ROUTES_H
#define BENCH_ROUTES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/* Distinct prefixes, in random order.  The caller frees the list. */
struct prefix *routes_prefixes(bool v4, size_t n, uint64_t seed);

/* Prefixes that share their attributes follow each other in a table dump; how
 * many do, on average. */
#define ROUTES_PER_PATH 5

struct route_path {
    uint32_t as[8], communities[12];
    unsigned n_as, n_communities;
    uint32_t med;
};

/* Path number 'i' of the peer with this AS. */
void routes_path(uint32_t peer_as, uint64_t i, uint64_t seed,
                 struct route_path *);

/* How many prefixes come with path number 'i'. */
unsigned routes_share(uint64_t i, uint64_t seed);

/* Numbers below 'n', distributed after Zipf with exponent 1. */
void routes_zipf(uint32_t *ranks, size_t n_ranks, uint32_t n, uint64_t seed);

static inline uint64_t
routes_hash(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

#endif /* tests/bench/routes.h */
