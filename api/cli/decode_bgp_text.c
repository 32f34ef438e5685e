#include <config.h>

#include "api/cli/decode_bgp_p.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/methods.h"
#include "api/route_json.h"
#include "bgp/attrs.h"
#include "lib/addr.h"

/* One BGP message as JSON and as counts. */

enum { ATTR_SET = 128 };
enum { AFI_LS = 16388, SAFI_MULTICAST = 2, SAFI_LS = 71, SAFI_LS_VPN = 72,
       SAFI_EVPN = 70, SAFI_FLOWSPEC = 133, SAFI_FLOWSPEC_VPN = 134 };

struct bgp_text {
    struct bgp_decoder *decoder;
    void *scratch;
};

struct bgp_text *
bgp_text_create(void)
{
    struct bgp_text *t = calloc(1, sizeof *t);
    if (t) {
        t->decoder = bgp_decoder_create();
        t->scratch = malloc(ATTRS_MAX_SIZE);
    }
    if (t && (!t->decoder || !t->scratch)) {
        bgp_text_destroy(t);
        return NULL;
    }
    return t;
}

void
bgp_text_destroy(struct bgp_text *t)
{
    if (t) {
        bgp_decoder_destroy(t->decoder);
        free(t->scratch);
        free(t);
    }
}

const char *
bgp_type_text(uint8_t type)
{
    static const char *const names[] = {
        [BGP_OPEN] = "OPEN", [BGP_UPDATE] = "UPDATE",
        [BGP_NOTIFICATION] = "NOTIFICATION", [BGP_KEEPALIVE] = "KEEPALIVE",
        [BGP_ROUTE_REFRESH] = "ROUTE-REFRESH",
    };
    return type < sizeof names / sizeof names[0] ? names[type] : NULL;
}

/* ---- Families. ---- */

/* "ipv4-unicast": the API's name for families that are kept, and made of the
 * same words for others; numbers where there is no name. */
static const char *
family_text(uint16_t afi, uint8_t safi, char *buf, size_t size)
{
    static const struct { uint16_t afi; const char *name; } afis[] = {
        { 1, "ipv4" }, { 2, "ipv6" }, { 25, "l2vpn" }, { AFI_LS, "bgp-ls" },
    };
    static const struct { uint8_t safi; const char *name; } safis[] = {
        { 1, "unicast" }, { SAFI_MULTICAST, "multicast" },
        { 4, "labeled-unicast" }, { 5, "mcast-vpn" }, { 65, "vpls" },
        { SAFI_EVPN, "evpn" }, { SAFI_LS, "bgp-ls" },
        { SAFI_LS_VPN, "bgp-ls-vpn" }, { 73, "sr-policy" }, { 85, "mup" },
        { 128, "vpn" }, { 129, "multicast-vpn" }, { 132, "rtc" },
        { SAFI_FLOWSPEC, "flowspec" }, { SAFI_FLOWSPEC_VPN, "flowspec-vpn" },
    };
    const char *a = NULL, *s = NULL;
    char afi_text[8], safi_text[8];
    int family = bgp_family_find(afi, safi);
    if (family >= 0) {
        return bgp_family_name((enum bgp_family) family);
    } else if (afi == AFI_LS && safi == SAFI_LS) {
        return "bgp-ls";
    }
    for (size_t i = 0; i < sizeof afis / sizeof afis[0]; i++) {
        a = afis[i].afi == afi ? afis[i].name : a;
    }
    for (size_t i = 0; i < sizeof safis / sizeof safis[0]; i++) {
        s = safis[i].safi == safi ? safis[i].name : s;
    }
    snprintf(afi_text, sizeof afi_text, "%u", afi);
    snprintf(safi_text, sizeof safi_text, "%u", safi);
    snprintf(buf, size, "%s-%s", a ? a : afi_text, s ? s : safi_text);
    return buf;
}

static void
count_pair(struct pairs *p, uint16_t afi, uint8_t safi)
{
    size_t i = 0;
    while (i < p->n && (p->of[i].afi != afi || p->of[i].safi != safi)) {
        i++;
    }
    if (i == p->n && p->n < MAX_PAIRS) {
        p->of[p->n].afi = afi;
        p->of[p->n].safi = safi;
        p->of[p->n++].n = 0;
    }
    if (i < p->n) {
        p->of[i].n++;
    }
}

/* ---- Routes. ---- */

void
bgp_text_nlri(const struct bgp_nlri *n, bool multicast,
              struct json_object *o)
{
    char text[PREFIX_STRLEN];
    bool no_address = n->family == BGP_EVPN && n->evpn_type == 2
                      && !n->prefix.len;
    reply_string(o, "prefix", no_address ? NULL
                                         : prefix_format(&n->prefix, text));
    reply_string(o, "family", !multicast ? bgp_family_name(n->family)
                              : n->family == BGP_IPV4_UNICAST
                              ? "ipv4-multicast" : "ipv6-multicast");
    route_put_nlri(o, n);
}

/* The routes of one field. */
struct field {
    struct tally *tally;
    struct json_object *list;   /* NULL: only counted. */
    uint64_t *v4, *v6, *vpn6;
    bool path_ids, multicast;
};

static void
take_route(struct field *f, const struct bgp_nlri *n)
{
    bool v4 = n->family == BGP_IPV4_UNICAST || n->family == BGP_IPV4_LABELED
              || n->family == BGP_VPNV4;
    if (n->family != BGP_EVPN) {
        ++*(v4 ? f->v4 : n->family == BGP_VPNV6 ? f->vpn6 : f->v6);
    }
    f->tally->path_ids += f->path_ids;
    if (f->list) {
        struct json_object *o = json_object_new_object();
        bgp_text_nlri(n, f->multicast, o);
        json_object_array_add(f->list, o);
    }
}

static void
on_announce(void *field, uint32_t peer, const struct bgp_nlri *n,
            const struct bgp_attrs *a)
{
    (void) peer;
    (void) a;
    take_route(field, n);
}

static void
on_withdraw(void *field, uint32_t peer, const struct bgp_nlri *n)
{
    (void) peer;
    take_route(field, n);
}

static void
on_end_of_rib(void *field, uint32_t peer, enum bgp_family family)
{
    struct field *f = field;
    (void) peer;
    (void) family;
    f->tally->end_of_rib++;
}

/* Routes of families that are not kept, by their frames. */
static void
count_others(struct tally *t, const struct bgp_nlri_field *field)
{
    struct cursor c = field->nlri;
    bool flowspec = field->safi == SAFI_FLOWSPEC
                    || field->safi == SAFI_FLOWSPEC_VPN;
    bool ls = field->afi == AFI_LS
              && (field->safi == SAFI_LS || field->safi == SAFI_LS_VPN);
    bool evpn = field->safi == SAFI_EVPN;
    while (cur_more(&c) && (flowspec || ls || evpn)) {
        unsigned size;
        if (flowspec) {         /* RFC 8955 section 4.1. */
            size = cur_u8(&c);
            size = size >= 0xf0 ? (size & 15) << 8 | cur_u8(&c) : size;
        } else if (ls) {
            unsigned type = cur_u16(&c);
            size = cur_u16(&c);
            t->ls_types[type & 15] += !c.bad;
        } else {
            unsigned type = cur_u8(&c);
            size = cur_u8(&c);
            t->evpn_types[type] += !c.bad;
        }
        cur_skip(&c, size);
        t->flowspec += flowspec && !c.bad;
    }
}

/* One field of an UPDATE; 'u' is a copy. */
static void
take_field(struct field *f, const struct bgp_params *params,
           struct bgp_update u, struct bgp_nlri_field *only)
{
    static const struct bgp_nlri_field none = { .family = -1 };
    const struct bgp_sink sink = {
        .aux = f, .announce = on_announce, .withdraw = on_withdraw,
        .end_of_rib = on_end_of_rib,
    };
    struct bgp_nlri_field *fields[] = { &u.withdrawn, &u.nlri, &u.unreach,
                                        &u.reach };
    /* 'only' points into the original: find the same in the copy. */
    for (int i = 0; i < 4; i++) {
        if (!(fields[i]->present && fields[i]->nlri.p == only->nlri.p
              && fields[i]->nlri.end == only->nlri.end)) {
            struct cursor at = fields[i]->nlri;
            *fields[i] = none;
            fields[i]->nlri = cur_init(at.p, 0);
        } else if (fields[i]->safi == SAFI_MULTICAST) {
            fields[i]->family = fields[i]->afi == 1 ? BGP_IPV4_UNICAST
                                : fields[i]->afi == 2 ? BGP_IPV6_UNICAST
                                                      : -1;
        }
        int family = fields[i]->present ? fields[i]->family : -1;
        if (family >= 0) {      /* As bgp_update_deliver() will see it. */
            enum bgp_family v = (enum bgp_family) family;
            f->path_ids = params->add_path >> v & 1
                || (params->guess_paths
                    && !bgp_nlri_plausible(v, false, fields[i]->nlri)
                    && bgp_nlri_plausible(v, true, fields[i]->nlri));
        }
    }
    u.action = BGP_ACCEPT;
    bgp_update_deliver(params, &u, &sink, 0);
    f->tally->malformed += u.action == BGP_RESET;
}

/* ---- Attributes. ---- */

void
tally_attributes(struct tally *t, struct cursor c)
{
    struct bgp_attr_raw a;
    struct cursor before = c;
    while (bgp_attr_next(&c, &a)) {
        before = c;
        t->attributes[a.code]++;
        if (a.code == BGP_A_LARGE_COMMUNITIES) {
            t->large_communities += cur_left(&a.value) / 12;
        } else if (a.code == BGP_A_MP_REACH || a.code == BGP_A_MP_UNREACH) {
            struct cursor v = a.value;
            uint16_t afi = cur_u16(&v);
            count_pair(a.code == BGP_A_MP_REACH ? &t->reach : &t->unreach,
                       afi, cur_u8(&v));
        } else if (a.code == ATTR_SET && cur_left(&a.value) > 4) {
            struct cursor v = a.value;
            cur_skip(&v, 4);    /* RFC 6368: an AS and attributes. */
            tally_attributes(t, v);
        }
    }
    /* One that is longer than there is room for. */
    if (c.bad && cur_left(&before) >= 3) {
        t->attributes[before.p[1]]++;
    }
}

void
bgp_text_attrs(struct bgp_text *t, const struct bgp_attrs *a,
               struct json_object *o)
{
    struct attrs *set = attrs_pack(t->scratch, a, NULL);
    if (set) {
        route_put_attrs(o, set, a);
    }
}

/* Codes, and names where there are any. */
static struct json_object *
attributes_to_json(struct cursor c)
{
    struct json_object *list = json_object_new_array();
    struct bgp_attr_raw a;
    char text[16];
    while (bgp_attr_next(&c, &a)) {
        const char *name = bgp_attr_name(a.code);
        snprintf(text, sizeof text, "%u", a.code);
        json_object_array_add(list, json_object_new_string(name ? name
                                                                : text));
    }
    return list;
}

static void
take_update(struct bgp_text *t, const struct reading *r, struct cursor body,
            struct json_object *o)
{
    struct tally *n = r->tally;
    struct bgp_update u;
    uint64_t unused = 0;
    char text[32];
    struct cursor c = body;
    cur_skip(&c, cur_u16(&c));
    struct cursor attributes = cur_sub(&c, cur_u16(&c));
    bgp_update_decode(t->decoder, &r->params, body, &u);
    n->with_errors += u.action != BGP_ACCEPT;
    if (!attributes.bad) {
        tally_attributes(n, attributes);
    }
    struct json_object *announced = o ? json_object_new_array() : NULL;
    struct json_object *withdrawn = o ? json_object_new_array() : NULL;
    struct {
        struct bgp_nlri_field *field;
        struct json_object *list;
        uint64_t *v4, *v6, *vpn6;
    } fields[] = {
        { &u.withdrawn, withdrawn, &n->withdrawn, &unused, &unused },
        { &u.unreach, withdrawn, &n->unreach4, &n->unreach6,
          &n->unreach_vpn6 },
        { &u.nlri, announced, &n->nlri, &unused, &unused },
        { &u.reach, announced, &n->reach4, &n->reach6, &n->reach_vpn6 },
    };
    for (size_t i = 0; i < 4; i++) {
        struct field f = { n, fields[i].list, fields[i].v4, fields[i].v6,
                           fields[i].vpn6, false,
                           fields[i].field->safi == SAFI_MULTICAST };
        struct bgp_nlri_field *field = fields[i].field;
        if (!field->present) {
            continue;
        }
        count_others(n, field);
        take_field(&f, &r->params, u, field);
    }
    /* RFC 4724 section 2: IPv4's is an UPDATE with nothing in it. */
    n->end_of_rib += cur_left(&body) == 4 && u.action == BGP_ACCEPT;
    if (!o) {
        return;
    }
    if (cur_left(&attributes)) {
        struct json_object *a = json_object_new_object();
        bgp_text_attrs(t, u.reach.present ? &u.mp_attrs : &u.attrs, a);
        json_object_object_add(o, "attributes", a);
        json_object_object_add(o, "attribute_types",
                               attributes_to_json(attributes));
    }
    if (u.reach.present) {
        reply_string(o, "mp_reach", family_text(u.reach.afi, u.reach.safi,
                                                text, sizeof text));
    }
    if (u.unreach.present) {
        reply_string(o, "mp_unreach", family_text(
            u.unreach.afi, u.unreach.safi, text, sizeof text));
    }
    json_object_object_add(o, "announced", announced);
    json_object_object_add(o, "withdrawn", withdrawn);
    if (u.why) {
        static const char *const actions[] = {
            [BGP_ACCEPT] = "accept", [BGP_DISCARD] = "attribute-discard",
            [BGP_WITHDRAW] = "treat-as-withdraw",
            [BGP_RESET] = "session-reset",
        };
        reply_string(o, "error", u.why);
        reply_string(o, "action", actions[u.action]);
    }
}

/* ---- The other messages. ---- */

/* Counts and shows the capabilities of an OPEN, as far as they can be read. */
static void
take_capabilities(struct tally *t, struct cursor body, struct json_object *o)
{
    struct json_object *list = o ? json_object_new_array() : NULL;
    cur_skip(&body, 9);
    unsigned size = cur_u8(&body);
    bool wide = size == 255 && cur_left(&body) >= 3 && *body.p == 255;
    if (wide) {                 /* RFC 9072. */
        cur_skip(&body, 1);
        size = cur_u16(&body);
    }
    size_t left = cur_left(&body);
    struct cursor params = cur_sub(&body, size < left ? size : left);
    while (cur_more(&params)) {
        uint8_t type = cur_u8(&params);
        unsigned n = wide ? cur_u16(&params) : cur_u8(&params);
        left = cur_left(&params);
        struct cursor p = cur_sub(&params, n < left ? n : left);
        while (type == 2 && cur_left(&p) >= 2) {
            uint8_t code = cur_u8(&p);
            int i = bgp_capability_find(code);
            left = 0;
            unsigned m = cur_u8(&p);
            t->capabilities[code]++;
            if (list) {
                struct json_object *c = json_object_new_object();
                reply_uint(c, "code", code);
                reply_string(c, "name", i < 0 ? NULL : bgp_capability_name(
                    (enum bgp_capability) i));
                json_object_array_add(list, c);
            }
            cur_skip(&p, m);
        }
    }
    if (o) {
        json_object_object_add(o, "capabilities", list);
    }
}

static void
take_open(const struct reading *r, struct cursor body, struct json_object *o)
{
    struct bgp_open open;
    struct bgp_error e;
    char text[512];
    bool good = bgp_open_parse(body, &open, &e);
    take_capabilities(r->tally, body, o);
    r->tally->with_errors += !good;
    if (good && r->open) {
        *r->open = open;
        *r->opened = true;
    }
    if (!o) {
        return;
    }
    if (!good) {
        reply_string(o, "error", bgp_error_format(&e, text, sizeof text));
        return;
    }
    reply_uint(o, "version", open.version);
    reply_uint(o, "as", open.as);
    reply_uint(o, "hold_time", open.hold_s);
    snprintf(text, sizeof text, "%u.%u.%u.%u", open.id >> 24,
             open.id >> 16 & 255, open.id >> 8 & 255, open.id & 255);
    reply_string(o, "bgp_identifier", text);
    if (*open.caps.hostname) {
        reply_string(o, "hostname", open.caps.hostname);
    }
}

static void
take_notification(struct tally *t, struct cursor body, struct json_object *o)
{
    struct bgp_error e;
    char text[1024];
    bgp_notification_parse(body, &e);
    t->notifications[e.code]++;
    if (o) {
        reply_uint(o, "code", e.code);
        reply_uint(o, "subcode", e.subcode);
        reply_string(o, "text", bgp_error_format(&e, text, sizeof text));
    }
}

static void
take_refresh(struct tally *t, struct cursor body, struct json_object *o)
{
    struct bgp_refresh r;
    struct bgp_error e;
    char text[32];
    if (!bgp_refresh_parse(body, &r, &e)) {
        t->with_errors++;
    } else if (o) {
        reply_string(o, "family", family_text(r.afi, r.safi, text,
                                              sizeof text));
        reply_uint(o, "refresh_subtype", r.subtype);
    }
}

void
bgp_text_message(struct bgp_text *t, const struct reading *r, uint8_t type,
                 struct cursor body, struct json_object *o)
{
    const char *name = bgp_type_text(type);
    char text[16];
    r->tally->messages++;
    r->tally->types[type]++;
    if (o) {
        snprintf(text, sizeof text, "%u", type);
        reply_string(o, "message", name ? name : text);
    }
    switch (type) {
    case BGP_OPEN:
        take_open(r, body, o);
        break;
    case BGP_UPDATE:
        take_update(t, r, body, o);
        break;
    case BGP_NOTIFICATION:
        take_notification(r->tally, body, o);
        break;
    case BGP_ROUTE_REFRESH:
        take_refresh(r->tally, body, o);
        break;
    default:
        break;
    }
}

/* ---- Counts. ---- */

static void
put_codes(struct json_object *o, const char *name, const uint64_t *n,
          unsigned size)
{
    struct json_object *codes = json_object_new_object();
    char text[16];
    for (unsigned i = 0; i < size; i++) {
        if (n[i]) {
            snprintf(text, sizeof text, "%u", i);
            reply_uint(codes, text, n[i]);
        }
    }
    if (json_object_object_length(codes)) {
        json_object_object_add(o, name, codes);
    } else {
        json_object_put(codes);
    }
}

static void
put_pairs(struct json_object *o, const char *name, const struct pairs *p)
{
    struct json_object *families = json_object_new_object();
    char text[32];
    for (size_t i = 0; i < p->n; i++) {
        reply_uint(families, family_text(p->of[i].afi, p->of[i].safi, text,
                                         sizeof text), p->of[i].n);
    }
    json_object_object_add(o, name, families);
}

void
tally_put(const struct tally *t, struct json_object *o)
{
    struct json_object *types = json_object_new_object();
    char text[16];
    for (unsigned i = 0; i < 256; i++) {
        const char *name = bgp_type_text((uint8_t) i);
        snprintf(text, sizeof text, "%u", i);
        if (t->types[i]) {
            reply_uint(types, name ? name : text, t->types[i]);
        }
    }
    const struct { const char *name; uint64_t n; } counts[] = {
        { "nlri", t->nlri }, { "withdrawn", t->withdrawn },
        { "mp_reach_ipv4", t->reach4 }, { "mp_reach_ipv6", t->reach6 },
        { "mp_unreach_ipv4", t->unreach4 },
        { "mp_unreach_ipv6", t->unreach6 },
        { "mp_reach_vpnv6", t->reach_vpn6 },
        { "mp_unreach_vpnv6", t->unreach_vpn6 },
        { "path_ids", t->path_ids }, { "flowspec_nlri", t->flowspec },
        { "large_communities", t->large_communities },
        { "end_of_rib", t->end_of_rib },
        { "malformed_nlri", t->malformed },
        { "with_errors", t->with_errors },
    };
    reply_uint(o, "messages", t->messages);
    json_object_object_add(o, "types", types);
    put_codes(o, "path_attributes", t->attributes, 256);
    put_codes(o, "capabilities", t->capabilities, 256);
    put_codes(o, "notifications", t->notifications, 256);
    put_codes(o, "evpn_route_types", t->evpn_types, 256);
    put_codes(o, "bgpls_nlri_types", t->ls_types, 16);
    put_pairs(o, "mp_reach", &t->reach);
    put_pairs(o, "mp_unreach", &t->unreach);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        reply_uint(o, counts[i].name, counts[i].n);
    }
}
