/* lib/turns.h -- how long the turns of an event loop are: nothing else is
 * answered meanwhile.
 *
 * Kept for spans of TURNS_SPAN_US; times are monotonic microseconds. */
#ifndef LIB_TURNS_H
#define LIB_TURNS_H 1

#include <stdint.h>

#define TURNS_SPAN_US 10000000

struct turns {
    uint64_t n;
    int64_t began_us;           /* This turn; 0: the loop waits. */
    int64_t span;               /* Number of the present span. */
    int64_t longest_us[2];      /* In the present span, and in the last. */
};

static inline void
turns_move_on(struct turns *t, int64_t now_us)
{
    int64_t span = now_us / TURNS_SPAN_US;
    if (span != t->span) {
        t->longest_us[1] = span == t->span + 1 ? t->longest_us[0] : 0;
        t->longest_us[0] = 0;
        t->span = span;
    }
}

static inline void
turns_begin(struct turns *t, int64_t now_us)
{
    t->began_us = now_us;
}

static inline void
turns_end(struct turns *t, int64_t now_us)
{
    if (t->began_us) {
        turns_move_on(t, now_us);
        int64_t us = now_us - t->began_us;
        t->longest_us[0] = us > t->longest_us[0] ? us : t->longest_us[0];
        t->n++;
    }
    t->began_us = 0;
}

/* The longest turn that ended in the last one to two spans. */
static inline int64_t
turns_longest_us(struct turns *t, int64_t now_us)
{
    turns_move_on(t, now_us);
    return t->longest_us[0] > t->longest_us[1] ? t->longest_us[0]
                                               : t->longest_us[1];
}

#endif /* lib/turns.h */
