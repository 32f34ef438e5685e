/* ovsdb/budget.h -- sampling "auto": how a host's budget of samples per second
 * is shared between its bridges.
 *
 * Pure.  Rates are powers of two and change rarely: each change makes
 * ovs-vswitchd look at all flows of the datapath again. */
#ifndef OVSDB_BUDGET_H
#define OVSDB_BUDGET_H 1

#include <stddef.h>
#include <stdint.h>

/* More samples than this much of a bridge's share: coarser, but not sooner
 * after the last change than BUDGET_REST_MS. */
#define BUDGET_TOLERANCE 1.25
#define BUDGET_REST_MS 30000
/* A quarter of the rate would do, for so long: finer, by less than that. */
#define BUDGET_CALM_MS (10 * 60000)

struct budget_item {
    double load;                /* Samples per second at a rate of 1. */
    uint32_t sampling;          /* In: the rate now.  Out: the rate to be. */
    int64_t changed_ms;         /* When it changed; 0: never. */
    int64_t calm_since_ms;      /* Since when it could be finer; 0: it
                                 * can't. */
};

/* Sets 'sampling' of those that should change; returns how many.  'budget' is
 * in samples per second. */
size_t budget_share(struct budget_item *, size_t n, double budget,
                    int64_t now_ms);

#endif /* ovsdb/budget.h */
