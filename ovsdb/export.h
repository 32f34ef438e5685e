/* ovsdb/export.h -- what is exported, and what should be: OVS's own columns as
 * plain values, policies, and the difference between the two.
 *
 * Pure: no OVS header, no socket, no clock.  ovsdb/ovsdb.h runs it against
 * real databases. */
#ifndef OVSDB_EXPORT_H
#define OVSDB_EXPORT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum export_table { EXPORT_NETFLOW, EXPORT_SFLOW, EXPORT_IPFIX,
                    N_EXPORT_TABLES };

/* Options, under the names of OVS's columns (vswitch.ovsschema).
 * X(id, table, column, key or "", type, min, max, what it does)
 * A 'key' names a key of a map column (other_config). */
#define EXPORT_OPTIONS(X)                                                     \
    X(NF_ENGINE_TYPE, NETFLOW, "engine_type", "", INT, 0, 255,                \
      "engine type in NetFlow headers; default: chosen per bridge")           \
    X(NF_ENGINE_ID, NETFLOW, "engine_id", "", INT, 0, 255,                    \
      "engine id in NetFlow headers; default: chosen per bridge")             \
    X(NF_ACTIVE_TIMEOUT, NETFLOW, "active_timeout", "", INT, 1, INT32_MAX,    \
      "seconds after which a long flow is reported; OVS default 600")         \
    X(NF_ADD_ID, NETFLOW, "add_id_to_interface", "", BOOL, 0, 1,              \
      "put the engine id into the interface numbers")                         \
    X(SF_AGENT, SFLOW, "agent", "", STRING, 0, 255,                           \
      "agent address or device; default: an address of our own per bridge")   \
    X(SF_SAMPLING, SFLOW, "sampling", "", INT, 1, UINT32_MAX,                 \
      "sample one packet in so many; \"auto\" lets venturid choose")          \
    X(SF_POLLING, SFLOW, "polling", "", INT, 0, 86400,                        \
      "seconds between counter samples")                                      \
    X(SF_HEADER, SFLOW, "header", "", INT, 14, 1400,                          \
      "bytes of each sampled packet to send")                                 \
    X(IX_SAMPLING, IPFIX, "sampling", "", INT, 1, UINT32_MAX,                 \
      "sample one packet in so many; \"auto\" lets venturid choose")          \
    X(IX_OBS_DOMAIN_ID, IPFIX, "obs_domain_id", "", INT, 0, UINT32_MAX,       \
      "observation domain id; default: chosen per bridge")                    \
    X(IX_OBS_POINT_ID, IPFIX, "obs_point_id", "", INT, 0, UINT32_MAX,         \
      "observation point id; default: chosen per bridge")                     \
    X(IX_CACHE_ACTIVE_TIMEOUT, IPFIX, "cache_active_timeout", "", INT, 0,     \
      4200, "seconds a flow stays in OVS's cache; 0: no cache")               \
    X(IX_CACHE_MAX_FLOWS, IPFIX, "cache_max_flows", "", INT, 0, UINT32_MAX,   \
      "flows in OVS's cache; 0: no cache")                                    \
    X(IX_TEMPLATE_INTERVAL, IPFIX, "template_interval", "", INT, 1, 3600,     \
      "seconds between templates (OVS 3.2)")                                  \
    X(IX_STATS_INTERVAL, IPFIX, "stats_interval", "", INT, 1, 3600,           \
      "seconds between statistics (OVS 3.2)")                                 \
    X(IX_TUNNEL_SAMPLING, IPFIX, "other_config", "enable-tunnel-sampling",    \
      BOOL, 0, 1, "report tunnel headers; OVS default true")                  \
    X(IX_INPUT_SAMPLING, IPFIX, "other_config", "enable-input-sampling",      \
      BOOL, 0, 1, "sample packets that come in; OVS default true")            \
    X(IX_OUTPUT_SAMPLING, IPFIX, "other_config", "enable-output-sampling",    \
      BOOL, 0, 1, "sample packets that go out; OVS default true")             \
    X(IX_VIRTUAL_OBS_ID, IPFIX, "other_config", "virtual_obs_id", STRING, 0,  \
      254, "text that every record carries; default: system-id/bridge")

enum export_option_id {
#define X(ID, TABLE, COLUMN, KEY, TYPE, MIN, MAX, DOC) OPT_##ID,
    EXPORT_OPTIONS(X)
#undef X
    N_EXPORT_OPTIONS
};

enum export_option_type { EXPORT_T_INT, EXPORT_T_BOOL, EXPORT_T_STRING };

struct export_option {
    enum export_table table;
    const char *column;
    const char *key;            /* "" unless a map's key. */
    const char *name;           /* What users write: the key, or the column. */
    enum export_option_type type;
    int64_t min, max;           /* Of a STRING: its length. */
    const char *doc;
};
extern const struct export_option export_options[N_EXPORT_OPTIONS];

/* "netflow", "sflow", "ipfix": also the name of Bridge's column. */
const char *export_table_name(enum export_table);
/* "NetFlow", "sFlow", "IPFIX": for people, and the name of OVS's table. */
const char *export_table_title(enum export_table);

/* The option of 'table' that users call 'name', or N_EXPORT_OPTIONS. */
enum export_option_id export_option_find(enum export_table, const char *name);

/* A value that may be absent. */
struct export_value {
    bool set;
    int64_t number;             /* INT, BOOL. */
    char *string;               /* STRING; owned. */
};

/* One row of NetFlow, sFlow or IPFIX as the database has it.  What it points to
 * belongs to it, or to the snapshot that it is in. */
struct export_row {
    bool present;
    uint8_t first_value, n_values;      /* Options that 'value' has; others */
    unsigned n_refs;            /* are not set.  Bridges that refer to it. */
    char uuid[37];
    char **targets;             /* Sorted. */
    size_t n_targets;
    struct export_value *value; /* See export_row_value(). */
    char *owner;                /* external_ids:venturi-owner, or NULL. */
    char *policy;               /* external_ids:venturi-policy, or NULL. */
    char *hash;                 /* external_ids:venturi-hash, or NULL. */
    char *prev;                 /* external_ids:venturi-prev, or NULL: the
                                 * row that ours displaced. */
    char **appended;            /* Targets that we added to a row of somebody
                                 * else (external_ids:venturi-append-OWNER);
                                 * sorted. */
    size_t n_appended;
    char **extra;               /* "column:key=value" of what is in its maps
                                 * and not ours; sorted. */
    size_t n_extra;
};

/* The value of an option; one that is not set if the row does not have it. */
const struct export_value *export_row_value(const struct export_row *,
                                            enum export_option_id);
/* Makes room for all options, indexed by their ids; NULL: out of memory. */
struct export_value *export_row_values(struct export_row *);

void export_row_clear(struct export_row *);

/* The fingerprint of targets and options, for venturi-hash. */
#define EXPORT_HASH_STRLEN 17
char *export_row_hash(const struct export_row *, enum export_table,
                      char buf[EXPORT_HASH_STRLEN]);

/* A row as one line of text and back: how 'replace' remembers what it
 * displaced.  The encoder returns a heap string (NULL: out of memory); the
 * decoder takes any text and refuses (-EINVAL) what a row can't hold. */
char *export_row_encode(const struct export_row *, enum export_table);
int export_row_decode(const char *, enum export_table, struct export_row *);

/* A Flow_Sample_Collector_Set: who gets what OpenFlow's sample(...) with that
 * number samples.  Its IPFIX row is not the bridge's. */
struct export_sample {
    uint32_t id;
    char uuid[37];
    struct export_value group;  /* local_group_id (OVS 3.4). */
    char *owner;                /* external_ids:venturi-owner, or NULL. */
    char *bridge;               /* Of an orphan: name and uuid of a bridge */
    char bridge_uuid[37];       /* that the switch does not have any more. */
    struct export_row ipfix;    /* May be absent. */
};

struct ovs_interface {
    char *name, *type;
    char uuid[37];
    int64_t ofport;             /* -1: none. */
    int64_t ifindex;            /* 0: none. */
    char *mac_in_use;
    char *error;                /* Interface.error, or NULL. */
};

struct ovs_bridge {
    char *name;
    char uuid[37];
    char *datapath_type;        /* "" is system. */
    uint64_t datapath_id;       /* 0: none. */
    char **external_ids;        /* "key=value", sorted. */
    size_t n_external_ids;
    struct ovs_interface *interfaces;
    size_t n_interfaces;
    struct export_row row[N_EXPORT_TABLES];
    struct export_sample *samples;      /* Sorted by id. */
    size_t n_samples;

    /* What the OVSDB thread has worked out. */
    double in_pps, out_pps;     /* Packets per second; < 0: not known. */
    uint32_t auto_sampling;     /* What "auto" means here; 0: undecided. */
};

struct region;

/* What one OVSDB server says.  Immutable, reference-counted. */
/* Why a database that is reached by TCP or TLS is not, as far as the error
 * tells. */
enum ovsdb_cause {
    CAUSE_OTHER,                /* Also: a unix socket, or connected. */
    CAUSE_REFUSED,
    CAUSE_NO_ROUTE,
    CAUSE_NO_ANSWER,
    CAUSE_CLOSES,               /* The server ends the connection. */
    CAUSE_PROTOCOL,             /* What answers speaks something else. */
    CAUSE_TLS_CLOSES,           /* The same of a server that should speak */
    CAUSE_HANDSHAKE,            /* TLS; its handshake failed. */
    CAUSE_TLS_FILES,            /* Ours are not set, or can't be read. */
    N_CAUSES
};

struct ovs_snapshot {
    struct region *region;        /* What bridges and orphans consist of. */
    uint64_t generation;        /* Grows with each change. */
    char *remote;
    bool local;                 /* A unix socket, or a loopback address. */
    bool connected;
    int64_t since_ms;           /* Monotonic: when 'connected' changed. */
    char *reason;               /* Why not connected, in words; or NULL. */
    enum ovsdb_cause cause;     /* The same, for a remedy. */
    char *ovs_version, *db_version, *system_id, *hostname;  /* "" unknown. */
    char **external_ids;        /* Of Open_vSwitch: "key=value", sorted. */
    size_t n_external_ids;
    bool hw_offload;            /* other_config:hw-offload. */
    bool lacks_group;           /* No Flow_Sample_Collector_Set.
                                 * local_group_id in this server. */
    int64_t next_cfg, cur_cfg;
    uint64_t missing_options[1];/* Bit set: the server lacks the column. */
    struct ovs_bridge *bridges; /* Sorted by name. */
    size_t n_bridges;
    struct export_sample *orphans;      /* They keep a Bridge row alive that */
    size_t n_orphans;                   /* nobody can use or replace. */
};

enum export_foreign { FOREIGN_RESPECT, FOREIGN_APPEND, FOREIGN_REPLACE };

/* The wish of one policy for one protocol. */
struct export_wish {
    bool wanted;
    bool sampling_auto;
    char **targets;             /* "local" or "ip:port". */
    size_t n_targets;
    struct export_value value[N_EXPORT_OPTIONS];
};

/* One Flow_Sample_Collector_Set. */
struct export_sample_wish {
    uint32_t id;
    struct export_value group;  /* local_group_id. */
    struct export_wish ipfix;   /* Not 'wanted': only the group. */
};

/* Options of IPFIX that mean something for Flow_Sample_Collector_Set; the
 * others come with the OpenFlow action, or are the bridge's. */
bool export_option_is_for_samples(enum export_option_id);

struct export_policy {
    char *name;

    /* Bridges that it matches: all that is said must hold. */
    char **bridges;             /* Globs; none: all. */
    size_t n_bridges;
    char **exclude;             /* Globs. */
    size_t n_exclude;
    char *datapath_type;        /* "any", "system", "netdev". */
    char **bridge_ids;          /* Bridge.external_ids: "key=glob", or "key" */
    size_t n_bridge_ids;        /* if it only has to be there. */
    char **host_ids;            /* Open_vSwitch.external_ids, the same. */
    size_t n_host_ids;
    char **labels;              /* Globs, each for one of our labels. */
    size_t n_labels;

    struct export_wish wish[N_EXPORT_TABLES];
    struct export_sample_wish *samples;
    size_t n_samples;
    enum export_foreign foreign;
    bool offload_force;         /* Provision bridges that offload, too. */
    bool probe;                 /* It says something about Linux bridges, which
                                 * are probe/'s. */
};

/* Samples per second and host, unless the configuration says otherwise. */
#define EXPORT_BUDGET 1000

/* Labels of the host whose database a remote is. */
struct export_host {
    char *remote;
    char **labels;
    size_t n_labels;
};

/* In order of precedence: the first policy that matches a bridge decides all
 * of that bridge's protocols. */
struct export_policies {
    struct export_policy *list;
    size_t n;
    uint32_t budget;            /* Samples per second and host for "auto"; 0:
                                 * no limit, OVS's own rate. */
    char **labels;              /* What this host is: for match/labels, */
    size_t n_labels;            /* in each database, */
    struct export_host *hosts;  /* and what belongs to one. */
    size_t n_hosts;
    char **adopt;               /* Instance ids whose rows are ours, too. */
    size_t n_adopt;
};

/* Whether each label that the policy asks for is one of the host of 'remote'. */
bool export_labels_match(const struct export_policy *,
                         const struct export_policies *, const char *remote);

/* Whether a policy says anything about bridges of Open vSwitch: all do but those
 * that only have probes. */
bool export_policy_is_for_ovs(const struct export_policy *);

/* True if the policy's selectors fit the bridge; others may come first. */
bool export_policy_matches(const struct export_policy *,
                           const struct export_policies *,
                           const struct ovs_snapshot *,
                           const struct ovs_bridge *);

/* States of a bridge and protocol. */
enum export_state { STATE_OFF, STATE_IN_SYNC, STATE_PENDING, STATE_RECEIVING,
                    STATE_SILENT, STATE_CONFLICT, STATE_ERROR };
const char *export_state_name(enum export_state);

enum export_action {
    ACTION_NONE,                /* As it should be (or nothing wanted). */
    ACTION_CREATE, ACTION_UPDATE, ACTION_REMOVE,
    ACTION_APPEND,              /* Add our target to a foreign row. */
    ACTION_DETACH,              /* Take our target out of a foreign row. */
    ACTION_SKIP,                /* Left alone, on purpose; see 'reason'. */
};
const char *export_action_name(enum export_action);

struct export_diff {            /* One column that would change. */
    const char *column;         /* "targets", an option's name, ... */
    char *old_value, *new_value;        /* Text; NULL: absent. */
};

/* What is to be done about one protocol of one bridge, or about one
 * Flow_Sample_Collector_Set. */
struct export_change {
    const char *bridge;         /* The plan's. */
    const char *bridge_uuid;    /* The plan's. */
    size_t bridge_index;        /* In the snapshot; n_bridges: an orphan. */
    bool ordered;               /* Somebody asked for it: see export_order. */
    enum export_table table;
    bool sample;                /* Flow_Sample_Collector_Set: then table is */
    uint32_t sample_id;         /* IPFIX, and the rows are its IPFIX row. */
    const char *sample_uuid;    /* The plan's; "": there is none yet. */
    struct export_value group;  /* As it will be. */
    enum export_action action;
    enum export_state state;    /* OFF, IN_SYNC, PENDING, CONFLICT, ERROR. */
    const char *policy;         /* Which one decided, or NULL; the plan's. */
    char *reason;               /* In words; the plan's. */
    char **add, **drop;         /* APPEND and DETACH: targets to mutate. */
    size_t n_add, n_drop;
    struct export_diff *diffs;
    size_t n_diffs;
    char **warnings;
    size_t n_warnings;
    double records_per_s;       /* What it will send, by what passed lately; */
    double bytes_per_s;         /* < 0: not known. */
    double records_per_100k;    /* The same of 100,000 packets that pass, */
    double bytes_per_100k;      /* without counters. */
    struct export_row *desired; /* The row as it will be; NULL unless
                                 * something is to be written. */
};

struct export_plan {
    char *remote;
    uint64_t generation;        /* Of the snapshot it was made from. */
    /* Every bridge and protocol: bridge by bridge, first the protocols, then
     * its Flow_Sample_Collector_Sets; orphans at the end. */
    struct export_change *changes;
    size_t n_changes;
    size_t n_bridges;
    size_t *first;              /* First change of bridge i; [n_bridges]: the
                                 * orphans; [n_bridges + 1]: n_changes. */
    size_t n_pending;           /* Those that would write something. */
    char **warnings;            /* About the whole. */
    size_t n_warnings;
    const char **names;         /* Of bridges, orphans, policies. */
    size_t n_names;
    struct region *region;        /* Changes, names, reasons. */
};

/* That a bridge, the bridges of a policy, or all of them are to be as the
 * policies say, or without export of ours whatever they say. */
struct export_order {
    bool apply;                 /* Or remove. */
    bool kept;                  /* From before a restart: what was applied only
                                 * lifts a removal, whether anything is written
                                 * is for the configuration to say. */
    char *bridge;               /* NULL: any. */
    char *policy;               /* NULL: any. */
};

/* What this daemon is, for plans. */
struct export_self {
    const char *owner;          /* Our instance id: venturi-owner. */
    /* "ip:port" of our own collector per protocol, or NULL if it does not
     * listen: then "local" can't be provisioned. */
    const char *local[N_EXPORT_TABLES];
    /* export.apply and export.remove, oldest first: of those that fit a
     * bridge the last one counts. */
    const struct export_order *orders;
    size_t n_orders;
};

/* Whether such orders hold back the export of a bridge that 'policy' (or NULL)
 * decides about.  '*asked': somebody asked for what is to happen. */
bool export_orders_hold(const struct export_order *, size_t n,
                        const char *bridge, const char *policy, bool *asked);

/* The difference between what is and what should be.  Never NULL unless out
 * of memory; the caller destroys it. */
struct export_plan *export_plan_make(const struct ovs_snapshot *,
                                     const struct export_policies *,
                                     const struct export_self *);
void export_plan_destroy(struct export_plan *);

/* Deep copies and cleaners for what others build (api/config). */
struct export_policies *export_policies_clone(const struct export_policies *);
void export_policies_destroy(struct export_policies *);

/* Checks names, ranges, lengths and targets, in a time that grows as their
 * number.  Returns 0, -EINVAL with the member at fault
 * ("policy[x]/sflow/sampling") and what would be valid, or -ENOMEM. */
int export_policies_check(const struct export_policies *,
                          char *member, size_t member_size,
                          char *message, size_t message_size);

/* The default policy: sFlow on every bridge (DESIGN, Export policy). */
struct export_policies *export_policies_default(void);

#endif /* ovsdb/export.h */
