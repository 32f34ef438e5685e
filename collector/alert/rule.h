/* collector/alert/rule.h -- what an alert is raised for: a filter, a key, and a
 * measure of what is too much. */
#ifndef COLLECTOR_ALERT_RULE_H
#define COLLECTOR_ALERT_RULE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/column.h"
#include "lib/event.h"

#define ALERT_RULES_MAX 64
#define ALERT_NAME 64           /* With the NUL. */
#define ALERT_KEYS 4            /* Columns of a key, ... */
#define ALERT_KEY_SIZE 48       /* ... and bytes of their values. */
#define ALERT_DELIVER_MAX 8
#define ALERT_TABLE_MIN 64
#define ALERT_TABLE_MAX 262144

enum alert_type {
    ALERT_THRESHOLD,            /* More than "above". */
    ALERT_BASELINE,             /* More than "ratio" times the usual. */
    ALERT_NEW,                  /* A key that was not there for "remember". */
    ALERT_SILENCE,              /* An exporter that says nothing. */
    N_ALERT_TYPES
};
extern const char *const alert_type_names[N_ALERT_TYPES];

enum alert_metric { ALERT_BPS, ALERT_PPS, ALERT_FPS, N_ALERT_METRICS };
extern const char *const alert_metric_names[N_ALERT_METRICS];
extern const char *const alert_metric_units[N_ALERT_METRICS];

/* A column of a key; of an address, as many bits. */
struct alert_key {
    enum column_id column;
    uint8_t bits4, bits6;
};

/* "tenant", "src_addr/24", "src_addr/24/56".  0 or -EINVAL: no such column, or it
 * cannot be grouped by, or no such length. */
int alert_key_parse(const char *text, struct alert_key *);
#define ALERT_KEY_STRLEN 48
char *alert_key_format(const struct alert_key *, char buf[ALERT_KEY_STRLEN]);
/* Bytes of all values. */
unsigned alert_keys_size(const struct alert_key *, unsigned n);

struct alert_rule {
    char name[ALERT_NAME];
    bool enabled, builtin;
    enum alert_type type;
    enum alert_metric metric;
    enum event_severity severity;
    char *filter;               /* Never NULL. */
    unsigned n_keys;
    struct alert_key keys[ALERT_KEYS];
    double above;               /* Of THRESHOLD; the metric's unit. */
    double ratio, minimum;      /* Of BASELINE; the latter also of NEW. */
    uint32_t hold_s, clear_s;
    uint32_t learn_s;           /* Before the first alert of BASELINE, NEW. */
    uint32_t remember_s;        /* Of NEW. */
    uint32_t table;             /* Keys that are followed at a time. */
    char *exporter;             /* Of SILENCE: a pattern; NULL: all. */
    unsigned n_deliver;
    char *deliver[ALERT_DELIVER_MAX];
};

/* Those that are there if nobody says otherwise: useful and quiet. */
extern const struct alert_rule alert_builtin[];
extern const size_t n_alert_builtin;
/* What a rule is without anything said. */
extern const struct alert_rule alert_rule_default;

void alert_rule_clear(struct alert_rule *);
/* 0 or -ENOMEM. */
int alert_rule_copy(struct alert_rule *, const struct alert_rule *);
/* Do both count the same: what was learned by one holds for the other? */
bool alert_rule_same_counting(const struct alert_rule *,
                              const struct alert_rule *);

#endif /* collector/alert/rule.h */
