/* collector/store/schema.h -- the column table as DuckDB tables, and batches
 * as DuckDB chunks.
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

#define SCHEMA_VERSION 1

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

/* Turns batches into chunks, translating dictionary ids into those of the
 * current segment. */
struct chunk_maker;

struct chunk_maker *chunk_maker_create(struct dict *);
void chunk_maker_destroy(struct chunk_maker *);

/* Forgets all names: another segment, or a transaction failed. */
void chunk_maker_reset(struct chunk_maker *);
/* Learns the names that segment 'alias' has.  0 or -EIO. */
int chunk_maker_load(struct chunk_maker *, duckdb_connection,
                     const char *alias, char *error, size_t size);
/* The chunk of a batch, borrowed until the next call; '*min' and '*max' are
 * widened to its flow_end.  NULL if out of memory. */
duckdb_data_chunk chunk_maker_fill(struct chunk_maker *, struct flow_batch *,
                                   int64_t *min, int64_t *max);
/* Appends the names that chunks used for the first time since the last call.
 * 0 or -EIO. */
int chunk_maker_save_names(struct chunk_maker *, duckdb_connection,
                           const char *alias, char *error, size_t size);

#endif /* collector/store/schema.h */
