/* api/config_bgp.h -- "bgp" and "bmp" in the configuration. */
#ifndef API_CONFIG_BGP_H
#define API_CONFIG_BGP_H 1

#include "api/config.h"
#include "bgp/bmp.h"
#include "bgp/speaker.h"

struct json_object;

/* What the two parts of the model say, as bgp/ wants it. */
struct config_bgp {
    struct bgp_speaker_config speaker;  /* Its arrays are ours. */
    struct bmp_config bmp;
};

/* '*out' gets what 'root', the full tree's, asks for.  Returns 0 or a negative
 * errno with '*error'. */
int config_bgp_make(struct json_object *root, struct config_bgp **out,
                    struct config_error *error);
void config_bgp_destroy(struct config_bgp *);           /* NULL is fine. */

#endif /* api/config_bgp.h */
