/* ovsdb/ovs_schema.h -- the part of Open vSwitch's schema that we look at, as
 * tables and columns of the IDL.
 *
 * The classes that come with Open vSwitch have a C structure with all columns
 * for every row, which is most of what a bridge costs in memory; and they know
 * the columns of the version that we were built with, not of the server.
 * These know what we use, also what is newer than our libopenvswitch.  Rows
 * are read with ovsdb_idl_read(). */
#ifndef OVSDB_OVS_SCHEMA_H
#define OVSDB_OVS_SCHEMA_H 1

/* X(id, name in the database, is it a root table?) */
#define OVS_TABLES(X)                                                         \
    X(SWITCH, "Open_vSwitch", true)                                           \
    X(BRIDGE, "Bridge", false)                                                \
    X(PORT, "Port", false)                                                    \
    X(INTERFACE, "Interface", false)                                          \
    X(NETFLOW, "NetFlow", false)                                              \
    X(SFLOW, "sFlow", false)                                                  \
    X(IPFIX, "IPFIX", false)                                                  \
    X(SAMPLE, "Flow_Sample_Collector_Set", true)

/* X(table, id, name, type of a key, type of a value, at least, at most) */
#define OVS_COLUMNS(X)                                                        \
    X(SWITCH, BRIDGES, "bridges", UUID, VOID, 0, UINT_MAX)                    \
    X(SWITCH, NEXT_CFG, "next_cfg", INTEGER, VOID, 1, 1)                      \
    X(SWITCH, CUR_CFG, "cur_cfg", INTEGER, VOID, 1, 1)                        \
    X(SWITCH, EXTERNAL_IDS, "external_ids", STRING, STRING, 0, UINT_MAX)      \
    X(SWITCH, OTHER_CONFIG, "other_config", STRING, STRING, 0, UINT_MAX)      \
    X(SWITCH, OVS_VERSION, "ovs_version", STRING, VOID, 0, 1)                 \
    X(SWITCH, DB_VERSION, "db_version", STRING, VOID, 0, 1)                   \
    X(BRIDGE, NAME, "name", STRING, VOID, 1, 1)                               \
    X(BRIDGE, PORTS, "ports", UUID, VOID, 0, UINT_MAX)                        \
    X(BRIDGE, DATAPATH_ID, "datapath_id", STRING, VOID, 0, 1)                 \
    X(BRIDGE, DATAPATH_TYPE, "datapath_type", STRING, VOID, 1, 1)             \
    X(BRIDGE, NETFLOW, "netflow", UUID, VOID, 0, 1)                           \
    X(BRIDGE, SFLOW, "sflow", UUID, VOID, 0, 1)                               \
    X(BRIDGE, IPFIX, "ipfix", UUID, VOID, 0, 1)                               \
    X(BRIDGE, EXTERNAL_IDS, "external_ids", STRING, STRING, 0, UINT_MAX)      \
    X(PORT, INTERFACES, "interfaces", UUID, VOID, 1, UINT_MAX)                \
    X(INTERFACE, NAME, "name", STRING, VOID, 1, 1)                            \
    X(INTERFACE, TYPE, "type", STRING, VOID, 1, 1)                            \
    X(INTERFACE, OFPORT, "ofport", INTEGER, VOID, 0, 1)                       \
    X(INTERFACE, IFINDEX, "ifindex", INTEGER, VOID, 0, 1)                     \
    X(INTERFACE, MAC_IN_USE, "mac_in_use", STRING, VOID, 0, 1)                \
    X(INTERFACE, ERROR, "error", STRING, VOID, 0, 1)                          \
    X(INTERFACE, STATISTICS, "statistics", STRING, INTEGER, 0, UINT_MAX)      \
    X(NETFLOW, TARGETS, "targets", STRING, VOID, 1, UINT_MAX)                 \
    X(NETFLOW, ENGINE_TYPE, "engine_type", INTEGER, VOID, 0, 1)               \
    X(NETFLOW, ENGINE_ID, "engine_id", INTEGER, VOID, 0, 1)                   \
    X(NETFLOW, ACTIVE_TIMEOUT, "active_timeout", INTEGER, VOID, 1, 1)         \
    X(NETFLOW, ADD_ID, "add_id_to_interface", BOOLEAN, VOID, 1, 1)            \
    X(NETFLOW, EXTERNAL_IDS, "external_ids", STRING, STRING, 0, UINT_MAX)     \
    X(SFLOW, TARGETS, "targets", STRING, VOID, 1, UINT_MAX)                   \
    X(SFLOW, AGENT, "agent", STRING, VOID, 0, 1)                              \
    X(SFLOW, SAMPLING, "sampling", INTEGER, VOID, 0, 1)                       \
    X(SFLOW, POLLING, "polling", INTEGER, VOID, 0, 1)                         \
    X(SFLOW, HEADER, "header", INTEGER, VOID, 0, 1)                           \
    X(SFLOW, EXTERNAL_IDS, "external_ids", STRING, STRING, 0, UINT_MAX)       \
    X(IPFIX, TARGETS, "targets", STRING, VOID, 0, UINT_MAX)                   \
    X(IPFIX, SAMPLING, "sampling", INTEGER, VOID, 0, 1)                       \
    X(IPFIX, OBS_DOMAIN_ID, "obs_domain_id", INTEGER, VOID, 0, 1)             \
    X(IPFIX, OBS_POINT_ID, "obs_point_id", INTEGER, VOID, 0, 1)               \
    X(IPFIX, CACHE_ACTIVE_TIMEOUT, "cache_active_timeout", INTEGER, VOID, 0,  \
      1)                                                                      \
    X(IPFIX, CACHE_MAX_FLOWS, "cache_max_flows", INTEGER, VOID, 0, 1)         \
    X(IPFIX, TEMPLATE_INTERVAL, "template_interval", INTEGER, VOID, 0, 1)     \
    X(IPFIX, STATS_INTERVAL, "stats_interval", INTEGER, VOID, 0, 1)           \
    X(IPFIX, EXTERNAL_IDS, "external_ids", STRING, STRING, 0, UINT_MAX)       \
    X(IPFIX, OTHER_CONFIG, "other_config", STRING, STRING, 0, UINT_MAX)       \
    X(SAMPLE, ID, "id", INTEGER, VOID, 1, 1)                                  \
    X(SAMPLE, BRIDGE, "bridge", UUID, VOID, 1, 1)                             \
    X(SAMPLE, IPFIX, "ipfix", UUID, VOID, 0, 1)                               \
    X(SAMPLE, EXTERNAL_IDS, "external_ids", STRING, STRING, 0, UINT_MAX)      \
    X(SAMPLE, GROUP, "local_group_id", INTEGER, VOID, 0, 1)

enum ovs_table {
#define X(ID, NAME, ROOT) OVS_##ID,
    OVS_TABLES(X)
#undef X
    N_OVS_TABLES
};

enum ovs_column {
#define X(TABLE, ID, NAME, KEY, VALUE, MIN, MAX) COL_##TABLE##_##ID,
    OVS_COLUMNS(X)
#undef X
    N_OVS_COLUMNS
};

struct ovsdb_idl_class;
struct ovsdb_idl_column;
struct ovsdb_idl_table_class;

/* The same for any database: what is looked at of it, in words.  Columns of a
 * table stand side by side. */
struct schema_table {
    const char *name;
    bool root, singleton;
};
struct schema_column {
    unsigned int table;         /* Index of its schema_table. */
    const char *name;
    int key, value;             /* enum ovsdb_atomic_type. */
    unsigned int min, max;
};
/* Makes a class of the IDL.  It lives as long as the process. */
const struct ovsdb_idl_class *schema_make(const char *database,
                                          const struct schema_table *,
                                          size_t n_tables,
                                          const struct schema_column *,
                                          size_t n_columns,
                                          const struct ovsdb_idl_column **);

const struct ovsdb_idl_class *ovs_class(void);
const struct ovsdb_idl_table_class *ovs_table(enum ovs_table);
const struct ovsdb_idl_column *ovs_column(enum ovs_column);

/* Forgets strings that no row has any more, of the IDLs of this thread. */
void ovs_strings_sweep(void);
/* The same when there are many more than after the last time. */
void ovs_strings_sweep_often(void);
/* All of this thread, whose IDLs are gone. */
void ovs_strings_clear(void);

#endif /* ovsdb/ovs_schema.h */
