/* collector/store/shape.h -- what the rows of one table say at all.
 *
 * DuckDB pays for every column of every row, also for those that are empty or
 * always the same.  So a segment has a few tables, each with only the columns
 * that its rows need, in the smallest type that holds them; what is left out
 * is in the text of the view "flows" that puts them together. */
#ifndef COLLECTOR_SHAPE_H
#define COLLECTOR_SHAPE_H 1

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/batch.h"
#include "lib/column.h"

/* How a table has a column.  Numbers are stored in segments. */
enum shape_kind {
    SHAPE_ABSENT = 0,           /* NULL in every row. */
    SHAPE_CONST = 1,            /* The same in every row. */
    SHAPE_TIMES = 2,            /* Another column times a constant. */
    SHAPE_NARROW = 3,           /* Stored in half as many bits, or fewer. */
    SHAPE_WIDE = 4,             /* Stored as it is. */
    N_SHAPE_KINDS
};

struct shape_column {
    uint8_t kind;
    bool wide;                  /* If stored, then SHAPE_WIDE. */
    uint64_t value;             /* CONST (an IPv4 address as a number) and
                                 * TIMES; else 0. */
};

struct shape {
    struct shape_column column[N_COLUMNS];
};

/* Kinds of rows, which go to different tables. */
enum row_kind {
    ROW_V4,                     /* Addresses are all IPv4, or there are none. */
    ROW_OTHER,
    N_ROW_KINDS
};

/* A choice of a batch's rows. */
struct row_set {
    uint64_t bits[BATCH_ROWS / 64];
    uint16_t index[BATCH_ROWS]; /* The same as a list. */
    uint32_t n;
    bool all;                   /* Every row of the batch. */
};

/* The column that one is a multiple of, N_COLUMNS if there is none. */
enum column_id shape_base(enum column_id);
/* Whether there is a narrow form of a type. */
bool shape_has_narrow(enum column_id);

/* The rows of each kind. */
void row_sets_make(const struct flow_batch *, struct row_set[N_ROW_KINDS]);

/* What rows need.  The first call for a shape has 'first' set, later ones add
 * to it. */
void shape_learn(struct shape *, const struct flow_batch *,
                 const struct row_set *, bool first);

/* Nothing that few rows have in common by accident: no constants. */
void shape_generalise(struct shape *);

/* Whether rows that need 'need' fit a table of shape 'table'. */
bool shape_covers(const struct shape *table, const struct shape *need);
/* Makes 'a' cover 'b', too. */
void shape_join(struct shape *a, const struct shape *b);
/* Bytes a row before compression, plus something per column: for comparing. */
unsigned shape_cost(const struct shape *);

bool shape_stored(const struct shape *, enum column_id);
/* SQL: columns of CREATE TABLE, and the select list of the view. */
void shape_put_columns(FILE *, const struct shape *);
void shape_put_select(FILE *, const struct shape *);

#endif /* collector/store/shape.h */
