/* collector/exporter/interface_counters.h -- what sFlow counter samples said
 * last, per source and data source (an interface, as a rule).
 *
 * Bounded in number; thread-safe.  Values are as sent: totals since the
 * agent's start, in the sense of RFC 2863 and sFlow's own structures.  What
 * they were over time is in counter_log.h. */
#ifndef COLLECTOR_INTERFACE_COUNTERS_H
#define COLLECTOR_INTERFACE_COUNTERS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counter_log;
struct counter_point;
struct dict;
struct interface_counters_table;        /* Opaque. */
struct source;

/* Parts of struct interface_counters that a sample had. */
enum {
    COUNTERS_GENERIC = 1 << 0,          /* 1: if_counters. */
    COUNTERS_ETHERNET = 1 << 1,         /* 2: ethernet_counters. */
    COUNTERS_OPENFLOW = 1 << 2,         /* 1004: of_port. */
    COUNTERS_NAME = 1 << 3,             /* 1005: port_name. */
    COUNTERS_APP = 1 << 4,              /* 2203: app_resources. */
    COUNTERS_DATAPATH = 1 << 5,         /* 2207: ovs_dp_stats. */
};

/* X(type, member): in the order of the structure on the wire. */
#define GENERIC_COUNTERS(X) X(uint32_t, if_index) GENERIC_VALUES(X)
#define GENERIC_VALUES(X)                                               \
    X(uint32_t, if_type) X(uint64_t, if_speed)                          \
    X(uint32_t, if_direction) X(uint32_t, if_status)                    \
    X(uint64_t, in_octets) X(uint32_t, in_unicast)                      \
    X(uint32_t, in_multicast) X(uint32_t, in_broadcast)                 \
    X(uint32_t, in_discards) X(uint32_t, in_errors)                     \
    X(uint32_t, in_unknown_protos) X(uint64_t, out_octets)              \
    X(uint32_t, out_unicast) X(uint32_t, out_multicast)                 \
    X(uint32_t, out_broadcast) X(uint32_t, out_discards)                \
    X(uint32_t, out_errors) X(uint32_t, promiscuous)
#define ETHERNET_COUNTERS(X)                                            \
    X(uint32_t, alignment_errors) X(uint32_t, fcs_errors)               \
    X(uint32_t, single_collisions) X(uint32_t, multiple_collisions)     \
    X(uint32_t, sqe_test_errors) X(uint32_t, deferred)                  \
    X(uint32_t, late_collisions) X(uint32_t, excessive_collisions)      \
    X(uint32_t, mac_transmit_errors) X(uint32_t, carrier_sense_errors)  \
    X(uint32_t, too_long) X(uint32_t, mac_receive_errors)               \
    X(uint32_t, symbol_errors)
#define OPENFLOW_COUNTERS(X)                                            \
    X(uint64_t, datapath_id) X(uint32_t, of_port)
#define APP_COUNTERS(X)                                                 \
    X(uint32_t, user_time_ms) X(uint32_t, system_time_ms)               \
    X(uint64_t, memory_used) X(uint64_t, memory_max)                    \
    X(uint32_t, files_open) X(uint32_t, files_max)                      \
    X(uint32_t, connections_open) X(uint32_t, connections_max)
#define DATAPATH_COUNTERS(X)                                            \
    X(uint32_t, dp_hits) X(uint32_t, dp_misses) X(uint32_t, dp_lost)    \
    X(uint32_t, dp_mask_hits) X(uint32_t, dp_flows) X(uint32_t, dp_masks)

struct interface_counters {
    uint32_t source_id;         /* struct source's. */
    uint32_t parts;             /* COUNTERS_*. */
    uint64_t data_source;       /* sFlow's: class << 24 | index. */
    int64_t updated_us;         /* Arrival, wall clock. */
    int64_t logged_us;          /* When it went to the log last. */
    const struct source *source;        /* NULL: does not go there. */
    uint64_t n_samples;
    uint32_t name;              /* Dictionary id. */
#define X(TYPE, NAME) TYPE NAME;
    GENERIC_COUNTERS(X)
    ETHERNET_COUNTERS(X)
    OPENFLOW_COUNTERS(X)
    APP_COUNTERS(X)
    DATAPATH_COUNTERS(X)
#undef X
};

/* At most so many data sources of one source, and so many in all. */
#define INTERFACE_COUNTERS_SHARE 4096
#define INTERFACE_COUNTERS_TOTAL 65536

struct interface_counters_table *interface_counters_create(size_t share,
                                                           size_t total);
void interface_counters_destroy(struct interface_counters_table *);

/* From now on what comes also goes to 'log' (NULL: nowhere), once in its
 * interval; 'dict' has the names.  Before anybody puts. */
void interface_counters_set_log(struct interface_counters_table *,
                                struct counter_log *log, struct dict *dict);

/* The point that says the same; false if there is no number in it.  'c->source'
 * is not NULL. */
bool interface_counters_point(const struct interface_counters *c,
                              const struct dict *, struct counter_point *);

/* Keeps what 'parts' says has come, and what came before of the others.
 * False if there is no room. */
bool interface_counters_put(struct interface_counters_table *,
                            const struct interface_counters *);

/* The latest values of a data source; false if there are none. */
bool interface_counters_get(struct interface_counters_table *,
                            uint32_t source_id, uint64_t data_source,
                            struct interface_counters *out);

/* Calls 'each' with a copy of every entry (of one source, or, with 0, of all)
 * while it returns true. */
void interface_counters_each(struct interface_counters_table *,
                             uint32_t source_id,
                             bool (*each)(const struct interface_counters *,
                                          void *aux), void *aux);
size_t interface_counters_count(struct interface_counters_table *);
uint64_t interface_counters_refused(struct interface_counters_table *);

#endif /* collector/exporter/interface_counters.h */
