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

static size_t
slots_size(uint32_t n)
{
    return sizeof(struct slots) + sizeof(uint32_t) * n;
}

static void
slots_free(struct slots *s)
{
    if (s) {
        free_large(s, slots_size(s->mask + 1));
    }
}

static struct slots *
slots_make(uint32_t n)
{
    struct slots *s = alloc_large(slots_size(n));
    if (s) {
        s->mask = n - 1;
    }
    return s;
}

static bool
same_key(const struct identity *t, const struct binding *b,
         const struct addr *a, uint8_t kind, uint8_t len, bool scoped,
         uint32_t scope)
{
    return addr_equal(&b->addr, a) && b->kind == kind && b->len == len
           && (!scoped || scope_of(t, b) == scope);
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
            && same_key(t, binding_at(t, *v & SLOT_INDEX), a, kind, len,
                        scoped, scope)) {
            return &s->slot[i];
        }
    }
}

static uint32_t
find(const struct identity *t, const struct slot_table *table,
     const struct addr *a, uint8_t kind, uint8_t len, uint32_t scope,
     uint64_t hash)
{
    uint32_t v;
    struct slots *s = atomic_load_explicit(&table->slots,
                                           memory_order_acquire);
    return find_slot(t, s, table->scoped, a, kind, len, scope, hash, &v)
           ? v & SLOT_INDEX : 0;
}

uint32_t
find_any(const struct identity *t, const struct addr *a, uint8_t kind,
         uint8_t len, uint64_t hash)
{
    return find(t, &t->by_any[any_of_kind(kind)], a, kind, len, 0, hash);
}

uint32_t
find_scoped(const struct identity *t, const struct addr *a, uint8_t kind,
            uint8_t len, uint32_t scope)
{
    return find(t, &t->by_key, a, kind, len, scope,
                binding_hash(t, a, kind, len, scope));
}

static uint64_t
table_hash(const struct identity *t, const struct slot_table *table,
           const struct binding *b)
{
    return binding_hash(t, &b->addr, b->kind, b->len,
                        table->scoped ? scope_of(t, b) : 0);
}

/* The slot of the binding's key, or NULL. */
static _Atomic uint32_t *
slot_of(const struct identity *t, const struct slot_table *table,
        const struct binding *b, uint64_t hash, uint32_t *v)
{
    return find_slot(t, atomic_load(&table->slots), table->scoped, &b->addr,
                     b->kind, b->len, table->scoped ? scope_of(t, b) : 0,
                     hash, v);
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

/* Makes room for two more keys. */
static bool
slots_reserve(struct identity *t, struct slot_table *table)
{
    struct slots *old = atomic_load(&table->slots);
    if (table->used + 2 <= (old->mask + 1) / 2) {
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
        uint32_t index = old->slot[(i + GROW_AHEAD) & old->mask] & SLOT_INDEX;
        if (index && index != SLOT_DEAD) {
            __builtin_prefetch(binding_at(t, index));
        }
        index = old->slot[i] & SLOT_INDEX;
        if (index && index != SLOT_DEAD) {
            put(s, table_hash(t, table, binding_at(t, index)), index);
        }
    }
    atomic_store_explicit(&table->slots, s, memory_order_release);
    t->bytes += sizeof *s->slot * ((size_t) s->mask - old->mask);
    table->used = table->live;
    limbo_flush(t);
    synchronize_rcu();
    slots_free(old);
    return true;
}

int
bindings_init(struct identity *t)
{
    struct slots *s = slots_make(MIN_SLOTS);
    bool made = s;
    atomic_store(&t->by_key.slots, s);
    for (int i = 0; i < N_ANY; i++) {
        s = slots_make(MIN_SLOTS);
        made = made && s;
        atomic_store(&t->by_any[i].slots, s);
    }
    t->by_key.scoped = true;
    t->limbo_bindings = malloc(LIMBO_MAX * sizeof *t->limbo_bindings);
    t->limbo = malloc(LIMBO_MAX * sizeof *t->limbo);
    return made && t->limbo_bindings && t->limbo ? 0 : -1;
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

/* What it holds of the dictionary that flows use. */
static void
names_release(struct identity *t, struct binding *b)
{
    port_names(t, b, dict_release);
    name_release(t, &b->name);
    name_release(t, &b->host);
}

void
bindings_destroy(struct identity *t)
{
    limbo_flush(t);
    for (uint32_t i = 0; i < t->n_chunks * CHUNK_SIZE; i++) {
        struct binding *b = binding_at(t, i);
        if (b->face) {
            names_release(t, b);
        }
    }
    for (uint32_t i = 0; i < t->n_chunks; i++) {
        free_large(atomic_load(&t->chunk[i]),
                   CHUNK_SIZE * sizeof(struct binding));
    }
    slots_free(atomic_load(&t->by_key.slots));
    for (int i = 0; i < N_ANY; i++) {
        slots_free(atomic_load(&t->by_any[i].slots));
    }
    free(t->limbo_bindings);
    free(t->limbo);
}

void
limbo_add(struct identity *t, uint32_t block, size_t size)
{
    if (t->n_limbo == LIMBO_MAX) {
        limbo_flush(t);
    }
    t->limbo[t->n_limbo++] = (struct limbo) { block, (uint32_t) size };
}

void
limbo_flush(struct identity *t)
{
    if (!t->n_limbo && !t->n_limbo_bindings) {
        return;
    }
    synchronize_rcu();
    for (uint32_t i = 0; i < t->n_limbo; i++) {
        block_pool_free(&t->pool, t->limbo[i].block, t->limbo[i].size);
    }
    t->n_limbo = 0;
    while (t->n_limbo_bindings) {
        uint32_t index = t->limbo_bindings[--t->n_limbo_bindings];
        struct binding *b = binding_at(t, index);
        uint32_t *free = &t->room[any_of_kind(b->kind)].free;
        names_release(t, b);    /* No reader asks for them any more. */
        b->face = 0;
        b->sibling = *free;
        *free = index;
    }
}

static uint32_t
binding_alloc(struct identity *t, int any)
{
    uint32_t index = t->room[any].free;
    if (t->live >= t->limits.bindings) {
        return 0;
    }
    if (index) {
        t->room[any].free = binding_at(t, index)->sibling;
        return index;
    }
    if (!t->room[any].left) {
        struct binding *b = t->n_chunks < N_CHUNKS
                            ? alloc_large(CHUNK_SIZE * sizeof *b) : NULL;
        if (!b) {
            return 0;
        }
        atomic_store_explicit(&t->chunk[t->n_chunks], b,
                              memory_order_release);
        t->bytes += CHUNK_SIZE * sizeof *b;
        t->room[any].next = t->n_chunks++ * CHUNK_SIZE;
        t->room[any].left = CHUNK_SIZE - 1;     /* SLOT_DEAD is none. */
        if (!t->room[any].next) {
            t->room[any].next = 1;              /* Nor is 0. */
        }
    }
    t->room[any].left--;
    return t->room[any].next++;
}

/* Puts 'index', which has 'more', among those of its key and scope, the newest
 * first. */
static void
link_older(struct identity *t, uint32_t index)
{
    struct binding *b = binding_at(t, index);
    struct binding_more *m = more_of(t, b), *newer = NULL;
    uint64_t hash = table_hash(t, &t->by_key, b);
    uint32_t v;
    _Atomic uint32_t *slot = slot_of(t, &t->by_key, b, hash, &v);
    if (!slot) {
        t->by_key.used++;
        t->by_key.live++;
        put(atomic_load(&t->by_key.slots), hash, index);
        return;
    }
    uint32_t at = v & SLOT_INDEX;
    while (at && binding_at(t, at)->from > b->from) {
        newer = more_of(t, binding_at(t, at));
        m->newer = at;
        at = newer->older;
    }
    m->older = at;
    if (at) {
        more_of(t, binding_at(t, at))->newer = index;
    }
    if (newer) {
        atomic_store_explicit(&newer->older, index, memory_order_release);
    } else {
        atomic_store_explicit(slot, slot_tag(hash) | index,
                              memory_order_release);
    }
}

/* Gives one that was the only one of its key what it takes to be one of
 * several. */
static bool
give_more(struct identity *t, uint32_t index)
{
    struct binding *b = binding_at(t, index);
    if (!b->more) {
        uint32_t more = block_pool_alloc(&t->pool,
                                         sizeof(struct binding_more));
        if (!more) {
            return false;
        }
        uint64_t hash = table_hash(t, &t->by_key, b);
        t->by_key.used++;
        t->by_key.live++;
        put(atomic_load(&t->by_key.slots), hash, index);
        atomic_store_explicit(&b->more, more, memory_order_release);
    }
    return true;
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

static void
fill(struct identity *t, struct binding *b, const struct identity_key *key,
     uint32_t face, int64_t from, int64_t to)
{
    const struct identity_face *f = face_at(t, face);
    memset(b, 0, sizeof *b);
    b->addr = key->addr;
    b->kind = key->kind;
    b->len = key->len;
    b->face = face_ref(t, face);
    b->group = f->group->self;
    b->source = (uint16_t) (f->source & 0x7fff);
    b->by_mac = f->by_mac;
    b->mac = f->mac;
    b->from = from;
    b->to = to;
}

uint32_t
binding_open(struct identity *t, const struct identity_key *key,
             uint32_t face, int64_t from, int64_t to)
{
    uint64_t hash = binding_hash(t, &key->addr, key->kind, key->len, 0);
    uint32_t v = 0, first = 0, index, more = 0;
    int any = any_of_kind(key->kind);
    if (!slots_reserve(t, &t->by_key) || !slots_reserve(t, &t->by_any[any])) {
        return 0;
    }
    struct slots *s = atomic_load(&t->by_any[any].slots);
    _Atomic uint32_t *slot = find_slot(t, s, false, &key->addr, key->kind,
                                       key->len, 0, hash, &v);
    if (slot) {
        first = v & SLOT_INDEX;
        if (!give_more(t, first)
            || !(more = block_pool_alloc(&t->pool,
                                         sizeof(struct binding_more)))) {
            return 0;
        }
    }
    if (!(index = binding_alloc(t, any))) {
        block_pool_free(&t->pool, more, sizeof(struct binding_more));
        return 0;
    }
    struct binding *b = binding_at(t, index);
    fill(t, b, key, face, from, to);
    b->more = more;
    t->live++;
    t->n_kind[b->kind]++;
    t->n_by_mac += b->by_mac;
    atomic_store_explicit(&t->in_use, true, memory_order_relaxed);
    count_length(t, b, 1);
    port_names(t, b, dict_hold);
    if (slot) {
        link_older(t, index);
        more_of(t, b)->next_same = first;
        more_of(t, binding_at(t, first))->prev_same = index;
        atomic_store_explicit(slot, slot_tag(hash) | index,
                              memory_order_release);
    } else {
        t->by_any[any].used++;
        t->by_any[any].live++;
        put(s, hash, index);
    }
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
    b->sibling = 0;
    t->closed_oldest = !t->closed_first || b->to < t->closed_oldest
                       ? b->to : t->closed_oldest;
    if (t->closed_last) {
        t->closed_mixed |= binding_at(t, t->closed_last)->to > b->to;
        binding_at(t, t->closed_last)->sibling = index;
    } else {
        t->closed_first = index;
    }
    t->closed_last = index;
    t->n_closed++;
}

/* Takes the first of its key out of a table; 'next' follows it, 0: nobody. */
static void
replace_first(struct identity *t, struct slot_table *table,
              const struct binding *b, uint32_t next)
{
    uint64_t hash = table_hash(t, table, b);
    uint32_t v;
    atomic_store_explicit(slot_of(t, table, b, hash, &v),
                          slot_tag(hash) | (next ? next : SLOT_DEAD),
                          memory_order_release);
    table->live -= !next;
}

static void
unlink_more(struct identity *t, struct binding *b, struct binding_more *m)
{
    if (m->newer) {
        atomic_store_explicit(&more_of(t, binding_at(t, m->newer))->older,
                              m->older, memory_order_release);
    } else {
        replace_first(t, &t->by_key, b, m->older);
    }
    if (m->older) {
        more_of(t, binding_at(t, m->older))->newer = m->newer;
    }
    if (m->prev_same) {
        atomic_store_explicit(
            &more_of(t, binding_at(t, m->prev_same))->next_same,
            m->next_same, memory_order_release);
    } else {
        replace_first(t, &t->by_any[any_of_kind(b->kind)], b, m->next_same);
    }
    if (m->next_same) {
        more_of(t, binding_at(t, m->next_same))->prev_same = m->prev_same;
    }
}

void
binding_remove(struct identity *t, uint32_t index)
{
    struct binding *b = binding_at(t, index);
    struct binding_more *m = more_of(t, b);
    if (m) {
        unlink_more(t, b, m);
    } else {
        replace_first(t, &t->by_any[any_of_kind(b->kind)], b, 0);
    }
    count_length(t, b, -1);
    t->n_kind[b->kind]--;
    t->n_by_mac -= b->by_mac;
    t->live--;
    /* A reader may still look at its face and the others of its key through it:
     * it stays as it is until it is used again, and they go through limbo,
     * too. */
    if (m) {
        limbo_add(t, b->more, sizeof *m);
    }
    face_unref(t, b->face);
    if (t->n_limbo_bindings == LIMBO_MAX) {
        limbo_flush(t);
    }
    t->limbo_bindings[t->n_limbo_bindings++] = index;
}
