/* What HTTP answers. */
#include <config.h>

#include "api/http_p.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "api/jsonrpc_p.h"
#include "lib/clock.h"
#include "lib/log.h"

#define GZIP_MIN 1400           /* What fits a packet is not compressed. */

const char *
web_status_text(unsigned status)
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
        { 415, "Unsupported Media Type" },
        { 426, "Upgrade Required" }, { 429, "Too Many Requests" },
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
int
web_write(struct web *w)
{
    while (w->out_sent < w->out_size) {
        size_t n = w->out_size - w->out_sent;
        if (n > HTTP_CHUNK) {
            n = HTTP_CHUNK;
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
    web_guard_start(w);
    return lws_http_transaction_completed(w->wsi) ? -1 : 0;
}

/* Makes the answer; web_write() sends it. */
void
web_respond(struct web *w, unsigned status, const char *type, const char *more,
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
        "Content-Length: %zu\r\n%s\r\n", status, web_status_text(status),
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
void
web_tell_refusal(struct web *w, unsigned status, const char *reason)
{
    /* By status, and by code of a WebSocket, which begin with 1000. */
    static struct log_limit limits[600 + 16];
    const size_t n = sizeof limits / sizeof limits[0];
    uint64_t more;
    char like[60] = "";

    if (w->told) {
        w->told = false;
        return;
    }
    if (log_level(LOG_MODULE_api) >= LOG_L_NOTICE
        && log_limit_pass(&limits[status < 1000 ? status % 600
                                  : 600 + status % (n - 600)], &more)) {
        if (more) {
            snprintf(like, sizeof like, " (%" PRIu64 " like it not shown)",
                     more);
        }
        LOG(api, NOTICE, "%s %s: refused, %u %s: %s%s",
            w->websocket ? "ws" : "http", w->from, status,
            w->websocket ? "WebSocket" : web_status_text(status), reason,
            like);
    }
}

int
web_refusal_text(char *text, size_t size, int code, const char *reason)
{
    return snprintf(text, size, "{\"jsonrpc\":\"2.0\",\"error\":{"
                    "\"code\":%d,\"message\":\"%s: %s\"},\"id\":null}\n",
                    code, rpc_error_name(code), reason);
}

/* An answer that is no method's. */
void
web_refuse(struct web *w, unsigned status, int code, const char *more,
           const char *reason)
{
    char text[512];
    int n = web_refusal_text(text, sizeof text, code, reason);

    counter_inc(&w->http->api->n.http_refused);
    web_tell_refusal(w, status, reason);
    /* Where the next request begins is not certain any more. */
    w->close = true;
    web_respond(w, status, "application/json", more, text, (size_t) n);
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
    web_respond(w, status, "application/json", status == 429
                ? "Retry-After: 1\r\n" : status == 401
                ? "WWW-Authenticate: Bearer\r\n" : NULL, text, n);
    lws_callback_on_writable(w->wsi);
}

/* A notification has no answer. */
void
web_done(void *w_)
{
    struct web *w = w_;

    if (w->busy && !w->answered && !w->corked
        && !rpc_peer_pending(w->peer)) {
        w->answered = true;
        web_respond(w, 204, NULL, NULL, "", 0);
        lws_callback_on_writable(w->wsi);
    }
}

const struct rpc_transport http_transport = {
    .send = http_send, .done = web_done,
};

