#include <config.h>

#include "collector/event/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

#define LINE_MAX_SIZE (EVENT_BODY_MAX + 256)
#define ID_MAX UINT64_C(1000000000000000000)  /* So that there are more to come. */
#define SLICE_FILES 4           /* Looked through by one question. */
#define SYNC_MS 1000
#define TRIM_US (INT64_C(60) * 1000000)

const struct counter_def event_journal_counter_defs[] = {
#define X(NAME, DOC)                                                    \
    { #NAME, offsetof(struct event_journal_counters, NAME), DOC },
    EVENT_JOURNAL_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

/* A file: named after its first event. */
struct event_file {
    uint64_t first, last;       /* Numbers; 'last' 0: none yet. */
    int64_t from_us, to_us;
    uint64_t size;
};

/* A line in memory. */
struct recent {
    size_t size;
    char *line;
};

struct event_journal {
    char *dir;
    struct event_journal_counters n;
    void (*ready)(void *aux);
    void *aux;
    pthread_t thread;
    bool started;
    _Atomic bool stop;

    /* Of the one that adds. */
    int fd;                     /* The newest file, or -1. */
    bool dirty, failing;
    int64_t trimmed_us;

    pthread_mutex_t mutex;      /* What follows. */
    struct event_limits limits;
    uint64_t newest;
    size_t n_files, room;
    struct event_file *files;   /* The oldest first. */
    size_t first, n_recent, recent_size;
    struct recent recent[EVENT_RECENT];
};

/* ---- Lines:  CRC ID TIME KIND SEVERITY BODY\n ---- */

static int
format_line(const struct event *e, uint64_t id, char *line, size_t size)
{
    int n = snprintf(line + 9, size - 9, "%" PRIu64 " %" PRId64 " %s %s %s\n",
                     id, e->time_us > 0 ? e->time_us : 0,
                     event_kinds[e->kind].name,
                     event_severity_name(e->severity), e->body);
    if (n < 0 || (size_t) n >= size - 9) {
        return -E2BIG;
    }
    char crc[10];
    snprintf(crc, sizeof crc, "%08x ", (unsigned) crc32(
                 0, (const unsigned char *) line + 9, (uInt) n - 1));
    memcpy(line, crc, 9);
    return n + 9;
}

/* The next word; NULL: there is none. */
static const char *
word(const char **p, const char *end, size_t *n)
{
    const char *start = *p;
    const char *blank = memchr(start, ' ', (size_t) (end - start));
    if (!blank || blank == start) {
        return NULL;
    }
    *n = (size_t) (blank - start);
    *p = blank + 1;
    return start;
}

static bool
number(const char *text, size_t n, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || n > 19) {
            return false;
        }
        *value = *value * 10 + (uint64_t) (text[i] - '0');
    }
    return n > 0;
}

/* A line of 'n' bytes without its end. */
static bool
parse_line(const char *line, size_t n, struct event_record *r)
{
    const char *p = line, *end = line + n;
    char hex[9] = "", severity[16], *stop;
    size_t size;
    uint64_t time_us;

    if (n < 10 || line[8] != ' ') {
        return false;
    }
    memcpy(hex, line, 8);
    p += 9;
    if (strtoul(hex, &stop, 16) != crc32(0, (const unsigned char *) p,
                                         (uInt) (n - 9)) || *stop) {
        return false;
    }
    const char *t = word(&p, end, &size);
    if (!t || !number(t, size, &r->id) || !r->id || r->id > ID_MAX
        || !(t = word(&p, end, &size)) || !number(t, size, &time_us)
        || time_us > INT64_MAX
        || !(r->kind = word(&p, end, &r->kind_size))
        || !(t = word(&p, end, &size)) || size >= sizeof severity) {
        return false;
    }
    memcpy(severity, t, size);
    severity[size] = '\0';
    r->time_us = (int64_t) time_us;
    r->body = p;
    r->body_size = (size_t) (end - p);
    return !event_severity_find(severity, &r->severity);
}

void
event_record_put(FILE *f, const struct event_record *r)
{
    char time[TIME_STRLEN];

    fprintf(f, "{\"id\":%" PRIu64 ",\"time\":\"%s\",\"kind\":\"%.*s\","
            "\"severity\":\"%s\",", r->id, time_format_us(r->time_us, time),
            (int) r->kind_size, r->kind, event_severity_name(r->severity));
    fwrite(r->body, 1, r->body_size, f);
}

/* ---- Filters. ---- */

void
event_filter_clear(struct event_filter *f)
{
    for (unsigned i = 0; i < f->n_kinds; i++) {
        free(f->kinds[i]);
    }
    free(f->subject);
    memset(f, 0, sizeof *f);
}

static bool
matches(const char *pattern, const char *text, size_t n)
{
    char copy[EVENT_SUBJECT_MAX * 6 + 1];
    n = n < sizeof copy ? n : sizeof copy - 1;
    memcpy(copy, text, n);
    copy[n] = '\0';
    return !fnmatch(pattern, copy, FNM_NOESCAPE);
}

/* The subject stands first in a body; its end is the first quote without a
 * backslash. */
static bool
subject_matches(const char *pattern, const struct event_record *r)
{
    static const char start[] = "\"subject\":\"";
    const size_t skip = sizeof start - 1;
    size_t n = skip;

    if (r->body_size <= skip || memcmp(r->body, start, skip)) {
        return false;
    }
    while (n < r->body_size && r->body[n] != '"') {
        n += r->body[n] == '\\' ? 2 : 1;
    }
    n = n < r->body_size ? n : r->body_size;
    return matches(pattern, r->body + skip, n - skip);
}

bool
event_filter_match(const struct event_filter *f, const struct event_record *r)
{
    bool ok = !f->n_kinds;

    if (r->severity < f->severity || (f->from_us && r->time_us < f->from_us)
        || (f->to_us && r->time_us >= f->to_us)) {
        return false;
    }
    for (unsigned i = 0; i < f->n_kinds && !ok; i++) {
        ok = matches(f->kinds[i], r->kind, r->kind_size);
    }
    return ok && (!f->subject || subject_matches(f->subject, r));
}

bool
event_kind_known(const char *pattern)
{
    for (int i = 0; i < N_EVENT_KINDS; i++) {
        if (!fnmatch(pattern, event_kinds[i].name, FNM_NOESCAPE)) {
            return true;
        }
    }
    return false;
}

/* ---- Files. ---- */

static void
file_path(const struct event_journal *j, uint64_t first, char path[4200])
{
    snprintf(path, 4200, "%s/%016" PRIx64 ".log", j->dir, first);
}

/* All of a file, on the heap; NULL: it cannot be read. */
static char *
read_file(const char *path, size_t *n)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *text = NULL;

    *n = 0;
    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode)
        && st.st_size <= (off_t) EVENT_FILE_SIZE * 2) {
        text = malloc((size_t) st.st_size + 1);
        ssize_t got = 1;
        while (text && got > 0 && *n < (size_t) st.st_size) {
            got = read(fd, text + *n, (size_t) st.st_size - *n);
            *n += got > 0 ? (size_t) got : 0;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    return text;
}

static void
note(struct event_file *f, uint64_t id, int64_t time_us)
{
    if (!f->last || time_us < f->from_us) {
        f->from_us = time_us;
    }
    if (!f->last || time_us > f->to_us) {
        f->to_us = time_us;
    }
    f->last = id;
}

/* Looks at a file of before.  Returns how much of it is whole lines. */
static size_t
scan_file(struct event_journal *j, const char *text, size_t n,
          struct event_file *f)
{
    size_t at = 0;
    const char *end;

    while (at < n && (end = memchr(text + at, '\n', n - at))) {
        struct event_record r;
        if (parse_line(text + at, (size_t) (end - text) - at, &r)) {
            note(f, r.id, r.time_us);
        } else {
            counter_inc(&j->n.damaged);
        }
        at = (size_t) (end - text) + 1;
    }
    return at;
}

static struct event_file *
add_file(struct event_journal *j, uint64_t first)
{
    if (j->n_files == j->room) {
        size_t room = j->room ? j->room * 2 : 16;
        struct event_file *files = realloc(j->files, room * sizeof *files);
        if (!files) {
            return NULL;
        }
        j->files = files;
        j->room = room;
    }
    j->files[j->n_files] = (struct event_file) { .first = first };
    return &j->files[j->n_files++];
}

static int
compare_files(const void *a, const void *b)
{
    const struct event_file *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

static int
find_files(struct event_journal *j)
{
    DIR *dir = opendir(j->dir);
    struct dirent *e;
    int err = dir ? 0 : -errno;

    while (!err && (e = readdir(dir))) {
        char *end;
        uint64_t first = strtoull(e->d_name, &end, 16);
        if (end == e->d_name + 16 && !strcmp(end, ".log")
            && !add_file(j, first)) {
            err = -ENOMEM;
        }
    }
    if (dir) {
        closedir(dir);
    }
    if (j->n_files) {
        qsort(j->files, j->n_files, sizeof *j->files, compare_files);
    }
    return err;
}

static void
load_files(struct event_journal *j)
{
    char path[4200];

    for (size_t i = 0; i < j->n_files; i++) {
        struct event_file *f = &j->files[i];
        size_t n;
        file_path(j, f->first, path);
        char *text = read_file(path, &n);
        size_t whole = text ? scan_file(j, text, n, f) : 0;
        free(text);
        f->size = whole;
        if (whole < n) {
            counter_inc(&j->n.damaged);
            if (truncate(path, (off_t) whole)) {
                LOG(store, NOTICE, "%s: %s", path, strerror(errno));
            }
        }
        if (f->first > 0 && j->newest < f->first - 1) {
            j->newest = f->first - 1;
        }
        if (j->newest < f->last) {
            j->newest = f->last;
        }
    }
}

/* With the mutex.  Deletes what is too old or too much, never the newest. */
static void
trim(struct event_journal *j, int64_t now_us)
{
    uint64_t size = 0;
    char path[4200];
    size_t gone = 0;

    j->trimmed_us = now_us;
    for (size_t i = 0; i < j->n_files; i++) {
        size += j->files[i].size;
    }
    for (; gone + 1 < j->n_files; gone++) {
        struct event_file *f = &j->files[gone];
        bool old = j->limits.age_us && f->to_us < now_us - j->limits.age_us;
        if (!old && size <= j->limits.size) {
            break;
        }
        file_path(j, f->first, path);
        if (unlink(path) && errno != ENOENT) {
            LOG_RATE(store, NOTICE, "%s: %s", path, strerror(errno));
            break;
        }
        size -= f->size;
        counter_inc(&j->n.expired);
    }
    if (gone) {  // Without files, there is no array.
        j->n_files -= gone;
        memmove(j->files, j->files + gone, j->n_files * sizeof *j->files);
    }
}

struct event_journal *
event_journal_open(const char *dir, const struct event_limits *limits,
                   int64_t now_us, char error[EVENT_ERROR_SIZE])
{
    struct event_journal *j = calloc(1, sizeof *j);
    int err = j && (j->dir = strdup(dir)) ? 0 : -ENOMEM;

    if (!err) {
        j->fd = -1;
        j->limits = *limits;
        pthread_mutex_init(&j->mutex, NULL);
        err = mkdir(dir, 0755) && errno != EEXIST ? -errno : find_files(j);
    }
    if (err) {
        snprintf(error, EVENT_ERROR_SIZE, "%.200s: %s", dir, strerror(-err));
        event_journal_close(j);
        return NULL;
    }
    load_files(j);
    trim(j, now_us);
    return j;
}

void
event_journal_close(struct event_journal *j)
{
    if (j) {
        event_journal_stop(j);
        event_journal_sync(j);
        if (j->fd >= 0) {
            close(j->fd);
        }
        for (size_t i = 0; i < EVENT_RECENT; i++) {
            free(j->recent[i].line);
        }
        pthread_mutex_destroy(&j->mutex);
        free(j->files);
        free(j->dir);
        free(j);
    }
}

void
event_journal_set_limits(struct event_journal *j,
                         const struct event_limits *limits)
{
    pthread_mutex_lock(&j->mutex);
    j->limits = *limits;
    trim(j, clock_wall_us());
    pthread_mutex_unlock(&j->mutex);
}

const struct event_journal_counters *
event_journal_counters(const struct event_journal *j)
{
    return &j->n;
}

/* ---- Adding. ---- */

/* The file that the next event goes to. */
static struct event_file *
current_file(struct event_journal *j)
{
    struct event_file *f = j->n_files ? &j->files[j->n_files - 1] : NULL;
    bool fresh = !f || f->size >= EVENT_FILE_SIZE;
    char path[4200];

    if (fresh && j->fd >= 0) {
        event_journal_sync(j);
        close(j->fd);
        j->fd = -1;
    }
    if (j->fd < 0) {
        uint64_t first = fresh ? j->newest + 1 : f->first;
        file_path(j, first, path);
        j->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
                           | O_NOFOLLOW, 0640);
        if (j->fd >= 0 && fresh) {
            f = add_file(j, first);
        }
    }
    return j->fd >= 0 ? f : NULL;
}

/* All of it or nothing. */
static bool
write_line(struct event_journal *j, struct event_file *f, const char *line,
           size_t n)
{
    ssize_t done = write(j->fd, line, n);
    if (done == (ssize_t) n) {
        return true;
    }
    if (done >= 0) {
        errno = ENOSPC;
        if (ftruncate(j->fd, (off_t) f->size)) {
            errno = EIO;
        }
    }
    return false;
}

static void
remember(struct event_journal *j, const char *line, size_t n)
{
    while (j->n_recent == EVENT_RECENT
           || (j->n_recent && j->recent_size + n > EVENT_RECENT_SIZE)) {
        struct recent *old = &j->recent[j->first];
        j->recent_size -= old->size;
        free(old->line);
        *old = (struct recent) { 0, NULL };
        j->first = (j->first + 1) % EVENT_RECENT;
        j->n_recent--;
    }
    char *copy = malloc(n);
    if (copy) {
        memcpy(copy, line, n);
        j->recent[(j->first + j->n_recent++) % EVENT_RECENT]
            = (struct recent) { n, copy };
        j->recent_size += n;
    }
}

void
event_journal_add(struct event_journal *j, const struct event *e,
                  int64_t now_us)
{
    char line[LINE_MAX_SIZE];

    pthread_mutex_lock(&j->mutex);
    struct event_file *f = current_file(j);
    int n = format_line(e, j->newest + 1, line, sizeof line);
    if (n > 0) {
        j->newest++;
        remember(j, line, (size_t) n);
    }
    if (n > 0 && f && write_line(j, f, line, (size_t) n)) {
        note(f, j->newest, e->time_us);
        f->size += (size_t) n;
        j->dirty = true;
        j->failing = false;
        counter_inc(&j->n.kept);
    } else {
        int err = errno;
        counter_inc(&j->n.unwritten);
        if (!j->failing) {
            LOG_RATE(store, NOTICE, "%s: %s; events are kept in memory alone",
                     j->dir, strerror(err));
        }
        j->failing = true;
    }
    if (now_us - j->trimmed_us > TRIM_US || (f && f->size == (size_t) n)) {
        trim(j, now_us);
    }
    pthread_mutex_unlock(&j->mutex);
}

void
event_journal_sync(struct event_journal *j)
{
    if (j->dirty && j->fd >= 0 && fdatasync(j->fd)) {
        LOG_RATE(store, NOTICE, "%s: %s", j->dir, strerror(errno));
    }
    j->dirty = false;
}

static void *
run(void *journal)
{
    struct event_journal *j = journal;

    while (!atomic_load(&j->stop)) {
        struct event *e = event_take(j->dirty ? SYNC_MS : -1);
        bool any = e != NULL;
        for (; e; e = event_take(0)) {
            event_journal_add(j, e, clock_wall_us());
            free(e);
        }
        if (any && j->ready) {
            j->ready(j->aux);
        } else if (!any) {
            event_journal_sync(j);
        }
    }
    /* What was posted until now. */
    for (struct event *e; (e = event_take(0)); free(e)) {
        event_journal_add(j, e, clock_wall_us());
    }
    return NULL;
}

int
event_journal_start(struct event_journal *j, void (*ready)(void *), void *aux)
{
    j->ready = ready;
    j->aux = aux;
    int err = event_queue_open();
    err = err ? err : thread_start(&j->thread, "events", run, j);
    j->started = !err;
    return err;
}

void
event_journal_stop(struct event_journal *j)
{
    if (j->started) {
        atomic_store(&j->stop, true);
        event_wake();
        pthread_join(j->thread, NULL);
        event_queue_close();
        j->started = false;
    }
}

/* ---- Asking. ---- */

uint64_t
event_journal_newest(struct event_journal *j)
{
    pthread_mutex_lock(&j->mutex);
    uint64_t id = j->newest;
    pthread_mutex_unlock(&j->mutex);
    return id;
}

void
event_journal_recent(struct event_journal *j, uint64_t *id, uint64_t *skipped,
                     bool (*f)(void *aux, const struct event_record *),
                     void *aux)
{
    bool more = true;

    pthread_mutex_lock(&j->mutex);
    uint64_t oldest = j->newest + 1 - j->n_recent;
    if (*id + 1 < oldest) {
        *skipped += oldest - 1 - *id;
        *id = oldest - 1;
    }
    while (more && *id < j->newest) {
        size_t at = (j->first + (size_t) (*id + 1 - oldest)) % EVENT_RECENT;
        struct event_record r;
        if (parse_line(j->recent[at].line, j->recent[at].size - 1, &r)) {
            more = f(aux, &r);
        }
        ++*id;
    }
    pthread_mutex_unlock(&j->mutex);
}

struct listing {
    const struct event_filter *filter;
    uint64_t before;            /* Those below it are to come. */
    size_t left;
    void (*f)(void *aux, const struct event_record *);
    void *aux;
};

/* Lines of a file, the last first. */
static void
list_lines(struct listing *l, const char *text, size_t n)
{
    while (n && l->left) {
        size_t end = n - (text[n - 1] == '\n'), start = end;
        struct event_record r;
        while (start && text[start - 1] != '\n') {
            start--;
        }
        n = start;
        if (!parse_line(text + start, end - start, &r)
            || (l->before && r.id >= l->before)) {
            continue;
        }
        l->before = r.id;
        if (event_filter_match(l->filter, &r)) {
            l->f(l->aux, &r);
            l->left--;
        }
    }
}

/* The newest file with numbers below 'before', and times that count. */
static bool
next_file(struct event_journal *j, struct listing *l, struct event_file *out)
{
    bool found = false;

    pthread_mutex_lock(&j->mutex);
    for (size_t i = j->n_files; i > 0 && !found; i--) {
        struct event_file *f = &j->files[i - 1];
        const struct event_filter *w = l->filter;
        found = f->last && (!l->before || f->first < l->before)
                && (!w->from_us || f->to_us >= w->from_us)
                && (!w->to_us || f->from_us < w->to_us);
        *out = *f;
    }
    pthread_mutex_unlock(&j->mutex);
    return found;
}

uint64_t
event_journal_list(struct event_journal *j, const struct event_filter *filter,
                   uint64_t before, size_t limit,
                   void (*f)(void *aux, const struct event_record *),
                   void *aux)
{
    struct listing l = { filter, before, limit, f, aux };
    struct event_file file;
    char path[4200];

    for (int i = 0; i < SLICE_FILES && l.left; i++) {
        if (!next_file(j, &l, &file)) {
            return 0;
        }
        size_t n;
        file_path(j, file.first, path);
        char *text = read_file(path, &n);
        if (text) {
            list_lines(&l, text, n);
        }
        free(text);
        if (l.left) {
            l.before = file.first;      /* Done with it. */
        }
    }
    return l.before > 1 && next_file(j, &l, &file) ? l.before : 0;
}
