#include <config.h>

#include "bgp/routelog_p.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Header, ROUTELOG_HEADER octets: magic 4, crc 4 (of the rest and the filter),
 * raw size 4, stored size 4, crc of what is stored 4, records 4, flags 1, log2
 * of the filter's size 1, zero 2, first and last time 8 each, zero 12. */
enum { F_PACKED = 1, F_PEERS = 2 };
#define CRC_FROM 8

/* ---- The filter. ---- */

/* Prefixes of at least this are found by the wide one around them, too. */
#define WIDE_V4 (96 + 16)
#define WIDE_V6 32
#define BLOOM_BITS 16           /* Of a hash. */
#define BLOOM_PROBES 6

static uint64_t
mix(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

uint64_t
routelog_hash(const struct prefix *p)
{
    uint64_t hi, lo;
    memcpy(&hi, p->addr.b, 8);
    memcpy(&lo, p->addr.b + 8, 8);
    return mix(mix(hi + p->len) ^ lo);
}

static unsigned
wide_len(const struct prefix *p)
{
    return p->len >= 96 && addr_is_v4(&p->addr) ? WIDE_V4 : WIDE_V6;
}

uint64_t
routelog_wide_hash(const struct prefix *p)
{
    struct prefix wide = *p;
    unsigned len = wide_len(p);
    if (p->len < len) {
        return 0;
    }
    memset(wide.addr.b + len / 8, 0, 16 - len / 8);
    wide.len = 0xff;            /* No prefix's own. */
    return routelog_hash(&wide) | 1;
}

static void
bloom_set(uint8_t *bloom, uint32_t size, uint64_t hash)
{
    uint32_t mask = 8 * size - 1;
    uint32_t h = (uint32_t) hash, step = (uint32_t) (hash >> 32) | 1;
    for (int i = 0; i < BLOOM_PROBES; i++, h += step) {
        bloom[(h & mask) / 8] |= (uint8_t) (1 << (h & 7));
    }
}

bool
routelog_bloom_has(const uint8_t *bloom, uint32_t size, uint64_t hash)
{
    uint32_t mask = 8 * size - 1;
    uint32_t h = (uint32_t) hash, step = (uint32_t) (hash >> 32) | 1;
    for (int i = 0; i < BLOOM_PROBES; i++, h += step) {
        if (!(bloom[(h & mask) / 8] >> (h & 7) & 1)) {
            return false;
        }
    }
    return true;
}

static unsigned
bloom_log2(uint32_t n_hashes)
{
    unsigned log2 = 3;
    while ((1u << log2) < ROUTELOG_MAX_BLOOM
           && (1u << log2) * 8 < n_hashes * (uint64_t) BLOOM_BITS) {
        log2++;
    }
    return log2;
}

/* ---- Blocks. ---- */

static void
set_uint(uint8_t *p, uint64_t v, unsigned size)
{
    while (size--) {
        p[size] = (uint8_t) v;
        v >>= 8;
    }
}

uint8_t *
routelog_block_make(const struct routelog_chunk *c, size_t *size)
{
    unsigned log2 = bloom_log2(c->n_hashes);
    uint32_t bloom_size = 1u << log2;
    uLongf stored = compressBound(c->n);
    uint8_t *p = calloc(1, ROUTELOG_HEADER + bloom_size + stored);
    if (!p) {
        return NULL;
    }
    uint8_t *bloom = p + ROUTELOG_HEADER, *data = bloom + bloom_size;
    for (uint32_t i = 0; i < c->n_hashes; i++) {
        bloom_set(bloom, bloom_size, c->hashes[i]);
    }
    bool packed = compress2(data, &stored, c->data, c->n, 1) == Z_OK
                  && stored < c->n;
    if (!packed) {
        stored = c->n;
        memcpy(data, c->data, c->n);
    }
    set_uint(p, ROUTELOG_MAGIC, 4);
    set_uint(p + 8, c->n, 4);
    set_uint(p + 12, stored, 4);
    set_uint(p + 16, crc32(0, data, (uInt) stored), 4);
    set_uint(p + 20, c->n_records, 4);
    p[24] = (uint8_t) ((packed ? F_PACKED : 0)
                       | (c->has_peers ? F_PEERS : 0));
    p[25] = (uint8_t) log2;
    set_uint(p + 28, (uint64_t) c->first_us, 8);
    set_uint(p + 36, (uint64_t) c->last_us, 8);
    set_uint(p + 4, crc32(0, p + CRC_FROM,
                          ROUTELOG_HEADER - CRC_FROM + bloom_size), 4);
    *size = ROUTELOG_HEADER + bloom_size + stored;
    return p;
}

bool
routelog_block_parse(const uint8_t *p, struct routelog_block *b)
{
    *b = (struct routelog_block) {
        .raw_size = be32_at(p + 8), .stored_size = be32_at(p + 12),
        .stored_crc = be32_at(p + 16), .n_records = be32_at(p + 20),
        .packed = p[24] & F_PACKED, .has_peers = p[24] & F_PEERS,
        .bloom_size = p[25] < 17 ? 1u << p[25] : 0,
        .first_us = (int64_t) be64_at(p + 28),
        .last_us = (int64_t) be64_at(p + 36),
    };
    return be32_at(p) == ROUTELOG_MAGIC && b->bloom_size
           && b->raw_size <= ROUTELOG_MAX_RAW
           && b->stored_size <= b->raw_size
           && (b->packed || b->stored_size == b->raw_size);
}

bool
routelog_block_check(const uint8_t *header, const uint8_t *bloom,
                    const struct routelog_block *b)
{
    uLong crc = crc32(0, header + CRC_FROM, ROUTELOG_HEADER - CRC_FROM);
    return crc32(crc, bloom, b->bloom_size) == be32_at(header + 4);
}

bool
routelog_block_unpack(const struct routelog_block *b, const uint8_t *stored,
                     uint8_t *raw)
{
    uLongf n = b->raw_size;
    if (crc32(0, stored, b->stored_size) != b->stored_crc) {
        return false;
    }
    if (!b->packed) {
        memcpy(raw, stored, b->raw_size);
        return true;
    }
    return uncompress(raw, &n, stored, b->stored_size) == Z_OK
           && n == b->raw_size;
}
