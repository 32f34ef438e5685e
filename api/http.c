/* HTTP/1.1 and WebSocket (libwebsockets, on our event loop).
 *
 * Sockets are accepted by listen.c and handed over one by one. */
#include <config.h>

#include "api/http_p.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/access.h"
#include "api/http_head.h"
#include "api/jsonrpc_p.h"
#include "lib/clock.h"
#include "lib/log.h"

#define RX_SIZE 2048            /* Of a WebSocket; kept by each. */
#define HEADERS_ROOM (2 * HTTP_HEADERS_MAX)     /* libwebsockets adds some. */
#define HEAD_S 10               /* From a head's first byte to its last. */
#define IDLE_S 75               /* Between two requests. */

void
web_in_clear(struct web *w)
{
    w->http->api->in_total -= w->in_room;
    free(w->in);
    w->in = NULL;
    w->in_size = w->in_room = 0;
    w->in_ms = 0;
}

int
web_in_add(struct web *w, const char *p, size_t n)
{
    struct api *api = w->http->api;

    if (!n) {
        return 0;               /* There may be no buffer yet to copy into. */
    }
    if (n > api->limits.size - w->in_size) {
        return -EMSGSIZE;
    }
    if (w->in_size + n > w->in_room) {
        size_t room = w->in_size + n + w->in_size / 2;
        if (api->in_total + room - w->in_room > API_IN_TOTAL
            && api->in_total + room - w->in_room > 4 * api->limits.size) {
            return -EBUSY;
        }
        char *in = realloc(w->in, room);
        if (!in) {
            return -EBUSY;
        }
        api->in_total += room - w->in_room;
        w->in = in;
        w->in_room = room;
    }
    if (!w->in_ms) {
        w->in_ms = clock_mono_ms();
    }
    memcpy(w->in + w->in_size, p, n);
    w->in_size += n;
    return 0;
}

static void
web_destroy(struct web *w)
{
    rpc_peer_destroy(w->peer);
    while (w->first) {
        struct message *m = w->first;
        w->first = m->next;
        free(m);
    }
    w->http->api->out_total -= w->queued + (w->out ? w->out_size : 0);
    web_in_clear(w);
    free(w->out);
    free(w->origin);
    *w->prev = w->next;
    if (w->next) {
        w->next->prev = w->prev;
    }
    web_guard_stop(w);
    if (w->tls) {
        http_tls_web_gone(w->tls);
    } else {
        w->http->api->n_clients--;
    }
    free(w);
}

void
web_kill(struct web *w)
{
    w->going = true;
    web_guard_stop(w);
    if (w->wsi) {
        lws_set_timeout(w->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        lws_cancel_service(w->http->context);   /* To look at the time. */
    }
}

/* libwebsockets. */

static int
on_event(struct lws *wsi, enum lws_callback_reasons why, void *user,
         void *in, size_t n)
{
    struct web *w = lws_get_opaque_user_data(wsi);

    (void) user;
    if (!w) {
        return 0;
    }
    w->wsi = wsi;
    switch (why) {
    case LWS_CALLBACK_HTTP:
        return web_on_request(w, in);
    case LWS_CALLBACK_HTTP_BODY:
        return web_on_body(w, in, n);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return web_on_body_end(w);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return w->out ? web_write(w) : 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return web_on_upgrade(w, in);
    case LWS_CALLBACK_ESTABLISHED:
        counter_inc(&w->http->api->n.websockets);
        w->websocket = true;
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return web_on_message(w, in, n);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return web_write_message(w);
    case LWS_CALLBACK_WSI_DESTROY:
        web_tell_end(w);
        web_destroy(w);
        lws_set_opaque_user_data(wsi, NULL);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    { .name = "jsonrpc", .callback = on_event, .rx_buffer_size = RX_SIZE },
    { .name = NULL }
};

static const lws_retry_bo_t idle_policy = {
    .secs_since_valid_ping = 60, .secs_since_valid_hangup = 90,
};

static void
on_log(int level, const char *line)
{
    size_t n = strcspn(line, "\n");

    (void) level;
    LOG_RATE(api, DBG, "libwebsockets: %.*s", (int) n, line);
}

struct http *
http_create(struct api *api, char **error)
{
    struct http *h = calloc(1, sizeof *h);
    void *loops[] = { api->loop };
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .count_threads = 1,
        .gid = -1, .uid = -1,
        .max_http_header_data = HEADERS_ROOM,
        .max_http_header_pool2 = 1024,
        .timeout_secs = HTTP_STEP_S,
        .timeout_secs_ah_idle = HTTP_STEP_S,
        .keepalive_timeout = IDLE_S,
        .pt_serv_buf_size = 16384,
        .retry_and_idle_policy = &idle_policy,
    };

    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    if (!h) {
        return NULL;
    }
    h->api = api;
    h->context = lws_create_context(&info);
    if (h->context) {
        info.vhost_name = "http";
        info.protocols = protocols;
        info.options = 0;
        h->vhost = lws_create_vhost(h->context, &info);
    }
    if (!h->vhost) {
        http_destroy(h);
        *error = strdup("HTTP: libwebsockets does not start: is its libev "
                        "plugin (libwebsockets-evlib-ev) installed?");
        return NULL;
    }
    return h;
}

void
http_destroy(struct http *h)
{
    if (!h) {
        return;
    }
    if (h->context) {
        lws_context_destroy(h->context);
    }
    while (h->webs) {           /* None, if libwebsockets does its part. */
        web_destroy(h->webs);
    }
    http_tls_destroy_all(h);
    free(h);
}

struct web *
web_create(struct http *h, int peer, int fd, struct http_tls *tls)
{
    struct web *w = calloc(1, sizeof *w);

    if (!w) {
        close(fd);
        return NULL;
    }
    w->http = h;
    w->tls = tls;
    w->last = &w->first;
    w->next = h->webs;
    w->prev = &h->webs;
    if (w->next) {
        w->next->prev = &w->next;
    }
    h->webs = w;
    struct rpc_caller caller;
    access_tcp(peer, "http", &caller, &w->addr);
    snprintf(w->from, sizeof w->from, "%s", caller.from);
    w->since_ms = clock_mono_ms();
    lws_adopt_desc_t info = {
        .vh = h->vhost,
        .type = LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET,
        .fd = { .sockfd = fd },
        .opaque = w,
    };
    w->fd = fd;
    web_guard_init(w);
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&info);
    if (wsi) {
        w->wsi = wsi;
        web_guard_start(w);
        return w;
    }
    for (struct web *k = h->webs; k; k = k->next) {
        if (k == w) {           /* Nobody has told us that it is over. */
            web_destroy(w);
            break;
        }
    }
    return NULL;
}

int
http_adopt(struct http *h, int fd, bool tls)
{
    if (tls) {
        return http_tls_adopt(h, fd);
    }
    h->api->n_clients++;        /* Until it is destroyed. */
    counter_inc(&h->api->n.connections);
    return web_create(h, fd, fd, NULL) ? 0 : -EIO;
}

void
http_revoke(struct http *h, const char *token)
{
    for (struct web *w = h->webs; w; w = w->next) {
        if (w->peer && !strcmp(rpc_peer_caller(w->peer)->token, token)) {
            struct rpc_caller caller = *rpc_peer_caller(w->peer);
            caller.role = ROLE_ANYBODY;
            caller.token[0] = '\0';
            rpc_peer_set_caller(w->peer, &caller);
            w->moved_ms = clock_mono_ms();
        }
    }
}

/* Should it go?  NULL, or why; '*n' counts it. */
static const char *
overdue(const struct web *w, int64_t now, counter_t **n)
{
    struct api_counters *counters = &w->http->api->n;

    if ((w->out || w->first) && now - w->moved_ms > API_STALL_MS) {
        *n = &counters->slow_clients;
        return "it has not read its answers for a minute";
    } else if (w->in_ms && now - w->in_ms > API_STALL_MS) {
        *n = &counters->slow_requests;
        return "its request did not end for a minute";
    } else if (w->websocket && !w->first
               && rpc_peer_caller(w->peer)->role == ROLE_ANYBODY
               && now - w->moved_ms > API_STRANGER_MS) {
        *n = &counters->strangers;
        return "it did not say who it is";
    }
    return NULL;
}

void
http_sweep(struct http *h, int64_t now)
{
    for (struct web *w = h->webs; w; w = w->next) {
        counter_t *n = NULL;
        if (w->going) {
            continue;
        }
        if (w->websocket) {
            rpc_peer_expire(w->peer);
        }
        const char *why = overdue(w, now, &n);
        if (w->low_water && now - w->in_ms > HEAD_S * 1000) {
            counter_inc(&h->api->n.slow_requests);
            web_guard_refuse(w, 408,
                             "the head of the request did not end in time");
        } else if (why) {
            counter_inc(n);
            LOG_RATE(api, NOTICE, "%s %s: closed, %s",
                     w->websocket ? "ws" : "http", w->from, why);
            web_kill(w);
        }
    }
    http_tls_sweep(h, now);
}
