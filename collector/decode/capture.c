#include <config.h>

#include "collector/decode/capture_p.h"

#include <stdlib.h>

#include "collector/decode/pcap.h"

/* Fragments, the network layer, and UDP. */

const struct counter_def capture_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct capture_counters, NAME), DOC },
    CAPTURE_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

enum { PROTO_TCP = 6, PROTO_UDP = 17 };

struct capture *
capture_create(capture_datagram_fn *each, void *aux)
{
    struct capture *cap = calloc(1, sizeof *cap);
    if (cap) {
        cap->each = each;
        cap->aux = aux;
    }
    return cap;
}

void
capture_destroy(struct capture *cap)
{
    if (cap) {
        capture_finish(cap);
        free(cap);
    }
}

const struct capture_counters *
capture_counters(const struct capture *cap)
{
    return &cap->n;
}

/* ---- Fragments. ---- */

static void
forget(struct fragmented *f)
{
    free(f->data);
    memset(f, 0, sizeof *f);
}

static struct fragmented *
find_fragmented(struct capture *cap, const struct segment *s, uint32_t id)
{
    struct fragmented *oldest = &cap->fragmented[0];
    for (size_t i = 0; i < N_FRAGMENTED; i++) {
        struct fragmented *f = &cap->fragmented[i];
        if (f->used && f->id == id && f->proto == s->proto
            && addr_equal(&f->src, &s->src) && addr_equal(&f->dst, &s->dst)) {
            return f;
        } else if (f->age < oldest->age) {
            oldest = f;
        }
    }
    if (oldest->used) {
        counter_inc(&cap->n.fragment_lost);
        forget(oldest);
    }
    oldest->data = calloc(1, 65536);
    if (!oldest->data) {
        return NULL;
    }
    oldest->used = true;
    oldest->src = s->src;
    oldest->dst = s->dst;
    oldest->id = id;
    oldest->proto = s->proto;
    return oldest;
}

/* Copies only what is not there yet, in units of eight bytes: of overlapping
 * fragments the first counts. */
static void
add_fragment(struct fragmented *f, size_t at, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        size_t unit = (at + i) / 8, size = n - i < 8 ? n - i : 8;
        uint64_t bit = UINT64_C(1) << unit % 64;
        if (!(f->seen[unit / 64] & bit)) {
            f->seen[unit / 64] |= bit;
            memcpy(f->data + at + i, p + i, size);
        }
    }
}

static bool
whole(const struct fragmented *f)
{
    for (size_t unit = 0; unit < (f->total + 7) / 8; unit++) {
        if (!(f->seen[unit / 64] >> unit % 64 & 1)) {
            return false;
        }
    }
    return f->total != 0;
}

/* A fragment at byte 'at' of its packet; 'more' come after it. */
static void
fragment(struct capture *cap, struct segment *s, uint32_t id, size_t at,
         bool more)
{
    size_t n = cur_left(&s->c);
    if (at + n > 65535 || (more && n % 8)) {
        counter_inc(&cap->n.fragment_lost);
        return;
    }
    struct fragmented *f = find_fragmented(cap, s, id);
    if (!f) {
        return;
    }
    f->age = cap->now;
    add_fragment(f, at, s->c.p, n);
    if (!more) {
        f->total = at + n;
    }
    if (whole(f)) {
        /* Out of the table first: it may hold a tunnel, with fragments. */
        uint8_t *data = f->data;
        s->c = cur_init(data, f->total);
        f->data = NULL;
        forget(f);
        capture_transport(cap, s);
        free(data);
    }
}

/* ---- IP. ---- */

/* Confines 'c' to what the header says is there. */
static struct cursor
body(struct capture *cap, struct cursor *c, size_t n, bool *cut)
{
    *cut = n > cur_left(c);
    if (*cut) {
        counter_inc(&cap->n.cut_short);
        n = cur_left(c);
    }
    return cur_sub(c, n);
}

static void
ipv4(struct capture *cap, struct cursor c, int64_t time_us)
{
    const uint8_t *ip = cur_take(&c, 20);
    size_t head = ip ? (ip[0] & 15u) * 4u : 0;
    if (head < 20) {
        counter_inc(&cap->n.not_ip);
        return;
    }
    size_t total = be16_at(ip + 2);
    uint16_t bits = be16_at(ip + 6);
    cur_skip(&c, head - 20);
    if (ip[9] != PROTO_TCP && ip[9] != PROTO_UDP) {
        if (bits & 0x3fff || !capture_tunnel_ip(cap, ip[9], c, time_us)) {
            counter_inc(&cap->n.not_ip);
        }
        return;
    }
    bool cut;
    struct segment s = {
        .src = addr_from_v4_bytes(ip + 12),
        .dst = addr_from_v4_bytes(ip + 16),
        .proto = ip[9], .time_us = time_us,
        /* 0: the network card was to fill it in. */
        .c = body(cap, &c, total > head ? total - head
                           : total ? 0 : cur_left(&c), &cut),
    };
    s.cut = cut;
    if (bits & 0x3fff) {
        fragment(cap, &s, be16_at(ip + 4), (bits & 0x1fff) * (size_t) 8,
                 bits & 0x2000);
    } else {
        capture_transport(cap, &s);
    }
}

static void
ipv6(struct capture *cap, struct cursor c, int64_t time_us)
{
    enum { HOP = 0, ROUTING = 43, FRAGMENT = 44, AUTHENTICATION = 51,
           DESTINATION = 60 };
    const uint8_t *ip = cur_take(&c, 40);
    bool cut;
    if (!ip) {
        counter_inc(&cap->n.not_ip);
        return;
    }
    struct segment s = {
        .src = addr_from_v6_bytes(ip + 8), .dst = addr_from_v6_bytes(ip + 24),
        .proto = ip[6], .time_us = time_us,
        .c = body(cap, &c, be16_at(ip + 4), &cut),
    };
    s.cut = cut;
    const uint8_t *piece = NULL;
    while (!s.c.bad && !piece) {
        const uint8_t *h;
        if (s.proto == HOP || s.proto == ROUTING || s.proto == DESTINATION) {
            h = cur_take(&s.c, 2);
            cur_skip(&s.c, h ? h[1] * 8u + 6 : 0);
            s.proto = h ? h[0] : 0;
        } else if (s.proto == AUTHENTICATION) {
            h = cur_take(&s.c, 2);
            cur_skip(&s.c, h ? h[1] * 4u + 6 : 0);
            s.proto = h ? h[0] : 0;
        } else if (s.proto == FRAGMENT) {
            piece = cur_take(&s.c, 8);
            s.proto = piece ? piece[0] : 0;
        } else {
            break;
        }
    }
    if (s.c.bad || (s.proto != PROTO_UDP && s.proto != PROTO_TCP)) {
        if (s.c.bad || piece
            || !capture_tunnel_ip(cap, s.proto, s.c, time_us)) {
            counter_inc(&cap->n.not_ip);
        }
    } else if (piece && (be16_at(piece + 2) & 0xfff9)) {
        uint16_t bits = be16_at(piece + 2);
        fragment(cap, &s, be32_at(piece + 4), bits & 0xfff8, bits & 1);
    } else {
        capture_transport(cap, &s);
    }
}

void
capture_ip(struct capture *cap, int ether_type, struct cursor c,
           int64_t time_us)
{
    if (ether_type == ETHERTYPE_IPV4) {
        ipv4(cap, c, time_us);
    } else {
        ipv6(cap, c, time_us);
    }
}

/* ---- UDP. ---- */

static void
udp(struct capture *cap, struct segment *s)
{
    uint16_t src_port = cur_u16(&s->c);
    uint16_t dst_port = cur_u16(&s->c);
    uint16_t size = cur_u16(&s->c);
    cur_skip(&s->c, 2);
    if (s->c.bad || (size && size < 8)) {
        counter_inc(&cap->n.cut_short);
        return;
    } else if (capture_tunnel_udp(cap, dst_port, s->c, s->time_us)) {
        return;
    }
    /* 0: as for IP, it was to be filled in. */
    size_t n = size && size - 8u < cur_left(&s->c) ? size - 8u
                                                   : cur_left(&s->c);
    struct datagram d = {
        .data = s->c.p, .size = n, .src = s->src, .src_port = src_port,
        .received_us = s->time_us, .cut = s->cut && n + 8u < size,
    };
    counter_inc(&cap->n.udp);
    cap->each(cap->aux, &d);
}

void
capture_transport(struct capture *cap, struct segment *s)
{
    if (s->proto == PROTO_UDP) {
        udp(cap, s);
    } else {
        capture_tcp(cap, s);
    }
}

/* ---- Frames. ---- */

void
capture_set_tap(struct capture *cap, const struct capture_tap *tap)
{
    cap->tap = tap;
}

void
capture_frame(struct capture *cap, const struct pcap_frame *frame)
{
    struct cursor c = cur_init(frame->data, frame->size);
    cap->now++;
    counter_inc(&cap->n.frames);
    int type = capture_link(frame->link, &c);
    if (type < 0) {
        counter_inc(&cap->n.unknown_link);
    } else if (type == 0) {
        counter_inc(&cap->n.not_ip);
    } else {
        capture_ip(cap, type, c, frame->time_us);
    }
}

void
capture_finish(struct capture *cap)
{
    for (size_t i = 0; i < N_FRAGMENTED; i++) {
        if (cap->fragmented[i].used) {
            counter_inc(&cap->n.fragment_lost);
            forget(&cap->fragmented[i]);
        }
    }
    capture_tcp_finish(cap);
}

static bool
is_transport(uint8_t proto)
{
    return proto == PROTO_UDP || proto == PROTO_TCP;
}

bool
capture_looks_ethernet(const uint8_t *p, size_t n)
{
    struct cursor c = cur_init(p, n);
    int type = capture_link(1, &c);
    if (type == ETHERTYPE_IPV6) {
        return cur_left(&c) >= 48 && c.p[0] >> 4 == 6 && is_transport(c.p[6])
               && be16_at(c.p + 4) <= cur_left(&c) - 40;
    } else if (type != ETHERTYPE_IPV4 || cur_left(&c) < 28
               || c.p[0] >> 4 != 4 || !is_transport(c.p[9])) {
        return false;
    }
    size_t head = (c.p[0] & 15u) * 4u;
    uint32_t sum = 0;
    for (size_t i = 0; i < head && head <= cur_left(&c); i += 2) {
        sum += be16_at(c.p + i);
    }
    /* Addresses that were made anonymous may have a wrong checksum. */
    return head >= 20 && ((sum & 0xffff) + (sum >> 16) == 0xffff
                          || be16_at(c.p + 2) == cur_left(&c));
}
