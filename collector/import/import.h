/* collector/import/import.h -- flow files of nfcapd into the store.
 *
 * A file is read twice: first to see whether all of it can be read, whether it
 * was imported before, and whether the store would keep what it has; then to
 * store it.  So a file that is refused has left nothing.  A journal knows the
 * files by their flows, whatever their name and compression, and how far an
 * import that was cut short has come: the next one goes on there. */
#ifndef COLLECTOR_IMPORT_H
#define COLLECTOR_IMPORT_H 1

#include <stdbool.h>
#include <stdint.h>

#include "collector/import/nfcapd.h"

struct dict;
struct import;
struct rollup;
struct store;

struct import_config {
    int fd;                     /* Of a regular file; taken over. */
    const char *name;           /* For people; copied. */
    const char *journal;        /* Path; copied. */
    struct store *store;
    struct dict *dict;
    struct rollup *rollup;      /* Is told which hours it touches; or NULL. */
    int64_t keep_from_us;       /* The store keeps what came since then; 0:
                                 * everything. */
    bool check;                 /* Only look: nothing is stored or refused. */
    bool again;                 /* Also what was imported before. */
    bool damaged;               /* What can be read of a damaged file. */
    bool expired;               /* Also what will soon be deleted by age. */
};

enum import_status {
    IMPORT_OK,
    IMPORT_BAD_FILE,            /* Not a file of nfcapd, or not readable. */
    IMPORT_DAMAGED,
    IMPORT_KNOWN,               /* Was imported before. */
    IMPORT_EXPIRED,             /* Older than what the store keeps. */
    IMPORT_CANCELLED,
    IMPORT_FAILED,
};

struct import_unkept {
    unsigned number;
    const char *name;           /* NULL: not known. */
    uint64_t n;
};

#define IMPORT_MAX_DAMAGE 8
#define IMPORT_MAX_UNKEPT 16

struct import_result {
    enum import_status status;
    char error[256];
    struct nfcapd_counters n;
    struct nfcapd_info info;
    char damage[IMPORT_MAX_DAMAGE][256];
    unsigned n_damage;
    struct import_unkept unkept[IMPORT_MAX_UNKEPT];
    unsigned n_unkept;
    int64_t known_us;           /* When it was imported before; 0: never. */
    uint64_t expired;           /* Flows that came before 'keep_from_us'. */
    uint64_t resumed;           /* Flows that an earlier import has stored. */
    uint64_t stored, lost;      /* Of this one. */
    double elapsed_ms;
};

/* How far it is, 0 to 1; the whole of both readings. */
typedef void import_progress_fn(void *aux, bool storing, double part,
                                uint64_t rows);

/* Runs an import on a thread of its own.  'progress' (may be NULL) is called on
 * it a few times a second, 'done' once at its end; then import_finish() may be
 * called.  NULL: no memory, or no thread. */
struct import *import_start(const struct import_config *,
                            import_progress_fn *progress,
                            void (*done)(void *aux,
                                         const struct import_result *),
                            void *aux);

/* Asks it to end soon.  Thread-safe. */
void import_cancel(struct import *);

/* Waits for its end and frees it.  Not from 'done'. */
void import_finish(struct import *);

#endif /* collector/import/import.h */
