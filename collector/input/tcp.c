#include <config.h>

#include "collector/input/tcp.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/decode/decoder.h"
#include "collector/decode/stream.h"
#include "collector/input/tls.h"
#include "lib/acceptor.h"
#include "lib/clock.h"
#include "lib/log.h"

#define READ_SIZE 65536
#define READ_ROUNDS 4           /* Reads before other sessions get a turn. */
#define ACCEPT_ROUNDS 16
#define DRAIN_ROUNDS 1024
#define SWEEP_S 1.0             /* How exact timeouts are. */
#define ACCEPT_PAUSE_S 1.0      /* When there are no descriptors left. */

/* ---- Numbers of sessions. ---- */

struct open_session {
    struct addr peer;
    uint16_t number;            /* 0: free. */
};

struct tcp_sessions {
    pthread_mutex_t lock;
    size_t max, max_of_peer, n;
    struct open_session list[];
};

struct tcp_sessions *
tcp_sessions_create(size_t max, size_t max_of_peer)
{
    struct tcp_sessions *s = calloc(1, sizeof *s + (max + TCP_RESERVE)
                                                   * sizeof s->list[0]);
    if (s) {
        pthread_mutex_init(&s->lock, NULL);
        s->max = max;
        s->max_of_peer = max_of_peer < UINT16_MAX ? max_of_peer : UINT16_MAX;
    }
    return s;
}

void
tcp_sessions_destroy(struct tcp_sessions *s)
{
    if (s) {
        pthread_mutex_destroy(&s->lock);
        free(s);
    }
}

static bool
is_taken(const struct tcp_sessions *s, const struct addr *peer,
         uint16_t number)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->list[i].number == number
            && addr_equal(&s->list[i].peer, peer)) {
            return true;
        }
    }
    return false;
}

uint16_t
tcp_session_open(struct tcp_sessions *s, const struct addr *peer, bool known)
{
    uint16_t number = 0;
    pthread_mutex_lock(&s->lock);
    if (s->n < s->max + (known ? TCP_RESERVE : 0)) {
        number = 1;
        while (number <= s->max_of_peer && is_taken(s, peer, number)) {
            number++;
        }
        if (number > s->max_of_peer) {
            number = 0;
        } else {
            s->list[s->n++] = (struct open_session) { *peer, number };
        }
    }
    pthread_mutex_unlock(&s->lock);
    return number;
}

void
tcp_session_close(struct tcp_sessions *s, const struct addr *peer,
                  uint16_t number)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n; i++) {
        if (s->list[i].number == number
            && addr_equal(&s->list[i].peer, peer)) {
            s->list[i] = s->list[--s->n];
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

size_t
tcp_sessions_open(struct tcp_sessions *s)
{
    pthread_mutex_lock(&s->lock);
    size_t n = s->n;
    pthread_mutex_unlock(&s->lock);
    return n;
}

bool
tcp_sessions_crowded(struct tcp_sessions *s)
{
    return tcp_sessions_open(s) > s->max / 2;
}

/* ---- Sessions. ---- */

struct session {
    struct tcp_server *server;
    struct session *next, **prev;
    ev_io io;
    int fd;
    struct tls_session *tls;
    bool was_open;              /* The TLS handshake was seen to be over. */
    struct addr peer;
    uint16_t port, number;
    struct ipfix_stream stream;
    int64_t opened_ms;
    bool has_spoken;            /* A whole message. */
    int64_t last_ms;            /* When something arrived. */
    int64_t begun_ms;           /* When the message at hand began; 0: none. */
};

struct tcp_server {
    struct tcp_config c;
    int fd;
    struct acceptor acceptor;
    ev_timer sweep;
    struct session *sessions;
    uint8_t *buf;               /* READ_SIZE, for whoever reads. */
};

static const char *
session_name(const struct session *s, char *buf)
{
    return endpoint_format(&s->peer, s->port, buf);
}

static void
session_close(struct session *s)
{
    struct tcp_server *server = s->server;
    ev_io_stop(server->c.loop, &s->io);
    tls_close(s->tls);
    close(s->fd);
    *s->prev = s->next;
    if (s->next) {
        s->next->prev = s->prev;
    }
    /* First the templates, then the number: the next session that gets it
     * must not lose its own. */
    server->c.end(server->c.aux, &s->peer, s->number);
    tcp_session_close(server->c.sessions, &s->peer, s->number);
    ipfix_stream_clear(&s->stream);
    free(s);
}

static void
on_message(void *session, const uint8_t *p, size_t n)
{
    struct session *s = session;
    struct datagram d = {
        .data = p, .size = n, .src = s->peer, .src_port = s->port,
        .session = s->number, .received_us = clock_wall_us(),
    };
    s->begun_ms = 0;
    s->has_spoken = true;
    s->server->c.message(s->server->c.aux, &d);
}

/* Like recv(), with a negative errno. */
static int
session_recv(struct session *s, bool *want_write)
{
    struct tcp_server *server = s->server;
    *want_write = false;
    if (s->tls) {
        return tls_read(s->tls, server->buf, READ_SIZE, want_write);
    }
    ssize_t n = recv(s->fd, server->buf, READ_SIZE, 0);
    return n < 0 ? -errno : (int) n;
}

static void
note_tls_open(struct session *s)
{
    if (s->tls && !s->was_open && tls_is_open(s->tls)) {
        char name[ENDPOINT_STRLEN], peer[256];
        tls_peer(s->tls, peer, sizeof peer);
        s->was_open = true;
        s->begun_ms = 0;
        LOG_RATE(input, INFO, "%s: TLS session with %s%s%s",
                 s->server->c.address, session_name(s, name),
                 peer[0] ? ", " : "", peer);
    }
}

/* What was received.  False: the session was closed. */
static bool
take_bytes(struct session *s, size_t n, int64_t now_ms)
{
    struct tcp_server *server = s->server;
    int error = ipfix_stream_feed(&s->stream, server->buf, n, on_message, s);
    s->last_ms = now_ms;
    if (error) {
        char name[ENDPOINT_STRLEN];
        counter_inc(&server->c.n->broken);
        LOG_RATE(input, WARN, "%s: %s sends what is no IPFIX: closed",
                 server->c.address, session_name(s, name));
        session_close(s);
        return false;
    }
    if (ipfix_stream_partial(&s->stream) && !s->begun_ms) {
        s->begun_ms = now_ms;
    }
    return true;
}

/* The end, or an error, of a session. */
static void
session_over(struct session *s, int error)
{
    struct tcp_server *server = s->server;
    char name[ENDPOINT_STRLEN];
    session_name(s, name);
    if (error == -EPROTO) {
        counter_inc(&server->c.n->tls_failed);
        LOG_RATE(input, WARN, "%s: TLS with %s failed: %s",
                 server->c.address, name, tls_reason());
    } else if (!error && ipfix_stream_partial(&s->stream)) {
        counter_inc(&server->c.n->broken);
    }
    session_close(s);
}

/* Reads up to 'rounds' times.  Returns false if the session was closed;
 * '*more': there may be something left. */
static bool
session_read(struct session *s, unsigned rounds, bool *more)
{
    int64_t now_ms = clock_mono_ms();
    *more = false;
    for (unsigned i = 0; i < rounds; i++) {
        bool want_write;
        int n = session_recv(s, &want_write);
        note_tls_open(s);
        if (n == -EAGAIN || n == -EINTR) {
            int events = want_write ? EV_WRITE : EV_READ;
            if (s->io.events != events && ev_is_active(&s->io)) {
                ev_io_stop(s->server->c.loop, &s->io);
                ev_io_set(&s->io, s->fd, events);
                ev_io_start(s->server->c.loop, &s->io);
            }
            return true;
        }
        if (n <= 0) {
            session_over(s, n);
            return false;
        }
        if (!take_bytes(s, (size_t) n, now_ms)) {
            return false;
        }
    }
    *more = true;
    return true;
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) revents;
    struct session *s = io->data;
    struct tcp_server *server = s->server;
    bool more;
    if (session_read(s, READ_ROUNDS, &more) && more && s->tls) {
        /* What OpenSSL has read already, the socket will not announce. */
        ev_feed_event(loop, io, EV_READ);
    }
    server->c.pause(server->c.aux);
}

static void
on_sweep(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) revents;
    struct tcp_server *server = timer->data;
    int64_t now_ms = clock_mono_ms();
    struct session *next;
    bool crowded = tcp_sessions_crowded(server->c.sessions);
    for (struct session *s = server->sessions; s; s = next) {
        char name[ENDPOINT_STRLEN];
        int64_t begun_ms = crowded && !s->has_spoken ? s->opened_ms
                                                     : s->begun_ms;
        bool slow = begun_ms && now_ms - begun_ms > server->c.message_ms;
        next = s->next;
        if (slow || now_ms - s->last_ms > server->c.idle_ms) {
            counter_inc(&server->c.n->timed_out);
            LOG_RATE(input, WARN, "%s: %s is %s: closed", server->c.address,
                     session_name(s, name),
                     slow ? "too slow" : "silent for too long");
            session_close(s);
        }
    }
    if (!server->sessions) {
        ev_timer_stop(loop, timer);
    }
}

static void
session_open(struct tcp_server *server, int fd, const struct addr *peer,
             uint16_t port, uint16_t number)
{
    struct session *s = calloc(1, sizeof *s);
    int64_t now_ms = clock_mono_ms();
    if (s && server->c.tls) {
        s->tls = tls_accept(server->c.tls, fd);
    }
    if (!s || (server->c.tls && !s->tls)) {
        free(s);
        close(fd);
        counter_inc(&server->c.n->refused);
        tcp_session_close(server->c.sessions, peer, number);
        return;
    }
    s->server = server;
    s->fd = fd;
    s->peer = *peer;
    s->port = port;
    s->number = number;
    s->opened_ms = s->last_ms = now_ms;
    s->begun_ms = s->tls ? now_ms : 0;  /* The handshake counts, too. */
    s->prev = &server->sessions;
    s->next = server->sessions;
    if (s->next) {
        s->next->prev = &s->next;
    }
    server->sessions = s;
    ev_io_init(&s->io, on_readable, fd, EV_READ);
    s->io.data = s;
    ev_io_start(server->c.loop, &s->io);
    if (!ev_is_active(&server->sweep)) {
        ev_timer_again(server->c.loop, &server->sweep);
    }
    counter_inc(&server->c.n->accepted);
}

/* ---- Listening. ---- */

void
tcp_server_adopt(struct tcp_server *server, int fd, const struct addr *peer,
                 uint16_t port)
{
    bool known = server->c.known && server->c.known(server->c.aux, peer);
    uint16_t number;
    if (!server->c.allowed(server->c.aux, peer)) {
        close(fd);              /* It has been counted. */
    } else if (!(number = tcp_session_open(server->c.sessions, peer,
                                           known))) {
        counter_inc(&server->c.n->refused);
        LOG_RATE(input, WARN, "%s: too many sessions: one refused",
                 server->c.address);
        close(fd);
    } else {
        session_open(server, fd, peer, port, number);
    }
}

static void
on_connect(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) loop;
    (void) revents;
    struct tcp_server *server = io->data;
    for (int i = 0; i < ACCEPT_ROUNDS; i++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof ss;
        struct addr peer;
        uint16_t port;
        int fd = accept4(server->fd, (struct sockaddr *) &ss, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            int error = -errno;
            if (acceptor_failed(&server->acceptor, error)) {
                LOG_RATE(input, WARN, "%s: cannot accept sessions: %s",
                         server->c.address, strerror(-error));
            }
            return;
        }
        addr_from_sockaddr((struct sockaddr *) &ss, &peer, &port);
        tcp_server_adopt(server, fd, &peer, port);
    }
}

struct tcp_server *
tcp_server_create(const struct tcp_config *config, int fd)
{
    struct tcp_server *server = calloc(1, sizeof *server);
    if (!server || !(server->buf = malloc(READ_SIZE))) {
        free(server);
        close(fd);
        return NULL;
    }
    server->c = *config;
    server->fd = fd;
    ev_timer_init(&server->sweep, on_sweep, SWEEP_S, SWEEP_S);
    server->sweep.data = server;
    return server;
}

void
tcp_server_start(struct tcp_server *server)
{
    acceptor_start(&server->acceptor, server->c.loop, server->fd, on_connect,
                   server, ACCEPT_PAUSE_S);
}

void
tcp_server_drain(struct tcp_server *server)
{
    struct session *next;
    bool more;
    for (struct session *s = server->sessions; s; s = next) {
        next = s->next;
        session_read(s, DRAIN_ROUNDS, &more);
    }
}

void
tcp_server_destroy(struct tcp_server *server)
{
    if (!server) {
        return;
    }
    while (server->sessions) {
        session_close(server->sessions);
    }
    acceptor_stop(&server->acceptor);
    ev_timer_stop(server->c.loop, &server->sweep);
    close(server->fd);
    free(server->buf);
    free(server);
}
