/* api/config_api.h -- "api" in the configuration, except for the unix
 * socket. */
#ifndef API_CONFIG_API_H
#define API_CONFIG_API_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/caller.h"
#include "api/config.h"
#include "lib/addr.h"

struct json_object;

struct config_strings {
    char **list;
    size_t n;
};

/* One rule: who proves one of these names has this role. */
struct config_access {
    char *name;
    enum api_role role;
    const struct confine *confine;      /* To tenants; NULL: not. */
    struct config_strings users, groups, certificates, proxy_users;
};

enum config_metrics { METRICS_LOOPBACK, METRICS_ANYBODY, METRICS_VIEWER };

struct config_api {
    struct config_strings tcp, tls, http, https;        /* Where to listen. */
    bool http_is_default;       /* Nobody has asked for this address. */
    char *certificate, *private_key, *ca;       /* Or NULL. */
    bool require_client;
    struct config_strings cors_origins;
    enum config_metrics metrics;
    struct prefix *proxies;
    size_t n_proxies;
    char *user_header;          /* In small letters. */
    uint32_t rate_limit;        /* Requests per second; 0: none. */
    struct config_access *access;
    size_t n_access;
};

/* '*out' gets what 'root', the full tree's, says.  Returns 0 or a negative
 * errno with '*error'. */
int config_api_make(struct json_object *root, struct config_api **out,
                    struct config_error *error);
void config_api_destroy(struct config_api *);           /* NULL is fine. */

bool config_strings_equal(const struct config_strings *,
                          const struct config_strings *);

#endif /* api/config_api.h */
