#include <config.h>

#include "daemon/routing.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>

#include "api/config_bgp.h"
#include "api/config_route.h"
#include "bgp/bmp.h"
#include "bgp/rib.h"
#include "bgp/route_import.h"
#include "bgp/routelog.h"
#include "bgp/speaker.h"
#include "bgp/stamp.h"
#include "collector/input/tls.h"
#include "daemon/route_events.h"
#include "lib/clock.h"
#include "lib/log.h"

/* Steps of clearing up before everything else has its turn: below two
 * milliseconds. */
#define WORK_STEPS 4000
#define VIEWS_AFTER_S 0.05
#define HISTORY_EVERY_S 5.

struct routing {
    struct ev_loop *loop;
    struct rib *rib;
    struct bgp_speaker *speaker;
    struct stamper *stamper;
    struct bmp_server *bmp;
    struct route_events *events;
    struct route_imports *imports;
    struct routelog *history;
    ev_timer history_tick;      /* Tables that are complete by now. */
    ev_prepare look;            /* Is there something to clear up? */
    ev_timer views;             /* Peers came or went. */
    ev_idle work;
};

static void
on_work(struct ev_loop *loop, ev_idle *w, int revents)
{
    struct routing *r = w->data;
    (void) revents;
    if (!rib_work(r->rib, WORK_STEPS)) {
        ev_idle_stop(loop, w);
    }
}

static void
on_look(struct ev_loop *loop, ev_prepare *w, int revents)
{
    struct routing *r = w->data;
    (void) revents;
    if (rib_busy(r->rib)) {
        ev_idle_start(loop, &r->work);
    }
    if (stamper_stale(r->stamper) && !ev_is_active(&r->views)) {
        ev_timer_set(&r->views, VIEWS_AFTER_S, 0.);
        ev_timer_start(loop, &r->views);
    }
}

/* Of many peers that come at once most are seen together. */
static void
on_views(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct routing *r = w->data;
    (void) loop;
    (void) revents;
    if (stamper_refresh(r->stamper)) {
        LOG_RATE(bgp, ERR, "%s", "flows are looked up as before: out of "
                 "memory");
    }
}

static void
on_history(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct routing *r = w->data;
    (void) loop;
    (void) revents;
    routelog_tick(r->history);
}

/* ---- BMP's TLS is that of the collector. ---- */

static void *
tls_make(const struct bmp_config *c, char **error)
{
    struct tls_config tls = {
        .certificate = c->certificate, .private_key = c->private_key,
        .ca = c->ca, .require_client = c->require_client,
    };
    return tls_create(&tls, error);
}

static void
tls_free(void *tls)
{
    tls_destroy(tls);
}

static void *
tls_take(void *tls, int fd)
{
    return tls_accept(tls, fd);
}

static int
tls_get(void *session, void *buf, size_t n, bool *want_write)
{
    return tls_read(session, buf, n, want_write);
}

static void
tls_end(void *session)
{
    tls_close(session);
}

static const struct bmp_tls bmp_tls = {
    tls_make, tls_free, tls_take, tls_get, tls_end
};

/* ---- */

static uint64_t
n_routes(void *routing, uint32_t peer, enum bgp_family f)
{
    struct routing *r = routing;
    const struct rib_peer *p = rib_peer(r->rib, peer);
    return p ? p->routes[f] : 0;
}

struct routing *
routing_create(struct ev_loop *loop, struct dict *dict)
{
    struct routing *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->loop = loop;
    ev_prepare_init(&r->look, on_look);
    ev_idle_init(&r->work, on_work);
    ev_set_priority(&r->work, EV_MAXPRI);
    ev_init(&r->views, on_views);
    ev_timer_init(&r->history_tick, on_history, HISTORY_EVERY_S,
                  HISTORY_EVERY_S);
    r->history_tick.data = r;
    r->look.data = r->work.data = r->views.data = r;
    r->rib = rib_create(&(struct rib_config) { .dict = dict });
    r->stamper = r->rib ? stamper_create(r->rib, dict) : NULL;
    r->events = route_events_create();
    if (r->stamper && r->events) {
        struct rib_watch watch = route_events_watch(r->events);
        rib_add_watch(r->rib, &watch);
        struct bgp_sink sink = rib_sink(r->rib);
        struct bgp_speaker_hooks hooks = {
            .aux = r, .n_routes = n_routes, .event = route_events_session,
        };
        struct bmp_hooks bmp_hooks = { .aux = r, .tls = &bmp_tls,
                                       .event = route_events_router };
        r->speaker = bgp_speaker_create(loop, &sink, &hooks);
        r->bmp = bmp_server_create(loop, &sink, &bmp_hooks);
        r->imports = route_imports_create(loop, &sink);
    }
    if (!r->speaker || !r->bmp || !r->imports) {
        routing_destroy(r);
        return NULL;
    }
    ev_prepare_start(loop, &r->look);
    return r;
}

void
routing_stop(struct routing *r)
{
    if (!r) {
        return;
    }
    ev_prepare_stop(r->loop, &r->look);
    ev_idle_stop(r->loop, &r->work);
    ev_timer_stop(r->loop, &r->views);
    ev_timer_stop(r->loop, &r->history_tick);
    bgp_speaker_destroy(r->speaker);
    bmp_server_destroy(r->bmp);
    route_imports_destroy(r->imports);
    r->speaker = NULL;
    r->bmp = NULL;
    r->imports = NULL;
}

void
routing_destroy(struct routing *r)
{
    if (!r) {
        return;
    }
    routing_stop(r);
    routelog_close(r->history);
    stamper_destroy(r->stamper);
    rib_destroy(r->rib);
    route_events_destroy(r->events);
    free(r);
}

struct stage
routing_stage(const struct routing *r)
{
    return (struct stage) { "routes", stamp_process, r->stamper };
}

int
routing_configure(struct routing *r, const struct config_bgp *c,
                  const struct config_route *routes, char **error)
{
    if (stamper_configure(r->stamper, &routes->views)
        || route_events_configure(r->events, routes->watch,
                                  routes->n_watch)) {
        return -ENOMEM;
    }
    rib_set_memory(r->rib, routes->memory);
    if (r->history) {
        routelog_configure(r->history, routes->history, routes->history_us,
                           routes->history_bytes);
    }
    int result = bmp_server_configure(r->bmp, &c->bmp, error);
    return result ? result
                  : bgp_speaker_configure(r->speaker, &c->speaker, error);
}

int
routing_open_history(struct routing *r, const char *dir,
                     const struct config_route *c)
{
    struct routelog_config config = {
        .dir = dir, .retention_us = c->history_us,
        .max_bytes = c->history_bytes, .now_us = clock_wall_us,
    };
    int error;
    r->history = routelog_open(&config, &error);
    if (r->history) {
        struct rib_watch w = routelog_watch(r->history);
        error = rib_add_watch(r->rib, &w);
        ev_timer_start(r->loop, &r->history_tick);
    }
    return error;
}

struct rib *
routing_rib(const struct routing *r)
{
    return r->rib;
}

struct bgp_speaker *
routing_speaker(const struct routing *r)
{
    return r->speaker;
}

struct bmp_server *
routing_bmp(const struct routing *r)
{
    return r->bmp;
}

struct routelog *
routing_history(const struct routing *r)
{
    return r->history;
}

struct route_imports *
routing_imports(const struct routing *r)
{
    return r->imports;
}
