#include <config.h>

#include "api/live.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/context.h"
#include "api/methods.h"
#include "api/subscribe.h"
#include "api/value.h"
#include "collector/channel/tap.h"
#include "collector/filter/filter.h"
#include "lib/dict.h"

#define DEFAULT_RATE 100
#define ROWS_A_MESSAGE 256
#define MAX_FIELDS 32

/* One subscriber. */
struct watcher {
    struct live *live;
    struct watcher *next, **prev;
    struct rpc_subscription *subscription;
    struct tap *tap;
    struct query_column columns[MAX_FIELDS];
    unsigned n;
    uint64_t skipped;           /* Not yet told. */
};

struct live {
    struct tap_set *taps;
    struct dict *dict;
    struct watcher *watchers;
    struct tap_value *rows;     /* ROWS_A_MESSAGE * MAX_FIELDS */
};

static void
watcher_destroy(struct watcher *w)
{
    tap_close(w->tap);
    if (w->prev) {
        *w->prev = w->next;
        if (w->next) {
            w->next->prev = w->prev;
        }
    }
    free(w);
}

static void
on_ended(void *watcher)
{
    watcher_destroy(watcher);
}

struct live *
live_create(struct tap_set *taps, struct dict *dict)
{
    struct live *live = calloc(1, sizeof *live);

    if (live) {
        live->taps = taps;
        live->dict = dict;
        live->rows = calloc(ROWS_A_MESSAGE * MAX_FIELDS, sizeof *live->rows);
        if (!live->rows) {
            free(live);
            live = NULL;
        }
    }
    return live;
}

void
live_destroy(struct live *live)
{
    if (live) {
        while (live->watchers) {
            struct watcher *w = live->watchers;
            rpc_unsubscribe(w->subscription, "venturid stops");
            watcher_destroy(w);
        }
        free(live->rows);
        free(live);
    }
}

const struct tap_counters *
live_counters(const struct live *live)
{
    return tap_set_counters(live->taps);
}

/* ---- News. ---- */

static void
put_row(FILE *f, const struct watcher *w, const struct tap_value *v)
{
    for (unsigned i = 0; i < w->n; i++) {
        const struct query_column *c = &w->columns[i];
        struct query_value value = { .null = v[i].null, .u = v[i].u };
        if (c->type == COLUMN_T_ADDR) {
            value.addr = v[i].addr;
        } else if (c->type == COLUMN_T_NAME && !v[i].null) {
            value.text = (char *) dict_text(w->live->dict,
                                            (uint32_t) v[i].u);
        }
        putc(i ? ',' : '[', f);
        value_put_result(f, c, &value);
    }
    putc(']', f);
}

/* One message of what is there.  True: something was sent. */
static bool
send_rows(struct watcher *w)
{
    struct tap_value *rows = w->live->rows;
    uint64_t skipped;
    char *text = NULL;
    size_t size;
    size_t n = tap_take(w->tap, rows, ROWS_A_MESSAGE, &skipped);

    w->skipped += skipped;
    FILE *f = n || w->skipped ? open_memstream(&text, &size) : NULL;
    if (!f) {
        w->skipped += n;
        return false;
    }
    fputs("{\"rows\":[", f);
    for (size_t i = 0; i < n; i++) {
        fputs(i ? "," : "", f);
        put_row(f, w, &rows[i * w->n]);
    }
    fprintf(f, "],\"skipped\":%" PRIu64 "}", w->skipped);
    if (fclose(f) || rpc_notify_text(w->subscription, text)) {
        w->skipped += n;
    } else {
        w->skipped = 0;
    }
    free(text);
    return n == ROWS_A_MESSAGE;
}

bool
live_deliver(struct live *live)
{
    bool again = false;

    tap_set_rearm(live->taps);
    for (struct watcher *w = live->watchers; w; w = w->next) {
        bool more = true;
        while (more && rpc_subscription_ready(w->subscription)) {
            more = send_rows(w);
        }
        again |= more;          /* It does not read: rows wait, then go. */
    }
    return again;
}

/* ---- flow.subscribe ---- */

static struct json_object *
param(struct json_object *params, const char *name)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(params, name, &v) ? v : NULL;
}

static void
add_column(struct watcher *w, enum column_id *fields, enum column_id id)
{
    const struct column *c = &columns[id];
    struct query_column *out = &w->columns[w->n];

    *out = (struct query_column) { .type = c->type, .unit = c->unit,
                                   .column = c };
    snprintf(out->name, sizeof out->name, "%s", c->name);
    fields[w->n++] = id;
}

/* False: the call has been answered. */
static bool
read_fields(struct rpc_call *call, struct json_object *list,
            struct watcher *w, enum column_id *fields)
{
    static const enum column_id usual[] = {
        COL_flow_end, COL_exporter, COL_bridge, COL_proto, COL_src_addr,
        COL_src_port, COL_dst_addr, COL_dst_port, COL_tcp_flags, COL_packets,
        COL_bytes,
    };
    size_t n = list ? json_object_array_length(list) : 0;
    char where[32];

    for (size_t i = 0; !n && i < sizeof usual / sizeof usual[0]; i++) {
        add_column(w, fields, usual[i]);
    }
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        const char *name = json_object_get_string(v);
        const struct column *c = name ? column_by_name(name) : NULL;
        bool again = false;
        for (unsigned k = 0; c && k < w->n; k++) {
            again |= w->columns[k].column == c;
        }
        snprintf(where, sizeof where, "fields[%zu]", i);
        if (!c) {
            rpc_fail(call, RPC_INVALID_PARAMS, where, "there is no column "
                     "\"%.60s\"; flow.columns lists them",
                     name ? name : "null");
            return false;
        } else if (again) {
            rpc_fail(call, RPC_INVALID_PARAMS, where, "%s is there already",
                     c->name);
            return false;
        } else if (w->n == MAX_FIELDS) {
            rpc_fail(call, RPC_INVALID_PARAMS, where, "at most %d columns",
                     MAX_FIELDS);
            return false;
        }
        add_column(w, fields, (enum column_id) (c - columns));
    }
    return true;
}

/* NULL: the call has been answered. */
static struct filter *
read_filter(struct rpc_call *call, struct json_object *v)
{
    const char *text = v ? json_object_get_string(v) : "";
    struct filter_error e;

    if (v && strlen(text) != (size_t) json_object_get_string_len(v)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "filter", "a filter has no byte "
                 "0");
        return NULL;
    }
    struct filter *f = filter_parse(text, &e);
    if (!f) {
        reply_filter_error(call, &e);
    }
    return f;
}

static struct json_object *
describe(const struct watcher *w, uint32_t rate)
{
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();

    for (unsigned i = 0; i < w->n; i++) {
        struct json_object *c = json_object_new_object();
        reply_string(c, "name", w->columns[i].name);
        reply_string(c, "type", column_type_name(w->columns[i].type));
        reply_string(c, "unit", w->columns[i].unit);
        json_object_array_add(list, c);
    }
    json_object_object_add(o, "columns", list);
    reply_uint(o, "rate", rate);
    return o;
}

/* Opens the tap and answers; the watcher is freed if that fails. */
static void
start(struct rpc_call *call, struct watcher *w, const struct filter *filter,
      const enum column_id *fields, uint32_t rate, bool all)
{
    static const struct rpc_subscriber subscriber = { .ended = on_ended };
    struct live *live = w->live;
    int e = tap_open(live->taps, filter, rpc_caller(call)->confine, fields,
                     w->n, rate, all, &w->tap);

    if (e) {
        rpc_fail(call, e == -ENOSPC ? RPC_BUSY : RPC_INTERNAL_ERROR, NULL,
                 e == -ENOSPC ? "there are %d subscribers to flows, or %d "
                 "different filters of them, already"
                 : "out of memory for one of %d (%d)", TAP_MAX,
                 TAP_MAX_FILTERS);
        watcher_destroy(w);
        return;
    }
    w->subscription = rpc_subscribe(call, &subscriber, w, describe(w, rate));
    if (!w->subscription) {
        watcher_destroy(w);
        return;
    }
    w->next = live->watchers;
    w->prev = &live->watchers;
    if (w->next) {
        w->next->prev = &w->next;
    }
    live->watchers = w;
}

static void
flow_subscribe(struct rpc_call *call, struct json_object *params)
{
    struct live *live = rpc_context(call)->live;
    struct json_object *v = param(params, "observations");
    const char *which = v ? json_object_get_string(v) : "canonical";
    struct json_object *rate = param(params, "rate");
    enum column_id fields[MAX_FIELDS];

    if (!live) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no flows come here");
        return;
    }
    struct filter *f = read_filter(call, param(params, "filter"));
    if (!f) {
        return;
    }
    struct watcher *w = calloc(1, sizeof *w);
    if (!w) {
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
    } else if (!read_fields(call, param(params, "fields"), w, fields)) {
        free(w);
    } else {
        w->live = live;
        start(call, w, f, fields, rate ? (uint32_t) json_object_get_int64(rate)
                                       : DEFAULT_RATE, !strcmp(which, "all"));
    }
    filter_destroy(f);
}

static const struct rpc_param subscribe_params[] = {
    { "filter", PARAM_STRING, false, "which flows, in the filter language; "
      "all is the default", NULL },
    { "fields", PARAM_ARRAY, false, "columns to tell; the usual ones are the "
      "default", "{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
      "\"maxItems\":32}" },
    { "rate", PARAM_INTEGER, false, "at most so many records a second, the "
      "rest is skipped and counted; 100 is the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000}" },
    { "observations", PARAM_STRING, false, "canonical tells each packet once, "
      "all tells every record; canonical is the default",
      "{\"enum\":[\"canonical\",\"all\"]}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_live[] = {
    {
        .name = "flow.subscribe",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "Flow records as they arrive: subscription.data with rows, "
                   "and how many that matched were skipped.",
        .params = subscribe_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"subscription\","
            "\"columns\",\"rate\"],\"properties\":{"
            "\"subscription\":{\"type\":\"integer\"},"
            "\"columns\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
            "\"rate\":{\"type\":\"integer\"}}}",
        .example_params =
            "{\"filter\":\"proto tcp and dst port 443\","
            "\"fields\":[\"src_addr\",\"bytes\"],\"rate\":50}",
        .example_result =
            "{\"subscription\":7,\"columns\":[{\"name\":\"src_addr\","
            "\"type\":\"address\",\"unit\":\"\"},{\"name\":\"bytes\","
            "\"type\":\"u64\",\"unit\":\"B\"}],\"rate\":50}",
        .call = flow_subscribe,
    },
    { .name = NULL }
};
