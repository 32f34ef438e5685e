/* collector/decode/decoder.h -- datagrams in, flow batches out.
 *
 * A decoder belongs to one worker.  Several share one source table and one
 * template cache, which are thread-safe.  No socket, no clock, no loop. */
#ifndef COLLECTOR_DECODER_H
#define COLLECTOR_DECODER_H 1

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/batch.h"
#include "lib/counter.h"

struct decoder;
struct dict;
struct interface_counters;
struct template;
struct source;
struct source_table;
struct template_cache;

/* Datagrams that belong to no source, or refusals before one is known. */
#define DECODER_COUNTERS(X)                                             \
    X(datagrams, "Datagrams handed to the decoder")                     \
    X(too_short, "Datagrams shorter than any header")                   \
    X(unknown_version, "Datagrams of an unknown protocol or version")   \
    X(bad_header, "Headers whose length or count cannot be right")      \
    X(bad_set, "Sets whose length does not fit")                        \
    X(bad_template, "Templates that cannot be right")                   \
    X(template_limit, "Templates refused because a share was used up")  \
    X(bad_record, "Records that end before their fields do")            \
    X(bad_sample, "sFlow samples whose length does not fit")            \
    X(no_template, "Data sets without a known template")                \
    X(source_limit, "Datagrams of sources beyond the limit")

struct decoder_counters {
    DECODER_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def decoder_counter_defs[];

struct datagram {
    const uint8_t *data;
    size_t size;
    struct addr src;            /* Where it came from. */
    uint16_t src_port;
    uint16_t session;           /* As in struct source_key. */
    int64_t received_us;        /* Wall clock. */
    bool cut;                   /* A capture holds only its beginning: records
                                 * that are whole count. */
};

/* What is no flow record, for those who want to see it.  All of it is for the
 * call only. */
#define DECODER_STRUCTURES 32
struct decoder_watch {
    /* A record of an options template, whole. */
    void (*options)(void *aux, const struct source *, const struct template *,
                    const uint8_t *record);
    /* An sFlow counter sample, with the formats of all that is in it, known
     * and unknown (the first DECODER_STRUCTURES). */
    void (*counters)(void *aux, const struct source *,
                     const struct interface_counters *,
                     const uint32_t *formats, size_t n_formats);
    void *aux;
};

struct decoder_config {
    struct dict *dict;          /* Names go there. */
    struct source_table *sources;
    struct template_cache *templates;
    struct decoder_counters *counters;  /* Shared between decoders. */
    bool keep_unknown;          /* Fill the column extra. */
    const struct decoder_watch *watch;  /* NULL: nobody. */

    /* Called with a full batch; returns the batch to go on with (the same one,
     * emptied, or another).  Never NULL. */
    struct flow_batch *(*flush)(void *aux, struct flow_batch *);
    void *aux;
};

struct decoder *decoder_create(const struct decoder_config *);
void decoder_destroy(struct decoder *);

/* Decodes one datagram of any protocol (told by its first bytes) and appends
 * its flow records to 'b', calling flush() whenever that is full.  Returns the
 * batch to go on with.  What is wrong is counted: exactly one of
 * decoder_counters per refusal. */
struct flow_batch *decoder_datagram(struct decoder *, const struct datagram *,
                                    struct flow_batch *b);

/* Fetches into the processor's cache what decoding these datagrams is going to
 * ask for: where exporters take turns by the thousand, all of it is far away.
 * Worth it for a burst of some; changes nothing. */
#define DECODER_BURST 64
void decoder_prefetch(struct decoder *, const struct datagram *,
                      size_t n);

/* The session of a source is over: what waits for a template of its will not
 * get it. */
void decoder_forget(struct decoder *, const struct source *);

#endif /* collector/decode/decoder.h */
