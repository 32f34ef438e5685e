/* Subscriptions, roles and notes for the audit log, without a socket. */
#include <config.h>

#include "api/subscribe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/jsonrpc.h"
#include "api/methods.h"
#include "tests/unit/unit.h"

static struct rpc_subscription *subscribed[128];
static int n_subscribed, n_ended, n_writable;
static char got[1 << 16];
static size_t got_size, waiting;
static int n_got;

static void
on_ended(void *aux)
{
    (void) aux;
    n_ended++;
}

static void
on_writable(void *aux)
{
    (void) aux;
    n_writable++;
}

static const struct rpc_subscriber subscriber = { on_ended, on_writable };

static void
do_subscribe(struct rpc_call *call, struct json_object *params)
{
    struct json_object *more = json_object_new_object();

    (void) params;
    reply_string(more, "hello", "there");
    struct rpc_subscription *s = rpc_subscribe(call, &subscriber, NULL, more);
    if (s) {
        subscribed[n_subscribed++] = s;
    }
}

static void
do_change(struct rpc_call *call, struct json_object *params)
{
    rpc_audit(call, json_object_new_int(1), json_object_new_int(2));
    if (json_object_object_length(params)) {
        rpc_fail(call, RPC_FAILED, NULL, "not today");
    } else {
        rpc_reply(call, NULL);
    }
}

static void
do_nothing(struct rpc_call *call, struct json_object *params)
{
    (void) params;
    rpc_reply(call, NULL);
}

static const struct rpc_param change_params[] = {
    { "fail", PARAM_BOOLEAN, false, "doc", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

#define METHOD(NAME, ROLE, PARAMS, CALL)                                 \
    { .name = NAME, .role = ROLE, .summary = "s", .params = PARAMS,      \
      .result_schema = "{}", .example_result = "1", .call = CALL }

static const struct rpc_method table[] = {
    METHOD("subscribe", ROLE_VIEWER, NULL, do_subscribe),
    METHOD("anybody", ROLE_ANYBODY, NULL, do_nothing),
    METHOD("viewer", ROLE_VIEWER, NULL, do_nothing),
    METHOD("operator", ROLE_OPERATOR, change_params, do_change),
    METHOD("orchestrator", ROLE_ORCHESTRATOR, NULL, do_nothing),
    METHOD("admin", ROLE_ADMIN, NULL, do_nothing),
    { .name = NULL }
};
static const struct rpc_method *const tables[] = {
    table, methods_subscription, NULL
};

static void
on_send(void *aux, const char *text, size_t n)
{
    (void) aux;
    n_got++;
    got_size = n < sizeof got ? n : sizeof got - 1;
    memcpy(got, text, got_size);
    got[got_size] = '\0';
}

static size_t
on_queued(void *aux)
{
    (void) aux;
    return waiting;
}

static const struct rpc_transport two_way = {
    .send = on_send, .queued = on_queued,
};
static const struct rpc_transport one_way = { .send = on_send };

static struct rpc_core *core;
static struct rpc_peer *peer;

static void
begin(const struct rpc_transport *transport, enum api_role role)
{
    struct rpc_caller caller = { .role = role, .name = "user eve",
                                 .from = "somewhere", .transport = "test" };

    core = rpc_core_create(tables, &json_default_limits, NULL, NULL);
    peer = rpc_peer_create(core, transport, NULL, &caller);
    n_subscribed = n_ended = n_writable = n_got = 0;
    waiting = 0;
}

static void
end(void)
{
    rpc_peer_destroy(peer);
    rpc_core_unref(core);
}

static const char *
ask(const char *method, const char *params)
{
    char text[256];
    int n = snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,"
                     "\"method\":\"%s\",\"params\":%s}", method, params);

    got[0] = '\0';
    rpc_peer_text(peer, text, (size_t) n, false);
    return got;
}

static void
test_news(void)
{
    begin(&two_way, ROLE_VIEWER);
    CU_ASSERT_PTR_NOT_NULL(strstr(ask("subscribe", "{}"), "\"result\":{"
                                  "\"hello\":\"there\",\"subscription\":1}"));
    CU_ASSERT_EQUAL_FATAL(n_subscribed, 1);
    CU_ASSERT_EQUAL(rpc_notify_text(subscribed[0], "{\"a\":1}"), 0);
    CU_ASSERT_STRING_EQUAL(got, "{\"jsonrpc\":\"2.0\",\"method\":"
                           "\"subscription.data\",\"params\":{"
                           "\"subscription\":1,\"sequence\":1,\"result\":"
                           "{\"a\":1}}}");
    CU_ASSERT_PTR_NOT_NULL(strstr(ask("subscription.list", "{}"),
                                  "{\"subscription\":1,\"method\":"
                                  "\"subscribe\",\"sent\":1,\"dropped\":0}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(ask("subscription.cancel",
                                      "{\"subscription\":2}"), "-32004"));
    CU_ASSERT_EQUAL(n_ended, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(ask("subscription.cancel",
                                      "{\"subscription\":1}"),
                                  "\"sent\":1,\"dropped\":0"));
    CU_ASSERT_EQUAL(n_ended, 1);
    CU_ASSERT_EQUAL(rpc_peer_subscriptions(peer), 0);
    end();
    CU_ASSERT_EQUAL(n_ended, 1);
}

static void
test_slow(void)
{
    begin(&two_way, ROLE_VIEWER);
    ask("subscribe", "{}");
    waiting = RPC_NOTIFY_ROOM;
    CU_ASSERT_FALSE(rpc_subscription_ready(subscribed[0]));
    n_got = 0;
    for (int i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(rpc_notify(subscribed[0], json_object_new_int(i)),
                        -EAGAIN);
    }
    CU_ASSERT_EQUAL(n_got, 0);
    rpc_peer_drained(peer);
    CU_ASSERT_EQUAL(n_writable, 0);
    waiting = 0;
    rpc_peer_drained(peer);
    rpc_peer_drained(peer);
    CU_ASSERT_EQUAL(n_writable, 1);
    CU_ASSERT_EQUAL(rpc_notify(subscribed[0], json_object_new_int(7)), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "\"sequence\":1,\"dropped\":3,"
                                       "\"result\":7"));
    CU_ASSERT_EQUAL(rpc_notify(subscribed[0], json_object_new_int(8)), 0);
    CU_ASSERT_PTR_NULL(strstr(got, "dropped"));
    CU_ASSERT_EQUAL(counter_get(&rpc_core_counters(core)->news_dropped), 3);
    rpc_unsubscribe(subscribed[0], "the \"end\"");
    CU_ASSERT_PTR_NOT_NULL(strstr(got, "\"subscription.end\",\"params\":{"
                                  "\"subscription\":1,\"reason\":"
                                  "\"the \\\"end\\\"\"}"));
    end();
    CU_ASSERT_EQUAL(n_ended, 0);
}

static void
test_bounds(void)
{
    begin(&one_way, ROLE_VIEWER);
    CU_ASSERT_PTR_NOT_NULL(strstr(ask("subscribe", "{}"), "-32005"));
    CU_ASSERT_EQUAL(n_subscribed, 0);
    end();

    begin(&two_way, ROLE_VIEWER);
    for (int i = 0; i < RPC_MAX_SUBSCRIPTIONS; i++) {
        ask("subscribe", "{}");
    }
    CU_ASSERT_EQUAL(n_subscribed, RPC_MAX_SUBSCRIPTIONS);
    CU_ASSERT_PTR_NOT_NULL(strstr(ask("subscribe", "{}"), "-32001"));
    end();
    CU_ASSERT_EQUAL(n_ended, RPC_MAX_SUBSCRIPTIONS);
}

static void
test_roles(void)
{
    static const char *const methods[] = { "viewer", "operator",
                                           "orchestrator", "admin",
                                           "anybody" };
    static const char *const may[N_ROLES] = {
        [ROLE_VIEWER] = "10001", [ROLE_OPERATOR] = "11001",
        [ROLE_ORCHESTRATOR] = "10101", [ROLE_ADMIN] = "11111",
        [ROLE_ANYBODY] = "00001",
    };

    for (int role = 0; role < N_ROLES; role++) {
        unsigned refused = 0;
        begin(&two_way, (enum api_role) role);
        for (int i = 0; i < 5; i++) {
            const char *answer = ask(methods[i], "{}");
            if (may[role][i] == '1') {
                CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"result\""));
            } else {
                refused++;
                CU_ASSERT_PTR_NOT_NULL(strstr(answer, role == ROLE_ANYBODY
                                              ? "-32009" : "-32008"));
            }
        }
        CU_ASSERT_EQUAL(counter_get(&rpc_core_counters(core)->forbidden),
                        refused);
        end();
        CU_ASSERT_EQUAL(role == ROLE_ANYBODY ? -1 : role,
                        role_find(role_name((enum api_role) role)));
    }
}

static char noted[512];

static void
on_audit(void *aux, const struct rpc_audit_entry *e)
{
    (void) aux;
    snprintf(noted, sizeof noted, "%s %s %s %d %s %s>%s", e->caller->name,
             e->method->name, json_object_to_json_string_ext(e->params, 0),
             e->code, e->message ? e->message : "-",
             json_object_get_string(e->before),
             json_object_get_string(e->after));
}

static void
test_audit(void)
{
    begin(&two_way, ROLE_OPERATOR);
    rpc_core_set_audit(core, on_audit, NULL);
    ask("viewer", "{}");
    ask("anybody", "{}");
    CU_ASSERT_STRING_EQUAL(noted, "");
    ask("operator", "{}");
    CU_ASSERT_STRING_EQUAL(noted, "user eve operator {} 0 - 1>2");
    ask("operator", "{\"fail\":true}");
    CU_ASSERT_STRING_EQUAL(noted, "user eve operator {\"fail\":true} -32007 "
                           "not today 1>2");
    ask("admin", "{}");
    CU_ASSERT_PTR_NOT_NULL(strstr(noted, "user eve admin {} -32008"));
    end();
}

UNIT_MAIN("subscribe", UNIT_TEST(test_news), UNIT_TEST(test_slow),
          UNIT_TEST(test_bounds), UNIT_TEST(test_roles),
          UNIT_TEST(test_audit))
