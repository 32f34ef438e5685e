#include <config.h>

#include "api/history.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/json.h"
#include "api/methods.h"
#include "lib/clock.h"
#include "lib/log.h"

struct history {
    char *dir;
    uint32_t oldest, newest;    /* 0: none. */
};

static const struct json_limits limits = {
    .size = 64 << 20, .values = 4000000, .containers = 800000, .depth = 40,
};

static void
file_name(const struct history *h, uint32_t revision, char *buf, size_t size)
{
    snprintf(buf, size, "%s/%08u.json", h->dir, revision);
}

struct history *
history_open(const char *dir)
{
    struct history *h = calloc(1, sizeof *h);

    if (!h || !(h->dir = strdup(dir))) {
        history_close(h);
        return NULL;
    }
    if (mkdir(dir, 0750) && errno != EEXIST) {
        LOG(config, ERR, "%s: %s", dir, strerror(errno));
        history_close(h);
        return NULL;
    }
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        char *end;
        unsigned long n = strtoul(e->d_name, &end, 10);
        if (!strcmp(end, ".json") && n && n < UINT32_MAX) {
            h->newest = n > h->newest ? (uint32_t) n : h->newest;
            h->oldest = !h->oldest || n < h->oldest ? (uint32_t) n
                                                    : h->oldest;
        }
    }
    if (d) {
        closedir(d);
    }
    return h;
}

void
history_close(struct history *h)
{
    if (h) {
        free(h->dir);
        free(h);
    }
}

uint32_t
history_newest(const struct history *h)
{
    return h->newest;
}

static int
write_file(const char *path, const char *text)
{
    char tmp[4400];

    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    unlink(tmp);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                  0640);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!f) {
        return -errno;
    }
    int err = fputs(text, f) < 0 || fputc('\n', f) < 0 || fflush(f)
              || fsync(fd) ? -errno : 0;
    if (fclose(f) && !err) {
        err = -errno;
    }
    if (!err && rename(tmp, path)) {
        err = -errno;
    }
    if (err) {
        unlink(tmp);
    }
    return err;
}

int
history_add(struct history *h, const char *who, const char *how,
            struct json_object *tree, struct json_object *changes)
{
    struct json_object *o = json_object_new_object();
    char path[4300];

    reply_uint(o, "revision", h->newest + 1);
    reply_time(o, "time", clock_wall_us());
    reply_string(o, "who", who);
    reply_string(o, "how", how);
    json_object_object_add(o, "changes", json_object_get(changes));
    json_object_object_add(o, "config", json_object_get(tree));
    file_name(h, h->newest + 1, path, sizeof path);
    int err = write_file(path, json_object_to_json_string_ext(
                             o, JSON_C_TO_STRING_PLAIN
                             | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(o);
    if (err) {
        LOG(config, WARN, "%s: an earlier configuration is not kept: %s",
            path, strerror(-err));
        return err;
    }
    h->newest++;
    h->oldest = h->oldest ? h->oldest : h->newest;
    while (h->newest - h->oldest >= HISTORY_MAX) {
        file_name(h, h->oldest++, path, sizeof path);
        unlink(path);
    }
    return 0;
}

struct json_object *
history_get(const struct history *h, uint32_t revision)
{
    struct json_object *o = NULL;
    char path[4300], *text = NULL;
    size_t room = 0;

    file_name(h, revision, path, sizeof path);
    FILE *f = fopen(path, "re");
    if (!f) {
        return NULL;
    }
    ssize_t n = getdelim(&text, &room, '\0', f);
    fclose(f);
    if (n > 0 && (json_parse(text, (size_t) n, &limits, 0, &o, NULL)
                  || !json_object_is_type(o, json_type_object))) {
        json_object_put(o);
        o = NULL;
    }
    free(text);
    return o;
}

/* Differences. */

static void
add_change(struct json_object *list, const char *path,
           struct json_object *before, struct json_object *after)
{
    struct json_object *o = json_object_new_object();

    reply_string(o, "path", path);
    json_object_object_add(o, "before", json_object_get(before));
    json_object_object_add(o, "after", json_object_get(after));
    json_object_array_add(list, o);
}

static const char *
name_of(struct json_object *o)
{
    struct json_object *v = NULL;

    return json_object_is_type(o, json_type_object)
           && json_object_object_get_ex(o, "name", &v)
           ? json_object_get_string(v) : NULL;
}

static bool
has_names(struct json_object *list)
{
    return json_object_is_type(list, json_type_array)
           && json_object_array_length(list)
           && name_of(json_object_array_get_idx(list, 0));
}

/* The entries of a list by their names, the first of each: lists have
 * thousands of entries, and each looks for its like. */
static struct json_object *
index_names(struct json_object *list)
{
    struct json_object *index = json_object_new_object();

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *name = name_of(o);
        if (name && !json_object_object_get_ex(index, name, NULL)) {
            json_object_object_add(index, name, json_object_get(o));
        }
    }
    return index;
}

static void compare(struct json_object *list, const char *path,
                    struct json_object *before, struct json_object *after);

/* Those of 'a' with their like among 'others'; with 'only_new' those alone
 * that have none. */
static void
compare_named(struct json_object *list, const char *path,
              struct json_object *a, struct json_object *others,
              bool only_new)
{
    for (size_t i = 0; a && i < json_object_array_length(a); i++) {
        struct json_object *o = json_object_array_get_idx(a, i);
        const char *name = name_of(o) ? name_of(o) : "?";
        struct json_object *other = NULL;
        char at[1024];
        json_object_object_get_ex(others, name, &other);
        if (only_new ? other != NULL : json_object_equal(o, other)) {
            continue;
        }
        snprintf(at, sizeof at, "%s[name='%s']", path, name);
        if (!only_new) {
            compare(list, at, o, other);
        } else {
            add_change(list, at, NULL, o);
        }
    }
}

static void
compare(struct json_object *list, const char *path,
        struct json_object *before, struct json_object *after)
{
    char at[1024];

    if (json_object_equal(before, after)) {
        return;
    }
    if (json_object_is_type(before, json_type_object)
        && json_object_is_type(after, json_type_object)) {
        json_object_object_foreach(before, name, value) {
            struct json_object *other = NULL;
            json_object_object_get_ex(after, name, &other);
            snprintf(at, sizeof at, "%s/%s", path, name);
            compare(list, at, value, other);
        }
        json_object_object_foreach(after, name2, value2) {
            if (!json_object_object_get_ex(before, name2, NULL)) {
                snprintf(at, sizeof at, "%s/%s", path, name2);
                compare(list, at, NULL, value2);
            }
        }
    } else if ((has_names(before) || !before) && (has_names(after) || !after)
               && (before || after) && (has_names(before)
                                        || has_names(after))) {
        size_t n = json_object_array_length(list);
        struct json_object *olds = index_names(before);
        struct json_object *news = index_names(after);
        compare_named(list, path, before, news, false);
        compare_named(list, path, after, olds, true);
        json_object_put(olds);
        json_object_put(news);
        if (json_object_array_length(list) == n) {
            add_change(list, path, before, after);      /* The order. */
        }
    } else {
        add_change(list, path, before, after);
    }
}

struct json_object *
history_diff(struct json_object *before, struct json_object *after)
{
    struct json_object *list = json_object_new_array();

    compare(list, "", before, after);
    return list;
}
