/* api/route_json.h -- routes as JSON, as all methods show them. */
#ifndef API_ROUTE_JSON_H
#define API_ROUTE_JSON_H 1

#include <json-c/json.h>

struct addr;
struct attrs;
struct bgp_attrs;
struct bgp_nlri;

/* An address; null if it is zero. */
void reply_address(struct json_object *, const char *name,
                   const struct addr *);

/* Adds what a set of attributes says; 'a' is the same set, unpacked. */
void route_put_attrs(struct json_object *, const struct attrs *set,
                     const struct bgp_attrs *a);

/* What only some families have: rd, path_id, label, those of EVPN. */
void route_put_nlri(struct json_object *, const struct bgp_nlri *);

/* JSON Schema of what route_put_attrs() adds, and of families. */
#define ROUTE_ATTRS_SCHEMA                                              \
    "\"as_path\":{\"type\":\"string\"},"                               \
    "\"origin_as\":{\"type\":\"integer\"},"                            \
    "\"origin\":{\"enum\":[null,\"igp\",\"egp\",\"incomplete\"]},"     \
    "\"next_hop\":{\"type\":[\"string\",\"null\"]},"                   \
    "\"local_pref\":{\"type\":\"integer\"},"                           \
    "\"med\":{\"type\":\"integer\"},"                                  \
    "\"aggregator_as\":{\"type\":\"integer\"},"                        \
    "\"aggregator\":{\"type\":[\"string\",\"null\"]},"                 \
    "\"only_to_customer\":{\"type\":\"integer\"},"                     \
    "\"leak\":{\"type\":\"boolean\"},"                                 \
    "\"atomic_aggregate\":{\"type\":\"boolean\"},"                     \
    "\"communities\":{\"type\":\"array\"},"                            \
    "\"large_communities\":{\"type\":\"array\"},"                      \
    "\"ext_communities\":{\"type\":\"array\"}"
#define ROUTE_FAMILY_SCHEMA                                             \
    "{\"enum\":[\"ipv4-unicast\",\"ipv6-unicast\","                     \
    "\"ipv4-labeled-unicast\",\"ipv6-labeled-unicast\","                \
    "\"vpnv4-unicast\",\"vpnv6-unicast\",\"l2vpn-evpn\"]}"

#endif /* api/route_json.h */
