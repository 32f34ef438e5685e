/* lib/thread.h -- how every thread of ours begins: named, with all signals
 * blocked (they are the main thread's), after a hook of the process. */
#ifndef LIB_THREAD_H
#define LIB_THREAD_H 1

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts 'run(aux)' on a thread called 'name' (15 characters are shown).
 * Returns 0 or a negative errno. */
int thread_start(pthread_t *, const char *name, void *(*run)(void *aux),
                 void *aux);

/* 'hook' runs first thing on every thread started from now on: venturid gives
 * up capabilities there.  NULL: none. */
void thread_set_hook(void (*hook)(void));

/* Waits for 'cond', until clock_mono_us() is 'until_us' at the latest: the clock
 * of the day may be set back meanwhile.  False: it is that late.  As any wait it
 * may end for no reason. */
bool thread_wait_until(pthread_cond_t *cond, pthread_mutex_t *,
                       int64_t until_us);

#endif /* lib/thread.h */
