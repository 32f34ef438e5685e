/* collector/store/block_reader_p.h -- a reader of blocks, inside.
 *
 * block_load.c finds and checks headers and bodies, block_fetch.c reads those of
 * several columns at once, block_read.c takes frames out of bodies. */
#ifndef COLLECTOR_BLOCK_READER_P_H
#define COLLECTOR_BLOCK_READER_P_H 1

#include "collector/store/block_p.h"

/* Columns that refer to columns that refer to columns. */
#define MAX_DEPTH 3

/* What was read of one column of the block. */
struct loaded {
    bool tried;
    int error;                  /* 0: the rest is valid. */
    const uint8_t *body;        /* In 'own' or in a piece. */
    uint8_t *own;
    size_t allocated;
    const uint64_t *nulls;      /* Its bitmap, or NULL: complete. */
    struct packed numbers;      /* Or positions in the table. */
    const uint8_t *wide;
    uint32_t n_entries;
    union {
        uint64_t *numbers;
        struct addr *addrs;
        uint32_t *names;
        void *any;
    } entries;
    size_t entries_allocated;
};

/* What was read of the block at once. */
struct fetched {
    struct block_piece at;
    uint8_t *bytes;
    size_t allocated;
};

struct block_reader {
    struct dict *dict;
    const struct block_head *head;
    block_fetch_fn *fetch;
    void *aux;
    uint64_t bytes;
    struct fetched pieces[BLOCK_PIECES];
    unsigned n_pieces;
    struct loaded columns[N_COLUMNS];
    /* One frame of numbers, for each depth and one more. */
    uint64_t numbers[MAX_DEPTH + 1][FRAME_ROWS];
    uint32_t codes[FRAME_ROWS];
    struct flow_batch *sampling;
    const uint16_t *index;      /* The rows that are wanted; NULL: all. */
    uint32_t n_index;
};

/* The body of a column that the block has, read if it was not before; its
 * 'error' says how that went.  'depth' bounds how columns refer to others. */
struct loaded *block_load(struct block_reader *, enum column_id,
                          unsigned depth);

/* What was fetched of the block at 'offset', if all of it was, with PACK_SLACK
 * behind it; or NULL.  Until the reader turns to another block. */
const uint8_t *block_fetched(const struct block_reader *, uint32_t offset,
                             uint32_t size);

#endif /* collector/store/block_reader_p.h */
