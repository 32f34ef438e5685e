/* Streams of JSON texts: unix sockets, TCP, TLS. */
#include <config.h>

#include "api/server_p.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "api/access.h"
#include "api/fd_pass.h"
#include "api/subscribe.h"
#include "lib/clock.h"
#include "lib/log.h"

#define TRIM_SIZE 131072        /* A long text. */
#define MAX_PARSE_ERRORS 8      /* In a row. */
#define LINGER_MS 5000          /* To read an error after which we close. */
#define LINGER_MAX ((uint64_t) 512 << 20)

struct client {
    struct api *api;
    struct client *next, **prev;        /* In 'api->clients'. */
    struct client *work;                /* In 'api->work'. */
    struct rpc_peer *peer;
    struct wire wire;
    enum api_transport transport;
    ev_io read, write;
    struct json_scan scan;
    char *in;                   /* What of the input is not done with. */
    size_t in_size, in_room;
    size_t scanned;             /* Of it, seen by 'scan'. */
    struct fd_pass files;       /* That came along with it. */
    char *out;
    size_t out_from, out_size, out_room;
    int64_t moved_ms;           /* When output last moved, or linger began. */
    int64_t since_ms;           /* When it came. */
    int64_t text_ms;            /* When its unfinished text began. */
    uint64_t discarded;
    uint8_t parse_errors;
    bool in_work, corked;
    bool open;                  /* The handshake is over. */
    bool skip_line;             /* To the end of a line that is not JSON. */
    bool eof;                   /* Nothing more will be read. */
    bool linger;                /* Close when all was sent. */
    bool shut;                  /* We said that nothing more comes. */
    bool dead;
};

static void client_work(struct client *);

static bool
has_input(const struct client *c)
{
    return c->in_size > c->scanned;
}

/* May it ask more?  Not while it does not take what it has asked for. */
static bool
may_ask(const struct client *c)
{
    return c->out_size < API_OUT_HIGH && rpc_peer_pending(c->peer) < API_MAX_PENDING;
}

/* To be looked at when the event loop comes round. */
static void
client_touch(struct client *c)
{
    struct api *api = c->api;

    if (!c->in_work) {
        c->in_work = true;
        c->work = NULL;
        *api->work_tail = c;
        api->work_tail = &c->work;
        ev_idle_start(api->loop, &api->idle);
    }
}

static void
client_unwork(struct client *c)
{
    struct api *api = c->api;

    if (!c->in_work) {
        return;
    }
    struct client **p = &api->work;
    while (*p != c) {
        p = &(*p)->work;
    }
    *p = c->work;
    if (api->work_tail == &c->work) {
        api->work_tail = p;
    }
    c->in_work = false;
}

static void
client_destroy(struct client *c)
{
    struct api *api = c->api;

    client_unwork(c);
    watch(api->loop, &c->read, false);
    watch(api->loop, &c->write, false);
    rpc_peer_destroy(c->peer);  /* Its answers may have been for 'c'. */
    client_unwork(c);
    *c->prev = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    api->n_clients--;
    api->in_total -= c->in_room;
    api->out_total -= c->out_room;
    wire_close(&c->wire);
    fd_pass_clear(&c->files);
    free(c->in);
    free(c->out);
    free(c);
}

/* Output. */

static void
client_die(struct client *c)
{
    c->dead = true;
    client_touch(c);
}

static void
client_flush(struct client *c)
{
    while (c->out_size && !c->dead) {
        ssize_t n = wire_send(&c->wire, c->out + c->out_from, c->out_size);
        if (n == -EAGAIN) {
            break;
        } else if (n < 0) {
            client_die(c);
            break;
        }
        counter_add(&c->api->n.octets_out, (uint64_t) n);
        c->moved_ms = clock_mono_ms();
        c->out_from += (size_t) n;
        c->out_size -= (size_t) n;
    }
    if (!c->out_size) {
        c->api->out_total -= c->out_room;
        free(c->out);
        c->out = NULL;
        c->out_room = c->out_from = 0;
    }
    watch(c->api->loop, &c->write, !c->dead
          && ((c->out_size && !c->wire.want_read) || c->wire.want_write));
}

static bool
out_reserve(struct client *c, size_t n)
{
    struct api *api = c->api;

    if (c->out_from && c->out_from + c->out_size + n > c->out_room) {
        memmove(c->out, c->out + c->out_from, c->out_size);
        c->out_from = 0;
    }
    if (c->out_size + n <= c->out_room) {
        return true;
    }
    size_t room = c->out_size + n + (c->out_size ? c->out_size / 2 : 0);
    if (room > API_OUT_MAX || api->out_total - c->out_room + room > API_OUT_TOTAL) {
        counter_inc(&api->n.slow_clients);
        LOG_RATE(api, WARN, "client %d: closed, %zu bytes of answers wait "
                 "for it", c->read.fd, c->out_size + n);
        return false;
    }
    char *p = realloc(c->out, room);
    if (!p) {
        return false;
    }
    api->out_total += room - c->out_room;
    c->out = p;
    c->out_room = room;
    return true;
}

/* An answer from the core. */
static void
client_send(void *c_, const char *text, size_t n)
{
    struct client *c = c_;

    if (c->dead) {
        return;
    }
    if (!c->out_size) {
        c->moved_ms = clock_mono_ms();
    }
    if (!out_reserve(c, n + 1)) {
        client_die(c);
        return;
    }
    memcpy(c->out + c->out_from + c->out_size, text, n);
    c->out[c->out_from + c->out_size + n] = '\n';
    c->out_size += n + 1;
    if (!c->corked) {
        client_flush(c);
        client_touch(c);
    }
}

static size_t
client_queued(void *c_)
{
    const struct client *c = c_;

    return c->dead ? RPC_NOTIFY_ROOM : c->out_size;
}

static void
client_done(void *c_)
{
    struct client *c = c_;

    if (!c->corked) {
        client_touch(c);
    }
}

static int
client_take_fd(void *c_)
{
    struct client *c = c_;

    return fd_pass_take(&c->files);
}

static const struct rpc_transport transport = {
    .send = client_send, .done = client_done, .queued = client_queued,
    .take_fd = client_take_fd,
};

/* Input. */

/* After an error that leaves us without a place to go on from. */
static void
client_linger(struct client *c)
{
    c->linger = true;
    c->moved_ms = clock_mono_ms();
    client_touch(c);
}

static void
bad_text(struct client *c, char last)
{
    rpc_peer_error(c->peer, RPC_PARSE_ERROR, c->scan.reason, c->scan.line,
                   c->scan.column);
    c->skip_line = last != '\n';
    if (++c->parse_errors >= MAX_PARSE_ERRORS) {
        client_linger(c);
    }
}

static void
big_text(struct client *c)
{
    char reason[128];

    snprintf(reason, sizeof reason, "%s (texts may have %zu bytes, %u values, "
             "%u objects and arrays, %u levels)", c->scan.reason,
             c->api->limits.size, c->api->limits.values,
             c->api->limits.containers, c->api->limits.depth);
    rpc_peer_error(c->peer, RPC_TOO_LARGE, reason, 0, 0);
    client_linger(c);
}

/* The tree of a long text takes a multiple of its size, in pieces too small to
 * go back to the system by themselves. */
static void
give_back_memory(size_t n)
{
    if (n >= TRIM_SIZE) {
        malloc_trim(0);
    }
}

/* Looks at one text at 'buf', of which 'c->scanned' bytes were seen before.
 * Returns how many bytes are done with: 0 if it goes on. */
static size_t
take_text(struct client *c, const char *buf, size_t n)
{
    size_t used, done;

    if (c->skip_line) {
        const char *end = memchr(buf, '\n', n);
        c->skip_line = !end;
        c->scanned = 0;
        return end ? (size_t) (end - buf) + 1 : n;
    }
    enum json_verdict v = json_scan_feed(&c->scan, buf + c->scanned,
                                         n - c->scanned, &used);
    c->scanned += used;
    done = c->scanned;
    switch (v) {
    case JSON_MORE:
        if (!json_scan_empty(&c->scan)) {
            return 0;
        }
        break;
    case JSON_DONE:
        c->parse_errors = 0;
        rpc_peer_text(c->peer, buf, done, true);
        fd_pass_clear(&c->files);       /* Nobody wanted them. */
        give_back_memory(done);
        break;
    case JSON_BAD:
        bad_text(c, buf[done - 1]);
        break;
    case JSON_LIMIT:
        big_text(c);
        done = n;
    }
    c->scanned = 0;
    json_scan_init(&c->scan, &c->api->limits);
    return done;
}

/* Takes texts from 'buf' for a while.  Returns how many bytes are through. */
static size_t
take_texts(struct client *c, const char *buf, size_t n)
{
    int64_t until = clock_mono_us() + API_SLICE_US;
    size_t pos = 0;

    c->corked = true;
    while (pos + c->scanned < n && may_ask(c) && !c->linger && !c->dead) {
        size_t done = take_text(c, buf + pos, n - pos);
        pos += done;
        if (!done || clock_mono_us() >= until) {
            break;
        }
    }
    c->corked = false;
    client_flush(c);
    if (c->linger) {
        c->scanned = 0;
        pos = n;
    }
    return pos;
}

static bool
in_reserve(struct client *c, size_t n)
{
    struct api *api = c->api;
    size_t room = c->in_room;

    if (c->in_size + n <= room) {
        return true;
    }
    /* Most texts that do not come in one piece are long: grow generously. */
    room = c->in_size + n + c->in_size / 2;
    if (api->in_total - c->in_room + room
        > (API_IN_TOTAL > 4 * api->limits.size ? API_IN_TOTAL
                                           : 4 * api->limits.size)) {
        rpc_peer_error(c->peer, RPC_BUSY, "too many long requests at once", 0,
                       0);
        client_linger(c);
        return false;
    }
    char *p = realloc(c->in, room);
    if (!p) {
        client_die(c);
        return false;
    }
    api->in_total += room - c->in_room;
    c->in = p;
    c->in_room = room;
    return true;
}

static void
in_consume(struct client *c, size_t n)
{
    c->in_size -= n;
    if (c->in_size) {
        memmove(c->in, c->in + n, n ? c->in_size : 0);
        return;
    }
    c->api->in_total -= c->in_room;
    free(c->in);
    c->in = NULL;
    c->in_room = 0;
}

/* New bytes in 'buf'. */
static void
client_input(struct client *c, const char *buf, size_t n)
{
    if (c->linger) {
        c->discarded += n;
        return;
    }
    if (!c->in_size) {
        size_t done = take_texts(c, buf, n);
        buf += done;
        n -= done;
        if (n && !c->dead && in_reserve(c, n)) {
            memcpy(c->in, buf, n);
            c->in_size = n;
            c->text_ms = clock_mono_ms();
        }
        return;
    }
    if (in_reserve(c, n)) {
        memcpy(c->in + c->in_size, buf, n);
        c->in_size += n;
        in_consume(c, take_texts(c, c->in, c->in_size));
    }
}

/* No more bytes will come: what of a text is left? */
static void
client_input_end(struct client *c)
{
    enum json_verdict v;

    if (c->linger || c->skip_line || json_scan_empty(&c->scan)) {
        return;
    }
    v = json_scan_end(&c->scan);
    c->corked = true;
    if (v == JSON_DONE) {
        rpc_peer_text(c->peer, c->in, c->in_size, true);
    } else {
        bad_text(c, '\n');
    }
    c->corked = false;
    c->scanned = 0;
    in_consume(c, c->in_size);
    json_scan_init(&c->scan, &c->api->limits);
    client_flush(c);
}

/* True if the other side reads no more, either. */
static bool
hung_up(int fd)
{
    struct pollfd p = { .fd = fd };

    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

/* After the handshake: does a certificate say who it is? */
static void
client_opened(struct client *c)
{
    struct rpc_caller caller = *rpc_peer_caller(c->peer);
    char *names[WIRE_MAX_NAMES];
    size_t n = wire_peer_names(c->wire.ssl, names);

    c->open = true;
    if (n && access_certificate(api_config(c->api),
                                (const char *const *) names, n, &caller)) {
        rpc_peer_set_caller(c->peer, &caller);
    }
    while (n) {
        free(names[--n]);
    }
}

static void
client_read(struct client *c)
{
    struct api *api = c->api;
    ssize_t n;

    if (c->transport == API_UNIX) {
        n = fd_pass_recv(c->read.fd, api->buf, sizeof api->buf, &c->files);
        n = n < 0 ? errno == EINTR ? -EAGAIN : -errno : n;
    } else {
        n = wire_recv(&c->wire, api->buf, sizeof api->buf);
    }
    if (!c->open && wire_is_open(&c->wire)) {
        client_opened(c);
    }
    if (n > 0) {
        counter_add(&api->n.octets_in, (uint64_t) n);
        client_input(c, api->buf, (size_t) n);
    } else if (!n) {
        c->eof = true;
        if (hung_up(c->read.fd)) {
            c->dead = true;
        } else if (!has_input(c)) {
            client_input_end(c);
        }
    } else if (n != -EAGAIN) {
        if (n == -EPROTO && !c->open) {
            counter_inc(&api->n.handshakes_failed);
            LOG_RATE(api, NOTICE, "%s: refused: %s",
                     rpc_peer_caller(c->peer)->from, wire_reason());
        }
        c->dead = true;
    }
}

static void
on_read(struct ev_loop *loop, ev_io *w, int revents)
{
    struct client *c = w->data;

    (void) loop;
    (void) revents;
    client_read(c);
    client_flush(c);
    client_work(c);
}

static void
on_write(struct ev_loop *loop, ev_io *w, int revents)
{
    struct client *c = w->data;

    (void) loop;
    (void) revents;
    if (c->wire.want_write) {
        client_read(c);
    }
    client_flush(c);
    if (c->out_size < RPC_NOTIFY_ROOM / 2 && !c->dead) {
        rpc_peer_drained(c->peer);
    }
    client_work(c);
}

/* Nothing more will be read; does it still want to hear?  TCP does not tell who
 * has said all from who is gone. */
static bool
listens(const struct client *c)
{
    return c->transport == API_UNIX && rpc_peer_subscriptions(c->peer);
}

/* Brings watchers in line with the state; ends the client if it is through. */
static void
client_work(struct client *c)
{
    if (c->linger && c->in_size) {
        in_consume(c, c->in_size);
    }
    if (!c->dead && c->linger && !c->out_size && !c->shut) {
        wire_shutdown(&c->wire);
        c->shut = true;
    }
    if (c->dead
        || (c->eof && !c->out_size
            && (c->linger || (!c->in_size && !rpc_peer_pending(c->peer)
                              && !listens(c))))) {
        client_destroy(c);
        return;
    }
    if (has_input(c) && !c->linger && may_ask(c)) {
        client_touch(c);
    }
    bool reads = !c->eof && (c->linger || (!has_input(c) && may_ask(c)));
    watch(c->api->loop, &c->read, reads || c->wire.want_read);
    if (reads && wire_pending(&c->wire)) {
        ev_feed_event(c->api->loop, &c->read, EV_READ);
    }
}

/* One round of what was left for later. */
void
clients_on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
    struct api *api = w->data;
    struct client *last = NULL;
    int64_t until = clock_mono_us() + API_SLICE_US;

    (void) revents;
    for (struct client *c = api->work; c; c = c->work) {
        last = c;
    }
    while (api->work) {
        struct client *c = api->work;
        bool end = c == last;
        client_unwork(c);
        if (has_input(c) && !c->linger && !c->dead && may_ask(c)) {
            in_consume(c, take_texts(c, c->in, c->in_size));
        }
        if (c->eof && !c->dead && c->in_size && !has_input(c)) {
            client_input_end(c);
        }
        client_work(c);
        if (end || clock_mono_us() >= until) {
            break;
        }
    }
    if (!api->work) {
        ev_idle_stop(loop, w);
    }
}

/* Should it go?  NULL, or why; '*n' counts it. */
static const char *
overdue(const struct client *c, int64_t now, counter_t **n)
{
    struct api_counters *counters = &c->api->n;

    if (c->out_size && now - c->moved_ms > API_STALL_MS) {
        *n = &counters->slow_clients;
        return "it has not read its answers for a minute";
    } else if (c->transport == API_UNIX || c->linger) {
        return NULL;
    } else if (now - c->since_ms > API_STRANGER_MS
               && (!c->open || (rpc_peer_caller(c->peer)->role == ROLE_ANYBODY
                                && !rpc_peer_pending(c->peer)))) {
        *n = &counters->strangers;
        return c->open ? "it did not say who it is" : "no TLS handshake";
    } else if (c->in_size && !has_input(c)
               && now - c->text_ms > API_STALL_MS) {
        *n = &counters->slow_requests;
        return "its request did not end for a minute";
    }
    return NULL;
}

/* Once a second: who neither reads, nor writes, nor goes? */
void
clients_sweep(struct api *api, int64_t now)
{
    struct client *next;

    for (struct client *c = api->clients; c; c = next) {
        counter_t *n = NULL;
        rpc_peer_expire(c->peer);
        const char *why = overdue(c, now, &n);
        next = c->next;
        if (why) {
            counter_inc(n);
            LOG_RATE(api, NOTICE, "client %s: closed, %s",
                     rpc_peer_caller(c->peer)->from, why);
            client_die(c);
        } else if (c->linger && (now - c->moved_ms > LINGER_MS
                                 || c->discarded > LINGER_MAX)) {
            client_die(c);
        } else if (c->eof && hung_up(c->read.fd)) {
            client_die(c);
        }
    }
}

void
clients_destroy(struct api *api)
{
    while (api->clients) {
        client_destroy(api->clients);
    }
}

void
clients_revoke(struct api *api, const char *token)
{
    for (struct client *c = api->clients; c; c = c->next) {
        struct rpc_caller caller = *rpc_peer_caller(c->peer);
        if (!strcmp(caller.token, token)) {
            caller.role = ROLE_ANYBODY;
            caller.token[0] = '\0';
            rpc_peer_set_caller(c->peer, &caller);
            c->since_ms = clock_mono_ms();
        }
    }
}

/* Connections. */

int
client_adopt(struct api *api, int fd, enum api_transport kind)
{
    static const char *const names[] = { [API_TCP] = "tcp", [API_TLS] = "tls" };
    struct client *c = calloc(1, sizeof *c);
    struct rpc_caller caller;
    struct wire_tls *tls = kind == API_TLS ? api->tls : NULL;

    if (kind == API_UNIX) {
        access_unix(fd, api_config(api), &caller);
    } else {
        access_tcp(fd, names[kind], &caller, NULL);
    }
    if (!c || !(c->peer = rpc_peer_create(api->core, &transport, c, &caller))
        || wire_accept(&c->wire, fd, tls)) {
        if (c) {
            rpc_peer_destroy(c->peer);
        }
        free(c);
        return -ENOMEM;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    c->api = api;
    c->transport = kind;
    c->open = !tls;
    c->since_ms = clock_mono_ms();
    json_scan_init(&c->scan, &api->limits);
    ev_io_init(&c->read, on_read, fd, EV_READ);
    ev_io_init(&c->write, on_write, fd, EV_WRITE);
    c->read.data = c->write.data = c;
    c->next = api->clients;
    c->prev = &api->clients;
    if (c->next) {
        c->next->prev = &c->next;
    }
    api->clients = c;
    api->n_clients++;
    counter_inc(&api->n.connections);
    ev_io_start(api->loop, &c->read);
    return 0;
}
