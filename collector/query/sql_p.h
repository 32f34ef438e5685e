/* collector/query/sql_p.h -- the compiler, inside.
 *
 * sql.c         a statement out of its sources
 * sql_filter.c  a filter as a condition
 * sql_key.c     keys and metrics of a row as expressions */
#ifndef COLLECTOR_SQL_P_H
#define COLLECTOR_SQL_P_H 1

#include "collector/query/sql.h"

/* 9999-12-31: later than any flow. */
#define TIME_LAST_US INT64_C(253402300799999999)

/* What one compilation carries around. */
struct compiler {
    FILE *out;
    const struct query *q;
    const struct sql_dialect *d;
    const struct sql_source *source;    /* The one being written. */
    struct sql *sql;
    size_t next;                /* Next parameter, from 1. */
    bool failed;
    bool ids;                   /* Some source has names as ids. */
    bool names;                 /* And a NAME column is grouped by. */
    bool by_row;                /* Rows cannot be summed up per segment. */
    bool p95;                   /* There is one: rows have buckets. */
    bool rollups;               /* Some sources have sums. */
    bool plain;                 /* Within a filter, which is masked itself. */
    enum { ROW_END, OWN_END, OTHER_END } end;   /* Of keys of either end. */
};

/* sql.c: the number of a parameter that has this value; of a place in the text
 * for it; a column, or nothing where who asks must not see it; whether that is
 * an id of the source's table of names; and that a time is in [from, to). */
size_t sql_bind_add(struct compiler *, struct sql_bind);
void sql_put_parameter(struct compiler *, enum column_type, struct sql_bind);
void sql_put_column(struct compiler *, enum column_id);
bool sql_is_id(const struct compiler *, unsigned id);
void sql_put_range(struct compiler *, int64_t from_us, int64_t to_us);

/* sql_filter.c: a filter, or what it is not; true or false, never null. */
void sql_put_filter(struct compiler *, const struct filter *, bool negate);

/* sql_key.c: key 'i'; its column, of the end that a row is of; and what a
 * record adds to metric 'i'. */
void sql_put_key(struct compiler *, unsigned i);
void sql_put_side(struct compiler *, unsigned i);
void sql_put_metric_row(struct compiler *, unsigned i);

#endif /* collector/query/sql_p.h */
