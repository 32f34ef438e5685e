/* collector/input/pace.h -- how long a worker waits before it looks again, and
 * how much it takes then.
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

/* How many datagrams to take at once after 'n' of them took 'us': a datagram can
 * hold thousands of templates, and others wait until all are done. */
#define BURST_MAX 64
#define BURST_US 2000

static inline unsigned
burst_next(unsigned n, int64_t us)
{
    if (us > BURST_US) {
        return n > 1 ? n / 2 : 1;
    }
    return us < BURST_US / 4 && n < BURST_MAX ? 2 * n : n;
}

#endif
