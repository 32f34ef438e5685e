#include <config.h>

#include "daemon/route_events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgp/attrs.h"
#include "bgp/bmp_router.h"
#include "bgp/rib.h"
#include "bgp/session.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/event.h"

/* How much of all this is kept is the event queue's business: a kind has a
 * burst and a rate, and says how many more there were. */

#define PATH_SIZE 512

/* Peers that never say that their first table is complete. */
#define COMPLETE_MS 300000

struct route_events {
    struct prefix *prefixes;
    size_t n;
    int64_t up_ms[RIB_MAX_PEERS];
};

/* ---- Sessions. ---- */

void
route_events_session(void *unused, const struct bgp_session_info *s,
                     const char *kind, const char *text)
{
    char address[ADDR_STRLEN];
    const struct bgp_config *c = s->config;
    (void) unused;
    addr_format(&c->address, address);
    const char *name = *c->name ? c->name : address;
    const struct event_member detail[] = {
        EVENT_TEXT("address", address), EVENT_TEXT("name", c->name),
        EVENT_INT("as", s->as), EVENT_TEXT("reason", text),
        EVENT_INT("flaps", (int64_t) counter_get(&s->n->flaps)),
        { NULL, 0, NULL, 0 }
    };
    if (!strcmp(kind, "up")) {
        event_post(EVENT_bgp_up, address, detail, "the session with %s (AS "
                   "%u) is up", name, (unsigned) s->as);
    } else if (!strcmp(kind, "down")) {
        event_post(EVENT_bgp_down, address, detail, "the session with %s (AS "
                   "%u) is down: %s", name, (unsigned) s->as, text);
    } else if (!strcmp(kind, "warning")) {
        event_post(EVENT_bgp_warning, address, detail, "%s (AS %u): %s", name,
                   (unsigned) s->as, text);
    } else {
        event_post(EVENT_bgp_malformed, address, detail, "%s (AS %u) sends "
                   "what is malformed: %s", name, (unsigned) s->as, text);
    }
}

void
route_events_router(void *unused, const struct bmp_router *r,
                    const struct bmp_peer *p, const char *kind,
                    const char *text)
{
    char router[ADDR_STRLEN], peer[ADDR_STRLEN] = "";
    bool up = !strcmp(kind, "up");
    (void) unused;
    addr_format(&r->address, router);
    if (p && !addr_is_zero(&p->key.address)) {
        addr_format(&p->key.address, peer);
    }
    const struct event_member detail[] = {
        EVENT_TEXT("router", router), EVENT_TEXT("name", r->name),
        EVENT_TEXT("peer", p ? *peer ? peer : "loc-rib" : NULL),
        EVENT_INT("as", p ? p->as : 0), EVENT_TEXT("reason", text),
        { NULL, 0, NULL, 0 }
    };
    const char *name = *r->name ? r->name : router;
    if (!p) {
        event_post(up ? EVENT_bmp_up : EVENT_bmp_down, router, detail,
                   "router %s %s BMP%s%s", name,
                   up ? "speaks" : "does not speak", up ? "" : " any more: ",
                   up ? "" : text);
    } else {
        event_post(up ? EVENT_bmp_peer_up : EVENT_bmp_peer_down, router,
                   detail, "router %s: its session with %s is %s: %s", name,
                   *peer ? peer : "itself", kind, text);
    }
}

/* ---- Routes. ---- */

struct route_events *
route_events_create(void)
{
    return calloc(1, sizeof(struct route_events));
}

void
route_events_destroy(struct route_events *e)
{
    if (e) {
        free(e->prefixes);
        free(e);
    }
}

int
route_events_configure(struct route_events *e, const struct prefix *prefixes,
                       size_t n)
{
    struct prefix *copy = malloc((n + 1) * sizeof *copy);
    if (!copy) {
        return -ENOMEM;
    }
    if (n) {
        memcpy(copy, prefixes, n * sizeof *copy);
    }
    free(e->prefixes);
    e->prefixes = copy;
    e->n = n;
    return 0;
}

static bool
is_watched(const struct route_events *e, const struct prefix *p)
{
    for (size_t i = 0; i < e->n; i++) {
        if (p->len >= e->prefixes[i].len
            && prefix_contains(&e->prefixes[i], &p->addr)) {
            return true;
        }
    }
    return false;
}

/* "64500 15169 via 192.0.2.1" */
static const char *
route_text(const struct attrs *a, char *buf, size_t size)
{
    char path[PATH_SIZE], hop[ADDR_STRLEN];
    struct addr next_hop = attrs_next_hop(a);
    attrs_format_path(a, path, sizeof path);
    snprintf(buf, size, "%s%svia %s", path, *path ? " " : "",
             addr_format(&next_hop, hop));
    return buf;
}

/* The first table of a session is no news, as in route.history. */
static bool
is_loading(const struct route_events *e, const struct rib_change *c)
{
    return c->kind == RIB_NEW && !c->peer->complete[c->nlri->family]
           && clock_mono_ms() - e->up_ms[c->peer->number] < COMPLETE_MS;
}

static void
on_route(void *events, const struct rib_change *c)
{
    static const char *const words[] = {
        [RIB_NEW] = "announced", [RIB_CHANGED] = "changed",
        [RIB_WITHDRAWN] = "withdrawn", [RIB_EXPIRED] = "expired",
    };
    struct route_events *e = events;
    if (!e->n || !is_watched(e, &c->nlri->prefix) || is_loading(e, c)) {
        return;
    }
    char prefix[PREFIX_STRLEN], before[PATH_SIZE + 64], after[PATH_SIZE + 64];
    prefix_format(&c->nlri->prefix, prefix);
    const char *was = c->before ? route_text(c->before, before, sizeof before)
                                : NULL;
    const char *is = c->after ? route_text(c->after, after, sizeof after)
                              : NULL;
    const struct event_member detail[] = {
        EVENT_TEXT("change", words[c->kind]), EVENT_TEXT("prefix", prefix),
        EVENT_TEXT("peer", c->peer->name), EVENT_TEXT("before", was),
        EVENT_TEXT("after", is), EVENT_INT("best", c->best),
        { NULL, 0, NULL, 0 }
    };
    event_post(EVENT_route_changed, prefix, detail, "%s: %s by %s%s%s%s%s",
               prefix, words[c->kind], c->peer->name, was ? ", was " : "",
               was ? was : "", is ? ", is " : "", is ? is : "");
}

static void
on_peer(void *events, enum rib_peer_change kind, const struct rib_peer *peer,
        int family, uint64_t n)
{
    struct route_events *e = events;
    (void) family;
    (void) n;
    if (kind == RIB_PEER_UP) {
        e->up_ms[peer->number] = clock_mono_ms();
    }
}

struct rib_watch
route_events_watch(struct route_events *e)
{
    return (struct rib_watch) { e, on_route, on_peer };
}
