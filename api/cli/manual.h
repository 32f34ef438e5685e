/* api/cli/manual.h -- venturi-filter(7), written from the tables that the
 * filter language and the columns are made of. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H 1

#include <stdio.h>

/* The page, for man(1). */
void manual_filter(FILE *);

#endif /* api/cli/manual.h */
