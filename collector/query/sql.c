#include <config.h>

#include "collector/query/sql_p.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collector/filter/confine.h"

static bool
same_bind(const struct sql_bind *a, const struct sql_bind *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case BIND_NUMBER:
        return a->number == b->number;
    case BIND_TIME:
        return a->time_us == b->time_us;
    case BIND_ADDR:
        return !memcmp(&a->addr, &b->addr, sizeof a->addr);
    default:
        return !strcmp(a->text, b->text);
    }
}

/* The number of a parameter that has this value.  Sources ask for mostly the
 * same ones in the same order: only the first makes them. */
size_t
sql_bind_add(struct compiler *c, struct sql_bind value)
{
    size_t n = c->next++;
    struct sql *s = c->sql;

    if (n <= s->n_binds && same_bind(&s->binds[n - 1], &value)) {
        return n;
    }
    if (s->n_binds == s->allocated) {
        size_t more = s->allocated ? s->allocated * 2 : 16;
        struct sql_bind *p = realloc(s->binds, more * sizeof *p);
        if (!p) {
            c->failed = true;
            return 1;
        }
        s->binds = p;
        s->allocated = more;
    }
    s->binds[s->n_binds++] = value;
    return c->next = s->n_binds + 1, s->n_binds;
}

void
sql_put_parameter(struct compiler *c, enum column_type type,
                  struct sql_bind value)
{
    c->d->parameter(c->out, sql_bind_add(c, value), type);
}

/* Whether a column of the source is an id of its table of names. */
bool
sql_is_id(const struct compiler *c, unsigned id)
{
    return columns[id].type == COLUMN_T_NAME && !c->source->scan
           && !c->source->rollup;
}

/* That an end (0: the source) is of the tenants that the asker may see. */
static void
put_sees(struct compiler *c, int end)
{
    const struct confine *confine = c->q->confine;
    if (end == CONFINE_BOTH) {
        put_sees(c, 0);
        fputs(" AND ", c->out);
        put_sees(c, 1);
        return;
    }
    enum column_id id = end ? COL_dst_tenant : COL_src_tenant;
    bool ids = sql_is_id(c, id);

    fprintf(c->out, "f.\"%s\" IN (", columns[id].name);
    if (ids) {
        fputs("SELECT id FROM ", c->out);
        c->d->table(c->out, c->source->schema, "names");
        fputs(" WHERE text IN (", c->out);
    }
    for (size_t i = 0; i < confine_count(confine); i++) {
        fputs(i ? ", " : "", c->out);
        sql_put_parameter(c, COLUMN_T_NAME, (struct sql_bind) {
            .kind = BIND_TEXT, .text = confine_name(confine, i) });
    }
    fputs(ids ? "))" : ")", c->out);
}

/* A column, or nothing where who asks must not see it. */
void
sql_put_column(struct compiler *c, enum column_id id)
{
    int end = c->plain || !c->q->confine ? -1 : confine_end(id);

    if (!column_set_has(&c->source->has, id)) {
        c->d->null(c->out, columns[id].type);
        return;
    }
    if (end >= 0) {
        fputs("CASE WHEN ", c->out);
        put_sees(c, end);
        fputs(" THEN ", c->out);
    }
    fprintf(c->out, "f.\"%s\"", columns[id].name);
    fputs(end >= 0 ? " END" : "", c->out);
}

/* What the query reads from one segment. */

static int64_t
clamp_time(int64_t us)
{
    return us < 0 ? 0 : us > TIME_LAST_US ? TIME_LAST_US : us;
}

static void
put_time(struct compiler *c, int64_t us)
{
    sql_put_parameter(c, COLUMN_T_TIME, (struct sql_bind) {
        .kind = BIND_TIME, .time_us = clamp_time(us) });
}

void
sql_put_range(struct compiler *c, int64_t from_us, int64_t to_us)
{
    sql_put_column(c, COL_flow_end);
    fputs(" >= ", c->out);
    put_time(c, from_us);
    fputs(" AND ", c->out);
    sql_put_column(c, COL_flow_end);
    fputs(" < ", c->out);
    put_time(c, to_us);
}

/* Each row is there for either end; the second time only if the ends differ. */
static void
put_ends(struct compiler *c, const char *before)
{
    const char *or = " OR ";
    if (!query_either(c->q)) {
        return;
    }
    fprintf(c->out, "%s(NOT e.other", before);
    for (unsigned i = 0; i < c->q->n_by; i++) {
        if (c->q->key[i].either) {
            fputs(or, c->out);
            c->end = OWN_END;
            sql_put_key(c, i);
            fputs(" IS DISTINCT FROM ", c->out);
            c->end = OTHER_END;
            sql_put_key(c, i);
            c->end = ROW_END;
        }
    }
    fputs(")", c->out);
}

static void
put_where(struct compiler *c)
{
    const struct query *q = c->q;
    const struct filter *f = c->source->filter ? c->source->filter
                                               : q->filter;

    if (c->source->scan) {      /* It was told, but for this. */
        put_ends(c, " WHERE ");
        return;
    }
    fputs(" WHERE ", c->out);
    if (q->previous_us) {
        fputs("((", c->out);
        sql_put_range(c, q->from_us, q->to_us);
        fputs(") OR (", c->out);
        sql_put_range(c, q->from_us - q->previous_us,
                      q->to_us - q->previous_us);
        fputs("))", c->out);
    } else {
        sql_put_range(c, q->from_us, q->to_us);
    }
    if (!q->all_observations
        && column_set_has(&c->source->has, COL_canonical)) {
        fputs(" AND ", c->out);
        sql_put_column(c, COL_canonical);
    }
    if (f && f->op != FILTER_ANY) {
        fputs(" AND (", c->out);
        c->plain = true;
        sql_put_filter(c, f, false);
        c->plain = false;
        fputs(")", c->out);
    }
    put_ends(c, " AND ");
}

static const char *
aggregate_of(unsigned fn)
{
    return fn == FN_MIN ? "min" : fn == FN_MAX ? "max"
           : fn == FN_DISTINCT ? "count(DISTINCT " : "sum";
}

static void
put_bucket(struct compiler *c, int64_t us)
{
    size_t n = sql_bind_add(c, (struct sql_bind) {
        .kind = BIND_NUMBER, .number = (uint64_t) us });
    c->d->bucket(c->out, "f.\"flow_end\"", n);
}

/* The expressions of keys (k0...) and metrics (m0...), separated by commas;
 * names as ids or, by row, as texts. */
static void
put_rows(struct compiler *c, bool aggregate)
{
    const struct query *q = c->q;
    const char *comma = "";

    if (q->bucket_us || c->p95) {
        put_bucket(c, c->p95 ? q->p95_us : q->bucket_us);
        fputs(" AS t", c->out);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        fputs(comma, c->out);
        if (c->by_row && sql_is_id(c, q->by[i])) {
            fprintf(c->out, "n%u.text", i);
        } else {
            sql_put_key(c, i);
        }
        fprintf(c->out, " AS k%u", i);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        fputs(comma, c->out);
        comma = ", ";
        if (aggregate) {
            fprintf(c->out, "%s(", aggregate_of(q->calc[i].fn));
        }
        sql_put_metric_row(c, i);
        fprintf(c->out, "%s AS m%u", aggregate ? ")" : "", i);
    }
}

static void
put_group_by(struct compiler *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        fprintf(c->out, "%s%u", i ? ", " : " GROUP BY ", i + 1);
    }
}

static unsigned
n_keys(const struct compiler *c)
{
    return c->q->n_by + (c->q->bucket_us != 0);
}

static void
put_from(struct compiler *c)
{
    fputs(" FROM ", c->out);
    if (c->source->scan) {
        fputs(c->source->scan, c->out);
    } else {
        c->d->table(c->out, c->source->schema, c->source->rollup
                    ? c->source->rollup : "flows");
    }
    fputs(" AS f", c->out);
    if (query_either(c->q)) {
        fputs(" CROSS JOIN (VALUES (FALSE), (TRUE)) AS e(other)", c->out);
    }
}

/* The texts of a NAME column, as table 'prefix' 'i'. */
static void
put_names(struct compiler *c, char prefix, unsigned i)
{
    fputs(" LEFT JOIN ", c->out);
    c->d->table(c->out, c->source->schema, "names");
    fprintf(c->out, " AS %c%u ON %c%u.id = ", prefix, i, prefix, i);
}

/* One segment, row by row: the outer query sums up.  Names are looked up for
 * each row, where they are needed at all. */
static void
put_source_rows(struct compiler *c)
{
    const struct query *q = c->q;

    if (c->source->sums) {
        fprintf(c->out, "SELECT * FROM %s", c->source->scan);
        return;
    }
    fputs("SELECT ", c->out);
    put_rows(c, false);
    put_from(c);
    if (c->source->rollup) {
        put_where(c);
        return;
    }
    for (unsigned i = 0; c->by_row && i < q->n_by; i++) {
        if (sql_is_id(c, q->by[i])) {
            put_names(c, 'n', i);
            sql_put_side(c, i);
        }
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        if (q->calc[i].fn == FN_DISTINCT && sql_is_id(c, q->metrics[i])) {
            put_names(c, 'd', i);
            sql_put_column(c, q->metrics[i]);
        }
    }
    put_where(c);
}

/* One segment with names: summed up by id first, so that a text is looked up
 * once a group and not once a row. */
static void
put_source_names(struct compiler *c)
{
    const struct query *q = c->q;
    bool time = q->bucket_us || c->p95;

    fputs("SELECT ", c->out);
    fputs(time ? "a.t, " : "", c->out);
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
    put_from(c);
    put_where(c);
    put_group_by(c, q->n_by + time);
    fputs(") AS a", c->out);
    for (unsigned i = 0; i < q->n_by; i++) {
        if (columns[q->by[i]].type == COLUMN_T_NAME) {
            put_names(c, 'n', i);
            fprintf(c->out, "a.k%u", i);
        }
    }
}

static void
put_null_text(struct compiler *c, enum column_type type)
{
    if (type == COLUMN_T_NAME) {
        fputs("''", c->out);
    } else {
        c->d->null(c->out, type);
    }
}

/* No segment: the same columns and no rows. */
static void
put_nothing(struct compiler *c)
{
    const struct query *q = c->q;
    const char *comma = "";

    fputs("SELECT ", c->out);
    if (q->bucket_us || c->p95) {
        c->d->null(c->out, COLUMN_T_TIME);
        fputs(" AS t", c->out);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        fputs(comma, c->out);
        put_null_text(c, columns[q->by[i]].type);
        fprintf(c->out, " AS k%u", i);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        unsigned id = q->metrics[i];
        fputs(comma, c->out);
        put_null_text(c, id < N_COLUMNS ? columns[id].type : COLUMN_T_U64);
        fprintf(c->out, " AS m%u", i);
        comma = ", ";
    }
    fputs(" WHERE FALSE", c->out);
}

/* A metric out of those of segments or buckets. */
static void
put_metric(struct compiler *c, unsigned i)
{
    const struct query *q = c->q;
    unsigned id = q->metrics[i], fn = q->calc[i].fn;
    /* Nothing at all sums up to 0, unless it can be absent. */
    bool zero = id == QUERY_METRIC_FLOWS || !(columns[id].flags & CF_NULL);

    if (fn == FN_ERROR) {
        fprintf(c->out, "least(round(1.96 * sqrt(coalesce(sum(m%u), 0))), "
                "1.8e19)::UBIGINT", i);
    } else if (fn == FN_DISTINCT) {
        fprintf(c->out, "count(DISTINCT m%u)", i);
    } else if (fn == FN_MIN || fn == FN_MAX) {
        fprintf(c->out, "%s(m%u)", aggregate_of(fn), i);
    } else if (fn == FN_P95) {
        int64_t n = (q->to_us - q->from_us + q->p95_us - 1) / q->p95_us;
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        c->d->percentile(c->out, name, (uint64_t) n);
    } else if (id == QUERY_METRIC_FLOWS && !c->names && !c->p95
               && !c->rollups
               && fn != FN_REVERSE && !q->previous_us) {
        fputs("count(*)", c->out);
    } else {
        fprintf(c->out, zero ? "coalesce(sum(m%u), 0)" : "sum(m%u)", i);
    }
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
        fputs(comma, c->out);
        put_metric(c, i);
        comma = ", ";
    }
}

/* Between the segments and a percentile: sums of each bucket. */
static void
put_bucket_select(struct compiler *c)
{
    const struct query *q = c->q;

    fputs("SELECT t", c->out);
    for (unsigned i = 0; i < q->n_by; i++) {
        fprintf(c->out, ", k%u", i);
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        fprintf(c->out, ", %s(m%u) AS m%u", aggregate_of(q->calc[i].fn), i,
                i);
    }
    fputs(" FROM (", c->out);
}

/* By the column asked for, then by the others, so that the same question has
 * the same answer. */
static void
put_order(struct compiler *c)
{
    const struct query *q = c->q;
    const char *comma = " ORDER BY ";

    if (q->order >= 0) {
        fprintf(c->out, "%s%d %s NULLS LAST", comma, q->order + 1,
                q->descending ? "DESC" : "ASC");
        comma = ", ";
    }
    for (unsigned i = 0; i < n_keys(c); i++) {
        if ((int) i != q->order) {
            fprintf(c->out, "%s%u NULLS LAST", comma, i + 1);
            comma = ", ";
        }
    }
}

/* Single records. */

/* What orders records of the same time, so that pages are cut at the same place
 * each time: the later arrival comes later. */
static const enum column_id ties[] = {
    COL_received, COL_src_addr, COL_dst_addr, COL_src_port, COL_dst_port,
    COL_proto, COL_bytes, COL_packets, COL_exporter,
};
#define N_TIES (sizeof ties / sizeof ties[0])

static void
put_source_records(struct compiler *c)
{
    const struct query_records *r = &c->q->records;

    fputs("SELECT ", c->out);
    sql_put_column(c, COL_flow_end);
    fputs(" AS k0", c->out);
    for (unsigned i = 0; i < r->n_fields; i++) {
        fputs(", ", c->out);
        if (sql_is_id(c, r->fields[i])) {
            fprintf(c->out, "n%u.text", i);
        } else {
            sql_put_column(c, r->fields[i]);
        }
        fprintf(c->out, " AS k%u", i + 1);
    }
    for (unsigned i = 0; i < N_TIES; i++) {
        fputs(", ", c->out);
        sql_put_column(c, ties[i]);
        fprintf(c->out, " AS r%u", i);
    }
    put_from(c);
    for (unsigned i = 0; i < r->n_fields; i++) {
        if (sql_is_id(c, r->fields[i])) {
            put_names(c, 'n', i);
            sql_put_column(c, r->fields[i]);
        }
    }
    put_where(c);
}

static void
put_no_records(struct compiler *c)
{
    const struct query_records *r = &c->q->records;
    fputs("SELECT ", c->out);
    c->d->null(c->out, COLUMN_T_TIME);
    fputs(" AS k0", c->out);
    for (unsigned i = 0; i < r->n_fields; i++) {
        fputs(", ", c->out);
        put_null_text(c, columns[r->fields[i]].type);
        fprintf(c->out, " AS k%u", i + 1);
    }
    for (unsigned i = 0; i < N_TIES; i++) {
        fprintf(c->out, ", NULL AS r%u", i);
    }
    fputs(" WHERE FALSE", c->out);
}

static void
put_sources(struct compiler *c, const struct sql_source *sources, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        c->source = &sources[i];
        c->next = 1;
        fputs(i ? " UNION ALL " : "", c->out);
        if (c->q->records.on) {
            put_source_records(c);
        } else if (c->names && !c->by_row && !c->source->scan
                   && !c->source->rollup) {
            put_source_names(c);
        } else {
            put_source_rows(c);
        }
    }
    if (!n && c->q->records.on) {
        put_no_records(c);
    } else if (!n) {
        put_nothing(c);
    }
}

static void
put_records(struct compiler *c, const struct sql_source *sources, size_t n)
{
    const struct query_records *r = &c->q->records;
    fputs("SELECT k0", c->out);
    for (unsigned i = 0; i < r->n_fields; i++) {
        fprintf(c->out, ", k%u", i + 1);
    }
    fputs(" FROM (", c->out);
    put_sources(c, sources, n);
    fputs(") AS u", c->out);
    if (r->all) {
        return;
    }
    fprintf(c->out, " ORDER BY k0%s", r->oldest_first ? "" : " DESC");
    for (unsigned i = 0; i < N_TIES; i++) {
        fprintf(c->out, ", r%u NULLS LAST", i);
    }
    fprintf(c->out, " LIMIT %" PRIu64 " OFFSET %" PRIu64, c->q->limit + 1,
            r->skip);
}

static void
put_sums(struct compiler *c, const struct sql_source *sources, size_t n)
{
    if (c->q->unordered && n == 1 && sources[0].sums) {
        /* Who does not mind the order does not mind a group in parts. */
        c->source = &sources[0];
        put_source_rows(c);
        return;
    }
    put_select(c);
    fputs(" FROM (", c->out);
    if (c->p95) {
        put_bucket_select(c);
    }
    put_sources(c, sources, n);
    if (c->p95) {
        fputs(") AS b", c->out);
        put_group_by(c, c->q->n_by + 1);
    }
    fputs(") AS u", c->out);
    put_group_by(c, n_keys(c));
    if (!c->q->unordered) {
        put_order(c);
        fprintf(c->out, " LIMIT %" PRIu64, c->q->limit + 1);
    }
}

int
query_confine(const struct query *q, struct query *out)
{
    *out = *q;
    out->filter = q->confine ? confine_filter(q->confine, q->filter)
                  : filter_copy(q->filter);
    return !out->filter && (q->confine || q->filter) ? -ENOMEM : 0;
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
    for (size_t i = 0; i < n; i++) {
        c.ids |= !sources[i].scan && !sources[i].rollup;
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        c.names |= c.ids && columns[q->by[i]].type == COLUMN_T_NAME;
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        c.by_row |= q->calc[i].fn == FN_DISTINCT;
        c.p95 |= q->calc[i].fn == FN_P95;
    }
    for (size_t i = 0; i < n; i++) {
        c.rollups |= sources[i].rollup || sources[i].sums;
    }
    if (q->records.on) {
        put_records(&c, sources, n);
    } else {
        put_sums(&c, sources, n);
    }
    if (fclose(c.out) || c.failed) {
        sql_clear(sql);
        return -ENOMEM;
    }
    return 0;
}

void
sql_clear(struct sql *sql)
{
    for (size_t i = 0; i < sql->n_texts; i++) {
        free(sql->texts[i]);
    }
    free(sql->texts);
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
    struct query confined = { .filter = NULL };
    if (sources && !query_confine(q, &confined)
        && !sql_compile(&confined, sources, n, &sql_duckdb, &sql)) {
        text = sql.text;
        sql.text = NULL;
        sql_clear(&sql);
    }
    filter_destroy(confined.filter);
    free(sources);
    return text;
}
