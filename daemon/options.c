#include <config.h>

#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { FLAG, TEXT, DIRECTORY, LIST };

struct option_def {
    const char *name;
    char letter;                /* 0: none. */
    enum kind kind;
    size_t offset;              /* Of the member in struct options. */
    size_t count_offset;        /* LIST: of its count. */
    const char *value;          /* Name of the value, for the help. */
    const char *doc;
};

#define MEMBER(M) offsetof(struct options, M)
static const struct option_def defs[] = {
    { "config", 'c', TEXT, MEMBER(config), 0, "FILE",
      "configuration (default " DEFAULT_CONFIG ", if it is there)" },
    { "state-dir", 0, DIRECTORY, MEMBER(state_dir), 0, "DIR",
      "flows and what must survive a restart (default " DEFAULT_STATE_DIR
      ")" },
    { "run-dir", 0, DIRECTORY, MEMBER(run_dir), 0, "DIR",
      "sockets (default " DEFAULT_RUN_DIR ")" },
    { "api", 0, LIST, MEMBER(api), MEMBER(n_api), "ADDRESS",
      "answer JSON-RPC there: unix:/PATH (repeatable; replaces the configured "
      "addresses)" },
    { "ovsdb", 0, LIST, MEMBER(ovsdb), MEMBER(n_ovsdb), "REMOTE",
      "OVSDB server: unix:/PATH, tcp:IP:PORT, ssl:IP:PORT, or none "
      "(repeatable; replaces the configured ones)" },
    { "user", 'u', TEXT, MEMBER(user), 0, "NAME",
      "run as this user when started by root (default venturi, or nobody if "
      "there is no such user)" },
    { "log", 'l', LIST, MEMBER(log), MEMBER(n_log), "[MODULE:]LEVEL",
      "log level: off, error, warning, notice, info, debug (repeatable)" },
    { "check-config", 0, FLAG, MEMBER(check_config), 0, NULL,
      "validate the configuration, say what is wrong, and exit" },
    { "foreground", 'f', FLAG, MEMBER(foreground), 0, NULL,
      "log to stderr whatever the configuration says (venturid never detaches "
      "itself)" },
    { "help", 'h', FLAG, MEMBER(help), 0, NULL, "show this and exit" },
    { "version", 'V', FLAG, MEMBER(version), 0, NULL,
      "show the version and exit" },
};
#define N_DEFS (sizeof defs / sizeof defs[0])

/* 'path', seen from the root: addresses of sockets are made of it.  Stays until
 * the process ends, as the command line does. */
static const char *
absolute(const char *path)
{
    char *cwd = *path == '/' ? NULL : getcwd(NULL, 0), *whole = NULL;

    if (cwd && asprintf(&whole, "%s/%s", cwd, path) < 0) {
        whole = NULL;
    }
    free(cwd);
    return whole ? whole : path;
}

static int
store(struct options *o, const struct option_def *d, const char *value)
{
    char *base = (char *) o;
    switch (d->kind) {
    case FLAG:
        *(bool *) (base + d->offset) = true;
        return 0;
    case TEXT:
    case DIRECTORY:
        if (!*value) {
            fprintf(stderr, "venturid: --%s: empty\n", d->name);
            return -EINVAL;
        }
        value = d->kind == DIRECTORY ? absolute(value) : value;
        *(const char **) (base + d->offset) = value;
        return 0;
    case LIST: {
        size_t *n = (size_t *) (base + d->count_offset);
        if (*n == OPTIONS_MAX) {
            fprintf(stderr, "venturid: --%s stands more than %d times\n",
                    d->name, OPTIONS_MAX);
            return -EINVAL;
        }
        ((const char **) (base + d->offset))[(*n)++] = value;
        return 0;
    }
    }
    return -EINVAL;
}

int
options_parse(int argc, char *argv[], struct options *o)
{
    struct option longs[N_DEFS + 1];
    char shorts[2 * N_DEFS + 1], *s = shorts;
    memset(longs, 0, sizeof longs);
    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < N_DEFS; i++) {
        longs[i].name = defs[i].name;
        longs[i].has_arg = defs[i].kind != FLAG;
        longs[i].val = 256 + (int) i;
        if (defs[i].letter) {
            *s++ = defs[i].letter;
            if (defs[i].kind != FLAG) {
                *s++ = ':';
            }
        }
    }
    *s = '\0';

    int c;
    while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct option_def *d = NULL;
        for (size_t i = 0; i < N_DEFS; i++) {
            if (c == 256 + (int) i || (c && c == defs[i].letter)) {
                d = &defs[i];
            }
        }
        if (!d) {
            fprintf(stderr, "Try 'venturid --help'.\n");
            return -EINVAL;
        }
        if (store(o, d, optarg)) {
            return -EINVAL;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "venturid: unexpected argument \"%s\"\n"
                "Try 'venturid --help'.\n", argv[optind]);
        return -EINVAL;
    }
    return 0;
}

/* Prints 'text' from column 'at' on, broken before column 79. */
static void
print_wrapped(const char *text, int at)
{
    int column = at;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column > at && column + 1 + (int) n > 78) {
            printf("\n%*s", at, "");
            column = at;
        } else if (column > at) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int) n, text);
        column += (int) n;
        text += n + (text[n] == ' ');
    }
    putchar('\n');
}

void
options_help(void)
{
    printf("Usage: venturid [OPTION]...\n"
           "Keeps flow export configured on Open vSwitch bridges, collects "
           "what they and\nother exporters send, and answers questions about "
           "it (see venturictl).\n\n");
    for (size_t i = 0; i < N_DEFS; i++) {
        char left[64];
        snprintf(left, sizeof left, "%c%c%s--%s%s%s",
                 defs[i].letter ? '-' : ' ',
                 defs[i].letter ? defs[i].letter : ' ',
                 defs[i].letter ? ", " : "  ", defs[i].name,
                 defs[i].value ? " " : "", defs[i].value ? defs[i].value
                                                         : "");
        int n = printf("  %s", left);
        if (n > 26) {
            printf("\n%*s", 28, "");
        } else {
            printf("%*s", 28 - n, "");
        }
        print_wrapped(defs[i].doc, 28);
    }
    printf("\nWithout a configuration file: the local Open vSwitch, default "
           "policy (sFlow on\nevery bridge that nobody else exports from), "
           "NetFlow 127.0.0.1:2055, IPFIX\n127.0.0.1:4739, sFlow "
           "127.0.0.1:6343, answers on " DEFAULT_RUN_DIR "/api.sock.\n"
           "SIGHUP reads the configuration again; SIGTERM and SIGINT end "
           "venturid after\neverything received is stored.  The manual page "
           "is venturid(8).\n");
}
