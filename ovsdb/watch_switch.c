/* ovsdb/watch_switch.c -- what Open vSwitch's own database says of who is
 * behind a port. */
#include "ovsdb/watch_p.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Parents come before what is in them. */
enum { T_SWITCH, T_BRIDGE, T_PORT, T_INTERFACE };

static const struct schema_table tables[] = {
    [T_SWITCH] = { "Open_vSwitch", true, true },
    [T_BRIDGE] = { "Bridge", true, false },
    [T_PORT] = { "Port", true, false },
    [T_INTERFACE] = { "Interface", true, false },
};

/* X(table, id, name, type of a key, type of a value, at most) */
#define COLUMNS(X)                                                      \
    X(SWITCH, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)   \
    X(BRIDGE, NAME, "name", STRING, VOID, 1)                            \
    X(BRIDGE, PORTS, "ports", UUID, VOID, UINT_MAX)                     \
    X(BRIDGE, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)   \
    X(PORT, INTERFACES, "interfaces", UUID, VOID, UINT_MAX)             \
    X(PORT, TAG, "tag", INTEGER, VOID, 1)                               \
    X(PORT, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)     \
    X(PORT, OTHER_CONFIG, "other_config", STRING, STRING, UINT_MAX)     \
    X(INTERFACE, NAME, "name", STRING, VOID, 1)                         \
    X(INTERFACE, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)

enum { WATCH_COLUMN_IDS(COLUMNS) N_C };

static const struct schema_column columns[] = { WATCH_COLUMN_WORDS(COLUMNS) };

/* The host that this database is of. */
static const struct ovsdb_idl_row *
the_switch(const struct feed *f)
{
    return ovsdb_idl_first_row(f->idl, &f->kind->class->tables[T_SWITCH]);
}

static const char *
host_name(const struct ovsdb_datum *ids)
{
    const char *name = map_get(ids, "hostname");
    return name && *name ? name : map_get(ids, "system-id");
}

/* The host itself has the address by which tunnels reach it. */
static void
tell_host(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    const struct ovsdb_datum *ids = feed_read(f, row,
                                              C_SWITCH_EXTERNAL_IDS);
    const char *encap = map_get(ids, "ovn-encap-ip");
    if (!encap) {
        feed_forget(f, &row->uuid);
        return;
    }
    s->interface = map_get(ids, "system-id");
    sheet_say(s, BINDING_NAME, host_name(ids));
    sheet_say(s, BINDING_HOST, host_name(ids));
    sheet_say(s, BINDING_TYPE, "host");
    sheet_addresses(s, encap);
    feed_tell(f, &row->uuid, s);
}

/* Networks whose VNI the ports of a host tell (neutron ML2): each is told once,
 * as long as one port has it. */

static bool
is_overlay(const char *type)
{
    static const char *const types[] = { "vxlan", "geneve", "gre", "stt" };
    for (size_t i = 0; type && i < ARRAY_SIZE(types); i++) {
        if (!strcmp(types[i], type)) {
            return true;
        }
    }
    return false;
}

static bool
network_in_use(const struct feed *f, const struct uuid *net)
{
    struct link *l;
    HMAP_FOR_EACH (l, node, &f->networks) {
        if (uuid_equals(&l->to, net)) {
            return true;
        }
    }
    return false;
}

static void
leave_network(struct feed *f, const struct uuid *port)
{
    const struct uuid *net = link_get(&f->networks, port);
    if (net) {
        struct uuid old = *net;
        link_remove(&f->networks, port);
        if (!network_in_use(f, &old)) {
            feed_forget(f, &old);
        }
    }
}

static void
tell_network(struct feed *f, const struct ovsdb_idl_row *port,
             struct sheet *s)
{
    const struct ovsdb_datum *d = feed_read(f, port, C_PORT_OTHER_CONFIG);
    const char *net = map_get(d, "net_uuid");
    const char *segment = map_get(d, "segmentation_id");
    struct uuid uuid;
    unsigned long long vni;
    if (!net || !segment || !is_overlay(map_get(d, "network_type"))
        || !uuid_from_string(&uuid, net)
        || !str_to_ullong(segment, 10, &vni)) {
        leave_network(f, &port->uuid);
        return;
    }
    const struct uuid *old = link_get(&f->networks, &port->uuid);
    if (old && !uuid_equals(old, &uuid)) {
        leave_network(f, &port->uuid);
    }
    link_set(&f->networks, &port->uuid, &uuid);
    sheet_say(s, BINDING_NAME, net);
    sheet_say(s, BINDING_NETWORK, net);
    sheet_say(s, BINDING_TYPE, "network");
    s->vni = vni;
    s->has_vni = true;
    feed_tell(f, &uuid, s);
}

/* ovn-kubernetes names a port NAMESPACE_POD; neither has an underscore, but the
 * name of a user-defined network may come first. */
static void
split_iface_id(struct sheet *s, const struct ovsdb_datum *ids)
{
    const char *id = s->interface, *pod = id ? strrchr(id, '_') : NULL;
    if (!pod || !map_get(ids, "sandbox") || pod == id || !pod[1]) {
        return;
    }
    const char *ns = pod;
    while (ns > id && ns[-1] != '_') {
        ns--;
    }
    sheet_say(s, BINDING_NAME, pod + 1);
    sheet_say(s, BINDING_TENANT, sheet_copy(s, ns, (size_t) (pod - ns)));
}

/* Addresses hold in a network: where nobody names it, that is the bridge and
 * the VLAN. */
static void
say_network(struct feed *f, const struct ovsdb_idl_row *port,
            const char *bridge, struct sheet *s)
{
    const struct ovsdb_datum *tag = port ? feed_read(f, port, C_PORT_TAG)
                                         : NULL;
    if (!s->text[BINDING_NETWORK] && bridge && tag && tag->n) {
        char *name = xasprintf("%s.%"PRId64, bridge, tag->keys[0].integer);
        sheet_say(s, BINDING_NETWORK, sheet_copy(s, name, strlen(name)));
        free(name);
    }
    sheet_say(s, BINDING_NETWORK, bridge);
}

static void
tell_interface(struct feed *f, const struct ovsdb_idl_row *row,
               struct sheet *s)
{
    const struct watch_ruleset *rules = f->watch->rules;
    const struct ovsdb_idl_row *port = feed_row(
        f, T_PORT, link_get(&f->parents, &row->uuid));
    const struct ovsdb_idl_row *bridge = port ? feed_row(
        f, T_BRIDGE, link_get(&f->parents, &port->uuid)) : NULL;
    const struct ovsdb_datum *ids = feed_read(f, row,
                                              C_INTERFACE_EXTERNAL_IDS);
    const char *name = feed_text(f, row, C_INTERFACE_NAME);
    const char *bridge_name = feed_text(f, bridge, C_BRIDGE_NAME);

    sheet_apply(s, rules, "Interface", "external_ids", ids);
    if (port) {
        sheet_apply(s, rules, "Port", "external_ids",
                    feed_read(f, port, C_PORT_EXTERNAL_IDS));
        sheet_apply(s, rules, "Port", "other_config",
                    feed_read(f, port, C_PORT_OTHER_CONFIG));
    }
    /* Statistics of a port with no more to say: not anybody's. */
    if (s->inactive || !(s->interface || s->text[BINDING_NAME]
                         || s->text[BINDING_TYPE]
                         || s->n_macs || s->n_addresses)) {
        feed_forget(f, &row->uuid);
        return;
    }
    if (bridge) {
        sheet_apply(s, rules, "Bridge", "external_ids",
                    feed_read(f, bridge, C_BRIDGE_EXTERNAL_IDS));
    }
    split_iface_id(s, ids);
    sheet_say(s, BINDING_NAME, s->interface);
    sheet_say(s, BINDING_NAME, name);
    say_network(f, port, bridge_name, s);
    const struct ovsdb_idl_row *host = the_switch(f);
    sheet_say(s, BINDING_HOST, host ? host_name(feed_read(
                                          f, host, C_SWITCH_EXTERNAL_IDS))
                                    : NULL);
    sheet_say(s, BINDING_BRIDGE, bridge_name);
    sheet_say(s, BINDING_PORT, name);
    s->by_port = bridge_name && name;
    feed_tell(f, &row->uuid, s);
}

/* The interfaces of a port, for what is said of the port. */
static void
tell_interfaces(struct feed *f, const struct ovsdb_idl_row *port,
                struct sheet *s)
{
    const struct ovsdb_datum *d = feed_read(f, port, C_PORT_INTERFACES);
    for (size_t i = 0; i < d->n; i++) {
        const struct ovsdb_idl_row *row = feed_row(f, T_INTERFACE,
                                                   &d->keys[i].uuid);
        if (row) {
            sheet_clear(s, &f->n);
            tell_interface(f, row, s);
        }
    }
}

/* A port that went to another bridge. */
static void
tell_port(struct feed *f, const struct uuid *uuid)
{
    const struct ovsdb_idl_row *port = feed_row(f, T_PORT, uuid);
    if (port) {
        tell_interfaces(f, port, &f->watch->sheet);
    }
}

static void
switch_row(struct feed *f, unsigned int table,
           const struct ovsdb_idl_row *row, struct sheet *s)
{
    switch (table) {
    case T_SWITCH:
        tell_host(f, row, s);
        if (!f->passing) {
            feed_again(f);      /* The host's name. */
        }
        break;
    case T_BRIDGE:
        feed_adopt(f, row, C_BRIDGE_PORTS, tell_port);
        if (!f->passing && (feed_modified(f, row, C_BRIDGE_NAME)
                            || feed_modified(f, row,
                                             C_BRIDGE_EXTERNAL_IDS))) {
            feed_again(f);
        }
        break;
    case T_PORT:
        feed_adopt(f, row, C_PORT_INTERFACES, NULL);
        tell_network(f, row, s);
        if (!f->passing) {
            tell_interfaces(f, row, s);
        }
        break;
    case T_INTERFACE:
        tell_interface(f, row, s);
        break;
    default:
        break;
    }
}

static void
switch_gone(struct feed *f, unsigned int table, const struct uuid *uuid)
{
    link_remove(&f->parents, uuid);
    if (table == T_PORT) {
        leave_network(f, uuid);
    }
}

struct feed_kind feed_switch = {
    .database = "Open_vSwitch",
    .tables = tables, .n_tables = ARRAY_SIZE(tables),
    .columns = columns, .n_columns = N_C,
    .row = switch_row, .gone = switch_gone,
};
