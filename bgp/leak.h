/* bgp/leak.h -- routes that are leaks by their ONLY_TO_CUSTOMER (RFC 9234). */
#ifndef BGP_LEAK_H
#define BGP_LEAK_H 1

#include <stddef.h>
#include <stdint.h>

#include "bgp/attribute.h"

/* Marks the IPv4 and IPv6 unicast routes of an UPDATE that are leaks with
 * BGP_HAS_LEAK, before they are delivered: it came to one with 'role' (enum
 * bgp_role; BGP_ROLE_NONE: nothing is known, nothing is one) from an external
 * peer of AS 'as'. */
void bgp_update_judge_leaks(struct bgp_update *, uint8_t role, uint32_t as);

/* Once it is delivered: how many of its routes are leaks. */
uint32_t bgp_update_leaks(const struct bgp_update *);

/* Says so: "route leak: ONLY_TO_CUSTOMER 64500 from a customer". */
char *bgp_update_format_leak(const struct bgp_update *, uint8_t role,
                             char *buf, size_t size);

#endif /* bgp/leak.h */
