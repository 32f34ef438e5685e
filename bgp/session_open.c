#include <config.h>

#include "bgp/session_p.h"

/* Which OPEN is right, and what follows from two of them. */

/* RFC 9234 section 4.2: which pairs make sense. */
static bool
roles_fit(uint8_t ours, uint8_t theirs)
{
    static const uint8_t other[BGP_N_ROLES] = {
        [BGP_ROLE_PROVIDER] = BGP_ROLE_CUSTOMER,
        [BGP_ROLE_CUSTOMER] = BGP_ROLE_PROVIDER,
        [BGP_ROLE_RS] = BGP_ROLE_RS_CLIENT,
        [BGP_ROLE_RS_CLIENT] = BGP_ROLE_RS,
        [BGP_ROLE_PEER] = BGP_ROLE_PEER,
    };
    return theirs == other[ours];
}

static bool
role_is_wrong(const struct bgp_config *c, const struct bgp_caps *caps)
{
    bool told = caps->has & 1u << BGP_CAP_ROLE;
    if (caps->two_roles) {
        return true;
    }
    if (c->role == BGP_ROLE_NONE) {
        return false;
    }
    return told ? !roles_fit(c->role, caps->role) : c->role_strict;
}

/* Families that the peer has; without a word it is IPv4 unicast. */
static uint32_t
families_of(const struct bgp_caps *caps)
{
    return caps->has & 1u << BGP_CAP_MP ? caps->families
                                        : 1u << BGP_IPV4_UNICAST;
}

bool
session_check_open(const struct bgp_session *s, const struct bgp_open *o,
                   struct bgp_error *e)
{
    const struct bgp_config *c = &s->config;
    uint8_t wanted[6 * BGP_N_FAMILIES], *p = wanted;

    if (o->as < c->as_first || o->as > c->as_last) {
        bgp_error_set(e, BGP_E_OPEN, BGP_E_OPEN_AS, NULL, 0);
        return false;
    }
    if (o->as == c->local_as && o->id == c->router_id) {
        bgp_error_set(e, BGP_E_OPEN, BGP_E_OPEN_ID, NULL, 0);
        return false;
    }
    if (role_is_wrong(c, &o->caps)) {
        bgp_error_set(e, BGP_E_OPEN, BGP_E_OPEN_ROLE, NULL, 0);
        return false;
    }
    if (families_of(&o->caps) & c->families) {
        return true;
    }
    /* RFC 5492 section 5: the data are the capabilities that are missing. */
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        if (c->families >> f & 1) {
            uint16_t afi = bgp_family_afi((enum bgp_family) f);
            *p++ = 1;
            *p++ = 4;
            *p++ = (uint8_t) (afi >> 8);
            *p++ = (uint8_t) afi;
            *p++ = 0;
            *p++ = bgp_family_safi((enum bgp_family) f);
        }
    }
    bgp_error_set(e, BGP_E_OPEN, BGP_E_OPEN_CAPABILITY, wanted,
                  (size_t) (p - wanted));
    return false;
}

#define V4_FAMILIES (1u << BGP_IPV4_UNICAST | 1u << BGP_IPV4_LABELED \
                     | 1u << BGP_VPNV4)

void
session_make_open(const struct bgp_session *s, struct bgp_open *o)
{
    const struct bgp_config *c = &s->config;
    *o = (struct bgp_open) {
        .as = c->local_as, .hold_s = c->hold_s, .id = c->router_id,
    };
    bgp_caps_init(&o->caps);
    o->caps.families = c->families;
    o->caps.as = c->local_as;
    o->caps.has = 1u << BGP_CAP_MP | 1u << BGP_CAP_AS4
                  | 1u << BGP_CAP_REFRESH | 1u << BGP_CAP_ENHANCED
                  | 1u << BGP_CAP_EXTENDED;
    o->caps.ext_next_hop = c->families & V4_FAMILIES;
    if (o->caps.ext_next_hop) {
        o->caps.has |= 1u << BGP_CAP_NEXT_HOP;
    }
    if (c->add_path) {
        o->caps.has |= 1u << BGP_CAP_ADD_PATH;
        o->caps.add_path_receive = c->families;
    }
    if (c->graceful) {
        /* Without families: we keep the routes of others, but have no
         * forwarding of our own (RFC 4724 section 3). */
        o->caps.has |= 1u << BGP_CAP_GR | 1u << BGP_CAP_LLGR;
        o->caps.gr_notification = true;
        o->caps.llgr_families = c->families;
    }
    if (c->role != BGP_ROLE_NONE) {
        o->caps.has |= 1u << BGP_CAP_ROLE;
        o->caps.role = c->role;
    }
}

void
session_negotiate(struct bgp_session *s, const struct bgp_open *o)
{
    const struct bgp_config *c = &s->config;
    const struct bgp_caps *caps = &o->caps;
    uint32_t has = caps->has, common = families_of(caps) & c->families;

    s->as = o->as;
    s->hold_s = o->hold_s < c->hold_s ? o->hold_s : c->hold_s;
    s->max_size = has & 1u << BGP_CAP_EXTENDED ? BGP_MAX_EXTENDED
                                               : BGP_MAX_SIZE;
    s->enhanced = has & 1u << BGP_CAP_ENHANCED;
    s->can_refresh = has & (1u << BGP_CAP_REFRESH | 1u << BGP_CAP_REFRESH_CISCO
                            | 1u << BGP_CAP_ENHANCED);
    s->params = (struct bgp_params) {
        .as4 = has & 1u << BGP_CAP_AS4,
        .internal = o->as == c->local_as,
        .families = common,
        .add_path = c->add_path ? caps->add_path_send & common : 0,
        .ext_next_hop = caps->ext_next_hop & V4_FAMILIES & common,
    };
    bool graceful = c->graceful && has & 1u << BGP_CAP_GR;
    s->notification_gr = graceful && caps->gr_notification;
    s->gr_families = graceful ? caps->gr_families & common : 0;
    s->gr_time_s = caps->gr_time_s;
    bool longer = graceful && has & 1u << BGP_CAP_LLGR;
    s->llgr_families = longer ? caps->llgr_families & common : 0;
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        uint32_t t = caps->llgr_time_s[f];
        s->llgr_time_s[f] = t < c->long_stale_max_s ? t
                                                    : c->long_stale_max_s;
    }
}
