/* collector/query/rollup_p.h -- what the files of rollups share. */
#ifndef COLLECTOR_ROLLUP_P_H
#define COLLECTOR_ROLLUP_P_H 1

#include <duckdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "collector/filter/filter.h"
#include "collector/query/query.h"
#include "collector/query/rollup.h"
#include "collector/store/schema.h"
#include "collector/store/view.h"
#include "lib/column.h"

#define HOUR_US INT64_C(3600000000)
/* What a flow's end and its arrival may differ by; see correct.h. */
#define LATE_US (25 * HOUR_US)
#define AHEAD_US (INT64_C(600) * 1000000)

/* A tier has a table for each of these: what belongs together in questions.
 * All of it in one would have as many rows as there are flows. */
struct rollup_table {
    const char *name;
    enum column_id keys[QUERY_MAX_BY];
    unsigned n;
    bool hours_only;            /* Minutes would hardly be fewer than flows. */
};
#define ROLLUP_TABLES 4
extern const struct rollup_table rollup_tables[ROLLUP_TABLES];

/* What they add up. */
#define ROLLUP_SUMS 7
extern const enum column_id rollup_sums[ROLLUP_SUMS];

struct rollup_def {
    const char *name, *schema;
    int64_t step_us;
};
extern const struct rollup_def rollup_defs[N_ROLLUPS];

/* Hours of arrival that are done, ascending. */
struct hours {
    int64_t *list;
    size_t n, room;
};

struct rollup {
    struct store *store;
    char *dir;
    struct rollup_counters counters;
    pthread_mutex_t mutex;      /* What follows. */
    pthread_cond_t wake;
    struct rollup_limit limits[N_ROLLUPS];
    struct hours done[N_ROLLUPS];
    uint64_t bytes[N_ROLLUPS];
    duckdb_connection conn;     /* That adds up, or NULL. */
    _Atomic bool stopping;
    bool over;                  /* The thread is about to end. */

    pthread_mutex_t working;    /* One at a time adds up.  Taken first. */
    bool loaded;
    pthread_t thread;
    bool started;
};

/* Where 'hour' is in the list, or would be. */
size_t rollup_hours_find(const struct hours *, int64_t hour);
bool rollup_hours_has(const struct hours *, int64_t hour);

/* Makes a tier visible on a connection, and the file if it is not there. */
int rollup_attach(struct rollup *, unsigned tier, duckdb_connection,
                  char *error, size_t size);
/* Counts and logs that something failed. */
void rollup_complain(struct rollup *, unsigned tier, const char *error);

/* Filters: "id cmp us"; "id >= from and id < to". */
struct filter *rollup_term(enum column_id, enum filter_cmp, int64_t us);
struct filter *rollup_between(enum column_id, int64_t from_us,
                              int64_t to_us);

#endif /* collector/query/rollup_p.h */
