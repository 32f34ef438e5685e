#include <config.h>

#include "api/config_probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/json.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "ovsdb/export.h"

#define ROOT "/venturi:venturi/"

static int
get_list(struct json_object *o, const char *name, char ***list, size_t *n)
{
    struct json_object *array = json_member(o, name);
    size_t size = array ? json_object_array_length(array) : 0;

    *list = calloc(size ? size : 1, sizeof **list);
    for (size_t i = 0; *list && i < size; i++) {
        const char *text = json_object_get_string(
            json_object_array_get_idx(array, i));
        if (!((*list)[i] = strdup(text))) {
            return -ENOMEM;
        }
        ++*n;
    }
    return *list ? 0 : -ENOMEM;
}

static unsigned
version_of(const char *word)
{
    return !strcmp(word, "netflow5") ? 5 : !strcmp(word, "ipfix") ? 10 : 9;
}

/* A list of the same texts. */
static int
copy_list(char *const *from, size_t n_from, char ***list, size_t *n)
{
    *list = calloc(n_from ? n_from : 1, sizeof **list);
    for (size_t i = 0; *list && i < n_from; i++) {
        if (!((*list)[i] = strdup(from[i]))) {
            return -ENOMEM;
        }
        ++*n;
    }
    return *list ? 0 : -ENOMEM;
}

/* 'policy' NULL: the subtree "probe" itself. */
static int __attribute__((format(printf, 4, 5)))
refuse(struct config_error *e, const char *policy, const char *leaf,
       const char *format, ...)
{
    char in[128] = "";
    va_list args;
    if (policy) {
        snprintf(in, sizeof in, "export/policy[name='%s']/", policy);
    }
    snprintf(e->path, sizeof e->path, ROOT "%sprobe%s%s", in,
             *leaf ? "/softflowd/" : "", leaf);
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    return -EINVAL;
}

static int
check(const struct probe_config *c, const char *timeout, int64_t us,
      struct config_error *e)
{
    struct addr a;
    uint16_t port;

    if (strcmp(c->target, "local")
        && endpoint_parse(c->target, 0, &a, &port)) {
        return refuse(e, c->policy, "target", "%s is not a target; expected "
                      "local, or an address and port", c->target);
    }
    if (us < 1000000 || us > INT64_C(3600) * 1000000) {
        return refuse(e, c->policy, "active-timeout", "%s is out of range; "
                      "expected 1s to 1h", timeout);
    }
    return 0;
}

/* The options of softflowd, without what it is for. */
static int
get_options(struct json_object *o, struct probe_config *c,
            struct config_error *e)
{
    const char *timeout = json_object_get_string(json_member(
                                                     o, "active-timeout"));
    int64_t us = 0;

    c->program = strdup(json_object_get_string(json_member(o, "program")));
    c->target = strdup(json_object_get_string(json_member(o, "target")));
    if (!c->program || !c->target
        || get_list(o, "interfaces", &c->interfaces, &c->n_interfaces)) {
        return -ENOMEM;
    }
    c->version = version_of(json_object_get_string(json_member(o,
                                                               "protocol")));
    c->sampling = (uint32_t) json_object_get_int64(json_member(o,
                                                               "sampling"));
    c->max_flows = (uint32_t) json_object_get_int64(json_member(o,
                                                                "max-flows"));
    duration_parse_us(timeout, &us);
    c->active_timeout = (uint32_t) (us / 1000000);
    return check(c, timeout, us, e);
}

static int
get_subtree(struct json_object *o, struct probe_config *c,
            struct config_error *e)
{
    int err = get_list(o, "bridges", &c->bridges, &c->n_bridges);
    err = err ? err : get_list(o, "exclude", &c->exclude, &c->n_exclude);
    return err ? err : get_options(o, c, e);
}

/* A Linux bridge has a name, and a host that has labels. */
static int
check_match(const struct export_policy *p, struct config_error *e)
{
    const char *what = p->n_bridge_ids ? "external-ids"
                       : p->n_host_ids ? "host-external-ids"
                       : p->datapath_type && strcmp(p->datapath_type, "any")
                       ? "datapath-type" : NULL;
    return what ? refuse(e, p->name, "", "goes with match/bridges, exclude "
                         "and host-labels, not with match/%s: that is Open "
                         "vSwitch's; expected a policy of its own for Linux "
                         "bridges", what) : 0;
}

static int
get_policy(struct json_object *o, const struct export_policy *p,
           struct probe_config *c, struct config_error *e)
{
    int err = check_match(p, e);
    c->policy = strdup(p->name);
    err = err ? err : c->policy ? 0 : -ENOMEM;
    err = err ? err : copy_list(p->bridges, p->n_bridges, &c->bridges,
                                &c->n_bridges);
    err = err ? err : copy_list(p->exclude, p->n_exclude, &c->exclude,
                                &c->n_exclude);
    if (!err && o) {
        return get_options(o, c, e);
    }
    c->none = true;
    c->program = strdup("");
    c->target = strdup("");
    return err ? err : c->program && c->target ? 0 : -ENOMEM;
}

/* This host is the one whose database is reached by a unix socket. */
static bool
is_for_us(const struct export_policy *p, const struct export_policies *all)
{
    bool fits = export_labels_match(p, all, NULL);
    for (size_t i = 0; i < all->n_hosts && !fits; i++) {
        fits = !strncmp(all->hosts[i].remote, "unix:", 5)
               && export_labels_match(p, all, all->hosts[i].remote);
    }
    return fits;
}

int
config_probe_make(struct json_object *root,
                  const struct export_policies *policies,
                  struct probe_config **out, struct config_error *e)
{
    struct json_object *list = json_member(json_member(root, "export"),
                                           "policy");
    struct json_object *last = json_member(json_member(root, "probe"),
                                           "softflowd");
    size_t n = list ? json_object_array_length(list) : 0;
    struct probe_config *first = NULL, **at = &first;
    int err = 0;

    *out = NULL;
    for (size_t i = 0; !err && i < n + 1; i++) {
        struct json_object *o = i < n ? json_member(
            json_object_array_get_idx(list, i), "probe") : last;
        if (!o) {
            continue;
        } else if (!(*at = calloc(1, sizeof **at))) {
            err = -ENOMEM;
        } else if (i == n) {
            err = get_subtree(o, *at, e);
        } else {
            err = get_policy(json_member(o, "softflowd"), &policies->list[i],
                             *at, e);
        }
        /* Of another host. */
        if (!err && i < n && !is_for_us(&policies->list[i], policies)) {
            probe_config_destroy(*at);
            *at = NULL;
        } else if (*at) {
            at = &(*at)->next;
        }
    }
    if (err) {
        probe_config_destroy(first);
        return err;
    }
    *out = first;
    return 0;
}
