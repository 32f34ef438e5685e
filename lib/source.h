/* lib/source.h -- a source: one stream of records from one exporter, and what
 * an Open vSwitch database knows about it (an observation).
 *
 * Sources are found or made by the decoder (collector/exporter/), live until
 * the process ends, and are bounded in number.  Observations are made from
 * OVSDB snapshots by the wiring (daemon/), immutable but for their counters,
 * and read by workers under RCU. */
#ifndef LIB_SOURCE_H
#define LIB_SOURCE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/column.h"
#include "lib/counter.h"

/* X(name, what it counts) */
#define SOURCE_COUNTERS(X)                                                    \
    X(datagrams, "Datagrams received")                                        \
    X(octets, "Octets of those datagrams")                                    \
    X(flow_records, "Flow records decoded")                                   \
    X(reverse_flows, "Flows made of the way back of a biflow record")         \
    X(options_records, "Options records decoded")                             \
    X(counter_records, "sFlow counter samples seen")                          \
    X(templates, "Templates learned or confirmed")                            \
    X(bytes, "Sum of bytes over canonical and other records")                 \
    X(packets, "Sum of packets over canonical and other records")             \
    X(lost, "Records or datagrams missing by sequence number")                \
    X(reordered, "Datagrams whose sequence number went back")                 \
    X(restarts, "Times that the sequence started anew")                       \
    X(no_template, "Data sets without a known template")                      \
    X(deferred, "Data sets decoded when their template came after them")      \
    X(malformed, "Datagrams, sets or samples that do not parse")              \
    X(rate_unknown, "Flow records whose sampling rate nobody told")           \
    X(time_corrected, "Flow records whose times could not be right")          \
    X(ring_full, "Flow records lost because the writer could not keep up")    \
    X(store_lost, "Flow records lost because they could not be written")      \
    X(bad_header, "Malformed: headers whose length or count cannot be right") \
    X(bad_set, "Malformed: sets whose length does not fit")                   \
    X(bad_template, "Malformed: templates that cannot be right")              \
    X(bad_record, "Malformed: records that end before their fields do")       \
    X(bad_sample, "Malformed: sFlow samples whose length does not fit")       \
    X(template_limit, "Templates refused because a share was used up")

struct source_counters {
    SOURCE_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def source_counter_defs[];

/* Where a sampling rate comes from, best first. */
enum sampling_origin {
    SAMPLING_NONE,              /* Not known. */
    SAMPLING_OPTIONS,           /* Options record. */
    SAMPLING_HEADER,            /* NetFlow v5 header, sFlow sample. */
    SAMPLING_OVSDB,
    SAMPLING_CONFIG,
};

struct source_key {
    struct addr exporter;       /* Where datagrams come from. */
    struct addr agent;          /* sFlow agent; else the same as exporter. */
    uint32_t domain;            /* As column observation_domain_id. */
    uint8_t protocol;           /* enum export_protocol. */
    uint16_t session;           /* TCP session of the exporter; 0: UDP. */
};

static inline bool
source_key_equal(const struct source_key *a, const struct source_key *b)
{
    return a->domain == b->domain && a->protocol == b->protocol
           && a->session == b->session
           && addr_equal(&a->exporter, &b->exporter)
           && addr_equal(&a->agent, &b->agent);
}

struct observation;
struct source_table;

struct source {
    struct source_key key;
    struct source_table *table; /* That it is in; NULL: none. */
    uint32_t id;                /* Small, unique, from 1. */
    _Atomic uint32_t name;      /* As configured: dictionary id; 0: none. */
    _Atomic int64_t first_us, last_us;  /* Wall clock of datagrams. */
    _Atomic uint32_t sampling;  /* 1 in so many; 0: not announced. */
    _Atomic uint8_t sampling_origin;    /* enum sampling_origin. */
    _Atomic uint16_t port;      /* UDP port of the last datagram. */
    _Atomic int64_t skew_us;    /* Its clock, by the last header, less ours;
                                 * 0 also if headers do not tell. */
    _Atomic bool ovs;           /* IPFIX of Open vSwitch, by its templates. */
    _Atomic int64_t ingress_us; /* Its last record of a packet that entered;
                                 * kept for Open vSwitch. */
    _Atomic uint64_t datapath_id;       /* Of the OpenFlow switch whose ports
                                         * it counts (sFlow 1004); 0: none. */
    _Atomic int64_t boot_ms;    /* When it was started, from options; 0: not
                                 * told. */
    _Atomic bool has_names;     /* Options records named its numbers. */
    _Atomic bool has_rates;     /* And told rates of interfaces. */
    /* Resolved lazily by the workers: the map's generation in the upper 40
     * bits, the index of the observation plus 1 (0: none) in the lower 24.
     * One word, so that generation and index always belong together. */
    _Atomic uint64_t obs_cache;
    struct source_counters n;   /* Last, the busy ones first: what every
                                 * datagram needs is in few cache lines. */
};

/* Counters of one bridge and protocol.  They outlive OVSDB snapshots. */
struct observation_stats {
    _Atomic int64_t first_us, last_us;  /* First and last record, wall. */
    counter_t records, packets, bytes, l2_bytes, raw_packets;
    uint32_t bridge;            /* Dictionary id. */
    uint8_t protocol;
};

/* An interface by its number on the wire. */
struct observation_if {
    uint32_t number;            /* ifIndex, or OpenFlow port. */
    uint32_t name;              /* Dictionary id. */
    uint32_t bridge;            /* Dictionary id. */
    struct observation_stats *stats;    /* Of what came in here, where an
                                         * observation counts so; or NULL. */
};

/* What OVSDB says about the records of one bridge and protocol. */
struct observation {
    struct source_key match;    /* 'exporter' zero: any address. */
    bool match_domain;          /* 'match.domain' must be equal. */
    bool match_agent;           /* 'match.agent' must be equal. */
    bool local;                 /* The OVS runs on this host. */

    uint64_t datapath_id;       /* Of the bridge; 0: not known. */
    uint32_t bridge;            /* Dictionary id, or 0: tell by interface. */
    uint32_t sampling;          /* From the row; 1: everything; 0 unknown. */
    bool scaled_by_exporter;    /* OVS IPFIX: counts are estimates already. */
    bool counts_frames;         /* OVS NetFlow: octets include Ethernet. */
    uint16_t port_mask;         /* OVS NetFlow: the bits of an interface's */
                                /* number that are an OpenFlow port; else 0. */
    bool patched;               /* OVS NetFlow: packets can leave by a port of */
                                /* another bridge, which has its numbers. */
    bool canonical;             /* The protocol that totals count. */
    bool canonical_egress;      /* Count egress records, not ingress ones. */
    bool counts_by_if;          /* One interface, one exporter: the statistics
                                 * are those of 'in_if'. */

    /* Sorted by number. */
    struct observation_if *ifs;
    uint32_t n_ifs;
    struct observation_stats *stats;

    /* A Flow_Sample_Collector_Set: its domains are OpenFlow's to choose, so
     * only this text tells (dictionary id of virtual_obs_id).  0: none. */
    uint32_t virtual_id;
};

/* All observations; immutable once published. */
struct observation_map {
    uint64_t gen;               /* From 1, never the same twice. */
    struct observation *list;
    uint32_t n;                 /* Below 2^24. */
    struct observation_if *ifs; /* All arrays that observations point into. */
    uint32_t n_ifs;
    uint32_t n_virtual;         /* Of 'list', at its end, by virtual_id. */
};

/* The observation that fits 'key' best (most members told), or NULL. */
struct observation *observation_find(const struct observation_map *,
                                     const struct source_key *key);

/* The same for a source; where its key does not tell the bridge, the datapath
 * that its counters name does. */
struct observation *observation_find_source(const struct observation_map *,
                                            const struct source *);

/* The same, remembered in 'source' until the map changes. */
struct observation *observation_of(const struct observation_map *,
                                   struct source *);

/* The observation of a record of 'source' that carries this virtual_obs_id, or
 * NULL. */
struct observation *observation_of_virtual(const struct observation_map *,
                                           const struct source *,
                                           uint32_t virtual_id);

/* The interface with 'number', or NULL. */
const struct observation_if *observation_if_find(const struct observation *,
                                                 uint32_t number);

/* Frees a map (not the statistics).  NULL is fine. */
void observation_map_destroy(struct observation_map *);

/* The counters of a bridge and protocol: made on first use, never freed,
 * bounded (then NULL).  Thread-safe. */
struct observation_stats *observation_stats_get(uint32_t bridge,
                                                uint8_t protocol);

#endif /* lib/source.h */
