#include <config.h>

#include "api/flow_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/value.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/column.h"

/* ---- Rows. ---- */

static void
put_columns(FILE *f, const struct query_result *r)
{
    fputs("{\"columns\":[", f);
    for (unsigned i = 0; i < r->n_columns; i++) {
        const struct query_column *c = &r->columns[i];
        fprintf(f, "%s{\"name\":", i ? "," : "");
        value_put_string(f, c->name);           /* A label's name is any. */
        fprintf(f, ",\"type\":\"%s\",\"unit\":\"%s\"}",
                c->real ? "real" : c->key.form == FORM_PREFIX ? "prefix"
                : c->key.form == FORM_NAME ? "name"
                : column_type_name(c->type), c->unit);
    }
    putc(']', f);
}

static void
put_rows(FILE *f, const struct query_result *r)
{
    const struct query_value *v = r->values;
    fputs(",\"rows\":[", f);
    for (size_t row = 0; row < r->n_rows; row++) {
        fputs(row ? ",[" : "[", f);
        for (unsigned i = 0; i < r->n_columns; i++, v++) {
            fputs(i ? "," : "", f);
            value_put_result(f, &r->columns[i], v);
        }
        putc(']', f);
    }
    putc(']', f);
}

/* How much there is of everybody is nothing for who may see some only. */
static void
put_stats(FILE *f, const struct query *q, const struct query_result *r)
{
    fprintf(f, ",\"truncated\":%s,\"stats\":{\"tier\":\"%s\",",
            r->truncated ? "true" : "false", r->tier);
    if (!q->confine) {
        fprintf(f, "\"segments\":%u,\"rows_scanned\":%" PRIu64 ",",
                r->segments, r->rows_scanned);
    }
    fprintf(f, "\"elapsed_ms\":%.3f", r->elapsed_ms);
    if (r->note[0]) {
        fputs(",\"note\":", f);
        value_put_string(f, r->note);
    }
    fputs("}}", f);
}

/* Whether what is not shown is what is shown taken off the total. */
static bool
has_rest(const struct query *q, unsigned i)
{
    unsigned fn = q->calc[i].fn;

    return fn != FN_MIN && fn != FN_MAX && fn != FN_DISTINCT && fn != FN_P95
           && fn != FN_ERROR && !query_either(q);
}

/* What the rows that are not shown sum up to, where that can be said. */
static struct query_value
other(const struct query *q, const struct query_result *r, unsigned i)
{
    struct query_value v = r->totals[i];
    unsigned fn = q->calc[i].fn, col = r->n_columns - q->n_metrics + i;

    v.null |= !has_rest(q, i);
    for (size_t row = 0; row < r->n_rows && !v.null; row++) {
        const struct query_value *m = &r->values[row * r->n_columns + col];
        if (m->null) {
            continue;
        } else if (fn == FN_SHARE) {
            v.real = v.real > m->real ? v.real - m->real : 0;
        } else {
            v.u -= v.u < m->u ? v.u : m->u;
        }
    }
    return v;
}

static void
put_totals(FILE *f, const struct query *q, const struct query_result *r)
{
    for (int rest = 0; rest < 2; rest++) {
        fprintf(f, ",\"%s\":[", rest ? "other" : "totals");
        for (unsigned i = 0; i < q->n_metrics; i++) {
            struct query_value v = rest ? other(q, r, i) : r->totals[i];
            fputs(i ? "," : "", f);
            value_put_result(f, &r->columns[r->n_columns - q->n_metrics + i],
                             &v);
        }
        putc(']', f);
    }
}

void
flow_query_text(FILE *f, const struct query *q,
                const struct query_result *r)
{
    put_columns(f, r);
    put_rows(f, r);
    if (r->has_totals) {
        put_totals(f, q, r);
    }
    put_stats(f, q, r);
}

/* Where the next page begins: the time of the last record, and how many of
 * that time have been told. */
void
flow_records_text(FILE *f, const struct query *q,
                  const struct query_result *r)
{
    put_columns(f, r);
    put_rows(f, r);
    if (r->truncated && r->n_rows) {
        int64_t last = r->values[(r->n_rows - 1) * r->n_columns].time_us;
        int64_t begin = q->records.oldest_first ? q->from_us : q->to_us - 1;
        uint64_t n = 0;
        while (n < r->n_rows
               && r->values[(r->n_rows - 1 - n) * r->n_columns].time_us
                  == last) {
            n++;
        }
        n += n == r->n_rows && last == begin ? q->records.skip : 0;
        fprintf(f, ",\"cursor\":\"%c%" PRId64 ".%" PRIu64 "\"",
                q->records.oldest_first ? 'o' : 'n', last, n);
    } else {
        fputs(",\"cursor\":null", f);
    }
    put_stats(f, q, r);
}

/* ---- A series as text: every bucket, also those without flows. ---- */

#define NO_VALUE UINT64_MAX

struct grid {
    const struct query *q;
    int64_t start_us;
    size_t n;                   /* Buckets. */
};

static size_t
grid_index(const struct grid *g, int64_t time_us)
{
    int64_t i = (time_us - g->start_us) / g->q->bucket_us;
    return time_us < g->start_us || (size_t) i >= g->n ? SIZE_MAX
                                                       : (size_t) i;
}

static bool
same_value(enum column_type type, const struct query_value *a,
           const struct query_value *b)
{
    return a->null || b->null ? a->null == b->null
           : type == COLUMN_T_ADDR ? addr_equal(&a->addr, &b->addr)
           : type == COLUMN_T_NAME ? !strcmp(a->text, b->text)
           : a->u == b->u;
}

/* A bucket without flows has no smallest and largest one. */
static bool
has_zero(const struct query *q, unsigned i)
{
    return q->calc[i].fn != FN_MIN && q->calc[i].fn != FN_MAX;
}

static void
grid_clear(const struct grid *g, uint64_t *values)
{
    for (size_t i = 0; i < g->n * g->q->n_metrics; i++) {
        values[i] = has_zero(g->q, (unsigned) (i / g->n)) ? 0 : NO_VALUE;
    }
}

/* Adds the buckets of 'r' that belong to a group (NULL: all rows) to 'values',
 * n per metric. */
static void
grid_add(const struct grid *g, const struct query_result *r,
         const struct query_value *group, uint64_t *values)
{
    unsigned n_by = group ? g->q->n_by : 0;
    for (size_t row = 0; row < r->n_rows; row++) {
        const struct query_value *v = &r->values[row * r->n_columns];
        size_t at = grid_index(g, v[0].time_us);
        bool same = at != SIZE_MAX;
        for (unsigned i = 0; i < n_by && same; i++) {
            same = same_value(r->columns[1 + i].type, &group[i], &v[1 + i]);
        }
        const struct query_value *m = v + r->n_columns - g->q->n_metrics;
        for (unsigned i = 0; i < g->q->n_metrics && same; i++) {
            if (!m[i].null && has_zero(g->q, i)) {
                values[i * g->n + at] += m[i].u;
            } else if (!m[i].null) {
                values[i * g->n + at] = m[i].u;
            }
        }
    }
}

static void
put_grid(FILE *f, const struct grid *g, const struct query_result *r,
         const uint64_t *values)
{
    putc('{', f);
    for (unsigned i = 0; i < g->q->n_metrics; i++) {
        fprintf(f, "%s\"%s\":[", i ? "," : "",
                r->columns[r->n_columns - g->q->n_metrics + i].name);
        for (size_t k = 0; k < g->n; k++) {
            fputs(k ? "," : "", f);
            if (values[i * g->n + k] == NO_VALUE) {
                fputs("null", f);
            } else {
                fprintf(f, "%" PRIu64, values[i * g->n + k]);
            }
        }
        putc(']', f);
    }
    putc('}', f);
}

void
flow_series_text(FILE *f, const struct query *q,
                 const struct query_result *r)
{
    struct grid g = { .q = q };
    char start[TIME_STRLEN];

    g.start_us = q->from_us - q->from_us % q->bucket_us;
    g.n = (size_t) ((q->to_us - g.start_us + q->bucket_us - 1)
                    / q->bucket_us);
    size_t n = g.n * q->n_metrics;
    uint64_t *values = calloc(n, sizeof *values);
    uint64_t *rest = calloc(n, sizeof *rest);
    if (!values || !rest) {
        free(values);
        free(rest);
        return;
    }
    put_columns(f, r);
    fprintf(f, ",\"start\":\"%s\",\"step_ms\":%" PRId64 ",\"buckets\":%zu,"
            "\"total\":", time_format_us(g.start_us, start),
            q->bucket_us / 1000, g.n);
    grid_clear(&g, rest);
    grid_add(&g, r->next->next, NULL, rest);
    put_grid(f, &g, r, rest);
    fputs(",\"series\":[", f);
    for (size_t row = 0; row < r->n_rows && q->n_by; row++) {
        const struct query_value *group = &r->values[row * r->n_columns];
        grid_clear(&g, values);
        grid_add(&g, r->next, group, values);
        fputs(row ? ",{\"key\":[" : "{\"key\":[", f);
        for (unsigned i = 0; i < q->n_by; i++) {
            fputs(i ? "," : "", f);
            value_put_result(f, &r->columns[i], &group[i]);
        }
        fputs("],\"values\":", f);
        put_grid(f, &g, r, values);
        putc('}', f);
        for (size_t i = 0; i < n; i++) {
            rest[i] -= rest[i] < values[i] ? rest[i] : values[i];
        }
    }
    for (size_t i = 0; i < n; i++) {
        rest[i] = has_rest(q, (unsigned) (i / g.n)) ? rest[i] : NO_VALUE;
    }
    fputs("],\"other\":", f);
    if (q->n_by && !query_either(q)) {
        put_grid(f, &g, r, rest);
    } else {
        fputs("null", f);
    }
    put_stats(f, q, r);
    free(values);
    free(rest);
}

char *
flow_result_text(const struct query *q, const struct query_result *r,
                 flow_text_fn *put)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        return NULL;
    }
    put(f, q, r);
    if (fclose(f) || !size) {
        free(text);
        text = NULL;
    }
    return text;
}
