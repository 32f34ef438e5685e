#include <config.h>

#include "collector/query/sql.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
    bool names;                 /* A NAME column is grouped by. */
};

/* The number of the next parameter, which has this value.  Every segment asks
 * for the same ones in the same order: only the first makes them. */
static size_t
bind(struct compiler *c, struct sql_bind value)
{
    size_t n = c->next++;
    struct sql *s = c->sql;

    if (n > s->n_binds) {
        if (s->n_binds == s->allocated) {
            size_t more = s->allocated ? s->allocated * 2 : 16;
            struct sql_bind *p = realloc(s->binds, more * sizeof *p);
            if (!p) {
                c->failed = true;
                return n;
            }
            s->binds = p;
            s->allocated = more;
        }
        s->binds[s->n_binds++] = value;
    }
    return n;
}

static void
put_parameter(struct compiler *c, enum column_type type,
              struct sql_bind value)
{
    c->d->parameter(c->out, bind(c, value), type);
}

static void
put_column(struct compiler *c, enum column_id id)
{
    if (column_set_has(&c->source->has, id)) {
        fprintf(c->out, "f.\"%s\"", columns[id].name);
    } else {
        c->d->null(c->out, columns[id].type);
    }
}

/* Filters. */

static uint64_t
type_max(enum column_type type)
{
    switch (type) {
    case COLUMN_T_U8:
    case COLUMN_T_ENUM:
        return UINT8_MAX;
    case COLUMN_T_U16:
        return UINT16_MAX;
    case COLUMN_T_U32:
    case COLUMN_T_BITS:
        return UINT32_MAX;
    case COLUMN_T_BOOL:
        return 1;
    case COLUMN_T_TIME:
        return (uint64_t) TIME_LAST_US;
    default:
        return UINT64_MAX;
    }
}

static void
put_prefix(struct compiler *c, const struct filter *t)
{
    struct addr first, last;
    prefix_range(&t->prefix, &first, &last);
    put_column(c, t->column);
    if (t->prefix.len >= 128) {
        fputs(" = ", c->out);
        put_parameter(c, COLUMN_T_ADDR, (struct sql_bind) {
            .kind = BIND_ADDR, .addr = first });
        return;
    }
    fputs(" BETWEEN ", c->out);
    put_parameter(c, COLUMN_T_ADDR, (struct sql_bind) {
        .kind = BIND_ADDR, .addr = first });
    fputs(" AND ", c->out);
    put_parameter(c, COLUMN_T_ADDR, (struct sql_bind) {
        .kind = BIND_ADDR, .addr = last });
}

static void
put_name(struct compiler *c, const struct filter *t)
{
    /* Ids differ between segments; texts do not. */
    put_column(c, t->column);
    fputs(" IN (SELECT id FROM ", c->out);
    c->d->table(c->out, c->source->schema, "names");
    fputs(" WHERE text = ", c->out);
    put_parameter(c, COLUMN_T_NAME, (struct sql_bind) {
        .kind = BIND_TEXT, .text = t->text ? t->text : "" });
    fputs(")", c->out);
}

static void
put_bits(struct compiler *c, const struct filter *t)
{
    enum column_type type = columns[t->column].type;
    struct sql_bind value = { .kind = BIND_NUMBER,
                              .number = t->number & type_max(type) };
    putc('(', c->out);
    put_column(c, t->column);
    fputs(" & ", c->out);
    put_parameter(c, type, value);
    fputs(") = ", c->out);
    if (t->cmp == CMP_BITS_NONE) {
        value.number = 0;
    }
    put_parameter(c, type, value);
}

static void
put_number(struct compiler *c, const struct filter *t)
{
    static const char *const operators[] = {
        [CMP_EQ] = "=", [CMP_NE] = "=", [CMP_LT] = "<", [CMP_LE] = "<=",
        [CMP_GT] = ">", [CMP_GE] = ">=",
    };
    enum column_type type = columns[t->column].type;
    uint64_t max = type_max(type);

    if (t->number > max) {
        /* Beyond what the column can hold. */
        if (t->cmp == CMP_LT || t->cmp == CMP_LE) {
            put_column(c, t->column);
            fputs(" IS NOT NULL", c->out);
        } else {
            fputs("FALSE", c->out);
        }
        return;
    }
    put_column(c, t->column);
    fprintf(c->out, " %s ", operators[t->cmp]);
    if (type == COLUMN_T_TIME) {
        put_parameter(c, type, (struct sql_bind) {
            .kind = BIND_TIME, .time_us = (int64_t) t->number });
    } else {
        put_parameter(c, type, (struct sql_bind) {
            .kind = BIND_NUMBER, .number = t->number });
    }
}

/* The range of values that a comparison of integers means; false: none. */
static bool
cmp_range(enum filter_cmp cmp, uint64_t n, uint64_t *lo, uint64_t *hi)
{
    *lo = cmp == CMP_GT ? n + 1 : cmp == CMP_LT || cmp == CMP_LE ? 0 : n;
    *hi = cmp == CMP_LT ? n - 1
          : cmp == CMP_GT || cmp == CMP_GE ? UINT64_MAX : n;
    return !(cmp == CMP_GT && n == UINT64_MAX) && !(cmp == CMP_LT && !n);
}

static void
put_constant(struct compiler *c, uint64_t number)
{
    put_parameter(c, COLUMN_T_U64, (struct sql_bind) {
        .kind = BIND_NUMBER, .number = number });
}

static void
put_wide_column(struct compiler *c, enum column_id id)
{
    c->d->wide(c->out, true);
    put_column(c, id);
    c->d->wide(c->out, false);
}

/* What a quotient is divided by: packets, or time in milliseconds. */
static void
put_divisor(struct compiler *c, enum filter_value value)
{
    if (value == FV_BPP) {
        put_wide_column(c, COL_packets);
        return;
    }
    c->d->wide(c->out, true);
    c->d->elapsed_ms(c->out, true);
    put_column(c, COL_flow_start);
    fputs(", ", c->out);
    put_column(c, COL_flow_end);
    c->d->elapsed_ms(c->out, false);
    c->d->wide(c->out, false);
}

/* "value, rounded down, is in lo..hi", without dividing: exact.  By nothing it
 * is 0. */
static void
put_quotient(struct compiler *c, enum filter_value value, uint64_t lo,
             uint64_t hi)
{
    enum column_id id = value == FV_PPS ? COL_packets : COL_bytes;
    unsigned factor = value == FV_BPS ? 8000 : value == FV_PPS ? 1000 : 1;

    fputs("CASE WHEN ", c->out);
    put_divisor(c, value);
    fprintf(c->out, " = 0 THEN %s ELSE ", lo ? "FALSE" : "TRUE");
    put_wide_column(c, id);
    fprintf(c->out, " * %u >= ", factor);
    c->d->wide(c->out, true);
    put_constant(c, lo);
    c->d->wide(c->out, false);
    fputs(" * ", c->out);
    put_divisor(c, value);
    if (hi != UINT64_MAX) {
        fputs(" AND ", c->out);
        put_wide_column(c, id);
        fprintf(c->out, " * %u < ", factor);
        c->d->wide(c->out, true);
        put_constant(c, hi + 1);
        c->d->wide(c->out, false);
        fputs(" * ", c->out);
        put_divisor(c, value);
    }
    fputs(" END", c->out);
}

static void
put_computed(struct compiler *c, const struct filter *t)
{
    uint64_t lo, hi;
    if (!cmp_range(t->cmp == CMP_NE ? CMP_EQ : t->cmp, t->number, &lo, &hi)) {
        fputs("FALSE", c->out);
    } else if (t->value == FV_BPS || t->value == FV_PPS
               || t->value == FV_BPP) {
        put_quotient(c, t->value, lo, hi);
    } else {
        if (t->value == FV_DURATION) {
            put_divisor(c, t->value);
        } else {
            fputs("((", c->out);
            put_column(c, COL_observation_domain_id);
            fputs(t->value == FV_ENGINE_TYPE ? " >> 8) & 255)" : ") & 255)",
                  c->out);
        }
        fputs(" BETWEEN ", c->out);
        put_constant(c, lo);
        fputs(" AND ", c->out);
        put_constant(c, hi);
    }
}

/* A term about an absent value is false, and its negation true: SQL's third
 * value does not get out of here. */
static void
put_term(struct compiler *c, const struct filter *t, bool negate)
{
    enum column_type type = columns[t->column].type;

    if (t->cmp == CMP_IS_NULL) {
        put_column(c, t->column);
        fputs(negate ? " IS NOT NULL" : " IS NULL", c->out);
        return;
    }
    negate ^= t->cmp == CMP_NE;
    if (negate) {
        putc('(', c->out);
    }
    if (t->value != FV_COLUMN) {
        put_computed(c, t);
    } else if (t->cmp == CMP_IN_PREFIX) {
        put_prefix(c, t);
    } else if (type == COLUMN_T_NAME) {
        put_name(c, t);
    } else if (t->cmp == CMP_BITS_ALL || t->cmp == CMP_BITS_NONE) {
        put_bits(c, t);
    } else {
        put_number(c, t);
    }
    if (negate) {
        fputs(") IS NOT TRUE", c->out);
    }
}

static void
put_filter(struct compiler *c, const struct filter *f, bool negate)
{
    while (f->op == FILTER_NOT) {
        negate = !negate;
        f = f->left;
    }
    if (f->op == FILTER_ANY) {
        fputs(negate ? "FALSE" : "TRUE", c->out);
    } else if (f->op == FILTER_TERM) {
        put_term(c, f, negate);
    } else {
        /* De Morgan; chains are written without parentheses, since engines
         * bound how deep expressions nest. */
        bool and_ = (f->op == FILTER_AND) != negate;
        const struct filter *sides[] = { f->left, f->right };
        for (int i = 0; i < 2; i++) {
            bool chain = i == 0 && sides[i]->op == f->op;
            bool leaf = sides[i]->op == FILTER_TERM;
            fputs(i == 0 ? "" : and_ ? " AND " : " OR ", c->out);
            fputs(chain || leaf ? "" : "(", c->out);
            put_filter(c, sides[i], negate);
            fputs(chain || leaf ? "" : ")", c->out);
        }
    }
}

/* What the query reads from one segment. */

static int64_t
clamp_time(int64_t us)
{
    return us < 0 ? 0 : us > TIME_LAST_US ? TIME_LAST_US : us;
}

static void
put_where(struct compiler *c)
{
    const struct query *q = c->q;

    fputs(" WHERE ", c->out);
    put_column(c, COL_flow_end);
    fputs(" >= ", c->out);
    put_parameter(c, COLUMN_T_TIME, (struct sql_bind) {
        .kind = BIND_TIME, .time_us = clamp_time(q->from_us) });
    fputs(" AND ", c->out);
    put_column(c, COL_flow_end);
    fputs(" < ", c->out);
    put_parameter(c, COLUMN_T_TIME, (struct sql_bind) {
        .kind = BIND_TIME, .time_us = clamp_time(q->to_us) });
    if (!q->all_observations
        && column_set_has(&c->source->has, COL_canonical)) {
        fputs(" AND ", c->out);
        put_column(c, COL_canonical);
    }
    if (q->filter && q->filter->op != FILTER_ANY) {
        fputs(" AND (", c->out);
        put_filter(c, q->filter, false);
        fputs(")", c->out);
    }
}

/* The expressions of keys (k0...) and metrics (m0...), separated by commas. */
static void
put_rows(struct compiler *c, bool aggregate)
{
    const struct query *q = c->q;
    const char *comma = "";

    if (q->bucket_us) {
        size_t n = bind(c, (struct sql_bind) {
            .kind = BIND_NUMBER, .number = (uint64_t) q->bucket_us });
        c->d->bucket(c->out, "f.\"flow_end\"", n);
        fputs(" AS t", c->out);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        fputs(comma, c->out);
        put_column(c, q->by[i]);
        fprintf(c->out, " AS k%u", i);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        fputs(comma, c->out);
        comma = ", ";
        if (q->metrics[i] == QUERY_METRIC_FLOWS) {
            fprintf(c->out, "%s AS m%u", aggregate ? "count(*)" : "1", i);
            continue;
        }
        fputs(aggregate ? "sum(" : "", c->out);
        put_column(c, q->metrics[i]);
        fprintf(c->out, "%s AS m%u", aggregate ? ")" : "", i);
    }
}

static void
put_group_by(struct compiler *c)
{
    const struct query *q = c->q;
    unsigned n = q->n_by + (q->bucket_us != 0);
    for (unsigned i = 0; i < n; i++) {
        fprintf(c->out, "%s%u", i ? ", " : " GROUP BY ", i + 1);
    }
}

/* One segment without names: plain rows, summed up by the outer query. */
static void
put_source_plain(struct compiler *c)
{
    fputs("SELECT ", c->out);
    put_rows(c, false);
    fputs(" FROM ", c->out);
    c->d->table(c->out, c->source->schema, "flows");
    fputs(" AS f", c->out);
    put_where(c);
}

/* One segment with names: summed up by id first, so that a text is looked up
 * once a group and not once a row. */
static void
put_source_names(struct compiler *c)
{
    const struct query *q = c->q;

    fputs("SELECT ", c->out);
    fputs(q->bucket_us ? "a.t, " : "", c->out);
    for (unsigned i = 0; i < q->n_by; i++) {
        bool name = columns[q->by[i]].type == COLUMN_T_NAME;
        fprintf(c->out, name ? "%sn%u.text AS k%u" : "%sa.k%u AS k%u",
                i ? ", " : "", i, i);
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        fprintf(c->out, ", a.m%u", i);
    }
    fputs(" FROM (SELECT ", c->out);
    put_rows(c, true);
    fputs(" FROM ", c->out);
    c->d->table(c->out, c->source->schema, "flows");
    fputs(" AS f", c->out);
    put_where(c);
    put_group_by(c);
    fputs(") AS a", c->out);
    for (unsigned i = 0; i < q->n_by; i++) {
        if (columns[q->by[i]].type == COLUMN_T_NAME) {
            fputs(" LEFT JOIN ", c->out);
            c->d->table(c->out, c->source->schema, "names");
            fprintf(c->out, " AS n%u ON n%u.id = a.k%u", i, i, i);
        }
    }
}

/* No segment: the same columns and no rows. */
static void
put_nothing(struct compiler *c)
{
    const struct query *q = c->q;
    const char *comma = "";

    fputs("SELECT ", c->out);
    if (q->bucket_us) {
        c->d->null(c->out, COLUMN_T_TIME);
        fputs(" AS t", c->out);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        fputs(comma, c->out);
        if (columns[q->by[i]].type == COLUMN_T_NAME) {
            fputs("''", c->out);
        } else {
            c->d->null(c->out, columns[q->by[i]].type);
        }
        fprintf(c->out, " AS k%u", i);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        fputs(comma, c->out);
        c->d->null(c->out, COLUMN_T_U64);
        fprintf(c->out, " AS m%u", i);
        comma = ", ";
    }
    fputs(" WHERE FALSE", c->out);
}

static void
put_select(struct compiler *c)
{
    const struct query *q = c->q;
    const char *comma = "";

    fputs("SELECT ", c->out);
    if (q->bucket_us) {
        fputs("t", c->out);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        fprintf(c->out, "%sk%u", comma, i);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        unsigned id = q->metrics[i];
        /* Nothing at all sums up to 0, unless it can be absent. */
        bool zero = id == QUERY_METRIC_FLOWS
                    || !(columns[id].flags & CF_NULL);
        fputs(comma, c->out);
        if (id == QUERY_METRIC_FLOWS && !c->names) {
            fputs("count(*)", c->out);
        } else {
            fprintf(c->out, zero ? "coalesce(sum(m%u), 0)" : "sum(m%u)", i);
        }
        comma = ", ";
    }
}

/* By the column asked for, then by the others, so that the same question has
 * the same answer. */
static void
put_order(struct compiler *c)
{
    const struct query *q = c->q;
    unsigned n_keys = q->n_by + (q->bucket_us != 0);
    const char *comma = " ORDER BY ";

    if (q->order >= 0) {
        fprintf(c->out, "%s%d %s NULLS LAST", comma, q->order + 1,
                q->descending ? "DESC" : "ASC");
        comma = ", ";
    }
    for (unsigned i = 0; i < n_keys; i++) {
        if ((int) i != q->order) {
            fprintf(c->out, "%s%u NULLS LAST", comma, i + 1);
            comma = ", ";
        }
    }
}

int
sql_compile(const struct query *q, const struct sql_source *sources,
            size_t n, const struct sql_dialect *dialect, struct sql *sql)
{
    size_t size;
    struct compiler c = { .q = q, .d = dialect, .sql = sql };

    memset(sql, 0, sizeof *sql);
    c.out = open_memstream(&sql->text, &size);
    if (!c.out) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        c.names |= columns[q->by[i]].type == COLUMN_T_NAME;
    }
    put_select(&c);
    fputs(" FROM (", c.out);
    for (size_t i = 0; i < n; i++) {
        c.source = &sources[i];
        c.next = 1;
        fputs(i ? " UNION ALL " : "", c.out);
        if (c.names) {
            put_source_names(&c);
        } else {
            put_source_plain(&c);
        }
    }
    if (!n) {
        put_nothing(&c);
    }
    fputs(") AS u", c.out);
    put_group_by(&c);
    put_order(&c);
    fprintf(c.out, " LIMIT %" PRIu64, q->limit + 1);
    if (fclose(c.out) || c.failed) {
        sql_clear(sql);
        return -ENOMEM;
    }
    return 0;
}

void
sql_clear(struct sql *sql)
{
    free(sql->text);
    free(sql->binds);
    memset(sql, 0, sizeof *sql);
}

char *
query_sql(const struct query *q, const char *const *schemas, size_t n)
{
    struct sql_source *sources = calloc(n + 1, sizeof *sources);
    struct sql sql;
    char *text = NULL;

    for (size_t i = 0; sources && i < n; i++) {
        sources[i].schema = schemas[i];
        for (unsigned id = 0; id < N_COLUMNS; id++) {
            column_set_add(&sources[i].has, id);
        }
    }
    if (sources && !sql_compile(q, sources, n, &sql_duckdb, &sql)) {
        text = sql.text;
        sql.text = NULL;
        sql_clear(&sql);
    }
    free(sources);
    return text;
}
