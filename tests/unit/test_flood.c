#include <config.h>

#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <urcu.h>

#include "collector/exporter/correct.h"
#include "tests/unit/decode_util.h"

/* What an attacker sends, at full size and with the daemon's own limits: a
 * million made-up exporters, floods of templates, times of other centuries.
 * Memory stays bounded, all of it is counted, and an exporter that was there
 * before loses nothing.  What it costs that exporter is printed. */

#define MAX_SOURCES 65536       /* The default of collector/max-sources. */
#define SPOOFED 1000000u
#define KNOWN_RECORDS 24

static struct rig rig;
static struct correct correct;
static uint64_t corrected, absurd;

/* The stage that the daemon runs over every batch. */
static struct flow_batch *
flood_flush(void *aux, struct flow_batch *b)
{
    struct rig *r = aux;
    correct_process(&correct, b);
    for (uint32_t i = 0; i < b->n; i++) {
        corrected += (b->quality[i] & Q_TIME_CORRECTED) != 0;
        absurd += b->flow_end[i] > b->received[i] + CORRECT_MAX_FUTURE_US
                  || b->flow_end[i] < b->received[i] - CORRECT_MAX_PAST_US
                  || b->flow_start[i] > b->flow_end[i]
                  || b->flow_start[i] < b->flow_end[i] - CORRECT_MAX_PAST_US;
    }
    r->flushed += b->n;
    batch_reset(b);
    return b;
}

static void
flood_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    r->dict = dict_create(65536, 8 << 20);
    r->sources = source_table_create(MAX_SOURCES);
    r->templates = template_cache_create(TEMPLATE_SHARE, TEMPLATE_TOTAL);
    r->b = batch_create();
    struct decoder_config c = {
        .dict = r->dict, .sources = r->sources, .templates = r->templates,
        .counters = &r->n, .flush = flood_flush, .aux = r,
    };
    r->decoder = decoder_create(&c);
    addr_parse("192.0.2.1", &r->from);
    r->port = 50000;
    corrected = absurd = 0;
}

static void
feed(struct rig *r, const struct msg *m)
{
    struct datagram d = {
        .data = m->b, .size = m->n, .src = r->from, .src_port = r->port,
        .received_us = RECEIVED_US,
    };
    decoder_prefetch(r->decoder, &d, 1);
    r->b = decoder_datagram(r->decoder, &d, r->b);
}

static size_t
resident(void)
{
    unsigned long size = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%lu %lu", &size, &pages) != 2) {
            pages = 0;
        }
        fclose(f);
    }
    return pages * (size_t) sysconf(_SC_PAGESIZE);
}

static bool
is_sanitized(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return true;
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

static double
cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static const struct template_field usual[] = {
    { 8, 4, 0 }, { 12, 4, 0 }, { 7, 2, 0 }, { 11, 2, 0 }, { 4, 1, 0 },
    { 2, 4, 0 }, { 1, 4, 0 }, { 150, 4, 0 }, { 151, 4, 0 },
};
#define N_USUAL (sizeof usual / sizeof usual[0])

static void
put_usual(struct msg *m, uint32_t start_s, uint32_t end_s)
{
    put_hex(m, "0a000001 0a000002 1f90 01bb 06 00000005 00000400");
    put32(m, start_s);
    put32(m, end_s);
}

/* Template 300 and 'n' records, from 'domain'. */
static void
message(struct msg *m, uint32_t seq, uint32_t domain, unsigned n)
{
    uint32_t now = (uint32_t) (RECEIVED_US / 1000000);
    ipfix_begin(m, now, seq, domain);
    ipfix_template(m, 300, usual, N_USUAL);
    size_t at = set_begin(m, 300);
    for (unsigned i = 0; i < n; i++) {
        put_usual(m, now - 60, now - 1);
    }
    set_end(m, at);
    ipfix_end(m);
}

/* Records of the exporter that was there first; ns of CPU a record. */
static double
known(struct rig *r, uint32_t *seq)
{
    enum { N = 20000 };
    static struct msg m;
    addr_parse("192.0.2.1", &r->from);
    message(&m, 0, 1, KNOWN_RECORDS);
    uint64_t before = r->flushed + r->b->n;
    double start = cpu_s();
    for (unsigned i = 0; i < N; i++) {
        set32(&m, 8, *seq);
        *seq += KNOWN_RECORDS;
        feed(r, &m);
    }
    double took = cpu_s() - start;
    CU_ASSERT_EQUAL(r->flushed + r->b->n - before, N * KNOWN_RECORDS);
    return took * 1e9 / (N * KNOWN_RECORDS);
}

/* Address number 'i' of a flood. */
static void
spoof(struct rig *r, uint32_t i)
{
    uint8_t a[4] = { 10, (uint8_t) (i >> 16), (uint8_t) (i >> 8),
                     (uint8_t) i };
    r->from = addr_from_v4_bytes(a);
}

static void
test_exporters(void)
{
    static struct msg m;
    uint32_t seq = 0;
    flood_init(&rig);
    double alone = known(&rig, &seq);
    size_t before = resident();
    message(&m, 0, 0, 1);
    for (uint32_t i = 0; i < SPOOFED; i++) {
        set32(&m, 12, i);
        spoof(&rig, i);
        feed(&rig, &m);
    }
    size_t grown = resident() > before ? resident() - before : 0;
    CU_ASSERT_EQUAL(source_table_count(rig.sources), MAX_SOURCES);
    CU_ASSERT_EQUAL(rig.n.source_limit, SPOOFED - (MAX_SOURCES - 1));
    CU_ASSERT_EQUAL(template_total(rig.templates), 1);  /* All alike. */
    double beside = known(&rig, &seq);
    printf("  %u spoofed exporters: %+.1f MB; the known one: %.0f ns a "
           "record before, %.0f after\n", SPOOFED, (double) grown / 1e6,
           alone, beside);
    CU_ASSERT_TRUE(is_sanitized() || grown < 256u << 20);
    addr_parse("192.0.2.1", &rig.from);
    struct source_key key = { .exporter = rig.from, .agent = rig.from,
                              .domain = 1, .protocol = PROTO_IPFIX };
    struct source *s = source_table_get(rig.sources, &key);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(s->n.lost, 0);
    CU_ASSERT_EQUAL(s->n.malformed, 0);
    rig_clear(&rig);
}

/* Templates that are all different, from one exporter, then from so many that
 * none of them uses up its own share. */
static void
test_templates(void)
{
    static struct msg m;
    uint32_t seq = 0;
    flood_init(&rig);
    double alone = known(&rig, &seq);
    size_t before = resident();
    uint64_t sent = 0;
    struct template_field f[N_USUAL + 3];
    memcpy(f, usual, sizeof usual);
    for (uint32_t i = 0; i < 400000; i++) {
        /* Of one exporter, then of ten thousand. */
        uint32_t exporter = i < 100000 ? 1 : 2 + i % 10000;
        for (unsigned k = 0; k < 3; k++) {
            f[N_USUAL + k] = (struct template_field) {
                (uint16_t) (1 + (i >> (k * 8) & 0xff)), 4, 4711,
            };
        }
        ipfix_begin(&m, EXPORT_S, 0, 7);
        ipfix_template(&m, 256 + (i / 10000 + i) % 60000, f, N_USUAL + 3);
        ipfix_end(&m);
        spoof(&rig, exporter);
        feed(&rig, &m);
        sent++;
    }
    size_t grown = resident() > before ? resident() - before : 0;
    double beside = known(&rig, &seq);
    uint64_t kept = template_total(rig.templates);
    printf("  %lu templates, %lu kept, %lu refused: %+.1f MB; the known "
           "exporter: %.0f ns a record before, %.0f after\n",
           (unsigned long) sent, (unsigned long) kept,
           (unsigned long) rig.n.template_limit, (double) grown / 1e6, alone,
           beside);
    CU_ASSERT_TRUE(rig.n.template_limit > sent / 2);
    CU_ASSERT_TRUE(kept > 10000 && kept + rig.n.template_limit <= sent + 1);
    /* The texts of plans and the tables of sources come on top. */
    CU_ASSERT_TRUE(is_sanitized() || grown < 2u * TEMPLATE_BYTES);
    CU_ASSERT_EQUAL(rig.n.no_template, 0);
    rig_clear(&rig);
}

/* Clocks that run through the centuries, in headers and records. */
static void
test_times(void)
{
    static struct msg m;
    uint64_t n = 0;
    flood_init(&rig);
    message(&m, 0, 1, 1);
    for (uint32_t i = 0; i < SPOOFED; i++) {
        uint32_t s = i * 4294u;         /* 1970 to 2106. */
        set32(&m, 4, s);
        set32(&m, 8, i);
        set32(&m, m.n - 8, s ^ (i % 2 ? 0x80000000u : 0));
        set32(&m, m.n - 4, s);
        feed(&rig, &m);
        n++;
    }
    rig.b = flood_flush(&rig, rig.b);
    CU_ASSERT_EQUAL(rig.flushed, n);
    CU_ASSERT_EQUAL(absurd, 0);
    printf("  %lu records of 1970 to 2106: %lu times corrected\n",
           (unsigned long) n, (unsigned long) corrected);
    /* A day and five minutes of those years can be right, of which one half
     * began decades away. */
    CU_ASSERT_TRUE(corrected >= n - 21);
    rig_clear(&rig);
}

/* ---- Datagrams that would cost much more than they are long. ---- */

/* 'n' sets of one byte without template. */
static void
tiny_sets(struct msg *m, uint32_t domain, unsigned n)
{
    ipfix_begin(m, EXPORT_S, 0, domain);
    for (unsigned i = 0; i < n; i++) {
        size_t at = set_begin(m, 999);
        put8(m, 0);
        set_end(m, at);
    }
    ipfix_end(m);
}

/* One template, 'n' times, each for an id of its own or all for the same. */
static void
same_templates(struct msg *m, uint32_t domain, unsigned n, bool own_ids)
{
    ipfix_begin(m, EXPORT_S, 0, domain);
    size_t at = set_begin(m, 2);
    for (unsigned i = 0; i < n; i++) {
        put16(m, 256 + (own_ids ? i : 0));
        put_hex(m, "0001 0001 0004");
    }
    set_end(m, at);
    ipfix_end(m);
}

/* All options templates are withdrawn, 'n' times. */
static void
withdrawals(struct msg *m, uint32_t domain, unsigned n)
{
    ipfix_begin(m, EXPORT_S, 0, domain);
    size_t at = set_begin(m, 3);
    for (unsigned i = 0; i < n; i++) {
        put_hex(m, "0003 0000");
    }
    set_end(m, at);
    ipfix_end(m);
}

/* CPU time of a datagram from an address, the least of some. */
static double
cost(struct rig *r, uint32_t from, const struct msg *m)
{
    double least = 1e9;
    for (unsigned i = 0; i < 20; i++) {
        double start = cpu_s();
        spoof(r, from);
        feed(r, m);
        double took = cpu_s() - start;
        least = took < least ? took : least;
    }
    return least;
}

/* A source that has filled its share, or keeps many templates, cannot make each
 * set of a datagram cost a walk through all of them: it was 30 to 100 times as
 * much as for one that has few. */
#define WORK_RATIO 8

static void
test_work(void)
{
    static struct msg m;
    flood_init(&rig);
    tiny_sets(&m, 1, 13000);
    for (uint32_t i = 0; i < 1000; i++) {
        /* Others have something waiting, too, one set each. */
        if (i == 0) {
            spoof(&rig, 1);
            feed(&rig, &m);
            tiny_sets(&m, 1, 1);
        }
        spoof(&rig, 10 + i);
        feed(&rig, &m);
    }
    tiny_sets(&m, 1, 20);
    double many = cost(&rig, 1, &m), few = 1e9;
    for (uint32_t i = 0; i < 20; i++) {         /* None has got any. */
        double start = cpu_s();
        spoof(&rig, 5000 + i);
        feed(&rig, &m);
        few = cpu_s() - start < few ? cpu_s() - start : few;
    }
    printf("  sets without template: %.1f times as long where many wait\n",
           many / few);
    CU_ASSERT_TRUE(many < WORK_RATIO * few);

    same_templates(&m, 1, 1000, false);
    many = cost(&rig, 1, &m);
    few = cost(&rig, 10, &m);
    printf("  templates: %.1f times as long where many sets wait\n",
           many / few);
    CU_ASSERT_TRUE(many < WORK_RATIO * few);

    same_templates(&m, 1, 1000, true);
    spoof(&rig, 1);
    feed(&rig, &m);
    withdrawals(&m, 1, 1000);
    many = cost(&rig, 1, &m);
    few = cost(&rig, 10, &m);
    printf("  withdrawals: %.1f times as long where there are many\n",
           many / few);
    CU_ASSERT_TRUE(many < WORK_RATIO * few);
    rig_clear(&rig);
}

UNIT_MAIN("flood", UNIT_TEST(test_exporters), UNIT_TEST(test_templates),
          UNIT_TEST(test_times), UNIT_TEST(test_work))
