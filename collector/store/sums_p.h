/* collector/store/sums_p.h -- what the parts of sums share.
 *
 * sums.c      groups in a table, and what is asked of them
 * sums_key.c  keys of a frame as words
 * sums_few.c  records of few groups
 * sums_part.c groups and records in partitions
 * sums_top.c  the largest of very many groups */
#ifndef COLLECTOR_SUMS_P_H
#define COLLECTOR_SUMS_P_H 1

#include <pthread.h>

#include "collector/store/sums.h"

/* Cells that groups are put into by their hash (sums_top.c). */
#define SUMS_CELL_BITS 18
#define SUMS_CELLS (1u << SUMS_CELL_BITS)
#define SUMS_SKETCH_BYTES (SUMS_CELLS * sizeof(uint64_t))

#define MAX_WORDS (2 * SUMS_MAX_KEYS + 2)
#define NONE UINT32_MAX

/* Where a key is in the words of a group: its value plus 1, 0 being null; of
 * 64 bits the value, with a bit elsewhere that says it is there.  Of an address
 * its code. */
struct piece {
    uint8_t word, shift, bits;
    uint8_t there_word, there_shift;    /* If 'bits' is 64. */
};

/* An address is coded in 32 bits: most of IPv4 as it is, others by a number
 * that all threads agree on. */
#define CODE_NULL UINT32_MAX
#define CODE_NUMBER UINT32_C(0xf0000000)        /* Plus the number. */

/* Addresses and their codes: one look into memory finds both. */
struct addr_slot {
    struct addr addr;
    uint32_t code;
    bool used;
    uint8_t pad[11];
};
_Static_assert(sizeof(struct addr_slot) == 32, "two to a line");

struct addr_table {
    struct addr_slot *slots;
    uint32_t n, mask;           /* Used; slots less 1. */
};

#define ADDR_PAGE 4096u
#define ADDR_PAGES 65535u

struct sums_addrs {
    pthread_mutex_t lock;
    struct addr_table table;
    struct addr *pages[ADDR_PAGES];     /* By number; they stay. */
};

/* Records or groups of one partition, as a group is: keys, sums, flags. */
#define CHUNK_BYTES 16384
struct chunk {
    struct chunk *next;
    uint32_t n;
    uint64_t rows[];
};

/* Memory that chunks are cut from. */
#define ARENA_BYTES ((size_t) 2 << 20)
struct arena {
    struct arena *next;
    size_t used;
    uint64_t offset;            /* In the file, once it is there. */
};

/* Chunks of one partition that are in a file. */
struct spilled {
    uint64_t *offsets;
    size_t n, allocated;
};

struct sums {
    struct sums_spec spec;
    struct sums_addrs *addrs;
    struct piece time;
    uint64_t first_bucket;      /* Is 0 there. */
    struct piece keys[SUMS_MAX_KEYS];
    unsigned n_words;           /* Of keys, at least 1. */
    unsigned size;              /* Words of a group: keys, sums, flags. */
    unsigned chunk_rows;        /* Groups that a chunk holds. */
    bool flags;                 /* The last word: which sums are not null. */
    uint32_t extremes;          /* Metrics of which the largest is kept. */
    uint64_t flip[SUMS_MAX_METRICS];    /* As numbers with these bits turned, so
                                         * that a new group's 0 is less. */
    bool direct;                /* 'groups' instead of 'slots'. */

    uint64_t **pages;           /* Groups. */
    uint32_t n, n_pages, allocated_pages;
    uint32_t *slots, mask;      /* Group plus 1; 0: free. */
    size_t allocated_slots;
    uint32_t *groups;           /* By key; NONE: new. */
    size_t n_groups;
    struct addr_table known;    /* Codes that this thread has seen. */
    uint64_t bound[SUMS_MAX_METRICS];   /* No sum is larger. */
    uint64_t cut;               /* Of those that matter, the last. */
    bool is_cut;
    uint64_t *best;             /* Of all cuts so far: a heap. */

    /* Partitions. */
    struct chunk *parts[SUMS_PARTS];
    struct arena *arenas;
    uint64_t n_arenas, n_split; /* Groups and records in them. */
    struct spilled spilled[SUMS_PARTS];
    int fd;                     /* Of the file; -1: none. */
    struct chunk *piece;        /* What was read of it last. */
    uint64_t n_table;           /* Records since the table was empty. */
    bool bypass;                /* Groups would hardly be met again. */

    /* Sums of metric 'order' by cells of groups; NULL: none. */
    uint64_t *sketch;

    /* Of the block at hand: codes by position in its table of addresses. */
    const struct block_head *head;
    uint32_t *ids[SUMS_MAX_KEYS], *rough_ids[SUMS_MAX_KEYS];
    size_t n_ids[SUMS_MAX_KEYS], n_rough_ids[SUMS_MAX_KEYS];
    /* Of the frame. */
    uint64_t words[MAX_WORDS][FRAME_ROWS];
    uint32_t codes[FRAME_ROWS];
    struct addr masked[FRAME_ROWS];
    uint64_t hash[FRAME_ROWS];
    uint64_t *group[FRAME_ROWS];
};

/* Every bit of a number gets into all others. */
static inline uint64_t
sums_mix(uint64_t v)
{
    v ^= v >> 32;
    v *= UINT64_C(0x9e3779b97f4a7c15);
    v ^= v >> 32;
    v *= UINT64_C(0x9e3779b97f4a7c15);
    return v ^ v >> 32;
}

static inline uint64_t
sums_hash(const uint64_t *w, size_t stride, unsigned n)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < n; i++) {
        h = sums_mix(h ^ w[i * stride]);
    }
    return h;
}

/* The low bits say where in a table, the high ones which partition. */
static inline unsigned
sums_part(uint64_t hash)
{
    return (unsigned) (hash >> 32) % SUMS_PARTS;
}

/* Adds the metrics of 'from', a row or group, to those of a group. */
static inline void
sums_join(const struct sums *s, uint64_t *group, const uint64_t *from)
{
    for (unsigned m = 0, k = s->n_words; m < s->spec.n_metrics; m++, k++) {
        if (!(s->extremes >> m & 1)) {
            group[k] += from[k];
        } else if (from[k] > group[k]) {
            group[k] = from[k];
        }
    }
    if (s->flags) {
        group[s->size - 1] |= from[s->size - 1];
    }
}

/* sums_key.c */
void sums_place_keys(struct sums *);
int sums_make_keys(struct sums *, struct block_reader *, unsigned frame,
                   struct flow_batch *, const uint16_t *index, uint32_t n);
/* The same, but addresses that have no code of their own are told apart by 32
 * bits of their hash, for which nothing is looked up.  And such words of a
 * group. */
int sums_make_rough_keys(struct sums *, struct block_reader *,
                         unsigned frame, struct flow_batch *,
                         const uint16_t *index, uint32_t n);
void sums_rough_group(const struct sums *, const uint64_t *group,
                      uint64_t words[MAX_WORDS]);
void sums_get_keys(const struct sums *, const uint64_t *group,
                   int64_t *time_us, struct sums_value *keys);
void sums_clear_keys(struct sums *);

/* sums_part.c: a new row, all zeros but for its keys, which are word 'i' of each
 * of s->words.  NULL if out of memory. */
uint64_t *sums_add_row(struct sums *, uint32_t i, uint64_t hash);
void sums_clear_parts(struct sums *);

/* sums.c: adds rows whose keys are in s->words. */
int sums_add_words(struct sums *, struct block_reader *, unsigned frame,
                   struct flow_batch *, const uint16_t *index, uint32_t n);
/* Of the 'n' largest numbers, the smallest being the first, puts 'v' in its
 * place. */
void sums_sift(uint64_t *heap, size_t n, uint64_t v);
/* Adds rows whose words and metrics are there, if the keys of the frame are so
 * close together that it has few (sums_few.c).  1: done; 0: they are not; or
 * -ENOMEM. */
#define SUMS_FEW_KEYS 256u
int sums_add_few(struct sums *, const struct flow_batch *,
                 const uint16_t *index, uint32_t n);
/* Finds the groups of 'n' words, making those that are new. */
int sums_find(struct sums *, uint32_t n);
bool sums_reserve(struct sums *, uint64_t n);
void sums_empty_table(struct sums *);

void sums_get_metrics(const struct sums *, const uint64_t *group,
                      struct sums_value *metrics);

/* Memory of any values for a table that is looked up at random: in huge pages if
 * it is large, where each look would wait for the page's address, too.  NULL if
 * there is none; free() it. */
void *sums_alloc_table(size_t size);

static inline uint64_t *
sums_group(const struct sums *s, uint32_t g)
{
    /* As many as a page has. */
    return s->pages[g >> 14] + (size_t) (g & 16383) * s->size;
}

#endif /* collector/store/sums_p.h */
