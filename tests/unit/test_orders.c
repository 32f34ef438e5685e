/* tests/unit/test_orders.c -- what was removed by hand, over a restart. */
#include <config.h>

#include "ovsdb/orders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static void
test_last_word(void)
{
    struct orders o = { .n = 0 };
    CU_ASSERT_PTR_NULL(orders_format(&o));
    orders_add(&o, true, "br0", NULL);
    orders_add(&o, true, NULL, "p");
    /* Nothing that was removed: nothing to keep. */
    CU_ASSERT_PTR_NULL(orders_format(&o));
    orders_add(&o, false, "br0", NULL);
    CU_ASSERT_EQUAL(o.n, 2);
    char *text = orders_format(&o);
    CU_ASSERT_STRING_EQUAL(text, "venturi-orders 1\nremove =br0 *\nend\n");
    free(text);
    orders_add(&o, false, NULL, NULL);
    CU_ASSERT_EQUAL(o.n, 1);
    orders_add(&o, true, "br1", NULL);
    text = orders_format(&o);
    CU_ASSERT_STRING_EQUAL(text, "venturi-orders 1\nremove * *\n"
                           "apply =br1 *\nend\n");
    free(text);
    orders_clear(&o);
}

/* Names are whatever a database holds. */
static void
test_names(void)
{
    static const char *const names[] = {
        "", "*", "=", "%", "a b", "x\ny", "end", "br-\xc3\xa9", "\x01\x7f",
        "%00", "A.b_c:d@e-9",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct orders o = { .n = 0 }, back = { .n = 0 };
        orders_add(&o, false, names[i], i % 2 ? names[i] : NULL);
        orders_add(&o, true, NULL, names[i]);
        char *text = orders_format(&o);
        CU_ASSERT_PTR_NOT_NULL_FATAL(text);
        CU_ASSERT_EQUAL(orders_parse(&back, text, strlen(text)), 0);
        CU_ASSERT_EQUAL_FATAL(back.n, 2);
        CU_ASSERT(!back.list[0].apply && back.list[0].kept);
        CU_ASSERT_STRING_EQUAL(back.list[0].bridge, names[i]);
        CU_ASSERT_EQUAL(!back.list[0].policy, !(i % 2));
        CU_ASSERT(back.list[1].apply && back.list[1].kept);
        CU_ASSERT_PTR_NULL(back.list[1].bridge);
        CU_ASSERT_STRING_EQUAL(back.list[1].policy, names[i]);
        orders_clear(&o);
        orders_clear(&back);
        free(text);
    }
}

static void
test_damaged(void)
{
    static const char good[] = "venturi-orders 1\nremove =br0 =p\n"
                               "apply =br%2f1 *\nend\n";
    static const char *const bad[] = {
        "end\n", "venturi-orders 2\nend\n", "venturi-orders 1\n",
        "venturi-orders 1\nremove\nend\n",
        "venturi-orders 1\nremove *\nend\n",
        "venturi-orders 1\nremove * * *\nend\n",
        "venturi-orders 1\nkeep * *\nend\n",
        "venturi-orders 1\nremove br0 *\nend\n",
        "venturi-orders 1\nremove =% *\nend\n",
        "venturi-orders 1\nremove =%2 *\nend\n",
        "venturi-orders 1\nremove =%2g *\nend\n",
        "venturi-orders 1\nremove =%00 *\nend\n",
        "venturi-orders 1\nend\nremove * *\n",
    };
    struct orders o = { .n = 0 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_EQUAL(orders_parse(&o, bad[i], strlen(bad[i])), -EBADMSG);
        CU_ASSERT_EQUAL(o.n, 0);
    }
    /* Cut anywhere; the last newline is not missed. */
    for (size_t n = 0; n + 2 < sizeof good; n++) {
        CU_ASSERT_EQUAL(orders_parse(&o, good, n), -EBADMSG);
        CU_ASSERT_EQUAL(o.n, 0);
    }
    /* With a NUL in it, and whole. */
    CU_ASSERT_EQUAL(orders_parse(&o, good, sizeof good), -EBADMSG);
    CU_ASSERT_EQUAL(orders_parse(&o, good, sizeof good - 1), 0);
    CU_ASSERT_EQUAL_FATAL(o.n, 2);
    CU_ASSERT_STRING_EQUAL(o.list[1].bridge, "br/1");
    orders_clear(&o);
}

static void
test_file(void)
{
    char dir[] = "orders-XXXXXX", path[64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/orders", dir);
    struct orders o = { .n = 0 }, back = { .n = 0 };
    CU_ASSERT_EQUAL(orders_load(&back, path), 0);
    CU_ASSERT_EQUAL(orders_save(&o, path), 0);
    CU_ASSERT(access(path, F_OK));
    orders_add(&o, false, "br0", NULL);
    CU_ASSERT_EQUAL(orders_save(&o, path), 0);
    CU_ASSERT_EQUAL(orders_load(&back, path), 0);
    CU_ASSERT_EQUAL(back.n, 1);
    orders_clear(&back);
    orders_clear(&o);
    /* Nothing left to keep: no file. */
    CU_ASSERT_EQUAL(orders_save(&o, path), 0);
    CU_ASSERT(access(path, F_OK));
    /* Too large. */
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_EQUAL(ftruncate(fileno(f), 2 * ORDERS_FILE_MAX), 0);
    fclose(f);
    CU_ASSERT_EQUAL(orders_load(&back, path), -EBADMSG);
    CU_ASSERT_EQUAL(unlink(path), 0);
    /* No such directory. */
    CU_ASSERT_EQUAL(rmdir(dir), 0);
    orders_add(&o, false, NULL, NULL);
    CU_ASSERT_EQUAL(orders_save(&o, path), -ENOENT);
    orders_clear(&o);
}

UNIT_MAIN("orders", UNIT_TEST(test_last_word), UNIT_TEST(test_names),
          UNIT_TEST(test_damaged), UNIT_TEST(test_file))
