/* bgp/route.h -- what a BGP session, a BMP router and an MRT file hand to the
 * RIB: routes and their path attributes, as values.
 *
 * A parser fills these structures and points into its own memory: everything
 * here is valid during one call only.  The RIB copies what it keeps. */
#ifndef BGP_ROUTE_H
#define BGP_ROUTE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

/* X(id, AFI, SAFI, name): the families that are kept.  RFC 4760, 8277 (label),
 * 4364 and 4659 (vpn), 7432 (evpn). */
#define BGP_FAMILIES(X)                                 \
    X(IPV4_UNICAST, 1, 1, "ipv4-unicast")               \
    X(IPV6_UNICAST, 2, 1, "ipv6-unicast")               \
    X(IPV4_LABELED, 1, 4, "ipv4-labeled-unicast")       \
    X(IPV6_LABELED, 2, 4, "ipv6-labeled-unicast")       \
    X(VPNV4, 1, 128, "vpnv4-unicast")                   \
    X(VPNV6, 2, 128, "vpnv6-unicast")                   \
    X(EVPN, 25, 70, "l2vpn-evpn")

enum bgp_family {
#define X(ID, AFI, SAFI, NAME) BGP_##ID,
    BGP_FAMILIES(X)
#undef X
    BGP_N_FAMILIES
};

/* One run of an AS path.  Confederation segments (RFC 5065) are kept. */
enum bgp_segment_type {
    BGP_AS_SET = 1,
    BGP_AS_SEQUENCE = 2,
    BGP_AS_CONFED_SEQUENCE = 3,
    BGP_AS_CONFED_SET = 4,
};

/* Which members of struct bgp_attrs were in the message, bits of 'has'. */
enum {
    BGP_HAS_ORIGIN = 1 << 0,
    BGP_HAS_AS_PATH = 1 << 1,   /* Also when the path is empty. */
    BGP_HAS_NEXT_HOP = 1 << 2,
    BGP_HAS_MED = 1 << 3,
    BGP_HAS_LOCAL_PREF = 1 << 4,
    BGP_HAS_AGGREGATOR = 1 << 5,
    BGP_HAS_ATOMIC_AGGREGATE = 1 << 6,
    BGP_HAS_ORIGINATOR_ID = 1 << 7,
    BGP_HAS_OTC = 1 << 8,       /* RFC 9234 */
    BGP_HAS_AIGP = 1 << 9,      /* RFC 7311 */
    BGP_HAS_LINK_LOCAL = 1 << 10,       /* Second next hop, RFC 2545. */
    BGP_HAS_LEAK = 1 << 11,     /* Not in the message but judged: by its OTC
                                 * it should not have come (RFC 9234). */
};

/* The path attributes of an UPDATE, with AS4_PATH and AS4_AGGREGATOR merged in
 * already (RFC 6793) and numbers in host order. */
struct bgp_attrs {
    uint64_t serial;            /* Calls in a row with the same number have
                                 * the same contents; never 0. */
    uint32_t has;
    uint8_t origin;             /* 0 IGP, 1 EGP, 2 INCOMPLETE. */
    struct addr next_hop;
    struct addr link_local;
    uint32_t med, local_pref, otc;
    uint32_t aggregator_as;
    struct addr aggregator;
    uint32_t originator_id;     /* Host order, as a BGP identifier. */
    uint64_t aigp;
    /* The path: words of (type << 16 | count), each followed by 'count' AS
     * numbers.  No segment has more than 255. */
    const uint32_t *as_path;
    uint32_t n_as_path;         /* Words. */
    const uint32_t *communities;        /* RFC 1997 */
    uint32_t n_communities;
    const uint64_t *ext_communities;    /* RFC 4360, whole 8 octets. */
    uint32_t n_ext_communities;
    const uint32_t (*large_communities)[3];     /* RFC 8092 */
    uint32_t n_large_communities;
    const uint32_t *cluster_list;
    uint32_t n_cluster_list;
    /* Attributes that are not understood, as they came (flags, type, length,
     * value), one after the other. */
    const uint8_t *unknown;
    uint32_t n_unknown;         /* Octets. */
};

/* Route of one destination. */
struct bgp_nlri {
    enum bgp_family family;
    uint32_t path_id;           /* RFC 7911; 0 without ADD-PATH. */
    struct prefix prefix;       /* IPv4 as mapped: 10.0.0.0/8 has 'len' 104.
                                 * EVPN type 2: the host's address, or "::/0"
                                 * where it has none; 3: the originating
                                 * router's; 5: the prefix. */
    uint64_t rd;                /* Route distinguisher, 8 octets; vpn, evpn. */
    uint32_t label;             /* Lowest (first) label, 20 bits; 0: none. EVPN:
                                 * the VNI or label, 24 bits. */
    uint8_t n_labels;
    uint32_t label2;            /* EVPN type 2: the second, of the VRF. */
    /* EVPN only. */
    uint8_t evpn_type;          /* RFC 7432: 2, 3; RFC 9136: 5. */
    uint32_t ethernet_tag;
    uint64_t mac;               /* Low 48 bits. */
    uint8_t esi[10];
    struct addr gateway;        /* Type 5; zero: none. */
};

/* Who tells routes. */
enum bgp_peer_kind { BGP_PEER_SESSION, BGP_PEER_BMP, BGP_PEER_FILE };

/* Which of its tables BMP shows (RFC 7854, 8671, 9069). */
enum bgp_view { BGP_VIEW_IN_PRE, BGP_VIEW_IN_POST, BGP_VIEW_OUT_PRE,
                BGP_VIEW_OUT_POST, BGP_VIEW_LOCAL };

/* A peer as it was when its session came up.  The same 'kind', 'router',
 * 'address', 'rd' and 'view' are the same peer. */
struct bgp_peer_info {
    enum bgp_peer_kind kind;
    enum bgp_view view;
    struct addr address;        /* Its own; zero for a local table. */
    struct addr router;         /* BMP: who told us. */
    struct addr local;          /* Session: our address. */
    uint64_t rd;                /* BMP: peer distinguisher. */
    uint32_t as, local_as;
    uint32_t id, router_id;     /* BGP identifiers: its own, and BMP's or our
                                 * own; host order; 0: not known. */
    const char *name;           /* As configured or told; or NULL. */
};

/* Where routes go to.  'aux' is the receiver's, 'peer' is the number that it
 * gave out in peer_up(). */
struct bgp_sink {
    void *aux;

    /* A session came up, perhaps again: routes that were marked stale before
     * are still there.  Returns the peer's number; UINT32_MAX: no more
     * peers. */
    uint32_t (*peer_up)(void *aux, const struct bgp_peer_info *);

    /* The peer is gone for good (or its session without graceful restart):
     * all that it told goes, in bounded slices, and the number is free after
     * that. */
    void (*peer_down)(void *aux, uint32_t peer);

    /* A new or changed route. */
    void (*announce)(void *aux, uint32_t peer, const struct bgp_nlri *,
                     const struct bgp_attrs *);
    void (*withdraw)(void *aux, uint32_t peer, const struct bgp_nlri *);

    /* RFC 4724 section 2: 'family' is complete; stale routes go. */
    void (*end_of_rib)(void *aux, uint32_t peer, enum bgp_family);

    /* All of a family are stale, and go at end_of_rib() or purge(); graceful
     * restart, and enhanced route refresh (RFC 7313). */
    void (*mark_stale)(void *aux, uint32_t peer, enum bgp_family);

    /* RFC 9494 section 4.3: a family's stale routes stay for long, but those
     * with the community NO_LLGR go.  May be NULL. */
    void (*long_lived)(void *aux, uint32_t peer, enum bgp_family);

    /* All routes of a family, or only its stale ones, go. */
    void (*purge)(void *aux, uint32_t peer, enum bgp_family, bool stale_only);

    /* False: so much of the peer has come and gone that it is better cleared up
     * before it goes on; who can wait (a file) does.  May be NULL. */
    bool (*ready)(void *aux, uint32_t peer);
};

#endif /* bgp/route.h */
