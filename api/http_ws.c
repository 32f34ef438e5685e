/* WebSocket: each message is one JSON text. */
#include <config.h>

#include "api/http_p.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/jsonrpc_p.h"
#include "lib/clock.h"
#include "lib/log.h"

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

/* Is 'word' one of a list with commas? */
static bool
lists(struct web *w, enum lws_token_indexes token, const char *word)
{
    char text[256], *save = NULL;

    web_header(w, token, text, sizeof text);
    for (char *t = strtok_r(text, ", \t", &save); t;
         t = strtok_r(NULL, ", \t", &save)) {
        if (!strcasecmp(t, word)) {
            return true;
        }
    }
    return false;
}

/* 16 bytes in base64 (RFC 6455 section 4.2.1). */
static bool
is_key(const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    return strlen(text) == 24 && strspn(text, digits) == 22
           && !strcmp(text + 22, "==");
}

/* libwebsockets goes away without a word, or takes what it should not.  False:
 * it was answered. */
static bool
check_handshake(struct web *w)
{
    char text[64];

    if (!web_header(w, WSI_TOKEN_VERSION, text, sizeof text)
        || strcmp(text, "13")) {
        web_refuse(w, 426, RPC_INVALID_REQUEST, "Sec-WebSocket-Version: 13\r\n"
                   "Upgrade: websocket\r\n", "expected "
                   "Sec-WebSocket-Version: 13");
    } else if (!web_header(w, WSI_TOKEN_KEY, text, sizeof text)
               || !is_key(text)) {
        web_refuse(w, 400, RPC_INVALID_REQUEST, NULL,
                   "no Sec-WebSocket-Key, or a bad one");
    } else if (!lists(w, WSI_TOKEN_CONNECTION, "upgrade")) {
        web_refuse(w, 400, RPC_INVALID_REQUEST, NULL,
                   "expected Connection: Upgrade");
    } else if (lws_hdr_total_length(w->wsi, WSI_TOKEN_PROTOCOL)
               && !lists(w, WSI_TOKEN_PROTOCOL, "jsonrpc")) {
        web_refuse(w, 400, RPC_INVALID_REQUEST, NULL,
                   "the only Sec-WebSocket-Protocol is jsonrpc");
    } else {
        return true;
    }
    return false;
}

/* Shall this become a WebSocket?  0: yes; 1: it was answered; -1: close. */
int
web_on_upgrade(struct web *w, const char *kind)
{
    struct rpc_caller caller;
    char path[64];
    const char *reason = "";
    unsigned status;
    bool page;

    counter_inc(&w->http->api->n.http_requests);
    w->asked = w->close = true;
    if (!w->passed) {
        web_refuse(w, 400, RPC_INVALID_REQUEST, NULL,
                   "send the next request when the last is answered");
    } else if (strcasecmp(kind, "websocket")
               || !web_header(w, WSI_TOKEN_GET_URI, path, sizeof path)) {
        web_refuse(w, 400, RPC_INVALID_REQUEST, NULL, "a bad Upgrade");
    } else if (strcmp(path, "/rpc")) {
        web_refuse(w, 404, RPC_NOT_FOUND, NULL, "WebSockets are at /rpc");
    } else if (!web_check_frame(w, false) || !check_handshake(w)) {
        /* It has been answered. */
    } else if (!web_origin_allowed(w, &page)) {
        web_refuse_caller(w, 403, "pages of this origin may not ask "
                          "(api/http/cors-origin)");
    } else if ((status = web_authenticate(w, "ws", &caller, &reason))) {
        web_refuse_caller(w, status, reason);
    } else {
        rpc_peer_destroy(w->peer);
        w->peer = rpc_peer_create(w->http->api->core, &ws_transport, w,
                                  &caller);
        w->close = false;
        w->moved_ms = clock_mono_ms();
        if (!w->peer) {
            return -1;
        }
        rpc_peer_set_big_as_text(w->peer, web_wants_text(w));
        return 0;
    }
    web_write(w);
    return -1;
}

static int
ws_close(struct web *w, enum lws_close_status status, const char *reason)
{
    w->going = true;
    web_tell_refusal(w, status, reason);
    lws_close_reason(w->wsi, status, (unsigned char *) reason,
                     strlen(reason));
    return -1;
}

int
web_on_message(struct web *w, const char *p, size_t n)
{
    counter_add(&w->http->api->n.octets_in, n);
    if (w->going) {
        return -1;
    }
    if (lws_frame_is_binary(w->wsi)) {
        return ws_close(w, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE,
                        "a text is expected");
    }
    int err = web_in_add(w, p, n);
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
int
web_write_message(struct web *w)
{
    struct message *m = w->first;

    if (!m) {
        return 0;
    }
    size_t n = m->size - m->sent;
    bool last = n <= HTTP_CHUNK;
    if (!last) {
        n = HTTP_CHUNK;
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

