/* bgp/bmp.h -- routers that tell by BMP (RFC 7854) what their neighbours told
 * them: on one libev loop, in turns like BGP sessions.
 *
 * One router is one connection; its peers are many.  All five tables that BMP
 * knows can be taken (Adj-RIB-In and -Out before and after policy, RFC 8671;
 * Loc-RIB, RFC 9069).  bgp/bmp_message.h has the messages, bgp/bmp_router.h
 * what a router has told. */
#ifndef BGP_BMP_H
#define BGP_BMP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/bmp_router.h"
#include "bgp/speaker.h"
#include "lib/addr.h"
#include "lib/counter.h"

struct bmp_server;
struct ev_loop;

struct bmp_config {
    const struct bgp_listen *listen;
    size_t n_listen;
    const struct bgp_listen *tls_listen;
    size_t n_tls_listen;
    char *certificate, *private_key, *ca;       /* PEM files, or NULL. */
    bool require_client;
    const struct prefix *allow; /* Without any: everyone. */
    size_t n_allow;
    unsigned max_routers, max_peers;
    uint32_t families;
    uint32_t views;             /* 1 << enum bgp_view. */
};

/* X(name, what it counts) */
#define BMP_SERVER_COUNTERS(X)                                            \
    X(accepted, "Connections accepted")                                   \
    X(not_allowed, "Connections refused: not allowed")                    \
    X(too_many, "Connections refused: too many")                          \
    X(bad_sockets, "Connections that could not be accepted")              \
    X(tls_failed, "Connections closed because TLS failed")                \
    X(broken, "Connections closed because of octets that are no BMP")

struct bmp_server_counters {
    BMP_SERVER_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def bmp_server_counter_defs[];

/* TLS is somebody else's. */
struct bmp_tls {
    /* The context, or NULL and a message to free(). */
    void *(*create)(const struct bmp_config *, char **error);
    void (*destroy)(void *context);
    void *(*accept)(void *context, int fd);
    /* Octets, 0 at the end, -EAGAIN, or another negative errno. */
    int (*read)(void *session, void *, size_t, bool *want_write);
    void (*close)(void *session);
};

struct bmp_hooks {
    void *aux;
    const struct bmp_tls *tls;  /* NULL: none. */
    /* "up" or "down" of a router or of a peer of it (else NULL). */
    void (*event)(void *aux, const struct bmp_router *,
                  const struct bmp_peer *, const char *kind,
                  const char *text);
};

/* NULL if out of memory. */
struct bmp_server *bmp_server_create(struct ev_loop *,
                                     const struct bgp_sink *,
                                     const struct bmp_hooks *);
void bmp_server_destroy(struct bmp_server *);           /* NULL is fine. */

/* Takes over a configuration; connections that may stay do.  Returns 0, or a
 * negative errno and a message to free(), and then all is as before. */
int bmp_server_configure(struct bmp_server *, const struct bmp_config *,
                         char **error);

struct bmp_connection_info {
    const struct bmp_router *router;
    uint16_t port;              /* Its own. */
    bool tls;
    int64_t since_ms, last_input_ms;
};
typedef bool bmp_server_fn(void *aux, const struct bmp_connection_info *);
void bmp_server_each(const struct bmp_server *, bmp_server_fn *, void *aux);

const struct bmp_server_counters *bmp_server_counters(
    const struct bmp_server *);
size_t bmp_server_listening(const struct bmp_server *, struct bgp_listen *,
                            size_t max);

#endif /* bgp/bmp.h */
