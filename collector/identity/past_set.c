#include <config.h>

#include "collector/identity/past_set.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/identity/numbered.h"
#include "lib/file.h"
#include "lib/log.h"
#include "lib/thread.h"

/* Files with less are all alike. */
#define SMALL 100000
#define RETRY_S 60              /* After an error. */

struct member {
    struct past_run *run;
    struct member *next;        /* Of those that nobody needs any more. */
    uint64_t number;
    uint32_t refs;              /* Of views, and of the set: its mutex'. */
};

struct past_set {
    char *dir;
    pthread_mutex_t mutex;      /* Of all below. */
    pthread_cond_t cond;
    struct member **members;    /* Oldest number first. */
    size_t n, size;
    struct member *dead;        /* For the thread to close. */
    uint64_t next;              /* Number of the next file. */
    int64_t before_us;          /* That is forgotten. */
    uint64_t damaged;           /* Of files that are gone, or can't be read. */
    int error;
    _Atomic bool stop;
    bool started;
    pthread_t thread;
};

struct past_view {
    struct past_set *set;
    size_t n;
    struct member *members[];
};

/* ---- Members. ---- */

/* The last one to close a large file that was deleted waits for the disk: that is
 * the thread, whoever looked. */
static void
member_unref(struct past_set *s, struct member *m)
{
    if (!--m->refs) {
        s->damaged += past_damaged(m->run);
        m->next = s->dead;
        s->dead = m;
        pthread_cond_signal(&s->cond);
    }
}

/* The mutex is let go meanwhile. */
static void
close_dead(struct past_set *s)
{
    struct member *m = s->dead;
    s->dead = NULL;
    pthread_mutex_unlock(&s->mutex);
    while (m) {
        struct member *next = m->next;
        past_close(m->run);
        free(m);
        m = next;
    }
    pthread_mutex_lock(&s->mutex);
}

/* Takes over 'run', if it returns 0. */
static int
member_add(struct past_set *s, struct past_run *run, uint64_t number)
{
    if (s->n == s->size) {
        size_t size = s->size ? s->size * 2 : 16;
        struct member **list = realloc(s->members, size * sizeof *list);
        if (!list) {
            return -ENOMEM;
        }
        s->members = list;
        s->size = size;
    }
    struct member *m = malloc(sizeof *m);
    if (!m) {
        return -ENOMEM;
    }
    *m = (struct member) { .run = run, .number = number, .refs = 1 };
    size_t i = s->n++;
    for (; i && s->members[i - 1]->number > number; i--) {
        s->members[i] = s->members[i - 1];
    }
    s->members[i] = m;
    return 0;
}

/* The file goes; who looks at it still may go on. */
static void
member_forget(struct past_set *s, size_t i)
{
    struct member *m = s->members[i];
    numbered_remove(s->dir, "past", m->number);
    memmove(&s->members[i], &s->members[i + 1],
            (s->n - i - 1) * sizeof *s->members);
    s->n--;
    member_unref(s, m);
}

/* Opens past.NUMBER, written as new.NUMBER, in the place of 'old'. */
static int
take_over(struct past_set *s, uint64_t number, struct member *const *old,
          size_t n_old)
{
    char *from = numbered_path(s->dir, "new", number);
    char *to = numbered_path(s->dir, "past", number);
    struct past_run *run = NULL;
    int error = from && to ? 0 : -ENOMEM;
    if (!error && rename(from, to)) {
        error = -errno;
    }
    if (!error) {
        (void) file_sync_dir(s->dir);
        run = past_open(to);
        error = run ? 0 : -errno;
    }
    pthread_mutex_lock(&s->mutex);
    error = error ? error : member_add(s, run, number);
    for (size_t i = s->n; !error && i-- > 0;) {
        for (size_t k = 0; k < n_old; k++) {
            if (s->members[i] == old[k]) {
                member_forget(s, i);
                break;
            }
        }
    }
    pthread_mutex_unlock(&s->mutex);
    if (error) {
        past_close(run);
        numbered_remove(s->dir, "new", number);
        numbered_remove(s->dir, "past", number);
    }
    free(from);
    free(to);
    return error;
}

static uint64_t
take_number(struct past_set *s)
{
    pthread_mutex_lock(&s->mutex);
    uint64_t number = s->next++;
    pthread_mutex_unlock(&s->mutex);
    return number;
}

int
past_set_add(struct past_set *s, struct past_builder *b)
{
    uint64_t number = take_number(s);
    char *path = numbered_path(s->dir, "new", number);
    int error = path ? past_builder_write(b, path) : -ENOMEM;
    free(path);
    error = error ? error : take_over(s, number, NULL, 0);
    pthread_mutex_lock(&s->mutex);
    pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&s->mutex);
    return error;
}

/* ---- Merging. ---- */

static unsigned int
class_of(const struct member *m)
{
    unsigned int class = 0;
    for (uint64_t n = past_count(m->run) / PAST_SET_FANOUT; n >= SMALL;
         n /= PAST_SET_FANOUT) {
        class++;
    }
    return class;
}

/* What is to be made one, with a reference to each; NULL: nothing. */
static struct past_view *
choose(struct past_set *s)
{
    enum { N_CLASSES = 22 };
    size_t n[N_CLASSES] = { 0 };
    unsigned int class = 0;
    for (size_t i = 0; i < s->n; i++) {
        n[class_of(s->members[i])]++;
    }
    while (class < N_CLASSES && n[class] < PAST_SET_FANOUT) {
        class++;
    }
    struct past_view *v = class < N_CLASSES
        ? malloc(sizeof *v + n[class] * sizeof v->members[0]) : NULL;
    if (v) {
        v->set = s;
        v->n = 0;
        for (size_t i = 0; i < s->n; i++) {
            if (class_of(s->members[i]) == class) {
                v->members[v->n++] = s->members[i];
                s->members[i]->refs++;
            }
        }
    }
    return v;
}

static int
merge(struct past_set *s, struct past_view *v, int64_t before_us)
{
    uint64_t number = take_number(s);
    char *path = numbered_path(s->dir, "new", number);
    struct past_run **runs = malloc(v->n * sizeof *runs);
    int error = path && runs ? 0 : -ENOMEM;
    for (size_t i = 0; !error && i < v->n; i++) {
        runs[i] = v->members[i]->run;
    }
    error = error ? error : past_merge(runs, v->n, before_us, path, &s->stop);
    error = error ? error : take_over(s, number, v->members, v->n);
    free(runs);
    free(path);
    return error;
}

static void
note_error(struct past_set *s, int error)
{
    if (error && error != -ECANCELED && error != s->error) {
        LOG(identity, WARN, "%s: files of the past stay apart: %s", s->dir,
            strerror(-error));
    }
    s->error = error == -ECANCELED ? 0 : error;
}

static void *
run_merges(void *set)
{
    struct past_set *s = set;
    pthread_mutex_lock(&s->mutex);
    while (!s->stop) {
        struct past_view *v = choose(s);
        int64_t before_us = s->before_us;
        struct timespec until;
        if (v) {
            pthread_mutex_unlock(&s->mutex);
            int error = merge(s, v, before_us);
            past_view_release(v);
            pthread_mutex_lock(&s->mutex);
            note_error(s, error);
        }
        if (s->dead) {
            close_dead(s);
        } else if (!v && !s->stop) {
            pthread_cond_wait(&s->cond, &s->mutex);
        } else if (s->error) {
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += RETRY_S;
            while (!s->stop && !pthread_cond_timedwait(&s->cond, &s->mutex,
                                                       &until)) {
            }
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* ---- Opening. ---- */

/* Whether 'name' is "WHAT.NUMBER". */
static bool
is_file(const char *name, const char *what, uint64_t *number)
{
    size_t n = strlen(what);
    char *end;
    if (strncmp(name, what, n) || name[n] != '.' || name[n + 1] < '0'
        || name[n + 1] > '9') {
        return false;
    }
    errno = 0;
    *number = strtoull(name + n + 1, &end, 10);
    return !*end && !errno && *number < UINT64_MAX;
}

static int
scan(struct past_set *s)
{
    DIR *d = opendir(s->dir);
    int error = d ? 0 : -errno;
    for (struct dirent *e; d && !error && (e = readdir(d)) != NULL;) {
        uint64_t number;
        if (is_file(e->d_name, "new", &number)) {
            numbered_remove(s->dir, "new", number);
        } else if (is_file(e->d_name, "past", &number)) {
            char *path = numbered_path(s->dir, "past", number);
            struct past_run *r = path ? past_open(path) : NULL;
            if (r) {
                error = member_add(s, r, number);
            } else {
                s->damaged++;
                LOG(identity, WARN, "%s/past.%llu: can't be read: %s", s->dir,
                    (unsigned long long) number, strerror(errno));
            }
            free(path);
            s->next = number >= s->next ? number + 1 : s->next;
        }
    }
    if (d) {
        closedir(d);
    }
    return error;
}

struct past_set *
past_set_open(const char *dir)
{
    struct past_set *s = calloc(1, sizeof *s);
    pthread_condattr_t attr;
    int error;
    if (!s) {
        return NULL;
    }
    pthread_mutex_init(&s->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->cond, &attr);
    pthread_condattr_destroy(&attr);
    s->before_us = INT64_MIN;
    s->dir = strdup(dir);
    error = s->dir ? scan(s) : -ENOMEM;
    error = error ? error : thread_start(&s->thread, "identity-past",
                                         run_merges, s);
    s->started = !error;
    if (error) {
        past_set_close(s);
        errno = -error;
        return NULL;
    }
    return s;
}

void
past_set_close(struct past_set *s)
{
    if (!s) {
        return;
    }
    if (s->started) {
        pthread_mutex_lock(&s->mutex);
        s->stop = true;
        pthread_cond_signal(&s->cond);
        pthread_mutex_unlock(&s->mutex);
        pthread_join(s->thread, NULL);
    }
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n; i++) {
        member_unref(s, s->members[i]);
    }
    close_dead(s);
    pthread_mutex_unlock(&s->mutex);
    free(s->members);
    free(s->dir);
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->cond);
    free(s);
}

/* ---- Looking. ---- */

struct past_view *
past_view_take(struct past_set *s)
{
    pthread_mutex_lock(&s->mutex);
    struct past_view *v = malloc(sizeof *v + s->n * sizeof v->members[0]);
    if (v) {
        v->set = s;
        v->n = s->n;
        for (size_t i = 0; i < s->n; i++) {
            v->members[i] = s->members[i];
            v->members[i]->refs++;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return v;
}

void
past_view_release(struct past_view *v)
{
    if (v) {
        pthread_mutex_lock(&v->set->mutex);
        for (size_t i = 0; i < v->n; i++) {
            member_unref(v->set, v->members[i]);
        }
        pthread_mutex_unlock(&v->set->mutex);
        free(v);
    }
}

size_t
past_view_find(struct past_view *v, const struct identity_key *key,
               int64_t at_us,
               void (*each)(void *aux, const struct past_interval *),
               void *aux)
{
    size_t n = 0;
    for (size_t i = v->n; i-- > 0;) {
        n += past_find(v->members[i]->run, key, at_us, each, aux);
    }
    return n;
}

bool
past_view_each(struct past_view *v, int64_t from_us, int64_t to_us,
               bool (*each)(void *aux, const struct past_interval *),
               void *aux)
{
    bool more = true;
    for (size_t i = v->n; more && i-- > 0;) {
        more = past_each(v->members[i]->run, from_us, to_us, each, aux);
    }
    return more;
}

bool
past_view_has_length(const struct past_view *v, unsigned int len)
{
    uint64_t w = 0;
    for (size_t i = 0; i < v->n; i++) {
        w |= past_lengths(v->members[i]->run)[len / 64];
    }
    return w >> len % 64 & 1;
}

void
past_set_forget(struct past_set *s, int64_t before_us)
{
    pthread_mutex_lock(&s->mutex);
    s->before_us = before_us;
    for (size_t i = s->n; i-- > 0;) {
        if (past_newest(s->members[i]->run) < before_us) {
            member_forget(s, i);
        }
    }
    pthread_mutex_unlock(&s->mutex);
}

void
past_set_get_status(struct past_set *s, struct past_set_status *status)
{
    pthread_mutex_lock(&s->mutex);
    *status = (struct past_set_status) {
        .files = (uint32_t) s->n, .damaged = s->damaged, .error = s->error,
    };
    for (size_t i = 0; i < s->n; i++) {
        status->octets += past_size(s->members[i]->run);
        status->intervals += past_count(s->members[i]->run);
        status->damaged += past_damaged(s->members[i]->run);
    }
    pthread_mutex_unlock(&s->mutex);
}
