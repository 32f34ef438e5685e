/* api/fd_pass.h -- open files that come along with bytes over a unix socket
 * (SCM_RIGHTS, unix(7)).
 *
 * A file is read with the rights of who opened it: a client hands the daemon
 * what it may read itself, and no path is ever looked up for somebody else. */
#ifndef API_FD_PASS_H
#define API_FD_PASS_H 1

#include <stddef.h>
#include <sys/types.h>

#define FD_PASS_MAX 4           /* That wait; what comes on top is closed. */

/* All zeros: none. */
struct fd_pass {
    int fd[FD_PASS_MAX];
    unsigned n;
};

/* As recv() with MSG_DONTWAIT; keeps the descriptors that come along. */
ssize_t fd_pass_recv(int socket, void *buf, size_t n, struct fd_pass *);

/* The oldest, which is the caller's then; -1: there is none. */
int fd_pass_take(struct fd_pass *);

/* Closes all. */
void fd_pass_clear(struct fd_pass *);

/* As send(), with 'fd' along with the first byte. */
ssize_t fd_pass_send(int socket, const void *buf, size_t n, int fd);

#endif /* api/fd_pass.h */
