/* collector/exporter/counter_log.h -- counters of interfaces over time.
 *
 * What sFlow counter samples and OVSDB's Interface.statistics say is kept as
 * points, at most one in an interval per interface, in one file an hour
 * (DIR/2026-11-23T02) that is only appended to.  Old files go by age and by
 * size.  Any thread may put and read; a thread of the log's own writes once a
 * second.  What a file ends with after a crash is cut off when it is opened
 * again. */
#ifndef COLLECTOR_COUNTER_LOG_H
#define COLLECTOR_COUNTER_LOG_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/counter.h"

struct counter_log;                                     /* Opaque. */

/* X(name, true if it only grows, what it counts).  At most 64; the order is
 * that of the bits in files: add at the end. */
#define COUNTER_FIELDS(X)                                                     \
    X(if_type, false, "ifType (RFC 2863)")                                    \
    X(if_speed, false, "bits per second")                                     \
    X(if_direction, false, "0 unknown, 1 full duplex, 2 half, 3 in, 4 out")   \
    X(if_status, false, "bit 0: administratively up; bit 1: operationally")   \
    X(in_octets, true, "octets that came in")                                 \
    X(in_unicast, true, "unicast packets that came in")                       \
    X(in_multicast, true, "multicast packets that came in")                   \
    X(in_broadcast, true, "broadcast packets that came in")                   \
    X(in_discards, true, "packets that came in and were discarded")           \
    X(in_errors, true, "packets that came in with errors")                    \
    X(in_unknown_protos, true, "packets of unknown protocols")                \
    X(out_octets, true, "octets that went out")                               \
    X(out_unicast, true, "unicast packets that went out")                     \
    X(out_multicast, true, "multicast packets that went out")                 \
    X(out_broadcast, true, "broadcast packets that went out")                 \
    X(out_discards, true, "packets to go out that were discarded")            \
    X(out_errors, true, "packets that could not go out for errors")           \
    X(promiscuous, false, "1: promiscuous")                                   \
    X(in_packets, true, "packets that came in")                               \
    X(out_packets, true, "packets that went out")                             \
    X(alignment_errors, true, "dot3StatsAlignmentErrors (RFC 3635)")          \
    X(fcs_errors, true, "dot3StatsFCSErrors")                                 \
    X(single_collisions, true, "dot3StatsSingleCollisionFrames")              \
    X(multiple_collisions, true, "dot3StatsMultipleCollisionFrames")          \
    X(sqe_test_errors, true, "dot3StatsSQETestErrors")                        \
    X(deferred, true, "dot3StatsDeferredTransmissions")                       \
    X(late_collisions, true, "dot3StatsLateCollisions")                       \
    X(excessive_collisions, true, "dot3StatsExcessiveCollisions")             \
    X(mac_transmit_errors, true, "dot3StatsInternalMacTransmitErrors")        \
    X(carrier_sense_errors, true, "dot3StatsCarrierSenseErrors")              \
    X(too_long, true, "dot3StatsFrameTooLongs")                               \
    X(mac_receive_errors, true, "dot3StatsInternalMacReceiveErrors")          \
    X(symbol_errors, true, "dot3StatsSymbolErrors")                           \
    X(datapath_id, false, "OpenFlow datapath of the port")                    \
    X(of_port, false, "OpenFlow number of the port")                          \
    X(user_time_ms, true, "processor time of the agent, in user mode")        \
    X(system_time_ms, true, "processor time of the agent, in the kernel")     \
    X(memory_used, false, "octets of memory that the agent uses")             \
    X(memory_max, false, "octets of memory that it may use")                  \
    X(files_open, false, "files that it has open")                            \
    X(files_max, false, "files that it may have open")                        \
    X(connections_open, false, "connections that it has open")                \
    X(connections_max, false, "connections that it may have open")            \
    X(dp_hits, true, "packets that matched a flow in the datapath")           \
    X(dp_misses, true, "packets that did not, and were asked about")          \
    X(dp_lost, true, "packets dropped before they could be asked about")      \
    X(dp_mask_hits, true, "masks looked at for packets")                      \
    X(dp_flows, false, "flows in the datapath")                               \
    X(dp_masks, false, "masks in the datapath")

enum counter_field {
#define X(NAME, TOTAL, DOC) FIELD_##NAME,
    COUNTER_FIELDS(X)
#undef X
    N_COUNTER_FIELDS
};

struct counter_field_def {
    const char *name;
    bool total;                 /* Only grows, until it starts anew. */
    const char *doc;
};
extern const struct counter_field_def counter_fields[N_COUNTER_FIELDS];

enum counter_origin { COUNTER_SFLOW = 1, COUNTER_OVSDB };

#define COUNTER_TEXT 64         /* With the NUL; longer names are cut. */

/* What an interface said at one time. */
struct counter_point {
    int64_t time_us;            /* Wall clock. */
    uint8_t origin;             /* enum counter_origin. */
    struct addr exporter, agent;        /* sFlow; else zero. */
    uint32_t domain;            /* sFlow's sub-agent. */
    uint64_t data_source;       /* sFlow's; else 0. */
    uint64_t if_index;          /* 0: not known. */
    char name[COUNTER_TEXT];    /* "": not known. */
    char bridge[COUNTER_TEXT];  /* OVSDB; else "". */
    char remote[COUNTER_TEXT];  /* OVSDB: the database; else "". */
    uint64_t has;               /* Bit set: value[] is known. */
    uint64_t value[N_COUNTER_FIELDS];
};

#define COUNTER_LOG_COUNTERS(X)                                         \
    X(points, "Points kept")                                            \
    X(dropped, "Points lost because they could not be written")         \
    X(damaged, "Ends of files that could not be read")

struct counter_log_counters {
    COUNTER_LOG_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def counter_log_defs[];

/* 'dir' is made.  NULL on failure, with errno. */
struct counter_log *counter_log_create(const char *dir);
void counter_log_destroy(struct counter_log *);         /* NULL is fine. */

/* At most one point of an interface in 'interval_us'; files older than
 * 'keep_us' are deleted (0: never), and so are the oldest as long as all are
 * larger than 'max_bytes' (0: any size).  At any time. */
void counter_log_set(struct counter_log *, int64_t interval_us,
                     int64_t keep_us, uint64_t max_bytes);
int64_t counter_log_interval(const struct counter_log *);

void counter_log_put(struct counter_log *, const struct counter_point *);

/* Calls 'each' with the points in [from_us, to_us), in the order in which they
 * came, while it returns true. */
void counter_log_read(struct counter_log *, int64_t from_us, int64_t to_us,
                      bool (*each)(const struct counter_point *, void *aux),
                      void *aux);

/* Writes what waits, and deletes what is too old by 'now_us'.  The thread does
 * it; for tests. */
void counter_log_flush(struct counter_log *, int64_t now_us);

const struct counter_log_counters *counter_log_counters(
    const struct counter_log *);

/* ---- The format, for tests. ---- */

#define COUNTER_POINT_MAX 1024

/* Writes a point; returns how many bytes, at most COUNTER_POINT_MAX. */
size_t counter_point_encode(const struct counter_point *,
                            uint8_t buf[COUNTER_POINT_MAX]);
/* Reads one from 'n' bytes.  Returns how many it took, or 0 if they do not
 * begin with a whole point. */
size_t counter_point_decode(const uint8_t *, size_t n,
                            struct counter_point *);

#endif /* collector/exporter/counter_log.h */
