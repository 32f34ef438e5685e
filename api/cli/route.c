#include <config.h>

#include "api/cli/show.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/cli/table.h"

/* venturictl route, route table, route history. */

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

const struct cli_option cli_route_history_options[] = {
    { "match", 'm', "HOW", "exact (the default for a prefix), less (all that "
      "cover it; the default for an address), longest or more (all inside)",
      "longest exact less more" },
    { "last", 'l', "DURATION", "of the last 90s, 15m, 1h, 2d; 1d is the "
      "default", NULL },
    { "from", 'f', "TIME", "since then", NULL },
    { "to", 't', "TIME", "and before then", NULL },
    { "kinds", 'k', "KINDS", "only these, with commas: announce, change, "
      "withdraw, expire, peer-up, peer-down, table, purge, start, lost",
      "announce change withdraw expire peer-up peer-down table purge start "
      "lost" },
    COMMON,
    { "best", 'b', NULL, "only routes that were or are the best of their "
      "prefix", NULL },
    { "cursor", 'c', "CURSOR", "go on, to what was before the last page",
      NULL },
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

/* ---- History. ---- */

bool
cli_build_route_history(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands > 1) {
        return cli_usage(cli, "give one address or prefix at most");
    }
    cli_set_string(params, "prefix",
                   cli->n_operands ? cli->operands[0] : NULL);
    cli_set_string(params, "match", cli_value(cli, "match"));
    cli_set_string(params, "cursor", cli_value(cli, "cursor"));
    cli_set_list(params, "kinds", cli_value(cli, "kinds"));
    if (cli_value(cli, "best")) {
        json_object_object_add(params, "best",
                               json_object_new_boolean(true));
    }
    return cli_set_range(cli, params) && set_common(cli, params);
}

/* "64500 15169 via 192.0.2.1" */
static void
put_route(FILE *f, struct json_object *attrs)
{
    const char *path = cli_text(attrs, "as_path");
    fprintf(f, "%s via %s", *path ? path : "(own)",
            cli_text(attrs, "next_hop"));
}

static void
put_change(FILE *f, struct json_object *c)
{
    struct json_object *before = cli_at(c, "before"), *after;
    struct json_object *changed = cli_at(c, "changed");
    after = cli_at(c, "after");
    for (size_t i = 0; changed && i < json_object_array_length(changed);
         i++) {
        const char *name = json_object_get_string(
            json_object_array_get_idx(changed, i));
        fprintf(f, "%s%s %s -> %s", i ? ", " : "", name,
                cli_text(before, name), cli_text(after, name));
    }
    if (changed && !json_object_array_length(changed)) {
        fputs("what is kept but not shown", f);
    } else if (!changed && (before || after)) {
        fputs(after ? "" : "was ", f);
        put_route(f, after ? after : before);
    } else if (cli_at(c, "routes")) {
        fprintf(f, "%s routes%s%s", cli_text(c, "routes"),
                cli_at(c, "family") ? " of " : "",
                cli_at(c, "family") ? cli_text(c, "family") : "");
    }
}

int
cli_show_route_history(struct cli *cli, struct json_object *result)
{
    static const char *const names[] = { "time", "kind", "prefix", "peer" };
    struct json_object *list = cli_at(result, "changes");
    struct table *t = table_create();
    table_column(t, "", false);
    for (size_t i = 0; i < 4; i++) {
        table_column(t, names[i], false);
    }
    table_column(t, "what", false);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *c = json_object_array_get_idx(list, i);
        char *text = NULL;
        size_t size;
        table_cell(t, json_object_get_boolean(cli_at(c, "best")) ? "*" : "");
        for (size_t k = 0; k < 4; k++) {
            table_cell(t, cli_text(c, names[k]));
        }
        FILE *f = open_memstream(&text, &size);
        if (f) {
            put_change(f, c);
            fclose(f);
        }
        table_cell(t, text ? text : "");
        free(text);
    }
    cli_print_table(cli, t, "nothing is known to have changed");
    if (cli->format == FORMAT_TABLE && cli_at(result, "cursor")) {
        fprintf(cli->out, "older: --cursor %s\n", cli_text(result, "cursor"));
    }
    return EXIT_OK;
}

/* ---- Imports. ---- */

const struct cli_option cli_route_import_options[] = {
    { "name", 'N', "NAME", "of the import; without it, of the file up to its "
      "first dot", NULL },
    { "damaged", 'd', NULL, "take what can be read of a file that breaks off",
      NULL },
    END
};

/* "rib" of "/tmp/rib.20261123.bz2". */
static void
set_name(struct cli *cli, struct json_object *params, const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int) strcspn(base, "."), base);
    cli_set_string(params, "name", cli_value(cli, "name")
                                   ? cli_value(cli, "name") : name);
}

int
cli_route_import(struct cli *cli)
{
    struct json_object *params = json_object_new_object();
    struct json_object *reply = NULL;
    if (cli->n_operands != 1) {
        json_object_put(params);
        cli_usage(cli, "give one file");
        return EXIT_USAGE;
    }
    const char *file = cli->operands[0];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        json_object_put(params);
        fprintf(cli->err, "venturictl: %s: %s\n", file, strerror(errno));
        return EXIT_DAEMON;
    }
    set_name(cli, params, file);
    if (cli_value(cli, "damaged")) {
        json_object_object_add(params, "damaged",
                               json_object_new_boolean(true));
    }
    cli_set_progress(cli, params);
    cli->method = "route.import";
    int status = cli_ask(cli, cli->method, params, fd, &reply);
    close(fd);
    if (status == EXIT_DAEMON && reply) {
        cli_show_error(cli, reply);
    } else if (status == EXIT_OK && cli->format != FORMAT_TABLE) {
        cli_show_json(cli, reply);
    } else if (status == EXIT_OK) {
        fprintf(cli->out, "%s: %s routes of %s peers%s%s%s\n",
                cli_text(reply, "name"), cli_text(reply, "announced"),
                cli_text(reply, "peers"),
                json_object_get_boolean(cli_at(reply, "replaced"))
                ? ", in the place of those from before" : "",
                cli_at(reply, "damage") ? "; the file " : "",
                cli_at(reply, "damage") ? cli_text(reply, "damage") : "");
    }
    json_object_put(reply);
    return status;
}

int
cli_show_route_imports(struct cli *cli, struct json_object *result)
{
    static const char *const names[] = { "peer", "as", "routes" };
    struct json_object *list = cli_at(result, "imports");
    struct table *t = table_create();
    table_column(t, "import", false);
    table_column(t, "imported", false);
    for (size_t i = 0; i < 3; i++) {
        table_column(t, names[i], i > 0);
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        struct json_object *peers = cli_at(o, "peers");
        for (size_t k = 0; k < json_object_array_length(peers); k++) {
            struct json_object *p = json_object_array_get_idx(peers, k);
            table_cell(t, cli_text(o, "name"));
            table_cell(t, cli_text(o, "imported"));
            for (size_t c = 0; c < 3; c++) {
                table_cell(t, cli_text(p, names[c]));
            }
        }
    }
    cli_print_table(cli, t, "no MRT file was imported");
    return EXIT_OK;
}

bool
cli_build_route_forget(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands != 1) {
        return cli_usage(cli, "give the name of one import");
    }
    cli_set_string(params, "name", cli->operands[0]);
    return true;
}
