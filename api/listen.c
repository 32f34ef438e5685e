/* Sockets that listen. */
#include <config.h>

#include "api/server_p.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/log.h"

#define REST_S 0.1              /* If there is nothing to accept with. */

static bool
speaks_http(const struct listener *l)
{
    return l->transport == API_HTTP || l->transport == API_HTTPS;
}

/* Too many: says so, without waiting, and closes. */
static void
turn_away(struct listener *l, int fd)
{
    static const char busy[] = "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":"
        "-32001,\"message\":\"Busy: too many connections\"},\"id\":null}\n";
    char text[512];

    counter_inc(&l->api->n.refused);
    LOG_RATE(api, WARN, "refused a connection: there are %u already",
             l->api->n_clients);
    int n = speaks_http(l)
            ? snprintf(text, sizeof text, "HTTP/1.1 503 Service Unavailable"
                       "\r\nContent-Type: application/json\r\n"
                       "Retry-After: 5\r\nConnection: close\r\n"
                       "Content-Length: %zu\r\n\r\n%s", sizeof busy - 1, busy)
            : snprintf(text, sizeof text, "%s", busy);
    if (l->transport != API_TLS && l->transport != API_HTTPS) {
        send(fd, text, (size_t) n, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    close(fd);
}

/* A peer that is gone without a word is noticed after two minutes. */
static void
set_keepalive(int fd)
{
    const int on = 1, idle = 60, interval = 15, count = 4;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void
adopt(struct listener *l, int fd)
{
    if (l->transport != API_UNIX) {
        set_keepalive(fd);
    }
    if (speaks_http(l)) {
        if (http_adopt(l->api->http, fd, l->transport == API_HTTPS)) {
            counter_inc(&l->api->n.refused);
        }
    } else if (client_adopt(l->api, fd, l->transport)) {
        close(fd);
    }
}

/* No descriptor is left: gives up the spare one to turn a client away. */
static void
out_of_descriptors(struct listener *l, int error)
{
    struct api *api = l->api;

    counter_inc(&api->n.no_descriptor);
    LOG_RATE(api, ERR, "no file descriptor left for a client: %s",
             strerror(-error));
    if (api->spare_fd >= 0) {
        close(api->spare_fd);
        int fd = accept4(l->acceptor.readable.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            turn_away(l, fd);
        }
        api->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

static void
on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
    struct listener *l = w->data;
    struct api *api = l->api;

    (void) loop;
    (void) revents;
    for (int i = 0; i < 64; i++) {
        int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            int error = -errno;
            if (acceptor_failed(&l->acceptor, error)) {
                out_of_descriptors(l, error);
            }
            return;
        }
        if (api->n_clients >= api->max_clients) {
            turn_away(l, fd);
        } else {
            adopt(l, fd);
        }
    }
}

/* Is anybody behind this socket?  0: no, and it is gone now. */
static int
clear_path(const struct sockaddr_un *sun, char **error)
{
    struct stat st;

    if (lstat(sun->sun_path, &st)) {
        return 0;
    }
    if (!S_ISSOCK(st.st_mode)) {
        *error = NULL;
        return asprintf(error, "%s exists and is not a socket",
                        sun->sun_path) < 0 ? -ENOMEM : -EEXIST;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int err = connect(fd, (const struct sockaddr *) sun, sizeof *sun)
              ? errno : 0;
    close(fd);
    if (err == ECONNREFUSED) {
        LOG(api, NOTICE, "%s: removed the socket of a daemon that is gone",
            sun->sun_path);
        unlink(sun->sun_path);
        return 0;
    }
    return asprintf(error, "%s: another daemon serves this socket",
                    sun->sun_path) < 0 ? -ENOMEM : -EADDRINUSE;
}

static int
bind_unix(const struct sockaddr_un *sun, char **error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err;

    if (fd < 0) {
        return -errno;
    }
    /* Never wider than it shall be, whatever the umask. */
    fchmod(fd, 0600);
    if (bind(fd, (const struct sockaddr *) sun, sizeof *sun)
        || chmod(sun->sun_path, 0660) || listen(fd, SOMAXCONN)) {
        err = errno;
        if (asprintf(error, "%s: %s", sun->sun_path, strerror(err)) < 0) {
            *error = NULL;
        }
        close(fd);
        return -err;
    }
    return fd;
}

static struct listener *
listener_create(struct api *api, enum api_transport transport, int fd,
                const char *address)
{
    struct listener *l = calloc(1, sizeof *l);

    if (!l || !(l->address = strdup(address))) {
        free(l);
        close(fd);
        return NULL;
    }
    l->api = api;
    l->transport = transport;
    acceptor_start(&l->acceptor, api->loop, fd, on_accept, l, REST_S);
    l->next = api->listeners;
    api->listeners = l;
    return l;
}

int
api_listen(struct api *api, const char *address, char **error)
{
    const char *path = strncmp(address, "unix:", 5) ? address : address + 5;
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    struct stat st;

    *error = NULL;
    if (*path != '/' || strlen(path) >= sizeof sun.sun_path) {
        return asprintf(error, "%s: not the address of a unix socket: give "
                        "unix:/PATH with at most %zu characters", address,
                        sizeof sun.sun_path - 1) < 0 ? -ENOMEM : -EINVAL;
    }
    memcpy(sun.sun_path, path, strlen(path));
    int fd = clear_path(&sun, error);
    if (!fd) {
        fd = bind_unix(&sun, error);
    }
    if (fd < 0) {
        return fd;
    }
    struct listener *l = listener_create(api, API_UNIX, fd, path);
    if (!l) {
        return -ENOMEM;
    }
    if (!lstat(path, &st)) {
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    }
    LOG(api, INFO, "listening on unix:%s", path);
    return 0;
}

static void
listener_destroy(struct listener *l)
{
    struct stat st;

    acceptor_stop(&l->acceptor);
    close(l->acceptor.readable.fd);
    if (l->transport == API_UNIX && !lstat(l->address, &st)
        && st.st_dev == l->dev && st.st_ino == l->ino) {
        unlink(l->address);
    }
    free(l->address);
    free(l);
}

void
listeners_destroy(struct api *api)
{
    while (api->listeners) {
        struct listener *l = api->listeners;
        api->listeners = l->next;
        listener_destroy(l);
    }
}

/* TCP. */

static int
bind_tcp(const char *address, char **error)
{
    struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
    struct sockaddr_in sin = { .sin_family = AF_INET };
    const struct sockaddr *sa = (struct sockaddr *) &sin6;
    socklen_t size = sizeof sin6;
    const int on = 1;
    struct addr addr;
    uint16_t port;

    if (endpoint_parse(address, 0, &addr, &port)) {
        return -EINVAL;
    }
    sin.sin_port = sin6.sin6_port = htons(port);
    memcpy(&sin6.sin6_addr, addr.b, 16);
    if (addr_is_v4(&addr)) {
        memcpy(&sin.sin_addr, addr.b + 12, 4);
        sa = (struct sockaddr *) &sin;
        size = sizeof sin;
    }
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    0);
    if (fd < 0) {
        return -errno;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (sa->sa_family == AF_INET6) {
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, sa, size) || listen(fd, SOMAXCONN)) {
        int err = errno;
        if (asprintf(error, "%s: %s", address, strerror(err)) < 0) {
            *error = NULL;
        }
        close(fd);
        return -err;
    }
    return fd;
}

static const char *const transport_names[] = {
    [API_UNIX] = "unix", [API_TCP] = "tcp", [API_TLS] = "tls",
    [API_HTTP] = "http", [API_HTTPS] = "https",
};

static bool
is_wanted(const struct listener *l, const struct api_address *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].transport == l->transport
            && !strcmp(list[i].address, l->address)) {
            return true;
        }
    }
    return l->transport == API_UNIX;
}

static bool
is_there(const struct api *api, const struct api_address *a)
{
    for (const struct listener *l = api->listeners; l; l = l->next) {
        if (is_wanted(l, a, 1) && l->transport == a->transport) {
            return true;
        }
    }
    return false;
}

/* Takes those out that are not wanted, without closing them: a port that they
 * have can be had back. */
static struct listener *
take_unwanted(struct api *api, const struct api_address *list, size_t n)
{
    struct listener *taken = NULL, **p = &api->listeners;

    while (*p) {
        struct listener *l = *p;
        if (is_wanted(l, list, n)) {
            p = &l->next;
        } else {
            *p = l->next;
            l->next = taken;
            taken = l;
        }
    }
    return taken;
}

/* Opens 'a'; if its port is held by one of 'unwanted', that gives way. */
static int
open_address(struct api *api, const struct api_address *a,
             struct listener *unwanted, char **error)
{
    int fd = bind_tcp(a->address, error);

    if (fd == -EADDRINUSE && unwanted) {
        struct addr addr;
        uint16_t port, other;
        endpoint_parse(a->address, 0, &addr, &port);
        for (struct listener *l = unwanted; l; l = l->next) {
            if (!endpoint_parse(l->address, 0, &addr, &other)
                && other == port && l->acceptor.readable.fd >= 0) {
                acceptor_stop(&l->acceptor);
                close(l->acceptor.readable.fd);
                ev_io_set(&l->acceptor.readable, -1, EV_READ);
            }
        }
        free(*error);
        *error = NULL;
        fd = bind_tcp(a->address, error);
    }
    if (fd < 0) {
        return fd;
    }
    if (!listener_create(api, a->transport, fd, a->address)) {
        return -ENOMEM;
    }
    LOG(api, INFO, "listening on %s://%s", transport_names[a->transport],
        a->address);
    return 0;
}

/* Puts back what was taken out; what was closed is opened again. */
static void
put_back(struct api *api, struct listener *list)
{
    while (list) {
        struct listener *l = list;
        char *error = NULL;
        list = l->next;
        int fd = l->acceptor.readable.fd >= 0 ? l->acceptor.readable.fd
                 : bind_tcp(l->address, &error);
        if (fd < 0) {
            LOG(api, ERR, "cannot listen again: %s",
                error ? error : strerror(-fd));
            free(error);
            free(l->address);
            free(l);
            continue;
        }
        if (l->acceptor.readable.fd < 0) {
            acceptor_start(&l->acceptor, api->loop, fd, on_accept, l, REST_S);
        }
        l->next = api->listeners;
        api->listeners = l;
    }
}

int
api_set_addresses(struct api *api, const struct api_address *list, size_t n,
                  char **error)
{
    struct listener *unwanted = take_unwanted(api, list, n);
    size_t n_before = 0, n_now = 0;
    int err = 0;

    *error = NULL;
    for (struct listener *l = api->listeners; l; l = l->next) {
        n_before++;
    }
    for (size_t i = 0; i < n && !err; i++) {
        if (!is_there(api, &list[i])) {
            err = open_address(api, &list[i], unwanted, error);
        }
    }
    if (err) {
        for (struct listener *l = api->listeners; l; l = l->next) {
            n_now++;
        }
        for (; n_now > n_before; n_now--) {     /* New ones are in front. */
            struct listener *l = api->listeners;
            api->listeners = l->next;
            listener_destroy(l);
        }
        put_back(api, unwanted);
        return err;
    }
    while (unwanted) {
        struct listener *l = unwanted;
        unwanted = l->next;
        LOG(api, INFO, "no longer listening on %s://%s",
            transport_names[l->transport], l->address);
        listener_destroy(l);
    }
    return 0;
}

size_t
api_addresses(const struct api *api, struct api_address *list, size_t n)
{
    size_t k = 0;

    for (const struct listener *l = api->listeners; l && k < n; l = l->next) {
        list[k++] = (struct api_address) { l->address, l->transport };
    }
    return k;
}

const char *
api_transport_name(enum api_transport transport)
{
    return transport_names[transport];
}
