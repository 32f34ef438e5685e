#include <config.h>

#include "api/config_identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/json.h"

static struct json_object *
within(struct json_object *root, const char *container, const char *name)
{
    struct json_object *o = json_member(root, container);
    return o ? json_member(o, name) : NULL;
}

static int
get_list(struct json_object *array, char ***list, size_t *n)
{
    size_t size = array ? json_object_array_length(array) : 0;
    *list = calloc(size + 1, sizeof **list);
    for (size_t i = 0; *list && i < size; i++) {
        (*list)[i] = strdup(json_object_get_string(
            json_object_array_get_idx(array, i)));
        if (!(*list)[i]) {
            return -ENOMEM;
        }
        ++*n;
    }
    return *list ? 0 : -ENOMEM;
}

/* A copy, also of nothing; '*failed' if there is no memory. */
static char *
copy(struct json_object *o, const char *name, bool *failed)
{
    const char *text = json_text(o, name);
    char *p = text ? strdup(text) : NULL;
    *failed = *failed || (text && !p);
    return p;
}

static int
get_rules(struct json_object *array, struct config_identity *c,
          struct config_error *e)
{
    size_t size = array ? json_object_array_length(array) : 0;
    bool failed = false;
    c->rules = calloc(size + 1, sizeof *c->rules);
    for (size_t i = 0; c->rules && i < size && !failed; i++) {
        struct json_object *o = json_object_array_get_idx(array, i);
        struct watch_rule *r = &c->rules[c->n_rules++];
        r->table = copy(o, "table", &failed);
        r->column = copy(o, "column", &failed);
        r->key = copy(o, "key", &failed);
        r->label = copy(o, "label", &failed);
        r->type = copy(o, "type", &failed);
        r->attribute = watch_attribute_find(json_text(o, "attribute"));
        if (!failed && !watch_rule_is_possible(r->table, r->column)) {
            snprintf(e->path, sizeof e->path, "/venturi:venturi/identity/rule"
                     "[table='%s'][column='%s'][key='%.200s']", r->table,
                     r->column, r->key);
            snprintf(e->message, sizeof e->message, "column %s of %s is not "
                     "looked at; expected external_ids, or other_config of "
                     "Port", r->column, r->table);
            return -EINVAL;
        }
    }
    return c->rules && !failed ? 0 : -ENOMEM;
}

int
config_identity_make(struct json_object *root, struct config_identity **out,
                     struct config_error *e)
{
    struct config_identity *c = calloc(1, sizeof *c);
    *out = c;
    if (!c) {
        return -ENOMEM;
    }
    struct json_object *ovsdb = within(root, "identity", "ovsdb");
    c->ovsdb = !ovsdb || json_object_get_boolean(ovsdb);
    int err = get_list(within(root, "ovn", "southbound"), &c->southbound,
                       &c->n_southbound);
    if (!err) {
        err = get_list(within(root, "ovn", "northbound"), &c->northbound,
                       &c->n_northbound);
    }
    return err ? err : get_rules(within(root, "identity", "rule"), c, e);
}

static void
free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i]);
    }
    free(list);
}

void
config_identity_destroy(struct config_identity *c)
{
    if (!c) {
        return;
    }
    free_list(c->southbound, c->n_southbound);
    free_list(c->northbound, c->n_northbound);
    for (size_t i = 0; i < c->n_rules; i++) {
        const struct watch_rule *r = &c->rules[i];
        const char *const texts[] = { r->table, r->column, r->key, r->label,
                                      r->type };
        for (size_t j = 0; j < sizeof texts / sizeof texts[0]; j++) {
            free((char *) (uintptr_t) texts[j]);
        }
    }
    free(c->rules);
    free(c);
}

static bool
same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool
same_list(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    bool equal = n_a == n_b;
    for (size_t i = 0; equal && i < n_a; i++) {
        equal = !strcmp(a[i], b[i]);
    }
    return equal;
}

bool
config_identity_equal(const struct config_identity *a,
                      const struct config_identity *b)
{
    bool equal = a->ovsdb == b->ovsdb && a->n_rules == b->n_rules
                 && same_list(a->southbound, a->n_southbound, b->southbound,
                              b->n_southbound)
                 && same_list(a->northbound, a->n_northbound, b->northbound,
                              b->n_northbound);
    for (size_t i = 0; equal && i < a->n_rules; i++) {
        const struct watch_rule *p = &a->rules[i], *q = &b->rules[i];
        equal = same(p->table, q->table) && same(p->column, q->column)
                && same(p->key, q->key) && same(p->label, q->label)
                && same(p->type, q->type) && p->attribute == q->attribute;
    }
    return equal;
}
