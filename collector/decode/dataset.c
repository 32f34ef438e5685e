#include <config.h>

#include "collector/decode/decoder_p.h"

#include <errno.h>

#include "collector/exporter/source_table.h"
#include "collector/template/explained.h"
#include "collector/template/ovs.h"
#include "lib/dict.h"

/* ---- Data of options templates. ---- */

/* What options records say about sampling: IANA elements 34, 48 to 50, 302 and
 * 304 to 311. */
struct sampling_facts {
    uint64_t interval;          /* 34, 50: 1 in so many. */
    uint64_t sampled, skipped;  /* 305, 306: so many of so many. */
    bool has_skipped;
    uint64_t size, population;  /* 309, 310: so many of so many. */
    double probability;         /* 311. */
    uint64_t sampler;           /* 48, 302. */
    bool has_sampler;
};

/* ...and about names: of interfaces (82, 83), applications (96) and, with their
 * types, elements (RFC 5610: 303, 339, 341, 346). */
struct naming_facts {
    bool has_interface, has_application;
    uint64_t interface, application;
    struct naming_text {
        const uint8_t *p;
        size_t size;
    } interface_name, description, application_name, element_name;
    uint64_t element_pen, element_id, element_type;
};

static void
read_naming(struct naming_facts *s, const struct template_field *f,
            const uint8_t *p, size_t size)
{
    struct naming_text text = { p, strnlen((const char *) p, size) };
    uint64_t number = size <= 8 ? be_uint_at(p, size) : 0;
    switch (f->pen ? 0 : f->id) {
    case 10:
    case 14:
    case 252:
    case 253:
        s->interface = number;
        s->has_interface = number != 0;
        break;
    case 82:
        s->interface_name = text;
        break;
    case 83:
        s->description = text;
        break;
    case 95:
        s->application = number;
        s->has_application = number != 0;
        break;
    case 96:
        s->application_name = text;
        break;
    case 303:
        s->element_id = number & 0x7fff;        /* Without the E bit. */
        break;
    case 339:
        s->element_type = number;
        break;
    case 341:
        s->element_name = text;
        break;
    case 346:
        s->element_pen = number;
        break;
    }
}

static void
keep_name(struct set_context *x, enum source_name_kind kind, uint64_t number,
          struct naming_text text)
{
    if (text.size) {
        struct dict *d = x->dec->c.dict;
        source_name_set(x->source, kind, number, d,
                        dict_passing(d, (const char *) text.p, text.size));
    }
}

static void
keep_names(struct set_context *x, const struct naming_facts *s)
{
    if (s->has_interface) {
        keep_name(x, SOURCE_NAME_INTERFACE, s->interface,
                  s->interface_name.size ? s->interface_name
                                         : s->description);
    }
    if (s->element_name.size && s->element_pen <= UINT32_MAX) {
        explained_set(x->source, x->dec->c.dict, (uint32_t) s->element_pen,
                      (uint16_t) s->element_id, s->element_type,
                      s->element_name.p, s->element_name.size);
    }
    if (s->has_application) {
        keep_name(x, SOURCE_NAME_APPLICATION, s->application,
                  s->application_name);
    }
}

static void
read_option(struct sampling_facts *s, const struct template_field *f,
            const uint8_t *p, size_t size)
{
    if (f->pen || !size || size > 8) {
        return;
    }
    uint64_t v = be_uint_at(p, size);
    switch (f->id) {
    case 34:
    case 50:
        s->interval = v ? v : s->interval;
        break;
    case 48:
    case 302:
        s->sampler = v;
        s->has_sampler = true;
        break;
    case 305:
        s->sampled = v;
        break;
    case 306:
        s->skipped = v;
        s->has_skipped = true;
        break;
    case 309:
        s->size = v;
        break;
    case 310:
        s->population = v;
        break;
    case 311:
        if (size == 8) {
            memcpy(&s->probability, &v, sizeof v);
        } else if (size == 4) {
            uint32_t v32 = (uint32_t) v;
            float f32;
            memcpy(&f32, &v32, sizeof v32);
            s->probability = (double) f32;
        }
        break;
    }
}

/* 1 in how many, or 0. */
static uint32_t
sampling_rate(const struct sampling_facts *s)
{
    double rate = 0;
    if (s->interval) {
        rate = (double) s->interval;
    } else if (s->sampled && s->has_skipped) {
        rate = ((double) s->sampled + (double) s->skipped)
               / (double) s->sampled;
    } else if (s->sampled) {
        /* Without a space there is no telling which of the two meanings in
         * use is meant; all exporters seen mean 1 in so many. */
        rate = (double) s->sampled;
    } else if (s->size && s->population) {
        rate = (double) s->population / (double) s->size;
    } else if (s->probability > 0 && s->probability <= 1) {
        rate = 1 / s->probability;
    }
    return rate >= 1 && rate < (double) UINT32_MAX ? (uint32_t) (rate + 0.5)
                                                   : 0;
}

static void
read_options_record(struct set_context *x, const struct template *t,
                    const uint8_t *p)
{
    struct sampling_facts s = { 0 };
    struct naming_facts names = { 0 };
    for (unsigned i = 0; i < t->n_fields; i++) {
        const struct template_field *f = &t->fields[i];
        size_t size = f->size;
        if (size == TEMPLATE_VARLEN) {
            size = *p++;
            if (size == 255) {
                size = be16_at(p);
                p += 2;
            }
        }
        /* In NetFlow v9 scopes have numbers of their own. */
        if (f->id == 160 && !f->pen && size == 8 && i >= t->n_scope
            && be64_at(p) < INT64_MAX / 2000) {
            atomic_store_explicit(&x->source->boot_ms, (int64_t) be64_at(p),
                                  memory_order_relaxed);
        }
        if (i >= t->n_scope || t->protocol == PROTO_IPFIX) {
            read_option(&s, f, p, size);
            read_naming(&names, f, p, size);
        } else if (f->id == 2 && size <= 8) {   /* Interface. */
            names.interface = be_uint_at(p, size);
            names.has_interface = names.interface != 0;
        }
        p += size;
    }
    uint32_t rate = sampling_rate(&s);
    if (rate) {
        if (s.has_sampler) {
            source_sampler_set(x->source, s.sampler, rate);
        }
        if (names.has_interface && names.interface <= UINT32_MAX) {
            source_interface_rate_set(x->source, (uint32_t) names.interface,
                                      rate);
        } else {
            decode_sampling(x->source, rate, SAMPLING_OPTIONS);
        }
    }
    keep_names(x, &names);
}

static void
decode_options(struct set_context *x, const struct template *t,
               struct cursor *c)
{
    while (cur_left(c) >= t->min_size) {
        size_t size = template_record_size(t, c->p, cur_left(c));
        if (!size) {
            decode_refuse(x->dec, x->source, &x->dec->c.counters->bad_record);
            return;
        }
        read_options_record(x, t, c->p);
        if (x->dec->c.watch) {
            x->dec->c.watch->options(x->dec->c.watch->aux, x->source, t,
                                     c->p);
        }
        cur_skip(c, size);
        x->n_records++;
        counter_inc(&x->source->n.options_records);
    }
}

/* ---- Data of flow templates. ---- */

/* The other direction of a biflow, if anything went that way. */
static void
decode_reverse(struct set_context *x, const struct template *t,
               const uint8_t *p, size_t size)
{
    struct decoder *dec = x->dec;
    decode_reserve(dec, 1);
    uint32_t row = dec->b->n;
    if (t->fixed) {
        plan_run_fixed(t->reverse, &x->env, dec->b, row, 1, p, 0);
    } else {
        plan_run_var(t->reverse, &x->env, dec->b, row, p, size);
    }
    if (dec->b->packets[row] || dec->b->bytes[row]) {
        decode_commit_reverse(dec, x->source);
    } else {
        decode_abandon(dec);
    }
}

static void
decode_fixed(struct set_context *x, const struct template *t,
             struct cursor *c)
{
    struct decoder *dec = x->dec;
    size_t stride = t->min_size;
    uint32_t n = (uint32_t) (cur_left(c) / stride);
    x->n_records += n;
    while (n) {
        uint32_t take = decode_reserve(dec, n);
        const uint8_t *p = cur_take(c, take * stride);
        plan_run_fixed(t->plan, &x->env, dec->b, dec->b->n, take, p, stride);
        decode_commit(dec, x->source, take);
        for (uint32_t i = 0; t->reverse && i < take; i++) {
            decode_reverse(x, t, p + i * stride, stride);
        }
        n -= take;
    }
}

static void
decode_var(struct set_context *x, const struct template *t, struct cursor *c)
{
    struct decoder *dec = x->dec;
    while (cur_left(c) >= t->min_size) {
        decode_reserve(dec, 1);
        size_t size = plan_run_var(t->plan, &x->env, dec->b, dec->b->n, c->p,
                                   cur_left(c));
        if (!size) {
            decode_refuse(dec, x->source, &dec->c.counters->bad_record);
            return;
        }
        decode_commit(dec, x->source, 1);
        if (t->reverse) {
            decode_reverse(x, t, c->p, size);
        }
        cur_skip(c, size);
        x->n_records++;
    }
}

/* ---- Open vSwitch. ---- */

/* Whether a set is exactly the one record that Open vSwitch puts into it. */
static bool
is_one_record(const struct template *t, const struct cursor *c)
{
    return t && template_record_size(t, c->p, cur_left(c)) == cur_left(c);
}

/* The template for an id that the source has not explained: Open vSwitch's, if
 * the lengths agree. */
static const struct template *
guess_template(const struct set_context *x, uint16_t id,
               const struct cursor *c)
{
    if (x->source->key.protocol != PROTO_IPFIX) {
        return NULL;
    }
    for (unsigned v = 0; v < 2; v++) {
        const struct template *t = template_builtin_ovs(x->dec->c.templates,
                                                        id, v);
        if (is_one_record(t, c)) {
            return t;
        }
    }
    return NULL;
}

/* A template that Open vSwitch sent may be that of another bridge with the
 * same address and domain, where virtual_obs_id is set and here not, or the
 * other way round. */
static const struct template *
find_template(const struct set_context *x, uint16_t id,
              const struct cursor *c)
{
    const struct template *t = template_get(x->dec->c.templates, x->source,
                                            id);
    if (t && (!t->ovs || t->options || is_one_record(t, c))) {
        return t;
    }
    const struct template *guess = guess_template(x, id, c);
    return guess ? guess : t;
}

struct cursor
dataset_body(const struct set_context *x, struct cursor *c, uint16_t size)
{
    size_t n = size >= 4 ? size - 4u : SIZE_MAX;
    if (x->dec->d->cut && size >= 4 && n > cur_left(c)) {
        n = cur_left(c);
    }
    return cur_sub(c, n);
}

/* A set that has something in it, but not one whole record, is not padding (RFC
 * 7011 section 3.3.1: less than a record, after one): the sender means another
 * template. */
static void
decode_records(struct set_context *x, const struct template *t,
               struct cursor *c)
{
    bool short_of_one = cur_more(c) && cur_left(c) < t->min_size;
    if (short_of_one && !x->dec->d->cut) {
        decode_refuse(x->dec, x->source, &x->dec->c.counters->bad_record);
        x->unknown = true;
    } else if (t->options) {
        decode_options(x, t, c);
    } else if (t->fixed) {
        decode_fixed(x, t, c);
    } else {
        decode_var(x, t, c);
    }
}

void
dataset_decode(struct set_context *x, uint16_t id, struct cursor *c)
{
    x->n_data_sets++;
    template_read_lock();
    const struct template *t = find_template(x, id, c);
    if (!t) {
        counter_inc(&x->dec->c.counters->no_template);
        counter_inc(&x->source->n.no_template);
        x->unknown = true;
        if (!x->late) {
            pending_keep(x, id, c);
        }
    } else {
        if (t->ovs) {
            source_mark_ovs(x->source, true);
        }
        decode_records(x, t, c);
    }
    template_read_unlock();
}

/* A source that was taken for Open vSwitch by the size of its records alone,
 * and now explains them as something else, is none. */
static void
forget_guess(struct set_context *x, uint16_t id)
{
    template_read_lock();
    const struct template *t = template_get(x->dec->c.templates, x->source,
                                            id);
    if (t && !t->ovs
        && template_builtin_ovs(x->dec->c.templates, id, false)) {
        source_mark_ovs(x->source, false);
    }
    template_read_unlock();
}

void
dataset_template(struct set_context *x, uint16_t id, bool options,
                 unsigned n_scope, const struct template_field *fields,
                 unsigned n_fields)
{
    struct decoder_counters *n = x->dec->c.counters;
    int result = template_put(x->dec->c.templates, x->source, id, options,
                              n_scope, fields, n_fields);
    if (result >= 0) {
        counter_inc(&x->source->n.templates);
        if (result != TEMPLATE_SAME && source_is_ovs(x->source)) {
            forget_guess(x, id);
        }
        pending_release(x, id);
    } else if (result == -EBADMSG) {
        decode_refuse(x->dec, x->source, &n->bad_template);
    } else {
        counter_inc(&n->template_limit);
        counter_inc(&x->source->n.template_limit);
    }
}
