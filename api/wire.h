/* api/wire.h -- bytes over a nonblocking socket, with or without TLS
 * (OpenSSL).  For both ends: the daemon's and venturictl's. */
#ifndef API_WIRE_H
#define API_WIRE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct wire_tls;                /* What connections share. */
struct ssl_st;

struct wire_files {
    const char *certificate, *private_key;      /* PEM; NULL: none. */
    const char *ca;             /* NULL: nobody's (server), the system's
                                 * (client). */
    bool require_client;
};

struct wire {
    int fd;
    struct ssl_st *ssl;         /* NULL: plain. */
    bool want_write;            /* A read waits until the socket takes
                                 * something; */
    bool want_read;             /* a write until something comes. */
};

/* For a server, or for a client.  NULL and a message to free() if the files
 * won't do. */
struct wire_tls *wire_tls_server(const struct wire_files *, char **error);
struct wire_tls *wire_tls_client(const struct wire_files *, char **error);
void wire_tls_destroy(struct wire_tls *);       /* NULL is fine. */

/* 'fd' stays the caller's until wire_close().  'tls' NULL: plain. */
int wire_accept(struct wire *, int fd, struct wire_tls *);
/* 'host' is what the certificate must say (a name, or an address). */
int wire_connect(struct wire *, int fd, struct wire_tls *, const char *host);
void wire_close(struct wire *);
/* Of a server, before the first byte: HTTP/1.1 is spoken (ALPN, RFC 7301). */
void wire_offer_http(struct wire *);

/* Bytes, 0 at the end, -EAGAIN, -EPROTO (see wire_reason()), or another
 * negative errno. */
ssize_t wire_recv(struct wire *, void *, size_t);
ssize_t wire_send(struct wire *, const void *, size_t);

/* Are there bytes that poll() does not know of? */
bool wire_pending(const struct wire *);

/* No more will be sent. */
void wire_shutdown(struct wire *);

/* The handshake is over (at once without TLS). */
bool wire_is_open(const struct wire *);

/* Shakes hands without sending or taking anything else: 0 when that is done;
 * -EAGAIN, 'want_read' or 'want_write' say for what; -EPROTO. */
int wire_handshake(struct wire *);

/* Why the last call said -EPROTO. */
const char *wire_reason(void);
/* The same of a handshake: also what is wrong with the peer's certificate. */
const char *wire_handshake_reason(const struct wire *);
bool wire_distrusts(const struct wire *);       /* That is what is wrong. */

#define WIRE_MAX_NAMES 16

/* The names in the peer's certificate: its common name, then its alternative
 * ones, to be freed one by one.  Returns how many; 0 without a certificate. */
size_t wire_peer_names(struct ssl_st *, char *names[WIRE_MAX_NAMES]);

#endif /* api/wire.h */
