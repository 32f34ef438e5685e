#include <config.h>

#include "daemon/privilege.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/log.h"

static bool started_by_root;
static bool keep_raw;

int
privilege_init(struct privilege *p, const char *user)
{
    memset(p, 0, sizeof *p);
    p->root = started_by_root = geteuid() == 0;
    if (!p->root) {
        return 0;
    }
    const char *name = user ? user : "venturi";
    errno = 0;
    struct passwd *pw = getpwnam(name);
    if (!pw && !user) {
        name = "nobody";
        pw = getpwnam(name);
        p->fallback = true;
        LOG(main, NOTICE, "there is no user \"venturi\": running as \"%s\"; "
            "make that user, or name another with --user", name);
    }
    if (!pw) {
        LOG(main, ERR, "no user \"%s\": make it, or name another with --user",
            name);
        return -ENOENT;
    }
    snprintf(p->user, sizeof p->user, "%s", name);
    p->uid = pw->pw_uid;
    p->gid = pw->pw_gid;
    if (!p->uid) {
        LOG(main, WARN, "running as root, as told; nothing is given up");
        p->root = started_by_root = false;
    }
    return 0;
}

static int
make_dir(const struct privilege *p, const char *path, mode_t mode)
{
    char *copy = strdup(path);
    int error = copy ? 0 : -ENOMEM;
    for (char *s = copy; copy && !error && s; ) {
        s = strchr(s + 1, '/');
        if (s) {
            *s = '\0';
        }
        if (!mkdir(copy, s ? 0755 : mode)) {
            if (!s && p->root && chown(copy, p->uid, p->gid)) {
                error = -errno;
            }
        } else if (errno != EEXIST) {
            error = -errno;
        }
        if (s) {
            *s = '/';
        }
    }
    free(copy);
    return error;
}

int
privilege_make_dir(const struct privilege *p, const char *path)
{
    return make_dir(p, path, 0755);
}

int
privilege_own_dir(const struct privilege *p, const char *path)
{
    /* Who talks to whom is nobody else's business. */
    int error = make_dir(p, path, 0750);
    if (error || !p->root) {
        return error;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return -errno;
    }
    if (fchown(fd, p->uid, p->gid)) {
        error = -errno;
    }
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return error ? error : -errno;
    }
    struct dirent *e;
    while (!error && (e = readdir(dir))) {
        struct stat st;
        /* No symbolic link is followed, no hard link of another's file is
         * given away. */
        if (e->d_name[0] != '.'
            && !fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW)
            && S_ISREG(st.st_mode) && st.st_nlink == 1
            && st.st_uid != p->uid
            && fchownat(dirfd(dir), e->d_name, p->uid, p->gid,
                        AT_SYMLINK_NOFOLLOW)) {
            error = -errno;
        }
    }
    closedir(dir);
    /* What is there can be read, and whoever wants to write will say so. */
    return error == -EROFS ? 0 : error;
}

static int
apply_caps(bool permit_override, bool effective_override)
{
    capng_clear(CAPNG_SELECT_CAPS);
    capng_update(CAPNG_ADD, CAPNG_PERMITTED | CAPNG_EFFECTIVE,
                 CAP_NET_BIND_SERVICE);
    if (keep_raw) {
        /* Never effective here: a child makes it so for what it becomes. */
        capng_update(CAPNG_ADD, CAPNG_PERMITTED | CAPNG_INHERITABLE,
                     CAP_NET_RAW);
    }
    if (permit_override) {
        capng_update(CAPNG_ADD, CAPNG_PERMITTED, CAP_DAC_OVERRIDE);
        if (effective_override) {
            capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, CAP_DAC_OVERRIDE);
        }
    }
    return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}

int
privilege_drop(struct privilege *p, const char *const *must_reach, size_t n)
{
    umask(027);                 /* Directories for others are made by now. */
    if (!p->root) {
        return 0;
    }
    capng_clear(CAPNG_SELECT_BOUNDS);
    keep_raw = p->keep_raw;
    if (keep_raw) {
        capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, CAP_NET_RAW);
    }
    capng_apply(CAPNG_SELECT_BOUNDS);   /* No more comes back by exec(). */
    if (prctl(PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L)
        || initgroups(p->user, p->gid)
        || setresgid(p->gid, p->gid, p->gid)
        || setresuid(p->uid, p->uid, p->uid)
        || prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L)) {
        int error = errno;
        LOG(main, ERR, "cannot become user \"%s\": %s", p->user,
            strerror(error));
        return -error;
    }
    /* Effective capabilities went with the user id: these are the user's own
     * rights. */
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        int dir = !stat(must_reach[i], &st) && S_ISDIR(st.st_mode);
        if (faccessat(AT_FDCWD, must_reach[i], R_OK | W_OK | (dir ? X_OK : 0),
                      AT_EACCESS)) {
            p->keep_override = true;
            LOG(main, INFO, "user \"%s\" has no access to %s (%s): keeping "
                "CAP_DAC_OVERRIDE for that alone", p->user, must_reach[i],
                strerror(errno));
        }
    }
    int error = apply_caps(p->keep_override, false);
    if (error) {
        LOG(main, ERR, "cannot give up capabilities");
    }
    return error;
}

void
privilege_override(const struct privilege *p, bool on)
{
    if (p->root && p->keep_override && apply_caps(true, on)) {
        LOG(main, WARN, "cannot change capabilities");
    }
}

void
privilege_reach(const struct privilege *p, bool on)
{
    struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct d[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
    if (!p->root) {
        return;
    }
    if (p->keep_override) {
        d[0].permitted = UINT32_C(1) << CAP_DAC_OVERRIDE;
        d[0].effective = on ? d[0].permitted : 0;
    }
    if (syscall(SYS_capset, &h, d)) {
        LOG_RATE(main, WARN, "cannot change capabilities: %s",
                 strerror(errno));
    }
}

void
privilege_none(void)
{
    if (started_by_root) {
        capng_clear(CAPNG_SELECT_CAPS);
        capng_apply(CAPNG_SELECT_CAPS);
    }
}

int
privilege_probe_child(void)
{
    struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct d[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
    if (!started_by_root) {
        return 0;               /* What we may, it may. */
    }
    d[0].permitted = d[0].inheritable = UINT32_C(1) << CAP_NET_RAW;
    /* libcap-ng is not made for this place. */
    if (syscall(SYS_capset, &h, d)
        || prctl(PR_CAP_AMBIENT, (long) PR_CAP_AMBIENT_RAISE,
                 (long) CAP_NET_RAW, 0L, 0L)) {
        return -EPERM;
    }
    return 0;
}
