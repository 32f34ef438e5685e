#include <config.h>

#include "api/cli/decode_bgp_p.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/methods.h"
#include "bgp/bmp_message.h"
#include "bgp/mrt.h"
#include "collector/decode/capture.h"
#include "lib/addr.h"

/* Streams and files of BGP, BMP and MRT, cut into messages. */

#define ALL_FAMILIES ((1u << BGP_N_FAMILIES) - 1)
#define MAX_SESSIONS 1024
#define MAX_BMP_PEERS 65536
#define TO_LINE (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* What two speakers agreed on, as far as it was seen. */
struct session {
    struct addr a, b;
    uint16_t a_port, b_port;
    struct bgp_open open[2];    /* From a to b, from b to a. */
    bool opened[2];
};

/* A peer of a BMP router. */
struct monitored {
    uint8_t type;
    uint64_t rd;
    struct addr address;
    struct bgp_open sent, received;
    bool known;
};

enum kind { KIND_BGP, KIND_BMP, KIND_MRT };

struct stream {
    struct routes_show *show;
    enum kind kind;
    struct capture_stream info;
    bool is_file;
    struct session *session;    /* BGP. */
    int side;
    struct monitored *peers;    /* BMP. */
    size_t n_peers, peers_room;
    struct mrt_reader *mrt;
    uint8_t *buf;
    size_t n, room;
    bool broken;
    int64_t time_us;
};

struct bmp_tally {
    uint64_t messages, types[256], peer_types[256], down_reasons[256];
    uint64_t statistics[65536];
    uint64_t malformed;
};

struct mrt_tally {
    uint64_t records, types[64][64], other_types;
    uint64_t states, trailing, ipv6, multicast;
};

struct routes_show {
    FILE *out;
    struct bgp_text *text;
    struct tally bgp, inner, mrt_bgp;
    struct bmp_tally bmp;
    struct mrt_tally mrt;
    struct mrt_counters mrt_n;
    struct session *sessions;
    size_t n_sessions;
    struct capture_tap tap;
    struct stream *file;
    uint64_t not_framed, torn, gaps;
    /* The record that is being shown. */
    struct json_object *line;
    const struct mrt_header *header;
};

/* ---- Lines. ---- */

/* NULL: only counts. */
static struct json_object *
line_begin(struct routes_show *s, const char *record, int64_t time_us)
{
    struct json_object *o = s->out ? json_object_new_object() : NULL;
    if (o) {
        reply_string(o, "record", record);
        reply_time(o, "received", time_us);
    }
    return o;
}

static void
line_end(struct routes_show *s, struct json_object *o)
{
    if (o) {
        fprintf(s->out, "%s\n", json_object_to_json_string_ext(o, TO_LINE));
        json_object_put(o);
    }
}

static void
put_endpoints(const struct stream *st, struct json_object *o)
{
    char text[ENDPOINT_STRLEN];
    if (o && !st->is_file) {
        reply_string(o, "src", endpoint_format(&st->info.src,
                                               st->info.src_port, text));
        reply_string(o, "dst", endpoint_format(&st->info.dst,
                                               st->info.dst_port, text));
    }
}

static void
put_addr(struct json_object *o, const char *name, const struct addr *a)
{
    char text[ADDR_STRLEN];
    if (!addr_is_zero(a)) {
        reply_string(o, name, addr_format(a, text));
    }
}

/* ---- BGP. ---- */

/* What is known of both sides decides; of what is not, the bytes. */
static void
read_as(const struct stream *st, struct bgp_params *p)
{
    const struct session *s = st->session;
    *p = (struct bgp_params) { .as4 = true, .guess_as4 = true,
                               .guess_paths = true, .internal = true,
                               .lenient = true, .families = ALL_FAMILIES };
    if (!s || !s->opened[0] || !s->opened[1]) {
        return;
    }
    const struct bgp_caps *from = &s->open[st->side].caps;
    const struct bgp_caps *to = &s->open[!st->side].caps;
    p->as4 = from->has & to->has & 1u << BGP_CAP_AS4;
    p->add_path = from->add_path_send & to->add_path_receive;
    p->guess_as4 = p->guess_paths = false;
}

static void
bgp_message(struct stream *st, const uint8_t *m, size_t n)
{
    struct routes_show *s = st->show;
    struct reading r = { .tally = &s->bgp };
    struct json_object *o = line_begin(s, "bgp", st->time_us);
    put_endpoints(st, o);
    read_as(st, &r.params);
    if (st->session) {
        r.open = &st->session->open[st->side];
        r.opened = &st->session->opened[st->side];
    }
    bgp_text_message(s->text, &r, m[18],
                     cur_init(m + BGP_HEADER_SIZE, n - BGP_HEADER_SIZE), o);
    line_end(s, o);
}

static bool
is_marker(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n && i < 16; i++) {
        if (p[i] != 0xff) {
            return false;
        }
    }
    return true;
}

/* Returns what was used up. */
static size_t
take_bgp(struct stream *st, bool end)
{
    size_t at = 0;
    while (st->n - at >= BGP_HEADER_SIZE) {
        const uint8_t *p = st->buf + at;
        size_t size = be16_at(p + 16);
        size_t left = st->n - at;
        if (!is_marker(p, 16) || (size < BGP_HEADER_SIZE && p[15] != 0xff)) {
            at++;               /* The next marker, wherever it is. */
            st->show->not_framed++;
            continue;
        }
        if (size < BGP_HEADER_SIZE) {
            /* A header, but wrong. */
            st->show->bgp.messages++;
            st->show->bgp.types[p[18]]++;
            st->show->bgp.with_errors++;
            at += BGP_HEADER_SIZE;
            continue;
        }
        if (size > left && !end) {
            break;
        }
        if (size > left) {
            st->show->torn++;
            return st->n;
        }
        bgp_message(st, p, size);
        at += size;
    }
    return at;
}

/* ---- BMP. ---- */

static struct monitored *
find_monitored(struct stream *st, const struct bmp_peer_header *h, bool add)
{
    for (size_t i = 0; i < st->n_peers; i++) {
        struct monitored *p = &st->peers[i];
        if (p->type == h->type && p->rd == h->rd
            && addr_equal(&p->address, &h->address)) {
            return p;
        }
    }
    if (!add || st->n_peers == MAX_BMP_PEERS) {
        return NULL;
    }
    if (st->n_peers == st->peers_room) {
        size_t room = st->peers_room ? 2 * st->peers_room : 16;
        struct monitored *peers = realloc(st->peers, room * sizeof *peers);
        if (!peers) {
            return NULL;
        }
        st->peers = peers;
        st->peers_room = room;
    }
    struct monitored *p = &st->peers[st->n_peers++];
    *p = (struct monitored) { .type = h->type, .rd = h->rd,
                              .address = h->address };
    return p;
}

static void
put_bmp_peer(struct json_object *o, const struct bmp_peer_header *h)
{
    const char *name = bmp_peer_type_name(h->type);
    char text[64];
    if (!o) {
        return;
    }
    struct json_object *p = json_object_new_object();
    snprintf(text, sizeof text, "%u", h->type);
    reply_string(p, "type", name ? name : text);
    reply_string(p, "view", bgp_view_name(h->view));
    put_addr(p, "address", &h->address);
    if (h->rd) {
        reply_string(p, "rd", bgp_rd_format(h->rd, text));
    }
    reply_uint(p, "as", h->as);
    reply_time(p, "time", h->time_us);
    json_object_object_add(o, "peer", p);
}

/* A whole BGP message in a BMP one. */
static bool
inner_message(struct stream *st, const struct bgp_params *params,
              struct cursor *c, const char *member, struct json_object *o,
              struct bgp_open *open, bool *opened)
{
    struct reading r = { .params = *params, .tally = &st->show->inner,
                         .open = open, .opened = opened };
    const uint8_t *p = cur_take(c, BGP_HEADER_SIZE);
    if (!p || !is_marker(p, 16) || be16_at(p + 16) < BGP_HEADER_SIZE) {
        return false;
    }
    size_t size = be16_at(p + 16) - (size_t) BGP_HEADER_SIZE;
    size_t left = cur_left(c);
    struct json_object *inner = o ? json_object_new_object() : NULL;
    bgp_text_message(st->show->text, &r, p[18],
                     cur_sub(c, size < left ? size : left), inner);
    if (o) {
        json_object_object_add(o, member, inner);
    }
    return size <= left;
}

static void
inner_params(struct stream *st, const struct bmp_peer_header *h,
             struct bgp_params *p)
{
    const struct monitored *m = find_monitored(st, h, false);
    *p = (struct bgp_params) {
        .as4 = !h->as2, .guess_as4 = true, .guess_paths = true,
        .internal = true, .lenient = true, .families = ALL_FAMILIES,
    };
    if (m && m->known) {
        const struct bgp_caps *us = &m->sent.caps, *them = &m->received.caps;
        bool out = h->view == BGP_VIEW_OUT_PRE
                   || h->view == BGP_VIEW_OUT_POST;
        p->guess_paths = h->view == BGP_VIEW_LOCAL;
        p->add_path = out ? us->add_path_send & them->add_path_receive
                          : us->add_path_receive & them->add_path_send;
    }
}

static bool
bmp_texts(struct cursor c, struct json_object *o)
{
    struct json_object *list = o ? json_object_new_array() : NULL;
    struct bmp_tlv t;
    char text[1024];
    while (bmp_tlv_next(&c, &t)) {
        if (list) {
            struct json_object *one = json_object_new_object();
            reply_uint(one, "type", t.type);
            reply_string(one, "text", bmp_text(&t, text, sizeof text));
            json_object_array_add(list, one);
        }
    }
    if (o) {
        json_object_object_add(o, "information", list);
    }
    return !c.bad;
}

static bool
bmp_up(struct stream *st, const struct bmp_peer_header *h, struct cursor c,
       struct json_object *o)
{
    struct monitored *m = find_monitored(st, h, true);
    struct bgp_params params;
    bool sent = false, received = false;
    char text[ENDPOINT_STRLEN];
    inner_params(st, h, &params);
    const uint8_t *p = cur_take(&c, 20);
    if (!p || !m) {
        return false;
    }
    if (o) {
        struct addr local = h->flags & 0x80 ? addr_from_v6_bytes(p)
                                            : addr_from_v4_bytes(p + 12);
        reply_string(o, "local", endpoint_format(&local, be16_at(p + 16),
                                                 text));
        reply_uint(o, "remote_port", be16_at(p + 18));
    }
    bool good = inner_message(st, &params, &c, "sent", o, &m->sent, &sent)
                && inner_message(st, &params, &c, "received_open", o,
                                 &m->received, &received);
    m->known = sent && received;
    return good && (!cur_more(&c) || bmp_texts(c, o));
}

static bool
bmp_statistics(struct stream *st, struct cursor c, struct json_object *o)
{
    struct json_object *list = o ? json_object_new_object() : NULL;
    uint32_t n = cur_u32(&c);
    struct bmp_tlv t;
    char text[64];
    for (uint32_t i = 0; i < n && bmp_tlv_next(&c, &t); i++) {
        struct bmp_statistic v;
        st->show->bmp.statistics[t.type]++;
        if (list && bmp_statistic_parse(&t, &v)) {
            const char *name = bmp_statistic_name(t.type);
            int family = v.afi ? bgp_family_find(v.afi, v.safi) : -1;
            snprintf(text, sizeof text, "%s%s%s", name ? name : "unknown",
                     v.afi ? "/" : "", family >= 0 ? bgp_family_name(
                         (enum bgp_family) family) : v.afi ? "other" : "");
            reply_uint(list, text, v.value);
        }
    }
    if (o) {
        json_object_object_add(o, "statistics", list);
    }
    return !c.bad;
}

static bool
bmp_down(struct stream *st, const struct bmp_peer_header *h, struct cursor c,
         struct json_object *o)
{
    struct bmp_peer_down d;
    struct bgp_params params;
    char text[1024];
    struct cursor copy = c;
    inner_params(st, h, &params);
    uint8_t reason = cur_u8(&copy);
    st->show->bmp.down_reasons[reason]++;
    if (o && bmp_peer_down_parse(c, &d)) {
        reply_uint(o, "reason", reason);
        reply_string(o, "text", bmp_peer_down_format(&d, text, sizeof text));
    }
    if (reason == BMP_DOWN_TABLE_GONE) {        /* RFC 9069 section 4.4. */
        return bmp_texts(copy, o);
    }
    return (reason != 1 && reason != 3)
           || inner_message(st, &params, &copy, "bgp", o, NULL, NULL);
}

static bool
bmp_monitoring(struct stream *st, const struct bmp_header *head,
               const struct bmp_peer_header *h, struct cursor c,
               struct json_object *o)
{
    struct bgp_params params;
    struct cursor body;
    uint8_t type;
    inner_params(st, h, &params);
    if (head->version == 3) {
        return inner_message(st, &params, &c, "bgp", o, NULL, NULL);
    }
    struct reading r = { .params = params, .tally = &st->show->inner };
    if (!bmp_update_find(c, head->version, &body, &type)) {
        return false;
    }
    struct json_object *inner = o ? json_object_new_object() : NULL;
    bgp_text_message(st->show->text, &r, type, body, inner);
    if (o) {
        json_object_object_add(o, "bgp", inner);
    }
    return true;
}

/* The next TLV; with an index between length and value, as version 4 may have
 * it. */
static bool
next_tlv(struct cursor *c, bool indexed, struct bmp_tlv *t)
{
    if (!indexed) {
        return bmp_tlv_next(c, t);
    } else if (!cur_more(c)) {
        return false;
    }
    t->type = cur_u16(c);
    size_t n = cur_u16(c);
    cur_skip(c, 2);
    t->value = cur_sub(c, n);
    return !t->value.bad;
}

static bool
tlvs_fit(struct cursor c, bool indexed)
{
    struct bmp_tlv t;
    while (next_tlv(&c, indexed, &t)) {
    }
    return !c.bad;
}

static bool
bmp_mirror(struct stream *st, const struct bmp_header *head,
           const struct bmp_peer_header *h, struct cursor c,
           struct json_object *o)
{
    struct bgp_params params;
    struct bmp_tlv t;
    bool good = true;
    bool indexed = head->version >= 4 && !tlvs_fit(c, false)
                   && tlvs_fit(c, true);
    inner_params(st, h, &params);
    while (next_tlv(&c, indexed, &t)) {
        if (t.type == BMP_TLV_MIRROR_MESSAGE) {
            good &= inner_message(st, &params, &t.value, "bgp", o, NULL,
                                  NULL);
        } else if (o && t.type == BMP_TLV_MIRROR_INFO) {
            reply_uint(o, "mirror_information", cur_u16(&t.value));
        }
    }
    return good && !c.bad;
}

static bool
bmp_body(struct stream *st, const struct bmp_header *head, struct cursor c,
         struct json_object *o)
{
    struct bmp_peer_header h;
    if (head->type == BMP_INITIATION || head->type == BMP_TERMINATION) {
        return bmp_texts(c, o);
    }
    if (head->type >= BMP_N_TYPES) {
        return true;
    }
    if (!bmp_peer_header_parse(&c, &h)) {
        return false;
    }
    st->show->bmp.peer_types[h.type]++;
    put_bmp_peer(o, &h);
    switch (head->type) {
    case BMP_ROUTE_MONITORING:
        return bmp_monitoring(st, head, &h, c, o);
    case BMP_STATISTICS:
        return bmp_statistics(st, c, o);
    case BMP_PEER_UP:
        return bmp_up(st, &h, c, o);
    case BMP_PEER_DOWN:
        return bmp_down(st, &h, c, o);
    default:
        return bmp_mirror(st, head, &h, c, o);
    }
}

static void
bmp_message(struct stream *st, const struct bmp_header *h, struct cursor c)
{
    struct routes_show *s = st->show;
    const char *name = bmp_type_name(h->type);
    struct json_object *o = line_begin(s, "bmp", st->time_us);
    char text[16];
    s->bmp.messages++;
    s->bmp.types[h->type]++;
    put_endpoints(st, o);
    if (o) {
        snprintf(text, sizeof text, "%u", h->type);
        reply_uint(o, "version", h->version);
        reply_string(o, "message", name ? name : text);
    }
    bool good = bmp_body(st, h, c, o);
    s->bmp.malformed += !good;
    if (o && !good) {
        reply_string(o, "error", "malformed");
    }
    line_end(s, o);
}

static bool
looks_bmp(const uint8_t *p, size_t n)
{
    struct bmp_header h;
    return n >= BMP_HEADER_SIZE && bmp_header_parse(p, &h)
           && h.type < BMP_N_TYPES
           && h.size >= (h.type == BMP_INITIATION
                         || h.type == BMP_TERMINATION ? 6u : 48u);
}

enum guess { NO, PERHAPS, YES };

/* Whether a message begins here, in the midst of others: its length leads to
 * the next one, or it has a BGP message where that must be.  PERHAPS: more
 * octets would tell. */
static enum guess
begins_bmp(const uint8_t *p, size_t n)
{
    enum { AT = BMP_HEADER_SIZE + 42 };         /* RFC 7854 section 4.2. */
    struct bmp_header h;
    if (!looks_bmp(p, n)) {
        return n < BMP_HEADER_SIZE && (*p == 3 || *p == 4) ? PERHAPS : NO;
    }
    bmp_header_parse(p, &h);
    bool per_peer = h.type != BMP_INITIATION && h.type != BMP_TERMINATION;
    if (per_peer && n > BMP_HEADER_SIZE
        && p[BMP_HEADER_SIZE] >= BMP_N_PEER_TYPES) {
        return NO;
    }
    if (h.version == 3 && h.type == BMP_ROUTE_MONITORING) {
        return n < AT + 16 ? PERHAPS : is_marker(p + AT, 16) ? YES : NO;
    }
    return n < h.size + BMP_HEADER_SIZE ? PERHAPS
           : looks_bmp(p + h.size, n - h.size) ? YES : NO;
}

/* A stream of which the beginning is not there. */
static bool
has_bmp(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + BMP_HEADER_SIZE <= n; i++) {
        if (begins_bmp(p + i, n - i) == YES) {
            return true;
        }
    }
    return false;
}

static size_t
take_bmp(struct stream *st, bool end)
{
    size_t at = 0;
    while (st->n - at >= BMP_HEADER_SIZE) {
        struct bmp_header h;
        size_t left = st->n - at;
        enum guess here = st->broken ? begins_bmp(st->buf + at, left) : YES;
        if (here == PERHAPS && !end) {
            break;
        }
        if (here == NO || !bmp_header_parse(st->buf + at, &h)) {
            st->broken = true;
            st->show->not_framed++;
            at++;
            continue;
        }
        if (h.size > left && !end) {
            break;
        }
        if (h.size > left) {
            st->show->torn++;
            return st->n;
        }
        st->broken = false;
        bmp_message(st, &h, cur_init(st->buf + at + BMP_HEADER_SIZE,
                                     h.size - BMP_HEADER_SIZE));
        at += h.size;
    }
    return at;
}

/* ---- MRT. ---- */

static struct json_object *
mrt_line(struct routes_show *s, int64_t time_us, const struct mrt_peer *p)
{
    const struct mrt_header *h = s->header;
    struct json_object *o = line_begin(s, "mrt", time_us);
    const char *subtype = mrt_subtype_name(h->type, h->subtype);
    if (o) {
        reply_string(o, "type", mrt_type_name(h->type));
        reply_string(o, "subtype", subtype);
        put_addr(o, "peer_address", &p->address);
        reply_uint(o, "peer_as", p->as);
    }
    return o;
}

static void
on_mrt_table(void *show, const char *view, const struct mrt_peer *peers,
             size_t n)
{
    struct routes_show *s = show;
    struct json_object *o = line_begin(s, "mrt", (int64_t) s->header->time_s
                                                 * 1000000);
    if (!o) {
        return;
    }
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        struct json_object *p = json_object_new_object();
        put_addr(p, "address", &peers[i].address);
        reply_uint(p, "as", peers[i].as);
        json_object_array_add(list, p);
    }
    reply_string(o, "type", mrt_type_name(s->header->type));
    reply_string(o, "subtype", "PEER_INDEX_TABLE");
    reply_string(o, "view", view);
    json_object_object_add(o, "peers", list);
    line_end(s, o);
}

static void
on_mrt_route(void *show, const struct mrt_route *r)
{
    struct routes_show *s = show;
    bool v4 = addr_is_v4(&r->nlri.prefix.addr) && r->nlri.prefix.len >= 96;
    s->mrt.ipv6 += !v4 && !r->multicast;
    s->mrt.multicast += r->multicast;
    struct json_object *o = mrt_line(s, r->time_us, r->peer);
    if (o) {
        bgp_text_nlri(&r->nlri, r->multicast, o);
        bgp_text_attrs(s->text, r->attrs, o);
        line_end(s, o);
    }
}

static void
on_mrt_message(void *show, const struct mrt_message *m)
{
    struct routes_show *s = show;
    struct reading r = {
        .params = { .as4 = m->peer.as4, .internal = true, .lenient = true,
                    /* BIRD does not always say that there are some. */
                    .guess_paths = !m->add_path, .families = ALL_FAMILIES,
                    .add_path = m->add_path ? ALL_FAMILIES : 0 },
        .tally = &s->mrt_bgp,
    };
    struct json_object *o = mrt_line(s, m->time_us, &m->peer);
    bgp_text_message(s->text, &r, m->type, m->body, o);
    line_end(s, o);
}

static void
on_mrt_state(void *show, const struct mrt_state *m)
{
    static const char *const states[] = { "", "Idle", "Connect", "Active",
                                          "OpenSent", "OpenConfirm",
                                          "Established" };
    struct routes_show *s = show;
    struct json_object *o = mrt_line(s, m->time_us, &m->peer);
    s->mrt.states++;
    if (o) {
        reply_string(o, "old_state", m->old < 7 ? states[m->old] : NULL);
        reply_string(o, "new_state", m->now < 7 ? states[m->now] : NULL);
        line_end(s, o);
    }
}

static size_t
take_mrt(struct stream *st, bool end)
{
    struct routes_show *s = st->show;
    const struct mrt_handler to = { s, true, on_mrt_table, on_mrt_route,
                                    on_mrt_message, on_mrt_state };
    size_t at = 0;
    while (!st->broken && st->n - at >= MRT_HEADER_SIZE) {
        struct mrt_header h;
        size_t left = st->n - at - MRT_HEADER_SIZE;
        if (!mrt_header_parse(st->buf + at, &h)) {
            st->broken = true;
            break;
        }
        if (h.size > left) {
            if (end) {
                st->broken = true;
            }
            break;
        }
        s->mrt.records++;
        if (h.type < 64 && h.subtype < 64) {
            s->mrt.types[h.type][h.subtype]++;
        } else {
            s->mrt.other_types++;
        }
        s->header = &h;
        mrt_record(st->mrt, &h, st->buf + at + MRT_HEADER_SIZE, &to);
        at += MRT_HEADER_SIZE + h.size;
    }
    if (st->broken || end) {
        s->mrt.trailing += st->n - at;
        at = st->n;
    }
    return at;
}

/* ---- Streams. ---- */

static void
take(struct stream *st, bool end)
{
    size_t used = st->kind == KIND_BGP ? take_bgp(st, end)
                  : st->kind == KIND_BMP ? take_bmp(st, end)
                                         : take_mrt(st, end);
    memmove(st->buf, st->buf + used, st->n - used);
    st->n -= used;
}

static void
feed(struct stream *st, const uint8_t *p, size_t n)
{
    if (st->n + n > st->room) {
        size_t room = 2 * (st->n + n);
        uint8_t *buf = realloc(st->buf, room);
        if (!buf) {
            st->show->torn++;
            return;
        }
        st->buf = buf;
        st->room = room;
    }
    memcpy(st->buf + st->n, p, n);
    st->n += n;
    take(st, false);
}

static struct session *
find_session(struct routes_show *s, struct stream *st)
{
    const struct capture_stream *i = &st->info;
    for (size_t k = 0; k < s->n_sessions; k++) {
        struct session *x = &s->sessions[k];
        for (int side = 0; side < 2; side++) {
            const struct addr *a = side ? &x->b : &x->a;
            const struct addr *b = side ? &x->a : &x->b;
            if (addr_equal(a, &i->src) && addr_equal(b, &i->dst)
                && i->src_port == (side ? x->b_port : x->a_port)
                && i->dst_port == (side ? x->a_port : x->b_port)) {
                st->side = side;
                return x;
            }
        }
    }
    if (s->n_sessions == MAX_SESSIONS) {
        return NULL;
    }
    struct session *x = &s->sessions[s->n_sessions++];
    *x = (struct session) { .a = i->src, .b = i->dst,
                            .a_port = i->src_port, .b_port = i->dst_port };
    st->side = 0;
    return x;
}

static struct stream *
stream_create(struct routes_show *s, enum kind kind)
{
    struct stream *st = calloc(1, sizeof *st);
    if (!st) {
        return NULL;
    }
    st->show = s;
    st->kind = kind;
    if (kind == KIND_MRT && !(st->mrt = mrt_reader_create())) {
        free(st);
        return NULL;
    }
    return st;
}

static void
stream_destroy(struct stream *st)
{
    if (st->mrt) {
        const struct mrt_counters *n = mrt_reader_counters(st->mrt);
        for (const struct counter_def *def = mrt_counter_defs; def->name;
             def++) {
            counter_add((counter_t *) ((char *) &st->show->mrt_n
                                       + def->offset), counter_at(n, def));
        }
    }
    mrt_reader_destroy(st->mrt);
    free(st->peers);
    free(st->buf);
    free(st);
}

/* A marker may be anywhere in what a capture has of a session first; of a first
 * segment there may be few octets. */
static bool
has_marker(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + BGP_HEADER_SIZE <= n; i++) {
        if (p[i] == 0xff && is_marker(p + i, 16)
            && be16_at(p + i + 16) >= BGP_HEADER_SIZE && p[i + 18] >= 1
            && p[i + 18] <= 5) {
            return true;
        }
    }
    return is_marker(p, n);
}

/* Version and the first octets of a length: fewer than a header. */
static bool
may_become_bmp(const uint8_t *p, size_t n)
{
    return n < BMP_HEADER_SIZE && (*p == 3 || *p == 4)
           && (n < 2 || !p[1]) && (n < 3 || p[2] < BMP_MAX_SIZE >> 16);
}

static void *
on_begin(void *show, const struct capture_stream *info, const uint8_t *p,
         size_t n)
{
    struct routes_show *s = show;
    bool port = info->src_port == BGP_PORT || info->dst_port == BGP_PORT;
    bool midst = !info->from_start && !is_marker(p, n) && !looks_bmp(p, n)
                 && !port && has_bmp(p, n);
    /* BMP has the markers of BGP inside. */
    bool bmp = midst || looks_bmp(p, n)
               || (info->from_start && may_become_bmp(p, n));
    bool bgp = !bmp && (has_marker(p, n) || (port && !info->from_start));
    if (!bgp && !bmp) {
        return NULL;
    }
    struct stream *st = stream_create(s, bgp ? KIND_BGP : KIND_BMP);
    if (st) {
        st->info = *info;
        st->session = bgp ? find_session(s, st) : NULL;
        st->broken = midst;
        if (st->session && info->from_start) {
            st->session->opened[st->side] = false;
        }
    }
    return st;
}

static void
on_bytes(void *stream, const uint8_t *p, size_t n, int64_t time_us)
{
    struct stream *st = stream;
    st->time_us = time_us;
    feed(st, p, n);
}

static void
on_gap(void *stream)
{
    struct stream *st = stream;
    st->show->gaps++;
    take(st, true);
    st->n = 0;
    st->broken = st->kind == KIND_BMP;
}

static void
on_end(void *stream)
{
    struct stream *st = stream;
    take(st, true);
    stream_destroy(st);
}

/* ---- Files. ---- */

static int
kind_of(const uint8_t *p, size_t n)
{
    return n >= 16 && is_marker(p, 16) ? KIND_BGP
           : looks_bmp(p, n) ? KIND_BMP : mrt_looks(p, n) ? KIND_MRT : -1;
}

bool
routes_show_looks(const uint8_t *p, size_t n)
{
    return kind_of(p, n) >= 0;
}

const char *
routes_show_file(struct routes_show *s, const uint8_t *p, size_t n)
{
    if (p && !s->file) {
        int kind = kind_of(p, n);
        s->file = stream_create(s, kind < 0 ? KIND_MRT : (enum kind) kind);
        if (!s->file) {
            return "out of memory";
        }
        s->file->is_file = true;
    }
    if (p) {
        feed(s->file, p, n);
        return NULL;
    }
    const char *wrong = NULL;
    if (s->file) {
        uint64_t before = s->torn + s->mrt.trailing + s->not_framed;
        take(s->file, true);
        bool rest = s->file->n || s->file->broken
                    || s->torn + s->mrt.trailing + s->not_framed != before;
        wrong = rest ? "the file ends inside a message or record" : NULL;
        stream_destroy(s->file);
        s->file = NULL;
    }
    return wrong;
}

/* ---- The whole. ---- */

struct routes_show *
routes_show_create(FILE *out)
{
    struct routes_show *s = calloc(1, sizeof *s);
    if (!s) {
        return NULL;
    }
    s->out = out;
    s->text = bgp_text_create();
    s->sessions = calloc(MAX_SESSIONS, sizeof *s->sessions);
    s->tap = (struct capture_tap) { s, on_begin, on_bytes, on_gap, on_end };
    if (!s->text || !s->sessions) {
        routes_show_destroy(s);
        return NULL;
    }
    return s;
}

void
routes_show_destroy(struct routes_show *s)
{
    if (s) {
        if (s->file) {
            stream_destroy(s->file);
        }
        bgp_text_destroy(s->text);
        free(s->sessions);
        free(s);
    }
}

const struct capture_tap *
routes_show_tap(struct routes_show *s)
{
    return &s->tap;
}

static void
put_named(struct json_object *o, const char *member, const uint64_t *n,
          size_t size, const char *(*name)(uint8_t))
{
    struct json_object *list = json_object_new_object();
    char text[16];
    for (size_t i = 0; i < size; i++) {
        const char *known = name && i < 256 ? name((uint8_t) i) : NULL;
        snprintf(text, sizeof text, "%zu", i);
        if (n[i]) {
            reply_uint(list, known ? known : text, n[i]);
        }
    }
    json_object_object_add(o, member, list);
}

static void
put_bmp(const struct routes_show *s, struct json_object *o)
{
    struct json_object *bmp = json_object_new_object();
    struct json_object *inner = json_object_new_object();
    reply_uint(bmp, "messages", s->bmp.messages);
    put_named(bmp, "types", s->bmp.types, 256, bmp_type_name);
    put_named(bmp, "peer_types", s->bmp.peer_types, 256,
              bmp_peer_type_name);
    put_named(bmp, "peer_down_reasons", s->bmp.down_reasons, 256, NULL);
    put_named(bmp, "statistics", s->bmp.statistics, 65536, NULL);
    reply_uint(bmp, "malformed", s->bmp.malformed);
    tally_put(&s->inner, inner);
    json_object_object_add(bmp, "bgp", inner);
    json_object_object_add(o, "bmp", bmp);
}

static void
put_mrt(const struct routes_show *s, struct json_object *o)
{
    struct json_object *mrt = json_object_new_object();
    struct json_object *types = json_object_new_object();
    struct json_object *bgp = json_object_new_object();
    char text[16];
    for (unsigned i = 0; i < 64; i++) {
        for (unsigned k = 0; k < 64; k++) {
            if (s->mrt.types[i][k]) {
                snprintf(text, sizeof text, "%u/%u", i, k);
                reply_uint(types, text, s->mrt.types[i][k]);
            }
        }
    }
    json_object_object_add(mrt, "types", types);
    for (const struct counter_def *def = mrt_counter_defs; def->name; def++) {
        reply_uint(mrt, def->name, counter_at(&s->mrt_n, def));
    }
    reply_uint(mrt, "trailing_octets", s->mrt.trailing);
    reply_uint(mrt, "table_ipv6", s->mrt.ipv6);
    reply_uint(mrt, "table_multicast", s->mrt.multicast);
    tally_put(&s->mrt_bgp, bgp);
    json_object_object_add(mrt, "bgp", bgp);
    json_object_object_add(o, "mrt", mrt);
}

void
routes_show_summary(struct routes_show *s, struct json_object *o,
                    struct json_object *errors)
{
    const struct { const char *name; uint64_t n; } own[] = {
        { "bgp_not_framed", s->not_framed }, { "bgp_torn", s->torn },
        { "bgp_gaps", s->gaps }, { "bgp_errors", s->bgp.with_errors
                                   + s->inner.with_errors
                                   + s->mrt_bgp.with_errors },
        { "bmp_malformed", s->bmp.malformed },
        { "mrt_bad_records", counter_get(&s->mrt_n.bad_records) },
        { "mrt_trailing", s->mrt.trailing },
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (own[i].n) {
            reply_uint(errors, own[i].name, own[i].n);
        }
    }
    if (s->bgp.messages) {
        struct json_object *bgp = json_object_new_object();
        tally_put(&s->bgp, bgp);
        json_object_object_add(o, "bgp", bgp);
    }
    if (s->bmp.messages) {
        put_bmp(s, o);
    }
    if (s->mrt.records) {
        put_mrt(s, o);
    }
}
