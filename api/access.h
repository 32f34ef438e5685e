/* api/access.h -- from what a connection proves to who it is. */
#ifndef API_ACCESS_H
#define API_ACCESS_H 1

#include "api/caller.h"

/* Who is at the other end of a unix socket, as the kernel says. */
void access_unix(int fd, struct rpc_caller *);

#endif /* api/access.h */
