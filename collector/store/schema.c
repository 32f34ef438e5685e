#include <config.h>

#include "collector/store/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dict.h"

/* Times outside of this make no sense and some are special to DuckDB
 * (infinity): 1970 to 9999. */
#define TIME_LAST_US INT64_C(253402300799999999)

#define LOCAL_UNKNOWN UINT32_MAX

static const struct {
    duckdb_type type;
    const char *sql;
} sql_types[N_COLUMN_TYPES] = {
    [COLUMN_T_U8] = { DUCKDB_TYPE_UTINYINT, "UTINYINT" },
    [COLUMN_T_U16] = { DUCKDB_TYPE_USMALLINT, "USMALLINT" },
    [COLUMN_T_U32] = { DUCKDB_TYPE_UINTEGER, "UINTEGER" },
    [COLUMN_T_U64] = { DUCKDB_TYPE_UBIGINT, "UBIGINT" },
    [COLUMN_T_BOOL] = { DUCKDB_TYPE_BOOLEAN, "BOOLEAN" },
    [COLUMN_T_TIME] = { DUCKDB_TYPE_TIMESTAMP, "TIMESTAMP" },
    [COLUMN_T_ADDR] = { DUCKDB_TYPE_UHUGEINT, "UHUGEINT" },
    [COLUMN_T_MAC] = { DUCKDB_TYPE_UBIGINT, "UBIGINT" },
    [COLUMN_T_NAME] = { DUCKDB_TYPE_UINTEGER, "UINTEGER" },
    [COLUMN_T_ENUM] = { DUCKDB_TYPE_UTINYINT, "UTINYINT" },
    [COLUMN_T_BITS] = { DUCKDB_TYPE_UINTEGER, "UINTEGER" },
};

duckdb_type
schema_type(enum column_type type)
{
    return sql_types[type].type;
}

const char *
schema_sql_type(enum column_type type)
{
    return sql_types[type].sql;
}

char *
schema_create_sql(const char *alias, int64_t created_us)
{
    char *sql = NULL;
    size_t size;
    FILE *f = open_memstream(&sql, &size);
    if (!f) {
        return NULL;
    }
    fprintf(f, "CREATE TABLE %s.main.meta (key VARCHAR, value BIGINT);\n"
            "INSERT INTO %s.main.meta VALUES ('schema_version', %d), "
            "('created_us', %" PRId64 ");\n"
            "CREATE TABLE %s.main.names (id UINTEGER, text VARCHAR);\n"
            "CREATE TABLE %s.main.shapes (number UINTEGER, name VARCHAR, "
            "kind UTINYINT, value UBIGINT);\n"
            "CREATE VIEW %s.main.flows AS SELECT ", alias, alias,
            SCHEMA_VERSION, created_us, alias, alias, alias);
    /* No rows yet, so no table: each column is null. */
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        fprintf(f, "%sNULL::%s AS \"%s\"", i ? ", " : "",
                schema_sql_type(columns[i].type), columns[i].name);
    }
    fputs(" WHERE FALSE;\n", f);
    return fclose(f) ? (free(sql), NULL) : sql;
}

int
schema_read(duckdb_connection conn, const char *alias,
            struct column_set *set, char *error, size_t size)
{
    char sql[128];
    duckdb_prepared_statement st;

    memset(set, 0, sizeof *set);
    snprintf(sql, sizeof sql, "SELECT * FROM %s.main.flows", alias);
    if (duckdb_prepare(conn, sql, &st) != DuckDBSuccess) {
        const char *why = duckdb_prepare_error(st);
        snprintf(error, size, "%s", why ? why : "cannot read the schema");
        duckdb_destroy_prepare(&st);
        return -EIO;
    }
    idx_t n = duckdb_prepared_statement_column_count(st);
    for (idx_t i = 0; i < n; i++) {
        const char *name = duckdb_prepared_statement_column_name(st, i);
        const struct column *c = name ? column_by_name(name) : NULL;
        if (c && duckdb_prepared_statement_column_type(st, i)
                 == schema_type(c->type)) {
            column_set_add(set, (unsigned) (c - columns));
        }
        duckdb_free((void *) name);
    }
    duckdb_destroy_prepare(&st);
    return 0;
}

bool
schema_complete(const struct column_set *set)
{
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        if (!column_set_has(set, i)) {
            return false;
        }
    }
    return true;
}

static uint64_t
load_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "load_be64() and store_be64() swap");

static void
store_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

duckdb_uhugeint
schema_from_addr(const struct addr *a)
{
    return (duckdb_uhugeint) { .upper = load_be64(a->b),
                               .lower = load_be64(a->b + 8) };
}

struct addr
schema_to_addr(duckdb_uhugeint v)
{
    struct addr a;
    store_be64(a.b, v.upper);
    store_be64(a.b + 8, v.lower);
    return a;
}

int64_t
schema_clamp_time(int64_t us)
{
    return us < 0 ? 0 : us > TIME_LAST_US ? TIME_LAST_US : us;
}

/* Names. */

struct name_map {
    struct dict *dict;
    duckdb_data_chunk chunk;    /* Rows of "names". */
    uint32_t *local;            /* Dictionary id to the segment's. */
    size_t n_local;
    uint32_t next;              /* Next id of the segment. */
    uint32_t *fresh;            /* Dictionary ids not saved yet. */
    size_t n_fresh, allocated_fresh;
};

duckdb_data_chunk
schema_create_chunk(const duckdb_type *types, size_t n)
{
    duckdb_logical_type logical[N_COLUMNS];
    for (size_t i = 0; i < n; i++) {
        logical[i] = duckdb_create_logical_type(types[i]);
    }
    duckdb_data_chunk chunk = duckdb_create_data_chunk(logical, n);
    for (size_t i = 0; i < n; i++) {
        duckdb_destroy_logical_type(&logical[i]);
    }
    return chunk;
}

struct name_map *
name_map_create(struct dict *dict)
{
    static const duckdb_type types[] = { DUCKDB_TYPE_UINTEGER,
                                         DUCKDB_TYPE_VARCHAR };
    struct name_map *m = calloc(1, sizeof *m);
    if (!m) {
        return NULL;
    }
    m->dict = dict;
    m->chunk = schema_create_chunk(types, 2);
    if (!m->chunk || duckdb_vector_size() < BATCH_ROWS) {
        name_map_destroy(m);
        return NULL;
    }
    return m;
}

void
name_map_destroy(struct name_map *m)
{
    if (m) {
        duckdb_destroy_data_chunk(&m->chunk);
        free(m->local);
        free(m->fresh);
        free(m);
    }
}

void
name_map_reset(struct name_map *m)
{
    for (size_t i = 0; i < m->n_local; i++) {
        m->local[i] = LOCAL_UNKNOWN;
    }
    m->next = 1;
    m->n_fresh = 0;
}

static bool
reserve_local(struct name_map *m, uint32_t id)
{
    if (id < m->n_local) {
        return true;
    }
    size_t n = m->n_local ? m->n_local : 256;
    while (n <= id) {
        n *= 2;
    }
    uint32_t *p = realloc(m->local, n * sizeof *p);
    if (!p) {
        return false;
    }
    for (size_t i = m->n_local; i < n; i++) {
        p[i] = LOCAL_UNKNOWN;
    }
    m->local = p;
    m->n_local = n;
    return true;
}

uint32_t
name_map_local(struct name_map *m, uint32_t id)
{
    if (id < m->n_local && m->local[id] != LOCAL_UNKNOWN) {
        return m->local[id];
    }
    if (id >= dict_count(m->dict) || !reserve_local(m, id)) {
        return 0;
    }
    if (m->n_fresh == m->allocated_fresh) {
        size_t n = m->allocated_fresh ? m->allocated_fresh * 2 : 64;
        uint32_t *p = realloc(m->fresh, n * sizeof *p);
        if (!p) {
            return 0;
        }
        m->fresh = p;
        m->allocated_fresh = n;
    }
    m->fresh[m->n_fresh++] = id;
    return m->local[id] = m->next++;
}

static void
load_chunk(struct name_map *m, duckdb_data_chunk chunk)
{
    idx_t n = duckdb_data_chunk_get_size(chunk);
    duckdb_vector texts = duckdb_data_chunk_get_vector(chunk, 1);
    const uint32_t *ids = duckdb_vector_get_data(
        duckdb_data_chunk_get_vector(chunk, 0));
    duckdb_string_t *text = duckdb_vector_get_data(texts);
    uint64_t *valid = duckdb_vector_get_validity(texts);

    for (idx_t i = 0; i < n; i++) {
        if (ids[i] >= m->next) {
            m->next = ids[i] + 1;
        }
        if (valid && !duckdb_validity_row_is_valid(valid, i)) {
            continue;
        }
        uint32_t id = dict_intern(m->dict, duckdb_string_t_data(&text[i]),
                                  duckdb_string_t_length(text[i]));
        if (reserve_local(m, id)) {
            m->local[id] = ids[i];
        }
    }
}

int
name_map_load(struct name_map *m, duckdb_connection conn,
                 const char *alias, char *error, size_t size)
{
    char sql[128];
    duckdb_result r;
    duckdb_data_chunk chunk;

    name_map_reset(m);
    snprintf(sql, sizeof sql, "SELECT id, text FROM %s.main.names", alias);
    if (duckdb_query(conn, sql, &r) != DuckDBSuccess) {
        snprintf(error, size, "%s", duckdb_result_error(&r));
        duckdb_destroy_result(&r);
        return -EIO;
    }
    while ((chunk = duckdb_fetch_chunk(r))) {
        load_chunk(m, chunk);
        duckdb_destroy_data_chunk(&chunk);
    }
    duckdb_destroy_result(&r);
    return 0;
}

/* DuckDB takes valid UTF-8 only (RFC 3629); every byte that is not becomes a
 * question mark.  Returns a copy to free. */
static char *
clean_utf8(const char *text)
{
    char *copy = strdup(text);
    uint8_t *p = (uint8_t *) copy;

    while (p && *p) {
        unsigned more = *p < 0x80 ? 0 : *p >= 0xc2 && *p <= 0xdf ? 1
                        : (*p & 0xf0) == 0xe0 ? 2
                        : *p >= 0xf0 && *p <= 0xf4 ? 3 : 4;
        bool good = more < 4;
        for (unsigned i = 1; good && i <= more; i++) {
            good = (p[i] & 0xc0) == 0x80;       /* Stops at the NUL. */
        }
        if (good && more >= 2) {
            /* Overlong, surrogate, or beyond U+10FFFF. */
            good = !(*p == 0xe0 && p[1] < 0xa0)
                   && !(*p == 0xed && p[1] >= 0xa0)
                   && !(*p == 0xf0 && p[1] < 0x90)
                   && !(*p == 0xf4 && p[1] >= 0x90);
        }
        if (!good) {
            *p = '?';
            more = 0;
        }
        p += more + 1;
    }
    return copy;
}

int
name_map_save(struct name_map *m, duckdb_connection conn,
                       const char *alias, char *error, size_t size)
{
    duckdb_appender a = NULL;
    bool ok = true;

    if (!m->n_fresh) {
        return 0;
    }
    ok = duckdb_appender_create_ext(conn, alias, "main", "names", &a)
         == DuckDBSuccess;
    for (size_t i = 0; ok && i < m->n_fresh; ) {
        duckdb_data_chunk_reset(m->chunk);
        duckdb_vector texts = duckdb_data_chunk_get_vector(m->chunk, 1);
        uint32_t *ids = duckdb_vector_get_data(
            duckdb_data_chunk_get_vector(m->chunk, 0));
        uint32_t n = 0;
        for (; n < BATCH_ROWS && i < m->n_fresh; n++, i++) {
            char *text = clean_utf8(dict_text(m->dict, m->fresh[i]));
            ids[n] = m->local[m->fresh[i]];
            duckdb_vector_assign_string_element(texts, n, text ? text : "");
            free(text);
        }
        duckdb_data_chunk_set_size(m->chunk, n);
        ok = duckdb_append_data_chunk(a, m->chunk) == DuckDBSuccess;
    }
    ok = ok && duckdb_appender_close(a) == DuckDBSuccess;
    if (!ok) {
        const char *why = a ? duckdb_appender_error(a) : NULL;
        snprintf(error, size, "%s", why ? why : "cannot append names");
    } else {
        m->n_fresh = 0;
    }
    duckdb_appender_destroy(&a);
    return ok ? 0 : -EIO;
}
