/* api/export_state.h -- what became of export on each bridge, as export.status
 * tells it: what the database says, and what the data say. */
#ifndef API_EXPORT_STATE_H
#define API_EXPORT_STATE_H 1

#include <stdint.h>

#include "ovsdb/ovsdb.h"

struct api_context;
struct export_watch;                                    /* Opaque. */

typedef void export_state_fn(void *aux, const struct ovsdb_status *,
                             enum export_state, const char *reason);

/* Calls 'f' for each bridge and protocol.  Main thread; there must be an
 * OVSDB in the context. */
void export_states_each(const struct api_context *, int64_t now_us,
                        export_state_fn *f, void *aux);

/* Posts an event for each state that is another than when it was asked before.
 * NULL if out of memory. */
struct export_watch *export_watch_create(void);
void export_watch_destroy(struct export_watch *);       /* NULL is fine. */
void export_watch_step(struct export_watch *, const struct api_context *,
                       int64_t now_us);

#endif /* api/export_state.h */
