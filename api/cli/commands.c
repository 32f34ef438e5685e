#include <config.h>

#include "api/cli/command.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/decode.h"
#include "api/cli/manual.h"
#include "api/cli/show.h"
#include "api/cli/table.h"
#include "api/json.h"
#include "collector/filter/names.h"
#include "lib/clock.h"

#define MAX_TIMEOUT_MS 3600000  /* What a query may take at most. */
#define TO_TEXT (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

/* ---- Small helpers. ---- */

/* A member, also of a member: "counters/bytes". */
static struct json_object *
at(struct json_object *o, const char *path)
{
    while (o && *path) {
        char name[64];
        size_t n = strcspn(path, "/");
        struct json_object *child = NULL;
        snprintf(name, sizeof name, "%.*s", (int) n, path);
        json_object_object_get_ex(o, name, &child);
        o = child;
        path += n + (path[n] == '/');
    }
    return o;
}

static const char *
text_at(struct json_object *o, const char *path)
{
    struct json_object *v = at(o, path);

    return v ? json_object_get_string(v) : "-";
}

void
cli_set_string(struct json_object *o, const char *name, const char *value)
{
    if (value) {
        json_object_object_add(o, name, json_object_new_string(value));
    }
}

/* "a,b,c" as an array. */
void
cli_set_list(struct json_object *o, const char *name, const char *value)
{
    if (!value) {
        return;
    }
    struct json_object *list = json_object_new_array();
    while (*value) {
        size_t n = strcspn(value, ", ");
        if (n) {
            json_object_array_add(list,
                                  json_object_new_string_len(value, (int) n));
        }
        value += n + (value[n] != '\0');
    }
    json_object_object_add(o, name, list);
}

bool
cli_set_integer(struct cli *cli, struct json_object *o, const char *name,
                const char *option)
{
    const char *value = cli_value(cli, option);
    char *end;

    if (!value) {
        return true;
    }
    errno = 0;
    long long v = strtoll(value, &end, 10);
    if (errno || end == value || *end) {
        return cli_usage(cli, "--%s %s: not a number", option, value);
    }
    json_object_object_add(o, name, json_object_new_int64(v));
    return true;
}

void
cli_set_progress(const struct cli *cli, struct json_object *o)
{
    if (cli->progress) {
        json_object_object_add(o, "progress", json_object_new_boolean(true));
    }
}

bool
cli_set_running(struct cli *cli, struct json_object *o)
{
    int64_t ms = cli->timeout_ms;

    if (ms) {
        json_object_object_add(o, "timeout_ms", json_object_new_int64(
                                   ms > MAX_TIMEOUT_MS ? MAX_TIMEOUT_MS
                                                       : ms));
    }
    cli_set_progress(cli, o);
    return true;
}

/* All operands with blanks between them, on the heap. */
static char *
join_operands(const struct cli *cli)
{
    size_t size = 1;

    for (int i = 0; i < cli->n_operands; i++) {
        size += strlen(cli->operands[i]) + 1;
    }
    char *text = calloc(1, size), *p = text;
    for (int i = 0; text && i < cli->n_operands; i++) {
        p += sprintf(p, "%s%s", i ? " " : "", cli->operands[i]);
    }
    return text;
}

/* ---- Showing. ---- */

int
cli_show_json(struct cli *cli, struct json_object *o)
{
    fprintf(cli->out, "%s\n", json_object_to_json_string_ext(
                o, cli->format == FORMAT_JSON && !cli->colour ? TO_TEXT
                : JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
                | JSON_C_TO_STRING_NOSLASHESCAPE));
    return EXIT_OK;
}

/* Units of their own, for people: a time as an age, a protocol as a word. */
#define UNIT_AGE "@age"
#define UNIT_PROTO "@proto"
#define UNIT_PORT "@port"

static const char *
human_age(const char *text, char buf[HUMAN_STRLEN])
{
    int64_t now = clock_wall_us(), us;

    if (!text || time_parse_us(text, now, &us)) {
        return text;
    }
    int64_t s = (now - us) / 1000000;
    snprintf(buf, HUMAN_STRLEN, "%" PRId64 " %s ago",
             s < 120 ? s : s < 7200 ? s / 60 : s < 172800 ? s / 3600
                                                          : s / 86400,
             s < 120 ? "s" : s < 7200 ? "min" : s < 172800 ? "h" : "d");
    return buf;
}

static const char *
human_proto(struct json_object *v)
{
    struct protoent *p = getprotobynumber(json_object_get_int(v));

    return p ? p->p_name : json_object_get_string(v);
}

/* A value as a cell.  Null is "-" for people and nothing for programs. */
static void
cell(struct cli *cli, struct table *t, struct json_object *v,
     const char *unit)
{
    char buf[HUMAN_STRLEN];
    enum json_type type = json_object_get_type(v);
    bool human = cli->human && cli->format == FORMAT_TABLE && unit && *unit;

    if (!v) {
        table_cell(t, cli->format == FORMAT_TABLE ? "-" : "");
    } else if (human && !strcmp(unit, UNIT_AGE)) {
        table_cell(t, human_age(json_object_get_string(v), buf));
    } else if (human && !strcmp(unit, UNIT_PROTO)) {
        table_cell(t, human_proto(v));
    } else if (human && !strcmp(unit, UNIT_PORT)) {
        const char *name = service_name((uint16_t) json_object_get_int(v));
        char port[64];
        snprintf(port, sizeof port, "%s%s%s", json_object_get_string(v),
                 name ? "/" : "", name ? name : "");
        table_cell(t, port);
    } else if (human
               && (type == json_type_int || type == json_type_double)) {
        table_cell(t, human_number(json_object_get_double(v), unit, buf));
    } else if (type == json_type_array) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        for (size_t i = 0; f && i < json_object_array_length(v); i++) {
            fprintf(f, "%s%s", i ? " " : "", json_object_get_string(
                        json_object_array_get_idx(v, i)));
        }
        if (f) {
            fclose(f);
        }
        table_cell(t, text);
        free(text);
    } else {
        table_cell(t, json_object_get_string(v));
    }
}

static void
print_table(struct cli *cli, const struct table *t)
{
    if (cli->format == FORMAT_CSV) {
        table_csv(t, cli->out);
    } else {
        table_print(t, cli->out, cli->width, cli->colour);
    }
}

void
cli_print_table(struct cli *cli, struct table *t, const char *nothing)
{
    if (cli->format == FORMAT_CSV || table_rows(t)) {
        print_table(cli, t);
    } else {
        fprintf(cli->out, "%s\n", nothing);
    }
    table_destroy(t);
}

/* A column of a table of objects. */
struct view {
    const char *path, *name;
    bool right;
    const char *unit;           /* Of a number that may be shortened. */
    bool wide;                  /* Only where there is room. */
};

#define WIDE 110

static void
show_list(struct cli *cli, struct json_object *list, const struct view *views,
          size_t n_views, const char *nothing)
{
    struct table *t = table_create();
    bool narrow = cli->format == FORMAT_TABLE && cli->width
                  && cli->width < WIDE;

    for (size_t i = 0; i < n_views; i++) {
        if (!narrow || !views[i].wide) {
            table_column(t, views[i].name, views[i].right);
        }
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        for (size_t j = 0; j < n_views; j++) {
            if (!narrow || !views[j].wide) {
                cell(cli, t, at(o, views[j].path), views[j].unit);
            }
        }
    }
    if (!table_rows(t) && cli->format == FORMAT_TABLE) {
        fprintf(cli->out, "%s\n", nothing);
    } else {
        print_table(cli, t);
    }
    table_destroy(t);
}

#define SHOW_LIST(CLI, LIST, VIEWS, NOTHING)                            \
    show_list(CLI, LIST, VIEWS, sizeof VIEWS / sizeof VIEWS[0], NOTHING)

/* The filter with a mark under the place that is wrong. */
#define AROUND 60               /* Bytes before and behind. */

static void
show_position(struct cli *cli, FILE *f, struct json_object *position)
{
    if (!position || !cli->filter) {
        return;
    }
    /* Of its line as much as is seen at a glance. */
    const char *text = cli->filter;
    size_t len = strlen(text), at_ = (size_t) json_object_get_int(position);
    at_ = at_ < len ? at_ : len;
    size_t first = at_, last = at_;
    while (first && text[first - 1] != '\n' && at_ - first < AROUND) {
        first--;
    }
    while (last < len && text[last] != '\n' && last - at_ < AROUND) {
        last++;
    }
    /* Not within a character. */
    while (first < at_ && ((uint8_t) text[first] & 0xc0) == 0x80) {
        first++;
    }
    while (last < len && ((uint8_t) text[last] & 0xc0) == 0x80) {
        last++;
    }
    bool begins = !first || text[first - 1] == '\n';
    bool ends = last == len || text[last] == '\n';
    fprintf(f, "    %s%.*s%s\n    %*s^\n", begins ? "" : "...",
            (int) (last - first), text + first, ends ? "" : "...",
            (int) (at_ - first) + (begins ? 0 : 3), "");
}

int
cli_show_error(struct cli *cli, struct json_object *error)
{
    struct json_object *expected = at(error, "data/expected");

    if (cli->format == FORMAT_JSON) {
        fprintf(cli->err, "%s\n", json_object_to_json_string_ext(error,
                                                                 TO_TEXT));
        return EXIT_DAEMON;
    }
    fprintf(cli->err, "venturictl: %s: %s\n", cli->method,
            text_at(error, "message"));
    show_position(cli, cli->err, at(error, "data/position"));
    if (expected && json_object_get_string_len(expected)) {
        fprintf(cli->err, "expected: %s\n", json_object_get_string(expected));
    }
    return EXIT_DAEMON;
}

/* ---- flows ---- */

static const struct cli_option flows_options[] = {
    { "last", 'l', "DURATION", "flows of the last 90s, 15m, 1h, 2d; 1h is the "
      "default", "5m 15m 1h 6h 1d 7d" },
    { "from", 'f', "TIME", "flows that ended then or later: RFC 3339, seconds "
      "since 1970, -2h", NULL },
    { "to", 't', "TIME", "and before then; now is the default", NULL },
    { "by", 'b', "COLUMNS", "group by these, with commas between them; what "
      "both ends have without src_ or dst_ (tenant): a flow counts for either; "
      "none: totals", CLI_WORDS_BY },
    { "metrics", 'm', "METRICS", "sums, bps, p95(bps), distinct(src_addr), "
      "..., see venturictl columns; bytes,packets,flows is the default", CLI_WORDS_METRICS },
    { "order", 'o', "COLUMN", "sort by this; with - before it the largest "
      "first", NULL },
    { "top", 'n', "N", "at most so many rows; 10 is the default", NULL },
    { "bucket", 'B', "DURATION", "also group by time, in steps of so long",
      "1m 5m 1h 1d" },
    { "compare", 'C', "PERIOD", "also the same so long before: previous, 1d",
      "previous 1h 1d 7d" },
    { "bidirectional", '2', NULL, "both directions of a conversation are one "
      "row", NULL },
    { "totals", 'T', NULL, "also the rest and the total", NULL },
    { "all-observations", 'A', NULL, "count packets at every place where they "
      "were seen", NULL },
    { "resolve", 'r', "WHEN", "who the ends are: stored, when the flow came "
      "(the default); then, by what is known today; now", "stored then now" },
    { NULL, 0, NULL, NULL, NULL }
};

static bool
build_flows(struct cli *cli, struct json_object *params)
{
    const char *last = cli_value(cli, "last"), *from = cli_value(cli, "from");
    const char *to = cli_value(cli, "to"), *by = cli_value(cli, "by");
    const char *bucket = cli_value(cli, "bucket");
    char since[64];

    if (last && (from || to)) {
        return cli_usage(cli, "give either --last or --from and --to");
    }
    if (last || !from) {
        snprintf(since, sizeof since, "-%.60s", last ? last : "1h");
        from = since;
    }
    if (!by) {
        by = bucket ? "none" : "src_addr,dst_addr,proto,dst_port";
    }
    cli_set_string(params, "from", from);
    cli_set_string(params, "to", to);
    if (strcmp(by, "none")) {
        cli_set_list(params, "by", by);
    }
    cli_set_list(params, "metrics", cli_value(cli, "metrics"));
    cli_set_string(params, "order", cli_value(cli, "order"));
    cli_set_string(params, "bucket", bucket);
    cli_set_string(params, "compare", cli_value(cli, "compare"));
    if (cli_value(cli, "bidirectional")) {
        json_object_object_add(params, "bidirectional",
                               json_object_new_boolean(true));
    }
    if (cli_value(cli, "totals")) {
        json_object_object_add(params, "totals",
                               json_object_new_boolean(true));
    }
    if (cli_value(cli, "all-observations")) {
        cli_set_string(params, "observations", "all");
    }
    cli_set_string(params, "resolve", cli_value(cli, "resolve"));
    if (cli->n_operands) {
        cli->filter = join_operands(cli);
        cli_set_string(params, "filter", cli->filter);
    }
    return cli_set_integer(cli, params, "limit", "top")
           && cli_set_running(cli, params);
}

static bool
is_number_type(const char *type)
{
    return type[0] == 'u' && type[1] >= '0' && type[1] <= '9';
}

/* After the rows, for people: is that all, and what did it cost? */
static void
show_stats(struct cli *cli, struct json_object *o, size_t n)
{
    bool more = json_object_get_boolean(at(o, "truncated"));
    const char *tier = text_at(o, "stats/tier");
    bool sums = tier[0] == '1';

    fprintf(cli->out, "%zu row%s%s, %s records in %s segment%s%s%s%s read in "
            "%.0f ms\n", n, n == 1 ? "" : "s",
            more ? ", there are more (see --top)" : "",
            text_at(o, "stats/rows_scanned"), text_at(o, "stats/segments"),
            json_object_get_int(at(o, "stats/segments")) == 1 ? "" : "s",
            sums ? " (tier " : "", sums ? tier : "", sums ? ")" : "",
            json_object_get_double(at(o, "stats/elapsed_ms")));
}

/* A row of what all groups, or those that are not shown, sum up to. */
static void
add_sums(struct cli *cli, struct table *t, struct json_object *columns,
         struct json_object *sums, const char *label)
{
    size_t n = columns ? json_object_array_length(columns) : 0;
    size_t n_sums = sums ? json_object_array_length(sums) : 0;

    for (size_t i = 0; n_sums && i < n; i++) {
        if (i < n - n_sums) {
            table_cell(t, i ? "" : label);
        } else {
            struct json_object *c = json_object_array_get_idx(columns, i);
            cell(cli, t, json_object_array_get_idx(sums, i - (n - n_sums)),
                 text_at(c, "unit"));
        }
    }
}

static int
show_flows(struct cli *cli, struct json_object *o)
{
    struct json_object *columns = at(o, "columns"), *rows = at(o, "rows");
    struct table *t = table_create();
    size_t n = columns ? json_object_array_length(columns) : 0;
    size_t n_rows = rows ? json_object_array_length(rows) : 0;

    for (size_t i = 0; i < n; i++) {
        struct json_object *c = json_object_array_get_idx(columns, i);
        table_column(t, text_at(c, "name"), is_number_type(text_at(c,
                                                                   "type")));
    }
    for (size_t i = 0; i < n_rows; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        for (size_t j = 0; j < n; j++) {
            struct json_object *c = json_object_array_get_idx(columns, j);
            const char *unit = text_at(c, "unit");
            /* Bits and microseconds are not for rounding. */
            bool sum = !strcmp(unit, "B") || !strcmp(unit, "packets")
                       || !strcmp(unit, "flows") || strstr(unit, "/s");
            const char *name = text_at(c, "name");
            cell(cli, t, json_object_array_get_idx(row, j),
                 sum ? unit : !strcmp(name, "proto") ? UNIT_PROTO
                 : !strcmp(name, "src_port") || !strcmp(name, "dst_port")
                 ? UNIT_PORT : NULL);
        }
    }
    add_sums(cli, t, columns, at(o, "other"), "(other)");
    add_sums(cli, t, columns, at(o, "totals"), "(total)");
    if (n_rows || cli->format == FORMAT_CSV) {
        print_table(cli, t);
    } else {
        fputs("No flows.\n", cli->out);
    }
    if (cli->format == FORMAT_TABLE) {
        show_stats(cli, o, n_rows);
    }
    cli_show_note(cli, o);
    table_destroy(t);
    return EXIT_OK;
}

static int
show_columns(struct cli *cli, struct json_object *o)
{
    static const struct view views[] = {
        { "name", "name", false, NULL, false },
        { "type", "type", false, NULL, false },
        { "unit", "unit", false, NULL, false },
        { "group_by", "by", false, NULL, false },
        { "metric", "metric", false, NULL, false },
        { "doc", "meaning", false, NULL, false },
    };

    static const struct view keys[] = {
        { "name", "key", false, NULL, false },
        { "doc", "meaning", false, NULL, false },
    };
    static const struct view metrics[] = {
        { "name", "metric", false, NULL, false },
        { "doc", "meaning", false, NULL, false },
    };

    SHOW_LIST(cli, at(o, "columns"), views, "No columns.");
    if (cli->format == FORMAT_TABLE) {
        fputs("\nKeys (--by) are the columns marked so, and:\n\n", cli->out);
        SHOW_LIST(cli, at(o, "keys"), keys, "None.");
        fputs("\nMetrics are the columns marked so, and:\n\n", cli->out);
        SHOW_LIST(cli, at(o, "metrics"), metrics, "None.");
    }
    return EXIT_OK;
}

static bool
build_filter(struct cli *cli, struct json_object *params)
{
    if (!cli->n_operands) {
        return cli_usage(cli, "give the filter to check");
    }
    cli->filter = join_operands(cli);
    cli_set_string(params, "filter", cli->filter);
    return true;
}

static int
show_filter(struct cli *cli, struct json_object *o)
{
    struct json_object *error = at(o, "error");

    if (json_object_get_boolean(at(o, "valid"))) {
        fputs("The filter is right.\n", cli->out);
        return EXIT_OK;
    }
    fprintf(cli->out, "%s\n", text_at(error, "message"));
    show_position(cli, cli->out, at(error, "position"));
    if (*text_at(error, "expected")) {
        fprintf(cli->out, "expected: %s\n", text_at(error, "expected"));
    }
    return EXIT_DAEMON;
}

/* ---- export ---- */

static const struct cli_option bridge_options[] = {
    { "bridge", 'b', "NAME", "only this bridge", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

static const struct cli_option scope_options[] = {
    { "bridge", 'b', "NAME", "only this bridge", NULL },
    { "policy", 'p', "NAME", "only bridges of this policy", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

static const struct cli_option plan_options[] = {
    { "bridge", 'b', "NAME", "only this bridge", NULL },
    { "policy", 'p', "NAME", "only bridges of this policy", NULL },
    { "all", 'A', NULL, "also what needs no change", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

static bool
build_bridge(struct cli *cli, struct json_object *params)
{
    cli_set_string(params, "bridge", cli_value(cli, "bridge"));
    cli_set_string(params, "policy", cli_value(cli, "policy"));
    if (cli_value(cli, "all")) {
        json_object_object_add(params, "all", json_object_new_boolean(true));
    }
    return true;
}

static void
show_unreachable(struct cli *cli, struct json_object *list)
{
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        struct json_object *connected = at(o, "connected");
        if (!connected || !json_object_get_boolean(connected)) {
            fprintf(cli->out, "%s: not connected: %s\n",
                    text_at(o, "remote"), text_at(o, "reason"));
        }
    }
}

/* What a change would write, below its line. */
static void
show_diff(struct cli *cli, struct json_object *change)
{
    struct json_object *list = at(change, "diff");

    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *d = json_object_array_get_idx(list, i);
        fprintf(cli->out, "    %s: %s -> %s\n", text_at(d, "column"),
                text_at(d, "old"), text_at(d, "new"));
    }
    cli_show_warnings(cli, at(change, "warnings"), "    ");
}

static int
show_plan_csv(struct cli *cli, struct json_object *plans)
{
    static const char *const names[] = { "bridge", "protocol", "action",
                                         "policy", "reason" };
    struct table *t = table_create();

    table_column(t, "remote", false);
    for (size_t i = 0; i < 5; i++) {
        table_column(t, names[i], false);
    }
    for (size_t i = 0; plans && i < json_object_array_length(plans); i++) {
        struct json_object *p = json_object_array_get_idx(plans, i);
        struct json_object *list = at(p, "changes");
        for (size_t j = 0; list && j < json_object_array_length(list); j++) {
            struct json_object *c = json_object_array_get_idx(list, j);
            cell(cli, t, at(p, "remote"), NULL);
            for (size_t k = 0; k < 5; k++) {
                cell(cli, t, at(c, names[k]), NULL);
            }
        }
    }
    table_csv(t, cli->out);
    table_destroy(t);
    return EXIT_OK;
}

static int
show_plan(struct cli *cli, struct json_object *o)
{
    struct json_object *plans = at(o, "plans");

    if (cli->format == FORMAT_CSV) {
        return show_plan_csv(cli, plans);
    }
    for (size_t i = 0; plans && i < json_object_array_length(plans); i++) {
        struct json_object *p = json_object_array_get_idx(plans, i);
        struct json_object *list = at(p, "changes");
        size_t n = list ? json_object_array_length(list) : 0;
        fprintf(cli->out, "%s: %s to write\n", text_at(p, "remote"),
                text_at(p, "pending"));
        for (size_t j = 0; j < n; j++) {
            struct json_object *c = json_object_array_get_idx(list, j);
            fprintf(cli->out, "  %s %s: %s (%s)\n", text_at(c, "bridge"),
                    text_at(c, "protocol"), text_at(c, "action"),
                    text_at(c, "reason"));
            show_diff(cli, c);
        }
        cli_show_warnings(cli, at(p, "warnings"), "  ");
    }
    struct json_object *probes = at(o, "probes");
    for (size_t i = 0; probes && i < json_object_array_length(probes); i++) {
        struct json_object *p = json_object_array_get_idx(probes, i);
        fprintf(cli->out, "%s probe: %s (%s)\n", text_at(p, "interface"),
                text_at(p, "action"), text_at(p, "reason"));
        if (at(p, "command")) {
            fprintf(cli->out, "    %s\n", text_at(p, "command"));
        }
        cli_show_warnings(cli, at(p, "warnings"), "    ");
    }
    show_unreachable(cli, at(o, "unreachable"));
    return EXIT_OK;
}

static int
show_status(struct cli *cli, struct json_object *o)
{
    static const struct view views[] = {
        { "bridge", "bridge", false, NULL, false },
        { "protocol", "protocol", false, NULL, false },
        { "state", "state", false, NULL, false },
        { "policy", "policy", false, NULL, false },
        { "sampling", "sampling", true, NULL, false },
        { "targets", "targets", false, NULL, false },
        { "records", "records", true, "records", false },
        { "packets", "packets", true, "packets", false },
        { "bytes", "bytes", true, "B", false },
        { "reason", "reason", false, NULL, false },
    };

    SHOW_LIST(cli, at(o, "status"), views, "No bridges.");
    if (cli->format == FORMAT_TABLE) {
        show_unreachable(cli, at(o, "remotes"));
        if (at(o, "probes") && json_object_array_length(at(o, "probes"))) {
            fputc('\n', cli->out);
            cli_show_probes(cli, o);
        }
    }
    return EXIT_OK;
}

/* ---- exporters, info, health ---- */

static const struct cli_option exporters_options[] = {
    { "limit", 'n', "N", "at most so many", NULL },
    { "offset", 0, "N", "leave out so many first", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

static bool
build_exporters(struct cli *cli, struct json_object *params)
{
    return cli_set_integer(cli, params, "limit", "limit")
           && cli_set_integer(cli, params, "offset", "offset");
}

static bool
build_exporter(struct cli *cli, struct json_object *params)
{
    char *end;
    long id = cli->n_operands == 1 ? strtol(cli->operands[0], &end, 10) : 0;

    if (id < 1 || *end) {
        return cli_usage(cli, "give the id of an exporter; see \"exporters\"");
    }
    json_object_object_add(params, "id", json_object_new_int64(id));
    return true;
}

static int
show_exporters(struct cli *cli, struct json_object *o)
{
    static const struct view views[] = {
        { "id", "id", true, NULL, false },
        { "exporter", "exporter", false, NULL, false },
        { "name", "name", false, NULL, true },
        { "protocol", "protocol", false, NULL, false },
        { "observation_domain_id", "domain", true, NULL, false },
        { "bridge", "bridge", false, NULL, false },
        { "sampling", "sampling", true, NULL, false },
        { "sampling_origin", "by", false, NULL, true },
        { "counters/datagrams", "datagrams", true, "datagrams", true },
        { "counters/flow_records", "records", true, "records", false },
        { "counters/bytes", "bytes", true, "B", false },
        { "counters/lost", "lost", true, "lost", false },
        { "counters/malformed", "malformed", true, "malformed", true },
        { "last_seen", "last seen", false, UNIT_AGE, false },
    };

    SHOW_LIST(cli, at(o, "exporters"), views,
              "No exporter has sent anything.");
    return EXIT_OK;
}

/* An object as indented lines. */
static void
show_tree(struct cli *cli, struct json_object *o, int depth)
{
    struct json_object_iter it;

    json_object_object_foreachC(o, it) {
        enum json_type type = json_object_get_type(it.val);
        if (type == json_type_object) {
            fprintf(cli->out, "%*s%s:\n", depth * 2, "", it.key);
            show_tree(cli, it.val, depth + 1);
            continue;
        }
        if (type != json_type_array) {
            fprintf(cli->out, "%*s%s: %s\n", depth * 2, "", it.key,
                    it.val ? json_object_get_string(it.val) : "-");
            continue;
        }
        for (size_t i = 0; i < json_object_array_length(it.val); i++) {
            struct json_object *v = json_object_array_get_idx(it.val, i);
            fprintf(cli->out, "%*s%s:", depth * 2, "", it.key);
            if (json_object_is_type(v, json_type_object)) {
                fputc('\n', cli->out);
                show_tree(cli, v, depth + 1);
            } else {
                fprintf(cli->out, " %s\n", json_object_get_string(v));
            }
        }
    }
}

static int
show_info(struct cli *cli, struct json_object *o)
{
    show_tree(cli, o, 0);
    return EXIT_OK;
}

static int
show_health(struct cli *cli, struct json_object *o)
{
    static const struct view views[] = {
        { "name", "check", false, NULL, false },
        { "status", "status", false, NULL, false },
        { "reason", "reason", false, NULL, false },
    };

    if (cli->format == FORMAT_TABLE) {
        fprintf(cli->out, "status: %s\n\n", text_at(o, "status"));
    }
    SHOW_LIST(cli, at(o, "checks"), views, "No checks.");
    return strcmp(text_at(o, "status"), "ok") ? EXIT_DAEMON : EXIT_OK;
}

/* ---- config ---- */

static const struct cli_option get_options[] = {
    { "file", 'f', NULL, "only what the file says, without defaults", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

static const struct cli_option edit_options[] = {
    { "replace", 'r', NULL, "replace the configuration, instead of merging "
      "into it", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

static bool
build_get(struct cli *cli, struct json_object *params)
{
    if (cli_value(cli, "file")) {
        json_object_object_add(params, "defaults",
                               json_object_new_boolean(false));
    }
    return true;
}

static char *
read_stream(FILE *f, size_t *n)
{
    size_t room = 65536;
    char *text = malloc(room);

    *n = 0;
    while (text) {
        *n += fread(text + *n, 1, room - *n, f);
        if (*n < room) {
            break;
        }
        char *p = realloc(text, room *= 2);
        if (!p) {
            free(text);
        }
        text = p;
    }
    return text;
}

bool
cli_read_json(struct cli *cli, const char *operand, struct json_object **o)
{
    struct json_limits limits = json_default_limits;
    struct json_error e;
    bool is_text = strchr("{[\"", *operand) != NULL;
    size_t n = strlen(operand);
    char *text = NULL;

    limits.size = SIZE_MAX;
    limits.values = limits.containers = UINT32_MAX;
    if (!is_text || !*operand) {
        FILE *f = strcmp(operand, "-") ? fopen(operand, "re") : stdin;
        if (!f) {
            return cli_usage(cli, "%s: %s", operand, strerror(errno));
        }
        text = read_stream(f, &n);
        if (f != stdin) {
            fclose(f);
        }
        if (!text) {
            return cli_usage(cli, "out of memory");
        }
    }
    int err = json_parse(text ? text : operand, n, &limits, JSON_UNIQUE, o,
                         &e);
    free(text);
    if (err) {
        cli_usage(cli, "%s: line %u, column %u: %s",
                  is_text ? "not JSON" : operand, e.line, e.column,
                  e.message);
    }
    return !err;
}

static bool
build_config(struct cli *cli, struct json_object *params)
{
    struct json_object *o = NULL;

    if (cli->n_operands != 1) {
        return cli_usage(cli, "give one file, or - for standard input");
    }
    if (!cli_read_json(cli, cli->operands[0], &o)) {
        return false;
    }
    json_object_object_add(params, "config", o);
    if (cli_value(cli, "replace")) {
        json_object_object_add(params, "merge",
                               json_object_new_boolean(false));
    }
    return true;
}

static int
show_config(struct cli *cli, struct json_object *o)
{
    fprintf(cli->out, "%s\n", json_object_to_json_string_ext(
                at(o, "config"), JSON_C_TO_STRING_PRETTY
                | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
    return EXIT_OK;
}

static int
show_valid(struct cli *cli, struct json_object *o)
{
    struct json_object *list = at(o, "errors");

    if (json_object_get_boolean(at(o, "valid"))) {
        fputs("The configuration is valid.\n", cli->out);
        return EXIT_OK;
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *e = json_object_array_get_idx(list, i);
        fprintf(cli->out, "%s: %s\n", text_at(e, "path"),
                text_at(e, "message"));
    }
    return EXIT_DAEMON;
}

static int
show_edited(struct cli *cli, struct json_object *o)
{
    fprintf(cli->out, "Changed; written to %s.\n", text_at(o, "file"));
    return EXIT_OK;
}

/* ---- call, completion ---- */

static bool
build_call(struct cli *cli, struct json_object *params)
{
    struct json_object *o = NULL;

    if (cli->n_operands < 1 || cli->n_operands > 2) {
        return cli_usage(cli, "give a method and, if it has any, its "
                         "parameters");
    }
    cli->method = cli->operands[0];
    if (cli->n_operands < 2) {
        return true;
    }
    if (!cli_read_json(cli, cli->operands[1], &o)) {
        return false;
    }
    if (!json_object_is_type(o, json_type_object)) {
        json_object_put(o);
        return cli_usage(cli, "parameters are an object: {\"NAME\": VALUE}");
    }
    json_object_object_foreach(o, name, value) {
        json_object_object_add(params, name, json_object_get(value));
    }
    json_object_put(o);
    return true;
}

static int
run_manual(struct cli *cli)
{
    if (cli->n_operands != 1 || strcmp(cli->operands[0], "filter")) {
        cli_usage(cli, "this page is there: filter");
        return EXIT_USAGE;
    }
    manual_filter(cli->out);
    return EXIT_OK;
}

static int
run_completion(struct cli *cli)
{
    if (cli->n_operands && !strcmp(cli->operands[0], "words")) {
        cli_complete(cli->out, cli->operands + 1, cli->n_operands - 1);
    } else if (cli->n_operands != 1
               || !cli_completion(cli->out, cli->operands[0])) {
        cli_usage(cli, "completion is there for: bash, zsh");
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

const struct cli_command cli_commands[] = {
    { "flows", "flow.query", "[FILTER...]",
      "sums over flows: who talks to whom, how much", flows_options,
      "venturictl flows --last 15m --by src_addr,proto --top 5 'dst port 443'",
      build_flows, show_flows, NULL },
    { "records", "flow.records", "[FILTER...]",
      "single flow records, the newest first", cli_records_options,
      "venturictl records --last 5m --fields src_addr,dst_addr,bytes 'port "
      "53'", cli_build_records, cli_show_records, NULL },
    { "series", "flow.series", "[FILTER...]",
      "sums over time, step by step", cli_series_options,
      "venturictl series --last 6h --by proto_name --metrics bps",
      cli_build_series, cli_show_series, NULL },
    { "watch", NULL, "[FILTER...]",
      "flow records as they arrive, until Ctrl-C", cli_watch_options,
      "venturictl watch --rate 20 'proto udp and dst port 53'", NULL, NULL,
      cli_watch },
    { "top", NULL, "[FILTER...]",
      "flows, endpoints and exporters, live on the whole terminal",
      cli_top_options, "venturictl top --view endpoints 'proto tcp'", NULL,
      NULL, cli_top },
    { "events", NULL, NULL,
      "what happened; with --follow, what happens, until Ctrl-C",
      cli_events_options,
      "venturictl events --last 24h --kind 'exporter.*' --follow", NULL, NULL,
      cli_events },
    { "event kinds", "event.kinds", NULL, "the kinds of events that there are",
      NULL, NULL, NULL, cli_show_kinds, NULL },
    { "alert list", "alert.list", NULL, "alerts that are raised",
      cli_alert_list_options, "venturictl alert list --all",
      cli_build_alert_list, cli_show_alerts, NULL },
    { "alert show", "alert.list", "ALERT",
      "one alert: who, where, by which route, what makes it up", NULL,
      "venturictl alert show 12", cli_build_alert_show, cli_show_alert_of,
      NULL },
    { "alert acknowledge", "alert.acknowledge", "ALERT",
      "somebody knows of it", cli_alert_comment_options,
      "venturictl alert acknowledge 12 --comment 'backup, ends at 10'",
      cli_build_alert_number, cli_show_alert, NULL },
    { "alert mute", "alert.mute", "DURATION",
      "do not deliver for some time; 0s ends it", cli_alert_mute_options,
      "venturictl alert mute 2h --rule traffic-spike --subject '10.0.0.*'",
      cli_build_alert_mute, cli_show_mutes, NULL },
    { "alert rule list", "alert.rule.list", NULL,
      "what alerts are raised for", NULL, NULL, NULL, cli_show_alert_rules,
      NULL },
    { "alert rule set", "alert.rule.set", "NAME|JSON",
      "make a rule, or another of that name", cli_alert_rule_options,
      "venturictl alert rule set dns-flood --filter 'proto udp and src port "
      "53' --by dst_addr --metric pps --above 20k --hold 3s",
      cli_build_alert_rule, cli_show_alert_rules, NULL },
    { "alert rule delete", "alert.rule.delete", "NAME", "delete a rule", NULL,
      "venturictl alert rule delete dns-flood", cli_build_alert_rule_delete, cli_show_alert_rules, NULL },
    { "profile list", "profile.list", "[PROFILE]",
      "profiles and their channels", NULL, "venturictl profile list classic",
      cli_build_profile_list,
      cli_show_profiles, NULL },
    { "profile add", "profile.add", "PROFILE", "make a profile",
      cli_profile_options, "venturictl profile add zone1 --template classic",
      cli_build_profile, cli_show_profile, NULL },
    { "profile delete", "profile.delete", "PROFILE",
      "delete a profile with its channels and numbers", NULL,
      "venturictl profile delete zone1", cli_build_profile, cli_show_profile, NULL },
    { "channel add", "channel.add", "PROFILE/CHANNEL",
      "count what a filter picks, from now on or since a past start",
      cli_channel_options, "venturictl channel add zone1/dns --filter 'port "
      "53' --colour '#305FFF' --start -1d", cli_build_channel,
      cli_show_channel, NULL },
    { "channel edit", "channel.edit", "PROFILE/CHANNEL",
      "another filter, colour, sign or place", cli_channel_options,
      "venturictl channel edit zone1/dns --filter 'port 53 or port 853'",
      cli_build_channel, cli_show_channel, NULL },
    { "channel delete", "channel.delete", "PROFILE/CHANNEL",
      "delete a channel and its numbers", NULL,
      "venturictl channel delete zone1/dns", cli_build_channel,
      cli_show_channel, NULL },
    { "channel series", "channel.series", "PROFILE[/CHANNEL]",
      "what channels counted, step by step", cli_channel_series_options,
      "venturictl channel series classic --last 10m --bucket 1m",
      cli_build_channel_series, cli_show_channel_series, NULL },
    { "columns", "flow.columns", NULL, "what a flow record can say", NULL,
      NULL, NULL, show_columns, NULL },
    { "filter check", "flow.filter.check", "FILTER...",
      "check a filter without asking anything", NULL,
      "venturictl filter check 'proto tcp and port 22'", build_filter,
      show_filter, NULL },
    { "export plan", "export.plan", NULL,
      "what would be written to bridges", plan_options,
      "venturictl export plan --bridge br-int", build_bridge, show_plan,
      NULL },
    { "export apply", "export.apply", NULL,
      "write what the plan says, and keep it so", scope_options,
      "venturictl export apply --policy edge", build_bridge, show_plan,
      NULL },
    { "export status", "export.status", NULL,
      "each bridge and protocol: is it in place, does data arrive",
      bridge_options, NULL, build_bridge, show_status, NULL },
    { "export remove", "export.remove", "[PROTOCOL BRIDGE]",
      "export a protocol from a bridge no longer; or take away from bridges "
      "all that venturid wrote, until export apply", scope_options,
      "venturictl export remove sflow br0", cli_build_remove,
      cli_show_remove, NULL },
    { "export list", "export.status", "[PROTOCOL]",
      "what the bridges export, where to, and whose rows these are", NULL,
      "venturictl export list sflow", NULL, cli_show_exports, NULL },
    { "export add", "export.bridge.add",
      "PROTOCOL BRIDGE [COLUMN=VALUE...]",
      "export netflow, sflow or ipfix from one bridge", cli_add_options,
      "venturictl export add sflow br0 --sampling 64 --polling 5 --target "
      "10.0.0.1:6343", cli_build_add, cli_show_changed, NULL },
    { "export policy list", "export.policy.list", NULL,
      "export policies; the first that matches a bridge decides", NULL, NULL,
      NULL, cli_show_policies, NULL },
    { "export policy set", "export.policy.set", "NAME FILE|JSON",
      "add or replace a policy; a new one goes first", cli_policy_options,
      "venturictl export policy set edge '{\"match\": {\"bridges\": "
      "[\"br-*\"]}, \"sflow\": {\"sampling\": 64}}'",
      cli_build_policy_set, cli_show_changed, NULL },
    { "export policy delete", "export.policy.delete", "NAME",
      "delete a policy", NULL, "venturictl export policy delete edge",
      cli_build_policy_delete,
      cli_show_deleted, NULL },
    { "export adopt", "export.adopt", "OWNER",
      "take over the rows of a venturid that is gone for good", NULL,
      "venturictl export adopt 4f0c1c9a-7b0e-4c5e-9a53-0a5e1f3c2d11",
      cli_build_adopt, cli_show_adopt, NULL },
    { "token create", "token.create", "NAME ROLE",
      "make a token for HTTP, TCP or TLS: viewer, operator, orchestrator or "
      "admin; it is shown this once", cli_token_options,
      "venturictl token create grafana viewer --lifetime 90d --tenant blue",
      cli_build_token_create, cli_show_token, NULL },
    { "token list", "token.list", NULL, "tokens, without their secrets", NULL,
      NULL, NULL, cli_show_tokens, NULL },
    { "token revoke", "token.revoke", "NAME|ID",
      "end a token at once", NULL, "venturictl token revoke grafana",
      cli_build_token_revoke,
      cli_show_revoked, NULL },
    { "config history", "config.history", NULL,
      "earlier configurations: since when, by whom, what changed",
      cli_limit_options, NULL, cli_build_limit, cli_show_history, NULL },
    { "config rollback", "config.rollback", "REVISION",
      "return to an earlier configuration", NULL,
      "venturictl config rollback 7", cli_build_rollback, cli_show_rollback,
      NULL },
    { "audit", "audit.list", NULL,
      "who has changed what, and who wanted to and may not",
      cli_limit_options, NULL, cli_build_limit, cli_show_audit, NULL },
    { "whoami", "session.get", NULL, "whom venturid takes one for", NULL,
      "venturictl --to tls://collector:8781 --token-file token whoami", NULL,
      NULL, NULL },
    { "probes", "probe.status", NULL,
      "the softflowd of each Linux bridge: does it run", NULL, NULL, NULL,
      cli_show_probes, NULL },
    { "bgp neighbors", "bgp.neighbors", NULL,
      "BGP neighbours: states, routes, and why a session ended", NULL, NULL,
      NULL, cli_show_neighbors, NULL },
    { "bgp reset", "bgp.reset", "ADDRESS",
      "end the session with a neighbour and set it up anew", NULL,
      "venturictl bgp reset 192.0.2.1", cli_build_neighbor, cli_show_done,
      NULL },
    { "bgp refresh", "bgp.refresh", "ADDRESS",
      "ask a neighbour for all its routes again", NULL,
      "venturictl bgp refresh 192.0.2.1", cli_build_neighbor, cli_show_done,
      NULL },
    { "bmp routers", "bmp.routers", NULL,
      "routers that are connected by BMP, and their peers", NULL, NULL, NULL,
      cli_show_routers, NULL },
    { "exporters", "exporter.list", NULL,
      "who sends, what was lost, sampling rates", exporters_options, NULL,
      build_exporters, show_exporters, NULL },
    { "exporter", "exporter.get", "ID",
      "one exporter, with all that was counted of it", NULL,
      "venturictl exporter 1", build_exporter, show_info, NULL },
    { "counters", "exporter.counters", "[INTERFACE]",
      "what interfaces counted in that time, by sFlow and by OVSDB",
      cli_counters_options, "venturictl counters --last 15m --points vnet3",
      cli_build_counters, cli_show_counters, NULL },
    { "accuracy", "exporter.accuracy", "[INTERFACE]",
      "estimated octets of each interface and hour beside counted ones",
      cli_accuracy_options, "venturictl accuracy --last 1d",
      cli_build_accuracy, cli_show_accuracy, NULL },
    { "route", "route.lookup", "ADDRESS",
      "the routes of an address or prefix; * marks the best",
      cli_route_options, "venturictl route 192.0.2.1 --match less",
      cli_build_route, cli_show_routes, NULL },
    { "route table", "route.table", "[PREFIX]",
      "routes in the order of their prefixes, page by page",
      cli_route_table_options, "venturictl route table --peer 192.0.2.1",
      cli_build_route_table, cli_show_routes, NULL },
    { "route history", "route.history", "[PREFIX]",
      "what became of routes: announced, changed, withdrawn, sessions gone",
      cli_route_history_options,
      "venturictl route history 203.0.113.0/24 --last 1d",
      cli_build_route_history, cli_show_route_history, NULL },
    { "route import", NULL, "FILE",
      "take the routes of an MRT file, in the place of sessions with its peers",
      cli_route_import_options,
      "venturictl route import rib.20261123.0000.bz2 --name rrc00", NULL,
      NULL, cli_route_import },
    { "route imports", "route.imports", NULL,
      "MRT files that were imported, and their peers", NULL, NULL, NULL,
      cli_show_route_imports, NULL },
    { "route forget", "route.forget", "NAME", "remove an import of routes",
      NULL, "venturictl route forget rrc00", cli_build_route_forget,
      cli_show_done, NULL },
    { "who", "endpoint.lookup", "ADDRESS",
      "who has an IP or MAC address, or had it then (exit status 1: nobody "
      "that is known)", cli_who_options,
      "venturictl who 10.0.0.5 --at '2026-11-20 10:00'", cli_build_who,
      cli_show_who, NULL },
    { "endpoint list", "endpoint.list", NULL,
      "endpoints as they are told now", cli_endpoint_list_options, NULL,
      cli_build_endpoint_list, cli_show_endpoints, NULL },
    { "endpoint sources", "endpoint.sources", NULL,
      "who tells of endpoints, and what came of inventories", NULL, NULL,
      NULL, cli_show_sources, NULL },
    { "endpoint upsert", "endpoint.upsert", "FILE|JSON",
      "tell one endpoint, or an array of them", cli_endpoint_set_options,
      "venturictl endpoint upsert '{\"id\": \"1\", \"name\": \"web-1\", "
      "\"tenant\": \"blue\", \"addresses\": [\"10.0.0.5\"]}'",
      cli_build_endpoint_set, cli_show_told, NULL },
    { "endpoint delete", "endpoint.delete", "ID...",
      "end endpoints; what they were before is kept",
      cli_endpoint_delete_options, "venturictl endpoint delete 1",
      cli_build_endpoint_delete,
      cli_show_told, NULL },
    { "endpoint databases", "endpoint.databases", NULL,
      "databases that tell of endpoints", NULL, NULL, NULL,
      cli_show_endpoint_databases, NULL },
    { "info", "system.info", NULL, "what runs, and all counters", NULL, NULL,
      NULL, show_info, NULL },
    { "doctor", "system.doctor", NULL,
      "why does nothing arrive, and what to do (exit status 1 if anything "
      "fails)", cli_doctor_options, "venturictl doctor --strict",
      cli_build_doctor, cli_show_doctor, NULL },
    { "health", "system.health", NULL,
      "what is degraded, and why (exit status 1 if anything is)", NULL, NULL,
      NULL, show_health, NULL },
    { "config get", "config.get", NULL, "the configuration in effect",
      get_options, NULL, build_get, show_config, NULL },
    { "config validate", "config.validate", "FILE",
      "check a configuration (exit status 1 if it is wrong)", NULL,
      "venturictl config validate venturi.json", build_config, show_valid,
      NULL },
    { "config edit", "config.edit", "FILE|JSON",
      "merge into the configuration, apply and write it", edit_options,
      "venturictl config edit '{\"venturi:venturi\": {\"store\": "
      "{\"retention\": {\"raw\": \"30d\"}}}}'", build_config, show_edited,
      NULL },
    { "import", NULL, "FILE...",
      "store the flows of files that nfcapd has written; of a directory, all "
      "in it", cli_import_options, "venturictl import /var/cache/nfdump",
      NULL, NULL, cli_import },
    { "export-data", NULL, "[FILTER...]",
      "write flows into Parquet, CSV or NDJSON files for other programs",
      cli_data_options, "venturictl export-data --last 1d --output "
      "day.parquet 'proto tcp'", NULL, NULL, cli_export_data },
    { "decode", NULL, "FILE...",
      "what captures and datagrams say, without venturid",
      cli_decode_options, "venturictl decode --summary exporter.pcapng.gz",
      NULL, NULL, cli_decode },
    { "call", NULL, "METHOD [FILE|JSON]", "call any method, as JSON", NULL,
      "venturictl call exporter.list '{\"limit\": 5}'", build_call, NULL,
      NULL },
    { "discover", "rpc.discover", NULL,
      "the API as an OpenRPC document", NULL, NULL, NULL, NULL, NULL },
    { "manual", NULL, "filter", "a page of the manual, for man: venturi-filter",
      NULL, "venturictl manual filter | man -l -", NULL, NULL, run_manual },
    { "completion", NULL, "bash|zsh", "the completion script for a shell", NULL,
      "source <(venturictl completion bash)", NULL, NULL, run_completion },
    { NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL }
};
