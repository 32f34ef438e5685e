/* collector/filter/filter.h -- the filter language: text to tree.
 *
 * nfdump's language with our columns.  One tree, two evaluators: SQL
 * (collector/query/) and, later, batches in memory. */
#ifndef COLLECTOR_FILTER_H
#define COLLECTOR_FILTER_H 1

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/column.h"

enum filter_op { FILTER_ANY, FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_TERM };
/* A term about an absent value is false, whatever it compares; CMP_NE is the
 * negation of CMP_EQ and so true of it. */
enum filter_cmp { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE,
                  CMP_IN_PREFIX, CMP_BITS_ALL, CMP_BITS_NONE, CMP_IS_NULL };

struct filter {
    enum filter_op op;
    struct filter *left, *right;        /* AND, OR; NOT uses left. */
    /* FILTER_TERM */
    enum column_id column;
    enum filter_cmp cmp;
    uint64_t number;            /* Integers, times, MACs, words. */
    struct prefix prefix;       /* ADDR columns, with CMP_IN_PREFIX. */
    char *text;                 /* NAME columns. */
};

struct filter_error {
    size_t position;            /* Byte offset into the text. */
    char message[160];
    char expected[160];         /* What could stand there. */
};

/* Parses 'text' ("" and "any" match everything).  Returns the tree, which the
 * caller owns, or NULL with '*error' filled in.  Text, depth and number of
 * terms are bounded. */
struct filter *filter_parse(const char *text, struct filter_error *error);
void filter_destroy(struct filter *);

#endif /* collector/filter/filter.h */
