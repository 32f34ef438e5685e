/* collector/store/tables.h -- the tables of the open segment, and how batches
 * get into them.
 *
 * Rows are put by what they say (collector/store/shape.h) into tables f1, f2,
 * ...; the view "flows" puts them together again.  The writer's only. */
#ifndef COLLECTOR_TABLES_H
#define COLLECTOR_TABLES_H 1

#include <duckdb.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/store/schema.h"
#include "collector/store/shape.h"

struct tables;

/* Rows of a row group.  A transaction that brings at least so many to a table
 * writes them to the file directly, and not through the log.  A column of 32
 * bits that cannot be compressed just fits a block. */
#define TABLE_GROUP_ROWS (7 * 2048)
/* Blocks of a segment's file, bytes: what a transaction does not fill of its
 * last one is lost. */
#define TABLE_BLOCK_BYTES 65536

struct tables *tables_create(struct name_map *);
void tables_destroy(struct tables *);

/* Forgets all: another segment. */
void tables_reset(struct tables *);
/* Learns which tables segment 'alias' has, and its names; makes it the default
 * of the connection.  0 or -EIO. */
int tables_load(struct tables *, duckdb_connection, const char *alias,
                char *error, size_t size);

/* Which rows of one kind, counted over all batches of a list. */
struct row_range {
    uint64_t skip, take;
};

/* Appends rows of the first 'n' batches of a list, in the connection's
 * transaction, and the names that they use; widens '*min' and '*max' to their
 * flow_end.  If it fails the transaction must be rolled back and the tables be
 * loaded again. */
int tables_append(struct tables *, duckdb_connection, const char *alias,
                  const struct flow_batch *first, size_t n,
                  const struct row_range[N_ROW_KINDS], int64_t *min,
                  int64_t *max, char *error, size_t size);

#endif /* collector/store/tables.h */
