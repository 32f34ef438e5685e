/* collector/exporter/source_table.h -- every source that we have heard. */
#ifndef COLLECTOR_SOURCE_TABLE_H
#define COLLECTOR_SOURCE_TABLE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/source.h"

struct dict;
struct interface_counters_table;
struct source_table;

/* At most 'max' sources; one more is refused, unless its exporter has a name:
 * there is room for so many of these.  An address may have as many as it leaves
 * free (half, if it is alone), so that none can take all by inventing domains;
 * over TCP no more than SOURCE_SESSION_SHARE: the end of a session asks all. */
#define SOURCE_RESERVE 1024
#define SOURCE_SESSION_SHARE 1024
struct source_table *source_table_create(size_t max);
void source_table_destroy(struct source_table *);

/* The source of 'key', made if it is new, or NULL beyond the limit.  The
 * source lives as long as the table.  Thread-safe; takes no lock for a known
 * source. */
struct source *source_table_get(struct source_table *,
                                const struct source_key *key);

/* Names for exporters, by address; also the sampling rate (0: none) for those
 * that do not tell theirs.  Replaces all names given before; copied.  Returns
 * 0 or -ENOMEM. */
struct named_source {
    struct addr address;
    uint32_t name;              /* Dictionary id. */
    uint32_t sampling;
};
int source_table_set_named(struct source_table *, const struct named_source *,
                           size_t n);

/* Calls 'each' for every source, in the order in which they appeared, while it
 * returns true.  Thread-safe, takes no lock while calling. */
void source_table_each(struct source_table *,
                       bool (*each)(struct source *, void *aux), void *aux);
size_t source_table_count(struct source_table *);

/* The same for the sources of one address, in no order. */
void source_table_each_of(struct source_table *, const struct addr *exporter,
                          void (*each)(struct source *, void *aux), void *aux);

/* Sequence numbers, by each protocol's own rule: the caller says which number
 * came and how many 'units' the datagram carried; the next number must be
 * their sum.  Counts lost, reordered and restarts on the source.  A unit is
 *
 *     NetFlow v5, v7   a flow
 *     NetFlow v9       a datagram
 *     IPFIX            a data record (RFC 7011 section 3.1)
 *     sFlow            a datagram of an agent and sub-agent
 *     Open vSwitch     a message with data, in any of its domains
 *
 * Kept per (source, source->port), and for Open vSwitch's IPFIX, whose one
 * counter runs across domains, per (exporter, source->port). */
void source_sequence(struct source *, uint32_t seq, uint32_t units);

/* The same for NetFlow v5, whose header counts flows: those before the
 * datagram, or, from Open vSwitch, up to its last one.  Which of the two fits
 * is learned per source; until then the first is assumed. */
void source_sequence_v5(struct source *, uint32_t seq, uint32_t count);

/* The number of units is not known: the next datagram is not judged. */
void source_sequence_skip(struct source *);

/* The latest counters of interfaces. */
struct interface_counters_table *source_table_counters(
    const struct source_table *);

/* An OpenFlow port of a datapath with that id reports by this source. */
void source_set_datapath(struct source *, uint64_t datapath_id);

/* The source is, or after all is not, Open vSwitch's IPFIX, which is known by
 * its templates. */
void source_mark_ovs(struct source *, bool ovs);

static inline bool
source_is_ovs(const struct source *s)
{
    return atomic_load_explicit(&s->ovs, memory_order_relaxed);
}

/* Three steps towards a source, each of which fetches what the next one needs
 * (see decoder_prefetch()): a hash, the source that is probably meant (NULL:
 * none), and where its sequence numbers are. */
uint64_t source_prefetch_slot(const struct source_table *,
                              const struct source_key *);
const struct source *source_prefetch(const struct source_table *,
                                     uint64_t hash);
void source_prefetch_sequence(const struct source *, uint16_t port);

/* Remembers that the exporter of a source, by the same protocol, reports the
 * packets that enter at 'in_if'; and whether it did within the last so many
 * seconds.  Bounded: the oldest are displaced, as with sequence numbers. */
#define SOURCE_INTERFACE_S 3600
#define SOURCE_SENDS_EGRESS UINT32_MAX  /* For 'in_if': reports both ways. */
void source_interface_note(const struct source *, uint32_t in_if,
                           uint32_t now_s);
bool source_interface_known(const struct source *, uint32_t in_if,
                            uint32_t now_s);

/* Names that options records gave to numbers, by id of 'dict' (0: none), which
 * are held.  Bounded: so many per source, and so many in all, a quarter of what
 * the dictionary has room for. */
#define SOURCE_NAMES 4080     /* Three quarters of all slots. */
#define SOURCE_NAMES_TOTAL (1 << 18)
enum source_name_kind {
    SOURCE_NAME_INTERFACE, SOURCE_NAME_APPLICATION,
    SOURCE_NAME_ELEMENT,        /* See collector/template/explained.h. */
    N_SOURCE_NAME_KINDS
};
void source_name_set(struct source *, enum source_name_kind, uint64_t number,
                     struct dict *dict, uint32_t name);
uint32_t source_name(const struct source *, enum source_name_kind,
                     uint64_t number);

static inline bool
source_has_names(const struct source *s)
{
    return atomic_load_explicit(&s->has_names, memory_order_acquire);
}

/* What options records say about the packets of one interface: 1 in 'rate' (0:
 * not known).  They share the room of names. */
void source_interface_rate_set(struct source *, uint32_t interface,
                               uint32_t rate);
uint32_t source_interface_rate(const struct source *, uint32_t interface);
/* Those that are kept; '*place' begins with 0.  False: there are no more. */
bool source_interface_rate_next(const struct source *, size_t *place,
                                uint32_t *interface, uint32_t *rate);

static inline bool
source_has_rates(const struct source *s)
{
    return atomic_load_explicit(&s->has_rates, memory_order_acquire);
}

/* What options records say about one of several samplers: 1 in 'rate' (0: not
 * known).  Bounded: the first SOURCE_SAMPLERS ids are kept. */
#define SOURCE_SAMPLERS 16
void source_sampler_set(struct source *, uint64_t id, uint32_t rate);
uint32_t source_sampler(const struct source *, uint64_t id);
/* The one kept at place 'i', below SOURCE_SAMPLERS; false: none. */
bool source_sampler_at(const struct source *, unsigned i, uint64_t *id,
                       uint32_t *rate);

#endif /* collector/exporter/source_table.h */
