/* bgp/speaker.h -- all BGP neighbours on one libev loop: sockets, timers, who
 * may connect.  The states of each are in bgp/session.h.
 *
 * What peers send is read in slices of a few milliseconds, each peer in turn,
 * so that a full table holds nothing else up. */
#ifndef BGP_SPEAKER_H
#define BGP_SPEAKER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/session.h"

struct ev_loop;
struct bgp_speaker;

struct bgp_neighbor {
    struct bgp_config session;
    char *password;             /* TCP-MD5; NULL: none. */
    unsigned ttl_security;      /* Hops; 0: not minded. */
};

/* Neighbours that need not be known one by one. */
struct bgp_range {
    struct prefix prefix;
    unsigned max_neighbors;
    struct bgp_neighbor like;   /* Without an address. */
};

struct bgp_listen {
    struct addr addr;
    uint16_t port;
};

struct bgp_speaker_config {
    const struct bgp_listen *listen;
    size_t n_listen;
    const struct bgp_neighbor *neighbors;
    size_t n_neighbors;
    const struct bgp_range *ranges;
    size_t n_ranges;
};

/* X(name, what it counts) */
#define BGP_SPEAKER_COUNTERS(X)                                            \
    X(strangers, "Connections from addresses that are no neighbour's")     \
    X(too_many, "Connections refused: no more dynamic neighbours")         \
    X(bad_sockets, "Connections that could not be accepted")

struct bgp_speaker_counters {
    BGP_SPEAKER_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def bgp_speaker_counter_defs[];

struct bgp_speaker_hooks {
    void *aux;
    /* Routes that the RIB has of a peer. */
    uint64_t (*n_routes)(void *aux, uint32_t peer, enum bgp_family);
    /* "up", "down", "warning" or "malformed" of a neighbour. */
    void (*event)(void *aux, const struct bgp_session_info *,
                  const char *kind, const char *text);
};

/* NULL if out of memory.  'sink' and 'hooks' are copied. */
struct bgp_speaker *bgp_speaker_create(struct ev_loop *,
                                       const struct bgp_sink *,
                                       const struct bgp_speaker_hooks *);
/* Says goodbye to everyone.  NULL is fine. */
void bgp_speaker_destroy(struct bgp_speaker *);

/* Takes over a configuration; neighbours that stay as they were notice
 * nothing.  Returns 0, or a negative errno and a message to free(): then
 * sockets are as they were before, and so are neighbours. */
int bgp_speaker_configure(struct bgp_speaker *,
                          const struct bgp_speaker_config *, char **error);

/* One neighbour after the other: those configured, then dynamic ones. */
struct bgp_speaker_info {
    struct bgp_session_info session;
    bool dynamic;
    bool md5;
    unsigned ttl_security;
    uint16_t remote_port, local_port;
    size_t queued;              /* Octets that the peer has not taken. */
};
typedef bool bgp_speaker_fn(void *aux, const struct bgp_speaker_info *);
void bgp_speaker_each(const struct bgp_speaker *, bgp_speaker_fn *,
                      void *aux);

/* Ends a session, to be set up anew, or asks for all routes again.  Returns 0,
 * -ENOENT (no such neighbour), -ENOTCONN or -EOPNOTSUPP. */
int bgp_speaker_reset(struct bgp_speaker *, const struct addr *);
int bgp_speaker_refresh(struct bgp_speaker *, const struct addr *);

const struct bgp_speaker_counters *bgp_speaker_counters(
    const struct bgp_speaker *);

/* The ports really in use ("127.0.0.1:0" gets one), in the order of the
 * configuration.  Returns how many. */
size_t bgp_speaker_listening(const struct bgp_speaker *,
                             struct bgp_listen *, size_t max);

#endif /* bgp/speaker.h */
