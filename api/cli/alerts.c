/* api/cli/alerts.c -- alerts and their rules. */
#include <config.h>

#include "api/cli/show.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/table.h"

const struct cli_option cli_alert_list_options[] = {
    { "all", 'a', NULL, "also those that are over", NULL },
    { "rule", 'r', "RULE", "only of this rule", NULL },
    { "limit", 'n', "N", "the newest so many; 100 if not said", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

const struct cli_option cli_alert_comment_options[] = {
    { "comment", 'm', "TEXT", "for others to read", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

const struct cli_option cli_alert_mute_options[] = {
    { "rule", 'r', "RULE", "alerts of this rule; * and ? as in a shell",
      NULL },
    { "subject", 's', "SUBJECT", "alerts about this; * and ? as in a shell",
      NULL },
    { "comment", 'm', "TEXT", "for others to read", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

const struct cli_option cli_alert_rule_options[] = {
    { "type", 't', "TYPE", "threshold, baseline, new or silence",
      "threshold baseline new silence" },
    { "filter", 'f', "FILTER", "which flows; all if not said", NULL },
    { "by", 'b', "COLUMNS", "what is counted by itself: dst_addr, "
      "src_addr/24, dst_tenant,...; all together if not said", CLI_WORDS_KEYS },
    { "metric", 'x', "METRIC", "bps, pps or flows (a second)",
      "bps pps flows" },
    { "above", 'A', "N", "threshold: more than this, such as 100M", NULL },
    { "ratio", 'R', "N", "baseline: more than so many times the usual",
      NULL },
    { "minimum", 'M', "N", "baseline, new: what is less is no alert", NULL },
    { "hold", 'H', "DURATION", "only if it lasts so long", NULL },
    { "clear", 'C', "DURATION", "over when it is less for so long", NULL },
    { "learn", 'L', "DURATION", "baseline, new: no alerts before", NULL },
    { "severity", 'v', "SEVERITY", "info, notice, warning, error or critical",
      "info notice warning error critical" },
    { "deliver", 'd', "NAMES", "only to these deliveries", NULL },
    { "disable", 'D', NULL, "keep the rule, but do not look", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

bool
cli_build_alert_list(struct cli *cli, struct json_object *params)
{
    cli_set_string(params, "rule", cli_value(cli, "rule"));
    if (cli_value(cli, "all")) {
        cli_set_string(params, "state", "all");
    }
    return cli_set_integer(cli, params, "limit", "limit");
}

bool
cli_build_alert_number(struct cli *cli, struct json_object *params)
{
    char *end;
    long long id = strtoll(cli->operands[0], &end, 10);

    if (*end || id < 1) {
        return cli_usage(cli, "%s: not the number of an alert",
                         cli->operands[0]);
    }
    json_object_object_add(params, "alert", json_object_new_int64(id));
    cli_set_string(params, "comment", cli_value(cli, "comment"));
    return true;
}

bool
cli_build_alert_mute(struct cli *cli, struct json_object *params)
{
    cli_set_string(params, "duration", cli->operands[0]);
    cli_set_string(params, "rule", cli_value(cli, "rule"));
    cli_set_string(params, "subject", cli_value(cli, "subject"));
    cli_set_string(params, "comment", cli_value(cli, "comment"));
    return cli_value(cli, "rule") || cli_value(cli, "subject")
           || cli_usage(cli, "which? --rule RULE or --subject SUBJECT");
}

bool
cli_build_alert_rule(struct cli *cli, struct json_object *params)
{
    static const char *const texts[] = {
        "type", "filter", "metric", "above", "ratio", "minimum", "hold",
        "clear", "learn", "severity",
    };
    struct json_object *o = NULL;

    if (cli->operands[0][0] == '{') {
        if (!cli_read_json(cli, cli->operands[0], &o)) {
            return false;
        }
    } else {
        o = json_object_new_object();
        cli_set_string(o, "name", cli->operands[0]);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cli_set_string(o, texts[i], cli_value(cli, texts[i]));
    }
    cli_set_list(o, "by", cli_value(cli, "by"));
    cli_set_list(o, "deliver", cli_value(cli, "deliver"));
    if (cli_value(cli, "disable")) {
        json_object_object_add(o, "enabled", json_object_new_boolean(false));
    }
    json_object_object_add(params, "rule", o);
    return true;
}

bool
cli_build_alert_rule_delete(struct cli *cli, struct json_object *params)
{
    cli_set_string(params, "name", cli->operands[0]);
    return true;
}

/* ---- Showing. ---- */

static void
put_object(FILE *out, const char *title, struct json_object *o)
{
    bool first = true;

    if (!o || !json_object_object_length(o)) {
        return;
    }
    fprintf(out, "  %-8s", title);
    json_object_object_foreach(o, name, value) {
        char *text = table_clean(value ? json_object_get_string(value) : "-");
        fprintf(out, "%s%s %s", first ? "" : ", ", name, text);
        free(text);
        first = false;
    }
    putc('\n', out);
}

static void
put_tops(FILE *out, struct json_object *list)
{
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *t = json_object_array_get_idx(list, i);
        fprintf(out, "  %-8s%3.0f %%  %s port %s to %s port %s, proto %s\n",
                i ? "" : "top", 100 * json_object_get_double(cli_at(t,
                                                                    "share")),
                cli_text(t, "src_addr"), cli_text(t, "src_port"),
                cli_text(t, "dst_addr"), cli_text(t, "dst_port"),
                cli_text(t, "proto"));
    }
}

/* All that is known of one. */
int
cli_show_alert(struct cli *cli, struct json_object *o)
{
    struct json_object *detail = cli_at(o, "detail");
    char *text = table_clean(cli_text(o, "message"));

    fprintf(cli->out, "%s  %s  %s since %.19s%s  %s\n", cli_text(o, "id"),
            cli_text(o, "severity"), cli_text(o, "state"),
            cli_text(o, "raised"), json_object_get_boolean(cli_at(o, "muted"))
            ? " (muted)" : "", text);
    free(text);
    if (cli_at(o, "cleared")) {
        fprintf(cli->out, "  over    since %.19s\n", cli_text(o, "cleared"));
    }
    if (cli_at(o, "acknowledged")) {
        char *comment = table_clean(cli_text(o, "comment"));
        fprintf(cli->out, "  known   to %s since %.19s: %s\n",
                cli_text(o, "acknowledged_by"), cli_text(o, "acknowledged"),
                comment);
        free(comment);
    }
    put_object(cli->out, "who", cli_at(detail, "who"));
    put_object(cli->out, "peer", cli_at(detail, "peer"));
    put_object(cli->out, "where", cli_at(detail, "where"));
    put_object(cli->out, "route", cli_at(detail, "route"));
    put_object(cli->out, "from", cli_at(detail, "source_route"));
    put_tops(cli->out, cli_at(detail, "top"));
    if (cli_at(detail, "command")) {
        fprintf(cli->out, "  more    %s\n", cli_text(detail, "command"));
    }
    return EXIT_OK;
}

static int
show_mutes(struct cli *cli, struct json_object *list)
{
    static const char *const names[] = { "rule", "subject", "until", "by",
                                         "comment" };
    struct table *t = table_create();

    for (size_t i = 0; i < 5; i++) {
        table_column(t, names[i], false);
    }
    for (size_t k = 0; k < json_object_array_length(list); k++) {
        for (size_t i = 0; i < 5; i++) {
            table_cell(t, cli_text(json_object_array_get_idx(list, k),
                                   names[i]));
        }
    }
    cli_print_table(cli, t, "Nothing is muted.");
    return EXIT_OK;
}

int
cli_show_mutes(struct cli *cli, struct json_object *o)
{
    return show_mutes(cli, cli_at(o, "mutes"));
}

int
cli_show_alerts(struct cli *cli, struct json_object *o)
{
    static const char *const names[] = { "id", "severity", "state", "raised",
                                         "message" };
    struct json_object *list = cli_at(o, "alerts");
    struct json_object *mutes = cli_at(o, "mutes");
    struct table *t = table_create();

    for (size_t i = 0; i < 5; i++) {
        table_column(t, names[i], false);
    }
    for (size_t k = 0; k < json_object_array_length(list); k++) {
        struct json_object *a = json_object_array_get_idx(list, k);
        for (size_t i = 0; i < 5; i++) {
            char text[64];
            bool known = i == 2 && (cli_at(a, "acknowledged")
                                    || json_object_get_boolean(
                                           cli_at(a, "muted")));
            bool time = i == 3 && cli->format == FORMAT_TABLE;
            snprintf(text, sizeof text, "%.19s%s", cli_text(a, names[i]),
                     time ? "Z" : !known ? "" : cli_at(a, "acknowledged")
                     ? ", known" : ", muted");
            table_cell(t, known || time ? text : cli_text(a, names[i]));
        }
    }
    cli_print_table(cli, t, "No alerts.");
    if (cli->format == FORMAT_TABLE && json_object_array_length(mutes)) {
        fprintf(cli->out, "\nMuted:\n");
        show_mutes(cli, mutes);
    }
    return EXIT_OK;
}

/* The one that is asked for. */
int
cli_show_alert_of(struct cli *cli, struct json_object *o)
{
    struct json_object *list = cli_at(o, "alerts");

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *a = json_object_array_get_idx(list, i);
        if (!strcmp(cli_text(a, "id"), cli->operands[0])) {
            return cli->format == FORMAT_TABLE ? cli_show_alert(cli, a)
                                               : cli_show_json(cli, a);
        }
    }
    fprintf(cli->err, "venturictl: there is no alert %s\n", cli->operands[0]);
    return EXIT_DAEMON;
}

bool
cli_build_alert_show(struct cli *cli, struct json_object *params)
{
    (void) cli;
    cli_set_string(params, "state", "all");
    json_object_object_add(params, "limit", json_object_new_int64(1000));
    return true;
}

/* What it is measured by, in a few words. */
static void
measure(struct json_object *r, char buf[128])
{
    const char *type = cli_text(r, "type");

    if (!strcmp(type, "threshold")) {
        snprintf(buf, 128, "above %.30s %.10s", cli_text(r, "above"),
                 cli_text(r, "metric"));
    } else if (!strcmp(type, "baseline")) {
        snprintf(buf, 128, "%.20s times the usual %.10s, at least %.30s",
                 cli_text(r, "ratio"), cli_text(r, "metric"),
                 cli_text(r, "minimum"));
    } else if (!strcmp(type, "new")) {
        snprintf(buf, 128, "not seen for %.20s, at least %.30s %.10s",
                 cli_text(r, "remember"), cli_text(r, "minimum"),
                 cli_text(r, "metric"));
    } else {
        snprintf(buf, 128, "exporter %.60s says nothing",
                 cli_text(r, "exporter"));
    }
}

static void
put_list_cell(struct table *t, struct json_object *list)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    for (size_t i = 0; f && list && i < json_object_array_length(list); i++) {
        fprintf(f, "%s%s", i ? "," : "", json_object_get_string(
                    json_object_array_get_idx(list, i)));
    }
    if (f) {
        fclose(f);
    }
    table_cell(t, text && *text ? text : "-");
    free(text);
}

int
cli_show_alert_rules(struct cli *cli, struct json_object *o)
{
    static const char *const names[] = { "rule", "state", "severity", "by",
                                         "active", "filter", "raised when" };
    struct json_object *list = cli_at(o, "rules");
    struct table *t = table_create();
    char buf[128];

    for (size_t i = 0; i < 7; i++) {
        table_column(t, names[i], i == 4);
    }
    for (size_t k = 0; k < json_object_array_length(list); k++) {
        struct json_object *r = json_object_array_get_idx(list, k);
        bool on = json_object_get_boolean(cli_at(r, "enabled"));
        bool learns = json_object_get_boolean(cli_at(r, "status/learning"));
        table_cell(t, cli_text(r, "name"));
        table_cell(t, !on ? "disabled" : learns ? "learning" : "on");
        table_cell(t, cli_text(r, "severity"));
        put_list_cell(t, cli_at(r, "by"));
        table_cell(t, cli_text(r, "status/active"));
        table_cell(t, cli_text(r, "filter"));
        measure(r, buf);
        table_cell(t, buf);
    }
    cli_print_table(cli, t, "No rules.");
    return EXIT_OK;
}
