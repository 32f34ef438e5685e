/* ovsdb/watch.h -- who is behind a port, as databases say it.
 *
 * A thread of its own follows the Interface, Port and Bridge rows of Open
 * vSwitch, and OVN's Southbound and Northbound databases, and tells what they
 * say as an ordered stream of events (lib/binding.h).  It is not the thread
 * that writes export: a million logical ports must not hold that up. */
#ifndef OVSDB_WATCH_H
#define OVSDB_WATCH_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/binding.h"

struct ovsdb_watch;

/* What a key of a database may say.  X(id, name) */
#define WATCH_ATTRIBUTES(X)                                             \
    X(NAME, "name") X(TYPE, "type") X(TENANT, "tenant")                 \
    X(NETWORK, "network") X(HOST, "host") X(INTERFACE, "interface")     \
    X(ADDRESS, "address") X(MAC, "mac") X(VNI, "vni")                   \
    X(STATUS, "status") X(LABEL, "label")

enum watch_attribute {
#define X(ID, NAME) WATCH_##ID,
    WATCH_ATTRIBUTES(X)
#undef X
    N_WATCH_ATTRIBUTES
};

/* The attribute of that name; N_WATCH_ATTRIBUTES: there is none. */
enum watch_attribute watch_attribute_find(const char *name);

/* A rule: what stands under 'key' in 'column' of 'table' is 'attribute'.  Of
 * several that say the same attribute the first holds; labels add up. */
struct watch_rule {
    const char *table, *column, *key;
    enum watch_attribute attribute;
    const char *label;          /* Of a LABEL: under this name; NULL: 'key'. */
    const char *type;           /* Whoever has the key is of this type; NULL:
                                 * it does not tell. */
};

/* The rules that are built in. */
const struct watch_rule *watch_rules(size_t *n);
/* Whether there are rules for that column. */
bool watch_rule_is_possible(const char *table, const char *column);

/* X(name, what it counts) */
#define WATCH_COUNTERS(X)                                                     \
    X(events, "Events told")                                                  \
    X(bad_address, "Addresses and MAC addresses that are none, left out")     \
    X(cut, "Texts longer than 4096 octets, cut")                              \
    X(too_many, "Addresses, MAC addresses or labels beyond what one endpoint "\
      "may have, left out")                                                   \
    X(refused, "Endpoints beyond the limit of a database, left out")          \
    X(gaps, "Times for which the connection was lost")

struct watch_counters {         /* Of the watching thread; copied out. */
#define X(NAME, DOC) uint64_t NAME;
    WATCH_COUNTERS(X)
#undef X
};

/* Why a packet was sampled, out of OVN's Northbound database: see
 * collector/identity/why.h for what becomes of it.  Borrowed. */
struct watch_why_app {
    uint8_t id;                 /* First octet of the observation domain. */
    bool drop;                  /* It samples what is dropped; else ACLs. */
};
struct watch_why_acl {
    uint32_t point;             /* Observation point: of a Sample, or */
    bool label;                 /* ACL.label, whose application is 0. */
    const char *name, *action, *policy;         /* NULL: not said. */
};
struct watch_why_network {
    uint32_t key;               /* Tunnel key: the other 24 bits. */
    const char *name;
};
struct watch_why {
    const struct watch_why_app *apps;
    const struct watch_why_acl *acls;
    const struct watch_why_network *networks;
    size_t n_apps, n_acls, n_networks;
};

struct ovsdb_watch_config {
    const char *const *switches;        /* Servers of Open_vSwitch. */
    size_t n_switches;
    const char *southbound, *northbound;        /* Servers of OVN, with commas
                                                 * between; NULL: none. */
    const struct watch_rule *rules;     /* Before the built-in ones. */
    size_t n_rules;

    /* The first generation of a source: higher than all before. */
    uint64_t (*generation)(void *aux, const char *source);
    /* On the watching thread: an event; and the end of a few that belong
     * together, which may take its time to keep up with whoever keeps them. */
    void (*tell)(void *aux, const struct binding_event *);
    void (*flush)(void *aux);
    void (*why)(void *aux, const struct watch_why *);
    void *aux;
    /* Raises and lowers the right to open sockets that are root's; NULL: there
     * is none. */
    void (*reach)(void *aux, bool on);
    void *reach_aux;
};

/* The name that what server 'i' of Open_vSwitch says is told under; and those
 * of OVN's. */
void watch_source_name(size_t i, const char *remote, char *buf, size_t size);
#define WATCH_SOURCE_SIZE 256
#define WATCH_SOUTHBOUND "ovn-sb"
#define WATCH_NORTHBOUND "ovn-nb"
#define WATCH_LEARNED "ovn-learned"     /* MAC_Binding and FDB. */

/* Starts the thread; all is copied.  NULL if that can't be, or there is
 * nothing to watch. */
struct ovsdb_watch *ovsdb_watch_start(const struct ovsdb_watch_config *);
void ovsdb_watch_stop(struct ovsdb_watch *);    /* NULL is fine. */

struct watch_status {
    char source[WATCH_SOURCE_SIZE];
    char remote[512];
    char reason[160];           /* Why it is not connected; or "". */
    bool connected;
    int64_t since_us;           /* Wall clock: of either. */
    size_t endpoints;           /* That it tells of now. */
    struct watch_counters n;
};
/* Of all databases, at most 'max'.  Returns how many. */
size_t ovsdb_watch_status(struct ovsdb_watch *, struct watch_status *,
                          size_t max);

#endif /* ovsdb/watch.h */
