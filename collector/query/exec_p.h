/* collector/query/exec_p.h -- questions that wait and run, inside.
 *
 * pool.c  the threads, and what waits for them
 * exec.c  one question, from the statement to the answer */
#ifndef COLLECTOR_EXEC_P_H
#define COLLECTOR_EXEC_P_H 1

#include <pthread.h>
#include <stdatomic.h>

#include "collector/query/query.h"

#define MAX_THREADS 64

struct job {
    struct job *next;
    uint64_t id;
    struct query q;
    struct query_result *result;
    int64_t start_us, deadline_us;      /* Monotonic. */
    _Atomic bool cancelled;
    void (*done)(void *aux, struct query_result *);
    void (*work)(void *aux);    /* Instead of a query. */
    void *aux;
};

struct query_pool {
    struct store *store;
    struct rollup *rollup;      /* Or NULL. */
    struct identity_journal *identities;        /* Or NULL. */
    pthread_mutex_t mutex;
    pthread_cond_t more;
    struct job *head, **tail;   /* Waiting. */
    unsigned n_queued, max_queued;
    struct job *running[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    unsigned n_threads;
    uint64_t next_id;
    bool closing;
};

/* Answers a question in 'r', of which it also tells what went wrong. */
void query_run_job(struct query_pool *, struct job *, struct query_result *r);

/* The answer is that there is none: 'why' may be NULL. */
void query_fail(struct query_result *, enum query_status, const char *why);

#endif /* collector/query/exec_p.h */
