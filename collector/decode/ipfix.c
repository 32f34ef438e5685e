#include <config.h>

#include "collector/decode/decoder_p.h"

#include "collector/exporter/source_table.h"

/* RFC 7011. */

enum { SET_TEMPLATE_9 = 0, SET_OPTIONS_TEMPLATE_9 = 1,
       SET_TEMPLATE = 2, SET_OPTIONS_TEMPLATE = 3 };
#define HEADER_SIZE 16

static bool
read_fields(struct cursor *c, unsigned n, struct template_field *fields)
{
    for (unsigned i = 0; i < n; i++) {
        uint16_t id = cur_u16(c);
        fields[i].size = cur_u16(c);
        fields[i].id = id & 0x7fff;
        fields[i].pen = id & 0x8000 ? cur_u32(c) : 0;
    }
    return !c->bad;
}

/* Section 8.1: a template without fields takes one back, or, under the id of
 * its set, all. */
static void
withdraw(struct set_context *x, uint16_t id, bool options)
{
    struct template_cache *templates = x->dec->c.templates;
    if (id == (options ? SET_OPTIONS_TEMPLATE : SET_TEMPLATE)) {
        template_withdraw_all(templates, x->source, options);
    } else {
        template_withdraw(templates, x->source, id);
    }
}

static void
read_templates(struct set_context *x, struct cursor *c, bool options)
{
    struct template_field fields[TEMPLATE_MAX_FIELDS];
    struct decoder_counters *n = x->dec->c.counters;

    while (cur_left(c) >= 4) {          /* Less is padding. */
        uint16_t id = cur_u16(c);
        uint16_t n_fields = cur_u16(c);
        if (!id && !n_fields) {
            return;                     /* Padding, too. */
        } else if (!n_fields) {
            withdraw(x, id, options);
            continue;
        }
        uint16_t n_scope = options ? cur_u16(c) : 0;
        if (n_fields > TEMPLATE_MAX_FIELDS
            || !read_fields(c, n_fields, fields)
            || (options && !n_scope)) {
            decode_refuse(x->dec, x->source, &n->bad_template);
            return;
        }
        dataset_template(x, id, options, n_scope, fields, n_fields);
    }
}

/* False if the rest of the message cannot be read. */
static bool
read_set(struct set_context *x, struct cursor *c)
{
    const uint8_t *p = cur_take(c, 4);
    uint16_t id = p ? be16_at(p) : 0, size = p ? be16_at(p + 2) : 0;
    struct cursor body = dataset_body(x, c, size);
    if (body.bad) {
        decode_refuse(x->dec, x->source, &x->dec->c.counters->bad_set);
        return false;
    }
    if (id == SET_TEMPLATE || id == SET_OPTIONS_TEMPLATE) {
        read_templates(x, &body, id == SET_OPTIONS_TEMPLATE);
    } else if (id == SET_TEMPLATE_9 || id == SET_OPTIONS_TEMPLATE_9) {
        /* NetFlow v9's, which IPFIX leaves unused (section 3.3.2); exporters
         * that were converted from one to the other still send them. */
        netflow9_templates(x, &body, id == SET_OPTIONS_TEMPLATE_9);
    } else if (id >= TEMPLATE_ID_MIN) {
        dataset_decode(x, id, &body);
    } else {
        decode_refuse(x->dec, x->source, &x->dec->c.counters->bad_set);
    }
    return true;
}

/* Open vSwitch counts messages with data, whatever their domain; RFC 7011
 * counts data records. */
static void
judge_sequence(const struct set_context *x, uint32_t seq)
{
    if (source_is_ovs(x->source)) {
        source_sequence(x->source, seq, x->n_data_sets > 0);
    } else if (x->unknown) {
        source_sequence_skip(x->source);
    } else {
        source_sequence(x->source, seq, x->n_records);
    }
}

/* One message.  False if what follows cannot be read. */
static bool
read_message(struct decoder *dec, struct cursor *c, struct source **source)
{
    size_t left = cur_left(c);
    const uint8_t *p = cur_take(c, HEADER_SIZE);
    uint16_t size = p ? be16_at(p + 2) : 0;
    bool cut = dec->d->cut && size > left;
    if (!p || be16_at(p) != 10 || size < HEADER_SIZE
        || (size > left && !cut)) {
        decode_refuse(dec, *source, &dec->c.counters->bad_header);
        return false;
    }
    uint32_t seq = be32_at(p + 8), domain = be32_at(p + 12);
    struct cursor sets = cur_sub(c, cut ? cur_left(c)
                                         : (size_t) size - HEADER_SIZE);
    if (!*source || (*source)->key.domain != domain) {
        *source = decode_source(dec, PROTO_IPFIX, domain, NULL);
    }
    if (!*source) {
        return false;
    }
    struct set_context x = {
        .dec = dec, .source = *source,
        .unknown = cut,                 /* How many records there were. */
        .env = {
            .keep_unknown = dec->c.keep_unknown,
            .templates = dec->c.templates,
            .dict = dec->c.dict, .names = &dec->names, .source = *source,
            .received_us = dec->d->received_us,
            .export_us = (int64_t) be32_at(p + 4) * 1000000,
        },
    };
    decode_clock(dec, *source, x.env.export_us);
    while (cur_more(&sets) && read_set(&x, &sets)) {
        continue;
    }
    judge_sequence(&x, seq);
    return true;
}

void
ipfix_decode(struct decoder *dec, struct cursor *c)
{
    /* One message a datagram is the rule; captures and relays have more. */
    struct source *source = NULL;
    while (cur_more(c) && read_message(dec, c, &source)) {
        continue;
    }
}
