/* venturictl: venturid's API for people. */
#include <config.h>

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/cli/command.h"
#include "lib/clock.h"

#define DEFAULT_API "/run/venturi/api.sock"

static unsigned
terminal_width(void)
{
    struct winsize size;

    if (!isatty(STDOUT_FILENO)) {
        return 0;
    }
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col
           ? 80 : size.ws_col;
}

static int
show(struct cli *cli, struct json_object *result)
{
    const struct cli_command *c = cli->command;

    if (cli->format == FORMAT_NDJSON) {
        return cli_show_ndjson(cli, result);
    }
    if (cli->format == FORMAT_JSON || !c->show) {
        if (cli->format == FORMAT_CSV) {
            cli_usage(cli, "%s has no table: --csv is not possible", c->name);
            return EXIT_USAGE;
        }
        cli_show_json(cli, result);
        /* The exit status says the same in every format. */
        if (c->show && cli->format == FORMAT_JSON) {
            FILE *out = cli->out;
            cli->out = fopen("/dev/null", "we");
            int status = cli->out ? c->show(cli, result) : EXIT_OK;
            if (cli->out) {
                fclose(cli->out);
            }
            cli->out = out;
            return status;
        }
        return EXIT_OK;
    }
    return c->show(cli, result);
}

/* A token from a file, which others must not be able to read. */
static bool
read_token(struct cli *cli)
{
    static char token[256];
    FILE *f = cli->token_file ? fopen(cli->token_file, "re") : NULL;

    if (!cli->token_file) {
        return true;
    }
    if (!f || !fgets(token, sizeof token, f)) {
        fprintf(cli->err, "venturictl: %s: %s\n", cli->token_file,
                f ? "is empty" : strerror(errno));
        if (f) {
            fclose(f);
        }
        return false;
    }
    fclose(f);
    token[strcspn(token, " \t\r\n")] = '\0';
    cli->to.token = token;
    return true;
}

static int
ask(struct cli *cli)
{
    struct json_object *params = json_object_new_object(), *reply = NULL;
    int status;

    if (cli->command->build && !cli->command->build(cli, params)) {
        json_object_put(params);
        return EXIT_USAGE;
    }
    status = cli_ask(cli, cli->method, params, -1, &reply);
    if (status == EXIT_OK) {
        status = show(cli, reply);
    } else if (reply) {
        status = cli_show_error(cli, reply);
    }
    json_object_put(reply);
    free(cli->filter);
    cli->filter = NULL;
    return status;
}

/* The same again and again; on a terminal, in its place. */
static int
ask_always(struct cli *cli)
{
    bool screen = cli->width && cli->format == FORMAT_TABLE;
    FILE *out = cli->out;
    int status;

    for (;;) {
        char *text = NULL, now[TIME_STRLEN];
        size_t size = 0;
        cli->out = screen ? open_memstream(&text, &size) : out;
        if (!cli->out) {
            return EXIT_DAEMON;
        }
        cli->width = screen ? terminal_width() : cli->width;
        status = ask(cli);
        if (screen) {
            fclose(cli->out);
            /* At the top, each line to its end, and nothing below: without
             * flicker. */
            fprintf(out, "\033[H\033[K%s  every %g s\n\033[K",
                    time_format_us(clock_wall_us(), now), cli->watch_s);
            for (const char *p = text; *p; p++) {
                fputs((char[]) { *p, '\0' }, out);
                fputs(*p == '\n' ? "\033[K" : "", out);
            }
            fputs("\033[J", out);
            free(text);
        }
        cli->out = out;
        if (fflush(out) || ferror(out)) {
            return EXIT_DAEMON;
        }
        if (status == EXIT_USAGE || status == EXIT_INTERRUPTED) {
            return status;
        }
        usleep((useconds_t) (cli->watch_s * 1e6));
        if (client_interrupted()) {
            return EXIT_INTERRUPTED;
        }
    }
}

int
main(int argc, char *argv[])
{
    const char *api = getenv("VENTURI_API");
    struct cli cli = {
        .to = { .address = api && *api ? api : DEFAULT_API,
                .token = getenv("VENTURI_TOKEN") },
        .width = terminal_width(),
        .out = stdout,
        .err = stderr,
    };

    /* For the width of characters only: numbers stay as they are. */
    setlocale(LC_CTYPE, "");
    cli.human = cli.width != 0;
    cli.progress = isatty(STDERR_FILENO);
    cli.colour = cli.width && !getenv("NO_COLOR");
    int status = cli_parse(&cli, argc, argv);
    if (status < 0 && !read_token(&cli)) {
        status = EXIT_USAGE;
    } else if (status < 0 && cli.watch_s > 0) {
        if (cli.command->run) {
            cli_usage(&cli, "--watch: \"%s\" cannot be asked again and again",
                      cli.command->name);
            status = EXIT_USAGE;
        } else {
            status = ask_always(&cli);
        }
    } else if (status < 0) {
        status = cli.command->run ? cli.command->run(&cli) : ask(&cli);
    }
    if (fflush(stdout) || ferror(stdout)) {
        if (status == EXIT_OK) {
            status = EXIT_DAEMON;
        }
    }
    return status;
}
