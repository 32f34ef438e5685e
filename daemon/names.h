/* daemon/names.h -- lets the dictionary forget names that nobody uses. */
#ifndef DAEMON_NAMES_H
#define DAEMON_NAMES_H 1

struct dict;
struct ev_loop;
struct names;                                           /* Opaque. */

/* NULL if out of memory. */
struct names *names_start(struct ev_loop *, struct dict *);
void names_stop(struct names *);                /* NULL is fine. */

#endif /* daemon/names.h */
