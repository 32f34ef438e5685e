#include <config.h>

#include "lib/dict.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/fnv.h"
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

/* Names that would be in one chain of a table whose hash is known: a peer may
 * send as many AS paths as it likes. */
static void
test_chosen(void)
{
    struct dict *d = dict_create(1024, 1 << 20);
    struct dict *other = dict_create(1024, 1 << 20);
    static bool seen[1024];
    unsigned n = 0, places = 0, same = 0;
    for (unsigned i = 0; n < 500; i++) {
        char name[24];
        size_t len = (size_t) snprintf(name, sizeof name, "64500 %u", i);
        uint64_t known = fnv_bytes(FNV_START, name, len);
        if (((known ^ known >> 32) & 1023) == 7) {
            uint64_t h = dict_hash(d, name, len);
            n++;
            places += !seen[h & 1023];
            seen[h & 1023] = true;
            same += h == dict_hash(other, name, len);
        }
    }
    /* By chance 396 of 1024 on average. */
    CU_ASSERT(places > 330);
    CU_ASSERT_EQUAL(same, 0);
    dict_destroy(d);
    dict_destroy(other);
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

/* Forgets what may be forgotten: some generations go by. */
static void
grow_old(struct dict *d, int64_t *now, int generations)
{
    for (int i = 0; i < 2 * generations; i++) {
        *now += 2 * DICT_GOOD_MS;
        while (dict_age(d, *now, 7)) {
        }
    }
}

static uint32_t
passing(struct dict *d, unsigned i)
{
    char name[16];
    snprintf(name, sizeof name, "p%u", i);
    return dict_passing(d, name, strlen(name));
}

/* Names without end: those in use stay, new ones find room again. */
static void
test_forgets(void)
{
    struct dict *d = dict_create(800, 1 << 20);
    int64_t now = 0;
    uint32_t kept = dict_intern(d, "kept", 4);
    uint32_t held = dict_passing(d, "held", 4);
    dict_hold(d, held);
    dict_hold(d, held);
    unsigned next = 0;
    for (int round = 0; round < 150; round++) {
        for (int i = 0; i < 30; i++) {
            uint32_t id = passing(d, next++);
            CU_ASSERT_STRING_NOT_EQUAL(dict_text(d, id), DICT_OVERFLOW);
        }
        CU_ASSERT_STRING_EQUAL(dict_text(d, dict_passing(d, "used", 4)),
                               "used");
        grow_old(d, &now, 1);
    }
    CU_ASSERT_EQUAL(dict_refused(d), 0);
    CU_ASSERT(dict_forgotten(d) > 3500);
    CU_ASSERT_STRING_EQUAL(dict_text(d, kept), "kept");
    CU_ASSERT_EQUAL(dict_intern(d, "kept", 4), kept);
    CU_ASSERT_STRING_EQUAL(dict_text(d, held), "held");
    CU_ASSERT_EQUAL(dict_passing(d, "held", 4), held);
    dict_release(d, held);
    uint64_t before = dict_count(d);
    for (int i = 0; i < 600; i++) {
        passing(d, next++);
    }
    grow_old(d, &now, 4);
    CU_ASSERT(dict_count(d) < before);
    CU_ASSERT_STRING_EQUAL(dict_text(d, held), "held");
    dict_release(d, held);
    for (int i = 0; i < 600; i++) {
        passing(d, next++);
    }
    grow_old(d, &now, 4);
    CU_ASSERT_STRING_NOT_EQUAL(dict_text(d, held), "held");
    CU_ASSERT_STRING_EQUAL(dict_text(d, kept), "kept");
    dict_destroy(d);
}

/* An id is good for a while after it was given out, and not given to others. */
static void
test_good_for(void)
{
    struct dict *d = dict_create(80, 1 << 20);
    int64_t now = 0;
    dict_age(d, now, 1000);
    uint32_t id = passing(d, 0);
    for (unsigned i = 1; i < 100; i++) {
        passing(d, i);          /* Full. */
    }
    CU_ASSERT(dict_refused(d) > 0);
    /* The last eighth is for others. */
    uint32_t mine = dict_intern(d, "mine", 4);
    CU_ASSERT_STRING_EQUAL(dict_text(d, mine), "mine");
    int64_t gone = 0;
    for (now = 100; !gone; now += 100) {
        dict_age(d, now, 1000);
        if (strcmp(dict_text(d, id), "p0")) {
            gone = now;
        }
        passing(d, 1000 + (unsigned) now);
    }
    CU_ASSERT(gone > DICT_GOOD_MS);
    CU_ASSERT(gone < 5 * 2 * DICT_GOOD_MS);
    CU_ASSERT_STRING_EQUAL(dict_text(d, passing(d, 0)), "p0");
    dict_destroy(d);
}

/* What a thread remembers is what it would be told: texts of all lengths that
 * differ in one place, ids that were given out again, and no room. */
static void
test_recent(void)
{
    struct dict *d = dict_create(1200, 1 << 20);
    struct dict_recent recent = { 0 };
    int64_t now = 0;
    for (int round = 0; round < 3; round++) {
        for (unsigned turn = 0; turn < 2; turn++) {
            for (size_t len = 0; len <= DICT_RECENT_LEN + 4; len++) {
                for (size_t at = 0; at <= len; at++) {
                    char text[DICT_RECENT_LEN + 5] = "";
                    memset(text, 'a' + round, len);
                    text[at] = at < len ? 'z' : '\0';
                    uint32_t id = dict_passing_recent(d, &recent, text, len);
                    CU_ASSERT_EQUAL(id, dict_passing(d, text, len));
                    CU_ASSERT_STRING_EQUAL(dict_text(d, id), text);
                }
            }
        }
        for (unsigned i = 0; i < 900; i++) {
            passing(d, i);      /* So much that names are forgotten. */
        }
        grow_old(d, &now, 4);
        for (unsigned i = 900; i < 1800; i++) {
            passing(d, i);      /* The ids go to others. */
        }
        grow_old(d, &now, 4);
    }
    CU_ASSERT(dict_forgotten(d) > 500);
    dict_destroy(d);

    d = dict_create(10, 1 << 20);
    memset(&recent, 0, sizeof recent);
    for (unsigned i = 0; i < 20; i++) {
        passing(d, i);
    }
    uint64_t refused = dict_refused(d);
    CU_ASSERT(refused > 0);
    for (int i = 0; i < 3; i++) {
        uint32_t id = dict_passing_recent(d, &recent, "late", 4);
        CU_ASSERT_STRING_EQUAL(dict_text(d, id), DICT_OVERFLOW);
    }
    CU_ASSERT_EQUAL(dict_refused(d), refused + 3);
    dict_destroy(d);
}

/* Threads that use some names while others pass: what they got is right. */
static struct dict *shared;
static _Atomic bool stop_churn;

struct churner {
    pthread_t thread;
    _Atomic unsigned turns;
    unsigned wrong;
};

static void *
churn(void *churner_)
{
    struct churner *c = churner_;
    for (unsigned i = 0; !stop_churn; i++) {
        char name[24];
        int n = snprintf(name, sizeof name, "n%u", i % 2 ? i % 64 : i);
        uint32_t id = dict_passing(shared, name, (size_t) n);
        const char *text = dict_text(shared, id);
        c->wrong += strcmp(text, name) && strcmp(text, DICT_OVERFLOW);
        c->turns++;
    }
    return NULL;
}

static void
test_forgets_beside_readers(void)
{
    shared = dict_create(4000, 1 << 20);
    struct churner c[3] = { 0 };
    int64_t now = 0;
    stop_churn = false;
    for (int i = 0; i < 3; i++) {
        pthread_create(&c[i].thread, NULL, churn, &c[i]);
    }
    /* Time goes by as fast as they can take it: each of them has some turns
     * in any DICT_GOOD_MS. */
    for (int i = 0; i < 60; i++) {
        for (int k = 0; k < 3; k++) {
            unsigned turns = c[k].turns;
            while (c[k].turns - turns < 300) {
                sched_yield();
            }
        }
        now += DICT_GOOD_MS;
        while (dict_age(shared, now, 100)) {
        }
    }
    stop_churn = true;
    for (int i = 0; i < 3; i++) {
        pthread_join(c[i].thread, NULL);
        CU_ASSERT_EQUAL(c[i].wrong, 0);
    }
    CU_ASSERT(dict_forgotten(shared) > 500);
    dict_destroy(shared);
}

UNIT_MAIN("dict", UNIT_TEST(test_intern), UNIT_TEST(test_limits),
          UNIT_TEST(test_chosen),
          UNIT_TEST(test_threads), UNIT_TEST(test_forgets),
          UNIT_TEST(test_good_for), UNIT_TEST(test_recent),
          UNIT_TEST(test_forgets_beside_readers))
