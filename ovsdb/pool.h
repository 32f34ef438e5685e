/* ovsdb/pool.h -- memory that goes all at once: what a snapshot consists of.
 *
 * A snapshot is thousands of small texts and lists that are made together and
 * die together, while the next one is there already.  Each with a place of its
 * own on the heap, they cost several times their size, and leave holes.  Here
 * they lie side by side, equal texts once, in pages of their own. */
#ifndef OVSDB_POOL_H
#define OVSDB_POOL_H 1

#include <stddef.h>

struct pool;

struct pool *pool_create(void);       /* NULL: out of memory. */
void pool_destroy(struct pool *);     /* NULL is fine. */

/* Zeroed memory, aligned for pointers; NULL: out of memory. */
void *pool_alloc(struct pool *, size_t size);

/* A copy of the text, not to be changed: equal texts are one.  NULL: out of
 * memory. */
char *pool_text(struct pool *, const char *);

/* No more texts will come: forgets how to find equal ones. */
void pool_seal(struct pool *);

#endif /* ovsdb/pool.h */
