#include <config.h>

#include "collector/identity/block_pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t) 1 << POOL_CHUNK_BITS)
#define FIRST_CHUNK ((size_t) 1 << 16)

static size_t
whole_pages(size_t size)
{
    return (size + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
}

/* Mapped and not from malloc(), whose heap would keep what is given back when
 * tables grow. */
void *
alloc_large(size_t size)
{
    if (size < LARGE_PAGE) {
        return calloc(1, size);
    }
    size = whole_pages(size);
    uint8_t *p = mmap(NULL, size + LARGE_PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    size_t before = -(uintptr_t) p & (LARGE_PAGE - 1);
    if (before) {
        munmap(p, before);
    }
    munmap(p + before + size, LARGE_PAGE - before);
    (void) madvise(p + before, size, MADV_HUGEPAGE);    /* Only faster. */
    return p + before;
}

void
free_large(void *p, size_t size)
{
    if (size < LARGE_PAGE) {
        free(p);
    } else if (p) {
        munmap(p, whole_pages(size));
    }
}

/* The class of a size, which becomes that of its blocks. */
static size_t
class_of(size_t *size)
{
    if (*size <= POOL_DENSE) {
        *size = (*size + POOL_STEP - 1) & ~(size_t) (POOL_STEP - 1);
        return *size / POOL_STEP;
    }
    size_t class = POOL_DENSE / POOL_STEP, n = POOL_DENSE;
    while (n < *size) {
        n *= 2;
        class++;
    }
    *size = n;
    return class;
}

/* A small table takes little: chunks double until they are a large page. */
static int
new_chunk(struct block_pool *p, size_t size)
{
    size_t bytes = p->chunk_bytes ? p->chunk_bytes * 2 : FIRST_CHUNK;
    while (bytes < size + POOL_STEP) {
        bytes *= 2;
    }
    if (bytes > LARGE_PAGE) {
        bytes = LARGE_PAGE;
    }
    uint8_t *c = p->n_chunks < POOL_CHUNKS ? alloc_large(bytes) : NULL;
    if (!c) {
        return -1;
    }
    size_t base = (size_t) p->n_chunks << POOL_CHUNK_BITS;
    p->chunk[p->n_chunks] = c;
    p->bits[p->n_chunks] = (uint8_t) __builtin_ctzl(bytes);
    p->chunk_bytes = bytes;
    p->next = base + (p->n_chunks ? 0 : POOL_STEP);     /* 0 is no block. */
    p->end = base + bytes;
    p->n_chunks++;
    return 0;
}

uint32_t
block_pool_alloc(struct block_pool *p, size_t size)
{
    if (size > POOL_MAX) {
        return 0;
    }
    size_t class = class_of(&size);
    uint32_t block = p->free[class];
    if (block) {
        void *b = block_at(p, block);
        memcpy(&p->free[class], b, sizeof block);
        memset(b, 0, size);
    } else {
        if (p->end - p->next < size && new_chunk(p, size)) {
            return 0;
        }
        block = (uint32_t) (p->next / POOL_STEP);
        p->next += size;
    }
    p->bytes += size;
    return block;
}

void
block_pool_free(struct block_pool *p, uint32_t block, size_t size)
{
    if (block) {
        size_t class = class_of(&size);
        p->bytes -= size;
        memcpy(block_at(p, block), &p->free[class], sizeof block);
        p->free[class] = block;
    }
}

void
block_pool_destroy(struct block_pool *p)
{
    for (uint32_t i = 0; i < p->n_chunks; i++) {
        free_large(p->chunk[i], (size_t) 1 << p->bits[i]);
    }
    p->n_chunks = 0;
}
