#include <config.h>

#include "collector/decode/decoder_p.h"

#include <stdlib.h>

#include "collector/exporter/source_table.h"

/* Data sets whose template has not come yet.  Datagrams are reordered, and an
 * exporter that was there first repeats its templates only now and then: what
 * comes shortly before them can still be decoded.  All is bounded, the oldest
 * of a source make way for its newer ones, and a source cannot take the room
 * of others but for what is free. */

#define PENDING_BUCKETS 256

struct pending_set {
    struct pending_set *next;
    struct source *source;
    int64_t received_us, export_us;
    uint32_t uptime_ms, size;
    uint16_t id;
    bool has_uptime;
    uint8_t data[];
};

struct pending {
    struct pending_bucket {
        struct pending_set *first, **last;
    } bucket[PENDING_BUCKETS];
    size_t bytes;               /* Of all. */
    int64_t swept_us;
};

static struct pending_bucket *
bucket_of(struct pending *p, const struct source *source)
{
    return &p->bucket[source->id % PENDING_BUCKETS];
}

static size_t
footprint(const struct pending_set *s)
{
    return sizeof *s + s->size;
}

/* Takes '*at' out; '*at' is the next one then. */
static struct pending_set *
take_out(struct pending *p, struct pending_bucket *b, struct pending_set **at)
{
    struct pending_set *s = *at;
    *at = s->next;
    if (b->last == &s->next) {
        b->last = at;
    }
    p->bytes -= footprint(s);
    s->next = NULL;
    return s;
}

static void
expire(struct pending *p, struct pending_bucket *b, int64_t now_us)
{
    while (b->first && now_us - b->first->received_us > PENDING_US) {
        free(take_out(p, b, &b->first));
    }
}

/* Makes room for 'size' bytes of a source.  False if there is none. */
static bool
make_room(struct pending *p, struct pending_bucket *b,
          const struct source *source, size_t size, int64_t now_us)
{
    expire(p, b, now_us);
    if (p->bytes + size > PENDING_TOTAL
        && now_us - p->swept_us > PENDING_US / 4) {
        p->swept_us = now_us;
        for (size_t i = 0; i < PENDING_BUCKETS; i++) {
            expire(p, &p->bucket[i], now_us);
        }
    }
    size_t mine = size;
    for (const struct pending_set *s = b->first; s; s = s->next) {
        mine += s->source == source ? footprint(s) : 0;
    }
    for (struct pending_set **at = &b->first;
         *at && mine > PENDING_SHARE; ) {
        if ((*at)->source == source) {
            struct pending_set *s = take_out(p, b, at);
            mine -= footprint(s);
            free(s);
        } else {
            at = &(*at)->next;
        }
    }
    return mine <= PENDING_SHARE && p->bytes + size <= PENDING_TOTAL;
}

static struct pending *
pending_create(void)
{
    struct pending *p = calloc(1, sizeof *p);
    for (size_t i = 0; p && i < PENDING_BUCKETS; i++) {
        p->bucket[i].last = &p->bucket[i].first;
    }
    return p;
}

void
pending_destroy(struct pending *p)
{
    for (size_t i = 0; p && i < PENDING_BUCKETS; i++) {
        while (p->bucket[i].first) {
            free(take_out(p, &p->bucket[i], &p->bucket[i].first));
        }
    }
    free(p);
}

void
decoder_forget(struct decoder *dec, const struct source *source)
{
    struct pending *p = dec->pending;
    struct pending_bucket *b = p ? bucket_of(p, source) : NULL;
    for (struct pending_set **at = b ? &b->first : NULL; at && *at; ) {
        if ((*at)->source == source) {
            free(take_out(p, b, at));
        } else {
            at = &(*at)->next;
        }
    }
}

void
pending_keep(const struct set_context *x, uint16_t id, const struct cursor *c)
{
    struct decoder *dec = x->dec;
    size_t size = cur_left(c);
    if (!dec->pending && !(dec->pending = pending_create())) {
        return;
    }
    struct pending *p = dec->pending;
    struct pending_bucket *b = bucket_of(p, x->source);
    struct pending_set *s = NULL;
    if (!size || !make_room(p, b, x->source, sizeof *s + size,
                            x->env.received_us)
        || !(s = malloc(sizeof *s + size))) {
        return;
    }
    *s = (struct pending_set) {
        .source = x->source, .received_us = x->env.received_us,
        .export_us = x->env.export_us, .uptime_ms = x->env.uptime_ms,
        .has_uptime = x->env.has_uptime, .id = id, .size = (uint32_t) size,
    };
    memcpy(s->data, c->p, size);
    *b->last = s;
    b->last = &s->next;
    p->bytes += footprint(s);
}

/* As if the set came now, but for its times. */
static void
decode_late(struct decoder *dec, struct pending_set *s)
{
    const struct datagram *now = dec->d;
    struct datagram then = *now;
    struct cursor c = cur_init(s->data, s->size);
    struct set_context x = {
        .dec = dec, .source = s->source, .late = true,
        .env = {
            .keep_unknown = dec->c.keep_unknown,
            .templates = dec->c.templates,
            .dict = dec->c.dict, .names = &dec->names, .source = s->source,
            .received_us = s->received_us, .export_us = s->export_us,
            .uptime_ms = s->uptime_ms, .has_uptime = s->has_uptime,
        },
    };
    then.received_us = s->received_us;
    dec->d = &then;
    dataset_decode(&x, s->id, &c);
    dec->d = now;
    if (!x.unknown) {
        counter_inc(&s->source->n.deferred);
    }
}

void
pending_release(const struct set_context *x, uint16_t id)
{
    struct pending *p = x->dec->pending;
    if (!p || !p->bytes) {
        return;
    }
    struct pending_bucket *b = bucket_of(p, x->source);
    struct pending_set *ready = NULL, **last = &ready;
    expire(p, b, x->env.received_us);
    for (struct pending_set **at = &b->first; *at; ) {
        if ((*at)->source == x->source && (*at)->id == id) {
            *last = take_out(p, b, at);
            last = &(*last)->next;
        } else {
            at = &(*at)->next;
        }
    }
    while (ready) {
        struct pending_set *s = ready;
        ready = s->next;
        decode_late(x->dec, s);
        free(s);
    }
}
