/* daemon/probes.c -- probes of Linux bridges: what is wanted of them, and
 * export.apply and export.remove, which are for them as for everything else. */
#include <config.h>

#include "daemon/daemon_p.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/observe.h"
#include "lib/log.h"
#include "lib/source.h"
#include "probe/probe.h"

/* "local" becomes our collector.  Returns 0 or -ENOMEM. */
static int
resolve_local(struct probe_config *c, const char *const *local)
{
    enum export_table t = c->version == 10 ? EXPORT_IPFIX : EXPORT_NETFLOW;
    if (c->none || strcmp(c->target, "local")) {
        return 0;
    } else if (!local[t]) {
        return asprintf(&c->problem, "nothing listens for %s here; set its "
                        "target, or collector/%s/listen",
                        export_table_title(t), export_table_name(t)) < 0
               ? -ENOMEM : 0;
    }
    free(c->target);
    c->target = strdup(local[t]);
    return c->target ? 0 : -ENOMEM;
}

void
daemon_configure_probes(struct daemon *d, const struct config *c)
{
    char text[N_EXPORT_TABLES][ENDPOINT_STRLEN];
    const char *local[N_EXPORT_TABLES];
    struct probe_config *list = probe_config_clone(c->probe);
    int error = c->probe && !list ? -ENOMEM : 0;
    daemon_local_endpoints(d, text, local);
    for (struct probe_config *p = list; p && !error; p = p->next) {
        error = resolve_local(p, local);
        if (!error && p->problem) {
            LOG(probe, WARN, "%s%s: %s", p->policy ? "policy " : "probe",
                p->policy ? p->policy : "/softflowd", p->problem);
        }
    }
    /* "mode": "plan" starts nothing, and lets run what runs; see hold(). */
    if (c->export_apply != d->probes_mode_apply) {
        d->probes_mode_apply = c->export_apply;
        d->probes_applied = c->export_apply && !d->orders_damaged;
    }
    if (error) {
        LOG(probe, ERR, "out of memory: probes stay as they are");
    } else if (d->probe) {
        probe_configure(d->probe, list);
    }
    probe_config_destroy(list);
}

static const char *
hold(void *d_, const char *interface, const char *policy, bool *frozen)
{
    const struct daemon *d = d_;
    bool asked;
    if (export_orders_hold(d->probe_orders.list, d->probe_orders.n, interface,
                           policy, &asked)) {
        return "removed (export.remove); export.apply starts it again";
    }
    *frozen = !d->probes_applied && !asked;
    const struct probe_table *t = probe_table(d->probe);
    for (size_t i = 0; i < t->n; i++) {
        asked |= t->slots[i].pid && !strcmp(t->slots[i].name, interface);
    }
    return d->probes_applied || asked ? NULL : "not before export.apply";
}

static void
changed(void *d_)
{
    daemon_rebuild_observations(d_, false);
}

static const char *
orders_path(const struct daemon *d, char *buf, size_t size)
{
    snprintf(buf, size, "%s/meta/orders-probes", d->store_dir);
    return buf;
}

int
daemon_open_probes(struct daemon *d, const struct config *c)
{
    char path[4200];
    d->probe = probe_create(d->loop, privilege_probe_child);
    if (!d->probe) {
        return -ENOMEM;
    }
    int error = orders_load(&d->probe_orders,
                            orders_path(d, path, sizeof path));
    if (error) {
        d->orders_damaged = true;
        LOG(probe, ERR, "%s: %s; probes may have been removed by hand, so "
            "none starts before export.apply", path,
            error == -EBADMSG ? "damaged" : strerror(-error));
    }
    probe_set_hooks(d->probe, hold, changed, d);
    daemon_configure_probes(d, c);
    return 0;
}

int
daemon_order_probes(void *d_, bool apply, const char *interface,
                    const char *policy)
{
    struct daemon *d = d_;
    char path[4200];
    int error = orders_give(&d->probe_orders, apply, interface, policy,
                            orders_path(d, path, sizeof path));
    if (error) {
        LOG(probe, ERR, "%s: %s: %s was refused, because it would be "
            "forgotten at the next restart", path, strerror(-error),
            apply ? "export.apply" : "export.remove");
        return error;
    }
    d->probes_applied |= apply && !interface && !policy;
    probe_review(d->probe);
    return 0;
}

size_t
daemon_observed_probes(struct daemon *d, struct observe_probe *list,
                       size_t max)
{
    const struct probe_table *t = d->probe ? probe_table(d->probe) : NULL;
    size_t n = 0;
    for (size_t i = 0; t && i < t->n && n < max; i++) {
        const struct probe_slot *s = &t->slots[i];
        if (s->selected) {
            list[n++] = (struct observe_probe) {
                .ifindex = s->ifindex, .name = s->name,
                .target = s->config->target,
                .sampling = s->config->sampling,
                .protocol = s->config->version == 10 ? PROTO_IPFIX
                            : s->config->version == 5 ? PROTO_NETFLOW5
                                                      : PROTO_NETFLOW9,
            };
        }
    }
    return n;
}
