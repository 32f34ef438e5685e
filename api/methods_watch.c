/* api/methods_watch.c -- databases that tell of endpoints. */
#include <config.h>

#include "api/methods.h"

#include <stdlib.h>

#include "api/context.h"
#include "api/json.h"
#include "collector/identity/journal.h"
#include "ovsdb/watch.h"

#define MAX_SHOWN 256

struct ranks {
    struct watch_status *list;
    uint8_t rank[MAX_SHOWN];
    size_t n;
};

static void
read_ranks(void *aux, const struct identity *t)
{
    struct ranks *r = aux;
    for (size_t i = 0; i < r->n; i++) {
        r->rank[i] = identity_rank_of(t, r->list[i].source);
    }
}

static struct json_object *
source_json(const struct watch_status *s, uint8_t rank)
{
    struct json_object *o = json_object_new_object();
    struct json_object *counters = json_object_new_object();
    reply_string(o, "source", s->source);
    reply_uint(o, "trust", rank);
    reply_string(o, "remote", s->remote);
    reply_bool(o, "connected", s->connected);
    reply_time(o, "since", s->since_us);
    reply_string(o, "reason", *s->reason ? s->reason : NULL);
    reply_uint(o, "endpoints", s->endpoints);
#define X(NAME, DOC) reply_uint(counters, #NAME, s->n.NAME);
    WATCH_COUNTERS(X)
#undef X
    json_object_object_add(o, "counters", counters);
    return o;
}

static void
endpoint_databases(struct rpc_call *call, struct json_object *params)
{
    const struct api_context *x = rpc_context(call);
    struct json_object *list = json_object_new_array();
    struct json_object *o = json_object_new_object();
    struct ranks r = { calloc(MAX_SHOWN, sizeof *r.list), { 0 }, 0 };
    (void) params;
    if (r.list && x->watch) {
        r.n = ovsdb_watch_status(x->watch, r.list, MAX_SHOWN);
    }
    if (x->identities) {
        identity_journal_locked(x->identities, read_ranks, &r);
    }
    for (size_t i = 0; i < r.n; i++) {
        json_object_array_add(list, source_json(&r.list[i], r.rank[i]));
    }
    free(r.list);
    json_object_object_add(o, "databases", list);
    rpc_reply(call, o);
}

const struct rpc_method methods_watch[] = {
    {
        .name = "endpoint.databases",
        .role = ROLE_VIEWER,
        .summary = "The databases that tell of endpoints: whether they are "
                   "connected, how far they are trusted (less is more), and "
                   "what was wrong with what they say.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"databases\"],"
            "\"properties\":{\"databases\":{\"type\":\"array\",\"items\":"
            "{\"type\":\"object\",\"required\":[\"source\",\"trust\","
            "\"remote\",\"connected\",\"since\",\"reason\",\"endpoints\","
            "\"counters\"]}}}}",
        .example_params = "{}",
        .example_result =
            "{\"databases\":[{\"source\":\"ovn-sb\",\"trust\":120,"
            "\"remote\":\"tcp:192.0.2.1:6642\",\"connected\":true,"
            "\"since\":\"2026-11-23T08:00:00Z\",\"reason\":null,"
            "\"endpoints\":812,\"counters\":{\"events\":930,"
            "\"bad_address\":0,\"cut\":0,\"too_many\":0,\"refused\":0,"
            "\"gaps\":1}}]}",
        .call = endpoint_databases,
    },
    { .name = NULL }
};
