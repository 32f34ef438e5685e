/* api/server_p.h -- what server.c, listen.c, client.c and http.c share. */
#ifndef API_SERVER_P_H
#define API_SERVER_P_H 1

#include <ev.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "api/context.h"
#include "api/json.h"
#include "api/jsonrpc.h"
#include "api/wire.h"
#include "lib/acceptor.h"
#include "api/server.h"

#define API_READ_SIZE 65536
#define API_SLICE_US 2000       /* Longest run for one client. */
#define API_MAX_PENDING 32      /* Unanswered calls of one client. */
#define API_OUT_HIGH 262144     /* Stop reading: nobody reads our answers. */
#define API_OUT_MAX (128u << 20)        /* Answers that wait for one client. */
#define API_OUT_TOTAL ((size_t) 512 << 20)      /* For all clients. */
#define API_IN_TOTAL ((size_t) 64 << 20)        /* Unfinished texts of all. */
#define API_STALL_MS 60000      /* Without a byte read of our answers. */
#define API_STRANGER_MS 10000   /* To say who one is, and to shake hands. */

struct client;
struct config_api;
struct http;
struct post;
struct rate;

struct listener {
    struct api *api;
    struct listener *next;
    struct acceptor acceptor;
    enum api_transport transport;
    char *address;              /* As configured; of a unix socket its path. */
    dev_t dev;                  /* Of a unix socket. */
    ino_t ino;
};

struct api {
    struct ev_loop *loop;
    struct rpc_core *core;
    struct api_context context;
    struct json_limits limits;
    uint32_t max_clients;
    struct api_counters n;
    struct listener *listeners;
    struct wire_tls *tls;       /* For TLS and HTTPS; NULL: none. */
    struct http *http;          /* NULL: no HTTP. */
    struct rate *rate;
    struct client *clients;
    unsigned n_clients;         /* Of all transports. */
    size_t in_total, out_total;
    int spare_fd;               /* Given up to accept when none is left. */

    struct client *work, **work_tail;   /* Something to do. */
    ev_idle idle;               /* Does it, a slice at a time. */
    ev_timer sweep;

    pthread_mutex_t mutex;      /* Protects posts. */
    struct post *posts, **posts_tail;
    ev_async posted;

    char buf[API_READ_SIZE];
};

/* Starts it, or stops it; if it is so already, libev is not bothered. */
static inline void
watch(struct ev_loop *loop, ev_io *w, bool on)
{
    if (on && !ev_is_active(w)) {
        ev_io_start(loop, w);
    } else if (!on && ev_is_active(w)) {
        ev_io_stop(loop, w);
    }
}

/* The configuration in effect, or NULL. */
const struct config_api *api_config(const struct api *);

/* Is this somebody's token?  Fills in '*caller', or returns false after
 * counting the failure and telling it in the log, once for many; '*busy': too
 * many have failed from there, it was not even looked at. */
bool api_authenticate(struct api *, const char *token, struct rpc_caller *,
                      bool *busy);

/* client.c: streams of JSON texts. */
int client_adopt(struct api *, int fd, enum api_transport);
void clients_sweep(struct api *, int64_t now_ms);
void clients_destroy(struct api *);
void clients_revoke(struct api *, const char *token_id);
void clients_on_idle(struct ev_loop *, ev_idle *, int revents);

/* listen.c */
void listeners_destroy(struct api *);

/* http.c */
struct http *http_create(struct api *, char **error);
void http_destroy(struct http *);               /* NULL is fine. */
/* Takes over a connected socket; 0 or a negative errno.  With 'tls' api->tls is
 * spoken. */
int http_adopt(struct http *, int fd, bool tls);
void http_revoke(struct http *, const char *token_id);
void http_sweep(struct http *, int64_t now_ms);

#endif /* api/server_p.h */
