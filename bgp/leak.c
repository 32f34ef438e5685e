/* Routes that should not have come (RFC 9234). */
#include <config.h>

#include "bgp/leak.h"

#include <stdio.h>

/* RFC 9234 section 5: a route that went to a customer, a peer or a client of a
 * route server may go on to customers only, never come from one, and from a peer
 * only if it was that one who said so. */
static bool
is_leak(const struct bgp_attrs *a, uint8_t role, uint32_t as)
{
    return a->has & BGP_HAS_OTC
           && (role == BGP_ROLE_PROVIDER || role == BGP_ROLE_RS
               || (role == BGP_ROLE_PEER && a->otc != as));
}

void
bgp_update_judge_leaks(struct bgp_update *u, uint8_t role, uint32_t as)
{
    struct { const struct bgp_nlri_field *field; struct bgp_attrs *attrs; }
    both[] = { { &u->nlri, &u->attrs }, { &u->reach, &u->mp_attrs } };
    for (int i = 0; i < 2; i++) {
        int family = both[i].field->present ? both[i].field->family : -1;
        struct bgp_attrs *a = both[i].attrs;
        if ((family == BGP_IPV4_UNICAST || family == BGP_IPV6_UNICAST)
            && is_leak(a, role, as)) {
            a->has |= BGP_HAS_LEAK;
        }
    }
}

uint32_t
bgp_update_leaks(const struct bgp_update *u)
{
    return (u->attrs.has | u->mp_attrs.has) & BGP_HAS_LEAK
           && u->action != BGP_WITHDRAW ? u->n_announced : 0;
}

char *
bgp_update_format_leak(const struct bgp_update *u, uint8_t role, char *buf,
                       size_t size)
{
    bool mp = u->mp_attrs.has & BGP_HAS_LEAK;
    snprintf(buf, size, "route leak: ONLY_TO_CUSTOMER %u from a %s",
             mp ? u->mp_attrs.otc : u->attrs.otc,
             role == BGP_ROLE_PEER ? "peer"
             : role == BGP_ROLE_RS ? "route server's client" : "customer");
    return buf;
}
