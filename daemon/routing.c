#include <config.h>

#include "daemon/routing.h"

#include <ev.h>
#include <stdlib.h>

#include "api/config_bgp.h"
#include "bgp/rib.h"
#include "bgp/speaker.h"

/* Steps of clearing up before everything else has its turn: below two
 * milliseconds. */
#define WORK_STEPS 4000

struct routing {
    struct ev_loop *loop;
    struct rib *rib;
    struct bgp_speaker *speaker;
    ev_prepare look;            /* Is there something to clear up? */
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
}

static uint64_t
n_routes(void *routing, uint32_t peer, enum bgp_family f)
{
    struct routing *r = routing;
    const struct rib_peer *p = rib_peer(r->rib, peer);
    return p ? p->routes[f] : 0;
}

struct routing *
routing_create(struct ev_loop *loop)
{
    struct routing *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->loop = loop;
    ev_prepare_init(&r->look, on_look);
    ev_idle_init(&r->work, on_work);
    ev_set_priority(&r->work, EV_MAXPRI);
    r->look.data = r->work.data = r;
    r->rib = rib_create(&(struct rib_config) { .max_bytes = 0 });
    if (r->rib) {
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
routing_destroy(struct routing *r)
{
    if (!r) {
        return;
    }
    ev_prepare_stop(r->loop, &r->look);
    ev_idle_stop(r->loop, &r->work);
    bgp_speaker_destroy(r->speaker);
    rib_destroy(r->rib);
    free(r);
}

int
routing_configure(struct routing *r, const struct config_bgp *c, char **error)
{
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
