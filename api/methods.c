#include <config.h>

#include "api/methods.h"

#include <stdio.h>

#include "collector/filter/filter.h"
#include "lib/clock.h"

const struct rpc_method *const method_tables[] = {
    methods_system, methods_doctor, methods_config, methods_session,
    methods_exporter, methods_counters, methods_flow, methods_import,
    methods_data, methods_live, methods_event, methods_alert,
    methods_subscription, methods_profile,
    methods_export, methods_policy, methods_probe, methods_endpoint,
    methods_watch, methods_bgp, methods_route, methods_route_history,
    methods_route_import,
    NULL
};

void
reply_filter_error(struct rpc_call *call, const struct filter_error *e)
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

struct json_object *
reply_counters(const void *counters, const struct counter_def *defs)
{
    struct json_object *o = json_object_new_object();

    for (; defs->name; defs++) {
        reply_uint(o, defs->name, counter_at(counters, defs));
    }
    return o;
}
