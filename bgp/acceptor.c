#include <config.h>

#include "bgp/acceptor.h"

#include <errno.h>
#include <string.h>

#include "lib/log.h"

#define REST_S 0.2

static void
on_rest_over(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct bgp_acceptor *a = w->data;
    (void) revents;
    ev_io_start(loop, &a->readable);
}

void
bgp_acceptor_start(struct bgp_acceptor *a, struct ev_loop *loop, int fd,
                   void (*ready)(struct ev_loop *, ev_io *, int), void *aux)
{
    a->loop = loop;
    ev_io_init(&a->readable, ready, fd, EV_READ);
    ev_timer_init(&a->rest, on_rest_over, REST_S, 0.);
    a->readable.data = aux;
    a->rest.data = a;
    ev_io_start(loop, &a->readable);
}

void
bgp_acceptor_stop(struct bgp_acceptor *a)
{
    if (a->loop) {
        ev_io_stop(a->loop, &a->readable);
        ev_timer_stop(a->loop, &a->rest);
    }
}

bool
bgp_acceptor_failed(struct bgp_acceptor *a, int error)
{
    if (error != -EMFILE && error != -ENFILE && error != -ENOBUFS
        && error != -ENOMEM) {
        return false;
    }
    LOG_RATE(bgp, WARN, "cannot accept a connection: %s", strerror(-error));
    ev_io_stop(a->loop, &a->readable);
    ev_timer_set(&a->rest, REST_S, 0.);
    ev_timer_start(a->loop, &a->rest);
    return true;
}
