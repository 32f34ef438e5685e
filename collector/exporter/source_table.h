/* collector/exporter/source_table.h -- every source that we have heard. */
#ifndef COLLECTOR_SOURCE_TABLE_H
#define COLLECTOR_SOURCE_TABLE_H 1

#include <stddef.h>
#include <stdint.h>

#include "lib/source.h"

struct source_table;

/* At most 'max' sources; one more is refused. */
struct source_table *source_table_create(size_t max);
void source_table_destroy(struct source_table *);

/* The source of 'key', made if it is new, or NULL beyond the limit.  The
 * source lives as long as the table.  Thread-safe; takes no lock for a known
 * source. */
struct source *source_table_get(struct source_table *,
                                const struct source_key *key);

/* Calls 'each' for every source, in the order in which they appeared, while it
 * returns true.  Thread-safe, takes no lock while calling. */
void source_table_each(struct source_table *,
                       bool (*each)(struct source *, void *aux), void *aux);
size_t source_table_count(struct source_table *);

/* Sequence numbers, by each protocol's own rule: the caller says which number
 * came and which it expects next ('units' after it).  Counts lost, reordered
 * and restarts on the source.  Kept per (source, src_port) for Open vSwitch
 * IPFIX, whose one counter runs across domains. */
void source_sequence(struct source *, uint32_t seq, uint32_t units);

#endif /* collector/exporter/source_table.h */
