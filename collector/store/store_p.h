/* collector/store/store_p.h -- inside of the store: engine, segments, writer.
 *
 * Locks, in the order in which they are taken:
 *   store.lock         segments, engine, views
 *   store.health_lock  what store_health() answers; never held for long, so
 *                      that the main thread may ask at any time
 *   store.pool_lock    free batches
 *   store.scans_lock   scans that SQL may name
 * The writer's own state is touched by the writer only. */
#ifndef COLLECTOR_STORE_P_H
#define COLLECTOR_STORE_P_H 1

#include <duckdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "collector/store/schema.h"
#include "collector/store/segfile.h"
#include "collector/store/store.h"
#include "collector/store/view.h"

#define SEGMENT_SPAN_US INT64_C(3600000000)
#define SEGMENT_FILE_LEN 40     /* "2026-11-23T02.123.flows" and NUL. */
#define SEGMENT_MAX_SUFFIX 999
#define SEGMENTS_LOADED 32      /* Idle ones whose blocks stay known. */

/* Rows that make a block worth keeping as it is.  Fewer are written to the
 * segment's tail after COMMIT_AFTER_MS, and again with those that follow. */
#define COMMIT_ROWS 32768u
#define COMMIT_BATCHES 64u
#define COMMIT_AFTER_MS 400
#define RETRY_MS 1000
#define IDLE_MS 60000           /* Housekeeping when nothing arrives. */
/* What a failure of power may cost. */
#define SYNC_MS 5000

struct segment {
    int64_t hour_us;            /* Arrival of its rows, rounded down. */
    unsigned suffix;            /* 0: none. */
    char file[SEGMENT_FILE_LEN];
    bool loaded;                /* 'main' and 'tail' are valid. */
    bool open;                  /* The writer's. */
    bool has_tail;              /* There may be rows in a file of their own. */
    bool merge_failed;          /* Their merge: not tried again. */
    unsigned users;             /* Views, and who merges its tail. */
    uint64_t used;              /* When last, by store.use_clock. */
    struct segfile main, tail;
    uint64_t damaged;           /* Bytes that were found damaged. */

    /* What is in it; 'known' when the others are. */
    bool known;
    uint64_t rows;
    int64_t min_us, max_us;     /* Of flow_end; valid if rows. */
    uint64_t bytes;             /* On disk. */
};

/* One in-memory DuckDB instance, which has the function that reads segments. */
struct engine {
    duckdb_database db;
    duckdb_connection ctl;      /* Settings; under store.lock. */
    _Atomic bool broken;        /* Queries shall end: it will be replaced. */
};

/* The batches that are not on disk yet, oldest first. */
struct backlog {
    struct flow_batch *head, *tail;
    size_t n_batches;
    size_t n_rows;
    int64_t *arrived_ms;        /* Of each, monotonic; a ring. */
    size_t first, allocated;    /* A power of 2. */
};

struct writer {
    pthread_t thread;
    bool started;
    bool ran;                   /* It was started once. */
    struct block_writer *blocks;
    struct bytes bytes;         /* Of the block at hand. */
    struct segment *segment;    /* The open one, or NULL. */
    struct backlog backlog;
    size_t max_backlog;         /* Batches. */
    int64_t retry_ms;           /* Not before; monotonic. */
    unsigned failures;          /* In a row. */
    unsigned open_failures;     /* Of one segment, in a row. */
    int64_t synced_ms;          /* Monotonic. */
    char error[256];            /* Of the last attempt. */
    int64_t arrival_us;         /* Of the last batch, wall clock; 0: none. */
    int64_t arrival_ms;         /* The same, monotonic. */
    int64_t housekeep_ms;       /* When next; monotonic. */
    int64_t age_us;             /* The clock by which segments get old. */
    int64_t age_ms;             /* When it said that; monotonic. */
    int64_t jumped_ms;          /* Since when another is doubted; 0: not. */
};

struct scan;

struct store {
    char *dir;                  /* .../flows */
    struct store_config config; /* 'dir' is not used. */
    struct dict *dict;
    struct ring *ring;
    int lock_fd;                /* Keeps other daemons out. */
    _Atomic bool stopping;

    pthread_mutex_t lock;
    struct engine engine;
    struct segment **segments;  /* Sorted by hour, then suffix. */
    size_t n_segments, allocated_segments;
    unsigned n_views;
    uint64_t use_clock;

    pthread_mutex_t health_lock;
    struct store_health health;

    pthread_mutex_t pool_lock;
    struct flow_batch *free_batches;
    size_t n_free, n_batches, max_batches;

    pthread_mutex_t scans_lock;
    struct scan *scans;
    uint64_t next_scan;
    _Atomic uint64_t sums_bytes;        /* Of memory, of all scans. */

    struct writer writer;
    struct store_counters n;
};

/* engine.c */
int engine_open(struct store *, char **error);
void engine_close(struct store *);
/* Replaces an instance that is broken, if no view uses it.  Under
 * store.lock. */
int engine_replace(struct store *);
/* Gives back memory that is not in use.  Under store.lock. */
void engine_trim(struct store *);
/* Runs SQL for its effect.  Returns 0, or -EIO with the reason in 'error' of
 * 'size' bytes. */
int engine_run(duckdb_connection, char *error, size_t size,
               const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool engine_says_fatal(const char *error);

/* scan.c: the function that SQL calls. */
int scan_register(struct store *);

/* segment.c: all under store.lock. */
int segments_scan(struct store *, char **error);
void segments_destroy(struct store *);
int64_t segment_hour(int64_t us);
struct segment *segment_add(struct store *, int64_t hour_us, unsigned suffix);
struct segment *segment_last(struct store *, int64_t hour_us);
/* Opens its files and finds its blocks.  Returns 0, -EBADMSG if it is damaged
 * as a whole, or another error that may pass, with the reason in 'error'. */
int segment_load(struct store *, struct segment *, char *error, size_t size);
/* Makes a loaded one ready to be written to. */
int segment_prepare(struct store *, struct segment *, char *error,
                    size_t size);
/* Drops blocks of the tail whose rows the main file has. */
void segment_drop_merged(struct segment *);
/* Deletes the file of a tail that was merged. */
void segment_remove_tail(struct store *, struct segment *);
void segment_unload(struct store *, struct segment *);
/* Makes the files of a new one, and loads it. */
int segment_create(struct store *, struct segment *, char *error,
                   size_t size);
/* Renames the file and drops the segment from the list (frees it). */
void segment_set_aside(struct store *, struct segment *, const char *why);
void segment_forget(struct store *, struct segment *);
void segment_measure(struct store *, struct segment *);
/* Damage was found that nobody knew of yet. */
void segment_damaged(struct store *, struct segment *, uint64_t bytes,
                     const char *what);
void segments_trim(struct store *, size_t keep);
void segments_expire(struct store *, int64_t now_us);
/* Deletes the oldest segment because the disk is full, if it is full of
 * segments.  The newest one stays. */
void segments_make_room(struct store *);
void segments_save_index(struct store *);
void segments_health(struct store *);

/* append.c: the writer's.  Both return 0, or a negative errno with nothing
 * changed. */

/* The rows of its tail. */
uint32_t segment_tail_rows(const struct segment *);
/* Writes all rows of 'n' batches, at most BLOCK_ROWS with those of the tail, to
 * the open segment. */
int segment_append(struct store *, struct segment *,
                   const struct flow_batch *const *, size_t n);
/* Writes the rows of its tail as one block. */
int segment_merge(struct store *, struct segment *);

/* writer.c */
int writer_start(struct store *, char **error);
void writer_stop(struct store *);

/* store.c */
void store_pool_trim(struct store *, size_t keep);
void store_set_health(struct store *, bool writing, const char *reason);

#endif /* collector/store/store_p.h */
