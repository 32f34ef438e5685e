#include <config.h>

#include "collector/decode/decoder_p.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "collector/exporter/source_table.h"
#include "lib/mix.h"
#include "lib/seed.h"

/* Data sets whose template has not come yet.  Datagrams are reordered, and an
 * exporter that was there first repeats its templates only now and then: what
 * comes shortly before them can still be decoded.  All is bounded, the oldest
 * of a source make way for its newer ones, and a source cannot take the room
 * of others but for what is free.
 *
 * A datagram has room for 13,000 sets, or for 8,000 templates: keeping a set,
 * and looking for those of a template, takes no longer where many wait. */

#define PENDING_BUCKETS 1024    /* A power of 2. */

/* What waits of one source, oldest first. */
struct pending_source {
    TAILQ_ENTRY(pending_source) next;
    struct source *source;
    TAILQ_HEAD(, pending_set) sets;
    size_t bytes;
};

struct pending_set {
    TAILQ_ENTRY(pending_set) by_age, of_source, of_bucket;
    struct pending_source *owner;
    int64_t received_us, export_us;
    uint32_t uptime_ms, size;
    uint16_t id;
    bool has_uptime;
    uint8_t data[];
};

struct pending {
    TAILQ_HEAD(pending_age, pending_set) by_age;        /* Oldest first. */
    TAILQ_HEAD(pending_bucket, pending_set) bucket[PENDING_BUCKETS];
    TAILQ_HEAD(pending_owners, pending_source) owners[PENDING_BUCKETS];
    size_t bytes;               /* Of all. */
    uint64_t secret;            /* Exporters choose ids. */
};

static struct pending_bucket *
bucket_of(struct pending *p, const struct source *source, uint16_t id)
{
    uint64_t h = mix64(source->id ^ p->secret, id);
    return &p->bucket[h & (PENDING_BUCKETS - 1)];
}

static struct pending_owners *
owners_of(struct pending *p, const struct source *source)
{
    return &p->owners[source->id & (PENDING_BUCKETS - 1)];
}

static struct pending_source *
owner_find(struct pending *p, const struct source *source)
{
    struct pending_source *o;
    TAILQ_FOREACH(o, owners_of(p, source), next) {
        if (o->source == source) {
            return o;
        }
    }
    return NULL;
}

static struct pending_source *
owner_make(struct pending *p, struct source *source)
{
    struct pending_source *o = calloc(1, sizeof *o);
    if (o) {
        o->source = source;
        TAILQ_INIT(&o->sets);
        TAILQ_INSERT_TAIL(owners_of(p, source), o, next);
    }
    return o;
}

static size_t
footprint(const struct pending_set *s)
{
    return sizeof *s + s->size;
}

/* Takes 's' out of everything; it is the caller's then. */
static void
take_out(struct pending *p, struct pending_set *s)
{
    struct pending_source *o = s->owner;
    TAILQ_REMOVE(&p->by_age, s, by_age);
    TAILQ_REMOVE(&o->sets, s, of_source);
    TAILQ_REMOVE(bucket_of(p, o->source, s->id), s, of_bucket);
    p->bytes -= footprint(s);
    o->bytes -= footprint(s);
    if (TAILQ_EMPTY(&o->sets)) {
        TAILQ_REMOVE(owners_of(p, o->source), o, next);
        free(o);
    }
}

static void
drop(struct pending *p, struct pending_set *s)
{
    take_out(p, s);
    free(s);
}

static void
expire(struct pending *p, int64_t now_us)
{
    struct pending_set *s;
    while ((s = TAILQ_FIRST(&p->by_age))
           && now_us - s->received_us > PENDING_US) {
        drop(p, s);
    }
}

/* Makes room for 'size' bytes of a source.  False if there is none. */
static bool
make_room(struct pending *p, const struct source *source, size_t size,
          int64_t now_us)
{
    expire(p, now_us);
    struct pending_source *o;
    while (size <= PENDING_SHARE && (o = owner_find(p, source))
           && o->bytes + size > PENDING_SHARE) {
        drop(p, TAILQ_FIRST(&o->sets));
    }
    return size <= PENDING_SHARE && p->bytes + size <= PENDING_TOTAL;
}

static struct pending *
pending_create(void)
{
    struct pending *p = calloc(1, sizeof *p);
    if (p) {
        TAILQ_INIT(&p->by_age);
        p->secret = seed_make();
    }
    for (size_t i = 0; p && i < PENDING_BUCKETS; i++) {
        TAILQ_INIT(&p->bucket[i]);
        TAILQ_INIT(&p->owners[i]);
    }
    return p;
}

void
pending_destroy(struct pending *p)
{
    struct pending_set *s;
    while (p && (s = TAILQ_FIRST(&p->by_age))) {
        drop(p, s);
    }
    free(p);
}

void
decoder_forget(struct decoder *dec, const struct source *source)
{
    struct pending *p = dec->pending;
    struct pending_source *o;
    while (p && (o = owner_find(p, source))) {
        drop(p, TAILQ_FIRST(&o->sets));
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
    struct pending_set *s = NULL;
    struct pending_source *o;
    if (!size || !make_room(p, x->source, sizeof *s + size,
                            x->env.received_us)
        || !(s = malloc(sizeof *s + size))) {
        return;
    }
    o = owner_find(p, x->source);
    if (!o && !(o = owner_make(p, x->source))) {
        free(s);
        return;
    }
    *s = (struct pending_set) {
        .owner = o, .received_us = x->env.received_us,
        .export_us = x->env.export_us, .uptime_ms = x->env.uptime_ms,
        .has_uptime = x->env.has_uptime, .id = id, .size = (uint32_t) size,
    };
    memcpy(s->data, c->p, size);
    TAILQ_INSERT_TAIL(&p->by_age, s, by_age);
    TAILQ_INSERT_TAIL(&o->sets, s, of_source);
    TAILQ_INSERT_TAIL(bucket_of(p, x->source, id), s, of_bucket);
    p->bytes += footprint(s);
    o->bytes += footprint(s);
}

/* As if the set came now, but for its times. */
static void
decode_late(struct decoder *dec, struct source *source,
            const struct pending_set *s)
{
    const struct datagram *now = dec->d;
    struct datagram then = *now;
    struct cursor c = cur_init(s->data, s->size);
    struct set_context x = {
        .dec = dec, .source = source, .late = true,
        .env = {
            .keep_unknown = dec->c.keep_unknown,
            .templates = dec->c.templates,
            .dict = dec->c.dict, .names = &dec->names, .source = source,
            .received_us = s->received_us, .export_us = s->export_us,
            .uptime_ms = s->uptime_ms, .has_uptime = s->has_uptime,
        },
    };
    then.received_us = s->received_us;
    dec->d = &then;
    dataset_decode(&x, s->id, &c);
    dec->d = now;
    if (!x.unknown) {
        counter_inc(&source->n.deferred);
    }
}

void
pending_release(const struct set_context *x, uint16_t id)
{
    struct pending *p = x->dec->pending;
    if (!p || !p->bytes) {
        return;
    }
    expire(p, x->env.received_us);
    struct pending_bucket *b = bucket_of(p, x->source, id);
    struct pending_set *s = TAILQ_FIRST(b);
    while (s) {
        struct pending_set *next = TAILQ_NEXT(s, of_bucket);
        if (s->owner->source == x->source && s->id == id) {
            take_out(p, s);
            decode_late(x->dec, x->source, s);
            free(s);
        }
        s = next;
    }
}
