#include <config.h>

#include "lib/event.h"
#include "lib/event_counters.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/event/exporters.h"
#include "collector/event/journal.h"
#include "lib/column.h"

#include "tests/unit/unit.h"

#define SECOND INT64_C(1000000)
#define NOW (INT64_C(1795000000) * SECOND)

static char dir[] = "/tmp/venturi-test-event-XXXXXX";

static void
clean(bool all)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[512];
    while (d && (e = readdir(d))) {
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        unlink(path);
    }
    closedir(d);
    if (all) {
        rmdir(dir);
    }
}

static struct event_journal *
open_journal(uint64_t size, int64_t age_us, int64_t now_us)
{
    struct event_limits limits = { age_us, size };
    char error[EVENT_ERROR_SIZE] = "";
    struct event_journal *j = event_journal_open(dir, &limits, now_us, error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    return j;
}

static void
add(struct event_journal *j, enum event_kind kind, const char *subject,
    int64_t time_us)
{
    struct event *e = event_make(kind, event_kinds[kind].severity, time_us,
                                 subject, NULL, "it happened");
    event_journal_add(j, e, time_us);
    free(e);
}

struct seen {
    size_t n;
    uint64_t first, last;
    char text[EVENT_BODY_MAX * 2];
};

static void
see(void *seen, const struct event_record *r)
{
    struct seen *s = seen;
    FILE *f = fmemopen(s->text, sizeof s->text, "w");
    s->first = s->n++ ? s->first : r->id;
    s->last = r->id;
    event_record_put(f, r);
    fclose(f);
}

static void
test_table(void)
{
    for (int i = 0; i < N_EVENT_KINDS; i++) {
        const char *dot = strchr(event_kinds[i].name, '.');
        CU_ASSERT_PTR_NOT_NULL(dot);
        CU_ASSERT_PTR_NULL(strpbrk(event_kinds[i].name, " *?["));
        CU_ASSERT_TRUE(strlen(event_kinds[i].doc) > 10);
        CU_ASSERT_TRUE(event_kind_known(event_kinds[i].name));
        for (int k = 0; k < i; k++) {
            CU_ASSERT_STRING_NOT_EQUAL(event_kinds[i].name,
                                       event_kinds[k].name);
        }
    }
    enum event_severity s;
    CU_ASSERT_EQUAL(event_severity_find("critical", &s), 0);
    CU_ASSERT_EQUAL(s, EVENT_S_CRITICAL);
    CU_ASSERT_NOT_EQUAL(event_severity_find("bad", &s), 0);
    CU_ASSERT_FALSE(event_kind_known("exporter.unknown"));
    CU_ASSERT_TRUE(event_kind_known("exporter.*"));
}

static void
test_text(void)
{
    struct event *e = event_make(
        EVENT_exporter_new, EVENT_S_NOTICE, NOW, "a\"b\\c\n\xff\xc3\xa9",
        EVENT_DETAIL(EVENT_TEXT("t", "x"), EVENT_TEXT("none", NULL),
                     EVENT_INT("n", -5), EVENT_TIME("at", NOW),
                     EVENT_JSON("j", "[1,\n2]")), "m");
    CU_ASSERT_PTR_NOT_NULL_FATAL(e);
    CU_ASSERT_STRING_EQUAL(
        e->body, "\"subject\":\"a\\\"b\\\\c\\u000a\\ufffd\xc3\xa9\","
        "\"message\":\"m\",\"detail\":{\"t\":\"x\",\"none\":null,\"n\":-5,"
        "\"at\":\"2026-11-18T11:06:40Z\",\"j\":[1, 2]}}");
    CU_ASSERT_EQUAL(e->size, strlen(e->body));
    free(e);
}

/* Too long: the subject is cut between characters, a member left out. */
static void
test_long(void)
{
    char *big = malloc(70000), subject[600];
    memset(big, 'x', 69999);
    big[69999] = '\0';
    for (int i = 0; i < 300; i++) {
        memcpy(subject + 2 * i, "\xc3\xa9", 2);
    }
    subject[599] = '\0';
    struct event *e = event_make(EVENT_exporter_new, EVENT_S_NOTICE, NOW,
                                 subject,
                                 EVENT_DETAIL(EVENT_INT("a", 1),
                                              EVENT_TEXT("big", big),
                                              EVENT_INT("b", 2)), big);
    CU_ASSERT_TRUE(e->size < EVENT_BODY_MAX);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        e->body, "{\"a\":1,\"b\":2,\"omitted\":true}}"));
    CU_ASSERT_PTR_NULL(strstr(e->body, "\\ufffd"));
    free(e);
    free(big);
}

static void
test_keep_and_ask(void)
{
    struct event_journal *j = open_journal(64 << 20, 0, NOW);
    for (int i = 0; i < 100; i++) {
        add(j, i % 10 ? EVENT_exporter_new : EVENT_exporter_silent,
            i % 2 ? "192.0.2.1" : "a\"b", NOW + i * SECOND);
    }
    struct event_filter none = { 0 };
    struct seen s = { 0 };
    CU_ASSERT_EQUAL(event_journal_list(j, &none, 0, 30, see, &s), 71);
    CU_ASSERT_EQUAL(s.n, 30);
    CU_ASSERT_EQUAL(s.first, 100);
    CU_ASSERT_EQUAL(s.last, 71);
    CU_ASSERT_EQUAL(event_journal_list(j, &none, 71, 1000, see, &s), 0);
    CU_ASSERT_EQUAL(s.n, 100);
    CU_ASSERT_EQUAL(s.last, 1);

    struct event_filter f = { .n_kinds = 1, .kinds = { "exporter.s*" } };
    s = (struct seen) { 0 };
    CU_ASSERT_EQUAL(event_journal_list(j, &f, 0, 1000, see, &s), 0);
    CU_ASSERT_EQUAL(s.n, 10);
    f.subject = "a\\\"?";
    f.from_us = NOW + 10 * SECOND;
    f.to_us = NOW + 20 * SECOND;
    s = (struct seen) { 0 };
    event_journal_list(j, &f, 0, 1000, see, &s);
    CU_ASSERT_EQUAL(s.n, 1);
    CU_ASSERT_EQUAL(s.first, 11);
    CU_ASSERT_STRING_EQUAL(
        s.text, "{\"id\":11,\"time\":\"2026-11-18T11:06:50Z\",\"kind\":"
        "\"exporter.silent\",\"severity\":\"warning\",\"subject\":"
        "\"a\\\"b\",\"message\":\"it happened\",\"detail\":{}}");
    f = (struct event_filter) { .severity = EVENT_S_ERROR };
    s = (struct seen) { 0 };
    event_journal_list(j, &f, 0, 1000, see, &s);
    CU_ASSERT_EQUAL(s.n, 0);
    event_journal_close(j);

    /* After a restart. */
    j = open_journal(64 << 20, 0, NOW);
    CU_ASSERT_EQUAL(event_journal_newest(j), 100);
    add(j, EVENT_store_failing, "flows", NOW + 200 * SECOND);
    s = (struct seen) { 0 };
    event_journal_list(j, &none, 0, 1000, see, &s);
    CU_ASSERT_EQUAL(s.n, 101);
    CU_ASSERT_EQUAL(s.first, 101);
    event_journal_close(j);
    clean(false);
}

static void
first_file(char path[512])
{
    snprintf(path, 512, "%s/%016x.log", dir, 1);
}

/* Cut anywhere, the whole lines are there, and numbers go on. */
static void
test_torn(void)
{
    char path[512];
    struct stat st;
    first_file(path);
    struct event_journal *j = open_journal(64 << 20, 0, NOW);
    add(j, EVENT_exporter_new, "a", NOW);
    event_journal_close(j);
    stat(path, &st);
    off_t one = st.st_size;
    j = open_journal(64 << 20, 0, NOW);
    add(j, EVENT_exporter_new, "b", NOW);
    event_journal_close(j);
    stat(path, &st);
    int fd = open(path, O_RDONLY);
    char *text = malloc((size_t) st.st_size);
    CU_ASSERT_EQUAL(read(fd, text, (size_t) st.st_size), st.st_size);
    close(fd);
    for (off_t n = one; n < st.st_size; n++) {
        fd = open(path, O_WRONLY | O_TRUNC);
        CU_ASSERT_EQUAL(write(fd, text, (size_t) n), n);
        close(fd);
        struct event_filter none = { 0 };
        struct seen s = { 0 };
        j = open_journal(64 << 20, 0, NOW);
        CU_ASSERT_EQUAL(event_journal_newest(j), 1);
        CU_ASSERT_EQUAL(event_journal_counters(j)->damaged, n > one);
        add(j, EVENT_exporter_new, "c", NOW);
        event_journal_list(j, &none, 0, 10, see, &s);
        CU_ASSERT_EQUAL(s.n, 2);
        CU_ASSERT_EQUAL(s.first, 2);
        event_journal_close(j);
    }
    free(text);
    clean(false);
}

/* A flipped bit costs its line. */
static void
test_flipped(void)
{
    char path[512], byte;
    first_file(path);
    struct event_journal *j = open_journal(64 << 20, 0, NOW);
    for (int i = 0; i < 3; i++) {
        add(j, EVENT_exporter_new, "a", NOW);
    }
    event_journal_close(j);
    struct stat st;
    stat(path, &st);
    for (off_t at = 0; at < st.st_size; at += 7) {
        int fd = open(path, O_RDWR);
        CU_ASSERT_EQUAL(pread(fd, &byte, 1, at), 1);
        char other = byte ^ 4;
        CU_ASSERT_EQUAL(pwrite(fd, &other, 1, at), 1);
        struct event_filter none = { 0 };
        struct seen s = { 0 };
        j = open_journal(64 << 20, 0, NOW);
        event_journal_list(j, &none, 0, 10, see, &s);
        CU_ASSERT_TRUE(s.n <= 2);
        CU_ASSERT_TRUE(event_journal_counters(j)->damaged >= 1);
        event_journal_close(j);
        CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, at), 1);
        CU_ASSERT_EQUAL(ftruncate(fd, st.st_size), 0);
        if (at == st.st_size - 1) {
            break;
        }
        close(fd);
    }
    clean(false);
}

static size_t
files(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    size_t n = 0;
    while ((e = readdir(d))) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static void
test_bounded(void)
{
    struct event_journal *j = open_journal(6 << 20, 0, NOW);
    char subject[256];
    memset(subject, 's', 255);
    subject[255] = '\0';
    for (int i = 0; i < 30000; i++) {
        add(j, EVENT_exporter_new, subject, NOW + i * SECOND / 100);
    }
    CU_ASSERT_TRUE(files() <= 8);
    CU_ASSERT_TRUE(event_journal_counters(j)->expired >= 3);
    /* What nothing matches is looked for in slices. */
    struct event_filter f = { .subject = "nobody" };
    struct seen s = { 0 };
    int slices = 1;
    for (uint64_t next = 0;
         (next = event_journal_list(j, &f, next, 10, see, &s)); ) {
        slices++;
    }
    CU_ASSERT_EQUAL(s.n, 0);
    CU_ASSERT_TRUE(slices == 2);
    event_journal_close(j);
    /* And age. */
    j = open_journal(4 << 20, SECOND, NOW + 86400 * SECOND);
    CU_ASSERT_EQUAL(files(), 1);
    CU_ASSERT_EQUAL(event_journal_newest(j), 30000);
    event_journal_close(j);
    clean(false);
}

static bool
take_id(void *last, const struct event_record *r)
{
    *(uint64_t *) last = r->id;
    return true;
}

static void
test_recent(void)
{
    struct event_journal *j = open_journal(64 << 20, 0, NOW);
    uint64_t id = 0, skipped = 0, last = 0;
    for (int i = 0; i < EVENT_RECENT + 10; i++) {
        add(j, EVENT_exporter_new, "a", NOW);
    }
    event_journal_recent(j, &id, &skipped, take_id, &last);
    CU_ASSERT_EQUAL(skipped, 10);
    CU_ASSERT_EQUAL(id, EVENT_RECENT + 10);
    CU_ASSERT_EQUAL(last, id);
    add(j, EVENT_exporter_new, "a", NOW);
    event_journal_recent(j, &id, &skipped, take_id, &last);
    CU_ASSERT_EQUAL(skipped, 10);
    CU_ASSERT_EQUAL(last, EVENT_RECENT + 11);
    event_journal_close(j);
    clean(false);
}

/* Threads post; the flood of one kind does not drown another. */
static void *
flood(void *aux)
{
    (void) aux;
    for (int i = 0; i < 5000; i++) {
        event_post(EVENT_exporter_new, "x", NULL, "%d", i);
    }
    return NULL;
}

static void
test_flood(void)
{
    struct event_journal *j = open_journal(64 << 20, 0, NOW);
    pthread_t threads[3];
    event_post(EVENT_exporter_new, "x", NULL, "nobody keeps it");
    CU_ASSERT_EQUAL(event_journal_start(j, NULL, NULL), 0);
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, flood, NULL);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    event_post(EVENT_store_failing, "flows", NULL, "this one counts");
    event_journal_stop(j);
    struct event_filter f = { .n_kinds = 1, .kinds = { "store.failing" } };
    struct seen s = { 0 };
    event_journal_list(j, &f, 0, 10, see, &s);
    CU_ASSERT_EQUAL(s.n, 1);
    CU_ASSERT_TRUE(event_journal_newest(j) < EVENT_BURST + 200);
    CU_ASSERT_TRUE(counter_get(&event_counters.suppressed) > 14000);
    event_journal_close(j);
    clean(false);
}

static void
tell(void *changes, const struct exporter_change *c)
{
    unsigned *n = changes;
    n[c->kind == EVENT_exporter_silent ? 1
      : c->kind == EVENT_exporter_returned ? 2 : 0]++;
}

static void
test_exporters(void)
{
    char path[512];
    struct addr a = addr_from_v4_bytes((const uint8_t[]) { 192, 0, 2, 1 });
    struct addr b = a;
    unsigned n[3] = { 0, 0, 0 };
    b.b[15] = 2;
    snprintf(path, sizeof path, "%s/exporters", dir);
    struct exporter_watch *w = exporter_watch_create(path, NOW);
    exporter_watch_note(w, &a, PROTO_IPFIX, NOW, tell, n);
    exporter_watch_note(w, &a, PROTO_SFLOW5, NOW, tell, n);
    exporter_watch_note(w, &b, PROTO_IPFIX, NOW, tell, n);
    exporter_watch_note(w, &b, PROTO_IPFIX, NOW, tell, n);
    CU_ASSERT_EQUAL(n[0], 3);
    exporter_watch_step(w, NOW + 299 * SECOND, 300 * SECOND, tell, n);
    CU_ASSERT_EQUAL(n[1], 0);
    exporter_watch_note(w, &b, PROTO_IPFIX, NOW + 200 * SECOND, tell, n);
    exporter_watch_step(w, NOW + 300 * SECOND, 300 * SECOND, tell, n);
    exporter_watch_step(w, NOW + 400 * SECOND, 300 * SECOND, tell, n);
    CU_ASSERT_EQUAL(n[1], 2);
    exporter_watch_note(w, &a, PROTO_IPFIX, NOW + 450 * SECOND, tell, n);
    CU_ASSERT_EQUAL(n[2], 1);
    CU_ASSERT_EQUAL(exporter_watch_save(w), 0);
    exporter_watch_destroy(w);

    /* Over a restart: nobody is new, who was silent is told once. */
    w = exporter_watch_create(path, NOW + 1000 * SECOND);
    CU_ASSERT_EQUAL(exporter_watch_count(w), 3);
    exporter_watch_step(w, NOW + 1001 * SECOND, 300 * SECOND, tell, n);
    CU_ASSERT_EQUAL(n[1], 2);
    exporter_watch_note(w, &b, PROTO_IPFIX, NOW + 1001 * SECOND, tell, n);
    exporter_watch_note(w, &a, PROTO_SFLOW5, NOW + 1001 * SECOND, tell, n);
    CU_ASSERT_EQUAL(n[0], 3);
    CU_ASSERT_EQUAL(n[2], 2);
    exporter_watch_step(w, NOW + 1300 * SECOND, 300 * SECOND, tell, n);
    CU_ASSERT_EQUAL(n[1], 3);
    exporter_watch_destroy(w);

    /* More than are remembered. */
    w = exporter_watch_create(NULL, NOW);
    for (uint32_t i = 0; i < EXPORTERS_MAX + 10; i++) {
        struct addr c = addr_from_v4_bytes((const uint8_t[]) {
            10, (uint8_t) (i >> 16), (uint8_t) (i >> 8), (uint8_t) i });
        exporter_watch_note(w, &c, PROTO_IPFIX, NOW, tell, n);
    }
    CU_ASSERT_EQUAL(exporter_watch_count(w), EXPORTERS_MAX);
    exporter_watch_destroy(w);
    clean(true);
}

int
main(void)
{
    static const struct unit_test tests[] = {
        UNIT_TEST(test_table), UNIT_TEST(test_text), UNIT_TEST(test_long),
        UNIT_TEST(test_keep_and_ask), UNIT_TEST(test_torn),
        UNIT_TEST(test_flipped), UNIT_TEST(test_bounded),
        UNIT_TEST(test_recent), UNIT_TEST(test_flood),
        UNIT_TEST(test_exporters),
    };
    if (!mkdtemp(dir)) {
        return 1;
    }
    return unit_run("event", tests, sizeof tests / sizeof tests[0]);
}
