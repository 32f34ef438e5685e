/* collector/query/rollup_plan.h -- which tiers answer a query. */
#ifndef COLLECTOR_ROLLUP_PLAN_H
#define COLLECTOR_ROLLUP_PLAN_H 1

#include "collector/query/rollup.h"
#include "collector/query/sql.h"
#include "collector/store/view.h"

/* How one query is answered. */
struct rollup_plan {
    unsigned n;                 /* Tiers that take part, coarsest first. */
    struct sql_source sources[N_ROLLUPS];
    const char *names[N_ROLLUPS];
    struct filter *filters[N_ROLLUPS];  /* Theirs. */
    struct filter *raw;         /* Of flows that no tier has; or NULL: the
                                 * query's. */
    const char *lacks;          /* What tiers do not keep, or NULL. */
    int64_t kept_us;            /* Tiers have older times than that; or 0. */
};

/* Decides which tiers take part; without 'r', or on failure, none. */
void rollup_plan(struct rollup *, const struct query *, struct store_view *,
                 struct rollup_plan *);
void rollup_plan_clear(struct rollup_plan *);

#endif /* collector/query/rollup_plan.h */
