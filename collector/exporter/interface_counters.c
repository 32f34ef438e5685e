#include <config.h>

#include "collector/exporter/interface_counters.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/exporter/counter_log.h"
#include "lib/dict.h"
#include "lib/source.h"

/* Most data sources have few of the fields, so values are kept packed. */
struct entry {
    uint32_t source_id, parts, name, if_index;
    uint64_t data_source, n_samples;
    int64_t updated_us, logged_us;
    const struct source *source;
    struct counter_set has;
    uint64_t *values;
};

/* Counter samples are rare (one per interface in 20 s or so), so a lock does.
 * A table of indexes with open addressing over a list that only grows. */
struct interface_counters_table {
    pthread_mutex_t lock;
    size_t share, total, n, allocated, n_slots;
    uint64_t refused;
    uint32_t *slots;            /* Index plus 1; 0: free. */
    struct entry *list;
    uint16_t *per_source;       /* By source id. */
    size_t n_sources;
    struct counter_log *log;
    struct dict *dict;
};

struct interface_counters_table *
interface_counters_create(size_t share, size_t total)
{
    struct interface_counters_table *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    pthread_mutex_init(&t->lock, NULL);
    t->share = share < UINT16_MAX ? share : UINT16_MAX;
    t->total = total;
    return t;
}

void
interface_counters_destroy(struct interface_counters_table *t)
{
    if (t) {
        pthread_mutex_destroy(&t->lock);
        for (size_t i = 0; i < t->n; i++) {
            free(t->list[i].values);
        }
        free(t->slots);
        free(t->list);
        free(t->per_source);
        free(t);
    }
}

/* The slot of a data source, or the free one where it belongs. */
static size_t
find_slot(const struct interface_counters_table *t, uint32_t source_id,
          uint64_t data_source)
{
    uint64_t h = (data_source ^ (uint64_t) source_id << 40)
                 * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t) (h >> 20) & (t->n_slots - 1);
    for (;; i = (i + 1) & (t->n_slots - 1)) {
        const struct entry *c = &t->list[t->slots[i] - 1];
        if (!t->slots[i] || (c->source_id == source_id
                             && c->data_source == data_source)) {
            return i;
        }
    }
}

/* Room for one more.  Slots are at least twice as many as entries. */
static bool
grow(struct interface_counters_table *t)
{
    size_t n = t->allocated ? 2 * t->allocated : 64;
    if (t->n < t->allocated) {
        return true;
    }
    struct entry *list = realloc(t->list, n * sizeof *list);
    if (list) {
        t->list = list;
    }
    uint32_t *slots = calloc(4 * n, sizeof *slots);
    if (!list || !slots) {
        free(slots);
        return false;
    }
    free(t->slots);
    t->slots = slots;
    t->n_slots = 4 * n;
    t->allocated = n;
    for (size_t i = 0; i < t->n; i++) {
        size_t slot = find_slot(t, t->list[i].source_id,
                                t->list[i].data_source);
        t->slots[slot] = (uint32_t) i + 1;
    }
    return true;
}

static bool
take_share(struct interface_counters_table *t, uint32_t source_id)
{
    if (source_id >= t->n_sources) {
        size_t n = t->n_sources ? t->n_sources : 64;
        while (n <= source_id) {
            n *= 2;
        }
        uint16_t *p = realloc(t->per_source, n * sizeof *p);
        if (!p) {
            return false;
        }
        memset(p + t->n_sources, 0, (n - t->n_sources) * sizeof *p);
        t->per_source = p;
        t->n_sources = n;
    }
    if (t->per_source[source_id] >= t->share) {
        return false;
    }
    t->per_source[source_id]++;
    return true;
}

static struct entry *
entry_get(struct interface_counters_table *t,
          const struct interface_counters *c)
{
    size_t slot = t->n_slots ? find_slot(t, c->source_id, c->data_source) : 0;
    if (t->n_slots && t->slots[slot]) {
        return &t->list[t->slots[slot] - 1];
    }
    if (t->n >= t->total || !grow(t) || !take_share(t, c->source_id)) {
        t->refused++;
        return NULL;
    }
    slot = find_slot(t, c->source_id, c->data_source);
    struct entry *e = &t->list[t->n++];
    memset(e, 0, sizeof *e);
    e->source_id = c->source_id;
    e->data_source = c->data_source;
    t->slots[slot] = (uint32_t) t->n;
    return e;
}

static void
entry_read(const struct entry *e, struct interface_counters *c)
{
    *c = (struct interface_counters) {
        .source_id = e->source_id, .parts = e->parts,
        .data_source = e->data_source, .updated_us = e->updated_us,
        .logged_us = e->logged_us, .source = e->source,
        .n_samples = e->n_samples, .name = e->name, .if_index = e->if_index,
    };
    counter_values_unpack(&c->v, &e->has, e->values);
}

/* Values of a structure that came replace all that it had before, also by
 * none. */
static bool
merge_values(struct entry *to, const struct interface_counters *from)
{
    struct counter_values v;
    counter_values_unpack(&v, &to->has, to->values);
    for (unsigned i = 0; i < N_COUNTER_FIELDS; i++) {
        if (counter_set_has(&from->came, i)) {
            v.value[i] = from->v.value[i];
        }
    }
    for (unsigned i = 0; i < COUNTER_WORDS; i++) {
        v.has.word[i] = (v.has.word[i] & ~from->came.word[i])
                        | (from->v.has.word[i] & from->came.word[i]);
    }
    size_t n = counter_set_count(&v.has);
    if (n != counter_set_count(&to->has)) {
        uint64_t *values = realloc(to->values, (n + 1) * sizeof *values);
        if (!values) {
            return false;
        }
        to->values = values;
    }
    to->has = v.has;
    counter_values_pack(&v, to->values);
    return true;
}

/* False if there is no memory for its values. */
static bool
merge(struct entry *to, const struct interface_counters *from,
      struct dict *dict)
{
    bool better = from->parts & COUNTERS_NAME
                  || (from->parts & COUNTERS_HOST
                      && !(to->parts & COUNTERS_NAME));
    if (from->parts & COUNTERS_GENERIC) {
        to->if_index = from->if_index;
    }
    if (better && to->name != from->name) {
        if (dict) {
            dict_hold(dict, from->name);
            dict_release(dict, to->name);
        }
        to->name = from->name;
    }
    to->parts |= from->parts;
    to->source = from->source;
    to->updated_us = from->updated_us;
    to->n_samples++;
    return merge_values(to, from);
}

void
interface_counters_set_log(struct interface_counters_table *t,
                           struct counter_log *log, struct dict *dict)
{
    t->log = log;
    t->dict = dict;
}

bool
interface_counters_point(const struct interface_counters *c,
                         const struct dict *dict, struct counter_point *p)
{
    const struct source_key *key = &c->source->key;
    *p = (struct counter_point) {
        .time_us = c->updated_us, .origin = COUNTER_SFLOW,
        .exporter = key->exporter, .agent = key->agent,
        .domain = key->domain, .data_source = c->data_source,
        .if_index = c->parts & COUNTERS_GENERIC ? c->if_index
                    : c->data_source >> 24 ? 0 : c->data_source,
    };
    if (c->name) {
        snprintf(p->name, sizeof p->name, "%s", dict_text(dict, c->name));
    }
    p->v = c->v;
    return counter_set_count(&p->v.has) != 0;
}

/* The log has had nothing of 'e' in this interval. */
static bool
is_due(const struct interface_counters_table *t,
       const struct entry *e)
{
    int64_t interval = t->log && e->source ? counter_log_interval(t->log) : 0;
    return interval && e->updated_us / interval != e->logged_us / interval;
}

bool
interface_counters_put(struct interface_counters_table *t,
                       const struct interface_counters *c)
{
    struct interface_counters copy;
    struct counter_point point;
    bool due = false;
    pthread_mutex_lock(&t->lock);
    struct entry *e = entry_get(t, c);
    if (e && !merge(e, c, t->dict)) {
        t->refused++;
        e = NULL;
    }
    if (e) {
        due = is_due(t, e);
        if (due) {
            e->logged_us = e->updated_us;
            entry_read(e, &copy);
        }
    }
    pthread_mutex_unlock(&t->lock);
    if (due && interface_counters_point(&copy, t->dict, &point)) {
        counter_log_put(t->log, &point);
    }
    return e != NULL;
}

bool
interface_counters_get(struct interface_counters_table *t,
                       uint32_t source_id, uint64_t data_source,
                       struct interface_counters *out)
{
    pthread_mutex_lock(&t->lock);
    size_t slot = t->n_slots ? find_slot(t, source_id, data_source) : 0;
    bool found = t->n_slots && t->slots[slot];
    if (found) {
        entry_read(&t->list[t->slots[slot] - 1], out);
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

void
interface_counters_each(struct interface_counters_table *t,
                        uint32_t source_id,
                        bool (*each)(const struct interface_counters *,
                                     void *aux), void *aux)
{
    bool more = true;
    for (size_t i = 0; more; i++) {
        struct interface_counters c;
        pthread_mutex_lock(&t->lock);
        bool there = i < t->n;
        if (there) {
            entry_read(&t->list[i], &c);
        }
        pthread_mutex_unlock(&t->lock);
        if (!there) {
            return;
        }
        more = (source_id && c.source_id != source_id) || each(&c, aux);
    }
}

size_t
interface_counters_count(struct interface_counters_table *t)
{
    pthread_mutex_lock(&t->lock);
    size_t n = t->n;
    pthread_mutex_unlock(&t->lock);
    return n;
}

uint64_t
interface_counters_refused(struct interface_counters_table *t)
{
    pthread_mutex_lock(&t->lock);
    uint64_t n = t->refused;
    pthread_mutex_unlock(&t->lock);
    return n;
}
