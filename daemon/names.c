#include <config.h>

#include "daemon/names.h"

#include <ev.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/dict.h"

#define LOOK_S 5.
#define GO_ON_S 0.01
#define SLICE 10000             /* Names; below a millisecond. */

struct names {
    struct ev_loop *loop;
    struct dict *dict;
    ev_timer timer;
};

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct names *n = w->data;
    (void) revents;
    bool more = dict_age(n->dict, clock_mono_ms(), SLICE);
    w->repeat = more ? GO_ON_S : LOOK_S;
    ev_timer_again(loop, w);
}

struct names *
names_start(struct ev_loop *loop, struct dict *dict)
{
    struct names *n = calloc(1, sizeof *n);
    if (n) {
        n->loop = loop;
        n->dict = dict;
        ev_timer_init(&n->timer, on_timer, LOOK_S, LOOK_S);
        n->timer.data = n;
        ev_timer_start(loop, &n->timer);
    }
    return n;
}

void
names_stop(struct names *n)
{
    if (n) {
        ev_timer_stop(n->loop, &n->timer);
        free(n);
    }
}
