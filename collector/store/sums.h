/* collector/store/sums.h -- sums of records by keys, while they are read.
 *
 * What most questions need of the store is few numbers about many records.
 * Keys are packed into as few words as they need; addresses are numbered first,
 * by the tables that blocks have of them.  One thread's sums can be added to
 * another's. */
#ifndef COLLECTOR_SUMS_H
#define COLLECTOR_SUMS_H 1

#include <stdbool.h>
#include <stdint.h>

#include "collector/store/block.h"

#define SUMS_MAX_KEYS 16
#define SUMS_MAX_METRICS 16

struct sums_spec {
    int64_t bucket_us;          /* Key "time"; 0: none. */
    unsigned n_keys;
    struct {
        enum column_id column;
        bool prefix;            /* Of an address: by these lengths. */
        uint8_t v4_len, v6_len;
    } keys[SUMS_MAX_KEYS];
    unsigned n_metrics;
    unsigned metrics[SUMS_MAX_METRICS];     /* Column, N_COLUMNS: records. */
    /* If 'top' is not 0 only so many groups matter: those with the largest (or
     * smallest) sum of metric 'order'. */
    uint64_t top;
    unsigned order;
    bool descending;
};

struct sums;                                            /* Opaque. */

/* NULL if out of memory. */
struct sums *sums_create(const struct sums_spec *);
void sums_destroy(struct sums *);

/* Whether the sums of a block fit into 64 bits beside what is there. */
bool sums_fit(struct sums *, const struct block_head *);

/* Adds rows of a frame: those of the list, 'n' of them.  The columns that are
 * needed are read into the batch.  Returns 0 or what block_read() says, with
 * nothing added, or -ENOMEM, after which the sums are good for nothing. */
int sums_add(struct sums *, struct block_reader *, unsigned frame,
             struct flow_batch *, const uint16_t *index, uint32_t n);

/* Adds all of 'other' to 's'.  0; -EOVERFLOW, with nothing done, if they might
 * not fit; or -ENOMEM. */
int sums_merge(struct sums *s, const struct sums *other);

/* All groups are there: leaves out those that do not matter. */
void sums_cut(struct sums *);

uint64_t sums_bytes(const struct sums *);       /* Of memory. */
uint32_t sums_count(const struct sums *);       /* Groups. */

/* One group.  False if it was cut. */
struct sums_value {
    bool null;
    uint64_t u;                 /* Or an id of the reader's dictionary. */
    struct addr addr;
};
bool sums_get(const struct sums *, uint32_t i, int64_t *time_us,
              struct sums_value *keys, struct sums_value *metrics);

/* Forgets all groups. */
void sums_reset(struct sums *);

#endif /* collector/store/sums.h */
