/* bgp/socket.h -- TCP sockets for BGP and BMP: listening, connecting, TCP-MD5
 * (RFC 2385), GTSM (RFC 5082).  All are nonblocking and close-on-exec. */
#ifndef BGP_SOCKET_H
#define BGP_SOCKET_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/* Listens on an address and port.  Returns the socket or a negative errno. */
int bgp_socket_listen(const struct addr *, uint16_t port);

/* So long a listener rests if there are no descriptors to accept with. */
#define BGP_ACCEPT_REST_S 0.2

/* Accepts; '*peer' and '*local' are the two ends.  Returns the socket, -EAGAIN
 * or another negative errno. */
int bgp_socket_accept(int fd, struct addr *peer, uint16_t *port,
                      struct addr *local);

/* A socket of the family of 'peer', bound to 'local' unless that is zero.
 * Returns it or a negative errno. */
int bgp_socket_create(const struct addr *peer, const struct addr *local);

/* Starts to connect.  Returns 0 (also when it is not done yet) or a negative
 * errno. */
int bgp_socket_connect(int fd, const struct addr *peer, uint16_t port);

/* Our own address of a connection. */
void bgp_socket_local(int fd, struct addr *local);

/* Sets the key for segments of 'peer' ('len' as in struct prefix), or removes
 * it (NULL).  On a socket that listens or is not connected yet.  Returns 0 or a
 * negative errno. */
int bgp_socket_md5(int fd, const struct prefix *peer, const char *key);

#define BGP_MD5_KEY_MAX 80

/* 'hops' above 0: sends with a TTL of 255 and takes nothing that comes from
 * further away.  Returns 0 or a negative errno; -EPERM if it is a connection
 * that was accepted from there. */
int bgp_socket_gtsm(int fd, const struct addr *peer, unsigned hops);

#endif /* bgp/socket.h */
