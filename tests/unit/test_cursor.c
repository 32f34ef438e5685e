#include <config.h>

#include "lib/cursor.h"

#include "tests/unit/unit.h"

static void
test_reads(void)
{
    static const uint8_t data[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                                    13, 14, 15 };
    struct cursor c = cur_init(data, sizeof data);
    CU_ASSERT_EQUAL(cur_u8(&c), 1);
    CU_ASSERT_EQUAL(cur_u16(&c), 0x0203);
    CU_ASSERT_EQUAL(cur_u32(&c), 0x04050607);
    CU_ASSERT_EQUAL(cur_u64(&c), UINT64_C(0x08090a0b0c0d0e0f));
    CU_ASSERT_FALSE(cur_more(&c));
    CU_ASSERT_FALSE(c.bad);
    CU_ASSERT_EQUAL(be_uint_at(data, 3), 0x010203);
}

/* One byte too few for each width: refused, and from then on all is. */
static void
test_sticky(void)
{
    static const size_t widths[] = { 1, 2, 4, 8 };
    for (size_t i = 0; i < 4; i++) {
        uint8_t *data = memdup_exact("\1\2\3\4\5\6\7", widths[i] - 1);
        struct cursor c = cur_init(data, widths[i] - 1);
        uint64_t v = i == 0 ? cur_u8(&c) : i == 1 ? cur_u16(&c)
                     : i == 2 ? cur_u32(&c) : cur_u64(&c);
        CU_ASSERT_EQUAL(v, 0);
        CU_ASSERT_TRUE(c.bad);
        CU_ASSERT_EQUAL(cur_left(&c), 0);
        CU_ASSERT_EQUAL(cur_u8(&c), 0);
        free(data);
    }
}

static void
test_sub(void)
{
    static const uint8_t data[] = { 1, 2, 3, 4 };
    struct cursor c = cur_init(data, sizeof data);
    struct cursor child = cur_sub(&c, 2);
    CU_ASSERT_EQUAL(cur_u16(&child), 0x0102);
    CU_ASSERT_EQUAL(cur_u8(&child), 0);         /* Not the parent's byte. */
    CU_ASSERT_TRUE(child.bad);
    CU_ASSERT_EQUAL(cur_u16(&c), 0x0304);
    struct cursor none = cur_sub(&c, 1);
    CU_ASSERT_TRUE(none.bad);
    CU_ASSERT_TRUE(c.bad);
    c = cur_init(data, sizeof data);
    none = cur_sub(&c, SIZE_MAX);
    CU_ASSERT_TRUE(none.bad);
}

UNIT_MAIN("cursor", UNIT_TEST(test_reads), UNIT_TEST(test_sticky),
          UNIT_TEST(test_sub))
