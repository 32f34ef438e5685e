#include <config.h>

#include "bgp/arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <urcu.h>

#include "lib/thread.h"

#define COMMIT_STEP ((size_t) 2 << 20)          /* A large page. */
/* So many retired blocks wait for readers together. */
#define BATCH_BLOCKS 4096

struct retired {
    uint32_t block, size;
};

struct batch {
    struct batch *next;
    unsigned n, taken;
    struct retired list[BATCH_BLOCKS];
};

/* Batches go from 'open' (the writer's) to 'waiting' (the thread's) and back by
 * 'done'. */
struct arena_gc {
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    struct batch *waiting, **waiting_tail;
    struct batch *_Atomic done;         /* Pushed by the thread. */
    struct batch *open, *reclaiming, *spare;
    size_t pending;
};

static size_t
class_of(size_t size, size_t *bytes)
{
    size_t units = (size + ARENA_UNIT - 1) / ARENA_UNIT;
    if (units <= ARENA_EXACT) {
        units = units ? units : 1;
        *bytes = units * ARENA_UNIT;
        return units - 1;
    }
    size_t class = ARENA_EXACT;
    size_t n = 2 * ARENA_EXACT;
    while (n < units) {
        n *= 2;
        class++;
    }
    *bytes = n * ARENA_UNIT;
    return class;
}

static void
push_done(struct arena_gc *gc, struct batch *list)
{
    while (list) {
        struct batch *next = list->next;
        struct batch *head = atomic_load(&gc->done);
        do {
            list->next = head;
        } while (!atomic_compare_exchange_weak(&gc->done, &head, list));
        list = next;
    }
}

static void *
run_gc(void *gc_)
{
    struct arena_gc *gc = gc_;
    pthread_mutex_lock(&gc->lock);
    while (!gc->stop) {
        struct batch *list = gc->waiting;
        if (!list) {
            pthread_cond_wait(&gc->wake, &gc->lock);
            continue;
        }
        gc->waiting = NULL;
        gc->waiting_tail = &gc->waiting;
        pthread_mutex_unlock(&gc->lock);
        synchronize_rcu();
        push_done(gc, list);
        pthread_mutex_lock(&gc->lock);
    }
    pthread_mutex_unlock(&gc->lock);
    return NULL;
}

int
arena_init(struct arena *a, size_t reserve)
{
    memset(a, 0, sizeof *a);
    a->gc = calloc(1, sizeof *a->gc);
    if (!a->gc) {
        return -ENOMEM;
    }
    pthread_mutex_init(&a->gc->lock, NULL);
    pthread_cond_init(&a->gc->wake, NULL);
    a->gc->waiting_tail = &a->gc->waiting;
    /* Not counted as memory until it may be written. */
    void *p = mmap(NULL, reserve + COMMIT_STEP, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        int error = errno;
        arena_clear(a);
        return -error;
    }
    a->mapped = p;
    a->base = (uint8_t *) (((uintptr_t) p + COMMIT_STEP - 1)
                           / COMMIT_STEP * COMMIT_STEP);
    a->reserved = reserve / COMMIT_STEP * COMMIT_STEP;
    a->mapped_size = reserve + COMMIT_STEP;
    /* Lookups jump about: with small pages most of their time would go into
     * finding those. */
    madvise(a->base, a->reserved, MADV_HUGEPAGE);
    a->used = ARENA_UNIT;               /* Number 0 is none. */
    return 0;
}

static void
free_batches(struct batch *b)
{
    while (b) {
        struct batch *next = b->next;
        free(b);
        b = next;
    }
}

void
arena_clear(struct arena *a)
{
    struct arena_gc *gc = a->gc;
    if (gc && gc->started) {
        pthread_mutex_lock(&gc->lock);
        gc->stop = true;
        pthread_cond_signal(&gc->wake);
        pthread_mutex_unlock(&gc->lock);
        pthread_join(gc->thread, NULL);
    }
    if (gc) {
        free_batches(gc->waiting);
        free_batches(atomic_load(&gc->done));
        free_batches(gc->reclaiming);
        free(gc->open);
        free(gc->spare);
        pthread_cond_destroy(&gc->wake);
        pthread_mutex_destroy(&gc->lock);
        free(gc);
    }
    if (a->mapped) {
        munmap(a->mapped, a->mapped_size);
    }
    memset(a, 0, sizeof *a);
}

static bool
commit(struct arena *a, size_t end)
{
    if (end <= a->committed) {
        return true;
    }
    size_t to = (end + COMMIT_STEP - 1) / COMMIT_STEP * COMMIT_STEP;
    if (to > a->reserved
        || mprotect(a->base + a->committed, to - a->committed,
                    PROT_READ | PROT_WRITE)) {
        return false;
    }
    a->committed = to;
    return true;
}

/* Moves on so that 'bytes' begin where they should; what is left out is free. */
static bool
align(struct arena *a, size_t bytes)
{
    size_t unit = bytes % 64 == 0 ? 64 : bytes % 32 == 0 ? 32 : ARENA_UNIT;
    size_t gap = -a->used & (unit - 1), class = gap / ARENA_UNIT - 1;
    if (gap) {
        if (!commit(a, a->used + gap)) {
            return false;
        }
        memcpy(arena_at(a, (uint32_t) (a->used / ARENA_UNIT)),
               &a->free[class], sizeof(uint32_t));
        a->free[class] = (uint32_t) (a->used / ARENA_UNIT);
        a->used += gap;
    }
    return true;
}

uint32_t
arena_alloc(struct arena *a, size_t size)
{
    size_t bytes;
    size_t class = class_of(size, &bytes);
    uint32_t block = a->free[class];

    if (block) {
        memcpy(&a->free[class], arena_at(a, block), sizeof(uint32_t));
    } else if (class < ARENA_CLASSES && align(a, bytes)
               && commit(a, a->used + bytes)
               && a->used / ARENA_UNIT < UINT32_MAX) {
        block = (uint32_t) (a->used / ARENA_UNIT);
        a->used += bytes;
    } else {
        return 0;
    }
    a->allocated += bytes;
    return block;
}

void
arena_free(struct arena *a, uint32_t block, size_t size)
{
    size_t bytes;
    size_t class = class_of(size, &bytes);
    memcpy(arena_at(a, block), &a->free[class], sizeof(uint32_t));
    a->free[class] = block;
    a->allocated -= bytes;
}

/* Hands the open batch to the thread. */
static void
close_batch(struct arena_gc *gc)
{
    struct batch *b = gc->open;
    if (!b || !b->n) {
        return;
    }
    if (!gc->started) {
        gc->started = !thread_start(&gc->thread, "rib-gc", run_gc, gc);
        if (!gc->started) {
            return;             /* Next time. */
        }
    }
    gc->open = NULL;
    b->next = NULL;
    pthread_mutex_lock(&gc->lock);
    *gc->waiting_tail = b;
    gc->waiting_tail = &b->next;
    pthread_cond_signal(&gc->wake);
    pthread_mutex_unlock(&gc->lock);
}

void
arena_retire(struct arena *a, uint32_t block, size_t size)
{
    struct arena_gc *gc = a->gc;
    if (gc->open && gc->open->n == BATCH_BLOCKS) {
        close_batch(gc);
    }
    if (!gc->open) {
        gc->open = gc->spare ? gc->spare : malloc(sizeof *gc->open);
        gc->spare = NULL;
        if (gc->open) {
            gc->open->n = gc->open->taken = 0;
        }
    }
    if (!gc->open || gc->open->n == BATCH_BLOCKS) {
        /* No memory to remember it, or no thread: wait here. */
        synchronize_rcu();
        arena_free(a, block, size);
        return;
    }
    gc->open->list[gc->open->n++] = (struct retired) { block,
                                                       (uint32_t) size };
    gc->pending++;
}

unsigned
arena_reclaim(struct arena *a, unsigned budget)
{
    struct arena_gc *gc = a->gc;
    unsigned n = 0;
    close_batch(gc);
    while (n < budget) {
        if (!gc->reclaiming) {
            gc->reclaiming = atomic_exchange(&gc->done, NULL);
        }
        struct batch *b = gc->reclaiming;
        if (!b) {
            break;
        }
        while (b->taken < b->n && n < budget) {
            struct retired *r = &b->list[b->taken++];
            arena_free(a, r->block, r->size);
            n++;
        }
        if (b->taken == b->n) {
            gc->reclaiming = b->next;
            if (gc->spare) {
                free(b);
            } else {
                gc->spare = b;
            }
        }
    }
    gc->pending -= n;
    return n;
}

size_t
arena_pending(const struct arena *a)
{
    return a->gc->pending;
}
