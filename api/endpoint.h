/* api/endpoint.h -- an endpoint between JSON and what the journal takes. */
#ifndef API_ENDPOINT_H
#define API_ENDPOINT_H 1

#include <json-c/json.h>

#include "collector/identity/journal.h"

struct dict;

#define ENDPOINT_ERROR_SIZE 160
#define ENDPOINT_MAX_LABELS 64

/* Memory for reading one endpoint. */
struct endpoint_reading {
    struct dict *dict;
    int64_t now_us;
    struct identity_key keys[IDENTITY_MAX_KEYS];
    char labels[IDENTITY_MAX_TEXT + 1];
    char member[64];            /* What is wrong, "addresses[2]", and why. */
    char error[ENDPOINT_ERROR_SIZE];
};

/* Reads a JSON endpoint of 'source'; texts of 'e' are those of 'o' or of the
 * reading.  Returns whether it is right; else its member and error. */
bool endpoint_read(struct endpoint_reading *, struct json_object *o,
                   const char *source, uint64_t generation,
                   struct identity_endpoint *e);

/* Labels as one text: "k=v,k2=v2", sorted by key, with a backslash before
 * ",", "=" and "\" in keys and values; and back. */
int endpoint_labels_put(struct json_object *labels, char *text, size_t size);
struct json_object *endpoint_labels_get(const char *text);

/* Adds a key as a member of 'o': to "addresses", "prefixes", "macs", "vnis" or
 * "ports". */
void endpoint_add_key(struct json_object *o, const struct dict *,
                      const struct identity_key *);

/* Adds the members ("labels" as an object) and "valid_from" and "valid_to". */
void endpoint_put_members(struct json_object *o, const char *const *text);
void endpoint_put_interval(struct json_object *o, int64_t from_us,
                           int64_t to_us);

/* An endpoint as endpoint.list tells it; the caller's. */
struct json_object *endpoint_row_to_json(const struct dict *,
                                         const struct identity_row *);

#endif /* api/endpoint.h */
