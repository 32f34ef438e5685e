/* api/schema.h -- checks JSON values against JSON Schema: the keywords that
 * our tables use (type, enum, const, minimum, maximum, minLength, maxLength,
 * pattern, items, minItems, maxItems, properties, required,
 * additionalProperties, anyOf, oneOf).  Others say nothing. */
#ifndef API_SCHEMA_H
#define API_SCHEMA_H 1

#include <stdbool.h>
#include <stddef.h>

struct json_object;

struct schema_error {
    char path[256];             /* Below the value: "targets[2].name". */
    char reason[160];
    char expected[256];
};

/* True if 'value' fits; else '*error' says where it does not. */
bool schema_check(struct json_object *schema, struct json_object *value,
                  struct schema_error *error);

/* What a schema wants, in words: "a string", "one of a, b". */
void schema_describe(struct json_object *schema, char *buf, size_t size);

#endif /* api/schema.h */
