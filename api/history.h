/* api/history.h -- earlier configurations: what was in effect since when, by
 * whom, and what had changed. */
#ifndef API_HISTORY_H
#define API_HISTORY_H 1

#include <stdint.h>

struct history;
struct json_object;

#define HISTORY_MAX 100         /* Revisions that are kept. */

/* Keeps files in 'dir', which is made.  NULL after logging why not. */
struct history *history_open(const char *dir);
void history_close(struct history *);           /* NULL is fine. */

/* 'tree' is in effect from now on.  0 or a negative errno, logged. */
int history_add(struct history *, const char *who, const char *how,
                struct json_object *tree, struct json_object *changes);

/* The newest revision; 0: there is none. */
uint32_t history_newest(const struct history *);

/* {"revision", "time", "who", "how", "changes", "config"}, the caller's; NULL:
 * there is none of that number, or it cannot be read. */
struct json_object *history_get(const struct history *, uint32_t revision);

/* What differs, as an array of {"path", "before", "after"}: null where there
 * was, or is, nothing.  Members of lists are told by their name. */
struct json_object *history_diff(struct json_object *before,
                                 struct json_object *after);

#endif /* api/history.h */
