/* api/inventories.h -- the inventories of the configuration, each followed by a
 * thread of its own, so that one that hangs holds up nobody.
 *
 * A file is looked at once in its interval and read when it has changed; a URL
 * is asked as often, with what HTTP has against sending the same again; a
 * container engine is asked when it tells of an event.  What was read last
 * stays when the next reading fails. */
#ifndef API_INVENTORIES_H
#define API_INVENTORIES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/inventory.h"

struct config_inventory;
struct dict;
struct identity_journal;
struct inventories;

/* Without any.  NULL if out of memory. */
struct inventories *inventories_create(struct identity_journal *,
                                       struct dict *);
/* Follows what 'config' says from now on; the endpoints of inventories that it
 * does not have any more end. */
void inventories_configure(struct inventories *,
                           const struct config_inventory *);
/* Waits for the threads, a second or so.  NULL is fine. */
void inventories_destroy(struct inventories *);

struct inventory_status {
    const char *source, *location;      /* Borrowed. */
    int64_t looked_us, read_us; /* Last look, last time it was taken over; 0:
                                 * never. */
    uint64_t accepted, refused;
    bool absent;                /* A socket that is not there: nothing wrong. */
    const char *error;          /* "": none. */
};
void inventories_each(struct inventories *,
                      void (*each)(void *aux,
                                   const struct inventory_status *),
                      void *aux);

#endif /* api/inventories.h */
