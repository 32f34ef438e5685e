/* HTTP/1.1 and WebSocket (libwebsockets, on our event loop).
 *
 * Sockets are accepted by listen.c and handed over one by one.  A connection
 * is a struct web from then on; with HTTP one request is answered at a time,
 * with WebSocket each message is one JSON text. */
#include <config.h>

#include "api/server_p.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libwebsockets.h>
#include <zlib.h>

#include "api/access.h"
#include "api/config_api.h"
#include "api/http_head.h"
#include "api/jsonrpc_p.h"
#include "api/metrics.h"
#include "api/subscribe.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/log.h"

#define CHUNK 65536             /* Written at a time. */
#define GZIP_MIN 1400           /* What fits a packet is not compressed. */
#define RX_SIZE 2048            /* Of a WebSocket; kept by each. */
#define HEADERS_MAX 8192
#define HEADERS_ROOM (2 * HEADERS_MAX)   /* libwebsockets adds to them. */
#define HEAD_S 10               /* From the first byte of a head to the last. */
#define STEP_S 20               /* To say a word, and for TLS. */
#define IDLE_S 75               /* Between two requests. */

struct http {
    struct api *api;
    struct lws_context *context;
    struct lws_vhost *plain, *tls;
    struct web *webs;
    struct wire_files files;    /* Of 'tls'; owned. */
    time_t stamps[3];
    char *error;                /* While something is created. */
};

/* A message that waits to be sent over a WebSocket. */
struct message {
    struct message *next;
    size_t size, sent;
    unsigned char data[];       /* LWS_PRE bytes, then the text. */
};

struct web {
    struct http *http;
    struct web *next, **prev;
    struct lws *wsi;
    struct rpc_peer *peer;
    struct addr addr;
    char from[64];              /* Like a caller's. */
    int64_t since_ms;           /* When it came. */
    bool websocket;
    bool asked;                 /* A head was complete. */

    /* Looks at the head of each request before libwebsockets does; not with
     * TLS. */
    ev_io guard;
    int fd;                     /* Of libwebsockets. */
    int low_water;              /* Bytes that are waited for; 0: any. */
    bool guarded;
    bool passed;                /* The next head was looked at. */
    bool piped;                 /* More came than one request. */
    bool going;                 /* Nothing more is taken from it. */

    /* What comes: a body or a message. */
    char *in;
    size_t in_size, in_room;
    int64_t in_ms;              /* When it began; 0: nothing does. */

    /* What goes, over HTTP. */
    bool busy;                  /* A request waits for its answer. */
    bool answered;
    bool corked;                /* The request is being read. */
    bool wants_gzip, close, head;
    char *origin;               /* To be allowed in the answer; or NULL. */
    unsigned char *out;         /* LWS_PRE bytes, then what is to be sent. */
    size_t out_size, out_sent;
    int64_t moved_ms;

    /* What goes, over WebSocket. */
    struct message *first, **last;
    size_t queued;
};

static const struct rpc_transport http_transport, ws_transport;

/* Small things. */

static void
in_clear(struct web *w)
{
    w->http->api->in_total -= w->in_room;
    free(w->in);
    w->in = NULL;
    w->in_size = w->in_room = 0;
    w->in_ms = 0;
}

/* Keeps 'n' bytes more; -EMSGSIZE if that is too long, -EBUSY if all clients
 * together send too much. */
static int
in_add(struct web *w, const char *p, size_t n)
{
    struct api *api = w->http->api;

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
    in_clear(w);
    free(w->out);
    free(w->origin);
    *w->prev = w->next;
    if (w->next) {
        w->next->prev = w->prev;
    }
    ev_io_stop(w->http->api->loop, &w->guard);
    w->http->api->n_clients--;
    free(w);
}

/* Closes it when the event loop comes round. */
static void
web_kill(struct web *w)
{
    w->going = true;
    ev_io_stop(w->http->api->loop, &w->guard);
    if (w->wsi) {
        lws_set_timeout(w->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
        lws_cancel_service(w->http->context);   /* To look at the time. */
    }
}

/* Answers over HTTP. */

static const char *
status_text(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } list[] = {
        { 200, "OK" }, { 204, "No Content" }, { 400, "Bad Request" },
        { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" },
        { 405, "Method Not Allowed" }, { 408, "Request Timeout" },
        { 411, "Length Required" }, { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" }, { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" }, { 501, "Not Implemented" },
        { 503, "Service Unavailable" }, { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (list[i].status == status) {
            return list[i].text;
        }
    }
    return "Error";
}

/* Compressed into a block of its own, or NULL: as it is. */
static unsigned char *
gzip(const char *text, size_t *n)
{
    z_stream z = { .next_in = (unsigned char *) text,
                   .avail_in = (uInt) *n };
    unsigned char *out = NULL;

    if (*n > UINT32_MAX || deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8,
                                        Z_DEFAULT_STRATEGY) != Z_OK) {
        return NULL;
    }
    size_t room = *n;           /* What does not get smaller stays. */
    out = malloc(room);
    z.next_out = out;
    z.avail_out = (uInt) room;
    if (!out || deflate(&z, Z_FINISH) != Z_STREAM_END) {
        free(out);
        out = NULL;
    } else {
        *n = z.total_out;
    }
    deflateEnd(&z);
    return out;
}

/* Writes on; 1 or -1 when libwebsockets shall close. */
static int
out_write(struct web *w)
{
    while (w->out_sent < w->out_size) {
        size_t n = w->out_size - w->out_sent;
        if (n > CHUNK) {
            n = CHUNK;
        }
        if (lws_write(w->wsi, w->out + LWS_PRE + w->out_sent, n,
                      LWS_WRITE_HTTP_HEADERS) < 0) {
            return -1;
        }
        counter_add(&w->http->api->n.octets_out, n);
        w->out_sent += n;
        w->moved_ms = clock_mono_ms();
        if (w->out_sent < w->out_size) {
            lws_callback_on_writable(w->wsi);
            return 0;
        }
    }
    w->http->api->out_total -= w->out_size;
    free(w->out);
    w->out = NULL;
    w->out_size = w->out_sent = 0;
    w->busy = false;
    if (w->close) {
        return -1;              /* All was written, or is kept for that. */
    }
    if (w->guarded) {
        ev_io_start(w->http->api->loop, &w->guard);
    }
    return lws_http_transaction_completed(w->wsi) ? -1 : 0;
}

/* Makes the answer; out_write() sends it. */
static void
respond(struct web *w, unsigned status, const char *type, const char *more,
        const char *body, size_t n)
{
    struct api *api = w->http->api;
    unsigned char *packed = NULL;
    char head[1024];

    if (w->out) {
        return;
    }
    if (w->wants_gzip && n >= GZIP_MIN) {
        packed = gzip(body, &n);
    }
    int size = snprintf(
        head, sizeof head, "HTTP/1.1 %u %s\r\n%s%s%s%s%s%s%s"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Length: %zu\r\n%s\r\n", status, status_text(status),
        type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "",
        packed ? "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n" : "",
        w->origin ? "Access-Control-Allow-Origin: " : "",
        w->origin ? w->origin : "", w->origin ? "\r\nVary: Origin\r\n" : "",
        n, more ? more : "");
    size_t at = (size_t) size - 2;
    if (w->close) {
        at += (size_t) snprintf(head + at, sizeof head - at,
                                "Connection: close\r\n\r\n");
    } else {
        at += 2;
    }
    if (w->head || status == 204) {
        n = 0;
    }
    if (api->out_total + at + n > API_OUT_TOTAL
        || !(w->out = malloc(LWS_PRE + at + n))) {
        counter_inc(&api->n.slow_clients);
        free(packed);
        web_kill(w);
        return;
    }
    memcpy(w->out + LWS_PRE, head, at);
    memcpy(w->out + LWS_PRE + at, packed ? (char *) packed : body, n);
    free(packed);
    w->out_size = at + n;
    w->out_sent = 0;
    w->moved_ms = clock_mono_ms();
    api->out_total += w->out_size;
}

/* Each refusal is told once; of each status so many, however many clients try
 * it. */
static void
tell_refusal(const struct web *w, unsigned status, const char *reason)
{
    static struct log_limit limits[600];
    uint64_t more;
    char like[60] = "";

    if (log_level(LOG_MODULE_api) >= LOG_L_NOTICE
        && log_limit_pass(&limits[status % 600], &more)) {
        if (more) {
            snprintf(like, sizeof like, " (%" PRIu64 " like it not shown)",
                     more);
        }
        LOG(api, NOTICE, "%s %s: refused, %u %s: %s%s",
            w->websocket ? "ws" : "http", w->from, status,
            w->websocket ? "WebSocket" : status_text(status), reason, like);
    }
}

static int
refusal_text(char *text, size_t size, int code, const char *reason)
{
    return snprintf(text, size, "{\"jsonrpc\":\"2.0\",\"error\":{"
                    "\"code\":%d,\"message\":\"%s: %s\"},\"id\":null}\n",
                    code, rpc_error_name(code), reason);
}

/* An answer that is no method's. */
static void
refuse(struct web *w, unsigned status, int code, const char *more,
       const char *reason)
{
    char text[512];
    int n = refusal_text(text, sizeof text, code, reason);

    counter_inc(&w->http->api->n.http_refused);
    tell_refusal(w, status, reason);
    /* Where the next request begins is not certain any more. */
    w->close = true;
    respond(w, status, "application/json", more, text, (size_t) n);
}

/* Of an error that is the whole answer; those of methods are no business of
 * HTTP. */
static unsigned
status_of(const char *text)
{
    static const char start[] = "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":";
    static const struct {
        int code;
        unsigned status;
    } list[] = {
        { RPC_PARSE_ERROR, 400 }, { RPC_INVALID_REQUEST, 400 },
        { RPC_TOO_LARGE, 413 }, { RPC_BUSY, 429 }, { RPC_FORBIDDEN, 403 },
        { RPC_UNAUTHENTICATED, 401 },
    };

    if (strncmp(text, start, sizeof start - 1)) {
        return 200;
    }
    int code = atoi(text + sizeof start - 1);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (list[i].code == code) {
            return list[i].status;
        }
    }
    return 200;
}

static void
http_send(void *w_, const char *text, size_t n)
{
    struct web *w = w_;

    if (!w->busy || w->answered || w->going) {
        return;
    }
    unsigned status = status_of(text);
    w->answered = true;
    respond(w, status, "application/json", status == 429
            ? "Retry-After: 1\r\n" : status == 401
            ? "WWW-Authenticate: Bearer\r\n" : NULL, text, n);
    lws_callback_on_writable(w->wsi);
}

/* A notification has no answer. */
static void
http_done(void *w_)
{
    struct web *w = w_;

    if (w->busy && !w->answered && !w->corked
        && !rpc_peer_pending(w->peer)) {
        w->answered = true;
        respond(w, 204, NULL, NULL, "", 0);
        lws_callback_on_writable(w->wsi);
    }
}

static const struct rpc_transport http_transport = {
    .send = http_send, .done = http_done,
};

/* Requests. */

static bool
header(struct web *w, enum lws_token_indexes token, char *buf, size_t size)
{
    int n = lws_hdr_total_length(w->wsi, token);

    buf[0] = '\0';
    return n > 0 && (size_t) n < size
           && lws_hdr_copy(w->wsi, buf, (int) size, token) >= 0;
}

/* The header of any name, in small letters: libwebsockets keeps those that it
 * knows apart. */
static bool
named_header(struct web *w, const char *name, char *buf, size_t size)
{
    char key[80];
    int n = snprintf(key, sizeof key, "%s:", name);
    int length = lws_hdr_custom_length(w->wsi, key, n);

    buf[0] = '\0';
    for (int i = 0; length < 0 && i < WSI_TOKEN_COUNT; i++) {
        const char *known = (const char *) lws_token_to_string(
            (enum lws_token_indexes) i);
        if (known && !strcmp(known, key)) {
            header(w, (enum lws_token_indexes) i, buf, size);
            return lws_hdr_total_length(w->wsi,
                                        (enum lws_token_indexes) i) > 0;
        }
    }
    if (length < 0) {
        return false;
    }
    if ((size_t) length >= size
        || lws_hdr_custom_copy(w->wsi, buf, (int) size, key, n) < 0) {
        buf[0] = '\0';
    }
    return true;
}

static bool
is_loopback(const struct web *w)
{
    static const struct addr one6 = { { [15] = 1 } };

    return addr_equal(&w->addr, &one6)
           || (addr_is_v4(&w->addr) && w->addr.b[12] == 127);
}

static void
certificate(struct web *w, struct rpc_caller *caller)
{
    char *names[WIRE_MAX_NAMES];
    size_t n = wire_peer_names((struct ssl_st *) lws_get_ssl(w->wsi), names);

    if (n) {
        access_certificate(api_config(w->http->api),
                           (const char *const *) names, n, caller);
    }
    while (n) {
        free(names[--n]);
    }
}

/* A header that only proxies may set.  0 or a status. */
static unsigned
proxy_user(struct web *w, struct rpc_caller *caller, const char **reason)
{
    const struct config_api *c = api_config(w->http->api);
    char user[128];

    if (!c || !named_header(w, c->user_header, user, sizeof user)) {
        return 0;
    }
    if (!access_is_proxy(c, &w->addr)) {
        *reason = "a header that only a trusted proxy may send";
        return 403;
    }
    for (const char *p = user; *p; p++) {
        if (iscntrl((unsigned char) *p)) {
            *reason = "a user name with control characters";
            return 400;
        }
    }
    if (!access_proxy_user(c, user, caller)) {
        *reason = "this user has no role (api/access)";
        return 403;
    }
    return 0;
}

/* Heads of requests. */

/* libwebsockets closes by itself who is silent, and with TLS what is no HTTP.
 * Who just tries whether somebody listens is no matter. */
static void
tell_end(struct web *w)
{
    int64_t age = clock_mono_ms() - w->since_ms;

    if (w->asked || w->going) {
        return;
    }
    counter_inc(&w->http->api->n.http_unasked);
    if (!w->guarded && age >= STEP_S * 1000 - 500) {
        counter_inc(&w->http->api->n.slow_requests);
        LOG_RATE(api, NOTICE, "http %s: closed, the head of its request was "
                 "not complete after %" PRId64 " s", w->from, age / 1000);
    } else {
        LOG_RATE(api, INFO, "http %s: closed before the head of a request "
                 "was complete, or it was none (at most %d bytes)", w->from,
                 HEADERS_MAX);
    }
}

/* Answers past libwebsockets, which has seen nothing of it. */
static void
guard_refuse(struct web *w, unsigned status, const char *reason)
{
    struct api *api = w->http->api;
    char body[512], text[1024];
    int n = refusal_text(body, sizeof body, RPC_INVALID_REQUEST, reason);

    counter_inc(&api->n.http_refused);
    tell_refusal(w, status, reason);
    n = snprintf(text, sizeof text, "HTTP/1.1 %u %s\r\nContent-Type: "
                 "application/json\r\nContent-Length: %d\r\n%sConnection: "
                 "close\r\n\r\n%s", status, status_text(status), n,
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
static void
on_head(struct ev_loop *loop, ev_io *watcher, int revents)
{
    struct web *w = watcher->data;
    struct api *api = w->http->api;
    struct http_head head;

    (void) revents;
    ssize_t n = recv(w->fd, api->buf, sizeof api->buf,
                     MSG_PEEK | MSG_DONTWAIT);
    if (n <= 0) {
        if (!n || (errno != EAGAIN && errno != EINTR)) {
            tell_end(w);
            w->going = true;
            guard_wait(w, 0);
            ev_io_stop(loop, watcher);  /* libwebsockets sees the end, too. */
        }
        return;
    }
    int status = http_head_check(api->buf, (size_t) n, HEADERS_MAX, &head);
    if (status == -EAGAIN && at_end(w, n)) {
        guard_refuse(w, 400, "half of a request");
    } else if (status == -EAGAIN) {
        guard_wait(w, (int) n + 1);
    } else if (status) {
        guard_refuse(w, (unsigned) status, head.reason);
    } else {
        w->piped = (size_t) n - head.size > head.length;
        w->passed = true;
        guard_wait(w, 0);
        ev_io_stop(loop, watcher);
    }
}

/* Who sends this request?  0 or a status. */
static unsigned
authenticate(struct web *w, const char *transport, struct rpc_caller *caller,
             const char **reason)
{
    char text[256];
    bool busy;

    access_tcp(lws_get_socket_fd(w->wsi), transport, caller, &w->addr);
    certificate(w, caller);
    unsigned status = proxy_user(w, caller, reason);
    if (status || !lws_hdr_total_length(w->wsi,
                                        WSI_TOKEN_HTTP_AUTHORIZATION)) {
        return status;
    }
    if (!header(w, WSI_TOKEN_HTTP_AUTHORIZATION, text, sizeof text)
        || strncasecmp(text, "Bearer ", 7)) {
        *reason = "expected Authorization: Bearer TOKEN";
        return 401;
    }
    if (!api_authenticate(w->http->api, text + 7 + strspn(text + 7, " "),
                          caller, &busy)) {
        *reason = busy ? "too many wrong tokens from there: wait"
                       : "nobody has this token";
        return busy ? 429 : 401;
    }
    return 0;
}

/* A web page asks: of a site that may?  One that comes from ourselves always
 * may. */
static bool
origin_allowed(struct web *w, bool *present)
{
    const struct config_api *c = api_config(w->http->api);
    char origin[256], host[256];

    *present = lws_hdr_total_length(w->wsi, WSI_TOKEN_ORIGIN) > 0;
    if (!*present) {
        return true;
    }
    if (!header(w, WSI_TOKEN_ORIGIN, origin, sizeof origin)) {
        return false;
    }
    const char *site = strstr(origin, "://");
    if (site && header(w, WSI_TOKEN_HOST, host, sizeof host)
        && !strcasecmp(site + 3, host)) {
        return true;
    }
    for (size_t i = 0; c && i < c->cors_origins.n; i++) {
        const char *allowed = c->cors_origins.list[i];
        if (!strcmp(allowed, "*") || !strcasecmp(allowed, origin)) {
            free(w->origin);
            w->origin = strdup(origin);
            return true;
        }
    }
    return false;
}

/* The length of the body: -1 none was told, -2 it is not to be trusted. */
static long long
content_length(struct web *w)
{
    char text[32];
    char *end;

    if (named_header(w, "transfer-encoding", text, sizeof text)) {
        return -3;
    }
    if (!lws_hdr_total_length(w->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH)) {
        return -1;
    }
    if (!header(w, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof text)
        || !isdigit((unsigned char) text[0])) {
        return -2;
    }
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return *end || errno ? -2 : n;
}

/* Before anything is done: may this be a request of ours at all? */
static bool
check_frame(struct web *w, bool post)
{
    long long n = content_length(w);
    char text[128];

    if (n == -3) {
        refuse(w, 501, RPC_INVALID_REQUEST, NULL,
               "Transfer-Encoding is not supported: send Content-Length");
    } else if (n == -2) {
        refuse(w, 400, RPC_INVALID_REQUEST, NULL, "a bad Content-Length");
    } else if (n == -1 && post) {
        refuse(w, 411, RPC_INVALID_REQUEST, NULL, "no Content-Length");
    } else if (n > 0 && !post) {
        refuse(w, 400, RPC_INVALID_REQUEST, NULL, "a body is not expected");
    } else if (n > 0 && (size_t) n > w->http->api->limits.size) {
        snprintf(text, sizeof text, "a request may have %zu bytes",
                 w->http->api->limits.size);
        refuse(w, 413, RPC_TOO_LARGE, NULL, text);
    } else if (!lws_hdr_total_length(w->wsi, WSI_TOKEN_HOST)
               || lws_hdr_total_length(w->wsi, WSI_TOKEN_HOST) > 255) {
        refuse(w, 400, RPC_INVALID_REQUEST, NULL, "no Host, or a bad one");
    } else {
        return true;
    }
    return false;
}

static bool
is_json(struct web *w)
{
    char type[128];

    if (!header(w, WSI_TOKEN_HTTP_CONTENT_TYPE, type, sizeof type)) {
        return false;
    }
    type[strcspn(type, "; \t")] = '\0';
    return !strcasecmp(type, "application/json");
}

/* /rpc?integers=text: for JavaScript. */
static bool
wants_text(struct web *w)
{
    char text[64];

    return header(w, WSI_TOKEN_HTTP_URI_ARGS, text, sizeof text)
           && !strcmp(text, "integers=text");
}

/* With TLS, heads are as libwebsockets takes them.  Whom that could matter to
 * is a proxy that sends the requests of many over one connection. */
static bool
proxy_without_guard(const struct web *w)
{
    const struct config_api *c = api_config(w->http->api);

    return !w->guarded && c && access_is_proxy(c, &w->addr);
}

static void
read_options(struct web *w)
{
    char text[256];

    w->close = header(w, WSI_TOKEN_CONNECTION, text, sizeof text)
               && strcasestr(text, "close");
    if (header(w, WSI_TOKEN_HTTP, text, sizeof text)
        && strcmp(text, "HTTP/1.1")) {
        w->close = true;
    }
    w->close = w->close || w->piped || proxy_without_guard(w);
    w->wants_gzip = header(w, WSI_TOKEN_HTTP_ACCEPT_ENCODING, text,
                           sizeof text)
                    && strstr(text, "gzip") && !strstr(text, "gzip;q=0");
}

static void
refuse_caller(struct web *w, unsigned status, const char *reason)
{
    refuse(w, status, status == 401 ? RPC_UNAUTHENTICATED
           : status == 403 ? RPC_FORBIDDEN
           : status == 429 ? RPC_BUSY : RPC_INVALID_REQUEST,
           status == 401 ? "WWW-Authenticate: Bearer\r\n"
           : status == 429 ? "Retry-After: 5\r\n" : NULL, reason);
}

/* The head of a POST to /rpc. */
static void
begin_post(struct web *w)
{
    struct rpc_caller caller;
    const char *reason = "";
    bool page;

    if (!check_frame(w, true)) {
        return;
    } else if (!origin_allowed(w, &page)) {
        refuse_caller(w, 403, "pages of this origin may not ask "
                      "(api/http/cors-origin)");
        return;
    } else if (!is_json(w)) {
        refuse(w, 415, RPC_INVALID_REQUEST, NULL,
               "expected Content-Type: application/json");
        return;
    }
    unsigned status = authenticate(w, "http", &caller, &reason);
    if (!status && caller.role == ROLE_ANYBODY) {
        status = 401;
        reason = "say who asks: Authorization: Bearer TOKEN";
    }
    if (status) {
        refuse_caller(w, status, reason);
        return;
    }
    if (!w->peer) {
        w->peer = rpc_peer_create(w->http->api->core, &http_transport, w,
                                  &caller);
    } else {
        rpc_peer_set_caller(w->peer, &caller);
    }
    if (!w->peer) {
        refuse(w, 500, RPC_INTERNAL_ERROR, NULL, "out of memory");
    } else {
        rpc_peer_set_big_as_text(w->peer, wants_text(w));
    }
}

static void
answer_preflight(struct web *w)
{
    bool page;

    if (origin_allowed(w, &page) && page && w->origin) {
        respond(w, 204, NULL, "Access-Control-Allow-Methods: POST\r\n"
                "Access-Control-Allow-Headers: Authorization, Content-Type"
                "\r\nAccess-Control-Max-Age: 600\r\n", "", 0);
    } else {
        refuse_caller(w, 403, "pages of this origin may not ask "
                      "(api/http/cors-origin)");
    }
}

static void
answer_metrics(struct web *w)
{
    const struct config_api *c = api_config(w->http->api);
    struct rpc_caller caller;
    const char *reason = "";
    char forwarded[8];
    unsigned status = authenticate(w, "http", &caller, &reason);
    bool open = c && (c->metrics == METRICS_ANYBODY
                      || (c->metrics == METRICS_LOOPBACK && is_loopback(w)
                          && !named_header(w, "x-forwarded-for", forwarded,
                                            sizeof forwarded)
                          && !named_header(w, "forwarded", forwarded,
                                            sizeof forwarded)));

    if (!status && caller.role == ROLE_ANYBODY && !open) {
        status = 401;
        reason = "say who asks, or see api/http/metrics";
    } else if (!status && caller.confine) {
        status = 403;
        reason = "this is not for those who are confined to tenants";
    }
    if (status) {
        refuse_caller(w, status, reason);
        return;
    }
    size_t n;
    char *text = metrics_text(w->http->api, &w->http->api->context, &n);
    if (text) {
        respond(w, 200, "text/plain; version=0.0.4; charset=utf-8", NULL,
                text, n);
    } else {
        refuse(w, 500, RPC_INTERNAL_ERROR, NULL, "out of memory");
    }
    free(text);
}

static void
answer_probe(struct web *w, bool ready)
{
    char reason[256] = "ok";
    bool ok = !ready || metrics_ready(&w->http->api->context, reason,
                                      sizeof reason);
    char text[300];
    int n = snprintf(text, sizeof text, "%s\n", reason);

    respond(w, ok ? 200 : 503, "text/plain; charset=utf-8", NULL, text,
            (size_t) n);
}

static void
answer_get(struct web *w, const char *path)
{
    if (!strcmp(path, "/healthz") || !strcmp(path, "/readyz")) {
        answer_probe(w, path[1] == 'r');
    } else if (!strcmp(path, "/metrics")) {
        answer_metrics(w);
    } else if (!strcmp(path, "/rpc")) {
        refuse(w, 405, RPC_INVALID_REQUEST, "Allow: POST\r\n",
               "POST a request, or upgrade to WebSocket");
    } else {
        refuse(w, 404, RPC_NOT_FOUND, NULL,
               "there are /rpc, /metrics, /healthz and /readyz");
    }
}

/* A request's head is complete. */
static int
on_request(struct web *w, const char *path)
{
    struct lws *wsi = w->wsi;
    bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;

    counter_inc(&w->http->api->n.http_requests);
    w->asked = true;
    bool passed = !w->guarded || w->passed;
    w->passed = false;
    w->head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    free(w->origin);
    w->origin = NULL;
    w->busy = true;
    w->answered = false;
    in_clear(w);
    read_options(w);
    if (!passed) {              /* It came right behind another one. */
        refuse(w, 400, RPC_INVALID_REQUEST, NULL,
               "send the next request when the last is answered");
    } else if (post && !strcmp(path, "/rpc")) {
        begin_post(w);
        if (!w->out) {
            w->in_ms = clock_mono_ms();
            if (content_length(w)) {
                return 0;       /* The body comes. */
            }
            refuse(w, 400, RPC_INVALID_REQUEST, NULL, "an empty body");
        }
    } else if (post) {
        refuse(w, 404, RPC_NOT_FOUND, NULL, "POST to /rpc");
    } else if (!check_frame(w, false)) {
        /* It has been answered. */
    } else if (lws_hdr_total_length(wsi, WSI_TOKEN_OPTIONS_URI) > 0) {
        answer_preflight(w);
    } else if (get || w->head) {
        answer_get(w, path);
    } else {
        refuse(w, 405, RPC_INVALID_REQUEST, "Allow: GET, HEAD, POST\r\n",
               "this is not done here");
    }
    w->answered = true;
    return out_write(w);
}

static int
on_body(struct web *w, const char *p, size_t n)
{
    counter_add(&w->http->api->n.octets_in, n);
    if (w->going || w->answered) {
        return 0;
    }
    int err = in_add(w, p, n);
    if (err) {
        w->answered = true;
        refuse(w, err == -EMSGSIZE ? 413 : 503, err == -EMSGSIZE
               ? RPC_TOO_LARGE : RPC_BUSY, NULL, "the request is too long");
        return out_write(w);
    }
    return 0;
}

static int
on_body_end(struct web *w)
{
    if (w->answered) {
        return 0;
    }
    /* An answer may take longer than any step of HTTP. */
    lws_set_timeout(w->wsi, NO_PENDING_TIMEOUT, 0);
    w->in_ms = 0;
    w->corked = true;
    rpc_peer_text(w->peer, w->in ? w->in : "", w->in_size, false);
    w->corked = false;
    in_clear(w);
    if (w->going) {
        return -1;
    }
    http_done(w);
    return w->out ? out_write(w) : 0;
}

/* WebSocket. */

static void
ws_flow(struct web *w)
{
    lws_rx_flow_control(w->wsi, w->queued < API_OUT_HIGH
                        && rpc_peer_pending(w->peer) < API_MAX_PENDING);
}

static void
ws_send(void *w_, const char *text, size_t n)
{
    struct web *w = w_;
    struct api *api = w->http->api;

    if (w->going) {
        return;
    }
    if (w->queued + n > API_OUT_MAX || api->out_total + n > API_OUT_TOTAL) {
        counter_inc(&api->n.slow_clients);
        LOG_RATE(api, WARN, "client %s: closed, %zu bytes wait for it",
                 rpc_peer_caller(w->peer)->from, w->queued + n);
        web_kill(w);
        return;
    }
    struct message *m = malloc(sizeof *m + LWS_PRE + n);
    if (!m) {
        web_kill(w);
        return;
    }
    m->next = NULL;
    m->size = n;
    m->sent = 0;
    memcpy(m->data + LWS_PRE, text, n);
    if (!w->first) {
        w->last = &w->first;
        w->moved_ms = clock_mono_ms();
    }
    *w->last = m;
    w->last = &m->next;
    w->queued += n;
    api->out_total += n;
    lws_callback_on_writable(w->wsi);
}

static size_t
ws_queued(void *w_)
{
    const struct web *w = w_;

    return w->going ? RPC_NOTIFY_ROOM : w->queued;
}

static void
ws_done(void *w_)
{
    struct web *w = w_;

    if (!w->going) {
        ws_flow(w);
    }
}

static const struct rpc_transport ws_transport = {
    .send = ws_send, .done = ws_done, .queued = ws_queued,
};

/* Shall this become a WebSocket?  0: yes; 1: it was answered; -1: close. */
static int
on_upgrade(struct web *w, const char *kind)
{
    struct rpc_caller caller;
    char path[64];
    const char *reason = "";
    unsigned status;
    bool page;

    counter_inc(&w->http->api->n.http_requests);
    w->asked = w->close = true;
    if (w->guarded && !w->passed) {
        refuse(w, 400, RPC_INVALID_REQUEST, NULL,
               "send the next request when the last is answered");
    } else if (strcmp(kind, "websocket")
        || !header(w, WSI_TOKEN_GET_URI, path, sizeof path)) {
        refuse(w, 400, RPC_INVALID_REQUEST, NULL, "a bad Upgrade");
    } else if (strcmp(path, "/rpc")) {
        refuse(w, 404, RPC_NOT_FOUND, NULL, "WebSockets are at /rpc");
    } else if (!check_frame(w, false)) {
        /* It has been answered. */
    } else if (!origin_allowed(w, &page)) {
        refuse_caller(w, 403, "pages of this origin may not ask "
                      "(api/http/cors-origin)");
    } else if ((status = authenticate(w, "ws", &caller, &reason))) {
        refuse_caller(w, status, reason);
    } else {
        rpc_peer_destroy(w->peer);
        w->peer = rpc_peer_create(w->http->api->core, &ws_transport, w,
                                  &caller);
        w->close = false;
        w->moved_ms = clock_mono_ms();
        if (!w->peer) {
            return -1;
        }
        rpc_peer_set_big_as_text(w->peer, wants_text(w));
        return 0;
    }
    out_write(w);
    return -1;
}

static int
ws_close(struct web *w, enum lws_close_status status, const char *reason)
{
    w->going = true;
    tell_refusal(w, status, reason);
    lws_close_reason(w->wsi, status, (unsigned char *) reason,
                     strlen(reason));
    return -1;
}

static int
on_message(struct web *w, const char *p, size_t n)
{
    counter_add(&w->http->api->n.octets_in, n);
    if (w->going) {
        return -1;
    }
    if (lws_frame_is_binary(w->wsi)) {
        return ws_close(w, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE,
                        "a text is expected");
    }
    int err = in_add(w, p, n);
    if (err) {
        return ws_close(w, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE,
                        "the request is too long");
    }
    if (!lws_is_final_fragment(w->wsi)
        || lws_remaining_packet_payload(w->wsi)) {
        return 0;
    }
    char *text = w->in;
    size_t size = w->in_size;
    w->http->api->in_total -= w->in_room;
    w->in = NULL;
    w->in_size = w->in_room = 0;
    w->in_ms = 0;
    if (utf8_span(text ? text : "", size) < size) {
        free(text);
        return ws_close(w, LWS_CLOSE_STATUS_INVALID_PAYLOAD,
                        "the text is not UTF-8");
    }
    rpc_peer_text(w->peer, text ? text : "", size, false);
    free(text);
    if (w->going) {
        return -1;
    }
    ws_flow(w);
    return 0;
}

/* One piece of a message. */
static int
ws_write(struct web *w)
{
    struct message *m = w->first;

    if (!m) {
        return 0;
    }
    size_t n = m->size - m->sent;
    bool last = n <= CHUNK;
    if (!last) {
        n = CHUNK;
    }
    enum lws_write_protocol kind = m->sent ? LWS_WRITE_CONTINUATION
                                           : LWS_WRITE_TEXT;
    if (lws_write(w->wsi, m->data + LWS_PRE + m->sent, n,
                  kind | (last ? 0 : LWS_WRITE_NO_FIN)) < (int) n) {
        return -1;
    }
    counter_add(&w->http->api->n.octets_out, n);
    w->moved_ms = clock_mono_ms();
    m->sent += n;
    w->queued -= n;
    w->http->api->out_total -= n;
    if (last) {
        w->first = m->next;
        free(m);
    }
    if (w->first) {
        lws_callback_on_writable(w->wsi);
    }
    if (w->queued < RPC_NOTIFY_ROOM / 2) {
        rpc_peer_drained(w->peer);
        ws_flow(w);
    }
    return 0;
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
        return on_request(w, in);
    case LWS_CALLBACK_HTTP_BODY:
        return on_body(w, in, n);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return on_body_end(w);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return w->out ? out_write(w) : 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade(w, in);
    case LWS_CALLBACK_ESTABLISHED:
        counter_inc(&w->http->api->n.websockets);
        w->websocket = true;
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return on_message(w, in, n);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return ws_write(w);
    case LWS_CALLBACK_WSI_DESTROY:
        tell_end(w);
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

static struct lws_vhost *
make_vhost(struct http *h, const struct wire_files *files)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .vhost_name = files ? "https" : "http",
        .protocols = protocols,
        .keepalive_timeout = IDLE_S,
        .timeout_secs = STEP_S,
        .timeout_secs_ah_idle = STEP_S,
        .retry_and_idle_policy = &idle_policy,
    };

    if (files) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.alpn = "http/1.1";
        info.ssl_cert_filepath = files->certificate;
        info.ssl_private_key_filepath = files->private_key;
        info.ssl_options_set = SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1
                               | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION;
        if (files->ca) {
            info.ssl_ca_filepath = files->ca;
            info.options |=
                LWS_SERVER_OPTION_REQUIRE_VALID_OPENSSL_CLIENT_CERT;
            if (!files->require_client) {
                info.options |= LWS_SERVER_OPTION_PEER_CERT_NOT_REQUIRED;
            }
        }
    }
    return lws_create_vhost(h->context, &info);
}

struct http *
http_create(struct api *api, char **error)
{
    struct http *h = calloc(1, sizeof *h);
    void *loops[] = { api->loop };
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS
                   | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .foreign_loops = loops,
        .count_threads = 1,
        .gid = -1, .uid = -1,
        .max_http_header_data = HEADERS_ROOM,
        .max_http_header_pool2 = 1024,
        .timeout_secs = STEP_S,
        .timeout_secs_ah_idle = STEP_S,
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
    h->plain = h->context ? make_vhost(h, NULL) : NULL;
    if (!h->plain) {
        http_destroy(h);
        *error = strdup("HTTP: libwebsockets does not start: is its libev "
                        "plugin (libwebsockets-evlib-ev) installed?");
        return NULL;
    }
    return h;
}

static void
free_files(struct wire_files *f)
{
    free((char *) f->certificate);
    free((char *) f->private_key);
    free((char *) f->ca);
    memset(f, 0, sizeof *f);
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
    free_files(&h->files);
    free(h);
}

static time_t
modified(const char *file)
{
    struct stat st;

    return file && !stat(file, &st) ? st.st_mtime : 0;
}

static bool
same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* What serves already goes on as long as nothing has changed: a new virtual
 * host ends the old one's connections. */
int
http_set_tls(struct http *h, const struct wire_files *f, char **error)
{
    static const struct wire_files none;
    const struct wire_files *want = f ? f : &none;
    time_t now[3] = { modified(want->certificate),
                      modified(want->private_key), modified(want->ca) };

    if (!f == !h->tls && same(want->certificate, h->files.certificate)
        && same(want->private_key, h->files.private_key)
        && same(want->ca, h->files.ca)
        && want->require_client == h->files.require_client
        && !memcmp(now, h->stamps, sizeof now)) {
        return 0;
    }
    struct lws_vhost *new = f ? make_vhost(h, f) : NULL;
    if (f && !new) {
        *error = strdup("https: libwebsockets does not take the "
                        "certificates");
        return -EINVAL;
    }
    if (h->tls) {
        lws_vhost_destroy(h->tls);
    }
    h->tls = new;
    free_files(&h->files);
    if (f) {
        h->files.certificate = f->certificate ? strdup(f->certificate) : NULL;
        h->files.private_key = f->private_key ? strdup(f->private_key) : NULL;
        h->files.ca = f->ca ? strdup(f->ca) : NULL;
        h->files.require_client = f->require_client;
    }
    memcpy(h->stamps, now, sizeof now);
    return 0;
}

int
http_adopt(struct http *h, int fd, bool tls)
{
    struct web *w = calloc(1, sizeof *w);

    if (!w || (tls && !h->tls)) {
        free(w);
        close(fd);
        return -ENOMEM;
    }
    w->http = h;
    w->last = &w->first;
    w->next = h->webs;
    w->prev = &h->webs;
    if (w->next) {
        w->next->prev = &w->next;
    }
    h->webs = w;
    struct rpc_caller caller;
    access_tcp(fd, "http", &caller, &w->addr);
    snprintf(w->from, sizeof w->from, "%s", caller.from);
    w->since_ms = clock_mono_ms();
    h->api->n_clients++;
    counter_inc(&h->api->n.connections);
    lws_adopt_desc_t info = {
        .vh = tls ? h->tls : h->plain,
        .type = LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET
                | (tls ? LWS_ADOPT_ALLOW_SSL : 0),
        .fd = { .sockfd = fd },
        .opaque = w,
    };
    w->fd = fd;
    w->guarded = !tls;
    ev_io_init(&w->guard, on_head, fd, EV_READ);
    ev_set_priority(&w->guard, EV_MAXPRI);
    w->guard.data = w;
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&info);
    if (wsi) {
        w->wsi = wsi;
        if (w->guarded) {
            ev_io_start(h->api->loop, &w->guard);
        }
        return 0;
    }
    for (struct web *k = h->webs; k; k = k->next) {
        if (k == w) {           /* Nobody has told us that it is over. */
            web_destroy(w);
            break;
        }
    }
    return -EIO;
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
            guard_refuse(w, 408,
                         "the head of the request did not end in time");
        } else if (why) {
            counter_inc(n);
            LOG_RATE(api, NOTICE, "%s %s: closed, %s",
                     w->websocket ? "ws" : "http", w->from, why);
            web_kill(w);
        }
    }
}
