/* tests/fuzz/fuzz_persist.c -- any bytes as a file of templates: as they are,
 * and behind a header whose checksum is right.  What was taken must come back
 * the same from another round. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "collector/exporter/source_table.h"
#include "collector/template/persist.h"
#include "collector/template/template.h"

#define NOW INT64_C(1700000000000000)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct template_cache *cache;   /* Takes long to make. */

static bool
forget(struct source *s, void *aux)
{
    (void) aux;
    template_withdraw_all(cache, s, true);
    template_withdraw_all(cache, s, false);
    return true;
}

static uint64_t
take(const uint8_t *data, size_t size, uint8_t **out, size_t *out_size)
{
    struct source_table *sources = source_table_create(16);
    struct persist_counts n;
    uint64_t state = 0;

    *out = NULL;
    if (cache && sources
        && !persist_decode(data, size, cache, sources, NOW, &n)) {
        *out = persist_encode(cache, sources, NOW, out_size, &state);
    }
    if (sources) {
        source_table_each(sources, forget, NULL);
    }
    source_table_destroy(sources);
    return state;
}

static void
put_be(uint8_t *p, uint64_t v, size_t n)
{
    while (n--) {
        p[n] = (uint8_t) v;
        v >>= 8;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *once, *twice, *file = malloc(size + PERSIST_HEADER);
    size_t n = 0, n2 = 0;

    if (!cache) {
        rcu_register_thread();
        cache = template_cache_create(64, 256);
    }
    take(data, size, &once, &n);
    free(once);
    if (!file || !size) {
        free(file);
        return 0;
    }
    memcpy(file, "venttpl\n", 8);
    put_be(file + 8, 1, 4);
    put_be(file + 12, data[0], 4);
    put_be(file + 16, NOW, 8);
    put_be(file + 24, persist_checksum(data + 1, size - 1), 8);
    memcpy(file + PERSIST_HEADER, data + 1, size - 1);
    uint64_t state = take(file, size - 1 + PERSIST_HEADER, &once, &n);
    if (once && (take(once, n, &twice, &n2) != state || n2 != n
                 || memcmp(once, twice, n))) {
        abort();
    }
    if (once) {
        free(twice);
    }
    free(once);
    free(file);
    return 0;
}
