/* lib/counter.h -- counters: one list makes the struct, the API reply and the
 * manual page.
 *
 *     #define FOO_COUNTERS(X) X(bad_set, "Sets whose length does not fit")
 *     struct foo_counters { FOO_COUNTERS(COUNTER_MEMBER) };
 *     extern const struct counter_def foo_counter_defs[];     (in the .c:
 *     COUNTER_DEFS(foo_counter_defs, struct foo_counters, FOO_COUNTERS) )
 *
 * A counter may be bumped and read by any thread; it never goes down. */
#ifndef LIB_COUNTER_H
#define LIB_COUNTER_H 1

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef _Atomic uint64_t counter_t;

struct counter_def {
    const char *name;           /* NULL ends a table. */
    size_t offset;              /* Of the counter_t in its struct. */
    const char *doc;
};

#define COUNTER_MEMBER(NAME, DOC) counter_t NAME;

static inline void
counter_add(counter_t *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static inline void
counter_inc(counter_t *c)
{
    counter_add(c, 1);
}

static inline uint64_t
counter_get(const counter_t *c)
{
    return atomic_load_explicit((counter_t *) c, memory_order_relaxed);
}

static inline uint64_t
counter_at(const void *counters, const struct counter_def *def)
{
    return counter_get((const counter_t *)
                       ((const char *) counters + def->offset));
}

#endif /* lib/counter.h */
