#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/context.h"
#include "api/json.h"
#include "api/profile.h"
#include "collector/filter/filter.h"
#include "lib/clock.h"

#define MAX_BUCKETS 10000
#define USUAL_BUCKETS 300
#define MAX_NUMBERS 300000
#define MAX_ORDER 1000000

/* NULL: the call has been answered. */
static struct profiles *
profiles_of(struct rpc_call *call)
{
    struct profiles *p = rpc_context(call)->profiles;
    if (!p) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there are no profiles here");
    }
    return p;
}

/* A client's clock may be ahead. */
#define START_AHEAD_US INT64_C(60000000)

static bool
read_start(struct rpc_call *call, struct json_object *params, int64_t now,
           int64_t *start_us)
{
    const char *text = json_text(params, "start");
    *start_us = text ? now : 0;
    if (text && (time_parse_us(text, now, start_us) || *start_us < 0)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "start", "\"%.40s\" is not a time",
                 text);
        return false;
    }
    if (*start_us > now + START_AHEAD_US) {
        rpc_fail(call, RPC_INVALID_PARAMS, "start", "\"%.40s\" is in the "
                 "future; what is counted begins now, or since a past start",
                 text);
        return false;
    }
    *start_us = *start_us > now ? now : *start_us;
    return true;
}

/* Answers an error of the store of profiles. */
static void
fail_add(struct rpc_call *call, int e, const char *member, const char *name)
{
    rpc_fail(call, e == -EEXIST ? RPC_CONFLICT : e == -ENOSPC ? RPC_TOO_LARGE
                                                  : RPC_INTERNAL_ERROR,
             member, e == -EEXIST ? "\"%s\" is there already"
                     : e == -ENOSPC ? "there are too many to add \"%s\""
                     : "no memory for \"%s\"", name);
}

/* Keeps the change and answers; for the audit log, what was changed looked
 * like 'before' (taken over; NULL: it was not there) and looks like 'after'
 * (borrowed). */
static void
reply_saved(struct rpc_call *call, struct profiles *p,
            struct json_object *before, struct json_object *after,
            struct json_object *result)
{
    int e = profiles_save(p);
    rpc_audit(call, before, json_object_get(after));
    if (e) {
        json_object_put(result);
        rpc_fail(call, RPC_FAILED, NULL, "it is in effect, but cannot be "
                 "kept: %s", strerror(-e));
    } else {
        rpc_reply(call, result);
    }
}

static struct json_object *
channel_to_json(const struct channel *c)
{
    struct json_object *o = json_object_new_object();
    const char sign[] = { c->sign, 0 };
    reply_string(o, "name", c->name);
    reply_string(o, "filter", c->filter);
    reply_string(o, "colour", c->colour);
    reply_string(o, "sign", sign);
    reply_int(o, "order", c->order);
    reply_time(o, "created", c->created_us);
    reply_time(o, "start", c->start_us);
    reply_bool(o, "filling", c->filling);
    return o;
}

/* And what is of the moment: size on disk, and when it was written. */
static struct json_object *
channel_now_to_json(struct channel_set *set, const struct channel *c)
{
    struct json_object *o = channel_to_json(c);
    uint64_t bytes;
    int64_t updated_us;
    channel_usage(set, c->id, &bytes, &updated_us);
    if (updated_us) {
        reply_time(o, "updated", updated_us);
    } else {
        json_object_object_add(o, "updated", NULL);
    }
    reply_int(o, "disk_bytes", (int64_t) bytes);
    return o;
}

/* 'now': with what is of the moment. */
static struct json_object *
profile_to_json(struct profiles *p, const struct profile *profile, bool now)
{
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();
    reply_string(o, "name", profile->name);
    reply_time(o, "created", profile->created_us);
    reply_time(o, "start", profile->start_us ? profile->start_us
                                             : profile->created_us);
    for (size_t i = 0; i < channel_count(p->set); i++) {
        const struct channel *c = channel_at(p->set, i);
        if (!strcmp(c->profile, profile->name)) {
            json_object_array_add(list, now ? channel_now_to_json(p->set, c)
                                            : channel_to_json(c));
        }
    }
    json_object_object_add(o, "channels", list);
    return o;
}

/* ---- profile.* ---- */

static void
profile_list(struct rpc_call *call, struct json_object *params)
{
    struct profiles *p = profiles_of(call);
    const char *name = json_text(params, "name");
    if (!p) {
        return;
    }
    if (name && !profiles_find(p, name)) {
        rpc_fail(call, RPC_NOT_FOUND, "name", "there is no profile \"%.60s\"",
                 name);
        return;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < p->n; i++) {
        if (!name || !strcmp(name, p->list[i].name)) {
            json_object_array_add(list, profile_to_json(p, &p->list[i],
                                                        true));
        }
    }
    json_object_object_add(o, "profiles", list);
    json_object_object_add(o, "counters", reply_counters(
                               channel_counters(p->set),
                               channel_counter_defs));
    rpc_reply(call, o);
}

static void
profile_add(struct rpc_call *call, struct json_object *params)
{
    struct profiles *p = profiles_of(call);
    const char *name = json_text(params, "name");
    const char *template = json_text(params, "template");
    int64_t start_us;

    if (!p || !read_start(call, params, clock_wall_us(), &start_us)) {
        return;
    }
    if (!profile_name_valid(name)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "name", "letters, digits, '_', "
                 "'.' and '-', up to %d", CHANNEL_NAME - 1);
        return;
    }
    if (template && strcmp(template, "classic")) {
        rpc_fail(call, RPC_INVALID_PARAMS, "template", "\"classic\" is "
                 "expected");
        return;
    }
    int e = profiles_add(p, name, start_us);
    if (!e && template) {
        e = profiles_classic(p, name, start_us);
    }
    if (e) {
        fail_add(call, e, "name", name);
        return;
    }
    struct json_object *o = profile_to_json(p, profiles_find(p, name),
                                            false);
    reply_saved(call, p, NULL, o, o);
}

static void
profile_delete(struct rpc_call *call, struct json_object *params)
{
    struct profiles *p = profiles_of(call);
    const char *name = json_text(params, "name");
    struct profile *profile = p ? profiles_find(p, name) : NULL;
    if (p && !profile) {
        rpc_fail(call, RPC_NOT_FOUND, "name", "there is no profile \"%.60s\"",
                 name);
    } else if (p) {
        struct json_object *o = profile_to_json(p, profile, false);
        profiles_delete(p, profile);
        reply_saved(call, p, json_object_get(o), NULL, o);
    }
}

/* ---- channel.* ---- */

/* Colour, sign and order, where they are given.  False: answered. */
static bool
read_looks(struct rpc_call *call, struct json_object *params,
           struct channel *c)
{
    const char *colour = json_text(params, "colour");
    const char *sign = json_text(params, "sign");
    struct json_object *v = NULL;

    if (colour && !profile_colour_valid(colour)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "colour", "a colour such as "
                 "#305FFF is expected");
        return false;
    }
    if (sign && strcmp(sign, "+") && strcmp(sign, "-")) {
        rpc_fail(call, RPC_INVALID_PARAMS, "sign", "\"+\" or \"-\" is "
                 "expected");
        return false;
    }
    if (json_object_object_get_ex(params, "order", &v)) {
        int64_t order = json_object_get_int64(v);
        if (order < -MAX_ORDER || order > MAX_ORDER) {
            rpc_fail(call, RPC_INVALID_PARAMS, "order", "an integer from %d "
                     "to %d is expected", -MAX_ORDER, MAX_ORDER);
            return false;
        }
        c->order = (int) order;
    }
    if (colour) {
        snprintf(c->colour, sizeof c->colour, "%s", colour);
    }
    if (sign) {
        c->sign = sign[0];
    }
    return true;
}

static void
channel_add_(struct rpc_call *call, struct json_object *params)
{
    struct profiles *p = profiles_of(call);
    const char *profile = json_text(params, "profile");
    const char *name = json_text(params, "name");
    struct filter_error error;
    struct channel c = { .sign = '+', .colour = "#808080",
                         .created_us = clock_wall_us() };

    if (!p || !read_start(call, params, c.created_us, &c.start_us)) {
        return;
    }
    const struct profile *of = profiles_find(p, profile);
    if (!of) {
        rpc_fail(call, RPC_NOT_FOUND, "profile", "there is no profile "
                 "\"%.60s\"; profile.add makes it", profile);
        return;
    }
    c.start_us = c.start_us ? c.start_us : of->start_us ? of->start_us
                                                        : c.created_us;
    if (!profile_name_valid(name)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "name", "letters, digits, '_', "
                 "'.' and '-', up to %d", CHANNEL_NAME - 1);
        return;
    }
    for (size_t i = 0; i < channel_count(p->set); i++) {
        const struct channel *other = channel_at(p->set, i);
        c.order += !strcmp(other->profile, profile);
    }
    c.order++;
    if (!read_looks(call, params, &c)) {
        return;
    }
    snprintf(c.profile, sizeof c.profile, "%s", profile);
    snprintf(c.name, sizeof c.name, "%s", name);
    c.filter = (char *) json_text(params, "filter");
    int e = channel_add(p->set, &c, &error);
    if (e == -EINVAL) {
        reply_filter_error(call, &error);
    } else if (e) {
        fail_add(call, e, "name", name);
    } else {
        struct json_object *o = channel_to_json(channel_find(p->set, profile,
                                                             name));
        reply_saved(call, p, NULL, o, o);
    }
}

/* NULL: the call has been answered. */
static struct channel *
find_channel(struct rpc_call *call, struct profiles *p,
             struct json_object *params)
{
    const char *profile = json_text(params, "profile");
    const char *name = json_text(params, "name");
    struct channel *c = p ? channel_find(p->set, profile, name) : NULL;
    if (p && !c) {
        rpc_fail(call, RPC_NOT_FOUND, "name", "there is no channel "
                 "%.60s/%.60s", profile, name);
    }
    return c;
}

static void
channel_edit(struct rpc_call *call, struct json_object *params)
{
    struct profiles *p = profiles_of(call);
    struct channel *c = find_channel(call, p, params);
    const char *filter = json_text(params, "filter");
    struct filter_error error;
    struct channel looks = c ? *c : (struct channel) { .sign = '+' };

    /* All of it is right, or nothing changes. */
    if (!c || !read_looks(call, params, &looks)) {
        return;
    }
    struct json_object *before = channel_to_json(c);
    int e = filter ? channel_set_filter(p->set, c, filter, &error) : 0;
    if (e == -EINVAL) {
        reply_filter_error(call, &error);
    } else if (e) {
        fail_add(call, e, "filter", c->name);
    } else {
        c->order = looks.order;
        c->sign = looks.sign;
        memcpy(c->colour, looks.colour, sizeof c->colour);
        struct json_object *o = channel_to_json(c);
        reply_saved(call, p, json_object_get(before), o, o);
    }
    json_object_put(before);
}

static void
channel_delete_(struct rpc_call *call, struct json_object *params)
{
    struct profiles *p = profiles_of(call);
    struct channel *c = find_channel(call, p, params);
    if (c) {
        struct json_object *o = channel_to_json(c);
        channel_delete(p->set, c->profile, c->name);
        reply_saved(call, p, json_object_get(o), NULL, o);
    }
}

/* ---- channel.series ---- */

struct span {
    int64_t from_s, step_s;
    size_t n;
};

/* Range and step; aligned so that every step is whole. */
static bool
read_span(struct rpc_call *call, struct json_object *params, struct span *s)
{
    static const int64_t steps[] = { 1, 5, 10, 30, 60, 300, 900, 1800, 3600,
                                     7200, 21600, 43200, 86400, 604800 };
    int64_t now = clock_wall_us(), from = now - 3600000000, to = now;
    const char *v = json_text(params, "from"), *wrong = NULL;
    int64_t bucket_us = 0;

    if (v && time_parse_us(v, now, &from)) {
        wrong = "from";
    } else if ((v = json_text(params, "to")) && time_parse_us(v, now, &to)) {
        wrong = "to";
    } else if ((v = json_text(params, "bucket"))
               && (duration_parse_us(v, &bucket_us) || bucket_us < 1000000
                   || bucket_us % 1000000)) {
        wrong = "bucket";
    } else if (from < 0 || to <= from) {
        wrong = "to";
    }
    if (wrong) {
        rpc_fail(call, RPC_INVALID_PARAMS, wrong, "a time range and whole "
                 "seconds are expected");
        return false;
    }
    bool recent = from > now - (int64_t) CHANNEL_SECONDS * 1000000 + 5000000;
    s->step_s = bucket_us / 1000000;
    for (size_t i = recent ? 0 : 4; !s->step_s && i < 14; i++) {
        if ((to - from) / USUAL_BUCKETS <= steps[i] * 1000000 || i == 13) {
            s->step_s = steps[i];
        }
    }
    s->from_s = from / 1000000 / s->step_s * s->step_s;
    s->n = (size_t) ((to / 1000000 - s->from_s) / s->step_s + 1);
    if (s->n > MAX_BUCKETS) {
        rpc_fail(call, RPC_INVALID_PARAMS, "bucket", "more than %d buckets",
                 MAX_BUCKETS);
        return false;
    }
    return true;
}

static struct json_object *
numbers(const struct channel_sum *sums, size_t n, size_t offset)
{
    struct json_object *list = json_object_new_array_ext((int) n);
    for (size_t i = 0; i < n; i++) {
        uint64_t v;
        memcpy(&v, (const char *) &sums[i] + offset, sizeof v);
        json_object_array_add(list, json_object_new_uint64(v));
    }
    return list;
}

static bool
wanted(const struct channel *c, const char *profile, const char *name)
{
    return !strcmp(c->profile, profile) && (!name || !strcmp(c->name, name));
}

static void
channel_series_(struct rpc_call *call, struct json_object *params)
{
    struct profiles *p = profiles_of(call);
    const char *profile = json_text(params, "profile");
    const char *name = json_text(params, "name");
    struct span s = { 0, 0, 0 };
    size_t n_channels = 0;

    if (!p) {
        return;
    }
    for (size_t i = 0; i < channel_count(p->set); i++) {
        n_channels += wanted(channel_at(p->set, i), profile, name);
    }
    if (!profiles_find(p, profile) || (name && !n_channels)) {
        rpc_fail(call, RPC_NOT_FOUND, name ? "name" : "profile",
                 "there is no such profile or channel");
        return;
    }
    if (!read_span(call, params, &s)) {
        return;
    }
    if (s.n * n_channels > MAX_NUMBERS) {
        rpc_fail(call, RPC_TOO_LARGE, "bucket", "too many numbers: ask for "
                 "longer steps or fewer channels");
        return;
    }
    struct channel_sum *sums = calloc(s.n, sizeof *sums);
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; sums && i < channel_count(p->set); i++) {
        const struct channel *c = channel_at(p->set, i);
        if (!wanted(c, profile, name)) {
            continue;
        }
        channel_series(p->set, c->id, s.from_s, s.step_s, s.n, sums);
        struct json_object *v = channel_to_json(c);
        json_object_object_add(v, "bytes", numbers(sums, s.n, 0));
        json_object_object_add(v, "packets", numbers(sums, s.n, offsetof(
                                   struct channel_sum, packets)));
        json_object_object_add(v, "flows", numbers(sums, s.n, offsetof(
                                   struct channel_sum, flows)));
        json_object_array_add(list, v);
    }
    free(sums);
    reply_time(o, "start", s.from_s * 1000000);
    reply_int(o, "step_ms", s.step_s * 1000);
    reply_uint(o, "buckets", s.n);
    json_object_object_add(o, "channels", list);
    rpc_reply(call, o);
}

/* ---- The table. ---- */

#define START                                                           \
    { "start", PARAM_TIME, false, "count stored flows since then, too; " \
      "now is the default", NULL }
#define LOOKS                                                           \
    { "colour", PARAM_STRING, false, "#RRGGBB", NULL },                 \
    { "sign", PARAM_STRING, false, "+ or -: above or below the axis",   \
      "{\"enum\":[\"+\",\"-\"]}" },                                     \
    { "order", PARAM_INTEGER, false, "place in the graph", NULL }
#define END { NULL, PARAM_ANY, false, NULL, NULL }

static const struct rpc_param list_params[] = {
    { "name", PARAM_STRING, false, "only this profile", NULL }, END
};
static const struct rpc_param add_profile_params[] = {
    { "name", PARAM_STRING, true, "of the new profile", NULL },
    { "template", PARAM_STRING, false, "classic: with the 21 channels of "
      "nfsen's how-to", "{\"enum\":[\"classic\"]}" },
    START, END
};
static const struct rpc_param profile_params[] = {
    { "name", PARAM_STRING, true, "of the profile", NULL }, END
};
static const struct rpc_param add_params[] = {
    { "profile", PARAM_STRING, true, "it belongs to", NULL },
    { "name", PARAM_STRING, true, "of the new channel", NULL },
    { "filter", PARAM_STRING, true, "which flows, in the filter language",
      NULL },
    LOOKS, START, END
};
static const struct rpc_param edit_params[] = {
    { "profile", PARAM_STRING, true, "it belongs to", NULL },
    { "name", PARAM_STRING, true, "of the channel", NULL },
    { "filter", PARAM_STRING, false, "from now on; what was counted stays",
      NULL },
    LOOKS, END
};
static const struct rpc_param channel_params[] = {
    { "profile", PARAM_STRING, true, "it belongs to", NULL },
    { "name", PARAM_STRING, true, "of the channel", NULL }, END
};
static const struct rpc_param series_params[] = {
    { "profile", PARAM_STRING, true, "whose channels", NULL },
    { "name", PARAM_STRING, false, "only this channel", NULL },
    { "from", PARAM_TIME, false, "begin; -1h is the default", NULL },
    { "to", PARAM_TIME, false, "end; now is the default", NULL },
    { "bucket", PARAM_DURATION, false, "step; seconds are there for an hour, "
      "minutes for 90 days, hours for ten years; the default makes at most "
      "300", NULL }, END
};

#define CHANNEL_SCHEMA                                                  \
    "{\"type\":\"object\",\"required\":[\"name\",\"filter\",\"colour\"," \
    "\"sign\",\"order\",\"created\",\"start\",\"filling\"]}"
#define PROFILE_SCHEMA                                                  \
    "{\"type\":\"object\",\"required\":[\"name\",\"created\","          \
    "\"channels\"],\"properties\":{\"channels\":{\"type\":\"array\","   \
    "\"items\":" CHANNEL_SCHEMA "}}}"
#define CHANNEL_EXAMPLE                                                 \
    "{\"name\":\"dns\",\"filter\":\"port 53\",\"colour\":\"#305FFF\","  \
    "\"sign\":\"+\",\"order\":1,\"created\":\"2026-11-23T07:00:00.000Z\"," \
    "\"start\":\"2026-11-22T07:00:00.000Z\",\"filling\":false"
#define PROFILE_EXAMPLE                                                 \
    "{\"name\":\"zone1\",\"created\":\"2026-11-23T07:00:00.000Z\","     \
    "\"start\":\"2026-11-23T07:00:00.000Z\","                          \
    "\"channels\":[" CHANNEL_EXAMPLE "}]}"

const struct rpc_method methods_profile[] = {
    {
        .name = "profile.list", .role = ROLE_VIEWER,
        .summary = "Profiles with their channels, and when their numbers were "
                   "last written (null: never).",
        .params = list_params,
        .result_schema = "{\"type\":\"object\",\"required\":[\"profiles\","
            "\"counters\"],\"properties\":{\"profiles\":{\"type\":\"array\","
            "\"items\":" PROFILE_SCHEMA "}}}",
        .example_params = "{}",
        .example_result = "{\"profiles\":[{\"name\":\"zone1\","
            "\"created\":\"2026-11-23T07:00:00.000Z\","
            "\"start\":\"2026-11-23T07:00:00.000Z\",\"channels\":["
            CHANNEL_EXAMPLE ",\"updated\":\"2026-11-23T08:00:00.000Z\","
            "\"disk_bytes\":12288}]}],"
            "\"counters\":{\"flows\":5120,\"late\":0,\"errors\":0}}",
        .call = profile_list,
    },
    {
        .name = "profile.add", .role = ROLE_OPERATOR,
        .summary = "Makes a profile: a group of channels.",
        .params = add_profile_params,
        .result_schema = PROFILE_SCHEMA,
        .example_params = "{\"name\":\"zone1\"}",
        .example_result = "{\"name\":\"zone1\",\"created\":"
            "\"2026-11-23T07:00:00.000Z\",\"start\":"
            "\"2026-11-23T07:00:00.000Z\",\"channels\":[]}",
        .call = profile_add,
    },
    {
        .name = "profile.delete", .role = ROLE_OPERATOR,
        .summary = "Deletes a profile, its channels and their numbers; tells "
                   "what it was.",
        .params = profile_params,
        .result_schema = PROFILE_SCHEMA,
        .example_params = "{\"name\":\"zone1\"}",
        .example_result = PROFILE_EXAMPLE,
        .call = profile_delete,
    },
    {
        .name = "channel.add", .role = ROLE_OPERATOR,
        .summary = "Makes a channel: a filter that is counted from now on "
                   "and, with a start, over stored flows.",
        .params = add_params,
        .result_schema = CHANNEL_SCHEMA,
        .example_params = "{\"profile\":\"zone1\",\"name\":\"dns\","
            "\"filter\":\"port 53\",\"colour\":\"#305FFF\","
            "\"start\":\"-1d\"}",
        .example_result = CHANNEL_EXAMPLE "}",
        .call = channel_add_,
    },
    {
        .name = "channel.edit", .role = ROLE_OPERATOR,
        .summary = "Changes a channel's filter, colour, sign or order.",
        .params = edit_params,
        .result_schema = CHANNEL_SCHEMA,
        .example_params = "{\"profile\":\"zone1\",\"name\":\"dns\","
            "\"colour\":\"#305FFF\"}",
        .example_result = CHANNEL_EXAMPLE "}",
        .call = channel_edit,
    },
    {
        .name = "channel.delete", .role = ROLE_OPERATOR,
        .summary = "Deletes a channel and its numbers; tells what it was.",
        .params = channel_params,
        .result_schema = CHANNEL_SCHEMA,
        .example_params = "{\"profile\":\"zone1\",\"name\":\"dns\"}",
        .example_result = CHANNEL_EXAMPLE "}",
        .call = channel_delete_,
    },
    {
        .name = "channel.series", .role = ROLE_VIEWER,
        .summary = "What channels counted, step by step.",
        .params = series_params,
        .result_schema = "{\"type\":\"object\",\"required\":[\"start\","
            "\"step_ms\",\"buckets\",\"channels\"],\"properties\":{"
            "\"channels\":{\"type\":\"array\",\"items\":"
            "{\"type\":\"object\",\"required\":[\"name\",\"bytes\","
            "\"packets\",\"flows\"]}}}}",
        .example_params = "{\"profile\":\"zone1\",\"from\":\"-2s\","
            "\"bucket\":\"1s\"}",
        .example_result = "{\"start\":\"2026-11-23T07:00:00.000Z\","
            "\"step_ms\":1000,\"buckets\":2,\"channels\":[" CHANNEL_EXAMPLE
            ",\"bytes\":[120,0],\"packets\":[2,0],\"flows\":[1,0]}]}",
        .call = channel_series_,
    },
    { .name = NULL }
};
