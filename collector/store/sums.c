#include <config.h>

#include "collector/store/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS (2 * SUMS_MAX_KEYS + 2)
#define PAGE_GROUPS 16384u
/* Keys of so few bits are looked up in an array. */
#define DIRECT_BITS 18
#define ODD UINT64_C(0x9e3779b97f4a7c15)
#define NONE UINT32_MAX
#define IPV6 (UINT64_C(1) << 31)

/* Where a key is in the words of a group: its value plus 1, 0 being null; of
 * 64 bits the value, with a bit elsewhere that says it is there. */
struct piece {
    uint8_t word, shift, bits;
    uint8_t there_word, there_shift;    /* If 'bits' is 64. */
};

/* Addresses and their numbers.  An IPv4 address is in its slot, so that one
 * look into memory finds it. */
struct addr_table {
    struct addr *list;
    uint32_t n, allocated;
    uint64_t *slots;            /* Address or hash, IPV6, number plus 1. */
    uint32_t mask;
};

struct sums {
    struct sums_spec spec;
    struct piece time;
    struct piece keys[SUMS_MAX_KEYS];
    unsigned n_words;           /* Of keys, at least 1. */
    unsigned size;              /* Words of a group: keys, sums, flags. */
    bool flags;                 /* The last word: which sums are not null. */
    bool direct;                /* 'groups' instead of 'slots'. */

    uint64_t **pages;           /* Groups. */
    uint32_t n, n_pages, allocated_pages;
    uint32_t *slots, mask;      /* Group plus 1; 0: free. */
    uint32_t *groups;           /* By key; NONE: new. */
    size_t n_groups;
    struct addr_table addrs;
    uint64_t bound[SUMS_MAX_METRICS];   /* No sum is larger. */
    uint64_t cut;               /* Of those that matter, the last. */
    bool is_cut;

    /* Of the block at hand: addresses by their position in its table. */
    const struct block_head *head;
    uint32_t *ids[SUMS_MAX_KEYS];
    size_t n_ids[SUMS_MAX_KEYS];
    /* Of the frame. */
    uint64_t words[MAX_WORDS][FRAME_ROWS];
    uint32_t codes[FRAME_ROWS];
    uint32_t at[FRAME_ROWS];
    uint64_t *group[FRAME_ROWS];
    struct addr masked[FRAME_ROWS];
    uint64_t hashes[FRAME_ROWS];
};

/* ---- Where keys are. ---- */

static unsigned
key_bits(enum column_id id)
{
    switch (columns[id].type) {
    case COLUMN_T_ADDR:
    case COLUMN_T_NAME:
        return 32;              /* Numbers plus 1. */
    case COLUMN_T_BOOL:
        return 2;
    case COLUMN_T_MAC:
        return 64;
    default:
        return columns[id].size >= 8 ? 64 : 8u * columns[id].size + 1;
    }
}

static struct piece
place(uint8_t *used, unsigned *n, unsigned bits)
{
    unsigned w = 0;
    while (w < *n && used[w] + bits > 64) {
        w++;
    }
    if (w == *n) {
        used[(*n)++] = 0;
    }
    struct piece p = { .word = (uint8_t) w, .shift = used[w],
                       .bits = (uint8_t) bits };
    used[w] = (uint8_t) (used[w] + bits);
    return p;
}

static void
place_keys(struct sums *s)
{
    uint8_t used[MAX_WORDS];
    unsigned n = 0, total = 0;

    if (s->spec.bucket_us) {
        uint64_t last = (uint64_t) (BLOCK_LAST_TIME_US / s->spec.bucket_us);
        unsigned bits = 1;
        while (bits < 63 && last >> bits) {
            bits++;
        }
        s->time = place(used, &n, bits);
        total += bits;
    }
    for (unsigned i = 0; i < s->spec.n_keys; i++) {
        unsigned bits = key_bits(s->spec.keys[i].column);
        s->keys[i] = place(used, &n, bits);
        total += bits;
        if (bits == 64) {
            struct piece there = place(used, &n, 1);
            s->keys[i].there_word = there.word;
            s->keys[i].there_shift = there.shift;
        }
    }
    s->n_words = n ? n : 1;
    /* Numbers of addresses and names are dense. */
    s->direct = n <= 1 && (total <= DIRECT_BITS
                           || (s->spec.n_keys == 1 && !s->spec.bucket_us
                               && total == 32
                               && columns[s->spec.keys[0].column].type
                                  != COLUMN_T_U32));
}

struct sums *
sums_create(const struct sums_spec *spec)
{
    struct sums *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->spec = *spec;
    place_keys(s);
    for (unsigned i = 0; i < spec->n_metrics; i++) {
        s->flags |= spec->metrics[i] < N_COLUMNS
                    && columns[spec->metrics[i]].flags & CF_NULL;
    }
    s->size = s->n_words + spec->n_metrics + s->flags;
    return s;
}

static void
free_groups(struct sums *s)
{
    for (uint32_t i = 0; i < s->n_pages; i++) {
        free(s->pages[i]);
    }
    free(s->pages);
    free(s->slots);
    free(s->groups);
    s->pages = NULL;
    s->slots = s->groups = NULL;
    s->n = s->n_pages = s->allocated_pages = s->mask = 0;
    s->n_groups = 0;
}

void
sums_destroy(struct sums *s)
{
    if (!s) {
        return;
    }
    free_groups(s);
    free(s->addrs.list);
    free(s->addrs.slots);
    for (unsigned i = 0; i < SUMS_MAX_KEYS; i++) {
        free(s->ids[i]);
    }
    free(s);
}

void
sums_reset(struct sums *s)
{
    free_groups(s);
    memset(s->bound, 0, sizeof s->bound);
}

uint64_t
sums_bytes(const struct sums *s)
{
    return (uint64_t) s->n_pages * PAGE_GROUPS * s->size * 8
           + (s->slots ? ((uint64_t) s->mask + 1) * 4 : 0)
           + s->n_groups * 4
           + (uint64_t) s->addrs.allocated * sizeof(struct addr)
           + (s->addrs.slots ? ((uint64_t) s->addrs.mask + 1) * 8 : 0);
}

uint32_t
sums_count(const struct sums *s)
{
    return s->n;
}

/* Every bit of a number gets into the low ones. */
static inline uint64_t
mix(uint64_t v)
{
    v ^= v >> 32;
    v *= ODD;
    v ^= v >> 32;
    v *= ODD;
    return v ^ v >> 32;
}

/* ---- Addresses. ---- */

/* The low half says where to look, the high half is kept in the slot. */
static inline uint64_t
hash_addr(const struct addr *a)
{
    if (addr_is_v4(a)) {
        uint32_t v;
        memcpy(&v, a->b + 12, sizeof v);
        return (uint64_t) v << 32 | (uint32_t) mix(v);
    }
    uint64_t half[2];
    memcpy(half, a, sizeof half);
    return mix(mix(half[0]) ^ half[1]);
}

static bool
grow_addrs(struct addr_table *t)
{
    uint32_t n = t->allocated ? 2 * t->allocated : 1024;
    if (n > UINT32_C(1) << 30) {
        return false;
    }
    struct addr *list = realloc(t->list, n * sizeof *list);
    if (!list) {
        return false;
    }
    t->list = list;
    t->allocated = n;
    uint64_t *slots = calloc((size_t) n * 2, sizeof *slots);
    if (!slots) {
        return false;
    }
    free(t->slots);
    t->slots = slots;
    t->mask = 2 * n - 1;
    for (uint32_t k = 0; k < t->n; k++) {
        uint64_t hash = hash_addr(&t->list[k]);
        uint32_t i = (uint32_t) hash & t->mask;
        while (slots[i]) {
            i = (i + 1) & t->mask;
        }
        slots[i] = hash >> 32 << 32 | (addr_is_v4(&t->list[k]) ? 0 : IPV6)
                   | (k + 1);
    }
    return true;
}

/* The number of an address, or NONE if out of memory. */
static uint32_t
number_addr(struct addr_table *t, const struct addr *a, uint64_t hash)
{
    if (t->n == t->allocated && !grow_addrs(t)) {
        return NONE;
    }
    uint64_t top = hash >> 32 << 32 | (addr_is_v4(a) ? 0 : IPV6);
    for (uint32_t i = (uint32_t) hash & t->mask;; i = (i + 1) & t->mask) {
        uint64_t slot = t->slots[i];
        uint32_t k = (uint32_t) (slot & (IPV6 - 1)) - 1;
        if (!slot) {
            t->list[t->n] = *a;
            t->slots[i] = top | (t->n + 1);
            return t->n++;
        } else if ((slot ^ top) < IPV6
                   && (!(top & IPV6)
                       || !memcmp(&t->list[k], a, sizeof *a))) {
            return k;
        }
    }
}

/* The address that counts: itself, or the prefix that it is in. */
static inline struct addr
mask_addr(const struct sums *s, unsigned key, const struct addr *a)
{
    if (!s->spec.keys[key].prefix) {
        return *a;
    }
    unsigned len = addr_is_v4(a) ? 96u + s->spec.keys[key].v4_len
                                 : s->spec.keys[key].v6_len;
    struct addr masked = { { 0 } };
    memcpy(masked.b, a->b, len / 8);
    if (len % 8) {
        masked.b[len / 8] = (uint8_t) (a->b[len / 8] & 0xff00 >> len % 8);
    }
    return masked;
}

/* ---- Keys of a frame. ---- */

static bool
has(const struct flow_batch *b, enum column_id id, uint32_t row)
{
    return !(columns[id].flags & CF_NULL) || batch_is_valid(b, id, row);
}

/* Addresses that the block has a table of: each is numbered once. */
static int
add_table_addrs(struct sums *s, unsigned key, struct block_reader *r,
                unsigned frame, struct flow_batch *b, const uint16_t *index,
                uint32_t n, uint64_t *words)
{
    enum column_id id = s->spec.keys[key].column;
    const struct addr *entries;
    uint32_t n_entries;
    int e = block_read_table(r, id, frame, b, s->codes, &entries,
                             &n_entries);
    if (e) {
        return e;
    }
    if (!s->n_ids[key]) {
        uint32_t *ids = realloc(s->ids[key], n_entries * sizeof *ids);
        if (!ids) {
            return -ENOMEM;
        }
        memset(ids, 0xff, n_entries * sizeof *ids);
        s->ids[key] = ids;
        s->n_ids[key] = n_entries;
    }
    uint32_t *ids = s->ids[key];
    unsigned shift = s->keys[key].shift;
    const struct addr_table *t = &s->addrs;
    for (uint32_t i = 0; i < n; i++) {
        if (has(b, id, index[i]) && ids[s->codes[index[i]]] == NONE) {
            s->masked[i] = mask_addr(s, key, &entries[s->codes[index[i]]]);
            s->hashes[i] = hash_addr(&s->masked[i]);
            if (t->slots) {
                __builtin_prefetch(&t->slots[(uint32_t) s->hashes[i]
                                             & t->mask]);
            }
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = index[i];
        if (!has(b, id, row)) {
            continue;
        }
        uint32_t *p = &ids[s->codes[row]];
        if (*p == NONE) {
            *p = number_addr(&s->addrs, &s->masked[i], s->hashes[i]);
            if (*p == NONE) {
                return -ENOMEM;
            }
        }
        words[i] |= (uint64_t) (*p + 1) << shift;
    }
    return 0;
}

/* Others are looked up all at once, so that memory is waited for once. */
static int
add_addrs(struct sums *s, unsigned key, const struct flow_batch *b,
          const uint16_t *index, uint32_t n, uint64_t *words)
{
    enum column_id id = s->spec.keys[key].column;
    const struct addr *v = (const void *) ((const uint8_t *) b
                                           + columns[id].offset);
    unsigned shift = s->keys[key].shift;
    const struct addr_table *t = &s->addrs;

    for (uint32_t i = 0; i < n; i++) {
        s->masked[i] = mask_addr(s, key, &v[index[i]]);
        s->hashes[i] = hash_addr(&s->masked[i]);
        if (t->slots) {
            __builtin_prefetch(&t->slots[(uint32_t) s->hashes[i] & t->mask]);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!has(b, id, index[i])) {
            continue;
        }
        uint32_t k = number_addr(&s->addrs, &s->masked[i], s->hashes[i]);
        if (k == NONE) {
            return -ENOMEM;
        }
        words[i] |= (uint64_t) (k + 1) << shift;
    }
    return 0;
}

#define ADD(T)                                                          \
    do {                                                                \
        const T *v = (const void *) values;                             \
        if (complete) {                                                 \
            for (uint32_t i = 0; i < n; i++) {                          \
                words[i] |= ((uint64_t) v[index[i]] + 1) << shift;      \
            }                                                           \
        } else {                                                        \
            for (uint32_t i = 0; i < n; i++) {                          \
                uint64_t code = has(b, id, index[i])                    \
                                ? (uint64_t) v[index[i]] + 1 : 0;       \
                words[i] |= code << shift;                              \
            }                                                           \
        }                                                               \
    } while (0)

static void
add_numbers(struct sums *s, unsigned key, const struct flow_batch *b,
            const uint16_t *index, uint32_t n)
{
    enum column_id id = s->spec.keys[key].column;
    const struct piece *p = &s->keys[key];
    const uint8_t *values = (const uint8_t *) b + columns[id].offset;
    uint64_t *words = s->words[p->word];
    unsigned shift = p->shift;
    bool complete = !(columns[id].flags & CF_NULL);

    if (p->bits == 64) {
        uint64_t *there = s->words[p->there_word];
        const uint64_t *v = (const void *) values;
        for (uint32_t i = 0; i < n; i++) {
            if (has(b, id, index[i])) {
                words[i] = v[index[i]];
                there[i] |= UINT64_C(1) << p->there_shift;
            }
        }
        return;
    }
    switch (columns[id].size) {
    case 1:
        ADD(uint8_t);
        break;
    case 2:
        ADD(uint16_t);
        break;
    default:
        ADD(uint32_t);
        break;
    }
}

static int
make_keys(struct sums *s, struct block_reader *r, unsigned frame,
          struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    int e = 0;

    for (unsigned w = 0; w < s->n_words; w++) {
        memset(s->words[w], 0, n * sizeof s->words[w][0]);
    }
    if (s->spec.bucket_us) {
        uint64_t step = (uint64_t) s->spec.bucket_us;
        uint64_t from = 1, to = 0, code = 0;    /* Of the last one. */
        e = block_read(r, COL_flow_end, frame, b);
        for (uint32_t i = 0; !e && i < n; i++) {
            uint64_t t = (uint64_t) b->flow_end[index[i]];
            if (t < from || t >= to) {
                code = t / step;
                from = code * step;
                to = from + step;
            }
            s->words[s->time.word][i] |= code << s->time.shift;
        }
    }
    for (unsigned k = 0; !e && k < s->spec.n_keys; k++) {
        enum column_id id = s->spec.keys[k].column;
        uint64_t *words = s->words[s->keys[k].word];
        if (columns[id].type != COLUMN_T_ADDR) {
            e = block_read(r, id, frame, b);
            if (!e) {
                add_numbers(s, k, b, index, n);
            }
            continue;
        }
        e = block_has_table(r, id)
            ? add_table_addrs(s, k, r, frame, b, index, n, words)
            : block_read(r, id, frame, b);
        if (!e && !block_has_table(r, id)) {
            e = add_addrs(s, k, b, index, n, words);
        }
    }
    return e;
}

/* ---- Groups. ---- */

static inline uint64_t *
group_at(const struct sums *s, uint32_t g)
{
    return s->pages[g / PAGE_GROUPS] + (size_t) (g % PAGE_GROUPS) * s->size;
}

/* A new group, all zeros; NONE if out of memory. */
static uint32_t
add_group(struct sums *s)
{
    if (s->n == s->n_pages * PAGE_GROUPS) {
        if (s->n_pages == s->allocated_pages) {
            uint32_t n = s->allocated_pages ? 2 * s->allocated_pages : 16;
            uint64_t **p = realloc(s->pages, n * sizeof *p);
            if (!p) {
                return NONE;
            }
            s->pages = p;
            s->allocated_pages = n;
        }
        uint64_t *page = malloc((size_t) PAGE_GROUPS * s->size * 8);
        if (!page || s->n >= UINT32_MAX - 2 * PAGE_GROUPS) {
            free(page);
            return NONE;
        }
        s->pages[s->n_pages++] = page;
    }
    memset(group_at(s, s->n), 0, s->size * 8);
    return s->n++;
}

static uint64_t
hash_words(const uint64_t *w, size_t stride, unsigned n)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < n; i++) {
        h = mix(h ^ w[i * stride]);
    }
    return h;
}

/* Slots for so many groups. */
static bool
reserve_slots(struct sums *s, uint64_t n)
{
    if (s->slots && n * 4 < ((uint64_t) s->mask + 1) * 3) {
        return true;
    }
    uint64_t size = 8192;
    while (n * 2 > size) {
        size *= 2;
    }
    uint32_t *slots = size <= UINT32_MAX ? calloc(size, sizeof *slots) : NULL;
    if (!slots) {
        return false;
    }
    free(s->slots);
    s->slots = slots;
    s->mask = (uint32_t) (size - 1);
    for (uint32_t g = 0; g < s->n; ) {
        uint32_t at[64], n_at = s->n - g < 64 ? s->n - g : 64;
        for (uint32_t k = 0; k < n_at; k++) {
            at[k] = (uint32_t) hash_words(group_at(s, g + k), 1, s->n_words)
                    & s->mask;
            __builtin_prefetch(&slots[at[k]], 1);
        }
        for (uint32_t k = 0; k < n_at; k++) {
            uint32_t i = at[k];
            while (slots[i]) {
                i = (i + 1) & s->mask;
            }
            slots[i] = ++g;
        }
    }
    return true;
}

static int
find_direct(struct sums *s, uint32_t n)
{
    const uint64_t *w = s->words[0];
    size_t most = 0;

    for (uint32_t i = 0; i < n; i++) {
        most = w[i] > most ? (size_t) w[i] : most;
    }
    if (most >= s->n_groups) {
        size_t size = s->n_groups ? s->n_groups : 1024;
        while (size <= most) {
            size *= 2;
        }
        uint32_t *p = realloc(s->groups, size * sizeof *p);
        if (!p) {
            return -ENOMEM;
        }
        memset(p + s->n_groups, 0xff, (size - s->n_groups) * sizeof *p);
        s->groups = p;
        s->n_groups = size;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *g = &s->groups[w[i]];
        if (*g == NONE) {
            *g = add_group(s);
            if (*g == NONE) {
                return -ENOMEM;
            }
            group_at(s, *g)[0] = w[i];
        }
        s->group[i] = group_at(s, *g);
    }
    return 0;
}

/* Looks far ahead of what it compares, since most of a large table is not in a
 * cache. */
static int
find_hashed(struct sums *s, uint32_t n)
{
    const uint64_t *w = s->words[0];
    unsigned n_words = s->n_words;

    if (!reserve_slots(s, (uint64_t) s->n + n)) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        s->at[i] = (uint32_t) hash_words(w + i, FRAME_ROWS, n_words)
                   & s->mask;
        __builtin_prefetch(&s->slots[s->at[i]]);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t g = s->slots[s->at[i]];
        if (g) {
            __builtin_prefetch(group_at(s, g - 1));
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = s->at[i], g;
        for (;; at = (at + 1) & s->mask) {
            g = s->slots[at];
            if (!g) {
                break;
            }
            const uint64_t *x = group_at(s, g - 1);
            bool same = x[0] == w[i];
            for (unsigned k = 1; same && k < n_words; k++) {
                same = x[k] == w[k * FRAME_ROWS + i];
            }
            if (same) {
                break;
            }
        }
        if (!g) {
            uint32_t fresh = add_group(s);
            if (fresh == NONE) {
                return -ENOMEM;
            }
            s->slots[at] = fresh + 1;
            uint64_t *x = group_at(s, fresh);
            for (unsigned k = 0; k < n_words; k++) {
                x[k] = w[k * FRAME_ROWS + i];
            }
            s->group[i] = x;
        } else {
            s->group[i] = group_at(s, g - 1);
        }
    }
    return 0;
}

/* ---- Sums. ---- */

static void
add_metric(struct sums *s, unsigned m, const struct flow_batch *b,
           const uint16_t *index, uint32_t n)
{
    unsigned id = s->spec.metrics[m], at = s->n_words + m;

    if (id >= N_COLUMNS) {
        for (uint32_t i = 0; i < n; i++) {
            s->group[i][at]++;
        }
        return;
    }
    const uint64_t *v = (const void *) ((const uint8_t *) b
                                        + columns[id].offset);
    if (!(columns[id].flags & CF_NULL)) {
        for (uint32_t i = 0; i < n; i++) {
            s->group[i][at] += v[index[i]];
        }
        return;
    }
    unsigned flags = s->size - 1;
    for (uint32_t i = 0; i < n; i++) {
        if (batch_is_valid(b, id, index[i])) {
            s->group[i][at] += v[index[i]];
            s->group[i][flags] |= UINT64_C(1) << m;
        }
    }
}

bool
sums_fit(struct sums *s, const struct block_head *h)
{
    uint64_t bound[SUMS_MAX_METRICS];

    for (unsigned m = 0; m < s->spec.n_metrics; m++) {
        unsigned id = s->spec.metrics[m];
        const struct block_column *c = id < N_COLUMNS ? block_column(h, id)
                                                      : NULL;
        uint64_t max = id >= N_COLUMNS ? 1 : c ? c->max.u : 0, most;
        if (__builtin_mul_overflow(max, (uint64_t) h->n_rows, &most)
            || __builtin_add_overflow(s->bound[m], most, &bound[m])) {
            return false;
        }
    }
    memcpy(s->bound, bound, s->spec.n_metrics * sizeof bound[0]);
    return true;
}

int
sums_add(struct sums *s, struct block_reader *r, unsigned frame,
         struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    const struct block_head *h = block_reader_head(r);
    int e = 0;

    if (h != s->head || !frame) {
        s->head = h;
        memset(s->n_ids, 0, sizeof s->n_ids);
    }
    for (unsigned m = 0; !e && m < s->spec.n_metrics; m++) {
        if (s->spec.metrics[m] < N_COLUMNS) {
            e = block_read(r, s->spec.metrics[m], frame, b);
        }
    }
    if (!e) {
        e = make_keys(s, r, frame, b, index, n);
    }
    if (!e) {
        e = s->direct ? find_direct(s, n) : find_hashed(s, n);
    }
    for (unsigned m = 0; !e && m < s->spec.n_metrics; m++) {
        add_metric(s, m, b, index, n);
    }
    return e;
}

/* ---- All together. ---- */

/* Another's key words as they would be here: its addresses have other
 * numbers. */
static bool
translate(struct sums *s, const struct sums *o, uint32_t *ids, uint64_t *w)
{
    for (unsigned k = 0; k < s->spec.n_keys; k++) {
        const struct piece *p = &s->keys[k];
        if (columns[s->spec.keys[k].column].type != COLUMN_T_ADDR) {
            continue;
        }
        uint32_t code = (uint32_t) (w[p->word] >> p->shift);
        if (!code) {
            continue;
        }
        uint32_t *id = &ids[code - 1];
        if (*id == NONE) {
            const struct addr *a = &o->addrs.list[code - 1];
            *id = number_addr(&s->addrs, a, hash_addr(a));
            if (*id == NONE) {
                return false;
            }
        }
        w[p->word] &= ~((uint64_t) UINT32_MAX << p->shift);
        w[p->word] |= (uint64_t) (*id + 1) << p->shift;
    }
    return true;
}

int
sums_merge(struct sums *s, const struct sums *o)
{
    uint64_t bound[SUMS_MAX_METRICS];
    for (unsigned m = 0; m < s->spec.n_metrics; m++) {
        if (__builtin_add_overflow(s->bound[m], o->bound[m], &bound[m])) {
            return -EOVERFLOW;
        }
    }
    memcpy(s->bound, bound, s->spec.n_metrics * sizeof bound[0]);

    uint32_t *ids = malloc(((size_t) o->addrs.n + 1) * sizeof *ids);
    int e = ids ? 0 : -ENOMEM;

    if (ids) {
        memset(ids, 0xff, ((size_t) o->addrs.n + 1) * sizeof *ids);
    }
    for (uint32_t g = 0; !e && g < o->n; ) {
        uint32_t n = o->n - g < FRAME_ROWS ? o->n - g : FRAME_ROWS;
        for (uint32_t i = 0; !e && i < n; i++) {
            uint64_t w[MAX_WORDS];
            memcpy(w, group_at(o, g + i), s->n_words * sizeof w[0]);
            e = translate(s, o, ids, w) ? 0 : -ENOMEM;
            for (unsigned k = 0; k < s->n_words; k++) {
                s->words[k][i] = w[k];
            }
        }
        if (!e) {
            e = s->direct ? find_direct(s, n) : find_hashed(s, n);
        }
        for (uint32_t i = 0; !e && i < n; i++) {
            const uint64_t *x = group_at(o, g + i);
            for (unsigned m = 0; m < s->spec.n_metrics; m++) {
                s->group[i][s->n_words + m] += x[s->n_words + m];
            }
            if (s->flags) {
                s->group[i][s->size - 1] |= x[s->size - 1];
            }
        }
        g += n;
    }
    free(ids);
    return e;
}

/* Keeps the 'n' largest numbers; the smallest of them is the first. */
static void
sift(uint64_t *heap, size_t n, uint64_t v)
{
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) {
            break;
        }
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (heap[child] >= v) {
            break;
        }
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = v;
}

/* What is ordered by: more is better. */
static uint64_t
rank(const struct sums *s, const uint64_t *group)
{
    uint64_t v = group[s->n_words + s->spec.order];
    return s->spec.descending ? v : ~v;
}

void
sums_cut(struct sums *s)
{
    size_t n = (size_t) s->spec.top;
    if (!n || s->n <= n || s->flags) {
        return;                 /* Null is neither large nor small. */
    }
    uint64_t *heap = calloc(n, sizeof *heap);
    if (!heap) {
        return;                 /* It only spares work. */
    }
    for (uint32_t g = 0; g < s->n; g++) {
        uint64_t v = rank(s, group_at(s, g));
        if (v > heap[0]) {
            sift(heap, n, v);
        }
    }
    s->cut = heap[0];
    s->is_cut = true;
    free(heap);
}

static uint64_t
get_piece(const struct piece *p, const uint64_t *group)
{
    uint64_t v = group[p->word] >> p->shift;
    return p->bits < 64 ? v & ((UINT64_C(1) << p->bits) - 1) : v;
}

bool
sums_get(const struct sums *s, uint32_t i, int64_t *time_us,
         struct sums_value *keys, struct sums_value *metrics)
{
    const uint64_t *group = group_at(s, i);

    if (s->is_cut && rank(s, group) < s->cut) {
        return false;
    }
    if (s->spec.bucket_us) {
        *time_us = (int64_t) get_piece(&s->time, group) * s->spec.bucket_us;
    }
    for (unsigned k = 0; k < s->spec.n_keys; k++) {
        const struct piece *p = &s->keys[k];
        uint64_t v = get_piece(p, group);
        keys[k].null = p->bits == 64
                       ? !(group[p->there_word] >> p->there_shift & 1) : !v;
        keys[k].u = p->bits == 64 ? v : v - 1;
        if (!keys[k].null && columns[s->spec.keys[k].column].type
                             == COLUMN_T_ADDR) {
            keys[k].addr = s->addrs.list[v - 1];
        }
    }
    for (unsigned m = 0; m < s->spec.n_metrics; m++) {
        unsigned id = s->spec.metrics[m];
        metrics[m].u = group[s->n_words + m];
        metrics[m].null = id < N_COLUMNS && columns[id].flags & CF_NULL
                          && !(group[s->size - 1] >> m & 1);
    }
    return true;
}
