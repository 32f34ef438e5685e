/* api/profile.h -- profiles and their channels, kept as JSON.
 *
 * The file is read once and replaced as a whole with every change; without it,
 * the classic profile is made: the 21 channels that nfsen users know. */
#ifndef API_PROFILE_H
#define API_PROFILE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/channel/channel.h"

struct json_object;
struct query_pool;

struct profile {
    char name[CHANNEL_NAME];
    int64_t created_us;
    int64_t start_us;           /* Of channels that say none; 0: they begin when
                                 * they are made. */
};

struct profiles {
    struct channel_set *set;
    struct query_pool *queries;
    char *path;                 /* NULL: not kept. */
    struct profile *list;
    size_t n;
    struct json_object *left_out;       /* Channels that could not be made: they
                                         * stay in the file as they were. */
};

#define PROFILE_MAX 256

/* Loads; channels that begin in the past are filled through 'queries' (may be
 * NULL).  NULL if out of memory.  Both must outlive the profiles, but the
 * pool's threads may end first. */
struct profiles *profiles_open(const char *path, struct channel_set *,
                               struct query_pool *);
void profiles_close(struct profiles *);                 /* NULL is fine. */

struct profile *profiles_find(struct profiles *, const char *name);
/* 0, -EEXIST, -ENOSPC or -ENOMEM. */
int profiles_add(struct profiles *, const char *name, int64_t start_us);
void profiles_delete(struct profiles *, struct profile *);
/* Makes the classic channels in a profile; they begin at 'start_us',
 * or now if that is 0. */
int profiles_classic(struct profiles *, const char *profile,
                     int64_t start_us);
/* Writes the file.  0 or a negative errno. */
int profiles_save(struct profiles *);

/* Whether a name and a colour are right. */
bool profile_name_valid(const char *);
bool profile_colour_valid(const char *);

#endif /* api/profile.h */
