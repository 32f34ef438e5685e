/* api/cli/table.h -- tables of text: fitted to a terminal, or as CSV. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct table;

struct table *table_create(void);
void table_destroy(struct table *);

/* Columns first, then the cells of each row from left to right.  Texts are
 * copied; NULL is an empty cell. */
void table_column(struct table *, const char *name, bool right);
void table_cell(struct table *, const char *text);
size_t table_rows(const struct table *);

/* At most 'width' columns of a terminal (0: as wide as it gets).  A long text
 * in the last column is wrapped; what else does not fit is cut and marked. */
void table_print(const struct table *, FILE *, unsigned width, bool bold);

/* A text that begins at column 'indent', 'width' columns of it a line (0: as
 * wide as it gets), between words where that is possible. */
void table_wrap(FILE *, const char *text, unsigned width, unsigned indent);

/* RFC 4180, with names as the first record. */
void table_csv(const struct table *, FILE *);

/* "1.2 MB", "12.3 k", "999"; 'unit' is "B" or any other.  Returns 'buf'. */
#define HUMAN_STRLEN 32
char *human_number(double value, const char *unit, char buf[HUMAN_STRLEN]);

/* A copy, to free(), without what could do something to a terminal. */
char *table_clean(const char *text);

#endif /* api/cli/table.h */
