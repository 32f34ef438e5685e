#include <config.h>

#include "collector/channel/tap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "collector/filter/eval.h"
#include "collector/filter/filter.h"
#include "lib/clock.h"

#define MIN_ROOM 64

const struct counter_def tap_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct tap_counters, NAME), DOC },
    TAP_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

struct tap {
    struct tap_set *set;
    struct filter_program *program;
    bool all;
    uint32_t rate;
    unsigned n_fields;
    enum column_id fields[N_COLUMNS];

    pthread_mutex_t mutex;      /* What follows. */
    int64_t filled_us;          /* Until then the rate was granted. */
    uint64_t grants;            /* Rows that may come in, in millionths. */
    uint64_t skipped;
    size_t room, first, n;      /* A ring of rows. */
    struct tap_value *rows;     /* room * n_fields */
};

struct tap_set {
    struct dict *dict;
    void (*ready)(void *aux);
    void *aux;
    struct filter_program *canonical;
    struct tap_counters counters;
    _Atomic unsigned n;         /* Workers look at it first. */
    _Atomic bool told;          /* 'ready' was called. */
    pthread_rwlock_t lock;      /* 'taps'; workers read. */
    struct tap *taps[TAP_MAX];
};

struct tap_set *
tap_set_create(struct dict *dict, void (*ready)(void *), void *aux)
{
    struct tap_set *s = calloc(1, sizeof *s);
    struct filter *f = filter_parse("canonical true", NULL);
    pthread_rwlockattr_t attr;

    if (!s || !f || !(s->canonical = filter_compile(f, dict))) {
        filter_destroy(f);
        free(s);
        return NULL;
    }
    filter_destroy(f);
    s->dict = dict;
    s->ready = ready;
    s->aux = aux;
    pthread_rwlockattr_init(&attr);
    /* Whoever opens or closes gets in between two batches. */
    pthread_rwlockattr_setkind_np(
        &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    return s;
}

void
tap_set_destroy(struct tap_set *s)
{
    if (s) {
        while (s->n) {
            tap_close(s->taps[s->n - 1]);
        }
        filter_program_destroy(s->canonical);
        pthread_rwlock_destroy(&s->lock);
        free(s);
    }
}

void
tap_set_rearm(struct tap_set *s)
{
    atomic_store(&s->told, false);
}

unsigned
tap_set_count(const struct tap_set *s)
{
    return atomic_load(&s->n);
}

const struct tap_counters *
tap_set_counters(const struct tap_set *s)
{
    return &s->counters;
}

static void
tap_free(struct tap *t)
{
    if (t) {
        filter_program_destroy(t->program);
        pthread_mutex_destroy(&t->mutex);
        free(t->rows);
        free(t);
    }
}

int
tap_open(struct tap_set *s, const struct filter *filter,
         const enum column_id *fields, unsigned n, uint32_t rate, bool all,
         struct tap **out)
{
    unsigned count = atomic_load(&s->n);

    *out = NULL;
    if (count >= TAP_MAX) {
        return -ENOSPC;
    }
    struct tap *t = calloc(1, sizeof *t);
    if (!t) {
        return -ENOMEM;
    }
    pthread_mutex_init(&t->mutex, NULL);
    t->set = s;
    t->all = all;
    t->rate = rate < 1 ? 1 : rate > TAP_MAX_RATE ? TAP_MAX_RATE : rate;
    t->n_fields = n;
    memcpy(t->fields, fields, n * sizeof *fields);
    t->filled_us = clock_mono_us();
    t->grants = (uint64_t) t->rate * 1000000;
    t->room = t->rate < MIN_ROOM ? MIN_ROOM : t->rate;
    t->rows = calloc(t->room * (n ? n : 1), sizeof *t->rows);
    t->program = filter_compile(filter, s->dict);
    if (!t->rows || !t->program) {
        tap_free(t);
        return -ENOMEM;
    }
    pthread_rwlock_wrlock(&s->lock);
    s->taps[count] = t;
    atomic_store(&s->n, count + 1);
    pthread_rwlock_unlock(&s->lock);
    *out = t;
    return 0;
}

void
tap_close(struct tap *t)
{
    struct tap_set *s = t ? t->set : NULL;

    if (!t) {
        return;
    }
    pthread_rwlock_wrlock(&s->lock);
    unsigned n = atomic_load(&s->n) - 1;
    for (unsigned i = 0; i < n; i++) {
        if (s->taps[i] == t) {
            s->taps[i] = s->taps[n];
            break;
        }
    }
    atomic_store(&s->n, n);
    pthread_rwlock_unlock(&s->lock);
    tap_free(t);
}

size_t
tap_take(struct tap *t, struct tap_value *rows, size_t max,
         uint64_t *skipped)
{
    pthread_mutex_lock(&t->mutex);
    size_t n = t->n < max ? t->n : max;
    for (size_t i = 0; i < n; i++) {
        memcpy(&rows[i * t->n_fields],
               &t->rows[(t->first + i) % t->room * t->n_fields],
               t->n_fields * sizeof *rows);
    }
    t->first = (t->first + n) % t->room;
    t->n -= n;
    *skipped = t->skipped;
    t->skipped = 0;
    pthread_mutex_unlock(&t->mutex);
    counter_add(&t->set->counters.taken, n);
    return n;
}

/* ---- Workers. ---- */

static void
copy_value(const struct flow_batch *b, enum column_id id, unsigned row,
           struct tap_value *v)
{
    const struct column *c = &columns[id];
    const uint8_t *p = (const uint8_t *) b + c->offset
                       + (size_t) row * c->size;

    v->null = c->flags & CF_NULL
              && !(b->valid[id][row / 64] >> row % 64 & 1);
    v->u = 0;
    switch (c->size) {
    case 1:
        v->u = *p;
        break;
    case 2:
        v->u = *(const uint16_t *) p;
        break;
    case 4:
        v->u = *(const uint32_t *) p;
        break;
    case 16:
        memcpy(&v->addr, p, sizeof v->addr);
        break;
    default:
        memcpy(&v->u, p, sizeof v->u);
        break;
    }
}

/* Grants what the time since the last time is worth: a second's at most. */
static void
grant(struct tap *t)
{
    int64_t now = clock_mono_us();
    int64_t us = now - t->filled_us;
    uint64_t most = (uint64_t) t->rate * 1000000;

    us = us > 1000000 ? 1000000 : us;
    t->filled_us = now;
    t->grants += (uint64_t) us * t->rate;
    t->grants = t->grants > most ? most : t->grants;
}

/* Puts in what there is room and leave for.  Returns how many rows. */
static unsigned
put_rows(struct tap *t, const struct flow_batch *b, const uint64_t *bits)
{
    struct tap_counters *n = &t->set->counters;
    unsigned put = 0;

    grant(t);
    for (unsigned w = 0; w < (b->n + 63) / 64; w++) {
        uint64_t left = bits[w];
        for (; left && t->n < t->room && t->grants >= 1000000;
             left &= left - 1) {
            unsigned row = 64 * w + (unsigned) __builtin_ctzll(left);
            struct tap_value *v = &t->rows[(t->first + t->n) % t->room
                                           * t->n_fields];
            for (unsigned i = 0; i < t->n_fields; i++) {
                copy_value(b, t->fields[i], row, &v[i]);
            }
            t->n++;
            t->grants -= 1000000;
            put++;
        }
        if (left) {
            uint64_t skipped = (unsigned) __builtin_popcountll(left);
            t->skipped += skipped;
            counter_add(t->n < t->room ? &n->skipped_rate
                                       : &n->skipped_slow, skipped);
        }
    }
    return put;
}

static bool
any(const uint64_t *bits, unsigned words)
{
    uint64_t all = 0;
    for (unsigned w = 0; w < words; w++) {
        all |= bits[w];
    }
    return all;
}

void
tap_process(void *set, struct flow_batch *b)
{
    struct tap_set *s = set;
    uint64_t canonical[EVAL_WORDS], bits[EVAL_WORDS];
    bool news = false;

    if (!b->n || !atomic_load_explicit(&s->n, memory_order_relaxed)) {
        return;
    }
    counter_add(&s->counters.flows, b->n);
    filter_run(s->canonical, b, canonical);
    pthread_rwlock_rdlock(&s->lock);
    unsigned n = atomic_load(&s->n);
    for (unsigned i = 0; i < n; i++) {
        struct tap *t = s->taps[i];
        filter_run(t->program, b, bits);
        for (unsigned w = 0; w < EVAL_WORDS && !t->all; w++) {
            bits[w] &= canonical[w];
        }
        if (any(bits, (b->n + 63) / 64)) {
            pthread_mutex_lock(&t->mutex);
            put_rows(t, b, bits);
            pthread_mutex_unlock(&t->mutex);
            news = true;
        }
    }
    pthread_rwlock_unlock(&s->lock);
    if (news && !atomic_exchange(&s->told, true)) {
        s->ready(s->aux);
    }
}
