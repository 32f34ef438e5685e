/* api/methods_policy.c -- export policies one by one, and the export of one
 * bridge as people ask for it.  All of it ends in config_edit(): validated,
 * applied, persisted, or nothing of it. */
#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/config.h"
#include "api/context.h"
#include "api/json.h"
#include "api/model.h"
#include "ovsdb/ovsdb.h"

/* ---- The list in the configuration. ---- */

/* A configuration under edit. */
struct edit {
    struct rpc_call *call;
    struct config_store *store;
    struct json_object *tree;           /* What the file says; ours. */
    struct json_object *list;           /* In it: the policies. */
    bool builtin;                       /* The file had none. */
};

static struct json_object *
make_member(struct json_object *o, const char *name)
{
    struct json_object *v = json_member(o, name);
    if (!v) {
        v = json_object_new_object();
        json_object_object_add(o, name, v);
    }
    return v;
}

static struct json_object *
policies_in(struct json_object *tree)
{
    return json_member(json_member(json_member(tree, MODEL_ROOT), "export"), "policy");
}

static struct json_object *
deep_copy(struct json_object *o)
{
    struct json_object *copy = NULL;
    json_object_deep_copy(o, &copy, NULL);
    return copy;
}

/* Where the file has no policy, the built-in one is written out first: adding
 * another must not switch it off. */
static bool
edit_begin(struct rpc_call *call, struct edit *e)
{
    *e = (struct edit) { .call = call, .store = rpc_context(call)->config };
    if (!e->store) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no configuration is loaded");
        return false;
    }
    e->tree = config_to_json(e->store, false);
    e->list = policies_in(e->tree);
    e->builtin = !e->list || !json_object_array_length(e->list);
    if (e->builtin) {
        struct json_object *full = config_to_json(e->store, true);
        struct json_object *list = deep_copy(policies_in(full));
        struct json_object *root = make_member(e->tree, MODEL_ROOT);
        json_object_put(full);
        e->list = list ? list : json_object_new_array();
        json_object_object_add(make_member(root, "export"), "policy",
                               e->list);
    }
    return true;
}

static void
edit_end(struct edit *e)
{
    json_object_put(e->tree);
}

static const char *
name_of(struct json_object *policy)
{
    const char *name = json_object_get_string(json_member(policy, "name"));
    return name ? name : "";
}

/* The index of a policy, or -1. */
static int
find_policy(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (!strcmp(name_of(json_object_array_get_idx(list, i)), name)) {
            return (int) i;
        }
    }
    return -1;
}

/* Takes over 'policy'. */
static void
insert_policy(struct json_object *list, size_t at, struct json_object *policy)
{
    json_object_array_add(list, NULL);
    for (size_t i = json_object_array_length(list) - 1; i > at; i--) {
        json_object_array_put_idx(list, i, json_object_get(
                                      json_object_array_get_idx(list,
                                                                i - 1)));
    }
    json_object_array_put_idx(list, at, policy);
}

/* "/venturi:venturi/export/policy[name='x']/sflow/sampling" is, for who set
 * policy x, "policy/sflow/sampling". */
static void
fail_edit(struct edit *e, const char *name, int err,
          const struct config_error *error)
{
    static const char list[] = "/export/policy", key[] = "[name='";
    const char *rest = strstr(error->path, list);
    char where[600], other[80] = "";

    rest = rest ? rest + sizeof list - 1 : NULL;
    if (rest && *rest == '[') {
        const char *end = strstr(rest, "']");
        if (end && !strncmp(rest, key, sizeof key - 1)) {
            rest += sizeof key - 1;
            if ((size_t) (end - rest) != strlen(name)
                || strncmp(rest, name, (size_t) (end - rest))) {
                /* What is wrong now is another policy. */
                snprintf(other, sizeof other, " %.*s", (int) (end - rest),
                         rest);
            }
        }
        rest = end ? end + 2 : "";
    }
    snprintf(where, sizeof where, "policy%s%s", other, rest ? rest : "");
    rpc_fail(e->call, err == -EINVAL ? RPC_INVALID_PARAMS
             : err == -ESTALE ? RPC_CONFLICT : RPC_FAILED,
             err == -EINVAL ? where : NULL, "%s: %s",
             rest ? where : error->path, error->message);
}

static bool
has_text(struct json_object *list, const char *text)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (!strcmp(json_object_get_string(json_object_array_get_idx(list,
                                                                     i)),
                    text)) {
            return true;
        }
    }
    return false;
}

/* What the policies say that nothing follows, in any of the databases: a
 * policy without a bridge is no error, but who typed it should know. */
static struct json_object *
idle_policies(struct ovsdb *ovsdb)
{
    struct json_object *all = NULL;
    for (size_t i = 0; ovsdb && i < ovsdb_n_remotes(ovsdb); i++) {
        struct export_plan *plan = ovsdb_plan(ovsdb, i);
        if (!plan) {
            continue;           /* Never read. */
        }
        struct json_object *list = json_object_new_array();
        for (size_t j = 0; j < plan->n_warnings; j++) {
            if (!all || has_text(all, plan->warnings[j])) {
                json_object_array_add(list, json_object_new_string(
                                          plan->warnings[j]));
            }
        }
        json_object_put(all);
        all = list;
        export_plan_destroy(plan);
    }
    return all ? all : json_object_new_array();
}

/* Puts the edited tree into effect and answers. */
static void
edit_commit(struct edit *e, const char *name)
{
    struct config_error error = { .path = "" };
    reply_config_author(e->call, e->store);
    int err = config_edit(e->store, e->tree, false, &error);
    if (err) {
        fail_edit(e, name, err, &error);
        return;
    }
    reply_config_audit(e->call, e->store);
    struct json_object *tree = config_to_json(e->store, false);
    struct json_object *list = policies_in(tree);
    struct json_object *o = json_object_new_object();
    bool builtin = !list || !json_object_array_length(list);
    if (builtin) {
        json_object_put(tree);
        tree = config_to_json(e->store, true);
        list = policies_in(tree);
    }
    reply_string(o, "policy", name);
    reply_bool(o, "builtin", builtin);
    reply_bool(o, "applying", config_current(e->store)->export_apply);
    json_object_object_add(o, "policies", json_object_get(list));
    json_object_object_add(o, "warnings",
                           idle_policies(rpc_context(e->call)->ovsdb));
    json_object_put(tree);
    rpc_reply(e->call, o);
}

/* ---- export.policy.list, .set, .delete ---- */

static void
policy_list(struct rpc_call *call, struct json_object *params)
{
    struct edit e;
    bool defaults = json_object_get_boolean(json_member(params, "defaults"));

    if (!edit_begin(call, &e)) {
        return;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *full = config_to_json(e.store, true);
    struct json_object *list = defaults ? policies_in(full) : e.list;
    reply_bool(o, "builtin", e.builtin);
    reply_bool(o, "applying", config_current(e.store)->export_apply);
    json_object_object_add(o, "policies", json_object_get(list));
    rpc_reply(call, o);
    json_object_put(full);
    edit_end(&e);
}

/* Where a policy goes: as told, else where it was, else first (the first that
 * matches a bridge decides: behind a "*" it would never come into effect).
 * False after answering. */
static bool
choose_place(struct edit *e, struct json_object *params, int was, size_t *at)
{
    struct json_object *position = json_member(params, "position");
    struct json_object *before = json_member(params, "before");
    size_t n = json_object_array_length(e->list);

    *at = was >= 0 ? (size_t) was : 0;
    if (before && position) {
        rpc_fail(e->call, RPC_INVALID_PARAMS, "before", "give either before "
                 "or position");
        return false;
    }
    if (before) {
        int i = find_policy(e->list, json_object_get_string(before));
        if (i < 0) {
            rpc_fail(e->call, RPC_NOT_FOUND, "before", "there is no policy "
                     "%s", json_object_get_string(before));
            return false;
        }
        *at = (size_t) i;
    } else if (position) {
        int64_t i = json_object_get_int64(position);
        if (i < 1 || (uint64_t) i > n + 1) {
            rpc_fail(e->call, RPC_INVALID_PARAMS, "position", "%" PRId64
                     " is out of range; expected 1 to %zu", i, n + 1);
            return false;
        }
        *at = (size_t) i - 1;
    }
    return true;
}

static void
policy_set(struct rpc_call *call, struct json_object *params)
{
    struct json_object *policy = json_member(params, "policy");
    const char *name = name_of(policy);
    struct edit e;
    size_t at;

    if (!*name) {
        rpc_fail(call, RPC_INVALID_PARAMS, "policy/name", "a policy needs a "
                 "name");
        return;
    }
    if (!edit_begin(call, &e)) {
        return;
    }
    int was = find_policy(e.list, name);
    if (was >= 0) {
        json_object_array_del_idx(e.list, (size_t) was, 1);
    }
    if (choose_place(&e, params, was, &at)) {
        insert_policy(e.list, at, deep_copy(policy));
        edit_commit(&e, name);
    }
    edit_end(&e);
}

static void
policy_delete(struct rpc_call *call, struct json_object *params)
{
    const char *name = json_object_get_string(json_member(params, "name"));
    struct edit e;

    if (!edit_begin(call, &e)) {
        return;
    }
    int i = find_policy(e.list, name);
    if (i < 0) {
        rpc_fail(call, RPC_NOT_FOUND, "name", "there is no policy %s", name);
    } else if (e.builtin) {
        rpc_fail(call, RPC_CONFLICT, "name", "policy %s is built in, and in "
                 "effect because no other is configured; to export nothing, "
                 "set a policy without a protocol, or set export/mode to "
                 "\"plan\"", name);
    } else {
        json_object_array_del_idx(e.list, (size_t) i, 1);
        if (!json_object_array_length(e.list)) {
            json_object_object_del(json_member(json_member(e.tree, MODEL_ROOT),
                                          "export"), "policy");
        }
        edit_commit(&e, name);
    }
    edit_end(&e);
}

/* ---- export.adopt ---- */

/* The rows of others, by their venturi-owner: how many are 'owner's, and all
 * owners that there are, as text. */
static size_t
count_owned(struct ovsdb *ovsdb, const char *self, const char *owner,
            char *others, size_t size)
{
    size_t n = 0, n_mine = 0, used = 0;
    struct ovsdb_status *list = ovsdb_status(ovsdb, &n);
    *others = '\0';
    for (size_t i = 0; i < n; i++) {
        const char *who = list[i].owner;
        if (!who || (self && !strcmp(who, self))) {
            continue;
        }
        n_mine += !strcmp(who, owner);
        if (!strstr(others, who) && used + strlen(who) + 3 < size) {
            used += (size_t) snprintf(others + used, size - used, "%s%s",
                                      used ? ", " : "", who);
        }
    }
    ovsdb_status_destroy(list, n);
    return n_mine;
}

static void
export_adopt(struct rpc_call *call, struct json_object *params)
{
    const struct api_context *c = rpc_context(call);
    const char *owner = json_object_get_string(json_member(params, "owner"));
    char others[800];
    struct config_error error = { .path = "" };

    if (!c->ovsdb || !c->config) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no OVSDB is configured "
                 "(ovsdb/remote, or --ovsdb)");
        return;
    } else if (c->owner && !strcmp(owner, c->owner)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "owner", "%s is this venturid",
                 owner);
        return;
    }
    size_t n = count_owned(c->ovsdb, c->owner, owner, others, sizeof others);
    if (!n) {
        rpc_fail(call, RPC_NOT_FOUND, "owner", "no row has venturi-owner %s; "
                 "%s%s", owner, *others ? "there are rows of " : "none is "
                 "another venturid's", others);
        return;
    }
    struct json_object *tree = config_to_json(c->config, false);
    struct json_object *export = make_member(make_member(tree, MODEL_ROOT),
                                             "export");
    struct json_object *list = json_member(export, "adopt");
    if (!list) {
        list = json_object_new_array();
        json_object_object_add(export, "adopt", list);
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (!strcmp(owner, json_object_get_string(
                        json_object_array_get_idx(list, i)))) {
            list = NULL;        /* Once is enough. */
            break;
        }
    }
    if (list) {
        json_object_array_add(list, json_object_new_string(owner));
    }
    reply_config_author(call, c->config);
    int err = config_edit(c->config, tree, false, &error);
    json_object_put(tree);
    if (err) {
        rpc_fail(call, err == -EINVAL ? RPC_INVALID_PARAMS
                 : err == -ESTALE ? RPC_CONFLICT : RPC_FAILED, NULL,
                 "%s: %s", error.path, error.message);
        return;
    }
    reply_config_audit(call, c->config);
    struct json_object *o = json_object_new_object();
    reply_string(o, "owner", owner);
    reply_uint(o, "rows", n);
    reply_bool(o, "applying", config_current(c->config)->export_apply);
    rpc_reply(call, o);
}

/* ---- export.bridge.add, .remove ---- */

static bool
table_param(struct rpc_call *call, struct json_object *params,
            enum export_table *table)
{
    const char *word = json_object_get_string(json_member(params, "protocol"));

    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        if (!strcmp(word, export_table_name((enum export_table) t))) {
            *table = (enum export_table) t;
            return true;
        }
    }
    rpc_fail(call, RPC_INVALID_PARAMS, "protocol", "%s is no protocol; "
             "expected netflow, sflow or ipfix", word);
    return false;
}

/* The policy that decides about a bridge, on the heap ("": none does).  NULL
 * after answering that there is no such bridge. */
static char *
deciding_policy(struct rpc_call *call, const char *bridge)
{
    struct ovsdb *ovsdb = rpc_context(call)->ovsdb;
    char *name = NULL;
    size_t n = 0;

    if (!ovsdb) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no OVSDB is configured "
                 "(ovsdb/remote, or --ovsdb)");
        return NULL;
    }
    struct ovsdb_status *list = ovsdb_status(ovsdb, &n);
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(list[i].bridge, bridge) && (!name || !*name)) {
            free(name);
            name = strdup(list[i].policy ? list[i].policy : "");
        }
    }
    ovsdb_status_destroy(list, n);
    if (!name) {
        rpc_fail(call, RPC_NOT_FOUND, "bridge", "there is no bridge %s",
                 bridge);
    }
    return name;
}

/* True if a policy is for this bridge alone. */
static bool
is_for_bridge(struct json_object *policy, const char *bridge)
{
    struct json_object *match = json_member(policy, "match");
    struct json_object *list = json_member(match, "bridges");

    return list && json_object_array_length(list) == 1
           && json_object_object_length(match) == 1
           && !strcmp(json_object_get_string(json_object_array_get_idx(list,
                                                                       0)),
                      bridge);
}

/* A name that the model takes and nobody has. */
static void
choose_name(struct json_object *list, const char *bridge, char name[65])
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    char base[48];

    snprintf(base, sizeof base, "bridge-%.40s", bridge);
    for (char *p = base; *p; p++) {
        *p = strchr(good, *p) ? *p : '_';
    }
    snprintf(name, 65, "%s", base);
    for (unsigned i = 2; find_policy(list, name) >= 0; i++) {
        snprintf(name, 65, "%s-%u", base, i);
    }
}

/* The policy for this bridge alone: the one there is, or a new one which does
 * what the bridge's present one does, at the place that makes it decide. */
static struct json_object *
own_policy(struct edit *e, const char *bridge, const char *deciding)
{
    int i = find_policy(e->list, deciding);
    struct json_object *base = i >= 0
        ? json_object_array_get_idx(e->list, (size_t) i) : NULL;
    char name[65];

    if (base && is_for_bridge(base, bridge)) {
        return base;
    }
    struct json_object *policy = json_object_new_object();
    struct json_object *match = json_object_new_object();
    struct json_object *bridges = json_object_new_array();
    choose_name(e->list, bridge, name);
    reply_string(policy, "name", name);
    json_object_array_add(bridges, json_object_new_string(bridge));
    json_object_object_add(match, "bridges", bridges);
    json_object_object_add(policy, "match", match);
    if (base) {
        json_object_object_foreach(base, key, value) {
            if (strcmp(key, "name") && strcmp(key, "match")) {
                json_object_object_add(policy, key, deep_copy(value));
            }
        }
    }
    insert_policy(e->list, i >= 0 ? (size_t) i : 0, policy);
    return policy;
}

/* What a command line calls 64 or true is a text there. */
static struct json_object *
option_value(enum export_table t, const char *name, struct json_object *v)
{
    enum export_option_id id = export_option_find(t, name);
    const char *text = json_object_get_string(v);
    char *end;

    if (id == N_EXPORT_OPTIONS || !json_object_is_type(v, json_type_string)) {
        return deep_copy(v);
    }
    if (export_options[id].type == EXPORT_T_BOOL
        && (!strcmp(text, "true") || !strcmp(text, "false"))) {
        return json_object_new_boolean(*text == 't');
    }
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return export_options[id].type == EXPORT_T_INT && *text && !*end && !errno
           ? json_object_new_int64(n) : deep_copy(v);
}

static struct json_object *
export_of_params(enum export_table t, struct json_object *params)
{
    struct json_object *o = json_object_new_object();
    struct json_object *options = json_member(params, "options");
    struct json_object *targets = json_member(params, "targets");

    if (options) {
        json_object_object_foreach(options, key, value) {
            json_object_object_add(o, key, option_value(t, key, value));
        }
    }
    if (targets) {
        json_object_object_add(o, "targets", deep_copy(targets));
    }
    return o;
}

static void
change_bridge(struct rpc_call *call, struct json_object *params, bool add)
{
    const char *bridge = json_object_get_string(json_member(params, "bridge"));
    enum export_table table;
    struct edit e;

    if (!table_param(call, params, &table)) {
        return;
    }
    if (strpbrk(bridge, "*?")) {
        rpc_fail(call, RPC_INVALID_PARAMS, "bridge", "one bridge, without * "
                 "and ?; export.policy.set is for several");
        return;
    }
    char *deciding = deciding_policy(call, bridge);
    if (!deciding) {
        return;
    }
    if (edit_begin(call, &e)) {
        struct json_object *p = own_policy(&e, bridge, deciding);
        const char *word = export_table_name(table);
        if (!add && !json_member(p, word)) {
            rpc_fail(call, RPC_NOT_FOUND, "protocol", "no policy exports %s "
                     "from %s; rows of others are theirs to remove", word,
                     bridge);
        } else {
            char *name = strdup(name_of(p));
            json_object_object_del(p, word);
            if (add) {
                json_object_object_add(p, word,
                                       export_of_params(table, params));
            }
            edit_commit(&e, name ? name : "");
            free(name);
        }
        edit_end(&e);
    }
    free(deciding);
}

static void
bridge_add(struct rpc_call *call, struct json_object *params)
{
    change_bridge(call, params, true);
}

static void
bridge_remove(struct rpc_call *call, struct json_object *params)
{
    change_bridge(call, params, false);
}

/* ---- The table. ---- */

#define POLICY_SCHEMA                                                       \
    "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{"         \
    "\"name\":{\"type\":\"string\"}}}"
#define POLICIES_SCHEMA                                                     \
    "{\"type\":\"object\",\"required\":[\"policies\",\"builtin\","          \
    "\"applying\"],\"properties\":{\"policy\":{\"type\":\"string\"},"       \
    "\"builtin\":{\"type\":\"boolean\"},"                                   \
    "\"applying\":{\"type\":\"boolean\"},"                                  \
    "\"warnings\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"      \
    "\"policies\":{\"type\":\"array\",\"items\":" POLICY_SCHEMA "}}}"
#define POLICY_EXAMPLE                                                      \
    "{\"name\":\"edge\",\"match\":{\"bridges\":[\"br-*\"]},"                \
    "\"sflow\":{\"sampling\":64,\"targets\":[\"local\"]}}"
#define POLICIES_EXAMPLE                                                    \
    "{\"policy\":\"edge\",\"builtin\":false,\"applying\":true,"             \
    "\"policies\":[" POLICY_EXAMPLE "],\"warnings\":[]}"
#define PROTOCOL_PARAM                                                      \
    { "protocol", PARAM_STRING, true, "netflow, sflow or ipfix",            \
      "{\"enum\":[\"netflow\",\"sflow\",\"ipfix\"]}" }
#define NAME_SCHEMA "{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}"
#define END_PARAM { NULL, PARAM_ANY, false, NULL, NULL }

static const struct rpc_param list_params[] = {
    { "defaults", PARAM_BOOLEAN, false, "with all defaults filled in; false "
      "is the default", NULL },
    END_PARAM
};

static const struct rpc_param set_params[] = {
    { "policy", PARAM_OBJECT, true, "the whole policy, as in the "
      "configuration (export/policy); one of the same name is replaced",
      NULL },
    { "before", PARAM_STRING, false, "put it before this policy",
      NAME_SCHEMA },
    { "position", PARAM_INTEGER, false, "put it there; 1 is first.  Without "
      "this and before, it stays where it was, and a new one goes first",
      NULL },
    END_PARAM
};

static const struct rpc_param adopt_params[] = {
    { "owner", PARAM_STRING, true, "its instance id, as venturi-owner in the "
      "external_ids of the rows says it (and export.status)",
      "{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}" },
    END_PARAM
};

static const struct rpc_param delete_params[] = {
    { "name", PARAM_STRING, true, "name of the policy", NAME_SCHEMA },
    END_PARAM
};

static const struct rpc_param add_params[] = {
    PROTOCOL_PARAM,
    { "bridge", PARAM_STRING, true, "name of the bridge", NAME_SCHEMA },
    { "options", PARAM_OBJECT, false, "Open vSwitch's options by their names "
      "there (sampling, polling, header, ...); numbers may be texts", NULL },
    { "targets", PARAM_ARRAY, false, "where to send: \"local\" (the default) "
      "or address and port",
      "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"minItems\":1}" },
    END_PARAM
};

static const struct rpc_param remove_params[] = {
    PROTOCOL_PARAM,
    { "bridge", PARAM_STRING, true, "name of the bridge", NAME_SCHEMA },
    END_PARAM
};

const struct rpc_method methods_policy[] = {
    {
        .name = "export.policy.list",
        .role = ROLE_VIEWER,
        .summary = "The export policies, in order: the first that matches a "
                   "bridge decides.",
        .params = list_params,
        .result_schema = POLICIES_SCHEMA,
        .example_params = "{\"defaults\":true}",
        .example_result = POLICIES_EXAMPLE,
        .call = policy_list,
    }, {
        .name = "export.policy.set",
        .role = ROLE_OPERATOR,
        .summary = "Adds a policy or replaces the one of its name: "
                   "validated, applied and written to the configuration, or "
                   "refused with the member and what it may be.",
        .params = set_params,
        .result_schema = POLICIES_SCHEMA,
        .example_params = "{\"policy\":" POLICY_EXAMPLE "}",
        .example_result = POLICIES_EXAMPLE,
        .call = policy_set,
    }, {
        .name = "export.policy.delete",
        .role = ROLE_OPERATOR,
        .summary = "Deletes a policy; its bridges fall to the next that "
                   "matches, or lose what was written for it.",
        .params = delete_params,
        .result_schema = POLICIES_SCHEMA,
        .example_params = "{\"name\":\"edge\"}",
        .example_result = POLICIES_EXAMPLE,
        .call = policy_delete,
    }, {
        .name = "export.adopt",
        .role = ROLE_OPERATOR,
        .summary = "Takes over the rows of a venturid that is gone for good "
                   "and has left them behind (export/adopt): from now on "
                   "they are kept, changed and removed like our own.",
        .params = adopt_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"owner\",\"rows\"],"
            "\"properties\":{\"owner\":{\"type\":\"string\"},"
            "\"rows\":{\"type\":\"integer\"},"
            "\"applying\":{\"type\":\"boolean\"}}}",
        .example_params =
            "{\"owner\":\"4f0c1c9a-7b0e-4c5e-9a53-0a5e1f3c2d11\"}",
        .example_result =
            "{\"owner\":\"4f0c1c9a-7b0e-4c5e-9a53-0a5e1f3c2d11\","
            "\"rows\":3,\"applying\":true}",
        .call = export_adopt,
    }, {
        .name = "export.bridge.add",
        .role = ROLE_OPERATOR,
        .summary = "Export this protocol from one bridge, whose other "
                   "exports stay as they are: a policy of its own is made "
                   "or changed.",
        .params = add_params,
        .result_schema = POLICIES_SCHEMA,
        .example_params =
            "{\"protocol\":\"sflow\",\"bridge\":\"br0\",\"options\":"
            "{\"sampling\":64,\"polling\":5},\"targets\":"
            "[\"10.0.0.1:6343\"]}",
        .example_result = POLICIES_EXAMPLE,
        .call = bridge_add,
    }, {
        .name = "export.bridge.remove",
        .role = ROLE_OPERATOR,
        .summary = "Export this protocol from one bridge no longer, whatever "
                   "policies for several bridges say.",
        .params = remove_params,
        .result_schema = POLICIES_SCHEMA,
        .example_params = "{\"protocol\":\"sflow\",\"bridge\":\"br0\"}",
        .example_result = POLICIES_EXAMPLE,
        .call = bridge_remove,
    },
    { .name = NULL }
};
