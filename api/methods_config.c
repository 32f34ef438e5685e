#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/config.h"
#include "api/context.h"

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
    int err = config_edit(s, json, flag(params, "merge", true), &error);
    if (err) {
        struct json_object *data = json_object_new_object();
        reply_string(data, "member", "config");
        reply_string(data, "path", error.path);
        reply_string(data, "reason", error.message);
        char message[1100];
        snprintf(message, sizeof message, "%s: %s", error.path,
                 error.message);
        rpc_fail_data(call, err == -EINVAL ? RPC_INVALID_PARAMS
                      : err == -ESTALE ? RPC_CONFLICT : RPC_FAILED, message,
                      data);
        return;
    }
    struct json_object *o = json_object_new_object();
    reply_string(o, "file", config_path(s));
    json_object_object_add(o, "config", config_to_json(s, false));
    rpc_reply(call, o);
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
    },
    { .name = NULL }
};
