/* collector/store/store_p.h -- inside of the store: engine, segments, writer.
 *
 * Locks, in the order in which they are taken:
 *   store.lock         segments, engine, views
 *   store.health_lock  what store_health() answers; never held for long, so
 *                      that the main thread may ask at any time
 *   store.pool_lock    free batches
 * The writer's own state is touched by the writer only. */
#ifndef COLLECTOR_STORE_P_H
#define COLLECTOR_STORE_P_H 1

#include <duckdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "collector/store/schema.h"
#include "collector/store/store.h"
#include "collector/store/tables.h"
#include "collector/store/view.h"

#define SEGMENT_SPAN_US INT64_C(3600000000)
#define SEGMENT_FILE_LEN 40     /* "2026-11-23T02.123.duckdb" and NUL. */
#define SEGMENT_ALIAS_LEN 40    /* "s2026112302_123" and NUL. */
#define SEGMENT_MAX_SUFFIX 999
#define SEGMENTS_ATTACHED 32    /* Idle ones that stay attached. */

/* So many rows make a transaction at high rates: whole row groups, so that they
 * go to the file directly and not through the write-ahead log.  The rest, less
 * than a row group of each kind, waits for the next one. */
#define COMMIT_ROWS ((5 + N_ROW_KINDS) * TABLE_GROUP_ROWS)
#define COMMIT_BATCHES 64u
/* At lower ones rows wait that long; a little longer if a row group is about
 * to be full by then. */
#define COMMIT_AFTER_MS 400
#define COMMIT_LATEST_MS 750
#define RETRY_MS 1000
#define IDLE_MS 60000           /* Housekeeping when nothing arrives. */

enum segment_state { SEGMENT_DETACHED, SEGMENT_READ, SEGMENT_WRITE };

struct segment {
    int64_t hour_us;            /* Arrival of its rows, rounded down. */
    unsigned suffix;            /* 0: none. */
    char file[SEGMENT_FILE_LEN];
    char alias[SEGMENT_ALIAS_LEN];
    enum segment_state state;
    bool open;                  /* The writer's. */
    unsigned users;             /* Views. */
    uint64_t used;              /* When last, by store.use_clock. */

    /* What is in it; 'known' when the four after it are. */
    bool known;
    uint64_t rows;
    int64_t min_us, max_us;     /* Of flow_end; valid if rows. */
    uint64_t bytes;             /* On disk. */
    struct column_set has;      /* Valid once it was attached. */
};

/* One in-memory DuckDB instance to which segments are attached. */
struct engine {
    duckdb_database db;
    duckdb_connection ctl;      /* ATTACH and the like; under store.lock. */
    unsigned threads;           /* It may use. */
    _Atomic bool broken;        /* Queries shall end: it will be replaced. */
};

/* What the writer knows about a batch of its backlog. */
struct waiting {
    int64_t arrived_ms;         /* Monotonic. */
    uint32_t n[N_ROW_KINDS];
};

/* The batches that are not wholly on disk yet, oldest first. */
struct backlog {
    struct flow_batch *head, *tail;
    struct waiting *waiting;    /* A ring, one for each batch. */
    size_t first, allocated;    /* Of 'waiting'; a power of 2. */
    size_t n_batches;
    size_t n_rows;              /* Not on disk. */
    uint64_t done[N_ROW_KINDS]; /* Rows of the first batches that are. */
};

struct writer {
    pthread_t thread;
    bool started;
    duckdb_connection conn;     /* NULL: connect first. */
    struct segment *segment;    /* The open one, or NULL. */
    struct name_map *names;
    struct tables *tables;      /* Of the open segment. */
    struct backlog backlog;
    size_t max_backlog;         /* Batches. */
    int64_t looked_ms;          /* When a transaction was last due. */
    size_t kept_batches;        /* What it left in the backlog. */
    int64_t retry_ms;           /* Not before; monotonic. */
    unsigned failures;          /* In a row. */
    unsigned open_failures;     /* Of one segment, in a row. */
    bool fatal;                 /* The engine must be replaced. */
    char error[256];            /* Of the last attempt. */
    int64_t arrival_us;         /* Of the last batch, wall clock; 0: none. */
    int64_t arrival_ms;         /* The same, monotonic. */
    int64_t housekeep_ms;       /* When next; monotonic. */
    int64_t age_us;             /* The clock by which segments get old. */
    int64_t age_ms;             /* When it said that; monotonic. */
    int64_t jumped_ms;          /* Since when another is doubted; 0: not. */
};

struct store {
    char *dir;                  /* .../flows */
    struct store_config config; /* 'dir' is not used. */
    struct dict *dict;
    struct ring *ring;
    int lock_fd;                /* Keeps other daemons out. */
    _Atomic bool stopping;

    pthread_mutex_t lock;
    pthread_cond_t views_gone;  /* 'n_views' became 0. */
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

    struct writer writer;
    struct store_counters n;
};

/* engine.c */
int engine_open(struct store *, char **error);
void engine_close(struct store *);
/* Replaces the instance once no view uses it (waits a few seconds at most). */
int engine_replace(struct store *);
/* How many threads work for one statement: several for a query.  For the
 * writer they cost a third more CPU time than one, most of it in waiting. */
void engine_set_threads(struct store *, unsigned n);
/* Gives back memory that is not in use. */
void engine_trim(struct store *);

/* Runs SQL for its effect.  Returns 0, or -EIO with the reason in 'error' of
 * 'size' bytes. */
int engine_run(duckdb_connection, char *error, size_t size,
               const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* One row of integers; NULL is read as 0. */
int engine_integers(duckdb_connection, int64_t *values, size_t n,
                    char *error, size_t size, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* Whether the error text of DuckDB says that the file itself is damaged. */
bool engine_says_corrupt(const char *error);
bool engine_says_fatal(const char *error);

/* segment.c: all under store.lock. */
int segments_scan(struct store *, char **error);
void segments_destroy(struct store *);
int64_t segment_hour(int64_t us);
struct segment *segment_add(struct store *, int64_t hour_us, unsigned suffix);
struct segment *segment_last(struct store *, int64_t hour_us);
int segment_attach(struct store *, struct segment *, enum segment_state,
                   char *error, size_t size);
void segment_detach(struct store *, struct segment *);
int segment_survey(struct store *, struct segment *, char *error,
                   size_t size);
/* Renames the file and drops the segment from the list (frees it). */
void segment_set_aside(struct store *, struct segment *, const char *why);
void segment_set_aside_wal(struct store *, struct segment *, const char *why);
void segment_forget(struct store *, struct segment *);
void segment_measure(struct store *, struct segment *);
bool segment_has_wal(const struct store *, const struct segment *);
void segments_trim(struct store *, size_t keep);
void segments_expire(struct store *, int64_t now_us);
/* Deletes the oldest segment because the disk is full, if it is full of
 * segments.  The newest one stays. */
void segments_make_room(struct store *);
void segments_save_index(struct store *);
void segments_health(struct store *);

/* writer.c */
int writer_start(struct store *, char **error);
void writer_stop(struct store *);

/* store.c */
void store_pool_trim(struct store *, size_t keep);
void store_set_health(struct store *, bool writing, const char *reason);

#endif /* collector/store/store_p.h */
