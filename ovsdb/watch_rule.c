/* ovsdb/watch_rule.c -- what the keys of orchestrators mean.
 *
 * Each of them writes what it knows of a port into the maps of OVSDB under keys
 * of its own.  A table says which of our words a key is (ovs.md section 5), and
 * the configuration may add to it. */
#include "ovsdb/watch_p.h"

#include <stdlib.h>
#include <string.h>

/* X(table, column, key, attribute, label, type) */
#define RULES(X)                                                              \
    /* Open vSwitch, libvirt, nova and os-vif, neutron's agents. */           \
    X("Interface", "external_ids", "iface-id", INTERFACE, NULL, NULL)         \
    X("Interface", "external_ids", "iface-status", STATUS, NULL, NULL)        \
    X("Interface", "external_ids", "attached-mac", MAC, NULL, NULL)           \
    X("Interface", "external_ids", "vm-id", LABEL, "vm-id", "vm")             \
    X("Interface", "external_ids", "vm-uuid", LABEL, "vm-id", "vm")           \
    X("Interface", "external_ids", "port-profile", LABEL, NULL, NULL)         \
    X("Interface", "external_ids", "bridge_name", LABEL, "trunk-bridge",      \
      NULL)                                                                   \
    X("Bridge", "external_ids", "trunk_id", LABEL, "trunk-id", NULL)          \
    X("Bridge", "external_ids", "subport_ids", LABEL, "subport-ids", NULL)    \
    /* neutron ML2: the network that a local VLAN stands for. */              \
    X("Port", "other_config", "net_uuid", NETWORK, NULL, NULL)                \
    X("Port", "other_config", "network_type", LABEL, "network-type", NULL)    \
    X("Port", "other_config", "physical_network", LABEL, "physical-network",  \
      NULL)                                                                   \
    X("Port", "other_config", "segmentation_id", LABEL, "segmentation-id",    \
      NULL)                                                                   \
    X("Port", "other_config", "tag", LABEL, "local-vlan", NULL)               \
    /* ovn-kubernetes; its iface-id is taken apart elsewhere. */              \
    X("Interface", "external_ids", "iface-id-ver", LABEL, "pod-uid", NULL)    \
    X("Interface", "external_ids", "attached_mac", MAC, NULL, NULL)           \
    X("Interface", "external_ids", "ip_addresses", ADDRESS, NULL, NULL)       \
    X("Interface", "external_ids", "sandbox", LABEL, "container-id", "pod")   \
    X("Interface", "external_ids", "pod-if-name", LABEL, "interface", NULL)   \
    X("Interface", "external_ids", "vf-netdev-name", LABEL, NULL, NULL)       \
    X("Interface", "external_ids", "encap-ip", LABEL, NULL, NULL)             \
    X("Interface", "external_ids", "k8s.ovn.org/network", NETWORK, NULL,      \
      NULL)                                                                   \
    X("Interface", "external_ids", "k8s.ovn.org/nad", LABEL, "nad", NULL)     \
    /* kube-ovn. */                                                           \
    X("Interface", "external_ids", "pod_name", NAME, NULL, "pod")             \
    X("Interface", "external_ids", "pod_namespace", TENANT, NULL, NULL)       \
    X("Interface", "external_ids", "ip", ADDRESS, NULL, NULL)                 \
    X("Interface", "external_ids", "ip-address", ADDRESS, NULL, NULL)         \
    X("Interface", "external_ids", "pod_netns", LABEL, "netns", NULL)         \
    X("Interface", "external_ids", "vendor", LABEL, NULL, NULL)               \
    /* antrea, on the Port. */                                                \
    X("Port", "external_ids", "pod-name", NAME, NULL, "pod")                  \
    X("Port", "external_ids", "pod-namespace", TENANT, NULL, NULL)            \
    X("Port", "external_ids", "ip-address", ADDRESS, NULL, NULL)              \
    X("Port", "external_ids", "attached-mac", MAC, NULL, NULL)                \
    X("Port", "external_ids", "container-id", LABEL, NULL, NULL)              \
    X("Port", "external_ids", "if-dev", LABEL, "interface", NULL)             \
    X("Port", "external_ids", "net-ns", LABEL, "netns", NULL)                 \
    X("Port", "external_ids", "node-name", LABEL, NULL, NULL)                 \
    X("Port", "external_ids", "antrea-type", LABEL, NULL, NULL)               \
    /* ovs-docker. */                                                         \
    X("Interface", "external_ids", "container_id", LABEL, "container-id",     \
      "container")                                                            \
    X("Interface", "external_ids", "container_iface", LABEL, "interface",     \
      NULL)                                                                   \
    /* XenServer. */                                                          \
    X("Interface", "external_ids", "xs-vm-uuid", LABEL, "vm-id", "vm")        \
    X("Interface", "external_ids", "xs-vif-uuid", LABEL, NULL, NULL)          \
    X("Interface", "external_ids", "xs-network-uuid", NETWORK, NULL, NULL)    \
    /* OVN: what neutron, ovn-kubernetes and kube-ovn write to a logical      \
     * switch port is copied to its Port_Binding. */                          \
    OVN_RULES(X, "Port_Binding")                                              \
    OVN_RULES(X, "Logical_Switch_Port")                                       \
    X("Logical_Switch", "external_ids", "neutron:network_name", NETWORK,      \
      NULL, NULL)                                                             \
    X("Logical_Router", "external_ids", "neutron:router_name", NAME, NULL,    \
      NULL)                                                                   \
    X("Logical_Router", "external_ids", "neutron:project_id", TENANT, NULL,   \
      NULL)                                                                   \
    X("NAT", "external_ids", "neutron:fip_id", LABEL, "floating-ip-id", NULL) \
    X("NAT", "external_ids", "neutron:router_name", LABEL, "router", NULL)    \
    X("Load_Balancer", "external_ids", "neutron:project_id", TENANT, NULL,    \
      NULL)                                                                   \
    X("Load_Balancer", "external_ids", "k8s.ovn.org/kind", LABEL, "kind",     \
      NULL)

#define OVN_RULES(X, TABLE)                                                   \
    X(TABLE, "external_ids", "neutron:port_name", NAME, NULL, NULL)           \
    X(TABLE, "external_ids", "neutron:project_id", TENANT, NULL, NULL)        \
    X(TABLE, "external_ids", "neutron:host_id", HOST, NULL, NULL)             \
    X(TABLE, "external_ids", "neutron:device_id", LABEL, "device-id", NULL)   \
    X(TABLE, "external_ids", "neutron:device_owner", LABEL, "device-owner",   \
      NULL)                                                                   \
    X(TABLE, "external_ids", "neutron:cidrs", ADDRESS, NULL, NULL)            \
    X(TABLE, "external_ids", "neutron:security_group_ids", LABEL,             \
      "security-groups", NULL)                                                \
    X(TABLE, "external_ids", "neutron:port_fip", LABEL, "floating-ip", NULL)  \
    X(TABLE, "external_ids", "namespace", TENANT, NULL, NULL)

static const struct watch_rule built_in[] = {
#define X(TABLE, COLUMN, KEY, ATTRIBUTE, LABEL_, TYPE_)         \
    { TABLE, COLUMN, KEY, WATCH_##ATTRIBUTE, LABEL_, TYPE_ },
    RULES(X)
#undef X
};

/* Columns that are looked at by rule. */
static const struct {
    const char *table, *column;
} places[] = {
    { "Interface", "external_ids" }, { "Port", "external_ids" },
    { "Port", "other_config" }, { "Bridge", "external_ids" },
    { "Port_Binding", "external_ids" },
    { "Logical_Switch_Port", "external_ids" },
    { "Logical_Switch", "external_ids" },
    { "Logical_Router", "external_ids" },
    { "NAT", "external_ids" }, { "Load_Balancer", "external_ids" },
};

static const char *const attribute_names[] = {
#define X(ID, NAME) NAME,
    WATCH_ATTRIBUTES(X)
#undef X
};

/* Attributes that are members. */
static const int member_of[N_WATCH_ATTRIBUTES] = {
    [WATCH_NAME] = BINDING_NAME, [WATCH_TYPE] = BINDING_TYPE,
    [WATCH_TENANT] = BINDING_TENANT, [WATCH_NETWORK] = BINDING_NETWORK,
    [WATCH_HOST] = BINDING_HOST,
};

enum watch_attribute
watch_attribute_find(const char *name)
{
    int i = 0;
    while (i < N_WATCH_ATTRIBUTES && strcmp(attribute_names[i], name)) {
        i++;
    }
    return i;
}

const struct watch_rule *
watch_rules(size_t *n)
{
    *n = ARRAY_SIZE(built_in);
    return built_in;
}

static bool
is_of(const struct watch_rule *r, const char *table, const char *column)
{
    return !strcmp(r->table, table) && !strcmp(r->column, column);
}

bool
watch_rule_is_possible(const char *table, const char *column)
{
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (!strcmp(places[i].table, table)
            && !strcmp(places[i].column, column)) {
            return true;
        }
    }
    return false;
}

/* ---- Rules by column. ---- */

struct watch_ruleset {
    struct watch_rule *rules;           /* Those of a column side by side. */
    size_t n;
    size_t first[ARRAY_SIZE(places) + 1];
};

struct watch_ruleset *
watch_ruleset_create(const struct watch_rule *extra, size_t n_extra)
{
    struct watch_ruleset *s = xzalloc(sizeof *s);
    s->rules = xcalloc(n_extra + ARRAY_SIZE(built_in), sizeof *s->rules);
    for (size_t p = 0; p < ARRAY_SIZE(places); p++) {
        s->first[p] = s->n;
        for (size_t i = 0; i < n_extra + ARRAY_SIZE(built_in); i++) {
            const struct watch_rule *r = i < n_extra ? &extra[i]
                                                     : &built_in[i - n_extra];
            if (is_of(r, places[p].table, places[p].column)) {
                s->rules[s->n++] = (struct watch_rule) {
                    .table = places[p].table, .column = places[p].column,
                    .key = xstrdup(r->key), .attribute = r->attribute,
                    .label = nullable_xstrdup(r->label),
                    .type = nullable_xstrdup(r->type),
                };
            }
        }
    }
    s->first[ARRAY_SIZE(places)] = s->n;
    return s;
}

void
watch_ruleset_destroy(struct watch_ruleset *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        free(CONST_CAST(char *, s->rules[i].key));
        free(CONST_CAST(char *, s->rules[i].label));
        free(CONST_CAST(char *, s->rules[i].type));
    }
    if (s) {
        free(s->rules);
        free(s);
    }
}

/* ---- Sheets. ---- */

void
sheet_clear(struct sheet *s, struct watch_counters *n)
{
    s->interface = NULL;
    memset(s->text, 0, sizeof s->text);
    s->n_addresses = s->n_macs = s->n_labels = 0;
    s->vni = 0;
    s->has_vni = s->by_port = s->inactive = s->learned = false;
    s->label_text[0] = '\0';
    s->used = 0;
    s->n = n;
}

/* 'n' octets or fewer, so that no character of UTF-8 is cut in two. */
static size_t
whole(const char *text, size_t n)
{
    while (n && ((uint8_t) text[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

const char *
sheet_copy(struct sheet *s, const char *text, size_t n)
{
    size_t room = SHEET_MEMORY - s->used;
    size_t max = MIN(room ? room - 1 : 0, BINDING_MAX_TEXT);
    if (!room) {
        s->n->cut++;
        return "";
    }
    if (n > max) {
        n = whole(text, max);
        s->n->cut++;
    }
    char *copy = s->memory + s->used;
    memcpy(copy, text, n);
    copy[n] = '\0';
    s->used += n + 1;
    return copy;
}

static const char *
fitting(struct sheet *s, const char *text)
{
    size_t n = strlen(text);
    return n > BINDING_MAX_TEXT ? sheet_copy(s, text, n) : text;
}

void
sheet_say(struct sheet *s, enum binding_member m, const char *text)
{
    if (text && *text && !s->text[m]) {
        s->text[m] = fitting(s, text);
    }
}

void
sheet_label(struct sheet *s, const char *key, const char *value)
{
    if (!value || !*value) {
        return;
    }
    for (size_t i = 0; i < s->n_labels; i++) {
        if (!strcmp(s->labels[i].key, key)) {
            return;
        }
    }
    if (s->n_labels == SHEET_LABELS) {
        s->n->too_many++;
        return;
    }
    s->labels[s->n_labels++] = (struct sheet_label) { key, value };
}

static void
add_address(struct sheet *s, const char *text, size_t n)
{
    char buf[64];
    struct addr a;
    const char *slash = memchr(text, '/', n);
    n = slash ? (size_t) (slash - text) : n;
    if (n >= sizeof buf) {
        s->n->bad_address++;
        return;
    }
    memcpy(buf, text, n);
    buf[n] = '\0';
    if (addr_parse(buf, &a) || addr_is_zero(&a)) {
        s->n->bad_address++;
        return;
    }
    for (size_t i = 0; i < s->n_addresses; i++) {
        if (addr_equal(&a, &s->addresses[i])) {
            return;
        }
    }
    if (s->n_addresses == BINDING_MAX_ADDRESSES) {
        s->n->too_many++;
        return;
    }
    s->addresses[s->n_addresses++] = a;
}

static void
add_mac(struct sheet *s, const char *text, size_t n)
{
    char buf[24];
    uint64_t mac;
    if (n < sizeof buf) {
        memcpy(buf, text, n);
        buf[n] = '\0';
    }
    if (n >= sizeof buf || mac_parse(buf, &mac) || !mac) {
        s->n->bad_address++;
        return;
    }
    for (size_t i = 0; i < s->n_macs; i++) {
        if (s->macs[i] == mac) {
            return;
        }
    }
    if (s->n_macs == BINDING_MAX_MACS) {
        s->n->too_many++;
        return;
    }
    s->macs[s->n_macs++] = mac;
}

/* The next word of '*p', which is moved behind it; 0: none is left. */
static size_t
next_word(const char **p, const char **word)
{
    static const char between[] = " ,\t\n\"[]";
    *p += strspn(*p, between);
    *word = *p;
    size_t n = strcspn(*p, between);
    *p += n;
    return n;
}

void
sheet_addresses(struct sheet *s, const char *text)
{
    const char *word;
    for (size_t n; (n = next_word(&text, &word));) {
        add_address(s, word, n);
    }
}

void
sheet_macs(struct sheet *s, const char *text)
{
    const char *word;
    for (size_t n; (n = next_word(&text, &word));) {
        add_mac(s, word, n);
    }
}

void
sheet_ovn_address(struct sheet *s, const char *text)
{
    static const char *const words[] = { "unknown", "dynamic", "router" };
    const char *word;
    for (size_t n, i = 0; (n = next_word(&text, &word)); i++) {
        bool said = false;
        for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
            said |= strlen(words[w]) == n && !memcmp(words[w], word, n);
        }
        if (said) {
            continue;
        }
        if (!i && memchr(word, ':', n) && n == 17) {
            add_mac(s, word, n);
        } else if (strncmp(word, "is_chassis_resident", 19)) {
            add_address(s, word, n);
        }
    }
}

static void
apply_rule(struct sheet *s, const struct watch_rule *r, const char *value)
{
    switch (r->attribute) {
    case WATCH_INTERFACE:
        s->interface = s->interface ? s->interface : fitting(s, value);
        break;
    case WATCH_ADDRESS:
        sheet_addresses(s, value);
        break;
    case WATCH_MAC:
        sheet_macs(s, value);
        break;
    case WATCH_VNI:
        if (!s->has_vni) {
            unsigned long long vni;
            s->has_vni = str_to_ullong(value, 10, &vni);
            s->vni = s->has_vni ? vni : 0;
        }
        break;
    case WATCH_STATUS:
        s->inactive = !strcmp(value, "inactive");
        break;
    case WATCH_LABEL:
        sheet_label(s, r->label ? r->label : r->key, fitting(s, value));
        break;
    case WATCH_NAME:
    case WATCH_TYPE:
    case WATCH_TENANT:
    case WATCH_NETWORK:
    case WATCH_HOST:
    case N_WATCH_ATTRIBUTES:
    default:
        sheet_say(s, member_of[r->attribute], value);
        break;
    }
    sheet_say(s, BINDING_TYPE, r->type);
}

void
sheet_apply(struct sheet *s, const struct watch_ruleset *set,
            const char *table, const char *column,
            const struct ovsdb_datum *d)
{
    size_t p = 0;
    while (p < ARRAY_SIZE(places)
           && (strcmp(places[p].table, table)
               || strcmp(places[p].column, column))) {
        p++;
    }
    if (!d || !d->n || p == ARRAY_SIZE(places)) {
        return;
    }
    for (size_t i = set->first[p]; i < set->first[p + 1]; i++) {
        const char *value = map_get(d, set->rules[i].key);
        if (value && *value) {
            apply_rule(s, &set->rules[i], value);
        }
    }
}
