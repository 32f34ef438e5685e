/* ovsdb/ovsdb.h -- the OVSDB thread: it owns every IDL and every transaction.
 *
 * In: policies.  Out: immutable snapshots and the state of each bridge and
 * protocol.  No header of OVS is visible here. */
#ifndef OVSDB_OVSDB_H
#define OVSDB_OVSDB_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ovsdb/export.h"

struct ovsdb;

/* What Interface.statistics says: packets and octets, in and out, dropped and
 * with errors.  < 0: it does not. */
#define OVSDB_STATISTICS(X)                                             \
    X(rx_bytes) X(tx_bytes) X(rx_packets) X(tx_packets)                 \
    X(rx_dropped) X(tx_dropped) X(rx_errors) X(tx_errors)

struct ovsdb_statistics {
    const char *remote, *bridge, *interface;    /* For the call only. */
    int64_t ifindex;            /* 0: none. */
#define X(NAME) int64_t NAME;
    OVSDB_STATISTICS(X)
#undef X
};

struct ovsdb_config {
    const char *const *remotes; /* "unix:...", "tcp:...", "ssl:..." */
    size_t n_remotes;
    const char *owner;          /* Instance id for venturi-owner. */
    bool apply;                 /* False: plan only, until ovsdb_apply(). */
    const char *local[N_EXPORT_TABLES]; /* See struct export_self. */
    const char *orders_path;    /* Where what was removed is kept over a
                                 * restart; NULL: nowhere. */

    /* Called on the OVSDB thread whenever a snapshot or a state changed.  Must
     * only wake somebody up. */
    void (*changed)(void *aux);
    /* Called on the OVSDB thread every ten seconds with each interface's
     * statistics; NULL: they are not wanted. */
    void (*statistics)(void *aux, const struct ovsdb_statistics *);
    /* Called on the OVSDB thread with true before a unix socket may be opened,
     * with false after that; NULL: what the thread may do is enough. */
    void (*reach)(void *aux, bool on);
    void *aux;
};

/* Must be called before any other thread exists (ovs.md section 2: fatal
 * signals, OVS threads), after the caller's signal handlers are in place. */
void ovsdb_global_init(const char *program, bool verbose);

/* The certificates for "ssl:" remotes: PEM files.  One identity per process.
 * Before ovsdb_start(). */
void ovsdb_set_tls(const char *private_key, const char *certificate,
                   const char *ca_certificate);

/* Starts the thread, or returns NULL.  An absent server is not an error. */
struct ovsdb *ovsdb_start(const struct ovsdb_config *,
                          const struct export_policies *);
/* Stops and joins the thread.  Rows stay as they are.  NULL is fine. */
void ovsdb_stop(struct ovsdb *);

/* Our collector listens elsewhere now (copied; see struct export_self). */
void ovsdb_set_local(struct ovsdb *, const char *const local[N_EXPORT_TABLES]);

/* Replaces the policies (copied). */
void ovsdb_set_policies(struct ovsdb *, const struct export_policies *);

/* From now on differences are written (as with config.apply).  Returns 0, or a
 * negative errno if that can't be kept in 'orders_path': then nothing is done. */
int ovsdb_apply(struct ovsdb *);
/* The same for one bridge, or for the bridges of one policy; NULL: any.
 * 'plans', unless NULL, has a place for each remote and gets what
 * ovsdb_plan() gives there, from before the first write. */
int ovsdb_apply_to(struct ovsdb *, const char *bridge, const char *policy,
                   struct export_plan **plans);

/* Removes what is ours from every bridge (only from 'bridge', only from the
 * bridges of 'policy', if not NULL), and stops writing there until
 * ovsdb_apply(), also after a restart.  'done' is called on the OVSDB thread
 * with the number of rows removed, or a negative errno.  Returns 0, or a
 * negative errno as ovsdb_apply() does, and then 'done' is not called. */
int ovsdb_remove(struct ovsdb *, const char *bridge, const char *policy,
                  void (*done)(void *aux, int n), void *aux);

/* The latest snapshot of remote 'i', with a reference for the caller; NULL
 * before the first.  Any thread. */
const struct ovs_snapshot *ovsdb_snapshot(struct ovsdb *, size_t i);
void ovsdb_snapshot_unref(const struct ovs_snapshot *);
size_t ovsdb_n_remotes(const struct ovsdb *);

/* What would be written now, against remote 'i'.  NULL before a snapshot. */
struct export_plan *ovsdb_plan(struct ovsdb *, size_t i);

/* What the thread knows about one bridge and protocol; data (receiving or
 * silent) is for the caller to add. */
struct ovsdb_status {
    const char *remote;
    char *bridge;
    enum export_table table;
    bool sample;                /* A Flow_Sample_Collector_Set: then table */
    uint32_t sample_id;         /* is IPFIX. */
    char *virtual_obs_id;       /* Of its row, or NULL. */
    enum export_state state;    /* Never RECEIVING or SILENT. */
    bool row_is_right;          /* As a policy asks, taken up or not. */
    char *policy;               /* Or NULL. */
    char *reason;
    char *owner;                /* Of the row in effect, or NULL. */
    int64_t applied_us;         /* Wall clock: cur_cfg caught up; 0: never. */
    int64_t expect_within_us;   /* Silence longer than this is suspicious. */
    char **targets;
    size_t n_targets;
    uint32_t sampling;          /* In effect; 0: not applicable. */
};
/* The caller frees with ovsdb_status_destroy(). */
struct ovsdb_status *ovsdb_status(struct ovsdb *, size_t *n);
void ovsdb_status_destroy(struct ovsdb_status *, size_t n);

#endif /* ovsdb/ovsdb.h */
