#include <config.h>

#include "api/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/caller.h"
#include "api/json.h"
#include "api/jsonrpc.h"
#include "api/methods.h"
#include "lib/clock.h"
#include "lib/log.h"

#define MAX_PART 65536          /* Bytes of parameters, before and after. */
#define BACK_BLOCK 65536
#define BACK_LINE_MAX (1u << 20)
#define TO_LINE (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* One that fills up fast takes no room from the others. */
enum kind { CHANGES, ENDPOINTS, REFUSED, N_KINDS };

static const char *const suffixes[N_KINDS] = {
    [CHANGES] = "", [ENDPOINTS] = ".endpoints", [REFUSED] = ".refused",
};

struct file {
    char *path;
    int fd;                     /* -1: closed. */
    off_t size;
};

struct audit {
    struct file files[N_KINDS];
};

static int
open_file(struct file *f)
{
    struct stat st;

    f->fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
                          | O_NOFOLLOW, 0600);
    if (f->fd < 0) {
        return -errno;
    }
    f->size = fstat(f->fd, &st) ? 0 : st.st_size;
    return 0;
}

struct audit *
audit_open(const char *path)
{
    struct audit *a = calloc(1, sizeof *a);
    int err = a ? 0 : -ENOMEM;

    for (int i = 0; a && i < N_KINDS; i++) {
        a->files[i].fd = -1;
    }
    for (int i = 0; !err && i < N_KINDS; i++) {
        struct file *f = &a->files[i];
        err = asprintf(&f->path, "%s%s", path, suffixes[i]) < 0 ? -ENOMEM
              : open_file(f);
        if (err == -ENOMEM) {
            f->path = NULL;
        } else if (err == -EROFS) {     /* That may pass: calls are logged. */
            LOG(api, ERR, "%s: %s", f->path, strerror(EROFS));
            err = 0;
        }
    }
    if (err) {
        LOG(api, ERR, "%s: %s", path, strerror(-err));
        audit_close(a);
        return NULL;
    }
    return a;
}

void
audit_close(struct audit *a)
{
    for (int i = 0; a && i < N_KINDS; i++) {
        if (a->files[i].fd >= 0) {
            close(a->files[i].fd);
        }
        free(a->files[i].path);
    }
    free(a);
}

static void
rotate(struct file *f)
{
    for (int i = AUDIT_FILES - 1; i >= 0; i--) {
        char from[4400], to[4400];
        snprintf(from, sizeof from, i ? "%s.%d" : "%s", f->path, i);
        snprintf(to, sizeof to, "%s.%d", f->path, i + 1);
        if (rename(from, to) && errno != ENOENT) {
            LOG_RATE(api, WARN, "%s: %s", to, strerror(errno));
        }
    }
    close(f->fd);
    int err = open_file(f);
    if (err) {
        LOG(api, ERR, "%s: %s", f->path, strerror(-err));
    }
}

static void
append(struct file *f, struct json_object *o)
{
    const char *text = json_object_to_json_string_ext(o, TO_LINE);
    char *line = NULL;
    int n = asprintf(&line, "%s\n", text);

    if (n < 0) {
        return;
    }
    if (f->fd < 0) {
        open_file(f);
    }
    if (f->fd >= 0) {
        ssize_t done = write(f->fd, line, (size_t) n);
        if (done != n) {
            LOG_RATE(api, ERR, "%s: %s", f->path,
                     done < 0 ? strerror(errno) : "written in part");
        }
        f->size += done > 0 ? done : 0;
        if (f->size > (off_t) AUDIT_SIZE) {
            rotate(f);
        }
    }
    free(line);
}

/* A copy of 'v', or its size if it is too long to be kept. */
static struct json_object *
part(struct json_object *v)
{
    size_t n = strlen(json_object_to_json_string_ext(v, TO_LINE));

    if (n <= MAX_PART) {
        return json_object_get(v);
    }
    struct json_object *o = json_object_new_object();
    reply_uint(o, "omitted_bytes", n);
    return o;
}

void
audit_write(void *a_, const struct rpc_audit_entry *e)
{
    struct audit *a = a_;
    struct json_object *o = json_object_new_object();

    reply_time(o, "time", clock_wall_us());
    reply_string(o, "who", *e->caller->name ? e->caller->name : NULL);
    reply_string(o, "role", role_name(e->caller->role));
    reply_string(o, "transport", e->caller->transport);
    reply_string(o, "from", e->caller->from);
    reply_string(o, "method", e->method->name);
    json_object_object_add(o, "params", part(e->params));
    json_object_object_add(o, "before", part(e->before));
    json_object_object_add(o, "after", part(e->after));
    bool refused = e->code == RPC_FORBIDDEN
                   || e->code == RPC_UNAUTHENTICATED;
    reply_string(o, "outcome", !e->code ? "done" : refused ? "refused"
                 : "failed");
    reply_string(o, "message", e->message);
    const char *who = *e->caller->name ? e->caller->name : "nobody";
    if (refused) {              /* A flood of these hides no changes. */
        LOG_RATE(api, NOTICE, "%s (%s, %s) %s: %s", who,
                 e->caller->transport, e->caller->from, e->method->name,
                 e->message);
    } else {
        LOG_RATE(api, INFO, "%s (%s, %s) %s: %s", who, e->caller->transport,
                 e->caller->from, e->method->name,
                 e->code ? e->message : "done");
    }
    append(&a->files[refused ? REFUSED
                     : e->method->role == ROLE_ORCHESTRATOR ? ENDPOINTS
                     : CHANGES], o);
    json_object_put(o);
}

/* The lines of one kind from the newest back, read in blocks from the end of
 * its files: a few entries cost the same however long the log is. */
struct back {
    const struct file *file;
    int number;                 /* The next file to be opened, from 0 on. */
    int fd;                     /* -1: none is open. */
    off_t at;                   /* What of it comes before 'buf'. */
    char *buf;                  /* 'n' bytes that were not taken yet. */
    size_t n, room;
    struct json_object *entry;  /* The next one; NULL: there is none. */
    size_t entry_size;          /* Of its line. */
    const char *entry_time;
};

/* The next older file.  False: there is none. */
static bool
back_open(struct back *b)
{
    struct stat st;
    char path[4400];

    while (b->fd < 0 && b->number <= AUDIT_FILES) {
        snprintf(path, sizeof path, b->number ? "%s.%d" : "%s", b->file->path,
                 b->number);
        b->number++;
        b->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (b->fd >= 0 && fstat(b->fd, &st)) {
            close(b->fd);
            b->fd = -1;
        }
    }
    b->at = b->fd < 0 ? 0 : st.st_size;
    b->n = 0;
    return b->fd >= 0;
}

static void
back_close(struct back *b)
{
    if (b->fd >= 0) {
        close(b->fd);
    }
    b->fd = -1;
}

/* A block more before what is there.  False: there is nothing before, or it
 * cannot be had. */
static bool
back_fill(struct back *b)
{
    size_t n = b->at < BACK_BLOCK ? (size_t) b->at : BACK_BLOCK;

    if (!n) {
        return false;
    }
    if (b->n + n > b->room) {
        size_t room = 2 * (b->n + n);
        char *buf = realloc(b->buf, room);
        if (!buf) {
            return false;
        }
        b->buf = buf;
        b->room = room;
    }
    memmove(b->buf + n, b->buf, b->n);
    if (pread(b->fd, b->buf, n, b->at - (off_t) n) != (ssize_t) n) {
        return false;           /* Somebody has cut it. */
    }
    b->at -= (off_t) n;
    b->n += n;
    return true;
}

/* The next line, in the buffer; NULL: there are no more. */
static const char *
back_line(struct back *b, size_t *size)
{
    while (b->fd >= 0 || back_open(b)) {
        size_t end = b->n && b->buf[b->n - 1] == '\n' ? b->n - 1 : b->n;
        const char *eol = end ? memrchr(b->buf, '\n', end) : NULL;
        if (!eol && b->n > BACK_LINE_MAX) {
            b->n = 0;           /* None of ours is as long. */
        }
        if (!eol && back_fill(b)) {
            continue;
        }
        size_t start = eol ? (size_t) (eol + 1 - b->buf) : 0;
        if (!b->n) {
            back_close(b);
            continue;
        }
        *size = end - start;
        b->n = start;
        return b->buf + start;
    }
    return NULL;
}

/* Makes the next older entry the one at hand; lines that are none are left
 * out. */
static void
back_next(struct back *b)
{
    struct json_limits limits = json_default_limits;
    const char *line;

    json_object_put(b->entry);
    b->entry = NULL;
    while (!b->entry && (line = back_line(b, &b->entry_size))) {
        struct json_object *o = NULL;
        if (!json_parse(line, b->entry_size, &limits, 0, &o, NULL)
            && json_object_is_type(o, json_type_object)) {
            const char *time = json_text(o, "time");
            b->entry = o;
            b->entry_time = time ? time : "";
        } else {
            json_object_put(o);
        }
    }
}

static void
back_destroy(struct back *b)
{
    json_object_put(b->entry);
    back_close(b);
    free(b->buf);
}

struct json_object *
audit_read(const struct audit *a, size_t n, bool *more)
{
    struct json_object *list = json_object_new_array();
    struct back backs[N_KINDS], *newest;
    size_t size = 0;

    for (int i = 0; i < N_KINDS; i++) {
        backs[i] = (struct back) { .file = &a->files[i], .fd = -1 };
        back_next(&backs[i]);
    }
    for (;;) {
        newest = NULL;
        for (int i = 0; i < N_KINDS; i++) {     /* Times sort as texts. */
            struct back *b = &backs[i];
            if (b->entry && (!newest || strcmp(b->entry_time,
                                               newest->entry_time) > 0)) {
                newest = b;
            }
        }
        size_t have = json_object_array_length(list);
        if (!newest || have >= n
            || (have && size + newest->entry_size > AUDIT_READ_SIZE)) {
            break;
        }
        size += newest->entry_size;
        json_object_array_add(list, json_object_get(newest->entry));
        back_next(newest);
    }
    *more = newest != NULL;
    for (int i = 0; i < N_KINDS; i++) {
        back_destroy(&backs[i]);
    }
    return list;
}
