/* api/events.h -- event.subscribe: what happens (lib/event.h), to those who
 * subscribed.  Main thread only. */
#ifndef API_EVENTS_H
#define API_EVENTS_H 1

#include <stdbool.h>

struct event_journal;
struct events;

/* The journal must outlive it.  NULL if out of memory. */
struct events *events_create(struct event_journal *);
/* Before the API goes; ends the subscriptions.  NULL is fine. */
void events_destroy(struct events *);
struct event_journal *events_journal(const struct events *);

/* Tells the subscribers what is new.  True: somebody does not keep up; call
 * again soon. */
bool events_deliver(struct events *);

#endif /* api/events.h */
