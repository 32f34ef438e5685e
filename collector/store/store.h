/* collector/store/store.h -- flows on disk: hourly segments and the one thread
 * that writes them.
 *
 * Workers hand full batches to store_submit(); the writer appends them to the
 * open segment in blocks that are large at high rates and at least two a second
 * at low ones.  Disk full or any other failure to write is counted per
 * source (store_lost) and retried; receiving never stops for it. */
#ifndef COLLECTOR_STORE_H
#define COLLECTOR_STORE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/batch.h"
#include "lib/counter.h"

struct dict;
struct store;

#define STORE_COUNTERS(X)                                               \
    X(rows, "Flow records committed")                                   \
    X(transactions, "Times that records were written")                  \
    X(lost, "Flow records lost because they could not be written")      \
    X(ring_full, "Flow records lost because the writer fell behind")    \
    X(errors, "Attempts to write that failed")                          \
    X(segments_made, "Segments created")                                \
    X(segments_expired, "Segments deleted by retention")                \
    X(segments_set_aside,                                               \
      "Segments that could not be opened and were renamed")             \
    X(damaged, "Damaged places found in segments")

struct store_counters {
    STORE_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def store_counter_defs[];

struct store_config {
    const char *dir;            /* Segments live in DIR/flows/. */
    int64_t retention_us;       /* Age of the oldest segment; 0: no limit. */
    uint64_t retention_bytes;   /* All segments together; 0: no limit. */
    uint64_t memory_limit;      /* DuckDB's, bytes. */
    uint64_t sums_limit;        /* Of our own sums; 0: the same. */
    unsigned query_threads;     /* Threads of one query. */
    size_t ring_batches;        /* Batches that may wait for the writer. */
};

struct store_health {
    bool writing;               /* False: the last attempt failed. */
    char reason[256];           /* Why, if not. */
    int64_t since_us;           /* When the state began, wall clock. */
    uint32_t n_segments;
    uint32_t n_damaged;         /* Segments with damaged places. */
    uint64_t bytes;             /* Of all segments on disk. */
    int64_t oldest_us, newest_us;       /* Times covered; 0: none. */
};

/* Opens or makes the store and starts the writer.  On failure returns NULL and
 * a message to free() in '*error'. */
struct store *store_open(const struct store_config *, struct dict *,
                         char **error);

/* Writes all that was submitted, closes, joins the writer. */
void store_close(struct store *);

/* An empty batch from the store's pool (bounded: NULL when all are under way),
 * and back without writing. */
struct flow_batch *store_batch_get(struct store *);
void store_batch_put(struct store *, struct flow_batch *);

/* Hands a batch to the writer, which puts it back into the pool.  False: the
 * ring is full, the batch is still the caller's; the caller counts.  Where it
 * is kept, and for how long, follows from its 'oldest_us', which may be long
 * ago.  Its 'receipt', if any, tells when it is on disk. */
bool store_submit(struct store *, struct flow_batch *);
/* The same for batches that may be lost before others are: refused where three
 * quarters of the ring are taken. */
bool store_submit_last(struct store *, struct flow_batch *);
/* The same for who will try again: a refusal is no loss. */
bool store_offer(struct store *, struct flow_batch *);

/* The directory in which DuckDB may write files that are no segments, made if it
 * is not there.  Those called export* are deleted at the next start.  0 or a
 * negative errno. */
int store_scratch(const struct store *, char *path, size_t size);

/* New limits, from the next rotation or start on; any thread. */
void store_set_retention(struct store *, int64_t retention_us,
                         uint64_t retention_bytes);

/* The time by which flows get old, if the clock of the day says 'now_us': that,
 * unless it has jumped far ahead less than a day ago.  Any thread. */
int64_t store_age_us(struct store *, int64_t now_us);

const struct store_counters *store_counters(const struct store *);
void store_health(struct store *, struct store_health *);

#endif /* collector/store/store.h */
