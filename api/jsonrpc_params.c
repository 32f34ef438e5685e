/* Parameters of methods: by name or by position, checked with the table. */
#include <config.h>

#include "api/jsonrpc_p.h"

#include <stdio.h>
#include <string.h>

#include "api/schema.h"
#include "lib/clock.h"

static const char *const param_schemas[] = {
    [PARAM_STRING] = "{\"type\":\"string\"}",
    [PARAM_INTEGER] = "{\"type\":\"integer\"}",
    [PARAM_NUMBER] = "{\"type\":\"number\"}",
    [PARAM_BOOLEAN] = "{\"type\":\"boolean\"}",
    [PARAM_ARRAY] = "{\"type\":\"array\"}",
    [PARAM_OBJECT] = "{\"type\":\"object\"}",
    [PARAM_ANY] = "{}",
    [PARAM_TIME] = "{\"type\":[\"string\",\"number\"],\"description\":"
        "\"a time: RFC 3339, seconds since 1970, now, or relative: -1h\"}",
    [PARAM_DURATION] = "{\"type\":[\"string\",\"number\"],\"description\":"
        "\"a duration: 90s, 15m, 1h, 15d, or seconds\"}",
};

struct json_object *
rpc_param_schema(const struct rpc_param *p)
{
    const char *text = p->schema ? p->schema : param_schemas[p->type];
    struct json_object *o;

    json_parse(text, strlen(text), &json_default_limits, 0, &o, NULL);
    return o;
}

static bool
refuse(struct schema_error *e, const char *reason)
{
    e->path[0] = '\0';
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    return false;
}

/* What a type wants beyond its schema. */
static bool
check_param_type(const struct rpc_param *p, struct json_object *v,
                 struct json_object *schema, struct schema_error *e)
{
    struct json_object *plain = NULL;
    const char *text;
    int64_t us;
    bool ok;

    if (p->schema) {            /* Its own may leave the type unsaid. */
        struct rpc_param bare = { .name = p->name, .type = p->type };
        plain = rpc_param_schema(&bare);
        ok = schema_check(plain, v, e);
        json_object_put(plain);
        if (!ok) {
            return false;
        }
    }
    schema_describe(schema, e->expected, sizeof e->expected);
    text = json_object_get_string(v);
    if (json_object_is_type(v, json_type_string)
        && strlen(text) != (size_t) json_object_get_string_len(v)) {
        return refuse(e, "contains a NUL character");
    }
    if (p->type == PARAM_TIME && time_parse_us(text, clock_wall_us(), &us)) {
        return refuse(e, "not a time");
    }
    if (p->type == PARAM_DURATION && duration_parse_us(text, &us)) {
        return refuse(e, "not a duration");
    }
    return true;
}

static bool
check_param(struct entry *entry, size_t i, struct json_object *v,
            struct schema_error *e)
{
    const struct rpc_param *p = &entry->method->params[i];

    if (!entry->schemas[i]) {
        entry->schemas[i] = rpc_param_schema(p);
    }
    return schema_check(entry->schemas[i], v, e)
           && check_param_type(p, v, entry->schemas[i], e);
}

/* Where a parameter stands in the table, or n_params. */
static size_t
param_index(const struct entry *entry, const char *name)
{
    size_t i;

    for (i = 0; i < entry->n_params; i++) {
        if (!strcmp(entry->method->params[i].name, name)) {
            break;
        }
    }
    return i;
}

/* The names that a method takes, as "expected". */
static void
list_params(const struct entry *entry, char *buf, size_t size)
{
    size_t n = (size_t) snprintf(buf, size, entry->n_params
                                 ? "one of " : "no parameters");

    for (size_t i = 0; i < entry->n_params && n < size; i++) {
        n += (size_t) snprintf(buf + n, size - n, "%s%s", i ? ", " : "",
                               entry->method->params[i].name);
    }
}

/* An object from parameters by position (section 4.2), or NULL. */
static struct json_object *
by_name(const struct entry *entry, struct json_object *array,
        struct schema_error *e)
{
    size_t n = json_object_array_length(array);

    if (n > entry->n_params) {
        snprintf(e->path, sizeof e->path, "[%zu]", entry->n_params);
        snprintf(e->reason, sizeof e->reason, "too many parameters");
        list_params(entry, e->expected, sizeof e->expected);
        return NULL;
    }
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < n; i++) {
        json_object_object_add(o, entry->method->params[i].name,
                               json_object_get(json_object_array_get_idx(array,
                                                                         i)));
    }
    return o;
}

/* Puts a member in front of the path below it. */
static void
prefix_path(struct schema_error *e, const char *name)
{
    char path[sizeof e->path];

    snprintf(path, sizeof path, "%s%s%.200s", name,
             e->path[0] && e->path[0] != '[' ? "." : "", e->path);
    memcpy(e->path, path, sizeof path);
}

static bool
check_params(struct entry *entry, struct json_object *o,
             struct schema_error *e)
{
    struct json_object_iter it;

    json_object_object_foreachC(o, it) {
        size_t i = param_index(entry, it.key);
        if (i == entry->n_params) {
            snprintf(e->path, sizeof e->path, "%s", it.key);
            snprintf(e->reason, sizeof e->reason, "unknown parameter");
            list_params(entry, e->expected, sizeof e->expected);
            return false;
        }
        /* A null says the same as nothing. */
        if (!it.val && entry->method->params[i].type != PARAM_ANY) {
            continue;
        }
        if (!check_param(entry, i, it.val, e)) {
            prefix_path(e, it.key);
            return false;
        }
    }
    for (size_t i = 0; i < entry->n_params; i++) {
        const struct rpc_param *p = &entry->method->params[i];
        struct json_object *v = NULL;
        bool there = json_object_object_get_ex(o, p->name, &v);
        if (there && !v && p->type != PARAM_ANY) {
            json_object_object_del(o, p->name);
            there = false;
        }
        if (p->required && !there) {
            struct json_object *schema = rpc_param_schema(p);
            snprintf(e->path, sizeof e->path, "%s", p->name);
            snprintf(e->reason, sizeof e->reason, "missing");
            schema_describe(schema, e->expected, sizeof e->expected);
            json_object_put(schema);
            return false;
        }
    }
    return true;
}

struct json_object *
rpc_take_params(struct entry *entry, struct json_object *params,
                struct schema_error *e)
{
    struct json_object *o;

    memset(e, 0, sizeof *e);
    if (!params) {
        o = json_object_new_object();
    } else if (json_object_is_type(params, json_type_array)) {
        o = by_name(entry, params, e);
    } else {
        o = json_object_get(params);
    }
    if (o && !check_params(entry, o, e)) {
        json_object_put(o);
        o = NULL;
    }
    return o;
}
