#include <config.h>

#include "api/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/filter/filter.h"
#include "collector/query/query.h"
#include "lib/clock.h"
#include "lib/log.h"

/* How far back minutes can be filled by one query of QUERY_MAX_LIMIT rows. */
#define FILL_MAX_US (INT64_C(60) * QUERY_MAX_LIMIT * 1000000)

static const struct {
    const char *name, *filter, *colour;
} classic[] = {
    { "icmp", "proto icmp", "#48C6FF" },
    { "chargen", "port 19", "#ED62FF" },
    { "ftp", "port 21", "#63EA7D" },
    { "ssh", "port 22", "#FF9930" },
    { "telnet", "port 23", "#4FFF10" },
    { "dns", "port 53", "#305FFF" },
    { "http", "port 80", "#AEFF20" },
    { "pop3", "port 110", "#BFFFFF" },
    { "ntp", "port 123", "#FF6530" },
    { "loc-srv", "port 135", "#6267FF" },
    { "netbios-ns", "port 137", "#8685FF" },
    { "snmp", "port 161", "#77FF62" },
    { "https", "port 443", "#A787FF" },
    { "microsoft-ds", "port 445", "#F0DE65" },
    { "http-alt", "port 8080", "#209EFF" },
    { "ms-sql-s", "port 1433", "#FF6CAC" },
    { "mysql", "port 3306", "#FFFD6C" },
    { "rdp", "port 3389", "#FF7A6C" },
    { "sip", "port 5060", "#FFD962" },
    { "p2p", "port 6681", "#369EFF" },
    { "bittorrent", "port 6682", "#FF62A0" },
};

bool
profile_name_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
                      "WXYZ0123456789_.-");
    return n && n < CHANNEL_NAME && !name[n] && name[0] != '-';
}

bool
profile_colour_valid(const char *text)
{
    return strlen(text) == 7 && text[0] == '#'
           && strspn(text + 1, "0123456789abcdefABCDEF") == 6;
}

/* ---- Filling from stored flows. ---- */

struct filling {
    struct channel_set *set;
    uint64_t id;
};

static void
on_filled(void *aux, struct query_result *r)
{
    struct filling *f = aux;

    if (r && r->status == QUERY_BUSY) {
        channel_fill_later(f->set, f->id);
        query_result_destroy(r);
        free(f);
        return;
    }
    bool ok = r && r->status == QUERY_OK;
    struct channel_minute *minutes = ok ? calloc(r->n_rows + 1,
                                                 sizeof *minutes) : NULL;
    size_t n = 0;
    for (size_t i = 0; minutes && i < r->n_rows; i++) {
        const struct query_value *v = &r->values[i * r->n_columns];
        if (!v[3].null && v[3].u) {
            minutes[n++] = (struct channel_minute) {
                v[0].time_us / 1000000, { v[1].u, v[2].u, v[3].u },
            };
        }
    }
    int e = channel_fill(f->set, f->id, minutes, n);
    /* A query that ends with the daemon is made again by the next one. */
    if ((!minutes && !(r && r->status == QUERY_CANCELLED))
        || (e && e != -ENOENT)) {
        LOG(query, WARN, "a channel was not filled from stored flows: %s",
            e ? strerror(-e) : ok || !r ? "out of memory" : r->error);
    }
    free(minutes);
    query_result_destroy(r);
    free(f);
}

/* What arrived before the channel was made, by minutes.  On the set's
 * thread. */
static void
fill(void *profiles, const struct channel *c)
{
    struct profiles *p = profiles;
    struct filling *f = malloc(sizeof *f);
    char *text = NULL, before[TIME_STRLEN];
    struct query q = {
        .from_us = c->start_us, .to_us = c->created_us + 3600000000,
        .metrics = { COL_bytes, COL_packets, QUERY_METRIC_FLOWS },
        .n_metrics = 3, .order = 0, .limit = QUERY_MAX_LIMIT,
        .bucket_us = 60000000, .timeout_ms = 3600000,
    };

    if (q.to_us - q.from_us > FILL_MAX_US) {
        q.from_us = q.to_us - FILL_MAX_US;
    }
    if (!f || asprintf(&text, "received < %s%s%s%s",
                       time_format_us(c->created_us, before),
                       c->filter[0] ? " and (\n" : "", c->filter,
                       c->filter[0] ? "\n)" : "") < 0) {
        free(f);
        return;
    }
    *f = (struct filling) { p->set, c->id };
    q.filter = filter_parse(text, NULL);
    free(text);
    if (q.filter && p->queries) {
        query_start(p->queries, &q, on_filled, f);
    } else {
        query_clear(&q);
        on_filled(f, NULL);
    }
}

/* ---- The list. ---- */

struct profile *
profiles_find(struct profiles *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!strcmp(p->list[i].name, name)) {
            return &p->list[i];
        }
    }
    return NULL;
}

int
profiles_add(struct profiles *p, const char *name, int64_t start_us)
{
    if (profiles_find(p, name)) {
        return -EEXIST;
    } else if (p->n >= PROFILE_MAX) {
        return -ENOSPC;
    }
    struct profile *list = realloc(p->list, (p->n + 1) * sizeof *list);
    if (!list) {
        return -ENOMEM;
    }
    p->list = list;
    p->list[p->n] = (struct profile) { .created_us = clock_wall_us(),
                                       .start_us = start_us };
    snprintf(p->list[p->n].name, CHANNEL_NAME, "%s", name);
    p->n++;
    return 0;
}

void
profiles_delete(struct profiles *p, struct profile *profile)
{
    char name[CHANNEL_NAME];
    snprintf(name, sizeof name, "%s", profile->name);
    for (size_t i = channel_count(p->set); i-- > 0; ) {
        struct channel *c = channel_at(p->set, i);
        if (!strcmp(c->profile, name)) {
            channel_delete(p->set, name, c->name);
        }
    }
    size_t at = (size_t) (profile - p->list);
    memmove(profile, profile + 1, (p->n - at - 1) * sizeof *profile);
    p->n--;
}

int
profiles_classic(struct profiles *p, const char *profile, int64_t start_us)
{
    struct filter_error error;
    int result = 0;
    for (size_t i = 0; i < sizeof classic / sizeof classic[0] && !result;
         i++) {
        struct channel c = { .sign = '+', .order = (int) i + 1,
                             .filter = (char *) classic[i].filter,
                             .created_us = clock_wall_us() };
        c.start_us = start_us ? start_us : c.created_us;
        snprintf(c.profile, sizeof c.profile, "%s", profile);
        snprintf(c.name, sizeof c.name, "%s", classic[i].name);
        snprintf(c.colour, sizeof c.colour, "%s", classic[i].colour);
        result = channel_add(p->set, &c, &error);
    }
    return result;
}

/* ---- The file. ---- */

static const char *
text_of(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, name, &v);
    return v ? json_object_get_string(v) : "";
}

static int64_t
number_of(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, name, &v);
    return json_object_get_int64(v);
}

static void
load_channel(struct profiles *p, struct json_object *o)
{
    struct filter_error error = { .message = "" };
    struct channel c = {
        .id = (uint64_t) number_of(o, "id"),
        .sign = text_of(o, "sign")[0] == '-' ? '-' : '+',
        .order = (int) number_of(o, "order"),
        .filter = (char *) text_of(o, "filter"),
        .created_us = number_of(o, "created"),
        .start_us = number_of(o, "start"),
    };
    snprintf(c.profile, sizeof c.profile, "%s", text_of(o, "profile"));
    snprintf(c.name, sizeof c.name, "%s", text_of(o, "name"));
    snprintf(c.colour, sizeof c.colour, "%s", text_of(o, "colour"));
    int e = !profiles_find(p, c.profile) || !profile_name_valid(c.name)
            || !c.id ? -EINVAL : channel_add(p->set, &c, &error);
    if (e) {
        LOG(config, WARN, "%s: channel %s/%s is left out%s%s", p->path,
            c.profile, c.name, error.message[0] ? ": " : "", error.message);
        p->left_out = p->left_out ? p->left_out : json_object_new_array();
        json_object_array_add(p->left_out, json_object_get(o));
    }
}

static void
load(struct profiles *p, struct json_object *o)
{
    struct json_object *list = NULL;
    json_object_object_get_ex(o, "profiles", &list);
    size_t n = json_object_is_type(list, json_type_array)
               ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        if (profile_name_valid(text_of(v, "name"))
            && !profiles_add(p, text_of(v, "name"), number_of(v, "start"))) {
            p->list[p->n - 1].created_us = number_of(v, "created");
        }
    }
    json_object_object_get_ex(o, "channels", &list);
    n = json_object_is_type(list, json_type_array)
        ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++) {
        load_channel(p, json_object_array_get_idx(list, i));
    }
}

static struct json_object *
to_json(struct profiles *p)
{
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < p->n; i++) {
        struct json_object *v = json_object_new_object();
        json_object_object_add(v, "name",
                               json_object_new_string(p->list[i].name));
        json_object_object_add(v, "created", json_object_new_int64(
                                   p->list[i].created_us));
        json_object_object_add(v, "start", json_object_new_int64(
                                   p->list[i].start_us));
        json_object_array_add(list, v);
    }
    json_object_object_add(o, "profiles", list);
    list = json_object_new_array();
    for (size_t i = 0; i < channel_count(p->set); i++) {
        const struct channel *c = channel_at(p->set, i);
        const char sign[] = { c->sign, 0 };
        const struct {
            const char *name, *text;
        } texts[] = { { "profile", c->profile }, { "name", c->name },
                      { "colour", c->colour }, { "sign", sign },
                      { "filter", c->filter } };
        struct json_object *v = json_object_new_object();
        for (size_t k = 0; k < 5; k++) {
            json_object_object_add(v, texts[k].name,
                                   json_object_new_string(texts[k].text));
        }
        json_object_object_add(v, "id",
                               json_object_new_int64((int64_t) c->id));
        json_object_object_add(v, "order", json_object_new_int(c->order));
        json_object_object_add(v, "created",
                               json_object_new_int64(c->created_us));
        json_object_object_add(v, "start",
                               json_object_new_int64(c->start_us));
        json_object_array_add(list, v);
    }
    size_t n = p->left_out ? json_object_array_length(p->left_out) : 0;
    for (size_t i = 0; i < n; i++) {
        json_object_array_add(list, json_object_get(
                                  json_object_array_get_idx(p->left_out, i)));
    }
    json_object_object_add(o, "channels", list);
    return o;
}

int
profiles_save(struct profiles *p)
{
    char path[4096];
    if (!p->path) {
        return 0;
    }
    struct json_object *o = to_json(p);
    const char *text = json_object_to_json_string_ext(
        o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    size_t size = strlen(text);
    int result = 0;
    snprintf(path, sizeof path, "%s.new", p->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                  0640);
    if (fd < 0 || write(fd, text, size) != (ssize_t) size || fsync(fd)
        || rename(path, p->path)) {
        result = errno ? -errno : -EIO;
        LOG(config, ERR, "%s: %s", path, strerror(-result));
    }
    if (fd >= 0) {
        close(fd);
    }
    json_object_put(o);
    return result;
}

struct profiles *
profiles_open(const char *path, struct channel_set *set,
              struct query_pool *queries)
{
    struct profiles *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->set = set;
    p->queries = queries;
    p->path = path ? strdup(path) : NULL;
    channel_on_fill(set, fill, p);
    struct json_object *o = path && !access(path, F_OK)
                            ? json_object_from_file(path) : NULL;
    if (o) {
        load(p, o);
        json_object_put(o);
    } else if (path && !access(path, F_OK)) {
        LOG(config, ERR, "%s: %s; there are no profiles until it is put "
            "right or removed", path, json_util_get_last_err());
        free(p->path);
        p->path = NULL;
    } else if (!profiles_add(p, "classic", 0)) {
        profiles_classic(p, "classic", 0);
        profiles_save(p);
    }
    return p;
}

void
profiles_close(struct profiles *p)
{
    if (p) {
        channel_on_fill(p->set, NULL, NULL);
        json_object_put(p->left_out);
        free(p->path);
        free(p->list);
        free(p);
    }
}
