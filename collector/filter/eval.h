/* collector/filter/eval.h -- filters over batches in memory.
 *
 * A filter is compiled once into a list of steps on bitmaps and then run over
 * any number of batches: column by column, 64 rows a word, no branch per row.
 * The answer is the same as that of SQL (collector/query/sql.c); a test
 * compares them. */
#ifndef COLLECTOR_EVAL_H
#define COLLECTOR_EVAL_H 1

#include <stdint.h>

#include "collector/filter/filter.h"
#include "lib/batch.h"

#define EVAL_WORDS (BATCH_ROWS / 64)

struct dict;
struct filter_program;                                  /* Opaque. */

/* Compiles; names become ids of 'dict'.  NULL if out of memory. */
struct filter_program *filter_compile(const struct filter *, struct dict *);
void filter_program_destroy(struct filter_program *);   /* NULL is fine. */

/* IPv4 addresses of a batch as numbers, for many filters over the same batch:
 * a quarter of the octets, a compare of one word. */
struct eval_v4 {
    uint32_t addr[2][BATCH_ROWS];       /* src_addr, dst_addr. */
    uint64_t is[2][EVAL_WORDS];         /* Rows that have such a one. */
};
void filter_v4(const struct flow_batch *, struct eval_v4 *);

/* Sets the bit of each row that matches, and no other.  Thread-safe: a program
 * is not changed by running. */
void filter_run(const struct filter_program *, const struct flow_batch *,
                uint64_t bits[EVAL_WORDS]);
/* The same; 'v4' is of the batch, or NULL. */
void filter_run_v4(const struct filter_program *, const struct flow_batch *,
                   const struct eval_v4 *v4, uint64_t bits[EVAL_WORDS]);

#endif /* collector/filter/eval.h */
