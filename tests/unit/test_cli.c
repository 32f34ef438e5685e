/* venturictl without a daemon: command lines, requests, tables. */
#include <config.h>

#include "api/cli/command.h"

#include <ctype.h>
#include <locale.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/cli/client.h"
#include "api/cli/manual.h"
#include "api/cli/table.h"
#include "api/json.h"
#include "api/methods.h"
#include "collector/filter/filter.h"
#include "tests/unit/unit.h"

static char *out, *err;
static size_t out_size, err_size;

static struct cli
begin(void)
{
    struct cli cli = { .to = { .address = "/default" } };

    cli.out = open_memstream(&out, &out_size);
    cli.err = open_memstream(&err, &err_size);
    return cli;
}

static void
flush(struct cli *cli)
{
    fflush(cli->out);
    fflush(cli->err);
}

static void
end(struct cli *cli)
{
    fclose(cli->out);
    fclose(cli->err);
    free(out);
    free(err);
    free(cli->filter);
}

#define MAX_WORDS 32

/* Splits at blanks; "~" stands for a blank inside a word. */
static int
parse(struct cli *cli, const char *line)
{
    static char copy[1024];
    static char *argv[MAX_WORDS];
    int argc = 0;
    char *save = NULL;

    snprintf(copy, sizeof copy, "venturictl %s", line);
    for (char *w = strtok_r(copy, " ", &save); w && argc < MAX_WORDS - 1;
         w = strtok_r(NULL, " ", &save)) {
        for (char *p = w; *p; p++) {
            *p = *p == '~' ? ' ' : *p;
        }
        argv[argc++] = w;
    }
    argv[argc] = NULL;
    int status = cli_parse(cli, argc, argv);
    flush(cli);
    return status;
}

/* The parameters that a command line becomes, as text; NULL: bad usage. */
static const char *
request(const char *line, const char **method)
{
    static char text[2048], name[64];
    struct cli cli = begin();
    struct json_object *params = json_object_new_object();
    bool ok = parse(&cli, line) < 0
              && (!cli.command->build || cli.command->build(&cli, params));

    snprintf(text, sizeof text, "%s", json_object_to_json_string_ext(
                 params, JSON_C_TO_STRING_PLAIN
                 | JSON_C_TO_STRING_NOSLASHESCAPE));
    snprintf(name, sizeof name, "%s", ok && cli.method ? cli.method : "");
    *method = name;
    flush(&cli);
    if (!ok) {
        CU_ASSERT(err_size > 0);
    }
    json_object_put(params);
    end(&cli);
    return ok ? text : NULL;
}

static void
test_requests(void)
{
    static const struct {
        const char *line, *method, *params;
    } cases[] = {
        { "flows", "flow.query", "{\"from\":\"-1h\",\"by\":[\"src_addr\","
          "\"dst_addr\",\"proto\",\"dst_port\"]}" },
        { "flows --last 5m --by none proto tcp and port 22", "flow.query",
          "{\"from\":\"-5m\",\"filter\":\"proto tcp and port 22\"}" },
        { "flows proto~tcp --top 3 --order -bytes --metrics bytes,flows",
          "flow.query", "{\"from\":\"-1h\",\"by\":[\"src_addr\",\"dst_addr\","
          "\"proto\",\"dst_port\"],\"metrics\":[\"bytes\",\"flows\"],"
          "\"order\":\"-bytes\",\"filter\":\"proto tcp\",\"limit\":3}" },
        { "flows --from -2h --to -1h --bucket 5m -A --timeout 500ms",
          "flow.query", "{\"from\":\"-2h\",\"to\":\"-1h\",\"bucket\":\"5m\","
          "\"observations\":\"all\",\"timeout_ms\":500}" },
        { "--json -a /x flows -b bridge -l1d", "flow.query",
          "{\"from\":\"-1d\",\"by\":[\"bridge\"]}" },
        { "export plan --bridge br0 --all", "export.plan",
          "{\"bridge\":\"br0\",\"all\":true}" },
        { "export apply", "export.apply", "{}" },
        { "export remove -b br0", "export.remove", "{\"bridge\":\"br0\"}" },
        { "exporters --limit 5", "exporter.list", "{\"limit\":5}" },
        { "health", "system.health", "{}" },
        { "config get --file", "config.get", "{\"defaults\":false}" },
        { "config edit --replace {\"a\":null}", "config.edit",
          "{\"config\":{\"a\":null},\"merge\":false}" },
        { "filter check proto tcp", "flow.filter.check",
          "{\"filter\":\"proto tcp\"}" },
        { "call x.y {\"a\":[1]}", "x.y", "{\"a\":[1]}" },
        { "call x.y", "x.y", "{}" },
        { "discover", "rpc.discover", "{}" },
        /* Bad usage. */
        { "flows --top x", NULL, NULL }, { "flows --top", NULL, NULL },
        { "flows --last 1h --from 2", NULL, NULL },
        { "flows --nope", NULL, NULL }, { "nope", NULL, NULL },
        { "export", NULL, NULL }, { "export nope", NULL, NULL },
        { "health x", NULL, NULL }, { "", NULL, NULL },
        { "call", NULL, NULL }, { "call x [1]", NULL, NULL },
        { "call x {", NULL, NULL }, { "config edit", NULL, NULL },
        { "config edit /nonexistent", NULL, NULL },
        { "config edit {\"a\":1,\"a\":2}", NULL, NULL },
        { "filter check", NULL, NULL },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *method, *params = request(cases[i].line, &method);
        if (!params != !cases[i].params
            || (params && (strcmp(params, cases[i].params)
                           || strcmp(method, cases[i].method)))) {
            printf("\n%s: %s %s\n", cases[i].line, method,
                   params ? params : "(bad usage)");
            CU_FAIL("request");
        }
    }
}

static void
test_help(void)
{
    struct cli cli = begin();

    CU_ASSERT_EQUAL(parse(&cli, "--help"), EXIT_OK);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        CU_ASSERT(strstr(out, c->name) != NULL);
        CU_ASSERT(c->summary && *c->summary);
        CU_ASSERT(c->method || c->build || c->run);
    }
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(parse(&cli, "flows --help"), EXIT_OK);
    CU_ASSERT(strstr(out, "--bucket") != NULL);
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(parse(&cli, "help config edit"), EXIT_OK);
    CU_ASSERT(strstr(out, "--replace") != NULL);
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(parse(&cli, "--version"), EXIT_OK);
    CU_ASSERT(strstr(out, PACKAGE_VERSION) != NULL);
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(parse(&cli, "export"), EXIT_USAGE);
    CU_ASSERT(strstr(err, "export plan") != NULL);
    end(&cli);
}

/* What completes a command line ("~" is a blank in a word; a blank at its end
 * begins a word). */
static const char *
completed(const char *line)
{
    static char text[65536];
    char copy[512], *words[MAX_WORDS], *save = NULL;
    int n = 0;
    FILE *f = fmemopen(text, sizeof text, "w");

    fputc('\n', f);
    snprintf(copy, sizeof copy, "%s", line);
    bool fresh = !*line || line[strlen(line) - 1] == ' ';
    for (char *w = strtok_r(copy, " ", &save); w;
         w = strtok_r(NULL, " ", &save)) {
        words[n++] = w;
        for (char *p = w; *p; p++) {
            *p = *p == '~' ? ' ' : *p;
        }
    }
    if (fresh) {
        words[n++] = (char *) "";
    }
    cli_complete(f, words, n);
    fclose(f);
    return text;
}

static void
test_completion(void)
{
    static const struct {
        const char *line, *has, *has_not;
    } cases[] = {
        { "", "\nflows\n", "\nplan\n" }, { "fl", "\nflows\n", "\nrecords\n" },
        { "export ", "\nplan\n", "\nflows\n" },
        { "export po", "\npolicy\n", "\nplan\n" },
        { "export policy ", "\nset\n", "\nplan\n" },
        { "help exp", "\nexport\n", "\nflows\n" },
        { "flows --", "\n--all-observations\n", "\n--recursive\n" },
        { "flows --", "\n--json\n", "\n-j\n" },
        { "flows --last ", "\n15m\n", "\nflows\n" },
        { "flows -l ", "\n15m\n", "\nproto\n" },
        { "flows --by src_a", "\nsrc_addr\n", "\nbytes\n" },
        { "flows --by src_addr,dst_a", "\nsrc_addr,dst_addr\n",
          "\ndst_addr\n" },
        { "flows --by flows,ten", "\nflows,tenant\n", "\nflows,src_tenant\n" },
        { "flows --by addr", "\naddr\n", "\naddr/24\n" },
        { "flows --by as,addr/", "\nas,addr/24\n", "\naddr\n" },
        { "flows --by src_l", "\nsrc_label.\n", "\nlabel.\n" },
        { "records --fields flow_", "\nflow_start\n", "\nproto\n" },
        { "records --fields ", "\nsrc_addr\n", "\nproto_name\n" },
        { "watch --fields ", "\nflow_end\n", "\ntenant\n" },
        { "alert rule set --by ", "\nsrc_tenant\n", "\nproto_name\n" },
        { "flows --metrics flows,by", "\nflows,bytes\n", "\nsrc_addr\n" },
        { "flows --last 1h pro", "\nproto\n", "\nport\n" },
        { "flows proto ", "\ntcp\n", "\nproto\n" },
        { "flows proto tcp and dst po", "\nport\n", "\ndst\n" },
        { "flows 'proto~tcp~and~dst~po", "\n'proto tcp and dst port\n",
          "\nport\n" },
        { "flows '(po", "\n'(port\n", "\nport\n" },
        { "filter check proto tc", "\ntcp\n", "\nudp\n" },
        { "--api /x flows proto ud", "\nudp\n", "\ntcp\n" },
        { "--api ", "\n@files\n", "\nflows\n" },
        { "import ", "\n@files\n", "\nflows\n" },
        { "export-data --format ", "\nparquet\n", "\nproto\n" },
        { "export-data --output ", "\n@files\n", "\nproto\n" },
        { "completion ", "\nzsh\n", "\nflows\n" },
        { "no-such-command ", "\n", "\nflows\n" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = completed(cases[i].line);
        if (!strstr(text, cases[i].has) || strstr(text, cases[i].has_not)) {
            printf("\n\"%s\":%s", cases[i].line, text);
            CU_FAIL("completion");
        }
    }
    struct cli cli = begin();
    CU_ASSERT(cli_completion(cli.out, "bash"));
    flush(&cli);
    CU_ASSERT(strstr(out, "complete -F") != NULL);
    FILE *f = popen("bash -n", "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(out, f);
    CU_ASSERT_EQUAL(pclose(f), 0);
    CU_ASSERT(cli_completion(cli.out, "zsh"));
    CU_ASSERT(!cli_completion(cli.out, "fish"));
    end(&cli);
}

static void
test_human(void)
{
    static const struct {
        double value;
        const char *unit, *text;
    } cases[] = {
        { 0, "B", "0 B" }, { 999, "B", "999 B" }, { 1000, "B", "1.00 kB" },
        { 1234567, "B", "1.23 MB" }, { 12345678, "B", "12.3 MB" },
        { 999499, "B", "999 kB" }, { 999500, "B", "1.00 MB" },
        { 99950, "B", "100 kB" }, { 1234, "packets", "1.23 k" },
        { 12, "flows", "12" }, { 1.8e19, "B", "18.0 EB" },
    };
    char buf[HUMAN_STRLEN];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_STRING_EQUAL(human_number(cases[i].value, cases[i].unit,
                                            buf), cases[i].text);
    }
}

static char *
print(const struct table *t, unsigned width)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (width == 1) {
        table_csv(t, f);
    } else {
        table_print(t, f, width, false);
    }
    fclose(f);
    return text;
}

static void
test_table(void)
{
    struct table *t = table_create();

    setlocale(LC_CTYPE, "C.UTF-8");
    table_column(t, "name", false);
    table_column(t, "bytes", true);
    table_column(t, "what", false);
    table_cell(t, "br-\xc3\xa9" "lan");
    table_cell(t, "12");
    table_cell(t, "a,\"b\"");
    table_cell(t, "x\033[31m");
    table_cell(t, "1234567");
    table_cell(t, NULL);
    CU_ASSERT_EQUAL(table_rows(t), 2);
    char *text = print(t, 0);
    CU_ASSERT_STRING_EQUAL(text,
                           "name       bytes  what\n"
                           "br-\xc3\xa9lan       12  a,\"b\"\n"
                           "x?[31m   1234567  \n");
    free(text);
    text = print(t, 1);
    CU_ASSERT_STRING_EQUAL(text, "name,bytes,what\r\n"
                           "br-\xc3\xa9lan,12,\"a,\"\"b\"\"\"\r\n"
                           "x?[31m,1234567,\r\n");
    free(text);
    table_destroy(t);

    /* Cut to fit; numbers never. */
    t = table_create();
    table_column(t, "a", false);
    table_column(t, "n", true);
    table_cell(t, "abcdefghijklmnopqrstuvwxyz");
    table_cell(t, "123456789");
    text = print(t, 20);
    CU_ASSERT_STRING_EQUAL(text, "a                  n\n"
                           "abcdefgh\xe2\x80\xa6  123456789\n");
    free(text);
    table_destroy(t);

    /* A long text at the end is wrapped, between words if there are any. */
    t = table_create();
    table_column(t, "n", true);
    table_column(t, "why", false);
    table_cell(t, "1");
    table_cell(t, "not connected: the server has gone away");
    table_cell(t, "2");
    table_cell(t, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    text = print(t, 30);
    CU_ASSERT_STRING_EQUAL(text, "n  why\n"
                           "1  not connected: the server\n   has gone away\n"
                           "2  xxxxxxxxxxxxxxxxxxxxxxxxxxx\n   xxxxxxxx\n");
    free(text);
    table_destroy(t);
}

static struct json_object *
json(const char *text)
{
    struct json_object *o = NULL;

    CU_ASSERT_EQUAL(json_parse(text, strlen(text), &json_default_limits, 0,
                               &o, NULL), 0);
    return o;
}

static int
show(struct cli *cli, const char *line, const char *result)
{
    struct json_object *o = json(result);

    CU_ASSERT_EQUAL(parse(cli, line), -1);
    int status = cli->command->show(cli, o);
    json_object_put(o);
    flush(cli);
    return status;
}

static void
test_show(void)
{
    static const char flows[] =
        "{\"columns\":[{\"name\":\"src_addr\",\"type\":\"address\",\"unit\":"
        "\"\"},{\"name\":\"proto\",\"type\":\"u8\",\"unit\":\"\"},"
        "{\"name\":\"bytes\",\"type\":\"u64\",\"unit\":\"B\"}],\"rows\":["
        "[\"10.0.0.1\",6,9007199254740993],[null,17,12]],\"truncated\":true,"
        "\"stats\":{\"tier\":\"raw\",\"segments\":1,\"rows_scanned\":77,"
        "\"elapsed_ms\":1.6}}";
    struct cli cli = begin();

    CU_ASSERT_EQUAL(show(&cli, "flows", flows), EXIT_OK);
    CU_ASSERT_STRING_EQUAL(out,
        "src_addr  proto             bytes\n"
        "10.0.0.1      6  9007199254740993\n"
        "-            17                12\n"
        "2 rows, there are more (see --top), 77 records in 1 segment read "
        "in 2 ms\n");
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(show(&cli, "flows", "{\"columns\":[],\"rows\":[],"
        "\"truncated\":false,\"stats\":{\"tier\":\"1h+raw\","
        "\"segments\":2,\"rows_scanned\":7,\"elapsed_ms\":1,\"note\":"
        "\"flows are kept since noon\"}}"), EXIT_OK);
    CU_ASSERT(strstr(out, "7 records in 2 segments (tier 1h+raw) read in 1 ms\n"
                     "Note: flows are kept since noon\n") != NULL);
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(show(&cli, "--human flows", flows), EXIT_OK);
    CU_ASSERT(strstr(out, "9.01 PB") != NULL);
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(show(&cli, "--human --csv flows", flows), EXIT_OK);
    CU_ASSERT_STRING_EQUAL(out, "src_addr,proto,bytes\r\n"
                           "10.0.0.1,6,9007199254740993\r\n,17,12\r\n");
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(show(&cli, "health", "{\"status\":\"degraded\",\"checks\":"
                         "[{\"name\":\"store\",\"status\":\"degraded\","
                         "\"reason\":\"disk full\"}]}"), EXIT_DAEMON);
    CU_ASSERT(strstr(out, "disk full") != NULL);
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(show(&cli, "export plan", "{\"pending\":1,\"plans\":[{"
                         "\"remote\":\"unix:x\",\"pending\":1,\"changes\":[{"
                         "\"bridge\":\"br0\",\"protocol\":\"sflow\","
                         "\"action\":\"create\",\"reason\":\"why\",\"diff\":[{"
                         "\"column\":\"targets\",\"old\":null,\"new\":\"y\"}],"
                         "\"warnings\":[\"careful\"]}]}],\"unreachable\":[]}"),
                    EXIT_OK);
    CU_ASSERT_STRING_EQUAL(out, "unix:x: 1 to write\n"
                           "  br0 sflow: create (why)\n"
                           "    targets: - -> y\n    warning: careful\n");
    end(&cli);
    cli = begin();
    CU_ASSERT_EQUAL(show(&cli, "config validate x", "{\"valid\":false,"
                         "\"errors\":[{\"path\":\"/a\",\"message\":\"m\"}]}"),
                    EXIT_DAEMON);
    CU_ASSERT_STRING_EQUAL(out, "/a: m\n");
    end(&cli);
}

/* An error points into the filter. */
static void
test_errors(void)
{
    struct cli cli = begin();
    struct json_object *params = json_object_new_object();
    struct json_object *e = json(
        "{\"code\":-32602,\"message\":\"there is no column\",\"data\":{"
        "\"position\":6,\"expected\":\"a protocol\"}}");

    CU_ASSERT_EQUAL(parse(&cli, "flows proto xyz"), -1);
    CU_ASSERT(cli.command->build(&cli, params));
    CU_ASSERT_EQUAL(cli_show_error(&cli, e), EXIT_DAEMON);
    flush(&cli);
    CU_ASSERT_STRING_EQUAL(err, "venturictl: flow.query: there is no column\n"
                           "    proto xyz\n          ^\n"
                           "expected: a protocol\n");
    json_object_put(e);
    json_object_put(params);
    end(&cli);
}

/* Of a long filter only what is around the place is shown; what is not expected
 * is not told. */
static void
test_long_filter(void)
{
    struct cli cli = begin();
    struct json_object *params = json_object_new_object();
    char command[1000] = "filter check any\n";
    size_t len = strlen(command);

    for (unsigned i = 0; i < 60; i++) {
        len += (size_t) snprintf(command + len, sizeof command - len,
                                 "port~%03u~or~", i);
    }
    snprintf(command + len, sizeof command - len, "any\nor~any");
    CU_ASSERT_EQUAL(parse(&cli, command), -1);
    CU_ASSERT_FATAL(cli.command->build(&cli, params));
    struct json_object *o = json("{\"valid\":false,\"error\":{\"message\":"
                                 "\"no\",\"position\":605,\"expected\":"
                                 "\"\"}}");
    CU_ASSERT_EQUAL(cli.command->show(&cli, o), EXIT_DAEMON);
    flush(&cli);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\n    ..."));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "...\n      "));
    CU_ASSERT(strlen(out) < 250);
    CU_ASSERT_PTR_NULL(strstr(out, "expected"));
    const char *line = strstr(out, "    ..."), *mark = strchr(out, '^');
    CU_ASSERT_FATAL(line && mark);
    const char *below = mark;
    while (below[-1] != '\n') {
        below--;
    }
    CU_ASSERT(!strncmp(line + (mark - below), cli.filter + 605, 10));
    json_object_put(o);
    json_object_put(params);
    end(&cli);
}

static void
test_connect(void)
{
    char *error = NULL;

    CU_ASSERT_PTR_NULL(client_connect(&(struct client_to) {
        .address = "/nonexistent/api.sock" }, &error));
    CU_ASSERT(error && strstr(error, "Is venturid running?"));
    free(error);
    CU_ASSERT_PTR_NULL(client_connect(&(struct client_to) {
        .address = "api.sock" }, &error));
    CU_ASSERT(error && strstr(error, "unix:/PATH"));
    free(error);
}

/* The manual names every command and option. */
static void
test_manual(void)
{
    const char *srcdir = getenv("VENTURI_SRCDIR");
    char file[512], want[128];
    static char page[65536];
    size_t n, to = 0;

    snprintf(file, sizeof file, "%s/doc/venturictl.1", srcdir ? srcdir : ".");
    FILE *f = fopen(file, "r");
    if (!f) {
        printf("\n    skipped: no %s\n    ", file);
        return;
    }
    n = fread(page, 1, sizeof page - 1, f);
    fclose(f);
    for (size_t i = 0; i < n; i++) {    /* "\-" is a hyphen. */
        if (page[i] != '\\') {
            page[to++] = page[i];
        }
    }
    page[to] = '\0';
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        CU_ASSERT(strstr(page, c->name) != NULL);
        for (const struct cli_option *o = c->options; o && o->name; o++) {
            snprintf(want, sizeof want, "--%s", o->name);
            if (!strstr(page, want)) {
                printf("\nnot in the manual: %s %s\n", c->name, want);
                CU_FAIL("manual");
            }
        }
    }
}

/* Splits a line as a shell does, as far as examples need it. */
static int
split(char *line, char **words)
{
    int n = 0;

    while (*line) {
        line += strspn(line, " ");
        char *to = line;
        words[n++] = line;
        for (char quote = '\0'; *line && (quote || *line != ' '); line++) {
            if (quote ? *line == quote : *line == '\'') {
                quote = quote ? '\0' : *line;
            } else {
                *to++ = *line;
            }
        }
        line += *line == ' ';
        *to = '\0';
    }
    words[n] = NULL;
    return n;
}

/* Each command has an example, and it is right. */
static void
test_examples(void)
{
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        struct cli cli = { .out = fopen("/dev/null", "w"), .err = stderr };
        char line[256], *words[32];
        if (c->operands && !c->example) {
            printf("\nno example: %s\n", c->name);
            CU_FAIL("example");
        }
        if (!c->example || strpbrk(c->example, "<|")) {
            fclose(cli.out);
            continue;
        }
        snprintf(line, sizeof line, "%s", c->example);
        int status = cli_parse(&cli, split(line, words), words);
        struct json_object *params = json_object_new_object();
        if (status != -1 || cli.command != c
            || (c->build && strcmp(c->name, "config validate")
                && !c->build(&cli, params))) {
            printf("\nnot right: %s\n", c->example);
            CU_FAIL("example");
        }
        json_object_put(params);
        free(cli.filter);
        fclose(cli.out);
    }
}

/* The first words of several commands: help shows these, to people who ask for
 * it; to others it is an error that names them. */
static void
test_groups(void)
{
    static const struct {
        const char *line;
        int status;
        const char *has, *lacks;
    } list[] = {
        { "config --help", 0, "\n  config get ", "  export plan" },
        { "config -h", 0, "\n  config get ", "there is no" },
        { "--help config", 0, "  export plan", NULL },
        { "help config", 0, "\n  config get ", "  export plan" },
        { "alert rule --help", 0, "\n  alert rule set ", "alert list" },
        { "alert --help", 0, "\n  alert list ", "export" },
        { "config", EXIT_USAGE, "no command \"config\"; there are:\n"
          "  config history", "export plan" },
        { "config nope --help", EXIT_USAGE, "no command \"config nope\"",
          "export plan" },
        { "alert rule nope", EXIT_USAGE, "\n  alert rule set ", "alert list" },
        { "conf --help", EXIT_USAGE, "no command \"conf\"\n", "there are" },
        { "nope", EXIT_USAGE, "no command \"nope\"\n", "there are" },
    };

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct cli cli = begin();
        CU_ASSERT_EQUAL(parse(&cli, list[i].line), list[i].status);
        const char *text = list[i].status ? err : out;
        CU_ASSERT_PTR_NOT_NULL(strstr(text, list[i].has));
        CU_ASSERT_TRUE(!list[i].lacks || !strstr(text, list[i].lacks));
        CU_ASSERT_EQUAL(*(list[i].status ? out : err), '\0');
        end(&cli);
    }
}

/* Each method can be reached by a command. */
static void
test_methods(void)
{
    /* Those that a command of another method, or of none, calls. */
    static const char *const within[] = {
        "export.bridge.remove",         /* export remove PROTOCOL BRIDGE */
        "flow.subscribe", "subscription.cancel",        /* watch */
        "subscription.list",            /* Of a connection: call. */
        "event.subscribe", "event.list",        /* events [--follow] */
        "flow.import", "flow.export",   /* import, export-data */
        "route.import",                 /* route import */
        "rpc.cancel",                   /* Ctrl-C */
        "session.login",                /* --token-file */
    };
    for (size_t i = 0; method_tables[i]; i++) {
        for (const struct rpc_method *m = method_tables[i]; m->name; m++) {
            const struct cli_command *c = cli_commands;
            bool found = false;
            while (c->name && (!c->method || strcmp(c->method, m->name))) {
                c++;
            }
            for (size_t k = 0; k < sizeof within / sizeof within[0]; k++) {
                found |= !strcmp(within[k], m->name);
            }
            if (!found && !c->name) {
                printf("\nno command: %s\n", m->name);
                CU_FAIL("method");
            }
        }
    }
}

static bool
has_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = text; (p = strstr(p, word)); p += n) {
        if ((p == text || !isalnum((unsigned char) p[-1]))
            && !isalnum((unsigned char) p[n])) {
            return true;
        }
    }
    return false;
}

/* venturi-filter(7) knows each word that can begin a term, and each column. */
static void
test_filter_manual(void)
{
    struct filter_completion c;
    char *page = NULL;
    size_t size, to = 0;
    FILE *f = open_memstream(&page, &size);

    manual_filter(f);
    fclose(f);
    for (size_t i = 0; i < size; i++) {
        if (page[i] != '\\') {
            page[to++] = page[i];
        }
    }
    page[to] = '\0';
    filter_complete("", 0, &c);
    CU_ASSERT(c.n > 60);
    for (unsigned i = 0; i < c.n; i++) {
        if (!has_word(page, c.words[i])) {
            printf("\nnot in venturi-filter(7): %s\n", c.words[i]);
            CU_FAIL("filter");
        }
    }
    free(page);
}

UNIT_MAIN("cli", UNIT_TEST(test_filter_manual),
           UNIT_TEST(test_groups), UNIT_TEST(test_examples),
          UNIT_TEST(test_methods),
           UNIT_TEST(test_requests), UNIT_TEST(test_help),
          UNIT_TEST(test_completion), UNIT_TEST(test_human),
          UNIT_TEST(test_table), UNIT_TEST(test_show),
          UNIT_TEST(test_errors), UNIT_TEST(test_long_filter), UNIT_TEST(test_connect),
          UNIT_TEST(test_manual))
