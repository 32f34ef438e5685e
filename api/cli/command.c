#include <config.h>

#include "api/cli/command.h"

#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/column.h"

const struct cli_option cli_global_options[] = {
    { "api", 'a', "ADDRESS", "venturid's socket (default: $VENTURI_API, or "
      "/run/venturi/api.sock)", NULL },
    { "to", 0, "ADDRESS", "the same: unix:/PATH, tcp://HOST:PORT, tls://, "
      "http:// or https://", NULL },
    { "token-file", 0, "FILE", "file with a token, for another host "
      "(default: $VENTURI_TOKEN)", NULL },
    { "ca", 0, "FILE", "PEM file of the CA that has signed its certificate",
      NULL },
    { "cert", 0, "FILE", "PEM file of a certificate of one's own", NULL },
    { "key", 0, "FILE", "PEM file of the key of that certificate", NULL },
    { "json", 'j', NULL, "print the result as JSON", NULL },
    { "csv", 'c', NULL, "print tables as CSV", NULL },
    { "ndjson", 'N', NULL, "print each row as JSON on a line of its own",
      NULL },
    { "timeout", 0, "DURATION", "give up after so long: 500ms, 30s, 10m; 0: "
      "never", "10s 1m 10m 0" },
    { "watch", 0, "SECONDS", "ask again and again, so many seconds apart, "
      "until Ctrl-C", "1 2 5 10" },
    { "human", 'H', NULL, "numbers like 1.2 MB also when not on a terminal",
      NULL },
    { "exact", 'e', NULL, "exact numbers also on a terminal", NULL },
    { "help", 'h', NULL, "show help; after a command, about that", NULL },
    { "version", 'V', NULL, "show the version", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

bool
cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;

    fputs("venturictl: ", cli->err);
    va_start(args, format);
    vfprintf(cli->err, format, args);
    va_end(args);
    fputc('\n', cli->err);
    if (cli->command) {
        fprintf(cli->err, "Try \"venturictl %s --help\".\n",
                cli->command->name);
    } else {
        fputs("Try \"venturictl --help\".\n", cli->err);
    }
    return false;
}

const char *
cli_value(const struct cli *cli, const char *option)
{
    const struct cli_option *o = cli->command->options;

    for (size_t i = 0; o && o[i].name; i++) {
        if (!strcmp(o[i].name, option)) {
            return cli->value[i];
        }
    }
    return NULL;
}

/* Help. */

static void
print_options(FILE *f, const struct cli_option *o)
{
    for (; o && o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
                 o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
                 o->arg ? " " : "", o->arg ? o->arg : "");
        fprintf(f, "  %-26s %s\n", left, o->doc);
    }
}

void
cli_help(FILE *f)
{
    size_t width = 0;

    fputs("venturictl -- asks venturid about flows, exporters and exports\n\n"
          "usage: venturictl [OPTION]... COMMAND [ARGUMENT]...\n\n"
          "Commands:\n", f);
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        width = strlen(c->name) > width ? strlen(c->name) : width;
    }
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        fprintf(f, "  %-*s  %s\n", (int) width, c->name, c->summary);
    }
    fputs("\nOptions:\n", f);
    print_options(f, cli_global_options);
    fputs("\nExit status: 0 all is well; 1 venturid answered with an error; "
          "2 bad usage;\n3 venturid cannot be reached; 130 ended by "
          "Ctrl-C.\n", f);
}

void
cli_command_help(FILE *f, const struct cli_command *c)
{
    fprintf(f, "%s\n\nusage: venturictl %s%s%s%s\n", c->summary, c->name,
            c->options ? " [OPTION]..." : "", c->operands ? " " : "",
            c->operands ? c->operands : "");
    if (c->options) {
        fputs("\nOptions:\n", f);
        print_options(f, c->options);
    }
    fputs("\nOptions of all commands:\n", f);
    print_options(f, cli_global_options);
    if (c->example) {
        fprintf(f, "\nExample:\n  %s\n", c->example);
    } else {
        fprintf(f, "\nExample:\n  venturictl %s\n", c->name);
    }
    if (c->method) {
        fprintf(f, "\nJSON-RPC method: %s\n", c->method);
    }
}

/* The command line. */

/* How many words a name has, if the words begin with it; else 0. */
static int
match_words(const char *name, char *const *words, int n_words)
{
    for (int i = 0; i < n_words; i++) {
        size_t n = strlen(words[i]);
        if (!n || strncmp(name, words[i], n)) {
            return 0;
        }
        if (!name[n]) {
            return i + 1;
        }
        if (name[n] != ' ') {
            return 0;
        }
        name += n + 1;
    }
    return 0;
}

const struct cli_command *
cli_find_command(char *const *words, int n_words, int *n)
{
    const struct cli_command *best = NULL;

    *n = 0;
    for (const struct cli_command *c = cli_commands; c->name; c++) {
        int k = match_words(c->name, words, n_words);
        if (k > *n) {
            best = c;
            *n = k;
        }
    }
    return best;
}

/* Is 'name' one of the commands that these words begin, and not itself? */
static bool
is_of_group(const char *name, char *const *words, int n)
{
    for (int i = 0; i < n; i++) {
        size_t size = strlen(words[i]);
        if (strncmp(name, words[i], size) || name[size] != ' ') {
            return false;
        }
        name += size + 1;
    }
    return true;
}

/* Prints the commands that the words begin, unless 'f' is NULL.  Returns how
 * many there are. */
static int
print_group(FILE *f, char *const *words, int n)
{
    int width = 0, count = 0;

    for (const struct cli_command *c = cli_commands; c->name; c++) {
        if (is_of_group(c->name, words, n)) {
            int w = (int) strlen(c->name);
            width = w > width ? w : width;
            count++;
        }
    }
    for (const struct cli_command *c = cli_commands; f && c->name; c++) {
        if (is_of_group(c->name, words, n)) {
            fprintf(f, "  %-*s  %s\n", width, c->name, c->summary);
        }
    }
    return count;
}

/* "export" alone, or with --help: which commands begin with it? */
static int
unknown_command(const struct cli *cli, char *const *words, int n_words,
                bool help)
{
    int n = 0, k;

    while (n < n_words && *words[n] != '-') {
        n++;
    }
    for (int i = n; i < n_words; i++) {
        help = help || !strcmp(words[i], "--help") || !strcmp(words[i], "-h");
    }
    for (k = n; k && !print_group(NULL, words, k); k--) {
    }
    if (!k) {
        cli_usage(cli, "there is no command \"%s\"", words[0]);
        return EXIT_USAGE;
    }
    FILE *f = help && k == n ? cli->out : cli->err;
    if (f == cli->out) {
        fputs("Commands:\n", f);
    } else {
        fputs("venturictl: there is no command \"", f);
        for (int i = 0; i <= k && i < n; i++) {
            fprintf(f, "%s%s", i ? " " : "", words[i]);
        }
        fputs("\"; there are:\n", f);
    }
    print_group(f, words, k);
    fputs("\nTry \"venturictl COMMAND --help\".\n", f);
    return f == cli->out ? EXIT_OK : EXIT_USAGE;
}

struct optspec {
    struct option longs[64];
    char shorts[160];
    int n;
};

static bool
has_option(const struct cli_option *o, const char *name)
{
    while (o && o->name && strcmp(o->name, name)) {
        o++;
    }
    return o && o->name;
}

/* Those of 'o' that are not in 'except', whose options win. */
static void
add_options(struct optspec *spec, const struct cli_option *o, int base,
            const struct cli_option *except)
{
    size_t at = strlen(spec->shorts);

    for (int i = 0; o && o[i].name; i++) {
        if (has_option(except, o[i].name)) {
            continue;
        }
        spec->longs[spec->n++] = (struct option) {
            .name = o[i].name,
            .has_arg = o[i].arg ? required_argument : no_argument,
            .val = base + i,
        };
        if (o[i].letter) {
            spec->shorts[at++] = o[i].letter;
            if (o[i].arg) {
                spec->shorts[at++] = ':';
            }
        }
    }
    spec->shorts[at] = '\0';
}

static int
letter_index(const struct cli_option *o, int letter)
{
    for (int i = 0; o && o[i].name; i++) {
        if (o[i].letter == letter) {
            return i;
        }
    }
    return -1;
}

/* Global options that are a text. */
static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    { "to", offsetof(struct cli, to.address) },
    { "token-file", offsetof(struct cli, token_file) },
    { "ca", offsetof(struct cli, to.ca) },
    { "cert", offsetof(struct cli, to.certificate) },
    { "key", offsetof(struct cli, to.private_key) },
};

/* Returns -1, or the exit status. */
static int
global_option(struct cli *cli, int which, const char *arg)
{
    int64_t us;

    if (!strcmp(cli_global_options[which].name, "timeout")) {
        if (duration_parse_us(arg, &us)) {
            cli_usage(cli, "--timeout %s: not a duration", arg);
            return EXIT_USAGE;
        }
        cli->timeout_ms = us ? us / 1000 + (us < 1000) : INT64_MAX;
        return -1;
    }
    if (!strcmp(cli_global_options[which].name, "watch")) {
        char *end;
        cli->watch_s = strtod(arg, &end);
        if (strcmp(end, *end ? "s" : "") || !(cli->watch_s >= 0.1)
            || cli->watch_s > 86400) {
            cli_usage(cli, "--watch %s: seconds, from 0.1, are expected",
                      arg);
            return EXIT_USAGE;
        }
        return -1;
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!strcmp(cli_global_options[which].name, texts[i].name)) {
            *(const char **) ((char *) cli + texts[i].offset) = arg;
            return -1;
        }
    }
    switch (cli_global_options[which].letter) {
    case 'a':
        cli->to.address = arg;
        break;
    case 'j':
        cli->format = FORMAT_JSON;
        break;
    case 'c':
        cli->format = FORMAT_CSV;
        break;
    case 'N':
        cli->format = FORMAT_NDJSON;
        break;
    case 'H':
        cli->human = true;
        break;
    case 'e':
        cli->human = false;
        break;
    case 'h':
        if (cli->command) {
            cli_command_help(cli->out, cli->command);
        } else {
            cli_help(cli->out);
        }
        return EXIT_OK;
    default:
        fputs("venturictl " PACKAGE_VERSION "\n", cli->out);
        return EXIT_OK;
    }
    return -1;
}

#define GLOBAL 1000
#define LOCAL 2000

/* Reads options; of the command, too, once it is known. */
static int
read_options(struct cli *cli, int argc, char *argv[])
{
    const struct cli_option *own = cli->command ? cli->command->options
                                                : NULL;
    struct optspec spec = { .n = 0 };
    int c;

    /* Before the command, options end at the first word; after it they may
     * stand anywhere. */
    strcpy(spec.shorts, cli->command ? ":" : "+:");
    add_options(&spec, cli_global_options, GLOBAL, own);
    add_options(&spec, own, LOCAL, NULL);
    optind = 0;
    while ((c = getopt_long(argc, argv, spec.shorts, spec.longs, NULL))
           != -1) {
        int i;
        if (c == '?' || c == ':') {
            const char *word = argv[optind - 1];
            cli_usage(cli, c == '?' ? "unknown option \"%s\""
                                    : "option \"%s\" needs a value", word);
            return EXIT_USAGE;
        }
        if (c >= LOCAL || (c < GLOBAL && (i = letter_index(own, c)) >= 0)) {
            i = c >= LOCAL ? c - LOCAL : letter_index(own, c);
            cli->value[i] = optarg ? optarg : "";
            continue;
        }
        i = c >= GLOBAL ? c - GLOBAL : letter_index(cli_global_options, c);
        int status = global_option(cli, i, optarg);
        if (status >= 0) {
            return status;
        }
    }
    return -1;
}

int
cli_parse(struct cli *cli, int argc, char *argv[])
{
    int status = read_options(cli, argc, argv), n = 0;

    if (status >= 0) {
        return status;
    }
    if (optind >= argc) {
        cli_help(cli->err);
        return EXIT_USAGE;
    }
    char **words = argv + optind;
    int n_words = argc - optind;
    if (!strcmp(words[0], "help")) {
        cli->command = cli_find_command(words + 1, n_words - 1, &n);
        if (n_words > 1 && !cli->command) {
            return unknown_command(cli, words + 1, n_words - 1, true);
        }
        return global_option(cli, letter_index(cli_global_options, 'h'),
                             NULL);
    }
    cli->command = cli_find_command(words, n_words, &n);
    if (!cli->command) {
        return unknown_command(cli, words, n_words, false);
    }
    cli->method = cli->command->method;
    status = read_options(cli, n_words - n + 1, words + n - 1);
    if (status >= 0) {
        return status;
    }
    cli->operands = words + n - 1 + optind;
    cli->n_operands = n_words - n + 1 - optind;
    if (cli->n_operands && !cli->command->operands) {
        cli_usage(cli, "\"%s\" is too much", cli->operands[0]);
        return EXIT_USAGE;
    }
    return -1;
}
