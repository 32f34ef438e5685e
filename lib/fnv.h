/* lib/fnv.h -- FNV-1a of 64 bits (and 32), for hash tables and for telling
 * whether something has changed.  Quick for short texts; no defence against who chooses
 * them: a table whose keys come from outside is bounded, or seeded. */
#ifndef LIB_FNV_H
#define LIB_FNV_H 1

#include <stddef.h>
#include <stdint.h>

#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

/* Goes on from 'h' (FNV_START at first) with some bytes. */
static inline uint64_t
fnv_bytes(uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ p[i]) * FNV_PRIME;
    }
    return h;
}

/* The same with a text, without its NUL. */
static inline uint64_t
fnv_text(uint64_t h, const char *text)
{
    for (; *text; text++) {
        h = (h ^ (uint8_t) *text) * FNV_PRIME;
    }
    return h;
}

/* The same with its NUL, so that texts can't run into each other. */
static inline uint64_t
fnv_text_end(uint64_t h, const char *text)
{
    return fnv_text(h, text) * FNV_PRIME;
}

#define FNV32_START 2166136261u

static inline uint32_t
fnv32_bytes(uint32_t h, const void *data, size_t n)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ p[i]) * 16777619u;
    }
    return h;
}

#endif /* lib/fnv.h */
