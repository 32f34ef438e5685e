#include <config.h>

#include "lib/acceptor.h"

#include <errno.h>

static void
on_rest_over(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct acceptor *a = w->data;

    (void) revents;
    ev_timer_stop(loop, w);
    ev_io_start(loop, &a->readable);
}

void
acceptor_start(struct acceptor *a, struct ev_loop *loop, int fd,
               void (*ready)(struct ev_loop *, ev_io *, int), void *aux,
               double rest_s)
{
    a->loop = loop;
    ev_io_init(&a->readable, ready, fd, EV_READ);
    ev_timer_init(&a->rest, on_rest_over, 0., rest_s);
    a->readable.data = aux;
    a->rest.data = a;
    ev_io_start(loop, &a->readable);
}

void
acceptor_stop(struct acceptor *a)
{
    if (a->loop) {
        ev_io_stop(a->loop, &a->readable);
        ev_timer_stop(a->loop, &a->rest);
    }
}

bool
acceptor_failed(struct acceptor *a, int error)
{
    if (error != -EMFILE && error != -ENFILE && error != -ENOBUFS
        && error != -ENOMEM) {
        return false;
    }
    ev_io_stop(a->loop, &a->readable);
    ev_timer_again(a->loop, &a->rest);
    return true;
}
