/* tests/unit/query_util.h -- asks a pool, and waits for the answer. */
#ifndef TESTS_QUERY_UTIL_H
#define TESTS_QUERY_UTIL_H 1

#include <pthread.h>
#include <stdbool.h>

#include "collector/query/query.h"

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct query_result *r;
    bool done;
};

#define WAITER_INIT                                                     \
    { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, false }

static inline void
on_done(void *aux, struct query_result *r)
{
    struct waiter *w = aux;
    pthread_mutex_lock(&w->mutex);
    w->r = r;
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static inline struct query_result *
wait_for(struct waiter *w)
{
    pthread_mutex_lock(&w->mutex);
    while (!w->done) {
        pthread_cond_wait(&w->cond, &w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
    return w->r;
}

/* The answer, which is the caller's. */
static inline struct query_result *
util_ask(struct query_pool *pool, struct query *q)
{
    struct waiter w = WAITER_INIT;
    query_start(pool, q, on_done, &w);
    return wait_for(&w);
}

#endif /* tests/unit/query_util.h */
