/* daemon/watch.h -- what databases say of endpoints goes to where endpoints are
 * kept. */
#ifndef DAEMON_WATCH_H
#define DAEMON_WATCH_H 1

#include <stdbool.h>

struct config;
struct dict;
struct identity;
struct identity_journal;
struct ovsdb_watch;
struct watching;
struct why;

/* Without databases.  NULL if out of memory. */
struct watching *watching_create(struct identity_journal *, struct dict *,
                                 struct why *);
/* Stops listening. */
void watching_stop(struct watching *);          /* NULL is fine. */
void watching_destroy(struct watching *);       /* NULL is fine. */

/* Ranks the sources, before the journal is opened. */
void watching_rank(struct identity *, const struct config *);

/* Listens to the databases of a configuration.  'reach' (or NULL) raises and
 * lowers, on the thread that calls it, the right to open their sockets. */
void watching_configure(struct watching *, const struct config *,
                        void (*reach)(void *aux, bool on), void *aux);

/* What listens now, or NULL. */
struct ovsdb_watch *watching_watch(const struct watching *);

#endif /* daemon/watch.h */
