#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/block_reader_p.h"
#include "lib/dict.h"

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
           && c->unit && (addr || !(c->flags & (FLAG_V4 | FLAG_THIN)))
           && (!(c->flags & (FLAG_THIN | FLAG_RISING))
               || c->kind == KIND_TABLE)
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
            free(r->columns[i].own);
            free(r->columns[i].entries.any);
        }
        for (unsigned i = 0; i < BLOCK_PIECES; i++) {
            free(r->pieces[i].bytes);
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
    r->n_pieces = 0;
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

/* Addresses without what all have in common.  Returns the bytes that they took,
 * 0 if something is wrong, with 'scratch' for as many numbers. */
static size_t
read_thin(const uint8_t *p, size_t size, uint32_t n, uint64_t *scratch,
          struct addr *out)
{
    struct thin_head h;
    if (size < sizeof h) {
        return 0;
    }
    memcpy(&h, p, sizeof h);
    size_t used = sizeof h;
    unsigned octets = (unsigned) __builtin_popcount(h.differ);

    for (uint32_t i = 0; i < n; i++) {
        memcpy(&out[i], h.octets, sizeof out[i]);
    }
    /* The last octet that differs is the lowest of the number. */
    for (unsigned half = 0, k = 16; half == 0 || octets > 8 * half; half++) {
        size_t more = read_entries(p + used, size - used, n, scratch);
        if (!more) {
            return 0;
        }
        used += more;
        for (unsigned shift = 0; shift < 64 && k; ) {
            if (h.differ >> --k & 1) {
                for (uint32_t i = 0; i < n; i++) {
                    out[i].b[k] = (uint8_t) (scratch[i] >> shift);
                }
                shift += 8;
            }
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
    bool thin = c->flags & FLAG_THIN;
    uint32_t n[2];

    if (size < sizeof n) {
        return -EBADMSG;
    }
    memcpy(n, p, sizeof n);
    p += sizeof n;
    size -= sizeof n;
    if (n[0] > BLOCK_ROWS || n[1] > BLOCK_ROWS || n[0] + n[1] > BLOCK_ROWS
        || n[0] + n[1] == 0 || (!addr && n[1])
        || (!thin && n[1] > size / sizeof(struct addr))) {
        return -EBADMSG;
    }
    l->n_entries = n[0] + n[1];
    if (reserve_entries(l, l->n_entries * sizeof(struct addr)
                           + (thin ? n[1] : 0) * sizeof(uint64_t) + 1)) {
        return -ENOMEM;
    }
    uint64_t *numbers = l->entries.numbers;
    size_t used = read_entries(p, size, n[0], numbers);
    if (!used) {
        return -EBADMSG;
    }
    p += used;
    size -= used;
    for (uint32_t i = 1; c->flags & FLAG_RISING && i < n[0]; i++) {
        numbers[i] += numbers[i - 1];
    }
    if (addr) {
        /* In place, from the end: an address is longer than a number. */
        for (uint32_t i = n[0]; i-- > 0; ) {
            uint32_t be = __builtin_bswap32((uint32_t) numbers[i]);
            struct addr a = addr_from_v4_bytes((const uint8_t *) &be);
            memcpy(&l->entries.addrs[i], &a, sizeof a);
        }
        if (thin) {
            used = read_thin(p, size, n[1], (void *) (l->entries.addrs
                                                      + l->n_entries),
                             l->entries.addrs + n[0]);
        } else {
            used = n[1] * sizeof(struct addr);
        }
        if ((thin && !used) || used > size) {
            return -EBADMSG;
        }
        if (!thin) {
            memcpy(l->entries.addrs + n[0], p, used);
        }
        p += used;
        size -= used;
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
              ? block_load(r, c->nulls_of, depth - 1) : NULL;
        if (!o || o->error) {
            return o ? o->error : -EBADMSG;
        }
        l->nulls = o->nulls;
    }
    return 0;
}

/* Gets hold of the body.  0 or what 'fetch' says. */
static int
get_body(struct block_reader *r, const struct block_column *c,
         struct loaded *l)
{
    size_t need = c->size + PACK_SLACK;

    l->body = block_fetched(r, c->offset, c->size);
    if (l->body) {
        return 0;
    }
    if (l->allocated < need) {
        free(l->own);
        l->own = malloc(need);
        l->allocated = l->own ? need : 0;
        if (!l->own) {
            return -ENOMEM;
        }
    }
    l->body = l->own;
    memset(l->own + c->size, 0, PACK_SLACK);
    return c->size ? r->fetch(r->aux, c->offset, l->own, c->size) : 0;
}

static int
load_body(struct block_reader *r, const struct block_column *c,
          struct loaded *l, unsigned depth)
{
    size_t n_frames = block_frames(r->head);
    int e = get_body(r, c, l);

    if (e) {
        return e;
    }
    r->bytes += c->size;
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

struct loaded *
block_load(struct block_reader *r, enum column_id id, unsigned depth)
{
    struct loaded *l = &r->columns[id];
    if (!l->tried) {
        l->tried = true;
        l->error = load_body(r, block_column(r->head, id), l, depth);
    }
    return l;
}
