#include <config.h>

#include "collector/query/query.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <regex.h>
#include <stdio.h>

#include "collector/query/sql.h"
#include "collector/store/pack.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "tests/unit/query_util.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

static struct dict *dict;
static struct source source;
static struct store *store;
static struct query_pool *pool;
static char *dir;

/* A copy of all rows that were put into the store. */
static struct flow_batch *rows[64];
static unsigned n_batches;

static struct query_result *
ask(struct query *q)
{
    struct query_result *r = util_ask(pool, q);
    if (r->status != QUERY_OK) {
        fprintf(stderr, "query: %s\n", r->error);
    }
    return r;
}

static struct query
make_query(const char *filter)
{
    struct query q = { .from_us = UTIL_T0 - UTIL_HOUR,
                       .to_us = UTIL_T0 + 100 * UTIL_HOUR,
                       .metrics = { COL_bytes, COL_packets,
                                    QUERY_METRIC_FLOWS },
                       .n_metrics = 3, .order = -1, .limit = 1000,
                       .all_observations = true };
    struct filter_error e;
    if (filter) {
        q.filter = filter_parse(filter, &e);
        if (!q.filter) {
            fprintf(stderr, "%.60s: %zu: %s\n", filter, e.position,
                    e.message);
        }
    }
    return q;
}

/* Three hours of random flows, 20 batches each, in a store of its own; and the
 * same in memory. */
static void
setup(void)
{
    uint64_t seed = 77, n = 0;
    dict = dict_create(1000, 100000);
    dir = util_mkdir();
    store = util_open(dir, dict, NULL);
    CU_ASSERT_FATAL(store != NULL);
    for (n_batches = 0; n_batches < 60; n_batches++) {
        struct flow_batch *b = store_batch_get(store);
        int64_t arrival = UTIL_T0 + n_batches / 20 * UTIL_HOUR
                          + n_batches % 20 * 60000000;
        util_fill(b, 1 + (uint32_t) (util_random(&seed) % 700), arrival,
                  &seed, dict, &source);
        n += b->n;
        rows[n_batches] = batch_create();
        memcpy(rows[n_batches], b, sizeof *b);
        while (!store_submit(store, b)) {
            usleep(1000);
        }
    }
    CU_ASSERT(util_wait(store, n));
    pool = query_pool_create(store, 2, 8);
    CU_ASSERT_FATAL(pool != NULL);
}

static void
teardown(void)
{
    query_pool_destroy(pool);
    store_close(store);
    for (unsigned i = 0; i < n_batches; i++) {
        batch_destroy(rows[i]);
    }
    dict_destroy(dict);
    util_rmdir(dir);
    free(dir);
}

/* A filter over one row in memory: what doc/filter.md says, written down a
 * second time. */
static bool
eval(const struct filter *f, struct flow_batch *b, uint32_t row)
{
    if (f->op == FILTER_ANY) {
        return true;
    } else if (f->op == FILTER_NOT) {
        return !eval(f->left, b, row);
    } else if (f->op != FILTER_TERM) {
        bool left = eval(f->left, b, row), right = eval(f->right, b, row);
        return f->op == FILTER_AND ? left && right : left || right;
    }
    const struct column *c = &columns[f->column];
    bool null = (c->flags & CF_NULL) && !batch_is_valid(b, f->column, row);
    const uint8_t *p = (uint8_t *) batch_column(b, f->column)
                       + (size_t) row * c->size;
    uint64_t v = 0;
    memcpy(&v, p, c->size < 8 ? c->size : 8);

    switch (f->cmp) {
    case CMP_IS_NULL:
        return null;
    case CMP_IN_PREFIX:
        return !null && prefix_contains(&f->prefix, (const struct addr *) p);
    case CMP_BITS_ALL:
        return !null && (v & f->number) == f->number;
    case CMP_BITS_NONE:
        return !null && !(v & f->number);
    case CMP_HAS_WORD: {
        char text[256], word[256];
        snprintf(text, sizeof text, " %s ", dict_text(dict, (uint32_t) v));
        snprintf(word, sizeof word, " %s ", f->text);
        return !null && strstr(text, word);
    }
    case CMP_HAS_LABEL: {
        char text[256];
        snprintf(text, sizeof text, ",%s,", dict_text(dict, (uint32_t) v));
        return !null && strstr(text, f->text);
    }
    case CMP_MATCHES: {
        regex_t re;
        CU_ASSERT_EQUAL(regcomp(&re, f->text, REG_EXTENDED), 0);
        bool is = !null && !regexec(&re, dict_text(dict, (uint32_t) v), 0,
                                    NULL, 0);
        regfree(&re);
        return is;
    }
    default:
        break;
    }
    if (c->type == COLUMN_T_NAME) {
        bool same = !null && !strcmp(dict_text(dict, (uint32_t) v), f->text);
        return f->cmp == CMP_NE ? !same : same;
    }
    switch (f->cmp) {
    case CMP_NE:
        return null || v != f->number;
    case CMP_EQ:
        return !null && v == f->number;
    case CMP_LT:
        return !null && v < f->number;
    case CMP_LE:
        return !null && v <= f->number;
    case CMP_GT:
        return !null && v > f->number;
    default:
        return !null && v >= f->number;
    }
}

struct sums {
    uint64_t bytes, packets, flows;
};

static struct sums
sum(const struct filter *f, bool all)
{
    struct sums s = { 0, 0, 0 };
    for (unsigned i = 0; i < n_batches; i++) {
        for (uint32_t row = 0; row < rows[i]->n; row++) {
            if ((all || rows[i]->canonical[row])
                && (!f || eval(f, rows[i], row))) {
                s.bytes += rows[i]->bytes[row];
                s.packets += rows[i]->packets[row];
                s.flows++;
            }
        }
    }
    return s;
}

static void
check_total(const char *filter, bool all)
{
    struct query q = make_query(filter);
    q.all_observations = all;
    struct sums s = sum(q.filter, all);
    struct query_result *r = ask(&q);
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    CU_ASSERT_EQUAL(r->n_rows, 1);
    CU_ASSERT_EQUAL(r->n_columns, 3);
    CU_ASSERT_EQUAL(r->segments, 3);
    if (r->n_rows == 1) {
        bool same = r->values[0].u == s.bytes && r->values[1].u == s.packets
                    && r->values[2].u == s.flows;
        CU_ASSERT(same);
        if (!same) {
            fprintf(stderr, "%s: %" PRIu64 " flows, not %" PRIu64 "\n",
                    filter ? filter : "-", r->values[2].u, s.flows);
        }
    }
    query_result_destroy(r);
}

static void
test_totals(void)
{
    check_total(NULL, true);
    check_total(NULL, false);
    check_total("any", false);
    check_total("not any", true);
}

/* SQL and the evaluator above agree, also about what is absent. */
static void
test_filters(void)
{
    static const char *const filters[] = {
        "proto 6", "not proto 6", "proto != 6", "not proto != 6",
        "src host 10.0.0.5", "host 2001:db8::5", "src net 10.0.0.0/8",
        "not src net 10.0.0.0/28", "dst net 2001:db8::/124", "port 3",
        "not port 3", "port != 3", "dst port > 7", "not dst port > 7",
        "dst port <= 7 and not src port 3", "bytes > 10k",
        "bytes < 18446744073709551615", "bridge br-int",
        "community 65000:100", "not src community 65000:100",
        "dst community != 65000:1001", "large-community 65000:1:2",
        "ext-community rt:65000:1", "src and dst community 65000:1001",
        "as-path \"15169$\"", "dst as-path \"^64500 .*15169$\"",
        "not src as-path _1_", "as-path \"(64500|2)_\"",
        "as-path != _15169_", "next-hop 10.0.0.0/8", "origin igp",
        "dst peer-as 3", "src route-peer br-int",
        "not bridge br-int", "bridge != br-int", "bridge nowhere",
        "bridge != nowhere", "bridge 'gr\xc3\xb6\xc3\x9f\x65'",
        "in if eth0 or out if tap1", "in if 3", "if 3",
        "flags S and not flags A", "not (flags S or flags A)",
        "quality rate-unknown", "not quality truncated", "vni is null",
        "vni is not null and vni > 100", "canonical true",
        "not canonical true", "src mac 00:00:00:00:00:03",
        "ipv4 or ipv6", "direction ingress", "direction != ingress",
        "flow_end >= 2026-11-23T03:00:00Z",
        "not (proto 6 and (port 3 or port 4)) and bytes > 5k",
        "dst port in [1 2 3]", "exporter 10.0.0.0/24",
    };
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        check_total(filters[i], i & 1);
    }
}

static char *
random_filter(uint64_t *seed, unsigned depth, char *out)
{
    uint64_t r = util_random(seed) >> 8;
    if (depth && r % 4) {
        *out++ = '(';
        if (r % 4 == 1) {
            out += sprintf(out, "not ");
            out = random_filter(seed, depth - 1, out);
        } else {
            out = random_filter(seed, depth - 1, out);
            out += sprintf(out, r % 4 == 2 ? " and " : " or ");
            out = random_filter(seed, depth - 1, out);
        }
        *out++ = ')';
        *out = '\0';
        return out;
    }
    static const char *const cmps[] = { "=", "!=", "<", "<=", ">", ">=" };
    static const enum column_id ids[] = {
        COL_proto, COL_src_port, COL_tcp_flags, COL_vni, COL_bytes,
        COL_in_if, COL_src_as, COL_ttl, COL_dst_mac, COL_direction,
    };
    enum column_id id = ids[r / 4 % 10];
    uint64_t v = util_random(seed) >> 9;
    if (id == COL_dst_mac) {
        return out + sprintf(out, "dst_mac %s 00:00:00:00:00:0%d",
                             cmps[r / 64 % 2], (int) (v % 8));
    }
    return out + sprintf(out, "%s %s %d", columns[id].name,
                         cmps[r / 64 % 6],
                         (int) (v % (id == COL_bytes ? 65536 : 16)));
}

static void
test_random_filters(void)
{
    uint64_t seed = 4711;
    char text[4096];
    for (unsigned i = 0; i < 100; i++) {
        random_filter(&seed, i % 5, text);
        check_total(text, true);
    }
}

/* Sums of one column over the values of another, by hand: value to sums. */
static void
check_groups(enum column_id by, const char *filter)
{
    struct query q = make_query(filter);
    q.by[0] = by;
    q.n_by = 1;
    q.order = 1;
    q.descending = true;
    struct query_result *r = ask(&q);
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    CU_ASSERT(!r->truncated);
    CU_ASSERT_PTR_EQUAL(r->columns[0].column, &columns[by]);

    struct sums total = { 0, 0, 0 };
    struct filter_error e;
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct query_value *v = &r->values[i * 4];
        char term[256], buf[PREFIX_STRLEN];
        if (v->null) {
            snprintf(term, sizeof term, "%s is null", columns[by].name);
        } else if (columns[by].type == COLUMN_T_NAME) {
            snprintf(term, sizeof term, "%s = '%s'", columns[by].name,
                     v->text);
        } else if (columns[by].type == COLUMN_T_ADDR) {
            snprintf(term, sizeof term, "%s = %s", columns[by].name,
                     addr_format(&v->addr, buf));
        } else {
            snprintf(term, sizeof term, "%s = %" PRIu64, columns[by].name,
                     v->u);
        }
        /* Invalid UTF-8 has become question marks. */
        char *damaged = strstr(term, "veth-??");
        if (damaged) {
            memcpy(damaged, "veth-\xff\xc0", 7);
        }
        struct filter *f = filter_parse(term, &e);
        CU_ASSERT_FATAL(f != NULL);
        if (damaged) {
            free(f->text);
            f->text = strdup("veth-\xff\xc0");
        }
        struct sums s = sum(f, true);
        CU_ASSERT_EQUAL(v[1].u, s.bytes);
        CU_ASSERT_EQUAL(v[2].u, s.packets);
        CU_ASSERT_EQUAL(v[3].u, s.flows);
        CU_ASSERT(!i || v[1].u <= v[-3].u);     /* In order. */
        total.flows += v[3].u;
        filter_destroy(f);
    }
    CU_ASSERT_EQUAL(total.flows, sum(NULL, true).flows);
    query_result_destroy(r);
}

static void
test_groups(void)
{
    check_groups(COL_proto, NULL);
    check_groups(COL_src_addr, NULL);
    check_groups(COL_dst_port, NULL);
    check_groups(COL_bridge, NULL);
    check_groups(COL_in_if_name, NULL);
    check_groups(COL_exporter, NULL);
    check_groups(COL_canonical, NULL);
}

static void
test_limit_and_columns(void)
{
    struct query q = make_query(NULL);
    q.by[0] = COL_src_addr;
    q.by[1] = COL_bridge;
    q.n_by = 2;
    q.metrics[3] = COL_l2_bytes;
    q.n_metrics = 4;
    q.limit = 7;
    q.order = 2;
    q.descending = true;
    struct query_result *r = ask(&q);
    CU_ASSERT_EQUAL(r->n_rows, 7);
    CU_ASSERT_EQUAL(r->n_columns, 6);
    CU_ASSERT(r->truncated);
    CU_ASSERT_STRING_EQUAL(r->columns[0].name, "src_addr");
    CU_ASSERT_STRING_EQUAL(r->columns[1].name, "bridge");
    CU_ASSERT_STRING_EQUAL(r->columns[4].name, "flows");
    CU_ASSERT_PTR_NULL(r->columns[4].column);
    CU_ASSERT_STRING_EQUAL(r->columns[5].unit, "B");
    CU_ASSERT_STRING_EQUAL(r->tier, "raw");
    CU_ASSERT(r->rows_scanned >= sum(NULL, true).flows);
    CU_ASSERT(r->elapsed_ms > 0);
    query_result_destroy(r);
}

static void
test_buckets_and_time(void)
{
    struct query q = make_query(NULL);
    q.bucket_us = UTIL_HOUR;
    q.order = 0;
    struct query_result *r = ask(&q);
    uint64_t flows = 0;
    CU_ASSERT_EQUAL(r->n_rows, 3);
    CU_ASSERT_STRING_EQUAL(r->columns[0].name, "time");
    for (size_t i = 0; i < r->n_rows; i++) {
        CU_ASSERT_EQUAL(r->values[i * 4].time_us,
                        UTIL_T0 + (int64_t) i * UTIL_HOUR);
        flows += r->values[i * 4 + 3].u;
    }
    CU_ASSERT_EQUAL(flows, sum(NULL, true).flows);
    query_result_destroy(r);

    /* One hour touches one segment; its end is not included. */
    q = make_query(NULL);
    q.from_us = UTIL_T0;
    q.to_us = UTIL_T0 + UTIL_HOUR;
    struct filter_error e;
    struct filter *f = filter_parse("flow_end < 2026-11-23T03:00:00Z", &e);
    r = ask(&q);
    CU_ASSERT_EQUAL(r->segments, 1);
    CU_ASSERT_EQUAL(r->values[2].u, sum(f, true).flows);
    query_result_destroy(r);
    filter_destroy(f);

    /* Nothing there: zero, not an error. */
    q = make_query("bridge x");
    q.from_us = 0;
    q.to_us = 1000;
    r = ask(&q);
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    CU_ASSERT_EQUAL(r->segments, 0);
    CU_ASSERT_EQUAL(r->n_rows, 1);
    CU_ASSERT(!r->values[0].null && r->values[0].u == 0);
    query_result_destroy(r);
    q = make_query(NULL);
    q.by[0] = COL_bridge;
    q.by[1] = COL_dst_addr;
    q.n_by = 2;
    q.to_us = q.from_us + 1;
    q.bucket_us = 1000000;
    r = ask(&q);
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    CU_ASSERT_EQUAL(r->n_rows, 0);
    query_result_destroy(r);
}

/* Every column can be grouped by, alone and in one query, and every metric
 * summed up. */
static void
test_all_columns(void)
{
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        struct query q = make_query(NULL);
        if (columns[i].flags & CF_KEY) {
            q.by[0] = i;
            q.n_by = 1;
        } else if (columns[i].flags & CF_SUM) {
            q.metrics[0] = i;
        } else {
            continue;
        }
        struct query_result *r = ask(&q);
        CU_ASSERT_EQUAL(r->status, QUERY_OK);
        CU_ASSERT(r->n_rows > 0);
        query_result_destroy(r);
    }
}

static void
test_bad_queries(void)
{
    struct query good = make_query(NULL);
    struct query bad[7];
    for (unsigned i = 0; i < 7; i++) {
        bad[i] = good;
    }
    bad[0].limit = 0;
    bad[1].limit = QUERY_MAX_LIMIT + 1;
    bad[2].order = 3;
    bad[3].to_us = bad[3].from_us;
    bad[4].by[0] = COL_bytes;
    bad[4].n_by = 1;
    bad[5].metrics[0] = COL_proto;
    bad[6].n_metrics = 0;
    for (unsigned i = 0; i < 7; i++) {
        struct query_result *r = util_ask(pool, &bad[i]);
        CU_ASSERT_EQUAL(r->status, QUERY_FAILED);
        CU_ASSERT(r->error[0] != '\0');
        query_result_destroy(r);
    }
}

/* Values go in as parameters, whatever they look like. */
static void
test_sql(void)
{
    struct query q = make_query("bridge \"x'; DROP TABLE flows; --\" or "
                                "bridge nothing");
    const char *const schemas[] = { "s1", "s2" };
    char *sql = query_sql(&q, schemas, 2);
    CU_ASSERT(sql && !strstr(sql, "DROP"));
    CU_ASSERT(sql && strstr(sql, "s1.main.flows")
              && strstr(sql, "s2.main.flows"));
    free(sql);
    struct query_result *r = ask(&q);
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    CU_ASSERT_EQUAL(r->values[2].u, 0);
    query_result_destroy(r);

    /* A segment from before a column was added. */
    struct sql_source old = { .schema = "s0" };
    struct sql s;
    column_set_add(&old.has, COL_flow_end);
    column_set_add(&old.has, COL_bytes);
    q = make_query("vni 5 and not bridge x");
    q.by[0] = COL_bridge;
    q.n_by = 1;
    CU_ASSERT_EQUAL(sql_compile(&q, &old, 1, &sql_duckdb, &s), 0);
    CU_ASSERT(strstr(s.text, "NULL::UBIGINT") != NULL);
    CU_ASSERT(strstr(s.text, "\"vni\"") == NULL);
    CU_ASSERT_EQUAL(s.n_binds, 4);
    sql_clear(&s);
    query_clear(&q);
}

static void
test_deep_filters(void)
{
    char *text = malloc(70000);
    size_t n = 0;
    for (unsigned i = 0; i < 900; i++) {
        n += (size_t) sprintf(text + n, "%sport %u", i ? " or " : "",
                              i + 100);
    }
    /* An address per term, as in the lists that people paste. */
    check_total("port 3", true);
    struct query q = make_query(text);
    CU_ASSERT_FATAL(q.filter != NULL);
    struct query_result *r = ask(&q);
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    query_result_destroy(r);
    n = 0;
    for (unsigned i = 0; i < 150; i++) {
        n += (size_t) sprintf(text + n, "(port %u and (bytes > 1 or ",
                              i % 16);
    }
    n += (size_t) sprintf(text + n, "ipv4");
    for (unsigned i = 0; i < 300; i++) {
        text[n++] = ')';
    }
    text[n] = '\0';
    q = make_query(text);
    CU_ASSERT_FATAL(q.filter != NULL);
    r = ask(&q);
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    query_result_destroy(r);
    free(text);
}

static void
test_timeout_cancel_busy(void)
{
    struct waiter w[16];
    uint64_t ids[16];
    unsigned busy = 0, cancelled = 0;

    struct query q = make_query(NULL);
    q.timeout_ms = 1;
    q.by[0] = COL_src_addr;
    q.by[1] = COL_dst_addr;
    q.by[2] = COL_src_port;
    q.by[3] = COL_bridge;
    q.n_by = 4;
    struct query_result *r = util_ask(pool, &q);
    CU_ASSERT_EQUAL(r->status, QUERY_TIMEOUT);
    query_result_destroy(r);

    for (unsigned i = 0; i < 16; i++) {
        w[i] = (struct waiter) WAITER_INIT;
        /* Each takes far longer than it takes to start them all. */
        q = make_query(NULL);
        q.by[0] = COL_src_addr;
        q.by[1] = COL_dst_addr;
        q.by[2] = COL_src_port;
        q.by[3] = COL_bridge;
        q.n_by = 4;
        ids[i] = query_start(pool, &q, on_done, &w[i]);
    }
    for (unsigned i = 0; i < 16; i++) {
        query_cancel(pool, ids[i]);
    }
    for (unsigned i = 0; i < 16; i++) {
        r = wait_for(&w[i]);
        busy += r->status == QUERY_BUSY;
        cancelled += r->status == QUERY_CANCELLED;
        CU_ASSERT(r->status == QUERY_OK || r->status == QUERY_BUSY
                  || r->status == QUERY_CANCELLED);
        query_result_destroy(r);
    }
    CU_ASSERT(busy >= 4);
    CU_ASSERT(cancelled >= 4);
    query_cancel(pool, 999999);
}

/* Rows can be asked for within about a second of their arrival, while the
 * writer goes on. */
static void
test_fresh(void)
{
    uint64_t seed = 5;
    int64_t slowest = 0;
    for (unsigned i = 0; i < 4; i++) {
        int64_t arrival = UTIL_T0 + 50 * UTIL_HOUR + i * 1000000;
        struct flow_batch *b = store_batch_get(store);
        util_fill(b, 100, arrival, &seed, dict, &source);
        int64_t start = clock_mono_ms();
        CU_ASSERT(store_submit(store, b));
        for (uint64_t seen = 0; seen < 100 * (i + 1); ) {
            struct query q = make_query(NULL);
            q.from_us = UTIL_T0 + 50 * UTIL_HOUR;
            struct query_result *r = ask(&q);
            CU_ASSERT_EQUAL_FATAL(r->status, QUERY_OK);
            seen = r->values[2].u;
            query_result_destroy(r);
            usleep(5000);
            if (clock_mono_ms() - start > 10000) {
                CU_FAIL_FATAL("rows do not appear");
            }
        }
        int64_t took = clock_mono_ms() - start;
        slowest = took > slowest ? took : slowest;
    }
    printf("(seen after %" PRId64 " ms) ", slowest);
}

/* A segment of another release, which had a column that is not known any
 * more. */
static void
test_old_segment(void)
{
    char *old_dir = util_mkdir(), path[512];
    uint64_t seed = 2, sum = 0;
    uint8_t head[8192];
    uint32_t size;
    struct store *s = util_open(old_dir, dict, NULL);
    struct flow_batch *b = store_batch_get(s);
    util_fill(b, 2, UTIL_T0 + 1, &seed, dict, &source);
    for (uint32_t i = 0; i < 2; i++) {
        BATCH_SET(b, vni, i, 5);
        BATCH_SET(b, bridge, i, dict_intern(dict, "br-old", 6));
        b->bytes[i] = 5 + i;
    }
    CU_ASSERT(store_submit(s, b));
    store_close(s);

    snprintf(path, sizeof path, "%s/flows/2026-11-23T02.flows", old_dir);
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(path, "r+");
        CU_ASSERT_FATAL(f && fread(head, 1, sizeof head, f) > 100);
        memcpy(&size, head + 16, sizeof size);
        uint8_t *p = memmem(head, size, "\3vni", 4);
        CU_ASSERT_FATAL(p != NULL);
        memcpy(p, "\3vnx", 4);
        memset(head + 8, 0, 8);
        sum = pack_checksum(head, size);
        memcpy(head + 8, &sum, sizeof sum);
        rewind(f);
        CU_ASSERT_EQUAL(fwrite(head, 1, size, f), size);
        fclose(f);
        /* What was not merged yet, too. */
        snprintf(path, sizeof path, "%s/flows/2026-11-23T02.tail", old_dir);
    }
    s = util_open(old_dir, dict, NULL);
    struct query_pool *now = pool, *p = query_pool_create(s, 1, 4);
    b = store_batch_get(s);
    util_fill(b, 1, UTIL_T0 + 3, &seed, dict, &source);
    BATCH_SET(b, bridge, 0, dict_intern(dict, "br-int", 6));
    b->bytes[0] = 100;
    CU_ASSERT(store_submit(s, b));      /* Not into the old one. */
    CU_ASSERT(util_wait(s, 1));
    pool = p;
    struct query q = make_query("not vni 5");
    q.by[0] = COL_bridge;
    q.n_by = 1;
    q.order = 1;
    struct query_result *r = ask(&q);
    pool = now;
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    CU_ASSERT_EQUAL(r->segments, 2);
    CU_ASSERT_EQUAL_FATAL(r->n_rows, 2);
    CU_ASSERT_STRING_EQUAL(r->values[0].text, "br-old");
    CU_ASSERT_EQUAL(r->values[1].u, 11);
    CU_ASSERT_STRING_EQUAL(r->values[4].text, "br-int");
    CU_ASSERT_EQUAL(r->values[5].u, 100);
    query_result_destroy(r);
    query_pool_destroy(p);
    store_close(s);
    util_rmdir(old_dir);
    free(old_dir);
}

/* Sums beyond 64 bits: what is shown is the largest number, and other groups
 * are right. */
static void
test_large_sums(void)
{
    char *large_dir = util_mkdir();
    struct store *s = util_open(large_dir, dict, NULL);
    struct query_pool *now = pool, *p = query_pool_create(s, 1, 4);
    uint64_t seed = 5, small = 0;

    for (unsigned i = 0; i < 3; i++) {
        struct flow_batch *b = store_batch_get(s);
        util_fill(b, 200, UTIL_T0 + i, &seed, dict, &source);
        for (uint32_t row = 0; row < b->n; row++) {
            bool large = i == 1 && row % 2;
            BATCH_SET(b, proto, row, large ? 99 : 6);
            b->bytes[row] = large ? UINT64_MAX - row : b->bytes[row];
            small += large ? 0 : b->bytes[row];
        }
        CU_ASSERT(store_submit(s, b));
        CU_ASSERT(util_wait(s, 200 * (i + 1)));
    }
    pool = p;
    struct query q = make_query(NULL);
    q.by[0] = COL_proto;
    q.n_by = 1;
    q.order = 0;
    struct query_result *r = ask(&q);
    pool = now;
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    CU_ASSERT_EQUAL_FATAL(r->n_rows, 2);
    CU_ASSERT_EQUAL(r->values[0].u, 6);
    CU_ASSERT_EQUAL(r->values[1].u, small);
    CU_ASSERT_EQUAL(r->values[3].u, 500);
    CU_ASSERT_EQUAL(r->values[4].u, 99);
    CU_ASSERT_EQUAL(r->values[5].u, UINT64_MAX);
    CU_ASSERT_EQUAL(r->values[7].u, 100);
    query_result_destroy(r);
    query_pool_destroy(p);
    store_close(s);
    util_rmdir(large_dir);
    free(large_dir);
}

/* More groups than sums may put aside, 16 times their memory: the rest is
 * DuckDB's.  Each record is a group; the smallest first are not found in
 * passes. */
#define ASIDE_BATCHES 500
static void
test_beyond_aside(void)
{
    char *aside_dir = util_mkdir();
    struct store_config c = { .sums_limit = UINT64_C(1) << 20 };
    struct store *s = util_open(aside_dir, dict, &c);
    struct query_pool *now = pool, *p = query_pool_create(s, 1, 4);
    uint64_t n = 0;

    for (unsigned i = 0; i < ASIDE_BATCHES; i++) {
        struct flow_batch *b = store_batch_get(s);
        if (!b) {                       /* All are under way. */
            CU_ASSERT(util_wait(s, n));
            b = store_batch_get(s);
        }
        CU_ASSERT_FATAL(b != NULL);
        b->oldest_us = UTIL_T0;
        for (uint32_t row = 0; row < BATCH_ROWS; row++, n++) {
            uint8_t a[4] = { 10, (uint8_t) (n >> 16), (uint8_t) (n >> 8),
                             (uint8_t) n };
            b->received[row] = b->flow_end[row] = UTIL_T0;
            b->flow_start[row] = UTIL_T0;
            BATCH_SET(b, src_addr, row, addr_from_v4_bytes(a));
            BATCH_SET(b, dst_addr, row, addr_from_v4_bytes(a));
            b->exporter[row] = addr_from_v4_bytes(a);
            b->bytes[row] = 100 + n;
            b->packets[row] = 1;
        }
        b->n = BATCH_ROWS;
        batch_add_span(b, &source, 0);
        if (!store_submit(s, b)) {      /* The ring is full. */
            CU_ASSERT(util_wait(s, n - BATCH_ROWS));
            CU_ASSERT(store_submit(s, b));
        }
    }
    CU_ASSERT(util_wait(s, n));
    pool = p;
    struct query q = make_query(NULL);
    q.by[0] = COL_src_addr;
    q.by[1] = COL_dst_addr;
    q.by[2] = COL_exporter;
    q.n_by = 3;
    q.order = 3;
    q.limit = 2;
    q.totals = true;
    struct query_result *r = ask(&q);
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    CU_ASSERT_EQUAL_FATAL(r->n_rows, 2);
    CU_ASSERT_EQUAL(r->values[3].u, 100);
    CU_ASSERT_EQUAL(r->values[9].u, 101);
    /* What was put aside is in the totals, and nothing was read for them. */
    CU_ASSERT(r->has_totals);
    CU_ASSERT_EQUAL(r->totals[0].u, 100 * n + n * (n - 1) / 2);
    CU_ASSERT_EQUAL(r->rows_scanned, n);
    query_result_destroy(r);
    q = make_query(NULL);
    r = ask(&q);
    CU_ASSERT_EQUAL(r->status, QUERY_OK);
    CU_ASSERT_EQUAL(r->values[2].u, n);
    query_result_destroy(r);
    pool = now;
    query_pool_destroy(p);
    store_close(s);
    util_rmdir(aside_dir);
    free(aside_dir);
}

/* Hours go by, segments are sealed and deleted, while queries look at all of
 * them: every query is answered, and nothing it counts goes back but by
 * retention. */
static void
test_while_hours_pass(void)
{
    char *other_dir = util_mkdir();
    struct store_config c = { .retention_us = 20 * UTIL_HOUR };
    struct store *other = util_open(other_dir, dict, &c);
    struct query_pool *p = query_pool_create(other, 3, 8);
    uint64_t seed = 11, submitted = 0, failed = 0;

    for (unsigned hour = 0; hour < 60; hour++) {
        struct waiter w[4];
        for (unsigned i = 0; i < 4; i++) {
            struct query q = make_query(i % 2 ? "bridge br-int" : NULL);
            q.by[0] = i % 2 ? COL_in_if_name : COL_src_addr;
            q.n_by = 1;
            w[i] = (struct waiter) WAITER_INIT;
            query_start(p, &q, on_done, &w[i]);
        }
        struct flow_batch *b = store_batch_get(other);
        util_fill(b, 20, UTIL_T0 + hour * UTIL_HOUR, &seed, dict, &source);
        CU_ASSERT(store_submit(other, b));
        submitted += 20;
        for (unsigned i = 0; i < 4; i++) {
            struct query_result *r = wait_for(&w[i]);
            if (r->status != QUERY_OK) {
                failed++;
                fprintf(stderr, "%s\n", r->error);
            }
            query_result_destroy(r);
        }
        /* A writer that is hours behind would see the clock jump. */
        CU_ASSERT(util_wait(other, submitted));
    }
    CU_ASSERT_EQUAL(failed, 0);
    CU_ASSERT(counter_get(&store_counters(other)->segments_expired) >= 30);
    CU_ASSERT_EQUAL(counter_get(&store_counters(other)->lost), 0);
    CU_ASSERT_EQUAL(counter_get(&store_counters(other)->errors), 0);
    query_pool_destroy(p);
    store_close(other);
    util_rmdir(other_dir);
    free(other_dir);
}

UNIT_MAIN("query", UNIT_TEST(setup), UNIT_TEST(test_totals),
          UNIT_TEST(test_filters), UNIT_TEST(test_random_filters),
          UNIT_TEST(test_groups), UNIT_TEST(test_limit_and_columns),
          UNIT_TEST(test_buckets_and_time), UNIT_TEST(test_all_columns),
          UNIT_TEST(test_bad_queries), UNIT_TEST(test_sql),
          UNIT_TEST(test_deep_filters), UNIT_TEST(test_timeout_cancel_busy),
          UNIT_TEST(test_fresh), UNIT_TEST(test_while_hours_pass),
          UNIT_TEST(test_old_segment), UNIT_TEST(test_large_sums),
          UNIT_TEST(test_beyond_aside),
          UNIT_TEST(teardown))
