#include <config.h>

#include "bgp/socket.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TCP_MD5SIG_EXT
#define TCP_MD5SIG_EXT 32
#endif
#ifndef TCP_MD5SIG_FLAG_PREFIX
#define TCP_MD5SIG_FLAG_PREFIX 1
#endif
#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif
#ifndef IP_MINTTL
#define IP_MINTTL 21
#endif

#define TTL 255
#define BACKLOG 64

static socklen_t
to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof *ss);
    if (addr_is_v4(a)) {
        struct sockaddr_in *sin = (struct sockaddr_in *) ss;
        sin->sin_family = AF_INET;
        sin->sin_port = htons(port);
        memcpy(&sin->sin_addr, a->b + 12, 4);
        return sizeof *sin;
    }
    struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *) ss;
    sin6->sin6_family = AF_INET6;
    sin6->sin6_port = htons(port);
    memcpy(&sin6->sin6_addr, a->b, 16);
    return sizeof *sin6;
}

static int
set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) ? -errno : 0;
}

static int
open_socket(const struct addr *a)
{
    bool v4 = addr_is_v4(a);
    int fd = socket(v4 ? AF_INET : AF_INET6,
                    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    if (!v4) {
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

static int
close_with(int fd, int error)
{
    close(fd);
    return error;
}

int
bgp_socket_listen(const struct addr *a, uint16_t port)
{
    struct sockaddr_storage ss;
    socklen_t size = to_sockaddr(a, port, &ss);
    int fd = open_socket(a);
    if (fd < 0) {
        return fd;
    }
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    /* A peer that minds the TTL must see ours from the first segment on. */
    set_int(fd, addr_is_v4(a) ? IPPROTO_IP : IPPROTO_IPV6,
            addr_is_v4(a) ? IP_TTL : IPV6_UNICAST_HOPS, TTL);
    /* From how far away the first one came; see bgp_socket_gtsm(). */
    set_int(fd, IPPROTO_TCP, TCP_SAVE_SYN, 1);
    if (bind(fd, (struct sockaddr *) &ss, size) || listen(fd, BACKLOG)) {
        return close_with(fd, -errno);
    }
    return fd;
}

int
bgp_socket_accept(int fd, struct addr *peer, uint16_t *port,
                  struct addr *local)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof ss;
    int conn = accept4(fd, (struct sockaddr *) &ss, &size,
                       SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (conn < 0) {
        return -errno;
    }
    addr_from_sockaddr((struct sockaddr *) &ss, peer, port);
    bgp_socket_local(conn, local);
    set_int(conn, IPPROTO_TCP, TCP_NODELAY, 1);
    return conn;
}

int
bgp_socket_create(const struct addr *peer, const struct addr *local)
{
    int fd = open_socket(peer);
    if (fd >= 0 && !addr_is_zero(local)) {
        struct sockaddr_storage ss;
        socklen_t size = to_sockaddr(local, 0, &ss);
        if (bind(fd, (struct sockaddr *) &ss, size)) {
            return close_with(fd, -errno);
        }
    }
    return fd;
}

int
bgp_socket_connect(int fd, const struct addr *peer, uint16_t port)
{
    struct sockaddr_storage ss;
    socklen_t size = to_sockaddr(peer, port, &ss);
    return connect(fd, (struct sockaddr *) &ss, size)
           && errno != EINPROGRESS ? -errno : 0;
}

void
bgp_socket_local(int fd, struct addr *local)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof ss;
    uint16_t port;
    memset(local, 0, sizeof *local);
    if (!getsockname(fd, (struct sockaddr *) &ss, &size)) {
        addr_from_sockaddr((struct sockaddr *) &ss, local, &port);
    }
}

int
bgp_socket_md5(int fd, const struct prefix *peer, const char *key)
{
    struct tcp_md5sig md5;
    struct sockaddr_storage ss;
    bool v4 = addr_is_v4(&peer->addr);
    memset(&md5, 0, sizeof md5);
    to_sockaddr(&peer->addr, 0, &ss);
    memcpy(&md5.tcpm_addr, &ss, sizeof md5.tcpm_addr);
    size_t n = key ? strlen(key) : 0;
    if (n > sizeof md5.tcpm_key) {
        return -EINVAL;
    }
    md5.tcpm_keylen = (uint16_t) n;
    if (n) {
        memcpy(md5.tcpm_key, key, n);
    }
    int name = TCP_MD5SIG;
    if (peer->len < 128) {
        name = TCP_MD5SIG_EXT;
        md5.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
        md5.tcpm_prefixlen = (uint8_t) (v4 ? peer->len - 96 : peer->len);
    }
    return setsockopt(fd, IPPROTO_TCP, name, &md5, sizeof md5) ? -errno : 0;
}

/* What came before the option is set is not minded by it: the first segment of
 * an accepted connection tells. */
static bool
came_from_afar(int fd, bool v4, int least)
{
    uint8_t syn[256];
    socklen_t size = sizeof syn;
    return !getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, syn, &size)
           && size >= 40 && syn[v4 ? 8 : 7] < least;
}

int
bgp_socket_gtsm(int fd, const struct addr *peer, unsigned hops)
{
    if (!hops) {
        return 0;
    }
    int least = 256 - (int) hops;
    if (came_from_afar(fd, addr_is_v4(peer), least)) {
        return -EPERM;
    }
    if (addr_is_v4(peer)) {
        int error = set_int(fd, IPPROTO_IP, IP_TTL, TTL);
        return error ? error : set_int(fd, IPPROTO_IP, IP_MINTTL, least);
    }
    int error = set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, TTL);
    return error ? error : set_int(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT,
                                   least);
}
