/* tests/fuzz/fuzz_nfcapd.c -- any bytes as a file of nfcapd. */
#include <config.h>

#include <string.h>
#include <sys/types.h>

#include "collector/import/nfcapd.h"
#include "lib/dict.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct input {
    const uint8_t *p;
    size_t n;
};

static ssize_t
read_input(void *input, uint64_t offset, void *buf, size_t n)
{
    const struct input *in = input;
    if (offset >= in->n) {
        return 0;
    }
    n = n < in->n - offset ? n : in->n - (size_t) offset;
    memcpy(buf, in->p + offset, n);
    return (ssize_t) n;
}

static struct flow_batch *
flush(void *aux, struct flow_batch *b)
{
    (void) aux;
    batch_reset(b);
    return b;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct flow_batch *b;
    static struct dict *dict;
    struct input in = { data, size };
    struct nfcapd_config config = {
        .read = read_input, .flush = flush, .aux = &in, .size = size,
        .now_us = INT64_C(1795400000000000),
    };
    struct nfcapd_info info;
    char why[256];

    if (!b) {
        b = batch_create();
        dict = dict_create(1000, 100000);
    }
    config.dict = dict;
    batch_reset(b);
    struct nfcapd *f = nfcapd_open(&config, why, sizeof why);
    if (f) {
        while (nfcapd_next(f, &b, why, sizeof why)) {
            continue;
        }
        nfcapd_info(f, &info);
        nfcapd_close(f);
    }
    return 0;
}
