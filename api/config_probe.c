#include <config.h>

#include "api/config_probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/json.h"
#include "lib/addr.h"
#include "lib/clock.h"

#define PATH "/venturi:venturi/probe/softflowd"

static int
get_list(struct json_object *o, const char *name, char ***list, size_t *n)
{
    struct json_object *array = json_member(o, name);
    size_t size = array ? json_object_array_length(array) : 0;

    *list = calloc(size ? size : 1, sizeof **list);
    for (size_t i = 0; *list && i < size; i++) {
        const char *text = json_object_get_string(
            json_object_array_get_idx(array, i));
        if (!((*list)[i] = strdup(text))) {
            return -ENOMEM;
        }
        ++*n;
    }
    return *list ? 0 : -ENOMEM;
}

static unsigned
version_of(const char *word)
{
    return !strcmp(word, "netflow5") ? 5 : !strcmp(word, "ipfix") ? 10 : 9;
}

static int __attribute__((format(printf, 3, 4)))
refuse(struct config_error *e, const char *leaf, const char *format, ...)
{
    va_list args;
    snprintf(e->path, sizeof e->path, PATH "/%s", leaf);
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    return -EINVAL;
}

static int
check(const struct probe_config *c, const char *timeout, int64_t us,
      struct config_error *e)
{
    struct addr a;
    uint16_t port;

    if (strcmp(c->target, "local")
        && endpoint_parse(c->target, 0, &a, &port)) {
        return refuse(e, "target", "%s is not a target; expected local, or "
                      "an address and port", c->target);
    }
    if (us < 1000000 || us > INT64_C(3600) * 1000000) {
        return refuse(e, "active-timeout", "%s is out of range; expected 1s "
                      "to 1h", timeout);
    }
    return 0;
}

int
config_probe_make(struct json_object *root, struct probe_config **out,
                  struct config_error *e)
{
    struct json_object *o = json_member(json_member(root, "probe"), "softflowd");

    *out = NULL;
    if (!o) {
        return 0;
    }
    struct probe_config *c = calloc(1, sizeof *c);
    const char *timeout = json_object_get_string(json_member(o, "active-timeout"));
    int64_t us = 0;
    int err = c ? 0 : -ENOMEM;
    if (!err) {
        c->program = strdup(json_object_get_string(json_member(o, "program")));
        c->target = strdup(json_object_get_string(json_member(o, "target")));
        err = c->program && c->target ? 0 : -ENOMEM;
    }
    err = err ? err : get_list(o, "bridges", &c->bridges, &c->n_bridges);
    err = err ? err : get_list(o, "interfaces", &c->interfaces,
                               &c->n_interfaces);
    err = err ? err : get_list(o, "exclude", &c->exclude, &c->n_exclude);
    if (!err) {
        c->version = version_of(json_object_get_string(json_member(o,
                                                              "protocol")));
        c->sampling = (uint32_t) json_object_get_int64(json_member(o,
                                                              "sampling"));
        c->max_flows = (uint32_t) json_object_get_int64(json_member(o,
                                                               "max-flows"));
        duration_parse_us(timeout, &us);
        c->active_timeout = (uint32_t) (us / 1000000);
        err = check(c, timeout, us, e);
    }
    if (err) {
        probe_config_destroy(c);
        return err;
    }
    *out = c;
    return 0;
}
