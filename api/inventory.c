#include <config.h>

#include "api/inventory.h"
#include "api/inventory_p.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/endpoint.h"
#include "api/json.h"
#include "collector/identity/record.h"
#include "lib/addr.h"
#include "lib/fnv.h"

#define MAX_COLUMNS 256

struct json_object *
inventory_need(struct json_object *o, const char *name,
               struct json_object *(*create)(void))
{
    struct json_object *v, *made = create();
    if (json_object_object_get_ex(o, name, &v)
        && json_object_is_type(v, json_object_get_type(made))) {
        json_object_put(made);
        return v;
    }
    if (json_object_object_get_ex(o, name, NULL)) {
        json_object_object_add(o, "error", json_object_new_string(
                                   "a member is told twice, as values of "
                                   "different types"));
    }
    v = made;
    json_object_object_add(o, name, v);
    return v;
}

const char *
inventory_text(struct json_object *o, const char *name)
{
    struct json_object *v = json_member(o, name);
    const char *s = json_object_is_type(v, json_type_string)
                    ? json_object_get_string(v) : NULL;
    return s && *s ? s : NULL;
}

void
inventory_put(struct json_object *o, const char *name, const char *s)
{
    if (s) {
        json_object_object_add(o, name, json_object_new_string(s));
    }
}

void
inventory_add(struct json_object *o, const char *list, const char *s)
{
    if (s) {
        json_object_array_add(inventory_need(o, list, json_object_new_array),
                              json_object_new_string(s));
    }
}

/* ---- Names of columns and members. ---- */

enum field_kind { FIELD_TEXT, FIELD_LIST, FIELD_NUMBERS, FIELD_LABELS };

/* What a name stands for; any other is the key of a label. */
static const struct field {
    const char *name, *member;
    enum field_kind kind;
} fields[] = {
    { "id", "id", FIELD_TEXT },
    { "name", "name", FIELD_TEXT },
    { "type", "type", FIELD_TEXT },
    { "tenant", "tenant", FIELD_TEXT },
    { "network", "network", FIELD_TEXT },
    { "host", "host", FIELD_TEXT },
    { "bridge", "bridge", FIELD_TEXT },
    { "port", "port", FIELD_TEXT },
    { "interface", "interface", FIELD_TEXT },
    { "valid_from", "valid_from", FIELD_TEXT },
    { "valid_to", "valid_to", FIELD_TEXT },
    { "prefix", "prefixes", FIELD_LIST },
    { "prefixes", "prefixes", FIELD_LIST },
    { "address", "addresses", FIELD_LIST },
    { "addresses", "addresses", FIELD_LIST },
    { "mac", "macs", FIELD_LIST },
    { "macs", "macs", FIELD_LIST },
    { "vni", "vnis", FIELD_NUMBERS },
    { "vnis", "vnis", FIELD_NUMBERS },
    { "labels", "labels", FIELD_LABELS },
};

static const struct field *
find_field(const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (!strcmp(name, fields[i].name)) {
            return &fields[i];
        }
    }
    return NULL;
}

static struct json_object *
number_or_text(const char *s)
{
    char *end;
    errno = 0;
    long long n = strtoll(s, &end, 10);
    return *s && !*end && !errno ? json_object_new_int64(n)
                                 : json_object_new_string(s);
}

/* Adds one text to a list.  An address among prefixes is an address. */
static void
add_item(struct json_object *o, const struct field *f, const char *s)
{
    const char *member = f->member;
    if (!strcmp(member, "prefixes") && !strchr(s, '/')) {
        member = "addresses";
    }
    json_object_array_add(inventory_need(o, member, json_object_new_array),
                          f->kind == FIELD_NUMBERS
                          ? number_or_text(s) : json_object_new_string(s));
}

/* What a text under 'name' says of an endpoint. */
static void
add_text(struct json_object *o, const char *name, char *s)
{
    const struct field *f = find_field(name);
    char *save = NULL;

    if (!f || f->kind == FIELD_LABELS) {
        json_object_object_add(
            inventory_need(o, "labels", json_object_new_object), name,
            json_object_new_string(s));
    } else if (f->kind == FIELD_TEXT) {
        json_object_object_add(o, f->member, json_object_new_string(s));
    } else {
        for (char *item = strtok_r(s, " ;,|", &save); item;
             item = strtok_r(NULL, " ;,|", &save)) {
            add_item(o, f, item);
        }
    }
}

/* ---- CSV. ---- */

struct csv {
    char *at, *end;             /* The text, a copy that may be changed. */
    char separator;
    unsigned line;
    bool bad;                   /* A quoted field that does not end. */
};

/* Takes a field off, in place; '*last' says that its line ends with it. */
static char *
csv_field(struct csv *c, bool *last)
{
    char *from = c->at, *to = c->at, *start = c->at;
    bool quoted = from < c->end && *from == '"';

    from += quoted;
    for (;; from++) {
        if (from >= c->end) {
            c->bad |= quoted;
            break;
        }
        if (quoted && *from == '"') {
            if (from + 1 < c->end && from[1] == '"') {
                from++;                 /* Two stand for one. */
            } else {
                quoted = false;
                continue;
            }
        } else if (!quoted && (*from == c->separator || *from == '\n'
                               || *from == '\r')) {
            break;
        }
        c->line += *from == '\n';
        *to++ = *from;
    }
    *last = from >= c->end || *from != c->separator;
    if (from < c->end && *from == '\r') {
        from++;
    }
    if (from < c->end && (*from == '\n' || !*last)) {
        from++;
    }
    c->line += *last;
    c->at = from;
    *to = '\0';                 /* There is room: 'from' has moved on, or it
                                 * is the end of the copy, which has one. */
    while (*start == ' ') {
        start++;
    }
    while (to > start && to[-1] == ' ') {
        *--to = '\0';
    }
    return start;
}

/* Skips lines that are empty or begin with "#". */
static void
csv_skip(struct csv *c)
{
    while (c->at < c->end && strchr("#\r\n", *c->at)) {
        char *eol = memchr(c->at, '\n', (size_t) (c->end - c->at));
        c->at = eol ? eol + 1 : c->end;
        c->line++;
    }
}

static char
find_separator(const char *at, const char *end)
{
    for (; at < end && *at != '\n'; at++) {
        if (*at == ',' || *at == ';' || *at == '\t') {
            return *at;
        }
    }
    return ',';
}

/* The names of the columns; 0: there is none by which an endpoint is known. */
static size_t
csv_header(struct csv *c, char *names[MAX_COLUMNS])
{
    bool last = c->at >= c->end, keys = false;
    size_t n = 0;
    c->separator = find_separator(c->at, c->end);
    while (!last && n < MAX_COLUMNS) {
        names[n] = csv_field(c, &last);
        for (char *s = names[n]; *s; s++) {
            *s = *s >= 'A' && *s <= 'Z' ? (char) (*s | 0x20) : *s;
        }
        const struct field *f = find_field(names[n++]);
        keys |= f && (f->kind == FIELD_LIST || f->kind == FIELD_NUMBERS);
    }
    return last && keys ? n : 0;
}

static void
add_where(struct json_object *o, const char *what, size_t n)
{
    char where[48];
    snprintf(where, sizeof where, "%s %zu", what, n);
    json_object_object_add(o, INVENTORY_WHERE, json_object_new_string(where));
}

static struct json_object *
parse_csv(const char *text, size_t size, struct inventory_result *r)
{
    char *names[MAX_COLUMNS];
    char *copy = malloc(size + 1);
    if (!copy) {
        return FAIL(r, "out of memory");
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    struct csv c = { .at = copy, .end = copy + size, .line = 1 };
    csv_skip(&c);
    size_t n_names = csv_header(&c, names);
    if (!n_names) {
        free(copy);
        return FAIL(r, "the first line must name the columns, one of them "
                    "prefix, address, mac or vni");
    }
    struct json_object *list = json_object_new_array();
    size_t n = 0;
    unsigned line = 0;
    for (csv_skip(&c); c.at < c.end && !c.bad; csv_skip(&c)) {
        struct json_object *o = json_object_new_object();
        bool last = false;
        size_t column = 0;
        line = c.line;
        add_where(o, "line", line);
        for (; !last; column++) {
            char *s = csv_field(&c, &last);
            if (*s && column < n_names && *names[column]) {
                add_text(o, names[column], s);
            }
        }
        if (column > n_names) {
            json_object_object_add(o, "error", json_object_new_string(
                                       "more fields than columns"));
        }
        json_object_array_add(list, o);
        if (++n > INVENTORY_MAX_ENTRIES) {
            break;
        }
    }
    free(copy);
    if (c.bad || n > INVENTORY_MAX_ENTRIES) {
        json_object_put(list);
        return c.bad ? FAIL(r, "line %u: a quoted field does not end", line)
                     : FAIL(r, "more than %d entries", INVENTORY_MAX_ENTRIES);
    }
    return list;
}

/* ---- JSON. ---- */

/* A member of an entry: as endpoint.upsert takes it, or as CSV has it. */
static void
add_member(struct json_object *o, const char *name, struct json_object *v)
{
    const struct field *f = find_field(name);
    if (!v) {
        return;
    }
    if (f && f->kind == FIELD_LABELS
        && json_object_is_type(v, json_type_object)) {
        struct json_object *labels = inventory_need(
            o, "labels", json_object_new_object);
        json_object_object_foreach(v, key, value) {
            json_object_object_add(labels, key, json_object_get(value));
        }
        return;
    }
    bool plain = json_object_is_type(v, json_type_string)
                 || (!f && !json_object_is_type(v, json_type_object)
                     && !json_object_is_type(v, json_type_array));
    if (plain && !(f && f->kind == FIELD_LABELS)) {
        char *s = strdup(json_object_get_string(v));
        if (s) {
            add_text(o, name, s);
        }
        free(s);
    } else if (f && f->kind == FIELD_NUMBERS
               && json_object_is_type(v, json_type_int)) {
        json_object_array_add(
            inventory_need(o, f->member, json_object_new_array),
            json_object_get(v));
    } else {
        /* endpoint_read() says what is wrong with it, if something is. */
        json_object_object_add(o, f ? f->member : name, json_object_get(v));
    }
}

static struct json_object *
read_entry(struct json_object *from, const char *key)
{
    struct json_object *o = json_object_new_object();
    if (key) {
        add_item(o, find_field("prefix"), key);
    }
    if (json_object_is_type(from, json_type_string)) {
        json_object_object_add(o, "name", json_object_get(from));
    } else if (json_object_is_type(from, json_type_object)) {
        json_object_object_foreach(from, name, v) {
            add_member(o, name, v);
        }
    } else {
        json_object_object_add(o, "error", json_object_new_string(
                                   "an object is expected"));
    }
    return o;
}

static struct json_object *
read_entries(struct json_object *top, struct inventory_result *r)
{
    struct json_object *list = json_object_new_array();
    if (json_object_is_type(top, json_type_array)) {
        size_t n = json_object_array_length(top);
        for (size_t i = 0; i < n; i++) {
            struct json_object *o = read_entry(
                json_object_array_get_idx(top, i), NULL);
            add_where(o, "entry", i + 1);
            json_object_array_add(list, o);
        }
        return list;
    }
    if (json_object_is_type(top, json_type_object)) {
        json_object_object_foreach(top, key, v) {
            struct json_object *o = read_entry(v, key);
            json_object_object_add(o, INVENTORY_WHERE,
                                   json_object_new_string(key));
            json_object_array_add(list, o);
        }
        return list;
    }
    json_object_put(list);
    return FAIL(r, "an array of endpoints is expected, or an object with a "
                "member for each prefix");
}

/* ---- Containers. ---- */

/* Labels under which engines' users keep what we have members for, the more
 * telling first. */
static const char *const tenant_labels[] = {
    "io.kubernetes.pod.namespace", "com.docker.compose.project",
    "io.podman.compose.project",
};

static const char *
tenant_of(struct json_object *labels)
{
    const char *s = NULL;
    for (size_t i = 0; !s && i < sizeof tenant_labels
                                 / sizeof tenant_labels[0]; i++) {
        s = inventory_text(labels, tenant_labels[i]);
    }
    return s;
}

/* As many of its labels as an endpoint may have, and the image. */
static struct json_object *
labels_of(struct json_object *container, struct json_object *labels)
{
    struct json_object *o = json_object_new_object();
    size_t n = 1;
    inventory_put(o, "image", inventory_text(container, "Image"));
    if (labels) {
        json_object_object_foreach(labels, name, v) {
            if (n < ENDPOINT_MAX_LABELS && *name
                && json_object_is_type(v, json_type_string)
                && strlen(json_object_get_string(v)) < 512) {
                json_object_object_add(o, name, json_object_get(v));
                n++;
            }
        }
    }
    return o;
}

/* A container in a network of its own; none of the host's. */
static void
add_attachment(struct json_object *list, struct json_object *container,
               const char *network, struct json_object *a, const char *host)
{
    struct json_object *names = json_member(container, "Names");
    struct json_object *labels = json_member(container, "Labels");
    const char *id = inventory_text(container, "Id");
    const char *v4 = inventory_text(a, "IPAddress");
    const char *v6 = inventory_text(a, "GlobalIPv6Address");
    const char *mac = inventory_text(a, "MacAddress");
    char text[512];

    if (!id || (!v4 && !v6 && !mac)) {
        return;
    }
    labels = json_object_is_type(labels, json_type_object) ? labels : NULL;
    struct json_object *o = json_object_new_object();
    snprintf(text, sizeof text, "%.128s/%.255s", id, network);
    inventory_put(o, INVENTORY_WHERE, text);
    inventory_put(o, "id", text);
    struct json_object *first = json_object_is_type(names, json_type_array)
                                ? json_object_array_get_idx(names, 0) : NULL;
    const char *name = first ? json_object_get_string(first) : "";
    name += *name == '/';
    snprintf(text, sizeof text, "%.12s", id);
    inventory_put(o, "name", *name ? name : text);
    inventory_put(o, "type", "container");
    inventory_put(o, "tenant", tenant_of(labels));
    inventory_put(o, "network", network);
    inventory_put(o, "host", host);
    inventory_add(o, "addresses", v4);
    inventory_add(o, "addresses", v6);
    inventory_add(o, "macs", mac);
    json_object_object_add(o, "labels", labels_of(container, labels));
    json_object_array_add(list, o);
}

static struct json_object *
read_containers(struct json_object *top, const char *host,
                struct inventory_result *r)
{
    if (!json_object_is_type(top, json_type_array)) {
        return FAIL(r, "an array of containers is expected");
    }
    struct json_object *list = json_object_new_array();
    size_t n = json_object_array_length(top);
    for (size_t i = 0; i < n; i++) {
        struct json_object *c = json_object_array_get_idx(top, i);
        struct json_object *networks = json_member(
            json_member(c, "NetworkSettings"), "Networks");
        if (json_object_is_type(networks, json_type_object)) {
            json_object_object_foreach(networks, name, a) {
                add_attachment(list, c, name, a, host);
            }
        }
    }
    return list;
}

static struct json_object *
parse_json(enum inventory_format format, const char *text, size_t size,
           const char *host, struct inventory_result *r)
{
    static const struct json_limits limits = {
        .size = INVENTORY_MAX_SIZE, .values = 64 * INVENTORY_MAX_ENTRIES,
        .containers = 16 * INVENTORY_MAX_ENTRIES, .depth = 32,
    };
    struct json_error e;
    struct json_object *top = NULL;
    int error = json_parse(text, size, &limits, JSON_UNIQUE, &top, &e);
    if (error) {
        return FAIL(r, "line %u, column %u: %s", e.line, e.column,
                    error == -ENOMEM ? "out of memory" : e.message);
    }
    struct json_object *list = format == INVENTORY_CONTAINERS
                               ? read_containers(top, host, r)
                               : read_entries(top, r);
    json_object_put(top);
    if (list && json_object_array_length(list) > INVENTORY_MAX_ENTRIES) {
        json_object_put(list);
        return FAIL(r, "more than %d entries", INVENTORY_MAX_ENTRIES);
    }
    return list;
}

struct json_object *
inventory_parse(enum inventory_format format, const char *text, size_t size,
                const char *host, struct inventory_result *r)
{
    *r = (struct inventory_result) { .accepted = 0 };
    if (size > INVENTORY_MAX_SIZE) {
        return FAIL(r, "more than %zu MB", INVENTORY_MAX_SIZE >> 20);
    }
    if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;                      /* A byte order mark. */
        size -= 3;
    }
    if (format == INVENTORY_AUTO) {
        size_t n = 0;
        while (n < size && strchr(" \t\r\n", text[n])) {
            n++;
        }
        format = n < size && (text[n] == '[' || text[n] == '{')
                 ? INVENTORY_JSON : INVENTORY_CSV;
    }
    if (format == INVENTORY_LIBVIRT) {
        return inventory_read_libvirt(text, size, host, r);
    }
    return format == INVENTORY_CSV ? parse_csv(text, size, r)
                                   : parse_json(format, text, size, host, r);
}

/* ---- Telling. ---- */

/* The first of its keys, or its name, names what has no id. */
static void
give_id(struct json_object *o)
{
    static const char *const lists[] = { "prefixes", "addresses", "macs",
                                         "vnis" };
    if (inventory_text(o, "id")) {
        return;
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct json_object *l = json_member(o, lists[i]);
        if (json_object_is_type(l, json_type_array)
            && json_object_array_length(l)) {
            inventory_put(o, "id", json_object_get_string(
                         json_object_array_get_idx(l, 0)));
            return;
        }
    }
    inventory_put(o, "id", inventory_text(o, "name"));
}

static void
refuse(struct inventory_result *r, const char *where, const char *member,
       const char *why)
{
    if (!r->refused++) {
        snprintf(r->error, sizeof r->error, "%.80s: %.60s%s%.110s", where, member,
                 *member ? ": " : "", why);
    }
}

/* What the whole inventory has in common. */
static void
complete(struct json_object *o, const struct inventory_telling *t)
{
    give_id(o);
    if (t->tenant && !inventory_text(o, "tenant")) {
        inventory_put(o, "tenant", t->tenant);
    }
    if (t->network && !inventory_text(o, "network")) {
        inventory_put(o, "network", t->network);
    }
}

/* Whether there is something by which a flow is recognised. */
static bool
has_key(struct json_object *o)
{
    return json_member(o, "prefixes") || json_member(o, "addresses")
           || json_member(o, "macs") || json_member(o, "vnis")
           || inventory_text(o, "interface")
           || (inventory_text(o, "bridge") && inventory_text(o, "port"));
}

/* One entry to the buffer. */
static void
tell_entry(struct json_object *o, const struct inventory_telling *t,
           struct endpoint_reading *reading, struct json_object *ids,
           struct identity_buffer *b, struct inventory_result *r)
{
    struct identity_record rec = { .op = IDENTITY_UPSERT,
                                   .told_us = t->now_us };
    char where[128];
    snprintf(where, sizeof where, "%s", inventory_text(o, INVENTORY_WHERE));
    json_object_object_del(o, INVENTORY_WHERE);
    const char *error = inventory_text(o, "error");
    complete(o, t);
    const char *id = inventory_text(o, "id");
    if (error) {
        refuse(r, where, "", error);
    } else if (!has_key(o)) {
        refuse(r, where, "", "no prefix, address, mac, vni or port");
    } else if (id && json_object_object_get_ex(ids, id, NULL)) {
        refuse(r, where, "id", "an entry before has the same");
    } else if (!endpoint_read(reading, o, t->source, t->generation, &rec.e)) {
        refuse(r, where, reading->member, reading->error);
    } else {
        json_object_object_add(ids, id, NULL);
        identity_record_put(b, reading->dict, &rec);
        r->accepted++;
    }
}

int
inventory_tell(struct json_object *list, const struct inventory_telling *t,
               uint64_t known, struct dict *dict, struct identity_buffer *b,
               struct inventory_result *r)
{
    size_t n = json_object_array_length(list);

    r->accepted = r->refused = 0;
    r->hash = fnv_text_end(FNV_START, t->source);
    r->hash = fnv_text_end(r->hash, t->tenant ? t->tenant : "");
    r->hash = fnv_text_end(r->hash, t->network ? t->network : "");
    for (size_t i = 0; i < n; i++) {
        r->hash = fnv_text_end(r->hash, json_object_to_json_string_ext(
                                 json_object_array_get_idx(list, i),
                                 JSON_C_TO_STRING_PLAIN));
    }
    if (r->hash == known) {
        return -EEXIST;
    }
    struct endpoint_reading *reading = calloc(1, sizeof *reading);
    struct json_object *ids = json_object_new_object();
    if (!reading || !ids) {
        free(reading);
        json_object_put(ids);
        return -ENOMEM;
    }
    reading->dict = dict;
    reading->now_us = t->now_us;
    for (size_t i = 0; i < n; i++) {
        tell_entry(json_object_array_get_idx(list, i), t, reading, ids, b, r);
    }
    if (!r->refused) {
        struct identity_record rec = {
            .op = IDENTITY_SYNC, .told_us = t->now_us,
            .e = { .source = t->source, .generation = t->generation,
                   .from_us = t->now_us } };
        identity_record_put(b, dict, &rec);
    }
    free(reading);
    json_object_put(ids);
    return b->failed ? -ENOMEM : 0;
}
