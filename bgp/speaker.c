#include <config.h>

#include "bgp/speaker_p.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bgp/socket.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/seed.h"

const struct counter_def bgp_speaker_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct bgp_speaker_counters, NAME), DOC },
    BGP_SPEAKER_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

/* A timer of libev fires a bit early now and then. */
#define SLACK_MS 2
/* How long a dynamic neighbour is remembered that has gone. */
#define FORGET_MS 30000

/* ---- What sessions want. ---- */

static void
io_connect(void *neighbor)
{
    struct neighbor *nb = neighbor;
    link_connect(&nb->link[BGP_OUT]);
}

static void
io_send(void *neighbor, enum bgp_slot slot, const uint8_t *p, size_t n)
{
    struct neighbor *nb = neighbor;
    link_send(&nb->link[slot], p, n);
}

static void
io_close(void *neighbor, enum bgp_slot slot)
{
    struct neighbor *nb = neighbor;
    link_close(&nb->link[slot], true);
}

static uint64_t
io_n_routes(void *neighbor, uint32_t peer, enum bgp_family f)
{
    struct neighbor *nb = neighbor;
    const struct bgp_speaker_hooks *hooks = &nb->speaker->hooks;
    return hooks->n_routes ? hooks->n_routes(hooks->aux, peer, f) : 0;
}

static void
io_event(void *neighbor, const char *kind, const char *text)
{
    struct neighbor *nb = neighbor;
    struct bgp_session_info info;
    char a[ADDR_STRLEN];
    addr_format(&nb->config.session.address, a);
    if (!strcmp(kind, "malformed")) {
        LOG_RATE(bgp, NOTICE, "%s: malformed UPDATE: %s", a, text);
    } else if (!strcmp(kind, "warning")) {
        LOG_RATE(bgp, NOTICE, "%s: %s", a, text);
    } else {
        LOG_RATE(bgp, INFO, "%s: session %s: %s", a, kind, text);
    }
    if (nb->speaker->hooks.event) {
        bgp_session_info(nb->session, &info);
        nb->speaker->hooks.event(nb->speaker->hooks.aux, &info, kind, text);
    }
}

/* ---- Time. ---- */

static void remove_idle_dynamic(struct neighbor *);

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct neighbor *nb = w->data;
    (void) loop;
    (void) revents;
    nb->armed_ms = INT64_MAX;
    /* What has come in counts before time is up: we may be the slow ones. */
    for (int i = 0; i < BGP_N_SLOTS; i++) {
        link_read_now(&nb->link[i]);
    }
    bgp_session_tick(nb->session, clock_mono_ms());
    neighbor_arm(nb);
    remove_idle_dynamic(nb);
}

void
neighbor_arm(struct neighbor *nb)
{
    int64_t next = bgp_session_next_ms(nb->session);
    if (nb->dynamic && next == INT64_MAX) {
        next = clock_mono_ms() + FORGET_MS;
    }
    if (next >= nb->armed_ms) {
        return;                 /* It fires before, and is set anew then. */
    }
    struct ev_loop *loop = nb->speaker->loop;
    int64_t in = next + SLACK_MS - clock_mono_ms();
    ev_timer_stop(loop, &nb->timer);
    ev_timer_set(&nb->timer, in > 0 ? (double) in / 1000. : 0., 0.);
    ev_timer_start(loop, &nb->timer);
    nb->armed_ms = next;
}

/* ---- Neighbours. ---- */

static void
copy_neighbor(struct bgp_neighbor *to, const struct bgp_neighbor *from)
{
    *to = *from;
    to->password = from->password ? strdup(from->password) : NULL;
}

static bool
same_password(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static void
destroy_neighbor(struct neighbor *nb)
{
    if (!nb) {
        return;
    }
    bgp_session_destroy(nb->session, clock_mono_ms());
    for (int i = 0; i < BGP_N_SLOTS; i++) {
        link_close(&nb->link[i], true);
    }
    ev_timer_stop(nb->speaker->loop, &nb->timer);
    free(nb->config.password);
    free(nb);
}

static struct neighbor *
create_neighbor(struct bgp_speaker *sp, const struct bgp_neighbor *config)
{
    struct neighbor *nb = calloc(1, sizeof *nb);
    struct bgp_io io = {
        .aux = nb, .connect = io_connect, .send = io_send,
        .close = io_close, .n_routes = io_n_routes, .event = io_event,
    };
    if (!nb) {
        return NULL;
    }
    nb->speaker = sp;
    nb->armed_ms = INT64_MAX;
    copy_neighbor(&nb->config, config);
    for (int i = 0; i < BGP_N_SLOTS; i++) {
        link_init(&nb->link[i], nb, (enum bgp_slot) i);
    }
    ev_timer_init(&nb->timer, on_timer, 0., 0.);
    nb->timer.data = nb;
    sp->seed = sp->seed * 1664525u + 1013904223u;
    nb->session = bgp_session_create(&config->session, &io, &sp->sink,
                                     sp->decoder, sp->seed);
    if (!nb->session) {
        destroy_neighbor(nb);
        return NULL;
    }
    return nb;
}

static struct neighbor *
find(const struct bgp_speaker *sp, const struct addr *a)
{
    for (struct neighbor *nb = sp->neighbors; nb; nb = nb->next) {
        if (addr_equal(&nb->config.session.address, a)) {
            return nb;
        }
    }
    for (struct neighbor *nb = sp->dynamic; nb; nb = nb->next) {
        if (addr_equal(&nb->config.session.address, a)) {
            return nb;
        }
    }
    return NULL;
}

/* ---- Dynamic neighbours. ---- */

static void
unlink_dynamic(struct neighbor *nb)
{
    for (struct neighbor **p = &nb->speaker->dynamic; *p; p = &(*p)->next) {
        if (*p == nb) {
            *p = nb->next;
            break;
        }
    }
    nb->speaker->n_of_range[nb->range]--;
}

/* One that is gone, with all that it told, need not be remembered; but not so
 * soon that it could come back without its past. */
static void
remove_idle_dynamic(struct neighbor *nb)
{
    struct bgp_session_info info;
    if (!nb->dynamic) {
        return;
    }
    bgp_session_info(nb->session, &info);
    if (info.state < BGP_OPEN_SENT && info.peer == UINT32_MAX
        && !info.waiting
        && clock_mono_ms() - info.changed_ms >= FORGET_MS) {
        unlink_dynamic(nb);
        destroy_neighbor(nb);
    }
}

static struct neighbor *
add_dynamic(struct bgp_speaker *sp, const struct addr *a)
{
    size_t best = sp->n_ranges;
    for (size_t i = 0; i < sp->n_ranges; i++) {
        if (prefix_contains(&sp->ranges[i].prefix, a)
            && (best == sp->n_ranges
                || sp->ranges[i].prefix.len > sp->ranges[best].prefix.len)) {
            best = i;
        }
    }
    if (best == sp->n_ranges) {
        counter_inc(&sp->n.strangers);
        return NULL;
    }
    if (sp->n_of_range[best] >= sp->ranges[best].max_neighbors) {
        counter_inc(&sp->n.too_many);
        return NULL;
    }
    struct bgp_neighbor like = sp->ranges[best].like;
    like.session.address = *a;
    like.session.passive = true;
    struct neighbor *nb = create_neighbor(sp, &like);
    if (nb) {
        nb->dynamic = true;
        nb->range = best;
        nb->next = sp->dynamic;
        sp->dynamic = nb;
        sp->n_of_range[best]++;
        bgp_session_start(nb->session, clock_mono_ms());
    }
    return nb;
}

/* ---- Listening. ---- */

static void
refuse_stranger(struct bgp_speaker *sp, int fd, const struct addr *peer)
{
    struct bgp_error e;
    uint8_t buf[BGP_MAX_SIZE];
    char a[ADDR_STRLEN];
    LOG_RATE(bgp, INFO, "%s: refused: not a neighbour", addr_format(peer, a));
    bgp_error_set(&e, BGP_E_CEASE, BGP_E_CEASE_REJECTED, NULL, 0);
    link_last_words(sp, fd, buf, bgp_notification_write(&e, buf));
}

static void
take_connection(struct bgp_speaker *sp, int fd, const struct addr *peer,
                uint16_t port, const struct addr *local)
{
    uint8_t reason[BGP_MAX_SIZE];
    size_t n;
    struct neighbor *nb = find(sp, peer);
    nb = nb ? nb : add_dynamic(sp, peer);
    if (!nb) {
        refuse_stranger(sp, fd, peer);
        return;
    }
    int64_t now = clock_mono_ms();
    if (!bgp_session_admits(nb->session, now, reason, &n)) {
        link_last_words(sp, fd, reason, n);
    } else if (bgp_socket_gtsm(fd, peer, nb->config.ttl_security)) {
        counter_inc(&sp->n.bad_sockets);
        close(fd);
    } else if (!link_open(&nb->link[BGP_IN], fd, false)) {
        nb->link[BGP_IN].remote_port = port;
        bgp_session_accepted(nb->session, local, now);
    }
    neighbor_arm(nb);
}

static void
on_connection(struct ev_loop *loop, ev_io *w, int revents)
{
    struct listener *l = w->data;
    (void) loop;
    (void) revents;
    for (int i = 0; i < 16; i++) {      /* The rest comes next time. */
        struct addr peer, local;
        uint16_t port;
        int fd = bgp_socket_accept(l->fd, &peer, &port, &local);
        if (fd >= 0) {
            take_connection(l->speaker, fd, &peer, port, &local);
        } else if (fd != -EINTR && fd != -ECONNABORTED) {
            if (fd != -EAGAIN) {
                counter_inc(&l->speaker->n.bad_sockets);
                if (acceptor_failed(&l->acceptor, fd)) {
                    LOG_RATE(bgp, WARN, "cannot accept a session: %s",
                             strerror(-fd));
                }
            }
            return;
        }
    }
}

static void
close_listener(struct listener *l)
{
    if (l->fd >= 0) {
        acceptor_stop(&l->acceptor);
        close(l->fd);
        l->fd = -1;
    }
}

static void
start_listener(struct bgp_speaker *sp, struct listener *l)
{
    l->speaker = sp;
    acceptor_start(&l->acceptor, sp->loop, l->fd, on_connection, l,
                   BGP_ACCEPT_REST_S);
}

static uint16_t
port_of(int fd)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof ss;
    struct addr a;
    uint16_t port = 0;
    if (!getsockname(fd, (struct sockaddr *) &ss, &size)) {
        addr_from_sockaddr((struct sockaddr *) &ss, &a, &port);
    }
    return port;
}

/* Opens what is not open yet.  All or nothing. */
static int
open_listeners(struct bgp_speaker *sp, const struct bgp_speaker_config *c,
               char **error)
{
    struct listener new_[MAX_LISTEN];
    bool kept[MAX_LISTEN] = { false };
    size_t n = c->n_listen < MAX_LISTEN ? c->n_listen : MAX_LISTEN;
    for (size_t i = 0; i < n; i++) {
        new_[i] = (struct listener) { .at = c->listen[i], .fd = -1 };
        for (size_t k = 0; k < sp->n_listeners && new_[i].fd < 0; k++) {
            struct listener *old = &sp->listeners[k];
            if (!kept[k] && old->at.port == new_[i].at.port
                && addr_equal(&old->at.addr, &new_[i].at.addr)) {
                kept[k] = true;
                new_[i].fd = old->fd;
                new_[i].port = old->port;
            }
        }
        if (new_[i].fd >= 0) {
            continue;
        }
        int fd = bgp_socket_listen(&new_[i].at.addr, new_[i].at.port);
        if (fd < 0) {
            char text[ENDPOINT_STRLEN];
            endpoint_format(&new_[i].at.addr, new_[i].at.port, text);
            if (asprintf(error, "%s: %s", text, strerror(-fd)) < 0) {
                *error = NULL;
            }
            for (size_t k = 0; k < i; k++) {
                bool was = false;
                for (size_t m = 0; m < sp->n_listeners; m++) {
                    was |= sp->listeners[m].fd == new_[k].fd;
                }
                if (!was) {
                    close(new_[k].fd);
                }
            }
            return fd;
        }
        new_[i].fd = fd;
        new_[i].port = port_of(fd);
    }
    for (size_t k = 0; k < sp->n_listeners; k++) {
        acceptor_stop(&sp->listeners[k].acceptor);
        if (!kept[k]) {
            close_listener(&sp->listeners[k]);
        }
    }
    memcpy(sp->listeners, new_, n * sizeof new_[0]);
    sp->n_listeners = n;
    for (size_t i = 0; i < n; i++) {
        start_listener(sp, &sp->listeners[i]);
    }
    return 0;
}

/* ---- Configuration. ---- */

/* Keys of those who connect to us; 'on' false takes them away.  IPv4 keys on
 * IPv4 sockets, and so on. */
static void
set_key(struct bgp_speaker *sp, const struct prefix *peer, const char *key,
        bool on)
{
    for (size_t i = 0; i < sp->n_listeners; i++) {
        const struct listener *l = &sp->listeners[i];
        if (addr_is_v4(&l->at.addr) != addr_is_v4(&peer->addr)) {
            continue;
        }
        int error = bgp_socket_md5(l->fd, peer, on ? key : NULL);
        if (error && on) {
            char text[PREFIX_STRLEN];
            LOG(bgp, ERR, "%s: no TCP-MD5 key: %s",
                prefix_format(peer, text), strerror(-error));
        }
    }
}

static void
set_keys(struct bgp_speaker *sp, bool on)
{
    for (struct neighbor *nb = sp->neighbors; nb; nb = nb->next) {
        if (nb->config.password) {
            struct prefix peer = { nb->config.session.address, 128 };
            set_key(sp, &peer, nb->config.password, on);
        }
    }
    for (size_t i = 0; i < sp->n_ranges; i++) {
        if (sp->ranges[i].like.password) {
            set_key(sp, &sp->ranges[i].prefix, sp->ranges[i].like.password,
                    on);
        }
    }
}

static void
free_ranges(struct bgp_speaker *sp)
{
    for (size_t i = 0; i < sp->n_ranges; i++) {
        free(sp->ranges[i].like.password);
    }
    free(sp->ranges);
    free(sp->n_of_range);
    sp->ranges = NULL;
    sp->n_of_range = NULL;
    sp->n_ranges = 0;
}

/* Takes over an entry for a neighbour that is there.  A new key or TTL needs a
 * new connection. */
static void
change_neighbor(struct neighbor *nb, const struct bgp_neighbor *config)
{
    bool anew = !same_password(nb->config.password, config->password)
                || nb->config.ttl_security != config->ttl_security;
    free(nb->config.password);
    copy_neighbor(&nb->config, config);
    bgp_session_configure(nb->session, &config->session, clock_mono_ms());
    if (anew) {
        bgp_session_reset(nb->session, clock_mono_ms());
    }
    neighbor_arm(nb);
}

static int
change_neighbors(struct bgp_speaker *sp, const struct bgp_speaker_config *c)
{
    int result = 0;
    for (struct neighbor *nb = sp->neighbors; nb; nb = nb->next) {
        nb->keep = false;
    }
    for (size_t i = 0; i < c->n_neighbors; i++) {
        struct neighbor *nb = sp->neighbors;
        while (nb && !addr_equal(&nb->config.session.address,
                                 &c->neighbors[i].session.address)) {
            nb = nb->next;
        }
        if (nb) {
            change_neighbor(nb, &c->neighbors[i]);
        } else if ((nb = create_neighbor(sp, &c->neighbors[i]))) {
            struct neighbor **last = &sp->neighbors;
            while (*last) {
                last = &(*last)->next;
            }
            *last = nb;
            bgp_session_start(nb->session, clock_mono_ms());
            neighbor_arm(nb);
        } else {
            result = -ENOMEM;
            continue;
        }
        nb->keep = true;
    }
    for (struct neighbor **p = &sp->neighbors; *p; ) {
        struct neighbor *nb = *p;
        if (nb->keep) {
            p = &nb->next;
        } else {
            *p = nb->next;
            destroy_neighbor(nb);
        }
    }
    return result;
}

static bool
same_range(const struct bgp_range *a, const struct bgp_range *b)
{
    return a->prefix.len == b->prefix.len
           && addr_equal(&a->prefix.addr, &b->prefix.addr)
           && a->like.ttl_security == b->like.ttl_security
           && same_password(a->like.password, b->like.password);
}

/* Dynamic neighbours stay if their range does. */
static int
change_ranges(struct bgp_speaker *sp, const struct bgp_speaker_config *c)
{
    struct bgp_range *ranges = calloc(c->n_ranges + 1, sizeof *ranges);
    unsigned *n_of_range = calloc(c->n_ranges + 1, sizeof *n_of_range);
    if (!ranges || !n_of_range) {
        free(ranges);
        free(n_of_range);
        return -ENOMEM;
    }
    struct neighbor **p = &sp->dynamic;
    while (*p) {
        struct neighbor *nb = *p;
        size_t i = 0;
        while (i < c->n_ranges
               && !same_range(&sp->ranges[nb->range], &c->ranges[i])) {
            i++;
        }
        if (i == c->n_ranges) {
            *p = nb->next;
            destroy_neighbor(nb);
            continue;
        }
        struct bgp_neighbor like = c->ranges[i].like;
        like.session.address = nb->config.session.address;
        like.session.passive = true;
        nb->range = i;
        n_of_range[i]++;
        change_neighbor(nb, &like);
        p = &nb->next;
    }
    free_ranges(sp);
    for (size_t i = 0; i < c->n_ranges; i++) {
        ranges[i] = c->ranges[i];
        copy_neighbor(&ranges[i].like, &c->ranges[i].like);
    }
    sp->ranges = ranges;
    sp->n_of_range = n_of_range;
    sp->n_ranges = c->n_ranges;
    return 0;
}

int
bgp_speaker_configure(struct bgp_speaker *sp,
                      const struct bgp_speaker_config *c, char **error)
{
    *error = NULL;
    int result = open_listeners(sp, c, error);
    if (result) {
        return result;
    }
    set_keys(sp, false);
    /* Keys are there before anyone is asked to connect. */
    result = change_ranges(sp, c);
    if (!result) {
        result = change_neighbors(sp, c);
    }
    set_keys(sp, true);
    return result;
}

/* ---- Looking. ---- */

static bool
tell(const struct neighbor *nb, bgp_speaker_fn *each, void *aux)
{
    struct bgp_speaker_info info = {
        .dynamic = nb->dynamic, .md5 = nb->config.password != NULL,
        .ttl_security = nb->config.ttl_security,
    };
    bgp_session_info(nb->session, &info.session);
    const struct link *l = &nb->link[info.session.slot];
    if (l->fd >= 0) {
        info.remote_port = l->remote_port;
        info.local_port = port_of(l->fd);
        info.queued = l->n_out - l->at_out;
    }
    return each(aux, &info);
}

void
bgp_speaker_each(const struct bgp_speaker *sp, bgp_speaker_fn *each,
                 void *aux)
{
    const struct neighbor *lists[] = { sp->neighbors, sp->dynamic };
    for (int i = 0; i < 2; i++) {
        for (const struct neighbor *nb = lists[i]; nb; nb = nb->next) {
            if (!tell(nb, each, aux)) {
                return;
            }
        }
    }
}

int
bgp_speaker_reset(struct bgp_speaker *sp, const struct addr *a)
{
    struct neighbor *nb = find(sp, a);
    if (!nb) {
        return -ENOENT;
    }
    bgp_session_reset(nb->session, clock_mono_ms());
    neighbor_arm(nb);
    return 0;
}

int
bgp_speaker_refresh(struct bgp_speaker *sp, const struct addr *a)
{
    struct neighbor *nb = find(sp, a);
    struct bgp_session_info info;
    if (!nb) {
        return -ENOENT;
    }
    bgp_session_info(nb->session, &info);
    if (info.state != BGP_ESTABLISHED) {
        return -ENOTCONN;
    }
    return bgp_session_refresh(nb->session) ? 0 : -EOPNOTSUPP;
}

const struct bgp_speaker_counters *
bgp_speaker_counters(const struct bgp_speaker *sp)
{
    return &sp->n;
}

size_t
bgp_speaker_listening(const struct bgp_speaker *sp, struct bgp_listen *list,
                      size_t max)
{
    size_t n = sp->n_listeners < max ? sp->n_listeners : max;
    for (size_t i = 0; i < n; i++) {
        list[i] = (struct bgp_listen) { sp->listeners[i].at.addr,
                                        sp->listeners[i].port };
    }
    return n;
}

/* ---- Life. ---- */

struct bgp_speaker *
bgp_speaker_create(struct ev_loop *loop, const struct bgp_sink *sink,
                   const struct bgp_speaker_hooks *hooks)
{
    struct bgp_speaker *sp = calloc(1, sizeof *sp);
    if (!sp) {
        return NULL;
    }
    sp->loop = loop;
    sp->sink = *sink;
    sp->hooks = *hooks;
    sp->decoder = bgp_decoder_create();
    sp->seed = (uint32_t) seed_make();
    link_turns(sp);
    if (!sp->decoder) {
        bgp_speaker_destroy(sp);
        return NULL;
    }
    return sp;
}

void
bgp_speaker_destroy(struct bgp_speaker *sp)
{
    if (!sp) {
        return;
    }
    struct neighbor **lists[] = { &sp->neighbors, &sp->dynamic };
    for (int i = 0; i < 2; i++) {
        while (*lists[i]) {
            struct neighbor *nb = *lists[i];
            *lists[i] = nb->next;
            destroy_neighbor(nb);
        }
    }
    for (size_t i = 0; i < sp->n_listeners; i++) {
        close_listener(&sp->listeners[i]);
    }
    link_end_lingering(sp);
    ev_idle_stop(sp->loop, &sp->turn);
    free_ranges(sp);
    bgp_decoder_destroy(sp->decoder);
    free(sp);
}
