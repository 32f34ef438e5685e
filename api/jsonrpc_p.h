/* api/jsonrpc_p.h -- what jsonrpc.c (and _params, _text) and subscribe.c
 * share. */
#ifndef API_JSONRPC_P_H
#define API_JSONRPC_P_H 1

#include "api/caller.h"
#include "api/jsonrpc.h"

struct batch;
struct rpc_subscription;
struct schema_error;

/* A method and what was made from its row. */
struct entry {
    const struct rpc_method *method;
    struct json_object **schemas;       /* Per parameter; NULL until used. */
    size_t n_params;
};

struct rpc_core {
    struct entry *entries;      /* Sorted by name. */
    size_t n_entries;
    const struct json_limits *limits;
    struct api *api;
    struct api_context *context;
    struct rpc_counters n;
    void (*audit)(void *aux, const struct rpc_audit_entry *);
    void *audit_aux;
    bool (*admit)(void *aux, const struct rpc_caller *);
    void *admit_aux;
    uint64_t last_subscription; /* Its id. */
    unsigned n_refs;
};

struct rpc_peer {
    struct rpc_core *core;
    const struct rpc_transport *transport;
    void *aux;
    struct rpc_caller caller;
    bool big_as_text;           /* Integers beyond 2^53 go as strings. */
    struct rpc_call *calls;     /* Unanswered. */
    unsigned n_calls;
    struct rpc_subscription *subscriptions;
    unsigned n_subscriptions;
};

/* What the audit log will say of a call. */
struct audit_note {
    struct rpc_caller caller;
    struct json_object *params, *before, *after;
};

struct rpc_call {
    struct rpc_core *core;
    struct rpc_peer *peer;      /* NULL: gone. */
    struct batch *batch;
    struct rpc_call *next, **prev;      /* In 'peer->calls'. */
    const struct rpc_method *method;
    char *id;                   /* JSON text; NULL: a notification. */
    struct audit_note *note;    /* NULL: of no interest. */
    void (*cancel)(void *aux);
    void *cancel_aux;
};

/* Checked parameters as an object (the caller's), or NULL. */
struct json_object *rpc_take_params(struct entry *, struct json_object *params,
                                    struct schema_error *);

/* Ends all that 'peer' has. */
void subscriptions_end(struct rpc_peer *);
/* The same; tells the subscriber that it may not hear them any more. */
void subscriptions_forbid(struct rpc_peer *);

/* JSON text with integers beyond 2^53 as strings; takes over 'text' and returns
 * it, or another.  NULL: out of memory. */
char *quote_big(char *text);

/* Names that exporters send need not be UTF-8; what we send must be
 * (RFC 8259 section 8.1).  Bytes that are not become "?". */
void clean_utf8(char *text, size_t n);

/* How many of 'n' bytes, from the first, are UTF-8: 'n' if all are. */
size_t utf8_span(const char *text, size_t n);

#endif /* api/jsonrpc_p.h */
