/* lib/mix.h -- mixing two words into one, for the hash of what others choose: with
 * a random word of ours in it nobody can look for keys that end in one chain. */
#ifndef LIB_MIX_H
#define LIB_MIX_H 1

#include <stdint.h>

/* Both halves of the product depend on all bits of 'a' and 'b'. */
static inline uint64_t
mix64(uint64_t a, uint64_t b)
{
    unsigned __int128 wide = (unsigned __int128) a * b;
    return (uint64_t) wide ^ (uint64_t) (wide >> 64);
}

#endif /* lib/mix.h */
