/* api/config_event.h -- "event" in the configuration. */
#ifndef API_CONFIG_EVENT_H
#define API_CONFIG_EVENT_H 1

#include "api/config.h"

struct json_object;

/* Fills in members event_* and silence_us from 'root', the full tree's.
 * Returns 0 or a negative errno with '*error'. */
int config_event_make(struct json_object *root, struct config *,
                      struct config_error *error);

#endif /* api/config_event.h */
