/* probe/probe.h -- flow export for Linux bridges, which export nothing by
 * themselves: one softflowd (Debian package) for each selected bridge or
 * interface, followed through rtnetlink and supervised.
 *
 * All of it runs on the main libev loop and never waits.  What is to be done
 * is decided by probe/decide.h, which has never heard of processes. */
#ifndef PROBE_PROBE_H
#define PROBE_PROBE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/decide.h"

struct ev_loop;
struct probe;

/* 'prepare' is called in each child before exec() and may do only what is safe
 * there; returns 0, or a negative errno that ends the child.  It may be
 * NULL. */
struct probe *probe_create(struct ev_loop *, int (*prepare)(void));
/* Ends every child and waits for it (2 s, then it is killed).  NULL is
 * fine. */
void probe_destroy(struct probe *);

/* What is wanted from now on (copied); NULL: nothing.  Children whose command
 * line would differ are restarted. */
int probe_configure(struct probe *, const struct probe_config *);

/* 'hold': see probe_table_update(); 'changed' is called whenever interfaces or
 * wishes did.  Either may be NULL. */
void probe_set_hooks(struct probe *, probe_hold_func *hold,
                     void (*changed)(void *aux), void *aux);
/* 'hold' may answer differently now. */
void probe_review(struct probe *);

/* Why nothing can be followed, or NULL. */
const char *probe_error(const struct probe *);

/* What there is: the slots, borrowed until the loop runs on. */
const struct probe_table *probe_table(const struct probe *);

#endif /* probe/probe.h */
