/* collector/input/socket.h -- sockets that several workers share. */
#ifndef COLLECTOR_SOCKET_H
#define COLLECTOR_SOCKET_H 1

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

/* Binds 'n' nonblocking UDP sockets to one address, so that the kernel spreads
 * senders over them (SO_REUSEPORT), with SO_RXQ_OVFL on and a receive buffer of
 * 'receive_buffer' bytes if the kernel grants it.  An address that anyone else
 * holds is refused.  Returns 0, or a negative errno with nothing left open. */
int socket_bind_shared(const struct addr *, uint16_t port,
                       uint32_t receive_buffer, int *fds, unsigned n);

/* The same for sockets that listen for TCP connections. */
int socket_listen_shared(const struct addr *, uint16_t port, int *fds,
                         unsigned n);

/* A multicast group: one nonblocking UDP socket that has joined it on an
 * interface (NULL: the kernel chooses).  One is enough, and the limit: the
 * kernel gives a copy to each socket of a group.  Returns it, or a negative
 * errno. */
int socket_join(const struct addr *, uint16_t port, const char *interface,
                uint32_t receive_buffer);

/* The receive buffer that the kernel granted, bytes; and the port a socket got
 * when it was bound to port 0. */
uint32_t socket_receive_buffer(int fd);
uint16_t socket_port(int fd);

/* Makes the receive buffer as small as there are. */
void socket_shrink(int fd);

/* Datagrams that the kernel has dropped on this socket since it was opened; the
 * count wraps around.  0 if the kernel does not tell. */
uint32_t socket_drops(int fd);

#endif /* collector/input/socket.h */
