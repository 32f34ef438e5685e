/* Export policies: from the tree, and the default ones into it. */
#include <config.h>

#include "api/config_p.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "lib/addr.h"

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

int
config_get_policies(struct json_object *root, struct config *c,
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
struct json_object *
config_policies_to_json(const struct export_policies *policies)
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
