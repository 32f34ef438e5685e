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
#include "collector/query/rollup_p.h"
#include "collector/store/store.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

/* An hour of arrival is added up when all that came in it is stored. */
#define SETTLE_US (INT64_C(120) * 1000000)
#define PERIOD_S 60
#define MAX_HOURS 100000
/* How long an hour may take to come to its end when all ends. */
#define CLOSE_MS 1000
#define INTERRUPT_MS 100

/* The rows of the tables begin with that of the step, then come these, then
 * the sums. */
const struct rollup_table rollup_tables[ROLLUP_TABLES] = {
    { "input",
      { COL_exporter, COL_export_protocol, COL_observation_domain_id,
        COL_bridge, COL_direction, COL_canonical, COL_ip_version, COL_proto,
        COL_in_if, COL_in_if_name }, 10, false },
    { "output",
      { COL_exporter, COL_export_protocol, COL_observation_domain_id,
        COL_bridge, COL_direction, COL_canonical, COL_ip_version, COL_proto,
        COL_out_if, COL_out_if_name }, 10, false },
    { "src_as",
      { COL_exporter, COL_bridge, COL_canonical, COL_ip_version, COL_src_as },
      5, true },
    { "dst_as",
      { COL_exporter, COL_bridge, COL_canonical, COL_ip_version, COL_dst_as },
      5, true },
};
const enum column_id rollup_sums[ROLLUP_SUMS] = {
    COL_bytes, COL_packets, COL_l2_bytes, COL_raw_bytes, COL_raw_packets,
    COL_dropped_packets, COL_dropped_bytes,
};
const struct rollup_def rollup_defs[N_ROLLUPS] = {
    [ROLLUP_HOUR] = { "1h", "rollup_1h", HOUR_US },
    [ROLLUP_MINUTE] = { "1m", "rollup_1m", HOUR_US / 60 },
};

const struct counter_def rollup_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct rollup_counters, NAME), DOC },
    ROLLUP_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

/* ---- Lists of hours. ---- */

/* Where 'hour' is, or would be. */
size_t
rollup_hours_find(const struct hours *h, int64_t hour)
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

bool
rollup_hours_has(const struct hours *h, int64_t hour)
{
    size_t i = rollup_hours_find(h, hour);
    return i < h->n && h->list[i] == hour;
}

static int
hours_add(struct hours *h, int64_t hour)
{
    size_t i = rollup_hours_find(h, hour);
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
    size_t a = rollup_hours_find(h, from), b = rollup_hours_find(h, to);
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
put_columns(FILE *f, const struct rollup_table *t)
{
    fputs("\"flow_end\" TIMESTAMP", f);
    for (size_t i = 0; i < t->n; i++) {
        const struct column *c = &columns[t->keys[i]];
        fprintf(f, ", \"%s\" %s", c->name, c->type == COLUMN_T_NAME
                ? "VARCHAR" : schema_sql_type(c->type));
    }
    for (size_t i = 0; i < ROLLUP_SUMS; i++) {
        fprintf(f, ", \"%s\" HUGEINT", columns[rollup_sums[i]].name);
    }
    fputs(", \"flows\" HUGEINT, \"flow_start\" TIMESTAMP, \"last\" TIMESTAMP, "
          "\"received\" TIMESTAMP", f);
}

int
rollup_attach(struct rollup *r, unsigned tier, duckdb_connection conn,
              char *error, size_t size)
{
    char *path = NULL, *sql = NULL;
    size_t sql_size;
    FILE *f;

    if (asprintf(&path, "%s/flows/rollups/%s.duckdb", r->dir,
                 rollup_defs[tier].name) < 0
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
            "TIMESTAMP, \"flows\" HUGEINT)", rollup_defs[tier].schema,
            rollup_defs[tier].schema);
    for (unsigned i = 0; i < ROLLUP_TABLES; i++) {
        fprintf(f, "; CREATE TABLE IF NOT EXISTS %s.main.%s(",
                rollup_defs[tier].schema, rollup_tables[i].name);
        put_columns(f, &rollup_tables[i]);
        fputs(")", f);
    }
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
             "ORDER BY 1 LIMIT %d", rollup_defs[tier].schema, MAX_HOURS);
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
               "database_name = '%s'", rollup_defs[tier].schema) ? 0 : bytes;
}

/* ---- Adding up. ---- */

struct filter *
rollup_term(enum column_id id, enum filter_cmp cmp, int64_t us)
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

struct filter *
rollup_between(enum column_id id, int64_t from_us, int64_t to_us)
{
    return filter_join(FILTER_AND, rollup_term(id, CMP_GE, from_us),
                rollup_term(id, CMP_LT, to_us));
}

/* All flows that arrived in an hour, by step and keys. */
static struct query
hour_query(unsigned tier, const struct rollup_table *t, int64_t hour)
{
    struct query q = {
        .from_us = hour < LATE_US ? 0 : hour - LATE_US,
        .to_us = hour + HOUR_US + AHEAD_US,
        .filter = rollup_between(COL_received, hour, hour + HOUR_US),
        .bucket_us = rollup_defs[tier].step_us, .n_by = t->n,
        .unordered = true, .all_observations = true,
    };
    memcpy(q.by, t->keys, t->n * sizeof t->keys[0]);
    for (size_t i = 0; i < ROLLUP_SUMS; i++) {
        q.metrics[q.n_metrics++] = rollup_sums[i];
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
insert_from_minutes(duckdb_connection conn, const struct rollup_table *t,
                    int64_t hour, char *error, size_t size)
{
    char *text = NULL;
    size_t text_size;
    FILE *f = open_memstream(&text, &text_size);
    if (!f) {
        return -ENOMEM;
    }
    fprintf(f, "INSERT INTO %s.main.%s SELECT date_trunc('hour', "
            "\"flow_end\") AS t", rollup_defs[ROLLUP_HOUR].schema, t->name);
    for (size_t i = 0; i < t->n; i++) {
        fprintf(f, ", \"%s\"", columns[t->keys[i]].name);
    }
    for (size_t i = 0; i < ROLLUP_SUMS; i++) {
        fprintf(f, ", sum(\"%s\")", columns[rollup_sums[i]].name);
    }
    fprintf(f, ", sum(\"flows\"), min(\"flow_start\"), max(\"last\"), "
            "\"received\" FROM %s.main.%s WHERE \"received\" = "
            "make_timestamp(%" PRId64 ") GROUP BY t, \"received\"",
            rollup_defs[ROLLUP_MINUTE].schema, t->name, hour);
    for (size_t i = 0; i < t->n; i++) {
        fprintf(f, ", \"%s\"", columns[t->keys[i]].name);
    }
    int e = fclose(f) ? -ENOMEM : run(conn, NULL, error, size, "%s", text);
    free(text);
    return e;
}

static int
insert_hour(struct rollup *r, unsigned tier, const struct rollup_table *t,
            struct store_view *v, int64_t hour, char *error, size_t size)
{
    char before[128];

    pthread_mutex_lock(&r->mutex);
    bool minutes = tier == ROLLUP_HOUR && !t->hours_only
                   && rollup_hours_has(&r->done[ROLLUP_MINUTE], hour);
    pthread_mutex_unlock(&r->mutex);
    if (minutes) {
        return insert_from_minutes(v->conn, t, hour, error, size);
    }
    struct query q = hour_query(tier, t, hour);
    if (!q.filter) {
        snprintf(error, size, "out of memory");
        return -ENOMEM;
    }
    snprintf(before, sizeof before, "INSERT INTO %s.main.%s SELECT *, "
             "make_timestamp(%" PRId64 ") FROM (", rollup_defs[tier].schema,
             t->name, hour);
    int e = query_insert(v, &q, before, ")", &r->stopping, NULL, error, size);
    query_clear(&q);
    return e;
}

/* Removes what arrived in [from, to), within a transaction. */
static int
delete_hours(unsigned tier, duckdb_connection conn, int64_t from, int64_t to,
             char *error, size_t size)
{
    const char *schema = rollup_defs[tier].schema;
    int e = run(conn, NULL, error, size, "DELETE FROM %s.main.done WHERE "
                "\"hour\" >= make_timestamp(%" PRId64 ") AND \"hour\" < "
                "make_timestamp(%" PRId64 ")", schema, from, to);
    for (unsigned i = 0; i < ROLLUP_TABLES && !e; i++) {
        e = run(conn, NULL, error, size, "DELETE FROM %s.main.%s WHERE "
                "\"received\" >= make_timestamp(%" PRId64 ") AND "
                "\"received\" < make_timestamp(%" PRId64 ")", schema,
                rollup_tables[i].name, from, to);
    }
    return e;
}

/* One hour in one transaction: it replaces what was there of it. */
static int
add_hour(struct rollup *r, unsigned tier, struct store_view *v, int64_t hour,
         char *error, size_t size)
{
    const char *schema = rollup_defs[tier].schema;
    int64_t n = 0;
    int e = run(v->conn, NULL, error, size, "BEGIN");
    if (e) {
        return e;
    }
    e = delete_hours(tier, v->conn, hour, hour + 1, error, size);
    for (unsigned i = 0; i < ROLLUP_TABLES && !e; i++) {
        int64_t rows = 0;
        if (rollup_tables[i].hours_only && tier != ROLLUP_HOUR) {
            continue;
        }
        e = insert_hour(r, tier, &rollup_tables[i], v, hour, error, size);
        if (!e) {
            e = run(v->conn, &rows, error, size, "SELECT count(*) FROM "
                    "%s.main.%s WHERE \"received\" = make_timestamp(%" PRId64
                    ")", schema, rollup_tables[i].name, hour);
        }
        n += rows;
    }
    if (!e) {
        e = run(v->conn, NULL, error, size,
                "INSERT INTO %s.main.done SELECT make_timestamp(%" PRId64 "), "
                "coalesce(sum(\"flows\"), 0) FROM %s.main.%s WHERE "
                "\"received\" = make_timestamp(%" PRId64 ")", schema, hour,
                schema, rollup_tables[0].name, hour);
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
        .filter = rollup_between(COL_received, hour, hour + HOUR_US),
        .metrics = { QUERY_METRIC_FLOWS }, .n_metrics = 1, .order = -1,
        .limit = 1, .all_observations = true,
    };
    char error[256];
    int64_t differ = 0;
    int e = q.filter ? run(v->conn, NULL, error, sizeof error, "CREATE OR "
                           "REPLACE TEMP TABLE rollup_n(n HUGEINT)")
                     : -ENOMEM;
    if (!e) {
        e = query_insert(v, &q, "INSERT INTO temp.main.rollup_n SELECT * "
                         "FROM (", ")", &r->stopping, NULL, error,
                         sizeof error);
    }
    if (!e) {
        e = run(v->conn, &differ, error, sizeof error, "SELECT count(*) FROM "
                "temp.main.rollup_n WHERE n IS DISTINCT FROM (SELECT "
                "sum(\"flows\") FROM %s.main.done WHERE \"hour\" = "
                "make_timestamp(%" PRId64 "))", rollup_defs[tier].schema,
                hour);
    }
    query_clear(&q);
    return !e && differ;
}

void
rollup_complain(struct rollup *r, unsigned tier, const char *error)
{
    counter_inc(&r->counters.errors);
    LOG_RATE(store, WARN, "rollup %s: %s", rollup_defs[tier].name, error);
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
            && !rollup_hours_has(&r->done[tier], hour)) {
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
            ? rollup_attach(r, i, v->conn, error, size) : 0;
        if (e) {
            store_view_close(v);
        }
    }
    return e;
}

/* What is busy on the connection can be told to stop; NULL: nothing is. */
static void
set_busy(struct rollup *r, duckdb_connection conn)
{
    pthread_mutex_lock(&r->mutex);
    r->conn = conn;
    pthread_mutex_unlock(&r->mutex);
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
    set_busy(r, v.conn);
    e = add_hour(r, tier, &v, hour, error, size);
    set_busy(r, NULL);
    store_view_close(&v);
    int64_t before = hour - HOUR_US;
    pthread_mutex_lock(&r->mutex);
    bool check = !e && rollup_hours_has(&r->done[tier], before);
    pthread_mutex_unlock(&r->mutex);
    if (check && !open_hour(r, tier, before, &v, error, size)) {
        set_busy(r, v.conn);
        if (differs(r, tier, &v, before)) {
            counter_inc(&r->counters.again);
            e = add_hour(r, tier, &v, before, error, size);
        }
        set_busy(r, NULL);
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
    /* Queries that begin now look for them elsewhere. */
    pthread_mutex_lock(&r->mutex);
    hours_remove(&r->done[tier], from, to);
    pthread_mutex_unlock(&r->mutex);
    int e = run(conn, NULL, error, size, "BEGIN");
    if (e) {
        return e;
    }
    e = delete_hours(tier, conn, from, to, error, size);
    if (!e) {
        e = run(conn, NULL, error, size, "COMMIT");
    }
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
    int e = rollup_attach(r, tier, v.conn, error, sizeof error);
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
                    rollup_defs[tier].schema);
        }
        bytes = e ? 0 : used_bytes(tier, v.conn);
    }
    store_view_close(&v);
    pthread_mutex_lock(&r->mutex);
    r->bytes[tier] = (uint64_t) bytes;
    pthread_mutex_unlock(&r->mutex);
    if (e) {
        rollup_complain(r, tier, error);
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
             rollup_defs[tier].name);
    snprintf(to, sizeof to, "%s.corrupt", from);
    LOG(store, ERR, "%s: %s; it is set aside as %s.corrupt and made again "
        "from the flows that are left", from, error, rollup_defs[tier].name);
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
             rollup_defs[tier].name);
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
        e = rollup_attach(r, i, v.conn, error, size);
        if (e && (strstr(error, "not a valid DuckDB") || strstr(error,
                                                               "orrupt")
                  || strstr(error, "checksum") || strstr(error, "deserial")
                  || strstr(error, "replaying WAL"))) {
            set_aside(r, i, error);
            e = rollup_attach(r, i, v.conn, error, size);
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

/* 'age_us' is the time by which sums get old. */
static int
run_once(struct rollup *r, int64_t now_us, int64_t age_us)
{
    char error[256] = "";
    int done = 0, e = 0;

    pthread_mutex_lock(&r->working);
    if (!r->loaded) {
        e = load_all(r, error, sizeof error);
        r->loaded = !e;
        if (e) {
            rollup_complain(r, 0, error);
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
                    rollup_complain(r, i, error);
                }
                break;
            }
            done++;
        }
        free(list);
        if (!r->stopping) {
            apply_limits(r, i, age_us);
        }
    }
    pthread_mutex_unlock(&r->working);
    return e ? e : done;
}

int
rollup_run(struct rollup *r, int64_t now_us)
{
    return run_once(r, now_us, now_us);
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
        e = rollup_attach(r, i, v.conn, error, sizeof error);
        for (size_t k = 0; k < n && !e; k++) {
            if (hours[k] >= from_us && hours[k] < to_us) {
                e = forget(r, i, v.conn, hours[k], hours[k] + HOUR_US, error,
                           sizeof error);
            }
        }
        if (e) {
            rollup_complain(r, i, error);
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
        int64_t now = clock_wall_us();
        run_once(r, now, store_age_us(r->store, now));
        pthread_mutex_lock(&r->mutex);
        if (!r->stopping) {
            thread_wait_until(&r->wake, &r->mutex,
                              clock_mono_us() + PERIOD_S * 1000000);
        }
    }
    r->over = true;
    pthread_cond_broadcast(&r->wake);
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

/* Waits for the thread.  An hour of many flows takes a while even when its
 * flows come no more: DuckDB is interrupted then, which leaks there, and the
 * transaction is as if it had never been. */
static void
join(struct rollup *r)
{
    int64_t until_us = clock_mono_us() + CLOSE_MS * 1000;

    pthread_mutex_lock(&r->mutex);
    while (!r->over) {
        if (!thread_wait_until(&r->wake, &r->mutex, until_us)) {
            if (r->conn) {
                duckdb_interrupt(r->conn);
            }
            until_us = clock_mono_us() + INTERRUPT_MS * 1000;
        }
    }
    pthread_mutex_unlock(&r->mutex);
    pthread_join(r->thread, NULL);
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
        join(r);
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
            .name = rollup_defs[i].name, .hours = h->n, .bytes = r->bytes[i],
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
