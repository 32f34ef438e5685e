/* bgp/bmp.h -- routers that tell by BMP (RFC 7854) what their neighbours told
 * them: on one libev loop, in turns like BGP sessions.
 *
 * One router is one connection; its peers are many.  All five tables that BMP
 * knows are taken (Adj-RIB-In and -Out before and after policy, RFC 8671;
 * Loc-RIB, RFC 9069).  bgp/bmp_message.h has the messages. */
#ifndef BGP_BMP_H
#define BGP_BMP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/bmp_message.h"
#include "bgp/speaker.h"
#include "lib/addr.h"
#include "lib/counter.h"

struct bmp_server;
struct ev_loop;
struct tls;

struct bmp_config {
    const struct bgp_listen *listen;
    size_t n_listen;
    const struct bgp_listen *tls_listen;
    size_t n_tls_listen;
    char *certificate, *private_key, *ca;       /* PEM files, or NULL. */
    bool require_client;
    const struct prefix *allow; /* Without any: everyone. */
    size_t n_allow;
    unsigned max_routers, max_peers;
    uint32_t families;
    uint32_t views;             /* 1 << enum bgp_view. */
};

#endif /* bgp/bmp.h */
