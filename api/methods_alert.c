/* Alerts: alert.list, alert.acknowledge, alert.mute, alert.rule.*. */
#include <config.h>

#include "api/alert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/config.h"
#include "api/context.h"
#include "api/deliver.h"
#include "api/json.h"
#include "api/methods.h"
#include "api/model.h"
#include "collector/alert/engine.h"
#include "lib/clock.h"

#define DEFAULT_LIMIT 100

static struct alerts *
alerts_of(struct rpc_call *call)
{
    struct alerts *a = rpc_context(call)->alerts;
    if (!a) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no alerts here");
    }
    return a;
}

static void
alert_list(struct rpc_call *call, struct json_object *params)
{
    struct alerts *a = alerts_of(call);
    struct json_object *limit = json_member(params, "limit");
    const char *state = json_text(params, "state");

    if (!a) {
        return;
    }
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "alerts", alerts_list(
        a, !state || !strcmp(state, "raised"), json_text(params, "rule"),
        limit ? json_object_get_int64(limit) : DEFAULT_LIMIT));
    json_object_object_add(o, "mutes", alerts_mutes(a, clock_wall_us()));
    json_object_object_add(o, "deliveries",
                           deliveries_status(alerts_deliveries(a)));
    json_object_object_add(o, "counters", reply_counters(
        alert_engine_counters(alerts_engine(a)), alert_counter_defs));
    rpc_reply(call, o);
}

static void
alert_acknowledge(struct rpc_call *call, struct json_object *params)
{
    struct alerts *a = alerts_of(call);
    uint64_t id = json_object_get_uint64(json_member(params, "alert"));

    if (!a) {
        return;
    }
    struct json_object *before = alerts_get(a, id);
    if (!before) {
        rpc_fail(call, RPC_NOT_FOUND, "alert", "there is no alert %llu",
                 (unsigned long long) id);
        return;
    }
    alerts_acknowledge(a, id, rpc_caller(call)->name,
                       json_text(params, "comment"), clock_wall_us());
    struct json_object *after = alerts_get(a, id);
    rpc_audit(call, before, json_object_get(after));
    rpc_reply(call, after);
}

static void
alert_mute(struct rpc_call *call, struct json_object *params)
{
    struct alerts *a = alerts_of(call);
    const char *rule = json_text(params, "rule");
    const char *subject = json_text(params, "subject");
    int64_t now_us = clock_wall_us(), us = 0;

    if (!a) {
        return;
    }
    duration_parse_us(json_text(params, "duration"), &us);
    if (us > INT64_C(366) * 86400 * 1000000) {
        rpc_fail(call, RPC_INVALID_PARAMS, "duration", "at most 366d");
        return;
    }
    if (!rule && !subject) {
        rpc_fail(call, RPC_INVALID_PARAMS, "rule", "which rule, or which "
                 "subject? * is all of them");
        return;
    }
    struct json_object *before = alerts_mutes(a, now_us);
    if (alerts_mute(a, rule, subject, rpc_caller(call)->name,
                    json_text(params, "comment"), now_us, now_us + us)) {
        json_object_put(before);
        rpc_fail(call, RPC_BUSY, NULL, "there are %d mutes already",
                 MUTES_MAX);
        return;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *after = alerts_mutes(a, now_us);
    rpc_audit(call, before, json_object_get(after));
    json_object_object_add(o, "mutes", after);
    rpc_reply(call, o);
}

/* ---- Rules. ---- */

static struct json_object *
rule_object(struct alerts *a, const struct alert_rule *r)
{
    struct json_object *o = config_alert_rule(r);
    struct json_object *status = json_object_new_object();
    struct alert_rule_status s;

    reply_bool(o, "builtin", r->builtin);
    if (alert_engine_status(alerts_engine(a), r->name, &s)) {
        reply_uint(status, "keys", s.keys);
        reply_uint(status, "room", s.table);
        reply_uint(status, "evicted", s.evicted);
        reply_uint(status, "active", s.active);
        reply_bool(status, "learning", s.learning);
        reply_int(status, "learned_s", s.learned_s);
        json_object_object_add(status, "total",
                               json_object_new_double(s.total));
    }
    json_object_object_add(o, "status", status);
    return o;
}

static struct json_object *
rules_object(struct alerts *a)
{
    const struct config_alert *c = alerts_config(a);
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; c && i < c->n_rules; i++) {
        json_object_array_add(list, rule_object(a, &c->rules[i]));
    }
    json_object_object_add(o, "rules", list);
    return o;
}

static void
rule_list(struct rpc_call *call, struct json_object *params)
{
    struct alerts *a = alerts_of(call);

    (void) params;
    if (a) {
        rpc_reply(call, rules_object(a));
    }
}

static struct json_object *
make_member(struct json_object *o, const char *name, bool list)
{
    struct json_object *v = json_member(o, name);
    if (!v) {
        v = list ? json_object_new_array() : json_object_new_object();
        json_object_object_add(o, name, v);
    }
    return v;
}

static int
find_rule(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *have = json_text(json_object_array_get_idx(list, i),
                                     "name");
        if (have && !strcmp(have, name)) {
            return (int) i;
        }
    }
    return -1;
}

/* Puts the tree into effect; says what is wrong in the words of a rule. */
static void
commit(struct rpc_call *call, struct alerts *a, struct json_object *tree)
{
    struct config_store *store = rpc_context(call)->config;
    struct config_error error = { .path = "" };

    reply_config_author(call, store);
    int err = config_edit(store, tree, false, &error);
    if (err) {
        const char *rest = strstr(error.path, "']");
        char where[600];
        snprintf(where, sizeof where, "rule%s", rest ? rest + 2 : "");
        rpc_fail(call, err == -EINVAL ? RPC_INVALID_PARAMS
                 : err == -ESTALE ? RPC_CONFLICT : RPC_FAILED,
                 err == -EINVAL ? where : NULL, "%s: %s",
                 err == -EINVAL ? where : error.path, error.message);
        return;
    }
    reply_config_audit(call, store);
    rpc_reply(call, rules_object(a));
}

/* What the file says of rules; the tree is the caller's. */
static struct json_object *
rules_of(struct rpc_call *call, struct json_object **tree)
{
    struct config_store *store = rpc_context(call)->config;

    if (!store) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no configuration is loaded");
        return NULL;
    }
    *tree = config_to_json(store, false);
    return make_member(make_member(make_member(*tree, MODEL_ROOT, false),
                                   "alert", false), "rule", true);
}

static void
rule_set(struct rpc_call *call, struct json_object *params)
{
    struct alerts *a = alerts_of(call);
    struct json_object *rule = json_member(params, "rule"), *tree = NULL;
    struct json_object *list = a ? rules_of(call, &tree) : NULL;
    const char *name = json_text(rule, "name");

    if (!list) {
        return;
    }
    if (!name) {
        rpc_fail(call, RPC_INVALID_PARAMS, "rule/name", "a rule has a name");
    } else {
        int at = find_rule(list, name);
        if (at >= 0) {
            json_object_array_put_idx(list, (size_t) at,
                                      json_object_get(rule));
        } else {
            json_object_array_add(list, json_object_get(rule));
        }
        commit(call, a, tree);
    }
    json_object_put(tree);
}

static void
rule_delete(struct rpc_call *call, struct json_object *params)
{
    struct alerts *a = alerts_of(call);
    const char *name = json_text(params, "name");
    struct json_object *tree = NULL;
    struct json_object *list = a ? rules_of(call, &tree) : NULL;

    if (!list) {
        return;
    }
    int at = find_rule(list, name);
    bool builtin = false;
    for (size_t i = 0; i < n_alert_builtin; i++) {
        builtin |= !strcmp(alert_builtin[i].name, name);
    }
    if (at < 0) {
        rpc_fail(call, RPC_NOT_FOUND, "name", builtin ? "%s is built in: set "
                 "it with \"enabled\": false, or alert/builtin to false"
                 : "there is no rule %s", name);
    } else {
        json_object_array_del_idx(list, (size_t) at, 1);
        if (!json_object_array_length(list)) {
            json_object_object_del(json_member(json_member(tree, MODEL_ROOT),
                                               "alert"), "rule");
        }
        commit(call, a, tree);
    }
    json_object_put(tree);
}

/* ---- The table. ---- */

#define TIME_OR_NULL "{\"type\":[\"string\",\"null\"]}"
#define ALERT_SCHEMA                                                    \
    "{\"type\":\"object\",\"required\":[\"id\",\"rule\",\"subject\","   \
    "\"state\",\"severity\",\"message\",\"raised\",\"cleared\","        \
    "\"acknowledged\",\"muted\",\"detail\"],\"properties\":{"           \
    "\"id\":{\"type\":\"integer\"},\"rule\":{\"type\":\"string\"},"     \
    "\"subject\":{\"type\":\"string\"},"                                \
    "\"state\":{\"enum\":[\"raised\",\"cleared\"]},"                    \
    "\"severity\":{\"type\":\"string\"},"                               \
    "\"message\":{\"type\":\"string\"},\"raised\":" TIME_OR_NULL ","    \
    "\"cleared\":" TIME_OR_NULL ",\"acknowledged\":" TIME_OR_NULL ","   \
    "\"muted\":{\"type\":\"boolean\"},"                                 \
    "\"detail\":{\"type\":[\"object\",\"null\"]}}}"
#define ALERT_EXAMPLE                                                   \
    "{\"id\":12,\"rule\":\"traffic-spike\",\"subject\":\"10.0.0.5\","   \
    "\"state\":\"raised\",\"severity\":\"warning\",\"message\":"        \
    "\"traffic-spike: 10.0.0.5 (web-1, tenant blue) has 512 Mbit/s, more "  \
    "than 100 Mbit/s; usual is 8.1 Mbit/s\","                           \
    "\"raised\":\"2026-11-23T09:12:44Z\",\"cleared\":null,"             \
    "\"acknowledged\":null,\"acknowledged_by\":null,\"comment\":null,"  \
    "\"muted\":false,\"detail\":{\"type\":\"baseline\","                \
    "\"metric\":\"bps\",\"value\":512000000.0,\"limit\":100000000.0,"   \
    "\"usual\":8100000.0,\"key\":{\"dst_addr\":\"10.0.0.5\"},"          \
    "\"who\":{\"address\":\"10.0.0.5\",\"endpoint\":\"web-1\","         \
    "\"tenant\":\"blue\",\"since\":\"2026-11-20T10:00:00Z\"}}}"
#define RULES_SCHEMA                                                    \
    "{\"type\":\"object\",\"required\":[\"rules\"],\"properties\":{"    \
    "\"rules\":{\"type\":\"array\",\"items\":{\"type\":\"object\","     \
    "\"required\":[\"name\",\"type\",\"enabled\",\"builtin\","          \
    "\"status\"],\"properties\":{\"name\":{\"type\":\"string\"},"       \
    "\"type\":{\"enum\":[\"threshold\",\"baseline\",\"new\","           \
    "\"silence\"]},\"enabled\":{\"type\":\"boolean\"},"                 \
    "\"builtin\":{\"type\":\"boolean\"},"                               \
    "\"status\":{\"type\":\"object\"}}}}}}"
#define RULES_EXAMPLE                                                   \
    "{\"rules\":[{\"name\":\"dns-flood\",\"enabled\":true,"             \
    "\"type\":\"threshold\",\"severity\":\"error\",\"metric\":\"pps\"," \
    "\"filter\":\"proto udp and src port 53\",\"by\":[\"dst_addr\"],"   \
    "\"hold\":\"3s\",\"clear\":\"60s\",\"keys\":8192,"                  \
    "\"above\":\"20k\",\"deliver\":[],\"builtin\":false,"               \
    "\"status\":{\"keys\":3,\"room\":8192,\"evicted\":0,\"active\":0,"  \
    "\"learning\":false,\"learned_s\":3600,\"total\":120.0}}]}"

static const struct rpc_param list_params[] = {
    { "state", PARAM_STRING, false, "raised: those that are; all: also those "
      "that were; raised is the default", "{\"enum\":[\"raised\",\"all\"]}" },
    { "rule", PARAM_STRING, false, "only of this rule", NULL },
    { "limit", PARAM_INTEGER, false, "the newest so many; 100 is the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param acknowledge_params[] = {
    { "alert", PARAM_INTEGER, true, "its number",
      "{\"type\":\"integer\",\"minimum\":1}" },
    { "comment", PARAM_STRING, false, "for others to read",
      "{\"type\":\"string\",\"maxLength\":1000}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param mute_params[] = {
    { "duration", PARAM_DURATION, true, "for so long; 0s ends it", NULL },
    { "rule", PARAM_STRING, false, "alerts of this rule; * and ? as in a "
      "shell", "{\"type\":\"string\",\"maxLength\":63}" },
    { "subject", PARAM_STRING, false, "alerts about this; * and ? as in a "
      "shell", "{\"type\":\"string\",\"maxLength\":255}" },
    { "comment", PARAM_STRING, false, "for others to read",
      "{\"type\":\"string\",\"maxLength\":1000}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param set_params[] = {
    { "rule", PARAM_OBJECT, true, "as in the configuration: alert/rule",
      NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param delete_params[] = {
    { "name", PARAM_STRING, true, "its name", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_alert[] = {
    {
        .name = "alert.list",
        .role = ROLE_VIEWER,
        .summary = "Alerts, the newest first, with who, where and by which "
                   "route; mutes, and how deliveries do.",
        .params = list_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"alerts\",\"mutes\","
            "\"deliveries\",\"counters\"],\"properties\":{"
            "\"alerts\":{\"type\":\"array\",\"items\":" ALERT_SCHEMA "},"
            "\"mutes\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
            "\"deliveries\":{\"type\":\"array\",\"items\":"
            "{\"type\":\"object\"}},\"counters\":{\"type\":\"object\"}}}",
        .example_params = "{\"state\":\"all\",\"limit\":20}",
        .example_result =
            "{\"alerts\":[" ALERT_EXAMPLE "],\"mutes\":[],"
            "\"deliveries\":[],\"counters\":{\"flows\":81234}}",
        .call = alert_list,
    }, {
        .name = "alert.acknowledge",
        .role = ROLE_OPERATOR,
        .summary = "Somebody knows of an alert; it is not delivered again.",
        .params = acknowledge_params,
        .result_schema = ALERT_SCHEMA,
        .example_params = "{\"alert\":12,\"comment\":\"backup, ends at 10\"}",
        .example_result = ALERT_EXAMPLE,
        .call = alert_acknowledge,
    }, {
        .name = "alert.mute",
        .role = ROLE_OPERATOR,
        .summary = "For some time, alerts are not delivered; they are listed "
                   "still.",
        .params = mute_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"mutes\"],\"properties\":{"
            "\"mutes\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}}",
        .example_params =
            "{\"rule\":\"traffic-spike\",\"subject\":\"10.0.0.*\","
            "\"duration\":\"2h\"}",
        .example_result =
            "{\"mutes\":[{\"rule\":\"traffic-spike\","
            "\"subject\":\"10.0.0.*\",\"since\":\"2026-11-23T09:20:00Z\","
            "\"until\":\"2026-11-23T11:20:00Z\",\"by\":\"user root\","
            "\"comment\":null}]}",
        .call = alert_mute,
    }, {
        .name = "alert.rule.list",
        .role = ROLE_VIEWER,
        .summary = "The rules, built-in ones included, and how they do.",
        .result_schema = RULES_SCHEMA,
        .example_result = RULES_EXAMPLE,
        .call = rule_list,
    }, {
        .name = "alert.rule.set",
        .role = ROLE_ADMIN,
        .summary = "Makes a rule, or another of one of that name, in the "
                   "configuration.",
        .params = set_params,
        .result_schema = RULES_SCHEMA,
        .example_params =
            "{\"rule\":{\"name\":\"dns-flood\",\"type\":\"threshold\","
            "\"metric\":\"pps\",\"filter\":\"proto udp and src port 53\","
            "\"by\":[\"dst_addr\"],\"above\":\"20k\",\"hold\":\"3s\","
            "\"severity\":\"error\"}}",
        .example_result = RULES_EXAMPLE,
        .call = rule_set,
    }, {
        .name = "alert.rule.delete",
        .role = ROLE_ADMIN,
        .summary = "Deletes a rule from the configuration; a built-in one of "
                   "that name holds again.",
        .params = delete_params,
        .result_schema = RULES_SCHEMA,
        .example_params = "{\"name\":\"dns-flood\"}",
        .example_result = RULES_EXAMPLE,
        .call = rule_delete,
    },
    { .name = NULL }
};
