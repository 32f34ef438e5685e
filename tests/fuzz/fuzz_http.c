/* HTTP and WebSocket, from the socket to JSON-RPC with nothing behind it: what
 * a client sends, in pieces, and what it gets.
 *
 * A byte 1 in the input is a pause: the server reads what came before.  Whatever
 * comes, the answers are whole HTTP responses (or frames after an upgrade), no
 * more of them than there were requests, and when the client has gone nothing of
 * it is left. */
#include <config.h>

#include <errno.h>
#include <ev.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/config_api.h"
#include "api/context.h"
#include "api/server.h"
#include "api/server_p.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_ANSWERS ((size_t) 8 << 20)
#define ROUNDS 64

static struct ev_loop *loop;
static struct api *api;
static struct http *http;

static void
start(void)
{
    static const struct api_context nothing;
    struct api_limits limits = { .max_request = 65536 };
    char *error = NULL;

    loop = ev_loop_new(EVFLAG_AUTO);
    api = api_create(loop, &nothing, &limits);
    http = api ? http_create(api, &error) : NULL;
    if (!http) {
        fprintf(stderr, "%s\n", error ? error : "out of memory");
        exit(1);
    }
    api->http = http;
}

struct answers {
    char *text;
    size_t size;
    bool end;
};

/* Lets the server work, and takes what it says, until nothing happens. */
static void
run(int fd, struct answers *a)
{
    for (int i = 0, idle = 0; i < ROUNDS && idle < 4; i++) {
        ev_run(loop, EVRUN_NOWAIT);
        ssize_t n = recv(fd, a->text + a->size, MAX_ANSWERS - a->size,
                         MSG_DONTWAIT);
        idle = n > 0 ? 0 : idle + 1;
        if (n > 0) {
            a->size += (size_t) n;
        } else if (!n || (errno != EAGAIN && errno != EINTR)) {
            a->end = true;
        }
    }
}

/* Whole responses, each with its length; then, maybe, frames. */
static size_t
check(const struct answers *a)
{
    const char *p = a->text, *end = a->text + a->size;
    size_t n = 0;

    while (p < end) {
        const char *body = memmem(p, (size_t) (end - p), "\r\n\r\n", 4);
        /* libwebsockets itself answers what is no HTTP with HTTP/1.0. */
        if (end - p < 12 || strncmp(p, "HTTP/1.", 7) || !body) {
            abort();
        }
        unsigned status = (unsigned) atoi(p + 9);
        body += 4;
        n++;
        if (status == 101) {
            return n;
        }
        const char *length = strcasestr(p, "\r\nContent-Length: ");
        if (!length || length > body || status < 200 || status > 599) {
            abort();
        }
        unsigned long size = strtoul(length + 18, NULL, 10);
        if (size > (size_t) (end - body)) {
            /* A head alone: HEAD was asked, or it is still being sent. */
            return n;
        }
        p = body + size;
        if (p < end && strncmp(p, "HTTP/1.", 7)) {
            /* After HEAD, what follows is the next response. */
            p = body;
        }
    }
    return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];

    if (!loop) {
        start();
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   fds)) {
        return 0;
    }
    struct answers a = { .text = malloc(MAX_ANSWERS + 1) };
    size_t lines = 1;
    if (http_adopt(http, fds[0], false) || !a.text) {
        close(fds[1]);
        free(a.text);
        return 0;
    }
    for (const uint8_t *p = data, *end = data + size; p < end && !a.end; ) {
        const uint8_t *pause = memchr(p, 1, (size_t) (end - p));
        size_t n = (size_t) ((pause ? pause : end) - p);
        for (size_t i = 0; i < n; i++) {
            lines += p[i] == '\n';
        }
        ssize_t sent = n ? send(fds[1], p, n, MSG_NOSIGNAL) : 0;
        run(fds[1], &a);
        p += n && sent >= 0 ? (size_t) sent : n;
        p += p < end && pause && p == pause;
        if (sent < 0) {
            break;
        }
    }
    a.text[a.size] = '\0';
    if (check(&a) > lines) {
        abort();                /* More answers than there can be requests. */
    }
    shutdown(fds[1], SHUT_RDWR);
    close(fds[1]);
    for (int i = 0; i < 8 * ROUNDS && api_n_clients(api); i++) {
        ev_run(loop, EVRUN_NOWAIT);
        http_sweep(http, INT64_MAX / 2);
    }
    if (api_n_clients(api) || api->in_total || api->out_total) {
        abort();                /* Something is left of it. */
    }
    free(a.text);
    return 0;
}
