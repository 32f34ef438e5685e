#include <config.h>

#include "collector/template/template.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "collector/template/element.h"
#include "collector/template/ovs.h"
#include "collector/template/plan.h"
#include "lib/cursor.h"
#include "lib/mix.h"
#include "lib/seed.h"
#include "lib/source.h"

/* The templates of one source: open addressing by id, never more than half
 * full.  Readers probe it under RCU; writers replace a template in place, or
 * the whole directory when it has to grow.  An entry keeps its id when its
 * template is withdrawn. */
struct slot {
    _Atomic uint32_t id;                /* 0: free. */
    struct template *_Atomic template;  /* NULL: withdrawn. */
};

struct directory {
    uint32_t n_slots;           /* A power of 2. */
    uint32_t n_used;            /* Slots with an id. */
    uint32_t n;                 /* Templates. */
    uint32_t first[2];          /* Lists of slots with a template, of flows and
                                 * of options: index + 1, 0: the end. */
    struct link {
        uint32_t prev, next;    /* The same. */
    } *links;                   /* By slot; for writers only. */
    struct slot slots[];
};

/* Directories by source id, in chunks that stay where they are. */
#define CHUNK 1024
#define N_CHUNKS 1024

struct chunk {
    struct directory *_Atomic directory[CHUNK];
};

/* Garbage that readers may still hold. */
#define RETIRED_MAX 256

/* An exporter's address and what the templates that it brought first take: one
 * exporter, whatever domains it invents, can't use up the room of all. */
#define N_PAYER_BUCKETS 1024

struct payer {
    struct payer *next;
    struct addr addr;
    size_t bytes;
};

struct template_cache {
    size_t share, total;
    uint64_t secret;            /* Exporters choose what is hashed. */
    pthread_mutex_t lock;       /* For all that follows, to write. */
    struct chunk *_Atomic chunks[N_CHUNKS];

    /* Equal templates are kept once. */
    struct template **buckets;
    size_t n_buckets, n;
    size_t bytes;               /* What they and their plans take. */
    struct payer *payers[N_PAYER_BUCKETS];

    struct template *retired_templates[RETIRED_MAX];
    struct directory *retired_directories[RETIRED_MAX];
    size_t n_retired_templates, n_retired_directories;

    struct template *ovs[2][OVS_N_TEMPLATES];
};

void
template_read_lock(void)
{
    rcu_read_lock();
}

void
template_read_unlock(void)
{
    rcu_read_unlock();
}

/* ---- One template. ---- */

static void
template_destroy(struct template *t)
{
    if (t) {
        plan_destroy(t->plan);
        plan_destroy(t->reverse);
        free(t);
    }
}

static bool
is_biflow(const struct template_field *fields, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct element *e = element_find(fields[i].pen, fields[i].id);
        if (fields[i].pen == PEN_REVERSE        /* RFC 5103 section 6.1. */
            || (e && e->conv == CONV_REVERSE)) {
            return true;
        }
    }
    return false;
}

/* What a template is about to be.  */
struct draft {
    uint8_t protocol;
    uint16_t id;
    bool options;
    unsigned n_scope, n_fields;
    const struct template_field *fields;
    uint64_t hash;
};

static uint64_t
draft_hash(uint64_t secret, const struct draft *d)
{
    uint64_t h = (uint64_t) d->protocol << 48 | (uint64_t) d->id << 32
                 | (uint64_t) d->options << 31 | d->n_scope << 16
                 | d->n_fields;
    return mix_bytes(secret, h, d->fields,
                     d->n_fields * sizeof d->fields[0]);
}

static bool
draft_equals(const struct draft *d, const struct template *t)
{
    return t->hash == d->hash && t->protocol == d->protocol
           && t->id == d->id && t->options == d->options
           && t->n_scope == d->n_scope && t->n_fields == d->n_fields
           && !memcmp(t->fields, d->fields,
                      d->n_fields * sizeof d->fields[0]);
}

/* Limits that decoding relies on: a record has at least one byte and at most
 * what a set can hold. */
static bool
draft_valid(const struct draft *d)
{
    uint32_t size = 0, n_var = 0;
    if (d->id < TEMPLATE_ID_MIN || !d->n_fields
        || d->n_fields > TEMPLATE_MAX_FIELDS || d->n_scope > d->n_fields) {
        return false;
    }
    for (unsigned i = 0; i < d->n_fields; i++) {
        bool var = d->fields[i].size == TEMPLATE_VARLEN;
        n_var += var;
        size += var ? 1u : d->fields[i].size;
    }
    return size > 0 && size <= UINT16_MAX && n_var <= PLAN_MAX_VARLEN;
}

static bool
is_ovs_layout(const struct draft *d)
{
    struct template_field fields[OVS_MAX_FIELDS];
    for (unsigned v = 0; v < 2; v++) {
        unsigned n = ovs_template_fields(d->id, v, fields);
        if (n && n == d->n_fields && !d->options
            && !memcmp(fields, d->fields, n * sizeof fields[0])) {
            return true;
        }
    }
    return d->options && d->id == OVS_OPTIONS_TEMPLATE && d->n_fields == 2
           && d->fields[0].id == 144 && d->fields[1].id == 167;
}

static struct template *
template_make(const struct draft *d)
{
    size_t fields_size = d->n_fields * sizeof d->fields[0];
    struct template *t = calloc(1, sizeof *t + fields_size
                                   + (d->n_fields + 1) * sizeof(uint16_t));
    if (!t) {
        return NULL;
    }
    t->id = d->id;
    t->protocol = d->protocol;
    t->options = d->options;
    t->n_scope = (uint16_t) d->n_scope;
    t->n_fields = (uint16_t) d->n_fields;
    t->hash = d->hash;
    memcpy(t->fields, d->fields, fields_size);

    uint16_t *gaps = (uint16_t *) &t->fields[d->n_fields];
    t->gaps = gaps;
    for (unsigned i = 0; i < d->n_fields; i++) {
        if (d->fields[i].size == TEMPLATE_VARLEN) {
            t->min_size++;
            t->n_var++;
        } else {
            t->min_size += d->fields[i].size;
            gaps[t->n_var] = (uint16_t) (gaps[t->n_var] + d->fields[i].size);
        }
    }
    t->fixed = !t->n_var;
    t->ovs = d->protocol == PROTO_IPFIX && is_ovs_layout(d);
    if (!t->options) {
        bool biflow = is_biflow(d->fields, d->n_fields);
        t->plan = plan_compile(d->fields, d->n_fields, d->protocol, false);
        t->reverse = biflow ? plan_compile(d->fields, d->n_fields,
                                           d->protocol, true) : NULL;
        if (!t->plan || (biflow && !t->reverse)) {
            template_destroy(t);
            return NULL;
        }
    }
    return t;
}

size_t
template_record_size(const struct template *t, const uint8_t *p, size_t left)
{
    if (t->fixed) {
        return t->min_size <= left ? t->min_size : 0;
    }
    struct cursor c = cur_init(p, left);
    size_t gap = t->gaps[0];
    for (unsigned i = 0; i < t->n_var; i++) {
        const uint8_t *q = cur_take(&c, gap + 1);
        if (!q) {
            return 0;
        }
        size_t size = q[gap];
        if (size == 255) {
            size = cur_u16(&c);
        }
        gap = size + t->gaps[i + 1];
    }
    return cur_take(&c, gap) ? (size_t) (c.p - p) : 0;
}

/* ---- The cache. ---- */

static void
make_builtin(struct template_cache *cache, unsigned v, unsigned i)
{
    struct template_field fields[OVS_MAX_FIELDS];
    struct draft d = {
        .protocol = PROTO_IPFIX, .id = (uint16_t) (OVS_TEMPLATE_FIRST + i),
        .fields = fields,
    };
    d.n_fields = ovs_template_fields(d.id, v, fields);
    if (d.n_fields) {
        d.hash = draft_hash(cache->secret, &d);
        cache->ovs[v][i] = template_make(&d);
    }
}

struct template_cache *
template_cache_create(size_t share, size_t total)
{
    struct template_cache *cache = calloc(1, sizeof *cache);
    if (!cache) {
        return NULL;
    }
    pthread_mutex_init(&cache->lock, NULL);
    cache->share = share;
    cache->total = total;
    cache->secret = seed_make();
    cache->n_buckets = 16384;
    cache->buckets = calloc(cache->n_buckets, sizeof *cache->buckets);
    if (!cache->buckets) {
        template_cache_destroy(cache);
        return NULL;
    }
    for (unsigned v = 0; v < 2; v++) {
        for (unsigned i = 0; i < OVS_N_TEMPLATES; i++) {
            make_builtin(cache, v, i);
        }
    }
    return cache;
}

static void
free_retired(struct template_cache *cache)
{
    for (size_t i = 0; i < cache->n_retired_templates; i++) {
        template_destroy(cache->retired_templates[i]);
    }
    for (size_t i = 0; i < cache->n_retired_directories; i++) {
        free(cache->retired_directories[i]);
    }
    cache->n_retired_templates = cache->n_retired_directories = 0;
}

void
template_cache_destroy(struct template_cache *cache)
{
    if (!cache) {
        return;
    }
    free_retired(cache);
    for (size_t i = 0; cache->buckets && i < cache->n_buckets; i++) {
        while (cache->buckets[i]) {
            struct template *t = cache->buckets[i];
            cache->buckets[i] = t->next;
            template_destroy(t);
        }
    }
    for (size_t i = 0; i < N_CHUNKS; i++) {
        for (size_t k = 0; cache->chunks[i] && k < CHUNK; k++) {
            free(cache->chunks[i]->directory[k]);
        }
        free(cache->chunks[i]);
    }
    for (unsigned v = 0; v < 2; v++) {
        for (unsigned i = 0; i < OVS_N_TEMPLATES; i++) {
            template_destroy(cache->ovs[v][i]);
        }
    }
    for (size_t i = 0; i < N_PAYER_BUCKETS; i++) {
        while (cache->payers[i]) {
            struct payer *next = cache->payers[i]->next;
            free(cache->payers[i]);
            cache->payers[i] = next;
        }
    }
    pthread_mutex_destroy(&cache->lock);
    free(cache->buckets);
    free(cache);
}

/* Waits for readers when there is much garbage. */
static void
reclaim(struct template_cache *cache)
{
    if (cache->n_retired_templates >= RETIRED_MAX / 2
        || cache->n_retired_directories >= RETIRED_MAX / 2) {
        synchronize_rcu();
        free_retired(cache);
    }
}

static void
retire_directory(struct template_cache *cache, struct directory *dir)
{
    if (dir) {
        cache->retired_directories[cache->n_retired_directories++] = dir;
        reclaim(cache);
    }
}

static size_t
template_bytes(const struct template *t)
{
    return malloc_usable_size((void *) t) + malloc_usable_size(t->plan)
           + malloc_usable_size(t->reverse);
}

static struct payer **
payer_find(struct template_cache *cache, const struct addr *addr)
{
    uint64_t h = mix_bytes(cache->secret, 0, addr, sizeof *addr);
    struct payer **p = &cache->payers[h % N_PAYER_BUCKETS];
    while (*p && !addr_equal(&(*p)->addr, addr)) {
        p = &(*p)->next;
    }
    return p;
}

/* The account of an address, opened if there is none and room is left in it and
 * in the whole; else NULL. */
static struct payer *
payer_with_room(struct template_cache *cache, const struct addr *addr,
                int *error)
{
    bool full = cache->n >= cache->total || cache->bytes >= TEMPLATE_BYTES;
    struct payer **p = full ? NULL : payer_find(cache, addr);
    if (full || (*p && (*p)->bytes >= TEMPLATE_EXPORTER_BYTES)) {
        *error = -ENOSPC;
        return NULL;
    }
    if (!*p) {
        *p = calloc(1, sizeof **p);
        if (!*p) {
            *error = -ENOMEM;
            return NULL;
        }
        (*p)->addr = *addr;
    }
    return *p;
}

/* Takes 'bytes' off an account; an empty one is closed. */
static void
payer_return(struct template_cache *cache, const struct addr *addr,
             size_t bytes)
{
    struct payer **p = payer_find(cache, addr);
    struct payer *payer = *p;
    payer->bytes -= bytes;
    if (!payer->bytes) {
        *p = payer->next;
        free(payer);
    }
}

/* A reference to the template that 'd' describes, kept already or made; then
 * 'addr' pays for it. */
static struct template *
intern(struct template_cache *cache, const struct draft *d,
       const struct addr *addr, int *error)
{
    struct template **bucket = &cache->buckets[d->hash % cache->n_buckets];
    for (struct template *t = *bucket; t; t = t->next) {
        if (draft_equals(d, t)) {
            t->refs++;
            return t;
        }
    }
    struct payer *payer = payer_with_room(cache, addr, error);
    if (!payer) {
        return NULL;
    }
    struct template *t = template_make(d);
    if (!t) {
        payer_return(cache, addr, 0);
        *error = -ENOMEM;
        return NULL;
    }
    payer->bytes += template_bytes(t);
    t->payer = *addr;
    t->refs = 1;
    t->next = *bucket;
    *bucket = t;
    cache->n++;
    cache->bytes += template_bytes(t);
    return t;
}

static void
release(struct template_cache *cache, struct template *t)
{
    if (!t || --t->refs) {
        return;
    }
    struct template **p = &cache->buckets[t->hash % cache->n_buckets];
    while (*p != t) {
        p = &(*p)->next;
    }
    *p = t->next;
    cache->n--;
    cache->bytes -= template_bytes(t);
    payer_return(cache, &t->payer, template_bytes(t));
    cache->retired_templates[cache->n_retired_templates++] = t;
    reclaim(cache);
}

static struct slot *
probe(struct directory *dir, uint16_t id)
{
    uint32_t mask = dir->n_slots - 1;
    for (uint32_t i = id & mask;; i = (i + 1) & mask) {
        uint32_t found = atomic_load_explicit(&dir->slots[i].id,
                                              memory_order_acquire);
        if (!found || found == id) {
            return &dir->slots[i];
        }
    }
}

static struct directory *_Atomic *
directory_of(const struct template_cache *cache, const struct source *source)
{
    if (source->id / CHUNK >= N_CHUNKS) {
        return NULL;
    }
    struct chunk *chunk = atomic_load_explicit(
        &cache->chunks[source->id / CHUNK], memory_order_acquire);
    return chunk ? &chunk->directory[source->id % CHUNK] : NULL;
}

static struct directory *_Atomic *
directory_make(struct template_cache *cache, const struct source *source)
{
    size_t i = source->id / CHUNK;
    if (i < N_CHUNKS && !cache->chunks[i]) {
        struct chunk *chunk = calloc(1, sizeof *chunk);
        atomic_store_explicit(&cache->chunks[i], chunk, memory_order_release);
    }
    return directory_of(cache, source);
}

/* Slot 'i' has a template now. */
static void
link_slot(struct directory *dir, uint32_t i, bool options)
{
    dir->links[i] = (struct link) { .next = dir->first[options] };
    if (dir->first[options]) {
        dir->links[dir->first[options] - 1].prev = i + 1;
    }
    dir->first[options] = i + 1;
}

/* Slot 'i' has none any more. */
static void
unlink_slot(struct directory *dir, uint32_t i, bool options)
{
    struct link l = dir->links[i];
    if (l.prev) {
        dir->links[l.prev - 1].next = l.next;
    } else {
        dir->first[options] = l.next;
    }
    if (l.next) {
        dir->links[l.next - 1].prev = l.prev;
    }
}

/* A bigger directory with what 'old' holds, but for withdrawn templates. */
static struct directory *
directory_grow(const struct directory *old)
{
    uint32_t n_slots = 16;
    while (old && n_slots < 4 * (old->n + 1)) {
        n_slots *= 2;
    }
    struct directory *dir = calloc(1, sizeof *dir
                                      + n_slots * (sizeof dir->slots[0]
                                                   + sizeof *dir->links));
    if (!dir) {
        return NULL;
    }
    dir->n_slots = n_slots;
    dir->links = (struct link *) &dir->slots[n_slots];
    for (uint32_t i = 0; old && i < old->n_slots; i++) {
        struct template *t = old->slots[i].template;
        if (t) {
            struct slot *s = probe(dir, t->id);
            s->template = t;
            s->id = t->id;
            link_slot(dir, (uint32_t) (s - dir->slots), t->options);
            dir->n++;
            dir->n_used++;
        }
    }
    return dir;
}

static int
put_locked(struct template_cache *cache, const struct source *source,
           const struct draft *d)
{
    struct directory *_Atomic *root = directory_make(cache, source);
    if (!root) {
        return -ENOMEM;
    }
    struct directory *dir = *root;
    struct slot *slot = dir ? probe(dir, d->id) : NULL;
    struct template *old = slot ? slot->template : NULL;
    if (old && draft_equals(d, old)) {
        return TEMPLATE_SAME;
    } else if (!old && dir && dir->n >= cache->share) {
        return -ENOSPC;
    }
    int error = 0;
    struct template *t = intern(cache, d, &source->key.exporter, &error);
    if (!t) {
        return error;
    }
    if (!dir || (!slot->id && 2 * (dir->n_used + 1) > dir->n_slots)) {
        struct directory *bigger = directory_grow(dir);
        if (!bigger) {
            release(cache, t);
            return -ENOMEM;
        }
        atomic_store_explicit(root, bigger, memory_order_release);
        retire_directory(cache, dir);
        dir = bigger;
        slot = probe(dir, d->id);
    }
    atomic_store_explicit(&slot->template, t, memory_order_release);
    if (!slot->id) {
        atomic_store_explicit(&slot->id, d->id, memory_order_release);
        dir->n_used++;
    }
    dir->n += !old;
    if (old) {
        unlink_slot(dir, (uint32_t) (slot - dir->slots), old->options);
    }
    link_slot(dir, (uint32_t) (slot - dir->slots), t->options);
    release(cache, old);
    return old ? TEMPLATE_CHANGED : TEMPLATE_NEW;
}

int
template_put(struct template_cache *cache, const struct source *source,
             uint16_t id, bool options, unsigned n_scope,
             const struct template_field *fields, unsigned n_fields)
{
    struct draft d = {
        .protocol = source->key.protocol, .id = id, .options = options,
        .n_scope = n_scope, .n_fields = n_fields, .fields = fields,
    };
    if (!draft_valid(&d)) {
        return -EBADMSG;
    }
    d.hash = draft_hash(cache->secret, &d);

    /* Exporters repeat their templates all the time. */
    rcu_read_lock();
    const struct template *known = template_get(cache, source, id);
    bool same = known && draft_equals(&d, known);
    rcu_read_unlock();
    if (same) {
        return TEMPLATE_SAME;
    }
    pthread_mutex_lock(&cache->lock);
    int result = put_locked(cache, source, &d);
    pthread_mutex_unlock(&cache->lock);
    return result;
}

static void
withdraw_slot(struct template_cache *cache, struct directory *dir,
              struct slot *slot)
{
    struct template *t = slot->template;
    if (t) {
        atomic_store_explicit(&slot->template, NULL, memory_order_release);
        unlink_slot(dir, (uint32_t) (slot - dir->slots), t->options);
        dir->n--;
        release(cache, t);
    }
}

void
template_withdraw(struct template_cache *cache, const struct source *source,
                  uint16_t id)
{
    pthread_mutex_lock(&cache->lock);
    struct directory *_Atomic *root = directory_of(cache, source);
    struct directory *dir = root ? *root : NULL;
    if (dir) {
        withdraw_slot(cache, dir, probe(dir, id));
    }
    pthread_mutex_unlock(&cache->lock);
}

void
template_withdraw_all(struct template_cache *cache,
                      const struct source *source, bool options)
{
    pthread_mutex_lock(&cache->lock);
    struct directory *_Atomic *root = directory_of(cache, source);
    struct directory *dir = root ? *root : NULL;
    while (dir && dir->first[options]) {
        withdraw_slot(cache, dir, &dir->slots[dir->first[options] - 1]);
    }
    pthread_mutex_unlock(&cache->lock);
}

const struct template *
template_get(const struct template_cache *cache, const struct source *source,
             uint16_t id)
{
    struct directory *_Atomic *root = directory_of(cache, source);
    struct directory *dir = root ? atomic_load_explicit(root,
                                                        memory_order_acquire)
                                 : NULL;
    return dir ? atomic_load_explicit(&probe(dir, id)->template,
                                      memory_order_acquire) : NULL;
}

const void *
template_prefetch_root(const struct template_cache *cache,
                       const struct source *source)
{
    const void *root = directory_of(cache, source);
    __builtin_prefetch(root);
    return root;
}

const void *
template_prefetch_directory(const void *p)
{
    struct directory *const _Atomic *root = p;
    const struct directory *dir
        = p ? atomic_load_explicit(root, memory_order_acquire) : NULL;
    __builtin_prefetch(dir);
    return dir;
}

const void *
template_prefetch_slot(const void *p, uint16_t id)
{
    const struct directory *dir = p;
    const struct slot *slot = dir ? &dir->slots[id & (dir->n_slots - 1)]
                                  : NULL;
    __builtin_prefetch(slot);
    return slot;
}

const struct template *
template_prefetch(const void *p)
{
    const struct slot *slot = p;
    const struct template *t
        = p ? atomic_load_explicit(&slot->template, memory_order_acquire)
            : NULL;
    if (t) {
        __builtin_prefetch(t);
        __builtin_prefetch((const char *) t + 64);
    }
    return t;
}

const struct template *
template_builtin_ovs(const struct template_cache *cache, uint16_t id,
                     bool virtual_obs_id)
{
    return id >= OVS_TEMPLATE_FIRST && id <= OVS_TEMPLATE_LAST
           ? cache->ovs[virtual_obs_id][id - OVS_TEMPLATE_FIRST] : NULL;
}

size_t
template_count(const struct template_cache *cache,
               const struct source *source)
{
    rcu_read_lock();
    struct directory *_Atomic *root = directory_of(cache, source);
    struct directory *dir = root ? *root : NULL;
    size_t n = dir ? dir->n : 0;
    rcu_read_unlock();
    return n;
}

size_t
template_total(struct template_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t n = cache->n;
    pthread_mutex_unlock(&cache->lock);
    return n;
}

void
template_each(struct template_cache *cache, const struct source *source,
              bool (*each)(const struct template *, void *aux), void *aux)
{
    rcu_read_lock();
    struct directory *_Atomic *root = directory_of(cache, source);
    struct directory *dir = root ? *root : NULL;
    for (uint32_t i = 0; dir && i < dir->n_slots; i++) {
        const struct template *t = dir->slots[i].template;
        if (t && !each(t, aux)) {
            break;
        }
    }
    rcu_read_unlock();
}
