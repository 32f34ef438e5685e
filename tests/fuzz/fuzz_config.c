/* Configurations: whatever the text, it is valid or there is a reason. */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/config.h"
#include "api/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_store *store;
    struct config_error error = { .message = "" };
    struct json_object *o = NULL, *again;

    if (!store) {
        store = config_load(NULL, false, NULL, &error);
        if (!store) {
            abort();
        }
    }
    if (json_parse((const char *) data, size, &json_default_limits,
                   JSON_UNIQUE, &o, NULL)) {
        return 0;
    }
    int err = config_validate(store, o, &error);
    if (err && !*error.message) {
        abort();
    }
    /* What was accepted is accepted again as it is shown. */
    if (!config_edit(store, o, false, &error)) {
        again = config_to_json(store, true);
        if (config_validate(store, again, &error)) {
            abort();
        }
        json_object_put(again);
    } else if (!err) {
        abort();
    }
    config_edit(store, o, true, &error);
    json_object_put(o);
    return 0;
}
