/* rpc.discover: the method table as an OpenRPC document
 * (https://spec.open-rpc.org/, version 1.2.6). */
#include <config.h>

#include "api/methods.h"

#include <string.h>

#include "api/json.h"
#include "api/jsonrpc.h"

/* Errors that any method may answer with. */
static const int errors[] = {
    RPC_INVALID_PARAMS, RPC_INTERNAL_ERROR, RPC_TOO_LARGE, RPC_BUSY,
    RPC_TIMEOUT, RPC_CANCELLED, RPC_NOT_FOUND, RPC_UNAVAILABLE, RPC_CONFLICT,
    RPC_FAILED, RPC_FORBIDDEN, RPC_UNAUTHENTICATED,
};

static struct json_object *
parse(const char *text)
{
    struct json_object *o = NULL;

    if (text) {
        json_parse(text, strlen(text), &json_default_limits, 0, &o, NULL);
    }
    return o;
}

static struct json_object *
discover_params(const struct rpc_method *m)
{
    struct json_object *list = json_object_new_array();

    for (const struct rpc_param *p = m->params; p && p->name; p++) {
        struct json_object *o = json_object_new_object();
        reply_string(o, "name", p->name);
        reply_string(o, "description", p->doc ? p->doc : "");
        reply_bool(o, "required", p->required);
        json_object_object_add(o, "schema", rpc_param_schema(p));
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *
discover_examples(const struct rpc_method *m)
{
    struct json_object *list = json_object_new_array();
    struct json_object *o = json_object_new_object();
    struct json_object *params = json_object_new_array();
    struct json_object *result = json_object_new_object();
    struct json_object *given = parse(m->example_params);

    if (given) {
        json_object_object_foreach(given, name, value) {
            struct json_object *p = json_object_new_object();
            reply_string(p, "name", name);
            json_object_object_add(p, "value", json_object_get(value));
            json_object_array_add(params, p);
        }
        json_object_put(given);
    }
    reply_string(result, "name", "result");
    json_object_object_add(result, "value", parse(m->example_result));
    reply_string(o, "name", "example");
    json_object_object_add(o, "params", params);
    json_object_object_add(o, "result", result);
    json_object_array_add(list, o);
    return list;
}

static struct json_object *
discover_method(const struct rpc_method *m)
{
    struct json_object *o = json_object_new_object();
    struct json_object *result = json_object_new_object();
    struct json_object *tags = json_object_new_array();
    struct json_object *tag = json_object_new_object();
    const char *dot = strrchr(m->name, '.');
    size_t n = dot ? (size_t) (dot - m->name) : strlen(m->name);

    reply_string(o, "name", m->name);
    reply_string(o, "summary", m->summary);
    json_object_object_add(tag, "name",
                           json_object_new_string_len(m->name, (int) n));
    json_object_array_add(tags, tag);
    json_object_object_add(o, "tags", tags);
    reply_string(o, "paramStructure", "either");
    json_object_object_add(o, "params", discover_params(m));
    reply_string(result, "name", "result");
    json_object_object_add(result, "schema", parse(m->result_schema));
    json_object_object_add(o, "result", result);
    json_object_object_add(o, "examples", discover_examples(m));
    reply_string(o, "x-role", role_name(m->role));
    reply_bool(o, "x-confined", m->confined);
    return o;
}

static struct json_object *
discover_errors(void)
{
    struct json_object *o = json_object_new_object();

    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        const char *name = rpc_error_name(errors[i]);
        struct json_object *e = json_object_new_object();
        char key[64];
        size_t n = 0;
        for (const char *p = name; *p && n + 1 < sizeof key; p++) {
            if (*p != ' ') {
                key[n++] = *p;
            }
        }
        key[n] = '\0';
        reply_int(e, "code", errors[i]);
        reply_string(e, "message", name);
        json_object_object_add(o, key, e);
    }
    return o;
}

struct json_object *
methods_discover(const struct rpc_method *const *tables)
{
    struct json_object *o = json_object_new_object();
    struct json_object *info = json_object_new_object();
    struct json_object *license = json_object_new_object();
    struct json_object *methods = json_object_new_array();
    struct json_object *components = json_object_new_object();

    reply_string(o, "openrpc", "1.2.6");
    reply_string(info, "title", "Venturi");
    reply_string(info, "version", PACKAGE_VERSION);
    reply_string(info, "description",
                 "Flows of an Open vSwitch estate: what is exported, what "
                 "was received, and questions about it.");
    reply_string(license, "name", "Apache-2.0");
    json_object_object_add(info, "license", license);
    json_object_object_add(o, "info", info);
    for (; *tables; tables++) {
        for (const struct rpc_method *m = *tables; m->name; m++) {
            json_object_array_add(methods, discover_method(m));
        }
    }
    json_object_object_add(o, "methods", methods);
    json_object_object_add(components, "errors", discover_errors());
    json_object_object_add(o, "components", components);
    return o;
}
