/* lib/batch.h -- a batch of flow records: one array per column.
 *
 * Decoders fill batches, stages rewrite columns in place, the store appends
 * them.  Nothing is allocated per flow.  A batch belongs to one thread at a
 * time; handing it over through a ring hands over the ownership. */
#ifndef LIB_BATCH_H
#define LIB_BATCH_H 1

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/column.h"

#define BATCH_ROWS 2048         /* Also DuckDB's vector size. */
#define BATCH_SPANS 2048
#define BATCH_GAP 64            /* Bytes between columns. */

struct source;                  /* lib/source.h */

/* A run of rows that came from one source. */
struct batch_span {
    struct source *source;
    uint16_t from, n;
};

/* For who wants to know what became of batches.  On the heap, freed with its
 * last reference: each batch that was handed over has one, and who asks. */
struct batch_receipt {
    _Atomic uint32_t n_refs;
    _Atomic uint64_t lost;      /* Rows that could not be written. */
};

void batch_receipt_unref(struct batch_receipt *);

struct flow_batch {
    uint32_t n;                 /* Rows in use. */
    uint32_t n_spans;
    struct batch_receipt *receipt;      /* NULL: nobody asks. */
    int64_t oldest_us;          /* Arrival of the first row, wall clock. */
    struct flow_batch *next;    /* For whoever owns the batch. */
    uint64_t valid[N_COLUMNS][BATCH_ROWS / 64]; /* Bit set: not null. */
#define COLUMN_CTYPE_U8 uint8_t
#define COLUMN_CTYPE_U16 uint16_t
#define COLUMN_CTYPE_U32 uint32_t
#define COLUMN_CTYPE_U64 uint64_t
#define COLUMN_CTYPE_BOOL uint8_t
#define COLUMN_CTYPE_TIME int64_t
#define COLUMN_CTYPE_ADDR struct addr
#define COLUMN_CTYPE_MAC uint64_t
#define COLUMN_CTYPE_NAME uint32_t
#define COLUMN_CTYPE_ENUM uint8_t
#define COLUMN_CTYPE_BITS uint32_t
    /* Without a gap one row of all columns would compete for the few places
     * that a cache has for addresses which are equal modulo a page. */
#define X(ID, TYPE, UNIT, IE, IE6, FLAGS, DOC)          \
    _Alignas(64) COLUMN_CTYPE_##TYPE ID[BATCH_ROWS];    \
    uint8_t gap_##ID[BATCH_GAP];
    FLOW_COLUMNS(X)
#undef X
    struct batch_span spans[BATCH_SPANS];
};

struct flow_batch *batch_create(void);          /* NULL if out of memory. */
void batch_destroy(struct flow_batch *);

/* Empties the batch.  Values of new rows are undefined until they are set;
 * validity of every nullable column starts as "null", of every other column
 * as "set" with value zero. */
void batch_reset(struct flow_batch *);

static inline bool
batch_full(const struct flow_batch *b)
{
    return b->n >= BATCH_ROWS || b->n_spans >= BATCH_SPANS;
}

static inline uint32_t
batch_room(const struct flow_batch *b)
{
    return b->n_spans >= BATCH_SPANS ? 0 : BATCH_ROWS - b->n;
}

/* Marks one value, or those of rows 'from' to 'from + n - 1', as present. */
static inline void
batch_set_valid(struct flow_batch *b, enum column_id col, uint32_t row)
{
    b->valid[col][row / 64] |= UINT64_C(1) << row % 64;
}

static inline bool
batch_is_valid(const struct flow_batch *b, enum column_id col, uint32_t row)
{
    return b->valid[col][row / 64] >> row % 64 & 1;
}

/* Whether a column has a value in each row. */
static inline bool
batch_all_valid(const struct flow_batch *b, enum column_id col)
{
    uint64_t missing = 0;
    for (uint32_t i = 0; i < b->n / 64; i++) {
        missing |= ~b->valid[col][i];
    }
    if (b->n % 64) {
        missing |= ~b->valid[col][b->n / 64] << (64 - b->n % 64);
    }
    return !missing;
}

static inline void
batch_clear_valid(struct flow_batch *b, enum column_id col, uint32_t row)
{
    b->valid[col][row / 64] &= ~(UINT64_C(1) << row % 64);
}

void batch_set_valid_range(struct flow_batch *, enum column_id, uint32_t from,
                           uint32_t n);

/* Sets a column of row 'ROW' and marks it present. */
#define BATCH_SET(B, COL, ROW, VALUE)                   \
    do {                                                \
        (B)->COL[ROW] = (VALUE);                        \
        batch_set_valid(B, COL_##COL, ROW);             \
    } while (0)

/* The value array of a column as bytes. */
static inline void *
batch_column(struct flow_batch *b, enum column_id col)
{
    return (uint8_t *) b + columns[col].offset;
}

/* Zeroes all columns of rows 'from' to 'from + n - 1' (a decoder's clean
 * slate; validity is left alone). */
void batch_zero_rows(struct flow_batch *, uint32_t from, uint32_t n);

/* Appends rows 'from' to 'b->n - 1', which the caller has just filled, to the
 * spans of 'source'. */
void batch_add_span(struct flow_batch *, struct source *, uint32_t from);

/* A stage of the pipeline: rewrites columns of a batch in place.  Runs on a
 * worker; takes no lock and allocates nothing. */
struct stage {
    const char *name;
    void (*process)(void *aux, struct flow_batch *);
    void *aux;
};

#endif /* lib/batch.h */
