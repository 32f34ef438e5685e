#include <config.h>

#include "api/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/config_bgp.h"
#include "api/config_api.h"
#include "api/config_alert.h"
#include "api/config_event.h"
#include "api/config_identity.h"
#include "api/config_inventory.h"
#include "api/config_probe.h"
#include "api/config_route.h"
#include "api/history.h"
#include "api/json.h"
#include "api/model.h"
#include "collector/template/element.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/event.h"
#include "lib/log.h"

#ifndef RUNSTATEDIR
#define RUNSTATEDIR "/run"
#endif

/* A file that a person may have written: generous, yet bounded. */
static const struct json_limits file_limits = {
    .size = 16 << 20, .values = 1000000, .containers = 200000, .depth = 32,
};

/* What a file was when we read or wrote it. */
struct stamp {
    bool exists;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
};

struct config_store {
    char *path;                 /* NULL: nothing is written. */
    bool required;              /* The file was asked for by name. */
    char *reload_error;         /* Why the file was not taken over; or NULL. */
    struct stamp stamp;
    struct json_object *tree;   /* What the file says. */
    struct json_object *full;   /* With defaults and the command line. */
    struct config *config;
    struct config_override override;
    config_apply_fn *apply;
    void *apply_aux;
    void (*guard)(void *, bool);
    void *guard_aux;
    struct history *history;    /* Or NULL. */
    char author[256];           /* Of the next change; "": nobody told. */
    struct json_object *changes;        /* By the last one; or NULL. */
};

static int __attribute__((format(printf, 4, 5)))
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

static struct json_object *
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
static const char *
data_path(const char *path)
{
    static _Thread_local char buf[512];

    snprintf(buf, sizeof buf, "/%s/%s", MODEL_ROOT, path);
    return buf;
}

static void
free_strings(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i]);
    }
    free(list);
}

static int
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
static int
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

static unsigned
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

/* Export policies. */

static int
get_option(struct json_object *o, const struct export_option *option,
           struct export_wish *wish, struct export_value *value)
{
    struct json_object *v = NULL;

    if (!json_object_object_get_ex(o, option->name, &v)) {
        return 0;
    }
    if (!strcmp(option->name, "sampling")
        && json_object_is_type(v, json_type_string)) {
        wish->sampling_auto = true;
        return 0;
    }
    value->set = true;
    switch (option->type) {
    case EXPORT_T_INT:
        value->number = json_object_get_int64(v);
        return 0;
    case EXPORT_T_BOOL:
        value->number = json_object_get_boolean(v);
        return 0;
    default:
        value->string = strdup(json_object_get_string(v));
        return value->string ? 0 : -ENOMEM;
    }
}

static int
get_ipfix_sample(struct json_object *o, struct export_wish *wish)
{
    int err = 0;

    wish->wanted = true;
    for (size_t i = 0; !err && i < N_EXPORT_OPTIONS; i++) {
        if (export_options[i].table == EXPORT_IPFIX
            && export_option_is_for_samples((enum export_option_id) i)) {
            err = get_option(o, &export_options[i], wish, &wish->value[i]);
        }
    }
    return err ? err : get_strings(o, "targets", &wish->targets,
                                   &wish->n_targets);
}

static int
check_targets(const struct export_policy *p, enum export_table t,
              struct config_error *e)
{
    const struct export_wish *wish = &p->wish[t];

    for (size_t i = 0; i < wish->n_targets; i++) {
        struct addr addr;
        uint16_t port;
        if (strcmp(wish->targets[i], "local")
            && (endpoint_parse(wish->targets[i], 0, &addr, &port) || !port)) {
            char path[200];
            snprintf(path, sizeof path, "export/policy[name='%.64s']/%s/"
                     "targets", p->name, export_table_name(t));
            return refuse(e, -EINVAL, data_path(path), "%s is not a target; "
                          "expected local, or an address and port, such as "
                          "192.0.2.1:2055", wish->targets[i]);
        }
    }
    return 0;
}

static int
get_wish(struct json_object *policy, struct export_policy *p,
         enum export_table t, struct config_error *e)
{
    struct export_wish *wish = &p->wish[t];
    struct json_object *o = at(policy, export_table_name(t));
    int err = 0;

    if (!o) {
        return 0;
    }
    wish->wanted = true;
    for (size_t i = 0; !err && i < N_EXPORT_OPTIONS; i++) {
        if (export_options[i].table == t) {
            err = get_option(o, &export_options[i], wish, &wish->value[i]);
        }
    }
    if (!err) {
        err = get_strings(o, "targets", &wish->targets, &wish->n_targets);
    }
    return err ? err : check_targets(p, t, e);
}

static int
get_samples(struct json_object *o, struct export_policy *p)
{
    struct json_object *list = at(o, "flow-sample");
    size_t n = list ? json_object_array_length(list) : 0;
    int err = 0;

    p->samples = calloc(n + 1, sizeof *p->samples);
    for (size_t i = 0; p->samples && !err && i < n; i++) {
        struct json_object *s = json_object_array_get_idx(list, i);
        struct json_object *ipfix = at(s, "ipfix");
        struct json_object *group = at(s, "local_group_id");
        struct export_sample_wish *wish = &p->samples[p->n_samples++];
        wish->id = get_uint(s, "id");
        if (group) {
            wish->group.set = true;
            wish->group.number = json_object_get_int64(group);
        }
        if (ipfix) {
            err = get_ipfix_sample(ipfix, &wish->ipfix);
        }
    }
    return p->samples ? err : -ENOMEM;
}

static int
get_match(struct json_object *o, struct export_policy *p)
{
    p->datapath_type =
        strdup(json_object_get_string(at(o, "match/datapath-type")));
    return !p->datapath_type
           || get_strings(o, "match/bridges", &p->bridges, &p->n_bridges)
           || get_strings(o, "match/exclude", &p->exclude, &p->n_exclude)
           || get_strings(o, "match/external-ids", &p->bridge_ids,
                          &p->n_bridge_ids)
           || get_strings(o, "match/host-external-ids", &p->host_ids,
                          &p->n_host_ids)
           || get_strings(o, "match/host-labels", &p->labels, &p->n_labels)
           ? -ENOMEM : 0;
}

static int
get_policy(struct json_object *o, struct export_policy *p,
           struct config_error *e)
{
    static const char *const foreign[] = {
        [FOREIGN_RESPECT] = "respect", [FOREIGN_APPEND] = "append",
        [FOREIGN_REPLACE] = "replace",
    };
    const char *word = json_object_get_string(at(o, "foreign"));

    p->name = strdup(json_object_get_string(at(o, "name")));
    if (!p->name || get_match(o, p)) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (!strcmp(word, foreign[i])) {
            p->foreign = (enum export_foreign) i;
        }
    }
    p->probe = at(o, "probe") != NULL;
    p->offload_force = !strcmp(json_object_get_string(at(o, "offload")),
                               "force");
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        int err = get_wish(o, p, (enum export_table) t, e);
        if (err) {
            return err;
        }
    }
    return get_samples(o, p);
}

/* What the model can't say: policies that collide, or match nothing.  The
 * checker's "policy[x]/member" becomes a path of the model. */
static int
check_policies(const struct export_policies *policies,
               struct config_error *e)
{
    char member[256], message[300], path[400];

    if (!export_policies_check(policies, member, sizeof member, message,
                               sizeof message)) {
        return 0;
    }
    const char *name = member + strcspn(member, "["), *end = strchr(name,
                                                                    ']');
    snprintf(path, sizeof path, "export/policy[name='%.*s']%s",
             end ? (int) (end - name - 1) : 0, name + 1, end ? end + 1 : "");
    return refuse(e, -EINVAL, data_path(path), "%s", message);
}

/* Labels of single hosts.  Remotes of the command line take the place of the
 * file's, so that these may be for others. */
static int
get_hosts(struct json_object *root, struct config *c, struct config_error *e)
{
    struct json_object *list = at(root, "ovsdb/host");
    struct json_object *remotes = at(root, "ovsdb/remote");
    size_t n = list ? json_object_array_length(list) : 0;

    free(c->policies->hosts);   /* The default policies' room, empty. */
    c->policies->hosts = calloc(n + 1, sizeof *c->policies->hosts);
    for (size_t i = 0; c->policies->hosts && i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        struct export_host *h = &c->policies->hosts[c->policies->n_hosts++];
        const char *remote = json_object_get_string(at(o, "remote"));
        bool known = false;
        for (size_t j = 0; remotes && j < json_object_array_length(remotes)
                           && !known; j++) {
            known = !strcmp(remote, json_object_get_string(
                                json_object_array_get_idx(remotes, j)));
        }
        if (!known) {
            return refuse(e, -EINVAL, data_path("ovsdb/host/remote"), "%s is "
                          "not one of ovsdb/remote", remote);
        }
        if (!(h->remote = strdup(remote))
            || get_strings(o, "labels", &h->labels, &h->n_labels)) {
            return -ENOMEM;
        }
    }
    return c->policies->hosts ? 0 : -ENOMEM;
}

static int
get_policies(struct json_object *root, struct config *c,
             struct config_error *e)
{
    struct json_object *list = at(root, "export/policy");
    size_t n = list ? json_object_array_length(list) : 0;
    int err = 0;

    c->policies = n ? calloc(1, sizeof *c->policies)
                    : export_policies_default();
    if (!c->policies
        || (n && !(c->policies->list = calloc(n,
                                              sizeof *c->policies->list)))
        || get_strings(root, "ovsdb/labels", &c->policies->labels,
                       &c->policies->n_labels)
        || get_strings(root, "export/adopt", &c->policies->adopt,
                       &c->policies->n_adopt)) {
        return -ENOMEM;
    }
    err = get_hosts(root, c, e);
    c->policies->budget = get_uint(root, "export/budget");
    for (size_t i = 0; !err && i < n; i++) {
        c->policies->n++;       /* Also a half-made one is freed. */
        err = get_policy(json_object_array_get_idx(list, i),
                         &c->policies->list[i], e);
    }
    return err ? err : check_policies(c->policies, e);
}

/* The default policy, to be shown with the other defaults. */

static struct json_object *
strings_to_json(char *const *list, size_t n)
{
    struct json_object *o = json_object_new_array();

    for (size_t i = 0; i < n; i++) {
        json_object_array_add(o, json_object_new_string(list[i]));
    }
    return o;
}

static struct json_object *
wish_to_json(const struct export_wish *wish, enum export_table t)
{
    struct json_object *o = json_object_new_object();

    for (size_t i = 0; i < N_EXPORT_OPTIONS; i++) {
        const struct export_option *option = &export_options[i];
        const struct export_value *v = &wish->value[i];
        if (option->table != t) {
            continue;
        }
        if (wish->sampling_auto && !strcmp(option->name, "sampling")) {
            json_object_object_add(o, "sampling",
                                   json_object_new_string("auto"));
        } else if (v->set) {
            json_object_object_add(
                o, option->name,
                option->type == EXPORT_T_INT ? json_object_new_int64(v->number)
                : option->type == EXPORT_T_BOOL
                ? json_object_new_boolean(v->number != 0)
                : json_object_new_string(v->string));
        }
    }
    json_object_object_add(o, "targets",
                           strings_to_json(wish->targets, wish->n_targets));
    return o;
}

/* The policies as the model writes them, for the model to complete. */
static struct json_object *
policies_to_json(const struct export_policies *policies)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < policies->n; i++) {
        const struct export_policy *p = &policies->list[i];
        struct json_object *o = json_object_new_object();
        struct json_object *match = json_object_new_object();
        json_object_object_add(o, "name", json_object_new_string(p->name));
        if (p->n_bridges) {
            json_object_object_add(match, "bridges",
                                   strings_to_json(p->bridges, p->n_bridges));
        }
        if (p->n_exclude) {
            json_object_object_add(match, "exclude",
                                   strings_to_json(p->exclude, p->n_exclude));
        }
        if (p->datapath_type) {
            json_object_object_add(match, "datapath-type",
                                   json_object_new_string(p->datapath_type));
        }
        json_object_object_add(o, "match", match);
        for (int t = 0; t < N_EXPORT_TABLES; t++) {
            if (p->wish[t].wanted) {
                json_object_object_add(
                    o, export_table_name((enum export_table) t),
                    wish_to_json(&p->wish[t], (enum export_table) t));
            }
        }
        json_object_array_add(list, o);
    }
    return list;
}

/* Plain values. */

static void
config_destroy(struct config *c)
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

static int
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
        err = get_policies(root, c, e);
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
        config_destroy(c);
        c = NULL;
    }
    *out = c;
    return err;
}

/* A candidate: everything that a configuration becomes. */
struct candidate {
    struct json_object *tree, *full;
    struct config *config;
};

static void
candidate_clear(struct candidate *c)
{
    json_object_put(c->tree);
    json_object_put(c->full);
    config_destroy(c->config);
    memset(c, 0, sizeof *c);
}

/* config.get shows what is in effect, also what the file does not say. */
static void
show_overrides(struct candidate *c, const struct config_override *o)
{
    struct json_object *root = at(c->full, MODEL_ROOT);
    const char *api = c->config->api_addresses[0];

    json_object_object_add(at(root, "api"), "unix", json_object_new_string(
                               api + (strncmp(api, "unix:", 5) ? 0 : 5)));
    if (o->n_ovsdb) {
        struct json_object *list = json_object_new_array();
        for (size_t i = 0; i < o->n_ovsdb; i++) {
            json_object_array_add(list, json_object_new_string(o->ovsdb[i]));
        }
        json_object_object_add(at(root, "ovsdb"), "remote", list);
    }
}

/* The default policy, completed by the model as if the file had it. */
static int
show_default_policy(struct model *m, struct candidate *c,
                    struct config_error *e)
{
    struct json_object *root = at(c->full, MODEL_ROOT), *full = NULL;

    if (at(root, "export/policy")) {
        return 0;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *top = json_object_new_object();
    struct json_object *export = json_object_new_object();
    json_object_object_add(export, "policy",
                           policies_to_json(c->config->policies));
    json_object_object_add(top, "export", export);
    json_object_object_add(o, MODEL_ROOT, top);
    int err = model_validate(m, o, NULL, &full, e);
    json_object_put(o);
    if (!err) {
        json_object_object_add(at(root, "export"), "policy", json_object_get(
                                   at(full, MODEL_ROOT "/export/policy")));
    }
    json_object_put(full);
    return err;
}

static int
candidate_make(struct model *m, struct json_object *json,
               const struct config_override *override, struct candidate *c,
               struct config_error *e)
{
    memset(c, 0, sizeof *c);
    int err = model_validate(m, json, &c->tree, &c->full, e);
    if (!err) {
        err = config_make(c->full, override, &c->config, e);
    }
    if (!err) {
        c->config->api->http_is_default =
            !at(c->tree, MODEL_ROOT "/api/http/listen");
        err = show_default_policy(m, c, e);
    }
    if (err) {
        candidate_clear(c);
        return err;
    }
    show_overrides(c, override);
    return 0;
}

/* Files. */

static void
stamp_of(const struct stat *st, struct stamp *s)
{
    *s = (struct stamp) {
        .exists = true, .dev = st->st_dev, .ino = st->st_ino,
        .size = st->st_size, .mtime = st->st_mtim,
    };
}

static bool
stamp_read(const char *path, struct stamp *s)
{
    struct stat st;

    memset(s, 0, sizeof *s);
    if (!stat(path, &st)) {
        stamp_of(&st, s);
    }
    return s->exists;
}

static bool
stamp_equal(const struct stamp *a, const struct stamp *b)
{
    return a->exists == b->exists
           && (!a->exists
               || (a->dev == b->dev && a->ino == b->ino && a->size == b->size
                   && a->mtime.tv_sec == b->mtime.tv_sec
                   && a->mtime.tv_nsec == b->mtime.tv_nsec));
}

static int
read_all(FILE *f, char **text, size_t *n)
{
    size_t room = 65536;

    *n = 0;
    *text = malloc(room);
    while (*text) {
        *n += fread(*text + *n, 1, room - *n, f);
        if (*n < room || *n > file_limits.size) {
            return ferror(f) ? -EIO : *n > file_limits.size ? -EFBIG : 0;
        }
        room *= 2;
        char *p = realloc(*text, room);
        if (!p) {
            free(*text);
        }
        *text = p;
    }
    return -ENOMEM;
}

/* The tree in 'path'; an absent file is the empty configuration unless it is
 * 'required'. */
static int
read_file(const char *path, bool required, struct json_object **tree,
          struct stamp *stamp, struct config_error *e)
{
    struct json_error je;
    char *text = NULL;
    size_t n = 0;

    *tree = NULL;
    stamp_read(path, stamp);
    FILE *f = fopen(path, "re");
    if (!f) {
        int err = errno;
        if (err == ENOENT && !required) {
            *tree = json_object_new_object();
            return *tree ? 0 : -ENOMEM;
        }
        return refuse(e, -err, path, "%s", strerror(err));
    }
    int err = read_all(f, &text, &n);
    fclose(f);
    if (err) {
        free(text);
        return refuse(e, err, path, "%s", strerror(-err));
    }
    err = json_parse(text, n, &file_limits, JSON_UNIQUE, tree, &je);
    free(text);
    if (err) {
        char where[64];
        snprintf(where, sizeof where, "line %" PRIu32 ", column %" PRIu32,
                 je.line, je.column);
        return refuse(e, err, where, "%s: not JSON: %s", path, je.message);
    }
    if (!*tree) {
        return refuse(e, -EINVAL, path, "null; expected an object with "
                      MODEL_ROOT);
    }
    return 0;
}

/* Syncs the directory that 'path' is in, so that the new name lasts. */
static int
sync_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, (size_t) (slash - path) + 1)
                      : strdup(".");
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int err = fd < 0 ? -errno : 0;

    if (fd >= 0) {
        err = fsync(fd) ? -errno : 0;
        close(fd);
    }
    free(dir);
    return err;
}

/* The file as it is stays as PATH.1 until the new one has replaced it: at no
 * time is there no file. */
static void
keep_previous(const char *path)
{
    char *tmp, *old;

    if (asprintf(&tmp, "%s.1.tmp", path) < 0) {
        return;
    }
    if (asprintf(&old, "%s.1", path) >= 0) {
        unlink(tmp);
        if (link(path, tmp) || rename(tmp, old)) {
            if (errno != ENOENT) {
                LOG(config, WARN, "%s: cannot keep the previous "
                    "configuration: %s", old, strerror(errno));
            }
            unlink(tmp);
        }
        free(old);
    }
    free(tmp);
}

/* The stamp is taken before the file has its name: whoever replaces it right
 * after is seen. */
static int
write_new(const char *tmp, const char *path, const char *text,
          struct stamp *stamp)
{
    size_t n = strlen(text);
    struct stat st;
    int fd, err = 0;

    unlink(tmp);
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
              0640);
    if (fd < 0) {
        return -errno;
    }
    if (!stat(path, &st)) {     /* Whose it was, and for whom. */
        if (fchmod(fd, st.st_mode & 07777)
            || fchown(fd, st.st_uid, st.st_gid)) {
            LOG(config, DBG, "%s: %s", tmp, strerror(errno));
        }
    }
    while (n && !err) {
        ssize_t done = write(fd, text, n);
        if (done < 0) {
            err = errno == EINTR ? 0 : -errno;
        } else {
            text += done;
            n -= (size_t) done;
        }
    }
    if (!err && (fsync(fd) || fstat(fd, &st))) {
        err = -errno;
    }
    if (close(fd) && !err) {
        err = -errno;
    }
    if (!err) {
        stamp_of(&st, stamp);
    }
    return err;
}

/* Replaces the file at once: after a crash it is the old or the new one. */
static int
write_file(const char *path, struct json_object *tree, struct stamp *stamp,
           struct config_error *e)
{
    const char *json = json_object_to_json_string_ext(
        tree, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
        | JSON_C_TO_STRING_NOSLASHESCAPE);
    char *real = realpath(path, NULL);  /* A link stays a link. */
    char *tmp = NULL, *text = NULL;
    struct stamp new;
    int err = 0;

    if (!real && !(real = strdup(path))) {
        return -ENOMEM;
    }
    if (asprintf(&tmp, "%s.tmp", real) < 0
        || asprintf(&text, "%s\n", json) < 0) {
        err = -ENOMEM;
    } else {
        err = write_new(tmp, real, text, &new);
    }
    if (!err) {
        keep_previous(real);
        err = rename(tmp, real) ? -errno : sync_dir(real);
    }
    if (err && tmp) {
        unlink(tmp);
    }
    if (err) {
        refuse(e, err, path, "cannot be written: %s", strerror(-err));
    } else {
        *stamp = new;
    }
    free(real);
    free(tmp);
    free(text);
    return err;
}

/* The store. */

struct config_store *
config_load(const char *path, bool required,
            const struct config_override *override, struct config_error *e)
{
    struct config_store *s = calloc(1, sizeof *s);
    struct model *m = model_create();
    struct json_object *json = NULL;
    struct candidate c;
    int err = -ENOMEM;

    if (!s || !m) {
        refuse(e, err, "/", "out of memory, or the model does not load");
        goto out;
    }
    if (override) {
        s->override = *override;
    }
    if (path && !(s->path = strdup(path))) {
        refuse(e, err, "/", "out of memory");
        goto out;
    }
    s->required = required;
    if (path) {
        err = read_file(path, required, &json, &s->stamp, e);
    } else {
        json = json_object_new_object();
        err = json ? 0 : -ENOMEM;
    }
    if (!err) {
        err = candidate_make(m, json, &s->override, &c, e);
    }
    if (!err) {
        s->tree = c.tree;
        s->full = c.full;
        s->config = c.config;
    }

out:
    json_object_put(json);
    model_destroy(m);
    if (err) {
        config_store_destroy(s);
        return NULL;
    }
    return s;
}

void
config_store_destroy(struct config_store *s)
{
    if (s) {
        free(s->path);
        free(s->reload_error);
        json_object_put(s->changes);
        json_object_put(s->tree);
        json_object_put(s->full);
        config_destroy(s->config);
        free(s);
    }
}

const struct config *
config_current(const struct config_store *s)
{
    return s->config;
}

const char *
config_path(const struct config_store *s)
{
    return s->path;
}

struct json_object *
config_to_json(const struct config_store *s, bool with_defaults)
{
    struct json_object *copy = NULL;

    json_object_deep_copy(with_defaults ? s->full : s->tree, &copy, NULL);
    return copy;
}

int
config_validate(const struct config_store *s, struct json_object *json,
                struct config_error *e)
{
    struct model *m = model_create();
    struct candidate c;

    if (!m) {
        return refuse(e, -ENOMEM, "/", "out of memory");
    }
    int err = candidate_make(m, json, &s->override, &c, e);
    if (!err) {
        candidate_clear(&c);
    }
    model_destroy(m);
    return err;
}

void
config_set_apply(struct config_store *s, config_apply_fn *apply, void *aux)
{
    s->apply = apply;
    s->apply_aux = aux;
}

void
config_set_guard(struct config_store *s, void (*guard)(void *, bool),
                 void *aux)
{
    s->guard = guard;
    s->guard_aux = aux;
}

static void
guard(struct config_store *s, bool on)
{
    if (s->guard) {
        s->guard(s->guard_aux, on);
    }
}

void
config_set_author(struct config_store *s, const char *who)
{
    snprintf(s->author, sizeof s->author, "%s", who);
}

#define MAX_TOLD_PATHS 20

/* Where, but not what: passwords are among it, and anybody reads events. */
static void
tell_change(const struct config_store *s, const char *how)
{
    size_t n = s->changes ? json_object_array_length(s->changes) : 0;
    struct json_object *paths = json_object_new_array();
    char more[40] = "";

    for (size_t i = 0; i < n && i < MAX_TOLD_PATHS; i++) {
        json_object_array_add(paths, json_object_get(at(
            json_object_array_get_idx(s->changes, i), "path")));
    }
    if (n > 1) {
        snprintf(more, sizeof more, " and %zu more", n - 1);
    }
    if (n) {
        const char *first = json_object_get_string(
            json_object_array_get_idx(paths, 0));
        event_post(EVENT_config_changed, first,
                   EVENT_DETAIL(EVENT_TEXT("how", how),
                                EVENT_TEXT("who", *s->author ? s->author
                                                             : NULL),
                                EVENT_JSON("paths",
                                           json_object_to_json_string_ext(
                                               paths,
                                               JSON_C_TO_STRING_PLAIN))),
                   "the configuration has changed: %s%s", first, more);
    }
    json_object_put(paths);
}

static void
keep_revision(struct config_store *s, const char *how)
{
    tell_change(s, how);
    if (s->history && json_object_array_length(s->changes)) {
        history_add(s->history, *s->author ? s->author : NULL, how, s->tree,
                    s->changes);
    }
    s->author[0] = '\0';
}

/* A file that was edited while nobody ran is a change, too. */
void
config_set_history(struct config_store *s, struct history *history)
{
    uint32_t newest = history_newest(history);
    struct json_object *last = newest ? history_get(history, newest) : NULL;
    struct json_object *before = at(last, "config");

    s->history = history;
    if (!before || !json_object_equal(before, s->tree)) {
        struct json_object *changes = history_diff(before, s->tree);
        history_add(history, NULL, "start", s->tree, changes);
        json_object_put(changes);
    }
    json_object_put(last);
}

const struct history *
config_history(const struct config_store *s)
{
    return s->history;
}

struct json_object *
config_last_changes(const struct config_store *s)
{
    return s->changes;
}

/* What somebody wrote by hand must not be lost. */
static int
check_file(struct config_store *s, struct config_error *e)
{
    struct stamp now;

    guard(s, true);
    bool changed = s->path && (stamp_read(s->path, &now) || s->stamp.exists)
                   && !stamp_equal(&now, &s->stamp);
    guard(s, false);
    return changed ? refuse(e, -ESTALE, s->path, "the file was changed since "
                            "it was read; reload it first (SIGHUP)") : 0;
}

/* Applies 'c' and, with 'persist', writes it; then it is in effect.  On
 * failure everything is as it was, and 'c' is cleared.  'how' it came is for
 * the history. */
static int
commit(struct config_store *s, struct candidate *c, bool persist,
       const char *how, struct config_error *e)
{
    int err = s->apply ? s->apply(s->apply_aux, s->config, c->config, e) : 0;

    if (!err && persist && s->path) {
        err = check_file(s, e);         /* Applying may have taken a while. */
        guard(s, true);
        err = err ? err : write_file(s->path, c->tree, &s->stamp, e);
        guard(s, false);
        if (err && s->apply) {
            struct config_error again;
            if (s->apply(s->apply_aux, c->config, s->config, &again)) {
                LOG(config, ERR, "cannot return to the old configuration: "
                    "%s: %s", again.path, again.message);
            }
        }
    }
    if (err) {
        candidate_clear(c);
        return err;
    }
    struct candidate old = { s->tree, s->full, s->config };
    s->tree = c->tree;
    s->full = c->full;
    s->config = c->config;
    json_object_put(s->changes);
    s->changes = history_diff(old.tree, s->tree);
    keep_revision(s, how);
    candidate_clear(&old);
    return 0;
}

static int
edit(struct config_store *s, struct json_object *json, bool merge,
     const char *how, struct config_error *e)
{
    struct json_object *new = NULL;
    struct candidate c;
    int err = check_file(s, e);

    if (err) {
        return err;
    }
    struct model *m = model_create();
    if (!m) {
        return refuse(e, -ENOMEM, "/", "out of memory");
    }
    if (merge) {
        new = model_merge(m, s->tree, json, e);
        err = new ? 0 : -EINVAL;
    } else {
        new = json_object_get(json);
    }
    if (!err) {
        err = candidate_make(m, new, &s->override, &c, e);
    }
    json_object_put(new);
    model_destroy(m);
    return err ? err : commit(s, &c, true, how, e);
}

int
config_edit(struct config_store *s, struct json_object *json, bool merge,
            struct config_error *e)
{
    int err = edit(s, json, merge, "edit", e);

    if (!err) {
        LOG(config, NOTICE, "%s: changed through the API",
            s->path ? s->path : "configuration");
    }
    s->author[0] = '\0';
    return err;
}

int
config_rollback(struct config_store *s, uint32_t revision,
                struct config_error *e)
{
    struct json_object *o = s->history ? history_get(s->history, revision)
                                       : NULL;
    struct json_object *tree = at(o, "config");
    char how[40];

    if (!tree) {
        json_object_put(o);
        return refuse(e, -ENOENT, "/", "there is no revision %" PRIu32,
                      revision);
    }
    snprintf(how, sizeof how, "rollback to %" PRIu32, revision);
    int err = edit(s, tree, false, how, e);
    json_object_put(o);
    if (!err) {
        LOG(config, NOTICE, "%s: %s", s->path ? s->path : "configuration",
            how);
    }
    s->author[0] = '\0';
    return err;
}

static int
reload(struct config_store *s, struct config_error *e)
{
    struct json_object *json = NULL;
    struct candidate c;
    struct stamp stamp;

    if (!s->path) {
        return 0;
    }
    struct model *m = model_create();
    if (!m) {
        return refuse(e, -ENOMEM, "/", "out of memory");
    }
    guard(s, true);
    /* A file that was there and is gone is no wish for defaults. */
    int err = read_file(s->path, s->required || s->stamp.exists, &json,
                        &stamp, e);
    guard(s, false);
    if (!err) {
        err = candidate_make(m, json, &s->override, &c, e);
    }
    json_object_put(json);
    model_destroy(m);
    if (!err) {
        err = commit(s, &c, false, "file", e);
    }
    if (!err) {
        s->stamp = stamp;
    }
    return err;
}

int
config_reload(struct config_store *s, struct config_error *e)
{
    int err = reload(s, e);
    free(s->reload_error);
    s->reload_error = NULL;
    if (err && asprintf(&s->reload_error, "%s: %s", e->path,
                        e->message) < 0) {
        s->reload_error = NULL;
    }
    return err;
}

const char *
config_reload_error(const struct config_store *s)
{
    return s->reload_error;
}
