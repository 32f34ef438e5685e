/* api/http_p.h -- what the files of HTTP and WebSocket share.
 *
 * A connection is a struct web from the moment it was accepted; with HTTP one
 * request is answered at a time, with WebSocket each message is one JSON
 * text. */
#ifndef API_HTTP_P_H
#define API_HTTP_P_H 1

#include "api/server_p.h"

#include <stdbool.h>

#include <libwebsockets.h>

#include "api/subscribe.h"
#include "lib/addr.h"

#define HTTP_CHUNK 65536        /* Written at a time. */
#define HTTP_HEADERS_MAX 8192
#define HTTP_STEP_S 20          /* To say a word, and for TLS. */

struct http {
    struct api *api;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct web *webs;
    struct http_tls *tls;       /* Connections. */
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
    bool told;                  /* Why it will be refused is in the log. */

    /* Looks at the head of each request before libwebsockets does. */
    struct http_tls *tls;       /* Where it comes from; NULL: no TLS. */
    ev_io guard;                /* Without TLS. */
    bool guarding;
    int fd;                     /* Of libwebsockets. */
    int low_water;              /* Bytes that are waited for; 0: any. */
    bool passed;                /* The next head was looked at. */
    bool piped;                 /* More came than one request. */
    bool expects;               /* There is an Expect. */
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
    bool old;                   /* Of HTTP/1.0. */
    char *origin;               /* To be allowed in the answer; or NULL. */
    unsigned char *out;         /* LWS_PRE bytes, then what is to be sent. */
    size_t out_size, out_sent;
    int64_t moved_ms;

    /* What goes, over WebSocket. */
    struct message *first, **last;
    size_t queued;
};

/* http.c: the glue to libwebsockets. */
void web_in_clear(struct web *);
/* Keeps 'n' bytes more; -EMSGSIZE if that is too long, -EBUSY if all clients
 * together send too much. */
int web_in_add(struct web *, const char *, size_t n);
/* Closes it when the event loop comes round. */
void web_kill(struct web *);
/* Makes libwebsockets serve 'fd', which is its own then, for the client behind
 * 'peer' (the same without TLS).  NULL: it does not, and 'fd' is closed. */
struct web *web_create(struct http *, int peer, int fd, struct http_tls *);

/* http_guard.c: heads of requests, before libwebsockets sees them. */
void web_guard_init(struct web *);
void web_guard_start(struct web *);
void web_guard_stop(struct web *);
/* With TLS: 'n' bytes wait for libwebsockets; 'end': no more will come.  When
 * they may go on, it guards no longer. */
void web_guard_bytes(struct web *, const char *, size_t n, bool end);
/* Answers past libwebsockets, which has seen nothing of it. */
void web_guard_refuse(struct web *, unsigned status, const char *reason);
/* It goes without having asked anything. */
void web_tell_end(struct web *);

/* http_answer.c */
extern const struct rpc_transport http_transport;
const char *web_status_text(unsigned status);
/* Makes the answer; web_write() sends it. */
void web_respond(struct web *, unsigned status, const char *type,
                 const char *more, const char *body, size_t n);
/* A request is done with; a notification has no answer. */
void web_done(void *);
/* Writes on; 1 or -1 when libwebsockets shall close. */
int web_write(struct web *);
/* An answer that is no method's. */
void web_refuse(struct web *, unsigned status, int code, const char *more,
                const char *reason);
int web_refusal_text(char *, size_t size, int code, const char *reason);
/* Each refusal is told once; of each status so many, however many clients try
 * it. */
void web_tell_refusal(struct web *, unsigned status, const char *reason);

/* http_request.c */
bool web_header(struct web *, enum lws_token_indexes, char *, size_t size);
/* Who sends this request?  0 or a status. */
unsigned web_authenticate(struct web *, const char *transport,
                          struct rpc_caller *, const char **reason);
/* A web page asks: of a site that may?  One that comes from ourselves always
 * may. */
bool web_origin_allowed(struct web *, bool *present);
/* Before anything is done: may this be a request of ours at all? */
bool web_check_frame(struct web *, bool post);
/* /rpc?integers=text: for JavaScript. */
bool web_wants_text(struct web *);
void web_refuse_caller(struct web *, unsigned status, const char *reason);
/* What libwebsockets' callback shall return. */
int web_on_request(struct web *, const char *path);
int web_on_body(struct web *, const char *, size_t n);
int web_on_body_end(struct web *);

/* http_tls.c */
int http_tls_adopt(struct http *, int fd);
/* There may be something to do. */
void http_tls_wake(struct http_tls *);
/* libwebsockets has closed its end. */
void http_tls_web_gone(struct http_tls *);
/* Of the client's certificate, like wire_peer_names(). */
size_t http_tls_names(const struct http_tls *, char *names[WIRE_MAX_NAMES]);
void http_tls_sweep(struct http *, int64_t now_ms);
void http_tls_destroy_all(struct http *);

/* http_ws.c */
/* Shall this become a WebSocket?  0: yes; 1: it was answered; -1: close. */
int web_on_upgrade(struct web *, const char *kind);
int web_on_message(struct web *, const char *, size_t n);
/* One piece of a message. */
int web_write_message(struct web *);

#endif /* api/http_p.h */
