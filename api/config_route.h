/* api/config_route.h -- "routes" in the configuration. */
#ifndef API_CONFIG_ROUTE_H
#define API_CONFIG_ROUTE_H 1

#include "api/config.h"
#include "bgp/stamp.h"

struct json_object;

struct config_route {
    struct stamp_config views;  /* Ours, with all that it points to. */
    uint64_t memory;            /* routes/memory, bytes. */
    struct prefix *watch;       /* routes/watch */
    size_t n_watch;
    bool history;               /* routes/history */
    int64_t history_us;
    uint64_t history_bytes;
};

/* '*out' gets what 'root', the full tree's, asks for.  Returns 0 or a negative
 * errno with '*error'. */
int config_route_make(struct json_object *root, struct config_route **out,
                      struct config_error *error);
void config_route_destroy(struct config_route *);       /* NULL is fine. */

#endif /* api/config_route.h */
