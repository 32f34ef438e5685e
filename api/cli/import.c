#include <config.h>

#include "api/cli/show.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/cli/table.h"

/* venturictl import: files of nfcapd, one after the other. */

const struct cli_option cli_import_options[] = {
    { "check", 'C', NULL, "only look what is in the files", NULL },
    { "again", 'A', NULL, "also files whose flows were imported before",
      NULL },
    { "damaged", 'D', NULL, "of damaged files what can be read", NULL },
    { "expired", 'E', NULL, "also flows older than store/retention/raw, which "
      "will soon be deleted", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

struct files {
    char **names;
    size_t n, room;
};

static void
add_file(struct files *files, const char *name)
{
    if (files->n == files->room) {
        files->room = files->room ? files->room * 2 : 64;
        files->names = realloc(files->names,
                               files->room * sizeof *files->names);
    }
    if (!files->names || !(files->names[files->n++] = strdup(name))) {
        abort();
    }
}

/* What nfcapd has finished; the one it is writing will come by itself. */
static bool
is_flow_file(const char *name)
{
    return !strncmp(name, "nfcapd.2", 8);
}

static int
by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* All of a directory and those in it, in order. */
static bool
add_directory(struct cli *cli, struct files *files, const char *path)
{
    char *const paths[] = { (char *) path, NULL };
    FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    bool ok = fts != NULL;
    FTSENT *e;

    while (ok && (e = fts_read(fts))) {
        if (e->fts_info == FTS_F && is_flow_file(e->fts_name)) {
            add_file(files, e->fts_path);
        } else if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR) {
            cli_usage(cli, "%s: %s", e->fts_path, strerror(e->fts_errno));
            ok = false;
        }
    }
    if (fts) {
        fts_close(fts);
    }
    return ok;
}

static bool
find_files(struct cli *cli, struct files *files)
{
    struct stat st;

    for (int i = 0; i < cli->n_operands; i++) {
        const char *name = cli->operands[i];
        if (stat(name, &st)) {
            return cli_usage(cli, "%s: %s", name, strerror(errno));
        } else if (!S_ISDIR(st.st_mode)) {
            add_file(files, name);
        } else if (!add_directory(cli, files, name)) {
            return false;
        }
    }
    return files->n || cli_usage(cli, cli->n_operands ? "there are no files "
                                 "of nfcapd there"
                                 : "give files of nfcapd, or directories");
}

/* ---- One file. ---- */

static void
set_flags(struct cli *cli, struct json_object *params)
{
    static const char *const flags[] = { "check", "again", "damaged",
                                         "expired" };
    for (size_t i = 0; i < 4; i++) {
        if (cli_value(cli, flags[i])) {
            json_object_object_add(params, flags[i],
                                   json_object_new_boolean(true));
        }
    }
    cli_set_progress(cli, params);
}

/* What stands for a file that was refused. */
static struct json_object *
refused(struct json_object *error, const char *name)
{
    struct json_object *r = json_object_get(cli_at(error, "data/report"));

    if (!r) {
        r = json_object_new_object();
        cli_set_string(r, "name", name);
        cli_set_string(r, "status", "refused");
    }
    cli_set_string(r, "error", cli_text(error, "message"));
    cli_set_string(r, "allow", cli_at(error, "data/allow")
                               ? cli_text(error, "data/allow") : NULL);
    return r;
}

/* Imports one; adds its report to 'list'.  EXIT_DAEMON: refused, go on. */
static int
import_one(struct cli *cli, const char *name, const char *label,
           struct json_object *list)
{
    struct json_object *params = json_object_new_object(), *reply = NULL;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        struct json_object *r = json_object_new_object();
        char message[512];
        snprintf(message, sizeof message, "%.300s: %s", name,
                 strerror(errno));
        cli_set_string(r, "name", name);
        cli_set_string(r, "status", "refused");
        cli_set_string(r, "error", message);
        json_object_array_add(list, r);
        json_object_put(params);
        return EXIT_DAEMON;
    }
    cli_set_string(params, "name", name);
    set_flags(cli, params);
    cli->label = label;
    int status = cli_ask(cli, cli->method, params, fd, &reply);
    close(fd);
    if (status == EXIT_OK) {
        json_object_array_add(list, json_object_get(reply));
        if (json_object_get_int64(cli_at(reply, "lost"))) {
            status = EXIT_DAEMON;
        }
    } else if (reply) {
        json_object_array_add(list, refused(reply, name));
    }
    json_object_put(reply);
    return status;
}

/* ---- The result. ---- */

/* What is worth a word about a file. */
static char *
remark(struct json_object *r)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    struct json_object *kept = cli_at(r, "not_kept");

    if (!f) {
        return NULL;
    }
    if (cli_at(r, "error")) {
        fputs(cli_text(r, "error"), f);
        if (cli_at(r, "allow")) {
            fprintf(f, "; --%s imports it all the same", cli_text(r,
                                                                  "allow"));
        }
    }
    if (!cli_at(r, "error") && cli_at(r, "imported_before")) {
        fprintf(f, "was imported before, at %s; ",
                cli_text(r, "imported_before"));
    }
    if (!cli_at(r, "error") && json_object_get_int64(cli_at(r, "expired"))) {
        fprintf(f, "%s flows are older than the store keeps; ",
                cli_text(r, "expired"));
    }
    if (json_object_get_int64(cli_at(r, "resumed"))) {
        fprintf(f, "%s flows were there already; ", cli_text(r, "resumed"));
    }
    struct json_object *damage = cli_at(r, "damage");
    for (size_t i = 0; !cli_at(r, "error") && damage
         && i < json_object_array_length(damage); i++) {
        fprintf(f, "%s; ", json_object_get_string(
                    json_object_array_get_idx(damage, i)));
    }
    for (size_t i = 0; kept && i < json_object_array_length(kept); i++) {
        struct json_object *k = json_object_array_get_idx(kept, i);
        struct json_object *known = cli_at(k, "name");
        fprintf(f, "%s %s of %s records not kept; ",
                known ? json_object_get_string(known) : "extension",
                known ? "" : cli_text(k, "extension"),
                cli_text(k, "records"));
    }
    fclose(f);
    size_t n = text ? strlen(text) : 0;
    if (n > 2 && !strcmp(text + n - 2, "; ")) {
        text[n - 2] = '\0';
    }
    return text;
}

static void
show_table(struct cli *cli, struct json_object *list)
{
    static const struct {
        const char *name, *path;
        bool right;
    } columns[] = {
        { "file", "name", false }, { "status", "status", false },
        { "from", "first", false }, { "to", "last", false },
        { "flows", "counters/rows", true },
        { "packets", "counters/packets", true },
        { "bytes", "counters/bytes", true }, { "stored", "stored", true },
    };
    struct table *t = table_create();
    size_t n = sizeof columns / sizeof columns[0];

    for (size_t i = 0; i < n; i++) {
        table_column(t, columns[i].name, columns[i].right);
    }
    table_column(t, "remark", false);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *r = json_object_array_get_idx(list, i);
        for (size_t k = 0; k < n; k++) {
            struct json_object *v = cli_at(r, columns[k].path);
            table_cell(t, v ? json_object_get_string(v) : "");
        }
        char *text = remark(r);
        table_cell(t, text);
        free(text);
    }
    if (cli->format == FORMAT_CSV) {
        table_csv(t, cli->out);
    } else {
        table_print(t, cli->out, cli->width, cli->colour);
    }
    table_destroy(t);
}

int
cli_import(struct cli *cli)
{
    struct files files = { .n = 0 };
    struct json_object *result = json_object_new_object();
    struct json_object *list = json_object_new_array();
    int status = find_files(cli, &files) ? EXIT_OK : EXIT_USAGE;

    cli->method = "flow.import";
    json_object_object_add(result, "files", list);
    for (size_t i = 0; i < files.n && status != EXIT_USAGE; i++) {
        char label[64];
        snprintf(label, sizeof label, "file %zu of %zu", i + 1, files.n);
        int one = import_one(cli, files.names[i], files.n > 1 ? label : NULL,
                             list);
        status = one ? one : status;
        if (one == EXIT_NO_DAEMON || one == EXIT_INTERRUPTED) {
            break;
        }
    }
    if (!json_object_array_length(list)) {
        /* There is nothing to tell. */
    } else if (cli->format == FORMAT_JSON) {
        cli_show_json(cli, result);
    } else if (cli->format == FORMAT_NDJSON) {
        cli_show_ndjson(cli, result);
    } else {
        show_table(cli, list);
    }
    for (size_t i = 0; i < files.n; i++) {
        free(files.names[i]);
    }
    free(files.names);
    json_object_put(result);
    return status;
}
