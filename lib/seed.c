#include <config.h>

#include "lib/seed.h"

#include <sys/random.h>

#include "lib/clock.h"
#include "lib/mix.h"

uint64_t
seed_make(void)
{
    uint64_t seed;

    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK)
        != (ssize_t) sizeof seed) {
        /* Early at boot: better than the same one each time. */
        seed = mix64((uint64_t) clock_wall_us(),
                     (uint64_t) clock_mono_us() << 32 | (uintptr_t) &seed | 1);
    }
    return seed;
}
