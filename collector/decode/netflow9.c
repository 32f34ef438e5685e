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

/* A template without fields is none of RFC 3954, but some exporters take
 * theirs back like that. */
static void
keep(struct set_context *x, uint16_t id, bool options, unsigned n_scope,
     const struct template_field *fields, unsigned n_fields)
{
    if (n_fields) {
        dataset_template(x, id, options, n_scope, fields, n_fields);
    } else {
        template_withdraw(x->dec->c.templates, x->source, id);
    }
}

void
netflow9_templates(struct set_context *x, struct cursor *c, bool options)
{
    struct template_field fields[TEMPLATE_MAX_FIELDS];
    size_t head = options ? 6 : 4;
    while (cur_left(c) >= head) {       /* Less is padding. */
        uint16_t id = cur_u16(c);
        unsigned n_scope = 0, n_fields;
        if (options) {
            /* Section 6.1: the sizes of two lists, in bytes. */
            n_scope = cur_u16(c) / 4u;
            n_fields = n_scope + cur_u16(c) / 4u;
        } else {
            n_fields = cur_u16(c);
        }
        if (!id && !n_fields) {
            return;                     /* Padding, too. */
        }
        if (n_fields > TEMPLATE_MAX_FIELDS
            || !read_fields(c, n_fields, fields)) {
            decode_refuse(x->dec, x->source,
                          &x->dec->c.counters->bad_template);
            return;
        }
        keep(x, id, options, n_scope, fields, n_fields);
    }
}

/* False if the rest of the datagram cannot be read. */
static bool
read_set(struct set_context *x, struct cursor *c)
{
    uint16_t id = cur_u16(c);
    uint16_t size = cur_u16(c);
    struct cursor body = dataset_body(x, c, size);
    if (body.bad) {
        decode_refuse(x->dec, x->source, &x->dec->c.counters->bad_set);
        return false;
    }
    if (id == SET_TEMPLATE || id == SET_OPTIONS_TEMPLATE) {
        netflow9_templates(x, &body, id == SET_OPTIONS_TEMPLATE);
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
    cur_skip(c, 4);             /* Version; a count that many get wrong. */
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
            .keep_unknown = dec->c.keep_unknown,
            .templates = dec->c.templates,
            .dict = dec->c.dict, .names = &dec->names, .source = source,
            .received_us = dec->d->received_us,
            .export_us = (int64_t) export_s * 1000000,
            .uptime_ms = uptime_ms, .has_uptime = true,
        },
    };
    decode_clock(dec, source, x.env.export_us);
    while (cur_more(c) && read_set(&x, c)) {
        continue;
    }
}
