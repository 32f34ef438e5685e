#include <config.h>

#include "collector/decode/sflow_p.h"

#include "collector/exporter/source_table.h"

/* sFlow version 5 (sflow.org/sflow_version_5.txt): XDR, so everything is a
 * multiple of four bytes. */

/* enterprise << 12 | format; all of ours have enterprise 0. */
enum {
    SAMPLE_FLOW = 1, SAMPLE_COUNTERS = 2, SAMPLE_FLOW_EXPANDED = 3,
    SAMPLE_COUNTERS_EXPANDED = 4, SAMPLE_DISCARDED = 5,
};

enum { INTERFACE_SINGLE = 0, INTERFACE_DROPPED = 1, INTERFACE_MULTIPLE = 2 };
#define INTERFACE_INTERNAL 0x3fffffff
#define DISCARD_UNKNOWN 256

/* All records; gives the row up if one does not fit. */
static bool
read_records(struct sflow_sample *s, struct cursor *c, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!sflow_record(s, c)) {
            decode_abandon(s->dec);
            return false;
        }
    }
    return true;
}

/* ---- Samples. ---- */

/* sFlow's reasons in the words of forwardingStatus (RFC 7270 section
 * 4.12). */
static uint8_t
dropped_status(uint32_t reason)
{
    static const struct { uint16_t reason; uint8_t status; } map[] = {
        { 0, 131 }, { 1, 131 }, { 4, 133 }, { 6, 131 }, { 7, 131 },
        { 9, 129 }, { 10, 129 }, { 13, 129 }, { 257, 137 }, { 258, 129 },
        { 261, 138 }, { 260, 139 },
    };
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        if (map[i].reason == reason) {
            return map[i].status;
        }
    }
    return 128;
}

/* A data source that is an interface (class 0) looks at what enters or leaves
 * there. */
static void
set_direction(struct sflow_sample *s, uint64_t data_source, uint32_t in,
              uint32_t out_format, uint32_t out)
{
    if (!data_source || data_source >> 24) {
        return;
    } else if (data_source == in) {
        BATCH_SET(s->b, direction, s->row, DIR_INGRESS);
    } else if (out_format == INTERFACE_SINGLE && data_source == out) {
        BATCH_SET(s->b, direction, s->row, DIR_EGRESS);
    }
}

static void
set_output(struct sflow_sample *s, uint32_t format, uint32_t value)
{
    struct flow_batch *b = s->b;
    bool known = false;
    if (format == INTERFACE_SINGLE && value) {
        if (value != INTERFACE_INTERNAL) {
            BATCH_SET(b, out_if, s->row, value);
            known = true;
        }
        BATCH_SET(b, forwarding_status, s->row, 64);
    } else if (format == INTERFACE_DROPPED) {
        BATCH_SET(b, forwarding_status, s->row, dropped_status(value));
        /* Open vSwitch says "dropped, unknown why" also of what it forwards
         * after recirculation. */
        known = value != DISCARD_UNKNOWN;
        if (known) {
            BATCH_SET(b, drop_reason, s->row, (uint16_t) value);
        }
    } else if (format == INTERFACE_MULTIPLE) {
        BATCH_SET(b, forwarding_status, s->row, 64);
    }
    if (!known) {
        b->quality[s->row] |= Q_OUTPUT_UNKNOWN;
    }
}

/* The two forms of a flow sample differ in how they write interfaces. */
struct sample_header {
    uint64_t data_source;
    uint32_t rate, in_format, in_value, out_format, out_value, n_records;
};

uint64_t
sflow_data_source(struct cursor *c, bool expanded)
{
    if (!expanded) {
        return cur_u32(c);
    }
    uint64_t class = cur_u32(c), index = cur_u32(c);
    return index >> 24 ? class << 32 | index : class << 24 | index;
}

static void
read_sample_header(struct cursor *c, bool expanded, struct sample_header *h)
{
    cur_skip(c, 4);             /* Sequence number of the data source. */
    h->data_source = sflow_data_source(c, expanded);
    h->rate = cur_u32(c);
    cur_skip(c, 8);             /* Sample pool, drops. */
    if (expanded) {
        h->in_format = cur_u32(c);
        h->in_value = cur_u32(c);
        h->out_format = cur_u32(c);
        h->out_value = cur_u32(c);
    } else {
        uint32_t in = cur_u32(c), out = cur_u32(c);
        h->in_format = in >> 30;
        h->in_value = in & INTERFACE_INTERNAL;
        h->out_format = out >> 30;
        h->out_value = out & INTERFACE_INTERNAL;
    }
    h->n_records = cur_u32(c);
}

/* False if it does not parse. */
static bool
read_flow_sample(struct decoder *dec, struct source *source,
                 struct cursor *c, bool expanded)
{
    struct sample_header h;
    read_sample_header(c, expanded, &h);
    if (c->bad) {
        return false;
    }
    decode_reserve(dec, 1);
    struct sflow_sample s = { .dec = dec, .b = dec->b, .row = dec->b->n };
    struct flow_batch *b = s.b;
    b->quality[s.row] = 0;
    b->bytes[s.row] = 0;
    if (!read_records(&s, c, h.n_records)) {
        return false;
    }
    b->packets[s.row] = 1;
    b->raw_packets[s.row] = 1;
    b->raw_bytes[s.row] = b->bytes[s.row];
    b->flow_start[s.row] = b->flow_end[s.row] = dec->d->received_us;
    BATCH_SET(b, observation_point_id, s.row, h.data_source);
    if (h.in_format == INTERFACE_SINGLE && h.in_value
        && h.in_value != INTERFACE_INTERNAL) {
        BATCH_SET(b, in_if, s.row, h.in_value);
    }
    set_output(&s, h.out_format, h.out_value);
    set_direction(&s, h.data_source, h.in_value, h.out_format, h.out_value);
    if (h.rate) {
        BATCH_SET(b, sampling, s.row, h.rate);
        decode_sampling(source, h.rate, SAMPLING_HEADER);
    }
    decode_commit(dec, source, 1);
    return true;
}

/* A packet that was dropped (sflow.org/sflow_drops.txt).  It is reported for
 * itself, not as one of so many, and the samples count it already if it was
 * among them: here it only counts as dropped. */
static bool
read_discarded(struct decoder *dec, struct source *source, struct cursor *c)
{
    cur_skip(c, 4);             /* Sequence number. */
    uint64_t data_source = sflow_data_source(c, true);
    cur_skip(c, 4);             /* Drops. */
    uint32_t in = cur_u32(c), out = cur_u32(c);
    uint32_t reason = cur_u32(c), n_records = cur_u32(c);
    if (c->bad) {
        return false;
    }
    decode_reserve(dec, 1);
    struct sflow_sample s = { .dec = dec, .b = dec->b, .row = dec->b->n };
    struct flow_batch *b = s.b;
    b->quality[s.row] = 0;
    b->bytes[s.row] = 0;
    if (!read_records(&s, c, n_records)) {
        return false;
    }
    BATCH_SET(b, dropped_packets, s.row, 1);
    BATCH_SET(b, dropped_bytes, s.row, b->bytes[s.row]);
    BATCH_SET(b, drop_reason, s.row, (uint16_t) reason);
    BATCH_SET(b, forwarding_status, s.row, dropped_status(reason));
    BATCH_SET(b, sampling, s.row, 1);
    BATCH_SET(b, observation_point_id, s.row, data_source);
    if (in && in != INTERFACE_INTERNAL) {
        BATCH_SET(b, in_if, s.row, in);
    }
    if (out && out != INTERFACE_INTERNAL) {
        BATCH_SET(b, out_if, s.row, out);
    }
    b->packets[s.row] = b->raw_packets[s.row] = 0;
    b->bytes[s.row] = b->raw_bytes[s.row] = 0;
    batch_clear_valid(b, COL_l2_bytes, s.row);
    b->flow_start[s.row] = b->flow_end[s.row] = dec->d->received_us;
    decode_commit(dec, source, 1);
    return true;
}

/* False if it does not parse.  What is not known is skipped. */
static bool
read_body(struct decoder *dec, struct source *source, uint32_t format,
          struct cursor c)
{
    if (c.bad) {
        return false;
    }
    switch (format) {
    case SAMPLE_FLOW:
    case SAMPLE_FLOW_EXPANDED:
        return read_flow_sample(dec, source, &c,
                                format == SAMPLE_FLOW_EXPANDED);
    case SAMPLE_COUNTERS:
    case SAMPLE_COUNTERS_EXPANDED:
        return sflow_counter_sample(dec, source, &c,
                                    format == SAMPLE_COUNTERS_EXPANDED);
    case SAMPLE_DISCARDED:
        return read_discarded(dec, source, &c);
    default:
        return true;
    }
}

/* False if nothing good can follow.  There are agents that get the length of a
 * sample wrong and all else right, so a last attempt reads as far as the
 * datagram goes. */
static bool
read_sample(struct decoder *dec, struct source *source, struct cursor *c)
{
    uint32_t format = cur_u32(c);
    uint32_t size = cur_u32(c);
    struct cursor rest = *c;
    if (read_body(dec, source, format, cur_sub(c, size))) {
        return true;
    }
    read_body(dec, source, format, rest);
    return false;
}

void
sflow_decode(struct decoder *dec, struct cursor *c)
{
    struct decoder_counters *n = dec->c.counters;
    struct addr agent = { { 0 } };
    cur_skip(c, 4);             /* Version 5. */
    bool known = sflow_address(c, &agent);
    uint32_t sub_agent = cur_u32(c);
    uint32_t seq = cur_u32(c);
    cur_skip(c, 4);             /* Uptime. */
    uint32_t n_samples = cur_u32(c);
    if (c->bad) {
        counter_inc(&n->bad_header);
        return;
    }
    struct source *source = decode_source(dec, PROTO_SFLOW5, sub_agent,
                                          known ? &agent : NULL);
    if (!source) {
        return;
    }
    source_sequence(source, seq, 1);
    for (uint32_t i = 0; i < n_samples; i++) {
        if (!read_sample(dec, source, c)) {
            decode_refuse(dec, source, &n->bad_sample);
            return;
        }
    }
}
