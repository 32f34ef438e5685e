#include <config.h>

#include "daemon/alerts.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>

#include "api/alert.h"
#include "api/config.h"
#include "api/context.h"
#include "api/deliver.h"
#include "collector/alert/engine.h"
#include "lib/clock.h"
#include "lib/log.h"

#define TICK_S 1.

struct daemon_alerts {
    struct ev_loop *loop;
    ev_timer tick;
    struct alert_engine *engine;
    struct deliveries *deliveries;
    struct alerts *alerts;
    int64_t last_us;            /* Monotonic. */
};

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct daemon_alerts *a = w->data;
    int64_t now_us = clock_mono_us();

    (void) loop;
    (void) revents;
    alerts_tick(a->alerts, clock_wall_us(),
                (double) (now_us - a->last_us) / 1e6);
    a->last_us = now_us;
}

struct daemon_alerts *
daemon_alerts_create(struct ev_loop *loop, struct dict *dict)
{
    struct daemon_alerts *a = calloc(1, sizeof *a);

    if (a) {
        a->loop = loop;
        ev_timer_init(&a->tick, on_tick, TICK_S, TICK_S);
        a->tick.data = a;
        a->engine = alert_engine_create(dict);
        if (!a->engine) {
            free(a);
            return NULL;
        }
    }
    return a;
}

void
daemon_alerts_process(void *alerts, struct flow_batch *b)
{
    alert_process(((struct daemon_alerts *) alerts)->engine, b);
}

int
daemon_alerts_configure(struct daemon_alerts *a, const struct config *c)
{
    int err = a->alerts ? alerts_configure(a->alerts, c->alert) : 0;
    if (err) {
        LOG(main, ERR, "alerts: %s; the rules stay as they were",
            strerror(-err));
    }
    return err;
}

int
daemon_alerts_open(struct daemon_alerts *a, const char *dir,
                   const struct config *c, struct api_context *context)
{
    a->deliveries = deliveries_create();
    a->alerts = a->deliveries ? alerts_open(dir, a->engine, a->deliveries,
                                            context, clock_wall_us()) : NULL;
    if (!a->alerts) {
        LOG(main, ERR, "alerts: out of memory");
        return -ENOMEM;
    }
    a->last_us = clock_mono_us();
    ev_timer_start(a->loop, &a->tick);
    return daemon_alerts_configure(a, c);
}

struct alerts *
daemon_alerts_api(struct daemon_alerts *a)
{
    return a ? a->alerts : NULL;
}

void
daemon_alerts_exporter(void *alerts, const struct exporter_change *c)
{
    struct daemon_alerts *a = alerts;

    exporter_change_post(NULL, c);
    if (a && a->alerts) {
        alerts_exporter(a->alerts, c);
    }
}

void
daemon_alerts_stop(struct daemon_alerts *a)
{
    if (a) {
        ev_timer_stop(a->loop, &a->tick);
        alerts_close(a->alerts);
        a->alerts = NULL;
        deliveries_destroy(a->deliveries);
        a->deliveries = NULL;
    }
}

void
daemon_alerts_destroy(struct daemon_alerts *a)
{
    if (a) {
        daemon_alerts_stop(a);
        alert_engine_destroy(a->engine);
        free(a);
    }
}
