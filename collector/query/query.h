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

struct confine;
struct identity_journal;
struct store;
struct query_pool;

#define QUERY_MAX_BY 16
#define QUERY_MAX_METRICS 16
#define QUERY_MAX_LIMIT 100000
#define QUERY_MAX_COLUMNS (N_COLUMNS + QUERY_MAX_BY + QUERY_MAX_METRICS + 1)

/* What a metric is: a CF_SUM column summed up, or the number of records. */
#define QUERY_METRIC_FLOWS N_COLUMNS

/* How a column is grouped by. */
enum query_form {
    FORM_PLAIN,
    FORM_PREFIX,                /* ADDR: by prefixes of a length. */
    FORM_NAME,                  /* Protocols and ports, shown by name. */
    FORM_LABEL,                 /* Labels: the value of one. */
};

/* What is made of a metric. */
enum query_fn {
    FN_SUM,
    FN_MIN, FN_MAX,             /* Over the records. */
    FN_DISTINCT,                /* Different values; of any key column. */
    FN_P95,                     /* Sums of buckets, 95 % are no larger. */
    FN_SHARE,                   /* Of the total, 0 to 1. */
    FN_PREVIOUS,                /* The sum of the period before. */
    FN_REVERSE,                 /* Of a pair: what the second sent. */
    FN_ERROR,                   /* Half the 95 % confidence interval that
                                 * sampling leaves to a sum. */
};

#define QUERY_V6_LEN 64         /* Of "src_addr/24" for IPv6. */

#define QUERY_MAX_LABEL 256     /* Octets of a label's key. */

struct query_key {
    uint8_t form;               /* enum query_form. */
    bool either;                /* Of either end: the column is the source's,
                                 * and a flow counts for both, or once where
                                 * all such keys are equal. */
    uint8_t v4_len, v6_len;     /* FORM_PREFIX. */
    char label[QUERY_MAX_LABEL];        /* FORM_LABEL: its key. */
};

struct query_calc {
    uint8_t fn;                 /* enum query_fn. */
    bool rate;                  /* A second; bytes as bits. */
};

/* Single records instead of sums: newest first, or oldest first. */
struct query_records {
    bool on, oldest_first;
    bool all;                   /* No limit, in no order. */
    uint64_t skip;              /* Rows not to be told again. */
    enum column_id fields[N_COLUMNS];
    unsigned n_fields;          /* flow_end comes before these. */
};

struct query {
    int64_t from_us, to_us;     /* flow_end in [from, to). */
    struct filter *filter;      /* NULL: everything.  Owned. */
    const struct confine *confine;      /* Who asks sees these tenants alone
                                         * (filter/confine.h); NULL: all. */
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
    /* Told a few times a second how far it is, 0 to 1, on a thread of the pool,
     * before 'done' of query_start(), whose 'aux' it gets.  NULL: nobody. */
    void (*progress)(void *aux, double part, uint64_t rows);

    /* All zeros: keys as they are, sums. */
    struct query_key key[QUERY_MAX_BY];
    struct query_calc calc[QUERY_MAX_METRICS];
    int64_t window_us;          /* What rates divide by; 0: the range. */
    int64_t previous_us;        /* So long before is "previous"; 0: none. */
    int64_t p95_us;             /* Bucket of percentiles; 0: none. */
    bool bidirectional;         /* Both directions are one group. */
    bool totals;                /* Over all groups, also those not shown. */
    /* A series: 'bucket_us' of the first 'top' groups, and of all. */
    unsigned top;
    bool only_raw;              /* Not out of rollups. */
    uint8_t resolve;            /* enum identity_resolve: who the ends are. */
    bool unordered;             /* All groups, as they come. */
    struct query_records records;
};

/* One value of a result. */
struct query_value {
    bool null;
    union {
        uint64_t u;
        int64_t time_us;
        struct addr addr;
        char *text;             /* NAME columns; owned by the result. */
        double real;
    };
};

struct query_column {
    char name[QUERY_MAX_LABEL + 16];
    enum column_type type;      /* U64 for metrics, TIME for buckets. */
    const char *unit;
    const struct column *column;        /* NULL for "flows" and "time". */
    struct query_key key;
    bool real;                  /* A share. */
};

enum query_status { QUERY_OK, QUERY_TIMEOUT, QUERY_CANCELLED, QUERY_BUSY,
                    QUERY_TOO_BIG, QUERY_FAILED };

struct query_result {
    enum query_status status;
    char error[256];
    struct query_column columns[QUERY_MAX_COLUMNS];
    unsigned n_columns;
    struct query_value *values; /* n_rows * n_columns, row by row. */
    size_t n_rows;
    bool truncated;             /* There were more rows than 'limit'. */
    const char *tier;           /* "raw", "1h", "1m+raw", ... */
    char note[320];             /* What the answer lacks; "": nothing. */
    unsigned segments;
    uint64_t rows_scanned;
    double elapsed_ms;
    /* With 'totals': a value per metric, of all groups together. */
    struct query_value totals[QUERY_MAX_METRICS];
    bool has_totals;
    /* Of a series: this has the groups, the next the buckets by group, the one
     * after that the buckets of everything. */
    struct query_result *next;
};

void query_clear(struct query *);
/* The text of a metric: "bytes", "max(packets)", "p95(bps)". */
void query_metric_name(const struct query *, unsigned i, char *buf,
                       size_t size);
void query_result_destroy(struct query_result *);

/* The same column of the other end, or the column itself. */
enum column_id query_other_end(enum column_id);
/* Whether a key is of either end. */
bool query_either(const struct query *);

/* What is wrong with a query, or NULL. */
const char *query_check(const struct query *);

/* The output columns of a query, in order: "time", keys, metrics.  Returns how
 * many. */
unsigned query_columns(const struct query *, struct query_column *);

/* The SQL of a query over segments attached as 'schemas', for tests and logs;
 * the caller frees it.  '*n_binds' values are bound in order. */
char *query_sql(const struct query *, const char *const *schemas,
                size_t n_schemas);

struct query_pool *query_pool_create(struct store *, unsigned threads,
                                     unsigned max_queued);
/* Queries are answered out of these as well; before the first one. */
struct rollup;
void query_pool_set_rollup(struct query_pool *, struct rollup *);
/* Out of these ends are named anew; before the first query, and for as long as
 * the pool lives. */
void query_pool_set_identities(struct query_pool *,
                               struct identity_journal *);
void query_pool_destroy(struct query_pool *);   /* Cancels what runs. */

/* Starts 'q', whose contents it takes over (also on failure).  'done' is
 * called once, on a thread of the pool (or at once, with QUERY_BUSY, or NULL
 * if there is no memory), and owns the result.  Returns an id for
 * query_cancel(), or 0 if the query was refused. */
uint64_t query_start(struct query_pool *, struct query *q,
                     void (*done)(void *aux, struct query_result *),
                     void *aux);
void query_cancel(struct query_pool *, uint64_t id);

/* Runs 'work(aux)' on a thread of the pool, among the queries: for what else
 * takes longer than the main thread may.  False if there are too many. */
bool query_pool_run(struct query_pool *, void (*work)(void *aux), void *aux);

#endif /* collector/query/query.h */
