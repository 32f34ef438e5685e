#include <config.h>

#include "api/methods.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/context.h"
#include "api/json.h"
#include "api/route_json.h"
#include "bgp/attribute.h"
#include "bgp/attrs.h"
#include "bgp/rib.h"
#include "lib/addr.h"
#include "lib/column.h"

/* route.lookup and route.table: what the RIB knows. */

#define MAX_ROUTES 1000
#define DEFAULT_ROUTES 100
/* Routes that one call looks at: some milliseconds.  A filter that picks few of
 * many needs several calls. */
#define MAX_STEPS 20000

/* ---- A route as JSON. ---- */

static struct json_object *
route_to_json(const struct rib_route *r)
{
    struct json_object *o = json_object_new_object();
    struct bgp_attrs a;
    struct attrs_extra extra;
    char text[PREFIX_STRLEN];

    attrs_unpack(r->attrs, &a, &extra);
    reply_string(o, "prefix", prefix_format(&r->nlri.prefix, text));
    reply_string(o, "family", bgp_family_name(r->nlri.family));
    reply_string(o, "peer", r->peer->name);
    reply_address(o, "peer_address", &r->peer->info.address);
    reply_uint(o, "peer_as", r->peer->info.as);
    reply_bool(o, "best", r->best);
    reply_bool(o, "stale", r->stale);
    route_put_nlri(o, &r->nlri);
    route_put_attrs(o, r->attrs, &a);
    return o;
}

/* ---- What is asked. ---- */

struct answer {
    struct rib_query query;
    struct rib_cursor at;
    struct json_object *list;
    uint64_t left;
    uint32_t as;                /* Origin; 0: any. */
    bool has_as, best_only;
};

static bool
add_route(void *answer_, const struct rib_route *r)
{
    struct answer *a = answer_;
    if ((a->has_as && r->attrs->origin_as != a->as)
        || (a->best_only && !r->best)) {
        return true;
    }
    if (!a->left) {
        return false;
    }
    a->left--;
    json_object_array_add(a->list, route_to_json(r));
    return true;
}

/* The peer by name or address.  False after an answer. */
static bool
read_peer(struct rpc_call *call, struct json_object *params,
          const struct rib *rib, struct answer *a)
{
    struct json_object *v = json_member(params, "peer");
    const char *name = v ? json_object_get_string(v) : NULL;
    struct addr addr;
    a->query.peer = RIB_NO_PEER;
    if (!name) {
        return true;
    }
    bool is_address = !addr_parse(name, &addr);
    for (uint32_t i = 0; i < rib_n_peers(rib); i++) {
        const struct rib_peer *p = rib_peer(rib, i);
        if (p && (!strcmp(p->name, name)
                  || (is_address && addr_equal(&p->info.address, &addr)))) {
            a->query.peer = i;
            return true;
        }
    }
    rpc_fail(call, RPC_NOT_FOUND, "peer", "no peer %.60s has told routes; "
             "bgp.neighbors and bmp.routers name them", name);
    return false;
}

static bool
read_prefix(struct rpc_call *call, struct json_object *params,
            const char *name, struct answer *a)
{
    struct json_object *v = json_member(params, name);
    if (v && prefix_parse(json_object_get_string(v), &a->query.prefix)) {
        rpc_fail(call, RPC_INVALID_PARAMS, name, "\"%.60s\" is not an "
                 "address or prefix; expected such as 192.0.2.1 or "
                 "2001:db8::/32", json_object_get_string(v));
        return false;
    }
    return true;
}

static bool
read_family(struct rpc_call *call, struct json_object *params,
            struct answer *a)
{
    struct json_object *v = json_member(params, "family");
    int family = v ? bgp_family_by_name(json_object_get_string(v)) : 0;
    if (family < 0) {
        rpc_fail(call, RPC_INVALID_PARAMS, "family", "\"%.60s\" is not a "
                 "family; expected such as ipv4-unicast",
                 json_object_get_string(v));
        return false;
    }
    a->query.families = v ? 1u << family : 0;
    return true;
}

/* Opaque to clients: "table:prefix:rd:skip". */
static void
put_cursor(struct json_object *o, bool done, const struct rib_cursor *at)
{
    char prefix[PREFIX_STRLEN], text[PREFIX_STRLEN + 64];
    snprintf(text, sizeof text, "%" PRIu32 "-%s-%" PRIx64 "-%" PRIu32,
             at->table, prefix_format(&at->prefix, prefix), at->rd,
             at->skip);
    reply_string(o, "cursor", done ? NULL : text);
}

static bool
read_cursor(struct rpc_call *call, struct json_object *params,
            struct answer *a)
{
    struct json_object *v = json_member(params, "cursor");
    const char *text = v ? json_object_get_string(v) : NULL;
    char prefix[64];
    unsigned len;
    char *slash;
    if (!text) {
        return true;
    }
    if (sscanf(text, "%" SCNu32 "-%63[^-]-%" SCNx64 "-%" SCNu32,
               &a->at.table, prefix, &a->at.rd, &a->at.skip) != 4
        || !(slash = strchr(prefix, '/'))
        || sscanf(slash + 1, "%u", &len) != 1
        || prefix_parse(prefix, &a->at.prefix)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "cursor", "not one that "
                 "route.table gave");
        return false;
    }
    return true;
}

static const struct rib *
the_rib(struct rpc_call *call)
{
    const struct rib *rib = rpc_context(call)->rib;
    if (!rib) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there are no routes: the RIB "
                 "does not run");
    }
    return rib;
}

static uint64_t
read_limit(struct json_object *params)
{
    struct json_object *v = json_member(params, "limit");
    return v ? json_object_get_uint64(v) : DEFAULT_ROUTES;
}

static const struct {
    const char *name;
    enum rib_match match;
} matches[] = {
    { "longest", RIB_LONGEST }, { "exact", RIB_EXACT }, { "less", RIB_LESS },
    { "more", RIB_MORE },
};

static void
route_lookup(struct rpc_call *call, struct json_object *params)
{
    const struct rib *rib = the_rib(call);
    struct json_object *v = json_member(params, "match");
    struct answer a = { .left = read_limit(params) };

    if (!rib || !read_prefix(call, params, "address", &a)
        || !read_peer(call, params, rib, &a)
        || !read_family(call, params, &a)) {
        return;
    }
    a.query.match = RIB_LONGEST;
    for (size_t i = 0; v && i < sizeof matches / sizeof matches[0]; i++) {
        if (!strcmp(json_object_get_string(v), matches[i].name)) {
            a.query.match = matches[i].match;
        }
    }
    a.query.max_steps = MAX_STEPS;
    a.list = json_object_new_array();
    bool all = rib_query(rib, &a.query, &a.at, add_route, &a);
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "routes", a.list);
    reply_bool(o, "truncated", !all);
    rpc_reply(call, o);
}

static void
route_table(struct rpc_call *call, struct json_object *params)
{
    const struct rib *rib = the_rib(call);
    struct json_object *as = json_member(params, "origin_as");
    struct json_object *best = json_member(params, "best");
    struct answer a = {
        .left = read_limit(params),
        .has_as = as != NULL,
        .as = as ? (uint32_t) json_object_get_int64(as) : 0,
        .best_only = best && json_object_get_boolean(best),
    };

    if (!rib || !read_prefix(call, params, "prefix", &a)
        || !read_peer(call, params, rib, &a)
        || !read_family(call, params, &a)
        || !read_cursor(call, params, &a)) {
        return;
    }
    a.query.match = RIB_MORE;
    a.query.max_steps = MAX_STEPS;
    a.list = json_object_new_array();
    bool all = rib_query(rib, &a.query, &a.at, add_route, &a);
    struct json_object *o = json_object_new_object();
    struct rib_stats s;
    rib_stats(rib, &s);
    json_object_object_add(o, "routes", a.list);
    put_cursor(o, all, &a.at);
    reply_uint(o, "total", s.routes);
    reply_uint(o, "bytes", s.bytes);
    struct json_object *counters = json_object_new_object();
#define X(NAME, DOC) reply_uint(counters, #NAME, s.n.NAME);
    RIB_COUNTERS(X)
#undef X
    json_object_object_add(o, "counters", counters);
    rpc_reply(call, o);
}

/* ---- The table. ---- */

#define FAMILY_SCHEMA ROUTE_FAMILY_SCHEMA
#define LIMIT_PARAM                                                     \
    { "limit", PARAM_INTEGER, false, "at most so many routes; 100 is the " \
      "default", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}" }
#define COMMON_PARAMS                                                   \
    { "peer", PARAM_STRING, false, "only what this peer told: its name " \
      "or address", NULL },                                             \
    { "family", PARAM_STRING, false, "only of this family",             \
      FAMILY_SCHEMA },                                                  \
    LIMIT_PARAM

static const struct rpc_param lookup_params[] = {
    { "address", PARAM_STRING, true, "an address or a prefix", NULL },
    { "match", PARAM_STRING, false, "\"longest\" (the default): the longest "
      "prefix that covers it; \"exact\": the prefix itself; \"less\": all "
      "that cover it; \"more\": all that are inside of it",
      "{\"enum\":[\"longest\",\"exact\",\"less\",\"more\"]}" },
    COMMON_PARAMS,
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param table_params[] = {
    { "prefix", PARAM_STRING, false, "only routes inside of it", NULL },
    COMMON_PARAMS,
    { "origin_as", PARAM_INTEGER, false, "only of this origin AS",
      "{\"type\":\"integer\",\"minimum\":0,\"maximum\":4294967295}" },
    { "best", PARAM_BOOLEAN, false, "only the best route of each prefix",
      NULL },
    { "cursor", PARAM_STRING, false, "go on where the last page ended",
      NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

#define ROUTE_SCHEMA                                                    \
    "{\"type\":\"object\",\"required\":[\"prefix\",\"family\","         \
    "\"peer\",\"as_path\",\"communities\"],\"properties\":{"            \
    "\"prefix\":{\"type\":\"string\"},\"family\":" FAMILY_SCHEMA ","    \
    "\"peer\":{\"type\":\"string\"},"                                   \
    "\"peer_address\":{\"type\":[\"string\",\"null\"]},"                \
    "\"peer_as\":{\"type\":\"integer\"},"                               \
    "\"best\":{\"type\":\"boolean\"},\"stale\":{\"type\":\"boolean\"}," \
    ROUTE_ATTRS_SCHEMA ","                                              \
    "\"rd\":{\"type\":\"string\"},\"path_id\":{\"type\":\"integer\"},"  \
    "\"label\":{\"type\":\"integer\"},"                                 \
    "\"evpn_type\":{\"type\":\"integer\"},"                             \
    "\"ethernet_tag\":{\"type\":\"integer\"},"                          \
    "\"mac\":{\"type\":\"string\"},"                                    \
    "\"gateway\":{\"type\":[\"string\",\"null\"]}}}"
#define ROUTE_EXAMPLE                                                   \
    "{\"prefix\":\"203.0.113.0/24\",\"family\":\"ipv4-unicast\","       \
    "\"peer\":\"border-1\",\"peer_address\":\"192.0.2.1\","             \
    "\"peer_as\":64500,\"best\":true,\"stale\":false,"                  \
    "\"as_path\":\"64500 15169\",\"origin_as\":15169,"                  \
    "\"origin\":\"igp\",\"next_hop\":\"192.0.2.1\",\"local_pref\":100," \
    "\"atomic_aggregate\":false,\"communities\":[\"65000:100\"],"       \
    "\"large_communities\":[],\"ext_communities\":[]}"

const struct rpc_method methods_route[] = {
    {
        .name = "route.lookup",
        .role = ROLE_VIEWER,
        .summary = "The routes of an address or a prefix, of all peers or "
                   "one.",
        .params = lookup_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"routes\",\"truncated\"],"
            "\"properties\":{\"truncated\":{\"type\":\"boolean\"},"
            "\"routes\":{\"type\":\"array\",\"items\":" ROUTE_SCHEMA "}}}",
        .example_params = "{\"address\":\"203.0.113.7\"}",
        .example_result =
            "{\"routes\":[" ROUTE_EXAMPLE "],\"truncated\":false}",
        .call = route_lookup,
    }, {
        .name = "route.table",
        .role = ROLE_VIEWER,
        .summary = "Routes page by page, in the order of their prefixes.  A "
                   "page may have fewer than asked for, or none: there are "
                   "more as long as there is a cursor.",
        .params = table_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"routes\",\"cursor\","
            "\"total\"],\"properties\":{"
            "\"cursor\":{\"type\":[\"string\",\"null\"]},"
            "\"total\":{\"type\":\"integer\"},"
            "\"bytes\":{\"type\":\"integer\"},"
            "\"counters\":{\"type\":\"object\",\"additionalProperties\":"
            "{\"type\":\"integer\"}},"
            "\"routes\":{\"type\":\"array\",\"items\":" ROUTE_SCHEMA "}}}",
        .example_params = "{\"peer\":\"border-1\",\"limit\":10}",
        .example_result =
            "{\"routes\":[" ROUTE_EXAMPLE "],\"cursor\":null,\"total\":1,"
            "\"bytes\":4096,\"counters\":{\"announced\":1}}",
        .call = route_table,
    },
    { .name = NULL }
};
