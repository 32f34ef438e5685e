#include <config.h>

#include "bgp/bmp_message.h"

#include <stdio.h>
#include <string.h>

static const char *const type_names[BMP_N_TYPES] = {
#define X(ID, CODE, NAME) [BMP_##ID] = NAME,
    BMP_TYPES(X)
#undef X
};

static const char *const peer_type_names[BMP_N_PEER_TYPES] = {
    [BMP_PEER_GLOBAL] = "global", [BMP_PEER_RD] = "rd",
    [BMP_PEER_LOCAL] = "local", [BMP_PEER_LOC_RIB] = "loc-rib",
};

static const char *const view_names[] = {
    [BGP_VIEW_IN_PRE] = "in-pre", [BGP_VIEW_IN_POST] = "in-post",
    [BGP_VIEW_OUT_PRE] = "out-pre", [BGP_VIEW_OUT_POST] = "out-post",
    [BGP_VIEW_LOCAL] = "local",
};

static const struct {
    const char *name, *what;
} down_reasons[] = {
#define X(CODE, NAME, WHAT) [CODE] = { NAME, WHAT },
    BMP_DOWN_REASONS(X)
#undef X
};

static const struct {
    const char *name;
    bool per_family;
} statistics[BMP_N_STATISTICS] = {
#define X(CODE, FAMILY, NAME, WHAT) [CODE] = { NAME, FAMILY },
    BMP_STATISTICS_TABLE(X)
#undef X
};

const char *
bmp_type_name(uint8_t type)
{
    return type < BMP_N_TYPES ? type_names[type] : NULL;
}

const char *
bmp_peer_type_name(uint8_t type)
{
    return type < BMP_N_PEER_TYPES ? peer_type_names[type] : NULL;
}

const char *
bgp_view_name(enum bgp_view view)
{
    return view_names[view];
}

bool
bmp_header_parse(const uint8_t *p, struct bmp_header *h)
{
    h->version = p[0];
    h->size = be32_at(p + 1);
    h->type = p[5];
    return (h->version == 3 || h->version == 4) && h->size >= BMP_HEADER_SIZE
           && h->size <= BMP_MAX_SIZE;
}

/* An IPv4 address is in the last four octets. */
static struct addr
take_addr(struct cursor *c, bool v6)
{
    static const struct addr none;
    const uint8_t *p = cur_take(c, 16);
    return !p ? none : v6 ? addr_from_v6_bytes(p)
                          : addr_from_v4_bytes(p + 12);
}

bool
bmp_peer_header_parse(struct cursor *c, struct bmp_peer_header *h)
{
    static const struct addr none;
    h->type = cur_u8(c);
    h->flags = cur_u8(c);
    bool local = h->type == BMP_PEER_LOC_RIB;
    bool post = h->flags & 0x40, out = h->flags & 0x10;
    h->view = local ? BGP_VIEW_LOCAL
              : out ? (post ? BGP_VIEW_OUT_POST : BGP_VIEW_OUT_PRE)
              : post ? BGP_VIEW_IN_POST : BGP_VIEW_IN_PRE;
    h->as2 = !local && h->flags & 0x20;
    h->rd = cur_u64(c);
    h->address = take_addr(c, h->flags & 0x80);
    if (local) {
        h->address = none;
    }
    h->as = cur_u32(c);
    h->id = cur_u32(c);
    int64_t s = cur_u32(c);
    h->time_us = s * 1000000 + cur_u32(c) % 1000000;
    return !c->bad;
}

bool
bmp_tlv_next(struct cursor *c, struct bmp_tlv *t)
{
    if (!cur_more(c)) {
        return false;
    }
    t->type = cur_u16(c);
    t->value = cur_sub(c, cur_u16(c));
    return !t->value.bad;
}

/* A BGP message at the start of 'c': its type, and what follows its header. */
static bool
take_bgp(struct cursor *c, struct cursor *body, uint8_t *type)
{
    struct bgp_header h;
    struct bgp_error e;
    const uint8_t *p = cur_take(c, BGP_HEADER_SIZE);
    if (!p || !bgp_header_parse(p, BGP_MAX_EXTENDED, &h, &e)) {
        c->bad = true;
        return false;
    }
    *body = cur_sub(c, h.size - BGP_HEADER_SIZE);
    *type = h.type;
    return !body->bad;
}

bool
bmp_peer_up_parse(struct cursor c, struct bmp_peer_up *u, bool v6)
{
    uint8_t sent, received;
    u->local = take_addr(&c, v6);
    u->local_port = cur_u16(&c);
    u->remote_port = cur_u16(&c);
    if (!take_bgp(&c, &u->sent, &sent)
        || !take_bgp(&c, &u->received, &received)
        || sent != BGP_OPEN || received != BGP_OPEN) {
        return false;
    }
    u->tlvs = c;
    return true;
}

bool
bmp_peer_down_parse(struct cursor c, struct bmp_peer_down *d)
{
    struct cursor body;
    uint8_t type;
    memset(d, 0, sizeof *d);
    d->reason = cur_u8(&c);
    if (d->reason == 2) {
        d->fsm_event = cur_u16(&c);
    } else if ((d->reason == 1 || d->reason == 3)
               && take_bgp(&c, &body, &type) && type == BGP_NOTIFICATION) {
        bgp_notification_parse(body, &d->error);
        d->has_error = true;
    }
    return !c.bad;
}

const char *
bmp_down_reason_name(uint8_t reason)
{
    return reason < sizeof down_reasons / sizeof down_reasons[0]
           ? down_reasons[reason].name : NULL;
}

char *
bmp_peer_down_format(const struct bmp_peer_down *d, char *buf, size_t size)
{
    char error[400];
    bool known = bmp_down_reason_name(d->reason) != NULL;
    if (!known) {
        snprintf(buf, size, "reason %u", d->reason);
    } else if (d->has_error) {
        snprintf(buf, size, "%s: %s", down_reasons[d->reason].what,
                 bgp_error_format(&d->error, error, sizeof error));
    } else if (d->reason == 2 && d->fsm_event) {
        snprintf(buf, size, "%s (event %u)", down_reasons[d->reason].what,
                 d->fsm_event);
    } else {
        snprintf(buf, size, "%s", down_reasons[d->reason].what);
    }
    return buf;
}

const char *
bmp_statistic_name(uint16_t type)
{
    return type < BMP_N_STATISTICS ? statistics[type].name : NULL;
}

bool
bmp_statistic_per_family(uint16_t type)
{
    return type < BMP_N_STATISTICS && statistics[type].per_family;
}

bool
bmp_statistic_parse(const struct bmp_tlv *t, struct bmp_statistic *s)
{
    struct cursor c = t->value;
    size_t n = cur_left(&c);
    *s = (struct bmp_statistic) { .type = t->type };
    if (n == 11) {
        s->afi = cur_u16(&c);
        s->safi = cur_u8(&c);
        s->value = cur_u64(&c);
    } else if (n == 8) {
        s->value = cur_u64(&c);
    } else if (n == 4) {
        s->value = cur_u32(&c);
    } else {
        return false;
    }
    return true;
}

static bool
begins_with_marker(struct cursor c)
{
    return cur_left(&c) >= 4 && be32_at(c.p) == UINT32_MAX;
}

bool
bmp_update_find(struct cursor c, uint8_t version, struct cursor *update,
                uint8_t *type)
{
    if (version < 4 || begins_with_marker(c)) {
        return take_bgp(&c, update, type);
    }
    while (cur_more(&c)) {      /* Type, length, index, value. */
        cur_skip(&c, 2);
        size_t n = cur_u16(&c);
        cur_skip(&c, 2);
        struct cursor value = cur_sub(&c, n);
        if (begins_with_marker(value)) {
            return take_bgp(&value, update, type);
        }
    }
    return false;
}

char *
bmp_text(const struct bmp_tlv *t, char *buf, size_t size)
{
    struct cursor c = t->value;
    size_t n = 0;
    while (cur_more(&c) && n + 1 < size) {
        uint8_t ch = cur_u8(&c);
        buf[n++] = ch >= 0x20 && ch < 0x7f ? (char) ch : ' ';
    }
    while (n && buf[n - 1] == ' ') {
        n--;
    }
    buf[n] = '\0';
    return buf;
}

const char *
bmp_termination_name(uint16_t reason)
{
    static const char *const names[] = {
        "closed by an administrator", "unspecified", "out of resources",
        "redundant connection", "closed for good by an administrator",
    };
    return reason < sizeof names / sizeof names[0] ? names[reason]
                                                   : "unknown";
}
