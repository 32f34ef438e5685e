#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/block_reader_p.h"
#include "lib/batch.h"

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
                        unsigned depth, uint64_t *v);

/* Few rows are picked, more are read with all others. */
#define PICK_PART 6

/* Adds what was taken off: 'times' of each of 'x'. */
static void
add_times(const struct block_reader *r, uint64_t *v, const uint64_t *x,
          uint64_t times, uint32_t n)
{
    if (r->index) {
        for (uint32_t k = 0; k < r->n_index; k++) {
            v[r->index[k]] += x[r->index[k]] * times;
        }
    } else if (times == 1) {
        for (uint32_t i = 0; i < n; i++) {
            v[i] += x[i];
        }
    } else {
        for (uint32_t i = 0; i < n; i++) {
            v[i] += x[i] * times;
        }
    }
}

/* The same, times "sampling". */
static int
add_sampled(struct block_reader *r, unsigned frame, uint64_t *v,
            const uint64_t *x, uint32_t n)
{
    if (!r->sampling && !(r->sampling = batch_create())) {
        return -ENOMEM;
    }
    const struct block_column *s = block_column(r->head, COL_sampling);
    struct flow_batch *b = r->sampling;
    const uint16_t *index = r->index;

    /* It is never derived itself, which would be a circle. */
    r->index = NULL;
    int e = s && s->flags & FLAG_DERIVED ? -EBADMSG : block_read(r, COL_sampling, frame, b);
    r->index = index;
    for (uint32_t i = 0; !e && i < n; i++) {
        uint64_t k = batch_is_valid(b, COL_sampling, i) && b->sampling[i]
                     ? b->sampling[i] : 1;
        v[i] += x[i] * k;
    }
    return e;
}

/* The column that another is derived from, if that is possible. */
static const struct block_column *
reference(const struct block_reader *r, const struct block_column *c)
{
    const struct block_column *ref
        = c->ref < N_COLUMNS ? block_column(r->head, c->ref) : NULL;
    return ref && c->nulls == NULLS_NONE && ref->nulls == NULLS_NONE
           && columns[c->ref].type != COLUMN_T_ADDR
           && columns[c->ref].type != COLUMN_T_NAME ? ref : NULL;
}

/* Undoes what was done to numbers before they were packed. */
static int
restore(struct block_reader *r, const struct block_column *c, unsigned frame,
        uint32_t n, unsigned depth, uint64_t *v)
{
    uint64_t sum = 0;

    if (c->flags & FLAG_DELTA) {
        for (uint32_t i = 0; i < n; i++) {
            sum += v[i] >> 1 ^ -(v[i] & 1);
            v[i] = sum;
        }
    }
    uint64_t unit = c->flags & FLAG_SCALED ? c->unit : 1;
    if (r->index) {
        for (uint32_t k = 0; k < r->n_index; k++) {
            v[r->index[k]] = v[r->index[k]] * unit + c->base;
        }
    } else if (unit != 1) {
        for (uint32_t i = 0; i < n; i++) {
            v[i] = v[i] * unit + c->base;
        }
    } else if (c->base) {
        for (uint32_t i = 0; i < n; i++) {
            v[i] += c->base;
        }
    }
    if (!(c->flags & FLAG_DERIVED)) {
        return 0;
    }
    const struct block_column *ref = reference(r, c);
    if (!ref || !depth) {
        return -EBADMSG;
    }
    const struct loaded *l = block_load(r, c->ref, 0);
    uint64_t *x = r->numbers[depth - 1];
    int e = l->error ? l->error
                     : read_numbers(r, ref, l, frame, n, depth - 1, x);
    if (!e && c->flags & FLAG_SAMPLED) {
        e = add_sampled(r, frame, v, x, n);
    } else if (!e) {
        add_times(r, v, x, c->param, n);
    }
    return e;
}

/* If nothing is left of numbers once the column that they are derived from is
 * taken off, that column; or NULL. */
static const struct block_column *
same_column(const struct block_reader *r, const struct block_column *c,
            const struct loaded *l, unsigned frame, uint32_t n)
{
    uint64_t rest;
    return c->kind == KIND_NUMBERS
           && (c->flags & ~FLAG_SCALED) == FLAG_DERIVED && c->param == 1
           && pack_is_constant(&l->numbers, frame, n, &rest)
           && !(rest * (c->flags & FLAG_SCALED ? c->unit : 1) + c->base)
           ? reference(r, c) : NULL;
}

/* Positions in a table, some or all of them, checked. */
static bool
read_codes(struct block_reader *r, const struct loaded *l, unsigned frame,
           uint32_t n, uint32_t *codes)
{
    uint32_t bad = 0;

    if (r->index) {
        uint64_t *v = r->numbers[0];
        if (!pack_pick(&l->numbers, frame, n, r->index, r->n_index, v)) {
            return false;
        }
        for (uint32_t k = 0; k < r->n_index; k++) {
            codes[r->index[k]] = (uint32_t) v[r->index[k]];
            bad |= v[r->index[k]] >= l->n_entries;
        }
        return !bad;
    }
    if (!pack_read_u32(&l->numbers, frame, n, codes)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        bad |= codes[i] >= l->n_entries;
    }
    return !bad;
}

/* The numbers of a frame. */
static int
read_numbers(struct block_reader *r, const struct block_column *c,
             const struct loaded *l, unsigned frame, uint32_t n,
             unsigned depth, uint64_t *v)
{
    if (c->kind == KIND_CONST) {
        for (uint32_t i = 0; i < n; i++) {
            v[i] = c->min.u;
        }
        return 0;
    } else if (c->kind == KIND_TABLE) {
        if (!read_codes(r, l, frame, n, r->codes)) {
            return -EBADMSG;
        }
        if (r->index) {
            for (uint32_t k = 0; k < r->n_index; k++) {
                v[r->index[k]] = l->entries.numbers[r->codes[r->index[k]]];
            }
            return 0;
        }
        for (uint32_t i = 0; i < n; i++) {
            v[i] = l->entries.numbers[r->codes[i]];
        }
        return 0;
    } else if (c->kind != KIND_NUMBERS) {
        return -EBADMSG;
    }
    const struct block_column *ref = same_column(r, c, l, frame, n);
    if (ref && depth) {
        const struct loaded *x = block_load(r, c->ref, 0);
        return x->error ? x->error
                        : read_numbers(r, ref, x, frame, n, depth - 1, v);
    }
    return (r->index ? pack_pick(&l->numbers, frame, n, r->index,
                                 r->n_index, v)
                     : pack_read_u64(&l->numbers, frame, n, v))
           ? restore(r, c, frame, n, depth, v) : -EBADMSG;
}

/* Values that are close together get to their rows, from the last on, run by
 * run; what other rows have means nothing. */
static void
spread(void *values, size_t size, const uint64_t *nulls, uint32_t rows,
       uint32_t n)
{
    uint8_t *v = values;

    for (uint32_t w = (rows + 63) / 64; w-- > 0 && n; ) {
        uint64_t bits = nulls[w];
        while (bits) {
            unsigned above = (unsigned) __builtin_clzll(bits);
            uint64_t gap = ~(bits << above);
            uint32_t run = gap ? (uint32_t) __builtin_clzll(gap) : 64;
            uint32_t row = w * 64 + 64 - above - run;
            if (row == n - run) {
                return;         /* So are all before. */
            }
            n -= run;
            memmove(v + row * size, v + n * size, run * size);
            bits &= (UINT64_C(1) << (64 - above - run)) - 1;
        }
    }
}

/* Entries of a table by position. */
#define LOOK_UP(T, TABLE)                                               \
    do {                                                                \
        T *v = out;                                                     \
        if (r->index) {                                                 \
            for (uint32_t k = 0; k < r->n_index; k++) {                 \
                uint32_t i = r->index[k];                               \
                v[i] = (T) (TABLE)[r->codes[i]];                        \
            }                                                           \
            return 0;                                                   \
        }                                                               \
        for (uint32_t i = 0; i < n; i++) {                              \
            v[i] = (T) (TABLE)[r->codes[i]];                            \
        }                                                               \
        return 0;                                                       \
    } while (0)

static int
look_up(struct block_reader *r, const struct block_column *c,
        const struct loaded *l, unsigned frame, uint32_t n, void *out)
{
    if (!read_codes(r, l, frame, n, r->codes)) {
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
        for (uint32_t k = 0; r->index && k < r->n_index; k++) { \
            p[r->index[k]] = (T) v[r->index[k]];        \
        }                                               \
        if (r->index) {                                 \
            break;                                      \
        }                                               \
        for (uint32_t i = 0; i < n; i++) {              \
            p[i] = (T) v[i];                            \
        }                                               \
    } while (0)

/* Numbers that something was done to. */
static int
read_derived(struct block_reader *r, const struct block_column *c,
             const struct loaded *l, unsigned frame, uint32_t n, void *out)
{
    bool whole = columns[c->id].size == sizeof(uint64_t);
    uint64_t *v = whole ? out : r->numbers[MAX_DEPTH];
    int e = read_numbers(r, c, l, frame, n, MAX_DEPTH, v);
    if (e || whole) {
        return e;
    }
    switch (columns[c->id].size) {
    case 1:
        NARROW(uint8_t);
        break;
    case 2:
        NARROW(uint16_t);
        break;
    default:
        NARROW(uint32_t);
        break;
    }
    return 0;
}

/* IPv4 addresses that were packed as numbers. */
static bool
read_v4_numbers(struct block_reader *r, const struct loaded *l,
                unsigned frame, uint32_t n, uint32_t *out)
{
    if (!r->index) {
        return pack_read_u32(&l->numbers, frame, n, out);
    }
    uint64_t *v = r->numbers[0];
    if (!pack_pick(&l->numbers, frame, n, r->index, r->n_index, v)) {
        return false;
    }
    for (uint32_t k = 0; k < r->n_index; k++) {
        out[r->index[k]] = (uint32_t) v[r->index[k]];
    }
    return true;
}

static int
read_v4(struct block_reader *r, const struct loaded *l, unsigned frame,
        uint32_t n, struct addr *out)
{
    if (!read_v4_numbers(r, l, frame, n, r->codes)) {
        return -EBADMSG;
    }
    for (uint32_t k = 0; k < (r->index ? r->n_index : n); k++) {
        uint32_t i = r->index ? r->index[k] : k;
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
    } else if (c->flags || c->base || r->index) {
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
    const struct loaded *l = block_load(r, id, 1);
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

/* Whether a column can be read by rows: where values lie is known. */
static bool
can_pick(struct block_reader *r, enum column_id id, unsigned depth)
{
    const struct block_column *c = block_column(r->head, id);

    return c && c->nulls == NULLS_NONE && !(c->flags & FLAG_DELTA)
           && (c->kind == KIND_TABLE || c->kind == KIND_NUMBERS)
           && (!(c->flags & FLAG_DERIVED)
               || (depth && !(c->flags & FLAG_SAMPLED) && c->ref < N_COLUMNS
                   && (!block_column(r->head, c->ref)
                       || can_pick(r, c->ref, depth - 1))));
}

static void
pick(struct block_reader *r, enum column_id id, unsigned frame,
     const uint16_t *index, uint32_t n)
{
    if (frame < block_frames(r->head)
        && n < block_frame_rows(r->head, frame) / PICK_PART
        && can_pick(r, id, MAX_DEPTH)) {
        r->index = index;
        r->n_index = n;
    }
}

int
block_read_rows(struct block_reader *r, enum column_id id, unsigned frame,
                struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    pick(r, id, frame, index, n);
    int e = block_read(r, id, frame, b);
    r->index = NULL;
    return e;
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

bool
block_has_v4(const struct block_reader *r, enum column_id id)
{
    const struct block_column *c = block_column(r->head, id);
    return c && c->kind == KIND_NUMBERS && c->flags == FLAG_V4 && !c->base
           && columns[id].type == COLUMN_T_ADDR;
}

int
block_read_v4(struct block_reader *r, enum column_id id, unsigned frame,
              struct flow_batch *b, const uint16_t *index, uint32_t n,
              uint32_t numbers[FRAME_ROWS])
{
    if (!block_has_v4(r, id) || frame >= block_frames(r->head)) {
        return -EINVAL;
    }
    const struct loaded *l = block_load(r, id, 1);
    if (l->error) {
        return l->error;
    }
    uint32_t count = frame_count(r->head, l, frame);
    if (count > block_frame_rows(r->head, frame)) {
        return -EBADMSG;
    }
    pick(r, id, frame, index, n);
    bool ok = read_v4_numbers(r, l, frame, count, numbers);
    r->index = NULL;
    if (!ok) {
        return -EBADMSG;
    }
    set_validity(r, l, id, frame, b, numbers, sizeof numbers[0], count);
    return 0;
}

int
block_read_table(struct block_reader *r, enum column_id id, unsigned frame,
                 struct flow_batch *b, const uint16_t *index, uint32_t n,
                 uint32_t positions[FRAME_ROWS],
                 const struct addr **table, uint32_t *n_entries)
{
    if (!block_has_table(r, id) || frame >= block_frames(r->head)) {
        return -EINVAL;
    }
    const struct loaded *l = block_load(r, id, 1);
    if (l->error) {
        return l->error;
    }
    uint32_t count = frame_count(r->head, l, frame);
    if (count > block_frame_rows(r->head, frame)) {
        return -EBADMSG;
    }
    pick(r, id, frame, index, n);
    bool ok = read_codes(r, l, frame, count, positions);
    r->index = NULL;
    if (!ok) {
        return -EBADMSG;
    }
    set_validity(r, l, id, frame, b, positions, sizeof positions[0], count);
    *table = l->entries.addrs;
    *n_entries = l->n_entries;
    return 0;
}
