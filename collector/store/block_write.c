#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/block_p.h"
#include "collector/store/table.h"
#include "collector/store/utf8.h"
#include "lib/dict.h"

/* What is known about the values of the column at hand. */
struct column_plan {
    uint8_t flags;
    enum column_id ref;
    uint64_t param, unit, base;
};

struct block_writer {
    struct bytes *out;
    size_t start;               /* Of the block. */
    const struct flow_batch *const *batches;
    size_t n_batches;
    uint32_t n_rows;
    struct dict *dict;

    struct disk_column directory[N_COLUMNS];
    unsigned n_columns;
    size_t bitmaps[N_COLUMNS];  /* Where an entry's own is, or 0. */

    /* Of the column at hand: values of rows that have one, close together. */
    uint64_t bitmap[BLOCK_ROWS / 64];
    uint16_t counts[BLOCK_FRAMES];
    uint32_t n;
    uint64_t values[BLOCK_ROWS];
    struct addr wide[BLOCK_ROWS];
    /* Columns that others refer to, row by row. */
    uint64_t ref[BLOCK_ROWS], sampling[BLOCK_ROWS];
    uint64_t work[BLOCK_ROWS];
    struct table table;
};

struct block_writer *
block_writer_create(void)
{
    struct block_writer *w = malloc(sizeof *w);
    return w;
}

void
block_writer_destroy(struct block_writer *w)
{
    free(w);
}

/* ---- Values out of batches. ---- */

static const uint8_t *
array_of(const struct flow_batch *b, enum column_id id)
{
    return (const uint8_t *) b + columns[id].offset;
}

static bool
nullable(enum column_id id)
{
    return columns[id].flags & CF_NULL;
}

/* How many of a batch's rows have a value. */
static uint32_t
count_valid(const struct flow_batch *b, enum column_id id)
{
    if (!nullable(id)) {
        return b->n;
    }
    uint32_t n = 0, words = b->n / 64;
    for (uint32_t w = 0; w < words; w++) {
        n += (uint32_t) __builtin_popcountll(b->valid[id][w]);
    }
    if (b->n % 64) {
        uint64_t mask = (UINT64_C(1) << b->n % 64) - 1;
        n += (uint32_t) __builtin_popcountll(b->valid[id][words] & mask);
    }
    return n;
}

/* All values are there, and the same. */
static bool
is_constant(const struct block_writer *w, enum column_id id)
{
    size_t size = columns[id].size;
    const uint8_t *first = array_of(w->batches[0], id);

    for (size_t i = 0; i < w->n_batches; i++) {
        const struct flow_batch *b = w->batches[i];
        const uint8_t *p = array_of(b, id);
        if (memcmp(p, first, size)
            || memcmp(p, p + size, (b->n - 1) * size)) {
            return false;
        }
    }
    return true;
}

static uint64_t
load_value(const uint8_t *p, enum column_id id)
{
    uint64_t v = 0;
    memcpy(&v, p, columns[id].size);
    if (columns[id].type == COLUMN_T_BOOL) {
        return v != 0;
    } else if (columns[id].type == COLUMN_T_TIME) {
        return (uint64_t) block_clamp_time((int64_t) v);
    }
    return v;
}

#define WIDEN(T)                                        \
    for (uint32_t i = 0; i < n; i++) {                  \
        T v;                                            \
        memcpy(&v, p + sizeof v * i, sizeof v);         \
        out[i] = v;                                     \
    }

/* Copies 'n' values as numbers. */
static void
widen(uint64_t *out, const uint8_t *p, uint32_t n, enum column_id id)
{
    switch (columns[id].size) {
    case 1:
        WIDEN(uint8_t)
        break;
    case 2:
        WIDEN(uint16_t)
        break;
    case 4:
        WIDEN(uint32_t)
        break;
    default:
        memcpy(out, p, n * sizeof *out);
        break;
    }
    if (columns[id].type == COLUMN_T_BOOL) {
        for (uint32_t i = 0; i < n; i++) {
            out[i] = out[i] != 0;
        }
    } else if (columns[id].type == COLUMN_T_TIME) {
        for (uint32_t i = 0; i < n; i++) {
            out[i] = (uint64_t) block_clamp_time((int64_t) out[i]);
        }
    }
}

/* Appends those values of a batch that are there; addresses to 'wide'. */
static void
gather_batch(struct block_writer *w, const struct flow_batch *b,
             enum column_id id, bool complete)
{
    const uint8_t *p = array_of(b, id);
    bool addr = columns[id].type == COLUMN_T_ADDR;

    if (complete && addr) {
        memcpy(w->wide + w->n, p, b->n * sizeof(struct addr));
        w->n += b->n;
        return;
    } else if (complete) {
        widen(w->values + w->n, p, b->n, id);
        w->n += b->n;
        return;
    }
    size_t size = columns[id].size;
    for (uint32_t row = 0; row < b->n; row += 64) {
        uint64_t word = b->valid[id][row / 64];
        if (b->n - row < 64) {
            word &= (UINT64_C(1) << (b->n - row)) - 1;
        }
        for (; word; word &= word - 1) {
            uint32_t at = row + (uint32_t) __builtin_ctzll(word);
            if (addr) {
                memcpy(w->wide + w->n, p + at * size, size);
            } else {
                w->values[w->n] = load_value(p + at * size, id);
            }
            w->n++;
        }
    }
}

/* Appends the validity of a batch's rows, the first of which is row 'row'. */
static void
gather_bits(struct block_writer *w, const struct flow_batch *b,
            enum column_id id, uint32_t row)
{
    for (uint32_t i = 0; i < b->n; i += 64) {
        uint64_t word = b->valid[id][i / 64];
        if (b->n - i < 64) {
            word &= (UINT64_C(1) << (b->n - i)) - 1;
        }
        uint32_t at = (row + i) / 64, shift = (row + i) % 64;
        w->bitmap[at] |= word << shift;
        if (shift && at + 1 < BLOCK_ROWS / 64) {
            w->bitmap[at + 1] |= word >> (64 - shift);
        }
    }
}

/* Gathers a column.  Returns how many rows have it. */
static uint32_t
gather(struct block_writer *w, enum column_id id)
{
    uint32_t valid[BLOCK_ROWS / 64], row = 0, n = 0;
    size_t frames = (w->n_rows + FRAME_ROWS - 1) / FRAME_ROWS;
    bool few = w->n_batches <= sizeof valid / sizeof valid[0];

    for (size_t i = 0; few && i < w->n_batches; i++) {
        valid[i] = count_valid(w->batches[i], id);
        n += valid[i];
    }
    w->n = 0;
    if (few && !n) {
        return 0;
    }
    for (size_t i = 0; i < w->n_batches; i++) {
        const struct flow_batch *b = w->batches[i];
        uint32_t have = few ? valid[i] : count_valid(b, id);
        gather_batch(w, b, id, have == b->n);
    }
    for (size_t f = 0; f < frames; f++) {
        uint32_t left = w->n_rows - (uint32_t) f * FRAME_ROWS;
        w->counts[f] = (uint16_t) (left < FRAME_ROWS ? left : FRAME_ROWS);
    }
    if (w->n == w->n_rows || !w->n) {
        return w->n;
    }
    memset(w->bitmap, 0, BITMAP_BYTES(w->n_rows));
    for (size_t i = 0; i < w->n_batches; i++) {
        gather_bits(w, w->batches[i], id, row);
        row += w->batches[i]->n;
    }
    for (size_t f = 0; f < frames; f++) {
        uint32_t words = (w->counts[f] + 63u) / 64;
        w->counts[f] = 0;
        for (uint32_t i = 0; i < words; i++) {
            w->counts[f] = (uint16_t) (w->counts[f]
                                       + __builtin_popcountll(
                                           w->bitmap[f * 32 + i]));
        }
    }
    return w->n;
}

/* Another column, row by row; false if some row does not have it. */
static bool
gather_ref(struct block_writer *w, enum column_id id, uint64_t *out)
{
    for (size_t i = 0; i < w->n_batches; i++) {
        const struct flow_batch *b = w->batches[i];
        if (count_valid(b, id) != b->n) {
            return false;
        }
        widen(out, array_of(b, id), b->n, id);
        out += b->n;
    }
    return true;
}

/* "sampling" as a factor: 1 where it is not known. */
static void
gather_sampling(struct block_writer *w)
{
    uint64_t *out = w->sampling;
    for (size_t i = 0; i < w->n_batches; i++) {
        const struct flow_batch *b = w->batches[i];
        for (uint32_t row = 0; row < b->n; row++) {
            uint32_t v = batch_is_valid(b, COL_sampling, row)
                         ? b->sampling[row] : 1;
            *out++ = v ? v : 1;
        }
    }
}

/* ---- What is known about numbers. ---- */

/* The column that one is mostly a multiple of, or near to; N_COLUMNS: none. */
static enum column_id
reference_of(enum column_id id)
{
    switch (id) {
    case COL_bytes:
        return COL_raw_bytes;
    case COL_packets:
        return COL_raw_packets;
    case COL_l2_bytes:
        return COL_bytes;
    case COL_flow_start:
        return COL_flow_end;
    case COL_flow_end:
        return COL_received;
    default:
        return N_COLUMNS;
    }
}

/* The largest number that divides all differences, 1 if that is not worth
 * much. */
static uint64_t
common_unit(const uint64_t *v, size_t n)
{
    uint64_t unit = 0;
    for (size_t i = 1; i < n; i++) {
        uint64_t d = (int64_t) v[i] > (int64_t) v[0] ? v[i] - v[0]
                                                     : v[0] - v[i];
        /* Times are mostly whole milliseconds, or not at all. */
        bool fits = unit == 1000 ? d % 1000 == 0 : unit && d % unit == 0;
        while (!fits && d) {
            uint64_t rest = unit % d;
            unit = d;
            d = rest;
            if (!d && unit == 1) {
                return 1;
            }
        }
    }
    return unit ? unit : 1;
}

static uint64_t
zigzag(uint64_t v)
{
    return v << 1 ^ (uint64_t) ((int64_t) v >> 63);
}

static void
make_deltas(uint64_t *v, size_t n)
{
    uint64_t before = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t x = v[i];
        v[i] = zigzag(x - before);
        before = x;
    }
}

/* Takes off what column_plan says, short of differences. */
static void
transform(const struct block_writer *w, const struct column_plan *p,
          size_t first, size_t n, uint64_t *out)
{
    const uint64_t *v = w->values + first;

    for (size_t i = 0; i < n; i++) {
        out[i] = v[i];
    }
    if (p->flags & FLAG_SAMPLED) {
        for (size_t i = 0; i < n; i++) {
            out[i] -= w->ref[first + i] * w->sampling[first + i];
        }
    } else if (p->flags & FLAG_DERIVED) {
        for (size_t i = 0; i < n; i++) {
            out[i] -= w->ref[first + i] * p->param;
        }
    }
    if (p->base) {
        for (size_t i = 0; i < n; i++) {
            out[i] -= p->base;
        }
    }
    if (p->unit == 1000) {
        for (size_t i = 0; i < n; i++) {
            out[i] /= 1000;
        }
    } else if (p->unit > 1) {
        for (size_t i = 0; i < n; i++) {
            out[i] /= p->unit;
        }
    }
}

static uint64_t
signed_min(const uint64_t *v, size_t n)
{
    int64_t min = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        min = (int64_t) v[i] < min ? (int64_t) v[i] : min;
    }
    return (uint64_t) min;
}

/* What the first frame and one in the middle would cost, in bits; completes
 * the plan by base and unit of that sample. */
static uint64_t
sample_cost(struct block_writer *w, struct column_plan *p, bool deltas)
{
    size_t n = w->n < FRAME_ROWS ? w->n : FRAME_ROWS;
    size_t starts[2] = { 0, w->n > 2 * FRAME_ROWS ? w->n / 2 : 0 };
    uint64_t cost = 0, cost_delta = 0;

    for (unsigned i = 0; i < (starts[1] ? 2 : 1); i++) {
        struct column_plan s = *p;
        s.base = 0;
        s.unit = 1;
        transform(w, &s, starts[i], n, w->work);
        s.flags = 0;
        if (p->flags & FLAG_DERIVED) {
            s.base = signed_min(w->work, n);
        }
        uint64_t unit = deltas ? common_unit(w->work, n) : 1;
        for (size_t k = 0; k < n; k++) {
            w->work[k] = (w->work[k] - s.base) / unit;
        }
        cost += pack_cost(w->work, n);
        if (deltas) {
            make_deltas(w->work, n);
            cost_delta += pack_cost(w->work, n);
        }
    }
    if (deltas && cost_delta + cost_delta / 16 < cost) {
        p->flags |= FLAG_DELTA;
        return cost_delta;
    }
    return cost;
}

/* Chooses how the numbers of a column are stored. */
static void
make_plan(struct block_writer *w, enum column_id id, struct column_plan *p)
{
    enum column_id ref = reference_of(id);
    bool deltas = columns[id].type == COLUMN_T_TIME || id == COL_flow_id
                  || ref != N_COLUMNS;
    struct column_plan try = { .ref = ref, .unit = 1 };

    *p = (struct column_plan) { .ref = ref, .unit = 1 };
    if (!deltas) {
        return;
    }
    uint64_t best = sample_cost(w, p, true);
    if (ref == N_COLUMNS || w->n != w->n_rows
        || !gather_ref(w, ref, w->ref)) {
        return;
    }
    uint64_t factors[2] = { 1, 1 };
    if (w->ref[0] && columns[id].type != COLUMN_T_TIME
        && w->values[0] % w->ref[0] == 0) {
        factors[1] = w->values[0] / w->ref[0];
    }
    for (unsigned i = 0; i < (factors[1] > 1 ? 2 : 1); i++) {
        try.flags = FLAG_DERIVED;
        try.param = factors[i];
        uint64_t cost = sample_cost(w, &try, true);
        if (cost < best) {
            best = cost;
            *p = try;
        }
    }
    if (best > 2 * 8 * 24 && (id == COL_bytes || id == COL_packets)) {
        gather_sampling(w);
        try.flags = FLAG_DERIVED | FLAG_SAMPLED;
        try.param = 1;
        if (sample_cost(w, &try, true) < best) {
            *p = try;
        }
    }
}

/* ---- Writing a column. ---- */

/* Begins the body: the bitmap, unless there is none or another column has the
 * same. */
static void
put_nulls(struct block_writer *w, struct disk_column *d)
{
    size_t size = BITMAP_BYTES(w->n_rows);

    d->nulls = NULLS_NONE;
    if (w->n == w->n_rows) {
        return;
    }
    for (unsigned i = 0; i < w->n_columns && !w->out->failed; i++) {
        if (w->bitmaps[i]
            && !memcmp(w->out->data + w->bitmaps[i], w->bitmap, size)) {
            d->nulls = NULLS_SAME;
            d->nulls_of = w->directory[i].column;
            return;
        }
    }
    d->nulls = NULLS_BITMAP;
    /* To read names for their bitmap would be a waste. */
    if (columns[d->column].type != COLUMN_T_NAME) {
        w->bitmaps[w->n_columns] = w->out->size;
    }
    bytes_put(w->out, w->bitmap, size);
}

static size_t
n_frames(const struct block_writer *w)
{
    return (w->n_rows + FRAME_ROWS - 1) / FRAME_ROWS;
}

/* Packs the entries of a table. */
static void
put_entries(struct block_writer *w, const uint64_t *v, size_t n)
{
    uint16_t counts[BLOCK_FRAMES];
    size_t frames = 0;
    for (size_t left = n; left; frames++) {
        counts[frames] = (uint16_t) (left < FRAME_ROWS ? left : FRAME_ROWS);
        left -= counts[frames];
    }
    pack_write(w->out, v, counts, frames);
}

/* Packs the first 'n' numbers of the table, which rise from here on, and
 * renumbers the rows' positions among them. */
static void
put_rising(struct block_writer *w, struct disk_column *d, uint32_t n)
{
    struct table *t = &w->table;
    uint32_t *to = t->slots;            /* They are not needed any more. */

    table_sort_numbers(t, n, to);
    for (uint32_t i = 0; i < w->n; i++) {
        w->work[i] = w->work[i] < n ? to[w->work[i]] : w->work[i];
    }
    for (uint32_t i = n; i-- > 1; ) {
        t->numbers[i] -= t->numbers[i - 1];
    }
    d->flags |= FLAG_RISING;
    put_entries(w, t->numbers, n);
}

/* Numbers as a table, if that takes less than 'bits' a number. */
static bool
put_table(struct block_writer *w, struct disk_column *d, uint64_t bits)
{
    struct table *t = &w->table;

    table_reset(t, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        w->work[i] = table_number(t, w->values[i]);
        if (i % 4096 == 4095 && t->n > i / 2 + 1) {
            return false;
        }
    }
    uint64_t width = 1;
    while (width < 16 && t->n > UINT32_C(1) << width) {
        width++;
    }
    /* An entry takes about as many bits as a number did. */
    if ((width * w->n + t->n * bits) * 20 >= bits * w->n * 19) {
        return false;
    }
    uint32_t n[2] = { t->n, 0 };
    d->kind = KIND_TABLE;
    bytes_put(w->out, n, sizeof n);
    put_rising(w, d, t->n);
    pack_write(w->out, w->work, w->counts, n_frames(w));
    return true;
}

static void
put_numbers(struct block_writer *w, enum column_id id, struct disk_column *d)
{
    struct column_plan p;
    make_plan(w, id, &p);

    if (!p.flags && w->n >= 256 && columns[id].size >= 2) {
        size_t n = w->n < FRAME_ROWS ? w->n : FRAME_ROWS;
        uint64_t bits = pack_cost(w->values, n) / n;
        if (bits >= 8 && put_table(w, d, bits)) {
            return;
        }
    }
    transform(w, &p, 0, w->n, w->work);
    if (p.flags & FLAG_DERIVED) {
        p.base = signed_min(w->work, w->n);
    }
    if (columns[id].type == COLUMN_T_TIME || p.flags & FLAG_DERIVED) {
        uint64_t base = signed_min(w->work, w->n);
        uint64_t unit = common_unit(w->work, w->n);
        if (unit > 1) {
            p.unit = unit;
            p.base = base;
            p.flags |= FLAG_SCALED;
        }
    }
    transform(w, &p, 0, w->n, w->work);
    if (p.flags & FLAG_DELTA) {
        uint64_t *v = w->work;
        for (size_t f = 0; f < n_frames(w); f++) {
            make_deltas(v, w->counts[f]);
            v += w->counts[f];
        }
    }
    d->kind = KIND_NUMBERS;
    d->flags |= p.flags;
    d->ref = p.flags & FLAG_DERIVED ? (uint16_t) p.ref : 0;
    d->param = p.param;
    d->unit = p.unit;
    d->base = p.base;
    pack_write(w->out, w->work, w->counts, n_frames(w));
}

static void
write_numbers(struct block_writer *w, enum column_id id,
              struct disk_column *d)
{
    uint64_t min = UINT64_MAX, max = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        min = w->values[i] < min ? w->values[i] : min;
        max = w->values[i] > max ? w->values[i] : max;
    }
    memcpy(d->min, &min, sizeof min);
    memcpy(d->max, &max, sizeof max);
    put_nulls(w, d);
    if (min == max) {
        d->kind = KIND_CONST;
    } else {
        put_numbers(w, id, d);
    }
}

/* Appends addresses, at least one, without the octets that all have. */
static void
put_thin(struct block_writer *w, const struct addr *a, uint32_t n)
{
    struct thin_head h = { .differ = 0 };
    uint8_t differ[16] = { 0 };

    for (uint32_t i = 1; i < n; i++) {
        for (unsigned k = 0; k < 16; k++) {
            differ[k] |= a[i].b[k] ^ a[0].b[k];
        }
    }
    for (unsigned k = 0; k < 16; k++) {
        h.differ |= (uint16_t) ((differ[k] != 0) << k);
        h.octets[k] = differ[k] ? 0 : a[0].b[k];
    }
    bytes_put(w->out, &h, sizeof h);
    /* Values are those of a column with numbers, which this one is not. */
    uint64_t *low = w->values, *high = w->ref;
    for (uint32_t i = 0; i < n; i++) {
        low[i] = high[i] = 0;
        for (unsigned k = 0; k < 16; k++) {
            if (differ[k]) {
                high[i] = high[i] << 8 | low[i] >> 56;
                low[i] = low[i] << 8 | a[i].b[k];
            }
        }
    }
    put_entries(w, low, n);
    if (__builtin_popcount(h.differ) > 8) {
        put_entries(w, high, n);
    }
}

static bool
all_v4(const struct block_writer *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        if (!addr_is_v4(&w->wide[i])) {
            return false;
        }
    }
    return true;
}

/* Addresses of both kinds: different ones by table, or 16 bytes each. */
static void
put_mixed(struct block_writer *w, struct disk_column *d)
{
    struct table *t = &w->table;

    table_reset(t, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        w->work[i] = table_addr(t, &w->wide[i]);
    }
    const struct addr *min = &w->wide[0], *max = min;
    for (uint32_t i = 0; i < t->n; i++) {
        min = memcmp(&t->addrs[i], min, 16) < 0 ? &t->addrs[i] : min;
        max = memcmp(&t->addrs[i], max, 16) > 0 ? &t->addrs[i] : max;
    }
    memcpy(d->min, min, 16);
    memcpy(d->max, max, 16);
    put_nulls(w, d);
    if (t->n == 1) {
        d->kind = KIND_CONST;
        return;
    } else if (t->n > w->n / 8 * 7 && w->n > 64) {
        d->kind = KIND_WIDE;
        bytes_put(w->out, w->wide, w->n * sizeof w->wide[0]);
        return;
    }
    /* IPv4 addresses come first, as numbers. */
    uint32_t n[2];
    table_sort_v4(t, n);
    for (uint32_t i = 0; i < w->n; i++) {
        w->work[i] = t->order[w->work[i]];
    }
    d->kind = KIND_TABLE;
    bytes_put(w->out, n, sizeof n);
    put_rising(w, d, n[0]);
    if (n[1]) {
        d->flags |= FLAG_THIN;
        put_thin(w, t->sorted, n[1]);
    }
    pack_write(w->out, w->work, w->counts, n_frames(w));
}

static void
write_addrs(struct block_writer *w, enum column_id id, struct disk_column *d)
{
    if (!all_v4(w)) {
        put_mixed(w, d);
        return;
    }
    uint32_t min = UINT32_MAX, max = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        uint32_t v;
        memcpy(&v, w->wide[i].b + 12, sizeof v);
        v = __builtin_bswap32(v);
        w->values[i] = v;
        min = v < min ? v : min;
        max = v > max ? v : max;
    }
    struct addr a = addr_from_v4_bytes((uint8_t[4]) { 0 });
    memcpy(d->min, &a, 16);
    memcpy(d->max, &a, 16);
    uint32_t be = __builtin_bswap32(min);
    memcpy(d->min + 12, &be, sizeof be);
    be = __builtin_bswap32(max);
    memcpy(d->max + 12, &be, sizeof be);
    put_nulls(w, d);
    d->flags = FLAG_V4;
    if (min == max) {
        d->kind = KIND_CONST;
    } else {
        put_numbers(w, id, d);
    }
}

/* Names: the different texts, and positions among them. */
static void
write_names(struct block_writer *w, struct disk_column *d)
{
    struct table *t = &w->table;

    table_reset(t, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        w->work[i] = table_number(t, w->values[i]);
    }
    put_nulls(w, d);
    uint32_t n = t->n, at = 0;
    size_t ends = w->out->size + sizeof n;
    bytes_put(w->out, &n, sizeof n);
    bytes_add(w->out, n * sizeof at);
    for (uint32_t i = 0; i < n && !w->out->failed; i++) {
        const char *text = dict_text(w->dict, (uint32_t) t->numbers[i]);
        size_t len = strlen(text);
        bytes_put(w->out, text, len);
        if (!w->out->failed) {
            utf8_clean((char *) w->out->data + w->out->size - len, len);
            at += (uint32_t) len;
            memcpy(w->out->data + ends + i * sizeof at, &at, sizeof at);
        }
    }
    d->kind = n == 1 ? KIND_CONST : KIND_TABLE;
    if (n > 1) {
        pack_write(w->out, w->work, w->counts, n_frames(w));
    }
}

static void
write_column(struct block_writer *w, enum column_id id)
{
    struct disk_column d = { .column = (uint16_t) id, .kind = KIND_CONST,
                             .unit = 1 };
    enum column_type type = columns[id].type;
    bool name = type == COLUMN_T_NAME;

    w->bitmaps[w->n_columns] = 0;
    bytes_pad(w->out, 8);
    size_t start = w->out->size;
    bool constant = !name && is_constant(w, id);
    if (constant && nullable(id)) {
        for (size_t i = 0; constant && i < w->n_batches; i++) {
            constant = count_valid(w->batches[i], id) == w->batches[i]->n;
        }
    }
    if (constant && type == COLUMN_T_ADDR) {
        memcpy(d.min, array_of(w->batches[0], id), 16);
        memcpy(d.max, d.min, 16);
    } else if (constant) {
        uint64_t v = load_value(array_of(w->batches[0], id), id);
        memcpy(d.min, &v, sizeof v);
        memcpy(d.max, &v, sizeof v);
    } else if (!gather(w, id)) {
        return;                 /* Absent. */
    } else if (type == COLUMN_T_ADDR) {
        write_addrs(w, id, &d);
    } else if (name) {
        write_names(w, &d);
    } else {
        write_numbers(w, id, &d);
    }
    if (w->out->failed) {
        return;
    }
    d.offset = (uint32_t) (start - w->start);
    d.size = (uint32_t) (w->out->size - start);
    d.checksum = pack_checksum(w->out->data + start, d.size);
    w->directory[w->n_columns++] = d;
}

int
block_write(struct block_writer *w, const struct flow_batch *const *batches,
            size_t n, struct dict *dict, uint64_t first_row,
            struct bytes *out)
{
    struct disk_head h = { .magic = BLOCK_MAGIC, .first_row = first_row };

    w->out = out;
    w->batches = batches;
    w->n_batches = n;
    w->n_rows = 0;
    w->dict = dict;
    w->n_columns = 0;
    for (size_t i = 0; i < n; i++) {
        w->n_rows += batches[i]->n;
    }
    /* The header comes first, though it is known last: room for the longest,
     * and then everything moves up. */
    bytes_pad(out, 8);
    w->start = out->size;
    size_t room = sizeof h + N_COLUMNS * sizeof w->directory[0];
    bytes_add(out, room);
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        write_column(w, id);
    }
    bytes_pad(out, 8);
    if (out->failed) {
        return -ENOMEM;
    }
    size_t head = sizeof h + w->n_columns * sizeof w->directory[0];
    size_t less = room - head;
    memmove(out->data + w->start + head, out->data + w->start + room,
            out->size - w->start - room);
    out->size -= less;
    for (unsigned i = 0; i < w->n_columns; i++) {
        struct disk_column *d = &w->directory[i];
        d->offset -= (uint32_t) less;
        if (d->column == COL_flow_end) {
            memcpy(&h.min_us, d->min, sizeof h.min_us);
            memcpy(&h.max_us, d->max, sizeof h.max_us);
        }
    }
    h.size = (uint32_t) (out->size - w->start);
    h.head_size = (uint32_t) head;
    h.n_rows = w->n_rows;
    h.n_columns = w->n_columns;
    memcpy(out->data + w->start, &h, sizeof h);
    memcpy(out->data + w->start + sizeof h, w->directory,
           w->n_columns * sizeof w->directory[0]);
    h.checksum = pack_checksum(out->data + w->start, head);
    memcpy(out->data + w->start, &h, sizeof h);
    return 0;
}
