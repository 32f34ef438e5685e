#include <config.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/show.h"
#include "api/cli/table.h"

/* Counters of interfaces, and how estimates compare with them. */

#define SELECTION                                                       \
    { "last", 'l', "DURATION", "of the last 90s, 15m, 1h, 2d; 1h is the " \
      "default", "5m 15m 1h 6h 1d 7d" },                                \
    { "from", 'f', "TIME", "from then on: RFC 3339, seconds since 1970, " \
      "-2h", NULL },                                                    \
    { "to", 't', "TIME", "and before then; now is the default", NULL }, \
    { "exporter", 'e', "ADDRESS", "only this sFlow agent or exporter",  \
      NULL }
#define END { NULL, 0, NULL, NULL, NULL }

const struct cli_option cli_counters_options[] = {
    SELECTION,
    { "fields", 'F', "COUNTERS", "these, with commas between them; octets, "
      "errors and discards are the default, and all in JSON", NULL },
    { "step", 'B', "DURATION", "one point of each so long", "1m 5m 1h 1d" },
    { "top", 'n', "N", "at most so many points", NULL },
    { "points", 'p', NULL, "every point as it was sent, not averages", NULL },
    END
};

const struct cli_option cli_accuracy_options[] = {
    SELECTION,
    { "step", 'B', "DURATION", "compare over times of so long; 1h is the "
      "default", "1m 5m 1h 1d" },
    END
};

static bool
set_selection(struct cli *cli, struct json_object *params)
{
    const char *last = cli_value(cli, "last"), *from = cli_value(cli, "from");
    const char *to = cli_value(cli, "to");
    char since[64];

    if (last && (from || to)) {
        return cli_usage(cli, "give either --last or --from and --to");
    } else if (cli->n_operands > 1) {
        return cli_usage(cli, "give one interface at most");
    }
    if (last) {
        snprintf(since, sizeof since, "-%.60s", last);
        from = since;
    }
    cli_set_string(params, "from", from);
    cli_set_string(params, "to", to);
    cli_set_string(params, "exporter", cli_value(cli, "exporter"));
    cli_set_string(params, "step", cli_value(cli, "step"));
    cli_set_string(params, "interface",
                   cli->n_operands ? cli->operands[0] : NULL);
    return true;
}

bool
cli_build_counters(struct cli *cli, struct json_object *params)
{
    const char *fields = cli_value(cli, "fields");
    if (!fields && cli->format != FORMAT_JSON) {
        fields = "in_octets,out_octets,in_errors,out_errors,in_discards,"
                 "out_discards";
    }
    cli_set_list(params, "fields", fields);
    return set_selection(cli, params)
           && cli_set_integer(cli, params, "limit", "top");
}

bool
cli_build_accuracy(struct cli *cli, struct json_object *params)
{
    return set_selection(cli, params);
}

/* "exporter" of sFlow, the bridge of OVSDB. */
static const char *
where(struct json_object *o)
{
    bool ovsdb = !strcmp(cli_text(o, "origin"), "ovsdb");
    return cli_text(o, ovsdb ? "bridge" : "agent");
}

static void
put_number(struct cli *cli, struct table *t, double v, const char *unit)
{
    char buf[HUMAN_STRLEN];
    if (cli->human && cli->format == FORMAT_TABLE) {
        table_cell(t, human_number(v, unit, buf));
    } else {
        snprintf(buf, sizeof buf, "%.0f", v);
        table_cell(t, buf);
    }
}

static void
put_names(struct table *t, struct json_object *o)
{
    table_cell(t, cli_text(o, "origin"));
    table_cell(t, where(o));
    table_cell(t, cli_at(o, "if_index") ? cli_text(o, "if_index") : "-");
    table_cell(t, cli_at(o, "name") ? cli_text(o, "name") : "-");
}

static void
name_columns(struct table *t)
{
    table_column(t, "origin", false);
    table_column(t, "agent/bridge", false);
    table_column(t, "index", true);
    table_column(t, "interface", false);
}

/* The place of a field in the points of an interface, 0: it has none. */
static size_t
place_of(struct json_object *o, const char *name)
{
    struct json_object *fields = cli_at(o, "fields");
    size_t n = fields ? json_object_array_length(fields) : 0;
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(json_object_get_string(
                        json_object_array_get_idx(fields, i)), name)) {
            return i + 1;
        }
    }
    return 0;
}

static struct json_object *
value_of(struct json_object *o, struct json_object *point, const char *name)
{
    size_t place = place_of(o, name);
    return place ? json_object_array_get_idx(point, place) : NULL;
}

/* The names of all fields that any interface has, in the order of the
 * answer. */
static struct json_object *
all_fields(struct json_object *interfaces)
{
    struct json_object *names = json_object_new_object();
    for (size_t i = 0; i < json_object_array_length(interfaces); i++) {
        struct json_object *o = json_object_array_get_idx(interfaces, i);
        struct json_object *fields = cli_at(o, "fields");
        for (size_t k = 0; k < json_object_array_length(fields); k++) {
            json_object_object_add(names, json_object_get_string(
                json_object_array_get_idx(fields, k)), NULL);
        }
    }
    return names;
}

/* From the first point to the last: how much more, 0 if that went back. */
static void
put_growth(struct cli *cli, struct table *t, struct json_object *o,
           const char *name)
{
    struct json_object *points = cli_at(o, "points");
    size_t n = json_object_array_length(points);
    struct json_object *first = NULL, *last = NULL;
    if (n) {
        first = value_of(o, json_object_array_get_idx(points, 0), name);
        last = value_of(o, json_object_array_get_idx(points, n - 1), name);
    }
    if (!first || !last) {
        table_cell(t, cli->format == FORMAT_TABLE ? "-" : "");
        return;
    }
    uint64_t a = json_object_get_uint64(first);
    uint64_t b = json_object_get_uint64(last);
    bool octets = strstr(name, "octets") != NULL;
    put_number(cli, t, b > a ? (double) (b - a) : 0, octets ? "B" : "n");
}

static void
show_points(struct cli *cli, struct table *t, struct json_object *o,
            struct json_object *names)
{
    struct json_object *points = cli_at(o, "points");
    for (size_t k = 0; k < json_object_array_length(points); k++) {
        struct json_object *p = json_object_array_get_idx(points, k);
        table_cell(t, json_object_get_string(json_object_array_get_idx(p,
                                                                       0)));
        put_names(t, o);
        json_object_object_foreach(names, name, ignored) {
            struct json_object *v = value_of(o, p, name);
            (void) ignored;
            table_cell(t, v ? json_object_get_string(v)
                            : cli->format == FORMAT_TABLE ? "-" : "");
        }
    }
}

static void
print_table(struct cli *cli, struct table *t, const char *nothing)
{
    if (!table_rows(t) && cli->format == FORMAT_TABLE) {
        fprintf(cli->out, "%s\n", nothing);
    } else if (cli->format == FORMAT_CSV) {
        table_csv(t, cli->out);
    } else {
        table_print(t, cli->out, cli->width, cli->colour);
    }
    table_destroy(t);
}

static void
warn_truncated(struct cli *cli, struct json_object *o)
{
    if (json_object_get_boolean(cli_at(o, "truncated"))) {
        fputs("venturictl: there is more than this; ask for less time or "
              "fewer interfaces\n", cli->err);
    }
}

int
cli_show_counters(struct cli *cli, struct json_object *o)
{
    struct json_object *list = cli_at(o, "interfaces");
    struct json_object *names = all_fields(list);
    bool points = cli_value(cli, "points");
    struct table *t = table_create();
    if (points) {
        table_column(t, "time", false);
    }
    name_columns(t);
    json_object_object_foreach(names, column, nothing) {
        (void) nothing;
        table_column(t, column, true);
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *interface = json_object_array_get_idx(list, i);
        if (points) {
            show_points(cli, t, interface, names);
            continue;
        }
        put_names(t, interface);
        json_object_object_foreach(names, name, ignored) {
            (void) ignored;
            put_growth(cli, t, interface, name);
        }
    }
    json_object_put(names);
    print_table(cli, t, "No interface told its counters.");
    warn_truncated(cli, o);
    return EXIT_OK;
}

static void
put_percent(struct cli *cli, struct table *t, struct json_object *ratio)
{
    char buf[HUMAN_STRLEN];
    if (!ratio) {
        table_cell(t, cli->format == FORMAT_TABLE ? "-" : "");
        return;
    }
    snprintf(buf, sizeof buf, "%.2f", 100 * json_object_get_double(ratio));
    table_cell(t, buf);
}

int
cli_show_accuracy(struct cli *cli, struct json_object *o)
{
    static const char *const ratios[] = { "ratio", "low", "high" };
    struct json_object *list = cli_at(o, "interfaces");
    struct table *t = table_create();
    table_column(t, "time", false);
    table_column(t, "seconds", true);
    name_columns(t);
    table_column(t, "dir", false);
    table_column(t, "flows by", false);
    table_column(t, "counted", true);
    table_column(t, "estimated", true);
    table_column(t, "samples", true);
    table_column(t, "ratio %", true);
    table_column(t, "low %", true);
    table_column(t, "high %", true);
    table_column(t, "agrees", false);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *e = json_object_array_get_idx(list, i);
        const char *protocol = cli_text(e, "protocol");
        table_cell(t, cli_text(e, "time"));
        table_cell(t, cli_text(e, "seconds"));
        put_names(t, e);
        table_cell(t, cli_text(e, "direction"));
        table_cell(t, protocol[0] ? protocol : "-");
        put_number(cli, t, json_object_get_double(cli_at(e, "counted")), "B");
        put_number(cli, t, json_object_get_double(cli_at(e, "estimated")),
                   "B");
        put_number(cli, t, json_object_get_double(cli_at(e, "samples")),
                   "n");
        for (size_t k = 0; k < sizeof ratios / sizeof ratios[0]; k++) {
            put_percent(cli, t, cli_at(e, ratios[k]));
        }
        struct json_object *agrees = cli_at(e, "agrees");
        table_cell(t, !agrees ? "?" : json_object_get_boolean(agrees) ? "yes"
                                                                      : "no");
    }
    print_table(cli, t, "Nothing to compare: no interface told its counters, "
                "or nothing went through.");
    warn_truncated(cli, o);
    return EXIT_OK;
}
