#include <config.h>

#include "api/config_alert.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/json.h"
#include "api/methods.h"
#include "collector/filter/filter.h"
#include "lib/addr.h"
#include "lib/clock.h"

#define PATH "/venturi:venturi/alert/"

/* What is being read, for messages. */
struct place {
    struct config_error *e;
    const char *list, *name;
    struct json_object *o;
};

static int __attribute__((format(printf, 3, 4)))
refuse(const struct place *p, const char *leaf, const char *format, ...)
{
    va_list args;
    snprintf(p->e->path, sizeof p->e->path, PATH "%s[name='%.60s']/%s",
             p->list, p->name, leaf);
    va_start(args, format);
    vsnprintf(p->e->message, sizeof p->e->message, format, args);
    va_end(args);
    return -EINVAL;
}

static int
find_word(const char *text, const char *const *words, unsigned n)
{
    for (unsigned i = 0; text && i < n; i++) {
        if (!strcmp(text, words[i])) {
            return (int) i;
        }
    }
    return 0;                   /* The model lets no others through. */
}

/* "100M": the model has checked the form. */
static double
number(struct json_object *o, const char *leaf)
{
    const char *text = json_text(o, leaf);
    char *end;
    double v = text ? strtod(text, &end) : 0;
    return !text ? 0 : *end == 'k' ? v * 1e3 : *end == 'M' ? v * 1e6
           : *end == 'G' ? v * 1e9 : *end == 'T' ? v * 1e12 : v;
}

static int
seconds(const struct place *p, const char *leaf, uint32_t most, uint32_t *s)
{
    const char *text = json_text(p->o, leaf);
    int64_t us;
    if (duration_parse_us(text, &us) || us > (int64_t) most * 1000000) {
        char buf[32];
        snprintf(buf, sizeof buf, "%u", most);
        return refuse(p, leaf, "%s is too long; expected at most %ss", text,
                      buf);
    }
    *s = (uint32_t) (us / 1000000);
    return 0;
}

static int
get_keys(const struct place *p, struct alert_rule *r)
{
    struct json_object *list = json_member(p->o, "by");
    size_t n = list ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < n; i++) {
        const char *text = json_object_get_string(
            json_object_array_get_idx(list, i));
        if (i == ALERT_KEYS) {
            return refuse(p, "by", "at most %d columns", ALERT_KEYS);
        } else if (alert_key_parse(text, &r->keys[i])) {
            return refuse(p, "by", "%.80s cannot be grouped by; expected a "
                          "column such as dst_addr, src_addr/24 or "
                          "src_tenant (flow.columns lists them)", text);
        }
        r->n_keys++;
    }
    if (alert_keys_size(r->keys, r->n_keys) > ALERT_KEY_SIZE) {
        return refuse(p, "by", "these columns have %u bytes together; at most "
                      "%d can be a key", alert_keys_size(r->keys, r->n_keys),
                      ALERT_KEY_SIZE);
    }
    return 0;
}

static int
check_measure(const struct place *p, const struct alert_rule *r)
{
    if (!r->enabled) {
        return 0;               /* To switch a built-in one off, a name will
                                 * do. */
    } else if (r->type == ALERT_THRESHOLD && r->above <= 0) {
        return refuse(p, "above", "a rule of type threshold needs one, such as "
                      "100M");
    } else if (r->type == ALERT_BASELINE && r->ratio < 1.1) {
        return refuse(p, "ratio", "%g is too little; expected 1.1 or more",
                      r->ratio);
    } else if (r->type == ALERT_BASELINE && r->minimum <= 0) {
        return refuse(p, "minimum", "a rule of type baseline needs one, such "
                      "as 10M: what is less is never an alert");
    } else if (r->type == ALERT_NEW && !r->n_keys) {
        return refuse(p, "by", "a rule of type new needs a column: what is "
                      "it that can be new?");
    } else if (r->type == ALERT_NEW && r->remember_s < 3600) {
        return refuse(p, "remember", "expected 1h or more");
    }
    return 0;
}

static int
get_deliver(struct json_object *list, struct alert_rule *r)
{
    size_t n = list ? json_object_array_length(list) : 0;

    for (size_t i = 0; i < n && i < ALERT_DELIVER_MAX; i++) {
        r->deliver[i] = strdup(json_object_get_string(
            json_object_array_get_idx(list, i)));
        if (!r->deliver[i]) {
            return -ENOMEM;
        }
        r->n_deliver++;
    }
    return 0;
}

static int
get_rule(const struct place *p, struct alert_rule *r)
{
    struct filter_error fe;
    const char *filter = json_text(p->o, "filter");
    const char *exporter = json_text(p->o, "exporter");

    snprintf(r->name, sizeof r->name, "%s", p->name);
    r->enabled = json_object_get_boolean(json_member(p->o, "enabled"));
    r->type = (enum alert_type) find_word(json_text(p->o, "type"),
                                          alert_type_names, N_ALERT_TYPES);
    r->metric = (enum alert_metric) find_word(
        json_text(p->o, "metric"), alert_metric_names, N_ALERT_METRICS);
    event_severity_find(json_text(p->o, "severity"), &r->severity);
    r->above = number(p->o, "above");
    r->ratio = number(p->o, "ratio");
    r->minimum = number(p->o, "minimum");
    r->table = (uint32_t) json_object_get_int64(json_member(p->o, "keys"));
    r->filter = strdup(filter ? filter : "");
    r->exporter = exporter ? strdup(exporter) : NULL;
    if (!r->filter || (exporter && !r->exporter)
        || get_deliver(json_member(p->o, "deliver"), r)) {
        return -ENOMEM;
    }
    struct filter *f = filter_parse(r->filter, &fe);
    if (!f) {
        return refuse(p, "filter", "%s at position %zu", fe.message,
                      fe.position);
    }
    filter_destroy(f);
    int err = seconds(p, "hold", 86400, &r->hold_s);
    err = err ? err : seconds(p, "clear", 86400, &r->clear_s);
    err = err ? err : seconds(p, "learn", 30 * 86400, &r->learn_s);
    err = err ? err : seconds(p, "remember", 366 * 86400, &r->remember_s);
    err = err ? err : get_keys(p, r);
    return err ? err : check_measure(p, r);
}

static int
get_words(const struct place *p, const char *leaf, struct config_delivery *d)
{
    struct json_object *list = json_member(p->o, leaf);
    size_t n = list ? json_object_array_length(list) : 0;

    if (n > DELIVERY_WORDS) {
        return refuse(p, leaf, "at most %d", DELIVERY_WORDS);
    }
    for (size_t i = 0; i < n; i++) {
        const char *text = json_object_get_string(
            json_object_array_get_idx(list, i));
        if (strpbrk(text, "\r\n")) {
            return refuse(p, leaf, "a line has no line feed");
        }
        d->words[i] = strdup(text);
        if (!d->words[i]) {
            return -ENOMEM;
        }
        d->n_words++;
    }
    return 0;
}

static int
get_delivery(const struct place *p, struct config_delivery *d)
{
    static const char *const types[] = { "webhook", "exec", "syslog" };
    const char *url = json_text(p->o, "url");
    const char *server = json_text(p->o, "server");
    struct addr a;
    uint16_t port;
    uint32_t s = 0;

    snprintf(d->name, sizeof d->name, "%s", p->name);
    d->type = (enum delivery_type) find_word(json_text(p->o, "type"), types,
                                             3);
    event_severity_find(json_text(p->o, "severity"), &d->severity);
    d->retries = (unsigned) json_object_get_int64(json_member(p->o,
                                                              "retries"));
    d->url = url ? strdup(url) : NULL;
    d->server = server ? strdup(server) : NULL;
    int err = seconds(p, "timeout", 60, &s);
    d->timeout_ms = s ? s * 1000 : 1000;
    err = err ? err : get_words(p, d->type == DELIVER_EXEC ? "command"
                                                           : "header", d);
    if (err) {
        return err;
    } else if (d->type == DELIVER_WEBHOOK
               && (!url || (strncmp(url, "http://", 7)
                            && strncmp(url, "https://", 8)))) {
        return refuse(p, "url", "a webhook needs one: http:// or https://");
    } else if (d->type == DELIVER_EXEC
               && (!d->n_words || d->words[0][0] != '/')) {
        return refuse(p, "command", "expected the path of a program, from / "
                      "on, and its arguments: there is no shell");
    } else if (d->type == DELIVER_SYSLOG && server && server[0] != '/'
               && endpoint_parse(server, 514, &a, &port)) {
        return refuse(p, "server", "%.80s is not IP:PORT or the path of a "
                      "socket", server);
    }
    return 0;
}

static bool
named(const struct config_alert *c, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(c->rules[i].name, name)) {
            return true;
        }
    }
    return false;
}

static int
add_builtin(struct config_alert *c, bool wanted)
{
    size_t n = c->n_rules;

    for (size_t i = 0; wanted && i < n_alert_builtin; i++) {
        if (!named(c, n, alert_builtin[i].name)) {
            int err = alert_rule_copy(&c->rules[c->n_rules],
                                      &alert_builtin[i]);
            if (err) {
                return err;
            }
            c->n_rules++;
        }
    }
    return 0;
}

static int
check_names(const struct config_alert *c, struct config_error *e)
{
    for (size_t i = 0; i < c->n_rules; i++) {
        const struct alert_rule *r = &c->rules[i];
        struct place p = { e, "rule", r->name, NULL };
        for (unsigned k = 0; k < r->n_deliver; k++) {
            bool there = false;
            for (size_t j = 0; j < c->n_deliveries; j++) {
                there |= !strcmp(c->deliveries[j].name, r->deliver[k]);
            }
            if (!there) {
                return refuse(&p, "deliver", "there is no alert/delivery "
                              "%.60s", r->deliver[k]);
            }
        }
    }
    return 0;
}

int
config_alert_make(struct json_object *root, struct config_alert **out,
                  struct config_error *e)
{
    struct json_object *o = json_member(root, "alert");
    struct json_object *rules = json_member(o, "rule");
    struct json_object *list = json_member(o, "delivery");
    size_t n = rules ? json_object_array_length(rules) : 0;
    size_t n_list = list ? json_object_array_length(list) : 0;
    struct config_alert *c = calloc(1, sizeof *c);
    int err = c ? 0 : -ENOMEM;

    *out = NULL;
    if (!err) {
        c->rules = calloc(n + n_alert_builtin, sizeof *c->rules);
        c->deliveries = calloc(n_list + 1, sizeof *c->deliveries);
        err = c->rules && c->deliveries ? 0 : -ENOMEM;
    }
    for (size_t i = 0; i < n_list && !err; i++) {
        struct place p = { e, "delivery", NULL,
                           json_object_array_get_idx(list, i) };
        p.name = json_text(p.o, "name");
        c->n_deliveries++;
        err = get_delivery(&p, &c->deliveries[i]);
    }
    for (size_t i = 0; i < n && !err; i++) {
        struct place p = { e, "rule", NULL,
                           json_object_array_get_idx(rules, i) };
        p.name = json_text(p.o, "name");
        c->n_rules++;
        err = get_rule(&p, &c->rules[i]);
    }
    if (!err) {
        err = add_builtin(c, json_object_get_boolean(json_member(o,
                                                                 "builtin")));
    }
    err = err ? err : check_names(c, e);
    if (err) {
        config_alert_destroy(c);
        return err;
    }
    *out = c;
    return 0;
}

void
config_alert_destroy(struct config_alert *c)
{
    if (c) {
        for (size_t i = 0; i < c->n_rules; i++) {
            alert_rule_clear(&c->rules[i]);
        }
        for (size_t i = 0; i < c->n_deliveries; i++) {
            struct config_delivery *d = &c->deliveries[i];
            for (unsigned k = 0; k < d->n_words; k++) {
                free(d->words[k]);
            }
            free(d->url);
            free(d->server);
        }
        free(c->rules);
        free(c->deliveries);
        free(c);
    }
}

/* ---- Back. ---- */

static void
put_number(struct json_object *o, const char *name, double v)
{
    static const char units[] = { 'T', 'G', 'M', 'k' };
    double scale = 1e12;
    char text[40];

    for (unsigned i = 0; i < sizeof units; i++, scale /= 1e3) {
        if (v >= scale) {
            snprintf(text, sizeof text, "%.6g%c", v / scale, units[i]);
            reply_string(o, name, text);
            return;
        }
    }
    snprintf(text, sizeof text, "%.6g", v);
    reply_string(o, name, text);
}

static void
put_seconds(struct json_object *o, const char *name, uint32_t s)
{
    char text[24];
    snprintf(text, sizeof text, s && s % 86400 == 0 ? "%ud"
             : s && s % 3600 == 0 ? "%uh" : "%us",
             s && s % 86400 == 0 ? s / 86400
             : s && s % 3600 == 0 ? s / 3600 : s);
    reply_string(o, name, text);
}

struct json_object *
config_alert_rule(const struct alert_rule *r)
{
    struct json_object *o = json_object_new_object();
    struct json_object *by = json_object_new_array();
    struct json_object *deliver = json_object_new_array();
    char key[ALERT_KEY_STRLEN];

    reply_string(o, "name", r->name);
    reply_bool(o, "enabled", r->enabled);
    reply_string(o, "type", alert_type_names[r->type]);
    reply_string(o, "severity", event_severity_name(r->severity));
    if (r->type == ALERT_SILENCE) {
        reply_string(o, "exporter", r->exporter ? r->exporter : "*");
    } else {
        reply_string(o, "metric", alert_metric_names[r->metric]);
        reply_string(o, "filter", r->filter);
        for (unsigned i = 0; i < r->n_keys; i++) {
            json_object_array_add(by, json_object_new_string(
                alert_key_format(&r->keys[i], key)));
        }
        json_object_object_add(o, "by", json_object_get(by));
        put_seconds(o, "hold", r->hold_s);
        put_seconds(o, "clear", r->clear_s);
        reply_uint(o, "keys", r->table);
    }
    if (r->type == ALERT_THRESHOLD) {
        put_number(o, "above", r->above);
    } else if (r->type == ALERT_BASELINE) {
        put_number(o, "ratio", r->ratio);
        put_number(o, "minimum", r->minimum);
        put_seconds(o, "learn", r->learn_s);
    } else if (r->type == ALERT_NEW) {
        put_number(o, "minimum", r->minimum);
        put_seconds(o, "learn", r->learn_s);
        put_seconds(o, "remember", r->remember_s);
    }
    for (unsigned i = 0; i < r->n_deliver; i++) {
        json_object_array_add(deliver, json_object_new_string(
            r->deliver[i]));
    }
    json_object_object_add(o, "deliver", deliver);
    json_object_put(by);
    return o;
}
