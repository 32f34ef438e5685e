/* collector/input/tcp.h -- IPFIX over TCP and TLS (RFC 7011 section 10.4).
 *
 * Each worker has a server per listening address, on its own loop.  A session
 * costs memory only for the message that it is sending, at most 64 KiB; it has
 * to finish it in time, may not be silent for ever, and gets no more than its
 * turn.  The number of sessions is bounded, in all and for one peer.
 *
 * Templates live as long as their session (section 8): while a session lasts it
 * has a number that no other session of the same peer has, and sources of
 * different sessions are different.  Numbers are used again, from 1, so that
 * an exporter that reconnects continues its source. */
#ifndef COLLECTOR_TCP_H
#define COLLECTOR_TCP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/counter.h"

struct datagram;
struct ev_loop;
struct tls;

/* Sessions of all workers and addresses: who may open one more? */
struct tcp_sessions;
#define TCP_RESERVE 64          /* More, for exporters that are known. */
struct tcp_sessions *tcp_sessions_create(size_t max, size_t max_of_peer);
void tcp_sessions_destroy(struct tcp_sessions *);
/* A number from 1, or 0: too many. */
uint16_t tcp_session_open(struct tcp_sessions *, const struct addr *peer,
                          bool known);
void tcp_session_close(struct tcp_sessions *, const struct addr *peer,
                       uint16_t session);
size_t tcp_sessions_open(struct tcp_sessions *);
/* More than half are taken: who has nothing to say has to go. */
bool tcp_sessions_crowded(struct tcp_sessions *);

#define TCP_COUNTERS(X)                                                 \
    X(accepted, "TCP sessions accepted")                                \
    X(refused, "TCP sessions refused because there are too many")       \
    X(broken, "TCP sessions closed because of bytes that are no IPFIX") \
    X(timed_out, "TCP sessions closed because they were silent or slow") \
    X(tls_failed, "TCP sessions closed because TLS failed")

struct tcp_counters {
    TCP_COUNTERS(COUNTER_MEMBER)
};

struct tcp_config {
    struct ev_loop *loop;
    const char *address;        /* For the log.  Borrowed. */
    struct tls *tls;            /* NULL: plain TCP. */
    struct tcp_sessions *sessions;
    struct tcp_counters *n;
    int64_t idle_ms;            /* A session may be silent so long, */
    int64_t message_ms;         /* and takes so long for a message or the
                                 * handshake; for its first one, too, where
                                 * sessions are crowded. */
    /* True if the peer may send; and if it is known by name. */
    bool (*allowed)(void *aux, const struct addr *);
    bool (*known)(void *aux, const struct addr *);
    /* A message, lent. */
    void (*message)(void *aux, const struct datagram *);
    /* Everything that was there has been read. */
    void (*pause)(void *aux);
    /* The session is over: so are its templates. */
    void (*end)(void *aux, const struct addr *, uint16_t session);
    void *aux;
};

struct tcp_server;

/* Takes over 'fd', which listens.  NULL: out of memory ('fd' is closed). */
struct tcp_server *tcp_server_create(const struct tcp_config *, int fd);
void tcp_server_start(struct tcp_server *);

/* Takes over a nonblocking connection that was accepted from a peer: it becomes
 * a session, or is closed and counted. */
void tcp_server_adopt(struct tcp_server *, int fd, const struct addr *peer,
                      uint16_t port);

/* Reads what has arrived already.  Closes nothing. */
void tcp_server_drain(struct tcp_server *);
void tcp_server_destroy(struct tcp_server *);   /* NULL is fine. */

#endif /* collector/input/tcp.h */
