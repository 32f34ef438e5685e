/* lib/ring.h -- a bounded queue of pointers from many threads to one.
 *
 * ring_push() refuses when the ring is full: the caller keeps the item and
 * counts the loss.  ring_pop() is for one thread; it can wait. */
#ifndef LIB_RING_H
#define LIB_RING_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;

struct ring *ring_create(size_t capacity);
void ring_destroy(struct ring *);       /* Items left in it are not freed. */

bool ring_push(struct ring *, void *item);

/* The oldest item, or NULL if there is none within 'wait_ms' (0: do not wait;
 * negative: until one comes or ring_wake() is called). */
void *ring_pop(struct ring *, int wait_ms);

/* Makes a waiting ring_pop() return NULL, now or, if none waits, next time. */
void ring_wake(struct ring *);

size_t ring_length(struct ring *);
size_t ring_capacity(const struct ring *);

#endif /* lib/ring.h */
