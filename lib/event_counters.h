/* lib/event_counters.h -- what became of the events that were posted
 * (lib/event.h).  A header of its own, since C's atomics and those of Open
 * vSwitch do not go together, and ovsdb/ posts events. */
#ifndef LIB_EVENT_COUNTERS_H
#define LIB_EVENT_COUNTERS_H 1

#include "lib/counter.h"

#define EVENT_COUNTERS(X)                                               \
    X(posted, "Events that were queued to be kept")                     \
    X(suppressed, "Events beyond what one kind may post")               \
    X(lost, "Events for which the queue had no room")

struct event_counters {
    EVENT_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def event_counter_defs[];
extern struct event_counters event_counters;

#endif /* lib/event_counters.h */
