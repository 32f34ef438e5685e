/* collector/store/view.h -- what a query sees: a connection to DuckDB, and the
 * blocks that may have rows of its time range, as they are when it begins. */
#ifndef COLLECTOR_STORE_VIEW_H
#define COLLECTOR_STORE_VIEW_H 1

#include <duckdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/store/schema.h"

struct store;
struct segblock;
struct segment;

struct view_block {
    struct segblock *segblock;  /* A reference. */
    struct segment *segment;
};

struct store_view {
    struct store *store;
    duckdb_connection conn;
    struct segment **segments;  /* Pinned. */
    size_t n_segments;
    struct view_block *blocks;  /* In order of arrival. */
    size_t n_blocks;
    unsigned n_unreadable;      /* Segments left out: they are damaged. */
};

/* A view of the rows whose flow_end is in [from_us, to_us); rows of other times
 * are in it, too.  Returns 0, or a negative errno with the reason in
 * 'error'. */
int store_view_open(struct store *, int64_t from_us, int64_t to_us,
                    struct store_view *, char *error, size_t size);
void store_view_close(struct store_view *);

/* What the view's blocks say of themselves: times of their first and last flow,
 * and how many there are.  False: there are no blocks. */
bool store_view_span(const struct store_view *, int64_t *first_us,
                     int64_t *last_us, uint64_t *rows);

/* The store must replace its engine: the query should give up soon. */
bool store_view_broken(const struct store_view *);
/* Tells the store what DuckDB said where a statement failed. */
void store_view_failed(struct store_view *, const char *error);

/* The hours in which stored flows arrived, and the ones after them (a segment's
 * last batch may reach into it), ascending; the caller frees the list. */
size_t store_hours(struct store *, int64_t **list);

#endif /* collector/store/view.h */
