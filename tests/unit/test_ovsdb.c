/* tests/unit/test_ovsdb.c -- the OVSDB thread without any server.  With real
 * ones: tests/interop/test_ovsdb_*.py. */
#include <config.h>

#include "ovsdb/ovsdb.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "ovsdb/region.h"
#include "tests/unit/unit.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned n_changed;
static int removed;
static bool removal_done;

static void
on_changed(void *aux)
{
    (void) aux;
    pthread_mutex_lock(&mutex);
    n_changed++;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}

static void
on_removed(void *aux, int n)
{
    (void) aux;
    pthread_mutex_lock(&mutex);
    removed = n;
    removal_done = true;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}

static struct ovsdb *
start(const char *remote, bool apply)
{
    static bool initialized;
    if (!initialized) {
        initialized = true;
        log_set_level("ovsdb:off");
        ovsdb_global_init("test_ovsdb", false);
    }
    const struct ovsdb_config config = {
        .remotes = &remote, .n_remotes = 1, .owner = "unit",
        .apply = apply, .local = { NULL, "127.0.0.1:6343", NULL },
        .changed = on_changed,
    };
    struct export_policies *policies = export_policies_default();
    struct ovsdb *o = ovsdb_start(&config, policies);
    export_policies_destroy(policies);
    return o;
}

/* Waits until the remote's reason has 'part', for at most 20 s. */
static bool
wait_reason(struct ovsdb *o, const char *part)
{
    int64_t end_ms = clock_mono_ms() + 20000;
    bool found = false;
    while (!found && clock_mono_ms() < end_ms) {
        const struct ovs_snapshot *s = ovsdb_snapshot(o, 0);
        found = s && !s->connected && s->reason && strstr(s->reason, part);
        ovsdb_snapshot_unref(s);
        if (!found) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec++;
            pthread_mutex_lock(&mutex);
            pthread_cond_timedwait(&cond, &mutex, &until);
            pthread_mutex_unlock(&mutex);
        }
    }
    return found;
}

static void
test_no_server(void)
{
    struct ovsdb *o = start("unix:/nonexistent/db.sock", true);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT(wait_reason(o, "/nonexistent/db.sock: No such file"));
    CU_ASSERT_EQUAL(ovsdb_n_remotes(o), 1);
    CU_ASSERT_PTR_NULL(ovsdb_snapshot(o, 1));
    CU_ASSERT_PTR_NULL(ovsdb_plan(o, 1));

    struct export_plan *plan = ovsdb_plan(o, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plan);
    CU_ASSERT_EQUAL(plan->n_changes, 0);
    export_plan_destroy(plan);

    size_t n = 1;
    struct ovsdb_status *status = ovsdb_status(o, &n);
    CU_ASSERT_EQUAL(n, 0);
    ovsdb_status_destroy(status, n);

    ovsdb_remove(o, NULL, NULL, on_removed, NULL);
    pthread_mutex_lock(&mutex);
    while (!removal_done) {
        pthread_cond_wait(&cond, &mutex);
    }
    CU_ASSERT_EQUAL(removed, -ENOTCONN);
    pthread_mutex_unlock(&mutex);
    ovsdb_stop(o);
}

/* A second life in the same process, and a peer that never says a word. */
static void
test_mute_server(void)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    char remote[128];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s/mute-%d.sock",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int) getpid());
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *) &sun, sizeof sun), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 5), 0);
    snprintf(remote, sizeof remote, "unix:%s", sun.sun_path);

    struct ovsdb *o = start(remote, false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    CU_ASSERT(wait_reason(o, "connecting"));
    ovsdb_apply(o);
    struct export_policies *none = calloc(1, sizeof *none);
    ovsdb_set_policies(o, none);
    export_policies_destroy(none);
    int64_t before_ms = clock_mono_ms();
    ovsdb_stop(o);
    CU_ASSERT(clock_mono_ms() - before_ms < 5000);
    close(fd);
    unlink(sun.sun_path);
    ovsdb_stop(NULL);
}

/* Equal texts are one, whatever else is taken in between; all of it is there
 * at the same time. */
static void
test_region(void)
{
    enum { N = 5000 };
    struct region *a = region_create();
    char **texts = region_alloc(a, N * sizeof *texts), text[32];
    CU_ASSERT_PTR_NOT_NULL_FATAL(texts);
    CU_ASSERT_PTR_NULL(texts[0]);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "text %d", i);
        texts[i] = region_text(a, text);
        uint64_t *p = region_alloc(a, (size_t) (i % 40) * 8);
        CU_ASSERT_EQUAL((uintptr_t) p % sizeof(void *), 0);
        for (int j = 0; j < i % 40; j++) {
            CU_ASSERT_EQUAL(p[j], 0);
            p[j] = UINT64_MAX;
        }
    }
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "text %d", i);
        CU_ASSERT_STRING_EQUAL(texts[i], text);
        CU_ASSERT_PTR_EQUAL(region_text(a, text), texts[i]);
    }
    char *big = region_alloc(a, 3000000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(big);
    memset(big, 1, 3000000);
    CU_ASSERT_PTR_NULL(region_alloc(a, SIZE_MAX));
    CU_ASSERT_PTR_NULL(region_alloc(a, SIZE_MAX / 2 + 2));
    region_seal(a);
    CU_ASSERT_STRING_EQUAL(region_text(a, "again"), "again");
    region_destroy(a);
    region_destroy(NULL);
}

UNIT_MAIN("ovsdb", UNIT_TEST(test_no_server), UNIT_TEST(test_mute_server),
          UNIT_TEST(test_region))
