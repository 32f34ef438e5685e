#include <config.h>

#include "api/cli/command.h"

#include <stdlib.h>
#include <string.h>

#include "collector/filter/filter.h"
#include "collector/query/key.h"
#include "collector/query/metric.h"
#include "lib/column.h"

/* Completion for shells.  Their scripts ask "venturictl completion words", so
 * that what is known here is known there; no daemon is asked. */

#define FILES "@files"
#define MAX_POSITIONAL 64

static const char bash_script[] =
    "# bash completion for venturictl; made by \"venturictl completion "
    "bash\"\n"
    "_venturictl()\n"
    "{\n"
    "    local IFS=$'\\n'\n"
    "    COMPREPLY=($(\"${COMP_WORDS[0]}\" completion words -- \\\n"
    "        \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2> /dev/null))\n"
    "    if [[ ${COMPREPLY[0]} == @files ]]; then\n"
    "        COMPREPLY=()\n"
    "        compopt -o default\n"
    "    fi\n"
    "}\n"
    "complete -F _venturictl venturictl\n";

static const char zsh_script[] =
    "#compdef venturictl\n"
    "# zsh completion for venturictl; made by \"venturictl completion zsh\"\n"
    "_venturictl()\n"
    "{\n"
    "    local -a found\n"
    "    found=(${(f)\"$(\"$words[1]\" completion words -- \\\n"
    "        \"${(@)words[2,CURRENT]}\" 2> /dev/null)\"})\n"
    "    if [[ $found[1] == @files ]]; then\n"
    "        _files\n"
    "    else\n"
    "        compadd -Q -- ${found#$compstate[quote]}\n"
    "    fi\n"
    "}\n"
    "if [[ $funcstack[1] == _venturictl ]]; then\n"
    "    _venturictl \"$@\"\n"
    "else\n"
    "    compdef _venturictl venturictl\n"
    "fi\n";

bool
cli_completion(FILE *f, const char *shell)
{
    const char *script = !strcmp(shell, "bash") ? bash_script
                         : !strcmp(shell, "zsh") ? zsh_script : NULL;

    if (script) {
        fputs(script, f);
    }
    return script != NULL;
}

/* The words so far. */
struct line {
    char *const *words;
    int n;
    const char *current;
    const struct cli_command *command;  /* NULL: not told yet. */
    char *positional[MAX_POSITIONAL];   /* Without the current one. */
    int n_positional, n_name;   /* Of these, the command's name. */
    const struct cli_option *option;    /* Whose value is to come. */
};

/* "word", if it begins like what is there. */
static void
offer(FILE *f, const char *before, size_t n_before, const char *word,
      size_t n_word, const char *typed)
{
    if (!strncmp(word, typed, strlen(typed)) && n_word >= strlen(typed)) {
        fprintf(f, "%.*s%.*s\n", (int) n_before, before, (int) n_word, word);
    }
}

static const struct cli_option *
option_of(const struct cli_option *list, const char *word)
{
    for (const struct cli_option *o = list; o && o->name; o++) {
        bool is_long = !strncmp(word, "--", 2) && !strcmp(word + 2, o->name);
        bool is_short = o->letter && word[0] == '-' && word[1] == o->letter
                        && !word[2];
        if (is_long || is_short) {
            return o;
        }
    }
    return NULL;
}

/* Takes the words apart, all but the current one. */
static void
read_line(struct line *l)
{
    for (int i = 0; i < l->n - 1; i++) {
        char *word = l->words[i];
        const struct cli_option *o = NULL;
        if (l->option) {
            l->option = NULL;   /* This was its value. */
            continue;
        } else if (word[0] != '-' || !word[1]) {
            if (l->n_positional < MAX_POSITIONAL) {
                l->positional[l->n_positional++] = word;
            }
            l->command = cli_find_command(l->positional, l->n_positional,
                                          &l->n_name);
            continue;
        }
        o = l->command ? option_of(l->command->options, word) : NULL;
        o = o ? o : option_of(cli_global_options, word);
        l->option = o && o->arg ? o : NULL;
    }
}

/* Columns of that kind, and what is made of them, after the last comma. */
static void
offer_columns(FILE *f, const char *kind, const char *current)
{
    bool by = !strcmp(kind, CLI_WORDS_BY);
    bool metrics = !strcmp(kind, CLI_WORDS_METRICS);
    unsigned flags = metrics ? CF_SUM : strcmp(kind, CLI_WORDS_FIELDS) ? CF_KEY
                                      : ~0u;
    const char *comma = strrchr(current, ',');
    size_t n = comma ? (size_t) (comma - current) + 1 : 0;
    struct query_key_word key = { .name = "none" };

    for (unsigned i = 0; by; i++) {
        /* A prefix only where one has begun: the address ends without. */
        if (!strchr(key.name, '/') || strchr(current + n, '/')) {
            offer(f, current, n, key.name, strlen(key.name), current + n);
        }
        if (!query_key_at(i, &key)) {
            break;
        }
    }
    for (const struct metric_word *w = metric_words; metrics && w->name;
         w++) {
        offer(f, current, n, w->name, strlen(w->name), current + n);
    }
    for (const struct metric_fn *m = metric_fns; metrics && m->name; m++) {
        char word[64];
        int len = snprintf(word, sizeof word, "%s(%s)", m->name, m->argument);
        offer(f, current, n, word, (size_t) len, current + n);
    }
    for (size_t i = 0; i < N_COLUMNS; i++) {
        if (flags == ~0u || columns[i].flags & flags) {
            offer(f, current, n, columns[i].name, strlen(columns[i].name),
                  current + n);
        }
    }
}

static void
offer_words(FILE *f, const char *words, const char *current)
{
    while (*words) {
        size_t n = strcspn(words, " ");
        offer(f, "", 0, words, n, current);
        words += n + (words[n] == ' ');
    }
}

static void
offer_value(FILE *f, const struct line *l)
{
    const char *words = l->option->words;

    if (!words) {
        if (!strcmp(l->option->name, "output") || strstr(l->option->arg,
                                                         "FILE")
            || !strcmp(l->option->name, "api")) {
            fputs(FILES "\n", f);
        }
    } else if (words[0] == '@') {
        offer_columns(f, words, l->current);
    } else {
        offer_words(f, words, l->current);
    }
}

static void
offer_options(FILE *f, const struct cli_option *o, const char *current)
{
    for (; o && o->name; o++) {
        offer(f, "--", 2, o->name, strlen(o->name),
              strlen(current) > 2 ? current + 2 : "");
    }
}

/* The next word of the names of commands that begin like this. */
static void
offer_commands(FILE *f, char *const *words, int n, const char *current)
{
    const char *last = "";
    size_t last_n = 0;

    for (const struct cli_command *c = cli_commands; c->name; c++) {
        const char *name = c->name;
        int i = 0;
        for (; i < n; i++) {
            size_t size = strlen(words[i]);
            if (strncmp(name, words[i], size) || name[size] != ' ') {
                break;
            }
            name += size + 1;
        }
        size_t size = strcspn(name, " ");
        if (i == n && (size != last_n || strncmp(name, last, size))) {
            offer(f, "", 0, name, size, current);
            last = name;
            last_n = size;
        }
    }
}

/* What can follow in a filter; it may be one word in quotes, or many. */
static void
offer_filter(FILE *f, const struct line *l)
{
    struct filter_completion c;
    const char *quote = l->current[0] == '\'' || l->current[0] == '"'
                        ? l->current : NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *t = open_memstream(&text, &size);

    for (int i = l->n_name; t && i < l->n_positional; i++) {
        fprintf(t, "%s ", l->positional[i]);
    }
    if (!t || fflush(t)) {
        return;
    }
    size_t begin = size;        /* Of the current word. */
    fputs(l->current + (quote != NULL), t);
    fclose(t);
    filter_complete(text, size, &c);
    for (unsigned i = 0; i < c.n; i++) {
        if (quote) {
            fprintf(f, "%c", *quote);
        }
        /* What of the current word stays. */
        size_t n = c.start > begin ? c.start - begin : 0;
        fprintf(f, "%.*s%s\n", (int) n, text + begin, c.words[i]);
    }
    free(text);
}

void
cli_complete(FILE *f, char *const *words, int n)
{
    struct line l = { .words = words, .n = n };

    if (n < 1) {
        return;
    }
    l.current = words[n - 1];
    read_line(&l);
    bool help = l.n_positional && !strcmp(l.positional[0], "help");
    const char *operands = l.command ? l.command->operands : NULL;

    if (l.option) {
        offer_value(f, &l);
    } else if (l.current[0] == '-') {
        offer_options(f, l.command ? l.command->options : NULL, l.current);
        offer_options(f, cli_global_options, l.current);
    } else {
        if (!l.n_positional) {
            offer(f, "", 0, "help", 4, l.current);
        }
        offer_commands(f, l.positional + help, l.n_positional - help,
                       l.current);
        if (operands && strstr(operands, "FILTER")) {
            offer_filter(f, &l);
        } else if (operands && strstr(operands, "FILE")) {
            fputs(FILES "\n", f);
        } else if (l.command && !strcmp(l.command->name, "completion")) {
            offer_words(f, "bash zsh", l.current);
        }
    }
}
