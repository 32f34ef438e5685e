/* lib/mix.h -- mixing two words into one, for the hash of what others choose: with
 * a random word of ours in it nobody can look for keys that end in one chain. */
#ifndef LIB_MIX_H
#define LIB_MIX_H 1

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Both halves of the product depend on all bits of 'a' and 'b'. */
static inline uint64_t
mix64(uint64_t a, uint64_t b)
{
    unsigned __int128 wide = (unsigned __int128) a * b;
    return (uint64_t) wide ^ (uint64_t) (wide >> 64);
}

/* Hash of 'n' octets, going on from 'h', under a secret. */
static inline uint64_t
mix_bytes(uint64_t secret, uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t v[2];

    h ^= n;
    for (; n >= 16; n -= 16, p += 16) {
        memcpy(v, p, 16);
        h = mix64(v[0] ^ secret, v[1] ^ h);
    }
    v[0] = v[1] = 0;
    if (n) {
        memcpy(v, p, n);
    }
    return mix64(v[0] ^ secret, v[1] ^ h);
}

#endif /* lib/mix.h */
