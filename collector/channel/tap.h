/* collector/channel/tap.h -- flows as they come, for those who watch.
 *
 * A tap is a filter, some columns and room for the rows of one second, which is
 * there while rows are.  Workers put matching rows in, as many a second as the
 * tap wants; its owner takes them out.  Nobody waits: what does not fit is
 * counted as skipped.  Without taps a batch costs one look; with taps, each
 * different filter is run once. */
#ifndef COLLECTOR_TAP_H
#define COLLECTOR_TAP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/batch.h"
#include "lib/counter.h"

struct confine;
struct dict;
struct filter;
struct tap;                                             /* Opaque. */
struct tap_set;                                         /* Opaque. */

#define TAP_MAX 4096
#define TAP_MAX_FILTERS 256     /* Different ones: each costs every batch. */
#define TAP_MAX_BYTES ((size_t) 256 << 20)      /* Rows that wait, of all. */
#define TAP_MAX_RATE 10000      /* Rows a second. */

#define TAP_COUNTERS(X)                                                 \
    X(flows, "Flow records that were looked at for subscribers")        \
    X(taken, "Matching records that subscribers were told")             \
    X(skipped_rate, "Matching records beyond a subscriber's rate")      \
    X(skipped_slow, "Matching records that a subscriber was too slow for")

struct tap_counters {
    TAP_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def tap_counter_defs[];

/* A value; of a name it is the id in the dictionary. */
struct tap_value {
    bool null;
    union {
        uint64_t u;
        int64_t time_us;
        struct addr addr;
    };
};

/* A value of a row. */
void tap_value_get(const struct flow_batch *, enum column_id, unsigned row,
                   struct tap_value *);

/* 'ready' is called on a worker when rows have come since the last call of
 * tap_set_rearm(); not again before it.  NULL if out of memory. */
struct tap_set *tap_set_create(struct dict *, void (*ready)(void *aux),
                               void *aux);
void tap_set_destroy(struct tap_set *);                 /* NULL is fine. */
void tap_set_rearm(struct tap_set *);
unsigned tap_set_count(const struct tap_set *);
const struct tap_counters *tap_set_counters(const struct tap_set *);

/* Rows that match 'filter' (borrowed; NULL: all), 'rate' a second at most,
 * with 'n' columns each; canonical ones only, unless 'all'.  'confine' (NULL:
 * not) is what may be seen.  One thread opens, takes and closes.  0, -ENOSPC
 * if there are too many taps or filters, or
 * -ENOMEM. */
int tap_open(struct tap_set *, const struct filter *filter,
             const struct confine *confine, const enum column_id *fields, unsigned n,
             uint32_t rate, bool all, struct tap **);
void tap_close(struct tap *);                           /* NULL is fine. */

/* Takes out up to 'max' rows, the oldest first.  '*skipped' is how many did
 * not get in since the last call.  Returns how many rows. */
size_t tap_take(struct tap *, struct tap_value *rows, size_t max,
                uint64_t *skipped);

/* For struct stage; 'set' is a struct tap_set. */
void tap_process(void *set, struct flow_batch *);

#endif /* collector/channel/tap.h */
