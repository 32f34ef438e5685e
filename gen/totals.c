/* gen/totals.c */
#include <config.h>

#include "gen/totals.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/clock.h"

#define N_PROTOS 256

struct top_entry {
    struct addr addr;
    struct gen_sum sum;
};

/* Sums of the flows of some streams. */
struct totals {
    struct gen_sum all;
    struct gen_sum by_version[2];       /* IPv4, IPv6. */
    struct gen_sum by_proto[N_PROTOS];
    struct gen_sum by_direction[2];
    struct top_entry *src, *dst;        /* Most bytes first. */
    size_t n_src, n_dst;
};

static void
add(struct gen_sum *to, const struct gen_sum *from)
{
    to->records += from->records;
    to->packets += from->packets;
    to->bytes += from->bytes;
    to->l2_bytes += from->l2_bytes;
}

static int
compare_entries(const void *a_, const void *b_)
{
    const struct top_entry *a = a_, *b = b_;
    if (a->sum.bytes != b->sum.bytes) {
        return a->sum.bytes < b->sum.bytes ? 1 : -1;
    }
    return memcmp(a->addr.b, b->addr.b, sizeof a->addr.b);
}

/* Gathers what hosts sent ('source') or got in flows 'first' to 'end' - 1 into
 * a sorted array; NULL if there is no memory for it. */
static struct top_entry *
make_top(const struct gen *g, uint32_t first, uint32_t end, bool source,
         size_t *n)
{
    struct top_entry *top = calloc(2 * (size_t) g->n_hosts, sizeof *top);
    *n = 0;
    if (!top) {
        return NULL;
    }
    for (uint32_t i = first; i < end; i++) {
        const struct gen_flow *f = &g->flows[i];
        size_t host = source ? f->src_host : f->dst_host;
        struct top_entry *e = &top[2 * host + (f->version == 6)];
        e->addr = source ? f->src : f->dst;
        add(&e->sum, &f->sum);
    }
    for (size_t i = 0; i < 2 * (size_t) g->n_hosts; i++) {
        if (top[i].sum.records) {
            top[(*n)++] = top[i];
        }
    }
    qsort(top, *n, sizeof *top, compare_entries);
    return top;
}

/* Totals of 'n' streams from 'stream' on. */
static void
gather(const struct gen *g, uint32_t stream, uint32_t n, struct totals *t)
{
    const struct gen_stream *s = &g->streams[stream];
    uint32_t end = stream + n < g->n_streams ? s[n].first : g->n_flows;

    memset(t, 0, sizeof *t);
    for (uint32_t i = s->first; i < end; i++) {
        const struct gen_flow *f = &g->flows[i];
        add(&t->all, &f->sum);
        add(&t->by_version[f->version == 6], &f->sum);
        add(&t->by_proto[f->proto], &f->sum);
        add(&t->by_direction[f->direction], &f->sum);
    }
    t->src = make_top(g, s->first, end, true, &t->n_src);
    t->dst = make_top(g, s->first, end, false, &t->n_dst);
}

static void
release(struct totals *t)
{
    free(t->src);
    free(t->dst);
}

/* What a raw count stands for. */
static uint64_t
scaled(const struct gen *g, uint64_t raw)
{
    return raw * (g->sampling ? g->sampling : 1);
}

/* The members that every sum has, without braces. */
static void
json_sum(const struct gen *g, const struct gen_sum *s, FILE *out)
{
    fprintf(out, "\"records\":%" PRIu64 ",\"packets\":%" PRIu64
            ",\"bytes\":%" PRIu64 ",\"raw_packets\":%" PRIu64
            ",\"raw_bytes\":%" PRIu64, s->records, scaled(g, s->packets),
            scaled(g, s->bytes), s->packets, s->bytes);
    if (g->encoder->packets) {
        fprintf(out, ",\"l2_bytes\":%" PRIu64, scaled(g, s->l2_bytes));
    }
}

/* An array of those of 'n' sums that are not empty, each with its key. */
static void
json_sums(const struct gen *g, const char *name, const char *key,
          const struct gen_sum *sums, unsigned n, unsigned first_key,
          unsigned step, FILE *out)
{
    bool any = false;
    fprintf(out, ",\"%s\":[", name);
    for (unsigned i = 0; i < n; i++) {
        if (sums[i].records) {
            fprintf(out, "%s{\"%s\":%u,", any ? "," : "", key,
                    first_key + i * step);
            json_sum(g, &sums[i], out);
            fputc('}', out);
            any = true;
        }
    }
    fputc(']', out);
}

static void
json_top(const struct gen *g, const char *name, const struct top_entry *top,
         size_t n, FILE *out)
{
    fprintf(out, ",\"n_%s\":%zu,\"top_%s\":[", name, n, name);
    for (size_t i = 0; i < n && i < g->config.top; i++) {
        char text[ADDR_STRLEN];
        fprintf(out, "%s{\"%s\":\"%s\",", i ? "," : "", name,
                addr_format(&top[i].addr, text));
        json_sum(g, &top[i].sum, out);
        fputc('}', out);
    }
    fputc(']', out);
}

static void
json_details(const struct gen *g, const struct totals *t, FILE *out)
{
    json_sums(g, "by_ip_version", "ip_version", t->by_version, 2, 4, 2, out);
    json_sums(g, "by_proto", "proto", t->by_proto, N_PROTOS, 0, 1, out);
    if (g->encoder->scales) {
        json_sums(g, "by_direction", "direction", t->by_direction, 2, 0, 1,
                  out);
    }
    json_top(g, "src_addr", t->src, t->n_src, out);
    json_top(g, "dst_addr", t->dst, t->n_dst, out);
}

static void
json_exporter(const struct gen *g, const struct sink *sink, uint32_t i,
              FILE *out)
{
    const struct gen_exporter *e = &g->exporters[i];
    uint32_t n = g->config.domains;
    char text[ADDR_STRLEN];
    struct totals t;
    struct addr addr;
    uint16_t port;

    gather(g, i * n, n, &t);
    sink_source(sink, i, &addr, &port);
    fprintf(out, "{\"exporter\":\"%s\",\"port\":%u,\"datagrams\":%" PRIu64
            ",\"octets\":%" PRIu64 ",", addr_format(&addr, text), port,
            e->datagrams, e->octets);
    json_sum(g, &t.all, out);
    fputs(",\"domains\":[", out);
    for (uint32_t j = 0; j < n; j++) {
        fprintf(out, "%s%u", j ? "," : "", g->streams[i * n + j].domain);
    }
    fputc(']', out);
    json_details(g, &t, out);
    fputc('}', out);
    release(&t);
}

/* A string that holds a file name. */
static void
json_string(const char *s, FILE *out)
{
    fputc('"', out);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\' || (unsigned char) *s < ' ') {
            fprintf(out, "\\u%04x", (unsigned char) *s);
        } else {
            fputc(*s, out);
        }
    }
    fputc('"', out);
}

void
totals_print_json(const struct gen *g, const struct sink *sink,
                  double elapsed_s, FILE *out)
{
    char first[TIME_STRLEN], last[TIME_STRLEN];
    struct totals t;

    gather(g, 0, g->n_streams, &t);
    fprintf(out, "{\"protocol\":\"%s\",\"target\":", g->encoder->name);
    json_string(sink_target(sink), out);
    fprintf(out, ",\"seed\":%" PRIu64 ",\"sampling\":%u,\"first\":\"%s\","
            "\"last\":\"%s\",\"elapsed_s\":%.6f,\"datagrams\":%" PRIu64
            ",\"template_datagrams\":%" PRIu64 ",\"octets\":%" PRIu64
            ",\"refused\":%" PRIu64 ",", g->config.seed, g->sampling,
            time_format_us(g->first_us, first),
            time_format_us(g->last_us, last), elapsed_s, g->n_datagrams,
            g->n_template_datagrams, g->n_octets, sink_refused(sink));
    json_sum(g, &t.all, out);
    json_details(g, &t, out);
    fputs(",\"exporters\":[", out);
    for (uint32_t i = 0; i < g->config.exporters; i++) {
        if (i) {
            fputc(',', out);
        }
        json_exporter(g, sink, i, out);
    }
    fputs("]}\n", out);
    release(&t);
}

static void
print_sum(const struct gen *g, const char *what, const struct gen_sum *s,
          FILE *out)
{
    fprintf(out, "  %-40s %12" PRIu64 " %14" PRIu64 " %18" PRIu64 "\n", what,
            s->records, scaled(g, s->packets), scaled(g, s->bytes));
}

static void
print_top(const struct gen *g, const char *what, const struct top_entry *top,
          size_t n, FILE *out)
{
    for (size_t i = 0; i < n && i < g->config.top; i++) {
        char text[ADDR_STRLEN], line[ADDR_STRLEN + 16];
        snprintf(line, sizeof line, "%s %s", what,
                 addr_format(&top[i].addr, text));
        print_sum(g, line, &top[i].sum, out);
    }
}

void
totals_print(const struct gen *g, const struct sink *sink, double elapsed_s,
             FILE *out)
{
    char text[ADDR_STRLEN], line[ADDR_STRLEN + 40];
    struct totals t;

    gather(g, 0, g->n_streams, &t);
    fprintf(out, "%s to %s: %" PRIu64 " records in %" PRIu64 " datagrams "
            "(%" PRIu64 " of templates, %" PRIu64 " octets) in %.3f s, "
            "%.0f records/s\n", g->encoder->name, sink_target(sink),
            g->n_records, g->n_datagrams, g->n_template_datagrams,
            g->n_octets, elapsed_s,
            elapsed_s > 0 ? g->n_records / elapsed_s : 0);
    if (sink_refused(sink)) {
        fprintf(out, "%" PRIu64 " datagrams were refused at first: is anybody "
                "listening there?\n", sink_refused(sink));
    }
    fprintf(out, "  %-40s %12s %14s %18s\n", g->sampling > 1
            ? "(packets, bytes: times the sampling rate)" : "", "records",
            "packets", "bytes");
    print_sum(g, "all", &t.all, out);
    for (unsigned i = 0; i < 2; i++) {
        if (t.by_version[i].records) {
            print_sum(g, i ? "IPv6" : "IPv4", &t.by_version[i], out);
        }
    }
    for (unsigned i = 0; i < N_PROTOS; i++) {
        if (t.by_proto[i].records) {
            snprintf(line, sizeof line, "protocol %u", i);
            print_sum(g, line, &t.by_proto[i], out);
        }
    }
    print_top(g, "from", t.src, t.n_src, out);
    print_top(g, "to", t.dst, t.n_dst, out);
    release(&t);

    for (uint32_t i = 0; i < g->config.exporters && g->config.exporters > 1;
         i++) {
        struct addr addr;
        uint16_t port;
        gather(g, i * g->config.domains, g->config.domains, &t);
        sink_source(sink, i, &addr, &port);
        snprintf(line, sizeof line, "exporter %s port %u",
                 addr_format(&addr, text), port);
        print_sum(g, line, &t.all, out);
        release(&t);
    }
}
