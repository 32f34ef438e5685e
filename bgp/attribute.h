/* bgp/attribute.h -- path attributes: one table says of each its flags, its
 * length and what an error in it means (RFC 7606).
 *
 * Decoded values point into the arena of a decoder and are good until its next
 * message.  Nothing is allocated per message or route. */
#ifndef BGP_ATTRIBUTE_H
#define BGP_ATTRIBUTE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/message.h"
#include "bgp/route.h"
#include "lib/cursor.h"

enum {
    BGP_F_OPTIONAL = 0x80, BGP_F_TRANSITIVE = 0x40, BGP_F_PARTIAL = 0x20,
    BGP_F_EXTENDED = 0x10,
};

/* What an error calls for, weakest first (RFC 7606 section 2). */
enum bgp_action {
    BGP_ACCEPT,
    BGP_DISCARD,                /* The attribute. */
    BGP_WITHDRAW,               /* Treat the routes as withdrawn. */
    BGP_RESET,                  /* The session. */
};

enum bgp_attr_code {
    BGP_A_ORIGIN = 1, BGP_A_AS_PATH, BGP_A_NEXT_HOP, BGP_A_MED,
    BGP_A_LOCAL_PREF, BGP_A_ATOMIC_AGGREGATE, BGP_A_AGGREGATOR,
    BGP_A_COMMUNITIES, BGP_A_ORIGINATOR_ID, BGP_A_CLUSTER_LIST,
    BGP_A_MP_REACH = 14, BGP_A_MP_UNREACH, BGP_A_EXT_COMMUNITIES,
    BGP_A_AS4_PATH, BGP_A_AS4_AGGREGATOR, BGP_A_AIGP = 26,
    BGP_A_LARGE_COMMUNITIES = 32, BGP_A_OTC = 35,
};

/* How messages of a session, or of a file, are to be read. */
struct bgp_params {
    bool as4;                   /* AS numbers have four octets. */
    bool internal;              /* IBGP: LOCAL_PREF and reflection count. */
    bool lenient;               /* BMP, MRT: another router took them. */
    bool guess_as4;             /* 'as4' is not known for sure, */
    bool guess_paths;           /* or 'add_path' is not: BMP, captures. */
    uint32_t families;          /* Kept; of others nothing is told. */
    uint32_t add_path;          /* Families with path identifiers. */
    uint32_t ext_next_hop;      /* IPv4 families that may have IPv6 ones. */
};

/* The bytes of one reachability attribute, or of a field of UPDATE. */
struct bgp_nlri_field {
    bool present;
    uint16_t afi;
    uint8_t safi;
    int family;                 /* enum bgp_family, or -1. */
    struct cursor nlri;
};

struct bgp_decoder;

/* An UPDATE, taken apart. */
struct bgp_update {
    enum bgp_action action;     /* Strongest of all errors. */
    struct bgp_error error;     /* For BGP_RESET. */
    const char *why;            /* First error in words, or NULL. */
    uint8_t bad_attr;           /* Its attribute; 0: none. */
    uint32_t n_discarded;       /* Attributes. */
    uint32_t n_unknown;         /* Attributes that are not in the table. */
    uint64_t seen[4];           /* Bit for each attribute code. */
    struct bgp_attrs attrs;     /* Of 'nlri'. */
    struct bgp_attrs mp_attrs;  /* Of 'reach': other next hops. */
    struct bgp_nlri_field withdrawn, nlri, unreach, reach;
    /* Filled in by bgp_update_deliver(). */
    uint32_t n_announced, n_withdrawn;
    uint32_t n_skipped;         /* Fields of families that are not kept. */
    uint32_t n_bad_nlri;        /* Single routes that were skipped. */
    uint32_t end_of_rib;        /* Families. */
};

/* One attribute as it lies there. */
struct bgp_attr_raw {
    uint8_t flags, code;
    const uint8_t *start;       /* Flags, code, length, value. */
    struct cursor value;
};

/* Takes the next attribute off 'c'.  False at the end, or if a length does not
 * fit (then 'c' is bad). */
bool bgp_attr_next(struct cursor *c, struct bgp_attr_raw *);

/* "AS_PATH"; NULL for codes that are not in the table. */
const char *bgp_attr_name(uint8_t code);

/* The table, for tests and documentation. */
struct bgp_attr_def {
    uint8_t code;
    const char *name;
    uint8_t flags;              /* Optional and transitive as they must be. */
    uint8_t subcode;            /* Of the error that RFC 4271 section 6.3
                                 * knows, if it comes to a reset. */
    bool internal_only;         /* From external peers: discarded. */
    bool keep;                  /* Kept as octets, not understood. */
    uint16_t least, unit;       /* Octets: at least, in multiples of; */
    uint16_t most;              /* 0: no limit. */
    enum bgp_action on_flags, on_error;
    const char *what;           /* Error in words. */
    /* Returns NULL, or what is wrong. */
    const char *(*decode)(struct bgp_decoder *, const struct bgp_params *,
                          struct cursor, struct bgp_update *);
};
extern const struct bgp_attr_def bgp_attr_defs[];       /* Ends: code 0. */

struct bgp_decoder *bgp_decoder_create(void);
void bgp_decoder_destroy(struct bgp_decoder *);         /* NULL is fine. */

/* Takes apart what follows the header of an UPDATE.  'out' borrows from the
 * body and the decoder until the next call. */
void bgp_update_decode(struct bgp_decoder *, const struct bgp_params *,
                       struct cursor body, struct bgp_update *out);

/* The same for attributes alone (MRT; 'reach' may be in the short form of RFC
 * 6396 section 4.3.4: next hop only). */
void bgp_attrs_decode(struct bgp_decoder *, const struct bgp_params *,
                      struct cursor attributes, struct bgp_update *out);

/* Writes attributes as bgp_attrs_decode() reads them, with AS numbers of four
 * octets.  Returns the octets; 0: none, or 'size' is not enough. */
size_t bgp_attrs_write(const struct bgp_attrs *, uint8_t *buf, size_t size);

/* Hands all routes to 'sink', if 'action' permits; routes of a BGP_WITHDRAW as
 * withdrawn.  Syntax errors in routes raise 'action'.  Returns it. */
enum bgp_action bgp_update_deliver(const struct bgp_params *,
                                   struct bgp_update *,
                                   const struct bgp_sink *, uint32_t peer);

/* ---- Single routes (bgp/nlri.c). ---- */

enum bgp_nlri_result { BGP_NLRI_OK, BGP_NLRI_SKIP, BGP_NLRI_BAD };

/* Takes one route off 'c'.  BGP_NLRI_SKIP: one of a type that is not kept, or
 * malformed inside a frame of its own; BGP_NLRI_BAD: the field cannot be read
 * any further. */
enum bgp_nlri_result bgp_nlri_next(enum bgp_family, bool add_path,
                                   bool withdrawn, struct cursor *c,
                                   struct bgp_nlri *);

/* True if the routes of a field are well-formed read in this way, with no bits
 * set beyond prefix lengths.  To tell whether there are path identifiers. */
bool bgp_nlri_plausible(enum bgp_family, bool add_path, struct cursor);

/* "65000:100", "192.0.2.1:7" (RFC 4364 section 4.2), into BGP_RD_STRLEN. */
#define BGP_RD_STRLEN 32
char *bgp_rd_format(uint64_t rd, char *buf);

#endif /* bgp/attribute.h */
