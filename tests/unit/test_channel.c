/* Channels: what they count live, keep, and are filled with. */
#include <config.h>

#include "collector/channel/channel.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "api/profile.h"
#include "collector/filter/filter.h"
#include "collector/query/query.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

static struct dict *dict;
static struct source source;
static char *dir;

static void
test_setup(void)
{
    dict = dict_create(1000, 100000);
    dir = util_mkdir();
}

static void
test_teardown(void)
{
    dict_destroy(dict);
    util_rmdir(dir);
    free(dir);
}

/* 'n' canonical flows to 'port' that ended at 'end_us' and arrived now. */
static void
fill(struct flow_batch *b, unsigned n, uint16_t port, int64_t end_us)
{
    for (unsigned k = 0; k < n; k++) {
        uint32_t i = b->n++;
        batch_zero_rows(b, i, 1);
        b->received[i] = clock_wall_us();
        b->flow_end[i] = b->flow_start[i] = end_us;
        b->canonical[i] = 1;
        b->bytes[i] = 100;
        b->packets[i] = 2;
        BATCH_SET(b, dst_port, i, port);
        BATCH_SET(b, src_port, i, 40000);
        BATCH_SET(b, proto, i, 17);
    }
    batch_add_span(b, &source, b->n - n);
}

static int
add(struct channel_set *s, const char *name, const char *filter,
    int64_t start_us)
{
    struct filter_error e;
    struct channel c = { .sign = '+', .filter = (char *) filter,
                         .created_us = clock_wall_us() };
    c.start_us = start_us ? start_us : c.created_us;
    snprintf(c.profile, sizeof c.profile, "p");
    snprintf(c.name, sizeof c.name, "%s", name);
    return channel_add(s, &c, &e);
}

static struct channel_sum
total(struct channel_set *s, uint64_t id, int64_t from_s, int64_t step_s,
      size_t n)
{
    struct channel_sum *sums = calloc(n, sizeof *sums), all = { 0, 0, 0 };
    channel_series(s, id, from_s, step_s, n, sums);
    for (size_t i = 0; i < n; i++) {
        all.bytes += sums[i].bytes;
        all.packets += sums[i].packets;
        all.flows += sums[i].flows;
    }
    free(sums);
    return all;
}

static void
test_live(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/live", dir);
    struct channel_set *s = channel_set_create(path, dict);
    struct flow_batch *b = batch_create();
    int64_t now_s = clock_wall_us() / 1000000, minute = now_s / 60 * 60;
    CU_ASSERT_FATAL(s && b);
    CU_ASSERT_EQUAL(add(s, "dns", "port 53", 0), 0);
    CU_ASSERT_EQUAL(add(s, "dns", "port 53", 0), -EEXIST);
    CU_ASSERT_EQUAL(add(s, "bad", "port", 0), -EINVAL);
    CU_ASSERT_EQUAL(add(s, "all", "", 0), 0);
    uint64_t dns = channel_find(s, "p", "dns")->id;
    uint64_t all = channel_find(s, "p", "all")->id;
    CU_ASSERT_NOT_EQUAL(dns, all);

    fill(b, 5, 53, now_s * 1000000);
    fill(b, 3, 80, now_s * 1000000 + 1);
    fill(b, 2, 53, (now_s - 300) * 1000000);
    fill(b, 1, 53, (now_s - 30000) * 1000000);      /* Too old. */
    fill(b, 1, 53, (now_s + 30000) * 1000000);      /* Not yet. */
    fill(b, 1, 53, now_s * 1000000);
    b->canonical[b->n - 1] = 0;
    channel_process(s, b);
    CU_ASSERT_EQUAL(total(s, dns, now_s, 1, 1).flows, 5);
    CU_ASSERT_EQUAL(total(s, dns, now_s - 300, 1, 1).flows, 2);
    CU_ASSERT_EQUAL(total(s, dns, now_s - 3500, 1, 3600).bytes, 700);
    CU_ASSERT_EQUAL(total(s, all, now_s, 1, 1).packets, 16);
    CU_ASSERT_EQUAL(total(s, dns, minute, 60, 1).flows, 5);
    CU_ASSERT_EQUAL(counter_get(&channel_counters(s)->late), 4);

    /* The same out of files, also by hours, and after a restart. */
    sleep(2);
    CU_ASSERT_EQUAL(total(s, dns, minute, 60, 1).flows, 5);
    CU_ASSERT_EQUAL(total(s, dns, minute - 3600, 60, 61).flows, 7);
    /* Of more than the minutes that are kept, the latest. */
    CU_ASSERT_EQUAL(total(s, dns, (minute - 100 * 86400) / 1800 * 1800 + 60,
                          1800, 100 * 48 + 1).flows, 7);
    channel_process(s, b);
    struct channel copy;
    memcpy(&copy, channel_find(s, "p", "dns"), sizeof copy);
    copy.filter = strdup(copy.filter);
    channel_set_destroy(s);
    s = channel_set_create(path, dict);
    struct filter_error e;
    CU_ASSERT_EQUAL(channel_add(s, &copy, &e), 0);
    free(copy.filter);
    int64_t hour = now_s / 3600 * 3600 - 3600;
    CU_ASSERT_EQUAL(total(s, dns, minute - 3600, 60, 61).flows, 14);
    CU_ASSERT_EQUAL(total(s, dns, hour, 3600, 2).flows, 14);
    CU_ASSERT_EQUAL(total(s, dns, hour, 7200, 1).packets, 28);
    CU_ASSERT_EQUAL(total(s, dns, now_s, 1, 1).flows, 0);

    CU_ASSERT_EQUAL(channel_set_filter(s, channel_find(s, "p", "dns"),
                                       "port 80", &e), 0);
    channel_process(s, b);
    CU_ASSERT_EQUAL(total(s, dns, now_s, 1, 1).flows, 3);
    CU_ASSERT_EQUAL(channel_set_filter(s, channel_find(s, "p", "dns"), "(",
                                       &e), -EINVAL);
    CU_ASSERT_EQUAL(channel_delete(s, "p", "dns"), 0);
    CU_ASSERT_EQUAL(channel_delete(s, "p", "dns"), -ENOENT);
    CU_ASSERT_EQUAL(total(s, dns, hour, 3600, 2).flows, 0);
    channel_set_destroy(s);
    batch_destroy(b);
}

/* What cannot be written is kept until it can, and is in both files then. */
static void
test_disk_trouble(void)
{
    static const char *const suffixes[] = { "minutes", "hours", "minutes" };
    char path[4096], file[8192];
    int64_t now_s = clock_wall_us() / 1000000, minute = now_s / 60 * 60;
    int64_t hour = now_s / 3600 * 3600;
    struct flow_batch *b = batch_create();

    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/trouble%d", dir, i);
        struct channel_set *s = channel_set_create(path, dict);
        CU_ASSERT_FATAL(s && b);
        CU_ASSERT_EQUAL(add(s, "all", "", 0), 0);
        uint64_t id = channel_find(s, "p", "all")->id;
        snprintf(file, sizeof file, "%s/%016" PRIx64 ".%s", path, id,
                 suffixes[i]);
        /* It cannot be opened; it can, but has no places to write to. */
        CU_ASSERT_EQUAL(i < 2 ? mkdir(file, 0700) : mkfifo(file, 0600), 0);
        batch_reset(b);
        fill(b, 5, 53, now_s * 1000000);
        channel_process(s, b);
        for (int k = 0; k < 500 && !counter_get(&channel_counters(s)->errors);
             k++) {
            usleep(10000);
        }
        CU_ASSERT(counter_get(&channel_counters(s)->errors) > 0);
        channel_process(s, b);
        CU_ASSERT_EQUAL(remove(file), 0);
        struct stat st;
        for (int k = 0; k < 500 && stat(file, &st); k++) {
            usleep(10000);
        }
        usleep(10000);
        CU_ASSERT_EQUAL(total(s, id, minute, 60, 1).flows, 10);
        CU_ASSERT_EQUAL(total(s, id, hour, 3600, 1).flows, 10);
        CU_ASSERT_EQUAL(counter_get(&channel_counters(s)->late), 0);
        channel_set_destroy(s);
    }
    batch_destroy(b);
}

static char *
read_text(const char *path)
{
    static char text[65536];
    FILE *f = fopen(path, "r");

    CU_ASSERT_FATAL(f != NULL);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

/* A channel of another release, whose filter is wrong today: it is left out, and
 * not forgotten. */
static void
test_left_out(void)
{
    char path[4096];
    struct channel_set *s = channel_set_create(NULL, dict);

    snprintf(path, sizeof path, "%s/left-out.json", dir);
    FILE *f = fopen(path, "w");
    CU_ASSERT_FATAL(s && f);
    fputs("{\"profiles\":[{\"name\":\"p\",\"created\":1}],\"channels\":["
          "{\"profile\":\"p\",\"name\":\"old\",\"id\":7,\"filter\":"
          "\"no such term\"},{\"profile\":\"p\",\"name\":\"good\",\"id\":8,"
          "\"filter\":\"any\",\"created\":1,\"start\":1}]}", f);
    fclose(f);
    log_set_level("config:off");
    for (int i = 0; i < 2; i++) {
        struct profiles *p = profiles_open(path, s, NULL);
        CU_ASSERT_EQUAL(channel_count(s), 1);
        CU_ASSERT_EQUAL(profiles_save(p), 0);
        profiles_close(p);
        const char *text = read_text(path);
        CU_ASSERT(strstr(text, "no such term") && strstr(text, "\"good\""));
        CU_ASSERT_EQUAL(channel_delete(s, "p", "good"), 0);
    }
    log_set_level("info");
    channel_set_destroy(s);
}

/* Stored flows and live ones: each once. */
static void
test_fill(void)
{
    char path[4096];
    struct store *store = util_open(dir, dict, NULL);
    struct query_pool *pool = query_pool_create(store, 1, 8);
    CU_ASSERT_FATAL(store && pool);
    snprintf(path, sizeof path, "%s/filled", dir);
    struct channel_set *s = channel_set_create(path, dict);
    snprintf(path, sizeof path, "%s/profiles.json", dir);
    struct profiles *p = profiles_open(path, s, pool);
    CU_ASSERT_EQUAL(channel_count(s), 21);
    int64_t now = clock_wall_us(), minute = now / 60000000 * 60;

    struct flow_batch *b = store_batch_get(store);
    b->oldest_us = now;
    fill(b, 7, 53, now - 600000000);
    channel_process(s, b);
    CU_ASSERT(store_submit(store, b));
    usleep(1000);
    CU_ASSERT_EQUAL(add(s, "late", "proto udp # all of it", now
                        - INT64_C(86400000000)), 0);
    usleep(1000);
    b = store_batch_get(store);
    b->oldest_us = clock_wall_us();
    fill(b, 3, 53, now - 600000000);
    channel_process(s, b);
    CU_ASSERT(store_submit(store, b));
    struct channel *c = channel_find(s, "p", "late");
    for (int i = 0; i < 80 && c->filling; i++) {
        usleep(100000);
    }
    CU_ASSERT(!c->filling);
    CU_ASSERT_EQUAL(total(s, c->id, minute - 3600, 60, 61).flows, 10);
    CU_ASSERT_EQUAL(total(s, channel_find(s, "classic", "dns")->id,
                          minute - 3600, 60, 61).flows, 10);

    /* Kept over a restart. */
    CU_ASSERT_EQUAL(profiles_add(p, "p", 0), 0);
    CU_ASSERT_EQUAL(profiles_save(p), 0);
    channel_set_stop(s);
    query_pool_destroy(pool);
    profiles_close(p);
    channel_set_destroy(s);
    pool = query_pool_create(store, 1, 8);
    CU_ASSERT_FATAL(pool != NULL);
    snprintf(path, sizeof path, "%s/filled", dir);
    s = channel_set_create(path, dict);
    snprintf(path, sizeof path, "%s/profiles.json", dir);
    p = profiles_open(path, s, pool);
    CU_ASSERT_EQUAL(channel_count(s), 22);
    c = channel_find(s, "p", "late");
    CU_ASSERT_FATAL(c != NULL);
    CU_ASSERT(!c->filling);
    CU_ASSERT_EQUAL(total(s, c->id, minute - 3600, 60, 61).flows, 10);
    profiles_delete(p, profiles_find(p, "classic"));
    CU_ASSERT_EQUAL(channel_count(s), 1);
    channel_set_stop(s);
    query_pool_destroy(pool);
    profiles_close(p);
    channel_set_destroy(s);
    store_close(store);
}

/* What a fill says is there once, however often it is made; one that was never
 * made is due after a restart. */
static _Atomic int fills;

static void
on_fill(void *set, const struct channel *c)
{
    const struct channel_minute minutes[] = {
        { c->start_us / 60000000 * 60, { 100, 10, 1 } },
        { c->start_us / 60000000 * 60 + 60, { 50, 5, 2 } },
    };
    fills++;
    CU_ASSERT_EQUAL(channel_fill(set, c->id, minutes, 2), 0);
    CU_ASSERT_EQUAL(channel_fill(set, c->id, minutes, 2), 0);
}

static void
test_fill_resumes(void)
{
    char path[4096];
    struct filter_error e;
    struct channel copy;
    int64_t now = clock_wall_us(), start_s = now / 1000000 - 86400;
    snprintf(path, sizeof path, "%s/resumes", dir);
    struct channel_set *s = channel_set_create(path, dict);
    CU_ASSERT_EQUAL(add(s, "late", "any", start_s * 1000000), 0);
    memcpy(&copy, channel_find(s, "p", "late"), sizeof copy);
    CU_ASSERT(copy.filling);
    copy.filter = strdup("any");
    channel_set_destroy(s);     /* Before anything was filled. */

    for (int round = 0; round < 2; round++) {
        s = channel_set_create(path, dict);
        channel_on_fill(s, on_fill, s);
        CU_ASSERT_EQUAL(channel_add(s, &copy, &e), 0);
        struct channel *c = channel_find(s, "p", "late");
        CU_ASSERT_EQUAL(c->filling, !round);
        for (int i = 0; i < 1000 && c->filling; i++) {
            usleep(10000);
        }
        CU_ASSERT(!c->filling);
        int64_t from_s = start_s / 3600 * 3600;
        CU_ASSERT_EQUAL(total(s, c->id, from_s, 60, 120).flows, 3);
        CU_ASSERT_EQUAL(total(s, c->id, from_s, 3600, 2).bytes, 150);
        CU_ASSERT_EQUAL(fills, 1);
        if (round) {
            CU_ASSERT_EQUAL(channel_delete(s, "p", "late"), 0);
        }
        channel_set_destroy(s);
    }
    CU_ASSERT_EQUAL(rmdir(path), 0);    /* Nothing is left of it. */
    free(copy.filter);
}

/* Workers count while channels come and go, and what they counted is read. */
struct workers {
    struct channel_set *set;
    _Atomic bool stop;
    _Atomic uint64_t batches;
    int64_t end_us;
};

static void *
count_always(void *aux)
{
    struct workers *w = aux;
    struct flow_batch *b = batch_create();
    fill(b, 100, 53, w->end_us);
    fill(b, 100, 80, w->end_us - 1000000);
    while (!atomic_load(&w->stop)) {
        channel_process(w->set, b);
        atomic_fetch_add(&w->batches, 1);
    }
    batch_destroy(b);
    return NULL;
}

static void
test_workers(void)
{
    char path[4096];
    struct filter_error e;
    pthread_t threads[3];
    int64_t now_s = clock_wall_us() / 1000000;
    snprintf(path, sizeof path, "%s/workers", dir);
    struct workers w = { .set = channel_set_create(path, dict),
                         .end_us = now_s * 1000000 };
    CU_ASSERT_EQUAL(add(w.set, "dns", "port 53", 0), 0);
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(pthread_create(&threads[i], NULL, count_always, &w),
                        0);
    }
    for (int i = 0; i < 200 || atomic_load(&w.batches) < 300; i++) {
        CU_ASSERT_EQUAL(add(w.set, "other", "port 80", 0), 0);
        struct channel *c = channel_find(w.set, "p", "other");
        CU_ASSERT_EQUAL(channel_set_filter(w.set, c, "proto udp", &e), 0);
        total(w.set, c->id, now_s - 10, 1, 20);
        CU_ASSERT_EQUAL(channel_delete(w.set, "p", "other"), 0);
    }
    atomic_store(&w.stop, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    uint64_t id = channel_find(w.set, "p", "dns")->id;
    CU_ASSERT_EQUAL(total(w.set, id, now_s - 10, 1, 20).flows,
                    100 * atomic_load(&w.batches));
    CU_ASSERT_EQUAL(total(w.set, id, now_s / 60 * 60 - 60, 60, 3).flows,
                    100 * atomic_load(&w.batches));
    channel_set_destroy(w.set);
}

/* A hundred channels: what they cost per flow is said. */
static void
test_speed(void)
{
    struct channel_set *s = channel_set_create(NULL, dict);
    struct flow_batch *b = batch_create();
    uint64_t n = 0;
    for (int i = 0; i < 100; i++) {
        char name[16], filter[32];
        snprintf(name, sizeof name, "c%d", i);
        snprintf(filter, sizeof filter, "port %d", 50 + i);
        CU_ASSERT_EQUAL(add(s, name, filter, 0), 0);
    }
    for (int i = 0; i < 64; i++) {
        fill(b, 32, (uint16_t) (50 + i), clock_wall_us());
    }
    int64_t begin = clock_mono_us(), us;
    do {
        channel_process(s, b);
        n += b->n;
        us = clock_mono_us() - begin;
    } while (us < 100000);
    printf("\n%.0f ns a flow for 100 channels ", (double) us * 1000
           / (double) n);
    channel_set_destroy(s);
    batch_destroy(b);
}

UNIT_MAIN("channel", UNIT_TEST(test_setup), UNIT_TEST(test_live),
          UNIT_TEST(test_disk_trouble), UNIT_TEST(test_left_out),
          UNIT_TEST(test_fill), UNIT_TEST(test_fill_resumes),
          UNIT_TEST(test_workers), UNIT_TEST(test_speed),
          UNIT_TEST(test_teardown))
