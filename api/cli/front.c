/* Commands about who may ask and who has changed what. */
#include <config.h>

#include "api/cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/table.h"

const struct cli_option cli_token_options[] = {
    { "tenant", 't', "NAMES", "a viewer of these tenants' flows and endpoints "
      "alone, with commas between", NULL },
    { "lifetime", 'l', "DURATION", "until it ends, such as 90d; without it "
      "until it is revoked", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

bool
cli_build_token_create(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands != 2) {
        return cli_usage(cli, "give a name, and a role: viewer, operator, "
                         "orchestrator or admin");
    }
    cli_set_string(params, "name", cli->operands[0]);
    cli_set_string(params, "role", cli->operands[1]);
    cli_set_string(params, "lifetime", cli_value(cli, "lifetime"));
    cli_set_list(params, "tenants", cli_value(cli, "tenant"));
    return true;
}

/* The token alone on standard output: for a file, or a pipe. */
int
cli_show_token(struct cli *cli, struct json_object *o)
{
    fprintf(cli->out, "%s\n", cli_text(o, "token"));
    fprintf(cli->err, "Token \"%s\" of role %s; it is not shown again.\n",
            cli_text(o, "info/name"), cli_text(o, "info/role"));
    return EXIT_OK;
}

/* Names with commas between, or "-". */
static void
cell_names(struct table *t, struct json_object *list)
{
    char text[4096] = "";
    size_t n = 0;

    for (size_t i = 0; list && i < json_object_array_length(list)
                       && n < sizeof text; i++) {
        n += (size_t) snprintf(text + n, sizeof text - n, "%s%s", i ? "," : "",
                               json_object_get_string(
                                   json_object_array_get_idx(list, i)));
    }
    table_cell(t, *text ? text : "-");
}

int
cli_show_tokens(struct cli *cli, struct json_object *o)
{
    static const char *const names[] = { "id", "name", "role", "tenants",
                                         "created", "expires", "used" };
    struct json_object *list = cli_at(o, "tokens");
    struct table *t = table_create();

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        table_column(t, names[i], false);
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            struct json_object *row = json_object_array_get_idx(list, i);
            if (!strcmp(names[k], "tenants")) {
                cell_names(t, cli_at(row, names[k]));
            } else {
                table_cell(t, cli_text(row, names[k]));
            }
        }
    }
    if (cli->format == FORMAT_CSV) {
        table_csv(t, cli->out);
    } else if (table_rows(t)) {
        table_print(t, cli->out, cli->width, cli->colour);
    } else {
        fputs("There are no tokens.\n", cli->out);
    }
    table_destroy(t);
    return EXIT_OK;
}

bool
cli_build_token_revoke(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands != 1) {
        return cli_usage(cli, "give the name of the token, or its id");
    }
    cli_set_string(params, "token", cli->operands[0]);
    return true;
}

int
cli_show_revoked(struct cli *cli, struct json_object *o)
{
    fprintf(cli->out, "Token %s is revoked.\n", cli_text(o, "revoked"));
    return EXIT_OK;
}

/* config history, config rollback, audit */

const struct cli_option cli_limit_options[] = {
    { "limit", 'n', "N", "so many at most", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

bool
cli_build_limit(struct cli *cli, struct json_object *params)
{
    return cli_set_integer(cli, params, "limit", "limit");
}

/* A value on one line, short enough for a table. */
static const char *
brief(struct json_object *v)
{
    return v ? json_object_is_type(v, json_type_string)
               ? json_object_get_string(v)
               : json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN
                                                | JSON_C_TO_STRING_NOSLASHESCAPE)
           : "-";
}

static int
put(struct cli *cli, struct table *t, const char *none)
{
    if (cli->format == FORMAT_CSV) {
        table_csv(t, cli->out);
    } else if (table_rows(t)) {
        table_print(t, cli->out, cli->width, cli->colour);
    } else {
        fprintf(cli->out, "%s\n", none);
    }
    table_destroy(t);
    return EXIT_OK;
}

static void
columns_of(struct table *t, const char *const *names)
{
    for (; *names; names++) {
        table_column(t, *names, false);
    }
}

int
cli_show_history(struct cli *cli, struct json_object *o)
{
    static const char *const names[] = { "revision", "time", "who", "how",
                                         "path", "before", "after", NULL };
    struct json_object *list = cli_at(o, "revisions");
    struct table *t = table_create();

    columns_of(t, names);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *r = json_object_array_get_idx(list, i);
        struct json_object *changes = cli_at(r, "changes");
        size_t n = json_object_array_length(changes);
        for (size_t k = 0; k < (n ? n : 1); k++) {
            struct json_object *c = n ? json_object_array_get_idx(changes, k)
                                      : NULL;
            bool first = !k || cli->format == FORMAT_CSV;
            for (size_t j = 0; j < 4; j++) {
                table_cell(t, first ? cli_text(r, names[j]) : "");
            }
            table_cell(t, c ? cli_text(c, "path") : "");
            table_cell(t, c ? brief(cli_at(c, "before")) : "");
            table_cell(t, c ? brief(cli_at(c, "after")) : "");
        }
    }
    return put(cli, t, "No earlier configuration is kept.");
}

bool
cli_build_rollback(struct cli *cli, struct json_object *params)
{
    char *end;
    long n = cli->n_operands == 1 ? strtol(cli->operands[0], &end, 10) : 0;

    if (n < 1 || *end) {
        return cli_usage(cli, "give the number of a revision; see \"config "
                         "history\"");
    }
    json_object_object_add(params, "revision", json_object_new_int64(n));
    return true;
}

int
cli_show_rollback(struct cli *cli, struct json_object *o)
{
    (void) o;
    fprintf(cli->out, "Revision %s is in effect again.\n",
            cli->operands[0]);
    return EXIT_OK;
}

int
cli_show_audit(struct cli *cli, struct json_object *o)
{
    static const char *const names[] = { "time", "who", "from", "method",
                                         "outcome", NULL };
    struct json_object *list = cli_at(o, "entries");
    struct table *t = table_create();

    columns_of(t, names);
    table_column(t, "what", false);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *e = json_object_array_get_idx(list, i);
        for (size_t j = 0; names[j]; j++) {
            table_cell(t, cli_text(e, names[j]));
        }
        struct json_object *after = cli_at(e, "after");
        table_cell(t, cli_at(e, "message") ? cli_text(e, "message")
                   : brief(after ? after : cli_at(e, "params")));
    }
    int status = put(cli, t, "Nothing was changed.");
    if (cli->format == FORMAT_TABLE
        && json_object_get_boolean(cli_at(o, "more"))) {
        fputs("older ones: --limit\n", cli->out);
    }
    return status;
}
