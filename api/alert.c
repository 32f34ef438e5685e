#include <config.h>

#include "api/alert.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/alert_file.h"
#include "api/alert_p.h"
#include "api/context.h"
#include "api/json.h"
#include "api/methods.h"
#include "lib/clock.h"
#include "lib/event.h"
#include "lib/log.h"
#include "lib/text.h"

#define TO_TEXT (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define SAVE_S 2                /* Changes are written after so long; */
#define LEARNED_S 300           /* what was learned, once in so long. */
#define ALERT_EVENT_MAX 9000    /* Of the detail in an event; if it is more, its
                                 * texts are cut. */
#define ORPHAN_S 120            /* An alert of before a restart that is not
                                 * raised again is over. */

/* One that is raised, or was. */
struct alert {
    uint64_t id;
    char rule[ALERT_NAME];
    char *subject;              /* The key: "10.0.0.5". */
    enum event_severity severity;
    int64_t raised_us, cleared_us;      /* 'cleared_us' 0: it is raised. */
    int64_t acknowledged_us;
    char *who, *comment;        /* Of who did that, or NULL. */
    bool muted;                 /* When it was raised. */
    bool orphan;                /* Of before a restart. */
    struct json_object *detail;
    char *message;
    char *text;                 /* All of it as JSON; NULL: it has changed. */
};

struct mute {
    char *rule, *subject, *who, *comment;       /* Or NULL. */
    int64_t since_us, until_us;
};

struct alerts {
    struct alert_files *files;
    struct alert_engine *engine;
    struct deliveries *deliveries;
    struct api_context *context;
    const struct config_alert *config;
    struct alert *list[ALERTS_MAX];     /* The oldest first. */
    size_t n;
    struct mute mutes[MUTES_MAX];
    size_t n_mutes;
    uint64_t next;
    bool dirty;
    int64_t now_us, opened_us, saved_us, learned_us;
};

const struct config_alert *
alerts_config(const struct alerts *a)
{
    return a->config;
}

struct alert_engine *
alerts_engine(const struct alerts *a)
{
    return a->engine;
}

struct deliveries *
alerts_deliveries(const struct alerts *a)
{
    return a->deliveries;
}

static char *
copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void
alert_free(struct alert *x)
{
    if (x) {
        free(x->subject);
        free(x->who);
        free(x->comment);
        free(x->message);
        free(x->text);
        json_object_put(x->detail);
        free(x);
    }
}

static void
mute_clear(struct mute *m)
{
    free(m->rule);
    free(m->subject);
    free(m->who);
    free(m->comment);
    memset(m, 0, sizeof *m);
}

/* ---- Files: STATE/alerts/alerts.json, learned. ---- */

static struct json_object *
alert_to_json(const struct alert *x)
{
    struct json_object *o = json_object_new_object();

    reply_uint(o, "id", x->id);
    reply_string(o, "rule", x->rule);
    reply_string(o, "subject", x->subject);
    reply_string(o, "state", x->cleared_us ? "cleared" : "raised");
    reply_string(o, "severity", event_severity_name(x->severity));
    reply_string(o, "message", x->message);
    reply_time(o, "raised", x->raised_us);
    reply_time(o, "cleared", x->cleared_us);
    reply_time(o, "acknowledged", x->acknowledged_us);
    reply_string(o, "acknowledged_by", x->who);
    reply_string(o, "comment", x->comment);
    reply_bool(o, "muted", x->muted);
    json_object_object_add(o, "detail", json_object_get(x->detail));
    return o;
}

static struct json_object *
mute_to_json(const struct mute *m)
{
    struct json_object *o = json_object_new_object();

    reply_string(o, "rule", m->rule);
    reply_string(o, "subject", m->subject);
    reply_time(o, "since", m->since_us);
    reply_time(o, "until", m->until_us);
    reply_string(o, "by", m->who);
    reply_string(o, "comment", m->comment);
    return o;
}

/* An alert's text is kept: most do not change. */
static const char *
text_of(struct alert *x)
{
    if (!x->text) {
        struct json_object *o = alert_to_json(x);
        x->text = copy_text(json_object_to_json_string_ext(o, TO_TEXT));
        json_object_put(o);
    }
    return x->text;
}

/* All there is; NULL: no memory. */
static char *
file_text(struct alerts *a, size_t *size)
{
    struct json_object *mutes = json_object_new_array();
    const char *comma = "";
    char *text = NULL;
    FILE *f = open_memstream(&text, size);

    if (!f) {
        return NULL;
    }
    for (size_t i = 0; i < a->n_mutes; i++) {
        json_object_array_add(mutes, mute_to_json(&a->mutes[i]));
    }
    fprintf(f, "{\"next\":%" PRIu64 ",\"alerts\":[", a->next);
    for (size_t i = 0; i < a->n; i++) {
        const char *one = text_of(a->list[i]);
        if (one) {
            fprintf(f, "%s%s", comma, one);
            comma = ",";
        }
    }
    fprintf(f, "],\"mutes\":%s}",
            json_object_to_json_string_ext(mutes, TO_TEXT));
    json_object_put(mutes);
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

/* 'now': before it is answered. */
static void
save(struct alerts *a, bool now)
{
    size_t size;
    char *text = file_text(a, &size);

    a->saved_us = a->now_us;
    if (text) {
        a->dirty = false;
        if (now) {
            alert_files_write(a->files, text, size);
        } else {
            alert_files_put(a->files, text, size);
        }
    }
}

static int
fill_learned(void *engine, FILE *f)
{
    return alert_engine_save(engine, f);
}

static void
save_learned(struct alerts *a)
{
    a->learned_us = a->now_us;
    alert_files_learned(a->files);
}

static int64_t
time_at(struct json_object *o, const char *name)
{
    int64_t us = 0;
    const char *text = json_text(o, name);
    return text && !time_parse_us(text, 0, &us) ? us : 0;
}

static void
load_alert(struct alerts *a, struct json_object *o)
{
    struct alert *x = calloc(1, sizeof *x);
    const char *rule = json_text(o, "rule"), *subject = json_text(o,
                                                                  "subject");
    const char *severity = json_text(o, "severity");
    const char *message = json_text(o, "message");

    if (!x || !rule || !subject || !severity || !message
        || a->n == ALERTS_MAX) {
        free(x);
        return;
    }
    x->id = json_object_get_uint64(json_member(o, "id"));
    snprintf(x->rule, sizeof x->rule, "%s", rule);
    x->subject = strdup(subject);
    x->message = strdup(message);
    event_severity_find(severity, &x->severity);
    x->raised_us = time_at(o, "raised");
    x->cleared_us = time_at(o, "cleared");
    x->acknowledged_us = time_at(o, "acknowledged");
    x->who = copy_text(json_text(o, "acknowledged_by"));
    x->comment = copy_text(json_text(o, "comment"));
    x->muted = json_object_get_boolean(json_member(o, "muted"));
    x->orphan = !x->cleared_us;
    x->detail = json_object_get(json_member(o, "detail"));
    if (!x->subject || !x->message) {
        alert_free(x);
        return;
    }
    a->next = x->id >= a->next ? x->id + 1 : a->next;
    a->list[a->n++] = x;
}

static void
load_mute(struct alerts *a, struct json_object *o)
{
    if (a->n_mutes < MUTES_MAX) {
        a->mutes[a->n_mutes++] = (struct mute) {
            copy_text(json_text(o, "rule")), copy_text(json_text(o,
                                                                 "subject")),
            copy_text(json_text(o, "by")), copy_text(json_text(o, "comment")),
            time_at(o, "since"), time_at(o, "until"),
        };
    }
}

static void
load(struct alerts *a)
{
    struct json_limits limits = json_default_limits;
    struct json_object *o = NULL;
    const char *path = alert_files_path(a->files, ALERT_FILE_ALERTS);
    char *text = NULL;
    size_t size = 0;

    limits.size = 64u << 20;
    limits.values = limits.containers = UINT32_MAX;
    FILE *f = fopen(path, "re");
    if (f && !fseek(f, 0, SEEK_END) && ftell(f) > 0
        && ftell(f) < (64l << 20)) {
        size = (size_t) ftell(f);
        rewind(f);
        text = malloc(size);
        size = text ? fread(text, 1, size, f) : 0;
    }
    if (f) {
        fclose(f);
    }
    if (text && json_parse(text, size, &limits, 0, &o, NULL)) {
        LOG(store, NOTICE, "%s cannot be read: alerts and mutes of before are "
            "forgotten", path);
    }
    struct json_object *list = json_member(o, "alerts");
    struct json_object *mutes = json_member(o, "mutes");
    a->next = json_object_get_uint64(json_member(o, "next"));
    a->next = a->next ? a->next : 1;
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        load_alert(a, json_object_array_get_idx(list, i));
    }
    for (size_t i = 0; mutes && i < json_object_array_length(mutes); i++) {
        load_mute(a, json_object_array_get_idx(mutes, i));
    }
    json_object_put(o);
    free(text);
}

static void
load_learned(struct alerts *a)
{
    const char *path = alert_files_path(a->files, ALERT_FILE_LEARNED);
    FILE *f = fopen(path, "re");
    if (f) {
        if (alert_engine_load(a->engine, f)) {
            LOG(store, NOTICE, "%s is damaged: rules learn anew what they do "
                "not find there", path);
        }
        fclose(f);
    }
}

struct alerts *
alerts_open(const char *dir, struct alert_engine *engine,
            struct deliveries *deliveries, struct api_context *context,
            int64_t now_us)
{
    struct alerts *a = calloc(1, sizeof *a);

    if (!a || !(a->files = alert_files_create(dir, fill_learned, engine))) {
        free(a);
        return NULL;
    }
    a->engine = engine;
    a->deliveries = deliveries;
    a->context = context;
    a->now_us = a->opened_us = a->learned_us = now_us;
    load(a);
    return a;
}

void
alerts_close(struct alerts *a)
{
    if (a) {
        a->now_us = clock_wall_us();
        save(a, true);
        if (a->config) {
            save_learned(a);
        }
        alert_files_destroy(a->files);
        for (size_t i = 0; i < a->n; i++) {
            alert_free(a->list[i]);
        }
        for (size_t i = 0; i < a->n_mutes; i++) {
            mute_clear(&a->mutes[i]);
        }
        free(a);
    }
}

/* ---- Raised and cleared. ---- */

static void
forget_text(struct alert *x)
{
    free(x->text);
    x->text = NULL;
}

static bool
matches(const char *pattern, const char *text)
{
    return !pattern || !fnmatch(pattern, text, FNM_NOESCAPE);
}

static bool
is_muted(const struct alerts *a, const char *rule, const char *subject)
{
    for (size_t i = 0; i < a->n_mutes; i++) {
        const struct mute *m = &a->mutes[i];
        if (m->until_us > a->now_us && matches(m->rule, rule)
            && matches(m->subject, subject)) {
            return true;
        }
    }
    return false;
}

static struct alert *
find_active(const struct alerts *a, const char *rule, const char *subject)
{
    for (size_t i = a->n; i > 0; i--) {
        struct alert *x = a->list[i - 1];
        if (!x->cleared_us && !strcmp(x->rule, rule)
            && !strcmp(x->subject, subject)) {
            return x;
        }
    }
    return NULL;
}

/* Room for one more: the oldest that is cleared goes, or the oldest. */
static void
make_room(struct alerts *a)
{
    size_t i = 0;

    while (i < a->n && !a->list[i]->cleared_us) {
        i++;
    }
    i = i < a->n ? i : 0;
    alert_free(a->list[i]);
    a->n--;
    memmove(&a->list[i], &a->list[i + 1], (a->n - i) * sizeof a->list[0]);
}

/* Texts of at most 'max' bytes, so that all members find room. */
static struct json_object *
shorten(struct json_object *o, size_t max)
{
    struct json_object *copy;

    if (json_object_is_type(o, json_type_string)) {
        return alert_text(json_object_get_string(o), max);
    } else if (json_object_is_type(o, json_type_object)) {
        copy = json_object_new_object();
        json_object_object_foreach(o, name, value) {
            json_object_object_add(copy, name, shorten(value, max));
        }
    } else if (json_object_is_type(o, json_type_array)) {
        copy = json_object_new_array();
        for (size_t i = 0; i < json_object_array_length(o); i++) {
            json_object_array_add(copy, shorten(
                json_object_array_get_idx(o, i), max));
        }
    } else {
        return json_object_get(o);
    }
    return copy;
}

/* What an event has room for; alert.list has all of it. */
static struct json_object *
short_detail(struct json_object *detail)
{
    struct json_object *o = json_object_get(detail);

    for (size_t max = 256; max >= 32 && strlen(
             json_object_to_json_string_ext(o, TO_TEXT)) > ALERT_EVENT_MAX;
         max /= 2) {
        json_object_put(o);
        o = shorten(detail, max);
        reply_bool(o, "shortened", true);
    }
    return o;
}

static void
send_out(struct alerts *a, struct alert *x, const struct alert_rule *rule,
         const char *message)
{
    const char *text = text_of(x);

    if (text) {
        deliveries_send(a->deliveries, rule ? rule->deliver : NULL,
                        rule ? rule->n_deliver : 0, x->severity, text,
                        message);
    }
}

static void
tell(struct alerts *a, struct alert *x, const struct alert_rule *rule,
     enum event_kind kind)
{
    struct json_object *context = short_detail(x->detail);
    struct json_object *short_subject = alert_text(x->subject,
                                                   EVENT_SUBJECT_MAX);
    const char *detail = json_object_to_json_string_ext(context, TO_TEXT);
    char subject[EVENT_SUBJECT_MAX + 1], message[EVENT_MESSAGE_MAX + 1];
    enum event_severity severity = kind == EVENT_alert_raised
                                   ? x->severity : EVENT_S_INFO;

    snprintf(subject, sizeof subject, "%s %s", x->rule, x->subject);
    snprintf(message, sizeof message, "%s%s%s", kind == EVENT_alert_raised
             ? "" : "over: ", x->message, x->muted ? " (muted)" : "");
    event_post_as(kind, severity, subject,
                  EVENT_DETAIL(EVENT_INT("alert", (int64_t) x->id),
                               EVENT_TEXT("rule", x->rule),
                               EVENT_TEXT("subject", json_object_get_string(
                                   short_subject)),
                               EVENT_TIME("raised", x->raised_us),
                               EVENT_JSON("muted", x->muted ? "true"
                                                            : "false"),
                               EVENT_JSON("context", detail)),
                  "%s", message);
    json_object_put(context);
    json_object_put(short_subject);
    if (!x->muted && !x->acknowledged_us) {
        send_out(a, x, rule, message);
    }
}

/* Takes over 'detail' and 'message'. */
static void
raise(struct alerts *a, const struct alert_rule *rule, const char *subject,
      char *message, struct json_object *detail)
{
    struct alert *x = find_active(a, rule->name, subject);

    if (x) {                    /* It was before a restart, and is still. */
        x->orphan = false;
        free(message);
        json_object_put(detail);
        return;
    }
    if (a->n == ALERTS_MAX) {
        make_room(a);
    }
    x = calloc(1, sizeof *x);
    if (!x || !(x->subject = strdup(subject)) || !message) {
        alert_free(x);
        free(message);
        json_object_put(detail);
        return;
    }
    x->id = a->next++;
    snprintf(x->rule, sizeof x->rule, "%s", rule->name);
    x->severity = rule->severity;
    x->raised_us = a->now_us;
    x->message = message;
    x->detail = detail;
    x->muted = is_muted(a, rule->name, subject);
    a->list[a->n++] = x;
    a->dirty = true;
    tell(a, x, rule, EVENT_alert_raised);
}

static void
clear(struct alerts *a, const struct alert_rule *rule, const char *name,
      const char *subject, const struct alert_change *c)
{
    struct alert *x = find_active(a, name, subject);

    if (!x) {
        return;
    }
    x->cleared_us = a->now_us;
    forget_text(x);
    if (c && x->detail) {
        json_object_object_add(x->detail, "peak",
                               json_object_new_double(c->peak));
        reply_bool(x->detail, "became_usual", c->usual);
    }
    a->dirty = true;
    tell(a, x, rule, EVENT_alert_cleared);
}

static void
on_change(void *alerts, const struct alert_change *c)
{
    struct alerts *a = alerts;
    char *subject = alert_subject(a->context, c);

    if (!subject) {
        return;
    }
    if (c->raised) {
        char *message = NULL;
        struct json_object *detail = alert_detail(a->context, c, a->now_us,
                                                  &message);
        raise(a, c->rule, subject, message, detail);
    } else {
        clear(a, c->rule, c->rule->name, subject, c);
    }
    free(subject);
}

static const struct alert_rule *
rule_named(const struct alerts *a, const char *name)
{
    for (size_t i = 0; a->config && i < a->config->n_rules; i++) {
        if (!strcmp(a->config->rules[i].name, name)) {
            return &a->config->rules[i];
        }
    }
    return NULL;
}

/* No rule raises them any more: those of the engine were told already, silence
 * is ours. */
static void
clear_unruled(struct alerts *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct alert *x = a->list[i];
        const struct alert_rule *r = rule_named(a, x->rule);
        const char *exporter = x->detail ? json_text(x->detail, "exporter")
                                         : NULL;
        if (!x->cleared_us
            && (!r || !r->enabled
                || (r->type == ALERT_SILENCE
                    && !matches(r->exporter, exporter ? exporter : "")))) {
            clear(a, r, x->rule, x->subject, NULL);
        }
    }
}

int
alerts_configure(struct alerts *a, const struct config_alert *config)
{
    struct filter_error error;
    size_t bad;
    bool first = !a->config;

    a->now_us = clock_wall_us();
    int err = alert_engine_set(a->engine, config->rules, config->n_rules,
                               &bad, &error, on_change, a);
    a->config = config;         /* The one of before may go. */
    clear_unruled(a);
    if (err) {
        return err;
    }
    if (first) {
        load_learned(a);
        alert_engine_next(a->engine, a->next);
    }
    return deliveries_set(a->deliveries, config->deliveries,
                          config->n_deliveries);
}

/* Alerts of before a restart that nobody raised again; those of exporters that
 * are silent wait for them. */
static void
clear_orphans(struct alerts *a)
{
    if (a->now_us - a->opened_us < ORPHAN_S * INT64_C(1000000)) {
        return;
    }
    for (size_t i = 0; i < a->n; i++) {
        struct alert *x = a->list[i];
        const struct alert_rule *r = rule_named(a, x->rule);
        if (x->orphan && !x->cleared_us
            && (!r || r->type != ALERT_SILENCE)) {
            clear(a, r, x->rule, x->subject, NULL);
        }
        x->orphan = false;
    }
}

/* Nobody was told of what was raised meanwhile. */
static void
tell_unmuted(struct alerts *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct alert *x = a->list[i];
        if (x->muted && !x->cleared_us
            && !is_muted(a, x->rule, x->subject)) {
            x->muted = false;
            forget_text(x);
            a->dirty = true;
            if (!x->acknowledged_us) {
                send_out(a, x, rule_named(a, x->rule), x->message);
            }
        }
    }
}

static void
drop_mutes(struct alerts *a)
{
    size_t n = 0, before = a->n_mutes;

    for (size_t i = 0; i < a->n_mutes; i++) {
        if (a->mutes[i].until_us > a->now_us) {
            a->mutes[n++] = a->mutes[i];
        } else {
            mute_clear(&a->mutes[i]);
            a->dirty = true;
        }
    }
    a->n_mutes = n;
    if (n < before) {
        tell_unmuted(a);
    }
}

void
alerts_tick(struct alerts *a, int64_t now_us, double elapsed)
{
    a->now_us = now_us;
    alert_engine_tick(a->engine, now_us / 1000000, elapsed, on_change, a);
    clear_orphans(a);
    drop_mutes(a);
    bool due = now_us - a->saved_us >= SAVE_S * INT64_C(1000000);
    bool was_dirty = a->dirty;
    if (was_dirty && due) {
        save(a, false);
    }
    if ((was_dirty && due)
        || now_us - a->learned_us >= LEARNED_S * INT64_C(1000000)) {
        save_learned(a);
    }
}

void
alerts_exporter(struct alerts *a, const struct exporter_change *c)
{
    char address[ADDR_STRLEN], subject[ADDR_STRLEN + 32], last[TIME_STRLEN];
    const char *protocol = column_word_name(&columns[COL_export_protocol],
                                            c->protocol);

    addr_format(&c->exporter, address);
    snprintf(subject, sizeof subject, "%s %s", address,
             protocol ? protocol : "unknown");
    a->now_us = clock_wall_us();
    for (size_t i = 0; a->config && i < a->config->n_rules; i++) {
        const struct alert_rule *r = &a->config->rules[i];
        if (r->type != ALERT_SILENCE || !r->enabled
            || !matches(r->exporter, address)) {
            continue;
        }
        if (c->kind != EVENT_exporter_silent) {
            clear(a, r, r->name, subject, NULL);
        } else {
            struct json_object *detail = json_object_new_object();
            char *message = NULL;
            reply_string(detail, "type", "silence");
            reply_string(detail, "exporter", address);
            reply_string(detail, "protocol", protocol);
            reply_time(detail, "last", c->last_us);
            reply_string(detail, "command", "venturictl exporters");
            if (asprintf(&message, "%s: nothing comes from %s (%s) since %s",
                         r->name, address, protocol ? protocol : "unknown",
                         time_format_us(c->last_us, last)) < 0) {
                message = NULL;
            }
            raise(a, r, subject, message, detail);
        }
    }
}

/* ---- For the methods. ---- */

struct json_object *
alerts_list(const struct alerts *a, bool active, const char *rule,
            int64_t limit)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = a->n; i > 0 && limit > 0; i--) {
        const struct alert *x = a->list[i - 1];
        if ((!active || !x->cleared_us) && (!rule || !strcmp(rule, x->rule))) {
            json_object_array_add(list, alert_to_json(x));
            limit--;
        }
    }
    return list;
}

static struct alert *
find(const struct alerts *a, uint64_t id)
{
    for (size_t i = 0; i < a->n; i++) {
        if (a->list[i]->id == id) {
            return a->list[i];
        }
    }
    return NULL;
}

struct json_object *
alerts_get(const struct alerts *a, uint64_t id)
{
    const struct alert *x = find(a, id);
    return x ? alert_to_json(x) : NULL;
}

int
alerts_acknowledge(struct alerts *a, uint64_t id, const char *who,
                   const char *comment, int64_t now_us)
{
    struct alert *x = find(a, id);

    if (!x) {
        return -ENOENT;
    }
    free(x->who);
    free(x->comment);
    x->who = copy_text(who);
    x->comment = copy_text(comment);
    x->acknowledged_us = now_us;
    forget_text(x);
    a->now_us = now_us;
    save(a, true);
    return 0;
}

struct json_object *
alerts_mutes(const struct alerts *a, int64_t now_us)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < a->n_mutes; i++) {
        if (a->mutes[i].until_us > now_us) {
            json_object_array_add(list, mute_to_json(&a->mutes[i]));
        }
    }
    return list;
}

int
alerts_mute(struct alerts *a, const char *rule, const char *subject,
            const char *who, const char *comment, int64_t now_us,
            int64_t until_us)
{
    struct mute *m = NULL;

    a->now_us = now_us;
    drop_mutes(a);
    for (size_t i = 0; i < a->n_mutes && !m; i++) {
        if (text_equal(a->mutes[i].rule, rule)
            && text_equal(a->mutes[i].subject, subject)) {
            m = &a->mutes[i];
        }
    }
    if (!m && a->n_mutes == MUTES_MAX) {
        return -ENOSPC;
    }
    if (m) {
        mute_clear(m);
    } else {
        m = &a->mutes[a->n_mutes++];
    }
    *m = (struct mute) { copy_text(rule), copy_text(subject), copy_text(who),
                         copy_text(comment), now_us, until_us };
    drop_mutes(a);
    save(a, true);
    return 0;
}
