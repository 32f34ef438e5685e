#include <config.h>

#include "lib/dict.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* An entry never moves and never changes, so that readers need no lock.  The
 * table is open addressing over atomic pointers, sized for the limit at once:
 * it is never rehashed. */
struct entry {
    uint64_t hash;
    size_t len;
    uint32_t id;
    char text[];
};

struct dict {
    pthread_mutex_t mutex;              /* Of writers. */
    struct entry *_Atomic *slots;       /* By hash. */
    struct entry *_Atomic *by_id;
    uint32_t n_slots;                   /* A power of 2. */
    uint32_t max_entries;
    size_t bytes, max_bytes;
    _Atomic uint32_t n;
    _Atomic uint64_t refused;
    uint32_t overflow_id;
};

static uint64_t
hash_bytes(const char *p, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);          /* FNV-1a. */
    for (size_t i = 0; i < len; i++) {
        h = (h ^ (uint8_t) p[i]) * UINT64_C(0x100000001b3);
    }
    return h ^ h >> 32;
}

/* The entry, or NULL with the free slot in '*slot'. */
static struct entry *
find(const struct dict *d, const char *text, size_t len, uint64_t hash,
     uint32_t *slot)
{
    uint32_t mask = d->n_slots - 1;
    for (uint32_t i = (uint32_t) hash & mask;; i = (i + 1) & mask) {
        struct entry *e = atomic_load_explicit(&d->slots[i],
                                               memory_order_acquire);
        if (!e) {
            *slot = i;
            return NULL;
        }
        if (e->hash == hash && e->len == len && !memcmp(e->text, text, len)) {
            return e;
        }
    }
}

/* Adds an entry; the caller holds the mutex.  NULL beyond a limit. */
static struct entry *
add(struct dict *d, const char *text, size_t len, uint64_t hash,
    uint32_t slot)
{
    uint32_t n = atomic_load(&d->n);
    if (n >= d->max_entries || len > d->max_bytes - d->bytes) {
        return NULL;
    }
    struct entry *e = malloc(sizeof *e + len + 1);
    if (!e) {
        return NULL;
    }
    e->hash = hash;
    e->len = len;
    e->id = n;
    memcpy(e->text, text, len);
    e->text[len] = '\0';
    d->bytes += len;
    atomic_store_explicit(&d->by_id[n], e, memory_order_release);
    atomic_store_explicit(&d->n, n + 1, memory_order_release);
    atomic_store_explicit(&d->slots[slot], e, memory_order_release);
    return e;
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
    d->n_slots = 4;
    while (d->n_slots < max_entries * 2) {
        d->n_slots *= 2;
    }
    d->max_entries = max_entries;
    d->max_bytes = max_bytes + strlen(DICT_OVERFLOW);
    pthread_mutex_init(&d->mutex, NULL);
    d->slots = calloc(d->n_slots, sizeof *d->slots);
    d->by_id = calloc(max_entries, sizeof *d->by_id);
    if (!d->slots || !d->by_id) {
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
    for (uint32_t i = 0; d->by_id && i < d->n; i++) {
        free(d->by_id[i]);
    }
    free(d->slots);
    free(d->by_id);
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

uint32_t
dict_intern(struct dict *d, const char *text, size_t len)
{
    uint64_t hash = hash_bytes(text, len);
    uint32_t slot;
    struct entry *e = find(d, text, len, hash, &slot);
    if (!e) {
        pthread_mutex_lock(&d->mutex);
        e = find(d, text, len, hash, &slot);
        if (!e) {
            e = add(d, text, len, hash, slot);
        }
        pthread_mutex_unlock(&d->mutex);
    }
    if (!e) {
        atomic_fetch_add(&d->refused, 1);
        return d->overflow_id;
    }
    return e->id;
}

const char *
dict_text(const struct dict *d, uint32_t id)
{
    if (id >= atomic_load_explicit(&d->n, memory_order_acquire)) {
        return "";
    }
    struct entry *e = atomic_load_explicit(&d->by_id[id],
                                           memory_order_acquire);
    return e->text;
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
