#include <config.h>

#include "collector/decode/decoder_p.h"

#include "collector/exporter/source_table.h"

/* RFC 3954. */

enum { SET_TEMPLATE = 0, SET_OPTIONS_TEMPLATE = 1 };

static bool
read_fields(struct cursor *c, unsigned n, struct template_field *fields)
{
    for (unsigned i = 0; i < n; i++) {
        fields[i].id = cur_u16(c);
        fields[i].size = cur_u16(c);
        fields[i].pen = 0;
    }
    return !c->bad;
}

static void
read_templates(struct set_context *x, struct cursor *c)
{
    struct template_field fields[TEMPLATE_MAX_FIELDS];
    while (cur_left(c) >= 4) {          /* Less is padding. */
        uint16_t id = cur_u16(c);
        uint16_t n_fields = cur_u16(c);
        if (!id && !n_fields) {
            return;                     /* Padding, too. */
        }
        if (n_fields > TEMPLATE_MAX_FIELDS
            || !read_fields(c, n_fields, fields)) {
            decode_refuse(x->dec, x->source, &x->dec->c.counters->bad_template);
            return;
        }
        dataset_template(x, id, false, 0, fields, n_fields);
    }
}

/* Section 6.1: sizes of the two lists are in bytes. */
static void
read_options_templates(struct set_context *x, struct cursor *c)
{
    struct template_field fields[TEMPLATE_MAX_FIELDS];
    while (cur_left(c) >= 6) {
        uint16_t id = cur_u16(c);
        unsigned n_scope = cur_u16(c) / 4u;
        unsigned n_fields = n_scope + cur_u16(c) / 4u;
        if (!id && !n_fields) {
            return;                     /* Padding. */
        }
        if (n_fields > TEMPLATE_MAX_FIELDS
            || !read_fields(c, n_fields, fields)) {
            decode_refuse(x->dec, x->source, &x->dec->c.counters->bad_template);
            return;
        }
        dataset_template(x, id, true, n_scope, fields, n_fields);
    }
}

/* False if the rest of the datagram cannot be read. */
static bool
read_set(struct set_context *x, struct cursor *c)
{
    uint16_t id = cur_u16(c);
    uint16_t size = cur_u16(c);
    struct cursor body = cur_sub(c, size >= 4 ? size - 4u : SIZE_MAX);
    if (body.bad) {
        decode_refuse(x->dec, x->source, &x->dec->c.counters->bad_set);
        return false;
    }
    if (id == SET_TEMPLATE) {
        read_templates(x, &body);
    } else if (id == SET_OPTIONS_TEMPLATE) {
        read_options_templates(x, &body);
    } else if (id >= TEMPLATE_ID_MIN) {
        dataset_decode(x, id, &body);
    } else {
        decode_refuse(x->dec, x->source, &x->dec->c.counters->bad_set);
    }
    return true;
}

void
netflow9_decode(struct decoder *dec, struct cursor *c)
{
    cur_skip(c, 4);     /* Version; and a count that many exporters get wrong. */
    uint32_t uptime_ms = cur_u32(c);
    uint32_t export_s = cur_u32(c);
    uint32_t seq = cur_u32(c);
    uint32_t domain = cur_u32(c);
    if (c->bad) {
        counter_inc(&dec->c.counters->bad_header);
        return;
    }
    struct source *source = decode_source(dec, PROTO_NETFLOW9, domain, NULL);
    if (!source) {
        return;
    }
    source_sequence(source, seq, 1);
    struct set_context x = {
        .dec = dec, .source = source,
        .env = {
            .dict = dec->c.dict, .source = source,
            .received_us = dec->d->received_us,
            .export_us = (int64_t) export_s * 1000000,
            .uptime_ms = uptime_ms, .has_uptime = true,
        },
    };
    while (cur_more(c) && read_set(&x, c)) {
        continue;
    }
}
