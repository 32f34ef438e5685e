/* gen/options.c */
#include <config.h>

#include "gen/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#include "lib/clock.h"

#define DEFAULT_COUNT 1000
#define WIDTH 79
#define DOC_COLUMN 26

enum kind {
    KIND_FLAG, KIND_TEXT, KIND_U16, KIND_U32, KIND_U64, KIND_REAL,
    KIND_DURATION, KIND_TIME, KIND_PROTOCOL, KIND_HELP, KIND_VERSION
};

struct option_def {
    char letter;                /* 0: none. */
    const char *name;
    const char *argument;       /* What to call it in the help; or NULL. */
    enum kind kind;
    size_t offset;              /* Of its member of struct gen_config. */
    double min, max;            /* Numbers. */
    const char *doc;
};

#define MEMBER(NAME) offsetof(struct gen_config, NAME)

static const struct option_def options[] = {
    { 't', "target", "HOST", KIND_TEXT, MEMBER(host), 0, 0,
      "send there (127.0.0.1)" },
    { 'p', "port", "PORT", KIND_U16, MEMBER(port), 1, 65535,
      "to this UDP port (2055, 4739 or 6343, by protocol)" },
    { 0, "protocol", "NAME", KIND_PROTOCOL, MEMBER(protocol), 0, 0,
      "what to send, see below (netflow5)" },
    { 'n', "count", "N", KIND_U64, MEMBER(count), 0, 1e15,
      "flow records to send; 0: no end (1000, or no end with --duration)" },
    { 0, "rate", "N", KIND_U64, MEMBER(rate), 0, 1e9,
      "records per second; 0: as fast as possible (0)" },
    { 0, "duration", "TIME", KIND_DURATION, MEMBER(duration_us), 0, 0,
      "stop after so long, such as 30s or 5m" },
    { 0, "seed", "N", KIND_U64, MEMBER(seed), 0, 0x1p63,
      "the same seed and options give the same records (1)" },
    { 0, "exporters", "N", KIND_U32, MEMBER(exporters), 1,
      GEN_MAX_EXPORTERS,
      "exporters: addresses from 127.1.0.1 on if the target is an IPv4 "
      "loopback address, else source ports (1)" },
    { 0, "domains", "N", KIND_U32, MEMBER(domains), 1, GEN_MAX_STREAMS,
      "observation domains, engines or sub-agents of each exporter, numbered "
      "from 0; exporters that share an address get different ones (1)" },
    { 0, "records-per-datagram", "N", KIND_U32, MEMBER(records_per_datagram),
      1, 1000, "at most so many (what fits; always 1 for ipfix-ovs)" },
    { 0, "sampling", "N", KIND_U32, MEMBER(sampling), 1, UINT32_MAX,
      "announce that one packet in N was looked at (400 for sflow and "
      "ipfix-ovs; else none is announced)" },
    { 0, "template-interval", "TIME", KIND_DURATION,
      MEMBER(template_interval_us), 0, 0,
      "send templates again after so long; 0: only once (60s; 600s for "
      "ipfix-ovs)" },
    { 0, "virtual-obs-id", "TEXT", KIND_TEXT, MEMBER(virtual_obs_id), 0, 0,
      "virtualObsID in each record of ipfix-ovs" },
    { 0, "hosts", "N", KIND_U32, MEMBER(hosts), 2, 1 << 20,
      "hosts that talk to each other (1000)" },
    { 0, "flows", "N", KIND_U32, MEMBER(flows), 1, 1 << 24,
      "different flows between them (20000)" },
    { 0, "zipf", "S", KIND_REAL, MEMBER(zipf), 0, 4,
      "skew: the host of rank r has the weight 1/r^S (1.1)" },
    { 0, "ipv6", "PERCENT", KIND_U32, MEMBER(ipv6_percent), 0, 100,
      "flows over IPv6 (20; netflow5 has none)" },
    { 0, "vlan", "PERCENT", KIND_U32, MEMBER(vlan_percent), 0, 100,
      "flows in a VLAN, for sflow and ipfix-ovs (10)" },
    { 0, "tunnel", "PERCENT", KIND_U32, MEMBER(tunnel_percent), 0, 100,
      "flows in a VXLAN tunnel, for ipfix-ovs (0)" },
    { 0, "egress", "PERCENT", KIND_U32, MEMBER(egress_percent), 0, 100,
      "records of packets on their way out, for ipfix-ovs (0); venturid's "
      "totals count those that come in" },
    { 0, "start-time", "TIME", KIND_TIME, MEMBER(start_us), 0, 0,
      "pretend that it is this time at the first record, such as -1h or "
      "2026-11-23T05:00:00Z; time then passes by --rate, or --span" },
    { 0, "span", "TIME", KIND_DURATION, MEMBER(span_us), 0, 0,
      "pretend that all records together cover this time" },
    { 0, "pcap", "FILE", KIND_TEXT, MEMBER(pcap), 0, 0,
      "write the datagrams to a capture file instead of sending them" },
    { 0, "top", "N", KIND_U32, MEMBER(top), 0, 1e6,
      "length of the lists of top addresses (10)" },
    { 0, "json", NULL, KIND_FLAG, MEMBER(json), 0, 0,
      "print the totals as one JSON object" },
    { 'h', "help", NULL, KIND_HELP, 0, 0, 0, "print this and exit" },
    { 'V', "version", NULL, KIND_VERSION, 0, 0, 0,
      "print the version and exit" },
};
#define N_OPTIONS (sizeof options / sizeof options[0])
#define FIRST_CODE 256          /* getopt's value of options[0]. */

static const struct gen_config defaults = {
    .protocol = GEN_NETFLOW5,
    .exporters = 1,
    .domains = 1,
    .seed = 1,
    .ipv6_percent = 20,
    .vlan_percent = 10,
    .template_interval_us = -1,
    .hosts = 1000,
    .flows = 20000,
    .zipf = 1.1,
    .top = 10,
};

/* Prints words from column 'column' on, wrapped. */
static void
print_wrapped(const char *text, int column, int indent, FILE *out)
{
    while (*text) {
        int word = strcspn(text, " ");
        if (column + 1 + word > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void
print_entry(const char *head, const char *doc, FILE *out)
{
    int column = fprintf(out, "%s", head);
    if (column > DOC_COLUMN - 2) {
        fputc('\n', out);
        column = 0;
    }
    fprintf(out, "%*s", DOC_COLUMN - column, "");
    print_wrapped(doc, DOC_COLUMN, DOC_COLUMN, out);
}

void
options_help(FILE *out)
{
    fputs("Usage: venturi-gen [-t HOST] [-p PORT] [OPTION]...\n"
          "Sends flow records of made-up but realistic traffic to a collector,"
          " then\nprints what it sent.  A test tool: it sends to any address "
          "that you name, as\nfast as it can unless you say --rate.\n\n"
          "Options (defaults in parentheses):\n", out);
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option_def *o = &options[i];
        char head[80], letter[8] = "    ";
        if (o->letter) {
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        }
        snprintf(head, sizeof head, "  %s--%s%s%s", letter, o->name,
                 o->argument ? " " : "", o->argument ? o->argument : "");
        print_entry(head, o->doc, out);
    }
    fputs("\nProtocols:\n", out);
    for (size_t i = 0; i < N_GEN_PROTOCOLS; i++) {
        char head[40];
        snprintf(head, sizeof head, "      %s", gen_encoders[i]->name);
        print_entry(head, gen_encoders[i]->doc, out);
    }
    fputs("\nTimes are written 500ms, 30s, 5m, 1h; Ctrl-C ends sending and "
          "prints the totals.\n", out);
}

static int
parse_number(const struct option_def *o, const char *text, void *member)
{
    char *end;

    errno = 0;
    if (o->kind == KIND_REAL) {
        double v = strtod(text, &end);
        *(double *) member = v;
        return *end || end == text || !(v >= o->min && v <= o->max)
               ? -EINVAL : 0;
    }
    unsigned long long v = strtoull(text, &end, 10);
    if (!isdigit((unsigned char) *text) || *end || errno || v < o->min
        || v > o->max) {
        return -EINVAL;
    }
    switch (o->kind) {
    case KIND_U16: *(uint16_t *) member = v; break;
    case KIND_U32: *(uint32_t *) member = v; break;
    default: *(uint64_t *) member = v; break;
    }
    return 0;
}

static int
parse_protocol(const char *text, enum gen_protocol *protocol)
{
    for (int i = 0; i < N_GEN_PROTOCOLS; i++) {
        if (!strcmp(text, gen_encoders[i]->name)) {
            *protocol = i;
            return 0;
        }
    }
    return -EINVAL;
}

static int
parse_value(const struct option_def *o, const char *text, int64_t now_us,
            struct gen_config *config)
{
    void *member = (char *) config + o->offset;
    switch (o->kind) {
    case KIND_FLAG: *(bool *) member = true; return 0;
    case KIND_TEXT: *(const char **) member = text; return 0;
    case KIND_DURATION: return duration_parse_us(text, member);
    case KIND_TIME: return time_parse_us(text, now_us, member);
    case KIND_PROTOCOL: return parse_protocol(text, member);
    default: return parse_number(o, text, member);
    }
}

static void
explain(const struct option_def *o, const char *text, FILE *errors)
{
    fprintf(errors, "venturi-gen: --%s: '%s' is not ", o->name, text);
    switch (o->kind) {
    case KIND_DURATION: fputs("a duration, such as 30s\n", errors); break;
    case KIND_TIME: fputs("a time, such as -1h\n", errors); break;
    case KIND_PROTOCOL:
        fputs("one of:", errors);
        for (int i = 0; i < N_GEN_PROTOCOLS; i++) {
            fprintf(errors, " %s", gen_encoders[i]->name);
        }
        fputc('\n', errors);
        break;
    default:
        fprintf(errors, "a number from %.0f to %.0f\n", o->min, o->max);
    }
}

/* What one option alone cannot tell. */
static bool
check(const struct gen_config *c, FILE *errors)
{
    const struct gen_encoder *e = gen_encoders[c->protocol];

    if (c->sampling > e->max_sampling) {
        fprintf(errors, "venturi-gen: %s cannot say a sampling rate above "
                "%u\n", e->name, e->max_sampling);
        return false;
    }
    if ((uint64_t) c->exporters * c->domains > GEN_MAX_STREAMS) {
        fprintf(errors, "venturi-gen: exporters times domains must be at most "
                "%u\n", GEN_MAX_STREAMS);
        return false;
    }
    if (c->span_us && !c->count) {
        fputs("venturi-gen: --span needs a --count\n", errors);
        return false;
    }
    if (c->virtual_obs_id && strlen(c->virtual_obs_id) > 254) {
        fputs("venturi-gen: --virtual-obs-id is longer than 254 octets\n",
              errors);
        return false;
    }
    return true;
}

/* Fills in getopt's arrays. */
static void
build_getopt(struct option *longs, char *shorts)
{
    for (size_t i = 0; i < N_OPTIONS; i++) {
        const struct option_def *o = &options[i];
        longs[i] = (struct option) {
            .name = o->name,
            .has_arg = o->argument ? required_argument : no_argument,
            .val = FIRST_CODE + i,
        };
        if (o->letter) {
            *shorts++ = o->letter;
            if (o->argument) {
                *shorts++ = ':';
            }
        }
    }
    *shorts = '\0';
}

static const struct option_def *
option_by_code(int code)
{
    if (code >= FIRST_CODE) {
        return &options[code - FIRST_CODE];
    }
    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (options[i].letter == code) {
            return &options[i];
        }
    }
    return NULL;
}

enum options_result
options_parse(int argc, char **argv, int64_t now_us,
              struct gen_config *config, FILE *errors)
{
    struct option longs[N_OPTIONS + 1] = { { 0 } };
    char shorts[2 * N_OPTIONS + 1];
    bool count_set = false;
    int code;

    *config = defaults;
    build_getopt(longs, shorts);
    optind = 0;
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct option_def *o = option_by_code(code);
        if (!o) {
            fputs("Try 'venturi-gen --help'.\n", errors);
            return OPTIONS_BAD;
        }
        if (o->kind == KIND_HELP) {
            return OPTIONS_HELP;
        }
        if (o->kind == KIND_VERSION) {
            return OPTIONS_VERSION;
        }
        if (parse_value(o, optarg, now_us, config)) {
            explain(o, optarg, errors);
            return OPTIONS_BAD;
        }
        count_set |= o->offset == MEMBER(count) && o->kind == KIND_U64;
    }
    if (optind < argc) {
        fprintf(errors, "venturi-gen: '%s' is too much\n", argv[optind]);
        return OPTIONS_BAD;
    }
    if (!count_set && !config->duration_us) {
        config->count = DEFAULT_COUNT;
    }
    return check(config, errors) ? OPTIONS_RUN : OPTIONS_BAD;
}
