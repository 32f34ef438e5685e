/* api/methods_export.c -- provisioning: what would be written, what is in
 * place, and whether data proves it. */
#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/config.h"
#include "api/context.h"
#include "api/export_state.h"
#include "collector/exporter/source_table.h"
#include "lib/clock.h"
#include "lib/dict.h"
#include "lib/source.h"
#include "ovsdb/ovsdb.h"

static const uint8_t protocol_of[N_EXPORT_TABLES] = {
    [EXPORT_NETFLOW] = PROTO_NETFLOW5,
    [EXPORT_SFLOW] = PROTO_SFLOW5,
    [EXPORT_IPFIX] = PROTO_IPFIX,
};

/* There is something to export from.  False after answering that there is
 * not.  The OVSDB thread may be NULL all the same: probes need none. */
static bool
have_export(struct rpc_call *call)
{
    const struct api_context *c = rpc_context(call);
    if (!c->ovsdb && !probes_configured(c)) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no OVSDB is configured "
                 "(ovsdb/remote, or --ovsdb), and no probe");
        return false;
    }
    return true;
}

/* How many remotes there are; NULL has none. */
static size_t
n_remotes(const struct ovsdb *ovsdb)
{
    return ovsdb ? ovsdb_n_remotes(ovsdb) : 0;
}

static const char *
text_param(struct json_object *params, const char *name)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(params, name, &v)
           ? json_object_get_string(v) : NULL;
}

static bool
flag_param(struct json_object *params, const char *name)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(params, name, &v)
           && json_object_get_boolean(v);
}

static struct json_object *
texts_to_json(char *const *list, size_t n)
{
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        json_object_array_add(array, json_object_new_string(list[i]));
    }
    return array;
}

static bool
bridge_known(struct ovsdb *ovsdb, const char *name)
{
    bool known = false;
    for (size_t i = 0; i < n_remotes(ovsdb); i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(ovsdb, i);
        for (size_t j = 0; s && j < s->n_bridges && !known; j++) {
            known = !strcmp(s->bridges[j].name, name);
        }
        ovsdb_snapshot_unref(s);
    }
    return known;
}

/* The parameter "bridge", or NULL for all.  False after answering that there
 * is no such bridge. */
static bool
bridge_param(struct rpc_call *call, struct ovsdb *ovsdb,
             struct json_object *params, const char **bridge)
{
    *bridge = text_param(params, "bridge");
    if (*bridge && !bridge_known(ovsdb, *bridge)
        && !probe_known(rpc_context(call), *bridge)) {
        rpc_fail(call, RPC_NOT_FOUND, "bridge", "there is no bridge %s",
                 *bridge);
        return false;
    }
    return true;
}

/* The parameter "policy", or NULL for any.  False after answering that there
 * is no such policy. */
static bool
policy_param(struct rpc_call *call, struct json_object *params,
             const char **policy)
{
    const struct api_context *c = rpc_context(call);
    const struct config *config = c->config ? config_current(c->config)
                                            : NULL;
    *policy = text_param(params, "policy");
    bool known = !*policy || !config;
    for (size_t i = 0; !known && i < config->policies->n; i++) {
        known = !strcmp(config->policies->list[i].name, *policy);
    }
    if (!known) {
        rpc_fail(call, RPC_NOT_FOUND, "policy", "there is no policy %s",
                 *policy);
    }
    return known;
}

static struct json_object *
remote_to_json(const struct ovs_snapshot *s)
{
    struct json_object *o = json_object_new_object();
    reply_string(o, "remote", s->remote);
    reply_bool(o, "connected", s->connected);
    reply_string(o, "reason", s->reason);
    reply_string(o, "ovs_version", *s->ovs_version ? s->ovs_version : NULL);
    reply_string(o, "db_version", *s->db_version ? s->db_version : NULL);
    reply_string(o, "system_id", *s->system_id ? s->system_id : NULL);
    reply_string(o, "hostname", *s->hostname ? s->hostname : NULL);
    reply_bool(o, "hw_offload", s->hw_offload);
    reply_uint(o, "bridges", s->n_bridges);
    return o;
}

static struct json_object *
remotes_to_json(struct ovsdb *ovsdb)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < n_remotes(ovsdb); i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(ovsdb, i);
        if (s) {
            json_object_array_add(list, remote_to_json(s));
            ovsdb_snapshot_unref(s);
        }
    }
    return list;
}

/* export.plan */

static struct json_object *
diffs_to_json(const struct export_change *c)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < c->n_diffs; i++) {
        struct json_object *d = json_object_new_object();
        reply_string(d, "column", c->diffs[i].column);
        reply_string(d, "old", c->diffs[i].old_value);
        reply_string(d, "new", c->diffs[i].new_value);
        json_object_array_add(list, d);
    }
    return list;
}

/* What part of an answer is about: everything, a bridge, a policy. */
struct scope {
    const char *bridge, *policy;
};

static bool
in_scope(const struct export_change *c, const struct scope *scope)
{
    return (!scope->bridge || !strcmp(scope->bridge, c->bridge))
           && (!scope->policy
               || (c->policy && !strcmp(scope->policy, c->policy)));
}

/* "flow-sample" has an id. */
static void
add_protocol(struct json_object *o, enum export_table table, bool sample,
             uint32_t id)
{
    reply_string(o, "protocol", sample ? "flow-sample"
                                       : export_table_name(table));
    if (sample) {
        reply_uint(o, "id", id);
    }
}

/* A predicted rate, rounded; null if it is not known. */
static void
add_rate(struct json_object *o, const char *name, double rate)
{
    if (rate >= 0) {
        reply_uint(o, name, (uint64_t) (rate + 0.5));
    } else {
        json_object_object_add(o, name, NULL);
    }
}

static struct json_object *
change_to_json(const struct export_change *c)
{
    struct json_object *o = json_object_new_object();
    reply_string(o, "bridge", c->bridge);
    add_protocol(o, c->table, c->sample, c->sample_id);
    reply_string(o, "action", export_action_name(c->action));
    reply_string(o, "state", export_state_name(c->state));
    reply_string(o, "policy", c->policy);
    reply_string(o, "reason", c->reason);
    json_object_object_add(o, "diff", diffs_to_json(c));
    json_object_object_add(o, "warnings",
                           texts_to_json(c->warnings, c->n_warnings));
    add_rate(o, "records_per_second", c->records_per_s);
    add_rate(o, "bytes_per_second", c->bytes_per_s);
    add_rate(o, "records_per_100000_packets", c->records_per_100k);
    add_rate(o, "bytes_per_100000_packets", c->bytes_per_100k);
    return o;
}

/* Adds to '*pending' what would be written of that. */
static struct json_object *
plan_to_json(const struct export_plan *plan, const struct scope *scope,
             bool all, size_t *pending)
{
    struct json_object *o = json_object_new_object();
    struct json_object *changes = json_object_new_array();
    uint64_t n_pending = 0;
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct export_change *c = &plan->changes[i];
        bool shown = all || c->state == STATE_PENDING
                     || c->action == ACTION_SKIP;
        if (shown && in_scope(c, scope)) {
            json_object_array_add(changes, change_to_json(c));
            n_pending += c->state == STATE_PENDING;
        }
    }
    *pending += n_pending;
    reply_string(o, "remote", plan->remote);
    reply_uint(o, "generation", plan->generation);
    reply_uint(o, "pending", n_pending);
    json_object_object_add(o, "changes", changes);
    json_object_object_add(o, "warnings", texts_to_json(plan->warnings,
                                                        plan->n_warnings));
    return o;
}

static bool
scope_param(struct rpc_call *call, struct ovsdb *ovsdb,
            struct json_object *params, struct scope *scope)
{
    return bridge_param(call, ovsdb, params, &scope->bridge)
           && policy_param(call, params, &scope->policy);
}

/* Plans of the databases that have been read; the others are listed with the
 * reason.  'made' are plans that are there already, one per database, or NULL;
 * they are destroyed.  Returns the number of changes that would be written. */
static size_t
add_plans(struct ovsdb *ovsdb, const struct scope *scope, bool all,
          struct export_plan **made, struct json_object *plans,
          struct json_object *unreachable)
{
    size_t pending = 0;
    for (size_t i = 0; i < n_remotes(ovsdb); i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(ovsdb, i);
        struct export_plan *plan = made ? made[i] : ovsdb_plan(ovsdb, i);
        if (s && !s->connected) {
            json_object_array_add(unreachable, remote_to_json(s));
        }
        if (plan && s && (s->connected || s->n_bridges)) {
            json_object_array_add(plans, plan_to_json(plan, scope, all,
                                                      &pending));
        }
        export_plan_destroy(plan);
        ovsdb_snapshot_unref(s);
    }
    return pending;
}

static void
export_plan(struct rpc_call *call, struct json_object *params)
{
    struct ovsdb *ovsdb = rpc_context(call)->ovsdb;
    struct scope scope;
    if (!have_export(call) || !scope_param(call, ovsdb, params, &scope)) {
        return;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *plans = json_object_new_array();
    struct json_object *unreachable = json_object_new_array();
    bool all = flag_param(params, "all");
    size_t pending = add_plans(ovsdb, &scope, all, NULL, plans,
                               unreachable);
    struct json_object *list = plan_probes(rpc_context(call), scope.bridge,
                                           scope.policy, all, &pending);
    reply_uint(o, "pending", pending);
    json_object_object_add(o, "plans", plans);
    json_object_object_add(o, "unreachable", unreachable);
    json_object_object_add(o, "probes", list);
    rpc_reply(call, o);
}

/* export.apply */

/* What can't be kept is not done: after a restart it would be undone. */
static void
fail_order(struct rpc_call *call, int error)
{
    rpc_fail(call, RPC_FAILED, NULL, "nothing was changed: the request could "
             "not be kept in the state directory (meta/orders*), and a "
             "restart would undo it: %s", strerror(-error));
}

/* Adds 'v' (taken over) as what a bridge has of a protocol. */
static void
add_part(struct json_object *o, const struct export_change *c,
         struct json_object *v)
{
    char name[200];
    if (c->sample) {
        snprintf(name, sizeof name, "%.150s/flow-sample/%u", c->bridge,
                 c->sample_id);
    } else {
        snprintf(name, sizeof name, "%.150s/%s", c->bridge,
                 export_table_name(c->table));
    }
    json_object_object_add(o, name, v);
}

/* For the audit log: of each database, bridge by bridge, the columns that are
 * to be written, as they are and as they will be. */
static void
audit_plans(struct rpc_call *call, struct export_plan *const *plans, size_t n,
            const struct scope *scope)
{
    struct json_object *all_before = json_object_new_object();
    struct json_object *all_after = json_object_new_object();

    for (size_t i = 0; i < n; i++) {
        const struct export_plan *p = plans[i];
        struct json_object *before = json_object_new_object();
        struct json_object *after = json_object_new_object();
        for (size_t j = 0; p && j < p->n_changes; j++) {
            const struct export_change *c = &p->changes[j];
            if (c->state != STATE_PENDING || !in_scope(c, scope)) {
                continue;
            }
            struct json_object *x = json_object_new_object();
            struct json_object *y = json_object_new_object();
            for (size_t k = 0; k < c->n_diffs; k++) {
                reply_string(x, c->diffs[k].column, c->diffs[k].old_value);
                reply_string(y, c->diffs[k].column, c->diffs[k].new_value);
            }
            add_part(before, c, x);
            add_part(after, c, y);
        }
        if (p && json_object_object_length(before)) {
            json_object_object_add(all_before, p->remote, before);
            json_object_object_add(all_after, p->remote, after);
        } else {
            json_object_put(before);
            json_object_put(after);
        }
    }
    rpc_audit(call, all_before, all_after);
}

/* For the audit log: what export there is, of each database. */
static struct json_object *
exports_now(struct ovsdb *ovsdb, const struct scope *scope)
{
    struct json_object *all = json_object_new_object();

    for (size_t i = 0; i < n_remotes(ovsdb); i++) {
        struct export_plan *p = ovsdb_plan(ovsdb, i);
        struct json_object *o = json_object_new_object();
        for (size_t j = 0; p && j < p->n_changes; j++) {
            const struct export_change *c = &p->changes[j];
            if (c->policy && in_scope(c, scope)) {
                add_part(o, c, json_object_new_string(
                             export_state_name(c->state)));
            }
        }
        if (p) {
            json_object_object_add(all, p->remote, o);
        } else {
            json_object_put(o);
        }
        export_plan_destroy(p);
    }
    return all;
}

static void
export_apply(struct rpc_call *call, struct json_object *params)
{
    struct ovsdb *ovsdb = rpc_context(call)->ovsdb;
    struct scope scope;
    if (!have_export(call) || !scope_param(call, ovsdb, params, &scope)) {
        return;
    }
    const struct api_context *c = rpc_context(call);
    /* Before anything is written, so that the answer says what is. */
    struct export_plan **made = calloc(n_remotes(ovsdb) + 1, sizeof *made);
    int error = ovsdb ? ovsdb_apply_to(ovsdb, scope.bridge, scope.policy, made)
                      : 0;
    error = error || !c->order_probes ? error
            : c->order_probes(c->probes_aux, true, scope.bridge,
                              scope.policy);
    if (error) {
        for (size_t i = 0; made && i < n_remotes(ovsdb); i++) {
            export_plan_destroy(made[i]);
        }
        free(made);
        fail_order(call, error);
        return;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *plans = json_object_new_array();
    struct json_object *unreachable = json_object_new_array();
    if (made) {
        audit_plans(call, made, n_remotes(ovsdb), &scope);
    }
    size_t pending = add_plans(ovsdb, &scope, false, made, plans,
                               unreachable);
    free(made);
    struct json_object *list = plan_probes(c, scope.bridge, scope.policy,
                                           false, &pending);
    reply_uint(o, "pending", pending);
    json_object_object_add(o, "plans", plans);
    json_object_object_add(o, "unreachable", unreachable);
    json_object_object_add(o, "probes", list);
    rpc_reply(call, o);
}

/* export.remove */

struct removal {
    struct rpc_call *call;
    struct api *api;
    int n;
    size_t n_probes;            /* Stopped. */
    struct json_object *before; /* What there was, for the audit log. */
};

static void
deliver_removal(void *m_)
{
    struct removal *m = m_;
    if (m->n >= 0) {
        struct json_object *o = json_object_new_object();
        reply_int(o, "removed", m->n);
        reply_uint(o, "probes", m->n_probes);
        rpc_audit(m->call, json_object_get(m->before), json_object_get(o));
        rpc_reply(m->call, o);
    } else if (m->n == -ENOTCONN) {
        rpc_fail(m->call, RPC_UNAVAILABLE, NULL, "no database can be "
                 "reached; export.status says why");
    } else if (m->n == -ETIMEDOUT) {
        rpc_fail(m->call, RPC_TIMEOUT, NULL, "not all rows could be removed "
                 "in time; export.status says why");
    } else {
        rpc_fail(m->call, RPC_FAILED, NULL, "%s", strerror(-m->n));
    }
    json_object_put(m->before);
    free(m);
}

/* On the OVSDB thread. */
static void
removal_done(void *m_, int n)
{
    struct removal *m = m_;
    m->n = n;
    api_post(m->api, deliver_removal, m);
}

static void
export_remove(struct rpc_call *call, struct json_object *params)
{
    struct ovsdb *ovsdb = rpc_context(call)->ovsdb;
    struct scope scope;
    if (!have_export(call) || !scope_param(call, ovsdb, params, &scope)) {
        return;
    }
    struct removal *m = malloc(sizeof *m);
    if (!m) {
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        return;
    }
    const struct api_context *c = rpc_context(call);
    *m = (struct removal) {
        .call = call, .api = rpc_api(call),
        .n_probes = probes_running(c, scope.bridge, scope.policy),
        .before = rpc_is_audited(call) ? exports_now(ovsdb, &scope) : NULL,
    };
    int error = c->order_probes ? c->order_probes(c->probes_aux, false,
                                                  scope.bridge, scope.policy)
                                : 0;
    if (!error && ovsdb) {
        error = ovsdb_remove(ovsdb, scope.bridge, scope.policy, removal_done,
                             m);
        if (error && c->order_probes) {         /* All or nothing. */
            c->order_probes(c->probes_aux, true, scope.bridge, scope.policy);
        }
    } else if (!error) {
        deliver_removal(m);
    }
    if (error) {
        fail_order(call, error);
        json_object_put(m->before);
        free(m);
    }
}

/* export.status */

/* Datagrams that came from a bridge by a protocol, whatever was in them. */
struct heard {
    uint32_t bridge;
    uint8_t protocol;
    uint64_t datagrams, counter_samples;
};

#define MAX_HEARD 4096

struct listening {
    const struct observation_map *map;
    struct heard *list;
    size_t n;
};

static bool
hear(struct source *source, void *l_)
{
    struct listening *l = l_;
    const struct observation *obs = observation_find_source(l->map, source);
    struct heard *h = NULL;
    if (!obs || !obs->bridge) {
        return true;
    }
    for (size_t i = 0; i < l->n && !h; i++) {
        if (l->list[i].bridge == obs->bridge
            && l->list[i].protocol == source->key.protocol) {
            h = &l->list[i];
        }
    }
    if (!h) {
        if (l->n >= MAX_HEARD) {
            return false;
        }
        h = &l->list[l->n++];
        *h = (struct heard) { obs->bridge, source->key.protocol, 0, 0 };
    }
    h->datagrams += counter_get(&source->n.datagrams);
    h->counter_samples += counter_get(&source->n.counter_records);
    return true;
}

static void
listen_to_sources(const struct api_context *c, struct listening *l)
{
    *l = (struct listening) {
        .map = c->observations ? *c->observations : NULL,
        .list = calloc(MAX_HEARD, sizeof *l->list),
    };
    if (l->map && l->list && c->sources) {
        source_table_each(c->sources, hear, l);
    }
}

static const struct heard *
heard_from(const struct listening *l, uint32_t bridge, uint8_t protocol)
{
    static const struct heard nothing;
    for (size_t i = 0; i < l->n; i++) {
        if (l->list[i].bridge == bridge
            && l->list[i].protocol == protocol) {
            return &l->list[i];
        }
    }
    return &nothing;
}

/* Whether what a bridge sends by a protocol is known to come to us: a row in
 * effect has our collector among its targets. */
static bool
comes_to_us(const struct listening *l, const struct observation_stats *stats)
{
    for (uint32_t i = 0; l->map && i < l->map->n; i++) {
        if (l->map->list[i].stats == stats) {
            return true;
        }
    }
    return false;
}

/* Why nothing comes, in words. */
static void
say_silence(const struct ovsdb_status *st, int64_t last_us,
            const struct heard *heard, int64_t quiet_s, char *text,
            size_t size)
{
    long long quiet = quiet_s;
    if (st->sample) {
        snprintf(text, size, "no record for %lld s: no OpenFlow flow of the "
                 "bridge has the action sample(collector_set_id=%u,...), or "
                 "none of its packets came (ovs-ofctl dump-ipfix-flow "
                 "counts)", quiet, st->sample_id);
    } else if (last_us > st->applied_us) {
        snprintf(text, size, "no record for %lld s: no traffic, or "
                 "ovs-vswitchd stopped exporting", quiet);
    } else if (heard->counter_samples) {
        snprintf(text, size, "counter samples arrive, so export works; no "
                 "packet has been sampled (1 in %u) for %lld s", st->sampling,
                 quiet);
    } else if (heard->datagrams) {
        snprintf(text, size, "%llu datagrams came, but no record that could "
                 "be decoded; exporter.list has the counters",
                 (unsigned long long) heard->datagrams);
    } else {
        snprintf(text, size, "in place for %lld s and nothing came: no "
                 "traffic, or ovs-vswitchd could not open the collector or "
                 "resolve the agent (only its log says so)", quiet);
    }
}

/* What is to be judged. */
struct evidence {
    const struct ovsdb_status *st;
    const struct observation_stats *stats;
    const struct heard *heard;
    bool ours;                  /* The row is. */
    bool to_us;                 /* It sends to us. */
    int64_t started_us, now_us;
};

/* Adds what data says to what the database says: "receiving" and "silent" are
 * only ever said here.  'text' has room for 'size'. */
static enum export_state
judge(const struct evidence *e, char *text, size_t size)
{
    const struct ovsdb_status *st = e->st;
    int64_t last_us = e->stats ? e->stats->last_us : 0;
    int n = snprintf(text, size, "%s", st->reason ? st->reason : "");
    if (st->state != STATE_IN_SYNC) {
        return st->state;
    }
    /* Of a row that is not ours, its owner comes first. */
    if ((!e->ours || !e->to_us) && n > 0 && (size_t) n + 2 < size) {
        memcpy(text + n, "; ", 3);
        text += n + 2;
        size -= (size_t) n + 2;
    }
    if (!e->to_us) {
        snprintf(text, size, st->n_targets
                 ? "our collector is not among its targets: what arrives "
                 "there is not for us to see" : "it names no target");
        return STATE_IN_SYNC;
    }
    int64_t since_us = st->applied_us > e->started_us ? st->applied_us
                                                      : e->started_us;
    since_us = last_us > since_us ? last_us : since_us;
    int64_t quiet_us = e->now_us - since_us;
    if (last_us > st->applied_us && quiet_us <= st->expect_within_us) {
        snprintf(text, size, "records arrive");
        return STATE_RECEIVING;
    }
    if (quiet_us <= st->expect_within_us) {
        snprintf(text, size, "in place; the first record may take %lld s",
                 (long long) st->expect_within_us / 1000000);
        return STATE_IN_SYNC;
    }
    say_silence(st, last_us, e->heard, quiet_us / 1000000, text, size);
    return STATE_SILENT;
}

/* One bridge and protocol, by what the database and the data say. */
struct judged {
    const struct observation_stats *stats;      /* Or NULL. */
    bool ours;
    enum export_state state;
    char reason[512];
};

static void
judge_status(const struct api_context *c, const struct listening *l,
             const struct ovsdb_status *st, int64_t now_us,
             struct judged *out)
{
    uint8_t protocol = protocol_of[st->table];
    uint32_t bridge = c->dict ? dict_intern(c->dict, st->bridge,
                                            strlen(st->bridge)) : 0;
    /* Records of a Flow_Sample_Collector_Set are known by what they say of
     * themselves. */
    const char *id = st->virtual_obs_id;
    uint32_t key = !st->sample ? bridge
                   : id && c->dict ? dict_intern(c->dict, id, strlen(id)) : 0;

    out->stats = key || !st->sample ? observation_stats_get(key, protocol)
                                    : NULL;
    out->ours = st->owner && c->owner && !strcmp(st->owner, c->owner);
    const struct evidence evidence = {
        .st = st, .stats = out->stats,
        .heard = heard_from(l, bridge, protocol), .ours = out->ours,
        .to_us = out->stats && comes_to_us(l, out->stats),
        .started_us = c->started_us, .now_us = now_us,
    };
    out->state = judge(&evidence, out->reason, sizeof out->reason);
}

void
export_states_each(const struct api_context *c, int64_t now_us,
                   export_state_fn *f, void *aux)
{
    struct listening l;
    size_t n;
    struct ovsdb_status *status = ovsdb_status(c->ovsdb, &n);

    listen_to_sources(c, &l);
    for (size_t i = 0; i < n; i++) {
        struct judged j;
        judge_status(c, &l, &status[i], now_us, &j);
        f(aux, &status[i], j.state, j.reason);
    }
    free(l.list);
    ovsdb_status_destroy(status, n);
}

static struct json_object *
status_to_json(const struct api_context *c, const struct listening *l,
               const struct ovsdb_status *st, int64_t now_us)
{
    struct json_object *o = json_object_new_object();
    struct judged j;

    judge_status(c, l, st, now_us, &j);
    const struct observation_stats *stats = j.stats;
    int64_t first_us = stats ? stats->first_us : 0;
    int64_t last_us = stats ? stats->last_us : 0;
    reply_string(o, "remote", st->remote);
    reply_string(o, "bridge", st->bridge);
    add_protocol(o, st->table, st->sample, st->sample_id);
    reply_string(o, "state", export_state_name(j.state));
    reply_string(o, "reason", j.reason);
    reply_string(o, "policy", st->policy);
    reply_string(o, "owner", st->owner);
    reply_bool(o, "ours", j.ours);
    json_object_object_add(o, "targets", texts_to_json(st->targets,
                                                       st->n_targets));
    if (st->sampling) {
        reply_uint(o, "sampling", st->sampling);
    } else {
        json_object_object_add(o, "sampling", NULL);
    }
    reply_time(o, "applied", st->applied_us);
    reply_time(o, "first_seen", first_us);
    reply_time(o, "last_seen", last_us);
    reply_uint(o, "records", stats ? counter_get(&stats->records) : 0);
    reply_uint(o, "packets", stats ? counter_get(&stats->packets) : 0);
    reply_uint(o, "bytes", stats ? counter_get(&stats->bytes) : 0);
    return o;
}

static void
export_status(struct rpc_call *call, struct json_object *params)
{
    struct ovsdb *ovsdb = rpc_context(call)->ovsdb;
    const char *bridge;
    if (!have_export(call) || !bridge_param(call, ovsdb, params, &bridge)) {
        return;
    }
    struct api_context *c = rpc_context(call);
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();
    struct listening l;
    size_t n = 0;
    struct ovsdb_status *status = ovsdb ? ovsdb_status(ovsdb, &n) : NULL;

    listen_to_sources(c, &l);
    for (size_t i = 0; i < n; i++) {
        if (!bridge || !strcmp(bridge, status[i].bridge)) {
            json_object_array_add(list, status_to_json(c, &l, &status[i],
                                                       clock_wall_us()));
        }
    }
    free(l.list);
    ovsdb_status_destroy(status, n);
    status_probes(c, bridge, list);
    json_object_object_add(o, "remotes", remotes_to_json(ovsdb));
    json_object_object_add(o, "status", list);
    json_object_object_add(o, "probes", reply_probes(c, bridge));
    rpc_reply(call, o);
}

/* The table. */

#define TEXT_OR_NULL "{\"type\":[\"string\",\"null\"]}"
#define PROTOCOL                                                            \
    "{\"enum\":[\"netflow\",\"sflow\",\"ipfix\",\"flow-sample\","           \
    "\"probe\"]},"                                                          \
    "\"id\":{\"type\":\"integer\"}"
#define RATE_OR_NULL "{\"type\":[\"integer\",\"null\"]}"
#define STATE                                                               \
    "{\"enum\":[\"off\",\"in-sync\",\"pending\",\"receiving\",\"silent\","  \
    "\"conflict\",\"error\"]}"

#define REMOTE_SCHEMA                                                       \
    "{\"type\":\"object\",\"required\":[\"remote\",\"connected\"],"         \
    "\"properties\":{\"remote\":{\"type\":\"string\"},"                     \
    "\"connected\":{\"type\":\"boolean\"},\"reason\":" TEXT_OR_NULL ","     \
    "\"ovs_version\":" TEXT_OR_NULL ",\"db_version\":" TEXT_OR_NULL ","     \
    "\"system_id\":" TEXT_OR_NULL ",\"hostname\":" TEXT_OR_NULL ","         \
    "\"hw_offload\":{\"type\":\"boolean\"},"                                \
    "\"bridges\":{\"type\":\"integer\"}}}"
#define REMOTE_EXAMPLE                                                      \
    "{\"remote\":\"unix:/var/run/openvswitch/db.sock\",\"connected\":true," \
    "\"reason\":null,\"ovs_version\":\"3.1.0\",\"db_version\":\"8.3.1\","   \
    "\"system_id\":\"b1c3\",\"hostname\":\"node-1\",\"hw_offload\":false,"  \
    "\"bridges\":1}"

#define CHANGE_SCHEMA                                                       \
    "{\"type\":\"object\",\"required\":[\"bridge\",\"protocol\","           \
    "\"action\",\"state\",\"reason\",\"diff\",\"warnings\"],"               \
    "\"properties\":{\"bridge\":{\"type\":\"string\"},"                     \
    "\"protocol\":" PROTOCOL ","                                            \
    "\"action\":{\"enum\":[\"none\",\"create\",\"update\",\"remove\","      \
    "\"append\",\"detach\",\"skip\"]},\"state\":" STATE ","                 \
    "\"policy\":" TEXT_OR_NULL ",\"reason\":{\"type\":\"string\"},"         \
    "\"diff\":{\"type\":\"array\",\"items\":{\"type\":\"object\","          \
    "\"properties\":{\"column\":{\"type\":\"string\"},\"old\":"             \
    TEXT_OR_NULL ",\"new\":" TEXT_OR_NULL "}}},"                            \
    "\"records_per_second\":" RATE_OR_NULL ","                              \
    "\"bytes_per_second\":" RATE_OR_NULL ","                                \
    "\"records_per_100000_packets\":" RATE_OR_NULL ","                      \
    "\"bytes_per_100000_packets\":" RATE_OR_NULL ","                        \
    "\"warnings\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}"
#define PLANS_SCHEMA                                                        \
    "{\"type\":\"object\",\"required\":[\"pending\",\"plans\","             \
    "\"unreachable\"],\"properties\":{\"pending\":{\"type\":\"integer\"},"  \
    "\"plans\":{\"type\":\"array\",\"items\":{\"type\":\"object\","         \
    "\"required\":[\"remote\",\"pending\",\"changes\"],\"properties\":{"    \
    "\"remote\":{\"type\":\"string\"},\"generation\":{\"type\":"            \
    "\"integer\"},\"pending\":{\"type\":\"integer\"},\"changes\":{"         \
    "\"type\":\"array\",\"items\":" CHANGE_SCHEMA "},\"warnings\":{"       \
    "\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}},"               \
    "\"unreachable\":{\"type\":\"array\",\"items\":" REMOTE_SCHEMA "},"   \
    "\"probes\":{\"type\":\"array\",\"items\":{\"type\":\"object\","      \
    "\"required\":[\"interface\",\"action\",\"reason\",\"warnings\"],"      \
    "\"properties\":{\"interface\":{\"type\":\"string\"},"                  \
    "\"action\":{\"enum\":[\"none\",\"start\",\"restart\","                 \
    "\"stop\",\"skip\"]},"                                                  \
    "\"policy\":" TEXT_OR_NULL ",\"reason\":{\"type\":\"string\"},"         \
    "\"command\":" TEXT_OR_NULL ",\"warnings\":{\"type\":\"array\","        \
    "\"items\":{\"type\":\"string\"}}}}}}}"
#define PLANS_EXAMPLE                                                       \
    "{\"pending\":1,\"plans\":[{\"remote\":"                                \
    "\"unix:/var/run/openvswitch/db.sock\",\"generation\":4,\"pending\":1," \
    "\"changes\":[{\"bridge\":\"br-int\",\"protocol\":\"sflow\","           \
    "\"action\":\"create\",\"state\":\"pending\",\"policy\":\"default\","   \
    "\"reason\":\"policy default asks for it\",\"diff\":[{\"column\":"      \
    "\"targets\",\"old\":null,\"new\":\"127.0.0.1:6343\"}],"                \
    "\"warnings\":[],\"records_per_second\":20,"                            \
    "\"bytes_per_second\":5600,\"records_per_100000_packets\":195,"         \
    "\"bytes_per_100000_packets\":54297}],"                                 \
    "\"warnings\":[]}],\"unreachable\":[],"                                 \
    "\"probes\":[]}"

#define STATUS_SCHEMA                                                       \
    "{\"type\":\"object\",\"required\":[\"remotes\",\"status\"],"           \
    "\"properties\":{\"remotes\":{\"type\":\"array\",\"items\":"            \
    REMOTE_SCHEMA "},\"status\":{\"type\":\"array\",\"items\":{"            \
    "\"type\":\"object\",\"required\":[\"bridge\",\"protocol\",\"state\","  \
    "\"reason\"],\"properties\":{\"remote\":{\"type\":\"string\"},"         \
    "\"bridge\":{\"type\":\"string\"},\"protocol\":" PROTOCOL ","           \
    "\"state\":" STATE ",\"reason\":{\"type\":\"string\"},"                 \
    "\"policy\":" TEXT_OR_NULL ",\"owner\":" TEXT_OR_NULL ","               \
    "\"ours\":{\"type\":\"boolean\"},\"targets\":{\"type\":\"array\","      \
    "\"items\":{\"type\":\"string\"}},\"sampling\":{\"type\":"              \
    "[\"integer\",\"null\"]},\"applied\":" TEXT_OR_NULL ","                 \
    "\"first_seen\":" TEXT_OR_NULL ",\"last_seen\":" TEXT_OR_NULL ","       \
    "\"records\":{\"type\":\"integer\"},\"packets\":{\"type\":"             \
    "\"integer\"},\"bytes\":{\"type\":\"integer\"}}}}}}"
#define STATUS_EXAMPLE                                                      \
    "{\"remotes\":[" REMOTE_EXAMPLE "],\"status\":[{\"remote\":"            \
    "\"unix:/var/run/openvswitch/db.sock\",\"bridge\":\"br-int\","          \
    "\"protocol\":\"sflow\",\"state\":\"receiving\","                       \
    "\"reason\":\"records arrive\",\"policy\":\"default\",\"owner\":"       \
    "\"4f0c\",\"ours\":true,\"targets\":[\"127.0.0.1:6343\"],"              \
    "\"sampling\":400,\"applied\":\"2026-11-23T02:00:00Z\","                \
    "\"first_seen\":\"2026-11-23T02:00:01Z\","                              \
    "\"last_seen\":\"2026-11-23T03:00:00Z\",\"records\":1200,"              \
    "\"packets\":480000,\"bytes\":360000000}]}"

#define BRIDGE_PARAM                                                        \
    { "bridge", PARAM_STRING, false, "only this bridge",                    \
      "{\"type\":\"string\",\"minLength\":1,\"maxLength\":1024}" }

#define POLICY_PARAM                                                        \
    { "policy", PARAM_STRING, false, "only the bridges of this policy",     \
      "{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}" }

static const struct rpc_param plan_params[] = {
    BRIDGE_PARAM, POLICY_PARAM,
    { "all", PARAM_BOOLEAN, false,
      "also what needs no change; false is the default", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param bridge_params[] = {
    BRIDGE_PARAM,
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param scope_params[] = {
    BRIDGE_PARAM, POLICY_PARAM,
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_export[] = {
    {
        .name = "export.plan",
        .role = ROLE_VIEWER,
        .summary = "What would be written to the bridges, column by column, "
                   "with warnings.  Nothing is written.",
        .params = plan_params,
        .result_schema = PLANS_SCHEMA,
        .example_params = "{\"bridge\":\"br-int\"}",
        .example_result = PLANS_EXAMPLE,
        .call = export_plan,
    }, {
        .name = "export.apply",
        .role = ROLE_OPERATOR,
        .summary = "Write what export.plan says, and keep it so until the "
                   "daemon ends.  Answers with what is still to be written; "
                   "export.status tells what came of it.",
        .params = scope_params,
        .result_schema = PLANS_SCHEMA,
        .example_params = "{\"bridge\":\"br-int\"}",
        .example_result = PLANS_EXAMPLE,
        .call = export_apply,
    }, {
        .name = "export.status",
        .role = ROLE_VIEWER,
        .summary = "Each bridge and protocol: is the row in place, whose is "
                   "it, and does data arrive?",
        .params = bridge_params,
        .result_schema = STATUS_SCHEMA,
        .example_params = "{\"bridge\":\"br-int\"}",
        .example_result = STATUS_EXAMPLE,
        .call = export_status,
    }, {
        .name = "export.remove",
        .role = ROLE_OPERATOR,
        .summary = "Take away what we wrote, from all bridges, from one, or "
                   "from those of a policy; what it displaced comes back.  "
                   "Nothing is written there again before export.apply.",
        .params = scope_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"removed\"],"
            "\"properties\":{\"removed\":{\"type\":\"integer\"},"
            "\"probes\":{\"type\":\"integer\"}}}",
        .example_params = "{\"bridge\":\"br-int\"}",
        .example_result = "{\"removed\":1,\"probes\":0}",
        .call = export_remove,
    },
    { .name = NULL }
};
