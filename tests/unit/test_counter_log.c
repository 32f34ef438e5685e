#include <config.h>

#include "collector/exporter/counter_log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/exporter/accuracy.h"
#include "tests/unit/unit.h"

#define HOUR_US (INT64_C(3600) * 1000000)
#define T0 (INT64_C(444444) * HOUR_US)  /* 2020-09-13T12 */
#define S INT64_C(1000000)

static struct counter_point
point(int64_t time_us, unsigned i)
{
    struct counter_point p = {
        .time_us = time_us, .origin = COUNTER_SFLOW, .domain = 7,
        .data_source = i, .if_index = i,
        .exporter.b = { [15] = 1 }, .agent.b = { [15] = 2 },
    };
    snprintf(p.name, sizeof p.name, "port%u", i);
    counter_values_put(&p.v, FIELD_in_octets, UINT64_MAX - i);
    counter_values_put(&p.v, FIELD_dp_masks, i);
    return p;
}

static void
check_equal(const struct counter_point *a, const struct counter_point *b)
{
    CU_ASSERT_EQUAL(a->time_us, b->time_us);
    CU_ASSERT_EQUAL(a->origin, b->origin);
    CU_ASSERT_EQUAL(a->domain, b->domain);
    CU_ASSERT_EQUAL(a->data_source, b->data_source);
    CU_ASSERT_EQUAL(a->if_index, b->if_index);
    CU_ASSERT_TRUE(addr_equal(&a->exporter, &b->exporter));
    CU_ASSERT_TRUE(addr_equal(&a->agent, &b->agent));
    CU_ASSERT_STRING_EQUAL(a->name, b->name);
    CU_ASSERT_STRING_EQUAL(a->bridge, b->bridge);
    CU_ASSERT_STRING_EQUAL(a->remote, b->remote);
    CU_ASSERT_FALSE(memcmp(&a->v, &b->v, sizeof a->v));
}

static void
test_format(void)
{
    struct counter_point in[4] = { point(T0, 1), point(T0 + 1, 2),
                                   { .origin = COUNTER_OVSDB },
                                   point(T0 + 2, 3) }, out;
    uint8_t buf[COUNTER_POINT_MAX];
    /* The longest that there is. */
    for (unsigned i = 0; i < N_COUNTER_FIELDS; i++) {
        counter_values_put(&in[1].v, (enum counter_field) i, UINT64_MAX);
    }
    memset(in[2].name, 'n', COUNTER_TEXT - 1);
    memset(in[2].bridge, 'b', COUNTER_TEXT - 1);
    memset(in[2].remote, 'r', COUNTER_TEXT - 1);
    in[2].v = in[1].v;
    in[2].time_us = INT64_MAX;
    in[2].if_index = UINT64_MAX;
    /* Nothing in the words between the first and the last. */
    counter_values_put(&in[3].v, (enum counter_field) (N_COUNTER_FIELDS - 1),
                       77);
    for (size_t i = 0; i < 4; i++) {
        size_t n = counter_point_encode(&in[i], buf);
        CU_ASSERT_TRUE(n < COUNTER_POINT_MAX);
        CU_ASSERT_EQUAL(counter_point_decode(buf, n, &out), n);
        check_equal(&in[i], &out);
        for (size_t cut = 0; cut < n; cut++) {
            uint8_t *copy = memdup_exact(buf, cut);
            CU_ASSERT_EQUAL(counter_point_decode(copy, cut, &out), 0);
            free(copy);
        }
        for (size_t k = 0; k < n; k++) {
            buf[k] ^= 0x55;     /* No byte may go unnoticed. */
            CU_ASSERT_EQUAL(counter_point_decode(buf, n, &out), 0);
            buf[k] ^= 0x55;
        }
    }
    for (size_t i = 0; i < N_COUNTER_FIELDS; i++) {
        for (size_t k = 0; k < i; k++) {
            CU_ASSERT_STRING_NOT_EQUAL(counter_fields[i].name,
                                       counter_fields[k].name);
        }
    }
}

/* ---- Files. ---- */

struct found {
    size_t n, max;
    struct counter_point last;
};

static bool
count(const struct counter_point *p, void *found)
{
    struct found *f = found;
    f->last = *p;
    return ++f->n != f->max;
}

static size_t
read_all(struct counter_log *l, int64_t from_us, int64_t to_us)
{
    struct found f = { .n = 0 };
    counter_log_read(l, from_us, to_us, count, &f);
    return f.n;
}

static off_t
file_size(const char *dir, const char *name)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return stat(path, &st) ? -1 : st.st_size;
}

static void
remove_all(const char *dir)
{
    static const char *const names[] = { "2020-09-13T12", "2020-09-13T13",
                                         "2020-09-13T14" };
    char path[256];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static void
test_files(void)
{
    char parent[] = "counters-XXXXXX", dir[64];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(parent));
    snprintf(dir, sizeof dir, "%s/log", parent);
    struct counter_log *l = counter_log_create(dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    for (unsigned i = 0; i < 180; i++) {        /* Three hours. */
        struct counter_point p = point(T0 + i * 60 * S, i % 10);
        counter_log_put(l, &p);
    }
    counter_log_flush(l, T0);
    CU_ASSERT_EQUAL(read_all(l, 0, INT64_MAX), 180);
    CU_ASSERT_EQUAL(read_all(l, T0, T0 + HOUR_US), 60);
    CU_ASSERT_EQUAL(read_all(l, T0 + 30 * 60 * S, T0 + 90 * 60 * S), 60);
    CU_ASSERT_EQUAL(read_all(l, T0 + 1, T0 + 2), 0);
    struct found f = { .max = 5 };
    counter_log_read(l, 0, INT64_MAX, count, &f);
    CU_ASSERT_EQUAL(f.n, 5);
    struct counter_point p = point(T0 + 4 * 60 * S, 4);
    check_equal(&f.last, &p);
    CU_ASSERT_EQUAL(counter_get(&counter_log_counters(l)->points), 180);
    counter_log_destroy(l);

    /* A torn end is cut off, what is appended follows what was whole. */
    char path[256];
    snprintf(path, sizeof path, "%s/2020-09-13T14", dir);
    off_t size = file_size(dir, "2020-09-13T14");
    CU_ASSERT_EQUAL(truncate(path, size - 3), 0);
    l = counter_log_create(dir);
    CU_ASSERT_EQUAL(read_all(l, 0, INT64_MAX), 179);
    p = point(T0 + 2 * HOUR_US + 1, 3);
    counter_log_put(l, &p);
    CU_ASSERT_EQUAL(read_all(l, 0, INT64_MAX), 180);
    CU_ASSERT_EQUAL(counter_get(&counter_log_counters(l)->damaged), 1);

    /* By age: the first hour is over for more than an hour.  Then by size. */
    counter_log_set(l, 60 * S, HOUR_US, 0);
    counter_log_flush(l, T0 + 2 * HOUR_US + 1);
    CU_ASSERT_EQUAL(file_size(dir, "2020-09-13T12"), -1);
    CU_ASSERT_TRUE(file_size(dir, "2020-09-13T13") > 0);
    counter_log_set(l, 60 * S, 0, 10);
    counter_log_flush(l, T0 + 3 * HOUR_US);
    CU_ASSERT_EQUAL(file_size(dir, "2020-09-13T13"), -1);
    CU_ASSERT_TRUE(file_size(dir, "2020-09-13T14") > 0);
    counter_log_destroy(l);
    counter_log_destroy(NULL);
    remove_all(dir);
    CU_ASSERT_EQUAL(rmdir(parent), 0);
}

#define N_THREADS 4
#define N_EACH 2000

static void *
put_many(void *log)
{
    for (unsigned i = 0; i < N_EACH; i++) {
        struct counter_point p = point(T0 + i, i);
        counter_log_put(log, &p);
    }
    return NULL;
}

static void
test_threads(void)
{
    char dir[] = "counters-XXXXXX";
    pthread_t threads[N_THREADS];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    struct counter_log *l = counter_log_create(dir);
    for (size_t i = 0; i < N_THREADS; i++) {
        pthread_create(&threads[i], NULL, put_many, l);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        read_all(l, 0, INT64_MAX);
        pthread_join(threads[i], NULL);
    }
    CU_ASSERT_EQUAL(read_all(l, 0, INT64_MAX), N_THREADS * N_EACH);
    counter_log_destroy(l);
    remove_all(dir);
}

/* ---- Accuracy. ---- */

static void
test_counted(void)
{
    static const struct accuracy_sample s[] = {
        { 10 * S, { 0, 5 } }, { 20 * S, { 1000, 5 } }, { 30 * S, { 1000, 5 } },
        { 40 * S, { 10, 6 } }, { 140 * S, { 20, 7 } },
    };
    static const struct {
        int64_t from, to;
        double octets;          /* < 0: not known. */
    } cases[] = {
        { 10, 20, 1000 }, { 10, 30, 1000 }, { 12, 13, 100 }, { 15, 25, 500 },
        { 20, 30, 0 }, { 29, 31, -1 }, { 9, 11, -1 }, { 40, 50, -1 },
        { 139, 141, -1 }, { 5, 8, -1 }, { 150, 160, -1 }, { 20, 20, -1 },
    };
    double octets;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool known = accuracy_counted(s, 5, ACCURACY_IN, cases[i].from * S,
                                      cases[i].to * S, 60 * S, &octets);
        CU_ASSERT_EQUAL(known, cases[i].octets >= 0);
        if (known) {
            CU_ASSERT_DOUBLE_EQUAL(octets, cases[i].octets, 1e-6);
        }
    }
    CU_ASSERT_TRUE(accuracy_counted(s, 5, ACCURACY_OUT, 30 * S, 140 * S,
                                    100 * S, &octets));
    CU_ASSERT_DOUBLE_EQUAL(octets, 2, 1e-6);
    CU_ASSERT_FALSE(accuracy_counted(NULL, 0, ACCURACY_IN, 0, S, S, &octets));
}

static void
test_compare(void)
{
    static const struct accuracy_sample s[] = {
        { 10 * S, { 0, 0 } }, { 20 * S, { 1000, 0 } }, { 30 * S, { 1000, 0 } },
    };
    static const struct accuracy_bucket b[] = {
        { 5 * S, 7777, 0, 1 },  /* Before anything is counted. */
        { 12 * S, 600, 30, 6 }, { 12 * S, 100, 40, 1 }, { 19 * S, 200, 0, 2 },
        { 29 * S, 50, 0, 1 }, { 30 * S, 8888, 0, 1 },
    };
    struct accuracy a = accuracy_compare(s, 3, ACCURACY_IN, b, 6, 0, 60 * S,
                                         S, 60 * S);
    CU_ASSERT_EQUAL(a.covered_us, 20 * S);
    CU_ASSERT_DOUBLE_EQUAL(a.counted, 1000, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(a.estimated, 950, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(a.error, 50, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(a.edges, 0, 1e-6);   /* They are readings. */
    CU_ASSERT_EQUAL(a.samples, 10);
    /* From and to between readings: all that came from 10 to 20 may have come
     * before 12, and none of it after 18; or from 25 on, nothing. */
    a = accuracy_compare(s, 3, ACCURACY_IN, b, 6, 12 * S, 18 * S, S, 60 * S);
    CU_ASSERT_DOUBLE_EQUAL(a.counted, 600, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(a.edges, 1600, 1e-6);
    a = accuracy_compare(s, 3, ACCURACY_IN, b, 6, 25 * S, 28 * S, S, 60 * S);
    CU_ASSERT_EQUAL(a.covered_us, 3 * S);
    CU_ASSERT_DOUBLE_EQUAL(a.edges, 0, 1e-6);
    /* A gap between two covered times has ends, too. */
    static const struct accuracy_sample gap[] = {
        { 0, { 0, 0 } }, { 10 * S, { 100, 0 } }, { 90 * S, { 900, 0 } },
        { 100 * S, { 1000, 0 } },
    };
    a = accuracy_compare(gap, 4, ACCURACY_IN, NULL, 0, 0, 100 * S, 4 * S,
                         60 * S);
    CU_ASSERT_EQUAL(a.covered_us, 16 * S);
    CU_ASSERT_DOUBLE_EQUAL(a.edges, 80 + 80, 1e-6);
    a = accuracy_compare(s, 3, ACCURACY_IN, b, 6, 40 * S, 60 * S, S, 60 * S);
    CU_ASSERT_EQUAL(a.covered_us, 0);
    /* No flow at all. */
    a = accuracy_compare(s, 3, ACCURACY_IN, NULL, 0, 0, 60 * S, S, 60 * S);
    CU_ASSERT_DOUBLE_EQUAL(a.counted, 1000, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(a.estimated, 0, 1e-6);
}

UNIT_MAIN("counter_log", UNIT_TEST(test_format), UNIT_TEST(test_files),
          UNIT_TEST(test_threads), UNIT_TEST(test_counted),
          UNIT_TEST(test_compare))
