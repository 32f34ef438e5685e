#include <config.h>

#include "api/cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/fd_pass.h"
#include "api/json.h"
#include "api/wire.h"
#include "lib/clock.h"

#define FIRST_ROOM 65536
#define MAX_HEAD 65536          /* Of an HTTP answer. */
#define HANDSHAKE_MS 30000      /* And for logging in. */

enum kind { KIND_UNIX, KIND_TCP, KIND_TLS, KIND_HTTP, KIND_HTTPS };

struct client {
    enum kind kind;
    struct wire wire;
    struct wire_tls *tls;
    char *host;                 /* As HTTP wants it. */
    char *path;                 /* Of HTTP. */
    char *token;                /* Or NULL. */
    char *text;                 /* What has come and was not read yet. */
    size_t n, room;
};

static volatile sig_atomic_t interrupted;

/* Answers come from our own daemon: no limit but sanity. */
static const struct json_limits answer_limits = {
    .size = (size_t) 1 << 30, .values = UINT32_MAX, .containers = UINT32_MAX,
    .depth = 64,
};

static const struct {
    const char *prefix, *port;
    enum kind kind;
} kinds[] = {
    { "unix:", NULL, KIND_UNIX }, { "/", NULL, KIND_UNIX },
    { "tcp://", "8782", KIND_TCP }, { "tls://", "8781", KIND_TLS },
    { "http://", "8780", KIND_HTTP }, { "https://", "443", KIND_HTTPS },
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

bool
client_interrupted(void)
{
    return interrupted;
}

static void
explain(char **error, const char *where, int err)
{
    const char *hint = "";

    switch (err) {
    case ENOENT:
        hint = "\nIs venturid running?  Its socket is elsewhere if it was "
               "started with --api or --run-dir: say so with --to or in "
               "VENTURI_API.";
        break;
    case ECONNREFUSED:
        hint = "\nventurid is not running, or does not listen there.";
        break;
    case EACCES:
    case EPERM:
        hint = "\nOnly root and members of the group that owns the socket may "
               "ask venturid (usermod -aG venturi USER), or use sudo.";
        break;
    }
    if (asprintf(error, "cannot connect to %s: %s%s", where, strerror(err),
                 hint) < 0) {
        *error = NULL;
    }
}

static int
connect_unix(const char *path, char **error)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof sun.sun_path) {
        explain(error, path, ENAMETOOLONG);
        return -1;
    }
    memcpy(sun.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &sun, sizeof sun)) {
        explain(error, path, errno);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* "host", "host:port", "[address]:port" in '*host' and '*port'. */
static bool
split(char *text, char **host, const char **port)
{
    char *end = *text == '[' ? strchr(text, ']') : NULL, *colon;

    *host = text;
    if (*text == '[') {
        if (!end || (end[1] && end[1] != ':')) {
            return false;
        }
        *host = text + 1;
        *end = '\0';
        colon = end[1] ? end + 1 : NULL;
    } else {
        colon = strchr(text, ':');
    }
    if (colon) {
        *colon = '\0';
        *port = colon + 1;
    }
    return **host && **port;
}

static int
connect_tcp(const char *host, const char *port, char **error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *a;
    int e = getaddrinfo(host, port, &hints, &list), fd = -1, err = 0;

    if (e) {
        if (asprintf(error, "%s: %s", host, gai_strerror(e)) < 0) {
            *error = NULL;
        }
        return -1;
    }
    for (a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC,
                    a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen)) {
            err = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        char where[512];
        snprintf(where, sizeof where, "%s, port %s", host, port);
        explain(error, where, err);
    }
    return fd;
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
send_all(struct client *c, const char *text, size_t n, int file,
         const struct patience *p)
{
    int fd = c->wire.fd, err = 0;

    while (n && !err) {
        ssize_t done = file > 0 ? fd_pass_send(fd, text, n, file)
                                : wire_send(&c->wire, text, n);
        if (file > 0 && done < 0) {
            done = errno == EINTR ? -EAGAIN : -errno;
        }
        if (done == -EAGAIN) {
            err = wait_for(fd, c->wire.want_read ? POLLIN : POLLOUT, p);
        } else if (done < 0) {
            break;
        } else {
            file = -1;
            text += done;
            n -= (size_t) done;
        }
    }
    return err;
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
        ssize_t got = wire_recv(&c->wire, c->text + c->n, c->room - c->n);
        if (got == -EAGAIN) {
            int err = wait_for(c->wire.fd,
                               c->wire.want_write ? POLLOUT : POLLIN, p);
            if (err) {
                return err;
            }
        } else if (got <= 0) {
            return got ? (int) got : -ECONNRESET;
        } else {
            p->heard_ms = clock_mono_ms();
            c->n += (size_t) got;
            return 0;
        }
    }
}

/* Connecting. */

/* The handshake, so that its errors are told as such. */
static bool
shake_hands(struct client *c, char **error)
{
    const struct patience p = { .until_ms = clock_mono_ms() + HANDSHAKE_MS };
    int err = 0;

    while (c->wire.ssl && !wire_is_open(&c->wire) && !err) {
        err = wire_handshake(&c->wire);
        if (err == -EAGAIN) {
            err = wait_for(c->wire.fd, c->wire.want_read ? POLLIN : POLLOUT,
                           &p);
        }
    }
    if (err && asprintf(error, "TLS: %s%s", err == -EPROTO
                        ? wire_handshake_reason(&c->wire) : strerror(-err),
                        err == -EPROTO && wire_distrusts(&c->wire)
                        ? "\nDoes --ca name the CA that has signed the server's "
                        "certificate, and is that for the name asked for?"
                        : "") < 0) {
        *error = NULL;
    }
    return !err;
}

static bool
log_in(struct client *c, char **error)
{
    struct json_object *params = json_object_new_object(), *reply = NULL;

    json_object_object_add(params, "token", json_object_new_string(c->token));
    const struct client_request request = {
        .method = "session.login", .params = params,
        .silence_ms = HANDSHAKE_MS,
    };
    int err = client_call(c, &request, &reply, error);
    if (err && reply) {
        struct json_object *message = NULL;
        json_object_object_get_ex(reply, "message", &message);
        *error = strdup(message ? json_object_get_string(message)
                                : "the token is refused");
    }
    json_object_put(reply);
    return !err;
}

static bool
open_remote(struct client *c, const struct client_to *to, const char *rest,
            const char *port, char **error)
{
    struct wire_files files = { to->certificate, to->private_key, to->ca,
                                false };
    char *copy = strdup(rest), *host;
    size_t n = strcspn(copy, "/");
    bool secure = c->kind == KIND_TLS || c->kind == KIND_HTTPS;
    bool ok = false;

    c->path = strdup(copy[n] && copy[n + 1] ? copy + n : "/rpc");
    copy[n] = '\0';
    c->host = strdup(copy);
    if (secure) {
        signal(SIGPIPE, SIG_IGN);       /* OpenSSL writes without a flag. */
        c->tls = wire_tls_client(&files, error);
        if (!c->tls) {
            free(copy);
            return false;
        }
    }
    if (!split(copy, &host, &port)) {
        if (asprintf(error, "%s: expected HOST:PORT", rest) < 0) {
            *error = NULL;
        }
    } else {
        int fd = connect_tcp(host, port, error);
        if (fd >= 0) {
            fcntl(fd, F_SETFL, O_NONBLOCK);
            ok = !wire_connect(&c->wire, fd, c->tls, host)
                 && shake_hands(c, error);
        }
    }
    free(copy);
    return ok;
}

struct client *
client_connect(const struct client_to *to, char **error)
{
    const char *address = to->address;
    struct client *c = calloc(1, sizeof *c);
    size_t i = 0, n = sizeof kinds / sizeof kinds[0];

    *error = NULL;
    if (!c) {
        return NULL;
    }
    c->wire.fd = -1;
    catch_interrupt();
    while (i < n && strncmp(address, kinds[i].prefix,
                            strlen(kinds[i].prefix))) {
        i++;
    }
    bool ok = false;
    if (i == n || !strcmp(address, "unix:")) {
        if (asprintf(error, "%s: not an address; expected unix:/PATH, /PATH, "
                     "or tcp://, tls://, http:// or https:// and HOST:PORT",
                     address) < 0) {
            *error = NULL;
        }
    } else if (kinds[i].kind == KIND_UNIX) {
        int fd = connect_unix(strncmp(address, "unix:", 5) ? address
                              : address + 5, error);
        ok = fd >= 0 && !wire_connect(&c->wire, fd, NULL, NULL);
    } else {
        c->kind = kinds[i].kind;
        c->token = to->token ? strdup(to->token) : NULL;
        ok = open_remote(c, to, address + strlen(kinds[i].prefix),
                         kinds[i].port, error)
             && (!c->token || c->kind > KIND_TLS || log_in(c, error));
    }
    if (!ok) {
        client_close(c);
        return NULL;
    }
    return c;
}

void
client_close(struct client *c)
{
    if (c) {
        wire_close(&c->wire);
        wire_tls_destroy(c->tls);
        free(c->host);
        free(c->path);
        free(c->token);
        free(c->text);
        free(c);
    }
}

/* HTTP. */

static int
http_send(struct client *c, const char *text, size_t n,
          const struct patience *p)
{
    char *request;
    int size = asprintf(&request, "POST %s HTTP/1.1\r\nHost: %s\r\n"
                        "Content-Type: application/json\r\n%s%s%s"
                        "Content-Length: %zu\r\n\r\n%s", c->path, c->host,
                        c->token ? "Authorization: Bearer " : "",
                        c->token ? c->token : "", c->token ? "\r\n" : "", n,
                        text);

    if (size < 0) {
        return -ENOMEM;
    }
    int err = send_all(c, request, (size_t) size, -1, p);
    free(request);
    return err;
}

/* The value of a header within 'head', or NULL. */
static const char *
http_header(const char *head, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = head; (line = strstr(line, "\r\n")); ) {
        line += 2;
        if (!strncasecmp(line, name, n) && line[n] == ':') {
            return line + n + 1 + strspn(line + n + 1, " \t");
        }
    }
    return NULL;
}

/* Reads the head of an answer away; what follows stays in the buffer.  The
 * daemon tells lengths; so must a proxy between us. */
static int
http_head(struct client *c, struct patience *p, char **error)
{
    char *end = NULL;

    c->n = 0;
    while (!end) {
        int err = c->n < MAX_HEAD ? receive_some(c, p) : -EMSGSIZE;
        if (err) {
            return err;
        }
        end = memmem(c->text, c->n, "\r\n\r\n", 4);
    }
    *end = '\0';
    const char *length = http_header(c->text, "content-length");
    const char *type = http_header(c->text, "content-type");
    if (strncmp(c->text, "HTTP/1.", 7) || !length || !type
        || strncmp(type, "application/json", 16)) {
        if (asprintf(error, "not the answer of venturid: %.*s",
                     (int) strcspn(c->text, "\r\n"), c->text) < 0) {
            *error = NULL;
        }
        return -EPROTO;
    }
    c->n -= (size_t) (end + 4 - c->text);
    memmove(c->text, end + 4, c->n);
    return 0;
}

/* Texts. */

/* The next JSON text.  0 or a negative errno. */
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
    if (r->fd > 0 && c->kind != KIND_UNIX) {
        *error = strdup("files can be handed over on the same machine only: "
                        "use the unix socket");
        json_object_put(r->params);
        return -EOPNOTSUPP;
    }
    char *text = request_text(r);
    if (!text) {
        return -ENOMEM;
    }
    bool http = c->kind >= KIND_HTTP;
    int err = http ? http_send(c, text, strlen(text), &p)
              : send_all(c, text, strlen(text), r->fd, &p);
    free(text);
    if (err) {
        *error = strdup(err == -EINTR ? "interrupted" : "venturid does not "
                        "read the request");
        return err;
    }
    err = http ? http_head(c, &p, error) : 0;
    if (err && !*error) {
        *error = strdup(err == -EPROTO ? wire_reason()
                        : err == -ECONNRESET ? "venturid closed the connection"
                        : strerror(-err));
    }
    err = err ? err : receive_answer(c, r, &p, &o, error);
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
