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
struct ev_loop;
struct rpc_counters;

#define API_COUNTERS(X)                                                 \
    X(connections, "Connections accepted")                              \
    X(refused, "Connections refused because there were too many")       \
    X(no_descriptor, "Times that no file descriptor was left")          \
    X(slow_clients, "Clients closed because they did not read")         \
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

/* Takes over a connected socket as a client (for tests and socket
 * activation).  0 or a negative errno. */
int api_adopt(struct api *, int fd);

/* Replaces what methods may use (copied), from the next call on. */
void api_set_context(struct api *, const struct api_context *);

/* New limits, for new clients and the next text of old ones. */
void api_set_limits(struct api *, const struct api_limits *);

/* Closes everything and runs what is still posted.  Nobody may post any more:
 * stop the other threads first. */
void api_destroy(struct api *);

const struct api_counters *api_counters(const struct api *);
const struct rpc_counters *api_rpc_counters(const struct api *);
unsigned api_n_clients(const struct api *);

#endif /* api/server.h */
