/* collector/event/journal.h -- events that happened (lib/event.h), kept.
 *
 * Each gets a number, one more than the one before, also over a restart.  They
 * are lines of files of about a megabyte; the oldest files go when they are too
 * old or all take too much room.  What was kept is there after kill -9; what
 * was written in part is cut off.  The newest are in memory too, for those who
 * listen.
 *
 * Questions are answered in slices of bounded work: the newest first, and a
 * number to go on from. */
#ifndef COLLECTOR_EVENT_JOURNAL_H
#define COLLECTOR_EVENT_JOURNAL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/counter.h"
#include "lib/event.h"

struct event_journal;                                   /* Opaque. */

#define EVENT_FILE_SIZE (1u << 20)
#define EVENT_RECENT 4096       /* In memory, ... */
#define EVENT_RECENT_SIZE (4u << 20)    /* ... and so many bytes at most. */
#define EVENT_FILTER_KINDS 32

#define EVENT_JOURNAL_COUNTERS(X)                                       \
    X(kept, "Events that were written")                                 \
    X(unwritten, "Events that could not be written, and are in memory " \
                 "alone")                                               \
    X(damaged, "Lines of earlier events that could not be read")        \
    X(expired, "Files of events that were deleted for age or size")

struct event_journal_counters {
    EVENT_JOURNAL_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def event_journal_counter_defs[];

struct event_limits {
    int64_t age_us;             /* 0: none. */
    uint64_t size;              /* Bytes of all files; at least two files. */
};

/* An event that is kept.  Texts are borrowed. */
struct event_record {
    uint64_t id;
    int64_t time_us;
    const char *kind;
    size_t kind_size;
    enum event_severity severity;
    const char *body;           /* As in struct event. */
    size_t body_size;
};

/* Which events.  Patterns have * and ? as in a shell. */
struct event_filter {
    unsigned n_kinds;           /* 0: all. */
    char *kinds[EVENT_FILTER_KINDS];
    char *subject;              /* As it stands in JSON; NULL: all. */
    enum event_severity severity;       /* This or worse. */
    int64_t from_us, to_us;     /* 0: no limit. */
};

void event_filter_clear(struct event_filter *);
bool event_filter_match(const struct event_filter *,
                        const struct event_record *);
/* Does the pattern pick any kind there is? */
bool event_kind_known(const char *pattern);

/* Opens (makes) 'dir'.  NULL with a message in 'error' if that fails. */
#define EVENT_ERROR_SIZE 256
struct event_journal *event_journal_open(const char *dir,
                                         const struct event_limits *,
                                         int64_t now_us,
                                         char error[EVENT_ERROR_SIZE]);
void event_journal_close(struct event_journal *);       /* NULL is fine. */
void event_journal_set_limits(struct event_journal *,
                              const struct event_limits *);
const struct event_journal_counters *event_journal_counters(
    const struct event_journal *);

/* Keeps one.  One thread only. */
void event_journal_add(struct event_journal *, const struct event *,
                       int64_t now_us);
/* What was added reaches the disk. */
void event_journal_sync(struct event_journal *);

/* A thread that keeps what is posted, and calls 'ready' after it. */
int event_journal_start(struct event_journal *, void (*ready)(void *aux),
                        void *aux);
void event_journal_stop(struct event_journal *);

/* Number of the newest event; 0: there is none. */
uint64_t event_journal_newest(struct event_journal *);

/* Calls 'f' with those in memory after number '*id', the oldest first, until it
 * returns false; '*id' becomes the number of the last one that was looked at,
 * '*skipped' grows by those that are in memory no more.  Any thread; 'f' must
 * not call the journal. */
void event_journal_recent(struct event_journal *, uint64_t *id,
                          uint64_t *skipped,
                          bool (*f)(void *aux, const struct event_record *),
                          void *aux);

/* Calls 'f' with those that match and have numbers below 'before' (0: all), the
 * newest first, at most 'limit'.  Returns the number to go on below, or 0 if
 * there are no more; a slice may end early.  Any thread. */
uint64_t event_journal_list(struct event_journal *,
                            const struct event_filter *, uint64_t before,
                            size_t limit,
                            void (*f)(void *aux,
                                      const struct event_record *),
                            void *aux);

/* {"id":...,"time":...,"kind":...,"severity":...,"subject":...,...} */
void event_record_put(FILE *, const struct event_record *);

#endif /* collector/event/journal.h */
