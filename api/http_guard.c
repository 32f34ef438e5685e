/* Heads of requests, before libwebsockets sees them. */
#include <config.h>

#include "api/http_p.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "api/config_api.h"
#include "api/http_head.h"
#include "api/jsonrpc.h"
#include "lib/clock.h"
#include "lib/log.h"

/* Who just tries whether somebody listens is no matter. */
void
web_tell_end(struct web *w)
{
    if (!w->asked && !w->going) {
        counter_inc(&w->http->api->n.http_unasked);
        LOG_RATE(api, INFO, "http %s: closed before the head of a request "
                 "was complete", w->from);
    }
}

/* Answers past libwebsockets, which has seen nothing of it. */
void
web_guard_refuse(struct web *w, unsigned status, const char *reason)
{
    struct api *api = w->http->api;
    char body[512], text[1024];
    int n = web_refusal_text(body, sizeof body, RPC_INVALID_REQUEST, reason);

    counter_inc(&api->n.http_refused);
    web_tell_refusal(w, status, reason);
    n = snprintf(text, sizeof text, "HTTP/1.1 %u %s\r\nContent-Type: "
                 "application/json\r\nContent-Length: %d\r\n%sConnection: "
                 "close\r\n\r\n%s", status, web_status_text(status), n,
                 status == 405 ? "Allow: GET, HEAD, POST, OPTIONS\r\n" : "",
                 body);
    if (send(w->fd, text, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL) == n) {
        counter_add(&api->n.octets_out, (uint64_t) n);
    }
    shutdown(w->fd, SHUT_WR);
    /* What is left unread would take the answer away with it. */
    for (int i = 0; i < 4 && recv(w->fd, api->buf, sizeof api->buf,
                                  MSG_DONTWAIT) > 0; i++) {
    }
    lws_rx_flow_control(w->wsi, 0);
    web_kill(w);
}

/* Less than 'n' bytes will not do; 0: all that is wanted is there. */
static void
guard_wait(struct web *w, int n)
{
    if (n && !w->in_ms) {
        w->in_ms = clock_mono_ms();
    }
    if (w->low_water != n && !w->tls) {
        int bytes = n ? n : 1;
        setsockopt(w->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
        lws_rx_flow_control(w->wsi, !n);
    }
    w->low_water = n;
}

/* Is this the head of a request?  -EAGAIN: it goes on. */
static int
look(struct web *w, const char *p, size_t n)
{
    const struct config_api *c = api_config(w->http->api);
    struct http_head head;
    int status = http_head_check(p, n, HTTP_HEADERS_MAX, &head);

    /* A proxy that adds its word to the client's: which would it be? */
    if (!status && c && http_head_count(p, head.size, c->user_header) > 1) {
        status = 400;
        head.reason = "a header that only a proxy may set came twice";
    }
    if (!status) {
        w->piped = n - head.size > head.length;
        w->expects = http_head_count(p, head.size, "expect") > 0;
        w->passed = true;
        guard_wait(w, 0);
        web_guard_stop(w);
    } else if (status > 0) {
        web_guard_refuse(w, (unsigned) status, head.reason);
    }
    return status;
}

static void
on_end(struct web *w)
{
    web_tell_end(w);
    w->going = true;
    guard_wait(w, 0);
    web_guard_stop(w);          /* libwebsockets sees the end, too. */
}

/* Woken without more bytes: none will come. */
static bool
at_end(const struct web *w, ssize_t n)
{
    struct pollfd p = { .fd = w->fd, .events = POLLRDHUP };

    return n < w->low_water && poll(&p, 1, 0) > 0 && p.revents;
}

static void
go_on(struct web *w, size_t n, bool end)
{
    if (end) {
        web_guard_refuse(w, 400, "half of a request");
    } else {
        guard_wait(w, (int) n + 1);
    }
}

/* Runs before libwebsockets' own watcher of the same socket, and keeps that
 * from reading until a head is complete and in order. */
static void
on_head(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct web *w = watcher->data;
    struct api *api = w->http->api;

    (void) loop;
    (void) revents;
    ssize_t n = recv(w->fd, api->buf, sizeof api->buf,
                     MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) {
        if (look(w, api->buf, (size_t) n) == -EAGAIN) {
            go_on(w, (size_t) n, at_end(w, n));
        }
    } else if (!n || (errno != EAGAIN && errno != EINTR)) {
        on_end(w);
    }
}

void
web_guard_bytes(struct web *w, const char *p, size_t n, bool end)
{
    if (!n) {
        on_end(w);
    } else if (look(w, p, n) == -EAGAIN) {
        go_on(w, n, end);
    }
}

void
web_guard_init(struct web *w)
{
    ev_io_init(&w->guard, on_head, w->fd, EV_READ);
    ev_set_priority(&w->guard, EV_MAXPRI);
    w->guard.data = w;
}

void
web_guard_start(struct web *w)
{
    w->guarding = true;
    if (!w->tls) {
        ev_io_start(w->http->api->loop, &w->guard);
    } else {
        http_tls_wake(w->tls);  /* It may be there already. */
    }
}

void
web_guard_stop(struct web *w)
{
    w->guarding = false;
    ev_io_stop(w->http->api->loop, &w->guard);
}
