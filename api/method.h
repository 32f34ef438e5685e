/* api/method.h -- the method table of the JSON-RPC API.
 *
 * A method is one row: name, role, what it does, its parameters and result as
 * JSON Schema, an example, and its function.  rpc.discover, the manual and
 * venturictl's help follow from the table.  Methods live in api/methods_*.c,
 * one table per file, gathered in api/methods.c. */
#ifndef API_METHOD_H
#define API_METHOD_H 1

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

#include "api/caller.h"

struct api;                     /* The running API. */
struct rpc_call;                /* One request being answered. */

/* JSON-RPC 2.0 section 5.1, and ours. */
enum rpc_error {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL_ERROR = -32603,
    RPC_TOO_LARGE = -32000,
    RPC_BUSY = -32001,
    RPC_TIMEOUT = -32002,
    RPC_CANCELLED = -32003,
    RPC_NOT_FOUND = -32004,
    RPC_UNAVAILABLE = -32005,   /* A part is degraded: OVSDB, the store. */
    RPC_CONFLICT = -32006,
    RPC_FAILED = -32007,
    RPC_FORBIDDEN = -32008,     /* Above the caller's role. */
    RPC_UNAUTHENTICATED = -32009,       /* Nobody knows who asks. */
};

enum param_type { PARAM_STRING, PARAM_INTEGER, PARAM_NUMBER, PARAM_BOOLEAN,
                  PARAM_ARRAY, PARAM_OBJECT, PARAM_ANY, PARAM_TIME,
                  PARAM_DURATION };

struct rpc_param {
    const char *name;           /* NULL ends the list. */
    enum param_type type;
    bool required;
    const char *doc;
    const char *schema;         /* JSON Schema of its own, or NULL. */
};

struct rpc_method {
    const char *name;           /* NULL ends a table. */
    enum api_role role;
    const char *summary;
    const struct rpc_param *params;     /* Unknown members are refused. */
    const char *result_schema;  /* JSON Schema text. */
    const char *example_params; /* JSON text, or NULL. */
    const char *example_result; /* JSON text. */
    /* Also for callers who are confined to tenants: it tells, or is about,
     * nothing of others, or it looks at rpc_caller()->confine itself. */
    bool confined;

    /* 'params' is a JSON object (never NULL) of which the core has checked
     * names, types and required members.  Must call exactly one of rpc_reply()
     * and rpc_fail(), at once or later, on the main thread. */
    void (*call)(struct rpc_call *, struct json_object *params);
};

/* Takes over 'result'. */
void rpc_reply(struct rpc_call *, struct json_object *result);
/* The same for a result that is JSON text already, made by another thread
 * perhaps (taken over, from malloc()).  For results of many rows. */
void rpc_reply_text(struct rpc_call *, char *result);

/* 'member' names what is wrong (a parameter's path), or NULL; the message goes
 * to "message", member and message to "data". */
void rpc_fail(struct rpc_call *, int code, const char *member,
              const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with "data" built by the caller (taken over). */
void rpc_fail_data(struct rpc_call *, int code, const char *message,
                   struct json_object *data);

/* Everything that methods may use; filled in by daemon/. */
struct api_context;
struct api_context *rpc_context(struct rpc_call *);

/* Who asks; borrowed while the call lasts. */
const struct rpc_caller *rpc_caller(const struct rpc_call *);

/* For the audit log, which has every call above ROLE_VIEWER with parameters and
 * outcome: what was changed looked so before and looks so after.  Takes both
 * over; either may be NULL. */
void rpc_audit(struct rpc_call *, struct json_object *before,
               struct json_object *after);
/* Whether there is one: what it costs to find out can be saved otherwise. */
bool rpc_is_audited(const struct rpc_call *);

/* Runs 'deliver(aux)' on the main thread soon.  From any thread.  For methods
 * that are answered by another thread. */
void api_post(struct api *, void (*deliver)(void *aux), void *aux);
struct api *rpc_api(struct rpc_call *);

/* Called, on the main thread, if the client goes away before the answer; the
 * call must still be answered (the answer is dropped). */
void rpc_on_cancel(struct rpc_call *, void (*cancel)(void *aux), void *aux);

/* Cancels another call of the same connection, whose id is this JSON text; it
 * will be answered soon, most likely with RPC_CANCELLED.  False: there is none
 * that could be cancelled. */
bool rpc_cancel(struct rpc_call *, const char *id);

/* Tells the client, if the connection goes both ways and does not lag behind,
 * how far a call is (0 to 1), with the members of 'more' (taken over; may be
 * NULL):
 *     {"jsonrpc":"2.0","method":"progress","params":{"id":ID,"part":0.25,...}}
 * A method does so only where it was asked to: parameter "progress". */
void rpc_progress(struct rpc_call *, double part, struct json_object *more);

/* An open file that the client has sent along with the request (api/fd_pass.h),
 * the method's from now on; -1: none, or the transport has no way to. */
int rpc_take_fd(struct rpc_call *);

#endif /* api/method.h */
