/* collector/store/block_p.h -- blocks as they lie on disk. */
#ifndef COLLECTOR_BLOCK_P_H
#define COLLECTOR_BLOCK_P_H 1

#include "collector/store/block.h"

#define BLOCK_MAGIC UINT64_C(0x314b434f4c425456)        /* "VTBLOCK1" */

struct disk_head {
    uint64_t magic;
    uint64_t checksum;          /* Of header and directory, this being 0. */
    uint32_t size, head_size;
    uint32_t n_rows, n_columns;
    uint64_t first_row;
    int64_t min_us, max_us;
    uint64_t zero;
};
_Static_assert(sizeof(struct disk_head) == BLOCK_HEAD_FIXED,
               "this is on disk");

enum block_kind { KIND_CONST = 1, KIND_NUMBERS, KIND_TABLE, KIND_WIDE,
                  N_BLOCK_KINDS };
/* Of numbers: */
#define FLAG_DERIVED 0x01       /* 'ref' times 'param' was taken off. */
#define FLAG_SAMPLED 0x02       /* ... times "sampling" instead. */
#define FLAG_SCALED 0x04        /* (value - base) / unit was taken. */
#define FLAG_DELTA 0x08         /* Zigzag differences within a frame. */
/* Of addresses, constant or not: the low 32 bits of IPv4 as a number.  In a
 * table: there are also wide ones, after those. */
#define FLAG_V4 0x10
/* Of a table with wide addresses: they are what their thin_head has in common,
 * and the other octets, in order, as a number of 128 bits: its low half of each
 * packed, then, if that is not enough, the high half of each. */
#define FLAG_THIN 0x20
/* Of a table: its numbers rise, and are differences, each to the one before. */
#define FLAG_RISING 0x40
#define FLAG_ALL 0x7f

enum block_nulls { NULLS_NONE, NULLS_BITMAP, NULLS_SAME, N_BLOCK_NULLS };

struct disk_column {
    uint16_t column;            /* In the list of the file. */
    uint8_t kind, flags;
    uint8_t nulls;
    uint8_t zero1;
    uint16_t ref;               /* Column that numbers are derived from. */
    uint16_t nulls_of;          /* Column whose bitmap this has, too. */
    uint16_t zero2;
    uint32_t offset, size;      /* Of the body; from the beginning. */
    uint32_t zero3;
    uint64_t checksum;          /* Of the body. */
    uint64_t param, unit, base;
    uint8_t min[16], max[16];
};
_Static_assert(sizeof(struct disk_column) == 88, "this is on disk");

struct thin_head {
    uint16_t differ;            /* Bit 'i': octet 'i' is not in all the same. */
    uint8_t zero[6];
    uint8_t octets[16];         /* Those that are. */
};
_Static_assert(sizeof(struct thin_head) == 24, "this is on disk");

#define BITMAP_BYTES(N_ROWS) (((N_ROWS) + 63) / 64 * 8)

#endif /* collector/store/block_p.h */
