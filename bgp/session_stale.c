#include <config.h>

#include "bgp/session_p.h"

/* Routes that outlive a session: graceful restart (RFC 4724, 8538), long-lived
 * (RFC 9494), and enhanced route refresh (RFC 7313).
 *
 * We are the receiving speaker only.  Routes are stale from the end of the
 * session until End-of-RIB of the next one, and go when the restart takes too
 * long. */

static void
drop_stale(struct bgp_session *s, uint32_t which)
{
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        if (s->stale & which & 1u << f) {
            s->sink.purge(s->sink.aux, s->peer, (enum bgp_family) f, true);
            s->long_until[f] = NEVER;
        }
    }
    s->stale &= ~which;
    if (!s->stale) {
        s->stale_until = NEVER;
    }
}

static void
forget_peer(struct bgp_session *s)
{
    if (s->peer != UINT32_MAX) {
        s->sink.peer_down(s->sink.aux, s->peer);
        s->peer = UINT32_MAX;
    }
    s->stale = 0;
    s->stale_until = NEVER;
}

void
session_stale_up(struct bgp_session *s, const struct bgp_open *o,
                 int64_t now_ms)
{
    /* RFC 4724 section 4.2: what the peer did not keep itself goes now. */
    uint32_t kept = s->gr_families & o->caps.gr_forwarding;
    kept |= s->llgr_families & o->caps.llgr_forwarding;
    drop_stale(s, ~kept);
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        s->refresh_until[f] = NEVER;
        if (!(s->stale >> f & 1)) {
            s->long_until[f] = NEVER;   /* Else that time goes on. */
        }
    }
    s->stale_until = s->stale ? now_ms + STALE_WAIT_MS : NEVER;
}

void
session_stale_down(struct bgp_session *s, bool keep, int64_t now_ms)
{
    uint32_t which = keep ? s->gr_families | s->llgr_families : 0;
    uint32_t time_s = s->gr_time_s < s->config.stale_max_s
                      ? s->gr_time_s : s->config.stale_max_s;
    /* One restart after the other: what was stale before the session came up
     * and was not told in it goes (RFC 4724 section 4.2), unless its longer
     * time has begun (RFC 9494 section 4.2), which is not begun anew. */
    uint32_t longer = 0;
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        s->refresh_until[f] = NEVER;
        longer |= (uint32_t) (s->long_until[f] != NEVER) << f;
    }
    longer &= which & s->llgr_families;
    drop_stale(s, ~longer);
    if (!which || s->peer == UINT32_MAX) {
        forget_peer(s);
        return;
    }
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        enum bgp_family family = (enum bgp_family) f;
        if (which >> f & 1) {
            s->sink.mark_stale(s->sink.aux, s->peer, family);
        } else if (s->params.families >> f & 1) {
            s->sink.purge(s->sink.aux, s->peer, family, false);
        }
    }
    s->stale = which;
    s->stale_until = now_ms + 1000ll * time_s;
}

void
session_stale_complete(struct bgp_session *s, enum bgp_family f)
{
    s->complete |= 1u << f;     /* The sink has removed what was stale. */
    s->stale &= ~(1u << f);
    s->long_until[f] = NEVER;
    if (!s->stale) {
        s->stale_until = NEVER;
    }
}

/* The restart took too long: families that are long-lived get more time (RFC
 * 9494 section 4.2), others go. */
static void
restart_expired(struct bgp_session *s, int64_t now_ms)
{
    uint32_t longer = 0;
    s->stale_until = NEVER;
    for (int f = 0; f < BGP_N_FAMILIES && !s->up; f++) {
        if (s->stale & s->llgr_families & 1u << f && s->llgr_time_s[f]) {
            longer |= 1u << f;
            if (s->long_until[f] == NEVER) {
                s->long_until[f] = now_ms + 1000ll * s->llgr_time_s[f];
            }
            if (s->sink.long_lived) {
                s->sink.long_lived(s->sink.aux, s->peer,
                                   (enum bgp_family) f);
            }
        }
    }
    drop_stale(s, ~longer);
    if (!s->stale && !s->up) {
        forget_peer(s);
    }
}

void
session_stale_tick(struct bgp_session *s, int64_t now_ms)
{
    if (s->stale_until <= now_ms) {
        restart_expired(s, now_ms);
    }
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        if (s->long_until[f] <= now_ms) {
            drop_stale(s, 1u << f);
            s->long_until[f] = NEVER;
            if (!s->stale && !s->up) {
                forget_peer(s);
            }
        }
        if (s->refresh_until[f] <= now_ms) {
            s->refresh_until[f] = NEVER;
            if (s->peer != UINT32_MAX) {
                s->sink.purge(s->sink.aux, s->peer, (enum bgp_family) f,
                              true);
            }
        }
    }
}

int64_t
session_stale_next(const struct bgp_session *s)
{
    int64_t next = s->stale_until;
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        next = s->long_until[f] < next ? s->long_until[f] : next;
        next = s->refresh_until[f] < next ? s->refresh_until[f] : next;
    }
    return next;
}

void
session_stale_refresh(struct bgp_session *s, enum bgp_family f, bool begin,
                      int64_t now_ms)
{
    if (s->peer == UINT32_MAX || s->stale >> f & 1) {
        return;                 /* A restart goes on: it has its own end. */
    }
    if (begin && s->refresh_until[f] != NEVER) {
        /* Once more, before the end of the last: what has come since then
         * stays, too, and a peer cannot mark all again and again. */
        s->refresh_until[f] = now_ms + STALE_WAIT_MS;
    } else if (begin) {
        s->sink.mark_stale(s->sink.aux, s->peer, f);
        s->refresh_until[f] = now_ms + STALE_WAIT_MS;
    } else if (s->refresh_until[f] != NEVER) {
        s->sink.purge(s->sink.aux, s->peer, f, true);
        s->refresh_until[f] = NEVER;
    }
}
