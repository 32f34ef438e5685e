#include <config.h>

#include "lib/dict.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/unit/unit.h"

static void
test_intern(void)
{
    struct dict *d = dict_create(100, 1000);
    CU_ASSERT_EQUAL(dict_intern(d, "", 0), 0);
    uint32_t a = dict_intern(d, "br-int", 6);
    uint32_t b = dict_intern(d, "br-int2", 6);  /* Same six bytes. */
    uint32_t c = dict_intern(d, "br\0int", 6);
    CU_ASSERT_EQUAL(a, b);
    CU_ASSERT_NOT_EQUAL(a, c);
    CU_ASSERT_STRING_EQUAL(dict_text(d, a), "br-int");
    CU_ASSERT_STRING_EQUAL(dict_text(d, 12345), "");
    dict_destroy(d);
}

static void
test_limits(void)
{
    struct dict *d = dict_create(10, 1000);
    char name[16];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "n%d", i);
        uint32_t id = dict_intern(d, name, strlen(name));
        CU_ASSERT_STRING_EQUAL(dict_text(d, id),
                               i < 8 ? name : DICT_OVERFLOW);
    }
    CU_ASSERT_EQUAL(dict_refused(d), 12);
    CU_ASSERT_EQUAL(dict_count(d), 10);
    dict_destroy(d);

    d = dict_create(100, 10);
    uint32_t id = dict_intern(d, "12345678901", 11);
    CU_ASSERT_STRING_EQUAL(dict_text(d, id), DICT_OVERFLOW);
    id = dict_intern(d, "1234567890", 10);
    CU_ASSERT_STRING_EQUAL(dict_text(d, id), "1234567890");
    dict_destroy(d);
}

struct job {
    struct dict *d;
    uint32_t ids[1000];
};

static void *
intern_all(void *job_)
{
    struct job *job = job_;
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "port-%d", i);
        job->ids[i] = dict_intern(job->d, name, strlen(name));
    }
    return NULL;
}

static void
test_threads(void)
{
    struct dict *d = dict_create(2000, 1 << 20);
    static struct job jobs[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        jobs[i].d = d;
        pthread_create(&threads[i], NULL, intern_all, &jobs[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(dict_count(d), 1002);
    for (int i = 1; i < 4; i++) {
        CU_ASSERT_EQUAL(memcmp(jobs[0].ids, jobs[i].ids,
                               sizeof jobs[0].ids), 0);
    }
    dict_destroy(d);
}

UNIT_MAIN("dict", UNIT_TEST(test_intern), UNIT_TEST(test_limits),
          UNIT_TEST(test_threads))
