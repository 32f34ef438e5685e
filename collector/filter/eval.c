#include <config.h>

#include "collector/filter/eval_p.h"

#include <stdlib.h>
#include <string.h>

#include "lib/dict.h"

/* A tree of FILTER_MAX_NODES that is walked deeper side first needs no more
 * bitmaps at a time than its logarithm. */
#define MAX_DEPTH 16

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
    s->run = eval_text;
    s->dict = p->dict;
    if (p->failed) {
        return;
    }
    s->word = strdup(t->text);
    p->failed = !s->word;
    if (p->failed || t->cmp != CMP_MATCHES) {
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
        s->run = t->value == FV_COLUMN ? eval_kernel(c->type, c->size)
                                       : eval_computed;
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

/* So many addresses of one end are looked up rather than compared. */
#define SET_MIN 6

/* Of a term that is one address: 0 is src_addr, 1 dst_addr; else -1. */
static int
host_end(const struct filter *f)
{
    bool host = f->value == FV_COLUMN && f->cmp == CMP_IN_PREFIX
                && f->prefix.len == 128;
    return !host ? -1 : f->column == COL_src_addr ? 0
           : f->column == COL_dst_addr ? 1 : -1;
}

/* Counts addresses of both ends in a chain of "or".  False: not all of it are
 * terms. */
static bool
count_hosts(const struct filter *f, unsigned n[2])
{
    for (; f->op == FILTER_OR; f = f->left) {
        if (!count_hosts(f->right, n)) {
            return false;
        }
    }
    if (f->op != FILTER_TERM) {
        return false;
    }
    if (host_end(f) >= 0) {
        n[host_end(f)]++;
    }
    return true;
}

static void
add_or(struct filter_program *p, unsigned *n)
{
    if ((*n)++) {
        add_step(p, STEP_OR);
    }
}

/* Addresses go to the sets, other terms to the program. */
static void
add_choices(struct filter_program *p, const struct filter *f,
            struct addr_set *sets[2], unsigned *n)
{
    for (; f->op == FILTER_OR; f = f->left) {
        add_choices(p, f->right, sets, n);
    }
    if (host_end(f) >= 0 && sets[host_end(f)]) {
        eval_set_add(sets[host_end(f)], &f->prefix.addr);
    } else {
        add_term(p, f);
        add_or(p, n);
    }
}

/* A chain of "or" of terms with many addresses.  False: it is not. */
static bool
add_hosts(struct filter_program *p, const struct filter *f)
{
    static const enum column_id ids[2] = { COL_src_addr, COL_dst_addr };
    struct addr_set *sets[2] = { NULL, NULL };
    unsigned n_hosts[2] = { 0, 0 }, n = 0;

    if (f->op != FILTER_OR || !count_hosts(f, n_hosts)
        || (n_hosts[0] < SET_MIN && n_hosts[1] < SET_MIN)) {
        return false;
    }
    for (unsigned i = 0; i < 2; i++) {
        sets[i] = n_hosts[i] < SET_MIN ? NULL : eval_set_create(n_hosts[i]);
        p->failed |= n_hosts[i] >= SET_MIN && !sets[i];
    }
    add_choices(p, f, sets, &n);
    for (unsigned i = 0; i < 2; i++) {
        struct step *s = sets[i] ? add_step(p, STEP_TERM) : NULL;
        if (!s) {
            continue;
        }
        if (p->failed) {
            eval_set_destroy(sets[i]);
            continue;
        }
        s->column = ids[i];
        s->nullable = columns[ids[i]].flags & CF_NULL;
        s->run = eval_set;
        s->set = sets[i];
        add_or(p, &n);
    }
    return true;
}

static void
add_tree(struct filter_program *p, const struct filter *f)
{
    if (add_hosts(p, f)) {
        return;
    }
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
            eval_set_destroy(p->steps[i].set);
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

void
eval_batch_begin(struct eval_batch *e, const struct flow_batch *b)
{
    e->batch = b;
    e->v4_made[0] = e->v4_made[1] = false;
    memset(e->done, 0, sizeof e->done);
}

/* Whether a term is about a prefix of IPv4, of addresses as numbers. */
static bool
run_v4(const struct step *s, struct eval_batch *e, unsigned words,
       uint64_t *out)
{
    if (!e || s->v4 < 0) {
        return false;
    }
    if (!e->v4_made[s->v4]) {
        eval_v4_make(&e->v4, e->batch, s->v4);
        e->v4_made[s->v4] = true;
    }
    eval_prefix_v4(s, &e->v4, words, out);
    return true;
}

static void
run_term(const struct step *s, const struct flow_batch *b,
         struct eval_batch *e, unsigned words, uint64_t *out)
{
    const uint64_t *valid = b->valid[s->column];
    if (!s->run) {
        for (unsigned w = 0; w < words; w++) {
            out[w] = ~valid[w];
        }
        return;
    }
    if (!run_v4(s, e, words, out)) {
        s->run(s, b, words, out);
    }
    for (unsigned w = 0; s->nullable && w < words; w++) {
        out[w] &= valid[w];
    }
}

/* What a term says: in 'room', or where others find it, too. */
static const uint64_t *
term_bits(const struct step *s, const struct flow_batch *b,
          struct eval_batch *e, unsigned words, uint64_t *room)
{
    int slot = e && s->shared ? filter_shared_slot(s->shared) : -1;

    if (slot >= 0) {
        uint64_t bit = UINT64_C(1) << slot % 64;
        room = e->bits[slot];
        if (e->done[slot / 64] & bit) {
            return room;
        }
        e->done[slot / 64] |= bit;
    }
    run_term(s, b, e, words, room);
    return room;
}

static void
run(const struct filter_program *p, const struct flow_batch *b,
    struct eval_batch *e, uint64_t bits[EVAL_WORDS])
{
    uint64_t room[MAX_DEPTH + 1][EVAL_WORDS];
    const uint64_t *at[MAX_DEPTH + 1];
    unsigned n = 0, words = (b->n + 63) / 64;

    for (const struct step *s = p->steps; s < p->steps + p->n; s++) {
        switch (s->op) {
        case STEP_ALL:
        case STEP_NONE:
            memset(room[n], s->op == STEP_ALL ? 0xff : 0, 8 * words);
            at[n] = room[n];
            n++;
            break;
        case STEP_TERM:
            at[n] = term_bits(s, b, e, words, room[n]);
            n++;
            break;
        case STEP_AND:
            n--;
            for (unsigned w = 0; w < words; w++) {
                room[n - 1][w] = at[n - 1][w] & at[n][w];
            }
            at[n - 1] = room[n - 1];
            break;
        case STEP_OR:
            n--;
            for (unsigned w = 0; w < words; w++) {
                room[n - 1][w] = at[n - 1][w] | at[n][w];
            }
            at[n - 1] = room[n - 1];
            break;
        case STEP_NOT:
            for (unsigned w = 0; w < words; w++) {
                room[n - 1][w] = ~at[n - 1][w];
            }
            at[n - 1] = room[n - 1];
            break;
        }
    }
    memset(bits, 0, 8 * EVAL_WORDS);
    memcpy(bits, at[0], 8 * words);
    if (b->n % 64) {
        bits[words - 1] &= (UINT64_C(1) << b->n % 64) - 1;
    }
}

void
filter_run(const struct filter_program *p, const struct flow_batch *b,
           uint64_t bits[EVAL_WORDS])
{
    run(p, b, NULL, bits);
}

void
filter_run_once(const struct filter_program *p, struct eval_batch *e,
                uint64_t bits[EVAL_WORDS])
{
    run(p, e->batch, e, bits);
}
