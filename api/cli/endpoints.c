/* api/cli/endpoints.c -- who is behind an address. */
#include <config.h>

#include "api/cli/show.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/table.h"

const struct cli_option cli_who_options[] = {
    { "at", 't', "TIME", "when; now if not said", NULL },
    { "tenant", 'T', "TENANT", "only of this tenant", NULL },
    { "network", 'w', "NETWORK", "only of this network", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

const struct cli_option cli_endpoint_list_options[] = {
    { "source", 's', "SOURCE", "only those that this source told", NULL },
    { "tenant", 'T', "TENANT", "only of this tenant", NULL },
    { "network", 'w', "NETWORK", "only of this network", NULL },
    { "limit", 'n', "N", "about so many, 1 to 1000", NULL },
    { "cursor", 'C', "CURSOR", "go on where the page before ended", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

const struct cli_option cli_endpoint_set_options[] = {
    { "source", 's', "SOURCE", "who tells it; \"admin\" if not said", NULL },
    { "generation", 'g', "N", "of a full synchronisation", NULL },
    { "complete", 'x', NULL,
      "what the source told before and is not here is ended", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

const struct cli_option cli_endpoint_delete_options[] = {
    { "source", 's', "SOURCE", "who told it; \"admin\" if not said", NULL },
    { "at", 't', "TIME", "when it ended; now if not said", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

/* Adds those options that were given, as texts. */
static void
add_texts(struct cli *cli, struct json_object *params,
          const char *const *names)
{
    for (; *names; names++) {
        cli_set_string(params, *names, cli_value(cli, *names));
    }
}

bool
cli_build_who(struct cli *cli, struct json_object *params)
{
    static const char *const names[] = { "at", "tenant", "network", NULL };
    const char *what = cli->operands[0];
    /* A MAC address has five colons, and pairs of digits between. */
    bool mac = strlen(what) == 17 && what[2] == ':' && what[5] == ':'
               && what[14] == ':';

    cli_set_string(params, mac ? "mac" : "address", what);
    add_texts(cli, params, names);
    return true;
}

bool
cli_build_endpoint_list(struct cli *cli, struct json_object *params)
{
    static const char *const names[] = { "source", "tenant", "network",
                                         "cursor", NULL };
    add_texts(cli, params, names);
    return cli_set_integer(cli, params, "limit", "limit");
}

static void
add_source(struct cli *cli, struct json_object *params)
{
    const char *source = cli_value(cli, "source");
    cli_set_string(params, "source", source ? source : "admin");
}

bool
cli_build_endpoint_set(struct cli *cli, struct json_object *params)
{
    struct json_object *o, *list;

    if (!cli_read_json(cli, cli->operands[0], &o)) {
        return false;
    }
    if (json_object_is_type(o, json_type_array)) {
        list = o;
    } else {
        list = json_object_new_array();
        json_object_array_add(list, o);
    }
    add_source(cli, params);
    json_object_object_add(params, "endpoints", list);
    if (cli_value(cli, "complete")) {
        json_object_object_add(params, "complete",
                               json_object_new_boolean(true));
    }
    return cli_set_integer(cli, params, "generation", "generation");
}

bool
cli_build_endpoint_delete(struct cli *cli, struct json_object *params)
{
    struct json_object *ids = json_object_new_array();

    for (int i = 0; i < cli->n_operands; i++) {
        json_object_array_add(ids, json_object_new_string(cli->operands[i]));
    }
    add_source(cli, params);
    json_object_object_add(params, "ids", ids);
    cli_set_string(params, "at", cli_value(cli, "at"));
    return true;
}

/* ---- Showing. ---- */

/* An array or object as "a,b" or "k=v,k2=v2"; the caller's. */
static char *
joined(struct json_object *o)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    const char *between = "";

    if (!f) {
        return NULL;
    }
    if (json_object_is_type(o, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(o); i++) {
            fprintf(f, "%s%s", between, json_object_get_string(
                        json_object_array_get_idx(o, i)));
            between = ",";
        }
    } else if (o) {
        json_object_object_foreach(o, name, value) {
            fprintf(f, "%s%s=%s", between, name,
                    json_object_get_string(value));
            between = ",";
        }
    }
    fclose(f);
    return text;
}

static const char *const endpoint_members[] = {
    "name", "type", "tenant", "network", "host", "bridge", "port", "labels",
    "addresses", "prefixes", "macs", "valid_from", "valid_to", "source", "id",
};
#define N_MEMBERS (sizeof endpoint_members / sizeof endpoint_members[0])

/* Whether any of the list has a member: what nobody has is no column. */
static bool
any_has(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *v = cli_at(json_object_array_get_idx(list, i),
                                       name);
        if (v && (!json_object_is_type(v, json_type_object)
                  || json_object_object_length(v))) {
            return true;
        }
    }
    return false;
}

static int
show_list(struct cli *cli, struct json_object *list, const char *nothing)
{
    struct table *t = table_create();
    bool use[N_MEMBERS];

    for (size_t i = 0; i < N_MEMBERS; i++) {
        use[i] = cli->format == FORMAT_CSV
                 || any_has(list, endpoint_members[i]);
        if (use[i]) {
            table_column(t, endpoint_members[i], false);
        }
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *e = json_object_array_get_idx(list, i);
        for (size_t j = 0; j < N_MEMBERS; j++) {
            struct json_object *v = cli_at(e, endpoint_members[j]);
            bool many = json_object_is_type(v, json_type_array)
                        || json_object_is_type(v, json_type_object);
            char *text = many ? joined(v) : NULL;
            if (use[j]) {
                table_cell(t, text ? text : cli_text(e, endpoint_members[j]));
            }
            free(text);
        }
    }
    cli_print_table(cli, t, nothing);
    return EXIT_OK;
}

int
cli_show_who(struct cli *cli, struct json_object *o)
{
    struct json_object *list = cli_at(o, "matches");
    size_t n = json_object_array_length(list);
    int status = show_list(cli, list, "Nobody that is known.");
    struct json_object *gaps = cli_at(o, "gaps");

    for (size_t i = 0; cli->format == FORMAT_TABLE
         && i < json_object_array_length(gaps); i++) {
        struct json_object *g = json_object_array_get_idx(gaps, i);
        const char *source = cli_text(g, "source");
        fprintf(cli->out, "From %s to %s nobody listened%s%s: it may have "
                "been otherwise.\n", cli_text(g, "from"), cli_text(g, "to"),
                cli_at(g, "source") ? " to " : "",
                cli_at(g, "source") ? source : "");
    }
    return n ? status : EXIT_DAEMON;
}

int
cli_show_endpoints(struct cli *cli, struct json_object *o)
{
    int status = show_list(cli, cli_at(o, "endpoints"), "No endpoints.");

    if (cli_at(o, "next") && cli->format == FORMAT_TABLE) {
        fprintf(cli->out, "%s endpoints in all; there are more (--cursor "
                "%s)\n", cli_text(o, "total"), cli_text(o, "next"));
    }
    return status;
}

int
cli_show_sources(struct cli *cli, struct json_object *o)
{
    static const char *const names[] = { "source", "trust", "endpoints",
                                         "state", "read", "refused",
                                         "location", "error" };
    struct json_object *list = cli_at(o, "sources");
    struct table *t = table_create();

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        table_column(t, names[i], i == 1 || i == 2 || i == 5);
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *s = json_object_array_get_idx(list, i);
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            table_cell(t, cli_at(s, names[k]) ? cli_text(s, names[k]) : "");
        }
    }
    cli_print_table(cli, t, "Nobody has told of endpoints.");
    return EXIT_OK;
}

int
cli_show_told(struct cli *cli, struct json_object *o)
{
    fprintf(cli->out, "%s accepted, %s refused, %s ended%s\n",
            cli_text(o, "accepted"), cli_text(o, "refused"),
            cli_text(o, "ended"),
            json_object_get_boolean(cli_at(o, "durable"))
            ? "" : "; not on disk");
    if (cli_at(o, "error")) {
        fprintf(cli->out, "%s\n", cli_text(o, "error"));
        return EXIT_DAEMON;
    }
    return EXIT_OK;
}

int
cli_show_endpoint_databases(struct cli *cli, struct json_object *o)
{
    static const char *const members[] = { "source", "trust", "remote",
                                           "connected", "since", "endpoints",
                                           "reason" };
    struct json_object *list = cli_at(o, "databases");
    struct table *t = table_create();

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        table_column(t, members[i], i == 1 || i == 5);
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *s = json_object_array_get_idx(list, i);
        for (size_t j = 0; j < sizeof members / sizeof members[0]; j++) {
            table_cell(t, cli_text(s, members[j]));
        }
    }
    cli_print_table(cli, t, "No database is asked for endpoints.");
    return EXIT_OK;
}
