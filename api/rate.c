#include <config.h>

#include "api/rate.h"

#include "lib/fnv.h"

#include <stdlib.h>
#include <string.h>

#define SETS 1024               /* A power of two. */
#define WAYS 4

struct bucket {
    uint64_t name;              /* Hashed; 0: free. */
    double tokens;
    int64_t at_ms;
    unsigned taken;             /* Since it was full. */
};

struct rate {
    struct bucket buckets[SETS][WAYS];
};

struct rate *
rate_create(void)
{
    return calloc(1, sizeof(struct rate));
}

void
rate_destroy(struct rate *r)
{
    free(r);
}

/* Who shares a bucket by chance shares its limit. */
static uint64_t
hash_name(const char *name)
{
    uint64_t h = fnv_text(FNV_START, name);

    h ^= h >> 32;
    return h ? h : 1;
}

static struct bucket *
find(struct rate *r, const char *name, double burst, int64_t now_ms)
{
    uint64_t h = hash_name(name);
    struct bucket *set = r->buckets[h % SETS], *oldest = set;

    for (int i = 0; i < WAYS; i++) {
        if (set[i].name == h) {
            return &set[i];
        }
        if (set[i].at_ms < oldest->at_ms) {
            oldest = &set[i];
        }
    }
    *oldest = (struct bucket) { .name = h, .tokens = burst, .at_ms = now_ms };
    return oldest;
}

static struct bucket *
fill(struct rate *r, const char *name, double per_second, double burst,
     int64_t now_ms)
{
    struct bucket *b = find(r, name, burst, now_ms);

    if (now_ms > b->at_ms) {
        b->tokens += (double) (now_ms - b->at_ms) * per_second / 1000.;
        b->at_ms = now_ms;
    }
    if (b->tokens >= burst) {
        b->tokens = burst;
        b->taken = 0;
    }
    return b;
}

bool
rate_ready(struct rate *r, const char *name, double per_second, double burst,
           int64_t now_ms)
{
    return per_second <= 0.
           || fill(r, name, per_second, burst, now_ms)->tokens >= 1.;
}

bool
rate_take(struct rate *r, const char *name, double per_second, double burst,
          int64_t now_ms)
{
    if (per_second <= 0.) {
        return true;
    }
    struct bucket *b = fill(r, name, per_second, burst, now_ms);
    if (b->tokens < 1.) {
        return false;
    }
    b->tokens -= 1.;
    b->taken++;
    return true;
}

unsigned
rate_taken(struct rate *r, const char *name, double per_second, double burst,
           int64_t now_ms)
{
    return per_second <= 0. ? 0
           : fill(r, name, per_second, burst, now_ms)->taken;
}
