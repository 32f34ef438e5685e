/* api/methods.h -- the method tables, one per api/methods_*.c, and what
 * methods share.
 *
 * Every table ends with a row without a name. */
#ifndef API_METHODS_H
#define API_METHODS_H 1

#include <stdbool.h>
#include <stdint.h>

#include "api/method.h"
#include "lib/counter.h"

extern const struct rpc_method methods_system[];    /* methods_system.c */
extern const struct rpc_method methods_doctor[];    /* methods_doctor.c */
extern const struct rpc_method methods_config[];    /* methods_config.c */
extern const struct rpc_method methods_exporter[];  /* methods_exporter.c */
extern const struct rpc_method methods_counters[];  /* methods_counters.c */
extern const struct rpc_method methods_endpoint[];  /* methods_endpoint.c */
extern const struct rpc_method methods_alert[];     /* methods_alert.c */
extern const struct rpc_method methods_event[];     /* methods_event.c */
extern const struct rpc_method methods_watch[];     /* methods_watch.c */
extern const struct rpc_method methods_flow[];      /* methods_flow.c */
extern const struct rpc_method methods_live[];      /* methods_live.c */
extern const struct rpc_method methods_import[];    /* methods_import.c */
extern const struct rpc_method methods_data[];      /* methods_data.c */
extern const struct rpc_method methods_export[];    /* methods_export.c */
extern const struct rpc_method methods_policy[];    /* methods_policy.c */
extern const struct rpc_method methods_profile[];   /* methods_profile.c */
extern const struct rpc_method methods_probe[];     /* methods_probe.c */
extern const struct rpc_method methods_bgp[];       /* methods_bgp.c */
extern const struct rpc_method methods_session[];   /* methods_session.c */
extern const struct rpc_method methods_route[];     /* methods_route.c */
extern const struct rpc_method methods_route_history[];
extern const struct rpc_method methods_route_import[];
extern const struct rpc_method methods_subscription[];      /* subscribe.c */

/* All of them, in the order of the manual; ends with NULL. */
extern const struct rpc_method *const method_tables[];

/* The OpenRPC document of some tables (ends with NULL); the caller's. */
struct json_object *methods_discover(const struct rpc_method *const *tables);

/* Small builders.  Adding takes over 'value'. */
void reply_string(struct json_object *, const char *name, const char *text);
void reply_int(struct json_object *, const char *name, int64_t value);
void reply_uint(struct json_object *, const char *name, uint64_t value);
void reply_bool(struct json_object *, const char *name, bool value);
/* RFC 3339, or null if 'us' is 0. */
void reply_time(struct json_object *, const char *name, int64_t us);
/* Reads from, to and filter of a question about flows (methods_flow.c).  False:
 * the call has been answered. */
struct query;
bool flow_read_scope(struct rpc_call *, struct json_object *params,
                     struct query *);
/* Probes (methods_probe.c): as a list, only those on 'interface' unless NULL. */
struct api_context;
struct json_object *reply_probes(const struct api_context *,
                                 const char *interface);
bool probes_configured(const struct api_context *);
bool probe_known(const struct api_context *, const char *interface);
/* How many run within such a scope. */
size_t probes_running(const struct api_context *, const char *interface,
                      const char *policy);
/* What export.plan says of them; what is to be done is added to '*pending'. */
struct json_object *plan_probes(const struct api_context *,
                                const char *interface, const char *policy,
                                bool all, size_t *pending);
/* What export.status says of them, at the end of 'list'. */
void status_probes(const struct api_context *, const char *interface,
                   struct json_object *list);
/* The error that a filter is wrong: where, and what could stand there. */
struct filter_error;
void reply_filter_error(struct rpc_call *, const struct filter_error *);
/* Before config_edit(): who asks for it.  After it: what changed, for the
 * audit log (methods_config.c). */
struct config_store;
void reply_config_author(struct rpc_call *, struct config_store *);
void reply_config_audit(struct rpc_call *, const struct config_store *);
/* An object with one member per counter. */
struct json_object *reply_counters(const void *counters,
                                   const struct counter_def *);

#endif /* api/methods.h */
