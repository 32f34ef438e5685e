#include <config.h>

#include "bgp/message.h"

#include <string.h>

/* OPEN (RFC 4271 section 4.2), its optional parameters (also RFC 9072) and
 * capabilities (RFC 5492). */

enum { PARAM_CAPABILITIES = 2, PARAM_EXTENDED = 255 };

typedef void decode_fn(struct cursor *, struct bgp_caps *);

/* ---- One function for each capability that says something. ---- */

static void
decode_mp(struct cursor *c, struct bgp_caps *caps)
{
    uint16_t afi = cur_u16(c);
    cur_skip(c, 1);
    int f = bgp_family_find(afi, cur_u8(c));
    if (f >= 0) {
        caps->families |= 1u << f;
    } else if (caps->n_other_families < UINT8_MAX) {
        caps->n_other_families++;
    }
}

/* RFC 8950: NLRI AFI, SAFI (two octets), AFI of the next hop. */
static void
decode_next_hop(struct cursor *c, struct bgp_caps *caps)
{
    while (cur_more(c)) {
        uint16_t afi = cur_u16(c), safi = cur_u16(c);
        int f = safi < 256 ? bgp_family_find(afi, (uint8_t) safi) : -1;
        if (cur_u16(c) == 2 && f >= 0) {
            caps->ext_next_hop |= 1u << f;
        }
    }
}

static void
decode_role(struct cursor *c, struct bgp_caps *caps)
{
    uint8_t role = cur_u8(c);
    caps->two_roles |= caps->has & 1u << BGP_CAP_ROLE && role != caps->role;
    caps->role = role;
}

/* RFC 4724 section 3, RFC 8538. */
static void
decode_gr(struct cursor *c, struct bgp_caps *caps)
{
    uint16_t flags = cur_u16(c);
    caps->gr_restarted = flags & 0x8000;
    caps->gr_notification = flags & 0x4000;
    caps->gr_time_s = flags & 0xfff;
    caps->gr_families = caps->gr_forwarding = 0;
    while (cur_more(c)) {
        uint16_t afi = cur_u16(c);
        int f = bgp_family_find(afi, cur_u8(c));
        bool forwarding = cur_u8(c) & 0x80;
        if (f >= 0) {
            caps->gr_families |= 1u << f;
            caps->gr_forwarding |= (uint32_t) forwarding << f;
        }
    }
}

static void
decode_as4(struct cursor *c, struct bgp_caps *caps)
{
    caps->as = cur_u32(c);
}

/* RFC 7911 section 4. */
static void
decode_add_path(struct cursor *c, struct bgp_caps *caps)
{
    while (cur_more(c)) {
        uint16_t afi = cur_u16(c);
        int f = bgp_family_find(afi, cur_u8(c));
        uint8_t how = cur_u8(c);
        if (f >= 0 && how >= 1 && how <= 3) {   /* Others: ignored. */
            caps->add_path_receive |= (how & 1u) << f;
            caps->add_path_send |= (uint32_t) (how >> 1) << f;
        }
    }
}

/* RFC 9494 section 3.1. */
static void
decode_llgr(struct cursor *c, struct bgp_caps *caps)
{
    while (cur_more(c)) {
        uint16_t afi = cur_u16(c);
        int f = bgp_family_find(afi, cur_u8(c));
        bool forwarding = cur_u8(c) & 0x80;
        const uint8_t *time = cur_take(c, 3);
        if (f >= 0 && time) {
            caps->llgr_families |= 1u << f;
            caps->llgr_forwarding |= (uint32_t) forwarding << f;
            caps->llgr_time_s[f] = (uint32_t) be_uint_at(time, 3);
        }
    }
}

/* Text of a peer: one octet of length, no control characters. */
static void
decode_text(struct cursor *c, char *to)
{
    struct cursor text = cur_sub(c, cur_u8(c));
    size_t n = 0;
    while (cur_more(&text)) {
        uint8_t ch = cur_u8(&text);
        if (n < BGP_NAME_SIZE - 1) {
            to[n++] = ch >= 0x20 && ch < 0x7f ? (char) ch : '?';
        }
    }
    to[n] = '\0';
}

static void
decode_hostname(struct cursor *c, struct bgp_caps *caps)
{
    decode_text(c, caps->hostname);
    decode_text(c, caps->domain);
}

static void
decode_version(struct cursor *c, struct bgp_caps *caps)
{
    decode_text(c, caps->version);
}

static const struct capability {
    uint8_t code;
    const char *name;
    uint8_t least, item;        /* Octets; 'least', then whole items. */
} capabilities[BGP_N_CAPABILITIES] = {
#define X(ID, CODE, NAME, LEAST, ITEM) \
    [BGP_CAP_##ID] = { CODE, NAME, LEAST, ITEM },
    BGP_CAPABILITIES(X)
#undef X
};

/* Those without one are noted. */
static decode_fn *const decoders[BGP_N_CAPABILITIES] = {
    [BGP_CAP_MP] = decode_mp, [BGP_CAP_NEXT_HOP] = decode_next_hop,
    [BGP_CAP_ROLE] = decode_role, [BGP_CAP_GR] = decode_gr,
    [BGP_CAP_AS4] = decode_as4, [BGP_CAP_ADD_PATH] = decode_add_path,
    [BGP_CAP_LLGR] = decode_llgr, [BGP_CAP_HOSTNAME] = decode_hostname,
    [BGP_CAP_VERSION] = decode_version,
};

static const char *const role_names[BGP_N_ROLES] = {
    [BGP_ROLE_PROVIDER] = "provider", [BGP_ROLE_RS] = "rs",
    [BGP_ROLE_RS_CLIENT] = "rs-client", [BGP_ROLE_CUSTOMER] = "customer",
    [BGP_ROLE_PEER] = "peer",
};

int
bgp_capability_find(uint8_t code)
{
    for (int i = 0; i < BGP_N_CAPABILITIES; i++) {
        if (capabilities[i].code == code) {
            return i;
        }
    }
    return -1;
}

const char *
bgp_capability_name(enum bgp_capability c)
{
    return capabilities[c].name;
}

const char *
bgp_role_name(uint8_t role)
{
    return role < BGP_N_ROLES ? role_names[role] : NULL;
}

int
bgp_role_by_name(const char *name)
{
    for (int i = 0; i < BGP_N_ROLES; i++) {
        if (!strcmp(role_names[i], name)) {
            return i;
        }
    }
    return -1;
}

void
bgp_caps_init(struct bgp_caps *caps)
{
    memset(caps, 0, sizeof *caps);
    caps->role = BGP_ROLE_NONE;
}

/* Lengths that the RFCs fix; others are read as far as they are known. */
static bool
length_fits(int which, size_t n)
{
    const struct capability *cap = &capabilities[which];
    bool exact = which == BGP_CAP_MP || which == BGP_CAP_AS4
                 || which == BGP_CAP_ROLE;
    return n >= cap->least && (!exact || n == cap->least)
           && (!cap->item
               || !((n - (which == BGP_CAP_GR ? 2u : 0u)) % cap->item));
}

bool
bgp_caps_parse(struct cursor c, struct bgp_caps *caps)
{
    while (cur_more(&c)) {
        uint8_t code = cur_u8(&c);
        struct cursor body = cur_sub(&c, cur_u8(&c));
        int which = bgp_capability_find(code);
        if (body.bad) {
            return false;
        }
        if (which < 0) {
            caps->n_unknown += caps->n_unknown < UINT8_MAX;
            continue;
        }
        if (!length_fits(which, cur_left(&body))) {
            return false;
        }
        if (decoders[which]) {
            decoders[which](&body, caps);
        }
        if (body.bad) {
            return false;
        }
        caps->has |= 1u << which;
    }
    return !c.bad;
}

/* Parameters with lengths of one octet, or two (RFC 9072). */
static bool
parse_params(struct cursor *c, bool extended, struct bgp_open *o,
             struct bgp_error *e)
{
    while (cur_more(c)) {
        uint8_t type = cur_u8(c);
        struct cursor body = cur_sub(c, extended ? cur_u16(c) : cur_u8(c));
        if (body.bad) {
            break;
        }
        if (type != PARAM_CAPABILITIES) {
            bgp_error_set(e, BGP_E_OPEN, BGP_E_OPEN_OPTION, NULL, 0);
            return false;
        }
        if (!bgp_caps_parse(body, &o->caps)) {
            c->bad = true;
        }
    }
    if (c->bad) {               /* RFC 4271: recognized, but malformed. */
        bgp_error_set(e, BGP_E_OPEN, 0, NULL, 0);
    }
    return !c->bad;
}

static bool
parse_optional(struct cursor *c, struct bgp_open *o, struct bgp_error *e)
{
    size_t n = cur_u8(c);
    bool extended = n && cur_left(c) >= 3 && c->p[0] == PARAM_EXTENDED;
    if (extended) {             /* RFC 9072: the length before says nothing. */
        cur_skip(c, 1);
        n = cur_u16(c);
    }
    struct cursor params = cur_sub(c, n);
    if (params.bad || cur_more(c)) {
        bgp_error_set(e, BGP_E_OPEN, 0, NULL, 0);
        return false;
    }
    return parse_params(&params, extended, o, e);
}

bool
bgp_open_parse(struct cursor c, struct bgp_open *o, struct bgp_error *e)
{
    static const uint8_t version[2] = { 0, BGP_VERSION };
    memset(o, 0, sizeof *o);
    bgp_caps_init(&o->caps);
    o->version = cur_u8(&c);
    o->as = o->as2 = cur_u16(&c);
    o->hold_s = cur_u16(&c);
    o->id = cur_u32(&c);
    if (c.bad) {
        bgp_error_set(e, BGP_E_OPEN, 0, NULL, 0);
        return false;
    }
    if (o->version != BGP_VERSION) {
        bgp_error_set(e, BGP_E_OPEN, BGP_E_OPEN_VERSION, version, 2);
        return false;
    }
    if (!parse_optional(&c, o, e)) {
        return false;
    }
    if (o->caps.has & 1u << BGP_CAP_AS4) {
        o->as = o->caps.as;
    }
    if (!o->as || !o->as2) {    /* RFC 7607 */
        bgp_error_set(e, BGP_E_OPEN, BGP_E_OPEN_AS, NULL, 0);
        return false;
    }
    if (!o->id) {               /* RFC 6286 */
        bgp_error_set(e, BGP_E_OPEN, BGP_E_OPEN_ID, NULL, 0);
        return false;
    }
    if (o->hold_s == 1 || o->hold_s == 2) {
        bgp_error_set(e, BGP_E_OPEN, BGP_E_OPEN_HOLD, NULL, 0);
        return false;
    }
    return true;
}

/* ---- Writing. ---- */

struct writer {
    uint8_t *p;
};

static void
put(struct writer *w, uint32_t v, unsigned n)
{
    while (n) {
        *w->p++ = (uint8_t) (v >> 8 * --n);
    }
}

static void
put_family(struct writer *w, int f)
{
    put(w, bgp_family_afi((enum bgp_family) f), 2);
    put(w, bgp_family_safi((enum bgp_family) f), 1);
}

/* Begins a capability; finish_capability() tells its length. */
static uint8_t *
begin(struct writer *w, enum bgp_capability which)
{
    put(w, capabilities[which].code, 1);
    put(w, 0, 1);
    return w->p;
}

static void
end(struct writer *w, uint8_t *body)
{
    body[-1] = (uint8_t) (w->p - body);
}

static void
write_add_path(struct writer *w, const struct bgp_caps *caps, int f)
{
    uint32_t how = (caps->add_path_receive >> f & 1)
                   | (caps->add_path_send >> f & 1) << 1;
    if (how) {
        put_family(w, f);
        put(w, how, 1);
    }
}

static void
write_next_hop(struct writer *w, const struct bgp_caps *caps, int f)
{
    if (caps->ext_next_hop >> f & 1) {
        put(w, bgp_family_afi((enum bgp_family) f), 2);
        put(w, bgp_family_safi((enum bgp_family) f), 2);
        put(w, 2, 2);
    }
}

static void
write_gr(struct writer *w, const struct bgp_caps *caps, int f)
{
    if (caps->gr_families >> f & 1) {
        put_family(w, f);
        put(w, (caps->gr_forwarding >> f & 1) << 7, 1);
    }
}

static void
write_llgr(struct writer *w, const struct bgp_caps *caps, int f)
{
    if (caps->llgr_families >> f & 1) {
        put_family(w, f);
        put(w, (caps->llgr_forwarding >> f & 1) << 7, 1);
        put(w, caps->llgr_time_s[f], 3);
    }
}

/* What begins a capability, before its families. */
static void
write_fixed(struct writer *w, const struct bgp_caps *caps, int which)
{
    if (which == BGP_CAP_AS4) {
        put(w, caps->as, 4);
    } else if (which == BGP_CAP_ROLE) {
        put(w, caps->role, 1);
    } else if (which == BGP_CAP_GR) {
        put(w, (uint32_t) caps->gr_restarted << 15
               | (uint32_t) caps->gr_notification << 14 | caps->gr_time_s, 2);
    }
}

static void
write_capability(struct writer *w, const struct bgp_caps *caps, int which)
{
    static void (*const each[BGP_N_CAPABILITIES])(
        struct writer *, const struct bgp_caps *, int) = {
        [BGP_CAP_ADD_PATH] = write_add_path,
        [BGP_CAP_NEXT_HOP] = write_next_hop,
        [BGP_CAP_GR] = write_gr, [BGP_CAP_LLGR] = write_llgr,
    };
    uint8_t *body = begin(w, (enum bgp_capability) which);
    write_fixed(w, caps, which);
    for (int f = 0; f < BGP_N_FAMILIES && each[which]; f++) {
        each[which](w, caps, f);
    }
    end(w, body);
}

/* Those that have something to say, or nothing but their presence. */
#define WRITTEN (1u << BGP_CAP_REFRESH | 1u << BGP_CAP_NEXT_HOP         \
                 | 1u << BGP_CAP_EXTENDED | 1u << BGP_CAP_ROLE          \
                 | 1u << BGP_CAP_GR | 1u << BGP_CAP_AS4                 \
                 | 1u << BGP_CAP_ADD_PATH | 1u << BGP_CAP_ENHANCED      \
                 | 1u << BGP_CAP_LLGR)

size_t
bgp_open_write(const struct bgp_open *o, uint8_t *buf)
{
    struct writer w = { buf + BGP_HEADER_SIZE };
    put(&w, BGP_VERSION, 1);
    put(&w, o->as > UINT16_MAX ? BGP_AS_TRANS : o->as, 2);
    put(&w, o->hold_s, 2);
    put(&w, o->id, 4);
    uint8_t *lengths = w.p;
    put(&w, 0, 3);
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        if (o->caps.families >> f & 1) {
            uint8_t *body = begin(&w, BGP_CAP_MP);
            put(&w, bgp_family_afi((enum bgp_family) f), 2);
            put(&w, bgp_family_safi((enum bgp_family) f), 2);
            end(&w, body);
        }
    }
    for (int i = 0; i < BGP_N_CAPABILITIES; i++) {
        if (o->caps.has & WRITTEN & 1u << i) {
            write_capability(&w, &o->caps, i);
        }
    }
    size_t n = (size_t) (w.p - lengths - 3);    /* Below 240, always. */
    lengths[0] = (uint8_t) (n ? n + 2 : 0);
    lengths[1] = PARAM_CAPABILITIES;
    lengths[2] = (uint8_t) n;
    if (!n) {
        w.p = lengths + 1;
    }
    size_t size = (size_t) (w.p - buf);
    memset(buf, 0xff, 16);
    buf[16] = (uint8_t) (size >> 8);
    buf[17] = (uint8_t) size;
    buf[18] = BGP_OPEN;
    return size;
}
