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

/* The newest lines of a file, newest first, until there are 'n'. */
static void
read_file(const char *path, struct json_object *list, size_t n)
{
    struct json_limits limits = json_default_limits;
    char *line = NULL, **ring = calloc(n ? n : 1, sizeof *ring);
    size_t room = 0, count = 0;
    FILE *f = fopen(path, "re");
    ssize_t size;

    while (f && ring && (size = getline(&line, &room, f)) > 0) {
        free(ring[count % n]);
        ring[count++ % n] = strndup(line, (size_t) size);
    }
    if (f) {
        fclose(f);
    }
    for (size_t i = 0; ring && i < n && i < count; i++) {
        char **at = &ring[(count - 1 - i) % n];
        struct json_object *o = NULL;
        if (*at && !json_parse(*at, strlen(*at), &limits, 0, &o, NULL)) {
            json_object_array_add(list, o);
        }
    }
    for (size_t i = 0; ring && i < n; i++) {
        free(ring[i]);
    }
    free(ring);
    free(line);
}

static struct json_object *
read_kind(const struct file *f, size_t n)
{
    struct json_object *list = json_object_new_array();
    char path[4400];

    for (int i = 0; i <= AUDIT_FILES
         && json_object_array_length(list) < n; i++) {
        snprintf(path, sizeof path, i ? "%s.%d" : "%s", f->path, i);
        read_file(path, list, n - json_object_array_length(list));
    }
    return list;
}

struct json_object *
audit_read(const struct audit *a, size_t n)
{
    struct json_object *list = json_object_new_array();
    struct json_object *kinds[N_KINDS];
    size_t at[N_KINDS] = { 0 };

    for (int i = 0; i < N_KINDS; i++) {
        kinds[i] = read_kind(&a->files[i], n);
    }
    while (json_object_array_length(list) < n) {
        struct json_object *newest = NULL;
        const char *newest_time = NULL;
        int from = 0;
        for (int i = 0; i < N_KINDS; i++) {     /* Times sort as texts. */
            struct json_object *o = json_object_array_get_idx(kinds[i], at[i]);
            const char *time = o ? json_text(o, "time") : NULL;
            if (o && (!newest || strcmp(time ? time : "", newest_time) > 0)) {
                newest = o;
                newest_time = time ? time : "";
                from = i;
            }
        }
        if (!newest) {
            break;
        }
        json_object_array_add(list, json_object_get(newest));
        at[from]++;
    }
    for (int i = 0; i < N_KINDS; i++) {
        json_object_put(kinds[i]);
    }
    return list;
}
