/* ovsdb/export_sample.c -- Flow_Sample_Collector_Set in plans.
 *
 * It is a root table with a strong reference to Bridge: as long as a row
 * refers to a bridge that is not in Open_vSwitch.bridges any more, that Bridge
 * row lives on where nobody sees it, and a new bridge of the same name can't
 * be added.  Rows of ours go as soon as their bridge has gone. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "ovsdb/export_plan_p.h"

static const struct export_row no_row;

static const struct export_sample *
find_sample(const struct ovs_bridge *b, uint32_t id)
{
    for (size_t i = 0; i < b->n_samples; i++) {
        if (b->samples[i].id == id) {
            return &b->samples[i];
        }
    }
    return NULL;
}

static const struct export_sample_wish *
find_wish(const struct export_policy *p, uint32_t id)
{
    for (size_t i = 0; p && i < p->n_samples; i++) {
        if (p->samples[i].id == id) {
            return &p->samples[i];
        }
    }
    return NULL;
}

static bool
sample_is_ours(const struct planner *pl, const struct export_sample *sample)
{
    return plan_owner_is_us(pl, sample->owner);
}

/* The number of the local group as text (heap), or NULL. */
static char *
group_text(struct planner *pl, const struct export_value *v)
{
    return v->set ? format_text(pl, "%lld", (long long) v->number) : NULL;
}

static void
diff_sample(struct subject *s, const struct export_sample *now)
{
    static const struct export_value none;
    plan_add_diff(s, "local_group_id",
                  group_text(s->pl, now ? &now->group : &none),
                  group_text(s->pl, &s->out->group));
    /* Its IPFIX row tells the owner, too. */
    if (now && !now->ipfix.present && s->out->action != ACTION_REMOVE) {
        plan_add_diff(s, VENTURI_OWNER, strdup(now->owner),
                      strdup(s->pl->self->owner));
    }
    plan_diff_rows(s, s->row, s->out->desired);
}

static void
plan_sample_removal(struct subject *s, const struct export_sample *now)
{
    plan_decide(s, ACTION_REMOVE, STATE_PENDING);
    diff_sample(s, now);
}

/* The group, if the server has the column.  False if nothing would be left. */
static bool
take_group(struct subject *s, const struct export_sample_wish *wish)
{
    if (!wish->group.set) {
        return true;
    }
    if (s->pl->snap->lacks_group) {
        WARN(s, "this Open vSwitch (%s) has no column "
             "Flow_Sample_Collector_Set.local_group_id: it is left out",
             s->pl->snap->ovs_version ? s->pl->snap->ovs_version : "");
        if (!wish->ipfix.wanted) {
            plan_decide(s, ACTION_SKIP, STATE_ERROR);
            REASON(s, "policy %s asks only for local_group_id, which this "
                   "Open vSwitch does not have", s->policy->name);
        }
        return wish->ipfix.wanted;
    }
    s->out->group = wish->group;
    return true;
}

static void
plan_wanted_sample(struct subject *s, const struct export_sample_wish *wish,
                   const struct export_sample *now)
{
    if (now && !s->ours) {
        plan_decide(s, ACTION_SKIP, STATE_CONFLICT);
        REASON(s, "left alone: the set with id %u on this bridge belongs to "
               "%s; choose another id%s%s", wish->id,
               now->owner ? now->owner : "somebody else",
               now->owner ? "; or, if that venturid is gone for good: "
               "venturictl export adopt " : "", now->owner ? now->owner : "");
        return;
    }
    if (!take_group(s, wish)) {
        return;
    }
    if (wish->ipfix.wanted) {
        if (!plan_wish_is_good(s)) {
            return;
        }
        plan_build_row(s);
    }
    diff_sample(s, now);
    if (now && !s->out->n_diffs) {
        plan_decide(s, ACTION_NONE, STATE_IN_SYNC);
        REASON(s, "as policy %s wants it", s->policy->name);
    } else {
        plan_decide(s, now ? ACTION_UPDATE : ACTION_CREATE, STATE_PENDING);
        REASON(s, now ? "it goes back to what policy %s says"
                      : "policy %s asks for it", s->policy->name);
        if (s->pl->snap->hw_offload) {
            WARN(s, "hardware offload is on in this Open vSwitch: flows with "
                 "a sample action are not offloaded");
        }
    }
}

static void
plan_sample(struct planner *pl, struct export_plan *plan, size_t bridge,
            uint32_t id)
{
    const struct ovs_bridge *b = &pl->snap->bridges[bridge];
    const struct export_policy *p = pl->policy[bridge];
    const struct export_sample *now = find_sample(b, id);
    const struct export_sample_wish *wish = find_wish(p, id);
    struct export_change *out = plan_add_change(pl, plan, bridge);
    if (!out) {
        return;
    }
    struct subject s = {
        .pl = pl, .index = bridge, .bridge = b, .policy = p,
        .table = EXPORT_IPFIX, .wish = wish ? &wish->ipfix : NULL,
        .row = now ? &now->ipfix : &no_row, .out = out,
        .ours = now && sample_is_ours(pl, now),
    };
    out->table = EXPORT_IPFIX;
    out->sample = true;
    out->sample_id = id;
    out->policy = plan_policy_name(pl, plan, p);
    if (now) {
        out->sample_uuid = plan_text(pl, plan, now->uuid);
    }
    if (wish) {
        plan_wanted_sample(&s, wish, now);
    } else {
        char *why = plan_unwanted_reason(&s, "this flow-sample");
        plan_sample_removal(&s, now);
        REASON(&s, "%s", why ? why : "");
        free(why);
    }
    strings_clear(&s.targets, &s.n_targets);
    plan_end_change(pl, plan, out);
}

void
plan_samples(struct planner *pl, struct export_plan *plan, size_t bridge)
{
    const struct ovs_bridge *b = &pl->snap->bridges[bridge];
    const struct export_policy *p = pl->policy[bridge];
    for (size_t i = 0; p && i < p->n_samples && !pl->oom; i++) {
        plan_sample(pl, plan, bridge, p->samples[i].id);
    }
    for (size_t i = 0; i < b->n_samples && !pl->oom; i++) {
        if (sample_is_ours(pl, &b->samples[i])
            && !find_wish(p, b->samples[i].id)) {
            plan_sample(pl, plan, bridge, b->samples[i].id);
        }
    }
}

static void
warn_orphan(struct planner *pl, struct export_plan *plan,
            const struct export_sample *orphan)
{
    char *text = format_text(
        pl, "bridge %s is not one of the switch's any more, but the "
        "Flow_Sample_Collector_Set %u of %s keeps its row: a bridge of that "
        "name can't be added", orphan->bridge, orphan->id,
        orphan->owner ? orphan->owner : "somebody else");
    if (!text || strings_add(&plan->warnings, &plan->n_warnings, text)) {
        pl->oom = true;
    }
    free(text);
}

void
plan_orphans(struct planner *pl, struct export_plan *plan)
{
    for (size_t i = 0; i < pl->snap->n_orphans && !pl->oom; i++) {
        const struct export_sample *orphan = &pl->snap->orphans[i];
        if (!sample_is_ours(pl, orphan)) {
            warn_orphan(pl, plan, orphan);
            continue;
        }
        struct export_change *out = plan_add_change(pl, plan,
                                                    pl->snap->n_bridges);
        if (!out) {
            return;
        }
        struct subject s = {
            .pl = pl, .index = pl->snap->n_bridges, .table = EXPORT_IPFIX,
            .row = &orphan->ipfix, .out = out, .ours = true,
        };
        out->table = EXPORT_IPFIX;
        out->sample = true;
        out->sample_id = orphan->id;
        out->bridge = plan->names[pl->snap->n_bridges + i];
        out->sample_uuid = plan_text(pl, plan, orphan->uuid);
        out->bridge_uuid = plan_text(pl, plan, orphan->bridge_uuid);
        plan_sample_removal(&s, orphan);
        REASON(&s, "the switch does not have this bridge any more, and the "
               "row would keep it from being added again");
        plan_end_change(pl, plan, out);
    }
}
