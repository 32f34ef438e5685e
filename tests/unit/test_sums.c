#include <config.h>

#include "collector/store/sums.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/dict.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

#define N_BATCHES 4

static struct dict *dict;
static struct sums_addrs *addrs;
static struct source source;
static struct flow_batch *rows[N_BATCHES];
static struct bytes bytes[2];           /* A block of two batches each. */
static struct block_head *heads[2];
static unsigned step = 2;               /* Every other row, or each. */

static int
fetch(void *aux, uint64_t offset, void *buf, size_t size)
{
    const struct bytes *b = aux;
    memcpy(buf, b->data + offset, size);
    return 0;
}

static void
setup(void)
{
    struct block_columns map = { .n = N_COLUMNS };
    struct block_writer *w = block_writer_create();
    uint64_t seed = 99;

    dict = dict_create(1000, 100000);
    addrs = sums_addrs_create();
    CU_ASSERT_FATAL(addrs != NULL);
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        map.id[i] = (uint16_t) i;
    }
    for (unsigned i = 0; i < N_BATCHES; i++) {
        rows[i] = batch_create();
        util_fill(rows[i], 900, UTIL_T0 + i * 1000000, &seed, dict, &source);
    }
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(block_write(
            w, (const struct flow_batch *const *) rows + 2 * i, 2, dict, 0,
            &bytes[i]), 0);
        heads[i] = block_head_read(bytes[i].data, bytes[i].size, &map);
        CU_ASSERT_FATAL(heads[i] != NULL);
    }
    block_writer_destroy(w);
}

static void
teardown(void)
{
    for (unsigned i = 0; i < N_BATCHES; i++) {
        batch_destroy(rows[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        bytes_free(&bytes[i]);
        free(heads[i]);
    }
    dict_destroy(dict);
    sums_addrs_destroy(addrs);
}

/* Sums of every row that is asked for of one block. */
static struct sums *
sum_block(const struct sums_spec *spec, unsigned i)
{
    struct sums *s = sums_create(spec, addrs);
    struct block_reader *r = block_reader_create(dict);
    struct flow_batch *b = batch_create();

    CU_ASSERT_FATAL(s && r && b);
    block_reader_set(r, heads[i], fetch, &bytes[i]);
    CU_ASSERT(sums_fit(s, heads[i]));
    for (unsigned f = 0; f < block_frames(heads[i]); f++) {
        uint16_t index[FRAME_ROWS];
        uint32_t n = 0;
        for (uint32_t k = 0; k < block_frame_rows(heads[i], f);
             k += step) {
            index[n++] = (uint16_t) k;
        }
        b->n = block_frame_rows(heads[i], f);
        CU_ASSERT_EQUAL(sums_add(s, r, f, b, index, n), 0);
    }
    block_reader_destroy(r);
    batch_destroy(b);
    return s;
}

static struct addr
mask(struct addr a, unsigned v4_len, unsigned v6_len)
{
    unsigned len = addr_is_v4(&a) ? 96 + v4_len : v6_len;
    for (unsigned i = len; i < 128; i++) {
        a.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
    }
    return a;
}

/* Whether a record is of a group. */
static bool
is_of(const struct sums_spec *spec, struct flow_batch *b, uint32_t row,
      int64_t time_us, const struct sums_value *keys)
{
    if (spec->bucket_us
        && b->flow_end[row] - b->flow_end[row] % spec->bucket_us != time_us) {
        return false;
    }
    for (unsigned k = 0; k < spec->n_keys; k++) {
        enum column_id id = spec->keys[k].column;
        const uint8_t *p = (uint8_t *) batch_column(b, id)
                           + row * columns[id].size;
        bool null = columns[id].flags & CF_NULL
                    && !batch_is_valid(b, id, row);
        uint64_t v = 0;
        if (null || keys[k].null) {
            if (null != keys[k].null) {
                return false;
            }
        } else if (columns[id].type == COLUMN_T_ADDR) {
            struct addr a;
            memcpy(&a, p, sizeof a);
            if (spec->keys[k].prefix) {
                a = mask(a, spec->keys[k].v4_len, spec->keys[k].v6_len);
            }
            if (memcmp(&a, &keys[k].addr, sizeof a)) {
                return false;
            }
        } else {
            memcpy(&v, p, columns[id].size);
            if (columns[id].type == COLUMN_T_NAME) {
                /* What is no UTF-8 has become question marks. */
                const char *x = dict_text(dict, (uint32_t) v);
                const char *y = dict_text(dict, (uint32_t) keys[k].u);
                if (strcmp(x, y) && !(x[4] == '-' && y[4] == '-')) {
                    return false;
                }
            } else if (v != keys[k].u) {
                return false;
            }
        }
    }
    return true;
}

/* Each group against all rows, one by one; no row is missing. */
static void
check(const struct sums_spec *spec)
{
    struct sums *s = sum_block(spec, 0), *o = sum_block(spec, 1);
    uint64_t flows = 0, bad = 0;

    CU_ASSERT_EQUAL(sums_merge(s, o), 0);
    CU_ASSERT(sums_bytes(s) > 0);
    sums_destroy(o);
    for (uint32_t g = 0; g < sums_count(s); g++) {
        struct sums_value keys[SUMS_MAX_KEYS], m[SUMS_MAX_METRICS];
        uint64_t sum = 0, n = 0, l2 = 0, n_l2 = 0;
        int64_t time_us = 0;
        CU_ASSERT_FATAL(sums_get(s, g, &time_us, keys, m));
        for (unsigned i = 0; i < N_BATCHES; i++) {
            for (uint32_t row = 0; row < rows[i]->n; row += step) {
                if (is_of(spec, rows[i], row, time_us, keys)) {
                    n++;
                    sum += rows[i]->bytes[row];
                    bool set = batch_is_valid(rows[i], COL_l2_bytes, row);
                    n_l2 += set;
                    l2 += set ? rows[i]->l2_bytes[row] : 0;
                }
            }
        }
        bad += m[0].u != n || m[1].u != sum || m[1].null
               || (spec->n_metrics > 2
                   && (m[2].null != !n_l2 || (n_l2 && m[2].u != l2)));
        flows += m[0].u;
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_EQUAL(flows, N_BATCHES * 900 / step);
    sums_destroy(s);
}

/* The smallest or largest of a group, one by one. */
static bool
is_extreme(const struct sums_spec *spec, unsigned m, int64_t time_us,
           const struct sums_value *keys, const struct sums_value *told)
{
    enum column_id id = spec->metrics[m];
    bool any = false, time = columns[id].type == COLUMN_T_TIME;
    uint64_t best = 0;

    for (unsigned i = 0; i < N_BATCHES; i++) {
        const uint64_t *v = batch_column(rows[i], id);
        for (uint32_t row = 0; row < rows[i]->n; row += step) {
            if (!batch_is_valid(rows[i], id, row)
                || !is_of(spec, rows[i], row, time_us, keys)) {
                continue;
            }
            bool less = time ? (int64_t) v[row] < (int64_t) best
                             : v[row] < best;
            if (!any || (v[row] != best
                         && less == (spec->of[m] == SUMS_MIN))) {
                best = v[row];
            }
            any = true;
        }
    }
    return told->null == !any && (!any || told->u == best);
}

/* So, in a table and in partitions, of few groups and of many. */
static void
test_extremes(void)
{
    static const enum column_id keys_of[] = { COL_proto, COL_src_addr };

    for (unsigned i = 0; i < 8; i++) {
        struct sums_spec spec = {
            .n_keys = i % 4 != 3, .bucket_us = i % 4 == 2 ? 500000 : 0,
            .n_metrics = i < 4 ? 6 : 5,
            .metrics = { N_COLUMNS, COL_flow_start, COL_flow_end, COL_bytes,
                         COL_bytes, COL_l2_bytes },
            .of = { SUMS_ADD, SUMS_MIN, SUMS_MAX, SUMS_MIN, SUMS_MAX,
                    SUMS_MIN },
        };
        spec.keys[0].column = keys_of[i % 2];
        struct sums *all[2] = { sum_block(&spec, 0), sum_block(&spec, 1) };
        struct sums *whole = sum_block(&spec, 0);
        struct sums *s = sums_create(&spec, addrs);
        struct sums_value keys[SUMS_MAX_KEYS], m[SUMS_MAX_METRICS];
        uint64_t bad = 0, flows = 0;
        int64_t t = 0;

        CU_ASSERT_EQUAL(sums_merge(whole, all[1]), 0);
        CU_ASSERT_EQUAL(sums_split(all[0]), 0);
        CU_ASSERT_EQUAL(sums_split(all[1]), 0);
        for (unsigned part = 0; part <= SUMS_PARTS; part++) {
            struct sums *x = part < SUMS_PARTS ? s : whole;
            if (x == s) {
                CU_ASSERT_EQUAL(sums_collect(s, all, 2, part), 0);
            }
            for (uint32_t g = 0; g < sums_count(x); g++) {
                CU_ASSERT(sums_get(x, g, &t, keys, m));
                flows += m[0].u;
                for (unsigned k = 1; k < spec.n_metrics; k++) {
                    bad += !is_extreme(&spec, k, t, keys, &m[k]);
                }
            }
        }
        CU_ASSERT_EQUAL(bad, 0);
        CU_ASSERT_EQUAL(flows, 2 * N_BATCHES * 900 / step);
        sums_destroy(all[0]);
        sums_destroy(all[1]);
        sums_destroy(whole);
        sums_destroy(s);
    }
}

/* Groups in partitions, told row by row and collected, are what the table says;
 * and what is cut partition by partition is less than what stays. */
static void
test_parts(void)
{
    for (unsigned top = 0; top < 20; top += 6) {
        struct sums_spec spec = { .n_keys = 2, .n_metrics = 3,
                                  .metrics = { N_COLUMNS, COL_bytes,
                                               COL_l2_bytes },
                                  .top = top, .order = 1,
                                  .descending = true };
        spec.keys[0].column = COL_src_addr;
        spec.keys[1].column = COL_dst_port;
        if (top) {
            spec.n_metrics = 2;         /* None that can be null. */
        }
        struct sums *whole = sum_block(&spec, 0), *o = sum_block(&spec, 1);
        struct sums *all[2] = { sum_block(&spec, 0), sum_block(&spec, 1) };
        struct sums *s = sums_create(&spec, addrs);
        struct sums_value keys[SUMS_MAX_KEYS], m[SUMS_MAX_METRICS];
        uint64_t flows = 0, bytes_ = 0, l2 = 0, sums_of[3] = { 0 };
        uint32_t n = 0, kept = 0, missing = 0;
        struct sums_value (*stay)[2] = calloc(2000, sizeof *stay);
        int64_t t;
        FILE *file = tmpfile();
        _Atomic uint64_t end = 0;

        CU_ASSERT_FATAL(file != NULL);
        CU_ASSERT_EQUAL(sums_merge(whole, o), 0);
        for (uint32_t g = 0; g < sums_count(whole); g++) {
            CU_ASSERT(sums_get(whole, g, &t, keys, m));
            flows += m[0].u;
            bytes_ += m[1].u;
            l2 += top || m[2].null ? 0 : m[2].u;
        }
        for (unsigned i = 0; i < 2; i++) {
            struct sums_cursor c = { .part = 0 };
            CU_ASSERT(!sums_is_split(all[i]));
            CU_ASSERT_EQUAL(sums_split(all[i]), 0);
            CU_ASSERT(sums_is_split(all[i]));
            CU_ASSERT_EQUAL(sums_count(all[i]), 0);
            if (top == 6 || (top == 12 && i)) { /* Not all in memory. */
                CU_ASSERT_EQUAL(sums_spill(all[i], fileno(file), &end), 0);
                CU_ASSERT(sums_is_split(all[i]));
            }
            while (sums_next_row(all[i], &c, &t, keys, m)) {
                sums_of[0] += m[0].u;
                sums_of[1] += m[1].u;
                sums_of[2] += top || m[2].null ? 0 : m[2].u;
            }
        }
        CU_ASSERT(sums_of[0] == flows && sums_of[1] == bytes_
                  && sums_of[2] == l2);
        memset(sums_of, 0, sizeof sums_of);
        sums_cut(whole);
        for (unsigned part = 0; part < SUMS_PARTS; part++) {
            CU_ASSERT_EQUAL(sums_collect(s, all, 2, part), 0);
            n += sums_count(s);
            sums_cut(s);
            for (uint32_t g = 0; g < sums_count(s); g++) {
                bool stays = sums_get(s, g, &t, keys, m);
                memcpy(stay[kept], keys, sizeof stay[0]);
                kept += stays;
                sums_of[0] += stays ? m[0].u : 0;
                sums_of[1] += stays ? m[1].u : 0;
            }
        }
        CU_ASSERT_EQUAL(n, sums_count(whole));
        for (uint32_t g = 0; g < n; g++) {
            bool there = !sums_get(whole, g, &t, keys, m);
            for (uint32_t k = 0; !there && k < kept; k++) {
                there = keys[0].null == stay[k][0].null
                        && keys[1].null == stay[k][1].null
                        && (keys[1].null || keys[1].u == stay[k][1].u)
                        && (keys[0].null
                            || !memcmp(&keys[0].addr, &stay[k][0].addr, 16));
            }
            missing += !there;
        }
        CU_ASSERT_EQUAL(missing, 0);
        free(stay);
        if (top) {
            CU_ASSERT(kept >= top && kept < n);
        } else {
            CU_ASSERT_EQUAL(kept, n);
            CU_ASSERT(sums_of[0] == flows && sums_of[1] == bytes_);
        }
        /* A file that cannot be read is an error, not an answer. */
        if (top == 6) {
            bool failed = false;
            CU_ASSERT_EQUAL(ftruncate(fileno(file), 0), 0);
            for (unsigned part = 0; part < SUMS_PARTS; part++) {
                failed |= sums_collect(s, all, 2, part) == -EIO;
            }
            CU_ASSERT(failed);
        }
        fclose(file);
        sums_destroy(all[0]);
        sums_destroy(all[1]);
        sums_destroy(o);
        sums_destroy(whole);
        sums_destroy(s);
    }
}

static const struct sums_spec metrics = {
    .n_metrics = 3, .metrics = { N_COLUMNS, COL_bytes, COL_l2_bytes },
};

/* Sums are the same if it is known what no value exceeds. */
static void
check_bounded(const struct sums_spec *spec)
{
    struct sums_spec s = *spec;

    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < s.n_keys; k++) {
            const struct block_column *c = block_column(heads[i],
                                                        s.keys[k].column);
            uint64_t max = c ? c->max.u : 0;
            while (max >> s.keys[k].bits) {
                s.keys[k].bits++;
            }
        }
        s.first_us = i && heads[0]->min_us < heads[1]->min_us
                     ? s.first_us : heads[i]->min_us;
        s.last_us = i && heads[0]->max_us > heads[1]->max_us
                    ? s.last_us : heads[i]->max_us;
    }
    check(&s);
}

static void
test_keys(void)
{
    struct sums_spec spec = metrics;
    check(&spec);                               /* No keys: one group. */
    spec.bucket_us = 500000;
    check(&spec);
    check_bounded(&spec);
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (columns[id].flags & CF_KEY) {
            spec = metrics;
            spec.n_keys = 1;
            spec.keys[0].column = id;
            check(&spec);
            check_bounded(&spec);
            spec.bucket_us = 250000;
            spec.n_keys = 3;
            spec.keys[1].column = COL_src_addr;
            spec.keys[1].prefix = true;
            spec.keys[1].v4_len = 29;
            spec.keys[1].v6_len = 125;
            spec.keys[2].column = COL_vni;      /* 64 bits. */
            check(&spec);
            check_bounded(&spec);
        }
    }
    spec = metrics;
    spec.n_keys = 2;
    spec.keys[0].column = COL_src_addr;
    spec.keys[1].column = COL_dst_addr;
    check(&spec);
}

/* Rows of few groups take another way, if no sum may be null. */
static void
test_few(void)
{
    for (step = 1; step <= 3; step++) {
        struct sums_spec spec = metrics;
        spec.n_metrics = 2;
        check(&spec);
        spec.bucket_us = 1000000;
        check_bounded(&spec);
        spec.bucket_us = 0;
        spec.n_keys = 1;
        for (unsigned id = 0; id < N_COLUMNS; id++) {
            if (columns[id].flags & CF_KEY) {
                spec.keys[0].column = id;
                spec.keys[0].bits = 0;
                check_bounded(&spec);
            }
        }
    }
    step = 2;
}

/* What is cut is less than what stays, and enough stays. */
static void
test_cut(void)
{
    for (unsigned i = 0; i < 4; i++) {
        struct sums_spec spec = { .n_keys = 1, .n_metrics = 2,
                                  .metrics = { N_COLUMNS, COL_bytes },
                                  .top = 7, .order = 1,
                                  .descending = i % 2 };
        spec.keys[0].column = i < 2 ? COL_src_addr : COL_src_mac;
        struct sums *s = sum_block(&spec, 0);
        struct sums_value keys[SUMS_MAX_KEYS], m[SUMS_MAX_METRICS];
        uint64_t all[1024], n_better, kept = 0;
        uint32_t n = sums_count(s);
        int64_t t;
        CU_ASSERT_FATAL(n < 1024);
        for (uint32_t g = 0; g < n; g++) {
            CU_ASSERT(sums_get(s, g, &t, keys, m));
            all[g] = m[1].u;
        }
        sums_cut(s);
        for (uint32_t g = 0; g < n; g++) {
            n_better = 0;
            for (uint32_t k = 0; k < n; k++) {
                n_better += spec.descending ? all[k] > all[g]
                                            : all[k] < all[g];
            }
            bool stays = sums_get(s, g, &t, keys, m);
            CU_ASSERT_EQUAL(stays, n_better < 7);
            kept += stays;
        }
        CU_ASSERT(kept >= (n < 7 ? n : 7));
        sums_reset(s);
        CU_ASSERT_EQUAL(sums_count(s), 0);
        sums_destroy(s);
    }
}

/* Sums that could be larger than 64 bits are refused before. */
static void
test_overflow(void)
{
    struct sums_spec spec = metrics;
    struct sums *s = sums_create(&spec, addrs), *o = sums_create(&spec, addrs);
    struct block_head *h = calloc(1, sizeof *h + sizeof h->columns[0]);
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        h->at[i] = UINT16_MAX;
    }
    h->at[COL_bytes] = 0;
    h->n_rows = 4;
    h->columns[0].max.u = UINT64_MAX / 4;
    CU_ASSERT(sums_fit(s, h));
    CU_ASSERT(!sums_fit(s, h));
    CU_ASSERT(sums_fit(o, h));
    CU_ASSERT_EQUAL(sums_merge(s, o), -EOVERFLOW);
    h->columns[0].max.u = UINT64_MAX / 2;
    CU_ASSERT(!sums_fit(o, h));
    sums_reset(s);
    h->columns[0].max.u = 3;
    CU_ASSERT(sums_fit(s, h));
    free(h);
    sums_destroy(s);
    sums_destroy(o);
}

UNIT_MAIN("sums", UNIT_TEST(setup), UNIT_TEST(test_keys),
          UNIT_TEST(test_extremes), UNIT_TEST(test_few),
          UNIT_TEST(test_cut), UNIT_TEST(test_parts),
          UNIT_TEST(test_overflow),
          UNIT_TEST(teardown))
