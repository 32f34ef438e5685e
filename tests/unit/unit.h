/* tests/unit/unit.h -- a CUnit program in one line.
 *
 *     UNIT_MAIN("cursor", UNIT_TEST(test_take), UNIT_TEST(test_sub))
 *
 * runs the tests, prints CUnit's own summary and exits 0 if all passed. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H 1

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

struct unit_test {
    const char *name;
    void (*run)(void);
};

#define UNIT_TEST(F) { #F, F }

static inline int
unit_run(const char *suite_name, const struct unit_test *tests, size_t n)
{
    if (CU_initialize_registry() != CUE_SUCCESS) {
        return CU_get_error();
    }
    CU_pSuite suite = CU_add_suite(suite_name, NULL, NULL);
    for (size_t i = 0; suite && i < n; i++) {
        if (!CU_add_test(suite, tests[i].name, tests[i].run)) {
            suite = NULL;
        }
    }
    if (!suite) {
        return 1;
    }
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    unsigned run = CU_get_number_of_tests_run();
    CU_cleanup_registry();
    return failed || run != n;
}

/* A heap block of exactly 'n' bytes, so that ASan sees byte n. */
static inline void *
memdup_exact(const void *p, size_t n)
{
    void *copy = malloc(n ? n : 1);
    if (copy && n) {
        memcpy(copy, p, n);
    }
    return copy;
}

#define UNIT_MAIN(NAME, ...)                                            \
    int                                                                 \
    main(void)                                                          \
    {                                                                   \
        static const struct unit_test tests__[] = { __VA_ARGS__ };      \
        return unit_run(NAME, tests__,                                  \
                        sizeof tests__ / sizeof tests__[0]);            \
    }

#endif /* tests/unit/unit.h */
