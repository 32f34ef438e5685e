#include <config.h>

#include "collector/query/exec_p.h"

#include <stdlib.h>

#include "lib/clock.h"
#include "lib/thread.h"

#define DEFAULT_TIMEOUT_MS 30000
#define MAX_TIMEOUT_MS INT64_C(3600000)

static void
job_finish(struct job *job, struct query_result *r)
{
    r->tier = r->tier ? r->tier : "raw";
    r->elapsed_ms = (double) (clock_mono_us() - job->start_us) / 1000;
    query_clear(&job->q);
    job->done(job->aux, r);
    free(job);
}

static struct job *
next_job(struct query_pool *pool)
{
    while (!pool->head && !pool->closing) {
        pthread_cond_wait(&pool->more, &pool->mutex);
    }
    struct job *job = pool->head;
    if (job) {
        pool->head = job->next;
        if (!pool->head) {
            pool->tail = &pool->head;
        }
        pool->n_queued--;
    }
    return job;
}

static void *
pool_thread(void *aux)
{
    struct query_pool *pool = aux;
    struct job *job;

    pthread_mutex_lock(&pool->mutex);
    while ((job = next_job(pool))) {
        unsigned slot = 0;
        while (pool->running[slot]) {
            slot++;             /* There are as many as threads. */
        }
        pool->running[slot] = job;
        pthread_mutex_unlock(&pool->mutex);

        struct query_result *r = job->result;
        if (job->work) {
            job->work(job->aux);
        } else {
            query_run_job(pool, job, r);
        }

        pthread_mutex_lock(&pool->mutex);
        pool->running[slot] = NULL;
        pthread_mutex_unlock(&pool->mutex);
        if (job->work) {
            free(job);
        } else {
            job_finish(job, r);
        }
        pthread_mutex_lock(&pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

struct query_pool *
query_pool_create(struct store *store, unsigned threads, unsigned max_queued)
{
    struct query_pool *pool = calloc(1, sizeof *pool);
    if (!pool) {
        return NULL;
    }
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    pool->store = store;
    pool->tail = &pool->head;
    pool->max_queued = max_queued;
    pool->next_id = 1;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->more, NULL);
    while (pool->n_threads < threads) {
        if (thread_start(&pool->threads[pool->n_threads], "query",
                         pool_thread, pool)) {
            break;
        }
        pool->n_threads++;
    }
    if (!pool->n_threads) {
        query_pool_destroy(pool);
        return NULL;
    }
    return pool;
}

void
query_pool_set_rollup(struct query_pool *pool, struct rollup *r)
{
    pool->rollup = r;
}

void
query_pool_set_identities(struct query_pool *pool,
                          struct identity_journal *identities)
{
    pool->identities = identities;
}

void
query_pool_destroy(struct query_pool *pool)
{
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->closing = true;
    for (struct job *j = pool->head; j; j = j->next) {
        atomic_store(&j->cancelled, true);
    }
    for (unsigned i = 0; i < MAX_THREADS; i++) {
        if (pool->running[i]) {
            atomic_store(&pool->running[i]->cancelled, true);
        }
    }
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->mutex);
    /* They answer what still waits, too. */
    for (unsigned i = 0; i < pool->n_threads; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->more);
    free(pool);
}

/* The id of the job, or 0 if it is refused. */
static uint64_t
enqueue(struct query_pool *pool, struct job *job)
{
    uint64_t id = 0;
    pthread_mutex_lock(&pool->mutex);
    if (!pool->closing && pool->n_queued < pool->max_queued) {
        id = job->id = pool->next_id++;
        *pool->tail = job;
        pool->tail = &job->next;
        pool->n_queued++;
        pthread_cond_signal(&pool->more);
    }
    pthread_mutex_unlock(&pool->mutex);
    return id;
}

uint64_t
query_start(struct query_pool *pool, struct query *q,
            void (*done)(void *aux, struct query_result *), void *aux)
{
    struct job *job = calloc(1, sizeof *job);
    struct query_result *r = calloc(1, sizeof *r);

    if (!job || !r) {
        free(job);
        free(r);
        query_clear(q);
        done(aux, NULL);
        return 0;
    }
    int64_t timeout_ms = q->timeout_ms > 0 ? q->timeout_ms
                                           : DEFAULT_TIMEOUT_MS;
    if (timeout_ms > MAX_TIMEOUT_MS) {
        timeout_ms = MAX_TIMEOUT_MS;
    }
    job->q = *q;
    q->filter = NULL;
    job->result = r;
    job->done = done;
    job->aux = aux;
    job->start_us = clock_mono_us();
    job->deadline_us = job->start_us + timeout_ms * 1000;
    uint64_t id = enqueue(pool, job);
    if (!id) {
        query_fail(r, QUERY_BUSY, "too many queries at once; try again later");
        job_finish(job, r);
    }
    return id;
}

bool
query_pool_run(struct query_pool *pool, void (*work)(void *aux), void *aux)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job) {
        return false;
    }
    job->work = work;
    job->aux = aux;
    if (!enqueue(pool, job)) {
        free(job);
        return false;
    }
    return true;
}

void
query_cancel(struct query_pool *pool, uint64_t id)
{
    pthread_mutex_lock(&pool->mutex);
    for (struct job *j = pool->head; j; j = j->next) {
        if (j->id == id) {
            atomic_store(&j->cancelled, true);
        }
    }
    for (unsigned i = 0; i < pool->n_threads; i++) {
        if (pool->running[i] && pool->running[i]->id == id) {
            atomic_store(&pool->running[i]->cancelled, true);
        }
    }
    pthread_mutex_unlock(&pool->mutex);
}
