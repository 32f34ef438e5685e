#include <config.h>

#include "lib/dict.h"

#include "lib/mix.h"
#include "lib/seed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER UINT32_MAX              /* Holds of what is never released. */
/* How long a generation lasts, and while texts are refused. */
#define GENERATION_MS (2 * DICT_GOOD_MS)
#define URGENT_MS DICT_GOOD_MS

/* An entry never moves and its text never changes, so that readers need no
 * lock.  One that is forgotten leaves its chain first and is freed a generation
 * later: by then no reader is at it.  Whether it may go is decided under the
 * lock, by 'holds' and 'used'; one that may is touched under the lock only. */
struct entry {
    uint64_t hash;
    struct entry *_Atomic next;         /* In its chain. */
    uint32_t id, len;
    _Atomic uint32_t used;              /* Generation when last asked for. */
    uint32_t holds;                     /* Under the lock. */
    bool gone;                          /* Likewise: left its chain. */
    char text[];
};

enum age_state { AGE_IDLE, AGE_WAIT, AGE_SCAN };

struct dict {
    pthread_mutex_t mutex;
    uint64_t seed[2];                   /* Peers and exporters choose texts. */
    struct entry *_Atomic *buckets;     /* By hash. */
    struct entry *_Atomic *by_id;
    uint32_t n_buckets;                 /* A power of 2. */
    uint32_t max_entries;
    size_t bytes, max_bytes;
    _Atomic uint32_t n;                 /* In chains. */
    _Atomic uint32_t end;               /* Ids are below. */
    _Atomic uint64_t refused, forgotten;
    _Atomic uint32_t generation;
    uint32_t overflow_id;

    /* Ids that are free, first in first out, so that one rests as long as
     * possible. */
    uint32_t *free_ids;
    uint32_t free_head, n_free;

    enum age_state state;
    int64_t since_ms;
    uint64_t refused_before;
    uint32_t at, n_gone;
};

uint64_t
dict_hash(const struct dict *d, const char *text, size_t len)
{
    return mix_bytes(d->seed[1], d->seed[0], text, len);
}

static struct entry *_Atomic *
bucket_of(const struct dict *d, uint64_t hash)
{
    return &d->buckets[hash & (d->n_buckets - 1)];
}

static struct entry *
find(const struct dict *d, const char *text, size_t len, uint64_t hash)
{
    struct entry *e = atomic_load_explicit(bucket_of(d, hash),
                                           memory_order_acquire);
    while (e && (e->hash != hash || e->len != len
                 || memcmp(e->text, text, len))) {
        e = atomic_load_explicit(&e->next, memory_order_acquire);
    }
    return e;
}

/* Not asked for since the last generation began, nor in it. */
static inline bool
is_old(const struct entry *e, uint32_t generation)
{
    return generation - atomic_load_explicit(&e->used, memory_order_relaxed)
           >= 2;
}

static inline void
touch(struct entry *e, uint32_t generation)
{
    if (atomic_load_explicit(&e->used, memory_order_relaxed) != generation) {
        atomic_store_explicit(&e->used, generation, memory_order_relaxed);
    }
}

static void
hold(struct entry *e, bool forever)
{
    if (forever) {
        e->holds = FOREVER;
    } else if (e->holds < FOREVER - 1) {
        e->holds++;
    }
}

/* Room for one more, of which so much is left to names that pass. */
static bool
has_room(const struct dict *d, size_t len, bool passing)
{
    uint32_t max = d->max_entries - (passing ? d->max_entries / 8 : 0);
    size_t max_bytes = d->max_bytes - (passing ? d->max_bytes / 8 : 0);
    return d->end - d->n_free < max && d->bytes < max_bytes
           && len <= max_bytes - d->bytes;
}

/* Adds an entry; the caller holds the mutex.  NULL beyond a limit. */
static struct entry *
add(struct dict *d, const char *text, size_t len, uint64_t hash,
    uint32_t generation)
{
    struct entry *e = len < UINT32_MAX ? malloc(sizeof *e + len + 1) : NULL;
    if (!e) {
        return NULL;
    }
    uint32_t id = d->end;
    if (d->n_free) {
        id = d->free_ids[d->free_head];
        d->free_head = (d->free_head + 1) % d->max_entries;
        d->n_free--;
    }
    e->hash = hash;
    e->len = (uint32_t) len;
    e->id = id;
    e->holds = 0;
    e->gone = false;
    atomic_init(&e->used, generation);
    memcpy(e->text, text, len);
    e->text[len] = '\0';
    d->bytes += len;
    struct entry *_Atomic *bucket = bucket_of(d, hash);
    atomic_init(&e->next, atomic_load_explicit(bucket, memory_order_relaxed));
    atomic_store_explicit(&d->by_id[id], e, memory_order_release);
    if (id == d->end) {
        atomic_store_explicit(&d->end, id + 1, memory_order_release);
    }
    atomic_fetch_add(&d->n, 1);
    atomic_store_explicit(bucket, e, memory_order_release);
    return e;
}

static uint32_t
intern(struct dict *d, const char *text, size_t len, bool passing)
{
    uint64_t hash = dict_hash(d, text, len);
    uint32_t generation = dict_generation(d), id = d->overflow_id;
    struct entry *e = find(d, text, len, hash);
    if (e && passing && !is_old(e, generation)) {
        touch(e, generation);
        return e->id;
    }
    pthread_mutex_lock(&d->mutex);
    e = find(d, text, len, hash);
    if (!e && has_room(d, len, passing)) {
        e = add(d, text, len, hash, generation);
    }
    if (e) {
        touch(e, generation);
        id = e->id;
        if (!passing) {
            hold(e, true);
        }
    }
    pthread_mutex_unlock(&d->mutex);
    if (!e) {
        atomic_fetch_add(&d->refused, 1);
    }
    return id;
}

struct dict *
dict_create(uint32_t max_entries, size_t max_bytes)
{
    struct dict *d = calloc(1, sizeof *d);
    if (!d) {
        return NULL;
    }
    if (max_entries < 2) {
        max_entries = 2;
    }
    d->n_buckets = 4;
    while (d->n_buckets < max_entries) {
        d->n_buckets *= 2;
    }
    d->max_entries = max_entries;
    d->max_bytes = max_bytes + strlen(DICT_OVERFLOW);
    atomic_init(&d->generation, 1);
    d->seed[0] = seed_make();
    d->seed[1] = seed_make();
    pthread_mutex_init(&d->mutex, NULL);
    d->buckets = calloc(d->n_buckets, sizeof *d->buckets);
    d->by_id = calloc(max_entries, sizeof *d->by_id);
    d->free_ids = calloc(max_entries, sizeof *d->free_ids);
    if (!d->buckets || !d->by_id || !d->free_ids) {
        dict_destroy(d);
        return NULL;
    }
    dict_intern(d, "", 0);
    d->overflow_id = dict_intern(d, DICT_OVERFLOW, strlen(DICT_OVERFLOW));
    return d;
}

void
dict_destroy(struct dict *d)
{
    if (!d) {
        return;
    }
    for (uint32_t i = 0; d->by_id && i < d->end; i++) {
        free(d->by_id[i]);
    }
    free(d->buckets);
    free(d->by_id);
    free(d->free_ids);
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

uint32_t
dict_intern(struct dict *d, const char *text, size_t len)
{
    return intern(d, text, len, false);
}

uint32_t
dict_passing(struct dict *d, const char *text, size_t len)
{
    return intern(d, text, len, true);
}

/* What 'len' of 1 to DICT_RECENT_LEN bytes are, in two words: with the length
 * they tell any two texts apart. */
static struct dict_recent_slot
recent_key(const char *text, size_t len)
{
    struct dict_recent_slot k = { .len = (uint32_t) len };
    if (len >= 8) {
        memcpy(&k.first, text, 8);
        memcpy(&k.last, text + len - 8, 8);
    } else if (len >= 4) {
        memcpy(&k.first, text, 4);
        memcpy(&k.last, text + len - 4, 4);
    } else {
        k.first = (uint8_t) text[0];
        k.last = (uint64_t) (uint8_t) text[len / 2] << 8
                 | (uint8_t) text[len - 1];
    }
    return k;
}

uint32_t
dict_passing_recent(struct dict *d, struct dict_recent *recent,
                    const char *text, size_t len)
{
    if (!len || len > DICT_RECENT_LEN) {
        return dict_passing(d, text, len);
    }
    uint32_t generation = dict_generation(d);
    if (recent->generation != generation) {
        memset(recent, 0, sizeof *recent);
        recent->generation = generation;
    }
    struct dict_recent_slot k = recent_key(text, len);
    uint64_t hash = (k.first ^ k.last << 7 ^ k.len)
                    * UINT64_C(0x9e3779b97f4a7c15);
    struct dict_recent_slot *slot
        = &recent->slots[hash >> 32 & (DICT_RECENT_SLOTS - 1)];
    if (slot->first != k.first || slot->last != k.last || slot->len != k.len) {
        k.id = dict_passing(d, text, len);
        if (k.id == d->overflow_id) {
            return k.id;        /* Counted each time. */
        }
        *slot = k;
    }
    return slot->id;
}

static struct entry *
entry_of(const struct dict *d, uint32_t id)
{
    return id < atomic_load_explicit(&d->end, memory_order_acquire)
           ? atomic_load_explicit(&d->by_id[id], memory_order_acquire) : NULL;
}

void
dict_hold(struct dict *d, uint32_t id)
{
    pthread_mutex_lock(&d->mutex);
    struct entry *e = entry_of(d, id);
    if (e && e->holds != FOREVER) {
        hold(e, false);
    }
    pthread_mutex_unlock(&d->mutex);
}

void
dict_release(struct dict *d, uint32_t id)
{
    pthread_mutex_lock(&d->mutex);
    struct entry *e = entry_of(d, id);
    if (e && e->holds && e->holds != FOREVER) {
        e->holds--;
        /* Flows may be on their way with it. */
        touch(e, dict_generation(d));
    }
    pthread_mutex_unlock(&d->mutex);
}

const char *
dict_text(const struct dict *d, uint32_t id)
{
    const struct entry *e = entry_of(d, id);
    return e ? e->text : "";
}

/* ---- Forgetting. ---- */

uint32_t
dict_generation(const struct dict *d)
{
    return atomic_load_explicit(&d->generation, memory_order_acquire);
}

static bool
is_full(const struct dict *d)
{
    return d->n_gone
           || d->end - d->n_free >= (uint64_t) d->max_entries * 21 / 32
           || d->bytes >= d->max_bytes / 32 * 21
           || atomic_load(&d->refused) != d->refused_before;
}

static void
unlink_entry(struct dict *d, struct entry *e)
{
    struct entry *_Atomic *link = bucket_of(d, e->hash);
    struct entry *at;
    while ((at = atomic_load_explicit(link, memory_order_relaxed)) != e) {
        link = &at->next;
    }
    /* A reader who is at 'e' goes on by its 'next', which stays. */
    atomic_store_explicit(link, atomic_load_explicit(&e->next,
                                                     memory_order_relaxed),
                          memory_order_release);
    e->gone = true;
    d->n_gone++;
    atomic_fetch_sub(&d->n, 1);
    atomic_fetch_add(&d->forgotten, 1);
}

static void
free_entry(struct dict *d, struct entry *e)
{
    atomic_store_explicit(&d->by_id[e->id], NULL, memory_order_release);
    d->free_ids[(d->free_head + d->n_free++) % d->max_entries] = e->id;
    d->bytes -= e->len;
    d->n_gone--;
    free(e);
}

static void
scan(struct dict *d, uint32_t budget)
{
    uint32_t end = atomic_load(&d->end), generation = dict_generation(d);
    for (; budget && d->at < end; d->at++, budget--) {
        struct entry *e = entry_of(d, d->at);
        if (e && e->gone) {
            free_entry(d, e);
        } else if (e && !e->holds && is_old(e, generation)) {
            unlink_entry(d, e);
        }
    }
    if (d->at >= end) {
        d->state = AGE_IDLE;
    }
}

bool
dict_age(struct dict *d, int64_t now_ms, uint32_t budget)
{
    pthread_mutex_lock(&d->mutex);
    if (d->state == AGE_IDLE && is_full(d)) {
        d->state = AGE_WAIT;
        d->since_ms = now_ms;
        d->refused_before = atomic_load(&d->refused);
        uint32_t next = dict_generation(d) + 1;
        atomic_store_explicit(&d->generation, next ? next : 1,
                              memory_order_release);
    } else if (d->state == AGE_WAIT) {
        bool urgent = atomic_load(&d->refused) != d->refused_before;
        if (now_ms - d->since_ms >= (urgent ? URGENT_MS : GENERATION_MS)) {
            d->state = AGE_SCAN;
            d->at = 0;
        }
    }
    if (d->state == AGE_SCAN) {
        scan(d, budget);
    }
    bool more = d->state == AGE_SCAN;
    pthread_mutex_unlock(&d->mutex);
    return more;
}

uint32_t
dict_count(const struct dict *d)
{
    return atomic_load(&d->n);
}

uint64_t
dict_refused(const struct dict *d)
{
    return atomic_load(&d->refused);
}

uint64_t
dict_forgotten(const struct dict *d)
{
    return atomic_load(&d->forgotten);
}
