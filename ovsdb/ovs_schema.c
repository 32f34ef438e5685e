/* ovsdb/ovs_schema.c -- see ovs_schema.h.
 *
 * What the generated classes do and these do not: keep arcs between rows, so
 * that a pointer follows a reference, and a parsed copy of each column.  Here
 * rows are looked up by their uuid when they are read, and columns are read
 * where they are. */
#include "ovsdb/ovs_p.h"

#include "ovsdb/ovs_schema.h"

#include <limits.h>
#include <string.h>

#include "ovsdb/ovsdb.h"

static const struct schema_column column_words[N_OVS_COLUMNS] = {
#define X(TABLE, ID, NAME, KEY, VALUE, MIN, MAX)                    \
    [COL_##TABLE##_##ID] = { OVS_##TABLE, NAME, OVSDB_TYPE_##KEY,   \
                             OVSDB_TYPE_##VALUE, MIN, MAX },
    OVS_COLUMNS(X)
#undef X
};

static const struct schema_table table_words[N_OVS_TABLES] = {
#define X(ID, NAME, ROOT) [OVS_##ID] = { NAME, ROOT, OVS_##ID == OVS_SWITCH },
    OVS_TABLES(X)
#undef X
};

static void
row_init(struct ovsdb_idl_row *row)
{
    (void) row;
}

/* Strings: most are the same in many rows (keys, types, owner, targets), and
 * all come as parts of a big JSON text; kept there, they would keep the pages
 * that it was parsed into.  Here each is there once, in a place of its own.
 * Each thread that has IDLs has strings of its own. */

/* Open addressing; NULL: empty.  'room' is a power of two, or 0. */
static _Thread_local struct {
    struct json **slot;
    size_t n, room;
} strings;

static struct json **
find_string(struct json **slot, size_t room, const char *text)
{
    size_t i = hash_string(text, 0) & (room - 1);
    while (slot[i] && strcmp(json_string(slot[i]), text)) {
        i = (i + 1) & (room - 1);
    }
    return &slot[i];
}

/* Moves the strings that somebody has into a table of the right size. */
static void
resize_strings(bool sweep)
{
    size_t n = 0, room = 64;
    for (size_t i = 0; i < strings.room; i++) {
        n += strings.slot[i] && !(sweep && strings.slot[i]->count == 1);
    }
    while (room < n + n / 2 + 32) {
        room *= 2;
    }
    struct json **slot = xcalloc(room, sizeof *slot);
    for (size_t i = 0; i < strings.room; i++) {
        struct json *text = strings.slot[i];
        if (text && sweep && text->count == 1) {
            json_destroy(text);
        } else if (text) {
            *find_string(slot, room, json_string(text)) = text;
        }
    }
    free(strings.slot);
    strings.slot = slot;
    strings.n = n;
    strings.room = room;
}

static struct json *
intern(const char *text)
{
    if (strings.n + strings.n / 4 >= strings.room) {
        resize_strings(false);
    }
    struct json **at = find_string(strings.slot, strings.room, text);
    if (!*at) {
        *at = json_string_create(text);
        strings.n++;
    }
    return json_clone(*at);
}

void
ovs_strings_sweep(void)
{
    resize_strings(true);
}

void
ovs_strings_sweep_often(void)
{
    static _Thread_local size_t next = 4096;
    if (strings.n >= next) {
        ovs_strings_sweep();
        next = MAX(2 * strings.n, 4096);
    }
}

void
ovs_strings_clear(void)
{
    ovs_strings_sweep();
    free(strings.slot);
    strings.slot = NULL;
    strings.n = strings.room = 0;
}

/* The IDL is done with the text that the atoms came in. */
static void
intern_atoms(union ovsdb_atom *atoms, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct json *old = atoms[i].s;
        atoms[i].s = intern(json_string(old));
        json_destroy(old);
    }
}

static void
parse(struct ovsdb_idl_row *row, const struct ovsdb_datum *datum)
{
    (void) row;
    (void) datum;
}

static void
parse_strings(struct ovsdb_idl_row *row, const struct ovsdb_datum *datum)
{
    (void) row;
    intern_atoms(datum->keys, datum->n);
}

static void
parse_string_map(struct ovsdb_idl_row *row, const struct ovsdb_datum *datum)
{
    parse_strings(row, datum);
    intern_atoms(datum->values, datum->n);
}

static bool
is_told(const char *counter)
{
    static const char *const told[] = {
#define X(NAME) #NAME,
        OVSDB_STATISTICS(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
        if (!strcmp(told[i], counter)) {
            return true;
        }
    }
    return false;
}

/* Of an interface's counters those that ovs_rows.c looks at: drivers have up to
 * a hundred.  What the server says next of those that are left out is left out
 * again, whatever the IDL makes of it. */
static void
parse_statistics(struct ovsdb_idl_row *row, const struct ovsdb_datum *datum)
{
    struct ovsdb_datum *d = CONST_CAST(struct ovsdb_datum *, datum);
    unsigned int n = 0;
    (void) row;
    for (unsigned int i = 0; i < d->n; i++) {
        const char *key = json_string(d->keys[i].s);
        if (is_told(key)) {
            d->keys[n] = d->keys[i];
            d->values[n++] = d->values[i];
        } else {
            json_destroy(d->keys[i].s);
        }
    }
    if (n < d->n) {
        d->n = n;
        d->keys = xrealloc(d->keys, MAX(n, 1) * sizeof *d->keys);
        d->values = xrealloc(d->values, MAX(n, 1) * sizeof *d->values);
    }
    intern_atoms(d->keys, d->n);
}

static void
unparse(struct ovsdb_idl_row *row)
{
    (void) row;
}

const struct ovsdb_idl_class *
schema_make(const char *database, const struct schema_table *table_words_,
            size_t n_tables, const struct schema_column *words,
            size_t n_columns, const struct ovsdb_idl_column **list)
{
    struct ovsdb_idl_class *class = xzalloc(sizeof *class);
    struct ovsdb_idl_table_class *tables = xcalloc(n_tables, sizeof *tables);
    struct ovsdb_idl_column *columns = xcalloc(n_columns, sizeof *columns);
    for (size_t i = 0; i < n_tables; i++) {
        tables[i].name = xstrdup(table_words_[i].name);
        tables[i].is_root = table_words_[i].root;
        tables[i].is_singleton = table_words_[i].singleton;
        tables[i].allocation_size = sizeof(struct ovsdb_idl_row);
        tables[i].row_init = row_init;
    }
    for (size_t i = 0; i < n_columns; i++) {
        struct ovsdb_idl_column *c = &columns[i];
        struct ovsdb_idl_table_class *t = &tables[words[i].table];
        c->name = xstrdup(words[i].name);
        /* Unconstrained: ranges are the server's business, and ours. */
        ovsdb_base_type_init(&c->type.key, words[i].key);
        ovsdb_base_type_init(&c->type.value, words[i].value);
        c->type.n_min = words[i].min;
        c->type.n_max = words[i].max;
        c->is_mutable = true;
        c->parse = words[i].key != OVSDB_TYPE_STRING ? parse
                   : words[i].value != OVSDB_TYPE_STRING
                   ? words[i].value == OVSDB_TYPE_INTEGER
                     ? parse_statistics : parse_strings
                   : parse_string_map;
        c->unparse = unparse;
        if (!t->columns) {
            t->columns = c;
        }
        t->n_columns++;
        list[i] = c;
    }
    *class = (struct ovsdb_idl_class) { .database = xstrdup(database),
                                        .tables = tables,
                                        .n_tables = n_tables };
    return class;
}

static const struct ovsdb_idl_column *columns[N_OVS_COLUMNS];

const struct ovsdb_idl_class *
ovs_class(void)
{
    /* Made once, on the OVSDB thread, before its first IDL. */
    static const struct ovsdb_idl_class *class;
    if (!class) {
        class = schema_make("Open_vSwitch", table_words, N_OVS_TABLES,
                            column_words, N_OVS_COLUMNS, columns);
    }
    return class;
}

const struct ovsdb_idl_table_class *
ovs_table(enum ovs_table t)
{
    return &ovs_class()->tables[t];
}

const struct ovsdb_idl_column *
ovs_column(enum ovs_column c)
{
    ovs_class();
    return columns[c];
}
