/* collector/query/insert.h -- a query's answer goes into a table. */
#ifndef COLLECTOR_INSERT_H
#define COLLECTOR_INSERT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct query;
struct store_view;

/* Runs 'before', the query over the flows of a view, 'after' as one statement
 * on the view's connection, and waits; until '*stop' is true.  0 and, unless
 * NULL, how many rows went in; or a negative errno with the reason. */
int query_insert(struct store_view *, const struct query *,
                 const char *before, const char *after,
                 const _Atomic bool *stop, uint64_t *n_rows, char *error,
                 size_t size);

#endif /* collector/query/insert.h */
