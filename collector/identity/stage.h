/* collector/identity/stage.h -- the stage that names both ends of each flow. */
#ifndef COLLECTOR_IDENTITY_STAGE_H
#define COLLECTOR_IDENTITY_STAGE_H 1

struct flow_batch;
#include "lib/batch.h"

struct identity;

/* Fills src_endpoint, src_tenant, ... and their dst_ twins.  'aux' is the
 * struct identity.  For struct stage (lib/batch.h): on a worker that is
 * registered with RCU. */
void identity_process(void *aux, struct flow_batch *);

/* The same of a table that nobody changes meanwhile, on any thread.  Columns that
 * are to be filled must be absent. */
void identity_name_batch(const struct identity *, struct flow_batch *);

/* Columns that are read, until 'each' has had all; and those that are filled. */
void identity_stage_columns(void (*reads)(void *aux, enum column_id),
                            void (*fills)(void *aux, enum column_id),
                            void *aux);

#endif /* collector/identity/stage.h */
