#include <config.h>

#include "bgp/bmp_router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgp/leak.h"

const struct counter_def bmp_router_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct bmp_router_counters, NAME), DOC },
    BMP_ROUTER_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

struct message {
    struct bmp_router *r;
    const struct bmp_router_config *c;
    const struct bmp_header *header;
    struct cursor body;
    struct bmp_peer_header peer;
};

static void
tell(const struct message *m, const struct bmp_peer *p, const char *kind,
     const char *text)
{
    if (m->c->event) {
        m->c->event(m->c->aux, m->r, p, kind, text);
    }
}

/* ---- Peers. ---- */

static struct bmp_peer *
find_peer(const struct message *m)
{
    const struct bmp_peer_header *h = &m->peer;
    for (struct bmp_peer **p = &m->r->peers; *p; p = &(*p)->next) {
        struct bmp_peer *peer = *p;
        if (peer->key.type == h->type && peer->key.rd == h->rd
            && addr_equal(&peer->key.address, &h->address)) {
            *p = peer->next;    /* To the front: it will be asked for. */
            peer->next = m->r->peers;
            m->r->peers = peer;
            return peer;
        }
    }
    return NULL;
}

static void
forget_views(struct bmp_peer *p, const struct bgp_sink *sink)
{
    for (int v = 0; v < BMP_N_VIEWS; v++) {
        if (p->peer[v] != UINT32_MAX) {
            sink->peer_down(sink->aux, p->peer[v]);
            p->peer[v] = UINT32_MAX;
        }
    }
}

static void
set_down(struct message *m, struct bmp_peer *p, const char *reason)
{
    snprintf(p->reason, sizeof p->reason, "%s", reason);
    if (p->up) {
        p->up = false;
        p->up_views = 0;
        p->flaps++;
        p->down_us = m->peer.time_us;
        m->r->n_up--;
    }
    forget_views(p, m->c->sink);
    tell(m, p, "down", reason);
}

static struct bmp_peer *
add_peer(struct message *m)
{
    struct bmp_peer *p = m->r->n_peers < m->c->max_peers
                         ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        counter_inc(&m->r->n.refused_peers);
        return NULL;
    }
    p->key = (struct bmp_peer_key) { m->peer.type, m->peer.rd,
                                     m->peer.address };
    for (int v = 0; v < BMP_N_VIEWS; v++) {
        p->peer[v] = UINT32_MAX;
    }
    p->next = m->r->peers;
    m->r->peers = p;
    m->r->n_peers++;
    return p;
}

/* The peer of a table in the sink, made when its first route comes: nobody says
 * before which tables there will be. */
static uint32_t
view_peer(struct message *m, struct bmp_peer *p)
{
    uint32_t *number = &p->peer[m->peer.view];
    char name[BMP_TEXT_SIZE + BGP_NAME_SIZE];
    if (*number != UINT32_MAX) {
        return *number;
    }
    snprintf(name, sizeof name, "%s%s%s", m->r->name,
             m->r->name[0] && p->table[0] ? " " : "", p->table);
    struct bgp_peer_info info = {
        .kind = BGP_PEER_BMP, .view = m->peer.view,
        .address = p->key.address, .router = m->r->address,
        .local = p->local, .rd = p->key.rd, .as = p->as, .id = p->id,
        .local_as = p->sent.as, .router_id = p->sent.id,
        .name = name[0] ? name : NULL,
    };
    *number = m->c->sink->peer_up(m->c->sink->aux, &info);
    return *number;
}

/* ---- One function for each type of message; false: malformed. ---- */

static bool
on_peer_up(struct message *m)
{
    struct bmp_peer_up u;
    struct bgp_error e;
    struct bmp_tlv t;
    char text[64];
    counter_inc(&m->r->n.peer_up);
    if (!bmp_peer_up_parse(m->body, &u, m->peer.flags & 0x80)) {
        return false;
    }
    struct bmp_peer *p = find_peer(m);
    uint32_t view = 1u << m->peer.view;
    if (p && p->up_views & view) {
        set_down(m, p, "it is told again that it is up");
    }
    p = p ? p : add_peer(m);
    if (!p) {
        return true;
    }
    bool was_up = p->up;
    p->up_views |= view;
    p->implied = false;
    /* What cannot be read of an OPEN is not known, no more. */
    bgp_open_parse(u.sent, &p->sent, &e);
    bgp_open_parse(u.received, &p->received, &e);
    p->up = true;
    p->as = m->peer.as;
    p->id = m->peer.id;
    p->local = u.local;
    p->local_port = u.local_port;
    p->remote_port = u.remote_port;
    p->up_us = m->peer.time_us;
    p->filtered = m->peer.type == BMP_PEER_LOC_RIB && m->peer.flags & 0x80;
    p->table[0] = '\0';
    while (bmp_tlv_next(&u.tlvs, &t)) {
        if (t.type == BMP_TLV_TABLE_NAME) {
            bmp_text(&t, p->table, sizeof p->table);
        }
    }
    if (!was_up) {
        m->r->n_up++;
        snprintf(text, sizeof text, "AS %u", (unsigned) p->as);
        tell(m, p, "up", text);
    }
    return true;
}

static bool
on_peer_down(struct message *m)
{
    struct bmp_peer_down d;
    char text[BMP_TEXT_SIZE];
    counter_inc(&m->r->n.peer_down);
    if (!bmp_peer_down_parse(m->body, &d)) {
        return false;
    }
    struct bmp_peer *p = find_peer(m);
    if (!p) {
        counter_inc(&m->r->n.unknown_peer);
        return true;
    }
    bmp_peer_down_format(&d, text, sizeof text);
    uint32_t left = p->up_views & ~(1u << m->peer.view);
    if (left && left != p->up_views) {  /* One table of several. */
        uint32_t *number = &p->peer[m->peer.view];
        p->up_views = left;
        if (*number != UINT32_MAX) {
            m->c->sink->peer_down(m->c->sink->aux, *number);
            *number = UINT32_MAX;
        }
    } else {
        set_down(m, p, text);
    }
    return true;
}

/* What the two sides agreed on, for the direction that the table shows. */
static uint32_t
add_path_of(const struct bmp_peer *p, enum bgp_view view)
{
    const struct bgp_caps *us = &p->sent.caps, *them = &p->received.caps;
    if (view == BGP_VIEW_LOCAL) {
        return (us->add_path_send | us->add_path_receive)
               & (them->add_path_send | them->add_path_receive);
    } else if (view == BGP_VIEW_OUT_PRE || view == BGP_VIEW_OUT_POST) {
        return us->add_path_send & them->add_path_receive;
    }
    return us->add_path_receive & them->add_path_send;
}

/* The router's role towards the peer (RFC 9234), by what it said to it; its own
 * table and what it sends out came from nobody. */
static uint8_t
role_of(const struct bmp_peer *p, enum bgp_view view)
{
    const struct bgp_caps *us = &p->sent.caps;
    bool came = view == BGP_VIEW_IN_PRE || view == BGP_VIEW_IN_POST;
    return came && us->has & 1u << BGP_CAP_ROLE && p->sent.as != p->as
           ? us->role : BGP_ROLE_NONE;
}

/* Routes of a peer that nobody said was up: GoBGP tells of its own table so.
 * What was agreed on is not known then. */
static struct bmp_peer *
imply_peer(struct message *m)
{
    struct bmp_peer *p = add_peer(m);
    if (p) {
        p->up = p->implied = true;
        p->up_views = 1u << m->peer.view;
        p->as = m->peer.as;
        p->id = m->peer.id;
        m->r->n_up++;
        tell(m, p, "up", "by its routes alone");
    }
    return p;
}

static bool
on_route_monitoring(struct message *m)
{
    struct bmp_router_counters *n = &m->r->n;
    struct cursor body;
    struct bgp_update u;
    uint8_t type;
    counter_inc(&n->route_monitoring);
    struct bmp_peer *p = find_peer(m);
    if (!p) {
        counter_inc(&n->unknown_peer);
        p = imply_peer(m);
    }
    if (!p || !p->up) {
        counter_add(&n->unknown_peer, p != NULL);
        return true;
    }
    p->updates++;
    if (!(m->c->views >> m->peer.view & 1)) {
        counter_inc(&n->views_skipped);
        return true;
    }
    if (!bmp_update_find(m->body, m->header->version, &body, &type)
        || type != BGP_UPDATE) {
        return false;
    }
    struct bgp_params params = {
        .as4 = !m->peer.as2, .guess_as4 = true, .lenient = true,
        .guess_paths = p->implied,
        .families = m->c->families,
        .add_path = add_path_of(p, m->peer.view),
        .ext_next_hop = UINT32_MAX,
    };
    uint32_t number = view_peer(m, p);
    if (number == UINT32_MAX) {
        counter_inc(&n->refused_peers);
        return true;
    }
    bgp_update_decode(m->c->decoder, &params, body, &u);
    bgp_update_judge_leaks(&u, role_of(p, m->peer.view), p->as);
    enum bgp_action action = bgp_update_deliver(&params, &u, m->c->sink,
                                                number);
    counter_add(&n->announced, u.n_announced);
    counter_add(&n->withdrawn, u.n_withdrawn);
    counter_add(&n->leaks, bgp_update_leaks(&u));
    counter_add(&n->attributes_discarded, u.n_discarded);
    counter_add(&n->families_skipped, u.n_skipped);
    counter_add(&n->treated_as_withdrawn, action == BGP_WITHDRAW);
    return action != BGP_RESET;
}

static bool
on_statistics(struct message *m)
{
    struct bmp_tlv t;
    struct bmp_statistic s;
    counter_inc(&m->r->n.statistics);
    uint32_t count = cur_u32(&m->body);
    struct bmp_peer *p = find_peer(m);
    if (!p) {
        counter_inc(&m->r->n.unknown_peer);
        return !m->body.bad;
    }
    for (; count && bmp_tlv_next(&m->body, &t); count--) {
        if (!bmp_statistic_parse(&t, &s) || !bmp_statistic_name(s.type)) {
            continue;           /* Of a later RFC. */
        }
        int f = s.afi ? bgp_family_find(s.afi, s.safi) : -1;
        if (!bmp_statistic_per_family(s.type) && !s.afi) {
            p->has_statistics |= 1u << s.type;
            p->statistics[s.type] = s.value;
        } else if (bmp_statistic_per_family(s.type) && f >= 0) {
            p->has_family[s.type] |= 1u << f;
            p->family_statistics[s.type][f] = s.value;
        }
    }
    return !m->body.bad;
}

/* Mirrored messages are counted; their routes come by Route Monitoring. */
static bool
on_mirroring(struct message *m)
{
    struct bmp_tlv t;
    struct bmp_peer *p = find_peer(m);
    while (bmp_tlv_next(&m->body, &t)) {
        if (t.type == BMP_TLV_MIRROR_MESSAGE) {
            counter_inc(&m->r->n.mirrored);
            if (p) {
                p->mirrored++;
            }
        } else if (t.type == BMP_TLV_MIRROR_INFO && cur_left(&t.value) == 2) {
            counter_inc(cur_u16(&t.value) ? &m->r->n.mirror_lost
                                          : &m->r->n.mirror_errors);
        }
    }
    return !m->body.bad;
}

static bool
on_initiation(struct message *m)
{
    struct bmp_router *r = m->r;
    struct bmp_tlv t;
    while (bmp_tlv_next(&m->body, &t)) {
        if (t.type == BMP_TLV_SYS_NAME) {
            bmp_text(&t, r->name, sizeof r->name);
        } else if (t.type == BMP_TLV_SYS_DESCR) {
            bmp_text(&t, r->description, sizeof r->description);
        } else if (t.type == BMP_TLV_STRING) {
            bmp_text(&t, r->text, sizeof r->text);
        }
    }
    tell(m, NULL, "up", r->name);
    return !m->body.bad;
}

static bool
on_termination(struct message *m)
{
    struct bmp_tlv t;
    char *to = m->r->terminated;
    snprintf(to, BMP_TEXT_SIZE, "the router closed the session");
    while (bmp_tlv_next(&m->body, &t)) {
        if (t.type == BMP_TLV_REASON && cur_left(&t.value) == 2) {
            snprintf(to, BMP_TEXT_SIZE, "the router closed the session: %s",
                     bmp_termination_name(cur_u16(&t.value)));
        }
    }
    return !m->body.bad;
}

/* ---- */

static const struct {
    bool (*take)(struct message *);
    bool has_peer;
} types[BMP_N_TYPES] = {
    [BMP_ROUTE_MONITORING] = { on_route_monitoring, true },
    [BMP_STATISTICS] = { on_statistics, true },
    [BMP_PEER_DOWN] = { on_peer_down, true },
    [BMP_PEER_UP] = { on_peer_up, true },
    [BMP_INITIATION] = { on_initiation, false },
    [BMP_TERMINATION] = { on_termination, false },
    [BMP_MIRRORING] = { on_mirroring, true },
};

bool
bmp_router_message(struct bmp_router *r, const struct bmp_router_config *c,
                   const struct bmp_header *h, const uint8_t *p)
{
    struct message m = {
        .r = r, .c = c, .header = h,
        .body = cur_init(p + BMP_HEADER_SIZE, h->size - BMP_HEADER_SIZE),
    };
    r->version = h->version;
    counter_inc(&r->n.messages);
    counter_add(&r->n.octets, h->size);
    if (h->type >= BMP_N_TYPES) {
        counter_inc(&r->n.unknown_type);
        return true;
    }
    if ((types[h->type].has_peer && !bmp_peer_header_parse(&m.body, &m.peer))
        || !types[h->type].take(&m)) {
        counter_inc(&r->n.malformed);
    }
    return h->type != BMP_TERMINATION;
}

struct bmp_router *
bmp_router_create(const struct addr *a)
{
    struct bmp_router *r = calloc(1, sizeof *r);
    if (r) {
        r->address = *a;
    }
    return r;
}

void
bmp_router_destroy(struct bmp_router *r, const struct bmp_router_config *c)
{
    while (r && r->peers) {
        struct bmp_peer *p = r->peers;
        r->peers = p->next;
        forget_views(p, c->sink);
        free(p);
    }
    free(r);
}
