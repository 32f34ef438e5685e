/* api/deliver.h -- alerts to those who do not ask: webhooks, programs, syslog.
 *
 * Each has a thread and a queue of its own, both bounded: one that hangs holds
 * up nobody else. */
#ifndef API_DELIVER_H
#define API_DELIVER_H 1

#include <stdbool.h>
#include <stddef.h>

#include "api/config_alert.h"
#include "lib/counter.h"

struct deliveries;                                      /* Opaque. */
struct json_object;

#define DELIVER_QUEUE 256

#define DELIVER_COUNTERS(X)                                             \
    X(delivered, "Alerts that were handed over")                        \
    X(retried, "Attempts that failed and were made again")              \
    X(failed, "Alerts given up after the last attempt")                 \
    X(dropped, "Alerts for which the queue had no room")

struct deliver_counters {
    DELIVER_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def deliver_counter_defs[];

struct deliveries *deliveries_create(void);
/* What waits is not sent any more; an attempt under way is waited for, a
 * timeout at most.  NULL is fine. */
void deliveries_destroy(struct deliveries *);
/* Others from now on (copied); those that are the same go on.  0 or -ENOMEM. */
int deliveries_set(struct deliveries *, const struct config_delivery *,
                   size_t n);
/* Main thread.  'names' (n 0: all) get the JSON text (copied), if it is severe
 * enough for them. */
void deliveries_send(struct deliveries *, char *const *names, unsigned n,
                     enum event_severity, const char *text,
                     const char *message);
/* [{"name","type","waiting","delivered",...}] */
struct json_object *deliveries_status(struct deliveries *);

#endif /* api/deliver.h */
