/* api/alert_p.h -- what alert.c and alert_detail.c share. */
#ifndef API_ALERT_P_H
#define API_ALERT_P_H 1

#include <stdint.h>

#include "api/deliver.h"
#include "collector/alert/engine.h"
#include "collector/filter/filter.h"

struct api_context;
struct json_object;

#define ALERT_TEXT_MAX 1024     /* Of a name in the detail; columns have all. */

/* A JSON string of at most 'max' bytes, cut between two characters, with an
 * ellipsis.  The text is UTF-8. */
struct json_object *alert_text(const char *, size_t max);

/* The key as words: "10.0.0.5", "blue tcp"; "all" without one.  The caller's. */
char *alert_subject(const struct api_context *, const struct alert_change *);

/* Who, where, by which route, what makes it up, and how to ask for more; a
 * sentence in '*message' (the caller's). */
struct json_object *alert_detail(const struct api_context *,
                                 const struct alert_change *, int64_t now_us,
                                 char **message);

#endif /* api/alert_p.h */
