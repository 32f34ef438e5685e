#include <config.h>

#include "collector/store/pack.h"

/* A frame on disk. */
struct frame {
    uint64_t base;              /* The smallest number. */
    uint32_t offset;            /* Of its bits. */
    uint16_t n;
    uint16_t n_patches;
    uint8_t width;              /* Bits of a number: 0 to 56, or 64. */
    uint8_t patch_bytes;        /* Of what a patched number has above. */
    uint8_t zero[6];
};
_Static_assert(sizeof(struct frame) == 24, "this is on disk");

/* Wider ones are stored as they are: eight bytes hold one however its bits
 * lie. */
#define MAX_WIDTH 56
#define PATCH_POSITION 2        /* Bytes. */

/* Bytes. */

void *
bytes_add(struct bytes *b, size_t n)
{
    if (b->failed) {
        return NULL;
    }
    if (b->allocated - b->size < n + PACK_SLACK) {
        size_t more = b->allocated ? 2 * b->allocated : 4096;
        while (more - b->size < n + PACK_SLACK) {
            more *= 2;
        }
        uint8_t *p = realloc(b->data, more);
        if (!p) {
            b->failed = true;
            return NULL;
        }
        b->data = p;
        b->allocated = more;
    }
    b->size += n;
    return b->data + b->size - n;
}

void
bytes_put(struct bytes *b, const void *data, size_t n)
{
    void *p = bytes_add(b, n);
    if (p && n) {
        memcpy(p, data, n);
    }
}

void
bytes_pad(struct bytes *b, size_t alignment)
{
    size_t n = (alignment - b->size % alignment) % alignment;
    void *p = bytes_add(b, n);
    if (p && n) {
        memset(p, 0, n);
    }
}

void
bytes_free(struct bytes *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

/* Writing. */

static unsigned
bits_of(uint64_t v)
{
    return v ? 64u - (unsigned) __builtin_clzll(v) : 0;
}

static unsigned
round_width(unsigned width)
{
    return width > MAX_WIDTH ? 64 : width;
}

/* The shape of a frame with the least bits.  Returns those. */
static uint64_t
plan(const uint64_t *v, size_t n, struct frame *f)
{
    uint64_t min = UINT64_MAX, max = 0;

    memset(f, 0, sizeof *f);
    f->n = (uint16_t) n;
    if (!n) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    unsigned widest = bits_of(max - min);
    f->base = min;
    f->width = (uint8_t) round_width(widest);
    uint64_t best = n * f->width;
    if (widest <= 2) {
        return best;
    }
    uint32_t histogram[4][65] = { { 0 } }, above = 0;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        histogram[0][bits_of(v[i] - min)]++;
        histogram[1][bits_of(v[i + 1] - min)]++;
        histogram[2][bits_of(v[i + 2] - min)]++;
        histogram[3][bits_of(v[i + 3] - min)]++;
    }
    for (; i < n; i++) {
        histogram[0][bits_of(v[i] - min)]++;
    }
    for (unsigned w = widest; w-- > 0; ) {
        above += histogram[0][w + 1] + histogram[1][w + 1]
                 + histogram[2][w + 1] + histogram[3][w + 1];
        unsigned extra = (widest - w + 7) / 8;
        uint64_t bits = (uint64_t) n * w
                        + (uint64_t) above * 8 * (PATCH_POSITION + extra);
        if (bits < best && w <= MAX_WIDTH && widest - w <= 64) {
            best = bits;
            f->width = (uint8_t) w;
            f->n_patches = (uint16_t) above;
            f->patch_bytes = (uint8_t) extra;
        }
    }
    return best;
}

uint64_t
pack_cost(const uint64_t *v, size_t n)
{
    struct frame f;
    return plan(v, n, &f) + 8 * sizeof f;
}

static void
put_bits(uint8_t *p, const uint64_t *v, size_t n, const struct frame *f)
{
    unsigned width = f->width, fill = 0;
    uint64_t mask = width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    uint64_t word = 0, base = f->base;

    if (width == 64) {
        for (size_t i = 0; i < n; i++) {
            uint64_t x = v[i] - base;
            memcpy(p + 8 * i, &x, 8);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t x = (v[i] - base) & mask;
        word |= x << fill;
        fill += width;
        if (fill >= 64) {
            memcpy(p, &word, 8);
            p += 8;
            fill -= 64;
            word = fill ? x >> (width - fill) : 0;
        }
    }
    memcpy(p, &word, (fill + 7) / 8);
}

static void
put_frame(struct bytes *b, const uint64_t *v, const struct frame *f)
{
    size_t size = ((size_t) f->n * f->width + 7) / 8;
    uint8_t *p = bytes_add(b, size);
    if (p && f->width) {
        put_bits(p, v, f->n, f);
    }
    if (!f->n_patches) {
        return;
    }
    p = bytes_add(b, (size_t) f->n_patches
                     * (PATCH_POSITION + f->patch_bytes));
    for (uint16_t i = 0; p && i < f->n; i++) {
        uint64_t high = (v[i] - f->base) >> f->width;
        if (high) {
            memcpy(p, &i, PATCH_POSITION);
            memcpy(p + PATCH_POSITION, &high, f->patch_bytes);
            p += PATCH_POSITION + f->patch_bytes;
        }
    }
}

void
pack_write(struct bytes *b, const uint64_t *v, const uint16_t *counts,
           size_t n_frames)
{
    uint32_t size;
    size_t start = b->size;
    void *p = bytes_add(b, sizeof size + n_frames * sizeof(struct frame));
    if (!p) {
        return;
    }
    size_t data = b->size;
    for (size_t i = 0; i < n_frames; i++) {
        struct frame f;
        plan(v, counts[i], &f);
        f.offset = (uint32_t) (b->size - data);
        put_frame(b, v, &f);
        if (b->failed) {
            return;
        }
        memcpy(b->data + start + sizeof size + i * sizeof f, &f, sizeof f);
        v += counts[i];
    }
    size = (uint32_t) (b->size - data);
    memcpy(b->data + start, &size, sizeof size);
}

/* Reading. */

size_t
pack_open(struct packed *p, const uint8_t *data, size_t size,
          size_t n_frames)
{
    uint32_t n;
    size_t head = sizeof n + n_frames * sizeof(struct frame);

    if (size < head) {
        return 0;
    }
    memcpy(&n, data, sizeof n);
    if (n > size - head) {
        return 0;
    }
    p->frames = data + sizeof n;
    p->n_frames = n_frames;
    p->data = data + head;
    p->size = n;
    return head + n;
}

/* The header of frame 'i', checked: its bits and patches lie within the
 * data. */
static bool
open_frame(const struct packed *p, size_t i, size_t n, struct frame *f)
{
    if (i >= p->n_frames) {
        return false;
    }
    memcpy(f, p->frames + i * sizeof *f, sizeof *f);
    if (f->n != n || n > FRAME_ROWS || f->width > 64
        || (f->width > MAX_WIDTH && f->width < 64) || f->n_patches > n
        || f->patch_bytes > 8 || (f->n_patches && f->width > MAX_WIDTH)) {
        return false;
    }
    uint64_t size = ((uint64_t) n * f->width + 7) / 8
                    + (uint64_t) f->n_patches
                      * (PATCH_POSITION + f->patch_bytes);
    return f->offset <= p->size && size <= p->size - f->offset;
}

static inline uint64_t
load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* Eight numbers of 'width' bits take 'width' bytes: where each begins in them
 * is the same every time, and known to the compiler where the width is. */
#define WIDTHS(CASE)                                                    \
    CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(9)     \
    CASE(10) CASE(11) CASE(12) CASE(13) CASE(14) CASE(15) CASE(17)      \
    CASE(18) CASE(19) CASE(20) CASE(21) CASE(22) CASE(23) CASE(24)

#define BY_u8(W)                                                      \
    case W:                                                             \
        unpack_by_u8(p, W, base, n, out);                               \
        break;
#define BY_u16(W)                                                     \
    case W:                                                             \
        unpack_by_u16(p, W, base, n, out);                              \
        break;
#define BY_u32(W)                                                     \
    case W:                                                             \
        unpack_by_u32(p, W, base, n, out);                              \
        break;
#define BY_u64(W)                                                     \
    case W:                                                             \
        unpack_by_u64(p, W, base, n, out);                              \
        break;
#define READER(T, NAME)                                                 \
    static inline __attribute__((always_inline)) void                   \
    unpack_by_##NAME(const uint8_t *p, unsigned width, uint64_t base,   \
                     size_t n, T *out)                                  \
    {                                                                   \
        uint64_t mask = (UINT64_C(1) << width) - 1;                     \
        size_t i = 0;                                                   \
        for (; i + 8 <= n; i += 8, p += width) {                        \
            _Pragma("GCC unroll 8")                                     \
            for (unsigned k = 0; k < 8; k++) {                          \
                out[i + k] = (T) ((load64(p + k * width / 8)            \
                                   >> k * width % 8 & mask) + base);    \
            }                                                           \
        }                                                               \
        for (unsigned k = 0; i < n; i++, k++) {                         \
            out[i] = (T) ((load64(p + k * width / 8) >> k * width % 8   \
                           & mask) + base);                             \
        }                                                               \
    }                                                                   \
                                                                        \
    static void                                                         \
    unpack_##NAME(const uint8_t *p, unsigned width, uint64_t base,      \
                  size_t n, T *out)                                     \
    {                                                                   \
        switch (width) {                                                \
            WIDTHS(BY_##NAME)                                           \
        default:                                                        \
            unpack_by_##NAME(p, width, base, n, out);                   \
            break;                                                      \
        }                                                               \
    }                                                                   \
                                                                        \
    static void                                                         \
    unpack8_##NAME(const uint8_t *p, uint64_t base, size_t n, T *out)   \
    {                                                                   \
        for (size_t i = 0; i < n; i++) {                                \
            out[i] = (T) (p[i] + base);                                 \
        }                                                               \
    }                                                                   \
                                                                        \
    static void                                                         \
    unpack16_##NAME(const uint8_t *p, uint64_t base, size_t n, T *out)  \
    {                                                                   \
        for (size_t i = 0; i < n; i++) {                                \
            uint16_t v;                                                 \
            memcpy(&v, p + 2 * i, 2);                                   \
            out[i] = (T) (v + base);                                    \
        }                                                               \
    }                                                                   \
                                                                        \
    bool                                                                \
    pack_read_##NAME(const struct packed *x, size_t index, size_t n,    \
                     T *out)                                            \
    {                                                                   \
        struct frame f;                                                 \
        if (!open_frame(x, index, n, &f)) {                             \
            return false;                                               \
        }                                                               \
        const uint8_t *p = x->data + f.offset;                          \
        if (f.width == 0) {                                             \
            for (size_t i = 0; i < n; i++) {                            \
                out[i] = (T) f.base;                                    \
            }                                                           \
        } else if (f.width == 8) {                                      \
            unpack8_##NAME(p, f.base, n, out);                          \
        } else if (f.width == 16) {                                     \
            unpack16_##NAME(p, f.base, n, out);                         \
        } else if (f.width == 64) {                                     \
            for (size_t i = 0; i < n; i++) {                            \
                out[i] = (T) (load64(p + 8 * i) + f.base);              \
            }                                                           \
        } else {                                                        \
            unpack_##NAME(p, f.width, f.base, n, out);                  \
        }                                                               \
        p += (n * f.width + 7) / 8;                                     \
        for (unsigned k = 0; k < f.n_patches; k++) {                    \
            uint16_t at;                                                \
            uint64_t high = 0;                                          \
            memcpy(&at, p, PATCH_POSITION);                             \
            memcpy(&high, p + PATCH_POSITION, f.patch_bytes);           \
            if (at >= n) {                                              \
                return false;                                           \
            }                                                           \
            out[at] = (T) (out[at] + (high << f.width));                \
            p += PATCH_POSITION + f.patch_bytes;                        \
        }                                                               \
        return true;                                                    \
    }

READER(uint8_t, u8)
READER(uint16_t, u16)
READER(uint32_t, u32)
READER(uint64_t, u64)

bool
pack_pick(const struct packed *x, size_t frame, size_t n,
          const uint16_t *index, size_t n_index, uint64_t *out)
{
    struct frame f;

    if (!open_frame(x, frame, n, &f)) {
        return false;
    }
    const uint8_t *p = x->data + f.offset;
    uint64_t mask = f.width >= 64 ? UINT64_MAX
                                  : (UINT64_C(1) << f.width) - 1;
    for (size_t k = 0; k < n_index; k++) {
        size_t bit = (size_t) index[k] * f.width;
        out[index[k]] = (load64(p + bit / 8) >> bit % 8 & mask) + f.base;
    }
    p += (n * f.width + 7) / 8;
    for (unsigned k = 0; k < f.n_patches; k++) {
        uint16_t at;
        uint64_t high = 0;
        memcpy(&at, p, PATCH_POSITION);
        memcpy(&high, p + PATCH_POSITION, f.patch_bytes);
        if (at >= n) {
            return false;
        }
        /* Of a row that was not asked for, the sum means nothing. */
        out[at] += high << f.width;
        p += PATCH_POSITION + f.patch_bytes;
    }
    return true;
}

bool
pack_is_constant(const struct packed *x, size_t i, size_t n, uint64_t *value)
{
    struct frame f;

    if (!open_frame(x, i, n, &f) || f.width || f.n_patches) {
        return false;
    }
    *value = f.base;
    return true;
}

/* Four lanes of multiplications, so that none waits for the one before; each
 * step loses nothing of what was there. */
#define CHECKSUM_ODD UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t
checksum_step(uint64_t lane, const uint8_t *p)
{
    uint64_t x = lane ^ load64(p);
    return (x << 29 | x >> 35) * CHECKSUM_ODD;
}

uint64_t
pack_checksum(const void *data, size_t size)
{
    const uint8_t *p = data;
    /* Not an array: the compiler would keep it in memory. */
    uint64_t a = size, b = 1, c = 2, d = 3;
    uint8_t rest[32] = { 0 };

    for (; size >= 32; size -= 32, p += 32) {
        a = checksum_step(a, p);
        b = checksum_step(b, p + 8);
        c = checksum_step(c, p + 16);
        d = checksum_step(d, p + 24);
    }
    memcpy(rest, p, size);
    uint64_t lane[4] = { checksum_step(a, rest), checksum_step(b, rest + 8),
                         checksum_step(c, rest + 16),
                         checksum_step(d, rest + 24) };
    uint64_t x = 0;
    for (unsigned k = 0; k < 4; k++) {
        x = (x ^ lane[k]) * CHECKSUM_ODD;
        x ^= x >> 32;
    }
    return x;
}
