/* collector/exporter/correct.h -- the stage that makes the numbers right.
 *
 * Decoders report what a datagram says.  This stage adds what else is known:
 * it finds the observation (bridge and protocol) that a source belongs to,
 * settles the sampling rate and scales, turns frame octets into IP octets where
 * Open vSwitch counts frames, names bridge and interfaces, marks the one
 * canonical observation and repairs absurd times.  doc/numbers.md says why. */
#ifndef COLLECTOR_CORRECT_H
#define COLLECTOR_CORRECT_H 1

#include "lib/batch.h"
#include "lib/source.h"

/* Flows that end later than this after their arrival, or earlier than this
 * before it, get the time of arrival instead. */
#define CORRECT_MAX_FUTURE_US (INT64_C(300) * 1000000)
#define CORRECT_MAX_PAST_US (INT64_C(86400) * 1000000)

/* What the stage works with.  'map' is read under RCU; it is a C11 atomic
 * rather than an rcu_dereference()d pointer so that ThreadSanitizer can see the
 * order. */
struct correct {
    struct observation_map *_Atomic map;        /* NULL: none. */
};

/* Processes a batch; for struct stage, 'aux' is a struct correct.  The calling
 * thread is registered with RCU. */
void correct_process(void *aux, struct flow_batch *);

/* Fills 'multicast' of rows from 'from' on where the exporter did not: by the
 * destination. */
void correct_multicast(struct flow_batch *, uint32_t from, uint32_t n);

/* Publishes 'map' (taken over, NULL allowed) and frees the one before after a
 * grace period.  One caller at a time, not a worker. */
void correct_publish(struct correct *, struct observation_map *map);

#endif /* collector/exporter/correct.h */
