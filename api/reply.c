#include <config.h>

#include "api/methods.h"

#include "lib/clock.h"

/* Members of answers.  In a file of its own, since venturictl makes JSON, too,
 * and needs no methods. */

void
reply_string(struct json_object *o, const char *name, const char *text)
{
    json_object_object_add(o, name,
                           text ? json_object_new_string(text) : NULL);
}

void
reply_int(struct json_object *o, const char *name, int64_t value)
{
    json_object_object_add(o, name, json_object_new_int64(value));
}

void
reply_uint(struct json_object *o, const char *name, uint64_t value)
{
    json_object_object_add(o, name, json_object_new_uint64(value));
}

void
reply_bool(struct json_object *o, const char *name, bool value)
{
    json_object_object_add(o, name, json_object_new_boolean(value));
}

void
reply_time(struct json_object *o, const char *name, int64_t us)
{
    char buf[TIME_STRLEN];

    reply_string(o, name, us ? time_format_us(us, buf) : NULL);
}
