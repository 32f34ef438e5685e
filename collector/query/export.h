/* collector/query/export.h -- stored flows into files: Parquet, CSV, NDJSON.
 *
 * A file is written in the store's scratch directory, then copied to where it
 * belongs, so that nobody ever sees half of one.  Names, addresses and words
 * are written out. */
#ifndef COLLECTOR_EXPORT_H
#define COLLECTOR_EXPORT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct data_export;
struct filter;
struct store;

enum data_format { DATA_PARQUET, DATA_CSV, DATA_NDJSON, N_DATA_FORMATS };

/* "parquet", "csv", "ndjson": also the suffix of files.  And back, or -1. */
const char *data_format_name(enum data_format);
int data_format_find(const char *);

/* How files of a directory are divided: DIR/day=2026-11-23/hour=07/flows.X,
 * or without the hour. */
enum data_partition { DATA_BY_HOUR, DATA_BY_DAY };

struct data_export_config {
    struct store *store;
    int64_t from_us, to_us;     /* flow_end in [from, to). */
    struct filter *filter;      /* Taken over; NULL: everything. */
    bool canonical;             /* Only one observation of each packet. */
    enum data_format format;
    /* All in one file, taken over; or below 0, and files in 'dir', copied:
     * those of the same hours are replaced. */
    int fd;
    const char *dir;
    enum data_partition partition;
};

enum data_status { DATA_OK, DATA_CANCELLED, DATA_FAILED };

struct data_file {
    char path[128];             /* Below 'dir'. */
    uint64_t rows, bytes;
};

struct data_export_result {
    enum data_status status;
    char error[256];
    uint64_t rows, bytes;
    struct data_file *files;    /* Owned by the export. */
    size_t n_files;
    double elapsed_ms;
};

/* Runs it on a thread of its own.  'progress' (may be NULL) is called on it after
 * each file, 'done' once at the end; the result is the export's.  Then
 * data_export_finish() may be called.  NULL: no memory, or no thread. */
struct data_export *data_export_start(
    const struct data_export_config *,
    void (*progress)(void *aux, double part, uint64_t rows),
    void (*done)(void *aux, const struct data_export_result *), void *aux);

/* Asks it to end soon.  Thread-safe. */
void data_export_cancel(struct data_export *);

/* Waits for its end; data_export_finish() is still to be called. */
void data_export_wait(struct data_export *);

/* Waits for its end, frees it and its result.  Not from 'done'. */
void data_export_finish(struct data_export *);

#endif /* collector/query/export.h */
