#include <config.h>

#include "collector/filter/eval.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "lib/dict.h"

/* A tree of FILTER_MAX_NODES that is walked deeper side first needs no more
 * bitmaps at a time than its logarithm. */
#define MAX_DEPTH 16

enum step_op {
    STEP_ALL, STEP_NONE,        /* Push a constant. */
    STEP_TERM,                  /* Push what 'term' says. */
    STEP_AND, STEP_OR,          /* The two on top become one. */
    STEP_NOT,
};

struct step;
typedef void term_fn(const struct step *, const struct flow_batch *,
                     unsigned words, uint64_t *out);

struct step {
    enum step_op op;
    term_fn *run;               /* STEP_TERM */
    enum column_id column;
    enum filter_value value;
    bool nullable;
    uint64_t mask, lo, span;    /* (v & mask) - lo <= span, modulo. */
    uint64_t prefix[2], prefix_mask[2];
    int v4;                     /* Of eval_v4.addr; -1: not such a prefix. */
    uint32_t v4_net, v4_mask;
    uint32_t name;              /* That is held; 0: none. */
    const struct dict *dict;    /* Names that are searched: */
    char *word;                 /* for a word, or */
    regex_t *pattern;
};

struct filter_program {
    unsigned n, allocated;
    bool failed;
    struct step *steps;
    struct dict *dict;
};

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
KERNEL(term_u64, uint64_t)

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

static void
term_v4(const struct step *s, const struct eval_v4 *v4, unsigned words,
        uint64_t *out)
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
filter_v4(const struct flow_batch *b, struct eval_v4 *v4)
{
    const struct addr *ends[] = { b->src_addr, b->dst_addr };

    for (unsigned e = 0; e < 2; e++) {
        for (unsigned w = 0; w < (b->n + 63) / 64; w++) {
            uint8_t m[64];
            for (unsigned i = 0; i < 64; i++) {
                const struct addr *a = &ends[e][64 * w + i];
                m[i] = addr_is_v4(a);
                memcpy(&v4->addr[e][64 * w + i], a->b + 12, 4);
            }
            v4->is[e][w] = pack(m);
        }
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

static void
term_computed(const struct step *s, const struct flow_batch *b,
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

static void
term_text(const struct step *s, const struct flow_batch *b, unsigned words,
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
                found[at] = s->word && *s->word == ','
                            ? has_label(text, s->word)
                            : s->word ? has_word(text, s->word)
                            : !regexec(s->pattern, text, 0, NULL, 0);
            }
            out[w] |= (uint64_t) found[at] << i;
        }
    }
}

/* ---- Compiling. ---- */

static struct step *
add_step(struct filter_program *p, enum step_op op)
{
    static struct step nowhere;
    if (p->n == p->allocated) {
        unsigned more = p->allocated ? 2 * p->allocated : 8;
        struct step *steps = realloc(p->steps, more * sizeof *steps);
        if (!steps) {
            p->failed = true;
            return &nowhere;
        }
        p->steps = steps;
        p->allocated = more;
    }
    p->steps[p->n] = (struct step) { .op = op, .mask = UINT64_MAX,
                                     .v4 = -1 };
    return &p->steps[p->n++];
}

/* The range of numbers up to 'max' that a comparison means.  False: none. */
static bool
range(enum filter_cmp cmp, uint64_t n, uint64_t max, uint64_t *lo,
      uint64_t *hi)
{
    *lo = cmp == CMP_LT || cmp == CMP_LE ? 0 : n;
    *hi = cmp == CMP_GT || cmp == CMP_GE ? max : n;
    if (cmp == CMP_GT) {
        if (n >= max) {
            return false;
        }
        (*lo)++;
    } else if (cmp == CMP_LT) {
        if (!n) {
            return false;
        }
        (*hi)--;
    }
    *hi = *hi > max ? max : *hi;
    return *lo <= *hi;
}

static term_fn *
kernel(enum column_type type, unsigned size)
{
    return type == COLUMN_T_TIME ? term_time
           : type == COLUMN_T_ADDR ? term_addr
           : size == 1 ? term_u8 : size == 2 ? term_u16
           : size == 4 ? term_u32 : term_u64;
}

static uint64_t
column_max(const struct column *c)
{
    return c->type == COLUMN_T_BOOL ? 1
           : c->type == COLUMN_T_TIME ? INT64_MAX
           : c->size >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * c->size) - 1;
}

static void
set_prefix(struct step *s, const struct prefix *p)
{
    struct addr mask = { { 0 } };
    for (unsigned i = 0; i < p->len; i++) {
        mask.b[i / 8] |= (uint8_t) (0x80 >> i % 8);
    }
    memcpy(s->prefix, &p->addr, sizeof s->prefix);
    memcpy(s->prefix_mask, &mask, sizeof s->prefix_mask);
    if (addr_is_v4(&p->addr) && p->len >= 96
        && (s->column == COL_src_addr || s->column == COL_dst_addr)) {
        s->v4 = s->column == COL_dst_addr;
        memcpy(&s->v4_net, p->addr.b + 12, sizeof s->v4_net);
        memcpy(&s->v4_mask, mask.b + 12, sizeof s->v4_mask);
    }
}

static void
add_search(struct filter_program *p, const struct filter *t)
{
    struct step *s = add_step(p, STEP_TERM);
    s->column = t->column;
    s->nullable = columns[t->column].flags & CF_NULL;
    s->run = term_text;
    s->dict = p->dict;
    if (p->failed) {
        return;
    }
    if (t->cmp != CMP_MATCHES) {
        s->word = strdup(t->text);
        p->failed = !s->word;
        return;
    }
    s->pattern = malloc(sizeof *s->pattern);
    if (!s->pattern || regcomp(s->pattern, t->text,
                               REG_EXTENDED | REG_NOSUB)) {
        free(s->pattern);
        s->pattern = NULL;
        p->failed = true;
    }
}

static void
add_term(struct filter_program *p, const struct filter *t)
{
    const struct column *c = &columns[t->column];
    enum filter_cmp cmp = t->cmp == CMP_NE ? CMP_EQ : t->cmp;
    bool number = t->value != FV_COLUMN || cmp <= CMP_GE;
    bool name = number && c->type == COLUMN_T_NAME && t->value == FV_COLUMN;
    uint64_t n = t->number, lo = 0, hi = 0, max = column_max(c);

    if (t->cmp == CMP_IS_NULL) {
        struct step *s = add_step(p, c->flags & CF_NULL ? STEP_TERM
                                                        : STEP_NONE);
        s->column = t->column;  /* Without kernel: absent. */
        return;
    }
    if (t->cmp == CMP_HAS_WORD || t->cmp == CMP_MATCHES
        || t->cmp == CMP_HAS_LABEL) {
        add_search(p, t);
        return;
    }
    if (name) {
        n = dict_passing(p->dict, t->text ? t->text : "",
                         t->text ? strlen(t->text) : 0);
    }
    if (number && !range(cmp, n, t->value == FV_COLUMN ? max : UINT64_MAX,
                         &lo, &hi)) {
        add_step(p, STEP_NONE);
    } else {
        struct step *s = add_step(p, STEP_TERM);
        s->column = t->column;
        s->value = t->value;
        s->nullable = t->value == FV_COLUMN && c->flags & CF_NULL;
        s->run = t->value == FV_COLUMN ? kernel(c->type, c->size)
                                       : term_computed;
        s->lo = lo;
        s->span = hi - lo;
        if (name) {
            s->name = (uint32_t) n;
            dict_hold(p->dict, s->name);
        }
        if (cmp == CMP_IN_PREFIX) {
            set_prefix(s, &t->prefix);
        } else if (!number) {
            s->mask = n & max;
            s->lo = cmp == CMP_BITS_ALL ? n & max : 0;
            s->span = 0;
        } else if (c->type == COLUMN_T_TIME && t->value == FV_COLUMN) {
            s->lo = cmp == CMP_LT || cmp == CMP_LE ? 0
                    : lo ^ UINT64_C(1) << 63;
            s->span = (hi ^ UINT64_C(1) << 63) - s->lo;
        }
    }
    if (t->cmp == CMP_NE) {
        add_step(p, STEP_NOT);
    }
}

/* Bitmaps that a tree needs at a time. */
static unsigned
depth(const struct filter *f)
{
    if (f->op == FILTER_NOT) {
        return depth(f->left);
    } else if (f->op != FILTER_AND && f->op != FILTER_OR) {
        return 1;
    }
    /* Chains lean to the left and are long. */
    unsigned left = depth(f->left), right = depth(f->right);
    return left == right ? left + 1 : left > right ? left : right;
}

static void
add_tree(struct filter_program *p, const struct filter *f)
{
    switch (f->op) {
    case FILTER_ANY:
        add_step(p, STEP_ALL);
        break;
    case FILTER_TERM:
        add_term(p, f);
        break;
    case FILTER_NOT:
        add_tree(p, f->left);
        add_step(p, STEP_NOT);
        break;
    default:
        if (depth(f->left) >= depth(f->right)) {
            add_tree(p, f->left);
            add_tree(p, f->right);
        } else {
            add_tree(p, f->right);
            add_tree(p, f->left);
        }
        add_step(p, f->op == FILTER_AND ? STEP_AND : STEP_OR);
        break;
    }
}

struct filter_program *
filter_compile(const struct filter *f, struct dict *dict)
{
    struct filter_program *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->dict = dict;
    if (f) {
        add_tree(p, f);
    } else {
        add_step(p, STEP_ALL);
    }
    if (p->failed || (f && depth(f) > MAX_DEPTH)) {
        filter_program_destroy(p);
        return NULL;
    }
    return p;
}

void
filter_program_destroy(struct filter_program *p)
{
    if (p) {
        for (unsigned i = 0; i < p->n; i++) {
            if (p->steps[i].name) {
                dict_release(p->dict, p->steps[i].name);
            }
            free(p->steps[i].word);
            if (p->steps[i].pattern) {
                regfree(p->steps[i].pattern);
                free(p->steps[i].pattern);
            }
        }
        free(p->steps);
        free(p);
    }
}

/* ---- Running. ---- */

static void
run_term(const struct step *s, const struct flow_batch *b,
         const struct eval_v4 *v4, unsigned words, uint64_t *out)
{
    const uint64_t *valid = b->valid[s->column];
    if (!s->run) {
        for (unsigned w = 0; w < words; w++) {
            out[w] = ~valid[w];
        }
        return;
    }
    if (v4 && s->v4 >= 0) {
        term_v4(s, v4, words, out);
    } else {
        s->run(s, b, words, out);
    }
    for (unsigned w = 0; s->nullable && w < words; w++) {
        out[w] &= valid[w];
    }
}

void
filter_run(const struct filter_program *p, const struct flow_batch *b,
           uint64_t bits[EVAL_WORDS])
{
    filter_run_v4(p, b, NULL, bits);
}

void
filter_run_v4(const struct filter_program *p, const struct flow_batch *b,
              const struct eval_v4 *v4, uint64_t bits[EVAL_WORDS])
{
    uint64_t stack[MAX_DEPTH + 1][EVAL_WORDS];
    uint64_t (*top)[EVAL_WORDS] = stack;        /* One beyond the last. */
    unsigned words = (b->n + 63) / 64;

    for (const struct step *s = p->steps; s < p->steps + p->n; s++) {
        switch (s->op) {
        case STEP_ALL:
        case STEP_NONE:
            memset(*top++, s->op == STEP_ALL ? 0xff : 0, 8 * words);
            break;
        case STEP_TERM:
            run_term(s, b, v4, words, *top++);
            break;
        case STEP_AND:
            top--;
            for (unsigned w = 0; w < words; w++) {
                top[-1][w] &= top[0][w];
            }
            break;
        case STEP_OR:
            top--;
            for (unsigned w = 0; w < words; w++) {
                top[-1][w] |= top[0][w];
            }
            break;
        case STEP_NOT:
            for (unsigned w = 0; w < words; w++) {
                top[-1][w] = ~top[-1][w];
            }
            break;
        }
    }
    memset(bits, 0, 8 * EVAL_WORDS);
    memcpy(bits, stack[0], 8 * words);
    if (b->n % 64) {
        bits[words - 1] &= (UINT64_C(1) << b->n % 64) - 1;
    }
}
