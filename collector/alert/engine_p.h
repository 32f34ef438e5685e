/* collector/alert/engine_p.h -- what engine.c and state.c share. */
#ifndef COLLECTOR_ALERT_ENGINE_P_H
#define COLLECTOR_ALERT_ENGINE_P_H 1

#include <pthread.h>

#include "collector/alert/engine.h"
#include "collector/alert/seen.h"
#include "collector/alert/table.h"
#include "collector/filter/eval.h"

/* Whose capture it is. */
struct capture_owner {
    const struct alert_entry *entry;    /* NULL: free. */
    uint64_t hash;
};

/* A change that is told when no lock keeps flows waiting. */
struct alert_news {
    struct alert_change change;
    struct alert_capture capture;       /* If 'change' has one. */
};

/* A rule at work. */
struct alert_watch {
    struct alert_rule rule;
    struct filter_program *program;
    pthread_mutex_t mutex;      /* What follows. */
    struct alert_table table;
    struct alert_seen seen;     /* Of NEW. */
    struct alert_season season;
    struct alert_season largest_season; /* The largest has hours of its own. */
    struct alert_level largest, largest_unknown;        /* Peak of a minute. */
    int largest_run, unknown_run;
    float offset, most;         /* Of the hour; for limits. */
    float largest_most;         /* The same of the largest. */
    float deviations;           /* What is long known may stray so far. */
    bool strayed, long_known;   /* One went farther in this minute; there was
                                 * one. */
    float unknown_limit;
    double thinning;            /* Records below this are thinned. */
    uint64_t random;
    double total, rate, minute_total;
    int64_t minute, began_s;
    uint32_t active;
    bool relimit;               /* Limits are to be worked out anew. */
    struct capture_owner owners[ALERT_CAPTURES];
    struct alert_capture captures[ALERT_CAPTURES];
};

struct alert_engine {
    struct dict *dict;
    struct filter_program *canonical;
    struct alert_counters n_counted;
    uint64_t next_alert;
    _Atomic int64_t second;     /* Of our own count. */
    struct alert_news *news;    /* Of the tick's. */
    size_t n_news, news_size;
    pthread_rwlock_t lock;      /* What follows; workers read. */
    _Atomic size_t n;
    struct alert_watch *list[ALERT_RULES_MAX];
};

struct alert_watch *alert_watch_find(const struct alert_engine *,
                                     const char *name);
uint64_t alert_stable_hash(const struct alert_watch *,
                           const struct alert_entry *);

#endif /* collector/alert/engine_p.h */
