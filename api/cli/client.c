#include <config.h>

#include "api/cli/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/json.h"

struct client {
    int fd;
    char *buf;                  /* What came and was not looked at. */
    size_t size, room;
};

/* Answers come from our own daemon: no limit but sanity. */
static const struct json_limits answer_limits = {
    .size = (size_t) 1 << 30, .values = UINT32_MAX, .containers = UINT32_MAX,
    .depth = 64,
};

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
    return c;
}

void
client_close(struct client *c)
{
    if (c) {
        if (c->fd >= 0) {
            close(c->fd);
        }
        free(c->buf);
        free(c);
    }
}

/* Sends all of it.  A daemon that refuses a long request may have answered
 * before it has read all: then the answer counts, not this. */
static void
send_all(int fd, const char *text, size_t n)
{
    while (n) {
        ssize_t done = send(fd, text, n, MSG_NOSIGNAL);
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            break;
        }
        text += done;
        n -= (size_t) done;
    }
}

/* More bytes at the end of the buffer.  0 or a negative errno. */
static int
read_more(struct client *c)
{
    if (c->size == c->room) {
        size_t room = c->room ? c->room * 2 : 65536;
        char *p = realloc(c->buf, room);
        if (!p) {
            return -ENOMEM;
        }
        c->buf = p;
        c->room = room;
    }
    for (;;) {
        ssize_t got = recv(c->fd, c->buf + c->size, c->room - c->size, 0);
        if (got > 0) {
            c->size += (size_t) got;
            return 0;
        } else if (!got || errno != EINTR) {
            return got ? -errno : -ECONNRESET;
        }
    }
}

int
client_next(struct client *c, struct json_object **o, char **error)
{
    struct json_error je = { .message = "" };
    struct json_scan scan;
    enum json_verdict v = JSON_MORE;
    size_t seen = 0, used;
    int err = 0;

    *o = NULL;
    *error = NULL;
    json_scan_init(&scan, &answer_limits);
    while (!err && v == JSON_MORE) {
        if (seen == c->size) {
            err = read_more(c);
        }
        if (!err) {
            v = json_scan_feed(&scan, c->buf + seen, c->size - seen, &used);
            seen += used;
        }
    }
    if (!err) {
        err = json_parse(c->buf, seen, &answer_limits, 0, o, &je);
        c->size -= seen;
        memmove(c->buf, c->buf + seen, c->size);
    }
    if (err && asprintf(error, "no answer: %s%s%s",
                        err == -ECONNRESET ? "venturid closed the connection"
                        : strerror(-err), *je.message ? ": " : "",
                        je.message) < 0) {
        *error = NULL;
    }
    return err;
}

int
client_call(struct client *c, const char *method, struct json_object *params,
            struct json_object **reply, char **error)
{
    struct json_object *o = json_object_new_object(), *part = NULL;

    *reply = NULL;
    *error = NULL;
    json_object_object_add(o, "jsonrpc", json_object_new_string("2.0"));
    json_object_object_add(o, "method", json_object_new_string(method));
    if (params) {
        json_object_object_add(o, "params", params);
    }
    json_object_object_add(o, "id", json_object_new_int(1));
    const char *text = json_object_to_json_string_ext(
        o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    send_all(c->fd, text, strlen(text));
    json_object_put(o);
    o = NULL;

    /* News of subscriptions are not answers. */
    do {
        json_object_put(o);
        int err = client_next(c, &o, error);
        if (err) {
            return err;
        }
    } while (json_object_object_get_ex(o, "method", &part));
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
