#include <config.h>

#include "collector/store/store_p.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/event.h"
#include "lib/log.h"

#define INDEX_FILE "index"
#define PATH_LEN 4096

/* "...T02.flows", "...T02.tail" */
static void
segment_path(const struct store *s, const struct segment *g, bool tail,
             char path[PATH_LEN])
{
    size_t len = strlen(g->file) - strlen(".flows");
    snprintf(path, PATH_LEN, "%s/%.*s%s", s->dir, (int) len, g->file,
             tail ? ".tail" : ".flows");
}

int64_t
segment_hour(int64_t us)
{
    if (us < 0) {
        us = 0;
    }
    return us - us % SEGMENT_SPAN_US;
}

static int
segment_compare(int64_t hour, unsigned suffix, const struct segment *g)
{
    if (hour != g->hour_us) {
        return hour < g->hour_us ? -1 : 1;
    }
    return suffix < g->suffix ? -1 : suffix > g->suffix;
}

/* Where a segment is, or would have to be put. */
static size_t
segment_position(const struct store *s, int64_t hour, unsigned suffix)
{
    size_t low = 0, high = s->n_segments;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (segment_compare(hour, suffix, s->segments[mid]) > 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* The segment of an hour, made (in memory) if it is new. */
struct segment *
segment_add(struct store *s, int64_t hour, unsigned suffix)
{
    size_t at = segment_position(s, hour, suffix);
    if (at < s->n_segments
        && !segment_compare(hour, suffix, s->segments[at])) {
        return s->segments[at];
    }
    if (s->n_segments == s->allocated_segments) {
        size_t n = s->allocated_segments ? s->allocated_segments * 2 : 64;
        struct segment **p = realloc(s->segments, n * sizeof *p);
        if (!p) {
            return NULL;
        }
        s->segments = p;
        s->allocated_segments = n;
    }
    struct segment *g = calloc(1, sizeof *g);
    if (!g) {
        return NULL;
    }
    struct tm tm;
    time_t t = hour / 1000000;
    char stem[16] = "", number[16] = "";
    gmtime_r(&t, &tm);
    g->hour_us = hour;
    g->suffix = suffix;
    strftime(stem, sizeof stem, "%Y-%m-%dT%H", &tm);
    if (suffix) {
        snprintf(number, sizeof number, ".%u", suffix);
    }
    snprintf(g->file, sizeof g->file, "%s%s.flows", stem, number);
    g->main.fd = g->tail.fd = -1;
    memmove(&s->segments[at + 1], &s->segments[at],
            (s->n_segments - at) * sizeof *s->segments);
    s->segments[at] = g;
    s->n_segments++;
    return g;
}

/* The last segment of an hour, or NULL. */
struct segment *
segment_last(struct store *s, int64_t hour)
{
    size_t at = segment_position(s, hour, UINT32_MAX);
    return at && s->segments[at - 1]->hour_us == hour ? s->segments[at - 1]
                                                      : NULL;
}

/* Drops a segment from the list and frees it; the file stays. */
void
segment_forget(struct store *s, struct segment *g)
{
    size_t at = segment_position(s, g->hour_us, g->suffix);
    memmove(&s->segments[at], &s->segments[at + 1],
            (s->n_segments - at - 1) * sizeof *s->segments);
    s->n_segments--;
    free(g);
}

void
segments_destroy(struct store *s)
{
    for (size_t i = 0; i < s->n_segments; i++) {
        segment_unload(s, s->segments[i]);
        free(s->segments[i]);
    }
    free(s->segments);
    s->segments = NULL;
    s->n_segments = s->allocated_segments = 0;
}

/* "2026-11-23T02.flows", "2026-11-23T02.7.flows". */
static bool
parse_file_name(const char *name, int64_t *hour, unsigned *suffix)
{
    struct tm tm;
    memset(&tm, 0, sizeof tm);
    const char *p = strptime(name, "%Y-%m-%dT%H", &tm);
    if (!p) {
        return false;
    }
    char *end = (char *) p;
    *suffix = 0;
    if (p[0] == '.' && p[1] >= '1' && p[1] <= '9') {
        unsigned long v = strtoul(p + 1, &end, 10);
        if (v > SEGMENT_MAX_SUFFIX) {
            return false;
        }
        *suffix = (unsigned) v;
    }
    *hour = (int64_t) timegm(&tm) * 1000000;
    return *hour >= 0 && !strcmp(end, ".flows");
}

/* Bytes of a file, 0 if there is none. */
static uint64_t
file_size(const struct store *s, const struct segment *g, bool tail)
{
    char path[PATH_LEN];
    struct stat st;
    segment_path(s, g, tail, path);
    return !stat(path, &st) && st.st_size > 0 ? (uint64_t) st.st_size : 0;
}

void
segment_measure(struct store *s, struct segment *g)
{
    uint64_t tail = file_size(s, g, true);
    g->bytes = file_size(s, g, false) + tail;
    g->has_tail = tail > 0;
}

/* The index spares a start the look into each segment.  It is a cache: a line
 * that does not fit its file any more is ignored. */
static void
load_index(struct store *s)
{
    char path[PATH_LEN], line[256], name[SEGMENT_FILE_LEN];
    snprintf(path, sizeof path, "%s/" INDEX_FILE, s->dir);
    FILE *f = fopen(path, "re");
    if (!f) {
        return;
    }
    while (fgets(line, sizeof line, f)) {
        uint64_t bytes, rows;
        int64_t min, max, hour;
        unsigned suffix;
        if (sscanf(line, "%39s %" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNd64,
                   name, &bytes, &rows, &min, &max) != 5
            || !parse_file_name(name, &hour, &suffix)) {
            continue;
        }
        size_t at = segment_position(s, hour, suffix);
        if (at < s->n_segments
            && !segment_compare(hour, suffix, s->segments[at])
            && s->segments[at]->bytes == bytes && !s->segments[at]->has_tail
            && min <= max) {
            struct segment *g = s->segments[at];
            g->known = true;
            g->rows = rows;
            g->min_us = min;
            g->max_us = max;
        }
    }
    fclose(f);
}

void
segments_save_index(struct store *s)
{
    char path[PATH_LEN], fresh[PATH_LEN];
    snprintf(path, sizeof path, "%s/" INDEX_FILE, s->dir);
    snprintf(fresh, sizeof fresh, "%s/" INDEX_FILE ".new", s->dir);
    FILE *f = fopen(fresh, "we");
    if (!f) {
        return;
    }
    for (size_t i = 0; i < s->n_segments; i++) {
        const struct segment *g = s->segments[i];
        if (g->known && !g->open && !g->has_tail) {
            fprintf(f, "%s %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64
                    "\n", g->file, g->bytes, g->rows, g->min_us, g->max_us);
        }
    }
    bool bad = ferror(f);
    if (fclose(f) || bad || rename(fresh, path)) {
        unlink(fresh);          /* The next one will do. */
    }
}

int
segments_scan(struct store *s, char **error)
{
    DIR *dir = opendir(s->dir);
    if (!dir) {
        int e = errno;
        if (asprintf(error, "%s: %s", s->dir, strerror(e)) < 0) {
            *error = NULL;
        }
        return -e;
    }
    struct dirent *d;
    while ((d = readdir(dir))) {
        int64_t hour;
        unsigned suffix;
        if (parse_file_name(d->d_name, &hour, &suffix)) {
            struct segment *g = segment_add(s, hour, suffix);
            if (g && !strcmp(g->file, d->d_name)) {
                segment_measure(s, g);
            }
        }
    }
    closedir(dir);
    load_index(s);
    segments_health(s);
    return 0;
}

/* Rows and time range, from the blocks. */
static void
survey(struct segment *g)
{
    const struct segblocks *lists[] = { &g->main.blocks, &g->tail.blocks };

    g->rows = 0;
    g->min_us = INT64_MAX;
    g->max_us = INT64_MIN;
    for (unsigned k = 0; k < 2; k++) {
        for (size_t i = 0; i < lists[k]->n; i++) {
            const struct block_head *h = lists[k]->list[i]->head;
            g->rows += h->n_rows;
            g->min_us = h->min_us < g->min_us ? h->min_us : g->min_us;
            g->max_us = h->max_us > g->max_us ? h->max_us : g->max_us;
        }
    }
    g->known = true;
}

void
segment_drop_merged(struct segment *g)
{
    struct segblocks *l = &g->tail.blocks;
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        if (l->list[i]->head->first_row < g->main.next_row) {
            segblock_unref(l->list[i]);
        } else {
            l->list[n++] = l->list[i];
        }
    }
    l->n = n;
}

void
segment_damaged(struct store *s, struct segment *g, uint64_t bytes,
                const char *what)
{
    g->damaged += bytes;
    counter_inc(&s->n.damaged);
    event_post(EVENT_store_damaged, g->file,
               EVENT_DETAIL(EVENT_INT("bytes", (int64_t) bytes)),
               "segment %s is damaged: %s", g->file, what);
    LOG_RATE(store, WARN, "segment %s is damaged, %s: the rest of it is "
             "there", g->file, what);
    segments_health(s);
}

int
segment_load(struct store *s, struct segment *g, char *error, size_t size)
{
    char path[PATH_LEN], tail[PATH_LEN], what[64];

    if (g->loaded) {
        return 0;
    }
    segment_path(s, g, false, path);
    segment_path(s, g, true, tail);
    int retval = segfile_open(&g->main, path, false);
    if (!retval) {
        retval = segfile_open(&g->tail, tail, true);
        if (retval == -EBADMSG) {
            /* A short one was made a moment before the end. */
            uint64_t n = file_size(s, g, true);
            if (n > g->main.size) {
                segment_damaged(s, g, n, "the beginning of its tail");
            }
            retval = 0;
        } else if (retval == -ENOENT) {
            retval = 0;
        } else if (retval) {
            memcpy(path, tail, sizeof path);
            segfile_close(&g->main);
        }
    }
    if (retval) {
        snprintf(error, size, "%s: %s", path, retval == -EBADMSG
                 ? "its beginning is damaged" : strerror(-retval));
        return retval;
    }
    segment_drop_merged(g);
    g->loaded = true;
    uint64_t bad = g->main.damaged + g->tail.damaged;
    if (bad > g->damaged) {
        snprintf(what, sizeof what, "%" PRIu64 " bytes", bad - g->damaged);
        segment_damaged(s, g, bad - g->damaged, what);
    }
    survey(g);
    return 0;
}

int
segment_prepare(struct store *s, struct segment *g, char *error, size_t size)
{
    char path[PATH_LEN];
    int retval = segfile_trim(&g->main);

    segment_path(s, g, false, path);
    if (!retval) {
        segment_path(s, g, true, path);
        retval = g->tail.fd < 0 ? segfile_create(&g->tail, path)
                                : segfile_trim(&g->tail);
    }
    if (retval) {
        snprintf(error, size, "%s: %s", path, strerror(-retval));
    }
    return retval;
}

void
segment_remove_tail(struct store *s, struct segment *g)
{
    char path[PATH_LEN];
    segment_path(s, g, true, path);
    segfile_close(&g->tail);
    unlink(path);
    g->has_tail = false;
}

void
segment_unload(struct store *s, struct segment *g)
{
    if (g->loaded) {
        segfile_close(&g->main);
        segfile_close(&g->tail);
        g->loaded = false;
        segment_measure(s, g);
    }
}

int
segment_create(struct store *s, struct segment *g, char *error, size_t size)
{
    char path[PATH_LEN], tail[PATH_LEN];

    segment_path(s, g, false, path);
    segment_path(s, g, true, tail);
    int retval = segfile_create(&g->main, path);
    if (!retval) {
        retval = segfile_create(&g->tail, tail);
        if (retval) {
            memcpy(path, tail, sizeof path);
        }
    }
    if (retval) {
        snprintf(error, size, "%s: %s", path, strerror(-retval));
        segfile_close(&g->main);
        segfile_close(&g->tail);
        /* There is nothing in it. */
        segment_path(s, g, false, path);
        unlink(path);
        unlink(tail);
        return retval;
    }
    g->loaded = g->known = true;
    g->rows = 0;
    segment_measure(s, g);
    return 0;
}

static void
rename_aside(struct store *s, const struct segment *g, bool tail)
{
    char from[PATH_LEN], to[PATH_LEN + 32];
    segment_path(s, g, tail, from);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(to, sizeof to, i ? "%s.corrupt.%u" : "%s.corrupt", from, i);
        if (access(to, F_OK)) {
            break;
        }
    }
    if (rename(from, to) && errno != ENOENT) {
        LOG(store, ERR, "%s: cannot rename: %s", from, strerror(errno));
    }
}

void
segment_set_aside(struct store *s, struct segment *g, const char *why)
{
    LOG(store, WARN, "segment %s cannot be opened, it is set aside as "
        "%s.corrupt: %s", g->file, g->file, why);
    event_post(EVENT_store_damaged, g->file, NULL,
               "segment %s cannot be opened and was set aside: %s", g->file,
               why);
    segment_unload(s, g);
    rename_aside(s, g, false);
    rename_aside(s, g, true);
    counter_inc(&s->n.segments_set_aside);
    segment_forget(s, g);
    segments_health(s);
}

void
segments_trim(struct store *s, size_t keep)
{
    for (;;) {
        struct segment *oldest = NULL;
        size_t n = 0;
        for (size_t i = 0; i < s->n_segments; i++) {
            struct segment *g = s->segments[i];
            if (!g->loaded || g->open || g->users) {
                continue;
            }
            n++;
            if (!oldest || g->used < oldest->used) {
                oldest = g;
            }
        }
        if (n <= keep) {
            return;
        }
        segment_unload(s, oldest);
    }
}

static void
segment_delete(struct store *s, struct segment *g)
{
    char path[PATH_LEN];
    LOG(store, INFO, "segment %s has expired", g->file);
    segment_unload(s, g);
    segment_path(s, g, false, path);
    if (unlink(path) && errno != ENOENT) {
        LOG_RATE(store, WARN, "cannot delete %s: %s", path, strerror(errno));
        return;
    }
    segment_path(s, g, true, path);
    unlink(path);
    counter_inc(&s->n.segments_expired);
    segment_forget(s, g);
}

void
segments_expire(struct store *s, int64_t now)
{
    int64_t max_age = __atomic_load_n(&s->config.retention_us,
                                      __ATOMIC_RELAXED);
    uint64_t max_bytes = __atomic_load_n(&s->config.retention_bytes,
                                         __ATOMIC_RELAXED);
    uint64_t total = 0;
    size_t before = s->n_segments;

    for (size_t i = 0; i < s->n_segments; i++) {
        total += s->segments[i]->bytes;
    }
    for (size_t i = 0; i < s->n_segments; ) {
        struct segment *g = s->segments[i];
        bool old = max_age && g->hour_us + SEGMENT_SPAN_US < now - max_age;
        bool big = max_bytes && total > max_bytes;
        if (g->open || g->users || (!old && !big)) {
            i++;
            continue;
        }
        size_t n = s->n_segments;
        uint64_t bytes = g->bytes;
        segment_delete(s, g);
        if (s->n_segments < n) {
            total -= bytes;
        } else {
            i++;
        }
    }
    if (s->n_segments != before) {
        segments_save_index(s);
    }
    segments_health(s);
}

/* Whether what fills the disk is mostly ours. */
static bool
disk_is_ours(const struct store *s)
{
    struct statvfs v;
    uint64_t ours = 0;

    for (size_t i = 0; i < s->n_segments; i++) {
        ours += s->segments[i]->bytes;
    }
    return !statvfs(s->dir, &v)
           && ours >= (uint64_t) (v.f_blocks - v.f_bfree) * v.f_frsize / 2;
}

void
segments_make_room(struct store *s)
{
    if (!disk_is_ours(s)) {
        return;                 /* To delete would help somebody else. */
    }
    for (size_t i = 0; i + 1 < s->n_segments; i++) {
        struct segment *g = s->segments[i];
        if (!g->open && !g->users) {
            LOG(store, WARN, "the disk is full: the oldest flows, segment "
                "%s, make room; lower store/retention/size", g->file);
            segment_delete(s, g);
            segments_save_index(s);
            segments_health(s);
            return;
        }
    }
}

void
segments_health(struct store *s)
{
    uint64_t bytes = 0, damaged = 0;
    int64_t oldest = 0, newest = 0;
    for (size_t i = 0; i < s->n_segments; i++) {
        const struct segment *g = s->segments[i];
        bytes += g->bytes;
        damaged += g->damaged != 0;
        int64_t first = g->known && g->rows ? g->min_us : g->hour_us;
        int64_t last = g->known && g->rows ? g->max_us
                                           : g->hour_us + SEGMENT_SPAN_US;
        if (!i || first < oldest) {
            oldest = first;
        }
        newest = last > newest ? last : newest;
    }
    pthread_mutex_lock(&s->health_lock);
    s->health.n_segments = (uint32_t) s->n_segments;
    s->health.bytes = bytes;
    s->health.n_damaged = (uint32_t) damaged;
    s->health.oldest_us = oldest;
    s->health.newest_us = newest;
    pthread_mutex_unlock(&s->health_lock);
}
