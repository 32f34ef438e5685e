/* collector/filter/pattern.h -- regular expressions that clients send. */
#ifndef COLLECTOR_PATTERN_H
#define COLLECTOR_PATTERN_H 1

#include <stdbool.h>

/* Whether the C library can compile a POSIX extended expression without braces
 * and backslashes in little time: what it does for each way through that eats no
 * character and passes "^" or "$" it does again for each that may follow, so that
 * forty "(^|$)" keep it busy for hours.  Expressions that are malformed may be
 * answered either way. */
bool pattern_is_cheap(const char *);

#endif /* collector/filter/pattern.h */
