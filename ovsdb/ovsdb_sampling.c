/* ovsdb/ovsdb_sampling.c -- how much traffic there is, and what follows for
 * "sampling": "auto". */
#include "ovsdb/ovs_p.h"

#include "ovsdb/ovsdb_p.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "ovsdb/ovs_rows.h"

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
    remote_plan_need(r);
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
    remote_plan_release(r);
    free(items);
    free(of);
}

/* Hands on what interfaces count.  Called without the mutex. */
void
remote_statistics_run(struct remote *r, int64_t now_ms, int64_t *wake_ms)
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

void
remote_traffic_run(struct remote *r, int64_t now_ms, int64_t *wake_ms)
{
    struct ovsdb *o = r->owner;
    pthread_mutex_lock(&o->mutex);
    if (o->auto_sampling && !r->statistics && !r->txn) {
        /* What an IDL monitors can't be changed: take another. */
        ovsdb_idl_destroy(r->idl);
        remote_open(r);
        r->reopened_ms = now_ms;
        remote_run_idl(r);
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

/* Whether Interface.statistics is of any use. */
bool
policies_use_auto(const struct export_policies *policies)
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

/* Adds to a snapshot what we have worked out about its bridges. */
void
remote_annotate(struct remote *r, struct ovs_snapshot *snap)
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
