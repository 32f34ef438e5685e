/* The history of routes: what a RIB tells, on disk and back. */
#include <config.h>

#include "bgp/routelog.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <urcu.h>

#include "bgp/attribute.h"
#include "bgp/attrs.h"
#include "bgp/routelog_p.h"
#include "tests/unit/unit.h"

#define SECOND INT64_C(1000000)
#define START (INT64_C(1790000000) * SECOND)

static _Atomic int64_t now;
static char dir[64];
static struct rib *rib;
static struct bgp_sink sink;
static struct routelog *history;

static int64_t
get_now(void)
{
    return now;
}

static void
open_history(uint64_t max_bytes)
{
    struct routelog_config c = { dir, INT64_C(86400) * SECOND, max_bytes,
                                get_now };
    int error = 0;
    history = routelog_open(&c, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(history);
    rib = rib_create(&(struct rib_config) { .max_bytes = 0 });
    CU_ASSERT_PTR_NOT_NULL_FATAL(rib);
    struct rib_watch w = routelog_watch(history);
    CU_ASSERT_EQUAL(rib_add_watch(rib, &w), 0);
    sink = rib_sink(rib);
}

static void
close_history(void)
{
    routelog_close(history);
    rib_destroy(rib);
    history = NULL;
    rib = NULL;
}

static void
clean(void)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        unlink(path);
    }
    if (d) {
        closedir(d);
    }
}

static void
begin(uint64_t max_bytes)
{
    clean();
    now = START;
    open_history(max_bytes);
}

static struct addr
address(const char *text)
{
    struct addr a = { { 0 } };
    CU_ASSERT_EQUAL(addr_parse(text, &a), 0);
    return a;
}

static uint32_t
peer_up(const char *name, const char *addr)
{
    struct bgp_peer_info info = {
        .kind = BGP_PEER_SESSION, .address = address(addr), .as = 65001,
        .local_as = 65000, .id = 7, .name = name,
    };
    return sink.peer_up(sink.aux, &info);
}

static struct bgp_nlri
nlri(const char *prefix)
{
    struct bgp_nlri n = { .family = BGP_IPV4_UNICAST };
    CU_ASSERT_EQUAL(prefix_parse(prefix, &n.prefix), 0);
    if (!addr_is_v4(&n.prefix.addr)) {
        n.family = BGP_IPV6_UNICAST;
    }
    return n;
}

static void
announce(uint32_t peer, const char *prefix, uint32_t origin)
{
    static uint64_t serial;
    uint32_t path[] = { BGP_AS_SEQUENCE << 16 | 2, 65001, origin };
    struct bgp_nlri n = nlri(prefix);
    struct bgp_attrs a = {
        .serial = ++serial, .next_hop = address("192.0.2.1"),
        .has = BGP_HAS_ORIGIN | BGP_HAS_AS_PATH | BGP_HAS_NEXT_HOP,
        .as_path = path, .n_as_path = 3,
    };
    sink.announce(sink.aux, peer, &n, &a);
}

static void
withdraw(uint32_t peer, const char *prefix)
{
    struct bgp_nlri n = nlri(prefix);
    sink.withdraw(sink.aux, peer, &n);
}

/* ---- What comes back, as text: "change 10.0.0.0/8 p1 1>2 best". ---- */

struct text {
    char buf[16384];
    size_t n;
    int64_t last_us;
    bool sorted;
    unsigned records;
    struct bgp_decoder *decoder;
};

static uint32_t
origin_of(struct text *t, struct cursor c)
{
    struct bgp_update u;
    const struct bgp_attrs *a;
    CU_ASSERT_TRUE(routelog_attrs(t->decoder, c, &u, &a));
    return a->n_as_path ? a->as_path[a->n_as_path - 1] : 0;
}

static void
each(void *text, const struct routelog_record *r)
{
    struct text *t = text;
    char prefix[PREFIX_STRLEN];
    t->records++;
    t->sorted &= r->time_us > t->last_us;
    t->last_us = r->time_us;
    char *p = t->buf + t->n;
    size_t left = sizeof t->buf - t->n;
    int n = snprintf(p, left, "%s%s", t->n ? "; " : "",
                     routelog_kind_name(r->kind));
    if (!routelog_kind_of_peer(r->kind)) {
        n += snprintf(p + n, left - (size_t) n, " %s",
                      prefix_format(&r->nlri.prefix, prefix));
    }
    if (r->peer) {
        n += snprintf(p + n, left - (size_t) n, " %s", r->peer->name);
    }
    if (r->has_before || r->has_after) {
        n += snprintf(p + n, left - (size_t) n, " %u>%u",
                      r->has_before ? origin_of(t, r->before) : 0,
                      r->has_after ? origin_of(t, r->after) : 0);
    } else if (r->peer) {
        n += snprintf(p + n, left - (size_t) n, " %u", (unsigned) r->n);
    }
    t->n += (size_t) n + (size_t) snprintf(p + n, left - (size_t) n, "%s",
                                           r->best ? " best" : "");
}

static struct routelog_answer answer;

static const char *
ask_query(struct routelog_query *q)
{
    static struct text t;
    memset(&t, 0, sizeof t);
    t.sorted = true;
    t.decoder = bgp_decoder_create();
    q->limit = q->limit ? q->limit : 100;
    q->to_us = q->to_us ? q->to_us : INT64_MAX;
    q->deadline_us = INT64_MAX;
    CU_ASSERT_EQUAL(routelog_query(history, q, each, &t, &answer), 0);
    CU_ASSERT_TRUE(t.sorted);
    CU_ASSERT_EQUAL(answer.damaged, 0);
    bgp_decoder_destroy(t.decoder);
    return t.buf;
}

/* Only what is about routes. */
static const char *
ask(enum routelog_match match, const char *prefix)
{
    struct routelog_query q = { .match = match };
    q.kinds = 1u << ROUTELOG_ANNOUNCE | 1u << ROUTELOG_CHANGE
              | 1u << ROUTELOG_WITHDRAW | 1u << ROUTELOG_EXPIRE;
    if (prefix) {
        CU_ASSERT_EQUAL(prefix_parse(prefix, &q.prefix), 0);
    }
    return ask_query(&q);
}

#define IS(GOT, WANTED)                                                 \
    do {                                                                \
        const char *got__ = (GOT);                                      \
        CU_ASSERT_STRING_EQUAL(got__, WANTED);                          \
        if (strcmp(got__, WANTED)) {                                    \
            fprintf(stderr, "\n%d: got \"%s\"\n", __LINE__, got__);     \
        }                                                               \
    } while (0)

static void
work(void)
{
    while (rib_work(rib, 1000)) {
    }
}

/* ---- Tests. ---- */

static void
test_changes(void)
{
    begin(0);
    uint32_t p = peer_up("p1", "192.0.2.1");
    announce(p, "10.0.0.0/8", 1);
    announce(p, "10.1.0.0/16", 2);
    announce(p, "10.1.0.0/16", 3);      /* Even in a first table. */
    sink.end_of_rib(sink.aux, p, BGP_IPV4_UNICAST);
    now += SECOND;
    announce(p, "10.1.0.0/16", 3);      /* Nothing new. */
    announce(p, "10.2.0.0/16", 4);
    withdraw(p, "10.2.0.0/16");
    withdraw(p, "10.3.0.0/16");         /* Never there. */
    announce(p, "2001:db8::/32", 5);    /* Its table is still told. */
    IS(ask(ROUTELOG_ALL, NULL),
       "change 10.1.0.0/16 p1 2>3 best; announce 10.2.0.0/16 p1 0>4 best; "
       "withdraw 10.2.0.0/16 p1 4>0 best");
    struct routelog_query q = { .match = ROUTELOG_ALL };
    IS(ask_query(&q),
       "start; peer-up p1 0; change 10.1.0.0/16 p1 2>3 best; table p1 2; "
       "announce 10.2.0.0/16 p1 0>4 best; withdraw 10.2.0.0/16 p1 4>0 best");
    CU_ASSERT_EQUAL(counter_get(&routelog_counters(history)->loaded), 3);

    uint32_t p2 = peer_up("p2", "192.0.2.2");
    sink.peer_down(sink.aux, p2);
    work();
    q = (struct routelog_query) { .match = ROUTELOG_EXACT };
    prefix_parse("10.2.0.0/16", &q.prefix);
    IS(ask_query(&q),
       "start; peer-up p1 0; table p1 2; announce 10.2.0.0/16 p1 0>4 best; "
       "withdraw 10.2.0.0/16 p1 4>0 best");
    /* p2 has nothing to do with it, unless it has the route now. */
    const char *peers[] = { "p2" };
    prefix_parse("10.0.0.0/8", &q.prefix);
    q.peers = peers;
    q.n_peers = 1;
    IS(ask_query(&q), "start; peer-up p2 0; peer-down p2 0");
    q = (struct routelog_query) { .match = ROUTELOG_ALL, .peer = "p2" };
    IS(ask_query(&q), "start; peer-up p2 0; peer-down p2 0");
    q.peer = "192.0.2.2";
    IS(ask_query(&q), "start; peer-up p2 0; peer-down p2 0");
    close_history();
}

static void
test_matches(void)
{
    begin(0);
    uint32_t p = peer_up("p1", "192.0.2.1");
    sink.end_of_rib(sink.aux, p, BGP_IPV4_UNICAST);
    sink.end_of_rib(sink.aux, p, BGP_IPV6_UNICAST);
    announce(p, "0.0.0.0/0", 1);
    announce(p, "10.0.0.0/8", 2);
    announce(p, "10.1.0.0/16", 3);
    announce(p, "10.1.2.0/24", 4);
    announce(p, "10.2.0.0/16", 5);
    announce(p, "::/0", 6);
    announce(p, "2001:db8::/32", 7);
    announce(p, "2001:db8:1::/48", 8);
    IS(ask(ROUTELOG_EXACT, "10.1.0.0/16"),
       "announce 10.1.0.0/16 p1 0>3 best");
    IS(ask(ROUTELOG_EXACT, "10.1.0.0/17"), "");
    IS(ask(ROUTELOG_LONGEST, "10.1.0.1"), "announce 10.1.0.0/16 p1 0>3 best");
    IS(ask(ROUTELOG_LONGEST, "10.1.2.1"), "announce 10.1.2.0/24 p1 0>4 best");
    IS(ask(ROUTELOG_LESS, "10.1.0.1"),
       "announce 0.0.0.0/0 p1 0>1 best; announce 10.0.0.0/8 p1 0>2 best; "
       "announce 10.1.0.0/16 p1 0>3 best");
    IS(ask(ROUTELOG_MORE, "10.1.0.0/16"),
       "announce 10.1.0.0/16 p1 0>3 best; "
       "announce 10.1.2.0/24 p1 0>4 best");
    IS(ask(ROUTELOG_MORE, "2001:db8::/32"),
       "announce 2001:db8::/32 p1 0>7 best; "
       "announce 2001:db8:1::/48 p1 0>8 best");
    IS(ask(ROUTELOG_LESS, "2001:db8::1"),
       "announce ::/0 p1 0>6 best; announce 2001:db8::/32 p1 0>7 best");
    IS(ask(ROUTELOG_LONGEST, "2001:db8:1::1"),
       "announce 2001:db8:1::/48 p1 0>8 best");
    IS(ask(ROUTELOG_LONGEST, "192.0.2.1"), "announce 0.0.0.0/0 p1 0>1 best");
    close_history();
}

static void
test_pages_and_times(void)
{
    char wanted[64], prefix[32];
    begin(0);
    uint32_t p = peer_up("p1", "192.0.2.1");
    sink.end_of_rib(sink.aux, p, BGP_IPV4_UNICAST);
    for (unsigned i = 0; i < 500; i++) {
        now = START + (i + 1) * SECOND;
        snprintf(prefix, sizeof prefix, "10.0.%u.0/24", i % 250);
        announce(p, prefix, i + 1);
        if (i % 100 == 0) {
            routelog_flush(history);     /* Several blocks. */
        }
    }
    struct routelog_query q = { .match = ROUTELOG_ALL, .limit = 7,
                               .kinds = 1u << ROUTELOG_ANNOUNCE
                                        | 1u << ROUTELOG_CHANGE };
    unsigned total = 0, pages = 0;
    do {
        const char *got = ask_query(&q);
        for (const char *at = got; (at = strstr(at, "10.0.")); at++) {
            total++;
        }
        pages++;
        q.to_us = answer.next_us;
    } while (answer.more);
    CU_ASSERT_EQUAL(total, 500);
    CU_ASSERT_EQUAL(pages, 72);
    q = (struct routelog_query) {
        .match = ROUTELOG_ALL, .from_us = START + 300 * SECOND,
        .to_us = START + 301 * SECOND,
    };
    snprintf(wanted, sizeof wanted, "change 10.0.49.0/24 p1 50>300 best");
    IS(ask_query(&q), wanted);
    CU_ASSERT_FALSE(answer.more);
    /* What a filter says is not there is not unpacked. */
    q = (struct routelog_query) { .match = ROUTELOG_EXACT };
    prefix_parse("10.9.9.0/24", &q.prefix);
    ask_query(&q);
    CU_ASSERT(answer.skipped >= 4);
    close_history();
}

static void
test_sessions(void)
{
    begin(0);
    uint32_t p = peer_up("p1", "192.0.2.1");
    announce(p, "10.0.0.0/8", 1);
    announce(p, "10.1.0.0/16", 2);
    /* No End-of-RIB: it has gone quiet. */
    now += 31 * SECOND;
    routelog_tick(history);
    announce(p, "10.2.0.0/16", 3);
    /* Restarts: what is told again is no news, the rest goes. */
    sink.mark_stale(sink.aux, p, BGP_IPV4_UNICAST);
    p = peer_up("p1", "192.0.2.1");
    announce(p, "10.0.0.0/8", 1);
    announce(p, "10.1.0.0/16", 9);
    announce(p, "10.4.0.0/16", 4);
    sink.end_of_rib(sink.aux, p, BGP_IPV4_UNICAST);
    work();
    /* Gone for good, and back. */
    sink.peer_down(sink.aux, p);
    p = peer_up("p1", "192.0.2.1");
    announce(p, "10.0.0.0/8", 1);
    work();
    sink.end_of_rib(sink.aux, p, BGP_IPV4_UNICAST);
    struct routelog_query q = { .match = ROUTELOG_ALL };
    IS(ask_query(&q),
       "start; peer-up p1 0; table p1 2; announce 10.2.0.0/16 p1 0>3 best; "
       "peer-up p1 3; change 10.1.0.0/16 p1 2>9 best; table p1 1; "
       "expire 10.2.0.0/16 p1 3>0 best; peer-down p1 3; peer-up p1 0; "
       "table p1 1");
    close_history();
}

/* All attributes and kinds of routes come back as they went. */
static void
test_attributes(void)
{
    static uint8_t buf[70000];
    uint32_t path[] = { BGP_AS_CONFED_SEQUENCE << 16 | 1, 65100,
                        BGP_AS_SEQUENCE << 16 | 2, 1, 4200000000u,
                        BGP_AS_SET << 16 | 2, 7, 8 };
    uint32_t communities[] = { 65000u << 16 | 1, 0xffffff01 };
    uint64_t ext[] = { 0x0002fde800000001, 0x4302000000000000 };
    uint32_t large[][3] = { { 65000, 1, 2 }, { 3, 4, 5 } };
    uint32_t cluster[] = { 0x0a000001 };
    const uint8_t unknown[] = { 0xc0, 99, 2, 1, 2 };
    const char *const hops[] = { "192.0.2.1", "2001:db8::1" };
    struct bgp_decoder *d = bgp_decoder_create();
    for (int i = 0; i < 2; i++) {
        struct bgp_attrs a = {
            .has = 0x7ff & ~(i ? 0u : BGP_HAS_LINK_LOCAL), .origin = 2,
            .next_hop = address(hops[i]), .link_local = address("fe80::1"),
            .med = 1, .local_pref = 2, .otc = 3, .aggregator_as = 70000,
            .aggregator = address("10.9.9.9"), .originator_id = 5,
            .aigp = 6, .as_path = path, .n_as_path = 8,
            .communities = communities, .n_communities = 2,
            .ext_communities = ext, .n_ext_communities = 2,
            .large_communities = (const uint32_t (*)[3]) large,
            .n_large_communities = 2,
            .cluster_list = cluster, .n_cluster_list = 1,
            .unknown = unknown, .n_unknown = sizeof unknown,
        };
        struct bgp_update u;
        const struct bgp_attrs *b;
        size_t n = bgp_attrs_write(&a, buf, sizeof buf);
        CU_ASSERT(n > 0);
        CU_ASSERT_TRUE(routelog_attrs(d, cur_init(buf, n), &u, &b));
        CU_ASSERT_EQUAL(b->has, a.has);
        CU_ASSERT_EQUAL(b->origin, 2);
        CU_ASSERT_TRUE(addr_equal(&a.next_hop, &b->next_hop));
        CU_ASSERT_EQUAL(b->med, 1);
        CU_ASSERT_EQUAL(b->local_pref, 2);
        CU_ASSERT_EQUAL(b->otc, 3);
        CU_ASSERT_EQUAL(b->aggregator_as, 70000);
        CU_ASSERT_TRUE(addr_equal(&a.aggregator, &b->aggregator));
        CU_ASSERT_EQUAL(b->originator_id, 5);
        CU_ASSERT_EQUAL(b->aigp, 6);
        CU_ASSERT_EQUAL_FATAL(b->n_as_path, 8);
        CU_ASSERT_FALSE(memcmp(b->as_path, path, sizeof path));
        CU_ASSERT_EQUAL_FATAL(b->n_communities, 2);
        CU_ASSERT_FALSE(memcmp(b->communities, communities, 8));
        CU_ASSERT_EQUAL_FATAL(b->n_ext_communities, 2);
        CU_ASSERT_FALSE(memcmp(b->ext_communities, ext, 16));
        CU_ASSERT_EQUAL_FATAL(b->n_large_communities, 2);
        CU_ASSERT_FALSE(memcmp(b->large_communities, large, 24));
        CU_ASSERT_EQUAL(b->n_cluster_list, 1);
        CU_ASSERT_EQUAL_FATAL(b->n_unknown, sizeof unknown);
        CU_ASSERT_FALSE(memcmp(b->unknown, unknown, sizeof unknown));
        /* The guillotine: whatever is cut off, nothing is read beyond. */
        for (size_t k = 0; k < n; k++) {
            uint8_t *cut = memdup_exact(buf, k);
            routelog_attrs(d, cur_init(cut, k), &u, &b);
            free(cut);
        }
        CU_ASSERT_EQUAL(bgp_attrs_write(&a, buf, n - 1), 0);
    }
    bgp_decoder_destroy(d);
}

static void
test_records(void)
{
    uint8_t buf[1024];
    struct routelog_peers peers = { .list = NULL };
    peers.by_number = calloc(RIB_MAX_PEERS, sizeof *peers.by_number);
    struct bgp_peer_info info = {
        .kind = BGP_PEER_BMP, .view = BGP_VIEW_OUT_POST, .rd = 5, .as = 6,
        .address = address("192.0.2.9"), .router = address("2001:db8::9"),
    };
    struct routelog_record r = {
        .kind = ROUTELOG_CHANGE, .time_us = START, .best = true,
        .has_after = true, .after = cur_init("abc", 3), .leak_after = true,
        .nlri = { .family = BGP_EVPN, .path_id = 9, .rd = 77, .label = 100,
                  .n_labels = 1, .label2 = 200, .evpn_type = 2,
                  .ethernet_tag = 3, .mac = 0x0123456789ab,
                  .esi = "123456789", .gateway = address("10.0.0.9") },
    };
    CU_ASSERT_EQUAL(prefix_parse("10.1.2.3/32", &r.nlri.prefix), 0);
    size_t n = routelog_peer_write(12, &info, "router", buf, sizeof buf);
    size_t m = routelog_record_write(&r, 12, buf + n, sizeof buf - n);
    CU_ASSERT(n && m);
    struct cursor c = cur_init(buf, n + m);
    struct routelog_record got;
    CU_ASSERT_TRUE_FATAL(routelog_record_read(&c, &peers, &got));
    CU_ASSERT_PTR_NOT_NULL_FATAL(got.peer);
    CU_ASSERT_STRING_EQUAL(got.peer->name, "router");
    CU_ASSERT_EQUAL(got.peer->info.view, BGP_VIEW_OUT_POST);
    CU_ASSERT_TRUE(addr_equal(&got.peer->info.router, &info.router));
    CU_ASSERT_FALSE(memcmp(&got.nlri.prefix, &r.nlri.prefix,
                           sizeof r.nlri.prefix));
    CU_ASSERT_EQUAL(got.nlri.mac, r.nlri.mac);
    CU_ASSERT_EQUAL(got.nlri.rd, 77);
    CU_ASSERT_EQUAL(got.nlri.path_id, 9);
    CU_ASSERT_EQUAL(got.nlri.label, 100);
    CU_ASSERT_EQUAL(got.nlri.label2, 200);
    CU_ASSERT_TRUE(addr_equal(&got.nlri.gateway, &r.nlri.gateway));
    CU_ASSERT_TRUE(got.best && got.has_after && !got.has_before);
    CU_ASSERT_TRUE(got.leak_after && !got.leak_before);
    CU_ASSERT_EQUAL(got.kind, ROUTELOG_CHANGE);
    CU_ASSERT_EQUAL(cur_left(&got.after), 3);
    CU_ASSERT_FALSE(routelog_record_read(&c, &peers, &got));
    CU_ASSERT_FALSE(c.bad);
    for (size_t k = 1; k < n + m; k++) {
        uint8_t *cut = memdup_exact(buf, k);
        c = cur_init(cut, k);
        routelog_peers_reset(&peers);
        CU_ASSERT_FALSE(routelog_record_read(&c, &peers, &got));
        CU_ASSERT(c.bad || k == n);
        free(cut);
    }
    free(peers.list);
    free(peers.by_number);
}

static unsigned
count_files(char *last)
{
    struct routelog_file *files;
    size_t n;
    CU_ASSERT_EQUAL_FATAL(routelog_list(dir, &files, &n), 0);
    if (n && last) {
        snprintf(last, 256, "%s/%s", dir, files[n - 1].name);
    }
    free(files);
    return (unsigned) n;
}

static void
test_restart(void)
{
    char last[256];
    begin(0);
    uint32_t p = peer_up("p1", "192.0.2.1");
    sink.end_of_rib(sink.aux, p, BGP_IPV4_UNICAST);
    announce(p, "10.0.0.0/8", 1);
    routelog_flush(history);
    announce(p, "10.1.0.0/16", 2);
    close_history();
    now += SECOND;
    CU_ASSERT_EQUAL(count_files(last), 1);
    /* The last block is torn. */
    struct stat st;
    CU_ASSERT_EQUAL(stat(last, &st), 0);
    CU_ASSERT_EQUAL(truncate(last, st.st_size - 5), 0);
    open_history(0);
    p = peer_up("p1", "192.0.2.1");
    sink.end_of_rib(sink.aux, p, BGP_IPV4_UNICAST);
    announce(p, "10.2.0.0/16", 3);
    IS(ask(ROUTELOG_ALL, NULL),
       "announce 10.0.0.0/8 p1 0>1 best; announce 10.2.0.0/16 p1 0>3 best");
    CU_ASSERT_EQUAL(count_files(NULL), 2);
    close_history();
    now += SECOND;
    /* A bit flips: that block is left out, and counted. */
    open_history(0);
    struct routelog_file *files;
    size_t n;
    CU_ASSERT_EQUAL_FATAL(routelog_list(dir, &files, &n), 0);
    snprintf(last, sizeof last, "%s/%s", dir, files[1].name);
    free(files);
    int fd = open(last, O_RDWR);
    uint8_t byte = 0;
    CU_ASSERT_EQUAL(fstat(fd, &st), 0);
    CU_ASSERT_EQUAL(pread(fd, &byte, 1, st.st_size - 1), 1);
    byte ^= 1;
    CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, st.st_size - 1), 1);
    close(fd);
    struct routelog_query q = { .match = ROUTELOG_ALL, .limit = 10,
                               .to_us = INT64_MAX,
                               .deadline_us = INT64_MAX };
    struct text t = { .decoder = bgp_decoder_create(), .sorted = true };
    CU_ASSERT_EQUAL(routelog_query(history, &q, each, &t, &answer), 0);
    CU_ASSERT_EQUAL(answer.damaged, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(t.buf, "10.0.0.0/8"));
    CU_ASSERT_PTR_NULL(strstr(t.buf, "10.2.0.0/16"));
    bgp_decoder_destroy(t.decoder);
    close_history();
}

static void
test_retention(void)
{
    char prefix[32];
    uint64_t n_files, bytes;
    int64_t oldest_us;
    begin(256 << 10);
    uint32_t p = peer_up("p1", "192.0.2.1");
    sink.end_of_rib(sink.aux, p, BGP_IPV4_UNICAST);
    for (unsigned i = 0; i < 40; i++) {
        now += 61 * SECOND;
        for (unsigned k = 0; k < 2000; k++) {
            snprintf(prefix, sizeof prefix, "10.%u.%u.0/24", k / 256,
                     k % 256);
            announce(p, prefix, i * 7919 + k * 104729);
        }
        routelog_flush(history);
    }
    now += 61 * SECOND;
    announce(p, "10.0.0.0/24", 1);
    routelog_flush(history);
    routelog_close(history);     /* After its thread has tidied up. */
    history = NULL;
    rib_destroy(rib);
    open_history(256 << 10);
    do {
        routelog_flush(history);
        routelog_size(history, &n_files, &bytes, &oldest_us);
    } while (!n_files);
    CU_ASSERT(bytes <= (256 << 10) + (64 << 10));
    CU_ASSERT(n_files > 1);
    CU_ASSERT(oldest_us > START);
    /* And by age. */
    now += INT64_C(100) * 3600 * SECOND;
    do {
        announce(p, "10.0.0.0/24", (uint32_t) now);
        routelog_flush(history);
        routelog_size(history, &n_files, &bytes, &oldest_us);
        now += 61 * SECOND;
    } while (n_files > 2);
    CU_ASSERT(counter_get(&routelog_counters(history)->deleted) > 0);
    close_history();
}

int
main(void)
{
    static const struct unit_test tests[] = {
        UNIT_TEST(test_changes), UNIT_TEST(test_matches),
        UNIT_TEST(test_pages_and_times), UNIT_TEST(test_sessions),
        UNIT_TEST(test_attributes), UNIT_TEST(test_records),
        UNIT_TEST(test_restart), UNIT_TEST(test_retention),
    };
    snprintf(dir, sizeof dir, "/tmp/test-routelog-XXXXXX");
    if (!mkdtemp(dir)) {
        return 1;
    }
    rcu_register_thread();
    int result = unit_run("routelog", tests, sizeof tests / sizeof tests[0]);
    rcu_unregister_thread();
    clean();
    rmdir(dir);
    return result;
}
