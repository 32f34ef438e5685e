/* Routes that should not have come (RFC 9234). */
#include <config.h>

#include <stdio.h>

#include "bgp/session_p.h"

/* RFC 9234 section 5: a route that went to a customer, a peer or a client of a
 * route server may go on to customers only, never come from one, and from a peer
 * only if it was that one who said so.  Of IPv4 and IPv6 unicast. */
static bool
is_leak(const struct bgp_session *s, const struct bgp_attrs *a)
{
    uint8_t role = s->config.role;
    return a->has & BGP_HAS_OTC && !s->params.internal
           && (role == BGP_ROLE_PROVIDER || role == BGP_ROLE_RS
               || (role == BGP_ROLE_PEER && a->otc != s->as));
}

void
session_judge_leaks(const struct bgp_session *s, struct bgp_update *u)
{
    struct { const struct bgp_nlri_field *field; struct bgp_attrs *attrs; }
    both[] = { { &u->nlri, &u->attrs }, { &u->reach, &u->mp_attrs } };
    for (int i = 0; i < 2; i++) {
        int family = both[i].field->present ? both[i].field->family : -1;
        struct bgp_attrs *a = both[i].attrs;
        if ((family == BGP_IPV4_UNICAST || family == BGP_IPV6_UNICAST)
            && is_leak(s, a)) {
            a->has |= BGP_HAS_LEAK;
        }
    }
}

void
session_note_leaks(struct bgp_session *s, const struct bgp_update *u)
{
    bool mp = u->mp_attrs.has & BGP_HAS_LEAK;
    if (!(mp || u->attrs.has & BGP_HAS_LEAK) || !u->n_announced
        || u->action == BGP_WITHDRAW) {
        return;
    }
    counter_add(&s->n.leaks, u->n_announced);
    if (!s->warned_leak) {
        char text[120];
        s->warned_leak = true;
        snprintf(text, sizeof text, "route leak: ONLY_TO_CUSTOMER %u from a "
                 "%s", mp ? u->mp_attrs.otc : u->attrs.otc,
                 s->config.role == BGP_ROLE_PEER ? "peer"
                 : s->config.role == BGP_ROLE_RS ? "route server's client"
                 : "customer");
        if (s->io.event) {
            s->io.event(s->io.aux, "warning", text);
        }
    }
}
