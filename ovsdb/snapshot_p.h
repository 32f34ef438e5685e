/* ovsdb/snapshot_p.h -- snapshots are shared between threads by counting. */
#ifndef OVSDB_SNAPSHOT_P_H
#define OVSDB_SNAPSHOT_P_H 1

#include "ovsdb/export.h"

/* An empty one with one reference, or NULL; filled in before others see it. */
struct ovs_snapshot *snapshot_create(void);
const struct ovs_snapshot *snapshot_ref(const struct ovs_snapshot *);

#endif /* ovsdb/snapshot_p.h */
