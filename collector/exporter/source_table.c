#include <config.h>

#include "collector/exporter/source_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "collector/exporter/interface_counters.h"
#include "lib/dict.h"
#include "lib/mix.h"
#include "lib/seed.h"

/* Sources are only ever added, so a table of pointers that are set once, with
 * open addressing, is all that readers without a lock need.  It has at least
 * twice as many slots as sources may exist: a search ends at a free slot. */

/* A hash table with open addressing that only grows, by a larger one behind
 * it: readers need no lock and nothing is freed under them. */
#define SOURCE_NAME_BLOCKS 4    /* Of 64, 256, 1024, 4096 slots. */

/* Names, by id of the dictionary, and rates (KIND_RATE). */
#define KIND_RATE N_SOURCE_NAME_KINDS

struct names {
    uint32_t n, n_slots;
    struct name_slot {
        _Atomic uint64_t key;   /* kind + 1 << 60 ^ number; 0: free. */
        _Atomic uint32_t name;
    } slot[];
};

#define CACHE_LINE 64

struct entry {
    /* First: sources are handed out. */
    _Alignas(CACHE_LINE) struct source source;
    _Atomic uint32_t v5;        /* NetFlow v5's convention: struct v5_state. */
    _Atomic uint64_t samplers[SOURCE_SAMPLERS]; /* id << 32 | rate. */
    struct names *_Atomic names[SOURCE_NAME_BLOCKS];

    /* Sources of one address are a list, whose first is in a bucket. */
    struct entry *_Atomic sibling;
    struct entry *next_first;   /* In its bucket; of a first one. */
    size_t n_siblings;          /* With itself; of a first one. */
};

/* What is expected next from a stream of datagrams: tag << 32 | number, 0 if
 * free.  A set-associative cache: bounded, and when a peer changes its port
 * all the time, what it forgets first is that peer's old ports. */
#define SEQ_WAYS 4
#define SEQ_MIN_SETS 1024
#define SEQ_MAX_SETS 65536

struct seq_set {
    _Atomic uint64_t way[SEQ_WAYS];
};

struct source_table {
    size_t max, n_slots, n_seq_sets;
    uint64_t seed;
    struct entry *_Atomic *slots;
    struct entry **list;
    struct entry **firsts;      /* n_slots / 4 buckets; under 'lock'. */
    struct named_source *named; /* By address; under 'lock'. */
    size_t n_named;
    _Atomic size_t n;
    struct seq_set *seq;
    struct seq_set *interfaces; /* The same with seconds for numbers. */
    pthread_mutex_t lock;       /* For adding sources and names. */
    size_t n_names;
    struct interface_counters_table *counters;
};

static uint64_t
mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t
mix_addr(uint64_t h, const struct addr *a)
{
    uint64_t w[2];
    memcpy(w, a->b, sizeof w);
    return mix(mix(h, w[0]), w[1]);
}

static uint64_t
key_hash(const struct source_table *t, const struct source_key *k)
{
    uint64_t h = mix_addr(mix_addr(t->seed, &k->exporter), &k->agent);
    return mix(h, (uint64_t) k->session << 40 | (uint64_t) k->protocol << 32
                  | k->domain);
}

static size_t
power_of_2(size_t n)
{
    size_t p = 1;
    while (p < n) {
        p *= 2;
    }
    return p;
}

struct source_table *
source_table_create(size_t max)
{
    struct source_table *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    pthread_mutex_init(&t->lock, NULL);
    t->max = max ? max : 1;
    t->n_slots = power_of_2(2 * (t->max + SOURCE_RESERVE));
    t->n_seq_sets = t->n_slots / 2;
    if (t->n_seq_sets < SEQ_MIN_SETS) {
        t->n_seq_sets = SEQ_MIN_SETS;
    } else if (t->n_seq_sets > SEQ_MAX_SETS) {
        t->n_seq_sets = SEQ_MAX_SETS;
    }
    /* Peers choose their addresses: they must not choose collisions. */
    t->seed = seed_make();
    t->slots = calloc(t->n_slots, sizeof *t->slots);
    t->list = calloc(t->max + SOURCE_RESERVE, sizeof *t->list);
    t->firsts = calloc(t->n_slots / 4, sizeof *t->firsts);
    t->seq = calloc(t->n_seq_sets, sizeof *t->seq);
    t->interfaces = calloc(t->n_seq_sets, sizeof *t->interfaces);
    t->counters = interface_counters_create(INTERFACE_COUNTERS_SHARE,
                                            INTERFACE_COUNTERS_TOTAL);
    if (!t->slots || !t->list || !t->firsts || !t->seq || !t->interfaces
        || !t->counters) {
        source_table_destroy(t);
        return NULL;
    }
    return t;
}

void
source_table_destroy(struct source_table *t)
{
    if (!t) {
        return;
    }
    for (size_t i = 0; t->list && i < t->n; i++) {
        for (size_t k = 0; k < SOURCE_NAME_BLOCKS; k++) {
            free(t->list[i]->names[k]);
        }
        free(t->list[i]);
    }
    pthread_mutex_destroy(&t->lock);
    free(t->named);
    free(t->slots);
    free(t->firsts);
    free(t->list);
    free(t->seq);
    free(t->interfaces);
    interface_counters_destroy(t->counters);
    free(t);
}

/* The slot of 'key', or the free one where it belongs. */
static size_t
find_slot(const struct source_table *t, const struct source_key *key,
          struct entry **found)
{
    size_t mask = t->n_slots - 1;
    size_t i = key_hash(t, key) & mask;
    for (;; i = (i + 1) & mask) {
        struct entry *e = atomic_load_explicit(&t->slots[i],
                                               memory_order_acquire);
        if (!e || source_key_equal(&e->source.key, key)) {
            *found = e;
            return i;
        }
    }
}

static int
compare_named(const void *a_, const void *b_)
{
    const struct named_source *a = a_, *b = b_;
    return memcmp(&a->address, &b->address, sizeof a->address);
}

/* What an address was told to be, or NULL.  Under the lock. */
static const struct named_source *
find_named(const struct source_table *t, const struct addr *address)
{
    struct named_source key = { .address = *address };
    return t->n_named ? bsearch(&key, t->named, t->n_named, sizeof key,
                                compare_named) : NULL;
}

/* Under the lock. */
static void
name_source(const struct source_table *t, struct source *s)
{
    const struct named_source *named = find_named(t, &s->key.exporter);
    uint32_t sampling = named ? named->sampling : 0;
    atomic_store_explicit(&s->name, named ? named->name : 0,
                          memory_order_relaxed);
    uint8_t origin = atomic_load_explicit(&s->sampling_origin,
                                          memory_order_relaxed);
    if (origin == SAMPLING_CONFIG || (origin == SAMPLING_NONE && sampling)) {
        atomic_store_explicit(&s->sampling, sampling, memory_order_relaxed);
        atomic_store_explicit(&s->sampling_origin,
                              sampling ? SAMPLING_CONFIG : SAMPLING_NONE,
                              memory_order_relaxed);
    }
}

int
source_table_set_named(struct source_table *t,
                       const struct named_source *named, size_t n)
{
    struct named_source *copy = calloc(n ? n : 1, sizeof *copy);
    if (!copy) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        copy[i] = named[i];
    }
    qsort(copy, n, sizeof *copy, compare_named);
    pthread_mutex_lock(&t->lock);
    free(t->named);
    t->named = copy;
    t->n_named = n;
    for (size_t i = 0; i < t->n; i++) {
        name_source(t, &t->list[i]->source);
    }
    pthread_mutex_unlock(&t->lock);
    return 0;
}

/* Where the first source of an address is, or belongs.  Under the lock. */
static struct entry **
find_first(const struct source_table *t, const struct addr *exporter)
{
    uint64_t h = mix_bytes(t->seed, 0, exporter, sizeof *exporter);
    struct entry **p = &t->firsts[h & (t->n_slots / 4 - 1)];
    while (*p && !addr_equal(&(*p)->source.key.exporter, exporter)) {
        p = &(*p)->next_first;
    }
    return p;
}

/* Whether there is room for one more of those of 'first' (NULL: it would be
 * the first).  One address, whatever domains and agents it invents, leaves as
 * much as it takes; those that have names find room even where a flood of
 * made-up exporters has taken the rest.  Under the lock. */
static bool
has_room(const struct source_table *t, const struct source_key *key,
         const struct entry *first)
{
    size_t n = first ? first->n_siblings : 0;
    if (key->session && n >= SOURCE_SESSION_SHARE) {
        return false;
    } else if (t->n < t->max && (!n || n < t->max - t->n)) {
        return true;
    }
    return t->n < t->max + SOURCE_RESERVE && find_named(t, &key->exporter);
}

static struct entry *
add_entry(struct source_table *t, const struct source_key *key)
{
    struct entry *e;
    size_t slot = find_slot(t, key, &e);        /* Again, under the lock. */
    struct entry **first = e ? NULL : find_first(t, &key->exporter);
    if (e || !has_room(t, key, *first)) {
        return e;
    }
    e = aligned_alloc(CACHE_LINE, sizeof *e);
    if (!e) {
        return NULL;
    }
    memset(e, 0, sizeof *e);
    e->source.table = t;
    e->source.key = *key;
    e->source.id = (uint32_t) t->n + 1;
    name_source(t, &e->source);
    if (*first) {
        e->sibling = (*first)->sibling;
        atomic_store_explicit(&(*first)->sibling, e, memory_order_release);
    } else {
        *first = e;
    }
    (*first)->n_siblings++;
    t->list[t->n] = e;
    atomic_store_explicit(&t->n, t->n + 1, memory_order_release);
    atomic_store_explicit(&t->slots[slot], e, memory_order_release);
    return e;
}

struct source *
source_table_get(struct source_table *t, const struct source_key *key)
{
    struct entry *e;
    find_slot(t, key, &e);
    if (!e) {
        pthread_mutex_lock(&t->lock);
        e = add_entry(t, key);
        pthread_mutex_unlock(&t->lock);
    }
    return e ? &e->source : NULL;
}

uint64_t
source_prefetch_slot(const struct source_table *t,
                     const struct source_key *key)
{
    uint64_t hash = key_hash(t, key);
    __builtin_prefetch(&t->slots[hash & (t->n_slots - 1)]);
    return hash;
}

const struct source *
source_prefetch(const struct source_table *t, uint64_t hash)
{
    const struct entry *e = atomic_load_explicit(
        &t->slots[hash & (t->n_slots - 1)], memory_order_acquire);
    if (!e) {
        return NULL;
    }
    /* Up to the busiest counters. */
    const char *p = (const char *) e;
    for (size_t i = 0; i < offsetof(struct source, n.options_records);
         i += CACHE_LINE) {
        __builtin_prefetch(p + i, 1);
    }
    return &e->source;
}

void
source_table_each(struct source_table *t,
                  bool (*each)(struct source *, void *aux), void *aux)
{
    size_t n = atomic_load_explicit(&t->n, memory_order_acquire);
    for (size_t i = 0; i < n && each(&t->list[i]->source, aux); i++) {
        continue;
    }
}

void
source_table_each_of(struct source_table *t, const struct addr *exporter,
                     void (*each)(struct source *, void *aux), void *aux)
{
    pthread_mutex_lock(&t->lock);
    struct entry *e = *find_first(t, exporter);
    pthread_mutex_unlock(&t->lock);
    while (e) {
        each(&e->source, aux);
        e = atomic_load_explicit(&e->sibling, memory_order_acquire);
    }
}

size_t
source_table_count(struct source_table *t)
{
    return atomic_load_explicit(&t->n, memory_order_acquire);
}

struct interface_counters_table *
source_table_counters(const struct source_table *t)
{
    return t->counters;
}

void
source_set_datapath(struct source *s, uint64_t datapath_id)
{
    if (atomic_load_explicit(&s->datapath_id, memory_order_relaxed)
        != datapath_id) {
        atomic_store_explicit(&s->datapath_id, datapath_id,
                              memory_order_relaxed);
        atomic_store_explicit(&s->obs_cache, 0, memory_order_relaxed);
    }
}

/* ---- Sequence numbers. ---- */

/* A gap that is wider is a new start. */
#define SEQ_MAX_GAP (1 << 22)
/* So many datagrams may a late one be late. */
#define SEQ_MAX_LATE 128

static struct entry *
entry_cast(const struct source *s)
{
    return (struct entry *) s;
}

static uint64_t
stream_hash_of(const struct entry *e, uint16_t port)
{
    const struct source *s = &e->source;
    uint64_t h = mix(e->source.table->seed, port);
    if (source_is_ovs(s)) {
        return mix_addr(h, &s->key.exporter);
    }
    return mix(h, UINT64_C(1) << 40 | s->id);
}

/* The entry of a stream; a new one starts out free and takes the place of
 * another if it must. */
static _Atomic uint64_t *
set_find(struct seq_set *set, uint64_t hash, uint64_t *value)
{
    _Atomic uint64_t *way = NULL;
    for (size_t i = 0; i < SEQ_WAYS; i++) {
        *value = atomic_load_explicit(&set->way[i], memory_order_relaxed);
        if (*value >> 32 == hash >> 32) {
            return &set->way[i];
        } else if (!*value && !way) {
            way = &set->way[i];
        }
    }
    if (!way) {
        way = &set->way[hash >> 24 & (SEQ_WAYS - 1)];
    }
    *value = 0;
    return way;
}

static _Atomic uint64_t *
stream_find(struct source_table *t, uint64_t hash, uint64_t *value)
{
    return set_find(&t->seq[hash & (t->n_seq_sets - 1)], hash, value);
}

static uint64_t
stream_hash(const struct entry *e)
{
    return stream_hash_of(e, e->source.port);
}

void
source_prefetch_sequence(const struct source *s, uint16_t port)
{
    const struct source_table *t = s->table;
    uint64_t hash = stream_hash_of(entry_cast(s), port);
    __builtin_prefetch(&t->seq[hash & (t->n_seq_sets - 1)], 1);
}

static uint64_t
stream_hash_tagged(const struct entry *e)
{
    uint64_t hash = stream_hash(e);
    return hash >> 32 ? hash : hash | UINT64_C(1) << 32;
}

/* Judges a number that must be 'next', of a datagram with 'units'.  Returns
 * what is expected then. */
static uint32_t
judge(struct source *s, uint32_t next, uint32_t seq, uint32_t units)
{
    int64_t gap = (int32_t) (seq - next);
    int64_t late = (int64_t) SEQ_MAX_LATE * (units ? units : 1);
    if (gap > SEQ_MAX_GAP || -gap > late || (gap < 0 && seq <= 1)) {
        counter_inc(&s->n.restarts);
    } else if (gap > 0) {
        counter_add(&s->n.lost, (uint64_t) gap);
    } else if (gap < 0) {
        counter_inc(&s->n.reordered);
        return next;
    }
    return seq + units;
}

void
source_sequence(struct source *s, uint32_t seq, uint32_t units)
{
    struct entry *e = entry_cast(s);
    uint64_t hash = stream_hash_tagged(e);
    uint64_t old;
    _Atomic uint64_t *way = stream_find(e->source.table, hash, &old);
    uint32_t next = old ? judge(s, (uint32_t) old, seq, units) : seq + units;
    atomic_store_explicit(way, hash >> 32 << 32 | next, memory_order_relaxed);
}

/* What is known of a source of NetFlow v5, packed into 32 bits: the number of
 * flows in its last datagram, 8 bits of the port that this came from, and how
 * often its numbers fitted one convention and not the other (positive: the
 * header counts flows before the datagram; negative: it names the last). */
struct v5_state {
    uint8_t count, port;
    int8_t score;
};
#define V5_SURE 4               /* The score goes no further. */

static struct v5_state
v5_unpack(uint32_t v)
{
    return (struct v5_state) { (uint8_t) v, (uint8_t) (v >> 8),
                               (int8_t) (uint8_t) (v >> 16) };
}

static uint32_t
v5_pack(struct v5_state v)
{
    return v.count | (uint32_t) v.port << 8
           | (uint32_t) (uint8_t) v.score << 16;
}

/* Cisco's header counts the flows before the datagram, so that the next is
 * 'seq' plus its flows.  Open vSwitch sets it anew for each flow it adds
 * (ofproto/netflow.c), so that it names the last flow of the datagram.  Both
 * expectations are compared with what comes: 'next' is by the convention in
 * force; 'v' is of the datagram before. */
static void
v5_learn(struct v5_state *v, uint32_t next, uint32_t seq, uint32_t count)
{
    bool last = v->score < 0;
    uint32_t by_first = last ? next + v->count - 1 : next;
    uint32_t by_last = last ? next : next - v->count + 1;
    bool first_fits = seq == by_first;
    bool last_fits = seq - count + 1 == by_last;
    if (first_fits && !last_fits && v->score < V5_SURE) {
        v->score++;
        v->score += !v->score;  /* Zero was never one of the two. */
    } else if (last_fits && !first_fits && v->score > -V5_SURE) {
        v->score--;
        v->score -= !v->score;
    }
}

void
source_sequence_v5(struct source *s, uint32_t seq, uint32_t count)
{
    struct entry *e = entry_cast(s);
    uint64_t hash = stream_hash_tagged(e);
    uint64_t old;
    _Atomic uint64_t *way = stream_find(e->source.table, hash, &old);
    struct v5_state v = v5_unpack(atomic_load_explicit(&e->v5,
                                                       memory_order_relaxed));
    uint8_t port = (uint8_t) (s->port ^ s->port >> 8);
    uint32_t expected = (uint32_t) old;

    if (old && v.port == port && v.count && count <= UINT8_MAX) {
        bool last = v.score < 0;
        v5_learn(&v, expected, seq, count);
        if (!last && v.score < 0) {
            expected -= v.count - 1u;
        } else if (last && v.score > 0) {
            expected += v.count - 1u;
        }
    }
    uint32_t first = v.score < 0 ? seq - count + 1 : seq;
    uint32_t next = old ? judge(s, expected, first, count) : first + count;
    if (next == first + count) {
        v.count = count <= UINT8_MAX ? (uint8_t) count : 0;
        v.port = port;
    }
    atomic_store_explicit(&e->v5, v5_pack(v), memory_order_relaxed);
    atomic_store_explicit(way, hash >> 32 << 32 | next, memory_order_relaxed);
}

void
source_sequence_skip(struct source *s)
{
    struct entry *e = entry_cast(s);
    uint64_t old;
    _Atomic uint64_t *way = stream_find(e->source.table,
                                        stream_hash_tagged(e), &old);
    if (old) {
        atomic_store_explicit(way, 0, memory_order_relaxed);
    }
}

void
source_mark_ovs(struct source *s, bool ovs)
{
    if (source_is_ovs(s) != ovs) {
        atomic_store_explicit(&s->ovs, ovs, memory_order_relaxed);
    }
}

/* ---- Where packets are seen. ---- */

static _Atomic uint64_t *
interface_find(const struct source *s, uint32_t in_if, uint64_t *tag,
               uint64_t *value)
{
    struct source_table *t = s->table;
    uint64_t hash = mix_addr(t->seed, &s->key.exporter);
    hash = mix(hash, (uint64_t) s->key.protocol << 32 | in_if);
    hash |= (uint64_t) !(hash >> 32) << 32;
    *tag = hash >> 32 << 32;
    return set_find(&t->interfaces[hash & (t->n_seq_sets - 1)], hash, value);
}

void
source_interface_note(const struct source *s, uint32_t in_if, uint32_t now_s)
{
    if (s->table) {
        uint64_t tag, old;
        _Atomic uint64_t *way = interface_find(s, in_if, &tag, &old);
        if (old != (tag | now_s)) {
            atomic_store_explicit(way, tag | now_s, memory_order_relaxed);
        }
    }
}

bool
source_interface_known(const struct source *s, uint32_t in_if, uint32_t now_s)
{
    uint64_t tag, old;
    if (!s->table) {
        return false;
    }
    interface_find(s, in_if, &tag, &old);
    return old && now_s - (uint32_t) old + 1 <= SOURCE_INTERFACE_S + 1;
}

/* ---- Names. ---- */

static uint64_t
name_key(unsigned kind, uint64_t number)
{
    return (uint64_t) (kind + 1) << 60 ^ (number & UINT64_MAX >> 4);
}

/* The slot of 'key', or the free one where it belongs; NULL: full. */
static struct name_slot *
name_slot_find(struct names *b, uint64_t seed, uint64_t key, bool *found)
{
    uint32_t i = (uint32_t) mix(seed, key);
    for (uint32_t n = 0; n < b->n_slots; n++, i++) {
        struct name_slot *s = &b->slot[i & (b->n_slots - 1)];
        uint64_t k = atomic_load_explicit(&s->key, memory_order_acquire);
        if (!k || k == key) {
            *found = k == key;
            return s;
        }
    }
    return NULL;
}

static struct names *
names_create(uint32_t n_slots)
{
    struct names *b = calloc(1, sizeof *b + n_slots * sizeof b->slot[0]);
    if (b) {
        b->n_slots = n_slots;
    }
    return b;
}

/* 'dict' is NULL: it is a number, not a name. */
static void
add_name(struct entry *e, uint64_t key, struct dict *dict, uint32_t name)
{
    struct source_table *t = e->source.table;
    uint32_t n_slots = 64;
    for (size_t i = 0; i < SOURCE_NAME_BLOCKS; i++, n_slots *= 4) {
        struct names *b = e->names[i];
        if (!b && t->n_names < SOURCE_NAMES_TOTAL) {
            b = names_create(n_slots);
            atomic_store_explicit(&e->names[i], b, memory_order_release);
        }
        if (!b) {
            return;
        }
        bool found = false;
        struct name_slot *s = name_slot_find(b, t->seed, key, &found);
        if (found || b->n < b->n_slots / 4 * 3) {
            if (dict) {
                dict_hold(dict, name);
            }
            if (dict && found) {
                dict_release(dict, s->name);
            }
            atomic_store_explicit(&s->name, name, memory_order_relaxed);
            atomic_store_explicit(&s->key, key, memory_order_release);
            b->n += !found;
            t->n_names += !found;
            return;
        }
    }
}

void
source_name_set(struct source *s, enum source_name_kind kind, uint64_t number,
                struct dict *dict, uint32_t name)
{
    if (!name || !s->table || source_name(s, kind, number) == name) {
        return;
    }
    pthread_mutex_lock(&s->table->lock);
    add_name(entry_cast(s), name_key(kind, number), dict, name);
    pthread_mutex_unlock(&s->table->lock);
    atomic_store_explicit(&s->has_names, true, memory_order_release);
}

static uint32_t
get_name(const struct source *s, uint64_t key)
{
    struct entry *e = entry_cast(s);
    for (size_t i = 0; s->table && i < SOURCE_NAME_BLOCKS; i++) {
        struct names *b = atomic_load_explicit(&e->names[i],
                                               memory_order_acquire);
        bool found = false;
        struct name_slot *slot = b ? name_slot_find(b, s->table->seed, key,
                                                    &found) : NULL;
        if (found) {
            return atomic_load_explicit(&slot->name, memory_order_relaxed);
        } else if (!b) {
            return 0;
        }
    }
    return 0;
}

uint32_t
source_name(const struct source *s, enum source_name_kind kind,
            uint64_t number)
{
    return get_name(s, name_key(kind, number));
}

/* ---- Rates of interfaces. ---- */

void
source_interface_rate_set(struct source *s, uint32_t interface, uint32_t rate)
{
    if (!rate || !s->table || source_interface_rate(s, interface) == rate) {
        return;
    }
    pthread_mutex_lock(&s->table->lock);
    add_name(entry_cast(s), name_key(KIND_RATE, interface), NULL, rate);
    pthread_mutex_unlock(&s->table->lock);
    atomic_store_explicit(&s->has_rates, true, memory_order_release);
}

uint32_t
source_interface_rate(const struct source *s, uint32_t interface)
{
    return get_name(s, name_key(KIND_RATE, interface));
}

bool
source_interface_rate_next(const struct source *s, size_t *place,
                           uint32_t *interface, uint32_t *rate)
{
    struct entry *e = entry_cast(s);
    size_t first = 0;           /* Place of the block's first slot. */

    for (size_t i = 0; source_has_rates(s) && i < SOURCE_NAME_BLOCKS; i++) {
        struct names *b = atomic_load_explicit(&e->names[i],
                                               memory_order_acquire);
        for (; b && *place < first + b->n_slots; ) {
            struct name_slot *slot = &b->slot[(*place)++ - first];
            uint64_t key = atomic_load_explicit(&slot->key,
                                                memory_order_acquire);
            if (key >> 60 == KIND_RATE + 1) {
                *interface = (uint32_t) key;
                *rate = atomic_load_explicit(&slot->name,
                                             memory_order_relaxed);
                return true;
            }
        }
        first += b ? b->n_slots : 0;
    }
    return false;
}

/* ---- Samplers. ---- */

void
source_sampler_set(struct source *s, uint64_t id, uint32_t rate)
{
    struct entry *e = entry_cast(s);
    uint64_t value = id << 32 | rate;
    for (size_t i = 0; rate && i < SOURCE_SAMPLERS; i++) {
        uint64_t old = atomic_load_explicit(&e->samplers[i],
                                            memory_order_relaxed);
        if (!old || old >> 32 == value >> 32) {
            atomic_store_explicit(&e->samplers[i], value,
                                  memory_order_relaxed);
            return;
        }
    }
}

uint32_t
source_sampler(const struct source *s, uint64_t id)
{
    struct entry *e = entry_cast(s);
    for (size_t i = 0; i < SOURCE_SAMPLERS; i++) {
        uint64_t v = atomic_load_explicit(&e->samplers[i],
                                          memory_order_relaxed);
        if (!v) {
            return 0;
        } else if (v >> 32 == (id & UINT32_MAX)) {
            return (uint32_t) v;
        }
    }
    return 0;
}

bool
source_sampler_at(const struct source *s, unsigned i, uint64_t *id,
                  uint32_t *rate)
{
    uint64_t v = i < SOURCE_SAMPLERS
        ? atomic_load_explicit(&entry_cast(s)->samplers[i],
                               memory_order_relaxed) : 0;
    *id = v >> 32;
    *rate = (uint32_t) v;
    return v != 0;
}
