/* collector/identity/journal.h -- identities that survive.
 *
 * One thread applies what is told to the table, in the order in which it was
 * told, and writes it to a log before it is acknowledged.  From time to time
 * the state is written as a snapshot and a new log begins; intervals that ended
 * more than two hours ago leave memory for files of the past (past.h).
 *
 *     snapshot.N     the state when log.N began
 *     log.N          what was told since
 *     past.N         intervals that ended */
#ifndef COLLECTOR_IDENTITY_JOURNAL_H
#define COLLECTOR_IDENTITY_JOURNAL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/identity/identity.h"
#include "collector/identity/past.h"
#include "collector/identity/record.h"

struct dict;
struct identity_journal;

/* Opens (or begins) the journal in directory 'dir', which is made, and fills
 * 'table' from it: what was told until the end is there again, with a gap from
 * then until now.  NULL 'dir': nothing is kept.  Starts the thread.  NULL, with
 * 'error' in words (ERROR_SIZE octets), if that can't be. */
#define IDENTITY_ERROR_SIZE 256
struct identity_journal *identity_journal_open(const char *dir,
                                               struct identity *table,
                                               struct dict *,
                                               int64_t now_us, char *error);
/* Writes what is left, and stops.  NULL is fine. */
void identity_journal_close(struct identity_journal *);

/* The result of one operation of a batch. */
struct identity_result {
    size_t n, failed;           /* Operations; those refused. */
    size_t ended;               /* Endpoints that a SYNC or DELETE ended. */
    size_t first_failed;        /* Index of the first one refused, and why: */
    int first_error;            /* a negative errno, 0: none was. */
    int durable;                /* 0, or why it could not be written. */
};

/* Hands over operations: 'records' as identity_record_put() wrote them.  Taken
 * over.  'done' is called on the journal's thread when they are applied and on
 * disk.  Returns -EAGAIN if more wait already than is good (nothing is taken
 * over then). */
int identity_journal_submit(struct identity_journal *,
                            struct identity_buffer *records,
                            void (*done)(void *aux,
                                         const struct identity_result *),
                            void *aux);

/* Who had 'key' (an address, or what identity_key_*() makes) at 'at_us',
 * wherever it is kept, the most trusted and newest first.  'each' must not call
 * the journal.  Returns how many. */
struct identity_found {
    struct past_interval v;
    uint8_t rank;
    bool gap;                   /* It is inside a gap of its source. */
};
size_t identity_journal_find(struct identity_journal *,
                             const struct identity_key *, int64_t at_us,
                             void (*each)(void *aux,
                                          const struct identity_found *),
                             void *aux);

/* Every interval that overlaps [from, to), wherever it is kept and in no order,
 * with the rank of its source; some may come twice.  'each' must not call the
 * journal, and ends it with false.  Takes long where there are many.  Writers and
 * lookups wait while what is in memory is told, a slice at a time. */
void identity_journal_each(struct identity_journal *, int64_t from_us,
                           int64_t to_us,
                           bool (*each)(void *aux,
                                        const struct past_interval *,
                                        uint8_t rank),
                           void *aux);

/* Runs 'look' while nothing is written. */
void identity_journal_locked(struct identity_journal *,
                             void (*look)(void *aux,
                                          const struct identity *),
                             void *aux);

/* As identity_rank(), while the journal runs.  What is told from then on is
 * ranked so; what was told before keeps its merged members until it changes. */
int identity_journal_rank(struct identity_journal *, const char *source,
                          uint8_t rank);
uint8_t identity_journal_rank_of(struct identity_journal *,
                                 const char *source);
uint64_t identity_journal_generation(struct identity_journal *,
                                     const char *source);

struct identity_journal_status {
    struct identity_status table;
    uint64_t log_octets, past_octets, past_intervals;
    uint32_t past_files;
    uint64_t waiting;           /* Octets told and not yet applied. */
    uint64_t damaged;           /* Records and pages that did not check. */
    int write_error;            /* 0, or the last errno of writing. */
};
void identity_journal_get_status(struct identity_journal *,
                                 struct identity_journal_status *);

/* Intervals whose end is longer ago are forgotten; 0: never.  Seconds. */
void identity_journal_set_retention(struct identity_journal *, int64_t);

#endif /* collector/identity/journal.h */
