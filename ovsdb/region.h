/* ovsdb/region.h -- memory that goes all at once: what a snapshot consists of.
 *
 * A snapshot is thousands of small texts and lists that are made together and
 * die together, while the next one is there already.  Each with a place of its
 * own on the heap, they cost several times their size, and leave holes.  Here
 * they lie side by side, equal texts once, in pages of their own. */
#ifndef OVSDB_REGION_H
#define OVSDB_REGION_H 1

#include <stddef.h>

struct region;

struct region *region_create(void);       /* NULL: out of memory. */
void region_destroy(struct region *);     /* NULL is fine. */

/* Zeroed memory, aligned for pointers; NULL: out of memory. */
void *region_alloc(struct region *, size_t size);

/* A copy of the text, not to be changed: equal texts are one.  NULL: out of
 * memory. */
char *region_text(struct region *, const char *);

/* No more texts will come: forgets how to find equal ones. */
void region_seal(struct region *);

#endif /* ovsdb/region.h */
