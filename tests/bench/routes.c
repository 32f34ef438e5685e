#include <config.h>

#include "tests/bench/routes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Share of each length, in 10,000ths, as in a full table of 2024. */
static const struct {
    uint8_t len;
    uint16_t share;
} lengths4[] = {
    { 8, 1 }, { 10, 1 }, { 11, 1 }, { 12, 3 }, { 13, 6 }, { 14, 12 },
    { 15, 22 }, { 16, 140 }, { 17, 85 }, { 18, 145 }, { 19, 260 },
    { 20, 460 }, { 21, 540 }, { 22, 1120 }, { 23, 1020 }, { 24, 6184 },
}, lengths6[] = {
    { 20, 5 }, { 24, 20 }, { 28, 75 }, { 29, 400 }, { 30, 100 },
    { 32, 1300 }, { 33, 200 }, { 34, 200 }, { 35, 150 }, { 36, 600 },
    { 38, 150 }, { 40, 1000 }, { 42, 250 }, { 44, 1050 }, { 45, 150 },
    { 46, 350 }, { 47, 350 }, { 48, 3650 },
};

static uint64_t
prefix_hash(const struct prefix *p)
{
    return routes_hash(addr_hash(&p->addr) + p->len);
}

static void
make4(struct prefix *p, uint64_t r)
{
    unsigned pick = (unsigned) (r >> 40) % 10000, i = 0;
    while (pick >= lengths4[i].share) {
        pick -= lengths4[i++].share;
    }
    unsigned len = lengths4[i].len;
    /* Some 30,000 blocks of /16 are in use. */
    uint32_t block = (uint32_t) (routes_hash(r >> 44 << 20 | (r & 0x7fff))
                                 & 0x7fff);
    uint32_t high = 256 + (uint32_t) (routes_hash(block) % (223 * 256 - 256));
    uint32_t addr = high << 16 | (uint32_t) (r >> 15 & 0xffff);
    addr &= UINT32_MAX << (32 - len);
    p->addr = addr_from_v4_bytes((uint8_t[]) {
        (uint8_t) (addr >> 24), (uint8_t) (addr >> 16), (uint8_t) (addr >> 8),
        (uint8_t) addr });
    p->len = (uint8_t) (96 + len);
}

static void
make6(struct prefix *p, uint64_t r)
{
    static const uint16_t tops[] = { 0x2001, 0x2400, 0x2401, 0x2402, 0x2403,
                                     0x2404, 0x2405, 0x2406, 0x2407, 0x2409,
                                     0x240e, 0x2600, 0x2601, 0x2602, 0x2604,
                                     0x2605, 0x2606, 0x2607, 0x2620, 0x2800,
                                     0x2801, 0x2803, 0x2804, 0x2806, 0x2a00,
                                     0x2a01, 0x2a02, 0x2a03, 0x2a04, 0x2a05,
                                     0x2a06, 0x2a07, 0x2a09, 0x2a0a, 0x2a0b,
                                     0x2a0c, 0x2a0d, 0x2a0e, 0x2a0f, 0x2a10,
                                     0x2a11, 0x2a12, 0x2a13, 0x2a14, 0x2c0f };
    unsigned pick = (unsigned) (r >> 40) % 10000, i = 0;
    while (pick >= lengths6[i].share) {
        pick -= lengths6[i++].share;
    }
    unsigned len = lengths6[i].len;
    uint64_t block = routes_hash(r & 0x7fff);           /* Some 30,000 /32s. */
    uint64_t hi = (uint64_t) tops[block % (sizeof tops / sizeof tops[0])]
                  << 48 | (block >> 16 & 0xffff) << 32 | (r >> 15 & 0xffff)
                  << 16;
    hi &= UINT64_MAX << (64 - len);
    memset(p, 0, sizeof *p);
    for (int b = 0; b < 8; b++) {
        p->addr.b[b] = (uint8_t) (hi >> (56 - 8 * b));
    }
    p->len = (uint8_t) len;
}

struct prefix *
routes_prefixes(bool v4, size_t n, uint64_t seed)
{
    struct prefix *list = calloc(n, sizeof *list);
    size_t n_slots = 1;
    while (n_slots < 2 * n) {
        n_slots *= 2;
    }
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    for (size_t made = 0, i = 0; list && slots && made < n; i++) {
        struct prefix p;
        (v4 ? make4 : make6)(&p, routes_hash(seed + i));
        size_t s = prefix_hash(&p) & (n_slots - 1);
        while (slots[s] && memcmp(&list[slots[s] - 1], &p, sizeof p)) {
            s = (s + 1) & (n_slots - 1);
        }
        if (!slots[s]) {
            list[made++] = p;
            slots[s] = (uint32_t) made;
        }
    }
    free(slots);
    return list;
}

unsigned
routes_share(uint64_t i, uint64_t seed)
{
    /* Most paths have a prefix or two, some have dozens. */
    uint64_t r = routes_hash(seed ^ i * 31) % 100;
    return r < 40 ? 1 : r < 65 ? 2 : r < 90 ? 5 : r < 98 ? 18 : 34;
}

void
routes_path(uint32_t peer_as, uint64_t i, uint64_t seed,
            struct route_path *p)
{
    uint64_t r = routes_hash(seed ^ i);
    uint64_t mine = routes_hash(r + peer_as);
    memset(p, 0, sizeof *p);
    p->n_as = 2 + (unsigned) (mine % 3 + mine / 3 % 3 + mine / 9 % 3);
    p->as[0] = peer_as;
    for (unsigned k = 1; k < p->n_as; k++) {
        /* Transit networks are few, origins are many. */
        uint64_t x = routes_hash(mine + k);
        p->as[k] = 1 + (uint32_t) (k + 1 < p->n_as ? x % 4000
                                                   : 4000 + r % 70000);
    }
    p->n_communities = (unsigned) (mine >> 32) % 13;
    for (unsigned k = 0; k < p->n_communities; k++) {
        uint64_t x = routes_hash(mine + 100 + k);
        p->communities[k] = p->as[x % p->n_as] << 16
                            | (uint32_t) (x >> 8) % 3000;
    }
    p->med = mine >> 60 ? 0 : (uint32_t) (mine >> 50) % 200;
}

void
routes_zipf(uint32_t *ranks, size_t n_ranks, uint32_t n, uint64_t seed)
{
    double *sum = calloc(n, sizeof *sum);
    for (uint32_t i = 0; sum && i < n; i++) {
        sum[i] = (i ? sum[i - 1] : 0) + 1. / (i + 1);
    }
    for (size_t i = 0; sum && i < n_ranks; i++) {
        double x = (double) (routes_hash(seed + i) >> 11) / 9007199254740992.
                   * sum[n - 1];
        uint32_t low = 0, high = n - 1;
        while (low < high) {
            uint32_t mid = low + (high - low) / 2;
            if (sum[mid] < x) {
                low = mid + 1;
            } else {
                high = mid;
            }
        }
        ranks[i] = low;
    }
    free(sum);
}
