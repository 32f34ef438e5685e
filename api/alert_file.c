#include <config.h>

#include "api/alert_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/thread.h"

#define RETRY_S 2               /* After a disk that did not take it. */

struct alert_files {
    char *path[N_ALERT_FILES];
    int (*fill)(void *aux, FILE *);
    void *aux;
    pthread_t thread;
    bool started;
    pthread_mutex_t writing;    /* One writes a file at a time. */
    pthread_mutex_t mutex;      /* What follows. */
    pthread_cond_t wake;
    char *text;                 /* Of alerts; NULL: nothing waits. */
    size_t size;
    bool learned, stop;
};

static int
replace(const char *path, const char *text, size_t size)
{
    char *tmp = NULL;
    int err = 0;

    if (asprintf(&tmp, "%s.tmp", path) < 0) {
        return -ENOMEM;
    }
    FILE *f = fopen(tmp, "we");
    if (!f || fwrite(text, 1, size, f) != size || fflush(f)
        || fsync(fileno(f))) {
        err = -errno;
    }
    if (f && fclose(f) && !err) {
        err = -errno;
    }
    if (!err && rename(tmp, path)) {
        err = -errno;
    }
    if (err) {
        unlink(tmp);
        LOG_RATE(store, NOTICE, "%s: %s", path, strerror(-err));
    }
    free(tmp);
    return err;
}

/* Back where it was, if nothing newer came meanwhile. */
static void
put_back(struct alert_files *a, char *text, size_t size)
{
    pthread_mutex_lock(&a->mutex);
    if (!a->text) {
        a->text = text;
        a->size = size;
        text = NULL;
    }
    pthread_mutex_unlock(&a->mutex);
    free(text);
}

/* Writes what waits; 0, or what the disk says. */
static int
write_alerts(struct alert_files *a)
{
    int err = 0;

    pthread_mutex_lock(&a->writing);
    pthread_mutex_lock(&a->mutex);
    char *text = a->text;
    size_t size = a->size;
    a->text = NULL;
    pthread_mutex_unlock(&a->mutex);
    if (text) {
        err = replace(a->path[ALERT_FILE_ALERTS], text, size);
        if (err) {
            put_back(a, text, size);
        } else {
            free(text);
        }
    }
    pthread_mutex_unlock(&a->writing);
    return err;
}

static int
write_learned(struct alert_files *a)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    int err = -ENOMEM;

    if (f) {
        err = a->fill(a->aux, f);
        err = fclose(f) && !err ? -errno : err;
        err = err ? err : replace(a->path[ALERT_FILE_LEARNED], text, size);
    }
    free(text);
    return err;
}

static void *
run(void *files)
{
    struct alert_files *a = files;
    bool stop = false, learned = false;
    int err = 0;

    while (!stop) {
        struct timespec until;
        pthread_mutex_lock(&a->mutex);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += RETRY_S;
        while (!a->stop && ((!a->text && !a->learned) || err)) {
            if (!err) {
                pthread_cond_wait(&a->wake, &a->mutex);
            } else if (pthread_cond_timedwait(&a->wake, &a->mutex, &until)) {
                err = 0;
            }
        }
        stop = a->stop;
        learned = a->learned;
        a->learned = false;
        pthread_mutex_unlock(&a->mutex);
        err = write_alerts(a);
        if (learned) {
            (void) write_learned(a);    /* Next time, then. */
        }
    }
    return NULL;
}

struct alert_files *
alert_files_create(const char *dir, int (*fill)(void *aux, FILE *), void *aux)
{
    static const char *const names[N_ALERT_FILES] = {
        [ALERT_FILE_ALERTS] = "alerts.json", [ALERT_FILE_LEARNED] = "learned",
    };
    struct alert_files *a = calloc(1, sizeof *a);
    pthread_condattr_t attr;
    bool ok = a != NULL;

    if (!a) {
        return NULL;
    }
    a->fill = fill;
    a->aux = aux;
    pthread_mutex_init(&a->writing, NULL);
    pthread_mutex_init(&a->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&a->wake, &attr);
    pthread_condattr_destroy(&attr);
    for (int i = 0; i < N_ALERT_FILES && ok; i++) {
        ok = asprintf(&a->path[i], "%s/%s", dir, names[i]) > 0;
        a->path[i] = ok ? a->path[i] : NULL;
    }
    a->started = ok && !thread_start(&a->thread, "alert-files", run, a);
    if (!a->started) {
        alert_files_destroy(a);
        return NULL;
    }
    return a;
}

void
alert_files_destroy(struct alert_files *a)
{
    if (!a) {
        return;
    }
    if (a->started) {
        pthread_mutex_lock(&a->mutex);
        a->stop = true;
        pthread_cond_signal(&a->wake);
        pthread_mutex_unlock(&a->mutex);
        pthread_join(a->thread, NULL);
    }
    for (int i = 0; i < N_ALERT_FILES; i++) {
        free(a->path[i]);
    }
    free(a->text);
    pthread_mutex_destroy(&a->writing);
    pthread_mutex_destroy(&a->mutex);
    pthread_cond_destroy(&a->wake);
    free(a);
}

void
alert_files_put(struct alert_files *a, char *text, size_t size)
{
    pthread_mutex_lock(&a->mutex);
    free(a->text);
    a->text = text;
    a->size = size;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->mutex);
}

int
alert_files_write(struct alert_files *a, char *text, size_t size)
{
    pthread_mutex_lock(&a->mutex);
    free(a->text);
    a->text = text;
    a->size = size;
    pthread_mutex_unlock(&a->mutex);
    int err = write_alerts(a);
    if (err) {                  /* The thread goes on trying. */
        pthread_mutex_lock(&a->mutex);
        pthread_cond_signal(&a->wake);
        pthread_mutex_unlock(&a->mutex);
    }
    return err;
}

void
alert_files_learned(struct alert_files *a)
{
    pthread_mutex_lock(&a->mutex);
    a->learned = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->mutex);
}

const char *
alert_files_path(const struct alert_files *a, enum alert_file file)
{
    return a->path[file];
}
