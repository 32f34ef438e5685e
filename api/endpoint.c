#include <config.h>

#include "api/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/methods.h"
#include "lib/clock.h"
#include "lib/dict.h"

#define FAIL(R, MEMBER, ...)                                            \
    (snprintf((R)->member, sizeof (R)->member, "%s", MEMBER),           \
     snprintf((R)->error, sizeof (R)->error, __VA_ARGS__), false)

/* ---- Labels. ---- */

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Appends 's' with its special characters marked; NULL if it does not fit. */
static char *
put_escaped(char *at, char *end, const char *s)
{
    for (; *s; s++) {
        if (strchr(",=\\", *s)) {
            if (at + 1 >= end) {
                return NULL;
            }
            *at++ = '\\';
        }
        if (at + 1 >= end) {
            return NULL;
        }
        *at++ = *s;
    }
    return at;
}

int
endpoint_labels_put(struct json_object *labels, char *text, size_t size)
{
    const char *names[ENDPOINT_MAX_LABELS];
    size_t n = 0;
    json_object_object_foreach(labels, name, value) {
        if (n == ENDPOINT_MAX_LABELS || !*name
            || !json_object_is_type(value, json_type_string)) {
            return n == ENDPOINT_MAX_LABELS ? -E2BIG : -EINVAL;
        }
        names[n++] = name;
    }
    qsort(names, n, sizeof *names, compare_names);
    char *at = text, *end = text + size;
    *at = '\0';
    for (size_t i = 0; i < n && at; i++) {
        struct json_object *v;
        json_object_object_get_ex(labels, names[i], &v);
        if (i && at + 1 < end) {
            *at++ = ',';
        }
        at = put_escaped(at, end, names[i]);
        if (at && at + 1 < end) {
            *at++ = '=';
            at = put_escaped(at, end, json_object_get_string(v));
        } else {
            at = NULL;
        }
    }
    if (!at) {
        return -E2BIG;
    }
    *at = '\0';
    return 0;
}

/* Copies up to an unmarked 'stop' or the end; returns what follows. */
static const char *
take_escaped(const char *s, char stop, char *to)
{
    while (*s && *s != stop && *s != ',') {
        if (*s == '\\' && s[1]) {
            s++;
        }
        *to++ = *s++;
    }
    *to = '\0';
    return s;
}

struct json_object *
endpoint_labels_get(const char *text)
{
    struct json_object *o = json_object_new_object();
    size_t size = strlen(text) + 1;
    char *name = malloc(size), *value = malloc(size);
    while (name && value && *text) {
        text = take_escaped(text, '=', name);
        text += *text == '=';
        text = take_escaped(text, ',', value);
        text += *text == ',';
        json_object_object_add(o, name, json_object_new_string(value));
    }
    free(name);
    free(value);
    return o;
}

/* ---- Keys. ---- */

static bool
add_key(struct endpoint_reading *r, struct identity_endpoint *e,
        const struct identity_key *k)
{
    if (e->n_keys == IDENTITY_MAX_KEYS) {
        return false;
    }
    for (size_t i = 0; i < e->n_keys; i++) {
        if (!memcmp(&r->keys[i], k, sizeof *k)) {
            return true;                /* Told twice. */
        }
    }
    r->keys[e->n_keys++] = *k;
    return true;
}

static bool
read_address(struct endpoint_reading *r, struct json_object *v,
             struct identity_key *k)
{
    struct addr a;
    const char *s = json_object_get_string(v);
    (void) r;
    if (addr_parse(s, &a)) {
        return false;
    }
    *k = identity_key_address(&a);
    return true;
}

static bool
read_prefix(struct endpoint_reading *r, struct json_object *v,
            struct identity_key *k)
{
    struct prefix p;
    (void) r;
    if (prefix_parse(json_object_get_string(v), &p)) {
        return false;
    }
    *k = identity_key_prefix(&p);
    return true;
}

static bool
read_mac(struct endpoint_reading *r, struct json_object *v,
         struct identity_key *k)
{
    uint64_t mac;
    (void) r;
    if (mac_parse(json_object_get_string(v), &mac)) {
        return false;
    }
    *k = identity_key_mac(mac);
    return true;
}

static bool
read_vni(struct endpoint_reading *r, struct json_object *v,
         struct identity_key *k)
{
    int64_t n = json_object_get_int64(v);
    (void) r;
    if (!json_object_is_type(v, json_type_int) || n < 0) {
        return false;
    }
    *k = identity_key_vni((uint64_t) n);
    return true;
}

/* The lists of keys that an endpoint may have. */
static const struct {
    const char *name;
    enum json_type type;
    bool (*read)(struct endpoint_reading *, struct json_object *,
                 struct identity_key *);
    const char *expected;
} lists[] = {
    { "addresses", json_type_string, read_address,
      "an IPv4 or IPv6 address" },
    { "prefixes", json_type_string, read_prefix,
      "a prefix such as 10.0.0.0/8" },
    { "macs", json_type_string, read_mac,
      "a MAC address such as 52:54:00:12:34:56" },
    { "vnis", json_type_int, read_vni, "a virtual network identifier" },
};
#define N_LISTS (sizeof lists / sizeof lists[0])

static bool
read_list(struct endpoint_reading *r, size_t l, struct json_object *list,
          struct identity_endpoint *e)
{
    char member[48];
    if (!json_object_is_type(list, json_type_array)) {
        return FAIL(r, lists[l].name, "an array is expected");
    }
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        struct identity_key k;
        if (!json_object_is_type(v, lists[l].type)
            || !lists[l].read(r, v, &k)) {
            snprintf(member, sizeof member, "%s[%zu]", lists[l].name, i);
            return FAIL(r, member, "%s is expected", lists[l].expected);
        }
        if (!add_key(r, e, &k)) {
            return FAIL(r, lists[l].name, "an endpoint has at most %d keys",
                        IDENTITY_MAX_KEYS);
        }
    }
    return true;
}

/* ---- The rest. ---- */

static bool
read_text(struct endpoint_reading *r, const char *name,
          struct json_object *v, const char **text)
{
    if (v && !json_object_is_type(v, json_type_string)) {
        return FAIL(r, name, "a string is expected");
    }
    int n = v ? json_object_get_string_len(v) : 0;
    if (n > IDENTITY_MAX_TEXT) {
        return FAIL(r, name, "at most %d bytes", IDENTITY_MAX_TEXT);
    }
    *text = v ? json_object_get_string(v) : NULL;
    if (v && strlen(*text) != (size_t) n) {
        return FAIL(r, name, "a character 0 cannot be kept");
    }
    return true;
}

static bool
read_time(struct endpoint_reading *r, const char *name,
          struct json_object *v, int64_t *us)
{
    if (v && time_parse_us(json_object_get_string(v), r->now_us, us)) {
        return FAIL(r, name, "a time is expected: RFC 3339, epoch seconds, "
                    "or relative");
    }
    return true;
}

static bool
read_labels(struct endpoint_reading *r, struct json_object *v,
            const char **text)
{
    if (!json_object_is_type(v, json_type_object)) {
        return FAIL(r, "labels", "an object of strings is expected");
    }
    int error = endpoint_labels_put(v, r->labels, sizeof r->labels);
    if (error) {
        return FAIL(r, "labels", error == -E2BIG
                    ? "at most %d labels of together %d bytes"
                    : "names and values are strings that are not empty",
                    ENDPOINT_MAX_LABELS, IDENTITY_MAX_TEXT);
    }
    *text = r->labels;
    return true;
}

/* One member; '*known' says whether there is such a one. */
static bool
read_member(struct endpoint_reading *r, const char *name,
            struct json_object *v, struct identity_endpoint *e)
{
    for (size_t i = 0; i < N_LISTS; i++) {
        if (!strcmp(name, lists[i].name)) {
            return !v || read_list(r, i, v, e);
        }
    }
    if (!strcmp(name, "labels")) {
        return !v || read_labels(r, v, &e->text[IDENTITY_LABELS]);
    }
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        if (!strcmp(name, identity_members[i].name)) {
            return read_text(r, name, v, &e->text[i]);
        }
    }
    if (!strcmp(name, "id")) {
        return read_text(r, name, v, &e->id);
    }
    if (!strcmp(name, "interface")) {
        return read_text(r, name, v, &e->interface);
    }
    if (!strcmp(name, "valid_from")) {
        return read_time(r, name, v, &e->from_us);
    }
    if (!strcmp(name, "valid_to")) {
        return read_time(r, name, v, &e->to_us);
    }
    return FAIL(r, name, "there is no such member");
}

bool
endpoint_read(struct endpoint_reading *r, struct json_object *o,
              const char *source, uint64_t generation,
              struct identity_endpoint *e)
{
    /* Flows have milliseconds at best: the first is not to be before. */
    *e = (struct identity_endpoint) {
        .source = source, .generation = generation, .keys = r->keys,
        .from_us = r->now_us - r->now_us % 1000, .to_us = IDENTITY_OPEN,
    };
    if (!json_object_is_type(o, json_type_object)) {
        return FAIL(r, "", "an object is expected");
    }
    json_object_object_foreach(o, name, value) {
        if (!read_member(r, name, value, e)) {
            return false;
        }
    }
    if (!e->id || !*e->id) {
        return FAIL(r, "id", "is needed, and must not be empty");
    }
    if (e->from_us >= e->to_us) {
        return FAIL(r, "valid_to", "is not after valid_from");
    }
    const char *bridge = e->text[IDENTITY_BRIDGE];
    const char *port = e->text[IDENTITY_PORT];
    if (bridge && *bridge && port && *port) {
        struct identity_key k = identity_key_port(
            dict_passing(r->dict, bridge, strlen(bridge)),
            dict_passing(r->dict, port, strlen(port)));
        if (!add_key(r, e, &k)) {
            return FAIL(r, "port", "an endpoint has at most %d keys",
                        IDENTITY_MAX_KEYS);
        }
    }
    return true;
}

static void
append(struct json_object *o, const char *list, struct json_object *v)
{
    struct json_object *l;
    if (!json_object_object_get_ex(o, list, &l)) {
        l = json_object_new_array();
        json_object_object_add(o, list, l);
    }
    json_object_array_add(l, v);
}

void
endpoint_add_key(struct json_object *o, const struct dict *dict,
                 const struct identity_key *k)
{
    char buf[PREFIX_STRLEN];
    uint64_t w[2];
    memcpy(w, k->addr.b, sizeof w);
    switch ((enum identity_key_kind) k->kind) {
    case IDENTITY_KEY_ADDRESS:
        append(o, "addresses", json_object_new_string(
                   addr_format(&k->addr, buf)));
        break;
    case IDENTITY_KEY_PREFIX:
        append(o, "prefixes", json_object_new_string(
                   prefix_format(&(struct prefix) { k->addr, k->len }, buf)));
        break;
    case IDENTITY_KEY_MAC:
        append(o, "macs", json_object_new_string(mac_format(w[1], buf)));
        break;
    case IDENTITY_KEY_VNI:
        append(o, "vnis", json_object_new_uint64(w[1]));
        break;
    case IDENTITY_KEY_PORT:             /* "bridge" and "port" say it. */
        (void) dict;
        break;
    case IDENTITY_N_KEYS:
        break;
    }
}

void
endpoint_put_members(struct json_object *o, const char *const *text)
{
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        bool said = text[i] && *text[i];
        if (i == IDENTITY_LABELS) {
            json_object_object_add(o, identity_members[i].name,
                                   endpoint_labels_get(said ? text[i] : ""));
        } else {
            reply_string(o, identity_members[i].name, said ? text[i] : NULL);
        }
    }
}

void
endpoint_put_interval(struct json_object *o, int64_t from_us, int64_t to_us)
{
    reply_time(o, "valid_from", from_us);
    reply_time(o, "valid_to", to_us == IDENTITY_OPEN ? 0 : to_us);
}

struct json_object *
endpoint_row_to_json(const struct dict *dict, const struct identity_row *row)
{
    const char *interface = identity_interface(row->declared);
    const char *text[IDENTITY_N_MEMBERS];
    struct json_object *o = json_object_new_object();

    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        text[i] = identity_text(row->effective, i);
    }
    reply_string(o, "source", row->source);
    reply_string(o, "id", identity_id(row->declared));
    reply_string(o, "interface", *interface ? interface : NULL);
    endpoint_put_members(o, text);
    for (size_t i = 0; i < row->n_keys; i++) {
        endpoint_add_key(o, dict, &row->keys[i]);
    }
    endpoint_put_interval(o, row->from_us, row->to_us);
    reply_uint(o, "generation", row->generation);
    return o;
}
