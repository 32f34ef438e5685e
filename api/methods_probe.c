/* api/methods_probe.c -- probes on Linux bridges. */
#include <config.h>

#include "api/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/config.h"
#include "api/context.h"
#include "lib/clock.h"
#include "lib/dict.h"
#include "lib/source.h"
#include "ovsdb/export.h"
#include "probe/probe.h"

static struct json_object *
slot_to_json(const struct probe_slot *s, int64_t now_ms)
{
    struct json_object *o = json_object_new_object();

    reply_string(o, "interface", s->name);
    reply_uint(o, "ifindex", s->ifindex);
    reply_string(o, "kind", s->bridge ? "bridge" : "interface");
    reply_string(o, "policy", s->config ? s->config->policy : NULL);
    reply_string(o, "state", probe_state_name(s->state));
    reply_string(o, "reason", s->reason[0] && s->state != PROBE_RUNNING
                              ? s->reason : NULL);
    if (s->pid) {
        reply_int(o, "pid", s->pid);
        reply_int(o, "running_s", (now_ms - s->started_ms) / 1000);
    } else {
        json_object_object_add(o, "pid", NULL);
        json_object_object_add(o, "running_s", NULL);
    }
    reply_uint(o, "starts", s->starts);
    return o;
}

/* ---- What there is. ---- */

static size_t
n_slots(const struct api_context *c)
{
    return c->probe ? probe_table(c->probe)->n : 0;
}

static const struct probe_slot *
slot_at(const struct api_context *c, size_t i)
{
    return &probe_table(c->probe)->slots[i];
}

static const char *
policy_of(const struct probe_slot *s)
{
    return s->config ? s->config->policy : NULL;
}

static bool
in_scope(const struct probe_slot *s, const char *interface,
         const char *policy)
{
    const char *p = policy_of(s);
    return (!interface || !strcmp(interface, s->name))
           && (!policy || (p && !strcmp(policy, p)));
}

struct json_object *
reply_probes(const struct api_context *c, const char *interface)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < n_slots(c); i++) {
        if (in_scope(slot_at(c, i), interface, NULL)) {
            json_object_array_add(list, slot_to_json(slot_at(c, i),
                                                     clock_mono_ms()));
        }
    }
    return list;
}

bool
probes_configured(const struct api_context *c)
{
    return n_slots(c) || (c->config && config_current(c->config)->probe);
}

bool
probe_known(const struct api_context *c, const char *interface)
{
    for (size_t i = 0; i < n_slots(c); i++) {
        if (in_scope(slot_at(c, i), interface, NULL)) {
            return true;
        }
    }
    return false;
}

size_t
probes_running(const struct api_context *c, const char *interface,
               const char *policy)
{
    size_t n = 0;
    for (size_t i = 0; i < n_slots(c); i++) {
        const struct probe_slot *s = slot_at(c, i);
        n += s->pid && in_scope(s, interface, policy);
    }
    return n;
}

/* ---- export.plan ---- */

/* The command line as one text (heap), or NULL. */
static char *
command_of(const struct probe_slot *s)
{
    char *argv[PROBE_MAX_ARGS], buf[PROBE_ARGS_SIZE], *text = NULL;
    size_t size = 0;
    if (!s->config || probe_command(s, argv, buf)) {
        return NULL;
    }
    FILE *f = open_memstream(&text, &size);
    for (char **p = argv; f && *p; p++) {
        fprintf(f, "%s%s", p == argv ? "" : " ", *p);
    }
    if (f && fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

/* What is to be done about it, and why. */
static const char *
action_of(const struct probe_slot *s, char *reason, size_t size)
{
    const char *policy = policy_of(s);
    const char *who = policy ? "policy " : "probe/softflowd";
    policy = policy ? policy : "";
    if (s->pid && (!s->selected || s->held || !s->up)) {
        snprintf(reason, size, "%s", s->held ? s->held : s->selected
                 ? "the interface is down" : "no policy asks for it");
        return "stop";
    } else if (s->pending) {
        const char *problem = s->pending->problem;
        snprintf(reason, size, "%s", problem ? problem
                 : "another command line; not before export.apply");
        return problem ? "stop" : "restart";
    } else if (s->pid) {
        snprintf(reason, size, "as %s%s wants it", who, policy);
        return "none";
    } else if (s->state == PROBE_HELD && !s->config->problem) {
        snprintf(reason, size, "%s%s asks for it; %s", who, policy, s->held);
        return "start";
    } else if (s->state == PROBE_STARTING) {
        snprintf(reason, size, "%s%s asks for it", who, policy);
        return "start";
    }
    snprintf(reason, size, "%s", s->reason);
    return s->state == PROBE_BACKOFF ? "start" : "skip";
}

static void
add_warning(struct json_object *list, const char *text)
{
    json_object_array_add(list, json_object_new_string(text));
}

static struct json_object *
warnings_of(const struct probe_slot *s)
{
    struct json_object *list = json_object_new_array();
    const struct probe_config *c = s->config;
    if (!c) {
        return list;
    }
    if (access(c->program, X_OK)) {
        add_warning(list, "softflowd is not installed (Debian package "
                    "softflowd), or not where program says");
    }
    if (c->version == 5) {
        add_warning(list, "NetFlow v5 has no place for IPv6: those flows "
                    "will be missing");
    }
    add_warning(list, c->sampling == 1
                ? "softflowd looks at every packet of this interface; "
                "sampling makes that less"
                : "softflowd samples packets, and what it reports is "
                "multiplied");
    return list;
}

struct json_object *
plan_probes(const struct api_context *c, const char *interface,
            const char *policy, bool all, size_t *pending)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < n_slots(c); i++) {
        /* As it will be. */
        struct probe_slot next = *slot_at(c, i), *s = &next;
        next.config = next.pending ? next.pending : next.config;
        char reason[400];
        const char *action = action_of(s, reason, sizeof reason);
        bool due = strcmp(action, "none") && strcmp(action, "skip");
        if (!in_scope(s, interface, policy)
            || (!all && !strcmp(action, "none"))) {
            continue;
        }
        *pending += due;
        struct json_object *o = json_object_new_object();
        char *command = command_of(s);
        reply_string(o, "interface", s->name);
        reply_string(o, "action", action);
        reply_string(o, "policy", policy_of(s));
        reply_string(o, "reason", reason);
        reply_string(o, "command", command);
        json_object_object_add(o, "warnings", warnings_of(s));
        json_object_array_add(list, o);
        free(command);
    }
    return list;
}

/* ---- export.status ---- */

/* A flow is told at the latest after that. */
static int64_t
expect_within_us(const struct probe_config *c)
{
    return ((int64_t) 2 * c->active_timeout + 30) * 1000000;
}

static enum export_state
judge(const struct probe_slot *s, const struct observation_stats *stats,
      bool to_us, char *reason, size_t size)
{
    int64_t now_us = clock_wall_us();
    int64_t running_us = (clock_mono_ms() - s->started_ms) * 1000;
    int64_t since_us = now_us - running_us;
    int64_t last_us = stats ? stats->last_us : 0;
    snprintf(reason, size, "%s", s->reason);
    if (s->state == PROBE_HELD) {
        snprintf(reason, size, "%s", s->held);
        return s->config->problem ? STATE_ERROR
               : strstr(s->held, "removed") ? STATE_OFF : STATE_PENDING;
    } else if (s->state == PROBE_DOWN) {
        return STATE_OFF;
    } else if (s->state == PROBE_BACKOFF) {
        return STATE_ERROR;
    } else if (s->state != PROBE_RUNNING) {
        return STATE_PENDING;
    } else if (!to_us) {
        snprintf(reason, size, "softflowd runs; it sends elsewhere: what "
                 "arrives there is not for us to see");
        return STATE_IN_SYNC;
    }
    int64_t quiet_us = now_us - (last_us > since_us ? last_us : since_us);
    bool heard = last_us > since_us;
    if (quiet_us <= expect_within_us(s->config)) {
        snprintf(reason, size, heard ? "records arrive"
                 : "softflowd runs; the first record may take %lld s",
                 (long long) expect_within_us(s->config) / 1000000);
        return heard ? STATE_RECEIVING : STATE_IN_SYNC;
    }
    snprintf(reason, size, "softflowd runs, and no record came for %lld s: "
             "no traffic on %s, or nothing reaches %s",
             (long long) quiet_us / 1000000, s->name, s->config->target);
    return STATE_SILENT;
}

static bool
is_observed(const struct api_context *c, uint32_t name, uint32_t ifindex)
{
    const struct observation_map *map = c->observations ? *c->observations
                                                        : NULL;
    for (uint32_t i = 0; map && i < map->n; i++) {
        const struct observation_if *f
            = map->list[i].counts_by_if
              ? observation_if_find(&map->list[i], ifindex) : NULL;
        if (f && f->name == name) {
            return true;
        }
    }
    return false;
}

void
status_probes(const struct api_context *c, const char *interface,
              struct json_object *list)
{
    static const uint8_t protocols[] = { [5] = PROTO_NETFLOW5,
        [9] = PROTO_NETFLOW9, [10] = PROTO_IPFIX };
    for (size_t i = 0; i < n_slots(c); i++) {
        const struct probe_slot *s = slot_at(c, i);
        if (!s->config || !in_scope(s, interface, NULL)) {
            continue;
        }
        uint32_t name = c->dict ? dict_intern(c->dict, s->name,
                                              strlen(s->name)) : 0;
        const struct observation_stats *stats
            = name ? observation_stats_get(name,
                                           protocols[s->config->version])
                   : NULL;
        char reason[400];
        enum export_state state = judge(s, stats,
                                        is_observed(c, name, s->ifindex),
                                        reason, sizeof reason);
        struct json_object *o = json_object_new_object();
        struct json_object *targets = json_object_new_array();
        reply_string(o, "remote", NULL);
        reply_string(o, "bridge", s->name);
        reply_string(o, "protocol", "probe");
        reply_string(o, "state", export_state_name(state));
        reply_string(o, "reason", reason);
        reply_string(o, "policy", policy_of(s));
        reply_string(o, "owner", c->owner);
        reply_bool(o, "ours", true);
        add_warning(targets, s->config->target);
        json_object_object_add(o, "targets", targets);
        reply_uint(o, "sampling", s->config->sampling);
        reply_time(o, "applied", s->pid ? clock_wall_us()
                   - (clock_mono_ms() - s->started_ms) * 1000 : 0);
        reply_time(o, "first_seen", stats ? stats->first_us : 0);
        reply_time(o, "last_seen", stats ? stats->last_us : 0);
        reply_uint(o, "records", stats ? counter_get(&stats->records) : 0);
        reply_uint(o, "packets", stats ? counter_get(&stats->packets) : 0);
        reply_uint(o, "bytes", stats ? counter_get(&stats->bytes) : 0);
        json_object_array_add(list, o);
    }
}

/* ---- probe.status ---- */

static void
probe_status(struct rpc_call *call, struct json_object *params)
{
    const struct api_context *c = rpc_context(call);
    struct json_object *o = json_object_new_object();

    (void) params;
    json_object_object_add(o, "probes", reply_probes(c, NULL));
    reply_uint(o, "refused", c->probe ? probe_table(c->probe)->n_refused : 0);
    reply_string(o, "error", c->probe ? probe_error(c->probe) : NULL);
    rpc_reply(call, o);
}

#define INTEGER_OR_NULL "{\"type\":[\"integer\",\"null\"]}"

const struct rpc_method methods_probe[] = {
    {
        .name = "probe.status",
        .role = ROLE_VIEWER,
        .summary = "The softflowd of each Linux bridge: does it run, and if "
                   "not, why.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"probes\",\"refused\","
            "\"error\"],\"properties\":{"
            "\"refused\":{\"type\":\"integer\"},"
            "\"error\":{\"type\":[\"string\",\"null\"]},"
            "\"probes\":{\"type\":\"array\",\"items\":{"
            "\"type\":\"object\",\"required\":[\"interface\",\"state\"],"
            "\"properties\":{\"interface\":{\"type\":\"string\"},"
            "\"ifindex\":{\"type\":\"integer\"},"
            "\"kind\":{\"enum\":[\"bridge\",\"interface\"]},"
            "\"state\":{\"enum\":[\"down\",\"starting\",\"running\","
            "\"failed\",\"stopping\",\"held\"]},"
            "\"policy\":{\"type\":[\"string\",\"null\"]},"
            "\"reason\":{\"type\":[\"string\",\"null\"]},"
            "\"pid\":" INTEGER_OR_NULL ",\"running_s\":" INTEGER_OR_NULL ","
            "\"starts\":{\"type\":\"integer\"}}}}}}",
        .example_result =
            "{\"probes\":[{\"interface\":\"virbr0\",\"ifindex\":4,"
            "\"kind\":\"bridge\",\"state\":\"running\",\"reason\":null,"
            "\"pid\":4712,\"running_s\":3600,\"starts\":1}],"
            "\"refused\":0,\"error\":null}",
        .call = probe_status,
    },
    { .name = NULL }
};
