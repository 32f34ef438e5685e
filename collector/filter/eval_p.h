/* collector/filter/eval_p.h -- a compiled filter, from inside. */
#ifndef COLLECTOR_EVAL_P_H
#define COLLECTOR_EVAL_P_H 1

#include <regex.h>

#include "collector/filter/eval.h"

enum step_op {
    STEP_ALL, STEP_NONE,        /* Push a constant. */
    STEP_TERM,                  /* Push what 'term' says. */
    STEP_AND, STEP_OR,          /* The two on top become one. */
    STEP_NOT,
};

struct shared_term;
struct addr_set;
struct step;
typedef void term_fn(const struct step *, const struct flow_batch *,
                     unsigned words, uint64_t *out);

struct step {
    enum step_op op;
    term_fn *run;               /* STEP_TERM */
    enum column_id column;
    enum filter_value value;
    bool nullable;
    uint64_t mask, lo, span;    /* (v & mask) - lo <= span, modulo. */
    uint64_t prefix[2], prefix_mask[2];
    int v4;                     /* End of an IPv4 prefix; -1: none such. */
    uint32_t v4_net, v4_mask;
    uint32_t name;              /* That is held; 0: none. */
    const struct dict *dict;    /* Names that are searched: */
    char *word;                 /* for a word, or if there is one for a */
    regex_t *pattern;           /* pattern, whose text that is. */
    struct addr_set *set;       /* One of these addresses; NULL: no set. */
    struct shared_term *shared; /* NULL: of this program alone. */
};

struct filter_program {
    unsigned n, allocated;
    bool failed;
    struct step *steps;
    struct dict *dict;
};

/* What finds the rows whose value of such a type and size in octets is in the
 * range of the step. */
term_fn *eval_kernel(enum column_type, unsigned size);
/* The same of numbers that are computed from columns of the record. */
term_fn eval_computed;
/* Rows whose text has the word, the label or the pattern of the step. */
term_fn eval_text;
/* Rows whose address is in the set of the step; and sets of at most 'n'
 * addresses (NULL: no memory). */
term_fn eval_set;
struct addr_set *eval_set_create(unsigned n);
void eval_set_destroy(struct addr_set *);               /* NULL is fine. */
void eval_set_add(struct addr_set *, const struct addr *);
/* Rows whose IPv4 address, out of those of a batch as numbers, is in the
 * prefix of the step. */
void eval_prefix_v4(const struct step *, const struct eval_v4 *,
                    unsigned words, uint64_t *out);
/* Makes them of one end: 0 is src_addr, 1 dst_addr. */
void eval_v4_make(struct eval_v4 *, const struct flow_batch *, int end);

/* Where the rows of a term go that several programs have; -1: nowhere. */
int filter_shared_slot(const struct shared_term *);

#endif /* collector/filter/eval_p.h */
