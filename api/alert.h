/* api/alert.h -- alerts that are or were: who, where, by which route; who knows
 * of them, and who does not want to.
 *
 * The engine (collector/alert/) says that a key of a rule is too much; here
 * that becomes an alert with a number, an event, and a delivery.  Main thread
 * only. */
#ifndef API_ALERT_H
#define API_ALERT_H 1

#include <stdbool.h>
#include <stdint.h>

#include "api/config_alert.h"
#include "collector/event/exporters.h"

struct alert_engine;
struct alerts;                                          /* Opaque. */
struct api_context;
struct deliveries;
struct json_object;

#define ALERTS_MAX 1000         /* That are remembered; the oldest cleared
                                 * ones go. */
#define MUTES_MAX 256

/* 'dir' keeps state.  All that is passed must outlive it.  NULL: no memory. */
struct alerts *alerts_open(const char *dir, struct alert_engine *,
                           struct deliveries *, struct api_context *,
                           int64_t now_us);
/* Writes what is not written.  NULL is fine. */
void alerts_close(struct alerts *);

/* Other rules.  'config' is borrowed until the next call.  0 or a negative
 * errno. */
int alerts_configure(struct alerts *, const struct config_alert *);

/* Once a second. */
void alerts_tick(struct alerts *, int64_t now_us, double elapsed);
/* For rules of type silence. */
void alerts_exporter(struct alerts *, const struct exporter_change *);

/* For the methods (methods_alert.c). */
const struct config_alert *alerts_config(const struct alerts *);
struct alert_engine *alerts_engine(const struct alerts *);
struct deliveries *alerts_deliveries(const struct alerts *);
/* Alerts as JSON, the newest first; 'active': only those that are raised;
 * 'rule': of this one, or NULL. */
struct json_object *alerts_list(const struct alerts *, bool active,
                                const char *rule, int64_t limit);
/* NULL: there is none of that number. */
struct json_object *alerts_get(const struct alerts *, uint64_t id);
/* 0, or -ENOENT. */
int alerts_acknowledge(struct alerts *, uint64_t id, const char *who,
                       const char *comment, int64_t now_us);
struct json_object *alerts_mutes(const struct alerts *, int64_t now_us);
/* Nothing is told of alerts of 'rule' about 'subject' (patterns; NULL: all)
 * before 'until_us'; in the past: it ends.  0 or -ENOSPC. */
int alerts_mute(struct alerts *, const char *rule, const char *subject,
                const char *who, const char *comment, int64_t now_us,
                int64_t until_us);

#endif /* api/alert.h */
