/* api/config_identity.h -- "identity" and "ovn" in the configuration. */
#ifndef API_CONFIG_IDENTITY_H
#define API_CONFIG_IDENTITY_H 1

#include "api/config.h"
#include "ovsdb/watch.h"

struct json_object;

/* All is owned by it. */
struct config_identity {
    bool ovsdb;                 /* identity/ovsdb. */
    char **southbound, **northbound;    /* ovn/...; empty: none. */
    size_t n_southbound, n_northbound;
    struct watch_rule *rules;   /* identity/rule. */
    size_t n_rules;
};

/* What 'root', the full tree's, asks for.  Returns 0 or a negative errno with
 * '*error'. */
int config_identity_make(struct json_object *root,
                         struct config_identity **out,
                         struct config_error *error);
void config_identity_destroy(struct config_identity *);        /* NULL is fine. */
bool config_identity_equal(const struct config_identity *,
                           const struct config_identity *);

#endif /* api/config_identity.h */
