/* ovsdb/export_row.c -- rows of NetFlow, sFlow and IPFIX as plain values. */
#include <config.h>

#include "ovsdb/export_p.h"

#include "lib/fnv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest text of one member that a remembered row may have. */
#define MEMBER_MAX 4096

const struct export_value *
export_row_value(const struct export_row *row, enum export_option_id o)
{
    static const struct export_value none;
    unsigned i = (unsigned) o - row->first_value;
    return i < row->n_values ? &row->value[i] : &none;
}

struct export_value *
export_row_values(struct export_row *row)
{
    if (!row->value) {
        row->value = calloc(N_EXPORT_OPTIONS, sizeof *row->value);
        row->first_value = 0;
        row->n_values = row->value ? N_EXPORT_OPTIONS : 0;
    }
    return row->value;
}

void
export_row_clear(struct export_row *row)
{
    strings_clear(&row->targets, &row->n_targets);
    strings_clear(&row->appended, &row->n_appended);
    strings_clear(&row->extra, &row->n_extra);
    for (size_t i = 0; i < row->n_values; i++) {
        free(row->value[i].string);
    }
    free(row->value);
    free(row->owner);
    free(row->policy);
    free(row->hash);
    free(row->prev);
    memset(row, 0, sizeof *row);
}

void
export_sample_clear(struct export_sample *sample)
{
    free(sample->owner);
    free(sample->bridge);
    export_row_clear(&sample->ipfix);
    memset(sample, 0, sizeof *sample);
}

static int
copy_text(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -ENOMEM : 0;
}

int
export_row_copy(struct export_row *to, const struct export_row *from)
{
    memset(to, 0, sizeof *to);
    to->present = from->present;
    to->n_refs = from->n_refs;
    memcpy(to->uuid, from->uuid, sizeof to->uuid);
    int error = strings_copy(&to->targets, &to->n_targets, from->targets,
                             from->n_targets);
    error |= strings_copy(&to->appended, &to->n_appended, from->appended,
                          from->n_appended);
    error |= strings_copy(&to->extra, &to->n_extra, from->extra,
                          from->n_extra);
    error |= copy_text(&to->owner, from->owner);
    error |= copy_text(&to->policy, from->policy);
    error |= copy_text(&to->hash, from->hash);
    error |= copy_text(&to->prev, from->prev);
    for (int o = 0; o < N_EXPORT_OPTIONS && export_row_values(to); o++) {
        const struct export_value *v = export_row_value(from, o);
        to->value[o].set = v->set;
        to->value[o].number = v->number;
        error |= copy_text(&to->value[o].string, v->string);
    }
    error |= !to->value;
    if (error) {
        export_row_clear(to);
        return -ENOMEM;
    }
    return 0;
}

char *
export_value_text(const struct export_option *opt,
                  const struct export_value *v)
{
    char number[24];
    if (!v->set) {
        return NULL;
    }
    if (opt->type == EXPORT_T_STRING) {
        return strdup(v->string ? v->string : "");
    }
    if (opt->type == EXPORT_T_BOOL) {
        return strdup(v->number ? "true" : "false");
    }
    snprintf(number, sizeof number, "%"PRId64, v->number);
    return strdup(number);
}

bool
export_value_equal(const struct export_option *opt,
                   const struct export_value *a, const struct export_value *b)
{
    if (a->set != b->set || !a->set) {
        return a->set == b->set;
    }
    if (opt->type == EXPORT_T_STRING) {
        return text_equal(a->string, b->string);
    }
    return a->number == b->number;
}

static bool
options_equal(const struct export_row *a, const struct export_row *b,
              enum export_table table)
{
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (export_options[o].table == table
            && !export_value_equal(&export_options[o],
                                   export_row_value(a, o),
                                   export_row_value(b, o))) {
            return false;
        }
    }
    return true;
}

bool
export_row_equal(const struct export_row *a, const struct export_row *b,
                 enum export_table table)
{
    if (!a->present || !b->present) {
        return a->present == b->present;
    }
    return !strcmp(a->uuid, b->uuid)
           && strings_equal(a->targets, a->n_targets, b->targets,
                            b->n_targets)
           && strings_equal(a->appended, a->n_appended, b->appended,
                            b->n_appended)
           && strings_equal(a->extra, a->n_extra, b->extra, b->n_extra)
           && text_equal(a->owner, b->owner)
           && text_equal(a->policy, b->policy)
           && text_equal(a->hash, b->hash)
           && text_equal(a->prev, b->prev)
           && options_equal(a, b, table);
}

char *
export_row_hash(const struct export_row *row, enum export_table table,
                char buf[EXPORT_HASH_STRLEN])
{
    uint64_t h = FNV_START;
    for (size_t i = 0; i < row->n_targets; i++) {
        h = fnv_text_end(h, row->targets[i]);
    }
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        const struct export_option *opt = &export_options[o];
        const struct export_value *v = export_row_value(row, o);
        if (opt->table != table || !v->set) {
            continue;
        }
        char number[24];
        snprintf(number, sizeof number, "%"PRId64, v->number);
        h = fnv_text_end(h, opt->name);
        h = fnv_text_end(h, opt->type == EXPORT_T_STRING && v->string
                         ? v->string : number);
    }
    snprintf(buf, EXPORT_HASH_STRLEN, "%016"PRIx64, h);
    return buf;
}

/* A row as text: "name=value&name=value", everything but letters, digits and a
 * few harmless signs as %XX. */

struct growing {
    char *s;
    size_t len, room;
    bool oom;
};

static void
text_put(struct growing *t, const char *p, size_t n)
{
    if (t->len + n + 1 > t->room) {
        size_t room = 2 * (t->len + n + 1);
        char *grown = realloc(t->s, room);
        if (!grown) {
            t->oom = true;
            return;
        }
        t->s = grown;
        t->room = room;
    }
    memcpy(t->s + t->len, p, n);
    t->len += n;
    t->s[t->len] = '\0';
}

static void
text_put_escaped(struct growing *t, const char *p)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
        "-_.:/[]";
    for (; *p && !t->oom; p++) {
        char hex[4];
        if (strchr(plain, *p)) {
            text_put(t, p, 1);
        } else {
            snprintf(hex, sizeof hex, "%%%02x", (uint8_t) *p);
            text_put(t, hex, 3);
        }
    }
}

static void
text_put_member(struct growing *t, const char *name, const char *value)
{
    text_put(t, "&", t->len ? 1 : 0);
    text_put_escaped(t, name);
    text_put(t, "=", 1);
    text_put_escaped(t, value);
}

char *
export_row_encode(const struct export_row *row, enum export_table table)
{
    struct growing t = { NULL, 0, 0, false };
    for (size_t i = 0; i < row->n_targets; i++) {
        text_put_member(&t, "targets", row->targets[i]);
    }
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        const struct export_value *v = export_row_value(row, o);
        if (export_options[o].table == table && v->set) {
            char *value = export_value_text(&export_options[o], v);
            if (!value) {
                t.oom = true;
                break;
            }
            text_put_member(&t, export_options[o].name, value);
            free(value);
        }
    }
    for (size_t i = 0; i < row->n_extra; i++) {
        text_put_member(&t, "extra", row->extra[i]);
    }
    if (row->owner) {
        text_put_member(&t, VENTURI_OWNER, row->owner);
    }
    if (t.oom) {
        free(t.s);
        return NULL;
    }
    return t.s ? t.s : strdup("");
}

/* Takes the text up to 'stop' from '*p' into 'out', unescaped.  False if it is
 * malformed or too long. */
static bool
unescape_until(const char **p, char stop, char out[MEMBER_MAX])
{
    size_t n = 0;
    while (**p && **p != stop) {
        unsigned c = (uint8_t) **p;
        if (c == '%') {
            char hex[3] = { (*p)[1], hex[0] ? (*p)[2] : '\0', '\0' };
            char *end;
            c = (unsigned) strtoul(hex, &end, 16);
            if (end != hex + 2 || !c) {
                return false;
            }
            *p += 2;
        }
        if (n + 1 >= MEMBER_MAX) {
            return false;
        }
        out[n++] = (char) c;
        (*p)++;
    }
    out[n] = '\0';
    if (**p) {
        (*p)++;
    }
    return true;
}

/* True if the schema, which is wider than what we offer, takes 'number'. */
static bool
schema_takes(enum export_option_id o, int64_t number)
{
    const struct export_option *opt = &export_options[o];
    if (opt->table == EXPORT_SFLOW) {
        return true;            /* "integer" without any range. */
    }
    if (o == OPT_NF_ACTIVE_TIMEOUT) {
        return number >= -1;
    }
    return number >= opt->min && number <= opt->max;
}

static bool
decode_option(struct export_row *row, enum export_option_id o,
              const char *text)
{
    struct export_value *values = export_row_values(row);
    struct export_value *v = values ? &values[o] : NULL;
    if (!v || v->set) {
        return false;           /* Twice. */
    }
    switch (export_options[o].type) {
    case EXPORT_T_STRING:
        v->string = strdup(text);
        v->set = v->string != NULL;
        return v->set;
    case EXPORT_T_BOOL:
        v->set = true;
        v->number = !strcmp(text, "true");
        return v->number || !strcmp(text, "false");
    case EXPORT_T_INT:
    default: {
        char *end;
        errno = 0;
        v->number = strtoll(text, &end, 10);
        v->set = true;
        return !errno && *text && !*end && schema_takes(o, v->number);
    }
    }
}

static bool
decode_member(struct export_row *row, enum export_table table,
              const char *name, const char *value)
{
    if (!strcmp(name, "targets")) {
        return !strings_add(&row->targets, &row->n_targets, value);
    }
    if (!strcmp(name, "extra")) {
        const char *colon = strchr(value, ':');
        return colon && strchr(colon, '=')
               && !strings_add(&row->extra, &row->n_extra, value);
    }
    if (!strcmp(name, VENTURI_OWNER)) {
        return !row->owner && !copy_text(&row->owner, value);
    }
    enum export_option_id o = export_option_find(table, name);
    return o < N_EXPORT_OPTIONS && decode_option(row, o, value);
}

int
export_row_decode(const char *text, enum export_table table,
                  struct export_row *row)
{
    memset(row, 0, sizeof *row);
    char *name = malloc(2 * MEMBER_MAX);
    if (!name) {
        return -ENOMEM;
    }
    char *value = name + MEMBER_MAX;
    bool ok = true;
    while (ok && *text) {
        const char *eq = text + strcspn(text, "=&");
        ok = *eq == '=' && unescape_until(&text, '=', name)
             && unescape_until(&text, '&', value)
             && decode_member(row, table, name, value);
    }
    free(name);
    /* The schema wants a target from NetFlow and sFlow. */
    if (!ok || (!row->n_targets && table != EXPORT_IPFIX)) {
        export_row_clear(row);
        return -EINVAL;
    }
    strings_sort(row->targets, row->n_targets);
    strings_sort(row->extra, row->n_extra);
    row->present = true;
    return 0;
}
