#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/context.h"
#include "api/json.h"
#include "api/route_json.h"
#include "bgp/attribute.h"
#include "bgp/attrs.h"
#include "bgp/bmp_message.h"
#include "bgp/message.h"
#include "bgp/rib.h"
#include "bgp/routelog.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/thread.h"

/* route.history.  A thread reads the files, for each call one of its own. */

#define MAX_CALLS 4
#define DEFAULT_LIMIT 100
#define MAX_LIMIT 1000
#define DEFAULT_FROM_US (INT64_C(86400) * 1000000)
#define TIMEOUT_US (INT64_C(10) * 1000000)
#define MAX_PEERS 64
#define MAX_STEPS 4096
#define TO_TEXT (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

struct history_call {
    struct rpc_call *call;
    struct api *api;
    struct routelog *log;
    struct routelog_query q;
    struct prefix prefix;
    char *peer;
    char peers[MAX_PEERS][64];
    const char *names[MAX_PEERS];

    /* The thread's. */
    struct bgp_decoder *decoder;
    void *scratch;
    struct json_object *list;
    char *result;
    int error;
};

static unsigned n_calls;        /* Main thread. */

/* ---- A record as JSON. ---- */

/* NULL: there are none. */
static struct json_object *
attrs_to_json(struct history_call *h, bool has, struct cursor c, bool leak)
{
    struct bgp_update u;
    const struct bgp_attrs *a;
    if (!has) {
        return NULL;
    }
    struct json_object *o = json_object_new_object();
    routelog_attrs(h->decoder, c, &u, &a);
    struct attrs *set = attrs_pack(h->scratch, a, NULL);
    if (set) {
        route_put_attrs(o, set, a);
    }
    if (leak) {
        reply_bool(o, "leak", true);
    }
    return o;
}

/* The names of what is not the same. */
static struct json_object *
difference(struct json_object *before, struct json_object *after)
{
    struct json_object *list = json_object_new_array();
    struct json_object_iter it;
    json_object_object_foreachC(before, it) {
        if (!json_object_equal(it.val, json_member(after, it.key))) {
            json_object_array_add(list, json_object_new_string(it.key));
        }
    }
    json_object_object_foreachC(after, it) {
        if (!json_object_object_get_ex(before, it.key, NULL)) {
            json_object_array_add(list, json_object_new_string(it.key));
        }
    }
    return list;
}

static void
put_peer(struct json_object *o, const struct routelog_peer *p)
{
    if (!p) {
        return;
    }
    reply_string(o, "peer", p->name);
    reply_address(o, "peer_address", &p->info.address);
    reply_uint(o, "peer_as", p->info.as);
    if (p->info.kind == BGP_PEER_BMP) {
        reply_address(o, "router", &p->info.router);
        reply_string(o, "view", bgp_view_name(p->info.view));
    }
}

static void
each(void *call, const struct routelog_record *r)
{
    struct history_call *h = call;
    struct json_object *o = json_object_new_object();
    char text[PREFIX_STRLEN];
    reply_time(o, "time", r->time_us);
    reply_string(o, "kind", routelog_kind_name(r->kind));
    put_peer(o, r->peer);
    if (r->has_family) {
        reply_string(o, "family", bgp_family_name(r->nlri.family));
    }
    if (routelog_kind_of_peer(r->kind)) {
        if (r->kind != ROUTELOG_START) {
            reply_uint(o, "routes", r->n);
        }
        json_object_array_add(h->list, o);
        return;
    }
    reply_string(o, "prefix", prefix_format(&r->nlri.prefix, text));
    route_put_nlri(o, &r->nlri);
    reply_bool(o, "best", r->best);
    struct json_object *before = attrs_to_json(h, r->has_before, r->before,
                                               r->leak_before);
    struct json_object *after = attrs_to_json(h, r->has_after, r->after,
                                              r->leak_after);
    json_object_object_add(o, "before", before);
    json_object_object_add(o, "after", after);
    if (before && after) {
        json_object_object_add(o, "changed", difference(before, after));
    }
    json_object_array_add(h->list, o);
}

/* ---- The thread. ---- */

static void
destroy(struct history_call *h)
{
    bgp_decoder_destroy(h->decoder);
    json_object_put(h->list);
    free(h->scratch);
    free(h->peer);
    free(h->result);
    free(h);
}

static void
deliver(void *call)
{
    struct history_call *h = call;
    n_calls--;
    if (h->error) {
        rpc_fail(h->call, RPC_FAILED, NULL, "the history of routes cannot be "
                 "read: %s", strerror(-h->error));
    } else {
        rpc_reply_text(h->call, h->result);
        h->result = NULL;
    }
    destroy(h);
}

static void
answer(struct history_call *h, const struct routelog_answer *a)
{
    struct json_object *o = json_object_new_object();
    struct json_object *stats = json_object_new_object();
    char cursor[32];
    snprintf(cursor, sizeof cursor, "%" PRId64, a->next_us);
    json_object_object_add(o, "changes", h->list);
    h->list = NULL;
    reply_bool(o, "truncated", a->more);
    reply_string(o, "cursor", a->more ? cursor : NULL);
    reply_bool(stats, "timed_out", a->timed_out);
    reply_uint(stats, "records", a->records);
    reply_uint(stats, "blocks", a->blocks);
    reply_uint(stats, "blocks_skipped", a->skipped);
    reply_uint(stats, "blocks_damaged", a->damaged);
    json_object_object_add(o, "stats", stats);
    const char *text = json_object_to_json_string_ext(o, TO_TEXT);
    h->result = text ? strdup(text) : NULL;
    h->error = h->result ? 0 : -ENOMEM;
    json_object_put(o);
}

static void *
run(void *call)
{
    struct history_call *h = call;
    struct routelog_answer a;
    h->decoder = bgp_decoder_create();
    h->scratch = malloc(ATTRS_MAX_SIZE);
    h->list = json_object_new_array();
    h->error = !h->decoder || !h->scratch || !h->list
               ? -ENOMEM : routelog_query(h->log, &h->q, each, h, &a);
    if (!h->error) {
        answer(h, &a);
    }
    struct routelog *log = h->log;
    api_post(h->api, deliver, h);
    routelog_release(log);
    return NULL;
}

/* ---- What is asked. ---- */

static const struct {
    const char *name;
    enum routelog_match match;
} matches[] = {
    { "longest", ROUTELOG_LONGEST }, { "exact", ROUTELOG_EXACT },
    { "less", ROUTELOG_LESS }, { "more", ROUTELOG_MORE },
};

static bool
read_prefix(struct history_call *h, struct json_object *params)
{
    struct json_object *v = json_member(params, "prefix");
    struct json_object *m = json_member(params, "match");
    const char *text = v ? json_object_get_string(v) : NULL;
    h->q.match = ROUTELOG_ALL;
    if (!text) {
        if (m) {
            rpc_fail(h->call, RPC_INVALID_PARAMS, "match", "of which prefix? "
                     "give \"prefix\", too");
        }
        return !m;
    }
    if (prefix_parse(text, &h->q.prefix)) {
        rpc_fail(h->call, RPC_INVALID_PARAMS, "prefix", "\"%.60s\" is not an "
                 "address or prefix; expected such as 192.0.2.1 or "
                 "2001:db8::/32", text);
        return false;
    }
    /* Whatever covers an address may have moved its traffic. */
    h->q.match = strchr(text, '/') ? ROUTELOG_EXACT : ROUTELOG_LESS;
    for (size_t i = 0; m && i < sizeof matches / sizeof matches[0]; i++) {
        if (!strcmp(json_object_get_string(m), matches[i].name)) {
            h->q.match = matches[i].match;
        }
    }
    return true;
}

static bool
read_kinds(struct history_call *h, struct json_object *params)
{
    struct json_object *list = json_member(params, "kinds");
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        const char *name = json_object_get_string(
            json_object_array_get_idx(list, i));
        unsigned k = 0;
        while (k < ROUTELOG_N_KINDS
               && strcmp(name, routelog_kind_name((enum routelog_kind) k))) {
            k++;
        }
        if (k == ROUTELOG_N_KINDS) {
            rpc_fail(h->call, RPC_INVALID_PARAMS, "kinds", "\"%.40s\" is no "
                     "kind of change; expected such as announce, change, "
                     "withdraw", name);
            return false;
        }
        h->q.kinds |= 1u << k;
    }
    return true;
}

/* Times have been checked by the core. */
static int64_t
read_time(struct json_object *params, const char *name, int64_t otherwise)
{
    struct json_object *v = json_member(params, name);
    int64_t us;
    return v && !time_parse_us(json_object_get_string(v), clock_wall_us(),
                               &us) ? us : otherwise;
}

static bool
read_times(struct history_call *h, struct json_object *params)
{
    struct json_object *v = json_member(params, "cursor");
    int64_t now = clock_wall_us();
    char *end = NULL;
    h->q.from_us = read_time(params, "from", now - DEFAULT_FROM_US);
    h->q.to_us = read_time(params, "to", INT64_MAX);
    if (v) {
        h->q.to_us = strtoll(json_object_get_string(v), &end, 10);
        if (*end || h->q.to_us <= 0) {
            rpc_fail(h->call, RPC_INVALID_PARAMS, "cursor", "not one that "
                     "route.history gave");
            return false;
        }
    }
    if (h->q.from_us >= h->q.to_us) {
        rpc_fail(h->call, RPC_INVALID_PARAMS, "from", "not before \"to\"");
        return false;
    }
    h->q.deadline_us = now + TIMEOUT_US;
    return true;
}

static bool
read_rest(struct history_call *h, struct json_object *params)
{
    struct json_object *v = json_member(params, "family");
    int family = v ? bgp_family_by_name(json_object_get_string(v)) : -1;
    h->q.families = family >= 0 ? 1u << family : 0;
    v = json_member(params, "peer");
    h->peer = v ? strdup(json_object_get_string(v)) : NULL;
    h->q.peer = h->peer;
    v = json_member(params, "best");
    h->q.best_only = v && json_object_get_boolean(v);
    v = json_member(params, "limit");
    h->q.limit = v ? (size_t) json_object_get_int64(v) : DEFAULT_LIMIT;
    return true;
}

static bool
add_peer(void *call, const struct rib_route *r)
{
    struct history_call *h = call;
    size_t i = 0;
    while (i < h->q.n_peers && strcmp(h->names[i], r->peer->name)) {
        i++;
    }
    if (i == h->q.n_peers) {
        snprintf(h->peers[i], sizeof h->peers[i], "%s", r->peer->name);
        h->names[i] = h->peers[i];
        h->q.n_peers++;
    }
    return h->q.n_peers < MAX_PEERS;
}

/* Who has a route of it now; of many only some. */
static void
find_peers(struct history_call *h, const struct rib *rib)
{
    static const enum rib_match as[] = {
        [ROUTELOG_EXACT] = RIB_EXACT, [ROUTELOG_LONGEST] = RIB_LONGEST,
        [ROUTELOG_LESS] = RIB_LESS, [ROUTELOG_MORE] = RIB_MORE,
    };
    struct rib_cursor at = { .table = 0 };
    h->q.peers = h->names;
    if (rib && h->q.match != ROUTELOG_ALL) {
        struct rib_query q = {
            .match = as[h->q.match], .prefix = h->q.prefix,
            .families = h->q.families, .peer = RIB_NO_PEER,
            .max_steps = MAX_STEPS,
        };
        rib_query(rib, &q, &at, add_peer, h);
    }
}

static void
route_history(struct rpc_call *call, struct json_object *params)
{
    const struct api_context *c = rpc_context(call);
    pthread_t thread;
    if (!c->route_history) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there is no history of routes: "
                 "the log says why");
        return;
    }
    if (n_calls >= MAX_CALLS) {
        rpc_fail(call, RPC_BUSY, NULL, "%d such questions are being answered "
                 "already", MAX_CALLS);
        return;
    }
    struct history_call *h = calloc(1, sizeof *h);
    if (!h) {
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        return;
    }
    h->call = call;
    h->api = rpc_api(call);
    h->log = c->route_history;
    if (!read_prefix(h, params) || !read_kinds(h, params)
        || !read_times(h, params) || !read_rest(h, params)) {
        destroy(h);
        return;
    }
    find_peers(h, c->rib);
    routelog_hold(h->log);
    int error = thread_start(&thread, "route-history", run, h);
    if (error) {
        routelog_release(h->log);
        destroy(h);
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "cannot start a thread: %s",
                 strerror(-error));
        return;
    }
    pthread_detach(thread);
    n_calls++;
}

/* ---- The table. ---- */

static const struct rpc_param history_params[] = {
    { "prefix", PARAM_STRING, false, "an address or a prefix; without it, all",
      NULL },
    { "match", PARAM_STRING, false, "\"exact\" (the default for a prefix): the "
      "prefix itself; \"less\" (the default for an address): all that cover "
      "it; \"longest\": the longest of them; \"more\": all that are inside of "
      "it", "{\"enum\":[\"longest\",\"exact\",\"less\",\"more\"]}" },
    { "peer", PARAM_STRING, false, "only what this peer told: its name or "
      "address, or that of its BMP router", NULL },
    { "family", PARAM_STRING, false, "only of this family",
      ROUTE_FAMILY_SCHEMA },
    { "from", PARAM_TIME, false, "since then; -1d is the default", NULL },
    { "to", PARAM_TIME, false, "and before then; now is the default", NULL },
    { "kinds", PARAM_ARRAY, false, "only these: announce, change, withdraw, "
      "expire; of sessions: peer-up, peer-down, table, purge; of venturid: "
      "start, lost",
      "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}" },
    { "best", PARAM_BOOLEAN, false, "only routes that were or are the best of "
      "their prefix", NULL },
    { "limit", PARAM_INTEGER, false, "the newest so many; 100 is the default",
      "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}" },
    { "cursor", PARAM_STRING, false, "go on, to what was before the last page",
      NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

#define ATTRS_SCHEMA                                                    \
    "{\"type\":[\"object\",\"null\"],\"properties\":{"                  \
    ROUTE_ATTRS_SCHEMA "}}"

const struct rpc_method methods_route_history[] = {
    {
        .name = "route.history",
        .role = ROLE_VIEWER,
        .summary = "What became of routes: announcements, changes and "
                   "withdrawals with attributes before and after, and what "
                   "became of the sessions of those who told them; oldest "
                   "first.",
        .params = history_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"changes\",\"truncated\","
            "\"cursor\",\"stats\"],\"properties\":{"
            "\"truncated\":{\"type\":\"boolean\"},"
            "\"cursor\":{\"type\":[\"string\",\"null\"]},"
            "\"stats\":{\"type\":\"object\"},"
            "\"changes\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"required\":[\"time\",\"kind\"],\"properties\":{"
            "\"time\":{\"type\":\"string\"},"
            "\"kind\":{\"enum\":[\"announce\",\"change\",\"withdraw\","
            "\"expire\",\"peer-up\",\"peer-down\",\"table\",\"purge\","
            "\"start\",\"lost\"]},"
            "\"peer\":{\"type\":\"string\"},"
            "\"peer_address\":{\"type\":[\"string\",\"null\"]},"
            "\"peer_as\":{\"type\":\"integer\"},"
            "\"router\":{\"type\":[\"string\",\"null\"]},"
            "\"view\":{\"type\":\"string\"},"
            "\"family\":" ROUTE_FAMILY_SCHEMA ","
            "\"routes\":{\"type\":\"integer\"},"
            "\"prefix\":{\"type\":\"string\"},"
            "\"best\":{\"type\":\"boolean\"},"
            "\"before\":" ATTRS_SCHEMA ",\"after\":" ATTRS_SCHEMA ","
            "\"changed\":{\"type\":\"array\","
            "\"items\":{\"type\":\"string\"}}}}}}}",
        .example_params = "{\"prefix\":\"203.0.113.0/24\",\"from\":\"-2h\"}",
        .example_result =
            "{\"changes\":[{\"time\":\"2026-11-23T05:12:31.004518Z\","
            "\"kind\":\"change\",\"peer\":\"border-1\","
            "\"peer_address\":\"192.0.2.1\",\"peer_as\":64500,"
            "\"family\":\"ipv4-unicast\",\"prefix\":\"203.0.113.0/24\","
            "\"best\":true,\"before\":{\"as_path\":\"64500 15169\","
            "\"origin_as\":15169,\"origin\":\"igp\","
            "\"next_hop\":\"192.0.2.1\",\"atomic_aggregate\":false,"
            "\"communities\":[],\"large_communities\":[],"
            "\"ext_communities\":[]},"
            "\"after\":{\"as_path\":\"64500 64510 15169\","
            "\"origin_as\":15169,\"origin\":\"igp\","
            "\"next_hop\":\"192.0.2.1\",\"atomic_aggregate\":false,"
            "\"communities\":[],\"large_communities\":[],"
            "\"ext_communities\":[]},\"changed\":[\"as_path\"]}],"
            "\"truncated\":false,\"cursor\":null,"
            "\"stats\":{\"timed_out\":false,\"records\":17,\"blocks\":1,"
            "\"blocks_skipped\":0,\"blocks_damaged\":0}}",
        .call = route_history,
    },
    { .name = NULL }
};
