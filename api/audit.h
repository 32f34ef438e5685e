/* api/audit.h -- who has changed what: one JSON object a line, in files that
 * are replaced when they are full.
 *
 * What was asked above the role of who asked is there, too, but in files of
 * its own, and so is what orchestrators tell: neither can push out the changes
 * that people make. */
#ifndef API_AUDIT_H
#define API_AUDIT_H 1

#include <stdbool.h>
#include <stddef.h>

struct audit;
struct json_object;
struct rpc_audit_entry;

/* Appends to 'path', PATH.endpoints and PATH.refused; at AUDIT_SIZE a file
 * becomes PATH.1, and so on up to AUDIT_FILES.  NULL after logging why not. */
#define AUDIT_SIZE (16u << 20)
#define AUDIT_FILES 4
struct audit *audit_open(const char *path);
void audit_close(struct audit *);               /* NULL is fine. */

/* For rpc_core_set_audit(). */
void audit_write(void *audit, const struct rpc_audit_entry *);

/* The newest entries of all files, newest first, as an array: at most 'n', and
 * no more than AUDIT_READ_SIZE bytes of the log but for the first.  '*more':
 * there are older ones. */
#define AUDIT_READ_SIZE (4u << 20)
struct json_object *audit_read(const struct audit *, size_t n, bool *more);

#endif /* api/audit.h */
