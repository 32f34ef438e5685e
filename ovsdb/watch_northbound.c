/* ovsdb/watch_northbound.c -- what OVN's Northbound database says: what people
 * and orchestrators call things, addresses of NAT and load balancers, and why a
 * packet was sampled. */
#include "ovsdb/watch_p.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What is referred to comes first. */
enum { T_GLOBAL, T_SWITCH, T_ROUTER, T_ROUTER_PORT, T_PORT, T_NAT, T_LB,
       T_GROUP, T_APP, T_SAMPLE, T_ACL };

static const struct schema_table tables[] = {
    [T_GLOBAL] = { "NB_Global", true, true },
    [T_SWITCH] = { "Logical_Switch", true, false },
    [T_ROUTER] = { "Logical_Router", true, false },
    [T_ROUTER_PORT] = { "Logical_Router_Port", true, false },
    [T_PORT] = { "Logical_Switch_Port", true, false },
    [T_NAT] = { "NAT", true, false },
    [T_LB] = { "Load_Balancer", true, false },
    [T_GROUP] = { "Port_Group", true, false },
    [T_APP] = { "Sampling_App", true, false },
    [T_SAMPLE] = { "Sample", true, false },
    [T_ACL] = { "ACL", true, false },
};

#define COLUMNS(X)                                                          \
    X(GLOBAL, OPTIONS, "options", STRING, STRING, UINT_MAX)                 \
    X(SWITCH, NAME, "name", STRING, VOID, 1)                                \
    X(SWITCH, PORTS, "ports", UUID, VOID, UINT_MAX)                         \
    X(SWITCH, ACLS, "acls", UUID, VOID, UINT_MAX)                           \
    X(SWITCH, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)       \
    X(ROUTER, NAME, "name", STRING, VOID, 1)                                \
    X(ROUTER, PORTS, "ports", UUID, VOID, UINT_MAX)                         \
    X(ROUTER, NAT, "nat", UUID, VOID, UINT_MAX)                             \
    X(ROUTER, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)       \
    X(ROUTER_PORT, NAME, "name", STRING, VOID, 1)                           \
    X(ROUTER_PORT, MAC, "mac", STRING, VOID, 1)                             \
    X(ROUTER_PORT, NETWORKS, "networks", STRING, VOID, UINT_MAX)            \
    X(PORT, NAME, "name", STRING, VOID, 1)                                  \
    X(PORT, TYPE, "type", STRING, VOID, 1)                                  \
    X(PORT, ADDRESSES, "addresses", STRING, VOID, UINT_MAX)                 \
    X(PORT, DYNAMIC, "dynamic_addresses", STRING, VOID, 1)                  \
    X(PORT, OPTIONS, "options", STRING, STRING, UINT_MAX)                   \
    X(PORT, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)         \
    X(NAT, TYPE, "type", STRING, VOID, 1)                                   \
    X(NAT, EXTERNAL_IP, "external_ip", STRING, VOID, 1)                     \
    X(NAT, EXTERNAL_MAC, "external_mac", STRING, VOID, 1)                   \
    X(NAT, LOGICAL_IP, "logical_ip", STRING, VOID, 1)                       \
    X(NAT, LOGICAL_PORT, "logical_port", STRING, VOID, 1)                   \
    X(NAT, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)          \
    X(LB, NAME, "name", STRING, VOID, 1)                                    \
    X(LB, VIPS, "vips", STRING, STRING, UINT_MAX)                           \
    X(LB, PROTOCOL, "protocol", STRING, VOID, 1)                            \
    X(LB, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)           \
    X(GROUP, NAME, "name", STRING, VOID, 1)                                 \
    X(GROUP, ACLS, "acls", UUID, VOID, UINT_MAX)                            \
    X(GROUP, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)        \
    X(APP, TYPE, "type", STRING, VOID, 1)                                   \
    X(APP, ID, "id", INTEGER, VOID, 1)                                      \
    X(SAMPLE, METADATA, "metadata", INTEGER, VOID, 1)                       \
    X(ACL, NAME, "name", STRING, VOID, 1)                                   \
    X(ACL, ACTION, "action", STRING, VOID, 1)                               \
    X(ACL, DIRECTION, "direction", STRING, VOID, 1)                         \
    X(ACL, PRIORITY, "priority", INTEGER, VOID, 1)                          \
    X(ACL, MATCH, "match", STRING, VOID, 1)                                 \
    X(ACL, LABEL, "label", INTEGER, VOID, 1)                                \
    X(ACL, SAMPLE_NEW, "sample_new", UUID, VOID, 1)                         \
    X(ACL, SAMPLE_EST, "sample_est", UUID, VOID, 1)                         \
    X(ACL, EXTERNAL_IDS, "external_ids", STRING, STRING, UINT_MAX)

enum { WATCH_COLUMN_IDS(COLUMNS) N_C };

static const struct schema_column columns[] = { WATCH_COLUMN_WORDS(COLUMNS) };

/* What people call a switch; ports are in the network of that name. */
static const char *
switch_name(const struct feed *f, const struct ovsdb_idl_row *row)
{
    const struct ovsdb_datum *ids = row ? feed_read(
        f, row, C_SWITCH_EXTERNAL_IDS) : NULL;
    const char *name = ids ? map_get(ids, "neutron:network_name") : NULL;
    return name && *name ? name : feed_text(f, row, C_SWITCH_NAME);
}

static const char *
router_name(const struct feed *f, const struct ovsdb_idl_row *row)
{
    const struct ovsdb_datum *ids = row ? feed_read(
        f, row, C_ROUTER_EXTERNAL_IDS) : NULL;
    const char *name = ids ? map_get(ids, "neutron:router_name") : NULL;
    return name && *name ? name : feed_text(f, row, C_ROUTER_NAME);
}

/* Rows by name: of ports of switches and routers.  Names are the text's own
 * hash here and compared in the row. */
static const struct ovsdb_idl_row *
row_by_name(const struct feed *f, unsigned int table, unsigned int column,
            const char *name)
{
    struct link *l;
    HMAP_FOR_EACH_WITH_HASH (l, node, hash_string(name, 0), &f->names) {
        const struct ovsdb_idl_row *row = feed_row(f, table, &l->to);
        const char *own = feed_text(f, row, column);
        if (own && !strcmp(own, name)) {
            return row;
        }
    }
    return NULL;
}

/* ---- Rows. ---- */

static const struct ovsdb_idl_row *
parent_of(const struct feed *f, unsigned int table,
          const struct ovsdb_idl_row *row)
{
    return feed_row(f, table, link_get(&f->parents, &row->uuid));
}

/* The end of a router in a switch is called after the router. */
static void
say_router(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    const char *peer = map_get(feed_read(f, row, C_PORT_OPTIONS),
                               "router-port");
    const struct ovsdb_idl_row *lrp = peer ? row_by_name(
        f, T_ROUTER_PORT, C_ROUTER_PORT_NAME, peer) : NULL;
    const struct ovsdb_idl_row *router = lrp ? parent_of(f, T_ROUTER, lrp)
                                             : NULL;
    sheet_say(s, BINDING_TYPE, "router");
    if (router) {
        sheet_apply(s, f->watch->rules, "Logical_Router", "external_ids",
                    feed_read(f, router, C_ROUTER_EXTERNAL_IDS));
        sheet_say(s, BINDING_NAME, router_name(f, router));
    }
    if (lrp && !f->watch->sb) {
        const struct ovsdb_datum *d = feed_read(f, lrp,
                                                C_ROUTER_PORT_NETWORKS);
        const char *mac = feed_text(f, lrp, C_ROUTER_PORT_MAC);
        for (size_t i = 0; i < d->n; i++) {
            sheet_addresses(s, json_string(d->keys[i].s));
        }
        if (mac) {
            sheet_macs(s, mac);
        }
    }
}

/* Where the Southbound database is watched, too, the keys are told there, and
 * this is what more is known of the same port. */
static void
tell_port(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    const struct ovsdb_idl_row *ls = parent_of(f, T_SWITCH, row);
    const char *type = feed_text(f, row, C_PORT_TYPE);
    const char *name = feed_text(f, row, C_PORT_NAME);
    if (!name || !ls || (type && (!strcmp(type, "localnet")
                                  || !strcmp(type, "l2gateway")
                                  || !strcmp(type, "vtep")))) {
        feed_forget(f, &row->uuid);
        return;
    }
    s->interface = name;
    if (type && !strcmp(type, "router")) {
        say_router(f, row, s);
    }
    ovn_port_says(f, feed_read(f, row, C_PORT_EXTERNAL_IDS),
                  "Logical_Switch_Port", name, s);
    if (f->watch->sb) {
        s->n_addresses = s->n_macs = 0;
    } else {
        const struct ovsdb_datum *d = feed_read(f, row, C_PORT_ADDRESSES);
        const char *dynamic = feed_text(f, row, C_PORT_DYNAMIC);
        for (size_t i = 0; i < d->n; i++) {
            sheet_ovn_address(s, json_string(d->keys[i].s));
        }
        if (dynamic) {
            sheet_ovn_address(s, dynamic);
        }
    }
    sheet_apply(s, f->watch->rules, "Logical_Switch", "external_ids",
                feed_read(f, ls, C_SWITCH_EXTERNAL_IDS));
    sheet_say(s, BINDING_NETWORK, switch_name(f, ls));
    feed_tell(f, &row->uuid, s);
}

/* The address that an endpoint has outside; of many (snat), the router's. */
static void
tell_nat(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    const struct ovsdb_idl_row *router = parent_of(f, T_ROUTER, row);
    const struct ovsdb_datum *ids = feed_read(f, row, C_NAT_EXTERNAL_IDS);
    const char *ip = feed_text(f, row, C_NAT_EXTERNAL_IP);
    const char *mac = feed_text(f, row, C_NAT_EXTERNAL_MAC);
    const char *type = feed_text(f, row, C_NAT_TYPE);
    const char *port = feed_text(f, row, C_NAT_LOGICAL_PORT);
    port = port ? port : map_get(ids, "neutron:fip_port_id");
    const struct ovsdb_idl_row *lsp = port ? row_by_name(
        f, T_PORT, C_PORT_NAME, port) : NULL;

    sheet_apply(s, f->watch->rules, "NAT", "external_ids", ids);
    if (lsp) {
        ovn_port_says(f, feed_read(f, lsp, C_PORT_EXTERNAL_IDS),
                      "Logical_Switch_Port", port, s);
        s->n_addresses = s->n_macs = 0;
        sheet_say(s, BINDING_NAME, port);
        sheet_label(s, "logical-port", port);
    }
    if (router && type && !strcmp(type, "snat")) {
        sheet_apply(s, f->watch->rules, "Logical_Router", "external_ids",
                    feed_read(f, router, C_ROUTER_EXTERNAL_IDS));
        sheet_say(s, BINDING_NAME, router_name(f, router));
    }
    sheet_say(s, BINDING_NAME, feed_text(f, row, C_NAT_LOGICAL_IP));
    s->text[BINDING_TYPE] = "nat";
    s->text[BINDING_NETWORK] = NULL;    /* It is outside. */
    sheet_label(s, "nat", type);
    sheet_label(s, "logical-ip", feed_text(f, row, C_NAT_LOGICAL_IP));
    sheet_label(s, "router", router_name(f, router));
    if (ip) {
        sheet_addresses(s, ip);
    }
    if (mac) {
        sheet_macs(s, mac);
    }
    feed_tell(f, &row->uuid, s);
}

/* The address of "10.0.0.1:80" or "[fd00::1]:80". */
static void
say_vip(struct sheet *s, const char *vip)
{
    char buf[64];
    bool six = vip[0] == '[';
    const char *from = vip + six;
    size_t n = six ? strcspn(from, "]")
               : strchr(from, ':') == strrchr(from, ':')
               ? strcspn(from, ":") : strlen(from);
    snprintf(buf, sizeof buf, "%.*s", (int) MIN(n, sizeof buf - 1), from);
    sheet_addresses(s, buf);
}

static void
tell_lb(struct feed *f, const struct ovsdb_idl_row *row, struct sheet *s)
{
    const struct ovsdb_datum *vips = feed_read(f, row, C_LB_VIPS);
    const struct ovsdb_datum *ids = feed_read(f, row, C_LB_EXTERNAL_IDS);
    const char *owner = map_get(ids, "k8s.ovn.org/owner");
    const char *slash = owner ? strchr(owner, '/') : NULL;
    for (size_t i = 0; i < vips->n; i++) {
        say_vip(s, json_string(vips->keys[i].s));
    }
    sheet_apply(s, f->watch->rules, "Load_Balancer", "external_ids", ids);
    if (slash && slash > owner) {
        sheet_say(s, BINDING_NAME, slash + 1);
        sheet_say(s, BINDING_TENANT,
                  sheet_copy(s, owner, (size_t) (slash - owner)));
    }
    sheet_say(s, BINDING_NAME, feed_text(f, row, C_LB_NAME));
    sheet_say(s, BINDING_TYPE, "service");
    sheet_label(s, "load-balancer", feed_text(f, row, C_LB_NAME));
    sheet_label(s, "protocol", feed_text(f, row, C_LB_PROTOCOL));
    feed_tell(f, &row->uuid, s);
}

static void
moved_port(struct feed *f, const struct uuid *uuid)
{
    const struct ovsdb_idl_row *row = feed_row(f, T_PORT, uuid);
    if (row) {
        sheet_clear(&f->watch->sheet, &f->n);
        tell_port(f, row, &f->watch->sheet);
    }
}

static void
adopt_switch(struct feed *f, const struct ovsdb_idl_row *row)
{
    feed_adopt(f, row, C_SWITCH_PORTS, moved_port);
    feed_adopt(f, row, C_SWITCH_ACLS, NULL);
    if (!f->passing && (feed_modified(f, row, C_SWITCH_NAME)
                        || feed_modified(f, row, C_SWITCH_EXTERNAL_IDS))) {
        feed_again(f);
    }
}

static void
adopt_router(struct feed *f, const struct ovsdb_idl_row *row)
{
    feed_adopt(f, row, C_ROUTER_PORTS, NULL);
    feed_adopt(f, row, C_ROUTER_NAT, NULL);
    if (!f->passing && (feed_modified(f, row, C_ROUTER_NAME)
                        || feed_modified(f, row, C_ROUTER_EXTERNAL_IDS))) {
        feed_again(f);
    }
}

static void
northbound_row(struct feed *f, unsigned int table,
               const struct ovsdb_idl_row *row, struct sheet *s)
{
    switch (table) {
    case T_SWITCH:
        adopt_switch(f, row);
        watch_why_changed(f->watch);
        break;
    case T_ROUTER:
        adopt_router(f, row);
        break;
    case T_ROUTER_PORT:
        if (feed_text(f, row, C_ROUTER_PORT_NAME)) {
            feed_name(f, feed_text(f, row, C_ROUTER_PORT_NAME), &row->uuid);
        }
        if (!f->passing) {
            feed_again(f);      /* Its end in a switch. */
        }
        break;
    case T_PORT:
        if (feed_text(f, row, C_PORT_NAME)) {
            feed_name(f, feed_text(f, row, C_PORT_NAME), &row->uuid);
        }
        tell_port(f, row, s);
        break;
    case T_NAT:
        tell_nat(f, row, s);
        break;
    case T_LB:
        tell_lb(f, row, s);
        break;
    case T_GROUP:
        feed_adopt(f, row, C_GROUP_ACLS, NULL);
        watch_why_changed(f->watch);
        break;
    default:
        watch_why_changed(f->watch);
        break;
    }
}

static void
northbound_gone(struct feed *f, unsigned int table, const struct uuid *uuid)
{
    link_remove(&f->parents, uuid);
    if (table != T_PORT && table != T_NAT && table != T_LB) {
        watch_why_changed(f->watch);
    }
}

struct feed_kind feed_northbound = {
    .database = "OVN_Northbound",
    .tables = tables, .n_tables = ARRAY_SIZE(tables),
    .columns = columns, .n_columns = N_C,
    .row = northbound_row, .gone = northbound_gone,
};

/* ---- Sampling. ---- */

struct collecting {
    struct watch_why_app *apps;
    struct watch_why_acl *acls;
    struct watch_why_network *networks;
    size_t n_apps, n_acls, n_networks, room_acls, room_networks;
    char **names;               /* Made for ACLs without one. */
    size_t n_names, room_names;
};

static const struct ovsdb_idl_row *
first(const struct feed *f, unsigned int table)
{
    return ovsdb_idl_first_row(f->idl, &f->kind->class->tables[table]);
}

static void
add_app(struct collecting *c, int64_t id, bool drop)
{
    if (id > 0 && id < 256 && c->n_apps < 256) {
        c->apps[c->n_apps++] = (struct watch_why_app) { (uint8_t) id, drop };
    }
}

/* Of the versions that have Sampling_App, and of those before. */
static void
collect_apps(const struct feed *f, struct collecting *c)
{
    const struct ovsdb_idl_row *global = first(f, T_GLOBAL);
    const struct ovsdb_idl_row *row = first(f, T_APP);
    c->apps = xcalloc(256, sizeof *c->apps);
    for (; row; row = ovsdb_idl_next_row(row)) {
        const char *type = feed_text(f, row, C_APP_TYPE);
        if (type) {
            add_app(c, feed_number(f, row, C_APP_ID), !strcmp(type, "drop"));
        }
    }
    const char *drop = global ? map_get(feed_read(f, global,
                                                  C_GLOBAL_OPTIONS),
                                        "debug_drop_domain_id") : NULL;
    unsigned long long id;
    if (drop && str_to_ullong(drop, 10, &id) && id < 256) {
        add_app(c, (int64_t) id, true);
    }
}

/* An ACL without a name is called by what it says. */
static const char *
acl_name(const struct feed *f, const struct ovsdb_idl_row *acl,
         struct collecting *c)
{
    const char *name = feed_text(f, acl, C_ACL_NAME);
    const char *match = feed_text(f, acl, C_ACL_MATCH);
    const char *direction = feed_text(f, acl, C_ACL_DIRECTION);
    if (name) {
        return name;
    }
    if (c->n_names == c->room_names) {
        c->names = x2nrealloc(c->names, &c->room_names, sizeof *c->names);
    }
    char *made = xasprintf("%s %"PRId64" %.200s", direction ? direction : "",
                           feed_number(f, acl, C_ACL_PRIORITY),
                           match ? match : "");
    c->names[c->n_names++] = made;
    return made;
}

/* Whose policy an ACL carries out: what the orchestrator calls it, or the port
 * group or switch that it is in. */
static const char *
acl_policy(const struct feed *f, const struct ovsdb_idl_row *acl)
{
    static const char *const keys[] = {
        "k8s.ovn.org/name", "policy", "policy_name",
        "neutron:security_group_rule_id", "k8s.ovn.org/owner",
    };
    const struct ovsdb_datum *ids = feed_read(f, acl, C_ACL_EXTERNAL_IDS);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *v = map_get(ids, keys[i]);
        if (v && *v) {
            return v;
        }
    }
    const struct uuid *parent = link_get(&f->parents, &acl->uuid);
    const char *group = feed_text(f, feed_row(f, T_GROUP, parent),
                                  C_GROUP_NAME);
    return group ? group : switch_name(f, feed_row(f, T_SWITCH, parent));
}

static void
add_acl(struct collecting *c, const struct watch_why_acl *acl)
{
    if (c->n_acls == c->room_acls) {
        c->acls = x2nrealloc(c->acls, &c->room_acls, sizeof *c->acls);
    }
    c->acls[c->n_acls++] = *acl;
}

static void
collect_acls(const struct feed *f, struct collecting *c)
{
    static const unsigned int samples[] = { C_ACL_SAMPLE_NEW,
                                            C_ACL_SAMPLE_EST };
    const struct ovsdb_idl_row *row = first(f, T_ACL);
    for (; row; row = ovsdb_idl_next_row(row)) {
        int64_t label = feed_number(f, row, C_ACL_LABEL);
        int64_t points[2] = { 0, 0 };
        for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
            points[i] = feed_number(f, feed_ref(f, row, samples[i],
                                                T_SAMPLE),
                                    C_SAMPLE_METADATA);
        }
        if (!label && !points[0] && !points[1]) {
            continue;
        }
        struct watch_why_acl acl = {
            .name = acl_name(f, row, c),
            .action = feed_text(f, row, C_ACL_ACTION),
            .policy = acl_policy(f, row),
        };
        for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
            if (points[i] > 0 && points[i] <= UINT32_MAX
                && (!i || points[i] != points[0])) {
                acl.point = (uint32_t) points[i];
                add_acl(c, &acl);
            }
        }
        if (label > 0 && label <= UINT32_MAX) {
            acl.point = (uint32_t) label;
            acl.label = true;
            add_acl(c, &acl);
        }
    }
}

static void
add_network(void *c_, uint32_t key, const char *name)
{
    struct collecting *c = c_;
    if (c->n_networks == c->room_networks) {
        c->networks = x2nrealloc(c->networks, &c->room_networks,
                                 sizeof *c->networks);
    }
    c->networks[c->n_networks++] = (struct watch_why_network) { key, name };
}

void
watch_why_changed(struct ovsdb_watch *w)
{
    w->why_dirty = true;
}

void
watch_why_collect(struct ovsdb_watch *w)
{
    struct collecting c = { .apps = NULL };
    if (w->nb) {
        collect_apps(w->nb, &c);
        collect_acls(w->nb, &c);
    }
    if (w->sb) {
        southbound_datapaths(w->sb, add_network, &c);
    }
    const struct watch_why why = {
        .apps = c.apps, .acls = c.acls, .networks = c.networks,
        .n_apps = c.n_apps, .n_acls = c.n_acls, .n_networks = c.n_networks,
    };
    w->config.why(w->config.aux, &why);
    for (size_t i = 0; i < c.n_names; i++) {
        free(c.names[i]);
    }
    free(c.names);
    free(c.apps);
    free(c.acls);
    free(c.networks);
}
