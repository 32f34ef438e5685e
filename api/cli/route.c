#include <config.h>

#include "api/cli/show.h"

#include <string.h>

#include <json-c/json.h>

#include "api/cli/table.h"

/* venturictl route, route table. */

#define END { NULL, 0, NULL, NULL, NULL }
#define COMMON                                                          \
    { "peer", 'p', "PEER", "only what this peer told: name or address", \
      NULL },                                                           \
    { "family", 'F', "FAMILY", "only of this family",                   \
      "ipv4-unicast ipv6-unicast ipv4-labeled-unicast "                 \
      "ipv6-labeled-unicast vpnv4-unicast vpnv6-unicast l2vpn-evpn" },  \
    { "limit", 'n', "N", "at most so many; 100 is the default", NULL }

const struct cli_option cli_route_options[] = {
    { "match", 'm', "HOW", "longest (the default), exact, less (all that "
      "cover it) or more (all inside)", "longest exact less more" },
    COMMON, END
};

const struct cli_option cli_route_table_options[] = {
    COMMON,
    { "origin-as", 'a', "AS", "only of this origin AS", NULL },
    { "best", 'b', NULL, "only the best route of each prefix", NULL },
    { "cursor", 'c', "CURSOR", "go on where the last page ended", NULL },
    END
};

static bool
set_common(struct cli *cli, struct json_object *params)
{
    cli_set_string(params, "peer", cli_value(cli, "peer"));
    cli_set_string(params, "family", cli_value(cli, "family"));
    return cli_set_integer(cli, params, "limit", "limit");
}

bool
cli_build_route(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands != 1) {
        return cli_usage(cli, "give one address or prefix");
    }
    cli_set_string(params, "address", cli->operands[0]);
    cli_set_string(params, "match", cli_value(cli, "match"));
    return set_common(cli, params);
}

bool
cli_build_route_table(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands > 1) {
        return cli_usage(cli, "give one prefix at most");
    }
    cli_set_string(params, "prefix",
                   cli->n_operands ? cli->operands[0] : NULL);
    cli_set_string(params, "cursor", cli_value(cli, "cursor"));
    if (cli_value(cli, "best")) {
        json_object_object_add(params, "best",
                               json_object_new_boolean(true));
    }
    return cli_set_integer(cli, params, "origin_as", "origin-as")
           && set_common(cli, params);
}

/* All communities in one text, into 'buf'. */
static const char *
communities(struct json_object *route, char *buf, size_t size)
{
    static const char *const lists[] = { "communities", "large_communities",
                                         "ext_communities" };
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < 3; i++) {
        struct json_object *list = cli_at(route, lists[i]);
        size_t n = list ? json_object_array_length(list) : 0;
        for (size_t j = 0; j < n && used < size - 1; j++) {
            used += (size_t) snprintf(
                buf + used, size - used, "%s%s", used ? " " : "",
                json_object_get_string(json_object_array_get_idx(list, j)));
        }
    }
    return buf;
}

int
cli_show_routes(struct cli *cli, struct json_object *result)
{
    static const struct {
        const char *path, *name;
        bool right;
    } columns[] = {
        { "prefix", "prefix", false }, { "peer", "peer", false },
        { "next_hop", "next hop", false },
        { "local_pref", "pref", true }, { "med", "med", true },
        { "origin", "origin", false }, { "as_path", "as path", false },
    };
    struct json_object *routes = cli_at(result, "routes");
    struct table *t = table_create();
    char text[4096];

    table_column(t, "", false);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        table_column(t, columns[i].name, columns[i].right);
    }
    table_column(t, "communities", false);
    for (size_t i = 0; i < json_object_array_length(routes); i++) {
        struct json_object *r = json_object_array_get_idx(routes, i);
        bool best = json_object_get_boolean(cli_at(r, "best"));
        bool stale = json_object_get_boolean(cli_at(r, "stale"));
        table_cell(t, best ? stale ? "*S" : "*" : stale ? "S" : "");
        for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
            table_cell(t, cli_text(r, columns[c].path));
        }
        table_cell(t, communities(r, text, sizeof text));
    }
    if (cli->format == FORMAT_CSV) {
        table_csv(t, cli->out);
    } else if (!table_rows(t)) {
        fputs("no route\n", cli->out);
    } else {
        table_print(t, cli->out, cli->width, cli->colour);
    }
    if (cli->format == FORMAT_TABLE && cli_at(result, "cursor")) {
        fprintf(cli->out, "more: --cursor %s\n", cli_text(result, "cursor"));
    }
    table_destroy(t);
    return EXIT_OK;
}
