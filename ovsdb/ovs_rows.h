/* ovsdb/ovs_rows.h -- between OVS's IDL and plain values: reads a replica into
 * a snapshot, and puts a change into a transaction. */
#ifndef OVSDB_OVS_ROWS_H
#define OVSDB_OVS_ROWS_H 1

#include "ovsdb/export.h"

struct ovsdb_idl;
struct ovsdb_idl_txn;

/* Chooses what to monitor; before the IDL connects. */
void ovs_rows_monitor(struct ovsdb_idl *);

/* The counters of interfaces as well, which do not wake anybody.  On an IDL
 * that is connected it takes effect when it connects again. */
void ovs_rows_monitor_statistics(struct ovsdb_idl *);

/* What has passed a bridge since ever. */
struct ovs_traffic {
    char bridge_uuid[37];
    bool known;
    uint64_t in_packets, out_packets;
};
void ovs_rows_traffic(const struct ovsdb_idl *,
                      void (*each)(const struct ovs_traffic *, void *aux),
                      void *aux);

/* What each interface of a bridge counts; 'remote' is the caller's. */
struct ovsdb_statistics;
void ovs_rows_statistics(const struct ovsdb_idl *,
                         void (*each)(void *aux,
                                      const struct ovsdb_statistics *),
                         const char *remote, void *aux);

/* Fills in what the database says: everything of '*snap' from 'ovs_version'
 * on.  'owner' tells which rows are ours. */
void ovs_rows_read(const struct ovsdb_idl *, const char *owner,
                   struct ovs_snapshot *snap);

/* Adds a change to the open transaction, with what must still be true for it
 * to commit.  'seen' is the row that the change was planned from.  Returns 0,
 * or -ESTALE if the replica has moved on (nothing was added). */
int ovs_rows_write(struct ovsdb_idl *, struct ovsdb_idl_txn *,
                   const struct export_change *,
                   const struct export_row *seen, const char *owner);
/* The same for a Flow_Sample_Collector_Set; 'seen' is NULL if there was
 * none. */
int ovs_rows_write_sample(struct ovsdb_idl *, struct ovsdb_idl_txn *,
                          const struct export_change *,
                          const struct export_sample *seen,
                          const char *owner);

/* Makes the transaction bump Open_vSwitch.next_cfg, which tells when
 * ovs-vswitchd has taken it up. */
void ovs_rows_bump(struct ovsdb_idl *, struct ovsdb_idl_txn *);

#endif /* ovsdb/ovs_rows.h */
