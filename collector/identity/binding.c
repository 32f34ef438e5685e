/* collector/identity/binding.c -- keys bound to faces for a while, and the hash
 * tables that find them.
 *
 * Readers follow slot -> newest binding of the key -> older ones.  A binding is
 * complete before it is linked; one that was unlinked is used again only after
 * every reader has gone on (limbo). */
#include <config.h>

#include "collector/identity/identity_p.h"

#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "lib/dict.h"

#define MIN_SLOTS 1024
#define LIMBO_MAX 8192

uint64_t
binding_hash(const struct identity *t, const struct addr *a, uint8_t kind,
             uint8_t len, uint32_t scope)
{
    uint64_t w[2];
    memcpy(w, a->b, sizeof w);
    uint64_t h = (w[0] ^ t->seed) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
    h = (h ^ w[1]) * UINT64_C(0xbf58476d1ce4e5b9);
    h ^= h >> 32;
    h = (h ^ ((uint64_t) scope << 16 | kind << 8 | len))
        * UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 31;
}

static struct slots *
slots_make(uint32_t n)
{
    struct slots *s = alloc_large(sizeof *s + sizeof *s->slot * n);
    if (s) {
        s->mask = n - 1;
    }
    return s;
}

static bool
same_key(const struct binding *b, const struct addr *a, uint8_t kind,
         uint8_t len, bool scoped, uint32_t scope)
{
    return addr_equal(&b->addr, a) && b->kind == kind && b->len == len
           && (!scoped || b->scope == scope);
}

/* The slot of a key, or NULL; its value in '*v'. */
static _Atomic uint32_t *
find_slot(const struct identity *t, struct slots *s, bool scoped,
          const struct addr *a, uint8_t kind, uint8_t len, uint32_t scope,
          uint64_t hash, uint32_t *v)
{
    uint32_t tag = slot_tag(hash);
    for (uint32_t i = (uint32_t) hash & s->mask;; i = (i + 1) & s->mask) {
        *v = atomic_load_explicit(&s->slot[i], memory_order_acquire);
        if (!*v) {
            return NULL;
        }
        if ((*v & ~SLOT_INDEX) == tag && (*v & SLOT_INDEX) != SLOT_DEAD
            && same_key(binding_at(t, *v & SLOT_INDEX), a, kind, len, scoped,
                        scope)) {
            return &s->slot[i];
        }
    }
}

uint32_t
slots_find(const struct identity *t, const struct slot_table *table,
           const struct addr *a, uint8_t kind, uint8_t len, uint32_t scope,
           uint64_t hash)
{
    uint32_t v;
    struct slots *s = atomic_load_explicit(&table->slots,
                                           memory_order_acquire);
    return find_slot(t, s, table->scoped, a, kind, len, scope, hash, &v)
           ? v & SLOT_INDEX : 0;
}

static uint64_t
table_hash(const struct identity *t, const struct slot_table *table,
           const struct binding *b)
{
    return binding_hash(t, &b->addr, b->kind, b->len,
                        table->scoped ? b->scope : 0);
}

static void
put(struct slots *s, uint64_t hash, uint32_t index)
{
    uint32_t i = (uint32_t) hash & s->mask;
    while (atomic_load_explicit(&s->slot[i], memory_order_relaxed)) {
        i = (i + 1) & s->mask;
    }
    atomic_store_explicit(&s->slot[i], slot_tag(hash) | index,
                          memory_order_release);
}

/* Makes room for one more key. */
static bool
slots_reserve(struct identity *t, struct slot_table *table)
{
    struct slots *old = atomic_load(&table->slots);
    if (table->used + 1 <= (old->mask + 1) / 2) {
        return true;
    }
    uint32_t n = old->mask + 1;
    if (table->live * 4 > n) {
        n *= 2;
    }
    struct slots *s = slots_make(n);
    if (!s) {
        return false;
    }
    for (uint32_t i = 0; i <= old->mask; i++) {
        uint32_t index = old->slot[i] & SLOT_INDEX;
        if (index && index != SLOT_DEAD) {
            put(s, table_hash(t, table, binding_at(t, index)), index);
        }
    }
    atomic_store_explicit(&table->slots, s, memory_order_release);
    t->bytes += sizeof *s->slot * ((size_t) s->mask - old->mask);
    table->used = table->live;
    limbo_flush(t);
    synchronize_rcu();
    free(old);
    return true;
}

int
bindings_init(struct identity *t)
{
    struct slots *a = slots_make(MIN_SLOTS), *b = slots_make(MIN_SLOTS);
    atomic_store(&t->by_key.slots, a);
    atomic_store(&t->by_any.slots, b);
    t->by_key.scoped = true;
    t->limbo_bindings = malloc(LIMBO_MAX * sizeof *t->limbo_bindings);
    t->limbo = malloc(LIMBO_MAX * sizeof *t->limbo);
    return a && b && t->limbo_bindings && t->limbo ? 0 : -1;
}

void
bindings_destroy(struct identity *t)
{
    limbo_flush(t);
    for (uint32_t i = 1; i <= t->n_bindings; i++) {
        face_unref(t, binding_at(t, i)->face);
    }
    limbo_flush(t);
    for (uint32_t i = 0; i < N_CHUNKS; i++) {
        free(atomic_load(&t->chunk[i]));
        free(t->links[i]);
    }
    free(atomic_load(&t->by_key.slots));
    free(atomic_load(&t->by_any.slots));
    free(t->limbo_bindings);
    free(t->limbo);
    free(t->free);
}

void
limbo_add(struct identity *t, void *p, size_t size)
{
    if (t->n_limbo == LIMBO_MAX) {
        limbo_flush(t);
    }
    t->limbo[t->n_limbo++] = (struct limbo) { p, size };
}

void
limbo_flush(struct identity *t)
{
    if (!t->limbo || !t->limbo_bindings
        || (!t->n_limbo && !t->n_limbo_bindings)) {
        return;
    }
    synchronize_rcu();
    for (uint32_t i = 0; i < t->n_limbo; i++) {
        block_pool_free(&t->pool, t->limbo[i].p, t->limbo[i].size);
    }
    t->n_limbo = 0;
    if (t->n_free + t->n_limbo_bindings > t->free_size) {
        uint32_t size = t->free_size ? t->free_size * 2 : LIMBO_MAX * 2;
        uint32_t *f = realloc(t->free, size * sizeof *f);
        if (f) {
            t->free = f;
            t->free_size = size;
        }
    }
    while (t->n_limbo_bindings) {
        uint32_t index = t->limbo_bindings[--t->n_limbo_bindings];
        binding_at(t, index)->face = NULL;
        if (t->n_free < t->free_size) {
            t->free[t->n_free++] = index;
        }
    }
}

/* The names of a port, a bridge's and its own, are held as long as it is
 * bound: ports come and go. */
static void
port_names(struct identity *t, const struct binding *b,
           void (*what)(struct dict *, uint32_t))
{
    if (b->kind == IDENTITY_KEY_PORT) {
        uint64_t w[2];
        memcpy(w, b->addr.b, sizeof w);
        what(t->dict, (uint32_t) w[0]);
        what(t->dict, (uint32_t) w[1]);
    }
}

static uint32_t
binding_alloc(struct identity *t)
{
    if (t->live >= t->limits.bindings) {
        return 0;
    }
    if (t->n_free) {
        return t->free[--t->n_free];
    }
    uint32_t index = t->n_bindings + 1, c = index >> CHUNK_BITS;
    if (index > MAX_BINDINGS) {
        return 0;
    }
    if (!atomic_load(&t->chunk[c])) {
        struct binding *b = alloc_large(CHUNK_SIZE * sizeof *b);
        t->links[c] = calloc(CHUNK_SIZE, sizeof **t->links);
        if (!b || !t->links[c]) {
            free(b);
            free(t->links[c]);
            t->links[c] = NULL;
            return 0;
        }
        atomic_store_explicit(&t->chunk[c], b, memory_order_release);
        t->bytes += CHUNK_SIZE * (sizeof *b + sizeof **t->links);
    }
    t->n_bindings++;
    return index;
}

/* Puts 'index' among those of its key and scope, the newest first. */
static void
link_older(struct identity *t, uint32_t index)
{
    struct binding *b = binding_at(t, index);
    uint64_t hash = table_hash(t, &t->by_key, b);
    uint32_t v;
    struct slots *s = atomic_load(&t->by_key.slots);
    _Atomic uint32_t *slot = find_slot(t, s, true, &b->addr, b->kind, b->len,
                                       b->scope, hash, &v);
    if (!slot) {
        t->by_key.used++;
        t->by_key.live++;
        put(s, hash, index);
        return;
    }
    struct binding *newer = NULL;
    uint32_t at = v & SLOT_INDEX;
    while (at && binding_at(t, at)->from > b->from) {
        newer = binding_at(t, at);
        at = newer->older;
    }
    b->older = at;
    if (newer) {
        atomic_store_explicit(&newer->older, index, memory_order_release);
    } else {
        atomic_store_explicit(slot, slot_tag(hash) | index,
                              memory_order_release);
    }
}

/* Puts 'index' first among those of its key in any scope. */
static void
link_same(struct identity *t, uint32_t index)
{
    struct binding *b = binding_at(t, index);
    uint64_t hash = table_hash(t, &t->by_any, b);
    uint32_t v;
    struct slots *s = atomic_load(&t->by_any.slots);
    _Atomic uint32_t *slot = find_slot(t, s, false, &b->addr, b->kind, b->len,
                                       0, hash, &v);
    if (!slot) {
        t->by_any.used++;
        t->by_any.live++;
        put(s, hash, index);
        return;
    }
    b->next_same = v & SLOT_INDEX;
    links_at(t, b->next_same)->prev_same = index;
    atomic_store_explicit(slot, slot_tag(hash) | index, memory_order_release);
}

static void
count_length(struct identity *t, const struct binding *b, int by)
{
    if (b->kind == IDENTITY_KEY_PREFIX) {
        uint64_t bit = UINT64_C(1) << b->len % 64;
        t->n_length[b->len] += (uint32_t) by;
        if (t->n_length[b->len]) {
            t->lengths[b->len / 64] |= bit;
        } else {
            t->lengths[b->len / 64] &= ~bit;
        }
    }
}

uint32_t
binding_open(struct identity *t, const struct identity_key *key,
             struct identity_face *face, int64_t from, int64_t to)
{
    uint32_t index;
    if (!slots_reserve(t, &t->by_key) || !slots_reserve(t, &t->by_any)
        || !(index = binding_alloc(t))) {
        return 0;
    }
    struct binding *b = binding_at(t, index);
    memset(b, 0, sizeof *b);
    *links_at(t, index) = (struct binding_links) { 0, 0 };
    b->addr = key->addr;
    b->kind = key->kind;
    b->len = key->len;
    b->face = face_ref(face);
    b->source = face->source;
    b->scope = key->kind == IDENTITY_KEY_PORT
               || key->kind == IDENTITY_KEY_VNI ? 0 : face->group->scope;
    b->tenant = face->group->tenant;
    b->mac = face->mac;
    b->from = from;
    b->to = to;
    t->live++;
    t->n_kind[b->kind]++;
    t->n_by_mac += face->by_mac;
    atomic_store_explicit(&t->in_use, true, memory_order_relaxed);
    count_length(t, b, 1);
    port_names(t, b, dict_hold);
    link_older(t, index);
    link_same(t, index);
    return index;
}

void
binding_close(struct identity *t, uint32_t index, int64_t at)
{
    struct binding *b = binding_at(t, index);
    if (at <= b->from) {                /* It never was. */
        binding_remove(t, index);
        return;
    }
    if (at < b->to) {
        atomic_store_explicit(&b->to, at, memory_order_release);
    }
    links_at(t, index)->sibling = 0;
    t->closed_oldest = !t->closed_first || b->to < t->closed_oldest
                       ? b->to : t->closed_oldest;
    if (t->closed_last) {
        t->closed_mixed |= binding_at(t, t->closed_last)->to > b->to;
        links_at(t, t->closed_last)->sibling = index;
    } else {
        t->closed_first = index;
    }
    t->closed_last = index;
    t->n_closed++;
}

static void
unlink_older(struct identity *t, uint32_t index)
{
    struct binding *b = binding_at(t, index);
    uint64_t hash = table_hash(t, &t->by_key, b);
    uint32_t v;
    _Atomic uint32_t *slot = find_slot(t, atomic_load(&t->by_key.slots), true,
                                       &b->addr, b->kind, b->len, b->scope,
                                       hash, &v);
    uint32_t at = v & SLOT_INDEX;
    if (at == index) {
        uint32_t next = b->older;
        atomic_store_explicit(slot, slot_tag(hash) | (next ? next : SLOT_DEAD),
                              memory_order_release);
        t->by_key.live -= !next;
        return;
    }
    while (binding_at(t, at)->older != index) {
        at = binding_at(t, at)->older;
    }
    atomic_store_explicit(&binding_at(t, at)->older, b->older,
                          memory_order_release);
}

static void
unlink_same(struct identity *t, uint32_t index)
{
    struct binding *b = binding_at(t, index);
    uint32_t next = b->next_same, prev = links_at(t, index)->prev_same;
    if (next) {
        links_at(t, next)->prev_same = prev;
    }
    if (prev) {
        atomic_store_explicit(&binding_at(t, prev)->next_same, next,
                              memory_order_release);
        return;
    }
    uint64_t hash = table_hash(t, &t->by_any, b);
    uint32_t v;
    _Atomic uint32_t *slot = find_slot(t, atomic_load(&t->by_any.slots),
                                       false, &b->addr, b->kind, b->len, 0,
                                       hash, &v);
    atomic_store_explicit(slot, slot_tag(hash) | (next ? next : SLOT_DEAD),
                          memory_order_release);
    t->by_any.live -= !next;
}

void
binding_remove(struct identity *t, uint32_t index)
{
    struct binding *b = binding_at(t, index);
    unlink_older(t, index);
    unlink_same(t, index);
    count_length(t, b, -1);
    port_names(t, b, dict_release);
    t->n_kind[b->kind]--;
    t->n_by_mac -= b->face->by_mac;
    struct identity_face *f = b->face;
    if (t->n_limbo_bindings == LIMBO_MAX) {
        limbo_flush(t);
    }
    t->limbo_bindings[t->n_limbo_bindings++] = index;
    t->live--;
    /* A reader may still look at the face through it: b->face stays until the
     * binding is used again, and the face goes through limbo, too. */
    face_unref(t, f);
}
