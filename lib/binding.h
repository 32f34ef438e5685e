/* lib/binding.h -- what a database says of who is where, on its way from
 * ovsdb/ to whoever keeps it. */
#ifndef LIB_BINDING_H
#define LIB_BINDING_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/* What is said of an endpoint, by the names that the API uses. */
#define BINDING_MEMBERS(X)                                              \
    X(NAME, "name") X(PORT, "port") X(TYPE, "type") X(TENANT, "tenant") \
    X(NETWORK, "network") X(HOST, "host") X(BRIDGE, "bridge")           \
    X(LABELS, "labels")

enum binding_member {
#define X(ID, NAME) BINDING_##ID,
    BINDING_MEMBERS(X)
#undef X
    BINDING_N_MEMBERS
};

#define BINDING_MAX_TEXT 4096           /* Octets of a text. */
#define BINDING_MAX_ADDRESSES 900
#define BINDING_MAX_MACS 64

enum binding_event_kind {
    BINDING_UPSERT,             /* 'id' is this from 'at_us' on. */
    BINDING_DELETE,             /* 'id' is gone at 'at_us'. */
    BINDING_SYNC,               /* All was told anew: what has an older
                                 * generation is gone. */
    BINDING_GAP,                /* From 'since_us' to 'at_us' nobody was
                                 * listening. */
};

/* One event of a source, in the order in which they happened.  Borrowed for
 * the call. */
struct binding_event {
    enum binding_event_kind kind;
    const char *source;
    uint64_t generation;
    int64_t at_us, since_us;            /* Wall clock. */

    const char *id;                     /* UPSERT and DELETE. */

    const char *interface;              /* UPSERT: OVS's iface-id, or NULL. */
    const char *text[BINDING_N_MEMBERS];        /* NULL: not said. */
    const struct addr *addresses;
    size_t n_addresses;
    const uint64_t *macs;
    size_t n_macs;
    uint64_t vni;
    bool has_vni;
    bool by_port;               /* Bridge and port are a key. */
};

#endif /* lib/binding.h */
