/* tests/fuzz/fuzz_ipfix.c -- any bytes as datagrams of IPFIX. */
#include <config.h>

#include "tests/fuzz/fuzz_decode.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_decode(data, size, 10, 2);
}
