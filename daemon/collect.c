#include <config.h>

#include "daemon/daemon_p.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/exporter/source_table.h"
#include "collector/input/input.h"
#include "collector/store/store.h"
#include "daemon/observe.h"
#include "lib/dict.h"
#include "lib/log.h"

static size_t
add_listen(struct input_listen *list, size_t n, char **addresses,
           size_t n_addresses, enum export_table table,
           enum input_transport transport)
{
    for (size_t i = 0; i < n_addresses && n < MAX_LISTEN; i++) {
        list[n++] = (struct input_listen) { addresses[i],
                                            export_table_name(table),
                                            transport };
    }
    return n;
}

static struct flow_batch *
batch_get(void *store)
{
    return store_batch_get(*(struct store **) store);
}

static bool
batch_submit(void *store, struct flow_batch *b, bool first)
{
    struct store *s = *(struct store **) store;
    return first ? store_submit(s, b) : store_submit_last(s, b);
}

/* Tells the input which exporters have names. */
static void
set_known(struct input *in, const struct config *c)
{
    struct addr known[c->n_sources ? c->n_sources : 1];
    for (size_t i = 0; i < c->n_sources; i++) {
        known[i] = c->sources[i].address;
    }
    if (in && input_set_known(in, known, c->n_sources)) {
        LOG(input, ERR, "exporters with names have no buffers of their own: "
            "out of memory");
    }
}

/* Tells the sources, and the sockets, their names. */
void
daemon_name_sources(struct daemon *d, const struct config *c)
{
    struct named_source named[c->n_sources ? c->n_sources : 1];
    for (size_t i = 0; i < c->n_sources; i++) {
        const struct config_source *s = &c->sources[i];
        named[i] = (struct named_source) {
            s->address, dict_intern(d->dict, s->name, strlen(s->name)),
            s->sampling,
        };
    }
    if (source_table_set_named(d->sources, named, c->n_sources)) {
        LOG(input, ERR, "exporters have no names: out of memory");
    }
    set_known(d->input, c);
}

/* Where to listen: up to MAX_LISTEN. */
static size_t
list_listen(const struct config *c, struct input_listen *listen)
{
    size_t n = add_listen(listen, 0, c->netflow_listen, c->n_netflow_listen,
                          EXPORT_NETFLOW, INPUT_UDP);
    n = add_listen(listen, n, c->ipfix_listen, c->n_ipfix_listen,
                   EXPORT_IPFIX, INPUT_UDP);
    n = add_listen(listen, n, c->sflow_listen, c->n_sflow_listen,
                   EXPORT_SFLOW, INPUT_UDP);
    n = add_listen(listen, n, c->tcp_listen, c->n_tcp_listen, EXPORT_IPFIX,
                   INPUT_TCP);
    return add_listen(listen, n, c->tls_listen, c->n_tls_listen,
                      EXPORT_IPFIX, INPUT_TLS);
}

struct input *
daemon_open_input(struct daemon *d, const struct config *c, char **error)
{
    struct input_listen listen[MAX_LISTEN];
    size_t n = list_listen(c, listen);
    struct prefix allow[c->n_allow ? c->n_allow : 1];
    for (size_t i = 0; i < c->n_allow; i++) {
        prefix_parse(c->allow[i], &allow[i]);   /* The model has checked. */
    }
    struct tls_config tls = {
        .certificate = c->tls_certificate, .private_key = c->tls_private_key,
        .ca = c->tls_ca, .require_client = c->tls_require_client,
    };
    struct input_config ic = {
        .allow = allow,
        .n_allow = c->n_allow,
        .multicast_interface = c->multicast_interface,
        .tls = c->n_tls_listen ? &tls : NULL,
        .max_sessions = c->max_sessions,
        .idle_ms = c->idle_timeout_us / 1000,
        .listen = listen,
        .n_listen = n,
        .workers = c->workers,
        .receive_buffer = c->receive_buffer,
        .dict = d->dict,
        .sources = d->sources,
        .templates = d->templates,
        .counters = &d->decode_counters,
        .keep_unknown = c->extra,
        .stages = d->stages,
        .n_stages = sizeof d->stages / sizeof d->stages[0],
        .get = batch_get,
        .submit = batch_submit,
        .aux = &d->store,
    };
    struct input *in = input_open(&ic, error);
    set_known(in, c);
    return in;
}

/* Where the collector listens, with the ports it really got. */
size_t
daemon_listening(struct daemon *d, struct observe_listen *list)
{
    struct input_status status[MAX_LISTEN];
    size_t n = d->input ? input_status(d->input, status, MAX_LISTEN) : 0;
    size_t n_list = 0;
    for (size_t i = 0; i < n; i++) {
        struct observe_listen *l = &list[n_list];
        if (status[i].transport != INPUT_UDP) {
            continue;           /* Open vSwitch sends over UDP only. */
        }
        for (l->table = 0; l->table < N_EXPORT_TABLES; l->table++) {
            if (!strcmp(status[i].name, export_table_name(l->table))) {
                break;
            }
        }
        n_list += l->table < N_EXPORT_TABLES
                  && !endpoint_parse(status[i].address, 0, &l->addr,
                                     &l->port);
    }
    return n_list;
}

/* The address of ours that "local" means for 'table', into ENDPOINT_STRLEN; a
 * loopback address where we listen on all.  NULL: we do not listen. */
static const char *
local_endpoint(const struct observe_listen *list, size_t n,
               enum export_table table, char *buf)
{
    static const uint8_t any4[16] = { [10] = 0xff, [11] = 0xff };
    for (size_t i = 0; i < n; i++) {
        if (list[i].table == table) {
            struct addr a = list[i].addr;
            if (!memcmp(a.b, any4, sizeof any4)) {
                addr_parse("127.0.0.1", &a);
            } else if (addr_is_zero(&a)) {
                addr_parse("::1", &a);
            }
            return endpoint_format(&a, list[i].port, buf);
        }
    }
    return NULL;
}

/* Our collector's addresses, as export rows name them; 'text' holds them. */
void
daemon_local_endpoints(struct daemon *d, char text[][ENDPOINT_STRLEN],
                       const char *local[N_EXPORT_TABLES])
{
    struct observe_listen listen[MAX_LISTEN];
    size_t n = daemon_listening(d, listen);
    for (enum export_table t = 0; t < N_EXPORT_TABLES; t++) {
        local[t] = local_endpoint(listen, n, t, text[t]);
    }
}

int
daemon_change_listeners(struct daemon *d, const struct config *c,
                        struct config_error *error)
{
    struct input_listen listen[MAX_LISTEN];
    size_t n = list_listen(c, listen);
    char *message = NULL;
    int result = d->input ? input_change(d->input, listen, n, &message)
                          : -EBUSY;

    if (result && result != -EBUSY) {
        snprintf(error->path, sizeof error->path, "/venturi:venturi/collector");
        snprintf(error->message, sizeof error->message, "%s",
                 message ? message : strerror(-result));
    }
    free(message);
    return result;
}

/* Replaces the sockets and workers.  If the new ones can't be had, the old are
 * opened again. */
int
daemon_replace_input(struct daemon *d, const struct config *old,
                     const struct config *new_, struct config_error *error)
{
    char *message = NULL;
    input_destroy(d->input);            /* Both may want the same ports. */
    /* Keys may be for root alone, as at the start. */
    privilege_override(&d->privilege, true);
    d->input = daemon_open_input(d, new_, &message);
    int result = 0;
    if (!d->input) {
        snprintf(error->path, sizeof error->path, "/venturi:venturi/collector");
        snprintf(error->message, sizeof error->message, "%s",
                 message ? message : "out of memory");
        result = -EADDRINUSE;
        free(message);
        d->input = daemon_open_input(d, old, &message);
        if (!d->input) {
            LOG(input, ERR, "%s", message ? message : "out of memory");
            free(message);
        }
    }
    privilege_override(&d->privilege, false);
    if (d->input && input_start(d->input)) {
        LOG(input, ERR, "%s", "cannot start workers");
    }
    daemon_publish_context(d);
    return result;
}
