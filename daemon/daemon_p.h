/* daemon/daemon_p.h -- what the files of the daemon share: the parts, and the
 * steps in which daemon.c opens them. */
#ifndef DAEMON_DAEMON_P_H
#define DAEMON_DAEMON_P_H 1

#include <ev.h>
#include <stddef.h>

#include "api/config.h"
#include "api/context.h"
#include "collector/decode/decoder.h"
#include "collector/exporter/correct.h"
#include "collector/query/rollup.h"
#include "daemon/privilege.h"
#include "lib/addr.h"
#include "lib/batch.h"
#include "lib/turns.h"
#include "ovsdb/orders.h"
#include "ovsdb/ovsdb.h"

struct names;
struct observe_listen;
struct observe_probe;
struct options;

#define OWNER_STRLEN 37
#define MAX_LISTEN 64           /* More than the model allows for all. */
#define MAX_REMOTES 64

struct statistics_round {
    char *remote;
    int64_t slot, began_us;
};

struct daemon {
    struct ev_loop *loop;
    ev_signal on_term, on_int, on_hup;
    ev_async on_ovsdb;          /* A snapshot or a state changed. */
    ev_async on_taps;           /* Somebody watches, and flows came. */
    ev_timer tell;              /* ... and are told. */
    ev_timer review;            /* What totals count, now and then. */

    struct {
        ev_check check;
        ev_prepare prepare;
        struct turns turns;
    } turns;                    /* How long the loop's are. */

    const struct options *options;
    const char *config_path, *state_dir, *run_dir;
    char *store_dir;            /* How the user reaches state_dir. */
    char owner[OWNER_STRLEN];
    struct privilege privilege;
    struct config_store *config;
    struct config_override override;

    struct dict *dict;
    struct names *names;
    struct source_table *sources;
    struct template_cache *templates;
    struct decoder_counters decode_counters;
    struct correct correct;
    struct stage stages[7];
    uint64_t observation_gen;

    struct input *input;
    struct persist *persist;
    struct counter_log *counter_log;
    struct statistics_round rounds[MAX_REMOTES];        /* OVSDB thread's. */
    struct store *store;
    struct rollup *rollup;
    struct query_pool *queries;
    struct identity *identity;
    struct identity_journal *identities;
    struct inventories *inventories;
    struct why *why;
    struct watching *watching;
    struct channel_set *channels;
    struct profiles *profiles;
    struct tap_set *taps;
    struct live *live;
    struct daemon_events *events;
    struct daemon_alerts *alerts;
    struct imports *imports;
    struct exports *exports;
    struct ovsdb *ovsdb;
    struct probe *probe;
    struct orders probe_orders;
    bool probes_applied;        /* They run unless they are held. */
    bool probes_mode_apply;     /* export/mode when it was looked at last. */
    bool orders_damaged;        /* Before export.apply. */
    struct routing *routing;
    struct tokens *tokens;
    struct audit *audit;
    struct history *history;
    struct api *api;
    struct api_context context;
};

/* Hands what there is to the API. */
void daemon_publish_context(struct daemon *);
/* Levels of the log; 0, or -EINVAL after logging which is none. */
int daemon_set_levels(const struct options *, const struct config *);

/* ---- daemon/turns.c ---- */

/* Measures the loop's turns from now on. */
void daemon_watch_turns(struct daemon *);

/* ---- daemon/collect.c: sockets and workers. ---- */

/* Tells the sources their names. */
void daemon_name_sources(struct daemon *, const struct config *);
/* NULL with the reason to free(). */
struct input *daemon_open_input(struct daemon *, const struct config *,
                                char **error);
/* Listens where 'config' says, without touching what is open already; see
 * input_change() for -EBUSY. */
int daemon_change_listeners(struct daemon *, const struct config *,
                            struct config_error *);
/* Replaces the sockets and workers.  If the new ones can't be had, the old are
 * opened again. */
int daemon_replace_input(struct daemon *, const struct config *old,
                         const struct config *new_, struct config_error *);
/* Where the collector listens, with the ports it really got: at most
 * MAX_LISTEN. */
size_t daemon_listening(struct daemon *, struct observe_listen *);
/* Our collector's addresses, as export rows name them; 'text' holds them. */
void daemon_local_endpoints(struct daemon *, char text[][ENDPOINT_STRLEN],
                            const char *local[N_EXPORT_TABLES]);

/* ---- daemon/probes.c: Linux bridges. ---- */

/* Starts to follow the interfaces. */
int daemon_open_probes(struct daemon *, const struct config *);
/* Tells the probes what is wanted. */
void daemon_configure_probes(struct daemon *, const struct config *);
/* As struct api_context wants it. */
int daemon_order_probes(void *daemon, bool apply, const char *interface,
                        const char *policy);
/* The probes that may send to us, for observe_build(): borrowed until the loop
 * runs on.  Returns how many there are, at most 'max'. */
size_t daemon_observed_probes(struct daemon *, struct observe_probe *list,
                              size_t max);

/* ---- daemon/bridges.c: what OVSDB tells, and what follows. ---- */

/* NULL without remotes, too. */
struct ovsdb *daemon_start_ovsdb(struct daemon *, const struct config *);
/* Listens to what databases say of endpoints. */
void daemon_start_watching(struct daemon *, const struct config *);
/* Publishes what OVSDB says now; with 'only_canonical' only if that changes what
 * totals count. */
void daemon_rebuild_observations(struct daemon *, bool only_canonical);

/* ---- daemon/state.c: directories, rights, and what is kept there. ---- */

int daemon_make_dirs(struct daemon *);
int daemon_load_owner(struct daemon *);
int daemon_drop_privileges(struct daemon *, const struct config *);
int daemon_open_records(struct daemon *);
int daemon_open_events(struct daemon *, const struct config *);
int daemon_open_alerts(struct daemon *, const struct config *);
int daemon_open_store(struct daemon *, const struct config *);
int daemon_open_profiles(struct daemon *);
/* Without it there are routes all the same. */
void daemon_open_route_history(struct daemon *, const struct config *);
int daemon_open_identities(struct daemon *, const struct config *);
void daemon_restore_templates(struct daemon *);
void daemon_open_counters(struct daemon *, const struct config *);
void daemon_configure_counters(struct daemon *, const struct config *);
void daemon_rollup_limits(const struct config *,
                          struct rollup_limit limits[N_ROLLUPS]);

/* ---- daemon/reload.c: another configuration at run time. ---- */

/* As config_set_apply() wants it. */
int daemon_apply_config(void *daemon, const struct config *old,
                        const struct config *new_, struct config_error *);
int daemon_configure_routing(struct daemon *, const struct config *,
                             struct config_error *);
void daemon_set_socket_modes(struct daemon *, const struct config *);

#endif /* daemon/daemon_p.h */
