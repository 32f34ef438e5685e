#include <config.h>

#include "collector/alert/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dict.h"

int
alert_table_init(struct alert_table *t, uint32_t n, struct dict *dict,
                 const struct alert_key *keys, unsigned n_keys)
{
    memset(t, 0, sizeof *t);
    t->n_buckets = (n + ALERT_WAYS - 1) / ALERT_WAYS;
    t->dict = dict;
    t->keys = keys;
    t->n_keys = n_keys;
    size_t slots = (size_t) t->n_buckets * ALERT_WAYS;
    t->busy = calloc(t->n_buckets, 1);
    t->buckets = aligned_alloc(64, t->n_buckets * sizeof *t->buckets);
    t->entries = calloc(slots, sizeof *t->entries);
    t->rings = calloc(slots, sizeof *t->rings);
    if (!t->busy || !t->buckets || !t->entries || !t->rings) {
        alert_table_clear(t);
        return -ENOMEM;
    }
    memset(t->buckets, 0, t->n_buckets * sizeof *t->buckets);
    return 0;
}

/* Holds or releases the names in a key. */
static void
names(struct alert_table *t, const struct alert_entry *e, bool hold)
{
    unsigned at = 0;

    for (unsigned i = 0; i < t->n_keys; i++) {
        const struct column *c = &columns[t->keys[i].column];
        if (c->type == COLUMN_T_NAME && !(e->nulls & 1u << i)) {
            uint32_t id;
            memcpy(&id, e->key + at, sizeof id);
            if (hold) {
                dict_hold(t->dict, id);
            } else {
                dict_release(t->dict, id);
            }
        }
        at += c->size;
    }
}

void
alert_table_clear(struct alert_table *t)
{
    for (size_t i = 0; t->entries && i < (size_t) t->n_buckets * ALERT_WAYS;
         i++) {
        if (t->entries[i].used) {
            names(t, &t->entries[i], false);
        }
    }
    free(t->busy);
    free(t->buckets);
    free(t->entries);
    free(t->rings);
    memset(t, 0, sizeof *t);
}

void
alert_table_drop(struct alert_table *t, struct alert_entry *e)
{
    size_t i = (size_t) (e - t->entries);

    names(t, e, false);
    if (e->spread > 0) {        /* Else the ring is empty. */
        memset(t->rings[i], 0, sizeof t->rings[i]);
    }
    memset(e, 0, sizeof *e);
    t->buckets[i / ALERT_WAYS].tag[i % ALERT_WAYS] = 0;
    t->busy[i / ALERT_WAYS] &= (uint8_t) ~(1u << i % ALERT_WAYS);
    t->n_used--;
}

static struct alert_entry *
take(struct alert_table *t, struct alert_bucket *b, unsigned way,
     uint64_t hash, const uint8_t *key, uint8_t nulls, float weight)
{
    struct alert_entry *e = &t->entries[(size_t) (b - t->buckets) * ALERT_WAYS
                                        + way];
    if (e->used) {
        alert_table_drop(t, e);
        t->evicted++;
    }
    e->used = true;
    e->hash = hash;
    e->nulls = nulls;
    e->limit = -1;
    memcpy(e->key, key, ALERT_KEY_SIZE);
    names(t, e, true);
    b->tag[way] = (uint32_t) hash | 1;
    b->weight[way] = weight;
    t->n_used++;
    return e;
}

/* The place of the least weight that may be taken away; ALERT_WAYS: none.  An
 * alert is hardly ever the lightest, so entries are not looked at before. */
static unsigned
lightest(const struct alert_table *t, const struct alert_bucket *b)
{
    const struct alert_entry *e = &t->entries[(size_t) (b - t->buckets)
                                              * ALERT_WAYS];
    unsigned least, tried = 0;

    do {
        least = ALERT_WAYS;
        for (unsigned i = 0; i < ALERT_WAYS; i++) {
            if (!(tried >> i & 1)
                && (least == ALERT_WAYS || b->weight[i] < b->weight[least])) {
                least = i;
            }
        }
        tried |= 1u << least;
    } while (least < ALERT_WAYS && e[least].state != ALERT_IDLE);
    return least;
}

struct alert_entry *
alert_table_get(struct alert_table *t, uint64_t hash,
                const uint8_t key[ALERT_KEY_SIZE], uint8_t nulls, float weight)
{
    struct alert_bucket *b = &t->buckets[(hash >> 32) * t->n_buckets >> 32];
    uint32_t tag = (uint32_t) hash | 1;
    unsigned place = ALERT_WAYS;

    for (unsigned i = 0; i < ALERT_WAYS; i++) {
        if (b->tag[i] == tag) {
            struct alert_entry *e
                = &t->entries[(size_t) (b - t->buckets) * ALERT_WAYS + i];
            if (e->hash == hash && e->nulls == nulls
                && !memcmp(e->key, key, ALERT_KEY_SIZE)) {
                b->weight[i] += weight;
                return e;
            }
        }
        place = b->tag[i] || place < ALERT_WAYS ? place : i;
    }
    if (place == ALERT_WAYS) {
        place = lightest(t, b);
        if (place == ALERT_WAYS) {
            return NULL;
        }
        if (weight < b->weight[place]) {
            b->weight[place] -= weight;
            return NULL;
        }
    }
    return take(t, b, place, hash, key, nulls, weight);
}

void
alert_entry_add(struct alert_table *t, struct alert_entry *e, double volume,
                uint32_t seconds, int64_t now_s)
{
    size_t i = (size_t) (e - t->entries);

    t->busy[i / ALERT_WAYS] |= (uint8_t) (1u << i % ALERT_WAYS);
    if (seconds <= 1) {
        e->now += volume;
        return;
    }
    float a_second = (float) (volume / seconds);
    uint32_t lasts = seconds < ALERT_SPREAD_S ? seconds : ALERT_SPREAD_S;
    e->spread += (double) a_second;
    t->rings[i][(uint64_t) (now_s + lasts)
                             % (ALERT_SPREAD_S + 1)] += a_second;
}

void
alert_table_second(struct alert_table *t, struct alert_entry *e,
                   int64_t now_s, uint32_t seconds, double elapsed)
{
    float *ring = t->rings[e - t->entries];
    float rate = (float) (e->now / elapsed + e->spread);
    uint32_t n = seconds <= ALERT_SPREAD_S ? seconds : ALERT_SPREAD_S + 1;

    e->rate = rate;
    e->peak = rate > e->peak ? rate : e->peak;
    e->now = 0;
    for (uint32_t i = 1; i <= n && e->spread > 0; i++) {
        float *ends = &ring[(uint64_t) (now_s + i) % (ALERT_SPREAD_S + 1)];
        e->spread -= (double) *ends;
        *ends = 0;
        /* What rounding leaves is nothing. */
        if (e->spread < (double) e->peak * 1e-6) {
            e->spread = 0;
            memset(ring, 0, sizeof t->rings[0]);
        }
    }
}
