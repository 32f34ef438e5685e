/* collector/template/ovs.h -- the templates that Open vSwitch sends, known
 * beforehand.
 *
 * Their ids and fields have not changed from version 2.9 on.  Open vSwitch
 * repeats them only every 600 s, and up to 3.1 only in one observation domain
 * of several, so waiting for them would lose records. */
#ifndef COLLECTOR_TEMPLATE_OVS_H
#define COLLECTOR_TEMPLATE_OVS_H 1

#include <stdbool.h>
#include <stdint.h>

#include "collector/template/template.h"

#define OVS_TEMPLATE_FIRST 256
#define OVS_TEMPLATE_LAST 375
#define OVS_N_TEMPLATES (OVS_TEMPLATE_LAST - OVS_TEMPLATE_FIRST + 1)
#define OVS_OPTIONS_TEMPLATE 462
#define OVS_MAX_FIELDS 80

/* Writes the fields of template 'id' and returns how many they are, or 0 if
 * there is no such template. */
unsigned ovs_template_fields(uint16_t id, bool virtual_obs_id,
                             struct template_field fields[OVS_MAX_FIELDS]);

#endif /* collector/template/ovs.h */
