/* collector/identity/again.h -- naming flows again, when they are asked about.
 *
 * A stored flow has the names that were known when it came.  What was told
 * later, of then ("then") or of now ("now"), is in the journal: out of it a
 * table is made for one question, with the dictionary of that question, and the
 * columns are filled anew by the stage that filled them at first. */
#ifndef COLLECTOR_AGAIN_H
#define COLLECTOR_AGAIN_H 1

#include <stdbool.h>
#include <stdint.h>

#include "lib/batch.h"

struct dict;
struct identity_journal;
struct identity_again;

enum identity_resolve { RESOLVE_STORED, RESOLVE_THEN, RESOLVE_NOW };

/* Intervals that one question may look at; about 200 octets each. */
#define AGAIN_MAX 4000000

/* For flows of [from, to), or with what holds at 'now_us'.  'over' is asked now
 * and then: give up?  Returns 0; -ECANCELED; -E2BIG: more than AGAIN_MAX;
 * -ENOMEM. */
int identity_again_create(struct identity_journal *, struct dict *,
                          enum identity_resolve, int64_t from_us,
                          int64_t to_us, int64_t now_us,
                          bool (*over)(void *aux), void *aux,
                          struct identity_again **);
void identity_again_destroy(struct identity_again *);   /* NULL is fine. */

/* Fills the columns that name ends, of a batch whose names are those of the
 * dictionary; they must be absent before.  Any number of threads: nobody
 * changes the table any more. */
void identity_again_process(struct identity_again *, struct flow_batch *);

#endif /* collector/identity/again.h */
