/* collector/identity/identity.c -- endpoints as their sources tell them. */
#include <config.h>

#include "collector/identity/identity_p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/seed.h"

const struct counter_def identity_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct identity_counters, NAME), DOC },
    IDENTITY_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

#define DEFAULT_RANK 100
#define MIN_BUCKETS 256
#define MAX_PEERS 16            /* Sources that tell of one port. */

const char *
identity_key_name(enum identity_key_kind kind)
{
    static const char *const names[] = {
#define X(ID, NAME, DOC) NAME,
        IDENTITY_KEYS(X)
#undef X
    };
    return names[kind];
}

/* ---- Keys. ---- */

static struct addr
addr_of_numbers(uint64_t high, uint64_t low)
{
    struct addr a;
    memcpy(a.b, &high, 8);
    memcpy(a.b + 8, &low, 8);
    return a;
}

struct identity_key
identity_key_address(const struct addr *a)
{
    return (struct identity_key) { *a, IDENTITY_KEY_ADDRESS, 128 };
}

struct identity_key
identity_key_prefix(const struct prefix *p)
{
    if (p->len == 128) {
        return identity_key_address(&p->addr);
    }
    return (struct identity_key) { p->addr, IDENTITY_KEY_PREFIX, p->len };
}

struct identity_key
identity_key_mac(uint64_t mac)
{
    return (struct identity_key) { addr_of_numbers(0, mac), IDENTITY_KEY_MAC,
                                   128 };
}

struct identity_key
identity_key_vni(uint64_t vni)
{
    return (struct identity_key) { addr_of_numbers(0, vni), IDENTITY_KEY_VNI,
                                   128 };
}

struct identity_key
identity_key_port(uint32_t bridge, uint32_t name)
{
    return (struct identity_key) { addr_of_numbers(bridge, name),
                                   IDENTITY_KEY_PORT, 128 };
}

static bool
key_is(const struct identity_key *k, const struct binding *b)
{
    return addr_equal(&k->addr, &b->addr) && k->kind == b->kind
           && k->len == b->len;
}

/* ---- The table. ---- */

struct identity *
identity_create(struct dict *dict, const struct identity_limits *limits)
{
    struct identity *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    t->dict = dict;
    t->limits = *limits;
    if (!t->limits.bindings || t->limits.bindings > MAX_BINDINGS) {
        t->limits.bindings = MAX_BINDINGS;
    }
    if (!t->limits.endpoints) {
        t->limits.endpoints = MAX_BINDINGS;
    }
    if (!t->limits.sources || t->limits.sources > MAX_SOURCES) {
        t->limits.sources = MAX_SOURCES;
    }
    t->seed = seed_make();
    t->entity_mask = t->group_mask = t->peer_mask = MIN_BUCKETS - 1;
    t->entities = calloc(MIN_BUCKETS, sizeof *t->entities);
    t->peers = calloc(MIN_BUCKETS, sizeof *t->peers);
    t->groups = calloc(MIN_BUCKETS, sizeof *t->groups);
    t->sources = calloc(t->limits.sources, sizeof *t->sources);
    if (!t->limits.names || t->limits.names > MAX_NAMES) {
        t->limits.names = MAX_NAMES;
    }
    t->scopes = numbering_create(t->limits.names);
    t->tenants = numbering_create(t->limits.names);
    if (bindings_init(t) || !t->entities || !t->peers || !t->groups
        || !t->sources || !t->scopes || !t->tenants) {
        identity_destroy(t);
        return NULL;
    }
    return t;
}

void
identity_destroy(struct identity *t)
{
    if (!t) {
        return;
    }
    bindings_destroy(t);
    faces_destroy(t);
    for (uint32_t i = 0; i < t->n_sources; i++) {
        free(t->sources[i].name);
    }
    for (size_t i = 0; i < t->n_gaps; i++) {
        free(t->gaps[i].source);
    }
    free(t->gaps);
    free(t->sources);
    free(t->entities);
    free(t->peers);
    block_pool_destroy(&t->pool);
    free(t);
}

/* The number of a source, or -1; one that is not there is made. */
static int
source_get(struct identity *t, const char *name, bool make)
{
    for (uint32_t i = 0; i < t->n_sources; i++) {
        if (!strcmp(t->sources[i].name, name)) {
            return (int) i;
        }
    }
    if (!make || t->n_sources == t->limits.sources) {
        return -1;
    }
    struct source_row *s = &t->sources[t->n_sources];
    *s = (struct source_row) { .name = strdup(name), .rank = DEFAULT_RANK };
    return s->name ? (int) t->n_sources++ : -1;
}

int
identity_rank(struct identity *t, const char *source, uint8_t rank)
{
    int i = source_get(t, source, true);
    if (i < 0) {
        return -ENOSPC;
    }
    t->sources[i].rank = rank;
    return 0;
}

uint8_t
identity_rank_of(const struct identity *t, const char *source)
{
    int i = source_get((struct identity *) t, source, false);
    return i < 0 ? DEFAULT_RANK : t->sources[i].rank;
}

void
identity_each_source(const struct identity *t,
                     void (*each)(void *aux, const struct identity_source *),
                     void *aux)
{
    for (uint32_t i = 0; i < t->n_sources; i++) {
        const struct source_row *s = &t->sources[i];
        each(aux, &(struct identity_source) { s->name, s->rank, s->endpoints,
                                              s->generation });
    }
}

uint64_t
identity_generation_of(const struct identity *t, const char *source)
{
    int i = source_get((struct identity *) t, source, false);
    return i < 0 ? 0 : t->sources[i].generation;
}

/* ---- Entities. ---- */

static uint32_t
entity_hash(const struct identity *t, uint32_t source, const char *id)
{
    return (uint32_t) mix64(hash_text(t->seed, id) + source);
}

static const char *
source_name_of(const struct identity *t, const struct identity_face *f)
{
    return t->sources[f->source].name;
}

/* 'block' is not 0. */
static struct entity *
entity_at(const struct identity *t, uint32_t block)
{
    return block_at(&t->pool, block);
}

static const struct identity_face *
declared_of(const struct identity *t, const struct entity *e)
{
    return face_at(t, e->declared);
}

/* The block of an entity, 0: there is none. */
static uint32_t
entity_find(const struct identity *t, uint32_t source, const char *id)
{
    uint32_t hash = entity_hash(t, source, id);
    uint32_t at = t->entities[hash & t->entity_mask];
    while (at) {
        const struct entity *e = entity_at(t, at);
        const struct identity_face *f = declared_of(t, e);
        if (e->hash == hash && f->source == source
            && !strcmp(identity_id(f), id)) {
            break;
        }
        at = e->next;
    }
    return at;
}

static bool
entities_grow(struct identity *t)
{
    uint32_t mask = t->entity_mask * 2 + 1;
    uint32_t *entities = calloc((size_t) mask + 1, sizeof *entities);
    if (!entities) {
        return false;
    }
    for (uint32_t i = 0; i <= t->entity_mask; i++) {
        uint32_t next = t->entities[(i + GROW_AHEAD) & t->entity_mask];
        if (next) {
            __builtin_prefetch(entity_at(t, next), 1);
        }
        for (uint32_t at = t->entities[i]; at; at = next) {
            struct entity *e = entity_at(t, at);
            next = e->next;
            e->next = entities[e->hash & mask];
            entities[e->hash & mask] = at;
        }
    }
    free(t->entities);
    t->bytes += ((size_t) mask - t->entity_mask) * sizeof *entities;
    t->entities = entities;
    t->entity_mask = mask;
    return true;
}

static uint32_t
interface_hash(const struct identity *t, const char *interface)
{
    return (uint32_t) hash_text(t->seed, interface);
}

/* Without memory chains are longer. */
static void
peers_grow(struct identity *t)
{
    uint32_t mask = t->peer_mask * 2 + 1;
    uint32_t *peers = calloc((size_t) mask + 1, sizeof *peers);
    if (!peers) {
        return;
    }
    for (uint32_t i = 0; i <= t->peer_mask; i++) {
        uint32_t next;
        for (uint32_t at = t->peers[i]; at; at = next) {
            struct entity *e = entity_at(t, at);
            uint32_t hash = interface_hash(t, identity_interface(
                                                  declared_of(t, e)));
            next = e->next_peer;
            e->next_peer = peers[hash & mask];
            peers[hash & mask] = at;
        }
    }
    free(t->peers);
    t->bytes += ((size_t) mask - t->peer_mask) * sizeof *peers;
    t->peers = peers;
    t->peer_mask = mask;
}

static void
peer_link(struct identity *t, uint32_t at)
{
    struct entity *e = entity_at(t, at);
    const char *interface = identity_interface(declared_of(t, e));
    if (*interface) {
        if (t->n_peers > t->peer_mask) {
            peers_grow(t);
        }
        uint32_t *p = &t->peers[interface_hash(t, interface) & t->peer_mask];
        e->next_peer = *p;
        *p = at;
        t->n_peers++;
    }
}

static void
peer_unlink(struct identity *t, uint32_t at)
{
    const struct entity *e = entity_at(t, at);
    const char *interface = identity_interface(declared_of(t, e));
    if (*interface) {
        uint32_t *p = &t->peers[interface_hash(t, interface) & t->peer_mask];
        while (*p != at) {
            p = &entity_at(t, *p)->next_peer;
        }
        *p = e->next_peer;
        t->n_peers--;
    }
}

/* The entities that tell of the same interface, the most trusted first; with
 * 'e' itself if it is linked. */
static size_t
peers_of(const struct identity *t, const char *interface,
         struct entity *list[MAX_PEERS])
{
    size_t n = 0;
    if (!*interface) {
        return 0;
    }
    struct entity *e;
    uint32_t at = t->peers[interface_hash(t, interface) & t->peer_mask];
    for (; at && n < MAX_PEERS; at = e->next_peer) {
        e = entity_at(t, at);
        const struct identity_face *f = declared_of(t, e);
        if (!strcmp(identity_interface(f), interface)) {
            uint8_t rank = t->sources[f->source].rank;
            size_t i = n++;
            while (i && t->sources[declared_of(t, list[i - 1])->source].rank
                        > rank) {
                list[i] = list[i - 1];
                i--;
            }
            list[i] = e;
        }
    }
    return n;
}

void
identity_each_peer(const struct identity *t, const char *interface,
                   void (*each)(void *aux, const char *source,
                                const struct identity_face *declared),
                   void *aux)
{
    struct entity *list[MAX_PEERS];
    size_t n = peers_of((struct identity *) t, interface, list);
    for (size_t i = 0; i < n; i++) {
        const struct identity_face *f = declared_of(t, list[i]);
        each(aux, source_name_of(t, f), f);
    }
}

/* What 'e' is together with what others say of its interface. */
static uint32_t
effective_face(struct identity *t, const struct entity *e)
{
    struct entity *list[MAX_PEERS];
    const struct identity_face *faces[MAX_PEERS];
    const struct identity_face *own = declared_of(t, e);
    size_t n = peers_of(t, identity_interface(own), list);
    if (n < 2) {
        return face_ref(t, e->declared);
    }
    for (size_t i = 0; i < n; i++) {
        faces[i] = declared_of(t, list[i]);
    }
    return face_merge(t, own, faces, n);
}

/* ---- Bindings of an entity. ---- */

static void
count_conflict(struct identity *t, uint32_t index)
{
    const struct binding *b = binding_at(t, index);
    uint32_t older = older_of(t, b);
    const struct binding *o = older ? binding_at(t, older) : NULL;
    if (o && o->to > b->from && strcmp(identity_id(face_at(t, o->face)),
                                       identity_id(face_at(t, b->face)))) {
        counter_inc(&t->n.conflicts);
    }
}

static int
open_key(struct identity *t, struct entity *e, const struct identity_key *k,
         int64_t from)
{
    uint32_t index = binding_open(t, k, e->effective, from, e->to);
    if (!index) {
        return -ENOSPC;
    }
    binding_at(t, index)->sibling = e->bindings;
    e->bindings = index;
    count_conflict(t, index);
    return 0;
}

static void
close_all(struct identity *t, struct entity *e, int64_t at)
{
    uint32_t next;
    for (uint32_t i = e->bindings; i; i = next) {
        next = binding_at(t, i)->sibling;
        binding_close(t, i, at);
    }
    e->bindings = 0;
}

/* Closes the keys that are not told any more; the rest gets the end that the
 * entity has now. */
static void
close_missing(struct identity *t, struct entity *e,
              const struct identity_key *keys, size_t n, int64_t at)
{
    uint32_t *p = &e->bindings;
    while (*p) {
        uint32_t index = *p;
        struct binding *b = binding_at(t, index);
        size_t i = 0;
        while (i < n && !key_is(&keys[i], b)) {
            i++;
        }
        if (i < n) {
            atomic_store_explicit(&b->to, e->to, memory_order_relaxed);
            p = &binding_at(t, index)->sibling;
        } else {
            *p = binding_at(t, index)->sibling;
            binding_close(t, index, at);
        }
    }
}

static bool
has_key(const struct identity *t, const struct entity *e,
        const struct identity_key *k)
{
    for (uint32_t i = e->bindings; i; i = binding_at(t, i)->sibling) {
        if (key_is(k, binding_at(t, i))) {
            return true;
        }
    }
    return false;
}

/* Binds the entity's keys, 'keys', from 'from' on to 'face' (taken over). */
static int
rebind(struct identity *t, struct entity *e, uint32_t face,
       const struct identity_key *keys, size_t n, int64_t from)
{
    int error = 0;
    if (e->effective && face_equal(t, face, e->effective)) {
        face_unref(t, face);
        close_missing(t, e, keys, n, from);
    } else {
        close_all(t, e, from);
        face_unref(t, e->effective);
        e->effective = face;
    }
    for (size_t i = 0; i < n && !error; i++) {
        if (!has_key(t, e, &keys[i])) {
            error = open_key(t, e, &keys[i], from);
        }
    }
    return error;
}

static size_t
keys_of(const struct identity *t, const struct entity *e,
        struct identity_key *keys, int64_t *from)
{
    size_t n = 0;
    for (uint32_t i = e->bindings; i && n < IDENTITY_MAX_KEYS;
         i = binding_at(t, i)->sibling) {
        const struct binding *b = binding_at(t, i);
        from[n] = b->from;
        keys[n++] = (struct identity_key) { b->addr, b->kind, b->len };
    }
    return n;
}

/* Others say something else of the interface of 'e', from 'at' on; what began
 * later begins when it did. */
static void
refresh(struct identity *t, struct entity *e, int64_t at)
{
    struct identity_key keys[IDENTITY_MAX_KEYS];
    int64_t from[IDENTITY_MAX_KEYS];
    uint32_t f = effective_face(t, e);
    if (!f || face_equal(t, f, e->effective)) {
        face_unref(t, f);
        return;
    }
    size_t n = keys_of(t, e, keys, from);
    close_all(t, e, at);
    face_unref(t, e->effective);
    e->effective = f;
    for (size_t i = n; i-- > 0;) {
        if (open_key(t, e, &keys[i], from[i] > at ? from[i] : at)) {
            counter_inc(&t->n.refused);
        }
    }
}

static void
refresh_peers(struct identity *t, const char *interface,
              const struct entity *but, int64_t at)
{
    struct entity *list[MAX_PEERS];
    size_t n = peers_of(t, interface, list);
    for (size_t i = 0; i < n; i++) {
        if (list[i] != but) {
            refresh(t, list[i], at);
        }
    }
}

/* ---- Telling. ---- */

static bool
texts_fit(const struct identity_endpoint *e)
{
    const char *own[] = { e->source, e->id, e->interface };
    for (size_t i = 0; i < 3; i++) {
        if (own[i] && strlen(own[i]) > IDENTITY_MAX_TEXT) {
            return false;
        }
    }
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        if (e->text[i] && strlen(e->text[i]) > IDENTITY_MAX_TEXT) {
            return false;
        }
    }
    return *e->source && *e->id && e->n_keys <= IDENTITY_MAX_KEYS;
}

static int
tell_past(struct identity *t, const struct identity_endpoint *e,
          uint16_t source)
{
    uint32_t f = face_make(t, e, source);
    if (!f) {
        return t->names_full ? -ENOSPC : -ENOMEM;
    }
    int error = 0;
    for (size_t i = 0; i < e->n_keys && !error; i++) {
        uint32_t index = binding_open(t, &e->keys[i], f, e->from_us,
                                      e->to_us);
        if (index) {
            binding_close(t, index, e->to_us);
        } else {
            error = -ENOSPC;
        }
    }
    face_unref(t, f);
    return error;
}

/* The block of a new one; 0: no memory, or too many. */
static uint32_t
entity_make(struct identity *t, uint32_t declared)
{
    const struct identity_face *f = face_at(t, declared);
    if (t->n_entities >= t->limits.endpoints
        || (t->n_entities > t->entity_mask && !entities_grow(t))) {
        return 0;
    }
    uint32_t at = block_pool_alloc(&t->pool, sizeof(struct entity));
    if (!at) {
        return 0;
    }
    struct entity *e = entity_at(t, at);
    e->declared = declared;
    e->hash = entity_hash(t, f->source, identity_id(f));
    uint32_t *p = &t->entities[e->hash & t->entity_mask];
    e->next = *p;
    *p = at;
    t->n_entities++;
    t->sources[f->source].endpoints++;
    return at;
}

/* Takes 'declared' as what the entity is said to be. */
static void
redeclare(struct identity *t, uint32_t at, uint32_t declared, int64_t when)
{
    struct entity *e = entity_at(t, at);
    uint32_t old = e->declared;
    const char *interface = identity_interface(face_at(t, old));
    bool moved = strcmp(interface,
                        identity_interface(face_at(t, declared)));
    if (moved) {
        peer_unlink(t, at);
    }
    e->declared = declared;
    if (moved) {
        peer_link(t, at);
        refresh_peers(t, interface, e, when);
    }
    face_unref(t, old);
}

static bool
as_before(const struct identity *t, const struct entity *e,
          uint32_t declared, const struct identity_endpoint *now)
{
    size_t n = 0;
    if (!face_equal(t, e->declared, declared) || e->to != now->to_us) {
        return false;
    }
    for (size_t i = 0; i < now->n_keys; i++) {
        if (!has_key(t, e, &now->keys[i])) {
            return false;
        }
    }
    for (uint32_t i = e->bindings; i; i = binding_at(t, i)->sibling) {
        n++;
    }
    return n == now->n_keys;
}

static int
tell(struct identity *t, const struct identity_endpoint *now, uint16_t source)
{
    uint32_t at = entity_find(t, source, now->id);
    struct entity *e = at ? entity_at(t, at) : NULL;
    uint32_t declared = face_make(t, now, source);
    if (!declared) {
        return t->names_full ? -ENOSPC : -ENOMEM;
    }
    bool earlier = e && now->from_us < e->from;
    if (e && !earlier && as_before(t, e, declared, now)) {
        e->generation = now->generation;
        face_unref(t, declared);
        counter_inc(&t->n.unchanged);
        return 0;
    }
    if (!e) {
        at = entity_make(t, declared);
        if (!at) {
            face_unref(t, declared);
            return -ENOSPC;
        }
        e = entity_at(t, at);
        e->from = now->from_us;
        peer_link(t, at);
    } else {
        redeclare(t, at, declared, now->from_us);
    }
    if (earlier) {              /* It began before we were told. */
        close_all(t, e, now->from_us);
        e->from = now->from_us;
    }
    e->generation = now->generation;
    e->to = now->to_us;
    uint32_t f = effective_face(t, e);
    if (!f) {
        return -ENOMEM;
    }
    int error = rebind(t, e, f, now->keys, now->n_keys, now->from_us);
    refresh_peers(t, identity_interface(declared_of(t, e)), e, now->from_us);
    return error;
}

int
identity_upsert(struct identity *t, const struct identity_endpoint *e,
                int64_t now_us)
{
    if (!texts_fit(e) || e->from_us >= e->to_us) {
        return -EINVAL;
    }
    int source = source_get(t, e->source, true);
    if (source < 0) {
        counter_inc(&t->n.refused);
        return -ENOSPC;
    }
    struct source_row *s = &t->sources[source];
    struct identity_endpoint now = *e;
    if (!t->restoring && !now.generation) {
        now.generation = s->generation;
    } else if (!t->restoring && now.generation < s->generation) {
        counter_inc(&t->n.stale);
        return -ESTALE;
    }
    s->generation = now.generation > s->generation ? now.generation
                                                   : s->generation;
    counter_inc(&t->n.upserts);
    int error = e->to_us <= now_us ? tell_past(t, e, (uint16_t) source)
                                   : tell(t, &now, (uint16_t) source);
    if (error) {
        counter_inc(&t->n.refused);
    }
    return error;
}

static void
entity_end(struct identity *t, uint32_t at, int64_t when)
{
    struct entity *e = entity_at(t, at);
    const struct identity_face *f = declared_of(t, e);
    uint32_t *p = &t->entities[e->hash & t->entity_mask];
    while (*p != at) {
        p = &entity_at(t, *p)->next;
    }
    *p = e->next;
    peer_unlink(t, at);
    close_all(t, e, when);
    refresh_peers(t, identity_interface(f), NULL, when);
    t->n_entities--;
    t->sources[f->source].endpoints--;
    face_unref(t, e->declared);
    face_unref(t, e->effective);
    block_pool_free(&t->pool, at, sizeof *e);
}

bool
identity_delete(struct identity *t, const char *source, const char *id,
                int64_t at_us)
{
    int s = source_get(t, source, false);
    uint32_t e = s < 0 ? 0 : entity_find(t, (uint32_t) s, id);
    if (!e) {
        return false;
    }
    entity_end(t, e, at_us);
    counter_inc(&t->n.deletes);
    return true;
}

void
identity_restoring(struct identity *t, bool on)
{
    t->restoring = on;
}

size_t
identity_sync(struct identity *t, const char *source, uint64_t generation,
              int64_t at_us)
{
    int s = source_get(t, source, true);
    size_t n = 0;
    if (s < 0 || generation < t->sources[s].generation) {
        return 0;
    }
    t->sources[s].generation = generation;
    for (uint32_t i = 0; i <= t->entity_mask; i++) {
        uint32_t next;
        for (uint32_t at = t->entities[i]; at; at = next) {
            const struct entity *e = entity_at(t, at);
            next = e->next;
            if (declared_of(t, e)->source == s
                && e->generation < generation) {
                entity_end(t, at, at_us);
                counter_inc(&t->n.deletes);
                n++;
            }
        }
    }
    return n;
}

static void
end_of_validity(struct identity *t, int64_t now_us)
{
    uint32_t n = (t->entity_mask + 1) / 64;
    for (uint32_t i = 0; i < n; i++) {
        t->sweep = (t->sweep + 1) & t->entity_mask;
        uint32_t next;
        for (uint32_t at = t->entities[t->sweep]; at; at = next) {
            const struct entity *e = entity_at(t, at);
            next = e->next;
            if (e->to <= now_us) {
                entity_end(t, at, e->to);
                counter_inc(&t->n.expired);
            }
        }
    }
}

void
identity_gap(struct identity *t, const char *source, int64_t from_us,
             int64_t to_us)
{
    if (!t->gaps) {
        t->gaps = calloc(MAX_GAPS, sizeof *t->gaps);
    }
    char *name = t->gaps ? strdup(source) : NULL;
    if (!name) {
        return;
    }
    if (t->n_gaps == MAX_GAPS) {
        free(t->gaps[0].source);
        memmove(t->gaps, t->gaps + 1, --t->n_gaps * sizeof *t->gaps);
    }
    t->gaps[t->n_gaps++] = (struct identity_gap) { from_us, to_us, name };
}

const struct identity_gap *
identity_gaps(const struct identity *t, size_t *n)
{
    *n = t->n_gaps;
    return t->gaps;
}

bool
identity_in_gap(const struct identity *t, const char *source, int64_t at_us)
{
    for (size_t i = 0; i < t->n_gaps; i++) {
        const struct identity_gap *g = &t->gaps[i];
        if (g->from_us <= at_us && at_us < g->to_us
            && (!*g->source || !strcmp(g->source, source))) {
            return true;
        }
    }
    return false;
}

static struct identity_interval
interval_of(const struct identity *t, uint32_t index)
{
    const struct binding *b = binding_at(t, index);
    const struct identity_face *f = face_at(t, b->face);
    return (struct identity_interval) {
        .key = { b->addr, b->kind, b->len },
        .face = f,
        .source = source_name_of(t, f),
        .from_us = b->from,
        .to_us = b->to,
    };
}

void
identity_each_closed(const struct identity *t, int64_t before_us,
                     void (*each)(void *, const struct identity_interval *),
                     void *aux)
{
    for (uint32_t i = t->closed_first; i; i = binding_at(t, i)->sibling) {
        if (binding_at(t, i)->to <= before_us) {
            struct identity_interval v = interval_of(t, i);
            each(aux, &v);
        }
    }
}

uint32_t
identity_some_closed(const struct identity *t, uint32_t cursor, size_t max,
                     void (*each)(void *, const struct identity_interval *),
                     void *aux)
{
    uint32_t i = cursor ? binding_at(t, cursor)->sibling : t->closed_first;
    for (; i && max; max--) {
        struct identity_interval v = interval_of(t, i);
        each(aux, &v);
        cursor = i;
        i = binding_at(t, i)->sibling;
    }
    return i ? cursor : 0;
}

int64_t
identity_oldest_end(const struct identity *t)
{
    return t->closed_first ? t->closed_oldest : INT64_MAX;
}

/* In the order of their ends the first that stays is the last to be looked
 * at. */
static size_t
expire_closed(struct identity *t, int64_t before_us, size_t max)
{
    uint32_t *p = &t->closed_first, last = 0;
    int64_t oldest = INT64_MAX;
    bool mixed = false;
    size_t n = 0;

    while (*p && n < max) {
        uint32_t index = *p;
        int64_t to = binding_at(t, index)->to;
        if (to <= before_us) {
            *p = binding_at(t, index)->sibling;
            t->closed_last = t->closed_last == index ? last : t->closed_last;
            t->n_closed--;
            binding_remove(t, index);
            n++;
        } else if (t->closed_mixed) {
            oldest = to < oldest ? to : oldest;
            mixed |= last && binding_at(t, last)->to > to;
            last = index;
            p = &binding_at(t, index)->sibling;
        } else {
            break;
        }
    }
    if (!*p) {
        t->closed_mixed = mixed;
        t->closed_oldest = oldest;
    } else if (!t->closed_mixed) {
        t->closed_oldest = binding_at(t, *p)->to;
    }
    return n;
}

size_t
identity_expire(struct identity *t, int64_t before_us, int64_t now_us,
                size_t max)
{
    size_t n = 0;
    if (now_us > INT64_MIN) {
        end_of_validity(t, now_us);
    }
    if (t->closed_first && t->closed_oldest <= before_us) {
        n = expire_closed(t, before_us, max);
    }
    limbo_flush(t);
    return n;
}

/* ---- Looking. ---- */

static bool
show(const struct identity *t, const struct entity *e,
     bool (*each)(void *aux, const struct identity_row *), void *aux)
{
    struct identity_key keys[IDENTITY_MAX_KEYS];
    int64_t from[IDENTITY_MAX_KEYS];
    size_t n = keys_of(t, e, keys, from);
    return each(aux, &(struct identity_row) {
        .source = source_name_of(t, declared_of(t, e)),
        .declared = declared_of(t, e),
        .effective = face_at(t, e->effective),
        .generation = e->generation,
        .from_us = e->from,
        .to_us = e->to,
        .keys = keys,
        .key_from = from,
        .n_keys = n,
    });
}

bool
identity_get(const struct identity *t, const char *source, const char *id,
             bool (*each)(void *aux, const struct identity_row *), void *aux)
{
    int s = source_get((struct identity *) t, source, false);
    uint32_t at = s < 0 ? 0 : entity_find(t, (uint32_t) s, id);
    if (at) {
        show(t, entity_at(t, at), each, aux);
    }
    return at;
}

static uint64_t
reverse_bits(uint64_t v)
{
    v = (v >> 1 & 0x5555555555555555) | (v & 0x5555555555555555) << 1;
    v = (v >> 2 & 0x3333333333333333) | (v & 0x3333333333333333) << 2;
    v = (v >> 4 & 0x0f0f0f0f0f0f0f0f) | (v & 0x0f0f0f0f0f0f0f0f) << 4;
    return __builtin_bswap64(v);
}

/* The cursor counts with its bits reversed, so that buckets which split
 * between two pages are neither left out nor seen from the beginning. */
uint64_t
identity_each(const struct identity *t, uint64_t cursor,
              bool (*each)(void *aux, const struct identity_row *), void *aux)
{
    bool more = true;
    do {
        const struct entity *e;
        for (uint32_t at = t->entities[cursor & t->entity_mask]; at;
             at = e->next) {
            e = entity_at(t, at);
            more = show(t, e, each, aux) && more;
        }
        cursor = reverse_bits(reverse_bits(cursor | ~(uint64_t)
                                           t->entity_mask) + 1);
    } while (cursor && more);
    return cursor;
}

void
identity_get_status(const struct identity *t, struct identity_status *s)
{
    *s = (struct identity_status) {
        .endpoints = t->n_entities,
        .bindings = t->live,
        .closed = t->n_closed,
        .sources = t->n_sources,
        .bytes = t->bytes + t->pool.bytes,
    };
}

const struct identity_counters *
identity_counters(const struct identity *t)
{
    return &t->n;
}
