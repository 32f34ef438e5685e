#include <config.h>

#include "collector/alert/engine.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "collector/alert/engine_p.h"
#include "collector/filter/filter.h"
#include "lib/dict.h"
#include "lib/fnv.h"

#define SURE_MINUTES 1440       /* Of its own, to be judged by them alone. */
#define CHUNK 64                /* Rows at a time: a word of the bitmap. */
#define HOT .25f                /* Of the limit: looked at closely. */
#define CLEAR_BELOW .8          /* Of the limit: then it is over. */
#define THINNING 64.           /* Records at the minimum that are enough. */
#define LEVEL_MEMORY 1440.f     /* Minutes. */
#define WEIGHT_DECAY .7f        /* A minute. */
#define FRESH_S 10              /* Names in a capture are good for 30. */
#define FLAP_S 3600             /* Raised again so soon, it flaps; then it */
#define FLAPS_MAX 6             /* clears later: twice for each time. */

const struct counter_def alert_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct alert_counters, NAME), DOC },
    ALERT_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

const enum column_id alert_context_columns[N_ALERT_CONTEXT] = {
#define X(ID) COL_##ID,
    ALERT_CONTEXT(X)
#undef X
};

struct alert_engine *
alert_engine_create(struct dict *dict)
{
    struct alert_engine *e = calloc(1, sizeof *e);
    struct filter *f = filter_parse("canonical true", NULL);
    pthread_rwlockattr_t attr;

    if (e && f) {
        e->canonical = filter_compile(f, dict);
    }
    filter_destroy(f);
    if (!e || !e->canonical) {
        free(e);
        return NULL;
    }
    e->dict = dict;
    e->next_alert = 1;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(
        &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&e->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    return e;
}

static void
watch_destroy(struct alert_watch *w)
{
    if (w) {
        alert_table_clear(&w->table);
        alert_seen_clear(&w->seen);
        filter_program_destroy(w->program);
        alert_rule_clear(&w->rule);
        pthread_mutex_destroy(&w->mutex);
        free(w);
    }
}

void
alert_engine_destroy(struct alert_engine *e)
{
    if (e) {
        for (size_t i = 0; i < e->n; i++) {
            watch_destroy(e->list[i]);
        }
        filter_program_destroy(e->canonical);
        pthread_rwlock_destroy(&e->lock);
        free(e->news);
        free(e);
    }
}

const struct alert_counters *
alert_engine_counters(const struct alert_engine *e)
{
    return &e->n_counted;
}

void
alert_engine_next(struct alert_engine *e, uint64_t next)
{
    e->next_alert = next > e->next_alert ? next : e->next_alert;
}

/* ---- Rules. ---- */

/* Keys without a past are judged by what the largest of their kind does, if
 * there are such keys all the time, else by the largest of all. */
static void
judge_unknown(struct alert_watch *w)
{
    const struct alert_rule *r = &w->rule;
    const struct alert_level *l
        = w->largest_unknown.n >= 3 * ALERT_KNOWN_MINUTES
          ? &w->largest_unknown : &w->largest;

    if (r->type != ALERT_BASELINE) {
        w->unknown_limit = (float) (r->type == ALERT_THRESHOLD ? r->above
                                                               : r->minimum);
    } else if (l->n < ALERT_KNOWN_MINUTES) {
        w->unknown_limit = INFINITY;
    } else {
        double usual = alert_exp2(alert_level_limit(
                           l, ALERT_DEVIATIONS,
                           alert_log2(r->ratio - 1)) + w->largest_most);
        w->unknown_limit = (float) (usual > r->minimum ? usual : r->minimum);
    }
}

static bool
counts_flows(const struct alert_rule *r)
{
    return r->enabled && r->type != ALERT_SILENCE;
}

/* NULL: out of memory, or '*error' says what is wrong. */
static struct alert_watch *
watch_create(struct alert_engine *e, const struct alert_rule *r,
             struct filter_error *error)
{
    struct alert_watch *w = calloc(1, sizeof *w);
    struct filter *f = filter_parse(r->filter, error);

    if (w) {
        pthread_mutex_init(&w->mutex, NULL);
        w->program = f ? filter_compile(f, e->dict) : NULL;
    }
    filter_destroy(f);
    if (!w || !w->program || alert_rule_copy(&w->rule, r)
        || alert_table_init(&w->table, r->n_keys ? r->table : 1, e->dict,
                            w->rule.keys, r->n_keys)
        || (r->type == ALERT_NEW && alert_seen_init(&w->seen, 0))) {
        watch_destroy(w);
        return NULL;
    }
    w->relimit = true;
    w->deviations = ALERT_STRAY;
    judge_unknown(w);
    return w;
}

struct alert_watch *
alert_watch_find(const struct alert_engine *e, const char *name)
{
    for (size_t i = 0; i < e->n; i++) {
        if (!strcmp(e->list[i]->rule.name, name)) {
            return e->list[i];
        }
    }
    return NULL;
}

static void
fill_change(struct alert_watch *w, const struct alert_entry *entry,
            struct alert_change *c)
{
    unsigned at = 0;

    memset(c, 0, sizeof *c);
    c->rule = &w->rule;
    c->alert = entry->alert;
    c->rate = (double) entry->rate;
    c->limit = (double) entry->limit;
    c->peak = (double) entry->raised_peak;
    c->expected = -1;
    if (w->rule.type == ALERT_BASELINE && entry->level.n) {
        c->expected = alert_exp2(entry->level.mean + w->offset);
    }
    c->since_s = entry->since_s;
    c->flaps = entry->flaps;
    c->n_keys = w->rule.n_keys;
    for (unsigned i = 0; i < c->n_keys; i++) {
        const struct column *col = &columns[w->rule.keys[i].column];
        c->key[i].null = entry->nulls >> i & 1;
        memcpy(&c->key[i].addr, entry->key + at, col->size);
        at += col->size;
    }
}

/* The same over restarts, when names have other ids. */
uint64_t
alert_stable_hash(const struct alert_watch *w, const struct alert_entry *x)
{
    uint8_t key[ALERT_KEY_SIZE];
    unsigned at = 0;

    memcpy(key, x->key, sizeof key);
    for (unsigned i = 0; i < w->rule.n_keys; i++) {
        const struct column *c = &columns[w->rule.keys[i].column];
        if (c->type == COLUMN_T_NAME) {
            uint32_t id;
            memcpy(&id, key + at, sizeof id);
            const char *name = dict_text(w->table.dict, id);
            uint32_t h = fnv32_bytes(FNV32_START, name, strlen(name));
            memcpy(key + at, &h, sizeof h);
        }
        at += c->size;
    }
    return alert_hash(key, x->nulls);
}

/* Room for a change that is told later, or NULL. */
static struct alert_news *
news_add(struct alert_engine *e)
{
    if (e->n_news == e->news_size) {
        size_t size = e->news_size ? 2 * e->news_size : 16;
        struct alert_news *news = realloc(e->news, size * sizeof *news);
        if (!news) {
            return NULL;
        }
        e->news = news;
        e->news_size = size;
    }
    return &e->news[e->n_news++];
}

static void
news_tell(struct alert_engine *e, alert_tell_fn *tell, void *aux)
{
    for (size_t i = 0; i < e->n_news; i++) {
        struct alert_news *n = &e->news[i];
        n->change.capture = n->change.capture ? &n->capture : NULL;
        tell(aux, &n->change);
    }
    e->n_news = 0;
}

/* False: there is no memory; then nothing has changed. */
static bool
clear_alert(struct alert_engine *e, struct alert_watch *w,
            struct alert_entry *entry, bool usual)
{
    struct alert_news *n = news_add(e);

    if (!n) {
        return false;
    }
    fill_change(w, entry, &n->change);
    n->change.usual = usual;
    entry->state = ALERT_IDLE;
    entry->alert = 0;
    w->active--;
    counter_inc(&e->n_counted.cleared);
    return true;
}

static void
clear_all(struct alert_engine *e, struct alert_watch *w)
{
    size_t n = (size_t) w->table.n_buckets * ALERT_WAYS;

    for (size_t i = 0; i < n && w->active; i++) {
        if (alert_table_has(&w->table, i)
            && w->table.entries[i].state == ALERT_RAISED) {
            clear_alert(e, w, &w->table.entries[i], false);
        }
    }
}

/* What 'old' has learned goes on; only what it is judged by is new. */
static int
adopt(struct alert_watch *old, const struct alert_rule *r)
{
    struct alert_rule copy;
    int err = alert_rule_copy(&copy, r);
    if (!err) {
        alert_rule_clear(&old->rule);
        memcpy(&old->rule, &copy, sizeof copy);
        old->relimit = true;
    }
    return err;
}

int
alert_engine_set(struct alert_engine *e, const struct alert_rule *rules,
                 size_t n, size_t *bad, struct filter_error *error,
                 alert_tell_fn *tell, void *aux)
{
    struct alert_watch *list[ALERT_RULES_MAX] = { NULL };
    bool old[ALERT_RULES_MAX] = { false };
    size_t count = 0;
    int err = n > ALERT_RULES_MAX ? -ENOSPC : 0;

    memset(error, 0, sizeof *error);
    for (size_t i = 0; i < n && !err; i++) {
        if (!counts_flows(&rules[i])) {
            continue;
        }
        struct alert_watch *w = alert_watch_find(e, rules[i].name);
        old[count] = w && alert_rule_same_counting(&w->rule, &rules[i]);
        list[count] = old[count] ? w : watch_create(e, &rules[i], error);
        if (!list[count]) {
            *bad = i;
            err = error->message[0] ? -EINVAL : -ENOMEM;
        } else {
            count++;
        }
    }
    if (err) {
        for (size_t i = 0; i < count; i++) {
            if (!old[i]) {
                watch_destroy(list[i]);
            }
        }
        return err;
    }
    pthread_rwlock_wrlock(&e->lock);
    for (size_t i = 0, k = 0; i < n; i++) {
        if (counts_flows(&rules[i])) {
            err = old[k] && adopt(list[k], &rules[i]) ? -ENOMEM : err;
            k++;
        }
    }
    for (size_t i = 0; i < e->n; i++) {
        bool kept = false;
        for (size_t k = 0; k < count; k++) {
            kept |= list[k] == e->list[i];
        }
        if (!kept) {
            clear_all(e, e->list[i]);
            news_tell(e, tell, aux);
            watch_destroy(e->list[i]);
        }
    }
    memcpy(e->list, list, sizeof list);
    atomic_store(&e->n, count);
    pthread_rwlock_unlock(&e->lock);
    return err;
}

/* ---- The stage. ---- */

/* The key of a row, with addresses cut to their prefix. */
static uint8_t
make_key(const struct alert_rule *r, const struct flow_batch *b, unsigned row,
         uint8_t key[ALERT_KEY_SIZE])
{
    uint8_t nulls = 0, *p = key;

    memset(key, 0, ALERT_KEY_SIZE);
    for (unsigned i = 0; i < r->n_keys; i++) {
        const struct alert_key *k = &r->keys[i];
        const struct column *c = &columns[k->column];
        if (c->flags & CF_NULL && !batch_is_valid(b, k->column, row)) {
            nulls |= (uint8_t) (1u << i);
        } else {
            memcpy(p, (const uint8_t *) b + c->offset
                      + (size_t) row * c->size, c->size);
            if (c->type == COLUMN_T_ADDR) {
                struct addr a;
                memcpy(&a, p, sizeof a);
                unsigned bits = addr_is_v4(&a) ? 96u + k->bits4 : k->bits6;
                for (unsigned j = bits / 8; j < 16; j++) {
                    p[j] &= j == bits / 8 ? (uint8_t) (0xff00u >> bits % 8)
                                          : 0;
                }
            }
        }
        p += c->size;
    }
    return nulls;
}

static double
volume_of(enum alert_metric m, const struct flow_batch *b, unsigned row)
{
    return m == ALERT_BPS ? 8. * (double) b->bytes[row]
           : m == ALERT_PPS ? (double) b->packets[row] : 1.;
}

static uint32_t
seconds_of(const struct flow_batch *b, unsigned row)
{
    int64_t us = b->flow_end[row] - b->flow_start[row];
    return us <= 1000000 ? 1 : us >= INT64_C(86400000000) ? 86400
           : (uint32_t) ((us + 999999) / 1000000);
}

/* The conversation of a row gets its share; the smallest makes room. */
static void
contribute(struct alert_capture *c, const struct flow_batch *b, unsigned row,
           double volume)
{
    struct alert_contributor *least = c->top;

    for (unsigned i = 0; i < c->n; i++) {
        struct alert_contributor *t = &c->top[i];
        if (t->src_port == b->src_port[row] && t->dst_port == b->dst_port[row]
            && t->proto == b->proto[row] && addr_equal(&t->src,
                                                       &b->src_addr[row])
            && addr_equal(&t->dst, &b->dst_addr[row])) {
            t->volume += volume;
            return;
        }
        least = t->volume < least->volume ? t : least;
    }
    if (c->n < ALERT_CONTRIBUTORS) {
        least = &c->top[c->n++];
        least->volume = 0;
    } else if (volume < least->volume) {
        least->volume -= volume;
        return;
    } else {
        least->volume = 0;
    }
    *least = (struct alert_contributor) {
        .src = b->src_addr[row], .dst = b->dst_addr[row],
        .src_port = b->src_port[row], .dst_port = b->dst_port[row],
        .proto = b->proto[row], .volume = least->volume + volume,
    };
}

/* NULL: there is none. */
static struct alert_capture *
capture_of(struct alert_watch *w, const struct alert_entry *e)
{
    for (unsigned i = 0; i < ALERT_CAPTURES; i++) {
        if (w->owners[i].entry == e && w->owners[i].hash == e->hash) {
            return &w->captures[i];
        }
    }
    return NULL;
}

/* A free one, or that of the least traffic among keys that are not about to be
 * told; NULL: all are. */
static struct alert_capture *
capture_make(struct alert_watch *w, const struct alert_entry *e)
{
    unsigned least = ALERT_CAPTURES;

    for (unsigned i = 0; i < ALERT_CAPTURES; i++) {
        const struct alert_entry *owner = w->owners[i].entry;
        if (!owner) {
            least = i;
            break;
        }
        if ((owner->state != ALERT_PENDING
             || owner->hash != w->owners[i].hash)
            && (least == ALERT_CAPTURES
                || w->captures[i].total < w->captures[least].total)) {
            least = i;
        }
    }
    if (least == ALERT_CAPTURES) {
        return NULL;
    }
    w->owners[least] = (struct capture_owner) { e, e->hash };
    memset(&w->captures[least], 0, sizeof w->captures[least]);
    return &w->captures[least];
}

static void
capture(struct alert_watch *w, const struct alert_entry *e,
        const struct flow_batch *b, unsigned row, double volume)
{
    struct alert_capture *c = capture_of(w, e);

    c = c ? c : capture_make(w, e);
    if (!c) {
        return;
    }
    c->total += volume;
    if (volume > c->largest) {
        c->largest = volume;
        for (unsigned i = 0; i < N_ALERT_CONTEXT; i++) {
            tap_value_get(b, alert_context_columns[i], row, &c->value[i]);
        }
    }
    contribute(c, b, row, volume);
}

/* Of many small records one stands for all: which one is left to chance, so that
 * sums stay right on average. */
static double
thin(struct alert_watch *w, double volume, double least)
{
    if (volume >= least) {
        return volume;
    }
    w->random = w->random * UINT64_C(6364136223846793005)
                + UINT64_C(1442695040888963407);
    return (double) (w->random >> 33) * least < volume * 0x1p31 ? least : 0;
}

struct chunk {
    unsigned n;
    unsigned row[CHUNK];
    uint32_t seconds[CHUNK];
    double volume[CHUNK];
    uint64_t hash[CHUNK];
    uint8_t nulls[CHUNK];
    uint8_t key[CHUNK][ALERT_KEY_SIZE];
};

/* Rows that count, with their keys; what they need is on its way. */
static void
gather(struct alert_watch *w, const struct flow_batch *b, unsigned first,
       uint64_t bits, struct chunk *c)
{
    c->n = 0;
    for (; bits; bits &= bits - 1) {
        unsigned row = first + (unsigned) __builtin_ctzll(bits);
        double volume = volume_of(w->rule.metric, b, row);
        uint32_t seconds = seconds_of(b, row);
        if (w->thinning > 0) {
            volume = thin(w, volume / seconds, w->thinning) * seconds;
        }
        if (volume <= 0) {
            continue;
        }
        c->row[c->n] = row;
        c->volume[c->n] = volume;
        c->seconds[c->n] = seconds;
        c->nulls[c->n] = make_key(&w->rule, b, row, c->key[c->n]);
        c->hash[c->n] = alert_hash(c->key[c->n], c->nulls[c->n]);
        alert_table_prefetch(&w->table, c->hash[c->n]);
        c->n++;
    }
}

static void
count(struct alert_engine *e, struct alert_watch *w,
      const struct flow_batch *b, const struct chunk *c, int64_t second)
{
    uint64_t unplaced = 0;

    for (unsigned i = 0; i < c->n; i++) {
        alert_table_prefetch_entry(&w->table, c->hash[i]);
    }
    for (unsigned i = 0; i < c->n; i++) {
        struct alert_entry *x = alert_table_get(
            &w->table, c->hash[i], c->key[i], c->nulls[i],
            (float) c->volume[i]);
        w->total += c->volume[i];
        if (!x) {
            unplaced++;
            continue;
        }
        if (x->limit < 0) {
            x->known = w->rule.type == ALERT_NEW
                       && alert_seen_has(&w->seen, alert_stable_hash(w, x));
            x->limit = x->known ? INFINITY : w->unknown_limit;
        }
        alert_entry_add(&w->table, x, c->volume[i], c->seconds[i], second);
        if (x->state != ALERT_RAISED
            && x->now + x->spread > (double) (HOT * x->limit)) {
            capture(w, x, b, c->row[i], c->volume[i]);
        }
    }
    counter_add(&e->n_counted.counted, c->n);
    counter_add(&e->n_counted.unplaced, unplaced);
}

void
alert_process(void *engine, struct flow_batch *b)
{
    struct alert_engine *e = engine;
    uint64_t canonical[EVAL_WORDS], bits[EVAL_WORDS];
    struct chunk chunk;

    if (!b->n || !atomic_load_explicit(&e->n, memory_order_relaxed)) {
        return;
    }
    counter_add(&e->n_counted.flows, b->n);
    filter_run(e->canonical, b, canonical);
    int64_t second = atomic_load(&e->second);
    pthread_rwlock_rdlock(&e->lock);
    for (size_t i = 0; i < atomic_load(&e->n); i++) {
        struct alert_watch *w = e->list[i];
        filter_run(w->program, b, bits);
        pthread_mutex_lock(&w->mutex);
        for (unsigned k = 0; k < (b->n + 63) / 64; k++) {
            uint64_t word = bits[k] & canonical[k];
            if (word) {
                gather(w, b, 64 * k, word, &chunk);
                count(e, w, b, &chunk, second);
            }
        }
        pthread_mutex_unlock(&w->mutex);
    }
    pthread_rwlock_unlock(&e->lock);
}

/* ---- The tick. ---- */

/* What an entry may do, a second. */
static float
limit_of(const struct alert_watch *w, const struct alert_level *l)
{
    const struct alert_rule *r = &w->rule;
    double limit = r->type == ALERT_THRESHOLD ? r->above : r->minimum;

    if (r->type == ALERT_BASELINE && l->n >= ALERT_KNOWN_MINUTES) {
        double usual = alert_exp2(alert_level_limit(
                           l, w->deviations, alert_log2(r->ratio - 1))
                                     + w->most);
        limit = usual > limit ? usual : limit;
        /* A little time is little to judge by: others count, too. */
        if (l->n < SURE_MINUTES && isfinite(w->unknown_limit)
            && limit < (double) w->unknown_limit) {
            limit = (double) w->unknown_limit;
        }
    } else if (r->type == ALERT_BASELINE) {
        limit = (double) w->unknown_limit;
    }
    return (float) limit;
}

static bool
learning(const struct alert_watch *w, int64_t now_s)
{
    return (w->rule.type == ALERT_BASELINE || w->rule.type == ALERT_NEW)
           && (!w->began_s || now_s - w->began_s < w->rule.learn_s);
}

static bool
raise(struct alert_engine *e, struct alert_watch *w, struct alert_entry *x)
{
    struct alert_news *n = w->active < ALERT_ACTIVE_MAX ? news_add(e) : NULL;

    if (!n) {
        counter_inc(&e->n_counted.refused);
        return false;
    }
    struct alert_capture *c = capture_of(w, x);
    x->state = ALERT_RAISED;
    x->alert = e->next_alert++;
    x->quiet_s = 0;
    x->raised_peak = x->rate;
    w->active++;
    fill_change(w, x, &n->change);
    n->change.raised = true;
    if (c) {
        n->capture = *c;
        n->change.capture = &n->capture;
        w->owners[c - w->captures].entry = NULL;
    }
    counter_inc(&e->n_counted.raised);
    return true;
}

struct tick {
    struct alert_engine *e;
    int64_t now_s;
    double elapsed;
    uint32_t seconds;
};

static void
make_known(struct alert_watch *w, struct alert_entry *x)
{
    x->known = true;
    x->limit = INFINITY;
    alert_seen_add(&w->seen, alert_stable_hash(w, x));
}

/* Is it raised, or over? */
static void
judge(const struct tick *t, struct alert_watch *w, struct alert_entry *x)
{
    const struct alert_rule *r = &w->rule;
    bool over = x->rate > x->limit && x->rate > 0;
    bool early = learning(w, t->now_s);

    /* A clock that was put back. */
    x->since_s = x->since_s > t->now_s ? t->now_s : x->since_s;
    x->quiet_s = x->quiet_s > t->now_s ? t->now_s : x->quiet_s;
    x->cleared_s = x->cleared_s > t->now_s ? t->now_s : x->cleared_s;
    if (r->type == ALERT_NEW) {
        over = !x->known && x->rate > 0 && x->rate >= x->limit;
        if (over && early) {
            make_known(w, x);
        }
    }
    if (x->state == ALERT_RAISED) {
        bool still = r->type == ALERT_NEW ? false
                     : (double) x->rate > CLEAR_BELOW * (double) x->limit;
        x->raised_peak = x->rate > x->raised_peak ? x->rate : x->raised_peak;
        x->quiet_s = still ? 0 : x->quiet_s ? x->quiet_s : t->now_s;
        bool usual = r->type == ALERT_BASELINE
                     && t->now_s - x->since_s >= ALERT_ADAPT_S;
        if (usual) {
            x->level = (struct alert_level) {
                alert_log2((double) x->rate) - w->offset, 1,
                ALERT_KNOWN_MINUTES };
            x->limit = limit_of(w, &x->level);
        }
        if (usual || (!still && t->now_s - x->quiet_s
                                >= (int64_t) r->clear_s << x->flaps)) {
            if (clear_alert(t->e, w, x, usual)) {
                x->cleared_s = t->now_s;
            }
        }
        return;
    }
    if (!over || early) {
        x->state = ALERT_IDLE;
        return;
    }
    if (x->state == ALERT_IDLE) {
        x->state = ALERT_PENDING;
        x->since_s = t->now_s;
    }
    if (t->now_s - x->since_s >= r->hold_s) {
        bool again = x->cleared_s && t->now_s - x->cleared_s < FLAP_S;
        x->flaps = again && x->flaps < FLAPS_MAX ? x->flaps + 1u
                   : again ? FLAPS_MAX : 0;
        if (!raise(t->e, w, x)) {
            x->state = ALERT_IDLE;
        } else if (r->type == ALERT_BASELINE && x->level.n >= SURE_MINUTES) {
            w->strayed = true;
        }
        if (r->type == ALERT_NEW) {
            make_known(w, x);
        }
    }
}

/* The end of a minute for one key. */
static void
learn(struct alert_watch *w, struct alert_entry *x, float most[2])
{
    if (w->rule.type == ALERT_BASELINE && x->peak > 0) {
        float log = alert_log2((double) x->peak) - w->offset;
        bool unknown = x->level.n < ALERT_KNOWN_MINUTES;
        if (x->state != ALERT_RAISED) {
            float raw = log + w->offset;        /* It has other hours. */
            most[unknown] = raw > most[unknown] ? raw : most[unknown];
        }
        alert_level_learn(&x->level, log, LEVEL_MEMORY);
        w->long_known |= x->level.n >= SURE_MINUTES;
    }
    if (x->known && x->peak > 0) {
        alert_seen_add(&w->seen, alert_stable_hash(w, x));
    }
    x->peak = x->rate;
    *alert_table_weight(&w->table, x) *= WEIGHT_DECAY;
}

static void
end_minute(const struct tick *t, struct alert_watch *w)
{
    struct alert_hour hour = alert_hour_at(w->minute * 60);
    size_t n = (size_t) w->table.n_buckets * ALERT_WAYS;
    float most[2] = { 0, 0 };

    w->minute = t->now_s / 60;
    if (w->minute_total > 0) {
        alert_season_learn(&w->season, &hour,
                           alert_log2(w->minute_total / 60));
    }
    for (size_t i = 0; i < n; i++) {
        if (alert_table_has(&w->table, i)) {
            learn(w, &w->table.entries[i], most);
        }
    }
    float all = most[0] > most[1] ? most[0] : most[1];
    float offset = 0;
    if (all > 0) {
        alert_season_learn(&w->largest_season, &hour, all);
        offset = alert_season_offset(&w->largest_season, &hour);
        alert_level_learn_most(&w->largest, &w->largest_run, all - offset,
                               LEVEL_MEMORY);
    }
    if (most[1] > 0) {
        alert_level_learn_most(&w->largest_unknown, &w->unknown_run,
                               most[1] - offset, LEVEL_MEMORY);
    }
    if (w->long_known) {
        alert_stray_learn(&w->deviations, w->strayed);
    }
    w->strayed = w->long_known = false;
    w->minute_total = 0;
    if (w->rule.type == ALERT_NEW) {
        alert_seen_age(&w->seen, t->now_s, w->rule.remember_s);
    }
    w->relimit = true;
}

static void
set_limits(struct alert_watch *w, int64_t now_s)
{
    size_t n = (size_t) w->table.n_buckets * ALERT_WAYS;
    struct alert_hour hour = alert_hour_at(now_s);

    w->offset = alert_season_offset(&w->season, &hour);
    w->most = alert_season_most(&w->season, &hour);
    w->largest_most = alert_season_most(&w->largest_season, &hour);
    judge_unknown(w);
    w->thinning = w->rule.type == ALERT_BASELINE ? w->rule.minimum / THINNING
                                                 : 0;
    for (size_t i = 0; i < n; i++) {
        struct alert_entry *x = &w->table.entries[i];
        /* What was raised is over by the limit by which it was raised, if that
         * is not one that somebody sets; after a restart it is found anew. */
        if (alert_table_has(&w->table, i)
            && (x->state != ALERT_RAISED || x->limit <= 0
                || w->rule.type == ALERT_THRESHOLD)) {
            x->limit = x->known ? INFINITY : limit_of(w, &x->level);
        }
    }
    w->relimit = false;
}

static void
end_second(const struct tick *t, struct alert_watch *w,
           struct alert_entry *x, int64_t second)
{
    alert_table_second(&w->table, x, second, t->seconds, t->elapsed);
}

static void
judge_busy(const struct tick *t, struct alert_watch *w,
           struct alert_entry *x, int64_t second)
{
    size_t i = (size_t) (x - w->table.entries);

    (void) second;
    judge(t, w, x);
    if (x->rate <= 0 && x->state == ALERT_IDLE) {
        w->table.busy[i / ALERT_WAYS] &= (uint8_t) ~(1u << i % ALERT_WAYS);
    }
}

static void
each_busy(const struct tick *t, struct alert_watch *w, int64_t second,
          void (*what)(const struct tick *, struct alert_watch *,
                       struct alert_entry *, int64_t))
{
    for (uint32_t k = 0; k < w->table.n_buckets && w->table.n_used; k++) {
        for (unsigned left = w->table.busy[k]; left; left &= left - 1) {
            unsigned way = (unsigned) __builtin_ctz(left);
            what(t, w, &w->table.entries[k * ALERT_WAYS + way], second);
        }
    }
}

static void
tick_one(const struct tick *t, struct alert_watch *w, int64_t second)
{
    if (w->relimit) {
        set_limits(w, t->now_s);
    }
    w->rate = w->total / t->elapsed;
    w->minute_total += w->total;
    w->total = 0;
    w->began_s = w->began_s > t->now_s ? t->now_s : w->began_s;
    if (!w->began_s && w->table.n_used) {
        w->began_s = t->now_s;
        w->seen.began_s = w->seen.bits[0] ? t->now_s : 0;
        w->minute = t->now_s / 60;
    }
    each_busy(t, w, second, end_second);
    /* Where there are more than may be told, the largest are. */
    for (unsigned i = 0; i < ALERT_CAPTURES; i++) {
        const struct capture_owner *o = &w->owners[i];
        if (o->entry && o->entry->hash == o->hash) {
            judge(t, w, &w->table.entries[o->entry - w->table.entries]);
        }
    }
    each_busy(t, w, second, judge_busy);
    for (unsigned i = 0; i < ALERT_CAPTURES; i++) {
        if (w->owners[i].entry
            && w->owners[i].entry->state == ALERT_IDLE) {
            w->owners[i].entry = NULL;
        } else if (t->now_s % FRESH_S == 0) {
            w->captures[i].largest = 0;
        }
    }
    if (t->now_s / 60 != w->minute) {
        end_minute(t, w);
        set_limits(w, t->now_s);
    }
}

void
alert_engine_tick(struct alert_engine *e, int64_t now_s, double elapsed,
                  alert_tell_fn *tell, void *aux)
{
    elapsed = elapsed < .1 ? .1 : elapsed;
    uint32_t seconds = elapsed < 1.5 ? 1 : elapsed > 1000 ? 1000
                       : (uint32_t) (elapsed + .5);
    struct tick t = { e, now_s, elapsed, seconds };

    pthread_rwlock_rdlock(&e->lock);
    int64_t second = atomic_load(&e->second);
    for (size_t i = 0; i < atomic_load(&e->n); i++) {
        struct alert_watch *w = e->list[i];
        pthread_mutex_lock(&w->mutex);
        tick_one(&t, w, second);
        pthread_mutex_unlock(&w->mutex);
        news_tell(e, tell, aux);
    }
    /* What comes between two rules' ticks counts for the next second's end. */
    atomic_store(&e->second, second + seconds);
    pthread_rwlock_unlock(&e->lock);
}

bool
alert_engine_status(struct alert_engine *e, const char *rule,
                    struct alert_rule_status *s)
{
    pthread_rwlock_rdlock(&e->lock);
    struct alert_watch *w = alert_watch_find(e, rule);
    memset(s, 0, sizeof *s);
    if (w) {
        pthread_mutex_lock(&w->mutex);
        s->keys = w->table.n_used;
        s->table = w->table.n_buckets * ALERT_WAYS;
        s->active = w->active;
        s->evicted = w->table.evicted;
        s->learned_s = w->began_s ? w->minute * 60 - w->began_s : 0;
        s->learned_s = s->learned_s < 0 ? 0 : s->learned_s;
        s->learning = learning(w, w->minute * 60);
        s->total = w->rate;
        pthread_mutex_unlock(&w->mutex);
    }
    pthread_rwlock_unlock(&e->lock);
    return w != NULL;
}

uint64_t
alert_engine_memory(const struct alert_engine *e)
{
    uint64_t size = 0;
    for (size_t i = 0; i < e->n; i++) {
        const struct alert_watch *w = e->list[i];
        size += (uint64_t) w->table.n_buckets * ALERT_WAYS
                * (sizeof *w->table.buckets / ALERT_WAYS
                   + sizeof *w->table.entries
                   + sizeof *w->table.rings)
                + sizeof *w + (w->seen.bits[0] ? 2 * SEEN_BYTES : 0);
    }
    return size;
}
