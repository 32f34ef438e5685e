#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/block_p.h"
#include "lib/dict.h"

/* Columns that refer to columns that refer to columns. */
#define MAX_DEPTH 3

/* What was read of one column of the block. */
struct loaded {
    bool tried;
    int error;                  /* 0: the rest is valid. */
    uint8_t *body;
    size_t allocated;
    const uint64_t *nulls;      /* Its bitmap, or NULL: complete. */
    struct packed numbers;      /* Or positions in the table. */
    const uint8_t *wide;
    uint32_t n_entries;
    union {
        uint64_t *numbers;
        struct addr *addrs;
        uint32_t *names;
        void *any;
    } entries;
    size_t entries_allocated;
};

struct block_reader {
    struct dict *dict;
    const struct block_head *head;
    block_fetch_fn *fetch;
    void *aux;
    uint64_t bytes;
    struct loaded columns[N_COLUMNS];
    /* One frame of numbers, for each depth and one more. */
    uint64_t numbers[MAX_DEPTH + 1][FRAME_ROWS];
    uint32_t codes[FRAME_ROWS];
    struct flow_batch *sampling;
};

/* ---- The header. ---- */

bool
block_sizes(const uint8_t *p, uint32_t *head, uint32_t *whole)
{
    struct disk_head h;
    memcpy(&h, p, sizeof h);
    *head = h.head_size;
    *whole = h.size;
    return h.magic == BLOCK_MAGIC && h.n_columns <= BLOCK_MAX_COLUMNS
           && h.head_size == sizeof h + h.n_columns
                                        * sizeof(struct disk_column)
           && h.size >= h.head_size && h.size <= BLOCK_MAX_BYTES
           && h.size % 8 == 0 && h.n_rows && h.n_rows <= BLOCK_ROWS;
}

/* Whether what a directory says of a column makes sense by itself. */
static bool
column_is_sane(const struct block_column *c, const struct disk_head *h)
{
    enum column_type type = columns[c->id].type;
    bool addr = type == COLUMN_T_ADDR, name = type == COLUMN_T_NAME;

    return c->kind >= KIND_CONST && c->kind < N_BLOCK_KINDS
           && c->nulls < N_BLOCK_NULLS && !(c->flags & ~FLAG_ALL)
           && c->offset >= h->head_size && c->offset % 8 == 0
           && c->offset <= h->size && c->size <= h->size - c->offset
           && c->unit && (addr || !(c->flags & FLAG_V4))
           && (c->kind != KIND_WIDE || addr)
           && (c->kind != KIND_NUMBERS || !addr || c->flags & FLAG_V4)
           && !(name && (c->kind == KIND_NUMBERS || c->flags));
}

static void
convert(struct block_column *c, const struct disk_column *d,
        enum column_id id)
{
    c->id = id;
    c->kind = d->kind;
    c->flags = d->flags;
    c->nulls = d->nulls;
    c->ref = d->ref;
    c->nulls_of = d->nulls_of;
    c->offset = d->offset;
    c->size = d->size;
    c->checksum = d->checksum;
    c->param = d->param;
    c->unit = d->unit;
    c->base = d->base;
    memcpy(&c->min, d->min, sizeof c->min);
    memcpy(&c->max, d->max, sizeof c->max);
}

struct block_head *
block_head_read(const uint8_t *p, size_t size,
                const struct block_columns *map)
{
    struct disk_head h;
    uint32_t head_size, whole;

    if (size < sizeof h || !block_sizes(p, &head_size, &whole)
        || size < head_size) {
        return NULL;
    }
    uint8_t *copy = malloc(head_size);
    struct block_head *b = NULL;
    memcpy(&h, p, sizeof h);
    uint64_t checksum = h.checksum;
    h.checksum = 0;
    if (copy) {
        memcpy(copy, p, head_size);
        memcpy(copy, &h, sizeof h);
        if (pack_checksum(copy, head_size) == checksum) {
            b = calloc(1, sizeof *b + h.n_columns * sizeof b->columns[0]);
        }
    }
    for (unsigned i = 0; b && i < N_COLUMNS; i++) {
        b->at[i] = UINT16_MAX;
    }
    for (unsigned i = 0; b && i < h.n_columns; i++) {
        struct disk_column d;
        memcpy(&d, copy + sizeof h + i * sizeof d, sizeof d);
        enum column_id id = d.column < map->n ? map->id[d.column]
                                              : N_COLUMNS;
        if (id >= N_COLUMNS) {
            continue;           /* Of another version. */
        }
        struct block_column *c = &b->columns[b->n_columns];
        convert(c, &d, id);
        c->ref = d.ref < map->n ? map->id[d.ref] : N_COLUMNS;
        c->nulls_of = d.nulls_of < map->n ? map->id[d.nulls_of] : N_COLUMNS;
        if (b->at[id] != UINT16_MAX || !column_is_sane(c, &h)) {
            free(b);
            b = NULL;
        } else {
            b->at[id] = (uint16_t) b->n_columns++;
        }
    }
    free(copy);
    if (b) {
        b->size = h.size;
        b->n_rows = h.n_rows;
        b->first_row = h.first_row;
        b->min_us = h.min_us;
        b->max_us = h.max_us;
    }
    return b;
}

bool
block_is_constant(const struct block_column *c)
{
    return c->kind == KIND_CONST && c->nulls == NULLS_NONE;
}

bool
block_is_complete(const struct block_column *c)
{
    return c->nulls == NULLS_NONE;
}

/* ---- Bodies. ---- */

struct block_reader *
block_reader_create(struct dict *dict)
{
    struct block_reader *r = calloc(1, sizeof *r);
    if (r) {
        r->dict = dict;
    }
    return r;
}

void
block_reader_destroy(struct block_reader *r)
{
    if (r) {
        for (unsigned i = 0; i < N_COLUMNS; i++) {
            free(r->columns[i].body);
            free(r->columns[i].entries.any);
        }
        batch_destroy(r->sampling);
        free(r);
    }
}

void
block_reader_set(struct block_reader *r, const struct block_head *head,
                 block_fetch_fn *fetch, void *aux)
{
    r->head = head;
    r->fetch = fetch;
    r->aux = aux;
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        r->columns[i].tried = false;
    }
}

uint64_t
block_reader_bytes(const struct block_reader *r)
{
    return r->bytes;
}

static int
reserve_entries(struct loaded *l, size_t size)
{
    if (l->entries_allocated < size) {
        void *p = realloc(l->entries.any, size);
        if (!p) {
            return -ENOMEM;
        }
        l->entries.any = p;
        l->entries_allocated = size;
    }
    return 0;
}

/* Packed table entries in frames of FRAME_ROWS, as numbers in 'out'.  Returns
 * the bytes that they took, 0 if something is wrong. */
static size_t
read_entries(const uint8_t *p, size_t size, uint32_t n, uint64_t *out)
{
    struct packed x;
    size_t frames = (n + FRAME_ROWS - 1) / FRAME_ROWS;
    size_t used = pack_open(&x, p, size, frames);

    for (size_t f = 0; used && f < frames; f++) {
        uint32_t left = n - (uint32_t) f * FRAME_ROWS;
        if (!pack_read_u64(&x, f, left < FRAME_ROWS ? left : FRAME_ROWS,
                           out + f * FRAME_ROWS)) {
            return 0;
        }
    }
    return used;
}

/* A table of numbers or addresses; the positions follow it. */
static int
load_table(const struct block_column *c, struct loaded *l, const uint8_t *p,
           size_t size, size_t n_frames)
{
    bool addr = columns[c->id].type == COLUMN_T_ADDR;
    uint32_t n[2];

    if (size < sizeof n) {
        return -EBADMSG;
    }
    memcpy(n, p, sizeof n);
    p += sizeof n;
    size -= sizeof n;
    if (n[0] > BLOCK_ROWS || n[1] > BLOCK_ROWS || n[0] + n[1] > BLOCK_ROWS
        || (!addr && n[1]) || n[1] > size / sizeof(struct addr)) {
        return -EBADMSG;
    }
    l->n_entries = n[0] + n[1];
    if (reserve_entries(l, l->n_entries * sizeof(struct addr) + 1)) {
        return -ENOMEM;
    }
    uint64_t *numbers = l->entries.numbers;
    size_t used = read_entries(p, size, n[0], numbers);
    if (!used) {
        return -EBADMSG;
    }
    p += used;
    size -= used;
    if (addr) {
        /* In place, from the end: an address is longer than a number. */
        for (uint32_t i = n[0]; i-- > 0; ) {
            uint32_t be = __builtin_bswap32((uint32_t) numbers[i]);
            struct addr a = addr_from_v4_bytes((const uint8_t *) &be);
            memcpy(&l->entries.addrs[i], &a, sizeof a);
        }
        if (n[1] > size / sizeof(struct addr)) {
            return -EBADMSG;
        }
        memcpy(l->entries.addrs + n[0], p, n[1] * sizeof(struct addr));
        p += n[1] * sizeof(struct addr);
        size -= n[1] * sizeof(struct addr);
    }
    return pack_open(&l->numbers, p, size, n_frames) ? 0 : -EBADMSG;
}

static int
load_names(struct block_reader *r, const struct block_column *c,
           struct loaded *l, const uint8_t *p, size_t size, size_t n_frames)
{
    uint32_t n, start = 0;

    if (size < sizeof n || !r->dict) {
        return -EBADMSG;
    }
    memcpy(&n, p, sizeof n);
    p += sizeof n;
    size -= sizeof n;
    if (!n || n > BLOCK_ROWS || n > size / sizeof n
        || (c->kind == KIND_CONST && n != 1)) {
        return -EBADMSG;
    }
    if (reserve_entries(l, n * sizeof n)) {
        return -ENOMEM;
    }
    const uint8_t *ends = p;
    p += n * sizeof n;
    size -= n * sizeof n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t end;
        memcpy(&end, ends + i * sizeof end, sizeof end);
        if (end < start || end > size) {
            return -EBADMSG;
        }
        l->entries.names[i] = dict_passing(r->dict, (const char *) p + start,
                                          end - start);
        start = end;
    }
    l->n_entries = n;
    return n == 1 || pack_open(&l->numbers, p + start, size - start,
                               n_frames) ? 0 : -EBADMSG;
}

static struct loaded *load(struct block_reader *, enum column_id,
                           unsigned depth);

static int
load_nulls(struct block_reader *r, const struct block_column *c,
           struct loaded *l, unsigned depth)
{
    l->nulls = NULL;
    if (c->nulls == NULLS_BITMAP) {
        if (c->size < BITMAP_BYTES(r->head->n_rows)) {
            return -EBADMSG;
        }
        l->nulls = (const uint64_t *) (const void *) l->body;
    } else if (c->nulls == NULLS_SAME) {
        const struct block_column *other
            = c->nulls_of < N_COLUMNS
              ? block_column(r->head, c->nulls_of) : NULL;
        const struct loaded *o
            = other && other->nulls == NULLS_BITMAP && depth
              ? load(r, c->nulls_of, depth - 1) : NULL;
        if (!o || o->error) {
            return o ? o->error : -EBADMSG;
        }
        l->nulls = o->nulls;
    }
    return 0;
}

static int
load_body(struct block_reader *r, const struct block_column *c,
          struct loaded *l, unsigned depth)
{
    size_t need = c->size + PACK_SLACK, n_frames = block_frames(r->head);

    if (l->allocated < need) {
        free(l->body);
        l->body = malloc(need);
        l->allocated = l->body ? need : 0;
        if (!l->body) {
            return -ENOMEM;
        }
    }
    int e = c->size ? r->fetch(r->aux, c->offset, l->body, c->size) : 0;
    if (e) {
        return e;
    }
    r->bytes += c->size;
    memset(l->body + c->size, 0, PACK_SLACK);
    if (pack_checksum(l->body, c->size) != c->checksum) {
        return -EBADMSG;
    }
    e = load_nulls(r, c, l, depth);
    if (e) {
        return e;
    }
    size_t skip = c->nulls == NULLS_BITMAP ? BITMAP_BYTES(r->head->n_rows)
                                           : 0;
    const uint8_t *p = l->body + skip;
    size_t size = c->size - skip;

    if (columns[c->id].type == COLUMN_T_NAME) {
        return load_names(r, c, l, p, size, n_frames);
    } else if (c->kind == KIND_TABLE) {
        return load_table(c, l, p, size, n_frames);
    } else if (c->kind == KIND_NUMBERS) {
        return pack_open(&l->numbers, p, size, n_frames) ? 0 : -EBADMSG;
    } else if (c->kind == KIND_WIDE) {
        l->wide = p;
        l->n_entries = (uint32_t) (size / sizeof(struct addr));
    }
    return 0;
}

static struct loaded *
load(struct block_reader *r, enum column_id id, unsigned depth)
{
    struct loaded *l = &r->columns[id];
    if (!l->tried) {
        l->tried = true;
        l->error = load_body(r, block_column(r->head, id), l, depth);
    }
    return l;
}

/* ---- Frames. ---- */

static unsigned
frame_words(const struct block_head *h, unsigned frame)
{
    return (block_frame_rows(h, frame) + 63) / 64;
}

/* How many rows of a frame have a value. */
static uint32_t
frame_count(const struct block_head *h, const struct loaded *l,
            unsigned frame)
{
    if (!l->nulls) {
        return block_frame_rows(h, frame);
    }
    uint32_t n = 0;
    for (unsigned w = 0; w < frame_words(h, frame); w++) {
        n += (uint32_t) __builtin_popcountll(l->nulls[frame * 32 + w]);
    }
    return n;
}

static int read_numbers(struct block_reader *, const struct block_column *,
                        const struct loaded *, unsigned frame, uint32_t n,
                        unsigned depth);

/* Undoes what was done to numbers that are in r->numbers[depth]. */
static int
restore(struct block_reader *r, const struct block_column *c, unsigned frame,
        uint32_t n, unsigned depth)
{
    uint64_t *v = r->numbers[depth], sum = 0;

    if (c->flags & FLAG_DELTA) {
        for (uint32_t i = 0; i < n; i++) {
            sum += v[i] >> 1 ^ -(v[i] & 1);
            v[i] = sum;
        }
    }
    if (c->flags & FLAG_SCALED) {
        for (uint32_t i = 0; i < n; i++) {
            v[i] *= c->unit;
        }
    }
    if (c->base) {
        for (uint32_t i = 0; i < n; i++) {
            v[i] += c->base;
        }
    }
    if (!(c->flags & FLAG_DERIVED)) {
        return 0;
    }
    const struct block_column *ref
        = c->ref < N_COLUMNS ? block_column(r->head, c->ref) : NULL;
    if (!ref || !depth || c->nulls != NULLS_NONE
        || ref->nulls != NULLS_NONE
        || columns[c->ref].type == COLUMN_T_ADDR
        || columns[c->ref].type == COLUMN_T_NAME) {
        return -EBADMSG;
    }
    const struct loaded *l = load(r, c->ref, 0);
    int e = l->error ? l->error
                     : read_numbers(r, ref, l, frame, n, depth - 1);
    if (e) {
        return e;
    }
    const uint64_t *x = r->numbers[depth - 1];
    if (c->flags & FLAG_SAMPLED) {
        if (!r->sampling && !(r->sampling = batch_create())) {
            return -ENOMEM;
        }
        const struct block_column *s = block_column(r->head, COL_sampling);
        struct flow_batch *b = r->sampling;
        /* It is never derived itself, which would be a circle. */
        e = s && s->flags ? -EBADMSG : block_read(r, COL_sampling, frame, b);
        for (uint32_t i = 0; !e && i < n; i++) {
            uint64_t k = batch_is_valid(b, COL_sampling, i)
                         && b->sampling[i] ? b->sampling[i] : 1;
            v[i] += x[i] * k;
        }
        return e;
    }
    for (uint32_t i = 0; i < n; i++) {
        v[i] += x[i] * c->param;
    }
    return 0;
}

/* The numbers of a frame into r->numbers[depth]. */
static int
read_numbers(struct block_reader *r, const struct block_column *c,
             const struct loaded *l, unsigned frame, uint32_t n,
             unsigned depth)
{
    uint64_t *v = r->numbers[depth];

    if (c->kind == KIND_CONST) {
        for (uint32_t i = 0; i < n; i++) {
            v[i] = c->min.u;
        }
    } else if (c->kind == KIND_TABLE) {
        if (!pack_read_u32(&l->numbers, frame, n, r->codes)) {
            return -EBADMSG;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (r->codes[i] >= l->n_entries) {
                return -EBADMSG;
            }
            v[i] = l->entries.numbers[r->codes[i]];
        }
    } else if (c->kind != KIND_NUMBERS
               || !pack_read_u64(&l->numbers, frame, n, v)) {
        return -EBADMSG;
    } else {
        return restore(r, c, frame, n, depth);
    }
    return 0;
}

/* Values that are close together get to their rows, from the last on. */
#define SPREAD(T)                                                       \
    do {                                                                \
        T *v = out;                                                     \
        for (uint32_t row = rows; row-- > 0; ) {                        \
            if (nulls[row / 64] >> row % 64 & 1) {                      \
                v[row] = v[--n];                                        \
            }                                                           \
        }                                                               \
    } while (0)

static void
spread(void *out, size_t size, const uint64_t *nulls, uint32_t rows,
       uint32_t n)
{
    switch (size) {
    case 1:
        SPREAD(uint8_t);
        break;
    case 2:
        SPREAD(uint16_t);
        break;
    case 4:
        SPREAD(uint32_t);
        break;
    case 8:
        SPREAD(uint64_t);
        break;
    default:
        SPREAD(struct addr);
        break;
    }
}

/* Entries of a table by position. */
#define LOOK_UP(T, TABLE)                                               \
    do {                                                                \
        T *v = out;                                                     \
        uint32_t bad = 0;                                               \
        for (uint32_t i = 0; i < n; i++) {                              \
            bad |= r->codes[i] >= l->n_entries;                         \
        }                                                               \
        for (uint32_t i = 0; !bad && i < n; i++) {                      \
            v[i] = (T) (TABLE)[r->codes[i]];                            \
        }                                                               \
        return bad ? -EBADMSG : 0;                                      \
    } while (0)

static int
look_up(struct block_reader *r, const struct block_column *c,
        const struct loaded *l, unsigned frame, uint32_t n, void *out)
{
    if (!pack_read_u32(&l->numbers, frame, n, r->codes)) {
        return -EBADMSG;
    } else if (columns[c->id].type == COLUMN_T_NAME) {
        LOOK_UP(uint32_t, l->entries.names);
    } else if (columns[c->id].type == COLUMN_T_ADDR) {
        LOOK_UP(struct addr, l->entries.addrs);
    }
    switch (columns[c->id].size) {
    case 1:
        LOOK_UP(uint8_t, l->entries.numbers);
    case 2:
        LOOK_UP(uint16_t, l->entries.numbers);
    case 4:
        LOOK_UP(uint32_t, l->entries.numbers);
    default:
        LOOK_UP(uint64_t, l->entries.numbers);
    }
}

#define FILL(T, VALUE)                                                  \
    do {                                                                \
        T *v = out, x = (T) (VALUE);                                    \
        for (uint32_t i = 0; i < n; i++) {                              \
            v[i] = x;                                                   \
        }                                                               \
    } while (0)

static void
fill(void *out, size_t size, uint64_t value, uint32_t n)
{
    switch (size) {
    case 1:
        FILL(uint8_t, value);
        break;
    case 2:
        FILL(uint16_t, value);
        break;
    case 4:
        FILL(uint32_t, value);
        break;
    default:
        FILL(uint64_t, value);
        break;
    }
}

#define NARROW(T)                                       \
    do {                                                \
        T *p = out;                                     \
        for (uint32_t i = 0; i < n; i++) {              \
            p[i] = (T) v[i];                            \
        }                                               \
    } while (0)

/* Numbers that something was done to. */
static int
read_derived(struct block_reader *r, const struct block_column *c,
             const struct loaded *l, unsigned frame, uint32_t n, void *out)
{
    int e = read_numbers(r, c, l, frame, n, MAX_DEPTH);
    const uint64_t *v = r->numbers[MAX_DEPTH];
    if (e) {
        return e;
    }
    switch (columns[c->id].size) {
    case 1:
        NARROW(uint8_t);
        break;
    case 2:
        NARROW(uint16_t);
        break;
    case 4:
        NARROW(uint32_t);
        break;
    default:
        memcpy(out, v, n * sizeof *v);
        break;
    }
    return 0;
}

/* IPv4 addresses that were packed as numbers. */
static int
read_v4(struct block_reader *r, const struct loaded *l, unsigned frame,
        uint32_t n, struct addr *out)
{
    if (!pack_read_u32(&l->numbers, frame, n, r->codes)) {
        return -EBADMSG;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t be = __builtin_bswap32(r->codes[i]);
        out[i] = addr_from_v4_bytes((const uint8_t *) &be);
    }
    return 0;
}

/* The values of a frame, close together. */
static int
read_values(struct block_reader *r, const struct block_column *c,
            const struct loaded *l, unsigned frame, uint32_t n, void *out)
{
    size_t size = columns[c->id].size;
    bool addr = columns[c->id].type == COLUMN_T_ADDR;
    bool ok;

    if (c->kind == KIND_CONST && addr) {
        struct addr *v = out;
        for (uint32_t i = 0; i < n; i++) {
            v[i] = c->min.addr;
        }
        return 0;
    } else if (c->kind == KIND_CONST) {
        fill(out, size, columns[c->id].type == COLUMN_T_NAME
                        ? l->entries.names[0] : c->min.u, n);
        return 0;
    } else if (c->kind == KIND_WIDE) {
        uint32_t first = 0;
        for (unsigned i = 0; i < frame; i++) {
            first += frame_count(r->head, l, i);
        }
        if (first > l->n_entries || n > l->n_entries - first) {
            return -EBADMSG;
        }
        memcpy(out, l->wide + first * sizeof(struct addr),
               n * sizeof(struct addr));
        return 0;
    } else if (c->kind == KIND_TABLE) {
        return look_up(r, c, l, frame, n, out);
    } else if (addr) {
        return read_v4(r, l, frame, n, out);
    } else if (c->flags || c->base) {
        return read_derived(r, c, l, frame, n, out);
    }
    ok = size == 1 ? pack_read_u8(&l->numbers, frame, n, out)
         : size == 2 ? pack_read_u16(&l->numbers, frame, n, out)
         : size == 4 ? pack_read_u32(&l->numbers, frame, n, out)
         : pack_read_u64(&l->numbers, frame, n, out);
    return ok ? 0 : -EBADMSG;
}

/* A column that the block does not have. */
static void
read_absent(enum column_id id, uint32_t n, struct flow_batch *b)
{
    bool null = columns[id].flags & CF_NULL;
    memset(b->valid[id], null ? 0 : 0xff, sizeof b->valid[id]);
    memset((uint8_t *) b + columns[id].offset, 0,
           (size_t) n * columns[id].size);
}

/* Says which rows have a value, and moves the 'n' values to them. */
static void
set_validity(const struct block_reader *r, const struct loaded *l,
             enum column_id id, unsigned frame, struct flow_batch *b,
             void *values, size_t size, uint32_t n)
{
    if (!l->nulls) {
        memset(b->valid[id], 0xff, sizeof b->valid[id]);
        return;
    }
    memcpy(b->valid[id], l->nulls + frame * 32,
           frame_words(r->head, frame) * sizeof(uint64_t));
    spread(values, size, b->valid[id], block_frame_rows(r->head, frame), n);
}

int
block_read(struct block_reader *r, enum column_id id, unsigned frame,
           struct flow_batch *b)
{
    const struct block_column *c = block_column(r->head, id);
    void *out = (uint8_t *) b + columns[id].offset;

    if (frame >= block_frames(r->head)) {
        return -EINVAL;
    }
    uint32_t rows = block_frame_rows(r->head, frame);
    if (!c) {
        read_absent(id, rows, b);
        return 0;
    }
    const struct loaded *l = load(r, id, 1);
    if (l->error) {
        return l->error;
    }
    uint32_t n = frame_count(r->head, l, frame);
    if (n > rows) {
        return -EBADMSG;
    }
    int e = read_values(r, c, l, frame, n, out);
    if (e) {
        return e;
    }
    set_validity(r, l, id, frame, b, out, columns[id].size, n);
    return 0;
}

const struct block_head *
block_reader_head(const struct block_reader *r)
{
    return r->head;
}

bool
block_has_table(const struct block_reader *r, enum column_id id)
{
    const struct block_column *c = block_column(r->head, id);
    return c && c->kind == KIND_TABLE && columns[id].type == COLUMN_T_ADDR;
}

int
block_read_table(struct block_reader *r, enum column_id id, unsigned frame,
                 struct flow_batch *b, uint32_t positions[FRAME_ROWS],
                 const struct addr **table, uint32_t *n_entries)
{
    if (!block_has_table(r, id) || frame >= block_frames(r->head)) {
        return -EINVAL;
    }
    const struct loaded *l = load(r, id, 1);
    if (l->error) {
        return l->error;
    }
    uint32_t rows = block_frame_rows(r->head, frame), bad = 0;
    uint32_t n = frame_count(r->head, l, frame);
    if (n > rows || !pack_read_u32(&l->numbers, frame, n, positions)) {
        return -EBADMSG;
    }
    for (uint32_t i = 0; i < n; i++) {
        bad |= positions[i] >= l->n_entries;
    }
    if (bad) {
        return -EBADMSG;
    }
    set_validity(r, l, id, frame, b, positions, sizeof positions[0], n);
    *table = l->entries.addrs;
    *n_entries = l->n_entries;
    return 0;
}
