/* venturictl top: the screen and the keys. */
#include <config.h>

#include "api/cli/top.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <json-c/json.h>

/* Windows of ours are one; its macros are left out: they are many. */
#define NCURSES_NOMACROS 1
#include <curses.h>

#include "api/cli/client.h"
#include "api/cli/show.h"
#include "lib/clock.h"

#define MAX_ROWS 500
#define MIN_INTERVAL_S 0.2

const struct cli_option cli_top_options[] = {
    { "interval", 'i', "SECONDS", "ask again after so long; 2 is the default",
      "1 2 5 10" },
    { "last", 'l', "SECONDS", "flows of so many seconds; 10 is the default",
      "10 60 300" },
    { "view", 'v', "VIEW", "begin with flows, endpoints or exporters",
      "flows endpoints exporters" },
    { "count", 'n', "N", "end after so many times", NULL },
    { NULL, 0, NULL, NULL, NULL }
};

struct top {
    struct cli *cli;
    struct client *client;
    struct top_state state;
    double interval_s;
    int64_t left;               /* Times to ask; 0: no end. */
    bool paused, help, quit;
    size_t first;               /* Row at the top. */
    struct json_object *answer, *before;
    int64_t answer_us, before_us;
    char message[256];          /* What is wrong. */
    int status;
};

/* ---- Asking. ---- */

static void
forget(struct top *t)
{
    json_object_put(t->answer);
    json_object_put(t->before);
    t->answer = t->before = NULL;
    t->first = 0;
}

static bool
reach(struct top *t)
{
    char *error = NULL;

    if (!t->client) {
        t->client = client_connect(&t->cli->to, &error);
        if (!t->client) {
            snprintf(t->message, sizeof t->message, "%s",
                     error ? error : "no memory");
            free(error);
        }
    }
    return t->client != NULL;
}

/* One question; what goes wrong is shown, and asked again later. */
static void
ask(struct top *t)
{
    struct json_object *reply = NULL;
    char *error = NULL;

    if (!reach(t)) {
        t->status = EXIT_NO_DAEMON;
        return;
    }
    struct client_request request = {
        .method = t->state.view->method,
        .params = top_params(&t->state, MAX_ROWS),
        .timeout_ms = 30000,
    };
    int e = client_call(t->client, &request, &reply, &error);
    if (!e) {
        json_object_put(t->before);
        t->before = t->answer;
        t->before_us = t->answer_us;
        t->answer = reply;
        t->answer_us = clock_mono_us();
        t->message[0] = '\0';
        t->status = EXIT_OK;
        return;
    }
    snprintf(t->message, sizeof t->message, "%s",
             reply ? cli_text(reply, "message")
             : error ? error : strerror(-e));
    t->status = reply ? EXIT_DAEMON : EXIT_NO_DAEMON;
    if (e == -EINTR) {
        t->quit = true;
        t->status = EXIT_OK;    /* It was asked to end, and does. */
    }
    if (!reply) {
        client_close(t->client);
        t->client = NULL;
    }
    json_object_put(reply);
    free(error);
}

/* ---- Drawing. ---- */

/* A text in a field of the screen, cut by what its characters take. */
static void
put_field(int y, int x, unsigned width, const char *text, bool right)
{
    wchar_t wide[256];
    size_t n = mbstowcs(wide, text, 255);
    unsigned used = 0, k = 0;

    if (n == (size_t) -1) {
        for (n = 0; text[n] && n < 255; n++) {
            wide[n] = (unsigned char) text[n] < 0x80 ? (wchar_t) text[n]
                                                     : L'?';
        }
    }
    for (; k < n; k++) {
        int w = wcwidth(wide[k]);
        w = w < 0 ? 0 : w;
        if (used + (unsigned) w > width) {
            break;
        }
        used += (unsigned) w;
    }
    if (k < n && k) {
        wide[k - 1] = L'~';     /* Cut. */
    }
    mvaddnwstr(y, x + (right ? (int) (width - used) : 0), wide, (int) k);
}

static void
put_line(int y, attr_t attr, const char *text)
{
    attrset(attr);
    move(y, 0);
    clrtoeol();
    put_field(y, 0, (unsigned) COLS, text, false);
    attrset(A_NORMAL);
}

static void
draw_head(struct top *t, const struct top_table *table)
{
    const struct top_state *s = &t->state;
    char line[512];
    int n = snprintf(line, sizeof line, "venturi %s%s  %zu rows",
                     s->view->title,
                     s->other && s->view->by_other
                     ? s->view->key == 'f' ? " by endpoint" : " received"
                     : s->view->where_other ? " sent" : "", table->n_rows);
    if (!s->view->list) {
        n += snprintf(line + n, sizeof line - (size_t) n, "  last %" PRId64
                      " s", s->last_s);
    }
    if (s->filter) {
        n += snprintf(line + n, sizeof line - (size_t) n, "  \"%.100s\"",
                      s->filter);
    }
    snprintf(line + n, sizeof line - (size_t) n, "%s",
             t->paused ? "  PAUSED" : "");
    put_line(0, A_BOLD, line);
}

static void
draw_titles(struct top *t, const struct top_table *table,
            const unsigned *widths)
{
    const struct top_state *s = &t->state;
    int x = 0;

    mvhline(1, 0, ' ' | A_REVERSE, COLS);
    for (unsigned k = 0; k < table->n_columns; k++) {
        const struct top_column *c = &table->view->columns[k];
        if (!widths[k]) {
            continue;
        }
        attrset(k == s->sort ? A_REVERSE | A_BOLD | A_UNDERLINE : A_REVERSE);
        put_field(1, x, widths[k], c->title, c->right);
        x += (int) widths[k] + 1;
    }
    attrset(A_NORMAL);
}

static void
draw_rows(struct top *t, const struct top_table *table,
          const unsigned *widths)
{
    int room = LINES - 3;

    if (t->first + 1 > table->n_rows) {
        t->first = table->n_rows ? table->n_rows - 1 : 0;
    }
    for (int i = 0; i < room; i++) {
        size_t row = t->first + (size_t) i;
        int x = 0;
        move(2 + i, 0);
        clrtoeol();
        for (unsigned k = 0; row < table->n_rows && k < table->n_columns;
             k++) {
            if (widths[k]) {
                put_field(2 + i, x, widths[k],
                          table->cells[row * table->n_columns + k].text,
                          table->view->columns[k].right);
                x += (int) widths[k] + 1;
            }
        }
    }
    if (!table->n_rows && t->answer) {
        put_line(2, A_DIM, "Nothing yet.");
    }
}

static void
draw_help(void)
{
    static const char *const lines[] = {
        "f e x   flows, endpoints, exporters",
        "< >     sort by the column to the left, to the right",
        "r       the other way round",
        "d       flows by endpoint; endpoints by what they receive",
        "+ -     flows of a longer, a shorter time",
        "space   stop, and go on",
        "arrows, page up, page down, home: move through the rows",
        "h ?     this help, and away with it",
        "q       end",
    };
    for (int i = 0; i < (int) (sizeof lines / sizeof lines[0]); i++) {
        put_line(2 + i, A_NORMAL, lines[i]);
    }
}

static void
draw(struct top *t)
{
    unsigned widths[TOP_MAX_COLUMNS];
    struct top_table table;
    double seconds = (double) (t->answer_us - t->before_us) / 1e6;

    if (!top_make(&t->state, t->answer, t->before, seconds, &table)) {
        return;
    }
    erase();
    top_widths(&table, (unsigned) COLS, widths);
    draw_head(t, &table);
    draw_titles(t, &table, widths);
    if (t->help) {
        draw_help();
    } else {
        draw_rows(t, &table, widths);
    }
    put_line(LINES - 1, t->message[0] ? A_BOLD : A_DIM, t->message[0]
             ? t->message : "f flows  e endpoints  x exporters  < > sort  "
             "r reverse  h help  q quit");
    move(LINES - 1, COLS - 1);
    refresh();
    top_clear(&table);
}

/* ---- Keys. ---- */

static void
choose_view(struct top *t, const struct top_view *v)
{
    if (v != t->state.view) {
        t->state.view = v;
        t->state.sort = v->sort;
        t->state.ascending = t->state.other = false;
        forget(t);
    }
}

static void
sort_beside(struct top *t, int step)
{
    int n = (int) top_n_columns(t->state.view);

    t->state.sort = (unsigned) (((int) t->state.sort + step + n) % n);
    t->first = 0;
}

static void
scroll_by(struct top *t, int rows)
{
    t->first = rows < 0 && t->first < (size_t) -rows
               ? 0 : t->first + (size_t) rows;
}

/* True: it must be asked again at once. */
static bool
on_key(struct top *t, int key)
{
    static const int64_t spans[] = { 1, 2, 5, 10, 30, 60, 300, 900, 3600 };
    const int n_spans = (int) (sizeof spans / sizeof spans[0]);
    int at = 0;

    for (const struct top_view *v = top_views; v->key; v++) {
        if (key == v->key) {
            choose_view(t, v);
            return true;
        }
    }
    while (at < n_spans - 1 && spans[at] < t->state.last_s) {
        at++;
    }
    switch (key) {
    case 'q':
        t->quit = true;
        return false;
    case ' ':
        t->paused = !t->paused;
        return !t->paused;
    case 'h':
    case '?':
        t->help = !t->help;
        return false;
    case 'r':
        t->state.ascending = !t->state.ascending;
        return true;
    case 'd':
        t->state.other = !t->state.other;
        forget(t);
        return true;
    case '<':
    case KEY_LEFT:
        sort_beside(t, -1);
        return true;
    case '>':
    case KEY_RIGHT:
        sort_beside(t, 1);
        return true;
    case '+':
        t->state.last_s = spans[at + 1 < n_spans ? at + 1 : at];
        return true;
    case '-':
        t->state.last_s = spans[at ? at - 1 : 0];
        return true;
    case KEY_UP:
        scroll_by(t, -1);
        return false;
    case KEY_DOWN:
        scroll_by(t, 1);
        return false;
    case KEY_PPAGE:
        scroll_by(t, 3 - LINES);
        return false;
    case KEY_NPAGE:
        scroll_by(t, LINES - 3);
        return false;
    case KEY_HOME:
        t->first = 0;
        return false;
    default:
        return false;           /* KEY_RESIZE: it is drawn anew. */
    }
}

static void
run(struct top *t)
{
    int64_t next_us = 0;

    while (!t->quit) {
        int64_t now = clock_mono_us();
        if (now >= next_us && !t->paused) {
            ask(t);
            now = clock_mono_us();
            next_us = now + (int64_t) (t->interval_s * 1e6);
            t->quit |= t->left && !--t->left;
        }
        draw(t);
        if (t->quit) {
            break;
        }
        timeout(t->paused ? 500 : next_us > now
                ? (int) ((next_us - now) / 1000) + 1 : 0);
        int key = getch();
        if (client_interrupted()) {
            t->quit = true;
        } else if (key != ERR && on_key(t, key)) {
            next_us = 0;
        } else if (key == ERR && !isatty(STDIN_FILENO)) {
            t->quit = true;
        }
    }
}

/* ---- The command. ---- */

static bool
read_seconds(struct cli *cli, const char *option, double least, double *value)
{
    const char *text = cli_value(cli, option);
    char *end;

    if (!text) {
        return true;
    }
    *value = strtod(text, &end);
    if (!*text || strcmp(end, *end ? "s" : "") || !(*value >= least)
        || *value > 86400) {
        return cli_usage(cli, "--%s %s: seconds, from %g, are expected",
                         option, text, least);
    }
    return true;
}

static bool
read_options(struct top *t)
{
    struct cli *cli = t->cli;
    const char *view = cli_value(cli, "view");
    double last = 10, count = 0;

    if (!read_seconds(cli, "interval", MIN_INTERVAL_S, &t->interval_s)
        || !read_seconds(cli, "last", 1, &last)
        || !read_seconds(cli, "count", 1, &count)) {
        return false;
    }
    t->state.last_s = (int64_t) last;
    t->left = (int64_t) count;
    t->state.view = top_views;
    while (view && t->state.view->key
           && strcmp(view, t->state.view->title)) {
        t->state.view++;
    }
    if (!t->state.view->key) {
        return cli_usage(cli, "--view %s: flows, endpoints or exporters is "
                         "expected", view);
    }
    t->state.sort = t->state.view->sort;
    return true;
}

int
cli_top(struct cli *cli)
{
    struct top t = { .cli = cli, .interval_s = 2, .status = EXIT_OK };
    char *filter = NULL;
    size_t size;

    if (!read_options(&t)) {
        return EXIT_USAGE;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        cli_usage(cli, "top needs a terminal; \"flows --watch 2\" goes "
                  "anywhere");
        return EXIT_USAGE;
    }
    FILE *f = cli->n_operands ? open_memstream(&filter, &size) : NULL;
    for (int i = 0; f && i < cli->n_operands; i++) {
        fprintf(f, "%s%s", i ? " " : "", cli->operands[i]);
    }
    if (f) {
        fclose(f);
        t.state.filter = filter;
    }
    SCREEN *screen = newterm(NULL, stdout, stdin);
    if (!screen) {
        cli_usage(cli, "this terminal (TERM) cannot be used");
        free(filter);
        return EXIT_USAGE;
    }
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    run(&t);
    endwin();
    delscreen(screen);
    if (t.message[0]) {
        fprintf(cli->err, "venturictl: %s\n", t.message);
    }
    forget(&t);
    if (t.client) {
        client_close(t.client);
    }
    free(filter);
    return t.status;
}
