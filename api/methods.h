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
extern const struct rpc_method methods_event[];     /* methods_event.c */
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
/* The probes as a list (methods_probe.c). */
struct api_context;
struct json_object *reply_probes(const struct api_context *);
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
