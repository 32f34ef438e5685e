/* collector/query/key.h -- the words for keys: columns, and what is made of
 * them.  The API's parser and flow.columns, and venturictl's completion follow
 * this; doc/queries.md tells it to people. */
#ifndef COLLECTOR_QUERY_KEY_H
#define COLLECTOR_QUERY_KEY_H 1

#include <stdbool.h>

#include "collector/query/query.h"

/* Reads a key: "src_addr", "tenant" (of either end), "src_addr/24",
 * "src_addr/24/56", "proto_name", "dst_service", "src_label.role".  Fills in
 * '*key' and returns the column, that of the source for either end; NULL: 'text'
 * is none.  The column may be one that cannot be grouped by. */
const struct column *query_key_parse(const char *text, struct query_key *key);

/* A key that is no column. */
struct query_key_word {
    char name[64];              /* "tenant", "src_addr/24". */
    bool open;                  /* "src_label.": the rest is the asker's. */
    char doc[128];
};

/* The one with the number 'i', from 0 on.  False: there are no more. */
bool query_key_at(unsigned i, struct query_key_word *);

#endif /* collector/query/key.h */
