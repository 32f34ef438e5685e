#include <config.h>

#include "api/server.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <ev.h>

#include "api/access.h"
#include "api/context.h"
#include "api/fd_pass.h"
#include "api/jsonrpc.h"
#include "api/methods.h"
#include "api/subscribe.h"
#include "lib/clock.h"
#include "lib/log.h"

#define READ_SIZE 65536
#define SLICE_US 2000           /* Longest run for one client. */
#define TRIM_SIZE 131072        /* A long text. */
#define MAX_PENDING 32          /* Unanswered calls of one client. */
#define MAX_PARSE_ERRORS 8      /* In a row. */
#define OUT_HIGH 262144         /* Stop reading: nobody reads our answers. */
#define OUT_MAX (128u << 20)    /* Answers that wait for one client. */
#define OUT_TOTAL ((size_t) 512 << 20)  /* For all clients. */
#define IN_TOTAL ((size_t) 64 << 20)    /* Unfinished texts of all clients. */
#define STALL_MS 60000          /* Without a byte read of our answers. */
#define LINGER_MS 5000          /* To read an error after which we close. */
#define LINGER_MAX ((uint64_t) 512 << 20)
#define FIRST_DESCRIPTORS 1024  /* For everything but clients. */

const struct counter_def api_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct api_counters, NAME), DOC },
    API_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

struct client {
    struct api *api;
    struct client *next, **prev;        /* In 'api->clients'. */
    struct client *work;                /* In 'api->work'. */
    struct rpc_peer *peer;
    ev_io read, write;
    struct json_scan scan;
    char *in;                   /* What of the input is not done with. */
    size_t in_size, in_room;
    size_t scanned;             /* Of it, seen by 'scan'. */
    struct fd_pass files;       /* That came along with it. */
    char *out;
    size_t out_from, out_size, out_room;
    int64_t moved_ms;           /* When output last moved, or linger began. */
    uint64_t discarded;
    uint8_t parse_errors;
    bool in_work, corked;
    bool skip_line;             /* To the end of a line that is not JSON. */
    bool eof;                   /* Nothing more will be read. */
    bool linger;                /* Close when all was sent. */
    bool shut;                  /* We said that nothing more comes. */
    bool dead;
};

struct listener {
    struct api *api;
    struct listener *next;
    ev_io accept;
    ev_timer retry;
    char *path;
    dev_t dev;
    ino_t ino;
};

struct post {
    struct post *next;
    void (*deliver)(void *aux);
    void *aux;
};

struct api {
    struct ev_loop *loop;
    struct rpc_core *core;
    struct api_context context;
    struct json_limits limits;
    uint32_t max_clients;
    struct api_counters n;
    struct listener *listeners;
    struct client *clients;
    unsigned n_clients;
    size_t in_total, out_total;
    int spare_fd;               /* Given up to accept when none is left. */

    struct client *work, **work_tail;   /* Something to do. */
    ev_idle idle;               /* Does it, a slice at a time. */
    ev_timer sweep;

    pthread_mutex_t mutex;      /* Protects posts. */
    struct post *posts, **posts_tail;
    ev_async posted;

    char buf[READ_SIZE];
};

static void client_work(struct client *);

static bool
has_input(const struct client *c)
{
    return c->in_size > c->scanned;
}

/* May it ask more?  Not while it does not take what it has asked for. */
static bool
may_ask(const struct client *c)
{
    return c->out_size < OUT_HIGH && rpc_peer_pending(c->peer) < MAX_PENDING;
}

static void
watch(struct ev_loop *loop, ev_io *w, bool on)
{
    if (on && !ev_is_active(w)) {
        ev_io_start(loop, w);
    } else if (!on && ev_is_active(w)) {
        ev_io_stop(loop, w);
    }
}

/* To be looked at when the event loop comes round. */
static void
client_touch(struct client *c)
{
    struct api *api = c->api;

    if (!c->in_work) {
        c->in_work = true;
        c->work = NULL;
        *api->work_tail = c;
        api->work_tail = &c->work;
        ev_idle_start(api->loop, &api->idle);
    }
}

static void
client_unwork(struct client *c)
{
    struct api *api = c->api;

    if (!c->in_work) {
        return;
    }
    struct client **p = &api->work;
    while (*p != c) {
        p = &(*p)->work;
    }
    *p = c->work;
    if (api->work_tail == &c->work) {
        api->work_tail = p;
    }
    c->in_work = false;
}

static void
client_destroy(struct client *c)
{
    struct api *api = c->api;

    client_unwork(c);
    watch(api->loop, &c->read, false);
    watch(api->loop, &c->write, false);
    rpc_peer_destroy(c->peer);  /* Its answers may have been for 'c'. */
    client_unwork(c);
    *c->prev = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    api->n_clients--;
    api->in_total -= c->in_room;
    api->out_total -= c->out_room;
    close(c->read.fd);
    fd_pass_clear(&c->files);
    free(c->in);
    free(c->out);
    free(c);
}

/* Output. */

static void
client_die(struct client *c)
{
    c->dead = true;
    client_touch(c);
}

static void
client_flush(struct client *c)
{
    while (c->out_size && !c->dead) {
        ssize_t n = send(c->write.fd, c->out + c->out_from, c->out_size,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                break;
            }
            if (errno != EINTR) {
                client_die(c);
            }
            continue;
        }
        counter_add(&c->api->n.octets_out, (uint64_t) n);
        c->moved_ms = clock_mono_ms();
        c->out_from += (size_t) n;
        c->out_size -= (size_t) n;
    }
    if (!c->out_size) {
        c->api->out_total -= c->out_room;
        free(c->out);
        c->out = NULL;
        c->out_room = c->out_from = 0;
    }
    watch(c->api->loop, &c->write, c->out_size && !c->dead);
}

static bool
out_reserve(struct client *c, size_t n)
{
    struct api *api = c->api;

    if (c->out_from && c->out_from + c->out_size + n > c->out_room) {
        memmove(c->out, c->out + c->out_from, c->out_size);
        c->out_from = 0;
    }
    if (c->out_size + n <= c->out_room) {
        return true;
    }
    size_t room = c->out_size + n + (c->out_size ? c->out_size / 2 : 0);
    if (room > OUT_MAX || api->out_total - c->out_room + room > OUT_TOTAL) {
        counter_inc(&api->n.slow_clients);
        LOG_RATE(api, WARN, "client %d: closed, %zu bytes of answers wait "
                 "for it", c->read.fd, c->out_size + n);
        return false;
    }
    char *p = realloc(c->out, room);
    if (!p) {
        return false;
    }
    api->out_total += room - c->out_room;
    c->out = p;
    c->out_room = room;
    return true;
}

/* An answer from the core. */
static void
client_send(void *c_, const char *text, size_t n)
{
    struct client *c = c_;

    if (c->dead) {
        return;
    }
    if (!c->out_size) {
        c->moved_ms = clock_mono_ms();
    }
    if (!out_reserve(c, n + 1)) {
        client_die(c);
        return;
    }
    memcpy(c->out + c->out_from + c->out_size, text, n);
    c->out[c->out_from + c->out_size + n] = '\n';
    c->out_size += n + 1;
    if (!c->corked) {
        client_flush(c);
        client_touch(c);
    }
}

static size_t
client_queued(void *c_)
{
    const struct client *c = c_;

    return c->dead ? RPC_NOTIFY_ROOM : c->out_size;
}

static void
client_done(void *c_)
{
    struct client *c = c_;

    if (!c->corked) {
        client_touch(c);
    }
}

static int
client_take_fd(void *c_)
{
    struct client *c = c_;

    return fd_pass_take(&c->files);
}

static const struct rpc_transport transport = {
    .send = client_send, .done = client_done, .queued = client_queued,
    .take_fd = client_take_fd,
};

/* Input. */

/* After an error that leaves us without a place to go on from. */
static void
client_linger(struct client *c)
{
    c->linger = true;
    c->moved_ms = clock_mono_ms();
    client_touch(c);
}

static void
bad_text(struct client *c, char last)
{
    rpc_peer_error(c->peer, RPC_PARSE_ERROR, c->scan.reason, c->scan.line,
                   c->scan.column);
    c->skip_line = last != '\n';
    if (++c->parse_errors >= MAX_PARSE_ERRORS) {
        client_linger(c);
    }
}

static void
big_text(struct client *c)
{
    char reason[128];

    snprintf(reason, sizeof reason, "%s (texts may have %zu bytes, %u values, "
             "%u objects and arrays, %u levels)", c->scan.reason,
             c->api->limits.size, c->api->limits.values,
             c->api->limits.containers, c->api->limits.depth);
    rpc_peer_error(c->peer, RPC_TOO_LARGE, reason, 0, 0);
    client_linger(c);
}

/* The tree of a long text takes a multiple of its size, in pieces too small to
 * go back to the system by themselves. */
static void
give_back_memory(size_t n)
{
    if (n >= TRIM_SIZE) {
        malloc_trim(0);
    }
}

/* Looks at one text at 'buf', of which 'c->scanned' bytes were seen before.
 * Returns how many bytes are done with: 0 if it goes on. */
static size_t
take_text(struct client *c, const char *buf, size_t n)
{
    size_t used, done;

    if (c->skip_line) {
        const char *end = memchr(buf, '\n', n);
        c->skip_line = !end;
        c->scanned = 0;
        return end ? (size_t) (end - buf) + 1 : n;
    }
    enum json_verdict v = json_scan_feed(&c->scan, buf + c->scanned,
                                         n - c->scanned, &used);
    c->scanned += used;
    done = c->scanned;
    switch (v) {
    case JSON_MORE:
        if (!json_scan_empty(&c->scan)) {
            return 0;
        }
        break;
    case JSON_DONE:
        c->parse_errors = 0;
        rpc_peer_text(c->peer, buf, done, true);
        fd_pass_clear(&c->files);       /* Nobody wanted them. */
        give_back_memory(done);
        break;
    case JSON_BAD:
        bad_text(c, buf[done - 1]);
        break;
    case JSON_LIMIT:
        big_text(c);
        done = n;
    }
    c->scanned = 0;
    json_scan_init(&c->scan, &c->api->limits);
    return done;
}

/* Takes texts from 'buf' for a while.  Returns how many bytes are through. */
static size_t
take_texts(struct client *c, const char *buf, size_t n)
{
    int64_t until = clock_mono_us() + SLICE_US;
    size_t pos = 0;

    c->corked = true;
    while (pos + c->scanned < n && may_ask(c) && !c->linger && !c->dead) {
        size_t done = take_text(c, buf + pos, n - pos);
        pos += done;
        if (!done || clock_mono_us() >= until) {
            break;
        }
    }
    c->corked = false;
    client_flush(c);
    if (c->linger) {
        c->scanned = 0;
        pos = n;
    }
    return pos;
}

static bool
in_reserve(struct client *c, size_t n)
{
    struct api *api = c->api;
    size_t room = c->in_room;

    if (c->in_size + n <= room) {
        return true;
    }
    /* Most texts that do not come in one piece are long: grow generously. */
    room = c->in_size + n + c->in_size / 2;
    if (api->in_total - c->in_room + room
        > (IN_TOTAL > 4 * api->limits.size ? IN_TOTAL
                                           : 4 * api->limits.size)) {
        rpc_peer_error(c->peer, RPC_BUSY, "too many long requests at once", 0,
                       0);
        client_linger(c);
        return false;
    }
    char *p = realloc(c->in, room);
    if (!p) {
        client_die(c);
        return false;
    }
    api->in_total += room - c->in_room;
    c->in = p;
    c->in_room = room;
    return true;
}

static void
in_consume(struct client *c, size_t n)
{
    c->in_size -= n;
    if (c->in_size) {
        memmove(c->in, c->in + n, n ? c->in_size : 0);
        return;
    }
    c->api->in_total -= c->in_room;
    free(c->in);
    c->in = NULL;
    c->in_room = 0;
}

/* New bytes in 'buf'. */
static void
client_input(struct client *c, const char *buf, size_t n)
{
    if (c->linger) {
        c->discarded += n;
        return;
    }
    if (!c->in_size) {
        size_t done = take_texts(c, buf, n);
        buf += done;
        n -= done;
        if (n && !c->dead && in_reserve(c, n)) {
            memcpy(c->in, buf, n);
            c->in_size = n;
        }
        return;
    }
    if (in_reserve(c, n)) {
        memcpy(c->in + c->in_size, buf, n);
        c->in_size += n;
        in_consume(c, take_texts(c, c->in, c->in_size));
    }
}

/* No more bytes will come: what of a text is left? */
static void
client_input_end(struct client *c)
{
    enum json_verdict v;

    if (c->linger || c->skip_line || json_scan_empty(&c->scan)) {
        return;
    }
    v = json_scan_end(&c->scan);
    c->corked = true;
    if (v == JSON_DONE) {
        rpc_peer_text(c->peer, c->in, c->in_size, true);
    } else {
        bad_text(c, '\n');
    }
    c->corked = false;
    c->scanned = 0;
    in_consume(c, c->in_size);
    json_scan_init(&c->scan, &c->api->limits);
    client_flush(c);
}

/* True if the other side reads no more, either. */
static bool
hung_up(int fd)
{
    struct pollfd p = { .fd = fd };

    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

static void
on_read(struct ev_loop *loop, ev_io *w, int revents)
{
    struct client *c = w->data;
    struct api *api = c->api;

    (void) loop;
    (void) revents;
    ssize_t n = fd_pass_recv(w->fd, api->buf, sizeof api->buf, &c->files);
    if (n > 0) {
        counter_add(&api->n.octets_in, (uint64_t) n);
        client_input(c, api->buf, (size_t) n);
    } else if (!n) {
        c->eof = true;
        if (hung_up(w->fd)) {
            c->dead = true;
        } else if (!has_input(c)) {
            client_input_end(c);
        }
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        c->dead = true;
    }
    client_work(c);
}

static void
on_write(struct ev_loop *loop, ev_io *w, int revents)
{
    struct client *c = w->data;

    (void) loop;
    (void) revents;
    client_flush(c);
    if (c->out_size < RPC_NOTIFY_ROOM / 2 && !c->dead) {
        rpc_peer_drained(c->peer);
    }
    client_work(c);
}

/* Brings watchers in line with the state; ends the client if it is through. */
static void
client_work(struct client *c)
{
    if (c->linger && c->in_size) {
        in_consume(c, c->in_size);
    }
    if (!c->dead && c->linger && !c->out_size && !c->shut) {
        shutdown(c->read.fd, SHUT_WR);
        c->shut = true;
    }
    if (c->dead
        || (c->eof && !c->out_size
            && (c->linger || (!c->in_size && !rpc_peer_pending(c->peer)
                              && !rpc_peer_subscriptions(c->peer))))) {
        client_destroy(c);
        return;
    }
    if (has_input(c) && !c->linger && may_ask(c)) {
        client_touch(c);
    }
    watch(c->api->loop, &c->read,
          !c->eof && (c->linger || (!has_input(c) && may_ask(c))));
}

/* One round of what was left for later. */
static void
on_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
    struct api *api = w->data;
    struct client *last = NULL;
    int64_t until = clock_mono_us() + SLICE_US;

    (void) revents;
    for (struct client *c = api->work; c; c = c->work) {
        last = c;
    }
    while (api->work) {
        struct client *c = api->work;
        bool end = c == last;
        client_unwork(c);
        if (has_input(c) && !c->linger && !c->dead && may_ask(c)) {
            in_consume(c, take_texts(c, c->in, c->in_size));
        }
        if (c->eof && !c->dead && c->in_size && !has_input(c)) {
            client_input_end(c);
        }
        client_work(c);
        if (end || clock_mono_us() >= until) {
            break;
        }
    }
    if (!api->work) {
        ev_idle_stop(loop, w);
    }
}

/* Once a second: who neither reads nor goes? */
static void
on_sweep(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct api *api = w->data;
    int64_t now = clock_mono_ms();
    struct client *next;

    (void) loop;
    (void) revents;
    for (struct client *c = api->clients; c; c = next) {
        next = c->next;
        if (c->out_size && now - c->moved_ms > STALL_MS) {
            counter_inc(&api->n.slow_clients);
            LOG_RATE(api, NOTICE, "client %d: closed, it has not read its "
                     "answers for a minute", c->read.fd);
            client_die(c);
        } else if (c->linger && (now - c->moved_ms > LINGER_MS
                                 || c->discarded > LINGER_MAX)) {
            client_die(c);
        } else if (c->eof && hung_up(c->read.fd)) {
            client_die(c);
        }
    }
}

/* Connections. */

int
api_adopt(struct api *api, int fd)
{
    struct client *c = calloc(1, sizeof *c);
    struct rpc_caller caller;

    access_unix(fd, &caller);
    if (!c || !(c->peer = rpc_peer_create(api->core, &transport, c,
                                          &caller))) {
        free(c);
        return -ENOMEM;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    c->api = api;
    json_scan_init(&c->scan, &api->limits);
    ev_io_init(&c->read, on_read, fd, EV_READ);
    ev_io_init(&c->write, on_write, fd, EV_WRITE);
    c->read.data = c->write.data = c;
    c->next = api->clients;
    c->prev = &api->clients;
    if (c->next) {
        c->next->prev = &c->next;
    }
    api->clients = c;
    api->n_clients++;
    counter_inc(&api->n.connections);
    ev_io_start(api->loop, &c->read);
    return 0;
}

/* Too many: says so, without waiting, and closes. */
static void
turn_away(struct api *api, int fd)
{
    static const char text[] = "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":"
        "-32001,\"message\":\"Busy: too many connections\"},\"id\":null}\n";

    counter_inc(&api->n.refused);
    LOG_RATE(api, WARN, "refused a connection: there are %u already",
             api->n_clients);
    send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* No descriptor is left: gives up the spare one to turn a client away, and
 * pauses, because the kernel would report the next one at once. */
static void
out_of_descriptors(struct listener *l)
{
    struct api *api = l->api;

    counter_inc(&api->n.no_descriptor);
    LOG_RATE(api, ERR, "no file descriptor left for a client: %s",
             strerror(errno));
    if (api->spare_fd >= 0) {
        close(api->spare_fd);
        int fd = accept4(l->accept.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            turn_away(api, fd);
        }
        api->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    ev_io_stop(api->loop, &l->accept);
    ev_timer_set(&l->retry, 0.1, 0.);
    ev_timer_start(api->loop, &l->retry);
}

static void
on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct listener *l = w->data;

    (void) revents;
    ev_io_start(loop, &l->accept);
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
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS
                || errno == ENOMEM) {
                out_of_descriptors(l);
            }
            return;
        }
        if (api->n_clients >= api->max_clients) {
            turn_away(api, fd);
        } else if (api_adopt(api, fd)) {
            close(fd);
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

    struct listener *l = calloc(1, sizeof *l);
    if (!l || !(l->path = strdup(path))) {
        free(l);
        close(fd);
        return -ENOMEM;
    }
    if (!lstat(path, &st)) {
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    }
    l->api = api;
    ev_io_init(&l->accept, on_accept, fd, EV_READ);
    ev_init(&l->retry, on_retry);
    l->accept.data = l->retry.data = l;
    ev_io_start(api->loop, &l->accept);
    l->next = api->listeners;
    api->listeners = l;
    LOG(api, INFO, "listening on unix:%s", path);
    return 0;
}

static void
listener_destroy(struct listener *l)
{
    struct stat st;

    ev_io_stop(l->api->loop, &l->accept);
    ev_timer_stop(l->api->loop, &l->retry);
    close(l->accept.fd);
    if (!lstat(l->path, &st) && st.st_dev == l->dev && st.st_ino == l->ino) {
        unlink(l->path);
    }
    free(l->path);
    free(l);
}

/* Posts from other threads. */

void
api_post(struct api *api, void (*deliver)(void *aux), void *aux)
{
    struct post *p = malloc(sizeof *p);

    if (!p) {
        LOG(api, ERR, "out of memory: an answer of another thread is lost");
        return;
    }
    *p = (struct post) { .deliver = deliver, .aux = aux };
    pthread_mutex_lock(&api->mutex);
    *api->posts_tail = p;
    api->posts_tail = &p->next;
    pthread_mutex_unlock(&api->mutex);
    ev_async_send(api->loop, &api->posted);
}

static struct post *
take_post(struct api *api)
{
    pthread_mutex_lock(&api->mutex);
    struct post *p = api->posts;
    if (p && !(api->posts = p->next)) {
        api->posts_tail = &api->posts;
    }
    pthread_mutex_unlock(&api->mutex);
    return p;
}

static void
on_posted(struct ev_loop *loop, ev_async *w, int revents)
{
    struct api *api = w->data;
    int64_t until = clock_mono_us() + SLICE_US;
    struct post *p;

    (void) revents;
    while ((p = take_post(api))) {
        p->deliver(p->aux);
        free(p);
        if (clock_mono_us() >= until) {
            ev_async_send(loop, w);
            break;
        }
    }
}

/* The whole. */

void
api_set_limits(struct api *api, const struct api_limits *limits)
{
    struct rlimit r;

    api->max_clients = limits && limits->max_clients ? limits->max_clients
                                                     : 4096;
    api->limits = json_default_limits;
    if (limits && limits->max_request) {
        api->limits.size = limits->max_request;
    }
    /* Descriptors for so many, as far as we are allowed to. */
    rlim_t want = (rlim_t) api->max_clients + FIRST_DESCRIPTORS;
    if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < want) {
        r.rlim_cur = r.rlim_max == RLIM_INFINITY || r.rlim_max > want
                     ? want : r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

void
api_set_context(struct api *api, const struct api_context *context)
{
    api->context = *context;
}

struct api *
api_create(struct ev_loop *loop, const struct api_context *context,
           const struct api_limits *limits)
{
    struct api *api = calloc(1, sizeof *api);

    if (!api) {
        return NULL;
    }
    api->loop = loop;
    if (context) {
        api->context = *context;
    }
    api_set_limits(api, limits);
    api->core = rpc_core_create(method_tables, &api->limits, api,
                                &api->context);
    if (!api->core) {
        free(api);
        return NULL;
    }
    api->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    api->work_tail = &api->work;
    api->posts_tail = &api->posts;
    pthread_mutex_init(&api->mutex, NULL);
    ev_async_init(&api->posted, on_posted);
    ev_idle_init(&api->idle, on_idle);
    ev_timer_init(&api->sweep, on_sweep, 1., 1.);
    api->posted.data = api->idle.data = api->sweep.data = api;
    ev_set_priority(&api->idle, EV_MAXPRI);
    ev_async_start(loop, &api->posted);
    ev_timer_start(loop, &api->sweep);
    /* None of these keeps a loop alive on its own. */
    ev_unref(loop);
    ev_unref(loop);
    return api;
}

void
api_destroy(struct api *api)
{
    struct post *p;

    if (!api) {
        return;
    }
    while (api->listeners) {
        struct listener *l = api->listeners;
        api->listeners = l->next;
        listener_destroy(l);
    }
    while (api->clients) {
        client_destroy(api->clients);
    }
    while ((p = take_post(api))) {
        p->deliver(p->aux);
        free(p);
    }
    ev_ref(api->loop);
    ev_ref(api->loop);
    ev_async_stop(api->loop, &api->posted);
    ev_timer_stop(api->loop, &api->sweep);
    ev_idle_stop(api->loop, &api->idle);
    pthread_mutex_destroy(&api->mutex);
    if (api->spare_fd >= 0) {
        close(api->spare_fd);
    }
    rpc_core_unref(api->core);
    free(api);
}

const struct api_counters *
api_counters(const struct api *api)
{
    return &api->n;
}

const struct rpc_counters *
api_rpc_counters(const struct api *api)
{
    return rpc_core_counters(api->core);
}

unsigned
api_n_clients(const struct api *api)
{
    return api->n_clients;
}
