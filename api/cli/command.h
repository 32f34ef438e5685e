/* api/cli/command.h -- the commands of venturictl: one row each, from which
 * help and completion follow. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "api/cli/client.h"

struct json_object;

enum cli_exit { EXIT_OK = 0, EXIT_DAEMON = 1, EXIT_USAGE = 2,
                EXIT_NO_DAEMON = 3, EXIT_INTERRUPTED = 130 };

enum cli_format { FORMAT_TABLE, FORMAT_JSON, FORMAT_CSV,
                  FORMAT_NDJSON };

#define CLI_MAX_OPTIONS 24

/* Completions that follow from the column table: lists of columns to group by,
 * with what is made of them and without, of any columns, and of metrics. */
#define CLI_WORDS_BY "@by"
#define CLI_WORDS_KEYS "@keys"
#define CLI_WORDS_FIELDS "@fields"
#define CLI_WORDS_METRICS "@metrics"

/* An option of a command, or one that all have. */
struct cli_option {
    const char *name;           /* Without dashes; NULL ends a list. */
    char letter;                /* Short form, or 0. */
    const char *arg;            /* What follows, or NULL: a flag. */
    const char *doc;
    const char *words;          /* Completions with blanks between, or NULL. */
};

struct cli {
    struct client_to to;
    const char *token_file;
    enum cli_format format;
    bool human;                 /* Numbers for people. */
    bool progress;              /* Somebody watches. */
    const char *label;          /* What is under way; NULL: one thing. */
    int64_t timeout_ms;         /* For the answer; 0: not said. */
    double watch_s;             /* Again after so many seconds; 0: once. */
    bool colour;
    unsigned width;             /* Of the terminal; 0: no limit. */
    FILE *out, *err;

    /* Of the command at hand. */
    const struct cli_command *command;
    const char *value[CLI_MAX_OPTIONS]; /* Like 'command->options'. */
    char *const *operands;
    int n_operands;
    const char *method;         /* Normally 'command->method'. */
    char *filter;               /* To point into it when it is wrong. */
};

struct cli_command {
    const char *name;           /* "export plan"; NULL ends the table. */
    const char *method;         /* NULL: nothing is asked. */
    const char *operands;       /* For the help; NULL: takes none. */
    const char *summary;
    const struct cli_option *options;   /* NULL: none. */
    const char *example;

    /* Fills in the parameters; false after a message about bad usage.  NULL:
     * there are none. */
    bool (*build)(struct cli *, struct json_object *params);
    /* Shows the result; returns the exit status.  NULL: as JSON. */
    int (*show)(struct cli *, struct json_object *result);
    /* Of a command without method: does it all. */
    int (*run)(struct cli *);
};

extern const struct cli_option cli_global_options[];
extern const struct cli_command cli_commands[];

/* Reads the command line into '*cli'.  Returns -1 to go on, or the exit status
 * after a message or help. */
int cli_parse(struct cli *, int argc, char *argv[]);

/* The value of an option, "" for a flag that is there, or NULL. */
const char *cli_value(const struct cli *, const char *option);

/* "venturictl: ..." to 'cli->err'; returns false. */
bool cli_usage(const struct cli *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void cli_help(FILE *);
void cli_command_help(FILE *, const struct cli_command *);

/* The command that the words begin with; the longest name wins.  '*n' is how many
 * words its name has.  NULL: none. */
const struct cli_command *cli_find_command(char *const *words, int n_words,
                                           int *n);

/* complete.c: the completion script for "bash" or "zsh"; false: there is none. */
bool cli_completion(FILE *, const char *shell);

/* What the last of some words (without the program's name; it may be empty) can
 * become, one a line; "@files": a file's name. */
void cli_complete(FILE *, char *const *words, int n);

/* Connects and calls 'method' ('params' is taken over), with a file that is sent
 * along if 'fd' is above 0; shows progress.  Returns EXIT_OK with the result,
 * or EXIT_DAEMON with an error object, in '*reply'; another status after a
 * message. */
int cli_ask(struct cli *, const char *method, struct json_object *params,
            int fd, struct json_object **reply);

/* Shows an error object of an answer; returns EXIT_DAEMON. */
int cli_show_error(struct cli *, struct json_object *error);

/* Shows a result as JSON: on lines of their own for people, in one line for
 * programs. */
int cli_show_json(struct cli *, struct json_object *result);

/* Shows the rows of a result, or what else it lists, one a line. */
int cli_show_ndjson(struct cli *, struct json_object *result);

#endif /* api/cli/command.h */
