#include <config.h>

#include "collector/query/query.h"

#include <stdlib.h>
#include <string.h>

#include "collector/query/sql.h"

void
query_clear(struct query *q)
{
    filter_destroy(q->filter);
    q->filter = NULL;
}

const char *
query_check(const struct query *q)
{
    unsigned n = (q->bucket_us != 0) + q->n_by + q->n_metrics;

    if (q->n_by > QUERY_MAX_BY || q->n_metrics > QUERY_MAX_METRICS || !n) {
        return "too many or no columns";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        if (q->by[i] >= N_COLUMNS || !(columns[q->by[i]].flags & CF_KEY)) {
            return "a column that cannot be grouped by";
        }
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        if (q->metrics[i] != QUERY_METRIC_FLOWS
            && (q->metrics[i] >= N_COLUMNS
                || !(columns[q->metrics[i]].flags & CF_SUM))) {
            return "a column that is not a metric";
        }
    }
    if (q->order < -1 || q->order >= (int) n) {
        return "an order by a column that is not there";
    }
    if (!q->limit || q->limit > QUERY_MAX_LIMIT) {
        return "a limit out of range";
    }
    if (q->from_us >= q->to_us) {
        return "a time range that ends before it begins";
    }
    return q->bucket_us < 0 ? "a negative bucket" : NULL;
}

unsigned
query_columns(const struct query *q, struct query_column *out)
{
    unsigned n = 0;
    if (q->bucket_us) {
        out[n++] = (struct query_column) { "time", COLUMN_T_TIME, "us",
                                           NULL };
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        const struct column *c = &columns[q->by[i]];
        out[n++] = (struct query_column) { c->name, c->type, c->unit, c };
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        if (q->metrics[i] == QUERY_METRIC_FLOWS) {
            out[n++] = (struct query_column) { "flows", COLUMN_T_U64,
                                               "flows", NULL };
        } else {
            const struct column *c = &columns[q->metrics[i]];
            out[n++] = (struct query_column) { c->name, COLUMN_T_U64,
                                               c->unit, c };
        }
    }
    return n;
}

void
query_result_destroy(struct query_result *r)
{
    if (!r) {
        return;
    }
    for (unsigned col = 0; col < r->n_columns; col++) {
        if (r->columns[col].type == COLUMN_T_NAME) {
            for (size_t row = 0; row < r->n_rows; row++) {
                struct query_value *v = &r->values[row * r->n_columns + col];
                if (!v->null) {
                    free(v->text);
                }
            }
        }
    }
    free(r->values);
    free(r);
}
