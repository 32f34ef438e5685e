/* collector/input/steer.h -- which socket of a listening address takes a
 * datagram, decided by the kernel before it is queued.
 *
 * Sockets that share an address (SO_REUSEPORT) have a receive buffer each.  A
 * classic BPF program chooses among them by the source's address, so that who
 * floods one buffer cannot make the kernel drop what others send:
 *
 *     0 to n - 1          anybody, by a hash over n workers
 *     n to 2n - 1         exporters that are known by name, the same
 *     2n                  who may not send at all: a small buffer */
#ifndef COLLECTOR_STEER_H
#define COLLECTOR_STEER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

struct sock_filter;

enum steer_lane { STEER_ANYBODY, STEER_KNOWN, STEER_REFUSED, STEER_LANES };

struct steer {
    const struct prefix *allow; /* Nobody is listed: everyone may send. */
    size_t n_allow;
    const struct addr *known;
    size_t n_known;
    unsigned n_workers;
    uint32_t secret;            /* Senders must not choose a worker. */
};

static inline unsigned
steer_n_sockets(unsigned n_workers)
{
    return 2 * n_workers + 1;
}

/* The program for IPv4 or IPv6 into at most 'max' instructions.  Returns their
 * number.  Where there is no room, the last of the known ones are left out, and
 * if the list of who may send does not fit, all of it: the caller has to look
 * at addresses, too. */
#define STEER_MAX 4096          /* The kernel's limit. */
size_t steer_program(const struct steer *, bool v6, struct sock_filter *,
                     size_t max);

/* Gives the program to the sockets that share the address of 'fd', of which
 * there must be steer_n_sockets(), bound in the order of their numbers.  Can be
 * done again.  0 or a negative errno; then the kernel spreads over all. */
int steer_attach(int fd, const struct steer *, bool v6);

#endif /* collector/input/steer.h */
