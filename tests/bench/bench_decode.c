/* tests/bench/bench_decode.c -- flow records a second through each decoder, on
 * one core: from a datagram in memory to a full batch.
 *
 *     bench_decode [SECONDS [WORD]]
 *
 * SECONDS is the length of one run in CPU time of this thread, so that others
 * on the same machine do not count; of five the median is printed; WORD picks
 * those whose name contains it.  Negative, it is how many rounds of datagrams
 * to decode: the same work each time, for tools that count instructions. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector/decode/decoder.h"
#include "collector/exporter/source_table.h"
#include "collector/template/ovs.h"
#include "collector/template/template.h"
#include "lib/dict.h"
#include "lib/source.h"

#define RUNS 5
#define N_DATAGRAMS 512         /* Different ones, in turn. */

struct message {
    uint8_t b[2048];
    size_t n;
};

static uint32_t seed = 1;

static uint32_t
rnd(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static void
put(struct message *m, uint64_t v, size_t size)
{
    while (size) {
        m->b[m->n++] = (uint8_t) (v >> 8 * --size);
    }
}

static void
put_random(struct message *m, size_t size)
{
    while (size--) {
        put(m, rnd(), 1);
    }
}

static void
set16(struct message *m, size_t at, size_t v)
{
    m->b[at] = (uint8_t) (v >> 8);
    m->b[at + 1] = (uint8_t) v;
}

/* ---- What is measured. ---- */

static void
make_netflow5(struct message *m, uint32_t *seq)
{
    m->n = 0;
    put(m, 5, 2);
    put(m, 30, 2);
    put(m, 5000000, 4);
    put(m, 1700000000, 4);
    put(m, 0, 4);
    put(m, *seq, 4);
    put(m, 0, 4);
    *seq += 30;
    for (unsigned i = 0; i < 30; i++) {
        put_random(m, 16);
        put(m, rnd() % 100, 4);
        put(m, rnd() % 100000, 4);
        put(m, 4900000 + rnd() % 50000, 4);
        put(m, 4950000 + rnd() % 50000, 4);
        put_random(m, 4);
        put(m, rnd() % 64, 2);
        put(m, rnd() % 2 ? 6 : 17, 1);
        put_random(m, 9);
    }
}

/* 21 fields, as softflowd or a router sends them. */
static const struct template_field flow_fields[] = {
    { 8, 4, 0 }, { 12, 4, 0 }, { 7, 2, 0 }, { 11, 2, 0 }, { 4, 1, 0 },
    { 5, 1, 0 }, { 6, 1, 0 }, { 10, 4, 0 }, { 14, 4, 0 }, { 2, 4, 0 },
    { 1, 4, 0 }, { 22, 4, 0 }, { 21, 4, 0 }, { 15, 4, 0 }, { 16, 4, 0 },
    { 17, 4, 0 }, { 9, 1, 0 }, { 13, 1, 0 }, { 58, 2, 0 }, { 61, 1, 0 },
    { 60, 1, 0 },
};
#define N_FLOW_FIELDS (sizeof flow_fields / sizeof flow_fields[0])

static void
put_flow(struct message *m, bool ipfix)
{
    put_random(m, 12);
    put(m, rnd() % 2 ? 6 : 17, 1);
    put_random(m, 2);
    put(m, rnd() % 64, 4);
    put(m, rnd() % 64, 4);
    put(m, rnd() % 100, 4);
    put(m, rnd() % 100000, 4);
    if (ipfix) {
        put(m, 1699999000u, 4);
        put(m, 1699999001u, 4);
    } else {
        put(m, 4900000 + rnd() % 50000, 4);
        put(m, 4950000 + rnd() % 50000, 4);
    }
    put_random(m, 16);
    put(m, 0, 1);
    put(m, 4, 1);
}

static size_t
begin_set(struct message *m, unsigned id)
{
    put(m, id, 2);
    put(m, 0, 2);
    return m->n - 4;
}

static void
put_template(struct message *m, unsigned set, bool ipfix)
{
    size_t at = begin_set(m, set);
    put(m, 400, 2);
    put(m, N_FLOW_FIELDS, 2);
    for (size_t i = 0; i < N_FLOW_FIELDS; i++) {
        unsigned id = flow_fields[i].id;
        put(m, ipfix && id == 22 ? 150 : ipfix && id == 21 ? 151 : id, 2);
        put(m, flow_fields[i].size, 2);
    }
    set16(m, at + 2, m->n - at);
}

static void
put_flows(struct message *m, bool ipfix)
{
    size_t at = begin_set(m, 400);
    for (unsigned i = 0; i < 24; i++) {
        put_flow(m, ipfix);
    }
    set16(m, at + 2, m->n - at);
}

static void
make_netflow9(struct message *m, uint32_t *seq)
{
    m->n = 0;
    put(m, 9, 2);
    put(m, 24, 2);
    put(m, 5000000, 4);
    put(m, 1700000000, 4);
    put(m, *seq, 4);
    put(m, 7, 4);
    if (*seq % 20 == 0) {
        put_template(m, 0, false);
    }
    *seq += 1;
    put_flows(m, false);
}

static void
begin_ipfix(struct message *m, uint32_t seq)
{
    m->n = 0;
    put(m, 10, 2);
    put(m, 0, 2);
    put(m, 1700000000, 4);
    put(m, seq, 4);
    put(m, 7, 4);
}

static void
make_ipfix(struct message *m, uint32_t *seq)
{
    begin_ipfix(m, *seq);
    if (*seq % 480 == 0) {
        put_template(m, 2, true);
    }
    *seq += 24;
    put_flows(m, true);
    set16(m, 2, m->n);
}

/* One TCP record over IPv4 a message, as Open vSwitch does. */
static void
make_ovs(struct message *m, uint32_t *seq)
{
    uint16_t id = (uint16_t) (256 + (5 + 1) * 4 + rnd() % 2);
    struct template_field f[OVS_MAX_FIELDS];
    unsigned n = ovs_template_fields(id, false, f);
    begin_ipfix(m, (*seq)++);
    size_t at = begin_set(m, id);
    for (unsigned i = 0; i < n; i++) {
        if (f[i].id == 82) {
            put(m, 5, 1);
            put(m, 0x7465737430 + rnd() % 8, 5);        /* "test0"... */
        } else if (f[i].id == 4) {
            put(m, 6, 1);
        } else if (f[i].id == 8 || f[i].id == 12) {
            put_random(m, 4);
        } else {
            put(m, rnd() % 200, f[i].size == TEMPLATE_VARLEN ? 0
                                : f[i].size);
            if (f[i].size == TEMPLATE_VARLEN) {
                put(m, 0, 1);
            }
        }
    }
    set16(m, at + 2, m->n - at);
    set16(m, 2, m->n);
}

static void
put_sample(struct message *m)
{
    static const uint8_t frame[] = {
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
        0x45, 0, 5, 0xdc, 0, 1, 0x40, 0, 64, 6, 0, 0,
    };
    put(m, 1, 4);
    put(m, 32 + 8 + 16 + 128 + 24, 4);
    put(m, 1, 4);
    put(m, 3, 4);
    put(m, 400, 4);
    put(m, 400, 4);
    put(m, 0, 4);
    put(m, rnd() % 64, 4);
    put(m, 1 + rnd() % 64, 4);
    put(m, 2, 4);
    put(m, 1, 4);
    put(m, 16 + 128, 4);
    put(m, 1, 4);
    put(m, 1518, 4);
    put(m, 4, 4);
    put(m, 128, 4);
    memcpy(m->b + m->n, frame, sizeof frame);
    m->n += sizeof frame;
    put_random(m, 128 - sizeof frame);
    put(m, 1001, 4);
    put(m, 16, 4);
    put(m, 0, 16);
}

static void
make_sflow(struct message *m, uint32_t *seq)
{
    m->n = 0;
    put(m, 5, 4);
    put(m, 1, 4);
    put(m, 0x0a000001, 4);
    put(m, 1, 4);
    put(m, (*seq)++, 4);
    put(m, 1000, 4);
    put(m, 6, 4);
    for (unsigned i = 0; i < 6; i++) {
        put_sample(m);
    }
}

static const struct {
    const char *name;
    void (*make)(struct message *, uint32_t *seq);
    double goal;                /* Million records a second. */
} formats[] = {
    { "NetFlow v5, 30 records", make_netflow5, 20 },
    { "NetFlow v9, 24 records of 21 fields", make_netflow9, 20 },
    { "IPFIX, 24 records of 21 fields", make_ipfix, 20 },
    { "IPFIX of Open vSwitch, 1 record", make_ovs, 5 },
    { "sFlow, 6 samples of 128 bytes", make_sflow, 4 },
};

/* ---- Measuring. ---- */

static uint64_t n_rows;

static struct flow_batch *
flush(void *aux, struct flow_batch *b)
{
    (void) aux;
    n_rows += b->n;
    batch_reset(b);
    return b;
}

static int64_t
cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static double
run(struct decoder *decoder, struct flow_batch *b, struct datagram *d,
    double seconds)
{
    int64_t start = cpu_us(), now;
    double rounds = 0;
    n_rows = 0;
    do {
        for (unsigned i = 0; i < N_DATAGRAMS; i++) {
            b = decoder_datagram(decoder, &d[i], b);
        }
        now = cpu_us();
        rounds++;
    } while (seconds < 0 ? rounds < -seconds
                         : (double) (now - start) < seconds * 1e6);
    flush(NULL, b);
    return (double) n_rows / (double) (now - start);
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return x < y ? -1 : x > y;
}

static void
measure(size_t f, double seconds)
{
    static struct message messages[N_DATAGRAMS];
    static struct datagram d[N_DATAGRAMS];
    static struct decoder_counters counters;
    struct decoder_config c = {
        .dict = dict_create(1024, 65536),
        .sources = source_table_create(1024),
        .templates = template_cache_create(TEMPLATE_SHARE, TEMPLATE_TOTAL),
        .counters = &counters, .flush = flush,
    };
    struct decoder *decoder = decoder_create(&c);
    struct flow_batch *b = batch_create();
    uint32_t seq = 0;
    for (size_t i = 0; i < N_DATAGRAMS; i++) {
        formats[f].make(&messages[i], &seq);
        d[i] = (struct datagram) {
            .data = messages[i].b, .size = messages[i].n,
            .received_us = INT64_C(1700000000000000), .src_port = 1,
        };
    }
    double rates[RUNS];
    for (unsigned i = 0; i < RUNS; i++) {
        rates[i] = run(decoder, b, d, seconds);
    }
    qsort(rates, RUNS, sizeof rates[0], compare);
    printf("%-40s %8.2f M records/s (%.2f to %.2f; goal %.0f)\n",
           formats[f].name, rates[RUNS / 2], rates[0], rates[RUNS - 1],
           formats[f].goal);
    decoder_destroy(decoder);
    template_cache_destroy(c.templates);
    source_table_destroy(c.sources);
    dict_destroy(c.dict);
    batch_destroy(b);
}

int
main(int argc, char *argv[])
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.5;
    printf("one core, median of %d runs of %.1f s (lowest to highest)\n", RUNS,
           seconds);
    for (size_t f = 0; f < sizeof formats / sizeof formats[0]; f++) {
        if (argc < 3 || strstr(formats[f].name, argv[2])) {
            measure(f, seconds);
        }
    }
    return 0;
}
