/* daemon/events.h -- events (lib/event.h) are kept, told to subscribers, and
 * made of what is looked at now and then: exporters, exports. */
#ifndef DAEMON_EVENTS_H
#define DAEMON_EVENTS_H 1

struct api_context;
struct config;
struct daemon_alerts;
struct daemon_events;                                   /* Opaque. */
struct ev_loop;
struct events;

/* Opens what is in 'dir'.  'context' is looked at later; the alerts
 * hear of exporters.  NULL after logging
 * why. */
struct daemon_events *daemon_events_open(struct ev_loop *, const char *dir,
                                         const struct config *,
                                         struct api_context *context,
                                         struct daemon_alerts *);
void daemon_events_configure(struct daemon_events *, const struct config *);
struct events *daemon_events_api(struct daemon_events *);

/* Tells subscribers what is left and that it is over; before the API goes. */
void daemon_events_stop(struct daemon_events *);
/* Keeps what was posted until now.  NULL is fine. */
void daemon_events_close(struct daemon_events *);

#endif /* daemon/events.h */
