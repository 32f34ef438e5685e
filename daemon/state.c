#include <config.h>

#include "daemon/daemon_p.h"

#include "api/config_identity.h"
#include "daemon/routing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/audit.h"
#include "api/config_api.h"
#include "api/config_inventory.h"
#include "api/export.h"
#include "api/history.h"
#include "api/import.h"
#include "api/inventories.h"
#include "api/profile.h"
#include "api/token.h"
#include "collector/channel/channel.h"
#include "collector/exporter/counter_log.h"
#include "collector/exporter/interface_counters.h"
#include "collector/exporter/source_table.h"
#include "collector/identity/journal.h"
#include "collector/query/export.h"
#include "collector/query/query.h"
#include "collector/store/store.h"
#include "collector/template/persist.h"
#include "daemon/alerts.h"
#include "daemon/events.h"
#include "daemon/watch.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

#define RING_BATCHES 64

static void
make_uuid(char *buf)
{
    uint8_t b[16];
    if (getrandom(b, sizeof b, 0) != sizeof b) {
        memset(b, 0x5a, sizeof b);
    }
    b[6] = (uint8_t) ((b[6] & 0x0f) | 0x40);            /* RFC 9562, v4. */
    b[8] = (uint8_t) ((b[8] & 0x3f) | 0x80);
    char *p = buf;
    for (int i = 0; i < 16; i++) {
        p += sprintf(p, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x"
                                                               : "%02x",
                     b[i]);
    }
}

/* Our instance id, kept in STATE_DIR/meta/owner: the same after a restart, so
 * that the rows we wrote are ours still. */
int
daemon_load_owner(struct daemon *d)
{
    char path[4096], text[64] = "";
    snprintf(path, sizeof path, "%s/meta/owner", d->state_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        close(fd);
    }
    if (strlen(text) == OWNER_STRLEN - 1) {
        snprintf(d->owner, sizeof d->owner, "%.36s", text);
        return 0;
    }
    make_uuid(d->owner);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
              0644);
    int n = snprintf(text, sizeof text, "%s\n", d->owner);
    if (fd < 0 || write(fd, text, (size_t) n) != n || fsync(fd)) {
        int error = errno;
        LOG(main, ERR, "%s: %s", path, strerror(error));
        if (fd >= 0) {
            close(fd);
        }
        return -error;
    }
    close(fd);
    return 0;
}

int
daemon_make_dirs(struct daemon *d)
{
    static const char *const ours[] = { "flows", "meta", "export",
                                        "identity", "events", "routes",
                                        "alerts" };
    const char *failed = d->state_dir;
    char path[4096];
    int error = privilege_make_dir(&d->privilege, d->state_dir);
    for (size_t i = 0; i < sizeof ours / sizeof ours[0] && !error;
         i++) {
        snprintf(path, sizeof path, "%s/%s", d->state_dir, ours[i]);
        failed = path;
        error = privilege_own_dir(&d->privilege, path);
    }
    if (!error) {
        failed = d->run_dir;
        error = privilege_make_dir(&d->privilege, d->run_dir);
    }
    if (error) {
        LOG(main, ERR, "cannot make directory %s: %s%s", failed,
            strerror(-error), geteuid() ? "; start venturid as root, or use "
            "--state-dir and --run-dir" : "");
    }
    return error;
}

/* The state directory as the user can reach it: when a parent is closed to that
 * user, through the descriptor that root opened. */
static int
settle_store_dir(struct daemon *d, int fd)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/flows", d->state_dir);
    if (!faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS)) {
        d->store_dir = strdup(d->state_dir);
        close(fd);
        return d->store_dir ? 0 : -ENOMEM;
    }
    prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L);     /* For /proc/self/fd. */
    if (asprintf(&d->store_dir, "/proc/self/fd/%d", fd) < 0) {
        return -ENOMEM;
    }
    snprintf(path, sizeof path, "%s/flows", d->store_dir);
    if (faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS)) {
        int error = errno;
        LOG(main, ERR, "user \"%s\" cannot write to %s/flows: %s",
            d->privilege.user, d->state_dir, strerror(error));
        return -error;
    }
    return 0;
}

/* Unix sockets of 'remotes', at most MAX_REMOTES. */
static size_t
add_sockets(const char **paths, char *const *remotes, size_t n_remotes)
{
    size_t n = 0;
    for (size_t i = 0; i < n_remotes && i < MAX_REMOTES; i++) {
        if (!strncmp(remotes[i], "unix:", 5)) {
            paths[n++] = remotes[i] + 5;
        }
    }
    return n;
}

/* Paths that must stay within reach: OVS's and OVN's sockets, the API sockets' directory,
 * the configuration's directory. */
int
daemon_drop_privileges(struct daemon *d, const struct config *c)
{
    const char *paths[3 * MAX_REMOTES + 4];
    char *config_dir = strdup(d->config_path);
    size_t n = 0;
    if (!config_dir) {
        return -ENOMEM;
    }
    char *slash = strrchr(config_dir, '/');
    if (slash) {
        slash[slash == config_dir] = '\0';
    }
    /* Without a file there may be no directory, and nothing to keep. */
    if (slash && !access(config_dir, F_OK)) {
        paths[n++] = config_dir;
    }
    paths[n++] = d->run_dir;
    if (c->tls_private_key) {
        paths[n++] = c->tls_private_key;        /* Read again by an edit. */
    }
    if (c->api->private_key) {
        paths[n++] = c->api->private_key;
    }
    const struct config_identity *id = c->identity;
    n += add_sockets(paths + n, c->ovsdb_remotes, c->n_ovsdb_remotes);
    n += add_sockets(paths + n, id->southbound, id->n_southbound);
    n += add_sockets(paths + n, id->northbound, id->n_northbound);
    int fd = open(d->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? -errno : privilege_drop(&d->privilege, paths, n);
    if (!error) {
        error = settle_store_dir(d, fd);
    } else if (fd >= 0) {
        close(fd);
    }
    free(config_dir);
    return error;
}

/* What the API keeps: tokens, the log of changes, earlier configurations. */
int
daemon_open_records(struct daemon *d)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/meta/tokens.json", d->store_dir);
    d->tokens = tokens_open(path);
    snprintf(path, sizeof path, "%s/meta/audit.log", d->store_dir);
    d->audit = audit_open(path);
    snprintf(path, sizeof path, "%s/meta/config", d->store_dir);
    d->history = history_open(path);
    if (d->history) {
        config_set_history(d->config, d->history);
    }
    return d->tokens && d->audit && d->history ? 0 : -EIO;
}

struct store_job {
    const struct store_config *config;
    struct dict *dict;
    struct store *store;
    char *error;
};

static void *
run_store_job(void *job_)
{
    struct store_job *job = job_;
    job->store = store_open(job->config, job->dict, &job->error);
    return NULL;
}

/* Opens the store.  DuckDB starts threads of its own, which inherit what the
 * thread that opens it may do: that must be one of ours that may nothing. */
int
daemon_open_store(struct daemon *d, const struct config *c)
{
    struct store_config sc = {
        .dir = d->store_dir,
        .retention_us = c->retention_us,
        .retention_bytes = c->retention_bytes,
        .memory_limit = c->memory_limit,
        .query_threads = c->query_threads,
        .ring_batches = RING_BATCHES,
    };
    struct store_job job = { .config = &sc, .dict = d->dict };
    pthread_t thread;
    int e = thread_start(&thread, "store-open", run_store_job, &job);
    if (e) {
        return e;
    }
    pthread_join(thread, NULL);
    d->store = job.store;
    if (!d->store) {
        LOG(store, ERR, "%s: %s", d->state_dir,
            job.error ? job.error : "out of memory");
        free(job.error);
        return -EIO;
    }
    struct rollup_limit limits[N_ROLLUPS];
    daemon_rollup_limits(c, limits);
    d->rollup = rollup_open(d->store, d->store_dir, limits, c->rollups);
    d->queries = query_pool_create(d->store, c->query_max, 64);
    if (!d->queries || !d->rollup) {
        return -ENOMEM;
    }
    query_pool_set_rollup(d->queries, d->rollup);
    return 0;
}

int
daemon_open_profiles(struct daemon *d)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/meta/channels", d->store_dir);
    d->channels = channel_set_create(path, d->dict);
    snprintf(path, sizeof path, "%s/meta/profiles.json", d->store_dir);
    d->profiles = d->channels ? profiles_open(path, d->channels, d->queries)
                              : NULL;
    snprintf(path, sizeof path, "%s/meta/imports", d->store_dir);
    d->imports = imports_create(d->store, d->dict, path);
    snprintf(path, sizeof path, "%s/export", d->store_dir);
    d->exports = exports_create(d->store, path);
    return d->profiles && d->imports && d->exports ? 0 : -ENOMEM;
}

int
daemon_open_alerts(struct daemon *d, const struct config *c)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/alerts", d->store_dir);
    return daemon_alerts_open(d->alerts, path, c, &d->context);
}

int
daemon_open_events(struct daemon *d, const struct config *c)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/events", d->store_dir);
    d->events = daemon_events_open(d->loop, path, c, &d->context,
                                   d->alerts);
    return d->events ? 0 : -EIO;
}

/* Who had an address is kept as long as flows are. */
int
daemon_open_identities(struct daemon *d, const struct config *c)
{
    char path[4096], error[IDENTITY_ERROR_SIZE];
    snprintf(path, sizeof path, "%s/identity", d->store_dir);
    watching_rank(d->identity, c);
    for (size_t i = 0; i < c->inventory->n_items; i++) {
        identity_rank(d->identity, c->inventory->items[i].source,
                      c->inventory->items[i].trust);
    }
    d->identities = identity_journal_open(path, d->identity, d->dict,
                                          clock_wall_us(), error);
    if (!d->identities) {
        LOG(identity, ERR, "%s", error);
        return -1;
    }
    identity_journal_set_retention(d->identities, c->retention_us / 1000000);
    query_pool_set_identities(d->queries, d->identities);
    d->inventories = inventories_create(d->identities, d->dict);
    d->watching = watching_create(d->identities, d->dict, d->why);
    return d->inventories && d->watching ? 0 : -ENOMEM;
}

/* What was learned before the restart, so that the first datagram after it can
 * be read. */
void
daemon_restore_templates(struct daemon *d)
{
    struct persist_counts n;
    char path[4200];
    snprintf(path, sizeof path, "%s/meta/templates", d->store_dir);
    int error = persist_load(path, d->templates, d->sources, clock_wall_us(),
                             &n);
    if (!error && n.sources) {
        LOG(decode, INFO, "%u templates of %u sources kept from before",
            n.templates, n.sources);
    } else if (error && error != -ENOENT) {
        LOG(decode, NOTICE, "%s/meta/templates: %s; templates are learned "
            "anew", d->state_dir, error == -EBADMSG ? "damaged"
            : error == -ENOTSUP ? "of another version" : strerror(-error));
    }
    d->persist = persist_start(path, d->templates, d->sources);
    if (!d->persist) {
        LOG(decode, WARN, "templates are not kept: out of memory");
    }
}

/* Counters of interfaces over time. */
void
daemon_open_counters(struct daemon *d, const struct config *c)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/meta/counters", d->store_dir);
    d->counter_log = counter_log_create(path);
    if (!d->counter_log) {
        LOG(store, ERR, "%s/meta/counters: %s; counters of interfaces are not "
            "kept", d->state_dir, strerror(errno));
        return;
    }
    daemon_configure_counters(d, c);
    interface_counters_set_log(source_table_counters(d->sources),
                               d->counter_log, d->dict);
}

void
daemon_rollup_limits(const struct config *c,
                     struct rollup_limit limits[N_ROLLUPS])
{
    limits[ROLLUP_HOUR] = (struct rollup_limit) { c->hours_us,
                                                  c->hours_bytes };
    limits[ROLLUP_MINUTE] = (struct rollup_limit) { c->minutes_us,
                                                    c->minutes_bytes };
}

void
daemon_configure_counters(struct daemon *d, const struct config *c)
{
    if (d->counter_log) {
        counter_log_set(d->counter_log, c->counters_interval_us,
                        c->counters_retention_us, c->counters_bytes);
    }
}

void
daemon_open_route_history(struct daemon *d, const struct config *c)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/routes", d->store_dir);
    int error = routing_open_history(d->routing, path, c->routes);
    if (error) {
        LOG(bgp, ERR, "%s: %s; changes of routes are not recorded", path,
            strerror(-error));
    }
}
