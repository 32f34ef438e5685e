#include <config.h>

#include "api/config_event.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "api/json.h"
#include "lib/clock.h"

#define PATH "/venturi:venturi/event"
#define MIN_SILENCE_US (INT64_C(10) * 1000000)
#define MIN_BYTES (UINT64_C(4) << 20)

static int
refuse(struct config_error *e, const char *leaf, const char *value,
       const char *expected)
{
    snprintf(e->path, sizeof e->path, PATH "/%s", leaf);
    snprintf(e->message, sizeof e->message, "%s is out of range; expected %s",
             value, expected);
    return -EINVAL;
}

int
config_event_make(struct json_object *root, struct config *c,
                  struct config_error *e)
{
    struct json_object *o = json_member(root, "event");
    const char *retention = json_text(o, "retention");
    const char *size = json_text(o, "size");
    const char *silence = json_text(o, "exporter-silence");

    if (duration_parse_us(retention, &c->event_retention_us)) {
        return refuse(e, "retention", retention, "0 or more");
    } else if (size_parse(size, &c->event_bytes)
               || c->event_bytes < MIN_BYTES) {
        return refuse(e, "size", size, "4MiB or more");
    } else if (duration_parse_us(silence, &c->silence_us)
               || (c->silence_us && c->silence_us < MIN_SILENCE_US)) {
        return refuse(e, "exporter-silence", silence, "0, or 10s or more");
    }
    return 0;
}
