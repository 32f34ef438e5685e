/* ovsdb/ovsdb_notes.c -- what the OVSDB thread remembers about each bridge. */
#include "ovsdb/ovs_p.h"

#include "ovsdb/ovsdb_p.h"

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

/* Plans and notes. */

struct export_self
ovsdb_self(const struct ovsdb *o)
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
void
ovs_must(int error)
{
    if (error) {
        out_of_memory();
    }
}

/* What is noted about a change, or NULL. */
struct note *
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

struct bridge_notes *
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
struct note *
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
const struct trouble *
trouble_of(const struct note *note)
{
    static const struct trouble none;
    return note->trouble ? note->trouble : &none;
}

struct trouble *
trouble_make(struct note *note)
{
    if (!note->trouble) {
        note->trouble = xzalloc(sizeof *note->trouble);
    }
    return note->trouble;
}

void
note_forget_error(struct note *note)
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
void
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
struct export_plan *
remote_plan_need(struct remote *r)
{
    if (!r->plan) {
        const struct export_self self = ovsdb_self(r->owner);
        r->plan = export_plan_make(r->snap, r->owner->policies, &self);
        if (!r->plan) {
            out_of_memory();
        }
    }
    return r->plan;
}

/* A plan that says of many bridges that nothing is to be done is not worth its
 * memory.  With the mutex. */
void
remote_plan_release(struct remote *r)
{
    if (r->plan && !r->plan->n_pending && !r->txn) {
        export_plan_destroy(r->plan);
        r->plan = NULL;
    }
}

/* With the new plan at hand: what has vswitchd taken up since? */
void
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
            note_forget_error(note);
        }
    }
    notes_sweep(r, false);
}

/* Being asked is a reason to try at once. */
static void
forget_pause(struct note *note)
{
    if (note->trouble) {
        note->trouble->retry_at_ms = note->trouble->paused_until_ms = 0;
    }
}

void
ovsdb_forget_pauses(struct ovsdb *o)
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
