#include <config.h>

#include "collector/query/rollup_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collector/query/rollup_p.h"


static bool
keeps(const struct rollup_table *t, unsigned id)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->keys[i] == id) {
            return true;
        }
    }
    return false;
}

static bool
adds(unsigned id)
{
    for (size_t i = 0; i < ROLLUP_SUMS; i++) {
        if (rollup_sums[i] == id) {
            return true;
        }
    }
    return id == QUERY_METRIC_FLOWS;
}

/* The first column of a filter that a table does not have, or NULL. */
static const char *
filter_lacks(const struct rollup_table *t, const struct filter *f)
{
    if (!f || f->op == FILTER_ANY) {
        return NULL;
    } else if (f->op == FILTER_TERM) {
        return f->value != FV_COLUMN ? filter_value_name(f->value)
               : keeps(t, f->column) ? NULL : columns[f->column].name;
    }
    const char *left = filter_lacks(t, f->left);
    return left || f->op == FILTER_NOT ? left : filter_lacks(t, f->right);
}

/* What of a query a table does not have, or NULL. */
static const char *
table_lacks(const struct rollup_table *t, const struct query *q)
{
    if (q->records.on) {
        return "single records";
    } else if (q->bidirectional || query_either(q)) {
        return "both ends of flows";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        if (!keeps(t, q->by[i])) {
            return columns[q->by[i]].name;
        }
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        unsigned id = q->metrics[i], fn = q->calc[i].fn;
        bool time = (fn == FN_MIN && id == COL_flow_start)
                    || (fn == FN_MAX && id == COL_flow_end);
        if (fn == FN_ERROR) {
            return "the error of estimates";
        }
        bool ok = fn == FN_DISTINCT ? keeps(t, id)
                  : fn == FN_MIN || fn == FN_MAX ? time : adds(id);
        if (!ok) {
            return columns[id].name;
        }
    }
    return filter_lacks(t, q->filter);
}

/* The table that answers a query.  NULL, and what tiers do not keep, if there
 * is none. */
static const struct rollup_table *
choose_table(const struct query *q, const char **lacks)
{
    for (unsigned i = 0; i < ROLLUP_TABLES; i++) {
        const char *what = table_lacks(&rollup_tables[i], q);
        if (!what) {
            *lacks = NULL;
            return &rollup_tables[i];
        }
        /* What no table has says more than what this one has not. */
        bool some = false;
        for (unsigned k = 0; k < ROLLUP_TABLES; k++) {
            for (unsigned n = 0; n < rollup_tables[k].n; n++) {
                some |= !strcmp(what,
                                columns[rollup_tables[k].keys[n]].name);
            }
        }
        if (!i || !some) {
            *lacks = some ? "these columns together" : what;
        }
    }
    return NULL;
}

/* The whole steps of a time range; none: both are the same. */
static void
whole_steps(int64_t step, int64_t *from, int64_t *to)
{
    *from = *from <= 0 ? 0 : (*from + step - 1) / step * step;
    *to = *to <= 0 ? 0 : *to / step * step;
    *to = *to < *from ? *from : *to;
}

/* That a row ended in whole steps of the range, or of the one before. */
static struct filter *
in_steps(const struct query *q, unsigned tier)
{
    int64_t from = q->from_us, to = q->to_us;
    whole_steps(rollup_defs[tier].step_us, &from, &to);
    struct filter *f = rollup_between(COL_flow_end, from, to);
    if (q->previous_us) {
        from = q->from_us - q->previous_us;
        to = q->to_us - q->previous_us;
        whole_steps(rollup_defs[tier].step_us, &from, &to);
        f = filter_join(FILTER_OR, f, rollup_between(COL_flow_end, from, to));
    }
    return f;
}

/* That it arrived in an hour that is done: up to the last one, without those
 * of which the store has flows that are still to be added up.  NULL if no hour of
 * use is done, or without memory (told by '*failed'). */
static struct filter *
arrived_in(const struct hours *h, const int64_t *stored, size_t n,
           int64_t from_us, int64_t to_us, bool *failed)
{
    size_t first = rollup_hours_find(h, from_us - HOUR_US - AHEAD_US);

    *failed = false;
    if (first == h->n || h->list[first] >= to_us + LATE_US) {
        return NULL;
    }
    int64_t end = h->list[h->n - 1] + HOUR_US;
    struct filter *f = rollup_term(COL_received, CMP_LT, end);
    for (size_t i = 0; i < n; i++) {
        if (stored[i] < end && !rollup_hours_has(h, stored[i])) {
            f = filter_join(FILTER_AND, f,
                     filter_join(FILTER_NOT, rollup_between(
                         COL_received, stored[i], stored[i] + HOUR_US),
                                 NULL));
        }
    }
    *failed = !f;
    return f;
}

/* Whether the steps of a tier fit into those of the query. */
static bool
fits(const struct query *q, unsigned tier)
{
    int64_t step = rollup_defs[tier].step_us, from = q->from_us, to = q->to_us;
    bool p95 = false;
    for (unsigned i = 0; i < q->n_metrics; i++) {
        p95 |= q->calc[i].fn == FN_P95;
    }
    whole_steps(step, &from, &to);
    return to > from && q->bucket_us % step == 0
           && (!p95 || q->p95_us % step == 0);
}

/* Whether a coarser tier has all that this one could add: the same hours, and
 * the time range is of whole steps of both. */
static bool
adds_nothing(struct rollup *r, const struct query *q, unsigned tier)
{
    const struct hours *a = &r->done[tier - 1], *b = &r->done[tier];
    int64_t shifts[] = { 0, q->previous_us };

    for (unsigned i = 0; i < 2; i++) {
        int64_t from[2], to[2];
        for (unsigned k = 0; k < 2; k++) {
            from[k] = q->from_us - shifts[i];
            to[k] = q->to_us - shifts[i];
            whole_steps(rollup_defs[tier - k].step_us, &from[k], &to[k]);
        }
        if (from[0] != from[1] || to[0] != to[1]) {
            return false;
        }
    }
    pthread_mutex_lock(&r->mutex);
    bool same = a->n == b->n && !memcmp(a->list, b->list,
                                        a->n * sizeof *a->list);
    pthread_mutex_unlock(&r->mutex);
    return same;
}

/* The condition of one tier is 'and' that no coarser one has the row. */
static bool
add_tier(struct rollup *r, const struct query *q, unsigned tier,
         const struct rollup_table *table, struct rollup_plan *p,
         struct filter **others)
{
    int64_t *stored = NULL;
    size_t n = store_hours(r->store, &stored);
    bool failed;
    pthread_mutex_lock(&r->mutex);
    struct filter *arrived = arrived_in(&r->done[tier], stored, n,
                                        q->from_us - q->previous_us,
                                        q->to_us, &failed);
    pthread_mutex_unlock(&r->mutex);
    free(stored);
    if (!arrived) {
        return !failed;
    }
    struct filter *mine = filter_join(FILTER_AND, in_steps(q, tier), arrived);
    struct filter *not_mine = filter_join(FILTER_NOT, filter_copy(mine), NULL);
    struct filter *f = q->filter ? filter_join(FILTER_AND, filter_copy(q->filter),
                                               mine)
                                 : mine;
    if (*others && f) {
        f = filter_join(FILTER_AND, f, filter_copy(*others));
    }
    *others = *others ? filter_join(FILTER_AND, *others, not_mine) : not_mine;
    if (!f || !*others) {
        filter_destroy(f);
        return false;
    }
    struct sql_source *s = &p->sources[p->n];
    *s = (struct sql_source) { .schema = rollup_defs[tier].schema,
                               .rollup = table->name,
                               .filter = f };
    column_set_add(&s->has, COL_flow_end);
    column_set_add(&s->has, COL_flow_start);
    column_set_add(&s->has, COL_received);
    for (size_t i = 0; i < table->n; i++) {
        column_set_add(&s->has, table->keys[i]);
    }
    for (size_t i = 0; i < ROLLUP_SUMS; i++) {
        column_set_add(&s->has, rollup_sums[i]);
    }
    p->names[p->n] = rollup_defs[tier].name;
    p->filters[p->n++] = f;
    return true;
}

void
rollup_plan_clear(struct rollup_plan *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        filter_destroy(p->filters[i]);
    }
    filter_destroy(p->raw);
    memset(p, 0, sizeof *p);
}

void
rollup_plan(struct rollup *r, const struct query *q, struct store_view *v,
            struct rollup_plan *p)
{
    struct filter *others = NULL;
    char error[256];
    bool ok = true;

    memset(p, 0, sizeof *p);
    if (!r) {
        return;
    }
    pthread_mutex_lock(&r->mutex);
    for (unsigned i = 0; i < N_ROLLUPS; i++) {
        if (r->done[i].n && (!p->kept_us
                             || r->done[i].list[0] < p->kept_us)) {
            p->kept_us = r->done[i].list[0];
        }
    }
    pthread_mutex_unlock(&r->mutex);
    const struct rollup_table *table = choose_table(q, &p->lacks);
    bool overlap = q->previous_us && q->previous_us < q->to_us - q->from_us;
    for (unsigned i = 0; i < N_ROLLUPS && ok && !p->lacks && !overlap
                         && !q->only_raw; i++) {
        if (fits(q, i) && !(table->hours_only && i != ROLLUP_HOUR)
            && !(p->n && adds_nothing(r, q, i))) {
            unsigned n = p->n;
            ok = add_tier(r, q, i, table, p, &others);
            if (ok && p->n > n
                && rollup_attach(r, i, v->conn, error, sizeof error)) {
                rollup_complain(r, i, error);
                ok = false;
            }
        }
    }
    if (ok && p->n) {
        p->raw = q->filter ? filter_join(FILTER_AND, filter_copy(q->filter), others)
                           : others;
        ok = p->raw != NULL;
    } else {
        filter_destroy(others);
    }
    if (!ok) {
        const char *what = p->lacks;
        int64_t kept_us = p->kept_us;
        rollup_plan_clear(p);
        p->lacks = what;
        p->kept_us = kept_us;
    }
}
