/* bgp/bmp_router.h -- what one router has told by BMP: itself, its peers, their
 * routes.  No socket and no clock: messages go in, routes go to a sink. */
#ifndef BGP_BMP_ROUTER_H
#define BGP_BMP_ROUTER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/attribute.h"
#include "bgp/bmp_message.h"
#include "lib/counter.h"

#define BMP_N_VIEWS 5
#define BMP_TEXT_SIZE 256

/* X(name, what it counts) */
#define BMP_ROUTER_COUNTERS(X)                                               \
    X(messages, "Messages received")                                         \
    X(octets, "Octets of those messages")                                    \
    X(route_monitoring, "Route Monitoring messages")                         \
    X(statistics, "Statistics Reports")                                      \
    X(peer_up, "Peer Up messages")                                           \
    X(peer_down, "Peer Down messages")                                       \
    X(mirrored, "BGP messages mirrored")                                     \
    X(mirror_errors, "Of them, messages that the router found malformed")    \
    X(mirror_lost, "Times that the router could not mirror all")             \
    X(announced, "Routes announced")                                         \
    X(withdrawn, "Routes withdrawn")                                         \
    X(leaks, "Routes announced that are leaks by their ONLY_TO_CUSTOMER")    \
    X(treated_as_withdrawn, "Updates whose routes were withdrawn because of " \
      "a malformed attribute")                                               \
    X(attributes_discarded, "Attributes left out")                           \
    X(families_skipped, "Fields of families that are not kept")              \
    X(views_skipped, "Updates of tables that are not kept")                  \
    X(malformed, "Messages that do not parse; the session goes on")          \
    X(unknown_type, "Messages of types that are not known")                  \
    X(unknown_peer, "Messages about peers of which nobody said that they are up")                  \
    X(refused_peers, "Peers refused because there are too many")

struct bmp_router_counters {
    BMP_ROUTER_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def bmp_router_counter_defs[];

/* What a peer is known by. */
struct bmp_peer_key {
    uint8_t type;               /* enum bmp_peer_type */
    uint64_t rd;
    struct addr address;
};

struct bmp_peer {
    struct bmp_peer_key key;
    bool up;
    bool implied;               /* Known by its routes alone. */
    uint32_t up_views;          /* 1 << enum bgp_view: some routers say it
                                 * once for each table. */
    uint32_t as, id;
    struct addr local;
    uint16_t local_port, remote_port;
    struct bgp_open sent, received;
    char table[BGP_NAME_SIZE];  /* Name of its table (RFC 9069), or "". */
    uint32_t peer[BMP_N_VIEWS]; /* In the sink; UINT32_MAX: none. */
    bool filtered;              /* Loc-RIB shows a part only. */
    int64_t up_us, down_us;     /* By the router's clock; 0: not told. */
    uint32_t flaps;
    char reason[BMP_TEXT_SIZE]; /* Why it went down last, or "". */
    uint64_t updates, mirrored;
    uint32_t has_statistics;    /* 1 << type */
    uint64_t statistics[BMP_N_STATISTICS];
    uint64_t family_statistics[BMP_N_STATISTICS][BGP_N_FAMILIES];
    uint32_t has_family[BMP_N_STATISTICS];
    struct bmp_peer *next;
};

struct bmp_router {
    struct addr address;
    char name[BMP_TEXT_SIZE], description[BMP_TEXT_SIZE];
    char text[BMP_TEXT_SIZE];   /* Whatever else it said. */
    char terminated[BMP_TEXT_SIZE];     /* Why it says goodbye, or "". */
    uint8_t version;
    struct bmp_peer *peers;
    unsigned n_peers, n_up;
    struct bmp_router_counters n;
};

struct bmp_router_config {
    unsigned max_peers;
    uint32_t families, views;
    const struct bgp_sink *sink;
    struct bgp_decoder *decoder;
    void *aux;
    void (*event)(void *aux, const struct bmp_router *,
                  const struct bmp_peer *, const char *kind,
                  const char *text);
};

/* NULL if out of memory. */
struct bmp_router *bmp_router_create(const struct addr *);
/* All that it told goes. */
void bmp_router_destroy(struct bmp_router *, const struct bmp_router_config *);

/* Takes one whole message, whose header has been looked at.  Returns false if
 * the router said that it ends. */
bool bmp_router_message(struct bmp_router *, const struct bmp_router_config *,
                        const struct bmp_header *, const uint8_t *);

#endif /* bgp/bmp_router.h */
