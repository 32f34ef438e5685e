/* collector/store/prune.h -- what a filter makes of a whole block. */
#ifndef COLLECTOR_PRUNE_H
#define COLLECTOR_PRUNE_H 1

#include "collector/filter/filter.h"
#include "collector/store/block.h"

enum prune { PRUNE_NONE, PRUNE_SOME, PRUNE_ALL };

/* Which rows of a block match, as far as its directory tells: none, all, or
 * who knows. */
enum prune prune_filter(const struct filter *, const struct block_head *);

/* The columns that a filter looks at: calls 'add' for each, some more than
 * once. */
void prune_columns(const struct filter *, void (*add)(void *, enum column_id),
                   void *aux);

#endif /* collector/store/prune.h */
