#include <config.h>

#include "collector/identity/block_pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t) 1 << 21)
#define FIRST_CHUNK ((size_t) 1 << 16)

struct block {
    struct block *next;
};

struct block_chunk {
    struct block_chunk *next;
    size_t size;
    _Alignas(POOL_STEP) uint8_t data[];
};

void *
alloc_large(size_t size)
{
    void *p;
    if (size < LARGE_PAGE) {
        return calloc(1, size);
    }
    size = (size + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
    p = aligned_alloc(LARGE_PAGE, size);
    if (p) {
        (void) madvise(p, size, MADV_HUGEPAGE);     /* Only faster. */
        memset(p, 0, size);
    }
    return p;
}

static size_t
rounded(size_t size)
{
    return (size + POOL_STEP - 1) & ~(size_t) (POOL_STEP - 1);
}

/* A small table takes little: chunks double until they are a large page. */
static uint8_t *
new_chunk(struct block_pool *p)
{
    size_t size = p->chunks ? p->chunks->size * 2 : FIRST_CHUNK;
    if (size > LARGE_PAGE) {
        size = LARGE_PAGE;
    }
    struct block_chunk *c = alloc_large(size);
    if (!c) {
        return NULL;
    }
    c->size = size;
    c->next = p->chunks;
    p->chunks = c;
    p->next = c->data;
    p->end = (uint8_t *) c + size;
    return p->next;
}

void *
block_pool_alloc(struct block_pool *p, size_t size)
{
    size = rounded(size);
    p->bytes += size;
    if (size > POOL_MAX) {
        return calloc(1, size);
    }
    struct block *b = p->free[size / POOL_STEP];
    if (b) {
        p->free[size / POOL_STEP] = b->next;
        return memset(b, 0, size);
    }
    if ((size_t) (p->end - p->next) < size && !new_chunk(p)) {
        return NULL;
    }
    p->next += size;
    return p->next - size;
}

void
block_pool_free(struct block_pool *p, void *block, size_t size)
{
    if (!block) {
        return;
    }
    size = rounded(size);
    p->bytes -= size;
    if (size > POOL_MAX) {
        free(block);
        return;
    }
    struct block *b = block;
    b->next = p->free[size / POOL_STEP];
    p->free[size / POOL_STEP] = b;
}

void
block_pool_destroy(struct block_pool *p)
{
    while (p->chunks) {
        struct block_chunk *c = p->chunks;
        p->chunks = c->next;
        free(c);
    }
}
