/* flow.query and its neighbours, through the real API on a socket pair. */
#include <config.h>

#include "api/methods.h"

#include <ev.h>
#include <json-c/json.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/context.h"
#include "api/server.h"
#include "collector/query/query.h"
#include "lib/clock.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

static struct dict *dict;
static struct source source;
static struct store *store;
static struct query_pool *pool;
static struct ev_loop *loop;
static struct api *api;
static char *dir;
static int fd;
static int64_t arrival;

static void
setup(void)
{
    uint64_t seed = 3;
    int fds[2];

    dict = dict_create(1000, 100000);
    dir = util_mkdir();
    store = util_open(dir, dict, NULL);
    pool = query_pool_create(store, 1, 4);
    CU_ASSERT_FATAL(store && pool);
    arrival = clock_wall_us() - 60000000;
    struct flow_batch *b = store_batch_get(store);
    util_fill(b, 500, arrival, &seed, dict, &source);
    for (uint32_t i = 0; i < b->n; i++) {
        uint8_t mac = (uint8_t) i;
        BATCH_SET(b, src_mac, i, UINT64_C(0x020000000000) + mac);
        BATCH_SET(b, direction, i, i % 2 ? DIR_EGRESS : DIR_INGRESS);
        b->canonical[i] = i % 2 == 0;
        b->quality[i] = i % 3 ? 0 : Q_RATE_UNKNOWN | Q_TRUNCATED;
        b->bytes[i] = i;
        b->flow_end[i] = arrival;
    }
    BATCH_SET(b, bridge, 0, dict_intern(dict, "a\"b\\c\td", 7));
    CU_ASSERT(store_submit(store, b));
    CU_ASSERT(util_wait(store, 500));

    struct api_context context = { .store = store, .queries = pool,
                                   .dict = dict };
    loop = ev_loop_new(EVFLAG_AUTO);
    api = api_create(loop, &context, NULL);
    CU_ASSERT_FATAL(api && !socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    CU_ASSERT_EQUAL(api_adopt(api, fds[0]), 0);
    fd = fds[1];
}

static void
teardown(void)
{
    close(fd);
    query_pool_destroy(pool);
    api_destroy(api);
    ev_loop_destroy(loop);
    store_close(store);
    dict_destroy(dict);
    util_rmdir(dir);
    free(dir);
}

/* The answer to a request; the caller's. */
static struct json_object *
call(const char *method, const char *params)
{
    char request[4096];
    char *answer = NULL;
    size_t size = 0;
    int n = snprintf(request, sizeof request, "{\"jsonrpc\":\"2.0\","
                     "\"id\":1,\"method\":\"%s\",\"params\":%s}\n", method,
                     params);
    CU_ASSERT_EQUAL_FATAL(send(fd, request, (size_t) n, 0), n);
    int64_t end = clock_mono_ms() + 20000;
    while (clock_mono_ms() < end && (!size || answer[size - 1] != '\n')) {
        ev_run(loop, EVRUN_NOWAIT);
        answer = realloc(answer, size + 4097);
        ssize_t got = recv(fd, answer + size, 4096, MSG_DONTWAIT);
        if (got > 0) {
            size += (size_t) got;
        } else {
            usleep(1000);
        }
    }
    answer[size] = '\0';
    struct json_object *o = json_tokener_parse(answer);
    CU_ASSERT_PTR_NOT_NULL_FATAL(o);
    free(answer);
    return o;
}

/* "a.b.0.c" of a tree, as text; NULL if it is not there. */
static const char *
at(struct json_object *o, const char *path)
{
    char name[64];
    while (*path && o) {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int) n, path);
        path += n + (path[n] == '.');
        if (json_object_is_type(o, json_type_array)) {
            o = json_object_array_get_idx(o, (size_t) atoi(name));
        } else {
            struct json_object *next = NULL;
            json_object_object_get_ex(o, name, &next);
            o = next;
        }
    }
    return o ? json_object_get_string(o) : NULL;
}

static void
expect(struct json_object *o, const char *path, const char *value)
{
    const char *is = at(o, path);
    if (!is || strcmp(is, value)) {
        fprintf(stderr, "\n%s is %s, not %s\n in %s\n", path,
                is ? is : "absent", value, json_object_to_json_string(o));
        CU_FAIL("another value was expected");
    }
}

static void
test_defaults(void)
{
    struct json_object *o = call("flow.query", "{}");
    /* The even ones of 0 to 499. */
    expect(o, "result.columns.0.name", "bytes");
    expect(o, "result.columns.0.type", "u64");
    expect(o, "result.columns.0.unit", "B");
    expect(o, "result.columns.2.name", "flows");
    expect(o, "result.rows.0.0", "62250");
    expect(o, "result.rows.0.2", "250");
    expect(o, "result.truncated", "false");
    expect(o, "result.stats.tier", "raw");
    expect(o, "result.stats.segments", "1");
    CU_ASSERT(at(o, "result.stats.elapsed_ms") != NULL);
    json_object_put(o);

    o = call("flow.query", "{\"observations\":\"all\"}");
    expect(o, "result.rows.0.2", "500");
    json_object_put(o);
}

static void
test_values(void)
{
    struct json_object *o
        = call("flow.query", "{\"by\":[\"src_mac\",\"direction\","
               "\"canonical\",\"quality\",\"exporter\",\"bridge\"],"
               "\"filter\":\"bytes = 0\",\"metrics\":[\"flows\"]}");
    expect(o, "result.rows.0.0", "02:00:00:00:00:00");
    expect(o, "result.rows.0.1", "ingress");
    expect(o, "result.rows.0.2", "true");
    expect(o, "result.rows.0.3", "rate-unknown,truncated");
    CU_ASSERT(strpbrk(at(o, "result.rows.0.4"), ".:") != NULL);
    expect(o, "result.rows.0.5", "a\"b\\c\td");
    expect(o, "result.columns.1.type", "enum");
    json_object_put(o);

    o = call("flow.query", "{\"by\":[\"bridge\"],\"filter\":\"bridge is "
             "null\",\"order\":\"bridge\"}");
    CU_ASSERT(at(o, "result.rows.0.0") == NULL);
    CU_ASSERT(at(o, "result.rows.0.1") != NULL);
    json_object_put(o);
}

static void
test_order_and_bucket(void)
{
    struct json_object *o
        = call("flow.query", "{\"by\":[\"src_mac\"],\"order\":\"bytes\","
               "\"limit\":1,\"observations\":\"all\",\"from\":\"-10m\"}");
    expect(o, "result.truncated", "true");
    expect(o, "result.rows.0.0", "02:00:00:00:00:f4");  /* 244; 500 is not. */
    json_object_put(o);
    o = call("flow.query", "{\"bucket\":\"1m\",\"metrics\":[\"packets\","
             "\"flows\"]}");
    expect(o, "result.columns.0.name", "time");
    expect(o, "result.columns.0.type", "time");
    expect(o, "result.rows.0.2", "250");
    char buf[TIME_STRLEN];
    expect(o, "result.rows.0.0",
           time_format_us(arrival - arrival % 60000000, buf));
    json_object_put(o);
}

static void
test_errors(void)
{
    static const struct { const char *params, *member; } cases[] = {
        { "{\"from\":\"yesterday\"}", "from" },
        { "{\"from\":\"-1h\",\"to\":\"-2h\"}", "to" },
        { "{\"filter\":\"proto quic\"}", "filter" },
        { "{\"by\":[\"nothing\"]}", "by[0]" },
        { "{\"by\":[\"proto\",\"bytes\"]}", "by[1]" },
        { "{\"by\":[\"proto\",\"proto\"]}", "by[1]" },
        { "{\"metrics\":[\"bytes\",\"proto\"]}", "metrics[1]" },
        { "{\"metrics\":[\"bytes\",\"bytes\"]}", "metrics[1]" },
        { "{\"metrics\":[]}", "metrics" },
        { "{\"order\":\"-proto\"}", "order" },
        { "{\"order\":\"\"}", "order" },
        { "{\"limit\":0}", "limit" },
        { "{\"limit\":-1}", "limit" },
        { "{\"limit\":1000000000000}", "limit" },
        { "{\"limit\":\"many\"}", "limit" },
        { "{\"bucket\":\"0s\"}", "bucket" },
        { "{\"bucket\":\"soon\"}", "bucket" },
        { "{\"observations\":\"some\"}", "observations" },
        { "{\"timeout_ms\":0}", "timeout_ms" },
        { "{\"nonsense\":1}", "nonsense" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_object *o = call("flow.query", cases[i].params);
        expect(o, "error.code", "-32602");
        const char *member = at(o, "error.data.member");
        if (!member || strncmp(member, cases[i].member,
                               strcspn(cases[i].member, "["))) {
            fprintf(stderr, "%s: %s\n", cases[i].params,
                    json_object_to_json_string(o));
            CU_FAIL("another member was expected");
        }
        json_object_put(o);
    }
    struct json_object *o = call("flow.query",
                                 "{\"filter\":\"proto tcp and\"}");
    expect(o, "error.data.position", "13");
    json_object_put(o);
}

static void
test_columns(void)
{
    struct json_object *o = call("flow.columns", "{}");
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        char path[64];
        snprintf(path, sizeof path, "result.columns.%u.name", i);
        expect(o, path, columns[i].name);
    }
    char path[64];
    snprintf(path, sizeof path, "result.columns.%u.ipfix_elements",
             COL_bytes);
    expect(o, path, "[ 1, 23 ]");
    snprintf(path, sizeof path, "result.columns.%u.words.0.name",
             COL_direction);
    expect(o, path, "ingress");
    for (unsigned i = 0;; i++) {
        char params[200];
        snprintf(path, sizeof path, "result.metrics.%u.name", i);
        const char *name = at(o, path);
        if (!name) {
            CU_ASSERT(i > 10);
            break;
        }
        snprintf(params, sizeof params, "{\"metrics\":[\"%s\"],"
                 "%s\"bidirectional\":true,"
                 "\"by\":[\"src_addr\",\"dst_addr\"]}", name,
                 strncmp(name, "previous", 8) ? ""
                 : "\"compare\":\"previous\",");
        struct json_object *reply = call("flow.query", params);
        if (at(reply, "error.message")) {
            fprintf(stderr, "%s: %s\n", name, at(reply, "error.message"));
            CU_FAIL("a metric that is none");
        }
        json_object_put(reply);
    }
    unsigned n_either = 0;
    for (unsigned i = 0;; i++) {
        char params[200];
        snprintf(path, sizeof path, "result.keys.%u.name", i);
        const char *name = at(o, path);
        if (!name) {
            CU_ASSERT(i > 30);
            break;
        }
        n_either += !strcmp(name, "tenant") || !strcmp(name, "addr")
                    || !strcmp(name, "label.KEY") || !strcmp(name, "addr/24")
                    || !strcmp(name, "as") || !strcmp(name, "port");
        CU_ASSERT(column_by_name(name) == NULL);
        snprintf(params, sizeof params, "{\"by\":[\"%s\"]}", name);
        struct json_object *reply = call("flow.query", params);
        if (at(reply, "error.message")
            || strcmp(at(reply, "result.columns.0.name"), name)) {
            fprintf(stderr, "%s: %s\n", name, at(reply, "error.message"));
            CU_FAIL("a key that is none, or another");
        }
        json_object_put(reply);
    }
    CU_ASSERT_EQUAL(n_either, 6);
    json_object_put(o);
}

static void
test_filter_check(void)
{
    struct json_object *o = call("flow.filter.check",
                                 "{\"filter\":\"proto tcp\"}");
    expect(o, "result.valid", "true");
    json_object_put(o);
    o = call("flow.filter.check", "{\"filter\":\"proto tcp and dst port\"}");
    expect(o, "result.valid", "false");
    expect(o, "result.error.position", "22");
    CU_ASSERT(strstr(at(o, "result.error.expected"), "value") != NULL);
    json_object_put(o);
    o = call("flow.filter.check", "{\"filter\":\"any\\u0000\"}");
    CU_ASSERT(!at(o, "result.valid")
              || !strcmp(at(o, "result.valid"), "false"));
    json_object_put(o);
}

/* The client goes away while its query runs. */
static void
test_gone(void)
{
    int fds[2];
    static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
                                  "\"flow.query\",\"params\":{}}\n";
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_FATAL(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
        CU_ASSERT_EQUAL(api_adopt(api, fds[0]), 0);
        CU_ASSERT(send(fds[1], request, sizeof request - 1, 0) > 0);
        ev_run(loop, EVRUN_NOWAIT);
        close(fds[1]);
        ev_run(loop, EVRUN_NOWAIT);
    }
    struct json_object *o = call("flow.columns", "{}");
    json_object_put(o);
}

/* Keys and metrics that are made of columns. */
static void
test_derived(void)
{
    static const struct { const char *params, *path, *value; } cases[] = {
        { "{\"by\":[\"src_addr/24\"],\"metrics\":[\"flows\"],\"filter\":"
          "\"src net 10.0.0.0/8\"}", "result.rows.0.0", "10.0.0.0/24" },
        { "{\"by\":[\"src_addr/24\"],\"metrics\":[\"flows\"],\"filter\":"
          "\"src net 2001:db8::/32\"}", "result.rows.0.0",
          "2001:db8::/64" },
        { "{\"by\":[\"src_addr/8/32\"],\"order\":\"src_addr/8/32\"}",
          "result.columns.0.name", "src_addr/8/32" },
        { "{\"by\":[\"proto_name\"],\"filter\":\"proto tcp\"}",
          "result.rows.0.0", "tcp" },
        { "{\"by\":[\"dst_service\"],\"filter\":\"dst port echo\"}",
          "result.rows.0.0", "echo" },
        { "{\"metrics\":[\"min(bytes)\"],\"filter\":\"bytes > 100\","
          "\"observations\":\"all\"}", "result.rows.0.0", "101" },
        { "{\"metrics\":[\"max(bytes)\"],\"observations\":\"all\"}",
          "result.rows.0.0", "499" },
        { "{\"metrics\":[\"distinct(src_mac)\"],\"observations\":\"all\"}",
          "result.rows.0.0", "256" },
        { "{\"metrics\":[\"distinct(direction)\",\"distinct(bridge)\"],"
          "\"observations\":\"all\"}", "result.rows.0.0", "2" },
        { "{\"by\":[\"direction\"],\"metrics\":[\"share(flows)\"]}",
          "result.rows.0.1", "1.000000" },
        { "{\"by\":[\"direction\"],\"metrics\":[\"flows\"],"
          "\"totals\":true}", "result.totals.0", "250" },
        { "{\"by\":[\"src_mac\"],\"metrics\":[\"flows\"],\"limit\":1,"
          "\"totals\":true}", "result.other.0", "248" },
        { "{\"metrics\":[\"flows\"],\"compare\":\"previous\"}",
          "result.rows.0.1", "0" },
        { "{\"metrics\":[\"flows\"],\"compare\":\"previous\"}",
          "result.columns.1.name", "previous(flows)" },
        { "{\"from\":\"-10s\",\"metrics\":[\"flows\"],\"compare\":"
          "\"10m\"}", "result.rows.0.0", "0" },
        { "{\"metrics\":[\"p95(bytes)\"],\"from\":\"-10m\",\"to\":"
          "\"+0s\",\"p95_bucket\":\"10m\"}", "result.columns.0.name",
          "p95(bytes)" },
        { "{\"by\":[\"src_addr\",\"dst_addr\"],\"bidirectional\":true,"
          "\"metrics\":[\"flows\",\"reverse(flows)\"]}",
          "result.columns.3.name", "reverse(flows)" },
        { "{\"metrics\":[\"first\"]}", "result.columns.0.type", "time" },
        { "{\"metrics\":[\"bps\"]}", "result.columns.0.unit", "bit/s" },
        { "{\"by\":[\"bridge/24\"]}", "error.data.member", "by[0]" },
        { "{\"by\":[\"src_addr/129\"]}", "error.data.member", "by[0]" },
        { "{\"metrics\":[\"reverse(bytes)\"]}", "error.data.member",
          "metrics" },
        { "{\"metrics\":[\"previous(bytes)\"]}", "error.data.member",
          "metrics" },
        { "{\"metrics\":[\"p95(distinct(x))\"]}", "error.data.member",
          "metrics[0]" },
        { "{\"metrics\":[\"error(bytes)\"]}", "result.columns.0.name",
          "error(bytes)" },
        { "{\"metrics\":[\"error(flows)\"]}", "error.data.member",
          "metrics[0]" },
        { "{\"metrics\":[\"error(bps)\"]}", "error.data.member",
          "metrics[0]" },
        { "{\"compare\":\"x\"}", "error.data.member", "compare" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_object *o = call("flow.query", cases[i].params);
        expect(o, cases[i].path, cases[i].value);
        json_object_put(o);
    }
}

/* Every bucket is there, and groups and rest sum up to the total. */
static void
test_series(void)
{
    struct json_object *o = call("flow.series",
        "{\"from\":\"-10m\",\"bucket\":\"1m\",\"by\":[\"bridge\","
        "\"src_addr/28\"],\"metrics\":[\"flows\",\"bytes\"],\"top\":3}");
    int n = atoi(at(o, "result.buckets"));
    uint64_t total = 0, parts = 0;
    char path[64];

    CU_ASSERT(n >= 10 && n <= 12);
    expect(o, "result.step_ms", "60000");
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "result.total.flows.%d", i);
        total += strtoull(at(o, path), NULL, 10);
        snprintf(path, sizeof path, "result.other.flows.%d", i);
        parts += strtoull(at(o, path), NULL, 10);
        for (int k = 0; k < 3; k++) {
            snprintf(path, sizeof path, "result.series.%d.values.flows.%d", k,
                     i);
            uint64_t v = strtoull(at(o, path), NULL, 10);
            CU_ASSERT(v < 250);
            parts += v;
        }
    }
    CU_ASSERT_EQUAL(total, 250);
    CU_ASSERT_EQUAL(parts, total);
    CU_ASSERT(at(o, "result.series.3") == NULL);
    json_object_put(o);

    o = call("flow.series", "{\"from\":\"-1d\"}");
    expect(o, "result.step_ms", "300000");
    json_object_put(o);
    o = call("flow.series", "{\"from\":\"-2h\",\"bucket\":\"1s\",\"top\":100,"
             "\"by\":[\"src_addr\"]}");
    expect(o, "error.data.member", "top");
    json_object_put(o);
    o = call("flow.series", "{\"from\":\"-10d\",\"bucket\":\"1s\"}");
    expect(o, "error.data.member", "bucket");
    json_object_put(o);
}

/* Pages: every record once, in both orders. */
static void
test_records(void)
{
    static const char *const orders[] = { "newest", "oldest" };
    for (int k = 0; k < 2; k++) {
        char params[256], cursor[80] = "";
        bool seen[500] = { false };
        unsigned n = 0, pages = 0;
        for (;;) {
            snprintf(params, sizeof params, "{\"from\":\"-1h\",\"fields\":"
                     "[\"bytes\",\"bridge\"],\"limit\":70,\"order\":\"%s\","
                     "\"observations\":\"all\"%s}", orders[k], cursor);
            struct json_object *o = call("flow.records", params);
            char path[64];
            for (int i = 0; i < 71; i++) {
                snprintf(path, sizeof path, "result.rows.%d.1", i);
                const char *v = at(o, path);
                if (v) {
                    CU_ASSERT(!seen[atoi(v)]);
                    seen[atoi(v)] = true;
                    n++;
                }
            }
            pages++;
            const char *next = at(o, "result.cursor");
            if (next) {
                snprintf(cursor, sizeof cursor, ",\"cursor\":\"%s\"", next);
            }
            bool more = next != NULL && pages < 20;
            json_object_put(o);
            if (!more) {
                break;
            }
        }
        CU_ASSERT_EQUAL(n, 500);
        CU_ASSERT_EQUAL(pages, 8);
    }
    struct json_object *o = call("flow.records", "{\"limit\":1}");
    CU_ASSERT(at(o, "result.rows.0.1") != NULL);
    json_object_put(o);
    o = call("flow.records", "{\"cursor\":\"o1.2\"}");
    expect(o, "error.data.member", "cursor");
    json_object_put(o);
    o = call("flow.records", "{\"fields\":[\"x\"]}");
    expect(o, "error.data.member", "fields[0]");
    json_object_put(o);
}

UNIT_MAIN("flow", UNIT_TEST(setup), UNIT_TEST(test_derived),
          UNIT_TEST(test_series), UNIT_TEST(test_records),
          UNIT_TEST(test_defaults),
          UNIT_TEST(test_values), UNIT_TEST(test_order_and_bucket),
          UNIT_TEST(test_errors), UNIT_TEST(test_columns),
          UNIT_TEST(test_filter_check), UNIT_TEST(test_gone),
          UNIT_TEST(teardown))
