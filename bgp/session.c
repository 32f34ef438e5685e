#include <config.h>

#include "bgp/session_p.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgp/leak.h"

const struct counter_def bgp_session_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct bgp_session_counters, NAME), DOC },
    BGP_SESSION_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

static const char *const state_names[BGP_N_STATES] = {
    [BGP_IDLE] = "Idle", [BGP_CONNECT] = "Connect", [BGP_ACTIVE] = "Active",
    [BGP_OPEN_SENT] = "OpenSent", [BGP_OPEN_CONFIRM] = "OpenConfirm",
    [BGP_ESTABLISHED] = "Established",
};

const char *
bgp_state_name(enum bgp_state state)
{
    return state_names[state];
}

/* What can happen to a connection. */
enum event {
    E_START, E_RETRY, E_CONNECTED, E_BROKEN, E_HOLD, E_KEEPALIVE_DUE,
    E_OPEN, E_KEEPALIVE, E_UPDATE, E_REFRESH, E_NOTIFICATION, N_EVENTS
};

struct happening {
    struct bgp_session *s;
    enum bgp_slot slot;
    struct conn *c;
    int64_t now;
    struct cursor body;         /* Of a message. */
    const char *why;            /* E_BROKEN. */
};

static void step(struct happening *, enum event);

/* ---- Timers. ---- */

/* RFC 4271 section 10: 75 to 100 % of what is configured. */
static int64_t
jitter(struct bgp_session *s, int64_t ms)
{
    s->random ^= s->random << 13;       /* xorshift */
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return ms - ms * (s->random % 1024) / 4096;
}

static void
restart_hold(struct happening *h)
{
    struct bgp_session *s = h->s;
    h->c->hold_at = s->hold_s ? h->now + 1000ll * s->hold_s : NEVER;
}

static void
restart_keepalive(struct happening *h)
{
    struct bgp_session *s = h->s;
    h->c->keepalive_at = s->hold_s
                         ? h->now + jitter(s, 1000ll * s->hold_s / 3) : NEVER;
}

/* ---- Words. ---- */

static void
note_error(struct bgp_session *s, bool sent, const char *why, int64_t now)
{
    snprintf(s->last_error, sizeof s->last_error, "%s", why);
    s->last_error_sent = sent;
    s->last_error_ms = now;
}

static void
tell(struct bgp_session *s, const char *kind, const char *text)
{
    if (s->io.event) {
        s->io.event(s->io.aux, kind, text);
    }
}

/* ---- Sending. ---- */

static void
send_message(struct happening *h, const uint8_t *p, size_t n)
{
    counter_inc(&h->s->n.messages_out);
    h->s->io.send(h->s->io.aux, h->slot, p, n);
}

static void
send_keepalive(struct happening *h)
{
    uint8_t buf[BGP_HEADER_SIZE];
    send_message(h, buf, bgp_keepalive_write(buf));
}

static void
send_open(struct happening *h)
{
    struct bgp_open o;
    uint8_t buf[BGP_MAX_SIZE];
    session_make_open(h->s, &o);
    send_message(h, buf, bgp_open_write(&o, buf));
    h->c->state = BGP_OPEN_SENT;
    h->c->has_open = false;
    h->c->hold_at = h->now + OPEN_HOLD_MS;
    h->c->keepalive_at = NEVER;
}

/* ---- Down. ---- */

static bool
is_alive(const struct conn *c)
{
    return c->state >= BGP_OPEN_SENT;
}

/* Who goes up and down all the time has to wait longer and longer (RFC 4271
 * section 8.1.1, DampPeerOscillations). */
static void
dampen(struct bgp_session *s, int64_t now)
{
    int64_t forgiven = (now - s->flap_ms) / FLAP_FORGET_MS;
    s->flap_score = forgiven >= s->flap_score
                    ? 0 : s->flap_score - (uint32_t) forgiven;
    s->flap_ms = now;
    s->flap_score++;
    if (s->flap_score > FLAPS_FREE) {
        uint32_t over = s->flap_score - FLAPS_FREE - 1;
        int64_t wait = over < 7 ? IDLE_MIN_MS << over : IDLE_MAX_MS;
        s->idle_until = now + (wait < IDLE_MAX_MS ? wait : IDLE_MAX_MS);
        s->flap_score = s->flap_score > 16 ? 16 : s->flap_score;
    }
}

/* What comes after the last connection is gone. */
static void
plan_retry(struct bgp_session *s, int64_t now)
{
    struct conn *out = &s->conn[BGP_OUT];
    if (is_alive(&s->conn[BGP_IN]) || is_alive(out)) {
        return;
    }
    if (!s->started || s->config.shutdown || s->held_by_limit) {
        out->state = BGP_IDLE;
        s->retry_at = s->held_by_limit && s->idle_until ? s->idle_until
                                                        : NEVER;
        return;
    }
    int64_t at = now + jitter(s, 1000ll * s->config.connect_retry_s);
    if (s->idle_until > now) {
        out->state = BGP_IDLE;
        s->retry_at = s->idle_until;
    } else {
        out->state = BGP_ACTIVE;
        s->retry_at = s->config.passive ? NEVER : at;
    }
}

static void
session_down(struct bgp_session *s, bool keep, int64_t now)
{
    char text[600];
    s->up = false;
    s->changed_ms = now;
    counter_inc(&s->n.flaps);
    session_stale_down(s, keep, now);
    dampen(s, now);
    snprintf(text, sizeof text, "%s%s", s->last_error,
             s->stale ? "; its routes are kept for a while" : "");
    tell(s, "down", text);
}

/* The connection ends.  'keep': the peer may be restarting, and its routes wait
 * for it. */
static void
drop(struct happening *h, bool keep)
{
    struct bgp_session *s = h->s;
    bool was_up = s->up && s->up_slot == h->slot;
    bool had = h->c->state >= BGP_CONNECT
               && h->c->state != BGP_ACTIVE;
    memset(h->c, 0, sizeof *h->c);
    h->c->hold_at = h->c->keepalive_at = NEVER;
    if (had) {
        s->io.close(s->io.aux, h->slot);
    }
    if (was_up) {
        session_down(s, keep, h->now);
    }
    plan_retry(s, h->now);
}

/* Ends a connection with a NOTIFICATION. */
static void
notify(struct happening *h, const struct bgp_error *e)
{
    uint8_t buf[BGP_MAX_SIZE];
    char text[400];
    struct bgp_session *s = h->s;
    bool cease = e->code == BGP_E_CEASE;
    if (is_alive(h->c)) {
        send_message(h, buf, bgp_notification_write(e, buf));
    }
    bgp_error_format(e, text, sizeof text);
    note_error(s, true, text, h->now);
    /* RFC 8538 section 4: a NOTIFICATION is a restart, too, if both said so;
     * but what an administrator ends has ended. */
    drop(h, s->notification_gr && !cease);
}

static void
notify_code(struct happening *h, uint8_t code, uint8_t subcode)
{
    struct bgp_error e;
    bgp_error_set(&e, code, subcode, NULL, 0);
    notify(h, &e);
}

/* ---- Up. ---- */

static void
become_established(struct happening *h)
{
    struct bgp_session *s = h->s;
    struct conn *c = h->c;
    uint8_t buf[BGP_MAX_SIZE];
    char text[100];

    struct bgp_peer_info info = {
        .kind = BGP_PEER_SESSION, .view = BGP_VIEW_IN_PRE,
        .address = s->config.address, .local = c->local,
        .as = c->open.as, .local_as = s->config.local_as,
        .id = c->open.id, .router_id = s->config.router_id,
        .name = s->config.name[0] ? s->config.name : NULL,
    };
    s->peer = s->sink.peer_up(s->sink.aux, &info);
    if (s->peer == UINT32_MAX) {
        notify_code(h, BGP_E_CEASE, BGP_E_CEASE_RESOURCES);
        return;
    }
    c->state = BGP_ESTABLISHED;
    s->up = true;
    s->up_slot = h->slot;
    s->changed_ms = h->now;
    s->complete = s->warned = 0;
    s->warned_leak = false;
    s->retry_at = NEVER;
    counter_inc(&s->n.established);
    session_stale_up(s, &c->open, h->now);
    restart_hold(h);
    struct conn *out = &s->conn[BGP_OUT];
    if (h->slot == BGP_IN && out->state != BGP_IDLE && !is_alive(out)) {
        bool connecting = out->state == BGP_CONNECT;
        out->state = BGP_IDLE;
        if (connecting) {
            s->io.close(s->io.aux, BGP_OUT);
        }
    }
    /* All that we have to announce. */
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        if (c->open.caps.has & 1u << BGP_CAP_GR
            && s->params.families >> f & 1) {
            send_message(h, buf, bgp_end_of_rib_write((enum bgp_family) f,
                                                      buf));
        }
    }
    snprintf(text, sizeof text, "AS %u, %s", (unsigned) c->open.as,
             h->slot == BGP_OUT ? "connected by us" : "accepted");
    tell(s, "up", text);
}

/* ---- Collisions. ---- */

/* RFC 4271 section 6.8, RFC 6286: the higher identifier keeps the connection
 * that it opened.  True if this one stays. */
static bool
survives_collision(struct happening *h)
{
    struct bgp_session *s = h->s;
    enum bgp_slot other = h->slot == BGP_OUT ? BGP_IN : BGP_OUT;
    struct happening o = { .s = s, .slot = other, .c = &s->conn[other],
                           .now = h->now };
    const struct bgp_open *open = &h->c->open;
    if (o.c->state < BGP_OPEN_CONFIRM) {
        return true;            /* It is seen to when its OPEN comes. */
    }
    bool ours = s->config.router_id > open->id
                || (s->config.router_id == open->id
                    && s->config.local_as > open->as);
    struct happening *loser = ours == (h->slot == BGP_OUT) ? &o : h;
    if (o.c->state == BGP_ESTABLISHED) {
        loser = h;
    }
    counter_inc(&s->n.collisions);
    notify_code(loser, BGP_E_CEASE, BGP_E_CEASE_COLLISION);
    return loser != h;
}

/* ---- What happens in which state. ---- */

static void
do_connect(struct happening *h)
{
    struct bgp_session *s = h->s;
    s->held_by_limit = false;
    s->idle_until = 0;
    if (s->config.passive) {
        h->c->state = BGP_ACTIVE;
        s->retry_at = NEVER;
        return;
    }
    h->c->state = BGP_CONNECT;
    s->retry_at = h->now + jitter(s, 1000ll * s->config.connect_retry_s);
    counter_inc(&s->n.connects);
    s->io.connect(s->io.aux);
}

/* The connection is not there yet: give up, and begin again. */
static void
do_reconnect(struct happening *h)
{
    h->s->io.close(h->s->io.aux, h->slot);
    counter_inc(&h->s->n.connect_failures);
    do_connect(h);
}

static void
do_greet(struct happening *h)
{
    h->s->retry_at = NEVER;
    send_open(h);
}

static void
do_fail(struct happening *h)
{
    counter_inc(&h->s->n.connect_failures);
    note_error(h->s, false, h->why, h->now);
    drop(h, true);
}

static void
do_break(struct happening *h)
{
    note_error(h->s, false, h->why, h->now);
    drop(h, true);
}

static void
do_hold_expired(struct happening *h)
{
    struct bgp_session *s = h->s;
    struct bgp_error e;
    uint8_t buf[BGP_MAX_SIZE];
    counter_inc(&s->n.hold_expired);
    bgp_error_set(&e, BGP_E_HOLD_TIMER, 0, NULL, 0);
    send_message(h, buf, bgp_notification_write(&e, buf));
    note_error(s, true, "Hold Timer Expired", h->now);
    /* RFC 4724 says it is no restart, RFC 8538 that it is. */
    drop(h, s->notification_gr);
}

static void
do_keepalive(struct happening *h)
{
    send_keepalive(h);
    restart_keepalive(h);
}

static void
do_open(struct happening *h)
{
    struct bgp_session *s = h->s;
    struct bgp_error e = { .code = 0 };
    if (!bgp_open_parse(h->body, &h->c->open, &e)
        || !session_check_open(s, &h->c->open, &e)) {
        notify(h, &e);
        return;
    }
    h->c->has_open = true;
    if (!survives_collision(h)) {
        return;
    }
    session_negotiate(s, &h->c->open);
    send_keepalive(h);
    restart_hold(h);
    restart_keepalive(h);
    h->c->state = BGP_OPEN_CONFIRM;
}

static void
do_confirm(struct happening *h)
{
    session_negotiate(h->s, &h->c->open);
    become_established(h);
}

static void
do_alive(struct happening *h)
{
    restart_hold(h);
}

/* RFC 4486: as many as were agreed on, and no more. */
static bool
within_limit(struct happening *h)
{
    struct bgp_session *s = h->s;
    uint64_t max = s->config.max_prefixes;
    if (!max || !s->io.n_routes) {
        return true;
    }
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        enum bgp_family family = (enum bgp_family) f;
        if (!(s->params.families >> f & 1)) {
            continue;
        }
        uint64_t n = s->io.n_routes(s->io.aux, s->peer, family);
        char text[120];
        if (n > max) {
            uint8_t data[7] = { 0, 0, bgp_family_safi(family) };
            struct bgp_error e;
            data[1] = (uint8_t) bgp_family_afi(family);
            for (int i = 0; i < 4; i++) {
                data[3 + i] = (uint8_t) (max >> (24 - 8 * i));
            }
            bgp_error_set(&e, BGP_E_CEASE, BGP_E_CEASE_MAX_PREFIX, data, 7);
            s->held_by_limit = true;
            notify(h, &e);
            s->idle_until = s->config.idle_after_limit_s
                            ? h->now + 1000ll * s->config.idle_after_limit_s
                            : 0;
            plan_retry(s, h->now);
            return false;
        }
        if (n * 100 > max * s->config.warn_percent
            && !(s->warned >> f & 1)) {
            s->warned |= 1u << f;
            snprintf(text, sizeof text, "%llu of at most %llu routes of %s",
                     (unsigned long long) n, (unsigned long long) max,
                     bgp_family_name(family));
            tell(s, "warning", text);
        }
    }
    return true;
}

/* One is told of, all are counted. */
static void
note_leaks(struct bgp_session *s, const struct bgp_update *u)
{
    uint32_t n = bgp_update_leaks(u);
    char text[120];
    counter_add(&s->n.leaks, n);
    if (n && !s->warned_leak) {
        s->warned_leak = true;
        tell(s, "warning", bgp_update_format_leak(u, s->config.role, text,
                                                  sizeof text));
    }
}

static void
do_update(struct happening *h)
{
    struct bgp_session *s = h->s;
    struct bgp_update u;
    restart_hold(h);
    bgp_update_decode(s->decoder, &s->params, h->body, &u);
    bgp_update_judge_leaks(&u, s->params.internal ? BGP_ROLE_NONE
                               : s->config.role, s->as);
    enum bgp_action action = bgp_update_deliver(&s->params, &u, &s->sink,
                                                s->peer);
    counter_add(&s->n.announced, u.n_announced);
    counter_add(&s->n.withdrawn, u.n_withdrawn);
    note_leaks(s, &u);
    if (u.n_discarded | u.n_unknown | u.n_skipped | u.n_bad_nlri) {
        counter_add(&s->n.attributes_discarded, u.n_discarded);
        counter_add(&s->n.attributes_unknown, u.n_unknown);
        counter_add(&s->n.families_skipped, u.n_skipped);
        counter_add(&s->n.routes_skipped, u.n_bad_nlri);
    }
    if (action == BGP_RESET) {
        char text[300];
        snprintf(text, sizeof text, "%s%s%s", u.why, u.bad_attr ? " in " : "",
                 u.bad_attr && bgp_attr_name(u.bad_attr)
                 ? bgp_attr_name(u.bad_attr) : "");
        tell(s, "malformed", text);
        notify(h, &u.error);
        return;
    }
    if (action == BGP_WITHDRAW) {
        counter_inc(&s->n.treated_as_withdrawn);
        tell(s, "malformed", u.why);
    }
    for (int f = 0; u.end_of_rib && f < BGP_N_FAMILIES; f++) {
        if (u.end_of_rib >> f & 1) {
            session_stale_complete(s, (enum bgp_family) f);
        }
    }
    if (u.n_announced) {
        within_limit(h);
    }
}

/* We have nothing to announce; with RFC 7313 that can be said. */
static void
answer_refresh(struct happening *h, enum bgp_family f)
{
    uint8_t buf[BGP_MAX_SIZE];
    if (h->s->enhanced) {
        send_message(h, buf, bgp_refresh_write(f, 1, buf));
        send_message(h, buf, bgp_refresh_write(f, 2, buf));
    }
}

static void
do_refresh(struct happening *h)
{
    struct bgp_session *s = h->s;
    struct bgp_refresh r;
    struct bgp_error e;
    restart_hold(h);
    if (!bgp_refresh_parse(h->body, &r, &e)) {
        /* RFC 7313 section 5 is for who has its capability; else one that is
         * cut is a message whose length is wrong (RFC 4271 section 6.1), and
         * one that is longer has what we ignore. */
        if (s->enhanced) {
            notify(h, &e);
        } else if (cur_left(&h->body) < 4) {
            uint16_t n = (uint16_t) (BGP_HEADER_SIZE + cur_left(&h->body));
            uint8_t size[2] = { (uint8_t) (n >> 8), (uint8_t) n };
            bgp_error_set(&e, BGP_E_HEADER, BGP_E_HEADER_LENGTH, size, 2);
            notify(h, &e);
        }
        return;
    }
    if (r.family < 0 || !(s->params.families >> r.family & 1)
        || r.subtype > 2 || (r.subtype && !s->enhanced)) {
        return;                 /* RFC 2918 section 4, 7313 section 5. */
    }
    if (r.subtype) {
        session_stale_refresh(s, (enum bgp_family) r.family, r.subtype == 1,
                              h->now);
    } else {
        answer_refresh(h, (enum bgp_family) r.family);
    }
}

static void
do_notification(struct happening *h)
{
    struct bgp_session *s = h->s;
    struct bgp_error e;
    char text[400];
    bgp_notification_parse(h->body, &e);
    bgp_error_format(&e, text, sizeof text);
    note_error(s, false, text, h->now);
    bool hard = e.code == BGP_E_CEASE && e.subcode == BGP_E_CEASE_HARD_RESET;
    drop(h, s->notification_gr && !hard);
}

/* RFC 6608 */
static void
do_unexpected(struct happening *h)
{
    static const uint8_t subcodes[BGP_N_STATES] = {
        [BGP_OPEN_SENT] = BGP_E_FSM_OPEN_SENT,
        [BGP_OPEN_CONFIRM] = BGP_E_FSM_OPEN_CONFIRM,
        [BGP_ESTABLISHED] = BGP_E_FSM_ESTABLISHED,
    };
    notify_code(h, BGP_E_FSM, subcodes[h->c->state]);
}

/* RFC 4271 section 8.2.2.  What is not here cannot happen, or means nothing in
 * that state. */
static void (*const transitions[BGP_N_STATES][N_EVENTS])(
    struct happening *) = {
    [BGP_IDLE] = { [E_START] = do_connect, [E_RETRY] = do_connect,
                   [E_CONNECTED] = do_greet },
    [BGP_CONNECT] = {
        [E_RETRY] = do_reconnect, [E_CONNECTED] = do_greet,
        [E_BROKEN] = do_fail,
    },
    [BGP_ACTIVE] = { [E_START] = do_connect, [E_RETRY] = do_connect,
                     [E_CONNECTED] = do_greet },
    [BGP_OPEN_SENT] = {
        [E_BROKEN] = do_break, [E_HOLD] = do_hold_expired, [E_OPEN] = do_open,
        [E_NOTIFICATION] = do_notification, [E_KEEPALIVE] = do_unexpected,
        [E_UPDATE] = do_unexpected, [E_REFRESH] = do_unexpected,
    },
    [BGP_OPEN_CONFIRM] = {
        [E_BROKEN] = do_break, [E_HOLD] = do_hold_expired,
        [E_KEEPALIVE_DUE] = do_keepalive, [E_KEEPALIVE] = do_confirm,
        [E_NOTIFICATION] = do_notification, [E_OPEN] = do_unexpected,
        [E_UPDATE] = do_unexpected, [E_REFRESH] = do_unexpected,
    },
    [BGP_ESTABLISHED] = {
        [E_BROKEN] = do_break, [E_HOLD] = do_hold_expired,
        [E_KEEPALIVE_DUE] = do_keepalive, [E_KEEPALIVE] = do_alive,
        [E_UPDATE] = do_update, [E_REFRESH] = do_refresh,
        [E_NOTIFICATION] = do_notification, [E_OPEN] = do_unexpected,
    },
};

static void
step(struct happening *h, enum event e)
{
    void (*f)(struct happening *) = transitions[h->c->state][e];
    if (f) {
        f(h);
    }
}

static struct happening
happening(struct bgp_session *s, enum bgp_slot slot, int64_t now)
{
    return (struct happening) { .s = s, .slot = slot, .c = &s->conn[slot],
                                .now = now };
}

/* ---- Input. ---- */

static void
message(struct happening *h, uint8_t type, const uint8_t *p, size_t n)
{
    static const enum event events[] = {
        [BGP_OPEN] = E_OPEN, [BGP_UPDATE] = E_UPDATE,
        [BGP_NOTIFICATION] = E_NOTIFICATION, [BGP_KEEPALIVE] = E_KEEPALIVE,
        [BGP_ROUTE_REFRESH] = E_REFRESH,
    };
    struct bgp_session_counters *c = &h->s->n;
    counter_t *const counters[] = {
        [BGP_OPEN] = &c->opens_in, [BGP_UPDATE] = &c->updates_in,
        [BGP_NOTIFICATION] = &c->notifications_in,
        [BGP_KEEPALIVE] = &c->keepalives_in,
        [BGP_ROUTE_REFRESH] = &c->refreshes_in,
    };
    counter_inc(counters[type]);
    counter_add(&c->octets_in, n);
    h->s->last_input_ms = h->now;
    h->body = cur_init(p + BGP_HEADER_SIZE, n - BGP_HEADER_SIZE);
    step(h, events[type]);
}

size_t
bgp_session_input(struct bgp_session *s, enum bgp_slot slot, const uint8_t *p,
                  size_t n, size_t budget, int64_t now_ms)
{
    struct happening h = happening(s, slot, now_ms);
    size_t used = 0;
    while (n - used >= BGP_HEADER_SIZE && is_alive(h.c) && used <= budget) {
        struct bgp_header head;
        struct bgp_error e;
        size_t max = h.c->state == BGP_ESTABLISHED ? s->max_size
                                                   : BGP_MAX_SIZE;
        if (!bgp_header_parse(p + used, max, &head, &e)) {
            notify(&h, &e);
            break;
        }
        if (head.size > n - used) {
            break;
        }
        message(&h, head.type, p + used, head.size);
        used += head.size;
    }
    return used;
}

/* ---- Events of the outside. ---- */

static void
end_all(struct bgp_session *s, uint8_t subcode, const char *text, int64_t now)
{
    struct bgp_error e;
    bgp_error_set(&e, BGP_E_CEASE, subcode, NULL, 0);
    if (text && *text) {
        bgp_error_set_text(&e, text);
    }
    for (int i = 0; i < BGP_N_SLOTS; i++) {
        struct happening h = happening(s, (enum bgp_slot) i, now);
        if (h.c->state == BGP_CONNECT) {
            drop(&h, false);
        } else if (is_alive(h.c)) {
            notify(&h, &e);
        }
    }
}

static void
try_now(struct bgp_session *s, int64_t now)
{
    struct happening h = happening(s, BGP_OUT, now);
    s->flap_score = 0;
    s->idle_until = 0;
    s->held_by_limit = false;
    if (!is_alive(&s->conn[BGP_IN]) && !s->config.shutdown && s->started) {
        step(&h, E_START);
    }
}

void
bgp_session_start(struct bgp_session *s, int64_t now_ms)
{
    s->started = true;
    s->changed_ms = now_ms;
    try_now(s, now_ms);
}

/* What both sides agreed on when the session came up. */
static bool
same_session(const struct bgp_config *a, const struct bgp_config *b)
{
    return addr_equal(&a->local, &b->local) && a->port == b->port
           && a->local_as == b->local_as && a->router_id == b->router_id
           && a->as_first == b->as_first && a->as_last == b->as_last
           && a->families == b->families && a->hold_s == b->hold_s
           && a->add_path == b->add_path && a->graceful == b->graceful
           && a->role == b->role && a->role_strict == b->role_strict;
}

bool
bgp_session_configure(struct bgp_session *s, const struct bgp_config *c,
                      int64_t now_ms)
{
    struct bgp_config old = s->config;
    bool same = same_session(&old, c), alive = s->up;
    s->config = *c;
    if (c->shutdown && !old.shutdown) {
        end_all(s, BGP_E_CEASE_SHUTDOWN, c->shutdown_text, now_ms);
        plan_retry(s, now_ms);
        return alive;
    }
    if (!same) {
        end_all(s, BGP_E_CEASE_CONFIG, NULL, now_ms);
    }
    if (!same || old.shutdown != c->shutdown || old.passive != c->passive
        || (s->held_by_limit && old.max_prefixes != c->max_prefixes)) {
        if (!is_alive(&s->conn[BGP_IN]) && !is_alive(&s->conn[BGP_OUT])) {
            try_now(s, now_ms);
        }
    }
    if (same && s->up && (old.max_prefixes != c->max_prefixes
                          || old.warn_percent != c->warn_percent)) {
        struct happening h = happening(s, s->up_slot, now_ms);
        s->warned = 0;
        return !within_limit(&h);       /* There may be too many now. */
    }
    return !same && alive;
}

void
bgp_session_reset(struct bgp_session *s, int64_t now_ms)
{
    end_all(s, BGP_E_CEASE_RESET, NULL, now_ms);
    try_now(s, now_ms);
}

bool
bgp_session_refresh(struct bgp_session *s)
{
    struct happening h = happening(s, s->up_slot, 0);
    uint8_t buf[BGP_MAX_SIZE];
    if (!s->up || !s->can_refresh) {
        return false;
    }
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        if (s->params.families >> f & 1) {
            send_message(&h, buf, bgp_refresh_write((enum bgp_family) f, 0,
                                                    buf));
        }
    }
    return true;
}

void
bgp_session_connected(struct bgp_session *s, const struct addr *local,
                      int64_t now_ms)
{
    struct happening h = happening(s, BGP_OUT, now_ms);
    h.c->local = *local;
    step(&h, E_CONNECTED);
}

/* Whether a new connection may take the place of one that is up: the peer has
 * restarted and we have not noticed (RFC 4724 section 4.2). */
static bool
replaces(struct bgp_session *s, int64_t now)
{
    if (!s->up || !s->gr_families) {
        return false;
    }
    struct happening old = happening(s, s->up_slot, now);
    note_error(s, false, "the peer connected again: it has restarted", now);
    drop(&old, true);
    return true;
}

bool
bgp_session_admits(struct bgp_session *s, int64_t now_ms, uint8_t *reason,
                   size_t *n)
{
    struct bgp_error e;
    bool waits = s->idle_until > now_ms || s->held_by_limit;
    if (!s->started || s->config.shutdown || waits) {
        bgp_error_set(&e, BGP_E_CEASE, s->config.shutdown
                      ? BGP_E_CEASE_SHUTDOWN : BGP_E_CEASE_REJECTED, NULL, 0);
        if (s->config.shutdown && s->config.shutdown_text[0]) {
            bgp_error_set_text(&e, s->config.shutdown_text);
        }
    } else if ((is_alive(&s->conn[BGP_IN]) || s->up) && !replaces(s, now_ms)) {
        bgp_error_set(&e, BGP_E_CEASE, BGP_E_CEASE_COLLISION, NULL, 0);
    } else {
        return true;
    }
    counter_inc(&s->n.rejected);
    *n = bgp_notification_write(&e, reason);
    return false;
}

void
bgp_session_accepted(struct bgp_session *s, const struct addr *local,
                     int64_t now_ms)
{
    struct happening h = happening(s, BGP_IN, now_ms);
    counter_inc(&s->n.accepted);
    h.c->local = *local;
    send_open(&h);
}

void
bgp_session_broken(struct bgp_session *s, enum bgp_slot slot, const char *why,
                   int64_t now_ms)
{
    struct happening h = happening(s, slot, now_ms);
    h.why = why;
    step(&h, E_BROKEN);
}

/* ---- Time. ---- */

int64_t
bgp_session_next_ms(const struct bgp_session *s)
{
    int64_t next = session_stale_next(s);
    next = s->retry_at < next ? s->retry_at : next;
    for (int i = 0; i < BGP_N_SLOTS; i++) {
        const struct conn *c = &s->conn[i];
        next = c->hold_at < next ? c->hold_at : next;
        next = c->keepalive_at < next ? c->keepalive_at : next;
    }
    return next;
}

void
bgp_session_tick(struct bgp_session *s, int64_t now_ms)
{
    for (int i = 0; i < BGP_N_SLOTS; i++) {
        struct happening h = happening(s, (enum bgp_slot) i, now_ms);
        if (h.c->hold_at <= now_ms) {
            h.c->hold_at = NEVER;
            step(&h, E_HOLD);
        }
        if (h.c->keepalive_at <= now_ms) {
            h.c->keepalive_at = NEVER;
            step(&h, E_KEEPALIVE_DUE);
        }
    }
    if (s->retry_at <= now_ms) {
        struct happening h = happening(s, BGP_OUT, now_ms);
        s->retry_at = NEVER;
        if (!is_alive(&s->conn[BGP_IN])) {
            step(&h, E_RETRY);
        }
    }
    session_stale_tick(s, now_ms);
}

/* ---- Life. ---- */

struct bgp_session *
bgp_session_create(const struct bgp_config *c, const struct bgp_io *io,
                   const struct bgp_sink *sink, struct bgp_decoder *decoder,
                   uint32_t seed)
{
    struct bgp_session *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->config = *c;
    s->io = *io;
    s->sink = *sink;
    s->decoder = decoder;
    s->random = seed ? seed : 1;
    s->peer = UINT32_MAX;
    s->retry_at = s->stale_until = NEVER;
    for (int i = 0; i < BGP_N_SLOTS; i++) {
        s->conn[i].hold_at = s->conn[i].keepalive_at = NEVER;
    }
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        s->long_until[f] = s->refresh_until[f] = NEVER;
    }
    return s;
}

void
bgp_session_destroy(struct bgp_session *s, int64_t now_ms)
{
    if (!s) {
        return;
    }
    s->started = false;
    s->io.event = NULL;         /* Whoever removes us knows. */
    end_all(s, BGP_E_CEASE_REMOVED, NULL, now_ms);
    if (s->peer != UINT32_MAX) {
        s->sink.peer_down(s->sink.aux, s->peer);
    }
    free(s);
}

static const char *
why_waiting(const struct bgp_session *s)
{
    return s->config.shutdown ? "shut down by configuration"
           : s->held_by_limit ? "it sent too many prefixes"
           : s->idle_until && s->conn[BGP_OUT].state == BGP_IDLE && !s->up
             ? "it went up and down too often" : NULL;
}

void
bgp_session_info(const struct bgp_session *s, struct bgp_session_info *info)
{
    enum bgp_slot slot = s->conn[BGP_IN].state > s->conn[BGP_OUT].state
                         ? BGP_IN : BGP_OUT;
    const struct conn *c = &s->conn[slot];
    *info = (struct bgp_session_info) {
        .state = c->state, .config = &s->config, .n = &s->n,
        .open = c->has_open ? &c->open : NULL, .local = c->local,
        .peer = s->peer, .as = s->as, .stale = s->stale,
        .changed_ms = s->changed_ms, .last_input_ms = s->last_input_ms,
        .last_error = s->last_error, .last_error_sent = s->last_error_sent,
        .last_error_ms = s->last_error_ms, .slot = slot,
        .waiting = why_waiting(s),
    };
    if (s->up) {
        info->hold_s = s->hold_s;
        info->keepalive_s = s->hold_s / 3;
        info->families = s->params.families;
        info->add_path = s->params.add_path;
        info->ext_next_hop = s->params.ext_next_hop;
        info->as4 = s->params.as4;
        info->extended = s->max_size == BGP_MAX_EXTENDED;
        info->enhanced_refresh = s->enhanced;
        info->complete = s->complete;
    }
    if (!info->as && s->config.as_first == s->config.as_last) {
        info->as = s->config.as_first;
    }
}
