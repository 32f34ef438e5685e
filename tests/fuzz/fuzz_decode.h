/* tests/fuzz/fuzz_decode.h -- what the fuzz targets of the decoders share.
 *
 * An input is a run of datagrams, each after its length in two bytes, so that
 * templates and data can follow each other.  All go to one fresh decoder with
 * small limits; each also once more with its version set right, so that a
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

static inline struct flow_batch *
fuzz_feed(struct decoder *decoder, const uint8_t *p, size_t n, unsigned version,
          size_t version_size, struct flow_batch *b)
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
    b = decoder_datagram(decoder, &d, b);
    free(copy);
    return b;
}

static inline int
fuzz_decode(const uint8_t *data, size_t size, unsigned version,
            size_t version_size)
{
    struct decoder_counters counters;
    memset(&counters, 0, sizeof counters);
    struct decoder_config c = {
        .dict = dict_create(64, 4096),
        .sources = source_table_create(16),
        .templates = template_cache_create(16, 64),
        .counters = &counters, .flush = fuzz_flush,
    };
    struct decoder *decoder = decoder_create(&c);
    static struct flow_batch *b;
    if (!b) {
        b = batch_create();
    }
    batch_reset(b);
    struct cursor in = cur_init(data, size);
    while (cur_left(&in) > 2) {
        size_t n = cur_u16(&in);
        if (n > cur_left(&in)) {
            n = cur_left(&in);
        }
        const uint8_t *p = cur_take(&in, n);
        b = fuzz_feed(decoder, p, n, version, 0, b);
        b = fuzz_feed(decoder, p, n, version, version_size, b);
    }
    decoder_destroy(decoder);
    template_cache_destroy(c.templates);
    source_table_destroy(c.sources);
    dict_destroy(c.dict);
    return 0;
}

#endif /* tests/fuzz/fuzz_decode.h */
