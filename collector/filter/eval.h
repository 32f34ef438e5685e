/* collector/filter/eval.h -- filters over batches in memory.
 *
 * A filter is compiled once into a list of steps on bitmaps and then run over
 * any number of batches: column by column, 64 rows a word, no branch per row.
 * The answer is the same as that of SQL (collector/query/sql_filter.c); a test
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

/* Sets the bit of each row that matches, and no other.  Thread-safe: a program
 * is not changed by running. */
void filter_run(const struct filter_program *, const struct flow_batch *,
                uint64_t bits[EVAL_WORDS]);

/* ---- Many filters over the same batches. ----
 *
 * Terms that several of them have are evaluated once for all, as long as there
 * are no more than EVAL_SHARED of these: what is beyond that costs time, no
 * more. */
#define EVAL_SHARED 512

struct filter_shared;                                   /* Opaque. */
struct filter_shared *filter_shared_create(void);       /* NULL: no memory. */
/* None may share any more.  NULL is fine. */
void filter_shared_destroy(struct filter_shared *);

/* A program shares from now on, until filter_unshare(); the latter is due
 * before it is destroyed.  No program of these may run meanwhile. */
void filter_share(struct filter_shared *, struct filter_program *);
void filter_unshare(struct filter_shared *, struct filter_program *);

/* IPv4 addresses of a batch as numbers: a quarter of the octets, a compare of
 * one word. */
struct eval_v4 {
    uint32_t addr[2][BATCH_ROWS];       /* src_addr, dst_addr. */
    uint64_t is[2][EVAL_WORDS];         /* Rows that have such a one. */
};

/* What was found out about a batch so far; large, and not initialised but by
 * eval_batch_begin(), which costs next to nothing. */
struct eval_batch {
    const struct flow_batch *batch;
    bool v4_made[2];
    struct eval_v4 v4;
    uint64_t done[EVAL_SHARED / 64];
    uint64_t bits[EVAL_SHARED][EVAL_WORDS];
};
void eval_batch_begin(struct eval_batch *, const struct flow_batch *);
/* filter_run() for programs that share with each other, or with none. */
void filter_run_once(const struct filter_program *, struct eval_batch *,
                     uint64_t bits[EVAL_WORDS]);

#endif /* collector/filter/eval.h */
