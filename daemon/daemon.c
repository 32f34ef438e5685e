#include <config.h>

#include "daemon/daemon.h"
#include "daemon/daemon_p.h"

#include <errno.h>
#include <ev.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "api/audit.h"
#include "api/history.h"
#include "api/live.h"
#include "api/export.h"
#include "api/import.h"
#include "api/inventories.h"
#include "api/profile.h"
#include "api/server.h"
#include "api/token.h"
#include "collector/channel/tap.h"
#include "collector/exporter/counter_log.h"
#include "collector/exporter/source_table.h"
#include "collector/identity/journal.h"
#include "collector/identity/stage.h"
#include "collector/identity/why.h"
#include "collector/input/input.h"
#include "collector/query/export.h"
#include "collector/query/query.h"
#include "collector/store/store.h"
#include "collector/template/element.h"
#include "collector/template/persist.h"
#include "collector/template/template.h"
#include "daemon/names.h"
#include "daemon/alerts.h"
#include "daemon/events.h"
#include "daemon/options.h"
#include "daemon/routing.h"
#include "daemon/watch.h"
#include "lib/clock.h"
#include "lib/dict.h"
#include "lib/event.h"
#include "lib/log.h"
#include "lib/thread.h"
#include "probe/probe.h"

/* Names of AS paths and communities that flows took are most of it.  The tables
 * take memory as they fill. */
#define DICT_ENTRIES (1 << 20)
#define DICT_BYTES (96u << 20)
#define REVIEW_S 30.
#define TAP_S .1                /* Rows of so long go out together. */

/* For what only the OVSDB thread may do all the time. */
static void
raise_rights(void *daemon_, bool on)
{
    struct daemon *d = daemon_;
    privilege_override(&d->privilege, on);
}

void
daemon_publish_context(struct daemon *d)
{
    d->context.config = d->config;
    d->context.ovsdb = d->ovsdb;
    d->context.watch = d->watching ? watching_watch(d->watching) : NULL;
    d->context.probe = d->probe;
    d->context.order_probes = daemon_order_probes;
    d->context.probes_aux = d;
    d->context.store = d->store;
    d->context.queries = d->queries;
    d->context.rollup = d->rollup;
    d->context.profiles = d->profiles;
    d->context.identities = d->identities;
    d->context.inventories = d->inventories;
    d->context.live = d->live;
    d->context.events = daemon_events_api(d->events);
    d->context.alerts = daemon_alerts_api(d->alerts);
    d->context.imports = d->imports;
    d->context.exports = d->exports;
    d->context.sources = d->sources;
    d->context.counter_log = d->counter_log;
    d->context.decode_counters = &d->decode_counters;
    d->context.input = d->input;
    d->context.rib = d->routing ? routing_rib(d->routing) : NULL;
    d->context.route_imports = d->routing ? routing_imports(d->routing)
                                          : NULL;
    d->context.route_history = d->routing ? routing_history(d->routing)
                                          : NULL;
    d->context.speaker = d->routing ? routing_speaker(d->routing) : NULL;
    d->context.tokens = d->tokens;
    d->context.audit = d->audit;
    d->context.bmp = d->routing ? routing_bmp(d->routing) : NULL;
    d->context.dict = d->dict;
    d->context.turns = &d->turns.turns;
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

int
daemon_set_levels(const struct options *o, const struct config *c)
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

/* ---- OVSDB. ---- */

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
    daemon_rebuild_observations(w->data, true);
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
    daemon_rebuild_observations(w->data, false);
}

/* ---- API sockets. ---- */

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
        daemon_set_socket_modes(d, c);
        e = api_configure(d->api, c->api, &error);
    }
    if (e) {
        LOG(api, ERR, "%s", error ? error : strerror(-e));
        free(error);
    }
    return e;
}

/* ---- Signals. ---- */

static void
on_terminate(struct ev_loop *loop, ev_signal *w, int revents)
{
    (void) revents;
    LOG(main, INFO, "%s: stopping", strsignal(w->signum));
    event_post(EVENT_daemon_stopped, "venturid", NULL, "venturid ends: %s",
               strsignal(w->signum));
    ev_break(loop, EVBREAK_ALL);
}

/* Tells systemd how it goes (sd_notify(3)). */
static void __attribute__((format(printf, 1, 2)))
tell_systemd(const char *format, ...)
{
#ifdef HAVE_SYSTEMD
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sd_notify(0, text);
#else
    (void) format;
#endif
}

static void
on_hangup(struct ev_loop *loop, ev_signal *w, int revents)
{
    (void) loop;
    (void) revents;
    struct daemon *d = w->data;
    struct config_error error;
    tell_systemd("RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\n"
                 "STATUS=Reading the configuration", clock_mono_us());
    if (config_reload(d->config, &error)) {
        tell_systemd("READY=1\nSTATUS=Runs as before: %s: %s", error.path,
                     error.message);
        LOG(config, ERR, "%s: %s: %s; the configuration stays as it was",
            d->config_path, error.path, error.message);
        event_post(EVENT_config_refused, error.path, NULL, "%s: %s",
                   d->config_path, error.message);
    } else {
        tell_systemd("READY=1\nSTATUS=Runs, the configuration was read "
                     "again");
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
    if (!daemon_set_levels(o, config_current(c))
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
    d->names = d->dict ? names_start(d->loop, d->dict) : NULL;
    daemon_watch_turns(d);
    d->sources = source_table_create(c->max_sources);
    d->templates = template_cache_create(TEMPLATE_SHARE, TEMPLATE_TOTAL);
    d->stages[0] = (struct stage) { "correct", correct_process, &d->correct };
    d->routing = d->dict ? routing_create(d->loop, d->dict) : NULL;
    if (!d->routing) {
        return -ENOMEM;
    }
    d->identity = d->dict ? identity_create(
        d->dict, &(struct identity_limits) { .names = 0 }) : NULL;
    d->why = why_create();
    d->stages[1] = (struct stage) { "why", why_process, d->why };
    d->stages[2] = (struct stage) { "identify", identity_process,
                                    d->identity };
    d->stages[3] = routing_stage(d->routing);
    d->stages[4] = (struct stage) { "channels", count_channels, d };
    d->taps = d->dict ? tap_set_create(d->dict, taps_ready, d) : NULL;
    d->live = d->taps ? live_create(d->taps, d->dict) : NULL;
    d->stages[5] = (struct stage) { "taps", tap_process, d->taps };
    d->alerts = d->dict ? daemon_alerts_create(d->loop, d->dict) : NULL;
    d->stages[6] = (struct stage) { "alerts", daemon_alerts_process,
                                    d->alerts };
    return d->names && d->sources && d->templates && d->live && d->why
           && d->alerts ? 0 : -ENOMEM;
}

static int
start(struct daemon *d)
{
    const struct config *c = config_current(d->config);
    char *error = NULL;
    struct config_error routing_error;
    const char *user = wanted_user(d->options, c);
    if (daemon_set_levels(d->options, c)
        || privilege_init(&d->privilege, user)
        || daemon_make_dirs(d) || create_tables(d, c)) {
        return -1;
    }
    d->input = daemon_open_input(d, c, &error);
    if (!d->input) {
        LOG(input, ERR, "%s", error ? error : "out of memory");
        free(error);
        return -1;
    }
    if (open_api(d, c) || daemon_load_owner(d)) {
        return -1;
    }
    watch_signals(d);
    ovsdb_global_init("venturid", log_level(LOG_MODULE_ovsdb) >= LOG_L_DBG);
    thread_set_hook(privilege_none);
    d->privilege.keep_raw = c->probe != NULL;
    if (daemon_drop_privileges(d, c) || daemon_open_records(d)
        || daemon_open_events(d, c)
        || daemon_open_store(d, c) || daemon_open_profiles(d)
        || daemon_open_identities(d, c) || daemon_open_alerts(d, c)) {
        return -1;
    }
    daemon_restore_templates(d);
    daemon_open_route_history(d, c);
    daemon_open_counters(d, c);
    daemon_name_sources(d, c);
    if (input_start(d->input)) {
        LOG(input, ERR, "%s", "cannot start workers");
        return -1;
    }
    d->ovsdb = daemon_start_ovsdb(d, c);
    daemon_start_watching(d, c);
    if (daemon_configure_routing(d, c, &routing_error)) {
        LOG(bgp, ERR, "%s", routing_error.message);
        return -1;
    }
    if (daemon_open_probes(d, c)) {
        return -1;
    }
    inventories_configure(d->inventories, c->inventory);
    config_set_apply(d->config, daemon_apply_config, d);
    config_set_guard(d->config, raise_rights, d);
    daemon_publish_context(d);
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
    event_post(EVENT_daemon_started, "venturid",
               EVENT_DETAIL(EVENT_TEXT("version", PACKAGE_VERSION),
                            EVENT_TEXT("owner", d->owner)),
               "venturid " PACKAGE_VERSION " is ready");
    tell_systemd("READY=1\nSTATUS=Runs");
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
    tell_systemd("STOPPING=1\nSTATUS=Writes what is left");
    probe_destroy(d->probe);            /* They send their last flows. */
    orders_clear(&d->probe_orders);
    ovsdb_stop(d->ovsdb);
    watching_stop(d->watching);
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
    daemon_alerts_stop(d->alerts);
    d->context.alerts = NULL;
    daemon_events_stop(d->events);
    d->context.events = NULL;
    inventories_destroy(d->inventories);
    identity_journal_close(d->identities);
    api_destroy(d->api);
    daemon_events_close(d->events);
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
    daemon_alerts_destroy(d->alerts);
    identity_destroy(d->identity);
    names_stop(d->names);
    watching_destroy(d->watching);
    why_destroy(d->why);
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
