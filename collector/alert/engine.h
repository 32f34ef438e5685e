/* collector/alert/engine.h -- rules over the live stream.
 *
 * A stage of the pipeline adds each batch to the tables of the rules, under one
 * lock a rule and batch; a tick each second judges, and tells what is raised or
 * cleared.  Who else needs to know, and what became of it, is api/'s business.
 *
 * Only canonical records count, as in queries.  Nothing here asks for the
 * time. */
#ifndef COLLECTOR_ALERT_ENGINE_H
#define COLLECTOR_ALERT_ENGINE_H 1

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "collector/alert/rule.h"
#include "collector/channel/tap.h"
#include "lib/batch.h"
#include "lib/counter.h"

struct alert_engine;                                    /* Opaque. */
struct dict;
struct filter_error;

#define ALERT_ACTIVE_MAX 64     /* Of one rule at a time. */
#define ALERT_CAPTURES 64       /* Keys of a rule that are looked at closely. */
#define ALERT_CONTRIBUTORS 16
#define ALERT_ADAPT_S 3600      /* Raised for so long, it is usual. */

#define ALERT_COUNTERS(X)                                               \
    X(flows, "Flow records that rules were run over")                   \
    X(counted, "Records that a rule counted for a key")                 \
    X(unplaced, "Records of keys that a full table had no place for")   \
    X(raised, "Alerts that were raised")                                \
    X(cleared, "Alerts that were cleared")                              \
    X(refused, "Keys beyond the alerts that one rule may have")

struct alert_counters {
    ALERT_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def alert_counter_defs[];

/* Columns of the largest record of a key, for whoever wants to know who, where
 * and by which route. */
#define ALERT_CONTEXT(X)                                                \
    X(src_addr) X(dst_addr) X(proto) X(src_port) X(dst_port)            \
    X(exporter) X(bridge) X(in_if_name) X(out_if_name)                  \
    X(src_endpoint) X(dst_endpoint) X(src_tenant) X(dst_tenant)         \
    X(src_network) X(dst_network) X(src_host) X(dst_host)               \
    X(src_as) X(dst_as) X(src_as_path) X(as_path)                       \
    X(next_hop) X(src_bgp_next_hop) X(bgp_next_hop)                     \
    X(src_route_peer) X(dst_route_peer) X(in_if) X(out_if) X(vni)       \
    X(why) X(why_name) X(why_action) X(why_policy) X(why_network)
enum alert_context {
#define X(ID) ALERT_CTX_##ID,
    ALERT_CONTEXT(X)
#undef X
    N_ALERT_CONTEXT
};
extern const enum column_id alert_context_columns[N_ALERT_CONTEXT];

/* A conversation that makes up much of it. */
struct alert_contributor {
    struct addr src, dst;
    uint16_t src_port, dst_port;
    uint8_t proto;
    double volume;
};

/* What is known of the traffic of a key. */
struct alert_capture {
    double total, largest;      /* Volume of all records; of the one below. */
    struct tap_value value[N_ALERT_CONTEXT];
    unsigned n;
    struct alert_contributor top[ALERT_CONTRIBUTORS];
};

/* What is told.  Borrowed. */
struct alert_change {
    bool raised;                /* Or cleared. */
    bool usual;                 /* Cleared because it is usual by now. */
    const struct alert_rule *rule;
    uint64_t alert;             /* Number; the caller gave it by 'next'. */
    unsigned n_keys;
    struct tap_value key[ALERT_KEYS];
    double rate, limit, expected, peak; /* Metric's unit; 'expected' < 0: not
                                         * known. */
    int64_t since_s;            /* When the condition began. */
    unsigned flaps;             /* Raised again soon, so often in a row. */
    const struct alert_capture *capture;        /* Or NULL. */
};

struct alert_engine *alert_engine_create(struct dict *);
void alert_engine_destroy(struct alert_engine *);       /* NULL is fine. */

/* Other rules from now on (copied); those that count the same keep what they
 * have learned.  0, -ENOMEM, or -EINVAL with the reason of the rule '*bad'.
 * Then all is as before.  'tell' gets what is cleared because its rule is
 * gone. */
typedef void alert_tell_fn(void *aux, const struct alert_change *);
int alert_engine_set(struct alert_engine *, const struct alert_rule *,
                     size_t n, size_t *bad, struct filter_error *,
                     alert_tell_fn *tell, void *aux);

/* Stage of the pipeline. */
void alert_process(void *engine, struct flow_batch *);

/* Once a second: judges.  'now_s' is the wall clock, 'elapsed' the seconds since
 * the last tick.  While 'tell' is called flows go on; but it must not call the
 * engine. */
void alert_engine_tick(struct alert_engine *, int64_t now_s, double elapsed,
                       alert_tell_fn *tell, void *aux);

/* What was learned, to a file and back.  0 or a negative errno; -EBADMSG: not
 * what we wrote; what stands before the damage was taken. */
int alert_engine_save(struct alert_engine *, FILE *);
int alert_engine_load(struct alert_engine *, FILE *);

/* How a rule does. */
struct alert_rule_status {
    uint32_t keys, table, active;
    uint64_t evicted;
    int64_t learned_s;          /* Since it began to learn. */
    bool learning;              /* Too early for alerts. */
    double total;               /* All keys, last second. */
};
bool alert_engine_status(struct alert_engine *, const char *rule,
                         struct alert_rule_status *);
const struct alert_counters *alert_engine_counters(
    const struct alert_engine *);
/* Bytes of all tables. */
uint64_t alert_engine_memory(const struct alert_engine *);

/* A restored alert of a key is raised still: found by its texts.  Or the number
 * of alerts goes on from here. */
void alert_engine_next(struct alert_engine *, uint64_t next);

#endif /* collector/alert/engine.h */
