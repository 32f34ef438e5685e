/* tests/bench/bench_exporters.c -- 10,000 exporters of 20 templates each,
 * beside one: memory, and records a second in CPU time of one core.
 *
 *     bench_exporters [SECONDS]
 *
 * Exporters take turns at random, which is what a cache likes least; their
 * templates are of 64 kinds, as if of 64 vendors. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collector/decode/decoder.h"
#include "collector/exporter/source_table.h"
#include "collector/template/template.h"
#include "lib/dict.h"
#include "lib/source.h"

#define N_EXPORTERS 10000
#define N_TEMPLATES 20
#define N_KINDS 64
#define N_RECORDS 24

struct message {
    uint8_t b[2048];
    size_t n;
};

/* One for each kind and template. */
static struct message templates[N_KINDS][N_TEMPLATES];
static struct message data[N_KINDS][N_TEMPLATES];
/* The same of one kind, in as many places: what is compared is exporters, not
 * how far away datagrams are. */
static struct message data_of_one[N_KINDS][N_TEMPLATES];
static uint64_t n_rows;
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
begin(struct message *m, unsigned set_id)
{
    m->n = 0;
    put(m, 10, 2);
    put(m, 0, 2);
    put(m, 1700000000, 4);
    put(m, 0, 4);
    put(m, 1, 4);
    put(m, set_id, 2);
    put(m, 0, 2);
}

static void
end(struct message *m)
{
    size_t n = m->n;
    m->n = 2;
    put(m, n, 2);
    m->n = 18;
    put(m, n - 16, 2);
    m->n = n;
}

/* The last two fields make each kind of each template another one. */
static void
make(unsigned kind, unsigned t)
{
    const uint16_t fields[][2] = {
        { 8, 4 }, { 12, 4 }, { 7, 2 }, { 11, 2 }, { 4, 1 }, { 6, 1 },
        { 5, 1 }, { 10, 4 }, { 14, 4 }, { 2, 4 }, { 1, 8 }, { 152, 8 },
        { 153, 8 }, { 210, (uint16_t) (1 + kind % 8) },
        { (uint16_t) (400 + kind / 8), (uint16_t) (1 + t % 4) },
    };
    const unsigned n = sizeof fields / sizeof fields[0];
    struct message *m = &templates[kind][t];
    begin(m, 2);
    put(m, 256 + t, 2);
    put(m, n, 2);
    for (unsigned i = 0; i < n; i++) {
        put(m, fields[i][0], 2);
        put(m, fields[i][1], 2);
    }
    end(m);
    m = &data[kind][t];
    begin(m, 256 + t);
    for (unsigned r = 0; r < N_RECORDS; r++) {
        for (unsigned i = 0; i < n; i++) {
            put(m, rnd(), fields[i][1] < 4 ? fields[i][1] : 4);
            put(m, 0, fields[i][1] < 4 ? 0 : fields[i][1] - 4u);
        }
    }
    end(m);
}

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
resident_mb(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%lu %lu", &pages, &resident) != 2) {
            resident = 0;
        }
        fclose(f);
    }
    return (double) resident * (double) sysconf(_SC_PAGESIZE) / 1e6;
}

static struct datagram
datagram(const struct message *m, unsigned exporter)
{
    struct datagram d = {
        .data = m->b, .size = m->n, .src_port = 4739,
        .received_us = INT64_C(1700000000000000),
    };
    d.src = (struct addr) { { [10] = 0xff, 0xff, 10,
                              (uint8_t) (exporter >> 16),
                              (uint8_t) (exporter >> 8),
                              (uint8_t) exporter } };
    return d;
}

#define BURST 32                /* As collector/input/ hands them on. */

/* Datagrams of exporters at random. */
static struct flow_batch *
feed(struct decoder *decoder, struct flow_batch *b, unsigned n_exporters)
{
    struct datagram d[BURST];
    for (unsigned i = 0; i < BURST; i++) {
        unsigned e = rnd() % n_exporters;
        unsigned t = rnd() % N_TEMPLATES;
        d[i] = datagram(n_exporters > 1 ? &data[e % N_KINDS][t]
                        : &data_of_one[rnd() % N_KINDS][t], e);
    }
    decoder_prefetch(decoder, d, BURST);
    for (unsigned i = 0; i < BURST; i++) {
        b = decoder_datagram(decoder, &d[i], b);
    }
    return b;
}

static double
run(unsigned n_exporters, double seconds)
{
    static struct decoder_counters counters;
    double before = resident_mb();
    struct decoder_config c = {
        .dict = dict_create(1000, 100000),
        .sources = source_table_create(65536),
        .templates = template_cache_create(TEMPLATE_SHARE, TEMPLATE_TOTAL),
        .counters = &counters, .flush = flush,
    };
    struct decoder *decoder = decoder_create(&c);
    struct flow_batch *b = batch_create();
    for (unsigned e = 0; e < n_exporters; e++) {
        for (unsigned t = 0; t < N_TEMPLATES; t++) {
            struct datagram d = datagram(&templates[e % N_KINDS][t], e);
            b = decoder_datagram(decoder, &d, b);
        }
    }
    double used = resident_mb() - before;
    n_rows = 0;
    int64_t start = cpu_us(), now;
    do {
        for (unsigned i = 0; i < 512; i += BURST) {
            b = feed(decoder, b, n_exporters);
        }
        now = cpu_us();
    } while ((double) (now - start) < seconds * 1e6);
    flush(NULL, b);
    double rate = (double) n_rows / (double) (now - start);
    printf("%6u exporters of %d templates: %6.2f M records/s, %6.1f MB\n",
           n_exporters, N_TEMPLATES, rate, used);
    batch_destroy(b);
    decoder_destroy(decoder);
    template_cache_destroy(c.templates);
    source_table_destroy(c.sources);
    dict_destroy(c.dict);
    return rate;
}

int
main(int argc, char *argv[])
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    for (unsigned k = 0; k < N_KINDS; k++) {
        for (unsigned t = 0; t < N_TEMPLATES; t++) {
            make(k, t);
        }
    }
    for (unsigned k = 0; k < N_KINDS; k++) {
        memcpy(data_of_one[k], data[0], sizeof data_of_one[k]);
    }
    double one = run(1, seconds), many = run(N_EXPORTERS, seconds);
    printf("%.2f us more for a datagram of %d records: %.0f %% slower (goal: "
           "30 %%)\n", N_RECORDS / many - N_RECORDS / one, N_RECORDS,
           100 * (one / many - 1));
    return 0;
}
