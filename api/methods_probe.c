/* api/methods_probe.c -- probes on Linux bridges. */
#include <config.h>

#include "api/methods.h"

#include "api/context.h"
#include "lib/clock.h"
#include "probe/probe.h"

static struct json_object *
slot_to_json(const struct probe_slot *s, int64_t now_ms)
{
    struct json_object *o = json_object_new_object();

    reply_string(o, "interface", s->name);
    reply_uint(o, "ifindex", s->ifindex);
    reply_string(o, "kind", s->bridge ? "bridge" : "interface");
    reply_string(o, "state", probe_state_name(s->state));
    reply_string(o, "reason", s->reason[0] && s->state != PROBE_RUNNING
                              ? s->reason : NULL);
    if (s->pid) {
        reply_int(o, "pid", s->pid);
        reply_int(o, "running_s", (now_ms - s->started_ms) / 1000);
    } else {
        json_object_object_add(o, "pid", NULL);
        json_object_object_add(o, "running_s", NULL);
    }
    reply_uint(o, "starts", s->starts);
    return o;
}

struct json_object *
reply_probes(const struct api_context *c)
{
    const struct probe_table *t = c->probe ? probe_table(c->probe) : NULL;
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; t && i < t->n; i++) {
        json_object_array_add(list, slot_to_json(&t->slots[i],
                                                 clock_mono_ms()));
    }
    return list;
}

static void
probe_status(struct rpc_call *call, struct json_object *params)
{
    const struct api_context *c = rpc_context(call);
    struct json_object *o = json_object_new_object();

    (void) params;
    json_object_object_add(o, "probes", reply_probes(c));
    reply_uint(o, "refused", c->probe ? probe_table(c->probe)->n_refused : 0);
    reply_string(o, "error", c->probe ? probe_error(c->probe) : NULL);
    rpc_reply(call, o);
}

#define INTEGER_OR_NULL "{\"type\":[\"integer\",\"null\"]}"

const struct rpc_method methods_probe[] = {
    {
        .name = "probe.status",
        .role = ROLE_VIEWER,
        .summary = "The softflowd of each Linux bridge: does it run, and if "
                   "not, why.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"probes\",\"refused\","
            "\"error\"],\"properties\":{"
            "\"refused\":{\"type\":\"integer\"},"
            "\"error\":{\"type\":[\"string\",\"null\"]},"
            "\"probes\":{\"type\":\"array\",\"items\":{"
            "\"type\":\"object\",\"required\":[\"interface\",\"state\"],"
            "\"properties\":{\"interface\":{\"type\":\"string\"},"
            "\"ifindex\":{\"type\":\"integer\"},"
            "\"kind\":{\"enum\":[\"bridge\",\"interface\"]},"
            "\"state\":{\"enum\":[\"down\",\"starting\",\"running\","
            "\"failed\",\"stopping\"]},"
            "\"reason\":{\"type\":[\"string\",\"null\"]},"
            "\"pid\":" INTEGER_OR_NULL ",\"running_s\":" INTEGER_OR_NULL ","
            "\"starts\":{\"type\":\"integer\"}}}}}}",
        .example_result =
            "{\"probes\":[{\"interface\":\"virbr0\",\"ifindex\":4,"
            "\"kind\":\"bridge\",\"state\":\"running\",\"reason\":null,"
            "\"pid\":4712,\"running_s\":3600,\"starts\":1}],"
            "\"refused\":0,\"error\":null}",
        .call = probe_status,
    },
    { .name = NULL }
};
