/* collector/identity/past_set.h -- the files of the past in a directory.
 *
 * Files are added and never changed.  A thread makes one of several that are
 * about as large, so that an interval is written again only a few times, and
 * there are never many files.  Who looks keeps no lock while files are read. */
#ifndef COLLECTOR_IDENTITY_PAST_SET_H
#define COLLECTOR_IDENTITY_PAST_SET_H 1

#include "collector/identity/past.h"

#define PAST_SET_FANOUT 8       /* Files about as large that are made one. */

struct past_set;

/* Opens what is there, deletes what was not finished, and starts the thread.
 * What can't be read stays, is logged and counted.  NULL with errno. */
struct past_set *past_set_open(const char *dir);
/* A merge under way is given up.  NULL is fine. */
void past_set_close(struct past_set *);

/* Makes a file of what 'b' has; from then on it is found.  One thread at a time.
 * Returns 0 or a negative errno. */
int past_set_add(struct past_set *, struct past_builder *);

/* What is there at one time.  It can be looked at for as long as one likes. */
struct past_view;
struct past_view *past_view_take(struct past_set *);    /* NULL: no memory. */
void past_view_release(struct past_view *);             /* NULL is fine. */
/* As past_find() and past_each(), in all files, newest first. */
size_t past_view_find(struct past_view *, const struct identity_key *,
                      int64_t at_us,
                      void (*each)(void *aux, const struct past_interval *),
                      void *aux);
bool past_view_each(struct past_view *, int64_t from_us, int64_t to_us,
                    bool (*each)(void *aux, const struct past_interval *),
                    void *aux);
bool past_view_has_length(const struct past_view *, unsigned int len);

/* Files of which all ended before that are deleted, and such intervals are not
 * taken into a new one; INT64_MIN: none. */
void past_set_forget(struct past_set *, int64_t before_us);

struct past_set_status {
    uint32_t files;
    uint64_t octets, intervals;
    uint64_t damaged;           /* Pages and files that did not check. */
    int error;                  /* 0, or the last errno of merging. */
};
void past_set_get_status(struct past_set *, struct past_set_status *);

#endif /* collector/identity/past_set.h */
