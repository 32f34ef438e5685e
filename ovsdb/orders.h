/* ovsdb/orders.h -- export.apply and export.remove, as they were given, and
 * kept over a restart.
 *
 * What was taken away by hand stays away until somebody asks for it again:
 * also after a restart, a crash or an upgrade in between. */
#ifndef OVSDB_ORDERS_H
#define OVSDB_ORDERS_H 1

#include <stdbool.h>
#include <stddef.h>

#include "ovsdb/export.h"

struct orders {
    struct export_order *list;  /* Oldest first. */
    size_t n;
};

/* Larger files are damaged ones. */
#define ORDERS_FILE_MAX (1024 * 1024)

void orders_clear(struct orders *);

/* The last word about a bridge, the bridges of a policy, or (both NULL) all:
 * what it makes pointless is forgotten. */
void orders_add(struct orders *, bool apply, const char *bridge,
                const char *policy);

/* The same, kept in the file 'path' first (NULL: it is not kept), so that a
 * crash in between forgets nothing; after "apply" for all nothing is left to
 * say.  Returns 0, or a negative errno after changing nothing. */
int orders_give(struct orders *, bool apply, const char *bridge,
                const char *policy, const char *path);

/* What is worth keeping, as text for the caller to free: removals, and what
 * was applied after them.  NULL: nothing. */
char *orders_format(const struct orders *);

/* Reads such a text into 'orders', which is empty.  What was applied is marked
 * as 'kept'.  Returns 0, or -EBADMSG and leaves 'orders' empty. */
int orders_parse(struct orders *, const char *text, size_t size);

/* Replaces the file in one step; none if there is nothing to keep.  Returns 0
 * or a negative errno. */
int orders_save(const struct orders *, const char *path);

/* Reads it.  Returns 0 (also if there is none), -EBADMSG if it is damaged, or
 * another negative errno. */
int orders_load(struct orders *, const char *path);

#endif /* ovsdb/orders.h */
