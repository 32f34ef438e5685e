#include <config.h>

#include "bgp/speaker_p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgp/socket.h"
#include "lib/clock.h"

/* Connections: what comes in is read in turns, what goes out is little. */

static void on_readable(struct ev_loop *, ev_io *, int);
static void on_writable(struct ev_loop *, ev_io *, int);

void
link_init(struct link *l, struct neighbor *nb, enum bgp_slot slot)
{
    memset(l, 0, sizeof *l);
    l->neighbor = nb;
    l->slot = slot;
    l->fd = -1;
}

static struct ev_loop *
loop_of(struct link *l)
{
    return l->neighbor->speaker->loop;
}

/* ---- Last words. ---- */

static void
linger_end(struct farewell *g)
{
    struct bgp_speaker *sp = g->speaker;
    for (struct farewell **p = &sp->lingering; *p; p = &(*p)->next) {
        if (*p == g) {
            *p = g->next;
            break;
        }
    }
    sp->n_lingering--;
    ev_io_stop(sp->loop, &g->readable);
    ev_timer_stop(sp->loop, &g->timer);
    close(g->fd);
    free(g);
}

static void
on_linger_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    uint8_t sink[4096];
    struct farewell *g = w->data;
    (void) loop;
    (void) revents;
    ssize_t n = recv(g->fd, sink, sizeof sink, 0);
    if (!n || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        linger_end(g);
    }
}

static void
on_linger_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void) loop;
    (void) revents;
    linger_end(w->data);
}

/* A close() with octets unread would be a reset, and the peer might never see
 * our NOTIFICATION: so it may finish, for a moment. */
static void
linger(struct bgp_speaker *sp, int fd)
{
    struct farewell *g = sp->n_lingering < MAX_LINGER ? calloc(1, sizeof *g)
                                                    : NULL;
    if (!g || shutdown(fd, SHUT_WR)) {
        free(g);
        close(fd);
        return;
    }
    g->fd = fd;
    g->speaker = sp;
    g->next = sp->lingering;
    sp->lingering = g;
    sp->n_lingering++;
    ev_io_init(&g->readable, on_linger_readable, fd, EV_READ);
    ev_timer_init(&g->timer, on_linger_timer, LINGER_S, 0.);
    g->readable.data = g->timer.data = g;
    ev_io_start(sp->loop, &g->readable);
    ev_timer_start(sp->loop, &g->timer);
}

void
link_last_words(struct bgp_speaker *sp, int fd, const uint8_t *p, size_t n)
{
    if (send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) n) {
        linger(sp, fd);
    } else {
        close(fd);
    }
}

void
link_end_lingering(struct bgp_speaker *sp)
{
    while (sp->lingering) {
        linger_end(sp->lingering);
    }
}

/* ---- Opening and closing. ---- */

static void
leave_turn(struct link *l)
{
    struct bgp_speaker *sp = l->neighbor->speaker;
    for (struct link **p = &sp->first; l->in_turn && *p; p = &(*p)->next) {
        if (*p == l) {
            *p = l->next;
            if (!l->next) {
                sp->last = p;
            }
            break;
        }
    }
    l->in_turn = false;
}

static void
take_turn(struct link *l)
{
    struct bgp_speaker *sp = l->neighbor->speaker;
    if (!l->in_turn) {
        l->in_turn = true;
        l->next = NULL;
        *sp->last = l;
        sp->last = &l->next;
        ev_io_stop(sp->loop, &l->readable);
        ev_idle_start(sp->loop, &sp->turn);
    }
}

int
link_open(struct link *l, int fd, bool connecting)
{
    link_close(l, false);
    l->in = malloc(IN_SIZE);
    if (!l->in) {
        close(fd);
        return -ENOMEM;
    }
    l->fd = fd;
    l->serial = ++l->neighbor->speaker->n_opened;
    l->connecting = connecting;
    ev_io_init(&l->readable, on_readable, fd, EV_READ);
    ev_io_init(&l->writable, on_writable, fd, EV_WRITE);
    l->readable.data = l->writable.data = l;
    if (connecting) {
        ev_io_start(loop_of(l), &l->writable);
    } else {
        ev_io_start(loop_of(l), &l->readable);
    }
    return 0;
}

void
link_close(struct link *l, bool gently)
{
    leave_turn(l);
    if (l->fd >= 0) {
        ev_io_stop(loop_of(l), &l->readable);
        ev_io_stop(loop_of(l), &l->writable);
        if (gently && !l->connecting && !l->error) {
            linger(l->neighbor->speaker, l->fd);
        } else {
            close(l->fd);
        }
    }
    ev_clear_pending(loop_of(l), &l->writable);
    ev_clear_pending(loop_of(l), &l->readable);
    free(l->in);
    free(l->out);
    link_init(l, l->neighbor, l->slot);
}

/* Tells the session later: it does not want to hear of it now. */
static void
fail_later(struct link *l, int error)
{
    l->error = error;
    if (l->fd < 0) {
        ev_io_init(&l->writable, on_writable, 0, 0);
        l->writable.data = l;
    }
    ev_feed_event(loop_of(l), &l->writable, EV_CUSTOM);
}

void
link_connect(struct link *l)
{
    struct neighbor *nb = l->neighbor;
    const struct bgp_config *c = &nb->config.session;
    struct prefix peer = { c->address, 128 };
    int fd = bgp_socket_create(&c->address, &c->local);
    int error = fd < 0 ? fd : 0;
    if (!error && nb->config.password) {
        error = bgp_socket_md5(fd, &peer, nb->config.password);
    }
    if (!error) {
        error = bgp_socket_gtsm(fd, &c->address, nb->config.ttl_security);
    }
    if (!error) {
        error = bgp_socket_connect(fd, &c->address, c->port);
    }
    if (!error) {
        error = link_open(l, fd, true);
        fd = -1;
    }
    if (error) {
        if (fd >= 0) {
            close(fd);
        }
        fail_later(l, -error);
    }
}

/* ---- Sending. ---- */

/* Sends what waits.  Returns 0 or a negative errno. */
static int
flush(struct link *l)
{
    while (l->at_out < l->n_out) {
        ssize_t n = send(l->fd, l->out + l->at_out, l->n_out - l->at_out,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        } else if (n < 0 && errno == EAGAIN) {
            ev_io_start(loop_of(l), &l->writable);
            return 0;
        } else if (n < 0) {
            return -errno;
        }
        l->at_out += (size_t) n;
    }
    l->at_out = l->n_out = 0;
    ev_io_stop(loop_of(l), &l->writable);
    return 0;
}

void
link_send(struct link *l, const uint8_t *p, size_t n)
{
    if (l->fd < 0 || l->error) {
        return;
    }
    if (l->at_out) {
        memmove(l->out, l->out + l->at_out, l->n_out - l->at_out);
        l->n_out -= l->at_out;
        l->at_out = 0;
    }
    uint8_t *out = l->n_out + n <= OUT_MAX ? realloc(l->out, l->n_out + n)
                                           : NULL;
    if (!out) {
        fail_later(l, ENOBUFS); /* It does not read what it asked for. */
        return;
    }
    l->out = out;
    memcpy(out + l->n_out, p, n);
    l->n_out += n;
    int error = flush(l);
    if (error) {
        fail_later(l, -error);
    }
}

/* ---- Events of sockets. ---- */

static void
broken(struct link *l, const char *why)
{
    struct neighbor *nb = l->neighbor;
    int64_t now = clock_mono_ms();
    enum bgp_slot slot = l->slot;
    link_close(l, false);
    bgp_session_broken(nb->session, slot, why, now);
    neighbor_arm(nb);
}

static void
finish_connect(struct link *l)
{
    struct neighbor *nb = l->neighbor;
    struct addr local;
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        broken(l, strerror(error));
        return;
    }
    l->connecting = false;
    l->remote_port = nb->config.session.port;
    bgp_socket_local(l->fd, &local);
    ev_io_stop(loop_of(l), &l->writable);
    ev_io_start(loop_of(l), &l->readable);
    bgp_session_connected(nb->session, &local, clock_mono_ms());
    neighbor_arm(nb);
}

static void
on_writable(struct ev_loop *loop, ev_io *w, int revents)
{
    struct link *l = w->data;
    (void) loop;
    (void) revents;
    if (l->error) {
        broken(l, l->error == ENOBUFS ? "the peer does not read"
                                      : strerror(l->error));
    } else if (l->connecting) {
        finish_connect(l);
    } else {
        int error = flush(l);
        if (error) {
            broken(l, strerror(-error));
        }
    }
}

static void
on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
    (void) loop;
    (void) revents;
    take_turn(w->data);
}

/* Reads once and hands on what is whole.  Returns true if there may be more.
 * The link may be closed after that. */
static bool
read_some(struct link *l)
{
    struct neighbor *nb = l->neighbor;
    size_t room = IN_SIZE - l->n_in, want = room < READ_SIZE ? room
                                                             : READ_SIZE;
    ssize_t n = recv(l->fd, l->in + l->n_in, want, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (n <= 0) {
        broken(l, n ? strerror(errno) : "the peer closed the connection");
        return false;
    }
    l->n_in += (size_t) n;
    int64_t now = clock_mono_ms();
    uint64_t serial = l->serial;
    size_t used = bgp_session_input(nb->session, l->slot, l->in, l->n_in,
                                    l->n_in, now);
    if (l->serial != serial) {
        return false;           /* The session closed it. */
    }
    memmove(l->in, l->in + used, l->n_in - used);
    l->n_in -= used;
    return (size_t) n == want;
}

void
link_read_now(struct link *l)
{
    if (l->fd >= 0 && !l->connecting && !l->error) {
        read_some(l);
    }
}

/* Everyone in turn, for as long as a slice lasts. */
static void
on_turn(struct ev_loop *loop, ev_idle *w, int revents)
{
    struct bgp_speaker *sp = w->data;
    int64_t end = clock_mono_us() + SLICE_US;
    (void) revents;
    while (sp->first && clock_mono_us() < end) {
        struct link *l = sp->first;
        struct neighbor *nb = l->neighbor;
        leave_turn(l);
        bool more = l->fd >= 0 && !l->error && read_some(l);
        if (more) {
            take_turn(l);
        } else if (l->fd >= 0 && !l->connecting) {
            ev_io_start(loop, &l->readable);
        }
        neighbor_arm(nb);
    }
    if (!sp->first) {
        ev_idle_stop(loop, &sp->turn);
    }
}

void
link_turns(struct bgp_speaker *sp)
{
    sp->last = &sp->first;
    ev_idle_init(&sp->turn, on_turn);
    ev_set_priority(&sp->turn, EV_MAXPRI);
    sp->turn.data = sp;
}
