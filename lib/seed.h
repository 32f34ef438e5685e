/* lib/seed.h -- secrets for hash tables whose keys come from outside. */
#ifndef LIB_SEED_H
#define LIB_SEED_H 1

#include <stdint.h>

/* A number that nobody outside can guess, as long as the kernel has such; never
 * waits for it. */
uint64_t seed_make(void);

#endif /* lib/seed.h */
