/* api/jsonrpc.h -- JSON-RPC 2.0 without a socket: texts in, texts out.
 *
 * A core knows the methods.  A peer is one client: what it sends goes in
 * through rpc_peer_text(), one JSON text at a time; replies come out of its
 * send function, at once or later, each one JSON text without a newline.  All
 * of this belongs to one thread. */
#ifndef API_JSONRPC_H
#define API_JSONRPC_H 1

#include <stdbool.h>
#include <stddef.h>

#include "api/json.h"
#include "api/method.h"
#include "lib/counter.h"

struct rpc_core;
struct rpc_peer;

#define RPC_MAX_BATCH 256       /* Requests in one batch. */

#define RPC_COUNTERS(X)                                                 \
    X(requests, "Requests, also in batches, that name a method")        \
    X(notifications, "Those of them that want no answer")               \
    X(batches, "Batches")                                               \
    X(parse_errors, "Texts that are not JSON")                          \
    X(invalid_requests, "JSON that is not a request")                   \
    X(unknown_methods, "Requests for methods that do not exist")        \
    X(invalid_params, "Requests whose parameters are wrong")            \
    X(too_large, "Texts beyond a limit")                                \
    X(failed, "Requests that a method answered with an error")          \
    X(cancelled, "Requests whose client went away before the answer")   \
    X(forbidden, "Requests above the role of who asked")                \
    X(subscriptions, "Subscriptions that were made")                    \
    X(news_sent, "Notifications sent to subscribers")                   \
    X(news_dropped, "Notifications that a slow subscriber missed")

struct rpc_counters {
    RPC_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def rpc_counter_defs[];

/* 'tables' ends with NULL.  It, 'limits', 'api' and 'context' (the last two
 * may be NULL) are borrowed.  The core lives until its last peer and its last
 * unanswered call are gone. */
struct rpc_core *rpc_core_create(const struct rpc_method *const *tables,
                                 const struct json_limits *, struct api *,
                                 struct api_context *context);
void rpc_core_unref(struct rpc_core *);
const struct rpc_counters *rpc_core_counters(const struct rpc_core *);
const struct rpc_method *rpc_core_find(const struct rpc_core *,
                                       const char *name);

/* What a transport does for its peers; none may destroy the peer. */
struct rpc_transport {
    /* Sends one answer or notification, borrowed. */
    void (*send)(void *aux, const char *text, size_t n);
    /* Called after each call that was answered; may be NULL. */
    void (*done)(void *aux);
    /* Bytes that wait for the other side.  NULL: the transport goes one way
     * only, and nobody can subscribe. */
    size_t (*queued)(void *aux);
    /* A file that came along with the text, or -1.  NULL: there are none. */
    int (*take_fd)(void *aux);
};

/* 'caller' is copied; NULL: an admin without a name (for tests). */
struct rpc_peer *rpc_peer_create(struct rpc_core *,
                                 const struct rpc_transport *, void *aux,
                                 const struct rpc_caller *caller);

/* Somebody else, from the next request on.  Subscriptions end that this one
 * might not have made. */
void rpc_peer_set_caller(struct rpc_peer *, const struct rpc_caller *);
const struct rpc_caller *rpc_peer_caller(const struct rpc_peer *);

/* Integers beyond 2^53, which JavaScript's numbers do not hold, go to this one
 * as strings from now on; "id" stays as it was sent. */
void rpc_peer_set_big_as_text(struct rpc_peer *, bool);

/* Whose time is over is nobody; is asked before each request, and shall be from
 * time to time for those who only listen. */
void rpc_peer_expire(struct rpc_peer *);

/* For the transport to call when what waited was sent. */
void rpc_peer_drained(struct rpc_peer *);

/* Cancels what is unanswered; answers to it will be dropped.  Ends its
 * subscriptions. */
void rpc_peer_destroy(struct rpc_peer *);

/* One request, notification or batch.  'scanned': json_scan_feed() has found
 * it complete, within the limits. */
void rpc_peer_text(struct rpc_peer *, const char *text, size_t n,
                   bool scanned);

/* Sends an error that belongs to no request (id null). */
void rpc_peer_error(struct rpc_peer *, int code, const char *reason,
                    unsigned line, unsigned column);

/* Calls that were not answered yet. */
unsigned rpc_peer_pending(const struct rpc_peer *);

/* Subscriptions that are open. */
unsigned rpc_peer_subscriptions(const struct rpc_peer *);

/* What was asked of a method above ROLE_VIEWER, when it is over. */
struct rpc_audit_entry {
    const struct rpc_caller *caller;
    const struct rpc_method *method;
    struct json_object *params, *before, *after;
    int code;                   /* 0: done. */
    const char *message;        /* Of an error. */
};
void rpc_core_set_audit(struct rpc_core *,
                        void (*audit)(void *aux,
                                      const struct rpc_audit_entry *),
                        void *aux);

/* Asked before each request of a caller: false refuses it as one too many. */
void rpc_core_set_admit(struct rpc_core *,
                        bool (*admit)(void *aux, const struct rpc_caller *),
                        void *aux);

/* The usual words for an error code. */
const char *rpc_error_name(int code);

/* JSON Schema of one parameter, its own or that of its type. */
struct json_object *rpc_param_schema(const struct rpc_param *);

#endif /* api/jsonrpc.h */
