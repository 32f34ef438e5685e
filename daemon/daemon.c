#include <config.h>

#include "daemon/daemon.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <urcu.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "api/access.h"
#include "api/audit.h"
#include "api/config.h"
#include "api/config_bgp.h"
#include "api/config_api.h"
#include "api/context.h"
#include "api/history.h"
#include "api/live.h"
#include "api/export.h"
#include "api/import.h"
#include "api/profile.h"
#include "api/server.h"
#include "api/token.h"
#include "collector/channel/channel.h"
#include "collector/channel/tap.h"
#include "collector/decode/decoder.h"
#include "collector/exporter/correct.h"
#include "collector/exporter/counter_log.h"
#include "collector/exporter/interface_counters.h"
#include "collector/exporter/source_table.h"
#include "collector/identity/journal.h"
#include "collector/identity/stage.h"
#include "collector/input/input.h"
#include "collector/query/export.h"
#include "collector/query/query.h"
#include "collector/query/rollup.h"
#include "collector/store/store.h"
#include "collector/template/element.h"
#include "collector/template/persist.h"
#include "collector/template/template.h"
#include "daemon/observe.h"
#include "daemon/options.h"
#include "daemon/privilege.h"
#include "daemon/routing.h"
#include "lib/clock.h"
#include "lib/dict.h"
#include "lib/log.h"
#include "lib/source.h"
#include "lib/thread.h"
#include "ovsdb/ovsdb.h"
#include "probe/probe.h"

/* Names of AS paths and communities that flows took are most of it.  The tables
 * take memory as they fill. */
#define DICT_ENTRIES (1 << 20)
#define DICT_BYTES (96u << 20)
#define RING_BATCHES 64
#define OWNER_STRLEN 37
#define MAX_LISTEN 64           /* More than the model allows for all. */
#define REVIEW_S 30.
#define MAX_REMOTES 64
#define TAP_S .1                /* Rows of so long go out together. */

/* Interfaces of one remote are told about within this time. */
#define STATISTICS_ROUND_US (INT64_C(2) * 1000000)

struct statistics_round {
    char *remote;
    int64_t slot, began_us;
};

struct daemon {
    struct ev_loop *loop;
    ev_signal on_term, on_int, on_hup;
    ev_async on_ovsdb;          /* A snapshot or a state changed. */
    ev_async on_taps;           /* Somebody watches, and flows came. */
    ev_timer tell;              /* ... and are told. */
    ev_timer review;            /* What totals count, now and then. */

    const struct options *options;
    const char *config_path, *state_dir, *run_dir;
    char *store_dir;            /* How the user reaches state_dir. */
    char owner[OWNER_STRLEN];
    struct privilege privilege;
    struct config_store *config;
    struct config_override override;

    struct dict *dict;
    struct source_table *sources;
    struct template_cache *templates;
    struct decoder_counters decode_counters;
    struct correct correct;
    struct stage stages[5];
    uint64_t observation_gen;

    struct input *input;
    struct persist *persist;
    struct counter_log *counter_log;
    struct statistics_round rounds[MAX_REMOTES];        /* OVSDB thread's. */
    struct store *store;
    struct rollup *rollup;
    struct query_pool *queries;
    struct identity *identity;
    struct identity_journal *identities;
    struct channel_set *channels;
    struct profiles *profiles;
    struct tap_set *taps;
    struct live *live;
    struct imports *imports;
    struct exports *exports;
    struct ovsdb *ovsdb;
    struct probe *probe;
    struct routing *routing;
    struct tokens *tokens;
    struct audit *audit;
    struct history *history;
    struct api *api;
    struct api_context context;
};

/* For what only the OVSDB thread may do all the time. */
static void
raise_rights(void *daemon_, bool on)
{
    struct daemon *d = daemon_;
    privilege_override(&d->privilege, on);
}

static void
publish_context(struct daemon *d)
{
    d->context.config = d->config;
    d->context.ovsdb = d->ovsdb;
    d->context.probe = d->probe;
    d->context.store = d->store;
    d->context.queries = d->queries;
    d->context.rollup = d->rollup;
    d->context.profiles = d->profiles;
    d->context.identities = d->identities;
    d->context.live = d->live;
    d->context.imports = d->imports;
    d->context.exports = d->exports;
    d->context.sources = d->sources;
    d->context.counter_log = d->counter_log;
    d->context.decode_counters = &d->decode_counters;
    d->context.input = d->input;
    d->context.rib = d->routing ? routing_rib(d->routing) : NULL;
    d->context.speaker = d->routing ? routing_speaker(d->routing) : NULL;
    d->context.tokens = d->tokens;
    d->context.audit = d->audit;
    d->context.bmp = d->routing ? routing_bmp(d->routing) : NULL;
    d->context.dict = d->dict;
    d->context.observations = &d->correct.map;
    d->context.as_ovsdb = raise_rights;
    d->context.as_ovsdb_aux = d;
    if (d->api) {
        api_set_context(d->api, &d->context);
    }
}

/* ---- Logging. ---- */

static void
open_log(const struct options *o, const struct config *c)
{
    enum log_target target = LOG_T_STDERR;
    const char *want = c->log_target ? c->log_target : "auto";
    if (o->foreground || !strcmp(want, "stderr")) {
        target = LOG_T_STDERR;
    } else if (!strcmp(want, "syslog")) {
        target = LOG_T_SYSLOG;
    } else if (!strcmp(want, "journal")
               || (!strcmp(want, "auto") && getenv("JOURNAL_STREAM"))) {
        target = LOG_T_JOURNAL;
    }
    log_open(target, "venturid");
}

static int
set_levels(const struct options *o, const struct config *c)
{
    log_set_level("info");
    for (size_t i = 0; i < c->n_log_levels; i++) {
        if (log_set_level(c->log_levels[i])) {
            LOG(config, ERR, "log level \"%s\": not MODULE:LEVEL",
                c->log_levels[i]);
            return -EINVAL;
        }
    }
    for (size_t i = 0; i < o->n_log; i++) {
        if (log_set_level(o->log[i])) {
            LOG(config, ERR, "--log %s: not a level, nor MODULE:LEVEL",
                o->log[i]);
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- Collector. ---- */

static size_t
add_listen(struct input_listen *list, size_t n, char **addresses,
           size_t n_addresses, enum export_table table,
           enum input_transport transport)
{
    for (size_t i = 0; i < n_addresses && n < MAX_LISTEN; i++) {
        list[n++] = (struct input_listen) { addresses[i],
                                            export_table_name(table),
                                            transport };
    }
    return n;
}

static struct flow_batch *
batch_get(void *store)
{
    return store_batch_get(*(struct store **) store);
}

static bool
batch_submit(void *store, struct flow_batch *b)
{
    return store_submit(*(struct store **) store, b);
}

/* Tells the sources their names. */
static void
name_sources(struct daemon *d, const struct config *c)
{
    struct named_source named[c->n_sources ? c->n_sources : 1];
    for (size_t i = 0; i < c->n_sources; i++) {
        const struct config_source *s = &c->sources[i];
        named[i] = (struct named_source) {
            s->address, dict_intern(d->dict, s->name, strlen(s->name)),
            s->sampling,
        };
    }
    if (source_table_set_named(d->sources, named, c->n_sources)) {
        LOG(input, ERR, "exporters have no names: out of memory");
    }
}

static struct input *
open_input(struct daemon *d, const struct config *c, char **error)
{
    struct input_listen listen[MAX_LISTEN];
    size_t n = add_listen(listen, 0, c->netflow_listen, c->n_netflow_listen,
                          EXPORT_NETFLOW, INPUT_UDP);
    n = add_listen(listen, n, c->ipfix_listen, c->n_ipfix_listen,
                   EXPORT_IPFIX, INPUT_UDP);
    n = add_listen(listen, n, c->sflow_listen, c->n_sflow_listen,
                   EXPORT_SFLOW, INPUT_UDP);
    n = add_listen(listen, n, c->tcp_listen, c->n_tcp_listen, EXPORT_IPFIX,
                   INPUT_TCP);
    n = add_listen(listen, n, c->tls_listen, c->n_tls_listen, EXPORT_IPFIX,
                   INPUT_TLS);
    struct prefix allow[c->n_allow ? c->n_allow : 1];
    for (size_t i = 0; i < c->n_allow; i++) {
        prefix_parse(c->allow[i], &allow[i]);   /* The model has checked. */
    }
    struct tls_config tls = {
        .certificate = c->tls_certificate, .private_key = c->tls_private_key,
        .ca = c->tls_ca, .require_client = c->tls_require_client,
    };
    struct input_config ic = {
        .allow = allow,
        .n_allow = c->n_allow,
        .multicast_interface = c->multicast_interface,
        .tls = c->n_tls_listen ? &tls : NULL,
        .max_sessions = c->max_sessions,
        .idle_ms = c->idle_timeout_us / 1000,
        .listen = listen,
        .n_listen = n,
        .workers = c->workers,
        .receive_buffer = c->receive_buffer,
        .dict = d->dict,
        .sources = d->sources,
        .templates = d->templates,
        .counters = &d->decode_counters,
        .keep_unknown = c->extra,
        .stages = d->stages,
        .n_stages = sizeof d->stages / sizeof d->stages[0],
        .get = batch_get,
        .submit = batch_submit,
        .aux = &d->store,
    };
    return input_open(&ic, error);
}

/* Where the collector listens, with the ports it really got. */
static size_t
listening(struct daemon *d, struct observe_listen *list)
{
    struct input_status status[MAX_LISTEN];
    size_t n = d->input ? input_status(d->input, status, MAX_LISTEN) : 0;
    size_t n_list = 0;
    for (size_t i = 0; i < n; i++) {
        struct observe_listen *l = &list[n_list];
        if (status[i].transport != INPUT_UDP) {
            continue;           /* Open vSwitch sends over UDP only. */
        }
        for (l->table = 0; l->table < N_EXPORT_TABLES; l->table++) {
            if (!strcmp(status[i].name, export_table_name(l->table))) {
                break;
            }
        }
        n_list += l->table < N_EXPORT_TABLES
                  && !endpoint_parse(status[i].address, 0, &l->addr,
                                     &l->port);
    }
    return n_list;
}

/* The address of ours that "local" means for 'table', into ENDPOINT_STRLEN; a
 * loopback address where we listen on all.  NULL: we do not listen. */
static const char *
local_endpoint(const struct observe_listen *list, size_t n,
               enum export_table table, char *buf)
{
    static const uint8_t any4[16] = { [10] = 0xff, [11] = 0xff };
    for (size_t i = 0; i < n; i++) {
        if (list[i].table == table) {
            struct addr a = list[i].addr;
            if (!memcmp(a.b, any4, sizeof any4)) {
                addr_parse("127.0.0.1", &a);
            } else if (addr_is_zero(&a)) {
                addr_parse("::1", &a);
            }
            return endpoint_format(&a, list[i].port, buf);
        }
    }
    return NULL;
}

/* ---- OVSDB. ---- */

static void
ovsdb_changed(void *daemon_)
{
    struct daemon *d = daemon_;
    ev_async_send(d->loop, &d->on_ovsdb);
}

/* What interfaces count comes every ten seconds, remote by remote.  True once
 * in the log's interval. */
static bool
statistics_due(struct daemon *d, const char *remote, int64_t now_us)
{
    struct statistics_round *round = d->rounds;
    while (round < &d->rounds[MAX_REMOTES - 1] && round->remote
           && strcmp(round->remote, remote)) {
        round++;
    }
    int64_t slot = now_us / counter_log_interval(d->counter_log);
    if (!round->remote) {
        round->remote = strdup(remote);
    }
    if (round->slot != slot) {
        round->slot = slot;
        round->began_us = now_us;
    }
    return now_us - round->began_us < STATISTICS_ROUND_US;
}

/* On the OVSDB thread. */
static void
keep_statistics(void *daemon_, const struct ovsdb_statistics *s)
{
    static const struct {
        enum counter_field field;
        size_t offset;
    } map[] = {
        { FIELD_in_octets, offsetof(struct ovsdb_statistics, rx_bytes) },
        { FIELD_out_octets, offsetof(struct ovsdb_statistics, tx_bytes) },
        { FIELD_in_packets, offsetof(struct ovsdb_statistics, rx_packets) },
        { FIELD_out_packets, offsetof(struct ovsdb_statistics, tx_packets) },
        { FIELD_in_discards, offsetof(struct ovsdb_statistics, rx_dropped) },
        { FIELD_out_discards,
          offsetof(struct ovsdb_statistics, tx_dropped) },
        { FIELD_in_errors, offsetof(struct ovsdb_statistics, rx_errors) },
        { FIELD_out_errors, offsetof(struct ovsdb_statistics, tx_errors) },
    };
    struct daemon *d = daemon_;
    struct counter_point p = { .origin = COUNTER_OVSDB,
                               .time_us = clock_wall_us() };
    if (!d->counter_log || !statistics_due(d, s->remote, p.time_us)) {
        return;
    }
    p.if_index = s->ifindex > 0 ? (uint64_t) s->ifindex : 0;
    snprintf(p.name, sizeof p.name, "%s", s->interface);
    snprintf(p.bridge, sizeof p.bridge, "%s", s->bridge);
    snprintf(p.remote, sizeof p.remote, "%s", s->remote);
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        int64_t value;
        memcpy(&value, (const char *) s + map[i].offset, sizeof value);
        if (value >= 0) {
            p.has |= UINT64_C(1) << map[i].field;
            p.value[map[i].field] = (uint64_t) value;
        }
    }
    counter_log_put(d->counter_log, &p);
}

/* Publishes what OVSDB says now; with 'only_canonical' only if that changes what
 * totals count. */
static void
rebuild_observations(struct daemon *d, bool only_canonical)
{
    const struct ovs_snapshot *snapshots[MAX_REMOTES];
    struct observe_listen listen[MAX_LISTEN];
    size_t n = d->ovsdb ? ovsdb_n_remotes(d->ovsdb) : 0;
    if (n > MAX_REMOTES) {
        n = MAX_REMOTES;
    }
    for (size_t i = 0; i < n; i++) {
        snapshots[i] = ovsdb_snapshot(d->ovsdb, i);
    }
    size_t n_listen = listening(d, listen);
    struct observation_map *map = observe_build(
        snapshots, n, listen, n_listen, d->dict, clock_wall_us(),
        d->observation_gen + 1);
    for (size_t i = 0; i < n; i++) {
        ovsdb_snapshot_unref(snapshots[i]);
    }
    const struct observation_map *old = atomic_load(&d->correct.map);
    if (map && only_canonical && old
        && !observe_canonical_differs(old, map)) {
        observation_map_destroy(map);
    } else if (map) {
        d->observation_gen++;
        correct_publish(&d->correct, map);
    }
}

/* Hours that are due go into files. */
static void
export_data(struct daemon *d)
{
    const struct config *c = config_current(d->config);
    struct exports_schedule s = {
        .on = c->export_hourly,
        .format = data_format_find(c->data_format),
        .delay_us = c->data_delay_us,
    };
    exports_tick(d->exports, &s, clock_wall_us());
}

/* A protocol may have fallen silent. */
static void
on_review(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void) loop;
    (void) revents;
    rebuild_observations(w->data, true);
    export_data(w->data);
}

/* On a worker. */
static void
taps_ready(void *daemon_)
{
    struct daemon *d = daemon_;
    ev_async_send(d->loop, &d->on_taps);
}

static void
on_taps_ready(struct ev_loop *loop, ev_async *w, int revents)
{
    struct daemon *d = w->data;
    (void) revents;
    if (!ev_is_active(&d->tell)) {
        ev_timer_set(&d->tell, TAP_S, 0.);
        ev_timer_start(loop, &d->tell);
    }
}

static void
on_tell(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct daemon *d = w->data;
    (void) revents;
    if (live_deliver(d->live)) {
        ev_timer_set(w, TAP_S, 0.);
        ev_timer_start(loop, w);
    }
}

static void
on_ovsdb_changed(struct ev_loop *loop, ev_async *w, int revents)
{
    (void) loop;
    (void) revents;
    rebuild_observations(w->data, false);
}

/* Our collector's addresses, as export rows name them; 'text' holds them. */
static void
local_endpoints(struct daemon *d, char text[][ENDPOINT_STRLEN],
                const char *local[N_EXPORT_TABLES])
{
    struct observe_listen listen[MAX_LISTEN];
    size_t n = listening(d, listen);
    for (enum export_table t = 0; t < N_EXPORT_TABLES; t++) {
        local[t] = local_endpoint(listen, n, t, text[t]);
    }
}

static struct ovsdb *
start_ovsdb(struct daemon *d, const struct config *c)
{
    char text[N_EXPORT_TABLES][ENDPOINT_STRLEN], path[4200];
    struct ovsdb_config oc = {
        .orders_path = path,
        .remotes = (const char *const *) c->ovsdb_remotes,
        .n_remotes = c->n_ovsdb_remotes,
        .owner = d->owner,
        .apply = c->export_apply,
        .changed = ovsdb_changed,
        .statistics = keep_statistics,
        .aux = d,
    };
    if (!c->n_ovsdb_remotes) {
        return NULL;
    }
    snprintf(path, sizeof path, "%s/meta/orders", d->store_dir);
    local_endpoints(d, text, oc.local);
    /* The new thread inherits what is in effect now. */
    privilege_override(&d->privilege, true);
    if (c->ovsdb_private_key) {
        ovsdb_set_tls(c->ovsdb_private_key, c->ovsdb_certificate,
                      c->ovsdb_ca);
    }
    struct ovsdb *ovsdb = ovsdb_start(&oc, c->policies);
    privilege_override(&d->privilege, false);
    return ovsdb;
}

/* ---- Probes. ---- */

/* Tells the probes what is wanted; "local" becomes our collector. */
static void
configure_probes(struct daemon *d, const struct config *c)
{
    struct observe_listen listen[MAX_LISTEN];
    char local[ENDPOINT_STRLEN];
    struct probe_config *probe = c->probe ? probe_config_clone(c->probe)
                                          : NULL;
    if (probe && !strcmp(probe->target, "local")) {
        enum export_table t = probe->version == 10 ? EXPORT_IPFIX
                                                   : EXPORT_NETFLOW;
        size_t n = listening(d, listen);
        char *text = local_endpoint(listen, n, t, local) ? strdup(local)
                                                         : NULL;
        if (!text) {
            LOG(probe, WARN, "probe/softflowd: nothing listens for %s here; "
                "set its target, or collector/%s/listen",
                export_table_title(t), export_table_name(t));
            probe_config_destroy(probe);
            probe = NULL;
        } else {
            free(probe->target);
            probe->target = text;
        }
    }
    if (d->probe) {
        probe_configure(d->probe, probe);
    }
    probe_config_destroy(probe);
}

/* ---- Routes. ---- */

static int
configure_routing(struct daemon *d, const struct config *c,
                  struct config_error *error)
{
    char *message = NULL;
    privilege_override(&d->privilege, true);    /* Keys of TLS. */
    int result = routing_configure(d->routing, c->bgp, c->routes,
                                   &message);
    privilege_override(&d->privilege, false);
    if (result) {
        snprintf(error->path, sizeof error->path, "/venturi:venturi/bgp");
        snprintf(error->message, sizeof error->message, "%s",
                 message ? message : strerror(-result));
        free(message);
    }
    return result;
}

/* ---- State directory and identity. ---- */

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
static int
load_owner(struct daemon *d)
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

static int
make_dirs(struct daemon *d)
{
    static const char *const ours[] = { "flows", "meta", "export",
                                        "identity" };
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

/* ---- From root to user. ---- */

/* Paths that must stay within reach: OVS's sockets, the API sockets' directory,
 * the configuration's directory. */
static int
drop_privileges(struct daemon *d, const struct config *c)
{
    const char *paths[MAX_REMOTES + 4];
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
    for (size_t i = 0; i < c->n_ovsdb_remotes && i < MAX_REMOTES; i++) {
        if (!strncmp(c->ovsdb_remotes[i], "unix:", 5)) {
            paths[n++] = c->ovsdb_remotes[i] + 5;
        }
    }
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

/* ---- API sockets. ---- */

/* Who may open the unix sockets: where rules decide, everyone; else whoever may
 * be the user.  But half of the world may be "nobody". */
static void
set_socket_modes(struct daemon *d, const struct config *c)
{
    mode_t mode = access_unix_has_rules(c->api) ? 0666
                  : d->privilege.fallback ? 0600 : 0660;
    for (size_t i = 0; i < c->n_api_addresses; i++) {
        const char *path = c->api_addresses[i];
        path += strncmp(path, "unix:", 5) ? 0 : 5;
        if (chmod(path, mode)) {
            LOG(api, WARN, "%s: its mode cannot be set: %s", path,
                strerror(errno));
        }
    }
}

static int
open_api(struct daemon *d, const struct config *c)
{
    struct api_limits limits = { c->max_clients, c->max_request };
    char *error = NULL;
    d->api = api_create(d->loop, &d->context, &limits);
    if (!d->api) {
        return -ENOMEM;
    }
    int e = 0;
    for (size_t i = 0; i < c->n_api_addresses && !e; i++) {
        e = api_listen(d->api, c->api_addresses[i], &error);
        const char *path = c->api_addresses[i];
        path += strncmp(path, "unix:", 5) ? 0 : 5;
        if (!e && d->privilege.root
            && chown(path, d->privilege.uid, d->privilege.gid)) {
            LOG(api, WARN, "%s: cannot give it to user \"%s\": %s", path,
                d->privilege.user, strerror(errno));
        }
    }
    if (!e) {
        set_socket_modes(d, c);
        e = api_configure(d->api, c->api, &error);
    }
    if (e) {
        LOG(api, ERR, "%s", error ? error : strerror(-e));
        free(error);
    }
    return e;
}

/* What the API keeps: tokens, the log of changes, earlier configurations. */
static int
open_records(struct daemon *d)
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

/* ---- Changes at run time. ---- */

static bool
same_list(char **a, size_t n_a, char **b, size_t n_b)
{
    bool same = n_a == n_b;
    for (size_t i = 0; same && i < n_a; i++) {
        same = !strcmp(a[i], b[i]);
    }
    return same;
}

static bool
same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool
same_streams(const struct config *a, const struct config *b)
{
    return same_list(a->tcp_listen, a->n_tcp_listen, b->tcp_listen,
                     b->n_tcp_listen)
           && same_list(a->tls_listen, a->n_tls_listen, b->tls_listen,
                        b->n_tls_listen)
           && same_text(a->tls_certificate, b->tls_certificate)
           && same_text(a->tls_private_key, b->tls_private_key)
           && same_text(a->tls_ca, b->tls_ca)
           && a->tls_require_client == b->tls_require_client
           && a->max_sessions == b->max_sessions
           && a->idle_timeout_us == b->idle_timeout_us;
}

static bool
same_input(const struct config *a, const struct config *b)
{
    return same_streams(a, b)
           && same_list(a->allow, a->n_allow, b->allow, b->n_allow)
           && same_text(a->multicast_interface, b->multicast_interface)
           && a->extra == b->extra
           && same_list(a->netflow_listen, a->n_netflow_listen,
                     b->netflow_listen, b->n_netflow_listen)
           && same_list(a->ipfix_listen, a->n_ipfix_listen,
                        b->ipfix_listen, b->n_ipfix_listen)
           && same_list(a->sflow_listen, a->n_sflow_listen,
                        b->sflow_listen, b->n_sflow_listen)
           && a->workers == b->workers
           && a->receive_buffer == b->receive_buffer;
}

/* Templates are compiled when they are learned. */
static bool
same_elements(const struct config *a, const struct config *b)
{
    bool same = a->n_elements == b->n_elements;
    for (size_t i = 0; same && i < a->n_elements; i++) {
        const struct element_mapping *p = &a->elements[i];
        const struct element_mapping *q = &b->elements[i];
        same = p->pen == q->pen && p->id == q->id && p->column == q->column;
    }
    return same;
}

/* What is fixed when venturid starts.  NULL: nothing of it changes. */
static const char *
needs_restart(const struct config *a, const struct config *b)
{
    return !same_list(a->api_addresses, a->n_api_addresses,
                      b->api_addresses, b->n_api_addresses)
               ? "api/unix"
           : strcmp(a->user ? a->user : "", b->user ? b->user : "")
               ? "user"
           : strcmp(a->log_target, b->log_target) ? "log/target"
           : a->memory_limit != b->memory_limit ? "store/memory"
           : a->rollups != b->rollups ? "store/rollups"
           : a->query_threads != b->query_threads ? "query/threads"
           : a->query_max != b->query_max ? "query/max-running"
           : a->max_sources != b->max_sources ? "collector/max-sources"
           : !same_elements(a, b) ? "collector/element"
           : NULL;
}

/* Replaces the sockets and workers.  If the new ones can't be had, the old are
 * opened again. */
static int
replace_input(struct daemon *d, const struct config *old,
              const struct config *new_, struct config_error *error)
{
    char *message = NULL;
    input_destroy(d->input);            /* Both may want the same ports. */
    /* Keys may be for root alone, as at the start. */
    privilege_override(&d->privilege, true);
    d->input = open_input(d, new_, &message);
    int result = 0;
    if (!d->input) {
        snprintf(error->path, sizeof error->path, "/venturi:venturi/collector");
        snprintf(error->message, sizeof error->message, "%s",
                 message ? message : "out of memory");
        result = -EADDRINUSE;
        free(message);
        d->input = open_input(d, old, &message);
        if (!d->input) {
            LOG(input, ERR, "%s", message ? message : "out of memory");
            free(message);
        }
    }
    privilege_override(&d->privilege, false);
    if (d->input && input_start(d->input)) {
        LOG(input, ERR, "%s", "cannot start workers");
    }
    publish_context(d);
    return result;
}

static bool
same_tls(const struct config *a, const struct config *b)
{
    return same_text(a->ovsdb_private_key, b->ovsdb_private_key)
           && same_text(a->ovsdb_certificate, b->ovsdb_certificate)
           && same_text(a->ovsdb_ca, b->ovsdb_ca);
}

/* What was removed by hand stays removed, so the thread is started anew only
 * for other databases. */
static void
apply_ovsdb(struct daemon *d, const struct config *old,
            const struct config *new_, bool input_changes)
{
    if (!same_list(old->ovsdb_remotes, old->n_ovsdb_remotes,
                   new_->ovsdb_remotes, new_->n_ovsdb_remotes)
        || !same_tls(old, new_)
        || (old->export_apply && !new_->export_apply)) {
        ovsdb_stop(d->ovsdb);
        d->ovsdb = start_ovsdb(d, new_);
    } else if (d->ovsdb) {
        if (input_changes) {
            char text[N_EXPORT_TABLES][ENDPOINT_STRLEN];
            const char *local[N_EXPORT_TABLES];
            local_endpoints(d, text, local);
            ovsdb_set_local(d->ovsdb, local);
        }
        ovsdb_set_policies(d->ovsdb, new_->policies);
        if (new_->export_apply && !old->export_apply) {
            ovsdb_apply(d->ovsdb);
        }
    }
}

static void
configure_counters(struct daemon *d, const struct config *c)
{
    if (d->counter_log) {
        counter_log_set(d->counter_log, c->counters_interval_us,
                        c->counters_retention_us, c->counters_bytes);
    }
}

static void
rollup_limits(const struct config *c, struct rollup_limit limits[N_ROLLUPS])
{
    limits[ROLLUP_HOUR] = (struct rollup_limit) { c->hours_us,
                                                  c->hours_bytes };
    limits[ROLLUP_MINUTE] = (struct rollup_limit) { c->minutes_us,
                                                    c->minutes_bytes };
}

/* Keys may be for root alone, as at the start. */
static int
apply_api(struct daemon *d, const struct config *c,
          struct config_error *error)
{
    char *message = NULL;
    privilege_override(&d->privilege, true);
    int result = api_configure(d->api, c->api, &message);
    if (!result) {
        set_socket_modes(d, c);
    }
    privilege_override(&d->privilege, false);
    if (result) {
        snprintf(error->path, sizeof error->path, "/venturi:venturi/api");
        snprintf(error->message, sizeof error->message, "%s",
                 message ? message : strerror(-result));
    }
    free(message);
    return result;
}

static int
apply_config(void *daemon_, const struct config *old,
             const struct config *new_, struct config_error *error)
{
    struct daemon *d = daemon_;
    const char *fixed = needs_restart(old, new_);
    if (fixed) {
        snprintf(error->path, sizeof error->path, "/venturi:venturi/%s",
                 fixed);
        snprintf(error->message, sizeof error->message, "cannot be changed "
                 "while venturid runs: edit the file and restart");
        return -EOPNOTSUPP;
    }
    struct config_error ignored;
    int result = configure_routing(d, new_, error);
    if (result) {
        return result;
    }
    result = apply_api(d, new_, error);
    if (result) {
        configure_routing(d, old, &ignored);
        return result;
    }
    bool input_changes = !same_input(old, new_);
    if (input_changes) {
        result = replace_input(d, old, new_, error);
        if (result) {
            if (apply_api(d, old, &ignored)) {
                LOG(api, ERR, "%s: %s", ignored.path, ignored.message);
            }
            configure_routing(d, old, &ignored);
            return result;
        }
    }
    apply_ovsdb(d, old, new_, input_changes);
    store_set_retention(d->store, new_->retention_us, new_->retention_bytes);
    identity_journal_set_retention(d->identities,
                                   new_->retention_us / 1000000);
    configure_counters(d, new_);
    struct rollup_limit tiers[N_ROLLUPS];
    rollup_limits(new_, tiers);
    rollup_set_limits(d->rollup, tiers);
    struct api_limits limits = { new_->max_clients, new_->max_request };
    api_set_limits(d->api, &limits);
    configure_probes(d, new_);
    set_levels(d->options, new_);
    name_sources(d, new_);
    publish_context(d);
    rebuild_observations(d, false);
    return 0;
}

/* ---- Signals. ---- */

static void
on_terminate(struct ev_loop *loop, ev_signal *w, int revents)
{
    (void) revents;
    LOG(main, INFO, "%s: stopping", strsignal(w->signum));
    ev_break(loop, EVBREAK_ALL);
}

static void
on_hangup(struct ev_loop *loop, ev_signal *w, int revents)
{
    (void) loop;
    (void) revents;
    struct daemon *d = w->data;
    struct config_error error;
    if (config_reload(d->config, &error)) {
        LOG(config, ERR, "%s: %s: %s; the configuration stays as it was",
            d->config_path, error.path, error.message);
    } else {
        LOG(config, INFO, "%s: read again", d->config_path);
    }
}

static void
watch_signals(struct daemon *d)
{
    static const struct {
        size_t offset;
        void (*f)(struct ev_loop *, ev_signal *, int);
        int signum;
    } list[] = {
        { offsetof(struct daemon, on_term), on_terminate, SIGTERM },
        { offsetof(struct daemon, on_int), on_terminate, SIGINT },
        { offsetof(struct daemon, on_hup), on_hangup, SIGHUP },
    };
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        ev_signal *w = (ev_signal *) ((char *) d + list[i].offset);
        ev_signal_init(w, list[i].f, list[i].signum);
        w->data = d;
        ev_signal_start(d->loop, w);
    }
    ev_async_init(&d->on_ovsdb, on_ovsdb_changed);
    d->on_ovsdb.data = d;
    ev_async_init(&d->on_taps, on_taps_ready);
    d->on_taps.data = d;
    ev_async_start(d->loop, &d->on_taps);
    ev_init(&d->tell, on_tell);
    d->tell.data = d;
    ev_async_start(d->loop, &d->on_ovsdb);
    ev_timer_init(&d->review, on_review, REVIEW_S, REVIEW_S);
    d->review.data = d;
    ev_timer_start(d->loop, &d->review);
}

/* ---- Life. ---- */

/* What the model does not see: the command line.  Returns 0, or -EINVAL with
 * the reason. */
static int
check_options(const struct options *o, struct config_error *error)
{
    static const char *const kinds[] = { "unix:", "tcp:", "ssl:" };
    snprintf(error->path, sizeof error->path, "--ovsdb");
    for (size_t i = 0; i < o->n_ovsdb; i++) {
        bool known = !strcmp(o->ovsdb[i], "none");
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            known |= !strncmp(o->ovsdb[i], kinds[k], strlen(kinds[k]))
                     && o->ovsdb[i][strlen(kinds[k])];
        }
        if (!known) {
            snprintf(error->message, sizeof error->message, "\"%s\" is not "
                     "unix:/PATH, tcp:IP:PORT, ssl:IP:PORT or none",
                     o->ovsdb[i]);
            return -EINVAL;
        }
    }
    snprintf(error->path, sizeof error->path, "--api");
    for (size_t i = 0; i < o->n_api; i++) {
        if (strncmp(o->api[i], "unix:", 5) && o->api[i][0] != '/') {
            snprintf(error->message, sizeof error->message, "\"%s\" is not "
                     "unix:/PATH", o->api[i]);
            return -EINVAL;
        }
    }
    return 0;
}

static struct config_store *
load_config(const struct options *o, struct config_override *override,
            const char **path, struct config_error *error)
{
    *override = (struct config_override) {
        .api = o->api, .n_api = o->n_api,
        .ovsdb = o->ovsdb, .n_ovsdb = o->n_ovsdb,
        .run_dir = o->run_dir ? o->run_dir : DEFAULT_RUN_DIR,
    };
    *path = o->config ? o->config : DEFAULT_CONFIG;
    if (check_options(o, error)) {
        return NULL;
    }
    return config_load(*path, o->config != NULL, override, error);
}

/* The default user need not exist; one that was named must. */
static const char *
wanted_user(const struct options *o, const struct config *c)
{
    return o->user ? o->user : strcmp(c->user, "venturi") ? c->user : NULL;
}

int
daemon_check_config(const struct options *o)
{
    struct config_override override;
    struct config_error error;
    const char *path;
    struct config_store *c = load_config(o, &override, &path, &error);
    if (!c) {
        fprintf(stderr, "%s: %s: %s\n", path, error.path, error.message);
        return EXIT_FAILURE;
    }
    struct privilege privilege;
    int status = EXIT_FAILURE;
    if (!set_levels(o, config_current(c))
        && !privilege_init(&privilege, wanted_user(o, config_current(c)))) {
        printf("%s: %s\n", path, access(path, F_OK)
               ? "not there: defaults apply" : "valid");
        status = EXIT_SUCCESS;
    }
    config_store_destroy(c);
    return status;
}

/* The channels are there before the first batch. */
static void
count_channels(void *daemon_, struct flow_batch *b)
{
    struct daemon *d = daemon_;
    if (d->channels) {
        channel_process(d->channels, b);
    }
}

static int
create_tables(struct daemon *d, const struct config *c)
{
    element_map(c->elements, c->n_elements);
    d->dict = dict_create(DICT_ENTRIES, DICT_BYTES);
    d->sources = source_table_create(c->max_sources);
    d->templates = template_cache_create(TEMPLATE_SHARE, TEMPLATE_TOTAL);
    d->stages[0] = (struct stage) { "correct", correct_process, &d->correct };
    d->routing = d->dict ? routing_create(d->loop, d->dict) : NULL;
    if (!d->routing) {
        return -ENOMEM;
    }
    d->identity = d->dict ? identity_create(
        d->dict, &(struct identity_limits) { 0, 0, 0 }) : NULL;
    d->stages[1] = (struct stage) { "identify", identity_process,
                                    d->identity };
    d->stages[2] = routing_stage(d->routing);
    d->stages[3] = (struct stage) { "channels", count_channels, d };
    d->taps = d->dict ? tap_set_create(d->dict, taps_ready, d) : NULL;
    d->live = d->taps ? live_create(d->taps, d->dict) : NULL;
    d->stages[4] = (struct stage) { "taps", tap_process, d->taps };
    return d->dict && d->sources && d->templates && d->live ? 0 : -ENOMEM;
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
static int
open_store(struct daemon *d, const struct config *c)
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
    rollup_limits(c, limits);
    d->rollup = rollup_open(d->store, d->store_dir, limits, c->rollups);
    d->queries = query_pool_create(d->store, c->query_max, 64);
    if (!d->queries || !d->rollup) {
        return -ENOMEM;
    }
    query_pool_set_rollup(d->queries, d->rollup);
    return 0;
}

static int
open_profiles(struct daemon *d)
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

/* Who had an address is kept as long as flows are.  What OVS's database says,
 * anybody with rights on its socket can have written: it is trusted least. */
static int
open_identities(struct daemon *d, const struct config *c)
{
    char path[4096], error[IDENTITY_ERROR_SIZE];
    snprintf(path, sizeof path, "%s/identity", d->store_dir);
    identity_rank(d->identity, "ovsdb", 200);
    d->identities = identity_journal_open(path, d->identity, d->dict,
                                          clock_wall_us(), error);
    if (!d->identities) {
        LOG(identity, ERR, "%s", error);
        return -1;
    }
    identity_journal_set_retention(d->identities, c->retention_us / 1000000);
    return 0;
}

/* What was learned before the restart, so that the first datagram after it can
 * be read. */
static void
restore_templates(struct daemon *d)
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
static void
open_counters(struct daemon *d, const struct config *c)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/meta/counters", d->store_dir);
    d->counter_log = counter_log_create(path);
    if (!d->counter_log) {
        LOG(store, ERR, "%s/meta/counters: %s; counters of interfaces are not "
            "kept", d->state_dir, strerror(errno));
        return;
    }
    configure_counters(d, c);
    interface_counters_set_log(source_table_counters(d->sources),
                               d->counter_log, d->dict);
}

static int
start(struct daemon *d)
{
    const struct config *c = config_current(d->config);
    char *error = NULL;
    struct config_error routing_error;
    const char *user = wanted_user(d->options, c);
    if (set_levels(d->options, c)
        || privilege_init(&d->privilege, user)
        || make_dirs(d) || create_tables(d, c)) {
        return -1;
    }
    d->input = open_input(d, c, &error);
    if (!d->input) {
        LOG(input, ERR, "%s", error ? error : "out of memory");
        free(error);
        return -1;
    }
    if (open_api(d, c) || load_owner(d)) {
        return -1;
    }
    watch_signals(d);
    ovsdb_global_init("venturid", log_level(LOG_MODULE_ovsdb) >= LOG_L_DBG);
    thread_set_hook(privilege_none);
    d->privilege.keep_raw = c->probe != NULL;
    if (drop_privileges(d, c) || open_records(d) || open_store(d, c)
        || open_profiles(d) || open_identities(d, c)) {
        return -1;
    }
    restore_templates(d);
    open_counters(d, c);
    name_sources(d, c);
    if (input_start(d->input)) {
        LOG(input, ERR, "%s", "cannot start workers");
        return -1;
    }
    d->ovsdb = start_ovsdb(d, c);
    if (configure_routing(d, c, &routing_error)) {
        LOG(bgp, ERR, "%s", routing_error.message);
        return -1;
    }
    d->probe = probe_create(d->loop, privilege_probe_child);
    configure_probes(d, c);
    config_set_apply(d->config, apply_config, d);
    config_set_guard(d->config, raise_rights, d);
    publish_context(d);
    export_data(d);
    return 0;
}

struct daemon *
daemon_create(const struct options *o)
{
    struct daemon *d = calloc(1, sizeof *d);
    struct config_error error;
    if (!d) {
        return NULL;
    }
    rcu_register_thread();
    d->options = o;
    d->state_dir = o->state_dir ? o->state_dir : DEFAULT_STATE_DIR;
    d->run_dir = o->run_dir ? o->run_dir : DEFAULT_RUN_DIR;
    d->loop = ev_default_loop(EVFLAG_AUTO);
    d->config = load_config(o, &d->override, &d->config_path, &error);
    if (!d->config) {
        LOG(config, ERR, "%s: %s: %s", d->config_path, error.path,
            error.message);
        daemon_destroy(d);
        return NULL;
    }
    open_log(o, config_current(d->config));
    d->context.started_us = clock_wall_us();
    d->context.state_dir = d->state_dir;
    d->context.run_dir = d->run_dir;
    d->context.owner = d->owner;
    if (start(d)) {
        daemon_destroy(d);
        return NULL;
    }
    LOG(main, INFO, "venturid " PACKAGE_VERSION " is ready; owner %s",
        d->owner);
#ifdef HAVE_SYSTEMD
    sd_notify(0, "READY=1");
#endif
    return d;
}

void
daemon_run(struct daemon *d)
{
    ev_run(d->loop, 0);
}

void
daemon_destroy(struct daemon *d)
{
    if (!d) {
        return;
    }
#ifdef HAVE_SYSTEMD
    sd_notify(0, "STOPPING=1");
#endif
    probe_destroy(d->probe);            /* They send their last flows. */
    ovsdb_stop(d->ovsdb);
    routing_stop(d->routing);           /* Says goodbye. */
    input_destroy(d->input);            /* Reads what is left, then stops. */
    routing_destroy(d->routing);
    persist_stop(d->persist);
    channel_set_stop(d->channels);
    query_pool_destroy(d->queries);
    counter_log_destroy(d->counter_log);
    imports_stop(d->imports);
    rollup_close(d->rollup);
    exports_stop(d->exports);
    store_close(d->store);
    privilege_override(&d->privilege, true);    /* To remove sockets. */
    live_destroy(d->live);
    identity_journal_close(d->identities);
    api_destroy(d->api);
    tap_set_destroy(d->taps);
    tokens_close(d->tokens);
    audit_close(d->audit);
    profiles_close(d->profiles);
    imports_destroy(d->imports);
    exports_destroy(d->exports);
    channel_set_destroy(d->channels);
    correct_publish(&d->correct, NULL);
    config_store_destroy(d->config);
    history_close(d->history);
    template_cache_destroy(d->templates);
    source_table_destroy(d->sources);
    identity_destroy(d->identity);
    dict_destroy(d->dict);
    for (size_t i = 0; i < MAX_REMOTES; i++) {
        free(d->rounds[i].remote);
    }
    free(d->store_dir);
    rcu_unregister_thread();
    if (d->loop) {
        ev_loop_destroy(d->loop);
    }
    free(d);
}
