/* collector/filter/filter.h -- the filter language: text to tree.
 *
 * nfdump's language with our columns.  One tree, two evaluators: SQL
 * (collector/query/) and batches in memory (eval.h). */
#ifndef COLLECTOR_FILTER_H
#define COLLECTOR_FILTER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/column.h"

enum filter_op { FILTER_ANY, FILTER_AND, FILTER_OR, FILTER_NOT, FILTER_TERM };
/* A term about an absent value is false, whatever it compares; CMP_NE is the
 * negation of CMP_EQ and so true of it. */
enum filter_cmp { CMP_EQ, CMP_NE, CMP_LT, CMP_LE, CMP_GT, CMP_GE,
                  CMP_IN_PREFIX, CMP_BITS_ALL, CMP_BITS_NONE, CMP_IS_NULL,
                  /* NAME columns: a word of the text, between blanks; an
                   * extended regular expression that matches in it; labels
                   * ("k=v,k2=v2") that have ",k=v,", or with ",k=" the key. */
                  CMP_HAS_WORD, CMP_MATCHES, CMP_HAS_LABEL };

/* What a term compares: a column, or a number that is computed from columns of
 * the record, rounded down; never absent.  nfdump's meanings. */
enum filter_value {
    FV_COLUMN,
    FV_DURATION,        /* flow_end - flow_start, in milliseconds. */
    FV_BPS, FV_PPS,     /* Bits and packets a second; 0 in no time. */
    FV_BPP,             /* Bytes a packet; 0 without packets. */
    FV_ENGINE_TYPE, FV_ENGINE_ID,       /* Of NetFlow v5's domain. */
    N_FILTER_VALUES
};

struct filter {
    enum filter_op op;
    struct filter *left, *right;        /* AND, OR; NOT uses left. */
    /* FILTER_TERM */
    enum filter_value value;
    enum column_id column;      /* If 'value' is FV_COLUMN. */
    enum filter_cmp cmp;
    uint64_t number;            /* Integers, times, MACs, words. */
    struct prefix prefix;       /* ADDR columns, with CMP_IN_PREFIX. */
    char *text;                 /* NAME columns. */
};

struct filter_error {
    size_t position;            /* Byte offset into the text. */
    char message[160];
    char expected[320];         /* What could stand there. */
};

/* Parses 'text' ("" and "any" match everything).  Returns the tree, which the
 * caller owns, or NULL with '*error' filled in.  Text, depth and number of
 * terms are bounded. */
struct filter *filter_parse(const char *text, struct filter_error *error);
void filter_destroy(struct filter *);

/* The same tree again; NULL if out of memory, or if 'f' is NULL. */
struct filter *filter_copy(const struct filter *f);
/* The same questions in the same places? */
bool filter_equal(const struct filter *, const struct filter *);
/* Two trees with FILTER_AND or FILTER_OR between them, or FILTER_NOT of 'left'
 * ('right' is NULL then).  Takes over both; NULL if one of them is, or out of
 * memory. */
struct filter *filter_join(enum filter_op, struct filter *left,
                           struct filter *right);

/* Appends a key or value of labels as labels are written, with a backslash before
 * ",", "=" and "\", to the 'size' octets of 'out'.  False if there is no
 * room. */
bool filter_label_escape(char *out, size_t size, const char *text, size_t len);

/* The name of a computed value, NULL for FV_COLUMN. */
const char *filter_value_name(enum filter_value);

/* Words that can stand at byte 'cursor' of 'text', beginning with what stands
 * before it; that beginning is at 'start'. */
#define FILTER_MAX_WORDS 256
struct filter_completion {
    size_t start;
    unsigned n;
    const char *words[FILTER_MAX_WORDS];        /* Static. */
    bool value;                 /* A value is expected: others are possible. */
};
void filter_complete(const char *text, size_t cursor,
                     struct filter_completion *);

#endif /* collector/filter/filter.h */
