/* The RIB against a plain list of routes, and by hand. */
#include <config.h>

#include "bgp/rib.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "bgp/attrs.h"
#include "lib/dict.h"
#include "tests/unit/unit.h"

#define N_PEERS 5
#define N_ROUTES 400

struct model_route {
    bool used, stale;
    uint32_t peer;
    struct bgp_nlri nlri;
    uint32_t med;
};

static struct model_route model[N_ROUTES];
static uint64_t seed;

static uint32_t
next(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t) (seed >> 20) % n;
}

static struct prefix
prefix_of(const char *text)
{
    struct prefix p = { { { 0 } }, 0 };
    CU_ASSERT_EQUAL(prefix_parse(text, &p), 0);
    return p;
}

static struct addr
address(const char *text)
{
    struct addr a = { { 0 } };
    CU_ASSERT_EQUAL(addr_parse(text, &a), 0);
    return a;
}

static uint32_t
peer_up(struct bgp_sink *s, const char *addr, uint32_t as)
{
    struct bgp_peer_info info = {
        .kind = BGP_PEER_SESSION, .address = address(addr), .as = as,
        .local_as = 65000, .id = as,
    };
    return s->peer_up(s->aux, &info);
}

static struct bgp_attrs
attrs_of(const uint32_t *path, uint32_t n, uint32_t med)
{
    return (struct bgp_attrs) {
        .has = BGP_HAS_ORIGIN | BGP_HAS_AS_PATH | BGP_HAS_NEXT_HOP
               | BGP_HAS_MED,
        .next_hop = address("192.0.2.1"), .med = med, .as_path = path,
        .n_as_path = n,
    };
}

static void
random_nlri(struct bgp_nlri *n)
{
    static const char *const texts[] = {
        "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16",
        "10.1.2.0/24", "10.1.2.128/25", "10.1.2.3", "0.0.0.0/0",
        "192.0.2.0/24", "198.51.100.0/24",
    }, *const texts6[] = {
        "2001:db8::/32", "2001:db8:1::/48", "2001:db8::1", "::/0",
        "2001:db8:2::/64",
    };
    static const enum bgp_family v4[] = { BGP_IPV4_UNICAST, BGP_VPNV4,
                                          BGP_IPV4_LABELED };
    static const enum bgp_family v6[] = { BGP_IPV6_UNICAST, BGP_VPNV6 };
    memset(n, 0, sizeof *n);
    uint32_t what = next(10);
    n->path_id = next(3);
    if (what < 6) {
        n->family = v4[next(3)];
        n->prefix = prefix_of(texts[next(10)]);
    } else if (what < 8) {
        n->family = v6[next(2)];
        n->prefix = prefix_of(texts6[next(5)]);
    } else {
        n->family = BGP_EVPN;
        n->evpn_type = (uint8_t[]) { 2, 2, 3, 5 }[next(4)];
        n->ethernet_tag = next(2);
        n->mac = n->evpn_type == 2 ? 0x020000000000 + next(2) : 0;
        if (n->evpn_type == 5) {
            n->prefix = prefix_of(next(2) ? texts[next(10)]
                                          : texts6[next(5)]);
        } else if (n->evpn_type == 3 || next(2)) {
            n->prefix.addr = address(next(2) ? "10.1.2.3" : "2001:db8::1");
            n->prefix.len = 128;
        }
    }
    if (n->family != BGP_IPV4_UNICAST && n->family != BGP_IPV6_UNICAST) {
        n->label = 100 + next(2);
        n->n_labels = 1;
    }
    if (n->family == BGP_VPNV4 || n->family == BGP_VPNV6
        || n->family == BGP_EVPN) {
        n->rd = 1 + next(2);
    }
}

static bool
same_destination(const struct bgp_nlri *a, const struct bgp_nlri *b)
{
    return a->family == b->family && a->path_id == b->path_id
           && a->rd == b->rd && a->evpn_type == b->evpn_type
           && a->ethernet_tag == b->ethernet_tag && a->mac == b->mac
           && a->prefix.len == b->prefix.len
           && addr_equal(&a->prefix.addr, &b->prefix.addr);
}

static struct model_route *
model_find(uint32_t peer, const struct bgp_nlri *n)
{
    struct model_route *free_ = NULL;
    for (unsigned i = 0; i < N_ROUTES; i++) {
        struct model_route *m = &model[i];
        if (m->used && m->peer == peer && same_destination(&m->nlri, n)) {
            return m;
        }
        free_ = !m->used ? m : free_;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(free_);
    return free_;
}

static void
model_drop(uint32_t peer, int family, bool stale_only)
{
    for (unsigned i = 0; i < N_ROUTES; i++) {
        struct model_route *m = &model[i];
        if (m->used && m->peer == peer
            && (family < 0 || (int) m->nlri.family == family)
            && (!stale_only || m->stale)) {
            m->used = false;
        }
    }
}

struct count {
    const struct rib_query *q;
    unsigned n, limit;
};

static bool
check_route(void *count_, const struct rib_route *r)
{
    struct count *c = count_;
    struct bgp_attrs a;
    struct attrs_extra e;
    if (c->limit && c->n >= c->limit) {
        return false;
    }
    struct model_route *m = model_find(r->peer->number, &r->nlri);
    attrs_unpack(r->attrs, &a, &e);
    CU_ASSERT(m->used);
    CU_ASSERT_EQUAL(m->med, a.med);
    CU_ASSERT_EQUAL(m->stale, r->stale);
    CU_ASSERT_EQUAL(m->nlri.label, r->nlri.label);
    c->n++;
    return true;
}

static bool
covers(const struct bgp_nlri *n, const struct prefix *p)
{
    if (n->family == BGP_EVPN
        && (n->evpn_type == 3 || (n->evpn_type == 2 && !n->prefix.len))) {
        return false;
    }
    bool six = n->family == BGP_EVPN
               ? !addr_is_v4(&n->prefix.addr) || n->prefix.len < 96
               : n->family == BGP_IPV6_UNICAST || n->family == BGP_VPNV6;
    return n->prefix.len <= p->len && six != addr_is_v4(&p->addr)
           && prefix_contains(&n->prefix, &p->addr);
}

static void
check_queries(struct rib *rib)
{
    struct rib_query q = { .match = RIB_MORE, .peer = RIB_NO_PEER };
    struct rib_cursor at = { 0 };
    struct count c = { .q = &q };
    unsigned expected = 0, parts = 0;

    for (unsigned i = 0; i < N_ROUTES; i++) {
        expected += model[i].used;
    }
    CU_ASSERT(rib_query(rib, &q, &at, check_route, &c));
    CU_ASSERT_EQUAL(c.n, expected);
    /* The same in parts. */
    c.n = 0;
    memset(&at, 0, sizeof at);
    do {
        c.limit = c.n + 1 + next(7);
        parts++;
    } while (!rib_query(rib, &q, &at, check_route, &c) && parts < 1000);
    CU_ASSERT_EQUAL(c.n, expected);
    c.n = c.limit = 0;
    memset(&at, 0, sizeof at);
    q.max_steps = 1 + next(5);
    while (!rib_query(rib, &q, &at, check_route, &c)) {
    }
    CU_ASSERT_EQUAL(c.n, expected);
    /* What covers an address. */
    q = (struct rib_query) { .match = RIB_LESS, .peer = next(N_PEERS),
                             .prefix = prefix_of("10.1.2.3") };
    if (next(2)) {
        q.prefix = prefix_of("2001:db8::1");
    }
    expected = c.n = 0;
    for (unsigned i = 0; i < N_ROUTES; i++) {
        expected += model[i].used && model[i].peer == q.peer
                    && covers(&model[i].nlri, &q.prefix);
    }
    memset(&at, 0, sizeof at);
    CU_ASSERT(rib_query(rib, &q, &at, check_route, &c));
    CU_ASSERT_EQUAL(c.n, expected);
}

static void
check_counts(const struct rib *rib)
{
    struct rib_stats s;
    uint64_t all = 0;
    for (uint32_t p = 0; p < N_PEERS; p++) {
        const struct rib_peer *peer = rib_peer(rib, p);
        for (int f = 0; f < BGP_N_FAMILIES; f++) {
            uint64_t n = 0, stale = 0;
            for (unsigned i = 0; i < N_ROUTES; i++) {
                bool it = model[i].used && model[i].peer == p
                          && (int) model[i].nlri.family == f;
                n += it;
                stale += it && model[i].stale;
            }
            CU_ASSERT_EQUAL(peer ? peer->routes[f] : 0, n);
            CU_ASSERT_EQUAL(peer ? peer->stale[f] : 0, stale);
            all += n;
        }
    }
    rib_stats(rib, &s);
    CU_ASSERT_EQUAL(s.routes, all);
}

static void
random_step(struct bgp_sink *s)
{
    uint32_t peer = next(N_PEERS), what = next(200);
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 2, 65001 + peer, 7 };
    char text[32];
    struct bgp_nlri n;
    random_nlri(&n);
    if (what < 120) {
        struct model_route *m = model_find(peer, &n);
        uint32_t med = next(4);
        struct bgp_attrs a = attrs_of(path, 3, med);
        s->announce(s->aux, peer, &n, &a);
        *m = (struct model_route) { true, false, peer, n, med };
    } else if (what < 185) {
        model_find(peer, &n)->used = false;
        s->withdraw(s->aux, peer, &n);
    } else if (what < 191) {
        for (unsigned i = 0; i < N_ROUTES; i++) {
            model[i].stale |= model[i].peer == peer
                              && model[i].nlri.family == n.family;
        }
        s->mark_stale(s->aux, peer, n.family);
    } else if (what < 194) {
        model_drop(peer, (int) n.family, true);
        s->end_of_rib(s->aux, peer, n.family);
    } else if (what < 198) {
        bool stale_only = what & 1;
        model_drop(peer, (int) n.family, stale_only);
        s->purge(s->aux, peer, n.family, stale_only);
    } else {
        model_drop(peer, -1, false);
        s->peer_down(s->aux, peer);
        snprintf(text, sizeof text, "192.0.2.%u", peer + 1);
        CU_ASSERT_EQUAL(peer_up(s, text, 65001 + peer), peer);
    }
}

static void
test_random(void)
{
    for (seed = 1; seed < 2000000; seed += 1999990 / 4) {
        uint64_t start = seed;
        struct rib *rib = rib_create(&(struct rib_config) { 0 });
        CU_ASSERT_PTR_NOT_NULL_FATAL(rib);
        struct bgp_sink s = rib_sink(rib);
        memset(model, 0, sizeof model);
        for (uint32_t i = 0; i < N_PEERS; i++) {
            char text[32];
            snprintf(text, sizeof text, "192.0.2.%u", i + 1);
            CU_ASSERT_EQUAL(peer_up(&s, text, 65001 + i), i);
        }
        for (unsigned round = 0; round < 6000; round++) {
            random_step(&s);
            if (round % 50 == 0) {
                check_queries(rib);
                check_counts(rib);
            }
            if (next(10) == 0) {
                rib_work(rib, next(60));
            }
        }
        /* All goes, and with it all memory. */
        for (uint32_t i = 0; i < N_PEERS; i++) {
            s.peer_down(s.aux, i);
        }
        memset(model, 0, sizeof model);
        check_queries(rib);
        while (rib_busy(rib)) {
            rib_work(rib, 100);
        }
        struct rib_stats st;
        rib_stats(rib, &st);
        CU_ASSERT_EQUAL(st.peers, 0);
        CU_ASSERT_EQUAL(st.attrs, 0);
        CU_ASSERT_EQUAL(st.bytes, 0);
        for (int f = 0; f < BGP_N_FAMILIES; f++) {
            CU_ASSERT_EQUAL(st.prefixes[f], 0);
        }
        rib_destroy(rib);
        seed = start;
    }
}

static bool
take_best(void *best_, const struct rib_route *r)
{
    const struct rib_peer **best = best_;
    if (r->best) {
        CU_ASSERT_PTR_NULL(*best);
        *best = r->peer;
    }
    return true;
}

static const struct rib_peer *
best_of(struct rib *rib, const char *text)
{
    struct rib_query q = { .match = RIB_LONGEST, .peer = RIB_NO_PEER,
                           .prefix = prefix_of(text) };
    struct rib_cursor at = { 0 };
    const struct rib_peer *best = NULL;
    rib_query(rib, &q, &at, take_best, &best);
    return best;
}

/* Each step of the decision beats all that come after it. */
static void
test_best(void)
{
    struct rib *rib = rib_create(&(struct rib_config) { 0 });
    struct bgp_sink s = rib_sink(rib);
    uint32_t a = peer_up(&s, "192.0.2.1", 65001);
    uint32_t b = peer_up(&s, "192.0.2.2", 65002);
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 3, 1, 2, 3 };
    uint32_t other[] = { BGP_AS_SEQUENCE << 16 | 1, 1,
                         BGP_AS_SET << 16 | 3, 2, 3, 4 };
    struct bgp_nlri n = { .family = BGP_IPV4_UNICAST,
                          .prefix = prefix_of("10.0.0.0/8") };
    struct bgp_attrs x = attrs_of(path, 4, 5), y = x;

    s.announce(s.aux, b, &n, &y);
    CU_ASSERT_EQUAL(best_of(rib, "10.1.1.1")->number, b);
    s.announce(s.aux, a, &n, &x);       /* Lower identifier. */
    CU_ASSERT_EQUAL(best_of(rib, "10.1.1.1")->number, a);
    y.med = 4;
    s.announce(s.aux, b, &n, &y);
    CU_ASSERT_EQUAL(best_of(rib, "10.1.1.1")->number, b);
    y.origin = 1;
    s.announce(s.aux, b, &n, &y);
    CU_ASSERT_EQUAL(best_of(rib, "10.1.1.1")->number, a);
    y.as_path = other;                  /* A set counts once. */
    y.n_as_path = 6;
    s.announce(s.aux, b, &n, &y);
    CU_ASSERT_EQUAL(best_of(rib, "10.1.1.1")->number, b);
    x.has |= BGP_HAS_LOCAL_PREF;
    x.local_pref = 101;
    s.announce(s.aux, a, &n, &x);
    CU_ASSERT_EQUAL(best_of(rib, "10.1.1.1")->number, a);
    s.withdraw(s.aux, a, &n);
    CU_ASSERT_EQUAL(best_of(rib, "10.1.1.1")->number, b);
    s.announce(s.aux, a, &n, &x);
    s.peer_down(s.aux, a);
    while (rib_work(rib, 1)) {
    }
    CU_ASSERT_EQUAL(best_of(rib, "10.1.1.1")->number, b);
    rib_destroy(rib);
}

static void
test_attrs(void)
{
    uint32_t path[] = { BGP_AS_CONFED_SEQUENCE << 16 | 2, 64512, 64513,
                        BGP_AS_SEQUENCE << 16 | 2, 4200000000, 15169,
                        BGP_AS_SET << 16 | 2, 5, 6 };
    uint32_t communities[] = { 65000u << 16 | 100, 0xffffff01 };
    uint64_t ext[] = { UINT64_C(0x0002fde800000064),
                       UINT64_C(0x0103c00002010007),
                       UINT64_C(0x0202000f42400007),
                       UINT64_C(0x030c000000000008) };
    uint32_t large[][3] = { { 4200000000, 1, 2 } };
    uint32_t clusters[] = { 1, 2 };
    uint8_t unknown[] = { 0xc0, 99, 2, 1, 2 };
    struct bgp_attrs in = {
        .has = BGP_HAS_ORIGIN | BGP_HAS_AS_PATH | BGP_HAS_NEXT_HOP
               | BGP_HAS_MED | BGP_HAS_LOCAL_PREF | BGP_HAS_AGGREGATOR
               | BGP_HAS_ORIGINATOR_ID | BGP_HAS_OTC | BGP_HAS_AIGP
               | BGP_HAS_LINK_LOCAL,
        .origin = 2, .next_hop = address("2001:db8::9"),
        .link_local = address("fe80::9"), .med = 7, .local_pref = 200,
        .otc = 64500, .aggregator_as = 64501,
        .aggregator = address("192.0.2.77"), .originator_id = 0x01020304,
        .aigp = UINT64_C(0x1122334455667788),
        .as_path = path, .n_as_path = 9,
        .communities = communities, .n_communities = 2,
        .ext_communities = ext, .n_ext_communities = 4,
        .large_communities = (const uint32_t (*)[3]) large,
        .n_large_communities = 1,
        .cluster_list = clusters, .n_cluster_list = 2,
        .unknown = unknown, .n_unknown = 5,
    }, out;
    struct attrs_extra extra = { .label = 17, .n_labels = 1, .mac = 5 }, e;
    struct arena arena;
    struct attrs_table t;
    struct dict *d = dict_create(1000, 100000);
    char buf[200];

    CU_ASSERT_EQUAL_FATAL(arena_init(&arena, (size_t) 1 << 28), 0);
    CU_ASSERT_EQUAL_FATAL(attrs_table_init(&t, &arena), 0);
    uint32_t one = attrs_ref(&t, &in, &extra), two = attrs_ref(&t, &in, NULL);
    CU_ASSERT_NOT_EQUAL(one, two);
    CU_ASSERT_EQUAL(attrs_ref(&t, &in, &extra), one);
    const struct attrs *s = attrs_at(&arena, one);
    CU_ASSERT_EQUAL(s->refs, 2);
    CU_ASSERT_EQUAL(s->peer_as, 4200000000);
    CU_ASSERT_EQUAL(s->origin_as, 0);           /* Of a set. */
    CU_ASSERT_EQUAL(s->path_length, 3);
    attrs_unpack(s, &out, &e);
    CU_ASSERT(!memcmp(&e, &extra, sizeof e));
    CU_ASSERT_EQUAL(out.has, in.has);
    CU_ASSERT_EQUAL(out.origin, 2);
    CU_ASSERT_EQUAL(out.med, 7);
    CU_ASSERT_EQUAL(out.local_pref, 200);
    CU_ASSERT_EQUAL(out.otc, 64500);
    CU_ASSERT_EQUAL(out.aggregator_as, 64501);
    CU_ASSERT_EQUAL(out.originator_id, 0x01020304);
    CU_ASSERT_EQUAL(out.aigp, in.aigp);
    CU_ASSERT(addr_equal(&out.next_hop, &in.next_hop));
    CU_ASSERT(addr_equal(&out.link_local, &in.link_local));
    CU_ASSERT(addr_equal(&out.aggregator, &in.aggregator));
    CU_ASSERT(out.n_as_path == 9 && !memcmp(out.as_path, path, sizeof path));
    CU_ASSERT(out.n_communities == 2
              && !memcmp(out.communities, communities, sizeof communities));
    CU_ASSERT(out.n_ext_communities == 4
              && !memcmp(out.ext_communities, ext, sizeof ext));
    CU_ASSERT(out.n_large_communities == 1
              && !memcmp(out.large_communities, large, sizeof large));
    CU_ASSERT(out.n_cluster_list == 2
              && !memcmp(out.cluster_list, clusters, sizeof clusters));
    CU_ASSERT(out.n_unknown == 5 && !memcmp(out.unknown, unknown, 5));
    attrs_format_path(s, buf, sizeof buf);
    CU_ASSERT_STRING_EQUAL(buf, "(64512 64513) 4200000000 15169 {5,6}");
    attrs_format_communities(s, buf, sizeof buf);
    CU_ASSERT_STRING_EQUAL(buf, "65000:100 65535:65281 4200000000:1:2 "
                           "rt:65000:100 soo:192.0.2.1:7 rt:1000000:7 "
                           "0x030c000000000008");
    CU_ASSERT_EQUAL(attrs_format_communities(s, buf, 15), 12);
    CU_ASSERT_STRING_EQUAL(buf, "65000:100...");
    uint32_t path_name, name, path_name2;
    attrs_names(s, d, 1, &path_name, &name);
    CU_ASSERT_STRING_EQUAL(dict_text(d, path_name),
                           "(64512 64513) 4200000000 15169 {5,6}");
    CU_ASSERT_EQUAL(strncmp(dict_text(d, name), "65000:100 65535:65281 ", 22),
                    0);
    attrs_names(attrs_at(&arena, two), d, 1, &path_name2, &name);
    CU_ASSERT_EQUAL(path_name, path_name2);
    attrs_unref(&t, one);
    attrs_unref(&t, one);
    attrs_unref(&t, two);
    CU_ASSERT_EQUAL(t.n, 0);
    while (arena_pending(&arena)) {
        arena_reclaim(&arena, 10);
    }
    CU_ASSERT_EQUAL(arena.allocated, 0);
    attrs_table_clear(&t);
    arena_clear(&arena);
    dict_destroy(d);
}

/* A peer cannot fill the memory, nor a prefix. */
static void
test_limits(void)
{
    struct rib *rib = rib_create(&(struct rib_config) { .max_bytes
                                                        = 1 << 20 });
    struct bgp_sink s = rib_sink(rib);
    uint32_t a = peer_up(&s, "192.0.2.1", 65001);
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 1, 1 };
    struct bgp_nlri n = { .family = BGP_IPV4_UNICAST,
                          .prefix = prefix_of("10.0.0.0/8") };
    struct bgp_attrs x = attrs_of(path, 2, 5);
    struct rib_stats st;

    for (n.path_id = 0; n.path_id < 5000; n.path_id++) {
        s.announce(s.aux, a, &n, &x);
    }
    rib_stats(rib, &st);
    CU_ASSERT_EQUAL(st.routes, 256);
    CU_ASSERT_EQUAL(st.n.refused_paths, 5000 - 256);
    /* What waits to be cleared up does not count. */
    s.purge(s.aux, a, BGP_IPV4_UNICAST, false);
    for (n.path_id = 5000; n.path_id < 10000; n.path_id++) {
        s.announce(s.aux, a, &n, &x);
    }
    rib_stats(rib, &st);
    CU_ASSERT_EQUAL(st.routes, 256);
    CU_ASSERT_EQUAL(st.n.refused_paths, 10000 - 2 * 256);
    n.path_id = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        n.prefix.len = 128;
        memcpy(&n.prefix.addr.b[12], &i, 4);
        s.announce(s.aux, a, &n, &x);
        rib_work(rib, 100);
    }
    rib_stats(rib, &st);
    CU_ASSERT(st.n.refused_memory > 0);
    CU_ASSERT(st.bytes < (1 << 20) + 65536);
    CU_ASSERT_EQUAL(st.routes + 256 + st.n.refused_memory
                    + st.n.refused_paths, 110000);
    /* Of nobody, or of somebody who is not up. */
    s.announce(s.aux, 17, &n, &x);
    s.peer_down(s.aux, a);
    s.announce(s.aux, a, &n, &x);
    rib_stats(rib, &st);
    CU_ASSERT_EQUAL(st.n.unknown_peer, 2);
    CU_ASSERT_EQUAL(st.routes, 0);
    rib_destroy(rib);
}

static bool
take_med(void *med, const struct rib_route *r)
{
    *(uint32_t *) med = r->best ? r->attrs->med : *(uint32_t *) med;
    return true;
}

/* Many paths of a prefix: the best one of those that are left. */
static void
test_many_paths(void)
{
    enum { PATHS = 250, N = 2 * PATHS };
    struct rib *rib = rib_create(&(struct rib_config) { 0 });
    struct bgp_sink s = rib_sink(rib);
    uint32_t peers[] = { peer_up(&s, "192.0.2.1", 65001),
                         peer_up(&s, "192.0.2.2", 65002) };
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 1, 1 }, med[N];
    struct bgp_nlri n = { .family = BGP_IPV4_UNICAST,
                          .prefix = prefix_of("10.0.0.0/8") };
    struct rib_query q = { .match = RIB_EXACT, .peer = RIB_NO_PEER,
                           .prefix = n.prefix };
    seed = 7;
    for (uint32_t i = 0; i < N; i++) {
        med[i] = 1 + next(200);
        n.path_id = i;
        struct bgp_attrs x = attrs_of(path, 2, med[i]);
        s.announce(s.aux, peers[i % 2], &n, &x);
    }
    for (uint32_t left = N; left; left--) {
        uint32_t i = next(N), best = UINT32_MAX, got = UINT32_MAX;
        while (!med[i]) {
            i = (i + 1) % N;
        }
        med[i] = 0;
        n.path_id = i;
        s.withdraw(s.aux, peers[i % 2], &n);
        for (uint32_t k = 0; k < N; k++) {
            best = med[k] && med[k] < best ? med[k] : best;
        }
        struct rib_cursor at = { 0 };
        rib_query(rib, &q, &at, take_med, &got);
        CU_ASSERT_EQUAL(got, best);
    }
    rib_destroy(rib);
}

/* Peers that had many paths of one prefix go: what is left stays in order, and
 * clearing up does not take memory for each of them. */
static void
test_many_gone(void)
{
    enum { PATHS = 250, PEERS = 4, KEPT = 10 };
    struct rib *rib = rib_create(&(struct rib_config) { 0 });
    struct bgp_sink s = rib_sink(rib);
    uint32_t peers[PEERS], kept = peer_up(&s, "192.0.2.9", 65009);
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 1, 1 };
    struct bgp_nlri n = { .family = BGP_IPV4_UNICAST,
                          .prefix = prefix_of("10.0.0.0/8") };
    struct rib_query q = { .match = RIB_EXACT, .peer = RIB_NO_PEER,
                           .prefix = n.prefix };
    struct rib_stats before, after;
    for (unsigned p = 0; p < PEERS; p++) {
        char address[16];
        snprintf(address, sizeof address, "192.0.2.%u", p + 1);
        peers[p] = peer_up(&s, address, 65001 + p);
    }
    for (uint32_t i = 0; i < PATHS; i++) {
        n.path_id = i;
        for (unsigned p = 0; p < PEERS; p++) {
            struct bgp_attrs x = attrs_of(path, 2, 1 + i);
            s.announce(s.aux, peers[p], &n, &x);
        }
        if (i % (PATHS / KEPT) == 0) {
            struct bgp_attrs x = attrs_of(path, 2, 1000 + i);
            s.announce(s.aux, kept, &n, &x);
        }
    }
    for (unsigned p = 0; p < PEERS; p++) {
        s.peer_down(s.aux, peers[p]);
    }
    rib_stats(rib, &before);
    CU_ASSERT_EQUAL(before.routes, KEPT);
    CU_ASSERT_EQUAL(before.attrs, PATHS + KEPT);
    rib_work(rib, 100000);
    rib_stats(rib, &after);
    CU_ASSERT_EQUAL(after.n.swept, PATHS * PEERS);
    CU_ASSERT(after.bytes < before.bytes + 65536);
    CU_ASSERT_EQUAL(after.routes, KEPT);
    CU_ASSERT_EQUAL(after.attrs, KEPT);
    CU_ASSERT_EQUAL(after.prefixes[BGP_IPV4_UNICAST], 1);
    uint32_t got = 0;
    struct rib_cursor at = { 0 };
    rib_query(rib, &q, &at, take_med, &got);
    CU_ASSERT_EQUAL(got, 1000);
    s.peer_down(s.aux, kept);
    rib_work(rib, 100000);
    rib_stats(rib, &after);
    CU_ASSERT_EQUAL(after.attrs, 0);
    CU_ASSERT_EQUAL(after.prefixes[BGP_IPV4_UNICAST], 0);
    rib_destroy(rib);
}

/* More VPNs than there are tables: refused until one is empty. */
static void
test_many_vpns(void)
{
    struct rib *rib = rib_create(&(struct rib_config) { 0 });
    struct bgp_sink s = rib_sink(rib);
    uint32_t a = peer_up(&s, "192.0.2.1", 65001);
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 1, 1 };
    struct bgp_nlri n = { .family = BGP_VPNV4,
                          .prefix = prefix_of("10.0.0.0/8"), .n_labels = 1 };
    struct bgp_attrs x = attrs_of(path, 2, 5);
    struct rib_stats st;
    for (n.rd = 0; n.rd < 17000; n.rd++) {
        s.announce(s.aux, a, &n, &x);
    }
    rib_stats(rib, &st);
    CU_ASSERT(st.routes > 16000 && st.routes < 17000);
    CU_ASSERT_EQUAL(st.routes + st.n.refused_memory, 17000);
    uint64_t full = st.routes;
    for (uint64_t i = 0; i < 3; i++) {
        n.rd = i;
        s.withdraw(s.aux, a, &n);
        n.rd = 20000 + i;
        s.announce(s.aux, a, &n, &x);
        n.rd = 30000 + i;
        s.announce(s.aux, a, &n, &x);
    }
    rib_stats(rib, &st);
    CU_ASSERT_EQUAL(st.routes, full);
    CU_ASSERT_EQUAL(st.routes + st.n.refused_memory, 17003);
    rib_destroy(rib);
}

/* Nobody outside knows which attributes end in one chain. */
static void
test_seed(void)
{
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 1, 1 };
    struct bgp_attrs x = attrs_of(path, 2, 5), y = attrs_of(path, 2, 6);
    uint32_t hashes[2][2];
    for (int i = 0; i < 2; i++) {
        struct arena arena;
        struct attrs_table t;
        CU_ASSERT_EQUAL(arena_init(&arena, 64 << 20), 0);
        CU_ASSERT_EQUAL(attrs_table_init(&t, &arena), 0);
        hashes[i][0] = attrs_at(&arena, attrs_ref(&t, &x, NULL))->hash;
        hashes[i][1] = attrs_at(&arena, attrs_ref(&t, &y, NULL))->hash;
        CU_ASSERT_NOT_EQUAL(hashes[i][0], hashes[i][1]);
        attrs_table_clear(&t);
        arena_clear(&arena);
    }
    CU_ASSERT_NOT_EQUAL(hashes[0][0] ^ hashes[0][1],
                        hashes[1][0] ^ hashes[1][1]);
}

/* A peer that comes and goes faster than anyone clears up. */
static void
test_flapping(void)
{
    struct rib *rib = rib_create(&(struct rib_config) { 0 });
    struct bgp_sink s = rib_sink(rib);
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 1, 1 };
    struct bgp_attrs x = attrs_of(path, 2, 5);
    struct bgp_nlri n = { .family = BGP_IPV4_UNICAST,
                          .prefix = prefix_of("10.0.0.0/8") };
    struct rib_query q = { .match = RIB_MORE, .peer = RIB_NO_PEER };
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t a = peer_up(&s, "192.0.2.1", 65001);
        struct rib_cursor at = { 0 };
        const struct rib_peer *best = NULL;
        /* Nothing is cleared up meanwhile: now and then a new number. */
        CU_ASSERT(a < 25);
        n.prefix.addr.b[12] = (uint8_t) (i % 3);
        s.announce(s.aux, a, &n, &x);
        if (i % 7) {
            s.mark_stale(s.aux, a, BGP_IPV4_UNICAST);
        }
        rib_query(rib, &q, &at, take_best, &best);
        CU_ASSERT_PTR_NOT_NULL(best);
        CU_ASSERT_EQUAL(rib_peer(rib, a)->routes[BGP_IPV4_UNICAST], 1);
        s.peer_down(s.aux, a);
        CU_ASSERT_PTR_NULL(best_of(rib, "0.0.0.1"));
    }
    while (rib_work(rib, 10)) {
    }
    CU_ASSERT_EQUAL(peer_up(&s, "192.0.2.1", 65001), 0);
    struct rib_stats stats;
    rib_stats(rib, &stats);
    CU_ASSERT_EQUAL(stats.peers, 1);
    CU_ASSERT_EQUAL(stats.attrs, 0);
    rib_destroy(rib);
}

/* One who begins refresh after refresh: never a long job at once. */
static void
test_marks(void)
{
    struct rib *rib = rib_create(&(struct rib_config) { 0 });
    struct bgp_sink s = rib_sink(rib);
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 1, 1 };
    struct bgp_attrs x = attrs_of(path, 2, 5);
    struct bgp_nlri n = { .family = BGP_IPV4_UNICAST,
                          .prefix = prefix_of("10.0.0.0/8") };
    uint32_t a = peer_up(&s, "192.0.2.1", 65001);
    struct rib_stats stats;
    for (unsigned i = 0; i < 1000; i++) {
        s.announce(s.aux, a, &n, &x);
        s.mark_stale(s.aux, a, BGP_IPV4_UNICAST);
    }
    rib_stats(rib, &stats);
    CU_ASSERT_EQUAL(stats.n.refused_marks, 900);
    CU_ASSERT_EQUAL(stats.n.swept, 0);
    CU_ASSERT_PTR_NOT_NULL(best_of(rib, "10.1.1.1"));
    while (rib_work(rib, 10)) {
    }
    /* It goes on after clearing up. */
    s.announce(s.aux, a, &n, &x);
    s.mark_stale(s.aux, a, BGP_IPV4_UNICAST);
    CU_ASSERT_EQUAL(rib_peer(rib, a)->stale[BGP_IPV4_UNICAST], 1);
    s.end_of_rib(s.aux, a, BGP_IPV4_UNICAST);
    CU_ASSERT_PTR_NULL(best_of(rib, "10.1.1.1"));
    rib_destroy(rib);
}

/* One whose routes all go again and again is told to wait; clearing up gets
 * on though more goes meanwhile. */
static void
test_ready(void)
{
    struct rib *rib = rib_create(&(struct rib_config) { 0 });
    struct bgp_sink s = rib_sink(rib);
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 1, 1 };
    struct bgp_attrs x = attrs_of(path, 2, 5);
    struct bgp_nlri n = { .family = BGP_IPV4_UNICAST,
                          .prefix = prefix_of("10.0.0.0/24") };
    struct rib_stats stats;
    uint32_t a = peer_up(&s, "192.0.2.1", 65001);
    uint32_t b = peer_up(&s, "192.0.2.2", 65002);
    uint32_t c = peer_up(&s, "192.0.2.3", 65003);
    unsigned waits = 0, turns = 0;
    for (unsigned i = 0; i < 1000; i++) {
        n.prefix.addr.b[13] = (uint8_t) (i >> 8);
        n.prefix.addr.b[14] = (uint8_t) i;
        s.announce(s.aux, c, &n, &x);
    }
    n.prefix = prefix_of("10.1.0.0/16");
    s.announce(s.aux, b, &n, &x);
    for (unsigned i = 0; i < 1000; i++) {
        s.announce(s.aux, a, &n, &x);
        s.purge(s.aux, a, BGP_IPV4_UNICAST, false);
        CU_ASSERT_EQUAL(rib_peer(rib, a)->routes[BGP_IPV4_UNICAST], 0);
        CU_ASSERT(s.ready(s.aux, b));
        waits += !s.ready(s.aux, a);
        while (!s.ready(s.aux, a) && turns < 100000) {
            /* The other one never rests. */
            if (turns++ % 4 == 0) {
                s.mark_stale(s.aux, b, BGP_IPV4_UNICAST);
                s.end_of_rib(s.aux, b, BGP_IPV4_UNICAST);
                s.announce(s.aux, b, &n, &x);
            }
            rib_work(rib, 100);
        }
    }
    CU_ASSERT(waits >= 9 && waits <= 20);
    CU_ASSERT(turns < 1000);
    rib_stats(rib, &stats);
    CU_ASSERT_EQUAL(stats.n.long_sweeps, 0);
    /* Who does not wait is served, too. */
    for (unsigned i = 0; i < 300; i++) {
        s.announce(s.aux, a, &n, &x);
        s.purge(s.aux, a, BGP_IPV4_UNICAST, false);
    }
    rib_stats(rib, &stats);
    CU_ASSERT(stats.n.long_sweeps >= 1);
    CU_ASSERT_EQUAL(rib_peer(rib, a)->routes[BGP_IPV4_UNICAST], 0);
    CU_ASSERT_EQUAL(rib_peer(rib, b)->routes[BGP_IPV4_UNICAST], 1);
    rib_destroy(rib);
}

UNIT_MAIN("rib", UNIT_TEST(test_random), UNIT_TEST(test_best),
          UNIT_TEST(test_attrs), UNIT_TEST(test_limits),
          UNIT_TEST(test_many_paths), UNIT_TEST(test_many_gone),
          UNIT_TEST(test_many_vpns),
          UNIT_TEST(test_seed),
          UNIT_TEST(test_flapping), UNIT_TEST(test_marks),
          UNIT_TEST(test_ready))
