/* bgp/arena.h -- blocks of memory with numbers of 32 bits, for one writer and
 * readers under RCU.
 *
 * A block is known by a number, half as wide as a pointer, and has no header: a
 * million small ones cost what is in them.  Address space is reserved at the
 * start and filled from the bottom, so that a number becomes an address by one
 * addition.  What readers may still see is not freed but retired: a thread of
 * the arena waits for them, and arena_reclaim() then takes it back. */
#ifndef BGP_ARENA_H
#define BGP_ARENA_H 1

#include <stddef.h>
#include <stdint.h>

#define ARENA_UNIT 8            /* Bytes; blocks are aligned to it. */
#define ARENA_EXACT 128         /* Sizes up to so many units fit exactly. */
#define ARENA_CLASSES (ARENA_EXACT + 18)

struct arena_gc;                                        /* Opaque. */

struct arena {
    uint8_t *base;
    void *mapped;
    size_t mapped_size;
    size_t reserved, committed, used;   /* Bytes. */
    uint64_t allocated;                 /* Bytes in blocks that are in use or
                                         * retired. */
    uint32_t free[ARENA_CLASSES];
    struct arena_gc *gc;
};

/* Reserves 'reserve' bytes of address space.  Returns 0 or a negative errno. */
int arena_init(struct arena *, size_t reserve);
void arena_clear(struct arena *);

/* A block of at least 'size' bytes with undefined contents; 0: no memory.  It is
 * aligned to 64 or 32 bytes if its size is a multiple of that, else to 8. */
uint32_t arena_alloc(struct arena *, size_t size);

/* Frees a block that no reader has seen. */
void arena_free(struct arena *, uint32_t block, size_t size);

/* Frees a block once all who read now are done. */
void arena_retire(struct arena *, uint32_t block, size_t size);

/* Takes back up to 'budget' retired blocks that nobody reads any more.  Returns
 * how many it took. */
unsigned arena_reclaim(struct arena *, unsigned budget);

/* Retired blocks that are not taken back yet. */
size_t arena_pending(const struct arena *);

static inline void *
arena_at(const struct arena *a, uint32_t block)
{
    return a->base + (size_t) block * ARENA_UNIT;
}

#endif /* bgp/arena.h */
