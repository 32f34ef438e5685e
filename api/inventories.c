#include <config.h>

#include "api/inventories.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/config_inventory.h"
#include "api/libvirt.h"
#include "collector/identity/journal.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

#define FETCH_S 30L             /* A URL that takes longer has failed. */
#define MAX_FAILURES 6          /* After them it is looked at its interval. */
#define SETTLE_MS 200           /* After an event, more of them may come. */
#define TAG_SIZE 256
#define HOST_SIZE 256
#define SOCKET_SIZE 108         /* That of sockaddr_un. */

/* What tells whether there is something new. */
struct seen {
    struct timespec modified;
    uint64_t inode;
    int64_t size;
    char etag[TAG_SIZE];        /* Of HTTP, as is the next. */
    long filetime;
};

struct follower {
    struct follower *next;
    struct inventories *all;
    struct config_inventory_item item;
    atomic_bool stop;
    bool end;                   /* ... and what it told ends. */
    bool engine;                /* A socket, which need not be there. */
    /* Under the lock of all. */
    struct inventory_status status;
    char error[INVENTORY_ERROR_SIZE];
    /* The thread's. */
    struct seen seen;
    uint64_t hash;
    char host[HOST_SIZE];
    struct libvirt *libvirt;
    unsigned failures;          /* In a row, of an engine. */
};

struct inventories {
    struct identity_journal *journal;
    struct dict *dict;
    pthread_mutex_t lock;
    pthread_cond_t cond;        /* One is to stop, or has stopped. */
    struct follower *first;
    size_t n_running;
    bool swept;                 /* Those of earlier configurations ended. */
};

/* A text that is being fetched. */
struct fetched {
    struct follower *f;
    char *data;
    size_t n;
    bool too_large;
};

/* ---- Fetching. ---- */

static size_t
take_bytes(char *data, size_t size, size_t n, void *fetched_)
{
    struct fetched *t = fetched_;
    size *= n;
    if (t->n + size > INVENTORY_MAX_SIZE) {
        t->too_large = true;
        return 0;
    }
    char *larger = realloc(t->data, t->n + size + 1);
    if (!larger) {
        return 0;
    }
    memcpy(larger + t->n, data, size);
    t->data = larger;
    t->n += size;
    return size;
}

/* Called by libcurl once a second at least. */
static int
stopped(void *follower_, curl_off_t a, curl_off_t b, curl_off_t c,
        curl_off_t d)
{
    const struct follower *f = follower_;
    (void) a;
    (void) b;
    (void) c;
    (void) d;
    return atomic_load(&f->stop);
}

static CURL *
open_curl(struct follower *f, const char *url, struct fetched *t)
{
    CURL *c = curl_easy_init();
    if (!c) {
        return NULL;
    }
    *t = (struct fetched) { .f = f };
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, stopped);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, f);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_TIMEOUT, FETCH_S);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PROXY, f->engine ? "" : NULL);
    if (f->engine) {
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, f->item.location);
    }
    return c;
}

/* 0, or a negative errno with the reason in 'error'. */
static int
run_curl(CURL *c, struct fetched *t, char error[INVENTORY_ERROR_SIZE])
{
    CURLcode result = curl_easy_perform(c);
    long status = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (t->too_large) {
        snprintf(error, INVENTORY_ERROR_SIZE, "more than %zu MB",
                 INVENTORY_MAX_SIZE >> 20);
    } else if (result == CURLE_HTTP_RETURNED_ERROR) {
        snprintf(error, INVENTORY_ERROR_SIZE, "HTTP status %ld", status);
    } else if (result != CURLE_OK) {
        snprintf(error, INVENTORY_ERROR_SIZE, "%s",
                 curl_easy_strerror(result));
    } else {
        return 0;
    }
    return -EIO;
}

static size_t
take_header(char *line, size_t size, size_t n, void *follower_)
{
    struct follower *f = follower_;
    size *= n;
    if (size > 5 && size < TAG_SIZE && !strncasecmp(line, "etag:", 5)) {
        snprintf(f->seen.etag, sizeof f->seen.etag, "%.*s", (int) size - 5,
                 line + 5);
        f->seen.etag[strcspn(f->seen.etag, "\r\n")] = '\0';
    }
    return size;
}

/* 1: it is as it was.  0, or a negative errno with the reason. */
static int
fetch_url(struct follower *f, struct fetched *t, char *error)
{
    CURL *c = open_curl(f, f->item.location, t);
    struct curl_slist *headers = NULL;
    char line[TAG_SIZE + 32];
    long status = 0, unmet = 0;

    if (!c) {
        return -ENOMEM;
    }
    if (*f->seen.etag) {
        snprintf(line, sizeof line, "If-None-Match:%s", f->seen.etag);
        headers = curl_slist_append(headers, line);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    } else if (f->seen.filetime > 0) {
        curl_easy_setopt(c, CURLOPT_TIMECONDITION,
                         (long) CURL_TIMECOND_IFMODSINCE);
        curl_easy_setopt(c, CURLOPT_TIMEVALUE, f->seen.filetime);
    }
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(c, CURLOPT_FILETIME, 1L);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    int e = run_curl(c, t, error);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c, CURLINFO_CONDITION_UNMET, &unmet);
    if (!e && (status == 304 || unmet)) {
        e = 1;
    } else if (!e) {
        curl_easy_getinfo(c, CURLINFO_FILETIME, &f->seen.filetime);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return e;
}

static int
read_file(int fd, struct fetched *t, char *error)
{
    char buf[65536];
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0) {
        if (take_bytes(buf, 1, (size_t) n, t) != (size_t) n) {
            snprintf(error, INVENTORY_ERROR_SIZE, t->too_large
                     ? "more than 64 MB" : "out of memory");
            return -EFBIG;
        }
    }
    int e = errno;
    if (n < 0) {
        snprintf(error, INVENTORY_ERROR_SIZE, "%s", strerror(e));
        return -e;
    }
    return 0;
}

/* As fetch_url(). */
static int
fetch_file(struct follower *f, struct fetched *t, char *error)
{
    struct stat st;
    int fd = open(f->item.location, O_RDONLY | O_CLOEXEC | O_NONBLOCK
                  | O_NOCTTY);
    int e = fd < 0 || fstat(fd, &st) ? -errno
            : !S_ISREG(st.st_mode) ? -EINVAL : 0;
    if (e) {
        snprintf(error, INVENTORY_ERROR_SIZE, "%s", e == -EINVAL
                 ? "not a regular file" : strerror(-e));
    } else if (st.st_mtim.tv_sec == f->seen.modified.tv_sec
               && st.st_mtim.tv_nsec == f->seen.modified.tv_nsec
               && (uint64_t) st.st_ino == f->seen.inode
               && st.st_size == f->seen.size) {
        e = 1;
    } else {
        e = read_file(fd, t, error);
        f->seen.modified = st.st_mtim;
        f->seen.inode = (uint64_t) st.st_ino;
        f->seen.size = st.st_size;
    }
    if (fd >= 0) {
        close(fd);
    }
    return e;
}

static int
fetch_engine(struct follower *f, struct fetched *t, char *error)
{
    if (access(f->item.location, F_OK)) {
        snprintf(error, INVENTORY_ERROR_SIZE, "no such socket");
        return -ENOENT;
    }
    if (access(f->item.location, R_OK | W_OK)) {
        snprintf(error, INVENTORY_ERROR_SIZE, "%s: the user of venturid "
                 "must be in the socket's group", strerror(errno));
        return -EACCES;
    }
    CURL *c = open_curl(f, "http://engine/containers/json", t);
    int e = c ? run_curl(c, t, error) : -ENOMEM;
    curl_easy_cleanup(c);
    return e;
}

static size_t
take_event(char *data, size_t size, size_t n, void *fetched_)
{
    (void) data;
    (void) size;
    (void) n;
    (void) fetched_;
    return 0;                   /* One is enough: ends the transfer. */
}

/* Until the engine tells of an event since 'since_us', or it is time to look
 * anyway, or to stop. */
static void
await_event(struct follower *f, int64_t since_us)
{
    struct fetched t;
    char url[160];
    snprintf(url, sizeof url, "http://engine/events?since=%lld&filters="
             "%%7B%%22type%%22%%3A%%5B%%22container%%22%%2C%%22network%%22"
             "%%5D%%7D", (long long) (since_us / 1000000));
    CURL *c = open_curl(f, url, &t);
    if (c) {
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_event);
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS,
                         (long) (f->item.interval_us / 1000));
        curl_easy_perform(c);
        curl_easy_cleanup(c);
    }
}

/* ---- libvirt. ---- */

static bool
is_stopped(void *follower_)
{
    const struct follower *f = follower_;
    return atomic_load(&f->stop);
}

/* The first of its sockets that is there; they stand between spaces. */
static bool
find_socket(const struct follower *f, char *path, size_t size)
{
    const char *at = f->item.location;
    while (*at) {
        size_t n = strcspn(at, " ");
        snprintf(path, size, "%.*s", (int) n, at);
        if (n && n < size && !access(path, F_OK)) {
            return true;
        }
        at += n + (at[n] == ' ');
    }
    return false;
}

static void
leave_libvirt(struct follower *f)
{
    libvirt_close(f->libvirt);
    f->libvirt = NULL;
}

static int
fetch_libvirt(struct follower *f, struct fetched *t, char *error)
{
    char path[SOCKET_SIZE];
    int e = 0;
    if (!find_socket(f, path, sizeof path)) {
        leave_libvirt(f);
        snprintf(error, INVENTORY_ERROR_SIZE, "no such socket");
        return -ENOENT;
    }
    if (!f->libvirt) {
        e = libvirt_open(path, f->item.uri, is_stopped, f, &f->libvirt,
                         error);
    }
    e = e ? e : libvirt_fetch(f->libvirt, INVENTORY_MAX_SIZE, &t->data, &t->n,
                              error);
    if (e) {
        leave_libvirt(f);
    }
    /* A socket that systemd keeps open, or that a daemon left behind. */
    return e == -ECONNREFUSED ? -ENOENT : e;
}

static void
await_machines(struct follower *f)
{
    if (libvirt_await(f->libvirt, f->item.interval_us)) {
        leave_libvirt(f);
    }
}

/* ---- Telling. ---- */

static void
set_status(struct follower *f, int64_t looked_us, int e, const char *error,
           const struct inventory_result *r)
{
    pthread_mutex_lock(&f->all->lock);
    bool news = strcmp(f->error, error) != 0;
    snprintf(f->error, sizeof f->error, "%s", error);
    f->status.looked_us = looked_us;
    f->status.absent = f->engine && (e == -ENOENT || e == -EACCES);
    if (r && r->accepted + r->refused) {
        f->status.accepted = r->accepted;
        f->status.refused = r->refused;
    }
    if (!e && r) {
        f->status.read_us = looked_us;
    }
    bool absent = f->status.absent;
    pthread_mutex_unlock(&f->all->lock);
    if (news && *error && !absent) {
        LOG(identity, WARN, "inventory %s: %s", f->item.location, error);
    } else if (news && !absent) {
        LOG(identity, INFO, "inventory %s: as it should be again",
            f->item.location);
    }
}

static void
ignore(void *aux, const struct identity_result *r)
{
    (void) aux;
    (void) r;
}

static void
wait_for(struct follower *f, int64_t us)
{
    int64_t until_us = clock_mono_us() + us;
    pthread_mutex_lock(&f->all->lock);
    while (!atomic_load(&f->stop)
           && thread_wait_until(&f->all->cond, &f->all->lock, until_us)) {
    }
    pthread_mutex_unlock(&f->all->lock);
}

/* Hands records over, when there is room for them. */
static int
submit(struct follower *f, struct identity_buffer *b)
{
    int e = -EAGAIN;
    while (b->n && e == -EAGAIN && !atomic_load(&f->stop)) {
        e = identity_journal_submit(f->all->journal, b, ignore, NULL);
        if (e == -EAGAIN) {
            wait_for(f, 100000);
        }
    }
    identity_buffer_free(b);
    return e == -EAGAIN ? 0 : e;
}

/* The time, or one more than the last one: clocks go back, generations do not. */
static uint64_t
next_generation(struct inventories *all, const char *source, int64_t now_us)
{
    uint64_t last = identity_journal_generation(all->journal, source);
    return (uint64_t) now_us > last ? (uint64_t) now_us : last + 1;
}

static void
tell(struct follower *f, const struct fetched *t, int64_t now_us)
{
    struct identity_buffer b = { .data = NULL };
    struct inventory_result r;
    struct inventory_telling telling = {
        .source = f->item.source, .tenant = f->item.tenant,
        .network = f->item.network, .now_us = now_us,
        .generation = next_generation(f->all, f->item.source, now_us),
    };
    struct json_object *list = inventory_parse(
        f->item.format, t->data ? t->data : "", t->n, f->host, &r);
    if (!list) {
        set_status(f, now_us, -EINVAL, r.error, NULL);
        return;
    }
    int e = inventory_tell(list, &telling, f->hash, f->all->dict, &b, &r);
    json_object_put(list);
    if (e == -EEXIST) {
        set_status(f, now_us, 0, "", &(struct inventory_result) { 0 });
        return;
    }
    e = e ? e : submit(f, &b);
    identity_buffer_free(&b);
    if (e) {
        set_status(f, now_us, e, strerror(-e), NULL);
        return;
    }
    f->hash = r.refused ? 0 : r.hash;
    set_status(f, now_us, 0, r.error, &r);
}

/* Ends what 'source' told. */
static void
end_source(struct inventories *all, const char *source)
{
    struct identity_buffer b = { .data = NULL };
    int64_t now_us = clock_wall_us();
    struct identity_record rec = {
        .op = IDENTITY_SYNC, .told_us = now_us,
        .e = { .source = source, .from_us = now_us,
               .generation = next_generation(all, source, now_us) } };
    identity_record_put(&b, all->dict, &rec);
    if (identity_journal_submit(all->journal, &b, ignore, NULL)) {
        LOG(identity, WARN, "inventory %s: what it told does not end: too "
            "much waits to be written", source);
    }
    identity_buffer_free(&b);
}

/* ---- Threads. ---- */

static void
look(struct follower *f)
{
    struct fetched t = { .f = f };
    char error[INVENTORY_ERROR_SIZE] = "";
    int64_t now_us = clock_wall_us();
    int e = f->item.format == INVENTORY_LIBVIRT ? fetch_libvirt(f, &t, error)
            : f->engine ? fetch_engine(f, &t, error)
            : *f->item.location == '/' ? fetch_file(f, &t, error)
            : fetch_url(f, &t, error);
    if (atomic_load(&f->stop)) {
        /* An interrupted transfer is no failure of theirs. */
    } else if (e < 0) {
        set_status(f, now_us, e, *error ? error : strerror(-e), NULL);
    } else if (e == 0) {
        tell(f, &t, now_us);
    } else {
        pthread_mutex_lock(&f->all->lock);
        f->status.looked_us = now_us;
        pthread_mutex_unlock(&f->all->lock);
    }
    free(t.data);
    if (f->engine && !e) {
        if (f->libvirt) {
            await_machines(f);
        } else {
            await_event(f, now_us);
        }
        wait_for(f, SETTLE_MS * INT64_C(1000));
        f->failures = 0;
    } else {
        /* An engine that is started anew is soon back. */
        int64_t soon_us = INT64_C(1000000) << f->failures;
        bool again = f->engine && f->failures < MAX_FAILURES
                     && soon_us < f->item.interval_us;
        f->failures += again;
        wait_for(f, again ? soon_us : f->item.interval_us);
    }
}

static void *
run(void *follower_)
{
    struct follower *f = follower_;
    struct inventories *all = f->all;
    while (!atomic_load(&f->stop)) {
        look(f);
    }
    leave_libvirt(f);
    if (f->end) {
        end_source(all, f->item.source);
    }
    pthread_mutex_lock(&all->lock);
    struct follower **p = &all->first;
    while (*p && *p != f) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = f->next;
    }
    all->n_running--;
    config_inventory_item_clear(&f->item);
    free(f);
    pthread_cond_broadcast(&all->cond);
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

/* With the lock held. */
static void
start(struct inventories *all, const struct config_inventory_item *item)
{
    struct follower *f = calloc(1, sizeof *f);
    pthread_t thread;
    if (!f || config_inventory_item_copy(&f->item, item)) {
        LOG(identity, ERR, "inventory %s is not followed: out of memory",
            item->location);
        free(f);
        return;
    }
    f->all = all;
    f->engine = item->format == INVENTORY_CONTAINERS
                || item->format == INVENTORY_LIBVIRT;
    f->status = (struct inventory_status) { .source = f->item.source,
                                            .location = f->item.location,
                                            .error = f->error };
    gethostname(f->host, sizeof f->host - 1);
    int e = thread_start(&thread, "inventory", run, f);
    if (e) {
        LOG(identity, ERR, "inventory %s is not followed: %s",
            item->location, strerror(-e));
        config_inventory_item_clear(&f->item);
        free(f);
        return;
    }
    pthread_detach(thread);
    f->next = all->first;
    all->first = f;
    all->n_running++;
}

/* ---- All of them. ---- */

struct inventories *
inventories_create(struct identity_journal *journal, struct dict *dict)
{
    struct inventories *all = calloc(1, sizeof *all);
    if (all) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        all->journal = journal;
        all->dict = dict;
        pthread_mutex_init(&all->lock, NULL);
        pthread_cond_init(&all->cond, NULL);
    }
    return all;
}

static const struct config_inventory_item *
find_item(const struct config_inventory *c, const char *source)
{
    for (size_t i = 0; i < c->n_items; i++) {
        if (!strcmp(c->items[i].source, source)) {
            return &c->items[i];
        }
    }
    return NULL;
}

/* Sources that an earlier configuration had, and that tell endpoints still. */
struct sweep {
    const struct config_inventory *config;
    char **sources;
    size_t n;
};

static void
sweep_source(void *sweep_, const struct identity_source *s)
{
    struct sweep *w = sweep_;
    bool ours = !strncmp(s->name, "list:", 5)
                || !strncmp(s->name, "containers:", 11)
                || !strcmp(s->name, "libvirt");
    if (ours && s->endpoints && !find_item(w->config, s->name)) {
        char **larger = realloc(w->sources, (w->n + 1) * sizeof *larger);
        if (larger) {
            w->sources = larger;
            w->n += (larger[w->n] = strdup(s->name)) != NULL;
        }
    }
}

static void
look_for_sources(void *sweep_, const struct identity *table)
{
    identity_each_source(table, sweep_source, sweep_);
}

static void
end_forgotten(struct inventories *all, const struct config_inventory *c)
{
    struct sweep w = { .config = c };
    identity_journal_locked(all->journal, look_for_sources, &w);
    for (size_t i = 0; i < w.n; i++) {
        end_source(all, w.sources[i]);
        free(w.sources[i]);
    }
    free(w.sources);
}

void
inventories_configure(struct inventories *all,
                      const struct config_inventory *c)
{
    bool kept[c->n_items + 1];
    memset(kept, 0, sizeof kept);
    if (!all->swept) {
        all->swept = true;
        end_forgotten(all, c);
    }
    for (size_t i = 0; i < c->n_items; i++) {
        identity_journal_rank(all->journal, c->items[i].source,
                              c->items[i].trust);
    }
    pthread_mutex_lock(&all->lock);
    for (struct follower *f = all->first; f; f = f->next) {
        const struct config_inventory_item *item = find_item(c,
                                                             f->item.source);
        if (atomic_load(&f->stop)) {
            continue;
        }
        if (item && config_inventory_item_equal(item, &f->item)) {
            kept[item - c->items] = true;
        } else {
            f->end = !item;
            atomic_store(&f->stop, true);
        }
    }
    pthread_cond_broadcast(&all->cond);
    for (size_t i = 0; i < c->n_items; i++) {
        if (!kept[i]) {
            start(all, &c->items[i]);
        }
    }
    pthread_mutex_unlock(&all->lock);
}

void
inventories_each(struct inventories *all,
                 void (*each)(void *aux, const struct inventory_status *),
                 void *aux)
{
    pthread_mutex_lock(&all->lock);
    for (const struct follower *f = all->first; f; f = f->next) {
        if (!atomic_load(&f->stop)) {
            each(aux, &f->status);
        }
    }
    pthread_mutex_unlock(&all->lock);
}

void
inventories_destroy(struct inventories *all)
{
    if (!all) {
        return;
    }
    pthread_mutex_lock(&all->lock);
    for (struct follower *f = all->first; f; f = f->next) {
        atomic_store(&f->stop, true);
    }
    pthread_cond_broadcast(&all->cond);
    while (all->n_running) {
        pthread_cond_wait(&all->cond, &all->lock);
    }
    pthread_mutex_unlock(&all->lock);
    pthread_mutex_destroy(&all->lock);
    pthread_cond_destroy(&all->cond);
    free(all);
    curl_global_cleanup();
}
