/* api/metrics.h -- counters as Prometheus reads them (text format 0.0.4).
 *
 * Names follow from the counter tables: venturi_PART_NAME_total, with bytes
 * where a table says octets; times are seconds. */
#ifndef API_METRICS_H
#define API_METRICS_H 1

#include <stdbool.h>
#include <stddef.h>

struct api;
struct api_context;

/* The text, of '*n' bytes, to be freed; NULL if out of memory.  'api' may be
 * NULL. */
char *metrics_text(const struct api *, const struct api_context *, size_t *n);

/* Does all run that takes flows and answers?  Else 'reason' says what does
 * not. */
bool metrics_ready(const struct api_context *, char *reason, size_t size);

#endif /* api/metrics.h */
