#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/show.h"
#include "api/cli/table.h"
#include "collector/filter/names.h"
#include "lib/clock.h"

#define TO_LINE (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* ---- Parameters. ---- */

/* --last, --from, --to. */
bool
cli_set_range(struct cli *cli, struct json_object *params)
{
    const char *last = cli_value(cli, "last"), *from = cli_value(cli, "from");
    const char *to = cli_value(cli, "to");
    char since[64];

    if (last && (from || to)) {
        return cli_usage(cli, "give either --last or --from and --to");
    }
    if (last) {
        snprintf(since, sizeof since, "-%.60s", last);
        from = since;
    }
    cli_set_string(params, "from", from);
    cli_set_string(params, "to", to);
    return true;
}

/* The operands are a filter. */
void
cli_set_filter(struct cli *cli, struct json_object *params)
{
    char *text = NULL;
    size_t size;
    FILE *f = cli->n_operands ? open_memstream(&text, &size) : NULL;
    for (int i = 0; f && i < cli->n_operands; i++) {
        fprintf(f, "%s%s", i ? " " : "", cli->operands[i]);
    }
    if (f) {
        fclose(f);
        cli->filter = text;
        cli_set_string(params, "filter", text);
    }
}

#define RANGE                                                           \
    { "last", 'l', "DURATION", "of the last 90s, 15m, 1h, 2d; 1h is the " \
      "default", "5m 15m 1h 6h 1d 7d" },                                \
    { "from", 'f', "TIME", "from then on: RFC 3339, seconds since 1970, " \
      "-2h", NULL },                                                    \
    { "to", 't', "TIME", "and before then; now is the default", NULL }
#define OBSERVATIONS                                                    \
    { "all-observations", 'A', NULL, "records of every place where "    \
      "packets were seen", NULL }
#define RESOLVE                                                         \
    { "resolve", 'r', "WHEN", "who the ends are: stored, when the flow "    \
      "came (the default); then, by what is known today; now",          \
      "stored then now" }
#define END { NULL, 0, NULL, NULL, NULL }

const struct cli_option cli_records_options[] = {
    RANGE,
    { "fields", 'F', "COLUMNS", "these; many are the default, and all in "
      "JSON", CLI_WORDS_FIELDS },
    { "top", 'n', "N", "records a page; 100 is the default", NULL },
    { "oldest", 'O', NULL, "the oldest first", NULL },
    { "cursor", 0, "CURSOR", "go on behind the page that told it", NULL },
    OBSERVATIONS, RESOLVE, END
};

bool
cli_build_records(struct cli *cli, struct json_object *params)
{
    const char *fields = cli_value(cli, "fields");
    if (!fields && cli->format == FORMAT_TABLE) {
        fields = "proto,src_addr,src_port,dst_addr,dst_port,packets,bytes";
    }
    cli_set_list(params, "fields", fields);
    cli_set_string(params, "cursor", cli_value(cli, "cursor"));
    if (cli_value(cli, "oldest")) {
        cli_set_string(params, "order", "oldest");
    }
    if (cli_value(cli, "all-observations")) {
        cli_set_string(params, "observations", "all");
    }
    cli_set_string(params, "resolve", cli_value(cli, "resolve"));
    cli_set_filter(cli, params);
    return cli_set_range(cli, params)
           && cli_set_integer(cli, params, "limit", "top")
           && cli_set_running(cli, params);
}

const struct cli_option cli_series_options[] = {
    RANGE,
    { "by", 'b', "COLUMNS", "a series for each group of these",
      CLI_WORDS_BY },
    { "metrics", 'm', "METRICS", "sums, bps, max(bytes), ..., see venturictl "
      "columns; bps is the default", CLI_WORDS_METRICS },
    { "top", 'n', "N", "so many groups; 10 is the default", NULL },
    { "bucket", 'B', "DURATION", "step", "1s 1m 5m 1h 1d" },
    OBSERVATIONS, RESOLVE, END
};

bool
cli_build_series(struct cli *cli, struct json_object *params)
{
    const char *metrics = cli_value(cli, "metrics");
    cli_set_list(params, "by", cli_value(cli, "by"));
    cli_set_list(params, "metrics", metrics ? metrics : "bps");
    cli_set_string(params, "bucket", cli_value(cli, "bucket"));
    if (cli_value(cli, "all-observations")) {
        cli_set_string(params, "observations", "all");
    }
    cli_set_string(params, "resolve", cli_value(cli, "resolve"));
    cli_set_filter(cli, params);
    return cli_set_range(cli, params) && cli_set_integer(cli, params, "top", "top")
           && cli_set_running(cli, params);
}

/* ---- Showing. ---- */

void
cli_show_note(struct cli *cli, struct json_object *o)
{
    struct json_object *note = cli_at(o, "stats/note");

    if (note) {
        fprintf(cli->format == FORMAT_TABLE ? cli->out : cli->err,
                "Note: %s\n", json_object_get_string(note));
    }
}

static size_t
length(struct json_object *list)
{
    return json_object_is_type(list, json_type_array)
           ? json_object_array_length(list) : 0;
}

static void
put_table(struct cli *cli, struct table *t)
{
    if (cli->format == FORMAT_CSV) {
        table_csv(t, cli->out);
    } else {
        table_print(t, cli->out, cli->width, cli->colour);
    }
    table_destroy(t);
}

/* A value for people or for programs; 'name' is the column's. */
static void
put_cell(struct cli *cli, struct table *t, struct json_object *v,
         const char *name, const char *unit)
{
    bool human = cli->human && cli->format == FORMAT_TABLE;
    const char *text = v ? json_object_get_string(v)
                         : cli->format == FORMAT_TABLE ? "-" : "";
    const char *word = NULL;
    char buf[HUMAN_STRLEN + 64];

    if (human && v && !strcmp(name, "proto")) {
        word = proto_name((uint8_t) json_object_get_int(v));
        text = word ? word : text;
    } else if (human && v && strstr(name, "_port")) {
        word = service_name((uint16_t) json_object_get_int(v));
        snprintf(buf, sizeof buf, "%s%s%s", text, word ? "/" : "",
                 word ? word : "");
        text = buf;
    } else if (human && v && unit[0] && strcmp(unit, "us")
               && json_object_is_type(v, json_type_int)) {
        text = human_number(json_object_get_double(v), unit, buf);
    }
    table_cell(t, text);
}

int
cli_show_ndjson(struct cli *cli, struct json_object *o)
{
    struct json_object *columns = cli_at(o, "columns");
    struct json_object *rows = cli_at(o, "rows");

    for (size_t i = 0; i < length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct json_object *line = json_object_new_object();
        for (size_t k = 0; k < length(row) && k < length(columns); k++) {
            json_object_object_add(
                line, cli_text(json_object_array_get_idx(columns, k), "name"),
                json_object_get(json_object_array_get_idx(row, k)));
        }
        fprintf(cli->out, "%s\n", json_object_to_json_string_ext(line,
                                                                 TO_LINE));
        json_object_put(line);
    }
    if (rows) {
        return EXIT_OK;
    }
    /* A result that is one list, or anything. */
    json_object_object_foreach(o, name, v) {
        (void) name;
        if (json_object_is_type(v, json_type_array)) {
            for (size_t i = 0; i < length(v); i++) {
                fprintf(cli->out, "%s\n", json_object_to_json_string_ext(
                            json_object_array_get_idx(v, i), TO_LINE));
            }
            return EXIT_OK;
        }
    }
    fprintf(cli->out, "%s\n", json_object_to_json_string_ext(o, TO_LINE));
    return EXIT_OK;
}

int
cli_show_records(struct cli *cli, struct json_object *o)
{
    struct json_object *columns = cli_at(o, "columns");
    struct json_object *rows = cli_at(o, "rows");
    struct json_object *cursor = cli_at(o, "cursor");
    struct table *t = table_create();

    for (size_t i = 0; i < length(columns); i++) {
        struct json_object *c = json_object_array_get_idx(columns, i);
        table_column(t, cli_text(c, "name"), cli_text(c, "type")[0] == 'u');
    }
    for (size_t i = 0; i < length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        for (size_t k = 0; k < length(columns); k++) {
            struct json_object *c = json_object_array_get_idx(columns, k);
            put_cell(cli, t, json_object_array_get_idx(row, k),
                     cli_text(c, "name"), cli_text(c, "unit"));
        }
    }
    put_table(cli, t);
    if (cursor && cli->format == FORMAT_TABLE) {
        fprintf(cli->out, "There are more: --cursor %s\n",
                json_object_get_string(cursor));
    }
    return EXIT_OK;
}

/* The time of a step, as text. */
static const char *
step_time(struct json_object *o, size_t i, char buf[TIME_STRLEN])
{
    int64_t us = 0;
    time_parse_us(cli_text(o, "start"), 0, &us);
    us += (int64_t) i * 1000 * json_object_get_int64(cli_at(o, "step_ms"));
    return time_format_us(us, buf);
}

/* One series: 'values' has lists by metric. */
static void
put_steps(struct cli *cli, struct table *t, struct json_object *o,
          const char *label, struct json_object *values,
          struct json_object *columns, size_t n_keys)
{
    size_t n = (size_t) json_object_get_int64(cli_at(o, "buckets"));
    char buf[TIME_STRLEN];

    for (size_t i = 0; values && i < n; i++) {
        table_cell(t, step_time(o, i, buf));
        table_cell(t, label);
        for (size_t k = n_keys; k < length(columns); k++) {
            struct json_object *c = json_object_array_get_idx(columns, k);
            struct json_object *list = NULL;
            json_object_object_get_ex(values, cli_text(c, "name"), &list);
            put_cell(cli, t, json_object_array_get_idx(list, i), "",
                     cli_text(c, "unit"));
        }
    }
}

int
cli_show_series(struct cli *cli, struct json_object *o)
{
    struct json_object *columns = cli_at(o, "columns");
    struct json_object *series = cli_at(o, "series");
    struct json_object *total = cli_at(o, "total");
    struct table *t = table_create();
    size_t n_metrics = total ? (size_t) json_object_object_length(total) : 0;
    size_t n_keys = length(columns) - n_metrics;

    table_column(t, "time", false);
    table_column(t, "series", false);
    for (size_t k = n_keys; k < length(columns); k++) {
        table_column(t, cli_text(json_object_array_get_idx(columns, k),
                                 "name"), true);
    }
    for (size_t i = 0; i < length(series); i++) {
        struct json_object *s = json_object_array_get_idx(series, i);
        struct json_object *key = cli_at(s, "key");
        char label[512] = "";
        for (size_t k = 0; k < length(key); k++) {
            size_t used = strlen(label);
            struct json_object *v = json_object_array_get_idx(key, k);
            snprintf(label + used, sizeof label - used, "%s%s",
                     k ? " " : "", v ? json_object_get_string(v) : "-");
        }
        put_steps(cli, t, o, label, cli_at(s, "values"), columns, n_keys);
    }
    put_steps(cli, t, o, "(other)", cli_at(o, "other"), columns, n_keys);
    put_steps(cli, t, o, "(total)", total, columns, n_keys);
    put_table(cli, t);
    cli_show_note(cli, o);
    return EXIT_OK;
}

/* ---- Profiles and channels. ---- */

const struct cli_option cli_profile_options[] = {
    { "template", 'T', "NAME", "with ready channels", "classic" },
    { "start", 's', "TIME", "count stored flows since then, too", NULL },
    END
};

const struct cli_option cli_channel_options[] = {
    { "filter", 'F', "FILTER", "which flows", NULL },
    { "colour", 'C', "#RRGGBB", "in graphs", NULL },
    { "sign", 'S', "+|-", "above or below the axis", "+ -" },
    { "order", 'o', "N", "place in graphs", NULL },
    { "start", 's', "TIME", "of a new one: count stored flows since then, "
      "too", NULL },
    END
};

const struct cli_option cli_channel_series_options[] = {
    RANGE,
    { "bucket", 'B', "DURATION", "step", "1s 1m 5m 1h 1d" },
    END
};

bool
cli_build_profile_list(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands > 1) {
        return cli_usage(cli, "give one profile, or none");
    }
    cli_set_string(params, "name", cli->n_operands ? cli->operands[0] : NULL);
    return true;
}

bool
cli_build_profile(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands != 1) {
        return cli_usage(cli, "give the name of the profile");
    }
    cli_set_string(params, "name", cli->operands[0]);
    cli_set_string(params, "template", cli_value(cli, "template"));
    cli_set_string(params, "start", cli_value(cli, "start"));
    return true;
}

/* PROFILE/CHANNEL */
static bool
set_channel(struct cli *cli, struct json_object *params, bool whole)
{
    const char *operand = cli->n_operands == 1 ? cli->operands[0] : "";
    const char *slash = strchr(operand, '/');
    if (!*operand || (!slash && !whole)) {
        return cli_usage(cli, "give a channel as PROFILE/CHANNEL");
    }
    size_t n = slash ? (size_t) (slash - operand) : strlen(operand);
    json_object_object_add(params, "profile",
                           json_object_new_string_len(operand, (int) n));
    cli_set_string(params, "name", slash ? slash + 1 : NULL);
    return true;
}

bool
cli_build_channel(struct cli *cli, struct json_object *params)
{
    static const char *const texts[] = { "filter", "colour", "sign",
                                         "start" };
    const char *filter = cli_value(cli, "filter");
    for (size_t i = 0; i < 4; i++) {
        cli_set_string(params, texts[i], cli_value(cli, texts[i]));
    }
    cli->filter = filter ? strdup(filter) : NULL;
    return set_channel(cli, params, false)
           && cli_set_integer(cli, params, "order", "order");
}

bool
cli_build_channel_series(struct cli *cli, struct json_object *params)
{
    cli_set_string(params, "bucket", cli_value(cli, "bucket"));
    return set_channel(cli, params, true) && cli_set_range(cli, params);
}

static const char *const channel_members[] = {
    "name", "sign", "colour", "order", "start", "updated", "disk_bytes",
    "filling", "filter",
};
#define N_MEMBERS (sizeof channel_members / sizeof channel_members[0])

/* What only a list tells. */
static bool
is_shown(size_t i, bool list)
{
    return list || (strcmp(channel_members[i], "updated")
                    && strcmp(channel_members[i], "disk_bytes"));
}

static void
channel_columns(struct table *t, bool list)
{
    table_column(t, "profile", false);
    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (is_shown(i, list)) {
            table_column(t, i ? strcmp(channel_members[i], "disk_bytes")
                                ? channel_members[i] : "size" : "channel",
                         !strcmp(channel_members[i], "disk_bytes"));
        }
    }
}

static void
channel_row(struct table *t, const char *profile, struct json_object *c,
            bool list)
{
    table_cell(t, profile);
    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (is_shown(i, list)) {
            const char *text = cli_text(c, channel_members[i]);
            table_cell(t, text && *text ? text : "-");
        }
    }
}

static void
profile_rows(struct table *t, struct json_object *p)
{
    struct json_object *list = cli_at(p, "channels");
    for (size_t i = 0; i < length(list); i++) {
        channel_row(t, cli_text(p, "name"),
                    json_object_array_get_idx(list, i), true);
    }
}

int
cli_show_profiles(struct cli *cli, struct json_object *o)
{
    struct json_object *list = cli_at(o, "profiles");
    struct table *t = table_create();
    channel_columns(t, true);
    for (size_t i = 0; i < length(list); i++) {
        profile_rows(t, json_object_array_get_idx(list, i));
    }
    put_table(cli, t);
    for (size_t i = 0; cli->format == FORMAT_TABLE && i < length(list);
         i++) {
        struct json_object *p = json_object_array_get_idx(list, i);
        if (!length(cli_at(p, "channels"))) {
            fprintf(cli->out, "Profile %s has no channels.\n",
                    cli_text(p, "name"));
        }
    }
    return EXIT_OK;
}

int
cli_show_profile(struct cli *cli, struct json_object *o)
{
    fprintf(cli->out, "profile %s: %zu channels\n", cli_text(o, "name"),
            length(cli_at(o, "channels")));
    return EXIT_OK;
}

int
cli_show_channel(struct cli *cli, struct json_object *o)
{
    const char *name = cli->operands[0];        /* "PROFILE/CHANNEL" */
    struct table *t = table_create();
    char profile[128];

    snprintf(profile, sizeof profile, "%.*s", (int) strcspn(name, "/"), name);
    channel_columns(t, false);
    channel_row(t, profile, o, false);
    put_table(cli, t);
    return EXIT_OK;
}

int
cli_show_channel_series(struct cli *cli, struct json_object *o)
{
    static const char *const names[] = { "bytes", "packets", "flows" };
    static const char *const units[] = { "B", "packets", "flows" };
    struct json_object *list = cli_at(o, "channels");
    size_t n = (size_t) json_object_get_int64(cli_at(o, "buckets"));
    struct table *t = table_create();
    char buf[TIME_STRLEN];

    table_column(t, "time", false);
    table_column(t, "channel", false);
    for (size_t k = 0; k < 3; k++) {
        table_column(t, names[k], true);
    }
    for (size_t i = 0; i < length(list); i++) {
        struct json_object *c = json_object_array_get_idx(list, i);
        for (size_t s = 0; s < n; s++) {
            struct json_object *flows = cli_at(c, "flows");
            if (cli->format == FORMAT_TABLE
                && !json_object_get_int64(json_object_array_get_idx(flows,
                                                                    s))) {
                continue;       /* For people: what there is. */
            }
            table_cell(t, step_time(o, s, buf));
            table_cell(t, cli_text(c, "name"));
            for (size_t k = 0; k < 3; k++) {
                put_cell(cli, t, json_object_array_get_idx(
                             cli_at(c, names[k]), s), "", units[k]);
            }
        }
    }
    put_table(cli, t);
    return EXIT_OK;
}
