/* collector/alert/table.h -- keys of one rule, and what each does now.
 *
 * A table is bounded and made at once.  A key has eight places to be; if others
 * have them all, it takes away from the one with the least weight until that is
 * used up, and then takes its place (as HeavyKeeper does): keys with much traffic
 * stay and are counted exactly, many with little go round in the rest.
 *
 * What flows bring is volume over time: a record of one second or less counts
 * for the second at hand, a longer one is spread over as many seconds as it
 * took, from now on, so that a rate is right though records come once a
 * minute.  Of one that took longer than ALERT_SPREAD_S so much is left out. */
#ifndef COLLECTOR_ALERT_TABLE_H
#define COLLECTOR_ALERT_TABLE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "collector/alert/model.h"
#include "collector/alert/rule.h"

struct dict;

#define ALERT_SPREAD_S 63
#define ALERT_WAYS 8

enum alert_state { ALERT_IDLE, ALERT_PENDING, ALERT_RAISED };

struct alert_entry {
    /* One line: what a flow touches. */
    uint64_t hash;
    double now;                 /* Volume of this second's short records. */
    double spread;              /* A second, of the long ones. */
    float limit;                /* A second; more is an alert.  Below 0: not
                                 * yet known. */
    bool used, known;           /* 'known': of NEW, seen before. */
    uint8_t state;              /* enum alert_state. */
    uint8_t nulls;              /* Values that are absent. */
    uint8_t key[ALERT_KEY_SIZE];
    /* What the tick touches. */
    float rate, peak;           /* Last second; the most of this minute. */
    float raised_peak;
    struct alert_level level;
    int64_t since_s, quiet_s;   /* State began; condition ended. */
    int64_t cleared_s;          /* Last time. */
    uint8_t flaps;              /* Raised again soon after that, so often. */
    uint64_t alert;             /* Number of the one that is raised. */
};

/* What finding a place needs, in a line of its own. */
struct alert_bucket {
    uint32_t tag[ALERT_WAYS];   /* 0: free. */
    float weight[ALERT_WAYS];   /* Of late; keeps its place. */
};

struct alert_table {
    uint32_t n_buckets, n_used;
    uint8_t *busy;              /* n_buckets: bit i, of entry i of the bucket:
                                 * it has a rate, or a state. */
    struct alert_bucket *buckets;
    struct alert_entry *entries;
    float (*rings)[ALERT_SPREAD_S + 1]; /* What ends in which second. */
    uint64_t evicted;
    /* Names are held as long as they are in a key. */
    struct dict *dict;
    const struct alert_key *keys;
    unsigned n_keys;
};

/* For 'n' keys, rounded up.  'keys' are borrowed.  0 or -ENOMEM. */
int alert_table_init(struct alert_table *, uint32_t n, struct dict *,
                     const struct alert_key *keys, unsigned n_keys);
void alert_table_clear(struct alert_table *);

static inline void
alert_table_prefetch(const struct alert_table *t, uint64_t hash)
{
    __builtin_prefetch(&t->buckets[(hash >> 32) * t->n_buckets >> 32]);
}

/* Is there a key at place 'i' of all? */
static inline bool
alert_table_has(const struct alert_table *t, size_t i)
{
    return t->buckets[i / ALERT_WAYS].tag[i % ALERT_WAYS];
}

static inline float *
alert_table_weight(const struct alert_table *t, const struct alert_entry *e)
{
    size_t i = (size_t) (e - t->entries);
    return &t->buckets[i / ALERT_WAYS].weight[i % ALERT_WAYS];
}

/* The entry that a hash leads to most likely is on its way. */
static inline void
alert_table_prefetch_entry(const struct alert_table *t, uint64_t hash)
{
    size_t k = (hash >> 32) * t->n_buckets >> 32;
    for (size_t i = 0; i < ALERT_WAYS; i++) {
        if (t->buckets[k].tag[i] == ((uint32_t) hash | 1)) {
            const char *e = (const char *) &t->entries[k * ALERT_WAYS + i];
            __builtin_prefetch(e);
            __builtin_prefetch(e + 64);
            return;
        }
    }
}

/* The entry of a key, made if need be; NULL: others have its places.  'weight' is
 * what it brings. */
struct alert_entry *alert_table_get(struct alert_table *, uint64_t hash,
                                    const uint8_t key[ALERT_KEY_SIZE],
                                    uint8_t nulls, float weight);

/* A record of 'seconds' (0: at once) with so much in all, in second 'now_s'. */
void alert_entry_add(struct alert_table *, struct alert_entry *,
                     double volume, uint32_t seconds, int64_t now_s);

/* Ends second 'now_s' of the table's own count; the next one is 'seconds' on.
 * 'elapsed': how long the second really took. */
void alert_table_second(struct alert_table *, struct alert_entry *,
                        int64_t now_s, uint32_t seconds, double elapsed);

/* For those that are not raised: forget it. */
void alert_table_drop(struct alert_table *, struct alert_entry *);

static inline uint64_t
alert_hash(const uint8_t key[ALERT_KEY_SIZE], uint8_t nulls)
{
    uint64_t h = nulls + UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned i = 0; i < ALERT_KEY_SIZE / 8; i++) {
        uint64_t v;
        __builtin_memcpy(&v, key + 8 * i, 8);
        h = (h ^ v) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    return h;
}

#endif /* collector/alert/table.h */
