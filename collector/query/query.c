#include <config.h>

#include "collector/query/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/query/metric.h"
#include "collector/query/sql.h"

void
query_clear(struct query *q)
{
    filter_destroy(q->filter);
    q->filter = NULL;
}

static const char *
check_metrics(const struct query *q)
{
    bool distinct = false, p95 = false;
    for (unsigned i = 0; i < q->n_metrics; i++) {
        unsigned id = q->metrics[i];
        const struct query_calc *c = &q->calc[i];
        bool time = id < N_COLUMNS && columns[id].type == COLUMN_T_TIME
                    && (c->fn == FN_MIN || c->fn == FN_MAX);
        if (c->fn == FN_DISTINCT
            ? id >= N_COLUMNS || !(columns[id].flags & CF_KEY)
            : id != QUERY_METRIC_FLOWS && !time
              && (id >= N_COLUMNS || !(columns[id].flags & CF_SUM))) {
            return "a column that is not a metric";
        }
        distinct |= c->fn == FN_DISTINCT;
        p95 |= c->fn == FN_P95;
        if ((c->fn == FN_MIN || c->fn == FN_MAX) && id >= N_COLUMNS) {
            return "flows have no smallest and largest";
        }
        if (c->fn == FN_ERROR && (id >= N_COLUMNS || c->rate || q->top)) {
            return "error() is of a sum, and not of a series";
        }
        if (c->fn == FN_PREVIOUS && q->previous_us <= 0) {
            return "previous() without a period to compare with";
        }
        if (c->fn == FN_REVERSE && !q->bidirectional) {
            return "reverse() is for bidirectional queries";
        }
    }
    if (p95 && (q->p95_us <= 0 || q->bucket_us || distinct || q->top)) {
        return "p95() goes neither with buckets nor with distinct()";
    }
    if (q->previous_us && (q->bucket_us || p95)) {
        return "buckets and p95() cannot be compared with another period";
    }
    return NULL;
}

static const char *
check_keys(const struct query *q)
{
    for (unsigned i = 0; i < q->n_by; i++) {
        const struct query_key *k = &q->key[i];
        if (q->by[i] >= N_COLUMNS || !(columns[q->by[i]].flags & CF_KEY)) {
            return "a column that cannot be grouped by";
        }
        if (k->either && (q->bidirectional
                          || query_other_end(q->by[i]) == q->by[i])) {
            return "a key of either end where there is none";
        }
        if (k->form == FORM_PREFIX
            && (columns[q->by[i]].type != COLUMN_T_ADDR || k->v4_len > 32
                || k->v6_len > 128)) {
            return "a prefix that there is not";
        }
        if (k->form == FORM_LABEL
            && q->by[i] != COL_src_labels && q->by[i] != COL_dst_labels) {
            return "a label of what has none";
        }
    }
    return NULL;
}

bool
query_either(const struct query *q)
{
    for (unsigned i = 0; i < q->n_by; i++) {
        if (q->key[i].either) {
            return true;
        }
    }
    return false;
}

const char *
query_check(const struct query *q)
{
    unsigned n = (q->bucket_us != 0) + q->n_by + q->n_metrics;
    const char *wrong;

    if (!q->limit || q->limit > QUERY_MAX_LIMIT) {
        return "a limit out of range";
    }
    if (q->from_us >= q->to_us) {
        return "a time range that ends before it begins";
    }
    if (q->records.on) {
        return q->records.n_fields > N_COLUMNS ? "too many columns" : NULL;
    }
    if (q->n_by > QUERY_MAX_BY || q->n_metrics > QUERY_MAX_METRICS || !n) {
        return "too many or no columns";
    }
    if ((wrong = check_keys(q)) || (wrong = check_metrics(q))) {
        return wrong;
    }
    if (q->order < -1 || q->order >= (int) n) {
        return "an order by a column that is not there";
    }
    if (q->top && (!q->bucket_us || q->bidirectional || !q->n_metrics)) {
        return "a series needs a bucket and a metric";
    }
    return q->bucket_us < 0 ? "a negative bucket" : NULL;
}

static const char *
base_name(unsigned id, bool rate)
{
    return id == QUERY_METRIC_FLOWS ? rate ? "fps" : "flows"
           : !rate ? columns[id].name
           : id == COL_bytes ? "bps" : id == COL_packets ? "pps"
           : id == COL_l2_bytes ? "l2_bps" : columns[id].name;
}

void
query_metric_name(const struct query *q, unsigned i, char *buf, size_t size)
{
    const struct query_calc *c = &q->calc[i];
    const char *base = base_name(q->metrics[i], c->rate);
    if (c->fn == FN_SUM) {
        snprintf(buf, size, "%s", base);
    } else {
        snprintf(buf, size, "%s(%s)", metric_fn_name(c->fn), base);
    }
}

static void
metric_column(const struct query *q, unsigned i, struct query_column *out)
{
    unsigned id = q->metrics[i];
    const struct query_calc *calc = &q->calc[i];
    const struct column *c = id < N_COLUMNS ? &columns[id] : NULL;

    *out = (struct query_column) { .type = COLUMN_T_U64, .column = c,
                                   .unit = c ? c->unit : "flows" };
    query_metric_name(q, i, out->name, sizeof out->name);
    if (calc->rate) {
        out->unit = !c ? "flows/s" : !strcmp(c->unit, "B") ? "bit/s"
                    : "packets/s";
    } else if (calc->fn == FN_DISTINCT) {
        out->unit = "";
        out->column = NULL;
    } else if (calc->fn == FN_SHARE) {
        out->unit = "";
        out->real = true;
    } else if (c && c->type == COLUMN_T_TIME) {
        out->type = COLUMN_T_TIME;
    }
}

static void
key_column(const struct query *q, unsigned i, struct query_column *out)
{
    const struct column *c = &columns[q->by[i]];
    const struct query_key *k = &q->key[i];
    const char *name = c->name + (k->either ? strlen("src_") : 0);

    *out = (struct query_column) { .type = c->type, .unit = c->unit,
                                   .column = c, .key = *k };
    if (k->form == FORM_PREFIX) {
        int n = snprintf(out->name, sizeof out->name, "%s/%u", name,
                         k->v4_len);
        if (k->v6_len != QUERY_V6_LEN) {
            snprintf(out->name + n, sizeof out->name - (size_t) n, "/%u",
                     k->v6_len);
        }
    } else if (k->form == FORM_LABEL) {
        snprintf(out->name, sizeof out->name, "%.*slabel.%s",
                 k->either ? 0 : (int) strlen("src_"), c->name, k->label);
    } else if (k->form == FORM_NAME) {
        size_t len = strlen(name);
        bool port = len >= 4 && !strcmp(name + len - 4, "port");
        snprintf(out->name, sizeof out->name, "%.*s%s",
                 (int) (port ? len - 4 : len), name,
                 port ? "service" : "_name");
    } else {
        snprintf(out->name, sizeof out->name, "%s", name);
    }
}

unsigned
query_columns(const struct query *q, struct query_column *out)
{
    unsigned n = 0;
    for (unsigned i = 0; q->records.on && i <= q->records.n_fields; i++) {
        const struct column *c = &columns[i ? q->records.fields[i - 1]
                                            : COL_flow_end];
        out[n] = (struct query_column) { .type = c->type, .unit = c->unit,
                                         .column = c };
        snprintf(out[n].name, sizeof out[n].name, "%s", c->name);
        n++;
    }
    if (q->records.on) {
        return n;
    }
    if (q->bucket_us) {
        out[n++] = (struct query_column) { .name = "time", .unit = "us",
                                           .type = COLUMN_T_TIME };
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        key_column(q, i, &out[n++]);
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        metric_column(q, i, &out[n++]);
    }
    return n;
}

void
query_result_destroy(struct query_result *r)
{
    while (r) {
        struct query_result *next = r->next;
        for (unsigned col = 0; col < r->n_columns; col++) {
            if (r->columns[col].type != COLUMN_T_NAME) {
                continue;
            }
            for (size_t row = 0; row < r->n_rows; row++) {
                struct query_value *v = &r->values[row * r->n_columns + col];
                if (!v->null) {
                    free(v->text);
                }
            }
        }
        free(r->values);
        free(r);
        r = next;
    }
}
