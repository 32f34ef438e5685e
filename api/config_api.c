#include <config.h>

#include "api/config_api.h"

#include "api/confine.h"
#include "api/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#define PATH "/venturi:venturi/api/"

static int __attribute__((format(printf, 3, 4)))
refuse(struct config_error *e, const char *leaf, const char *format, ...)
{
    va_list args;

    snprintf(e->path, sizeof e->path, PATH "%s", leaf);
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    return -EINVAL;
}

static int
get_text(struct json_object *o, const char *name, char **text)
{
    struct json_object *v = json_member(o, name);

    *text = v ? strdup(json_object_get_string(v)) : NULL;
    return v && !*text ? -ENOMEM : 0;
}

/* "none" stands for none. */
static int
get_strings(struct json_object *o, const char *name, struct config_strings *s)
{
    struct json_object *array = json_member(o, name);
    size_t n = array ? json_object_array_length(array) : 0;

    s->list = calloc(n ? n : 1, sizeof *s->list);
    for (size_t i = 0; s->list && i < n; i++) {
        const char *text = json_object_get_string(
            json_object_array_get_idx(array, i));
        if (!strcmp(text, "none")) {
            continue;
        }
        if (!(s->list[s->n] = strdup(text))) {
            return -ENOMEM;
        }
        s->n++;
    }
    return s->list ? 0 : -ENOMEM;
}

static void
free_strings(struct config_strings *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->list[i]);
    }
    free(s->list);
}

bool
config_strings_equal(const struct config_strings *a,
                     const struct config_strings *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++) {
        same = !strcmp(a->list[i], b->list[i]);
    }
    return same;
}

static int
get_listen(struct json_object *o, const char *name, struct config_strings *s,
           struct config_error *e)
{
    char leaf[64];
    int err = get_strings(json_member(o, name), "listen", s);

    snprintf(leaf, sizeof leaf, "%s/listen", name);
    for (size_t i = 0; !err && i < s->n; i++) {
        struct addr addr;
        uint16_t port;
        if (endpoint_parse(s->list[i], 0, &addr, &port)) {
            err = refuse(e, leaf, "%s is not an address and port; expected "
                         "such as 127.0.0.1:8780 or [::1]:8780", s->list[i]);
        }
    }
    return err;
}

static int
get_tls(struct json_object *o, struct config_api *c, struct config_error *e)
{
    struct json_object *tls = json_member(o, "tls");
    int err = get_text(tls, "certificate", &c->certificate);

    err = err ? err : get_text(tls, "private-key", &c->private_key);
    err = err ? err : get_text(tls, "ca", &c->ca);
    c->require_client = json_object_get_boolean(
        json_member(tls, "require-client-certificate"));
    if (err) {
        return err;
    }
    if ((c->tls.n || c->https.n) && (!c->certificate || !c->private_key)) {
        return refuse(e, "tls", "listen needs a certificate and a "
                      "private-key");
    }
    if (c->require_client && !c->ca) {
        return refuse(e, "tls", "require-client-certificate needs the ca that "
                      "signs them");
    }
    return 0;
}

static int
get_http(struct json_object *o, struct config_api *c, struct config_error *e)
{
    struct json_object *http = json_member(o, "http");
    const char *metrics = json_object_get_string(json_member(http, "metrics"));
    struct config_strings proxies = { NULL, 0 };
    int err = get_strings(http, "cors-origin", &c->cors_origins);

    c->metrics = !strcmp(metrics, "anybody") ? METRICS_ANYBODY
                 : !strcmp(metrics, "viewer") ? METRICS_VIEWER
                 : METRICS_LOOPBACK;
    err = err ? err : get_text(http, "user-header", &c->user_header);
    err = err ? err : get_strings(http, "trusted-proxy", &proxies);
    if (!err) {
        for (char *p = c->user_header; *p; p++) {
            *p = (char) tolower((unsigned char) *p);
        }
        c->proxies = calloc(proxies.n ? proxies.n : 1, sizeof *c->proxies);
        err = c->proxies ? 0 : -ENOMEM;
    }
    for (size_t i = 0; !err && i < proxies.n; i++) {
        if (prefix_parse(proxies.list[i], &c->proxies[c->n_proxies++])) {
            err = refuse(e, "http/trusted-proxy", "%s is not a prefix; "
                         "expected such as 192.0.2.1 or 2001:db8::/64",
                         proxies.list[i]);
        }
    }
    free_strings(&proxies);
    return err;
}

static int
get_access(struct json_object *o, struct config_access *a,
           struct config_error *e)
{
    int err = get_text(o, "name", &a->name);

    a->role = (enum api_role) role_find(
        json_object_get_string(json_member(o, "role")));
    struct json_object *tenants = json_member(o, "tenant");
    if (!err && tenants) {
        err = confine_from_json(tenants, &a->confine);
    }
    if (err) {
        return err;
    }
    if (a->confine && a->role != ROLE_VIEWER) {
        char leaf[128];
        snprintf(leaf, sizeof leaf, "access[name='%.64s']/tenant", a->name);
        return refuse(e, leaf, "only viewers can be confined to tenants: "
                      "other roles change what all have");
    }
    err = err ? err : get_strings(o, "user", &a->users);
    err = err ? err : get_strings(o, "group", &a->groups);
    err = err ? err : get_strings(o, "certificate", &a->certificates);
    err = err ? err : get_strings(o, "proxy-user", &a->proxy_users);
    if (!err && !a->users.n && !a->groups.n && !a->certificates.n
        && !a->proxy_users.n) {
        char leaf[128];
        snprintf(leaf, sizeof leaf, "access[name='%.64s']", a->name);
        err = refuse(e, leaf, "fits nobody; expected user, group, "
                     "certificate or proxy-user");
    }
    return err;
}

int
config_api_make(struct json_object *root, struct config_api **out,
                struct config_error *e)
{
    struct json_object *o = json_member(root, "api");
    struct json_object *rules = json_member(o, "access");
    size_t n = rules ? json_object_array_length(rules) : 0;
    struct config_api *c = calloc(1, sizeof *c);
    int err = c ? 0 : -ENOMEM;

    *out = NULL;
    err = err ? err : get_listen(o, "tcp", &c->tcp, e);
    err = err ? err : get_listen(o, "tls", &c->tls, e);
    err = err ? err : get_listen(o, "http", &c->http, e);
    err = err ? err : get_listen(o, "https", &c->https, e);
    err = err ? err : get_tls(o, c, e);
    err = err ? err : get_http(o, c, e);
    if (!err) {
        c->rate_limit = (uint32_t) json_object_get_int64(
            json_member(o, "rate-limit"));
        c->access = calloc(n ? n : 1, sizeof *c->access);
        err = c->access ? 0 : -ENOMEM;
    }
    for (size_t i = 0; !err && i < n; i++) {
        err = get_access(json_object_array_get_idx(rules, i),
                         &c->access[c->n_access++], e);
    }
    if (err) {
        config_api_destroy(c);
        return err;
    }
    *out = c;
    return 0;
}

void
config_api_destroy(struct config_api *c)
{
    if (!c) {
        return;
    }
    free_strings(&c->tcp);
    free_strings(&c->tls);
    free_strings(&c->http);
    free_strings(&c->https);
    free_strings(&c->cors_origins);
    free(c->certificate);
    free(c->private_key);
    free(c->ca);
    free(c->proxies);
    free(c->user_header);
    for (size_t i = 0; i < c->n_access; i++) {
        struct config_access *a = &c->access[i];
        free(a->name);
        free_strings(&a->users);
        free_strings(&a->groups);
        free_strings(&a->certificates);
        free_strings(&a->proxy_users);
    }
    free(c->access);
    free(c);
}
