/* collector/store/scan.h -- the rows of a view as a table of SQL.
 *
 * DuckDB asks for the columns that a statement needs; the filter is run here,
 * on columns as they are in a batch, so that only rows that match leave the
 * store.  Blocks whose smallest and largest values rule it out are not read at
 * all. */
#ifndef COLLECTOR_SCAN_H
#define COLLECTOR_SCAN_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/store/schema.h"

struct dict;
struct filter;
struct flow_batch;
struct scan;
struct store_view;
struct sums_spec;

/* Columns that are filled anew before the filter looks at them. */
struct scan_stage {
    void (*run)(void *aux, struct flow_batch *);        /* By any thread. */
    void *aux;
    struct dict *dict;          /* Of names; outlives the scan. */
    struct column_set reads, fills;
};

struct scan_spec {
    const struct filter *filter;        /* NULL: everything. */
    bool canonical;             /* Only canonical records. */
    unsigned n_ranges;          /* Of flow_end: in one of [from, to). */
    struct { int64_t from_us, to_us; } ranges[2];
    /* NULL: the table has records.  Else sums of them (collector/store/sums.h);
     * a group may come more than once, with parts of its sums, unless 'top'
     * left some out. */
    const struct sums_spec *sums;
    bool totals;                /* And sums of all of them: scan_totals(). */
    const struct scan_stage *stage;     /* Outlives the scan; or NULL. */
    /* Asked now and then, by any thread, unless NULL: give up? */
    bool (*over)(void *aux);
    void *aux;
};

/* The view and the filter must outlive the scan, and the scan all statements
 * about it: scan_close() comes after they were destroyed.  (Threads of DuckDB
 * that are about to let go of one may still do that.)  NULL if out of memory. */
struct scan *scan_open(struct store_view *, const struct scan_spec *);
void scan_close(struct scan *);

/* What to write after FROM.  Of records there is one row for each, with every
 * column of the column table in the types of collector/store/schema.h, but names
 * as VARCHAR.  Sums have columns t (if there are buckets), k0, k1, ... and m0,
 * m1, ..., which are HUGEINT, but the smallest and largest times TIMESTAMP. */
#define SCAN_RELATION_LEN 48
void scan_relation(const struct scan *, char buf[SCAN_RELATION_LEN]);

/* When all sums have been read: those of each metric over all groups, if they
 * were asked for.  False: they are not known, since they might not fit into 64
 * bits. */
struct sums_value;
bool scan_totals(const struct scan *, struct sums_value *metrics);

/* Records in blocks that were looked into, and in those that were damaged. */
uint64_t scan_rows(const struct scan *);
uint64_t scan_rows_damaged(const struct scan *);

/* How much of the view has been passed, 0 to 1; for progress. */
double scan_part(const struct scan *);

#endif /* collector/store/scan.h */
