/* collector/store/scan_p.h -- a scan, inside.
 *
 * scan.c       which rows there are, and these as a table of SQL
 * scan_sums.c  sums of them as a table of SQL */
#ifndef COLLECTOR_SCAN_P_H
#define COLLECTOR_SCAN_P_H 1

#include "collector/store/scan.h"
#include "collector/store/store_p.h"
#include "collector/store/sums.h"

/* Threads of one use. */
#define MAX_WORKERS 64

struct scan {
    struct scan *next;          /* Of the store. */
    uint64_t id;
    struct store *store;
    struct store_view *view;
    struct scan_spec spec;
    struct filter_program *program;     /* NULL: no filter. */
    struct dict *dict;          /* NULL: no names are read. */
    pthread_mutex_t dict_lock;
    /* Its owner, and uses; under the store's 'scans_lock'. */
    unsigned n_refs;
    struct column_set used;     /* By the filter. */
    bool fresh;                 /* It uses what the stage fills. */
    struct sums_spec sums;      /* If 'spec.sums'. */
    bool has_totals;            /* The last use has told these: */
    struct scan_totals {
        uint64_t sum[SUMS_MAX_METRICS];
        bool any[SUMS_MAX_METRICS];     /* There was a value. */
    } totals;
    _Atomic uint64_t rows, damaged;
    _Atomic size_t passed;      /* Blocks. */
};

/* What is to be read once more of a block. */
struct reread {
    uint8_t first, end;         /* Frames; none if they are the same. */
    uint64_t *bits;             /* Rows of the block that match, if known. */
};

/* One use of a scan in a statement. */
struct use {
    struct scan *scan;
    _Atomic size_t next_block;
    struct reread *reread;      /* Of each block, or NULL. */
    size_t n_reread;
    bool again;                 /* Only that is read. */
    _Atomic uint64_t bits_bytes;
    unsigned n_columns;
    uint16_t columns[2 * N_COLUMNS];    /* N_COLUMNS: nothing is asked for. */
    struct column_set wanted;   /* Of rows that match. */
    struct column_set ordering; /* Of these, what a first pass needs. */

    struct scan_sums *sums;     /* If it is of sums. */
};

/* What there is to find out of which rows of a block match. */
struct match {
    bool all;                   /* Each does, but for: */
    bool ranges;                /* Times must be looked at. */
    bool canonical;             /* And that. */
};

/* A thread of it. */
struct worker {
    struct use *use;
    struct sums_worker *sums;   /* Or NULL. */

    struct block_reader *reader;
    struct flow_batch *batch;
    const struct view_block *block;     /* At hand, or NULL. */
    struct reread *reread;      /* Of it, or NULL. */
    bool keep;                  /* Rows that match will be asked for again. */
    struct match match;         /* Of it. */
    bool fetched;               /* What is wanted of it. */
    unsigned frame, end;        /* The one at hand; after the last. */
    uint32_t rows;              /* Of the frame. */
    uint16_t index[BATCH_ROWS]; /* Those that match. */
    uint32_t n;
    uint32_t n_all;             /* So many of 'index' are their own numbers. */
};

/* What sums of all questions together, and what helps them, may take in memory,
 * in parts of store/memory. */
#define SUMS_MEMORY 2
/* Tells the store that 'bytes' more are taken, or less.  True: that is too much
 * now. */
bool scan_take_memory(struct store *, uint64_t bytes);

/* Turns to the next frame with rows that match, whose columns of the use have
 * been read.  False: there is none. */
bool scan_next_frame(struct worker *);

/* What a block cannot be read for: it is left out, and that is told. */
void scan_report(struct scan *, const struct view_block *, int error);

/* A name as a value of SQL. */
duckdb_string_t scan_text(const struct scan *, uint32_t id);

/* scan_sums.c: tells the sums what no value of the view exceeds. */
void scan_sums_bound(struct scan *);
struct scan_sums *scan_sums_create(struct use *);
void scan_sums_destroy(struct scan_sums *, struct store *);
void scan_sums_end(struct worker *);    /* Frees what is the worker's. */
void scan_sums_bind(struct scan *, duckdb_bind_info);
void scan_sums_run(duckdb_function_info, duckdb_data_chunk);

#endif /* collector/store/scan_p.h */
