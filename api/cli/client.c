#include <config.h>

#include "api/cli/client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/fd_pass.h"
#include "api/json.h"
#include "lib/clock.h"

#define FIRST_ROOM 65536

struct client {
    int fd;
    char *text;                 /* What has come and was not read yet. */
    size_t n, room;
};

static volatile sig_atomic_t interrupted;

/* Answers come from our own daemon: no limit but sanity. */
static const struct json_limits answer_limits = {
    .size = (size_t) 1 << 30, .values = UINT32_MAX, .containers = UINT32_MAX,
    .depth = 64,
};

static void
on_interrupt(int signum)
{
    (void) signum;
    interrupted = 1;
}

/* Ctrl-C while venturid works: it shall hear of that, and the terminal be left
 * tidy.  The second one is not waited for. */
static void
catch_interrupt(void)
{
    struct sigaction sa = { .sa_handler = on_interrupt,
                            .sa_flags = (int) SA_RESETHAND };

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

static void
explain(char **error, const char *path, int err)
{
    const char *hint = "";

    switch (err) {
    case ENOENT:
        hint = "\nIs venturid running?  Its socket is elsewhere if it was "
               "started with --api or --run-dir: say so with --api or in "
               "VENTURI_API.";
        break;
    case ECONNREFUSED:
        hint = "\nventurid is not running.";
        break;
    case EACCES:
    case EPERM:
        hint = "\nOnly root and members of the group that owns the socket may "
               "ask venturid (usermod -aG venturi USER), or use sudo.";
        break;
    }
    if (asprintf(error, "cannot connect to %s: %s%s", path, strerror(err),
                 hint) < 0) {
        *error = NULL;
    }
}

struct client *
client_connect(const char *address, char **error)
{
    const char *path = strncmp(address, "unix:", 5) ? address : address + 5;
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    struct client *c;

    *error = NULL;
    if (*path != '/' || strlen(path) >= sizeof sun.sun_path) {
        if (asprintf(error, "%s: not an address; expected unix:/PATH or /PATH",
                     address) < 0) {
            *error = NULL;
        }
        return NULL;
    }
    memcpy(sun.sun_path, path, strlen(path));
    c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0
        || connect(c->fd, (struct sockaddr *) &sun, sizeof sun)) {
        explain(error, path, errno);
        client_close(c);
        return NULL;
    }
    catch_interrupt();
    return c;
}

void
client_close(struct client *c)
{
    if (c) {
        if (c->fd >= 0) {
            close(c->fd);
        }
        free(c->text);
        free(c);
    }
}

/* When to give up, and why. */
struct patience {
    int64_t until_ms;           /* Monotonic; INT64_MAX: never. */
    int64_t silence_ms;         /* 0: any. */
    int64_t heard_ms;
};

/* Waits until the socket is ready.  0, -EINTR or -ETIMEDOUT. */
static int
wait_for(int fd, short events, const struct patience *p)
{
    struct pollfd pfd = { .fd = fd, .events = events };

    for (;;) {
        int64_t now = clock_mono_ms(), until = p->until_ms;
        if (p->silence_ms && p->heard_ms + p->silence_ms < until) {
            until = p->heard_ms + p->silence_ms;
        }
        if (interrupted) {
            return -EINTR;
        } else if (now >= until) {
            return -ETIMEDOUT;
        }
        /* Not for long: a signal may come just before. */
        int64_t wait = until - now < 250 ? until - now : 250;
        if (poll(&pfd, 1, (int) wait) > 0) {
            return 0;
        }
    }
}

/* Sends all of it.  A daemon that refuses a long request may have answered
 * before it has read all: then the answer counts, not this. */
static int
send_all(int fd, const char *text, size_t n, int file,
         const struct patience *p)
{
    while (n) {
        int err = wait_for(fd, POLLOUT, p);
        if (err) {
            return err;
        }
        ssize_t done = file > 0 ? fd_pass_send(fd, text, n, file)
                                : send(fd, text, n,
                                       MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0) {
            if (errno == EINTR || errno == EAGAIN) {
                continue;
            }
            break;
        }
        file = -1;
        text += done;
        n -= (size_t) done;
    }
    return 0;
}

/* Some more bytes. */
static int
receive_some(struct client *c, struct patience *p)
{
    if (c->n == c->room) {
        size_t room = c->room ? c->room * 2 : FIRST_ROOM;
        char *text = realloc(c->text, room);
        if (!text) {
            return -ENOMEM;
        }
        c->text = text;
        c->room = room;
    }
    for (;;) {
        int err = wait_for(c->fd, POLLIN, p);
        if (err) {
            return err;
        }
        ssize_t got = recv(c->fd, c->text + c->n, c->room - c->n,
                           MSG_DONTWAIT);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        } else if (got <= 0) {
            return got ? -errno : -ECONNRESET;
        }
        p->heard_ms = clock_mono_ms();
        c->n += (size_t) got;
        return 0;
    }
}

/* More bytes at the end of the buffer.  0 or a negative errno. */
static int
receive(struct client *c, struct patience *p, struct json_object **o,
        char **error)
{
    struct json_scan scan;
    struct json_error je = { .message = "" };
    enum json_verdict v = JSON_MORE;
    size_t seen = 0, used;
    int err = 0;

    *o = NULL;
    *error = NULL;
    json_scan_init(&scan, &answer_limits);
    while (!err && v == JSON_MORE) {
        if (seen == c->n) {
            err = receive_some(c, p);
        }
        if (!err) {
            v = json_scan_feed(&scan, c->text + seen, c->n - seen, &used);
            seen += used;
        }
    }
    if (!err) {
        err = json_parse(c->text, seen, &answer_limits, 0, o, &je);
        memmove(c->text, c->text + seen, c->n - seen);
        c->n -= seen;
    }
    if (err && asprintf(error, "no answer: %s%s%s",
                        err == -ECONNRESET ? "venturid closed the connection"
                        : err == -ETIMEDOUT ? "venturid did not answer in "
                          "time (see --timeout)"
                        : err == -EINTR ? "interrupted"
                        : strerror(-err), *je.message ? ": " : "",
                        je.message) < 0) {
        *error = NULL;
    }
    return err;
}

int
client_next(struct client *c, struct json_object **o, char **error)
{
    struct patience p = { .until_ms = INT64_MAX };

    *error = NULL;
    return receive(c, &p, o, error);
}

/* The request as text, to free(). */
static char *
request_text(const struct client_request *r)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "jsonrpc", json_object_new_string("2.0"));
    json_object_object_add(o, "method", json_object_new_string(r->method));
    if (r->params) {
        json_object_object_add(o, "params", r->params);
    }
    json_object_object_add(o, "id", json_object_new_int(1));
    char *text = strdup(json_object_to_json_string_ext(
        o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
    return text;
}

/* The answer, after news of progress that come before it. */
static int
receive_answer(struct client *c, const struct client_request *r,
               struct patience *p, struct json_object **o, char **error)
{
    for (;;) {
        struct json_object *method = NULL, *params = NULL;
        int err = receive(c, p, o, error);
        if (err || !json_object_is_type(*o, json_type_object)
            || !json_object_object_get_ex(*o, "method", &method)) {
            return err;
        }
        if (r->progress && !strcmp(json_object_get_string(method), "progress")
            && json_object_object_get_ex(*o, "params", &params)) {
            r->progress(r->aux, params);
        }
        json_object_put(*o);
        *o = NULL;
    }
}

int
client_call(struct client *c, const struct client_request *r,
            struct json_object **reply, char **error)
{
    struct json_object *o = NULL, *part = NULL;
    struct patience p = {
        .until_ms = r->timeout_ms ? clock_mono_ms() + r->timeout_ms
                                  : INT64_MAX,
        .silence_ms = r->silence_ms, .heard_ms = clock_mono_ms(),
    };

    *reply = NULL;
    *error = NULL;
    char *text = request_text(r);
    if (!text) {
        return -ENOMEM;
    }
    int err = send_all(c->fd, text, strlen(text), r->fd, &p);
    free(text);
    if (err) {
        *error = strdup(err == -EINTR ? "interrupted" : "venturid does not "
                        "read the request");
        return err;
    }
    err = receive_answer(c, r, &p, &o, error);
    if (err) {
        return err;
    }
    bool failed = json_object_object_get_ex(o, "error", &part);
    if (!failed && !json_object_object_get_ex(o, "result", &part)) {
        *error = strdup("the answer is not JSON-RPC: is this venturid's "
                        "socket?");
        json_object_put(o);
        return -EPROTO;
    }
    *reply = json_object_get(part);
    json_object_put(o);
    return failed ? -1 : 0;
}
