/* bgp/session_p.h -- inside bgp/session*.c. */
#ifndef BGP_SESSION_P_H
#define BGP_SESSION_P_H 1

#include "bgp/session.h"

#define NEVER INT64_MAX
/* RFC 4271 section 8: "a large value", 4 minutes. */
#define OPEN_HOLD_MS 240000
/* How long stale routes wait for End-of-RIB, or for the end of a refresh. */
#define STALE_WAIT_MS 360000
/* Flaps that are forgiven; one more is every so often. */
#define FLAPS_FREE 4
#define FLAP_FORGET_MS 15000
#define IDLE_MIN_MS 1000
#define IDLE_MAX_MS 120000

/* A connection. */
struct conn {
    enum bgp_state state;
    int64_t hold_at, keepalive_at;
    struct addr local;
    bool has_open;
    struct bgp_open open;       /* The peer's. */
};

struct bgp_session {
    struct bgp_config config;
    struct bgp_io io;
    struct bgp_sink sink;
    struct bgp_decoder *decoder;
    uint32_t random;
    struct conn conn[BGP_N_SLOTS];
    struct bgp_session_counters n;

    bool started;
    int64_t retry_at;           /* Connect retry. */
    int64_t idle_until;         /* Peer oscillation damping. */
    bool held_by_limit;         /* Too many prefixes. */
    uint32_t flap_score;
    int64_t flap_ms;

    /* Of the session that is up, or was. */
    enum bgp_slot up_slot;
    bool up;
    uint32_t peer;              /* In the sink; UINT32_MAX: none. */
    struct bgp_params params;
    uint16_t hold_s;
    size_t max_size;
    bool enhanced, can_refresh, notification_gr;
    uint32_t complete, warned;
    bool warned_leak;
    uint32_t gr_families, llgr_families;
    uint16_t gr_time_s;
    uint32_t llgr_time_s[BGP_N_FAMILIES];
    uint32_t as;

    /* Routes of before. */
    uint32_t stale;             /* Families. */
    int64_t stale_until;        /* Of all of them: the restart. */
    int64_t long_until[BGP_N_FAMILIES];
    int64_t refresh_until[BGP_N_FAMILIES];      /* RFC 7313. */

    int64_t changed_ms, last_input_ms, last_error_ms;
    char last_error[512];
    bool last_error_sent;
};

/* session_open.c: checks the peer's OPEN against what is configured.  False
 * with the error. */
bool session_check_open(const struct bgp_session *, const struct bgp_open *,
                        struct bgp_error *);
/* Our own OPEN. */
void session_make_open(const struct bgp_session *, struct bgp_open *);
/* What both can do. */
void session_negotiate(struct bgp_session *, const struct bgp_open *);

/* session_stale.c: the session is up: what of before is still good. */
void session_stale_up(struct bgp_session *, const struct bgp_open *,
                      int64_t now_ms);
/* The session went down; 'keep': routes may wait for a restart. */
void session_stale_down(struct bgp_session *, bool keep, int64_t now_ms);
/* A family is complete. */
void session_stale_complete(struct bgp_session *, enum bgp_family);
void session_stale_tick(struct bgp_session *, int64_t now_ms);
int64_t session_stale_next(const struct bgp_session *);
/* BoRR and EoRR (RFC 7313). */
void session_stale_refresh(struct bgp_session *, enum bgp_family, bool begin,
                           int64_t now_ms);

#endif /* bgp/session_p.h */
