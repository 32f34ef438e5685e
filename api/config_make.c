/* From the full tree, of which the model has made sure, to plain values. */
#include <config.h>

#include "api/config_p.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/config_alert.h"
#include "api/config_api.h"
#include "api/config_bgp.h"
#include "api/config_event.h"
#include "api/config_identity.h"
#include "api/config_inventory.h"
#include "api/config_probe.h"
#include "api/config_route.h"
#include "api/model.h"
#include "collector/template/element.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/log.h"

#ifndef RUNSTATEDIR
#define RUNSTATEDIR "/run"
#endif

int __attribute__((format(printf, 4, 5)))
refuse(struct config_error *e, int code, const char *path,
       const char *format, ...)
{
    va_list args;

    if (e) {
        snprintf(e->path, sizeof e->path, "%s", path);
        va_start(args, format);
        vsnprintf(e->message, sizeof e->message, format, args);
        va_end(args);
    }
    return code;
}

/* Reading the full tree.  The model has made sure of every type; a member can
 * only be absent where the model has no default. */

struct json_object *
at(struct json_object *o, const char *path)
{
    while (o && *path) {
        char name[64];
        size_t n = strcspn(path, "/");
        struct json_object *child = NULL;
        snprintf(name, sizeof name, "%.*s", (int) n, path);
        json_object_object_get_ex(o, name, &child);
        o = child;
        path += n + (path[n] == '/');
    }
    return o;
}

/* Error paths are those of the model. */
const char *
data_path(const char *path)
{
    static _Thread_local char buf[512];

    snprintf(buf, sizeof buf, "/%s/%s", MODEL_ROOT, path);
    return buf;
}

void
free_strings(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i]);
    }
    free(list);
}

int
add_string(char ***list, size_t *n, const char *s)
{
    char **p = realloc(*list, (*n + 1) * sizeof *p);

    if (!p) {
        return -ENOMEM;
    }
    *list = p;
    if (!(p[*n] = strdup(s))) {
        return -ENOMEM;
    }
    ++*n;
    return 0;
}

/* The strings of a leaf-list; "none" stands for none. */
int
get_strings(struct json_object *root, const char *path, char ***list,
            size_t *n)
{
    struct json_object *o = at(root, path);

    for (size_t i = 0; o && i < json_object_array_length(o); i++) {
        const char *s = json_object_get_string(json_object_array_get_idx(o,
                                                                         i));
        if (strcmp(s, "none") && add_string(list, n, s)) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int
get_duration(struct json_object *root, const char *path, const char *min,
             const char *max, int64_t *us, struct config_error *e)
{
    const char *text = json_object_get_string(at(root, path));
    int64_t lo = 0, hi = INT64_MAX;

    if (min) {
        duration_parse_us(min, &lo);
        duration_parse_us(max, &hi);
    }
    if (!text || duration_parse_us(text, us)) {
        return refuse(e, -EINVAL, data_path(path), "%s is longer than can be "
                      "counted", text ? text : "null");
    }
    if (*us < lo || *us > hi) {
        return refuse(e, -EINVAL, data_path(path), "%s is out of range; "
                      "expected %s to %s", text, min, max);
    }
    return 0;
}

static int
get_size(struct json_object *root, const char *path, const char *min,
         const char *max, uint64_t *bytes, struct config_error *e)
{
    const char *text = json_object_get_string(at(root, path));
    uint64_t lo = 0, hi = UINT64_MAX;

    if (min) {
        size_parse(min, &lo);
    }
    if (max) {
        size_parse(max, &hi);
    }
    if (!text || size_parse(text, bytes) || *bytes < lo || *bytes > hi) {
        return refuse(e, -EINVAL, data_path(path), "%s is out of range; "
                      "expected %s%s%s", text ? text : "null",
                      min ? min : "0", max ? " to " : " or more",
                      max ? max : "");
    }
    return 0;
}

unsigned
get_uint(struct json_object *root, const char *path)
{
    return (unsigned) json_object_get_int64(at(root, path));
}

static int
get_listen(struct json_object *root, const char *path, char ***list,
           size_t *n, struct config_error *e)
{
    if (get_strings(root, path, list, n)) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < *n; i++) {
        struct addr addr;
        uint16_t port;
        if (endpoint_parse((*list)[i], 0, &addr, &port)) {
            return refuse(e, -EINVAL, data_path(path), "%s is not an address "
                          "and port; expected such as 127.0.0.1:2055 or "
                          "[::1]:2055", (*list)[i]);
        }
    }
    return 0;
}

/* Plain values. */

void
config_free(struct config *c)
{
    if (!c) {
        return;
    }
    free_strings(c->ovsdb_remotes, c->n_ovsdb_remotes);
    free(c->ovsdb_private_key);
    free(c->ovsdb_certificate);
    free(c->ovsdb_ca);
    export_policies_destroy(c->policies);
    config_identity_destroy(c->identity);
    free_strings(c->netflow_listen, c->n_netflow_listen);
    free_strings(c->ipfix_listen, c->n_ipfix_listen);
    free_strings(c->sflow_listen, c->n_sflow_listen);
    free_strings(c->tcp_listen, c->n_tcp_listen);
    free_strings(c->tls_listen, c->n_tls_listen);
    free(c->tls_certificate);
    free(c->tls_private_key);
    free(c->tls_ca);
    free_strings(c->allow, c->n_allow);
    free(c->multicast_interface);
    for (size_t i = 0; i < c->n_sources; i++) {
        free(c->sources[i].name);
    }
    free(c->sources);
    free(c->elements);
    free_strings(c->api_addresses, c->n_api_addresses);
    free_strings(c->log_levels, c->n_log_levels);
    free(c->log_target);
    free(c->data_format);
    free(c->user);
    probe_config_destroy(c->probe);
    config_alert_destroy(c->alert);
    config_bgp_destroy(c->bgp);
    config_route_destroy(c->routes);
    config_inventory_destroy(c->inventory);
    config_api_destroy(c->api);
    free(c);
}

/* A text that need not be there. */
static int
get_text(struct json_object *root, const char *path, char **text)
{
    struct json_object *o = at(root, path);

    *text = o ? strdup(json_object_get_string(o)) : NULL;
    return o && !*text ? -ENOMEM : 0;
}

/* IPFIX over TCP and TLS. */
static int
get_streams(struct json_object *root, struct config *c,
            struct config_error *e)
{
    const char *base = "collector/ipfix/tls";
    int err = get_listen(root, "collector/ipfix/tcp/listen", &c->tcp_listen,
                         &c->n_tcp_listen, e);

    err = err ? err : get_listen(root, "collector/ipfix/tls/listen",
                                 &c->tls_listen, &c->n_tls_listen, e);
    err = err ? err : get_text(root, "collector/ipfix/tls/certificate",
                               &c->tls_certificate);
    err = err ? err : get_text(root, "collector/ipfix/tls/private-key",
                               &c->tls_private_key);
    err = err ? err : get_text(root, "collector/ipfix/tls/ca", &c->tls_ca);
    err = err ? err : get_duration(root, "collector/ipfix/idle-timeout",
                                   "1s", "30d", &c->idle_timeout_us, e);
    if (err) {
        return err;
    }
    c->max_sessions = get_uint(root, "collector/ipfix/max-sessions");
    c->tls_require_client = json_object_get_boolean(
        at(root, "collector/ipfix/tls/require-client-certificate"));
    if (c->n_tls_listen && (!c->tls_certificate || !c->tls_private_key)) {
        return refuse(e, -EINVAL, data_path(base), "listen needs a "
                      "certificate and a private-key");
    } else if (c->n_tls_listen && c->tls_require_client && !c->tls_ca) {
        return refuse(e, -EINVAL, data_path(base), "require-client-"
                      "certificate needs the ca that signs them; expected "
                      "ca, or require-client-certificate false");
    }
    return 0;
}

static int
get_source(struct json_object *o, struct config_source *s,
           struct config_error *e)
{
    const char *address = json_object_get_string(at(o, "address"));

    s->sampling = at(o, "sampling") ? get_uint(o, "sampling") : 0;
    s->name = strdup(json_object_get_string(at(o, "name")));
    if (!s->name) {
        return -ENOMEM;
    } else if (addr_parse(address, &s->address)) {
        return refuse(e, -EINVAL, data_path("collector/source/address"),
                      "%s is not an address; expected such as 192.0.2.1 or "
                      "2001:db8::1", address);
    }
    return 0;
}

/* Who may send, and what they are called. */
static int
get_exporters(struct json_object *root, struct config *c,
              struct config_error *e)
{
    struct json_object *list = at(root, "collector/source");
    size_t n = list ? json_object_array_length(list) : 0;
    struct prefix prefix;
    int err = get_strings(root, "collector/allow", &c->allow, &c->n_allow);

    for (size_t i = 0; !err && i < c->n_allow; i++) {
        if (prefix_parse(c->allow[i], &prefix)) {
            return refuse(e, -EINVAL, data_path("collector/allow"), "%s is "
                          "not a prefix; expected such as 192.0.2.0/24 or "
                          "2001:db8::1", c->allow[i]);
        }
    }
    err = err ? err : get_text(root, "collector/multicast-interface",
                               &c->multicast_interface);
    if (!err && n && !(c->sources = calloc(n, sizeof *c->sources))) {
        err = -ENOMEM;
    }
    for (size_t i = 0; !err && i < n; i++) {
        err = get_source(json_object_array_get_idx(list, i),
                         &c->sources[c->n_sources++], e);
        for (size_t k = 0; !err && k < i; k++) {
            if (addr_equal(&c->sources[k].address, &c->sources[i].address)) {
                err = refuse(e, -EINVAL, data_path("collector/source"), "%s "
                             "and %s have the same address",
                             c->sources[k].name, c->sources[i].name);
            }
        }
    }
    return err;
}

/* Elements that fill columns because the administrator says so. */
static int
get_elements(struct json_object *root, struct config *c,
             struct config_error *e)
{
    struct json_object *list = at(root, "collector/element");
    size_t n = list ? json_object_array_length(list) : 0;

    c->extra = json_object_get_boolean(at(root, "collector/extra"));
    if (n && !(c->elements = calloc(n, sizeof *c->elements))) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *name = json_object_get_string(at(o, "column"));
        const struct column *column = column_by_name(name);
        if (!column || !element_can_fill((uint16_t) (column - columns))) {
            return refuse(e, -EINVAL, data_path("collector/element/column"),
                          "%s is %s; expected a column that flow.columns "
                          "lists, of numbers, addresses or names, and that "
                          "can be null", name, column ? "none that an "
                          "element can fill" : "no column");
        }
        c->elements[c->n_elements++] = (struct element_mapping) {
            get_uint(o, "enterprise"), (uint16_t) get_uint(o, "id"),
            (uint16_t) (column - columns),
        };
    }
    return 0;
}

static int
get_collector(struct json_object *root, struct config *c,
              struct config_error *e)
{
    uint64_t buffer = 0;
    int err = get_listen(root, "collector/netflow/listen", &c->netflow_listen,
                         &c->n_netflow_listen, e);

    if (!err) {
        err = get_listen(root, "collector/ipfix/listen", &c->ipfix_listen,
                         &c->n_ipfix_listen, e);
    }
    if (!err) {
        err = get_listen(root, "collector/sflow/listen", &c->sflow_listen,
                         &c->n_sflow_listen, e);
    }
    if (!err) {
        err = get_streams(root, c, e);
    }
    if (!err) {
        err = get_exporters(root, c, e);
    }
    if (!err) {
        err = get_elements(root, c, e);
    }
    if (!err) {
        err = get_size(root, "collector/receive-buffer", "64KiB", "1GiB",
                       &buffer, e);
    }
    c->receive_buffer = (uint32_t) buffer;
    c->workers = get_uint(root, "collector/workers");
    c->max_sources = get_uint(root, "collector/max-sources");
    err = err ? err : get_duration(root, "collector/counters/interval", "1s",
                                   "1h", &c->counters_interval_us, e);
    err = err ? err : get_duration(root, "collector/counters/retention", NULL,
                                   NULL, &c->counters_retention_us, e);
    err = err ? err : get_size(root, "collector/counters/size", NULL, NULL,
                               &c->counters_bytes, e);
    return err;
}

static int
get_store(struct json_object *root, struct config *c, struct config_error *e)
{
    int64_t timeout = 0;
    int err = get_duration(root, "store/retention/raw", NULL, NULL,
                           &c->retention_us, e);

    if (!err) {
        err = get_size(root, "store/retention/size", NULL, NULL,
                       &c->retention_bytes, e);
    }
    if (!err) {
        err = get_duration(root, "store/retention/minutes", NULL, NULL,
                           &c->minutes_us, e);
    }
    if (!err) {
        err = get_size(root, "store/retention/minutes-size", NULL, NULL,
                       &c->minutes_bytes, e);
    }
    if (!err) {
        err = get_duration(root, "store/retention/hours", NULL, NULL,
                           &c->hours_us, e);
    }
    if (!err) {
        err = get_size(root, "store/retention/hours-size", NULL, NULL,
                       &c->hours_bytes, e);
    }
    if (!err) {
        err = get_duration(root, "store/export/delay", NULL, "7d",
                           &c->data_delay_us, e);
    }
    if (!err) {
        err = get_text(root, "store/export/format", &c->data_format);
    }
    c->export_hourly = !strcmp(json_object_get_string(
        at(root, "store/export/schedule")), "hourly");
    c->rollups = json_object_get_boolean(at(root, "store/rollups"));
    if (!err) {
        err = get_size(root, "store/memory", "32MB", NULL, &c->memory_limit,
                       e);
    }
    if (!err) {
        err = get_duration(root, "query/timeout", "100ms", "1h", &timeout, e);
    }
    c->query_timeout_ms = timeout / 1000;
    c->query_threads = get_uint(root, "query/threads");
    c->query_max = get_uint(root, "query/max-running");
    return err;
}

/* "info", "ovsdb:debug": the model knows levels, but not modules. */
static int
check_log_level(const char *spec, struct config_error *e)
{
    const char *colon = strchr(spec, ':');
    char list[256] = "";

    if (!colon) {
        return 0;
    }
    for (int i = 0; i < N_LOG_MODULES; i++) {
        const char *name = log_module_name((enum log_module) i);
        size_t n = strlen(list);
        if (strlen(name) == (size_t) (colon - spec)
            && !strncmp(name, spec, strlen(name))) {
            return 0;
        }
        snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", name);
    }
    return refuse(e, -EINVAL, data_path("log/level"), "%s: there is no such "
                  "module; expected one of %s", spec, list);
}

/* All three files, or none. */
static int
get_tls(struct json_object *root, struct config *c, struct config_error *e)
{
    static const char *const names[] = { "private-key", "certificate", "ca" };
    char **const to[] = { &c->ovsdb_private_key, &c->ovsdb_certificate,
                          &c->ovsdb_ca };
    size_t n = 0;

    for (size_t i = 0; i < 3; i++) {
        char path[64];
        snprintf(path, sizeof path, "ovsdb/tls/%s", names[i]);
        struct json_object *o = at(root, path);
        if (o && !(*to[i] = strdup(json_object_get_string(o)))) {
            return -ENOMEM;
        }
        n += o != NULL;
    }
    for (size_t i = 0; n && i < 3; i++) {
        if (!*to[i]) {
            char path[64];
            snprintf(path, sizeof path, "ovsdb/tls/%s", names[i]);
            return refuse(e, -EINVAL, data_path(path), "is missing; expected "
                          "private-key, certificate and ca together");
        }
    }
    return 0;
}

static int
get_rest(struct json_object *root, const struct config_override *o,
         struct config *c, struct config_error *e)
{
    struct json_object *path = at(root, "api/unix");
    uint64_t request = 0;
    char unix_path[PATH_MAX];
    int err = 0;

    snprintf(unix_path, sizeof unix_path, "unix:%s%s",
             path ? json_object_get_string(path)
             : o->run_dir ? o->run_dir : RUNSTATEDIR "/venturi",
             path ? "" : "/api.sock");
    for (size_t i = 0; !err && i < o->n_api; i++) {
        err = add_string(&c->api_addresses, &c->n_api_addresses, o->api[i]);
    }
    if (!err && !o->n_api) {
        err = add_string(&c->api_addresses, &c->n_api_addresses, unix_path);
    }
    for (size_t i = 0; !err && i < o->n_ovsdb; i++) {
        if (strcmp(o->ovsdb[i], "none")) {
            err = add_string(&c->ovsdb_remotes, &c->n_ovsdb_remotes,
                             o->ovsdb[i]);
        }
    }
    if (!err && !o->n_ovsdb) {
        err = get_strings(root, "ovsdb/remote", &c->ovsdb_remotes,
                          &c->n_ovsdb_remotes);
    }
    if (!err) {
        err = get_tls(root, c, e);
    }
    if (!err) {
        err = get_size(root, "api/max-request", "4kB", "64MB", &request, e);
    }
    c->max_request = (uint32_t) request;
    c->max_clients = get_uint(root, "api/max-clients");
    if (!err) {
        err = get_strings(root, "log/level", &c->log_levels,
                          &c->n_log_levels);
    }
    for (size_t i = 0; !err && i < c->n_log_levels; i++) {
        err = check_log_level(c->log_levels[i], e);
    }
    c->log_target = strdup(json_object_get_string(at(root, "log/target")));
    c->user = strdup(json_object_get_string(at(root, "user")));
    return err ? err : c->log_target && c->user ? 0 : -ENOMEM;
}

int
config_make(struct json_object *full, const struct config_override *override,
            struct config **out, struct config_error *e)
{
    struct json_object *root = at(full, MODEL_ROOT);
    struct config *c = calloc(1, sizeof *c);
    int err = c ? 0 : -ENOMEM;

    if (!err) {
        err = get_collector(root, c, e);
    }
    if (!err) {
        err = get_store(root, c, e);
    }
    if (!err) {
        err = get_rest(root, override, c, e);
    }
    if (!err) {
        c->export_apply = !strcmp(json_object_get_string(at(root,
                                                            "export/mode")),
                                  "apply");
        err = config_get_policies(root, c, e);
    }
    if (!err) {
        err = config_probe_make(root, c->policies, &c->probe, e);
    }
    if (!err) {
        err = config_event_make(root, c, e);
    }
    if (!err) {
        err = config_alert_make(root, &c->alert, e);
    }
    if (!err) {
        err = config_bgp_make(root, &c->bgp, e);
    }
    if (!err) {
        err = config_route_make(root, &c->routes, e);
    }
    if (!err) {
        err = config_inventory_make(root, &c->inventory, e);
    }
    if (!err) {
        err = config_identity_make(root, &c->identity, e);
    }
    if (!err) {
        err = config_api_make(root, &c->api, e);
    }
    if (err) {
        if (err == -ENOMEM) {
            refuse(e, err, "/", "out of memory");
        }
        config_free(c);
        c = NULL;
    }
    *out = c;
    return err;
}
