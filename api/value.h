/* api/value.h -- values of columns as JSON text: addresses, MAC addresses,
 * times and words the same everywhere. */
#ifndef API_VALUE_H
#define API_VALUE_H 1

#include <stdio.h>

#include "collector/query/query.h"
#include "lib/batch.h"
#include "lib/column.h"

struct dict;

/* A string with its quotes.  Bytes that are no UTF-8 become U+FFFD. */
void value_put_string(FILE *, const char *);

/* A value that is not null.  'c' is only looked at for words; NULL: none. */
void value_put(FILE *, enum column_type, const struct column *c,
               const struct query_value *);

/* A value of a result, null included: prefixes and names as texts. */
void value_put_result(FILE *, const struct query_column *,
                      const struct query_value *);

/* A row as an object of those columns that are not null. */
void value_put_row(FILE *, const struct dict *, struct flow_batch *,
                   uint32_t row);

#endif /* api/value.h */
