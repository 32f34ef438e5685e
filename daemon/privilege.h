/* daemon/privilege.h -- from root to as little as possible.
 *
 * Started by root, venturid makes its directories, binds its sockets and then
 * becomes another user.  It keeps CAP_NET_BIND_SERVICE (ports below 1024 that a
 * later edit asks for), and CAP_DAC_OVERRIDE only if something that it must
 * reach is root's alone: OVS's db.sock (as on Debian), the directory of the
 * configuration file, the run directory.  Even then it is effective only
 * for moments: the OVSDB thread raises it to open a socket, the main thread
 * around a write; all other threads of ours have nothing.  Started by anyone else, nothing changes. */
#ifndef DAEMON_PRIVILEGE_H
#define DAEMON_PRIVILEGE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct privilege {
    bool root;                  /* Started by root: there is work to do. */
    char user[64];
    uid_t uid;
    gid_t gid;
    bool fallback;              /* "nobody", for want of "venturi". */
    bool keep_override;         /* CAP_DAC_OVERRIDE stays permitted. */
    bool keep_raw;              /* CAP_NET_RAW stays permitted, for children
                                 * alone; set it before privilege_drop(). */
};

/* Looks up 'user' (NULL: venturi, else nobody).  Returns 0, or a negative errno
 * after logging why. */
int privilege_init(struct privilege *, const char *user);

/* Makes directory 'path' (and its parents) if need be; as root, what is made
 * belongs to the user.  Returns 0 or a negative errno. */
int privilege_make_dir(const struct privilege *, const char *path);

/* The same for a directory that is ours alone: it and the files in it are
 * handed to the user whoever owned them. */
int privilege_own_dir(const struct privilege *, const char *path);

/* Becomes the user for good.  'must_reach' lists paths that must stay
 * readable and writable (a socket, a directory); if the user can't reach one,
 * CAP_DAC_OVERRIDE is kept.  Returns 0 or a negative errno, logged. */
int privilege_drop(struct privilege *, const char *const *must_reach,
                   size_t n_must_reach);

/* Raises or lowers CAP_DAC_OVERRIDE on the calling thread, if it was kept. */
void privilege_override(const struct privilege *, bool on);

/* The same for a thread that needs nothing else, ever: OVSDB's.  What it
 * inherited goes. */
void privilege_reach(const struct privilege *, bool on);

/* Gives up everything on the calling thread (for thread_set_hook()). */
void privilege_none(void);

/* In a child that is about to exec() a probe: leaves it CAP_NET_RAW and nothing
 * else.  Safe after fork().  Returns 0 or a negative errno. */
int privilege_probe_child(void);

#endif /* daemon/privilege.h */
