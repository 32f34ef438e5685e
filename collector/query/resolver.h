/* collector/query/resolver.h -- for one question: who the ends of its flows are,
 * by what is known now (collector/identity/again.h). */
#ifndef COLLECTOR_RESOLVER_H
#define COLLECTOR_RESOLVER_H 1

#include <stdbool.h>

#include "collector/query/query.h"
#include "collector/store/scan.h"

struct query_resolver;

/* '*out' is NULL for a question that does not ask who the ends are, or wants
 * them as they are stored.  'over' is asked now and then: give up?  Returns 0,
 * -ECANCELED, -E2BIG or -ENOMEM. */
int query_resolver_create(struct identity_journal *, const struct query *,
                          bool (*over)(void *aux), void *aux,
                          struct query_resolver **out);
void query_resolver_destroy(struct query_resolver *);   /* NULL is fine. */

/* Of a scan; NULL for NULL. */
const struct scan_stage *query_resolver_stage(const struct query_resolver *);
/* Whether it fills a column. */
bool query_resolver_fills(const struct query_resolver *, unsigned column);

#endif /* collector/query/resolver.h */
