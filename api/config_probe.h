/* api/config_probe.h -- "probe" in the configuration. */
#ifndef API_CONFIG_PROBE_H
#define API_CONFIG_PROBE_H 1

#include "api/config.h"
#include "probe/decide.h"

struct json_object;

struct export_policies;

/* '*out' gets what 'root', the full tree's, asks for, first what its policies
 * say (which 'policies' were made from), then probe/softflowd; NULL: nothing.
 * Returns 0 or a negative errno with '*error'. */
int config_probe_make(struct json_object *root,
                      const struct export_policies *policies,
                      struct probe_config **out, struct config_error *error);

#endif /* api/config_probe.h */
