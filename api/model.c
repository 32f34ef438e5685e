#include <config.h>

#include "api/model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <libyang/libyang.h>

#include "api/json.h"

#define TO_TEXT (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

struct model {
    struct ly_ctx *ctx;
    struct lys_module *module;
};

struct model *
model_create(void)
{
    struct model *m = calloc(1, sizeof *m);

    /* Errors are read from the context, not printed. */
    ly_log_options(LY_LOSTORE);
    if (!m
        || ly_ctx_new(NULL, LY_CTX_NO_YANGLIBRARY | LY_CTX_DISABLE_SEARCHDIRS,
                      &m->ctx)
        || lys_parse_mem(m->ctx, model_yang, LYS_IN_YANG, &m->module)) {
        model_destroy(m);
        return NULL;
    }
    return m;
}

void
model_destroy(struct model *m)
{
    if (m) {
        ly_ctx_destroy(m->ctx);
        free(m);
    }
}

const struct lys_module *
model_module(const struct model *m)
{
    return m->module;
}

/* What would be valid, in words. */

static const struct {
    const char *reason;         /* A pattern's error-message in the model. */
    const char *expected;
} patterns[] = {
    { "not a duration", "a number with ms, s, m, h, d or w, such as 15d" },
    { "not a size", "a number with kB, MB, GB, TB, KiB, MiB, GiB or TiB, "
      "such as 50GB" },
    { "not an address and port", "an address and a port, such as "
      "127.0.0.1:2055 or [::1]:2055" },
    { "not an OVSDB remote", "unix:PATH, tcp:HOST:PORT, ssl:HOST:PORT or "
      "none" },
    { "not an absolute path", "a path that begins with /" },
    { "not a name", "letters, digits, and _ . -" },
    { "not an instance id", "letters, digits, and _ . -" },
    { "not a log level", "off, error, warning, notice, info or debug, with "
      "MODULE: in front for one module" },
    { "not a user name", "the name of a user" },
};

static void __attribute__((format(printf, 3, 4)))
append(char *buf, size_t size, const char *format, ...)
{
    size_t n = strlen(buf);
    va_list args;

    va_start(args, format);
    vsnprintf(buf + n, size - n, format, args);
    va_end(args);
}

static void
describe_range(const struct lysc_range *range, bool is_signed, char *buf,
               size_t size)
{
    LY_ARRAY_COUNT_TYPE i;

    if (!range) {
        return;
    }
    LY_ARRAY_FOR(range->parts, i) {
        if (is_signed) {
            append(buf, size, " from %" PRId64 " to %" PRId64,
                   range->parts[i].min_64, range->parts[i].max_64);
        } else {
            append(buf, size, " from %" PRIu64 " to %" PRIu64,
                   range->parts[i].min_u64, range->parts[i].max_u64);
        }
    }
}

static void
describe_string(const struct lysc_type_str *t, char *buf, size_t size)
{
    const char *what = NULL;
    for (size_t i = 0; t->patterns && t->patterns[0]->emsg
                       && i < sizeof patterns / sizeof patterns[0]; i++) {
        if (!strcmp(patterns[i].reason, t->patterns[0]->emsg)) {
            what = patterns[i].expected;
        }
    }
    append(buf, size, "%s", what ? what : "a string");
    if (t->length) {
        append(buf, size, "%s%" PRIu64 " to %" PRIu64 " characters",
               what ? ", " : " of ", t->length->parts[0].min_u64,
               t->length->parts[0].max_u64);
    }
}

static void
describe_type(const struct lysc_type *type, char *buf, size_t size)
{
    LY_ARRAY_COUNT_TYPE i;

    switch (type->basetype) {
    case LY_TYPE_ENUM: {
        const struct lysc_type_enum *t = (const struct lysc_type_enum *) type;
        LY_ARRAY_FOR(t->enums, i) {
            append(buf, size, "%s%s", i ? " or " : "", t->enums[i].name);
        }
        break;
    }
    case LY_TYPE_UNION: {
        const struct lysc_type_union *t =
            (const struct lysc_type_union *) type;
        LY_ARRAY_FOR(t->types, i) {
            append(buf, size, "%s", i ? ", or " : "");
            describe_type(t->types[i], buf, size);
        }
        break;
    }
    case LY_TYPE_BOOL:
        append(buf, size, "true or false");
        break;
    case LY_TYPE_INT8: case LY_TYPE_INT16: case LY_TYPE_INT32:
    case LY_TYPE_INT64:
        append(buf, size, "an integer");
        describe_range(((const struct lysc_type_num *) type)->range, true,
                       buf, size);
        break;
    case LY_TYPE_UINT8: case LY_TYPE_UINT16: case LY_TYPE_UINT32:
    case LY_TYPE_UINT64:
        append(buf, size, "an integer");
        describe_range(((const struct lysc_type_num *) type)->range, false,
                       buf, size);
        break;
    case LY_TYPE_STRING:
        describe_string((const struct lysc_type_str *) type, buf, size);
        break;
    default:
        append(buf, size, "something else");
    }
}

static const struct lysc_type *
node_type(const struct lysc_node *n)
{
    return n->nodetype == LYS_LEAF ? ((const struct lysc_node_leaf *) n)->type
           : n->nodetype == LYS_LEAFLIST
           ? ((const struct lysc_node_leaflist *) n)->type : NULL;
}

/* The nodes below 'parent' (NULL: at top level) as a list of names. */
static void
describe_children(const struct model *m, const struct lysc_node *parent,
                  char *buf, size_t size)
{
    const struct lysc_node *c = NULL;
    const char *between = "one of ";

    while ((c = lys_getnext(c, parent, m->module->compiled, 0))) {
        append(buf, size, "%s%s%s", between, parent ? "" : "venturi:",
               c->name);
        between = ", ";
    }
}

static void
describe_node(const struct model *m, const struct lysc_node *n, char *buf,
              size_t size)
{
    const struct lysc_type *type = node_type(n);

    if (n->nodetype == LYS_LEAFLIST) {
        append(buf, size, "a list of: ");
    }
    if (type) {
        describe_type(type, buf, size);
    } else if (n->nodetype == LYS_LIST) {
        append(buf, size, "a list of objects with ");
        describe_children(m, n, buf, size);
    } else {
        append(buf, size, "an object with ");
        describe_children(m, n, buf, size);
    }
}

/* Errors. */

static int __attribute__((format(printf, 3, 4)))
refuse(struct config_error *e, const char *path, const char *format, ...)
{
    va_list args;

    if (e) {
        snprintf(e->path, sizeof e->path, "%s", path);
        va_start(args, format);
        vsnprintf(e->message, sizeof e->message, format, args);
        va_end(args);
    }
    return -EINVAL;
}

/* libyang says where in words: Data location "PATH", line number 1. */
static void
location(const struct ly_err_item *item, char *path, size_t size)
{
    const char *from = item && item->path ? strchr(item->path, '"') : NULL;
    const char *to = from ? strrchr(item->path, '"') : NULL;

    if (from && to > from) {
        snprintf(path, size, "%.*s", (int) (to - from - 1), from + 1);
    } else {
        snprintf(path, size, "/%s", MODEL_ROOT);
    }
}

/* One step down a data path, "policy[name='x']": the schema node and, as far
 * as there is one, the value. */
static void
descend(const struct model *m, const char **path,
        const struct lysc_node **node, struct json_object **value)
{
    const char *p = *path + 1;
    char name[64];
    size_t n = strcspn(p, "[/");
    const char *bare = memchr(p, ':', n);

    bare = bare ? bare + 1 : p;
    snprintf(name, sizeof name, "%.*s", (int) (p + n - bare), bare);
    *node = lys_find_child(*node, m->module, name, 0, 0, 0);
    struct json_object *child = NULL;
    if (*node && !(*node)->parent) {
        snprintf(name, sizeof name, "%s", MODEL_ROOT);
    }
    json_object_object_get_ex(*value, name, &child);
    *value = child;
    p += n;
    while (*p == '[') {         /* [name='x'] or [.='x']. */
        char quote = p[strcspn(p, "'\"")];
        const char *text = quote ? strchr(p, quote) + 1 : p + strlen(p);
        const char *end = quote ? strchr(text, quote) : NULL;
        size_t len = end ? (size_t) (end - text) : strlen(text);
        struct json_object *found = NULL;
        for (size_t i = 0; json_object_is_type(child, json_type_array)
             && i < json_object_array_length(child); i++) {
            struct json_object *e = json_object_array_get_idx(child, i);
            struct json_object *key = e;
            if (json_object_is_type(e, json_type_object)) {
                json_object_object_get_ex(e, "name", &key);
            }
            const char *s = json_object_get_string(key);
            if (s && strlen(s) == len && !memcmp(s, text, len)) {
                found = e;
            }
        }
        *value = found;
        p = end ? end + 1 + (end[1] == ']') : text + len;
    }
    *path = p;
}

/* libyang's last error, with the value and what would be valid. */
static int
refuse_data(struct model *m, struct json_object *o, struct config_error *e)
{
    const struct ly_err_item *item = ly_err_first(m->ctx);
    const struct lysc_node *node = NULL, *last = NULL;
    char path[sizeof e->path], expected[300] = "";
    struct json_object *value = o;

    while (item && item->next && item->level != LY_LLERR) {
        item = item->next;
    }
    location(item, path, sizeof path);
    for (const char *p = path; *p == '/'; ) {
        descend(m, &p, &node, &value);
        if (!node) {
            break;
        }
        last = node;
    }
    if (last && node_type(last)) {
        describe_node(m, last, expected, sizeof expected);
    }
    const char *message = item ? item->msg : "cannot be read";
    const char *text = value ? json_object_to_json_string_ext(value, TO_TEXT)
                             : "";
    size_t n = strlen(message);
    n -= n && message[n - 1] == '.';
    refuse(e, path, "%.*s%s%.80s%s%.260s", (int) (n < 150 ? n : 150), message,
           value ? ": " : "", text, *expected ? "; expected " : "", expected);
    ly_err_clean(m->ctx, NULL);
    return -EINVAL;
}

/* Cleaning: nulls and empty lists go, unknown names are refused. */

static int clean(const struct model *, const struct lysc_node *,
                 struct json_object *, const char *path,
                 struct json_object **, struct config_error *);

static bool
takes_none(const struct lysc_node *n)
{
    char text[300] = "";

    if (node_type(n)) {
        describe_type(node_type(n), text, sizeof text);
    }
    return strstr(text, "none") != NULL;
}

/* An empty list says the same as no list (RFC 7950 has no empty lists), which
 * means the default: surely not what was meant. */
static int
clean_empty(const struct lysc_node *n, const char *path,
            struct config_error *e)
{
    if (n->nodetype == LYS_LEAFLIST && !(n->flags & LYS_SET_DFLT)) {
        return 0;
    }
    if (n->nodetype == LYS_LIST && n->parent
        && n->parent->nodetype == LYS_LIST) {
        return 0;               /* Part of an entry: none is none. */
    }
    return refuse(e, path, "an empty list would mean the default; leave it "
                  "out for that%s",
                  takes_none(n) ? ", or write [\"none\"]"
                  : n->nodetype == LYS_LIST
                  ? ", or give one policy without netflow, sflow and ipfix to "
                  "export nothing" : "");
}

static int
clean_list(const struct model *m, const struct lysc_node *n,
           struct json_object *list, const char *path,
           struct json_object **out, struct config_error *e)
{
    size_t count = json_object_array_length(list);

    if (!count) {
        return clean_empty(n, path, e);
    }
    *out = json_object_new_array_ext((int) count);
    for (size_t i = 0; i < count; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        struct json_object *key = NULL, *new = NULL;
        char below[512];
        if (json_object_object_get_ex(v, "name", &key)
            && json_object_is_type(key, json_type_string)) {
            snprintf(below, sizeof below, "%.300s[name='%.100s']", path,
                     json_object_get_string(key));
        } else {
            snprintf(below, sizeof below, "%.400s[%zu]", path, i + 1);
        }
        if (!v) {
            return refuse(e, below, "null in a list");
        }
        int err = clean(m, n, v, below, &new, e);
        json_object_array_add(*out, new);
        if (err) {
            return err;
        }
    }
    return 0;
}

static int
clean_object(const struct model *m, const struct lysc_node *n,
             struct json_object *o, const char *path,
             struct json_object **out, struct config_error *e)
{
    struct json_object_iter it;

    *out = json_object_new_object();
    json_object_object_foreachC(o, it) {
        const char *name = it.key;
        char below[512];
        if (!strncmp(name, "venturi:", 8)) {
            name += 8;
        } else if (!n) {
            name = "";          /* RFC 7951 section 4: qualified at top. */
        }
        const struct lysc_node *c = *name
            ? lys_find_child(n, m->module, name, 0, 0, 0) : NULL;
        snprintf(below, sizeof below, "%.300s/%.200s", path, it.key);
        if (!c) {
            char expected[400] = "";
            describe_children(m, n, expected, sizeof expected);
            return refuse(e, below, "unknown name; expected %s", expected);
        }
        if (!it.val) {
            continue;
        }
        struct json_object *new = NULL;
        int err = json_object_is_type(it.val, json_type_array)
                  && c->nodetype & (LYS_LIST | LYS_LEAFLIST)
                  ? clean_list(m, c, it.val, below, &new, e)
                  : clean(m, c, it.val, below, &new, e);
        if (new || err) {
            json_object_object_add(*out, n ? c->name : MODEL_ROOT, new);
        }
        if (err) {
            return err;
        }
    }
    return 0;
}

/* A copy of 'o' for node 'n' (NULL: the top) in '*out', which is the caller's
 * even after an error. */
static int
clean(const struct model *m, const struct lysc_node *n, struct json_object *o,
      const char *path, struct json_object **out, struct config_error *e)
{
    bool is_object = json_object_is_type(o, json_type_object);

    if (n && node_type(n)) {
        *out = json_object_get(o);
        return 0;
    }
    if (!is_object) {
        char expected[400] = "";
        if (n) {
            describe_node(m, n, expected, sizeof expected);
        }
        return refuse(e, *path ? path : "/", "%s; expected %s",
                      json_type_to_name(json_object_get_type(o)),
                      n ? expected : "an object with " MODEL_ROOT);
    }
    return clean_object(m, n, o, path, out, e);
}

/* Printing. */

static int
print(const struct lyd_node *tree, uint32_t options,
      struct json_object **out)
{
    static const struct json_limits no_limits = {
        .size = SIZE_MAX, .values = UINT32_MAX, .containers = UINT32_MAX,
        .depth = 64,
    };
    char *text = NULL;
    int err = 0;

    if (!out) {
        return 0;
    }
    if (tree && lyd_print_mem(&text, tree, LYD_JSON,
                              options | LYD_PRINT_SHRINK
                              | LYD_PRINT_WITHSIBLINGS)) {
        return -ENOMEM;
    }
    *out = NULL;
    if (text) {
        err = json_parse(text, strlen(text), &no_limits, 0, out, NULL);
        free(text);
    }
    if (!err && !*out) {
        *out = json_object_new_object();
    }
    return err;
}

int
model_validate(struct model *m, struct json_object *o,
               struct json_object **explicit_, struct json_object **full,
               struct config_error *e)
{
    struct json_object *cleaned = NULL;
    struct lyd_node *tree = NULL;
    int err = clean(m, NULL, o, "", &cleaned, e);

    if (err) {
        json_object_put(cleaned);
        return err;
    }
    const char *text = json_object_to_json_string_ext(cleaned, TO_TEXT);
    ly_err_clean(m->ctx, NULL);
    if (lyd_parse_data_mem(m->ctx, text, LYD_JSON,
                           LYD_PARSE_STRICT | LYD_PARSE_NO_STATE,
                           LYD_VALIDATE_NO_STATE, &tree)) {
        err = refuse_data(m, cleaned, e);
    } else {
        err = print(tree, LYD_PRINT_WD_EXPLICIT, explicit_);
        if (!err) {
            err = print(tree, LYD_PRINT_WD_ALL, full);
        }
        if (err) {
            refuse(e, "/", "out of memory");
        }
    }
    lyd_free_all(tree);
    json_object_put(cleaned);
    return err;
}

/* Merging. */

static struct json_object *merge(const struct model *,
                                 const struct lysc_node *,
                                 struct json_object *, struct json_object *);

static struct json_object *
copy(struct json_object *o)
{
    struct json_object *new = NULL;

    return json_object_deep_copy(o, &new, NULL) ? NULL : new;
}

/* What tells an entry of list 'n' from the others, to be freed: all of its keys
 * (RFC 7950 section 7.8.2).  NULL if one is missing. */
static char *
key_of(const struct lysc_node *n, struct json_object *entry)
{
    struct json_object *keys = json_object_new_array();
    bool all = true;

    for (const struct lysc_node *c = lysc_node_child(n);
         c && lysc_is_key(c); c = c->next) {
        struct json_object *v = NULL;
        all = all && json_object_object_get_ex(entry, c->name, &v) && v;
        json_object_array_add(keys, json_object_get(v));
    }
    char *text = all ? strdup(json_object_to_json_string_ext(keys, TO_TEXT))
                     : NULL;
    json_object_put(keys);
    return text;
}

/* Where the entries of 'list' are: lists have thousands, and so may edits. */
static struct json_object *
index_keys(const struct lysc_node *n, struct json_object *list)
{
    struct json_object *index = json_object_new_object();

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        char *key = key_of(n, json_object_array_get_idx(list, i));
        if (key) {
            json_object_object_add(index, key,
                                   json_object_new_int64((int64_t) i));
        }
        free(key);
    }
    return index;
}

static struct json_object *
merge_list(const struct model *m, const struct lysc_node *n,
           struct json_object *base, struct json_object *edit)
{
    struct json_object *out = copy(base), *index = index_keys(n, base);

    for (size_t i = 0; i < json_object_array_length(edit); i++) {
        struct json_object *e = json_object_array_get_idx(edit, i), *at = NULL;
        char *key = key_of(n, e);
        if (key && json_object_object_get_ex(index, key, &at)) {
            size_t k = (size_t) json_object_get_int64(at);
            json_object_array_put_idx(
                out, k, merge(m, n, json_object_array_get_idx(out, k), e));
        } else {
            if (key) {          /* A second one of the edit meets the first. */
                size_t k = json_object_array_length(out);
                json_object_object_add(index, key,
                                       json_object_new_int64((int64_t) k));
            }
            json_object_array_add(out, copy(e));
        }
        free(key);
    }
    json_object_put(index);
    return out;
}

static struct json_object *
merge(const struct model *m, const struct lysc_node *n,
      struct json_object *base, struct json_object *edit)
{
    if (!json_object_is_type(base, json_type_object)
        || !json_object_is_type(edit, json_type_object)) {
        return copy(edit);
    }
    struct json_object *out = copy(base);
    struct json_object_iter it;
    json_object_object_foreachC(edit, it) {
        const char *name = it.key, *bare = name;
        if (!strncmp(name, "venturi:", 8)) {
            bare += 8;
            name = n ? bare : name;
        }
        if (!it.val) {
            json_object_object_del(out, name);
            continue;
        }
        const struct lysc_node *c = lys_find_child(n, m->module, bare, 0, 0,
                                                   0);
        struct json_object *old = NULL;
        json_object_object_get_ex(out, name, &old);
        bool both_lists = json_object_is_type(old, json_type_array)
                          && json_object_is_type(it.val, json_type_array);
        json_object_object_add(out, name,
                               !old || !c ? copy(it.val)
                               : c->nodetype == LYS_LIST && both_lists
                               ? merge_list(m, c, old, it.val)
                               : merge(m, c, old, it.val));
    }
    return out;
}

struct json_object *
model_merge(struct model *m, struct json_object *base,
            struct json_object *edit, struct config_error *error)
{
    if (!json_object_is_type(edit, json_type_object)) {
        refuse(error, "/", "expected an object with " MODEL_ROOT);
        return NULL;
    }
    return merge(m, NULL, base, edit);
}
