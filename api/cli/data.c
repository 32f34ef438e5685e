#include <config.h>

#include "api/cli/show.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/cli/table.h"

/* venturictl export-data: flows into files for other programs. */

const struct cli_option cli_data_options[] = {
    { "last", 'l', "DURATION", "of the last 90s, 15m, 1h, 2d; 1h is the "
      "default", "5m 15m 1h 6h 1d 7d" },
    { "from", 'f', "TIME", "from then on: RFC 3339, seconds since 1970, "
      "-2h", NULL },
    { "to", 't', "TIME", "and before then; now is the default", NULL },
    { "format", 'F', "FORMAT", "parquet, csv or ndjson; by default as the name "
      "of the file ends, or parquet",
      "parquet csv ndjson" },
    { "partition", 'P', "SPAN", "a file of each hour (the default) or day",
      "hour day" },
    { "output", 'o', "FILE", "all into this file of yours instead; - is the "
      "standard output", NULL },
    { "canonical", 'C', NULL, "one observation of each packet only", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

/* "csv" of "flows.csv"; NULL where the name does not tell. */
static const char *
format_of(const char *output)
{
    static const char *const formats[] = { "parquet", "csv", "ndjson" };
    const char *dot = output ? strrchr(output, '.') : NULL;

    for (size_t i = 0; dot && i < sizeof formats / sizeof formats[0]; i++) {
        if (!strcmp(dot + 1, formats[i])) {
            return formats[i];
        }
    }
    return NULL;
}

static bool
build(struct cli *cli, struct json_object *params)
{
    const char *format = cli_value(cli, "format");

    cli_set_string(params, "format",
                   format ? format : format_of(cli_value(cli, "output")));
    cli_set_string(params, "partition", cli_value(cli, "partition"));
    if (cli_value(cli, "canonical")) {
        cli_set_string(params, "observations", "canonical");
    }
    cli_set_progress(cli, params);
    cli_set_filter(cli, params);
    return cli_set_range(cli, params);
}

static void
show(struct cli *cli, struct json_object *o)
{
    struct json_object *list = cli_at(o, "files");
    struct table *t = table_create();

    table_column(t, "file", false);
    table_column(t, "flows", true);
    table_column(t, "bytes", true);
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *f = json_object_array_get_idx(list, i);
        char path[4200];
        snprintf(path, sizeof path, "%s/%s", cli_text(o, "directory"),
                 cli_text(f, "path"));
        table_cell(t, path);
        table_cell(t, cli_text(f, "rows"));
        table_cell(t, cli_text(f, "bytes"));
    }
    if (cli->format == FORMAT_CSV) {
        table_csv(t, cli->out);
    } else if (!table_rows(t)) {
        fputs("No flows.\n", cli->out);
    } else {
        table_print(t, cli->out, cli->width, cli->colour);
    }
    table_destroy(t);
}

/* The file that venturid shall fill: beside its place, or nowhere. */
static int
open_output(struct cli *cli, const char *output, char *fresh, size_t size)
{
    FILE *f;
    int fd;

    if (strcmp(output, "-")) {
        snprintf(fresh, size, "%s.new", output);
        fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd < 0) {
            cli_usage(cli, "%s: %s", fresh, strerror(errno));
        }
        return fd;
    }
    *fresh = '\0';
    f = tmpfile();
    fd = f ? dup(fileno(f)) : -1;
    if (fd < 0) {
        cli_usage(cli, "no temporary file: %s", strerror(errno));
    }
    if (f) {
        fclose(f);
    }
    return fd;
}

/* All of it is there: to its place, or out. */
static bool
finish_output(struct cli *cli, int fd, const char *fresh, const char *output)
{
    char buf[65536];
    ssize_t n;
    off_t at = 0;

    if (*fresh) {
        if (!fsync(fd) && !rename(fresh, output)) {
            return true;
        }
        return cli_usage(cli, "%s: %s", output, strerror(errno));
    }
    while ((n = pread(fd, buf, sizeof buf, at)) > 0) {
        if (fwrite(buf, 1, (size_t) n, cli->out) != (size_t) n) {
            return cli_usage(cli, "standard output: %s", strerror(errno));
        }
        at += n;
    }
    return n == 0 || cli_usage(cli, "%s", strerror(errno));
}

int
cli_export_data(struct cli *cli)
{
    struct json_object *params = json_object_new_object(), *reply = NULL;
    const char *output = cli_value(cli, "output");
    char fresh[4200] = "";
    int fd = -1;

    cli->method = "flow.export";
    if (!build(cli, params)
        || (output && (fd = open_output(cli, output, fresh,
                                        sizeof fresh)) < 0)) {
        json_object_put(params);
        free(cli->filter);
        return EXIT_USAGE;
    }
    int status = cli_ask(cli, cli->method, params, fd, &reply);
    if (status == EXIT_OK && output) {
        status = finish_output(cli, fd, fresh, output) ? EXIT_OK
                                                       : EXIT_DAEMON;
    } else if (*fresh) {
        unlink(fresh);
    }
    if (status == EXIT_OK && cli->format == FORMAT_JSON
        && (!output || strcmp(output, "-"))) {
        cli_show_json(cli, reply);
    } else if (status == EXIT_OK && cli->format == FORMAT_NDJSON && !output) {
        cli_show_ndjson(cli, reply);
    } else if (status == EXIT_OK && !output) {
        show(cli, reply);
    } else if (status == EXIT_DAEMON && reply && cli_at(reply, "code")) {
        cli_show_error(cli, reply);
    }
    if (fd >= 0) {
        close(fd);
    }
    json_object_put(reply);
    free(cli->filter);
    return status;
}
