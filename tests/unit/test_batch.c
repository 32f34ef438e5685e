#include <config.h>

#include "lib/batch.h"

#include "lib/source.h"
#include "tests/unit/unit.h"

/* The column table agrees with itself: every name once, every array where its
 * offset says, words where the type wants them, a unit for every sum. */
static void
test_columns(void)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        const struct column *c = &columns[i];
        CU_ASSERT_PTR_EQUAL(column_by_name(c->name), c);
        CU_ASSERT_TRUE(c->doc[0] != '\0');
        bool words = c->type == COLUMN_T_ENUM || c->type == COLUMN_T_BITS;
        CU_ASSERT_EQUAL(words, c->words != NULL);
        if (c->flags & CF_SUM) {
            CU_ASSERT_EQUAL(c->type, COLUMN_T_U64);
            CU_ASSERT_TRUE(c->unit[0] != '\0');
        }
        for (size_t j = 0; j < i; j++) {
            CU_ASSERT_FALSE(c->ie && (c->ie == columns[j].ie
                                      || c->ie == columns[j].ie2));
        }
        for (const struct column_word *w = c->words; w && w->name; w++) {
            uint32_t v = 0;
            CU_ASSERT_EQUAL(column_word_value(c, w->name, &v), 0);
            CU_ASSERT_EQUAL(v, w->value);
            CU_ASSERT_STRING_EQUAL(column_word_name(c, w->value), w->name);
        }
    }
    CU_ASSERT_PTR_NULL(column_by_name("no_such_column"));
    CU_ASSERT_EQUAL(columns[COL_src_port].offset,
                    offsetof(struct flow_batch, src_port));
    CU_ASSERT_EQUAL(columns[COL_src_addr].size, 16);
}

static void
test_valid(void)
{
    struct flow_batch *b = batch_create();
    CU_ASSERT_FALSE(batch_is_valid(b, COL_src_port, 5));
    CU_ASSERT_TRUE(batch_is_valid(b, COL_bytes, 5));    /* Never null. */
    for (uint32_t from = 0; from < 130; from += 13) {
        for (uint32_t n = 0; n < 200; n += 7) {
            batch_reset(b);
            batch_set_valid_range(b, COL_src_port, from, n);
            bool ok = true;
            for (uint32_t i = 0; i < 400; i++) {
                ok &= batch_is_valid(b, COL_src_port, i)
                      == (i >= from && i < from + n);
            }
            CU_ASSERT_TRUE(ok);
        }
    }
    batch_set_valid_range(b, COL_src_port, 0, BATCH_ROWS);
    CU_ASSERT_TRUE(batch_is_valid(b, COL_src_port, BATCH_ROWS - 1));
    batch_clear_valid(b, COL_src_port, 7);
    CU_ASSERT_FALSE(batch_is_valid(b, COL_src_port, 7));
    batch_destroy(b);
}

static void
test_spans(void)
{
    struct flow_batch *b = batch_create();
    struct source s1, s2;
    batch_add_span(b, &s1, 0);                  /* No rows: no span. */
    CU_ASSERT_EQUAL(b->n_spans, 0);
    b->n = 3;
    batch_add_span(b, &s1, 0);
    b->n = 5;
    batch_add_span(b, &s1, 3);                  /* Grows the last. */
    CU_ASSERT_EQUAL(b->n_spans, 1);
    CU_ASSERT_EQUAL(b->spans[0].n, 5);
    b->n = 6;
    batch_add_span(b, &s2, 5);
    CU_ASSERT_EQUAL(b->n_spans, 2);
    CU_ASSERT_EQUAL(b->spans[1].from, 5);
    CU_ASSERT_EQUAL(batch_room(b), BATCH_ROWS - 6);
    b->n = BATCH_ROWS;
    CU_ASSERT_TRUE(batch_full(b));
    batch_destroy(b);
}

UNIT_MAIN("batch", UNIT_TEST(test_columns), UNIT_TEST(test_valid),
          UNIT_TEST(test_spans))
