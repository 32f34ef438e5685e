#include <config.h>

#include "api/cli/show.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "api/cli/table.h"

/* bgp.*, bmp.* */

/* The sum of the numbers in an object, also of objects in it. */
static int64_t
sum(struct json_object *o)
{
    int64_t n = 0;
    struct json_object_iter it;
    if (!o || !json_object_is_type(o, json_type_object)) {
        return o ? json_object_get_int64(o) : 0;
    }
    json_object_object_foreachC(o, it) {
        n += sum(it.val);
    }
    return n;
}

static void
number_cell(struct table *t, int64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long) n);
    table_cell(t, text);
}

int
cli_show_neighbors(struct cli *cli, struct json_object *o)
{
    struct json_object *list = cli_at(o, "neighbors");
    struct table *t = table_create();
    static const char *const names[] = { "address", "name", "AS", "state",
                                         "since", "routes", "updates",
                                         "flaps", "last error" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        table_column(t, names[i], i == 2 || (i > 4 && i < 8));
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *n = json_object_array_get_idx(list, i);
        bool waits = cli_at(n, "waiting") != NULL;
        table_cell(t, cli_text(n, "address"));
        table_cell(t, cli_text(n, "description"));
        table_cell(t, cli_text(n, "remote_as"));
        table_cell(t, cli_text(n, "state"));
        table_cell(t, cli_text(n, "changed"));
        number_cell(t, sum(cli_at(n, "routes")));
        table_cell(t, cli_text(n, "counters/updates_in"));
        table_cell(t, cli_text(n, "counters/flaps"));
        table_cell(t, cli_text(n, waits ? "waiting" : "last_error/text"));
    }
    cli_print_table(cli, t, "No BGP neighbours (bgp/neighbor).");
    return EXIT_OK;
}

int
cli_show_routers(struct cli *cli, struct json_object *o)
{
    struct json_object *list = cli_at(o, "routers");
    struct table *t = table_create();
    static const char *const names[] = { "router", "name", "peer", "AS",
                                         "state", "routes", "updates",
                                         "reason" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        table_column(t, names[i], i == 3 || i == 5 || i == 6);
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *r = json_object_array_get_idx(list, i);
        struct json_object *peers = cli_at(r, "peers");
        size_t n = peers ? json_object_array_length(peers) : 0;
        for (size_t k = 0; k < (n ? n : 1); k++) {
            struct json_object *p = n ? json_object_array_get_idx(peers, k)
                                      : NULL;
            table_cell(t, cli_text(r, "address"));
            table_cell(t, cli_text(r, "name"));
            table_cell(t, !p ? "-" : cli_text(p, cli_at(p, "address")
                                              ? "address" : "type"));
            table_cell(t, p ? cli_text(p, "as") : "-");
            table_cell(t, p ? cli_text(p, "state") : "-");
            number_cell(t, p ? sum(cli_at(p, "routes")) : 0);
            table_cell(t, p ? cli_text(p, "updates") : "-");
            table_cell(t, p ? cli_text(p, "reason") : "-");
        }
    }
    cli_print_table(cli, t, "No router is connected by BMP (bmp/listen).");
    return EXIT_OK;
}

bool
cli_build_neighbor(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands != 1) {
        return cli_usage(cli, "give the address of one neighbour");
    }
    cli_set_string(params, "address", cli->operands[0]);
    return true;
}

int
cli_show_done(struct cli *cli, struct json_object *o)
{
    (void) o;
    fprintf(cli->out, "done\n");
    return EXIT_OK;
}
