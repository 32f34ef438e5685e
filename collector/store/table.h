/* collector/store/table.h -- the different values of a column, numbered as they
 * come. */
#ifndef COLLECTOR_TABLE_H
#define COLLECTOR_TABLE_H 1

#include <stdint.h>

#include "collector/store/block.h"

#define TABLE_SLOTS (4 * BLOCK_ROWS)

struct table {
    uint32_t n;
    uint32_t mask;              /* Of the slots in use. */
    uint64_t numbers[BLOCK_ROWS];
    struct addr addrs[BLOCK_ROWS];
    /* After table_sort_v4(): */
    uint32_t order[BLOCK_ROWS]; /* Old number to new. */
    struct addr sorted[BLOCK_ROWS];     /* Those that are not IPv4. */
    uint32_t slots[TABLE_SLOTS];        /* Number plus 1; 0: free. */
    uint64_t other[BLOCK_ROWS];
    uint32_t from[2][BLOCK_ROWS];       /* Of table_sort_numbers(). */
};

/* Empties the table; it will hold at most 'n' values. */
void table_reset(struct table *, uint32_t n);
/* The number of a value. */
uint32_t table_number(struct table *, uint64_t value);
uint32_t table_addr(struct table *, const struct addr *);
/* Renumbers addresses so that IPv4 comes first: their low 32 bits are in
 * 'numbers', the others in 'sorted'; how many there are of each in 'n'. */
void table_sort_v4(struct table *, uint32_t n[2]);

/* Sorts the first 'n' of 'numbers', the smallest first; to[old place] is the new
 * one. */
void table_sort_numbers(struct table *, uint32_t n, uint32_t *to);

#endif /* collector/store/table.h */
