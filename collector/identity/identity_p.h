/* collector/identity/identity_p.h -- inside the identity table. */
#ifndef COLLECTOR_IDENTITY_P_H
#define COLLECTOR_IDENTITY_P_H 1

#include <stdatomic.h>

#include "collector/identity/identity.h"
#include "collector/identity/block_pool.h"

/* Members that many endpoints share, kept once. */
struct face_group {
    uint64_t hash;
    uint32_t refs;
    uint32_t scope;             /* Of the network; 0: none was said. */
    uint32_t tenant;            /* Small number of the tenant; 0: none. */
    _Atomic uint32_t name[IDENTITY_N_MEMBERS];  /* Dictionary ids + 1. */
    struct face_group *next;
    uint16_t size;              /* Of 'text'. */
    uint16_t at[IDENTITY_N_MEMBERS];    /* Offset of each in 'text'. */
    char text[];                /* Begins with the empty text. */
};

/* Texts of a face of its own, by number. */
enum { FACE_ID, FACE_INTERFACE, FACE_NAME, FACE_PORT, FACE_HOST,
       FACE_N_TEXTS };

/* What is known of an endpoint during an interval; immutable but for the
 * dictionary's ids. */
struct identity_face {
    struct face_group *group;           /* First what flows ask for. */
    _Atomic uint32_t name, port, host;  /* Dictionary ids + 1. */
    uint32_t mac;               /* Low bits of its first MAC; 0: none. */
    uint32_t refs;
    uint16_t source;
    uint16_t size;              /* Of 'text'. */
    bool by_mac;                /* No address of it is known. */
    uint16_t at[FACE_N_TEXTS];  /* Offset of each in 'text'. */
    char text[];                /* Begins with the empty text. */
};

/* A key that belongs to a face for a while; a cache line, with what a lookup
 * needs to decide. */
struct binding {
    struct addr addr;
    struct identity_face *face;
    _Atomic int64_t from, to;
    uint32_t scope, tenant;     /* Of the face's group. */
    uint32_t mac;               /* Low bits of the endpoint's; 0: none. */
    _Atomic uint32_t older;     /* Of the same key and scope. */
    _Atomic uint32_t next_same; /* Of the same key in any scope: older. */
    uint16_t source;
    uint8_t kind, len;
};

/* What only the writer needs of a binding. */
struct binding_links {
    uint32_t sibling;           /* Of the same entity; of closed ones: the
                                 * next that was closed. */
    uint32_t prev_same;         /* Of the same key in any scope: newer. */
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

/* An endpoint as its source tells it. */
struct entity {
    struct entity *next;        /* In its bucket. */
    struct entity *next_peer;   /* In the bucket of its interface. */
    struct identity_face *declared, *effective;
    uint64_t generation;
    int64_t from, to;
    uint32_t bindings;          /* Open ones, through 'sibling'. */
    uint32_t hash, peer_hash;
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

/* Small numbers for texts, for the life of the table. */
struct numbering;
struct numbering *numbering_create(uint32_t max);
void numbering_destroy(struct numbering *);
uint32_t numbering_get(struct numbering *, const char *);  /* 0: "" or full. */

struct identity {
    struct dict *dict;
    struct identity_limits limits;
    struct identity_counters n;
    uint64_t seed;

    struct binding *_Atomic chunk[N_CHUNKS];
    struct binding_links *links[N_CHUNKS];
    uint32_t n_bindings;        /* Ever made. */
    uint32_t *free;             /* Indices that may be used again. */
    uint32_t n_free, free_size;
    atomic_bool in_use;         /* Something was told, ever. */
    uint32_t live;
    struct slot_table by_key, by_any;   /* In its scope; in any. */
    _Atomic uint64_t lengths[3];        /* Prefix lengths in use. */
    uint32_t n_length[129];
    _Atomic uint32_t n_kind[IDENTITY_N_KEYS];
    _Atomic uint32_t n_by_mac;  /* Bindings of faces without an address. */
    uint32_t closed_first, closed_last, n_closed;
    int64_t closed_oldest;      /* No closed one ended before. */
    bool closed_mixed;          /* They may not be in the order of their
                                 * ends: a change was told that is to come. */
    bool restoring;             /* No generation is too old. */

    struct face_group **groups;
    uint32_t n_groups, group_mask;
    struct numbering *scopes, *tenants;

    struct entity **entities, **peers;
    uint32_t n_entities, entity_mask, sweep;

    struct identity_gap *gaps;
    size_t n_gaps;

    struct source_row *sources;
    uint32_t n_sources;

    /* What readers may still see. */
    struct limbo {
        void *p;
        size_t size;
    } *limbo;
    uint32_t *limbo_bindings;
    uint32_t n_limbo, n_limbo_bindings;

    struct block_pool pool;           /* Of faces, groups and entities. */
    size_t bytes;               /* Of the rest. */
};

/* face.c */
struct identity_face *face_make(struct identity *,
                                const struct identity_endpoint *,
                                uint16_t source);
/* 'own' with what it does not say taken from 'others', best first. */
struct identity_face *face_merge(struct identity *, struct identity_face *own,
                                 struct identity_face *const *others,
                                 size_t n);
bool face_equal(const struct identity_face *, const struct identity_face *);
struct identity_face *face_ref(struct identity_face *);
void face_unref(struct identity *, struct identity_face *);
void faces_destroy(struct identity *);

/* binding.c */
int bindings_init(struct identity *);
void bindings_destroy(struct identity *);
/* Opens one; 0 if there is no memory, or too many. */
uint32_t binding_open(struct identity *, const struct identity_key *,
                      struct identity_face *, int64_t from, int64_t to);
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

static inline struct binding_links *
links_at(const struct identity *t, uint32_t index)
{
    return &t->links[index >> CHUNK_BITS][index & (CHUNK_SIZE - 1)];
}

uint64_t binding_hash(const struct identity *, const struct addr *,
                      uint8_t kind, uint8_t len, uint32_t scope);
/* The newest of a key, 0: none.  For tables of any scope 'scope' is 0. */
uint32_t slots_find(const struct identity *, const struct slot_table *,
                    const struct addr *, uint8_t kind, uint8_t len,
                    uint32_t scope, uint64_t hash);

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
void limbo_add(struct identity *, void *, size_t size);
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
    uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325);
    for (; *s; s++) {
        h = (h ^ (uint8_t) *s) * UINT64_C(0x100000001b3);
    }
    return mix64(h);
}

#endif /* collector/identity/identity_p.h */
