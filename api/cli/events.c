/* api/cli/events.c -- what happened, and what happens. */
#include <config.h>

#include "api/cli/show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/table.h"

#define TO_LINE (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define DEFAULT_LIMIT 50
#define PAGE 500

const struct cli_option cli_events_options[] = {
    { "follow", 'f', NULL, "go on with what happens, until Ctrl-C", NULL },
    { "last", 'l', "DURATION", "what happened in that time", NULL },
    { "from", 'F', "TIME", "what happened then or later", NULL },
    { "to", 'T', "TIME", "and before then", NULL },
    { "kind", 'k', "KINDS", "only these, with commas between; * and ? as in a "
      "shell (venturictl event kinds)", NULL },
    { "subject", 's', "SUBJECT", "only about this: an address, a bridge, a "
      "rule; * and ? as in a shell", NULL },
    { "severity", 'v', "SEVERITY", "only this severe or worse",
      "info notice warning error critical" },
    { "limit", 'n', "N", "the newest so many; 50 if nothing says otherwise",
      NULL },
    { "count", 'c', "N", "with --follow: end after so many", NULL },
    { "detail", 'd', NULL, "with all details", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

struct following {
    struct cli *cli;
    int64_t left;               /* 0: no end. */
};

/* Which events, for list and subscription alike. */
static void
set_filter(struct cli *cli, struct json_object *params)
{
    cli_set_list(params, "kinds", cli_value(cli, "kind"));
    cli_set_string(params, "subject", cli_value(cli, "subject"));
    cli_set_string(params, "severity", cli_value(cli, "severity"));
}

static bool
set_times(struct cli *cli, struct json_object *params)
{
    const char *last = cli_value(cli, "last");
    char from[64];

    if (last && cli_value(cli, "from")) {
        return cli_usage(cli, "--last and --from: one of them");
    }
    if (last) {
        snprintf(from, sizeof from, "-%.60s", last);
    }
    cli_set_string(params, "from", last ? from : cli_value(cli, "from"));
    cli_set_string(params, "to", cli_value(cli, "to"));
    return true;
}

static void
put_details(struct cli *cli, struct json_object *event)
{
    struct json_object *detail = cli_at(event, "detail");

    json_object_object_foreach(detail, name, value) {
        char *text = table_clean(value ? json_object_get_string(value) : "-");
        fprintf(cli->out, "    %s: %s\n", name, text);
        free(text);
    }
}

/* One line for people: time, severity, kind, words. */
static void
put_event(struct cli *cli, struct json_object *event)
{
    if (cli->format == FORMAT_NDJSON || cli->format == FORMAT_JSON) {
        fprintf(cli->out, "%s\n", json_object_to_json_string_ext(event,
                                                                 TO_LINE));
        return;
    }
    char *message = table_clean(cli_text(event, "message"));
    fprintf(cli->out, "%.19s  %-8s  %-17s  %s\n", cli_text(event, "time"),
            cli_text(event, "severity"), cli_text(event, "kind"), message);
    if (cli_value(cli, "detail")) {
        put_details(cli, event);
    }
    free(message);
}

static void
put_csv(struct cli *cli, struct json_object *list)
{
    static const char *const names[] = { "id", "time", "severity", "kind",
                                         "subject", "message" };
    struct table *t = table_create();

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        table_column(t, names[i], false);
    }
    for (size_t k = json_object_array_length(list); k > 0; k--) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            table_cell(t, cli_text(json_object_array_get_idx(list, k - 1),
                                   names[i]));
        }
    }
    table_csv(t, cli->out);
    table_destroy(t);
}

/* The oldest first, as they happened. */
static void
show_list(struct cli *cli, struct json_object *list)
{
    size_t n = json_object_array_length(list);

    if (cli->format == FORMAT_CSV) {
        put_csv(cli, list);
    } else if (cli->format == FORMAT_JSON && !cli_value(cli, "follow")) {
        struct json_object *o = json_object_new_object();
        json_object_object_add(o, "events", json_object_get(list));
        cli_show_json(cli, o);
        json_object_put(o);
    } else {
        for (size_t i = n; i > 0; i--) {
            put_event(cli, json_object_array_get_idx(list, i - 1));
        }
        if (!n && cli->format == FORMAT_TABLE && !cli_value(cli, "follow")) {
            fprintf(cli->out, "Nothing has happened.\n");
        }
    }
}

/* Page by page, the newest first, until there are 'limit' (0: all). */
static int
gather(struct cli *cli, int64_t limit, struct json_object *list)
{
    int64_t before = 0, n = 0;
    int status = EXIT_OK;

    do {
        struct json_object *params = json_object_new_object(), *reply = NULL;
        int64_t page = limit && limit - n < PAGE ? limit - n : PAGE;
        set_filter(cli, params);
        if (!set_times(cli, params)) {
            json_object_put(params);
            return EXIT_USAGE;
        }
        json_object_object_add(params, "limit", json_object_new_int64(page));
        if (before) {
            json_object_object_add(params, "before",
                                   json_object_new_int64(before));
        }
        status = cli_ask(cli, "event.list", params, 0, &reply);
        if (status != EXIT_OK) {
            if (reply) {
                status = cli_show_error(cli, reply);
            }
            json_object_put(reply);
            return status;
        }
        struct json_object *events = cli_at(reply, "events");
        for (size_t i = 0; i < json_object_array_length(events); i++, n++) {
            json_object_array_add(list, json_object_get(
                json_object_array_get_idx(events, i)));
        }
        before = json_object_get_int64(cli_at(reply, "next"));
        json_object_put(reply);
    } while (before && (!limit || n < limit));
    return status;
}

static bool
on_events(void *following, struct json_object *result)
{
    struct following *f = following;
    struct json_object *list = cli_at(result, "events");
    int64_t skipped = json_object_get_int64(cli_at(result, "skipped"));
    bool more = true;

    for (size_t i = 0; more && i < json_object_array_length(list); i++) {
        put_event(f->cli, json_object_array_get_idx(list, i));
        more = !f->left || --f->left;
    }
    if (skipped) {
        fprintf(f->cli->err, "... %" PRId64 " were missed (venturictl events "
                "has them)\n", skipped);
    }
    fflush(f->cli->out);
    return more && !ferror(f->cli->out);
}

static int
follow(struct cli *cli, int64_t count, int64_t after)
{
    struct json_object *params = json_object_new_object();
    struct following f = { cli, count };
    const struct cli_follower follower = { "event.subscribe", NULL, on_events,
                                           &f };

    set_filter(cli, params);
    if (after) {
        json_object_object_add(params, "after", json_object_new_int64(after));
    }
    return cli_follow(cli, params, &follower);
}

int
cli_events(struct cli *cli)
{
    struct json_object *numbers = json_object_new_object();
    struct json_object *list = json_object_new_array();
    bool follows = cli_value(cli, "follow");
    bool times = cli_value(cli, "last") || cli_value(cli, "from")
                 || cli_value(cli, "to");
    int status = EXIT_USAGE;

    if (follows && cli->format == FORMAT_CSV) {
        cli_usage(cli, "--follow and --csv: try --ndjson");
    } else if (cli_set_integer(cli, numbers, "limit", "limit")
               && cli_set_integer(cli, numbers, "count", "count")) {
        int64_t limit = json_object_get_int64(cli_at(numbers, "limit"));
        if (!limit && !times) {
            limit = follows ? 10 : DEFAULT_LIMIT;
        }
        status = gather(cli, limit, list);
        if (status == EXIT_OK) {
            show_list(cli, list);
            fflush(cli->out);
        }
        if (status == EXIT_OK && follows) {
            struct json_object *newest = json_object_array_get_idx(list, 0);
            status = follow(cli,
                            json_object_get_int64(cli_at(numbers, "count")),
                            json_object_get_int64(cli_at(newest, "id")));
        }
    }
    json_object_put(numbers);
    json_object_put(list);
    return status;
}

int
cli_show_kinds(struct cli *cli, struct json_object *o)
{
    static const char *const names[] = { "kind", "severity", "description" };
    struct json_object *list = cli_at(o, "kinds");
    struct table *t = table_create();

    for (size_t i = 0; i < 3; i++) {
        table_column(t, names[i], false);
    }
    for (size_t k = 0; k < json_object_array_length(list); k++) {
        for (size_t i = 0; i < 3; i++) {
            table_cell(t, cli_text(json_object_array_get_idx(list, k),
                                   names[i]));
        }
    }
    cli_print_table(cli, t, "No kinds.");
    return EXIT_OK;
}
