/* collector/input/tls.h -- TLS (OpenSSL) under an accepted TCP connection.
 *
 * RFC 7011 section 11: exporters and collectors may both have certificates.
 * The only file that includes OpenSSL's headers is tls.c. */
#ifndef COLLECTOR_TLS_H
#define COLLECTOR_TLS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls;                     /* What all connections share. */
struct tls_session;             /* A connection. */

struct tls_config {
    const char *certificate, *private_key;      /* PEM files. */
    const char *ca;             /* Who signs exporters; NULL: nobody. */
    bool require_client;        /* Exporters without certificate: no. */
};

/* NULL and a message to free() if the files won't do. */
struct tls *tls_create(const struct tls_config *, char **error);
void tls_destroy(struct tls *);         /* NULL is fine. */

/* The session of an accepted, nonblocking socket, which stays the caller's.
 * NULL: out of memory. */
struct tls_session *tls_accept(struct tls *, int fd);
void tls_close(struct tls_session *);   /* NULL is fine. */

/* Reads, after a handshake.  Returns the bytes, 0 at the end, -EAGAIN, or
 * -EPROTO if the peer is not wanted or does not speak TLS.  '*want_write': it
 * waits until the socket takes something. */
int tls_read(struct tls_session *, void *, size_t, bool *want_write);

/* The handshake is over. */
bool tls_is_open(const struct tls_session *);

/* The subject of the peer's certificate, or "". */
void tls_peer(const struct tls_session *, char *buf, size_t size);

/* Why the last tls_read() said -EPROTO; static or per thread. */
const char *tls_reason(void);

#endif /* collector/input/tls.h */
