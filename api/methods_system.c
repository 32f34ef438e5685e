#include <config.h>

#include "api/methods.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <duckdb.h>

#include "api/config.h"
#include "api/context.h"
#include "api/live.h"
#include "api/jsonrpc.h"
#include "api/server.h"
#include "bgp/routelog.h"
#include "collector/channel/tap.h"
#include "collector/query/rollup.h"
#include "collector/decode/decoder.h"
#include "collector/exporter/source_table.h"
#include "collector/input/input.h"
#include "collector/store/store.h"
#include "lib/clock.h"
#include "lib/dict.h"
#include "lib/turns.h"
#include "ovsdb/ovsdb.h"

#define MAX_INPUTS 64

/* system.info */

static struct json_object *
info_ovsdb(struct ovsdb *ovsdb)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; ovsdb && i < ovsdb_n_remotes(ovsdb); i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(ovsdb, i);
        struct json_object *o = json_object_new_object();
        if (s) {
            reply_string(o, "remote", s->remote);
            reply_bool(o, "connected", s->connected);
            reply_string(o, "reason", s->connected ? NULL : s->reason);
            reply_string(o, "ovs_version", s->ovs_version);
            reply_string(o, "system_id", s->system_id);
            reply_uint(o, "bridges", s->n_bridges);
            ovsdb_snapshot_unref(s);
        } else {
            reply_bool(o, "connected", false);
            reply_string(o, "reason", "not heard of yet");
        }
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *
info_rollups(struct rollup *r)
{
    struct json_object *list = json_object_new_array();
    struct rollup_status status[N_ROLLUPS];

    rollup_status(r, status);
    for (unsigned i = 0; i < N_ROLLUPS; i++) {
        struct json_object *o = json_object_new_object();
        reply_string(o, "tier", status[i].name);
        reply_uint(o, "hours", status[i].hours);
        reply_uint(o, "bytes", status[i].bytes);
        reply_time(o, "oldest", status[i].oldest_us);
        reply_time(o, "newest", status[i].newest_us);
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *
info_store(struct store *store, struct rollup *rollup)
{
    struct json_object *o = json_object_new_object();
    struct store_health h;

    reply_string(o, "engine", "DuckDB");
    reply_string(o, "version", duckdb_library_version());
    if (store) {
        store_health(store, &h);
        reply_uint(o, "segments", h.n_segments);
        reply_uint(o, "bytes", h.bytes);
        reply_time(o, "oldest", h.oldest_us);
        reply_time(o, "newest", h.newest_us);
        json_object_object_add(o, "counters",
                               reply_counters(store_counters(store),
                                              store_counter_defs));
    }
    if (rollup) {
        json_object_object_add(o, "rollups", info_rollups(rollup));
        json_object_object_add(o, "rollup_counters",
                               reply_counters(rollup_counters(rollup),
                                              rollup_counter_defs));
    }
    return o;
}

static const char *const transports[] = { "udp", "tcp", "tls" };

static struct json_object *
info_listen(struct input *input)
{
    struct json_object *list = json_object_new_array();
    struct input_status status[MAX_INPUTS];
    size_t n = input ? input_status(input, status, MAX_INPUTS) : 0;

    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_new_object();
        reply_string(o, "name", status[i].name);
        reply_string(o, "address", status[i].address);
        reply_string(o, "transport", transports[status[i].transport]);
        reply_uint(o, "datagrams", status[i].datagrams);
        reply_uint(o, "octets", status[i].octets);
        reply_uint(o, "kernel_drops", status[i].kernel_drops);
        reply_uint(o, "not_allowed", status[i].not_allowed);
        reply_uint(o, "receive_buffer", status[i].receive_buffer);
#define X(NAME, DOC) reply_uint(o, "tcp_" #NAME, status[i].tcp.NAME);
        if (status[i].transport != INPUT_UDP) {
            TCP_COUNTERS(X)
        }
#undef X
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *
info_paths(const struct api_context *c)
{
    struct json_object *o = json_object_new_object();

    reply_string(o, "state", c->state_dir);
    reply_string(o, "run", c->run_dir);
    reply_string(o, "config", c->config ? config_path(c->config) : NULL);
    return o;
}

/* Resident memory in bytes, or 0. */
static uint64_t
resident(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f) {
        if (fscanf(f, "%*u %llu", &pages) != 1) {
            pages = 0;
        }
        fclose(f);
    }
    return pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

static void
system_info(struct rpc_call *call, struct json_object *params)
{
    const struct api_context *c = rpc_context(call);
    const struct api *api = rpc_api(call);
    struct json_object *o = json_object_new_object();
    struct json_object *threads = json_object_new_object();
    int64_t now = clock_wall_us();

    (void) params;
    reply_string(o, "version", PACKAGE_VERSION);
    reply_int(o, "pid", getpid());
    reply_string(o, "owner", c->owner);
    reply_time(o, "started", c->started_us);
    reply_int(o, "uptime_s",
              c->started_us ? (now - c->started_us) / 1000000 : 0);
    reply_uint(o, "memory_bytes", resident());
    reply_uint(threads, "workers", c->input ? input_n_workers(c->input) : 0);
    reply_uint(threads, "query", c->config
               ? config_current(c->config)->query_threads : 0);
    json_object_object_add(o, "threads", threads);
    json_object_object_add(o, "paths", info_paths(c));
    json_object_object_add(o, "ovsdb", info_ovsdb(c->ovsdb));
    json_object_object_add(o, "listen", info_listen(c->input));
    json_object_object_add(o, "store", info_store(c->store, c->rollup));
    if (c->turns) {
        struct json_object *loop = json_object_new_object();
        reply_uint(loop, "turns", c->turns->n);
        reply_int(loop, "longest_us",
                  turns_longest_us(c->turns, clock_mono_us()));
        json_object_object_add(o, "loop", loop);
    }
    reply_uint(o, "exporters",
               c->sources ? source_table_count(c->sources) : 0);
    reply_uint(o, "names", c->dict ? dict_count(c->dict) : 0);
    reply_uint(o, "names_forgotten", c->dict ? dict_forgotten(c->dict) : 0);
    reply_uint(o, "names_refused", c->dict ? dict_refused(c->dict) : 0);

    struct json_object *counters = json_object_new_object();
    if (c->decode_counters) {
        json_object_object_add(counters, "decoder",
                               reply_counters(c->decode_counters,
                                              decoder_counter_defs));
    }
    if (c->live) {
        json_object_object_add(counters, "subscribers",
                               reply_counters(live_counters(c->live),
                                              tap_counter_defs));
    }
    if (c->route_history) {
        json_object_object_add(counters, "route_history",
                               reply_counters(
                                   routelog_counters(c->route_history),
                                   routelog_counter_defs));
    }
    if (api) {
        json_object_object_add(counters, "api",
                               reply_counters(api_counters(api),
                                              api_counter_defs));
        json_object_object_add(counters, "rpc",
                               reply_counters(api_rpc_counters(api),
                                              rpc_counter_defs));
        reply_uint(o, "clients", api_n_clients(api));
    }
    json_object_object_add(o, "counters", counters);
    rpc_reply(call, o);
}

/* system.health */

struct health {
    struct json_object *checks;
    bool degraded;
};

static void __attribute__((format(printf, 4, 5)))
health_check(struct health *h, const char *name, bool ok, const char *format,
             ...)
{
    struct json_object *o = json_object_new_object();
    char reason[512];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    reply_string(o, "name", name);
    reply_string(o, "status", ok ? "ok" : "degraded");
    reply_string(o, "reason", reason);
    json_object_array_add(h->checks, o);
    h->degraded |= !ok;
}

static void
health_ovsdb(struct health *h, const struct api_context *c)
{
    size_t n = c->ovsdb ? ovsdb_n_remotes(c->ovsdb) : 0;

    if (!n) {
        bool wanted = c->config
                      && config_current(c->config)->n_ovsdb_remotes;
        health_check(h, "ovsdb", !wanted, wanted ? "not running"
                     : "no OVSDB remote is configured");
    }
    for (size_t i = 0; i < n; i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(c->ovsdb, i);
        char name[300];
        snprintf(name, sizeof name, "ovsdb:%s",
                 s && s->remote ? s->remote
                 : c->config && i < config_current(c->config)->n_ovsdb_remotes
                 ? config_current(c->config)->ovsdb_remotes[i] : "?");
        if (s && s->connected) {
            health_check(h, name, true, "connected, %zu bridge%s",
                         s->n_bridges, s->n_bridges == 1 ? "" : "s");
        } else {
            health_check(h, name, false, "not connected: %s",
                         s && s->reason ? s->reason : "no answer yet");
        }
        ovsdb_snapshot_unref(s);
    }
}

/* Counters only grow; what matters to health is what happened lately: since
 * the last look that is at least a minute ago. */
struct recent {
    char name[64];
    uint64_t value;
    int64_t at_us;
};

static uint64_t
grown(const char *name, uint64_t value)
{
    static struct recent list[MAX_INPUTS + 8];
    int64_t now = clock_mono_us();
    struct recent *r = list;

    while (r < list + MAX_INPUTS + 7 && r->name[0]
           && strcmp(r->name, name)) {
        r++;
    }
    if (!r->name[0] || value < r->value) {
        snprintf(r->name, sizeof r->name, "%s", name);
        r->value = 0;           /* All is news at the first look. */
        r->at_us = now;
    }
    uint64_t grew = value - r->value;
    if (now - r->at_us > 60000000) {
        r->value = value;
        r->at_us = now;
    }
    return grew;
}

static void
health_store(struct health *h, struct store *store)
{
    struct store_health s;
    char since[TIME_STRLEN];

    if (!store) {
        health_check(h, "store", false, "not running");
        return;
    }
    store_health(store, &s);
    uint64_t lost = counter_get(&store_counters(store)->lost);
    uint64_t full = counter_get(&store_counters(store)->ring_full);
    uint64_t lost_lately = grown("store lost", lost);
    uint64_t full_lately = grown("store ring_full", full);
    if (!s.writing) {
        health_check(h, "store", false, "not writing since %s: %s (%" PRIu64
                     " records lost)", time_format_us(s.since_us, since),
                     s.reason, lost + full);
    } else {
        char damage[80] = "";
        if (s.n_damaged) {
            snprintf(damage, sizeof damage, "; %" PRIu32 " segments are "
                     "damaged, the rest of them is there", s.n_damaged);
        }
        health_check(h, "store", !lost_lately && !full_lately
                     && !s.n_damaged, "writing, %" PRIu32 " segments, %"
                     PRIu64 " bytes; %" PRIu64 " records lost, %" PRIu64
                     " of them lately%s%s", s.n_segments, s.bytes,
                     lost + full, lost_lately + full_lately, full_lately
                     ? ": more arrive than can be written" : "", damage);
    }
}

/* The disk of routes may be full when that of flows is not. */
static void
health_history(struct health *h, const struct routelog *history)
{
    const struct routelog_counters *n = routelog_counters(history);
    uint64_t lost = counter_get(&n->lost);
    uint64_t errors = counter_get(&n->write_errors);
    uint64_t lost_lately = grown("history lost", lost);
    uint64_t errors_lately = grown("history errors", errors);
    health_check(h, "route-history", !lost_lately && !errors_lately, "%"
                 PRIu64 " changes of routes recorded; %" PRIu64 " lost, %"
                 PRIu64 " of them lately%s", counter_get(&n->recorded), lost,
                 lost_lately, errors_lately ? ": it cannot be written"
                 : lost_lately ? ": more come than can be written" : "");
}

static void
health_input(struct health *h, struct input *input)
{
    struct input_status status[MAX_INPUTS];
    size_t n = input ? input_status(input, status, MAX_INPUTS) : 0;

    if (!input) {
        health_check(h, "input", false, "not running");
    }
    for (size_t i = 0; i < n; i++) {
        const struct input_status *s = &status[i];
        char name[128];
        snprintf(name, sizeof name, "input:%s:%.*s", s->name,
                 (int) sizeof s->address, s->address);
        uint64_t lately = grown(name, s->kernel_drops);
        health_check(h, name, !lately, "%" PRIu64 " datagrams received, %"
                     PRIu64 " dropped by the kernel, %" PRIu64 " of them "
                     "lately%s", s->datagrams, s->kernel_drops, lately,
                     lately ? ": raise net.core.rmem_max and "
                     "collector/receive-buffer" : "");
    }
}

/* Noise from the network is normal; half of what comes is not. */
static void
health_decoder(struct health *h, const struct decoder_counters *n)
{
    uint64_t bad = 0, all, bad_lately, all_lately;
    char what[300] = "";

    if (!n) {
        health_check(h, "decoder", false, "not running");
        return;
    }
    for (const struct counter_def *d = decoder_counter_defs; d->name; d++) {
        uint64_t v = counter_at(n, d);
        size_t len = strlen(what);
        if (v && strcmp(d->name, "datagrams")) {
            bad += v;
            snprintf(what + len, sizeof what - len, ", %s %" PRIu64, d->name,
                     v);
        }
    }
    all = counter_get(&n->datagrams);
    bad_lately = grown("decoder bad", bad);
    all_lately = grown("decoder all", all);
    health_check(h, "decoder", !bad_lately || bad_lately * 10 <= all_lately,
                 "%" PRIu64 " datagrams%s%s", all, what,
                 bad_lately * 10 > all_lately
                 ? ": many of the latest cannot be decoded" : "");
}

static void
system_health(struct rpc_call *call, struct json_object *params)
{
    const struct api_context *c = rpc_context(call);
    struct health h = { .checks = json_object_new_array() };
    struct json_object *o = json_object_new_object();

    (void) params;
    health_ovsdb(&h, c);
    health_store(&h, c->store);
    if (c->route_history) {
        health_history(&h, c->route_history);
    }
    health_input(&h, c->input);
    health_decoder(&h, c->decode_counters);
    const char *why = c->config ? config_reload_error(c->config) : NULL;
    health_check(&h, "config", !why, "%s", why ? why : "in effect");
    reply_string(o, "status", h.degraded ? "degraded" : "ok");
    json_object_object_add(o, "checks", h.checks);
    rpc_reply(call, o);
}

/* rpc.discover */

static void
rpc_discover(struct rpc_call *call, struct json_object *params)
{
    (void) params;
    rpc_reply(call, methods_discover(method_tables));
}

/* rpc.cancel */

static void
rpc_cancel_method(struct rpc_call *call, struct json_object *params)
{
    struct json_object *id = NULL, *o = json_object_new_object();

    json_object_object_get_ex(params, "id", &id);
    reply_bool(o, "cancelled", rpc_cancel(
                   call, json_object_to_json_string_ext(
                       id, JSON_C_TO_STRING_PLAIN
                       | JSON_C_TO_STRING_NOSLASHESCAPE)));
    rpc_reply(call, o);
}

static const struct rpc_param cancel_params[] = {
    { "id", PARAM_ANY, true, "of a request of the same connection that has "
      "not been answered", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

#define COUNTERS_SCHEMA                                                 \
    "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}"
#define TIME_SCHEMA "{\"type\":[\"string\",\"null\"],"                  \
    "\"description\":\"RFC 3339\"}"
#define WORD_SCHEMA "{\"type\":[\"string\",\"null\"]}"

const struct rpc_method methods_system[] = {
    {
        .name = "system.info",
        .role = ROLE_VIEWER,
        .summary = "What runs: version, threads, paths, OVSDB servers, "
                   "listening sockets, store, and all counters.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"version\",\"pid\","
            "\"uptime_s\",\"threads\",\"paths\",\"ovsdb\",\"listen\","
            "\"store\",\"exporters\",\"counters\"],\"properties\":{"
            "\"version\":{\"type\":\"string\"},"
            "\"pid\":{\"type\":\"integer\"},"
            "\"owner\":" WORD_SCHEMA ","
            "\"started\":" TIME_SCHEMA ","
            "\"uptime_s\":{\"type\":\"integer\"},"
            "\"memory_bytes\":{\"type\":\"integer\"},"
            "\"clients\":{\"type\":\"integer\"},"
            "\"exporters\":{\"type\":\"integer\"},"
            "\"loop\":{\"type\":\"object\",\"properties\":{"
            "\"turns\":{\"type\":\"integer\"},"
            "\"longest_us\":{\"type\":\"integer\",\"description\":"
            "\"longest turn of the main loop in the last 10 to 20 s\"}}},"
            "\"names\":{\"type\":\"integer\"},"
            "\"names_forgotten\":{\"type\":\"integer\"},"
            "\"names_refused\":{\"type\":\"integer\"},"
            "\"threads\":" COUNTERS_SCHEMA ","
            "\"paths\":{\"type\":\"object\",\"additionalProperties\":"
            WORD_SCHEMA "},"
            "\"ovsdb\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"properties\":{\"remote\":{\"type\":\"string\"},"
            "\"connected\":{\"type\":\"boolean\"},"
            "\"reason\":" WORD_SCHEMA ",\"ovs_version\":" WORD_SCHEMA ","
            "\"system_id\":" WORD_SCHEMA ","
            "\"bridges\":{\"type\":\"integer\"}}}},"
            "\"listen\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"properties\":{\"name\":{\"type\":\"string\"},"
            "\"address\":{\"type\":\"string\"},"
            "\"datagrams\":{\"type\":\"integer\"},"
            "\"octets\":{\"type\":\"integer\"},"
            "\"transport\":{\"type\":\"string\"},"
            "\"kernel_drops\":{\"type\":\"integer\"},"
            "\"not_allowed\":{\"type\":\"integer\"},"
            "\"receive_buffer\":{\"type\":\"integer\"}}}},"
            "\"store\":{\"type\":\"object\",\"properties\":{"
            "\"engine\":{\"type\":\"string\"},"
            "\"version\":{\"type\":\"string\"},"
            "\"segments\":{\"type\":\"integer\"},"
            "\"bytes\":{\"type\":\"integer\"},"
            "\"oldest\":" TIME_SCHEMA ",\"newest\":" TIME_SCHEMA ","
            "\"counters\":" COUNTERS_SCHEMA "}},"
            "\"counters\":{\"type\":\"object\",\"additionalProperties\":"
            COUNTERS_SCHEMA "}}}",
        .example_result =
            "{\"version\":\"0.1.0\",\"pid\":4711,\"owner\":\"host-1a2b\","
            "\"started\":\"2026-11-23T02:00:00Z\",\"uptime_s\":3600,"
            "\"memory_bytes\":48234496,"
            "\"threads\":{\"workers\":2,\"query\":2},"
            "\"paths\":{\"state\":\"/var/lib/venturi\","
            "\"run\":\"/run/venturi\","
            "\"config\":\"/etc/venturi/venturi.json\"},"
            "\"ovsdb\":[{\"remote\":\"unix:/var/run/openvswitch/db.sock\","
            "\"connected\":true,\"reason\":null,\"ovs_version\":\"3.1.0\","
            "\"system_id\":\"host-1\",\"bridges\":1}],"
            "\"listen\":[{\"name\":\"sflow\",\"address\":\"127.0.0.1:6343\","
            "\"datagrams\":1200,\"octets\":180000,\"kernel_drops\":0,"
            "\"receive_buffer\":16777216}],"
            "\"store\":{\"engine\":\"DuckDB\",\"version\":\"v1.5.5\","
            "\"segments\":2,\"bytes\":1048576,"
            "\"oldest\":\"2026-11-23T02:00:01Z\","
            "\"newest\":\"2026-11-23T03:00:00Z\","
            "\"counters\":{\"rows\":5000,\"lost\":0}},"
            "\"exporters\":1,\"names\":4,"
            "\"counters\":{\"decoder\":{\"datagrams\":1200}},"
            "\"clients\":1}",
        .call = system_info,
    }, {
        .name = "system.health",
        .role = ROLE_VIEWER,
        .summary = "What is degraded, and why.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"status\",\"checks\"],"
            "\"properties\":{\"status\":{\"enum\":[\"ok\",\"degraded\"]},"
            "\"checks\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"required\":[\"name\",\"status\",\"reason\"],\"properties\":{"
            "\"name\":{\"type\":\"string\"},"
            "\"status\":{\"enum\":[\"ok\",\"degraded\"]},"
            "\"reason\":{\"type\":\"string\"}}}}}}",
        .example_result =
            "{\"status\":\"degraded\",\"checks\":["
            "{\"name\":\"ovsdb:unix:/var/run/openvswitch/db.sock\","
            "\"status\":\"degraded\",\"reason\":\"not connected: Connection "
            "refused\"},"
            "{\"name\":\"store\",\"status\":\"ok\",\"reason\":\"writing, 2 "
            "segments, 1048576 bytes\"}]}",
        .call = system_health,
    }, {
        .name = "rpc.discover",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "This API as an OpenRPC document: every method with its "
                   "parameters, result and an example.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"openrpc\",\"info\","
            "\"methods\"],\"properties\":{"
            "\"openrpc\":{\"type\":\"string\"},"
            "\"info\":{\"type\":\"object\"},"
            "\"methods\":{\"type\":\"array\"},"
            "\"components\":{\"type\":\"object\"}}}",
        .example_result =
            "{\"openrpc\":\"1.2.6\",\"info\":{\"title\":\"Venturi\","
            "\"version\":\"0.1.0\"},\"methods\":[]}",
        .call = rpc_discover,
    }, {
        .name = "rpc.cancel",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "Ends another request of the same connection early: a "
                   "query, an import.  It is answered with error -32003 "
                   "then.",
        .params = cancel_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"cancelled\"],"
            "\"properties\":{\"cancelled\":{\"type\":\"boolean\"}}}",
        .example_params = "{\"id\":7}",
        .example_result = "{\"cancelled\":true}",
        .call = rpc_cancel_method,
    },
    { .name = NULL }
};
