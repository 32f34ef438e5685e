/* collector/store/sums.h -- sums of records by keys, while they are read.
 *
 * What most questions need of the store is few numbers about many records.
 * Keys are packed into as few words as they need; an address is 32 bits.  A
 * table that gets too large for caches is split into partitions by the hash of
 * its keys, which several threads can then add up beside each other.  Few groups
 * of one thread are added to another's instead. */
#ifndef COLLECTOR_SUMS_H
#define COLLECTOR_SUMS_H 1

#include <stdbool.h>
#include <stdint.h>

#include "collector/store/block.h"

#define SUMS_MAX_KEYS 16
#define SUMS_MAX_METRICS 16

enum sums_of { SUMS_ADD, SUMS_MIN, SUMS_MAX };

struct sums_spec {
    int64_t bucket_us;          /* Key "time"; 0: none. */
    int64_t first_us, last_us;  /* No row has another time; 0, 0: not known. */
    unsigned n_keys;
    struct {
        enum column_id column;
        bool prefix;            /* Of an address: by these lengths. */
        uint8_t v4_len, v6_len;
        uint8_t bits;           /* That no value needs more of; 0: not known. */
    } keys[SUMS_MAX_KEYS];
    unsigned n_metrics;
    unsigned metrics[SUMS_MAX_METRICS];     /* Column, N_COLUMNS: records. */
    /* Of columns U64; the smallest and largest also of TIME. */
    enum sums_of of[SUMS_MAX_METRICS];
    /* If 'top' is not 0 only so many groups matter: those with the largest (or
     * smallest) sum of metric 'order', which is added up. */
    uint64_t top;
    unsigned order;
    bool descending;
};

struct sums;                                            /* Opaque. */

/* The codes of addresses, which all threads that sum up together share. */
struct sums_addrs;                                      /* Opaque. */
struct sums_addrs *sums_addrs_create(void);     /* NULL: out of memory. */
void sums_addrs_destroy(struct sums_addrs *);

/* NULL if out of memory. */
struct sums *sums_create(const struct sums_spec *, struct sums_addrs *);
void sums_destroy(struct sums *);

/* Whether the sums of a block fit into 64 bits beside what is there. */
bool sums_fit(struct sums *, const struct block_head *);

/* Adds rows of a frame: those of the list, 'n' of them.  The columns that are
 * needed are read into the batch.  Returns 0 or what block_read() says, with
 * nothing added, or -ENOMEM, after which the sums are good for nothing. */
int sums_add(struct sums *, struct block_reader *, unsigned frame,
             struct flow_batch *, const uint16_t *index, uint32_t n);

/* Adds the bounds of 'other', which sums_fit() keeps.  False, with nothing done:
 * sums might not fit together. */
bool sums_add_bounds(struct sums *s, const struct sums *other);

/* Adds all groups of the table of 'other' to 's'.  0; -EOVERFLOW, with nothing
 * done, if they might not fit; or -ENOMEM. */
int sums_merge(struct sums *s, const struct sums *other);

/* All groups are there, or all of a partition: leaves out those that do not
 * matter. */
void sums_cut(struct sums *);

uint64_t sums_bytes(const struct sums *);       /* Of memory. */
uint64_t sums_split_bytes(const struct sums *); /* Of these, partitions'. */
uint32_t sums_count(const struct sums *);       /* Groups in the table. */

/* One group of the table.  False if it was cut. */
struct sums_value {
    bool null;
    /* Or an id of the reader's dictionary, or the bits of a time. */
    uint64_t u;
    struct addr addr;
};
bool sums_get(const struct sums *, uint32_t i, int64_t *time_us,
              struct sums_value *keys, struct sums_value *metrics);

/* Forgets everything. */
void sums_reset(struct sums *);

/* ---- The largest of very many groups. ----
 *
 * Where only the first groups matter, most records need not be looked up in a
 * table of groups.  A first pass adds what the order is by to *cells*, many
 * groups to one, which fit into caches.  No group is larger than its cell, so a
 * second pass takes up records of the largest cells only.  If the last group
 * that is wanted is not smaller than every other cell, that is the answer; else
 * a third pass takes up the cells that are not smaller than it. */

/* Whether that is possible. */
bool sums_top_can(const struct sums_spec *);
/* Whether there are so many groups that it is quicker, if of so many rows that
 * were read so many matched: never, if each has a place of its own. */
bool sums_is_crowded(const struct sums *, uint64_t matched, uint64_t rows);
bool sums_is_direct(const struct sums *);

/* The first pass: like sums_add(), but to cells.  Groups that were added before
 * stay. */
int sums_sketch(struct sums *, struct block_reader *, unsigned frame,
                struct flow_batch *, const uint16_t *index, uint32_t n);
bool sums_is_sketched(const struct sums *);

struct sums_top;                                        /* Opaque. */
struct sums_top *sums_top_create(void);         /* NULL: out of memory. */
void sums_top_destroy(struct sums_top *);

/* All are through the first pass: chooses what the second takes up.  False: that
 * is all there is, and a third is not needed. */
bool sums_top_choose(struct sums_top *, struct sums *const *all, unsigned n);
/* Adds rows that were sketched, of what was chosen; like sums_add(). */
int sums_top_add(const struct sums_top *, struct sums *,
                 struct block_reader *, unsigned frame, struct flow_batch *,
                 const uint16_t *index, uint32_t n);
/* All are through the second pass: *sure if they have all groups that matter.
 * If not, chooses what a third pass takes up, after which they have.  (They have
 * others, too, with parts of their sums.)  0 or -ENOMEM. */
int sums_top_check(struct sums_top *, struct sums *const *all, unsigned n,
                   bool *sure);

/* ---- Partitions. ---- */

#define SUMS_PARTS 256

/* Whether there is anything in partitions, and puts all that is in the table
 * there.  0 or -ENOMEM. */
bool sums_is_split(const struct sums *);
int sums_split(struct sums *);

/* Writes what is in partitions to the end of a file, which other threads may do
 * as well, and gives its memory back; it is read from there when it is needed.
 * 0; -ENOMEM, after which the sums are good for nothing; or another negative
 * errno, with nothing changed. */
int sums_spill(struct sums *, int fd, _Atomic uint64_t *end);

/* Makes the table that of partition 'part' of all of these.  0 or -ENOMEM. */
int sums_collect(struct sums *, struct sums *const *all, unsigned n,
                 unsigned part);

/* Walks through what is in partitions; a group may come several times.  Begin
 * with zeros. */
struct sums_cursor {
    const void *chunk;
    uint32_t row;
    unsigned part;
    bool began;                 /* What of the partition is in memory. */
    size_t piece;               /* And of what is in a file. */
};
bool sums_next_row(struct sums *, struct sums_cursor *,
                   int64_t *time_us, struct sums_value *keys,
                   struct sums_value *metrics);

#endif /* collector/store/sums.h */
