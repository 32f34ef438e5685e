/* ovsdb/ovsdb_status.c -- the state of each bridge and protocol, in words. */
#include "ovsdb/ovs_p.h"

#include "ovsdb/ovsdb_p.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

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
    ovs_must(strings_copy(&st->targets, &st->n_targets, row->targets,
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
        room += o->remotes[i].snap ? remote_plan_need(&o->remotes[i])->n_changes
                                   : 0;
    }
    struct ovsdb_status *list = xcalloc(room, sizeof *list);
    for (size_t i = 0; i < o->n_remotes; i++) {
        struct remote *r = &o->remotes[i];
        for (size_t j = 0; r->plan && j < r->plan->n_changes; j++) {
            fill_status(r, j, &list[(*n)++]);
        }
        remote_plan_release(r);
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
