#include <config.h>

#include "collector/filter/eval_p.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "lib/dict.h"

/* ---- Kernels: a word of 64 rows at a time. ---- */

/* Bytes of 0 or 1 to bits: eight at once by a multiplication that gathers
 * their lowest bits in the highest byte. */
static inline uint64_t
pack(const uint8_t m[64])
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t eight;
        memcpy(&eight, m + 8 * i, 8);
        word |= (eight * UINT64_C(0x0102040810204080) >> 56) << 8 * i;
    }
    return word;
}

static inline const void *
column_at(const struct flow_batch *b, enum column_id id)
{
    return (const uint8_t *) b + columns[id].offset;
}

/* The compiler makes vectors of the inner loop. */
#define KERNEL(NAME, T)                                                 \
    static void                                                         \
    NAME(const struct step *s, const struct flow_batch *b,              \
         unsigned words, uint64_t *out)                                 \
    {                                                                   \
        const T *v = column_at(b, s->column);                           \
        const T mask = (T) s->mask, lo = (T) s->lo, span = (T) s->span; \
        for (unsigned w = 0; w < words; w++, v += 64) {                 \
            uint8_t m[64];                                              \
            for (unsigned i = 0; i < 64; i++) {                         \
                m[i] = (T) ((v[i] & mask) - lo) <= span;                \
            }                                                           \
            out[w] = pack(m);                                           \
        }                                                               \
    }

KERNEL(term_u8, uint8_t)
KERNEL(term_u16, uint16_t)
KERNEL(term_u32, uint32_t)
KERNEL(any_u64, uint64_t)

/* Most numbers of 64 bits are small, and those of 32 compared faster. */
static void
term_u64(const struct step *s, const struct flow_batch *b, unsigned words,
         uint64_t *out)
{
    const uint64_t *v = column_at(b, s->column);
    const uint32_t mask = (uint32_t) s->mask, lo = (uint32_t) s->lo;
    const uint32_t span = s->span > UINT32_MAX - lo
                          ? UINT32_MAX - lo : (uint32_t) s->span;
    uint64_t all = s->lo;

    for (unsigned w = 0; w < words && !(all >> 32); w++, v += 64) {
        uint32_t small[64];
        uint8_t m[64];
        for (unsigned i = 0; i < 64; i++) {
            small[i] = (uint32_t) v[i];
            all |= v[i];
        }
        for (unsigned i = 0; i < 64; i++) {
            m[i] = (small[i] & mask) - lo <= span;
        }
        out[w] = pack(m);
    }
    if (all >> 32) {
        any_u64(s, b, words, out);
    }
}

/* Times have a sign: they are moved so that the oldest is 0. */
static void
term_time(const struct step *s, const struct flow_batch *b, unsigned words,
          uint64_t *out)
{
    const int64_t *v = column_at(b, s->column);
    for (unsigned w = 0; w < words; w++, v += 64) {
        uint8_t m[64];
        for (unsigned i = 0; i < 64; i++) {
            uint64_t t = (uint64_t) v[i] ^ UINT64_C(1) << 63;
            m[i] = t - s->lo <= s->span;
        }
        out[w] = pack(m);
    }
}

#ifdef __SSE2__
/* Sixteen addresses: what their 32-bit quarters say, one bit each. */
static inline uint64_t
match_quarters(const struct addr *v, __m128i mask, __m128i want)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 16; i += 4) {
        __m128i eq[4];
        for (unsigned k = 0; k < 4; k++) {
            __m128i a = _mm_loadu_si128((const __m128i *) &v[i + k]);
            eq[k] = _mm_cmpeq_epi32(_mm_and_si128(a, mask), want);
        }
        __m128i all = _mm_packs_epi16(_mm_packs_epi32(eq[0], eq[1]),
                                      _mm_packs_epi32(eq[2], eq[3]));
        word |= (uint64_t) _mm_movemask_epi8(all) << 4 * i;
    }
    return word;
}

/* One bit for each four that are all set. */
static inline uint64_t
gather_fours(uint64_t x)
{
    x &= x >> 1;
    x &= x >> 2;
    x &= UINT64_C(0x1111111111111111);
    x = (x | x >> 3) & UINT64_C(0x0303030303030303);
    x = (x | x >> 6) & UINT64_C(0x000f000f000f000f);
    x = (x | x >> 12) & UINT64_C(0x000000ff000000ff);
    return (x | x >> 24) & 0xffff;
}

static void
term_addr(const struct step *s, const struct flow_batch *b, unsigned words,
          uint64_t *out)
{
    const struct addr *v = column_at(b, s->column);
    __m128i mask = _mm_loadu_si128((const __m128i *) s->prefix_mask);
    __m128i want = _mm_loadu_si128((const __m128i *) s->prefix);
    for (unsigned w = 0; w < words; w++, v += 64) {
        out[w] = 0;
        for (unsigned i = 0; i < 64; i += 16) {
            out[w] |= gather_fours(match_quarters(v + i, mask, want)) << i;
        }
    }
}
#else
static void
term_addr(const struct step *s, const struct flow_batch *b, unsigned words,
          uint64_t *out)
{
    const struct addr *v = column_at(b, s->column);
    for (unsigned w = 0; w < words; w++, v += 64) {
        uint8_t m[64];
        for (unsigned i = 0; i < 64; i++) {
            uint64_t half[2];
            memcpy(half, &v[i], sizeof half);
            m[i] = !(((half[0] & s->prefix_mask[0]) ^ s->prefix[0])
                     | ((half[1] & s->prefix_mask[1]) ^ s->prefix[1]));
        }
        out[w] = pack(m);
    }
}
#endif

void
eval_prefix_v4(const struct step *s, const struct eval_v4 *v4,
               unsigned words, uint64_t *out)
{
    const uint32_t *v = v4->addr[s->v4];
    const uint32_t mask = s->v4_mask, net = s->v4_net;
    for (unsigned w = 0; w < words; w++, v += 64) {
        uint8_t m[64];
        for (unsigned i = 0; i < 64; i++) {
            m[i] = (v[i] & mask) == net;
        }
        out[w] = pack(m) & v4->is[s->v4][w];
    }
}

void
eval_v4_make(struct eval_v4 *v4, const struct flow_batch *b, int end)
{
    const struct addr *addrs = end ? b->dst_addr : b->src_addr;

    for (unsigned w = 0; w < (b->n + 63) / 64; w++) {
        uint8_t m[64];
        for (unsigned i = 0; i < 64; i++) {
            const struct addr *a = &addrs[64 * w + i];
            m[i] = addr_is_v4(a);
            memcpy(&v4->addr[end][64 * w + i], a->b + 12, 4);
        }
        v4->is[end][w] = pack(m);
    }
}

static uint64_t
elapsed_ms(const struct flow_batch *b, unsigned row)
{
    int64_t us;
    if (__builtin_sub_overflow(b->flow_end[row], b->flow_start[row], &us)) {
        us = b->flow_end[row] < 0 ? 0 : INT64_MAX;
    }
    return us > 0 ? (uint64_t) us / 1000 : 0;
}

/* Whether x * factor / y, rounded down and 0 by nothing, is from 'lo' to 'hi';
 * found out without a division. */
static inline bool
quotient_is(uint64_t x, unsigned factor, uint64_t y, uint64_t lo, uint64_t hi)
{
    unsigned __int128 wide = (unsigned __int128) x * factor;
    if (!y) {
        return !lo;
    }
    return wide >= (unsigned __int128) lo * y
           && (hi == UINT64_MAX || wide < (unsigned __int128) (hi + 1) * y);
}

static inline bool
computed_is(const struct flow_batch *b, enum filter_value value, unsigned row,
            uint64_t lo, uint64_t hi)
{
    uint64_t v = 0;
    switch (value) {
    case FV_DURATION:
        v = elapsed_ms(b, row);
        break;
    case FV_BPS:
        return quotient_is(b->bytes[row], 8000, elapsed_ms(b, row), lo, hi);
    case FV_PPS:
        return quotient_is(b->packets[row], 1000, elapsed_ms(b, row), lo,
                           hi);
    case FV_BPP:
        return quotient_is(b->bytes[row], 1, b->packets[row], lo, hi);
    case FV_ENGINE_TYPE:
        v = b->observation_domain_id[row] >> 8 & 255;
        break;
    case FV_ENGINE_ID:
        v = b->observation_domain_id[row] & 255;
        break;
    default:
        break;
    }
    return v >= lo && v <= hi;
}

void
eval_computed(const struct step *s, const struct flow_batch *b,
              unsigned words, uint64_t *out)
{
    for (unsigned w = 0; w < words; w++) {
        unsigned n = b->n - 64 * w < 64 ? b->n - 64 * w : 64;
        out[w] = 0;
        for (unsigned i = 0; i < n; i++) {
            out[w] |= (uint64_t) computed_is(b, s->value, 64 * w + i, s->lo,
                                             s->lo + s->span) << i;
        }
    }
}

/* Whether 'word' stands in 'text', between blanks. */
static bool
has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)); p++) {
        if ((p == text || p[-1] == ' ') && (p[n] == ' ' || !p[n])) {
            return true;
        }
    }
    return false;
}

/* Whether 'text', as labels are written, has 'label': ",k=v,", or ",k=" for any
 * value.  A comma within a value has a backslash, and what follows it has one
 * before each "=": it is no label. */
static bool
has_label(const char *text, const char *label)
{
    size_t n = strlen(++label);
    bool whole = n && label[n - 1] == ',';

    n -= whole;
    for (const char *p = text;; p++) {
        if (!strncmp(p, label, n) && (!whole || p[n] == ',' || !p[n])) {
            return true;
        }
        p = strchr(p, ',');
        if (!p) {
            return false;
        }
    }
}

/* Rows that follow each other have few names: what was found out about one is
 * remembered for the batch. */
#define SEEN 256

void
eval_text(const struct step *s, const struct flow_batch *b, unsigned words,
          uint64_t *out)
{
    const uint32_t *v = column_at(b, s->column);
    uint32_t seen[SEEN];
    bool found[SEEN];
    memset(seen, 0xff, sizeof seen);
    for (unsigned w = 0; w < words; w++) {
        unsigned n = b->n - 64 * w < 64 ? b->n - 64 * w : 64;
        out[w] = 0;
        for (unsigned i = 0; i < n; i++) {
            uint32_t id = v[64 * w + i], at = id % SEEN;
            if (!(b->valid[s->column][w] >> i & 1)) {
                continue;
            }
            if (seen[at] != id) {
                const char *text = dict_text(s->dict, id);
                seen[at] = id;
                found[at] = s->pattern
                            ? !regexec(s->pattern, text, 0, NULL, 0)
                            : *s->word == ',' ? has_label(text, s->word)
                            : has_word(text, s->word);
            }
            out[w] |= (uint64_t) found[at] << i;
        }
    }
}

term_fn *
eval_kernel(enum column_type type, unsigned size)
{
    return type == COLUMN_T_TIME ? term_time
           : type == COLUMN_T_ADDR ? term_addr
           : size == 1 ? term_u8 : size == 2 ? term_u16
           : size == 4 ? term_u32 : term_u64;
}
