/* collector/identity/past.h -- intervals that ended, in files that never change.
 *
 * A file has the intervals sorted by key and time, the texts of who they belong
 * to, and a checksum for each page of both.  A lookup reads a page or two; 0.4
 * octets of memory for each interval say which.  What does not check is not
 * answered, and counted. */
#ifndef COLLECTOR_IDENTITY_PAST_H
#define COLLECTOR_IDENTITY_PAST_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/identity/identity.h"

/* An interval in words; texts are valid during a call. */
struct past_interval {
    struct identity_key key;
    int64_t from_us, to_us;
    const char *source, *id, *interface;
    const char *text[IDENTITY_N_MEMBERS];
};

/* Collects intervals, at most 'room', in memory and writes them to a file.  Faces
 * and sources must stay until then.  NULL: no memory. */
struct past_builder;
struct past_builder *past_builder_create(size_t room);
/* Ports are left out: their numbers mean something to this process only.  False:
 * there is no room. */
bool past_builder_add(struct past_builder *, const struct identity_interval *);
size_t past_builder_count(const struct past_builder *);
/* Once.  Returns 0, or a negative errno and leaves no file. */
int past_builder_write(struct past_builder *, const char *path);
void past_builder_destroy(struct past_builder *);

/* Any thread may look in a file, and several at a time. */
struct past_run;
/* NULL, with errno, if it can't be opened or is none of ours. */
struct past_run *past_open(const char *path);
void past_close(struct past_run *);

/* The intervals of exactly 'key' that contain 'at_us'.  Returns how many. */
size_t past_find(struct past_run *, const struct identity_key *,
                 int64_t at_us,
                 void (*each)(void *aux, const struct past_interval *),
                 void *aux);
/* All intervals that overlap [from, to), until 'each' answers false.  Returns
 * whether it never did. */
bool past_each(struct past_run *, int64_t from_us, int64_t to_us,
               bool (*each)(void *aux, const struct past_interval *),
               void *aux);
/* Prefix lengths that the file has, as bits. */
const uint64_t *past_lengths(const struct past_run *);

/* One file of several; those that ended before 'since_us' are left out, and what
 * several have is in it once.  -ECANCELED as soon as '*stop' (NULL: never). */
int past_merge(struct past_run *const *, size_t n, int64_t since_us,
               const char *path, const _Atomic bool *stop);

uint64_t past_count(const struct past_run *);
int64_t past_newest(const struct past_run *);   /* Latest end. */
uint64_t past_size(const struct past_run *);    /* Octets. */
/* Pages that did not check, each time that one was read. */
uint64_t past_damaged(const struct past_run *);

#endif /* collector/identity/past.h */
