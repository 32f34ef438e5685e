/* Identities on disk: records, files of the past, and what a restart finds. */
#include <config.h>

#include "collector/identity/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/unit/identity_dir.h"

#define S INT64_C(1000000)

static struct identity_key
key(const char *s)
{
    struct prefix p;
    CU_ASSERT_FATAL(prefix_parse(s, &p) == 0);
    return identity_key_prefix(&p);
}

static const char *
file_of(const char *what, char *path)
{
    DIR *d = opendir(dir);
    path[0] = '\0';
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (!strncmp(e->d_name, what, strlen(what))) {
            snprintf(path, 300, "%s/%s", dir, e->d_name);
        }
    }
    closedir(d);
    return path;
}

/* ---- Records. ---- */

static void
test_records(void)
{
    struct identity_buffer b = { .data = NULL };
    struct identity_scratch s = { .text = malloc(IDENTITY_RECORD_MAX) };
    uint32_t br = dict_intern(dict, "br0", 3), tap = dict_intern(dict, "t", 1);
    struct identity_key k[3] = { key("2001:db8::/32"),
                                 identity_key_mac(0x0200deadbeef),
                                 identity_key_port(br, tap) };
    struct identity_record r = { .op = IDENTITY_UPSERT, .told_us = 77, .e = {
        .source = "nova", .id = "\"q\"\xc3\xa9", .interface = "i1",
        .text = { [IDENTITY_NAME] = "web", [IDENTITY_LABELS] = "a=1,b=2" },
        .keys = k, .n_keys = 3, .generation = 9, .from_us = -5,
        .to_us = IDENTITY_OPEN } };
    identity_record_put(&b, dict, &r);
    r.op = IDENTITY_SYNC;
    identity_record_put(&b, dict, &r);

    struct cursor c = cur_init(b.data, b.n);
    struct identity_record got;
    CU_ASSERT_EQUAL(identity_record_read(&c, dict, &s, &got),
                    IDENTITY_READ_OK);
    CU_ASSERT_EQUAL(got.told_us, 77);
    CU_ASSERT_EQUAL(got.e.from_us, -5);
    CU_ASSERT_EQUAL(got.e.to_us, IDENTITY_OPEN);
    CU_ASSERT_EQUAL(got.e.generation, 9);
    CU_ASSERT_STRING_EQUAL(got.e.id, "\"q\"\xc3\xa9");
    CU_ASSERT_STRING_EQUAL(got.e.text[IDENTITY_LABELS], "a=1,b=2");
    CU_ASSERT_STRING_EQUAL(got.e.text[IDENTITY_TENANT], "");
    CU_ASSERT_EQUAL(got.e.n_keys, 3);
    CU_ASSERT_EQUAL(memcmp(got.e.keys, k, sizeof k), 0);
    CU_ASSERT_EQUAL(identity_record_read(&c, dict, &s, &got),
                    IDENTITY_READ_OK);
    CU_ASSERT_EQUAL(got.op, IDENTITY_SYNC);
    CU_ASSERT_EQUAL(identity_record_read(&c, dict, &s, &got),
                    IDENTITY_READ_END);

    /* Every prefix, and every flipped bit: never more than what is there, and
     * never what was not written. */
    for (size_t n = 0; n < b.n; n++) {
        uint8_t *copy = memdup_exact(b.data, n);
        c = cur_init(copy, n);
        while (identity_record_read(&c, dict, &s, &got)
               != IDENTITY_READ_END) {
        }
        free(copy);
    }
    for (size_t bit = 0; bit < b.n * 8; bit++) {
        uint8_t *copy = memdup_exact(b.data, b.n);
        copy[bit / 8] ^= (uint8_t) (1 << bit % 8);
        c = cur_init(copy, b.n);
        enum identity_read e;
        size_t ok = 0;
        while ((e = identity_record_read(&c, dict, &s, &got))
               != IDENTITY_READ_END) {
            ok += e == IDENTITY_READ_OK;
        }
        CU_ASSERT(ok < 2);
        free(copy);
    }
    identity_buffer_free(&b);
    free(s.text);
}

/* ---- The past. ---- */

#define N_PAST 5000

static struct { int addr; int64_t from, to; } truth[N_PAST];
static int seen[256];

static void
saw(void *aux, const struct past_interval *v)
{
    (void) aux;
    int i = atoi(v->id);
    CU_ASSERT_FATAL(i >= 0 && i < N_PAST);
    CU_ASSERT_EQUAL(v->from_us, truth[i].from);
    CU_ASSERT_EQUAL(v->to_us, truth[i].to);
    CU_ASSERT_STRING_EQUAL(v->text[IDENTITY_TENANT], "blue");
    seen[truth[i].addr]++;
}

static void
tell_past(struct identity *t, int from, int n)
{
    uint32_t r = 12345u + (uint32_t) from;
    for (int i = from; i < from + n; i++) {
        char addr[24], id[24];
        r = r * 1103515245 + 12345;
        truth[i].addr = (int) (r >> 16) % 256;
        truth[i].from = 1 + (int64_t) (r >> 8) % 1000;
        truth[i].to = truth[i].from + 1 + (int64_t) (r >> 4) % 100;
        snprintf(addr, sizeof addr, "10.0.0.%d", truth[i].addr);
        snprintf(id, sizeof id, "%d", i);
        struct identity_key k = key(addr);
        CU_ASSERT_EQUAL(identity_upsert(t, &(struct identity_endpoint) {
            .source = "s", .id = id, .keys = &k, .n_keys = 1,
            .text = { [IDENTITY_TENANT] = "blue" },
            .from_us = truth[i].from, .to_us = truth[i].to }, 5000), 0);
    }
}

static void
add(void *aux, const struct identity_interval *v)
{
    CU_ASSERT(past_builder_add(aux, v));
}

static void
check_past(struct past_run *r, int from, int n, int64_t since)
{
    for (int64_t at = 0; at < 1200; at += 13) {
        for (int a = 0; a < 256; a++) {
            char addr[24];
            int want = 0;
            snprintf(addr, sizeof addr, "10.0.0.%d", a);
            struct identity_key k = key(addr);
            for (int i = from; i < from + n; i++) {
                want += truth[i].addr == a && truth[i].from <= at
                        && at < truth[i].to && truth[i].to > since;
            }
            seen[a] = 0;
            size_t got = past_find(r, &k, at, saw, NULL);
            CU_ASSERT_EQUAL(seen[a], want);
            CU_ASSERT_EQUAL((int) got, want);
        }
    }
}

static void
test_past(void)
{
    char path[3][64];
    struct past_run *run[3];
    for (int i = 0; i < 3; i++) {
        snprintf(path[i], sizeof path[i], "%s/past.%d", dir, i);
    }
    for (int i = 0; i < 2; i++) {
        struct identity *t = identity_create(
            dict, &(struct identity_limits) { .names = 0 });
        tell_past(t, i * N_PAST / 2, N_PAST / 2);
        struct past_builder *b = past_builder_create(N_PAST);
        identity_each_closed(t, 5000, add, b);
        CU_ASSERT_EQUAL(past_builder_count(b), N_PAST / 2);
        CU_ASSERT_EQUAL(past_builder_write(b, path[i]), 0);
        past_builder_destroy(b);
        identity_destroy(t);
        run[i] = past_open(path[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(run[i]);
        CU_ASSERT_EQUAL(past_count(run[i]), N_PAST / 2);
        check_past(run[i], i * N_PAST / 2, N_PAST / 2, 0);
    }
    CU_ASSERT_EQUAL(past_merge(run, 2, 500, path[2], NULL), 0);
    run[2] = past_open(path[2]);
    CU_ASSERT_PTR_NOT_NULL_FATAL(run[2]);
    check_past(run[2], 0, N_PAST, 500);

    /* Bits flipped anywhere: no wrong answer, no crash, and it is counted. */
    struct stat st;
    stat(path[2], &st);
    past_close(run[2]);
    uint8_t *good = malloc((size_t) st.st_size);
    int fd = open(path[2], O_RDONLY);
    CU_ASSERT_EQUAL(read(fd, good, (size_t) st.st_size), st.st_size);
    close(fd);
    uint64_t damaged = 0;
    int refused = 0;
    for (int i = 0; i < 300; i++) {
        uint8_t *bad = memdup_exact(good, (size_t) st.st_size);
        size_t at = (size_t) ((uint64_t) i * 2654435761u
                              % (uint64_t) st.st_size);
        bad[at] ^= 0x40;
        fd = open(path[2], O_WRONLY | O_TRUNC);
        CU_ASSERT_EQUAL(write(fd, bad, (size_t) st.st_size), st.st_size);
        close(fd);
        free(bad);
        struct past_run *r = past_open(path[2]);
        refused += !r;
        for (int a = 0; r && a < 256; a += 5) {
            char addr[24];
            snprintf(addr, sizeof addr, "10.0.0.%d", a);
            struct identity_key k = key(addr);
            past_find(r, &k, 600, saw, NULL);   /* Compares with the truth. */
        }
        damaged += r ? past_damaged(r) : 0;
        past_close(r);
    }
    CU_ASSERT(damaged > 0 && refused > 0);
    for (off_t n = 0; n < st.st_size; n += 4099) {
        CU_ASSERT_EQUAL(truncate(path[2], n), 0);
        CU_ASSERT_PTR_NULL(past_open(path[2]));
        fd = open(path[2], O_WRONLY | O_TRUNC);
        CU_ASSERT_EQUAL(write(fd, good, (size_t) st.st_size), st.st_size);
        close(fd);
    }
    free(good);
    past_close(run[0]);
    past_close(run[1]);
    empty_dir();
}

/* ---- The journal. ---- */

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
    struct identity_result result;
};

static void
told(void *aux, const struct identity_result *r)
{
    struct waiter *w = aux;
    pthread_mutex_lock(&w->mutex);
    w->result = *r;
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static struct identity_result
submit(struct identity_journal *j, struct identity_buffer *b)
{
    struct waiter w = { .mutex = PTHREAD_MUTEX_INITIALIZER,
                        .cond = PTHREAD_COND_INITIALIZER };
    CU_ASSERT_EQUAL_FATAL(identity_journal_submit(j, b, told, &w), 0);
    pthread_mutex_lock(&w.mutex);
    while (!w.done) {
        pthread_cond_wait(&w.cond, &w.mutex);
    }
    pthread_mutex_unlock(&w.mutex);
    return w.result;
}

static void
put(struct identity_buffer *b, enum identity_op op, const char *id,
    const char *name, const char *addr, int64_t from)
{
    struct identity_key k = key(addr ? addr : "10.0.0.1");
    identity_record_put(b, dict, &(struct identity_record) {
        .op = op, .told_us = from, .e = {
            .source = "nova", .id = id, .text = { [IDENTITY_NAME] = name },
            .keys = &k, .n_keys = addr ? 1 : 0, .from_us = from,
            .to_us = IDENTITY_OPEN } });
}

static char answer[64];
static bool answer_gap;

static void
note(void *aux, const struct identity_found *f)
{
    (void) aux;
    if (!answer[0]) {
        snprintf(answer, sizeof answer, "%s", f->v.text[IDENTITY_NAME]);
        answer_gap = f->gap;
    }
}

static const char *
who(struct identity_journal *j, const char *addr, int64_t at)
{
    struct identity_key k = key(addr);
    answer[0] = '\0';
    identity_journal_find(j, &k, at, note, NULL);
    return answer;
}

static struct identity_journal *
reopen(struct identity_journal *j, struct identity **t, int64_t now)
{
    char error[IDENTITY_ERROR_SIZE];
    identity_journal_close(j);
    identity_destroy(*t);
    *t = identity_create(dict, &(struct identity_limits) { .names = 0 });
    j = identity_journal_open(dir, *t, dict, now, error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    return j;
}

static void
test_restart(void)
{
    struct identity *t = NULL;
    int64_t now = clock_wall_us();
    struct identity_journal *j = reopen(NULL, &t, now);
    struct identity_buffer b = { .data = NULL };
    put(&b, IDENTITY_UPSERT, "vm1", "web-1", "10.0.0.5", now - 60 * S);
    put(&b, IDENTITY_UPSERT, "vm2", "web-2", "10.0.0.6", now - 50 * S);
    put(&b, IDENTITY_DELETE, "vm1", NULL, NULL, now - 40 * S);
    put(&b, IDENTITY_UPSERT, "vm3", "web-3", "10.0.0.5", now - 30 * S);
    struct identity_result r = submit(j, &b);
    CU_ASSERT_EQUAL(r.n, 4);
    CU_ASSERT_EQUAL(r.failed, 0);
    CU_ASSERT_EQUAL(r.ended, 1);
    CU_ASSERT_EQUAL(r.durable, 0);
    for (int round = 0; round < 3; round++) {
        CU_ASSERT_STRING_EQUAL(who(j, "10.0.0.5", now - 45 * S), "web-1");
        CU_ASSERT_STRING_EQUAL(who(j, "10.0.0.5", now - 35 * S), "");
        CU_ASSERT_STRING_EQUAL(who(j, "10.0.0.5", now - 25 * S), "web-3");
        CU_ASSERT_STRING_EQUAL(who(j, "10.0.0.6", now), "web-2");
        CU_ASSERT_STRING_EQUAL(who(j, "10.0.0.6", now - 51 * S), "");
        j = reopen(j, &t, now + (10 + round) * S);
    }
    /* Nobody listened while it was closed. */
    CU_ASSERT_STRING_EQUAL(who(j, "10.0.0.6", now + 9 * S), "web-2");
    CU_ASSERT_TRUE(answer_gap);
    who(j, "10.0.0.6", now - 10 * S);
    CU_ASSERT_FALSE(answer_gap);
    identity_journal_close(j);
    identity_destroy(t);
    empty_dir();
}

static int n_said;

static void
count_said(void *aux, const struct identity_found *f)
{
    (void) aux;
    (void) f;
    n_said++;
}

/* Of many generations of a source none is lost, nor is which was the last; nor
 * what holds until a change that was told beforehand; nor what another source
 * says of the same time under the same id. */
static void
test_restart_generations(void)
{
    struct identity *t = NULL;
    int64_t now = clock_wall_us();
    struct identity_journal *j = reopen(NULL, &t, now);
    struct identity_buffer b = { .data = NULL };
    struct identity_record r = { .op = IDENTITY_UPSERT, .told_us = now };
    struct identity_key k;
    char id[24];

    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof id, "10.1.0.%d", i);
        k = key(id);
        r.e = (struct identity_endpoint) {
            .source = "k8s", .id = id, .keys = &k, .n_keys = 1,
            .text = { [IDENTITY_NAME] = id }, .from_us = now - S,
            .to_us = IDENTITY_OPEN, .generation = (uint64_t) i + 1 };
        identity_record_put(&b, dict, &r);
    }
    k = key("10.2.0.1");
    for (int i = 0; i < 2; i++) {
        r.e.id = "vm";
        r.e.source = i ? "nova" : "netbox";
        r.e.generation = 0;
        identity_record_put(&b, dict, &r);
    }
    r.e.from_us = now + 3600 * S;
    r.e.text[IDENTITY_NAME] = "later";
    identity_record_put(&b, dict, &r);
    struct identity_result result = submit(j, &b);
    CU_ASSERT_EQUAL(result.failed, 0);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 100; i++) {
            snprintf(id, sizeof id, "10.1.0.%d", i);
            CU_ASSERT_STRING_EQUAL(who(j, id, now), id);
        }
        CU_ASSERT_EQUAL(identity_journal_generation(j, "k8s"), 100);
        n_said = 0;
        identity_journal_find(j, &k, now, count_said, NULL);
        CU_ASSERT_EQUAL(n_said, 2);
        n_said = 0;
        identity_journal_find(j, &k, now + 3601 * S, count_said, NULL);
        CU_ASSERT_EQUAL(n_said, 2);
        j = reopen(j, &t, now + (10 + round) * S);
    }
    put(&b, IDENTITY_SYNC, NULL, NULL, NULL, now);
    result = submit(j, &b);
    CU_ASSERT_EQUAL(result.ended, 0);
    identity_record_put(&b, dict, &(struct identity_record) {
        .op = IDENTITY_SYNC, .told_us = now, .e = {
            .source = "k8s", .generation = 99, .from_us = now } });
    result = submit(j, &b);
    CU_ASSERT_EQUAL(result.first_error, -ESTALE);
    identity_record_put(&b, dict, &(struct identity_record) {
        .op = IDENTITY_SYNC, .told_us = now, .e = {
            .source = "k8s", .generation = 100, .from_us = now } });
    result = submit(j, &b);
    CU_ASSERT_EQUAL(result.ended, 99);
    identity_journal_close(j);
    identity_destroy(t);
    empty_dir();
}

/* The log is cut anywhere, as a crash does: what was whole is there. */
static void
test_torn(void)
{
    struct identity *t = NULL;
    int64_t now = clock_wall_us();
    char path[300];
    struct identity_journal *j = reopen(NULL, &t, now);
    struct identity_buffer b = { .data = NULL };
    size_t ends[21];
    for (int i = 0; i < 20; i++) {
        char addr[24], name[24];
        snprintf(addr, sizeof addr, "10.0.1.%d", i);
        snprintf(name, sizeof name, "vm-%d", i);
        ends[i] = b.n;
        put(&b, IDENTITY_UPSERT, name, name, addr, now);
    }
    ends[20] = b.n;
    uint8_t *log = memdup_exact(b.data, b.n);
    submit(j, &b);
    identity_journal_close(j);
    identity_destroy(t);
    for (size_t n = 0; n <= ends[20]; n += 61) {
        empty_dir();
        snprintf(path, sizeof path, "%s/log.0", dir);
        int fd = open(path, O_CREAT | O_WRONLY, 0600);
        CU_ASSERT_EQUAL(write(fd, log, n), (ssize_t) n);
        close(fd);
        t = NULL;
        j = reopen(NULL, &t, now + S);
        for (int i = 0; i < 20; i++) {
            char addr[24], name[24];
            snprintf(addr, sizeof addr, "10.0.1.%d", i);
            snprintf(name, sizeof name, "vm-%d", i);
            CU_ASSERT_STRING_EQUAL(who(j, addr, now + S),
                                   ends[i + 1] <= n ? name : "");
        }
        identity_journal_close(j);
        identity_destroy(t);
    }
    free(log);
    empty_dir();
}

/* What ended long ago goes to a file, and is answered from there. */
static void
test_old(void)
{
    struct identity *t = NULL;
    int64_t now = clock_wall_us(), old = now - 86400 * S;
    struct identity_journal *j = reopen(NULL, &t, old);
    struct identity_buffer b = { .data = NULL };
    struct identity_journal_status s;
    for (int i = 0; i < 100001; i++) {
        char addr[24], name[24];
        snprintf(addr, sizeof addr, "10.%d.%d.%d", i >> 16 & 255,
                 i >> 8 & 255, i & 255);
        snprintf(name, sizeof name, "vm-%d", i);
        put(&b, IDENTITY_UPSERT, name, name, addr, old);
        put(&b, IDENTITY_DELETE, name, NULL, NULL, old + S);
    }
    put(&b, IDENTITY_UPSERT, "site", "site", "10.0.0.0/8", old);
    put(&b, IDENTITY_DELETE, "site", NULL, NULL, old + 2 * S);
    CU_ASSERT_EQUAL(submit(j, &b).failed, 0);
    b = (struct identity_buffer) { .data = NULL };
    for (int i = 0; i < 1000; i++) {
        identity_journal_get_status(j, &s);
        if (s.past_files && !s.table.closed) {
            break;
        }
        usleep(20000);          /* Until the file is there. */
    }
    CU_ASSERT_EQUAL(s.past_files, 1);
    CU_ASSERT_EQUAL(s.past_intervals, 100002);
    CU_ASSERT_EQUAL(s.table.closed, 0);
    for (int round = 0; round < 2; round++) {
        CU_ASSERT_STRING_EQUAL(who(j, "10.1.2.3", old), "vm-66051");
        CU_ASSERT_STRING_EQUAL(who(j, "10.1.2.3", old + S), "site");
        CU_ASSERT_STRING_EQUAL(who(j, "10.200.2.3", old + S), "site");
        CU_ASSERT_STRING_EQUAL(who(j, "10.200.2.3", old + 2 * S), "");
        j = reopen(j, &t, now);
    }
    char path[300];
    CU_ASSERT(*file_of("past.", path));
    identity_journal_close(j);
    identity_destroy(t);
    empty_dir();
}

/* ---- All of it, while more is told. ---- */

#define ENDED 3001              /* More than are told at a time. */

struct all_told {
    int n[ENDED];
    int live;
};

static bool
count_told(void *aux, const struct past_interval *v, uint8_t rank)
{
    struct all_told *all = aux;
    int i;
    CU_ASSERT_EQUAL(rank, 100);
    if (sscanf(v->id, "vm-%d", &i) == 1 && i >= 0 && i < ENDED) {
        all->n[i]++;
    } else {
        all->live++;
    }
    return true;
}

static void
test_each(void)
{
    struct identity *t = NULL;
    int64_t now = clock_wall_us(), then = now - 600 * S;
    struct identity_journal *j = reopen(NULL, &t, then);
    struct identity_buffer b = { .data = NULL };
    static struct all_told all;
    for (int i = 0; i < ENDED; i++) {
        char addr[24], id[24];
        snprintf(addr, sizeof addr, "10.0.%d.%d", i >> 8, i & 255);
        snprintf(id, sizeof id, "vm-%d", i);
        put(&b, IDENTITY_UPSERT, id, id, addr, then);
        put(&b, IDENTITY_DELETE, id, NULL, NULL, then + S);
    }
    put(&b, IDENTITY_UPSERT, "here", "here", "10.1.0.1", then);
    CU_ASSERT_EQUAL(submit(j, &b).failed, 0);
    identity_journal_each(j, then, now, count_told, &all);
    for (int i = 0; i < ENDED; i++) {
        CU_ASSERT_EQUAL(all.n[i], 1);
    }
    CU_ASSERT_EQUAL(all.live, 1);
    identity_journal_close(j);
    identity_destroy(t);
    empty_dir();
}

UNIT_MAIN("journal", UNIT_TEST(test_begin), UNIT_TEST(test_records),
          UNIT_TEST(test_past), UNIT_TEST(test_restart),
          UNIT_TEST(test_restart_generations), UNIT_TEST(test_torn),
          UNIT_TEST(test_old), UNIT_TEST(test_each),
          UNIT_TEST(test_end))
