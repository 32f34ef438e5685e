#include <config.h>

#include "api/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/config.h"
#include "api/context.h"
#include "api/jsonrpc.h"
#include "api/server.h"
#include "bgp/routelog.h"
#include "collector/decode/decoder.h"
#include "collector/exporter/source_table.h"
#include "collector/input/input.h"
#include "collector/store/store.h"
#include "lib/clock.h"
#include "lib/column.h"
#include "lib/dict.h"
#include "ovsdb/ovsdb.h"

#define MAX_INPUTS 64
#define MAX_SOURCES 1000        /* Series of sources: labels cost the reader. */

/* "octets_in" becomes "bytes_in", and "raw_octets" "raw_bytes". */
static void
print_name(FILE *f, const char *part, const char *name)
{
    static const char ours[] = "octets";
    const char *at = strstr(name, ours);

    fprintf(f, "venturi_%s_", part);
    if (at) {
        fprintf(f, "%.*sbytes%s", (int) (at - name), name,
                at + sizeof ours - 1);
    } else {
        fputs(name, f);
    }
    fputs("_total", f);
}

static void
print_head(FILE *f, const char *part, const struct counter_def *d)
{
    fputs("# HELP ", f);
    print_name(f, part, d->name);
    fprintf(f, " %s.\n# TYPE ", d->doc);
    print_name(f, part, d->name);
    fputs(" counter\n", f);
}

static void
print_counters(FILE *f, const char *part, const void *counters,
               const struct counter_def *d)
{
    for (; counters && d->name; d++) {
        print_head(f, part, d);
        print_name(f, part, d->name);
        fprintf(f, " %" PRIu64 "\n", counter_at(counters, d));
    }
}

static void __attribute__((format(printf, 5, 6)))
print_gauge(FILE *f, const char *name, const char *type, const char *doc,
            const char *format, ...)
{
    va_list args;

    fprintf(f, "# HELP %s %s.\n# TYPE %s %s\n%s ", name, doc, name, type,
            name);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    fputc('\n', f);
}

/* The value of a label. */
static void
print_label(FILE *f, const char *name, const char *value, bool first)
{
    fprintf(f, "%s%s=\"", first ? "{" : ",", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"') {
            fputc('\\', f);
        }
        if (*value == '\n') {
            fputs("\\n", f);
        } else {
            fputc(*value, f);
        }
    }
    fputc('"', f);
}

/* The process, by the names that all exporters of metrics use. */
static void
print_process(FILE *f, const struct api_context *c)
{
    unsigned long long pages = 0, size = 0;
    struct rusage r;
    unsigned n_fds = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    DIR *fds = opendir("/proc/self/fd");

    if (statm) {
        if (fscanf(statm, "%llu %llu", &size, &pages) != 2) {
            size = pages = 0;
        }
        fclose(statm);
    }
    while (fds && readdir(fds)) {
        n_fds++;
    }
    if (fds) {
        closedir(fds);
        n_fds -= n_fds > 3 ? 3 : n_fds;     /* ".", "..", and its own. */
    }
    getrusage(RUSAGE_SELF, &r);
    print_gauge(f, "process_cpu_seconds_total", "counter",
                "User and system time", "%.6f",
                (double) (r.ru_utime.tv_sec + r.ru_stime.tv_sec)
                + (double) (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6);
    long page = sysconf(_SC_PAGESIZE);
    print_gauge(f, "process_resident_memory_bytes", "gauge",
                "Resident memory", "%llu", pages * (unsigned long long) page);
    print_gauge(f, "process_virtual_memory_bytes", "gauge", "Virtual memory",
                "%llu", size * (unsigned long long) page);
    print_gauge(f, "process_open_fds", "gauge", "Open file descriptors", "%u",
                n_fds);
    if (c->started_us) {
        print_gauge(f, "process_start_time_seconds", "gauge",
                    "Start of the process since 1970", "%.3f",
                    (double) c->started_us / 1e6);
    }
}

static void
print_store(FILE *f, struct store *store)
{
    struct store_health h;

    if (!store) {
        return;
    }
    store_health(store, &h);
    print_gauge(f, "venturi_store_writing", "gauge",
                "1 as long as flows can be written", "%d", h.writing);
    print_gauge(f, "venturi_store_segments", "gauge", "Segments on disk",
                "%" PRIu32, h.n_segments);
    print_gauge(f, "venturi_store_size_bytes", "gauge",
                "Size of all segments on disk", "%" PRIu64, h.bytes);
    if (h.oldest_us) {
        print_gauge(f, "venturi_store_oldest_timestamp_seconds", "gauge",
                    "Time of the oldest flow since 1970", "%.3f",
                    (double) h.oldest_us / 1e6);
        print_gauge(f, "venturi_store_newest_timestamp_seconds", "gauge",
                    "Time of the newest flow since 1970", "%.3f",
                    (double) h.newest_us / 1e6);
    }
    print_counters(f, "store", store_counters(store), store_counter_defs);
}

static void
print_inputs(FILE *f, struct input *input)
{
    static const char *const transports[] = { "udp", "tcp", "tls" };
    static const struct {
        const char *name, *doc;
        size_t offset;
    } list[] = {
#define ROW(NAME, MEMBER, DOC)                                          \
        { NAME, DOC, offsetof(struct input_status, MEMBER) }
        ROW("datagrams", datagrams, "Datagrams, or messages over TCP, "
            "received"),
        ROW("bytes", octets, "Bytes received"),
        ROW("kernel_drops", kernel_drops, "Datagrams that the kernel dropped "
            "because the socket was full"),
        ROW("not_allowed", not_allowed, "Datagrams or connections of those "
            "who may not send"),
#undef ROW
    };
    struct input_status status[MAX_INPUTS];
    size_t n = input ? input_status(input, status, MAX_INPUTS) : 0;

    for (size_t k = 0; n && k < sizeof list / sizeof list[0]; k++) {
        fprintf(f, "# HELP venturi_input_%s_total %s.\n"
                "# TYPE venturi_input_%s_total counter\n", list[k].name,
                list[k].doc, list[k].name);
        for (size_t i = 0; i < n; i++) {
            uint64_t v;
            memcpy(&v, (char *) &status[i] + list[k].offset, sizeof v);
            fprintf(f, "venturi_input_%s_total", list[k].name);
            print_label(f, "listener", status[i].name, true);
            print_label(f, "address", status[i].address, false);
            print_label(f, "transport", transports[status[i].transport],
                        false);
            fprintf(f, "} %" PRIu64 "\n", v);
        }
    }
}

struct sources {
    const struct source *list[MAX_SOURCES];
    size_t n;
};

static bool
collect(struct source *s, void *list_)
{
    struct sources *list = list_;

    list->list[list->n++] = s;
    return list->n < MAX_SOURCES;
}

static void
print_source(FILE *f, const struct api_context *c, const struct source *s)
{
    char exporter[ADDR_STRLEN], number[24];
    const char *protocol = column_word_name(&columns[COL_export_protocol],
                                            s->key.protocol);
    uint32_t name = s->name;

    snprintf(number, sizeof number, "%" PRIu32, s->id);
    print_label(f, "source", number, true);
    print_label(f, "exporter", addr_format(&s->key.exporter, exporter), false);
    print_label(f, "protocol", protocol ? protocol : "?", false);
    snprintf(number, sizeof number, "%" PRIu32, s->key.domain);
    print_label(f, "domain", number, false);
    if (name && c->dict && dict_text(c->dict, name)) {
        print_label(f, "name", dict_text(c->dict, name), false);
    }
    fputc('}', f);
}

static void
print_sources(FILE *f, const struct api_context *c)
{
    struct sources list = { .n = 0 };

    if (!c->sources) {
        return;
    }
    print_gauge(f, "venturi_exporters", "gauge", "Sources that were heard",
                "%zu", source_table_count(c->sources));
    source_table_each(c->sources, collect, &list);
    for (const struct counter_def *d = source_counter_defs;
         list.n && d->name; d++) {
        print_head(f, "exporter", d);
        for (size_t i = 0; i < list.n; i++) {
            print_name(f, "exporter", d->name);
            print_source(f, c, list.list[i]);
            fprintf(f, " %" PRIu64 "\n", counter_at(&list.list[i]->n, d));
        }
    }
    if (list.n) {
        fputs("# HELP venturi_exporter_last_seen_timestamp_seconds Last "
              "datagram since 1970.\n# TYPE "
              "venturi_exporter_last_seen_timestamp_seconds gauge\n", f);
    }
    for (size_t i = 0; i < list.n; i++) {
        fputs("venturi_exporter_last_seen_timestamp_seconds", f);
        print_source(f, c, list.list[i]);
        fprintf(f, " %.3f\n", (double) list.list[i]->last_us / 1e6);
    }
}

static void
print_ovsdb(FILE *f, const struct api_context *c)
{
    const struct config *config = c->config ? config_current(c->config) : NULL;
    size_t n = c->ovsdb ? ovsdb_n_remotes(c->ovsdb) : 0;

    if (n) {
        fputs("# HELP venturi_ovsdb_connected 1 as long as the database "
              "answers.\n# TYPE venturi_ovsdb_connected gauge\n", f);
    }
    for (size_t i = 0; i < n; i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(c->ovsdb, i);
        const char *remote = s && s->remote ? s->remote
                             : config && i < config->n_ovsdb_remotes
                             ? config->ovsdb_remotes[i] : "?";
        fputs("venturi_ovsdb_connected", f);
        print_label(f, "remote", remote, true);
        fprintf(f, "} %d\n", s && s->connected);
        ovsdb_snapshot_unref(s);
    }
}

char *
metrics_text(const struct api *api, const struct api_context *c, size_t *n)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, n);

    if (!f) {
        return NULL;
    }
    fputs("# HELP venturi_build_info What runs.\n"
          "# TYPE venturi_build_info gauge\n"
          "venturi_build_info{version=\"" PACKAGE_VERSION "\"} 1\n", f);
    print_process(f, c);
    print_ovsdb(f, c);
    print_inputs(f, c->input);
    print_counters(f, "decoder", c->decode_counters, decoder_counter_defs);
    if (c->route_history) {
        print_counters(f, "route_history",
                       routelog_counters(c->route_history),
                       routelog_counter_defs);
    }
    print_sources(f, c);
    print_store(f, c->store);
    if (api) {
        print_gauge(f, "venturi_api_clients", "gauge", "Connections", "%u",
                    api_n_clients(api));
        print_counters(f, "api", api_counters(api), api_counter_defs);
        print_counters(f, "rpc", api_rpc_counters(api), rpc_counter_defs);
    }
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

bool
metrics_ready(const struct api_context *c, char *reason, size_t size)
{
    struct store_health h;

    if (!c->store) {
        snprintf(reason, size, "the store is not open");
        return false;
    } else if (!c->input) {
        snprintf(reason, size, "nothing is received");
        return false;
    }
    store_health(c->store, &h);
    if (!h.writing) {
        snprintf(reason, size, "flows cannot be written");
        return false;
    }
    snprintf(reason, size, "ok");
    return true;
}
