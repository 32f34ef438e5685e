/* api/config_alert.h -- "alert" in the configuration. */
#ifndef API_CONFIG_ALERT_H
#define API_CONFIG_ALERT_H 1

#include "api/config.h"
#include "collector/alert/rule.h"

struct json_object;

#define DELIVERIES_MAX 16
#define DELIVERY_WORDS 32       /* Of a command; headers. */

enum delivery_type { DELIVER_WEBHOOK, DELIVER_EXEC, DELIVER_SYSLOG };

/* Where alerts go. */
struct config_delivery {
    char name[ALERT_NAME];
    enum delivery_type type;
    enum event_severity severity;       /* This or worse. */
    char *url;                  /* Of WEBHOOK. */
    unsigned n_words;           /* Headers of WEBHOOK, words of EXEC. */
    char *words[DELIVERY_WORDS + 1];    /* Ends with NULL. */
    char *server;               /* Of SYSLOG: "IP:PORT" or "/dev/log". */
    unsigned timeout_ms, retries;
};

struct config_alert {
    struct alert_rule *rules;   /* Built-in ones that hold, and ours. */
    size_t n_rules;
    struct config_delivery *deliveries;
    size_t n_deliveries;
};

/* Returns 0 or a negative errno with '*error'. */
int config_alert_make(struct json_object *root, struct config_alert **,
                      struct config_error *error);
void config_alert_destroy(struct config_alert *);       /* NULL is fine. */

/* A rule as the configuration has it. */
struct json_object *config_alert_rule(const struct alert_rule *);

#endif /* api/config_alert.h */
