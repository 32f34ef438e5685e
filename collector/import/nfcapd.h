/* collector/import/nfcapd.h -- flow files as nfcapd and sfcapd of nfdump 1.7
 * write them: a header, blocks of records that may be compressed, records made
 * of extensions.  Files into batches; no store, no thread.
 *
 * nfcapd has multiplied what was sampled: 'bytes' and 'packets' are what
 * nfdump shows, 'raw_*' are computed back by the sampler that the file names.
 * All records count as canonical, so that totals are nfdump's. */
#ifndef COLLECTOR_NFCAPD_H
#define COLLECTOR_NFCAPD_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/batch.h"
#include "lib/counter.h"

struct dict;
struct nfcapd;

#define NFCAPD_COUNTERS(X)                                                  \
    X(blocks, "Blocks of records read")                                     \
    X(records, "Flow records read")                                         \
    X(rows, "Flows made of them: two of one that counts both directions")   \
    X(exporters, "Exporters that the file names")                           \
    X(samplers, "Samplers that the file names")                             \
    X(bytes, "Sum of bytes")                                                \
    X(packets, "Sum of packets")                                            \
    X(sampled, "Records that nfcapd has multiplied by a sampling rate")     \
    X(aggregated, "Records that nfdump has put together from several flows")\
    X(time_corrected, "Flows whose times could not be right")               \
    X(events, "Records of firewall and NAT events")                         \
    X(other_records, "Names, statistics: records that are no flows")        \
    X(unknown_records, "Records of a type that is not known here")          \
    X(unknown_extensions, "Parts of records that are not known here")       \
    X(unkept_extensions, "Parts of records that no column takes")           \
    X(bad_blocks, "Blocks that are damaged")                                \
    X(bad_records, "Records that are damaged, and those behind them")

struct nfcapd_counters {
    NFCAPD_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def nfcapd_counter_defs[];

/* Names of interfaces that a file has told of, by their numbers.  Begin with
 * zeros. */
struct nfcapd_names {
    struct { uint32_t number, name; } *list;    /* Rising; ids of the dict. */
    size_t n, allocated;
    size_t n_exporters;         /* Only with one are they its. */
};
void nfcapd_names_clear(struct nfcapd_names *);

struct nfcapd_config {
    /* Reads up to 'n' bytes at an offset; less only at the end of the file; a
     * negative errno on failure. */
    ssize_t (*read)(void *aux, uint64_t offset, void *buf, size_t n);
    /* Takes a full batch and returns the one to go on with, or NULL to end. */
    struct flow_batch *(*flush)(void *aux, struct flow_batch *);
    void *aux;
    uint64_t size;              /* Of the file. */
    struct dict *dict;          /* Names go there. */
    /* NULL, or what is learned: by a second reading flows have also names that
     * the file tells after them.  Its owner clears it. */
    struct nfcapd_names *names;
    int64_t now_us;             /* Nothing can have arrived later. */
};

/* What the header says, and what has been seen so far. */
struct nfcapd_info {
    const char *compression;
    bool closed;                /* Its writer has finished it. */
    int64_t created_us;
    char version[24];           /* Of nfdump: "1.7.1". */
    uint32_t n_blocks;          /* With flows; 0: not closed. */
    int64_t first_us, last_us;  /* Of flow_end; INT64_MAX, INT64_MIN: none. */
    bool has_totals;            /* What the file says about itself: */
    uint64_t flows, bytes, packets;
    uint64_t offset;            /* Bytes that are through. */
    uint8_t hash[32];           /* Of all flow records; nfcapd_hash(). */
};

/* Reads the header.  NULL, and the reason in 'error', if this is no such file
 * or one that cannot be read. */
struct nfcapd *nfcapd_open(const struct nfcapd_config *, char *error,
                           size_t size);
void nfcapd_close(struct nfcapd *);

/* Reads one block into '*b', which is replaced when it is full, or when the
 * next flow arrived in another hour.  1: there may be more; 0: the end, with
 * rows left in '*b'; -ECANCELED: flush() has ended it; -EBADMSG: damaged, and
 * 'error' says where and how, but it can go on with the next block, if there is
 * one to be found; another negative errno otherwise. */
int nfcapd_next(struct nfcapd *, struct flow_batch **b, char *error,
                size_t size);

const struct nfcapd_counters *nfcapd_counters(const struct nfcapd *);
void nfcapd_info(const struct nfcapd *, struct nfcapd_info *);

/* Why rows of an extension were not kept whole: its number, its name or NULL,
 * how many records have it.  False: there are no more. */
bool nfcapd_unkept(const struct nfcapd *, unsigned i, unsigned *number,
                   const char **name, uint64_t *n);

#endif /* collector/import/nfcapd.h */
