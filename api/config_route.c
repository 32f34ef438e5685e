#include <config.h>

#include "api/config_route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/json.h"
#include "lib/clock.h"

#define ROOT "/venturi:venturi/routes"

static void
free_names(const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free((char *) (uintptr_t) names[i]);
    }
    free((void *) (uintptr_t) names);
}

/* A list of strings; NULL if out of memory. */
static const char *const *
get_names(struct json_object *list, size_t *n)
{
    size_t length = list ? json_object_array_length(list) : 0;
    const char **names = calloc(length + 1, sizeof *names);
    for (*n = 0; names && *n < length; ++*n) {
        names[*n] = strdup(json_object_get_string(
            json_object_array_get_idx(list, *n)));
        if (!names[*n]) {
            free_names(names, *n);
            return NULL;
        }
    }
    return names;
}

static int
get_views(struct json_object *list, struct stamp_config *c,
          struct config_error *e)
{
    size_t n = list ? json_object_array_length(list) : 0;
    struct stamp_map *maps = calloc(n + 1, sizeof *maps);
    c->maps = maps;
    for (size_t i = 0; maps && i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        const char *text = json_object_get_string(json_member(v, "exporter"));
        if (addr_parse(text, &maps[i].exporter)) {
            snprintf(e->path, sizeof e->path, ROOT "/view[exporter='%.64s']",
                     text);
            snprintf(e->message, sizeof e->message, "%.64s is not an "
                     "address; expected such as 192.0.2.1 or 2001:db8::1",
                     text);
            return -EINVAL;
        }
        maps[i].peers = get_names(json_member(v, "peer"), &maps[i].n_peers);
        if (!maps[i].peers) {
            return -ENOMEM;
        }
        c->n_maps++;
    }
    return maps ? 0 : -ENOMEM;
}

static int
get_watch(struct json_object *list, struct config_route *c,
          struct config_error *e)
{
    size_t n = list ? json_object_array_length(list) : 0;
    c->watch = calloc(n + 1, sizeof *c->watch);
    for (size_t i = 0; c->watch && i < n; i++) {
        const char *text = json_object_get_string(
            json_object_array_get_idx(list, i));
        if (prefix_parse(text, &c->watch[c->n_watch++])) {
            snprintf(e->path, sizeof e->path, ROOT "/watch");
            snprintf(e->message, sizeof e->message, "%.64s is not a prefix; "
                     "expected such as 203.0.113.0/24", text);
            return -EINVAL;
        }
    }
    return c->watch ? 0 : -ENOMEM;
}

int
config_route_make(struct json_object *root, struct config_route **out,
                  struct config_error *error)
{
    struct json_object *o = json_member(root, "routes");
    struct config_route *c = calloc(1, sizeof *c);
    *out = c;
    if (!c) {
        return -ENOMEM;
    }
    /* The model has checked form and defaults. */
    size_parse(json_object_get_string(json_member(o, "memory")), &c->memory);
    struct json_object *h = json_member(o, "history");
    c->history = json_object_get_boolean(json_member(h, "enabled"));
    duration_parse_us(json_object_get_string(json_member(h, "retention")),
                      &c->history_us);
    size_parse(json_object_get_string(json_member(h, "size")),
               &c->history_bytes);
    int result = get_watch(json_member(o, "watch"), c, error);
    if (result) {
        return result;
    }
    c->views.defaults = get_names(json_member(o, "default-view"),
                                  &c->views.n_defaults);
    return c->views.defaults ? get_views(json_member(o, "view"), &c->views, error)
                             : -ENOMEM;
}

void
config_route_destroy(struct config_route *c)
{
    if (c) {
        for (size_t i = 0; i < c->views.n_maps; i++) {
            free_names(c->views.maps[i].peers, c->views.maps[i].n_peers);
        }
        free((void *) (uintptr_t) c->views.maps);
        free_names(c->views.defaults, c->views.n_defaults);
        free(c->watch);
        free(c);
    }
}
