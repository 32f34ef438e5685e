/* tests/fuzz/fuzz_netlink.c -- any bytes as a datagram of rtnetlink. */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "probe/decide.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct probe_links links = { .list = NULL };
    /* A block of its own, so that a sanitizer sees its end. */
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    probe_links_read(&links, copy, size);
    for (size_t i = 0; i < links.n; i++) {
        if (!memchr(links.list[i].name, '\0', PROBE_NAME_SIZE)) {
            abort();
        }
    }
    /* Once more, onto what is there already. */
    probe_links_read(&links, copy, size);
    if (links.n > PROBE_MAX_LINKS) {
        abort();
    }
    probe_links_clear(&links);
    free(copy);
    return 0;
}
