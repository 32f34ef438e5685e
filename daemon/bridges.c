#include <config.h>

#include "daemon/daemon_p.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/exporter/counter_log.h"
#include "daemon/observe.h"
#include "daemon/watch.h"
#include "lib/clock.h"

/* Interfaces of one remote are told about within this time. */
#define STATISTICS_ROUND_US (INT64_C(2) * 1000000)

static void
ovsdb_changed(void *daemon_)
{
    struct daemon *d = daemon_;
    ev_async_send(d->loop, &d->on_ovsdb);
}

/* What interfaces count comes every ten seconds, remote by remote.  True once
 * in the log's interval. */
static bool
statistics_due(struct daemon *d, const char *remote, int64_t now_us)
{
    struct statistics_round *round = d->rounds;
    while (round < &d->rounds[MAX_REMOTES - 1] && round->remote
           && strcmp(round->remote, remote)) {
        round++;
    }
    int64_t slot = now_us / counter_log_interval(d->counter_log);
    if (!round->remote) {
        round->remote = strdup(remote);
    }
    if (round->slot != slot) {
        round->slot = slot;
        round->began_us = now_us;
    }
    return now_us - round->began_us < STATISTICS_ROUND_US;
}

/* On the OVSDB thread. */
static void
keep_statistics(void *daemon_, const struct ovsdb_statistics *s)
{
    static const struct {
        enum counter_field field;
        size_t offset;
    } map[] = {
        { FIELD_in_octets, offsetof(struct ovsdb_statistics, rx_bytes) },
        { FIELD_out_octets, offsetof(struct ovsdb_statistics, tx_bytes) },
        { FIELD_in_packets, offsetof(struct ovsdb_statistics, rx_packets) },
        { FIELD_out_packets, offsetof(struct ovsdb_statistics, tx_packets) },
        { FIELD_in_discards, offsetof(struct ovsdb_statistics, rx_dropped) },
        { FIELD_out_discards,
          offsetof(struct ovsdb_statistics, tx_dropped) },
        { FIELD_in_errors, offsetof(struct ovsdb_statistics, rx_errors) },
        { FIELD_out_errors, offsetof(struct ovsdb_statistics, tx_errors) },
    };
    struct daemon *d = daemon_;
    struct counter_point p = { .origin = COUNTER_OVSDB,
                               .time_us = clock_wall_us() };
    if (!d->counter_log || !statistics_due(d, s->remote, p.time_us)) {
        return;
    }
    p.if_index = s->ifindex > 0 ? (uint64_t) s->ifindex : 0;
    snprintf(p.name, sizeof p.name, "%s", s->interface);
    snprintf(p.bridge, sizeof p.bridge, "%s", s->bridge);
    snprintf(p.remote, sizeof p.remote, "%s", s->remote);
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        int64_t value;
        memcpy(&value, (const char *) s + map[i].offset, sizeof value);
        if (value >= 0) {
            counter_values_put(&p.v, map[i].field, (uint64_t) value);
        }
    }
    counter_log_put(d->counter_log, &p);
}

/* Publishes what OVSDB says now; with 'only_canonical' only if that changes what
 * totals count. */
void
daemon_rebuild_observations(struct daemon *d, bool only_canonical)
{
    const struct ovs_snapshot *snapshots[MAX_REMOTES];
    struct observe_listen listen[MAX_LISTEN];
    size_t n = d->ovsdb ? ovsdb_n_remotes(d->ovsdb) : 0;
    if (n > MAX_REMOTES) {
        n = MAX_REMOTES;
    }
    for (size_t i = 0; i < n; i++) {
        snapshots[i] = ovsdb_snapshot(d->ovsdb, i);
    }
    struct observe_probe probes[OBSERVE_MAX_PROBES];
    size_t n_listen = daemon_listening(d, listen);
    size_t n_probes = daemon_observed_probes(d, probes, OBSERVE_MAX_PROBES);
    struct observation_map *map = observe_build(
        snapshots, n, listen, n_listen, probes, n_probes, d->dict,
        clock_wall_us(),
        d->observation_gen + 1);
    for (size_t i = 0; i < n; i++) {
        ovsdb_snapshot_unref(snapshots[i]);
    }
    const struct observation_map *old = atomic_load(&d->correct.map);
    if (map && only_canonical && old
        && !observe_canonical_differs(old, map)) {
        observation_map_destroy(map);
    } else if (map) {
        d->observation_gen++;
        correct_publish(&d->correct, map);
    }
}

/* On the OVSDB thread. */
static void
reach(void *d_, bool on)
{
    const struct daemon *d = d_;
    privilege_reach(&d->privilege, on);
}

struct ovsdb *
daemon_start_ovsdb(struct daemon *d, const struct config *c)
{
    char text[N_EXPORT_TABLES][ENDPOINT_STRLEN], path[4200];
    struct ovsdb_config oc = {
        .orders_path = path,
        .remotes = (const char *const *) c->ovsdb_remotes,
        .n_remotes = c->n_ovsdb_remotes,
        .owner = d->owner,
        .apply = c->export_apply,
        .changed = ovsdb_changed,
        .statistics = keep_statistics,
        .reach = reach,
        .aux = d,
    };
    /* Of OVN's databases, too. */
    privilege_override(&d->privilege, true);
    if (c->ovsdb_private_key) {
        ovsdb_set_tls(c->ovsdb_private_key, c->ovsdb_certificate,
                      c->ovsdb_ca);
    }
    privilege_override(&d->privilege, false);
    if (!c->n_ovsdb_remotes) {
        return NULL;
    }
    snprintf(path, sizeof path, "%s/meta/orders", d->store_dir);
    daemon_local_endpoints(d, text, oc.local);
    return ovsdb_start(&oc, c->policies);
}

void
daemon_start_watching(struct daemon *d, const struct config *c)
{
    watching_configure(d->watching, c, reach, d);
}
