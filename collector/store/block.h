/* collector/store/block.h -- up to 65,536 flow records as bytes, by column.
 *
 * A block is a header, a directory with an entry per column, and the columns'
 * bodies.  The header and directory have a checksum, and so has each body: what
 * a question does not need is neither read nor checked.  A block needs nothing
 * but itself and the list of columns of its file: names are in it as text.
 *
 * A column is one of
 *     absent      no entry: null in every row
 *     constant    the value is in the directory, there is no body
 *     numbers     packed (collector/store/pack.h)
 *     table       the different values, the smallest first, as differences, and
 *                 packed positions in it; addresses of IPv6 without the octets
 *                 that all of them have
 *     wide        16 bytes each: addresses that are neither
 * and numbers may be what is left after
 *     derived     another column times a constant, or times "sampling", has
 *                 been taken off
 *     scaled      the rest was divided by a unit (times in milliseconds)
 *     delta       the difference to the row before was taken
 * Only values that are there are stored: which rows they are of is said by a
 * bitmap, which two columns may share. */
#ifndef COLLECTOR_BLOCK_H
#define COLLECTOR_BLOCK_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/store/pack.h"
#include "lib/batch.h"
#include "lib/column.h"

struct dict;

#define BLOCK_ROWS 65536u       /* At most. */
#define BLOCK_FRAMES (BLOCK_ROWS / FRAME_ROWS)
/* Of a well-formed block. */
#define BLOCK_MAX_BYTES (256u << 20)

_Static_assert(FRAME_ROWS == BATCH_ROWS, "a frame is read into a batch");

/* Times are kept within 1970 to 9999: some others are special to DuckDB. */
#define BLOCK_LAST_TIME_US INT64_C(253402300799999999)

static inline int64_t
block_clamp_time(int64_t us)
{
    return us < 0 ? 0 : us > BLOCK_LAST_TIME_US ? BLOCK_LAST_TIME_US : us;
}

/* ---- Writing. ---- */

struct block_writer;                                    /* Opaque. */

struct block_writer *block_writer_create(void); /* NULL: out of memory. */
void block_writer_destroy(struct block_writer *);

/* Appends a block with all rows of 'n' batches, together 1 to BLOCK_ROWS;
 * 'first_row' is the number of the first in its segment.  Names are ids of
 * 'dict'.  Returns 0 or -ENOMEM. */
int block_write(struct block_writer *, const struct flow_batch *const *,
                size_t n, struct dict *dict, uint64_t first_row,
                struct bytes *);

/* ---- Reading. ---- */

/* The columns of a file: numbers in its blocks to ours, or N_COLUMNS. */
#define BLOCK_MAX_COLUMNS 256
struct block_columns {
    unsigned n;
    uint16_t id[BLOCK_MAX_COLUMNS];
};

/* What a block has of a column. */
struct block_column {
    enum column_id id;
    uint8_t kind, flags, nulls;
    uint16_t ref;               /* Numbers of the file, as on disk. */
    uint16_t nulls_of;
    uint32_t offset, size;      /* Of the body, from the block's beginning. */
    uint64_t checksum;
    uint64_t param, unit, base;
    /* Smallest and largest value; addresses in network order.  Of names
     * nothing. */
    union {
        uint64_t u;
        struct addr addr;
    } min, max;
};

/* A header and directory in memory. */
struct block_head {
    uint32_t size;              /* Of the whole block. */
    uint32_t n_rows;
    uint64_t first_row;
    int64_t min_us, max_us;     /* Of flow_end. */
    unsigned n_columns;
    uint16_t at[N_COLUMNS];     /* Index in 'columns', or UINT16_MAX. */
    struct block_column columns[];
};

/* Bytes of the part before the directory, and of the longest header. */
#define BLOCK_HEAD_FIXED 64
#define BLOCK_HEAD_MAX (BLOCK_HEAD_FIXED + BLOCK_MAX_COLUMNS * 96)

/* Bytes of header and directory, and of the block, by its first
 * BLOCK_HEAD_FIXED bytes; false if that is no block. */
bool block_sizes(const uint8_t *, uint32_t *head, uint32_t *whole);

/* Reads a header and directory of 'size' bytes.  NULL if it is damaged or
 * there is no memory; free() it. */
struct block_head *block_head_read(const uint8_t *, size_t size,
                                   const struct block_columns *);

static inline const struct block_column *
block_column(const struct block_head *h, enum column_id id)
{
    return h->at[id] == UINT16_MAX ? NULL : &h->columns[h->at[id]];
}

/* Whether a column has the same value in each row, or none in each. */
bool block_is_constant(const struct block_column *);
/* Whether it is null nowhere. */
bool block_is_complete(const struct block_column *);

/* Reads 'size' bytes at 'offset' of a block; 0 or a negative errno. */
typedef int block_fetch_fn(void *aux, uint64_t offset, void *, size_t size);

/* Reads frames of one block after another; for one thread. */
struct block_reader;                                    /* Opaque. */

/* Names that it comes across become ids of 'dict'. */
struct block_reader *block_reader_create(struct dict *dict);
void block_reader_destroy(struct block_reader *);

/* Turns to another block, which must stay as long as it is read.  'fetch' gets
 * offsets from the beginning of the block. */
void block_reader_set(struct block_reader *, const struct block_head *,
                      block_fetch_fn *, void *aux);

/* A piece of a block. */
struct block_piece {
    uint32_t offset, size;
};
#define BLOCK_PIECES 16

/* What is to be read for columns, and for those that they are derived from:
 * pieces from the first on, with little between them that is not wanted.
 * Returns how many; beyond BLOCK_PIECES they are left out. */
unsigned block_pieces(const struct block_head *, const struct column_set *,
                      struct block_piece [BLOCK_PIECES]);

/* Reads what these columns need at once, as far as it was not read before.
 * Otherwise, or if that fails, a column is read when it is asked for. */
void block_reader_fetch(struct block_reader *, const struct column_set *);

/* Bodies that were read since the reader was made, bytes. */
uint64_t block_reader_bytes(const struct block_reader *);

/* The rows of frame 'i' of a block. */
static inline uint32_t
block_frame_rows(const struct block_head *h, unsigned i)
{
    uint32_t first = i * FRAME_ROWS;
    return h->n_rows - first < FRAME_ROWS ? h->n_rows - first : FRAME_ROWS;
}

static inline unsigned
block_frames(const struct block_head *h)
{
    return (h->n_rows + FRAME_ROWS - 1) / FRAME_ROWS;
}

/* Reads a column of frame 'frame' into the batch: its values from row 0 on and
 * which of them are valid.  Values that are not valid are undefined; of a
 * column that the block does not have all are null or, where that cannot be, 0.
 * Returns 0, -EBADMSG if the block is damaged, or another error of 'fetch'. */
int block_read(struct block_reader *, enum column_id, unsigned frame,
               struct flow_batch *);

/* The same, but only rows index[0], index[1], ... (rising) must be right, which
 * is quicker if they are few. */
int block_read_rows(struct block_reader *, enum column_id, unsigned frame,
                    struct flow_batch *, const uint16_t *index, uint32_t n);

/* Whether all addresses of a column are of IPv4, and packed as numbers; and
 * those, like block_read_rows(). */
bool block_has_v4(const struct block_reader *, enum column_id);
int block_read_v4(struct block_reader *, enum column_id, unsigned frame,
                  struct flow_batch *, const uint16_t *index, uint32_t n,
                  uint32_t numbers[FRAME_ROWS]);

/* The block that it is at. */
const struct block_head *block_reader_head(const struct block_reader *);

/* Whether a column of addresses is a table in this block; and the positions in
 * it of a frame's rows, like block_read_rows(), with which of them are valid in
 * the batch.  The table stays until the reader turns to another block. */
bool block_has_table(const struct block_reader *, enum column_id);
int block_read_table(struct block_reader *, enum column_id, unsigned frame,
                     struct flow_batch *, const uint16_t *index, uint32_t n,
                     uint32_t positions[FRAME_ROWS],
                     const struct addr **table, uint32_t *n_entries);

#endif /* collector/store/block.h */
