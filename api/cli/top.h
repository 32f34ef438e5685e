/* api/cli/top.h -- what venturictl top shows, without a terminal.
 *
 * A view is one question, asked again and again, and a table: top.c draws it and
 * reads keys, this makes questions and tables. */
#ifndef CLI_TOP_H
#define CLI_TOP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define TOP_MAX_COLUMNS 12

struct top_column {
    const char *title;
    const char *name;           /* Of the answer: a column, or a path. */
    bool right;                 /* A number. */
    const char *unit;           /* Of a number for people; NULL: as it is. */
    bool rate;                  /* A counter: what it grew by per second. */
    unsigned width;             /* At least; what is left goes to texts. */
};

struct top_view {
    char key;                   /* That chooses it. */
    const char *title, *method;
    const char *list;           /* Where an answer has rows; NULL: it is one of
                                 * flow.query. */
    const char *by;             /* Of flow.query: columns with commas. */
    const char *by_other;       /* For the other direction; or NULL. */
    const char *where, *where_other;    /* And a filter. */
    struct top_column columns[TOP_MAX_COLUMNS];
    unsigned sort;              /* The column at first. */
};
extern const struct top_view top_views[];       /* Ends with key 0. */

struct top_cell {
    char *text;                 /* For people. */
    double number;              /* Of numbers; -1: there is none. */
};

/* What there is to see, as rows and columns. */
struct top_table {
    const struct top_view *view;
    unsigned n_columns;
    size_t n_rows;
    struct top_cell *cells;     /* n_rows * n_columns */
};

/* How a view is asked for. */
struct top_state {
    const struct top_view *view;
    unsigned sort;
    bool ascending;
    bool other;                 /* The other direction. */
    const char *filter;         /* NULL: all. */
    int64_t last_s;             /* Seconds that flows are summed over. */
};

unsigned top_n_columns(const struct top_view *);

/* The parameters of the view's method; the caller's. */
struct json_object *top_params(const struct top_state *, size_t limit);

/* The table of an answer, sorted.  'before' (or NULL) is the answer to the same
 * 'seconds' ago: rates need it.  false: out of memory. */
bool top_make(const struct top_state *, struct json_object *answer,
              struct json_object *before, double seconds, struct top_table *);
void top_clear(struct top_table *);

/* How wide columns are on a screen of 'width': 0 for those that do not fit. */
void top_widths(const struct top_table *, unsigned width,
                unsigned widths[TOP_MAX_COLUMNS]);

#endif /* api/cli/top.h */
