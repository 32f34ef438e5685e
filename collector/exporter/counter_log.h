/* collector/exporter/counter_log.h -- counters of interfaces over time.
 *
 * What sFlow counter samples and OVSDB's Interface.statistics say is kept as
 * points, at most one in an interval per interface, in one file an hour
 * (DIR/2026-11-23T02) that is only appended to.  Old files go by age and by
 * size.  Any thread may put and read; a thread of the log's own writes once a
 * second.  What a file ends with after a crash is cut off when it is opened
 * again. */
#ifndef COLLECTOR_COUNTER_LOG_H
#define COLLECTOR_COUNTER_LOG_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/exporter/counter_field.h"
#include "lib/addr.h"
#include "lib/counter.h"

struct counter_log;                                     /* Opaque. */

enum counter_origin { COUNTER_SFLOW = 1, COUNTER_OVSDB };

#define COUNTER_TEXT 64         /* With the NUL; longer names are cut. */

/* What an interface said at one time. */
struct counter_point {
    int64_t time_us;            /* Wall clock. */
    uint8_t origin;             /* enum counter_origin. */
    struct addr exporter, agent;        /* sFlow; else zero. */
    uint32_t domain;            /* sFlow's sub-agent. */
    uint64_t data_source;       /* sFlow's; else 0. */
    uint64_t if_index;          /* 0: not known. */
    char name[COUNTER_TEXT];    /* "": not known. */
    char bridge[COUNTER_TEXT];  /* OVSDB; else "". */
    char remote[COUNTER_TEXT];  /* OVSDB: the database; else "". */
    struct counter_values v;
};

#define COUNTER_LOG_COUNTERS(X)                                         \
    X(points, "Points kept")                                            \
    X(dropped, "Points lost because they could not be written")         \
    X(damaged, "Ends of files that could not be read")

struct counter_log_counters {
    COUNTER_LOG_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def counter_log_defs[];

/* 'dir' is made.  NULL on failure, with errno. */
struct counter_log *counter_log_create(const char *dir);
void counter_log_destroy(struct counter_log *);         /* NULL is fine. */

/* At most one point of an interface in 'interval_us'; files older than
 * 'keep_us' are deleted (0: never), and so are the oldest as long as all are
 * larger than 'max_bytes' (0: any size).  At any time. */
void counter_log_set(struct counter_log *, int64_t interval_us,
                     int64_t keep_us, uint64_t max_bytes);
int64_t counter_log_interval(const struct counter_log *);

void counter_log_put(struct counter_log *, const struct counter_point *);

/* Calls 'each' with the points in [from_us, to_us), in the order in which they
 * came, while it returns true. */
void counter_log_read(struct counter_log *, int64_t from_us, int64_t to_us,
                      bool (*each)(const struct counter_point *, void *aux),
                      void *aux);

/* Writes what waits, and deletes what is too old by 'now_us'.  The thread does
 * it; for tests. */
void counter_log_flush(struct counter_log *, int64_t now_us);

const struct counter_log_counters *counter_log_counters(
    const struct counter_log *);

/* ---- The format, for tests. ---- */

#define COUNTER_POINT_MAX 4096

/* Writes a point; returns how many bytes, at most COUNTER_POINT_MAX. */
size_t counter_point_encode(const struct counter_point *,
                            uint8_t buf[COUNTER_POINT_MAX]);
/* Reads one from 'n' bytes.  Returns how many it took, or 0 if they do not
 * begin with a whole point. */
size_t counter_point_decode(const uint8_t *, size_t n,
                            struct counter_point *);

#endif /* collector/exporter/counter_log.h */
