#include <config.h>

#include "api/confine.h"

#include <errno.h>
#include <string.h>

#include <json-c/json.h>

struct json_object *
confine_to_json(const struct confine *c)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < confine_count(c); i++) {
        json_object_array_add(list,
                              json_object_new_string(confine_name(c, i)));
    }
    return list;
}

int
confine_from_json(struct json_object *array, const struct confine **out)
{
    const char *names[CONFINE_MAX];

    *out = NULL;
    if (!json_object_is_type(array, json_type_array)
        || json_object_array_length(array) > CONFINE_MAX) {
        return -EINVAL;
    }
    size_t n = json_object_array_length(array);
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(array, i);
        names[i] = json_object_get_string(v);
        if (!json_object_is_type(v, json_type_string)
            || strlen(names[i]) != (size_t) json_object_get_string_len(v)) {
            return -EINVAL;
        }
    }
    return confine_make(names, n, out);
}
