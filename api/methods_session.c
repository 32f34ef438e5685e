/* Who asks, the tokens by which it is known, and what was changed: session.*,
 * token.*, audit.list. */
#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/audit.h"
#include "api/confine.h"
#include "api/context.h"
#include "api/json.h"
#include "api/jsonrpc_p.h"
#include "api/server.h"
#include "api/server_p.h"
#include "api/token.h"
#include "lib/clock.h"
#include "lib/log.h"

/* session.get, session.login */

static void
add_caller(struct json_object *o, const struct rpc_caller *caller)
{
    bool known = caller->role != ROLE_ANYBODY;

    reply_string(o, "role", known ? role_name(caller->role) : NULL);
    json_object_object_add(o, "tenants", caller->confine
                           ? confine_to_json(caller->confine) : NULL);
    reply_string(o, "name", *caller->name ? caller->name : NULL);
    reply_string(o, "transport", caller->transport);
    reply_string(o, "from", caller->from);
    reply_time(o, "expires", caller->expires_us);
}

static void
session_get(struct rpc_call *call, struct json_object *params)
{
    struct json_object *o = json_object_new_object();

    (void) params;
    add_caller(o, rpc_caller(call));
    rpc_reply(call, o);
}

static void
session_login(struct rpc_call *call, struct json_object *params)
{
    struct rpc_caller caller = *rpc_caller(call);
    struct json_object *token = NULL;
    bool busy = false;

    json_object_object_get_ex(params, "token", &token);
    if (!call->peer || !rpc_api(call) || !rpc_context(call)->tokens) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there are no tokens here");
    } else if (!call->peer->transport->queued) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "over HTTP each request says "
                 "who asks: Authorization: Bearer TOKEN");
    } else if (!api_authenticate(rpc_api(call), json_object_get_string(token),
                                 &caller, &busy)) {
        rpc_fail(call, busy ? RPC_BUSY : RPC_UNAUTHENTICATED, "token", busy
                 ? "too many wrong tokens from there: wait"
                 : "nobody has this token");
    } else {
        struct json_object *o = json_object_new_object();
        rpc_peer_set_caller(call->peer, &caller);
        add_caller(o, &caller);
        rpc_reply(call, o);
    }
}

/* token.* */

static struct tokens *
tokens_of(struct rpc_call *call)
{
    struct tokens *t = rpc_context(call)->tokens;

    if (!t) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there are no tokens here");
    }
    return t;
}

static struct json_object *
token_object(const struct token *t)
{
    struct json_object *o = json_object_new_object();

    reply_string(o, "id", t->id);
    reply_string(o, "name", t->name);
    reply_string(o, "role", role_name(t->role));
    json_object_object_add(o, "tenants", t->confine
                           ? confine_to_json(t->confine) : NULL);
    reply_time(o, "created", t->created_us);
    reply_time(o, "expires", t->expires_us);
    reply_time(o, "used", t->used_us);
    reply_bool(o, "expired", t->expires_us
                             && clock_wall_us() >= t->expires_us);
    return o;
}

static void
token_create(struct rpc_call *call, struct json_object *params)
{
    struct tokens *t = tokens_of(call);
    const char *name = json_text(params, "name");
    const char *lifetime = json_text(params, "lifetime");
    char text[TOKEN_STRLEN];
    const struct token *made;
    enum api_role role = (enum api_role) role_find(json_text(params, "role"));
    struct json_object *tenants = json_member(params, "tenants");
    const struct confine *confine = NULL;
    int64_t us = 0;

    if (!t) {
        return;
    }
    if (tenants && role != ROLE_VIEWER) {
        rpc_fail(call, RPC_INVALID_PARAMS, "tenants", "only viewers can be "
                 "confined to tenants: other roles change what all have");
        return;
    }
    if (tenants && confine_from_json(tenants, &confine)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "tenants",
                 "1 to %d names of tenants are expected", CONFINE_MAX);
        return;
    }
    if (lifetime && (duration_parse_us(lifetime, &us) || us <= 0)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "lifetime", "%s: expected such as "
                 "90d", lifetime);
        return;
    }
    int err = tokens_create(t, name, role, confine,
                            us ? clock_wall_us() + us : 0, text, &made);
    if (err) {
        rpc_fail(call, err == -EEXIST ? RPC_CONFLICT : RPC_FAILED, "name",
                 err == -EEXIST ? "there is a token %s: revoke it first, or "
                 "choose another name" : "%s: the token cannot be kept: %s",
                 name, strerror(-err));
        return;
    }
    struct json_object *o = token_object(made);
    rpc_audit(call, NULL, json_object_get(o));
    struct json_object *reply = json_object_new_object();
    json_object_object_add(reply, "info", o);
    reply_string(reply, "token", text);
    rpc_reply(call, reply);
    explicit_bzero(text, sizeof text);
}

static void
token_list(struct rpc_call *call, struct json_object *params)
{
    struct tokens *t = tokens_of(call);

    (void) params;
    if (t) {
        struct json_object *o = json_object_new_object();
        struct json_object *list = json_object_new_array();
        for (size_t i = 0; i < tokens_count(t); i++) {
            json_object_array_add(list, token_object(tokens_at(t, i)));
        }
        json_object_object_add(o, "tokens", list);
        rpc_reply(call, o);
    }
}

static void
token_revoke(struct rpc_call *call, struct json_object *params)
{
    struct tokens *t = tokens_of(call);
    const char *what = json_text(params, "token");

    if (!t) {
        return;
    }
    const struct token *k = tokens_find(t, what);
    if (!k) {
        rpc_fail(call, RPC_NOT_FOUND, "token", "there is no token %s", what);
        return;
    }
    struct json_object *o = token_object(k), *reply;
    char id[TOKEN_ID_STRLEN];
    memcpy(id, k->id, sizeof id);
    int err = tokens_revoke(t, id);
    if (err) {
        json_object_put(o);
        rpc_fail(call, RPC_FAILED, NULL, "the tokens cannot be written: %s",
                 strerror(-err));
        return;
    }
    rpc_audit(call, o, NULL);
    if (rpc_api(call)) {
        api_revoke(rpc_api(call), id);
    }
    reply = json_object_new_object();
    reply_string(reply, "revoked", id);
    rpc_reply(call, reply);
}

/* audit.list */

static void
audit_list(struct rpc_call *call, struct json_object *params)
{
    struct audit *a = rpc_context(call)->audit;
    struct json_object *limit = NULL;

    if (!a) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no log of changes is kept");
        return;
    }
    json_object_object_get_ex(params, "limit", &limit);
    struct json_object *o = json_object_new_object();
    bool more;
    json_object_object_add(o, "entries", audit_read(
                               a, limit ? (size_t) json_object_get_int64(limit)
                               : 50, &more));
    reply_bool(o, "more", more);
    rpc_reply(call, o);
}

#define ROLE_SCHEMA                                                     \
    "{\"enum\":[\"viewer\",\"operator\",\"orchestrator\",\"admin\"]}"
#define TENANTS_SCHEMA                                                  \
    "\"tenants\":{\"type\":[\"array\",\"null\"],\"items\":"             \
    "{\"type\":\"string\"},\"description\":"                            \
    "\"to which it is confined; null: it is not\"}"
#define CALLER_SCHEMA                                                   \
    "{\"type\":\"object\",\"required\":[\"role\",\"tenants\",\"name\"," \
    "\"transport\",\"from\",\"expires\"],\"properties\":{"              \
    TENANTS_SCHEMA ","                                                  \
    "\"role\":{\"enum\":[\"viewer\",\"operator\",\"orchestrator\","     \
    "\"admin\",null]},\"name\":{\"type\":[\"string\",\"null\"]},"       \
    "\"transport\":{\"type\":\"string\"},\"from\":{\"type\":\"string\"}," \
    "\"expires\":{\"type\":[\"string\",\"null\"]}}}"
#define TOKEN_SCHEMA                                                    \
    "{\"type\":\"object\",\"required\":[\"id\",\"name\",\"role\","      \
    "\"tenants\",\"created\",\"expires\",\"used\",\"expired\"],\"properties\":{"    \
    "\"id\":{\"type\":\"string\"},\"name\":{\"type\":\"string\"},"      \
    "\"role\":" ROLE_SCHEMA "," TENANTS_SCHEMA ",\"created\":{\"type\":\"string\"},"       \
    "\"expires\":{\"type\":[\"string\",\"null\"]},"                     \
    "\"used\":{\"type\":[\"string\",\"null\"]},"                        \
    "\"expired\":{\"type\":\"boolean\"}}}"
#define TOKEN_EXAMPLE                                                   \
    "{\"id\":\"3f0c51a9d2e4\",\"name\":\"grafana\",\"role\":\"viewer\"," \
    "\"tenants\":[\"blue\"],"                                           \
    "\"created\":\"2026-11-23T09:00:00.000000Z\","                      \
    "\"expires\":\"2027-02-21T09:00:00.000000Z\",\"used\":null,"        \
    "\"expired\":false}"

static const struct rpc_param login_params[] = {
    { "token", PARAM_STRING, true, "what token.create answered with", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param create_params[] = {
    { "name", PARAM_STRING, true, "a name for it, for logs and lists",
      "{\"type\":\"string\",\"minLength\":1,\"maxLength\":63,"
      "\"pattern\":\"^[A-Za-z0-9@._-]+$\"}" },
    { "role", PARAM_STRING, true, "what its bearer may do", ROLE_SCHEMA },
    { "tenants", PARAM_ARRAY, false,
      "for a viewer: sees only flows and endpoints of these tenants, and of "
      "the other ends no names", "{\"type\":\"array\",\"minItems\":1,"
      "\"maxItems\":16,\"items\":{\"type\":\"string\",\"minLength\":1,"
      "\"maxLength\":255}}" },
    { "lifetime", PARAM_DURATION, false,
      "how long it can be used; without it until it is revoked", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param revoke_params[] = {
    { "token", PARAM_STRING, true, "its id, or its name", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param audit_params[] = {
    { "limit", PARAM_INTEGER, false, "so many at most; 50 is the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_session[] = {
    {
        .name = "session.get",
        .role = ROLE_ANYBODY,
        .confined = true,
        .summary = "Who the daemon takes the caller for.",
        .result_schema = CALLER_SCHEMA,
        .example_result =
            "{\"role\":\"viewer\",\"tenants\":null,\"name\":\"token grafana\","
            "\"transport\":\"tls\",\"from\":\"192.0.2.1:40312\","
            "\"expires\":null}",
        .call = session_get,
    }, {
        .name = "session.login",
        .role = ROLE_ANYBODY,
        .confined = true,
        .summary = "Says who asks, from here on, on this connection: over "
                   "TCP, TLS or WebSocket.",
        .params = login_params,
        .result_schema = CALLER_SCHEMA,
        .example_params =
            "{\"token\":\"venturi_3f0c51a9d2e4_"
            "0123456789abcdef0123456789abcdef"
            "0123456789abcdef0123456789abcdef\"}",
        .example_result =
            "{\"role\":\"viewer\",\"tenants\":null,\"name\":\"token grafana\","
            "\"transport\":\"tls\",\"from\":\"192.0.2.1:40312\","
            "\"expires\":null}",
        .call = session_login,
    }, {
        .name = "token.create",
        .role = ROLE_ADMIN,
        .summary = "Makes a bearer token; it is shown this once.",
        .params = create_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"token\",\"info\"],"
            "\"properties\":{\"token\":{\"type\":\"string\"},"
            "\"info\":" TOKEN_SCHEMA "}}",
        .example_params =
            "{\"name\":\"grafana\",\"role\":\"viewer\","
            "\"tenants\":[\"blue\"],\"lifetime\":\"90d\"}",
        .example_result =
            "{\"token\":\"venturi_3f0c51a9d2e4_"
            "0123456789abcdef0123456789abcdef"
            "0123456789abcdef0123456789abcdef\",\"info\":" TOKEN_EXAMPLE "}",
        .call = token_create,
    }, {
        .name = "token.list",
        .role = ROLE_ADMIN,
        .summary = "The tokens, without their secrets.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"tokens\"],\"properties\":{"
            "\"tokens\":{\"type\":\"array\",\"items\":" TOKEN_SCHEMA "}}}",
        .example_result = "{\"tokens\":[" TOKEN_EXAMPLE "]}",
        .call = token_list,
    }, {
        .name = "token.revoke",
        .role = ROLE_ADMIN,
        .summary = "Ends a token; connections that used it are nobody's from "
                   "then on.",
        .params = revoke_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"revoked\"],\"properties\":{"
            "\"revoked\":{\"type\":\"string\"}}}",
        .example_params = "{\"token\":\"grafana\"}",
        .example_result = "{\"revoked\":\"3f0c51a9d2e4\"}",
        .call = token_revoke,
    }, {
        .name = "audit.list",
        .role = ROLE_ADMIN,
        .summary = "Who has changed what, the newest first; and who wanted to "
                   "and may not.",
        .params = audit_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"entries\",\"more\"],"
            "\"properties\":{\"more\":{\"type\":\"boolean\","
            "\"description\":\"there are older ones: a larger limit shows "
            "them, unless the answer has 4 MB\"},\"entries\":{\"type\":\"array\",\"items\":"
            "{\"type\":\"object\",\"required\":[\"time\",\"who\",\"role\","
            "\"transport\",\"from\",\"method\",\"params\",\"before\","
            "\"after\",\"outcome\",\"message\"],\"properties\":{"
            "\"time\":{\"type\":\"string\"},"
            "\"who\":{\"type\":[\"string\",\"null\"]},"
            "\"method\":{\"type\":\"string\"},"
            "\"outcome\":{\"enum\":[\"done\",\"failed\",\"refused\"]},"
            "\"message\":{\"type\":[\"string\",\"null\"]}}}}}}",
        .example_params = "{\"limit\":1}",
        .example_result =
            "{\"entries\":[{\"time\":\"2026-11-23T09:00:00.000000Z\","
            "\"who\":\"token ops\",\"role\":\"admin\","
            "\"transport\":\"tls\",\"from\":\"192.0.2.1:40312\","
            "\"method\":\"config.edit\",\"params\":{},"
            "\"before\":{\"/venturi:venturi/store/retention/raw\":null},"
            "\"after\":{\"/venturi:venturi/store/retention/raw\":\"30d\"},"
            "\"outcome\":\"done\",\"message\":null}],\"more\":true}",
        .call = audit_list,
    },
    { .name = NULL }
};
