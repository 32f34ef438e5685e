#include <config.h>

#include "api/access.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

void
access_unix(int fd, struct rpc_caller *caller)
{
    struct ucred cred;
    socklen_t size = sizeof cred;

    memset(caller, 0, sizeof *caller);
    caller->transport = "unix";
    /* Who could open the socket may do everything. */
    caller->role = ROLE_ADMIN;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size)) {
        snprintf(caller->name, sizeof caller->name, "somebody");
        snprintf(caller->from, sizeof caller->from, "unix");
        return;
    }
    name_user_cached(cred.uid, caller->name, sizeof caller->name);
    snprintf(caller->from, sizeof caller->from, "pid %ld", (long) cred.pid);
}
