/* daemon/routing.h -- what knows routes, wired together: BGP neighbours and BMP
 * routers feed the RIB, all on the main loop. */
#ifndef DAEMON_ROUTING_H
#define DAEMON_ROUTING_H 1

struct bgp_speaker;
struct bmp_server;
struct config_bgp;
struct ev_loop;
struct rib;
struct routing;

/* NULL if out of memory. */
struct routing *routing_create(struct ev_loop *);
void routing_destroy(struct routing *);         /* NULL is fine. */

/* Takes over a configuration.  Returns 0, or a negative errno with the reason
 * to free(), and then sockets and neighbours are as before. */
int routing_configure(struct routing *, const struct config_bgp *,
                      char **error);

struct rib *routing_rib(const struct routing *);
struct bgp_speaker *routing_speaker(const struct routing *);

#endif /* daemon/routing.h */
