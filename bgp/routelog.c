#include <config.h>

#include "bgp/routelog_p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bgp/attribute.h"
#include "bgp/attrs.h"
#include "lib/log.h"
#include "lib/thread.h"

/* Without End-of-RIB a table is complete when nothing new has come for this
 * long; before its first route, that may take longer. */
#define QUIET_US (INT64_C(30) * 1000000)
#define PATIENCE_US (INT64_C(300) * 1000000)
/* A clock that is set back by more than this is believed. */
#define JITTER_US 1000000

#define COUNTER(NAME, DOC)                                              \
    { #NAME, offsetof(struct routelog_counters, NAME), DOC },
const struct counter_def routelog_counter_defs[] = {
    ROUTELOG_COUNTERS(COUNTER)
    { .name = NULL }
};

/* The first table of a peer's family. */
struct phase {
    bool loading;
    uint64_t n;
    int64_t last_us;            /* Of its last new route, or of its begin. */
};

struct routelog_phases {
    struct phase of[RIB_MAX_PEERS][BGP_N_FAMILIES];
    const struct rib_peer *peers[RIB_MAX_PEERS];
    unsigned n_loading;
    uint32_t n_peers;           /* Numbers are below. */
    uint8_t before[UINT16_MAX + 1], after[UINT16_MAX + 1];
};

/* ---- Buffers. ---- */

static struct routelog_chunk *
new_chunk(size_t room)
{
    struct routelog_chunk *c = malloc(sizeof *c + room);
    if (c) {
        memset(c, 0, sizeof *c);
        c->room = room;
    }
    return c;
}

/* The buffer that is being filled is closed; the mutex is held. */
static void
close_chunk(struct routelog *h)
{
    if (h->open) {
        *h->full_end = h->open;
        h->full_end = &h->open->next;
        h->open = NULL;
        pthread_cond_signal(&h->wake);
    }
}

static bool
chunk_hash(struct routelog_chunk *c, uint64_t hash)
{
    if (c->n_hashes == c->hashes_room) {
        uint32_t room = c->hashes_room ? 2 * c->hashes_room : 256;
        uint64_t *hashes = realloc(c->hashes, room * sizeof *hashes);
        if (!hashes) {
            return false;
        }
        c->hashes = hashes;
        c->hashes_room = room;
    }
    c->hashes[c->n_hashes++] = hash;
    return true;
}

static bool
chunk_add(struct routelog_chunk *c, const struct routelog_record *r,
          uint16_t number, const struct rib_peer *peer)
{
    uint8_t *p = c->data + c->n;
    size_t left = c->room - c->n, told = 0;
    if (peer && !(c->seen[number / 64] >> number % 64 & 1)) {
        told = routelog_peer_write(number, &peer->info, peer->name, p, left);
        if (!told) {
            return false;
        }
    }
    size_t size = routelog_record_write(r, number, p + told, left - told);
    bool of_peer = routelog_kind_of_peer(r->kind);
    if (!size || (!of_peer
                  && !chunk_hash(c, routelog_hash(&r->nlri.prefix)))) {
        return false;
    }
    uint64_t wide = of_peer ? 0 : routelog_wide_hash(&r->nlri.prefix);
    /* Neighbours in the table come one after the other. */
    if (wide && c->last_wide != wide && !chunk_hash(c, wide)) {
        return false;
    }
    c->last_wide = wide ? wide : c->last_wide;
    if (told) {
        c->seen[number / 64] |= UINT64_C(1) << number % 64;
    }
    c->n += told + size;
    c->has_peers |= of_peer;
    c->first_us = c->n_records++ ? c->first_us : r->time_us;
    c->last_us = r->time_us;
    return true;
}

/* The mutex is held.  False: no room. */
static bool
add_locked(struct routelog *h, struct routelog_record *r, uint16_t number,
           const struct rib_peer *peer)
{
    int64_t now = h->now_us();
    r->time_us = now > h->last_us || now < h->last_us - JITTER_US
                 ? now : h->last_us + 1;
    size_t room = ROUTELOG_RAW;
    for (int i = 0; i < 3; i++) {
        if (!h->open && h->n_chunks < ROUTELOG_MAX_CHUNKS) {
            h->open = new_chunk(room);
            h->n_chunks += h->open != NULL;
        }
        if (!h->open) {
            break;
        }
        if (chunk_add(h->open, r, number, peer)) {
            h->last_us = r->time_us;
            return true;
        }
        if (h->open->n) {
            close_chunk(h);
        } else {
            free(h->open->hashes);
            free(h->open);
            h->open = NULL;
            h->n_chunks--;
            room = ROUTELOG_MAX_RAW;     /* It is a long one. */
        }
    }
    return false;
}

void
routelog_add(struct routelog *h, struct routelog_record *r, uint16_t number,
            const struct rib_peer *peer)
{
    pthread_mutex_lock(&h->mutex);
    if (h->paused) {
        pthread_mutex_unlock(&h->mutex);
        return;
    }
    if (h->lost) {
        /* What is missing is told where it is missing. */
        struct routelog_record gap = { .kind = ROUTELOG_LOST, .n = h->lost };
        if (add_locked(h, &gap, ROUTELOG_NO_PEER, NULL)) {
            h->open->n_gaps++;
            h->open->n_missing += h->lost;
            h->lost = 0;
        }
    }
    if (!add_locked(h, r, number, peer)) {
        counter_inc(&h->n.lost);
        h->lost++;
    }
    pthread_mutex_unlock(&h->mutex);
}

void
routelog_flush(struct routelog *h)
{
    pthread_mutex_lock(&h->mutex);
    uint64_t mine = ++h->asked;
    pthread_cond_signal(&h->wake);
    while (h->written < mine && !h->stop) {
        pthread_cond_wait(&h->done, &h->mutex);
    }
    pthread_mutex_unlock(&h->mutex);
}

/* ---- What the RIB tells. ---- */

static void
add_peer(struct routelog *h, enum routelog_kind kind,
         const struct rib_peer *peer, int family, uint64_t n)
{
    struct routelog_record r = {
        .kind = kind, .has_family = family >= 0, .n = n,
        .nlri.family = family >= 0 ? (enum bgp_family) family : 0,
    };
    routelog_add(h, &r, (uint16_t) peer->number, peer);
}

static void
end_phase(struct routelog *h, const struct rib_peer *peer, enum bgp_family f)
{
    struct phase *p = &h->phases->of[peer->number][f];
    if (p->loading) {
        p->loading = false;
        h->phases->n_loading--;
        if (p->n) {
            add_peer(h, ROUTELOG_TABLE, peer, (int) f, p->n);
        }
    }
}

/* Whether a new route is part of a table that is told for the first time. */
static bool
is_loading(struct routelog *h, const struct rib_peer *peer, enum bgp_family f)
{
    struct phase *p = &h->phases->of[peer->number][f];
    if (!p->loading) {
        return false;
    }
    int64_t now = h->now_us();
    if (now - p->last_us > (p->n ? QUIET_US : PATIENCE_US)) {
        end_phase(h, peer, f);
        return false;
    }
    p->last_us = now;
    p->n++;
    return true;
}

static struct cursor
write_attrs(const struct attrs *set, uint8_t *buf)
{
    struct bgp_attrs a;
    struct attrs_extra e;
    if (!set) {
        return cur_init(NULL, 0);
    }
    attrs_unpack(set, &a, &e);
    return cur_init(buf, bgp_attrs_write(&a, buf, UINT16_MAX));
}

static bool
is_leak(const struct attrs *set)
{
    return set && attrs_has(set) & BGP_HAS_LEAK;
}

static void
on_route(void *log, const struct rib_change *c)
{
    static const enum routelog_kind kinds[] = {
        [RIB_NEW] = ROUTELOG_ANNOUNCE, [RIB_CHANGED] = ROUTELOG_CHANGE,
        [RIB_WITHDRAWN] = ROUTELOG_WITHDRAW, [RIB_EXPIRED] = ROUTELOG_EXPIRE,
    };
    struct routelog *h = log;
    if (h->paused) {
        return;
    }
    if (c->kind == RIB_NEW && is_loading(h, c->peer, c->nlri->family)) {
        counter_inc(&h->n.loaded);
        return;
    }
    struct routelog_record r = {
        .kind = kinds[c->kind], .nlri = *c->nlri, .best = c->best,
        .has_before = c->before != NULL, .has_after = c->after != NULL,
        .leak_before = is_leak(c->before), .leak_after = is_leak(c->after),
        .before = write_attrs(c->before, h->phases->before),
        .after = write_attrs(c->after, h->phases->after),
    };
    routelog_add(h, &r, (uint16_t) c->peer->number, c->peer);
}

static void
begin_phases(struct routelog *h, const struct rib_peer *peer)
{
    struct routelog_phases *all = h->phases;
    int64_t now = h->now_us();
    all->peers[peer->number] = peer;
    if (all->n_peers <= peer->number) {
        all->n_peers = peer->number + 1;
    }
    for (enum bgp_family f = 0; f < BGP_N_FAMILIES; f++) {
        struct phase *p = &all->of[peer->number][f];
        all->n_loading += !p->loading;
        *p = (struct phase) { .loading = true, .last_us = now };
    }
}

static void
end_phases(struct routelog *h, const struct rib_peer *peer)
{
    for (enum bgp_family f = 0; f < BGP_N_FAMILIES; f++) {
        end_phase(h, peer, f);
    }
    h->phases->peers[peer->number] = NULL;
}

static void
on_peer(void *log, enum rib_peer_change kind, const struct rib_peer *peer,
        int family, uint64_t n)
{
    struct routelog *h = log;
    switch (kind) {
    case RIB_PEER_UP:
        end_phases(h, peer);
        add_peer(h, ROUTELOG_PEER_UP, peer, -1, n);
        begin_phases(h, peer);
        break;
    case RIB_PEER_DOWN:
        end_phases(h, peer);
        add_peer(h, ROUTELOG_PEER_DOWN, peer, -1, n);
        break;
    case RIB_PEER_COMPLETE:
        end_phase(h, peer, (enum bgp_family) family);
        break;
    case RIB_PEER_PURGED:
        add_peer(h, ROUTELOG_PURGE, peer, family, n);
        break;
    default:
        break;
    }
}

struct rib_watch
routelog_watch(struct routelog *h)
{
    return (struct rib_watch) { h, on_route, on_peer };
}

void
routelog_tick(struct routelog *h)
{
    struct routelog_phases *all = h->phases;
    int64_t now = h->now_us();
    for (uint32_t i = 0; i < all->n_peers && all->n_loading; i++) {
        for (enum bgp_family f = 0; all->peers[i] && f < BGP_N_FAMILIES;
             f++) {
            const struct phase *p = &all->of[i][f];
            if (p->loading
                && now - p->last_us > (p->n ? QUIET_US : PATIENCE_US)) {
                end_phase(h, all->peers[i], f);
            }
        }
    }
}

/* ---- Life. ---- */

static void
destroy(struct routelog *h)
{
    pthread_mutex_destroy(&h->mutex);
    pthread_cond_destroy(&h->wake);
    pthread_cond_destroy(&h->done);
    free(h->phases);
    free(h->dir);
    free(h);
}

struct routelog *
routelog_open(const struct routelog_config *c, int *error)
{
    struct routelog *h = calloc(1, sizeof *h);
    *error = -ENOMEM;
    if (!h) {
        return NULL;
    }
    pthread_mutex_init(&h->mutex, NULL);
    pthread_cond_init(&h->wake, NULL);
    pthread_cond_init(&h->done, NULL);
    h->full_end = &h->full;
    h->fd = -1;
    h->now_us = c->now_us;
    h->retention_us = c->retention_us;
    h->max_bytes = c->max_bytes;
    h->dir = strdup(c->dir);
    h->phases = calloc(1, sizeof *h->phases);
    if (!h->dir || !h->phases) {
        destroy(h);
        return NULL;
    }
    if ((mkdir(h->dir, 0750) && errno != EEXIST)
        || access(h->dir, R_OK | W_OK | X_OK)) {
        *error = -errno;
        destroy(h);
        return NULL;
    }
    struct routelog_record start = { .kind = ROUTELOG_START };
    routelog_add(h, &start, ROUTELOG_NO_PEER, NULL);
    *error = thread_start(&h->writer, "routelog", routelog_writer, h);
    if (*error) {
        free(h->open);
        destroy(h);
        return NULL;
    }
    return h;
}

void
routelog_hold(struct routelog *h)
{
    pthread_mutex_lock(&h->mutex);
    h->n_holds++;
    pthread_mutex_unlock(&h->mutex);
}

void
routelog_release(struct routelog *h)
{
    pthread_mutex_lock(&h->mutex);
    h->n_holds--;
    pthread_cond_broadcast(&h->done);
    pthread_mutex_unlock(&h->mutex);
}

void
routelog_close(struct routelog *h)
{
    if (!h) {
        return;
    }
    atomic_store(&h->closing, true);
    pthread_mutex_lock(&h->mutex);
    while (h->n_holds) {
        pthread_cond_wait(&h->done, &h->mutex);
    }
    h->stop = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->mutex);
    pthread_join(h->writer, NULL);
    destroy(h);
}

void
routelog_configure(struct routelog *h, bool record, int64_t retention_us,
                   uint64_t max_bytes)
{
    pthread_mutex_lock(&h->mutex);
    h->paused = !record;
    h->retention_us = retention_us;
    h->max_bytes = max_bytes;
    pthread_mutex_unlock(&h->mutex);
}

const struct routelog_counters *
routelog_counters(const struct routelog *h)
{
    return &h->n;
}

void
routelog_size(const struct routelog *h_, uint64_t *n_files, uint64_t *bytes,
             int64_t *oldest_us)
{
    struct routelog *h = (struct routelog *) (uintptr_t) h_;
    pthread_mutex_lock(&h->mutex);
    *n_files = h->n_files;
    *bytes = h->bytes;
    *oldest_us = h->oldest_us;
    pthread_mutex_unlock(&h->mutex);
}
