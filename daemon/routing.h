/* daemon/routing.h -- what knows routes, wired together: BGP neighbours and BMP
 * routers feed the RIB, all on the main loop. */
#ifndef DAEMON_ROUTING_H
#define DAEMON_ROUTING_H 1

#include "lib/batch.h"

struct bgp_speaker;
struct bmp_server;
struct config_bgp;
struct config_route;
struct dict;
struct ev_loop;
struct rib;
struct route_imports;
struct routelog;
struct routing;

/* Without neighbours, and without routes.  NULL if out of memory. */
struct routing *routing_create(struct ev_loop *, struct dict *);
/* Ends all sessions. */
void routing_stop(struct routing *);            /* NULL is fine. */
/* After the workers have stopped. */
void routing_destroy(struct routing *);         /* NULL is fine. */

/* The stage that gives flows their routes. */
struct stage routing_stage(const struct routing *);

/* Takes over a configuration.  Returns 0, or a negative errno with the reason
 * to free(), and then sockets and neighbours are as before. */
int routing_configure(struct routing *, const struct config_bgp *,
                      const struct config_route *, char **error);

/* Opens the history of routes in 'dir', before the first configuration.  If it
 * cannot be had, there is none.  Returns 0 or a negative errno. */
int routing_open_history(struct routing *, const char *dir,
                         const struct config_route *);

struct rib *routing_rib(const struct routing *);
struct bgp_speaker *routing_speaker(const struct routing *);
struct bmp_server *routing_bmp(const struct routing *);
struct routelog *routing_history(const struct routing *);
struct route_imports *routing_imports(const struct routing *);

#endif /* daemon/routing.h */
