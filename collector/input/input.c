#include <config.h>

#include "collector/input/input.h"

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
#include "lib/source.h"
#include "lib/thread.h"

#define RX_BURST 64             /* Datagrams of one recvmmsg(). */
#define RX_SIZE 65536           /* No UDP datagram is longer. */
#define RX_ROUNDS 16            /* Bursts before other sockets get a turn. */
#define FLUSH_AFTER_S 0.2       /* A flow waits no longer in a batch. */
#define DRAIN_MAX 1000000       /* Datagrams read at the end, at most. */

/* A listening address. */
struct listener {
    char address[64];
    const char *name;
    enum input_transport transport;
    counter_t datagrams, octets, kernel_drops, not_allowed;
    struct tcp_counters tcp;
    uint32_t receive_buffer;
};

/* A worker's socket of a listener. */
struct port {
    struct worker *worker;
    struct listener *listener;
    int fd;                     /* UDP; -1: another worker has it. */
    _Atomic uint32_t drops;     /* The kernel's count so far; it wraps. */
    ev_io io;
    struct tcp_server *tcp;     /* TCP and TLS. */
};

struct rx {
    struct mmsghdr msgs[RX_BURST];
    struct iovec iov[RX_BURST];
    struct sockaddr_storage from[RX_BURST];
    _Alignas(8) char control[RX_BURST][CMSG_SPACE(sizeof(uint32_t))];
    uint8_t *data;              /* RX_BURST * RX_SIZE. */
};

struct worker {
    struct input *input;
    pthread_t thread;
    bool started;
    struct ev_loop *loop;
    ev_timer flush;
    ev_async stop;
    struct port *ports;         /* One per listener. */
    struct decoder *decoder;
    struct flow_batch *batch;   /* Being filled. */
    struct flow_batch *spare;   /* Could not be submitted. */
    struct rx rx;
};

struct input {
    struct input_config config;
    struct listener *listeners;
    size_t n_listeners;
    struct worker *workers;
    unsigned n_workers;
    struct prefix *allow;
    struct tls *tls;
    struct tcp_sessions *sessions;
};

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
    struct flow_batch *next = w->spare ? w->spare : c->get(c->aux);
    w->spare = NULL;
    if (!next || !c->submit(c->aux, b)) {
        count_lost(b);
        batch_reset(b);
        w->spare = next;
        return b;
    }
    batch_reset(next);
    return next;
}

/* Takes note that the kernel's count of dropped datagrams is 'total'.  Worker
 * and main thread both come here; the count only goes forward.  Returns how
 * many are new. */
static uint32_t
note_kernel_drops(struct port *port, uint32_t total)
{
    uint32_t old = atomic_load(&port->drops);
    do {
        if ((int32_t) (total - old) <= 0) {
            return 0;
        }
    } while (!atomic_compare_exchange_weak(&port->drops, &old, total));
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
            uint32_t n = note_kernel_drops(port, total);
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
    counter_inc(&port->listener->datagrams);
    counter_add(&port->listener->octets, d->size);
    if (!w->batch->n) {
        w->batch->oldest_us = d->received_us;
    }
    w->batch = decoder_datagram(w->decoder, d, w->batch);
    if (batch_full(w->batch)) {
        w->batch = hand_over(w, w->batch);
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

/* Reads one burst.  Returns the number of datagrams, or a negative errno. */
static int
receive_burst(struct port *port)
{
    struct rx *rx = &port->worker->rx;
    for (int i = 0; i < RX_BURST; i++) {
        struct msghdr *h = &rx->msgs[i].msg_hdr;
        h->msg_namelen = sizeof rx->from[i];
        h->msg_controllen = sizeof rx->control[i];
        h->msg_flags = 0;
    }
    int n = recvmmsg(port->fd, rx->msgs, RX_BURST, MSG_DONTWAIT, NULL);
    if (n < 0) {
        return -errno;
    }
    take_burst(port, n);
    return n;
}

static void
start_flush_timer(struct worker *w)
{
    if (w->batch->n && !ev_is_active(&w->flush)) {
        ev_timer_set(&w->flush, FLUSH_AFTER_S, 0.);
        ev_timer_start(w->loop, &w->flush);
    }
}

static void
on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) loop;
    (void) revents;
    struct port *port = io->data;
    for (int i = 0; i < RX_ROUNDS; i++) {
        int n = receive_burst(port);
        if (n < RX_BURST) {
            if (n < 0 && n != -EAGAIN && n != -EINTR) {
                LOG_RATE(input, WARN, "%s: receiving failed: %s",
                         port->listener->address, strerror(-n));
            }
            break;
        }
    }
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
    struct addr peer;
    uint16_t session;
};

static bool
withdraw(struct source *s, void *ended)
{
    const struct ended *e = ended;
    if (s->key.session == e->session
        && addr_equal(&s->key.exporter, &e->peer)) {
        template_withdraw_all(e->templates, s, false);
        template_withdraw_all(e->templates, s, true);
        decoder_forget(e->decoder, s);
    }
    return true;
}

/* RFC 7011 section 8: the templates of a session end with it. */
static void
session_end(void *port_, const struct addr *peer, uint16_t session)
{
    struct port *port = port_;
    const struct input_config *c = &port->worker->input->config;
    struct ended e = { c->templates, port->worker->decoder, *peer, session };
    source_table_each(c->sources, withdraw, &e);
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
        .allowed = is_allowed, .message = decode, .pause = session_pause,
        .end = session_end, .aux = port,
    };
    port->tcp = tcp_server_create(&c, fd);
    return port->tcp ? 0 : -ENOMEM;
}

/* ---- Workers. ---- */

static void
on_flush(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct worker *w = timer->data;
    w->batch = hand_over(w, w->batch);
}

static void
on_stop(struct ev_loop *loop, ev_async *async, int revents)
{
    (void) async;
    (void) revents;
    ev_break(loop, EVBREAK_ALL);
}

/* What the kernel still holds for us when we are told to stop was received:
 * it is not thrown away. */
static void
drain(struct worker *w)
{
    size_t n_read = 0;
    for (size_t i = 0; i < w->input->n_listeners; i++) {
        struct port *port = &w->ports[i];
        int n;
        if (port->tcp) {
            tcp_server_drain(port->tcp);
            continue;
        }
        while (port->fd >= 0 && n_read < DRAIN_MAX
               && (n = receive_burst(port)) > 0) {
            n_read += (size_t) n;
        }
    }
    w->batch = hand_over(w, w->batch);
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
    w->batch = batch_create();
    w->decoder = decoder_create(&dc);
    w->ports = calloc(in->n_listeners ? in->n_listeners : 1,
                      sizeof *w->ports);
    if (!w->loop || !w->batch || !w->decoder || !w->ports
        || rx_init(&w->rx)) {
        return -ENOMEM;
    }
    ev_timer_init(&w->flush, on_flush, FLUSH_AFTER_S, 0.);
    w->flush.data = w;
    ev_async_init(&w->stop, on_stop);
    ev_async_start(w->loop, &w->stop);
    for (size_t i = 0; i < in->n_listeners; i++) {
        w->ports[i].worker = w;
        w->ports[i].listener = &in->listeners[i];
        w->ports[i].fd = -1;
    }
    return 0;
}

static void
worker_clear(struct worker *w)
{
    for (size_t i = 0; w->ports && i < w->input->n_listeners; i++) {
        if (w->ports[i].fd >= 0) {
            close(w->ports[i].fd);
        }
        tcp_server_destroy(w->ports[i].tcp);
    }
    free(w->ports);
    decoder_destroy(w->decoder);
    batch_destroy(w->batch);
    batch_destroy(w->spare);
    free(w->rx.data);
    if (w->loop) {
        ev_loop_destroy(w->loop);
    }
}

/* Opens the sockets of a listener, one per worker, or -1 where there is none.
 * 0 or a negative errno. */
static int
open_sockets(struct input *in, const struct listener *l, const struct addr *a,
             uint16_t port, int *fds)
{
    const struct input_config *c = &in->config;
    for (unsigned w = 0; w < in->n_workers; w++) {
        fds[w] = -1;
    }
    if (l->transport != INPUT_UDP) {
        return socket_listen_shared(a, port, fds, in->n_workers);
    } else if (!socket_is_multicast(a)) {
        return socket_bind_shared(a, port, c->receive_buffer, fds,
                                  in->n_workers);
    }
    fds[0] = socket_join(a, port, c->multicast_interface, c->receive_buffer);
    return fds[0] < 0 ? fds[0] : 0;
}

static int
open_port(struct input *in, unsigned w, size_t i, int fd)
{
    struct port *p = &in->workers[w].ports[i];
    if (fd >= 0 && p->listener->transport != INPUT_UDP) {
        return open_tcp(p, fd);
    }
    p->fd = fd;
    ev_io_init(&p->io, on_readable, p->fd, EV_READ);
    p->io.data = p;
    return 0;
}

static const char *const transports[] = { "UDP", "TCP", "TLS" };

static char *
bind_listener(struct input *in, size_t i)
{
    struct listener *l = &in->listeners[i];
    const char *text = in->config.listen[i].address;
    char *error = NULL;
    struct addr a;
    uint16_t port;
    if (endpoint_parse(text, 0, &a, &port)) {
        if (asprintf(&error, "%s: \"%s\" is not an address and port, such as "
                     "127.0.0.1:2055 or [::1]:4739", l->name, text) < 0) {
            error = NULL;
        }
        return error;
    }

    int fds[in->n_workers];
    int e = open_sockets(in, l, &a, port, fds);
    if (e) {
        if (asprintf(&error, "%s: cannot listen on %s %s: %s", l->name,
                     transports[l->transport], text, strerror(-e)) < 0) {
            error = NULL;
        }
        return error;
    }
    char buf[ENDPOINT_STRLEN];
    snprintf(l->address, sizeof l->address, "%s",
             endpoint_format(&a, socket_port(fds[0]), buf));
    if (l->transport == INPUT_UDP) {
        l->receive_buffer = socket_receive_buffer(fds[0]);
    }
    for (unsigned w = 0; w < in->n_workers; w++) {
        if (open_port(in, w, i, fds[w])) {
            error = strdup("out of memory");
        }
    }
    return error;
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
    in->n_listeners = config->n_listen;
    for (unsigned i = 0; i < in->n_workers; i++) {
        in->workers[i].input = in;
    }
    for (unsigned i = 0; i < in->n_workers; i++) {
        if (worker_init(&in->workers[i], in)) {
            goto out_of_memory;
        }
    }
    for (size_t i = 0; i < in->n_listeners; i++) {
        in->listeners[i].name = config->listen[i].name;
        in->listeners[i].transport = config->listen[i].transport;
        *error = bind_listener(in, i);
        if (*error) {
            input_destroy(in);
            return NULL;
        }
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
            if (w->ports[j].tcp) {
                tcp_server_start(w->ports[j].tcp);
            } else if (w->ports[j].fd >= 0) {
                ev_io_start(w->loop, &w->ports[j].io);
            }
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
    for (unsigned i = 0; in->workers && i < in->n_workers; i++) {
        worker_clear(&in->workers[i]);
    }
    free(in->workers);
    free(in->listeners);
    tls_destroy(in->tls);
    tcp_sessions_destroy(in->sessions);
    free(in->allow);
    free(in);
}

static void
tcp_counters_copy(struct tcp_counters *to, const struct tcp_counters *from)
{
#define X(NAME, DOC) to->NAME = counter_get(&from->NAME);
    TCP_COUNTERS(X)
#undef X
}

size_t
input_status(struct input *in, struct input_status *status, size_t max)
{
    for (size_t i = 0; i < in->n_listeners && i < max; i++) {
        const struct listener *l = &in->listeners[i];
        /* What was dropped after the last datagram that got through has not
         * been told with any. */
        for (unsigned w = 0; w < in->n_workers; w++) {
            struct port *p = &in->workers[w].ports[i];
            if (p->fd >= 0) {
                note_kernel_drops(p, socket_drops(p->fd));
            }
        }
        snprintf(status[i].address, sizeof status[i].address, "%s",
                 l->address);
        status[i].name = l->name;
        status[i].datagrams = counter_get(&l->datagrams);
        status[i].octets = counter_get(&l->octets);
        status[i].kernel_drops = counter_get(&l->kernel_drops);
        status[i].receive_buffer = l->receive_buffer;
        status[i].transport = l->transport;
        status[i].not_allowed = counter_get(&l->not_allowed);
        tcp_counters_copy(&status[i].tcp, &l->tcp);
    }
    return in->n_listeners;
}

unsigned
input_n_workers(const struct input *in)
{
    return in->n_workers;
}
