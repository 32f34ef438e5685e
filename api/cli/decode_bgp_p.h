/* api/cli/decode_bgp_p.h -- inside api/cli/decode_bgp*.c. */
#ifndef CLI_DECODE_BGP_P_H
#define CLI_DECODE_BGP_P_H 1

#include "api/cli/decode_bgp.h"
#include "bgp/attribute.h"
#include "bgp/message.h"
#include "lib/cursor.h"

struct json_object;

/* How many of each family's AFI and SAFI. */
#define MAX_PAIRS 64
struct pairs {
    struct { uint16_t afi; uint8_t safi; uint64_t n; } of[MAX_PAIRS];
    size_t n;
};

/* What messages had in them. */
struct tally {
    uint64_t messages, types[256], attributes[256], capabilities[256];
    uint64_t notifications[256], evpn_types[256], ls_types[16];
    struct pairs reach, unreach;
    uint64_t nlri, withdrawn;   /* Prefixes of UPDATE's own fields, */
    uint64_t reach4, reach6;    /* of attributes. */
    uint64_t unreach4, unreach6;
    uint64_t reach_vpn6, unreach_vpn6;  /* And of VPNv6. */
    uint64_t path_ids, large_communities, flowspec, end_of_rib;
    uint64_t malformed, with_errors;
};

/* How a message is to be read. */
struct reading {
    struct bgp_params params;
    struct tally *tally;
    struct bgp_open *open;      /* Gets what an OPEN says; or NULL. */
    bool *opened;
};

struct bgp_text;                /* Opaque: a decoder and room. */
struct bgp_text *bgp_text_create(void);
void bgp_text_destroy(struct bgp_text *);

/* Counts a message; 'body' is what follows its header.  Adds to 'o' what it
 * says, unless 'o' is NULL. */
void bgp_text_message(struct bgp_text *, const struct reading *, uint8_t type,
                      struct cursor body, struct json_object *o);
/* Attributes alone, of a table. */
void bgp_text_attrs(struct bgp_text *, const struct bgp_attrs *,
                    struct json_object *o);
/* 'multicast': it is of the table for multicast, whatever its family says. */
void bgp_text_nlri(const struct bgp_nlri *, bool multicast,
                   struct json_object *o);
void tally_attributes(struct tally *, struct cursor);
void tally_put(const struct tally *, struct json_object *);
const char *bgp_type_text(uint8_t type);

#endif /* api/cli/decode_bgp_p.h */
