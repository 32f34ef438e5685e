/* collector/filter/filter_p.h -- what lexer, grammar and tree share. */
#ifndef COLLECTOR_FILTER_P_H
#define COLLECTOR_FILTER_P_H 1

#include <stdbool.h>

#include "collector/filter/filter.h"

#define FILTER_MAX_TEXT 65536   /* Bytes. */
#define FILTER_MAX_NODES 4096   /* Of the tree: bounds every recursion. */

/* Where a token stands: byte offsets, 'end' exclusive. */
struct filter_span {
    size_t start, end;
};

/* A word, number or string of the text; the bytes are not NUL-terminated. */
struct filter_word {
    const char *text;
    size_t len;
    bool quoted;
};

enum filter_side { SIDE_ANY, SIDE_SRC, SIDE_DST };

/* Kinds of terms that are not simply a column's name. */
enum filter_kind { KIND_HOST, KIND_NET, KIND_PORT, KIND_AS, KIND_MAC,
                   KIND_IF };

struct filter_parse {
    const char *text;
    size_t size;
    size_t at;                  /* Of the lexer. */
    unsigned n_nodes;
    struct filter *tree;
    struct filter_error *error;
    void *scanner;              /* Flex's. */
    bool failed;                /* '*error' is filled in; the first wins. */
};

/* Lists of values of "in [a b c]". */
struct filter_list {
    struct filter_list *next;
    struct filter_word word;
    struct filter_span span;
};
void filter_list_destroy(struct filter_list *);
struct filter_list *filter_list_add(struct filter_parse *,
                                    struct filter_list *,
                                    const struct filter_word *,
                                    const struct filter_span *);

/* lexer.l: 0 or -ENOMEM. */
int filter_scanner_open(struct filter_parse *);
void filter_scanner_close(struct filter_parse *);

void filter_fail(struct filter_parse *, size_t position,
                 const char *expected, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Constructors: they take over their operands and return NULL, with the parse
 * failed, if something is wrong. */
struct filter *filter_make(struct filter_parse *, enum filter_op,
                           struct filter *left, struct filter *right);
struct filter *filter_make_column(struct filter_parse *, enum column_id,
                                  enum filter_cmp, const struct filter_word *,
                                  const struct filter_span *);
struct filter *filter_make_kind(struct filter_parse *, enum filter_kind,
                                enum filter_side, enum filter_cmp,
                                const struct filter_word *,
                                const struct filter_span *);
struct filter *filter_make_flags(struct filter_parse *,
                                 const struct filter_word *,
                                 const struct filter_span *);
struct filter *filter_make_null(struct filter_parse *, enum column_id);
struct filter *filter_make_number(struct filter_parse *, enum column_id,
                                  uint64_t number);
/* One of a list: 'kind' or, if that is negative, column 'column'.  Takes over
 * the list. */
struct filter *filter_make_list(struct filter_parse *, int kind,
                                enum filter_side, enum column_id column,
                                struct filter_list *);

#endif /* collector/filter/filter_p.h */
