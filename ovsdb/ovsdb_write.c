/* ovsdb/ovsdb_write.c -- one transaction per bridge: what is due, what came of
 * it, and when it is tried again. */
#include "ovsdb/ovs_p.h"

#include "ovsdb/ovsdb_p.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "ovsdb/ovs_rows.h"

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
bool
remote_txn_start(struct remote *r, int64_t now_ms)
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

bool
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
        note_forget_error(note);
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
void
remote_txn_run(struct remote *r, int64_t now_ms)
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
