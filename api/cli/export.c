/* api/cli/export.c -- policies, and export of one bridge in one line. */
#include <config.h>

#include "api/cli/show.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/table.h"

/* ---- export add, remove, list ---- */

const struct cli_option cli_add_options[] = {
    { "target", 't', "ADDRESS:PORT", "where to send, several with commas "
      "between them; the default is venturid's own collector", NULL },
    { "sampling", 's', "N", "sample one packet in so many, or auto", NULL },
    { "polling", 'p', "SECONDS", "sFlow: time between counter samples",
      NULL },
    { "header", 0, "BYTES", "sFlow: how much of a packet to send", NULL },
    { "agent", 0, "ADDRESS", "sFlow: agent address or device", NULL },
    { "active-timeout", 0, "SECONDS", "NetFlow: report a long flow so often",
      NULL },
    { "cache-active-timeout", 0, "SECONDS", "IPFIX: how long a flow stays in "
      "the cache", NULL },
    { "cache-max-flows", 0, "N", "IPFIX: flows in the cache", NULL },
    { "obs-domain-id", 0, "N", "IPFIX: observation domain", NULL },
    { "obs-point-id", 0, "N", "IPFIX: observation point", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

static bool
set_protocol_and_bridge(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands < 2) {
        return cli_usage(cli, "give a protocol (netflow, sflow or ipfix) and "
                         "a bridge");
    }
    json_object_object_add(params, "protocol",
                           json_object_new_string(cli->operands[0]));
    json_object_object_add(params, "bridge",
                           json_object_new_string(cli->operands[1]));
    return true;
}

/* "cache-max-flows" is the column cache_max_flows. */
static void
set_column(struct json_object *options, const char *option, const char *value)
{
    char name[64];

    snprintf(name, sizeof name, "%s", option);
    for (char *p = name; *p; p++) {
        *p = *p == '-' ? '_' : *p;
    }
    json_object_object_add(options, name, json_object_new_string(value));
}

static void
set_targets(struct json_object *params, const char *list)
{
    struct json_object *targets = json_object_new_array();

    while (*list) {
        size_t n = strcspn(list, ",");
        if (n) {
            json_object_array_add(targets, json_object_new_string_len(
                                      list, (int) n));
        }
        list += n + (list[n] == ',');
    }
    json_object_object_add(params, "targets", targets);
}

bool
cli_build_add(struct cli *cli, struct json_object *params)
{
    struct json_object *options = json_object_new_object();

    json_object_object_add(params, "options", options);
    if (!set_protocol_and_bridge(cli, params)) {
        return false;
    }
    for (const struct cli_option *o = cli_add_options; o->name; o++) {
        const char *value = cli_value(cli, o->name);
        if (value && strcmp(o->name, "target")) {
            set_column(options, o->name, value);
        } else if (value) {
            set_targets(params, value);
        }
    }
    /* As with ovs-vsctl: COLUMN=VALUE. */
    for (int i = 2; i < cli->n_operands; i++) {
        const char *word = cli->operands[i], *equals = strchr(word, '=');
        char name[64];
        if (!equals || equals == word
            || (size_t) (equals - word) >= sizeof name) {
            return cli_usage(cli, "\"%s\": not COLUMN=VALUE", word);
        }
        snprintf(name, sizeof name, "%.*s", (int) (equals - word), word);
        if (!strcmp(name, "targets") || !strcmp(name, "target")) {
            set_targets(params, equals + 1);
        } else {
            json_object_object_add(options, name,
                                   json_object_new_string(equals + 1));
        }
    }
    return true;
}

bool
cli_build_remove(struct cli *cli, struct json_object *params)
{
    const char *bridge = cli_value(cli, "bridge");
    const char *policy = cli_value(cli, "policy");

    if (cli->n_operands) {
        if (bridge || policy || cli->n_operands != 2) {
            return cli_usage(cli, "give a protocol and a bridge, or --bridge, "
                             "or --policy, or nothing");
        }
        cli->method = "export.bridge.remove";
        return set_protocol_and_bridge(cli, params);
    }
    cli_set_string(params, "bridge", bridge);
    cli_set_string(params, "policy", policy);
    return true;
}

bool
cli_build_adopt(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands != 1) {
        return cli_usage(cli, "give the owner: \"venturictl export list\" "
                         "shows whose rows there are");
    }
    json_object_object_add(params, "owner",
                           json_object_new_string(cli->operands[0]));
    return true;
}

int
cli_show_adopt(struct cli *cli, struct json_object *o)
{
    fprintf(cli->out, "%s row%s of %s: ours%s\n", cli_text(o, "rows"),
            json_object_get_int(cli_at(o, "rows")) == 1 ? "" : "s",
            cli_text(o, "owner"),
            json_object_get_boolean(cli_at(o, "applying"))
            ? ", see \"venturictl export status\""
            : " when \"venturictl export apply\" has written it");
    return EXIT_OK;
}

void
cli_show_warnings(struct cli *cli, struct json_object *list,
                  const char *indent)
{
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        fprintf(cli->out, "%swarning: %s\n", indent, json_object_get_string(
                    json_object_array_get_idx(list, i)));
    }
}

/* A policy was changed: what now? */
static void
say_changed(struct cli *cli, struct json_object *o, const char *what)
{
    fprintf(cli->out, "policy %s %s%s\n", cli_text(o, "policy"), what,
            json_object_get_boolean(cli_at(o, "applying")) ? "; written to "
            "the bridges at once, see \"venturictl export status\""
            : "; \"venturictl export apply\" writes it to the bridges");
    if (json_object_get_boolean(cli_at(o, "builtin"))) {
        fputs("no policy is left: the built-in default applies\n", cli->out);
    }
    cli_show_warnings(cli, cli_at(o, "warnings"), "");
}

int
cli_show_changed(struct cli *cli, struct json_object *o)
{
    say_changed(cli, o, "is set");
    return EXIT_OK;
}

int
cli_show_remove(struct cli *cli, struct json_object *o)
{
    if (cli_at(o, "removed")) {
        int n_probes = json_object_get_int(cli_at(o, "probes"));
        fprintf(cli->out, "%s row%s removed", cli_text(o, "removed"),
                json_object_get_int(cli_at(o, "removed")) == 1 ? "" : "s");
        if (n_probes) {
            fprintf(cli->out, ", %d probe%s stopped", n_probes,
                    n_probes == 1 ? "" : "s");
        }
        fputc('\n', cli->out);
    } else {
        say_changed(cli, o, "is set");
    }
    return EXIT_OK;
}

/* A list of texts with blanks between them, on the heap. */
static char *
join(struct json_object *list)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    for (size_t i = 0; f && list && i < json_object_array_length(list); i++) {
        fprintf(f, "%s%s", i ? " " : "", json_object_get_string(
                    json_object_array_get_idx(list, i)));
    }
    if (f) {
        fclose(f);
    }
    return text;
}

int
cli_show_exports(struct cli *cli, struct json_object *o)
{
    struct json_object *list = cli_at(o, "status");
    const char *only = cli->n_operands ? cli->operands[0] : NULL;
    struct table *t = table_create();

    table_column(t, "bridge", false);
    table_column(t, "protocol", false);
    table_column(t, "targets", false);
    table_column(t, "sampling", true);
    table_column(t, "owner", false);
    table_column(t, "policy", false);
    table_column(t, "state", false);
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *s = json_object_array_get_idx(list, i);
        char *targets = join(cli_at(s, "targets"));
        if (targets && *targets
            && (!only || !strcmp(only, cli_text(s, "protocol")))) {
            table_cell(t, cli_text(s, "bridge"));
            table_cell(t, cli_text(s, "protocol"));
            table_cell(t, targets);
            table_cell(t, cli_text(s, "sampling"));
            table_cell(t, json_object_get_boolean(cli_at(s, "ours"))
                          ? "venturid" : cli_text(s, "owner"));
            table_cell(t, cli_text(s, "policy"));
            table_cell(t, cli_text(s, "state"));
        }
        free(targets);
    }
    cli_print_table(cli, t, "No bridge exports anything.");
    return EXIT_OK;
}

/* ---- export policy ---- */

const struct cli_option cli_policy_options[] = {
    { "before", 'b', "NAME", "put it before this policy", NULL },
    { "position", 'p', "N", "put it there; 1 is first", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

bool
cli_build_policy_set(struct cli *cli, struct json_object *params)
{
    const char *position = cli_value(cli, "position");
    const char *before = cli_value(cli, "before");
    struct json_object *policy = NULL;
    char *end = NULL;

    if (cli->n_operands != 2) {
        return cli_usage(cli, "give a name, and a file or JSON");
    }
    if (!cli_read_json(cli, cli->operands[1], &policy)) {
        return false;
    }
    if (!json_object_is_type(policy, json_type_object)) {
        json_object_put(policy);
        return cli_usage(cli, "a policy is an object: {\"sflow\": {}}");
    }
    json_object_object_add(policy, "name",
                           json_object_new_string(cli->operands[0]));
    json_object_object_add(params, "policy", policy);
    if (before) {
        json_object_object_add(params, "before",
                               json_object_new_string(before));
    }
    if (position) {
        long n = strtol(position, &end, 10);
        if (end == position || *end) {
            return cli_usage(cli, "--position %s: not a number", position);
        }
        json_object_object_add(params, "position", json_object_new_int64(n));
    }
    return true;
}

bool
cli_build_policy_delete(struct cli *cli, struct json_object *params)
{
    if (cli->n_operands != 1) {
        return cli_usage(cli, "give the name of one policy");
    }
    json_object_object_add(params, "name",
                           json_object_new_string(cli->operands[0]));
    return true;
}

int
cli_show_deleted(struct cli *cli, struct json_object *o)
{
    say_changed(cli, o, "is deleted");
    return EXIT_OK;
}

/* The ids of the sets that a policy asks for. */
static void
policy_samples_cell(struct table *t, struct json_object *samples)
{
    struct json_object *ids = json_object_new_array();
    for (size_t i = 0; samples && i < json_object_array_length(samples);
         i++) {
        json_object_array_add(ids, json_object_get(cli_at(
            json_object_array_get_idx(samples, i), "id")));
    }
    char *text = join(ids);
    table_cell(t, text && *text ? text : "-");
    free(text);
    json_object_put(ids);
}

/* Which program probes Linux bridges, and where it sends to. */
static void
policy_probe_cell(struct table *t, struct json_object *probe)
{
    struct json_object *softflowd = cli_at(probe, "softflowd");
    char text[128];
    if (softflowd) {
        snprintf(text, sizeof text, "softflowd to %s",
                 cli_at(softflowd, "target") ? cli_text(softflowd, "target")
                                             : "local");
    }
    table_cell(t, softflowd ? text : probe ? "none" : "-");
}

int
cli_show_policies(struct cli *cli, struct json_object *o)
{
    static const char *const protocols[] = { "netflow", "sflow", "ipfix" };
    struct json_object *list = cli_at(o, "policies");
    struct table *t = table_create();

    table_column(t, "policy", false);
    table_column(t, "bridges", false);
    table_column(t, "exclude", false);
    for (size_t i = 0; i < 3; i++) {
        table_column(t, protocols[i], false);
    }
    table_column(t, "flow-sample", false);
    table_column(t, "probe", false);
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *p = json_object_array_get_idx(list, i);
        struct json_object *match = cli_at(p, "match");
        char *bridges = join(cli_at(match, "bridges"));
        char *exclude = join(cli_at(match, "exclude"));
        table_cell(t, cli_text(p, "name"));
        table_cell(t, bridges && *bridges ? bridges : "*");
        table_cell(t, exclude && *exclude ? exclude : "-");
        for (size_t j = 0; j < 3; j++) {
            struct json_object *e = cli_at(p, protocols[j]);
            char *targets = join(cli_at(e, "targets"));
            table_cell(t, !e ? "-" : targets && *targets ? targets : "local");
            free(targets);
        }
        policy_samples_cell(t, cli_at(p, "flow-sample"));
        policy_probe_cell(t, cli_at(p, "probe"));
        free(bridges);
        free(exclude);
    }
    cli_print_table(cli, t, "No policies.");
    return EXIT_OK;
}

/* ---- probes ---- */

int
cli_show_probes(struct cli *cli, struct json_object *o)
{
    static const char *const members[] = { "interface", "kind", "policy",
                                           "state", "pid", "starts",
                                           "reason" };
    struct json_object *list = cli_at(o, "probes");
    struct table *t = table_create();

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        table_column(t, members[i], i == 4 || i == 5);
    }
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *p = json_object_array_get_idx(list, i);
        for (size_t j = 0; j < sizeof members / sizeof members[0]; j++) {
            table_cell(t, cli_text(p, members[j]));
        }
    }
    if (cli_at(o, "error") && cli->format == FORMAT_TABLE) {
        fprintf(cli->out, "%s\n", cli_text(o, "error"));
    }
    cli_print_table(cli, t, "No probes.");
    return EXIT_OK;
}
