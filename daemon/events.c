#include <config.h>

#include "daemon/events.h"

#include <ev.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/config.h"
#include "api/context.h"
#include "api/events.h"
#include "api/export_state.h"
#include "collector/event/exporters.h"
#include "collector/event/journal.h"
#include "daemon/alerts.h"
#include "lib/clock.h"
#include "lib/event.h"
#include "lib/log.h"

#define LOOK_S 2.               /* At exporters and exports. */
#define SAVE_ROUNDS 30          /* Of looking, until exporters are saved; */
#define NEWS_ROUNDS 3           /* if something became of them. */
#define RETRY_S .1              /* For those who do not keep up. */

struct daemon_events {
    struct ev_loop *loop;
    ev_async on_ready;          /* Events were kept. */
    ev_timer retry, look;
    struct api_context *context;
    struct daemon_alerts *alerts;
    struct event_journal *journal;
    struct events *events;
    struct exporter_watch *exporters;
    struct export_watch *exports;
    int64_t silence_us;
    unsigned rounds;            /* Since they were saved. */
    bool news;
};

/* On the journal's thread. */
static void
events_ready(void *events)
{
    struct daemon_events *e = events;
    ev_async_send(e->loop, &e->on_ready);
}

static void
deliver(struct daemon_events *e)
{
    if (e->events && events_deliver(e->events)
        && !ev_is_active(&e->retry)) {
        ev_timer_set(&e->retry, RETRY_S, 0.);
        ev_timer_start(e->loop, &e->retry);
    }
}

static void
on_ready(struct ev_loop *loop, ev_async *w, int revents)
{
    (void) loop;
    (void) revents;
    deliver(w->data);
}

static void
on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
    (void) loop;
    (void) revents;
    deliver(w->data);
}

static void
save_exporters(struct daemon_events *e)
{
    int err = exporter_watch_save(e->exporters);
    if (err) {
        LOG_RATE(exporter, NOTICE, "exporters that are known cannot be "
                 "written: %s", strerror(-err));
    }
}

static void
on_exporter(void *events, const struct exporter_change *c)
{
    struct daemon_events *e = events;
    e->news = true;
    daemon_alerts_exporter(e->alerts, c);
}

static void
on_look(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct daemon_events *e = w->data;
    int64_t now_us = clock_wall_us();

    (void) loop;
    (void) revents;
    if (e->context->sources) {
        exporter_watch_sources(e->exporters, e->context->sources, now_us,
                               e->silence_us, on_exporter, e);
    }
    if (e->context->ovsdb) {
        export_watch_step(e->exports, e->context, now_us);
    }
    if (++e->rounds >= (e->news ? NEWS_ROUNDS : SAVE_ROUNDS)) {
        save_exporters(e);
        e->rounds = 0;
        e->news = false;
    }
}

static struct event_limits
limits_of(const struct config *c)
{
    return (struct event_limits) { c->event_retention_us, c->event_bytes };
}

void
daemon_events_configure(struct daemon_events *e, const struct config *c)
{
    struct event_limits limits = limits_of(c);

    event_journal_set_limits(e->journal, &limits);
    e->silence_us = c->silence_us;
}

static void
start_watchers(struct daemon_events *e)
{
    ev_async_init(&e->on_ready, on_ready);
    e->on_ready.data = e;
    ev_async_start(e->loop, &e->on_ready);
    ev_init(&e->retry, on_retry);
    e->retry.data = e;
    ev_timer_init(&e->look, on_look, LOOK_S, LOOK_S);
    e->look.data = e;
    ev_timer_start(e->loop, &e->look);
}

struct daemon_events *
daemon_events_open(struct ev_loop *loop, const char *dir,
                   const struct config *c, struct api_context *context,
                   struct daemon_alerts *alerts)
{
    struct event_limits limits = limits_of(c);
    char error[EVENT_ERROR_SIZE] = "out of memory", path[4300];
    struct daemon_events *e = calloc(1, sizeof *e);

    if (!e) {
        return NULL;
    }
    e->loop = loop;
    e->context = context;
    e->alerts = alerts;
    e->silence_us = c->silence_us;
    start_watchers(e);
    e->journal = event_journal_open(dir, &limits, clock_wall_us(), error);
    if (e->journal) {
        snprintf(path, sizeof path, "%s/exporters", dir);
        e->exporters = exporter_watch_create(path, clock_wall_us());
        e->exports = export_watch_create();
        e->events = events_create(e->journal);
    }
    if (!e->events || !e->exporters || !e->exports
        || event_journal_start(e->journal, events_ready, e)) {
        LOG(store, ERR, "events: %s", error);
        daemon_events_stop(e);
        daemon_events_close(e);
        return NULL;
    }
    return e;
}

struct events *
daemon_events_api(struct daemon_events *e)
{
    return e ? e->events : NULL;
}

void
daemon_events_stop(struct daemon_events *e)
{
    if (e) {
        ev_timer_stop(e->loop, &e->look);
        ev_timer_stop(e->loop, &e->retry);
        events_destroy(e->events);
        e->events = NULL;
    }
}

void
daemon_events_close(struct daemon_events *e)
{
    if (e) {
        if (e->journal) {
            event_journal_stop(e->journal);
        }
        ev_async_stop(e->loop, &e->on_ready);
        if (e->exporters) {
            save_exporters(e);
        }
        exporter_watch_destroy(e->exporters);
        export_watch_destroy(e->exports);
        event_journal_close(e->journal);
        free(e);
    }
}
