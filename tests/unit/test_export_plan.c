/* tests/unit/test_export_plan.c -- the planner with plain values. */
#include <config.h>

#include "ovsdb/export.h"

#include <errno.h>
#include <stdio.h>

#include "ovsdb/export_p.h"
#include "tests/unit/unit.h"

#define OWNER "0b5c5a9c-0000-4000-8000-000000000001"

static const struct export_self self = {
    .owner = OWNER,
    .local = { "127.0.0.1:2055", "127.0.0.1:6343", "127.0.0.1:4739" },
};

static void
set_text(char **p, const char *text)
{
    free(*p);
    *p = text ? strdup(text) : NULL;
}

static struct ovs_snapshot *
snapshot_new(size_t n)
{
    struct ovs_snapshot *s = calloc(1, sizeof *s);
    s->generation = 1;
    s->remote = strdup("unix:/run/db.sock");
    s->local = s->connected = true;
    s->ovs_version = strdup("3.1.0");
    s->db_version = strdup("8.3.1");
    s->system_id = strdup("sys-1");
    s->hostname = strdup("host-1");
    s->bridges = calloc(n, sizeof *s->bridges);
    s->n_bridges = n;
    for (size_t i = 0; i < n; i++) {
        char name[16];
        unsigned number = (unsigned) i % 10000;
        snprintf(name, sizeof name, "br%04u", number);
        s->bridges[i].name = strdup(name);
        s->bridges[i].datapath_type = strdup("netdev");
        s->bridges[i].in_pps = s->bridges[i].out_pps = -1;
        snprintf(s->bridges[i].uuid, sizeof s->bridges[i].uuid,
                 "b0000000-0000-4000-8000-%012x", number);
    }
    return s;
}

static void
snapshot_free(struct ovs_snapshot *s)
{
    for (size_t i = 0; i < s->n_bridges; i++) {
        free(s->bridges[i].name);
        free(s->bridges[i].datapath_type);
        for (int t = 0; t < N_EXPORT_TABLES; t++) {
            export_row_clear(&s->bridges[i].row[t]);
        }
    }
    free(s->bridges);
    free(s->remote);
    free(s->ovs_version);
    free(s->db_version);
    free(s->system_id);
    free(s->hostname);
    free(s);
}

/* What the database would look like after the plan. */
static void
snapshot_apply(struct ovs_snapshot *s, const struct export_plan *plan)
{
    static unsigned serial;
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct export_change *c = &plan->changes[i];
        if (c->state != STATE_PENDING) {
            continue;
        }
        struct export_row *row = &s->bridges[i / N_EXPORT_TABLES]
                                     .row[c->table];
        export_row_clear(row);
        if (c->desired->present) {
            export_row_copy(row, c->desired);
            row->n_refs = 1;
            snprintf(row->uuid, sizeof row->uuid,
                     "a0000000-0000-4000-8000-%012x", ++serial);
        }
    }
}

static struct export_policies *
policies_all(enum export_foreign foreign)
{
    struct export_policies *p = export_policies_default();
    struct export_policy *first = &p->list[0];
    first->foreign = foreign;
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        struct export_wish *w = &first->wish[t];
        if (!w->wanted) {
            w->wanted = true;
            w->sampling_auto = true;
            strings_add(&w->targets, &w->n_targets, "local");
        }
    }
    return p;
}

static struct export_policies *
policies_none(void)
{
    return calloc(1, sizeof(struct export_policies));
}

static void
foreign_row(struct export_row *row, const char *target)
{
    export_row_clear(row);
    row->present = true;
    row->n_refs = 1;
    strcpy(row->uuid, "f0000000-0000-4000-8000-000000000001");
    strings_add(&row->targets, &row->n_targets, target);
    strings_add(&row->extra, &row->n_extra, "external_ids:made-by=hand & eye");
    export_row_values(row)[OPT_SF_SAMPLING]
        = (struct export_value) { true, 64, NULL };
}

static struct export_change *
change(struct export_plan *plan, size_t bridge, enum export_table t)
{
    return &plan->changes[bridge * N_EXPORT_TABLES + t];
}

static bool
has_text(char *const *list, size_t n, const char *part)
{
    for (size_t i = 0; i < n; i++) {
        if (strstr(list[i], part)) {
            return true;
        }
    }
    return false;
}

static void
test_table(void)
{
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        const struct export_option *opt = &export_options[o];
        CU_ASSERT(opt->min <= opt->max);
        CU_ASSERT(opt->name[0] && opt->doc[0]);
        CU_ASSERT_EQUAL((int) export_option_find(opt->table, opt->name), o);
        CU_ASSERT_STRING_EQUAL(opt->name, *opt->key ? opt->key
                                                    : opt->column);
    }
    CU_ASSERT_EQUAL(export_option_find(EXPORT_SFLOW, "nope"),
                    N_EXPORT_OPTIONS);
    CU_ASSERT_STRING_EQUAL(export_state_name(STATE_IN_SYNC), "in-sync");
    CU_ASSERT_STRING_EQUAL(export_action_name(ACTION_SKIP), "skip");
    CU_ASSERT_STRING_EQUAL(export_table_name(EXPORT_IPFIX), "ipfix");
}

static void
test_default_policy(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = export_policies_default();
    struct export_plan *plan = export_plan_make(s, p, &self);
    struct export_change *c = change(plan, 0, EXPORT_SFLOW);

    CU_ASSERT_EQUAL(plan->n_changes, 3);
    CU_ASSERT_EQUAL(plan->n_pending, 1);
    CU_ASSERT_EQUAL(c->action, ACTION_CREATE);
    CU_ASSERT_STRING_EQUAL(c->policy, "default");
    CU_ASSERT_EQUAL(c->desired->n_targets, 1);
    CU_ASSERT_STRING_EQUAL(c->desired->targets[0], "127.0.0.1:6343");
    CU_ASSERT_EQUAL(c->desired->value[OPT_SF_POLLING].number, 10);
    CU_ASSERT_EQUAL(c->desired->value[OPT_SF_HEADER].number, 128);
    CU_ASSERT(c->desired->value[OPT_SF_SAMPLING].set);
    CU_ASSERT_FALSE(strncmp(c->desired->value[OPT_SF_AGENT].string, "127.",
                            4));
    CU_ASSERT_STRING_EQUAL(c->desired->owner, OWNER);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_NETFLOW)->action, ACTION_NONE);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_NETFLOW)->state, STATE_OFF);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_idempotent(void)
{
    struct ovs_snapshot *s = snapshot_new(20);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    struct export_plan *plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 60);
    snapshot_apply(s, plan);
    export_plan_destroy(plan);

    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    for (size_t i = 0; i < plan->n_changes; i++) {
        CU_ASSERT_EQUAL(plan->changes[i].state, STATE_IN_SYNC);
        CU_ASSERT_EQUAL(plan->changes[i].n_diffs, 0);
    }
    export_plan_destroy(plan);
    export_policies_destroy(p);

    p = policies_none();
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 60);
    CU_ASSERT_EQUAL(change(plan, 3, EXPORT_IPFIX)->action, ACTION_REMOVE);
    snapshot_apply(s, plan);
    export_plan_destroy(plan);
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    CU_ASSERT_FALSE(s->bridges[3].row[EXPORT_IPFIX].present);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

/* No two of 3000 bridges share an identity: more than enough to make the
 * 16 bits of NetFlow collide. */
static void
test_identities_unique(void)
{
    enum { N = 3000 };
    struct ovs_snapshot *s = snapshot_new(N);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    struct export_plan *plan = export_plan_make(s, p, &self);
    char *engine = calloc(1, 65536);
    char **agents = calloc(N, sizeof *agents);
    char **ids = calloc(N, sizeof *ids);
    for (size_t i = 0; i < N; i++) {
        struct export_value *v = change(plan, i, EXPORT_NETFLOW)
                                 ->desired->value;
        size_t e = (size_t) (v[OPT_NF_ENGINE_TYPE].number << 8
                             | v[OPT_NF_ENGINE_ID].number);
        CU_ASSERT(e > 0 && e < 65536 && !engine[e]);
        engine[e] = 1;
        agents[i] = change(plan, i, EXPORT_SFLOW)
                    ->desired->value[OPT_SF_AGENT].string;
        v = change(plan, i, EXPORT_IPFIX)->desired->value;
        CU_ASSERT(v[OPT_IX_OBS_DOMAIN_ID].number > 0);
        ids[i] = v[OPT_IX_VIRTUAL_OBS_ID].string;
    }
    CU_ASSERT_STRING_EQUAL(ids[7], "sys-1/br0007");
    strings_sort(agents, N);
    for (size_t i = 1; i < N; i++) {
        CU_ASSERT(strcmp(agents[i - 1], agents[i]) != 0);
    }
    snapshot_apply(s, plan);
    export_plan_destroy(plan);

    /* One bridge fewer must not renumber the others. */
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        export_row_clear(&s->bridges[0].row[t]);
    }
    struct ovs_bridge gone = s->bridges[0];
    s->bridges++;
    s->n_bridges--;
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    export_plan_destroy(plan);
    s->bridges--;
    s->n_bridges++;
    s->bridges[0] = gone;

    free(engine);
    free(agents);
    free(ids);
    export_policies_destroy(p);
    snapshot_free(s);
}

/* What somebody else uses already is stepped over. */
static void
test_identity_foreign(void)
{
    struct ovs_snapshot *s = snapshot_new(2);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    struct export_plan *plan = export_plan_make(s, p, &self);
    int64_t id = change(plan, 0, EXPORT_IPFIX)
                 ->desired->value[OPT_IX_OBS_DOMAIN_ID].number;
    export_plan_destroy(plan);

    foreign_row(&s->bridges[1].row[EXPORT_IPFIX], "192.0.2.1:4739");
    s->bridges[1].row[EXPORT_IPFIX].value[OPT_SF_SAMPLING].set = false;
    s->bridges[1].row[EXPORT_IPFIX].value[OPT_IX_OBS_DOMAIN_ID]
        = (struct export_value) { true, id, NULL };
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_IPFIX)
                    ->desired->value[OPT_IX_OBS_DOMAIN_ID].number,
                    (id + 1) & UINT32_MAX);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_drift(void)
{
    struct ovs_snapshot *s = snapshot_new(2);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    struct export_plan *plan = export_plan_make(s, p, &self);
    snapshot_apply(s, plan);
    export_plan_destroy(plan);

    struct export_row *row = &s->bridges[1].row[EXPORT_SFLOW];
    char *agent = strdup(row->value[OPT_SF_AGENT].string);
    row->value[OPT_SF_SAMPLING].number = 1;
    set_text(&row->value[OPT_SF_AGENT].string, "127.64.0.9");
    plan = export_plan_make(s, p, &self);
    struct export_change *c = change(plan, 1, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(plan->n_pending, 1);
    CU_ASSERT_EQUAL(c->action, ACTION_UPDATE);
    CU_ASSERT_EQUAL(c->n_diffs, 2);
    CU_ASSERT_STRING_EQUAL(c->diffs[1].column, "sampling");
    CU_ASSERT_STRING_EQUAL(c->diffs[1].old_value, "1");
    CU_ASSERT(strstr(c->reason, "somebody changed") != NULL);
    CU_ASSERT_STRING_EQUAL(c->desired->value[OPT_SF_AGENT].string, agent);
    free(agent);
    export_plan_destroy(plan);

    /* A new policy is told apart from drift. */
    row->value[OPT_SF_SAMPLING].number = 1;
    snapshot_apply(s, plan = export_plan_make(s, p, &self));
    export_plan_destroy(plan);
    p->list[0].wish[EXPORT_SFLOW].value[OPT_SF_POLLING].number = 20;
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 2);
    CU_ASSERT(strstr(change(plan, 1, EXPORT_SFLOW)->reason, "other values")
              != NULL);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_foreign_respect(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = export_policies_default();
    foreign_row(&s->bridges[0].row[EXPORT_SFLOW], "192.0.2.1:6343");
    struct export_plan *plan = export_plan_make(s, p, &self);
    struct export_change *c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    CU_ASSERT_EQUAL(c->action, ACTION_SKIP);
    CU_ASSERT_EQUAL(c->state, STATE_CONFLICT);
    CU_ASSERT(strstr(c->reason, "made-by") != NULL);
    CU_ASSERT(strstr(c->reason, "192.0.2.1:6343") != NULL);
    export_plan_destroy(plan);

    /* Somebody else exports to us already. */
    foreign_row(&s->bridges[0].row[EXPORT_SFLOW], "127.0.0.1:6343");
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_NONE);
    CU_ASSERT_EQUAL(c->state, STATE_IN_SYNC);
    export_plan_destroy(plan);

    /* Another venturid's row is not ours either. */
    set_text(&s->bridges[0].row[EXPORT_SFLOW].owner, "someone");
    strings_clear(&s->bridges[0].row[EXPORT_SFLOW].targets,
                  &s->bridges[0].row[EXPORT_SFLOW].n_targets);
    strings_add(&s->bridges[0].row[EXPORT_SFLOW].targets,
                &s->bridges[0].row[EXPORT_SFLOW].n_targets, "127.0.0.1:1");
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_SKIP);
    CU_ASSERT(strstr(c->reason, "another venturid (someone") != NULL);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_foreign_append(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = export_policies_default();
    p->list[0].foreign = FOREIGN_APPEND;
    struct export_row *row = &s->bridges[0].row[EXPORT_SFLOW];
    foreign_row(row, "192.0.2.1:6343");
    struct export_plan *plan = export_plan_make(s, p, &self);
    struct export_change *c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_APPEND);
    CU_ASSERT_EQUAL(c->n_add, 1);
    CU_ASSERT_STRING_EQUAL(c->add[0], "127.0.0.1:6343");
    CU_ASSERT_EQUAL(c->n_drop, 0);
    CU_ASSERT_EQUAL(c->n_diffs, 1);
    CU_ASSERT_EQUAL(c->desired->n_targets, 2);
    CU_ASSERT_PTR_NULL(c->desired->owner);
    CU_ASSERT_EQUAL(c->desired->value[OPT_SF_SAMPLING].number, 64);
    snapshot_apply(s, plan);
    export_plan_destroy(plan);

    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_SFLOW)->state, STATE_IN_SYNC);
    export_plan_destroy(plan);

    /* Our collector moved: the old target goes, the new one comes. */
    struct export_self moved = self;
    moved.local[EXPORT_SFLOW] = "127.0.0.1:7000";
    plan = export_plan_make(s, p, &moved);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_APPEND);
    CU_ASSERT_EQUAL(c->n_drop, 1);
    CU_ASSERT_STRING_EQUAL(c->drop[0], "127.0.0.1:6343");
    export_plan_destroy(plan);

    /* Detached again, the row is as it was. */
    p->list[0].wish[EXPORT_SFLOW].wanted = false;
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_DETACH);
    CU_ASSERT_EQUAL(c->desired->n_targets, 1);
    CU_ASSERT_STRING_EQUAL(c->desired->targets[0], "192.0.2.1:6343");
    snapshot_apply(s, plan);
    export_plan_destroy(plan);
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    CU_ASSERT_EQUAL(row->n_targets, 1);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_foreign_append_shared(void)
{
    struct ovs_snapshot *s = snapshot_new(2);
    struct export_policies *p = export_policies_default();
    p->list[0].foreign = FOREIGN_APPEND;
    strings_add(&p->list[0].exclude, &p->list[0].n_exclude, "br0001");
    for (int i = 0; i < 2; i++) {
        struct export_row *row = &s->bridges[i].row[EXPORT_SFLOW];
        foreign_row(row, "127.0.0.1:6343");
        strings_add(&row->targets, &row->n_targets, "192.0.2.1:6343");
        strings_add(&row->appended, &row->n_appended, "127.0.0.1:6343");
        row->n_refs = 2;
    }
    struct export_plan *plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    CU_ASSERT(strstr(change(plan, 1, EXPORT_SFLOW)->reason, "br0000")
              != NULL);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_foreign_replace(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = export_policies_default();
    p->list[0].foreign = FOREIGN_REPLACE;
    foreign_row(&s->bridges[0].row[EXPORT_SFLOW], "192.0.2.1:6343");
    struct export_plan *plan = export_plan_make(s, p, &self);
    struct export_change *c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_CREATE);
    CU_ASSERT_PTR_NOT_NULL(c->desired->prev);
    snapshot_apply(s, plan);
    export_plan_destroy(plan);
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    export_plan_destroy(plan);

    export_policies_destroy(p);
    p = policies_none();
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_REMOVE);
    CU_ASSERT(c->desired->present);
    CU_ASSERT_STRING_EQUAL(c->desired->targets[0], "192.0.2.1:6343");
    CU_ASSERT_EQUAL(c->desired->value[OPT_SF_SAMPLING].number, 64);
    CU_ASSERT_STRING_EQUAL(c->desired->extra[0],
                           "external_ids:made-by=hand & eye");
    CU_ASSERT_PTR_NULL(c->desired->owner);
    export_plan_destroy(plan);

    set_text(&s->bridges[0].row[EXPORT_SFLOW].prev, "sampling=x");
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_REMOVE);
    CU_ASSERT_FALSE(c->desired->present);
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "not restored"));
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_shared_own_row(void)
{
    struct ovs_snapshot *s = snapshot_new(2);
    struct export_policies *p = export_policies_default();
    struct export_plan *plan = export_plan_make(s, p, &self);
    snapshot_apply(s, plan);
    export_plan_destroy(plan);
    export_row_clear(&s->bridges[1].row[EXPORT_SFLOW]);
    export_row_copy(&s->bridges[1].row[EXPORT_SFLOW],
                    &s->bridges[0].row[EXPORT_SFLOW]);
    s->bridges[0].row[EXPORT_SFLOW].n_refs = 2;
    s->bridges[1].row[EXPORT_SFLOW].n_refs = 2;
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_SFLOW)->action, ACTION_NONE);
    CU_ASSERT_EQUAL(change(plan, 1, EXPORT_SFLOW)->action, ACTION_CREATE);
    CU_ASSERT(strcmp(change(plan, 1, EXPORT_SFLOW)
                     ->desired->value[OPT_SF_AGENT].string,
                     s->bridges[0].row[EXPORT_SFLOW].value[OPT_SF_AGENT]
                     .string) != 0);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_offload(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    s->hw_offload = true;
    struct export_plan *plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 1);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_NETFLOW)->action, ACTION_CREATE);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_SFLOW)->action, ACTION_SKIP);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_SFLOW)->state, STATE_OFF);
    CU_ASSERT(strstr(change(plan, 0, EXPORT_IPFIX)->reason, "offload")
              != NULL);
    export_plan_destroy(plan);

    p->list[0].offload_force = true;
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 3);
    CU_ASSERT(has_text(change(plan, 0, EXPORT_SFLOW)->warnings,
                       change(plan, 0, EXPORT_SFLOW)->n_warnings,
                       "offload"));
    snapshot_apply(s, plan);
    export_plan_destroy(plan);

    /* Asked to respect it later: what we have there goes. */
    p->list[0].offload_force = false;
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_SFLOW)->action, ACTION_REMOVE);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_missing_columns(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    struct export_value *v = p->list[0].wish[EXPORT_IPFIX].value;
    v[OPT_IX_TEMPLATE_INTERVAL] = (struct export_value) { true, 60, NULL };
    s->missing_options[0] = UINT64_C(1) << OPT_IX_TEMPLATE_INTERVAL;
    struct export_plan *plan = export_plan_make(s, p, &self);
    struct export_change *c = change(plan, 0, EXPORT_IPFIX);
    CU_ASSERT_FALSE(c->desired->value[OPT_IX_TEMPLATE_INTERVAL].set);
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "template_interval"));
    snapshot_apply(s, plan);
    export_plan_destroy(plan);
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_warnings(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    p->list[0].wish[EXPORT_SFLOW].value[OPT_SF_SAMPLING]
        = (struct export_value) { true, 1, NULL };
    p->list[0].wish[EXPORT_IPFIX].value[OPT_IX_CACHE_MAX_FLOWS]
        = (struct export_value) { true, 10, NULL };
    struct export_plan *plan = export_plan_make(s, p, &self);
    struct export_change *c = change(plan, 0, EXPORT_NETFLOW);
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "megaflow"));
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "sampling 1"));
    c = change(plan, 0, EXPORT_IPFIX);
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "no cache"));
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "391 records/s"));
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_targets(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = export_policies_default();
    struct export_wish *w = &p->list[0].wish[EXPORT_SFLOW];
    struct export_self deaf = self;
    deaf.local[EXPORT_SFLOW] = NULL;
    struct export_plan *plan = export_plan_make(s, p, &deaf);
    struct export_change *c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_SKIP);
    CU_ASSERT_EQUAL(c->state, STATE_ERROR);
    CU_ASSERT(strstr(c->reason, "does not listen") != NULL);
    export_plan_destroy(plan);

    /* Another target is still served, and it is not loopback: OVS chooses
     * the agent. */
    strings_add(&w->targets, &w->n_targets, "192.0.2.7");
    plan = export_plan_make(s, p, &deaf);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->action, ACTION_CREATE);
    CU_ASSERT_STRING_EQUAL(c->desired->targets[0], "192.0.2.7:6343");
    CU_ASSERT_FALSE(c->desired->value[OPT_SF_AGENT].set);
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "does not listen"));
    export_plan_destroy(plan);

    /* Everywhere means loopback, for an OVS on this host. */
    struct export_self any = self;
    any.local[EXPORT_SFLOW] = "0.0.0.0:6343";
    plan = export_plan_make(s, p, &any);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->desired->n_targets, 2);
    CU_ASSERT_STRING_EQUAL(c->desired->targets[0], "127.0.0.1:6343");
    export_plan_destroy(plan);

    s->local = false;
    strings_clear(&w->targets, &w->n_targets);
    strings_add(&w->targets, &w->n_targets, "local");
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->state, STATE_ERROR);
    CU_ASSERT(strstr(c->reason, "can't reach") != NULL);
    export_plan_destroy(plan);

    s->local = true;
    strings_clear(&w->targets, &w->n_targets);
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->state, STATE_ERROR);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_matching(void)
{
    struct ovs_snapshot *s = snapshot_new(3);
    struct export_policies *p = policies_none(),
                           *d = export_policies_default();
    /* First "br0001, nothing", then the default for br*, but not br0002. */
    p->list = calloc(2, sizeof *p->list);
    p->n = 2;
    p->list[0].name = strdup("quiet");
    strings_add(&p->list[0].bridges, &p->list[0].n_bridges, "br0001");
    p->list[1] = d->list[0];
    d->n = 0;
    export_policies_destroy(d);
    strings_add(&p->list[1].exclude, &p->list[1].n_exclude, "*2");
    struct export_plan *plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(change(plan, 0, EXPORT_SFLOW)->action, ACTION_CREATE);
    CU_ASSERT_EQUAL(change(plan, 1, EXPORT_SFLOW)->action, ACTION_NONE);
    CU_ASSERT_STRING_EQUAL(change(plan, 1, EXPORT_SFLOW)->policy, "quiet");
    CU_ASSERT_EQUAL(change(plan, 2, EXPORT_SFLOW)->action, ACTION_NONE);
    CU_ASSERT_PTR_NULL(change(plan, 2, EXPORT_SFLOW)->policy);
    export_plan_destroy(plan);

    set_text(&p->list[1].datapath_type, "system");
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    export_plan_destroy(plan);
    set_text(&s->bridges[0].datapath_type, "");
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 1);
    export_plan_destroy(plan);

    struct export_policies *copy = export_policies_clone(p);
    CU_ASSERT_EQUAL(copy->n, 2);
    plan = export_plan_make(s, copy, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 1);
    export_plan_destroy(plan);
    export_policies_destroy(copy);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
expect_refused(struct export_policies *p, const char *member,
               const char *message)
{
    char m[200], text[200];
    CU_ASSERT_EQUAL(export_policies_check(p, m, sizeof m, text, sizeof text),
                    -EINVAL);
    CU_ASSERT_STRING_EQUAL(m, member);
    CU_ASSERT(strstr(text, message) != NULL);
}

static void
test_check(void)
{
    struct export_policies *p = export_policies_default();
    struct export_wish *w = &p->list[0].wish[EXPORT_SFLOW];
    char m[200], text[200];
    CU_ASSERT_EQUAL(export_policies_check(p, m, sizeof m, text, sizeof text),
                    0);
    w->value[OPT_SF_HEADER].number = 4;
    expect_refused(p, "policy[default]/sflow/header", "14 to 1400");
    w->value[OPT_SF_HEADER].number = 128;
    w->value[OPT_SF_SAMPLING] = (struct export_value) { true, -1, NULL };
    expect_refused(p, "policy[default]/sflow/sampling", "1 to 4294967295");
    w->value[OPT_SF_SAMPLING].set = false;
    w->value[OPT_NF_ENGINE_ID] = (struct export_value) { true, 1, NULL };
    expect_refused(p, "policy[default]/sflow/engine_id", "NetFlow");
    w->value[OPT_NF_ENGINE_ID].set = false;
    set_text(&w->targets[0], "nonsense");
    expect_refused(p, "policy[default]/sflow/targets", "192.0.2.1:6343");
    set_text(&w->targets[0], "");
    expect_refused(p, "policy[default]/sflow/targets", "neither");
    set_text(&w->targets[0], "[2001:db8::1]:6343");
    CU_ASSERT_EQUAL(export_policies_check(p, m, sizeof m, text, sizeof text),
                    0);
    set_text(&p->list[0].datapath_type, "dpdk");
    expect_refused(p, "policy[default]/match/datapath-type", "netdev");
    set_text(&p->list[0].name, "");
    expect_refused(p, "policy[]/name", "1 to 255");
    export_policies_destroy(p);
}

static void
test_encode(void)
{
    struct export_row row = { .present = true }, back;
    foreign_row(&row, "192.0.2.1:6343");
    set_text(&row.owner, "x=y&z%");
    set_text(&row.value[OPT_SF_AGENT].string, "eth0");
    row.value[OPT_SF_AGENT].set = true;
    row.value[OPT_SF_POLLING] = (struct export_value) { true, -5, NULL };
    char *text = export_row_encode(&row, EXPORT_SFLOW);
    CU_ASSERT_EQUAL_FATAL(export_row_decode(text, EXPORT_SFLOW, &back), 0);
    strcpy(back.uuid, row.uuid);
    CU_ASSERT(export_row_equal(&row, &back, EXPORT_SFLOW));
    export_row_clear(&back);

    /* Cut anywhere: refused or read, never more. */
    for (size_t n = 0; n < strlen(text); n++) {
        char *cut = memdup_exact(text, n + 1);
        cut[n] = '\0';
        if (!export_row_decode(cut, EXPORT_SFLOW, &back)) {
            export_row_clear(&back);
        }
        free(cut);
    }
    free(text);
    export_row_clear(&row);

    static const char *const bad[] = {
        "", "sampling=64", "targets", "targets=a&sampling=", "targets=%",
        "targets=%2", "targets=%zz", "targets=%00", "targets=a&nope=1",
        "targets=a&engine_id=1", "targets=a&sampling=1&sampling=1",
        "targets=a&extra=b", "=", "&", "targets=a&sampling=1x",
        "targets=a&sampling=99999999999999999999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_EQUAL(export_row_decode(bad[i], EXPORT_SFLOW, &back),
                        -EINVAL);
    }
    CU_ASSERT_EQUAL(export_row_decode("targets=a&sampling=0", EXPORT_IPFIX,
                                      &back), -EINVAL);
}

static void
test_long_bridge_name(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    char *name = malloc(401);
    memset(name, 'x', 400);
    name[400] = '\0';
    free(s->bridges[0].name);
    s->bridges[0].name = name;
    struct export_plan *plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(strlen(change(plan, 0, EXPORT_IPFIX)
                           ->desired->value[OPT_IX_VIRTUAL_OBS_ID].string),
                    254);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
add_wish(struct export_policy *p, uint32_t id)
{
    p->samples = realloc(p->samples, (p->n_samples + 1) * sizeof *p->samples);
    struct export_sample_wish *w = &p->samples[p->n_samples++];
    memset(w, 0, sizeof *w);
    w->id = id;
    w->ipfix.wanted = true;
    strings_add(&w->ipfix.targets, &w->ipfix.n_targets, "local");
}

static struct export_sample
sample_row(uint32_t id, const char *owner)
{
    struct export_sample s = { .id = id };
    snprintf(s.uuid, sizeof s.uuid, "c0000000-0000-4000-8000-%012x", id);
    set_text(&s.owner, owner);
    return s;
}

static void
samples_free(struct export_sample *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        export_sample_clear(&list[i]);
    }
}

static void
test_samples(void)
{
    struct ovs_snapshot *s = snapshot_new(2);
    struct export_policies *p = export_policies_default();
    struct export_sample have[2] = { sample_row(5, OWNER),
                                     sample_row(7, "someone") };
    struct export_sample orphans[2] = { sample_row(1, OWNER),
                                        sample_row(2, NULL) };
    set_text(&orphans[0].bridge, "gone");
    set_text(&orphans[1].bridge, "lost");
    s->bridges[1].samples = have;
    s->bridges[1].n_samples = 2;
    s->orphans = orphans;
    s->n_orphans = 2;
    add_wish(&p->list[0], 7);
    add_wish(&p->list[0], 9);
    struct export_plan *plan = export_plan_make(s, p, &self);

    CU_ASSERT_EQUAL_FATAL(plan->n_changes, 12);
    CU_ASSERT_EQUAL(plan->first[1], 5);
    CU_ASSERT_EQUAL(plan->first[2], 11);
    CU_ASSERT_EQUAL(plan->first[3], 12);
    const struct export_change *c = &plan->changes[3];
    CU_ASSERT(c->sample && c->sample_id == 7);
    CU_ASSERT_EQUAL(c->action, ACTION_CREATE);
    CU_ASSERT_STRING_EQUAL(c->desired->targets[0], "127.0.0.1:4739");
    CU_ASSERT_FALSE(c->desired->value[OPT_IX_OBS_DOMAIN_ID].set);
    CU_ASSERT(c->desired->value[OPT_IX_VIRTUAL_OBS_ID].set);
    c = &plan->changes[8];              /* Somebody else's. */
    CU_ASSERT_EQUAL(c->action, ACTION_SKIP);
    CU_ASSERT_EQUAL(c->state, STATE_CONFLICT);
    CU_ASSERT(strstr(c->reason, "someone") != NULL);
    CU_ASSERT_EQUAL(plan->changes[9].action, ACTION_CREATE);
    c = &plan->changes[10];             /* Not asked for. */
    CU_ASSERT_EQUAL(c->sample_id, 5);
    CU_ASSERT_EQUAL(c->action, ACTION_REMOVE);
    c = &plan->changes[11];
    CU_ASSERT_EQUAL(c->action, ACTION_REMOVE);
    CU_ASSERT_STRING_EQUAL(c->bridge, "gone");
    CU_ASSERT(has_text(plan->warnings, plan->n_warnings, "bridge lost"));
    export_plan_destroy(plan);

    /* The group: only where the server has it. */
    p->list[0].samples[0].group = (struct export_value) { true, 3, NULL };
    p->list[0].samples[0].ipfix.wanted = false;
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->changes[3].group.number, 3);
    CU_ASSERT_FALSE(plan->changes[3].desired->present);
    export_plan_destroy(plan);
    s->lacks_group = true;
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->changes[3].state, STATE_ERROR);
    CU_ASSERT(has_text(plan->changes[3].warnings,
                       plan->changes[3].n_warnings, "local_group_id"));
    export_plan_destroy(plan);

    s->orphans = NULL;
    s->n_orphans = 0;
    samples_free(have, 2);
    samples_free(orphans, 2);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_selectors(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = export_policies_default();
    struct export_policy *first = &p->list[0];
    struct ovs_bridge *b = &s->bridges[0];
    strings_add(&first->bridge_ids, &first->n_bridge_ids, "tenant=b*");
    CU_ASSERT_FALSE(export_policy_matches(first, p, s, b));
    strings_add(&b->external_ids, &b->n_external_ids, "tenant=red");
    CU_ASSERT_FALSE(export_policy_matches(first, p, s, b));
    set_text(&b->external_ids[0], "tenant=blue");
    CU_ASSERT(export_policy_matches(first, p, s, b));
    set_text(&b->external_ids[0], "tenants=blue");
    CU_ASSERT_FALSE(export_policy_matches(first, p, s, b));
    set_text(&first->bridge_ids[0], "tenants");
    CU_ASSERT(export_policy_matches(first, p, s, b));
    strings_add(&first->host_ids, &first->n_host_ids, "site=a");
    CU_ASSERT_FALSE(export_policy_matches(first, p, s, b));
    strings_add(&s->external_ids, &s->n_external_ids, "site=a");
    CU_ASSERT(export_policy_matches(first, p, s, b));
    strings_add(&first->labels, &first->n_labels, "rack=*");
    CU_ASSERT_FALSE(export_policy_matches(first, p, s, b));
    strings_add(&p->labels, &p->n_labels, "rack=7");
    CU_ASSERT(export_policy_matches(first, p, s, b));
    struct export_policies *copy = export_policies_clone(p);
    CU_ASSERT(export_policy_matches(&copy->list[0], copy, s, b));
    CU_ASSERT_EQUAL(copy->budget, EXPORT_BUDGET);
    export_policies_destroy(copy);
    struct export_plan *plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_warnings, 0);
    export_plan_destroy(plan);
    set_text(&p->labels[0], "edge");
    plan = export_plan_make(s, p, &self);
    CU_ASSERT(has_text(plan->warnings, plan->n_warnings,
                       "default matches no bridge"));
    export_plan_destroy(plan);
    strings_clear(&b->external_ids, &b->n_external_ids);
    strings_clear(&s->external_ids, &s->n_external_ids);
    export_policies_destroy(p);
    snapshot_free(s);
}

static struct export_policies *
two_policies(void)
{
    struct export_policies *p = policies_none();
    p->list = calloc(2, sizeof *p->list);
    p->n = 2;
    p->list[0].name = strdup("a");
    p->list[1].name = strdup("b");
    return p;
}

static void
test_collisions(void)
{
    struct export_policies *p = two_policies();
    struct export_policy *a = &p->list[0], *b = &p->list[1];
    char m[200], text[200];
    expect_refused(p, "policy[b]/match", "matches every bridge");
    strings_add(&a->bridges, &a->n_bridges, "x");
    CU_ASSERT_EQUAL(export_policies_check(p, m, sizeof m, text, sizeof text),
                    0);
    strings_add(&b->bridges, &b->n_bridges, "x");
    expect_refused(p, "policy[b]/match", "collides with policy a");
    strings_add(&b->exclude, &b->n_exclude, "x");
    expect_refused(p, "policy[b]/match", "match no bridge");
    set_text(&b->exclude[0], "y");
    CU_ASSERT_EQUAL(export_policies_check(p, m, sizeof m, text, sizeof text),
                    0);
    set_text(&b->name, "a");
    expect_refused(p, "policy[a]/name", "two policies");
    set_text(&b->name, "b");
    add_wish(b, 3);
    add_wish(b, 3);
    expect_refused(p, "policy[b]/flow-sample[3]/id", "twice");
    b->samples[1].id = 4;
    b->samples[1].ipfix.value[OPT_IX_SAMPLING]
        = (struct export_value) { true, 4, NULL };
    expect_refused(p, "policy[b]/flow-sample[4]/ipfix/sampling",
                   "not an option");
    b->samples[1].ipfix.value[OPT_IX_SAMPLING].set = false;
    set_text(&b->samples[1].ipfix.targets[0], "x");
    expect_refused(p, "policy[b]/flow-sample[4]/ipfix/targets", "neither");
    b->samples[1].ipfix.wanted = false;
    expect_refused(p, "policy[b]/flow-sample[4]", "local_group_id");
    export_policies_destroy(p);
}

/* As many as a long configuration has: each of them costs the same, and the
 * last one still finds the one it collides with. */
static void
test_many(void)
{
    enum { N = 100000 };
    struct export_policies *p = calloc(1, sizeof *p);
    char m[200], text[200];
    p->list = calloc(N, sizeof *p->list);
    p->n = N;
    for (int i = 0; i < N; i++) {
        struct export_policy *q = &p->list[i];
        snprintf(text, sizeof text, "p%d", i);
        q->name = strdup(text);
        strings_add(&q->bridges, &q->n_bridges, text);
        strings_add(&q->bridges, &q->n_bridges, "all");
    }
    CU_ASSERT_EQUAL(export_policies_check(p, m, sizeof m, text, sizeof text),
                    0);
    /* The same two, in another order and one of them twice. */
    struct export_policy *last = &p->list[N - 1];
    strings_clear(&last->bridges, &last->n_bridges);
    strings_add(&last->bridges, &last->n_bridges, "all");
    strings_add(&last->bridges, &last->n_bridges, "p17");
    strings_add(&last->bridges, &last->n_bridges, "all");
    expect_refused(p, "policy[p99999]/match", "collides with policy p17,");
    strings_clear(&last->bridges, &last->n_bridges);
    strings_add(&last->bridges, &last->n_bridges, "alone");
    set_text(&last->name, "p42");
    expect_refused(p, "policy[p42]/name", "two policies");
    /* Who stands first decides, not who is found first. */
    set_text(&last->name, "last");
    set_text(&last->bridges[0], "*");
    set_text(&p->list[N - 2].bridges[0], "*");
    set_text(&p->list[N - 2].bridges[1], "*");
    expect_refused(p, "policy[last]/match", "collides with policy p99998, "
                   "which stands before it and matches every bridge");
    export_policies_destroy(p);
}

static void
test_orders(void)
{
    struct ovs_snapshot *s = snapshot_new(3);
    struct export_policies *p = export_policies_default();
    char br1[] = "br0001", name[] = "default";
    struct export_order orders[] = {
        { .apply = false }, { .apply = true, .policy = name },
        { .apply = false, .bridge = br1 },
    };
    struct export_self asked = self;
    asked.orders = orders;
    for (size_t n = 0; n <= 3; n++) {
        static const size_t pending[] = { 3, 0, 3, 2 };
        asked.n_orders = n;
        struct export_plan *plan = export_plan_make(s, p, &asked);
        CU_ASSERT_EQUAL(plan->n_pending, pending[n]);
        CU_ASSERT_EQUAL(plan->changes[0].ordered, n > 0);
        export_plan_destroy(plan);
    }
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_auto_and_load(void)
{
    struct ovs_snapshot *s = snapshot_new(1);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    struct export_plan *plan = export_plan_make(s, p, &self);
    struct export_change *c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->desired->value[OPT_SF_SAMPLING].number,
                    AUTO_SAMPLING);
    CU_ASSERT(c->records_per_s < 0);
    CU_ASSERT_DOUBLE_EQUAL(c->records_per_100k, 195.3, 0.1);
    CU_ASSERT_DOUBLE_EQUAL(c->bytes_per_100k, 54297, 1);
    CU_ASSERT(has_text(c->warnings, c->n_warnings,
                       "about 195 samples/s and 54 kB/s"));
    const struct export_change *ix = change(plan, 0, EXPORT_IPFIX);
    CU_ASSERT_DOUBLE_EQUAL(ix->records_per_100k, 390.6, 0.1);
    CU_ASSERT_DOUBLE_EQUAL(ix->bytes_per_100k, 117187.5, 1);
    CU_ASSERT(has_text(ix->warnings, ix->n_warnings, "391 records/s"));
    const struct export_change *nf = change(plan, 0, EXPORT_NETFLOW);
    CU_ASSERT(nf->records_per_100k < 0 && nf->bytes_per_100k < 0);
    CU_ASSERT(has_text(nf->warnings, nf->n_warnings,
                       "2,000 records/s and 100 kB/s"));
    export_plan_destroy(plan);

    s->bridges[0].auto_sampling = 2048;
    s->bridges[0].in_pps = 2048000;
    s->bridges[0].out_pps = 1024000;
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->desired->value[OPT_SF_SAMPLING].number, 2048);
    CU_ASSERT_DOUBLE_EQUAL(c->records_per_s, 1000, 1);
    CU_ASSERT(c->bytes_per_s > 100000 && c->bytes_per_s < 500000);
    c = change(plan, 0, EXPORT_IPFIX);
    CU_ASSERT_DOUBLE_EQUAL(c->records_per_s, 1500, 1);
    CU_ASSERT_DOUBLE_EQUAL(c->bytes_per_s, 450000, 1000);
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "1500 records/s"));
    CU_ASSERT(change(plan, 0, EXPORT_NETFLOW)->records_per_s < 0);
    snapshot_apply(s, plan);
    export_plan_destroy(plan);

    /* After a restart nothing is decided: what the row has stays, unless
     * somebody else has written it. */
    s->bridges[0].auto_sampling = 0;
    plan = export_plan_make(s, p, &self);
    CU_ASSERT_EQUAL(plan->n_pending, 0);
    export_plan_destroy(plan);
    s->bridges[0].row[EXPORT_SFLOW].value[OPT_SF_SAMPLING].number = 4096;
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT_EQUAL(c->desired->value[OPT_SF_SAMPLING].number,
                    AUTO_SAMPLING);
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

static void
test_more_warnings(void)
{
    struct ovs_snapshot *s = snapshot_new(2);
    struct export_policies *p = policies_all(FOREIGN_RESPECT);
    struct export_value *v = p->list[0].wish[EXPORT_SFLOW].value;
    v[OPT_SF_AGENT] = (struct export_value) { true, 0, strdup("eth0") };
    struct export_plan *plan = export_plan_make(s, p, &self);
    struct export_change *c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "taken for a device"));
    CU_ASSERT(has_text(c->warnings, c->n_warnings,
                       "the same agent to 2 bridges"));
    export_plan_destroy(plan);
    set_text(&v[OPT_SF_AGENT].string, "no/such/device/anywhere");
    plan = export_plan_make(s, p, &self);
    c = change(plan, 0, EXPORT_SFLOW);
    CU_ASSERT(has_text(c->warnings, c->n_warnings, "export nothing"));
    export_plan_destroy(plan);
    export_policies_destroy(p);
    snapshot_free(s);
}

UNIT_MAIN("export_plan", UNIT_TEST(test_table),
          UNIT_TEST(test_default_policy), UNIT_TEST(test_idempotent),
          UNIT_TEST(test_identities_unique),
          UNIT_TEST(test_identity_foreign), UNIT_TEST(test_drift),
          UNIT_TEST(test_foreign_respect), UNIT_TEST(test_foreign_append),
          UNIT_TEST(test_foreign_append_shared),
          UNIT_TEST(test_foreign_replace), UNIT_TEST(test_shared_own_row),
          UNIT_TEST(test_offload), UNIT_TEST(test_missing_columns),
          UNIT_TEST(test_warnings), UNIT_TEST(test_targets),
          UNIT_TEST(test_matching), UNIT_TEST(test_check),
          UNIT_TEST(test_encode), UNIT_TEST(test_long_bridge_name),
          UNIT_TEST(test_samples), UNIT_TEST(test_selectors),
          UNIT_TEST(test_collisions), UNIT_TEST(test_many), UNIT_TEST(test_orders),
          UNIT_TEST(test_auto_and_load), UNIT_TEST(test_more_warnings))
