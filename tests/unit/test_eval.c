/* What evaluates filters agrees, for thousands of random filters over random
 * flows: batches in memory, the store's scan, and SQL in a plain table. */
#include <config.h>

#include "collector/filter/eval.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "collector/filter/confine.h"
#include "collector/filter/names.h"
#include "collector/query/query.h"
#include "collector/query/sql.h"
#include "collector/store/scan.h"
#include "collector/store/view.h"
#include "lib/clock.h"
#include "tests/unit/query_util.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

#define N_BATCHES 8
#define N_FILTERS 2000

static struct dict *dict;
static struct source source;
static struct store *store;
static struct query_pool *pool;
static char *dir;
static struct flow_batch *rows[N_BATCHES];
static const struct confine *confine;   /* NULL: who asks sees all. */
static struct store_view view;  /* Its connection has the plain table. */

/* Random flows; raw_bytes tells one row from every other, so that equal sums
 * mean equal rows. */
static void
fill(struct flow_batch *b, unsigned k, uint64_t *seed)
{
    util_fill(b, k ? 300 + 61 * k : 2048, UTIL_T0 + k / 4 * UTIL_HOUR, seed,
              dict, &source);
    for (uint32_t i = 0; i < b->n; i++) {
        b->raw_bytes[i] = util_random(seed) >> 16;
        b->flow_start[i] -= (int64_t) (util_random(seed) % 4) * 700000;
        b->packets[i] = util_random(seed) % 20;
        if (util_random(seed) % 50 == 0) {
            b->bytes[i] = UINT64_MAX - util_random(seed) % 3;
            b->flow_end[i] = b->flow_start[i];
        }
    }
}

static bool
run_sql(const char *sql)
{
    duckdb_result r;
    bool ok = duckdb_query(view.conn, sql, &r) == DuckDBSuccess;
    if (!ok) {
        fprintf(stderr, "%s\n%s\n", duckdb_result_error(&r), sql);
    }
    duckdb_destroy_result(&r);
    return ok;
}

/* The same flows in tables "flows" and "names" of DuckDB's own, names as ids. */
static void
make_plain(void)
{
    char error[256], relation[SCAN_RELATION_LEN], *sql;
    size_t size;
    struct scan_spec spec = { .n_ranges = 1,
                              .ranges = { { 0, INT64_MAX / 2 } } };
    CU_ASSERT_FATAL(!store_view_open(store, 0, INT64_MAX / 2, &view, error,
                                     sizeof error));
    struct scan *scan = scan_open(&view, &spec);
    CU_ASSERT_FATAL(scan != NULL);
    scan_relation(scan, relation);
    CU_ASSERT_FATAL(run_sql("ATTACH ':memory:' AS plain"));
    FILE *f = open_memstream(&sql, &size);
    const char *comma = "";
    fputs("CREATE TABLE plain.main.names AS SELECT (row_number() OVER ())::"
          "UINTEGER AS id, text FROM (", f);
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        if (columns[i].type == COLUMN_T_NAME) {
            fprintf(f, "%sSELECT \"%s\" AS text FROM %s", comma,
                    columns[i].name, relation);
            comma = " UNION ";
        }
    }
    fputs(") WHERE text IS NOT NULL", f);
    fclose(f);
    CU_ASSERT_FATAL(run_sql(sql));
    free(sql);
    f = open_memstream(&sql, &size);
    fputs("CREATE TABLE plain.main.flows AS SELECT ", f);
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        fputs(i ? ", " : "", f);
        if (columns[i].type == COLUMN_T_NAME) {
            fprintf(f, "list_position((SELECT list(text ORDER BY id) FROM "
                    "plain.main.names), \"%s\")::UINTEGER AS ",
                    columns[i].name);
        }
        fprintf(f, "\"%s\"", columns[i].name);
    }
    fprintf(f, " FROM %s", relation);
    fclose(f);
    CU_ASSERT_FATAL(run_sql(sql));
    free(sql);
    scan_close(scan);
}

static void
setup(void)
{
    uint64_t seed = 99, n = 0;
    dict = dict_create(1000, 100000);
    dir = util_mkdir();
    store = util_open(dir, dict, NULL);
    CU_ASSERT_FATAL(store != NULL);
    for (unsigned k = 0; k < N_BATCHES; k++) {
        struct flow_batch *b = store_batch_get(store);
        fill(b, k, &seed);
        n += b->n;
        rows[k] = batch_create();
        memcpy(rows[k], b, sizeof *b);
        CU_ASSERT(store_submit(store, b));
    }
    CU_ASSERT(util_wait(store, n));
    pool = query_pool_create(store, 2, 8);
    CU_ASSERT_FATAL(pool != NULL);
    make_plain();
}

static void
teardown(void)
{
    store_view_close(&view);
    query_pool_destroy(pool);
    store_close(store);
    for (unsigned k = 0; k < N_BATCHES; k++) {
        batch_destroy(rows[k]);
    }
    dict_destroy(dict);
    util_rmdir(dir);
    free(dir);
}

struct sums {
    uint64_t flows, print;
};

static struct sums
by_memory(const struct filter *f)
{
    struct sums s = { 0, 0 };
    struct filter_program *p = filter_compile(f, dict);
    CU_ASSERT_FATAL(p != NULL);
    for (unsigned k = 0; k < N_BATCHES; k++) {
        uint64_t bits[EVAL_WORDS], same[EVAL_WORDS];
        static struct eval_batch e;
        filter_run(p, rows[k], bits);
        eval_batch_begin(&e, rows[k]);
        filter_run_once(p, &e, same);
        CU_ASSERT_FATAL(!memcmp(bits, same, sizeof bits));
        for (uint32_t i = 0; i < BATCH_ROWS; i++) {
            if (bits[i / 64] >> i % 64 & 1) {
                CU_ASSERT_FATAL(i < rows[k]->n);
                s.flows++;
                s.print += rows[k]->raw_bytes[i];
            }
        }
    }
    filter_program_destroy(p);
    return s;
}

static struct query
make_query(struct filter *f)
{
    return (struct query) {
        .from_us = 0, .to_us = UTIL_T0 + 100 * UTIL_HOUR,
        .metrics = { QUERY_METRIC_FLOWS, COL_raw_bytes }, .n_metrics = 2,
        .order = -1, .limit = 10, .filter = f, .all_observations = true,
        .confine = confine,
    };
}

static void
bind(duckdb_prepared_statement st, size_t i, const struct sql_bind *b)
{
    switch (b->kind) {
    case BIND_NUMBER:
        duckdb_bind_uint64(st, i, b->number);
        break;
    case BIND_TIME:
        duckdb_bind_timestamp(st, i, (duckdb_timestamp) { b->time_us });
        break;
    case BIND_ADDR:
        duckdb_bind_uhugeint(st, i, schema_from_addr(&b->addr));
        break;
    case BIND_TEXT:
        duckdb_bind_varchar(st, i, b->text);
        break;
    }
}

/* The filter as SQL, over the plain table. */
static struct sums
by_sql(struct filter *f)
{
    struct query asked = make_query(f), q;
    struct sql_source source_ = { .schema = "plain" };
    struct sums s = { 0, 0 };
    duckdb_prepared_statement st;
    duckdb_result r;
    struct sql sql;
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        column_set_add(&source_.has, i);
    }
    CU_ASSERT_FATAL(!query_confine(&asked, &q));
    CU_ASSERT_FATAL(!sql_compile(&q, &source_, 1, &sql_duckdb, &sql));
    CU_ASSERT_EQUAL_FATAL(duckdb_prepare(view.conn, sql.text, &st),
                          DuckDBSuccess);
    for (size_t i = 0; i < sql.n_binds; i++) {
        bind(st, i + 1, &sql.binds[i]);
    }
    CU_ASSERT_EQUAL_FATAL(duckdb_execute_prepared(st, &r), DuckDBSuccess);
    s.flows = (uint64_t) duckdb_value_int64(&r, 0, 0);
    duckdb_hugeint sum = duckdb_value_hugeint(&r, 1, 0);
    s.print = sum.upper ? UINT64_MAX : sum.lower;
    duckdb_destroy_result(&r);
    duckdb_destroy_prepare(&st);
    sql_clear(&sql);
    filter_destroy(q.filter);
    return s;
}

/* Asks, and waits; owns the filter. */
static struct query_result *
ask(struct query q)
{
    struct query_result *r = util_ask(pool, &q);
    if (r->status != QUERY_OK) {
        fprintf(stderr, "%s\n", r->error);
    }
    CU_ASSERT_EQUAL_FATAL(r->status, QUERY_OK);
    return r;
}

/* As a query is answered: the store's scan runs the filter. */
static struct sums
by_scan(struct filter *f)
{
    struct query_result *r = ask(make_query(f));
    struct sums s = { r->values[0].u, r->values[1].u };
    query_result_destroy(r);
    return s;
}

static uint64_t
check(const char *text)
{
    struct filter_error e;
    struct filter *f = filter_parse(text, &e);
    if (!f) {
        fprintf(stderr, "\n%s\n%zu: %s (%s)\n", text, e.position, e.message,
                e.expected);
        CU_FAIL("the filter is not right");
        return 0;
    }
    struct sums memory = by_memory(f), sql = by_sql(f);
    struct sums scan = by_scan(f);      /* Owns 'f'. */
    if (memory.flows != sql.flows || memory.print != sql.print
        || memory.flows != scan.flows || memory.print != scan.print) {
        fprintf(stderr, "\n%s\nSQL %" PRIu64 " flows, memory %" PRIu64
                ", scan %" PRIu64 "\n", text, sql.flows, memory.flows,
                scan.flows);
        CU_FAIL("the evaluators differ");
    }
    return sql.flows;
}

/* A value of a column that some rows have, or nearly. */
static int
put_value(char *out, enum column_id id, uint64_t r)
{
    static const char *const names[] = { "br-int", "eth0", "'größe'",
                                         "nowhere", "tap1" };
    const struct column *c = &columns[id];
    char buf[64];
    switch (c->type) {
    case COLUMN_T_ADDR:
        return r % 3 == 0
               ? sprintf(out, "10.0.0.%d/%d", (int) (r >> 8 & 31),
                         (int) (r >> 16 & 3) + 29)
               : r % 3 == 1
               ? sprintf(out, "2001:db8::%x/%d", (unsigned) (r >> 8 & 31),
                         (int) (r >> 16 & 127) + 1)
               : sprintf(out, "10.0.0.%d", (int) (r >> 8 & 31));
    case COLUMN_T_MAC:
        return sprintf(out, "%s", mac_format(r & 7, buf));
    case COLUMN_T_NAME:
        return sprintf(out, "%s", names[r % 5]);
    case COLUMN_T_TIME:
        return sprintf(out, "%s", time_format_us(UTIL_T0 + (int64_t)
                                                 (r % 1500000), buf));
    case COLUMN_T_BOOL:
        return sprintf(out, "%s", r & 1 ? "true" : "false");
    case COLUMN_T_ENUM:
    case COLUMN_T_BITS:
        for (unsigned i = 0; r >> 8 & 7 && c->words[i].name; i++) {
            if (i == r % 3) {
                return sprintf(out, "%s", c->words[i].name);
            }
        }
        return sprintf(out, "%d", (int) (r % 4));
    case COLUMN_T_U64:
        return sprintf(out, "%" PRIu64, r % 7 ? r >> 8 & 0xffff
                                              : UINT64_MAX - (r >> 8 & 3));
    default:
        return sprintf(out, "%d", (int) (r % 17));
    }
}

static int
put_term(char *out, uint64_t *seed)
{
    static const char *const cmps[] = { "", "=", "!=", "<", "<=", ">", ">=",
                                        "eq", "ne", "lt", "le", "gt", "ge" };
    static const char *const sides[] = { "", "src ", "dst ", "src and dst ",
                                         "src or dst " };
    static const char *const nfdump[] = {
        "flags S", "not flags SAF", "flags X", "flags 3", "any", "ipv4",
        "inet6", "flows > 0", "engine-type 0", "engine-id < 8",
        "in if 3", "out if eth0", "in src mac 00:00:00:00:00:03",
        "router ip 10.0.0.3", "next ip 10.0.0.5", "proto in [icmp tcp 17]",
        "src net 10.0.0.0 255.255.255.240", "not proto tcp", "ident br-int",
        "ip in [10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 "
        "10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11 2001:db8::1 2001:db8::2 "
        "2001:db8::3 2001:db8::4 2001:db8::5 2001:db8::6 10.0.0.16/28]",
        "not src ip in [10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 "
        "10.0.0.7 10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11 2001:db8::1 "
        "10.0.0.1 2001:db8::3 2001:db8::4 2001:db8::5 2001:db8::6]",
        "vlan 3", "mac 00:00:00:00:00:03", "mpls label2 3", "mpls eos 4",
        "ingress acl 3", "not flags A", "mask 4", "dst mask > 7", "observation domain id 3",
        "tunip 10.0.0.9", "port in [1 2 3 echo 9]", "flowdir ingress",
    };
    static const char *const values[] = { "bps", "pps", "bpp", "duration" };
    uint64_t r = util_random(seed) >> 8, v = util_random(seed) >> 8;
    enum column_id id = (enum column_id) (v / 64 % N_COLUMNS);
    const struct column *c = &columns[id];
    bool ordered = c->type != COLUMN_T_ADDR && c->type != COLUMN_T_NAME
                   && c->type != COLUMN_T_BITS;

    if (r % 8 == 0) {
        return sprintf(out, "%s", nfdump[v % (sizeof nfdump
                                              / sizeof nfdump[0])]);
    } else if (r % 8 == 1) {
        return sprintf(out, "%s %s %d%s", values[v % 4], cmps[v / 4 % 13],
                       (int) (v / 64 % 3000), v / 2 % 2 ? "k" : "");
    } else if (r % 8 == 2) {
        return sprintf(out, "%sport %s %d", sides[v % 5], cmps[v / 8 % 13],
                       (int) (v / 128 % 16));
    } else if (r % 8 == 3) {
        int n = sprintf(out, "%sip %s", sides[v % 5], v / 8 % 3 ? "" : "!= ");
        return n + put_value(out + n, COL_src_addr, v >> 10);
    } else if (r % 32 == 4) {
        return sprintf(out, "%s is %snull", c->name, v & 1 ? "not " : "");
    }
    int n = sprintf(out, "%s %s ", c->name,
                    ordered ? cmps[r / 64 % 13] : cmps[r / 64 % 3]);
    return n + put_value(out + n, id, v >> 12);
}

static char *
put_filter(char *out, uint64_t *seed, unsigned depth)
{
    uint64_t r = util_random(seed) >> 8;
    if (!depth || r % 4 == 0) {
        return out + put_term(out, seed);
    }
    out += sprintf(out, r % 4 == 1 ? "not (" : "(");
    out = put_filter(out, seed, depth - 1);
    if (r % 4 != 1) {
        out += sprintf(out, r & 16 ? ") and (" : ") or (");
        out = put_filter(out, seed, depth - 1);
    }
    return out + sprintf(out, ")");
}

static void
test_random(void)
{
    uint64_t seed = 4711, some = 0;
    static char text[65536];
    for (unsigned i = 0; i < N_FILTERS; i++) {
        put_filter(text, &seed, i % 5);
        some += check(text) != 0;
    }
    /* They would agree on nothing as well. */
    CU_ASSERT(some > N_FILTERS / 4);
}

/* Every column with every comparison that it takes. */
static void
test_columns(void)
{
    uint64_t seed = 5;
    char text[256];
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        for (unsigned k = 0; k < 4; k++) {
            int n = sprintf(text, "%s %s ", columns[id].name,
                            k & 1 ? "!=" : "=");
            put_value(text + n, (enum column_id) id, util_random(&seed) >> 8);
            check(text);
        }
        sprintf(text, "%s is null", columns[id].name);
        check(text);
    }
}

/* A tree that leans to the right, and one that does not, need few bitmaps. */
static void
test_shapes(void)
{
    static char text[40000];
    char *p = text;
    for (int i = 0; i < 150; i++) {
        p += sprintf(p, "src_port %d or (", i % 16);
    }
    p += sprintf(p, "any");
    memset(p, ')', 150);
    p[150] = '\0';
    check(text);
    p = text;
    for (int i = 0; i < 500; i++) {
        p += sprintf(p, "%sport %d and not proto %d", i ? " or " : "", i % 16,
                     i % 200);
    }
    struct filter_error e;
    struct filter *f = filter_parse(text, &e);
    CU_ASSERT_FATAL(f != NULL);
    by_memory(f);
    filter_destroy(f);
}

/* ---- Confined to tenants. ---- */

static struct flow_batch *masked[N_BATCHES];    /* What may be seen of rows. */
static uint64_t visible[N_BATCHES][EVAL_WORDS];

static bool
is_tenant(const struct flow_batch *b, enum column_id id, uint32_t row)
{
    const uint32_t *ids = (const uint32_t *) batch_column(
        (struct flow_batch *) b, id);
    return b->valid[id][row / 64] >> row % 64 & 1
           && confine_has(confine, dict_text(dict, ids[row]));
}

/* Row by row, and not by what is tested. */
static void
make_masked(void)
{
    static const enum column_id hidden[2][7] = {
        { COL_src_endpoint, COL_src_tenant, COL_src_network, COL_src_host,
          COL_src_labels, COL_in_if_name, COL_user_name },
        { COL_dst_endpoint, COL_dst_tenant, COL_dst_network, COL_dst_host,
          COL_dst_labels, COL_out_if_name, COL_dst_user_name },
    };
    static const enum column_id of_either[3] = {
        COL_why_name, COL_why_policy, COL_why_network,
    };
    for (unsigned k = 0; k < N_BATCHES; k++) {
        const struct flow_batch *b = rows[k];
        masked[k] = batch_create();
        memcpy(masked[k], b, sizeof *b);
        for (uint32_t i = 0; i < b->n; i++) {
            bool ends[2] = { is_tenant(b, COL_src_tenant, i),
                             is_tenant(b, COL_dst_tenant, i) };
            uint64_t bit = UINT64_C(1) << i % 64;
            visible[k][i / 64] |= ends[0] || ends[1] ? bit : 0;
            for (unsigned c = 0; c < 14; c++) {
                if (!ends[c / 7]) {
                    masked[k]->valid[hidden[c / 7][c % 7]][i / 64] &= ~bit;
                }
            }
            for (unsigned c = 0; c < 3 && !(ends[0] && ends[1]); c++) {
                masked[k]->valid[of_either[c]][i / 64] &= ~bit;
            }
        }
    }
}

/* The rows that are visible and, as they are seen, match. */
static struct sums
by_eye(const struct filter *f, enum column_id by, uint32_t name)
{
    struct sums s = { 0, 0 };
    struct filter_program *p = filter_compile(f, dict);
    for (unsigned k = 0; k < N_BATCHES; k++) {
        uint64_t bits[EVAL_WORDS];
        filter_run(p, masked[k], bits);
        for (uint32_t i = 0; i < rows[k]->n; i++) {
            bool null = by == N_COLUMNS
                        || !(masked[k]->valid[by][i / 64] >> i % 64 & 1);
            uint32_t id = null ? UINT32_MAX
                          : ((uint32_t *) batch_column(masked[k], by))[i];
            if (bits[i / 64] & visible[k][i / 64] & UINT64_C(1) << i % 64
                && id == name) {
                s.flows++;
                s.print += rows[k]->raw_bytes[i];
            }
        }
    }
    filter_program_destroy(p);
    return s;
}

static uint64_t
check_confined(const char *text)
{
    struct filter *f = filter_parse(text, NULL);
    CU_ASSERT_FATAL(f != NULL);
    struct sums want = by_eye(f, N_COLUMNS, UINT32_MAX);
    struct filter *mine = confine_filter(confine, f);
    struct sums memory = by_memory(mine), sql = by_sql(f);
    struct sums scan = by_scan(f);
    filter_destroy(mine);
    if (memcmp(&want, &memory, sizeof want) || memcmp(&want, &sql, sizeof want)
        || memcmp(&want, &scan, sizeof want)) {
        fprintf(stderr, "\n%s\n%" PRIu64 " flows are seen, memory %" PRIu64
                ", SQL %" PRIu64 ", scan %" PRIu64 "\n", text, want.flows,
                memory.flows, sql.flows, scan.flows);
        CU_FAIL("it sees what it may not, or not what it may");
    }
    return want.flows;
}

/* Groups by a masked column, their names, and how many there are. */
static void
check_groups(enum column_id by, const char *text)
{
    struct filter *f = filter_parse(text, NULL);
    struct filter *again = filter_parse(text, NULL);
    struct query q = make_query(f);
    q.by[0] = by;
    q.n_by = 1;
    q.limit = 100;
    struct query_result *r = ask(q);
    uint64_t flows = 0, n = 0;
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct query_value *v = &r->values[3 * i];
        uint32_t name = v[0].null ? UINT32_MAX
                        : dict_intern(dict, v[0].text, strlen(v[0].text));
        struct sums want = by_eye(again, by, name);
        /* What is not UTF-8 has become another text. */
        if (v[0].null || strncmp(v[0].text, "veth-", 5)) {
            CU_ASSERT_EQUAL(v[1].u, want.flows);
            CU_ASSERT_EQUAL(v[2].u, want.print);
        }
        flows += v[1].u;
        n += !v[0].null;
    }
    query_result_destroy(r);
    q = make_query(filter_copy(again));
    q.metrics[0] = by;
    q.calc[0].fn = FN_DISTINCT;
    q.n_metrics = 1;
    r = ask(q);
    CU_ASSERT_EQUAL(r->values[0].u, n);
    query_result_destroy(r);
    struct filter *mine = confine_filter(confine, again);
    CU_ASSERT_EQUAL(flows, by_memory(mine).flows);
    filter_destroy(mine);
    filter_destroy(again);
}

static void
test_confined(void)
{
    static const enum column_id names[] = {
        COL_src_endpoint, COL_src_tenant, COL_src_network, COL_src_labels,
        COL_in_if_name, COL_dst_endpoint, COL_dst_tenant, COL_dst_host,
        COL_out_if_name, COL_bridge,
    };
    const char *const tenants[] = { "tap1", "br-int", "tap1" };
    static char text[65536];
    uint64_t seed = 815, some = 0;

    CU_ASSERT_EQUAL_FATAL(confine_make(tenants, 3, &confine), 0);
    make_masked();
    CU_ASSERT(check_confined("any") > 100);
    CU_ASSERT_EQUAL(check_confined("not any"), 0);
    for (unsigned i = 0; i < N_FILTERS / 8; i++) {
        char *p = text;
        const char *name = columns[names[i % 10]].name;
        p = put_filter(p, &seed, i % 4);
        p += sprintf(p, i & 16 ? " and " : " or ");
        p += sprintf(p, i & 32 ? "not (" : "(");
        if (i % 7 == 0) {
            p += sprintf(p, "%s is %snull)", name, i & 64 ? "not " : "");
        } else {
            p += sprintf(p, "%s %s ", name, i & 64 ? "!=" : "=");
            p += put_value(p, names[i % 10], util_random(&seed) >> 8);
            sprintf(p, ")");
        }
        some += check_confined(text) != 0;
    }
    CU_ASSERT(some > N_FILTERS / 32);
    for (unsigned i = 0; i < 10; i++) {
        check_groups(names[i], "any");
        check_groups(names[i], "not src tenant eth0 or dst endpoint tap1");
    }
    for (unsigned k = 0; k < N_BATCHES; k++) {
        batch_destroy(masked[k]);
    }
    confine = NULL;
}

/* Sets that are no sets, and equal ones. */
static void
test_sets(void)
{
    const char *ab[] = { "a", "b" }, *bab[] = { "b", "a", "b" }, *bad = "";
    const char *many[CONFINE_MAX + 1];
    const struct confine *x, *y;
    char long_name[CONFINE_NAME_MAX + 2];
    const char *too_long = long_name;

    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    for (unsigned i = 0; i <= CONFINE_MAX; i++) {
        many[i] = "a";
    }
    CU_ASSERT_EQUAL(confine_make(ab, 2, &x), 0);
    CU_ASSERT_EQUAL(confine_make(bab, 3, &y), 0);
    CU_ASSERT_PTR_EQUAL(x, y);
    CU_ASSERT_EQUAL(confine_count(x), 2);
    CU_ASSERT(confine_has(x, "b") && !confine_has(x, "ab")
              && !confine_has(x, "") && !confine_has(x, NULL));
    CU_ASSERT_EQUAL(confine_make(ab, 1, &y), 0);
    CU_ASSERT_PTR_NOT_EQUAL(x, y);
    CU_ASSERT_EQUAL(confine_make(ab, 0, &y), -EINVAL);
    CU_ASSERT_PTR_NULL(y);
    CU_ASSERT_EQUAL(confine_make(&bad, 1, &y), -EINVAL);
    CU_ASSERT_EQUAL(confine_make(&too_long, 1, &y), -EINVAL);
    CU_ASSERT_EQUAL(confine_make(many, CONFINE_MAX + 1, &y), -EINVAL);
}

/* Programs that share terms answer as alone, also when there are more of them
 * than places, and after others went. */
#define N_SHARING 900

static struct filter_program *
sharing_program(unsigned i, uint64_t seed, unsigned depth)
{
    /* Nearly the same. */
    static const char *const near[] = {
        "bps > 1", "pps > 1", "bpp > 1", "src port 5", "dst port 5",
        "src ip 10.0.0.8/29", "src ip 10.0.0.8/30", "dst ip 10.0.0.8/29",
        "flags S", "not flags S", "flags = 2", "bridge br-int",
        "in_if_name br-int", "bridge tap1", "as-path 64500",
        "as-path \"6450[0]\"", "community 1:2", "bridge is null",
    };
    static char text[65536];
    if (i < sizeof near / sizeof near[0]) {
        snprintf(text, sizeof text, "%s", near[i]);
    } else {
        put_filter(text, &seed, depth);
    }
    struct filter *f = filter_parse(text, NULL);
    struct filter_program *p = filter_compile(f, dict);
    CU_ASSERT_FATAL(f && p);
    filter_destroy(f);
    return p;
}

/* Returns how many terms were found out for all. */
static unsigned
check_sharing(struct filter_program *const *p)
{
    static struct eval_batch e;
    unsigned done = 0;
    for (unsigned k = 0; k < N_BATCHES; k++) {
        eval_batch_begin(&e, rows[k]);
        for (unsigned i = 0; i < N_SHARING; i++) {
            uint64_t alone[EVAL_WORDS], once[EVAL_WORDS];
            if (p[i]) {
                filter_run(p[i], rows[k], alone);
                filter_run_once(p[i], &e, once);
                CU_ASSERT_FATAL(!memcmp(alone, once, sizeof alone));
            }
        }
    }
    for (unsigned w = 0; w < EVAL_SHARED / 64; w++) {
        done += (unsigned) __builtin_popcountll(e.done[w]);
    }
    return done;
}

static void
test_shared(void)
{
    static struct filter_program *p[N_SHARING];
    struct filter_shared *shared = filter_shared_create();
    CU_ASSERT_FATAL(shared != NULL);

    for (unsigned i = 0; i < N_SHARING; i++) {
        /* Each one twice, and a third time later. */
        unsigned k = i / 2 % (N_SHARING / 3);
        p[i] = sharing_program(k, 100 + k, 3);
        filter_share(shared, p[i]);
    }
    CU_ASSERT_EQUAL(check_sharing(p), EVAL_SHARED);
    for (unsigned i = 0; i < N_SHARING; i++) {
        if (i % 3) {
            filter_unshare(shared, p[i]);
            filter_program_destroy(p[i]);
            p[i] = i % 3 == 1 ? NULL : sharing_program(i / 2, 5000 + i / 2,
                                                      4);
            if (p[i]) {
                filter_share(shared, p[i]);
            }
        }
    }
    CU_ASSERT(check_sharing(p) > EVAL_SHARED / 4);
    for (unsigned i = 0; i < N_SHARING; i++) {
        if (p[i]) {
            filter_unshare(shared, p[i]);
            filter_program_destroy(p[i]);
        }
    }
    filter_shared_destroy(shared);
}

/* How fast: said, and only bounded where a machine would be broken. */
static void
test_speed(void)
{
    struct filter_error e;
    struct filter *f = filter_parse("dst_port 53 and proto 17 and ip_version "
                                    "4 and bytes > 100", &e);
    struct filter_program *p = filter_compile(f, dict);
    uint64_t bits[EVAL_WORDS], n = 0;
    int64_t begin = clock_mono_us(), us;
    do {
        for (int i = 0; i < 100; i++) {
            filter_run(p, rows[0], bits);
            n += 4 * rows[0]->n;
        }
        us = clock_mono_us() - begin;
    } while (us < 100000);
    printf("\n%.0f million terms a second ", (double) n / (double) us);
    CU_ASSERT((double) n / (double) us > 5);
    filter_program_destroy(p);
    filter_destroy(f);
}

static void
test_setup(void)
{
    setup();
}

static void
test_teardown(void)
{
    teardown();
}

UNIT_MAIN("eval", UNIT_TEST(test_setup), UNIT_TEST(test_columns),
          UNIT_TEST(test_random), UNIT_TEST(test_shapes),
          UNIT_TEST(test_sets), UNIT_TEST(test_confined),
          UNIT_TEST(test_shared), UNIT_TEST(test_speed),
          UNIT_TEST(test_teardown))
