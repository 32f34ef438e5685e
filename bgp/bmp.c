#include <config.h>

#include "bgp/bmp.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgp/socket.h"
#include "lib/acceptor.h"
#include "lib/clock.h"
#include "lib/log.h"

const struct counter_def bmp_server_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct bmp_server_counters, NAME), DOC },
    BMP_SERVER_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

#define READ_SIZE 8192u        /* In a turn, and of a buffer at first. */
#define SLICE_US 2000
#define MAX_LISTEN 40
#define MAX_OF_ADDRESS 4
#define HANDSHAKE_S 10.

struct connection {
    struct bmp_server *server;
    struct bmp_router *router;
    int fd;
    uint16_t port;
    void *tls;                  /* NULL: plain. */
    bool heard;                 /* A whole message came. */
    ev_io readable, writable;
    ev_timer handshake;
    bool in_turn;
    struct connection *next_turn;
    uint8_t *in;
    size_t n_in, room;
    int64_t since_ms, last_input_ms;
    struct connection *next;
};

struct bmp_listener {
    struct bgp_listen at;
    bool tls;
    int fd;
    uint16_t port;
    struct acceptor acceptor;
    struct bmp_server *server;
};

struct bmp_server {
    struct ev_loop *loop;
    struct bgp_sink sink;
    struct bmp_hooks hooks;
    struct bgp_decoder *decoder;
    struct bmp_router_config router_config;
    struct bmp_listener listeners[MAX_LISTEN];
    size_t n_listeners;
    void *tls;
    struct prefix *allow;
    size_t n_allow;
    unsigned max_routers, n_connections;
    struct connection *connections;
    ev_idle turn;
    struct connection *first, **last;
    struct bmp_server_counters n;
};

/* ---- Connections. ---- */

static void
leave_turn(struct connection *c)
{
    struct bmp_server *s = c->server;
    for (struct connection **p = &s->first; c->in_turn && *p;
         p = &(*p)->next_turn) {
        if (*p == c) {
            *p = c->next_turn;
            if (!c->next_turn) {
                s->last = p;
            }
            break;
        }
    }
    c->in_turn = false;
}

static void
take_turn(struct connection *c)
{
    struct bmp_server *s = c->server;
    if (!c->in_turn) {
        c->in_turn = true;
        c->next_turn = NULL;
        *s->last = c;
        s->last = &c->next_turn;
        ev_io_stop(s->loop, &c->readable);
        ev_idle_start(s->loop, &s->turn);
    }
}

static void
close_connection(struct connection *c, const char *why)
{
    struct bmp_server *s = c->server;
    char a[ADDR_STRLEN];
    LOG_RATE(bgp, INFO, "BMP of %s: %s", addr_format(&c->router->address, a),
             why);
    if (s->hooks.event) {
        s->hooks.event(s->hooks.aux, c->router, NULL, "down", why);
    }
    leave_turn(c);
    ev_io_stop(s->loop, &c->readable);
    ev_io_stop(s->loop, &c->writable);
    ev_timer_stop(s->loop, &c->handshake);
    if (c->tls) {
        s->hooks.tls->close(c->tls);
    }
    close(c->fd);
    for (struct connection **p = &s->connections; *p; p = &(*p)->next) {
        if (*p == c) {
            *p = c->next;
            break;
        }
    }
    s->n_connections--;
    bmp_router_destroy(c->router, &s->router_config);
    free(c->in);
    free(c);
}

/* Room for the message that has begun, and for a read. */
static bool
make_room(struct connection *c)
{
    struct bmp_header h;
    size_t want = READ_SIZE;
    if (c->n_in >= BMP_HEADER_SIZE && bmp_header_parse(c->in, &h)
        && h.size > want) {
        want = h.size;
    }
    if (want <= c->room && (c->room == READ_SIZE || want > READ_SIZE)) {
        return true;
    }
    if (want < c->n_in) {
        return true;
    }
    uint8_t *in = realloc(c->in, want);
    if (in) {
        c->in = in;
        c->room = want;
    }
    return in != NULL;
}

/* Hands on what is whole.  Returns NULL, or why the connection has to end. */
static const char *
take_messages(struct connection *c)
{
    size_t used = 0;
    bool goes_on = true;
    while (goes_on && c->n_in - used >= BMP_HEADER_SIZE) {
        struct bmp_header h;
        if (!bmp_header_parse(c->in + used, &h)) {
            counter_inc(&c->server->n.broken);
            return "closed: it does not send BMP";
        }
        if (h.size > c->n_in - used) {
            break;
        }
        c->heard = true;
        goes_on = bmp_router_message(c->router, &c->server->router_config, &h,
                                     c->in + used);
        used += h.size;
    }
    memmove(c->in, c->in + used, c->n_in - used);
    c->n_in -= used;
    return goes_on ? NULL : c->router->terminated;
}

/* Octets, 0 at the end, or a negative errno. */
static int
receive(struct connection *c, void *buf, size_t n)
{
    bool want_write = false;
    if (!c->tls) {
        ssize_t got = recv(c->fd, buf, n, 0);
        return got < 0 ? -errno : (int) got;
    }
    int got = c->server->hooks.tls->read(c->tls, buf, n, &want_write);
    if (want_write) {
        ev_io_start(c->server->loop, &c->writable);
    } else {
        ev_io_stop(c->server->loop, &c->writable);
    }
    return got;
}

/* One turn.  Returns true if there may be more; then, and if it returns false
 * with '*gone' unset, the connection is still there. */
static bool
read_some(struct connection *c, bool *gone)
{
    const char *why = NULL;
    *gone = false;
    if (!make_room(c)) {
        why = "closed: out of memory";
    } else {
        size_t want = c->room - c->n_in;
        int n = receive(c, c->in + c->n_in, want);
        if (n == -EAGAIN || n == -EINTR) {
            return false;
        } else if (n <= 0) {
            bool refused = c->tls && n < 0 && !c->heard;
            counter_add(&c->server->n.tls_failed, refused);
            why = refused ? "closed: TLS failed"
                  : n ? strerror(-n) : "the router closed the connection";
        } else {
            c->n_in += (size_t) n;
            c->last_input_ms = clock_mono_ms();
            ev_timer_stop(c->server->loop, &c->handshake);
            why = take_messages(c);
        }
    }
    if (why) {
        close_connection(c, why);
        *gone = true;
        return false;
    }
    /* TLS may have more inside: only -EAGAIN says that it has not. */
    return true;
}

static void
on_turn(struct ev_loop *loop, ev_idle *w, int revents)
{
    struct bmp_server *s = w->data;
    int64_t end = clock_mono_us() + SLICE_US;
    (void) revents;
    while (s->first && clock_mono_us() < end) {
        struct connection *c = s->first;
        bool gone;
        leave_turn(c);
        if (read_some(c, &gone)) {
            take_turn(c);
        } else if (!gone) {
            ev_io_start(loop, &c->readable);
        }
    }
    if (!s->first) {
        ev_idle_stop(loop, &s->turn);
    }
}

static void
on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
    (void) loop;
    (void) revents;
    take_turn(w->data);
}

static void
on_handshake(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void) loop;
    (void) revents;
    close_connection(w->data, "closed: it said nothing");
}

/* ---- Who may come in. ---- */

static bool
is_allowed(const struct bmp_server *s, const struct addr *a)
{
    bool allowed = !s->n_allow;
    for (size_t i = 0; i < s->n_allow && !allowed; i++) {
        allowed = prefix_contains(&s->allow[i], a);
    }
    return allowed;
}

static unsigned
n_of_address(const struct bmp_server *s, const struct addr *a)
{
    unsigned n = 0;
    for (const struct connection *c = s->connections; c; c = c->next) {
        n += addr_equal(&c->router->address, a);
    }
    return n;
}

static struct connection *
add_connection(struct bmp_server *s, int fd, const struct addr *peer,
               uint16_t port, bool tls)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c) {
        c->server = s;
        c->fd = fd;
        c->port = port;
        c->router = bmp_router_create(peer);
        c->tls = tls && c->router ? s->hooks.tls->accept(s->tls, fd) : NULL;
    }
    if (!c || !c->router || (tls && !c->tls)) {
        if (c) {
            bmp_router_destroy(c->router, &s->router_config);
        }
        free(c);
        return NULL;
    }
    c->since_ms = clock_mono_ms();
    c->next = s->connections;
    s->connections = c;
    s->n_connections++;
    ev_io_init(&c->readable, on_ready, fd, EV_READ);
    ev_io_init(&c->writable, on_ready, fd, EV_WRITE);
    ev_timer_init(&c->handshake, on_handshake, HANDSHAKE_S, 0.);
    c->readable.data = c->writable.data = c->handshake.data = c;
    ev_io_start(s->loop, &c->readable);
    ev_timer_start(s->loop, &c->handshake);
    return c;
}

static void
take_connection(struct bmp_listener *l, int fd, const struct addr *peer,
                uint16_t port)
{
    struct bmp_server *s = l->server;
    char a[ADDR_STRLEN];
    addr_format(peer, a);
    if (!is_allowed(s, peer)) {
        LOG_RATE(bgp, INFO, "BMP of %s: refused: not allowed", a);
        counter_inc(&s->n.not_allowed);
    } else if (s->n_connections >= s->max_routers
               || n_of_address(s, peer) >= MAX_OF_ADDRESS
               || !add_connection(s, fd, peer, port, l->tls)) {
        LOG_RATE(bgp, NOTICE, "BMP of %s: refused: too many connections", a);
        counter_inc(&s->n.too_many);
    } else {
        LOG_RATE(bgp, INFO, "BMP of %s: connected%s", a,
                 l->tls ? " by TLS" : "");
        counter_inc(&s->n.accepted);
        return;
    }
    close(fd);
}

static void
on_connection(struct ev_loop *loop, ev_io *w, int revents)
{
    struct bmp_listener *l = w->data;
    (void) loop;
    (void) revents;
    for (int i = 0; i < 16; i++) {
        struct addr peer, local;
        uint16_t port;
        int fd = bgp_socket_accept(l->fd, &peer, &port, &local);
        if (fd >= 0) {
            take_connection(l, fd, &peer, port);
        } else if (fd != -EINTR && fd != -ECONNABORTED) {
            if (acceptor_failed(&l->acceptor, fd)) {
                counter_inc(&l->server->n.bad_sockets);
                LOG_RATE(bgp, WARN, "cannot accept a BMP session: %s",
                         strerror(-fd));
            }
            return;
        }
    }
}

/* ---- Configuration. ---- */

static struct bmp_listener *
find_listener(struct bmp_server *s, const struct bgp_listen *at, bool tls)
{
    for (size_t i = 0; i < s->n_listeners; i++) {
        struct bmp_listener *l = &s->listeners[i];
        if (l->fd >= 0 && l->tls == tls && l->at.port == at->port
            && addr_equal(&l->at.addr, &at->addr)) {
            return l;
        }
    }
    return NULL;
}

/* Fills 'to' with what is open already, or opened now. */
static int
open_some(struct bmp_server *s, const struct bgp_listen *at, size_t n,
          bool tls, struct bmp_listener *to, size_t *n_to, char **error)
{
    for (size_t i = 0; i < n && *n_to < MAX_LISTEN; i++) {
        struct bmp_listener *old = find_listener(s, &at[i], tls);
        struct bmp_listener l = { .at = at[i], .tls = tls, .server = s };
        l.fd = old ? old->fd : bgp_socket_listen(&at[i].addr, at[i].port);
        if (l.fd < 0) {
            char text[ENDPOINT_STRLEN];
            endpoint_format(&at[i].addr, at[i].port, text);
            if (asprintf(error, "%s: %s", text, strerror(-l.fd)) < 0) {
                *error = NULL;
            }
            return l.fd;
        }
        struct sockaddr_storage ss;
        socklen_t size = sizeof ss;
        struct addr a;
        if (!getsockname(l.fd, (struct sockaddr *) &ss, &size)) {
            addr_from_sockaddr((struct sockaddr *) &ss, &a, &l.port);
        }
        to[(*n_to)++] = l;
    }
    return 0;
}

static bool
holds_fd(const struct bmp_listener *list, size_t n, int fd)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].fd == fd) {
            return true;
        }
    }
    return false;
}

static int
change_listeners(struct bmp_server *s, const struct bmp_config *c,
                 char **error)
{
    struct bmp_listener list[MAX_LISTEN];
    size_t n = 0;
    int result = open_some(s, c->listen, c->n_listen, false, list, &n, error);
    if (!result) {
        result = open_some(s, c->tls_listen, c->n_tls_listen, true, list, &n,
                           error);
    }
    if (result) {
        for (size_t i = 0; i < n; i++) {
            if (!holds_fd(s->listeners, s->n_listeners, list[i].fd)) {
                close(list[i].fd);
            }
        }
        return result;
    }
    for (size_t i = 0; i < s->n_listeners; i++) {
        acceptor_stop(&s->listeners[i].acceptor);
        if (!holds_fd(list, n, s->listeners[i].fd)) {
            close(s->listeners[i].fd);
        }
    }
    memcpy(s->listeners, list, n * sizeof list[0]);
    s->n_listeners = n;
    for (size_t i = 0; i < n; i++) {
        struct bmp_listener *l = &s->listeners[i];
        acceptor_start(&l->acceptor, s->loop, l->fd, on_connection, l,
                       BGP_ACCEPT_REST_S);
    }
    return 0;
}

static void
on_router_event(void *server, const struct bmp_router *r,
                const struct bmp_peer *p, const char *kind, const char *text)
{
    struct bmp_server *s = server;
    char a[ADDR_STRLEN], b[ADDR_STRLEN];
    if (p) {
        LOG_RATE(bgp, INFO, "BMP of %s: peer %s %s: %s",
                 addr_format(&r->address, a),
                 addr_format(&p->key.address, b), kind, text);
    } else {
        LOG_RATE(bgp, INFO, "BMP of %s: %s: %s", addr_format(&r->address, a),
                 kind, text);
    }
    if (s->hooks.event) {
        s->hooks.event(s->hooks.aux, r, p, kind, text);
    }
}

/* Those who would not be let in now have to go; so do all if other tables are
 * kept now, for they would not be told again. */
static void
review_connections(struct bmp_server *s, bool all)
{
    for (struct connection *c = s->connections; c; ) {
        struct connection *next = c->next;
        if (all || !is_allowed(s, &c->router->address)) {
            close_connection(c, "closed: the configuration changed");
        }
        c = next;
    }
}

int
bmp_server_configure(struct bmp_server *s, const struct bmp_config *c,
                     char **error)
{
    *error = NULL;
    void *tls = NULL;
    if (c->n_tls_listen) {
        if (!s->hooks.tls) {
            *error = strdup("built without TLS");
            return -ENOTSUP;
        }
        tls = s->hooks.tls->create(c, error);
        if (!tls) {
            return -EINVAL;
        }
    }
    struct prefix *allow = calloc(c->n_allow + 1, sizeof *allow);
    int result = allow ? change_listeners(s, c, error) : -ENOMEM;
    if (result) {
        if (tls) {
            s->hooks.tls->destroy(tls);
        }
        free(allow);
        return result;
    }
    memcpy(allow, c->allow, c->n_allow * sizeof *allow);
    free(s->allow);
    s->allow = allow;
    s->n_allow = c->n_allow;
    s->max_routers = c->max_routers;
    struct bmp_router_config *rc = &s->router_config;
    bool others = rc->families != c->families || rc->views != c->views;
    rc->max_peers = c->max_peers;
    rc->families = c->families;
    rc->views = c->views;
    review_connections(s, others);
    if (s->tls) {
        s->hooks.tls->destroy(s->tls);
    }
    s->tls = tls;
    return 0;
}

/* ---- Looking. ---- */

void
bmp_server_each(const struct bmp_server *s, bmp_server_fn *each, void *aux)
{
    for (const struct connection *c = s->connections; c; c = c->next) {
        struct bmp_connection_info info = {
            .router = c->router, .port = c->port, .tls = c->tls != NULL,
            .since_ms = c->since_ms, .last_input_ms = c->last_input_ms,
        };
        if (!each(aux, &info)) {
            return;
        }
    }
}

const struct bmp_server_counters *
bmp_server_counters(const struct bmp_server *s)
{
    return &s->n;
}

size_t
bmp_server_listening(const struct bmp_server *s, struct bgp_listen *list,
                     size_t max)
{
    size_t n = s->n_listeners < max ? s->n_listeners : max;
    for (size_t i = 0; i < n; i++) {
        list[i] = (struct bgp_listen) { s->listeners[i].at.addr,
                                        s->listeners[i].port };
    }
    return n;
}

/* ---- Life. ---- */

struct bmp_server *
bmp_server_create(struct ev_loop *loop, const struct bgp_sink *sink,
                  const struct bmp_hooks *hooks)
{
    struct bmp_server *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->loop = loop;
    s->sink = *sink;
    s->hooks = *hooks;
    s->decoder = bgp_decoder_create();
    s->router_config = (struct bmp_router_config) {
        .sink = &s->sink, .decoder = s->decoder, .aux = s,
        .event = on_router_event,
    };
    s->last = &s->first;
    ev_idle_init(&s->turn, on_turn);
    ev_set_priority(&s->turn, EV_MAXPRI);
    s->turn.data = s;
    if (!s->decoder) {
        bmp_server_destroy(s);
        return NULL;
    }
    return s;
}

void
bmp_server_destroy(struct bmp_server *s)
{
    if (!s) {
        return;
    }
    while (s->connections) {
        close_connection(s->connections, "closed: venturid stops");
    }
    for (size_t i = 0; i < s->n_listeners; i++) {
        acceptor_stop(&s->listeners[i].acceptor);
        close(s->listeners[i].fd);
    }
    ev_idle_stop(s->loop, &s->turn);
    if (s->tls) {
        s->hooks.tls->destroy(s->tls);
    }
    bgp_decoder_destroy(s->decoder);
    free(s->allow);
    free(s);
}
