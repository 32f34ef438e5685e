#include <config.h>

#include "api/access.h"

#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/config_api.h"

#define MAX_GROUPS 256

/* "user alice", or "uid 1000" if nobody has that number. */
static void
name_user(uid_t uid, char *buf, size_t size)
{
    char text[4096];
    struct passwd pw, *found = NULL;

    if (!getpwuid_r(uid, &pw, text, sizeof text, &found) && found) {
        snprintf(buf, size, "user %s", pw.pw_name);
    } else {
        snprintf(buf, size, "uid %lu", (unsigned long) uid);
    }
}

/* Most connections are of the same few users. */
static void
name_user_cached(uid_t uid, char *buf, size_t size)
{
    static struct {
        uid_t uid;
        char name[64];
    } cache[16];
    static unsigned next;
    const unsigned n = sizeof cache / sizeof cache[0];

    for (unsigned i = 0; i < n; i++) {
        if (cache[i].name[0] && cache[i].uid == uid) {
            snprintf(buf, size, "%s", cache[i].name);
            return;
        }
    }
    cache[next].uid = uid;
    name_user(uid, cache[next].name, sizeof cache[next].name);
    snprintf(buf, size, "%s", cache[next].name);
    next = (next + 1) % n;
}

bool
access_unix_has_rules(const struct config_api *c)
{
    for (size_t i = 0; c && i < c->n_access; i++) {
        if (c->access[i].users.n || c->access[i].groups.n) {
            return true;
        }
    }
    return false;
}

static bool
has_user(const struct config_access *a, const struct ucred *cred,
         const char *name)
{
    for (size_t i = 0; i < a->users.n; i++) {
        const char *text = a->users.list[i];
        char *end;
        unsigned long uid = strtoul(text, &end, 10);
        if (!strcmp(text, name) || (*text && !*end && uid == cred->uid)) {
            return true;
        }
    }
    return false;
}

static bool
has_group(const struct config_access *a, const gid_t *gids, size_t n)
{
    for (size_t i = 0; i < a->groups.n; i++) {
        char text[8192];
        struct group gr, *found = NULL;
        if (getgrnam_r(a->groups.list[i], &gr, text, sizeof text, &found)
            || !found) {
            continue;
        }
        for (size_t k = 0; k < n; k++) {
            if (gids[k] == gr.gr_gid) {
                return true;
            }
        }
    }
    return false;
}

/* The groups of the peer, its own first. */
static size_t
peer_groups(int fd, const struct ucred *cred, gid_t *gids)
{
    socklen_t size = (MAX_GROUPS - 1) * sizeof *gids;
    size_t n = 1;

    gids[0] = cred->gid;
#ifdef SO_PEERGROUPS
    if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, gids + 1, &size)) {
        n += size / sizeof *gids;
    }
#else
    (void) fd;
    (void) size;
#endif
    return n;
}

void
access_unix(int fd, const struct config_api *c, struct rpc_caller *caller)
{
    struct ucred cred;
    socklen_t size = sizeof cred;

    memset(caller, 0, sizeof *caller);
    caller->transport = "unix";
    caller->role = access_unix_has_rules(c) ? ROLE_ANYBODY : ROLE_ADMIN;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size)) {
        snprintf(caller->name, sizeof caller->name, "somebody");
        snprintf(caller->from, sizeof caller->from, "unix");
        return;
    }
    name_user_cached(cred.uid, caller->name, sizeof caller->name);
    snprintf(caller->from, sizeof caller->from, "pid %ld", (long) cred.pid);
    if (caller->role == ROLE_ADMIN || !cred.uid || cred.uid == geteuid()) {
        caller->role = ROLE_ADMIN;
        return;
    }
    gid_t gids[MAX_GROUPS];
    size_t n = peer_groups(fd, &cred, gids);
    const char *name = strchr(caller->name, ' ') + 1;
    for (size_t i = 0; i < c->n_access; i++) {
        const struct config_access *a = &c->access[i];
        if (has_user(a, &cred, name) || has_group(a, gids, n)) {
            caller->role = a->role;
            caller->confine = a->confine;
            return;
        }
    }
}

void
access_tcp(int fd, const char *transport, struct rpc_caller *caller,
           struct addr *addr)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof ss;
    struct addr a;
    uint16_t port;

    memset(caller, 0, sizeof *caller);
    memset(&a, 0, sizeof a);
    caller->transport = transport;
    caller->role = ROLE_ANYBODY;
    snprintf(caller->from, sizeof caller->from, "?");
    if (!getpeername(fd, (struct sockaddr *) &ss, &size)
        && addr_from_sockaddr((struct sockaddr *) &ss, &a, &port)) {
        endpoint_format(&a, port, caller->from);
    }
    if (addr) {
        *addr = a;
    }
}

static bool
fits(const struct config_strings *patterns, const char *name)
{
    for (size_t i = 0; i < patterns->n; i++) {
        if (!fnmatch(patterns->list[i], name, 0)) {
            return true;
        }
    }
    return false;
}

bool
access_certificate(const struct config_api *c, const char *const *names,
                   size_t n, struct rpc_caller *caller)
{
    for (size_t i = 0; c && i < c->n_access; i++) {
        for (size_t k = 0; k < n; k++) {
            if (fits(&c->access[i].certificates, names[k])) {
                caller->role = c->access[i].role;
                caller->confine = c->access[i].confine;
                snprintf(caller->name, sizeof caller->name, "certificate %s",
                         names[k]);
                return true;
            }
        }
    }
    return false;
}

bool
access_proxy_user(const struct config_api *c, const char *name,
                  struct rpc_caller *caller)
{
    for (size_t i = 0; c && i < c->n_access; i++) {
        if (fits(&c->access[i].proxy_users, name)) {
            caller->role = c->access[i].role;
            caller->confine = c->access[i].confine;
            snprintf(caller->name, sizeof caller->name, "proxy user %s",
                     name);
            return true;
        }
    }
    return false;
}

bool
access_is_proxy(const struct config_api *c, const struct addr *addr)
{
    for (size_t i = 0; c && i < c->n_proxies; i++) {
        if (prefix_contains(&c->proxies[i], addr)) {
            return true;
        }
    }
    return false;
}
