#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/filter/confine.h"
#include "collector/query/exec_p.h"
#include "collector/query/insert.h"
#include "collector/query/resolver.h"
#include "collector/query/rollup_plan.h"
#include "collector/query/sql.h"
#include "collector/store/scan.h"
#include "collector/store/store.h"
#include "collector/store/sums.h"
#include "collector/store/view.h"
#include "lib/clock.h"
#include "lib/log.h"

#define HOUR_US INT64_C(3600000000)
#define PROGRESS_US 200000
/* Of one result in memory. */
#define MAX_RESULT_BYTES ((size_t) 128 << 20)
/* How long to sleep while only DuckDB's own threads have work. */
#define WAIT_US 200

enum { TIER_RAW = 1, TIER_MINUTE = 2, TIER_HOUR = 4 };

/* One run of a query, maybe in several statements over the same view. */
struct run {
    struct job *job;
    unsigned n_statements, n_done;      /* For progress. */
    bool summed;                /* The latest statement read sums, too. */
    bool unreadable;            /* Sums could not be read. */
    int64_t told_us;
    const _Atomic bool *stop;   /* Or NULL. */
    struct query_result *r;     /* Of the job: the status is told here. */
    struct rollup *rollup;
    struct query_resolver *resolver;    /* Or NULL. */
    struct store_view view;
    struct rollup_plan plan;    /* Of the statement at hand. */
    unsigned tiers;             /* That were read: TIER_... */
    /* Of the statement at hand. */
    struct scan *scan;
    char relation[SCAN_RELATION_LEN];
    struct sql sql;
    duckdb_prepared_statement st;
    duckdb_pending_result pending;
    duckdb_result result;
    bool has_result;
};

void
query_fail(struct query_result *r, enum query_status status, const char *why)
{
    r->status = status;
    snprintf(r->error, sizeof r->error, "%s", why ? why : "unknown error");
}

static void
fail_duckdb(struct run *run, const char *why)
{
    struct query_result *r = run->r;

    store_view_failed(&run->view, why);
    /* DuckDB's exception for what exceeds memory_limit, on disk as well. */
    if (why && (strstr(why, "Out of Memory")
                || strstr(why, "failed to offload"))) {
        query_fail(r, QUERY_TOO_BIG, "the query needs more memory than it may "
                   "have; group by fewer columns or ask for a shorter time");
    } else {
        query_fail(r, QUERY_FAILED, why);
    }
}

/* Whether the query has to end; says why. */
static bool
must_end(struct run *run)
{
    struct job *job = run->job;
    if (atomic_load(&job->cancelled)
        || (run->stop && atomic_load(run->stop))) {
        query_fail(run->r, QUERY_CANCELLED, "the query was cancelled");
    } else if (clock_mono_us() >= job->deadline_us) {
        query_fail(run->r, QUERY_TIMEOUT, "the query took longer than it may");
    } else if (run->view.store && store_view_broken(&run->view)) {
        query_fail(run->r, QUERY_FAILED, "the store is restarting");
    } else {
        return false;
    }
    return true;
}

static int
bind_all(struct run *run)
{
    for (size_t i = 0; i < run->sql.n_binds; i++) {
        const struct sql_bind *b = &run->sql.binds[i];
        duckdb_state st = DuckDBError;
        switch (b->kind) {
        case BIND_NUMBER:
            st = duckdb_bind_uint64(run->st, i + 1, b->number);
            break;
        case BIND_TIME:
            st = duckdb_bind_timestamp(run->st, i + 1,
                                       (duckdb_timestamp) { b->time_us });
            break;
        case BIND_ADDR:
            st = duckdb_bind_uhugeint(run->st, i + 1,
                                      schema_from_addr(&b->addr));
            break;
        case BIND_TEXT:
            st = duckdb_bind_varchar(run->st, i + 1, b->text);
            break;
        }
        if (st != DuckDBSuccess) {
            query_fail(run->r, QUERY_FAILED, "cannot bind a value");
            return -EINVAL;
        }
    }
    return 0;
}

/* Opens the view of all that the query can touch. */
static int
open_view(struct run *run, struct store *store)
{
    const struct query *q = &run->job->q;
    struct query_result *r = run->r;
    char why[256];

    if (store_view_open(store, q->from_us - q->previous_us, q->to_us,
                        &run->view, why, sizeof why)) {
        query_fail(r, QUERY_FAILED, why);
        return -EIO;
    }
    r->segments = (unsigned) run->view.n_segments;
    return 0;
}

/* Asked by the threads that read the store. */
static bool
is_over(void *aux)
{
    struct run *run = aux;
    return atomic_load(&run->job->cancelled)
           || (run->stop && atomic_load(run->stop))
           || clock_mono_us() >= run->job->deadline_us;
}

/* Whether the store can sum up by itself what a query asks for; *adds if
 * nothing is a smallest or largest. */
static bool
make_sums(const struct run *run, const struct query *q, bool alone,
          struct sums_spec *s, bool *adds)
{
    *adds = true;
    if (q->records.on || q->previous_us || q->bidirectional
        || query_either(q)
        || q->n_by > SUMS_MAX_KEYS || q->n_metrics > SUMS_MAX_METRICS) {
        return false;
    }
    memset(s, 0, sizeof *s);
    s->bucket_us = q->bucket_us;
    s->n_keys = q->n_by;
    s->n_metrics = q->n_metrics;
    for (unsigned i = 0; i < q->n_by; i++) {
        s->keys[i].column = q->by[i];
        s->keys[i].prefix = q->key[i].form == FORM_PREFIX;
        s->keys[i].v4_len = q->key[i].v4_len;
        s->keys[i].v6_len = q->key[i].v6_len;
        if (columns[q->by[i]].type == COLUMN_T_TIME
            || q->key[i].form == FORM_LABEL
            || query_resolver_fills(run->resolver, q->by[i])
            || (q->confine && confine_end(q->by[i]) >= 0)) {
            return false;
        }
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        unsigned id = q->metrics[i], fn = q->calc[i].fn;
        s->metrics[i] = id == QUERY_METRIC_FLOWS ? N_COLUMNS : id;
        s->of[i] = fn == FN_MIN ? SUMS_MIN : fn == FN_MAX ? SUMS_MAX
                                                          : SUMS_ADD;
        bool time = id < N_COLUMNS && columns[id].type == COLUMN_T_TIME;
        if ((s->of[i] == SUMS_ADD && fn != FN_SUM && fn != FN_SHARE)
            || (id < N_COLUMNS && columns[id].type != COLUMN_T_U64
                && !(time && s->of[i] != SUMS_ADD))) {
            return false;
        }
        *adds &= s->of[i] == SUMS_ADD;
    }
    int first = (int) q->n_by + (q->bucket_us != 0);
    if (alone && !q->unordered && q->order >= first
        && s->of[q->order - first] == SUMS_ADD) {
        s->top = q->limit + 1;
        s->order = (unsigned) (q->order - first);
        s->descending = q->descending;
    }
    return true;
}

/* What a statement reads of the store: no flows that a tier has. */
static int
open_scan(struct run *run, const struct query *q, struct sql_source *source,
          bool alone)
{
    struct sums_spec sums;
    bool adds;
    struct scan_spec spec = {
        .filter = run->plan.raw ? run->plan.raw : q->filter,
        .canonical = !q->all_observations,
        .n_ranges = 1, .ranges = { { q->from_us, q->to_us } },
        .stage = query_resolver_stage(run->resolver),
        .over = is_over, .aux = run,
    };
    if (q->previous_us) {
        spec.n_ranges = 2;
        spec.ranges[1].from_us = q->from_us - q->previous_us;
        spec.ranges[1].to_us = q->to_us - q->previous_us;
    }
    source->sums = make_sums(run, q, alone, &sums, &adds);
    spec.sums = source->sums ? &sums : NULL;
    spec.totals = source->sums && alone && adds && q->totals;
    if (spec.totals) {
        run->n_statements = 1;
    }
    run->scan = scan_open(&run->view, &spec);
    if (!run->scan) {
        query_fail(run->r, QUERY_FAILED, "out of memory");
        return -ENOMEM;
    }
    scan_relation(run->scan, run->relation);
    return 0;
}

static int
prepare(struct run *run, const struct query *q)
{
    struct sql_source sources[1 + N_ROLLUPS] = { { .scan = run->relation } };
    size_t n = 1;
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        column_set_add(&sources[0].has, i);
    }
    rollup_plan(run->rollup, q, &run->view, &run->plan);
    run->summed = run->plan.n > 0;
    for (unsigned i = 0; i < run->plan.n; i++) {
        sources[n++] = run->plan.sources[i];
        run->tiers |= !strcmp(run->plan.names[i], "1h") ? TIER_HOUR
                                                        : TIER_MINUTE;
    }
    int e = open_scan(run, q, &sources[0], n == 1);
    if (e) {
        return e;
    }
    e = sql_compile(q, sources, n, &sql_duckdb, &run->sql);
    if (e) {
        query_fail(run->r, QUERY_FAILED, "out of memory");
        return e;
    }
    LOG(query, DBG, "%s", run->sql.text);
    if (duckdb_prepare(run->view.conn, run->sql.text, &run->st)
        != DuckDBSuccess) {
        fail_duckdb(run, duckdb_prepare_error(run->st));
        return -EIO;
    }
    return bind_all(run);
}

/* Ends a statement that runs, and waits until DuckDB's own threads have let go of
 * it: they use the scan. */
static void
give_up(struct run *run)
{
    duckdb_pending_state s;

    duckdb_interrupt(run->view.conn);
    do {
        s = duckdb_pending_execute_task(run->pending);
        if (s == DUCKDB_PENDING_NO_TASKS_AVAILABLE) {
            usleep(WAIT_US);
        }
    } while (s != DUCKDB_PENDING_ERROR
             && !duckdb_pending_execution_is_finished(s));
}

/* Tells how far the query is, if somebody wants to know. */
static void
tell_progress(struct run *run)
{
    const struct query *q = &run->job->q;
    int64_t now = clock_mono_us();

    if (!q->progress || now - run->told_us < PROGRESS_US || !run->scan) {
        return;
    }
    run->told_us = now;
    double part = (run->n_done + scan_part(run->scan))
                  / (run->n_statements ? run->n_statements : 1);
    q->progress(run->job->aux, part > 1 ? 1 : part,
                run->r->rows_scanned + scan_rows(run->scan));
}

/* Runs the statement in steps, looking up between them. */
static int
step(struct run *run)
{
    if (duckdb_pending_prepared(run->st, &run->pending) != DuckDBSuccess) {
        fail_duckdb(run, duckdb_pending_error(run->pending));
        return -EIO;
    }
    for (;;) {
        /* A COPY or INSERT that is interrupted leaks in DuckDB; its scan ends
         * early, so that it is soon through. */
        if (!run->stop && must_end(run)) {
            give_up(run);
            return -ECANCELED;
        }
        tell_progress(run);
        duckdb_pending_state s = duckdb_pending_execute_task(run->pending);
        if (s == DUCKDB_PENDING_ERROR) {
            fail_duckdb(run, duckdb_pending_error(run->pending));
            return -EIO;
        }
        if (duckdb_pending_execution_is_finished(s)) {
            break;
        }
        if (s == DUCKDB_PENDING_NO_TASKS_AVAILABLE) {
            usleep(WAIT_US);
        }
    }
    if (duckdb_execute_pending(run->pending, &run->result)
        != DuckDBSuccess) {
        fail_duckdb(run, duckdb_result_error(&run->result));
        duckdb_destroy_result(&run->result);
        return -EIO;
    }
    run->has_result = true;
    return 0;
}

/* Values. */

/* Sums are of 128 bits; what does not fit into 64 is the largest number. */
static uint64_t
read_metric(duckdb_type type, const void *data, idx_t row)
{
    if (type == DUCKDB_TYPE_HUGEINT) {
        const duckdb_hugeint *v = data;
        return v[row].upper < 0 ? 0 : v[row].upper > 0 ? UINT64_MAX
                                                       : v[row].lower;
    }
    return ((const uint64_t *) data)[row];
}

static bool
read_value(struct query_value *v, enum column_type type, duckdb_type actual,
           void *data, idx_t row)
{
    duckdb_string_t *text;

    switch (actual) {
    case DUCKDB_TYPE_BOOLEAN:
    case DUCKDB_TYPE_UTINYINT:
        v->u = ((uint8_t *) data)[row];
        break;
    case DUCKDB_TYPE_USMALLINT:
        v->u = ((uint16_t *) data)[row];
        break;
    case DUCKDB_TYPE_UINTEGER:
        v->u = ((uint32_t *) data)[row];
        break;
    case DUCKDB_TYPE_TIMESTAMP:
        v->time_us = ((int64_t *) data)[row];
        break;
    case DUCKDB_TYPE_UHUGEINT:
        v->addr = schema_to_addr(((duckdb_uhugeint *) data)[row]);
        break;
    case DUCKDB_TYPE_VARCHAR:
        text = (duckdb_string_t *) data + row;
        v->text = strndup(duckdb_string_t_data(text),
                          duckdb_string_t_length(*text));
        return v->text != NULL;
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_BIGINT:
    case DUCKDB_TYPE_UBIGINT:
        v->u = read_metric(actual, data, row);
        break;
    default:
        return false;
    }
    /* A text where none was asked for, or the other way round, would confuse
     * the owner of the result. */
    return type != COLUMN_T_NAME;
}

/* Copies rows of one chunk to the end of the result. */
static int
read_chunk(struct query_result *r, duckdb_data_chunk chunk, idx_t n)
{
    int retval = 0;
    size_t base = r->n_rows;

    for (size_t i = 0; i < (size_t) n * r->n_columns; i++) {
        r->values[base * r->n_columns + i].null = true;
    }
    r->n_rows += n;
    for (unsigned col = 0; col < r->n_columns; col++) {
        duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, col);
        duckdb_logical_type logical = duckdb_vector_get_column_type(vector);
        duckdb_type actual = duckdb_get_type_id(logical);
        void *data = duckdb_vector_get_data(vector);
        uint64_t *valid = duckdb_vector_get_validity(vector);

        duckdb_destroy_logical_type(&logical);
        for (idx_t row = 0; row < n && !retval; row++) {
            struct query_value *v
                = &r->values[(base + row) * r->n_columns + col];
            if (!valid || duckdb_validity_row_is_valid(valid, row)) {
                if (read_value(v, r->columns[col].type, actual, data, row)) {
                    v->null = false;
                } else {
                    retval = -EIO;
                }
            }
        }
    }
    return retval;
}

/* Rows of a statement into 'r'. */
static int
fetch(struct run *run, const struct query *q, struct query_result *r)
{
    idx_t n = duckdb_row_count(&run->result);

    r->truncated = n > q->limit;
    n = n > q->limit ? q->limit : n;
    size_t size = (size_t) n * r->n_columns * sizeof *r->values;
    r->values = size <= MAX_RESULT_BYTES ? malloc(size ? size : 1) : NULL;
    if (!r->values) {
        query_fail(run->r, QUERY_TOO_BIG, "the result is too large; ask for "
                   "fewer rows or columns");
        return -E2BIG;
    }
    while (r->n_rows < n) {
        duckdb_data_chunk chunk = duckdb_fetch_chunk(run->result);
        if (!chunk) {
            break;
        }
        idx_t rows = duckdb_data_chunk_get_size(chunk);
        if (rows > n - r->n_rows) {
            rows = n - r->n_rows;
        }
        int e = read_chunk(r, chunk, rows);
        duckdb_destroy_data_chunk(&chunk);
        if (e) {
            query_fail(run->r, QUERY_FAILED, "cannot read the result");
            return e;
        }
    }
    return 0;
}

/* What the scan has added up beside the groups. */
static void
fetch_totals(const struct run *run, const struct query *q,
             struct query_result *r)
{
    struct sums_value totals[SUMS_MAX_METRICS];

    if (q->totals && run->scan && scan_totals(run->scan, totals)) {
        for (unsigned i = 0; i < q->n_metrics; i++) {
            r->totals[i] = (struct query_value) { .null = totals[i].null,
                                                  .u = totals[i].u };
        }
        r->has_totals = true;
    }
}

static int
execute_once(struct run *run, const struct query *asked, struct query_result *r)
{
    struct query confined;
    const struct query *q = &confined;
    int e = query_confine(asked, &confined);

    confined.only_raw |= run->resolver != NULL;
    r->n_columns = query_columns(q, r->columns);
    e = e ? e : must_end(run) ? -ECANCELED : prepare(run, q);
    if (!e) {
        e = step(run);
    }
    if (!e) {
        e = fetch(run, q, r);
    }
    if (!e) {
        fetch_totals(run, q, r);
    }
    if (run->has_result) {
        duckdb_destroy_result(&run->result);
        run->has_result = false;
    }
    duckdb_destroy_pending(&run->pending);
    duckdb_destroy_prepare(&run->st);
    sql_clear(&run->sql);
    if (run->scan) {
        uint64_t n = scan_rows(run->scan);
        run->r->rows_scanned += n;
        run->tiers |= n ? TIER_RAW : 0;
        scan_close(run->scan);
        run->scan = NULL;
    }
    run->n_done++;
    rollup_plan_clear(&run->plan);
    filter_destroy(confined.filter);
    /* A scan that was told to give up ends as if that were all. */
    return e ? e : must_end(run) ? -ECANCELED : 0;
}

/* One statement, from text to rows in 'r'; of what its asker may see.  Sums are a
 * shorter way to what flows say: where they cannot be read, flows are. */
static int
execute(struct run *run, const struct query *asked, struct query_result *r)
{
    struct query raw = *asked;
    int e = execute_once(run, asked, r);

    if (e != -EIO || !run->summed || r->values
        || run->r->status != QUERY_FAILED || must_end(run)) {
        return e;
    }
    LOG_RATE(query, WARN, "sums of minutes and hours cannot be read, flows are "
             "instead: %s", run->r->error);
    run->unreadable = true;
    run->r->status = QUERY_OK;
    run->r->error[0] = '\0';
    raw.only_raw = true;
    return execute_once(run, &raw, r);
}

/* What a statement that changes something answers. */
static uint64_t
changed_rows(duckdb_result *result)
{
    duckdb_data_chunk chunk = duckdb_fetch_chunk(*result);
    uint64_t n = 0;

    if (chunk && duckdb_data_chunk_get_size(chunk)) {
        n = *(uint64_t *) duckdb_vector_get_data(
            duckdb_data_chunk_get_vector(chunk, 0));
    }
    if (chunk) {
        duckdb_destroy_data_chunk(&chunk);
    }
    return n;
}

int
query_insert(struct store_view *view, const struct query *asked,
             const char *before, const char *after,
             const _Atomic bool *stop, uint64_t *n_rows, char *error,
             size_t size)
{
    struct query_result r = { .status = QUERY_OK };
    struct job job = { .deadline_us = INT64_MAX, .result = &r };
    struct run run = { .job = &job, .r = &r, .view = *view, .stop = stop };
    char *text = NULL;

    struct sql_source source = { .scan = run.relation };
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        column_set_add(&source.has, i);
    }
    struct query confined;
    const struct query *q = &confined;
    int e = query_confine(asked, &confined);
    e = e ? e : open_scan(&run, q, &source, true);
    if (!e) {
        e = sql_compile(q, &source, 1, &sql_duckdb, &run.sql);
    }
    if (!e && asprintf(&text, "%s%s%s", before, run.sql.text, after) < 0) {
        text = NULL;
        e = -ENOMEM;
    }
    if (!e && duckdb_prepare(view->conn, text, &run.st) != DuckDBSuccess) {
        fail_duckdb(&run, duckdb_prepare_error(run.st));
        e = -EIO;
    }
    if (!e) {
        e = bind_all(&run);
    }
    if (!e) {
        e = step(&run);
    }
    if (!e && must_end(&run)) {
        e = -ECANCELED;         /* The scan may have ended early. */
    }
    if (!e && n_rows) {
        *n_rows = changed_rows(&run.result);
    }
    if (run.has_result) {
        duckdb_destroy_result(&run.result);
    }
    duckdb_destroy_pending(&run.pending);
    duckdb_destroy_prepare(&run.st);
    sql_clear(&run.sql);
    if (run.scan) {
        scan_close(run.scan);
    }
    filter_destroy(confined.filter);
    free(text);
    if (e) {
        snprintf(error, size, "%s", r.error[0] ? r.error : strerror(-e));
    }
    return e;
}

/* What the answer cannot say: flows that are gone, which tiers do not keep as
 * they were asked for. */
static void
make_note(struct run *run, const struct query *q, struct query_result *r)
{
    char from[TIME_STRLEN], kept[TIME_STRLEN];
    struct rollup_plan plan;
    struct store_health h;

    if (run->unreadable) {
        snprintf(r->note, sizeof r->note, "sums of minutes and hours are "
                 "damaged: this is what flows say, as far as they are kept");
        return;
    }
    store_health(run->view.store, &h);
    struct query confined;
    if (query_confine(q, &confined)) {
        return;
    }
    rollup_plan(run->rollup, &confined, &run->view, &plan);
    filter_destroy(confined.filter);
    int64_t asked = q->from_us - q->previous_us;
    int64_t end = q->to_us;
    /* Sums of the hour in which the first flow came say no more than it. */
    int64_t first_hour = h.oldest_us - h.oldest_us % HOUR_US;
    bool gone = run->rollup && plan.kept_us && h.oldest_us
                && asked < h.oldest_us && plan.kept_us < first_hour;
    if (gone && plan.lacks) {
        snprintf(r->note, sizeof r->note, "flows are kept since %s; of before "
                 "there are sums since %s, which do not tell %s apart",
                 time_format_us(h.oldest_us, from),
                 time_format_us(plan.kept_us, kept), plan.lacks);
    } else if (gone && !plan.n) {
        snprintf(r->note, sizeof r->note, "flows are kept since %s; of before "
                 "there are sums of whole minutes and hours only",
                 time_format_us(h.oldest_us, from));
    } else if (gone && (asked % 60000000
                        || (end < h.oldest_us && end % 60000000))) {
        snprintf(r->note, sizeof r->note, "flows are kept since %s; of before "
                 "there are sums of whole minutes, so the time range is cut "
                 "to these", time_format_us(h.oldest_us, from));
    }
    rollup_plan_clear(&plan);
}

/* Rates: sums divided by the time they are of. */
static void
make_rates(const struct query *q, struct query_value *metrics)
{
    for (unsigned i = 0; i < q->n_metrics; i++) {
        struct query_value *v = &metrics[i];
        int64_t us = q->calc[i].fn == FN_P95 ? q->p95_us
                     : q->bucket_us ? q->bucket_us
                     : q->window_us ? q->window_us : q->to_us - q->from_us;
        unsigned id = q->metrics[i];
        bool octets = id < N_COLUMNS && !strcmp(columns[id].unit, "B");
        if (q->calc[i].rate && !v->null) {
            unsigned __int128 wide = (unsigned __int128) v->u
                                     * (octets ? 8000000u : 1000000u)
                                     / (uint64_t) us;
            v->u = wide > UINT64_MAX ? UINT64_MAX : (uint64_t) wide;
        }
    }
}

static void
make_shares(const struct query *q, struct query_value *metrics,
            const struct query_value *totals)
{
    for (unsigned i = 0; i < q->n_metrics; i++) {
        if (q->calc[i].fn == FN_SHARE && !metrics[i].null) {
            double total = totals[i].null ? 0 : (double) totals[i].u;
            metrics[i].real = total > 0 ? (double) metrics[i].u / total : 0;
        }
    }
}

/* The same question without groups, where that was not added up beside them;
 * also what shares are of. */
static int
run_totals(struct run *run, struct query_result *r)
{
    struct query q = run->job->q;
    struct query_result *sum = calloc(1, sizeof *sum);
    int e = -ENOMEM;

    q.totals = false;
    q.n_by = 0;
    q.bucket_us = 0;
    q.order = -1;
    q.limit = 1;
    q.bidirectional = run->job->q.bidirectional;
    run->n_statements = 2;
    if (sum && !(e = execute(run, &q, sum)) && sum->n_rows == 1) {
        memcpy(r->totals, sum->values, q.n_metrics * sizeof *sum->values);
        r->has_totals = true;
    } else if (!sum) {
        query_fail(run->r, QUERY_TOO_BIG, "out of memory");
    }
    query_result_destroy(sum);
    return e;
}

static void
finish_metrics(const struct query *q, struct query_result *r)
{
    unsigned first = r->n_columns - q->n_metrics;
    struct query_value raw[QUERY_MAX_METRICS];

    memcpy(raw, r->totals, sizeof raw);
    for (size_t i = 0; i < r->n_rows; i++) {
        struct query_value *m = &r->values[i * r->n_columns + first];
        make_shares(q, m, raw);
        make_rates(q, m);
    }
    if (r->has_totals) {
        make_shares(q, r->totals, raw);
        make_rates(q, r->totals);
    }
}

/* The buckets of the groups of 'r', by group. */
static int
run_groups(struct run *run, struct query_result *r)
{
    const struct query *whole = &run->job->q;
    struct query q = *whole;
    struct filter both = { .op = FILTER_AND }, any = { .op = FILTER_ANY };
    struct filter *groups = query_groups_filter(whole, r);

    if (!groups) {
        return -ENOMEM;
    }
    q.order = 0;
    q.limit = QUERY_MAX_LIMIT;
    both.left = whole->filter ? whole->filter : &any;
    both.right = groups;
    q.filter = r->n_rows ? &both : &any;
    int e = execute(run, &q, r->next);
    filter_destroy(groups);
    if (!e) {
        finish_metrics(&q, r->next);
    }
    return e;
}

/* Adds the buckets of one group, which are in 'one', to 'all'. */
static int
add_buckets(const struct query *q, const struct query_value *group,
            const struct query_result *one, struct query_result *all)
{
    size_t n = all->n_rows + one->n_rows;
    struct query_value *v = realloc(all->values, (n * all->n_columns + 1)
                                                 * sizeof *v);
    if (!v) {
        return -ENOMEM;
    }
    all->values = v;
    for (size_t row = 0; row < one->n_rows; row++) {
        const struct query_value *from = &one->values[row * one->n_columns];
        v = &all->values[all->n_rows * all->n_columns];
        v[0] = from[0];
        memcpy(&v[1], group, q->n_by * sizeof *group);
        memcpy(&v[1 + q->n_by], &from[1], q->n_metrics * sizeof *from);
        bool copied = true;
        for (unsigned i = 0; i < q->n_by; i++) {
            if (all->columns[1 + i].type == COLUMN_T_NAME && !group[i].null) {
                v[1 + i].text = strdup(group[i].text);
                v[1 + i].null = !v[1 + i].text;
                copied &= v[1 + i].text != NULL;
            }
        }
        all->n_rows++;
        if (!copied) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* The same where keys are of either end: by group would also be those at the
 * other ends, as many as there are.  So each group is a question of its own, in
 * which a record counts once. */
static int
run_each_group(struct run *run, struct query_result *r)
{
    const struct query *whole = &run->job->q;
    struct filter both = { .op = FILTER_AND }, any = { .op = FILTER_ANY };
    int e = 0;

    run->n_statements = (unsigned) (2 + r->n_rows);
    r->next->n_columns = query_columns(whole, r->next->columns);
    for (size_t row = 0; row < r->n_rows && !e; row++) {
        const struct query_value *v = &r->values[row * r->n_columns];
        struct query_result *one = calloc(1, sizeof *one);
        struct filter *group = query_group_filter(whole, v);
        struct query q = *whole;

        q.n_by = 0;
        q.order = 0;
        q.limit = QUERY_MAX_LIMIT;
        both.left = whole->filter ? whole->filter : &any;
        both.right = group;
        q.filter = &both;
        e = one && group ? execute(run, &q, one) : -ENOMEM;
        if (!e) {
            finish_metrics(&q, one);
            e = add_buckets(whole, v, one, r->next);
            r->next->truncated |= one->truncated;
        }
        filter_destroy(group);
        query_result_destroy(one);
    }
    return e;
}

/* A series: the first groups, their buckets, and the buckets of all. */
static int
run_series(struct run *run, struct query_result *r)
{
    const struct query *whole = &run->job->q;
    struct query q = *whole;

    q.bucket_us = 0;
    q.order = (int) q.n_by;
    q.descending = true;
    q.limit = q.top;
    int e = execute(run, &q, r);
    r->next = e ? NULL : calloc(1, sizeof *r);
    if (e || !r->next) {
        return e ? e : -ENOMEM;
    }
    finish_metrics(&q, r);

    e = query_either(whole) ? run_each_group(run, r) : run_groups(run, r);
    if (e) {
        return e;
    }
    r->truncated = r->next->truncated;
    r->next->next = calloc(1, sizeof *r);
    if (!r->next->next) {
        return -ENOMEM;
    }
    q = *whole;
    q.order = 0;
    q.limit = QUERY_MAX_LIMIT;
    q.n_by = 0;
    e = execute(run, &q, r->next->next);
    finish_metrics(&q, r->next->next);
    return e;
}

/* Single records are asked for by their time, so a page is looked for at that end
 * of the range first, and in more of it only if it is not full: all flows of a
 * month are not read for a hundred of them. */
#define MIN_SPAN_US INT64_C(100000)
#define WIDER 16

/* So much of the range should have twice the records, as blocks tell. */
static int64_t
first_span(int64_t whole_us, uint64_t wanted, uint64_t rows)
{
    double part = rows ? 2. * (double) wanted / (double) rows : 1;
    double span = (double) whole_us * (part < 1 ? part : 1);

    return span < (double) MIN_SPAN_US ? MIN_SPAN_US : (int64_t) span;
}

static int
run_records(struct run *run, struct query_result *r)
{
    const struct query *whole = &run->job->q;
    uint64_t wanted = whole->limit + whole->records.skip, rows;
    int64_t from = whole->from_us, to = whole->to_us, first, last;

    if (store_view_span(&run->view, &first, &last, &rows)) {
        from = from > first ? from : first;
        to = to <= last ? to : last + 1;
    } else {
        to = from;
    }
    int64_t span = from < to ? first_span(to - from, wanted, rows) : 0;
    for (;; span *= WIDER) {
        struct query_result *page = calloc(1, sizeof *page);
        struct query q = *whole;
        bool all = from >= to || span >= (to - from) / 2;
        if (!page) {
            return -ENOMEM;
        }
        if (!all && whole->records.oldest_first) {
            q.to_us = from + span;
        } else if (!all) {
            q.from_us = to - span;
        }
        run->n_statements = (unsigned) run->n_done + (all ? 1 : 2);
        int e = execute(run, &q, page);
        if (e || all || page->truncated) {
            r->values = page->values;
            r->n_rows = page->n_rows;
            r->truncated = page->truncated;
            page->values = NULL;
            page->n_rows = 0;
            query_result_destroy(page);
            return e;
        }
        query_result_destroy(page);
    }
}

/* Who the ends are, if they are to be as they are known now. */
static int
open_resolver(struct run *run, struct identity_journal *identities)
{
    int e = query_resolver_create(identities, &run->job->q, is_over, run,
                                  &run->resolver);
    if (e == -E2BIG) {
        query_fail(run->r, QUERY_TOO_BIG, "too much is known of endpoints in "
                   "that time to resolve anew; ask for a shorter time, or for "
                   "what is stored");
    } else if (e == -ECANCELED && !must_end(run)) {
        query_fail(run->r, QUERY_FAILED, "given up");
    }
    return e;
}

void
query_run_job(struct query_pool *pool, struct job *job,
              struct query_result *r)
{
    static const char *const tiers[] = {
        "raw", "raw", "1m", "1m+raw", "1h", "1h+raw", "1h+1m", "1h+1m+raw",
    };
    struct run run = { .job = job, .r = r, .rollup = pool->rollup };
    const struct query *q = &job->q;
    const char *wrong = query_check(q);

    if (wrong) {
        query_fail(r, QUERY_FAILED, wrong);
        return;
    }
    run.n_statements = q->top ? 3 : q->totals ? 2 : 1;
    run.told_us = clock_mono_us();
    r->n_columns = query_columns(q, r->columns);
    int e = must_end(&run) ? -ECANCELED : open_view(&run, pool->store);
    e = e ? e : open_resolver(&run, pool->identities);
    if (!e && q->top) {
        e = run_series(&run, r);
    } else if (!e && q->records.on && !q->records.all) {
        e = run_records(&run, r);
    } else if (!e) {
        e = execute(&run, q, r);
        if (!e && q->totals && !r->has_totals) {
            e = run_totals(&run, r);
        }
        if (!e && !q->records.on) {
            finish_metrics(q, r);
        }
    }
    if (e && r->status == QUERY_OK) {
        query_fail(r, QUERY_FAILED, "out of memory");
    }
    r->tier = tiers[run.tiers];
    if (!e) {
        make_note(&run, q, r);
    }
    if (run.view.store) {
        store_view_close(&run.view);
    }
    query_resolver_destroy(run.resolver);
}
