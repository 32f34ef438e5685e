/* ovsdb/budget.c -- see budget.h. */
#include <config.h>

#include "ovsdb/budget.h"

#include <stdbool.h>
#include <stdlib.h>

#include "ovsdb/export_p.h"

static int
compare_loads(const void *a_, const void *b_)
{
    const struct budget_item *a = *(struct budget_item *const *) a_;
    const struct budget_item *b = *(struct budget_item *const *) b_;
    return a->load < b->load ? -1 : a->load > b->load;
}

/* The finest rate that keeps within 'share'. */
static uint32_t
rate_for(double load, double share)
{
    uint32_t rate = AUTO_SAMPLING_MIN;
    while (rate < AUTO_SAMPLING_MAX && load / rate > share) {
        rate *= 2;
    }
    return rate;
}

static bool
adjust(struct budget_item *item, double share, int64_t now_ms)
{
    uint32_t ideal = rate_for(item->load, share);
    bool rested = !item->changed_ms
                  || now_ms - item->changed_ms >= BUDGET_REST_MS;
    if (ideal > item->sampling / 4) {
        item->calm_since_ms = 0;
    } else if (!item->calm_since_ms) {
        item->calm_since_ms = now_ms;
    }
    if (ideal > item->sampling && rested
        && item->load / item->sampling > share * BUDGET_TOLERANCE) {
        item->sampling = ideal;
    } else if (item->calm_since_ms
               && now_ms - item->calm_since_ms >= BUDGET_CALM_MS) {
        item->sampling = 2 * ideal;     /* Room, so that it stays. */
        item->calm_since_ms = 0;
    } else {
        return false;
    }
    item->changed_ms = now_ms;
    return true;
}

size_t
budget_share(struct budget_item *items, size_t n, double budget,
             int64_t now_ms)
{
    struct budget_item **order = calloc(n + 1, sizeof *order);
    size_t changed = 0;
    for (size_t i = 0; order && i < n; i++) {
        order[i] = &items[i];
    }
    if (order && n > 1) {
        qsort(order, n, sizeof *order, compare_loads);
    }
    /* The quiet ones first: what they leave is for the busy. */
    for (size_t i = 0; order && i < n; i++) {
        double share = budget / (double) (n - i);
        changed += adjust(order[i], share, now_ms);
        double used = order[i]->load / rate_for(order[i]->load, share);
        budget -= used < share ? used : share;
    }
    free(order);
    return changed;
}
