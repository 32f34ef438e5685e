#include <config.h>

#include "collector/filter/eval_p.h"

#include <stdlib.h>
#include <string.h>

/* Terms that are known, so that a second program with the same finds them. */
#define MAX_TERMS 16384
#define N_CHAINS 1024

struct shared_term {
    struct shared_term *next;
    struct step step;           /* 'word' is a copy, 'pattern' nobody's. */
    uint64_t hash;
    unsigned refs;              /* Steps of programs. */
    int slot;                   /* -1: of one step alone, or no room. */
};

struct filter_shared {
    unsigned n;
    uint64_t used[EVAL_SHARED / 64];    /* Slots. */
    struct shared_term *chains[N_CHAINS];
};

struct filter_shared *
filter_shared_create(void)
{
    return calloc(1, sizeof(struct filter_shared));
}

void
filter_shared_destroy(struct filter_shared *s)
{
    free(s);
}

int
filter_shared_slot(const struct shared_term *t)
{
    return t->slot;
}

/* ---- Slots. ---- */

static int
take_slot(struct filter_shared *s)
{
    for (unsigned w = 0; w < EVAL_SHARED / 64; w++) {
        if (~s->used[w]) {
            unsigned bit = (unsigned) __builtin_ctzll(~s->used[w]);
            s->used[w] |= UINT64_C(1) << bit;
            return (int) (64 * w + bit);
        }
    }
    return -1;
}

static void
give_slot(struct filter_shared *s, struct shared_term *t)
{
    if (t->slot >= 0) {
        s->used[t->slot / 64] &= ~(UINT64_C(1) << t->slot % 64);
        t->slot = -1;
    }
}

/* ---- Which terms are the same. ---- */

static uint64_t
mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

static uint64_t
step_hash(const struct step *s)
{
    uint64_t h = mix(s->column, s->value);

    h = mix(mix(mix(h, s->mask), s->lo), s->span);
    h = mix(mix(h, s->prefix[0]), s->prefix[1]);
    for (const char *p = s->word; p && *p; p++) {
        h = mix(h, (uint8_t) *p);
    }
    return h;
}

static bool
same_step(const struct step *a, const struct step *b)
{
    return a->run == b->run && a->column == b->column && a->value == b->value
           && a->mask == b->mask && a->lo == b->lo && a->span == b->span
           && !memcmp(a->prefix, b->prefix, sizeof a->prefix)
           && !memcmp(a->prefix_mask, b->prefix_mask, sizeof a->prefix_mask)
           && a->name == b->name && !a->pattern == !b->pattern
           && !a->word == !b->word && (!a->word || !strcmp(a->word, b->word));
}

/* The place where the term of a step is, or would be. */
static struct shared_term **
find_place(struct filter_shared *s, const struct step *step, uint64_t hash)
{
    struct shared_term **place = &s->chains[hash % N_CHAINS];

    while (*place && ((*place)->hash != hash
                      || !same_step(&(*place)->step, step))) {
        place = &(*place)->next;
    }
    return place;
}

/* ---- Programs. ---- */

static void
share_step(struct filter_shared *s, struct step *step)
{
    uint64_t hash = step_hash(step);
    struct shared_term **place = find_place(s, step, hash), *t = *place;

    if (!t) {
        t = s->n < MAX_TERMS ? calloc(1, sizeof *t) : NULL;
        char *word = t && step->word ? strdup(step->word) : NULL;
        if (!t || (step->word && !word)) {
            free(t);
            return;
        }
        t->step = *step;
        t->step.word = word;
        t->hash = hash;
        t->slot = -1;
        *place = t;
        s->n++;
    }
    if (++t->refs >= 2 && t->slot < 0) {
        t->slot = take_slot(s);
    }
    step->shared = t;
}

static void
unshare_step(struct filter_shared *s, struct step *step)
{
    struct shared_term *t = step->shared;

    step->shared = NULL;
    if (--t->refs < 2) {
        give_slot(s, t);
    }
    if (!t->refs) {
        *find_place(s, &t->step, t->hash) = t->next;
        free(t->step.word);
        free(t);
        s->n--;
    }
}

void
filter_share(struct filter_shared *s, struct filter_program *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (p->steps[i].op == STEP_TERM && p->steps[i].run
            && !p->steps[i].set) {
            share_step(s, &p->steps[i]);
        }
    }
}

void
filter_unshare(struct filter_shared *s, struct filter_program *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (p->steps[i].shared) {
            unshare_step(s, &p->steps[i]);
        }
    }
}
