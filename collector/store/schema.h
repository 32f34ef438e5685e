/* collector/store/schema.h -- the column table in DuckDB's types.
 *
 *     TIME  TIMESTAMP         ADDR  UHUGEINT, the 128 bits as a number
 *     MAC   UBIGINT           NAME  UINTEGER, an id of a table of names; of a
 *     ENUM  UTINYINT                scan the text, VARCHAR
 *     BITS  UINTEGER          BOOL  BOOLEAN */
#ifndef COLLECTOR_SCHEMA_H
#define COLLECTOR_SCHEMA_H 1

#include <duckdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/column.h"

/* DuckDB's type of a column, and its name in SQL. */
duckdb_type schema_type(enum column_type);
const char *schema_sql_type(enum column_type);

/* DuckDB's 128-bit numbers. */
duckdb_uhugeint schema_from_addr(const struct addr *);
struct addr schema_to_addr(duckdb_uhugeint);

#endif /* collector/store/schema.h */
