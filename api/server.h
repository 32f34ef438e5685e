/* api/server.h -- the running API: sockets, clients and the main loop.
 *
 * A connection is a stream of JSON texts, one after the other with or without
 * white space between them; every answer is one line.  After a text that is
 * not JSON the rest of its line is skipped. */
#ifndef API_SERVER_H
#define API_SERVER_H 1

#include <stddef.h>
#include <stdint.h>

#include "api/method.h"
#include "lib/counter.h"

struct api;
struct api_context;
struct config_api;
struct ev_loop;
struct rpc_counters;

#define API_COUNTERS(X)                                                 \
    X(connections, "Connections accepted")                              \
    X(refused, "Connections refused because there were too many")       \
    X(no_descriptor, "Times that no file descriptor was left")          \
    X(slow_clients, "Clients closed because they did not read")         \
    X(slow_requests, "Clients closed because a request did not end")    \
    X(strangers, "Clients closed because they did not say who they are") \
    X(handshakes_failed, "TLS handshakes that failed")                  \
    X(bad_tokens, "Tokens that are nobody's")                           \
    X(rate_limited, "Requests refused because there were too many")     \
    X(http_requests, "HTTP requests")                                   \
    X(http_refused, "HTTP requests refused before JSON-RPC")            \
    X(http_unasked, "HTTP connections that ended without a request")    \
    X(websockets, "WebSocket connections")                              \
    X(octets_in, "Octets received")                                     \
    X(octets_out, "Octets sent")

struct api_counters {
    API_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def api_counter_defs[];

struct api_limits {
    uint32_t max_clients;       /* 0: 4096. */
    size_t max_request;         /* Bytes of one text; 0: 8 MB. */
};

/* 'context' is copied.  'limits' may be NULL.  NULL if out of memory. */
struct api *api_create(struct ev_loop *, const struct api_context *,
                       const struct api_limits *limits);

/* Listens on "unix:/path" or "/path".  The socket of a dead daemon is removed;
 * a living one is left alone.  0, or a negative errno and a message to free()
 * in '*error'. */
int api_listen(struct api *, const char *address, char **error);

enum api_transport { API_UNIX, API_TCP, API_TLS, API_HTTP, API_HTTPS };

struct api_address {
    const char *address;        /* "127.0.0.1:8780"; a path for API_UNIX. */
    enum api_transport transport;
};

/* Listens on these (besides unix sockets) and no others: those that are open
 * already are left alone.  On failure everything stays as it was, with a
 * message to free() in '*error'. */
int api_set_addresses(struct api *, const struct api_address *, size_t n,
                      char **error);

/* Where it listens: up to 'n', newest first.  Borrowed. */
size_t api_addresses(const struct api *, struct api_address *, size_t n);
const char *api_transport_name(enum api_transport);

/* Listens where 'config' says, with the certificates that it names.  All or
 * nothing, like api_set_addresses(). */
int api_configure(struct api *, const struct config_api *, char **error);

/* Takes over a connected socket as a client (for tests and socket
 * activation).  0 or a negative errno. */
int api_adopt(struct api *, int fd);

/* Replaces what methods may use (copied), from the next call on; changes are
 * written to its audit log. */
void api_set_context(struct api *, const struct api_context *);

/* New limits, for new clients and the next text of old ones. */
void api_set_limits(struct api *, const struct api_limits *);

/* Closes everything and runs what is still posted.  Nobody may post any more:
 * stop the other threads first. */
void api_destroy(struct api *);

const struct api_counters *api_counters(const struct api *);
const struct rpc_counters *api_rpc_counters(const struct api *);
unsigned api_n_clients(const struct api *);

/* A token was revoked: who is here by it is nobody any more. */
void api_revoke(struct api *, const char *token_id);

#endif /* api/server.h */
