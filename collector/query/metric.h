/* collector/query/metric.h -- the words for metrics: which there are besides
 * columns that add up, and what can be made of one.  The API's parser and
 * flow.columns, venturictl's completion and the names of results' columns follow
 * these tables; doc/queries.md tells them to people. */
#ifndef COLLECTOR_QUERY_METRIC_H
#define COLLECTOR_QUERY_METRIC_H 1

#include <stdbool.h>

#include "collector/query/query.h"

/* A function: "max" of "max(bytes)". */
struct metric_fn {
    const char *name;
    enum query_fn fn;
    const char *argument;       /* A usual one, for examples. */
    const char *doc;
};

/* A metric that is no column: "bps". */
struct metric_word {
    const char *name;
    unsigned id;                /* column_id or QUERY_METRIC_FLOWS. */
    enum query_fn fn;
    bool rate;
    const char *doc;
};

extern const struct metric_fn metric_fns[];             /* Until name NULL. */
extern const struct metric_word metric_words[];         /* Until name NULL. */

/* Reads a metric: a column that adds up, a word, or a function of one.  False:
 * 'text' is none. */
bool metric_parse(const char *text, unsigned *id, struct query_calc *calc);

/* "max" of FN_MAX; NULL for FN_SUM. */
const char *metric_fn_name(enum query_fn);

#endif /* collector/query/metric.h */
