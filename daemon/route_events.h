/* daemon/route_events.h -- events (lib/event.h) of BGP sessions, BMP routers and
 * routes. */
#ifndef DAEMON_ROUTE_EVENTS_H
#define DAEMON_ROUTE_EVENTS_H 1

#include <stddef.h>

struct bgp_session_info;
struct bmp_peer;
struct bmp_router;
struct prefix;
struct rib_watch;
struct route_events;            /* Opaque. */

/* For struct bgp_speaker_hooks and struct bmp_hooks. */
void route_events_session(void *unused, const struct bgp_session_info *,
                          const char *kind, const char *text);
void route_events_router(void *unused, const struct bmp_router *,
                         const struct bmp_peer *, const char *kind,
                         const char *text);

/* Changes of routes inside of some prefixes, none at first. */
struct route_events *route_events_create(void);         /* Or NULL. */
void route_events_destroy(struct route_events *);       /* NULL is fine. */
/* 0 or -ENOMEM, and then all is as before. */
int route_events_configure(struct route_events *, const struct prefix *,
                           size_t n);
/* For rib_add_watch(). */
struct rib_watch route_events_watch(struct route_events *);

#endif /* daemon/route_events.h */
