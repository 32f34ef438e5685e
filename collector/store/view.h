/* collector/store/view.h -- what a query sees: a connection and the segments
 * that may hold rows of its time range, attached for as long as it lasts. */
#ifndef COLLECTOR_STORE_VIEW_H
#define COLLECTOR_STORE_VIEW_H 1

#include <duckdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/store/schema.h"

struct store;
struct segment;

struct view_segment {
    const char *schema;         /* Its alias in SQL. */
    struct column_set has;
    uint64_t rows;
    struct segment *segment;    /* The store's. */
};

struct store_view {
    struct store *store;
    duckdb_connection conn;
    struct view_segment *segments;
    size_t n_segments;
    unsigned n_unreadable;      /* Left out because they are damaged. */
};

/* A view of the rows whose flow_end is in [from_us, to_us).  Returns 0, or a
 * negative errno with the reason in 'error'. */
int store_view_open(struct store *, int64_t from_us, int64_t to_us,
                    struct store_view *, char *error, size_t size);
void store_view_close(struct store_view *);

/* The store must replace its engine: the query should give up soon. */
bool store_view_broken(const struct store_view *);

#endif /* collector/store/view.h */
