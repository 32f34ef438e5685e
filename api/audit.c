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

struct audit {
    char *path;
    int fd;
    off_t size;
};

static int
open_file(struct audit *a)
{
    struct stat st;

    a->fd = open(a->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
                          | O_NOFOLLOW, 0600);
    if (a->fd < 0) {
        return -errno;
    }
    a->size = fstat(a->fd, &st) ? 0 : st.st_size;
    return 0;
}

struct audit *
audit_open(const char *path)
{
    struct audit *a = calloc(1, sizeof *a);
    int err = a && (a->path = strdup(path)) ? open_file(a) : -ENOMEM;

    if (err) {
        LOG(api, ERR, "%s: %s", path, strerror(-err));
    }
    if (err && err != -EROFS) {         /* That may pass: calls are logged. */
        audit_close(a);
        return NULL;
    }
    return a;
}

void
audit_close(struct audit *a)
{
    if (a) {
        if (a->fd > 0) {
            close(a->fd);
        }
        free(a->path);
        free(a);
    }
}

static void
rotate(struct audit *a)
{
    for (int i = AUDIT_FILES - 1; i >= 0; i--) {
        char from[4400], to[4400];
        snprintf(from, sizeof from, i ? "%s.%d" : "%s", a->path, i);
        snprintf(to, sizeof to, "%s.%d", a->path, i + 1);
        if (rename(from, to) && errno != ENOENT) {
            LOG_RATE(api, WARN, "%s: %s", to, strerror(errno));
        }
    }
    close(a->fd);
    int err = open_file(a);
    if (err) {
        LOG(api, ERR, "%s: %s", a->path, strerror(-err));
    }
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

    const char *text = json_object_to_json_string_ext(o, TO_LINE);
    char *copy = NULL;
    int n = asprintf(&copy, "%s\n", text);
    if (n >= 0 && a->fd < 0) {
        open_file(a);
    }
    if (n >= 0 && a->fd >= 0) {
        ssize_t done = write(a->fd, copy, (size_t) n);
        if (done != n) {
            LOG_RATE(api, ERR, "%s: %s", a->path,
                     done < 0 ? strerror(errno) : "written in part");
        }
        a->size += done > 0 ? done : 0;
        if (a->size > (off_t) AUDIT_SIZE) {
            rotate(a);
        }
    }
    free(copy);
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

struct json_object *
audit_read(const struct audit *a, size_t n)
{
    struct json_object *list = json_object_new_array();
    char path[4400];

    for (int i = 0; i <= AUDIT_FILES
         && json_object_array_length(list) < n; i++) {
        snprintf(path, sizeof path, i ? "%s.%d" : "%s", a->path, i);
        read_file(path, list, n - json_object_array_length(list));
    }
    return list;
}
