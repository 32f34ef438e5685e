/* api/methods_bgp.c -- BGP neighbours and BMP routers. */
#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/context.h"
#include "bgp/bmp.h"
#include "bgp/rib.h"
#include "bgp/speaker.h"
#include "lib/clock.h"

struct listing {
    const struct api_context *c;
    struct json_object *list;
    int64_t offset_us;          /* Wall clock less monotonic. */
};

static void
put_addr(struct json_object *o, const char *name, const struct addr *a)
{
    char text[ADDR_STRLEN];
    reply_string(o, name, addr_is_zero(a) ? NULL : addr_format(a, text));
}

static void
put_id(struct json_object *o, const char *name, uint32_t id)
{
    char text[16];
    snprintf(text, sizeof text, "%u.%u.%u.%u", id >> 24, id >> 16 & 255,
             id >> 8 & 255, id & 255);
    reply_string(o, name, id ? text : NULL);
}

static void
put_mono(const struct listing *l, struct json_object *o, const char *name,
         int64_t ms)
{
    reply_time(o, name, ms ? ms * 1000 + l->offset_us : 0);
}

static struct json_object *
families(uint32_t set)
{
    struct json_object *list = json_object_new_array();
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        if (set >> f & 1) {
            json_object_array_add(list, json_object_new_string(
                bgp_family_name((enum bgp_family) f)));
        }
    }
    return list;
}

/* Routes of a peer in the RIB, by family. */
static struct json_object *
routes_of(const struct api_context *c, uint32_t number, uint32_t set)
{
    struct json_object *o = json_object_new_object();
    const struct rib_peer *p = c->rib && number != UINT32_MAX
                               ? rib_peer(c->rib, number) : NULL;
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        if (set >> f & 1 || (p && p->routes[f])) {
            reply_uint(o, bgp_family_name((enum bgp_family) f),
                       p ? p->routes[f] : 0);
        }
    }
    return o;
}

/* What an OPEN told. */
static struct json_object *
capabilities(const struct bgp_open *open)
{
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();
    const struct bgp_caps *caps = &open->caps;
    for (int i = 0; i < BGP_N_CAPABILITIES; i++) {
        if (caps->has >> i & 1) {
            json_object_array_add(list, json_object_new_string(
                bgp_capability_name((enum bgp_capability) i)));
        }
    }
    json_object_object_add(o, "names", list);
    json_object_object_add(o, "families", families(caps->families));
    json_object_object_add(o, "add_path_send", families(caps->add_path_send));
    json_object_object_add(o, "graceful_restart",
                           families(caps->gr_families));
    json_object_object_add(o, "long_lived", families(caps->llgr_families));
    reply_uint(o, "restart_time_s", caps->gr_time_s);
    reply_string(o, "role", bgp_role_name(caps->role));
    reply_string(o, "hostname", caps->hostname[0] ? caps->hostname : NULL);
    reply_string(o, "domain", caps->domain[0] ? caps->domain : NULL);
    reply_string(o, "version", caps->version[0] ? caps->version : NULL);
    reply_uint(o, "unknown", caps->n_unknown);
    reply_uint(o, "other_families", caps->n_other_families);
    return o;
}

static void
put_error(const struct listing *l, struct json_object *o,
          const struct bgp_session_info *s)
{
    struct json_object *e = NULL;
    if (s->last_error[0]) {
        e = json_object_new_object();
        reply_string(e, "text", s->last_error);
        reply_bool(e, "sent", s->last_error_sent);
        put_mono(l, e, "time", s->last_error_ms);
    }
    json_object_object_add(o, "last_error", e);
}

static bool
add_neighbor(void *listing, const struct bgp_speaker_info *info)
{
    struct listing *l = listing;
    const struct bgp_session_info *s = &info->session;
    struct json_object *o = json_object_new_object();
    const char *name = s->config->name;

    put_addr(o, "address", &s->config->address);
    reply_string(o, "description", name[0] ? name : NULL);
    reply_string(o, "state", bgp_state_name(s->state));
    reply_string(o, "waiting", s->waiting);
    reply_uint(o, "remote_as", s->as);
    reply_uint(o, "local_as", s->config->local_as);
    put_id(o, "remote_id", s->open ? s->open->id : 0);
    put_addr(o, "local_address", &s->local);
    reply_uint(o, "remote_port", info->remote_port);
    reply_bool(o, "dynamic", info->dynamic);
    reply_bool(o, "passive", s->config->passive);
    reply_bool(o, "md5", info->md5);
    reply_uint(o, "ttl_security", info->ttl_security);
    put_mono(l, o, "changed", s->changed_ms);
    put_mono(l, o, "last_input", s->last_input_ms);
    reply_uint(o, "hold_time_s", s->hold_s);
    reply_uint(o, "keepalive_s", s->keepalive_s);
    json_object_object_add(o, "families", families(s->families));
    json_object_object_add(o, "add_path", families(s->add_path));
    json_object_object_add(o, "complete", families(s->complete));
    json_object_object_add(o, "stale", families(s->stale));
    reply_bool(o, "four_octet_as", s->as4);
    reply_bool(o, "extended_messages", s->extended);
    reply_bool(o, "enhanced_refresh", s->enhanced_refresh);
    reply_uint(o, "max_prefixes", s->config->max_prefixes);
    json_object_object_add(o, "routes", routes_of(l->c, s->peer,
                                                  s->families));
    put_error(l, o, s);
    json_object_object_add(o, "capabilities",
                           s->open ? capabilities(s->open) : NULL);
    json_object_object_add(o, "counters",
                           reply_counters(s->n, bgp_session_counter_defs));
    json_object_array_add(l->list, o);
    return true;
}

static struct listing
start_listing(struct rpc_call *call)
{
    return (struct listing) {
        .c = rpc_context(call), .list = json_object_new_array(),
        .offset_us = clock_wall_us() - clock_mono_us(),
    };
}

static struct json_object *
listening(const struct bgp_listen *at, size_t n)
{
    struct json_object *list = json_object_new_array();
    char text[ENDPOINT_STRLEN];
    for (size_t i = 0; i < n; i++) {
        json_object_array_add(list, json_object_new_string(
            endpoint_format(&at[i].addr, at[i].port, text)));
    }
    return list;
}

static void
neighbors(struct rpc_call *call, struct json_object *params)
{
    struct listing l = start_listing(call);
    struct json_object *o = json_object_new_object();
    struct bgp_listen at[64];
    static const struct bgp_speaker_counters none;
    struct bgp_speaker *sp = l.c->speaker;

    (void) params;
    if (sp) {
        bgp_speaker_each(sp, add_neighbor, &l);
    }
    json_object_object_add(o, "neighbors", l.list);
    json_object_object_add(o, "listen", listening(
        at, sp ? bgp_speaker_listening(sp, at, 64) : 0));
    json_object_object_add(o, "counters", reply_counters(
        sp ? bgp_speaker_counters(sp) : &none, bgp_speaker_counter_defs));
    rpc_reply(call, o);
}

/* ---- BMP. ---- */

static struct json_object *
statistics(const struct bmp_peer *p)
{
    struct json_object *o = json_object_new_object();
    for (uint16_t t = 0; t < BMP_N_STATISTICS; t++) {
        if (p->has_statistics >> t & 1) {
            reply_uint(o, bmp_statistic_name(t), p->statistics[t]);
        }
        if (p->has_family[t]) {
            struct json_object *each = json_object_new_object();
            for (int f = 0; f < BGP_N_FAMILIES; f++) {
                if (p->has_family[t] >> f & 1) {
                    reply_uint(each, bgp_family_name((enum bgp_family) f),
                               p->family_statistics[t][f]);
                }
            }
            json_object_object_add(o, bmp_statistic_name(t), each);
        }
    }
    return o;
}

static struct json_object *
peer_to_json(const struct listing *l, const struct bmp_peer *p)
{
    struct json_object *o = json_object_new_object();
    struct json_object *views = json_object_new_object();
    char rd[BGP_RD_STRLEN];

    put_addr(o, "address", &p->key.address);
    reply_string(o, "type", bmp_peer_type_name(p->key.type));
    reply_string(o, "rd", p->key.rd ? bgp_rd_format(p->key.rd, rd) : NULL);
    reply_string(o, "table", p->table[0] ? p->table : NULL);
    reply_string(o, "state", p->up ? "up" : "down");
    reply_string(o, "reason", p->reason[0] ? p->reason : NULL);
    reply_uint(o, "as", p->as);
    put_id(o, "id", p->id);
    put_addr(o, "local_address", &p->local);
    reply_time(o, "since", p->up ? p->up_us : p->down_us);
    reply_uint(o, "flaps", p->flaps);
    reply_uint(o, "updates", p->updates);
    reply_uint(o, "mirrored", p->mirrored);
    for (int v = 0; v < BMP_N_VIEWS; v++) {
        if (p->peer[v] != UINT32_MAX) {
            json_object_object_add(views, bgp_view_name((enum bgp_view) v),
                                   routes_of(l->c, p->peer[v], 0));
        }
    }
    json_object_object_add(o, "routes", views);
    json_object_object_add(o, "statistics", statistics(p));
    json_object_object_add(o, "capabilities",
                           p->received.version ? capabilities(&p->received)
                                               : NULL);
    return o;
}

static bool
add_router(void *listing, const struct bmp_connection_info *info)
{
    struct listing *l = listing;
    const struct bmp_router *r = info->router;
    struct json_object *o = json_object_new_object();
    struct json_object *peers = json_object_new_array();

    put_addr(o, "address", &r->address);
    reply_uint(o, "port", info->port);
    reply_string(o, "name", r->name[0] ? r->name : NULL);
    reply_string(o, "description", r->description[0] ? r->description : NULL);
    reply_string(o, "text", r->text[0] ? r->text : NULL);
    reply_uint(o, "version", r->version);
    reply_bool(o, "tls", info->tls);
    put_mono(l, o, "since", info->since_ms);
    put_mono(l, o, "last_input", info->last_input_ms);
    reply_uint(o, "peers_up", r->n_up);
    for (const struct bmp_peer *p = r->peers; p; p = p->next) {
        json_object_array_add(peers, peer_to_json(l, p));
    }
    json_object_object_add(o, "peers", peers);
    json_object_object_add(o, "counters",
                           reply_counters(&r->n, bmp_router_counter_defs));
    json_object_array_add(l->list, o);
    return true;
}

static void
routers(struct rpc_call *call, struct json_object *params)
{
    struct listing l = start_listing(call);
    struct json_object *o = json_object_new_object();
    struct bgp_listen at[64];
    static const struct bmp_server_counters none;
    struct bmp_server *s = l.c->bmp;

    (void) params;
    if (s) {
        bmp_server_each(s, add_router, &l);
    }
    json_object_object_add(o, "routers", l.list);
    json_object_object_add(o, "listen", listening(
        at, s ? bmp_server_listening(s, at, 64) : 0));
    json_object_object_add(o, "counters", reply_counters(
        s ? bmp_server_counters(s) : &none, bmp_server_counter_defs));
    rpc_reply(call, o);
}

/* ---- Deeds. ---- */

struct looking {
    const struct addr *address;
    struct json_object *found;
};

static bool
add_state(void *looking, const struct bgp_speaker_info *info)
{
    struct looking *l = looking;
    const struct bgp_session_info *s = &info->session;

    if (!addr_equal(&s->config->address, l->address)) {
        return true;
    }
    l->found = json_object_new_object();
    put_addr(l->found, "address", l->address);
    reply_string(l->found, "state", bgp_state_name(s->state));
    json_object_object_add(l->found, "complete", families(s->complete));
    return false;
}

/* How a session is, for the audit log; NULL: there is none. */
static struct json_object *
state_of(const struct bgp_speaker *sp, const struct addr *a)
{
    struct looking l = { a, NULL };
    if (sp) {
        bgp_speaker_each(sp, add_state, &l);
    }
    return l.found;
}

static void
act(struct rpc_call *call, struct json_object *params,
    int (*deed)(struct bgp_speaker *, const struct addr *))
{
    const struct api_context *c = rpc_context(call);
    struct json_object *v = NULL;
    struct addr a;
    json_object_object_get_ex(params, "address", &v);
    const char *text = json_object_get_string(v);

    if (addr_parse(text, &a)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "address", "%s is not an address",
                 text);
        return;
    }
    struct json_object *before = state_of(c->speaker, &a);
    int error = c->speaker ? deed(c->speaker, &a) : -ENOENT;
    rpc_audit(call, before, state_of(c->speaker, &a));
    if (error == -ENOENT) {
        rpc_fail(call, RPC_NOT_FOUND, "address", "%s is no neighbour", text);
    } else if (error) {
        rpc_fail(call, RPC_CONFLICT, "address", error == -ENOTCONN
                 ? "there is no session with %s"
                 : "%s cannot send its routes again (RFC 2918)", text);
    } else {
        struct json_object *o = json_object_new_object();
        reply_bool(o, "done", true);
        rpc_reply(call, o);
    }
}

static void
reset(struct rpc_call *call, struct json_object *params)
{
    act(call, params, bgp_speaker_reset);
}

static void
refresh(struct rpc_call *call, struct json_object *params)
{
    act(call, params, bgp_speaker_refresh);
}

static const struct rpc_param address_params[] = {
    { "address", PARAM_STRING, true, "The neighbour's address.", NULL },
    { NULL, 0, false, NULL, NULL }
};

#define DONE "{\"type\":\"object\",\"required\":[\"done\"],"              \
             "\"properties\":{\"done\":{\"type\":\"boolean\"}}}"

#define STRING_OR_NULL "{\"type\":[\"string\",\"null\"]}"
#define OBJECT_OR_NULL "{\"type\":[\"object\",\"null\"]}"

const struct rpc_method methods_bgp[] = {
    {
        .name = "bgp.neighbors",
        .role = ROLE_VIEWER,
        .summary = "BGP neighbours: their state, what was agreed on, routes, "
                   "counters, and why a session ended last.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"neighbors\",\"listen\","
            "\"counters\"],\"properties\":{"
            "\"listen\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
            "\"counters\":{\"type\":\"object\"},"
            "\"neighbors\":{\"type\":\"array\",\"items\":{"
            "\"type\":\"object\",\"required\":[\"address\",\"state\","
            "\"remote_as\",\"routes\",\"counters\"],\"properties\":{"
            "\"address\":{\"type\":\"string\"},"
            "\"description\":" STRING_OR_NULL ","
            "\"state\":{\"enum\":[\"Idle\",\"Connect\",\"Active\","
            "\"OpenSent\",\"OpenConfirm\",\"Established\"]},"
            "\"waiting\":" STRING_OR_NULL ","
            "\"remote_as\":{\"type\":\"integer\"},"
            "\"last_error\":" OBJECT_OR_NULL ","
            "\"capabilities\":" OBJECT_OR_NULL ","
            "\"routes\":{\"type\":\"object\"},"
            "\"counters\":{\"type\":\"object\"}}}}}}",
        .example_result =
            "{\"neighbors\":[{\"address\":\"192.0.2.1\",\"description\":"
            "\"edge\",\"state\":\"Established\",\"waiting\":null,"
            "\"remote_as\":65001,\"local_as\":65000,\"remote_id\":"
            "\"192.0.2.1\",\"local_address\":\"192.0.2.5\",\"remote_port\":"
            "179,\"dynamic\":false,\"passive\":false,\"md5\":true,"
            "\"ttl_security\":0,\"changed\":\"2026-11-23T09:00:00Z\","
            "\"last_input\":\"2026-11-23T09:05:00Z\",\"hold_time_s\":90,"
            "\"keepalive_s\":30,\"families\":[\"ipv4-unicast\"],"
            "\"add_path\":[],\"complete\":[\"ipv4-unicast\"],\"stale\":[],"
            "\"four_octet_as\":true,\"extended_messages\":false,"
            "\"enhanced_refresh\":true,\"max_prefixes\":4000000,"
            "\"routes\":{\"ipv4-unicast\":980000},\"last_error\":null,"
            "\"capabilities\":{\"names\":[\"multiprotocol\","
            "\"four-octet-as\"],\"families\":[\"ipv4-unicast\"]},"
            "\"counters\":{\"updates_in\":240000,\"flaps\":0}}],"
            "\"listen\":[\"[::]:179\"],\"counters\":{\"strangers\":0}}",
        .call = neighbors,
    },
    {
        .name = "bgp.reset",
        .role = ROLE_OPERATOR,
        .summary = "Ends the session with a neighbour and sets it up anew; "
                   "also one that waits because it sent too much.",
        .params = address_params,
        .result_schema = DONE,
        .example_params = "{\"address\":\"192.0.2.1\"}",
        .example_result = "{\"done\":true}",
        .call = reset,
    },
    {
        .name = "bgp.refresh",
        .role = ROLE_OPERATOR,
        .summary = "Asks a neighbour for all its routes again (RFC 2918, "
                   "7313); the session goes on.",
        .params = address_params,
        .result_schema = DONE,
        .example_params = "{\"address\":\"192.0.2.1\"}",
        .example_result = "{\"done\":true}",
        .call = refresh,
    },
    {
        .name = "bmp.routers",
        .role = ROLE_VIEWER,
        .summary = "Routers that are connected by BMP, their peers, routes "
                   "and statistics.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"routers\",\"listen\","
            "\"counters\"],\"properties\":{"
            "\"listen\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
            "\"counters\":{\"type\":\"object\"},"
            "\"routers\":{\"type\":\"array\",\"items\":{"
            "\"type\":\"object\",\"required\":[\"address\",\"peers\","
            "\"counters\"],\"properties\":{"
            "\"address\":{\"type\":\"string\"},"
            "\"name\":" STRING_OR_NULL ","
            "\"description\":" STRING_OR_NULL ","
            "\"peers_up\":{\"type\":\"integer\"},"
            "\"counters\":{\"type\":\"object\"},"
            "\"peers\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"required\":[\"address\",\"state\",\"as\"],\"properties\":{"
            "\"address\":" STRING_OR_NULL ","
            "\"type\":" STRING_OR_NULL ","
            "\"state\":{\"enum\":[\"up\",\"down\"]},"
            "\"reason\":" STRING_OR_NULL ","
            "\"as\":{\"type\":\"integer\"},"
            "\"routes\":{\"type\":\"object\"},"
            "\"statistics\":{\"type\":\"object\"}}}}}}}}}",
        .example_result =
            "{\"routers\":[{\"address\":\"192.0.2.9\",\"port\":40000,"
            "\"name\":\"edge1\",\"description\":\"FRRouting 8.4.4\","
            "\"text\":null,\"version\":3,\"tls\":false,\"since\":"
            "\"2026-11-23T09:00:00Z\",\"last_input\":"
            "\"2026-11-23T09:05:00Z\",\"peers_up\":1,\"peers\":[{\"address\":"
            "\"198.51.100.1\",\"type\":\"global\",\"rd\":null,\"table\":null,"
            "\"state\":\"up\",\"reason\":null,\"as\":65001,\"id\":"
            "\"198.51.100.1\",\"local_address\":\"198.51.100.2\",\"since\":"
            "\"2026-11-23T09:00:00Z\",\"flaps\":0,\"updates\":1200,"
            "\"mirrored\":0,\"routes\":{\"in-pre\":{\"ipv4-unicast\":5000}},"
            "\"statistics\":{\"adj_rib_in\":5000},\"capabilities\":null}],"
            "\"counters\":{\"messages\":1230,\"malformed\":0}}],"
            "\"listen\":[\"[::]:11019\"],\"counters\":{\"accepted\":1}}",
        .call = routers,
    },
    { .name = NULL }
};
