/* api/confine.h -- sets of tenants as JSON. */
#ifndef API_CONFINE_H
#define API_CONFINE_H 1

#include "collector/filter/confine.h"

struct json_object;

/* An array of names; the caller's. */
struct json_object *confine_to_json(const struct confine *);
/* The same back.  0, or -EINVAL (confine_make()), -ENOMEM. */
int confine_from_json(struct json_object *array, const struct confine **);

#endif /* api/confine.h */
