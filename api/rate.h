/* api/rate.h -- how often somebody may ask: token buckets by name.
 *
 * Bounded: of many names the one that was quiet longest is forgotten. */
#ifndef API_RATE_H
#define API_RATE_H 1

#include <stdbool.h>
#include <stdint.h>

struct rate;

/* NULL if out of memory. */
struct rate *rate_create(void);
void rate_destroy(struct rate *);       /* NULL is fine. */

/* May 'name' do it once more at 'now_ms', with 'per_second' (0: always) and
 * 'burst' at once?  Takes one if so. */
bool rate_take(struct rate *, const char *name, double per_second,
               double burst, int64_t now_ms);

/* How often 'name' has taken one since it was last at rest: since it could
 * take 'burst' at once. */
unsigned rate_taken(struct rate *, const char *name, double per_second,
                    double burst, int64_t now_ms);

/* The same as rate_take() without taking one. */
bool rate_ready(struct rate *, const char *name, double per_second,
                double burst, int64_t now_ms);

#endif /* api/rate.h */
