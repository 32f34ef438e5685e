#include <config.h>

#include "daemon/routing.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>

#include "api/config_bgp.h"
#include "api/config_route.h"
#include "bgp/rib.h"
#include "bgp/speaker.h"
#include "bgp/stamp.h"
#include "lib/log.h"

/* Steps of clearing up before everything else has its turn: below two
 * milliseconds. */
#define WORK_STEPS 4000
#define VIEWS_AFTER_S 0.05

struct routing {
    struct ev_loop *loop;
    struct rib *rib;
    struct bgp_speaker *speaker;
    struct stamper *stamper;
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
    r->look.data = r->work.data = r->views.data = r;
    r->rib = rib_create(&(struct rib_config) { .dict = dict });
    r->stamper = r->rib ? stamper_create(r->rib, dict) : NULL;
    if (r->stamper) {
        struct bgp_sink sink = rib_sink(r->rib);
        struct bgp_speaker_hooks hooks = { .aux = r, .n_routes = n_routes };
        r->speaker = bgp_speaker_create(loop, &sink, &hooks);
    }
    if (!r->speaker) {
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
    bgp_speaker_destroy(r->speaker);
    r->speaker = NULL;
}

void
routing_destroy(struct routing *r)
{
    if (!r) {
        return;
    }
    routing_stop(r);
    stamper_destroy(r->stamper);
    rib_destroy(r->rib);
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
    if (stamper_configure(r->stamper, &routes->views)) {
        return -ENOMEM;
    }
    rib_set_memory(r->rib, routes->memory);
    return bgp_speaker_configure(r->speaker, &c->speaker, error);
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
