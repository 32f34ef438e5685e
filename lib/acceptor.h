/* lib/acceptor.h -- waits for connections of a listening socket, and rests for a
 * moment when there is nothing left to accept them with: the kernel would tell
 * of the same one again and again. */
#ifndef LIB_ACCEPTOR_H
#define LIB_ACCEPTOR_H 1

#include <stdbool.h>

#include <ev.h>

struct acceptor {
    struct ev_loop *loop;       /* NULL: not started. */
    ev_io readable;             /* Its 'fd' is the socket. */
    ev_timer rest;
};

/* Starts; 'ready' is called with a watcher whose 'data' is 'aux'.  It rests for
 * 'rest_s' seconds.  The acceptor must not move until it is stopped. */
void acceptor_start(struct acceptor *, struct ev_loop *, int fd,
                    void (*ready)(struct ev_loop *, ev_io *, int),
                    void *aux, double rest_s);
/* Also if it was not started (all zeros).  The socket is the caller's. */
void acceptor_stop(struct acceptor *);

/* 'error': what accept() said, as a negative errno.  If descriptors or memory
 * are used up, rests and returns true: then the caller says so. */
bool acceptor_failed(struct acceptor *, int error);

#endif /* lib/acceptor.h */
