/* ovsdb/snapshot.c -- see snapshot_p.h.  Without any header of OVS, whose
 * atomics and C's do not go together. */
#include <config.h>

#include "ovsdb/snapshot_p.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "ovsdb/region.h"
#include "ovsdb/ovsdb.h"

struct shared_snapshot {
    struct ovs_snapshot s;      /* First: the two have the same address. */
    atomic_uint refs;
};

struct ovs_snapshot *
snapshot_create(void)
{
    struct shared_snapshot *shared = calloc(1, sizeof *shared);
    if (!shared) {
        return NULL;
    }
    shared->s.region = region_create();
    if (!shared->s.region) {
        free(shared);
        return NULL;
    }
    atomic_init(&shared->refs, 1);
    return &shared->s;
}

static struct shared_snapshot *
shared_of(const struct ovs_snapshot *snap)
{
    /* Snapshots are constant for everybody; the count is ours. */
    return (struct shared_snapshot *) (uintptr_t) snap;
}

const struct ovs_snapshot *
snapshot_ref(const struct ovs_snapshot *snap)
{
    if (snap) {
        atomic_fetch_add_explicit(&shared_of(snap)->refs, 1,
                                  memory_order_relaxed);
    }
    return snap;
}

void
ovsdb_snapshot_unref(const struct ovs_snapshot *snap)
{
    struct shared_snapshot *shared = shared_of(snap);
    if (!shared || atomic_fetch_sub(&shared->refs, 1) != 1) {
        return;
    }
    struct ovs_snapshot *s = &shared->s;
    region_destroy(s->region);
    free(s->remote);
    free(s->reason);
    free(s->ovs_version);
    free(s->db_version);
    free(s->system_id);
    free(s->hostname);
    free(shared);
}
