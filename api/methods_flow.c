#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/config.h"
#include "api/context.h"
#include "api/flow_text.h"
#include "api/value.h"
#include "collector/filter/filter.h"
#include "collector/identity/again.h"
#include "collector/query/key.h"
#include "collector/query/metric.h"
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
        REFUSE(r, "to", "the time range is empty: it ends when it "
               "begins, or before");
    }
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
        reply_filter_error(r->call, &e);
        r->failed = true;
    }
}

static void
add_key(struct reading *r, const char *where, const struct column *c,
        const struct query_key *key)
{
    struct query *q = r->q;
    for (unsigned k = 0; k < q->n_by; k++) {
        if (q->by[k] == (enum column_id) (c - columns)
            && !memcmp(&q->key[k], key, sizeof *key)) {
            REFUSE(r, where, "%s is there already", c->name);
            return;
        }
    }
    q->key[q->n_by] = *key;
    q->by[q->n_by++] = (enum column_id) (c - columns);
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
        struct query_key key;
        const struct column *c = name ? query_key_parse(name, &key) : NULL;
        snprintf(where, sizeof where, "by[%zu]", i);
        if (!json_object_is_type(v, json_type_string)) {
            REFUSE(r, where, "a column's name is expected");
        } else if (!c) {
            REFUSE(r, where, "there is no column \"%.60s\"; flow.columns "
                   "lists them", name);
        } else if (!(c->flags & CF_KEY)) {
            REFUSE(r, where, "%s cannot be grouped by", c->name);
        } else {
            add_key(r, where, c, &key);
        }
    }
}

static void
add_metric(struct reading *r, const char *where, const char *name)
{
    struct query *q = r->q;
    struct query_calc calc;
    unsigned id;

    if (!name || !metric_parse(name, &id, &calc)) {
        REFUSE(r, where, "\"%.60s\" is not a metric; flow.columns lists them",
               name ? name : "null");
        return;
    }
    for (unsigned k = 0; k < q->n_metrics; k++) {
        if (q->metrics[k] == id && q->calc[k].fn == calc.fn
            && q->calc[k].rate == calc.rate) {
            REFUSE(r, where, "%s is there already", name);
            return;
        }
    }
    q->totals |= calc.fn == FN_SHARE;
    q->calc[q->n_metrics] = calc;
    q->metrics[q->n_metrics++] = id;
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
        snprintf(where, sizeof where, "metrics[%zu]", i);
        add_metric(r, where, json_object_is_type(v, json_type_string)
                             ? json_object_get_string(v) : NULL);
    }
}

/* What the sums are compared with, and everything that only some ask for. */
static void
read_more(struct reading *r)
{
    struct query *q = r->q;
    struct json_object *v = member(r, "compare");
    int64_t now = clock_wall_us();

    if (v && !strcmp(json_object_get_string(v), "previous")) {
        q->previous_us = q->to_us - q->from_us;
    } else if (v && (duration_parse_us(json_object_get_string(v),
                                       &q->previous_us)
                     || q->previous_us < 1000000)) {
        REFUSE(r, "compare", "\"previous\" or a duration of at least 1s is "
               "expected");
        return;
    }
    unsigned n = q->n_metrics;
    for (unsigned i = 0; v && i < n && q->n_metrics < QUERY_MAX_METRICS;
         i++) {
        if (q->calc[i].fn == FN_SUM) {
            q->calc[q->n_metrics] = (struct query_calc) {
                FN_PREVIOUS, q->calc[i].rate };
            q->metrics[q->n_metrics++] = q->metrics[i];
        }
    }
    q->p95_us = INT64_C(300000000);
    v = member(r, "p95_bucket");
    if (v && (duration_parse_us(json_object_get_string(v), &q->p95_us)
              || q->p95_us < 1000000)) {
        REFUSE(r, "p95_bucket", "a duration of at least 1s is expected");
        return;
    }
    q->bidirectional = json_object_get_boolean(member(r, "bidirectional"));
    q->totals |= json_object_get_boolean(member(r, "totals"));
    q->window_us = (q->to_us > now && now > q->from_us ? now : q->to_us)
                   - q->from_us;
    if (q->bidirectional && query_either(q)) {
        REFUSE(r, "by", "of a conversation each end is told by itself: src_ or "
               "dst_ is expected before a key that both have");
        return;
    }
    const char *wrong = query_check(q);
    if (wrong) {
        REFUSE(r, "metrics", "%s", wrong);
    }
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
    struct query_column out[QUERY_MAX_COLUMNS];
    unsigned n = query_columns(q, out);
    struct query_key key;
    const struct column *c = query_key_parse(name, &key);
    for (unsigned i = 0; i < n; i++) {
        bool same_key = c && out[i].column == c && i < n_keys
                        && !memcmp(&out[i].key, &key, sizeof key);
        if (!strcmp(name, out[i].name) || same_key) {
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

/* Whose names the ends have. */
static void
read_resolve(struct reading *r)
{
    static const char *const words[] = {
        [RESOLVE_STORED] = "stored", [RESOLVE_THEN] = "then",
        [RESOLVE_NOW] = "now",
    };
    struct json_object *v = member(r, "resolve");
    const char *word = v ? json_object_get_string(v) : words[0];
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!strcmp(word, words[i])) {
            r->q->resolve = (uint8_t) i;
            if (i != RESOLVE_STORED && rpc_caller(r->call)->confine) {
                /* An address may have been another tenant's. */
                REFUSE(r, "resolve", "who is confined to tenants sees flows "
                       "as they are stored");
            }
            return;
        }
    }
    REFUSE(r, "resolve", "\"stored\", \"then\" or \"now\" is expected");
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
    v = member(r, "tier");
    q->only_raw = v && !strcmp(json_object_get_string(v), "raw");
    if (!r->failed) {
        read_resolve(r);
    }
}

typedef void read_fn(struct reading *);

/* Reads all of them; 'steps' ends with NULL.  False: the call has been
 * answered. */
static bool
read_query(struct rpc_call *call, struct json_object *params,
           read_fn *const *steps, struct query *q)
{
    struct reading r = { .call = call, .params = params, .q = q };

    memset(q, 0, sizeof *q);
    for (size_t i = 0; steps[i] && !r.failed; i++) {
        steps[i](&r);
    }
    if (r.failed) {
        query_clear(q);
    }
    return !r.failed;
}

bool
flow_read_scope(struct rpc_call *call, struct json_object *params,
                struct query *q)
{
    static read_fn *const steps[] = { read_range, read_filter, NULL };

    return read_query(call, params, steps, q);
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
    struct query q;             /* A copy; its filter is not ours. */
    flow_text_fn *put;

    pthread_mutex_t mutex;      /* Of what follows. */
    bool posted;                /* Progress is under way. */
    double part;
    uint64_t rows;
};

static void
deliver_progress(void *aux)
{
    struct flow_call *f = aux;
    struct json_object *o = json_object_new_object();

    pthread_mutex_lock(&f->mutex);
    f->posted = false;
    double part = f->part;
    if (!f->q.confine) {
        reply_uint(o, "flows", f->rows);
    }
    pthread_mutex_unlock(&f->mutex);
    rpc_progress(f->call, part, o);
}

/* On a thread of the pool. */
static void
on_progress(void *aux, double part, uint64_t rows)
{
    struct flow_call *f = aux;

    pthread_mutex_lock(&f->mutex);
    bool post = !f->posted;
    f->posted = true;
    f->part = part;
    f->rows = rows;
    pthread_mutex_unlock(&f->mutex);
    if (post) {
        api_post(f->api, deliver_progress, f);
    }
}

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
    pthread_mutex_destroy(&f->mutex);
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
        f->text = flow_result_text(&f->q, r, f->put);
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
start_query(struct rpc_call *call, struct json_object *params,
            read_fn *const *steps, flow_text_fn *put)
{
    struct api_context *c = rpc_context(call);
    struct query q;

    if (!c->queries) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there is no store to ask");
        return;
    }
    if (!read_query(call, params, steps, &q)) {
        return;
    }
    struct flow_call *f = calloc(1, sizeof *f);
    if (!f) {
        query_clear(&q);
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        return;
    }
    q.confine = rpc_caller(call)->confine;
    f->call = call;
    f->api = rpc_api(call);
    f->pool = c->queries;
    struct json_object *wanted = NULL;
    json_object_object_get_ex(params, "progress", &wanted);
    q.progress = json_object_get_boolean(wanted) ? on_progress : NULL;
    pthread_mutex_init(&f->mutex, NULL);
    f->q = q;
    f->put = put;
    rpc_on_cancel(call, on_gone, f);
    f->id = query_start(c->queries, &q, on_result, f);
}

static void
flow_query(struct rpc_call *call, struct json_object *params)
{
    static read_fn *const steps[] = {
        read_range, read_by, read_metrics, read_rest, read_more, read_order,
        read_filter, NULL
    };
    start_query(call, params, steps, flow_query_text);
}

/* ---- flow.series ---- */

#define MAX_BUCKETS 10000
#define USUAL_BUCKETS 300
#define MAX_TOP 100

static void
read_bucket(struct reading *r)
{
    static const int64_t steps_s[] = { 1, 5, 10, 30, 60, 300, 900, 1800, 3600,
                                       7200, 21600, 43200, 86400, 604800 };
    struct query *q = r->q;
    int64_t now = clock_wall_us(), top = 10;

    if (!member(r, "to") && now > q->from_us) {
        q->to_us = now;
    }
    for (size_t i = 0; !q->bucket_us && i < 14; i++) {
        if ((q->to_us - q->from_us) / USUAL_BUCKETS <= steps_s[i] * 1000000
            || i == 13) {
            q->bucket_us = steps_s[i] * 1000000;
        }
    }
    if ((q->to_us - q->from_us) / q->bucket_us > MAX_BUCKETS) {
        REFUSE(r, "bucket", "more than %d buckets", MAX_BUCKETS);
        return;
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        if (q->calc[i].fn == FN_SHARE || q->calc[i].fn == FN_PREVIOUS
            || q->calc[i].fn == FN_ERROR
            || (q->metrics[i] < N_COLUMNS
                && columns[q->metrics[i]].type == COLUMN_T_TIME)) {
            REFUSE(r, "metrics", "a series has no shares, times, and periods "
                   "before");
            return;
        }
    }
    read_integer(r, "top", MAX_TOP, &top);
    q->top = (unsigned) top;
    int64_t most = q->from_us < q->to_us
                   ? (q->to_us - q->from_us) / q->bucket_us + 2 : 1;
    if (!r->failed && q->n_by && top * most > QUERY_MAX_LIMIT) {
        REFUSE(r, "top", "%" PRId64 " groups of %" PRId64 " buckets are more "
               "than %d values; fewer groups, or longer buckets are expected",
               top, most, QUERY_MAX_LIMIT);
    }
    q->totals = false;
    q->order = 0;
}

static void
flow_series(struct rpc_call *call, struct json_object *params)
{
    static read_fn *const steps[] = {
        read_range, read_by, read_metrics, read_rest, read_bucket, read_more,
        read_filter, NULL
    };
    start_query(call, params, steps, flow_series_text);
}

/* ---- flow.records ---- */

#define MAX_RECORDS 10000
#define DEFAULT_RECORDS 100

static void
read_fields(struct reading *r)
{
    struct query_records *w = &r->q->records;
    struct json_object *list = member(r, "fields"), *v = member(r, "order");
    size_t n = list ? json_object_array_length(list) : 0;
    char where[32];
    int64_t limit = DEFAULT_RECORDS;

    w->on = true;
    for (unsigned i = 0; !list && i < N_COLUMNS; i++) {
        if (i != COL_flow_end) {
            w->fields[w->n_fields++] = (enum column_id) i;
        }
    }
    for (size_t i = 0; i < n && !r->failed; i++) {
        v = json_object_array_get_idx(list, i);
        const char *name = json_object_get_string(v);
        const struct column *c = name ? column_by_name(name) : NULL;
        bool again = c == &columns[COL_flow_end];   /* It is always there. */
        snprintf(where, sizeof where, "fields[%zu]", i);
        if (!c || w->n_fields >= N_COLUMNS) {
            REFUSE(r, where, "there is no column \"%.60s\"; flow.columns "
                   "lists them", name ? name : "null");
            return;
        }
        for (unsigned k = 0; k < w->n_fields; k++) {
            again |= w->fields[k] == (enum column_id) (c - columns);
        }
        if (!again) {
            w->fields[w->n_fields++] = (enum column_id) (c - columns);
        }
    }
    v = member(r, "order");
    const char *order = v ? json_object_get_string(v) : "newest";
    w->oldest_first = !strcmp(order, "oldest");
    if (!w->oldest_first && strcmp(order, "newest")) {
        REFUSE(r, "order", "\"newest\" or \"oldest\" is expected");
        return;
    }
    read_integer(r, "limit", MAX_RECORDS, &limit);
    r->q->limit = (uint64_t) limit;
}

static void
read_cursor(struct reading *r)
{
    struct json_object *v = member(r, "cursor");
    struct query *q = r->q;
    char first;
    int64_t us;
    uint64_t skip;
    int end = 0;

    if (!v) {
        return;
    }
    const char *text = json_object_get_string(v);
    if (sscanf(text, "%c%" SCNd64 ".%" SCNu64 "%n", &first, &us, &skip, &end)
        != 3 || text[end] || us < 0 || us >= INT64_MAX || skip > INT64_MAX
        || first != (q->records.oldest_first ? 'o' : 'n')) {
        REFUSE(r, "cursor", "this is not a cursor of an answer to the same "
               "question");
        return;
    }
    q->records.skip = skip;
    if (q->records.oldest_first) {
        q->from_us = us;
    } else {
        q->to_us = us + 1;
    }
    if (q->from_us >= q->to_us) {
        REFUSE(r, "cursor", "the cursor is not in the time range");
    }
}

static void
flow_records(struct rpc_call *call, struct json_object *params)
{
    static read_fn *const steps[] = {
        read_range, read_rest, read_fields, read_cursor, read_filter, NULL
    };
    start_query(call, params, steps, flow_records_text);
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
add_metric_doc(struct json_object *list, const char *doc, const char *name,
               const char *argument)
{
    struct json_object *o = json_object_new_object();
    char text[64];

    snprintf(text, sizeof text, argument ? "%s(%s)" : "%s", name, argument);
    reply_string(o, "name", text);
    reply_string(o, "doc", doc);
    json_object_array_add(list, o);
}

/* What can be asked for besides the columns marked "metric". */
static struct json_object *
metrics_to_json(void)
{
    struct json_object *list = json_object_new_array();

    for (const struct metric_word *w = metric_words; w->name; w++) {
        add_metric_doc(list, w->doc, w->name, NULL);
    }
    for (const struct metric_fn *f = metric_fns; f->name; f++) {
        add_metric_doc(list, f->doc, f->name, f->argument);
    }
    return list;
}

/* What can be grouped by besides the columns marked "group_by". */
static struct json_object *
keys_to_json(void)
{
    struct json_object *list = json_object_new_array();
    struct query_key_word w;

    for (unsigned i = 0; query_key_at(i, &w); i++) {
        struct json_object *o = json_object_new_object();
        char name[sizeof w.name + 4];
        snprintf(name, sizeof name, "%s%s", w.name, w.open ? "KEY" : "");
        reply_string(o, "name", name);
        reply_string(o, "doc", w.doc);
        json_object_array_add(list, o);
    }
    return list;
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
    json_object_object_add(o, "keys", keys_to_json());
    json_object_object_add(o, "metrics", metrics_to_json());
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

#define RESOLVE                                                         \
    { "resolve", PARAM_STRING, false, "who the ends are: as stored, when " \
      "the flow came (the default); then, for the time of the flow by what " \
      "is known today; now, who has the addresses at this moment",      \
      "{\"enum\":[\"stored\",\"then\",\"now\"]}" }

static const struct rpc_param query_params[] = {
    { "from", PARAM_TIME, false, "flows that ended then or later; -1h is the "
      "default", NULL },
    { "to", PARAM_TIME, false, "and before then; the default is now, and a "
      "minute for clocks that are ahead", NULL },
    { "filter", PARAM_STRING, false, "which flows, in the filter language; "
      "all is the default", NULL },
    { "by", PARAM_ARRAY, false, "columns to group by; also src_addr/24 or "
      "src_addr/24/56 (prefixes; IPv6: 64), src_label.KEY, proto_name, "
      "src_service, dst_service; without src_ and dst_ (tenant, addr/24, "
      "label.KEY, service) a flow counts for either end, once if they are "
      "equal; none is the default: one row of totals", "{\"type\":\"array\",\"items\":"
      "{\"type\":\"string\"},\"maxItems\":16}" },
    { "metrics", PARAM_ARRAY, false, "what to sum up; also bps, pps, fps "
      "(averages), first, last, min(X), max(X), distinct(COLUMN), p95(bps), "
      "share(X), previous(X), reverse(X), error(X); bytes, packets, flows "
      "is the "
      "default", "{\"type\":\"array\",\"items\":"
      "{\"type\":\"string\"},\"minItems\":1,\"maxItems\":16}" },
    { "order", PARAM_STRING, false, "column of the answer to sort by, with - "
      "before it the largest first; the first metric, largest first, is the "
      "default, with a bucket the time", NULL },
    { "limit", PARAM_INTEGER, false, "at most so many rows; 10 is the "
      "default, with a bucket 1000",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100000}" },
    { "bucket", PARAM_DURATION, false, "also group by time, in steps of so "
      "long", NULL },
    { "progress", PARAM_BOOLEAN, false, "notify of progress", NULL },
    { "timeout_ms", PARAM_INTEGER, false, "give up after so long; the "
      "configuration says the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":3600000}" },
    { "observations", PARAM_STRING, false, "canonical counts each packet "
      "once, all counts every record; canonical is the default",
      "{\"enum\":[\"canonical\",\"all\"]}" },
    RESOLVE,
    { "totals", PARAM_BOOLEAN, false, "also tell the sums over all groups, "
      "and over those that are not shown", NULL },
    { "compare", PARAM_STRING, false, "previous, or a duration: also "
      "previous(METRIC), the same so long before", NULL },
    { "bidirectional", PARAM_BOOLEAN, false, "both directions are one group, "
      "seen from the client; reverse(METRIC) is what the server sent", NULL },
    { "tier", PARAM_STRING, false, "raw asks single flows only; auto, which "
      "takes sums of minutes and hours where they answer, is the default",
      "{\"enum\":[\"auto\",\"raw\"]}" },
    { "p95_bucket", PARAM_DURATION, false, "p95(METRIC) is over sums of so "
      "long; 5m is the default", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

#define TIMES_AND_FILTER                                                \
    { "from", PARAM_TIME, false, "flows that ended then or later; -1h is " \
      "the default", NULL },                                            \
    { "to", PARAM_TIME, false, "and before then; now is the default",   \
      NULL },                                                           \
    { "filter", PARAM_STRING, false, "which flows, in the filter "      \
      "language; all is the default", NULL },                           \
    { "progress", PARAM_BOOLEAN, false, "notify of progress", NULL },   \
    { "timeout_ms", PARAM_INTEGER, false, "give up after so long; the " \
      "configuration says the default",                                 \
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":3600000}" },     \
    { "observations", PARAM_STRING, false, "canonical counts each "     \
      "packet once, all counts every record; canonical is the default", \
      "{\"enum\":[\"canonical\",\"all\"]}" },                            \
    RESOLVE

static const struct rpc_param series_params[] = {
    TIMES_AND_FILTER,
    { "by", PARAM_ARRAY, false, "columns to group by, as in flow.query; of keys "
      "of either end, other is null",
      "{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
      "\"maxItems\":16}" },
    { "metrics", PARAM_ARRAY, false, "what to sum up, as in flow.query",
      "{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
      "\"minItems\":1,\"maxItems\":16}" },
    { "tier", PARAM_STRING, false, "as in flow.query",
      "{\"enum\":[\"auto\",\"raw\"]}" },
    { "bucket", PARAM_DURATION, false, "step; the default makes at most 300",
      NULL },
    { "top", PARAM_INTEGER, false, "so many groups, by the first metric; the "
      "rest is in other; 10 is the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param records_params[] = {
    TIMES_AND_FILTER,
    { "fields", PARAM_ARRAY, false, "columns to tell beside flow_end; all is "
      "the default", "{\"type\":\"array\",\"items\":"
      "{\"type\":\"string\"}}" },
    { "order", PARAM_STRING, false, "newest or oldest first; newest is the "
      "default", "{\"enum\":[\"newest\",\"oldest\"]}" },
    { "limit", PARAM_INTEGER, false, "records a page; 100 is the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000}" },
    { "cursor", PARAM_STRING, false, "of the last answer, to go on behind "
      "it; the rest of the question must be the same", NULL },
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
        .confined = true,
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
            "\"totals\":{\"type\":\"array\"},\"other\":{\"type\":\"array\"},"
            "\"truncated\":{\"type\":\"boolean\"},"
            "\"stats\":{\"type\":\"object\",\"properties\":{"
            "\"tier\":{\"type\":\"string\"},"
            "\"segments\":{\"type\":\"integer\"},"
            "\"rows_scanned\":{\"type\":\"integer\"},"
            "\"note\":{\"type\":\"string\"},"
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
        .name = "flow.series",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "Sums over time for graphs: every step is there, also "
                   "those without flows; the largest groups, and the rest.",
        .params = series_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"columns\",\"start\","
            "\"step_ms\",\"buckets\",\"total\",\"series\",\"other\","
            "\"truncated\",\"stats\"],\"properties\":{"
            "\"start\":{\"type\":\"string\"},"
            "\"step_ms\":{\"type\":\"integer\"},"
            "\"buckets\":{\"type\":\"integer\"},"
            "\"total\":{\"type\":\"object\"},"
            "\"series\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"required\":[\"key\",\"values\"]}},"
            "\"other\":{\"type\":[\"object\",\"null\"]}}}",
        .example_params =
            "{\"from\":\"-3m\",\"bucket\":\"1m\",\"by\":[\"proto_name\"],"
            "\"metrics\":[\"bps\"],\"top\":1}",
        .example_result =
            "{\"columns\":[{\"name\":\"proto_name\",\"type\":\"name\","
            "\"unit\":\"\"},{\"name\":\"bps\",\"type\":\"u64\","
            "\"unit\":\"bit/s\"}],\"start\":\"2026-11-23T07:00:00.000Z\","
            "\"step_ms\":60000,\"buckets\":3,"
            "\"total\":{\"bps\":[810,0,90]},"
            "\"series\":[{\"key\":[\"tcp\"],\"values\":"
            "{\"bps\":[800,0,80]}}],\"other\":{\"bps\":[10,0,10]},"
            "\"truncated\":false,\"stats\":{\"tier\":\"raw\","
            "\"segments\":1,\"rows_scanned\":120,\"elapsed_ms\":4.2}}",
        .call = flow_series,
    },
    {
        .name = "flow.records",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "Single flow records, page by page.  The cursor stays "
                   "right while new records arrive.",
        .params = records_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"columns\",\"rows\","
            "\"cursor\",\"truncated\",\"stats\"],\"properties\":{"
            "\"rows\":{\"type\":\"array\",\"items\":{\"type\":\"array\"}},"
            "\"cursor\":{\"type\":[\"string\",\"null\"]}}}",
        .example_params =
            "{\"from\":\"-5m\",\"fields\":[\"src_addr\",\"bytes\"],"
            "\"limit\":1}",
        .example_result =
            "{\"columns\":[{\"name\":\"flow_end\",\"type\":\"time\","
            "\"unit\":\"us\"},{\"name\":\"src_addr\",\"type\":\"address\","
            "\"unit\":\"\"},{\"name\":\"bytes\",\"type\":\"u64\","
            "\"unit\":\"B\"}],\"rows\":[[\"2026-11-23T07:00:01.250Z\","
            "\"10.0.0.1\",1500]],\"cursor\":\"n1795417201250000.1\","
            "\"truncated\":true,\"stats\":{\"tier\":\"raw\","
            "\"segments\":1,\"rows_scanned\":120,\"elapsed_ms\":3.1}}",
        .call = flow_records,
    },
    {
        .name = "flow.columns",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "What a flow record can say: every column with its type, "
                   "unit, IPFIX element, words and meaning; and the keys and "
                   "metrics that are made of columns.",
        .params = no_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"columns\",\"keys\","
            "\"metrics\"],\"properties\":{\"columns\":{\"type\":\"array\",\"items\":"
            "{\"type\":\"object\",\"required\":[\"name\",\"type\","
            "\"unit\",\"nullable\",\"group_by\",\"metric\",\"doc\"]}},"
            "\"keys\":{\"type\":\"array\",\"items\":{\"type\":"
            "\"object\",\"required\":[\"name\",\"doc\"]}},"
            "\"metrics\":{\"type\":\"array\",\"items\":{\"type\":"
            "\"object\",\"required\":[\"name\",\"doc\"]}}}}",
        .example_params = "{}",
        .example_result =
            "{\"columns\":[{\"name\":\"direction\",\"type\":\"enum\","
            "\"unit\":\"\",\"nullable\":true,\"group_by\":true,"
            "\"metric\":false,\"ipfix_elements\":[61],"
            "\"words\":[{\"value\":0,\"name\":\"ingress\","
            "\"doc\":\"seen when entering\"}],"
            "\"doc\":\"whether the packet was seen when entering or leaving "
            "the exporter\"}],\"keys\":[{\"name\":\"src_label.KEY\",\"doc\":"
            "\"value of the label KEY of the source\"}],\"metrics\":[{\"name\":\"bps\",\"doc\":"
            "\"bits a second: bytes\"}]}",
        .call = flow_columns,
    },
    {
        .name = "flow.filter.check",
        .role = ROLE_VIEWER,
        .confined = true,
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
