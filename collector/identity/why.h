/* collector/identity/why.h -- why a packet was sampled.
 *
 * OVN samples packets of an ACL, or that it drops, through IPFIX.  The first
 * octet of the observation domain is the application that samples, the rest is
 * the tunnel key of the datapath (switch or router); the observation point is
 * the Sample of the ACL.  A table says what they mean. */
#ifndef COLLECTOR_IDENTITY_WHY_H
#define COLLECTOR_IDENTITY_WHY_H 1

#include <stdbool.h>
#include <stdint.h>

struct dict;
struct flow_batch;
struct why;
struct why_table;

/* Values of column "why". */
enum why_kind { WHY_ACL = 1, WHY_DROP = 2 };

/* An empty table, or NULL if out of memory.  It holds its names in 'dict'. */
struct why_table *why_table_create(struct dict *);
void why_table_destroy(struct why_table *);     /* NULL is fine. */

/* An application: it samples what is dropped, or ACLs. */
void why_add_app(struct why_table *, uint8_t id, bool drop);
/* The ACL of an observation point, of a label (application 0) or of a Sample.
 * NULL: not said.  A point that several have is none's. */
void why_add_acl(struct why_table *, uint32_t point, bool label,
                 const char *name, const char *action, const char *policy);
void why_add_network(struct why_table *, uint32_t key, const char *name);

/* What workers look at. */
struct why *why_create(void);
void why_destroy(struct why *);                 /* NULL is fine. */
/* Takes 'table' over, if it is whole: else it answers false. */
bool why_publish(struct why *, struct why_table *);

/* Fills why, why_name, why_action, why_policy, why_network, and vni where the
 * flow does not say it itself.  'aux' is the struct why.  For struct stage
 * (lib/batch.h), before identity_process(); on a thread registered with RCU. */
void why_process(void *aux, struct flow_batch *);

#endif /* collector/identity/why.h */
