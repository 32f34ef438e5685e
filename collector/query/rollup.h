/* collector/query/rollup.h -- sums by minute and by hour, kept longer than
 * flows.
 *
 * A tier has one row for each minute (or hour) and combination of a few
 * columns.  A thread adds it up from stored flows, one hour of arrival at a time, in one
 * transaction with the note that this hour is done: so each flow is in a tier
 * once or not at all, whenever the daemon is killed.  A query reads, of hours
 * that are done, whole minutes and hours from a tier, and everything else from
 * the flows: the answer is the same. */
#ifndef COLLECTOR_ROLLUP_H
#define COLLECTOR_ROLLUP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/counter.h"

struct query;
struct rollup;                                          /* Opaque. */
struct store;

#define ROLLUP_COUNTERS(X)                                              \
    X(hours, "Hours of arrival that were added up")                     \
    X(rows, "Rows that this made")                                      \
    X(errors, "Attempts to add up that failed")                         \
    X(again, "Hours that were added up again, because flows came later") \
    X(set_aside, "Files of a tier that could not be read")

struct rollup_counters {
    ROLLUP_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def rollup_counter_defs[];

/* Coarsest first. */
enum { ROLLUP_HOUR, ROLLUP_MINUTE, N_ROLLUPS };

struct rollup_limit {
    int64_t age_us;             /* Of the oldest hour of arrival; 0: none. */
    uint64_t bytes;             /* 0: none. */
};

/* The tiers live in DIR/flows/rollups/.  With 'thread' they are kept up to
 * date; without, rollup_run() is for the caller to call.  NULL if out of memory. */
struct rollup *rollup_open(struct store *, const char *dir,
                           const struct rollup_limit[N_ROLLUPS], bool thread);
/* Queries must be over. */
void rollup_close(struct rollup *);                     /* NULL is fine. */
void rollup_set_limits(struct rollup *,
                       const struct rollup_limit[N_ROLLUPS]);

/* Adds up what is due at 'now_us' and applies the limits.  Returns how many
 * hours were done, or a negative errno. */
int rollup_run(struct rollup *, int64_t now_us);
/* Flows were stored that arrived in this time long ago (an import): what was
 * added up of it is made again. */
void rollup_invalidate(struct rollup *, int64_t from_us, int64_t to_us);

struct rollup_status {
    const char *name;           /* "1h", "1m". */
    uint64_t hours, bytes;
    int64_t oldest_us, newest_us;       /* Of arrival; 0: there is nothing. */
};
void rollup_status(struct rollup *, struct rollup_status[N_ROLLUPS]);
const struct rollup_counters *rollup_counters(const struct rollup *);

#endif /* collector/query/rollup.h */
