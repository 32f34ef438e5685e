#include <config.h>

#include "lib/ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* A mutex is enough: an item is a batch of up to 2048 flows. */
struct ring {
    pthread_mutex_t mutex;
    pthread_cond_t more;
    size_t capacity, head, n;
    bool wake;
    void *items[];
};

struct ring *
ring_create(size_t capacity)
{
    struct ring *r = calloc(1, sizeof *r + capacity * sizeof r->items[0]);
    if (!r) {
        return NULL;
    }
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->more, &attr);
    pthread_condattr_destroy(&attr);
    r->capacity = capacity;
    return r;
}

void
ring_destroy(struct ring *r)
{
    if (r) {
        pthread_cond_destroy(&r->more);
        pthread_mutex_destroy(&r->mutex);
        free(r);
    }
}

bool
ring_push(struct ring *r, void *item)
{
    pthread_mutex_lock(&r->mutex);
    bool ok = r->n < r->capacity;
    if (ok) {
        r->items[(r->head + r->n++) % r->capacity] = item;
        pthread_cond_signal(&r->more);
    }
    pthread_mutex_unlock(&r->mutex);
    return ok;
}

void *
ring_pop(struct ring *r, int wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (wait_ms > 0) {
        until.tv_sec += wait_ms / 1000;
        until.tv_nsec += wait_ms % 1000 * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
    }

    pthread_mutex_lock(&r->mutex);
    int error = 0;
    while (!r->n && !r->wake && wait_ms && !error) {
        error = wait_ms < 0
                ? pthread_cond_wait(&r->more, &r->mutex)
                : pthread_cond_timedwait(&r->more, &r->mutex, &until);
    }
    void *item = NULL;
    if (r->n) {
        item = r->items[r->head];
        r->head = (r->head + 1) % r->capacity;
        r->n--;
    } else if (wait_ms) {
        r->wake = false;
    }
    pthread_mutex_unlock(&r->mutex);
    return item;
}

void
ring_wake(struct ring *r)
{
    pthread_mutex_lock(&r->mutex);
    r->wake = true;
    pthread_cond_signal(&r->more);
    pthread_mutex_unlock(&r->mutex);
}

size_t
ring_length(struct ring *r)
{
    pthread_mutex_lock(&r->mutex);
    size_t n = r->n;
    pthread_mutex_unlock(&r->mutex);
    return n;
}

size_t
ring_capacity(const struct ring *r)
{
    return r->capacity;
}
