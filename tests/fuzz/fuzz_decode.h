/* tests/fuzz/fuzz_decode.h -- what the fuzz targets of the decoders share.
 *
 * An input is a run of datagrams, each after its length in two bytes, so that
 * templates and data can follow each other.  All go to a decoder with small
 * limits; each also once more with its version set right, so that a
 * mutated version does not waste it. */
#ifndef TESTS_FUZZ_DECODE_H
#define TESTS_FUZZ_DECODE_H 1

#include <stdlib.h>
#include <string.h>

#include "collector/decode/decoder.h"
#include "collector/exporter/source_table.h"
#include "collector/template/template.h"
#include "lib/cursor.h"
#include "lib/dict.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static inline struct flow_batch *
fuzz_flush(void *aux, struct flow_batch *b)
{
    (void) aux;
    batch_reset(b);
    return b;
}

/* One decoder serves many inputs: making it takes longer than decoding.  Each
 * input comes from an address of its own, so that it meets no templates of
 * another. */
#define FUZZ_SOURCES 65536

static struct decoder_counters fuzz_counters;
static struct decoder_config fuzz_config = {
    .counters = &fuzz_counters, .flush = fuzz_flush, .keep_unknown = true,
};
static struct decoder *fuzz_decoder;

static inline void
fuzz_renew(void)
{
    decoder_destroy(fuzz_decoder);
    template_cache_destroy(fuzz_config.templates);
    source_table_destroy(fuzz_config.sources);
    if (!fuzz_config.dict) {
        fuzz_config.dict = dict_create(64, 4096);
    }
    fuzz_config.sources = source_table_create(FUZZ_SOURCES);
    fuzz_config.templates = template_cache_create(16, 64);
    fuzz_decoder = decoder_create(&fuzz_config);
}

static inline struct flow_batch *
fuzz_feed(const uint8_t *p, size_t n, unsigned version, size_t version_size,
          uint32_t input, struct flow_batch *b)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) {
        return b;
    }
    memcpy(copy, p, n);
    if (version_size && n >= version_size) {
        memset(copy, 0, version_size);
        copy[version_size - 1] = (uint8_t) version;
    }
    struct datagram d = {
        .data = copy, .size = n, .src_port = 1,
        .received_us = INT64_C(1700000000000000),
    };
    memcpy(d.src.b, &input, sizeof input);
    decoder_prefetch(fuzz_decoder, &d, 1);
    b = decoder_datagram(fuzz_decoder, &d, b);
    free(copy);
    return b;
}

static inline int
fuzz_decode(const uint8_t *data, size_t size, unsigned version,
            size_t version_size)
{
    static struct flow_batch *b;
    static uint32_t input;
    if (!b) {
        b = batch_create();
    }
    if (!fuzz_decoder
        || source_table_count(fuzz_config.sources) >= FUZZ_SOURCES - 4096) {
        fuzz_renew();
    }
    input++;
    struct cursor in = cur_init(data, size);
    while (cur_left(&in) > 2) {
        size_t n = cur_u16(&in);
        if (n > cur_left(&in)) {
            n = cur_left(&in);
        }
        const uint8_t *p = cur_take(&in, n);
        b = fuzz_feed(p, n, version, 0, input, b);
        b = fuzz_feed(p, n, version, version_size, input, b);
    }
    return 0;
}

#endif /* tests/fuzz/fuzz_decode.h */
