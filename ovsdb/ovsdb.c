/* ovsdb/ovsdb.c -- the OVSDB thread.
 *
 * One thread owns every IDL and sleeps in OVS's poll_block(); other threads
 * leave their wishes under 'mutex' and wake it through an eventfd.  Nothing
 * here runs by the clock but backing off: a change in a database wakes the
 * thread, which reads it into a snapshot, plans, and writes what differs, one
 * transaction per bridge.
 *
 * The advisory lock is named after our owner id: it keeps out a second daemon
 * with the same id (a copied state directory), which would fight over the same
 * rows.  Daemons with other ids are kept apart by ownership: to each, the rows
 * of the other are foreign. */
#include "ovsdb/ovs_p.h"

#include "ovsdb/ovsdb_p.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/event.h"
#include "lib/log.h"
#include "ovsdb/budget.h"
#include "ovsdb/export_p.h"
#include "ovsdb/orders.h"
#include "ovsdb/ovs_rows.h"
#include "ovsdb/ovs_schema.h"

/* Process-wide. */

void
ovsdb_global_init(const char *program, bool verbose)
{
    set_program_name(program);
    /* OVS logs to the console, to syslog and to files, but not to us. */
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    if (verbose) {
        vlog_set_levels(NULL, VLF_CONSOLE, VLL_INFO);
    }
    fatal_ignore_sigpipe();
    /* Takes over those fatal signals that are still at their default. */
    fatal_signal_init();
}


static void
wake(struct ovsdb *o)
{
    uint64_t one = 1;
    ssize_t n = write(o->wake_fd, &one, sizeof one);
    (void) n;                   /* Full means that it will wake anyway. */
}

/* Snapshots. */

const struct ovs_snapshot *
ovsdb_snapshot(struct ovsdb *o, size_t i)
{
    if (i >= o->n_remotes) {
        return NULL;
    }
    pthread_mutex_lock(&o->mutex);
    const struct ovs_snapshot *snap = snapshot_ref(o->remotes[i].snap);
    pthread_mutex_unlock(&o->mutex);
    return snap;
}

size_t
ovsdb_n_remotes(const struct ovsdb *o)
{
    return o->n_remotes;
}

/* A unix socket, or an address of the loopback network. */
static bool
remote_is_local(const char *remote)
{
    return !strncmp(remote, "unix:", 5) || strstr(remote, ":127.")
           || strstr(remote, ":[::1]") || strstr(remote, ":localhost:");
}

/* Raises and lowers what this thread may do, for a unix socket that others may
 * not open. */
static void
reach(const struct remote *r, bool on)
{
    if (r->owner->reach && !strncmp(r->name, "unix:", 5)) {
        r->owner->reach(r->owner->aux, on);
    }
}

/* Connects, too; only then does it get the right that this may take. */
void
remote_run_idl(struct remote *r)
{
    bool up = ovsdb_idl_is_connected(r->idl);
    if (!up) {
        reach(r, true);
    }
    ovsdb_idl_run(r->idl);
    if (!up) {
        reach(r, false);
    }
}

/* Why the socket can't be opened (heap), or NULL: it can. */
static char *
socket_reason(const struct remote *r, const char *path)
{
    struct stat st;
    char *reason = NULL;
    reach(r, true);             /* As when it is opened. */
    if (stat(path, &st)) {
        reason = xasprintf("%s: %s (is ovsdb-server running?)", path,
                           ovs_strerror(errno));
    } else if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS)) {
        reason = xasprintf("%s: %s (the user that venturid runs as must be "
                           "allowed to open it)", path, ovs_strerror(errno));
    }
    reach(r, false);
    return reason;
}

/* Which of the files of ovsdb/tls can't be read; set once, before threads. */
static char *tls_problem;

void
ovsdb_set_tls(const char *private_key, const char *certificate,
              const char *ca_certificate)
{
    const char *const paths[] = { private_key, certificate, ca_certificate };
    static const char *const names[] = { "private-key", "certificate", "ca" };
    free(tls_problem);
    tls_problem = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(paths) && !tls_problem; i++) {
        if (!paths[i]) {
            tls_problem = xasprintf("ovsdb/tls/%s is not set", names[i]);
        } else if (access(paths[i], R_OK)) {
            tls_problem = xasprintf("ovsdb/tls/%s: %s: %s", names[i],
                                    paths[i], ovs_strerror(errno));
        }
    }
    stream_ssl_set_key_and_cert(private_key, certificate);
    stream_ssl_set_ca_cert_file(ca_certificate, false);
}

/* errno values, as the IDL reports them, and what they mean. */
static const struct {
    int error;
    enum ovsdb_cause tcp, tls;
} causes[] = {
    { ECONNREFUSED, CAUSE_REFUSED, CAUSE_REFUSED },
    { ENETUNREACH, CAUSE_NO_ROUTE, CAUSE_NO_ROUTE },
    { EHOSTUNREACH, CAUSE_NO_ROUTE, CAUSE_NO_ROUTE },
    { ETIMEDOUT, CAUSE_NO_ANSWER, CAUSE_NO_ANSWER },
    { EOF, CAUSE_CLOSES, CAUSE_TLS_CLOSES },
    { EPIPE, CAUSE_CLOSES, CAUSE_TLS_CLOSES },
    { ECONNRESET, CAUSE_CLOSES, CAUSE_TLS_CLOSES },
    { EPROTO, CAUSE_PROTOCOL, CAUSE_HANDSHAKE },
    { ENOPROTOOPT, CAUSE_OTHER, CAUSE_TLS_FILES },
};

static enum ovsdb_cause
network_cause(const struct remote *r, int error)
{
    if (!strncmp(r->name, "unix:", 5)) {
        return CAUSE_OTHER;
    } else if (!error && r->since_ms
               && clock_mono_ms() - r->since_ms > 10000) {
        return CAUSE_NO_ANSWER;
    }
    bool tls = !strncmp(r->name, "ssl:", 4);
    for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
        if (causes[i].error == error) {
            return tls ? causes[i].tls : causes[i].tcp;
        }
    }
    return CAUSE_OTHER;
}

/* What a cause means (heap); NULL: the error says it well enough, or there is
 * none yet. */
static char *
network_reason(enum ovsdb_cause cause, int error)
{
    static const char *const texts[N_CAUSES] = {
        [CAUSE_REFUSED] = "Connection refused: that host is there, and nobody "
            "listens on that port",
        [CAUSE_NO_ANSWER] = "no answer: a wrong address, or a firewall that "
            "drops what we send",
        [CAUSE_CLOSES] = "the server closes the connection: it speaks TLS "
            "there (then ssl:), or is no ovsdb-server",
        [CAUSE_TLS_CLOSES] = "the server closes the connection: it does not "
            "speak TLS there (then tcp:), or does not accept our certificate "
            "(its log says which)",
        [CAUSE_PROTOCOL] = "Protocol error: what answers there is no "
            "ovsdb-server, or speaks TLS (then ssl:)",
        [CAUSE_HANDSHAKE] = "the TLS handshake failed: the server's "
            "certificate is not of the CA in ovsdb/tls/ca, or has expired, or "
            "it does not speak TLS there",
    };
    if (cause == CAUSE_NO_ROUTE) {
        return xasprintf("%s: this host knows no way to that address",
                         ovs_strerror(error));
    } else if (cause == CAUSE_TLS_FILES) {
        return tls_problem ? xasprintf("TLS can't start: %s", tls_problem)
            : xstrdup("TLS needs a private key, a certificate and the "
                      "certificate of the CA; one is not set or not valid");
    }
    return texts[cause] ? xstrdup(texts[cause]) : NULL;
}

/* Why there is no connection, in words (heap). */
static char *
disconnected_reason(const struct remote *r)
{
    const char *path = !strncmp(r->name, "unix:/", 6) ? r->name + 5 : NULL;
    char *reason = path ? socket_reason(r, path) : NULL;
    if (reason) {
        return reason;
    }
    int error = ovsdb_idl_get_last_error(r->idl);
    char *remote_reason = network_reason(network_cause(r, error), error);
    if (remote_reason) {
        return remote_reason;
    }
    if (error == EOF) {
        return xstrdup("the server closed the connection");
    }
    if (error > 0 && ovsdb_idl_is_connected(r->idl)) {
        return xasprintf("the server has no usable Open_vSwitch database "
                         "(%s)", ovs_strerror(error));
    }
    return error > 0 ? xasprintf("%s", ovs_strerror(error))
                     : xstrdup("connecting");
}

bool
remote_is_up(const struct remote *r)
{
    return ovsdb_idl_has_ever_connected(r->idl)
           && ovsdb_idl_is_connected(r->idl);
}

/* Reads the replica.  Called without the mutex: it may take a while, and only
 * this thread looks at the IDL. */
static struct ovs_snapshot *
snapshot_make(struct remote *r, bool connected, char *reason)
{
    struct ovs_snapshot *s = snapshot_create();
    if (!s) {
        out_of_memory();
    }
    ovs_rows_read(r->idl, r->owner->owner, s);
    char **texts[] = { &s->ovs_version, &s->db_version, &s->system_id,
                       &s->hostname };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (!*texts[i]) {
            *texts[i] = xstrdup("");
        }
    }
    s->remote = xstrdup(r->name);
    s->local = r->local;
    s->connected = connected;
    s->reason = reason;
    s->cause = connected ? CAUSE_OTHER
               : network_cause(r, ovsdb_idl_get_last_error(r->idl));
    s->since_ms = r->since_ms;
    s->generation = ++r->generation;
    return s;
}

static void
tell(struct ovsdb *o)
{
    if (o->changed) {
        o->changed(o->aux);
    }
}

static void
tell_connection(const char *remote, const struct ovs_snapshot *snap, bool was)
{
    if (snap->connected && !was) {
        event_post(EVENT_ovsdb_connected, remote,
                   EVENT_DETAIL(EVENT_TEXT("version", snap->ovs_version),
                                EVENT_INT("bridges",
                                          (int64_t) snap->n_bridges)),
                   "%s answers", remote);
    } else if (!snap->connected && was) {
        event_post(EVENT_ovsdb_lost, remote,
                   EVENT_DETAIL(EVENT_TEXT("reason", snap->reason)),
                   "%s is lost: %s", remote, snap->reason);
    }
}

/* A new snapshot, and the plan that follows from it. */
static void
remote_publish(struct remote *r)
{
    struct ovsdb *o = r->owner;
    bool connected = remote_is_up(r);
    bool was = r->snap && r->snap->connected;
    if (connected != was || !r->snap) {
        r->since_ms = clock_mono_ms();
    }
    struct ovs_snapshot *snap = snapshot_make(
        r, connected, connected ? NULL : disconnected_reason(r));
    const struct ovs_snapshot *old = r->snap;

    pthread_mutex_lock(&o->mutex);
    remote_annotate(r, snap);
    /* First: the two need not be there at the same time. */
    export_plan_destroy(r->plan);
    r->plan = NULL;
    r->snap = snap;
    remote_plan_need(r);
    notes_update(r);
    remote_plan_release(r);
    pthread_mutex_unlock(&o->mutex);

    tell_connection(r->name, snap, was);
    if (connected && !was) {
        LOG(ovsdb, NOTICE, "%s: connected: Open vSwitch %s, %zu bridge%s",
            r->name, *snap->ovs_version ? snap->ovs_version : "(version "
            "unknown)", snap->n_bridges, snap->n_bridges == 1 ? "" : "s");
    } else if (!connected && (!old || was
                              || !text_equal(old->reason, snap->reason))) {
        /* A server that comes and goes has many reasons. */
        LOG_RATE(ovsdb, INFO, "%s: not connected: %s", r->name,
                 snap->reason);
    }
    if (old) {
        ovsdb_snapshot_unref(old);
    }
    r->next = 0;
    r->recheck_ms = INT64_MAX;
    r->dirty = false;
    int64_t now_ms = clock_mono_ms();
    o->trim_heap |= snap->n_bridges >= TRIM_BRIDGES;
    o->trim_ms = MAX(now_ms + TRIM_AFTER_MS,
                     o->trimmed_ms ? o->trimmed_ms + TRIM_REST_MS : 0);
    tell(o);
}

/* The thread. */

/* With many bridges a snapshot takes a while: never spend more than a third
 * of the time on them. */
static bool
paced(struct remote *r, int64_t *wake_ms)
{
    int64_t now_us = clock_mono_us();
    if (now_us < r->build_after_us) {
        *wake_ms = MIN(*wake_ms, clock_mono_ms()
                                 + (r->build_after_us - now_us + 999) / 1000);
        return true;
    }
    return false;
}

/* Something is to be read or planned again. */
static bool
needs_publish(struct remote *r)
{
    if (r->reopened_ms && !remote_is_up(r) && clock_mono_ms()
                                              < r->reopened_ms + SETTLE_MS) {
        return false;           /* What was known holds. */
    }
    r->reopened_ms = 0;
    if (!r->snap || r->dirty) {
        return true;
    }
    const struct ovs_snapshot *s = r->snap;
    if (remote_is_up(r) != s->connected
        || ovsdb_idl_get_seqno(r->idl) != r->seqno) {
        return true;
    }
    if (!s->connected) {
        char *reason = disconnected_reason(r);
        bool differs = !text_equal(reason, s->reason);
        free(reason);
        return differs;
    }
    return false;
}

static void
publish_now(struct remote *r)
{
    int64_t start_us = clock_mono_us();
    r->seqno = ovsdb_idl_get_seqno(r->idl);
    remote_publish(r);
    int64_t took_us = clock_mono_us() - start_us;
    r->build_after_us = took_us < 1000 ? 0 : start_us + 3 * took_us;
}

/* True while the last transaction's own update has not come. */
static bool
settling(struct remote *r, int64_t now_ms, int64_t *wake_ms)
{
    if (r->hold_seqno && ovsdb_idl_get_seqno(r->idl) == r->held_seqno
        && now_ms < r->hold_until_ms) {
        *wake_ms = MIN(*wake_ms, r->hold_until_ms);
        return true;
    }
    r->hold_seqno = false;
    return false;
}

/* Asks for the advisory lock as soon as we are to write. */
static bool
may_write(struct remote *r)
{
    struct ovsdb *o = r->owner;
    bool asked = o->apply;
    for (size_t i = 0; i < o->orders.n; i++) {
        const struct export_order *order = &o->orders.list[i];
        asked = asked || (order->apply && !order->kept);
    }
    if (asked && !r->locking && !r->lockless) {
        ovsdb_idl_set_lock(r->idl, o->lock);
        r->locking = true;
    }
    return remote_is_up(r) && (!r->locking || r->lockless
                               || ovsdb_idl_has_lock(r->idl));
}

/* Notices that the lock was lost or won. */
static void
watch_lock(struct remote *r)
{
    struct ovsdb *o = r->owner;
    bool contended = r->locking && ovsdb_idl_is_lock_contended(r->idl);
    if (contended == r->contended) {
        return;
    }
    pthread_mutex_lock(&o->mutex);
    r->contended = contended;
    pthread_mutex_unlock(&o->mutex);
    if (contended) {
        LOG(ovsdb, WARN, "%s: another venturid with our instance id %s holds "
            "the lock %s: we write nothing", r->name, o->owner, o->lock);
    } else {
        LOG(ovsdb, NOTICE, "%s: the lock %s is ours", r->name, o->lock);
    }
    tell(o);
}

/* One step: reads what changed, or starts or ends a transaction.  True if
 * there is more to do at once. */
static bool
remote_step(struct remote *r, int64_t *wake_ms)
{
    struct ovsdb *o = r->owner;
    int64_t now_ms = clock_mono_ms();
    bool started = false;

    if (r->txn) {
        pthread_mutex_lock(&o->mutex);
        remote_txn_run(r, now_ms);
        pthread_mutex_unlock(&o->mutex);
        if (r->txn) {
            return false;       /* Under way. */
        }
    }
    pthread_mutex_lock(&o->mutex);
    bool writable = may_write(r) && r->plan;
    if (r->plan && now_ms >= r->recheck_ms) {
        r->next = 0;
        r->recheck_ms = INT64_MAX;
    }
    if (writable) {
        started = remote_txn_start(r, now_ms);
    }
    pthread_mutex_unlock(&o->mutex);
    if (started) {
        return true;
    }
    if (needs_publish(r) && !settling(r, now_ms, wake_ms)
        && !paced(r, wake_ms)) {
        publish_now(r);
        return true;
    }
    *wake_ms = MIN(*wake_ms, r->recheck_ms);
    return false;
}

#define PROBE_MS 5000           /* Of silence, before the server is asked. */

void
remote_open(struct remote *r)
{
    r->idl = ovsdb_idl_create_unconnected(ovs_class(), false);
    /* Relays and followers will do. */
    ovsdb_idl_set_leader_only(r->idl, false);
    ovs_rows_monitor(r->idl);
    r->statistics = r->owner->auto_sampling || r->owner->tell_statistics;
    if (r->statistics) {
        ovs_rows_monitor_statistics(r->idl);
    }
    ovsdb_idl_set_write_changed_only_all(r->idl, true);
    ovsdb_idl_set_remote(r->idl, r->name, true);
    if (!strncmp(r->name, "unix:", 5)) {
        /* Unix sockets have no probes unless one asks for them, and a server
         * that hangs would look healthy for ever. */
        ovsdb_idl_set_probe_interval(r->idl, PROBE_MS);
    }
    r->locking = false;
    r->dirty = true;
}

/* Gives memory back. */
static void
trim(struct ovsdb *o, int64_t now_ms, int64_t *wake_ms)
{
    if (o->trim_ms && now_ms >= o->trim_ms) {
        ovs_strings_sweep();
        if (o->trim_heap) {
            malloc_trim(0);
        }
        o->trim_heap = false;
        o->trimmed_ms = now_ms;
        o->trim_ms = 0;
    } else if (o->trim_ms) {
        *wake_ms = MIN(*wake_ms, o->trim_ms);
    }
}

static void
remote_run(struct remote *r, bool renew, int64_t *wake_ms)
{
    remote_run_idl(r);
    watch_lock(r);
    r->dirty |= renew;
    remote_traffic_run(r, clock_mono_ms(), wake_ms);
    remote_statistics_run(r, clock_mono_ms(), wake_ms);
    while (remote_step(r, wake_ms)) {
        continue;
    }
}

/* Tells those who wait for export.remove.  Called without the mutex. */
static void
removals_run(struct ovsdb *o, int64_t now_ms, int64_t *wake_ms)
{
    pthread_mutex_lock(&o->mutex);
    struct removal **p = &o->removals, *finished = NULL;
    bool settled = !o->renew;
    size_t n_up = 0;
    for (size_t i = 0; i < o->n_remotes; i++) {
        struct remote *r = &o->remotes[i];
        n_up += remote_is_up(r);
        settled = settled && !r->txn && !r->dirty && r->snap;
    }
    while (*p) {
        struct removal *m = *p;
        bool pending = !settled;
        for (size_t i = 0; i < o->n_remotes && !pending; i++) {
            struct remote *r = &o->remotes[i];
            for (size_t j = 0; remote_is_up(r) && r->plan
                               && j < r->plan->n_changes; j++) {
                const struct export_change *c = &r->plan->changes[j];
                pending |= c->state == STATE_PENDING && removal_wants(m, c)
                           && (c->action == ACTION_REMOVE
                               || c->action == ACTION_DETACH);
            }
        }
        if (!n_up || !pending || now_ms >= m->deadline_ms || o->stopping) {
            m->n = !n_up ? -ENOTCONN : !pending ? m->n
                   : o->stopping ? -ECANCELED : -ETIMEDOUT;
            *p = m->next;
            m->next = finished;
            finished = m;
        } else {
            *wake_ms = MIN(*wake_ms, m->deadline_ms);
            p = &m->next;
        }
    }
    pthread_mutex_unlock(&o->mutex);
    while (finished) {
        struct removal *m = finished;
        finished = m->next;
        m->done(m->aux, m->n);
        free(m->bridge);
        free(m->policy);
        free(m);
    }
}

static void
remote_close(struct remote *r)
{
    /* Not aborted first: that would leave it in the IDL's list of
     * transactions whose answer is awaited. */
    if (r->txn) {
        ovsdb_idl_txn_destroy(r->txn);
    }
    ovsdb_idl_destroy(r->idl);
    free(r->txn_has);
    notes_sweep(r, true);
    shash_destroy(&r->notes);
}

static void *
thread_main(void *o_)
{
    struct ovsdb *o = o_;
    bool stopping = false;
    pthread_mutex_lock(&o->mutex);
    for (size_t i = 0; i < o->n_remotes; i++) {
        remote_open(&o->remotes[i]);
    }
    pthread_mutex_unlock(&o->mutex);
    while (!stopping) {
        uint64_t drained;
        ssize_t got = read(o->wake_fd, &drained, sizeof drained);
        (void) got;
        pthread_mutex_lock(&o->mutex);
        bool renew = o->renew;
        o->renew = false;
        stopping = o->stopping;
        pthread_mutex_unlock(&o->mutex);

        int64_t wake_ms = INT64_MAX;
        for (size_t i = 0; i < o->n_remotes && !stopping; i++) {
            remote_run(&o->remotes[i], renew, &wake_ms);
        }
        removals_run(o, clock_mono_ms(), &wake_ms);
        trim(o, clock_mono_ms(), &wake_ms);
        for (size_t i = 0; i < o->n_remotes; i++) {
            struct remote *r = &o->remotes[i];
            ovsdb_idl_wait(r->idl);
            if (r->txn) {
                ovsdb_idl_txn_wait(r->txn);
            }
        }
        poll_fd_wait(o->wake_fd, POLLIN);
        if (wake_ms != INT64_MAX) {
            int64_t left_ms = wake_ms - clock_mono_ms();
            poll_timer_wait(left_ms > 0 ? left_ms : 0);
        }
        if (stopping) {
            poll_immediate_wake();
        }
        poll_block();
    }
    for (size_t i = 0; i < o->n_remotes; i++) {
        remote_close(&o->remotes[i]);
    }
    ovs_strings_clear();
    return NULL;
}

/* Start and stop. */

/* The advisory lock's name must be an OVSDB <id>, [A-Za-z_][A-Za-z0-9_]*: of
 * any other the server complains, and the IDL does not tell. */
static char *
lock_name(const char *owner)
{
    char *name = xasprintf("venturi_%s", owner);
    for (char *p = name; *p; p++) {
        if (!isalnum((unsigned char) *p) || (unsigned char) *p > 127) {
            *p = '_';
        }
    }
    return name;
}

/* What can't be read may have said that a bridge is to be left alone: so all
 * are, as with "mode": "plan", until somebody says otherwise. */
static void
recall_orders(struct ovsdb *o)
{
    int error = o->orders_path ? orders_load(&o->orders, o->orders_path) : 0;
    if (error) {
        o->apply = false;
        LOG(ovsdb, ERR, "%s: %s; bridges may have been removed by hand, so "
            "nothing is written before export.apply", o->orders_path,
            error == -EBADMSG ? "damaged" : ovs_strerror(-error));
    } else if (o->orders.n) {
        LOG(ovsdb, INFO, "export that was removed before the restart stays "
            "removed until export.apply (%zu)", o->orders.n);
    }
}

static void
ovsdb_free(struct ovsdb *o)
{
    for (size_t i = 0; i < o->n_remotes; i++) {
        struct remote *r = &o->remotes[i];
        export_plan_destroy(r->plan);
        if (r->snap) {
            ovsdb_snapshot_unref(r->snap);
        }
        free(r->name);
    }
    free(o->remotes);
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        free(o->local[t]);
    }
    export_policies_destroy(o->policies);
    orders_clear(&o->orders);
    free(o->orders_path);
    if (o->wake_fd >= 0) {
        close(o->wake_fd);
    }
    pthread_mutex_destroy(&o->mutex);
    free(o->owner);
    free(o->lock);
    free(o);
}

struct ovsdb *
ovsdb_start(const struct ovsdb_config *config,
            const struct export_policies *policies)
{
    struct ovsdb *o = xzalloc(sizeof *o);
    pthread_mutex_init(&o->mutex, NULL);
    o->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    o->owner = xstrdup(config->owner);
    o->lock = lock_name(config->owner);
    o->changed = config->changed;
    o->reach = config->reach;
    o->aux = config->aux;
    o->apply = config->apply;
    o->orders_path = nullable_xstrdup(config->orders_path);
    o->policies = export_policies_clone(policies);
    o->remotes = xcalloc(config->n_remotes + 1, sizeof *o->remotes);
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        o->local[t] = nullable_xstrdup(config->local[t]);
    }
    for (size_t i = 0; i < config->n_remotes; i++) {
        struct remote *r = &o->remotes[o->n_remotes++];
        r->owner = o;
        r->name = xstrdup(config->remotes[i]);
        r->local = remote_is_local(r->name);
        r->recheck_ms = INT64_MAX;
        shash_init(&r->notes);
    }
    if (o->wake_fd < 0 || !o->policies) {
        ovsdb_free(o);
        return NULL;
    }
    recall_orders(o);
    o->auto_sampling = policies_use_auto(o->policies);
    o->tell_statistics = config->statistics;
    /* Signals are the main thread's.  That thread never sleeps in
     * poll_block(), so as far as OVS's RCU goes it is always quiescent. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    o->thread = ovs_thread_create("ovsdb", thread_main, o);
    ovsrcu_quiesce_start();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return o;
}

void
ovsdb_stop(struct ovsdb *o)
{
    if (o) {
        pthread_mutex_lock(&o->mutex);
        o->stopping = true;
        pthread_mutex_unlock(&o->mutex);
        wake(o);
        pthread_join(o->thread, NULL);
        ovsdb_free(o);
    }
}

/* Wishes. */

void
ovsdb_set_policies(struct ovsdb *o, const struct export_policies *policies)
{
    struct export_policies *copy = export_policies_clone(policies);
    if (!copy) {
        LOG(ovsdb, ERR, "out of memory: the old policies stay");
        return;
    }
    pthread_mutex_lock(&o->mutex);
    export_policies_destroy(o->policies);
    o->policies = copy;
    o->auto_sampling = policies_use_auto(copy);
    o->renew = true;
    pthread_mutex_unlock(&o->mutex);
    wake(o);
}

void
ovsdb_set_local(struct ovsdb *o, const char *const local[N_EXPORT_TABLES])
{
    pthread_mutex_lock(&o->mutex);
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        free(o->local[t]);
        o->local[t] = nullable_xstrdup(local[t]);
    }
    o->renew = true;
    pthread_mutex_unlock(&o->mutex);
    wake(o);
}

/* With the mutex.  Returns 0, or a negative errno: then nothing is done. */
static int
give_order(struct ovsdb *o, bool apply, const char *bridge,
           const char *policy)
{
    int error = orders_give(&o->orders, apply, bridge, policy,
                            o->orders_path);
    if (error) {
        LOG(ovsdb, ERR, "%s: %s: %s was refused, because it would be "
            "forgotten at the next restart", o->orders_path,
            ovs_strerror(-error), apply ? "export.apply" : "export.remove");
    }
    return error;
}

/* Called with the mutex. */
static struct export_plan *
make_plan(struct ovsdb *o, size_t i)
{
    if (i >= o->n_remotes || !o->remotes[i].snap) {
        return NULL;
    }
    const struct export_self self = ovsdb_self(o);
    return export_plan_make(o->remotes[i].snap, o->policies, &self);
}

int
ovsdb_apply(struct ovsdb *o)
{
    return ovsdb_apply_to(o, NULL, NULL, NULL);
}

int
ovsdb_apply_to(struct ovsdb *o, const char *bridge, const char *policy,
               struct export_plan **plans)
{
    pthread_mutex_lock(&o->mutex);
    int error = give_order(o, true, bridge, policy);
    for (size_t i = 0; plans && i < o->n_remotes; i++) {
        plans[i] = error ? NULL : make_plan(o, i);
    }
    if (!error) {
        o->apply |= !bridge && !policy;
        ovsdb_forget_pauses(o);
        o->renew = true;
    }
    pthread_mutex_unlock(&o->mutex);
    wake(o);
    return error;
}

int
ovsdb_remove(struct ovsdb *o, const char *bridge, const char *policy,
             void (*done)(void *aux, int n), void *aux)
{
    pthread_mutex_lock(&o->mutex);
    int error = give_order(o, false, bridge, policy);
    if (!error) {
        struct removal *m = xzalloc(sizeof *m);
        m->bridge = nullable_xstrdup(bridge);
        m->policy = nullable_xstrdup(policy);
        m->done = done;
        m->aux = aux;
        m->deadline_ms = clock_mono_ms() + REMOVE_TIMEOUT_MS;
        m->next = o->removals;
        o->removals = m;
        o->renew = true;
    }
    pthread_mutex_unlock(&o->mutex);
    wake(o);
    return error;
}

struct export_plan *
ovsdb_plan(struct ovsdb *o, size_t i)
{
    pthread_mutex_lock(&o->mutex);
    struct export_plan *plan = make_plan(o, i);
    pthread_mutex_unlock(&o->mutex);
    return plan;
}
