/* api/access.h -- from what a connection proves to who it is.
 *
 * 'config' is the configuration in effect; NULL (in tests): no rules. */
#ifndef API_ACCESS_H
#define API_ACCESS_H 1

#include <stdbool.h>
#include <stddef.h>

#include "api/caller.h"

struct addr;
struct config_api;

/* Who is at the other end of a unix socket, as the kernel says. */
void access_unix(int fd, const struct config_api *, struct rpc_caller *);

/* Are there rules about users and groups?  Then everyone may open the socket,
 * and the rules decide. */
bool access_unix_has_rules(const struct config_api *);

/* Nobody known yet, at the other end of a TCP connection.  '*addr' (may be
 * NULL) gets the address. */
void access_tcp(int fd, const char *transport, struct rpc_caller *,
                struct addr *addr);

/* Somebody whose certificate has one of 'n' names.  False: no rule fits. */
bool access_certificate(const struct config_api *, const char *const *names,
                        size_t n, struct rpc_caller *);

/* Somebody of whom a trusted proxy says the name.  False: no rule fits. */
bool access_proxy_user(const struct config_api *, const char *name,
                       struct rpc_caller *);
bool access_is_proxy(const struct config_api *, const struct addr *);

#endif /* api/access.h */
