#include <config.h>

#include "api/jsonrpc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/jsonrpc_p.h"
#include "api/schema.h"
#include "api/subscribe.h"
#include "lib/clock.h"
#include "lib/log.h"

#define TO_TEXT (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

const struct counter_def rpc_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct rpc_counters, NAME), DOC },
    RPC_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

/* Answers to a batch, until all are there. */
struct batch {
    struct rpc_peer *peer;      /* NULL: gone. */
    char *text;
    size_t size, room;
    unsigned n_open;            /* Answers to come, and one while reading. */
    bool broken;                /* Out of memory. */
};

static const struct {
    int code;
    const char *name;
} error_names[] = {
    { RPC_PARSE_ERROR, "Parse error" },
    { RPC_INVALID_REQUEST, "Invalid Request" },
    { RPC_METHOD_NOT_FOUND, "Method not found" },
    { RPC_INVALID_PARAMS, "Invalid params" },
    { RPC_INTERNAL_ERROR, "Internal error" },
    { RPC_TOO_LARGE, "Too large" },
    { RPC_BUSY, "Busy" },
    { RPC_TIMEOUT, "Timeout" },
    { RPC_CANCELLED, "Cancelled" },
    { RPC_NOT_FOUND, "Not found" },
    { RPC_UNAVAILABLE, "Unavailable" },
    { RPC_CONFLICT, "Conflict" },
    { RPC_FAILED, "Failed" },
    { RPC_FORBIDDEN, "Forbidden" },
    { RPC_UNAUTHENTICATED, "Unauthenticated" },
};

const char *
rpc_error_name(int code)
{
    for (size_t i = 0; i < sizeof error_names / sizeof error_names[0]; i++) {
        if (error_names[i].code == code) {
            return error_names[i].name;
        }
    }
    return "Error";
}

/* The core. */

static int
compare_entries(const void *a_, const void *b_)
{
    const struct entry *a = a_, *b = b_;

    return strcmp(a->method->name, b->method->name);
}

static size_t
count_params(const struct rpc_method *m)
{
    size_t n = 0;

    while (m->params && m->params[n].name) {
        n++;
    }
    return n;
}

struct rpc_core *
rpc_core_create(const struct rpc_method *const *tables,
                const struct json_limits *limits, struct api *api,
                struct api_context *context)
{
    struct rpc_core *core = calloc(1, sizeof *core);
    size_t n = 0;

    if (!core) {
        return NULL;
    }
    core->limits = limits;
    core->api = api;
    core->context = context;
    core->n_refs = 1;
    for (size_t i = 0; tables[i]; i++) {
        for (const struct rpc_method *m = tables[i]; m->name; m++) {
            n++;
        }
    }
    core->entries = calloc(n ? n : 1, sizeof *core->entries);
    for (size_t i = 0; core->entries && tables[i]; i++) {
        for (const struct rpc_method *m = tables[i]; m->name; m++) {
            struct entry *e = &core->entries[core->n_entries++];
            e->method = m;
            e->n_params = count_params(m);
            e->schemas = calloc(e->n_params + 1, sizeof *e->schemas);
            if (!e->schemas) {
                rpc_core_unref(core);
                return NULL;
            }
        }
    }
    if (!core->entries) {
        rpc_core_unref(core);
        return NULL;
    }
    qsort(core->entries, n, sizeof *core->entries, compare_entries);
    return core;
}

void
rpc_core_unref(struct rpc_core *core)
{
    if (!core || --core->n_refs) {
        return;
    }
    for (size_t i = 0; i < core->n_entries; i++) {
        struct entry *e = &core->entries[i];
        for (size_t j = 0; e->schemas && j < e->n_params; j++) {
            json_object_put(e->schemas[j]);
        }
        free(e->schemas);
    }
    free(core->entries);
    free(core);
}

const struct rpc_counters *
rpc_core_counters(const struct rpc_core *core)
{
    return &core->n;
}

static struct entry *
find_entry(const struct rpc_core *core, const char *name)
{
    struct rpc_method m = { .name = name };
    struct entry key = { .method = &m };

    return bsearch(&key, core->entries, core->n_entries,
                   sizeof *core->entries, compare_entries);
}

const struct rpc_method *
rpc_core_find(const struct rpc_core *core, const char *name)
{
    struct entry *e = find_entry(core, name);

    return e ? e->method : NULL;
}

/* Peers. */

void
rpc_core_set_audit(struct rpc_core *core,
                   void (*audit)(void *aux, const struct rpc_audit_entry *),
                   void *aux)
{
    core->audit = audit;
    core->audit_aux = aux;
}

void
rpc_core_set_admit(struct rpc_core *core,
                   bool (*admit)(void *aux, const struct rpc_caller *),
                   void *aux)
{
    core->admit = admit;
    core->admit_aux = aux;
}

struct rpc_peer *
rpc_peer_create(struct rpc_core *core, const struct rpc_transport *transport,
                void *aux, const struct rpc_caller *caller)
{
    struct rpc_peer *peer = calloc(1, sizeof *peer);

    if (peer) {
        peer->core = core;
        peer->transport = transport;
        peer->aux = aux;
        peer->caller = caller ? *caller
                       : (struct rpc_caller) { .role = ROLE_ADMIN,
                                               .transport = "test" };
        core->n_refs++;
    }
    return peer;
}

void
rpc_peer_set_caller(struct rpc_peer *peer, const struct rpc_caller *caller)
{
    bool may_less = !role_may(caller->role, ROLE_VIEWER)
                    || caller->confine != peer->caller.confine;

    peer->caller = *caller;
    if (may_less) {
        subscriptions_forbid(peer);
    }
}

void
rpc_peer_set_big_as_text(struct rpc_peer *peer, bool on)
{
    peer->big_as_text = on;
}

void
rpc_peer_expire(struct rpc_peer *peer)
{
    struct rpc_caller *caller = &peer->caller;

    if (caller->expires_us && clock_wall_us() >= caller->expires_us) {
        caller->role = ROLE_ANYBODY;
        caller->expires_us = 0;
        subscriptions_forbid(peer);
    }
}

const struct rpc_caller *
rpc_peer_caller(const struct rpc_peer *peer)
{
    return &peer->caller;
}

static void
unlink_call(struct rpc_call *call)
{
    if (call->peer) {
        *call->prev = call->next;
        if (call->next) {
            call->next->prev = call->prev;
        }
        call->peer->n_calls--;
        call->peer = NULL;
    }
}

void
rpc_peer_destroy(struct rpc_peer *peer)
{
    if (!peer) {
        return;
    }
    subscriptions_end(peer);
    while (peer->calls) {
        struct rpc_call *call = peer->calls;

        unlink_call(call);
        if (call->batch) {
            call->batch->peer = NULL;
        }
        counter_inc(&call->core->n.cancelled);
        if (call->cancel) {
            call->cancel(call->cancel_aux);     /* May answer: call is gone. */
        }
    }
    rpc_core_unref(peer->core);
    free(peer);
}

unsigned
rpc_peer_pending(const struct rpc_peer *peer)
{
    return peer->n_calls;
}

static void
batch_add(struct batch *b, const char *text, size_t n)
{
    if (b->broken) {
        return;
    }
    if (b->room - b->size < n + 2) {
        size_t room = (b->size + n + 2) * 2;
        char *p = realloc(b->text, room);
        if (!p) {
            b->broken = true;
            return;
        }
        b->text = p;
        b->room = room;
    }
    b->text[b->size] = b->size ? ',' : '[';
    memcpy(b->text + b->size + 1, text, n);
    b->size += n + 1;
}

/* One answer less to come; the last one sends them all. */
static void
batch_done(struct batch *b)
{
    if (--b->n_open) {
        return;
    }
    if (b->peer && b->size && !b->broken) {
        b->text[b->size++] = ']';
        b->peer->transport->send(b->peer->aux, b->text, b->size);
    }
    free(b->text);
    free(b);
}

/* Sends one response object to 'peer', or puts it into 'batch'. */
static void
respond(struct rpc_peer *peer, struct batch *batch, const char *id,
        const char *member, const char *value)
{
    char *text, *quoted = NULL;
    if (peer->big_as_text) {
        quoted = strdup(value);
        quoted = quoted ? quote_big(quoted) : NULL;
        value = quoted ? quoted : "null";
    }
    int n = asprintf(&text, "{\"jsonrpc\":\"2.0\",\"%s\":%s,\"id\":%s}",
                     member, value, id);
    free(quoted);

    if (n < 0) {
        LOG_RATE(api, ERR, "out of memory: %s", "an answer was dropped");
        return;
    }
    clean_utf8(text, (size_t) n);
    if (batch) {
        batch_add(batch, text, (size_t) n);
    } else {
        peer->transport->send(peer->aux, text, (size_t) n);
    }
    free(text);
}

static struct json_object *
error_object(int code, const char *message, struct json_object *data)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "code", json_object_new_int(code));
    json_object_object_add(o, "message", json_object_new_string(message));
    if (data) {
        json_object_object_add(o, "data", data);
    }
    return o;
}

/* Takes over 'data'. */
static void
respond_error(struct rpc_peer *peer, struct batch *batch, const char *id,
              int code, const char *message, struct json_object *data)
{
    struct json_object *o = error_object(code, message, data);

    respond(peer, batch, id, "error",
            json_object_to_json_string_ext(o, TO_TEXT));
    json_object_put(o);
}

/* "data" of an error: what is wrong, and what was expected. */
static struct json_object *
error_data(const char *member, const char *reason, const char *expected)
{
    struct json_object *data = json_object_new_object();

    if (member) {
        json_object_object_add(data, "member", json_object_new_string(member));
    }
    json_object_object_add(data, "reason", json_object_new_string(reason));
    if (expected && *expected) {
        json_object_object_add(data, "expected",
                               json_object_new_string(expected));
    }
    return data;
}

void
rpc_peer_error(struct rpc_peer *peer, int code, const char *reason,
               unsigned line, unsigned column)
{
    struct json_object *data = error_data(NULL, reason, NULL);
    char message[256];

    counter_inc(code == RPC_PARSE_ERROR ? &peer->core->n.parse_errors
                : &peer->core->n.too_large);
    snprintf(message, sizeof message, "%s: %s", rpc_error_name(code), reason);
    LOG_RATE(api, NOTICE, "%s %s: refused, %d %s", peer->caller.transport,
             peer->caller.from, code, message);
    if (line) {
        json_object_object_add(data, "line",
                               json_object_new_int64(line));
        json_object_object_add(data, "column",
                               json_object_new_int64(column));
    }
    respond_error(peer, NULL, "null", code, message, data);
}

/* Answers. */

static void
note_free(struct audit_note *note)
{
    if (note) {
        json_object_put(note->params);
        json_object_put(note->before);
        json_object_put(note->after);
        free(note);
    }
}

void
rpc_audit(struct rpc_call *call, struct json_object *before,
          struct json_object *after)
{
    if (call->note) {
        json_object_put(call->note->before);
        json_object_put(call->note->after);
        call->note->before = before;
        call->note->after = after;
    } else {
        json_object_put(before);
        json_object_put(after);
    }
}

bool
rpc_is_audited(const struct rpc_call *call)
{
    return call->note != NULL;
}

/* Tells the audit log how it went. */
static void
call_audit(struct rpc_call *call, int code, const char *message)
{
    const struct audit_note *note = call->note;

    if (note && call->core->audit) {
        struct rpc_audit_entry e = {
            .caller = &note->caller, .method = call->method,
            .params = note->params, .before = note->before,
            .after = note->after, .code = code, .message = message,
        };
        call->core->audit(call->core->audit_aux, &e);
    }
}

static void
call_done(struct rpc_call *call)
{
    struct rpc_peer *peer = call->peer;

    unlink_call(call);
    if (call->batch) {
        batch_done(call->batch);
    }
    if (peer && peer->transport->done) {
        peer->transport->done(peer->aux);
    }
    note_free(call->note);
    rpc_core_unref(call->core);
    free(call->id);
    free(call);
}

static void
call_respond(struct rpc_call *call, const char *member, const char *value)
{
    if (call->peer && call->id) {
        respond(call->peer, call->batch, call->id, member, value);
    }
    call_done(call);
}

void
rpc_reply(struct rpc_call *call, struct json_object *result)
{
    call_audit(call, 0, NULL);
    call_respond(call, "result",
                 json_object_to_json_string_ext(result, TO_TEXT));
    json_object_put(result);
}

void
rpc_reply_text(struct rpc_call *call, char *result)
{
    call_audit(call, 0, NULL);
    call_respond(call, "result", result);
    free(result);
}

void
rpc_fail_data(struct rpc_call *call, int code, const char *message,
              struct json_object *data)
{
    struct json_object *o = error_object(code, message, data);

    counter_inc(code == RPC_INVALID_PARAMS ? &call->core->n.invalid_params
                : &call->core->n.failed);
    call_audit(call, code, message);
    call_respond(call, "error", json_object_to_json_string_ext(o, TO_TEXT));
    json_object_put(o);
}

void
rpc_fail(struct rpc_call *call, int code, const char *member,
         const char *format, ...)
{
    char message[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    rpc_fail_data(call, code, message, error_data(member, message, NULL));
}

struct api_context *
rpc_context(struct rpc_call *call)
{
    return call->core->context;
}

const struct rpc_caller *
rpc_caller(const struct rpc_call *call)
{
    static const struct rpc_caller gone = { .role = ROLE_ANYBODY,
                                            .transport = "" };
    return call->peer ? &call->peer->caller
           : call->note ? &call->note->caller : &gone;
}

struct api *
rpc_api(struct rpc_call *call)
{
    return call->core->api;
}

void
rpc_on_cancel(struct rpc_call *call, void (*cancel)(void *aux), void *aux)
{
    call->cancel = cancel;
    call->cancel_aux = aux;
}

void
rpc_progress(struct rpc_call *call, double part, struct json_object *more)
{
    const struct rpc_peer *peer = call->peer;
    struct json_object *o = more ? more : json_object_new_object();
    char number[32], *text;

    if (peer && call->id && !call->batch && peer->transport->queued
        && peer->transport->queued(peer->aux) < RPC_NOTIFY_ROOM) {
        snprintf(number, sizeof number, "%.4f", part);
        json_object_object_add(o, "part", json_object_new_double_s(part,
                                                                   number));
        const char *rest = json_object_to_json_string_ext(o, TO_TEXT);
        int n = asprintf(&text, "{\"jsonrpc\":\"2.0\",\"method\":"
                         "\"progress\",\"params\":{\"id\":%s,%s}",
                         call->id, rest + 1);
        if (n >= 0) {
            clean_utf8(text, (size_t) n);
            peer->transport->send(peer->aux, text, (size_t) n);
            free(text);
        }
    }
    json_object_put(o);
}

int
rpc_take_fd(struct rpc_call *call)
{
    const struct rpc_peer *peer = call->peer;

    return peer && peer->transport->take_fd
           ? peer->transport->take_fd(peer->aux) : -1;
}

bool
rpc_cancel(struct rpc_call *call, const char *id)
{
    for (struct rpc_call *c = call->peer ? call->peer->calls : NULL; c;
         c = c->next) {
        if (c != call && c->id && !strcmp(c->id, id) && c->cancel) {
            c->cancel(c->cancel_aux);   /* May answer: c is gone. */
            return true;
        }
    }
    return false;
}

/* Requests. */

struct request {
    struct json_object *params; /* Borrowed. */
    const char *method;
    const char *id;             /* JSON text, borrowed; NULL: none. */
    const char *member, *reason, *expected;     /* What is wrong. */
};

static bool
malformed(struct request *r, const char *member, const char *reason,
          const char *expected)
{
    r->member = member;
    r->reason = reason;
    r->expected = expected;
    return false;
}

static bool
read_id(struct request *r, struct json_object *o)
{
    struct json_object *id = NULL;

    if (!json_object_object_get_ex(o, "id", &id)) {
        return true;
    }
    switch (json_object_get_type(id)) {
    case json_type_null:
    case json_type_int:
    case json_type_double:
    case json_type_string:
        r->id = json_object_to_json_string_ext(id, TO_TEXT);
        return true;
    default:
        return malformed(r, "id", "wrong type", "a string, a number or null");
    }
}

/* Section 4. */
static bool
read_request(struct request *r, struct json_object *o)
{
    struct json_object *v;

    memset(r, 0, sizeof *r);
    if (!json_object_is_type(o, json_type_object)) {
        return malformed(r, NULL, "not an object", "a request object");
    }
    if (!read_id(r, o)) {
        return false;
    }
    if (!json_object_object_get_ex(o, "jsonrpc", &v)
        || !json_object_is_type(v, json_type_string)
        || strcmp(json_object_get_string(v), "2.0")) {
        return malformed(r, "jsonrpc", "missing or wrong", "\"2.0\"");
    }
    if (!json_object_object_get_ex(o, "method", &v)
        || !json_object_is_type(v, json_type_string)) {
        return malformed(r, "method", "missing or wrong", "a string");
    }
    r->method = json_object_get_string(v);
    if (strlen(r->method) != (size_t) json_object_get_string_len(v)) {
        return malformed(r, "method", "contains a NUL character",
                         "a method's name");
    }
    if (json_object_object_get_ex(o, "params", &r->params)
        && !json_object_is_type(r->params, json_type_object)
        && !json_object_is_type(r->params, json_type_array)) {
        return malformed(r, "params", "wrong type", "an object or an array");
    }
    return true;
}

static void
refuse_request(struct rpc_peer *peer, struct batch *batch,
               const struct request *r)
{
    char message[256];

    counter_inc(&peer->core->n.invalid_requests);
    snprintf(message, sizeof message, "Invalid Request: %s%s%s",
             r->member ? r->member : "", r->member ? ": " : "", r->reason);
    respond_error(peer, batch, r->id ? r->id : "null", RPC_INVALID_REQUEST,
                  message, error_data(r->member, r->reason, r->expected));
}

static void
refuse_method(struct rpc_peer *peer, struct batch *batch,
              const struct request *r)
{
    char message[256];

    counter_inc(&peer->core->n.unknown_methods);
    if (r->id) {
        snprintf(message, sizeof message, "Method not found: %.128s",
                 r->method);
        respond_error(peer, batch, r->id, RPC_METHOD_NOT_FOUND, message,
                      error_data("method", "there is no such method",
                                 "a method that rpc.discover lists"));
    }
}

static void
refuse_params(struct rpc_peer *peer, struct batch *batch,
              const struct request *r, const struct schema_error *e)
{
    char message[512];

    counter_inc(&peer->core->n.invalid_params);
    if (r->id) {
        snprintf(message, sizeof message, "Invalid params: %s: %s", e->path,
                 e->reason);
        respond_error(peer, batch, r->id, RPC_INVALID_PARAMS, message,
                      error_data(e->path, e->reason, e->expected));
    }
}

/* Above the role of who asks: told, counted, and in the audit log. */
static void
refuse_role(struct rpc_peer *peer, struct batch *batch,
            const struct request *r, const struct rpc_method *method)
{
    const struct rpc_caller *caller = &peer->caller;
    bool nobody = caller->role == ROLE_ANYBODY;
    int code = nobody ? RPC_UNAUTHENTICATED : RPC_FORBIDDEN;
    char message[384], expected[64];

    counter_inc(&peer->core->n.forbidden);
    snprintf(message, sizeof message, nobody ? "%s: %s needs the role %s, and "
             "nobody knows who asks: give a token or a certificate"
             : "%s: %s needs the role %s", rpc_error_name(code), method->name,
             role_name(method->role));
    if (peer->core->audit && method->role != ROLE_VIEWER) {
        struct rpc_audit_entry e = {
            .caller = caller, .method = method, .params = r->params,
            .code = code, .message = message,
        };
        peer->core->audit(peer->core->audit_aux, &e);   /* Which logs it. */
    } else {
        LOG_RATE(api, NOTICE, "%s %s (%s): %s refused: it needs the role %s",
                 caller->transport, caller->from,
                 nobody ? "unknown" : caller->name, method->name,
                 role_name(method->role));
    }
    if (r->id) {
        snprintf(expected, sizeof expected, "the role %s",
                 role_name(method->role));
        respond_error(peer, batch, r->id, code, message,
                      error_data("method", nobody ? "not authenticated"
                                 : role_name(caller->role), expected));
    }
}

/* Not about tenants, and so not for who is confined to some. */
static void
refuse_confined(struct rpc_peer *peer, struct batch *batch,
                const struct request *r, const struct rpc_method *method)
{
    const struct rpc_caller *caller = &peer->caller;
    char message[256];

    counter_inc(&peer->core->n.forbidden);
    snprintf(message, sizeof message, "%s: %s is not for those who are "
             "confined to tenants", rpc_error_name(RPC_FORBIDDEN),
             method->name);
    LOG_RATE(api, NOTICE, "%s %s (%s): %s refused: confined to tenants",
             caller->transport, caller->from, caller->name, method->name);
    if (r->id) {
        respond_error(peer, batch, r->id, RPC_FORBIDDEN, message,
                      error_data("method", "confined to tenants",
                                 "a method that is about their flows"));
    }
}

/* Within its rate; and is it still who it was? */
static bool
is_admitted(struct rpc_peer *peer)
{
    rpc_peer_expire(peer);
    return !peer->core->admit
           || peer->core->admit(peer->core->admit_aux, &peer->caller);
}

static void
refuse_busy(struct rpc_peer *peer, struct batch *batch,
            const struct request *r)
{
    if (r->id) {
        respond_error(peer, batch, r->id, RPC_BUSY, "Busy: too many requests "
                      "per second (api/rate-limit)",
                      error_data(NULL, "too many requests per second",
                                 "a pause"));
    }
}

/* Calls that change something are worth a note. */
static bool
call_note(struct rpc_call *call, struct json_object *params)
{
    enum api_role role = call->method->role;

    if (!call->core->audit || role == ROLE_VIEWER || role == ROLE_ANYBODY) {
        return true;
    }
    call->note = calloc(1, sizeof *call->note);
    if (!call->note) {
        return false;
    }
    call->note->caller = call->peer->caller;
    call->note->params = json_object_get(params);
    return true;
}

static struct rpc_call *
make_call(struct rpc_peer *peer, struct batch *batch,
          const struct rpc_method *method, const char *id)
{
    struct rpc_call *call = calloc(1, sizeof *call);

    if (!call || (id && !(call->id = strdup(id)))) {
        free(call);
        return NULL;
    }
    call->core = peer->core;
    call->core->n_refs++;
    call->peer = peer;
    call->batch = batch;
    if (batch) {
        batch->n_open++;
    }
    call->method = method;
    call->next = peer->calls;
    call->prev = &peer->calls;
    if (call->next) {
        call->next->prev = &call->next;
    }
    peer->calls = call;
    peer->n_calls++;
    return call;
}

static void
run_request(struct rpc_peer *peer, struct batch *batch, struct json_object *o)
{
    struct schema_error e;
    struct request r;

    if (!read_request(&r, o)) {
        refuse_request(peer, batch, &r);
        return;
    }
    counter_inc(&peer->core->n.requests);
    if (!r.id) {
        counter_inc(&peer->core->n.notifications);
    }
    if (!is_admitted(peer)) {
        refuse_busy(peer, batch, &r);
        return;
    }
    struct entry *entry = find_entry(peer->core, r.method);
    if (!entry) {
        refuse_method(peer, batch, &r);
        return;
    }
    if (!role_may(peer->caller.role, entry->method->role)) {
        refuse_role(peer, batch, &r, entry->method);
        return;
    }
    if (peer->caller.confine && !entry->method->confined) {
        refuse_confined(peer, batch, &r, entry->method);
        return;
    }
    struct json_object *params = rpc_take_params(entry, r.params, &e);
    if (!params) {
        refuse_params(peer, batch, &r, &e);
        return;
    }
    struct rpc_call *call = make_call(peer, batch, entry->method, r.id);
    if (call && call_note(call, params)) {
        entry->method->call(call, params);
    } else if (call) {
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
    } else if (r.id) {
        respond_error(peer, batch, r.id, RPC_INTERNAL_ERROR, "out of memory",
                      NULL);
    }
    json_object_put(params);
}

static void
run_batch(struct rpc_peer *peer, struct json_object *array)
{
    size_t n = json_object_array_length(array);
    struct request r = { .member = NULL };

    if (!n || n > RPC_MAX_BATCH) {
        malformed(&r, NULL, n ? "too many requests in a batch"
                              : "an empty batch", "1 to 256 requests");
        refuse_request(peer, NULL, &r);
        return;
    }
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch) {
        respond_error(peer, NULL, "null", RPC_INTERNAL_ERROR,
                      "out of memory", NULL);
        return;
    }
    counter_inc(&peer->core->n.batches);
    batch->peer = peer;
    batch->n_open = 1;
    for (size_t i = 0; i < n; i++) {
        run_request(peer, batch, json_object_array_get_idx(array, i));
    }
    batch_done(batch);
}

void
rpc_peer_text(struct rpc_peer *peer, const char *text, size_t n, bool scanned)
{
    struct json_object *o;
    struct json_error e;
    int err = json_parse(text, n, peer->core->limits,
                         scanned ? JSON_SCANNED : 0, &o, &e);

    if (err) {
        rpc_peer_error(peer, err == -EINVAL ? RPC_PARSE_ERROR
                       : err == -E2BIG ? RPC_TOO_LARGE : RPC_INTERNAL_ERROR,
                       e.message, e.line, e.column);
        return;
    }
    if (json_object_is_type(o, json_type_array)) {
        run_batch(peer, o);
    } else {
        run_request(peer, NULL, o);
    }
    json_object_put(o);
}
