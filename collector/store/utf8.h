/* collector/store/utf8.h -- text as DuckDB and JSON take it. */
#ifndef COLLECTOR_UTF8_H
#define COLLECTOR_UTF8_H 1

#include <stddef.h>

/* Turns every byte that is not part of valid UTF-8 (RFC 3629) into a question
 * mark. */
void utf8_clean(char *, size_t n);

#endif /* collector/store/utf8.h */
