#include <config.h>

#include "collector/input/socket.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static socklen_t
make_sockaddr(const struct addr *a, uint16_t port,
              struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof *ss);
    if (addr_is_v4(a)) {
        struct sockaddr_in *in = (struct sockaddr_in *) ss;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, a->b + 12, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) ss;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, a->b, 16);
    return sizeof *in6;
}

/* SO_RCVBUFFORCE goes beyond net.core.rmem_max where we still may. */
static void
set_receive_buffer(int fd, uint32_t size)
{
    int value = size > INT32_MAX ? INT32_MAX : (int) size;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &value, sizeof value)) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof value);
    }
}

static void
set_options(int fd, int family, int type, uint32_t buffer)
{
    int on = 1;
    /* An IPv6 socket takes IPv6 only: the two families are two addresses. */
    if (family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (type == SOCK_DGRAM) {
        setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
        set_receive_buffer(fd, buffer);
    } else {
        /* Sessions that have ended do not keep the address. */
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
}

static int
open_one(const struct sockaddr_storage *ss, socklen_t len, int type,
         uint32_t buffer, bool first)
{
    int on = 1;
    int fd = socket(ss->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    set_options(fd, ss->ss_family, type, buffer);

    /* The first socket is bound without SO_REUSEPORT, so that it fails if the
     * address is taken, even by another collector that would share it; then
     * it is opened up for its siblings. */
    if ((!first && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on))
        || bind(fd, (const struct sockaddr *) ss, len)
        || (first && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on,
                                sizeof on))) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

static int
open_shared(const struct addr *a, uint16_t port, int type, uint32_t buffer,
            int *fds, unsigned n)
{
    struct sockaddr_storage ss;
    for (unsigned i = 0; i < n; i++) {
        socklen_t len = make_sockaddr(a, port, &ss);
        fds[i] = open_one(&ss, len, type, buffer, i == 0);
        if (fds[i] < 0) {
            int error = fds[i];
            while (i--) {
                close(fds[i]);
            }
            return error;
        }
        if (!port) {
            port = socket_port(fds[i]);
        }
    }
    return 0;
}

int
socket_bind_shared(const struct addr *a, uint16_t port, uint32_t buffer,
                   int *fds, unsigned n)
{
    return open_shared(a, port, SOCK_DGRAM, buffer, fds, n);
}

int
socket_listen_shared(const struct addr *a, uint16_t port, int *fds,
                     unsigned n)
{
    int error = open_shared(a, port, SOCK_STREAM, 0, fds, n);
    for (unsigned i = 0; !error && i < n; i++) {
        if (listen(fds[i], 128)) {
            error = -errno;
        }
    }
    for (unsigned i = 0; error && i < n && fds[i] >= 0; i++) {
        close(fds[i]);
        fds[i] = -1;
    }
    return error;
}

static int
join(int fd, const struct addr *a, unsigned index)
{
    if (addr_is_v4(a)) {
        struct ip_mreqn m = { .imr_ifindex = (int) index };
        memcpy(&m.imr_multiaddr, a->b + 12, 4);
        return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m);
    }
    struct ipv6_mreq m = { .ipv6mr_interface = index };
    memcpy(&m.ipv6mr_multiaddr, a->b, 16);
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m);
}

int
socket_join(const struct addr *a, uint16_t port, const char *interface,
            uint32_t buffer)
{
    struct sockaddr_storage ss;
    socklen_t len = make_sockaddr(a, port, &ss);
    unsigned index = interface ? if_nametoindex(interface) : 0;
    if (interface && !index) {
        return -errno;
    }
    if (ss.ss_family == AF_INET6) {     /* For groups of a link. */
        ((struct sockaddr_in6 *) &ss)->sin6_scope_id = index;
    }
    int fd = open_one(&ss, len, SOCK_DGRAM, buffer, true);
    if (fd >= 0 && join(fd, a, index)) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

uint32_t
socket_receive_buffer(int fd)
{
    int value = 0;
    socklen_t len = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &len);
    return value > 0 ? (uint32_t) value : 0;
}

void
socket_shrink(int fd)
{
    int value = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof value);
}

uint16_t
socket_port(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    struct addr a;
    uint16_t port = 0;
    if (!getsockname(fd, (struct sockaddr *) &ss, &len)) {
        addr_from_sockaddr((struct sockaddr *) &ss, &a, &port);
    }
    return port;
}

uint32_t
socket_drops(int fd)
{
    uint32_t info[SK_MEMINFO_VARS];
    socklen_t len = sizeof info;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len)
        || len <= SK_MEMINFO_DROPS * sizeof info[0]) {
        return 0;
    }
    return info[SK_MEMINFO_DROPS];
}
