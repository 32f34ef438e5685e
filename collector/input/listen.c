#include <config.h>

#include "collector/input/input_p.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/input/socket.h"
#include "lib/log.h"

/* ---- Addresses that are listened on. ---- */

/* Tells the kernel who goes where.  False: it will not be told. */
static bool
steer(const struct input *in, int fd, bool v6)
{
    struct steer s = {
        .allow = in->allow, .n_allow = in->config.n_allow,
        .known = in->known, .n_known = in->n_known,
        .n_workers = in->n_workers, .secret = in->secret,
    };
    int error = steer_attach(fd, &s, v6);
    if (error) {
        LOG_RATE(input, NOTICE, "the kernel does not keep exporters apart "
                 "(%s): all of them share receive buffers",
                 strerror(-error));
    }
    return !error;
}

/* The sockets of a UDP address: one per worker, or, where the kernel lets us,
 * as steer.h says. */
static int
open_udp(struct input *in, struct listener *l, const struct addr *a,
         uint16_t port, int *fds)
{
    unsigned n = steer_n_sockets(in->n_workers);
    int error = socket_bind_shared(a, port, in->config.receive_buffer, fds, n);
    if (error) {
        return error;
    }
    l->steered = steer(in, fds[0], !addr_is_v4(a));
    if (l->steered) {
        socket_shrink(fds[n - 1]);
    }
    while (!l->steered && n > in->n_workers) {
        close(fds[--n]);
        fds[n] = -1;
    }
    return 0;
}

/* Opens the sockets of a listener, -1 where there is none.  0 or a negative
 * errno. */
static int
open_sockets(struct input *in, struct listener *l, const struct addr *a,
             uint16_t port, int *fds)
{
    const struct input_config *c = &in->config;
    for (unsigned i = 0; i < l->n_ports; i++) {
        fds[i] = -1;
    }
    if (l->transport != INPUT_UDP) {
        return socket_listen_shared(a, port, fds, in->n_workers);
    } else if (!addr_is_multicast(a)) {
        return open_udp(in, l, a, port, fds);
    }
    fds[0] = socket_join(a, port, c->multicast_interface, c->receive_buffer);
    return fds[0] < 0 ? fds[0] : 0;
}

static const char *const transports[] = { "UDP", "TCP", "TLS" };

void
listener_destroy(struct listener *l)
{
    for (unsigned i = 0; l && l->ports && i < l->n_ports; i++) {
        port_close(&l->ports[i]);
    }
    if (l) {
        free(l->ports);
        free(l);
    }
}

static struct listener *
listener_create(struct input *in, const struct input_listen *asked)
{
    struct listener *l = calloc(1, sizeof *l);
    unsigned n = asked->transport == INPUT_UDP
                 ? steer_n_sockets(in->n_workers) : in->n_workers;

    if (!l || !(l->ports = calloc(n, sizeof *l->ports))) {
        free(l);
        return NULL;
    }
    snprintf(l->asked, sizeof l->asked, "%s", asked->address);
    l->name = asked->name;
    l->transport = asked->transport;
    for (l->n_ports = 0; l->n_ports < n; l->n_ports++) {
        unsigned i = l->n_ports;
        l->ports[i] = (struct port) {
            .worker = &in->workers[i % in->n_workers], .listener = l,
            .lane = i / in->n_workers, .fd = -1, .burst = RX_BURST,
        };
    }
    return l;
}

/* Opens its sockets; a message to free() on failure. */
static char *
bind_listener(struct input *in, struct listener *l, const char *text)
{
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

    int fds[l->n_ports];
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
    for (unsigned i = 0; i < l->n_ports; i++) {
        if (port_open(&l->ports[i], fds[i])) {
            error = strdup("out of memory");
        }
    }
    return error;
}

struct listener *
listener_open(struct input *in, const struct input_listen *asked,
              char **error)
{
    struct listener *l = listener_create(in, asked);

    *error = l ? bind_listener(in, l, asked->address)
             : strdup("out of memory");
    if (l && *error) {
        listener_destroy(l);
        return NULL;
    }
    return l;
}

/* ---- Changes while workers run. ---- */

static struct listener *
find_listener(const struct input *in, const struct input_listen *asked)
{
    for (size_t i = 0; i < in->n_listeners; i++) {
        struct listener *l = in->listeners[i];
        if (!strcmp(l->asked, asked->address) && !strcmp(l->name, asked->name)
            && l->transport == asked->transport) {
            return l;
        }
    }
    return NULL;
}

static bool
has_listener(struct listener *const *list, size_t n, const struct listener *l)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == l) {
            return true;
        }
    }
    return false;
}

/* Whether a listener would want a port that one has which is to go. */
static bool
in_the_way(const struct listener *old, const struct input_listen *asked)
{
    struct addr a;
    uint16_t port, other;

    return (old->transport == INPUT_UDP) == (asked->transport == INPUT_UDP)
           && !endpoint_parse(asked->address, 0, &a, &port)
           && !endpoint_parse(old->address, 0, &a, &other) && port == other;
}

/* Lets all workers do their part, and waits for them. */
static void
run_change(struct input *in, const struct change *c)
{
    unsigned n = 0;

    for (unsigned w = 0; w < in->n_workers; w++) {
        n += in->workers[w].started;
    }
    pthread_mutex_lock(&in->mutex);
    in->change = *c;
    in->change.n_open = n;
    for (unsigned w = 0; w < in->n_workers; w++) {
        if (in->workers[w].started) {
            ev_async_send(in->workers[w].loop, &in->workers[w].change);
        }
    }
    while (in->change.n_open) {
        pthread_cond_wait(&in->changed, &in->mutex);
    }
    pthread_mutex_unlock(&in->mutex);
}

int
input_change(struct input *in, const struct input_listen *listen, size_t n,
             char **error)
{
    struct listener **all = calloc(n + 1, sizeof *all);
    struct listener **add = calloc(n + 1, sizeof *add);
    struct listener **gone = calloc(in->n_listeners + 1, sizeof *gone);
    struct change c = { .add = add, .remove = gone };
    int result = all && add && gone ? 0 : -ENOMEM;

    *error = NULL;
    for (size_t i = 0; i < n && !result; i++) {
        all[i] = find_listener(in, &listen[i]);
    }
    for (size_t i = 0; i < in->n_listeners && !result; i++) {
        if (!has_listener(all, n, in->listeners[i])) {
            gone[c.n_remove++] = in->listeners[i];
        }
    }
    for (size_t i = 0; i < n && !result; i++) {
        bool tls = listen[i].transport == INPUT_TLS && !in->tls;
        for (size_t k = 0; !all[i] && k < c.n_remove; k++) {
            tls |= in_the_way(gone[k], &listen[i]);
        }
        result = tls ? -EBUSY : 0;
    }
    for (size_t i = 0; i < n && !result; i++) {
        if (!all[i]) {
            all[i] = listener_open(in, &listen[i], error);
            result = all[i] ? 0 : -EADDRINUSE;
            add[c.n_add] = all[i];
            c.n_add += all[i] != NULL;
        }
    }
    if (result) {
        while (c.n_add) {
            listener_destroy(add[--c.n_add]);
        }
        free(all);
    } else {
        run_change(in, &c);
        while (c.n_remove) {
            listener_destroy(gone[--c.n_remove]);
        }
        free(in->listeners);
        in->listeners = all;
        in->n_listeners = n;
    }
    free(add);
    free(gone);
    return result;
}

int
input_set_known(struct input *in, const struct addr *known, size_t n)
{
    struct addr *copy = calloc(n ? n : 1, sizeof *copy);
    if (!copy) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        copy[i] = known[i];
    }
    pthread_mutex_lock(&in->mutex);     /* Only this thread writes. */
    free(in->known);
    in->known = copy;
    in->n_known = n;
    pthread_mutex_unlock(&in->mutex);
    in->has_known = n > 0;
    for (size_t i = 0; i < in->n_listeners; i++) {
        struct listener *l = in->listeners[i];
        struct addr a;
        uint16_t port;
        if (l->steered && !endpoint_parse(l->address, 0, &a, &port)) {
            steer(in, l->ports[0].fd, !addr_is_v4(&a));
        }
    }
    return 0;
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
        const struct listener *l = in->listeners[i];
        /* What was dropped after the last datagram that got through has not
         * been told with any. */
        for (unsigned k = 0; k < l->n_ports; k++) {
            struct port *p = &l->ports[k];
            if (p->fd >= 0) {
                port_note_drops(p, socket_drops(p->fd));
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
