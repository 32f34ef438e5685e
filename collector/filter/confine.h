/* collector/filter/confine.h -- what somebody may see who is confined to
 * tenants.
 *
 * A flow is visible if one of its ends is of these tenants.  Of the other end
 * only what is in the packets is told: who it is, by name, is absent unless it
 * is of these tenants, too, wherever it is asked: in rows, groups, counts and
 * filters.  The tree of a filter is rewritten so; columns that are told are
 * masked by who tells them (collector/query/sql.c, collector/channel/tap.c). */
#ifndef COLLECTOR_CONFINE_H
#define COLLECTOR_CONFINE_H 1

#include <stdbool.h>
#include <stddef.h>

#include "collector/filter/filter.h"

#define CONFINE_MAX 16          /* Tenants. */
#define CONFINE_NAME_MAX 255    /* Bytes of a name. */

/* A set of tenants.  Equal sets are one object, which is never freed: sets come
 * from administrators alone, and pointers to them go anywhere. */
struct confine;

/* 0; -EINVAL without names, with too many, or with one that is empty or too
 * long; -ENOMEM.  From any thread. */
int confine_make(const char *const *names, size_t n, const struct confine **);
size_t confine_count(const struct confine *);
const char *confine_name(const struct confine *, size_t);
bool confine_has(const struct confine *, const char *tenant);

/* Whose end a column names: 0 the source's, 1 the destination's, CONFINE_BOTH
 * what may be of either; -1: it names neither, and is shown. */
#define CONFINE_BOTH 2
int confine_end(enum column_id);

/* That an end (0, 1), or each of CONFINE_BOTH, is of these tenants; NULL if out
 * of memory. */
struct filter *confine_sees(const struct confine *, int end);

/* A tree of its own for exactly those flows that are visible and, masked, match
 * 'f' (NULL: any).  NULL if out of memory: then nothing may be told. */
struct filter *confine_filter(const struct confine *, const struct filter *f);

#endif /* collector/filter/confine.h */
