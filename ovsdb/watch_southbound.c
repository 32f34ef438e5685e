/* ovsdb/watch_southbound.c -- what OVN's Southbound database says: which
 * logical port has which addresses, in which network, on which chassis, and what
 * was learned on the way.  Logical_Flow, most of that database, is not read. */
#include "ovsdb/watch_p.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What is referred to comes first. */
enum { T_ENCAP, T_CHASSIS, T_DATAPATH, T_PORT, T_MAC, T_FDB };

static const struct schema_table tables[] = {
    [T_ENCAP] = { "Encap", true, false },
    [T_CHASSIS] = { "Chassis", true, false },
    [T_DATAPATH] = { "Datapath_Binding", true, false },
    [T_PORT] = { "Port_Binding", true, false },
    [T_MAC] = { "MAC_Binding", true, false },
    [T_FDB] = { "FDB", true, false },
};

#define COLUMNS(X)                                                        \
    X(ENCAP, IP, "ip", STRING, VOID, 1)                                   \
    X(CHASSIS, NAME, "name", STRING, VOID, 1)                             \
    X(CHASSIS, HOSTNAME, "hostname", STRING, VOID, 1)                     \
    X(CHASSIS, ENCAPS, "encaps", UUID, VOID, UINT_MAX)                    \
    X(DATAPATH, KEY, "tunnel_key", INTEGER, VOID, 1)                      \
    X(DATAPATH, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)   \
    X(PORT, NAME, "logical_port", STRING, VOID, 1)                        \
    X(PORT, TYPE, "type", STRING, VOID, 1)                                \
    X(PORT, KEY, "tunnel_key", INTEGER, VOID, 1)                          \
    X(PORT, DATAPATH, "datapath", UUID, VOID, 1)                          \
    X(PORT, CHASSIS, "chassis", UUID, VOID, 1)                            \
    X(PORT, MORE_CHASSIS, "additional_chassis", UUID, VOID, UINT_MAX)     \
    X(PORT, MAC, "mac", STRING, VOID, UINT_MAX)                           \
    X(PORT, PARENT, "parent_port", STRING, VOID, 1)                       \
    X(PORT, TAG, "tag", INTEGER, VOID, 1)                                 \
    X(PORT, VIRTUAL_PARENT, "virtual_parent", STRING, VOID, 1)            \
    X(PORT, OPTIONS, "options", STRING, STRING, UINT_MAX)                 \
    X(PORT, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)       \
    X(MAC, PORT, "logical_port", STRING, VOID, 1)                         \
    X(MAC, IP, "ip", STRING, VOID, 1)                                     \
    X(MAC, MAC, "mac", STRING, VOID, 1)                                   \
    X(MAC, DATAPATH, "datapath", UUID, VOID, 1)                           \
    X(FDB, MAC, "mac", STRING, VOID, 1)                                   \
    X(FDB, DP_KEY, "dp_key", INTEGER, VOID, 1)                            \
    X(FDB, PORT_KEY, "port_key", INTEGER, VOID, 1)

enum { WATCH_COLUMN_IDS(COLUMNS) N_C };

static const struct schema_column columns[] = { WATCH_COLUMN_WORDS(COLUMNS) };

/* "name2" is what people call it; "name" is neutron's uuid where there is
 * another one. */
static const char *
datapath_name(const struct feed *f, const struct ovsdb_idl_row *dp)
{
    const struct ovsdb_datum *ids = dp ? feed_read(
        f, dp, C_DATAPATH_EXTERNAL_IDS) : NULL;
    const char *name = ids ? map_get(ids, "name2") : NULL;
    name = ids && !(name && *name) ? map_get(ids, "name") : name;
    return name && *name ? name : NULL;
}

static bool
is_router(const struct feed *f, const struct ovsdb_idl_row *dp)
{
    const struct ovsdb_datum *ids = feed_read(f, dp,
                                              C_DATAPATH_EXTERNAL_IDS);
    return map_get(ids, "logical-router") != NULL;
}

void
southbound_datapaths(const struct feed *f,
                     void (*each)(void *aux, uint32_t key, const char *name),
                     void *aux)
{
    const struct ovsdb_idl_row *dp = ovsdb_idl_first_row(
        f->idl, &f->kind->class->tables[T_DATAPATH]);
    for (; dp; dp = ovsdb_idl_next_row(dp)) {
        int64_t key = feed_number(f, dp, C_DATAPATH_KEY);
        const char *name = datapath_name(f, dp);
        if (key > 0 && key <= UINT32_MAX >> 8 && name) {
            each(aux, (uint32_t) key, name);
        }
    }
}

static const char *
chassis_host(const struct feed *f, const struct ovsdb_idl_row *chassis)
{
    const char *host = feed_text(f, chassis, C_CHASSIS_HOSTNAME);
    return host ? host : feed_text(f, chassis, C_CHASSIS_NAME);
}

/* ---- Rows. ---- */

static void
tell_chassis(struct feed *f, const struct ovsdb_idl_row *row,
             struct sheet *s)
{
    const struct ovsdb_datum *encaps = feed_read(f, row, C_CHASSIS_ENCAPS);
    s->interface = feed_text(f, row, C_CHASSIS_NAME);
    sheet_say(s, BINDING_NAME, chassis_host(f, row));
    sheet_say(s, BINDING_HOST, chassis_host(f, row));
    sheet_say(s, BINDING_TYPE, "host");
    sheet_label(s, "chassis", s->interface);
    for (size_t i = 0; i < encaps->n; i++) {
        const struct ovsdb_idl_row *e = feed_row(f, T_ENCAP,
                                                 &encaps->keys[i].uuid);
        const char *ip = feed_text(f, e, C_ENCAP_IP);
        if (ip) {
            sheet_addresses(s, ip);
        }
    }
    feed_tell(f, &row->uuid, s);
}

/* A network, by the key that its packets have in a tunnel. */
static void
tell_datapath(struct feed *f, const struct ovsdb_idl_row *row,
              struct sheet *s)
{
    const char *name = datapath_name(f, row);
    if (!name) {
        feed_forget(f, &row->uuid);
        return;
    }
    sheet_say(s, BINDING_NAME, name);
    sheet_say(s, BINDING_NETWORK, name);
    sheet_say(s, BINDING_TYPE, is_router(f, row) ? "router" : "network");
    s->vni = (uint64_t) feed_number(f, row, C_DATAPATH_KEY);
    s->has_vni = s->vni != 0;
    feed_tell(f, &row->uuid, s);
}

/* neutron's device_owner, "compute:nova" or "network:dhcp", as our type. */
static const char *
type_of_owner(const char *owner)
{
    static const struct {
        const char *prefix, *type;
    } types[] = {
        { "compute:", "vm" }, { "baremetal:", "host" },
        { "network:router", "router" }, { "network:dhcp", "dhcp" },
        { "network:distributed", "dhcp" }, { "network:floatingip", "nat" },
        { "Octavia", "service" }, { "neutron:LOADBALANCER", "service" },
        { "trunk:subport", "container" },
    };
    for (size_t i = 0; owner && i < ARRAY_SIZE(types); i++) {
        if (!strncmp(owner, types[i].prefix, strlen(types[i].prefix))) {
            return types[i].type;
        }
    }
    return NULL;
}

void
ovn_port_says(struct feed *f, const struct ovsdb_datum *ids,
              const char *table, const char *name, struct sheet *s)
{
    const char *pod = map_get(ids, "pod"), *ns = map_get(ids, "namespace");
    const char *slash = pod ? strchr(pod, '/') : NULL;
    sheet_apply(s, f->watch->rules, table, "external_ids", ids);
    if (slash && slash > pod) {         /* kube-ovn: "namespace/pod". */
        sheet_say(s, BINDING_NAME, slash + 1);
        sheet_say(s, BINDING_TENANT,
                  sheet_copy(s, pod, (size_t) (slash - pod)));
        sheet_say(s, BINDING_TYPE, "pod");
    } else if (pod && name && ns) {     /* ovn-kubernetes: NAMESPACE_POD. */
        const char *at = strstr(name, ns);
        size_t n = strlen(ns);
        if (at && at[n] == '_' && at[n + 1]) {
            sheet_say(s, BINDING_NAME, at + n + 1);
        }
        sheet_say(s, BINDING_TYPE, "pod");
    }
    sheet_say(s, BINDING_TYPE,
              type_of_owner(map_get(ids, "neutron:device_owner")));
    sheet_say(s, BINDING_NAME, map_get(ids, "name"));
}

/* Where it is: on its chassis; while it moves, its next one is a label, not a
 * second endpoint. */
static void
say_chassis(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    const struct ovsdb_datum *more = feed_read(f, row, C_PORT_MORE_CHASSIS);
    const struct ovsdb_idl_row *chassis = feed_ref(f, row, C_PORT_CHASSIS,
                                                   T_CHASSIS);
    const char *host = chassis_host(f, chassis);
    if (host) {
        s->text[BINDING_HOST] = host;   /* Before what neutron wished. */
    }
    for (size_t i = 0; i < more->n; i++) {
        const struct ovsdb_idl_row *other = feed_row(f, T_CHASSIS,
                                                     &more->keys[i].uuid);
        if (other && other != chassis) {
            sheet_label(s, "moving-to", chassis_host(f, other));
        }
    }
}

/* The end of a router by its name. */
static const struct ovsdb_idl_row *
patch_by_name(const struct feed *f, const char *name)
{
    struct link *l;
    HMAP_FOR_EACH_WITH_HASH (l, node, name ? hash_string(name, 0) : 0,
                             &f->names) {
        const struct ovsdb_idl_row *row = feed_row(f, T_PORT, &l->to);
        const char *own = feed_text(f, row, C_PORT_NAME);
        if (own && name && !strcmp(own, name)) {
            return row;
        }
    }
    return NULL;
}

/* A switch calls the addresses of its end of a router "router": they are those
 * of the other end. */
static void
say_addresses(struct feed *f, const struct ovsdb_idl_row *row,
              struct sheet *s)
{
    const struct ovsdb_datum *d = row ? feed_read(f, row, C_PORT_MAC) : NULL;
    for (size_t i = 0; d && i < d->n; i++) {
        sheet_ovn_address(s, json_string(d->keys[i].s));
    }
}

static void
tell_port(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    const struct ovsdb_idl_row *dp = feed_ref(f, row, C_PORT_DATAPATH,
                                              T_DATAPATH);
    const char *name = feed_text(f, row, C_PORT_NAME);
    const char *type = feed_text(f, row, C_PORT_TYPE);
    const char *peer = map_get(feed_read(f, row, C_PORT_OPTIONS), "peer");
    /* The ends of routers are told by the switch that they are in; localnet
     * ports are everybody who is outside. */
    if (!name || !dp || is_router(f, dp)
        || (type && (!strcmp(type, "localnet") || !strcmp(type, "l2gateway")
                     || !strcmp(type, "vtep")))) {
        feed_forget(f, &row->uuid);
        return;
    }
    s->interface = name;
    say_addresses(f, row, s);
    if (peer) {
        say_addresses(f, patch_by_name(f, peer), s);
    }
    ovn_port_says(f, feed_read(f, row, C_PORT_EXTERNAL_IDS), "Port_Binding",
                  name, s);
    if (type && !strcmp(type, "patch")) {
        sheet_say(s, BINDING_TYPE, "router");
        sheet_say(s, BINDING_NAME, peer);
    }
    sheet_say(s, BINDING_TYPE, type && !strcmp(type, "virtual") ? "virtual"
                               : NULL);
    sheet_say(s, BINDING_NAME, name);
    /* One name for a network, whoever tells of its ports. */
    s->text[BINDING_NETWORK] = NULL;
    sheet_say(s, BINDING_NETWORK, datapath_name(f, dp));
    say_chassis(f, row, s);
    sheet_label(s, "parent-port", feed_text(f, row, C_PORT_PARENT));
    sheet_label(s, "virtual-parent", feed_text(f, row,
                                               C_PORT_VIRTUAL_PARENT));
    feed_tell(f, &row->uuid, s);
}

/* The network of a router's port is that of the switch at its other end; its
 * own datapath is the router. */
static const struct ovsdb_idl_row *
datapath_beyond(const struct feed *f, const char *port)
{
    const struct ovsdb_idl_row *row = patch_by_name(f, port);
    const char *peer = row ? map_get(feed_read(f, row, C_PORT_OPTIONS),
                                     "peer") : NULL;
    return feed_ref(f, patch_by_name(f, peer), C_PORT_DATAPATH, T_DATAPATH);
}

/* What a router has learned of its neighbours. */
static void
tell_mac(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    const char *ip = feed_text(f, row, C_MAC_IP);
    const char *mac = feed_text(f, row, C_MAC_MAC);
    const struct ovsdb_idl_row *dp = datapath_beyond(
        f, feed_text(f, row, C_MAC_PORT));
    dp = dp ? dp : feed_ref(f, row, C_MAC_DATAPATH, T_DATAPATH);
    s->learned = true;
    if (ip) {
        sheet_addresses(s, ip);
    }
    if (mac) {
        sheet_macs(s, mac);
    }
    sheet_say(s, BINDING_TYPE, "neighbour");
    sheet_say(s, BINDING_NETWORK, datapath_name(f, dp));
    sheet_label(s, "learned-by", feed_text(f, row, C_MAC_PORT));
    feed_tell(f, &row->uuid, s);
}

/* Datapaths and ports by their keys, for FDB. */
static void
key_name(char *buf, size_t size, int64_t dp, int64_t port)
{
    snprintf(buf, size, "%"PRId64" %"PRId64, dp, port);
}

static const struct ovsdb_idl_row *
port_by_key(const struct feed *f, int64_t dp_key, int64_t port_key)
{
    char key[48];
    struct link *l;
    key_name(key, sizeof key, dp_key, port_key);
    HMAP_FOR_EACH_WITH_HASH (l, node, hash_string(key, 0), &f->names) {
        const struct ovsdb_idl_row *row = feed_row(f, T_PORT, &l->to);
        const struct ovsdb_idl_row *dp = feed_ref(f, row, C_PORT_DATAPATH,
                                                  T_DATAPATH);
        if (dp && feed_number(f, dp, C_DATAPATH_KEY) == dp_key
            && feed_number(f, row, C_PORT_KEY) == port_key) {
            return row;
        }
    }
    return NULL;
}

/* A MAC address learned behind a port: whoever has it is behind that port. */
static void
tell_fdb(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    int64_t dp_key = feed_number(f, row, C_FDB_DP_KEY);
    const struct ovsdb_idl_row *port = port_by_key(
        f, dp_key, feed_number(f, row, C_FDB_PORT_KEY));
    const char *mac = feed_text(f, row, C_FDB_MAC);
    if (!port || !mac) {
        feed_forget(f, &row->uuid);
        return;
    }
    const struct ovsdb_idl_row *dp = feed_ref(f, port, C_PORT_DATAPATH,
                                              T_DATAPATH);
    const char *type = feed_text(f, port, C_PORT_TYPE);
    s->learned = true;
    sheet_macs(s, mac);
    if (!type) {
        ovn_port_says(f, feed_read(f, port, C_PORT_EXTERNAL_IDS),
                      "Port_Binding", feed_text(f, port, C_PORT_NAME), s);
        s->n_addresses = 0;             /* Those are the port's own. */
        sheet_say(s, BINDING_NAME, feed_text(f, port, C_PORT_NAME));
        say_chassis(f, port, s);
    }
    sheet_say(s, BINDING_NETWORK, datapath_name(f, dp));
    sheet_label(s, "learned-at", feed_text(f, port, C_PORT_NAME));
    feed_tell(f, &row->uuid, s);
}

static void
name_port(struct feed *f, const struct ovsdb_idl_row *row)
{
    const struct ovsdb_idl_row *dp = feed_ref(f, row, C_PORT_DATAPATH,
                                              T_DATAPATH);
    char key[48];
    if (dp) {
        key_name(key, sizeof key, feed_number(f, dp, C_DATAPATH_KEY),
                 feed_number(f, row, C_PORT_KEY));
        feed_name(f, key, &row->uuid);
    }
    if (map_get(feed_read(f, row, C_PORT_OPTIONS), "peer")) {
        feed_name(f, feed_text(f, row, C_PORT_NAME), &row->uuid);
    }
}

/* The end of a router in a switch has its addresses from the other end. */
static void
tell_peer(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    const struct ovsdb_idl_row *dp = feed_ref(f, row, C_PORT_DATAPATH,
                                              T_DATAPATH);
    const char *peer = map_get(feed_read(f, row, C_PORT_OPTIONS), "peer");
    const struct ovsdb_idl_row *other = dp && peer && is_router(f, dp)
                                        ? patch_by_name(f, peer) : NULL;
    if (other) {
        sheet_clear(s, &f->n);
        tell_port(f, other, s);
    }
}

static void
southbound_row(struct feed *f, unsigned int table,
               const struct ovsdb_idl_row *row, struct sheet *s)
{
    switch (table) {
    case T_CHASSIS:
        tell_chassis(f, row, s);
        if (!f->passing && (feed_modified(f, row, C_CHASSIS_HOSTNAME)
                            || feed_modified(f, row, C_CHASSIS_NAME))) {
            feed_again(f);
        }
        break;
    case T_DATAPATH:
        tell_datapath(f, row, s);
        watch_why_changed(f->watch);
        if (!f->passing && (feed_modified(f, row, C_DATAPATH_KEY)
                            || feed_modified(f, row,
                                             C_DATAPATH_EXTERNAL_IDS))) {
            feed_again(f);
        }
        break;
    case T_PORT:
        name_port(f, row);
        tell_port(f, row, s);
        tell_peer(f, row, s);
        break;
    case T_MAC:
        tell_mac(f, row, s);
        break;
    case T_FDB:
        tell_fdb(f, row, s);
        break;
    default:
        break;
    }
}

static void
southbound_gone(struct feed *f, unsigned int table, const struct uuid *uuid)
{
    (void) uuid;
    if (table == T_DATAPATH) {
        watch_why_changed(f->watch);
    }
}

struct feed_kind feed_southbound = {
    .database = "OVN_Southbound",
    .tables = tables, .n_tables = ARRAY_SIZE(tables),
    .columns = columns, .n_columns = N_C,
    .row = southbound_row, .gone = southbound_gone,
};
