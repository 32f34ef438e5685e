/* api/config.h -- the configuration: a YANG-modelled tree (api/yang/
 * venturi.yang), validated by libyang, and the plain structures that the rest
 * of the daemon is handed.
 *
 * No file at all is a valid configuration.  Edits are validated, applied,
 * persisted atomically, in that order; a failure at any step leaves everything
 * as it was. */
#ifndef API_CONFIG_H
#define API_CONFIG_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "ovsdb/export.h"

struct json_object;
struct config_alert;            /* api/config_alert.h */
struct config_api;
struct config_store;
struct element_mapping;         /* collector/template/element.h */
struct probe_config;            /* probe/decide.h */
struct config_bgp;              /* api/config_bgp.h */
struct config_identity;         /* api/config_identity.h */
struct config_route;            /* api/config_route.h */

/* An exporter that has a name. */
struct config_source {
    char *name;
    struct addr address;
    uint32_t sampling;          /* 0: not given. */
};

/* A configuration as plain values.  All strings are owned by it. */
struct config {
    char **ovsdb_remotes;       /* Empty: no OVSDB ("none"). */
    size_t n_ovsdb_remotes;
    char *ovsdb_private_key, *ovsdb_certificate;        /* ovsdb/tls; all of */
    char *ovsdb_ca;             /* them or none: NULL. */
    bool export_apply;          /* export/mode is "apply", not "plan". */
    struct export_policies *policies;
    char **netflow_listen, **ipfix_listen, **sflow_listen;
    size_t n_netflow_listen, n_ipfix_listen, n_sflow_listen;
    char **tcp_listen, **tls_listen;    /* collector/ipfix/tcp, tls. */
    size_t n_tcp_listen, n_tls_listen;
    char *tls_certificate, *tls_private_key, *tls_ca;   /* Or NULL. */
    bool tls_require_client;
    unsigned max_sessions;      /* collector/ipfix/max-sessions. */
    int64_t idle_timeout_us;    /* collector/ipfix/idle-timeout. */
    char **allow;               /* collector/allow; prefix_parse() takes it. */
    size_t n_allow;
    char *multicast_interface;  /* Or NULL. */
    struct config_source *sources;      /* collector/source. */
    size_t n_sources;
    bool extra;                 /* collector/extra. */
    struct element_mapping *elements;   /* collector/element. */
    size_t n_elements;
    unsigned workers;           /* collector/workers; 0: one per core. */
    uint32_t receive_buffer;    /* collector/receive-buffer, bytes. */
    uint32_t max_sources;       /* collector/max-sources. */
    int64_t counters_interval_us;       /* collector/counters/... */
    int64_t counters_retention_us;
    uint64_t counters_bytes;
    int64_t retention_us;       /* store/retention/raw. */
    bool export_hourly;         /* store/export/schedule. */
    char *data_format;          /* store/export/format. */
    int64_t data_delay_us;      /* store/export/delay. */
    uint64_t retention_bytes;   /* store/retention/size. */
    bool rollups;               /* store/rollups. */
    int64_t minutes_us, hours_us;       /* store/retention/minutes, hours. */
    uint64_t minutes_bytes, hours_bytes;
    uint64_t memory_limit;      /* store/memory. */
    unsigned query_threads;     /* query/threads. */
    unsigned query_max;         /* query/max-running. */
    int64_t query_timeout_ms;   /* query/timeout. */
    char **api_addresses;       /* "unix:/path" (or a plain path). */
    size_t n_api_addresses;
    uint32_t max_clients, max_request;  /* api/max-clients, max-request. */
    struct config_api *api;     /* The rest of api (api/config_api.h). */
    char **log_levels;          /* log/level: "info", "ovsdb:debug". */
    size_t n_log_levels;
    char *log_target;           /* "auto", "stderr", "syslog", "journal". */
    char *user;                 /* Whom to run as when started by root. */
    int64_t event_retention_us; /* event/retention. */
    uint64_t event_bytes;       /* event/size. */
    int64_t silence_us;         /* event/exporter-silence; 0: never. */
    struct config_alert *alert; /* Never NULL. */
    struct probe_config *probe; /* probe/softflowd, or NULL: none. */
    struct config_bgp *bgp;     /* bgp and bmp; never NULL. */
    struct config_route *routes;        /* Never NULL. */
    struct config_inventory *inventory; /* Never NULL. */
    struct config_identity *identity;   /* identity and ovn; never NULL. */
};

/* What is wrong with a configuration. */
struct config_error {
    char path[512];             /* Where: a data path, or "line 3". */
    char message[512];          /* What, and what would be valid. */
};

/* What the command line adds; overrides the file and is shown by config.get
 * but never written to the file.  Strings are borrowed. */
struct config_override {
    const char *const *api;
    size_t n_api;
    const char *const *ovsdb;   /* "none": no OVSDB. */
    size_t n_ovsdb;
    const char *run_dir;        /* Base of the default API socket. */
};

/* Loads 'path'.  If 'path' does not exist and 'required' is false, that is the
 * empty configuration.  NULL and '*error' on failure. */
struct config_store *config_load(const char *path, bool required,
                                 const struct config_override *,
                                 struct config_error *error);
void config_store_destroy(struct config_store *);

/* The configuration in effect: file, defaults, command line.  Borrowed until
 * the next successful edit or reload. */
const struct config *config_current(const struct config_store *);

/* The file, which need not exist; NULL: none. */
const char *config_path(const struct config_store *);

/* The tree as JSON (RFC 7951), with or without defaults. */
struct json_object *config_to_json(const struct config_store *,
                                   bool with_defaults);

/* Validates a whole configuration (RFC 7951 JSON).  0 or -EINVAL. */
int config_validate(const struct config_store *, struct json_object *,
                    struct config_error *error);

/* Applies a new configuration: 'old' to 'new'.  Returns 0, or a negative errno
 * with the reason, after putting everything back. */
typedef int config_apply_fn(void *aux, const struct config *old,
                            const struct config *new_,
                            struct config_error *error);
void config_set_apply(struct config_store *, config_apply_fn *, void *aux);

/* 'guard' is called with true before the file is touched, and with false
 * after: venturid raises a capability there. */
void config_set_guard(struct config_store *, void (*guard)(void *aux, bool on),
                      void *aux);

/* Replaces the tree (merge false) or merges into it (merge true; RFC 7951:
 * containers member by member, policies by name, lists of plain values as a
 * whole; a member null deletes), validates, applies, persists.  The previous
 * file stays as PATH.1.  0 or a negative errno with '*error'; -ESTALE if the
 * file was changed by somebody else since it was read. */
int config_edit(struct config_store *, struct json_object *, bool merge,
                struct config_error *error);

/* Whom the next config_edit() or config_rollback() is by, for the history;
 * copied. */
void config_set_author(struct config_store *, const char *who);

/* Keeps what was in effect in 'history' (borrowed; api/history.h), beginning
 * with what is now. */
struct history;
void config_set_history(struct config_store *, struct history *);
const struct history *config_history(const struct config_store *);

/* Returns to the configuration of a revision, as an edit does.  -ENOENT: there
 * is none of that number. */
int config_rollback(struct config_store *, uint32_t revision,
                    struct config_error *error);

/* What the last edit, rollback or reload that succeeded has changed
 * (history_diff()).  Borrowed until the next one; NULL: there was none. */
struct json_object *config_last_changes(const struct config_store *);

/* Reads the file again (SIGHUP).  A file that was there, or was asked for by
 * name, and is gone is an error: the configuration stays as it was. */
int config_reload(struct config_store *, struct config_error *error);

/* Why the last config_reload() failed, or NULL if it did not. */
const char *config_reload_error(const struct config_store *);

#endif /* api/config.h */
