#include <config.h>

#include "api/config_inventory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/json.h"
#include "lib/clock.h"
#include "lib/text.h"

#define ROOT "/venturi:venturi/inventory"
#define ENGINE_TRUST 120
#define ENGINE_INTERVAL_US (INT64_C(60) * 1000000)

static enum inventory_format
format_of(const char *word)
{
    return !strcmp(word, "csv") ? INVENTORY_CSV
           : !strcmp(word, "json") ? INVENTORY_JSON : INVENTORY_AUTO;
}

static int
copy_text(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -ENOMEM : 0;
}

static int
refuse(struct config_error *e, const char *name, const char *leaf,
       const char *why)
{
    snprintf(e->path, sizeof e->path, ROOT "/list[name='%.64s']/%s", name,
             leaf);
    snprintf(e->message, sizeof e->message, "%s", why);
    return -EINVAL;
}

static int
get_list(struct json_object *o, struct config_inventory_item *item,
         struct config_error *e)
{
    const char *name = json_text(o, "name");
    const char *interval = json_text(o, "interval");

    if (asprintf(&item->source, "list:%s", name) < 0) {
        item->source = NULL;
        return -ENOMEM;
    }
    item->format = format_of(json_text(o, "format"));
    item->trust = (uint8_t) json_object_get_int64(json_member(o, "trust"));
    if (duration_parse_us(interval, &item->interval_us)
        || item->interval_us < 1000000
        || item->interval_us > INT64_C(86400) * 1000000) {
        return refuse(e, name, "interval", "out of range; expected 1s to 1d");
    }
    int err = copy_text(&item->location, json_text(o, "location"));
    err = err ? err : copy_text(&item->tenant, json_text(o, "tenant"));
    return err ? err : copy_text(&item->network, json_text(o, "network"));
}

static int
get_engine(const char *socket, struct config_inventory_item *item)
{
    item->format = INVENTORY_CONTAINERS;
    item->interval_us = ENGINE_INTERVAL_US;
    item->trust = ENGINE_TRUST;
    if (asprintf(&item->source, "containers:%s", socket) < 0) {
        item->source = NULL;
        return -ENOMEM;
    }
    return copy_text(&item->location, socket);
}

/* Of its sockets, the first that is there is asked: a daemon for all drivers
 * and one for each may stand side by side and tell the same. */
static int
get_libvirt(struct json_object *o, struct config_inventory_item *item)
{
    struct json_object *sockets = json_member(o, "socket");
    size_t n = json_object_array_length(sockets), size = 1;
    for (size_t i = 0; i < n; i++) {
        size += 1 + strlen(json_object_get_string(
                               json_object_array_get_idx(sockets, i)));
    }
    item->format = INVENTORY_LIBVIRT;
    item->interval_us = ENGINE_INTERVAL_US;
    item->trust = ENGINE_TRUST;
    item->location = calloc(1, size);
    for (size_t i = 0; item->location && i < n; i++) {
        char *end = item->location + strlen(item->location);
        sprintf(end, "%s%s", i ? " " : "", json_object_get_string(
                    json_object_array_get_idx(sockets, i)));
    }
    int err = copy_text(&item->source, "libvirt");
    err = err ? err : copy_text(&item->uri, json_text(o, "uri"));
    return err ? err : item->location ? 0 : -ENOMEM;
}

int
config_inventory_make(struct json_object *root, struct config_inventory **out,
                      struct config_error *e)
{
    struct json_object *o = json_member(root, "inventory");
    struct json_object *lists = json_member(o, "list");
    struct json_object *engines = json_member(o, "containers");
    struct json_object *sockets = json_object_get_boolean(
        json_member(engines, "enabled")) ? json_member(engines, "socket")
                                         : NULL;
    struct json_object *libvirt = json_member(o, "libvirt");
    bool has_libvirt = json_object_get_boolean(json_member(libvirt,
                                                           "enabled"))
                       && json_member(libvirt, "socket");
    size_t n_lists = lists ? json_object_array_length(lists) : 0;
    size_t n_sockets = sockets ? json_object_array_length(sockets) : 0;
    struct config_inventory *c = calloc(1, sizeof *c);
    int err = 0;

    *out = c;
    if (!c || !(c->items = calloc(n_lists + n_sockets + 2,
                                  sizeof *c->items))) {
        return -ENOMEM;
    }
    for (size_t i = 0; !err && i < n_lists; i++) {
        err = get_list(json_object_array_get_idx(lists, i),
                       &c->items[c->n_items++], e);
    }
    for (size_t i = 0; !err && i < n_sockets; i++) {
        err = get_engine(json_object_get_string(
                             json_object_array_get_idx(sockets, i)),
                         &c->items[c->n_items++]);
    }
    if (!err && has_libvirt) {
        err = get_libvirt(libvirt, &c->items[c->n_items++]);
    }
    return err;
}

void
config_inventory_item_clear(struct config_inventory_item *item)
{
    free(item->source);
    free(item->location);
    free(item->uri);
    free(item->tenant);
    free(item->network);
    *item = (struct config_inventory_item) { .source = NULL };
}

void
config_inventory_destroy(struct config_inventory *c)
{
    for (size_t i = 0; c && i < c->n_items; i++) {
        config_inventory_item_clear(&c->items[i]);
    }
    if (c) {
        free(c->items);
    }
    free(c);
}

bool
config_inventory_item_equal(const struct config_inventory_item *a,
                            const struct config_inventory_item *b)
{
    return !strcmp(a->source, b->source) && !strcmp(a->location, b->location)
           && text_equal(a->uri, b->uri) && text_equal(a->tenant, b->tenant)
           && text_equal(a->network, b->network) && a->format == b->format
           && a->interval_us == b->interval_us && a->trust == b->trust;
}

int
config_inventory_item_copy(struct config_inventory_item *to,
                           const struct config_inventory_item *from)
{
    *to = *from;
    to->source = to->location = to->uri = to->tenant = to->network = NULL;
    int err = copy_text(&to->source, from->source);
    err = err ? err : copy_text(&to->location, from->location);
    err = err ? err : copy_text(&to->uri, from->uri);
    err = err ? err : copy_text(&to->tenant, from->tenant);
    err = err ? err : copy_text(&to->network, from->network);
    if (err) {
        config_inventory_item_clear(to);
    }
    return err;
}
