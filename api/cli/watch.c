/* venturictl watch: flow records as they arrive. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/client.h"
#include "api/cli/show.h"
#include "api/cli/table.h"
#include "collector/filter/names.h"

#define TO_LINE (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define MAX_COLUMNS 32

const struct cli_option cli_watch_options[] = {
    { "fields", 'F', "COLUMNS", "these; the usual ones are the default",
      CLI_WORDS_FIELDS },
    { "rate", 'r', "N", "at most so many records a second; what is skipped is "
      "counted; 100 is the default", NULL },
    { "count", 'c', "N", "end after so many records", NULL },
    { "all-observations", 'A', NULL, "records of every place where packets "
      "were seen", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

struct watch {
    struct cli *cli;
    struct json_object *columns;
    size_t n;
    unsigned width[MAX_COLUMNS];        /* Grows with what was seen. */
    uint64_t left;              /* Records to go; 0: no end. */
    bool done;
};

static bool
build(struct cli *cli, struct json_object *params, struct watch *w)
{
    const char *fields = cli_value(cli, "fields");
    struct json_object *count = json_object_new_object();
    char *text = NULL;
    size_t size;

    cli_set_list(params, "fields", fields);
    if (cli_value(cli, "all-observations")) {
        cli_set_string(params, "observations", "all");
    }
    FILE *f = cli->n_operands ? open_memstream(&text, &size) : NULL;
    for (int i = 0; f && i < cli->n_operands; i++) {
        fprintf(f, "%s%s", i ? " " : "", cli->operands[i]);
    }
    if (f) {
        fclose(f);
        cli->filter = text;
        cli_set_string(params, "filter", text);
    }
    bool ok = cli_set_integer(cli, params, "rate", "rate")
              && cli_set_integer(cli, count, "count", "count");
    w->left = (uint64_t) json_object_get_int64(cli_at(count, "count"));
    json_object_put(count);
    return ok;
}

/* A value as people and programs read it; 'buf' may hold it. */
static const char *
value_text(const struct watch *w, size_t i, struct json_object *v,
           char buf[64])
{
    struct json_object *c = json_object_array_get_idx(w->columns, i);
    const char *name = cli_text(c, "name"), *word;
    bool human = w->cli->human && w->cli->format == FORMAT_TABLE;

    if (!v) {
        return w->cli->format == FORMAT_TABLE ? "-" : "";
    } else if (human && !strcmp(name, "proto")) {
        word = proto_name((uint8_t) json_object_get_int(v));
        return word ? word : json_object_get_string(v);
    } else if (human && !strcmp(cli_text(c, "type"), "time")
               && strlen(json_object_get_string(v)) > 20) {
        /* Of today's, the time is enough. */
        snprintf(buf, 64, "%.12s", json_object_get_string(v) + 11);
        return buf;
    }
    return json_object_get_string(v);
}

static void
put_line(struct watch *w, struct json_object *row)
{
    FILE *out = w->cli->out;
    char buf[64];

    if (w->cli->format == FORMAT_NDJSON) {
        struct json_object *o = json_object_new_object();
        for (size_t i = 0; i < w->n; i++) {
            json_object_object_add(
                o, cli_text(json_object_array_get_idx(w->columns, i), "name"),
                json_object_get(json_object_array_get_idx(row, i)));
        }
        fprintf(out, "%s\n", json_object_to_json_string_ext(o, TO_LINE));
        json_object_put(o);
        return;
    }
    for (size_t i = 0; i < w->n; i++) {
        struct json_object *c = json_object_array_get_idx(w->columns, i);
        struct json_object *v = row ? json_object_array_get_idx(row, i)
                                    : NULL;
        char *text = table_clean(row ? value_text(w, i, v, buf)
                                     : cli_text(c, "name"));
        bool right = cli_text(c, "type")[0] == 'u';
        size_t len = strlen(text);
        if (len > w->width[i]) {
            w->width[i] = (unsigned) len;
        }
        int pad = (int) w->width[i];
        fprintf(out, right ? "%s%*s" : i + 1 < w->n ? "%s%-*s" : "%s%.*s",
                i ? "  " : "", right || i + 1 < w->n ? pad : (int) len,
                text);
        free(text);
    }
    putc('\n', out);
}

static void
put_csv(struct watch *w, struct json_object *rows, bool header)
{
    struct table *t = table_create();
    char *text = NULL, buf[64];
    size_t size;
    FILE *f = open_memstream(&text, &size);

    for (size_t i = 0; i < w->n; i++) {
        struct json_object *c = json_object_array_get_idx(w->columns, i);
        table_column(t, cli_text(c, "name"), false);
    }
    size_t n = rows ? json_object_array_length(rows) : 0;
    for (size_t k = 0; k < n; k++) {
        struct json_object *row = json_object_array_get_idx(rows, k);
        for (size_t i = 0; i < w->n; i++) {
            table_cell(t, value_text(w, i, json_object_array_get_idx(row, i),
                                     buf));
        }
    }
    if (f) {
        table_csv(t, f);
        fclose(f);
        const char *end = strchr(text, '\n');
        fputs(header || !end ? text : end + 1, w->cli->out);
        free(text);
    }
    table_destroy(t);
}

/* One message.  */
static void
show(struct watch *w, struct json_object *result)
{
    struct cli *cli = w->cli;
    struct json_object *rows = cli_at(result, "rows");
    int64_t skipped = json_object_get_int64(cli_at(result, "skipped"));
    size_t n = rows ? json_object_array_length(rows) : 0;

    if (w->left && n >= w->left) {
        n = w->left;
        json_object_array_del_idx(rows, n, json_object_array_length(rows)
                                           - n);
        w->done = true;
    }
    w->left -= w->left ? n : 0;
    if (cli->format == FORMAT_JSON) {
        fprintf(cli->out, "%s\n", json_object_to_json_string_ext(result,
                                                                 TO_LINE));
    } else if (cli->format == FORMAT_CSV) {
        put_csv(w, rows, false);
    }
    for (size_t i = 0; i < n && (cli->format == FORMAT_TABLE
                                 || cli->format == FORMAT_NDJSON); i++) {
        put_line(w, json_object_array_get_idx(rows, i));
    }
    fflush(cli->out);
    if (skipped && cli->format != FORMAT_JSON) {
        fprintf(cli->err, "... %" PRId64 " more matched, beyond --rate\n",
                skipped);
    }
    w->done |= ferror(cli->out) != 0;
}

/* Reads news until they end. */
static int
listen_to(struct cli *cli, struct client *client,
          const struct cli_follower *f)
{
    struct json_object *o = NULL;
    char *error = NULL;

    for (;;) {
        int e = client_next(client, &o, &error);
        if (e == -EINTR) {
            free(error);
            return EXIT_INTERRUPTED;
        } else if (e) {
            fprintf(cli->err, "venturictl: %s\n",
                    error ? error : strerror(-e));
            free(error);
            return EXIT_NO_DAEMON;
        }
        bool data = !strcmp(cli_text(o, "method"), "subscription.data");
        bool end = !strcmp(cli_text(o, "method"), "subscription.end");
        bool more = !data || f->news(f->aux, cli_at(o, "params/result"));
        if (end) {
            fprintf(cli->err, "venturictl: it is over: %s\n",
                    cli_text(o, "params/reason"));
        }
        json_object_put(o);
        if (end || !more) {
            return end ? EXIT_DAEMON : EXIT_OK;
        }
    }
}

int
cli_follow(struct cli *cli, struct json_object *params,
           const struct cli_follower *f)
{
    struct json_object *reply = NULL;
    char *error = NULL;
    struct client_request request = {
        .method = f->method, .params = params,
        .silence_ms = CLIENT_SILENCE_MS,
    };
    struct client *client = client_connect(&cli->to, &error);
    int status = EXIT_NO_DAEMON;

    if (!client) {
        fprintf(cli->err, "venturictl: %s\n", error ? error : "no memory");
        json_object_put(params);
        free(error);
        return status;
    }
    int e = client_call(client, &request, &reply, &error);
    if (e && reply) {
        status = cli_show_error(cli, reply);
    } else if (e) {
        fprintf(cli->err, "venturictl: %s\n", error ? error : strerror(-e));
    } else {
        if (f->begin) {
            f->begin(f->aux, reply);
        }
        fflush(cli->out);
        status = listen_to(cli, client, f);
    }
    client_close(client);
    json_object_put(reply);
    free(error);
    return status;
}

static bool
on_rows(void *watch, struct json_object *result)
{
    struct watch *w = watch;

    show(w, result);
    return !w->done;
}

static void
begin(void *watch, struct json_object *reply)
{
    static const unsigned widths[] = { 12, 15 };
    struct watch *w = watch;

    w->columns = cli_at(reply, "columns");
    w->n = json_object_array_length(w->columns);
    w->n = w->n > MAX_COLUMNS ? MAX_COLUMNS : w->n;
    for (size_t i = 0; i < w->n; i++) {
        const char *type = cli_text(
            json_object_array_get_idx(w->columns, i), "type");
        w->width[i] = !strcmp(type, "time") ? widths[0]
                      : !strcmp(type, "address") ? widths[1] : 4;
    }
    if (w->cli->format == FORMAT_TABLE) {
        put_line(w, NULL);
    } else if (w->cli->format == FORMAT_CSV) {
        put_csv(w, NULL, true);
    }
}

int
cli_watch(struct cli *cli)
{
    struct watch w = { .cli = cli };
    const struct cli_follower f = { "flow.subscribe", begin, on_rows, &w };
    struct json_object *params = json_object_new_object();
    int status = EXIT_USAGE;

    if (build(cli, params, &w)) {
        status = cli_follow(cli, params, &f);
    } else {
        json_object_put(params);
    }
    free(cli->filter);
    return status;
}
