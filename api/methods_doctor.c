/* api/methods_doctor.c -- system.doctor: looks at everything between a bridge
 * and a stored flow, and has api/doctor.c judge it. */
#include <config.h>

#include "api/doctor.h"
#include "api/methods.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/config.h"
#include "api/context.h"
#include "collector/exporter/source_table.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/dict.h"
#include "lib/source.h"
#include "ovsdb/ovsdb.h"
#include "probe/probe.h"

#define MAX_INPUTS 64
#define MAX_HEARD 4096
#define MAX_UDP_TEXT (4u << 20)

/* Datagrams of a bridge and protocol, whatever was in them. */
struct heard {
    uint32_t bridge;
    uint8_t protocol;
    uint64_t datagrams, counter_samples;
    int64_t last_us;
};

/* What is gathered once and used by several checks. */
struct look {
    struct doctor *doctor;
    const struct api_context *context;
    const struct config *config;        /* May be NULL. */
    struct input_status inputs[MAX_INPUTS];
    size_t n_inputs;
    bool expected[MAX_INPUTS];  /* Some bridge sends there. */
    int64_t last_us[N_EXPORT_TABLES];   /* Of the protocol, any source. */
    struct heard *heard;
    size_t n_heard, n_sources;
    struct ovsdb_status *status;
    size_t n_status;
    struct ifaddrs *interfaces;
    char *udp, *udp6;           /* /proc/net/udp and udp6. */
    char user[64];
    int64_t now_us;
};

static enum export_table
table_of(uint8_t protocol)
{
    return protocol == PROTO_SFLOW5 ? EXPORT_SFLOW
           : protocol == PROTO_IPFIX ? EXPORT_IPFIX : EXPORT_NETFLOW;
}

static uint8_t
protocol_of(enum export_table t)
{
    return t == EXPORT_SFLOW ? PROTO_SFLOW5
           : t == EXPORT_IPFIX ? PROTO_IPFIX : PROTO_NETFLOW5;
}

/* ---- Names and files. ---- */

static void
user_name(uid_t uid, char *buf, size_t size)
{
    const struct passwd *pw = getpwuid(uid);
    if (pw) {
        snprintf(buf, size, "%s", pw->pw_name);
    } else {
        snprintf(buf, size, "%u", (unsigned) uid);
    }
}

static void
group_name(gid_t gid, char *buf, size_t size)
{
    const struct group *gr = getgrgid(gid);
    if (gr) {
        snprintf(buf, size, "%s", gr->gr_name);
    } else {
        snprintf(buf, size, "%u", (unsigned) gid);
    }
}

/* A file of /proc as text, or NULL. */
static char *
read_proc(const char *path)
{
    size_t room = 16384, n = 0;
    char *text = malloc(room);
    FILE *f = fopen(path, "re");

    while (f && text) {
        n += fread(text + n, 1, room - 1 - n, f);
        if (n < room - 1 || room >= MAX_UDP_TEXT) {
            break;
        }
        char *p = realloc(text, room *= 2);
        if (!p) {
            free(text);
        }
        text = p;
    }
    if (text) {
        text[n] = '\0';
    }
    if (f) {
        fclose(f);
    }
    return text;
}

static bool
is_local(const struct look *l, const struct addr *a)
{
    if (addr_is_v4(a) && a->b[12] == 127) {
        return true;
    }
    for (const struct ifaddrs *i = l->interfaces; i; i = i->ifa_next) {
        struct addr own;
        uint16_t port;
        if (i->ifa_addr && addr_from_sockaddr(i->ifa_addr, &own, &port)
            && addr_equal(&own, a)) {
            return true;
        }
    }
    return false;
}

/* ---- Databases. ---- */

static int
try_connect(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof un.sun_path) {
        return ENAMETOOLONG;
    }
    strcpy(un.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    int error = connect(fd, (struct sockaddr *) &un, sizeof un) ? errno : 0;
    close(fd);
    return error == EAGAIN ? 0 : error; /* Busy, but there. */
}

static void
as_ovsdb(struct look *l, bool on)
{
    if (l->context->as_ovsdb) {
        l->context->as_ovsdb(l->context->as_ovsdb_aux, on);
    }
}

static void
look_at_remote(struct look *l, const char *remote,
               const struct ovs_snapshot *snapshot)
{
    struct doctor_remote r = {
        .remote = remote, .snapshot = snapshot, .user = l->user,
    };
    struct doctor_socket s = { .mode = 0 };
    char owner[64] = "?", group[64] = "?";
    struct stat st;

    if (!strncmp(remote, "unix:", 5)) {
        s.path = remote + 5;
        s.owner = owner;
        s.group = group;
        /* What the user may do, and then what the OVSDB thread may. */
        if (faccessat(AT_FDCWD, s.path, R_OK | W_OK, AT_EACCESS)) {
            s.user_error = errno;
        }
        as_ovsdb(l, true);
        if (stat(s.path, &st)) {
            s.stat_error = errno;
        } else {
            s.is_socket = S_ISSOCK(st.st_mode);
            s.mode = st.st_mode;
            user_name(st.st_uid, owner, sizeof owner);
            group_name(st.st_gid, group, sizeof group);
            if (faccessat(AT_FDCWD, s.path, R_OK | W_OK, AT_EACCESS)) {
                s.access_error = errno;
            }
            /* A connection more would be a line in the server's log. */
            if (s.is_socket && !s.access_error
                && !(snapshot && snapshot->connected)) {
                s.connect_error = try_connect(s.path);
            }
        }
        as_ovsdb(l, false);
        r.socket = &s;
    }
    doctor_remote(l->doctor, &r, l->config ? l->config->policies : NULL);
}

static void
look_at_remotes(struct look *l)
{
    struct ovsdb *ovsdb = l->context->ovsdb;
    for (size_t i = 0; ovsdb && i < ovsdb_n_remotes(ovsdb); i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(ovsdb, i);
        const char *remote = s && s->remote ? s->remote
            : l->config && i < l->config->n_ovsdb_remotes
            ? l->config->ovsdb_remotes[i] : "?";
        look_at_remote(l, remote, s);
        ovsdb_snapshot_unref(s);
    }
}

/* ---- Sources. ---- */

static struct heard *
heard_slot(struct look *l, uint32_t bridge, uint8_t protocol, bool make)
{
    for (size_t i = 0; i < l->n_heard; i++) {
        if (l->heard[i].bridge == bridge
            && l->heard[i].protocol == protocol) {
            return &l->heard[i];
        }
    }
    if (!make || !l->heard || l->n_heard >= MAX_HEARD) {
        return NULL;
    }
    l->heard[l->n_heard] = (struct heard) { bridge, protocol, 0, 0, 0 };
    return &l->heard[l->n_heard++];
}

static bool
look_at_source(struct source *s, void *l_)
{
    struct look *l = l_;
    const struct api_context *c = l->context;
    const struct observation_map *map = c->observations ? *c->observations
                                                        : NULL;
    const struct observation *obs = map ? observation_find_source(map, s)
                                        : NULL;
    uint32_t bridge = obs ? obs->bridge : 0;
    enum export_table t = table_of(s->key.protocol);

    l->n_sources++;
    if (s->last_us > l->last_us[t]) {
        l->last_us[t] = s->last_us;
    }
    doctor_source(l->doctor, s, bridge && c->dict ? dict_text(c->dict, bridge)
                                                  : NULL);
    struct heard *h = bridge ? heard_slot(l, bridge, s->key.protocol, true)
                             : NULL;
    if (h) {
        h->datagrams += counter_get(&s->n.datagrams);
        h->counter_samples += counter_get(&s->n.counter_records);
        h->last_us = s->last_us > h->last_us ? s->last_us : h->last_us;
    }
    return true;
}

/* ---- Rows. ---- */

static uint16_t
default_port(enum export_table t)
{
    static const uint16_t ports[] = {
        [EXPORT_NETFLOW] = 2055, [EXPORT_SFLOW] = 6343, [EXPORT_IPFIX] = 4739,
    };
    return ports[t];
}

/* The listening address of ours that takes what is sent to 'a', or -1. */
static int
our_input(const struct look *l, const struct addr *a, uint16_t port)
{
    static const struct addr any4 = { { [10] = 0xff, [11] = 0xff } };

    for (size_t i = 0; i < l->n_inputs; i++) {
        struct addr own;
        uint16_t own_port;
        if (endpoint_parse(l->inputs[i].address, 0, &own, &own_port)
            || own_port != port) {
            continue;
        }
        bool any = addr_is_v4(a) ? addr_equal(&own, &any4)
                                 : addr_is_zero(&own);
        if (addr_equal(&own, a) || (any && is_local(l, a))) {
            return (int) i;
        }
    }
    return -1;
}

static const char *
listen_of(const struct look *l, enum export_table t)
{
    for (size_t i = 0; i < l->n_inputs; i++) {
        if (!strcmp(l->inputs[i].name, export_table_name(t))) {
            return l->inputs[i].address;
        }
    }
    return NULL;
}

/* Returns whether the target is ours. */
static bool
look_at_target(struct look *l, const char *bridge, enum export_table t,
               const char *target, bool local_ovs)
{
    struct doctor_target dt = {
        .bridge = bridge, .target = target, .table = t,
        .listen = listen_of(l, t),
    };
    struct addr a;
    uint16_t port;

    dt.valid = !endpoint_parse(target, default_port(t), &a, &port);
    if (dt.valid) {
        int i = our_input(l, &a, port);
        dt.ours = i >= 0;
        dt.local = local_ovs && is_local(l, &a);
        dt.taken = doctor_udp_taken(l->udp, &a, port)
                   || doctor_udp_taken(l->udp6, &a, port);
        if (i >= 0) {
            l->expected[i] = true;
        }
    }
    doctor_target(l->doctor, &dt);
    return dt.ours;
}

static void
look_at_agent(struct look *l, const char *bridge,
              const struct export_row *row, bool ours, bool receiving)
{
    struct doctor_agent a = {
        .bridge = bridge, .agent = export_row_value(row,
                                                    OPT_SF_AGENT)->string,
        .receiving = receiving, .ours = ours,
    };
    struct addr addr;

    if (!a.agent) {
        return;
    }
    a.is_address = !addr_parse(a.agent, &addr);
    a.is_device = if_nametoindex(a.agent) != 0;
    for (const struct ifaddrs *i = l->interfaces; i; i = i->ifa_next) {
        a.has_ipv4 |= !strcmp(i->ifa_name, a.agent) && i->ifa_addr
                      && i->ifa_addr->sa_family == AF_INET;
    }
    doctor_agent(l->doctor, &a);
}

static const struct ovsdb_status *
status_of(const struct look *l, const char *remote, const char *bridge,
          enum export_table t)
{
    for (size_t i = 0; i < l->n_status; i++) {
        const struct ovsdb_status *s = &l->status[i];
        if (s->table == t && !strcmp(s->bridge, bridge)
            && !strcmp(s->remote, remote)) {
            return s;
        }
    }
    return NULL;
}

static void
look_at_export(struct look *l, const struct ovs_snapshot *snap,
               const struct ovs_bridge *br, enum export_table t)
{
    const struct export_row *row = br->row[t].present ? &br->row[t] : NULL;
    const struct ovsdb_status *st = status_of(l, snap->remote, br->name, t);
    const struct api_context *c = l->context;
    uint32_t bridge = c->dict ? dict_intern(c->dict, br->name,
                                            strlen(br->name)) : 0;
    const struct observation_stats *stats = observation_stats_get(
        bridge, protocol_of(t));
    const struct heard *h = heard_slot(l, bridge, protocol_of(t), false);
    struct doctor_export e = {
        .bridge = br->name, .table = t, .row = row,
        .state = st ? st->state : STATE_OFF,
        .reason = st ? st->reason : NULL,
        .ours = row && row->owner && c->owner
                && !strcmp(row->owner, c->owner),
        .applying = l->config && l->config->export_apply,
        .applied_us = st ? st->applied_us : 0,
        .last_us = stats ? stats->last_us : 0,
        .expect_within_us = st ? st->expect_within_us : 0,
        .datagrams = h ? h->datagrams : 0,
        .counter_samples = h ? h->counter_samples : 0,
        .last_datagram_us = h ? h->last_us : 0,
    };

    for (size_t i = 0; row && i < row->n_targets; i++) {
        e.to_us |= look_at_target(l, br->name, t, row->targets[i],
                                  snap->local);
    }
    if (row && t == EXPORT_SFLOW && snap->local) {
        look_at_agent(l, br->name, row, e.ours, e.to_us
                      && l->now_us - e.last_datagram_us
                         <= e.expect_within_us);
    }
    doctor_export(l->doctor, &e, c->started_us, l->now_us);
}

static void
look_at_rows(struct look *l)
{
    struct ovsdb *ovsdb = l->context->ovsdb;
    for (size_t i = 0; ovsdb && i < ovsdb_n_remotes(ovsdb); i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(ovsdb, i);
        for (size_t b = 0; s && s->connected && b < s->n_bridges; b++) {
            for (int t = 0; t < N_EXPORT_TABLES; t++) {
                look_at_export(l, s, &s->bridges[b], (enum export_table) t);
            }
        }
        ovsdb_snapshot_unref(s);
    }
}

/* ---- The host. ---- */

static void
look_at_inputs(struct look *l)
{
    uint32_t wanted = l->config ? l->config->receive_buffer : 0;

    for (size_t i = 0; i < l->n_inputs; i++) {
        int64_t last = 0;
        for (int t = 0; t < N_EXPORT_TABLES; t++) {
            if (!strcmp(l->inputs[i].name,
                        export_table_name((enum export_table) t))) {
                last = l->last_us[t];
            }
        }
        doctor_listen(l->doctor, &l->inputs[i], l->expected[i], last,
                      l->now_us, wanted);
    }
}

static void
look_at_store(struct look *l)
{
    const struct api_context *c = l->context;
    struct store_health h;
    struct statvfs fs;

    if (!c->store) {
        doctor_store(l->doctor, NULL);
        return;
    }
    store_health(c->store, &h);
    doctor_store(l->doctor, &h);
    if (c->state_dir && !statvfs(c->state_dir, &fs)) {
        struct doctor_disk k = {
            .path = c->state_dir,
            .size = (uint64_t) fs.f_blocks * fs.f_frsize,
            .available = (uint64_t) fs.f_bavail * fs.f_frsize,
            .used = h.bytes,
            .limit = l->config ? l->config->retention_bytes : 0,
        };
        doctor_disk(l->doctor, &k);
    }
}

static void
look_at_files(struct look *l)
{
    struct rlimit limit;
    uint64_t open = 0, wanted = 256;
    DIR *dir = opendir("/proc/self/fd");

    while (dir && readdir(dir)) {
        open++;
    }
    if (dir) {
        closedir(dir);
    }
    if (l->config) {
        wanted += l->config->max_clients;
    }
    wanted += l->n_inputs * (l->context->input
                             ? input_n_workers(l->context->input) : 1);
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        doctor_files(l->doctor, limit.rlim_cur, open, wanted);
    }
}

static void
look_at_probes(struct look *l)
{
    const struct probe_table *t = l->context->probe
        ? probe_table(l->context->probe) : NULL;
    for (size_t i = 0; t && i < t->n; i++) {
        const struct probe_slot *s = &t->slots[i];
        doctor_probe(l->doctor, s->name, s->pid != 0,
                     s->state == PROBE_DOWN, s->reason);
    }
}

static void
look_at_clock(struct look *l)
{
    struct timex t = { .modes = 0 };
    int state = adjtimex(&t);
    doctor_clock(l->doctor, state >= 0 && state != TIME_ERROR);
}

/* ---- All of it. ---- */

static bool
look_begin(struct look *l, const struct api_context *c, struct doctor *d)
{
    *l = (struct look) {
        .doctor = d, .context = c,
        .config = c->config ? config_current(c->config) : NULL,
        .heard = calloc(MAX_HEARD, sizeof *l->heard),
        .udp = read_proc("/proc/net/udp"),
        .udp6 = read_proc("/proc/net/udp6"),
        .now_us = clock_wall_us(),
    };
    user_name(geteuid(), l->user, sizeof l->user);
    l->n_inputs = c->input ? input_status(c->input, l->inputs, MAX_INPUTS)
                           : 0;
    if (getifaddrs(&l->interfaces)) {
        l->interfaces = NULL;
    }
    if (c->ovsdb) {
        l->status = ovsdb_status(c->ovsdb, &l->n_status);
    }
    return l->heard != NULL;
}

static void
look_end(struct look *l)
{
    ovsdb_status_destroy(l->status, l->n_status);
    if (l->interfaces) {
        freeifaddrs(l->interfaces);
    }
    free(l->heard);
    free(l->udp);
    free(l->udp6);
}

static void
look_at_everything(struct look *l)
{
    look_at_remotes(l);
    if (l->context->sources) {
        source_table_each(l->context->sources, look_at_source, l);
    }
    look_at_rows(l);
    look_at_inputs(l);
    doctor_sources_done(l->doctor, l->n_sources);
    look_at_clock(l);
    look_at_probes(l);
    look_at_store(l);
    look_at_files(l);
    doctor_finish(l->doctor);
}

static struct json_object *
lines_to_json(const struct doctor *d)
{
    struct json_object *list = json_object_new_array();

    for (int c = 0; c < N_DOCTOR_CHECKS; c++) {
        for (size_t i = 0; i < d->n; i++) {
            const struct doctor_line *line = &d->lines[i];
            if ((int) line->check == c) {
                struct json_object *o = json_object_new_object();
                reply_string(o, "check", doctor_check_name(line->check));
                reply_string(o, "status", doctor_status_name(line->status));
                reply_string(o, "subject", line->subject);
                reply_string(o, "message", line->message);
                reply_string(o, "remedy",
                             line->remedy && *line->remedy ? line->remedy
                                                           : NULL);
                json_object_array_add(list, o);
            }
        }
    }
    return list;
}

static void
system_doctor(struct rpc_call *call, struct json_object *params)
{
    struct doctor d = { .lines = NULL };
    struct json_object *all = NULL;
    struct look l;

    json_object_object_get_ex(params, "all", &all);
    d.all = json_object_get_boolean(all);
    if (look_begin(&l, rpc_context(call), &d)) {
        look_at_everything(&l);
        struct json_object *o = json_object_new_object();
        reply_string(o, "status", doctor_status_name(doctor_worst(&d)));
        for (int s = 0; s < N_DOCTOR_STATUS; s++) {
            size_t n = 0;
            for (int c = 0; c < N_DOCTOR_CHECKS; c++) {
                n += d.count[c][s];
            }
            reply_uint(o, doctor_status_name((enum doctor_status) s), n);
        }
        json_object_object_add(o, "checks", lines_to_json(&d));
        rpc_reply(call, o);
    } else {
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
    }
    look_end(&l);
    doctor_clear(&d);
}

static const struct rpc_param doctor_params[] = {
    { "all", PARAM_BOOLEAN, false,
      "every line; else only the first few of a kind, and how many more "
      "(false is the default)", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

#define STATUS "{\"enum\":[\"pass\",\"warn\",\"fail\"]}"

const struct rpc_method methods_doctor[] = {
    {
        .name = "system.doctor",
        .role = ROLE_VIEWER,
        .summary = "Why does nothing arrive?  Goes from the database's "
                   "socket to the disk; each line passes, warns or fails, "
                   "with the remedy.",
        .params = doctor_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"status\",\"pass\","
            "\"warn\",\"fail\",\"checks\"],\"properties\":{"
            "\"status\":" STATUS ","
            "\"pass\":{\"type\":\"integer\"},"
            "\"warn\":{\"type\":\"integer\"},"
            "\"fail\":{\"type\":\"integer\"},"
            "\"checks\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"required\":[\"check\",\"status\",\"subject\",\"message\","
            "\"remedy\"],\"properties\":{"
            "\"check\":{\"type\":\"string\"},"
            "\"status\":" STATUS ","
            "\"subject\":{\"type\":\"string\"},"
            "\"message\":{\"type\":\"string\"},"
            "\"remedy\":{\"type\":[\"string\",\"null\"]}}}}}}",
        .example_params = "{\"all\":true}",
        .example_result =
            "{\"status\":\"fail\",\"pass\":9,\"warn\":0,\"fail\":1,"
            "\"checks\":[{\"check\":\"target\",\"status\":\"fail\","
            "\"subject\":\"br0 sflow\",\"message\":\"nothing listens on "
            "127.0.0.1:9995: what this bridge sends there is lost\","
            "\"remedy\":\"start what should listen, or let venturid\"},"
            "{\"check\":\"store\",\"status\":\"pass\",\"subject\":\"flows\","
            "\"message\":\"written; 2 segments, 1048576 bytes\","
            "\"remedy\":null}]}",
        .call = system_doctor,
    },
    { .name = NULL }
};
