#include <config.h>

#include "api/schema.h"

#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

struct check {
    struct schema_error *error;
    char path[256];
};

static bool check(struct check *, struct json_object *schema,
                  struct json_object *value);

static const struct {
    const char *name, *words;
} types[] = {
    { "string", "a string" }, { "integer", "an integer" },
    { "number", "a number" }, { "boolean", "true or false" },
    { "array", "an array" }, { "object", "an object" }, { "null", "null" },
};

static bool
is_type(struct json_object *v, const char *name)
{
    enum json_type t = json_object_get_type(v);

    if (!strcmp(name, "number")) {
        return t == json_type_int || t == json_type_double;
    }
    return !strcmp(name, !strcmp(name, "integer") && t == json_type_int
                         ? "integer"
                   : t == json_type_double ? "number"
                   : json_type_to_name(t));
}

static struct json_object *
get(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    json_object_object_get_ex(o, name, &v);
    return v;
}

static void __attribute__((format(printf, 3, 4)))
append(char *buf, size_t size, const char *format, ...)
{
    size_t n = strlen(buf);
    va_list args;

    va_start(args, format);
    vsnprintf(buf + n, size - n, format, args);
    va_end(args);
}

/* Cut at the end of 'buf', of which 'at' octets are used.  Each member of each
 * value comes by here: no format. */
static void
append_member(char *buf, size_t size, size_t at, const char *name)
{
    size_t n = strlen(name);

    if (at && at + 1 < size) {
        buf[at++] = '.';
    }
    n = n < size - 1 - at ? n : size - 1 - at;
    memcpy(buf + at, name, n);
    buf[at + n] = '\0';
}

static const char *
type_words(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (!strcmp(types[i].name, name)) {
            return types[i].words;
        }
    }
    return name;
}

static void
describe_list(struct json_object *list, char *buf, size_t size,
              const char *between, void (*each)(struct json_object *, char *,
                                                size_t))
{
    size_t n = json_object_array_length(list);

    for (size_t i = 0; i < n; i++) {
        char one[128] = "";
        each(json_object_array_get_idx(list, i), one, sizeof one);
        append(buf, size, "%s%s", i ? between : "", one);
    }
}

static void
describe_value(struct json_object *v, char *buf, size_t size)
{
    snprintf(buf, size, "%s",
             json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN
                                            | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void
describe_type(struct json_object *v, char *buf, size_t size)
{
    snprintf(buf, size, "%s", type_words(json_object_get_string(v)));
}

void
schema_describe(struct json_object *schema, char *buf, size_t size)
{
    struct json_object *o;

    *buf = '\0';
    if ((o = get(schema, "enum"))) {
        append(buf, size, "one of ");
        describe_list(o, buf, size, ", ", describe_value);
        return;
    }
    if ((o = get(schema, "anyOf")) || (o = get(schema, "oneOf"))) {
        describe_list(o, buf, size, " or ", schema_describe);
        return;
    }
    o = get(schema, "type");
    if (json_object_is_type(o, json_type_array)) {
        describe_list(o, buf, size, " or ", describe_type);
    } else if (o) {
        describe_type(o, buf, size);
    }
    struct json_object *min = get(schema, "minimum");
    struct json_object *max = get(schema, "maximum");
    if (min && max) {
        append(buf, size, " from %s to %s", json_object_get_string(min),
               json_object_get_string(max));
    } else if (min || max) {
        append(buf, size, " of at %s %s", min ? "least" : "most",
               json_object_get_string(min ? min : max));
    }
    if ((o = get(schema, "description"))) {
        append(buf, size, " (%s)", json_object_get_string(o));
    }
}

static bool __attribute__((format(printf, 3, 4)))
wrong(struct check *c, struct json_object *schema, const char *format, ...)
{
    va_list args;

    if (c->error) {
        snprintf(c->error->path, sizeof c->error->path, "%s", c->path);
        va_start(args, format);
        vsnprintf(c->error->reason, sizeof c->error->reason, format, args);
        va_end(args);
        schema_describe(schema, c->error->expected,
                        sizeof c->error->expected);
    }
    return false;
}

static bool
check_type(struct check *c, struct json_object *schema, struct json_object *v)
{
    struct json_object *t = get(schema, "type");

    if (!t) {
        return true;
    }
    if (!json_object_is_type(t, json_type_array)) {
        return is_type(v, json_object_get_string(t))
               || wrong(c, schema, "wrong type");
    }
    for (size_t i = 0; i < json_object_array_length(t); i++) {
        struct json_object *one = json_object_array_get_idx(t, i);
        if (is_type(v, json_object_get_string(one))) {
            return true;
        }
    }
    return wrong(c, schema, "wrong type");
}

static bool
check_words(struct check *c, struct json_object *schema,
            struct json_object *v)
{
    struct json_object *list = get(schema, "enum"), *one = NULL;

    if (json_object_object_get_ex(schema, "const", &one)
        && !json_object_equal(one, v)) {
        return wrong(c, schema, "wrong value");
    }
    if (!list) {
        return true;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (json_object_equal(json_object_array_get_idx(list, i), v)) {
            return true;
        }
    }
    return wrong(c, schema, "unknown value");
}

static bool
check_number(struct check *c, struct json_object *schema,
             struct json_object *v)
{
    struct json_object *min = get(schema, "minimum");
    struct json_object *max = get(schema, "maximum");
    double d = json_object_get_double(v);

    if (min && d < json_object_get_double(min)) {
        return wrong(c, schema, "too small");
    }
    if (max && d > json_object_get_double(max)) {
        return wrong(c, schema, "too large");
    }
    return true;
}

static bool
check_string(struct check *c, struct json_object *schema,
             struct json_object *v)
{
    struct json_object *min = get(schema, "minLength");
    struct json_object *max = get(schema, "maxLength");
    struct json_object *pattern = get(schema, "pattern");
    int len = json_object_get_string_len(v);

    if (min && len < json_object_get_int(min)) {
        return wrong(c, schema, "too short");
    }
    if (max && len > json_object_get_int(max)) {
        return wrong(c, schema, "longer than %d bytes",
                     json_object_get_int(max));
    }
    if (pattern) {
        regex_t re;
        if (!regcomp(&re, json_object_get_string(pattern),
                     REG_EXTENDED | REG_NOSUB)) {
            bool ok = !regexec(&re, json_object_get_string(v), 0, NULL, 0);
            regfree(&re);
            return ok || wrong(c, schema, "does not match %s",
                               json_object_get_string(pattern));
        }
    }
    return true;
}

static bool
check_array(struct check *c, struct json_object *schema,
            struct json_object *v)
{
    struct json_object *min = get(schema, "minItems");
    struct json_object *max = get(schema, "maxItems");
    struct json_object *items = get(schema, "items");
    size_t n = json_object_array_length(v), at = strlen(c->path);

    if (min && n < json_object_get_uint64(min)) {
        return wrong(c, schema, "fewer than %s items",
                     json_object_get_string(min));
    }
    if (max && n > json_object_get_uint64(max)) {
        return wrong(c, schema, "more than %s items",
                     json_object_get_string(max));
    }
    for (size_t i = 0; items && i < n; i++) {
        append(c->path, sizeof c->path, "[%zu]", i);
        if (!check(c, items, json_object_array_get_idx(v, i))) {
            return false;
        }
        c->path[at] = '\0';
    }
    return true;
}

static bool
check_object(struct check *c, struct json_object *schema,
             struct json_object *v)
{
    struct json_object *properties = get(schema, "properties");
    struct json_object *required = get(schema, "required");
    struct json_object *other = NULL;
    bool has_other = json_object_object_get_ex(schema, "additionalProperties",
                                               &other);
    size_t at = strlen(c->path);

    for (size_t i = 0; required && i < json_object_array_length(required);
         i++) {
        struct json_object *name = json_object_array_get_idx(required, i);
        if (!json_object_object_get_ex(v, json_object_get_string(name),
                                       NULL)) {
            return wrong(c, schema, "the member %s is missing",
                         json_object_get_string(name));
        }
    }
    json_object_object_foreach(v, name, value) {
        struct json_object *sub = properties ? get(properties, name) : NULL;
        append_member(c->path, sizeof c->path, at, name);
        if (!sub && has_other) {
            if (json_object_is_type(other, json_type_boolean)
                && !json_object_get_boolean(other)) {
                return wrong(c, schema, "unknown member");
            }
            sub = json_object_is_type(other, json_type_object) ? other : NULL;
        }
        if (sub && !check(c, sub, value)) {
            return false;
        }
        c->path[at] = '\0';
    }
    return true;
}

static bool
check_choice(struct check *c, struct json_object *schema,
             struct json_object *v)
{
    struct json_object *list = get(schema, "anyOf");

    if (!list && !(list = get(schema, "oneOf"))) {
        return true;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct check quiet = { .error = NULL };
        if (check(&quiet, json_object_array_get_idx(list, i), v)) {
            return true;
        }
    }
    return wrong(c, schema, "fits none of the choices");
}

static bool
check(struct check *c, struct json_object *schema, struct json_object *v)
{
    if (!json_object_is_type(schema, json_type_object)) {
        return true;
    }
    if (!check_type(c, schema, v) || !check_words(c, schema, v)
        || !check_choice(c, schema, v)) {
        return false;
    }
    switch (json_object_get_type(v)) {
    case json_type_int:
    case json_type_double:
        return check_number(c, schema, v);
    case json_type_string:
        return check_string(c, schema, v);
    case json_type_array:
        return check_array(c, schema, v);
    case json_type_object:
        return check_object(c, schema, v);
    default:
        return true;
    }
}

bool
schema_check(struct json_object *schema, struct json_object *value,
             struct schema_error *error)
{
    struct check c = { .error = error };

    return check(&c, schema, value);
}
