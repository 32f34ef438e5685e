/* collector/identity/block_pool.h -- many small blocks of a few sizes, densely, on
 * large pages: what a million endpoints are made of.  One thread. */
#ifndef COLLECTOR_IDENTITY_BLOCK_POOL_H
#define COLLECTOR_IDENTITY_BLOCK_POOL_H 1

#include <stddef.h>
#include <stdint.h>

#define POOL_STEP 16
#define POOL_MAX 1024           /* Larger blocks are malloc()'s. */

struct block_chunk;
struct block;

struct block_pool {
    struct block *free[POOL_MAX / POOL_STEP + 1];
    struct block_chunk *chunks;
    uint8_t *next, *end;        /* What is left of the newest chunk. */
    size_t bytes;               /* Handed out. */
};

/* A zeroed block, aligned to 16, or NULL. */
void *block_pool_alloc(struct block_pool *, size_t size);
/* 'size' as it was asked for.  NULL is fine. */
void block_pool_free(struct block_pool *, void *, size_t size);
/* Frees all blocks but those of malloc(). */
void block_pool_destroy(struct block_pool *);

/* Zeroed memory for free(), on large pages where the system has them. */
void *alloc_large(size_t);

#endif /* collector/identity/block_pool.h */
