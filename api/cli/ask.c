#include <config.h>

#include "api/cli/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/client.h"
#include "api/cli/show.h"
#include "api/cli/table.h"
#include "lib/clock.h"

#define GRACE_MS 5000           /* For the daemon to say that it timed out. */
#define BAR_AFTER_MS 400        /* What is quick needs no bar. */
#define BAR_WIDTH 30

/* ---- The progress bar. ---- */

struct bar {
    FILE *f;
    const char *label;          /* NULL: none. */
    int64_t begin_ms;
    bool drawn;
};

static void
bar_draw(void *bar_, struct json_object *params)
{
    struct bar *b = bar_;
    double part = json_object_get_double(cli_at(params, "part"));
    int64_t ms = clock_mono_ms() - b->begin_ms;
    char buf[HUMAN_STRLEN], cells[BAR_WIDTH + 1];

    if (ms < BAR_AFTER_MS) {
        return;
    }
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    int full = (int) (part * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++) {
        cells[i] = i < full ? '#' : '.';
    }
    cells[BAR_WIDTH] = '\0';
    fprintf(b->f, "\r%s%s[%s] %3.0f %%", b->label ? b->label : "",
            b->label ? " " : "", cells, part * 100);
    struct json_object *flows = cli_at(params, "flows");
    if (flows) {
        fprintf(b->f, "  %s flows", human_number(
                    json_object_get_double(flows), "flows", buf));
    }
    if (part > 0.02) {
        fprintf(b->f, "  %.0f s left", (double) ms / 1000 / part
                                       * (1 - part));
    }
    fputs("\033[K", b->f);
    fflush(b->f);
    b->drawn = true;
}

static void
bar_clear(const struct bar *b)
{
    if (b->drawn) {
        fputs("\r\033[K", b->f);
        fflush(b->f);
    }
}

/* ---- Asking. ---- */

int
cli_ask(struct cli *cli, const char *method, struct json_object *params,
        int fd, struct json_object **reply)
{
    char *error = NULL;
    int status;
    struct client *client = client_connect(&cli->to, &error);

    *reply = NULL;
    if (!client) {
        fprintf(cli->err, "venturictl: %s\n", error ? error : "no memory");
        json_object_put(params);
        free(error);
        return EXIT_NO_DAEMON;
    }
    bool limited = cli->timeout_ms && cli->timeout_ms < INT64_MAX;
    struct bar bar = { .f = cli->err, .label = cli->label,
                       .begin_ms = clock_mono_ms() };
    struct client_request request = {
        .method = method, .params = params, .fd = fd,
        .timeout_ms = limited ? cli->timeout_ms
                                + (cli_at(params, "timeout_ms") ? GRACE_MS
                                                                : 0) : 0,
        .silence_ms = cli->timeout_ms ? 0 : CLIENT_SILENCE_MS,
        .progress = cli->progress ? bar_draw : NULL,
        .aux = &bar,
    };
    int err = client_call(client, &request, reply, &error);
    bar_clear(&bar);
    if (!err) {
        status = EXIT_OK;
    } else if (*reply) {
        status = EXIT_DAEMON;
    } else {
        fprintf(cli->err, "venturictl: %s\n",
                error ? error : strerror(-err));
        status = err == -EINTR ? EXIT_INTERRUPTED : EXIT_NO_DAEMON;
    }
    client_close(client);
    free(error);
    return status;
}
