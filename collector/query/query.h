/* collector/query/query.h -- questions about stored flows.
 *
 * A query is one structure, compiled to SQL by a dialect.  No text of a client
 * ever becomes SQL: names are looked up in the column table, values are bound.
 * Queries run on a pool of threads, bounded in time, rows and memory. */
#ifndef COLLECTOR_QUERY_H
#define COLLECTOR_QUERY_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/filter/filter.h"
#include "lib/column.h"

struct store;
struct query_pool;

#define QUERY_MAX_BY 16
#define QUERY_MAX_METRICS 16
#define QUERY_MAX_LIMIT 100000

/* What a metric is: a CF_SUM column summed up, or the number of records. */
#define QUERY_METRIC_FLOWS N_COLUMNS

struct query {
    int64_t from_us, to_us;     /* flow_end in [from, to). */
    struct filter *filter;      /* NULL: everything.  Owned. */
    enum column_id by[QUERY_MAX_BY];
    unsigned n_by;
    unsigned metrics[QUERY_MAX_METRICS];  /* column_id or .._METRIC_FLOWS. */
    unsigned n_metrics;
    int order;                  /* Index of an output column, or -1. */
    bool descending;
    uint64_t limit;             /* 1 to QUERY_MAX_LIMIT. */
    int64_t bucket_us;          /* 0: none; else first column is "time". */
    bool all_observations;      /* Else only canonical records. */
    int64_t timeout_ms;
};

/* One value of a result. */
struct query_value {
    bool null;
    union {
        uint64_t u;
        int64_t time_us;
        struct addr addr;
        char *text;             /* NAME columns; owned by the result. */
    };
};

struct query_column {
    const char *name;
    enum column_type type;      /* U64 for metrics, TIME for buckets. */
    const char *unit;
    const struct column *column;        /* NULL for "flows" and "time". */
};

enum query_status { QUERY_OK, QUERY_TIMEOUT, QUERY_CANCELLED, QUERY_BUSY,
                    QUERY_TOO_BIG, QUERY_FAILED };

struct query_result {
    enum query_status status;
    char error[256];
    struct query_column columns[QUERY_MAX_BY + QUERY_MAX_METRICS + 1];
    unsigned n_columns;
    struct query_value *values; /* n_rows * n_columns, row by row. */
    size_t n_rows;
    bool truncated;             /* There were more rows than 'limit'. */
    const char *tier;           /* "raw". */
    unsigned segments;
    uint64_t rows_scanned;
    double elapsed_ms;
};

void query_clear(struct query *);
void query_result_destroy(struct query_result *);

/* The SQL of a query over segments attached as 'schemas', for tests and logs;
 * the caller frees it.  '*n_binds' values are bound in order. */
char *query_sql(const struct query *, const char *const *schemas,
                size_t n_schemas);

struct query_pool *query_pool_create(struct store *, unsigned threads,
                                     unsigned max_queued);
void query_pool_destroy(struct query_pool *);   /* Cancels what runs. */

/* Starts 'q', whose contents it takes over (also on failure).  'done' is
 * called once, on a thread of the pool (or at once, with QUERY_BUSY, or NULL
 * if there is no memory), and owns the result.  Returns an id for
 * query_cancel(), or 0 if the query was refused. */
uint64_t query_start(struct query_pool *, struct query *q,
                     void (*done)(void *aux, struct query_result *),
                     void *aux);
void query_cancel(struct query_pool *, uint64_t id);

#endif /* collector/query/query.h */
