#include <config.h>

#include "bgp/stamp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "bgp/view.h"
#include "lib/batch.h"
#include "lib/dict.h"

struct stamper {
    struct rib *rib;
    struct dict *dict;
    struct views *_Atomic views;
    uint64_t peers_seq;         /* That 'views' was made of. */
    bool stale;                 /* They must be made anew in any case. */
    struct stamp_config config; /* Ours. */
};

/* ---- Configuration. ---- */

static void
free_names(const char *const *names, size_t n)
{
    for (size_t i = 0; names && i < n; i++) {
        free((char *) (uintptr_t) names[i]);
    }
    free((void *) (uintptr_t) names);
}

static void
clear_config(struct stamp_config *c)
{
    for (size_t i = 0; c->maps && i < c->n_maps; i++) {
        free_names(c->maps[i].peers, c->maps[i].n_peers);
    }
    free((void *) (uintptr_t) c->maps);
    free_names(c->defaults, c->n_defaults);
    memset(c, 0, sizeof *c);
}

static const char **
copy_names(const char *const *names, size_t n)
{
    const char **copy = calloc(n ? n : 1, sizeof *copy);
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = strdup(names[i]);
        if (!copy[i]) {
            free_names(copy, n);
            return NULL;
        }
    }
    return copy;
}

static bool
copy_config(struct stamp_config *to, const struct stamp_config *from)
{
    struct stamp_map *maps = calloc(from->n_maps ? from->n_maps : 1,
                                    sizeof *maps);
    memset(to, 0, sizeof *to);
    to->maps = maps;
    to->defaults = copy_names(from->defaults, from->n_defaults);
    to->n_defaults = to->defaults ? from->n_defaults : 0;
    bool ok = maps && to->defaults;
    for (size_t i = 0; ok && i < from->n_maps; i++) {
        maps[i] = from->maps[i];
        maps[i].peers = copy_names(from->maps[i].peers,
                                   from->maps[i].n_peers);
        ok = maps[i].peers != NULL;
        to->n_maps += ok;
    }
    if (!ok) {
        clear_config(to);
    }
    return ok;
}

struct stamper *
stamper_create(struct rib *rib, struct dict *dict)
{
    struct stamper *s = calloc(1, sizeof *s);
    struct stamp_config none = { 0 };
    if (s) {
        s->rib = rib;
        s->dict = dict;
        s->stale = true;
        if (!copy_config(&s->config, &none)) {
            free(s);
            return NULL;
        }
    }
    return s;
}

void
stamper_destroy(struct stamper *s)
{
    if (s) {
        views_destroy(atomic_load(&s->views));
        clear_config(&s->config);
        free(s);
    }
}

int
stamper_configure(struct stamper *s, const struct stamp_config *c)
{
    struct stamp_config copy;
    if (!copy_config(&copy, c)) {
        return -ENOMEM;
    }
    clear_config(&s->config);
    s->config = copy;
    s->stale = true;
    return stamper_refresh(s);
}

bool
stamper_stale(const struct stamper *s)
{
    return s->stale || s->peers_seq != s->rib->peers_seq;
}

int
stamper_refresh(struct stamper *s)
{
    if (!stamper_stale(s)) {
        return 0;
    }
    struct views *v = views_build(s->rib, &s->config);
    if (!v) {
        return -ENOMEM;
    }
    struct views *old = atomic_exchange(&s->views, v);
    s->peers_seq = s->rib->peers_seq;
    s->stale = false;
    if (old) {
        synchronize_rcu();
        views_destroy(old);
    }
    return 0;
}

bool
stamper_is_view(const struct stamper *s, const struct addr *exporter,
                uint32_t number)
{
    const struct views *v = atomic_load(&s->views);
    const struct view *view = v ? views_of(v, exporter) : NULL;
    return view && number < s->rib->n_peers && view_has(view, number);
}

/* ---- The choice. ---- */

struct choice {
    const struct attrs *attrs;  /* NULL: no route. */
    uint16_t peer;
    uint8_t len, view;
};

/* What one row asks for. */
struct question {
    const struct view *view;    /* Of the exporter; or NULL. */
    const struct view *defaults;        /* NULL: none. */
    const struct addr *next_hop;        /* NULL: not known. */
};

static inline const struct attrs *
route_attrs(const struct rib *rib, const struct route *r)
{
    return attrs_at(&rib->arena,
                    __atomic_load_n(&r->attrs, __ATOMIC_ACQUIRE));
}

static inline uint16_t
routes_of(const struct block *b)
{
    return __atomic_load_n(&b->n, __ATOMIC_ACQUIRE);
}

static inline bool
goes_to(const struct attrs *a, const struct addr *next_hop)
{
    struct addr hop = attrs_next_hop(a);
    return addr_equal(&hop, next_hop);
}

/* The best route of a set of peers (NULL: of all), or one to 'next_hop'.  NULL:
 * none. */
static const struct route *
choose(const struct rib *rib, const struct block *b, const struct view *view,
       const struct addr *next_hop)
{
    const struct route *best = NULL;
    bool best_hop = false;
    uint16_t n = routes_of(b);

    for (uint16_t i = 0; i < n; i++) {
        const struct route *r = &b->routes[i];
        if ((view ? !view_has(view, r->peer) : !rib->states[r->peer].usable)
            || !route_live(rib->states, r)) {
            continue;
        }
        bool hop = next_hop && goes_to(route_attrs(rib, r), next_hop);
        if (!best || hop > best_hop
            || (hop == best_hop && route_compare(rib, r, best) < 0)) {
            best = r;
            best_hop = hop;
        }
    }
    return best;
}

/* The same of all peers, for which the best is known. */
static inline const struct route *
choose_best(const struct rib *rib, const struct block *b)
{
    uint16_t best = __atomic_load_n(&b->best, __ATOMIC_ACQUIRE);
    if (best < routes_of(b) && route_live(rib->states, &b->routes[best])) {
        return &b->routes[best];
    }
    return choose(rib, b, NULL, NULL);
}

/* In a view of one peer there is one route, usually. */
static inline const struct route *
choose_one(const struct rib *rib, const struct block *b,
           const struct view *view, const struct addr *next_hop)
{
    const struct route *found = NULL;
    uint16_t n = routes_of(b);
    for (uint16_t i = 0; i < n; i++) {
        if (b->routes[i].peer == view->one) {
            if (found) {
                return choose(rib, b, view, next_hop);
            }
            found = &b->routes[i];
        }
    }
    return found && route_live(rib->states, found) ? found : NULL;
}

static const struct route *
choose_in(const struct rib *rib, const struct block *b,
          const struct view *view, const struct addr *next_hop)
{
    return !view ? choose_best(rib, b)
           : view->n == 1 ? choose_one(rib, b, view, next_hop)
           : choose(rib, b, view, next_hop);
}

/* The address has no route in the view at its longest match: then at a shorter
 * one. */
static const struct route *
choose_shorter(const struct rib *rib, const struct lpm *t, struct lpm_key key,
               unsigned bits, const struct view *view,
               const struct addr *next_hop, const struct block **block)
{
    struct lpm_match matches[LPM_MAX_MATCHES];
    unsigned n = lpm_matches(t, key, bits, matches);
    for (unsigned i = 0; i < n; i++) {
        const struct block *b = arena_at(&rib->arena, matches[i].value);
        const struct route *r = choose_in(rib, b, view, next_hop);
        if (r) {
            *block = b;
            return r;
        }
    }
    return NULL;
}

static inline void
take(const struct rib *rib, const struct block *b, const struct route *r,
     enum route_view view, struct choice *c)
{
    c->attrs = route_attrs(rib, r);
    c->peer = r->peer;
    c->len = b->len;
    c->view = (uint8_t) view;
}

/* One view after the other. */
static void
answer_any(const struct rib *rib, const struct lpm *t, struct lpm_key key,
           unsigned bits, const struct block *longest,
           const struct question *q, struct choice *c)
{
    const struct view *const views[] = { q->view, q->defaults, NULL };
    for (int i = q->view ? 0 : q->defaults ? 1 : 2; i < 3; i++) {
        const struct block *b = longest;
        /* What the exporter said about the next hop is about its own routes. */
        const struct addr *next_hop = i == 0 ? q->next_hop : NULL;
        if (i < 2 && !views[i]) {
            continue;
        }
        const struct route *r = choose_in(rib, b, views[i], next_hop);
        if (!r) {
            r = choose_shorter(rib, t, key, bits, views[i], next_hop, &b);
        }
        if (r) {
            take(rib, b, r, (enum route_view) (ROUTE_VIEW_EXPORTER + i), c);
            return;
        }
    }
}

static inline void
answer(const struct rib *rib, const struct lpm *t, struct lpm_key key,
       unsigned bits, uint32_t longest, const struct question *q,
       struct choice *c)
{
    const struct block *b = arena_at(&rib->arena, longest);
    const struct route *r = q->view && q->view->n == 1
                            ? choose_one(rib, b, q->view, q->next_hop)
                            : !q->view && !q->defaults ? choose_best(rib, b)
                            : NULL;
    if (r) {
        take(rib, b, r, q->view ? ROUTE_VIEW_EXPORTER : ROUTE_VIEW_BEST, c);
    } else {
        answer_any(rib, t, key, bits, b, q, c);
    }
}

/* ---- Columns. ---- */

/* X(column of the source, of the destination, our name, type) */
#define STAMP_COLUMNS(X)                                                \
    X(src_as, dst_as, as, uint32_t)                                     \
    X(src_prefix_length, dst_prefix_length, len, uint8_t)               \
    X(src_as_path, as_path, path, uint32_t)                             \
    X(src_communities, communities, communities, uint32_t)              \
    X(src_bgp_next_hop, bgp_next_hop, next_hop, struct addr)            \
    X(src_peer_as, dst_peer_as, peer_as, uint32_t)                      \
    X(src_local_pref, dst_local_pref, local_pref, uint32_t)             \
    X(src_med, dst_med, med, uint32_t)                                  \
    X(src_origin, dst_origin, origin, uint8_t)                          \
    X(src_route_peer, dst_route_peer, peer, uint32_t)                   \
    X(src_route_view, dst_route_view, view, uint8_t)

/* The columns of one end: values, and 64 rows of their validity. */
struct target {
#define X(SRC, DST, NAME, TYPE) TYPE *restrict NAME;
    STAMP_COLUMNS(X)
#undef X
    struct {
#define X(SRC, DST, NAME, TYPE) uint64_t NAME;
        STAMP_COLUMNS(X)
#undef X
    } has;
};

static void
target_init(struct target *t, struct flow_batch *b, bool dst)
{
#define X(SRC, DST, NAME, TYPE) t->NAME = dst ? b->DST : b->SRC;
    STAMP_COLUMNS(X)
#undef X
}

static void
target_load(struct target *t, const struct flow_batch *b, bool dst,
            unsigned word)
{
#define X(SRC, DST, NAME, TYPE)                                         \
    t->has.NAME = b->valid[dst ? COL_##DST : COL_##SRC][word];
    STAMP_COLUMNS(X)
#undef X
}

static void
target_store(const struct target *t, struct flow_batch *b, bool dst,
             unsigned word)
{
#define X(SRC, DST, NAME, TYPE)                                         \
    b->valid[dst ? COL_##DST : COL_##SRC][word] = t->has.NAME;
    STAMP_COLUMNS(X)
#undef X
}

/* Whether none of these 64 rows has anything but AS numbers and lengths. */
static inline bool
target_is_new(const struct target *t)
{
    return !(t->has.path | t->has.communities | t->has.next_hop
             | t->has.peer_as | t->has.local_pref | t->has.med
             | t->has.origin | t->has.peer | t->has.view);
}

/* Names of paths and communities, and the generation in which they hold. */
struct naming {
    struct dict *dict;
    uint16_t stamp;
};

/* Without a path it is of the peer's own network. */
static inline uint32_t
as_of(const struct attrs *a, const struct peer_state *p)
{
    return a->has_origin & ATTRS_NO_PATH ? p->as : a->origin_as;
}

/* Writes 'VALUE' if it is told and nothing stands there that 'KEEP'. */
#define PUT(T, NAME, ROW, BIT, TOLD, VALUE, KEEP)                       \
    do {                                                                \
        if ((TOLD) && !((T)->has.NAME & (BIT) && (KEEP))) {             \
            (T)->NAME[ROW] = (VALUE);                                   \
            (T)->has.NAME |= (BIT);                                     \
        }                                                               \
    } while (0)

static void
put_row(struct target *t, const struct rib *rib, const struct naming *names,
        const struct choice *c, unsigned row)
{
    const struct attrs *a = c->attrs;
    const struct peer_state *p = &rib->states[c->peer];
    uint64_t bit = UINT64_C(1) << row % 64;
    uint32_t as = as_of(a, p), path, communities;
    uint16_t has = a->has_origin;

    attrs_names(a, names->dict, names->stamp, &path, &communities);
    PUT(t, as, row, bit, as, as, t->as[row]);
    PUT(t, len, row, bit, true, c->len, t->len[row]);
    PUT(t, path, row, bit, path, path, true);
    PUT(t, communities, row, bit, communities, communities, true);
    PUT(t, next_hop, row, bit, has & BGP_HAS_NEXT_HOP, attrs_next_hop(a),
        true);
    PUT(t, peer_as, row, bit, a->peer_as, a->peer_as, t->peer_as[row]);
    PUT(t, local_pref, row, bit, has & BGP_HAS_LOCAL_PREF, a->local_pref,
        true);
    PUT(t, med, row, bit, has & BGP_HAS_MED, a->med, true);
    PUT(t, origin, row, bit, has & BGP_HAS_ORIGIN, attrs_origin(a), true);
    PUT(t, peer, row, bit, true, p->name, true);
    PUT(t, view, row, bit, true, c->view, true);
}

/* The same for up to 64 rows of which all have a route and none has anything
 * yet: no branches, and what is not told may be written all the same. */
static void
put_rows(struct target *t, const struct rib *rib, const struct naming *names,
         const struct choice *choices, unsigned from, unsigned n)
{
    /* Bytes may be anything, to the compiler: it must not read the pointers
     * after each store. */
    struct target c = *t;
    uint64_t as_bits = 0, path_bits = 0, community_bits = 0, peer_bits = 0;
    uint16_t every = UINT16_MAX, any = 0;

    for (unsigned i = 0; i < n; i++) {
        const struct attrs *a = choices[i].attrs;
        const struct peer_state *p = &rib->states[choices[i].peer];
        unsigned row = from + i;
        uint32_t as = as_of(a, p), path, communities;
        attrs_names(a, names->dict, names->stamp, &path, &communities);
        uint16_t has = a->has_origin;
        every &= has;
        any |= has;
        c.as[row] = as;
        as_bits |= (uint64_t) (as != 0) << i;
        c.len[row] = choices[i].len;
        c.path[row] = path;
        path_bits |= (uint64_t) (path != 0) << i;
        c.communities[row] = communities;
        community_bits |= (uint64_t) (communities != 0) << i;
        c.next_hop[row] = attrs_next_hop(a);
        c.peer_as[row] = a->peer_as;
        peer_bits |= (uint64_t) (a->peer_as != 0) << i;
        c.local_pref[row] = a->local_pref;
        c.med[row] = a->med;
        c.origin[row] = attrs_origin(a);
        c.peer[row] = p->name;
        c.view[row] = choices[i].view;
    }
    uint64_t all = n < 64 ? (UINT64_C(1) << n) - 1 : UINT64_MAX;
    t->has.as = as_bits;
    t->has.len = t->has.peer = t->has.view = all;
    t->has.path = path_bits;
    t->has.communities = community_bits;
    t->has.peer_as = peer_bits;
    uint64_t bits[4] = { 0 };
    static const uint16_t masks[4] = { BGP_HAS_NEXT_HOP, BGP_HAS_LOCAL_PREF,
                                       BGP_HAS_MED, BGP_HAS_ORIGIN };
    for (unsigned k = 0; k < 4; k++) {
        if (every & masks[k]) {
            bits[k] = all;
        }
        for (unsigned i = 0; (any & ~every & masks[k]) && i < n; i++) {
            bits[k] |= (uint64_t) !!(choices[i].attrs->has_origin & masks[k])
                       << i;
        }
    }
    t->has.next_hop = bits[0];
    t->has.local_pref = bits[1];
    t->has.med = bits[2];
    t->has.origin = bits[3];
}

/* ---- The stage. ---- */

/* So many rows are done together: they fit into the cache next to the core, and
 * are enough to wait for memory together. */
#define CHUNK 128

/* Rows of a chunk whose addresses are of one version. */
struct group {
    unsigned n;
    struct lpm_key keys[CHUNK];
    uint16_t rows[CHUNK];
    uint32_t blocks[CHUNK];
};

static void
gather(const struct flow_batch *b, bool dst, unsigned from, unsigned end,
       struct group groups[2])
{
    const struct addr *addrs = dst ? b->dst_addr : b->src_addr;
    const uint64_t *valid = b->valid[dst ? COL_dst_addr : COL_src_addr];
    groups[0].n = groups[1].n = 0;
    for (unsigned row = from; row < end; row++) {
        if (valid[row / 64] >> row % 64 & 1) {
            bool v4 = addr_is_v4(&addrs[row]);
            struct group *g = &groups[!v4];
            g->keys[g->n] = lpm_key_of(&addrs[row], v4);
            g->rows[g->n++] = (uint16_t) row;
        }
    }
}

/* The exporter's view of each row: of spans, which say whose rows are whose. */
static void
find_views(const struct views *v, const struct flow_batch *b,
           const struct view **views)
{
    const struct addr *last = NULL;
    const struct view *view = NULL;
    for (uint32_t i = 0; i < b->n_spans; i++) {
        const struct batch_span *s = &b->spans[i];
        if (!s->n) {
            continue;
        }
        if (!last || !addr_equal(last, &b->exporter[s->from])) {
            last = &b->exporter[s->from];
            view = views_of(v, last);
        }
        for (uint32_t row = s->from; row < (uint32_t) s->from + s->n; row++) {
            views[row] = view;
        }
    }
}

static const struct addr *
next_hop_of(const struct flow_batch *b, unsigned row)
{
    return batch_is_valid(b, COL_bgp_next_hop, row) ? &b->bgp_next_hop[row]
           : batch_is_valid(b, COL_next_hop, row) ? &b->next_hop[row] : NULL;
}

/* One end of the rows of a chunk. */
struct end {
    struct group groups[2];
    struct choice choices[CHUNK];
};

/* What is the same for a whole batch. */
struct stamping {
    const struct stamper *stamper;
    const struct views *views;
    const struct view *const *row_views;
    struct naming names;
};

/* Finds the prefixes, and asks for their blocks. */
static void
look_up(const struct stamping *s, const struct flow_batch *b, bool dst,
        unsigned from, unsigned last, struct end *e)
{
    const struct rib *rib = s->stamper->rib;
    gather(b, dst, from, last, e->groups);
    for (unsigned i = 0; i < 2; i++) {
        struct group *g = &e->groups[i];
        lpm_lookup(&rib->tables[i]->lpm, g->keys, g->n, g->blocks);
        for (unsigned k = 0; k < g->n; k++) {
            __builtin_prefetch(arena_at(&rib->arena, g->blocks[k]));
        }
    }
}

/* Takes a route of each block, and asks for its attributes. */
static void
choose_all(const struct stamping *s, const struct flow_batch *b, bool dst,
           struct end *e)
{
    const struct views *v = s->views;
    const struct view *defaults = v->defaults.n ? &v->defaults : NULL;
    const struct rib *rib = s->stamper->rib;
    for (unsigned i = 0; i < CHUNK; i++) {
        e->choices[i].attrs = NULL;
    }
    for (unsigned k = 0; k < 2; k++) {
        const struct group *g = &e->groups[k];
        for (unsigned i = 0; i < g->n; i++) {
            unsigned row = g->rows[i];
            struct choice *c = &e->choices[row % CHUNK];
            if (g->blocks[i]) {
                struct question q = { s->row_views[row], defaults,
                                      dst ? next_hop_of(b, row) : NULL };
                answer(rib, &rib->tables[k]->lpm, g->keys[i], k ? 128 : 32,
                       g->blocks[i], &q, c);
                __builtin_prefetch(c->attrs);
            }
        }
    }
}

static void
put_all(const struct stamping *s, struct flow_batch *b, bool dst,
        unsigned from, unsigned last, const struct end *e)
{
    struct target target;
    const struct rib *rib = s->stamper->rib;
    target_init(&target, b, dst);
    for (unsigned word = from / 64; word * 64 < last; word++) {
        unsigned n = last - word * 64 < 64 ? last - word * 64 : 64;
        const struct choice *c = &e->choices[word * 64 % CHUNK];
        unsigned routed = 0;
        target_load(&target, b, dst, word);
        for (unsigned i = 0; i < n; i++) {
            routed += c[i].attrs != NULL;
        }
        if (routed == n && target_is_new(&target) && !target.has.as
            && !target.has.len) {
            put_rows(&target, rib, &s->names, c, word * 64, n);
        } else if (routed) {
            for (unsigned i = 0; i < n; i++) {
                if (c[i].attrs) {
                    put_row(&target, rib, &s->names, &c[i], word * 64 + i);
                }
            }
        }
        target_store(&target, b, dst, word);
    }
}

void
stamp_process(void *stamper, struct flow_batch *b)
{
    const struct stamper *s = stamper;
    const struct view *views[BATCH_ROWS];

    rcu_read_lock();
    const struct views *v = atomic_load_explicit(&s->views,
                                                 memory_order_acquire);
    if (v && __atomic_load_n(&s->rib->n_routes, __ATOMIC_RELAXED)) {
        memset(views, 0, b->n * sizeof views[0]);
        find_views(v, b, views);
        struct stamping x = { s, v, views,
                              { s->dict,
                                attrs_stamp(dict_generation(s->dict)) } };
        struct end ends[2];
        /* What one end has asked memory for arrives while the other end is
         * worked on. */
        for (unsigned from = 0; from < b->n; from += CHUNK) {
            unsigned last = from + CHUNK < b->n ? from + CHUNK : b->n;
            look_up(&x, b, false, from, last, &ends[0]);
            look_up(&x, b, true, from, last, &ends[1]);
            choose_all(&x, b, false, &ends[0]);
            choose_all(&x, b, true, &ends[1]);
            put_all(&x, b, false, from, last, &ends[0]);
            put_all(&x, b, true, from, last, &ends[1]);
        }
    }
    rcu_read_unlock();
}
