/* collector/store/segfile.h -- the files of a segment.
 *
 *     HOUR.flows   a header, which names the columns, and blocks
 *     HOUR.tail    the same header, and small blocks of the latest rows; they
 *                  are in HOUR.flows, too, when it has rows of their numbers
 *
 * Both only grow; a block that is there in part is the trace of a process that
 * was killed, and written over.  What is damaged is passed over: the blocks
 * before and behind it are found. */
#ifndef COLLECTOR_SEGFILE_H
#define COLLECTOR_SEGFILE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/store/block.h"

/* A block in a file, or in memory if 'bytes' is there. */
struct segblock {
    _Atomic unsigned n_refs;
    int fd;                     /* Borrowed from its file. */
    uint64_t offset;
    uint8_t *bytes;             /* Owned. */
    struct block_head *head;    /* Owned. */
    bool reported;              /* It is damaged; under the store's lock. */
};

struct segblock *segblock_ref(struct segblock *);
void segblock_unref(struct segblock *);         /* NULL is fine. */
/* A block_fetch_fn; 'aux' is the segblock. */
int segblock_fetch(void *aux, uint64_t offset, void *buf, size_t size);

/* It will be asked for soon: the system may read it meanwhile. */
void segblock_expect(const struct segblock *, uint64_t offset, size_t size);

/* A list of blocks, which has references to them. */
struct segblocks {
    struct segblock **list;
    size_t n, allocated;
};

/* Takes over the reference.  0 or -ENOMEM. */
int segblocks_add(struct segblocks *, struct segblock *);
void segblocks_clear(struct segblocks *);

struct segfile {
    int fd;                     /* -1: not open. */
    int only_read;              /* Negative errno: why no more. */
    uint64_t size;              /* Up to the end of the last block. */
    bool ours;                  /* Its columns are those of this version. */
    struct block_columns columns;
    struct segblocks blocks;
    uint64_t next_row;          /* Number of the one after the last. */
    uint64_t damaged;           /* Bytes that were passed over. */
};

/* The header of a new file.  0 or -ENOMEM. */
int segfile_header(struct bytes *);

/* Opens a file, for writing too if that is possible, and finds its blocks.
 * With 'in_memory' they are read whole.  Returns 0; -ENOENT; -EBADMSG if it is
 * not one of ours or its header is damaged; another error of the system that
 * may pass. */
int segfile_open(struct segfile *, const char *path, bool in_memory);
/* Makes a new one, or empties one. */
int segfile_create(struct segfile *, const char *path);
/* Closes; the blocks stay with those who have references. */
void segfile_close(struct segfile *);

/* Writes a block of 'size' bytes behind the last one, where nobody sees it yet.
 * On failure the file is as it was. */
int segfile_write(struct segfile *, const uint8_t *bytes, size_t size);
/* It belongs to the file now.  Takes over 'bytes' (from malloc) where it returns
 * 0 and the block is to be kept in memory.  0 or -ENOMEM. */
int segfile_add(struct segfile *, uint8_t *bytes, size_t size,
                bool in_memory);
/* Cuts off what was not written to its end. */
int segfile_trim(struct segfile *);
/* Removes all blocks. */
int segfile_truncate(struct segfile *);

/* The columns of this version, as a file names them. */
extern struct block_columns segfile_our_columns(void);

#endif /* collector/store/segfile.h */
