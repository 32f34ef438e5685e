/* gen/totals.h -- what was sent, in the meaning of Venturi's columns, so that
 * a test can compare it with what a collector answers.
 *
 * "bytes" are octets of IP packets; "raw" is what the exporter saw, the rest
 * is multiplied by the sampling rate where one is announced. */
#ifndef GEN_TOTALS_H
#define GEN_TOTALS_H 1

#include <stdio.h>

#include "gen/gen.h"
#include "gen/sink.h"

void totals_print(const struct gen *, const struct sink *, double elapsed_s,
                  FILE *);
void totals_print_json(const struct gen *, const struct sink *,
                       double elapsed_s, FILE *);

#endif /* gen/totals.h */
