/* collector/store/schema.h -- the column table in DuckDB's types, and names.
 *
 *     TIME  TIMESTAMP         ADDR  UHUGEINT, the 128 bits as a number
 *     MAC   UBIGINT           NAME  UINTEGER, an id of the segment's "names"
 *     ENUM  UTINYINT          BITS  UINTEGER          BOOL  BOOLEAN
 *
 * Ids of names mean something within one segment only: each is complete in
 * itself and can be read by anything that reads DuckDB files. */
#ifndef COLLECTOR_SCHEMA_H
#define COLLECTOR_SCHEMA_H 1

#include <duckdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/batch.h"
#include "lib/column.h"

struct dict;

/* 1 had a table "flows" with every column; it is still read. */
#define SCHEMA_VERSION 2

/* A set of columns. */
struct column_set {
    uint64_t bits[(N_COLUMNS + 63) / 64];
};

static inline bool
column_set_has(const struct column_set *s, unsigned id)
{
    return s->bits[id / 64] >> id % 64 & 1;
}

static inline void
column_set_add(struct column_set *s, unsigned id)
{
    s->bits[id / 64] |= UINT64_C(1) << id % 64;
}

/* DuckDB's type of a column, and its name in SQL. */
duckdb_type schema_type(enum column_type);
const char *schema_sql_type(enum column_type);

/* The CREATE TABLE statements of a segment attached as 'alias'; the caller
 * frees the text. */
char *schema_create_sql(const char *alias, int64_t created_us);

/* Which of our columns the table "flows" of segment 'alias' has, with our
 * type.  Returns 0 or -EIO with the reason. */
int schema_read(duckdb_connection, const char *alias, struct column_set *,
                char *error, size_t size);
bool schema_complete(const struct column_set *);

/* DuckDB's 128-bit numbers. */
duckdb_uhugeint schema_from_addr(const struct addr *);
struct addr schema_to_addr(duckdb_uhugeint);

/* What DuckDB can have as a time. */
int64_t schema_clamp_time(int64_t us);

/* A chunk of columns of these types; NULL if out of memory. */
duckdb_data_chunk schema_create_chunk(const duckdb_type *, size_t n);

/* Dictionary ids to those of the open segment's "names". */
struct name_map;

struct name_map *name_map_create(struct dict *);
void name_map_destroy(struct name_map *);

/* Forgets all names: another segment, or a transaction failed. */
void name_map_reset(struct name_map *);
/* Learns the names that segment 'alias' has.  0 or -EIO. */
int name_map_load(struct name_map *, duckdb_connection, const char *alias,
                  char *error, size_t size);
/* The segment's id for a dictionary id, a new one if need be.  0, which stands
 * for no name, if out of memory. */
uint32_t name_map_local(struct name_map *, uint32_t id);
/* Appends the names that came new since the last call.  0 or -EIO. */
int name_map_save(struct name_map *, duckdb_connection, const char *alias,
                  char *error, size_t size);

#endif /* collector/store/schema.h */
