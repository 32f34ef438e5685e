/* collector/query/sql.h -- a query as SQL text and bound values.
 *
 * What is the same for every engine is in sql*.c; what one engine says in its
 * own way is in its dialect. */
#ifndef COLLECTOR_SQL_H
#define COLLECTOR_SQL_H 1

#include <stdio.h>

#include "collector/query/query.h"
#include "collector/store/schema.h"

/* A place to select from: tables "flows" and "names" of a schema. */
struct sql_source {
    const char *schema;
    struct column_set has;      /* Others are null there. */
    /* Or a scan of the store (collector/store/scan.h), which has names as texts
     * and only those rows that the query is about. */
    const char *scan;
    bool sums;                  /* It sums up by itself. */
    /* Sums instead of flows (collector/query/rollup.h): "flow_end" is when a step
     * begins, "flow_start" the first time in it, "last" the last, "flows" how
     * many; names are texts. */
    const char *rollup;         /* The table; NULL: these are flows. */
    const struct filter *filter;        /* Instead of the query's; or NULL. */
};

enum sql_bind_kind { BIND_NUMBER, BIND_TIME, BIND_ADDR, BIND_TEXT };

/* A value for parameter 1, 2, ...; text is borrowed, from the query mostly. */
struct sql_bind {
    enum sql_bind_kind kind;
    union {
        uint64_t number;
        int64_t time_us;
        struct addr addr;
        const char *text;
    };
};

struct sql {
    char *text;
    struct sql_bind *binds;
    size_t n_binds, allocated;
    char **texts;               /* That binds point to, and no query has. */
    size_t n_texts;
};

/* What stands before the parts of a label's value. */
enum sql_label { SQL_LABEL_COLUMN, SQL_LABEL_PATTERN, SQL_LABEL_END };

struct sql_dialect {
    const char *name;
    /* The table 'table' of a segment. */
    void (*table)(FILE *, const char *schema, const char *table);
    /* Parameter 'n' (from 1) as a value of type 'type'. */
    void (*parameter)(FILE *, size_t n, enum column_type type);
    /* A null of that type. */
    void (*null)(FILE *, enum column_type type);
    /* The start of the bucket, of as many microseconds as parameter 'n' says
     * (given as a number), that column 'time' falls into. */
    void (*bucket)(FILE *, const char *time, size_t n);
    /* Around a number: as one of 128 bits without sign. */
    void (*wide)(FILE *, bool begin);
    /* Around two times with a comma between: whole milliseconds from the first
     * to the second, 0 if it is earlier. */
    void (*elapsed_ms)(FILE *, bool begin);
    /* Around a column of labels, and a pattern whose first group is the value as
     * it is written: what it was before it was written. */
    void (*label)(FILE *, enum sql_label);
    /* The aggregate that is the 95th percentile (nearest rank) of 'n' values:
     * those of 'column', and zeros. */
    void (*percentile)(FILE *, const char *column, uint64_t n);
};

extern const struct sql_dialect sql_duckdb;

/* Compiles 'q' over 'sources'.  The query must have passed query_check() and
 * outlive '*sql'.  If it is confined, so is its filter (query_confine()); the
 * columns that are told are masked here.  Returns 0 or -ENOMEM. */
int sql_compile(const struct query *, const struct sql_source *, size_t n,
                const struct sql_dialect *, struct sql *);
void sql_clear(struct sql *);

/* 'out' is 'q' with a filter of its own (to be destroyed, or NULL) that nobody
 * gets around: that of 'q', of which only what its asker may see is true.  All
 * that reads flows for a query goes by it.  0 or -ENOMEM. */
int query_confine(const struct query *q, struct query *out);

/* Exactly one group, whose keys begin at 'v'; of keys of either end, what has it
 * at either.  NULL if out of memory. */
struct filter *query_group_filter(const struct query *,
                                  const struct query_value *v);
/* Exactly the groups of a result of 'q' whose first columns are its keys; any,
 * if there are none.  NULL if out of memory. */
struct filter *query_groups_filter(const struct query *,
                                   const struct query_result *);

#endif /* collector/query/sql.h */
