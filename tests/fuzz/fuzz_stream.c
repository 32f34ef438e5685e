/* tests/fuzz/fuzz_stream.c -- any bytes as a TCP stream of IPFIX, in pieces
 * of any size: the sizes come from the input, too. */
#include <config.h>

#include "tests/fuzz/fuzz_decode.h"

#include "collector/decode/stream.h"

struct sum {
    size_t messages, octets;
};

static void
on_message(void *sum, const uint8_t *p, size_t n)
{
    struct sum *s = sum;
    s->messages++;
    s->octets += n;
    if (n < 16 || p[1] != 10) {
        abort();
    }
}

/* Returns the octets in messages. */
static struct sum
feed(const uint8_t *data, size_t size, size_t step)
{
    struct ipfix_stream s = { .held = NULL };
    struct sum sum = { 0, 0 };
    for (size_t at = 0; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        uint8_t *copy = malloc(n);
        memcpy(copy, data + at, n);
        int error = ipfix_stream_feed(&s, copy, n, on_message, &sum);
        free(copy);
        if (error) {
            break;
        }
    }
    ipfix_stream_clear(&s);
    return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    /* However it is cut, the messages are the same. */
    struct sum whole = feed(data + 1, size - 1, size);
    struct sum pieces = feed(data + 1, size - 1, data[0] + 1u);
    if (whole.messages != pieces.messages || whole.octets != pieces.octets) {
        abort();
    }
    return 0;
}
