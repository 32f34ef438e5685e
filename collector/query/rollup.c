#include <config.h>

#include "collector/query/rollup.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "collector/query/insert.h"
#include "collector/query/rollup_plan.h"
#include "collector/store/store.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

#define HOUR_US INT64_C(3600000000)
/* An hour of arrival is added up when all that came in it is stored. */
#define SETTLE_US (INT64_C(120) * 1000000)
/* What a flow's end and its arrival may differ by; see correct.h. */
#define LATE_US (25 * HOUR_US)
#define AHEAD_US (INT64_C(600) * 1000000)
#define PERIOD_S 60
#define MAX_HOURS 100000

/* What tiers keep apart.  The first word of the tables' rows is the step's
 * beginning, then these, then the sums. */
static const enum column_id keys[] = {
    COL_exporter, COL_export_protocol, COL_observation_domain_id, COL_bridge,
    COL_direction, COL_canonical, COL_ip_version, COL_proto, COL_in_if,
    COL_out_if, COL_in_if_name, COL_out_if_name, COL_src_as, COL_dst_as,
    COL_tos, COL_vlan_id,
};
static const enum column_id sums[] = {
    COL_bytes, COL_packets, COL_l2_bytes, COL_raw_bytes, COL_raw_packets,
    COL_dropped_packets, COL_dropped_bytes,
};
#define N_KEYS (sizeof keys / sizeof keys[0])
#define N_SUMS (sizeof sums / sizeof sums[0])
_Static_assert(N_KEYS <= QUERY_MAX_BY, "a query has so many keys");

const struct counter_def rollup_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct rollup_counters, NAME), DOC },
    ROLLUP_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

static const struct {
    const char *name, *schema;
    int64_t step_us;
} defs[N_ROLLUPS] = {
    [ROLLUP_HOUR] = { "1h", "rollup_1h", HOUR_US },
    [ROLLUP_MINUTE] = { "1m", "rollup_1m", HOUR_US / 60 },
};

/* Hours of arrival that are done, ascending. */
struct hours {
    int64_t *list;
    size_t n, room;
};

struct rollup {
    struct store *store;
    char *dir;
    struct rollup_counters counters;
    pthread_mutex_t mutex;      /* What follows. */
    pthread_cond_t wake;
    struct rollup_limit limits[N_ROLLUPS];
    struct hours done[N_ROLLUPS];
    uint64_t bytes[N_ROLLUPS];
    _Atomic bool stopping;

    pthread_mutex_t working;    /* One at a time adds up.  Taken first. */
    bool loaded;
    pthread_t thread;
    bool started;
};

/* ---- Lists of hours. ---- */

/* Where 'hour' is, or would be. */
static size_t
hours_find(const struct hours *h, int64_t hour)
{
    size_t low = 0, high = h->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (h->list[mid] < hour) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool
hours_has(const struct hours *h, int64_t hour)
{
    size_t i = hours_find(h, hour);
    return i < h->n && h->list[i] == hour;
}

static int
hours_add(struct hours *h, int64_t hour)
{
    size_t i = hours_find(h, hour);
    if (i < h->n && h->list[i] == hour) {
        return 0;
    }
    if (h->n == h->room) {
        size_t room = h->room ? 2 * h->room : 64;
        int64_t *p = realloc(h->list, room * sizeof *p);
        if (!p) {
            return -ENOMEM;
        }
        h->list = p;
        h->room = room;
    }
    memmove(&h->list[i + 1], &h->list[i], (h->n - i) * sizeof *h->list);
    h->list[i] = hour;
    h->n++;
    return 0;
}

/* Removes those in [from, to). */
static void
hours_remove(struct hours *h, int64_t from, int64_t to)
{
    size_t a = hours_find(h, from), b = hours_find(h, to);
    if (b > a) {
        memmove(&h->list[a], &h->list[b], (h->n - b) * sizeof *h->list);
        h->n -= b - a;
    }
}

/* ---- SQL. ---- */

/* Runs a statement; its only number goes to '*number' (may be NULL). */
static int __attribute__((format(printf, 5, 6)))
run(duckdb_connection conn, int64_t *number, char *error, size_t size,
    const char *format, ...)
{
    duckdb_result r;
    char *sql;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&sql, format, args);
    va_end(args);
    if (n < 0) {
        snprintf(error, size, "out of memory");
        return -ENOMEM;
    }
    int result = duckdb_query(conn, sql, &r) == DuckDBSuccess ? 0 : -EIO;
    if (result) {
        const char *why = duckdb_result_error(&r);
        snprintf(error, size, "%s", why ? why : "unknown error");
    } else if (number) {
        *number = duckdb_value_int64(&r, 0, 0);
    }
    duckdb_destroy_result(&r);
    free(sql);
    return result;
}

static void
put_columns(FILE *f)
{
    fputs("\"flow_end\" TIMESTAMP", f);
    for (size_t i = 0; i < N_KEYS; i++) {
        const struct column *c = &columns[keys[i]];
        fprintf(f, ", \"%s\" %s", c->name, c->type == COLUMN_T_NAME
                ? "VARCHAR" : schema_sql_type(c->type));
    }
    for (size_t i = 0; i < N_SUMS; i++) {
        fprintf(f, ", \"%s\" HUGEINT", columns[sums[i]].name);
    }
    fputs(", \"flows\" HUGEINT, \"flow_start\" TIMESTAMP, \"last\" TIMESTAMP, "
          "\"received\" TIMESTAMP", f);
}

/* Makes a tier visible on a connection; with 'make', also if it was not there
 * before. */
static int
attach(struct rollup *r, unsigned tier, duckdb_connection conn, char *error,
       size_t size)
{
    char *path = NULL, *sql = NULL;
    size_t sql_size;
    FILE *f;

    if (asprintf(&path, "%s/flows/rollups/%s.duckdb", r->dir, defs[tier].name) < 0
        || !(f = open_memstream(&sql, &sql_size))) {
        free(path);
        snprintf(error, size, "out of memory");
        return -ENOMEM;
    }
    fputs("ATTACH IF NOT EXISTS '", f);
    for (const char *p = path; *p; p++) {
        fputs(*p == '\'' ? "''" : "", f);
        fputs(*p == '\'' ? "" : (char[]) { *p, 0 }, f);
    }
    fprintf(f, "' AS %s; CREATE TABLE IF NOT EXISTS %s.main.done(\"hour\" "
            "TIMESTAMP, \"flows\" HUGEINT); CREATE TABLE IF NOT EXISTS "
            "%s.main.flows(", defs[tier].schema, defs[tier].schema,
            defs[tier].schema);
    put_columns(f);
    fputs(")", f);
    int result = fclose(f) ? -ENOMEM : run(conn, NULL, error, size, "%s",
                                           sql);
    free(sql);
    free(path);
    return result;
}

/* Which hours are done, and how large it is. */
static int
load(struct rollup *r, unsigned tier, duckdb_connection conn, char *error,
     size_t size)
{
    duckdb_result result;
    char sql[128];
    int retval = 0;

    snprintf(sql, sizeof sql, "SELECT epoch_us(\"hour\") FROM %s.main.done "
             "ORDER BY 1 LIMIT %d", defs[tier].schema, MAX_HOURS);
    if (duckdb_query(conn, sql, &result) != DuckDBSuccess) {
        snprintf(error, size, "%s", duckdb_result_error(&result));
        duckdb_destroy_result(&result);
        return -EIO;
    }
    idx_t n = duckdb_row_count(&result);
    pthread_mutex_lock(&r->mutex);
    r->done[tier].n = 0;
    for (idx_t i = 0; i < n && !retval; i++) {
        retval = hours_add(&r->done[tier], duckdb_value_int64(&result, 0, i));
    }
    pthread_mutex_unlock(&r->mutex);
    duckdb_destroy_result(&result);
    return retval;
}

static int64_t
used_bytes(unsigned tier, duckdb_connection conn)
{
    char error[256];
    int64_t bytes = 0;
    return run(conn, &bytes, error, sizeof error, "SELECT "
               "block_size * used_blocks FROM pragma_database_size() WHERE "
               "database_name = '%s'", defs[tier].schema) ? 0 : bytes;
}

/* ---- Adding up. ---- */

static struct filter *
term(enum column_id id, enum filter_cmp cmp, int64_t us)
{
    struct filter *f = calloc(1, sizeof *f);
    if (f) {
        f->op = FILTER_TERM;
        f->column = id;
        f->cmp = cmp;
        f->number = us < 0 ? 0 : (uint64_t) us;
    }
    return f;
}

/* Takes over both; NULL if either is. */
static struct filter *
join(enum filter_op op, struct filter *left, struct filter *right)
{
    struct filter *f = left && (right || op == FILTER_NOT)
                       ? calloc(1, sizeof *f) : NULL;
    if (!f) {
        filter_destroy(left);
        filter_destroy(right);
        return NULL;
    }
    f->op = op;
    f->left = left;
    f->right = right;
    return f;
}

static struct filter *
between(enum column_id id, int64_t from_us, int64_t to_us)
{
    return join(FILTER_AND, term(id, CMP_GE, from_us),
                term(id, CMP_LT, to_us));
}

/* All flows that arrived in an hour, by step and keys. */
static struct query
hour_query(unsigned tier, int64_t hour)
{
    struct query q = {
        .from_us = hour < LATE_US ? 0 : hour - LATE_US,
        .to_us = hour + HOUR_US + AHEAD_US,
        .filter = between(COL_received, hour, hour + HOUR_US),
        .bucket_us = defs[tier].step_us, .n_by = N_KEYS, .order = 0,
        .limit = INT64_MAX - 1, .all_observations = true,
    };
    memcpy(q.by, keys, sizeof keys);
    for (size_t i = 0; i < N_SUMS; i++) {
        q.metrics[q.n_metrics++] = sums[i];
    }
    q.metrics[q.n_metrics++] = QUERY_METRIC_FLOWS;
    q.calc[q.n_metrics].fn = FN_MIN;
    q.metrics[q.n_metrics++] = COL_flow_start;
    q.calc[q.n_metrics].fn = FN_MAX;
    q.metrics[q.n_metrics++] = COL_flow_end;
    return q;
}

/* The hour's tier out of minutes that are there already. */
static int
insert_from_minutes(duckdb_connection conn, int64_t hour, char *error,
                    size_t size)
{
    char *text = NULL;
    size_t text_size;
    FILE *f = open_memstream(&text, &text_size);
    if (!f) {
        return -ENOMEM;
    }
    fprintf(f, "INSERT INTO %s.main.flows SELECT date_trunc('hour', "
            "\"flow_end\") AS t", defs[ROLLUP_HOUR].schema);
    for (size_t i = 0; i < N_KEYS; i++) {
        fprintf(f, ", \"%s\"", columns[keys[i]].name);
    }
    for (size_t i = 0; i < N_SUMS; i++) {
        fprintf(f, ", sum(\"%s\")", columns[sums[i]].name);
    }
    fprintf(f, ", sum(\"flows\"), min(\"flow_start\"), max(\"last\"), "
            "\"received\" FROM %s.main.flows WHERE \"received\" = "
            "make_timestamp(%" PRId64 ") GROUP BY t, \"received\"",
            defs[ROLLUP_MINUTE].schema, hour);
    for (size_t i = 0; i < N_KEYS; i++) {
        fprintf(f, ", \"%s\"", columns[keys[i]].name);
    }
    fputs(" ORDER BY t", f);
    int e = fclose(f) ? -ENOMEM : run(conn, NULL, error, size, "%s", text);
    free(text);
    return e;
}

static int
insert_hour(struct rollup *r, unsigned tier, struct store_view *v,
            int64_t hour, char *error, size_t size)
{
    const char *schema = defs[tier].schema;
    char before[128], after[64];

    pthread_mutex_lock(&r->mutex);
    bool minutes = tier == ROLLUP_HOUR
                   && hours_has(&r->done[ROLLUP_MINUTE], hour);
    pthread_mutex_unlock(&r->mutex);
    if (minutes) {
        return insert_from_minutes(v->conn, hour, error, size);
    }
    struct query q = hour_query(tier, hour);
    if (!q.filter) {
        snprintf(error, size, "out of memory");
        return -ENOMEM;
    }
    snprintf(before, sizeof before, "INSERT INTO %s.main.flows SELECT *, "
             "make_timestamp(%" PRId64 ") FROM (", schema, hour);
    snprintf(after, sizeof after, ")");
    int e = query_insert(v, &q, before, after, &r->stopping, NULL, error,
                         size);
    query_clear(&q);
    return e;
}

/* One hour in one transaction: it replaces what was there of it. */
static int
add_hour(struct rollup *r, unsigned tier, struct store_view *v, int64_t hour,
         char *error, size_t size)
{
    const char *schema = defs[tier].schema;
    int64_t n = 0;
    int e = run(v->conn, NULL, error, size, "BEGIN");
    if (e) {
        return e;
    }
    e = run(v->conn, NULL, error, size,
            "DELETE FROM %s.main.flows WHERE \"received\" = "
            "make_timestamp(%" PRId64 "); DELETE FROM %s.main.done WHERE "
            "\"hour\" = make_timestamp(%" PRId64 ")", schema, hour, schema,
            hour);
    if (!e) {
        e = insert_hour(r, tier, v, hour, error, size);
    }
    if (!e) {
        e = run(v->conn, NULL, error, size,
                "INSERT INTO %s.main.done SELECT make_timestamp(%" PRId64 "), "
                "coalesce(sum(\"flows\"), 0) FROM %s.main.flows WHERE "
                "\"received\" = make_timestamp(%" PRId64 ")", schema, hour,
                schema, hour);
    }
    if (!e) {
        e = run(v->conn, &n, error, size, "SELECT count(*) FROM "
                "%s.main.flows WHERE \"received\" = make_timestamp(%" PRId64
                ")", schema, hour);
    }
    if (!e) {
        e = run(v->conn, NULL, error, size, "COMMIT");
    }
    if (e) {
        char again[64];
        run(v->conn, NULL, again, sizeof again, "ROLLBACK");
        return e;
    }
    counter_inc(&r->counters.hours);
    counter_add(&r->counters.rows, (uint64_t) n);
    pthread_mutex_lock(&r->mutex);
    e = hours_add(&r->done[tier], hour);
    pthread_mutex_unlock(&r->mutex);
    return e;
}

/* Whether the store has other flows of that hour than were added up: the clock
 * was set back, perhaps. */
static bool
differs(struct rollup *r, unsigned tier, struct store_view *v, int64_t hour)
{
    struct query q = {
        .from_us = hour < LATE_US ? 0 : hour - LATE_US,
        .to_us = hour + HOUR_US + AHEAD_US,
        .filter = between(COL_received, hour, hour + HOUR_US),
        .metrics = { QUERY_METRIC_FLOWS }, .n_metrics = 1, .order = -1,
        .limit = 1, .all_observations = true,
    };
    char error[256];
    int64_t differ = 0;
    int e = q.filter ? run(v->conn, NULL, error, sizeof error, "CREATE OR "
                           "REPLACE TEMP TABLE rollup_n(n HUGEINT)")
                     : -ENOMEM;
    if (!e) {
        e = query_insert(v, &q, "INSERT INTO temp.main.rollup_n SELECT * FROM (",
                         ")", &r->stopping, NULL, error, sizeof error);
    }
    if (!e) {
        e = run(v->conn, &differ, error, sizeof error, "SELECT count(*) FROM "
                "temp.main.rollup_n WHERE n IS DISTINCT FROM (SELECT "
                "sum(\"flows\") FROM %s.main.done WHERE \"hour\" = "
                "make_timestamp(%" PRId64 "))", defs[tier].schema, hour);
    }
    query_clear(&q);
    return !e && differ;
}

static void
complain(struct rollup *r, unsigned tier, const char *error)
{
    counter_inc(&r->counters.errors);
    LOG_RATE(store, WARN, "rollup %s: %s", defs[tier].name, error);
}

/* The hours that a tier should have: those of the store that are over.  The
 * caller frees the list. */
static size_t
due(struct rollup *r, unsigned tier, int64_t now_us, int64_t **list)
{
    size_t n = store_hours(r->store, list), k = 0;
    struct rollup_limit l;

    pthread_mutex_lock(&r->mutex);
    l = r->limits[tier];
    for (size_t i = 0; i < n; i++) {
        int64_t hour = (*list)[i];
        if (hour + HOUR_US + SETTLE_US <= now_us
            && (!l.age_us || hour + HOUR_US > now_us - l.age_us)
            && !hours_has(&r->done[tier], hour)) {
            (*list)[k++] = hour;
        }
    }
    pthread_mutex_unlock(&r->mutex);
    return k;
}

/* A view of what arrived in an hour, with the tier in sight. */
static int
open_hour(struct rollup *r, unsigned tier, int64_t hour,
          struct store_view *v, char *error, size_t size)
{
    int e = store_view_open(r->store, hour < LATE_US ? 0 : hour - LATE_US,
                            hour + HOUR_US + AHEAD_US, v, error, size);
    for (unsigned i = 0; !e && i < N_ROLLUPS; i++) {
        e = i == tier || i == ROLLUP_MINUTE
            ? attach(r, i, v->conn, error, size) : 0;
        if (e) {
            store_view_close(v);
        }
    }
    return e;
}

/* Adds up one hour, and the one before again if that is not right. */
static int
do_hour(struct rollup *r, unsigned tier, int64_t hour, char *error,
        size_t size)
{
    struct store_view v;
    int e = open_hour(r, tier, hour, &v, error, size);
    if (e) {
        return e;
    }
    e = add_hour(r, tier, &v, hour, error, size);
    store_view_close(&v);
    int64_t before = hour - HOUR_US;
    pthread_mutex_lock(&r->mutex);
    bool check = !e && hours_has(&r->done[tier], before);
    pthread_mutex_unlock(&r->mutex);
    if (check && !open_hour(r, tier, before, &v, error, size)) {
        if (differs(r, tier, &v, before)) {
            counter_inc(&r->counters.again);
            e = add_hour(r, tier, &v, before, error, size);
        }
        store_view_close(&v);
    }
    return e;
}

/* ---- Limits. ---- */

/* Forgets hours before 'hour'. */
static int
forget(struct rollup *r, unsigned tier, duckdb_connection conn, int64_t from,
       int64_t to, char *error, size_t size)
{
    const char *schema = defs[tier].schema;

    /* Queries that begin now look for them elsewhere. */
    pthread_mutex_lock(&r->mutex);
    hours_remove(&r->done[tier], from, to);
    pthread_mutex_unlock(&r->mutex);
    int e = run(conn, NULL, error, size,
                "BEGIN; DELETE FROM %s.main.flows WHERE \"received\" >= "
                "make_timestamp(%" PRId64 ") AND \"received\" < "
                "make_timestamp(%" PRId64 "); DELETE FROM %s.main.done WHERE "
                "\"hour\" >= make_timestamp(%" PRId64 ") AND \"hour\" < "
                "make_timestamp(%" PRId64 "); COMMIT", schema, from, to,
                schema, from, to);
    if (e) {
        char again[64];
        run(conn, NULL, again, sizeof again, "ROLLBACK");
    }
    return e;
}

static void
apply_limits(struct rollup *r, unsigned tier, int64_t now_us)
{
    char error[256] = "";
    struct store_view v;

    pthread_mutex_lock(&r->mutex);
    struct rollup_limit l = r->limits[tier];
    size_t n = r->done[tier].n;
    int64_t oldest = n ? r->done[tier].list[0] : INT64_MAX;
    pthread_mutex_unlock(&r->mutex);
    int64_t cutoff = l.age_us && now_us > l.age_us ? now_us - l.age_us
                                                   : INT64_MIN;
    if (!n || store_view_open(r->store, 0, 1, &v, error, sizeof error)) {
        return;
    }
    int e = attach(r, tier, v.conn, error, sizeof error);
    if (!e && oldest + HOUR_US <= cutoff) {
        e = forget(r, tier, v.conn, 0, cutoff - HOUR_US + 1, error,
                   sizeof error);
    }
    int64_t bytes = e ? 0 : used_bytes(tier, v.conn);
    for (int i = 0; !e && l.bytes && (uint64_t) bytes > l.bytes && i < 16;
         i++) {
        pthread_mutex_lock(&r->mutex);
        n = r->done[tier].n;
        int64_t to = n > 1 ? r->done[tier].list[(n + 15) / 16] : INT64_MIN;
        pthread_mutex_unlock(&r->mutex);
        if (to == INT64_MIN) {
            break;              /* The newest stays. */
        }
        e = forget(r, tier, v.conn, 0, to, error, sizeof error);
        if (!e) {
            e = run(v.conn, NULL, error, sizeof error, "CHECKPOINT %s",
                    defs[tier].schema);
        }
        bytes = e ? 0 : used_bytes(tier, v.conn);
    }
    store_view_close(&v);
    pthread_mutex_lock(&r->mutex);
    r->bytes[tier] = (uint64_t) bytes;
    pthread_mutex_unlock(&r->mutex);
    if (e) {
        complain(r, tier, error);
    }
}

/* ---- The work. ---- */

/* A file that cannot be read makes room for a new one. */
static void
set_aside(struct rollup *r, unsigned tier, const char *error)
{
    char from[4096], to[4200];
    counter_inc(&r->counters.set_aside);
    snprintf(from, sizeof from, "%s/flows/rollups/%s.duckdb", r->dir,
             defs[tier].name);
    snprintf(to, sizeof to, "%s.corrupt", from);
    LOG(store, ERR, "%s: %s; it is set aside as %s.corrupt and made again "
        "from the flows that are left", from, error, defs[tier].name);
    rename(from, to);
    snprintf(to, sizeof to, "%s.wal", from);
    unlink(to);
}

/* Without a file there is nothing to know, and DuckDB is left alone. */
static bool
exists(const struct rollup *r, unsigned tier)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/flows/rollups/%s.duckdb", r->dir,
             defs[tier].name);
    return !access(path, F_OK);
}

static int
load_all(struct rollup *r, char *error, size_t size)
{
    struct store_view v;

    if (!exists(r, ROLLUP_HOUR) && !exists(r, ROLLUP_MINUTE)) {
        return 0;
    }
    int e = store_view_open(r->store, 0, 1, &v, error, size);
    if (e) {
        return e;
    }
    for (unsigned i = 0; i < N_ROLLUPS && !e; i++) {
        if (!exists(r, i)) {
            continue;
        }
        e = attach(r, i, v.conn, error, size);
        if (e && (strstr(error, "not a valid DuckDB") || strstr(error,
                                                               "orrupt")
                  || strstr(error, "checksum") || strstr(error, "deserial")
                  || strstr(error, "replaying WAL"))) {
            set_aside(r, i, error);
            e = attach(r, i, v.conn, error, size);
        }
        if (!e) {
            e = load(r, i, v.conn, error, size);
        }
        int64_t bytes = e ? 0 : used_bytes(i, v.conn);
        pthread_mutex_lock(&r->mutex);
        r->bytes[i] = (uint64_t) bytes;
        pthread_mutex_unlock(&r->mutex);
    }
    store_view_close(&v);
    return e;
}

int
rollup_run(struct rollup *r, int64_t now_us)
{
    char error[256] = "";
    int done = 0, e = 0;

    pthread_mutex_lock(&r->working);
    if (!r->loaded) {
        e = load_all(r, error, sizeof error);
        r->loaded = !e;
        if (e) {
            complain(r, 0, error);
        }
    }
    /* Minutes first: hours are made of them. */
    for (unsigned i = N_ROLLUPS; r->loaded && i-- > 0; ) {
        int64_t *list = NULL;
        size_t n = due(r, i, now_us, &list);
        for (size_t k = 0; k < n && !r->stopping; k++) {
            e = do_hour(r, i, list[k], error, sizeof error);
            if (e) {
                if (!r->stopping) {
                    complain(r, i, error);
                }
                break;
            }
            done++;
        }
        free(list);
        if (!r->stopping) {
            apply_limits(r, i, now_us);
        }
    }
    pthread_mutex_unlock(&r->working);
    return e ? e : done;
}

void
rollup_invalidate(struct rollup *r, int64_t from_us, int64_t to_us)
{
    char error[256] = "";
    struct store_view v;
    int64_t *hours = NULL;

    from_us -= from_us % HOUR_US;
    pthread_mutex_lock(&r->working);
    /* Only what can be made again. */
    size_t n = store_hours(r->store, &hours);
    int e = store_view_open(r->store, 0, 1, &v, error, sizeof error);
    for (unsigned i = 0; i < N_ROLLUPS && !e && exists(r, i); i++) {
        e = attach(r, i, v.conn, error, sizeof error);
        for (size_t k = 0; k < n && !e; k++) {
            if (hours[k] >= from_us && hours[k] < to_us) {
                e = forget(r, i, v.conn, hours[k], hours[k] + HOUR_US, error,
                           sizeof error);
            }
        }
        if (e) {
            complain(r, i, error);
        }
    }
    if (v.store) {
        store_view_close(&v);
    }
    pthread_mutex_unlock(&r->working);
    free(hours);
}

static void *
work(void *aux)
{
    struct rollup *r = aux;

    pthread_mutex_lock(&r->mutex);
    while (!r->stopping) {
        pthread_mutex_unlock(&r->mutex);
        rollup_run(r, clock_wall_us());
        pthread_mutex_lock(&r->mutex);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += PERIOD_S;
        if (!r->stopping) {
            pthread_cond_timedwait(&r->wake, &r->mutex, &until);
        }
    }
    pthread_mutex_unlock(&r->mutex);
    return NULL;
}

struct rollup *
rollup_open(struct store *store, const char *dir,
            const struct rollup_limit limits[N_ROLLUPS], bool thread)
{
    struct rollup *r = calloc(1, sizeof *r);
    char path[4096];

    if (!r || !(r->dir = strdup(dir))) {
        free(r);
        return NULL;
    }
    r->store = store;
    memcpy(r->limits, limits, sizeof r->limits);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_mutex_init(&r->working, NULL);
    pthread_cond_init(&r->wake, NULL);
    snprintf(path, sizeof path, "%s/flows/rollups", dir);
    if (mkdir(path, 0750) && errno != EEXIST) {
        LOG(store, ERR, "%s: %s: there are no rollups", path,
            strerror(errno));
    } else {
        r->started = thread && !thread_start(&r->thread, "rollup", work, r);
    }
    return r;
}

void
rollup_close(struct rollup *r)
{
    if (!r) {
        return;
    }
    if (r->started) {
        pthread_mutex_lock(&r->mutex);
        r->stopping = true;
        pthread_cond_signal(&r->wake);
        pthread_mutex_unlock(&r->mutex);
        pthread_join(r->thread, NULL);
    }
    for (unsigned i = 0; i < N_ROLLUPS; i++) {
        free(r->done[i].list);
    }
    pthread_mutex_destroy(&r->mutex);
    pthread_mutex_destroy(&r->working);
    pthread_cond_destroy(&r->wake);
    free(r->dir);
    free(r);
}

void
rollup_set_limits(struct rollup *r,
                  const struct rollup_limit limits[N_ROLLUPS])
{
    pthread_mutex_lock(&r->mutex);
    memcpy(r->limits, limits, sizeof r->limits);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->mutex);
}

void
rollup_status(struct rollup *r, struct rollup_status out[N_ROLLUPS])
{
    pthread_mutex_lock(&r->mutex);
    for (unsigned i = 0; i < N_ROLLUPS; i++) {
        const struct hours *h = &r->done[i];
        out[i] = (struct rollup_status) {
            .name = defs[i].name, .hours = h->n, .bytes = r->bytes[i],
            .oldest_us = h->n ? h->list[0] : 0,
            .newest_us = h->n ? h->list[h->n - 1] + HOUR_US : 0,
        };
    }
    pthread_mutex_unlock(&r->mutex);
}

const struct rollup_counters *
rollup_counters(const struct rollup *r)
{
    return &r->counters;
}

/* ---- Plans. ---- */

static bool
keeps(unsigned id)
{
    for (size_t i = 0; i < N_KEYS; i++) {
        if (keys[i] == id) {
            return true;
        }
    }
    return false;
}

static bool
adds(unsigned id)
{
    for (size_t i = 0; i < N_SUMS; i++) {
        if (sums[i] == id) {
            return true;
        }
    }
    return id == QUERY_METRIC_FLOWS;
}

/* The first column of a filter that tiers do not keep, or NULL. */
static const char *
filter_lacks(const struct filter *f)
{
    if (!f || f->op == FILTER_ANY) {
        return NULL;
    } else if (f->op == FILTER_TERM) {
        return f->value != FV_COLUMN ? filter_value_name(f->value)
               : keeps(f->column) ? NULL : columns[f->column].name;
    }
    const char *left = filter_lacks(f->left);
    return left || f->op == FILTER_NOT ? left : filter_lacks(f->right);
}

/* What of a query tiers do not keep, or NULL. */
static const char *
lacks(const struct query *q)
{
    if (q->records.on) {
        return "single records";
    } else if (q->bidirectional) {
        return "both ends of flows";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        if (!keeps(q->by[i])) {
            return columns[q->by[i]].name;
        }
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        unsigned id = q->metrics[i], fn = q->calc[i].fn;
        bool time = (fn == FN_MIN && id == COL_flow_start)
                    || (fn == FN_MAX && id == COL_flow_end);
        if (fn == FN_ERROR) {
            return "the error of estimates";
        }
        bool ok = fn == FN_DISTINCT ? keeps(id)
                  : fn == FN_MIN || fn == FN_MAX ? time : adds(id);
        if (!ok) {
            return columns[id].name;
        }
    }
    return filter_lacks(q->filter);
}

/* The whole steps of a time range; none: both are the same. */
static void
whole_steps(int64_t step, int64_t *from, int64_t *to)
{
    *from = *from <= 0 ? 0 : (*from + step - 1) / step * step;
    *to = *to <= 0 ? 0 : *to / step * step;
    *to = *to < *from ? *from : *to;
}

/* That a row ended in whole steps of the range, or of the one before. */
static struct filter *
in_steps(const struct query *q, unsigned tier)
{
    int64_t from = q->from_us, to = q->to_us;
    whole_steps(defs[tier].step_us, &from, &to);
    struct filter *f = between(COL_flow_end, from, to);
    if (q->previous_us) {
        from = q->from_us - q->previous_us;
        to = q->to_us - q->previous_us;
        whole_steps(defs[tier].step_us, &from, &to);
        f = join(FILTER_OR, f, between(COL_flow_end, from, to));
    }
    return f;
}

/* That it arrived in an hour that is done: up to the last one, without those of
 * which the store has flows that are still to be added up.  NULL if no hour of
 * use is done, or without memory (told by '*failed'). */
static struct filter *
arrived_in(const struct hours *h, const int64_t *stored, size_t n,
           int64_t from_us, int64_t to_us, bool *failed)
{
    size_t first = hours_find(h, from_us - HOUR_US - AHEAD_US);

    *failed = false;
    if (first == h->n || h->list[first] >= to_us + LATE_US) {
        return NULL;
    }
    int64_t end = h->list[h->n - 1] + HOUR_US;
    struct filter *f = term(COL_received, CMP_LT, end);
    for (size_t i = 0; i < n; i++) {
        if (stored[i] < end && !hours_has(h, stored[i])) {
            f = join(FILTER_AND, f,
                     join(FILTER_NOT, between(COL_received, stored[i],
                                              stored[i] + HOUR_US), NULL));
        }
    }
    *failed = !f;
    return f;
}

static struct filter *
copy(const struct filter *f)
{
    struct filter *c = f ? malloc(sizeof *c) : NULL;
    if (!c) {
        return NULL;
    }
    *c = *f;
    c->text = f->text ? strdup(f->text) : NULL;
    c->left = copy(f->left);
    c->right = copy(f->right);
    if ((f->text && !c->text) || (f->left && !c->left)
        || (f->right && !c->right)) {
        filter_destroy(c);
        return NULL;
    }
    return c;
}

/* Whether the steps of a tier fit into those of the query. */
static bool
fits(const struct query *q, unsigned tier)
{
    int64_t step = defs[tier].step_us, from = q->from_us, to = q->to_us;
    bool p95 = false;
    for (unsigned i = 0; i < q->n_metrics; i++) {
        p95 |= q->calc[i].fn == FN_P95;
    }
    whole_steps(step, &from, &to);
    return to > from && q->bucket_us % step == 0
           && (!p95 || q->p95_us % step == 0);
}

/* Whether a coarser tier has all that this one could add: the same hours, and
 * the time range is of whole steps of both. */
static bool
adds_nothing(struct rollup *r, const struct query *q, unsigned tier)
{
    const struct hours *a = &r->done[tier - 1], *b = &r->done[tier];
    int64_t shifts[] = { 0, q->previous_us };

    for (unsigned i = 0; i < 2; i++) {
        int64_t from[2], to[2];
        for (unsigned k = 0; k < 2; k++) {
            from[k] = q->from_us - shifts[i];
            to[k] = q->to_us - shifts[i];
            whole_steps(defs[tier - k].step_us, &from[k], &to[k]);
        }
        if (from[0] != from[1] || to[0] != to[1]) {
            return false;
        }
    }
    pthread_mutex_lock(&r->mutex);
    bool same = a->n == b->n && !memcmp(a->list, b->list,
                                        a->n * sizeof *a->list);
    pthread_mutex_unlock(&r->mutex);
    return same;
}

/* The condition of one tier is 'and' that no coarser one has the row. */
static bool
add_tier(struct rollup *r, const struct query *q, unsigned tier,
         struct rollup_plan *p, struct filter **others)
{
    int64_t *stored = NULL;
    size_t n = store_hours(r->store, &stored);
    bool failed;
    pthread_mutex_lock(&r->mutex);
    struct filter *arrived = arrived_in(&r->done[tier], stored, n,
                                        q->from_us - q->previous_us,
                                        q->to_us, &failed);
    pthread_mutex_unlock(&r->mutex);
    free(stored);
    if (!arrived) {
        return !failed;
    }
    struct filter *mine = join(FILTER_AND, in_steps(q, tier), arrived);
    struct filter *not_mine = join(FILTER_NOT, copy(mine), NULL);
    struct filter *f = q->filter ? join(FILTER_AND, copy(q->filter), mine)
                                 : mine;
    if (*others && f) {
        f = join(FILTER_AND, f, copy(*others));
    }
    *others = *others ? join(FILTER_AND, *others, not_mine) : not_mine;
    if (!f || !*others) {
        filter_destroy(f);
        return false;
    }
    struct sql_source *s = &p->sources[p->n];
    *s = (struct sql_source) { .schema = defs[tier].schema, .rollup = true,
                               .filter = f };
    column_set_add(&s->has, COL_flow_end);
    column_set_add(&s->has, COL_flow_start);
    column_set_add(&s->has, COL_received);
    for (size_t i = 0; i < N_KEYS; i++) {
        column_set_add(&s->has, keys[i]);
    }
    for (size_t i = 0; i < N_SUMS; i++) {
        column_set_add(&s->has, sums[i]);
    }
    p->names[p->n] = defs[tier].name;
    p->filters[p->n++] = f;
    return true;
}

void
rollup_plan_clear(struct rollup_plan *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        filter_destroy(p->filters[i]);
    }
    filter_destroy(p->raw);
    memset(p, 0, sizeof *p);
}

void
rollup_plan(struct rollup *r, const struct query *q, struct store_view *v,
            struct rollup_plan *p)
{
    struct filter *others = NULL;
    char error[256];
    bool ok = true;

    memset(p, 0, sizeof *p);
    if (!r) {
        return;
    }
    pthread_mutex_lock(&r->mutex);
    for (unsigned i = 0; i < N_ROLLUPS; i++) {
        if (r->done[i].n && (!p->kept_us
                             || r->done[i].list[0] < p->kept_us)) {
            p->kept_us = r->done[i].list[0];
        }
    }
    pthread_mutex_unlock(&r->mutex);
    p->lacks = lacks(q);
    bool overlap = q->previous_us && q->previous_us < q->to_us - q->from_us;
    for (unsigned i = 0; i < N_ROLLUPS && ok && !p->lacks && !overlap
                         && !q->only_raw; i++) {
        if (fits(q, i) && !(p->n && adds_nothing(r, q, i))) {
            unsigned n = p->n;
            ok = add_tier(r, q, i, p, &others);
            if (ok && p->n > n
                && attach(r, i, v->conn, error, sizeof error)) {
                complain(r, i, error);
                ok = false;
            }
        }
    }
    if (ok && p->n) {
        p->raw = q->filter ? join(FILTER_AND, copy(q->filter), others)
                           : others;
        ok = p->raw != NULL;
    } else {
        filter_destroy(others);
    }
    if (!ok) {
        const char *what = p->lacks;
        int64_t kept_us = p->kept_us;
        rollup_plan_clear(p);
        p->lacks = what;
        p->kept_us = kept_us;
    }
}
