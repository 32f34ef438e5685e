#include <config.h>

#include "api/methods.h"

#include "api/context.h"
#include "collector/exporter/source_table.h"
#include "lib/addr.h"
#include "lib/column.h"
#include "lib/dict.h"
#include "lib/source.h"

#define MAX_LIST 1000

static const char *const origins[] = {
    [SAMPLING_NONE] = NULL, [SAMPLING_OPTIONS] = "options",
    [SAMPLING_HEADER] = "header", [SAMPLING_OVSDB] = "ovsdb",
    [SAMPLING_CONFIG] = "config",
};

/* The rate in effect: what the exporter says, else what OVSDB says. */
static void
reply_sampling(struct json_object *o, const struct source *s,
               const struct observation *obs)
{
    uint32_t rate = s->sampling;
    unsigned origin = s->sampling_origin;

    if (!rate && obs && obs->sampling) {
        rate = obs->sampling;
        origin = SAMPLING_OVSDB;
    }
    if (rate) {
        reply_uint(o, "sampling", rate);
    } else {
        json_object_object_add(o, "sampling", NULL);
    }
    reply_string(o, "sampling_origin",
                 rate && origin < sizeof origins / sizeof origins[0]
                 ? origins[origin] : NULL);
}

static struct json_object *
source_to_json(const struct api_context *c, const struct source *s)
{
    struct json_object *o = json_object_new_object();
    char buf[ADDR_STRLEN];
    const struct observation_map *map =
        c->observations ? *c->observations : NULL;
    const struct observation *obs = map ? observation_find_source(map, s)
                                        : NULL;

    reply_uint(o, "id", s->id);
    reply_string(o, "name", s->name && c->dict ? dict_text(c->dict, s->name)
                                               : NULL);
    reply_string(o, "exporter", addr_format(&s->key.exporter, buf));
    reply_string(o, "agent", addr_format(&s->key.agent, buf));
    reply_string(o, "protocol",
                 column_word_name(&columns[COL_export_protocol],
                                  s->key.protocol));
    reply_uint(o, "observation_domain_id", s->key.domain);
    reply_uint(o, "port", s->port);
    reply_uint(o, "session", s->key.session);
    reply_string(o, "bridge", obs && obs->bridge && c->dict
                 ? dict_text(c->dict, obs->bridge) : NULL);
    reply_time(o, "first_seen", s->first_us);
    reply_time(o, "last_seen", s->last_us);
    /* sFlow's header has no wall clock. */
    if (s->key.protocol == PROTO_SFLOW5) {
        json_object_object_add(o, "clock_skew_ms", NULL);
    } else {
        json_object_object_add(o, "clock_skew_ms",
                               json_object_new_int64(s->skew_us / 1000));
    }
    reply_sampling(o, s, obs);
    json_object_object_add(o, "counters",
                           reply_counters(&s->n, source_counter_defs));
    return o;
}

struct listing {
    const struct api_context *context;
    struct json_object *list;
    uint64_t skip, left, total;
    uint64_t id;                /* Of exporter.get; 0: all. */
};

static bool
list_source(struct source *s, void *l_)
{
    struct listing *l = l_;

    l->total++;
    if (l->id && s->id != l->id) {
        return true;
    }
    if (l->skip) {
        l->skip--;
    } else if (l->left) {
        l->left--;
        json_object_array_add(l->list, source_to_json(l->context, s));
    }
    return !(l->id && !l->left);
}

static uint64_t
number(struct json_object *params, const char *name, uint64_t fallback)
{
    struct json_object *v = NULL;

    return json_object_object_get_ex(params, name, &v)
           ? json_object_get_uint64(v) : fallback;
}

static void
exporter_list(struct rpc_call *call, struct json_object *params)
{
    struct api_context *c = rpc_context(call);
    struct listing l = {
        .context = c,
        .skip = number(params, "offset", 0),
        .left = number(params, "limit", MAX_LIST),
    };

    if (!c->sources) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "nothing is received: the "
                 "collector does not run");
        return;
    }
    l.list = json_object_new_array();
    source_table_each(c->sources, list_source, &l);
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "exporters", l.list);
    reply_uint(o, "total", l.total);
    rpc_reply(call, o);
}

static void
exporter_get(struct rpc_call *call, struct json_object *params)
{
    struct api_context *c = rpc_context(call);
    struct listing l = {
        .context = c, .left = 1, .id = number(params, "id", 0),
    };

    if (!c->sources) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "nothing is received: the "
                 "collector does not run");
        return;
    }
    l.list = json_object_new_array();
    source_table_each(c->sources, list_source, &l);
    struct json_object *found = json_object_array_get_idx(l.list, 0);
    if (found) {
        rpc_reply(call, json_object_get(found));
    } else {
        rpc_fail(call, RPC_NOT_FOUND, "id", "there is no exporter %llu; "
                 "exporter.list names them", (unsigned long long) l.id);
    }
    json_object_put(l.list);
}

#define SOURCE_SCHEMA                                                       \
    "{\"type\":\"object\",\"required\":[\"id\",\"exporter\",\"protocol\","  \
    "\"counters\"],\"properties\":{\"id\":{\"type\":\"integer\"},"          \
    "\"name\":{\"type\":[\"string\",\"null\"]},"                            \
    "\"exporter\":{\"type\":\"string\"},"                                   \
    "\"agent\":{\"type\":\"string\"},"                                      \
    "\"protocol\":{\"type\":[\"string\",\"null\"]},"                        \
    "\"observation_domain_id\":{\"type\":\"integer\"},"                     \
    "\"port\":{\"type\":\"integer\"},\"session\":{\"type\":\"integer\"},"   \
    "\"bridge\":{\"type\":[\"string\",\"null\"]},"                          \
    "\"first_seen\":{\"type\":[\"string\",\"null\"]},"                      \
    "\"last_seen\":{\"type\":[\"string\",\"null\"]},"                       \
    "\"clock_skew_ms\":{\"type\":[\"integer\",\"null\"]},"                  \
    "\"sampling\":{\"type\":[\"integer\",\"null\"]},"                       \
    "\"sampling_origin\":{\"enum\":[null,\"options\",\"header\",\"ovsdb\"," \
    "\"config\"]},"                                                         \
    "\"counters\":{\"type\":\"object\",\"additionalProperties\":"           \
    "{\"type\":\"integer\"}}}}"
#define SOURCE_EXAMPLE                                                      \
    "{\"id\":1,\"name\":\"edge-1\",\"exporter\":\"127.0.0.1\","             \
    "\"agent\":\"127.0.0.1\",\"session\":0,"                                \
    "\"protocol\":\"sflow5\",\"observation_domain_id\":0,\"port\":41234,"   \
    "\"bridge\":\"br-int\",\"first_seen\":\"2026-11-23T02:00:01Z\","        \
    "\"last_seen\":\"2026-11-23T03:00:00Z\",\"clock_skew_ms\":null,"         \
    "\"sampling\":64,"                                                      \
    "\"sampling_origin\":\"header\","                                       \
    "\"counters\":{\"datagrams\":1200,\"lost\":0}}"

static const struct rpc_param list_params[] = {
    { "limit", PARAM_INTEGER, false, "at most so many; 1000 is the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}" },
    { "offset", PARAM_INTEGER, false, "leave out so many first",
      "{\"type\":\"integer\",\"minimum\":0}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param get_params[] = {
    { "id", PARAM_INTEGER, true, "the id that exporter.list gave",
      "{\"type\":\"integer\",\"minimum\":1}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_exporter[] = {
    {
        .name = "exporter.list",
        .role = ROLE_VIEWER,
        .summary = "Who sends, per protocol and observation domain: what "
                   "came, what was lost, and the sampling rate.",
        .params = list_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"exporters\",\"total\"],"
            "\"properties\":{\"total\":{\"type\":\"integer\"},"
            "\"exporters\":{\"type\":\"array\",\"items\":" SOURCE_SCHEMA
            "}}}",
        .example_params = "{\"limit\":10}",
        .example_result =
            "{\"exporters\":[" SOURCE_EXAMPLE "],\"total\":1}",
        .call = exporter_list,
    }, {
        .name = "exporter.get",
        .role = ROLE_VIEWER,
        .summary = "One exporter.",
        .params = get_params,
        .result_schema = SOURCE_SCHEMA,
        .example_params = "{\"id\":1}",
        .example_result = SOURCE_EXAMPLE,
        .call = exporter_get,
    },
    { .name = NULL }
};
