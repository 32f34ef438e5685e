/* tests/unit/corpora.h -- the shared captures, and how to replay them. */
#ifndef TESTS_CORPORA_H
#define TESTS_CORPORA_H 1

#include <json-c/json.h>

#include "tests/unit/decode_util.h"
#include "tests/unit/pcap.h"

static char root[4096];

static uint8_t *
read_file(const char *name, size_t *n)
{
    char path[8192];
    snprintf(path, sizeof path, "%s/public/%s", root, name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        return NULL;
    }
    uint8_t *data = NULL;
    *n = 0;
    for (size_t got = 1, room = 0; got; *n += got) {
        if (*n == room) {
            room = room ? 2 * room : 65536;
            data = realloc(data, room);
        }
        got = fread(data + *n, 1, room - *n, f);
    }
    fclose(f);
    return data;
}

static void
feed_payload(void *aux, const uint8_t *p, size_t n)
{
    rig_feed(aux, p, n);
}

/* A stream of IPFIX messages, one datagram each. */
static void
feed_stream(struct rig *r, const uint8_t *p, size_t n)
{
    while (n) {
        size_t size = n >= 4 ? be16_at(p + 2) : n;
        if (size < 16 || size > n) {
            size = n;
        }
        rig_feed(r, p, size);
        p += size;
        n -= size;
    }
}

static void
feed_file(struct rig *r, const char *name, const char *kind)
{
    size_t n = 0;
    uint8_t *data = read_file(name, &n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    if (!strcmp(kind, "pcap")) {
        pcap_read(data, n, feed_payload, r);
    } else if (!strncmp(kind, "ipfix-stream", 12)) {
        feed_stream(r, data, n);
    } else if (!strcmp(kind, "ethernet-frame")) {
        pcap_read_frame(data, n, feed_payload, r);
    } else {
        rig_feed(r, data, n);
    }
    free(data);
}

static struct json_object *manifest;
static struct json_object *
get(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    return o && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

static struct json_object *kinds;

static void
load_kinds(void)
{
    kinds = json_object_new_object();
    struct json_object *files = get(manifest, "files");
    for (size_t i = 0; i < json_object_array_length(files); i++) {
        struct json_object *f = json_object_array_get_idx(files, i);
        json_object_object_add(kinds,
                               json_object_get_string(get(f, "path")),
                               json_object_get(get(f, "kind")));
    }
}

/* Replays the files of a case from one exporter. */
static void
feed_case(struct rig *r, struct json_object *c)
{
    struct json_object *files = get(c, "files");
    for (size_t i = 0; i < json_object_array_length(files); i++) {
        const char *name = json_object_get_string(
            json_object_array_get_idx(files, i));
        feed_file(r, name, json_object_get_string(get(kinds, name)));
    }
}

/* False, with a message, if there are no captures. */
static bool
corpora_open(void)
{
    const char *dir = getenv("VENTURI_CORPORA");
    snprintf(root, sizeof root, "%s", dir ? dir : CORPORA_DEFAULT);
    char path[8192];
    snprintf(path, sizeof path, "%s/public/manifest.json", root);
    manifest = json_object_from_file(path);
    if (!manifest) {
        printf("skipped: no %s (set VENTURI_CORPORA)\n", path);
        return false;
    }
    load_kinds();
    return true;
}

static void
corpora_close(void)
{
    json_object_put(kinds);
    json_object_put(manifest);
}

#endif /* tests/unit/corpora.h */
