/* bgp/acceptor.h -- waits for connections of a listening socket, and rests for a
 * moment when there is nothing left to accept them with: the kernel would tell
 * of the same one again and again. */
#ifndef BGP_ACCEPTOR_H
#define BGP_ACCEPTOR_H 1

#include <stdbool.h>

#include <ev.h>

struct bgp_acceptor {
    struct ev_loop *loop;
    ev_io readable;
    ev_timer rest;
};

/* Starts; 'ready' is called with a watcher whose 'data' is 'aux'.  The acceptor
 * must not move until it is stopped. */
void bgp_acceptor_start(struct bgp_acceptor *, struct ev_loop *, int fd,
                        void (*ready)(struct ev_loop *, ev_io *, int),
                        void *aux);
/* Also if it was not started (all zeros).  The socket is the caller's. */
void bgp_acceptor_stop(struct bgp_acceptor *);

/* 'error': what accept() said, a negative errno.  If descriptors or memory are
 * used up, says so in the log, rests, and returns true. */
bool bgp_acceptor_failed(struct bgp_acceptor *, int error);

#endif /* bgp/acceptor.h */
