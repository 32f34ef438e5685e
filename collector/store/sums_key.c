#include <config.h>

#include "collector/store/sums_p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Keys of so few bits are looked up in an array. */
#define DIRECT_BITS 18

/* ---- Where keys are. ---- */

static unsigned
bits_of(uint64_t v)
{
    return v ? 64 - (unsigned) __builtin_clzll(v) : 1;
}

/* 'known' is how many its values need, or 0. */
static unsigned
key_bits(enum column_id id, unsigned known)
{
    switch (columns[id].type) {
    case COLUMN_T_ADDR:
    case COLUMN_T_NAME:
        return 32;
    case COLUMN_T_BOOL:
        return 2;
    default:
        /* A block may claim more than its type can be. */
        known = known && known < 8u * columns[id].size
                ? known : 8u * columns[id].size;
        return known >= 63 ? 64 : known + 1;
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

void
sums_place_keys(struct sums *s)
{
    uint8_t used[MAX_WORDS];
    unsigned n = 0, total = 0;

    if (s->spec.bucket_us) {
        int64_t last = s->spec.last_us ? s->spec.last_us : BLOCK_LAST_TIME_US;
        s->first_bucket = (uint64_t) (s->spec.first_us / s->spec.bucket_us);
        unsigned bits = bits_of((uint64_t) (last / s->spec.bucket_us)
                                - s->first_bucket);
        s->time = place(used, &n, bits);
        total += bits;
    }
    for (unsigned i = 0; i < s->spec.n_keys; i++) {
        unsigned bits = key_bits(s->spec.keys[i].column,
                                 s->spec.keys[i].bits);
        s->keys[i] = place(used, &n, bits);
        total += bits;
        if (bits == 64) {
            struct piece there = place(used, &n, 1);
            s->keys[i].there_word = there.word;
            s->keys[i].there_shift = there.shift;
        }
    }
    s->n_words = n ? n : 1;
    /* Numbers of names are dense. */
    s->direct = n <= 1 && (total <= DIRECT_BITS
                           || (s->spec.n_keys == 1 && !s->spec.bucket_us
                               && columns[s->spec.keys[0].column].type
                                  == COLUMN_T_NAME));
}

/* ---- Addresses. ---- */

struct sums_addrs *
sums_addrs_create(void)
{
    struct sums_addrs *a = calloc(1, sizeof *a);
    if (a) {
        pthread_mutex_init(&a->lock, NULL);
    }
    return a;
}

static void
table_free(struct addr_table *t)
{
    free(t->slots);
    memset(t, 0, sizeof *t);
}

void
sums_addrs_destroy(struct sums_addrs *a)
{
    if (a) {
        for (unsigned i = 0; i < ADDR_PAGES && a->pages[i]; i++) {
            free(a->pages[i]);
        }
        table_free(&a->table);
        pthread_mutex_destroy(&a->lock);
        free(a);
    }
}

static inline uint64_t
hash_addr(const struct addr *a)
{
    uint64_t half[2];
    memcpy(half, a, sizeof half);
    return sums_mix(sums_mix(half[0]) ^ half[1]);
}

static bool
table_grow(struct addr_table *t)
{
    uint32_t size = t->slots ? 2 * (t->mask + 1) : 2048;
    if (size > UINT32_C(1) << 30) {
        return false;
    }
    struct addr_slot *slots = sums_alloc_table(size * sizeof *slots);
    if (!slots) {
        return false;
    }
    memset(slots, 0, size * sizeof *slots);
    for (uint32_t k = 0; t->slots && k <= t->mask; k++) {
        const struct addr_slot *x = &t->slots[k];
        uint32_t i = (uint32_t) hash_addr(&x->addr) & (size - 1);
        while (x->used && slots[i].used) {
            i = (i + 1) & (size - 1);
        }
        if (x->used) {
            slots[i] = *x;
        }
    }
    free(t->slots);
    t->slots = slots;
    t->mask = size - 1;
    return true;
}

/* The code of an address, to be filled in if it is *fresh; NULL if out of
 * memory. */
static uint32_t *
table_find(struct addr_table *t, const struct addr *a, uint64_t hash,
           bool *fresh)
{
    if ((!t->slots || t->n > t->mask / 2) && !table_grow(t)) {
        return NULL;
    }
    uint32_t i = (uint32_t) hash & t->mask;
    while (t->slots[i].used && memcmp(&t->slots[i].addr, a, sizeof *a)) {
        i = (i + 1) & t->mask;
    }
    *fresh = !t->slots[i].used;
    if (*fresh) {
        t->slots[i].used = true;
        t->slots[i].addr = *a;
        t->n++;
    }
    return &t->slots[i].code;
}

/* The number of an address that no thread of ours has met, or NONE. */
static uint32_t
number_addr(struct sums_addrs *x, const struct addr *a, uint64_t hash)
{
    uint32_t number = NONE;
    bool fresh;

    pthread_mutex_lock(&x->lock);
    uint32_t *code = table_find(&x->table, a, hash, &fresh);
    if (code && !fresh) {
        number = *code;
    } else if (code) {
        uint32_t k = x->table.n - 1;
        struct addr **page = &x->pages[k / ADDR_PAGE];
        *page = *page ? *page : malloc(ADDR_PAGE * sizeof **page);
        if (*page) {
            (*page)[k % ADDR_PAGE] = *a;
            *code = number = k;
        }
    }
    pthread_mutex_unlock(&x->lock);
    return number;
}

static inline uint32_t
v4_number(const struct addr *a)
{
    uint32_t v;
    memcpy(&v, a->b + 12, sizeof v);
    return __builtin_bswap32(v);
}

/* The address that counts: itself, or the prefix that it is in. */
static struct addr
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

/* Of an address that is masked.  NONE (which is CODE_NULL) if out of memory. */
static uint32_t
code_wide(struct sums *s, const struct addr *a, uint64_t hash)
{
    bool fresh;
    uint32_t *code = table_find(&s->known, a, hash, &fresh);

    if (code && fresh) {
        uint32_t k = number_addr(s->addrs, a, hash);
        *code = k == NONE || k >= CODE_NULL - CODE_NUMBER ? NONE
                                                          : CODE_NUMBER + k;
    }
    return code ? *code : NONE;
}

static uint32_t
code_addr(struct sums *s, unsigned key, const struct addr *a)
{
    struct addr masked = mask_addr(s, key, a);

    if (addr_is_v4(&masked) && v4_number(&masked) < CODE_NUMBER) {
        return v4_number(&masked);
    }
    return code_wide(s, &masked, hash_addr(&masked));
}

/* What tells an address roughly from others. */
static inline uint32_t
rough_addr(const struct sums *s, unsigned key, const struct addr *a)
{
    struct addr masked = mask_addr(s, key, a);

    return addr_is_v4(&masked) && v4_number(&masked) < CODE_NUMBER
           ? v4_number(&masked) : (uint32_t) hash_addr(&masked);
}

/* Codes entries of the block's table that are not coded yet, of rows 'fresh'
 * of the list; memory is waited for once for all of them. */
static int
code_entries(struct sums *s, unsigned key, const struct addr *entries,
             const uint16_t *index, const uint16_t *fresh, uint32_t n)
{
    uint32_t *ids = s->ids[key];

    for (uint32_t i = 0; i < n; i++) {
        s->masked[i] = mask_addr(s, key, &entries[s->codes[index[fresh[i]]]]);
        s->hash[i] = hash_addr(&s->masked[i]);
        if (s->known.slots) {
            __builtin_prefetch(&s->known.slots[(uint32_t) s->hash[i]
                                               & s->known.mask]);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *id = &ids[s->codes[index[fresh[i]]]];
        if (*id == NONE) {
            *id = code_wide(s, &s->masked[i], s->hash[i]);
            if (*id == NONE) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

/* What an IPv4 address, as a number, is masked with. */
static uint32_t
v4_mask(const struct sums *s, unsigned key)
{
    unsigned len = s->spec.keys[key].v4_len;

    return !s->spec.keys[key].prefix || len >= 32 ? UINT32_MAX
           : !len ? 0 : ~(UINT32_MAX >> len);
}

/* ---- Keys of a frame. ---- */

static inline bool
has(const struct flow_batch *b, enum column_id id, uint32_t row)
{
    return !(columns[id].flags & CF_NULL) || batch_is_valid(b, id, row);
}

/* Codes of what a block's table has: IPv4 is itself, others are NONE yet. */
static uint32_t *
begin_ids(struct sums *s, unsigned key, const struct addr *entries,
          uint32_t n)
{
    uint32_t mask = v4_mask(s, key);
    uint32_t *ids = realloc(s->ids[key], n * sizeof *ids);
    if (!ids) {
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = v4_number(&entries[i]) & mask;
        ids[i] = addr_is_v4(&entries[i]) && v < CODE_NUMBER ? v : NONE;
    }
    s->ids[key] = ids;
    s->n_ids[key] = n;
    return ids;
}

/* Of few rows each is looked at by itself, not all that the table has. */
#define FEW_PART 4

/* Of a column of addresses that 's->codes' are positions in the table of. */
static int
add_few_addrs(struct sums *s, unsigned key, const struct addr *entries,
              const struct flow_batch *b, const uint16_t *index, uint32_t n,
              uint64_t *words, bool rough)
{
    enum column_id id = s->spec.keys[key].column;
    unsigned shift = s->keys[key].shift;

    for (uint32_t i = 0; i < n; i++) {
        const struct addr *a = &entries[s->codes[index[i]]];
        uint32_t code = CODE_NULL;
        if (has(b, id, index[i])) {
            code = rough ? rough_addr(s, key, a) : code_addr(s, key, a);
            if (code == NONE && !rough) {
                return -ENOMEM;
            }
        }
        words[i] |= (uint64_t) code << shift;
    }
    return 0;
}

/* Addresses that the block has a table of: each is coded once. */
static int
add_table_addrs(struct sums *s, unsigned key, struct block_reader *r,
                unsigned frame, struct flow_batch *b, const uint16_t *index,
                uint32_t n, uint64_t *words)
{
    enum column_id id = s->spec.keys[key].column;
    const struct addr *entries;
    uint32_t n_entries;
    int e = block_read_table(r, id, frame, b, index, n, s->codes, &entries,
                             &n_entries);
    const uint32_t *ids = s->ids[key];
    if (!e && !s->n_ids[key] && n < b->n / FEW_PART) {
        return add_few_addrs(s, key, entries, b, index, n, words, false);
    } else if (!e && !s->n_ids[key]) {
        ids = begin_ids(s, key, entries, n_entries);
        e = ids ? 0 : -ENOMEM;
    }
    if (e) {
        return e;
    }
    unsigned shift = s->keys[key].shift;
    uint16_t fresh[FRAME_ROWS];
    uint32_t n_fresh = 0;
    bool complete = !(columns[id].flags & CF_NULL) || batch_all_valid(b, id);
    for (uint32_t i = 0; i < n; i++) {
        bool there = complete || batch_is_valid(b, id, index[i]);
        uint32_t code = there ? ids[s->codes[index[i]]] : CODE_NULL;
        fresh[n_fresh] = (uint16_t) i;
        n_fresh += there && code == NONE;
        words[i] |= (uint64_t) code << shift;
    }
    if (n_fresh) {
        e = code_entries(s, key, entries, index, fresh, n_fresh);
    }
    for (uint32_t i = 0; !e && i < n_fresh; i++) {
        uint64_t code = ids[s->codes[index[fresh[i]]]];
        words[fresh[i]] ^= (NONE ^ code) << shift;
    }
    return e;
}

static int
add_rough_table(struct sums *s, unsigned key, struct block_reader *r,
                unsigned frame, struct flow_batch *b, const uint16_t *index,
                uint32_t n, uint64_t *words)
{
    enum column_id id = s->spec.keys[key].column;
    const struct addr *entries;
    uint32_t n_entries;
    int e = block_read_table(r, id, frame, b, index, n, s->codes, &entries,
                             &n_entries);
    if (!e && !s->n_rough_ids[key] && n < b->n / FEW_PART) {
        return add_few_addrs(s, key, entries, b, index, n, words, true);
    } else if (!e && !s->n_rough_ids[key]) {
        uint32_t *ids = realloc(s->rough_ids[key], n_entries * sizeof *ids);
        if (!ids) {
            return -ENOMEM;
        }
        s->rough_ids[key] = ids;
        s->n_rough_ids[key] = n_entries;
        for (uint32_t i = 0; i < n_entries; i++) {
            ids[i] = rough_addr(s, key, &entries[i]);
        }
    }
    const uint32_t *ids = s->rough_ids[key];
    unsigned shift = s->keys[key].shift;
    bool complete = !(columns[id].flags & CF_NULL) || batch_all_valid(b, id);
    for (uint32_t i = 0; !e && i < n; i++) {
        uint32_t code = complete || batch_is_valid(b, id, index[i])
                        ? ids[s->codes[index[i]]] : CODE_NULL;
        words[i] |= (uint64_t) code << shift;
    }
    return e;
}

/* IPv4 addresses that are numbers already. */
static int
add_v4_addrs(struct sums *s, unsigned key, struct block_reader *r,
             unsigned frame, struct flow_batch *b, const uint16_t *index,
             uint32_t n, uint64_t *words, bool rough)
{
    enum column_id id = s->spec.keys[key].column;
    uint32_t mask = v4_mask(s, key);
    unsigned shift = s->keys[key].shift;
    int e = block_read_v4(r, id, frame, b, index, n, s->codes);

    for (uint32_t i = 0; !e && i < n; i++) {
        uint32_t v = s->codes[index[i]] & mask;
        if (__builtin_expect(v >= CODE_NUMBER || !has(b, id, index[i]), 0)) {
            uint32_t be = __builtin_bswap32(v);
            struct addr a = addr_from_v4_bytes((const uint8_t *) &be);
            v = CODE_NULL;
            if (has(b, id, index[i]) && rough) {
                v = rough_addr(s, key, &a);
            } else if (has(b, id, index[i])) {
                v = code_addr(s, key, &a);
                e = v == NONE ? -ENOMEM : 0;
            }
        }
        words[i] |= (uint64_t) v << shift;
    }
    return e;
}

static int
add_addrs(struct sums *s, unsigned key, const struct flow_batch *b,
          const uint16_t *index, uint32_t n, uint64_t *words, bool rough)
{
    enum column_id id = s->spec.keys[key].column;
    const struct addr *v = (const void *) ((const uint8_t *) b
                                           + columns[id].offset);
    unsigned shift = s->keys[key].shift;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t code = CODE_NULL;
        if (has(b, id, index[i]) && rough) {
            code = rough_addr(s, key, &v[index[i]]);
        } else if (has(b, id, index[i])) {
            code = code_addr(s, key, &v[index[i]]);
            if (code == NONE) {
                return -ENOMEM;
            }
        }
        words[i] |= (uint64_t) code << shift;
    }
    return 0;
}

#define ADD(T)                                                          \
    do {                                                                \
        const T *v = (const void *) values;                             \
        if (complete) {                                                 \
            for (uint32_t i = 0; i < n; i++) {                          \
                words[i] |= (((uint64_t) v[index[i]] + 1) & mask)       \
                            << shift;                                   \
            }                                                           \
        } else {                                                        \
            for (uint32_t i = 0; i < n; i++) {                          \
                uint64_t code = has(b, id, index[i])                    \
                                ? (uint64_t) v[index[i]] + 1 : 0;       \
                words[i] |= (code & mask) << shift;                     \
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
    bool complete = !(columns[id].flags & CF_NULL)
                    || batch_all_valid(b, id);

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
    /* A block may be damaged: no key gets into another's place. */
    uint64_t mask = (UINT64_C(1) << p->bits) - 1;
    switch (columns[id].size) {
    case 1:
        ADD(uint8_t);
        break;
    case 2:
        ADD(uint16_t);
        break;
    case 4:
        ADD(uint32_t);
        break;
    default:
        ADD(uint64_t);
        break;
    }
}

static int
add_times(struct sums *s, struct block_reader *r, unsigned frame,
          struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    uint64_t step = (uint64_t) s->spec.bucket_us;
    uint64_t from = 1, to = 0, code = 0;        /* Of the last one. */
    uint64_t *words = s->words[s->time.word];
    uint64_t mask = (UINT64_C(1) << s->time.bits) - 1;
    int e = block_read_rows(r, COL_flow_end, frame, b, index, n);

    for (uint32_t i = 0; !e && i < n; i++) {
        uint64_t t = (uint64_t) b->flow_end[index[i]];
        if (t < from || t >= to) {
            code = t / step;
            from = code * step;
            to = from + step;
            code = (code - s->first_bucket) & mask;
        }
        words[i] |= code << s->time.shift;
    }
    return e;
}

static int
add_key(struct sums *s, unsigned key, struct block_reader *r, unsigned frame,
        struct flow_batch *b, const uint16_t *index, uint32_t n, bool rough)
{
    enum column_id id = s->spec.keys[key].column;
    uint64_t *words = s->words[s->keys[key].word];
    bool addr = columns[id].type == COLUMN_T_ADDR;

    if (addr && block_has_table(r, id)) {
        return rough ? add_rough_table(s, key, r, frame, b, index, n, words)
                     : add_table_addrs(s, key, r, frame, b, index, n, words);
    } else if (addr && block_has_v4(r, id)) {
        return add_v4_addrs(s, key, r, frame, b, index, n, words, rough);
    }
    int e = block_read_rows(r, id, frame, b, index, n);
    if (!e && addr) {
        e = add_addrs(s, key, b, index, n, words, rough);
    } else if (!e) {
        add_numbers(s, key, b, index, n);
    }
    return e;
}

static int
make_keys(struct sums *s, struct block_reader *r, unsigned frame,
          struct flow_batch *b, const uint16_t *index, uint32_t n,
          bool rough)
{
    const struct block_head *h = block_reader_head(r);
    int e = 0;

    if (h != s->head || !frame) {
        s->head = h;
        memset(s->n_ids, 0, sizeof s->n_ids);
        memset(s->n_rough_ids, 0, sizeof s->n_rough_ids);
    }
    for (unsigned w = 0; w < s->n_words; w++) {
        memset(s->words[w], 0, n * sizeof s->words[w][0]);
    }
    if (s->spec.bucket_us) {
        e = add_times(s, r, frame, b, index, n);
    }
    for (unsigned k = 0; !e && k < s->spec.n_keys; k++) {
        e = add_key(s, k, r, frame, b, index, n, rough);
    }
    return e;
}

int
sums_make_keys(struct sums *s, struct block_reader *r, unsigned frame,
               struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    return make_keys(s, r, frame, b, index, n, false);
}

int
sums_make_rough_keys(struct sums *s, struct block_reader *r, unsigned frame,
                     struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    return make_keys(s, r, frame, b, index, n, true);
}

void
sums_rough_group(const struct sums *s, const uint64_t *group,
                 uint64_t words[MAX_WORDS])
{
    memcpy(words, group, s->n_words * sizeof words[0]);
    for (unsigned k = 0; k < s->spec.n_keys; k++) {
        const struct piece *p = &s->keys[k];
        uint32_t code = (uint32_t) (group[p->word] >> p->shift);
        if (columns[s->spec.keys[k].column].type == COLUMN_T_ADDR
            && code >= CODE_NUMBER && code != CODE_NULL) {
            uint64_t number = code - CODE_NUMBER;
            uint64_t hash = hash_addr(&s->addrs->pages[number / ADDR_PAGE]
                                                      [number % ADDR_PAGE]);
            words[p->word] ^= (uint64_t) (code ^ (uint32_t) hash)
                              << p->shift;
        }
    }
}

/* ---- And back. ---- */

static uint64_t
get_piece(const struct piece *p, const uint64_t *group)
{
    uint64_t v = group[p->word] >> p->shift;
    return p->bits < 64 ? v & ((UINT64_C(1) << p->bits) - 1) : v;
}

static void
get_addr(const struct sums *s, uint32_t code, struct sums_value *v)
{
    v->null = code == CODE_NULL;
    if (code < CODE_NUMBER) {
        uint32_t be = __builtin_bswap32(code);
        v->addr = addr_from_v4_bytes((const uint8_t *) &be);
    } else if (!v->null) {
        code -= CODE_NUMBER;
        v->addr = s->addrs->pages[code / ADDR_PAGE][code % ADDR_PAGE];
    }
}

void
sums_get_keys(const struct sums *s, const uint64_t *group, int64_t *time_us,
              struct sums_value *keys)
{
    if (s->spec.bucket_us) {
        *time_us = (int64_t) (get_piece(&s->time, group) + s->first_bucket)
                   * s->spec.bucket_us;
    }
    for (unsigned k = 0; k < s->spec.n_keys; k++) {
        const struct piece *p = &s->keys[k];
        uint64_t v = get_piece(p, group);
        if (columns[s->spec.keys[k].column].type == COLUMN_T_ADDR) {
            get_addr(s, (uint32_t) v, &keys[k]);
            continue;
        }
        keys[k].null = p->bits == 64
                       ? !(group[p->there_word] >> p->there_shift & 1) : !v;
        keys[k].u = p->bits == 64 ? v : v - 1;
    }
}

void
sums_clear_keys(struct sums *s)
{
    table_free(&s->known);
    for (unsigned i = 0; i < SUMS_MAX_KEYS; i++) {
        free(s->ids[i]);
        free(s->rough_ids[i]);
    }
}
