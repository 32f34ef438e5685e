/* ovsdb/ovsdb_p.h -- what the files of the OVSDB thread share.
 *
 * ovsdb.c is the thread and the door to it, ovsdb_notes.c what it remembers,
 * ovsdb_write.c its transactions, ovsdb_sampling.c traffic and rates,
 * ovsdb_status.c what it tells.  Included after "ovsdb/ovs_p.h". */
#ifndef OVSDB_OVSDB_P_H
#define OVSDB_OVSDB_P_H 1

#include <pthread.h>

#include "ovsdb/budget.h"
#include "ovsdb/export_p.h"
#include "ovsdb/orders.h"
#include "ovsdb/ovsdb.h"

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
    void (*reach)(void *aux, bool on);
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

/* ovsdb.c */
bool remote_is_up(const struct remote *);
void remote_open(struct remote *);      /* With the mutex. */
/* ovsdb_idl_run(), with the right to open the socket. */
void remote_run_idl(struct remote *);

/* ovsdb_notes.c */
struct export_self ovsdb_self(const struct ovsdb *);
void ovs_must(int error);
struct note *note_find(struct bridge_notes *, const struct export_change *);
struct bridge_notes *notes_of(struct remote *, const char *bridge_uuid);
struct note *note_of(struct remote *, const struct export_change *);
const struct trouble *trouble_of(const struct note *);
struct trouble *trouble_make(struct note *);
void note_forget_error(struct note *);
void notes_sweep(struct remote *, bool all);
void notes_update(struct remote *);
void ovsdb_forget_pauses(struct ovsdb *);
struct export_plan *remote_plan_need(struct remote *);
void remote_plan_release(struct remote *);

/* ovsdb_write.c */
bool remote_txn_start(struct remote *, int64_t now_ms);
void remote_txn_run(struct remote *, int64_t now_ms);
bool removal_wants(const struct removal *, const struct export_change *);

/* ovsdb_sampling.c */
bool policies_use_auto(const struct export_policies *);
void remote_annotate(struct remote *, struct ovs_snapshot *);
void remote_statistics_run(struct remote *, int64_t now_ms, int64_t *wake_ms);
void remote_traffic_run(struct remote *, int64_t now_ms, int64_t *wake_ms);

#endif /* ovsdb/ovsdb_p.h */
