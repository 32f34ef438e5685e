#include <config.h>

#include "collector/decode/decoder_p.h"

#include "collector/exporter/source_table.h"

/* NetFlow v1, v5 and v7 have one record each: a template that never changes, so
 * that it is compiled like one.  Ids are those of NetFlow v9; 210 is
 * padding. */
#define COMMON_FIELDS                                                   \
    { 8, 4, 0 }, { 12, 4, 0 }, { 15, 4, 0 }, { 10, 2, 0 },              \
    { 14, 2, 0 }, { 2, 4, 0 }, { 1, 4, 0 }, { 22, 4, 0 },               \
    { 21, 4, 0 }, { 7, 2, 0 }, { 11, 2, 0 }

/* After the flags: what some routers told of TCP, and nobody documented. */
static const struct template_field netflow1_fields[] = {
    COMMON_FIELDS, { 210, 2, 0 }, { 4, 1, 0 }, { 5, 1, 0 }, { 6, 1, 0 },
    { 210, 7, 0 },
};
#define NETFLOW1_LONG 52        /* Some have four octets more. */

#define AS_FIELDS                                                       \
    { 210, 1, 0 }, { 6, 1, 0 }, { 4, 1, 0 }, { 5, 1, 0 },               \
    { 16, 2, 0 }, { 17, 2, 0 }, { 9, 1, 0 }, { 13, 1, 0 }

static const struct template_field netflow5_fields[] = {
    COMMON_FIELDS, AS_FIELDS, { 210, 2, 0 },
};

/* After the masks: flags and the router that was bypassed. */
static const struct template_field netflow7_fields[] = {
    COMMON_FIELDS, AS_FIELDS, { 210, 2, 0 }, { 210, 4, 0 },
};

#define N_OF(A) (sizeof (A) / sizeof (A)[0])

static const struct layout {
    uint16_t version;           /* The protocol's number, too. */
    const struct template_field *fields;
    size_t n;
} layouts[N_NETFLOW_FIXED] = {
    { PROTO_NETFLOW1, netflow1_fields, N_OF(netflow1_fields) },
    { PROTO_NETFLOW5, netflow5_fields, N_OF(netflow5_fields) },
    { PROTO_NETFLOW7, netflow7_fields, N_OF(netflow7_fields) },
};

bool
netflow5_init(struct decoder *dec)
{
    for (size_t i = 0; i < N_NETFLOW_FIXED; i++) {
        const struct layout *l = &layouts[i];
        struct fixed_format *f = &dec->fixed[i];
        for (size_t k = 0; k < l->n; k++) {
            f->stride += l->fields[k].size;
        }
        f->plan = plan_compile(l->fields, (unsigned) l->n,
                               (uint8_t) l->version, false);
        if (!f->plan) {
            return false;
        }
    }
    return true;
}

void
netflow5_clear(struct decoder *dec)
{
    for (size_t i = 0; i < N_NETFLOW_FIXED; i++) {
        plan_destroy(dec->fixed[i].plan);
    }
}

static const struct fixed_format *
find_format(const struct decoder *dec, uint16_t version)
{
    for (size_t i = 0; i < N_NETFLOW_FIXED; i++) {
        if (layouts[i].version == version) {
            return &dec->fixed[i];
        }
    }
    return NULL;
}

static void
decode_records(struct decoder *dec, const struct plan *plan, size_t stride,
               const struct plan_env *env, const uint8_t *p, uint32_t n)
{
    while (n) {
        uint32_t take = decode_reserve(dec, n);
        plan_run_fixed(plan, env, dec->b, dec->b->n, take, p, stride);
        decode_commit(dec, env->source, take);
        p += take * stride;
        n -= take;
    }
}

/* The header's lower 14 bits are the interval, the upper two say how packets
 * were picked.  Zero takes an earlier interval back. */
static void
learn_sampling(struct source *s, uint16_t sampling)
{
    uint16_t interval = sampling & 0x3fff;
    if (!interval && s->sampling_origin == SAMPLING_HEADER) {
        atomic_store_explicit(&s->sampling, 0, memory_order_relaxed);
        atomic_store_explicit(&s->sampling_origin, SAMPLING_NONE,
                              memory_order_relaxed);
    }
    decode_sampling(s, interval, SAMPLING_HEADER);
}

void
netflow5_decode(struct decoder *dec, struct cursor *c)
{
    struct decoder_counters *n = dec->c.counters;
    uint16_t version = cur_u16(c);
    uint16_t count = cur_u16(c);
    uint32_t uptime_ms = cur_u32(c);
    uint32_t secs = cur_u32(c);
    uint32_t nsecs = cur_u32(c);
    /* Version 1 ends here, and version 7 has neither engine nor sampling. */
    bool v5 = version == PROTO_NETFLOW5, counted = version != PROTO_NETFLOW1;
    uint32_t seq = counted ? cur_u32(c) : 0;
    uint8_t engine_type = counted ? cur_u8(c) : 0;
    uint8_t engine_id = counted ? cur_u8(c) : 0;
    uint16_t sampling = counted ? cur_u16(c) : 0;
    const struct fixed_format *format = find_format(dec, version);

    if (c->bad || !format) {
        counter_inc(&n->bad_header);
        return;
    }
    uint32_t domain = v5 ? (uint32_t) engine_type << 8 | engine_id : 0;
    struct source *source = decode_source(dec, (uint8_t) version, domain,
                                          NULL);
    if (!source) {
        return;
    }
    size_t stride = format->stride;
    if (!counted && cur_left(c) == (size_t) count * NETFLOW1_LONG) {
        stride = NETFLOW1_LONG;
    }
    size_t n_records = count;
    if (dec->d->cut && count * stride > cur_left(c)) {
        n_records = cur_left(c) / stride;
    }
    const uint8_t *records = cur_take(c, n_records * stride);
    if (!records || !n_records) {
        decode_refuse(dec, source, &n->bad_header);
        return;
    }
    /* A count that hides records: what it names is taken, the rest is told. */
    if (cur_left(c) >= stride) {
        decode_refuse(dec, source, &n->bad_header);
    }
    if (v5) {
        learn_sampling(source, sampling);
    }
    if (counted) {
        source_sequence_v5(source, seq, count);
    }
    decode_clock(dec, source, (int64_t) secs * 1000000);

    struct plan_env env = {
        .dict = dec->c.dict, .names = &dec->names, .source = source,
        .received_us = dec->d->received_us,
        .export_us = (int64_t) secs * 1000000 + nsecs / 1000 % 1000000,
        .uptime_ms = uptime_ms, .has_uptime = true,
    };
    decode_records(dec, format->plan, stride, &env, records,
                   (uint32_t) n_records);
}
