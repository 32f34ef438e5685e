/* api/flow_text.h -- what flow.query, flow.series and flow.records answer, as
 * text.
 *
 * It is made on the query's thread, row by row: a tree of JSON would be many
 * times as large. */
#ifndef API_FLOW_TEXT_H
#define API_FLOW_TEXT_H 1

#include <stdio.h>

#include "collector/query/query.h"

/* Writes one JSON object; it is cut short where memory ends, which fclose()
 * tells. */
typedef void flow_text_fn(FILE *, const struct query *,
                          const struct query_result *);
flow_text_fn flow_query_text, flow_records_text;
flow_text_fn flow_series_text;          /* Every bucket, also without flows. */

/* The text that 'put' writes, to be freed; NULL if out of memory. */
char *flow_result_text(const struct query *, const struct query_result *,
                       flow_text_fn *put);

#endif /* api/flow_text.h */
