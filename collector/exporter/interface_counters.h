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

#include "collector/exporter/counter_field.h"

struct counter_log;
struct counter_point;
struct dict;
struct interface_counters_table;        /* Opaque. */
struct source;

/* What is known of a data source beside its values. */
enum {
    COUNTERS_GENERIC = 1 << 0,          /* 1, if_counters: if_index. */
    COUNTERS_NAME = 1 << 1,             /* 1005, port_name: name. */
    COUNTERS_HOST = 1 << 2,             /* 2000, host_descr: uuid, release, */
                                        /* and name, if not by 1005. */
};

struct counter_adapter {
    uint32_t if_index;
    uint64_t mac;
};
#define COUNTER_ADAPTERS 32

struct interface_counters {
    uint32_t source_id;         /* struct source's. */
    uint32_t parts;             /* COUNTERS_*. */
    uint64_t data_source;       /* sFlow's: class << 24 | index. */
    int64_t updated_us;         /* Arrival, wall clock. */
    int64_t logged_us;          /* When it went to the log last. */
    const struct source *source;        /* NULL: does not go there. */
    uint64_t n_samples;
    uint32_t name;              /* Dictionary id. */
    uint32_t if_index;
    struct counter_set came;    /* Of a sample: fields that its structures */
                                /* have, whether they are counted or not. */
    struct counter_values v;

    /* Of a sample only, not of the table. */
    uint8_t uuid[16];
    uint32_t release;           /* Dictionary id. */
    unsigned n_adapters;        /* One for each MAC address. */
    struct counter_adapter adapters[COUNTER_ADAPTERS];
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

/* Keeps what 'parts' and 'came' say has come, and what came before of the
 * others.  False if there is no room. */
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
