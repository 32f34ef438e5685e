#include <config.h>

#include "collector/store/tables.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/store/store_p.h"

/* Tables of a segment.  The last but one takes what all before it have, the
 * last one everything. */
#define MAX_TABLES 8
/* Fewer rows than that show nothing about the next ones. */
#define SHAPE_ROWS 4096
/* A table of its own is made for rows that would cost less there: so many of
 * 16 parts. */
#define WORTH_16THS 14

struct table {
    struct shape shape;
    duckdb_data_chunk chunk;    /* Stored columns, in the table's order. */
    uint32_t n;                 /* Rows in it. */
};

struct tables {
    struct name_map *names;
    struct table table[MAX_TABLES];
    unsigned n_tables;
    struct row_set rows[N_ROW_KINDS];   /* Of the batch at hand. */
};

struct tables *
tables_create(struct name_map *names)
{
    struct tables *t = calloc(1, sizeof *t);
    if (t) {
        t->names = names;
    }
    return t;
}

void
tables_reset(struct tables *t)
{
    for (unsigned i = 0; i < t->n_tables; i++) {
        duckdb_destroy_data_chunk(&t->table[i].chunk);
    }
    t->n_tables = 0;
}

void
tables_destroy(struct tables *t)
{
    if (t) {
        tables_reset(t);
        free(t);
    }
}

/* Makes room for one more table of this shape. */
static struct table *
add_table(struct tables *t, const struct shape *shape)
{
    duckdb_type types[N_COLUMNS];
    size_t n = 0;

    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (shape_stored(shape, id)) {
            types[n++] = shape->column[id].kind == SHAPE_NARROW
                         ? DUCKDB_TYPE_UINTEGER
                         : schema_type(columns[id].type);
        }
    }
    struct table *table = &t->table[t->n_tables];
    *table = (struct table) { .shape = *shape };
    table->chunk = schema_create_chunk(types, n);
    if (!table->chunk) {
        return NULL;
    }
    t->n_tables++;
    return table;
}

/* Segments. */

/* One row of "shapes": table, column, kind, value. */
static void
load_shape_row(struct shape *shapes, unsigned *n, uint32_t number,
               const char *name, uint8_t kind, uint64_t value)
{
    const struct column *c = column_by_name(name);
    if (!c || kind >= N_SHAPE_KINDS || number < 1 || number > MAX_TABLES) {
        return;
    }
    shapes[number - 1].column[c - columns] = (struct shape_column) {
        .kind = kind,
        .wide = kind == SHAPE_WIDE || kind == SHAPE_TIMES
                || !shape_has_narrow((enum column_id) (c - columns))
                || (kind == SHAPE_CONST && value > UINT32_MAX),
        .value = value,
    };
    *n = number > *n ? number : *n;
}

static int
load_shapes(struct shape *shapes, unsigned *n, duckdb_connection conn,
            const char *alias, char *error, size_t size)
{
    char sql[160];
    duckdb_result r;
    duckdb_data_chunk chunk;

    snprintf(sql, sizeof sql, "SELECT number, kind, value, name FROM "
             "%s.main.shapes", alias);
    if (duckdb_query(conn, sql, &r) != DuckDBSuccess) {
        snprintf(error, size, "%s", duckdb_result_error(&r));
        duckdb_destroy_result(&r);
        return -EIO;
    }
    while ((chunk = duckdb_fetch_chunk(r))) {
        void *data[4];
        for (unsigned i = 0; i < 4; i++) {
            data[i] = duckdb_vector_get_data(
                duckdb_data_chunk_get_vector(chunk, i));
        }
        for (idx_t i = 0; i < duckdb_data_chunk_get_size(chunk); i++) {
            duckdb_string_t *text = (duckdb_string_t *) data[3] + i;
            char name[64];
            snprintf(name, sizeof name, "%.*s",
                     (int) duckdb_string_t_length(*text),
                     duckdb_string_t_data(text));
            load_shape_row(shapes, n, ((uint32_t *) data[0])[i], name,
                           ((uint8_t *) data[1])[i],
                           ((uint64_t *) data[2])[i]);
        }
        duckdb_destroy_data_chunk(&chunk);
    }
    duckdb_destroy_result(&r);
    return 0;
}

int
tables_load(struct tables *t, duckdb_connection conn, const char *alias,
            char *error, size_t size)
{
    struct shape *shapes = calloc(MAX_TABLES, sizeof *shapes);
    unsigned n = 0;

    tables_reset(t);
    int retval = shapes ? engine_run(conn, error, size, "USE %s.main", alias)
                        : -ENOMEM;
    if (!retval) {
        retval = load_shapes(shapes, &n, conn, alias, error, size);
    }
    for (unsigned i = 0; !retval && i < n; i++) {
        if (!add_table(t, &shapes[i])) {
            retval = -ENOMEM;
        }
    }
    free(shapes);
    return retval ? retval : name_map_load(t->names, conn, alias, error,
                                           size);
}

/* Choosing a table. */

/* The statements that make table number 'n_tables' known to the segment. */
static char *
table_sql(const struct tables *t)
{
    char *sql = NULL;
    size_t size;
    const struct shape *s = &t->table[t->n_tables - 1].shape;
    FILE *f = open_memstream(&sql, &size);
    if (!f) {
        return NULL;
    }
    fprintf(f, "CREATE TABLE main.f%u (", t->n_tables);
    shape_put_columns(f, s);
    fputs("); INSERT INTO main.shapes VALUES ", f);
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        fprintf(f, "%s(%u, '%s', %u, %" PRIu64 ")", id ? ", " : "",
                t->n_tables, columns[id].name, s->column[id].kind,
                s->column[id].value);
    }
    fputs("; CREATE OR REPLACE VIEW main.flows AS ", f);
    for (unsigned i = 0; i < t->n_tables; i++) {
        fputs(i ? " UNION ALL SELECT " : "SELECT ", f);
        shape_put_select(f, &t->table[i].shape);
        fprintf(f, " FROM main.f%u", i + 1);
    }
    return fclose(f) ? (free(sql), NULL) : sql;
}

/* The shape of a new table for rows that need 'need'. */
static struct shape
new_shape(const struct tables *t, const struct shape *need)
{
    struct shape s = *need;

    /* flow_end is always there: min and max of it find segments. */
    s.column[COL_flow_end] = (struct shape_column) {
        .kind = SHAPE_WIDE, .wide = true };
    if (t->n_tables == MAX_TABLES - 1) {
        for (unsigned id = 0; id < N_COLUMNS; id++) {
            s.column[id] = (struct shape_column) { .kind = SHAPE_WIDE,
                                                   .wide = true };
        }
    } else if (t->n_tables == MAX_TABLES - 2) {
        for (unsigned i = 0; i < t->n_tables; i++) {
            shape_join(&s, &t->table[i].shape);
        }
    }
    return s;
}

/* The table for rows that need 'need', made if there is none or it saves
 * enough. */
static int
choose_table(struct tables *t, struct shape *need, uint64_t rows,
             duckdb_connection conn, struct table **table, char *error,
             size_t size)
{
    struct table *best = NULL;
    unsigned cost = UINT32_MAX;

    for (unsigned i = 0; i < t->n_tables; i++) {
        unsigned c = shape_cost(&t->table[i].shape);
        if (c < cost && shape_covers(&t->table[i].shape, need)) {
            best = &t->table[i];
            cost = c;
        }
    }
    if (rows < SHAPE_ROWS) {
        shape_generalise(need);
    }
    *table = best;
    if (best && (rows < SHAPE_ROWS || t->n_tables >= MAX_TABLES - 2
                 || shape_cost(need) * 16 >= cost * WORTH_16THS)) {
        return 0;
    }
    struct shape shape = new_shape(t, need);
    *table = add_table(t, &shape);
    char *sql = *table ? table_sql(t) : NULL;
    int retval = sql ? engine_run(conn, error, size, "%s", sql) : -ENOMEM;
    free(sql);
    return retval;
}

/* Filling chunks: values of the chosen rows from a batch to a vector, from
 * its row 'at' on. */

struct filling {
    struct tables *t;
    const struct flow_batch *b;
    const uint16_t *index;
    uint32_t n, at;
    enum column_id id;
    const void *from;
};

#define FILL(NAME, TO, FROM, EXPRESSION)                        \
    static void                                                 \
    fill_##NAME(const struct filling *x, void *vector)          \
    {                                                           \
        TO *to = (TO *) vector + x->at;                         \
        const FROM *from = x->from;                             \
        for (uint32_t i = 0; i < x->n; i++) {                   \
            const FROM *v = &from[x->index[i]];                 \
            to[i] = (EXPRESSION);                               \
        }                                                       \
    }

FILL(8, uint8_t, uint8_t, *v)
FILL(16, uint16_t, uint16_t, *v)
FILL(32, uint32_t, uint32_t, *v)
FILL(64, uint64_t, uint64_t, *v)
FILL(bool, bool, uint8_t, *v != 0)
FILL(time, int64_t, int64_t, schema_clamp_time(*v))
FILL(mac, uint64_t, uint64_t, *v & UINT64_C(0xffffffffffff))
FILL(addr, duckdb_uhugeint, struct addr, schema_from_addr(v))
FILL(narrow_64, uint32_t, uint64_t, (uint32_t) *v)
FILL(narrow_addr, uint32_t, struct addr,
     (uint32_t) schema_from_addr(v).lower)

static void
fill_name(const struct filling *x, void *vector)
{
    uint32_t *to = (uint32_t *) vector + x->at;
    const uint32_t *from = x->from;
    uint32_t last = UINT32_MAX, last_local = 0;

    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t row = x->index[i];
        if (!batch_is_valid(x->b, x->id, row)) {
            to[i] = 0;
            continue;
        }
        if (from[row] != last) {
            last = from[row];
            last_local = name_map_local(x->t->names, last);
        }
        to[i] = last_local;
    }
}

typedef void fill_fn(const struct filling *, void *vector);

static fill_fn *const fills[N_COLUMN_TYPES] = {
    [COLUMN_T_U8] = fill_8, [COLUMN_T_U16] = fill_16,
    [COLUMN_T_U32] = fill_32, [COLUMN_T_U64] = fill_64,
    [COLUMN_T_BOOL] = fill_bool, [COLUMN_T_TIME] = fill_time,
    [COLUMN_T_ADDR] = fill_addr, [COLUMN_T_MAC] = fill_mac,
    [COLUMN_T_NAME] = fill_name, [COLUMN_T_ENUM] = fill_8,
    [COLUMN_T_BITS] = fill_32,
};

static bool
all_valid(const struct flow_batch *b, enum column_id id)
{
    uint32_t i = 0;
    for (; i < b->n / 64; i++) {
        if (b->valid[id][i] != UINT64_MAX) {
            return false;
        }
    }
    uint64_t rest = (UINT64_C(1) << b->n % 64) - 1;
    return !rest || !(~b->valid[id][i] & rest);
}

/* A vector has a mask only once one of its values is null: without it DuckDB
 * looks at none. */
static void
fill_validity(const struct filling *x, duckdb_vector v)
{
    const uint64_t *valid = x->b->valid[x->id];
    uint64_t *mask = NULL;

    if (!(columns[x->id].flags & CF_NULL) || all_valid(x->b, x->id)) {
        return;
    }
    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t row = x->index[i], to = x->at + i;
        if (!(valid[row / 64] >> row % 64 & 1)) {
            if (!mask) {
                duckdb_vector_ensure_validity_writable(v);
                mask = duckdb_vector_get_validity(v);
            }
            mask[to / 64] &= ~(UINT64_C(1) << to % 64);
        }
    }
}

static void
fill_rows(struct tables *t, struct table *table, const struct flow_batch *b,
          const uint16_t *index, uint32_t n)
{
    struct filling x = { .t = t, .b = b, .index = index, .n = n,
                         .at = table->n };
    idx_t i = 0;
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (!shape_stored(&table->shape, id)) {
            continue;
        }
        duckdb_vector v = duckdb_data_chunk_get_vector(table->chunk, i++);
        enum column_type type = columns[id].type;
        bool narrow = table->shape.column[id].kind == SHAPE_NARROW;
        fill_fn *fill = !narrow ? fills[type]
                        : type == COLUMN_T_ADDR ? fill_narrow_addr
                        : fill_narrow_64;
        x.id = id;
        x.from = batch_column((struct flow_batch *) b, id);
        fill(&x, duckdb_vector_get_data(v));
        fill_validity(&x, v);
    }
    table->n += n;
}

/* Appending. */

static bool
flush_chunk(struct table *table, duckdb_appender a)
{
    bool ok = true;
    if (table->n) {
        duckdb_data_chunk_set_size(table->chunk, table->n);
        ok = duckdb_append_data_chunk(a, table->chunk) == DuckDBSuccess;
    }
    duckdb_data_chunk_reset(table->chunk);
    table->n = 0;
    return ok;
}

static bool
append_rows(struct tables *t, struct table *table, duckdb_appender a,
            const struct flow_batch *b, const uint16_t *index, uint32_t n)
{
    bool ok = true;
    while (ok && n) {
        uint32_t room = BATCH_ROWS - table->n;
        uint32_t now = n < room ? n : room;
        fill_rows(t, table, b, index, now);
        index += now;
        n -= now;
        if (table->n == BATCH_ROWS) {
            ok = flush_chunk(table, a);
        }
    }
    return ok;
}

/* One transaction's way to a table. */
struct appending {
    struct row_range range;     /* What is left to do. */
    struct shape need;
    struct table *table;
    duckdb_appender appender;
};

/* Cuts a batch's rows of one kind to those that are wanted. */
static void
cut(struct row_range *range, const struct row_set *rows, uint32_t *from,
    uint32_t *n)
{
    *from = range->skip < rows->n ? (uint32_t) range->skip : rows->n;
    *n = rows->n - *from;
    *n = range->take < *n ? (uint32_t) range->take : *n;
    range->skip -= *from;
    range->take -= *n;
}

/* What the rows of each kind need. */
static void
learn(struct tables *t, const struct flow_batch *b, size_t n,
      struct appending *kinds)
{
    struct row_range range[N_ROW_KINDS];
    bool first[N_ROW_KINDS];

    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        range[k] = kinds[k].range;
        first[k] = true;
    }
    for (size_t i = 0; i < n; i++, b = b->next) {
        row_sets_make(b, t->rows);
        for (unsigned k = 0; k < N_ROW_KINDS; k++) {
            uint32_t from, count;
            cut(&range[k], &t->rows[k], &from, &count);
            if (count) {
                /* All rows of the batch: more than needed, at worst. */
                shape_learn(&kinds[k].need, b, &t->rows[k], first[k]);
                first[k] = false;
            }
        }
    }
}

static int
open_table(struct tables *t, struct appending *x, duckdb_connection conn,
           const char *alias, char *error, size_t size)
{
    char name[16];
    int retval = choose_table(t, &x->need, x->range.take, conn, &x->table,
                              error, size);
    if (retval) {
        return retval;
    }
    x->table->n = 0;
    duckdb_data_chunk_reset(x->table->chunk);
    snprintf(name, sizeof name, "f%d", (int) (x->table - t->table) + 1);
    return duckdb_appender_create_ext(conn, alias, "main", name,
                                      &x->appender) == DuckDBSuccess
           ? 0 : -EIO;
}

static bool
append_batch(struct tables *t, struct appending *kinds,
             const struct flow_batch *b, int64_t *min, int64_t *max)
{
    bool ok = true;

    row_sets_make(b, t->rows);
    for (unsigned k = 0; ok && k < N_ROW_KINDS; k++) {
        struct appending *x = &kinds[k];
        const struct row_set *rows = &t->rows[k];
        uint32_t from, n;
        cut(&x->range, rows, &from, &n);
        for (uint32_t i = from; i < from + n; i++) {
            int64_t end = schema_clamp_time(b->flow_end[rows->index[i]]);
            *min = end < *min ? end : *min;
            *max = end > *max ? end : *max;
        }
        ok = append_rows(t, x->table, x->appender, b, rows->index + from, n);
    }
    return ok;
}

/* Appends what is left; after a failure says why. */
static int
close_table(struct appending *x, int retval, char *error, size_t size)
{
    if (x->appender) {
        if (!retval && (!flush_chunk(x->table, x->appender)
                        || duckdb_appender_close(x->appender)
                           != DuckDBSuccess)) {
            retval = -EIO;
        }
        const char *why = duckdb_appender_error(x->appender);
        if (retval && !error[0]) {
            snprintf(error, size, "%s", why ? why : "cannot append");
        }
    }
    duckdb_appender_destroy(&x->appender);
    return retval;
}

int
tables_append(struct tables *t, duckdb_connection conn, const char *alias,
              const struct flow_batch *first, size_t n,
              const struct row_range ranges[N_ROW_KINDS], int64_t *min,
              int64_t *max, char *error, size_t size)
{
    struct appending kinds[N_ROW_KINDS];
    const struct flow_batch *b = first;
    int retval = 0;

    memset(kinds, 0, sizeof kinds);
    error[0] = '\0';
    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        kinds[k].range = ranges[k];
    }
    learn(t, first, n, kinds);
    for (unsigned k = 0; !retval && k < N_ROW_KINDS; k++) {
        if (kinds[k].range.take) {
            retval = open_table(t, &kinds[k], conn, alias, error, size);
        }
    }
    bool same = kinds[ROW_V4].table
                && kinds[ROW_V4].table == kinds[ROW_OTHER].table;
    if (same) {
        /* The chunk being filled is the table's: so is the appender. */
        duckdb_appender_destroy(&kinds[ROW_OTHER].appender);
        kinds[ROW_OTHER].appender = kinds[ROW_V4].appender;
    }
    for (size_t i = 0; !retval && i < n; i++, b = b->next) {
        if (!append_batch(t, kinds, b, min, max)) {
            retval = -EIO;
        }
    }
    if (same) {
        kinds[ROW_OTHER].appender = NULL;
    }
    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        retval = close_table(&kinds[k], retval, error, size);
    }
    return retval ? retval
           : name_map_save(t->names, conn, alias, error, size);
}
