#include <config.h>

#include "collector/store/table.h"

#include <string.h>

#define ODD UINT64_C(0x9e3779b97f4a7c15)

void
table_reset(struct table *t, uint32_t n)
{
    uint32_t slots = 64;
    while (slots < 2 * n && slots < TABLE_SLOTS) {
        slots *= 2;
    }
    t->n = 0;
    t->mask = slots - 1;
    memset(t->slots, 0, slots * sizeof t->slots[0]);
}

uint32_t
table_number(struct table *t, uint64_t v)
{
    uint32_t i = (uint32_t) (v * ODD >> 40) & t->mask;
    for (;; i = (i + 1) & t->mask) {
        uint32_t at = t->slots[i];
        if (!at) {
            t->slots[i] = t->n + 1;
            t->numbers[t->n] = v;
            return t->n++;
        } else if (t->numbers[at - 1] == v) {
            return at - 1;
        }
    }
}

uint32_t
table_addr(struct table *t, const struct addr *a)
{
    uint64_t half[2];
    memcpy(half, a, sizeof half);
    uint64_t hash = (half[0] * ODD ^ half[1]) * ODD;
    uint32_t i = (uint32_t) (hash >> 40) & t->mask;
    for (;; i = (i + 1) & t->mask) {
        uint32_t at = t->slots[i];
        if (!at) {
            t->slots[i] = t->n + 1;
            t->addrs[t->n] = *a;
            return t->n++;
        } else if (!memcmp(&t->addrs[at - 1], a, sizeof *a)) {
            return at - 1;
        }
    }
}

void
table_sort_v4(struct table *t, uint32_t n[2])
{
    n[0] = n[1] = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        if (addr_is_v4(&t->addrs[i])) {
            uint32_t v;
            memcpy(&v, t->addrs[i].b + 12, sizeof v);
            t->order[i] = n[0];
            t->numbers[n[0]++] = __builtin_bswap32(v);
        }
    }
    for (uint32_t i = 0; i < t->n; i++) {
        if (!addr_is_v4(&t->addrs[i])) {
            t->order[i] = n[0] + n[1];
            t->sorted[n[1]++] = t->addrs[i];
        }
    }
}

/* By digits, the lowest first; one that all have in common needs no pass. */
#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)

void
table_sort_numbers(struct table *t, uint32_t n, uint32_t *to)
{
    uint64_t *v = t->numbers, *v2 = t->other, differ = 0;
    uint32_t *from = t->from[0], *from2 = t->from[1];

    for (uint32_t i = 0; i < n; i++) {
        differ |= v[i] ^ v[0];
        from[i] = i;
    }
    for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
        uint32_t at[DIGITS] = { 0 }, sum = 0;
        if (!(differ >> shift & (DIGITS - 1))) {
            continue;
        }
        for (uint32_t i = 0; i < n; i++) {
            at[v[i] >> shift & (DIGITS - 1)]++;
        }
        for (unsigned d = 0; d < DIGITS; d++) {
            uint32_t count = at[d];
            at[d] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < n; i++) {
            uint32_t k = at[v[i] >> shift & (DIGITS - 1)]++;
            v2[k] = v[i];
            from2[k] = from[i];
        }
        uint64_t *swap = v;
        v = v2;
        v2 = swap;
        uint32_t *swap_from = from;
        from = from2;
        from2 = swap_from;
    }
    if (v != t->numbers) {
        memcpy(t->numbers, v, n * sizeof *v);
    }
    for (uint32_t i = 0; i < n; i++) {
        to[from[i]] = i;
    }
}
