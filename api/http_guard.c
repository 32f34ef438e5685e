/* Heads of requests, before libwebsockets sees them. */
#include <config.h>

#include "api/http_p.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "api/http_head.h"
#include "api/jsonrpc.h"
#include "lib/clock.h"
#include "lib/log.h"

/* libwebsockets closes by itself who is silent, and with TLS what is no HTTP.
 * Who just tries whether somebody listens is no matter. */
void
web_tell_end(struct web *w)
{
    int64_t age = clock_mono_ms() - w->since_ms;

    if (w->asked || w->going) {
        return;
    }
    counter_inc(&w->http->api->n.http_unasked);
    if (!w->guarded && age >= HTTP_STEP_S * 1000 - 500) {
        counter_inc(&w->http->api->n.slow_requests);
        LOG_RATE(api, NOTICE, "http %s: closed, the head of its request was "
                 "not complete after %" PRId64 " s", w->from, age / 1000);
    } else {
        LOG_RATE(api, INFO, "http %s: closed before the head of a request "
                 "was complete, or it was none (at most %d bytes)", w->from,
                 HTTP_HEADERS_MAX);
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
    if (w->low_water != n) {
        int bytes = n ? n : 1;
        setsockopt(w->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
        lws_rx_flow_control(w->wsi, !n);
        w->low_water = n;
    }
}

/* Woken without more bytes: none will come. */
static bool
at_end(const struct web *w, ssize_t n)
{
    struct pollfd p = { .fd = w->fd, .events = POLLRDHUP };

    return n < w->low_water && poll(&p, 1, 0) > 0 && p.revents;
}

/* Runs before libwebsockets' own watcher of the same socket, and keeps that
 * from reading until a head is complete and in order. */
void
web_on_head(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct web *w = watcher->data;
    struct api *api = w->http->api;
    struct http_head head;

    (void) revents;
    ssize_t n = recv(w->fd, api->buf, sizeof api->buf,
                     MSG_PEEK | MSG_DONTWAIT);
    if (n <= 0) {
        if (!n || (errno != EAGAIN && errno != EINTR)) {
            web_tell_end(w);
            w->going = true;
            guard_wait(w, 0);
            ev_io_stop(loop, watcher);  /* libwebsockets sees the end, too. */
        }
        return;
    }
    int status = http_head_check(api->buf, (size_t) n, HTTP_HEADERS_MAX,
                                 &head);
    if (status == -EAGAIN && at_end(w, n)) {
        web_guard_refuse(w, 400, "half of a request");
    } else if (status == -EAGAIN) {
        guard_wait(w, (int) n + 1);
    } else if (status) {
        web_guard_refuse(w, (unsigned) status, head.reason);
    } else {
        w->piped = (size_t) n - head.size > head.length;
        w->passed = true;
        guard_wait(w, 0);
        ev_io_stop(loop, watcher);
    }
}

