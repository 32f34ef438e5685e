#include <config.h>

#include "collector/store/prune.h"

#include <string.h>

static enum prune
negate(enum prune p)
{
    return p == PRUNE_NONE ? PRUNE_ALL : p == PRUNE_ALL ? PRUNE_NONE : p;
}

/* Values from 'lo' to 'hi' match; the block has them from 'min' to 'max'. */
static enum prune
compare_range(uint64_t lo, uint64_t hi, uint64_t min, uint64_t max,
              bool complete)
{
    return lo > hi || max < lo || min > hi ? PRUNE_NONE
           : complete && min >= lo && max <= hi ? PRUNE_ALL : PRUNE_SOME;
}

static enum prune
prune_number(const struct filter *t, const struct block_column *c)
{
    uint64_t n = t->number, lo = n, hi = n;
    enum prune p;

    switch (t->cmp) {
    case CMP_LT:
        if (!n) {
            return PRUNE_NONE;
        }
        hi = n - 1;
        lo = 0;
        break;
    case CMP_LE:
        lo = 0;
        break;
    case CMP_GT:
        if (n == UINT64_MAX) {
            return PRUNE_NONE;
        }
        lo = n + 1;
        hi = UINT64_MAX;
        break;
    case CMP_GE:
        hi = UINT64_MAX;
        break;
    default:
        break;
    }
    p = compare_range(lo, hi, c->min.u, c->max.u, block_is_complete(c));
    return t->cmp == CMP_NE ? negate(p) : p;
}

static enum prune
prune_prefix(const struct filter *t, const struct block_column *c)
{
    struct addr first, last;
    prefix_range(&t->prefix, &first, &last);
    if (memcmp(&c->max.addr, &first, 16) < 0
        || memcmp(&c->min.addr, &last, 16) > 0) {
        return PRUNE_NONE;
    }
    return block_is_complete(c) && memcmp(&c->min.addr, &first, 16) >= 0
           && memcmp(&c->max.addr, &last, 16) <= 0 ? PRUNE_ALL : PRUNE_SOME;
}

static enum prune
prune_bits(const struct filter *t, const struct block_column *c)
{
    if (!block_is_constant(c)) {
        return PRUNE_SOME;
    }
    uint64_t mask = t->number;
    if (columns[t->column].size < 8) {
        mask &= (UINT64_C(1) << 8 * columns[t->column].size) - 1;
    }
    uint64_t want = t->cmp == CMP_BITS_ALL ? mask : 0;
    return (c->min.u & mask) == want ? PRUNE_ALL : PRUNE_NONE;
}

static enum prune
prune_term(const struct filter *t, const struct block_head *h)
{
    if (t->value != FV_COLUMN) {
        return PRUNE_SOME;
    }
    const struct block_column *c = block_column(h, t->column);
    bool nullable = columns[t->column].flags & CF_NULL;

    if (t->cmp == CMP_IS_NULL) {
        return !nullable ? PRUNE_NONE : !c ? PRUNE_ALL
               : block_is_complete(c) ? PRUNE_NONE : PRUNE_SOME;
    } else if (!c) {
        /* Null everywhere: a term is false, its negation true. */
        return !nullable ? PRUNE_SOME
               : t->cmp == CMP_NE ? PRUNE_ALL : PRUNE_NONE;
    }
    switch (t->cmp) {
    case CMP_IN_PREFIX:
        return prune_prefix(t, c);
    case CMP_BITS_ALL:
    case CMP_BITS_NONE:
        return prune_bits(t, c);
    default:
        return columns[t->column].type == COLUMN_T_NAME
               || columns[t->column].type == COLUMN_T_ADDR
               ? PRUNE_SOME : prune_number(t, c);
    }
}

enum prune
prune_filter(const struct filter *f, const struct block_head *h)
{
    if (!f || f->op == FILTER_ANY) {
        return PRUNE_ALL;
    } else if (f->op == FILTER_TERM) {
        return prune_term(f, h);
    } else if (f->op == FILTER_NOT) {
        return negate(prune_filter(f->left, h));
    }
    enum prune a = prune_filter(f->left, h);
    enum prune end = f->op == FILTER_AND ? PRUNE_NONE : PRUNE_ALL;
    if (a == end) {
        return a;
    }
    enum prune b = prune_filter(f->right, h);
    return b == end ? b : a == b ? a : PRUNE_SOME;
}

void
prune_columns(const struct filter *f, void (*add)(void *, enum column_id),
              void *aux)
{
    if (!f || f->op == FILTER_ANY) {
        return;
    } else if (f->op != FILTER_TERM) {
        prune_columns(f->left, add, aux);
        if (f->op != FILTER_NOT) {
            prune_columns(f->right, add, aux);
        }
        return;
    }
    switch (f->value) {
    case FV_COLUMN:
        add(aux, f->column);
        break;
    case FV_ENGINE_TYPE:
    case FV_ENGINE_ID:
        add(aux, COL_observation_domain_id);
        break;
    default:
        add(aux, COL_flow_start);
        add(aux, COL_flow_end);
        add(aux, COL_bytes);
        add(aux, COL_packets);
        break;
    }
}
