/* daemon/alerts.h -- alerts: a stage of the pipeline, a tick each second, and
 * what comes of it. */
#ifndef DAEMON_ALERTS_H
#define DAEMON_ALERTS_H 1

#include "collector/event/exporters.h"

struct alerts;
struct api_context;
struct config;
struct daemon_alerts;                                   /* Opaque. */
struct dict;
struct ev_loop;
struct flow_batch;

/* Before the workers; rules come with daemon_alerts_open(). */
struct daemon_alerts *daemon_alerts_create(struct ev_loop *, struct dict *);
/* For struct stage. */
void daemon_alerts_process(void *alerts, struct flow_batch *);
/* 'dir' keeps state.  0 or a negative errno, logged. */
int daemon_alerts_open(struct daemon_alerts *, const char *dir,
                       const struct config *, struct api_context *);
int daemon_alerts_configure(struct daemon_alerts *, const struct config *);
struct alerts *daemon_alerts_api(struct daemon_alerts *);       /* Or NULL. */
void daemon_alerts_exporter(void *alerts, const struct exporter_change *);

/* State is written; before the events' journal closes. */
void daemon_alerts_stop(struct daemon_alerts *);
/* After the workers.  NULL is fine. */
void daemon_alerts_destroy(struct daemon_alerts *);

#endif /* daemon/alerts.h */
