/* collector/identity/stage.h -- the stage that names both ends of each flow. */
#ifndef COLLECTOR_IDENTITY_STAGE_H
#define COLLECTOR_IDENTITY_STAGE_H 1

struct flow_batch;
struct identity;

/* Fills src_endpoint, src_tenant, ... and their dst_ twins.  'aux' is the
 * struct identity.  For struct stage (lib/batch.h): on a worker that is
 * registered with RCU. */
void identity_process(void *aux, struct flow_batch *);

#endif /* collector/identity/stage.h */
