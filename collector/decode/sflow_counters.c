#include <config.h>

#include "collector/decode/decoder_p.h"

#include "collector/exporter/interface_counters.h"
#include "collector/exporter/source_table.h"
#include "lib/dict.h"

/* Counter samples of sFlow version 5. */

/* How wide a member is, is how wide it is on the wire. */
#define cur_read(C, MEMBER) \
    (sizeof (MEMBER) == 8 ? cur_u64(C) : (uint64_t) cur_u32(C))
#define X(TYPE, NAME) k->NAME = (TYPE) cur_read(c, k->NAME);

static void
read_generic(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    (void) d;
    GENERIC_COUNTERS(X)
}

static void
read_ethernet(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    (void) d;
    ETHERNET_COUNTERS(X)
}

static void
read_openflow(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    (void) d;
    OPENFLOW_COUNTERS(X)
}

static void
read_app(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    (void) d;
    APP_COUNTERS(X)
}

static void
read_datapath(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    (void) d;
    DATAPATH_COUNTERS(X)
}
#undef X

static void
read_name(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    uint32_t size = cur_u32(c);
    const char *text = (const char *) cur_take(c, size);
    if (text) {
        k->name = dict_passing(d, text, size < 255 ? size : 255);
    }
}

static const struct {
    uint32_t format, part;
    void (*read)(struct interface_counters *, struct cursor *, struct dict *);
} blocks[] = {
    { 1, COUNTERS_GENERIC, read_generic },
    { 2, COUNTERS_ETHERNET, read_ethernet },
    { 1004, COUNTERS_OPENFLOW, read_openflow },
    { 1005, COUNTERS_NAME, read_name },
    { 2203, COUNTERS_APP, read_app },
    { 2207, COUNTERS_DATAPATH, read_datapath },
};

/* The formats of the blocks of a sample. */
struct formats {
    uint32_t list[DECODER_STRUCTURES];
    size_t n;
};

/* A block that is shorter than it should be is as good as unknown. */
static bool
read_block(struct interface_counters *k, struct cursor *c, struct dict *dict,
           struct formats *seen)
{
    uint32_t format = cur_u32(c), size = cur_u32(c);
    struct cursor body = cur_sub(c, size);
    if (body.bad) {
        return false;
    }
    if (seen->n < DECODER_STRUCTURES) {
        seen->list[seen->n++] = format;
    }
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        if (blocks[i].format == format) {
            struct interface_counters before = *k;
            blocks[i].read(k, &body, dict);
            if (body.bad) {
                *k = before;
            } else {
                k->parts |= blocks[i].part;
            }
        }
    }
    return true;
}

bool
sflow_counter_sample(struct decoder *dec, struct source *source,
                     struct cursor *c, bool expanded)
{
    struct interface_counters k = {
        .source = source, .source_id = source->id,
        .updated_us = dec->d->received_us,
    };
    cur_skip(c, 4);             /* Sequence number. */
    struct formats seen = { .n = 0 };
    k.data_source = sflow_data_source(c, expanded);
    uint32_t n = cur_u32(c);
    if (c->bad) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!read_block(&k, c, dec->c.dict, &seen)) {
            return false;
        }
    }
    counter_inc(&source->n.counter_records);
    if (dec->c.watch) {
        dec->c.watch->counters(dec->c.watch->aux, source, &k, seen.list,
                               seen.n);
    }
    if (k.parts) {
        interface_counters_put(source_table_counters(dec->c.sources), &k);
    }
    if (k.parts & COUNTERS_OPENFLOW) {
        source_set_datapath(source, k.datapath_id);
    }
    if (k.parts & COUNTERS_NAME && !(k.data_source >> 24)) {
        source_name_set(source, SOURCE_NAME_INTERFACE, k.data_source,
                        dec->c.dict, k.name);
    }
    return true;
}
