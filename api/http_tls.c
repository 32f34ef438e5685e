/* HTTP and WebSocket over TLS.
 *
 * TLS is taken off here, and not by libwebsockets, which gets what is inside
 * over a pair of sockets: so the heads of requests are looked at as those
 * without TLS are (http_guard.c), and another certificate ends nobody's
 * connection. */
#include <config.h>

#include "api/http_p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/access.h"
#include "lib/clock.h"
#include "lib/log.h"

#define IN_ROOM 16384           /* A record; a head is less. */
#define OUT_ROOM 65536
#define PAIR_ROOM 65536         /* What the kernel keeps between the two. */
#define LINGER_MS 5000          /* To read an answer after which we close. */

struct http_tls {
    struct http *http;
    struct http_tls *next, **prev;
    struct web *web;            /* NULL before the handshake is over, and when
                                 * libwebsockets has closed. */
    struct wire wire;
    char from[64];              /* Like a caller's. */
    ev_io net_read, net_write;
    int pair;                   /* Our end; -1: none yet, or no more. */
    ev_io pair_read, pair_write;
    char *in, *out;             /* Of IN_ROOM and OUT_ROOM, while needed. */
    size_t in_from, in_size, out_from, out_size;
    int64_t since_ms;
    int64_t moved_ms;           /* When 'out' last moved, or linger began. */
    bool opened;                /* The handshake is over. */
    bool eof;                   /* The client says no more. */
    bool told;                  /* libwebsockets knows that. */
    bool closed;                /* libwebsockets says no more. */
    bool linger;                /* So does the client know. */
    bool dead;                  /* As soon as libwebsockets is out of it. */
};

static void
tls_destroy(struct http_tls *t)
{
    struct api *api = t->http->api;

    watch(api->loop, &t->net_read, false);
    watch(api->loop, &t->net_write, false);
    watch(api->loop, &t->pair_read, false);
    watch(api->loop, &t->pair_write, false);
    ev_clear_pending(api->loop, &t->net_read);
    ev_clear_pending(api->loop, &t->pair_read);
    wire_close(&t->wire);
    if (t->pair >= 0) {
        close(t->pair);
    }
    *t->prev = t->next;
    if (t->next) {
        t->next->prev = t->prev;
    }
    api->n_clients--;
    free(t->in);
    free(t->out);
    free(t);
}

/* Nothing more from or to the client; libwebsockets closes its end, too. */
static void
die(struct http_tls *t)
{
    t->dead = true;
    if (t->pair >= 0) {
        shutdown(t->pair, SHUT_RDWR);
    }
    if (t->web) {
        web_kill(t->web);
    }
}

/* After the handshake: libwebsockets gets its end. */
static void
on_open(struct http_tls *t)
{
    const int room = PAIR_ROOM;
    struct api *api = t->http->api;
    int fds[2];

    t->opened = true;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   fds)) {
        counter_inc(&api->n.no_descriptor);
        LOG_RATE(api, ERR, "no file descriptor left for a client: %s",
                 strerror(errno));
        die(t);
        return;
    }
    for (int i = 0; i < 2; i++) {
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    }
    t->pair = fds[0];
    ev_io_set(&t->pair_read, t->pair, EV_READ);
    ev_io_set(&t->pair_write, t->pair, EV_WRITE);
    t->web = web_create(t->http, t->wire.fd, fds[1], t);
    if (!t->web) {
        die(t);
    }
}

static void
read_failed(struct http_tls *t, ssize_t n)
{
    if (n == -EPROTO && !t->opened) {
        counter_inc(&t->http->api->n.handshakes_failed);
        LOG_RATE(api, NOTICE, "https %s: refused: %s", t->from, wire_reason());
    }
    die(t);
}

static void
keep(struct http_tls *t, const char *p, size_t n)
{
    if (!t->in && !(t->in = malloc(IN_ROOM))) {
        die(t);
        return;
    }
    memmove(t->in, t->in + t->in_from, t->in_size);
    t->in_from = 0;
    memcpy(t->in + t->in_size, p, n);
    t->in_size += n;
}

/* The client says no more.  Who just tries whether somebody listens is no
 * matter. */
static void
read_ended(struct http_tls *t)
{
    t->eof = true;
    if (!t->opened) {
        counter_inc(&t->http->api->n.http_unasked);
        LOG_RATE(api, INFO, "https %s: closed before the handshake was over",
                 t->from);
        die(t);
    }
}

/* Takes from the client what there is room for. */
static void
take(struct http_tls *t)
{
    struct api *api = t->http->api;
    size_t room = t->linger ? sizeof api->buf : IN_ROOM - t->in_size;

    if (t->eof || !room) {
        return;
    }
    ssize_t n = wire_recv(&t->wire, api->buf, room);
    bool opens = !t->opened && wire_is_open(&t->wire);
    if (!n) {
        read_ended(t);
    } else if (n < 0 && n != -EAGAIN) {
        read_failed(t, n);
    } else if (n > 0 && !t->linger && (opens || t->web)) {
        keep(t, api->buf, (size_t) n);
    }
    if (opens && !t->dead) {
        on_open(t);
    }
}

/* Gives libwebsockets what it may have. */
static void
give(struct http_tls *t)
{
    if (t->web && t->web->guarding && (t->in_size || t->eof)) {
        web_guard_bytes(t->web, t->in + t->in_from, t->in_size, t->eof);
    }
    if (!t->web || t->web->going) {
        t->in_size = 0;         /* Nobody wants it. */
    } else if (t->in_size && !t->web->guarding) {
        ssize_t n = send(t->pair, t->in + t->in_from, t->in_size,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            t->in_from += (size_t) n;
            t->in_size -= (size_t) n;
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            t->in_size = 0;
        }
    }
    if (!t->in_size) {
        free(t->in);
        t->in = NULL;
        t->in_from = 0;
        if (t->eof && !t->told && t->pair >= 0) {
            shutdown(t->pair, SHUT_WR);
            t->told = true;
        }
    }
}

/* Sends what libwebsockets says. */
static void
pass_on(struct http_tls *t)
{
    if (!t->out_size && t->pair >= 0 && !t->closed) {
        if (!t->out && !(t->out = malloc(OUT_ROOM))) {
            die(t);
            return;
        }
        ssize_t n = recv(t->pair, t->out, OUT_ROOM, MSG_DONTWAIT);
        if (n > 0) {
            t->out_size = (size_t) n;
            t->moved_ms = clock_mono_ms();
        } else if (!n || (errno != EAGAIN && errno != EINTR)) {
            t->closed = true;
        }
    }
    while (t->out_size) {
        ssize_t n = wire_send(&t->wire, t->out + t->out_from, t->out_size);
        if (n == -EAGAIN) {
            return;
        } else if (n < 0) {
            die(t);
            return;
        }
        t->moved_ms = clock_mono_ms();
        t->out_from += (size_t) n;
        t->out_size -= (size_t) n;
    }
    free(t->out);
    t->out = NULL;
    t->out_from = 0;
    if (t->closed && !t->linger) {
        wire_shutdown(&t->wire);        /* What it still says is read, or it */
        t->linger = true;               /* might never see the answer. */
        t->moved_ms = clock_mono_ms();
    }
}

/* Whatever has happened: all that can be done, and what is waited for. */
static void
work(struct http_tls *t)
{
    struct ev_loop *loop = t->http->api->loop;

    if (!t->dead) {
        take(t);
    }
    if (!t->dead && t->opened) {
        give(t);
    }
    if (!t->dead && t->opened) {
        pass_on(t);
    }
    if (!t->web && (t->dead || (t->linger && t->eof))) {
        tls_destroy(t);
        return;
    }
    bool reads = !t->dead && !t->eof
                 && (t->linger || t->in_size < IN_ROOM);
    watch(loop, &t->net_read, reads || (!t->dead && t->wire.want_read));
    watch(loop, &t->net_write, !t->dead && ((t->out_size && !t->wire.want_read)
                                            || t->wire.want_write));
    watch(loop, &t->pair_read, !t->dead && t->pair >= 0 && !t->closed
                               && !t->out_size);
    watch(loop, &t->pair_write, !t->dead && t->in_size && t->web
                                && !t->web->guarding);
    if (reads && wire_pending(&t->wire)) {
        ev_feed_event(loop, &t->net_read, EV_READ);
    }
}

static void
on_event(struct ev_loop *loop, ev_io *watcher, int revents)
{
    (void) loop;
    (void) revents;
    work(watcher->data);
}

int
http_tls_adopt(struct http *h, int fd)
{
    struct http_tls *t = calloc(1, sizeof *t);
    struct rpc_caller caller;

    if (!t || !h->api->tls || wire_accept(&t->wire, fd, h->api->tls)) {
        free(t);
        close(fd);
        return -ENOMEM;
    }
    wire_offer_http(&t->wire);
    t->http = h;
    t->pair = -1;
    access_tcp(fd, "https", &caller, NULL);
    memcpy(t->from, caller.from, sizeof t->from);
    t->since_ms = clock_mono_ms();
    t->next = h->tls;
    t->prev = &h->tls;
    if (t->next) {
        t->next->prev = &t->next;
    }
    h->tls = t;
    h->api->n_clients++;
    counter_inc(&h->api->n.connections);
    ev_io_init(&t->net_read, on_event, fd, EV_READ);
    ev_io_init(&t->net_write, on_event, fd, EV_WRITE);
    ev_init(&t->pair_read, on_event);
    ev_init(&t->pair_write, on_event);
    t->net_read.data = t->net_write.data = t;
    t->pair_read.data = t->pair_write.data = t;
    ev_io_start(h->api->loop, &t->net_read);
    return 0;
}

void
http_tls_wake(struct http_tls *t)
{
    ev_feed_event(t->http->api->loop, &t->pair_read, EV_READ);
}

void
http_tls_web_gone(struct http_tls *t)
{
    t->web = NULL;
    http_tls_wake(t);
}

size_t
http_tls_names(const struct http_tls *t, char *names[WIRE_MAX_NAMES])
{
    return wire_peer_names(t->wire.ssl, names);
}

/* Should it go?  NULL, or why; '*n' counts it. */
static const char *
overdue(const struct http_tls *t, int64_t now, counter_t **n)
{
    struct api_counters *counters = &t->http->api->n;

    if (!t->opened && now - t->since_ms > API_STRANGER_MS) {
        *n = &counters->strangers;
        return "no TLS handshake";
    } else if (t->out_size && now - t->moved_ms > API_STALL_MS) {
        *n = &counters->slow_clients;
        return "it has not read its answers for a minute";
    }
    return NULL;
}

void
http_tls_sweep(struct http *h, int64_t now)
{
    struct http_tls *next;

    for (struct http_tls *t = h->tls; t; t = next) {
        counter_t *n = NULL;
        const char *why = t->dead ? NULL : overdue(t, now, &n);
        next = t->next;
        if (why) {
            counter_inc(n);
            LOG_RATE(api, NOTICE, "https %s: closed, %s", t->from, why);
            die(t);
            work(t);
        } else if (t->linger && now - t->moved_ms > LINGER_MS) {
            die(t);
            work(t);
        }
    }
}

void
http_tls_destroy_all(struct http *h)
{
    while (h->tls) {
        tls_destroy(h->tls);
    }
}
