/* collector/decode/decoder_p.h -- what the decoders share.  Inside only. */
#ifndef COLLECTOR_DECODER_P_H
#define COLLECTOR_DECODER_P_H 1

#include <stdatomic.h>

#include "collector/decode/decoder.h"
#include "collector/template/plan.h"
#include "collector/template/template.h"
#include "lib/cursor.h"
#include "lib/dict.h"
#include "lib/source.h"

#define N_NETFLOW_FIXED 3               /* NetFlow v1, v5, v7. */

struct decoder {
    struct decoder_config c;
    struct flow_batch *b;               /* Being filled. */
    const struct datagram *d;           /* Being decoded. */
    struct fixed_format {
        struct plan *plan;
        uint32_t stride;                /* Octets of a record. */
    } fixed[N_NETFLOW_FIXED];
    struct pending *pending;            /* NULL: nothing yet. */
    struct source *last;                /* Of the last datagram, or NULL. */
    /* Plans of datagrams to come: only to be fetched, for nobody holds
     * them. */
    const struct plan *ahead[DECODER_BURST];
    size_t n_ahead, ahead_at;
    struct dict_recent names;
};

/* Each reads the whole datagram. */
void netflow5_decode(struct decoder *, struct cursor *);    /* v1 and v7, too. */
void netflow9_decode(struct decoder *, struct cursor *);
void ipfix_decode(struct decoder *, struct cursor *);
void sflow_decode(struct decoder *, struct cursor *);

/* A data source, class << 24 | index if that fits. */
uint64_t sflow_data_source(struct cursor *, bool expanded);

/* Reads a counter sample.  False if it does not parse. */
bool sflow_counter_sample(struct decoder *, struct source *, struct cursor *,
                          bool expanded);

/* The plans of the fixed formats.  False: out of memory. */
bool netflow5_init(struct decoder *);
void netflow5_clear(struct decoder *);

/* The source that a datagram belongs to, with the datagram counted on it; or
 * NULL, counted. */
struct source *decode_source(struct decoder *, uint8_t protocol,
                             uint32_t domain, const struct addr *agent);

/* Refuses something: one counter of the decoder, and the source if it is
 * known. */
void decode_refuse(struct decoder *, struct source *, counter_t *);

/* Makes room for up to 'want' rows from decoder->b->n on, and says for how
 * many (at least 1). */
uint32_t decode_reserve(struct decoder *, uint32_t want);

/* 'n' rows are filled, of as many flow records: sets what is the same for all,
 * and passes a full batch on. */
void decode_commit(struct decoder *, struct source *, uint32_t n);

/* One row more of a record that was counted: the way back of a biflow. */
void decode_commit_reverse(struct decoder *, struct source *);

/* Row decoder->b->n is given up: all that was set in it is null again. */
void decode_abandon(struct decoder *);

/* Keeps a sampling rate that the datagram told, unless a better one is
 * known. */
void decode_sampling(struct source *, uint32_t rate,
                     enum sampling_origin origin);

/* Notes how far the exporter's clock, 'export_us' in a header, is from ours. */
static inline void
decode_clock(const struct decoder *dec, struct source *source,
             int64_t export_us)
{
    atomic_store_explicit(&source->skew_us,
                          export_us ? export_us - dec->d->received_us : 0,
                          memory_order_relaxed);
}

/* ---- Sets (dataset.c), for NetFlow v9 and IPFIX. ---- */

struct set_context {
    struct decoder *dec;
    struct source *source;
    struct plan_env env;
    uint32_t n_records;         /* Data records, options too. */
    uint32_t n_data_sets;
    bool unknown;               /* A data set could not be counted. */
    bool late;                  /* The set came before its template. */
};

/* The body of a set that says it has 'size' bytes with its header: bad where
 * they are not there, unless the datagram was cut by who captured it. */
struct cursor dataset_body(const struct set_context *, struct cursor *,
                           uint16_t size);

/* Decodes a data set (RFC 7011 section 3.3.2), whose body 'c' is. */
void dataset_decode(struct set_context *, uint16_t id, struct cursor *c);

/* Keeps a template and counts.  Takes the source for Open vSwitch's if it is
 * laid out so. */
void dataset_template(struct set_context *, uint16_t id, bool options,
                      unsigned n_scope, const struct template_field *,
                      unsigned n_fields);

/* ---- Data before its template (pending.c). ---- */

#define PENDING_US (INT64_C(60) * 1000000)      /* Kept so long, */
#define PENDING_SHARE (64 * 1024)       /* bytes of a source, */
#define PENDING_TOTAL (4 * 1024 * 1024) /* of all in a decoder. */

/* Keeps a copy of a data set. */
void pending_keep(const struct set_context *, uint16_t id,
                  const struct cursor *);

/* Decodes what waits for the template that has just come. */
void pending_release(const struct set_context *, uint16_t id);
void pending_destroy(struct pending *);

/* Reads a NetFlow v9 set of (options) templates. */
void netflow9_templates(struct set_context *, struct cursor *, bool options);

#endif /* collector/decode/decoder_p.h */
