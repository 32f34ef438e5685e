#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/config.h"
#include "api/context.h"
#include "api/value.h"
#include "collector/filter/filter.h"
#include "collector/query/query.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/column.h"

#define DEFAULT_LIMIT 10
#define DEFAULT_BUCKET_LIMIT 1000
#define DEFAULT_SPAN_US INT64_C(3600000000)
/* Clocks of exporters may be ahead of ours. */
#define AHEAD_US INT64_C(60000000)

/* ---- Parameters to a query. ---- */

/* What is wrong with a parameter; the call has been answered then. */
struct reading {
    struct rpc_call *call;
    struct json_object *params;
    struct query *q;
    bool failed;
};

#define REFUSE(R, MEMBER, ...)                                          \
    do {                                                                \
        rpc_fail((R)->call, RPC_INVALID_PARAMS, MEMBER, __VA_ARGS__);   \
        (R)->failed = true;                                             \
    } while (0)

static struct json_object *
member(const struct reading *r, const char *name)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(r->params, name, &v) ? v : NULL;
}

static void
read_time(struct reading *r, const char *name, int64_t now, int64_t *us)
{
    struct json_object *v = member(r, name);
    if (v && time_parse_us(json_object_get_string(v), now, us)) {
        REFUSE(r, name, "\"%.40s\" is not a time", json_object_get_string(v));
    }
}

static void
read_range(struct reading *r)
{
    int64_t now = clock_wall_us();
    r->q->from_us = now - DEFAULT_SPAN_US;
    r->q->to_us = now + AHEAD_US;
    read_time(r, "from", now, &r->q->from_us);
    if (!r->failed) {
        read_time(r, "to", now, &r->q->to_us);
    }
    if (!r->failed && r->q->from_us >= r->q->to_us) {
        REFUSE(r, "to", "the time range ends before it begins");
    }
}

static void
refuse_filter(struct rpc_call *call, const struct filter_error *e)
{
    char message[sizeof e->message + 64];
    struct json_object *data = json_object_new_object();
    snprintf(message, sizeof message, "filter: %s at position %zu",
             e->message, e->position);
    reply_string(data, "member", "filter");
    reply_string(data, "message", e->message);
    reply_uint(data, "position", e->position);
    reply_string(data, "expected", e->expected);
    rpc_fail_data(call, RPC_INVALID_PARAMS, message, data);
}

static void
read_filter(struct reading *r)
{
    struct json_object *v = member(r, "filter");
    struct filter_error e;

    if (!v) {
        return;
    }
    const char *text = json_object_get_string(v);
    if (strlen(text) != (size_t) json_object_get_string_len(v)) {
        REFUSE(r, "filter", "a filter has no byte 0");
        return;
    }
    r->q->filter = filter_parse(text, &e);
    if (!r->q->filter) {
        refuse_filter(r->call, &e);
        r->failed = true;
    }
}

static void
read_by(struct reading *r)
{
    struct json_object *list = member(r, "by");
    size_t n = list ? json_object_array_length(list) : 0;
    char where[32];

    if (n > QUERY_MAX_BY) {
        REFUSE(r, "by", "at most %d columns", QUERY_MAX_BY);
        return;
    }
    for (size_t i = 0; i < n && !r->failed; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        const char *name = json_object_get_string(v);
        const struct column *c = name ? column_by_name(name) : NULL;
        snprintf(where, sizeof where, "by[%zu]", i);
        if (!json_object_is_type(v, json_type_string)) {
            REFUSE(r, where, "a column's name is expected");
        } else if (!c) {
            REFUSE(r, where, "there is no column \"%.60s\"; flow.columns "
                   "lists them", name);
        } else if (!(c->flags & CF_KEY)) {
            REFUSE(r, where, "%s cannot be grouped by", c->name);
        }
        for (unsigned k = 0; k < r->q->n_by && !r->failed; k++) {
            if (r->q->by[k] == (enum column_id) (c - columns)) {
                REFUSE(r, where, "%s is there already", c->name);
            }
        }
        if (!r->failed) {
            r->q->by[r->q->n_by++] = (enum column_id) (c - columns);
        }
    }
}

/* A metric's number by its name, or -1. */
static int
metric_by_name(const char *name)
{
    if (!strcmp(name, "flows")) {
        return QUERY_METRIC_FLOWS;
    }
    const struct column *c = column_by_name(name);
    return c && (c->flags & CF_SUM) ? (int) (c - columns) : -1;
}

static void
read_metrics(struct reading *r)
{
    static const unsigned usual[] = { COL_bytes, COL_packets,
                                      QUERY_METRIC_FLOWS };
    struct json_object *list = member(r, "metrics");
    size_t n = list ? json_object_array_length(list) : 0;
    char where[32];

    if (!list) {
        memcpy(r->q->metrics, usual, sizeof usual);
        r->q->n_metrics = 3;
    } else if (!n || n > QUERY_MAX_METRICS) {
        REFUSE(r, "metrics", "one to %d metrics", QUERY_MAX_METRICS);
    }
    for (size_t i = 0; i < n && !r->failed; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        const char *name = json_object_get_string(v);
        int id = name ? metric_by_name(name) : -1;
        snprintf(where, sizeof where, "metrics[%zu]", i);
        if (!json_object_is_type(v, json_type_string) || id < 0) {
            REFUSE(r, where, "\"%.60s\" is not a metric; flow.columns lists "
                   "them", name ? name : "null");
        }
        for (unsigned k = 0; k < r->q->n_metrics && !r->failed; k++) {
            if (r->q->metrics[k] == (unsigned) id) {
                REFUSE(r, where, "%s is there already", name);
            }
        }
        if (!r->failed) {
            r->q->metrics[r->q->n_metrics++] = (unsigned) id;
        }
    }
}

/* The name of an output column. */
static const char *
output_name(const struct query *q, unsigned i)
{
    if (q->bucket_us && !i--) {
        return "time";
    }
    if (i < q->n_by) {
        return columns[q->by[i]].name;
    }
    unsigned id = q->metrics[i - q->n_by];
    return id == QUERY_METRIC_FLOWS ? "flows" : columns[id].name;
}

static void
read_order(struct reading *r)
{
    struct query *q = r->q;
    struct json_object *v = member(r, "order");
    unsigned n_keys = q->n_by + (q->bucket_us != 0);

    if (!v) {
        q->order = q->bucket_us ? 0 : (int) n_keys;
        q->descending = !q->bucket_us;
        return;
    }
    const char *name = json_object_get_string(v);
    q->descending = name[0] == '-';
    name += name[0] == '-' || name[0] == '+';
    q->order = -1;
    for (unsigned i = 0; i < n_keys + q->n_metrics; i++) {
        if (!strcmp(name, output_name(q, i))) {
            q->order = (int) i;
        }
    }
    if (q->order < 0) {
        REFUSE(r, "order", "\"%.60s\" is not among the columns of the "
               "answer", name);
    }
}

/* An integer in a range. */
static void
read_integer(struct reading *r, const char *name, int64_t max, int64_t *value)
{
    struct json_object *v = member(r, name);
    if (!v) {
        return;
    }
    int64_t i = json_object_get_int64(v);
    if (!json_object_is_type(v, json_type_int) || i < 1 || i > max) {
        REFUSE(r, name, "an integer from 1 to %" PRId64 " is expected", max);
    } else {
        *value = i;
    }
}

static void
read_rest(struct reading *r)
{
    struct query *q = r->q;
    const struct api_context *c = rpc_context(r->call);
    struct json_object *v = member(r, "bucket");
    int64_t limit, timeout_ms = 0;

    if (v && (duration_parse_us(json_object_get_string(v), &q->bucket_us)
              || q->bucket_us < 1000)) {
        REFUSE(r, "bucket", "a duration of at least 1ms is expected");
        return;
    }
    limit = q->bucket_us ? DEFAULT_BUCKET_LIMIT : DEFAULT_LIMIT;
    if (c->config) {
        timeout_ms = config_current(c->config)->query_timeout_ms;
    }
    read_integer(r, "limit", QUERY_MAX_LIMIT, &limit);
    if (!r->failed) {
        read_integer(r, "timeout_ms", 3600000, &timeout_ms);
    }
    q->limit = (uint64_t) limit;
    q->timeout_ms = timeout_ms;
    v = member(r, "observations");
    const char *which = v ? json_object_get_string(v) : "canonical";
    q->all_observations = !strcmp(which, "all");
    if (!r->failed && !q->all_observations && strcmp(which, "canonical")) {
        REFUSE(r, "observations", "\"canonical\" or \"all\" is expected");
    }
}

/* Reads all of them.  False: the call has been answered. */
static bool
read_query(struct rpc_call *call, struct json_object *params,
           struct query *q)
{
    static void (*const steps[])(struct reading *) = {
        read_range, read_by, read_metrics, read_rest, read_order,
        read_filter,
    };
    struct reading r = { .call = call, .params = params, .q = q };

    memset(q, 0, sizeof *q);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && !r.failed; i++) {
        steps[i](&r);
    }
    if (r.failed) {
        query_clear(q);
    }
    return !r.failed;
}

/* ---- A result as text: made on the query's thread, row by row. ---- */

static char *
result_to_text(const struct query_result *r)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        return NULL;
    }
    fputs("{\"columns\":[", f);
    for (unsigned i = 0; i < r->n_columns; i++) {
        fprintf(f, "%s{\"name\":\"%s\",\"type\":\"%s\",\"unit\":\"%s\"}",
                i ? "," : "", r->columns[i].name,
                column_type_name(r->columns[i].type), r->columns[i].unit);
    }
    fputs("],\"rows\":[", f);
    const struct query_value *v = r->values;
    for (size_t row = 0; row < r->n_rows; row++) {
        fputs(row ? ",[" : "[", f);
        for (unsigned i = 0; i < r->n_columns; i++, v++) {
            fputs(i ? "," : "", f);
            if (v->null) {
                fputs("null", f);
            } else {
                value_put(f, r->columns[i].type,
                          r->columns[i].column, v);
            }
        }
        putc(']', f);
    }
    fprintf(f, "],\"truncated\":%s,\"stats\":{\"tier\":\"%s\","
            "\"segments\":%u,\"rows_scanned\":%" PRIu64
            ",\"elapsed_ms\":%.3f}}", r->truncated ? "true" : "false",
            r->tier, r->segments, r->rows_scanned, r->elapsed_ms);
    if (fclose(f)) {
        free(text);
        text = NULL;
    }
    return text;
}

/* ---- flow.query ---- */

/* One call on its way: main thread, pool, main thread. */
struct flow_call {
    struct rpc_call *call;
    struct api *api;
    struct query_pool *pool;
    uint64_t id;
    enum query_status status;
    char error[256];
    char *text;                 /* The answer, if 'status' is QUERY_OK. */
};

static void
deliver(void *aux)
{
    static const int codes[] = {
        [QUERY_TIMEOUT] = RPC_TIMEOUT, [QUERY_CANCELLED] = RPC_CANCELLED,
        [QUERY_BUSY] = RPC_BUSY, [QUERY_TOO_BIG] = RPC_TOO_LARGE,
        [QUERY_FAILED] = RPC_FAILED,
    };
    struct flow_call *f = aux;
    if (f->status == QUERY_OK) {
        rpc_reply_text(f->call, f->text);
    } else {
        rpc_fail(f->call, codes[f->status], NULL, "%s", f->error);
    }
    free(f);
}

/* On a thread of the pool, or at once on ours: the answer goes by mail in both
 * cases. */
static void
on_result(void *aux, struct query_result *r)
{
    struct flow_call *f = aux;
    f->status = r ? r->status : QUERY_FAILED;
    snprintf(f->error, sizeof f->error, "%s", r ? r->error
                                               : "out of memory");
    if (f->status == QUERY_OK) {
        f->text = result_to_text(r);
        if (!f->text) {
            f->status = QUERY_TOO_BIG;
            snprintf(f->error, sizeof f->error, "out of memory");
        }
    }
    query_result_destroy(r);
    api_post(f->api, deliver, f);
}

static void
on_gone(void *aux)
{
    struct flow_call *f = aux;
    query_cancel(f->pool, f->id);
}

static void
flow_query(struct rpc_call *call, struct json_object *params)
{
    struct api_context *c = rpc_context(call);
    struct query q;

    if (!c->queries) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there is no store to ask");
        return;
    }
    if (!read_query(call, params, &q)) {
        return;
    }
    struct flow_call *f = calloc(1, sizeof *f);
    if (!f) {
        query_clear(&q);
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        return;
    }
    f->call = call;
    f->api = rpc_api(call);
    f->pool = c->queries;
    rpc_on_cancel(call, on_gone, f);
    f->id = query_start(c->queries, &q, on_result, f);
}

/* ---- flow.columns, flow.filter.check ---- */

static struct json_object *
column_to_json(const struct column *c)
{
    struct json_object *o = json_object_new_object();
    struct json_object *elements = json_object_new_array();

    reply_string(o, "name", c->name);
    reply_string(o, "type", column_type_name(c->type));
    reply_string(o, "unit", c->unit);
    reply_bool(o, "nullable", c->flags & CF_NULL);
    reply_bool(o, "group_by", c->flags & CF_KEY);
    reply_bool(o, "metric", c->flags & CF_SUM);
    const uint16_t ies[] = { c->ie, c->ie2 };
    for (int i = 0; i < 2; i++) {
        if (ies[i]) {
            json_object_array_add(elements, json_object_new_int(ies[i]));
        }
    }
    json_object_object_add(o, "ipfix_elements", elements);
    if (c->words) {
        struct json_object *words = json_object_new_array();
        for (const struct column_word *w = c->words; w->name; w++) {
            struct json_object *word = json_object_new_object();
            reply_uint(word, "value", w->value);
            reply_string(word, "name", w->name);
            reply_string(word, "doc", w->doc);
            json_object_array_add(words, word);
        }
        json_object_object_add(o, "words", words);
    }
    reply_string(o, "doc", c->doc);
    return o;
}

static void
flow_columns(struct rpc_call *call, struct json_object *params)
{
    static const struct column flows = {
        .name = "flows", .type = COLUMN_T_U64, .unit = "flows",
        .flags = CF_SUM, .doc = "number of flow records",
    };
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();

    (void) params;
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        json_object_array_add(list, column_to_json(&columns[i]));
    }
    json_object_array_add(list, column_to_json(&flows));
    json_object_object_add(o, "columns", list);
    rpc_reply(call, o);
}

static void
reply_completion(struct json_object *o, const char *text, size_t cursor)
{
    struct filter_completion c;
    struct json_object *list = json_object_new_array();

    filter_complete(text, cursor, &c);
    for (unsigned i = 0; i < c.n; i++) {
        json_object_array_add(list, json_object_new_string(c.words[i]));
    }
    reply_uint(o, "start", c.start);
    json_object_object_add(o, "candidates", list);
    reply_bool(o, "value", c.value);
}

static void
flow_filter_check(struct rpc_call *call, struct json_object *params)
{
    struct json_object *v = NULL;
    struct filter_error e = { .position = 0 };

    json_object_object_get_ex(params, "filter", &v);
    const char *text = json_object_get_string(v);
    size_t len = (size_t) json_object_get_string_len(v);
    struct filter *f = NULL;
    if (strlen(text) == len) {
        f = filter_parse(text, &e);
    } else {
        e.position = strlen(text);
        snprintf(e.message, sizeof e.message, "a filter has no byte 0");
    }
    struct json_object *o = json_object_new_object();
    reply_bool(o, "valid", f != NULL);
    if (f) {
        json_object_object_add(o, "error", NULL);
    } else {
        struct json_object *error = json_object_new_object();
        reply_uint(error, "position", e.position);
        reply_string(error, "message", e.message);
        reply_string(error, "expected", e.expected);
        json_object_object_add(o, "error", error);
    }
    filter_destroy(f);
    if (json_object_object_get_ex(params, "cursor", &v)) {
        int64_t cursor = json_object_get_int64(v);
        reply_completion(o, text, cursor < 0 ? 0 : (size_t) cursor);
    }
    rpc_reply(call, o);
}

/* ---- The table. ---- */

static const struct rpc_param query_params[] = {
    { "from", PARAM_TIME, false, "flows that ended then or later; -1h is the "
      "default", NULL },
    { "to", PARAM_TIME, false, "and before then; the default is now, and a "
      "minute for clocks that are ahead", NULL },
    { "filter", PARAM_STRING, false, "which flows, in the filter language; "
      "all is the default", NULL },
    { "by", PARAM_ARRAY, false, "columns to group by; none is the default: "
      "one row of totals", "{\"type\":\"array\",\"items\":"
      "{\"type\":\"string\"},\"maxItems\":16}" },
    { "metrics", PARAM_ARRAY, false, "what to sum up; bytes, packets, flows "
      "is the default", "{\"type\":\"array\",\"items\":"
      "{\"type\":\"string\"},\"minItems\":1,\"maxItems\":16}" },
    { "order", PARAM_STRING, false, "column of the answer to sort by, with - "
      "before it the largest first; the first metric, largest first, is the "
      "default, with a bucket the time", NULL },
    { "limit", PARAM_INTEGER, false, "at most so many rows; 10 is the "
      "default, with a bucket 1000",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100000}" },
    { "bucket", PARAM_DURATION, false, "also group by time, in steps of so "
      "long", NULL },
    { "timeout_ms", PARAM_INTEGER, false, "give up after so long; the "
      "configuration says the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":3600000}" },
    { "observations", PARAM_STRING, false, "canonical counts each packet "
      "once, all counts every record; canonical is the default",
      "{\"enum\":[\"canonical\",\"all\"]}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param no_params[] = {
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param check_params[] = {
    { "filter", PARAM_STRING, true, "the text to check", NULL },
    { "cursor", PARAM_INTEGER, false, "also tell what can stand at this byte",
      "{\"type\":\"integer\",\"minimum\":0}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_flow[] = {
    {
        .name = "flow.query",
        .role = ROLE_VIEWER,
        .summary = "Sums over stored flows, grouped and sorted.",
        .params = query_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"columns\",\"rows\","
            "\"truncated\",\"stats\"],\"properties\":{"
            "\"columns\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"properties\":{\"name\":{\"type\":\"string\"},"
            "\"type\":{\"type\":\"string\"},\"unit\":{\"type\":\"string\"}"
            "}}},"
            "\"rows\":{\"type\":\"array\",\"items\":{\"type\":\"array\"}},"
            "\"truncated\":{\"type\":\"boolean\"},"
            "\"stats\":{\"type\":\"object\",\"properties\":{"
            "\"tier\":{\"type\":\"string\"},"
            "\"segments\":{\"type\":\"integer\"},"
            "\"rows_scanned\":{\"type\":\"integer\"},"
            "\"elapsed_ms\":{\"type\":\"number\"}}}}}",
        .example_params =
            "{\"from\":\"-1h\",\"by\":[\"src_addr\"],\"limit\":2,"
            "\"filter\":\"proto tcp and dst port 443\"}",
        .example_result =
            "{\"columns\":[{\"name\":\"src_addr\",\"type\":\"address\","
            "\"unit\":\"\"},{\"name\":\"bytes\",\"type\":\"u64\","
            "\"unit\":\"B\"},{\"name\":\"packets\",\"type\":\"u64\","
            "\"unit\":\"packets\"},{\"name\":\"flows\",\"type\":\"u64\","
            "\"unit\":\"flows\"}],\"rows\":[[\"10.0.0.1\",90210,120,7],"
            "[\"2001:db8::1\",4096,8,2]],\"truncated\":true,"
            "\"stats\":{\"tier\":\"raw\",\"segments\":2,"
            "\"rows_scanned\":5120,\"elapsed_ms\":12.5}}",
        .call = flow_query,
    },
    {
        .name = "flow.columns",
        .role = ROLE_VIEWER,
        .summary = "What a flow record can say: every column with its type, "
                   "unit, IPFIX element, words and meaning.",
        .params = no_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"columns\"],"
            "\"properties\":{\"columns\":{\"type\":\"array\",\"items\":"
            "{\"type\":\"object\",\"required\":[\"name\",\"type\","
            "\"unit\",\"nullable\",\"group_by\",\"metric\",\"doc\"]}}}}",
        .example_params = "{}",
        .example_result =
            "{\"columns\":[{\"name\":\"direction\",\"type\":\"enum\","
            "\"unit\":\"\",\"nullable\":true,\"group_by\":true,"
            "\"metric\":false,\"ipfix_elements\":[61],"
            "\"words\":[{\"value\":0,\"name\":\"ingress\","
            "\"doc\":\"seen when entering\"}],"
            "\"doc\":\"whether the packet was seen when entering or leaving "
            "the exporter\"}]}",
        .call = flow_columns,
    },
    {
        .name = "flow.filter.check",
        .role = ROLE_VIEWER,
        .summary = "Whether a filter is right, and if not, where it goes "
                   "wrong and what could stand there; with a cursor, the "
                   "words that can follow.",
        .params = check_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"valid\",\"error\"],"
            "\"properties\":{\"valid\":{\"type\":\"boolean\"},"
            "\"error\":{\"type\":[\"object\",\"null\"],\"properties\":{"
            "\"position\":{\"type\":\"integer\"},"
            "\"message\":{\"type\":\"string\"},"
            "\"expected\":{\"type\":\"string\"}}},"
            "\"start\":{\"type\":\"integer\"},"
            "\"candidates\":{\"type\":\"array\",\"items\":"
            "{\"type\":\"string\"}},"
            "\"value\":{\"type\":\"boolean\"}}}",
        .example_params = "{\"filter\":\"proto tcp and dst po\","
            "\"cursor\":20}",
        .example_result =
            "{\"valid\":false,\"error\":{\"position\":18,"
            "\"message\":\"unexpected \\\"po\\\"\",\"expected\":\"in, or, and, "
            "host, net, port, as, mac, if, mask, vlan, column\"},"
            "\"start\":18,\"candidates\":[\"port\"],\"value\":false}",
        .call = flow_filter_check,
    },
    { .name = NULL }
};
