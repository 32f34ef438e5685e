#include <config.h>

#include "collector/import/lzo.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/cursor.h"

/* Where matches of one byte's instruction begin, beyond their distance. */
#define M2_FAR 2049             /* Three bytes after literals. */
#define M4_FAR 16384

struct output {
    uint8_t *start, *p, *end;
    bool bad;
};

static void
copy_literals(struct output *o, struct cursor *c, size_t n)
{
    const uint8_t *from = cur_take(c, n);
    if (!from || n > (size_t) (o->end - o->p)) {
        o->bad = true;
        return;
    }
    memcpy(o->p, from, n);
    o->p += n;
}

/* Copies what was made before; it may overlap what it makes. */
static void
copy_match(struct output *o, size_t distance, size_t n)
{
    if (distance > (size_t) (o->p - o->start)
        || n > (size_t) (o->end - o->p)) {
        o->bad = true;
        return;
    }
    const uint8_t *from = o->p - distance;
    if (distance >= n) {
        memcpy(o->p, from, n);
    } else {
        for (size_t i = 0; i < n; i++) {
            o->p[i] = from[i];
        }
    }
    o->p += n;
}

static uint16_t
take_le16(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 2);
    return p ? (uint16_t) (p[0] | p[1] << 8) : 0;
}

/* A length whose bits in the instruction are 'bits', all of them 'mask': zero
 * says that it goes on in bytes, each zero one counting 255. */
static size_t
take_length(struct cursor *c, unsigned bits, unsigned mask)
{
    if (bits) {
        return bits;
    }
    size_t n = mask;
    uint8_t byte;
    while (!(byte = cur_u8(c)) && !c->bad) {
        n += 255;
    }
    return n + byte;
}

/* One instruction that is not a run of literals.  '*state' is how many
 * literals were copied before (4: four or more), and becomes how many follow.
 * True: this was the end. */
static bool
match(struct output *o, struct cursor *c, unsigned t, unsigned *state)
{
    size_t n, distance;

    if (t >= 64) {
        n = t >= 128 ? 5 + (t >> 5 & 3) : 3 + (t >> 5 & 1);
        distance = ((size_t) cur_u8(c) << 3) + (t >> 2 & 7) + 1;
        *state = t & 3;
    } else if (t >= 16) {
        bool far = t < 32;
        n = 2 + (far ? take_length(c, t & 7, 7) : take_length(c, t & 31, 31));
        uint16_t word = take_le16(c);
        distance = far ? M4_FAR + ((size_t) (t & 8) << 11) + (word >> 2)
                       : (size_t) (word >> 2) + 1;
        *state = word & 3;
        if (far && distance == M4_FAR) {
            return true;
        }
    } else {
        bool after_run = *state == 4;
        n = after_run ? 3 : 2;
        distance = ((size_t) cur_u8(c) << 2) + (t >> 2)
                   + (after_run ? M2_FAR : 1);
        *state = t & 3;
    }
    if (c->bad) {
        o->bad = true;
    } else {
        copy_match(o, distance, n);
    }
    return false;
}

int
lzo_decompress(const uint8_t *in, size_t n, uint8_t *out, size_t room,
               size_t *made)
{
    struct cursor c = cur_init(in, n);
    struct output o = { out, out, out + room, false };
    unsigned state = 0;
    bool end = false;

    if (n && *in > 17) {        /* A run of literals in a shorter form. */
        size_t run = cur_u8(&c) - 17u;
        copy_literals(&o, &c, run);
        state = run < 4 ? (unsigned) run : 4;
    }
    while (!end && !o.bad && cur_more(&c)) {
        unsigned t = cur_u8(&c);
        if (t < 16 && !state) {
            copy_literals(&o, &c, 3 + take_length(&c, t, 15));
            state = 4;
        } else {
            end = match(&o, &c, t, &state);
            if (!end && !o.bad && state) {
                copy_literals(&o, &c, state);
            }
        }
    }
    *made = (size_t) (o.p - out);
    return end && !o.bad && !c.bad && !cur_left(&c) ? 0 : -EBADMSG;
}
