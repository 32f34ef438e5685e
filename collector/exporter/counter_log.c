#include <config.h>

#include "collector/exporter/counter_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fnv.h"
#include "lib/log.h"
#include "lib/thread.h"

#define BUFFER (4u << 20)       /* Waits for the thread at most. */
#define HOUR_US (INT64_C(3600) * 1000000)
#define NAME_STRLEN 16          /* "2026-11-23T02" */
#define FILE_MAX (INT64_C(1) << 30)     /* Of an hour; more is dropped. */

const struct counter_def counter_log_defs[] = {
#define X(NAME, DOC)                                                    \
    { #NAME, offsetof(struct counter_log_counters, NAME), DOC },
    COUNTER_LOG_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

struct counter_log {
    char *dir;
    pthread_mutex_t lock;       /* Of 'buffer' and what it is written to. */
    pthread_mutex_t files;      /* Taken before 'lock'. */
    pthread_cond_t wake;
    pthread_t thread;
    bool stop, complained;
    _Atomic int64_t interval_us, keep_us;
    _Atomic uint64_t max_bytes;
    uint8_t *buffer, *writing;  /* 'writing' belongs to who has 'files'. */
    size_t n;
    int fd;                     /* Of the hour 'hour'; -1: none. */
    int64_t hour;
    off_t size;
    int64_t swept_hour;
    struct counter_log_counters counters;
};

/* ---- Points as bytes: size, check, then numbers of seven bits a byte.  Of
 * values there is a word of 64 bits that says which there are, then they;
 * words to the last that is not zero. ---- */

static uint8_t *
put_number(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7) {
        *p++ = (uint8_t) (v | 0x80);
    }
    *p++ = (uint8_t) v;
    return p;
}

static uint8_t *
put_text(uint8_t *p, const char *text)
{
    size_t n = strnlen(text, COUNTER_TEXT - 1);
    *p++ = (uint8_t) n;
    memcpy(p, text, n);
    return p + n;
}

/* FNV-1a, to tell a torn end from a point. */
static uint16_t
check(const uint8_t *p, size_t n)
{
    uint32_t h = fnv32_bytes(FNV32_START, p, n);

    return (uint16_t) (h ^ h >> 16);
}

static uint8_t *
put_values(uint8_t *p, const struct counter_values *v)
{
    unsigned n_words = COUNTER_WORDS;
    while (n_words > 1 && !v->has.word[n_words - 1]) {
        n_words--;
    }
    for (unsigned i = 0; i < N_COUNTER_FIELDS && i / 64 < n_words; i++) {
        if (!(i % 64)) {
            p = put_number(p, v->has.word[i / 64]);
        }
        if (counter_set_has(&v->has, i)) {
            p = put_number(p, v->value[i]);
        }
    }
    return p;
}

size_t
counter_point_encode(const struct counter_point *c,
                     uint8_t buf[COUNTER_POINT_MAX])
{
    uint8_t *p = buf + 4;
    *p++ = c->origin;
    p = put_number(p, (uint64_t) c->time_us);
    if (c->origin == COUNTER_SFLOW) {
        memcpy(p, c->exporter.b, 16);
        memcpy(p + 16, c->agent.b, 16);
        p = put_number(p + 32, c->domain);
        p = put_number(p, c->data_source);
    } else {
        p = put_text(p, c->bridge);
        p = put_text(p, c->remote);
    }
    p = put_number(p, c->if_index);
    p = put_text(p, c->name);
    p = put_values(p, &c->v);
    uint16_t size = (uint16_t) (p - buf), sum = check(buf + 4, size - 4u);
    memcpy(buf, &size, 2);
    memcpy(buf + 2, &sum, 2);
    return size;
}

/* What a file says is as hostile as a peer: a bounded reader with a sticky
 * error. */
struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static uint64_t
get_number(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
        uint8_t b = *r->p++;
        v |= (uint64_t) (b & 0x7f) << shift;
        if (!(b & 0x80)) {
            return v;
        }
    }
    r->bad = true;
    return 0;
}

static void
get_bytes(struct reader *r, void *to, size_t n)
{
    if (n > (size_t) (r->end - r->p)) {
        r->bad = true;
        return;
    }
    memcpy(to, r->p, n);
    r->p += n;
}

static void
get_text(struct reader *r, char text[COUNTER_TEXT])
{
    uint8_t n = 0;
    get_bytes(r, &n, 1);
    if (n >= COUNTER_TEXT) {
        r->bad = true;
        return;
    }
    get_bytes(r, text, n);
    text[n] = '\0';
}

/* A later version may have more fields and words. */
static void
get_values(struct reader *r, struct counter_values *v)
{
    for (unsigned word = 0; !word || r->p < r->end; word++) {
        uint64_t has = get_number(r);
        for (unsigned i = 0; i < 64 && !r->bad; i++) {
            unsigned field = word * 64 + i;
            uint64_t value = has >> i & 1 ? get_number(r) : 0;
            if (has >> i & 1 && field < N_COUNTER_FIELDS) {
                counter_values_put(v, (enum counter_field) field, value);
            }
        }
        if (r->bad) {
            return;
        }
    }
}

size_t
counter_point_decode(const uint8_t *p, size_t n, struct counter_point *c)
{
    uint16_t size, sum;
    if (n < 4) {
        return 0;
    }
    memcpy(&size, p, 2);
    memcpy(&sum, p + 2, 2);
    if (size < 5 || size > n || check(p + 4, size - 4u) != sum) {
        return 0;
    }
    struct reader r = { .p = p + 4, .end = p + size };
    memset(c, 0, sizeof *c);
    get_bytes(&r, &c->origin, 1);
    c->time_us = (int64_t) get_number(&r);
    if (c->origin == COUNTER_SFLOW) {
        get_bytes(&r, c->exporter.b, 16);
        get_bytes(&r, c->agent.b, 16);
        c->domain = (uint32_t) get_number(&r);
        c->data_source = get_number(&r);
    } else {
        get_text(&r, c->bridge);
        get_text(&r, c->remote);
    }
    c->if_index = get_number(&r);
    get_text(&r, c->name);
    get_values(&r, &c->v);
    return r.bad ? 0 : size;
}

/* ---- Files. ---- */

static void
hour_name(int64_t hour, char name[NAME_STRLEN])
{
    time_t t = (time_t) (hour * 3600);
    struct tm tm;
    gmtime_r(&t, &tm);
    if (!strftime(name, NAME_STRLEN, "%Y-%m-%dT%H", &tm)) {
        name[0] = '\0';
    }
}

/* The hour that a file is of, or -1. */
static int64_t
hour_of(const char *name)
{
    struct tm tm = { .tm_sec = 0 };
    char check_name[NAME_STRLEN];
    if (sscanf(name, "%4d-%2d-%2dT%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour) != 4) {
        return -1;
    }
    tm.tm_year -= 1900;
    tm.tm_mon--;
    int64_t hour = (int64_t) timegm(&tm) / 3600;
    hour_name(hour, check_name);
    return strcmp(name, check_name) ? -1 : hour;
}

static int
open_hour(const struct counter_log *l, int64_t hour, int flags)
{
    char path[4200], name[NAME_STRLEN];
    hour_name(hour, name);
    snprintf(path, sizeof path, "%s/%s", l->dir, name);
    return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0640);
}

/* All of a file; NULL if there is none, or no memory. */
static uint8_t *
read_file(int fd, size_t *n)
{
    struct stat st;
    *n = 0;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size <= 0
        || st.st_size > FILE_MAX) {
        return NULL;
    }
    uint8_t *data = malloc((size_t) st.st_size);
    while (data && *n < (size_t) st.st_size) {
        ssize_t k = pread(fd, data + *n, (size_t) st.st_size - *n,
                          (off_t) *n);
        if (k <= 0) {
            break;
        }
        *n += (size_t) k;
    }
    return data;
}

/* How much of a file is whole points. */
static size_t
whole(const uint8_t *data, size_t n)
{
    struct counter_point c;
    size_t at = 0, size;
    while ((size = counter_point_decode(data + at, n - at, &c))) {
        at += size;
    }
    return at;
}

/* Under 'files'. */
static bool
open_for_append(struct counter_log *l, int64_t hour)
{
    if (l->fd >= 0 && l->hour == hour) {
        return true;
    } else if (l->fd >= 0) {
        close(l->fd);
    }
    l->hour = hour;
    l->fd = open_hour(l, hour, O_RDWR | O_CREAT);
    if (l->fd < 0) {
        return false;
    }
    size_t n;
    uint8_t *data = read_file(l->fd, &n);
    size_t good = data ? whole(data, n) : 0;
    free(data);
    if (good < n) {
        counter_inc(&l->counters.damaged);
    }
    l->size = (off_t) good;
    return !ftruncate(l->fd, l->size);
}

static void
append(struct counter_log *l, const uint8_t *p, size_t n, uint64_t n_points)
{
    struct counter_point c;
    int64_t hour = counter_point_decode(p, n, &c) ? c.time_us / HOUR_US : 0;
    bool done = open_for_append(l, hour) && l->size + (off_t) n <= FILE_MAX
                && pwrite(l->fd, p, n, l->size) == (ssize_t) n;
    if (done) {
        l->size += (off_t) n;
        counter_add(&l->counters.points, n_points);
        l->complained = false;
        return;
    }
    counter_add(&l->counters.dropped, n_points);
    if (!l->complained) {
        LOG(store, WARN, "%s: counters of interfaces cannot be written: %s",
            l->dir, strerror(errno));
        l->complained = true;
    }
}

/* Writes runs of points of the same hour.  Under 'files'. */
static void
write_points(struct counter_log *l, const uint8_t *p, size_t n)
{
    struct counter_point c;
    size_t from = 0, at = 0, size;
    uint64_t n_points = 0;
    int64_t hour = 0;
    while ((size = counter_point_decode(p + at, n - at, &c))) {
        if (n_points && c.time_us / HOUR_US != hour) {
            append(l, p + from, at - from, n_points);
            from = at;
            n_points = 0;
        }
        hour = c.time_us / HOUR_US;
        n_points++;
        at += size;
    }
    if (n_points) {
        append(l, p + from, at - from, n_points);
    }
}

struct hour_file {
    int64_t hour;
    uint64_t size;
};

static int
compare_hours(const void *a_, const void *b_)
{
    const struct hour_file *a = a_, *b = b_;
    return (a->hour > b->hour) - (a->hour < b->hour);
}

/* The files, oldest first; the caller frees the list. */
static struct hour_file *
list_files(const struct counter_log *l, size_t *n)
{
    struct hour_file *list = NULL;
    size_t room = 0;
    DIR *dir = opendir(l->dir);
    struct dirent *e;
    *n = 0;
    while (dir && (e = readdir(dir))) {
        struct stat st;
        int64_t hour = hour_of(e->d_name);
        if (hour < 0 || fstatat(dirfd(dir), e->d_name, &st,
                                AT_SYMLINK_NOFOLLOW)) {
            continue;
        }
        if (*n == room) {
            room = room ? 2 * room : 64;
            struct hour_file *p = realloc(list, room * sizeof *p);
            if (!p) {
                break;
            }
            list = p;
        }
        list[(*n)++] = (struct hour_file) { hour, (uint64_t) st.st_size };
    }
    if (dir) {
        closedir(dir);
    }
    if (*n) {
        qsort(list, *n, sizeof *list, compare_hours);
    }
    return list;
}

/* Under 'files'. */
static void
sweep(struct counter_log *l, int64_t now_us)
{
    int64_t keep = l->keep_us;
    uint64_t max = l->max_bytes, total = 0;
    size_t n;
    struct hour_file *list = list_files(l, &n);
    for (size_t i = 0; i < n; i++) {
        total += list[i].size;
    }
    for (size_t i = 0; i < n; i++) {
        bool old = keep && (list[i].hour + 1) * HOUR_US < now_us - keep;
        bool large = max && total > max && i + 1 < n;
        if (old || large) {
            char path[4200], name[NAME_STRLEN];
            hour_name(list[i].hour, name);
            snprintf(path, sizeof path, "%s/%s", l->dir, name);
            unlink(path);
            total -= list[i].size;
        }
    }
    free(list);
}

void
counter_log_flush(struct counter_log *l, int64_t now_us)
{
    pthread_mutex_lock(&l->files);
    pthread_mutex_lock(&l->lock);
    uint8_t *full = l->buffer;
    size_t n = l->n;
    l->buffer = l->writing;
    l->writing = full;
    l->n = 0;
    pthread_mutex_unlock(&l->lock);
    write_points(l, full, n);
    if (l->swept_hour != now_us / HOUR_US) {
        l->swept_hour = now_us / HOUR_US;
        sweep(l, now_us);
    }
    pthread_mutex_unlock(&l->files);
}

/* ---- Life. ---- */

static void *
run(void *log)
{
    struct counter_log *l = log;
    bool stop = false;
    while (!stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_mutex_lock(&l->lock);
        while (!l->stop && !pthread_cond_timedwait(&l->wake, &l->lock,
                                                   &until)) {
            continue;
        }
        stop = l->stop;
        pthread_mutex_unlock(&l->lock);
        counter_log_flush(l, clock_wall_us());
    }
    return NULL;
}

static void
log_free(struct counter_log *l)
{
    if (l->fd >= 0) {
        close(l->fd);
    }
    free(l->buffer);
    free(l->writing);
    free(l->dir);
    free(l);
}

struct counter_log *
counter_log_create(const char *dir)
{
    struct counter_log *l = calloc(1, sizeof *l);
    pthread_condattr_t attr;
    if (!l) {
        return NULL;
    }
    l->fd = -1;
    l->dir = strdup(dir);
    l->buffer = malloc(BUFFER);
    l->writing = malloc(BUFFER);
    if (!l->dir || !l->buffer || !l->writing) {
        log_free(l);
        errno = ENOMEM;
        return NULL;
    }
    if (mkdir(dir, 0750) && errno != EEXIST) {
        int error = errno;
        log_free(l);
        errno = error;
        return NULL;
    }
    l->interval_us = 60 * INT64_C(1000000);
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->files, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    int error = thread_start(&l->thread, "counters", run, l);
    if (error) {
        pthread_cond_destroy(&l->wake);
        pthread_mutex_destroy(&l->files);
        pthread_mutex_destroy(&l->lock);
        log_free(l);
        errno = -error;
        return NULL;
    }
    return l;
}

void
counter_log_destroy(struct counter_log *l)
{
    if (!l) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->files);
    pthread_mutex_destroy(&l->lock);
    log_free(l);
}

void
counter_log_set(struct counter_log *l, int64_t interval_us, int64_t keep_us,
                uint64_t max_bytes)
{
    l->interval_us = interval_us;
    l->keep_us = keep_us;
    l->max_bytes = max_bytes;
}

int64_t
counter_log_interval(const struct counter_log *l)
{
    return l->interval_us;
}

void
counter_log_put(struct counter_log *l, const struct counter_point *c)
{
    uint8_t buf[COUNTER_POINT_MAX];
    size_t n = counter_point_encode(c, buf);
    pthread_mutex_lock(&l->lock);
    if (l->n + n <= BUFFER) {
        memcpy(l->buffer + l->n, buf, n);
        l->n += n;
    } else {
        counter_inc(&l->counters.dropped);
    }
    pthread_mutex_unlock(&l->lock);
}

/* False when 'each' has had enough. */
static bool
read_hour(struct counter_log *l, int64_t hour, int64_t from_us, int64_t to_us,
          bool (*each)(const struct counter_point *, void *aux), void *aux)
{
    int fd = open_hour(l, hour, O_RDONLY);
    struct counter_point c;
    bool more = true;
    size_t n = 0, at = 0, size;
    uint8_t *data = fd >= 0 ? read_file(fd, &n) : NULL;
    while (data && more
           && (size = counter_point_decode(data + at, n - at, &c))) {
        at += size;
        if (c.time_us >= from_us && c.time_us < to_us) {
            more = each(&c, aux);
        }
    }
    free(data);
    if (fd >= 0) {
        close(fd);
    }
    return more;
}

void
counter_log_read(struct counter_log *l, int64_t from_us, int64_t to_us,
                 bool (*each)(const struct counter_point *, void *aux),
                 void *aux)
{
    bool more = true;
    size_t n;
    counter_log_flush(l, clock_wall_us());
    struct hour_file *list = list_files(l, &n);
    for (size_t i = 0; i < n && more; i++) {
        if ((list[i].hour + 1) * HOUR_US > from_us
            && list[i].hour * HOUR_US < to_us) {
            more = read_hour(l, list[i].hour, from_us, to_us, each, aux);
        }
    }
    free(list);
}

const struct counter_log_counters *
counter_log_counters(const struct counter_log *l)
{
    return &l->counters;
}
