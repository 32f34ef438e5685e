/* Requests over HTTP: who asks, may it, and what. */
#include <config.h>

#include "api/http_p.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <stdio.h>
#include <unistd.h>

#include "api/access.h"
#include "api/config_api.h"
#include "api/jsonrpc_p.h"
#include "api/metrics.h"
#include "lib/clock.h"

bool
web_header(struct web *w, enum lws_token_indexes token, char *buf, size_t size)
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
            web_header(w, (enum lws_token_indexes) i, buf, size);
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

/* Has it asked for this machine?  A page whose name leads here by its own DNS
 * asks for that name. */
static bool
is_our_name(struct web *w)
{
    char host[256], own[256] = "";
    struct addr addr;
    uint16_t port;

    if (!web_header(w, WSI_TOKEN_HOST, host, sizeof host)) {
        return false;
    }
    if (!endpoint_parse(host, 80, &addr, &port)) {
        return true;
    }
    host[strcspn(host, ":")] = '\0';
    gethostname(own, sizeof own - 1);
    return !strcasecmp(host, "localhost") || !strcasecmp(host, own);
}

static void
certificate(struct web *w, struct rpc_caller *caller)
{
    char *names[WIRE_MAX_NAMES];
    size_t n = w->tls ? http_tls_names(w->tls, names) : 0;

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

/* Who sends this request?  0 or a status. */
unsigned
web_authenticate(struct web *w, const char *transport,
                 struct rpc_caller *caller, const char **reason)
{
    char text[256];
    bool busy;

    *caller = (struct rpc_caller) { .transport = transport,
                                    .role = ROLE_ANYBODY };
    memcpy(caller->from, w->from, sizeof caller->from);
    certificate(w, caller);
    unsigned status = proxy_user(w, caller, reason);
    if (status || !lws_hdr_total_length(w->wsi,
                                        WSI_TOKEN_HTTP_AUTHORIZATION)) {
        return status;
    }
    if (!web_header(w, WSI_TOKEN_HTTP_AUTHORIZATION, text, sizeof text)
        || strncasecmp(text, "Bearer ", 7)) {
        *reason = "expected Authorization: Bearer TOKEN";
        return 401;
    }
    if (!api_authenticate(w->http->api, text + 7 + strspn(text + 7, " "),
                          caller, &busy)) {
        w->told = true;
        *reason = busy ? "too many wrong tokens from there: wait"
                       : "nobody has this token";
        return busy ? 429 : 401;
    }
    return 0;
}

/* A web page asks: of a site that may?  One that comes from ourselves always
 * may. */
bool
web_origin_allowed(struct web *w, bool *present)
{
    const struct config_api *c = api_config(w->http->api);
    char origin[256], host[256];

    *present = lws_hdr_total_length(w->wsi, WSI_TOKEN_ORIGIN) > 0;
    if (!*present) {
        return true;
    }
    if (!web_header(w, WSI_TOKEN_ORIGIN, origin, sizeof origin)) {
        return false;
    }
    const char *site = strstr(origin, "://");
    if (site && web_header(w, WSI_TOKEN_HOST, host, sizeof host)
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
    if (!web_header(w, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof text)
        || !isdigit((unsigned char) text[0])) {
        return -2;
    }
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return *end || errno ? -2 : n;
}

/* Before anything is done: may this be a request of ours at all? */
bool
web_check_frame(struct web *w, bool post)
{
    long long n = content_length(w);
    char text[128];

    if (n == -3) {
        web_refuse(w, 501, RPC_INVALID_REQUEST, NULL,
                   "Transfer-Encoding is not supported: send Content-Length");
    } else if (n == -2) {
        web_refuse(w, 400, RPC_INVALID_REQUEST, NULL, "a bad Content-Length");
    } else if (n == -1 && post) {
        web_refuse(w, 411, RPC_INVALID_REQUEST, NULL, "no Content-Length");
    } else if (n > 0 && !post) {
        web_refuse(w, 400, RPC_INVALID_REQUEST, NULL,
                   "a body is not expected");
    } else if (n > 0 && (size_t) n > w->http->api->limits.size) {
        snprintf(text, sizeof text, "a request may have %zu bytes",
                 w->http->api->limits.size);
        web_refuse(w, 413, RPC_TOO_LARGE, NULL, text);
    } else if (!lws_hdr_total_length(w->wsi, WSI_TOKEN_HOST)
               || lws_hdr_total_length(w->wsi, WSI_TOKEN_HOST) > 255) {
        web_refuse(w, 400, RPC_INVALID_REQUEST, NULL, "no Host, or a bad one");
    } else {
        return true;
    }
    return false;
}

static bool
is_json(struct web *w)
{
    char type[128];

    if (!web_header(w, WSI_TOKEN_HTTP_CONTENT_TYPE, type, sizeof type)) {
        return false;
    }
    type[strcspn(type, "; \t")] = '\0';
    return !strcasecmp(type, "application/json");
}

/* /rpc?integers=text: for JavaScript. */
bool
web_wants_text(struct web *w)
{
    char text[64];

    return web_header(w, WSI_TOKEN_HTTP_URI_ARGS, text, sizeof text)
           && !strcmp(text, "integers=text");
}

/* Of Accept-Encoding: is gzip in it, and not with a weight of 0? */
static bool
takes_gzip(const char *text)
{
    const char *p = strcasestr(text, "gzip");

    if (!p) {
        return false;
    }
    p += strlen("gzip");
    p += strspn(p, " \t;");
    return strncasecmp(p, "q=", 2) || strtod(p + 2, NULL) > 0.;
}

static void
read_options(struct web *w)
{
    char text[256];

    w->close = web_header(w, WSI_TOKEN_CONNECTION, text, sizeof text)
               && strcasestr(text, "close");
    w->old = web_header(w, WSI_TOKEN_HTTP, text, sizeof text)
             && strcmp(text, "HTTP/1.1");
    w->close = w->close || w->old || w->piped;
    w->wants_gzip = web_header(w, WSI_TOKEN_HTTP_ACCEPT_ENCODING, text,
                               sizeof text) && takes_gzip(text);
}

void
web_refuse_caller(struct web *w, unsigned status, const char *reason)
{
    web_refuse(w, status, status == 401 ? RPC_UNAUTHENTICATED
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

    if (!web_check_frame(w, true)) {
        return;
    } else if (!web_origin_allowed(w, &page)) {
        web_refuse_caller(w, 403, "pages of this origin may not ask "
                          "(api/http/cors-origin)");
        return;
    } else if (!is_json(w)) {
        web_refuse(w, 415, RPC_INVALID_REQUEST, NULL,
                   "expected Content-Type: application/json");
        return;
    }
    unsigned status = web_authenticate(w, "http", &caller, &reason);
    if (!status && caller.role == ROLE_ANYBODY) {
        status = 401;
        reason = "say who asks: Authorization: Bearer TOKEN";
    }
    if (status) {
        web_refuse_caller(w, status, reason);
        return;
    }
    if (!w->peer) {
        w->peer = rpc_peer_create(w->http->api->core, &http_transport, w,
                                  &caller);
    } else {
        rpc_peer_set_caller(w->peer, &caller);
    }
    if (!w->peer) {
        web_refuse(w, 500, RPC_INTERNAL_ERROR, NULL, "out of memory");
    } else {
        rpc_peer_set_big_as_text(w->peer, web_wants_text(w));
    }
}

static void
answer_preflight(struct web *w)
{
    bool page;

    if (web_origin_allowed(w, &page) && page && w->origin) {
        web_respond(w, 204, NULL, "Access-Control-Allow-Methods: POST\r\n"
                    "Access-Control-Allow-Headers: Authorization, Content-Type"
                    "\r\nAccess-Control-Max-Age: 600\r\n", "", 0);
    } else {
        web_refuse_caller(w, 403, "pages of this origin may not ask "
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
    unsigned status = web_authenticate(w, "http", &caller, &reason);
    bool open = c && (c->metrics == METRICS_ANYBODY
                      || (c->metrics == METRICS_LOOPBACK && is_loopback(w)
                          && is_our_name(w)
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
        web_refuse_caller(w, status, reason);
        return;
    }
    size_t n;
    char *text = metrics_text(w->http->api, &w->http->api->context, &n);
    if (text) {
        web_respond(w, 200, "text/plain; version=0.0.4; charset=utf-8", NULL,
                    text, n);
    } else {
        web_refuse(w, 500, RPC_INTERNAL_ERROR, NULL, "out of memory");
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

    web_respond(w, ok ? 200 : 503, "text/plain; charset=utf-8", NULL, text,
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
        web_refuse(w, 405, RPC_INVALID_REQUEST, "Allow: POST\r\n",
                   "POST a request, or upgrade to WebSocket");
    } else {
        web_refuse(w, 404, RPC_NOT_FOUND, NULL,
                   "there are /rpc, /metrics, /healthz and /readyz");
    }
}

/* The body may come; some wait to be told (RFC 9110 section 10.1.1). */
static int
go_ahead(struct web *w)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    unsigned char buf[LWS_PRE + sizeof text - 1];
    char expect[32];

    if (w->old || !w->expects
        || !named_header(w, "expect", expect, sizeof expect)
        || strcasecmp(expect, "100-continue")) {
        return 0;
    }
    memcpy(buf + LWS_PRE, text, sizeof text - 1);
    return lws_write(w->wsi, buf + LWS_PRE, sizeof text - 1,
                     LWS_WRITE_HTTP_HEADERS) < 0 ? -1 : 0;
}

/* A request's head is complete. */
int
web_on_request(struct web *w, const char *path)
{
    struct lws *wsi = w->wsi;
    bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;

    counter_inc(&w->http->api->n.http_requests);
    w->asked = true;
    bool passed = w->passed;
    w->passed = false;
    w->head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    free(w->origin);
    w->origin = NULL;
    w->busy = true;
    w->answered = false;
    web_in_clear(w);
    read_options(w);
    if (!passed) {              /* It came right behind another one. */
        web_refuse(w, 400, RPC_INVALID_REQUEST, NULL,
                   "send the next request when the last is answered");
    } else if (post && !strcmp(path, "/rpc")) {
        begin_post(w);
        if (!w->out) {
            w->in_ms = clock_mono_ms();
            if (content_length(w)) {
                return go_ahead(w);
            }
            web_refuse(w, 400, RPC_INVALID_REQUEST, NULL, "an empty body");
        }
    } else if (post) {
        web_refuse(w, 404, RPC_NOT_FOUND, NULL, "POST to /rpc");
    } else if (!web_check_frame(w, false)) {
        /* It has been answered. */
    } else if (lws_hdr_total_length(wsi, WSI_TOKEN_OPTIONS_URI) > 0) {
        answer_preflight(w);
    } else if (get || w->head) {
        answer_get(w, path);
    } else {
        web_refuse(w, 405, RPC_INVALID_REQUEST, "Allow: GET, HEAD, POST\r\n",
                   "this is not done here");
    }
    w->answered = true;
    return web_write(w);
}

int
web_on_body(struct web *w, const char *p, size_t n)
{
    counter_add(&w->http->api->n.octets_in, n);
    if (w->going || w->answered) {
        return 0;
    }
    int err = web_in_add(w, p, n);
    if (err) {
        w->answered = true;
        web_refuse(w, err == -EMSGSIZE ? 413 : 503, err == -EMSGSIZE
                   ? RPC_TOO_LARGE : RPC_BUSY, NULL,
                   "the request is too long");
        return web_write(w);
    }
    return 0;
}

int
web_on_body_end(struct web *w)
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
    web_in_clear(w);
    if (w->going) {
        return -1;
    }
    web_done(w);
    return w->out ? web_write(w) : 0;
}

