/* api/live.h -- flow.subscribe: flows as they come (collector/channel/tap.h), to
 * those who subscribed.  Main thread only. */
#ifndef API_LIVE_H
#define API_LIVE_H 1

#include <stdbool.h>

struct dict;
struct live;
struct tap_set;

/* Both are borrowed.  NULL if out of memory. */
struct live *live_create(struct tap_set *, struct dict *);
/* Ends all subscriptions that are left, and closes their taps. */
void live_destroy(struct live *);                       /* NULL is fine. */

/* Sends what the taps have.  True: come again soon, something is left. */
bool live_deliver(struct live *);

struct tap_counters;
const struct tap_counters *live_counters(const struct live *);

#endif /* api/live.h */
