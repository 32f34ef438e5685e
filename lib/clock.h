/* lib/clock.h -- the time, for the glue that passes it on.  Logic never asks:
 * it is handed the time as a value. */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H 1

#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_ms(void);    /* CLOCK_MONOTONIC, milliseconds. */
int64_t clock_mono_us(void);    /* CLOCK_MONOTONIC, microseconds. */
int64_t clock_wall_us(void);    /* CLOCK_REALTIME, microseconds since 1970. */

/* Writes 'us' (microseconds since 1970) as RFC 3339 in UTC with as many
 * fractional digits as it needs (0, 3 or 6) into 'buf' of at least
 * TIME_STRLEN bytes, and returns 'buf'. */
#define TIME_STRLEN 40
char *time_format_us(int64_t us, char *buf);

/* Reads a point in time: RFC 3339 ("2026-11-23T05:00:00Z", also with a space
 * for the T, without seconds, without zone = UTC, or the date alone), epoch
 * seconds ("1732000000", with a fraction), "now", or relative to 'now_us'
 * ("-1h", "-90s", "-2d", "-500ms", "+5m", "now-1h").  Returns 0 or -EINVAL. */
int time_parse_us(const char *, int64_t now_us, int64_t *us);

/* Reads a duration: "500ms", "90s", "15m", "1h", "15d", "2w", or plain seconds.
 * Returns 0, or -EINVAL, also for what does not fit or is negative. */
int duration_parse_us(const char *, int64_t *us);

/* Reads a size: "512", "64kB", "50GB", "10MiB" (kB = 1000, KiB = 1024, and so
 * on).  Returns 0 or -EINVAL. */
int size_parse(const char *, uint64_t *bytes);

#endif /* lib/clock.h */
