#include <config.h>

#include "api/cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/table.h"

struct json_object *
cli_at(struct json_object *o, const char *path)
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

const char *
cli_text(struct json_object *o, const char *path)
{
    struct json_object *v = cli_at(o, path);
    return v ? json_object_get_string(v) : "-";
}

const struct cli_option cli_doctor_options[] = {
    { "all", 'A', NULL, "every line, not only the first few that are alike",
      NULL },
    { "strict", 's', NULL, "exit status 1 for warnings, too", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

bool
cli_build_doctor(struct cli *cli, struct json_object *params)
{
    if (cli_value(cli, "all")) {
        json_object_object_add(params, "all", json_object_new_boolean(true));
    }
    return true;
}

static const char *const members[] = { "status", "check", "subject",
                                       "message", "remedy" };
#define N_MEMBERS (sizeof members / sizeof members[0])

static void
print_csv(struct cli *cli, struct json_object *list)
{
    struct table *t = table_create();

    for (size_t i = 0; i < N_MEMBERS; i++) {
        table_column(t, members[i], false);
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        for (size_t j = 0; j < N_MEMBERS; j++) {
            struct json_object *v = cli_at(o, members[j]);
            table_cell(t, v ? json_object_get_string(v) : "");
        }
    }
    table_csv(t, cli->out);
    table_destroy(t);
}

/* Long sentences: lines, not a table. */
#define TEXT_AT 16              /* The column where texts begin. */
#define MIN_TEXT 24             /* They are wrapped to no less. */

static void
print_text(struct cli *cli, unsigned at, const char *a, const char *b,
           const char *c)
{
    char *text = NULL;

    if (asprintf(&text, "%s%s%s", a, b, c) < 0) {
        return;
    }
    table_wrap(cli->out, text, !cli->width ? 0 : cli->width < at + MIN_TEXT
               ? MIN_TEXT : cli->width - at, at);
    fputc('\n', cli->out);
    free(text);
}

static void
print_line(struct cli *cli, struct json_object *o)
{
    const char *status = cli_text(o, "status");
    const char *subject = cli_text(o, "subject");
    const char *colour = !strcmp(status, "fail") ? "\033[31m"
                         : !strcmp(status, "warn") ? "\033[33m" : "\033[32m";

    fprintf(cli->out, "%s%s%s  %-8s  ", cli->colour ? colour : "",
            status, cli->colour ? "\033[0m" : "", cli_text(o, "check"));
    print_text(cli, TEXT_AT, subject, *subject ? ": " : "",
               cli_text(o, "message"));
    if (cli_at(o, "remedy")) {
        fprintf(cli->out, "%*s-> ", TEXT_AT, "");
        print_text(cli, TEXT_AT + 3, cli_text(o, "remedy"), "", "");
    }
}

int
cli_show_doctor(struct cli *cli, struct json_object *o)
{
    struct json_object *list = cli_at(o, "checks");
    const char *status = cli_text(o, "status");

    if (cli->format == FORMAT_CSV) {
        print_csv(cli, list);
    } else {
        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
            print_line(cli, json_object_array_get_idx(list, i));
        }
        fprintf(cli->out, "\n%s passed, %s warned, %s failed\n",
                cli_text(o, "pass"), cli_text(o, "warn"),
                cli_text(o, "fail"));
    }
    return !strcmp(status, "fail")
           || (!strcmp(status, "warn") && cli_value(cli, "strict"))
           ? EXIT_DAEMON : EXIT_OK;
}
