/* bgp/message.h -- BGP messages (RFC 4271 section 4): headers, OPEN with its
 * capabilities, NOTIFICATION, KEEPALIVE and ROUTE-REFRESH.  bgp/update.h has
 * UPDATE.
 *
 * Parsers read from a cursor and keep nothing that points into it; writers
 * fill a caller's buffer.  What is wrong comes back as the NOTIFICATION that
 * says so (RFC 4271 section 6), for the caller to send or not. */
#ifndef BGP_MESSAGE_H
#define BGP_MESSAGE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/route.h"
#include "lib/cursor.h"

#define BGP_PORT 179
#define BGP_HEADER_SIZE 19
#define BGP_MAX_SIZE 4096u              /* RFC 4271 */
#define BGP_MAX_EXTENDED 65535u         /* RFC 8654 */
#define BGP_AS_TRANS 23456u             /* RFC 6793 */
#define BGP_VERSION 4

enum bgp_type {
    BGP_OPEN = 1,
    BGP_UPDATE = 2,
    BGP_NOTIFICATION = 3,
    BGP_KEEPALIVE = 4,
    BGP_ROUTE_REFRESH = 5,
};

enum bgp_error_code {
    BGP_E_HEADER = 1,
    BGP_E_OPEN = 2,
    BGP_E_UPDATE = 3,
    BGP_E_HOLD_TIMER = 4,
    BGP_E_FSM = 5,
    BGP_E_CEASE = 6,
    BGP_E_REFRESH = 7,
};

/* Subcodes that we send. */
enum {
    BGP_E_HEADER_MARKER = 1, BGP_E_HEADER_LENGTH, BGP_E_HEADER_TYPE,
    BGP_E_OPEN_VERSION = 1, BGP_E_OPEN_AS, BGP_E_OPEN_ID, BGP_E_OPEN_OPTION,
    BGP_E_OPEN_HOLD = 6, BGP_E_OPEN_CAPABILITY = 7, BGP_E_OPEN_ROLE = 11,
    BGP_E_UPDATE_LIST = 1, BGP_E_UPDATE_WELL_KNOWN, BGP_E_UPDATE_MISSING,
    BGP_E_UPDATE_FLAGS, BGP_E_UPDATE_LENGTH, BGP_E_UPDATE_ORIGIN,
    BGP_E_UPDATE_NEXT_HOP = 8, BGP_E_UPDATE_OPTIONAL, BGP_E_UPDATE_NETWORK,
    BGP_E_UPDATE_AS_PATH,
    BGP_E_FSM_OPEN_SENT = 1, BGP_E_FSM_OPEN_CONFIRM, BGP_E_FSM_ESTABLISHED,
    BGP_E_CEASE_MAX_PREFIX = 1, BGP_E_CEASE_SHUTDOWN, BGP_E_CEASE_REMOVED,
    BGP_E_CEASE_RESET, BGP_E_CEASE_REJECTED, BGP_E_CEASE_CONFIG,
    BGP_E_CEASE_COLLISION, BGP_E_CEASE_RESOURCES, BGP_E_CEASE_HARD_RESET,
    BGP_E_REFRESH_LENGTH = 1,
};

#define BGP_ERROR_DATA 256

/* What a NOTIFICATION says (RFC 4271 section 4.5). */
struct bgp_error {
    uint8_t code, subcode;      /* 0: no error. */
    uint16_t n_data;            /* Octets of 'data', cut at BGP_ERROR_DATA. */
    uint8_t data[BGP_ERROR_DATA];
};

/* Fills in 'e'; 'data' may be NULL. */
void bgp_error_set(struct bgp_error *, uint8_t code, uint8_t subcode,
                   const void *data, size_t n);

/* "UPDATE Message Error", "Malformed AS_PATH"; never NULL. */
const char *bgp_error_name(uint8_t code);
const char *bgp_error_subname(uint8_t code, uint8_t subcode);

/* A shutdown communication (RFC 9003): the text of a Cease, as UTF-8 without
 * control characters, into 'buf'.  False if there is none. */
bool bgp_error_text(const struct bgp_error *, char *buf, size_t size);
/* Gives a Cease its text, cut at 255 octets of whole characters. */
void bgp_error_set_text(struct bgp_error *, const char *text);

/* The whole in words: "Cease: Administrative Shutdown (maintenance)". */
char *bgp_error_format(const struct bgp_error *, char *buf, size_t size);

const char *bgp_type_name(uint8_t type);        /* NULL if not known. */
const char *bgp_family_name(enum bgp_family);   /* "ipv4-unicast" */
/* The family with that AFI and SAFI, or -1. */
int bgp_family_find(uint16_t afi, uint8_t safi);
int bgp_family_by_name(const char *);           /* Or -1. */
uint16_t bgp_family_afi(enum bgp_family);
uint8_t bgp_family_safi(enum bgp_family);

struct bgp_header {
    uint8_t type;
    uint16_t size;              /* Of the whole message. */
};

/* Looks at the first BGP_HEADER_SIZE octets.  'max' is how long messages may
 * be; OPEN and KEEPALIVE never exceed BGP_MAX_SIZE (RFC 8654).  False, with the
 * error to send, for what is no header. */
bool bgp_header_parse(const uint8_t *p, size_t max, struct bgp_header *,
                      struct bgp_error *);

/* ---- OPEN. ---- */

/* X(id, code, name, least octets, octets of an item; 0: any length) */
#define BGP_CAPABILITIES(X)                                             \
    X(MP, 1, "multiprotocol", 4, 0)                                     \
    X(REFRESH, 2, "route-refresh", 0, 0)                                \
    X(ORF, 3, "outbound-route-filtering", 0, 0)                         \
    X(NEXT_HOP, 5, "extended-next-hop", 6, 6)                           \
    X(EXTENDED, 6, "extended-message", 0, 0)                            \
    X(BGPSEC, 7, "bgpsec", 0, 0)                                        \
    X(LABELS, 8, "multiple-labels", 0, 0)                               \
    X(ROLE, 9, "role", 1, 0)                                            \
    X(GR, 64, "graceful-restart", 2, 4)                                 \
    X(AS4, 65, "four-octet-as", 4, 0)                                   \
    X(DYNAMIC, 67, "dynamic-capability", 0, 0)                          \
    X(MULTISESSION, 68, "multisession", 0, 0)                           \
    X(ADD_PATH, 69, "add-path", 4, 4)                                   \
    X(ENHANCED, 70, "enhanced-route-refresh", 0, 0)                     \
    X(LLGR, 71, "long-lived-graceful-restart", 0, 7)                    \
    X(RPD, 72, "routing-policy-distribution", 0, 0)                     \
    X(HOSTNAME, 73, "hostname", 2, 0)                                   \
    X(VERSION, 75, "software-version", 1, 0)                            \
    X(PATHS_LIMIT, 76, "paths-limit", 0, 0)                             \
    X(REFRESH_CISCO, 128, "route-refresh-cisco", 0, 0)                  \
    X(ORF_CISCO, 130, "outbound-route-filtering-cisco", 0, 0)           \
    X(MULTISESSION_CISCO, 131, "multisession-cisco", 0, 0)

enum bgp_capability {
#define X(ID, CODE, NAME, LEAST, ITEM) BGP_CAP_##ID,
    BGP_CAPABILITIES(X)
#undef X
    BGP_N_CAPABILITIES
};

/* RFC 9234 section 4.1. */
enum bgp_role { BGP_ROLE_PROVIDER, BGP_ROLE_RS, BGP_ROLE_RS_CLIENT,
                BGP_ROLE_CUSTOMER, BGP_ROLE_PEER, BGP_N_ROLES,
                BGP_ROLE_NONE = 255 };

#define BGP_NAME_SIZE 64

/* Sets of families are bits, 1 << enum bgp_family. */
struct bgp_caps {
    uint32_t has;               /* 1 << enum bgp_capability. */
    uint32_t families;          /* Multiprotocol. */
    uint32_t as;                /* Four octets. */
    uint32_t add_path_receive, add_path_send;
    uint32_t ext_next_hop;      /* IPv4 with IPv6 next hops (RFC 8950). */
    uint16_t gr_time_s;
    bool gr_restarted, gr_notification; /* R and N (RFC 8538). */
    uint32_t gr_families, gr_forwarding;
    uint32_t llgr_families, llgr_forwarding;
    uint32_t llgr_time_s[BGP_N_FAMILIES];
    uint8_t role;               /* enum bgp_role. */
    bool two_roles;             /* Told twice, and not the same. */
    uint8_t n_other_families;   /* That we do not keep. */
    uint8_t n_unknown;          /* Capabilities that are not in the table. */
    char hostname[BGP_NAME_SIZE], domain[BGP_NAME_SIZE];
    char version[BGP_NAME_SIZE];
};

struct bgp_open {
    uint8_t version;
    uint16_t as2;               /* As in the message; AS_TRANS perhaps. */
    uint32_t as;                /* By the capability, or 'as2'. */
    uint16_t hold_s;
    uint32_t id;                /* Host order. */
    struct bgp_caps caps;
};

/* Reads what follows the header.  Checks form only (version, optional
 * parameters, hold time of 1 or 2 s, identifier 0), not whether that peer was
 * meant.  False with the error. */
bool bgp_open_parse(struct cursor, struct bgp_open *, struct bgp_error *);

/* Reads the capabilities of one optional parameter into 'caps' (from
 * bgp_caps_init()).  False if one is malformed. */
void bgp_caps_init(struct bgp_caps *);
bool bgp_caps_parse(struct cursor, struct bgp_caps *);

/* The capability with that code, or -1. */
int bgp_capability_find(uint8_t code);
const char *bgp_capability_name(enum bgp_capability);
const char *bgp_role_name(uint8_t role);        /* NULL if there is none. */
int bgp_role_by_name(const char *);             /* Or -1. */

/* Each writes a whole message into 'buf' of at least BGP_MAX_SIZE octets and
 * returns its size.  OPEN has all capabilities in 'has' that it knows how to
 * write. */
size_t bgp_open_write(const struct bgp_open *, uint8_t *buf);
size_t bgp_keepalive_write(uint8_t *buf);
size_t bgp_notification_write(const struct bgp_error *, uint8_t *buf);
/* 'subtype' 0: please send all again; 1 and 2: RFC 7313. */
size_t bgp_refresh_write(enum bgp_family, uint8_t subtype, uint8_t *buf);
/* End-of-RIB (RFC 4724): all that we ever send of UPDATEs. */
size_t bgp_end_of_rib_write(enum bgp_family, uint8_t *buf);

/* Reads what follows the header of a NOTIFICATION. */
void bgp_notification_parse(struct cursor, struct bgp_error *);

struct bgp_refresh {
    uint16_t afi;
    uint8_t subtype, safi;      /* 0 request, 1 begin, 2 end (RFC 7313). */
    int family;                 /* enum bgp_family, or -1. */
};

/* False with the error (RFC 7313 section 5) if it is too short. */
bool bgp_refresh_parse(struct cursor, struct bgp_refresh *,
                       struct bgp_error *);

#endif /* bgp/message.h */
