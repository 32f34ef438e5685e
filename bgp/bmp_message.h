/* bgp/bmp_message.h -- messages of the BGP Monitoring Protocol: RFC 7854
 * (version 3), 8671 (Adj-RIB-Out), 9069 (Loc-RIB), and what version 4 adds, as
 * far as it can be passed over.
 *
 * Everything borrows from the message. */
#ifndef BGP_BMP_MESSAGE_H
#define BGP_BMP_MESSAGE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/message.h"
#include "bgp/route.h"
#include "lib/addr.h"
#include "lib/cursor.h"

#define BMP_HEADER_SIZE 6
/* Two OPENs, or a mirrored message, of 65535 octets and what comes with it. */
#define BMP_MAX_SIZE (256u << 10)

/* X(id, code, name) */
#define BMP_TYPES(X)                                    \
    X(ROUTE_MONITORING, 0, "route-monitoring")          \
    X(STATISTICS, 1, "stats-report")                    \
    X(PEER_DOWN, 2, "peer-down")                        \
    X(PEER_UP, 3, "peer-up")                            \
    X(INITIATION, 4, "initiation")                      \
    X(TERMINATION, 5, "termination")                    \
    X(MIRRORING, 6, "route-mirroring")

enum bmp_type {
#define X(ID, CODE, NAME) BMP_##ID = CODE,
    BMP_TYPES(X)
#undef X
    BMP_N_TYPES
};

const char *bmp_type_name(uint8_t type);        /* NULL if not known. */

struct bmp_header {
    uint8_t version, type;
    uint32_t size;              /* Of the whole message. */
};

/* Looks at BMP_HEADER_SIZE octets.  False: no BMP (version, or a length that
 * cannot be), and there is no telling where the next message begins. */
bool bmp_header_parse(const uint8_t *, struct bmp_header *);

enum bmp_peer_type { BMP_PEER_GLOBAL, BMP_PEER_RD, BMP_PEER_LOCAL,
                     BMP_PEER_LOC_RIB, BMP_N_PEER_TYPES };
const char *bmp_peer_type_name(uint8_t);        /* NULL if not known. */

/* "in-pre", "in-post", "out-pre", "out-post", "local" */
const char *bgp_view_name(enum bgp_view);

/* The per-peer header (RFC 7854 section 4.2). */
struct bmp_peer_header {
    uint8_t type, flags;
    enum bgp_view view;
    bool as2;                   /* AS_PATH has AS numbers of two octets. */
    uint64_t rd;                /* Distinguisher. */
    struct addr address;        /* Zero for Loc-RIB. */
    uint32_t as, id;
    int64_t time_us;            /* 0: not told. */
};
bool bmp_peer_header_parse(struct cursor *, struct bmp_peer_header *);

/* Takes the next TLV off 'c'.  False at the end, or if it does not fit ('c' is
 * bad).  In version 4 an index may come with it. */
struct bmp_tlv {
    uint16_t type;
    struct cursor value;
};
bool bmp_tlv_next(struct cursor *c, struct bmp_tlv *);

struct bmp_peer_up {
    struct addr local;
    uint16_t local_port, remote_port;
    struct cursor sent, received;       /* OPENs, what follows the header. */
    struct cursor tlvs;
};
bool bmp_peer_up_parse(struct cursor, struct bmp_peer_up *, bool v6);

/* X(code, name, what) */
#define BMP_DOWN_REASONS(X)                                             \
    X(1, "local-notification", "the router ended the session")          \
    X(2, "local", "the router ended the session without NOTIFICATION")  \
    X(3, "remote-notification", "the peer ended the session")           \
    X(4, "remote", "the peer closed the connection")                    \
    X(5, "not-monitored", "the router does not tell of it any more")    \
    X(6, "table-gone", "the router's table is not there any more")

struct bmp_peer_down {
    uint8_t reason;
    uint16_t fsm_event;         /* Reason 2. */
    bool has_error;
    struct bgp_error error;     /* Reasons 1 and 3. */
};
bool bmp_peer_down_parse(struct cursor, struct bmp_peer_down *);
const char *bmp_down_reason_name(uint8_t);      /* NULL if not known. */
/* In words, with the NOTIFICATION if there is one. */
char *bmp_peer_down_format(const struct bmp_peer_down *, char *, size_t);

/* X(code, per family, name, what) */
#define BMP_STATISTICS_TABLE(X)                                              \
    X(0, 0, "rejected_by_policy", "Prefixes rejected by inbound policy")     \
    X(1, 0, "duplicate_announcements", "Known duplicate announcements")      \
    X(2, 0, "duplicate_withdrawals", "Known duplicate withdrawals")          \
    X(3, 0, "cluster_list_loops", "Updates with our cluster in them")        \
    X(4, 0, "as_path_loops", "Updates with our AS in them")                  \
    X(5, 0, "originator_loops", "Updates with our ORIGINATOR_ID")            \
    X(6, 0, "confederation_loops", "Updates with our member AS in them")     \
    X(7, 0, "adj_rib_in", "Routes in Adj-RIB-In")                            \
    X(8, 0, "loc_rib", "Routes in Loc-RIB")                                  \
    X(9, 1, "adj_rib_in_family", "Routes in Adj-RIB-In, of each family")     \
    X(10, 1, "loc_rib_family", "Routes in Loc-RIB, of each family")          \
    X(11, 0, "updates_treated_as_withdrawn", "Updates treated as "           \
      "withdrawals")                                                         \
    X(12, 0, "prefixes_treated_as_withdrawn", "Prefixes treated as "         \
      "withdrawn")                                                           \
    X(13, 0, "duplicate_updates", "Duplicate update messages")               \
    X(14, 0, "adj_rib_out_pre", "Routes in Adj-RIB-Out before policy")       \
    X(15, 0, "adj_rib_out_post", "Routes in Adj-RIB-Out after policy")       \
    X(16, 1, "adj_rib_out_pre_family", "The same, of each family")           \
    X(17, 1, "adj_rib_out_post_family", "The same, of each family")

#define BMP_N_STATISTICS 18

const char *bmp_statistic_name(uint16_t type);  /* NULL if not known. */
bool bmp_statistic_per_family(uint16_t type);

struct bmp_statistic {
    uint16_t type;
    uint64_t value;
    uint16_t afi;               /* 0: not of a family. */
    uint8_t safi;
};
/* The value of a TLV of a Statistics Report; false if its length is none that
 * is known. */
bool bmp_statistic_parse(const struct bmp_tlv *, struct bmp_statistic *);

/* The BGP message of a Route Monitoring message: what follows its header.  In
 * version 4 it may be a TLV, or TLVs come after it.  False if there is none. */
bool bmp_update_find(struct cursor, uint8_t version, struct cursor *update,
                     uint8_t *type);

/* Text of a TLV without control characters. */
char *bmp_text(const struct bmp_tlv *, char *, size_t);

enum { BMP_DOWN_TABLE_GONE = 6 };

enum { BMP_TLV_STRING = 0, BMP_TLV_SYS_DESCR = 1, BMP_TLV_SYS_NAME = 2,
       BMP_TLV_TABLE_NAME = 3, BMP_TLV_REASON = 1, BMP_TLV_MIRROR_MESSAGE = 0,
       BMP_TLV_MIRROR_INFO = 1 };

/* Reason of a Termination. */
const char *bmp_termination_name(uint16_t);

#endif /* bgp/bmp_message.h */
