/* What happened: event.list, event.subscribe, event.kinds. */
#include <config.h>

#include "api/events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/context.h"
#include "api/json.h"
#include "api/methods.h"
#include "api/subscribe.h"
#include "collector/event/journal.h"
#include "lib/clock.h"

#define DEFAULT_LIMIT 100
#define MESSAGE_SIZE 65536      /* About; of one notification. */

/* One subscriber. */
struct listener {
    struct events *events;
    struct listener *next, **prev;
    struct rpc_subscription *subscription;
    struct event_filter filter;
    uint64_t id;                /* Told, or looked at, up to here. */
    uint64_t skipped;           /* Not yet told. */
};

struct events {
    struct event_journal *journal;
    struct listener *listeners;
};

static void
listener_destroy(struct listener *l)
{
    if (l->prev) {
        *l->prev = l->next;
        if (l->next) {
            l->next->prev = l->prev;
        }
    }
    event_filter_clear(&l->filter);
    free(l);
}

static void
on_ended(void *listener)
{
    listener_destroy(listener);
}

struct events *
events_create(struct event_journal *journal)
{
    struct events *e = calloc(1, sizeof *e);
    if (e) {
        e->journal = journal;
    }
    return e;
}

void
events_destroy(struct events *e)
{
    while (e && e->listeners) {
        struct listener *l = e->listeners;
        rpc_unsubscribe(l->subscription, "venturid stops");
        listener_destroy(l);
    }
    free(e);
}

struct event_journal *
events_journal(const struct events *e)
{
    return e->journal;
}

/* ---- News. ---- */

struct writing {
    const struct event_filter *filter;
    FILE *f;
    size_t n;
};

static bool
write_event(void *writing, const struct event_record *r)
{
    struct writing *w = writing;

    if (event_filter_match(w->filter, r)) {
        fputs(w->n++ ? "," : "", w->f);
        event_record_put(w->f, r);
    }
    return ftell(w->f) < MESSAGE_SIZE;
}

/* One message of what there is. */
static void
send_events(struct listener *l)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    struct writing w = { &l->filter, f, 0 };

    if (!f) {
        return;
    }
    fputs("{\"events\":[", f);
    event_journal_recent(l->events->journal, &l->id, &l->skipped,
                         write_event, &w);
    fprintf(f, "],\"skipped\":%" PRIu64 "}", l->skipped);
    bool any = w.n || l->skipped;
    if (fclose(f) || (any && rpc_notify_text(l->subscription, text))) {
        l->skipped += w.n;
    } else if (any) {
        l->skipped = 0;
    }
    free(text);
}

bool
events_deliver(struct events *e)
{
    uint64_t newest = event_journal_newest(e->journal);
    bool again = false;

    for (struct listener *l = e->listeners; l; l = l->next) {
        while (l->id < newest && rpc_subscription_ready(l->subscription)) {
            send_events(l);
        }
        again |= l->id < newest;
    }
    return again;
}

/* ---- Parameters. ---- */

static struct event_journal *
journal_of(struct rpc_call *call)
{
    struct events *e = rpc_context(call)->events;
    if (!e) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no events are kept");
    }
    return e ? e->journal : NULL;
}

/* A pattern as it stands in JSON. */
static char *
escaped(const char *pattern)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (f) {
        event_put_escaped(f, pattern, SIZE_MAX);
        fclose(f);
    }
    return text;
}

static bool
read_kinds(struct rpc_call *call, struct json_object *list,
           struct event_filter *f)
{
    size_t n = list ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < n; i++) {
        const char *kind = json_object_get_string(
            json_object_array_get_idx(list, i));
        char where[32];
        snprintf(where, sizeof where, "kinds[%zu]", i);
        if (i == EVENT_FILTER_KINDS || !kind || !event_kind_known(kind)) {
            rpc_fail(call, RPC_INVALID_PARAMS, where,
                     i == EVENT_FILTER_KINDS ? "at most 32 kinds, not %.60s"
                     : "there is no kind of event \"%.60s\"; event.kinds "
                     "lists them", kind ? kind : "null");
            return false;
        }
        f->kinds[f->n_kinds] = strdup(kind);
        if (!f->kinds[f->n_kinds]) {
            rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
            return false;
        }
        f->n_kinds++;
    }
    return true;
}

/* False: the call has been answered, and the filter is clear. */
static bool
read_filter(struct rpc_call *call, struct json_object *params,
            struct event_filter *f)
{
    const char *subject = json_text(params, "subject");
    const char *severity = json_text(params, "severity");
    int64_t now = clock_wall_us();

    *f = (struct event_filter) { 0 };
    if (severity) {
        event_severity_find(severity, &f->severity);    /* It is one. */
    }
    if (json_text(params, "from")) {
        time_parse_us(json_text(params, "from"), now, &f->from_us);
    }
    if (json_text(params, "to")) {
        time_parse_us(json_text(params, "to"), now, &f->to_us);
    }
    if (subject && !(f->subject = escaped(subject))) {
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        return false;
    } else if (!read_kinds(call, json_member(params, "kinds"), f)) {
        event_filter_clear(f);
        return false;
    }
    return true;
}

/* ---- event.list ---- */

static void
list_event(void *writing, const struct event_record *r)
{
    struct writing *w = writing;
    fputs(w->n++ ? "," : "", w->f);
    event_record_put(w->f, r);
}

static void
event_list(struct rpc_call *call, struct json_object *params)
{
    struct event_journal *j = journal_of(call);
    struct json_object *limit = json_member(params, "limit");
    struct json_object *before = json_member(params, "before");
    struct event_filter filter;
    char *text = NULL;
    size_t size;

    if (!j || !read_filter(call, params, &filter)) {
        return;
    }
    FILE *f = open_memstream(&text, &size);
    struct writing w = { &filter, f, 0 };
    uint64_t next = 0;
    if (f) {
        fputs("{\"events\":[", f);
        next = event_journal_list(
            j, &filter, before ? json_object_get_uint64(before) : 0,
            limit ? (size_t) json_object_get_int64(limit) : DEFAULT_LIMIT,
            list_event, &w);
        fputs("],\"next\":", f);
        fprintf(f, next ? "%" PRIu64 "}" : "null}", next);
        fclose(f);
    }
    event_filter_clear(&filter);
    if (text) {
        rpc_reply_text(call, text);
    } else {
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
    }
}

/* ---- event.subscribe ---- */

static void
event_subscribe(struct rpc_call *call, struct json_object *params)
{
    static const struct rpc_subscriber subscriber = { .ended = on_ended };
    struct events *e = rpc_context(call)->events;
    struct event_journal *j = journal_of(call);
    struct json_object *after = json_member(params, "after");
    struct event_filter filter;

    if (!j || !read_filter(call, params, &filter)) {
        return;
    }
    struct listener *l = calloc(1, sizeof *l);
    if (!l) {
        event_filter_clear(&filter);
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        return;
    }
    uint64_t newest = event_journal_newest(j);
    l->events = e;
    l->filter = filter;
    l->id = after ? json_object_get_uint64(after) : newest;
    l->id = l->id > newest ? newest : l->id;
    struct json_object *reply = json_object_new_object();
    reply_uint(reply, "newest", newest);
    l->subscription = rpc_subscribe(call, &subscriber, l, reply);
    if (!l->subscription) {
        listener_destroy(l);
        return;
    }
    l->next = e->listeners;
    l->prev = &e->listeners;
    if (l->next) {
        l->next->prev = &l->next;
    }
    e->listeners = l;
    while (l->id < newest && rpc_subscription_ready(l->subscription)) {
        send_events(l);
    }
}

/* ---- event.kinds ---- */

static void
event_kinds_list(struct rpc_call *call, struct json_object *params)
{
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();

    (void) params;
    for (int i = 0; i < N_EVENT_KINDS; i++) {
        struct json_object *k = json_object_new_object();
        reply_string(k, "kind", event_kinds[i].name);
        reply_string(k, "severity",
                     event_severity_name(event_kinds[i].severity));
        reply_string(k, "description", event_kinds[i].doc);
        json_object_array_add(list, k);
    }
    json_object_object_add(o, "kinds", list);
    rpc_reply(call, o);
}

#define SEVERITIES                                                      \
    "{\"enum\":[\"info\",\"notice\",\"warning\",\"error\",\"critical\"]}"
#define EVENT_SCHEMA                                                    \
    "{\"type\":\"object\",\"required\":[\"id\",\"time\",\"kind\","      \
    "\"severity\",\"subject\",\"message\",\"detail\"],\"properties\":{" \
    "\"id\":{\"type\":\"integer\"},\"time\":{\"type\":\"string\"},"     \
    "\"kind\":{\"type\":\"string\"},\"severity\":" SEVERITIES ","       \
    "\"subject\":{\"type\":\"string\"},"                                \
    "\"message\":{\"type\":\"string\"},"                                \
    "\"detail\":{\"type\":\"object\"}}}"
#define EVENT_EXAMPLE                                                   \
    "{\"id\":1041,\"time\":\"2026-11-23T09:12:44.120312Z\","            \
    "\"kind\":\"exporter.silent\",\"severity\":\"warning\","            \
    "\"subject\":\"192.0.2.7\",\"message\":\"nothing comes from "       \
    "192.0.2.7 (IPFIX) any more\",\"detail\":{\"protocol\":\"ipfix\","  \
    "\"last\":\"2026-11-23T09:07:43.902114Z\"}}"
#define FILTER_PARAMS                                                   \
    { "kinds", PARAM_ARRAY, false, "only these, such as exporter.new or " \
      "export.*; event.kinds lists them",                               \
      "{\"type\":\"array\",\"items\":{\"type\":\"string\"},"            \
      "\"maxItems\":32}" },                                             \
    { "subject", PARAM_STRING, false, "only about this: an address, a " \
      "bridge, a rule; with * and ? as in a shell",                     \
      "{\"type\":\"string\",\"maxLength\":255}" },                      \
    { "severity", PARAM_STRING, false, "only this severe or worse",     \
      SEVERITIES }

static const struct rpc_param list_params[] = {
    FILTER_PARAMS,
    { "from", PARAM_TIME, false, "only what happened then or later", NULL },
    { "to", PARAM_TIME, false, "and before then", NULL },
    { "limit", PARAM_INTEGER, false, "so many at most; 100 is the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}" },
    { "before", PARAM_INTEGER, false, "only those with a number below this: "
      "\"next\" of the page before",
      "{\"type\":\"integer\",\"minimum\":1}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param subscribe_params[] = {
    FILTER_PARAMS,
    { "after", PARAM_INTEGER, false, "begin with those after this number, as "
      "far as they are in memory (4096); only new ones is the default",
      "{\"type\":\"integer\",\"minimum\":0}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_event[] = {
    {
        .name = "event.list",
        .role = ROLE_VIEWER,
        .summary = "What happened, the newest first, page by page: a page may "
                   "be short and still have a next one.",
        .params = list_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"events\",\"next\"],"
            "\"properties\":{\"events\":{\"type\":\"array\",\"items\":"
            EVENT_SCHEMA "},\"next\":{\"type\":[\"integer\",\"null\"]}}}",
        .example_params =
            "{\"kinds\":[\"exporter.*\"],\"from\":\"-24h\",\"limit\":20}",
        .example_result =
            "{\"events\":[" EVENT_EXAMPLE "],\"next\":null}",
        .call = event_list,
    }, {
        .name = "event.subscribe",
        .role = ROLE_VIEWER,
        .summary = "What happens, as it happens: subscription.data with "
                   "events, and how many could not be told.",
        .params = subscribe_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"subscription\","
            "\"newest\"],\"properties\":{"
            "\"subscription\":{\"type\":\"integer\"},"
            "\"newest\":{\"type\":\"integer\"}}}",
        .example_params =
            "{\"kinds\":[\"alert.*\"],\"severity\":\"warning\"}",
        .example_result = "{\"subscription\":7,\"newest\":1041}",
        .call = event_subscribe,
    }, {
        .name = "event.kinds",
        .role = ROLE_VIEWER,
        .summary = "The kinds of events that there are.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"kinds\"],\"properties\":{"
            "\"kinds\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"required\":[\"kind\",\"severity\",\"description\"],"
            "\"properties\":{\"kind\":{\"type\":\"string\"},"
            "\"severity\":" SEVERITIES ","
            "\"description\":{\"type\":\"string\"}}}}}}",
        .example_result =
            "{\"kinds\":[{\"kind\":\"exporter.silent\","
            "\"severity\":\"warning\",\"description\":\"an exporter that used "
            "to send sends no more\"}]}",
        .call = event_kinds_list,
    },
    { .name = NULL }
};
