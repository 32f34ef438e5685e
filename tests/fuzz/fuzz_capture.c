/* tests/fuzz/fuzz_capture.c -- any bytes as a capture file, taken apart down
 * to datagrams. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "collector/decode/capture.h"
#include "collector/decode/pcap.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct input {
    const uint8_t *p;
    size_t left;
};

static size_t
read_some(void *input, void *buf, size_t n)
{
    struct input *in = input;
    n = in->left < n ? in->left : n;
    memcpy(buf, in->p, n);
    in->p += n;
    in->left -= n;
    return n;
}

/* Every byte is touched, so that sanitizers see them. */
static void
on_datagram(void *sum, const struct datagram *d)
{
    for (size_t i = 0; i < d->size; i++) {
        *(unsigned *) sum += d->data[i];
    }
}

/* Streams that begin as those of BGP and BMP do are somebody else's; what is
 * told about one after its end would be a use after free. */
static void *
on_begin(void *sum, const struct capture_stream *info, const uint8_t *p,
         size_t n)
{
    unsigned **stream = n && (*p == 0xff || *p == 3) ? malloc(sizeof *stream)
                                                     : NULL;
    if (stream) {
        *stream = sum;
        **stream += info->from_start;
    }
    return stream;
}

static void
on_bytes(void *stream, const uint8_t *p, size_t n, int64_t time_us)
{
    (void) time_us;
    for (size_t i = 0; i < n; i++) {
        **(unsigned **) stream += p[i];
    }
}

static void
on_gap(void *stream)
{
    ++**(unsigned **) stream;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    struct pcap_frame frame;
    volatile unsigned result;
    unsigned sum = 0;
    struct capture *capture = capture_create(on_datagram, &sum);
    struct pcap *pcap = pcap_create(read_some, &in);
    const struct capture_tap tap = { &sum, on_begin, on_bytes, on_gap, free };
    capture_set_tap(capture, &tap);
    while (pcap_next(pcap, &frame) == PCAP_FRAME) {
        capture_frame(capture, &frame);
    }
    capture_looks_ethernet(data, size);
    pcap_destroy(pcap);
    capture_finish(capture);
    capture_destroy(capture);
    result = sum;
    (void) result;
    return 0;
}
