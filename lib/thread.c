#include <config.h>

#include "lib/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct start {
    void *(*run)(void *);
    void *aux;
    char name[16];
};

static void (*hook)(void);

void
thread_set_hook(void (*h)(void))
{
    hook = h;
}

static void *
begin(void *start_)
{
    struct start start = *(struct start *) start_;
    free(start_);
    pthread_setname_np(pthread_self(), start.name);
    if (hook) {
        hook();
    }
    return start.run(start.aux);
}

int
thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
             void *aux)
{
    struct start *start = malloc(sizeof *start);
    if (!start) {
        return -ENOMEM;
    }
    start->run = run;
    start->aux = aux;
    snprintf(start->name, sizeof start->name, "%.15s", name);

    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(thread, NULL, begin, start);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error) {
        free(start);
    }
    return -error;
}

bool
thread_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex,
                  int64_t until_us)
{
    struct timespec until = {
        .tv_sec = (time_t) (until_us / 1000000),
        .tv_nsec = (long) (until_us % 1000000 * 1000),
    };

    return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &until)
           != ETIMEDOUT;
}
