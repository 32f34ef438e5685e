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

#include "ovsdb/ovsdb.h"

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
#include "lib/log.h"
#include "ovsdb/budget.h"
#include "ovsdb/export_p.h"
#include "ovsdb/orders.h"
#include "ovsdb/ovs_rows.h"
#include "ovsdb/ovs_schema.h"
#include "ovsdb/snapshot_p.h"

/* Somebody else changes a row of ours as often as this within a minute: we
 * stop repairing it, first for a minute, then for twice as long each time. */
#define FIGHT_REPAIRS 6
#define FIGHT_WINDOW_MS 60000
#define FIGHT_PAUSE_MIN_MS 60000
#define FIGHT_PAUSE_MAX_MS (16 * 60000)

/* After a transaction that the server refused. */
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

#define REMOVE_TIMEOUT_MS 10000
/* How often traffic is measured while a policy leaves sampling to us.
 * ovs-vswitchd counts every 5 s. */
#define TRAFFIC_MS 10000
/* Reading a big database leaves holes in the heap.  They go back to the system
 * a moment after things have calmed down, but seldom. */
#define TRIM_BRIDGES 50
#define TRIM_AFTER_MS 1000
#define TRIM_REST_MS 10000
/* How long a commit waits for the update that it causes before planning
 * again. */
#define SETTLE_MS 1000

/* What goes wrong with one bridge and protocol: most have nothing of this. */
struct trouble {
    int64_t repair_ms[FIGHT_REPAIRS];   /* Ring: when we wrote it again. */
    unsigned n_repairs;
    int64_t pause_ms;           /* Of the last pause. */
    int64_t paused_until_ms;    /* Somebody fights with us. */
    char *rival;                /* What was last undone of somebody else's;
                                 * or NULL. */
    char *error;                /* The server refused; or NULL. */
    int64_t retry_delay_ms, retry_at_ms;
};

/* What is remembered about one bridge and protocol.  Guarded by 'mutex'. */
struct note {
    int64_t wait_cfg;           /* next_cfg of our last write; 0: none. */
    int64_t applied_us;         /* Wall clock: vswitchd had taken it up. */
    struct trouble *trouble;    /* NULL: never any. */
    char hash[EXPORT_HASH_STRLEN];      /* Of what we wrote last. */
};

/* The same about a Flow_Sample_Collector_Set. */
struct sample_note {
    struct sample_note *next;
    uint32_t id;
    struct note note;
};

/* Traffic, while a policy leaves sampling to us. */
struct traffic {
    int64_t measured_ms;
    uint64_t in_packets, out_packets;
    bool rate_known;
    double in_pps, out_pps;
    double told_pps;            /* What the snapshot says. */
    struct budget_item budget;  /* sampling 0: nothing decided. */
};

struct bridge_notes {
    struct note table[N_EXPORT_TABLES];
    struct sample_note *samples;
    struct traffic *traffic;    /* NULL: not measured yet. */
    uint64_t generation;        /* Of the last snapshot with this bridge. */
};

struct remote {
    struct ovsdb *owner;
    char *name;
    bool local;
    struct ovsdb_idl *idl;
    bool locking;               /* The lock was asked for. */
    bool contended;             /* Somebody else has it; guarded. */
    unsigned n_not_locked;      /* Transactions refused although we have it. */
    bool lockless;              /* A relay: its locks are not the server's. */
    unsigned seqno;             /* Of the IDL when 'snap' was made. */
    bool dirty;                 /* Plan again, whatever the seqno says. */
    uint64_t generation;
    int64_t since_ms;
    int64_t build_after_us;     /* Snapshots are paced: see paced(). */
    const struct ovs_snapshot *snap;    /* Guarded by 'mutex'. */
    struct export_plan *plan;           /* Made from 'snap'; guarded.  NULL if
                                         * nothing is to be written: made
                                         * again when it is asked for. */
    struct shash notes;         /* Bridge uuid -> struct bridge_notes. */

    /* The transaction under way: changes [txn_from, txn_to) of 'plan'. */
    struct ovsdb_idl_txn *txn;
    size_t txn_from, txn_to;
    bool *txn_has;              /* Of each, from txn_from on. */
    unsigned txn_seqno;
    size_t next;                /* First bridge not yet looked at. */
    int64_t recheck_ms;         /* Look at all again then. */
    bool hold_seqno;            /* Wait until the seqno is not this. */
    unsigned held_seqno;
    int64_t hold_until_ms;

    bool statistics;            /* Interface.statistics is monitored, */
    int64_t statistics_ms;      /* and told again then. */
    int64_t reopened_ms;        /* A new IDL has taken over; 0: long ago. */
    int64_t traffic_ms;         /* Measure again then. */
};

/* export.remove under way. */
struct removal {
    struct removal *next;
    char *bridge, *policy;      /* Or NULL. */
    void (*done)(void *aux, int n);
    void *aux;
    int n;
    int64_t deadline_ms;
};

struct ovsdb {
    pthread_t thread;
    int wake_fd;
    char *owner;
    char *lock;
    char *orders_path;          /* NULL: they are not kept. */
    char *local[N_EXPORT_TABLES];
    void (*changed)(void *aux);
    void *aux;
    struct remote *remotes;
    size_t n_remotes;

    pthread_mutex_t mutex;      /* Guards what follows, and see above. */
    struct export_policies *policies;
    bool auto_sampling;         /* Some policy leaves sampling to us. */
    void (*tell_statistics)(void *aux, const struct ovsdb_statistics *);
    struct orders orders;
    bool apply;
    bool stopping;
    bool renew;                 /* Plan everything again. */
    struct removal *removals;

    int64_t trim_ms, trimmed_ms;        /* Of the thread. */
    bool trim_heap;
};

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

void
ovsdb_set_tls(const char *private_key, const char *certificate,
              const char *ca_certificate)
{
    stream_ssl_set_key_and_cert(private_key, certificate);
    stream_ssl_set_ca_cert_file(ca_certificate, false);
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

/* Why there is no connection, in words (heap). */
static char *
disconnected_reason(const struct remote *r)
{
    struct stat st;
    const char *path = !strncmp(r->name, "unix:/", 6) ? r->name + 5 : NULL;
    if (path && stat(path, &st)) {
        return xasprintf("%s: %s (is ovsdb-server running?)", path,
                         ovs_strerror(errno));
    }
    /* With what this thread may really do. */
    if (path && faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS)) {
        return xasprintf("%s: %s (the user that venturid runs as must be "
                         "allowed to open it)", path, ovs_strerror(errno));
    }
    int error = ovsdb_idl_get_last_error(r->idl);
    if (error == EOF) {
        return xstrdup("the server closed the connection");
    }
    if (error > 0 && ovsdb_idl_is_connected(r->idl)) {
        return xasprintf("the server has no usable Open_vSwitch database "
                         "(%s)", ovs_strerror(error));
    }
    if (error == ENOPROTOOPT && !strncmp(r->name, "ssl:", 4)) {
        return xstrdup("TLS needs a private key, a certificate and the "
                       "certificate of the CA; one is not set or not valid");
    }
    return error > 0 ? xasprintf("%s", ovs_strerror(error))
                     : xstrdup("connecting");
}

static bool
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
    s->since_ms = r->since_ms;
    s->generation = ++r->generation;
    return s;
}

/* Plans and notes. */

static struct export_self
self_of(const struct ovsdb *o)
{
    struct export_self self = {
        .owner = o->owner,
        .orders = o->orders.list,
        .n_orders = o->orders.n,
    };
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        self.local[t] = o->local[t];
    }
    return self;
}

/* Out of memory ends the process here as everywhere in libopenvswitch. */
static void
must(int error)
{
    if (error) {
        out_of_memory();
    }
}

/* What is noted about a change, or NULL. */
static struct note *
note_find(struct bridge_notes *n, const struct export_change *c)
{
    if (!c->sample) {
        return &n->table[c->table];
    }
    for (struct sample_note *s = n->samples; s; s = s->next) {
        if (s->id == c->sample_id) {
            return &s->note;
        }
    }
    return NULL;
}

static struct bridge_notes *
notes_of(struct remote *r, const char *bridge_uuid)
{
    struct bridge_notes *n = shash_find_data(&r->notes, bridge_uuid);
    if (!n) {
        n = xzalloc(sizeof *n);
        shash_add(&r->notes, bridge_uuid, n);
    }
    n->generation = r->generation;
    return n;
}

/* For the OVSDB thread only: remembers that the bridge is there. */
static struct note *
note_of(struct remote *r, const struct export_change *c)
{
    struct bridge_notes *n = notes_of(r, c->bridge_uuid);
    struct note *note = note_find(n, c);
    if (!note) {
        struct sample_note *s = xzalloc(sizeof *s);
        s->id = c->sample_id;
        s->next = n->samples;
        n->samples = s;
        note = &s->note;
    }
    return note;
}

/* For reading. */
static const struct trouble *
trouble_of(const struct note *note)
{
    static const struct trouble none;
    return note->trouble ? note->trouble : &none;
}

static struct trouble *
trouble_make(struct note *note)
{
    if (!note->trouble) {
        note->trouble = xzalloc(sizeof *note->trouble);
    }
    return note->trouble;
}

static void
forget_error(struct note *note)
{
    if (note->trouble) {
        free(note->trouble->error);
        note->trouble->error = NULL;
        note->trouble->retry_delay_ms = note->trouble->retry_at_ms = 0;
    }
}

static void
note_clear(struct note *note)
{
    if (note->trouble) {
        free(note->trouble->error);
        free(note->trouble->rival);
        free(note->trouble);
    }
}

static void
notes_free(struct bridge_notes *n)
{
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        note_clear(&n->table[t]);
    }
    while (n->samples) {
        struct sample_note *s = n->samples;
        n->samples = s->next;
        note_clear(&s->note);
        free(s);
    }
    free(n->traffic);
    free(n);
}

/* Forgets bridges that are gone; 'all' of them, or those that the current
 * snapshot does not have. */
static void
notes_sweep(struct remote *r, bool all)
{
    struct shash_node *node, *next;
    SHASH_FOR_EACH_SAFE (node, next, &r->notes) {
        struct bridge_notes *n = node->data;
        if (all || n->generation != r->generation) {
            shash_delete(&r->notes, node);
            notes_free(n);
        }
    }
}

/* The plan, made again if it is not there.  With the mutex. */
static struct export_plan *
plan_need(struct remote *r)
{
    if (!r->plan) {
        const struct export_self self = self_of(r->owner);
        r->plan = export_plan_make(r->snap, r->owner->policies, &self);
        if (!r->plan) {
            out_of_memory();
        }
    }
    return r->plan;
}

/* A plan that says of many bridges that nothing is to be done is not worth its
 * memory.  With the mutex. */
static void
plan_release(struct remote *r)
{
    if (r->plan && !r->plan->n_pending && !r->txn) {
        export_plan_destroy(r->plan);
        r->plan = NULL;
    }
}

/* With the new plan at hand: what has vswitchd taken up since? */
static void
notes_update(struct remote *r)
{
    const struct ovs_snapshot *snap = r->snap;
    for (size_t i = 0; i < r->plan->n_changes; i++) {
        const struct export_change *c = &r->plan->changes[i];
        struct bridge_notes *notes = notes_of(r, c->bridge_uuid);
        struct note *note = note_find(notes, c);
        if (c->state == STATE_IN_SYNC) {
            note = note_of(r, c);
        }
        if (!note) {
            continue;
        }
        if (c->state != STATE_IN_SYNC) {
            note->applied_us = 0;
        } else if (!note->applied_us && snap->cur_cfg >= (note->wait_cfg
                                                          ? note->wait_cfg
                                                          : snap->next_cfg)) {
            note->applied_us = clock_wall_us();
        }
        if (c->state != STATE_PENDING && trouble_of(note)->error) {
            forget_error(note);
        }
    }
    notes_sweep(r, false);
}

static void
tell(struct ovsdb *o)
{
    if (o->changed) {
        o->changed(o->aux);
    }
}

/* Adds to a snapshot what we have worked out about its bridges. */
static void
annotate(struct remote *r, struct ovs_snapshot *snap)
{
    for (size_t i = 0; i < snap->n_bridges; i++) {
        struct ovs_bridge *b = &snap->bridges[i];
        struct bridge_notes *n = shash_find_data(&r->notes, b->uuid);
        struct traffic *t = n ? n->traffic : NULL;
        if (t && t->rate_known) {
            b->in_pps = t->in_pps;
            b->out_pps = t->out_pps;
            t->told_pps = t->in_pps + t->out_pps;
        }
        if (t && r->owner->auto_sampling) {
            b->auto_sampling = t->budget.sampling;
        }
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
    annotate(r, snap);
    /* First: the two need not be there at the same time. */
    export_plan_destroy(r->plan);
    r->plan = NULL;
    r->snap = snap;
    plan_need(r);
    notes_update(r);
    plan_release(r);
    pthread_mutex_unlock(&o->mutex);

    if (connected && !was) {
        LOG(ovsdb, NOTICE, "%s: connected: Open vSwitch %s, %zu bridge%s",
            r->name, *snap->ovs_version ? snap->ovs_version : "(version "
            "unknown)", snap->n_bridges, snap->n_bridges == 1 ? "" : "s");
    } else if (!connected && (!old || was
                              || !text_equal(old->reason, snap->reason))) {
        LOG(ovsdb, INFO, "%s: not connected: %s", r->name, snap->reason);
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

/* Writing. */

/* True if this change may be written now.  If only later, that is when the
 * plan will be looked at again. */
static bool
change_is_due(struct remote *r, const struct export_change *c,
              int64_t now_ms)
{
    if (c->state != STATE_PENDING
        || !(r->owner->apply || c->ordered)) {
        return false;
    }
    const struct trouble *trouble = trouble_of(note_of(r, c));
    int64_t until = MAX(trouble->paused_until_ms, trouble->retry_at_ms);
    if (until > now_ms) {
        r->recheck_ms = MIN(r->recheck_ms, until);
        return false;
    }
    return true;
}

/* What somebody did to our row, in words (heap). */
static char *
rival_text(const struct export_change *c)
{
    const struct export_diff *d = c->n_diffs ? &c->diffs[0] : NULL;
    if (c->action == ACTION_CREATE) {
        return xstrdup("took our row away");
    }
    return d ? xasprintf("set %s to %s", d->column,
                         d->old_value ? d->old_value : "nothing") : NULL;
}

/* Counts a write that only restores what we had written before.  False if
 * there were too many: then it is not done. */
static bool
repair_allowed(struct remote *r, const struct export_change *c,
               struct note *note, int64_t now_ms)
{
    if ((c->action != ACTION_CREATE && c->action != ACTION_UPDATE)
        || !c->desired->hash || strcmp(c->desired->hash, note->hash)) {
        if (note->trouble) {
            note->trouble->n_repairs = 0;
            note->trouble->pause_ms = 0;
        }
        return true;
    }
    struct trouble *t = trouble_make(note);
    if (t->pause_ms && now_ms - t->paused_until_ms > FIGHT_PAUSE_MAX_MS) {
        t->pause_ms = 0;        /* That fight is over. */
    }
    unsigned n = t->n_repairs;
    if (n >= FIGHT_REPAIRS
        && now_ms - t->repair_ms[n % FIGHT_REPAIRS] < FIGHT_WINDOW_MS) {
        t->pause_ms = t->pause_ms
                      ? MIN(2 * t->pause_ms, FIGHT_PAUSE_MAX_MS)
                      : FIGHT_PAUSE_MIN_MS;
        t->paused_until_ms = now_ms + t->pause_ms;
        t->n_repairs = 0;
        free(t->rival);
        t->rival = rival_text(c);
        LOG(ovsdb, WARN, "%s: bridge %s: somebody changed our %s row %d "
            "times within a minute (last they %s); we leave it alone for "
            "%"PRId64" s", r->name, c->bridge, export_table_title(c->table),
            FIGHT_REPAIRS, t->rival ? t->rival : "changed it",
            t->pause_ms / 1000);
        return false;
    }
    t->repair_ms[n % FIGHT_REPAIRS] = now_ms;
    t->n_repairs++;
    return true;
}

/* What the change was planned from. */
static int
write_change(struct remote *r, const struct export_change *c)
{
    const struct ovs_snapshot *snap = r->snap;
    const char *owner = r->owner->owner;
    bool orphan = c->bridge_index == snap->n_bridges;
    const struct ovs_bridge *b = orphan ? NULL
                                        : &snap->bridges[c->bridge_index];
    if (!c->sample) {
        return ovs_rows_write(r->idl, r->txn, c, &b->row[c->table], owner);
    }
    const struct export_sample *list = orphan ? snap->orphans : b->samples;
    const struct export_sample *seen = NULL;
    size_t n = orphan ? snap->n_orphans : b->n_samples;
    for (size_t i = 0; i < n && *c->sample_uuid && !seen; i++) {
        seen = !strcmp(list[i].uuid, c->sample_uuid) ? &list[i] : NULL;
    }
    return ovs_rows_write_sample(r->idl, r->txn, c, seen, owner);
}

/* What a change is about, in words (heap). */
static char *
change_text(const struct export_change *c)
{
    return c->sample ? xasprintf("%s flow-sample %u",
                                 export_action_name(c->action), c->sample_id)
                     : xasprintf("%s %s", export_action_name(c->action),
                                 export_table_title(c->table));
}

/* Adds what is due for one bridge to the open transaction.  Returns how many
 * rows, or -ESTALE. */
static int
fill_txn(struct remote *r, int64_t now_ms)
{
    int n = 0;
    free(r->txn_has);
    r->txn_has = xcalloc(r->txn_to - r->txn_from + 1, sizeof *r->txn_has);
    for (size_t i = r->txn_from; i < r->txn_to; i++) {
        const struct export_change *c = &r->plan->changes[i];
        struct note *note = note_of(r, c);
        if (!change_is_due(r, c, now_ms)) {
            continue;
        }
        if (!repair_allowed(r, c, note, now_ms)) {
            r->recheck_ms = MIN(r->recheck_ms,
                                trouble_of(note)->paused_until_ms);
            continue;
        }
        if (write_change(r, c)) {
            return -ESTALE;
        }
        char *what = change_text(c);
        ovsdb_idl_txn_add_comment(r->txn, "venturid %s: %s on bridge %s%s%s",
                                  r->owner->owner, what, c->bridge,
                                  c->policy ? ", policy " : "",
                                  c->policy ? c->policy : "");
        free(what);
        r->txn_has[i - r->txn_from] = true;
        n++;
    }
    return n;
}

static void
hold(struct remote *r, unsigned seqno, int64_t now_ms)
{
    r->hold_seqno = true;
    r->held_seqno = seqno;
    r->hold_until_ms = now_ms + SETTLE_MS;
}

/* Starts the transaction of the next bridge that needs one.  Called with the
 * mutex.  False if there is none. */
static bool
start_txn(struct remote *r, int64_t now_ms)
{
    while (r->next <= r->plan->n_bridges) {
        r->txn_from = r->plan->first[r->next];
        r->txn_to = r->plan->first[++r->next];
        bool due = false;
        for (size_t i = r->txn_from; i < r->txn_to; i++) {
            due |= change_is_due(r, &r->plan->changes[i], now_ms);
        }
        if (!due) {
            continue;
        }
        r->txn = ovsdb_idl_txn_create(r->idl);
        r->txn_seqno = ovsdb_idl_get_seqno(r->idl);
        int n = fill_txn(r, now_ms);
        if (n > 0) {
            ovs_rows_bump(r->idl, r->txn);
            return true;
        }
        ovsdb_idl_txn_abort(r->txn);
        ovsdb_idl_txn_destroy(r->txn);
        r->txn = NULL;
        /* Stale: the plan is from before a change that we already have. */
        r->dirty |= n < 0;
    }
    return false;
}

static bool
removal_wants(const struct removal *m, const struct export_change *c)
{
    return c->ordered && (!m->bridge || !strcmp(m->bridge, c->bridge));
}

static void
txn_succeeded(struct remote *r)
{
    int64_t cfg = ovsdb_idl_txn_get_increment_new_value(r->txn);
    for (size_t i = r->txn_from; i < r->txn_to; i++) {
        const struct export_change *c = &r->plan->changes[i];
        struct note *note = note_of(r, c);
        if (!r->txn_has[i - r->txn_from]) {
            continue;
        }
        note->wait_cfg = cfg;
        note->applied_us = 0;
        forget_error(note);
        ovs_strlcpy(note->hash, c->desired->hash ? c->desired->hash : "",
                    sizeof note->hash);
        char *what = change_text(c);
        LOG(ovsdb, INFO, "%s: bridge %s: %s (%s)", r->name, c->bridge, what,
            c->reason);
        free(what);
        for (struct removal *m = r->owner->removals; m; m = m->next) {
            if ((c->action == ACTION_REMOVE || c->action == ACTION_DETACH)
                && removal_wants(m, c)) {
                m->n++;
            }
        }
    }
}

static void
txn_failed(struct remote *r, const char *error, int64_t now_ms)
{
    for (size_t i = r->txn_from; i < r->txn_to; i++) {
        const struct export_change *c = &r->plan->changes[i];
        struct note *note = note_of(r, c);
        if (!r->txn_has[i - r->txn_from]) {
            continue;
        }
        struct trouble *t = trouble_make(note);
        free(t->error);
        t->error = xstrdup(error);
        t->retry_delay_ms = t->retry_delay_ms
                            ? MIN(2 * t->retry_delay_ms, RETRY_MAX_MS)
                            : RETRY_MIN_MS;
        t->retry_at_ms = now_ms + t->retry_delay_ms;
        char *what = change_text(c);
        LOG(ovsdb, WARN, "%s: bridge %s: %s was refused: %s; next try in "
            "%"PRId64" s", r->name, c->bridge, what, error,
            t->retry_delay_ms / 1000);
        free(what);
    }
}

/* A relay grants locks of its own and passes transactions on to a server that
 * does not know of them: there is no lock to be had. */
static void
give_up_lock(struct remote *r)
{
    if (ovsdb_idl_has_lock(r->idl) && ++r->n_not_locked >= 2) {
        ovsdb_idl_set_lock(r->idl, NULL);
        r->lockless = true;
        LOG(ovsdb, NOTICE, "%s: a relay: there is no lock to keep out a "
            "second venturid with our instance id", r->name);
    }
}

/* Looks after the transaction under way.  Called with the mutex. */
static void
run_txn(struct remote *r, int64_t now_ms)
{
    enum ovsdb_idl_txn_status status = ovsdb_idl_txn_commit(r->txn);
    if (status == TXN_INCOMPLETE) {
        return;
    }
    switch (status) {
    case TXN_SUCCESS:
        txn_succeeded(r);
        hold(r, r->txn_seqno, now_ms);
        break;
    case TXN_UNCHANGED:         /* Never at full speed again and again. */
        txn_failed(r, "there was nothing to write", now_ms);
        break;
    case TXN_ERROR:
        txn_failed(r, ovsdb_idl_txn_get_error(r->txn), now_ms);
        break;
    case TXN_NOT_LOCKED:
        give_up_lock(r);
        hold(r, r->txn_seqno, now_ms);
        r->next = r->plan->n_bridges + 1;
        break;
    case TXN_TRY_AGAIN:         /* Somebody was faster: look again. */
    case TXN_ABORTED:
    case TXN_UNCOMMITTED:
    case TXN_INCOMPLETE:
    default:
        hold(r, r->txn_seqno, now_ms);
        r->next = r->plan->n_bridges + 1;
        break;
    }
    r->dirty = true;
    ovsdb_idl_txn_destroy(r->txn);
    r->txn = NULL;
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
        run_txn(r, now_ms);
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
        started = start_txn(r, now_ms);
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

static void
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

/* Traffic and what follows for sampling. */

struct measuring {
    struct remote *r;
    int64_t now_ms;
};

static struct traffic *
traffic_of(struct bridge_notes *n)
{
    if (!n->traffic) {
        n->traffic = xzalloc(sizeof *n->traffic);
    }
    return n->traffic;
}

static double
smooth(bool known, double old, double now)
{
    return known ? (old + now) / 2 : now;
}

static void
measure(const struct ovs_traffic *t, void *m_)
{
    struct measuring *m = m_;
    struct bridge_notes *notes = shash_find_data(&m->r->notes,
                                                 t->bridge_uuid);
    if (!notes || !t->known) {
        return;
    }
    struct traffic *n = traffic_of(notes);
    double s = (double) (m->now_ms - n->measured_ms) / 1000;
    /* Counters that went back: an interface is gone. */
    if (n->measured_ms && s > 0 && t->in_packets >= n->in_packets
        && t->out_packets >= n->out_packets) {
        n->in_pps = smooth(n->rate_known, n->in_pps, (double) (
                               t->in_packets - n->in_packets) / s);
        n->out_pps = smooth(n->rate_known, n->out_pps, (double) (
                                t->out_packets - n->out_packets) / s);
        n->rate_known = true;
    }
    n->measured_ms = m->now_ms;
    n->in_packets = t->in_packets;
    n->out_packets = t->out_packets;
}

static const struct export_policy *
policy_named(const struct export_policies *policies, const char *name)
{
    for (size_t i = 0; name && i < policies->n; i++) {
        if (!strcmp(policies->list[i].name, name)) {
            return &policies->list[i];
        }
    }
    return NULL;
}

static bool
wish_is_auto(const struct export_wish *wish, enum export_option_id sampling)
{
    return wish->wanted && wish->sampling_auto && !wish->value[sampling].set;
}

static bool
option_is_on(const struct export_wish *wish, enum export_option_id o)
{
    return !wish->value[o].set || wish->value[o].number;
}

/* Samples per second at a rate of 1 of what is ours to decide; < 0: nothing
 * is, or the traffic is not known. */
static double
auto_load(const struct traffic *n, const struct export_policy *p)
{
    const struct export_wish *ix = p ? &p->wish[EXPORT_IPFIX] : NULL;
    double load = 0;
    bool any = false;
    if (p && wish_is_auto(&p->wish[EXPORT_SFLOW], OPT_SF_SAMPLING)) {
        load += n->in_pps;
        any = true;
    }
    if (p && wish_is_auto(ix, OPT_IX_SAMPLING)) {
        load += option_is_on(ix, OPT_IX_INPUT_SAMPLING) * n->in_pps
                + option_is_on(ix, OPT_IX_OUTPUT_SAMPLING) * n->out_pps;
        any = true;
    }
    return any && n->rate_known ? load : -1;
}

/* The rate in effect: what our row has, or what it will have. */
static uint32_t
auto_start(const struct remote *r, size_t bridge)
{
    static const enum export_option_id sampling[N_EXPORT_TABLES] = {
        [EXPORT_SFLOW] = OPT_SF_SAMPLING, [EXPORT_IPFIX] = OPT_IX_SAMPLING,
    };
    for (int t = EXPORT_SFLOW; t <= EXPORT_IPFIX; t++) {
        const struct export_row *row = &r->snap->bridges[bridge].row[t];
        const struct export_change *c
            = &r->plan->changes[r->plan->first[bridge] + t];
        int64_t n = export_row_value(row, sampling[t])->number;
        if (c->state == STATE_IN_SYNC && text_equal(row->owner,
                                                    r->owner->owner)
            && n >= AUTO_SAMPLING_MIN && n <= AUTO_SAMPLING_MAX
            && !(n & (n - 1))) {
            return (uint32_t) n;
        }
    }
    return AUTO_SAMPLING;
}

/* Shares the budget between the bridges of this host.  Called with the
 * mutex. */
static void
share_budget(struct remote *r, int64_t now_ms)
{
    struct ovsdb *o = r->owner;
    const struct ovs_snapshot *snap = r->snap;
    plan_need(r);
    struct budget_item *items = xcalloc(snap->n_bridges + 1, sizeof *items);
    struct traffic **of = xcalloc(snap->n_bridges + 1, sizeof *of);
    size_t n = 0;
    for (size_t i = 0; i < snap->n_bridges; i++) {
        const struct export_change *c = &r->plan->changes[r->plan->first[i]];
        struct traffic *t = notes_of(r, c->bridge_uuid)->traffic;
        if (!t) {
            continue;
        }
        double load = auto_load(t, policy_named(o->policies, c->policy));
        double pps = t->in_pps + t->out_pps;
        r->dirty |= t->rate_known
                    && (snap->bridges[i].in_pps < 0
                        || pps > 1.5 * t->told_pps + 100
                        || t->told_pps > 1.5 * pps + 100);
        if (load < 0) {
            continue;
        }
        if (!t->budget.sampling) {
            t->budget.sampling = auto_start(r, i);
        }
        items[n] = t->budget;
        items[n].load = load;
        of[n++] = t;
    }
    r->dirty |= budget_share(items, n, o->policies->budget, now_ms) > 0;
    for (size_t i = 0; i < n; i++) {
        if (items[i].sampling != of[i]->budget.sampling) {
            LOG(ovsdb, INFO, "%s: sampling \"auto\" is now 1 in %u instead "
                "of %u, for %.0f packets/s", r->name, items[i].sampling,
                of[i]->budget.sampling, items[i].load);
        }
        of[i]->budget = items[i];
    }
    plan_release(r);
    free(items);
    free(of);
}

/* Hands on what interfaces count.  Called without the mutex. */
static void
statistics_run(struct remote *r, int64_t now_ms, int64_t *wake_ms)
{
    struct ovsdb *o = r->owner;
    if (o->tell_statistics && remote_is_up(r)
        && now_ms >= r->statistics_ms) {
        ovs_rows_statistics(r->idl, o->tell_statistics, r->name, o->aux);
        r->statistics_ms = now_ms + TRAFFIC_MS;
    }
    if (o->tell_statistics && r->statistics_ms) {
        *wake_ms = MIN(*wake_ms, r->statistics_ms);
    }
}

static void
traffic_run(struct remote *r, int64_t now_ms, int64_t *wake_ms)
{
    struct ovsdb *o = r->owner;
    pthread_mutex_lock(&o->mutex);
    if (o->auto_sampling && !r->statistics && !r->txn) {
        /* What an IDL monitors can't be changed: take another. */
        ovsdb_idl_destroy(r->idl);
        remote_open(r);
        r->reopened_ms = now_ms;
        ovsdb_idl_run(r->idl);
    }
    if (o->auto_sampling && r->snap && remote_is_up(r)
        && now_ms >= r->traffic_ms) {
        struct measuring m = { r, now_ms };
        ovs_rows_traffic(r->idl, measure, &m);
        share_budget(r, now_ms);
        r->traffic_ms = now_ms + TRAFFIC_MS;
    }
    if (r->reopened_ms) {
        *wake_ms = MIN(*wake_ms, r->reopened_ms + SETTLE_MS);
    }
    if (o->auto_sampling && r->traffic_ms) {
        *wake_ms = MIN(*wake_ms, r->traffic_ms);
    }
    pthread_mutex_unlock(&o->mutex);
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
    ovsdb_idl_run(r->idl);
    watch_lock(r);
    r->dirty |= renew;
    traffic_run(r, clock_mono_ms(), wake_ms);
    statistics_run(r, clock_mono_ms(), wake_ms);
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

/* Before anything is removed, so that a crash in between forgets nothing. */
static void
keep_orders(struct ovsdb *o)
{
    int error = o->orders_path ? orders_save(&o->orders, o->orders_path) : 0;
    if (error) {
        LOG(ovsdb, WARN, "export.remove and export.apply will be forgotten at "
            "the next restart: cannot write %s: %s", o->orders_path,
            ovs_strerror(-error));
    }
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

/* Whether Interface.statistics is of any use. */
static bool
uses_auto_sampling(const struct export_policies *policies)
{
    for (size_t i = 0; i < policies->n && policies->budget; i++) {
        const struct export_policy *p = &policies->list[i];
        if (wish_is_auto(&p->wish[EXPORT_SFLOW], OPT_SF_SAMPLING)
            || wish_is_auto(&p->wish[EXPORT_IPFIX], OPT_IX_SAMPLING)) {
            return true;
        }
    }
    return false;
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
    o->auto_sampling = uses_auto_sampling(o->policies);
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
    o->auto_sampling = uses_auto_sampling(copy);
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

/* Being asked is a reason to try at once. */
static void
forget_pause(struct note *note)
{
    if (note->trouble) {
        note->trouble->retry_at_ms = note->trouble->paused_until_ms = 0;
    }
}

static void
forget_pauses(struct ovsdb *o)
{
    for (size_t i = 0; i < o->n_remotes; i++) {
        struct shash_node *node;
        SHASH_FOR_EACH (node, &o->remotes[i].notes) {
            struct bridge_notes *n = node->data;
            for (int t = 0; t < N_EXPORT_TABLES; t++) {
                forget_pause(&n->table[t]);
            }
            for (struct sample_note *m = n->samples; m; m = m->next) {
                forget_pause(&m->note);
            }
        }
    }
}

void
ovsdb_apply(struct ovsdb *o)
{
    ovsdb_apply_to(o, NULL, NULL);
}

void
ovsdb_apply_to(struct ovsdb *o, const char *bridge, const char *policy)
{
    pthread_mutex_lock(&o->mutex);
    if (bridge || policy) {
        orders_add(&o->orders, true, bridge, policy);
    } else {
        o->apply = true;
        orders_clear(&o->orders);
    }
    keep_orders(o);
    forget_pauses(o);
    o->renew = true;
    pthread_mutex_unlock(&o->mutex);
    wake(o);
}

void
ovsdb_remove(struct ovsdb *o, const char *bridge, const char *policy,
             void (*done)(void *aux, int n), void *aux)
{
    struct removal *m = xzalloc(sizeof *m);
    m->bridge = nullable_xstrdup(bridge);
    m->policy = nullable_xstrdup(policy);
    m->done = done;
    m->aux = aux;
    m->deadline_ms = clock_mono_ms() + REMOVE_TIMEOUT_MS;
    pthread_mutex_lock(&o->mutex);
    orders_add(&o->orders, false, bridge, policy);
    keep_orders(o);
    m->next = o->removals;
    o->removals = m;
    o->renew = true;
    pthread_mutex_unlock(&o->mutex);
    wake(o);
}

struct export_plan *
ovsdb_plan(struct ovsdb *o, size_t i)
{
    struct export_plan *plan = NULL;
    pthread_mutex_lock(&o->mutex);
    if (i < o->n_remotes && o->remotes[i].snap) {
        const struct export_self self = self_of(o);
        plan = export_plan_make(o->remotes[i].snap, o->policies, &self);
    }
    pthread_mutex_unlock(&o->mutex);
    return plan;
}

/* States. */

/* Silence that is longer than this is suspicious.  NetFlow: a record comes
 * when the flow ends or after active_timeout (OVS: 600 s); IPFIX: after the
 * cache's timeout; sFlow: at once, but only from sampled packets. */
static int64_t
expect_within_us(enum export_table table, const struct export_row *row)
{
    const struct export_value *v;
    int64_t s = 30;
    if (table == EXPORT_NETFLOW) {
        v = export_row_value(row, OPT_NF_ACTIVE_TIMEOUT);
        s += v->set && v->number > 0 ? v->number : 600;
    } else if (table == EXPORT_IPFIX) {
        v = export_row_value(row, OPT_IX_CACHE_ACTIVE_TIMEOUT);
        s += v->set ? v->number : 0;
    }
    return s * 1000000;
}

static uint32_t
sampling_of(enum export_table table, const struct export_row *row)
{
    enum export_option_id o = table == EXPORT_SFLOW ? OPT_SF_SAMPLING
                                                    : OPT_IX_SAMPLING;
    if (table == EXPORT_NETFLOW || !row->present) {
        return 0;
    }
    const struct export_value *v = export_row_value(row, o);
    int64_t n = v->set ? v->number : 400;
    return n > 0 && n <= UINT32_MAX ? (uint32_t) n : 0;
}

/* Why a change that should be written is not; NULL if it will be any moment.
 * A heap string. */
static char *
pending_reason(struct remote *r, const struct export_change *c,
               const struct note *note, enum export_state *state)
{
    const struct ovs_snapshot *snap = r->snap;
    const struct trouble *t = trouble_of(note);
    int64_t now_ms = clock_mono_ms();
    if (!snap->connected) {
        return xasprintf("not connected to %s: %s", r->name,
                         snap->reason ? snap->reason : "");
    }
    if (t->paused_until_ms > now_ms) {
        *state = STATE_CONFLICT;
        return xasprintf("somebody else changed our row %d times within a "
                         "minute (last they %s; the log of the database, "
                         "ovsdb-tool -mm show-log, may say who); left alone "
                         "for another %"PRId64" s (export.apply tries at "
                         "once)", FIGHT_REPAIRS,
                         t->rival ? t->rival : "changed it",
                         (t->paused_until_ms - now_ms) / 1000 + 1);
    }
    if (t->error) {
        *state = STATE_ERROR;
        return xasprintf("the server refused: %s; next try in %"PRId64" s",
                         t->error,
                         (MAX(t->retry_at_ms - now_ms, 0) + 999) / 1000);
    }
    if (!r->owner->apply && !c->ordered) {
        return xasprintf("not written before export.apply: %s", c->reason);
    }
    if (r->locking && r->contended) {
        *state = STATE_ERROR;
        return xasprintf("another venturid with the same instance id (%s) "
                         "holds the lock %s in this database",
                         r->owner->owner, r->owner->lock);
    }
    return NULL;
}

/* The row in effect that a change is about, and whose it is. */
static const struct export_row *
row_of_change(const struct ovs_snapshot *snap, const struct export_change *c,
              const char **owner)
{
    static const struct export_row none;
    bool orphan = c->bridge_index == snap->n_bridges;
    const struct ovs_bridge *b = orphan ? NULL
                                        : &snap->bridges[c->bridge_index];
    if (!c->sample) {
        *owner = b->row[c->table].owner;
        return &b->row[c->table];
    }
    const struct export_sample *list = orphan ? snap->orphans : b->samples;
    size_t n = orphan ? snap->n_orphans : b->n_samples;
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(list[i].uuid, c->sample_uuid)) {
            *owner = list[i].owner;
            return &list[i].ipfix;
        }
    }
    *owner = NULL;
    return &none;
}

static void
fill_status(struct remote *r, size_t i, struct ovsdb_status *st)
{
    const struct ovs_snapshot *snap = r->snap;
    const struct export_change *c = &r->plan->changes[i];
    const char *owner;
    const struct export_row *row = row_of_change(snap, c, &owner);
    static const struct note no_note;
    struct bridge_notes *notes = shash_find_data(&r->notes, c->bridge_uuid);
    const struct note *note = notes ? note_find(notes, c) : NULL;
    note = note ? note : &no_note;

    st->remote = r->name;
    st->bridge = xstrdup(c->bridge);
    st->table = c->table;
    st->state = c->state;
    st->row_is_right = c->state == STATE_IN_SYNC;
    st->policy = nullable_xstrdup(c->policy);
    st->owner = nullable_xstrdup(owner);
    st->sample = c->sample;
    st->sample_id = c->sample_id;
    if (c->sample) {
        st->virtual_obs_id = nullable_xstrdup(
            export_row_value(row, OPT_IX_VIRTUAL_OBS_ID)->string);
    }
    st->applied_us = note->applied_us;
    st->expect_within_us = expect_within_us(c->table, row);
    st->sampling = c->sample ? 0 : sampling_of(c->table, row);
    must(strings_copy(&st->targets, &st->n_targets, row->targets,
                               row->n_targets));
    if (c->state == STATE_PENDING) {
        st->reason = pending_reason(r, c, note, &st->state);
    } else if (c->state == STATE_IN_SYNC && !note->applied_us) {
        st->state = STATE_PENDING;
        st->reason = xasprintf("written, but ovs-vswitchd has not taken it "
                               "up yet (cur_cfg %"PRId64" of %"PRId64"); is "
                               "it running?", snap->cur_cfg,
                               note->wait_cfg ? note->wait_cfg
                                              : snap->next_cfg);
    } else if (c->state == STATE_IN_SYNC && !snap->connected) {
        st->reason = xasprintf("%s when last seen; not connected: %s",
                               c->reason, snap->reason);
    }
    if (!st->reason) {
        st->reason = xstrdup(c->reason);
    }
}

struct ovsdb_status *
ovsdb_status(struct ovsdb *o, size_t *n)
{
    size_t room = 1;
    *n = 0;
    pthread_mutex_lock(&o->mutex);
    for (size_t i = 0; i < o->n_remotes; i++) {
        room += o->remotes[i].snap ? plan_need(&o->remotes[i])->n_changes
                                   : 0;
    }
    struct ovsdb_status *list = xcalloc(room, sizeof *list);
    for (size_t i = 0; i < o->n_remotes; i++) {
        struct remote *r = &o->remotes[i];
        for (size_t j = 0; r->plan && j < r->plan->n_changes; j++) {
            fill_status(r, j, &list[(*n)++]);
        }
        plan_release(r);
    }
    pthread_mutex_unlock(&o->mutex);
    return list;
}

void
ovsdb_status_destroy(struct ovsdb_status *list, size_t n)
{
    for (size_t i = 0; list && i < n; i++) {
        free(list[i].bridge);
        free(list[i].policy);
        free(list[i].reason);
        free(list[i].owner);
        free(list[i].virtual_obs_id);
        strings_clear(&list[i].targets, &list[i].n_targets);
    }
    free(list);
}
