#include <config.h>

#include "daemon/observe.h"

#include <stdlib.h>
#include <string.h>

#include "lib/dict.h"
#include "lib/source.h"

static const uint8_t protocol_of[N_EXPORT_TABLES] = {
    [EXPORT_NETFLOW] = PROTO_NETFLOW5,
    [EXPORT_SFLOW] = PROTO_SFLOW5,
    [EXPORT_IPFIX] = PROTO_IPFIX,
};

/* Which protocol's records totals count when a bridge exports by several, best
 * first among equals.  sFlow reports each sampled packet once, with input and
 * output.  IPFIX does it once per direction.  NetFlow lacks IPv6. */
static const enum export_table preference[] = {
    EXPORT_SFLOW, EXPORT_IPFIX, EXPORT_NETFLOW,
};

/* A protocol that has sent nothing for so long, while another one of the bridge
 * did all that time and still does, is not what totals should count.  A choice
 * that changes often would count packets twice, so this is long. */
#define SILENT_US (INT64_C(600) * 1000000)
#define LATELY_US (INT64_C(60) * 1000000)

#define SFLOW_DEFAULT_PORT 6343         /* ofproto-dpif-sflow.c */

/* Defaults of vswitchd where the column is not set (ovs.md section 1). */
#define OVS_DEFAULT_SAMPLING 400

struct builder {
    struct observation_map *map;
    const struct observe_listen *listen;
    size_t n_listen;
    struct dict *dict;
    size_t max_ifs;
    int64_t now_us;
};

static uint32_t
intern(struct builder *b, const char *text)
{
    return dict_intern(b->dict, text, strlen(text));
}

static bool
is_any(const struct addr *a)
{
    static const uint8_t any4[4];
    return addr_is_zero(a) || (addr_is_v4(a) && !memcmp(a->b + 12, any4, 4));
}

/* Whether a target is one of our addresses, and which. */
static bool
is_us(const struct builder *b, enum export_table table, const char *text,
      struct addr *target)
{
    uint16_t default_port = table == EXPORT_SFLOW ? SFLOW_DEFAULT_PORT : 0;
    uint16_t port;
    if (endpoint_parse(text, default_port, target, &port)) {
        return false;
    }
    for (size_t j = 0; j < b->n_listen; j++) {
        const struct observe_listen *l = &b->listen[j];
        if (l->table == table && l->port == port
            && (is_any(&l->addr) || addr_equal(&l->addr, target))) {
            return true;
        }
    }
    return false;
}

/* Whether 'row' sends to us, and to which of our addresses. */
static bool
targets_us(const struct builder *b, enum export_table table,
           const struct export_row *row, struct addr *target)
{
    for (size_t i = 0; row->present && i < row->n_targets; i++) {
        if (is_us(b, table, row->targets[i], target)) {
            return true;
        }
    }
    return false;
}

static int
compare_ifs(const void *a_, const void *b_)
{
    const struct observation_if *a = a_, *b = b_;
    return (a->number > b->number) - (a->number < b->number);
}

/* How NetFlow numbers the ports of a bridge: by OpenFlow port or, with
 * add_id_to_interface, by seven bits of the engine id and nine of the port. */
struct port_numbers {
    uint16_t base, mask;
};

static struct port_numbers
port_numbers_of(const struct export_row *row)
{
    const struct export_value *add = export_row_value(row, OPT_NF_ADD_ID);
    const struct export_value *id = export_row_value(row, OPT_NF_ENGINE_ID);
    if (!add->set || !add->number) {
        return (struct port_numbers) { 0, 0xffff };
    }
    /* Without an id in the row, Open vSwitch takes one that it does not
     * tell. */
    uint16_t base = id->set ? (uint16_t) ((id->number & 0x7f) << 9) : 0;
    return (struct port_numbers) { base, 0x1ff };
}

static bool
has_patch_port(const struct ovs_bridge *br)
{
    for (size_t i = 0; i < br->n_interfaces; i++) {
        if (br->interfaces[i].type && !strcmp(br->interfaces[i].type,
                                              "patch")) {
            return true;
        }
    }
    return false;
}

/* Adds the interfaces of bridge 'br' by number: of its port in NetFlow, or, with
 * NULL, by ifIndex. */
static void
add_ifs(struct builder *b, const struct ovs_bridge *br,
        const struct port_numbers *ports)
{
    for (size_t i = 0; i < br->n_interfaces; i++) {
        const struct ovs_interface *f = &br->interfaces[i];
        int64_t number = !ports ? f->ifindex : f->ofport < 0 ? f->ofport
                         : ports->base | (f->ofport & ports->mask);
        if (number > 0 && number <= UINT32_MAX
            && b->map->n_ifs < b->max_ifs) {
            b->map->ifs[b->map->n_ifs++] = (struct observation_if) {
                .number = (uint32_t) number,
                .name = intern(b, f->name),
                .bridge = intern(b, br->name),
            };
        }
    }
}

/* Sorts what came since 'from' and points 'o' at it. */
static void
take_ifs(struct builder *b, struct observation *o, uint32_t from)
{
    o->ifs = b->map->ifs + from;
    o->n_ifs = b->map->n_ifs - from;
    qsort(o->ifs, o->n_ifs, sizeof *o->ifs, compare_ifs);
}

static uint32_t
sampling_of(enum export_table table, const struct export_row *row)
{
    if (table == EXPORT_NETFLOW) {
        return 1;                       /* ovs.md section 4.3. */
    }
    const struct export_value *v = export_row_value(
        row, table == EXPORT_SFLOW ? OPT_SF_SAMPLING : OPT_IX_SAMPLING);
    if (!v->set) {
        return OVS_DEFAULT_SAMPLING;
    }
    return v->number > 0 && v->number <= UINT32_MAX ? (uint32_t) v->number
                                                    : 0;
}

/* What in a datagram tells the bridge: the engine, the agent or the observation
 * domain of its row. */
static void
set_match(struct observation *o, enum export_table table,
          const struct export_row *row)
{
    const struct export_value *v, *low;
    struct addr agent;
    switch (table) {
    case EXPORT_NETFLOW:
        v = export_row_value(row, OPT_NF_ENGINE_TYPE);
        low = export_row_value(row, OPT_NF_ENGINE_ID);
        o->match_domain = v->set && low->set;
        if (o->match_domain) {
            o->match.domain = (uint32_t) (v->number << 8 | low->number);
        }
        break;
    case EXPORT_SFLOW:
        v = export_row_value(row, OPT_SF_AGENT);
        o->match_agent = v->set && !addr_parse(v->string, &agent);
        if (o->match_agent) {
            o->match.agent = agent;
        }
        break;
    case EXPORT_IPFIX:
        o->match_domain = true;
        v = export_row_value(row, OPT_IX_OBS_DOMAIN_ID);
        o->match.domain = v->set ? (uint32_t) v->number : 0;
        break;
    case N_EXPORT_TABLES:
        break;
    }
}

static bool
input_sampling_off(const struct export_row *row)
{
    const struct export_value *v = export_row_value(
        row, OPT_IX_INPUT_SAMPLING);
    return v->set && !v->number;
}

static void
add_observation(struct builder *b, const struct ovs_snapshot *s,
                const struct ovs_bridge *br, enum export_table table,
                const struct addr *target, bool canonical,
                uint32_t host_ifs, uint32_t n_host_ifs)
{
    const struct export_row *row = &br->row[table];
    struct observation *o = &b->map->list[b->map->n++];
    uint32_t bridge = intern(b, br->name);

    *o = (struct observation) {
        .match = { .protocol = protocol_of[table] },
        .local = s->local,
        .datapath_id = br->datapath_id,
        /* A row that several bridges share says nothing about which. */
        .bridge = row->n_refs > 1 ? 0 : bridge,
        .sampling = sampling_of(table, row),
        .scaled_by_exporter = table == EXPORT_IPFIX,
        .counts_frames = table == EXPORT_NETFLOW,
        .canonical = canonical,
        .canonical_egress = table == EXPORT_IPFIX && input_sampling_off(row),
        .stats = observation_stats_get(bridge, protocol_of[table]),
    };
    /* A datagram to an address of this host comes from that address. */
    if (s->local) {
        o->match.exporter = *target;
    }
    set_match(o, table, row);
    if (table == EXPORT_NETFLOW) {
        uint32_t from = b->map->n_ifs;
        struct port_numbers ports = port_numbers_of(row);
        o->port_mask = ports.mask;
        o->patched = has_patch_port(br);
        if (row->n_refs <= 1) {
            add_ifs(b, br, &ports);
        }
        take_ifs(b, o, from);
    } else {
        o->ifs = b->map->ifs + host_ifs;
        o->n_ifs = n_host_ifs;
    }
}

static bool
speaks(const struct builder *b, const struct observation_stats *s)
{
    return s && s->first_us && s->first_us < b->now_us - SILENT_US
           && s->last_us > b->now_us - LATELY_US;
}

/* How well the records of one protocol serve as the ones that totals count:
 * less is better.  'witness': another one has spoken all the time that this
 * one might have been silent. */
static uint64_t
rank(const struct builder *b, uint32_t bridge, enum export_table table,
     const struct export_row *row, bool witness)
{
    const struct observation_stats *s = observation_stats_get(
        bridge, protocol_of[table]);
    uint64_t r = table == EXPORT_NETFLOW ? UINT32_MAX
                 : sampling_of(table, row);
    bool silent = !s || s->last_us < b->now_us - SILENT_US;
    return witness && silent ? r + (UINT64_C(1) << 33) : r;
}

/* The protocol that totals count of those that send to us; N_EXPORT_TABLES if
 * none does. */
static enum export_table
choose_canonical(const struct builder *b, const struct ovs_bridge *br,
                 uint32_t bridge)
{
    enum export_table best = N_EXPORT_TABLES;
    uint64_t best_rank = UINT64_MAX;
    bool witness = false;
    for (size_t i = 0; i < N_EXPORT_TABLES; i++) {
        witness |= speaks(b, observation_stats_get(bridge, protocol_of[i]));
    }
    for (size_t i = 0; i < N_EXPORT_TABLES; i++) {
        struct addr target;
        enum export_table table = preference[i];
        if (targets_us(b, table, &br->row[table], &target)) {
            uint64_t r = rank(b, bridge, table, &br->row[table],
                              witness);
            if (r < best_rank) {
                best_rank = r;
                best = table;
            }
        }
    }
    return best;
}

static void
add_bridge(struct builder *b, const struct ovs_snapshot *s,
           const struct ovs_bridge *br, uint32_t host_ifs,
           uint32_t n_host_ifs)
{
    enum export_table canonical = choose_canonical(b, br,
                                                   intern(b, br->name));
    for (size_t i = 0; i < N_EXPORT_TABLES; i++) {
        struct addr target;
        enum export_table table = preference[i];
        if (targets_us(b, table, &br->row[table], &target)) {
            add_observation(b, s, br, table, &target, table == canonical,
                            host_ifs, n_host_ifs);
        }
    }
}

/* The Flow_Sample_Collector_Sets of one bridge that send to us.  What they
 * sample is somebody's choice of flows: totals count it only if the bridge
 * tells nothing else. */
static void
add_samples(struct builder *b, const struct ovs_snapshot *s,
            const struct ovs_bridge *br, struct observation_if *ifs,
            uint32_t n_ifs)
{
    uint32_t bridge = intern(b, br->name);
    bool alone = choose_canonical(b, br, bridge) == N_EXPORT_TABLES;
    for (size_t i = 0; i < br->n_samples; i++) {
        const struct export_row *row = &br->samples[i].ipfix;
        const struct export_value *v = export_row_value(
            row, OPT_IX_VIRTUAL_OBS_ID);
        struct addr target;
        if (!targets_us(b, EXPORT_IPFIX, row, &target) || !v->set) {
            continue;
        }
        struct observation *o = &b->map->list[b->map->n++];
        b->map->n_virtual++;
        *o = (struct observation) {
            .match = { .protocol = PROTO_IPFIX },
            .local = s->local,
            .bridge = bridge,
            .scaled_by_exporter = true,
            .canonical = alone,
            .ifs = ifs, .n_ifs = n_ifs,
            .virtual_id = intern(b, v->string),
        };
        o->stats = observation_stats_get(o->virtual_id, PROTO_IPFIX);
        if (s->local) {
            o->match.exporter = target;
        }
    }
}

static int
compare_virtual(const void *a_, const void *b_)
{
    const struct observation *a = a_, *b = b_;
    return (a->virtual_id > b->virtual_id) - (a->virtual_id < b->virtual_id);
}

static void
add_snapshot(struct builder *b, const struct ovs_snapshot *s,
             struct observation *host)
{
    uint32_t from = b->map->n_ifs;
    for (size_t i = 0; i < s->n_bridges; i++) {
        add_ifs(b, &s->bridges[i], NULL);
    }
    take_ifs(b, host, from);
    for (size_t i = 0; i < s->n_bridges; i++) {
        add_bridge(b, s, &s->bridges[i], from, host->n_ifs);
    }
}

/* After all others: they are searched by their text. */
static void
add_all_samples(struct builder *b, const struct ovs_snapshot *const *snaps,
                size_t n, const struct observation *hosts)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; snaps[i] && j < snaps[i]->n_bridges; j++) {
            add_samples(b, snaps[i], &snaps[i]->bridges[j], hosts[i].ifs,
                        hosts[i].n_ifs);
        }
    }
    if (b->map->n_virtual) {
        qsort(b->map->list + (b->map->n - b->map->n_virtual),
              b->map->n_virtual, sizeof *b->map->list, compare_virtual);
    }
}

static int
compare_probes(const void *a_, const void *b_)
{
    const struct observe_probe *a = *(const struct observe_probe *const *) a_;
    const struct observe_probe *b = *(const struct observe_probe *const *) b_;
    return a->protocol != b->protocol ? (a->protocol > b->protocol)
                                        - (a->protocol < b->protocol)
                                      : strcmp(a->target, b->target);
}

/* One observation for all probes of a protocol and target: they send from the
 * same address, and only the ifIndex in each record tells which it was. */
static void
add_probes(struct builder *b, const struct observe_probe *probes, size_t n)
{
    const struct observe_probe *sorted[OBSERVE_MAX_PROBES];
    n = n < OBSERVE_MAX_PROBES ? n : OBSERVE_MAX_PROBES;
    for (size_t i = 0; i < n; i++) {
        sorted[i] = &probes[i];
    }
    qsort(sorted, n, sizeof *sorted, compare_probes);
    for (size_t i = 0, end; i < n; i = end) {
        struct addr target;
        enum export_table t = sorted[i]->protocol == PROTO_IPFIX
                              ? EXPORT_IPFIX : EXPORT_NETFLOW;
        uint32_t from = b->map->n_ifs;
        bool us = is_us(b, t, sorted[i]->target, &target);
        uint32_t sampling = sorted[i]->sampling;
        for (end = i; end < n && !compare_probes(&sorted[i], &sorted[end]);
             end++) {
            uint32_t name = intern(b, sorted[end]->name);
            /* Several: what each says of itself has to do. */
            sampling = sampling == sorted[end]->sampling ? sampling : 0;
            if (us) {
                b->map->ifs[b->map->n_ifs++] = (struct observation_if) {
                    .number = sorted[end]->ifindex,
                    .name = name, .bridge = name,
                    .stats = observation_stats_get(name,
                                                   sorted[end]->protocol),
                };
            }
        }
        if (us) {
            struct observation *o = &b->map->list[b->map->n++];
            *o = (struct observation) {
                .match = { .protocol = sorted[i]->protocol,
                           .exporter = target },
                .local = true,
                .sampling = sampling,
                .canonical = true,
                .counts_by_if = true,
            };
            take_ifs(b, o, from);
        }
    }
}

struct observation_map *
observe_build(const struct ovs_snapshot *const *snapshots, size_t n_snapshots,
              const struct observe_listen *listen, size_t n_listen,
              const struct observe_probe *probes, size_t n_probes,
              struct dict *dict, int64_t now_us, uint64_t gen)
{
    size_t n_bridges = 0, n_interfaces = 0, n_samples = 0;
    for (size_t i = 0; i < n_snapshots; i++) {
        for (size_t j = 0; snapshots[i] && j < snapshots[i]->n_bridges; j++) {
            n_bridges++;
            n_samples += snapshots[i]->bridges[j].n_samples;
            n_interfaces += snapshots[i]->bridges[j].n_interfaces;
        }
    }

    struct builder b = { .listen = listen, .n_listen = n_listen,
                         .dict = dict, .max_ifs = n_interfaces * 2 + n_probes,
                         .now_us = now_us };
    b.map = calloc(1, sizeof *b.map);
    if (!b.map) {
        return NULL;
    }
    b.map->gen = gen;
    b.map->list = calloc(n_bridges * N_EXPORT_TABLES + n_samples
                         + n_probes + 1,
                         sizeof *b.map->list);
    b.map->ifs = calloc(b.max_ifs + 1, sizeof *b.map->ifs);
    struct observation *hosts = calloc(n_snapshots + 1, sizeof *hosts);
    if (!b.map->list || !b.map->ifs || !hosts) {
        free(hosts);
        observation_map_destroy(b.map);
        return NULL;
    }
    for (size_t i = 0; i < n_snapshots; i++) {
        if (snapshots[i]) {
            add_snapshot(&b, snapshots[i], &hosts[i]);
        }
    }
    add_probes(&b, probes, n_probes);
    if (n_samples) {
        add_all_samples(&b, snapshots, n_snapshots, hosts);
    }
    free(hosts);
    return b.map;
}

bool
observe_canonical_differs(const struct observation_map *a,
                          const struct observation_map *b)
{
    if (a->n != b->n) {
        return true;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->list[i].canonical != b->list[i].canonical
            || a->list[i].stats != b->list[i].stats) {
            return true;
        }
    }
    return false;
}
