#include <config.h>

#include "api/subscribe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/jsonrpc_p.h"
#include "api/methods.h"

struct rpc_subscription {
    struct rpc_peer *peer;
    struct rpc_subscription *next, **prev;      /* In 'peer'. */
    const struct rpc_method *method;
    const struct rpc_subscriber *subscriber;
    void *aux;
    uint64_t id, sequence;
    uint64_t dropped;           /* Since the last one that was sent. */
    uint64_t dropped_total;
    bool wants;                 /* To hear when there is room. */
};

static void
subscription_free(struct rpc_subscription *s)
{
    *s->prev = s->next;
    if (s->next) {
        s->next->prev = s->prev;
    }
    s->peer->n_subscriptions--;
    free(s);
}

struct rpc_subscription *
rpc_subscribe(struct rpc_call *call, const struct rpc_subscriber *subscriber,
              void *aux, struct json_object *more)
{
    struct rpc_peer *peer = call->peer;
    struct json_object *reply = more ? more : json_object_new_object();
    struct rpc_subscription *s = NULL;

    if (!peer || !call->id || !peer->transport->queued) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "this connection cannot be sent "
                 "anything later: subscribe over the unix socket, TCP or "
                 "WebSocket");
    } else if (peer->n_subscriptions >= RPC_MAX_SUBSCRIPTIONS) {
        rpc_fail(call, RPC_BUSY, NULL, "a connection can have %d "
                 "subscriptions", RPC_MAX_SUBSCRIPTIONS);
    } else if (!(s = calloc(1, sizeof *s))) {
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
    }
    if (!s) {
        json_object_put(reply);
        return NULL;
    }
    s->peer = peer;
    s->method = call->method;
    s->subscriber = subscriber;
    s->aux = aux;
    s->id = ++call->core->last_subscription;
    s->next = peer->subscriptions;
    s->prev = &peer->subscriptions;
    if (s->next) {
        s->next->prev = &s->next;
    }
    peer->subscriptions = s;
    peer->n_subscriptions++;
    counter_inc(&call->core->n.subscriptions);
    reply_uint(reply, "subscription", s->id);
    rpc_reply(call, reply);
    return s;
}

static size_t
queued(const struct rpc_peer *peer)
{
    return peer->transport->queued(peer->aux);
}

bool
rpc_subscription_ready(const struct rpc_subscription *s)
{
    return queued(s->peer) < RPC_NOTIFY_ROOM;
}

uint64_t
rpc_subscription_id(const struct rpc_subscription *s)
{
    return s->id;
}

static int
deliver(struct rpc_subscription *s, char *text, int n)
{
    if (n < 0) {
        return -ENOMEM;
    }
    if (s->peer->big_as_text) {
        text = quote_big(text);
        if (!text) {
            return -ENOMEM;
        }
        n = (int) strlen(text);
    }
    clean_utf8(text, (size_t) n);
    s->peer->transport->send(s->peer->aux, text, (size_t) n);
    free(text);
    return 0;
}

int
rpc_notify_text(struct rpc_subscription *s, const char *result)
{
    struct rpc_core *core = s->peer->core;
    char dropped[40] = "", *text;

    if (!rpc_subscription_ready(s)) {
        s->dropped++;
        s->dropped_total++;
        s->wants = true;
        counter_inc(&core->n.news_dropped);
        return -EAGAIN;
    }
    if (s->dropped) {
        snprintf(dropped, sizeof dropped, "\"dropped\":%" PRIu64 ",",
                 s->dropped);
        s->dropped = 0;
    }
    counter_inc(&core->n.news_sent);
    s->sequence++;
    int n = asprintf(&text, "{\"jsonrpc\":\"2.0\",\"method\":"
                     "\"subscription.data\",\"params\":{\"subscription\":%"
                     PRIu64 ",\"sequence\":%" PRIu64 ",%s\"result\":%s}}",
                     s->id, s->sequence, dropped, result);
    return deliver(s, text, n);
}

int
rpc_notify(struct rpc_subscription *s, struct json_object *result)
{
    int err = rpc_notify_text(s, json_object_to_json_string_ext(
                                  result, JSON_C_TO_STRING_PLAIN
                                  | JSON_C_TO_STRING_NOSLASHESCAPE));

    json_object_put(result);
    return err;
}

static void
tell_end(struct rpc_subscription *s, const char *reason)
{
    struct json_object *why = json_object_new_string(reason ? reason : "");
    char *text;
    int n = asprintf(&text, "{\"jsonrpc\":\"2.0\",\"method\":"
                     "\"subscription.end\",\"params\":{\"subscription\":%"
                     PRIu64 ",\"reason\":%s}}", s->id,
                     json_object_to_json_string_ext(
                         why, JSON_C_TO_STRING_PLAIN));
    json_object_put(why);
    deliver(s, text, n);
}

void
rpc_unsubscribe(struct rpc_subscription *s, const char *reason)
{
    if (s) {
        tell_end(s, reason);
        subscription_free(s);
    }
}

/* It is over, and not by the subscriber's will. */
static void
end(struct rpc_subscription *s)
{
    const struct rpc_subscriber *subscriber = s->subscriber;
    void *aux = s->aux;

    subscription_free(s);
    subscriber->ended(aux);
}

void
subscriptions_end(struct rpc_peer *peer)
{
    while (peer->subscriptions) {
        end(peer->subscriptions);
    }
}

void
subscriptions_forbid(struct rpc_peer *peer)
{
    while (peer->subscriptions) {
        tell_end(peer->subscriptions, "who asked for it may no more");
        end(peer->subscriptions);
    }
}

void
rpc_peer_drained(struct rpc_peer *peer)
{
    struct rpc_subscription *s = peer->subscriptions;

    /* Whoever is called may end its own subscription, no other. */
    while (s && queued(peer) < RPC_NOTIFY_ROOM) {
        struct rpc_subscription *next = s->next;
        if (s->wants) {
            s->wants = false;
            if (s->subscriber->writable) {
                s->subscriber->writable(s->aux);
            }
        }
        s = next;
    }
}

unsigned
rpc_peer_subscriptions(const struct rpc_peer *peer)
{
    return peer->n_subscriptions;
}

/* Methods. */

static void
subscription_cancel(struct rpc_call *call, struct json_object *params)
{
    struct json_object *v = NULL;
    struct rpc_subscription *s = call->peer ? call->peer->subscriptions : NULL;

    json_object_object_get_ex(params, "subscription", &v);
    uint64_t id = json_object_get_uint64(v);
    while (s && s->id != id) {
        s = s->next;
    }
    if (!s) {
        rpc_fail(call, RPC_NOT_FOUND, "subscription", "this connection has no "
                 "subscription %" PRIu64, id);
        return;
    }
    struct json_object *o = json_object_new_object();
    reply_uint(o, "subscription", id);
    reply_uint(o, "sent", s->sequence);
    reply_uint(o, "dropped", s->dropped_total);
    end(s);
    rpc_reply(call, o);
}

static void
subscription_list(struct rpc_call *call, struct json_object *params)
{
    struct json_object *list = json_object_new_array();
    struct json_object *o = json_object_new_object();

    (void) params;
    for (struct rpc_subscription *s = call->peer ? call->peer->subscriptions
                                                 : NULL; s; s = s->next) {
        struct json_object *row = json_object_new_object();
        reply_uint(row, "subscription", s->id);
        reply_string(row, "method", s->method->name);
        reply_uint(row, "sent", s->sequence);
        reply_uint(row, "dropped", s->dropped_total);
        json_object_array_add(list, row);
    }
    json_object_object_add(o, "subscriptions", list);
    rpc_reply(call, o);
}

#define COUNTS                                                          \
    "\"subscription\":{\"type\":\"integer\"},"                          \
    "\"sent\":{\"type\":\"integer\"},\"dropped\":{\"type\":\"integer\"}"

static const struct rpc_param cancel_params[] = {
    { "subscription", PARAM_INTEGER, true,
      "what the subscribing method answered with",
      "{\"type\":\"integer\",\"minimum\":0}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_subscription[] = {
    {
        .name = "subscription.cancel",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "Ends a subscription of this connection.",
        .params = cancel_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"subscription\",\"sent\","
            "\"dropped\"],\"properties\":{" COUNTS "}}",
        .example_params = "{\"subscription\":1}",
        .example_result = "{\"subscription\":1,\"sent\":42,\"dropped\":0}",
        .call = subscription_cancel,
    }, {
        .name = "subscription.list",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "The subscriptions of this connection.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"subscriptions\"],"
            "\"properties\":{\"subscriptions\":{\"type\":\"array\","
            "\"items\":{\"type\":\"object\",\"required\":[\"subscription\","
            "\"method\",\"sent\",\"dropped\"],\"properties\":{"
            "\"method\":{\"type\":\"string\"}," COUNTS "}}}}}",
        .example_result =
            "{\"subscriptions\":[{\"subscription\":1,\"method\":"
            "\"flow.subscribe\",\"sent\":42,\"dropped\":0}]}",
        .call = subscription_list,
    },
    { .name = NULL }
};
