#include <config.h>

#include "collector/decode/decoder.h"

#include <stdlib.h>

#include "collector/decode/decoder_p.h"
#include "collector/exporter/source_table.h"

const struct counter_def decoder_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct decoder_counters, NAME), DOC },
    DECODER_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

struct decoder *
decoder_create(const struct decoder_config *config)
{
    struct decoder *dec = calloc(1, sizeof *dec);
    if (!dec) {
        return NULL;
    }
    dec->c = *config;
    if (!netflow5_init(dec)) {
        decoder_destroy(dec);
        return NULL;
    }
    return dec;
}

void
decoder_destroy(struct decoder *dec)
{
    if (dec) {
        netflow5_clear(dec);
        pending_destroy(dec->pending);
        free(dec);
    }
}

/* By version.  sFlow's takes four bytes, that of the others two; no NetFlow has
 * version 0. */
static void (*const netflow[])(struct decoder *, struct cursor *) = {
    [1] = netflow5_decode, [5] = netflow5_decode, [7] = netflow5_decode,
    [9] = netflow9_decode, [10] = ipfix_decode,
};

static void
dispatch(struct decoder *dec, const struct datagram *d)
{
    if (d->size < 4) {
        counter_inc(&dec->c.counters->too_short);
        return;
    }
    uint32_t version = be32_at(d->data);
    struct cursor c = cur_init(d->data, d->size);
    if (version == 5) {
        sflow_decode(dec, &c);
    } else if (version >> 16 < sizeof netflow / sizeof netflow[0]
               && netflow[version >> 16]) {
        netflow[version >> 16](dec, &c);
    } else {
        counter_inc(&dec->c.counters->unknown_version);
    }
}

struct flow_batch *
decoder_datagram(struct decoder *dec, const struct datagram *d,
                 struct flow_batch *b)
{
    counter_inc(&dec->c.counters->datagrams);
    if (dec->ahead_at < dec->n_ahead) {
        plan_prefetch(dec->ahead[dec->ahead_at++]);
    }
    dec->b = b;
    dec->d = d;
    dispatch(dec, d);
    b = dec->b;
    dec->b = NULL;
    dec->d = NULL;
    return b;
}

/* Plans are large: all of a burst would push each other out of the first cache.
 * They are fetched when so many datagrams are before theirs. */
#define AHEAD 2

/* What a datagram is of, and its first set, as far as it takes to fetch ahead;
 * false: it is not worth it, or not one that this knows. */
static bool
peek(const struct datagram *d, struct source_key *key, uint16_t *set)
{
    static const struct {
        uint8_t version, protocol, domain, set;
    } layouts[] = { { 9, PROTO_NETFLOW9, 16, 20 }, { 10, PROTO_IPFIX, 12, 16 } };
    for (size_t i = 0; i < 2 && d->size >= 24; i++) {
        if (be16_at(d->data) == layouts[i].version) {
            *key = (struct source_key) {
                .exporter = d->src, .agent = d->src,
                .domain = be32_at(d->data + layouts[i].domain),
                .protocol = layouts[i].protocol, .session = d->session,
            };
            *set = be16_at(d->data + layouts[i].set);
            return true;
        }
    }
    return false;
}

/* Step by step for all of them, so that many fetches are under way at once. */
void
decoder_prefetch(struct decoder *dec, const struct datagram *d, size_t n)
{
    struct {
        uint64_t hash;
        const struct source *source;
        const void *p;
        const struct template *t;
        uint16_t set, port;
    } x[DECODER_BURST];
    size_t m = 0;
    for (size_t i = 0; i < n && m < DECODER_BURST; i++) {
        struct source_key key;
        if (peek(&d[i], &key, &x[m].set)) {
            x[m].port = d[i].src_port;
            x[m++].hash = source_prefetch_slot(dec->c.sources, &key);
        }
    }
    for (size_t i = 0; i < m; i++) {
        x[i].source = source_prefetch(dec->c.sources, x[i].hash);
    }
    template_read_lock();
    for (size_t i = 0; i < m; i++) {
        x[i].p = NULL;
        if (x[i].source) {
            source_prefetch_sequence(x[i].source, x[i].port);
            x[i].p = template_prefetch_root(dec->c.templates, x[i].source);
        }
    }
    for (size_t i = 0; i < m; i++) {
        x[i].p = template_prefetch_directory(x[i].p);
    }
    for (size_t i = 0; i < m; i++) {
        x[i].p = template_prefetch_slot(x[i].p, x[i].set);
    }
    for (size_t i = 0; i < m; i++) {
        x[i].t = template_prefetch(x[i].p);
    }
    for (size_t i = 0; i < m; i++) {
        dec->ahead[i] = x[i].t ? x[i].t->plan : NULL;
    }
    template_read_unlock();
    dec->n_ahead = m;
    dec->ahead_at = 0;
    while (dec->ahead_at < AHEAD && dec->ahead_at < m) {
        plan_prefetch(dec->ahead[dec->ahead_at++]);
    }
}

struct source *
decode_source(struct decoder *dec, uint8_t protocol, uint32_t domain,
              const struct addr *agent)
{
    const struct datagram *d = dec->d;
    struct source_key key = {
        .exporter = d->src, .agent = agent ? *agent : d->src,
        .domain = domain, .protocol = protocol, .session = d->session,
    };
    struct source *s = dec->last;       /* Datagrams come in trains. */
    if (!s || !source_key_equal(&s->key, &key)) {
        s = dec->last = source_table_get(dec->c.sources, &key);
    }
    if (!s) {
        counter_inc(&dec->c.counters->source_limit);
        return NULL;
    }
    if (!atomic_load_explicit(&s->first_us, memory_order_relaxed)) {
        atomic_store_explicit(&s->first_us, d->received_us,
                              memory_order_relaxed);
    }
    atomic_store_explicit(&s->last_us, d->received_us, memory_order_relaxed);
    atomic_store_explicit(&s->port, d->src_port, memory_order_relaxed);
    counter_inc(&s->n.datagrams);
    counter_add(&s->n.octets, d->size);
    return s;
}

void
decode_refuse(struct decoder *dec, struct source *source, counter_t *counter)
{
    counter_inc(counter);
    if (!source) {
        return;
    }
    struct decoder_counters *n = dec->c.counters;
    const struct { counter_t *all, *one; } reasons[] = {
        { &n->bad_header, &source->n.bad_header },
        { &n->bad_set, &source->n.bad_set },
        { &n->bad_template, &source->n.bad_template },
        { &n->bad_record, &source->n.bad_record },
        { &n->bad_sample, &source->n.bad_sample },
    };
    counter_inc(&source->n.malformed);
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].all == counter) {
            counter_inc(reasons[i].one);
        }
    }
}

static void
flush(struct decoder *dec)
{
    dec->b = dec->c.flush(dec->c.aux, dec->b);
}

uint32_t
decode_reserve(struct decoder *dec, uint32_t want)
{
    if (batch_full(dec->b)) {
        flush(dec);
    }
    uint32_t room = batch_room(dec->b);
    return want < room ? want : room;
}

/* What is the same for all rows of a datagram. */
static inline void
fill_common(const struct decoder *dec, const struct source *source,
            const struct addr *exporter, uint32_t row)
{
    struct flow_batch *b = dec->b;
    b->received[row] = dec->d->received_us;
    b->exporter[row] = *exporter;
    b->observation_domain_id[row] = source->key.domain;
    b->export_protocol[row] = source->key.protocol;
    b->canonical[row] = 1;
}

static void
commit(struct decoder *dec, struct source *source, uint32_t n)
{
    struct flow_batch *b = dec->b;
    uint32_t from = b->n;
    const struct addr *exporter = source->key.protocol == PROTO_SFLOW5
                                  ? &source->key.agent
                                  : &source->key.exporter;
    int64_t received = dec->d->received_us;

    if (!from) {
        b->oldest_us = received;
    }
    if (n == 1) {               /* Neither loops nor calls of memset(). */
        fill_common(dec, source, exporter, from);
    } else {
        for (uint32_t i = from; i < from + n; i++) {
            b->received[i] = received;
            b->exporter[i] = *exporter;
            b->observation_domain_id[i] = source->key.domain;
        }
        memset(&b->export_protocol[from], source->key.protocol, n);
        memset(&b->canonical[from], 1, n);
    }
    b->n += n;
    batch_add_span(b, source, from);
    if (batch_full(b)) {
        flush(dec);
    }
}

void
decode_commit(struct decoder *dec, struct source *source, uint32_t n)
{
    counter_add(&source->n.flow_records, n);
    commit(dec, source, n);
}

void
decode_commit_reverse(struct decoder *dec, struct source *source)
{
    counter_inc(&source->n.reverse_flows);
    commit(dec, source, 1);
}

void
decode_abandon(struct decoder *dec)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        if (columns[i].flags & CF_NULL) {
            batch_clear_valid(dec->b, i, dec->b->n);
        }
    }
}

void
decode_sampling(struct source *s, uint32_t rate, enum sampling_origin origin)
{
    uint8_t old = atomic_load_explicit(&s->sampling_origin,
                                       memory_order_relaxed);
    if (!rate || (old != SAMPLING_NONE && old < origin)
        || (old == origin && s->sampling == rate)) {
        return;
    }
    atomic_store_explicit(&s->sampling, rate, memory_order_relaxed);
    atomic_store_explicit(&s->sampling_origin, origin, memory_order_relaxed);
}
