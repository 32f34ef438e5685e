/* Files of the past: many of them, made one while others look. */
#include <config.h>

#include "collector/identity/past_set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/identity_dir.h"

static size_t
count_files(const char *begin, char *last)
{
    DIR *d = opendir(dir);
    size_t n = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (!strncmp(e->d_name, begin, strlen(begin))
            && e->d_name[0] != '.') {
            snprintf(last, 400, "%s/%s", dir, e->d_name);
            n++;
        }
    }
    closedir(d);
    return n;
}

static struct identity_key
key(const char *s)
{
    struct prefix p;
    CU_ASSERT_EQUAL_FATAL(prefix_parse(s, &p), 0);
    return p.len == 128 ? identity_key_address(&p.addr)
                        : identity_key_prefix(&p);
}

static void
add(void *aux, const struct identity_interval *v)
{
    CU_ASSERT(past_builder_add(aux, v));
}

/* A file with 'id' at 'address' in [from, to), told of 'n' times. */
static void
add_file(struct past_set *s, const char *const id[], const char *address,
         int64_t from, int64_t to, int n)
{
    struct identity *t = identity_create(
        dict, &(struct identity_limits) { .names = 0 });
    struct past_builder *b = past_builder_create((size_t) n);
    struct identity_key k = key(address);
    for (int i = 0; i < n; i++) {
        CU_ASSERT_EQUAL(identity_upsert(t, &(struct identity_endpoint) {
            .source = "s", .id = id[i], .keys = &k, .n_keys = 1,
            .from_us = from, .to_us = to }, INT64_MAX - 1), 0);
    }
    identity_each_closed(t, INT64_MAX, add, b);
    CU_ASSERT_EQUAL(past_builder_count(b), (size_t) n);
    CU_ASSERT_EQUAL(past_set_add(s, b), 0);
    past_builder_destroy(b);
    identity_destroy(t);
}

/* Names that were found, in the order of the alphabet. */
struct names {
    char all[256];
};

static void
take_name(void *aux, const struct past_interval *v)
{
    struct names *n = aux;
    size_t used = strlen(n->all);
    snprintf(n->all + used, sizeof n->all - used, "%s ", v->id);
}

static const char *
who(struct past_set *s, const char *address, int64_t at)
{
    static _Thread_local struct names n;
    struct past_view *v = past_view_take(s);
    struct identity_key k = key(address);
    n.all[0] = '\0';
    CU_ASSERT_PTR_NOT_NULL_FATAL(v);
    past_view_find(v, &k, at, take_name, &n);
    past_view_release(v);
    return n.all;
}

static struct past_set_status
wait_for_files(struct past_set *s, uint32_t most)
{
    struct past_set_status status;
    for (int i = 0; i < 2000; i++) {
        past_set_get_status(s, &status);
        if (status.files <= most) {
            break;
        }
        usleep(10000);          /* Until they were made one. */
    }
    CU_ASSERT(status.files <= most);
    return status;
}

/* Somebody who looks all the time. */
struct looker {
    struct past_set *set;
    _Atomic bool stop;
    unsigned long n, wrong;
};

static void *
look(void *aux)
{
    struct looker *l = aux;
    while (!l->stop) {
        const char *got = who(l->set, "10.0.0.1", 105);
        /* The first file is always there; a double may not be gone yet. */
        l->wrong += strncmp(got, "a ", 2) != 0;
        l->n++;
    }
    return NULL;
}

static void
test_set(void)
{
    const char *const ids[] = { "a", "b" };
    char path[400];
    struct past_set *s = past_set_open(dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    struct looker l = { .set = s };
    pthread_t thread;
    add_file(s, ids, "10.0.0.1", 100, 110, 1);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, look, &l), 0);
    for (int i = 1; i < 4 * PAST_SET_FANOUT; i++) {
        add_file(s, ids, "10.0.0.1", 100 + i / 2 * 10, 110 + i / 2 * 10, 1);
    }
    struct past_set_status status = wait_for_files(s, PAST_SET_FANOUT - 1);
    l.stop = true;
    pthread_join(thread, NULL);
    CU_ASSERT(l.n > 0);
    CU_ASSERT_EQUAL(l.wrong, 0);
    CU_ASSERT_EQUAL(status.damaged, 0);
    CU_ASSERT_EQUAL(status.error, 0);
    /* Files that are gone are gone from the disk, too. */
    CU_ASSERT_EQUAL(count_files("past.", path), status.files);
    CU_ASSERT_EQUAL(count_files("new.", path), 0);
    CU_ASSERT(strncmp(who(s, "10.0.0.1", 255), "a ", 2) == 0);
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.1", 99), "");
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.1", 260), "");
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.2", 105), "");
    past_set_close(s);

    /* What was not finished is deleted; what is there is found. */
    snprintf(path, sizeof path, "%s/new.77", dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    s = past_set_open(dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(count_files("new.", path), 0);
    CU_ASSERT(strncmp(who(s, "10.0.0.1", 105), "a ", 2) == 0);

    /* What ended long ago goes, file by file. */
    past_set_forget(s, INT64_MAX);
    past_set_get_status(s, &status);
    CU_ASSERT_EQUAL(status.files, 0);
    CU_ASSERT_EQUAL(count_files("past.", path), 0);
    past_set_close(s);
}

/* What was told twice is there once after files were made one, unless anything
 * of it differs. */
static void
test_doubles(void)
{
    const char *const ids[] = { "a", "b", "c" };
    struct past_set *s = past_set_open(dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    for (int i = 0; i < PAST_SET_FANOUT - 2; i++) {
        add_file(s, ids, "10.0.0.1", 100, 110, 2);
    }
    add_file(s, ids + 1, "10.0.0.1", 100, 111, 1);      /* Another end. */
    add_file(s, ids + 2, "10.0.0.1", 100, 110, 1);      /* Another id. */
    struct past_set_status status = wait_for_files(s, 1);
    CU_ASSERT_EQUAL(status.intervals, 4);
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.1", 105), "a b c b ");
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.1", 110), "b ");
    past_set_close(s);
    empty_dir();
}

/* A merge leaves out what is to be forgotten; all of it may be. */
static void
test_forget(void)
{
    const char *const ids[] = { "a" };
    struct past_set *s = past_set_open(dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    for (int i = 0; i < PAST_SET_FANOUT - 1; i++) {
        add_file(s, ids, "10.0.0.1", 100 + i, 110 + i, 1);
    }
    past_set_forget(s, 110);            /* Of each file something is newer. */
    add_file(s, ids, "10.0.0.2", 100, 110, 1);  /* Here nothing. */
    struct past_set_status status = wait_for_files(s, 1);
    CU_ASSERT_EQUAL(status.intervals, PAST_SET_FANOUT - 2);
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.2", 105), "");
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.1", 111), "a a a a a ");
    past_set_close(s);
    empty_dir();
}

/* One key with more intervals than a page has. */
#define MANY 20000

static void
test_many(void)
{
    struct identity *t = identity_create(
        dict, &(struct identity_limits) { .names = 0 });
    struct past_builder *b = past_builder_create(MANY);
    struct past_set *s = past_set_open(dir);
    struct identity_key k = key("10.0.0.1"), other = key("10.0.0.0");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    for (int i = 0; i < MANY; i++) {
        char id[24];
        snprintf(id, sizeof id, "%d", i);
        identity_upsert(t, &(struct identity_endpoint) {
            .source = "s", .id = id, .keys = i % 10 ? &k : &other,
            .n_keys = 1, .from_us = i * 10, .to_us = i * 10 + 15 }, MANY * 20);
    }
    identity_each_closed(t, INT64_MAX, add, b);
    CU_ASSERT_EQUAL(past_set_add(s, b), 0);
    past_builder_destroy(b);
    identity_destroy(t);
    for (int i = 0; i < MANY; i++) {
        char want[64] = "";
        if (i % 10 > 1) {
            snprintf(want, sizeof want, "%d %d ", i - 1, i);
        } else if (i % 10) {
            snprintf(want, sizeof want, "%d ", i);
        } else if (i) {
            snprintf(want, sizeof want, "%d ", i - 1);
        }
        CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.1", i * 10 + 2), want);
    }
    past_set_close(s);

    /* A damaged index is made anew from the intervals; it is at the end.  A page
     * of intervals that is damaged answers nothing; others are as before. */
    char path[400];
    struct stat st;
    CU_ASSERT_EQUAL_FATAL(count_files("past.", path), 1);
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    int fd = open(path, O_WRONLY);
    CU_ASSERT_EQUAL(pwrite(fd, "xyz", 3, st.st_size - 4000), 3);
    CU_ASSERT_EQUAL(pwrite(fd, "xyz", 3, 3 * 4096 + 100), 3);
    close(fd);
    s = past_set_open(dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    struct past_set_status status;
    past_set_get_status(s, &status);
    CU_ASSERT_EQUAL(status.damaged, 1);
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.1", 199992), "19998 19999 ");
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.0", 103), "10 ");
    CU_ASSERT_STRING_EQUAL(who(s, "10.0.0.0", 20003), "");
    past_set_get_status(s, &status);
    CU_ASSERT_EQUAL(status.damaged, 2);
    past_set_close(s);
    empty_dir();
}

UNIT_MAIN("past", UNIT_TEST(test_begin), UNIT_TEST(test_set),
          UNIT_TEST(test_doubles), UNIT_TEST(test_forget),
          UNIT_TEST(test_many), UNIT_TEST(test_end))
