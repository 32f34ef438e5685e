/* daemon/options.h -- venturid's command line. */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H 1

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_MAX 64          /* Times that a repeatable option may stand. */

struct options {
    const char *config;         /* NULL: the default path. */
    const char *state_dir, *run_dir;    /* Absolute, or NULL. */
    const char *user;           /* NULL: as configured. */
    const char *api[OPTIONS_MAX];
    size_t n_api;
    const char *ovsdb[OPTIONS_MAX];
    size_t n_ovsdb;
    const char *log[OPTIONS_MAX];
    size_t n_log;
    bool check_config, foreground, help, version;
};

#define DEFAULT_CONFIG SYSCONFDIR "/venturi/venturi.json"
#define DEFAULT_STATE_DIR LOCALSTATEDIR "/lib/venturi"
#define DEFAULT_RUN_DIR RUNSTATEDIR "/venturi"

/* Fills in '*o' (strings are borrowed from 'argv', or stay for good).  Returns
 * 0, or -EINVAL after saying on stderr what is wrong. */
int options_parse(int argc, char *argv[], struct options *o);
void options_help(void);

#endif /* daemon/options.h */
