#include <config.h>

#include "collector/query/resolver.h"

#include <errno.h>
#include <stdlib.h>

#include "collector/identity/again.h"
#include "collector/identity/stage.h"
#include "collector/store/prune.h"
#include "lib/clock.h"
#include "lib/dict.h"

/* As a scan without a resolver has, and the names of identities. */
#define MAX_NAMES 4000000
#define MAX_NAME_BYTES ((size_t) 512 << 20)

struct query_resolver {
    struct scan_stage stage;
    struct identity_again *again;
    struct dict *dict;
};

static void
add_read(void *resolver_, enum column_id id)
{
    struct query_resolver *r = resolver_;
    column_set_add(&r->stage.reads, id);
}

static void
add_fill(void *resolver_, enum column_id id)
{
    struct query_resolver *r = resolver_;
    column_set_add(&r->stage.fills, id);
}

static void
run(void *resolver_, struct flow_batch *b)
{
    struct query_resolver *r = resolver_;
    identity_again_process(r->again, b);
}

struct asking {
    const struct query_resolver *r;
    bool yes;
};

static void
ask(void *asking_, enum column_id id)
{
    struct asking *a = asking_;
    a->yes |= query_resolver_fills(a->r, id);
}

/* Whether a query is about a column that would be filled. */
static bool
is_wanted(const struct query_resolver *r, const struct query *q)
{
    struct asking a = { .r = r };
    if (q->filter && q->filter->op != FILTER_ANY) {
        prune_columns(q->filter, ask, &a);
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        ask(&a, q->by[i]);
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        a.yes |= query_resolver_fills(r, q->metrics[i]);
    }
    for (unsigned i = 0; q->records.on && i < q->records.n_fields; i++) {
        ask(&a, q->records.fields[i]);
    }
    return a.yes;
}

int
query_resolver_create(struct identity_journal *j, const struct query *q,
                      bool (*over)(void *), void *aux,
                      struct query_resolver **out)
{
    struct query_resolver *r = NULL;
    int64_t from = q->from_us - q->previous_us;
    int error = 0;

    *out = NULL;
    if (q->resolve == RESOLVE_STORED || !j) {
        return 0;
    }
    r = calloc(1, sizeof *r);
    if (!r) {
        return -ENOMEM;
    }
    identity_stage_columns(add_read, add_fill, r);
    if (!is_wanted(r, q)) {
        free(r);
        return 0;
    }
    r->dict = dict_create(MAX_NAMES, MAX_NAME_BYTES);
    r->stage.run = run;
    r->stage.aux = r;
    r->stage.dict = r->dict;
    /* A flow is named for its start, which may be long before its end. */
    error = !r->dict ? -ENOMEM
            : identity_again_create(j, r->dict, q->resolve,
                                    from - INT64_C(86400) * 1000000,
                                    q->to_us, clock_wall_us(), over, aux,
                                    &r->again);
    if (error) {
        query_resolver_destroy(r);
        return error;
    }
    *out = r;
    return 0;
}

void
query_resolver_destroy(struct query_resolver *r)
{
    if (r) {
        identity_again_destroy(r->again);
        dict_destroy(r->dict);
    }
    free(r);
}

const struct scan_stage *
query_resolver_stage(const struct query_resolver *r)
{
    return r ? &r->stage : NULL;
}

bool
query_resolver_fills(const struct query_resolver *r, unsigned column)
{
    return r && column < N_COLUMNS
           && column_set_has(&r->stage.fills, column);
}
