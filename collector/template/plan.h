/* collector/template/plan.h -- a template as a list of operations.
 *
 * Compiling decides once, per template, which field fills which column and
 * how; running it only moves bytes.  Records of fixed size are decoded column
 * by column, all records of a set at once. */
#ifndef COLLECTOR_PLAN_H
#define COLLECTOR_PLAN_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/template/template.h"
#include "lib/batch.h"

struct dict;
struct dict_recent;
struct source;
struct template_cache;

#define PLAN_MAX_VARLEN 64      /* Fields of variable length in a template. */

/* What the fields of a record mean depends on. */
struct plan_env {
    bool keep_unknown;          /* Fill the column extra. */
    struct dict *dict;
    struct dict_recent *names;  /* Of the caller's thread. */
    struct source *source;
    const struct template_cache *templates;     /* For lists of records. */
    int64_t received_us;
    int64_t export_us;          /* Time in the header. */
    uint32_t uptime_ms;         /* sysUptime in the header... */
    bool has_uptime;            /* ...if there is one. */
};

/* The plan of a data template; 'reverse' compiles the other direction of a
 * biflow (RFC 5103).  NULL if out of memory. */
struct plan *plan_compile(const struct template_field *, unsigned n,
                          uint8_t protocol, bool reverse);
void plan_destroy(struct plan *);

/* Fetches what running it reads into the processor's cache; looks at nothing,
 * so that any pointer will do. */
void plan_prefetch(const struct plan *);

/* Decodes 'n' records of 'stride' bytes each into rows 'row' and up.  The
 * caller has checked that they are there and that the template is fixed. */
void plan_run_fixed(const struct plan *, const struct plan_env *,
                    struct flow_batch *, uint32_t row, uint32_t n,
                    const uint8_t *records, size_t stride);

/* Decodes the one record at 'p', where 'left' bytes are, into 'row'.  Returns
 * its size, or 0, and leaves the row alone, if it is not whole. */
size_t plan_run_var(const struct plan *, const struct plan_env *,
                    struct flow_batch *, uint32_t row, const uint8_t *p,
                    size_t left);

#endif /* collector/template/plan.h */
