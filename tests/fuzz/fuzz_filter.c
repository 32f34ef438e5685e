/* Any text is a filter or an error with a position inside it; what is a filter
 * compiles to SQL. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "collector/filter/filter.h"
#include "collector/query/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct filter_error e;

    if (!text) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    struct query q = { .to_us = 1, .metrics = { QUERY_METRIC_FLOWS },
                       .n_metrics = 1, .order = -1, .limit = 1,
                       .filter = filter_parse(text, &e) };
    if (q.filter) {
        static const char *const schemas[] = { "s1", "s2" };
        free(query_sql(&q, schemas, 2));
    } else if (e.position > strlen(text) || !e.message[0]) {
        abort();
    }
    query_clear(&q);
    free(text);
    return 0;
}
