#include <config.h>

#include "collector/import/import.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/exporter/correct.h"
#include "collector/query/rollup.h"
#include "collector/store/store.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

/* Batches that are stored at one go.  The store keeps flows where their time
 * belongs: what arrives meanwhile goes elsewhere, and turns should be few. */
#define BURST 48
#define POLL_US 2000            /* How often to look whether a burst is on
                                 * disk, or the store has a batch to spare. */
#define PROGRESS_MS 200
#define CHECKPOINT_MS 1000
/* The first reading takes about so much of the time. */
#define CHECK_PART 0.2
#define HASH_STRLEN 65

struct import {
    struct import_config c;
    import_progress_fn *progress;
    void (*done)(void *aux, const struct import_result *);
    void *aux;
    pthread_t thread;
    _Atomic bool cancelled;

    struct import_result r;
    struct flow_batch *scratch;         /* Of the first reading. */
    struct flow_batch *burst[BURST];    /* Filled, not handed over yet. */
    unsigned n_burst;
    struct batch_receipt *receipt;
    bool storing;
    struct nfcapd_names names;
    int64_t first_us, last_us;          /* Arrival of the flows; 0: none. */
    uint64_t skip;                      /* Rows that are there already. */
    uint64_t submitted;                 /* Rows, those skipped too. */
    uint64_t written;                   /* Of these, surely on disk. */
    int64_t started_ms, progress_ms, checkpoint_ms;
    int journal;                        /* -1: none. */
    char hash[HASH_STRLEN];
};

static void
fail(struct import *im, enum import_status status, const char *why)
{
    im->r.status = status;
    snprintf(im->r.error, sizeof im->r.error, "%s", why);
}

static bool
cancelled(struct import *im)
{
    if (atomic_load(&im->cancelled) && im->r.status == IMPORT_OK) {
        fail(im, IMPORT_CANCELLED, "the import was cancelled");
    }
    return im->r.status == IMPORT_CANCELLED;
}

static void
tell_progress(struct import *im, const struct nfcapd *f)
{
    struct nfcapd_info info;
    int64_t now = clock_mono_ms();

    if (!im->progress || now - im->progress_ms < PROGRESS_MS) {
        return;
    }
    im->progress_ms = now;
    nfcapd_info(f, &info);
    struct stat st;
    double size = fstat(im->c.fd, &st) || !st.st_size ? 1
                                                      : (double) st.st_size;
    double part = (double) info.offset / size;
    part = part > 1 ? 1 : part;
    part = im->c.check ? part
           : im->storing ? CHECK_PART + (1 - CHECK_PART) * part
                         : CHECK_PART * part;
    im->progress(im->aux, im->storing, part,
                 counter_get(&nfcapd_counters(f)->rows));
}

/* ---- The journal: a line per event.
 *
 *     HASH done|part ROWS TIME_US NAME
 *
 * "part" says how many flows were on disk then. */

struct journal_entry {
    bool found, done;
    uint64_t rows;
    int64_t time_us;
};

static void
journal_find(const struct import *im, struct journal_entry *entry)
{
    char line[512], hash[HASH_STRLEN], what[8];
    FILE *f = fopen(im->c.journal, "re");

    memset(entry, 0, sizeof *entry);
    while (f && fgets(line, sizeof line, f)) {
        uint64_t rows;
        int64_t time_us;
        if (sscanf(line, "%64s %7s %" SCNu64 " %" SCNd64, hash, what, &rows,
                   &time_us) == 4
            && !strcmp(hash, im->hash)) {
            *entry = (struct journal_entry) { true, !strcmp(what, "done"),
                                              rows, time_us };
        }
    }
    if (f) {
        fclose(f);
    }
}

/* Adds a line; a name is told without what would break it. */
static void
journal_write(struct import *im, bool done, uint64_t rows)
{
    char line[400];

    if (!counter_get(&im->r.n.rows)) {
        return;                 /* Any other empty file is as empty. */
    }
    int n = snprintf(line, sizeof line, "%s %s %" PRIu64 " %" PRId64 " %.200s",
                     im->hash, done ? "done" : "part", rows, clock_wall_us(),
                     im->c.name);
    for (char *p = line; *p; p++) {
        *p = (unsigned char) *p < ' ' ? '?' : *p;
    }
    line[n] = '\n';
    if (im->journal < 0) {
        im->journal = open(im->c.journal,
                           O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    }
    if (im->journal < 0
        || write(im->journal, line, (size_t) n + 1) != n + 1
        || (done && fsync(im->journal))) {
        LOG(store, WARN, "%s: cannot be written (%s): a second import of %s "
            "would not be noticed", im->c.journal, strerror(errno),
            im->c.name);
    }
}

/* ---- Storing. ---- */

static void
checkpoint(struct import *im)
{
    int64_t now = clock_mono_ms();
    if (now - im->checkpoint_ms >= CHECKPOINT_MS && !im->skip) {
        im->checkpoint_ms = now;
        journal_write(im, false, im->written);
    }
}

/* Waits until all that was handed over is on disk, or lost: while a disk is
 * full, for as long as that takes, but not after it was cancelled. */
static void
wait_written(struct import *im)
{
    struct store_health health;

    while (atomic_load(&im->receipt->n_refs) > 1) {
        if (cancelled(im)) {
            store_health(im->c.store, &health);
            if (!health.writing) {
                return;
            }
        }
        usleep(POLL_US);
    }
    im->written = im->submitted;
}

/* Hands a batch over as soon as there is room.  False: cancelled. */
static bool
offer(struct import *im, struct flow_batch *b)
{
    b->receipt = im->receipt;
    atomic_fetch_add(&im->receipt->n_refs, 1);
    while (!store_offer(im->c.store, b)) {
        if (cancelled(im)) {
            return false;
        }
        usleep(POLL_US);
    }
    return true;
}

/* Hands over what is filled.  False: cancelled. */
static bool
hand_over(struct import *im)
{
    bool ok = true;

    for (unsigned i = 0; i < im->n_burst; i++) {
        struct flow_batch *b = im->burst[i];
        uint32_t n = b->n;
        ok = ok && offer(im, b);
        if (ok) {
            im->submitted += n;
        } else {
            store_batch_put(im->c.store, b);
        }
    }
    im->n_burst = 0;
    wait_written(im);
    checkpoint(im);
    return !cancelled(im);
}

/* An empty batch of the store's, as soon as it has one. */
static struct flow_batch *
take_batch(struct import *im)
{
    struct flow_batch *b;
    while (!(b = store_batch_get(im->c.store))) {
        if (cancelled(im)) {
            return NULL;
        }
        usleep(POLL_US);
    }
    return b;
}

/* Keeps a filled batch, unless an earlier import has stored it. */
static bool
keep(struct import *im, struct flow_batch *b)
{
    if (im->skip) {
        im->skip -= b->n < im->skip ? b->n : im->skip;
        im->submitted = im->written += b->n;
        store_batch_put(im->c.store, b);
        return true;
    }
    im->burst[im->n_burst++] = b;
    return im->n_burst < BURST || hand_over(im);
}

static struct flow_batch *
flush_stored(void *im_, struct flow_batch *b)
{
    struct import *im = im_;
    return keep(im, b) ? take_batch(im) : NULL;
}

/* ---- Reading. ---- */

static struct flow_batch *
flush_checked(void *im_, struct flow_batch *b)
{
    struct import *im = im_;
    for (uint32_t i = 0; i < b->n; i++) {
        int64_t us = b->received[i];
        im->r.expired += im->c.keep_from_us && us < im->c.keep_from_us;
        im->first_us = !im->first_us || us < im->first_us ? us
                                                          : im->first_us;
        im->last_us = us > im->last_us ? us : im->last_us;
    }
    batch_reset(b);
    return cancelled(im) ? NULL : b;
}

static ssize_t
read_fd(void *im_, uint64_t offset, void *buf, size_t n)
{
    struct import *im = im_;
    ssize_t got;
    do {
        got = pread(im->c.fd, buf, n, (off_t) offset);
    } while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static struct nfcapd *
open_file(struct import *im)
{
    struct stat st;
    char why[200];

    if (fstat(im->c.fd, &st) || !S_ISREG(st.st_mode)) {
        fail(im, IMPORT_BAD_FILE, "not a regular file");
        return NULL;
    }
    struct nfcapd_config config = {
        .read = read_fd,
        .flush = im->storing ? flush_stored : flush_checked,
        .aux = im,
        .size = (uint64_t) st.st_size,
        .dict = im->c.dict,
        .names = &im->names,
        .now_us = clock_wall_us() + CORRECT_MAX_FUTURE_US,
    };
    struct nfcapd *f = nfcapd_open(&config, why, sizeof why);
    if (!f) {
        fail(im, IMPORT_BAD_FILE, why);
    }
    return f;
}

/* Reads all blocks into '*b'.  0, or a negative errno. */
static int
read_blocks(struct import *im, struct nfcapd *f, struct flow_batch **b)
{
    char why[256];
    int e;

    while ((e = nfcapd_next(f, b, why, sizeof why)) == 1 || e == -EBADMSG) {
        if (e == -EBADMSG && !im->storing) {
            if (im->r.n_damage < IMPORT_MAX_DAMAGE) {
                memcpy(im->r.damage[im->r.n_damage++], why, sizeof why);
            }
        }
        if (cancelled(im)) {
            return -ECANCELED;
        }
        tell_progress(im, f);
    }
    if (e && e != -ECANCELED) {
        fail(im, IMPORT_BAD_FILE, why);
    }
    return e;
}

static void
take_result(struct import *im, const struct nfcapd *f)
{
    struct import_result *r = &im->r;
    const struct nfcapd_counters *n = nfcapd_counters(f);

    for (const struct counter_def *d = nfcapd_counter_defs; d->name; d++) {
        counter_t *to = (counter_t *) ((char *) &r->n + d->offset);
        atomic_store(to, counter_at(n, d));
    }
    nfcapd_info(f, &r->info);
    for (size_t i = 0; i < sizeof r->info.hash; i++) {
        sprintf(im->hash + 2 * i, "%02x", r->info.hash[i]);
    }
    for (r->n_unkept = 0; r->n_unkept < IMPORT_MAX_UNKEPT; r->n_unkept++) {
        struct import_unkept *u = &r->unkept[r->n_unkept];
        if (!nfcapd_unkept(f, r->n_unkept, &u->number, &u->name, &u->n)) {
            break;
        }
    }
}

/* The first reading.  True: it can be stored. */
static bool
check(struct import *im)
{
    struct journal_entry known;
    char why[sizeof im->r.error];
    struct nfcapd *f = open_file(im);

    if (!f) {
        return false;
    }
    int e = read_blocks(im, f, &im->scratch);
    if (!e) {
        flush_checked(im, im->scratch);
        take_result(im, f);
    }
    nfcapd_close(f);
    if (e) {
        return false;
    }
    journal_find(im, &known);
    known.done = known.done && counter_get(&im->r.n.rows);
    im->r.known_us = known.done ? known.time_us : 0;
    if (known.found && !known.done && !im->c.again) {
        im->skip = im->r.resumed = known.rows;
    }
    if (im->c.check) {
        return false;
    }
    if (im->r.n_damage && !im->c.damaged) {
        fail(im, IMPORT_DAMAGED, im->r.damage[0]);
    } else if (known.done && !im->c.again) {
        char when[TIME_STRLEN];
        snprintf(why, sizeof why, "the same flows were imported at %s",
                 time_format_us(known.time_us, when));
        fail(im, IMPORT_KNOWN, why);
    } else if (im->r.expired && !im->c.expired) {
        snprintf(why, sizeof why, "%" PRIu64 " of %" PRIu64 " flows are older "
                 "than store/retention/raw keeps: they would be deleted at "
                 "once", im->r.expired, counter_get(&im->r.n.rows));
        fail(im, IMPORT_EXPIRED, why);
    }
    return im->r.status == IMPORT_OK;
}

/* Sums of the hours that it touches are not right any more: when it begins, so
 * that a kill does not leave them, and when all is stored. */
static void
tell_rollup(struct import *im)
{
    if (im->c.rollup && im->last_us) {
        rollup_invalidate(im->c.rollup, im->first_us, im->last_us + 1);
    }
}

/* The second reading. */
static void
store_all(struct import *im)
{
    struct flow_batch *b = NULL;
    uint64_t before = im->skip;

    im->storing = true;
    struct nfcapd *f = open_file(im);
    if (f && (b = take_batch(im))) {
        int e = read_blocks(im, f, &b);
        /* A batch in hand is whole in any case; those behind it come when the
         * import is taken up again. */
        if (b && (!b->n || e)) {
            store_batch_put(im->c.store, b);
        } else if (b) {
            keep(im, b);
        }
        hand_over(im);
        im->r.lost = atomic_load(&im->receipt->lost);
        if (im->written < before) {     /* Not even so far again. */
            im->written = im->submitted = before;
        }
        im->r.stored = im->written - before - im->r.lost;
        if (im->r.lost) {
            fail(im, IMPORT_FAILED, "the store could not write all flows");
        } else if (im->submitted > im->written) {
            char why[sizeof im->r.error];
            snprintf(why, sizeof why, "cancelled while the store could not "
                     "write: %" PRIu64 " flows may be stored yet, and again "
                     "if the import goes on", im->submitted - im->written);
            fail(im, IMPORT_CANCELLED, why);
        }
        journal_write(im, im->r.status == IMPORT_OK, im->written);
    }
    nfcapd_close(f);
}

static void *
run(void *im_)
{
    struct import *im = im_;

    if (check(im)) {
        tell_rollup(im);
        store_all(im);
        tell_rollup(im);
    }
    im->r.elapsed_ms = (double) (clock_mono_ms() - im->started_ms);
    im->done(im->aux, &im->r);
    return NULL;
}

/* ---- Life. ---- */

static void
destroy(struct import *im)
{
    if (im->journal >= 0) {
        close(im->journal);
    }
    if (im->c.fd >= 0) {
        close(im->c.fd);
    }
    batch_destroy(im->scratch);
    nfcapd_names_clear(&im->names);
    batch_receipt_unref(im->receipt);
    free((char *) im->c.name);
    free((char *) im->c.journal);
    free(im);
}

struct import *
import_start(const struct import_config *config, import_progress_fn *progress,
             void (*done)(void *aux, const struct import_result *), void *aux)
{
    struct import *im = calloc(1, sizeof *im);

    if (!im) {
        close(config->fd);
        return NULL;
    }
    im->c = *config;
    im->c.name = strdup(config->name);
    im->c.journal = strdup(config->journal);
    im->journal = -1;
    im->progress = progress;
    im->done = done;
    im->aux = aux;
    im->started_ms = im->checkpoint_ms = clock_mono_ms();
    im->scratch = batch_create();
    im->receipt = calloc(1, sizeof *im->receipt);
    if (im->scratch) {
        batch_reset(im->scratch);
    }
    if (im->receipt) {
        atomic_store(&im->receipt->n_refs, 1);
    }
    if (!im->receipt || !im->c.name || !im->c.journal || !im->scratch
        || thread_start(&im->thread, "import", run, im)) {
        destroy(im);
        return NULL;
    }
    return im;
}

void
import_cancel(struct import *im)
{
    atomic_store(&im->cancelled, true);
}

void
import_finish(struct import *im)
{
    if (im) {
        pthread_join(im->thread, NULL);
        destroy(im);
    }
}
