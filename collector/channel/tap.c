#include <config.h>

#include "collector/channel/tap.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "collector/filter/confine.h"
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

/* What some taps want: one filter, run once for all of them. */
struct want {
    struct filter *filter;      /* NULL: any. */
    const struct confine *confine;      /* NULL: all may be seen. */
    bool all;                   /* Also what is not canonical. */
    struct filter_program *program;
    struct filter_program *sees[2];     /* Confined: whose ends are told. */
    unsigned n;
    struct tap *taps;
};

struct tap {
    struct tap_set *set;
    struct want *want;
    struct tap *next;           /* Of the same want. */
    uint32_t rate;
    unsigned n_fields;
    enum column_id *fields;

    pthread_mutex_t mutex;      /* What follows. */
    int64_t filled_us;          /* Until then the rate was granted. */
    uint64_t grants;            /* Rows that may come in, in millionths. */
    uint64_t skipped;
    size_t room, first, n;      /* A ring of rows. */
    struct tap_value *rows;     /* room * n_fields; NULL while there are none. */
};

struct tap_set {
    struct dict *dict;
    void (*ready)(void *aux);
    void *aux;
    struct filter_program *canonical;
    struct tap_counters counters;
    _Atomic unsigned n;         /* Taps; workers look at it first. */
    _Atomic bool told;          /* 'ready' was called. */
    _Atomic size_t bytes;       /* Of rows. */
    pthread_rwlock_t lock;      /* What follows; workers read. */
    struct want *wants[TAP_MAX_FILTERS];
    unsigned n_wants;
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
        while (s->n_wants) {
            tap_close(s->wants[s->n_wants - 1]->taps);
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

static size_t
ring_size(const struct tap *t)
{
    return t->room * (t->n_fields ? t->n_fields : 1) * sizeof *t->rows;
}

static void
free_rows(struct tap *t)
{
    if (t->rows) {
        atomic_fetch_sub(&t->set->bytes, ring_size(t));
        free(t->rows);
        t->rows = NULL;
    }
}

/* Room for rows; false: there is none. */
static bool
make_rows(struct tap *t)
{
    size_t size = ring_size(t);

    if (t->rows) {
        return true;
    }
    if (atomic_fetch_add(&t->set->bytes, size) + size <= TAP_MAX_BYTES) {
        t->rows = malloc(size);
    }
    if (!t->rows) {
        atomic_fetch_sub(&t->set->bytes, size);
    }
    return t->rows != NULL;
}

static void
tap_free(struct tap *t)
{
    if (t) {
        pthread_mutex_destroy(&t->mutex);
        free_rows(t);
        free(t->fields);
        free(t);
    }
}

static void
want_free(struct want *w)
{
    if (w) {
        filter_destroy(w->filter);
        filter_program_destroy(w->program);
        filter_program_destroy(w->sees[0]);
        filter_program_destroy(w->sees[1]);
        free(w);
    }
}

/* Compiles what is to be told.  False: out of memory. */
static bool
compile(struct want *w, struct dict *dict)
{
    if (!w->confine) {
        w->program = filter_compile(w->filter, dict);
        return w->program != NULL;
    }
    struct filter *f = confine_filter(w->confine, w->filter);
    w->program = f ? filter_compile(f, dict) : NULL;
    filter_destroy(f);
    for (int end = 0; end < 2; end++) {
        f = confine_sees(w->confine, end);
        w->sees[end] = f ? filter_compile(f, dict) : NULL;
        filter_destroy(f);
    }
    return w->program && w->sees[0] && w->sees[1];
}

/* The same as somebody wants already, or NULL.  The owner's thread alone
 * changes the list. */
static struct want *
find_want(const struct tap_set *s, const struct filter *filter,
          const struct confine *confine, bool all)
{
    for (unsigned i = 0; i < s->n_wants; i++) {
        struct want *w = s->wants[i];
        if (w->confine == confine && w->all == all
            && filter_equal(w->filter, filter)) {
            return w;
        }
    }
    return NULL;
}

static struct want *
make_want(struct tap_set *s, const struct filter *filter,
          const struct confine *confine, bool all)
{
    struct want *w = calloc(1, sizeof *w);

    if (w) {
        w->filter = filter_copy(filter);
        w->confine = confine;
        w->all = all;
        if ((filter && !w->filter) || !compile(w, s->dict)) {
            want_free(w);
            w = NULL;
        }
    }
    return w;
}

static struct tap *
make_tap(struct tap_set *s, const enum column_id *fields, unsigned n,
         uint32_t rate)
{
    struct tap *t = calloc(1, sizeof *t);

    if (!t) {
        return NULL;
    }
    pthread_mutex_init(&t->mutex, NULL);
    t->set = s;
    t->rate = rate < 1 ? 1 : rate > TAP_MAX_RATE ? TAP_MAX_RATE : rate;
    t->n_fields = n;
    t->fields = malloc((n ? n : 1) * sizeof *fields);
    t->filled_us = clock_mono_us();
    t->grants = (uint64_t) t->rate * 1000000;
    t->room = t->rate < MIN_ROOM ? MIN_ROOM : t->rate;
    if (!t->fields) {
        tap_free(t);
        return NULL;
    }
    memcpy(t->fields, fields, n * sizeof *fields);
    return t;
}

int
tap_open(struct tap_set *s, const struct filter *filter,
         const struct confine *confine, const enum column_id *fields,
         unsigned n, uint32_t rate, bool all, struct tap **out)
{
    struct want *w = find_want(s, filter, confine, all);
    bool new = !w;

    *out = NULL;
    if (atomic_load(&s->n) >= TAP_MAX
        || (new && s->n_wants >= TAP_MAX_FILTERS)) {
        return -ENOSPC;
    }
    w = w ? w : make_want(s, filter, confine, all);
    struct tap *t = w ? make_tap(s, fields, n, rate) : NULL;
    if (!t) {
        if (new) {
            want_free(w);
        }
        return -ENOMEM;
    }
    t->want = w;
    pthread_rwlock_wrlock(&s->lock);
    if (new) {
        s->wants[s->n_wants++] = w;
    }
    t->next = w->taps;
    w->taps = t;
    w->n++;
    atomic_fetch_add(&s->n, 1);
    pthread_rwlock_unlock(&s->lock);
    *out = t;
    return 0;
}

void
tap_close(struct tap *t)
{
    if (!t) {
        return;
    }
    struct tap_set *s = t->set;
    struct want *w = t->want;
    struct tap **p = &w->taps;
    pthread_rwlock_wrlock(&s->lock);
    while (*p != t) {
        p = &(*p)->next;
    }
    *p = t->next;
    bool last = !--w->n;
    for (unsigned i = 0; last && i < s->n_wants; i++) {
        if (s->wants[i] == w) {
            s->wants[i] = s->wants[--s->n_wants];
            break;
        }
    }
    atomic_fetch_sub(&s->n, 1);
    pthread_rwlock_unlock(&s->lock);
    tap_free(t);
    if (last) {
        want_free(w);
    }
}

size_t
tap_take(struct tap *t, struct tap_value *rows, size_t max,
         uint64_t *skipped)
{
    pthread_mutex_lock(&t->mutex);
    size_t n = t->n < max ? t->n : max;
    for (size_t i = 0; i < n; i++) {    /* Then there are rows. */
        memcpy(&rows[i * t->n_fields],
               &t->rows[(t->first + i) % t->room * t->n_fields],
               t->n_fields * sizeof *rows);
    }
    t->first = (t->first + n) % t->room;
    t->n -= n;
    if (!t->n) {
        free_rows(t);
    }
    *skipped = t->skipped;
    t->skipped = 0;
    pthread_mutex_unlock(&t->mutex);
    counter_add(&t->set->counters.taken, n);
    return n;
}

/* ---- Workers. ---- */

void
tap_value_get(const struct flow_batch *b, enum column_id id, unsigned row,
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

/* Whether a confined subscriber must not know a value. */
static bool
is_masked(const struct want *w, uint64_t sees[2][EVAL_WORDS],
          enum column_id id, unsigned row)
{
    int end = w->confine ? confine_end(id) : -1;
    uint64_t bits = end < 0 ? UINT64_MAX
                    : end == CONFINE_BOTH ? sees[0][row / 64]
                                            & sees[1][row / 64]
                    : sees[end][row / 64];

    return !(bits >> row % 64 & 1);
}

/* Puts in what there is room and leave for.  Returns how many rows. */
static unsigned
put_rows(struct tap *t, const struct flow_batch *b, const uint64_t *bits,
         uint64_t sees[2][EVAL_WORDS])
{
    struct tap_counters *n = &t->set->counters;
    bool room = make_rows(t);
    unsigned put = 0;

    grant(t);
    for (unsigned w = 0; w < (b->n + 63) / 64; w++) {
        uint64_t left = bits[w];
        for (; left && room && t->n < t->room && t->grants >= 1000000;
             left &= left - 1) {
            unsigned row = 64 * w + (unsigned) __builtin_ctzll(left);
            struct tap_value *v = &t->rows[(t->first + t->n) % t->room
                                           * t->n_fields];
            for (unsigned i = 0; i < t->n_fields; i++) {
                tap_value_get(b, t->fields[i], row, &v[i]);
                if (is_masked(t->want, sees, t->fields[i], row)) {
                    v[i] = (struct tap_value) { .null = true };
                }
            }
            t->n++;
            t->grants -= 1000000;
            put++;
        }
        if (left) {
            uint64_t skipped = (unsigned) __builtin_popcountll(left);
            t->skipped += skipped;
            counter_add(room && t->n < t->room ? &n->skipped_rate
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

/* Gives all that want the same what they want.  True: there was something. */
static bool
serve(struct want *w, const struct flow_batch *b, const uint64_t *canonical)
{
    uint64_t bits[EVAL_WORDS], sees[2][EVAL_WORDS];

    filter_run(w->program, b, bits);
    for (unsigned i = 0; i < EVAL_WORDS && !w->all; i++) {
        bits[i] &= canonical[i];
    }
    if (!any(bits, (b->n + 63) / 64)) {
        return false;
    }
    for (int end = 0; w->confine && end < 2; end++) {
        filter_run(w->sees[end], b, sees[end]);
    }
    for (struct tap *t = w->taps; t; t = t->next) {
        pthread_mutex_lock(&t->mutex);
        put_rows(t, b, bits, sees);
        pthread_mutex_unlock(&t->mutex);
    }
    return true;
}

void
tap_process(void *set, struct flow_batch *b)
{
    struct tap_set *s = set;
    uint64_t canonical[EVAL_WORDS];
    bool news = false;

    if (!b->n || !atomic_load_explicit(&s->n, memory_order_relaxed)) {
        return;
    }
    counter_add(&s->counters.flows, b->n);
    filter_run(s->canonical, b, canonical);
    pthread_rwlock_rdlock(&s->lock);
    for (unsigned i = 0; i < s->n_wants; i++) {
        news |= serve(s->wants[i], b, canonical);
    }
    pthread_rwlock_unlock(&s->lock);
    if (news && !atomic_exchange(&s->told, true)) {
        s->ready(s->aux);
    }
}
