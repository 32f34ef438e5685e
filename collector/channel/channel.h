/* collector/channel/channel.h -- channels: named filters, counted live.
 *
 * A stage of the pipeline runs each channel's filter over each batch and adds
 * up bytes, packets and flows by the second of flow_end: an hour in memory,
 * minutes for 90 days and hours for ten years in files of fixed size.  Only
 * canonical records count, as in queries.  A channel that begins in the past is
 * filled from stored flows: those that arrived before it was made.
 *
 * Profiles are groups of channels, no more.  Definitions are changed on the
 * main thread only, which may so read them without a lock; where they are kept
 * is api/'s business. */
#ifndef COLLECTOR_CHANNEL_H
#define COLLECTOR_CHANNEL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/batch.h"
#include "lib/counter.h"

struct dict;
struct filter_error;
struct channel_set;                                     /* Opaque. */

#define CHANNEL_MAX 1000
#define CHANNEL_NAME 64         /* With the NUL. */
#define CHANNEL_SECONDS 3600    /* In memory. */
#define CHANNEL_MINUTES (90 * 1440)
#define CHANNEL_HOURS (3653 * 24)

#define CHANNEL_COUNTERS(X)                                             \
    X(flows, "Flow records that were looked at")                        \
    X(late, "Matches not counted: too old, or too far in the future")   \
    X(errors, "Numbers that could not be written to a file")

struct channel_counters {
    CHANNEL_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def channel_counter_defs[];

struct channel {
    uint64_t id;                /* Also the name of its files. */
    char profile[CHANNEL_NAME], name[CHANNEL_NAME];
    char colour[8];             /* "#RRGGBB" */
    char sign;                  /* '+' or '-': where it is drawn. */
    int order;
    char *filter;
    int64_t created_us;         /* Counts what arrives from then on. */
    int64_t start_us;           /* Filled from stored flows since then. */
    _Atomic bool filling;
};

struct channel_sum {
    uint64_t bytes, packets, flows;
};

struct channel_minute {
    int64_t time_s;
    struct channel_sum sum;
};

/* 'dir' is made; NULL keeps nothing on disk.  Starts a thread that writes once
 * a second.  NULL on failure. */
struct channel_set *channel_set_create(const char *dir, struct dict *);
/* Ends the thread; what was counted is written. */
void channel_set_stop(struct channel_set *);
void channel_set_destroy(struct channel_set *);         /* NULL is fine. */

/* Adds a copy of '*c' (id 0: a new one).  Returns 0, -EEXIST, -ENOSPC, -EINVAL
 * with the reason in '*error', or -ENOMEM. */
int channel_add(struct channel_set *, const struct channel *c,
                struct filter_error *error);
/* Another filter from now on; what was counted stays.  Like channel_add(). */
int channel_set_filter(struct channel_set *, struct channel *,
                       const char *filter, struct filter_error *error);
/* Forgets a channel and its numbers.  0 or -ENOENT. */
int channel_delete(struct channel_set *, const char *profile,
                   const char *name);
struct channel *channel_find(struct channel_set *, const char *profile,
                             const char *name);
size_t channel_count(const struct channel_set *);
struct channel *channel_at(const struct channel_set *, size_t i);

/* How many octets its files take on disk, and when a sum was last written to one
 * of them, in microseconds since 1970 (0: never), as of then: no file is looked
 * at.  Any thread. */
void channel_usage(struct channel_set *, uint64_t id, uint64_t *bytes,
                   int64_t *updated_us);

/* 'n' sums of 'step_s' seconds each, from 'from_s' on: of seconds if the hour
 * in memory has them and the step asks for it, of minutes if the step is a
 * multiple of 60, else 0.  Any thread. */
void channel_series(struct channel_set *, uint64_t id, int64_t from_s,
                    int64_t step_s, size_t n, struct channel_sum *);
/* Ends filling: these are all that stored flows say, each minute once.  It is
 * in the files as a whole or not at all; a channel that was not filled is due
 * again after a restart.  NULL: nothing could be found out.  0 or a negative
 * errno.  Any thread. */
int channel_fill(struct channel_set *, uint64_t id,
                 const struct channel_minute *, size_t n);

/* 'fill' is to be called once more, later: it could not do its work now. */
void channel_fill_later(struct channel_set *, uint64_t id);

/* 'fill' is called for each channel with a past start, on the set's thread,
 * soon after it was added: flows that arrived before are stored by then.  The
 * channel may be gone when it looks. */
void channel_on_fill(struct channel_set *,
                     void (*fill)(void *aux, const struct channel *),
                     void *aux);

const struct channel_counters *channel_counters(const struct channel_set *);

/* For struct stage; 'set' is a struct channel_set.  Workers do not wait for each
 * other but where they add sums to the same channel. */
void channel_process(void *set, struct flow_batch *);

#endif /* collector/channel/channel.h */
