/* bgp/session.h -- one BGP neighbour: the finite state machine of RFC 4271
 * section 8, without socket, clock or loop.
 *
 * Events come in by functions, with the time as a value; what is to be done
 * comes out by struct bgp_io (sockets) and struct bgp_sink (routes).  A
 * neighbour has two places for connections, one that we opened and one that we
 * accepted; each runs through the states by itself until the collision of both
 * is resolved (section 6.8).
 *
 * We take routes and never announce any: after OPEN and KEEPALIVE all that we
 * send is End-of-RIB, empty answers to ROUTE-REFRESH and requests for it. */
#ifndef BGP_SESSION_H
#define BGP_SESSION_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/attribute.h"
#include "bgp/message.h"
#include "bgp/route.h"
#include "lib/addr.h"
#include "lib/counter.h"

enum bgp_state { BGP_IDLE, BGP_CONNECT, BGP_ACTIVE, BGP_OPEN_SENT,
                 BGP_OPEN_CONFIRM, BGP_ESTABLISHED, BGP_N_STATES };

/* "Idle" ... "Established". */
const char *bgp_state_name(enum bgp_state);

enum bgp_slot { BGP_OUT, BGP_IN, BGP_N_SLOTS };

#define BGP_TEXT_SIZE 256

/* What is configured.  A change of any of it but the last three members ends a
 * running session. */
struct bgp_config {
    struct addr address;        /* Of the neighbour. */
    uint16_t port;
    struct addr local;          /* Ours; zero: any. */
    uint32_t local_as, router_id;
    uint32_t as_first, as_last; /* Of the neighbour; the same for one. */
    uint32_t families;
    uint16_t hold_s;            /* 0, or at least 3. */
    uint16_t connect_retry_s;
    bool passive;
    bool add_path;              /* Ask for it. */
    bool graceful;              /* Keep routes as RFC 4724 and 9494 say. */
    uint32_t stale_max_s;       /* Of a restart, whatever the peer asks. */
    uint32_t long_stale_max_s;
    uint8_t role;               /* enum bgp_role; ours. */
    bool role_strict;
    /* These can change under a running session. */
    bool shutdown;
    char shutdown_text[BGP_TEXT_SIZE];
    uint64_t max_prefixes;      /* Of each family; 0: no limit. */
    uint8_t warn_percent;
    uint32_t idle_after_limit_s;        /* 0: until it is reset by hand. */
    char name[BGP_NAME_SIZE];
};

/* X(name, what it counts) */
#define BGP_SESSION_COUNTERS(X)                                             \
    X(opens_in, "OPEN messages received")                                   \
    X(updates_in, "UPDATE messages received")                               \
    X(notifications_in, "NOTIFICATION messages received")                   \
    X(keepalives_in, "KEEPALIVE messages received")                         \
    X(refreshes_in, "ROUTE-REFRESH messages received")                      \
    X(octets_in, "Octets of all messages received")                         \
    X(messages_out, "Messages sent")                                        \
    X(announced, "Routes announced")                                        \
    X(withdrawn, "Routes withdrawn")                                        \
    X(treated_as_withdrawn, "UPDATE messages whose routes were withdrawn "  \
      "because of a malformed attribute")                                   \
    X(attributes_discarded, "Attributes left out, malformed or not for us") \
    X(attributes_unknown, "Attributes that are not known")                  \
    X(families_skipped, "Fields of families that are not kept")             \
    X(routes_skipped, "Single routes of a type that is not kept, or to "    \
      "multicast")                                                          \
    X(leaks, "Routes announced that are leaks by their ONLY_TO_CUSTOMER")   \
    X(established, "Times that the session came up")                        \
    X(flaps, "Times that the session went down")                            \
    X(connects, "Connections tried")                                        \
    X(connect_failures, "Connections that failed or were refused")          \
    X(accepted, "Connections accepted")                                     \
    X(rejected, "Connections refused: too early after a flap, shut down or " \
      "there is one already")                                               \
    X(collisions, "Connections closed to resolve a collision")              \
    X(hold_expired, "Times that the hold timer ran out")

struct bgp_session_counters {
    BGP_SESSION_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def bgp_session_counter_defs[];

/* What the session wants done.  None of it calls back before it returns. */
struct bgp_io {
    void *aux;
    void (*connect)(void *aux);                 /* BGP_OUT. */
    void (*send)(void *aux, enum bgp_slot, const uint8_t *, size_t);
    /* After what was sent has gone out. */
    void (*close)(void *aux, enum bgp_slot);
    /* Routes that the RIB holds of this peer; NULL: no limits. */
    uint64_t (*n_routes)(void *aux, uint32_t peer, enum bgp_family);
    /* Something that an operator wants to know: "up", "down", "warning". */
    void (*event)(void *aux, const char *kind, const char *text);
};

struct bgp_session;

/* 'decoder' may be shared by sessions of one thread.  'seed' is for jitter.
 * NULL if out of memory. */
struct bgp_session *bgp_session_create(const struct bgp_config *,
                                       const struct bgp_io *,
                                       const struct bgp_sink *,
                                       struct bgp_decoder *, uint32_t seed);
/* Says goodbye with Cease/De-configured if there is someone to hear it, and
 * gives back the routes.  NULL is fine. */
void bgp_session_destroy(struct bgp_session *, int64_t now_ms);

/* ---- Events. ---- */

void bgp_session_start(struct bgp_session *, int64_t now_ms);

/* New configuration; ends the session (Cease/Other Configuration Change) only
 * if it has to.  Returns true if it did. */
bool bgp_session_configure(struct bgp_session *, const struct bgp_config *,
                           int64_t now_ms);

/* Cease/Administrative Reset, and again. */
void bgp_session_reset(struct bgp_session *, int64_t now_ms);

/* Asks for all routes again (RFC 2918).  False if the peer cannot. */
bool bgp_session_refresh(struct bgp_session *);

void bgp_session_connected(struct bgp_session *, const struct addr *local,
                           int64_t now_ms);
/* A connection from the neighbour: may it come in?  It may take the place of
 * one that is closed here.  False: the caller closes it, after sending 'reason'
 * (a whole message of *n octets, BGP_MAX_SIZE of room). */
bool bgp_session_admits(struct bgp_session *, int64_t now_ms, uint8_t *reason,
                        size_t *n);
/* It is there. */
void bgp_session_accepted(struct bgp_session *, const struct addr *local,
                          int64_t now_ms);
/* Connecting failed, or the connection broke. */
void bgp_session_broken(struct bgp_session *, enum bgp_slot, const char *why,
                        int64_t now_ms);

/* Octets from the peer.  Returns how many were used up, which is less than 'n'
 * if the last message is not whole, or the connection was closed by it.  One
 * message at least is taken if it is whole; more are taken until 'budget'
 * octets are used up. */
size_t bgp_session_input(struct bgp_session *, enum bgp_slot,
                         const uint8_t *, size_t n, size_t budget,
                         int64_t now_ms);

/* When bgp_session_tick() wants to be called; INT64_MAX: never. */
int64_t bgp_session_next_ms(const struct bgp_session *);
void bgp_session_tick(struct bgp_session *, int64_t now_ms);

/* ---- What there is to see. ---- */

struct bgp_session_info {
    enum bgp_state state;
    const struct bgp_config *config;
    const struct bgp_session_counters *n;
    const struct bgp_open *open;        /* The peer's; NULL: none yet. */
    struct addr local;
    uint32_t peer;              /* In the sink; UINT32_MAX: none. */
    uint32_t as;                /* As told, or as configured. */
    uint16_t hold_s, keepalive_s;       /* As negotiated. */
    uint32_t families, add_path, ext_next_hop;  /* As negotiated. */
    bool as4, extended, enhanced_refresh;
    uint32_t complete;          /* Families with End-of-RIB. */
    uint32_t stale;             /* Families kept for a restart. */
    int64_t changed_ms;         /* Up or down since. */
    int64_t last_input_ms;
    const char *last_error;     /* In words, or "". */
    bool last_error_sent;       /* By us. */
    int64_t last_error_ms;
    const char *waiting;        /* Why nothing is tried now, or NULL. */
    enum bgp_slot slot;         /* Of the session. */
};
void bgp_session_info(const struct bgp_session *, struct bgp_session_info *);

#endif /* bgp/session.h */
