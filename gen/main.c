/* gen/main.c -- venturi-gen: sends flow records and says what it sent. */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gen/gen.h"
#include "gen/options.h"
#include "gen/sink.h"
#include "gen/totals.h"
#include "lib/clock.h"

#define UPTIME_US (INT64_C(3600) * 1000000)
#define VIRTUAL_RATE 100000     /* Records/s of a pretended clock. */
#define MAX_PACE_US 10000       /* A burst covers at most this time. */

static volatile sig_atomic_t stop;

static void
on_signal(int number)
{
    (void) number;
    stop = 1;
}

/* The clock that exporters live by: the real one, or a pretended one that goes
 * on with the records. */
struct run_clock {
    bool pretended;
    int64_t start_us;
    int64_t mono_us;            /* At the start. */
    double record_us;           /* Pretended time of a record. */
};

static void
clock_start(struct run_clock *c, const struct gen_config *config)
{
    c->pretended = config->start_us || config->span_us || config->pcap;
    c->start_us = config->start_us ? config->start_us : clock_wall_us();
    c->mono_us = clock_mono_us();
    c->record_us = config->span_us
                   ? (double) config->span_us / config->count
                   : 1e6 / (config->rate ? config->rate : VIRTUAL_RATE);
    if (config->span_us && !config->start_us) {
        c->start_us -= config->span_us;         /* It ends now. */
    }
}

static int64_t
clock_at(const struct run_clock *c, uint64_t n_records)
{
    return c->start_us + (c->pretended ? (int64_t) (n_records * c->record_us)
                                       : clock_mono_us() - c->mono_us);
}

static int
send_burst(struct gen *g, struct sink *sink, uint32_t exporter,
           const size_t *sizes, unsigned n, int64_t now_us)
{
    struct gen_exporter *e = &g->exporters[exporter];
    for (unsigned i = 0; i < n; i++) {
        e->octets += sizes[i];
        g->n_octets += sizes[i];
    }
    e->datagrams += n;
    g->n_datagrams += n;
    if (!g->first_us) {
        g->first_us = now_us;
    }
    g->last_us = now_us;
    return sink_send(sink, exporter, sizes, n, now_us);
}

/* Sends the templates of all streams of an exporter if it is time to. */
static int
send_templates(struct gen *g, struct sink *sink, uint32_t exporter,
               int64_t now_us)
{
    struct gen_exporter *e = &g->exporters[exporter];
    int64_t interval = g->config.template_interval_us >= 0
                       ? g->config.template_interval_us
                       : g->encoder->template_interval_us;

    if (!g->encoder->templates
        || (e->templates_us && (!interval
                                || now_us - e->templates_us < interval))) {
        return 0;
    }
    e->templates_us = now_us;
    for (uint32_t i = 0; i < g->config.domains; i++) {
        struct gen_stream *s = &g->streams[exporter * g->config.domains + i];
        for (unsigned j = 0;; j++) {
            size_t size = g->encoder->templates(g, s, j, now_us,
                                                sink_buffer(sink, 0));
            if (!size) {
                break;
            }
            g->n_template_datagrams++;
            int error = send_burst(g, sink, exporter, &size, 1, now_us);
            if (error) {
                return error;
            }
        }
    }
    return 0;
}

static uint64_t
records_left(const struct gen *g)
{
    return g->config.count ? g->config.count - g->n_records : UINT64_MAX;
}

/* How many datagrams to send at once: few enough that all exporters get their
 * turn and that the rate is even. */
static unsigned
burst_size(const struct gen *g, uint32_t per_datagram)
{
    uint64_t n = SINK_BURST;
    if (g->config.count) {
        uint64_t turns = (uint64_t) g->config.exporters * 4 * per_datagram;
        n = g->config.count / turns;
    }
    if (g->config.rate) {
        uint64_t pace = g->config.rate * MAX_PACE_US / 1000000
                        / per_datagram;
        n = pace < n ? pace : n;
    }
    return n < 1 ? 1 : n > SINK_BURST ? SINK_BURST : n;
}

/* Sends up to 'n' datagrams of the next exporter. */
static int
send_records(struct gen *g, struct sink *sink, uint32_t exporter, unsigned n,
             uint32_t per_datagram, int64_t now_us)
{
    struct gen_exporter *e = &g->exporters[exporter];
    size_t sizes[SINK_BURST];
    unsigned i;

    for (i = 0; i < n && records_left(g); i++) {
        struct gen_stream *s = &g->streams[exporter * g->config.domains
                                           + e->next_stream];
        uint64_t left = records_left(g);
        uint32_t records = left < per_datagram ? left : per_datagram;
        sizes[i] = g->encoder->fill(g, s, now_us, &records,
                                    sink_buffer(sink, i));
        g->n_records += records;
        e->next_stream = (e->next_stream + 1) % g->config.domains;
    }
    return send_burst(g, sink, exporter, sizes, i, now_us);
}

/* Sleeps until it is the turn of record 'g->n_records'. */
static void
pace(const struct gen *g, const struct run_clock *c)
{
    if (!g->config.rate || g->config.pcap) {
        return;
    }
    int64_t due_us = c->mono_us + g->n_records * 1e6 / g->config.rate;
    if (due_us > clock_mono_us()) {
        struct timespec ts = { due_us / 1000000, due_us % 1000000 * 1000 };
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
    }
}

static int
run(struct gen *g, struct sink *sink, struct run_clock *c)
{
    uint32_t per_datagram = g->config.records_per_datagram;
    if (!per_datagram || (g->encoder->max_records
                          && per_datagram > g->encoder->max_records)) {
        per_datagram = g->encoder->max_records ? g->encoder->max_records
                                               : 1000;
    }
    /* An estimate is enough: 20 records fit a datagram if nobody says. */
    unsigned n = burst_size(g, per_datagram < 1000 ? per_datagram : 20);

    for (uint32_t i = 0; records_left(g) && !stop;
         i = (i + 1) % g->config.exporters) {
        int64_t now_us = clock_at(c, g->n_records);
        if (g->config.duration_us
            && now_us - c->start_us >= g->config.duration_us) {
            break;
        }
        int error = send_templates(g, sink, i, now_us);
        if (!error) {
            error = send_records(g, sink, i, n, per_datagram, now_us);
        }
        if (error) {
            return error;
        }
        pace(g, c);
    }
    return 0;
}

static int
generate(struct gen *g)
{
    struct run_clock c;
    char *message;
    struct sink *sink = sink_open(g, &message);

    if (!sink || gen_prepare(g)) {
        fprintf(stderr, "venturi-gen: %s\n", message ? message
                                                     : "out of memory");
        free(message);
        sink_close(sink);
        return EXIT_FAILURE;
    }
    clock_start(&c, &g->config);
    g->boot_us = c.start_us - UPTIME_US;
    int error = run(g, sink, &c);
    double elapsed_s = (clock_mono_us() - c.mono_us) / 1e6;
    (g->config.json ? totals_print_json : totals_print)(g, sink, elapsed_s,
                                                        stdout);
    if (error) {
        fprintf(stderr, "venturi-gen: %s: %s\n", sink_target(sink),
                strerror(-error));
    }
    int closed = sink_close(sink);
    if (closed && !error) {
        fprintf(stderr, "venturi-gen: %s: %s\n", g->config.pcap,
                strerror(-closed));
    }
    return error || closed || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    struct gen_config config;
    struct gen g;

    switch (options_parse(argc, argv, clock_wall_us(), &config, stderr)) {
    case OPTIONS_HELP:
        options_help(stdout);
        return EXIT_SUCCESS;
    case OPTIONS_VERSION:
        puts("venturi-gen " PACKAGE_VERSION);
        return EXIT_SUCCESS;
    case OPTIONS_BAD:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    int error = gen_init(&g, &config);
    if (error) {
        fprintf(stderr, "venturi-gen: %s\n", strerror(-error));
        return EXIT_FAILURE;
    }
    struct sigaction sa = { .sa_handler = on_signal };
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    int status = generate(&g);
    gen_clear(&g);
    return status;
}
