#include <config.h>

#include "bgp/lpm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Keys are read as if five zero bits stood before them: then the lengths at
 * which nodes end are 0, 6, 12, 18, 24 and so on, of which 24 (IPv4) and 48
 * (IPv6) are by far the most common ones.  Node 'k' of a path begins at bit
 * 6 * k - 5 and has prefixes of that many bits and up to 5 more. */
#define STRIDE 6
#define SHIFT 5
#define MAX_LEVELS 23           /* Of (128 + 5) / 6, and one. */
#define JUMP_LEVEL 4
#define JUMP_BITS (JUMP_LEVEL * STRIDE - SHIFT)         /* 19 */
#define JUMP_SIZE ((size_t) 1 << JUMP_BITS)

/* Prefixes of 'l' bits 'b' below the node are bit (1 << l) + b of 'inside',
 * l < 6; the way on for six bits 'b' is bit b of 'ways'.  Words: first of the
 * prefixes, then of the ways, in the order of their bits. */
struct node {
    uint64_t inside, ways;
    uint32_t words[];
};

/* The bits of 'inside' that a key with these six bits matches. */
static uint64_t path_mask[64];
/* All prefixes that are inside of bit i's, itself too. */
static uint64_t below_mask[64];

__attribute__((constructor)) static void
init_masks(void)
{
    for (unsigned chunk = 0; chunk < 64; chunk++) {
        for (unsigned l = 0; l < STRIDE; l++) {
            unsigned bit = (1u << l) + (chunk >> (STRIDE - l));
            path_mask[chunk] |= UINT64_C(1) << bit;
        }
    }
    for (unsigned i = 63; i > 0; i--) {
        below_mask[i] |= UINT64_C(1) << i;
        if (i > 1) {
            below_mask[i / 2] |= below_mask[i];
        }
    }
}

/* What a lookup calls is inlined into functions for different processors. */
#define INLINE static inline __attribute__((always_inline))

INLINE unsigned
popcount(uint64_t x)
{
    return (unsigned) __builtin_popcountll(x);
}

INLINE uint64_t
bits_before(unsigned bit)
{
    return (UINT64_C(1) << bit) - 1;
}

/* The six bits of node 'k'. */
INLINE unsigned
chunk_of(const struct lpm_key *key, unsigned k)
{
    int at = (int) k * STRIDE - SHIFT;
    if (at < 0) {
        return (unsigned) (key->hi >> 63);
    } else if (at <= 58) {
        return key->hi >> (58 - at) & 63;
    } else if (at < 64) {
        return (key->hi << (at - 58) | key->lo >> (122 - at)) & 63;
    } else if (at <= 122) {
        return key->lo >> (122 - at) & 63;
    }
    return key->lo << (at - 122) & 63;
}

static inline unsigned
level_of(unsigned len)
{
    return (len + SHIFT) / STRIDE;
}

/* The bit of a prefix in 'inside' of the node at its level. */
static inline unsigned
inside_bit(const struct lpm_key *key, unsigned len)
{
    unsigned l = (len + SHIFT) % STRIDE;
    return (1u << l) + (chunk_of(key, level_of(len)) >> (STRIDE - l));
}

INLINE uint32_t
load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void
store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

INLINE struct node *
node_at(const struct lpm *t, uint32_t block)
{
    return arena_at(t->arena, block);
}

INLINE struct node *
node_in(uint8_t *base, uint32_t block)
{
    return (struct node *) (void *) (base + (size_t) block * ARENA_UNIT);
}

INLINE uint32_t *
prefix_word(struct node *n, unsigned bit)
{
    return &n->words[popcount(n->inside & bits_before(bit))];
}

INLINE uint32_t *
way_word(struct node *n, unsigned chunk)
{
    return &n->words[popcount(n->inside)
                     + popcount(n->ways & bits_before(chunk))];
}

/* Small nodes do not reach over the end of a line of the cache. */
static size_t
node_size(uint64_t inside, uint64_t ways)
{
    size_t size = sizeof(struct node)
                  + (popcount(inside) + popcount(ways)) * sizeof(uint32_t);
    return size <= 32 ? 32 : size <= 64 ? 64 : (size + 31) / 32 * 32;
}

int
lpm_init(struct lpm *t, struct arena *a, bool fast)
{
    *t = (struct lpm) { .arena = a };
    if (fast) {
        size_t size = JUMP_SIZE * (sizeof *t->jump + sizeof *t->jump_len);
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) {
            return -ENOMEM;
        }
        /* Each lookup is somewhere else in it. */
        madvise(p, size, MADV_HUGEPAGE);
        t->jump = p;
        t->jump_len = (uint8_t *) (t->jump + JUMP_SIZE);
    }
    return 0;
}

void
lpm_clear(struct lpm *t)
{
    if (t->jump) {
        munmap(t->jump, JUMP_SIZE * (sizeof *t->jump + sizeof *t->jump_len));
    }
    memset(t, 0, sizeof *t);
}

uint32_t
lpm_get(const struct lpm *t, struct lpm_key key, unsigned len)
{
    unsigned k = 0, last = level_of(len);
    uint32_t block = load(&t->root);
    if (t->jump && last >= JUMP_LEVEL) {
        block = (uint32_t) (__atomic_load_n(&t->jump[key.hi
                                                     >> (64 - JUMP_BITS)],
                                            __ATOMIC_ACQUIRE) >> 32);
        k = JUMP_LEVEL;
    }
    for (; block; k++) {
        struct node *n = node_at(t, block);
        if (k == last) {
            unsigned bit = inside_bit(&key, len);
            return n->inside >> bit & 1 ? load(prefix_word(n, bit)) : 0;
        }
        unsigned chunk = chunk_of(&key, k);
        if (!(n->ways >> chunk & 1)) {
            return 0;
        }
        block = load(way_word(n, chunk));
    }
    return 0;
}

/* A copy of node 'old' (NULL: an empty one) with other bits; words of bits that
 * both have are copied, those of the new bit are 'word'.  0: no memory. */
static uint32_t
copy_node(struct lpm *t, struct node *old, uint64_t inside, uint64_t ways,
          uint32_t word)
{
    uint32_t block = arena_alloc(t->arena, node_size(inside, ways));
    if (!block) {
        return 0;
    }
    struct node *n = node_at(t, block);
    uint32_t *to = n->words;
    const uint32_t *from = old ? old->words : NULL;
    uint64_t masks[2][2] = { { old ? old->inside : 0, inside },
                             { old ? old->ways : 0, ways } };
    n->inside = inside;
    n->ways = ways;
    for (int i = 0; i < 2; i++) {
        for (uint64_t all = masks[i][0] | masks[i][1]; all; all &= all - 1) {
            uint64_t bit = all & -all;
            if (masks[i][1] & bit) {
                *to++ = masks[i][0] & bit ? load(from) : word;
            }
            from += (masks[i][0] & bit) != 0;
        }
    }
    return block;
}

static void
retire_node(struct lpm *t, uint32_t block)
{
    struct node *n = node_at(t, block);
    arena_retire(t->arena, block, node_size(n->inside, n->ways));
}

/* ---- The table of the first bits. ---- */

static size_t
jump_index(struct lpm_key key)
{
    return key.hi >> (64 - JUMP_BITS);
}

/* The node of level JUMP_LEVEL on the way of 'key' may be another one now. */
static void
jump_set_node(struct lpm *t, struct lpm_key key)
{
    uint32_t block = t->root;
    for (unsigned k = 0; block && k < JUMP_LEVEL; k++) {
        struct node *n = node_at(t, block);
        unsigned chunk = chunk_of(&key, k);
        block = n->ways >> chunk & 1 ? *way_word(n, chunk) : 0;
    }
    uint64_t *j = &t->jump[jump_index(key)];
    __atomic_store_n(j, (uint64_t) block << 32 | (uint32_t) *j,
                     __ATOMIC_RELEASE);
}

/* All of 'key'/'len' (len < JUMP_BITS) that has no longer match than 'len' gets
 * 'value', of a prefix of 'value_len' bits. */
static void
jump_fill(struct lpm *t, struct lpm_key key, unsigned len, uint32_t value,
          unsigned value_len)
{
    size_t first = jump_index(key);
    size_t n = (size_t) 1 << (JUMP_BITS - len);
    uint8_t mark = value ? (uint8_t) (value_len + 1) : 0;
    for (size_t i = first; i < first + n; i++) {
        if (t->jump_len[i] <= len + 1) {
            uint64_t *j = &t->jump[i];
            t->jump_len[i] = mark;
            __atomic_store_n(j, (*j & ~(uint64_t) UINT32_MAX) | value,
                             __ATOMIC_RELEASE);
        }
    }
}

/* ---- Changes. ---- */

/* Nodes for levels 'k' to that of 'len', with nothing but this prefix.  0: no
 * memory. */
static uint32_t
make_chain(struct lpm *t, const struct lpm_key *key, unsigned len, unsigned k,
           uint32_t value)
{
    unsigned last = level_of(len);
    uint32_t block = copy_node(t, NULL, UINT64_C(1) << inside_bit(key, len),
                               0, value);
    for (unsigned i = last; block && i > k; i--) {
        uint32_t above = copy_node(
            t, NULL, 0, UINT64_C(1) << chunk_of(key, i - 1), block);
        if (!above) {
            /* Nobody has seen them. */
            while (block) {
                struct node *n = node_at(t, block);
                uint32_t next = n->ways ? n->words[0] : 0;
                arena_free(t->arena, block, node_size(n->inside, n->ways));
                block = next;
            }
            return 0;
        }
        block = above;
    }
    return block;
}

int
lpm_set(struct lpm *t, struct lpm_key key, unsigned len, uint32_t value)
{
    unsigned last = level_of(len), k = 0;
    uint32_t *word = &t->root;
    uint32_t block = 0, old = t->root;

    for (; old; k++) {
        struct node *n = node_at(t, old);
        unsigned bit = k == last ? inside_bit(&key, len) : chunk_of(&key, k);
        uint64_t mask = UINT64_C(1) << bit;
        if (k == last) {
            if (n->inside & mask) {
                store(prefix_word(n, bit), value);
                if (t->jump && len < JUMP_BITS) {
                    jump_fill(t, key, len, value, len);
                }
                return 0;
            }
            block = copy_node(t, n, n->inside | mask, n->ways, value);
            break;
        } else if (!(n->ways & mask)) {
            uint32_t chain = make_chain(t, &key, len, k + 1, value);
            block = chain ? copy_node(t, n, n->inside, n->ways | mask, chain)
                          : 0;
            if (chain && !block) {
                struct node *c = node_at(t, chain);
                arena_free(t->arena, chain, node_size(c->inside, c->ways));
            }
            break;
        }
        word = way_word(n, bit);
        old = *word;
    }
    if (!old) {
        block = make_chain(t, &key, len, 0, value);     /* The first one. */
    }
    if (!block) {
        return -ENOMEM;
    }
    store(word, block);
    if (old) {
        retire_node(t, old);
    }
    t->n++;
    if (t->jump && last >= JUMP_LEVEL && k <= JUMP_LEVEL) {
        jump_set_node(t, key);
    }
    if (t->jump && len < JUMP_BITS) {
        jump_fill(t, key, len, value, len);
    }
    return 0;
}

int
lpm_remove(struct lpm *t, struct lpm_key key, unsigned len)
{
    unsigned last = level_of(len), k;
    uint32_t *words[MAX_LEVELS], blocks[MAX_LEVELS];
    uint32_t *word = &t->root;

    for (k = 0;; k++) {
        words[k] = word;
        blocks[k] = *word;
        if (!blocks[k]) {
            return 0;
        }
        struct node *n = node_at(t, blocks[k]);
        if (k == last) {
            break;
        }
        unsigned chunk = chunk_of(&key, k);
        if (!(n->ways >> chunk & 1)) {
            return 0;
        }
        word = way_word(n, chunk);
    }
    struct node *n = node_at(t, blocks[k]);
    uint64_t inside = n->inside & ~(UINT64_C(1) << inside_bit(&key, len));
    uint64_t ways = n->ways;
    if (inside == n->inside) {
        return 0;
    }
    /* Nodes with nothing left go, up to one that has something. */
    while (!inside && !ways && k) {
        k--;
        n = node_at(t, blocks[k]);
        inside = n->inside;
        ways = n->ways & ~(UINT64_C(1) << chunk_of(&key, k));
    }
    uint32_t block = 0;
    if (inside || ways) {
        block = copy_node(t, n, inside, ways, 0);
        if (!block) {
            return -ENOMEM;
        }
    }
    store(words[k], block);
    t->n--;
    if (t->jump && last >= JUMP_LEVEL && k <= JUMP_LEVEL) {
        jump_set_node(t, key);
    }
    if (t->jump && len < JUMP_BITS) {
        struct lpm_match matches[LPM_MAX_MATCHES];
        unsigned found = len ? lpm_matches(t, key, len - 1, matches) : 0;
        jump_fill(t, key, len, found ? matches[0].value : 0,
                  found ? matches[0].len : 0);
    }
    for (; k <= last; k++) {
        retire_node(t, blocks[k]);
    }
    return 0;
}

/* ---- Lookups. ---- */

unsigned
lpm_matches(const struct lpm *t, struct lpm_key key, unsigned max_len,
            struct lpm_match matches[LPM_MAX_MATCHES])
{
    struct lpm_match found[LPM_MAX_MATCHES];
    unsigned n_found = 0;
    uint32_t block = load(&t->root);

    for (unsigned k = 0; block && k <= level_of(max_len); k++) {
        struct node *n = node_at(t, block);
        unsigned chunk = chunk_of(&key, k);
        for (uint64_t m = n->inside & path_mask[chunk]; m; m &= m - 1) {
            unsigned bit = (unsigned) __builtin_ctzll(m);
            unsigned l = 63 - (unsigned) __builtin_clzll(bit);
            unsigned len = k * STRIDE + l - SHIFT;
            uint32_t value = load(prefix_word(n, bit));
            if (len <= max_len && n_found < LPM_MAX_MATCHES) {
                found[n_found++] = (struct lpm_match) { value,
                                                        (uint8_t) len };
            }
        }
        block = n->ways >> chunk & 1 ? load(way_word(n, chunk)) : 0;
    }
    for (unsigned i = 0; i < n_found; i++) {
        matches[i] = found[n_found - 1 - i];
    }
    return n_found;
}

/* So many lookups are under way at a time: while one waits for memory the
 * others go on. */
#define LANES 128

INLINE void
prefetch_node(const struct node *n)
{
    __builtin_prefetch(n);
}

/* Lookups that are under way. */
struct lanes {
    struct node *at[LANES];
    uint8_t index[LANES];       /* Of the key. */
    unsigned n;
};

/* Where the six bits of a level are in a key. */
enum chunk_at {
    IN_HI,
    IN_LO,
    ANYWHERE,                   /* In both, or beyond the end. */
};

/* All of them at their nodes of level 'k'; those that end there drop out.
 * 'where' is a constant at each call. */
INLINE void
step_at(uint8_t *base, const struct lpm_key *keys, unsigned k,
        enum chunk_at where, struct lanes *l, uint32_t *values)
{
    int at = (int) k * STRIDE - SHIFT;
    unsigned shift = (unsigned) ((where == IN_LO ? 122 : 58) - at) % 64;
    unsigned go_on = 0, n_lanes = l->n;
    for (unsigned j = 0; j < n_lanes; j++) {
        unsigned i = l->index[j];
        struct node *n = l->at[j];
        unsigned chunk = where == IN_HI ? keys[i].hi >> shift & 63
                         : where == IN_LO ? keys[i].lo >> shift & 63
                         : chunk_of(&keys[i], k);
        uint64_t m = n->inside & path_mask[chunk];
        /* No branch, for nobody can guess it: without a match the first word,
         * which there always is, is read for nothing. */
        unsigned bit = 63 - (unsigned) __builtin_clzll(m | 1);
        uint32_t mask = (uint32_t) -(int32_t) (m != 0);
        values[i] ^= (load(prefix_word(n, bit)) ^ values[i]) & mask;
        if (n->ways >> chunk & 1) {
            struct node *next = node_in(base, load(way_word(n, chunk)));
            prefetch_node(next);
            l->at[go_on] = next;
            l->index[go_on++] = (uint8_t) i;
        }
    }
    l->n = go_on;
}

INLINE void
step_lanes(uint8_t *base, const struct lpm_key *keys, unsigned k,
           struct lanes *l, uint32_t *values)
{
    int at = (int) k * STRIDE - SHIFT;
    if (at >= 0 && at <= 58) {
        step_at(base, keys, k, IN_HI, l, values);
    } else if (at >= 64 && at <= 122) {
        step_at(base, keys, k, IN_LO, l, values);
    } else {
        step_at(base, keys, k, ANYWHERE, l, values);
    }
}

/* Up to LANES keys. */
INLINE void
lookup_lanes(const struct lpm *t, const struct lpm_key *keys, unsigned n,
             uint32_t *values)
{
    /* To the compiler, any store might change what pointers lead to. */
    uint8_t *base = t->arena->base;
    const uint64_t *jump = t->jump;
    struct lanes l;
    unsigned k = 0;

    if (jump) {
        unsigned go_on = 0;
        for (unsigned i = 0; i < n; i++) {
            uint64_t j = __atomic_load_n(
                &jump[keys[i].hi >> (64 - JUMP_BITS)], __ATOMIC_ACQUIRE);
            values[i] = (uint32_t) j;
            l.at[go_on] = node_in(base, (uint32_t) (j >> 32));
            l.index[go_on] = (uint8_t) i;
            prefetch_node(l.at[go_on]);
            go_on += j >> 32 != 0;
        }
        l.n = go_on;
        step_lanes(base, keys, JUMP_LEVEL, &l, values);
        k = JUMP_LEVEL + 1;
    } else {
        uint32_t root = load(&t->root);
        for (unsigned i = 0; i < n; i++) {
            values[i] = 0;
            l.at[i] = node_in(base, root);
            l.index[i] = (uint8_t) i;
        }
        l.n = root ? n : 0;
    }
    for (; l.n; k++) {
        step_lanes(base, keys, k, &l, values);
    }
}

INLINE void
lookup(const struct lpm *t, const struct lpm_key *keys, unsigned n,
       uint32_t *values)
{
    for (unsigned i = 0; t->jump && i < n && i < LANES; i++) {
        __builtin_prefetch(&t->jump[keys[i].hi >> (64 - JUMP_BITS)]);
    }
    for (unsigned i = 0; i < n; i += LANES) {
        unsigned end = i + 2 * LANES < n ? i + 2 * LANES : n;
        for (unsigned j = i + LANES; t->jump && j < end; j++) {
            __builtin_prefetch(&t->jump[keys[j].hi >> (64 - JUMP_BITS)]);
        }
        lookup_lanes(t, keys + i, n - i < LANES ? n - i : LANES, values + i);
    }
}

typedef void lookup_fn(const struct lpm *, const struct lpm_key *, unsigned n,
                       uint32_t *values);

static void
lookup_any(const struct lpm *t, const struct lpm_key *keys, unsigned n,
           uint32_t *values)
{
    lookup(t, keys, n, values);
}

static lookup_fn *lookup_here = lookup_any;

#ifdef __x86_64__
/* Counting bits is one instruction on what was made since 2008; with those of
 * 2013 shifts and masks get shorter, too. */
__attribute__((target("popcnt"))) static void
lookup_popcnt(const struct lpm *t, const struct lpm_key *keys, unsigned n,
              uint32_t *values)
{
    lookup(t, keys, n, values);
}

__attribute__((target("popcnt,bmi,bmi2,lzcnt"))) static void
lookup_bmi2(const struct lpm *t, const struct lpm_key *keys, unsigned n,
            uint32_t *values)
{
    lookup(t, keys, n, values);
}

__attribute__((constructor)) static void
pick_lookup(void)
{
    __builtin_cpu_init();
    lookup_here = __builtin_cpu_supports("bmi2") ? lookup_bmi2
                  : __builtin_cpu_supports("popcnt") ? lookup_popcnt
                  : lookup_any;
}
#endif

void
lpm_lookup(const struct lpm *t, const struct lpm_key *keys, unsigned n,
           uint32_t *values)
{
    lookup_here(t, keys, n, values);
}

/* ---- Walks. ---- */

struct walk {
    struct lpm *t;
    struct lpm_key first, last;         /* What is inside of the prefix. */
    unsigned len;
    struct lpm_key from;
    unsigned from_len;
    lpm_each_fn *each;
    void *aux;
};

static int
compare_keys(struct lpm_key a, struct lpm_key b)
{
    return a.hi != b.hi ? (a.hi < b.hi ? -1 : 1)
           : a.lo != b.lo ? (a.lo < b.lo ? -1 : 1) : 0;
}

static struct lpm_key
last_of(struct lpm_key key, unsigned len)
{
    if (len < 64) {
        key.hi |= UINT64_MAX >> len;
        key.lo = UINT64_MAX;
    } else if (len < 128) {
        key.lo |= UINT64_MAX >> (len - 64);
    }
    return key;
}

static struct lpm_key
with_bit(struct lpm_key key, unsigned at)
{
    if (at < 64) {
        key.hi |= UINT64_C(1) << (63 - at);
    } else {
        key.lo |= UINT64_C(1) << (127 - at);
    }
    return key;
}

static bool walk_node(const struct walk *, uint32_t block, unsigned k,
                      struct lpm_key);

/* The part of a node below its bit (1 << l) + b, which is prefix 'key'. */
static bool
walk_part(const struct walk *w, uint32_t block, unsigned k, unsigned l,
          unsigned b, struct lpm_key key)
{
    struct node *n = node_at(w->t, block);
    int at = (int) (k * STRIDE + l) - SHIFT;
    unsigned len = at < 0 ? 0 : (unsigned) at;
    struct lpm_key last = last_of(key, len);

    if (compare_keys(last, w->first) < 0 || compare_keys(key, w->last) > 0
        || compare_keys(last, w->from) < 0) {
        return true;
    }
    if (l == STRIDE) {
        return !(n->ways >> b & 1)
               || walk_node(w, load(way_word(n, b)), k + 1, key);
    }
    unsigned bit = (1u << l) + b;
    uint64_t ways = (l ? (UINT64_C(1) << (64 >> l)) - 1 : UINT64_MAX)
                    << (b << (STRIDE - l));
    if (!(n->inside & below_mask[bit]) && !(n->ways & ways)) {
        return true;
    }
    bool here = at >= 0 && n->inside >> bit & 1;
    int order = compare_keys(key, w->from);
    if (here && len >= w->len && (order > 0 || (order == 0
                                                && len >= w->from_len))
        && !w->each(w->aux, key, len, load(prefix_word(n, bit)))) {
        return false;
    }
    if (at >= LPM_MAX_BITS) {
        return true;            /* A node reaches beyond the last bit. */
    }
    return walk_part(w, block, k, l + 1, 2 * b, key)
           && (at < 0 || walk_part(w, block, k, l + 1, 2 * b + 1,
                                   with_bit(key, len)));
}

static bool
walk_node(const struct walk *w, uint32_t block, unsigned k,
          struct lpm_key key)
{
    return walk_part(w, block, k, 0, 0, key);
}

bool
lpm_walk(struct lpm *t, struct lpm_key key, unsigned len,
         struct lpm_key from, unsigned from_len, lpm_each_fn *each, void *aux)
{
    struct walk w = { t, key, last_of(key, len), len, from, from_len, each,
                      aux };
    uint32_t root = load(&t->root);
    return !root || walk_node(&w, root, 0, (struct lpm_key) { 0, 0 });
}

struct addr
lpm_addr_of(struct lpm_key key, bool v4)
{
    struct addr a = { { 0 } };
    uint64_t hi = key.hi, lo = key.lo;
    if (v4) {
        lo = UINT64_C(0xffff) << 32 | hi >> 32;
        hi = 0;
    }
    for (int i = 0; i < 8; i++) {
        a.b[i] = (uint8_t) (hi >> (56 - 8 * i));
        a.b[8 + i] = (uint8_t) (lo >> (56 - 8 * i));
    }
    return a;
}
