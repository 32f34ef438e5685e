#include <config.h>

#include "collector/input/input_p.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <urcu.h>

#include "collector/exporter/source_table.h"
#include "collector/input/socket.h"
#include "collector/template/template.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/seed.h"
#include "lib/source.h"
#include "lib/thread.h"

#define RX_SIZE 65536           /* No UDP datagram is longer. */
#define RX_ROUNDS 16            /* Bursts before other sockets get a turn. */
#define ROUNDS_US 5000          /* ...or so long. */
#define FLUSH_AFTER_S 0.2       /* A flow waits no longer in a batch. */
#define DRAIN_MAX 1000000       /* Datagrams read at the end, at most. */

/* Counts every row of 'b' as lost, on its source. */
static void
count_lost(const struct flow_batch *b)
{
    for (uint32_t i = 0; i < b->n_spans; i++) {
        counter_add(&b->spans[i].source->n.ring_full, b->spans[i].n);
    }
    LOG_RATE(input, WARN, "the writer cannot keep up: %u flow records lost",
             b->n);
}

/* Runs the stages over a batch and hands it over.  Returns an empty batch to
 * go on with: another one, or, if there is none, the same without its rows,
 * which are counted as lost. */
static struct flow_batch *
hand_over(void *worker_, struct flow_batch *b)
{
    struct worker *w = worker_;
    const struct input_config *c = &w->input->config;
    if (!b->n) {
        return b;
    }
    for (size_t i = 0; i < c->n_stages; i++) {
        c->stages[i].process(c->stages[i].aux, b);
    }
    struct lane *lane = &w->lanes[w->lane];
    bool first = w->lane == STEER_KNOWN || !w->input->has_known;
    struct flow_batch *next = lane->spare ? lane->spare : c->get(c->aux);
    lane->spare = NULL;
    if (!next || !c->submit(c->aux, b, first)) {
        count_lost(b);
        batch_reset(b);
        lane->spare = next;
        return b;
    }
    batch_reset(next);
    return next;
}

uint32_t
port_note_drops(struct port *port, uint32_t total)
{
    uint32_t old = atomic_load(&port->drops);
    do {
        if ((int32_t) (total - old) <= 0) {
            return 0;
        }
    } while (!atomic_compare_exchange_weak(&port->drops, &old, total));
    if (port->lane == STEER_REFUSED) {
        counter_add(&port->listener->not_allowed, total - old);
        return 0;
    }
    counter_add(&port->listener->kernel_drops, total - old);
    return total - old;
}

/* The kernel's count at the time when this datagram was queued. */
static void
read_ancillary(struct port *port, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            uint32_t total;
            memcpy(&total, CMSG_DATA(c), sizeof total);
            uint32_t n = port_note_drops(port, total);
            if (n) {
                LOG_RATE(input, WARN, "%s: the kernel dropped %u datagrams "
                         "because the receive buffer was full",
                         port->listener->address, (unsigned) n);
            }
        }
    }
}

/* May it send?  If not, that is counted. */
static bool
is_allowed(void *port_, const struct addr *a)
{
    struct port *port = port_;
    const struct input *in = port->worker->input;
    for (size_t i = 0; i < in->config.n_allow; i++) {
        if (prefix_contains(&in->allow[i], a)) {
            return true;
        }
    }
    if (in->config.n_allow) {
        char text[ADDR_STRLEN];
        counter_inc(&port->listener->not_allowed);
        LOG_RATE(input, WARN, "%s: %s is not among collector/allow",
                 port->listener->address, addr_format(a, text));
    }
    return !in->config.n_allow;
}

/* A datagram, or a message out of a stream. */
static void
decode(void *port_, const struct datagram *d)
{
    struct port *port = port_;
    struct worker *w = port->worker;
    w->lane = port->lane == STEER_KNOWN ? STEER_KNOWN : STEER_ANYBODY;
    struct flow_batch **b = &w->lanes[w->lane].batch;
    counter_inc(&port->listener->datagrams);
    counter_add(&port->listener->octets, d->size);
    if (!(*b)->n) {
        (*b)->oldest_us = d->received_us;
    }
    *b = decoder_datagram(w->decoder, d, *b);
    if (batch_full(*b)) {
        *b = hand_over(w, *b);
    }
}

/* False if it is not allowed. */
static bool
take_datagram(struct port *port, struct mmsghdr *m, int64_t now_us,
              struct datagram *d)
{
    *d = (struct datagram) {
        .data = m->msg_hdr.msg_iov->iov_base,
        .size = m->msg_len,
        .received_us = now_us,
    };
    read_ancillary(port, &m->msg_hdr);
    addr_from_sockaddr(m->msg_hdr.msg_name, &d->src, &d->src_port);
    return is_allowed(port, &d->src);
}

#define GROUP 32                /* Fetched ahead: fits the nearest cache. */

/* All of a burst, group by group. */
static void
take_burst(struct port *port, int n)
{
    struct mmsghdr *msgs = port->worker->rx.msgs;
    int64_t now_us = clock_wall_us();
    for (int i = 0; i < n; ) {
        struct datagram group[GROUP];
        size_t taken = 0;
        for (; i < n && taken < GROUP; i++) {
            taken += take_datagram(port, &msgs[i], now_us, &group[taken]);
        }
        if (taken > 1) {
            decoder_prefetch(port->worker->decoder, group, taken);
        }
        for (size_t k = 0; k < taken; k++) {
            decode(port, &group[k]);
        }
    }
}

/* Reads one burst of up to 'max'.  Returns the number of datagrams, or a
 * negative errno. */
static int
receive_burst(struct port *port, unsigned max)
{
    struct rx *rx = &port->worker->rx;
    for (unsigned i = 0; i < max; i++) {
        struct msghdr *h = &rx->msgs[i].msg_hdr;
        h->msg_namelen = sizeof rx->from[i];
        h->msg_controllen = sizeof rx->control[i];
        h->msg_flags = 0;
    }
    int n = recvmmsg(port->fd, rx->msgs, max, MSG_DONTWAIT, NULL);
    if (n < 0) {
        return -errno;
    }
    take_burst(port, n);
    return n;
}

static void
start_flush_timer(struct worker *w)
{
    if ((w->lanes[STEER_ANYBODY].batch->n || w->lanes[STEER_KNOWN].batch->n)
        && !ev_is_active(&w->flush)) {
        ev_timer_set(&w->flush, FLUSH_AFTER_S, 0.);
        ev_timer_start(w->loop, &w->flush);
    }
}

/* After 'n' datagrams of one turn; sockets of one turn count as one. */
static void
pace(struct worker *w, unsigned n)
{
    ev_tstamp gap = ev_now(w->loop) - w->turn;

    if (gap > 0.) {
        int64_t us = pace_us(n, gap < 1. ? (int64_t) (gap * 1e6) : 1000000);
        w->turn = ev_now(w->loop);
        ev_set_io_collect_interval(w->loop, (double) us * 1e-6);
    }
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) loop;
    (void) revents;
    struct port *port = io->data;
    unsigned n_taken = 0;
    int64_t now_us = clock_mono_us(), until_us = now_us + ROUNDS_US;

    for (int i = 0; i < RX_ROUNDS && now_us < until_us; i++) {
        int64_t begun_us = now_us;
        unsigned max = port->burst;
        int n = receive_burst(port, max);
        n_taken += n > 0 ? (unsigned) n : 0;
        now_us = clock_mono_us();
        port->burst = burst_next(max, now_us - begun_us);
        if (n < (int) max) {
            if (n < 0 && n != -EAGAIN && n != -EINTR) {
                LOG_RATE(input, WARN, "%s: receiving failed: %s",
                         port->listener->address, strerror(-n));
            }
            break;
        }
    }
    pace(port->worker, n_taken);
    start_flush_timer(port->worker);
}

/* ---- TCP. ---- */

static void
session_pause(void *port_)
{
    struct port *port = port_;
    start_flush_timer(port->worker);
}

struct ended {
    struct template_cache *templates;
    struct decoder *decoder;
    uint16_t session;
};

static void
withdraw(struct source *s, void *ended)
{
    const struct ended *e = ended;
    if (s->key.session == e->session) {
        template_withdraw_all(e->templates, s, false);
        template_withdraw_all(e->templates, s, true);
        decoder_forget(e->decoder, s);
    }
}

/* RFC 7011 section 8: the templates of a session end with it. */
static void
session_end(void *port_, const struct addr *peer, uint16_t session)
{
    struct port *port = port_;
    const struct input_config *c = &port->worker->input->config;
    struct ended e = { c->templates, port->worker->decoder, session };
    source_table_each_of(c->sources, peer, withdraw, &e);
}

/* Rare: for a new session. */
static bool
is_known(void *port_, const struct addr *a)
{
    struct port *port = port_;
    struct input *in = port->worker->input;
    bool known = false;
    pthread_mutex_lock(&in->mutex);
    for (size_t i = 0; i < in->n_known && !known; i++) {
        known = addr_equal(&in->known[i], a);
    }
    pthread_mutex_unlock(&in->mutex);
    return known;
}

static int
open_tcp(struct port *port, int fd)
{
    struct input *in = port->worker->input;
    struct tcp_config c = {
        .loop = port->worker->loop, .address = port->listener->address,
        .tls = port->listener->transport == INPUT_TLS ? in->tls : NULL,
        .sessions = in->sessions, .n = &port->listener->tcp,
        .idle_ms = in->config.idle_ms ? in->config.idle_ms : INPUT_IDLE_MS,
        .message_ms = in->config.message_ms ? in->config.message_ms
                                            : INPUT_MESSAGE_MS,
        .allowed = is_allowed, .known = is_known, .message = decode, .pause = session_pause,
        .end = session_end, .aux = port,
    };
    port->tcp = tcp_server_create(&c, fd);
    return port->tcp ? 0 : -ENOMEM;
}

/* ---- Workers. ---- */

static void
hand_over_all(struct worker *w)
{
    for (w->lane = 0; w->lane <= STEER_KNOWN; w->lane++) {
        struct flow_batch **b = &w->lanes[w->lane].batch;
        *b = hand_over(w, *b);
    }
}

static void
on_flush(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    hand_over_all(timer->data);
}

static void
on_stop(struct ev_loop *loop, ev_async *async, int revents)
{
    (void) async;
    (void) revents;
    ev_break(loop, EVBREAK_ALL);
}

/* Calls 'f' for the ports of a listener that are the worker's. */
static void
each_port(struct worker *w, struct listener *l, void (*f)(struct port *))
{
    for (unsigned i = 0; i < l->n_ports; i++) {
        if (l->ports[i].worker == w) {
            f(&l->ports[i]);
        }
    }
}

/* What the kernel still holds for us when we are told to stop was received:
 * it is not thrown away. */
static void
drain_port(struct port *port)
{
    size_t n_read = 0;
    int n;

    if (port->tcp) {
        tcp_server_drain(port->tcp);
    }
    while (port->fd >= 0 && n_read < DRAIN_MAX
           && (n = receive_burst(port, RX_BURST)) > 0) {
        n_read += (size_t) n;
    }
}

static void
drain(struct worker *w)
{
    for (size_t i = 0; i < w->input->n_listeners; i++) {
        each_port(w, w->input->listeners[i], drain_port);
    }
    hand_over_all(w);
}

static void
start_port(struct port *port)
{
    if (port->tcp) {
        tcp_server_start(port->tcp);
    } else if (port->fd >= 0) {
        ev_io_start(port->worker->loop, &port->io);
    }
}

void
port_close(struct port *port)
{
    if (port->fd >= 0) {
        ev_io_stop(port->worker->loop, &port->io);
        close(port->fd);
        port->fd = -1;
    }
    tcp_server_destroy(port->tcp);
    port->tcp = NULL;
}

/* A worker's part of a change: what has been received is kept. */
static void
on_change(struct ev_loop *loop, ev_async *async, int revents)
{
    struct worker *w = async->data;
    struct input *in = w->input;

    (void) loop;
    (void) revents;
    pthread_mutex_lock(&in->mutex);
    struct change c = in->change;
    pthread_mutex_unlock(&in->mutex);
    for (size_t i = 0; i < c.n_add; i++) {
        each_port(w, c.add[i], start_port);
    }
    for (size_t i = 0; i < c.n_remove; i++) {
        each_port(w, c.remove[i], drain_port);
        each_port(w, c.remove[i], port_close);
    }
    start_flush_timer(w);
    pthread_mutex_lock(&in->mutex);
    if (!--in->change.n_open) {
        pthread_cond_signal(&in->changed);
    }
    pthread_mutex_unlock(&in->mutex);
}

static void *
worker_main(void *worker_)
{
    struct worker *w = worker_;
    rcu_register_thread();
    ev_run(w->loop, 0);
    drain(w);
    rcu_unregister_thread();
    return NULL;
}

static int
rx_init(struct rx *rx)
{
    rx->data = malloc((size_t) RX_BURST * RX_SIZE);
    if (!rx->data) {
        return -ENOMEM;
    }
    for (int i = 0; i < RX_BURST; i++) {
        rx->iov[i].iov_base = rx->data + (size_t) i * RX_SIZE;
        rx->iov[i].iov_len = RX_SIZE;
        rx->msgs[i].msg_hdr.msg_iov = &rx->iov[i];
        rx->msgs[i].msg_hdr.msg_iovlen = 1;
        rx->msgs[i].msg_hdr.msg_name = &rx->from[i];
        rx->msgs[i].msg_hdr.msg_control = rx->control[i];
    }
    return 0;
}

static int
worker_init(struct worker *w, struct input *in)
{
    const struct input_config *c = &in->config;
    struct decoder_config dc = {
        .dict = c->dict,
        .sources = c->sources,
        .templates = c->templates,
        .counters = c->counters,
        .keep_unknown = c->keep_unknown,
        .flush = hand_over,
        .aux = w,
    };
    w->input = in;
    w->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOSIGMASK);
    w->lanes[STEER_ANYBODY].batch = batch_create();
    w->lanes[STEER_KNOWN].batch = batch_create();
    w->decoder = decoder_create(&dc);
    if (!w->loop || !w->lanes[STEER_ANYBODY].batch
        || !w->lanes[STEER_KNOWN].batch || !w->decoder || rx_init(&w->rx)) {
        return -ENOMEM;
    }
    ev_timer_init(&w->flush, on_flush, FLUSH_AFTER_S, 0.);
    w->flush.data = w;
    ev_async_init(&w->stop, on_stop);
    ev_async_start(w->loop, &w->stop);
    ev_async_init(&w->change, on_change);
    w->change.data = w;
    ev_async_start(w->loop, &w->change);
    return 0;
}

static void
worker_clear(struct worker *w)
{
    decoder_destroy(w->decoder);
    for (unsigned i = 0; i <= STEER_KNOWN; i++) {
        batch_destroy(w->lanes[i].batch);
        batch_destroy(w->lanes[i].spare);
    }
    free(w->rx.data);
    if (w->loop) {
        ev_loop_destroy(w->loop);
    }
}

int
port_open(struct port *p, int fd)
{
    if (fd >= 0 && p->listener->transport != INPUT_UDP) {
        return open_tcp(p, fd);
    }
    p->fd = fd;
    ev_io_init(&p->io, on_readable, p->fd, EV_READ);
    ev_set_priority(&p->io, p->lane == STEER_KNOWN ? 1
                            : p->lane == STEER_REFUSED ? -1 : 0);
    p->io.data = p;
    return 0;
}

/* What listeners and workers share, and copies of what the caller lends.  0,
 * -ENOMEM, or -EINVAL with a message. */
static int
open_shared(struct input *in, char **error)
{
    const struct input_config *c = &in->config;
    in->sessions = tcp_sessions_create(
        c->max_sessions ? c->max_sessions : INPUT_MAX_SESSIONS,
        INPUT_MAX_SESSIONS_OF_PEER);
    in->allow = calloc(c->n_allow ? c->n_allow : 1, sizeof *in->allow);
    if (!in->sessions || !in->allow) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < c->n_allow; i++) {
        in->allow[i] = c->allow[i];
    }
    for (size_t i = 0; i < c->n_listen; i++) {
        if (c->listen[i].transport == INPUT_TLS && !in->tls) {
            in->tls = c->tls ? tls_create(c->tls, error) : NULL;
            if (!in->tls) {
                return -EINVAL;
            }
        }
    }
    return 0;
}

struct input *
input_open(const struct input_config *config, char **error)
{
    struct input *in = calloc(1, sizeof *in);
    *error = NULL;
    if (!in) {
        goto out_of_memory;
    }
    pthread_mutex_init(&in->mutex, NULL);
    pthread_cond_init(&in->changed, NULL);
    in->secret = (uint32_t) seed_make();
    in->config = *config;
    in->n_workers = config->workers;
    if (!in->n_workers) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        in->n_workers = n < 1 ? 1 : n > 64 ? 64 : (unsigned) n;
    }
    in->listeners = calloc(config->n_listen ? config->n_listen : 1,
                           sizeof *in->listeners);
    in->workers = calloc(in->n_workers, sizeof *in->workers);
    if (!in->listeners || !in->workers) {
        goto out_of_memory;
    }
    int e = open_shared(in, error);
    if (e == -EINVAL) {
        input_destroy(in);
        return NULL;
    } else if (e) {
        goto out_of_memory;
    }
    for (unsigned i = 0; i < in->n_workers; i++) {
        in->workers[i].input = in;
        in->workers[i].number = i;
    }
    for (unsigned i = 0; i < in->n_workers; i++) {
        if (worker_init(&in->workers[i], in)) {
            goto out_of_memory;
        }
    }
    for (size_t i = 0; i < config->n_listen; i++) {
        struct listener *l = listener_open(in, &config->listen[i], error);
        if (!l) {
            input_destroy(in);
            return NULL;
        }
        in->listeners[in->n_listeners++] = l;
    }
    return in;

out_of_memory:
    *error = strdup("out of memory");
    input_destroy(in);
    return NULL;
}

int
input_start(struct input *in)
{
    for (unsigned i = 0; i < in->n_workers; i++) {
        struct worker *w = &in->workers[i];
        for (size_t j = 0; j < in->n_listeners; j++) {
            each_port(w, in->listeners[j], start_port);
        }
        int error = thread_start(&w->thread, "worker", worker_main, w);
        if (error) {
            return error;
        }
        w->started = true;
    }
    return 0;
}

void
input_stop(struct input *in)
{
    for (unsigned i = 0; in && i < in->n_workers; i++) {
        if (in->workers[i].started) {
            ev_async_send(in->workers[i].loop, &in->workers[i].stop);
        }
    }
    for (unsigned i = 0; in && i < in->n_workers; i++) {
        if (in->workers[i].started) {
            pthread_join(in->workers[i].thread, NULL);
            in->workers[i].started = false;
        }
    }
}

void
input_destroy(struct input *in)
{
    if (!in) {
        return;
    }
    input_stop(in);
    for (size_t i = 0; i < in->n_listeners; i++) {
        listener_destroy(in->listeners[i]);
    }
    for (unsigned i = 0; in->workers && i < in->n_workers; i++) {
        worker_clear(&in->workers[i]);
    }
    free(in->workers);
    free(in->listeners);
    tls_destroy(in->tls);
    tcp_sessions_destroy(in->sessions);
    free(in->allow);
    free(in->known);
    pthread_mutex_destroy(&in->mutex);
    pthread_cond_destroy(&in->changed);
    free(in);
}

unsigned
input_n_workers(const struct input *in)
{
    return in->n_workers;
}
