/* collector/store/pack.h -- numbers in as few bits as they need.
 *
 * Numbers are packed in frames of at most FRAME_ROWS: each as its distance from
 * the smallest of the frame, in as many bits as most of them need; the few that
 * need more (elephants among mice) are patched in.  A frame can be read without
 * the others.  Reading takes nothing for granted: what it gets may be damaged. */
#ifndef COLLECTOR_PACK_H
#define COLLECTOR_PACK_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_ROWS 2048         /* As a batch. */
/* Readers may look at so many bytes beyond the end of what they are given. */
#define PACK_SLACK 16

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "what is on disk is little-endian and copied as it is");

/* Bytes that grow at the end. */
struct bytes {
    uint8_t *data;
    size_t size, allocated;
    bool failed;                /* Out of memory; sticky. */
};

/* Room for 'n' more bytes, which the caller fills; NULL if there is none. */
void *bytes_add(struct bytes *, size_t n);
void bytes_put(struct bytes *, const void *, size_t n);
void bytes_pad(struct bytes *, size_t alignment);
void bytes_free(struct bytes *);

/* The bits that the numbers of a frame take, all included. */
uint64_t pack_cost(const uint64_t *, size_t n);

/* Appends 'n' numbers, of which the 'i'th frame has counts[i] (at most
 * FRAME_ROWS). */
void pack_write(struct bytes *, const uint64_t *, const uint16_t *counts,
                size_t n_frames);

/* Packed numbers in memory. */
struct packed {
    const uint8_t *frames;      /* Its directory. */
    const uint8_t *data;
    size_t n_frames, size;      /* Of 'data'. */
};

/* Finds packed numbers in n_frames frames at the beginning of 'size' bytes.
 * The bytes that they take, or 0 if something is wrong. */
size_t pack_open(struct packed *, const uint8_t *, size_t size,
                 size_t n_frames);

/* Reads frame 'i', which must have 'n' numbers; false if something is wrong.
 * Numbers of more bits than the type has are cut. */
bool pack_read_u8(const struct packed *, size_t i, size_t n, uint8_t *);
bool pack_read_u16(const struct packed *, size_t i, size_t n, uint16_t *);
bool pack_read_u32(const struct packed *, size_t i, size_t n, uint32_t *);
bool pack_read_u64(const struct packed *, size_t i, size_t n, uint64_t *);

/* Reads only the numbers at positions index[0], index[1], ... of frame 'i', to
 * the same positions of 'out', of which others become undefined. */
bool pack_pick(const struct packed *, size_t i, size_t n,
               const uint16_t *index, size_t n_index, uint64_t *out);

/* Whether all 'n' numbers of a frame are seen to be *value at once. */
bool pack_is_constant(const struct packed *, size_t i, size_t n,
                      uint64_t *value);

/* A checksum: any damage to few bytes changes it. */
uint64_t pack_checksum(const void *, size_t size);

#endif /* collector/store/pack.h */
