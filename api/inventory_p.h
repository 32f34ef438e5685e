/* api/inventory_p.h -- what the readers of inventories share. */
#ifndef API_INVENTORY_P_H
#define API_INVENTORY_P_H 1

#include <stdio.h>

#include "api/inventory.h"

#define INVENTORY_WHERE "where"

#define FAIL(R, ...)                                                    \
    (snprintf((R)->error, sizeof (R)->error, __VA_ARGS__), NULL)

/* The member 'name' of 'o', made by 'create' if it is not there. */
struct json_object *inventory_need(struct json_object *o, const char *name,
                                   struct json_object *(*create)(void));

/* A text that is not empty, or NULL. */
const char *inventory_text(struct json_object *o, const char *name);

/* Gives 'o' a text, or its list 'list' one more.  NULL: nothing is done. */
void inventory_put(struct json_object *o, const char *name, const char *);
void inventory_add(struct json_object *o, const char *list, const char *);

/* inventory_parse() of INVENTORY_LIBVIRT. */
struct json_object *inventory_read_libvirt(const char *text, size_t size,
                                           const char *host,
                                           struct inventory_result *);

#endif /* api/inventory_p.h */
