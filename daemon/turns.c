#include <config.h>

#include "daemon/daemon_p.h"

#include "lib/clock.h"

static void
on_check(struct ev_loop *loop, ev_check *w, int revents)
{
    struct daemon *d = w->data;
    (void) loop;
    (void) revents;
    turns_begin(&d->turns.turns, clock_mono_us());
}

static void
on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
    struct daemon *d = w->data;
    (void) loop;
    (void) revents;
    turns_end(&d->turns.turns, clock_mono_us());
}

void
daemon_watch_turns(struct daemon *d)
{
    ev_check_init(&d->turns.check, on_check);
    ev_prepare_init(&d->turns.prepare, on_prepare);
    ev_set_priority(&d->turns.check, EV_MAXPRI);
    ev_set_priority(&d->turns.prepare, EV_MINPRI);
    d->turns.check.data = d->turns.prepare.data = d;
    ev_check_start(d->loop, &d->turns.check);
    ev_prepare_start(d->loop, &d->turns.prepare);
}
