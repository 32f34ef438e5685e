#include <config.h>

#include "api/fd_pass.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Room for one more than is kept, so that a client cannot make the kernel keep
 * count of what we do not see. */
union control {
    struct cmsghdr head;
    char room[CMSG_SPACE((FD_PASS_MAX + 1) * sizeof(int))];
};

static void
keep(struct fd_pass *pass, const struct cmsghdr *c)
{
    size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

    for (size_t i = 0; i < n; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
        if (pass->n < FD_PASS_MAX) {
            pass->fd[pass->n++] = fd;
        } else {
            close(fd);
        }
    }
}

ssize_t
fd_pass_recv(int socket, void *buf, size_t n, struct fd_pass *pass)
{
    union control control;
    struct iovec iov = { buf, n };
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = sizeof control,
    };
    ssize_t got = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (got < 0) {
        return got;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            keep(pass, c);
        }
    }
    return got;
}

int
fd_pass_take(struct fd_pass *pass)
{
    if (!pass->n) {
        return -1;
    }
    int fd = pass->fd[0];
    memmove(pass->fd, pass->fd + 1, --pass->n * sizeof fd);
    return fd;
}

void
fd_pass_clear(struct fd_pass *pass)
{
    while (pass->n) {
        close(pass->fd[--pass->n]);
    }
}

ssize_t
fd_pass_send(int socket, const void *buf, size_t n, int fd)
{
    union control control = { .room = "" };
    struct iovec iov = { (void *) buf, n };
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1,
        .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof fd),
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(socket, &m, MSG_NOSIGNAL);
}
