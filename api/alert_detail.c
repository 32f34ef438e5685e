/* api/alert_detail.c -- what is behind an alert: who, where, by which route. */
#include <config.h>

#include "api/alert_p.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/context.h"
#include "api/json.h"
#include "api/methods.h"
#include "api/value.h"
#include "collector/identity/journal.h"
#include "lib/clock.h"
#include "lib/dict.h"

#define TO_TEXT (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define TOP 5
#define BEFORE_S 300            /* The query looks back so far. */
#define AFTER_S 60

struct json_object *
alert_text(const char *text, size_t max)
{
    size_t n = strlen(text);

    if (n > max) {
        char *cut = NULL;
        n = max - strlen("...");
        while (n && ((unsigned char) text[n] & 0xc0) == 0x80) {
            n--;
        }
        if (asprintf(&cut, "%.*s...", (int) n, text) > 0) {
            struct json_object *o = json_object_new_string(cut);
            free(cut);
            return o;
        }
    }
    return json_object_new_string_len(text, (int) n);
}

/* A value as text; NULL: it is null.  The caller's. */
static char *
text_of(const struct api_context *c, enum column_id id,
        const struct tap_value *v)
{
    const struct column *col = &columns[id];
    struct query_column qc = { .type = col->type, .column = col };
    struct query_value value = { .null = v->null, .u = v->u };
    struct json_object *o = NULL;
    struct json_limits limits = json_default_limits;
    char *text = NULL, *result = NULL;
    size_t size = 0;

    if (v->null) {
        return NULL;
    } else if (col->type == COLUMN_T_ADDR) {
        value.addr = v->addr;
    }
    FILE *f = open_memstream(&text, &size);
    if (f) {
        if (col->type == COLUMN_T_NAME) {       /* Any bytes, from exporters. */
            value_put_string(f, dict_text(c->dict, (uint32_t) v->u));
        } else {
            value_put_result(f, &qc, &value);
        }
        fclose(f);
    }
    if (text && !json_parse(text, size, &limits, 0, &o, NULL)) {
        result = strdup(json_object_get_string(o));
    }
    json_object_put(o);
    free(text);
    return result;
}

/* The key, an address as the prefix that it is. */
static char *
key_text(const struct api_context *c, const struct alert_change *ch,
         unsigned i)
{
    const struct alert_key *k = &ch->rule->keys[i];
    char *text = text_of(c, k->column, &ch->key[i]);

    if (text && columns[k->column].type == COLUMN_T_ADDR) {
        bool v4 = addr_is_v4(&ch->key[i].addr);
        unsigned bits = v4 ? k->bits4 : k->bits6;
        char *prefix = NULL;
        if (bits < (v4 ? 32 : 128)
            && asprintf(&prefix, "%s/%u", text, bits) > 0) {
            free(text);
            text = prefix;
        }
    }
    return text;
}

char *
alert_subject(const struct api_context *c, const struct alert_change *ch)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    for (unsigned i = 0; f && i < ch->n_keys; i++) {
        char *key = key_text(c, ch, i);
        fprintf(f, "%s%s", i ? " " : "", key ? key : "-");
        free(key);
    }
    if (f) {
        fputs(ch->n_keys ? "" : "all", f);
        fclose(f);
    }
    return text;
}

/* ---- The query that shows it. ---- */

/* "(FILTER) and dst_addr 10.0.0.5"; names in quotes. */
static char *
filter_text(const struct api_context *c, const struct alert_change *ch)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    const char *and_ = "";

    if (!f) {
        return NULL;
    }
    if (*ch->rule->filter) {
        fprintf(f, "(%s)", ch->rule->filter);
        and_ = " and ";
    }
    for (unsigned i = 0; i < ch->n_keys; i++) {
        const struct column *col = &columns[ch->rule->keys[i].column];
        char *key = key_text(c, ch, i);
        fprintf(f, "%s%s ", and_, col->name);
        if (!key) {
            fputs("is null", f);
        } else if (col->type == COLUMN_T_NAME) {
            putc('"', f);
            for (const char *p = key; *p; p++) {
                fprintf(f, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
            }
            putc('"', f);
        } else {
            fputs(key, f);
        }
        and_ = " and ";
        free(key);
    }
    fclose(f);
    return text;
}

static void
put_shell(FILE *f, const char *text)
{
    putc('\'', f);
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", f);
        } else {
            putc(*text, f);
        }
    }
    putc('\'', f);
}

static void
add_query(struct json_object *o, const char *filter, int64_t now_us)
{
    static const char *const by[] = { "src_addr", "dst_addr", "proto",
                                      "dst_port" };
    static const char *const metrics[] = { "bytes", "packets", "flows" };
    struct json_object *q = json_object_new_object();
    struct json_object *list = json_object_new_array();
    struct json_object *sums = json_object_new_array();
    char from[TIME_STRLEN], to[TIME_STRLEN], *command = NULL;
    size_t size;

    time_format_us(now_us / 1000000 * 1000000 - BEFORE_S * INT64_C(1000000),
                   from);
    time_format_us(now_us / 1000000 * 1000000 + AFTER_S * INT64_C(1000000),
                   to);
    for (size_t i = 0; i < 4; i++) {
        json_object_array_add(list, json_object_new_string(by[i]));
    }
    for (size_t i = 0; i < 3; i++) {
        json_object_array_add(sums, json_object_new_string(metrics[i]));
    }
    reply_string(q, "from", from);
    reply_string(q, "to", to);
    reply_string(q, "filter", filter);
    json_object_object_add(q, "by", list);
    json_object_object_add(q, "metrics", sums);
    reply_string(q, "order", "-bytes");
    reply_int(q, "limit", 10);
    json_object_object_add(o, "query", q);
    FILE *f = open_memstream(&command, &size);
    if (f) {
        fprintf(f, "venturictl flows --from %s --to %s --by src_addr,dst_addr,"
                "proto,dst_port --top 10 ", from, to);
        put_shell(f, filter);
        fclose(f);
    }
    reply_string(o, "command", command);
    free(command);
}

/* ---- Who, where, which way. ---- */

static void
add_value(const struct api_context *c, struct json_object *o,
          const char *name, const struct alert_capture *capture,
          enum alert_context id)
{
    char *text = capture ? text_of(c, alert_context_columns[id],
                                   &capture->value[id]) : NULL;
    if (text && *text) {
        json_object_object_add(o, name, alert_text(text, ALERT_TEXT_MAX));
    }
    free(text);
}

struct since {
    struct json_object *o;
    const char *endpoint;
    int64_t from_us;
};

static void
find_since(void *since, const struct identity_found *f)
{
    struct since *s = since;
    const char *name = f->v.text[IDENTITY_NAME];

    if (!s->endpoint || (name && !strcmp(name, s->endpoint))) {
        s->from_us = f->v.from_us;
    }
}

/* One end: 'side' 0 is the source. */
static struct json_object *
who(const struct api_context *c, const struct alert_capture *p, int side,
    const struct addr *a, int64_t now_us)
{
    struct json_object *o = json_object_new_object();
    char address[ADDR_STRLEN];
    enum alert_context name = side ? ALERT_CTX_dst_endpoint
                                   : ALERT_CTX_src_endpoint;
    struct since s = { .o = o };

    if (a) {
        reply_string(o, "address", addr_format(a, address));
    }
    add_value(c, o, "endpoint", p, name);
    add_value(c, o, "tenant", p, side ? ALERT_CTX_dst_tenant
                                      : ALERT_CTX_src_tenant);
    add_value(c, o, "network", p, side ? ALERT_CTX_dst_network
                                       : ALERT_CTX_src_network);
    add_value(c, o, "host", p, side ? ALERT_CTX_dst_host
                                    : ALERT_CTX_src_host);
    add_value(c, o, "as", p, side ? ALERT_CTX_dst_as : ALERT_CTX_src_as);
    char *endpoint = p ? text_of(c, alert_context_columns[name],
                                 &p->value[name]) : NULL;
    s.endpoint = endpoint && *endpoint ? endpoint : NULL;
    if (a && c->identities && s.endpoint) {
        struct identity_key k = identity_key_address(a);
        identity_journal_find(c->identities, &k, now_us, find_since, &s);
        if (s.from_us) {
            reply_time(o, "since", s.from_us);
        }
    }
    free(endpoint);
    return o;
}

static void
add_where(const struct api_context *c, struct json_object *o,
          const struct alert_capture *p)
{
    struct json_object *where = json_object_new_object();

    add_value(c, where, "exporter", p, ALERT_CTX_exporter);
    add_value(c, where, "bridge", p, ALERT_CTX_bridge);
    add_value(c, where, "in_if", p, ALERT_CTX_in_if);
    add_value(c, where, "in_if_name", p, ALERT_CTX_in_if_name);
    add_value(c, where, "out_if", p, ALERT_CTX_out_if);
    add_value(c, where, "out_if_name", p, ALERT_CTX_out_if_name);
    add_value(c, where, "vni", p, ALERT_CTX_vni);
    json_object_object_add(o, "where", where);
}

/* Only OVN's samples say why. */
static void
add_why(const struct api_context *c, struct json_object *o,
        const struct alert_capture *p)
{
    struct json_object *why = json_object_new_object();

    add_value(c, why, "why", p, ALERT_CTX_why);
    add_value(c, why, "why_name", p, ALERT_CTX_why_name);
    add_value(c, why, "why_action", p, ALERT_CTX_why_action);
    add_value(c, why, "why_policy", p, ALERT_CTX_why_policy);
    add_value(c, why, "why_network", p, ALERT_CTX_why_network);
    if (json_object_object_length(why)) {
        json_object_object_add(o, "why", why);
    } else {
        json_object_put(why);
    }
}

static void
add_route(const struct api_context *c, struct json_object *o,
          const struct alert_capture *p)
{
    struct json_object *to = json_object_new_object();
    struct json_object *from = json_object_new_object();

    add_value(c, to, "as_path", p, ALERT_CTX_as_path);
    add_value(c, to, "bgp_next_hop", p, ALERT_CTX_bgp_next_hop);
    add_value(c, to, "next_hop", p, ALERT_CTX_next_hop);
    add_value(c, to, "peer", p, ALERT_CTX_dst_route_peer);
    add_value(c, from, "as_path", p, ALERT_CTX_src_as_path);
    add_value(c, from, "bgp_next_hop", p, ALERT_CTX_src_bgp_next_hop);
    add_value(c, from, "peer", p, ALERT_CTX_src_route_peer);
    json_object_object_add(o, "route", to);
    json_object_object_add(o, "source_route", from);
}

static int
compare_tops(const void *a, const void *b)
{
    const struct alert_contributor *x = a, *y = b;
    return x->volume > y->volume ? -1 : x->volume < y->volume;
}

static void
add_top(struct json_object *o, const struct alert_capture *p)
{
    struct json_object *list = json_object_new_array();
    struct alert_contributor top[ALERT_CONTRIBUTORS];
    char address[ADDR_STRLEN];
    unsigned n = p ? p->n : 0;

    if (n) {
        memcpy(top, p->top, sizeof top);
        qsort(top, n, sizeof *top, compare_tops);
    }
    for (unsigned i = 0; i < n && i < TOP; i++) {
        struct json_object *t = json_object_new_object();
        reply_string(t, "src_addr", addr_format(&top[i].src, address));
        reply_uint(t, "src_port", top[i].src_port);
        reply_string(t, "dst_addr", addr_format(&top[i].dst, address));
        reply_uint(t, "dst_port", top[i].dst_port);
        reply_uint(t, "proto", top[i].proto);
        json_object_object_add(t, "share", json_object_new_double(
            (double) (int) (1000 * top[i].volume / p->total) / 1000));
        json_object_array_add(list, t);
    }
    json_object_object_add(o, "top", list);
}

/* ---- All of it. ---- */

static const char *
human(double v, enum alert_metric m, char buf[48])
{
    static const char *const prefixes[] = { "", "k", "M", "G", "T" };
    unsigned i = 0;

    for (; v >= 1000 && i < 4; i++) {
        v /= 1000;
    }
    snprintf(buf, 48, v < 10 && i ? "%.1f %s%s" : "%.0f %s%s", v,
             prefixes[i], alert_metric_units[m]);
    return buf;
}

static char *
sentence(const struct alert_change *ch, const char *subject,
         struct json_object *end)
{
    char now[48], limit[48], usual[48], *text = NULL;
    size_t size;
    enum alert_metric m = ch->rule->metric;
    FILE *f = open_memstream(&text, &size);
    const char *endpoint = json_text(end, "endpoint");
    const char *tenant = json_text(end, "tenant");

    if (!f) {
        return NULL;
    }
    fprintf(f, "%s: %s", ch->rule->name, subject);
    if (endpoint || tenant) {
        fprintf(f, " (%s%s%s)", endpoint ? endpoint : "",
                endpoint && tenant ? ", tenant " : tenant ? "tenant " : "",
                tenant ? tenant : "");
    }
    if (ch->rule->type == ALERT_NEW) {
        fprintf(f, " is new: %s", human(ch->rate, m, now));
    } else {
        fprintf(f, " has %s, more than %s", human(ch->rate, m, now),
                human(ch->limit, m, limit));
    }
    if (ch->expected >= 0) {
        fprintf(f, "; usual is %s", human(ch->expected, m, usual));
    }
    fclose(f);
    return text;
}

/* Which end the key is about, and its address if it is one. */
static int
side_of(const struct alert_change *ch, const struct addr **a)
{
    int side = 1;

    *a = NULL;
    for (unsigned i = ch->n_keys; i > 0; i--) {
        const struct alert_key *k = &ch->rule->keys[i - 1];
        const char *name = columns[k->column].name;
        side = strncmp(name, "src_", 4) ? side : 0;
        side = strncmp(name, "dst_", 4) ? side : 1;
        if ((k->column == COL_src_addr || k->column == COL_dst_addr)
            && !ch->key[i - 1].null && k->bits4 == 32 && k->bits6 == 128) {
            *a = &ch->key[i - 1].addr;
        }
    }
    return side;
}

struct json_object *
alert_detail(const struct api_context *c, const struct alert_change *ch,
             int64_t now_us, char **message)
{
    const struct alert_capture *p = ch->capture;
    struct json_object *o = json_object_new_object();
    struct json_object *key = json_object_new_object();
    const struct addr *a;
    int side = side_of(ch, &a);

    reply_string(o, "type", alert_type_names[ch->rule->type]);
    reply_string(o, "metric", alert_metric_names[ch->rule->metric]);
    json_object_object_add(o, "value", json_object_new_double(ch->rate));
    json_object_object_add(o, "limit", json_object_new_double(ch->limit));
    json_object_object_add(o, "usual", ch->expected < 0 ? NULL
                           : json_object_new_double(ch->expected));
    for (unsigned i = 0; i < ch->n_keys; i++) {
        char buf[ALERT_KEY_STRLEN], *text = key_text(c, ch, i);
        reply_string(key, alert_key_format(&ch->rule->keys[i], buf), text);
        free(text);
    }
    json_object_object_add(o, "key", key);
    reply_uint(o, "flaps", ch->flaps);
    json_object_object_add(o, "who", who(c, p, side, a, now_us));
    /* The other end is that of the largest record. */
    json_object_object_add(o, "peer", who(
        c, p, !side, !p ? NULL : side ? &p->value[ALERT_CTX_src_addr].addr
                                      : &p->value[ALERT_CTX_dst_addr].addr,
        now_us));
    add_where(c, o, p);
    add_why(c, o, p);
    add_route(c, o, p);
    add_top(o, p);
    char *filter = filter_text(c, ch);
    add_query(o, filter ? filter : "", now_us);
    char *subject = alert_subject(c, ch);
    *message = sentence(ch, subject ? subject : "",
                        json_member(o, "who"));
    free(subject);
    free(filter);
    return o;
}
