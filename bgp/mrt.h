/* bgp/mrt.h -- MRT (RFC 6396, 8050): tables and messages that route collectors
 * and daemons write to files.
 *
 * TABLE_DUMP, TABLE_DUMP_V2 with all its subtypes of routes, BGP4MP and
 * BGP4MP_ET with all of theirs, and the old BGP.  Records of other protocols
 * (OSPF, IS-IS) are counted and passed over.
 *
 * A reader takes records one by one and remembers the index of peers.  What it
 * tells is valid during the call. */
#ifndef BGP_MRT_H
#define BGP_MRT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/attribute.h"
#include "bgp/route.h"
#include "lib/counter.h"
#include "lib/cursor.h"

#define MRT_HEADER_SIZE 12
/* A prefix with all of 65,535 peers has less in all that was ever seen. */
#define MRT_MAX_SIZE (64u << 20)

enum mrt_type { MRT_BGP = 5, MRT_OSPF2 = 11, MRT_TABLE_DUMP = 12,
                MRT_TABLE_DUMP_V2 = 13, MRT_BGP4MP = 16, MRT_BGP4MP_ET = 17,
                MRT_ISIS = 32, MRT_ISIS_ET = 33, MRT_OSPF3 = 48,
                MRT_OSPF3_ET = 49 };

/* "TABLE_DUMP_V2", "RIB_IPV4_UNICAST"; NULL if not known. */
const char *mrt_type_name(uint16_t type);
const char *mrt_subtype_name(uint16_t type, uint16_t subtype);

struct mrt_header {
    uint32_t time_s;
    uint16_t type, subtype;
    uint32_t size;              /* Of what follows. */
};

/* Reads MRT_HEADER_SIZE octets.  False: no MRT, or a length that cannot be, and
 * there is no telling where the next record begins. */
bool mrt_header_parse(const uint8_t *, struct mrt_header *);
/* Whether 'n' octets look like the beginning of a file. */
bool mrt_looks(const uint8_t *, size_t n);

struct mrt_peer {
    struct addr address, local;
    uint32_t as, local_as, id;  /* 0: not told. */
    bool as4;                   /* AS numbers in paths: four octets. */
};

/* A route of a table. */
struct mrt_route {
    const struct mrt_peer *peer;
    uint32_t index;             /* TABLE_DUMP_V2: of the peer. */
    int64_t time_us;            /* When it was told to the peer. */
    struct bgp_nlri nlri;
    bool multicast;             /* Of a table for multicast: 'nlri' says the
                                 * unicast family. */
    const struct bgp_update *update;    /* Attributes, with their errors; */
    const struct bgp_attrs *attrs;      /* those that count. */
    struct cursor raw;          /* As they lie there. */
};

/* A message, or a part of one. */
struct mrt_message {
    struct mrt_peer peer;
    int64_t time_us;
    bool local;                 /* It was sent, not received. */
    bool add_path;
    uint8_t type;               /* enum bgp_type. */
    struct cursor body;         /* What follows its header. */
};

/* RFC 6396 section 4.4.1: 1 Idle to 6 Established. */
struct mrt_state {
    struct mrt_peer peer;
    int64_t time_us;
    uint16_t old, now;
};

/* Any may be NULL. */
struct mrt_handler {
    void *aux;
    bool multicast;             /* route() is for tables of multicast, too. */
    /* A table begins (TABLE_DUMP_V2), of so many peers. */
    void (*table)(void *aux, const char *view, const struct mrt_peer *,
                  size_t n);
    void (*route)(void *aux, const struct mrt_route *);
    void (*message)(void *aux, const struct mrt_message *);
    void (*state)(void *aux, const struct mrt_state *);
};

#define MRT_COUNTERS(X)                                                     \
    X(records, "Records read")                                              \
    X(table_routes, "Routes of tables")                                     \
    X(messages, "BGP messages")                                             \
    X(states, "Changes of states of sessions")                              \
    X(other_records, "Records of other protocols, or of types that are not " \
      "known")                                                              \
    X(bad_records, "Records that do not parse, left out")                   \
    X(bad_routes, "Routes left out because of malformed attributes")        \
    X(no_peer, "Routes of a peer that the index does not have")             \
    X(skipped_families, "Routes of families, or of types, that are not kept")

struct mrt_counters {
    MRT_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def mrt_counter_defs[];

struct mrt_reader;                                      /* Opaque. */

/* NULL if out of memory. */
struct mrt_reader *mrt_reader_create(void);
void mrt_reader_destroy(struct mrt_reader *);           /* NULL is fine. */

/* Takes one record, whose body is 'size' octets of the header. */
void mrt_record(struct mrt_reader *, const struct mrt_header *,
                const uint8_t *body, const struct mrt_handler *);
const struct mrt_counters *mrt_reader_counters(const struct mrt_reader *);

#endif /* bgp/mrt.h */
