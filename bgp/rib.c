#include <config.h>

#include "bgp/rib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bgp/rib_p.h"
#include "lib/dict.h"
#include "lib/mix.h"

#define DEFAULT_BYTES ((size_t) 8 << 30)
/* Freed memory may lie between what is used. */
#define ADDRESS_SPACE ((size_t) 32 << 30)
/* Of 256 epochs, so many may be in use before a sweep: for marking as stale, and
 * in all. */
#define MAX_MARKS 100
#define MAX_ADVANCES 200
#define NO_LLGR UINT32_C(0xffff0007)    /* RFC 9494 */
#define RECLAIM_EVERY 1024      /* Changes. */
#define DEFAULT_LOCAL_PREF 100
/* Paths of one peer for one prefix.  What is done for a route looks at all of
 * its prefix, so one message could keep the loop busy for long without these.
 * EVPN has one for each VLAN. */
#define MAX_PATHS 256
#define MAX_EVPN_PATHS 1024

struct rib *
rib_create(const struct rib_config *config)
{
    struct rib *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->max_bytes = config->max_bytes ? config->max_bytes : DEFAULT_BYTES;
    r->dict = config->dict;
    r->peers = calloc(RIB_MAX_PEERS, sizeof *r->peers);
    r->states = calloc(RIB_MAX_PEERS, sizeof *r->states);
    r->tables = calloc(MAX_TABLES, sizeof *r->tables);
    if (!r->peers || !r->states || !r->tables
        || arena_init(&r->arena, ADDRESS_SPACE)
        || attrs_table_init(&r->attrs, &r->arena)) {
        rib_destroy(r);
        return NULL;
    }
    for (enum table_kind k = TABLE_V4; k <= TABLE_V6; k++) {
        struct table *t = calloc(1, sizeof *t);
        if (!t || lpm_init(&t->lpm, &r->arena, true)) {
            free(t);
            rib_destroy(r);
            return NULL;
        }
        t->kind = k;
        r->tables[r->n_tables++] = t;
    }
    return r;
}

void
rib_destroy(struct rib *r)
{
    if (!r) {
        return;
    }
    for (uint32_t i = 0; i < r->n_tables; i++) {
        lpm_clear(&r->tables[i]->lpm);
        free(r->tables[i]);
    }
    attrs_table_clear(&r->attrs);
    arena_clear(&r->arena);
    free(r->tables);
    free(r->states);
    free(r->peers);
    free(r);
}

void
rib_set_memory(struct rib *r, size_t max_bytes)
{
    r->max_bytes = max_bytes ? max_bytes : DEFAULT_BYTES;
}

int
rib_add_watch(struct rib *r, const struct rib_watch *w)
{
    if (r->n_watches == RIB_MAX_WATCHES) {
        return -ENOSPC;
    }
    r->watches[r->n_watches++] = *w;
    return 0;
}

static void
tell_route(const struct rib *r, const struct rib_change *c)
{
    for (unsigned i = 0; i < r->n_watches; i++) {
        r->watches[i].route(r->watches[i].aux, c);
    }
}

static void
tell_peer(const struct rib *r, enum rib_peer_change kind, uint32_t peer,
          int family, uint64_t n)
{
    for (unsigned i = 0; i < r->n_watches; i++) {
        r->watches[i].peer(r->watches[i].aux, kind, &r->peers[peer].pub,
                           family, n);
    }
}

/* ---- Which route is better. ---- */

static uint32_t
local_pref_of(const struct attrs *a)
{
    return a->has_origin & BGP_HAS_LOCAL_PREF ? a->local_pref
                                              : DEFAULT_LOCAL_PREF;
}

#define LOWER(A, B) ((A) != (B) ? ((A) < (B) ? -1 : 1) : 0)

static inline uint8_t
leak_of(const struct attrs *a)
{
    return a->has_origin & BGP_HAS_LEAK ? 1 : 0;
}

/* RFC 4271 section 9.1.2.2, but that MED is compared between any neighbours:
 * else there would be no order.  A leak (RFC 9234) comes last: others would not
 * use it, but if there is no other route, traffic that comes has taken it. */
int
route_compare(const struct rib *rib, const struct route *ra,
              const struct route *rb)
{
    const struct peer_state *pa = &rib->states[ra->peer];
    const struct peer_state *pb = &rib->states[rb->peer];
    const struct attrs *a = attrs_at(&rib->arena, ra->attrs);
    const struct attrs *b = attrs_at(&rib->arena, rb->attrs);
    int order = LOWER(leak_of(a), leak_of(b));
    order = order ? order : LOWER(pa->rank, pb->rank);
    order = order ? order : LOWER(local_pref_of(b), local_pref_of(a));
    order = order ? order : LOWER(a->path_length, b->path_length);
    order = order ? order : LOWER(attrs_origin(a), attrs_origin(b));
    order = order ? order : LOWER(a->med, b->med);
    order = order ? order : LOWER(pb->ebgp, pa->ebgp);
    order = order ? order : LOWER(pa->id, pb->id);
    order = order ? order : memcmp(&pa->address, &pb->address,
                                   sizeof pa->address);
    order = order ? order : LOWER(ra->peer, rb->peer);
    order = order ? order : LOWER(ra->family, rb->family);
    return order ? order : LOWER(ra->path_id, rb->path_id);
}

static bool
may_stamp(const struct rib *rib, const struct route *r)
{
    return rib->states[r->peer].usable && route_live(rib->states, r);
}

static void
set_best(struct block *b, uint16_t best)
{
    __atomic_store_n(&b->best, best, __ATOMIC_RELEASE);
}

static void
find_best(const struct rib *rib, struct block *b)
{
    uint16_t best = NO_ROUTE;
    for (uint16_t i = 0; i < b->n; i++) {
        if (may_stamp(rib, &b->routes[i])
            && (best == NO_ROUTE || route_compare(rib, &b->routes[i],
                                                  &b->routes[best]) < 0)) {
            best = i;
        }
    }
    set_best(b, best);
}

/* Route 'i' is new or another one. */
static void
update_best(const struct rib *rib, struct block *b, uint16_t i)
{
    if (b->best == i || b->best == NO_ROUTE || b->best >= b->n
        || !may_stamp(rib, &b->routes[b->best])) {
        find_best(rib, b);
    } else if (may_stamp(rib, &b->routes[i])
               && route_compare(rib, &b->routes[i],
                                &b->routes[b->best]) < 0) {
        set_best(b, i);
    }
}

/* ---- Tables and keys. ---- */

static const struct {
    bool v4;                    /* Keys of 32 bits. */
    enum bgp_family family;     /* That prefixes are counted for. */
} kinds[N_TABLE_KINDS] = {
    [TABLE_V4] = { true, BGP_IPV4_UNICAST },
    [TABLE_V6] = { false, BGP_IPV6_UNICAST },
    [TABLE_VPN4] = { true, BGP_VPNV4 },
    [TABLE_VPN6] = { false, BGP_VPNV6 },
    [TABLE_EVPN_IP] = { false, BGP_EVPN },
    [TABLE_EVPN_MAC] = { false, BGP_EVPN },
    [TABLE_EVPN_MULTICAST] = { false, BGP_EVPN },
    [TABLE_EVPN_PREFIX] = { false, BGP_EVPN },
};

static enum table_kind
kind_of(const struct bgp_nlri *n)
{
    switch (n->family) {
    case BGP_IPV4_UNICAST:
    case BGP_IPV4_LABELED:
        return TABLE_V4;
    case BGP_IPV6_UNICAST:
    case BGP_IPV6_LABELED:
        return TABLE_V6;
    case BGP_VPNV4:
        return TABLE_VPN4;
    case BGP_VPNV6:
        return TABLE_VPN6;
    default:
        return n->evpn_type == 5 ? TABLE_EVPN_PREFIX
               : n->evpn_type == 3 ? TABLE_EVPN_MULTICAST
               : n->prefix.len ? TABLE_EVPN_IP : TABLE_EVPN_MAC;
    }
}

static struct table **
bucket_of(struct rib *r, enum table_kind kind, uint64_t rd)
{
    const uint64_t *seed = r->attrs.seed;       /* Peers choose RDs. */
    uint64_t h = mix64(rd ^ seed[0], (uint64_t) kind ^ seed[1]);
    return &r->buckets[h & (TABLE_BUCKETS - 1)];
}

static struct table *
new_table(struct rib *r, enum table_kind kind, uint64_t rd)
{
    struct table *t = NULL;
    if (r->n_tables < MAX_TABLES) {
        t = calloc(1, sizeof *t);
        if (!t || lpm_init(&t->lpm, &r->arena, false)) {
            free(t);
            return NULL;
        }
        r->tables[r->n_tables++] = t;
    } else {
        /* One that has become empty; the search is long, so it is not begun
         * again before one has. */
        for (uint32_t i = 2; i < r->n_tables && !t && !r->tables_full; i++) {
            t = r->tables[i]->lpm.n ? NULL : r->tables[i];
        }
        if (!t) {
            r->tables_full = true;
            return NULL;
        }
        struct table **link = bucket_of(r, t->kind, t->rd);
        while (*link != t) {
            link = &(*link)->next;
        }
        *link = t->next;
    }
    t->kind = kind;
    t->rd = rd;
    t->next = *bucket_of(r, kind, rd);
    *bucket_of(r, kind, rd) = t;
    return t;
}

static struct table *
table_of(struct rib *r, const struct bgp_nlri *n, bool create)
{
    enum table_kind kind = kind_of(n);
    if (kind <= TABLE_V6) {
        return r->tables[kind];
    }
    if (r->last_table && r->last_table->kind == kind
        && r->last_table->rd == n->rd) {
        return r->last_table;
    }
    struct table *t = *bucket_of(r, kind, n->rd);
    while (t && (t->kind != kind || t->rd != n->rd)) {
        t = t->next;
    }
    if (!t && create) {
        t = new_table(r, kind, n->rd);
    }
    r->last_table = t;
    return t;
}

/* Key and length of a destination in its table. */
static unsigned
key_of(const struct table *t, const struct bgp_nlri *n, struct lpm_key *key)
{
    if (t->kind == TABLE_EVPN_MAC) {
        *key = (struct lpm_key) { n->mac << 16, 0 };
        return 48;
    }
    bool v4 = kinds[t->kind].v4;
    unsigned len = n->prefix.len;
    *key = lpm_key_of(&n->prefix.addr, v4);
    return !v4 ? len : len > 96 ? len - 96 : 0;
}

/* What of the destination goes into the attributes; false: nothing. */
static bool
extra_of(const struct bgp_nlri *n, struct attrs_extra *e)
{
    memset(e, 0, sizeof *e);
    if (n->family == BGP_IPV4_UNICAST || n->family == BGP_IPV6_UNICAST) {
        return false;
    }
    e->label = n->label;
    e->n_labels = n->n_labels;
    if (n->family == BGP_EVPN) {
        e->mac = n->mac;
        e->label2 = n->label2;
        e->ethernet_tag = n->ethernet_tag;
        e->evpn_type = n->evpn_type;
        e->gateway = n->gateway;
        memcpy(e->esi, n->esi, sizeof e->esi);
    }
    return true;
}

/* ---- Routes. ---- */

static struct block *
block_at(const struct rib *r, uint32_t block)
{
    return arena_at(&r->arena, block);
}

/* EVPN: the tag and the MAC address are part of what a route is for. */
static bool
same_evpn(const struct rib *rib, const struct route *r,
          const struct bgp_nlri *n)
{
    struct attrs_extra e;
    attrs_get_extra(attrs_at(&rib->arena, r->attrs), &e);
    return e.ethernet_tag == n->ethernet_tag && e.mac == n->mac;
}

/* 'n_paths', if wanted: how many the peer has; right if there is no such
 * route. */
static uint16_t
find_route(const struct rib *rib, const struct block *b, uint32_t peer,
           const struct bgp_nlri *n, unsigned *n_paths)
{
    for (uint16_t i = 0; i < b->n; i++) {
        const struct route *r = &b->routes[i];
        if (n_paths && r->peer == peer) {
            *n_paths += route_live(rib->states, r);
        }
        if (r->peer == peer && r->path_id == n->path_id
            && r->family == n->family
            && (n->family != BGP_EVPN || same_evpn(rib, r, n))) {
            return i;
        }
    }
    return NO_ROUTE;
}

static uint8_t
epoch_of(const struct rib *rib, uint32_t peer, enum bgp_family f)
{
    return (uint8_t) atomic_load_explicit(&rib->states[peer].epochs[f],
                                          memory_order_relaxed);
}

/* Another block with the routes of 'old' (0: none) but 'without' (NO_ROUTE:
 * all) and room for 'room'.  0: no memory. */
static uint32_t
copy_block(struct rib *rib, uint32_t old, unsigned room, uint16_t without)
{
    uint32_t block = arena_alloc(&rib->arena, block_size(room));
    if (!block) {
        return 0;
    }
    struct block *b = block_at(rib, block);
    *b = (struct block) { .room = (uint16_t) room, .best = NO_ROUTE };
    if (old) {
        const struct block *from = block_at(rib, old);
        uint16_t n = from->n, cut = without < n ? without : n;
        b->len = from->len;
        memcpy(b->routes, from->routes, cut * sizeof b->routes[0]);
        b->n = cut;
        if (cut < n) {
            b->n = (uint16_t) (n - 1);
            memcpy(b->routes + cut, from->routes + cut + 1,
                   (size_t) (b->n - cut) * sizeof b->routes[0]);
        }
        b->best = (uint16_t) (from->best - (from->best != NO_ROUTE
                                            && from->best > without));
        /* To find the best one means to compare all of them. */
        if (without != NO_ROUTE
            && (from->best == without || b->best >= b->n
                || !may_stamp(rib, &b->routes[b->best]))) {
            find_best(rib, b);
        }
    }
    return block;
}

static void
retire_block(struct rib *rib, uint32_t block)
{
    arena_retire(&rib->arena, block, block_size(block_at(rib, block)->room));
}

/* Room that a prefix is likely to need: a route of each peer. */
static unsigned
first_room(const struct rib *rib)
{
    return rib->n_up < 1 ? 1 : rib->n_up > 4 ? 4 : rib->n_up;
}

/* Adds a route.  Returns 0 or a negative errno. */
static int
add_route(struct rib *rib, struct table *t, struct lpm_key key, unsigned len,
          uint32_t block, const struct route *route)
{
    struct block *b = block ? block_at(rib, block) : NULL;
    if (b && b->n < b->room) {
        b->routes[b->n] = *route;
        __atomic_store_n(&b->n, (uint16_t) (b->n + 1), __ATOMIC_RELEASE);
        update_best(rib, b, (uint16_t) (b->n - 1));
        return 0;
    }
    if (b && b->n >= MAX_ROUTES) {
        return -ENOSPC;
    }
    unsigned room = !b ? first_room(rib) : b->n < 4 ? b->n * 2u
                    : b->n + b->n / 2;
    room = room > MAX_ROUTES ? MAX_ROUTES : room;
    uint32_t new_ = copy_block(rib, block, room, NO_ROUTE);
    if (!new_) {
        return -ENOMEM;
    }
    struct block *nb = block_at(rib, new_);
    nb->len = (uint8_t) len;
    nb->routes[nb->n++] = *route;
    update_best(rib, nb, (uint16_t) (nb->n - 1));
    int error = lpm_set(&t->lpm, key, len, new_);
    if (error) {
        arena_free(&rib->arena, new_, block_size(room));
    } else if (block) {
        retire_block(rib, block);
    } else {
        rib->prefixes[t->kind]++;
    }
    return error;
}

/* Takes route 'i' out of its block, but for its reference to attributes.
 * Returns the block that is there now; 0: none. */
static uint32_t
drop_route(struct rib *rib, struct table *t, struct lpm_key key, unsigned len,
           uint32_t block, uint16_t i)
{
    struct block *b = block_at(rib, block);
    uint32_t new_ = 0;
    __atomic_store_n(&rib->n_routes, rib->n_routes - 1, __ATOMIC_RELAXED);
    if (b->n == 1) {
        if (!lpm_remove(&t->lpm, key, len)) {
            rib->tables_full &= t->lpm.n != 0;
            rib->prefixes[t->kind]--;
            retire_block(rib, block);
            return 0;
        }
    } else {
        new_ = copy_block(rib, block, b->room, i);
        if (new_ && !lpm_set(&t->lpm, key, len, new_)) {
            retire_block(rib, block);
            return new_;
        }
    }
    /* No memory for a copy: in place.  A reader who looks just now may take
     * one route for the other. */
    uint16_t last = (uint16_t) (b->n - 1);
    b->routes[i] = b->routes[last];
    __atomic_store_n(&b->n, last, __ATOMIC_RELEASE);
    find_best(rib, b);
    return block;
}

static inline bool
has_bit(const uint64_t *bits, unsigned i)
{
    return bits[i / 64] >> i % 64 & 1;
}

/* Puts a block in the place of '*block' that is without the routes in 'gone' (0:
 * none is left); the caller lets go of their attributes, then of the old block.
 * One copy for all of them: with one for each, what waits to be freed would grow
 * as their square.  False: no memory, and nothing has changed. */
static bool
drop_routes(struct rib *rib, struct table *t, struct lpm_key key, unsigned len,
            uint32_t *block, const uint64_t *gone, uint16_t n_gone)
{
    const struct block *b = block_at(rib, *block);
    uint32_t new_ = 0;
    if (n_gone == b->n) {
        if (lpm_remove(&t->lpm, key, len)) {
            return false;
        }
        rib->tables_full &= t->lpm.n != 0;
        rib->prefixes[t->kind]--;
    } else {
        new_ = arena_alloc(&rib->arena, block_size(b->room));
        if (!new_) {
            return false;
        }
        struct block *nb = block_at(rib, new_);
        *nb = (struct block) { .room = b->room, .best = NO_ROUTE,
                               .len = b->len };
        for (uint16_t i = 0; i < b->n; i++) {
            if (!has_bit(gone, i)) {
                nb->routes[nb->n++] = b->routes[i];
            }
        }
        find_best(rib, nb);
        if (lpm_set(&t->lpm, key, len, new_)) {
            arena_free(&rib->arena, new_, block_size(b->room));
            return false;
        }
    }
    __atomic_store_n(&rib->n_routes, rib->n_routes - n_gone,
                     __ATOMIC_RELAXED);
    *block = new_;
    return true;
}

static bool
peer_up_at(const struct rib *rib, uint32_t peer)
{
    return peer < rib->n_peers && rib->peers[peer].pub.up;
}

static size_t
bytes_in_use(const struct rib *rib)
{
    return rib->arena.allocated;
}

/* Another route instead of one that is there. */
static void
replace_route(struct rib *rib, uint32_t peer, const struct bgp_nlri *n,
              struct block *b, uint16_t i, uint32_t set)
{
    struct route *r = &b->routes[i];
    struct rib_peer *p = &rib->peers[peer].pub;
    uint8_t epoch = epoch_of(rib, peer, n->family);
    bool live = route_live(rib->states, r);
    uint32_t old = r->attrs;

    if (live && r->epoch != epoch) {
        p->stale[n->family]--;
    }
    __atomic_store_n(&r->epoch, epoch, __ATOMIC_RELAXED);
    if (live && old == set) {
        rib->n.repeated++;
        attrs_unref(&rib->attrs, set);
        return;
    }
    bool best = live && b->best == i;
    __atomic_store_n(&r->attrs, set, __ATOMIC_RELEASE);
    update_best(rib, b, i);
    if (live) {
        rib->n.changed++;
    } else {
        p->routes[n->family]++;
    }
    if (rib->n_watches) {
        tell_route(rib, &(struct rib_change) {
            live ? RIB_CHANGED : RIB_NEW, p, n,
            live ? attrs_at(&rib->arena, old) : NULL,
            attrs_at(&rib->arena, set), best || b->best == i });
    }
    attrs_unref(&rib->attrs, old);
}

static void
sink_announce(void *rib_, uint32_t peer, const struct bgp_nlri *n,
              const struct bgp_attrs *a)
{
    struct rib *rib = rib_;
    struct attrs_extra extra;
    struct lpm_key key;

    if (!peer_up_at(rib, peer)) {
        rib->n.unknown_peer++;
        return;
    }
    if (++rib->n.announced % RECLAIM_EVERY == 0) {
        arena_reclaim(&rib->arena, 2 * RECLAIM_EVERY);
    }
    bool with_extra = extra_of(n, &extra);
    struct table *t = table_of(rib, n, true);
    uint32_t set = t ? attrs_ref(&rib->attrs, a, with_extra ? &extra : NULL)
                     : 0;
    if (!set) {
        rib->n.refused_memory++;
        return;
    }
    unsigned len = key_of(t, n, &key);
    uint32_t block = lpm_get(&t->lpm, key, len);
    unsigned n_paths = 0;
    uint16_t i = block ? find_route(rib, block_at(rib, block), peer, n,
                                    &n_paths) : NO_ROUTE;
    if (i != NO_ROUTE) {
        replace_route(rib, peer, n, block_at(rib, block), i, set);
        return;
    }
    struct route route = {
        .attrs = set, .path_id = n->path_id, .peer = (uint16_t) peer,
        .epoch = epoch_of(rib, peer, n->family),
        .family = (uint8_t) n->family,
    };
    unsigned most = n->family == BGP_EVPN ? MAX_EVPN_PATHS : MAX_PATHS;
    int error = n_paths >= most ? -ENOSPC
                : bytes_in_use(rib) > rib->max_bytes
                ? -ENOMEM : add_route(rib, t, key, len, block, &route);
    if (error) {
        attrs_unref(&rib->attrs, set);
        *(error == -ENOSPC ? &rib->n.refused_paths
                           : &rib->n.refused_memory) += 1;
        return;
    }
    __atomic_store_n(&rib->n_routes, rib->n_routes + 1, __ATOMIC_RELAXED);
    rib->peers[peer].pub.routes[n->family]++;
    if (rib->n_watches) {
        const struct block *b = block_at(rib, lpm_get(&t->lpm, key, len));
        tell_route(rib, &(struct rib_change) {
            RIB_NEW, &rib->peers[peer].pub, n, NULL,
            attrs_at(&rib->arena, set), b->best == b->n - 1 });
    }
}

static void
sink_withdraw(void *rib_, uint32_t peer, const struct bgp_nlri *n)
{
    struct rib *rib = rib_;
    struct lpm_key key;

    if (!peer_up_at(rib, peer)) {
        rib->n.unknown_peer++;
        return;
    }
    struct table *t = table_of(rib, n, false);
    unsigned len = t ? key_of(t, n, &key) : 0;
    uint32_t block = t ? lpm_get(&t->lpm, key, len) : 0;
    uint16_t i = block ? find_route(rib, block_at(rib, block), peer, n, NULL)
                       : NO_ROUTE;
    if (i == NO_ROUTE || !route_live(rib->states,
                                     &block_at(rib, block)->routes[i])) {
        rib->n.unknown_withdrawn++;
        return;
    }
    struct rib_peer *p = &rib->peers[peer].pub;
    struct route r = block_at(rib, block)->routes[i];
    if (r.epoch != epoch_of(rib, peer, n->family)) {
        p->stale[n->family]--;
    }
    p->routes[n->family]--;
    if (++rib->n.withdrawn % RECLAIM_EVERY == 0) {
        arena_reclaim(&rib->arena, 2 * RECLAIM_EVERY);
    }
    bool best = block_at(rib, block)->best == i;
    drop_route(rib, t, key, len, block, i);
    if (rib->n_watches) {
        tell_route(rib, &(struct rib_change) {
            RIB_WITHDRAWN, p, n, attrs_at(&rib->arena, r.attrs), NULL,
            best });
    }
    attrs_unref(&rib->attrs, r.attrs);
}

/* ---- Clearing up. ---- */

static void
finish_sweep(struct rib *rib)
{
    rib->sweeping = false;
    for (uint32_t i = 0; i < rib->n_peers; i++) {
        struct peer *p = &rib->peers[i];
        for (int f = 0; f < BGP_N_FAMILIES; f++) {
            p->advances[f] -= p->swept[f];
            p->swept[f] = 0;
        }
        if (rib->sweep_wanted) {
            continue;           /* Something was marked meanwhile. */
        }
        p->bulk = 0;
        if (p->leaving) {
            p->leaving = p->used = false;
            rib->peers_seq++;
        }
    }
}

struct sweep {
    struct rib *rib;
    struct table *table;
    unsigned budget;
};

static void
fill_nlri(const struct table *t, struct lpm_key key, unsigned len,
          const struct route *r, const struct attrs_extra *e,
          struct bgp_nlri *n)
{
    bool v4 = kinds[t->kind].v4;
    *n = (struct bgp_nlri) {
        .family = r->family, .path_id = r->path_id, .rd = t->rd,
        .prefix = { lpm_addr_of(key, v4), (uint8_t) (len + (v4 ? 96 : 0)) },
        .label = e->label, .label2 = e->label2, .n_labels = e->n_labels,
        .evpn_type = e->evpn_type, .ethernet_tag = e->ethernet_tag,
        .mac = e->mac, .gateway = e->gateway,
    };
    memcpy(n->esi, e->esi, sizeof n->esi);
    if (t->kind == TABLE_EVPN_MAC) {
        memset(&n->prefix, 0, sizeof n->prefix);
    }
}

/* A stale route that was not told again goes; those of a peer that is gone are
 * not told of one by one. */
static void
tell_expired(const struct sweep *s, struct lpm_key key, unsigned len,
             const struct route *r, bool best)
{
    const struct peer *p = &s->rib->peers[r->peer];
    struct bgp_attrs a;
    struct attrs_extra e;
    struct bgp_nlri n;
    if (p->leaving || p->bulk >> r->family & 1) {
        return;
    }
    const struct attrs *before = attrs_at(&s->rib->arena, r->attrs);
    attrs_unpack(before, &a, &e);
    fill_nlri(s->table, key, len, r, &e, &n);
    tell_route(s->rib, &(struct rib_change) {
        RIB_EXPIRED, &p->pub, &n, before, NULL, best });
}

/* A stale route that may not be kept for long. */
static bool
outlived(const struct rib *rib, const struct route *r)
{
    if (!(rib->peers[r->peer].no_llgr >> r->family & 1)
        || r->epoch == epoch_of(rib, r->peer, r->family)) {
        return false;
    }
    struct bgp_attrs a;
    struct attrs_extra extra;
    attrs_unpack(attrs_at(&rib->arena, r->attrs), &a, &extra);
    for (uint32_t i = 0; i < a.n_communities; i++) {
        if (a.communities[i] == NO_LLGR) {
            return true;
        }
    }
    return false;
}

/* Which routes of a block are to go, and how many. */
static uint16_t
find_gone(const struct sweep *s, uint32_t block, uint64_t *gone)
{
    const struct rib *rib = s->rib;
    const struct block *b = block_at(rib, block);
    uint16_t n_gone = 0;
    memset(gone, 0, (b->n + 63u) / 64 * sizeof *gone);
    for (uint16_t i = 0; i < b->n; i++) {
        const struct route *r = &b->routes[i];
        bool live = route_live(rib->states, r);
        if (live && !outlived(rib, r)) {
            continue;
        }
        if (live) {
            rib->peers[r->peer].pub.routes[r->family]--;
            rib->peers[r->peer].pub.stale[r->family]--;
        }
        gone[i / 64] |= UINT64_C(1) << i % 64;
        n_gone++;
    }
    return n_gone;
}

/* Returns the block that is there now; 0: none. */
static uint32_t
drop_gone(const struct sweep *s, struct lpm_key key, unsigned len,
          uint32_t block, const uint64_t *gone, uint16_t n_gone)
{
    struct rib *rib = s->rib;
    const struct block *b = block_at(rib, block);
    uint32_t now = block;
    for (uint16_t i = 0; rib->n_watches && i < b->n; i++) {
        if (has_bit(gone, i)) {
            tell_expired(s, key, len, &b->routes[i], b->best == i);
        }
    }
    rib->n.swept += n_gone;
    if (drop_routes(rib, s->table, key, len, &now, gone, n_gone)) {
        for (uint16_t i = 0; i < b->n; i++) {
            if (has_bit(gone, i)) {
                attrs_unref(&rib->attrs, b->routes[i].attrs);
            }
        }
        retire_block(rib, block);
        return now;
    }
    /* One by one, from the end: a route may take the place of another one
     * before it. */
    for (uint16_t i = b->n; i-- > 0;) {
        if (has_bit(gone, i)) {
            uint32_t set = block_at(rib, now)->routes[i].attrs;
            now = drop_route(rib, s->table, key, len, now, i);
            attrs_unref(&rib->attrs, set);
        }
    }
    return now;
}

static bool
sweep_prefix(void *sweep_, struct lpm_key key, unsigned len, uint32_t block)
{
    struct sweep *s = sweep_;
    struct rib *rib = s->rib;
    if (!s->budget) {
        rib->sweep_key = key;
        rib->sweep_len = len;
        return false;
    }
    s->budget--;
    uint64_t gone[MAX_ROUTES / 64];
    uint16_t n_gone = find_gone(s, block, gone);
    if (n_gone) {
        block = drop_gone(s, key, len, block, gone, n_gone);
        s->budget -= n_gone < s->budget ? n_gone : s->budget;
    }
    struct block *b = block ? block_at(rib, block) : NULL;
    /* The best one may be another without a change here. */
    if (b && (b->best == NO_ROUTE
              || !may_stamp(rib, &b->routes[b->best]))) {
        find_best(rib, b);
    }
    return true;
}

/* Returns what is left of 'budget'. */
static unsigned
sweep(struct rib *rib, unsigned budget)
{
    struct sweep s = { rib, NULL, budget };
    if (!rib->sweeping) {
        rib->sweeping = true;
        rib->sweep_wanted = false;
        rib->sweep_table = 0;
        rib->sweep_key = (struct lpm_key) { 0, 0 };
        rib->sweep_len = 0;
        for (uint32_t i = 0; i < rib->n_peers; i++) {
            struct peer *p = &rib->peers[i];
            memcpy(p->swept, p->advances, sizeof p->swept);
        }
    }
    while (rib->sweep_table < rib->n_tables && s.budget) {
        s.table = rib->tables[rib->sweep_table];
        if (!lpm_walk(&s.table->lpm, (struct lpm_key) { 0, 0 }, 0,
                      rib->sweep_key, rib->sweep_len, sweep_prefix, &s)) {
            return 0;
        }
        s.budget -= s.budget != 0;
        rib->sweep_table++;
        rib->sweep_key = (struct lpm_key) { 0, 0 };
        rib->sweep_len = 0;
    }
    if (rib->sweep_table == rib->n_tables) {
        finish_sweep(rib);
    }
    return s.budget;
}

bool
rib_busy(const struct rib *rib)
{
    return rib->sweeping || rib->sweep_wanted || arena_pending(&rib->arena);
}

bool
rib_work(struct rib *rib, unsigned budget)
{
    budget -= arena_reclaim(&rib->arena, budget / 2);
    if (rib->sweeping || rib->sweep_wanted) {
        sweep(rib, budget);
    }
    return rib->sweeping || rib->sweep_wanted;
}

/* A new epoch of the peer's family; with 'all' what was before is gone, without
 * 'all' it is stale. */
static void
advance(struct rib *rib, uint32_t peer, enum bgp_family f, bool all)
{
    struct peer *p = &rib->peers[peer];
    if (p->advances[f] >= MAX_ADVANCES) {
        /* Before numbers come round.  Sessions cannot come and go so fast, and
         * files wait until all is cleared up (sink_ready()). */
        uint16_t old = atomic_load(&rib->states[peer].epochs[f]);
        atomic_store(&rib->states[peer].epochs[f],
                     (uint16_t) ((old & 0xff) * 0x101));
        p->pub.routes[f] -= p->pub.stale[f];
        p->pub.stale[f] = 0;
        do {
            rib->sweep_wanted = true;
            rib->sweeping = false;
            sweep(rib, UINT32_MAX);
        } while (rib->sweeping || rib->sweep_wanted);
        p->advances[f] = 0;
        rib->n.long_sweeps++;
    }
    p->advances[f]++;
    rib->sweep_wanted |= p->advances[f] >= MAX_MARKS / 2;
    uint16_t e = atomic_load(&rib->states[peer].epochs[f]);
    uint8_t cur = (uint8_t) (e + 1), min = all ? cur : (uint8_t) (e >> 8);
    atomic_store(&rib->states[peer].epochs[f],
                 (uint16_t) (min << 8 | cur));
    if (all) {
        p->bulk |= 1u << f;
        rib->sweep_wanted |= p->pub.routes[f] != 0;
        p->pub.routes[f] = p->pub.stale[f] = 0;
    } else {
        p->pub.stale[f] = p->pub.routes[f];
    }
}

static void
drop_stale(struct rib *rib, uint32_t peer, enum bgp_family f)
{
    struct rib_peer *p = &rib->peers[peer].pub;
    uint16_t e = atomic_load(&rib->states[peer].epochs[f]);
    atomic_store(&rib->states[peer].epochs[f],
                 (uint16_t) ((e & 0xff) * 0x101));
    rib->sweep_wanted |= p->stale[f] != 0;
    p->routes[f] -= p->stale[f];
    p->stale[f] = 0;
}

static bool
known(const struct rib *rib, uint32_t peer, enum bgp_family f)
{
    return peer < rib->n_peers && rib->peers[peer].used
           && f < BGP_N_FAMILIES;
}

static void
sink_mark_stale(void *rib_, uint32_t peer, enum bgp_family f)
{
    struct rib *rib = rib_;
    struct peer *p = known(rib, peer, f) ? &rib->peers[peer] : NULL;
    if (!p) {
        return;
    }
    p->pub.complete[f] = false;
    p->no_llgr &= ~(1u << f);
    if (p->pub.routes[f] && p->advances[f] >= MAX_MARKS) {
        rib->n.refused_marks++;
    } else if (p->pub.routes[f]) {
        advance(rib, peer, f, false);
    }
}

static void
sink_long_lived(void *rib_, uint32_t peer, enum bgp_family f)
{
    struct rib *rib = rib_;
    if (known(rib, peer, f) && rib->peers[peer].pub.stale[f]) {
        rib->peers[peer].no_llgr |= 1u << f;
        rib->sweep_wanted = true;
    }
}

static void
sink_purge(void *rib_, uint32_t peer, enum bgp_family f, bool stale_only)
{
    struct rib *rib = rib_;
    if (!known(rib, peer, f)) {
        return;
    }
    if (stale_only) {
        drop_stale(rib, peer, f);
    } else if (rib->peers[peer].pub.routes[f]) {
        uint64_t n = rib->peers[peer].pub.routes[f];
        advance(rib, peer, f, true);
        tell_peer(rib, RIB_PEER_PURGED, peer, (int) f, n);
    }
}

static bool
sink_ready(void *rib_, uint32_t peer)
{
    struct rib *rib = rib_;
    bool ready = true;
    for (int f = 0; known(rib, peer, 0) && f < BGP_N_FAMILIES; f++) {
        ready &= rib->peers[peer].advances[f] < MAX_MARKS;
    }
    return ready;
}

static void
sink_end_of_rib(void *rib_, uint32_t peer, enum bgp_family f)
{
    struct rib *rib = rib_;
    if (known(rib, peer, f)) {
        drop_stale(rib, peer, f);
        rib->peers[peer].pub.complete[f] = true;
        tell_peer(rib, RIB_PEER_COMPLETE, peer, (int) f,
                  rib->peers[peer].pub.routes[f]);
    }
}

/* ---- Peers. ---- */

static bool
same_peer(const struct bgp_peer_info *a, const struct bgp_peer_info *b)
{
    return a->kind == b->kind && a->view == b->view && a->rd == b->rd
           && addr_equal(&a->address, &b->address)
           && addr_equal(&a->router, &b->router);
}

/* What a router really uses, before what it was told and accepted, before all
 * that it was told. */
static uint8_t
rank_of(const struct bgp_peer_info *info)
{
    return info->kind != BGP_PEER_BMP ? 1
           : info->view == BGP_VIEW_LOCAL ? 0
           : info->view == BGP_VIEW_IN_POST ? 1 : 2;
}

static void
name_peer(struct rib_peer *p, const struct bgp_peer_info *info)
{
    static const char *const views[] = {
        [BGP_VIEW_IN_PRE] = "pre-policy", [BGP_VIEW_IN_POST] = "post-policy",
        [BGP_VIEW_OUT_PRE] = "out pre-policy",
        [BGP_VIEW_OUT_POST] = "out post-policy", [BGP_VIEW_LOCAL] = "loc-rib",
    };
    char address[ADDR_STRLEN], router[ADDR_STRLEN];
    const char *name = info->name && *info->name
                       ? info->name : addr_format(&info->address, address);
    if (info->kind != BGP_PEER_BMP) {
        snprintf(p->name, sizeof p->name, "%s", name);
    } else if (info->view == BGP_VIEW_LOCAL) {
        snprintf(p->name, sizeof p->name, "%s loc-rib",
                 addr_format(&info->router, router));
    } else {
        snprintf(p->name, sizeof p->name, "%s %.28s%s%s",
                 addr_format(&info->router, router), name,
                 info->view == BGP_VIEW_IN_PRE ? "" : " ",
                 info->view == BGP_VIEW_IN_PRE ? "" : views[info->view]);
    }
    p->info.name = p->name;
}

/* It has come and gone faster than we clear up: its numbers of epochs are
 * needed. */
static bool
worn(const struct peer *p)
{
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        if (p->advances[f] >= MAX_MARKS) {
            return p->leaving;
        }
    }
    return false;
}

static struct peer *
find_peer(struct rib *rib, const struct bgp_peer_info *info)
{
    struct peer *free_ = NULL;
    for (uint32_t i = 0; i < rib->n_peers; i++) {
        struct peer *p = &rib->peers[i];
        if (p->used && same_peer(&p->pub.info, info) && !worn(p)) {
            return p;
        }
        if (!p->used && !free_) {
            free_ = p;
        }
    }
    if (!free_ && rib->n_peers < RIB_MAX_PEERS) {
        free_ = &rib->peers[rib->n_peers];
        free_->pub.number = rib->n_peers++;
    }
    return free_;
}

/* Readers may be looking, so nothing is written that is so already. */
static void
set_state(struct rib *rib, struct peer_state *s,
          const struct bgp_peer_info *info, const char *name)
{
    uint32_t id = rib->dict ? dict_passing(rib->dict, name, strlen(name)) : 0;
    bool usable = info->view != BGP_VIEW_OUT_PRE
                  && info->view != BGP_VIEW_OUT_POST;
    bool ebgp = info->as != info->local_as;
    uint8_t rank = rank_of(info);
    if (s->usable != usable || s->ebgp != ebgp || s->rank != rank
        || s->id != info->id || s->as != info->as || s->name != id
        || !addr_equal(&s->address, &info->address)) {
        s->usable = usable;
        s->ebgp = ebgp;
        s->rank = rank;
        s->id = info->id;
        s->as = info->as;
        if (s->name != id) {
            dict_hold(rib->dict, id);
            dict_release(rib->dict, s->name);
            s->name = id;
        }
        s->address = info->address;
    }
}

static uint32_t
sink_peer_up(void *rib_, const struct bgp_peer_info *info)
{
    struct rib *rib = rib_;
    struct peer *p = find_peer(rib, info);
    if (!p) {
        rib->n.refused_peers++;
        return RIB_NO_PEER;
    }
    struct peer_state *s = &rib->states[p->pub.number];
    p->used = true;
    p->leaving = false;
    rib->n_up += !p->pub.up;
    p->pub.up = true;
    p->pub.info = *info;
    memset(p->pub.complete, 0, sizeof p->pub.complete);
    name_peer(&p->pub, info);
    set_state(rib, s, info, p->pub.name);
    rib->peers_seq++;
    uint64_t n = 0;
    for (enum bgp_family f = 0; f < BGP_N_FAMILIES; f++) {
        n += p->pub.routes[f];
    }
    tell_peer(rib, RIB_PEER_UP, p->pub.number, -1, n);
    return p->pub.number;
}

static void
sink_peer_down(void *rib_, uint32_t peer)
{
    struct rib *rib = rib_;
    if (!known(rib, peer, 0)) {
        return;
    }
    struct peer *p = &rib->peers[peer];
    uint64_t n = 0;
    for (enum bgp_family f = 0; f < BGP_N_FAMILIES; f++) {
        n += p->pub.routes[f];
        if (p->pub.routes[f]) {
            advance(rib, peer, f, true);
        }
    }
    rib->n_up -= p->pub.up;
    p->pub.up = false;
    p->leaving = true;
    p->no_llgr = 0;
    rib->sweep_wanted = true;
    rib->peers_seq++;
    tell_peer(rib, RIB_PEER_DOWN, peer, -1, n);
}

const struct rib_peer *
rib_peer(const struct rib *rib, uint32_t number)
{
    return number < rib->n_peers && rib->peers[number].used
           ? &rib->peers[number].pub : NULL;
}

uint32_t
rib_n_peers(const struct rib *rib)
{
    return rib->n_peers;
}

struct bgp_sink
rib_sink(struct rib *rib)
{
    return (struct bgp_sink) {
        .aux = rib,
        .peer_up = sink_peer_up,
        .peer_down = sink_peer_down,
        .announce = sink_announce,
        .withdraw = sink_withdraw,
        .end_of_rib = sink_end_of_rib,
        .mark_stale = sink_mark_stale,
        .long_lived = sink_long_lived,
        .purge = sink_purge,
        .ready = sink_ready,
    };
}

void
rib_stats(const struct rib *rib, struct rib_stats *s)
{
    memset(s, 0, sizeof *s);
    for (enum table_kind k = 0; k < N_TABLE_KINDS; k++) {
        s->prefixes[kinds[k].family] += rib->prefixes[k];
    }
    for (uint32_t i = 0; i < rib->n_peers; i++) {
        s->peers += rib->peers[i].used;
        for (enum bgp_family f = 0; f < BGP_N_FAMILIES; f++) {
            s->routes += rib->peers[i].pub.routes[f];
        }
    }
    s->attrs = rib->attrs.n;
    s->bytes = rib->arena.allocated;
    s->n = rib->n;
}

/* ---- Queries. ---- */

struct run {
    const struct rib *rib;
    const struct rib_query *q;
    struct rib_cursor *at;
    rib_route_fn *each;
    void *aux;
    const struct table *table;
    struct lpm_key from;        /* Where it goes on; */
    unsigned from_len;
    uint32_t skip;              /* so many routes were done. */
    uint64_t steps;
    bool one;                   /* Something of the prefix matched. */
};

static bool
wanted(const struct run *u, const struct route *r)
{
    return (u->q->peer == RIB_NO_PEER || u->q->peer == r->peer)
           && (!u->q->families || u->q->families >> r->family & 1)
           && route_live(u->rib->states, r);
}

/* The routes of a prefix.  False: stop here. */
static bool
run_block(struct run *u, struct lpm_key key, unsigned len, uint32_t block)
{
    const struct rib *rib = u->rib;
    const struct block *b = block_at(rib, block);
    bool resumed = u->skip && len == u->from_len && key.hi == u->from.hi
                   && key.lo == u->from.lo;
    uint16_t i = !resumed ? 0
                 : (uint16_t) (u->skip < b->n ? u->skip : b->n);

    for (; i < b->n; i++) {
        const struct route *r = &b->routes[i];
        struct rib_route answer = { .best = b->best == i };
        struct bgp_attrs a;
        struct attrs_extra e;
        bool out_of_steps = u->q->max_steps
                            && u->steps++ >= u->q->max_steps;
        if (!out_of_steps && !wanted(u, r)) {
            continue;
        }
        answer.attrs = attrs_at(&rib->arena, r->attrs);
        answer.peer = &rib->peers[r->peer].pub;
        answer.stale = r->epoch != epoch_of(rib, r->peer, r->family);
        attrs_unpack(answer.attrs, &a, &e);
        fill_nlri(u->table, key, len, r, &e, &answer.nlri);
        if (out_of_steps || !u->each(u->aux, &answer)) {
            bool v4 = kinds[u->table->kind].v4;
            u->at->prefix.addr = lpm_addr_of(key, v4);
            u->at->prefix.len = (uint8_t) (len + (v4 ? 96 : 0));
            u->at->rd = u->table->rd;
            u->at->skip = i;
            return false;
        }
        u->one = true;
    }
    return true;
}

static bool
run_each(void *run_, struct lpm_key key, unsigned len, uint32_t block)
{
    return run_block(run_, key, len, block);
}

/* The query's prefix as a key of the table; false: nothing of it is there. */
static bool
query_key(const struct table *t, const struct prefix *p, struct lpm_key *key,
          unsigned *len)
{
    struct prefix v4_all = { { { [10] = 0xff, [11] = 0xff } }, 96 };
    bool everything = !p->len;
    *key = (struct lpm_key) { 0, 0 };
    *len = 0;
    if (everything) {
        return true;
    }
    if (t->kind == TABLE_EVPN_MAC || t->kind == TABLE_EVPN_MULTICAST) {
        return false;
    }
    if (kinds[t->kind].v4) {
        if (p->len < 96) {
            return prefix_contains(p, &v4_all.addr);
        }
        *key = lpm_key_of(&p->addr, true);
        *len = p->len - 96;
        return addr_is_v4(&p->addr);
    }
    *key = lpm_key_of(&p->addr, false);
    *len = p->len;
    return t->kind >= TABLE_EVPN_IP || p->len < 96 || !addr_is_v4(&p->addr);
}

static bool
run_table(struct run *u, struct lpm_key key, unsigned len)
{
    struct lpm *lpm = (struct lpm *) (uintptr_t) &u->table->lpm;
    struct lpm_match matches[LPM_MAX_MATCHES];

    if (u->q->match == RIB_MORE) {
        return lpm_walk(lpm, key, len, u->from, u->from_len, run_each, u);
    }
    unsigned n = lpm_matches(lpm, key, len, matches);
    for (unsigned i = 0; i < n; i++) {
        struct lpm_key k = key;
        unsigned l = matches[i].len;
        if (u->q->match == RIB_EXACT && l != len) {
            break;
        }
        if (u->table->kind >= TABLE_EVPN_IP && l < 96
            && addr_is_v4(&u->q->prefix.addr)) {
            break;              /* "::/0" is not about IPv4. */
        }
        k.hi &= l >= 64 ? UINT64_MAX : l ? UINT64_MAX << (64 - l) : 0;
        k.lo &= l >= 128 ? UINT64_MAX : l > 64 ? UINT64_MAX << (128 - l) : 0;
        u->one = false;
        if (!run_block(u, k, l, matches[i].value)) {
            return false;
        }
        if (u->q->match == RIB_LONGEST && u->one) {
            break;
        }
    }
    return true;
}

bool
rib_query(const struct rib *rib, const struct rib_query *q,
          struct rib_cursor *at, rib_route_fn *each, void *aux)
{
    struct run u = { .rib = rib, .q = q, .at = at, .each = each, .aux = aux };
    for (bool first = true; at->table < rib->n_tables; first = false) {
        struct lpm_key key;
        unsigned len;
        u.table = rib->tables[at->table];
        u.from = (struct lpm_key) { 0, 0 };
        u.from_len = u.skip = 0;
        if (first && q->match == RIB_MORE) {
            /* A table that was another one meanwhile is begun anew. */
            bool v4 = kinds[u.table->kind].v4;
            if (at->rd == u.table->rd && at->prefix.len >= (v4 ? 96 : 0)) {
                u.from = lpm_key_of(&at->prefix.addr, v4);
                u.from_len = at->prefix.len - (v4 ? 96u : 0u);
                u.skip = at->skip;
            }
        }
        if ((!q->has_rd || q->rd == u.table->rd)
            && query_key(u.table, &q->prefix, &key, &len)
            && !run_table(&u, key, len)) {
            return false;
        }
        at->table++;
    }
    return true;
}
