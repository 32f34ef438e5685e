#include <config.h>

#include "api/inventory_p.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/json.h"
#include "api/xml.h"

#define VM "machines/machine/"
#define DOMAIN VM "domain/"
#define INTERFACE DOMAIN "devices/interface"
#define NOVA DOMAIN "metadata/instance/"

#define MAX_INTERFACES 1024     /* Of a machine. */
#define MAX_ADDRESSES 1024      /* Of an interface. */
#define MAX_TEXT 4096
#define MAX_LABEL 511           /* Longer ones are left out. */

/* A machine as far as it has been read. */
struct machine {
    struct json_object *facts;          /* Texts by name. */
    struct json_object *interfaces;     /* As endpoints will have them. */
    struct json_object *open;           /* The one being read, or NULL. */
    struct json_object *addresses;      /* Lists by MAC address, or by the
                                         * interface that nova calls port. */
    char *port;                         /* Of nova, being read. */
    size_t n_interfaces;
};

/* Where an attribute or a text goes. */
static const struct fact {
    const char *path, *attribute, *name;
} facts[] = {
    { VM "domain", "type", "type" },
    { DOMAIN "name", NULL, "name" },
    { DOMAIN "uuid", NULL, "uuid" },
    { DOMAIN "title", NULL, "title" },
    { NOVA "name", NULL, "display" },
    { NOVA "flavor", "name", "flavor" },
    { NOVA "owner/project", NULL, "project" },
    { NOVA "owner/project", "uuid", "project_id" },
};
static const struct fact interface_facts[] = {
    { INTERFACE "/source", "network", "network" },
    { INTERFACE "/source", "bridge", "bridge" },
    { INTERFACE "/target", "dev", "port" },
    { INTERFACE "/virtualport/parameters", "interfaceid", "interface" },
};

static void
begin_machine(struct machine *m)
{
    *m = (struct machine) { .facts = json_object_new_object(),
                            .interfaces = json_object_new_array(),
                            .addresses = json_object_new_object() };
}

static void
clear_machine(struct machine *m)
{
    json_object_put(m->facts);
    json_object_put(m->interfaces);
    json_object_put(m->open);
    json_object_put(m->addresses);
    free(m->port);
    *m = (struct machine) { .facts = NULL };
}

/* A text that comes in pieces is put together. */
static void
put_more(struct json_object *o, const char *name, char *text)
{
    const char *before = inventory_text(o, name);
    char *joined = NULL;
    if (before && strlen(before) > MAX_TEXT) {
        free(text);                     /* It is refused as it is. */
        return;
    }
    if (text && before && asprintf(&joined, "%s%s", before, text) < 0) {
        joined = NULL;
    }
    inventory_put(o, name, joined ? joined : text);
    free(joined);
    free(text);
}

static void
take_facts(const struct xml *x, const struct fact *f, size_t n, bool text,
           struct json_object *o)
{
    for (size_t i = 0; i < n; i++) {
        if (text == !f[i].attribute && xml_at(x, f[i].path)) {
            put_more(o, f[i].name, text ? xml_text(x)
                                        : xml_attribute(x, f[i].attribute));
        }
    }
}

static void
add_address(struct machine *m, const char *of, char *address)
{
    struct json_object *list = of ? json_member(m->addresses, of) : NULL;
    if (of && address && (!list || json_object_array_length(list)
                                   < MAX_ADDRESSES)) {
        inventory_add(m->addresses, of, address);
    }
    free(address);
}

static void
begin(const struct xml *x, struct machine *m)
{
    take_facts(x, facts, sizeof facts / sizeof facts[0], false, m->facts);
    if (xml_at(x, INTERFACE)) {
        json_object_put(m->open);
        m->open = json_object_new_object();
    } else if (xml_at(x, NOVA "ports/port")) {
        free(m->port);
        m->port = xml_attribute(x, "uuid");
    } else if (xml_at(x, NOVA "ports/port/ip")) {
        add_address(m, m->port, xml_attribute(x, "address"));
    } else if (xml_at(x, VM "address")) {
        char *mac = xml_attribute(x, "mac");
        add_address(m, mac, xml_attribute(x, "address"));
        free(mac);
    }
    if (!m->open) {
        return;
    }
    take_facts(x, interface_facts,
               sizeof interface_facts / sizeof interface_facts[0], false,
               m->open);
    if (xml_at(x, INTERFACE "/mac")) {
        char *mac = xml_attribute(x, "address");
        inventory_add(m->open, "macs", mac);
        free(mac);
    } else if (xml_at(x, INTERFACE "/ip")) {
        char *address = xml_attribute(x, "address");
        inventory_add(m->open, "addresses", address);
        free(address);
    }
}

/* ---- Endpoints of it. ---- */

static bool
has_item(struct json_object *list, const char *text)
{
    size_t n = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)),
                    text)) {
            return true;
        }
    }
    return false;
}

static void
add_addresses(struct json_object *o, const struct machine *m, const char *of)
{
    struct json_object *list = of ? json_member(m->addresses, of) : NULL;
    size_t n = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *s = json_object_get_string(
            json_object_array_get_idx(list, i));
        if (!has_item(json_member(o, "addresses"), s)) {
            inventory_add(o, "addresses", s);
        }
    }
}

static const char *
type_of(const char *driver)
{
    bool container = driver && (!strcmp(driver, "lxc")
                                || !strcmp(driver, "openvz")
                                || !strcmp(driver, "vz"));
    return container ? "container" : "vm";
}

static void
put_labels(struct json_object *o, const struct machine *m)
{
    static const char *const labels[] = { "uuid", "title", "flavor",
                                          "project_id" };
    struct json_object *l = json_object_new_object();
    inventory_put(l, "domain", inventory_text(m->facts, "name"));
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        const char *s = inventory_text(m->facts, labels[i]);
        inventory_put(l, labels[i], s && strlen(s) <= MAX_LABEL ? s : NULL);
    }
    json_object_object_add(o, "labels", l);
}

/* Two interfaces may have the same MAC address; they are told apart by their
 * port, or else by their number. */
static void
put_id(struct json_object *o, const struct machine *m, size_t i)
{
    const char *port = inventory_text(o, "port");
    const char *mac = json_object_get_string(json_object_array_get_idx(
        json_member(o, "macs"), 0));
    char text[512];
    size_t before = 0;
    for (size_t k = 0; k < i; k++) {
        before += has_item(json_member(json_object_array_get_idx(
                               m->interfaces, k), "macs"), mac);
    }
    if (!before) {
        snprintf(text, sizeof text, "%.64s/%.64s",
                 inventory_text(m->facts, "uuid"), mac);
    } else {
        snprintf(text, sizeof text, "%.64s/%.64s/%.64s/%zu",
                 inventory_text(m->facts, "uuid"), mac, port ? port : "",
                 before);
    }
    inventory_put(o, "id", text);
    snprintf(text, sizeof text, "%.200s, %.64s",
             inventory_text(m->facts, "name"), mac);
    inventory_put(o, INVENTORY_WHERE, text);
}

static void
end_machine(struct json_object *list, struct machine *m, const char *host)
{
    const char *display = inventory_text(m->facts, "display");
    const char *name = inventory_text(m->facts, "name");
    size_t n = json_object_array_length(m->interfaces);
    if (!name || !inventory_text(m->facts, "uuid")) {
        n = 0;                          /* No machine of libvirt's. */
    }
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(m->interfaces, i);
        put_id(o, m, i);
    }
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(m->interfaces, i);
        inventory_put(o, "name", display ? display : name);
        inventory_put(o, "type", type_of(inventory_text(m->facts, "type")));
        inventory_put(o, "tenant", inventory_text(m->facts, "project"));
        inventory_put(o, "host", host);
        add_addresses(o, m, inventory_text(o, "interface"));
        add_addresses(o, m, json_object_get_string(json_object_array_get_idx(
                                json_member(o, "macs"), 0)));
        put_labels(o, m);
        json_object_array_add(list, json_object_get(o));
    }
    clear_machine(m);
}

static void
end(const struct xml *x, struct machine *m, struct json_object *list,
    const char *host)
{
    if (xml_at(x, "machines/machine")) {
        end_machine(list, m, host);
    } else if (m->open && xml_at(x, INTERFACE)) {
        m->n_interfaces++;
        if (json_member(m->open, "macs")) {
            json_object_array_add(m->interfaces, m->open);
        } else {
            json_object_put(m->open);   /* Nobody could be known by it. */
        }
        m->open = NULL;
    }
}

struct json_object *
inventory_read_libvirt(const char *text, size_t size, const char *host,
                       struct inventory_result *r)
{
    struct json_object *list = json_object_new_array();
    struct machine m = { .facts = NULL };
    enum xml_piece piece;
    struct xml x;

    xml_init(&x, text, size);
    while ((piece = xml_next(&x)) != XML_DONE && piece != XML_BAD
           && json_object_array_length(list) <= INVENTORY_MAX_ENTRIES
           && m.n_interfaces <= MAX_INTERFACES) {
        if (piece == XML_BEGIN && xml_at(&x, "machines/machine")) {
            clear_machine(&m);
            begin_machine(&m);
        }
        if (!m.facts) {
            continue;
        }
        if (piece == XML_BEGIN) {
            begin(&x, &m);
        } else if (piece == XML_TEXT) {
            take_facts(&x, facts, sizeof facts / sizeof facts[0], true,
                       m.facts);
        } else {
            end(&x, &m, list, host);
        }
    }
    bool too_many = m.n_interfaces > MAX_INTERFACES;
    clear_machine(&m);
    if (piece == XML_DONE) {
        return list;
    }
    json_object_put(list);
    return piece == XML_BAD ? FAIL(r, "%s", x.reason)
           : too_many ? FAIL(r, "more than %d interfaces of one machine",
                             MAX_INTERFACES)
           : FAIL(r, "more than %d entries", INVENTORY_MAX_ENTRIES);
}
