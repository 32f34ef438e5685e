#include <config.h>

#include "api/route_json.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/methods.h"
#include "bgp/attribute.h"
#include "bgp/attrs.h"
#include "lib/addr.h"

#define TEXT_SIZE 65536

void
reply_address(struct json_object *o, const char *name, const struct addr *a)
{
    char buf[ADDR_STRLEN];
    reply_string(o, name, addr_is_zero(a) ? NULL : addr_format(a, buf));
}

static struct json_object *
path_to_json(const struct attrs *a)
{
    char text[TEXT_SIZE];
    attrs_format_path(a, text, sizeof text);
    return json_object_new_string(text);
}

static struct json_object *
communities_to_json(const struct bgp_attrs *a)
{
    struct json_object *list = json_object_new_array();
    char text[64];
    for (uint32_t i = 0; i < a->n_communities; i++) {
        snprintf(text, sizeof text, "%" PRIu32 ":%" PRIu32,
                 a->communities[i] >> 16, a->communities[i] & 0xffff);
        json_object_array_add(list, json_object_new_string(text));
    }
    return list;
}

static struct json_object *
large_to_json(const struct bgp_attrs *a)
{
    struct json_object *list = json_object_new_array();
    char text[64];
    for (uint32_t i = 0; i < a->n_large_communities; i++) {
        const uint32_t *l = a->large_communities[i];
        snprintf(text, sizeof text, "%" PRIu32 ":%" PRIu32 ":%" PRIu32, l[0],
                 l[1], l[2]);
        json_object_array_add(list, json_object_new_string(text));
    }
    return list;
}

static struct json_object *
ext_to_json(const struct bgp_attrs *a)
{
    struct json_object *list = json_object_new_array();
    char text[EXT_COMMUNITY_STRLEN];
    for (uint32_t i = 0; i < a->n_ext_communities; i++) {
        json_object_array_add(list, json_object_new_string(
            ext_community_format(a->ext_communities[i], text)));
    }
    return list;
}

void
route_put_attrs(struct json_object *o, const struct attrs *set,
                const struct bgp_attrs *a)
{
    static const char *const origins[] = { "igp", "egp", "incomplete" };
    json_object_object_add(o, "as_path", path_to_json(set));
    if (set->origin_as) {
        reply_uint(o, "origin_as", set->origin_as);
    }
    reply_string(o, "origin", a->has & BGP_HAS_ORIGIN && a->origin < 3
                              ? origins[a->origin] : NULL);
    reply_address(o, "next_hop", &a->next_hop);
    if (a->has & BGP_HAS_LOCAL_PREF) {
        reply_uint(o, "local_pref", a->local_pref);
    }
    if (a->has & BGP_HAS_MED) {
        reply_uint(o, "med", a->med);
    }
    if (a->has & BGP_HAS_AGGREGATOR) {
        reply_uint(o, "aggregator_as", a->aggregator_as);
        reply_address(o, "aggregator", &a->aggregator);
    }
    if (a->has & BGP_HAS_OTC) {
        reply_uint(o, "only_to_customer", a->otc);
    }
    if (a->has & BGP_HAS_LEAK) {
        reply_bool(o, "leak", true);
    }
    reply_bool(o, "atomic_aggregate", a->has & BGP_HAS_ATOMIC_AGGREGATE);
    json_object_object_add(o, "communities", communities_to_json(a));
    json_object_object_add(o, "large_communities", large_to_json(a));
    json_object_object_add(o, "ext_communities", ext_to_json(a));
}

void
route_put_nlri(struct json_object *o, const struct bgp_nlri *n)
{
    char text[64];
    if (n->rd || n->family == BGP_VPNV4 || n->family == BGP_VPNV6
        || n->family == BGP_EVPN) {
        reply_string(o, "rd", bgp_rd_format(n->rd, text));
    }
    if (n->path_id) {
        reply_uint(o, "path_id", n->path_id);
    }
    if (n->n_labels || n->label) {
        reply_uint(o, "label", n->label);
    }
    if (n->family == BGP_EVPN) {
        reply_uint(o, "evpn_type", n->evpn_type);
        reply_uint(o, "ethernet_tag", n->ethernet_tag);
        if (n->evpn_type == 2) {
            reply_string(o, "mac", mac_format(n->mac, text));
        }
        if (n->evpn_type == 5) {
            reply_address(o, "gateway", &n->gateway);
        }
    }
}
