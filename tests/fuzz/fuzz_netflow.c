/* tests/fuzz/fuzz_netflow.c -- any bytes as datagrams of NetFlow. */
#include <config.h>

#include "tests/fuzz/fuzz_decode.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_decode(data, size, 9, 2);
}
