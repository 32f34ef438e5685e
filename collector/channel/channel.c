#include <config.h>

#include "collector/channel/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/filter/eval.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

/* Minutes that wait for the writer: older flows are late. */
#define PENDING 128
#define AHEAD_S 300
/* When all that arrived before a channel was made is stored. */
#define FILL_DELAY_US INT64_C(2000000)

const struct counter_def channel_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct channel_counters, NAME), DOC },
    CHANNEL_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

struct slot {
    int64_t t;                  /* Seconds since 1970; 0: empty. */
    struct channel_sum sum;
};

struct usage {
    uint64_t bytes;             /* On disk. */
    int64_t updated_us;         /* 0: never. */
};

/* A channel at work. */
struct counting {
    struct channel c;           /* First: channel_at() answers it. */
    struct filter_program *program;
    int64_t fill_at_us;         /* Monotonic; 0: nothing to fill. */
    pthread_mutex_t mutex;      /* What follows; held for some sums. */
    struct usage usage;
    struct slot seconds[CHANNEL_SECONDS];
    struct slot pending[PENDING];       /* Minutes, not yet in the files. */
};

/* Locks are taken in this order: mutex, lock, files, one of a channel. */
struct channel_set {
    char *dir;
    struct dict *dict;
    pthread_mutex_t mutex;      /* The thread, and what it is to fill. */
    pthread_rwlock_t lock;      /* 'list' and the programs; workers read. */
    pthread_mutex_t files;
    pthread_cond_t wake;
    struct counting **list;
    size_t n;
    struct filter_program *canonical;
    struct filter_shared *shared;       /* Terms of all programs; 'lock'. */
    struct channel_counters counters;
    pthread_t thread;
    bool running, stopping;
    void (*fill)(void *aux, const struct channel *);
    void *fill_aux;
};

/* ---- Files: one slot per minute or hour, at its time modulo the number of
 * slots, so that a file never grows and late numbers find their place. ---- */

static const struct tier {
    const char *suffix;
    int64_t step_s;
    int64_t slots;
} tiers[] = {
    { "minutes", 60, CHANNEL_MINUTES },
    { "hours", 3600, CHANNEL_HOURS },
};

/* What was counted live, and what was filled in from stored flows: the latter
 * is written at once under the third name, and is complete when it has the
 * second. */
static const char *const kinds[] = { "", "filled-", "new-" };
enum { LIVE, FILLED, FILLING, N_KINDS };

static void
tier_path(const struct channel_set *s, uint64_t id, const struct tier *t,
          unsigned kind, char path[4096])
{
    snprintf(path, 4096, "%s/%016" PRIx64 ".%s%s", s->dir, id, kinds[kind],
             t->suffix);
}

static int
open_tier(const struct channel_set *s, uint64_t id, const struct tier *t,
          unsigned kind, int flags)
{
    char path[4096];
    if (!s->dir) {
        return -1;
    }
    tier_path(s, id, t, kind, path);
    return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0640);
}

/* Minutes are the last to get their name. */
static bool
is_filled(const struct channel_set *s, uint64_t id)
{
    char path[4096];
    if (!s->dir) {
        return true;            /* And cannot be. */
    }
    tier_path(s, id, &tiers[0], FILLED, path);
    return !access(path, F_OK);
}

static struct counting *
find_id(struct channel_set *s, uint64_t id)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->list[i]->c.id == id) {
            return s->list[i];
        }
    }
    return NULL;
}

/* How much the files take, and when they were written: looked at when they are,
 * so that no list of channels asks the disk. */
static struct usage
look_at_files(const struct channel_set *s, uint64_t id)
{
    struct usage u = { 0, 0 };
    char path[4096];
    struct stat st;

    for (unsigned i = 0; s->dir && i < 2 * N_KINDS; i++) {
        tier_path(s, id, &tiers[i % 2], i / 2, path);
        if (!stat(path, &st)) {
            int64_t us = (int64_t) st.st_mtim.tv_sec * 1000000
                         + st.st_mtim.tv_nsec / 1000;
            u.bytes += (uint64_t) st.st_blocks * 512;
            u.updated_us = us > u.updated_us ? us : u.updated_us;
        }
    }
    return u;
}

static void
measure(struct channel_set *s, uint64_t id)
{
    struct usage u = look_at_files(s, id);

    pthread_rwlock_rdlock(&s->lock);
    struct counting *c = find_id(s, id);
    if (c) {
        pthread_mutex_lock(&c->mutex);
        c->usage = u;
        pthread_mutex_unlock(&c->mutex);
    }
    pthread_rwlock_unlock(&s->lock);
}

static void
add_sum(struct channel_sum *a, const struct channel_sum *b)
{
    a->bytes += b->bytes;
    a->packets += b->packets;
    a->flows += b->flows;
}

/* What a clock left behind that was ahead must not keep its place until then. */
static bool
is_ahead(int64_t time_s, int64_t now_s)
{
    return time_s > now_s + 2 * AHEAD_S;
}

static bool
write_slot(struct channel_set *s, int fd, const struct tier *t,
           int64_t time_s, const struct channel_sum *sum)
{
    int64_t now_s = clock_wall_us() / 1000000;
    int64_t at = time_s / t->step_s;
    off_t where = (off_t) (at % t->slots) * (off_t) sizeof(struct slot);
    struct slot slot;

    if (pread(fd, &slot, sizeof slot, where) != sizeof slot
        || slot.t < at * t->step_s || is_ahead(slot.t, now_s)) {
        slot = (struct slot) { .t = at * t->step_s };
    } else if (slot.t > at * t->step_s) {
        return true;            /* Older than the file goes back. */
    }
    add_sum(&slot.sum, sum);
    if (pwrite(fd, &slot, sizeof slot, where) != sizeof slot) {
        counter_inc(&s->counters.errors);
        return false;
    }
    return true;
}

/* Adds slots to both files of a channel.  Those that could not be written are left
 * at the beginning of 'slots'; returns how many: nothing of them is in either
 * file. */
static size_t
write_slots(struct channel_set *s, uint64_t id, struct slot *slots, size_t n)
{
    size_t failed = 0;
    int fd[2];

    for (size_t i = 0; s->dir && i < 2; i++) {
        fd[i] = open_tier(s, id, &tiers[i], LIVE, O_RDWR | O_CREAT);
        if (fd[i] < 0) {
            counter_inc(&s->counters.errors);
        }
    }
    for (size_t k = 0; s->dir && k < n; k++) {
        const struct channel_sum *sum = &slots[k].sum;
        bool ok = fd[0] >= 0 && fd[1] >= 0
                  && write_slot(s, fd[1], &tiers[1], slots[k].t, sum);
        if (ok && !write_slot(s, fd[0], &tiers[0], slots[k].t, sum)) {
            /* There is room for that: the place is taken. */
            const struct channel_sum minus = { -sum->bytes, -sum->packets,
                                               -sum->flows };
            write_slot(s, fd[1], &tiers[1], slots[k].t, &minus);
            ok = false;
        }
        if (!ok) {
            slots[failed++] = slots[k];
        }
    }
    for (size_t i = 0; s->dir && i < 2; i++) {
        if (fd[i] >= 0) {
            close(fd[i]);
        }
    }
    return failed;
}

/* The same to new files, which replace those that were filled before. */
static int
write_filled(struct channel_set *s, uint64_t id,
             const struct channel_minute *minutes, size_t n)
{
    char from[4096], to[4096];

    for (size_t i = 2; s->dir && i-- > 0; ) {
        const struct tier *t = &tiers[i];
        int fd = open_tier(s, id, t, FILLING, O_RDWR | O_CREAT | O_TRUNC);
        bool ok = fd >= 0;
        for (size_t k = 0; k < n && ok; k++) {
            ok = write_slot(s, fd, t, minutes[k].time_s, &minutes[k].sum);
        }
        ok = ok && !fsync(fd);
        int error = errno;
        if (fd >= 0) {
            close(fd);
        }
        tier_path(s, id, t, FILLING, from);
        tier_path(s, id, t, FILLED, to);
        if (!ok || rename(from, to)) {
            error = ok ? errno : error;
            unlink(from);
            return error ? -error : -EIO;
        }
    }
    return 0;
}

/* ---- Counting. ---- */

static bool
count_second(struct counting *c, int64_t t, int64_t now_s,
             const struct channel_sum *sum)
{
    struct slot *second = &c->seconds[t % CHANNEL_SECONDS];
    struct slot *minute = &c->pending[t / 60 % PENDING];

    if (second->t < t || is_ahead(second->t, now_s)) {
        *second = (struct slot) { .t = t };
    }
    if (second->t == t) {
        add_sum(&second->sum, sum);
    }
    if (minute->t && minute->t != t / 60 * 60) {
        return false;           /* The writer has not come by. */
    }
    minute->t = t / 60 * 60;
    add_sum(&minute->sum, sum);
    return true;
}

/* A batch of live flows is of few seconds. */
#define FEW_SECONDS 8

/* Rows that a channel may count, and the second of each: found once a batch. */
struct batch_times {
    uint64_t usable[EVAL_WORDS];        /* Canonical, neither old nor ahead. */
    uint64_t late[EVAL_WORDS];          /* Canonical, but out of bounds. */
    int64_t received_us;        /* Of the row that arrived first. */
    int64_t now_s;
    uint16_t index[BATCH_ROWS]; /* Into 'second'. */
    int64_t second[BATCH_ROWS];
    unsigned n_seconds;
    /* If there are few: the rows of each, and all they add up to. */
    uint64_t rows[FEW_SECONDS][EVAL_WORDS];
    struct channel_sum all[FEW_SECONDS];
};

#define SPAN_S ((PENDING - 8) * 60 + AHEAD_S + 1)

static inline void
add_row(struct channel_sum *sum, const struct flow_batch *b, unsigned row)
{
    sum->bytes += b->bytes[row];
    sum->packets += b->packets[row];
    sum->flows++;
}

static void
find_times(const struct flow_batch *b, const uint64_t *canonical,
           int64_t now_s, struct batch_times *t)
{
    const int64_t oldest = now_s - (PENDING - 8) * 60 + 1;
    uint16_t seen[SPAN_S];      /* Place in 'second', from 1; 0: not yet. */
    unsigned n = 0;

    memset(seen, 0, sizeof seen);
    memset(t->usable, 0, sizeof t->usable);
    memset(t->late, 0, sizeof t->late);
    t->received_us = INT64_MAX;
    t->now_s = now_s;
    for (unsigned row = 0; row < b->n; row++) {
        uint64_t bit = canonical[row / 64] & UINT64_C(1) << row % 64;
        int64_t s = b->flow_end[row] / 1000000;
        if (!bit) {
            continue;
        }
        if (b->received[row] < t->received_us) {
            t->received_us = b->received[row];
        }
        if (s < oldest || s > now_s + AHEAD_S) {
            t->late[row / 64] |= bit;
            continue;
        }
        uint16_t *place = &seen[s - oldest];
        if (!*place) {
            t->second[n] = s;
            *place = (uint16_t) ++n;
        }
        t->usable[row / 64] |= bit;
        t->index[row] = (uint16_t) (*place - 1);
    }
    t->n_seconds = n;
    if (n <= FEW_SECONDS) {
        memset(t->rows, 0, n * sizeof t->rows[0]);
        memset(t->all, 0, n * sizeof t->all[0]);
        for (unsigned row = 0; row < b->n; row++) {
            uint64_t bit = t->usable[row / 64] & UINT64_C(1) << row % 64;
            if (bit) {
                t->rows[t->index[row]][row / 64] |= bit;
                add_row(&t->all[t->index[row]], b, row);
            }
        }
    }
}

/* Takes away the rows that arrived before the channel was made: these come out
 * of the store. */
static void
drop_stored(const struct flow_batch *b, int64_t created_us, uint64_t *bits)
{
    for (unsigned row = 0; row < b->n; row++) {
        if (b->received[row] < created_us) {
            bits[row / 64] &= ~(UINT64_C(1) << row % 64);
        }
    }
}

/* Adds up the rows that match by their seconds, in 'sums'.  Returns how many
 * seconds there are, and which. */
static unsigned
sum_rows(const struct flow_batch *b, const uint64_t *bits,
         const struct batch_times *t, struct channel_sum *sums,
         uint16_t *touched)
{
    unsigned n = 0, words = (b->n + 63) / 64;

    for (unsigned w = 0; w < words; w++) {
        for (uint64_t left = bits[w] & t->usable[w]; left;
             left &= left - 1) {
            unsigned row = 64 * w + (unsigned) __builtin_ctzll(left);
            struct channel_sum *sum = &sums[t->index[row]];
            touched[n] = t->index[row];
            n += !sum->flows;
            add_row(sum, b, row);
        }
    }
    return n;
}

/* Whether most rows seem to match: a look at a few. */
static bool
seem_most(const uint64_t *bits, unsigned words)
{
    unsigned n = 0, looked = words < 4 ? words : 4;

    for (unsigned w = 0; w < looked; w++) {
        n += (unsigned) __builtin_popcountll(bits[w]);
    }
    return n > 32 * looked;
}

/* The same second by second, so that sums stay in registers.  If most rows
 * match, those that do not are taken off all. */
static unsigned
sum_few(const struct flow_batch *b, const uint64_t *bits,
        const struct batch_times *t, struct channel_sum *sums,
        uint16_t *touched)
{
    unsigned n = 0, words = (b->n + 63) / 64;
    const uint64_t flip = seem_most(bits, words) ? UINT64_MAX : 0;

    for (unsigned k = 0; k < t->n_seconds; k++) {
        uint64_t bytes = 0, packets = 0, flows = 0;
        for (unsigned w = 0; w < words; w++) {
            uint64_t left = (bits[w] ^ flip) & t->rows[k][w];
            for (; left; left &= left - 1, flows++) {
                unsigned row = 64 * w + (unsigned) __builtin_ctzll(left);
                bytes += b->bytes[row];
                packets += b->packets[row];
            }
        }
        if (flip) {
            const struct channel_sum *all = &t->all[k];
            bytes = all->bytes - bytes;
            packets = all->packets - packets;
            flows = all->flows - flows;
        }
        if (flows) {
            sums[k] = (struct channel_sum) { bytes, packets, flows };
            touched[n++] = (uint16_t) k;
        }
    }
    return n;
}

/* Adds the rows that match to the channel's seconds. */
static void
count_rows(struct channel_set *s, struct counting *c,
           const struct flow_batch *b, uint64_t *bits,
           const struct batch_times *t, struct channel_sum *sums)
{
    uint16_t touched[BATCH_ROWS];
    unsigned words = (b->n + 63) / 64;
    uint64_t late = 0;

    if (t->received_us < c->c.created_us) {
        drop_stored(b, c->c.created_us, bits);
    }
    for (unsigned w = 0; w < words; w++) {
        if (bits[w] & t->late[w]) {
            late += (unsigned) __builtin_popcountll(bits[w] & t->late[w]);
        }
    }
    unsigned n = t->n_seconds <= FEW_SECONDS
                 ? sum_few(b, bits, t, sums, touched)
                 : sum_rows(b, bits, t, sums, touched);
    if (n) {
        pthread_mutex_lock(&c->mutex);
        for (unsigned i = 0; i < n; i++) {
            struct channel_sum *sum = &sums[touched[i]];
            if (!count_second(c, t->second[touched[i]], t->now_s, sum)) {
                late += sum->flows;
            }
            *sum = (struct channel_sum) { 0, 0, 0 };
        }
        pthread_mutex_unlock(&c->mutex);
    }
    if (late) {
        counter_add(&s->counters.late, late);
    }
}

void
channel_process(void *set, struct flow_batch *b)
{
    struct channel_set *s = set;
    struct channel_sum sums[BATCH_ROWS];
    uint64_t bits[EVAL_WORDS];
    struct batch_times t;
    struct eval_batch e;

    if (!b->n) {
        return;
    }
    counter_add(&s->counters.flows, b->n);
    filter_run(s->canonical, b, bits);
    find_times(b, bits, clock_wall_us() / 1000000, &t);
    memset(sums, 0, sizeof sums);
    eval_batch_begin(&e, b);
    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; i < s->n; i++) {
        filter_run_once(s->list[i]->program, &e, bits);
        count_rows(s, s->list[i], b, bits, &t, sums);
    }
    pthread_rwlock_unlock(&s->lock);
}

/* ---- The thread: once a second to the files. ---- */

/* Takes what channel 'i' has counted.  Returns how many minutes, -1 if there is
 * no such channel. */
static int
take_pending(struct channel_set *s, size_t i, uint64_t *id,
             struct slot *slots)
{
    int n = 0;
    if (i >= s->n) {
        return -1;
    }
    struct counting *c = s->list[i];
    *id = c->c.id;
    pthread_mutex_lock(&c->mutex);
    for (unsigned k = 0; k < PENDING; k++) {
        if (c->pending[k].t) {
            slots[n++] = c->pending[k];
            c->pending[k] = (struct slot) { .t = 0 };
        }
    }
    pthread_mutex_unlock(&c->mutex);
    return n;
}

/* Keeps what could not be written, for the next time. */
static void
put_back(struct channel_set *s, uint64_t id, const struct slot *slots,
         size_t n)
{
    if (!n) {
        return;
    }
    pthread_rwlock_rdlock(&s->lock);
    struct counting *c = find_id(s, id);
    if (c) {
        pthread_mutex_lock(&c->mutex);
    }
    for (size_t i = 0; c && i < n; i++) {
        struct slot *minute = &c->pending[slots[i].t / 60 % PENDING];
        if (minute->t && minute->t != slots[i].t) {
            counter_add(&s->counters.late, slots[i].sum.flows);
            continue;
        }
        minute->t = slots[i].t;
        add_sum(&minute->sum, &slots[i].sum);
    }
    if (c) {
        pthread_mutex_unlock(&c->mutex);
    }
    pthread_rwlock_unlock(&s->lock);
}

static void
flush(struct channel_set *s)
{
    struct slot slots[PENDING];
    uint64_t id;
    int n = 0;

    for (size_t i = 0; n >= 0; i++) {
        pthread_rwlock_rdlock(&s->lock);
        pthread_mutex_lock(&s->files);
        n = take_pending(s, i, &id, slots);
        pthread_rwlock_unlock(&s->lock);
        size_t failed = n > 0 ? write_slots(s, id, slots, (size_t) n) : 0;
        pthread_mutex_unlock(&s->files);
        put_back(s, id, slots, failed);
        if (n > 0) {
            measure(s, id);
        }
    }
}

/* Calls 'fill' for one channel that is due, on a copy.  False: there is none. */
static bool
fill_one(struct channel_set *s)
{
    struct channel copy;
    bool found = false;

    pthread_mutex_lock(&s->mutex);
    pthread_rwlock_rdlock(&s->lock);
    for (size_t i = 0; i < s->n && !found; i++) {
        struct counting *c = s->list[i];
        if (c->fill_at_us && c->fill_at_us <= clock_mono_us() && s->fill) {
            c->fill_at_us = 0;
            memcpy(&copy, &c->c, sizeof copy);
            copy.filter = strdup(c->c.filter);
            found = copy.filter != NULL;
        }
    }
    pthread_rwlock_unlock(&s->lock);
    pthread_mutex_unlock(&s->mutex);
    if (found) {
        s->fill(s->fill_aux, &copy);
        free(copy.filter);
    }
    return found;
}

static void *
run(void *set)
{
    struct channel_set *s = set;

    pthread_mutex_lock(&s->mutex);
    while (!s->stopping) {
        thread_wait_until(&s->wake, &s->mutex, clock_mono_us() + 1000000);
        pthread_mutex_unlock(&s->mutex);
        flush(s);
        while (fill_one(s)) {
            continue;
        }
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* ---- Definitions. ---- */

struct channel_set *
channel_set_create(const char *dir, struct dict *dict)
{
    struct channel_set *s = calloc(1, sizeof *s);
    struct filter *f = filter_parse("canonical true", NULL);

    if (!s || !f) {
        free(s);
        filter_destroy(f);
        return NULL;
    }
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* Whoever changes the list gets in between two batches. */
    pthread_rwlockattr_setkind_np(
        &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_mutex_init(&s->files, NULL);
    pthread_cond_init(&s->wake, NULL);
    s->dict = dict;
    s->canonical = filter_compile(f, dict);
    s->shared = filter_shared_create();
    filter_destroy(f);
    if (dir && mkdir(dir, 0750) && errno != EEXIST) {
        LOG(store, WARN, "%s: %s: channels are kept in memory only", dir,
            strerror(errno));
    } else if (dir) {
        s->dir = strdup(dir);
    }
    s->running = s->canonical && s->shared
                 && !thread_start(&s->thread, "channels", run, s);
    if (!s->running) {
        channel_set_destroy(s);
        return NULL;
    }
    return s;
}

void
channel_set_stop(struct channel_set *s)
{
    if (s && s->running) {
        pthread_mutex_lock(&s->mutex);
        s->stopping = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->mutex);
        pthread_join(s->thread, NULL);
        s->running = false;
        flush(s);
    }
}

static void
counting_destroy(struct counting *c)
{
    if (c) {
        filter_program_destroy(c->program);
        pthread_mutex_destroy(&c->mutex);
        free(c->c.filter);
        free(c);
    }
}

void
channel_set_destroy(struct channel_set *s)
{
    if (!s) {
        return;
    }
    channel_set_stop(s);
    for (size_t i = 0; i < s->n; i++) {
        filter_unshare(s->shared, s->list[i]->program);
        counting_destroy(s->list[i]);
    }
    filter_program_destroy(s->canonical);
    filter_shared_destroy(s->shared);
    pthread_rwlock_destroy(&s->lock);
    pthread_mutex_destroy(&s->mutex);
    pthread_mutex_destroy(&s->files);
    pthread_cond_destroy(&s->wake);
    free(s->list);
    free(s->dir);
    free(s);
}

static struct counting *
counting_create(struct channel_set *s, const struct channel *c,
                struct filter_error *error)
{
    struct counting *new_ = calloc(1, sizeof *new_);
    struct filter *f = filter_parse(c->filter ? c->filter : "", error);

    if (new_) {
        pthread_mutex_init(&new_->mutex, NULL);
    }
    if (new_ && f) {
        memcpy(&new_->c, c, sizeof new_->c);
        new_->c.filter = strdup(c->filter ? c->filter : "");
        new_->program = filter_compile(f, s->dict);
    }
    filter_destroy(f);
    if (!new_ || !new_->program || !new_->c.filter) {
        counting_destroy(new_);
        return NULL;
    }
    return new_;
}

int
channel_add(struct channel_set *s, const struct channel *c,
            struct filter_error *error)
{
    memset(error, 0, sizeof *error);
    if (channel_find(s, c->profile, c->name)) {
        return -EEXIST;
    } else if (s->n >= CHANNEL_MAX) {
        return -ENOSPC;
    }
    struct counting *new_ = counting_create(s, c, error);
    if (!new_) {
        return error->message[0] ? -EINVAL : -ENOMEM;
    }
    if (!new_->c.id) {
        new_->c.id = (uint64_t) c->created_us;
        for (size_t i = 0; i < s->n; i++) {     /* Unique. */
            if (s->list[i]->c.id >= new_->c.id) {
                new_->c.id = s->list[i]->c.id + 1;
            }
        }
    }
    new_->usage = look_at_files(s, new_->c.id);
    new_->c.filling = false;
    /* Also one whose filling was cut short by the end of the daemon. */
    if (c->start_us < c->created_us && !is_filled(s, new_->c.id)) {
        new_->fill_at_us = clock_mono_us() + FILL_DELAY_US;
        new_->c.filling = true;
    }
    pthread_rwlock_wrlock(&s->lock);
    struct counting **list = realloc(s->list, (s->n + 1) * sizeof *list);
    if (list) {
        s->list = list;
        s->list[s->n++] = new_;
        filter_share(s->shared, new_->program);
    }
    pthread_rwlock_unlock(&s->lock);
    if (!list) {
        counting_destroy(new_);
    }
    return list ? 0 : -ENOMEM;
}

int
channel_set_filter(struct channel_set *s, struct channel *c,
                   const char *filter, struct filter_error *error)
{
    struct channel copy;
    memset(error, 0, sizeof *error);
    memcpy(&copy, c, sizeof copy);
    copy.filter = (char *) filter;
    struct counting *new_ = counting_create(s, &copy, error);
    struct counting *old = (struct counting *) c;
    if (!new_) {
        return error->message[0] ? -EINVAL : -ENOMEM;
    }
    struct filter_program *program = old->program;
    char *text = c->filter;
    pthread_rwlock_wrlock(&s->lock);
    filter_unshare(s->shared, program);
    old->program = new_->program;
    filter_share(s->shared, old->program);
    c->filter = new_->c.filter;
    pthread_rwlock_unlock(&s->lock);
    new_->program = program;
    new_->c.filter = text;
    counting_destroy(new_);
    return 0;
}

int
channel_delete(struct channel_set *s, const char *profile, const char *name)
{
    struct channel *c = channel_find(s, profile, name);
    char path[4096];

    if (!c) {
        return -ENOENT;
    }
    uint64_t id = c->id;
    pthread_rwlock_wrlock(&s->lock);
    for (size_t i = 0; i < s->n; i++) {
        if (&s->list[i]->c == c) {
            filter_unshare(s->shared, s->list[i]->program);
            memmove(&s->list[i], &s->list[i + 1],
                    (s->n - i - 1) * sizeof s->list[0]);
            s->n--;
            break;
        }
    }
    pthread_rwlock_unlock(&s->lock);
    counting_destroy((struct counting *) c);
    /* Who found it before has the files by now. */
    pthread_mutex_lock(&s->files);
    for (unsigned i = 0; s->dir && i < 2 * N_KINDS; i++) {
        tier_path(s, id, &tiers[i % 2], i / 2, path);
        unlink(path);
    }
    pthread_mutex_unlock(&s->files);
    return 0;
}

void
channel_usage(struct channel_set *s, uint64_t id, uint64_t *bytes,
              int64_t *updated_us)
{
    *bytes = 0;
    *updated_us = 0;
    pthread_rwlock_rdlock(&s->lock);
    struct counting *c = find_id(s, id);
    if (c) {
        pthread_mutex_lock(&c->mutex);
        *bytes = c->usage.bytes;
        *updated_us = c->usage.updated_us;
        pthread_mutex_unlock(&c->mutex);
    }
    pthread_rwlock_unlock(&s->lock);
}

struct channel *
channel_find(struct channel_set *s, const char *profile, const char *name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (!strcmp(s->list[i]->c.profile, profile)
            && !strcmp(s->list[i]->c.name, name)) {
            return &s->list[i]->c;
        }
    }
    return NULL;
}

size_t
channel_count(const struct channel_set *s)
{
    return s->n;
}

struct channel *
channel_at(const struct channel_set *s, size_t i)
{
    return &s->list[i]->c;
}

void
channel_on_fill(struct channel_set *s,
                void (*fill)(void *, const struct channel *), void *aux)
{
    pthread_mutex_lock(&s->mutex);
    s->fill = fill;
    s->fill_aux = aux;
    pthread_mutex_unlock(&s->mutex);
}

const struct channel_counters *
channel_counters(const struct channel_set *s)
{
    return &s->counters;
}

/* ---- Numbers. ---- */

int
channel_fill(struct channel_set *s, uint64_t id,
             const struct channel_minute *minutes, size_t n)
{
    int result = -ENOENT;

    pthread_rwlock_rdlock(&s->lock);
    struct counting *c = find_id(s, id);
    bool found = c != NULL;
    pthread_mutex_lock(&s->files);
    pthread_rwlock_unlock(&s->lock);
    if (found) {
        result = minutes ? write_filled(s, id, minutes, n) : 0;
    }
    pthread_mutex_unlock(&s->files);
    if (found) {
        measure(s, id);
    }
    /* Only now: who waits for that may read the numbers. */
    pthread_rwlock_rdlock(&s->lock);
    c = find_id(s, id);
    if (c) {
        c->c.filling = false;
    }
    pthread_rwlock_unlock(&s->lock);
    return result;
}

void
channel_fill_later(struct channel_set *s, uint64_t id)
{
    pthread_mutex_lock(&s->mutex);
    pthread_rwlock_rdlock(&s->lock);
    struct counting *c = find_id(s, id);
    if (c) {
        c->fill_at_us = clock_mono_us() + FILL_DELAY_US;
    }
    pthread_rwlock_unlock(&s->lock);
    pthread_mutex_unlock(&s->mutex);
}

struct window {
    int64_t from_s, step_s;
    size_t n;
    struct channel_sum *out;
};

static void
window_add(const struct window *w, const struct slot *slot)
{
    int64_t at = slot->t - w->from_s;
    if (slot->t && at >= 0 && (size_t) (at / w->step_s) < w->n) {
        add_sum(&w->out[at / w->step_s], &slot->sum);
    }
}

static void
window_file(struct channel_set *s, uint64_t id, const struct tier *t,
            unsigned kind, const struct window *w)
{
    struct slot slots[512];
    int fd = open_tier(s, id, t, kind, O_RDONLY);
    int64_t first = w->from_s / t->step_s;
    int64_t count = (int64_t) w->n * w->step_s / t->step_s;

    if (count > t->slots) {     /* The latest that there can be. */
        first += count - t->slots;
        count = t->slots;
    }
    while (fd >= 0 && count > 0) {
        int64_t at = first % t->slots, n = count < 512 ? count : 512;
        n = n > t->slots - at ? t->slots - at : n;
        ssize_t got = pread(fd, slots, (size_t) n * sizeof slots[0],
                            (off_t) at * (off_t) sizeof slots[0]);
        for (ssize_t i = 0; i < got / (ssize_t) sizeof slots[0]; i++) {
            if (slots[i].t == (first + i) * t->step_s) {
                window_add(w, &slots[i]);
            }
        }
        first += n;
        count -= n;
    }
    if (fd >= 0) {
        close(fd);
    }
}

void
channel_series(struct channel_set *s, uint64_t id, int64_t from_s,
               int64_t step_s, size_t n, struct channel_sum *out)
{
    struct window w = { from_s, step_s, n, out };

    memset(out, 0, n * sizeof *out);
    pthread_rwlock_rdlock(&s->lock);
    struct counting *c = find_id(s, id);
    bool found = c != NULL;
    pthread_mutex_lock(&s->files);      /* Minutes are here or there. */
    if (c) {
        pthread_mutex_lock(&c->mutex);
        for (unsigned i = 0; step_s % 60 && i < CHANNEL_SECONDS; i++) {
            window_add(&w, &c->seconds[i]);
        }
        for (unsigned i = 0; step_s % 60 == 0 && i < PENDING; i++) {
            window_add(&w, &c->pending[i]);
        }
        pthread_mutex_unlock(&c->mutex);
    }
    pthread_rwlock_unlock(&s->lock);
    if (found && step_s % 60 == 0) {
        bool hours = step_s % 3600 == 0 && from_s % 3600 == 0;
        window_file(s, id, &tiers[hours], LIVE, &w);
        window_file(s, id, &tiers[hours], FILLED, &w);
    }
    pthread_mutex_unlock(&s->files);
}
