#include <config.h>

#include "api/cli/decode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>
#include <urcu.h>

#include "api/cli/decode_bgp.h"
#include "api/value.h"
#include "bgp/packed.h"
#include "collector/decode/capture.h"
#include "collector/decode/decoder.h"
#include "collector/decode/pcap.h"
#include "collector/decode/stream.h"
#include "collector/exporter/correct.h"
#include "collector/exporter/source_table.h"
#include "collector/template/element.h"
#include "collector/template/template.h"
#include "lib/clock.h"
#include "lib/cursor.h"
#include "lib/dict.h"

/* The daemon's own decoders and its stage of corrections, without sockets,
 * store and OVSDB. */

#define MAX_SOURCES 65536
#define MAX_DATAGRAM 65535
#define HEAD_SIZE 64            /* To tell what a file is. */
#define PIECE 65536
#define MAX_STREAM (256u << 20) /* A file of IPFIX messages. */

const struct cli_option cli_decode_options[] = {
    { "summary", 's', NULL, "one object with counts instead of records",
      NULL },
    { "protocol", 'p', "PROTOCOL", "take everything for this, and leave out "
      "what is not: netflow1, netflow5, netflow7, netflow9, netflow, ipfix, "
      "sflow5", "netflow1 netflow5 netflow7 netflow9 netflow ipfix sflow5" },
    { "flows", 'f', NULL, "flow records only, no options records and counter "
      "samples", NULL },
    { "extra", 'x', NULL, "also fields that no column takes: extra, as "
      "enterprise/id=hex or, if the exporter explains them, "
      "enterprise/id(name)=value", NULL },
    { "element", 'e', "ELEMENTS", "take elements for columns: "
      "ENTERPRISE/ID=COLUMN, with commas between them", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

struct decode {
    struct cli *cli;
    bool summary;
    const char *protocol;       /* NULL: recognise it. */
    struct dict *dict;
    struct source_table *sources;
    struct template_cache *templates;
    struct decoder_counters n;
    struct decoder *decoder;
    struct capture *capture;
    struct routes_show *routes; /* BGP, BMP, MRT. */
    struct flow_batch *batch;
    struct correct correct;
    struct decoder_watch watch;
    int64_t now_us;             /* When what is being decoded was received. */
    int64_t flow_start[BATCH_ROWS], flow_end[BATCH_ROWS];
    uint64_t other_protocol, torn_file, not_readable;
};

/* ---- Files. ---- */

/* A file, perhaps compressed, with its first bytes given back. */
struct file {
    struct packed *packed;
    uint8_t head[HEAD_SIZE];
    size_t n_head, at_head;
};

static size_t
file_read(void *file, void *buf, size_t n)
{
    struct file *f = file;
    uint8_t *p = buf;
    size_t got = f->n_head - f->at_head < n ? f->n_head - f->at_head : n;
    memcpy(p, f->head + f->at_head, got);
    f->at_head += got;
    return got + packed_read(f->packed, p + got, n - got);
}

static bool
file_open(struct file *f, const char *name)
{
    *f = (struct file) { .packed = NULL };
    int fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC)
                               : dup(STDIN_FILENO);
    if (fd < 0) {
        return false;
    }
    f->packed = packed_open(fd);
    if (!f->packed) {
        errno = ENOMEM;
        return false;
    }
    f->n_head = file_read(f, f->head, sizeof f->head);
    return true;
}

/* All of it, up to 'max' + 1 bytes.  NULL: out of memory. */
static uint8_t *
file_read_all(struct file *f, size_t max, size_t *n)
{
    uint8_t *data = NULL;
    size_t room = 0;
    *n = 0;
    do {
        room = room ? 2 * room : 65536;
        uint8_t *p = realloc(data, room);
        if (!p) {
            free(data);
            return NULL;
        }
        data = p;
        *n += file_read(f, data + *n, room - *n);
    } while (*n == room && *n <= max);
    return data;
}

/* ---- Datagrams. ---- */

/* Counts are scaled, as in answers of venturid; but times stay as the exporter
 * told them, however old the capture is: they are what one wants to see. */
static void
correct_counts(struct decode *d)
{
    struct flow_batch *b = d->batch;
    size_t size = b->n * sizeof b->flow_start[0];
    memcpy(d->flow_start, b->flow_start, size);
    memcpy(d->flow_end, b->flow_end, size);
    correct_process(&d->correct, b);
    memcpy(b->flow_start, d->flow_start, size);
    memcpy(b->flow_end, d->flow_end, size);
    for (uint32_t i = 0; i < b->n; i++) {
        b->quality[i] &= ~(uint32_t) Q_TIME_CORRECTED;
    }
}

static void
print_batch(struct decode *d)
{
    correct_counts(d);
    for (uint32_t i = 0; i < d->batch->n && !d->summary; i++) {
        value_put_row(d->cli->out, d->dict, d->batch, i);
        putc('\n', d->cli->out);
    }
    batch_reset(d->batch);
}

/* Records of other kinds come between flows: those that came before are
 * printed first.  No row is being filled then. */
static void
on_options(void *decode, const struct source *s, const struct template *t,
           const uint8_t *record)
{
    struct decode *d = decode;
    print_batch(d);
    decode_put_options(d->cli->out, d->dict, s, t, record, d->now_us);
}

static void
on_counters(void *decode, const struct source *s,
            const struct interface_counters *k, const uint32_t *formats,
            size_t n)
{
    struct decode *d = decode;
    print_batch(d);
    decode_put_counters(d->cli->out, d->dict, s, k, formats, n);
}

static struct flow_batch *
on_full(void *decode, struct flow_batch *b)
{
    struct decode *d = decode;
    d->batch = b;
    print_batch(d);
    return b;
}

/* The protocol that a datagram says it is, or NULL. */
static const char *
protocol_of(const uint8_t *p, size_t n)
{
    uint32_t version = n < 4 ? 0 : be16_at(p);
    if (n >= 4 && !version && be16_at(p + 2) == 5) {
        version = PROTO_SFLOW5;
    }
    /* 0 is a word, too, but nothing that is sent. */
    return version ? column_word_name(&columns[COL_export_protocol], version)
                   : NULL;
}

/* "netflow" fits all of netflow1, netflow5, netflow7, netflow9. */
static bool
is_wanted(const struct decode *d, const struct datagram *datagram)
{
    const char *name = protocol_of(datagram->data, datagram->size);
    return !d->protocol
           || (name && !strncmp(name, d->protocol, strlen(d->protocol)));
}

/* When a datagram was sent, by its header; now, if that does not tell.  So a
 * file that has no times of its own is decoded alike every time. */
static int64_t
header_time_us(const uint8_t *p, size_t n)
{
    uint16_t version = n >= 12 ? be16_at(p) : 0;
    uint32_t s = version == 10 ? be32_at(p + 4)
                 : version == 1 || version == 5 || version == 7
                       || version == 9
                   ? be32_at(p + 8) : 0;
    return s ? (int64_t) s * 1000000 : clock_wall_us();
}

static void
on_datagram(void *decode, const struct datagram *datagram)
{
    struct decode *d = decode;
    struct datagram copy = *datagram;
    if (!is_wanted(d, datagram)) {
        d->other_protocol++;
        return;
    }
    if (!copy.received_us) {
        copy.received_us = header_time_us(copy.data, copy.size);
    }
    d->now_us = copy.received_us;
    d->batch = decoder_datagram(d->decoder, &copy, d->batch);
}

/* ---- Kinds of files. ---- */

static void
complain(struct decode *d, const char *name, const char *reason)
{
    fprintf(d->cli->err, "venturictl: %s: %s\n", name, reason);
}

static int
decode_capture(struct decode *d, struct file *f, const char *name)
{
    struct pcap *pcap = pcap_create(file_read, f);
    struct pcap_frame frame;
    enum pcap_status status;
    int result = EXIT_OK;
    if (!pcap) {
        complain(d, name, strerror(ENOMEM));
        return EXIT_DAEMON;
    }
    while ((status = pcap_next(pcap, &frame)) == PCAP_FRAME) {
        capture_frame(d->capture, &frame);
    }
    if (packed_error(f->packed)) {
        complain(d, name, packed_error(f->packed));
        d->not_readable++;
        result = EXIT_DAEMON;
    } else if (status == PCAP_BAD) {
        complain(d, name, pcap_reason(pcap));
        d->not_readable++;
        result = EXIT_DAEMON;
    } else if (status == PCAP_TORN) {
        /* What is whole has been read: that happens to those who stop a
         * capture. */
        complain(d, name, pcap_reason(pcap));
        d->torn_file++;
    }
    pcap_destroy(pcap);
    return result;
}

static void
decode_payload(void *decode, const uint8_t *p, size_t n)
{
    static const uint8_t nowhere[4];
    struct datagram datagram = {
        .data = p, .size = n, .src = addr_from_v4_bytes(nowhere),
    };
    on_datagram(decode, &datagram);
}

/* One message, and after it what looks like another. */
static bool
is_stream(const uint8_t *p, size_t n)
{
    if (n < 4 || !ipfix_stream_looks(p, n) || be16_at(p + 2) > n) {
        return false;
    }
    size_t first = be16_at(p + 2);
    return ipfix_stream_looks(p + first, n - first);
}

/* A file that is no capture. */
static int
decode_plain(struct decode *d, struct file *f, const char *name)
{
    size_t n;
    uint8_t *data = file_read_all(f, MAX_STREAM, &n);
    if (!data || packed_error(f->packed)) {
        complain(d, name, data ? packed_error(f->packed)
                               : strerror(ENOMEM));
        d->not_readable++;
        free(data);
        return EXIT_DAEMON;
    }
    int result = EXIT_OK;
    if (is_stream(data, n) && n <= MAX_STREAM) {
        struct ipfix_stream s = { .held = NULL };
        if (ipfix_stream_feed(&s, data, n, decode_payload, d)) {
            complain(d, name, "what follows an IPFIX message is none");
            d->torn_file++;
        } else if (ipfix_stream_partial(&s)) {
            complain(d, name, "the file ends inside an IPFIX message");
            d->torn_file++;
        }
        ipfix_stream_clear(&s);
    } else if (n > MAX_DATAGRAM) {
        complain(d, name, "is neither a capture nor a stream of IPFIX "
                 "messages, and too long for a datagram");
        d->not_readable++;
        result = EXIT_DAEMON;
    } else if (!d->protocol && !protocol_of(data, n)
               && capture_looks_ethernet(data, n)) {
        struct pcap_frame frame = { .data = data, .size = n, .link = 1 };
        capture_frame(d->capture, &frame);
    } else {
        decode_payload(d, data, n);
    }
    free(data);
    return result;
}

/* A file of BGP or BMP messages, or of MRT records, of any size. */
static int
decode_routes(struct decode *d, struct file *f, const char *name)
{
    uint8_t *buf = malloc(PIECE);
    size_t n;
    int result = EXIT_OK;
    while (buf && (n = file_read(f, buf, PIECE))) {
        routes_show_file(d->routes, buf, n);
    }
    const char *wrong = routes_show_file(d->routes, NULL, 0);
    if (!buf || packed_error(f->packed)) {
        complain(d, name, buf ? packed_error(f->packed) : strerror(ENOMEM));
        d->not_readable++;
        result = EXIT_DAEMON;
    } else if (wrong) {
        complain(d, name, wrong);
        d->torn_file++;
    }
    free(buf);
    return result;
}

static int
decode_file(struct decode *d, const char *name)
{
    struct file f;
    if (!file_open(&f, name)) {
        complain(d, name, strerror(errno));
        d->not_readable++;
        return EXIT_DAEMON;
    }
    int result = f.n_head >= 4 && pcap_magic(f.head)
                 ? decode_capture(d, &f, name)
                 : !d->protocol && routes_show_looks(f.head, f.n_head)
                 ? decode_routes(d, &f, name) : decode_plain(d, &f, name);
    packed_close(f.packed);
    return result;
}

/* ---- The summary. ---- */

static void
add_count(struct json_object *o, const char *name, uint64_t n)
{
    json_object_object_add(o, name, json_object_new_uint64(n));
}

struct totals {
    struct json_object *exporters;
    uint64_t flow, options, counter, templates;
};

static bool
add_source(struct source *s, void *totals)
{
    struct totals *t = totals;
    struct json_object *o = json_object_new_object();
    struct json_object *n = json_object_new_object();
    char buf[ADDR_STRLEN];
    const char *protocol = column_word_name(&columns[COL_export_protocol],
                                            s->key.protocol);
    json_object_object_add(o, "exporter", json_object_new_string(
                               addr_format(&s->key.exporter, buf)));
    json_object_object_add(o, "agent", json_object_new_string(
                               addr_format(&s->key.agent, buf)));
    json_object_object_add(o, "protocol",
                           json_object_new_string(protocol ? protocol : ""));
    add_count(o, "observation_domain_id", s->key.domain);
    json_object_object_add(o, "sampling",
                           s->sampling ? json_object_new_uint64(s->sampling)
                                       : NULL);
    for (const struct counter_def *def = source_counter_defs; def->name;
         def++) {
        add_count(n, def->name, counter_at(&s->n, def));
    }
    json_object_object_add(o, "counters", n);
    json_object_array_add(t->exporters, o);
    t->flow += s->n.flow_records;
    t->options += s->n.options_records;
    t->counter += s->n.counter_records;
    t->templates += s->n.templates;
    return true;
}

static void
add_errors(struct json_object *errors, const void *counters,
           const struct counter_def *defs, const char *const *leave_out)
{
    for (const struct counter_def *def = defs; def->name; def++) {
        bool error = true;
        for (size_t i = 0; leave_out[i]; i++) {
            error = error && strcmp(def->name, leave_out[i]);
        }
        uint64_t n = counter_at(counters, def);
        if (error && n) {
            add_count(errors, def->name, n);
        }
    }
}

static void
print_summary(struct decode *d)
{
    static const char *const no_decode_errors[] = { "datagrams", NULL };
    static const char *const no_capture_errors[] = {
        "frames", "udp", "tcp", "not_ip", NULL
    };
    struct json_object *o = json_object_new_object();
    struct json_object *errors = json_object_new_object();
    struct totals t = { .exporters = json_object_new_array() };
    source_table_each(d->sources, add_source, &t);
    add_errors(errors, &d->n, decoder_counter_defs, no_decode_errors);
    add_errors(errors, capture_counters(d->capture), capture_counter_defs,
               no_capture_errors);
    const struct { const char *name; uint64_t n; } own[] = {
        { "other_protocol", d->other_protocol },
        { "torn_file", d->torn_file },
        { "not_readable", d->not_readable },
    };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        if (own[i].n) {
            add_count(errors, own[i].name, own[i].n);
        }
    }
    add_count(o, "datagrams", counter_get(&d->n.datagrams));
    add_count(o, "records", t.flow + t.counter + t.options);
    add_count(o, "flow_records", t.flow);
    add_count(o, "counter_records", t.counter);
    add_count(o, "options_records", t.options);
    add_count(o, "templates", t.templates);
    routes_show_summary(d->routes, o, errors);
    json_object_object_add(o, "errors", errors);
    json_object_object_add(o, "exporters", t.exporters);
    fprintf(d->cli->out, "%s\n", json_object_to_json_string_ext(
                o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
}

/* ---- The command. ---- */

static bool
decode_init(struct decode *d)
{
    d->dict = dict_create(1 << 20, 64 << 20);
    d->sources = source_table_create(MAX_SOURCES);
    d->templates = template_cache_create(4 * TEMPLATE_SHARE, TEMPLATE_TOTAL);
    d->batch = batch_create();
    d->capture = capture_create(on_datagram, d);
    d->routes = routes_show_create(d->summary ? NULL : d->cli->out);
    if (!d->dict || !d->sources || !d->templates || !d->batch
        || !d->capture || !d->routes) {
        return false;
    }
    if (!d->protocol) {
        capture_set_tap(d->capture, routes_show_tap(d->routes));
    }
    d->watch = (struct decoder_watch) { on_options, on_counters, d };
    struct decoder_config c = {
        .dict = d->dict, .sources = d->sources, .templates = d->templates,
        .counters = &d->n, .flush = on_full, .aux = d,
        .keep_unknown = cli_value(d->cli, "extra"),
        .watch = d->summary || cli_value(d->cli, "flows") ? NULL : &d->watch,
    };
    d->decoder = decoder_create(&c);
    return d->decoder != NULL;
}

static void
decode_clear(struct decode *d)
{
    capture_destroy(d->capture);
    routes_show_destroy(d->routes);
    decoder_destroy(d->decoder);
    batch_destroy(d->batch);
    template_cache_destroy(d->templates);
    source_table_destroy(d->sources);
    dict_destroy(d->dict);
}

/* True if any word of the column begins so. */
static bool
is_protocol(const char *text)
{
    const struct column_word *w = columns[COL_export_protocol].words;
    for (; *text && w->name; w++) {
        if (w->value && !strncmp(w->name, text, strlen(text))) {
            return true;
        }
    }
    return false;
}

/* "9/12235=application,0/371=user_name".  False after a message. */
static bool
map_elements(struct cli *cli, const char *text)
{
    static struct element_mapping list[ELEMENT_MAPPINGS];
    size_t n = 0;
    while (text && *text) {
        unsigned pen, id;
        char name[64];
        int used = 0;
        const struct column *c = NULL;
        if (sscanf(text, "%u/%u=%63[a-z0-9_]%n", &pen, &id, name, &used) == 3
            && used && (text[used] == ',' || !text[used]) && id <= UINT16_MAX
            && n < ELEMENT_MAPPINGS) {
            c = column_by_name(name);
        }
        if (!c || !element_can_fill((uint16_t) (c - columns))) {
            return cli_usage(cli, "--element %s: expected ENTERPRISE/ID="
                             "COLUMN, of a column of numbers, addresses or "
                             "names that can be null", text);
        }
        list[n++] = (struct element_mapping) { pen, (uint16_t) id,
                                               (uint16_t) (c - columns) };
        text += used + (text[used] == ',');
    }
    element_map(list, n);
    return true;
}

int
cli_decode(struct cli *cli)
{
    static struct decode d;
    int status = EXIT_OK;

    memset(&d, 0, sizeof d);
    d.cli = cli;
    d.summary = cli_value(cli, "summary");
    d.protocol = cli_value(cli, "protocol");

    if (!cli->n_operands) {
        cli_usage(cli, "give at least one file; - is the standard input");
        return EXIT_USAGE;
    }
    if (d.protocol && !is_protocol(d.protocol)) {
        cli_usage(cli, "--protocol %s: there is no such protocol",
                  d.protocol);
        return EXIT_USAGE;
    }
    if (!map_elements(cli, cli_value(cli, "element"))) {
        return EXIT_USAGE;
    }
    rcu_register_thread();
    if (!decode_init(&d)) {
        fputs("venturictl: out of memory\n", cli->err);
        status = EXIT_DAEMON;
    }
    for (int i = 0; d.decoder && i < cli->n_operands; i++) {
        int result = decode_file(&d, cli->operands[i]);
        status = result > status ? result : status;
        print_batch(&d);
    }
    if (d.decoder) {
        capture_finish(d.capture);
        print_batch(&d);
        if (d.summary) {
            print_summary(&d);
        }
    }
    decode_clear(&d);
    rcu_unregister_thread();
    return status;
}
