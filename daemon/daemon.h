/* daemon/daemon.h -- the parts of venturid, wired together.
 *
 * Order matters and is all here: sockets are bound before privileges go, the
 * collector receives before the first row is written to a database, and at the
 * end everything that was received is stored. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H 1

struct daemon;
struct options;

/* Builds everything.  NULL after logging why not. */
struct daemon *daemon_create(const struct options *);

/* Runs until SIGTERM or SIGINT. */
void daemon_run(struct daemon *);

/* Stops everything, in the order in which nothing is lost. */
void daemon_destroy(struct daemon *);

/* Validates the configuration and says on stderr what is wrong, on stdout that
 * nothing is.  Returns an exit status. */
int daemon_check_config(const struct options *);

#endif /* daemon/daemon.h */
