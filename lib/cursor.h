/* lib/cursor.h -- the one bounds-checked reader for bytes from the network.
 *
 * A cursor never reads past its end.  The first read that would is refused,
 * and from then on the cursor is 'bad' and every read answers 0 or NULL: read
 * freely, then test 'bad' before a value matters.  Children made by cur_sub()
 * confine a parser to the length that a header announced.
 *
 * All integers are big endian, as in the RFCs.  Nothing here allocates. */
#ifndef LIB_CURSOR_H
#define LIB_CURSOR_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
    const uint8_t *p;           /* Next byte. */
    const uint8_t *end;         /* One past the last byte. */
    bool bad;                   /* A read went past 'end'. */
};

/* Returns a cursor over the 'size' bytes at 'data', which it borrows. */
static inline struct cursor
cur_init(const void *data, size_t size)
{
    const uint8_t *p = data;
    /* NULL with 0 is a cursor at its end, and no arithmetic. */
    return (struct cursor) { .p = p, .end = size ? p + size : p,
                             .bad = false };
}

/* The bytes left to read. */
static inline size_t
cur_left(const struct cursor *c)
{
    return c->bad ? 0 : (size_t) (c->end - c->p);
}

/* True while there is something to read and nothing went wrong. */
static inline bool
cur_more(const struct cursor *c)
{
    return !c->bad && c->p < c->end;
}

/* Takes 'n' bytes, or returns NULL and makes the cursor bad.  This is the one
 * bounds check that everything else goes through. */
static inline const uint8_t *
cur_take(struct cursor *c, size_t n)
{
    if (c->bad || n > (size_t) (c->end - c->p)) {
        c->bad = true;
        return NULL;
    }
    c->p += n;
    return c->p - n;
}

static inline void
cur_skip(struct cursor *c, size_t n)
{
    (void) cur_take(c, n);
}

/* Big-endian loads from memory that the caller has checked. */
static inline uint16_t
be16_at(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t
be32_at(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline uint64_t
be64_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

/* An unsigned integer of 1 to 8 bytes (IPFIX reduced-size encoding, RFC 7011
 * section 6.2).  Longer fields keep their low 64 bits. */
static inline uint64_t
be_uint_at(const uint8_t *p, size_t size)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static inline uint8_t
cur_u8(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 1);
    return p ? *p : 0;
}

static inline uint16_t
cur_u16(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 2);
    return p ? be16_at(p) : 0;
}

static inline uint32_t
cur_u32(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 4);
    return p ? be32_at(p) : 0;
}

static inline uint64_t
cur_u64(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 8);
    return p ? be64_at(p) : 0;
}

/* Takes 'n' bytes off 'c' as a cursor of their own.  When they are not there,
 * both are bad. */
static inline struct cursor
cur_sub(struct cursor *c, size_t n)
{
    const uint8_t *p = cur_take(c, n);
    if (!p) {
        return (struct cursor) { .p = c->p, .end = c->p, .bad = true };
    }
    return cur_init(p, n);
}

#endif /* lib/cursor.h */
