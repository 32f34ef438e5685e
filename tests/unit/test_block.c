#include <config.h>

#include "collector/store/block_p.h"

#include <errno.h>
#include <stdio.h>

#include "lib/dict.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

static struct dict *dict;
static struct source source;
static struct block_writer *writer;
static struct block_columns ours;

/* ---- Packed numbers. ---- */

static uint64_t
random_number(uint64_t *seed, unsigned kind)
{
    uint64_t r = util_random(seed);
    switch (kind % 8) {
    case 0:
        return 7;
    case 1:
        return r >> 63;
    case 2:
        return 1000000 + (r & 1023);
    case 3:
        return r % 100 ? r & 15 : r;            /* Patches. */
    case 4:
        return r;
    case 5:
        return r >> r % 64;
    case 6:
        return UINT64_MAX - (r & 255);
    default:
        return r >> kind / 8 % 64;
    }
}

static void
test_pack(void)
{
    static uint64_t in[3 * FRAME_ROWS], out[FRAME_ROWS];
    static uint32_t out32[FRAME_ROWS];
    uint64_t seed = 5;

    for (unsigned kind = 0; kind < 512; kind++) {
        uint16_t counts[3];
        size_t n = 0;
        for (unsigned f = 0; f < 3; f++) {
            counts[f] = (uint16_t) (kind % 3 == f ? FRAME_ROWS
                                    : util_random(&seed) % (FRAME_ROWS + 1));
            n += counts[f];
        }
        for (size_t i = 0; i < n; i++) {
            in[i] = random_number(&seed, kind);
        }
        struct bytes b = { 0 };
        struct packed p;
        pack_write(&b, in, counts, 3);
        CU_ASSERT_EQUAL(pack_open(&p, b.data, b.size, 3), b.size);
        const uint64_t *v = in;
        for (unsigned f = 0; f < 3; f++) {
            CU_ASSERT(pack_read_u64(&p, f, counts[f], out));
            CU_ASSERT_EQUAL(memcmp(out, v, counts[f] * 8), 0);
            CU_ASSERT(pack_read_u32(&p, f, counts[f], out32));
            for (unsigned i = 0; i < counts[f]; i++) {
                CU_ASSERT_EQUAL_FATAL(out32[i], (uint32_t) v[i]);
            }
            CU_ASSERT(!pack_read_u64(&p, f, counts[f] + 1u, out));
            v += counts[f];
        }
        CU_ASSERT(!pack_read_u64(&p, 3, 0, out));
        CU_ASSERT_EQUAL(pack_open(&p, b.data, b.size - 1, 3), 0);
        bytes_free(&b);
    }
}

/* One flipped bit, anywhere, and anything appended, changes the sum. */
static void
test_checksum(void)
{
    uint8_t data[200];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t) util_random(&seed);
    }
    for (size_t size = 0; size < sizeof data; size += 13) {
        uint64_t sum = pack_checksum(data, size);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            data[bit / 8] ^= (uint8_t) (1 << bit % 8);
            CU_ASSERT_NOT_EQUAL(pack_checksum(data, size), sum);
            data[bit / 8] ^= (uint8_t) (1 << bit % 8);
        }
        CU_ASSERT_NOT_EQUAL(pack_checksum(data, size + 1), sum);
    }
}

/* ---- Blocks. ---- */

/* How values of a column are made up. */
enum style { S_CONST, S_FEW, S_SMALL, S_SKEWED, S_ANY, S_RISING, S_SCALED,
             N_STYLES };

static void
make_value(struct flow_batch *b, unsigned id, uint32_t row, unsigned style,
           uint64_t *seed, uint64_t *state)
{
    const struct column *c = &columns[id];
    uint8_t *p = (uint8_t *) batch_column(b, id) + (size_t) row * c->size;
    uint64_t r = util_random(seed), v = 0;

    *state += r & 31;
    switch (style) {
    case S_CONST:
        v = 42;
        break;
    case S_FEW:
        v = (r % 50) * UINT64_C(0x123456789ab);
        break;
    case S_SMALL:
        v = 500 + r % 100;
        break;
    case S_SKEWED:
        v = r % 500 ? r >> 60 : r;
        break;
    case S_RISING:
        v = *state;
        break;
    case S_SCALED:
        v = UINT64_C(1795399200000123) + r % 5000 * 1000;
        break;
    default:
        v = r;
        break;
    }
    if (c->type == COLUMN_T_ADDR) {
        memset(p, 0, 16);
        bool v6 = style == S_ANY || (style == S_FEW && v & 1);
        if (v6) {
            uint64_t low = util_random(seed);
            p[0] = 0x20;
            memcpy(p + 8, style == S_ANY ? &low : &v, 8);
        } else {
            p[10] = p[11] = 0xff;
            memcpy(p + 12, &v, 4);
        }
    } else if (c->type == COLUMN_T_NAME) {
        char text[32];
        int len = snprintf(text, sizeof text, "name-%u",
                           (unsigned) (style == S_CONST ? 1 : r % 3000));
        uint32_t name = dict_intern(dict, text, (size_t) len);
        memcpy(p, &name, sizeof name);
    } else if (c->type == COLUMN_T_BOOL) {
        *p = (uint8_t) (v & 3);
    } else {
        memcpy(p, &v, c->size);
    }
}

/* Batches with a style for each column, and for its nulls. */
static void
make_batches(struct flow_batch **b, size_t n, uint32_t rows, uint64_t *seed)
{
    unsigned style[N_COLUMNS], nulls[N_COLUMNS];
    uint64_t state[N_COLUMNS] = { 0 };
    bool derived = util_random(seed) >> 33 & 1;
    uint32_t factor = (uint32_t) (1 + (util_random(seed) >> 20) % 3 * 999);

    for (unsigned id = 0; id < N_COLUMNS; id++) {
        style[id] = (unsigned) (util_random(seed) >> 20) % N_STYLES;
        nulls[id] = (unsigned) (util_random(seed) >> 20) % 5;
    }
    for (size_t k = 0; k < n; k++) {
        batch_reset(b[k]);
        b[k]->n = rows ? rows : 1 + (uint32_t) ((util_random(seed) >> 9)
                                                % BATCH_ROWS);
        for (uint32_t i = 0; i < b[k]->n; i++) {
            uint64_t flags = util_random(seed) >> 7;
            for (unsigned id = 0; id < N_COLUMNS; id++) {
                make_value(b[k], id, i, style[id], seed, &state[id]);
                bool set = nulls[id] == 0 || (nulls[id] == 1 && flags & 1)
                           || (nulls[id] == 2 && flags % 97 == 0)
                           || (nulls[id] == 3 && k % 2);
                if (columns[id].flags & CF_NULL && set) {
                    batch_set_valid(b[k], id, i);
                }
            }
            if (derived) {
                uint32_t f = factor == 1 && i & 1 ? 77 : factor;
                if (flags % 501 == 3) {
                    f = 1;      /* What is left is negative. */
                }
                BATCH_SET(b[k], sampling, i, f == 1 ? factor : f);
                b[k]->bytes[i] = b[k]->raw_bytes[i] * f;
                b[k]->packets[i] = b[k]->raw_packets[i] * f;
                b[k]->flow_end[i] = b[k]->received[i];
                b[k]->flow_start[i] = b[k]->flow_end[i]
                                      - (int64_t) (flags % 60000) * 1000;
                BATCH_SET(b[k], l2_bytes, i, b[k]->bytes[i] + 14 * f);
            }
        }
    }
}

static unsigned n_fetches;

static int
fetch(void *aux, uint64_t offset, void *buf, size_t size)
{
    const struct bytes *b = aux;
    n_fetches++;
    if (offset > b->size || size > b->size - offset) {
        return -EIO;
    }
    memcpy(buf, b->data + offset, size);
    return 0;
}

/* Whether a value came back as what it should be. */
static bool
same_value(const struct flow_batch *a, uint32_t i, const struct flow_batch *b,
           uint32_t j, unsigned id)
{
    const struct column *c = &columns[id];
    const uint8_t *p = (const uint8_t *) a + c->offset + (size_t) i * c->size;
    const uint8_t *q = (const uint8_t *) b + c->offset + (size_t) j * c->size;

    if (c->flags & CF_NULL
        && batch_is_valid(a, id, i) != batch_is_valid(b, id, j)) {
        return false;
    } else if (c->flags & CF_NULL && !batch_is_valid(a, id, i)) {
        return true;
    } else if (c->type == COLUMN_T_BOOL) {
        return (*p != 0) == *q;
    } else if (c->type == COLUMN_T_TIME) {
        int64_t t, u;
        memcpy(&t, p, 8);
        memcpy(&u, q, 8);
        return block_clamp_time(t) == u;
    }
    return !memcmp(p, q, c->size);
}

/* Pieces follow each other and are within the block. */
static void
check_pieces(const struct block_piece *p, unsigned n,
             const struct block_head *h)
{
    uint64_t end = 0;

    CU_ASSERT(n <= BLOCK_PIECES);
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT(p[i].size && p[i].offset > end);
        end = (uint64_t) p[i].offset + p[i].size;
    }
    CU_ASSERT(end <= h->size);
}

/* Reads a block back, some columns of it fetched at once, frame by frame in any
 * order, and compares. */
static void
check_block(struct bytes *bytes, struct flow_batch **b, size_t n,
            uint64_t *seed)
{
    uint32_t head_size, size, total = 0;
    CU_ASSERT_FATAL(block_sizes(bytes->data, &head_size, &size));
    CU_ASSERT_EQUAL(size, bytes->size);
    struct block_head *h = block_head_read(bytes->data, head_size, &ours);
    CU_ASSERT_FATAL(h != NULL);
    for (size_t k = 0; k < n; k++) {
        total += b[k]->n;
    }
    CU_ASSERT_EQUAL(h->n_rows, total);
    CU_ASSERT_EQUAL(h->first_row, 99);
    struct block_reader *r = block_reader_create(dict);
    struct flow_batch *out = batch_create();
    block_reader_set(r, h, fetch, bytes);
    struct column_set set = { { util_random(seed) & util_random(seed),
                                util_random(seed) & util_random(seed) } };
    struct block_piece pieces[BLOCK_PIECES];
    unsigned n_pieces = block_pieces(h, &set, pieces);
    n_fetches = 0;
    block_reader_fetch(r, &set);
    CU_ASSERT_EQUAL(n_fetches, n_pieces);
    check_pieces(pieces, n_pieces, h);
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (column_set_has(&set, id)) {
            CU_ASSERT_EQUAL_FATAL(block_read(r, id, 0, out), 0);
        }
    }
    if (n_pieces < BLOCK_PIECES) {              /* Else it is cut off. */
        CU_ASSERT_EQUAL(n_fetches, n_pieces);
    }
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        unsigned bad = 0, first = (unsigned) (util_random(seed) >> 9)
                                  % block_frames(h);
        for (unsigned x = 0; x < block_frames(h); x++) {
            unsigned frame = (x + first) % block_frames(h);
            CU_ASSERT_EQUAL_FATAL(block_read(r, id, frame, out), 0);
            uint32_t row = frame * FRAME_ROWS, k = 0;
            while (row >= b[k]->n) {
                row -= b[k++]->n;
            }
            for (uint32_t i = 0; i < block_frame_rows(h, frame); i++) {
                bad += !same_value(b[k], row, out, i, id);
                if (++row == b[k]->n) {
                    row = 0;
                    k++;
                }
            }
        }
        CU_ASSERT_EQUAL(bad, 0);
        if (bad) {
            const struct block_column *c = block_column(h, id);
            fprintf(stderr, "%s: %u of %u wrong, kind %d flags %#x\n",
                    columns[id].name, bad, total, c ? c->kind : 0,
                    c ? c->flags : 0);
        }
    }
    batch_destroy(out);
    block_reader_destroy(r);
    free(h);
}

#define MAX_BATCHES 32

static void
test_random(void)
{
    struct flow_batch *b[MAX_BATCHES];
    uint64_t seed = 4711;
    for (unsigned i = 0; i < MAX_BATCHES; i++) {
        b[i] = batch_create();
    }
    for (unsigned round = 0; round < 40; round++) {
        size_t n = round % 4 == 0 ? 1 + round % MAX_BATCHES : 1 + round % 5;
        struct bytes bytes = { 0 };
        make_batches(b, n, round % 4 == 1 ? 1 + round
                           : round % 8 == 2 ? BATCH_ROWS : 0, &seed);
        CU_ASSERT_EQUAL_FATAL(block_write(
            writer, (const struct flow_batch *const *) b, n, dict, 99,
            &bytes), 0);
        check_block(&bytes, b, n, &seed);
        bytes_free(&bytes);
    }
    for (unsigned i = 0; i < MAX_BATCHES; i++) {
        batch_destroy(b[i]);
    }
}

/* Any damage is noticed before a wrong value comes out. */
static void
test_damage(void)
{
    struct flow_batch *b[2] = { batch_create(), batch_create() };
    struct flow_batch *out = batch_create(), *want = batch_create();
    uint64_t seed = 3;
    struct bytes bytes = { 0 };

    make_batches(b, 2, 500, &seed);
    CU_ASSERT_EQUAL_FATAL(block_write(
        writer, (const struct flow_batch *const *) b, 2, dict, 99, &bytes),
        0);
    uint32_t head_size, size;
    CU_ASSERT_FATAL(block_sizes(bytes.data, &head_size, &size));
    struct block_reader *r = block_reader_create(dict);
    unsigned noticed = 0, unused = 0;
    for (unsigned round = 0; round < 3000; round++) {
        size_t at = (size_t) (util_random(&seed) % (bytes.size * 8));
        if (round < head_size) {
            at = round * 8 + at % 8;
        }
        bytes.data[at / 8] ^= (uint8_t) (1 << at % 8);
        struct block_head *h = block_head_read(bytes.data, bytes.size,
                                               &ours);
        CU_ASSERT_EQUAL(h == NULL, at / 8 < head_size);
        unsigned before = noticed;
        noticed += !h;
        for (unsigned id = 0; h && id < N_COLUMNS; id++) {
            block_reader_set(r, h, fetch, &bytes);
            int e = block_read(r, id, 0, out);
            CU_ASSERT(e == 0 || e == -EBADMSG);
            for (uint32_t i = 0; !e && i < 500; i++) {
                CU_ASSERT_FATAL(same_value(b[0], i, out, i, id));
            }
            noticed += e != 0;
        }
        unused += before == noticed;
        free(h);
        bytes.data[at / 8] ^= (uint8_t) (1 << at % 8);
    }
    /* What is between bodies is nobody's. */
    CU_ASSERT(noticed > 2500 && unused < 100);
    struct block_head *cut = block_head_read(bytes.data, head_size - 1,
                                             &ours);
    CU_ASSERT_PTR_NULL(cut);
    block_reader_destroy(r);
    bytes_free(&bytes);
    batch_destroy(b[0]);
    batch_destroy(b[1]);
    batch_destroy(out);
    batch_destroy(want);
}

/* A file of a release that had other columns, in another order. */
static void
test_other_columns(void)
{
    struct flow_batch *b = batch_create(), *out = batch_create();
    struct block_columns map = { .n = N_COLUMNS };
    uint64_t seed = 8;
    struct bytes bytes = { 0 };

    make_batches(&b, 1, 100, &seed);
    CU_ASSERT_EQUAL_FATAL(block_write(
        writer, (const struct flow_batch *const *) &b, 1, dict, 99, &bytes),
        0);
    /* What was written as "bytes" was something else there. */
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        map.id[i] = i == COL_bytes || i == COL_vni ? N_COLUMNS : (uint16_t) i;
    }
    struct block_head *h = block_head_read(bytes.data, bytes.size, &map);
    CU_ASSERT_FATAL(h != NULL);
    CU_ASSERT_PTR_NULL(block_column(h, COL_vni));
    struct block_reader *r = block_reader_create(dict);
    block_reader_set(r, h, fetch, &bytes);
    memset(out->valid, 0xff, sizeof out->valid);
    out->bytes[3] = 1;
    CU_ASSERT_EQUAL(block_read(r, COL_vni, 0, out), 0);
    CU_ASSERT_EQUAL(block_read(r, COL_bytes, 0, out), 0);
    CU_ASSERT(!batch_is_valid(out, COL_vni, 3));
    CU_ASSERT(batch_is_valid(out, COL_bytes, 3) && !out->bytes[3]);
    CU_ASSERT_EQUAL(block_read(r, COL_bytes, 1, out), -EINVAL);
    block_reader_destroy(r);
    free(h);
    bytes_free(&bytes);
    batch_destroy(b);
    batch_destroy(out);
}

/* The directory's entry of a column. */
static struct block_column
entry_of(const struct bytes *bytes, unsigned id)
{
    struct block_head *h = block_head_read(bytes->data, bytes->size, &ours);
    CU_ASSERT_FATAL(h && block_column(h, id));
    struct block_column c = *block_column(h, id);
    free(h);
    return c;
}

/* A few hundred values, many times: a table, whose numbers rise, and whose IPv6
 * addresses are without the octets that all have in common, 'same' of them at
 * each end. */
static void
check_table(unsigned n_v4, unsigned n_v6, unsigned same, uint64_t *seed)
{
    struct flow_batch *b[2] = { batch_create(), batch_create() };
    struct addr addrs[600];
    uint64_t macs[600], vnis[600];
    struct bytes bytes = { 0 };
    unsigned n = n_v4 + n_v6;

    for (unsigned i = 0; i < n; i++) {
        uint64_t r[2] = { util_random(seed), util_random(seed) };
        uint8_t *p = addrs[i].b;
        memset(p, 0x20, 16);
        if (i < n_v4) {
            addrs[i] = addr_from_v4_bytes((uint8_t *) r);
        } else {
            memcpy(p + same, r, 16 - 2 * same);
            p[0] = 0x20;
        }
        macs[i] = r[0] >> 16;
        vnis[i] = r[1];
    }
    for (unsigned k = 0; k < 2; k++) {
        b[k]->n = BATCH_ROWS;
        for (uint32_t i = 0; i < BATCH_ROWS; i++) {
            unsigned at = (unsigned) (util_random(seed) >> 20) % n;
            BATCH_SET(b[k], src_addr, i, addrs[at]);
            BATCH_SET(b[k], src_mac, i, macs[at]);
            BATCH_SET(b[k], vni, i, vnis[at]);
        }
    }
    CU_ASSERT_EQUAL_FATAL(block_write(
        writer, (const struct flow_batch *const *) b, 2, dict, 99, &bytes), 0);
    struct block_column c = entry_of(&bytes, COL_src_addr);
    if (n_v6) {
        CU_ASSERT_EQUAL(c.kind, KIND_TABLE);
        CU_ASSERT_EQUAL(c.flags, FLAG_RISING | FLAG_THIN);
        /* Positions take up to 10 bits; of numbers those that were left. */
        CU_ASSERT(c.size < 5200 + n_v4 * 5 + n_v6 * (17 - 2 * same) + 200);
    }
    c = entry_of(&bytes, COL_src_mac);
    CU_ASSERT(c.kind == KIND_TABLE && c.flags == FLAG_RISING);
    c = entry_of(&bytes, COL_vni);
    CU_ASSERT(c.kind == KIND_TABLE && c.flags == FLAG_RISING);
    check_block(&bytes, b, 2, seed);
    bytes_free(&bytes);
    batch_destroy(b[0]);
    batch_destroy(b[1]);
}

static void
test_tables(void)
{
    uint64_t seed = 815;

    for (unsigned same = 0; same <= 7; same++) {
        check_table(300, 300, same, &seed);
        check_table(0, 257, same, &seed);
        check_table(599, 1, same, &seed);
    }
    check_table(600, 0, 0, &seed);
}

static void
setup(void)
{
    dict = dict_create(100000, 1000000);
    writer = block_writer_create();
    ours.n = N_COLUMNS;
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        ours.id[i] = (uint16_t) i;
    }
    (void) source;
}

static void
teardown(void)
{
    block_writer_destroy(writer);
    dict_destroy(dict);
}

UNIT_MAIN("block", UNIT_TEST(setup), UNIT_TEST(test_pack),
          UNIT_TEST(test_checksum), UNIT_TEST(test_random),
          UNIT_TEST(test_tables),
          UNIT_TEST(test_damage), UNIT_TEST(test_other_columns),
          UNIT_TEST(teardown))
