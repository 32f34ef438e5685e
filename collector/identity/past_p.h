/* collector/identity/past_p.h -- how a file of the past is laid out.
 *
 * Pages of 4 KiB, the last four octets of each the CRC-32 of the others: a
 * header, pages of intervals sorted by key and time, pages of texts, and pages
 * of an index, which is in memory while the file is open.  Numbers are little
 * endian, as both of our machines are. */
#ifndef COLLECTOR_IDENTITY_PAST_P_H
#define COLLECTOR_IDENTITY_PAST_P_H 1

#include <stdatomic.h>

#include "collector/identity/past.h"
#include "collector/identity/record.h"

#define PAST_PAGE 4096u
#define PAST_USED (PAST_PAGE - 4)               /* Before the CRC. */
#define PAST_MAGIC UINT64_C(0x32545341504e4556) /* "VENPAST2" */

struct past_header {
    uint64_t magic;
    uint64_t n;                 /* Intervals. */
    uint64_t text_page;         /* The first one of texts. */
    uint64_t text_octets;
    int64_t min_from, max_to;
    uint64_t lengths[3];        /* Of prefixes, as bits. */
};

struct past_row {
    uint8_t addr[16];
    uint8_t kind, len;
    uint8_t zero[6];
    uint64_t text;              /* Offset in the texts: a length (32 bits), then
                                 * identity_put_text() of each. */
    int64_t from, to;
};
_Static_assert(sizeof(struct past_row) == 48, "no padding in files");
#define PAST_ROWS (PAST_USED / sizeof(struct past_row))

/* What a page of intervals has: the first key, and the latest end, so that a
 * key with many intervals is not read through. */
struct past_index {
    uint8_t addr[16];
    uint8_t kind, len;
    uint8_t zero[6];
    int64_t max_to;
};
_Static_assert(sizeof(struct past_index) == 32, "no padding in files");
#define PAST_INDEX (PAST_USED / sizeof(struct past_index))

/* Source, id, interface and members, and their length. */
#define PAST_MAX_TEXTS (4 + (3 + IDENTITY_N_MEMBERS) * (IDENTITY_MAX_TEXT + 2))

struct past_run {
    int fd;
    uint64_t size;
    struct past_header h;
    uint64_t row_pages, text_pages;
    struct past_index *index;   /* Of each page of intervals. */
    _Atomic uint64_t damaged;
};

/* Some pages that were read last; not for two threads at once. */
struct past_reader {
    struct past_run *run;
    uint64_t first, n, room;    /* Pages; n: that were read and check. */
    uint8_t *data;
};

/* Of 'room' pages, read at a time.  false: out of memory. */
bool past_reader_init(struct past_reader *, struct past_run *, size_t room);
void past_reader_clear(struct past_reader *);
/* Row 'i'; false if its page is damaged. */
bool past_row_at(struct past_reader *, uint64_t i, struct past_row *);
/* Texts at 'at' of the file's as they are written, without their length, to 'raw'
 * (PAST_MAX_TEXTS octets); 0 if they are damaged. */
size_t past_raw_at(struct past_reader *, uint64_t at, uint8_t *raw);
/* The same as texts, to 'copy' (2 * PAST_MAX_TEXTS octets); false if they are
 * damaged. */
bool past_texts_at(struct past_reader *, uint64_t at, char *copy,
                   struct past_interval *);

int past_compare_keys(const struct past_row *, const struct past_row *);
int past_compare_rows(const void *, const void *);

static inline uint64_t
past_pages(uint64_t n, uint64_t per_page)
{
    return (n + per_page - 1) / per_page;
}

#endif /* collector/identity/past_p.h */
