#include <config.h>

#include "api/server_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/audit.h"
#include "api/config.h"
#include "api/config_api.h"
#include "api/methods.h"
#include "api/rate.h"
#include "api/token.h"
#include "lib/clock.h"
#include "lib/log.h"

#define FIRST_DESCRIPTORS 1024  /* For everything but clients. */
#define PER_CLIENT 3            /* With HTTPS: see http_tls.c. */
/* Tokens that are nobody's, from one address, per second and at once. */
#define BAD_TOKENS_RATE 0.2
#define BAD_TOKENS_BURST 10.
#define MAX_ADDRESSES 256

const struct counter_def api_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct api_counters, NAME), DOC },
    API_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

struct post {
    struct post *next;
    void (*deliver)(void *aux);
    void *aux;
};

/* Who asks, and how often. */

const struct config_api *
api_config(const struct api *api)
{
    const struct config_store *s = api->context.config;

    return s ? config_current(s)->api : NULL;
}

/* What limits are counted by: the name, or the address without the port. */
static const char *
rate_key(const struct rpc_caller *caller, char buf[sizeof caller->from])
{
    if (caller->role != ROLE_ANYBODY) {
        return caller->name;
    }
    memcpy(buf, caller->from, sizeof caller->from);
    char *colon = strrchr(buf, ':');
    if (colon) {
        *colon = '\0';
    }
    return buf;
}

static bool
admit(void *api_, const struct rpc_caller *caller)
{
    struct api *api = api_;
    const struct config_api *c = api_config(api);
    char buf[sizeof caller->from];

    if (!c || !c->rate_limit || !strcmp(caller->transport, "unix")
        || rate_take(api->rate, rate_key(caller, buf), c->rate_limit,
                     2. * c->rate_limit, clock_mono_ms())) {
        return true;
    }
    counter_inc(&api->n.rate_limited);
    LOG_RATE(api, NOTICE, "%s %s: more than %u requests per second",
             caller->transport, caller->role == ROLE_ANYBODY ? caller->from
             : caller->name, c->rate_limit);
    return false;
}

/* A wrong token is one line; of those that follow from there the tenth, the
 * hundredth and so on. */
static void
tell_bad_token(const struct rpc_caller *caller, unsigned n,
               const struct token *expired)
{
    unsigned rest = n;

    while (rest >= 10 && rest % 10 == 0) {
        rest /= 10;
    }
    if (expired) {
        LOG_RATE(api, NOTICE, "%s %s: refused, the token %s has expired",
                 caller->transport, caller->from, expired->name);
    } else if (n == 1) {
        LOG_RATE(api, NOTICE, "%s %s: refused, a token that is nobody's, or "
                 "no longer", caller->transport, caller->from);
    } else if (n >= BAD_TOKENS_BURST && rest == 1) {
        LOG_RATE(api, NOTICE, "%s %s: refused %u tokens that are nobody's from "
                 "there: one in %d s is looked at", caller->transport,
                 caller->from, n, (int) (1 / BAD_TOKENS_RATE));
    }
}

bool
api_authenticate(struct api *api, const char *text, struct rpc_caller *caller,
                 bool *busy)
{
    struct rpc_caller stranger = *caller;
    char buf[sizeof caller->from], key[sizeof buf + 16];
    int64_t now = clock_mono_ms();

    /* Not by the bucket of requests from there, which fills up faster. */
    stranger.role = ROLE_ANYBODY;
    snprintf(key, sizeof key, "tokens of %s", rate_key(&stranger, buf));
    *busy = !rate_ready(api->rate, key, BAD_TOKENS_RATE, BAD_TOKENS_BURST,
                        now);
    if (*busy) {
        counter_inc(&api->n.rate_limited);
        return false;
    }
    bool expired = false;
    const struct token *t = tokens_check(api->context.tokens, text,
                                         clock_wall_us(), &expired);
    if (!t || expired) {
        rate_take(api->rate, key, BAD_TOKENS_RATE, BAD_TOKENS_BURST, now);
        counter_inc(&api->n.bad_tokens);
        tell_bad_token(caller, rate_taken(api->rate, key, BAD_TOKENS_RATE,
                                          BAD_TOKENS_BURST, now), t);
        return false;
    }
    caller->role = t->role;
    caller->confine = t->confine;
    caller->expires_us = t->expires_us;
    snprintf(caller->name, sizeof caller->name, "token %s", t->name);
    snprintf(caller->token, sizeof caller->token, "%s", t->id);
    return true;
}

void
api_revoke(struct api *api, const char *token_id)
{
    clients_revoke(api, token_id);
    if (api->http) {
        http_revoke(api->http, token_id);
    }
}

/* Where to listen. */

static size_t
add_addresses(struct api_address *list, size_t n,
              const struct config_strings *s, enum api_transport transport)
{
    for (size_t i = 0; i < s->n && n < MAX_ADDRESSES; i++) {
        list[n++] = (struct api_address) { s->list[i], transport };
    }
    return n;
}

static int
set_addresses(struct api *api, const struct config_api *c, bool http,
              char **error)
{
    struct api_address list[MAX_ADDRESSES];
    size_t n = add_addresses(list, 0, &c->tcp, API_TCP);

    n = add_addresses(list, n, &c->tls, API_TLS);
    n = add_addresses(list, n, &c->https, API_HTTPS);
    if (http) {
        n = add_addresses(list, n, &c->http, API_HTTP);
    }
    return api_set_addresses(api, list, n, error);
}

int
api_configure(struct api *api, const struct config_api *c, char **error)
{
    struct wire_files files = { c->certificate, c->private_key, c->ca,
                                c->require_client };
    struct wire_tls *tls = NULL;
    bool wants_tls = c->tls.n || c->https.n;

    *error = NULL;
    if (wants_tls && !(tls = wire_tls_server(&files, error))) {
        return -EINVAL;
    }
    if ((c->http.n || c->https.n) && !api->http
        && !(api->http = http_create(api, error))) {
        wire_tls_destroy(tls);
        return -EIO;
    }
    int err = set_addresses(api, c, true, error);
    if (err == -EADDRINUSE && c->http_is_default) {
        LOG(api, NOTICE, "no HTTP: %s (api/http/listen)",
            *error ? *error : "the address is taken");
        free(*error);
        err = set_addresses(api, c, false, error);
    }
    if (err) {
        wire_tls_destroy(tls);
        return err;
    }
    wire_tls_destroy(api->tls);
    api->tls = tls;
    return 0;
}

int
api_adopt(struct api *api, int fd)
{
    return client_adopt(api, fd, API_UNIX);
}

static void
on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct api *api = w->data;
    int64_t now = clock_mono_ms();

    (void) loop;
    (void) revents;
    clients_sweep(api, now);
    if (api->http) {
        http_sweep(api->http, now);
    }
}

/* Posts from other threads. */

void
api_post(struct api *api, void (*deliver)(void *aux), void *aux)
{
    struct post *p = malloc(sizeof *p);

    if (!p) {
        LOG(api, ERR, "out of memory: an answer of another thread is lost");
        return;
    }
    *p = (struct post) { .deliver = deliver, .aux = aux };
    pthread_mutex_lock(&api->mutex);
    *api->posts_tail = p;
    api->posts_tail = &p->next;
    pthread_mutex_unlock(&api->mutex);
    ev_async_send(api->loop, &api->posted);
}

static struct post *
take_post(struct api *api)
{
    pthread_mutex_lock(&api->mutex);
    struct post *p = api->posts;
    if (p && !(api->posts = p->next)) {
        api->posts_tail = &api->posts;
    }
    pthread_mutex_unlock(&api->mutex);
    return p;
}

static void
on_posted(struct ev_loop *loop, ev_async *w, int revents)
{
    struct api *api = w->data;
    int64_t until = clock_mono_us() + API_SLICE_US;
    struct post *p;

    (void) revents;
    while ((p = take_post(api))) {
        p->deliver(p->aux);
        free(p);
        if (clock_mono_us() >= until) {
            ev_async_send(loop, w);
            break;
        }
    }
}

/* The whole. */

void
api_set_limits(struct api *api, const struct api_limits *limits)
{
    struct rlimit r;

    api->max_clients = limits && limits->max_clients ? limits->max_clients
                                                     : 4096;
    api->limits = json_default_limits;
    if (limits && limits->max_request) {
        api->limits.size = limits->max_request;
    }
    /* Descriptors for so many, as far as we are allowed to. */
    rlim_t want = (rlim_t) api->max_clients * PER_CLIENT + FIRST_DESCRIPTORS;
    if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < want) {
        r.rlim_cur = r.rlim_max == RLIM_INFINITY || r.rlim_max > want
                     ? want : r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

void
api_set_context(struct api *api, const struct api_context *context)
{
    api->context = *context;
    rpc_core_set_audit(api->core, context->audit ? audit_write : NULL,
                       context->audit);
}

struct api *
api_create(struct ev_loop *loop, const struct api_context *context,
           const struct api_limits *limits)
{
    struct api *api = calloc(1, sizeof *api);

    if (!api) {
        return NULL;
    }
    api->loop = loop;
    if (context) {
        api->context = *context;
    }
    api_set_limits(api, limits);
    api->core = rpc_core_create(method_tables, &api->limits, api,
                                &api->context);
    if (!api->core) {
        free(api);
        return NULL;
    }
    api->rate = rate_create();
    if (!api->rate) {
        rpc_core_unref(api->core);
        free(api);
        return NULL;
    }
    rpc_core_set_admit(api->core, admit, api);
    api->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    api->work_tail = &api->work;
    api->posts_tail = &api->posts;
    pthread_mutex_init(&api->mutex, NULL);
    ev_async_init(&api->posted, on_posted);
    ev_idle_init(&api->idle, clients_on_idle);
    ev_timer_init(&api->sweep, on_sweep, 1., 1.);
    api->posted.data = api->idle.data = api->sweep.data = api;
    ev_set_priority(&api->idle, EV_MAXPRI);
    ev_async_start(loop, &api->posted);
    ev_timer_start(loop, &api->sweep);
    /* None of these keeps a loop alive on its own. */
    ev_unref(loop);
    ev_unref(loop);
    return api;
}

void
api_destroy(struct api *api)
{
    struct post *p;

    if (!api) {
        return;
    }
    listeners_destroy(api);
    clients_destroy(api);
    http_destroy(api->http);
    wire_tls_destroy(api->tls);
    while ((p = take_post(api))) {
        p->deliver(p->aux);
        free(p);
    }
    ev_ref(api->loop);
    ev_ref(api->loop);
    ev_async_stop(api->loop, &api->posted);
    ev_timer_stop(api->loop, &api->sweep);
    ev_idle_stop(api->loop, &api->idle);
    pthread_mutex_destroy(&api->mutex);
    if (api->spare_fd >= 0) {
        close(api->spare_fd);
    }
    rpc_core_unref(api->core);
    rate_destroy(api->rate);
    free(api);
}

const struct api_counters *
api_counters(const struct api *api)
{
    return &api->n;
}

const struct rpc_counters *
api_rpc_counters(const struct api *api)
{
    return rpc_core_counters(api->core);
}

unsigned
api_n_clients(const struct api *api)
{
    return api->n_clients;
}
