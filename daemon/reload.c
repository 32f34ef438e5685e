#include <config.h>

#include "daemon/daemon_p.h"

#include "api/config_identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/access.h"
#include "api/config_bgp.h"
#include "api/inventories.h"
#include "api/server.h"
#include "collector/identity/journal.h"
#include "collector/store/store.h"
#include "collector/template/element.h"
#include "daemon/alerts.h"
#include "daemon/events.h"
#include "daemon/routing.h"
#include "lib/log.h"
#include "lib/text.h"
#include "probe/probe.h"

/* Who may open the unix sockets: where rules decide, everyone; else whoever may
 * be the user.  But half of the world may be "nobody". */
void
daemon_set_socket_modes(struct daemon *d, const struct config *c)
{
    mode_t mode = access_unix_has_rules(c->api) ? 0666
                  : d->privilege.fallback ? 0600 : 0660;
    for (size_t i = 0; i < c->n_api_addresses; i++) {
        const char *path = c->api_addresses[i];
        path += strncmp(path, "unix:", 5) ? 0 : 5;
        if (chmod(path, mode)) {
            LOG(api, WARN, "%s: its mode cannot be set: %s", path,
                strerror(errno));
        }
    }
}

int
daemon_configure_routing(struct daemon *d, const struct config *c,
                         struct config_error *error)
{
    char *message = NULL;
    privilege_override(&d->privilege, true);    /* Keys of TLS. */
    int result = routing_configure(d->routing, c->bgp, c->routes,
                                   &message);
    privilege_override(&d->privilege, false);
    if (result) {
        snprintf(error->path, sizeof error->path, "/venturi:venturi/bgp");
        snprintf(error->message, sizeof error->message, "%s",
                 message ? message : strerror(-result));
        free(message);
    }
    return result;
}

static bool
same_list(char **a, size_t n_a, char **b, size_t n_b)
{
    bool same = n_a == n_b;
    for (size_t i = 0; same && i < n_a; i++) {
        same = !strcmp(a[i], b[i]);
    }
    return same;
}

static bool
same_streams(const struct config *a, const struct config *b)
{
    return text_equal(a->tls_certificate, b->tls_certificate)
           && text_equal(a->tls_private_key, b->tls_private_key)
           && text_equal(a->tls_ca, b->tls_ca)
           && a->tls_require_client == b->tls_require_client
           && a->max_sessions == b->max_sessions
           && a->idle_timeout_us == b->idle_timeout_us;
}

/* Where it listens. */
static bool
same_listeners(const struct config *a, const struct config *b)
{
    return same_list(a->tcp_listen, a->n_tcp_listen, b->tcp_listen,
                     b->n_tcp_listen)
           && same_list(a->tls_listen, a->n_tls_listen, b->tls_listen,
                        b->n_tls_listen)
           && same_list(a->netflow_listen, a->n_netflow_listen,
                     b->netflow_listen, b->n_netflow_listen)
           && same_list(a->ipfix_listen, a->n_ipfix_listen,
                        b->ipfix_listen, b->n_ipfix_listen)
           && same_list(a->sflow_listen, a->n_sflow_listen,
                        b->sflow_listen, b->n_sflow_listen);
}

/* All else that a collector is made of. */
static bool
same_input(const struct config *a, const struct config *b)
{
    return same_streams(a, b)
           && same_list(a->allow, a->n_allow, b->allow, b->n_allow)
           && text_equal(a->multicast_interface, b->multicast_interface)
           && a->extra == b->extra && a->workers == b->workers
           && a->receive_buffer == b->receive_buffer;
}

/* Sockets that are there before and after are not touched, if that can be. */
static int
apply_input(struct daemon *d, const struct config *old,
            const struct config *new_, struct config_error *error)
{
    int result = same_input(old, new_)
                 ? daemon_change_listeners(d, new_, error) : -EBUSY;

    return result == -EBUSY ? daemon_replace_input(d, old, new_, error)
                            : result;
}

/* Templates are compiled when they are learned. */
static bool
same_elements(const struct config *a, const struct config *b)
{
    bool same = a->n_elements == b->n_elements;
    for (size_t i = 0; same && i < a->n_elements; i++) {
        const struct element_mapping *p = &a->elements[i];
        const struct element_mapping *q = &b->elements[i];
        same = p->pen == q->pen && p->id == q->id && p->column == q->column;
    }
    return same;
}

/* What is fixed when venturid starts.  NULL: nothing of it changes. */
static const char *
needs_restart(const struct config *a, const struct config *b)
{
    return !same_list(a->api_addresses, a->n_api_addresses,
                      b->api_addresses, b->n_api_addresses)
               ? "api/unix"
           : strcmp(a->user ? a->user : "", b->user ? b->user : "")
               ? "user"
           : strcmp(a->log_target, b->log_target) ? "log/target"
           : a->memory_limit != b->memory_limit ? "store/memory"
           : a->rollups != b->rollups ? "store/rollups"
           : a->query_threads != b->query_threads ? "query/threads"
           : a->query_max != b->query_max ? "query/max-running"
           : a->max_sources != b->max_sources ? "collector/max-sources"
           : !same_elements(a, b) ? "collector/element"
           : NULL;
}

static bool
same_tls(const struct config *a, const struct config *b)
{
    return text_equal(a->ovsdb_private_key, b->ovsdb_private_key)
           && text_equal(a->ovsdb_certificate, b->ovsdb_certificate)
           && text_equal(a->ovsdb_ca, b->ovsdb_ca);
}

/* What was removed by hand stays removed, so the thread is started anew only
 * for other databases. */
static void
apply_ovsdb(struct daemon *d, const struct config *old,
            const struct config *new_, bool input_changes)
{
    if (!same_list(old->ovsdb_remotes, old->n_ovsdb_remotes,
                   new_->ovsdb_remotes, new_->n_ovsdb_remotes)
        || !same_tls(old, new_)
        || (old->export_apply && !new_->export_apply)) {
        ovsdb_stop(d->ovsdb);
        d->ovsdb = daemon_start_ovsdb(d, new_);
    } else if (d->ovsdb) {
        if (input_changes) {
            char text[N_EXPORT_TABLES][ENDPOINT_STRLEN];
            const char *local[N_EXPORT_TABLES];
            daemon_local_endpoints(d, text, local);
            ovsdb_set_local(d->ovsdb, local);
        }
        ovsdb_set_policies(d->ovsdb, new_->policies);
        if (new_->export_apply && !old->export_apply) {
            ovsdb_apply(d->ovsdb);
        }
    }
}

static void
apply_watching(struct daemon *d, const struct config *old,
               const struct config *new_)
{
    if (!same_list(old->ovsdb_remotes, old->n_ovsdb_remotes,
                   new_->ovsdb_remotes, new_->n_ovsdb_remotes)
        || !same_tls(old, new_)
        || !config_identity_equal(old->identity, new_->identity)) {
        daemon_start_watching(d, new_);
    }
}

/* Keys may be for root alone, as at the start. */
static int
apply_api(struct daemon *d, const struct config *c,
          struct config_error *error)
{
    char *message = NULL;
    privilege_override(&d->privilege, true);
    int result = api_configure(d->api, c->api, &message);
    if (!result) {
        daemon_set_socket_modes(d, c);
    }
    privilege_override(&d->privilege, false);
    if (result) {
        snprintf(error->path, sizeof error->path, "/venturi:venturi/api");
        snprintf(error->message, sizeof error->message, "%s",
                 message ? message : strerror(-result));
    }
    free(message);
    return result;
}

int
daemon_apply_config(void *daemon_, const struct config *old,
                    const struct config *new_, struct config_error *error)
{
    struct daemon *d = daemon_;
    const char *fixed = needs_restart(old, new_);
    if (fixed) {
        snprintf(error->path, sizeof error->path, "/venturi:venturi/%s",
                 fixed);
        snprintf(error->message, sizeof error->message, "cannot be changed "
                 "while venturid runs: edit the file and restart");
        return -EOPNOTSUPP;
    }
    struct config_error ignored;
    int result = daemon_configure_routing(d, new_, error);
    if (result) {
        return result;
    }
    result = apply_api(d, new_, error);
    if (result) {
        daemon_configure_routing(d, old, &ignored);
        return result;
    }
    bool input_changes = !same_listeners(old, new_)
                         || !same_input(old, new_);
    if (input_changes) {
        result = apply_input(d, old, new_, error);
        if (result) {
            if (apply_api(d, old, &ignored)) {
                LOG(api, ERR, "%s: %s", ignored.path, ignored.message);
            }
            daemon_configure_routing(d, old, &ignored);
            return result;
        }
    }
    apply_ovsdb(d, old, new_, input_changes);
    apply_watching(d, old, new_);
    store_set_retention(d->store, new_->retention_us, new_->retention_bytes);
    identity_journal_set_retention(d->identities,
                                   new_->retention_us / 1000000);
    daemon_configure_counters(d, new_);
    struct rollup_limit tiers[N_ROLLUPS];
    daemon_rollup_limits(new_, tiers);
    rollup_set_limits(d->rollup, tiers);
    struct api_limits limits = { new_->max_clients, new_->max_request };
    api_set_limits(d->api, &limits);
    daemon_configure_probes(d, new_);
    daemon_events_configure(d->events, new_);
    inventories_configure(d->inventories, new_->inventory);
    daemon_alerts_configure(d->alerts, new_);
    daemon_set_levels(d->options, new_);
    daemon_name_sources(d, new_);
    daemon_publish_context(d);
    daemon_rebuild_observations(d, false);
    return 0;
}
