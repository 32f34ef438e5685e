#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/config.h"
#include "api/context.h"
#include "api/history.h"

/* The store, or NULL after answering that there is none. */
static struct config_store *
config_of(struct rpc_call *call)
{
    struct config_store *s = rpc_context(call)->config;

    if (!s) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no configuration is loaded");
    }
    return s;
}

static bool
flag(struct json_object *params, const char *name, bool fallback)
{
    struct json_object *v = NULL;

    return json_object_object_get_ex(params, name, &v)
           ? json_object_get_boolean(v) : fallback;
}

static void
config_get(struct rpc_call *call, struct json_object *params)
{
    struct config_store *s = config_of(call);

    if (s) {
        struct json_object *o = json_object_new_object();
        reply_string(o, "file", config_path(s));
        json_object_object_add(
            o, "config", config_to_json(s, flag(params, "defaults", true)));
        rpc_reply(call, o);
    }
}

static void
config_check(struct rpc_call *call, struct json_object *params)
{
    struct config_store *s = config_of(call);
    struct config_error error;
    struct json_object *json = NULL;

    if (!s) {
        return;
    }
    json_object_object_get_ex(params, "config", &json);
    int err = config_validate(s, json, &error);
    struct json_object *o = json_object_new_object();
    struct json_object *errors = json_object_new_array();
    if (err) {
        struct json_object *e = json_object_new_object();
        reply_string(e, "path", error.path);
        reply_string(e, "message", error.message);
        json_object_array_add(errors, e);
    }
    reply_bool(o, "valid", !err);
    json_object_object_add(o, "errors", errors);
    rpc_reply(call, o);
}

void
reply_config_author(struct rpc_call *call, struct config_store *s)
{
    const struct rpc_caller *caller = rpc_caller(call);
    char who[256];

    snprintf(who, sizeof who, "%s (%s, %s)", *caller->name ? caller->name
             : "somebody", caller->transport, caller->from);
    config_set_author(s, who);
}

void
reply_config_audit(struct rpc_call *call, const struct config_store *s)
{
    struct json_object *changes = config_last_changes(s);
    struct json_object *before = json_object_new_object();
    struct json_object *after = json_object_new_object();

    for (size_t i = 0; i < json_object_array_length(changes); i++) {
        struct json_object *o = json_object_array_get_idx(changes, i);
        const char *path = json_object_get_string(
            json_object_object_get(o, "path"));
        json_object_object_add(before, path, json_object_get(
                                   json_object_object_get(o, "before")));
        json_object_object_add(after, path, json_object_get(
                                   json_object_object_get(o, "after")));
    }
    rpc_audit(call, before, after);
}

static void
fail_change(struct rpc_call *call, const char *member, int err,
            const struct config_error *error)
{
    struct json_object *data = json_object_new_object();
    char message[1100];

    reply_string(data, "member", member);
    reply_string(data, "path", error->path);
    reply_string(data, "reason", error->message);
    snprintf(message, sizeof message, "%s: %s", error->path, error->message);
    rpc_fail_data(call, err == -EINVAL ? RPC_INVALID_PARAMS
                  : err == -ESTALE ? RPC_CONFLICT
                  : err == -ENOENT ? RPC_NOT_FOUND : RPC_FAILED, message,
                  data);
}

static void
reply_changed(struct rpc_call *call, const struct config_store *s)
{
    struct json_object *o = json_object_new_object();

    reply_config_audit(call, s);
    reply_string(o, "file", config_path(s));
    json_object_object_add(o, "config", config_to_json(s, false));
    rpc_reply(call, o);
}

static void
config_change(struct rpc_call *call, struct json_object *params)
{
    struct config_store *s = config_of(call);
    struct config_error error;
    struct json_object *json = NULL;

    if (!s) {
        return;
    }
    json_object_object_get_ex(params, "config", &json);
    memset(&error, 0, sizeof error);
    reply_config_author(call, s);
    int err = config_edit(s, json, flag(params, "merge", true), &error);
    if (err) {
        fail_change(call, "config", err, &error);
    } else {
        reply_changed(call, s);
    }
}

/* config.history, config.rollback */

static uint32_t
number(struct json_object *params, const char *name, uint32_t fallback)
{
    struct json_object *v = NULL;

    return json_object_object_get_ex(params, name, &v)
           ? (uint32_t) json_object_get_int64(v) : fallback;
}

static const struct history *
history_of(struct rpc_call *call, struct config_store *s)
{
    const struct history *h = s ? config_history(s) : NULL;

    if (s && !h) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "earlier configurations are "
                 "not kept");
    }
    return h;
}

static void
config_revisions(struct rpc_call *call, struct json_object *params)
{
    struct config_store *s = config_of(call);
    const struct history *h = history_of(call, s);
    uint32_t wanted = number(params, "revision", 0);
    uint32_t left = wanted ? 1 : number(params, "limit", 20);

    if (!h) {
        return;
    }
    uint32_t newest = history_newest(h), n = wanted ? wanted : newest;
    struct json_object *list = json_object_new_array();
    for (; n && n <= newest && newest - n < HISTORY_MAX && left; n--, left--) {
        struct json_object *o = history_get(h, n);
        if (!o) {
            continue;
        }
        if (!wanted) {
            json_object_object_del(o, "config");
        }
        json_object_array_add(list, o);
    }
    if (wanted && !json_object_array_length(list)) {
        json_object_put(list);
        rpc_fail(call, RPC_NOT_FOUND, "revision", "there is no revision %u",
                 wanted);
        return;
    }
    struct json_object *o = json_object_new_object();
    reply_uint(o, "current", newest);
    json_object_object_add(o, "revisions", list);
    rpc_reply(call, o);
}

static void
config_return(struct rpc_call *call, struct json_object *params)
{
    struct config_store *s = config_of(call);
    struct config_error error;

    if (!history_of(call, s)) {
        return;
    }
    memset(&error, 0, sizeof error);
    reply_config_author(call, s);
    int err = config_rollback(s, number(params, "revision", 0), &error);
    if (err) {
        fail_change(call, "revision", err, &error);
    } else {
        reply_changed(call, s);
    }
}

#define CONFIG_SCHEMA                                                       \
    "{\"type\":\"object\",\"required\":[\"config\"],\"properties\":{"       \
    "\"file\":{\"type\":[\"string\",\"null\"]},"                            \
    "\"config\":{\"type\":\"object\"}}}"
#define CONFIG_EXAMPLE                                                      \
    "{\"venturi:venturi\":{\"store\":{\"retention\":{\"raw\":\"30d\"}}}}"

static const struct rpc_param get_params[] = {
    { "defaults", PARAM_BOOLEAN, false,
      "with defaults and what the command line says (true, the default), or "
      "only what the file says", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param validate_params[] = {
    { "config", PARAM_OBJECT, true,
      "a whole configuration as JSON of the model venturi.yang (RFC 7951)",
      NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param edit_params[] = {
    { "config", PARAM_OBJECT, true,
      "a configuration as JSON of the model venturi.yang (RFC 7951)", NULL },
    { "merge", PARAM_BOOLEAN, false,
      "merge it into the present one (true, the default; a null deletes), or "
      "replace that", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param history_params[] = {
    { "limit", PARAM_INTEGER, false, "so many at most; 20 is the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100}" },
    { "revision", PARAM_INTEGER, false,
      "this one alone, with the whole configuration",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":4294967295}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param rollback_params[] = {
    { "revision", PARAM_INTEGER, true, "which, as config.history tells",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":4294967295}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_config[] = {
    {
        .name = "config.get",
        .role = ROLE_VIEWER,
        .summary = "The configuration in effect.",
        .params = get_params,
        .result_schema = CONFIG_SCHEMA,
        .example_params = "{\"defaults\":false}",
        .example_result =
            "{\"file\":\"/etc/venturi/venturi.json\",\"config\":"
            CONFIG_EXAMPLE "}",
        .call = config_get,
    }, {
        .name = "config.validate",
        .role = ROLE_VIEWER,
        .summary = "Is this configuration valid, and if not, what is wrong?",
        .params = validate_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"valid\",\"errors\"],"
            "\"properties\":{\"valid\":{\"type\":\"boolean\"},"
            "\"errors\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"required\":[\"path\",\"message\"],\"properties\":{"
            "\"path\":{\"type\":\"string\"},"
            "\"message\":{\"type\":\"string\"}}}}}}",
        .example_params =
            "{\"config\":{\"venturi:venturi\":{\"store\":{\"retention\":"
            "{\"raw\":\"15x\"}}}}}",
        .example_result =
            "{\"valid\":false,\"errors\":[{\"path\":"
            "\"/venturi:venturi/store/retention/raw\",\"message\":"
            "\"not a duration: \\\"15x\\\"; expected a number with ms, s, m, "
            "h, d or w, such as 15d\"}]}",
        .call = config_check,
    }, {
        .name = "config.edit",
        .role = ROLE_ADMIN,
        .summary = "Changes the configuration: validated, applied, then "
                   "written to the file, whose previous version is kept.",
        .params = edit_params,
        .result_schema = CONFIG_SCHEMA,
        .example_params = "{\"config\":" CONFIG_EXAMPLE "}",
        .example_result =
            "{\"file\":\"/etc/venturi/venturi.json\",\"config\":"
            CONFIG_EXAMPLE "}",
        .call = config_change,
    }, {
        .name = "config.history",
        .role = ROLE_VIEWER,
        .summary = "Earlier configurations, the newest first: since when, by "
                   "whom, and what they changed.",
        .params = history_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"current\",\"revisions\"],"
            "\"properties\":{\"current\":{\"type\":\"integer\"},"
            "\"revisions\":{\"type\":\"array\",\"items\":{\"type\":"
            "\"object\",\"required\":[\"revision\",\"time\",\"who\","
            "\"how\",\"changes\"],\"properties\":{"
            "\"revision\":{\"type\":\"integer\"},"
            "\"time\":{\"type\":\"string\"},"
            "\"who\":{\"type\":[\"string\",\"null\"]},"
            "\"how\":{\"type\":\"string\"},"
            "\"changes\":{\"type\":\"array\",\"items\":{\"type\":"
            "\"object\",\"required\":[\"path\",\"before\",\"after\"],"
            "\"properties\":{\"path\":{\"type\":\"string\"}}}},"
            "\"config\":{\"type\":\"object\"}}}}}}",
        .example_params = "{\"limit\":1}",
        .example_result =
            "{\"current\":7,\"revisions\":[{\"revision\":7,"
            "\"time\":\"2026-11-23T09:00:00.000000Z\","
            "\"who\":\"user root (unix, pid 4711)\",\"how\":\"edit\","
            "\"changes\":[{\"path\":"
            "\"/venturi:venturi/store/retention/raw\","
            "\"before\":null,\"after\":\"30d\"}]}]}",
        .call = config_revisions,
    }, {
        .name = "config.rollback",
        .role = ROLE_ADMIN,
        .summary = "Returns to an earlier configuration, as an edit does.",
        .params = rollback_params,
        .result_schema = CONFIG_SCHEMA,
        .example_params = "{\"revision\":1}",
        .example_result =
            "{\"file\":\"/etc/venturi/venturi.json\",\"config\":"
            CONFIG_EXAMPLE "}",
        .call = config_return,
    },
    { .name = NULL }
};
