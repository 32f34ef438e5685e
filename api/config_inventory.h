/* api/config_inventory.h -- "inventory" in the configuration. */
#ifndef API_CONFIG_INVENTORY_H
#define API_CONFIG_INVENTORY_H 1

#include "api/config.h"
#include "api/inventory.h"

struct json_object;

/* One list, one container engine, or libvirt. */
struct config_inventory_item {
    char *source;               /* What identity calls it. */
    char *location;             /* A path, an http(s) URL, or a socket; of
                                 * libvirt, sockets with spaces between. */
    char *uri;                  /* Of libvirt; NULL: as it chooses. */
    char *tenant, *network;     /* NULL: none. */
    enum inventory_format format;
    int64_t interval_us;        /* Between looks. */
    uint8_t trust;
};

/* All is owned by it. */
struct config_inventory {
    struct config_inventory_item *items;
    size_t n_items;
};

/* '*out' gets what 'root', the full tree's, asks for.  Returns 0 or a negative
 * errno with '*error'. */
int config_inventory_make(struct json_object *root,
                          struct config_inventory **out,
                          struct config_error *error);
void config_inventory_destroy(struct config_inventory *);   /* NULL is fine. */

/* Whether it is the same task; copies of one are. */
bool config_inventory_item_equal(const struct config_inventory_item *,
                                 const struct config_inventory_item *);
/* 0 or -ENOMEM. */
int config_inventory_item_copy(struct config_inventory_item *to,
                               const struct config_inventory_item *from);
void config_inventory_item_clear(struct config_inventory_item *);

#endif /* api/config_inventory.h */
