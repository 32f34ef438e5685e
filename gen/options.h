/* gen/options.h -- the command line of venturi-gen, from one table. */
#ifndef GEN_OPTIONS_H
#define GEN_OPTIONS_H 1

#include <stdio.h>

#include "gen/gen.h"

enum options_result {
    OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_BAD
};

/* Sets '*config' to the defaults and then to what the arguments say.  With
 * OPTIONS_BAD the reason has been written to 'errors'. */
enum options_result options_parse(int argc, char **argv, int64_t now_us,
                                  struct gen_config *config, FILE *errors);

void options_help(FILE *);

#endif /* gen/options.h */
