/* collector/identity/identity_p.h -- inside the identity table. */
#ifndef COLLECTOR_IDENTITY_P_H
#define COLLECTOR_IDENTITY_P_H 1

#include <stdatomic.h>

#include "collector/identity/identity.h"
#include "collector/identity/block_pool.h"
#include "lib/fnv.h"

/* Names of a group that flows ask for. */
enum { GROUP_TENANT, GROUP_NETWORK, GROUP_LABELS, GROUP_N_NAMES };

/* Members that many endpoints share, kept once. */
struct face_group {
    uint32_t scope;             /* Of the network; 0: none was said. */
    uint32_t tenant;            /* Small number of the tenant; 0: none. */
    _Atomic uint32_t name[GROUP_N_NAMES];       /* Dictionary ids + 1. */
    uint32_t self, next;        /* Blocks of the pool. */
    uint32_t refs, hash;
    uint16_t size;              /* Of 'text'. */
    char text[];                /* The shared members, one after the other. */
};

/* Texts of a face of its own, in this order. */
enum { FACE_ID, FACE_INTERFACE, FACE_NAME, FACE_PORT, FACE_HOST,
       FACE_N_TEXTS };

/* What is known of an endpoint during an interval; immutable. */
struct identity_face {
    struct face_group *group;
    uint32_t mac;               /* Low bits of its first MAC; 0: none. */
    uint32_t refs;
    uint16_t source;
    uint16_t by_mac : 1;        /* No address of it is known. */
    uint16_t size : 15;         /* Of 'text'. */
    char text[];
};

/* A key that belongs to a face for a while; a cache line, with all that it
 * takes to decide, and to name a flow. */
struct binding {
    struct addr addr;
    _Atomic int64_t from, to;
    uint32_t face, group;       /* Blocks of the pool. */
    _Atomic uint32_t name, host;        /* Dictionary ids + 1. */
    uint32_t mac;               /* Low bits of the endpoint's; 0: none. */
    _Atomic uint32_t more;      /* Block of binding_more; 0: no other binding
                                 * has its key. */
    uint32_t sibling;           /* Of the same entity; of closed ones: the
                                 * next that was closed; of free ones: the
                                 * next that is free.  The writer's. */
    uint8_t kind, len;
    uint16_t by_mac : 1;        /* As its face. */
    uint16_t source : 15;
};
_Static_assert(sizeof(struct binding) == 64, "a cache line");

/* While a table grows the main loop may wait, and nothing of it is near: what is
 * this far ahead is fetched. */
#define GROW_AHEAD 16

/* Others that have the key of a binding; such are in 'by_key', too. */
struct binding_more {
    _Atomic uint32_t older;     /* Of the same key and scope. */
    _Atomic uint32_t next_same; /* Of the same key in any scope: older. */
    uint32_t newer, prev_same;  /* The writer's. */
};

/* Indices of bindings: 1 to MAX_BINDINGS; 0: none. */
#define CHUNK_BITS 15           /* 2 MB: a large page. */
#define CHUNK_SIZE (1u << CHUNK_BITS)
#define N_CHUNKS 512
#define MAX_BINDINGS (N_CHUNKS * CHUNK_SIZE - 2)

/* A hash table of bindings: open addressing, an index in the low 24 bits, 8
 * bits of the hash above them, so that few bindings are looked at in vain. */
struct slots {
    uint32_t mask;
    _Atomic uint32_t slot[];
};
#define SLOT_INDEX UINT32_C(0xffffff)
#define SLOT_DEAD SLOT_INDEX    /* Index of a slot that was given up. */

struct slot_table {
    struct slots *_Atomic slots;
    uint32_t used;              /* With the dead ones. */
    uint32_t live;
    bool scoped;                /* The key's scope counts. */
};

/* Addresses and prefixes lie apart from other keys: what flows ask for most is
 * denser so, in pages and caches. */
#define N_ANY 2

static inline int
any_of_kind(uint8_t kind)
{
    return kind != IDENTITY_KEY_ADDRESS && kind != IDENTITY_KEY_PREFIX;
}

/* An endpoint as its source tells it. */
struct entity {
    uint32_t next;              /* Block of the next in its bucket, */
    uint32_t next_peer;         /* and in the bucket of its interface. */
    uint32_t declared, effective;       /* Blocks of faces. */
    uint32_t bindings;          /* Open ones, through 'sibling'. */
    uint32_t hash;
    uint64_t generation;
    int64_t from, to;
};

struct source_row {
    char *name;
    uint64_t generation;
    uint32_t endpoints;
    _Atomic uint8_t rank;
};

#define MAX_SOURCES 4096
#define MAX_GAPS 1024
#define MAX_NAMES (1u << 20)    /* Networks, and tenants. */

/* Small numbers for texts, as long as somebody holds them. */
struct numbering;
struct numbering *numbering_create(uint32_t max);
void numbering_destroy(struct numbering *);
/* 0: "".  UINT32_MAX: there are 'max' already, or too many octets. */
uint32_t numbering_hold(struct numbering *, const char *);
void numbering_release(struct numbering *, const char *, uint32_t);

struct identity {
    struct dict *dict;
    struct identity_limits limits;
    struct identity_counters n;
    uint64_t seed;

    struct binding *_Atomic chunk[N_CHUNKS];
    uint32_t n_chunks;
    struct {
        uint32_t free;          /* The first that may be used again. */
        uint32_t next, left;    /* Those of its chunk never used. */
    } room[N_ANY];
    atomic_bool in_use;         /* Something was told, ever. */
    uint32_t live;
    struct slot_table by_any[N_ANY];    /* By key, in whichever scope. */
    struct slot_table by_key;           /* And scope, of those with 'more'. */
    _Atomic uint64_t lengths[3];        /* Prefix lengths in use. */
    uint32_t n_length[129];
    _Atomic uint32_t n_kind[IDENTITY_N_KEYS];
    _Atomic uint32_t n_by_mac;  /* Bindings of faces without an address. */
    uint32_t closed_first, closed_last, n_closed;
    int64_t closed_oldest;      /* No closed one ended before. */
    bool closed_mixed;          /* They may not be in the order of their
                                 * ends: a change was told that is to come. */
    bool restoring;             /* No generation is too old. */

    uint32_t *groups;           /* Blocks, by hash. */
    uint32_t n_groups, group_mask;
    struct numbering *scopes, *tenants;
    bool names_full;            /* The last face failed for want of a number. */

    uint32_t *entities, *peers; /* Blocks, by hash. */
    uint32_t n_entities, entity_mask, sweep;
    uint32_t n_peers, peer_mask;

    struct identity_gap *gaps;
    size_t n_gaps;

    struct source_row *sources;
    uint32_t n_sources;

    /* What readers may still see. */
    struct limbo {
        uint32_t block, size;
    } *limbo;
    uint32_t *limbo_bindings;
    uint32_t n_limbo, n_limbo_bindings;

    struct block_pool pool;           /* Of faces, groups and entities. */
    size_t bytes;               /* Of the rest. */
};

static inline struct identity_face *
face_at(const struct identity *t, uint32_t block)
{
    return block ? block_at(&t->pool, block) : NULL;
}

static inline struct face_group *
group_at(const struct identity *t, uint32_t block)
{
    return block_at(&t->pool, block);
}

/* face.c: faces are blocks of the pool; 0: out of memory, or none. */
uint32_t face_make(struct identity *, const struct identity_endpoint *,
                   uint16_t source);
/* 'own' with what it does not say taken from 'others', best first. */
uint32_t face_merge(struct identity *, const struct identity_face *own,
                    const struct identity_face *const *others, size_t n);
bool face_equal(const struct identity *, uint32_t a, uint32_t b);
uint32_t face_ref(struct identity *, uint32_t);
void face_unref(struct identity *, uint32_t);
void faces_destroy(struct identity *);

/* The dictionary's id of a name that flows ask for; 0: it was not said. */
uint32_t name_first_asked(const struct identity *, const struct binding *,
                          enum identity_member, _Atomic uint32_t *id);

void name_release(struct identity *, _Atomic uint32_t *id);

static inline uint32_t
name_of(const struct identity *t, const struct binding *b,
        enum identity_member m, _Atomic uint32_t *id)
{
    uint32_t v = atomic_load_explicit(id, memory_order_relaxed);
    return v ? v - 1 : name_first_asked(t, b, m, id);
}

/* binding.c */
int bindings_init(struct identity *);
void bindings_destroy(struct identity *);
/* Opens one; 0 if there is no memory, or too many. */
uint32_t binding_open(struct identity *, const struct identity_key *,
                      uint32_t face, int64_t from, int64_t to);
/* Puts a closed one where identity_expire() finds it. */
void binding_close(struct identity *, uint32_t, int64_t at);
void binding_remove(struct identity *, uint32_t);

static inline struct binding *
binding_at(const struct identity *t, uint32_t index)
{
    struct binding *c = atomic_load_explicit(&t->chunk[index >> CHUNK_BITS],
                                             memory_order_acquire);
    return &c[index & (CHUNK_SIZE - 1)];
}

/* NULL: no other has its key. */
static inline struct binding_more *
more_of(const struct identity *t, const struct binding *b)
{
    uint32_t block = atomic_load_explicit(&b->more, memory_order_acquire);
    return block ? block_at(&t->pool, block) : NULL;
}

static inline uint32_t
older_of(const struct identity *t, const struct binding *b)
{
    const struct binding_more *m = more_of(t, b);
    return m ? atomic_load_explicit(&m->older, memory_order_acquire) : 0;
}

static inline uint32_t
next_same_of(const struct identity *t, const struct binding *b)
{
    const struct binding_more *m = more_of(t, b);
    return m ? atomic_load_explicit(&m->next_same, memory_order_acquire) : 0;
}

static inline uint32_t
scope_of(const struct identity *t, const struct binding *b)
{
    return b->kind == IDENTITY_KEY_PORT || b->kind == IDENTITY_KEY_VNI
           ? 0 : group_at(t, b->group)->scope;
}

/* resolve.c: as identity_resolve(), of which bindings it follows. */
void resolve_ends(const struct identity *, const struct identity_end end[2],
                  int64_t at_us, int64_t alt_us,
                  const struct binding *found[2]);
/* Without looking at ports and MAC addresses, which is the usual case.  'b' are
 * the newest bindings of the ends' addresses; NULL: none.  'hints': something
 * else than addresses is known.  'found' only if it returns true. */
bool resolve_quick(const struct identity *, const struct binding *const b[2],
                   const struct addr *const addr[2], const uint64_t mac[2],
                   bool hints, int64_t at_us, const struct binding *found[2]);

uint64_t binding_hash(const struct identity *, const struct addr *,
                      uint8_t kind, uint8_t len, uint32_t scope);
/* The newest of a key, in whichever scope; 0: none.  'hash' is binding_hash() of
 * scope 0. */
uint32_t find_any(const struct identity *, const struct addr *, uint8_t kind,
                  uint8_t len, uint64_t hash);
/* In a scope, of those that have 'more'. */
uint32_t find_scoped(const struct identity *, const struct addr *,
                     uint8_t kind, uint8_t len, uint32_t scope);

static inline uint32_t
slot_tag(uint64_t hash)
{
    return (uint32_t) (hash >> 32) & ~SLOT_INDEX;
}

/* The binding that 'hash' leads to most likely, 0: none; for prefetching. */
static inline uint32_t
slots_guess(const struct slots *s, uint64_t hash)
{
    for (uint32_t i = (uint32_t) hash & s->mask;; i = (i + 1) & s->mask) {
        uint32_t v = atomic_load_explicit(&s->slot[i], memory_order_acquire);
        if (!v || ((v & ~SLOT_INDEX) == slot_tag(hash)
                   && (v & SLOT_INDEX) != SLOT_DEAD)) {
            return v & SLOT_INDEX;
        }
    }
}

/* Gives a block back to the pool when no reader can see it any more. */
void limbo_add(struct identity *, uint32_t block, size_t size);
void limbo_flush(struct identity *);

static inline uint64_t
mix64(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

static inline uint64_t
hash_text(uint64_t seed, const char *s)
{
    return mix64(fnv_text(seed ^ FNV_START, s));
}

#endif /* collector/identity/identity_p.h */
