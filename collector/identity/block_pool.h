/* collector/identity/block_pool.h -- many small blocks of a few sizes, densely, on
 * large pages: what a million endpoints are made of.  A block is known by a
 * number of 32 bits.  One thread allocates and frees; any may use what it was
 * told of. */
#ifndef COLLECTOR_IDENTITY_BLOCK_POOL_H
#define COLLECTOR_IDENTITY_BLOCK_POOL_H 1

#include <stddef.h>
#include <stdint.h>

#define POOL_STEP 16
#define POOL_DENSE 1024         /* Larger blocks are powers of two, */
#define POOL_MAX 65536          /* and none is larger than this. */
#define POOL_CLASSES (POOL_DENSE / POOL_STEP + 1 + 6)
#define POOL_CHUNK_BITS 21      /* A chunk is a large page. */
#define POOL_UNIT_BITS (POOL_CHUNK_BITS - 4)
#define POOL_CHUNKS 8192

struct block_pool {
    uint32_t free[POOL_CLASSES];
    uint8_t *chunk[POOL_CHUNKS];
    uint8_t bits[POOL_CHUNKS];  /* Of its size. */
    uint32_t n_chunks;
    size_t next, end;           /* Offsets of what is left of the newest. */
    size_t chunk_bytes;         /* Of the newest: they double. */
    size_t bytes;               /* Handed out. */
};

/* The number of a zeroed block, aligned to 16; 0: out of memory, or larger than
 * POOL_MAX. */
uint32_t block_pool_alloc(struct block_pool *, size_t size);
/* 'size' as it was asked for.  0 is fine. */
void block_pool_free(struct block_pool *, uint32_t block, size_t size);
/* Frees all blocks. */
void block_pool_destroy(struct block_pool *);

static inline void *
block_at(const struct block_pool *p, uint32_t block)
{
    return p->chunk[block >> POOL_UNIT_BITS]
           + (size_t) (block & ((1u << POOL_UNIT_BITS) - 1)) * POOL_STEP;
}

/* Zeroed memory, on large pages where the system has them; NULL: none. */
void *alloc_large(size_t);
void free_large(void *, size_t);        /* NULL is fine. */

#endif /* collector/identity/block_pool.h */
