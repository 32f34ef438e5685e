/* collector/input/pace.h -- how long a worker waits before it looks again.
 *
 * Datagrams that come one by one, but fast, would cost a wake-up and a system
 * call each.  Where several come within PACE_US, a worker sleeps so long and
 * then takes what has gathered, with one call; where they are few, each is
 * taken at once.  Receive buffers hold what a sender can send meanwhile.
 *
 * No clock, no socket, no loop. */
#ifndef COLLECTOR_PACE_H
#define COLLECTOR_PACE_H 1

#include <stdint.h>

#define PACE_US 500
#define PACE_MIN 4              /* Datagrams that make the wait worthwhile. */

/* The wait, 0 or PACE_US, after a turn that took 'n' datagrams and began
 * 'gap_us' after the one before: what came in that time says what will. */
static inline int64_t
pace_us(uint64_t n, int64_t gap_us)
{
    return gap_us >= 0 && n * PACE_US >= PACE_MIN * (uint64_t) gap_us
           ? PACE_US : 0;
}

#endif
